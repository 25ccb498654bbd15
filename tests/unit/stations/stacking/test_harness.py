"""What the BMS sees of the stack through its new harness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bmsctl.domain.events import PartInstalled
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceTimeout
from bmsctl.stations.stacking.harness import harness
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_parts import REST_V, STACK, built

OFF = [("plc.supply", False, False), ("lv_supply.off",)]


def run(script: Callable[[StackingBench], None] = lambda bench: None, **how: object) -> Outcome:
    return run_step(harness, "harness", script, **({"begun": built(*STACK)} | how))  # type: ignore[arg-type]


def test_a_good_harness_passes_and_the_supply_is_off_again() -> None:
    outcome = run()
    assert passed(outcome)
    assert outcome.bench.names()[:2] == ["operator.qualified", "operator.confirm.connect"]
    assert outcome.bench.calls[-2:] == OFF
    installed = [event for event in outcome.bench.log.events if isinstance(event, PartInstalled)]
    assert installed[-2:] == [
        PartInstalled("harness", "295H00018R", None, None),
        PartInstalled("bms", "294A01142R", "LBC1", None),
    ]


def test_what_is_plugged_already_is_not_asked_for() -> None:
    outcome = run(begun=[*built(*STACK), *built("harness", "bms")])
    assert passed(outcome)
    assert outcome.bench.of("operator.confirm.connect") == []


def test_a_new_bms_on_the_old_harness_is_plugged() -> None:
    outcome = run(begun=[*built(*STACK), *built("harness")])
    assert passed(outcome)
    assert outcome.bench.of("operator.confirm.connect") == [("harness", "")]


@pytest.mark.parametrize(
    ("chain", "wrong", "says"),
    [
        ([16, 16, 16, 16, 16], 1, "chip 6: none with 0 cells instead of 16 cells"),
        ([16, 16, 8, 16, 16, 24], 2, "chip 3: C3 with 8 cells instead of 16 cells"),
        ([16, 16, 16, 16, 16, 16, 16], 1, "one more chip: C7 with 16 cells instead of none"),
        ([], 6, "chip 1: none"),
    ],
)
def test_chips_that_are_not_the_recipes_are_counted(chain: list[int], wrong: int, says: str) -> None:
    chips = [(f"C{number}", cells) for number, cells in enumerate(chain, 1)]
    outcome = run(lambda bench: setattr(bench.bms, "chain", chips))
    assert outcome.value("chips_wrong") == wrong
    assert outcome.verdicts["chips_wrong"] is Verdict.FAIL
    assert says in outcome.reason("chips_wrong")


def test_a_chip_that_answers_twice_is_wrong() -> None:
    outcome = run(lambda bench: bench.bms.chain.__setitem__(3, ("C1", 16)))
    assert outcome.value("chips_wrong") == 1


def test_open_wires_and_bad_frames_are_counted() -> None:
    def script(bench: StackingBench) -> None:
        bench.bms.open_cells, bench.bms.bad_frames = (7, 8), 3

    outcome = run(script)
    assert outcome.value("open_wires") == 2
    assert "cells 7, 8" in outcome.reason("open_wires")
    assert outcome.value("frame_errors") == 3
    assert outcome.verdicts["frame_errors"] is Verdict.FAIL


@pytest.mark.parametrize(("share", "verdict"), [(1.006, Verdict.PASS), (1.008, Verdict.FAIL), (0.98, Verdict.FAIL)])
def test_the_sum_of_the_cells_is_compared_with_the_modules(share: float, verdict: Verdict) -> None:
    outcome = run(lambda bench: bench.bms.cell_v.fill(share * REST_V))
    assert outcome.value("stack_voltage") == pytest.approx(100.0 * (share - 1.0))
    assert outcome.verdicts["stack_voltage"] is verdict


def test_a_cell_that_is_not_seen_leaves_the_sum_without_a_number() -> None:
    def script(bench: StackingBench) -> None:
        bench.bms.cell_v[4], bench.bms.open_cells = np.nan, (5,)

    outcome = run(script)
    assert outcome.verdicts["stack_voltage"] is Verdict.INVALID
    assert outcome.verdicts["open_wires"] is Verdict.FAIL


@pytest.mark.parametrize("call", ["bms.alive", "bms.chips", "bms.ready", "lv_supply.on"])
def test_whatever_fails_the_supply_is_off(call: str) -> None:
    outcome = run(lambda bench: bench.errors.update({call: [DeviceTimeout("bms", "silent")]}))
    assert outcome.error == "bms: silent"
    assert outcome.bench.calls[-2:] == OFF


def test_an_unqualified_person_plugs_nothing() -> None:
    no = DeviceRefused("operator", "no")
    assert run(lambda bench: bench.errors.update({"operator.qualified": [no]})).bench.names() == ["operator.qualified"]


def test_a_stack_of_modules_nobody_has_measured_is_invalid() -> None:
    outcome = run(begun=())
    assert outcome.error is not None
    assert "not all known: start the pack again with a cause" in outcome.error
