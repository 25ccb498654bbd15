"""Who stands at the station, and what the manufacturing execution system knows; both simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import IncomingModule, Instruction, ModuleData
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import DeviceRefused, DeviceTimeout
from firmware_stubs.noise import draw
from firmware_stubs.population import module_serial

CONFIRM_S = (2.0, 4.0)
ACT_S = (1.5, 3.0)
"""From an instruction that a device will report as done to the task: the hands are on the tool already."""
ANSWER_S = (0.050, 0.200)


def _nothing(instruction: Instruction) -> None:
    """Hands that change nothing."""


class SimOperator:
    """Does what the screen says, and confirms; implements Operator.

    `hands`: called with each instruction when its task is done. `reaching`: called when hands reach into the station,
    and when they are out of it. `in_sight`: content of the label that the hand scanner is held at; None if there is
    none. `absent`: nobody is there. `refusal`: the person says that it cannot be done, and why. `unqualified`: the
    badge carries no qualification. `seen`: every instruction.
    """

    def __init__(self, seed: int) -> None:
        self._draws = draw(seed, "operator.confirm")
        self._acts = draw(seed, "operator.act")
        self._badge = f"badge {int(draw(seed, 'operator.badge').integers(1000, 10_000))}"
        self._shown: asyncio.TimerHandle | None = None
        self.hands: Callable[[Instruction], None] = _nothing
        self.reaching: Callable[[bool], None] = lambda on: None
        self.in_sight: Callable[[], str | None] = lambda: None
        self.absent = False
        self.refusal: str | None = None
        self.unqualified = False
        self.seen: list[str] = []

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        lease.check()
        lease.quiet_for(within)
        self.seen.append(instruction.text)
        await self._follow(instruction, within, "confirmed")
        lease.touch()
        if self.refusal is not None:
            raise DeviceRefused("operator", f"{instruction.text!r} cannot be done: {self.refusal}")

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        lease.check()
        self.seen.append(instruction.text)
        if self._shown is not None:
            self._shown.cancel()
        if not self.absent and self.refusal is None:
            self.reaching(True)
            after_s = float(self._acts.uniform(*ACT_S))
            self._shown = asyncio.get_running_loop().call_later(after_s, self._act, instruction)
        lease.touch()

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        lease.check()
        lease.quiet_for(within)
        self.seen.append(instruction.text)
        asked_s = asyncio.get_running_loop().time()
        await self._follow(instruction, within, "scanned anything for")
        content = self.in_sight()
        if content is None:
            await asyncio.sleep(max(0.0, asked_s + within - asyncio.get_running_loop().time()))
            raise DeviceTimeout("operator", f"nobody scanned anything for {instruction.text!r} within {within:g} s")
        lease.touch()
        return content

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        lease.check()
        lease.quiet_for(within)
        if not await self._in_time(within):
            raise DeviceTimeout("operator", f"nobody showed a badge within {within:g} s")
        lease.touch()
        if self.unqualified:
            raise DeviceRefused("operator", f"{self._badge} is not qualified for {qualification}; call somebody who is")
        return self._badge

    async def _follow(self, instruction: Instruction, within: Second, done: str) -> None:
        """Do what an instruction says. Raises DeviceTimeout."""
        self.reaching(not self.absent)
        try:
            if not await self._in_time(within):
                raise DeviceTimeout("operator", f"nobody {done} {instruction.text!r} within {within:g} s")
            if self.refusal is None:
                self.hands(instruction)
        finally:
            self.reaching(False)

    async def _in_time(self, within: Second) -> bool:
        """Take the time that a person takes, but not more than there is."""
        after_s = float(self._draws.uniform(*CONFIRM_S))
        if self.absent or after_s > within:
            await asyncio.sleep(within)
            return False
        await asyncio.sleep(after_s)
        return True

    def _act(self, instruction: Instruction) -> None:
        self._shown = None
        self.reaching(False)
        self.hands(instruction)


class DeliveredPlant(Protocol):
    """The pack whose modules came in: slot, age in seconds, rest voltage of each cell group."""

    def incoming_modules(self) -> Sequence[tuple[int, float, Sequence[float]]]: ...


@dataclass(frozen=True)
class Stock:
    """Modules at hand: what is on record of each, by serial; which wait, the oldest first; which are in which pack."""

    records: Mapping[str, ModuleData] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    packs: Mapping[str, str] = field(default_factory=dict)


class SimMes:
    """Knows the modules of the pack on the station, all of one part number, and those in stock; implements Mes.

    `silent`: it does not answer. `empty`: it knows no modules.
    """

    def __init__(
        self, plant: DeliveredPlant, part_number: str, pack_serial: str, seed: int, stock: Stock | None = None
    ) -> None:
        """`stock`: nothing if None."""
        self._plant = plant
        self._part_number = part_number
        self._pack_serial = pack_serial
        self._seed = seed
        self._stock = stock or Stock()
        self._draws = draw(seed, "mes.answer")
        self.silent = False
        self.empty = False

    async def released(self, pack_serial: str, station: str, within: Second) -> str | None:
        await self._answer(within)
        return None if pack_serial == self._pack_serial else f"{pack_serial} is not known"

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        await self._answer(within)
        if self.empty or pack_serial != self._pack_serial:
            return ()
        return tuple(
            IncomingModule(
                slot=slot,
                part_number=self._part_number,
                serial=module_serial(len(voltages), self._seed, slot),
                lot=f"L{self._seed}",
                age=Second(age_s),
                cell_voltage_v=tuple(Volt(volts) for volts in voltages),
            )
            for slot, age_s, voltages in sorted(self._plant.incoming_modules(), key=lambda module: module[0])
        )

    async def buffer(self, pack_part_number: str, within: Second) -> Sequence[ModuleData]:
        await self._answer(within)
        return () if self.empty else tuple(self._stock.records[serial] for serial in self._stock.waiting)

    async def module(self, serial: str, within: Second) -> ModuleData | None:
        await self._answer(within)
        return None if self.empty else self._stock.records.get(serial)

    async def pack_of(self, serial: str, within: Second) -> str | None:
        await self._answer(within)
        return self._stock.packs.get(serial)

    async def _answer(self, within: Second) -> None:
        """Take the time that an answer takes. Raises DeviceTimeout."""
        after_s = float(self._draws.uniform(*ANSWER_S))
        if self.silent or after_s > within:
            await asyncio.sleep(within)
            raise DeviceTimeout("genealogy", f"no answer within {within:g} s; check the network")
        await asyncio.sleep(after_s)
