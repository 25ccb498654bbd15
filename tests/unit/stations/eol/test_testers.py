"""Insulation and withstand test of the outer poles: in which order, what the readings mean, what is given back.

The fake devices refuse a test voltage onto fed coils or connected dividers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.ports import InsulationReading, Route, WithstandReading
from bmsctl.domain.units import Ampere, Ohm, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from bmsctl.stations.eol.testers import insulation_outer, withstand
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_devices import FakeBench, Outcome, StepBody, passed, run_step

PLUS, MINUS = Route.TESTER_PLUS, Route.TESTER_MINUS
STEPS = [(insulation_outer, "insulation_outer"), (withstand, "withstand")]


def insulated(*readings: tuple[float, bool]) -> Callable[[FakeBench], None]:
    """The tester reads these, each ohms and whether over range."""
    given = [InsulationReading(Ohm(ohm), Volt(502.0), over_range) for ohm, over_range in readings]
    return lambda bench: setattr(bench.insulation_tester, "readings", given)


def given_back(outcome: Outcome) -> bool:
    """Testers away, then coils fed, then dividers on."""
    bench = outcome.bench
    assert bench.names()[-3:] == ["matrix.connect", "plc.feed_coils", "bms.dividers_enable"]
    return bench.matrix.routes == frozenset() and bench.plc.coils_fed and bench.bms.dividers


def test_each_pole_is_measured_and_then_both() -> None:
    outcome = run_step(insulation_outer, "insulation_outer", insulated((2e9, False), (3e9, False), (1.2e9, False)))
    assert passed(outcome)
    tester = Route.INSULATION_TESTER
    assert outcome.bench.of("insulation_tester.measure") == [
        (500.0, frozenset({tester, PLUS})),
        (500.0, frozenset({tester, MINUS})),
        (500.0, frozenset({tester, PLUS, MINUS})),
    ]
    assert [outcome.value(f"insulation_{name}") for name in ("plus", "minus", "both")] == [2e9, 3e9, 1.2e9]
    assert given_back(outcome)


def test_dividers_go_before_the_poles_decay_and_coils_before_a_tester_is_routed() -> None:
    outcome = run_step(insulation_outer, "insulation_outer")
    names = outcome.bench.names()
    assert names[:5] == ["matrix.connect", "bms.dividers_enable", "digitizer.mean", "plc.feed_coils", "matrix.connect"]
    assert outcome.bench.of("matrix.connect")[0] == (frozenset({Route.DIGITIZER}),)


def test_over_range_passes_as_a_bound() -> None:
    outcome = run_step(insulation_outer, "insulation_outer", insulated((1e10, True)))
    assert passed(outcome)
    assert outcome.context.measurements["insulation_both"].bound == ABOVE


@pytest.mark.parametrize(("ohm", "u95"), [(0.9e9, 0.045e9), (1.0e9, 0.2e9), (2e9, 0.4e9)])
def test_the_uncertainty_grows_at_the_knee(ohm: float, u95: float) -> None:
    outcome = run_step(insulation_outer, "insulation_outer", insulated((ohm, False)))
    assert outcome.context.measurements["insulation_plus"].u95 == pytest.approx(u95)


@pytest.mark.parametrize("ohm", [5e4, 50e6, 104e6])
def test_a_weak_pole_fails_and_the_other_is_measured_all_the_same(ohm: float) -> None:
    outcome = run_step(insulation_outer, "insulation_outer", insulated((2e9, False), (ohm, False), (ohm, False)))
    assert list(outcome.verdicts.values()) == [Verdict.PASS, Verdict.FAIL, Verdict.FAIL]
    assert "502 V" in outcome.reason("insulation_minus")
    assert given_back(outcome)


@pytest.mark.parametrize("poles_v", [(31.0, 0.0), (0.0, -30.0), (-170.0, 170.0)])
@pytest.mark.parametrize(("step", "run"), STEPS)
def test_no_tester_meets_a_foreign_voltage(step: StepBody, run: str, poles_v: tuple[float, float]) -> None:
    outcome = run_step(step, run, lambda bench: setattr(bench.digitizer, "poles_v", poles_v))
    assert outcome.error is not None
    assert "with every contactor open" in outcome.error
    assert outcome.verdicts == {}
    assert not {"insulation_tester.measure", "withstand_tester.test"} & set(outcome.bench.names())
    assert given_back(outcome)


def test_withstand_then_insulation_then_what_is_left() -> None:
    outcome = run_step(withstand, "withstand")
    assert passed(outcome)
    assert outcome.bench.of("withstand_tester.test") == [(2250.0, 4.5, 2.0, 5e-3)]
    names = outcome.bench.names()
    order = [names.index(name) for name in ("withstand_tester.test", "insulation_tester.measure")]
    last_reading = len(names) - 1 - names[::-1].index("digitizer.mean")
    assert order[0] < order[1] < last_reading
    assert outcome.value("leakage_current") == 3e-6
    assert outcome.context.measurements["leakage_current"].u95 == pytest.approx(2e-6 + 0.02 * 3e-6)
    assert given_back(outcome)


def test_a_trip_is_the_packs_breakdown() -> None:
    def script(bench: FakeBench) -> None:
        bench.withstand_tester.reading = WithstandReading(Volt(702.0), Ampere(8e-3), tripped=True)

    outcome = run_step(withstand, "withstand", script)
    measurement = outcome.context.measurements["leakage_current"]
    assert (measurement.verdict, measurement.value, measurement.bound) == (Verdict.FAIL, 5e-3, ABOVE)
    assert "breakdown at 702 V" in measurement.reason
    assert outcome.verdicts["insulation_after"] is Verdict.PASS
    assert given_back(outcome)


@pytest.mark.parametrize("amps", [0.49e-3, 0.6e-3])
def test_too_much_leakage_fails(amps: float) -> None:
    def script(bench: FakeBench) -> None:
        bench.withstand_tester.reading = WithstandReading(Volt(2250.0), Ampere(amps), tripped=False)

    assert run_step(withstand, "withstand", script).verdicts["leakage_current"] is Verdict.FAIL


@pytest.mark.parametrize("left_v", [(65.0, 1.0), (1.0, -65.0)])
def test_a_pole_left_charged_fails(left_v: tuple[float, float]) -> None:
    def script(bench: FakeBench) -> None:
        tested = "insulation_tester.measure"
        bench.digitizer.poles_v = lambda: left_v if tested in bench.names() else (0.0, 0.0)

    outcome = run_step(withstand, "withstand", script)
    assert outcome.verdicts["residual_voltage"] is Verdict.FAIL
    assert outcome.value("residual_voltage") == max(left_v, key=abs)


@pytest.mark.parametrize(("step", "run"), STEPS)
@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("bms.dividers_enable", ReplyInvalid("bms", "not off")),
        ("digitizer.mean", ReplyInvalid("digitizer", "damaged")),
        ("matrix.connect", DeviceRefused("matrix", "a relay sticks")),
        ("plc.feed_coils", DeviceRefused("plc", "no permit")),
        ("insulation_tester.measure", ReplyInvalid("insulation_tester", "no contact")),
        ("insulation_tester.measure", DeviceRestarted("insulation_tester", "restarted")),
    ],
)
def test_after_an_error_everything_is_given_back_and_the_error_told(
    step: StepBody, run: str, call: str, error: Exception
) -> None:
    outcome = run_step(step, run, lambda bench: bench.errors.update({call: [error]}))
    assert outcome.error == str(error)
    assert "insulation_tester.off" in outcome.bench.names()
    assert given_back(outcome)


def test_coils_stay_dead_if_a_tester_cannot_be_taken_off() -> None:
    refused = DeviceRefused("matrix", "under voltage")

    def script(bench: FakeBench) -> None:
        measure = bench.insulation_tester.measure

        async def failing(*args: object, **named: object) -> InsulationReading:
            bench.errors = {"matrix.connect": [refused]}
            await measure(*args, **named)  # type: ignore[arg-type]
            raise ReplyInvalid("insulation_tester", "no answer")

        bench.insulation_tester.measure = failing  # type: ignore[method-assign]

    outcome = run_step(insulation_outer, "insulation_outer", script)
    assert outcome.error == "matrix: under voltage; before that: insulation_tester: no answer"
    assert not outcome.bench.plc.coils_fed


@pytest.mark.parametrize(("step", "run"), STEPS)
def test_a_run_that_is_ended_gives_nothing_back_itself(step: StepBody, run: str) -> None:
    """The owner has revoked the leases and makes safe in its own order."""

    async def main() -> None:
        bench = FakeBench()
        task = asyncio.ensure_future(step(bench.context(run)))
        await asyncio.sleep(2.0)
        bench.book.revoke_all()
        task.cancel()
        with pytest.raises((asyncio.CancelledError, LeaseRevoked)):
            await task
        assert bench.names()[-1] == "bms.dividers_enable"
        assert bench.of("bms.dividers_enable") == [(False,)]

    loop = new_loop()
    loop.run_until(main(), 60.0)
    assert loop.errors == []
