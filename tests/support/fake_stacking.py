"""Stacking devices that a test scripts, each on the far end; every command is on record.

They know what is dangerous, and raise AssertionError: a test voltage without permissive or onto fed coils, hands in the
station while there is a permissive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import (
    BatteryReading,
    BmsIdentity,
    Instruction,
    InsulationReading,
    LeakTest,
    ManualTask,
    ModuleData,
    PlcStatus,
    PressureDecay,
    ResistanceReading,
    Tightening,
    TripCause,
)
from bmsctl.domain.units import Celsius, Ohm, Second, Volt
from bmsctl.errors import DeviceRefused
from tests.support.fake_devices import Fake, FakeBms, FakeSupply
from tests.support.stacking_parts import CELLS, MODULE, RECIPE, REST_V, SERIAL

if TYPE_CHECKING:
    from tests.support.stacking_bench import StackingBench

TURNS_S = 2.0
"""A tightening lasts so long."""


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
        self.told(f"confirm.{instruction.task}", instruction.part, instruction.detail, lease=lease)
        await self._do(instruction)

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        self.told(f"show.{instruction.task}", instruction.part, instruction.detail, lease=lease)
        self.bench.far.shown = instruction.part

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        self.told(f"scan.{instruction.task}", instruction.part, instruction.detail, lease=lease)
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
        far, task, part = self.bench.far, instruction.task, instruction.part
        if task is ManualTask.FETCH:
            self.bench.scanner.content = far.labels.get(part, f"{MODULE};{instruction.detail}")
        elif task in (ManualTask.PROBE, ManualTask.PLACE):
            far.frame = part
        elif task is ManualTask.LOOSEN:
            far.thrown_away.append(part)
            far.made[part] = 0
        elif task in (ManualTask.OPEN, ManualTask.CLOSE):
            far.opens[part] = task is ManualTask.OPEN


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

    async def test(self, lease: Lease, wanted: LeakTest) -> PressureDecay:
        self.told("test", wanted, lease=lease)
        time_s = np.arange(0.0, wanted.settle + wanted.test, 0.5)
        constant = np.ones_like(time_s)
        return PressureDecay(
            time_s, wanted.pressure - self.per_second_pa * time_s, 25.0 * constant, 101_325.0 * constant
        )

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
