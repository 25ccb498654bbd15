"""The safety PLC over CAN: asks for the permissive, answers the dead-man, believes only what the PLC reports.

The state of the safety chain arrives by StatusChanged, so nothing here polls; the cyclic Status is looked at
for freshness, for the proof of no voltage, and when a challenge shows that a StatusChanged was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink, Subscription
from bmsctl.domain.ports import Challenge, PlcStatus, PlcVoltages
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, TxFull
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK, AliveWatch

DEVICE = "plc"
ANSWER_WITHIN_S = 0.25

_REFUSED = {
    Refusal.GUARD_OPEN: "the guard is open; close it and reset the PLC",
    Refusal.ESTOP_PRESSED: "the emergency stop is pressed; release it and reset the PLC",
    Refusal.TRIPPED: "it has tripped; find the cause and reset it",
    Refusal.TOKEN_USED: "the run token was used before; start a new run",
    Refusal.NO_ANSWER: "its challenges are not answered; check the CAN cable",
    Refusal.STOPPING: "a safe stop is still running; try again when it has ended",
}


class CanPlc:
    """Implements Plc. `errors` counts damaged or repeated frames."""

    def __init__(self, can: CanLink) -> None:
        self._can = can
        self._permit = False
        self._granted = False
        self._kl30 = False
        self._kl15 = False
        self._token = 0
        self._alive: int | None = None
        self._seen: plc.Status | None = None
        self._status: PlcStatus | None = None
        self._latched: CanFrame | None = None
        self._status_alive = AliveWatch(plc.STATUS_PERIOD_S)
        self._sequence: int | None = None
        self._on_challenge: Callable[[Challenge], None] | None = None
        self._on_status: Callable[[PlcStatus], None] | None = None
        self._challenges: Subscription | None = None
        self._changed = asyncio.Event()
        self.errors = 0
        can.latch([plc.STATUS_ID, plc.VOLTAGES_ID])
        can.push([plc.STATUS_CHANGED_ID], self._take_change)

    def listen(self, on_challenge: Callable[[Challenge], None], on_status: Callable[[PlcStatus], None]) -> None:
        if self._challenges is not None:
            self._challenges.cancel()
        self._on_challenge, self._on_status = on_challenge, on_status
        self._challenges = self._can.push([plc.CHALLENGE_ID], self._take_challenge)

    def answer(self, challenge: Challenge) -> None:
        response = plc.response(challenge.nonce, self._token)
        try:
            self._can.send(CanFrame(plc.ANSWER_ID, plc.encode_answer(plc.Reply(challenge.sequence, response))))
        except (LinkDown, TxFull):
            self.errors += 1

    async def permit(self, lease: Lease, token: int) -> None:
        lease.check()
        if self._granted and token == self._token:
            lease.touch()
            return
        if not 0 < token <= 0xFFFF:
            raise DeviceRefused(DEVICE, f"{token} is no run token; it has 16 bits and is not 0")
        self._permit, self._token = True, token
        try:
            await self._ask(lease, lambda flags: bool(flags & plc.PERMISSIVE))
        except BaseException:
            self.drop_permit()
            raise
        self._granted = True

    def drop_permit(self) -> None:
        self._permit = self._granted = False
        self._send_quietly()

    async def supply(self, lease: Lease, *, kl30: bool, kl15: bool) -> None:
        lease.check()
        self._kl30, self._kl15 = kl30, kl15
        wanted = kl30 * plc.KL30 | kl15 * plc.KL15
        await self._ask(lease, lambda flags: flags & (plc.KL30 | plc.KL15) == wanted)

    def supply_off(self) -> None:
        self._kl30 = self._kl15 = False
        self._send_quietly()

    def status(self) -> PlcStatus | None:
        self._look()
        return self._status

    async def voltages(self, within: Second) -> PlcVoltages:
        loop = asyncio.get_running_loop()
        called_s = loop.time()
        watch = AliveWatch(plc.VOLTAGES_PERIOD_S)
        last: CanFrame | None = None
        missing = "no voltages"
        while True:
            frame = self._can.newest(plc.VOLTAGES_ID)
            if frame is not None and frame is not last and frame.t_s > called_s:
                last = frame
                volts = plc.decode_voltages(frame.data)
                if volts is None or not watch.moved(volts.alive, frame.t_s):
                    self.errors += 1
                else:
                    u_pn, u_link, u_p_pe, u_n_pe, _ = volts
                    if u_pn is not None and u_link is not None and u_p_pe is not None and u_n_pe is not None:
                        return PlcVoltages(Volt(u_pn), Volt(u_link), Volt(u_p_pe), Volt(u_n_pe), frame.t_s)
                    missing = "not every voltage (measured or in range)"
            remaining_s = called_s + within - loop.time()
            if remaining_s <= 0.0:
                raise DeviceTimeout(DEVICE, f"{missing} within {within:g} s; check its supply and the CAN cable")
            await asyncio.sleep(min(plc.VOLTAGES_PERIOD_S, remaining_s))

    async def _ask(self, lease: Lease, done: Callable[[int], bool]) -> None:
        """Send what is wanted now and wait until the PLC, having read it, reports `done(flags)`."""
        sent_s = asyncio.get_running_loop().time()
        alive = self._send(lease)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while not self._settled(alive, sent_s, done):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._look()
            if not self._settled(alive, sent_s, done):
                text = f"did not do as asked within {ANSWER_WITHIN_S:g} s; check its supply and the CAN cable"
                raise DeviceTimeout(DEVICE, text) from None
        lease.touch()

    def _settled(self, alive: int, sent_s: float, done: Callable[[int], bool]) -> bool:
        """Whether the PLC has read request `alive`, or a later one, and done it.

        Raises:
            DeviceRefused: it has read exactly that one, and said no.
        """
        seen = self._seen
        if seen is None or self._status is None or self._status.t_s < sent_s:
            return False
        if (seen.echo - alive) & ALIVE_MASK > ALIVE_MASK // 2:
            return False
        if seen.echo == alive and seen.refusal is not Refusal.NONE:
            raise DeviceRefused(DEVICE, _REFUSED[seen.refusal])
        return done(seen.flags)

    def _send(self, lease: Lease | None) -> int:
        """Send the Request for what is wanted now; its alive counter."""
        if self._alive is None:
            self._look()
            self._alive = 0 if self._seen is None else self._seen.echo
        self._alive = self._alive + 1 & ALIVE_MASK
        request = plc.Request(self._permit, self._kl30, self._kl15, self._token, self._alive)
        self._can.send(CanFrame(plc.REQUEST_ID, plc.encode_request(request)), lease)
        return self._alive

    def _send_quietly(self) -> None:
        try:
            self._send(None)
        except (LinkDown, TxFull):
            self.errors += 1

    def _take_challenge(self, frame: CanFrame) -> None:
        question = plc.decode_challenge(frame.data)
        if question is None or question.sequence == self._sequence:
            self.errors += 1
            return
        self._sequence = question.sequence
        if self._seen is None or question.flags != self._seen.flags:
            self._look()
        if self._on_challenge is not None:
            self._on_challenge(Challenge(question.sequence, question.nonce, frame.t_s))

    def _take_change(self, frame: CanFrame) -> None:
        status = plc.decode_status(frame.data, plc.STATUS_CHANGED_ID)
        if status is None:
            self.errors += 1
            return
        self._accept(status, frame.t_s)

    def _look(self) -> None:
        """Take the newest cyclic Status, unless it was looked at already."""
        frame = self._can.newest(plc.STATUS_ID)
        if frame is None or frame is self._latched:
            return
        self._latched = frame
        if self._status is not None and frame.t_s <= self._status.t_s:
            return
        status = plc.decode_status(frame.data)
        if status is None or not self._status_alive.moved(status.alive, frame.t_s):
            self.errors += 1
            return
        self._accept(status, frame.t_s)

    def _accept(self, status: plc.Status, t_s: float) -> None:
        flags = status.flags
        changed = self._seen is None or (flags, status.cause) != (self._seen.flags, self._seen.cause)
        self._seen = status
        self._status = PlcStatus(
            guard_closed=bool(flags & plc.GUARD_CLOSED),
            estop_released=bool(flags & plc.ESTOP_RELEASED),
            permissive=bool(flags & plc.PERMISSIVE),
            tripped=bool(flags & plc.TRIPPED),
            cause=status.cause,
            kl30=bool(flags & plc.KL30),
            kl15=bool(flags & plc.KL15),
            coil_supply=bool(flags & plc.COIL_SUPPLY),
            discharging=bool(flags & plc.DISCHARGING),
            voltage_free=status.voltage_free,
            t_s=t_s,
        )
        if self._granted and not flags & plc.PERMISSIVE:
            self._permit = self._granted = False
        self._changed.set()
        if changed and self._on_status is not None:
            self._on_status(self._status)
