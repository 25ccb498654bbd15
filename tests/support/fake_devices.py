"""Devices that a test scripts, on which one step at a time is run; every command is on record.

They know what is dangerous, and raise AssertionError: a test voltage onto fed coils, connected dividers or no route,
and coils fed with a tester on its route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.events import Event, IncomingMeasured, Noted, PartInstalled
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.ports import (
    F64,
    BmsIdentity,
    BmsTaps,
    CellSnapshot,
    DigitizerReading,
    Dtc,
    IncomingModule,
    InsulationReading,
    MonitorState,
    PlantMode,
    PlcVoltages,
    Recording,
    Relay,
    ResistanceReading,
    Route,
    StationSense,
    WithstandReading,
)
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Ampere, Celsius, Ohm, Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceError, StepInvalid
from bmsctl.stations.eol.context import RunFacts, StepContext
from bmsctl.stations.eol.devices import LEASED, Devices
from firmware_stubs.sim.loop import new_loop

RECIPE: Recipe = RecipeBook().by_pack("AS52")
SERIAL = "AS52000000001"
TESTERS = frozenset({Route.INSULATION_TESTER, Route.WITHSTAND_TESTER})

Call = tuple[Any, ...]
StepBody = Callable[[StepContext], Awaitable[None]]


def recipe_of(run: str, **params: Any) -> StepRecipe:
    """The installed recipe's step, with some parameters changed."""
    step = next(step for step in RECIPE.steps("eol") if step.run == run)
    return replace(step, params={**step.params, **params})


