"""What end of line wants to know of a pack: from the station's own store where stacking is on record, else the MES.

Implements Genealogy.
"""

from __future__ import annotations

from collections.abc import Sequence

from bmsctl.domain.attempts import unreleased
from bmsctl.domain.incoming import AGE, CELL_VOLTAGE
from bmsctl.domain.links import Clock
from bmsctl.domain.pack_state import PackState, Part
from bmsctl.domain.parts import kind_of, number_of
from bmsctl.domain.ports import Genealogy, IncomingModule
from bmsctl.domain.recipe import STACKING
from bmsctl.domain.rework import older
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import StepInvalid
from bmsctl.store.journal import Journal


class StoreThenMes:
    """Believes the own store, which has what was measured here; asks the MES about packs built elsewhere."""

    def __init__(self, journal: Journal, mes: Genealogy, clock: Clock) -> None:
        self._journal = journal
        self._mes = mes
        self._clock = clock

    async def released(self, pack_serial: str, station: str, within: Second) -> str | None:
        """Why a station has not released a pack; None if it has. Raises as the MES does."""
        attempts = self._journal.attempts(pack_serial, station)
        return unreleased(attempts) if attempts else await self._mes.released(pack_serial, station, within)

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        """Modules of a pack, by slot, their data as old as they are now.

        Raises:
            StepInvalid: the own store has the pack, but not all that is asked of it.
            DeviceTimeout: the MES gives no answer in time.
        """
        attempts = self._journal.attempts(pack_serial, STACKING)
        if not attempts:
            return await self._mes.modules(pack_serial, within)
        now_s = self._clock.utc().unix_s
        history = self._journal.history(attempts[-1].record_id)
        return modules_in(PackState.of(older(event, now_s - utc_s) for utc_s, event in history))


def modules_in(pack: PackState) -> list[IncomingModule]:
    """The modules that are in a pack, from the negative pole on.

    Raises:
        StepInvalid: the age or a cell voltage of one is not on record.
    """
    slots = sorted((slot for slot in pack.parts if kind_of(slot) == "module"), key=number_of)
    return [_module(slot, pack.parts[slot]) for slot in slots]


def _module(slot: str, part: Part) -> IncomingModule:
    incoming = {event.name: event.values for event in part.incoming}
    age = _known(incoming.get(AGE, ()), slot, AGE)
    voltages = _known(incoming.get(CELL_VOLTAGE, ()), slot, CELL_VOLTAGE)
    return IncomingModule(
        slot=number_of(slot),
        part_number=part.installed.part_number,
        serial=part.installed.serial or "",
        lot=part.installed.lot or "",
        age=Second(age[0]),
        cell_voltage_v=tuple(Volt(volts) for volts in voltages),
    )


def _known(values: Sequence[float | None], slot: str, name: str) -> list[float]:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        raise StepInvalid(f"the stacking record has no {name} of {slot}: hold the pack, report that record")
    return known
