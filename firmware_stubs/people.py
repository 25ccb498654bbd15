"""Who stands at the station, and what the manufacturing execution system knows; both simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import IncomingModule, Instruction
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import DeviceRefused, DeviceTimeout
from firmware_stubs.noise import draw

CONFIRM_S = (2.0, 4.0)
ANSWER_S = (0.050, 0.200)


class SimOperator:
    """Does what the screen says, and confirms; implements Operator.

    `absent`: nobody is there. `refusal`: the person says that it cannot be done, and why. `seen`: every instruction.
    """

    def __init__(self, seed: int) -> None:
        self._draws = draw(seed, "operator.confirm")
        self.absent = False
        self.refusal: str | None = None
        self.seen: list[str] = []

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        lease.check()
        lease.quiet_for(within)
        self.seen.append(instruction.text)
        after_s = float(self._draws.uniform(*CONFIRM_S))
        if self.absent or after_s > within:
            await asyncio.sleep(within)
            raise DeviceTimeout("operator", f"nobody confirmed {instruction.text!r} within {within:g} s")
        await asyncio.sleep(after_s)
        lease.touch()
        if self.refusal is not None:
            raise DeviceRefused("operator", f"{instruction.text!r} cannot be done: {self.refusal}")


class DeliveredPlant(Protocol):
    """The pack whose modules came in: slot, age in seconds, rest voltage of each cell group."""

    def incoming_modules(self) -> Sequence[tuple[int, float, Sequence[float]]]: ...


class SimMes:
    """Knows the modules of the pack on the station, all of one part number; implements Genealogy.

    `silent`: it does not answer. `empty`: it knows no modules.
    """

    def __init__(self, plant: DeliveredPlant, part_number: str, pack_serial: str, seed: int) -> None:
        self._plant = plant
        self._part_number = part_number
        self._pack_serial = pack_serial
        self._seed = seed
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
                serial=f"M24-{self._seed}-{slot}",
                lot=f"L{self._seed}",
                age=Second(age_s),
                cell_voltage_v=tuple(Volt(volts) for volts in voltages),
            )
            for slot, age_s, voltages in sorted(self._plant.incoming_modules(), key=lambda module: module[0])
        )

    async def _answer(self, within: Second) -> None:
        """Take the time that an answer takes. Raises DeviceTimeout."""
        after_s = float(self._draws.uniform(*ANSWER_S))
        if self.silent or after_s > within:
            await asyncio.sleep(within)
            raise DeviceTimeout("genealogy", f"no answer within {within:g} s; check the network")
        await asyncio.sleep(after_s)
