"""Joints against a limit and against each other, and the stack they make."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import ReplyInvalid
from bmsctl.stations.stacking.joints import joints
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import CELLS, REST_V, STACK, built

STACK_V = 4 * CELLS * REST_V


def run(
    far: FarEnd | None = None, script: Callable[[StackingBench], None] = lambda bench: None, **how: object
) -> Outcome:
    return run_step(joints, "joints", script, far=far, **({"begun": built(*STACK)} | how))  # type: ignore[arg-type]


def test_every_joint_is_probed_in_order_then_the_stack() -> None:
    outcome = run()
    assert passed(outcome)
    probed = outcome.bench.of("operator.confirm.probe")
    assert probed[:3] == [("j1", "busbar 1"), ("j2", "busbar 1"), ("j3", "busbar 2")]
    assert probed[-1] == ("", "")
    assert outcome.bench.names()[0] == "operator.qualified"
    assert outcome.value("of_median[j1]") == 100.0
    assert outcome.value("stack_voltage") == pytest.approx(0.0, abs=1e-9)


def test_the_test_voltage_comes_last_and_by_permissive() -> None:
    names = run().bench.names()
    assert names[-5:] == [
        "plc.permit",
        "plc.feed_coils",
        "insulation_tester.measure",
        "insulation_tester.off",
        "plc.drop_permit",
    ]


@pytest.mark.parametrize("micro", [39.6, 41.0, 5000.0])
def test_a_bad_joint_fails_both_ways_and_all_others_are_measured(micro: float) -> None:
    outcome = run(FarEnd(ohms={"j4": 1e-6 * micro}))
    assert outcome.verdicts["resistance[j4]"] is Verdict.FAIL
    assert outcome.verdicts["of_median[j4]"] is Verdict.FAIL
    assert [name for name, verdict in outcome.verdicts.items() if verdict is not Verdict.PASS] == [
        "resistance[j4]",
        "of_median[j4]",
    ]
    assert "busbar 2" in outcome.reason("resistance[j4]")
    assert outcome.bench.of("insulation_tester.measure") == []


def test_a_joint_that_stands_out_fails_within_the_limit() -> None:
    outcome = run(FarEnd(ohms={"j7": 37e-6}))
    assert outcome.verdicts["resistance[j7]"] is Verdict.PASS
    assert outcome.value("of_median[j7]") == pytest.approx(185.0)
    assert outcome.verdicts["of_median[j7]"] is Verdict.FAIL


def test_an_open_joint_is_a_bound_and_fails() -> None:
    outcome = run(FarEnd(ohms={"j1": 1.0}))
    assert outcome.context.measurements["resistance[j1]"].bound == ABOVE
    assert outcome.verdicts["resistance[j1]"] is Verdict.FAIL
    assert outcome.verdicts["of_median[j1]"] is Verdict.FAIL


def test_tips_without_contact_are_invalid() -> None:
    lost = ReplyInvalid("ohmmeter", "no contact")
    outcome = run(script=lambda bench: bench.errors.update({"ohmmeter.measure": [lost]}))
    assert outcome.error == "joint j1, busbar 1: ohmmeter: no contact"


@pytest.mark.parametrize("volts", [STACK_V * 0.997, STACK_V * 1.003, STACK_V - 2 * CELLS * REST_V, -STACK_V])
def test_a_stack_that_is_not_the_sum_of_its_modules_gets_no_test_voltage(volts: float) -> None:
    outcome = run(FarEnd(volts={"": volts}))
    assert outcome.verdicts["stack_voltage"] is Verdict.FAIL
    assert outcome.bench.of("plc.permit") == []


def test_a_stack_of_modules_nobody_has_measured_is_invalid() -> None:
    outcome = run(begun=built("module 1", "module 2"))
    assert outcome.error is not None
    assert "not all known: start the pack again with a cause" in outcome.error


def test_weak_insulation_fails() -> None:
    outcome = run(script=lambda bench: setattr(bench.insulation_tester, "ohm", 9e7))
    assert outcome.verdicts["stack_insulation"] is Verdict.FAIL


def test_joints_measured_before_the_program_ended_are_not_probed_again() -> None:
    begun = built(*STACK)
    first = run(lives=len(begun) + 6)
    second = run(begun=first.bench.log.events)
    assert passed(second)
    assert second.bench.of("operator.confirm.probe")[0] == ("j5", "busbar 3")
