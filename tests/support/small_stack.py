"""A pack of two modules and few bolts at a scripted station: its programs end anywhere, its log and far end stay.

The steps, the run, the safety action and the rules of rework are the station's own. Of the log stays what the journal
promises: what was committed, or written by itself in the meantime, and never more than was appended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from bmsctl.compose.stacking import facts_of
from bmsctl.domain.events import AttemptClosed, AttemptOpened, AttemptResumed, Event, Noted, PartRemoved
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import F64
from bmsctl.domain.recipe import STACKING, Parameter, Recipe, StepRecipe
from bmsctl.domain.rework import continued
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import BmsctlError
from bmsctl.stations.job import RunEnd
from bmsctl.stations.run import SAFE_STEP, Run
from bmsctl.stations.scope import RunScope
from bmsctl.stations.stacking import STEPS
from bmsctl.stations.stacking.devices import LEASED
from bmsctl.stations.stacking.safe import StackingSafe
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_devices import Call
from tests.support.stacking_bench import Died, StackingBench
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import CELLS, RECIPE, REST_V, SERIAL, TRAY, module

MODULES = 2
BOLTS = ("m1.1", "m1.5", "m2.1", "m2.5", "b1.1", "b2.1", "b3.1", "c1", "c26")
SLOTS = ("module 1", "module 2", "busbar 1", "busbar 2", "busbar 3")
PARTS = frozenset({*BOLTS, *SLOTS, *(f"j{number}" for number in range(1, 7)), "chip 1", "chip 2", "chip 3"})
"""What is left of the installed recipe's pack."""
FEWER = ("slots", "bolts", "busbars", "joints", "chips")
"""Parameters that name parts of which a smaller pack has fewer."""
BUFFER = 16
"""Modules there are."""
CONTROLLERS_APART = 1000
"""Between the counts of two tightening controllers; an exchange leads to one that has counted less."""
WRITTEN_S = 0.005
"""After this, what was to be written soon is."""
ALARMS = ("internal_error", SAFE_STEP)
"""Notes that no run may leave."""
AT = "2026-01-01T00:00:00Z"


def _fewer(step: StepRecipe) -> StepRecipe:
    """The step of a pack that has only these parts."""
    limits = {
        name: limit
        for name, limit in step.limits.items()
        if not name.endswith("]") or name.partition("[")[2][:-1] in PARTS or step.run == "hvil_loop"
    }
    params = {name: _left(value) if name in FEWER else value for name, value in step.params.items()}
    return replace(step, limits=limits, params=params)


def _left(value: Parameter) -> Parameter:
    if isinstance(value, tuple):
        return tuple(name for name in value if name in PARTS)
    assert isinstance(value, Mapping)
    return {name: text for name, text in value.items() if name in PARTS}


SMALL = Recipe.of(
    RECIPE.revision,
    replace(RECIPE.pack, modules=MODULES, series=MODULES * CELLS),
    {STACKING: [_fewer(step) for step in RECIPE.steps(STACKING)]},
    {},
)


@dataclass
class Plant(FarEnd):
    """The far end of the small pack, and which bolt each tightening was of.

    `turned`: slot by tightening. `newest_of`: the last tightening in a slot, of whatever bolt.
    """

    turned: dict[int, str] = field(default_factory=dict)
    newest_of: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffer = [module(number) for number in range(1, BUFFER + 1)]
        self.newest_id = 100 * CONTROLLERS_APART
        self.volts[""] = MODULES * CELLS * REST_V

    def finish(self) -> None:
        """As any far end, and known of which bolt."""
        slot = self.turning[0] if self.turning is not None else None
        super().finish()
        if slot is not None:
            self.turned[self.newest_id] = slot
            self.newest_of[slot] = self.newest_id

    def forget(self) -> None:
        """The controller's memory is cleared, but for its count."""
        self.results.clear()

    def exchange(self) -> None:
        """There is another controller, which remembers nothing and has its tool disabled."""
        self.finish()
        self.enabled = None
        self.forget()
        self.newest_id -= CONTROLLERS_APART

    def take_off(self, slots: Sequence[str]) -> None:
        """The parts in these slots are taken out, once no tool turns; bolts that go in there are new ones."""
        self.finish()
        for slot in slots:
            self.made[slot] = 0


class Moment(NamedTuple):
    """The moment with this number, from 1, of all in a program, or of the calls of one device."""

    number: int
    device: str = ""


class Moments:
    """Counts what a program does, and calls back in one of the moments; None: in none."""

    def __init__(self, at: Moment | None, then: Callable[[], None]) -> None:
        self._at, self._then = at, then
        self._seen = 0

    def pass_by(self, what: str) -> None:
        """One more, of an event's kind or a device's call; when it is the one, the callback is called, once."""
        if self._at is not None and what.startswith(self._at.device):
            self._seen += 1
            if self._seen == self._at.number:
                self._then()


class Calls(list[Call]):
    """Calls of devices, each a moment before it has an effect."""

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self._moments = moments

    def append(self, call: Call) -> None:
        super().append(call)
        self._moments.pass_by(call[0])


