"""Faults at stacking: INVALID, a person's ABORTED, or survived; and whatever comes, no bolt is tightened twice.

Each kind of fault hits each of its targets once here, in the earliest of its steps; `bmsctl sim campaign` runs the
whole table.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.fault_campaign import difference
from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.stacking import run_stacking
from bmsctl.compose.station import Order
from bmsctl.compose.worlds import fault_cases
from bmsctl.domain.events import StepRepeated
from bmsctl.domain.packml import Mode
from bmsctl.domain.record_schema import SCHEMA_ID
from bmsctl.domain.world import FaultCase, Site, StationWatch
from bmsctl.store.reader import Reader
from bmsctl.store.verify import verify
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.fault_case import scenario as fault
from firmware_stubs.faults import FAULTS, TARGETS
from firmware_stubs.stacking_fault_cases import INSTRUMENTS, SURVIVED
from firmware_stubs.stacking_wiring import StackingWiring
from firmware_stubs.world import SimSite, SimWorld

SEED = 5
BOOK = RecipeBook(None)
RECIPE = BOOK.by_pack("AS52")
CASES = fault_cases("sim", RECIPE, "stacking")
ORDER = [step.run for step in RECIPE.steps("stacking")]

Record = Mapping[str, Any]


def earliest() -> list[FaultCase]:
    """Each kind once, on one target after the other; `bmsctl sim campaign` runs all.

    Those of which several are survived in one run come below.
    """
    found: dict[str, list[FaultCase]] = {}
    for case in sorted(CASES, key=lambda case: ORDER.index(case.begins_in)):
        if case.kind not in SURVIVED:
            found.setdefault(case.kind, []).append(case)
    return [cases[number % len(cases)] for number, cases in enumerate(found.values())]


def outcome_of(scenario: str) -> SimOutcome:
    (outcome,) = run_jobs([SimJob("faults", RECIPE.id, SEED, scenario, station="stacking")], None, 1)
    return outcome


def tightenings(record: Record) -> dict[str, list[int]]:
    """What the controller calls those of each bolt that is in."""
    return {
        part["slot"]: [each["tightening_id"] for each in part["tightenings"]]
        for part in record["genealogy"]
        if part["slot"].startswith("bolt") and part["removed_reason"] is None
    }


@pytest.mark.parametrize("case", earliest(), ids=lambda case: case.name)
def test_every_fault_ends_as_the_table_says(case: FaultCase) -> None:
    outcome = outcome_of(case.scenario)
    assert difference(case, outcome) == ""
    assert outcome.record is not None
    assert outcome.record["disposition"] == ("release" if case.verdict == "PASS" else "hold")


def test_the_table_has_every_kind_of_fault_that_a_step_rests_on() -> None:
    kinds = {name for name, kind in FAULTS.items() if kind.at("stacking")}
    without_effect = {"contactor.stays_open", "contactor.stays_closed", "bms.revision"}
    assert {case.kind for case in CASES} == kinds - without_effect
    assert {case.target for case in CASES} == set(TARGETS["stacking"])


def everywhere(kind: str) -> str:
    return "".join(fault(kind, device, *where) for device, where in INSTRUMENTS.items())


def test_answers_in_pieces_change_nothing() -> None:
    undisturbed, pieces = outcome_of("").record, outcome_of(everywhere("serial.split")).record
    assert undisturbed is not None
    assert pieces is not None
    assert pieces["verdict"] == "PASS"
    assert [step["measurements"] for step in pieces["steps"]] == [step["measurements"] for step in undisturbed["steps"]]


def test_a_step_whose_device_restarts_is_repeated_and_no_bolt_with_it(tmp_path: Path) -> None:
    (outcome,) = run_jobs(
        [SimJob("faults", RECIPE.id, SEED, everywhere("serial.restart"), tmp_path, "stacking")], None, 1
    )
    assert outcome.findings == []
    assert outcome.verdict == "PASS"
    assert outcome.record is not None
    assert {len(each) for each in tightenings(outcome.record).values()} == {1}
    with Reader.open(tmp_path) as reader:
        run = reader._run(outcome.record["record_id"])
    assert run is not None
    repeated = [(event.step, event.reason.partition(":")[0]) for event in run.events if isinstance(event, StepRepeated)]
    assert repeated
    assert set(repeated) <= {(step, device) for device, (step, _) in INSTRUMENTS.items()}


class Line:
    """One far end that stays while a station is disturbed, and its pack is then resumed."""

    def __init__(self, store: Path, step: str) -> None:
        self.store, self.step = store, step
        self.world = SimWorld(RECIPE, seed=SEED, scenario=None, at="stacking")

    def run(self, kind: str, target: str, after_s: float) -> tuple[Record, Record]:
        """The records of the disturbed attempt and of the next."""

        async def main(site: Site) -> tuple[Record, Record]:
            assert isinstance(site, SimSite)
            assert isinstance(site.wiring, StackingWiring)
            tray, disturbances = site.wiring.scanner.label, Disturbances(site.wiring, SEED)
            site.watch = _At(self.step, lambda: FAULTS[kind].act(disturbances, target, True), after_s)
            first = await self._build(site, None)
            site.watch = None
            if kind not in ("safety.estop", "safety.guard", "serial.restart"):
                FAULTS[kind].act(disturbances, target, False)
            site.wiring.plc.reset()
            # Hands that are still at work do not take the tray away.
            site.wiring.scanner.label = site.wiring._hands.label = tray
            return first, await self._build(site, "mended")

        records = self.world.run(main)
        assert self.world.findings() == []
        return records

    async def _build(self, site: Site, cause: str | None) -> Record:
        order = Order(RECIPE, self.world.name, self.world.simulated, Mode.ENGINEERING, retest_cause=cause)
        monitor = RecordMonitor(self.store)
        record = await run_stacking(site, self.store, order, monitor, BOOK.image)
        assert monitor.finish() == []
        return record


class _At(StationWatch):
    """Does something a while after a step has begun."""

    def __init__(self, step: str, act: Any, after_s: float) -> None:
        self._step, self._act, self._after_s = step, act, after_s

    def step_started(self, step: str, index: int, total: int) -> None:
        if step == self._step:
            asyncio.get_running_loop().call_later(self._after_s, self._act)


ENDINGS = {
    "serial.silent": ("nutrunner", "INVALID"),
    "serial.garbage": ("nutrunner", "INVALID"),
    "serial.late": ("nutrunner", "INVALID"),
    "serial.unplugged": ("nutrunner", "INVALID"),
    "serial.frozen": ("nutrunner", "INVALID"),
    "operator.absent": ("operator", "INVALID"),
    "plc.silent": ("plc", "INVALID"),
    "safety.estop": ("plc", "ABORTED"),
    "safety.guard": ("plc", "ABORTED"),
}


@pytest.mark.parametrize(("kind", "after_s"), [*zip(ENDINGS, itertools.cycle([20.0, 21.3, 22.7]), strict=False)])
def test_after_a_run_that_ended_at_a_bolt_each_is_tight_and_none_was_tightened_twice(
    tmp_path: Path, kind: str, after_s: float
) -> None:
    """Also the bolt that the tool was on meanwhile: the controller, which has been there all the time, is asked."""
    target, verdict = ENDINGS[kind]
    before, after = Line(tmp_path, "bolts").run(kind, target, after_s)
    assert (before["schema"], before["verdict"]) == (SCHEMA_ID, verdict)
    assert (after["verdict"], after["attempt"]) == ("PASS", 2), after["reason"]
    kept = {bolt: made for bolt, made in tightenings(before).items() if made}
    assert kept
    assert kept.items() <= tightenings(after).items()
    assert {len(each) for each in tightenings(after).values()} == {1}
    assert verify(tmp_path) == []