class FakeLog:
    """Keeps events and traces; implements the part of RunLog that steps use."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.traces: dict[str, F64] = {}

    def append(self, event: Event) -> None:
        self.events.append(event)

    def add_trace(self, step: str, name: str, unit: str, sample_rate_hz: float | None, data: F64) -> None:
        self.traces[name] = data

    def commit_soon(self) -> None:
        """Nothing is written."""

    def notes(self) -> list[str]:
        """Every remark."""
        return [event.text for event in self.events if isinstance(event, Noted)]

    def installed(self) -> list[PartInstalled | IncomingMeasured]:
        """Everything said of parts."""
        return [event for event in self.events if isinstance(event, PartInstalled | IncomingMeasured)]


class Fake:
    """One device; `errors` of the bench tells which calls fail."""

    def __init__(self, bench: FakeBench, device: str) -> None:
        self.bench = bench
        self.device = device

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{self.device}.{name} is not expected here")

    def told(self, call: str, *args: Any, lease: Lease | None = None) -> None:
        """Put a call on record; fail if it is to fail."""
        name = f"{self.device}.{call}"
        if lease is not None:
            assert lease.device == self.device
            lease.check()
        self.bench.calls.append((name, *args))
        errors = self.bench.errors.get(name, [])
        if errors:
            raise errors.pop(0)


class FakePlc(Fake):
    """`voltages_v`: U_PN, link, P-PE, N-PE. `hvil_moved_s`: when the loop was moved last."""

    voltages_v = (0.0, 0.0, 0.0, 0.0)
    air_c = 22.0
    adapter: int | None = 52
    kl30 = kl15 = False
    coils_fed = hvil_bridged = True
    hvil_moved_s = 0.0

    async def voltages(self, within: Second) -> PlcVoltages:
        self.told("voltages")
        u_pn, u_link, u_p_pe, u_n_pe = (Volt(volts) for volts in self.voltages_v)
        return PlcVoltages(u_pn, u_link, u_p_pe, u_n_pe, self.bench.now())

    async def sense(self, within: Second) -> StationSense:
        self.told("sense")
        await asyncio.sleep(0.5)
        return StationSense(Celsius(self.air_c), self.adapter, self.bench.now())

    async def supply(self, lease: Lease, *, kl30: bool, kl15: bool) -> None:
        self.told("supply", kl30, kl15, lease=lease)
        self.kl30, self.kl15 = kl30, kl15

    async def feed_coils(self, lease: Lease, on: bool) -> None:
        self.told("feed_coils", on, lease=lease)
        assert not (on and self.bench.matrix.routes & TESTERS), "coils fed with a tester on its route"
        self.coils_fed = on

    async def bridge_hvil(self, lease: Lease, closed: bool) -> float:
        self.told("bridge_hvil", closed, lease=lease)
        self.hvil_bridged, self.hvil_moved_s = closed, self.bench.now()
        return self.hvil_moved_s


class FakeMatrix(Fake):
    """Remembers its routes."""

    routes: Set[Route] = frozenset()

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        self.told("connect", frozenset(routes), lease=lease)
        assert not (routes & TESTERS and self.bench.plc.coils_fed), "a tester routed with the coils fed"
        self.routes = frozenset(routes)


class FakeBms(Fake):
    """A good BMS; a test changes what it says."""

    pack_serial = SERIAL
    boot_s = 0.8
    sleep_s = 5.0
    heard_s: float | None = None
    revision = 1
    bad_frames = 0
    hvil_follow_s = 0.15
    hvil_flag: bool | None = None
    dividers = dtc_setting_on = True
    stack_v = 345.6
    p_b_minus_v = 0.0
    imd_ohm = 9e6
    number = stored_vin = ""
    delay_s = 25.0
    mode = PlantMode(False, False, False, False, False)
    monitor_state = MonitorState(40, ())
    stored: Sequence[Dtc] = ()
    open_cells: Sequence[int] = ()

    def __init__(self, bench: FakeBench, device: str) -> None:
        super().__init__(bench, device)
        self.cell_v: F64 = np.full(RECIPE.pack.series, 3.6)
        self.shots: list[F64] = []
        self.celsius: list[float | None] = [22.0] * 12
        self.celsius_before: list[list[float | None]] = []
        self.closed: Set[Relay] = frozenset()
        self.identity_now = BmsIdentity("294A01142R", "LBC1", SERIAL, "HW03", "SW0152", "0007", "CAL052")

    async def alive(self, lease: Lease, within: Second) -> float:
        self.told("alive", lease=lease)
        await asyncio.sleep(self.boot_s)
        return self.bench.now()

    async def ready(self, lease: Lease, within: Second) -> None:
        self.told("ready", lease=lease)

    async def silent(self, lease: Lease, within: Second) -> float:
        self.told("silent", lease=lease)
        last_s = self.bench.now() + self.sleep_s
        await asyncio.sleep(max(self.sleep_s + 1.0, 0.0))
        return last_s

    def last_status_s(self) -> float | None:
        return self.heard_s

    def dbc_revision(self) -> int | None:
        return self.revision

    async def frame_errors(self, lease: Lease, over: Second) -> int:
        self.told("frame_errors", lease=lease)
        return self.bad_frames

    async def identity(self, lease: Lease) -> BmsIdentity:
        self.told("identity", lease=lease)
        return replace(self.identity_now, pack_serial=self.pack_serial)

    async def dtcs(self, lease: Lease, mask: int = 0x09) -> Sequence[Dtc]:
        self.told("dtcs", lease=lease)
        return self.stored

    async def clear_dtcs(self, lease: Lease) -> None:
        self.told("clear_dtcs", lease=lease)

    async def cells(self, lease: Lease, n: int) -> Sequence[CellSnapshot]:
        self.told("cells", n, lease=lease)
        shots = self.shots or [self.cell_v] * n
        return [CellSnapshot(shot, self.bench.now()) for shot in shots]

    async def temperatures(self, lease: Lease) -> Sequence[Celsius | None]:
        self.told("temperatures", lease=lease)
        await asyncio.sleep(1.0)
        values = self.celsius_before.pop(0) if self.celsius_before else self.celsius
        return [None if value is None else Celsius(value) for value in values]

    async def taps(self, lease: Lease) -> BmsTaps:
        self.told("taps", self.bench.matrix.routes, self.closed, lease=lease)
        outer = Volt(self.p_b_minus_v) if self.dividers else None
        return BmsTaps(Volt(self.stack_v), outer, outer, outer, self.bench.now())

    async def hvil_closed(self, lease: Lease) -> bool | None:
        self.told("hvil_closed", lease=lease)
        if self.hvil_flag is not None:
            return self.hvil_flag
        followed = self.bench.now() - self.bench.plc.hvil_moved_s >= self.hvil_follow_s
        return self.bench.plc.hvil_bridged if followed else not self.bench.plc.hvil_bridged

    async def hvil_becomes(self, lease: Lease, closed: bool, within: Second) -> float:
        self.told("hvil_becomes", closed, self.dtc_setting_on, lease=lease)
        await asyncio.sleep(self.hvil_follow_s)
        return self.bench.now()

    async def dtc_setting(self, lease: Lease, on: bool) -> None:
        self.told("dtc_setting", on, lease=lease)
        self.dtc_setting_on = on

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        self.told("imd", lease=lease)
        return Ohm(self.imd_ohm)

    async def dividers_enable(self, lease: Lease, on: bool) -> None:
        self.told("dividers_enable", on, lease=lease)
        self.dividers = on

    async def open_wire(self, lease: Lease) -> Sequence[int]:
        self.told("open_wire", lease=lease)
        return self.open_cells

    async def take_relays(self, lease: Lease) -> None:
        self.told("take_relays", lease=lease)

    async def set_relays(self, lease: Lease, closed: Set[Relay]) -> None:
        self.told("set_relays", frozenset(closed), lease=lease)
        self.closed = frozenset(closed)

    def relays(self) -> Mapping[Relay, bool] | None:
        return {relay: relay in self.closed for relay in Relay}

    def open_relays(self) -> None:
        self.told("open_relays")
        self.closed = frozenset()

    async def write_identity(self, lease: Lease, traceability: str, vin: str | None) -> None:
        self.told("write_identity", traceability, vin, lease=lease)
        self.number, self.stored_vin = traceability, vin or self.stored_vin

    async def traceability(self, lease: Lease) -> str:
        return self.number

    async def vin(self, lease: Lease) -> str:
        return self.stored_vin

    async def release(self, lease: Lease) -> None:
        self.told("release", lease=lease)

    async def plant_mode(self, lease: Lease) -> PlantMode:
        self.told("plant_mode", lease=lease)
        return self.mode

    async def sleep_delay(self, lease: Lease) -> Second:
        return Second(self.delay_s)

    async def set_sleep_delay(self, lease: Lease, delay: Second) -> None:
        self.told("set_sleep_delay", delay, lease=lease)
        self.delay_s = delay

    async def monitors(self, lease: Lease) -> MonitorState:
        self.told("monitors", lease=lease)
        return self.monitor_state


class FakeDigitizer(Fake):
    """`poles_v`: plus and minus to chassis, or a function that tells them at each reading."""

    poles_v: tuple[float, float] | Callable[[], tuple[float, float]] = (0.0, 0.0)
    recording = Recording(np.zeros(1000), np.zeros(1000), np.zeros(1000), 10_000.0, 0.0)

    async def mean(self, lease: Lease, n: int) -> DigitizerReading:
        self.told("mean", n, lease=lease)
        assert Route.DIGITIZER in self.bench.matrix.routes, "a reading of nothing"
        pos_v, neg_v = self.poles_v() if callable(self.poles_v) else self.poles_v
        return DigitizerReading(Volt(pos_v), Volt(neg_v), Volt(0.0), Volt(0.05), n)

    async def start(self, lease: Lease) -> None:
        self.told("start", lease=lease)

    async def finish(self, lease: Lease) -> Recording:
        self.told("finish", lease=lease)
        return self.recording

    def stop(self) -> None:
        self.told("stop")


class FakeSupply(Fake):
    """`amps`: the true current, whatever the range."""

    amps = 0.8e-3

    async def on(self, lease: Lease, voltage: Volt, limit: Ampere) -> None:
        self.told("on", voltage, limit, lease=lease)

    async def current(self, lease: Lease, range_a: Ampere, over: Second) -> Ampere:
        self.told("current", range_a, over, lease=lease)
        assert self.amps <= range_a, "over range: the real one would refuse"
        await asyncio.sleep(over)
        return Ampere(self.amps)


class FakeOhmmeter(Fake):
    """`ohms`: by channel from 1; beyond the range it is over range."""

    def __init__(self, bench: FakeBench, device: str) -> None:
        super().__init__(bench, device)
        self.ohms = [4e-3] * 6

    async def measure(self, lease: Lease, channel: int, range_ohm: Ohm) -> ResistanceReading:
        self.told("measure", channel, range_ohm, lease=lease)
        ohm = self.ohms[channel - 1]
        return ResistanceReading(Ohm(min(ohm, range_ohm)), ohm > range_ohm)


class FakeInsulationTester(Fake):
    """`ohms`: what each measurement gives, in turn, the last one again and again."""

    def __init__(self, bench: FakeBench, device: str) -> None:
        super().__init__(bench, device)
        self.readings = [InsulationReading(Ohm(2e9), Volt(500.0), over_range=False)]

    async def measure(self, lease: Lease, voltage: Volt, duration: Second) -> InsulationReading:
        self.bench.require_apart(Route.INSULATION_TESTER)
        self.told("measure", voltage, self.bench.matrix.routes, lease=lease)
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def off(self) -> None:
        self.told("off")


class FakeWithstandTester(Fake):
    """`reading`: how the test ends."""

    reading = WithstandReading(Volt(2250.0), Ampere(3e-6), tripped=False)

    async def test(self, lease: Lease, voltage: Volt, ramp: Second, hold: Second, trip: Ampere) -> WithstandReading:
        self.bench.require_apart(Route.WITHSTAND_TESTER)
        self.told("test", voltage, ramp, hold, trip, lease=lease)
        return self.reading

    def off(self) -> None:
        self.told("off")


class FakeOperator(Fake):
    """Confirms after 3 s."""

    async def confirm(self, lease: Lease, instruction: str, within: Second) -> None:
        self.told("confirm", instruction, lease=lease)
        await asyncio.sleep(3.0)


class FakeGenealogy(Fake):
    """`known`: the pack's modules."""

    known: Sequence[IncomingModule] = ()

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        self.told("modules", pack_serial)
        return self.known


