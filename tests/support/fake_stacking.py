"""Stacking devices that a test scripts, and the far end that outlives the station's program.

The far end is what is true of the pack: which part is where, how often each bolt was tightened, what the tightening
controller remembers. It knows what is dangerous, and raises AssertionError: a bolt tightened twice, a test voltage
without permissive or onto fed coils, hands in the station while there is a permissive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.events import Event, ModuleAccepted, PartInstalled, StepStarted
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.limits import Reading
from bmsctl.domain.ports import (
    Attained,
    BatteryReading,
    BmsIdentity,
    Decay,
    Deed,
    Instruction,
    InsulationReading,
    LeakTest,
    ModuleData,
    PlcStatus,
    ResistanceReading,
    Tightening,
    TripCause,
)
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Celsius, Degree, Newtonmetre, Ohm, Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceError, DeviceRefused, StepInvalid
from bmsctl.protocols.part_label import PartLabel
from bmsctl.stations.progress import Progress
from bmsctl.stations.stacking.context import StackingFacts, StepContext
from bmsctl.stations.stacking.devices import LEASED, Devices
from bmsctl.stations.stacking.selection import OldestFirst
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_devices import Call, Fake, FakeBms, FakeLog, FakeSupply, Outcome

RECIPE: Recipe = RecipeBook().by_pack("AS52")
SERIAL = "AS52000000001"
TRAY = PartLabel("295T52000R", SERIAL, "T1")
MODULE = "295M24112R"
CELLS = RECIPE.pack.series // RECIPE.pack.modules
REST_V = 3.65
DAY_S = 86400.0
FOREIGN = "AS52000000099"
NOMINAL_NM = {3: 25.0, 5: 9.0, 7: 10.0}
"""By parameter set."""
TURNS_S = 2.0
"""A tightening lasts so long."""

StepBody = Callable[[StepContext], Awaitable[None]]


class Died(BaseException):
    """The station's program was killed."""


def recipe_of(run: str, **params: Any) -> StepRecipe:
    """The installed recipe's step, with some parameters changed."""
    step = next(step for step in RECIPE.steps("stacking") if step.run == run)
    return replace(step, params={**step.params, **params})


def module(number: int, **changes: Any) -> ModuleData:
    """A module of the buffer."""
    cells = tuple(Volt(REST_V) for _ in range(CELLS))
    age = Second((40 - number) * DAY_S)
    return replace(ModuleData(f"M{number}", MODULE, "L1", age, cells, Volt(REST_V), Ohm(8.6e-3)), **changes)


def accepted(number: int) -> ModuleAccepted:
    """The module of the slot with this number, as the station has measured it."""
    data = module(number)
    identity = f"module {number}", data.part_number, data.serial, data.lot
    return ModuleAccepted(*identity, data.age, data.cell_voltage_v, CELLS * REST_V, 8.6e-3, 25.0)


