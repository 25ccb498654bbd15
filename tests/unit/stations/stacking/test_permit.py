"""The permissive for a test voltage in a whole run: whether a step begins anew after its tester has restarted."""

from __future__ import annotations

from bmsctl.domain.events import StepFinished, StepRepeated
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRestarted
from bmsctl.stations.run import Run
from bmsctl.stations.scope import RunScope
from bmsctl.stations.stacking import STEPS
from bmsctl.stations.stacking.context import StackingFacts
from bmsctl.stations.stacking.devices import LEASED, Devices
from firmware_stubs.sim.loop import run
from tests.support.stacking_bench import StackingBench
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import RECIPE, recipe_of

PROBED = "operator.confirm.probe"


def interrupted(proves: bool) -> StackingBench:
    """What a run of modules_in did whose insulation tester restarted under the first test voltage."""

    async def main() -> StackingBench:
        bench = StackingBench(FarEnd())
        bench.plc.proves = proves
        bench.errors["insulation_tester.measure"] = [DeviceRestarted("insulation_tester", "has restarted")]

        async def identify(lease: Lease) -> str:
            return "an insulation tester"

        vars(bench.insulation_tester)["identify"] = identify
        job: Run[Devices, StackingFacts] = Run(
            steps=STEPS,
            recipe=[recipe_of("modules_in")],
            pack=RECIPE.pack,
            facts=bench.facts,
            token=lambda: 7,
            record_id="a record",
            devices=bench.devices(),
            leases=LeaseBook(bench.now),
            log=bench.log,  # type: ignore[arg-type]
            watch=None,
            now=bench.now,
            utc_text=lambda: "2026-01-01T00:00:00Z",
            serial_numbers={},
            leased=LEASED,
            instruments=(),
        )
        scope = RunScope(lambda message: None, bench.now)
        await job.prepare(scope)
        await job.execute(scope)
        return bench

    return run(main(), 1000.0)


def finished(bench: StackingBench) -> StepFinished:
    (event,) = [event for event in bench.log.events if isinstance(event, StepFinished)]
    return event


def test_proved_voltage_free_the_step_begins_anew_and_passes() -> None:
    bench = interrupted(proves=True)
    assert finished(bench).verdict is Verdict.PASS
    assert len([event for event in bench.log.events if isinstance(event, StepRepeated)]) == 1
    assert bench.parts_of(PROBED) == ["module 1", "module 1", "module 2", "module 3", "module 4"]


def test_nobody_is_sent_to_what_is_not_proved_voltage_free() -> None:
    bench = interrupted(proves=False)
    end = finished(bench)
    assert end.verdict is Verdict.INVALID
    assert "do not touch pack or station" in end.reason
    assert "before that: insulation_tester: has restarted" in end.reason
    assert not any(isinstance(event, StepRepeated) for event in bench.log.events)
    names = bench.names()
    assert not any(name.startswith("operator") for name in names[names.index("insulation_tester.measure") :])
    assert bench.parts_of(PROBED) == ["module 1"]
