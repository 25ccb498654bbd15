"""Step self_discharge: what it judges, and what it must not pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bmsctl.domain.ports import IncomingModule
from bmsctl.domain.units import Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol.self_discharge import self_discharge
from tests.support.fake_devices import Outcome, passed
from tests.support.fake_live import LiveBench, run_live

DAY_S, HOUR_S = 86400.0, 3600.0
AGE_S = 16.0 * DAY_S


def modules(age_s: float = AGE_S) -> list[IncomingModule]:
    volts = tuple(Volt(3.6) for _ in range(24))
    return [IncomingModule(slot, "M24", f"M{slot}", "L1", Second(age_s), volts) for slot in (1, 2, 3, 4)]


def run(
    rates: dict[int, float],
    known: Sequence[IncomingModule] | None = None,
    spoil: Callable[[LiveBench], None] = lambda bench: None,
) -> tuple[LiveBench, Outcome]:
    """`rates`: V/h by cell, on top of 0.01 mV/h."""

    def script(bench: LiveBench) -> None:
        lost_v = 0.01e-3 * AGE_S / HOUR_S
        now_v = np.full(96, 3.6 - lost_v)
        for cell, rate in rates.items():
            now_v[cell - 1] -= rate * AGE_S / HOUR_S
        bench.facts.cells_at_rest_v = now_v
        bench.facts.modules = modules() if known is None else known
        spoil(bench)

    return run_live(self_discharge, "self_discharge", script)


def test_a_good_pack_passes() -> None:
    _, outcome = run({})
    assert passed(outcome)
    assert outcome.value("rate_max") == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("rate", "verdict"), [(0.0125e-3, "PASS"), (0.022e-3, "FAIL"), (0.05e-3, "FAIL")])
@pytest.mark.parametrize("cell", [1, 30, 96])
def test_the_fastest_cell_is_judged_and_named(cell: int, rate: float, verdict: str) -> None:
    _, outcome = run({cell: rate})
    assert outcome.verdicts["rate_max"] == verdict
    assert outcome.value("rate_max") == pytest.approx(rate)
    if verdict == "FAIL":
        assert f"cell {cell}" in outcome.reason("rate_max")


def test_the_uncertainty_is_that_of_the_voltage_over_the_age() -> None:
    """1.5 mV over 384 h are 0.0039 mV/h."""
    _, outcome = run({})
    assert outcome.context.measurements["rate_max"].u95 == pytest.approx(1.5e-3 / 384.0)


def test_modules_come_in_any_order() -> None:
    _, outcome = run({30: 0.05e-3}, modules()[::-1])
    assert "cell 30" in outcome.reason("rate_max")


def test_a_cell_without_value_is_left_out_and_named() -> None:
    def silence(bench: LiveBench) -> None:
        assert bench.facts.cells_at_rest_v is not None
        bench.facts.cells_at_rest_v[6] = np.nan

    bench, outcome = run({}, spoil=silence)
    assert passed(outcome)
    assert bench.log.notes() == ["without value: cells 7"]


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ((), "slots none"),
        (modules()[:3], "slots 1, 2, 3 instead"),
        ([modules()[0], *modules()[:3]], "instead of 1 to 4"),
        ([*modules()[:3], replace(modules()[3], cell_voltage_v=(Volt(3.6),) * 23)], "23 incoming voltages"),
        (modules(13.9 * DAY_S), "13.9 d old"),
        ([*modules()[:3], modules(2.0 * DAY_S)[3]], "2.0 d old"),
        (modules(float("nan")), "d old"),
    ],
)
def test_without_good_incoming_data_it_never_passes(known: Sequence[IncomingModule], why: str) -> None:
    _, outcome = run({}, known)
    assert outcome.error is not None
    assert why in outcome.error
    assert Verdict.PASS not in outcome.verdicts.values()


def test_without_rest_voltages_it_never_passes() -> None:
    _, outcome = run({}, spoil=lambda bench: setattr(bench.facts, "cells_at_rest_v", None))
    assert outcome.error is not None
    _, outcome = run({}, spoil=lambda bench: setattr(bench.facts, "cells_at_rest_v", np.full(96, np.nan)))
    assert outcome.error is not None