@dataclass
class FarEnd:
    """The pack and the controller.

    `labels`: what is read instead of the right label, by slot. `volts`, `ohms`: what is measured instead of a good
    value, by where frame or tips lie. `bridged`: connectors that do not open the loop. `torque_nm`: what the tool
    reaches, in turn, by bolt. `made`: tightenings of the bolt that is in a slot. `turning`: bolt, VIN and parameter set
    of the tightening under way. `stays_enabled`: after a tightening, too, by the controller's batch size.
    """

    buffer: list[ModuleData] = field(default_factory=lambda: [module(number) for number in range(1, 6)])
    packs: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    volts: dict[str, float] = field(default_factory=dict)
    ohms: dict[str, float] = field(default_factory=dict)
    opens: dict[str, bool] = field(default_factory=dict)
    bridged: set[str] = field(default_factory=set)
    torque_nm: dict[str, list[float]] = field(default_factory=dict)
    angle_deg: float = 90.0
    ok: bool = True
    made: dict[str, int] = field(default_factory=dict)
    thrown_away: list[str] = field(default_factory=list)
    results: dict[int, Tightening] = field(default_factory=dict)
    newest_id: int = 4711
    enabled: tuple[str, int] | None = None
    turning: tuple[str, str, int] | None = None
    stays_enabled: bool = False
    shown: str = ""
    frame: str = ""

    def trigger(self) -> None:
        """The person pulls the trigger, the tool on the bolt that was shown."""
        if self.enabled is not None and self.turning is None:
            self.turning = self.shown, *self.enabled

    def finish(self) -> None:
        """The tightening under way ends, whether the tool was disabled meanwhile or not."""
        if self.turning is None:
            return
        (bolt, vin, parameter_set), self.turning = self.turning, None
        if not self.stays_enabled:
            self.enabled = None
        assert self.made.get(bolt, 0) == 0, f"{bolt} tightened twice"
        self.made[bolt] = self.made.get(bolt, 0) + 1
        torques = self.torque_nm.get(bolt, [])
        torque_nm = torques.pop(0) if torques else NOMINAL_NM[parameter_set]
        self.store(vin, parameter_set, torque_nm)

    def pull(self) -> None:
        """A whole tightening, and the end of one under way."""
        self.trigger()
        self.finish()

    def store(self, vin: str, parameter_set: int, torque_nm: float) -> Tightening:
        """One more result in the controller's memory."""
        self.newest_id += 1
        result = Tightening(
            self.newest_id,
            vin,
            parameter_set,
            self.ok,
            Newtonmetre(torque_nm),
            Attained.OK,
            Degree(self.angle_deg),
            Attained.OK,
            "2026-01-01:00:00:00",
        )
        self.results[self.newest_id] = result
        return result


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


class FakePlc(Fake):
    """`refused`: why it grants no permissive. `proves`: whether it proves the end of it."""

    refused: str | None = None
    proves = True
    permissive = coils_fed = False
    kl30 = kl15 = False

    async def permit(self, lease: Lease, token: int) -> None:
        self.told("permit", token, lease=lease)
        if self.refused:
            raise DeviceRefused("plc", self.refused)
        self.permissive = self.coils_fed = True

    async def feed_coils(self, lease: Lease, on: bool) -> None:
        self.told("feed_coils", on, lease=lease)
        self.coils_fed = on

    def drop_permit(self) -> None:
        self.told("drop_permit")
        self.permissive = False

    def status(self) -> PlcStatus:
        now_s, free = self.bench.now(), self.proves and not self.permissive
        lines = self.kl30, self.kl15, self.coils_fed
        return PlcStatus(True, True, self.permissive, False, TripCause.NONE, *lines, False, free, free, now_s)

    async def supply(self, lease: Lease, *, kl30: bool, kl15: bool) -> None:
        self.told("supply", kl30, kl15, lease=lease)
        self.kl30, self.kl15 = kl30, kl15

    def supply_off(self) -> None:
        self.told("supply_off")
        self.kl30 = self.kl15 = False


class FakeOperator(Fake):
    """Does at once what it is asked, and takes 3 s for it."""

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        self.told(f"confirm.{instruction.deed}", instruction.part, instruction.detail, lease=lease)
        await self._do(instruction)

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        self.told(f"show.{instruction.deed}", instruction.part, instruction.detail, lease=lease)
        self.bench.far.shown = instruction.part

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        self.told(f"scan.{instruction.deed}", instruction.part, instruction.detail, lease=lease)
        await self._do(instruction)
        serial = instruction.detail.partition(",")[0] or SERIAL
        part = MODULE if instruction.part else RECIPE.pack.part_number
        return self.bench.far.labels.get(instruction.part, f"{part};{serial}")

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        self.told("qualified", qualification, lease=lease)
        return "badge 7"

    async def _do(self, instruction: Instruction) -> None:
        assert not self.bench.plc.permissive, "hands in the station while there is a permissive"
        await asyncio.sleep(3.0)
        far, deed, part = self.bench.far, instruction.deed, instruction.part
        if deed is Deed.FETCH:
            self.bench.scanner.content = far.labels.get(part, f"{MODULE};{instruction.detail}")
        elif deed in (Deed.PROBE, Deed.PLACE):
            far.frame = part
        elif deed is Deed.LOOSEN:
            far.thrown_away.append(part)
            far.made[part] = 0
        elif deed in (Deed.OPEN, Deed.CLOSE):
            far.opens[part] = deed is Deed.OPEN


