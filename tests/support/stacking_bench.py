"""One program of a stacking station: one step at a time is run on it, and it can be killed at any call or event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from bmsctl.domain.events import Event, StepStarted
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.limits import Reading
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceError, StepInvalid
from bmsctl.stations.progress import Progress
from bmsctl.stations.stacking.context import StackingFacts, StepContext
from bmsctl.stations.stacking.devices import LEASED, Devices
from bmsctl.stations.stacking.selection import OldestFirst
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_devices import Call, FakeLog, Outcome
from tests.support.fake_stacking import (
    FakeBatteryTester,
    FakeInsulationTester,
    FakeLeakTester,
    FakeNutrunner,
    FakeOhmmeter,
    FakeOperator,
    FakeParts,
    FakePlc,
    FakePrinter,
    FakeScanner,
    FlashedBms,
    Supply,
)
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import RECIPE, SERIAL, TRAY, recipe_of

StepBody = Callable[[StepContext], Awaitable[None]]


class Died(BaseException):
    """The station's program was killed."""


class StackingLog(FakeLog):
    """Ends the program when it would take more than `lives` events."""

    def __init__(self, begun: Iterable[Event], lives: int | None) -> None:
        super().__init__()
        self.events.extend(begun)
        self._lives = lives
        self.commits = 0

    def append(self, event: Event) -> None:
        if self._lives is not None and len(self.events) >= self._lives:
            raise Died
        super().append(event)

    async def commit(self) -> str:
        self.commits += 1
        return ""


class Calls(list[Call]):
    """Calls of devices; ends the program at the one with the number `dies_at`, before it has an effect."""

    def __init__(self, dies_at: int | None) -> None:
        super().__init__()
        self._dies_at = dies_at

    def append(self, call: Call) -> None:
        super().append(call)
        if len(self) == self._dies_at:
            raise Died


class StackingBench:
    """One program of the station: its devices on a far end, its log, and what it knows; build it inside a loop.

    `dies_at`: number of the device call, from 1, at which it is killed.
    """

    def __init__(
        self,
        far: FarEnd,
        begun: Sequence[Event] = (),
        earlier: Mapping[tuple[str, str], Reading] | None = None,
        lives: int | None = None,
        dies_at: int | None = None,
    ) -> None:
        self.now = asyncio.get_running_loop().time
        self.far = far
        self.calls: list[Call] = Calls(dies_at)
        self.errors: dict[str, list[Exception]] = {}
        self.log = StackingLog(begun, lives)
        self.plc = FakePlc(self, "plc")
        self.bms = FlashedBms(self, "bms")
        self.lv_supply = Supply(self, "lv_supply")
        self.ohmmeter = FakeOhmmeter(self, "ohmmeter")
        self.insulation_tester = FakeInsulationTester(self, "insulation_tester")
        self.battery_tester = FakeBatteryTester(self, "battery_tester")
        self.nutrunner = FakeNutrunner(self, "nutrunner")
        self.nutrunner.turn()
        self.leak_tester = FakeLeakTester(self, "leak_tester")
        self.scanner = FakeScanner(self, "scanner")
        self.operator = FakeOperator(self, "operator")
        self.label_printer = FakePrinter(self, "label_printer")
        self.parts = FakeParts(self, "parts")
        self.selector = OldestFirst()
        self.book = LeaseBook(self.now)
        self.leases = {device: self.book.grant(device, 1.0) for device in LEASED}
        self.facts = StackingFacts(SERIAL, TRAY, b"image", earlier=earlier or {})
        self.facts.learn(begun)

    def devices(self) -> Devices:
        """All of them."""
        return Devices(**{name: getattr(self, name) for name in Devices.__slots__})

    def context(self, run: str, **params: Any) -> StepContext:
        """A context for one step of the installed recipe, as a run makes it."""
        tokens = iter(range(1, 1000))
        context = StepContext(
            self.devices(),
            self.leases,
            recipe_of(run, **params),
            RECIPE.pack,
            self.facts,
            self.log,
            None,
            self.now,
            lambda: next(tokens),
        )
        context.measurements.update(Progress.of(self.log.events).measurements)
        return context

    def begin(self, run: str) -> None:
        """Log that the step begins, unless it had begun before."""
        if Progress.of(self.log.events).running != run:
            self.log.append(StepStarted(run, 0.0))

    def names(self) -> list[str]:
        """The calls so far, without arguments."""
        return [name for name, *_ in self.calls]

    def of(self, name: str) -> list[Call]:
        """Arguments of every call of this name."""
        return [tuple(args) for called, *args in self.calls if called == name]

    def parts_of(self, name: str) -> list[str]:
        """Parts of every instruction of this task."""
        return [args[0] for args in self.of(name)]


def run_step(
    step: StepBody,
    run: str,
    script: Callable[[StackingBench], None] = lambda bench: None,
    *,
    far: FarEnd | None = None,
    begun: Sequence[Event] = (),
    earlier: Mapping[tuple[str, str], Reading] | None = None,
    lives: int | None = None,
    dies_at: int | None = None,
    **params: Any,
) -> Outcome:
    """Run one step as a run does, in a program that `script` has prepared; `error` "died" if it was killed."""

    async def main() -> Outcome:
        bench = StackingBench(far or FarEnd(), begun, earlier, lives, dies_at)
        script(bench)
        context = bench.context(run, **params)
        error, started_s = None, bench.now()
        try:
            bench.begin(run)
            await step(context)
        except (DeviceError, StepInvalid) as caught:
            error = str(caught)
        except Died:
            error = "died"
        verdicts = {name: measurement.verdict for name, measurement in context.measurements.items()}
        return Outcome(bench, context, error, bench.now() - started_s, verdicts)

    loop = new_loop()
    outcome = loop.run_until(main(), 10_000.0)
    assert loop.errors == []
    return outcome


def passed(outcome: Outcome) -> bool:
    """Whether the step measured everything its recipe asks for, and all of it passed."""
    every = outcome.verdicts.values()
    return outcome.error is None and not outcome.context.missing() and set(every) == {Verdict.PASS}
