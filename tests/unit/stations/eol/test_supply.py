"""Current and time of falling asleep, with packs that draw too much, sleep late, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.limits import ABOVE
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout, ReplyInvalid
from bmsctl.stations.eol.supply import quiescent_current, sleep
from tests.support.fake_devices import FakeBench, passed, run_step


def drawing(amps: float) -> Callable[[FakeBench], None]:
    return lambda bench: setattr(bench.lv_supply, "amps", amps)


def never_asleep(heard_before_s: float) -> Callable[[FakeBench], None]:
    """A BMS that still sends when the wait is over, heard last so long before."""

    def script(bench: FakeBench) -> None:
        async def silent(lease: Lease, within: Second) -> float:
            await asyncio.sleep(within + 1.0)
            bench.bms.heard_s = bench.now() - heard_before_s
            raise DeviceTimeout("bms", "still sending")

        bench.bms.silent = silent  # type: ignore[method-assign]
        bench.lv_supply.amps = 0.3

    return script


def test_a_pack_asleep_is_measured_for_ten_seconds_in_the_narrow_range() -> None:
    outcome = run_step(quiescent_current, "quiescent_current")
    assert passed(outcome)
    assert outcome.value("quiescent_current") == 0.8e-3
    assert outcome.bench.of("lv_supply.current") == [(10.0, 1.0), (0.01, 10.0)]


@pytest.mark.parametrize("amps", [4.99e-3, 5.1e-3, 8.9e-3])
def test_beyond_the_limit_fails_by_the_narrow_range(amps: float) -> None:
    outcome = run_step(quiescent_current, "quiescent_current", drawing(amps))
    assert outcome.verdicts == {"quiescent_current": Verdict.FAIL}
    assert outcome.context.measurements["quiescent_current"].u95 == 20e-6


@pytest.mark.parametrize("amps", [9.1e-3, 0.05, 0.3])
def test_beyond_the_narrow_range_fails_by_the_wide_one(amps: float) -> None:
    outcome = run_step(quiescent_current, "quiescent_current", drawing(amps))
    assert outcome.verdicts == {"quiescent_current": Verdict.FAIL}
    assert outcome.value("quiescent_current") == amps
    assert outcome.bench.of("lv_supply.current") == [(10.0, 1.0)]


def test_an_ammeter_that_cannot_be_believed_measures_nothing() -> None:
    error = ReplyInvalid("lv_supply", "stuck")
    outcome = run_step(
        quiescent_current, "quiescent_current", lambda bench: bench.errors.update({"lv_supply.current": [error]})
    )
    assert (outcome.error, outcome.verdicts) == (str(error), {})


def test_the_time_to_sleep_counts_from_the_wake_line() -> None:
    outcome = run_step(sleep, "sleep", lambda bench: setattr(bench.bms, "sleep_s", 25.0))
    assert passed(outcome)
    assert outcome.value("time_to_sleep") == pytest.approx(25.0)
    assert outcome.bench.of("plc.supply") == [(True, False)]


def test_a_late_sleep_fails() -> None:
    outcome = run_step(sleep, "sleep", lambda bench: setattr(bench.bms, "sleep_s", 45.1))
    assert outcome.verdicts == {"time_to_sleep": Verdict.FAIL, "quiescent_current": Verdict.PASS}


def test_a_bms_that_never_sleeps_fails_with_a_bound() -> None:
    outcome = run_step(sleep, "sleep", never_asleep(0.01))
    assert outcome.verdicts == {"time_to_sleep": Verdict.FAIL, "quiescent_current": Verdict.FAIL}
    measurement = outcome.context.measurements["time_to_sleep"]
    assert (measurement.value, measurement.bound) == (90.0, ABOVE)
    assert "still sending" in measurement.reason


def test_a_bms_not_heard_at_the_end_of_the_wait_proves_nothing() -> None:
    outcome = run_step(sleep, "sleep", never_asleep(1.5))
    assert outcome.error is not None
    assert outcome.verdicts == {}


def test_a_bms_silent_before_the_wake_line_went_proves_nothing() -> None:
    outcome = run_step(sleep, "sleep", lambda bench: setattr(bench.bms, "sleep_s", -3.0))
    assert outcome.error is not None
    assert "silent before" in outcome.error
    assert "time_to_sleep" not in outcome.verdicts
