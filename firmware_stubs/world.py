"""The sim world: plant and stubs wired to in-memory links on a virtual clock, in one process.

Deterministic: the same recipe, seed and scenario give the same bytes on every link.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from bmsctl.domain.links import CanFrame, CanLink, SerialLink, WallTime
from bmsctl.domain.ports import Mes, Operator
from bmsctl.domain.recipe import EOL, STACKING, Recipe
from bmsctl.domain.steps import STEP_NAMES
from bmsctl.domain.world import NOT_BUILT, AsBuilt, DefectCase, FaultCase, StationWatch
from bmsctl.errors import StationFileError
from bmsctl.protocols import plc
from firmware_stubs import fault_cases
from firmware_stubs.defect_cases import cases
from firmware_stubs.defects import DEFECTS, condition_of
from firmware_stubs.disturbances import Disturbances
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.faults import ALL_TARGETS, FAULT_NAMES, STATION_OF, TARGETS, FaultInjector
from firmware_stubs.ports import EOL_ECUS, EOL_SERIAL, STACKING_ECUS, STACKING_SERIAL
from firmware_stubs.scenario import Scenario, read_scenario
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.tape import Tape
from firmware_stubs.sim.wires import SimWires
from firmware_stubs.stacking_wiring import StackingWiring
from firmware_stubs.wiring import pack_serial

T = TypeVar("T")

EPOCH_UNIX_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, when every simulated run begins."""

DEVICES = {STACKING: (STACKING_ECUS, STACKING_SERIAL), EOL: (EOL_ECUS, EOL_SERIAL)}
RUN_MAX_S = {STACKING: 14_400.0, EOL: 3600.0}

TOKENS = 0xFFFF
"""Dead-man tokens are 1 to this."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_RECORDS = uuid.uuid5(uuid.NAMESPACE_DNS, "records.sim.bmsctl.invalid")


class SimClock:
    """Wall time that follows the loop, and work that costs virtual time; implements Clock."""

    def __init__(self, begins_s: float = 0.0) -> None:
        """`begins_s`: wall time since the epoch at which the loop begins."""
        self._begins_s = EPOCH_UNIX_S + begins_s

    def utc(self) -> WallTime:
        return WallTime(self._begins_s + asyncio.get_running_loop().time(), "simulated")

    async def offload(self, fn: Callable[..., T], *args: object, cost_s: float) -> T:
        result = fn(*args)
        await asyncio.sleep(cost_s)
        return result


class SimWatch(StationWatch):
    """Lets the world know where the station is, so that faults start with their step."""

    def __init__(self, injector: FaultInjector) -> None:
        self._injector = injector

    def step_started(self, step: str, index: int, total: int) -> None:
        self._injector.step_started(step)


class SimSite:
    """The station's surroundings in this world; implements Site."""

    def __init__(
        self,
        at: str,
        wiring: EolWiring | StackingWiring,
        wires: SimWires,
        seed: int,
        scenario: Scenario,
        begins_s: float = 0.0,
    ) -> None:
        """`begins_s`: wall time since the epoch at which the loop begins."""
        self.name = f"sim-{at}"
        self.clock = SimClock(begins_s)
        self.wiring = wiring
        self.wires = wires
        self.operator: Operator = wiring.operator
        self.mes: Mes = wiring.mes
        self.serial_numbers: Mapping[str, str] = {}
        injector = FaultInjector(scenario.faults, Disturbances(wiring, seed))
        wiring.on_talk = injector.talked_to
        self.watch: StationWatch | None = SimWatch(injector)
        self._seed = seed
        self._tokens: dict[str, int] = {}
        self._seen: set[int] = set()
        self._then = wires.on_frame
        wires.on_frame = self._see
        self._on_interrupt: Callable[[str], None] | None = None
        self._interrupted_by: str | None = None

    def can(self, device: str) -> CanLink:
        return self.wires.bus(device).station

    def serial(self, device: str) -> SerialLink:
        return self.wires.lines[device].station

    def seed_key(self, seed: bytes) -> bytes:
        return self.wiring.seed_key(seed)

    def record_id(self, *parts: str) -> str:
        return str(uuid.uuid5(_RECORDS, "/".join((str(self._seed), *parts))))

    def run_token(self, record_id: str) -> int:
        """Always the same for the same name, and none that the safety PLC has had for another."""
        if record_id not in self._tokens:
            token = 1 + int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:4]) % TOKENS
            while token in self._seen:
                token = token % TOKENS + 1
            self._seen.add(token)
            self._tokens[record_id] = token
        return self._tokens[record_id]

    def _see(self, frame: CanFrame) -> None:
        """Keep in mind which tokens the safety PLC gets."""
        request = plc.decode_request(frame.data) if frame.can_id == plc.REQUEST_ID else None
        if request is not None:
            self._seen.add(request.token)
        if self._then is not None:
            self._then(frame)

    def on_interrupt(self, callback: Callable[[str], None]) -> None:
        self._on_interrupt = callback
        if self._interrupted_by is not None:
            self.interrupt(self._interrupted_by)

    def interrupt(self, signal_name: str) -> None:
        """A signal came; one that comes before anybody listens is kept."""
        self._interrupted_by = signal_name
        if self._on_interrupt is not None:
            asyncio.get_running_loop().call_soon(self._on_interrupt, signal_name)


