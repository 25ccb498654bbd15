"""Leak tests of coolant plate and housing: one step body, two recipes."""

from __future__ import annotations

import pytest

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.ports import LeakTest
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused
from bmsctl.stations.stacking.leaks import leak_test
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step

STANDARD_PA, MINUTE_S = 101_325.0, 60.0


def run(step: str, rate: float = 0.0, volume: float = 1.0) -> Outcome:
    """With a constant loss of pressure that is worth `rate` in cm3/min."""

    def script(bench: StackingBench) -> None:
        bench.leak_tester.per_second_pa = rate * STANDARD_PA / MINUTE_S / volume

    return run_step(leak_test, step, script)


def test_a_tight_volume_passes_and_its_course_is_kept() -> None:
    outcome = run("coolant_leak")
    assert passed(outcome)
    assert outcome.bench.names() == ["operator.confirm.connect", "leak_tester.test"]
    assert outcome.bench.parts_of("operator.confirm.connect") == ["coolant inlet"]
    assert outcome.bench.of("leak_tester.test") == [(LeakTest(1, 2e5, 10.0, 20.0, 30.0),)]
    assert set(outcome.bench.log.traces) == {"time", "pressure", "temperature", "atmosphere"}


@pytest.mark.parametrize(("step", "volume", "limit"), [("coolant_leak", 4500.0, 4.0), ("housing_leak", 50000.0, 40.0)])
def test_the_rate_is_judged_with_its_uncertainty(step: str, volume: float, limit: float) -> None:
    good, bad = (run(step, rate, volume) for rate in (0.7 * limit, 1.3 * limit))
    assert good.value("leak_rate") == pytest.approx(0.7 * limit, rel=0.05)
    assert good.verdicts["leak_rate"] is Verdict.PASS
    assert bad.verdicts["leak_rate"] is Verdict.FAIL


def test_a_gross_leak_fails_by_a_bound() -> None:
    outcome = run("coolant_leak", 5000.0, 4500.0)
    assert outcome.context.measurements["leak_rate"].bound == ABOVE
    assert outcome.verdicts["leak_rate"] is Verdict.FAIL


def test_what_gains_pressure_beyond_the_test_pressure_is_undecided() -> None:
    outcome = run("coolant_leak", -5000.0, 4500.0)
    assert outcome.verdicts["leak_rate"] is Verdict.INVALID
    assert "beyond the test pressure" in outcome.reason("leak_rate")


def test_no_part_is_the_stations_trouble() -> None:
    none = DeviceRefused("leak_tester", "no part is coupled")
    outcome = run_step(leak_test, "housing_leak", lambda bench: bench.errors.update({"leak_tester.test": [none]}))
    assert outcome.error == str(none)


def test_a_rate_measured_before_the_program_ended_stands() -> None:
    first = run("housing_leak")
    second = run_step(leak_test, "housing_leak", begun=first.bench.log.events)
    assert passed(second)
    assert second.bench.names() == []