class FakeScanner(Fake):
    """`content`: what lies before it."""

    content = ""

    async def scan(self, lease: Lease, within: Second) -> str:
        self.told("scan", lease=lease)
        return self.content


class FakeBatteryTester(Fake):
    """Reads what the frame lies on; `ohm` of a module."""

    ohm = 8.6e-3

    async def measure(self, lease: Lease, voltage_range: Volt, resistance_range: Ohm) -> BatteryReading:
        self.told("measure", voltage_range, lease=lease)
        frame = self.bench.far.frame
        nominal_v = CELLS * REST_V * (1 if frame else RECIPE.pack.modules)
        return BatteryReading(Volt(self.bench.far.volts.get(frame, nominal_v)), Ohm(self.ohm))


class FakeOhmmeter(Fake):
    """Channel 1: the joint under the tips; channel 2: the interlock loop."""

    celsius = 25.0

    async def measure(self, lease: Lease, channel: int, range_ohm: Ohm) -> ResistanceReading:
        self.told("measure", channel, range_ohm, lease=lease)
        far = self.bench.far
        is_open = any(on for connector, on in far.opens.items() if connector not in far.bridged)
        loop_ohm = 1e9 if is_open else far.ohms.get("loop", 1.0)
        ohm = loop_ohm if channel == 2 else far.ohms.get(far.frame, 20e-6)
        return ResistanceReading(Ohm(min(ohm, range_ohm)), ohm > range_ohm)

    async def temperature(self, lease: Lease) -> Celsius:
        self.told("temperature", lease=lease)
        return Celsius(self.celsius)


class FakeInsulationTester(Fake):
    """`ohm`: what it measures."""

    ohm = 2e9

    async def measure(self, lease: Lease, voltage: Volt, duration: Second) -> InsulationReading:
        self.told("measure", voltage, duration, lease=lease)
        assert self.bench.plc.permissive, "a test voltage without permissive"
        assert not self.bench.plc.coils_fed, "a test voltage with the coils fed"
        return InsulationReading(Ohm(self.ohm), voltage, over_range=False)

    def off(self) -> None:
        self.told("off")


class FakeNutrunner(Fake):
    """The far end's controller; `result` pulls the trigger after 3 s, and the tool turns for `TURNS_S`."""

    async def newest_id(self, lease: Lease) -> int:
        self.told("newest_id", lease=lease)
        return self.bench.far.newest_id

    async def stored(self, lease: Lease, tightening_id: int) -> Tightening | None:
        self.told("stored", tightening_id, lease=lease)
        return self.bench.far.results.get(tightening_id)

    async def enable(self, lease: Lease, vin: str, parameter_set: int) -> None:
        self.told("enable", vin, parameter_set, lease=lease)
        assert self.bench.far.turning is None, "enabled in the middle of a tightening"
        self.bench.far.enabled = vin, parameter_set

    async def result(self, lease: Lease, within: Second) -> Tightening:
        self.told("result", within, lease=lease)
        await asyncio.sleep(3.0)
        before = self.bench.far.newest_id
        self.bench.far.trigger()
        self.turn()
        self.told("triggered", lease=lease)
        await self._still()
        self.told("turned", lease=lease)
        assert self.bench.far.newest_id == before + 1, "the tool did not turn"
        return self.bench.far.results[before + 1]

    async def disable(self, lease: Lease) -> None:
        self.told("disable", lease=lease)
        self.bench.far.enabled = None

    async def stop(self, lease: Lease) -> None:
        self.told("stop", lease=lease)
        self.bench.far.enabled = None
        await self._still()

    def turn(self) -> None:
        """Let a tightening under way take its time, if there is one."""
        if self.bench.far.turning is not None:
            asyncio.get_running_loop().call_later(TURNS_S, self.bench.far.finish)

    async def _still(self) -> None:
        await asyncio.sleep(1.5 * TURNS_S)
        assert self.bench.far.turning is None, "the tool still turns"

    def off(self) -> None:
        self.told("off")