class PackLog:
    """One attempt's log in one program. `durable`: how many of its events a power loss leaves, at least."""

    def __init__(self, events: list[Event], moments: Moments) -> None:
        self.events = events
        self.durable = len(events)
        self._moments = moments

    def append(self, event: Event) -> None:
        self._moments.pass_by(event.kind)
        self.events.append(event)

    def add_trace(self, step: str, name: str, unit: str, sample_rate_hz: float | None, data: F64) -> None:
        """No trace is kept."""

    def commit_soon(self) -> None:
        asyncio.get_running_loop().call_later(WRITTEN_S, self._write)

    async def commit(self) -> str:
        written = len(self.events)
        await asyncio.sleep(WRITTEN_S / 2.0)
        self.durable = max(self.durable, written)
        return ""

    async def close(self, closed: AttemptClosed) -> Mapping[str, Any]:
        self.append(closed)
        await self.commit()
        return {"events": {"head_sha256": ""}}

    def _write(self) -> None:
        self.durable = len(self.events)


@dataclass
class SmallPack:
    """A pack from its tray on, with all its attempts.

    `log`: events of the last one, `before`: those of the others. `begun`: whether a program has worked at the last one,
    `worked_s`: for how long.
    """

    plant: Plant = field(default_factory=Plant)
    log: list[Event] = field(default_factory=list)
    before: list[list[Event]] = field(default_factory=list)
    begun: bool = False
    worked_s: float = 0.0

    def __post_init__(self) -> None:
        self.log.append(self._opened())

    @property
    def verdict(self) -> Verdict | None:
        """Of the last attempt; None while it is open."""
        end = self.log[-1]
        return end.verdict if isinstance(end, AttemptClosed) else None

    def _opened(self) -> AttemptOpened:
        number = len(self.before) + 1
        pack, world, mode = SMALL.pack.id, "fake", "Engineering"
        software = {"version": "0", "git": None}
        head = f"r-{number}", SERIAL, pack, None, STACKING, world, True, mode, SMALL.to_json(), software
        return AttemptOpened(*head, None, number, None if number == 1 else "a test", AT)

    def again(self, replaced: Sequence[str]) -> None:
        """Begin the next attempt, after the parts in some slots, and what comes off with them, were taken out."""
        steps = SMALL.steps(STACKING)
        events = continued(self.log, replaced, steps, MODULES, f"r-{len(self.before) + 1}")
        self.plant.take_off([event.slot for event in events if isinstance(event, PartRemoved)])
        self.before.append(self.log)
        self.log = [self._opened(), *events]
        self.begun, self.worked_s = False, 0.0

    def work(self, power_lost: Moment | None = None, keeps: bool = True, aborted: Moment | None = None) -> None:
        """Let a program build, from where the log ends; to the end, or to one of its moments.

        Args:
            power_lost: the moment at which the computer loses power.
            keeps: whether what was then appended and not yet durable has reached the disk all the same.
            aborted: the moment at which the run is aborted.
        """
        if self.begun:
            self.log.append(AttemptResumed(AT))
        self.begun = True
        loop = new_loop()
        program = _Program(self, power_lost, aborted)
        with suppress(Died):
            loop.run_until(program.main(), 100_000.0)
        # The fakes know what is dangerous and raise; a run and a safety action put it on record and go on.
        assert [event.text for event in self.log if isinstance(event, Noted) and event.what in ALARMS] == []
        if not keeps:
            del self.log[program.log.durable :]
        self.worked_s += loop.time()
        assert loop.errors == []


class _Program:
    """One program of the station."""

    def __init__(self, pack: SmallPack, power_lost: Moment | None, aborted: Moment | None) -> None:
        self._pack = pack
        self._aborts = aborted is not None
        self._run_task: asyncio.Task[None] | None = None
        moments = Moments(aborted if self._aborts else power_lost, self._end)
        self._calls = Calls(moments)
        self.log = PackLog(pack.log, moments)

    def _end(self) -> None:
        if not self._aborts:
            raise Died
        asyncio.get_running_loop().call_soon(self._abort)

    def _abort(self) -> None:
        self._leases.revoke_all()
        if self._run_task is not None:
            self._run_task.cancel()

    async def main(self) -> None:
        """Run what the log leaves to be done."""
        bench = StackingBench(self._pack.plant)
        bench.calls = self._calls
        bench.bms.cell_v = np.full(SMALL.pack.series, REST_V)
        bench.bms.chain = bench.bms.chain[:3]
        self._leases = LeaseBook(bench.now)
        devices, scope = bench.devices(), RunScope(lambda message: None, bench.now)
        begun = list(self.log.events)
        tokens = iter(range(1, 1000))
        run = Run(
            steps=STEPS,
            recipe=SMALL.steps(STACKING),
            pack=SMALL.pack,
            facts=facts_of(TRAY, b"image", [[(0.0, event) for event in log] for log in self._pack.before], begun),
            token=lambda: next(tokens),
            record_id="a record",
            devices=devices,
            leases=self._leases,
            log=self.log,
            watch=None,
            now=bench.now,
            utc_text=lambda: AT,
            serial_numbers={},
            leased=LEASED,
            instruments=(),
            begun=begun,
            begun_s=-self._pack.worked_s,
        )
        await run.prepare(scope)
        self._run_task = asyncio.get_running_loop().create_task(run.execute(scope))
        end = await self._outcome(self._run_task)
        self._leases.revoke_all()
        safe = StackingSafe(devices, self._leases, bench.now)
        safe.ask_off()
        await run.close(end, await safe.run())

    async def _outcome(self, task: asyncio.Task[None]) -> RunEnd:
        """How a run has ended; it is cancelled only by an abort."""
        try:
            await task
        except asyncio.CancelledError:
            return RunEnd(Verdict.ABORTED, "aborted by a test")
        except BmsctlError as error:
            return RunEnd(Verdict.INVALID, str(error))
        return RunEnd(None, "")