class FakeBench:
    """All devices of the station and the leases of a run; build it inside a running loop.

    `errors`: what the next calls of a name raise, in turn.
    """

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self.calls: list[Call] = []
        self.errors: dict[str, list[Exception]] = {}
        self.log = FakeLog()
        self.plc = FakePlc(self, "plc")
        self.matrix = FakeMatrix(self, "matrix")
        self.bms = FakeBms(self, "bms")
        self.digitizer = FakeDigitizer(self, "digitizer")
        self.lv_supply = FakeSupply(self, "lv_supply")
        self.ohmmeter = FakeOhmmeter(self, "ohmmeter")
        self.insulation_tester = FakeInsulationTester(self, "insulation_tester")
        self.withstand_tester = FakeWithstandTester(self, "withstand_tester")
        self.operator = FakeOperator(self, "operator")
        self.genealogy = FakeGenealogy(self, "genealogy")
        self.book = LeaseBook(self.now)
        self.leases = {device: self.book.grant(device, 1.0) for device in LEASED}
        self.facts = RunFacts(SERIAL)

    def devices(self) -> Devices:
        """Those of this bench; the others must not be touched."""
        names = ("cycler", "scanner", "label_printer")
        rest: dict[str, Any] = {name: Fake(self, name) for name in names}
        mine: dict[str, Any] = {name: getattr(self, name) for name in Devices.__slots__ if name not in rest}
        return Devices(**mine, **rest)

    def require_apart(self, tester: Route) -> None:
        """A test voltage may be applied now."""
        assert tester in self.matrix.routes, "a test voltage onto no route"
        assert not self.plc.coils_fed, "a test voltage with the coils fed"
        assert not self.bms.dividers, "a test voltage onto the dividers"

    def context(self, run: str, **params: Any) -> StepContext:
        """A context for one step of the installed recipe."""
        recipe = recipe_of(run, **params)
        log: Any = self.log
        return StepContext(self.devices(), self.leases, recipe, RECIPE.pack, self.facts, log, None, self.now, lambda: 1)

    def names(self) -> list[str]:
        """The calls so far, without arguments."""
        return [name for name, *_ in self.calls]

    def of(self, name: str) -> list[Call]:
        """Arguments of every call of this name."""
        return [tuple(args) for called, *args in self.calls if called == name]