class FakeLeakTester(Fake):
    """A volume that loses `per_second_pa`."""

    per_second_pa = 0.0

    async def test(self, lease: Lease, wanted: LeakTest) -> Decay:
        self.told("test", wanted, lease=lease)
        time_s = np.arange(0.0, wanted.settle + wanted.test, 0.5)
        constant = np.ones_like(time_s)
        return Decay(time_s, wanted.pressure - self.per_second_pa * time_s, 25.0 * constant, 101_325.0 * constant)

    def off(self) -> None:
        self.told("off")

    async def vented(self, lease: Lease) -> None:
        self.told("vented", lease=lease)


class FakePrinter(Fake):
    """Counts what it prints."""

    async def print(self, lease: Lease, serial: str, part_number: str, lines: Sequence[str]) -> None:
        self.told("print", serial, part_number, lease=lease)


class FakeParts(Fake):
    """The far end's buffer."""

    async def buffer(self, pack_part_number: str, within: Second) -> Sequence[ModuleData]:
        self.told("buffer", pack_part_number)
        return self.bench.far.buffer

    async def module(self, serial: str, within: Second) -> ModuleData | None:
        self.told("module", serial)
        return next((each for each in self.bench.far.buffer if each.serial == serial), None)

    async def pack_of(self, serial: str, within: Second) -> str | None:
        self.told("pack_of", serial)
        return self.bench.far.packs.get(serial)


class FlashedBms(FakeBms):
    """`chain`: its chips. `written`: software after a flash; `unbootable`: it has none to run."""

    unbootable = False
    stored_vin = ""

    def __init__(self, bench: StackingBench, device: str) -> None:
        super().__init__(bench, device)
        self.cell_v = np.full(RECIPE.pack.series, REST_V)
        self.chain = [(f"C{number}", 16) for number in range(1, 7)]
        self.written = ("SW0152", "0007", "CAL052")

    async def identity(self, lease: Lease) -> BmsIdentity:
        identity = await super().identity(lease)
        if self.unbootable:
            raise DeviceRefused("bms", "request out of range")
        return identity

    async def chips(self, lease: Lease) -> Sequence[tuple[str, int]]:
        self.told("chips", lease=lease)
        return self.chain

    async def flash(self, lease: Lease, image: bytes, address: int, progress: Callable[[float], None]) -> None:
        self.unbootable = True
        self.told("flash", image, address, lease=lease)
        software, version, calibration = self.written
        changes = {"software": software, "software_version": version, "calibration": calibration}
        self.identity_now = replace(self.identity_now, **changes)
        progress(1.0)
        self.unbootable = False

    async def restart(self, lease: Lease, within: Second) -> None:
        self.told("restart", lease=lease)


class Supply(FakeSupply):
    """Can be switched off."""

    def off(self) -> None:
        self.told("off")


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
        """Parts of every instruction of this deed."""
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


def built(*slots: str) -> list[Event]:
    """A pack that has these parts; a module with what was measured of it."""
    events: list[Event] = []
    for slot in slots:
        kind, _, number = slot.partition(" ")
        if kind == "module":
            events.append(accepted(int(number)))
        events.append(PartInstalled(slot, "P", f"M{number}" if kind == "module" else None, None))
    return events


STACK = tuple(f"module {number}" for number in range(1, RECIPE.pack.modules + 1))
