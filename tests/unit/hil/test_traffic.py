"""Rates made of counters."""

from __future__ import annotations

from hil.traffic import Rate, TrafficMeter, line


def test_rates_are_differences_over_time() -> None:
    meter = TrafficMeter()
    meter.rates({"pack": {"sent": 100, "heard": 10, "lost": 0, "skipped": 0}}, 5.0)
    (rate,) = meter.rates({"pack": {"sent": 1100, "heard": 30, "lost": 2, "skipped": 1}}, 7.0)
    assert rate == Rate("pack", "frames", 500.0, 10.0, 3)


def test_counting_begins_anew_with_another_pack() -> None:
    meter = TrafficMeter()
    meter.rates({"cycler": {"sent": 100, "heard": 100, "lost": 0}}, 1.0)
    meter.rates({}, 2.0)
    (rate,) = meter.rates({"cycler": {"sent": 5, "heard": 5, "lost": 0}}, 3.0)
    assert (rate.unit, rate.sent_per_s) == ("bytes", 0.0)


def test_a_line_tells_only_what_moves() -> None:
    rates = [Rate("pack", "frames", 434.0, 2.0, 0), Rate("scanner", "bytes", 0.0, 0.0, 0)]
    assert line(rates) == "pack 434 to station, 2 from it frames/s"
    assert line([]) == "quiet"
