"""The pack's battery management system: what the station takes over from it, and gives back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Set

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.ports import PlantMode, Relay
from bmsctl.domain.units import Second
from bmsctl.drivers.bms_diagnostics import BmsDiagnostics
from bmsctl.drivers.bms_flash import BmsFlash
from bmsctl.drivers.bms_listener import BmsListener
from bmsctl.drivers.bms_receiver import DEVICE, BmsReceiver
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, TxFull
from bmsctl.protocols import bms_broadcast as broadcast
from bmsctl.protocols import dids, uds
from bmsctl.protocols.bms_broadcast import MessageSet
from bmsctl.protocols.dids import RELAY_BYPASS, Did
from bmsctl.protocols.uds import CommunicationControl, Reset, Session, Sid

FOLLOW_S = 0.5
"""How long coil drivers and balancing echo may take to follow a request."""

RESET_S = 0.2
"""From the answer to a reset until what the BMS sends is no longer from before it."""

BYPASSES = (*RELAY_BYPASS.values(), Did.INSULATION_BYPASS, Did.DIVIDER_BYPASS)


class CanBms(BmsListener, BmsDiagnostics, BmsFlash):
    """Implements `Bms` over a CAN link. Build inside the running loop."""

    def __init__(self, can: CanLink, messages: MessageSet, channels: Channels, key: Callable[[bytes], bytes]) -> None:
        """A BMS that speaks `messages`.

        Args:
            channels: what the pack has; what the set has beyond that is not looked at.
            key: the security-access key for a seed.
        """
        BmsListener.__init__(self, BmsReceiver(can, messages), messages, channels)
        client = UdsClient(can, DEVICE, key)
        BmsDiagnostics.__init__(self, client)
        BmsFlash.__init__(self, client)
        self._can = can
        self._requests = 0

    async def take_relays(self, lease: Lease) -> None:
        await self._supplier_session(lease)
        for did in RELAY_BYPASS.values():
            await self._write(lease, did, b"\x01")

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

    def open_relays(self) -> None:
        # The BMS ignores a request that repeats the counter of the last one, perhaps an earlier process's: of two
        # in succession it heeds one at least.
        with contextlib.suppress(LinkDown, TxFull):
            for _ in range(2):
                self._can.send(self._relay_request(frozenset()))

    def _relay_request(self, closed: Set[Relay]) -> CanFrame:
        self._requests += 1
        return CanFrame(broadcast.RELAY_REQUEST_ID, broadcast.encode_relay_request(closed, self._requests))

    async def imd_enable(self, lease: Lease, on: bool) -> None:
        await self._supplier_session(lease)
        await self._write(lease, Did.INSULATION_BYPASS, bytes((not on,)))

    async def dividers_enable(self, lease: Lease, on: bool) -> None:
        await self._supplier_session(lease)
        await self._write(lease, Did.DIVIDER_BYPASS, bytes((not on,)))

    async def balance(self, lease: Lease, cells: Set[int]) -> None:
        """Raises ValueError for a cell the BMS does not have, DeviceTimeout without an echo within FOLLOW_S."""
        await self._supplier_session(lease)
        await self._write_balancing(lease, dids.bitmap_of(cells))
        asked_s = after_s = self._now()
        while True:
            frames = await self._cycle(self._messages.balancing.can_ids, lease, after_s, "balancing switches")
            echoed = self._messages.decode_balancing([frame.payload for frame in frames])
            if echoed == dids.bitmap_of(cells):
                return
            after_s = frames[-1].t_s
            if after_s - asked_s > FOLLOW_S:
                said = ", ".join(map(str, dids.cells_in(echoed))) or "none"
                raise DeviceTimeout(DEVICE, f"the balancing switches do not follow; it echoes cells {said}")

    async def _write_balancing(self, lease: Lease, bitmap: int) -> None:
        """Packs differ in the number of cells: the bitmap is as long as the BMS says."""
        length = len(await self._uds.read(lease, Did.BALANCING))
        if bitmap >> 8 * length:
            raise ValueError(f"the BMS has no cell {bitmap.bit_length()}, only {8 * length}")
        await self._write(lease, Did.BALANCING, bitmap.to_bytes(length))

    async def release(self, lease: Lease) -> None:
        await self._supplier_session(lease)
        for did in BYPASSES:
            await self._write(lease, did, b"\x00")
        await self._write_balancing(lease, 0)
        control = (Sid.COMMUNICATION_CONTROL, CommunicationControl.RECEIVE_AND_SEND, uds.NORMAL_MESSAGES)
        await self._uds.request(lease, bytes(control))
        await self.dtc_setting(lease, on=True)
        await self._uds.enter(lease, Session.DEFAULT)

    async def restart(self, lease: Lease, within: Second) -> None:
        """A hard reset needs a session other than the default; the one that flashing has left serves."""
        try:
            if not self._uds.holds(lease, Session.PROGRAMMING):
                await self._uds.enter(lease, Session.EXTENDED)
            await self._uds.request(lease, bytes((Sid.ECU_RESET, Reset.HARD)))
        finally:
            self._uds.release()
        lease.quiet_for(RESET_S)
        await asyncio.sleep(RESET_S)
        await self.alive(lease, within)
        session = await self._uds.read(lease, Did.ACTIVE_SESSION)
        if session != bytes((Session.DEFAULT,)):
            raise DeviceRefused(DEVICE, f"it has not reset, its session is {session.hex()}; switch its 12 V off and on")

    async def plant_mode(self, lease: Lease) -> PlantMode:
        relays = [await self._flag(lease, did) for did in RELAY_BYPASS.values()]
        return PlantMode(
            relays=any(relays),
            insulation_monitor=await self._flag(lease, Did.INSULATION_BYPASS),
            dividers=await self._flag(lease, Did.DIVIDER_BYPASS),
            balancing=any(await self._uds.read(lease, Did.BALANCING)),
            session=await self._uds.read(lease, Did.ACTIVE_SESSION) != bytes((Session.DEFAULT,)),
        )
