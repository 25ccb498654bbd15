"""The pack's battery management system: broadcast for what it measures, UDS for the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.domain.ports import BmsIdentity, BmsTaps, CellSnapshot, Dtc, Relay
from bmsctl.domain.units import Ampere, Celsius, Ohm, Second, Volt
from bmsctl.drivers.bms_receiver import BAD_CYCLES, DEVICE, BmsReceiver, Good
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import bms_broadcast as broadcast
from bmsctl.protocols import uds
from bmsctl.protocols.bms_broadcast import InsulationState
from bmsctl.protocols.dids import RELAY_BYPASS, SLEEP_DELAY, TEXTS, Did, Routine
from bmsctl.protocols.uds import DtcReport, RoutineAction, Session, Sid

STOPPED_S = 1.0
"""So long without a frame, and the BMS has stopped sending."""
WATCH_S = 0.05
START_UP_FRAMES = 26
"""A measurement may be a sentinel so often after wake, without meaning anything."""
PERSISTENT_FRAMES = 10
"""Beyond start-up, so many sentinels in a row are the pack's own."""
FOLLOW_S = 0.5
"""How long the coil drivers may take to follow a request."""


class CanBms:
    """Implements `Bms` over a CAN link. Build inside the running loop."""

    def __init__(self, can: CanLink, key: Callable[[bytes], bytes]) -> None:
        """`key`: the security-access key for a seed."""
        self._can = can
        self._receiver = BmsReceiver(can)
        self._uds = UdsClient(can, DEVICE, key)
        self._requests = 0
        self._now = asyncio.get_running_loop().time

    async def alive(self, lease: Lease, within: Second) -> float:
        asked_s = self._now()
        lease.quiet_for(within)
        while True:
            good = self._receiver.look(broadcast.STATUS_ID)
            if good is not None and good.t_s > asked_s:
                lease.touch()
                return good.t_s
            self._receiver.require_link()
            if self._now() > asked_s + within:
                raise DeviceTimeout(DEVICE, f"not awake within {within:g} s; check KL30, KL15 and the connector")
            await asyncio.sleep(WATCH_S)

    async def silent(self, lease: Lease, within: Second) -> float:
        asked_s = self._now()
        lease.quiet_for(within + STOPPED_S)
        while True:
            heard_s = self._receiver.heard_s(broadcast.CURRENT_ID)
            quiet_s = self._now() - (asked_s if heard_s is None else heard_s)
            if quiet_s >= STOPPED_S:
                self._receiver.require_link()
                lease.touch()
                return self._now() - quiet_s
            if self._now() > asked_s + within + STOPPED_S:
                raise DeviceTimeout(DEVICE, f"still sending after {within:g} s; something keeps it awake")
            await asyncio.sleep(min(STOPPED_S - quiet_s + 1e-6, STOPPED_S / 4))

    def last_frame_s(self) -> float | None:
        good = self._receiver.look(broadcast.STATUS_ID)
        return None if good is None else good.t_s

    async def frame_errors(self, lease: Lease, over: Second) -> int:
        return await self._receiver.observe(lease, over)

    async def ready(self, lease: Lease, within: Second) -> None:
        """Sentinels that outlast start-up on some cells are the pack's own and are not waited for."""
        asked_s = after_s = self._now()
        patience = START_UP_FRAMES + PERSISTENT_FRAMES
        missing: list[str] = []
        for cycle in range(patience + 1):
            last = await self._receiver.next(broadcast.CELL_IDS[-1], lease, after_s)
            after_s = last.t_s
            if cycle == patience or last.payload != broadcast.ALL_SNA_UNSIGNED:
                missing = await self._missing(lease, all_cells=cycle < patience)
                if not missing:
                    return
            if after_s - asked_s > within:
                break
        shown = ", ".join(missing[:8]) + (" …" if len(missing) > 8 else "") if missing else "any cell"
        raise DeviceTimeout(DEVICE, f"no value after {self._now() - asked_s:.1f} s on {shown}; check its supply")

    async def _missing(self, lease: Lease, *, all_cells: bool) -> list[str]:
        """Names of taps and cells that are sentinels; of the cells only if it is all of them, or `all_cells`."""
        taps = await self.taps(lease)
        missing = [name for name in ("u_batt", "u_p", "u_n", "u_link") if getattr(taps, name) is None]
        frames = [self._receiver.look(can_id) for can_id in broadcast.CELL_IDS]
        payloads = [frame.payload for frame in frames if frame is not None]
        silent = np.flatnonzero(np.isnan(broadcast.decode_cells(payloads))) + 1
        if len(payloads) < len(frames):
            missing.append("some cell frames")
        if all_cells or len(silent) == 4 * len(payloads):
            missing += [f"cell {cell}" for cell in silent]
        return missing

    def dbc_revision(self) -> int | None:
        good = self._receiver.look(broadcast.STATUS_ID)
        return None if good is None else broadcast.decode_status(good.payload).dbc_revision

    async def identity(self, lease: Lease) -> BmsIdentity:
        return BmsIdentity(
            part_number=await self._text(lease, Did.PART_NUMBER),
            ecu_serial=await self._text(lease, Did.ECU_SERIAL),
            pack_serial=await self._text(lease, Did.PACK_SERIAL),
            hardware=await self._text(lease, Did.HARDWARE),
            software=await self._text(lease, Did.SOFTWARE),
            software_version=await self._text(lease, Did.SOFTWARE_VERSION),
            calibration=await self._text(lease, Did.CALIBRATION),
        )

    async def _text(self, lease: Lease, did: Did) -> str:
        data = await self._uds.read(lease, did)
        try:
            return TEXTS[did].decode(data)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X}: {error}") from error

    async def dtcs(self, lease: Lease, mask: int = 0x09) -> Sequence[Dtc]:
        request = bytes((Sid.READ_DTC_INFORMATION, DtcReport.BY_STATUS_MASK, mask))
        answer = await self._uds.request(lease, request)
        try:
            return uds.decode_dtcs(answer[1:])
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"trouble codes: {error}") from error

    async def clear_dtcs(self, lease: Lease) -> None:
        await self._uds.request(lease, bytes((Sid.CLEAR_DIAGNOSTIC_INFORMATION,)) + uds.ALL_DTCS.to_bytes(3))

    async def cells(self, lease: Lease, n: int) -> Sequence[CellSnapshot]:
        after_s = self._now()
        snapshots: list[CellSnapshot] = []
        for _ in range(n):
            snapshots.append(await self._snapshot(lease, after_s))
            after_s = snapshots[-1].t_s
        return snapshots

    async def _snapshot(self, lease: Lease, after_s: float) -> CellSnapshot:
        """The next cycle of which every cell frame came, and came good."""
        for _ in range(BAD_CYCLES):
            last = await self._receiver.next(broadcast.CELL_IDS[-1], lease, after_s)
            frames = [self._receiver.look(can_id) for can_id in broadcast.CELL_IDS]
            good = [frame for frame in frames if frame is not None and _same_cycle(frame, last)]
            if len(good) == len(frames):
                return CellSnapshot(broadcast.decode_cells([frame.payload for frame in good]), last.t_s)
            after_s = last.t_s
        raise ReplyInvalid(DEVICE, f"no complete set of cell voltages in {BAD_CYCLES} cycles; check the CAN wiring")

    async def temperatures(self, lease: Lease) -> Sequence[Celsius | None]:
        """Waits out the first frames after wake, in which no sensor has a value."""
        after_s = self._now()
        values: list[float | None] = []
        for _ in range(BAD_CYCLES):
            last = await self._receiver.next(broadcast.TEMPERATURE_IDS[-1], lease, after_s)
            frames = [self._receiver.look(can_id) for can_id in broadcast.TEMPERATURE_IDS]
            payloads = [frame.payload for frame in frames if frame is not None and _same_cycle(frame, last)]
            if len(payloads) == len(frames):
                values = broadcast.decode_temperatures(payloads)
                if any(value is not None for value in values):
                    break
            after_s = last.t_s
        if not values:
            raise ReplyInvalid(DEVICE, "no complete set of temperatures; check the CAN wiring")
        return [None if value is None else Celsius(value) for value in values]

    async def taps(self, lease: Lease) -> BmsTaps:
        good = await self._receiver.next(broadcast.TAPS_ID, lease, self._now())
        taps = broadcast.decode_taps(good.payload)
        return BmsTaps(_volt(taps.u_batt), _volt(taps.u_p), _volt(taps.u_n), _volt(taps.u_link), good.t_s)

    async def current(self, lease: Lease) -> Ampere:
        after_s = self._now()
        for _ in range(START_UP_FRAMES + PERSISTENT_FRAMES):
            good = await self._receiver.next(broadcast.CURRENT_ID, lease, after_s)
            value = broadcast.decode_current(good.payload)
            if value is not None:
                return Ampere(value)
            after_s = good.t_s
        raise ReplyInvalid(DEVICE, "its current sensor gives no value")

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        asked_s = after_s = self._now()
        while True:
            good = await self._receiver.next(broadcast.INSULATION_ID, lease, after_s)
            insulation = broadcast.decode_insulation(good.payload)
            if insulation.state is InsulationState.OFF:
                raise DeviceRefused(DEVICE, "its insulation monitor is switched off")
            if insulation.state is InsulationState.SETTLED and insulation.resistance_ohm is not None:
                return Ohm(insulation.resistance_ohm)
            if good.t_s - asked_s > within:
                raise DeviceTimeout(DEVICE, f"its insulation monitor has not settled within {within:g} s")
            after_s = good.t_s

    async def imd_enable(self, lease: Lease, on: bool) -> None:
        await self._supplier_session(lease)
        await self._write_flag(lease, Did.INSULATION_BYPASS, not on)

    async def open_wire(self, lease: Lease) -> Sequence[int]:
        async with self._extended_session(lease):
            await self._uds.routine(lease, RoutineAction.START, Routine.OPEN_WIRE)
            status = await self._uds.routine(lease, RoutineAction.RESULTS, Routine.OPEN_WIRE)
        if len(status) != 1 + broadcast.SERIES // 8 or status[0] != 0:
            raise ReplyInvalid(DEVICE, f"the open-wire routine ended with {status.hex() or 'nothing'}")
        cells = int.from_bytes(status[1:])
        return [cell for cell in range(1, broadcast.SERIES + 1) if cells >> cell - 1 & 1]

    async def take_relays(self, lease: Lease) -> None:
        await self._supplier_session(lease)
        for did in RELAY_BYPASS.values():
            await self._write_flag(lease, did, True)

    async def _write_flag(self, lease: Lease, did: Did, on: bool) -> None:
        """Write one byte, and read it back."""
        await self._uds.write(lease, did, bytes((on,)))
        if await self._uds.read(lease, did) != bytes((on,)):
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X} was written {on:d} and reads otherwise")

    async def _supplier_session(self, lease: Lease) -> None:
        """Enter and unlock; not again where it is held, because entering ends every bypass."""
        held = self._uds.holds(lease, Session.SUPPLIER)
        if not held or await self._uds.read(lease, Did.ACTIVE_SESSION) != bytes((Session.SUPPLIER,)):
            await self._uds.enter(lease, Session.SUPPLIER)
        await self._uds.unlock(lease)

    @contextlib.asynccontextmanager
    async def _extended_session(self, lease: Lease) -> AsyncIterator[None]:
        """The extended session, or the supplier's where that is held."""
        if self._uds.holds(lease, Session.SUPPLIER):
            yield
            return
        await self._uds.enter(lease, Session.EXTENDED)
        try:
            yield
        except BaseException:
            self._uds.release()
            raise
        await self._uds.enter(lease, Session.DEFAULT)

    async def set_relays(self, lease: Lease, closed: Set[Relay]) -> None:
        self._can.send(self._relay_request(closed), lease)
        asked_s = after_s = self._now()
        while True:
            good = await self._receiver.next(broadcast.STATUS_ID, lease, after_s)
            drivers = broadcast.decode_status(good.payload).relays
            if all(drivers[relay] is (relay in closed) for relay in Relay):
                return
            if self._now() - asked_s > FOLLOW_S:
                said = ", ".join(f"{relay} {drivers[relay]}" for relay in Relay)
                raise DeviceTimeout(DEVICE, f"the coil drivers do not follow ({said}); is the relay bypass active?")
            after_s = good.t_s

    def relays(self) -> Mapping[Relay, bool] | None:
        """A driver that reports a fault, or nothing, counts as closed."""
        good = self._receiver.look(broadcast.STATUS_ID)
        if good is None:
            return None
        return {relay: on is not False for relay, on in broadcast.decode_status(good.payload).relays.items()}

    def open_relays(self) -> None:
        with contextlib.suppress(LinkDown, TxFull):
            self._can.send(self._relay_request(frozenset()))

    def _relay_request(self, closed: Set[Relay]) -> CanFrame:
        self._requests += 1
        return CanFrame(broadcast.RELAY_REQUEST_ID, broadcast.encode_relay_request(closed, self._requests))

    async def set_sleep_delay(self, lease: Lease, delay: Second) -> None:
        async with self._extended_session(lease):
            await self._uds.write(lease, Did.SLEEP_DELAY, SLEEP_DELAY.encode(delay))


def _volt(value: float | None) -> Volt | None:
    return None if value is None else Volt(value)


def _same_cycle(frame: Good, last: Good) -> bool:
    """Whether a frame belongs to the cycle that ended with `last`."""
    return frame.alive == last.alive and abs(last.t_s - frame.t_s) < broadcast.PERIOD_S[broadcast.CELL_IDS[0]]