@dataclass
class Outcome:
    """How one step ended: what it measured, and the error that ended it."""

    bench: FakeBench
    context: StepContext
    error: str | None
    duration_s: float
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """The number of a measurement."""
        return self.context.measurements[name].value

    def reason(self, name: str) -> str:
        """Why a measurement did not pass."""
        return self.context.measurements[name].reason


def run_step(
    step: StepBody, run: str, script: Callable[[FakeBench], None] = lambda bench: None, **params: Any
) -> Outcome:
    """Run one step on a fresh bench that `script` has prepared, as a run does."""

    async def main() -> Outcome:
        bench = FakeBench()
        script(bench)
        context = bench.context(run, **params)
        error, started_s = None, bench.now()
        try:
            await step(context)
        except (DeviceError, StepInvalid) as caught:
            error = str(caught)
        verdicts = {name: measurement.verdict for name, measurement in context.measurements.items()}
        return Outcome(bench, context, error, bench.now() - started_s, verdicts)

    loop = new_loop()
    outcome = loop.run_until(main(), 600.0)
    assert loop.errors == []
    return outcome


def passed(outcome: Outcome) -> bool:
    """Whether the step measured everything its recipe asks for, and all of it passed."""
    every = outcome.verdicts.values()
    return outcome.error is None and not outcome.context.missing() and set(every) == {Verdict.PASS}
