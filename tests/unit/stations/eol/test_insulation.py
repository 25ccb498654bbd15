"""Step insulation_live on a pack whose insulation a test sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bmsctl.domain.limits import ABOVE, BELOW
from bmsctl.domain.ports import Dtc, Resistor, Route
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceTimeout
from bmsctl.stations.eol.insulation import insulation_live
from tests.support.fake_devices import Outcome, passed
from tests.support.fake_live import METER_OHM, REFERENCE_OHM, LiveBench, run_live

LIMIT_OHM = 201.6e3


def run(script: Callable[[LiveBench], None] = lambda bench: None, **params: Any) -> tuple[LiveBench, Outcome]:
    bench, outcome = run_live(insulation_live, "insulation_live", script, **params)
    assert bench.resting()
    return bench, outcome


def insulated(**values: float) -> Callable[[LiveBench], None]:
    def script(bench: LiveBench) -> None:
        for name, value in values.items():
            setattr(bench.pack, name, value)

    return script


def test_a_good_pack_passes_with_its_own_values() -> None:
    _, outcome = run(insulated(plus_ohm=20e6, minus_ohm=12e6))
    assert passed(outcome)
    assert outcome.value("insulation_resistance") == pytest.approx(12e6, rel=0.015)
    assert outcome.value("insulation_plus") == pytest.approx(20e6, rel=0.02)
    assert outcome.value("insulation_parallel") == pytest.approx(7.5e6, rel=0.015)
    assert outcome.value("y_capacitance") == pytest.approx(0.33e-6, rel=0.01)
    assert outcome.value("y_energy") == pytest.approx(0.5 * 0.33e-6 * 403.2**2, rel=0.01)
    assert outcome.value("imd_ratio") == pytest.approx(0.0, abs=0.5)
    assert outcome.duration_s < 40.0


def test_the_uncertainty_grows_with_the_resistance_of_the_meter() -> None:
    """0.3 % + 0.85 % x 20 MOhm / 10 MOhm = 2 % at 20 MOhm; 0.317 % at the limit."""
    for ohm, share in ((20e6, 0.02), (LIMIT_OHM, 0.00317)):
        _, outcome = run(insulated(plus_ohm=ohm, minus_ohm=ohm))
        measured = outcome.context.measurements["insulation_plus"]
        assert measured.u95 is not None
        assert measured.value is not None
        assert measured.u95 / measured.value == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize("side", ["plus_ohm", "minus_ohm"])
def test_either_side_fails_by_itself(side: str) -> None:
    for factor, verdict in ((0.5, Verdict.FAIL), (0.99, Verdict.FAIL), (1.01, Verdict.PASS), (2.0, Verdict.PASS)):
        _, outcome = run(insulated(**{side: factor * LIMIT_OHM}))
        assert outcome.verdicts["insulation_resistance"] is verdict
        assert outcome.value("insulation_resistance") == pytest.approx(factor * LIMIT_OHM, rel=0.003)


def test_a_fault_in_the_middle_fails_in_parallel() -> None:
    """201.6 kOhm in the middle of the stack are twice that at either pole: 403 kOhm pass, their parallel does not."""
    _, outcome = run(insulated(plus_ohm=395e3, minus_ohm=395e3))
    assert outcome.verdicts["insulation_resistance"] is Verdict.PASS
    assert outcome.verdicts["insulation_parallel"] is Verdict.FAIL


@pytest.mark.parametrize("side", ["plus_ohm", "minus_ohm"])
def test_a_hard_fault_fails_though_its_transient_is_too_fast_to_time(side: str) -> None:
    _, outcome = run(insulated(**{side: 10e3}))
    assert outcome.verdicts["insulation_resistance"] is Verdict.FAIL
    assert outcome.value("insulation_resistance") == pytest.approx(10e3, rel=0.01)
    assert outcome.context.measurements["y_capacitance"].bound == BELOW
    assert outcome.verdicts["y_capacitance"] is Verdict.PASS


def test_insulation_better_than_can_be_told_is_a_bound() -> None:
    _, outcome = run(insulated(plus_ohm=1e13, minus_ohm=1e13))
    assert passed(outcome)
    measured = outcome.context.measurements["insulation_resistance"]
    assert measured.bound == ABOVE
    assert measured.value == pytest.approx(METER_OHM / (2 * 0.0085))


def test_y_capacitance_is_judged_by_its_energy_at_the_highest_voltage() -> None:
    for farad, verdict in ((2.2e-6, Verdict.PASS), (2.6e-6, Verdict.FAIL), (4.6e-6, Verdict.FAIL)):
        _, outcome = run(insulated(y_farad=farad))
        assert outcome.verdicts["y_energy"] is verdict
        assert outcome.value("y_capacitance") == pytest.approx(farad, rel=0.01)


@pytest.mark.parametrize(("gain", "verdict"), [(1.1, "PASS"), (0.9, "PASS"), (1.4, "FAIL"), (0.6, "FAIL")])
def test_the_packs_monitor_must_know(gain: float, verdict: str) -> None:
    bench, outcome = run(lambda bench: setattr(bench.bms, "imd_gain", gain))
    assert outcome.verdicts["imd_ratio"] == verdict
    assert outcome.value("imd_ratio") == pytest.approx(100.0 * (gain - 1.0), abs=0.5)
    expected_ohm = 1.0 / (2 / 20e6 + 2 / METER_OHM + 1 / REFERENCE_OHM)
    if verdict == "FAIL":
        said_kohm = float(outcome.reason("imd_ratio").split("station ")[1].removesuffix(" kOhm"))
        assert said_kohm == pytest.approx(expected_ohm / 1e3, rel=1e-3)
    assert bench.bms.imd_on


def test_nothing_disturbs_the_measurement() -> None:
    """Only the digitizer is routed; the monitor is off until the reference is in; the resistor comes out again."""
    bench, _ = run()
    assert bench.of("matrix.connect") == [(frozenset({Route.DIGITIZER}),)]
    order = [call for call in bench.calls if call[0] in ("bms.imd_enable", "digitizer.insert", "digitizer.finish")]
    assert order[:7] == [
        ("bms.imd_enable", False),
        ("digitizer.insert", Resistor.R0_MINUS),
        ("digitizer.insert", Resistor.R0_PLUS),
        ("digitizer.finish",),
        ("digitizer.insert", Resistor.REFERENCE),
        ("bms.imd_enable", True),
        ("digitizer.insert", None),
    ]
    assert bench.log.traces["v_pos"].shape == bench.log.traces["v_neg"].shape
    assert bench.log.notes()[0].startswith("at minus from 2.0")


def test_a_code_of_this_step_fails_it() -> None:
    def script(bench: LiveBench) -> None:
        bench.facts.dtc_owners = {"1BA2": "insulation_live", "1B04": "temperatures"}
        bench.bms.stored = [Dtc(0x1BA21A, 9), Dtc(0x1B0413, 9)]

    _, outcome = run(script)
    assert outcome.value("own_dtcs") == 1.0
    assert outcome.verdicts["own_dtcs"] is Verdict.FAIL


@pytest.mark.parametrize("missing", [{Resistor.R0_MINUS}, {Resistor.R0_PLUS}, {Resistor.R0_MINUS, Resistor.R0_PLUS}])
def test_a_resistor_that_is_not_really_in_is_undecided(missing: set[Resistor]) -> None:
    bench, outcome = run(lambda bench: setattr(bench.digitizer, "missing", missing))
    assert outcome.error is not None
    assert outcome.error.startswith("insulation undecided")
    assert outcome.verdicts == {}
    assert bench.bms.imd_on


def test_a_resistor_that_is_not_what_the_recipe_says_is_undecided() -> None:
    """Half of it would make the meters' own conductance look like twice the pack's."""
    _, outcome = run(insulated(plus_ohm=50e6, minus_ohm=50e6), test_resistor=360e3)
    assert outcome.error is not None
    assert "check test resistor" in outcome.error


def test_a_pack_that_does_not_settle_is_undecided() -> None:
    _, outcome = run(insulated(y_farad=30e-6))
    assert outcome.error is not None
    assert "not settled" in outcome.error


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("digitizer.start", DeviceTimeout("digitizer", "no answer")),
        ("digitizer.insert", DeviceRefused("digitizer", "the relay is stuck")),
        ("bms.imd", DeviceTimeout("bms", "not settled")),
    ],
)
def test_whatever_fails_the_pack_is_left_open_and_its_monitor_on(call: str, error: Exception) -> None:
    bench, outcome = run(lambda bench: bench.errors.update({call: [error]}))
    assert outcome.error == str(error)
    assert bench.bms.imd_on