def eol_scenario(scenario: str | None, file: str) -> Scenario:
    """What is wrong with pack and end-of-line station in one run; nothing if `scenario` is None. Raises ScenarioError.

    Every fault begins in a step of end of line.
    """
    return _read(scenario, file, TARGETS[EOL], STEP_NAMES[EOL])


def line_scenario(scenario: str | None, file: str) -> Scenario:
    """What is wrong with pack and stations in one run from the first to the last; as `eol_scenario`."""
    return _read(scenario, file, ALL_TARGETS, tuple(STATION_OF))


def _read(scenario: str | None, file: str, targets: tuple[str, ...], steps: tuple[str, ...]) -> Scenario:
    if scenario is None:
        return Scenario()
    parameters = {kind: row.parameters for kind, row in DEFECTS.items()}
    return read_scenario(scenario, file, parameters, FAULT_NAMES, targets, steps)


class SimWorld:
    """One simulated station and the pack on it; implements World."""

    name = "sim"
    simulated = True

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int,
        scenario: str | None,
        scenario_file: str = "",
        station: Path | None = None,
        at: str = EOL,
        tape: Tape | None = None,
        built: AsBuilt = NOT_BUILT,
        begins_s: float = 0.0,
    ) -> None:
        """A station, and a pack drawn from the seed: the same one at both stations.

        Args:
            at: which station.
            tape: of a far end that is to outlive the station's program.
            built: how the pack stands when the station starts.
            begins_s: wall time since the epoch at which the run begins.
        """
        if station is not None:
            raise StationFileError([f"{station}: a simulated station has no ports; leave the station file away"])
        self._recipe = recipe
        self._seed = seed
        self._scenario = line_scenario(scenario, scenario_file)
        self._condition = condition_of(self._scenario.defects, recipe)
        self._at = at
        self._tape = tape
        self.built = built
        self._begins_s = begins_s
        self._findings: list[str] = []
        self.interrupted = False
        self._early: str | None = None
        self.loop = new_loop()
        self.site: SimSite | None = None

    @property
    def pack_serial(self) -> str:
        """Of the pack that is built or tested here."""
        return pack_serial(self._recipe, self._seed)

    @property
    def wall_s(self) -> float:
        """Wall time since the epoch."""
        return self._begins_s + self.loop.time()

    @staticmethod
    def defect_cases(recipe: Recipe, station: str = EOL) -> list[DefectCase]:
        """The defect table for packs of a recipe at a station."""
        return cases(recipe, station)

    @staticmethod
    def fault_cases(recipe: Recipe, station: str = EOL) -> list[FaultCase]:
        """The fault table of a station, for packs of a recipe."""
        return fault_cases.cases(recipe, station)

    def run(self, main: Callable[[Any], Awaitable[T]]) -> T:
        with self._signals():
            return self.loop.run_until(self._run(main), RUN_MAX_S[self._at])

    async def _run(self, main: Callable[[SimSite], Awaitable[T]]) -> T:
        wires = SimWires(*DEVICES[self._at])
        wiring = self._wiring(wires)
        self.site = site = SimSite(self._at, wiring, wires, self._seed, self._scenario, self._begins_s)
        if self._early is not None:
            site.interrupt(self._early)
        try:
            if self._tape is not None:
                await self._tape.replay(wires, wiring.operator, wiring.plc)
                site.operator = self._tape.record(wires, wiring.operator)
            return await main(site)
        finally:
            self._findings = wiring.monitor.finish()
            if self._tape is not None:
                self._tape.close()

    def _wiring(self, wires: SimWires) -> EolWiring | StackingWiring:
        if self._at == STACKING:
            return StackingWiring(self._recipe, self._condition, self._seed, wires, self.built)
        return EolWiring(self._recipe, self._condition, self._seed, wires, self.built)

    def findings(self) -> list[str]:
        return self._findings + [f"error in a callback: {error}" for error in self.loop.errors]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Hand SIGINT, SIGTERM and SIGHUP to the station while it runs."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            self.interrupted = True
            self._early = signal.Signals(number).name
            if self.site is not None:
                self.site.interrupt(self._early)

        try:
            previous = {number: signal.signal(number, interrupt) for number in ENDING}
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
