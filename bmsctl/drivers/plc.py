"""The safety PLC over CAN: asks for the permissive, answers the dead-man, believes only what the PLC reports.

Its cyclic Status is looked at for freshness, for the proof of no voltage, and when a challenge shows that a
StatusChanged was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink, Subscription
from bmsctl.domain.ports import Challenge, PlcStatus, PlcVoltages, StationSense
from bmsctl.domain.units import Celsius, Second, Volt
from bmsctl.drivers.station_bus import Frames, Reports
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, TxFull
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK, AliveWatch

DEVICE = "plc"
ANSWER_WITHIN_S = 0.25
SENSE_LOOK_S = 0.1

T = TypeVar("T")

_FRAMES = Frames(plc.REQUEST_ID, plc.STATUS_CHANGED_ID, plc.STATUS_ID, plc.STATUS_PERIOD_S, plc.decode_status)
_NO_ADAPTER = (plc.ADAPTER_NONE, plc.ADAPTER_SHORTED)
_REFUSED = {
    Refusal.GUARD_OPEN: "the guard is open; close it and reset the PLC",
    Refusal.ESTOP_PRESSED: "the emergency stop is pressed; release it and reset the PLC",
    Refusal.TRIPPED: "it has tripped; find the cause and reset it",
    Refusal.TOKEN_USED: "the run token was used before; start a new run",
    Refusal.NO_ANSWER: "its challenges are not answered; check the CAN cable",
    Refusal.STOPPING: "a safe stop is still running; try again when it has ended",
    Refusal.POLES_LIVE: "contactor coils stay cut: the outer poles are not below 60 V; find out what holds them there",
}


class CanPlc:
    """Implements Plc. `errors` counts damaged or repeated frames."""

    def __init__(self, can: CanLink) -> None:
        self._can = can
        self._reports = Reports(can, _FRAMES, self._accept)
        self._wanted = plc.Request(permit=False, kl30=False, kl15=False, coils=True, hvil=True, token=0, alive=0)
        self._granted = False
        self._seen: plc.Status | None = None
        self._status: PlcStatus | None = None
        self._voltages_alive = AliveWatch(plc.VOLTAGES_PERIOD_S)
        self._sense_alive = AliveWatch(plc.SENSE_PERIOD_S)
        self._sequence: int | None = None
        self._on_challenge: Callable[[Challenge], None] | None = None
        self._on_status: Callable[[PlcStatus], None] | None = None
        self._challenges: Subscription | None = None
        can.latch([plc.VOLTAGES_ID, plc.SENSE_ID])

    @property
    def errors(self) -> int:
        return self._reports.errors

    def listen(self, on_challenge: Callable[[Challenge], None], on_status: Callable[[PlcStatus], None]) -> None:
        if self._challenges is not None:
            self._challenges.cancel()
        self._on_challenge, self._on_status = on_challenge, on_status
        self._challenges = self._can.push([plc.CHALLENGE_ID], self._take_challenge)

    def answer(self, challenge: Challenge) -> None:
        response = plc.response(challenge.nonce, self._wanted.token)
        try:
            self._can.send(CanFrame(plc.ANSWER_ID, plc.encode_answer(plc.Reply(challenge.sequence, response))))
        except (LinkDown, TxFull):
            self._reports.errors += 1

    async def permit(self, lease: Lease, token: int) -> None:
        lease.check()
        if self._granted and token == self._wanted.token:
            lease.touch()
            return
        if not 0 < token <= 0xFFFF:
            raise DeviceRefused(DEVICE, f"{token} is no run token; it has 16 bits and is not 0")
        self._wanted = self._wanted._replace(permit=True, coils=True, token=token)
        try:
            await self._ask(lease, lambda flags: bool(flags & plc.PERMISSIVE))
        except BaseException:
            self.drop_permit()
            raise
        self._granted = True

    async def feed_coils(self, lease: Lease, on: bool) -> None:
        lease.check()
        if on and not self._granted:
            raise DeviceRefused(DEVICE, "contactor coils are fed only while high voltage is permitted")
        self._wanted = self._wanted._replace(coils=on)
        try:
            await self._ask(lease, lambda flags: bool(flags & plc.COIL_SUPPLY) is on)
        except BaseException:
            self._wanted = self._wanted._replace(coils=False)
            self._send_quietly()
            raise

    async def bridge_hvil(self, lease: Lease, closed: bool) -> float:
        lease.check()
        self._wanted = self._wanted._replace(hvil=closed)
        return await self._ask(lease, lambda flags: bool(flags & plc.HVIL_BRIDGED) is closed)

    def drop_permit(self) -> None:
        self._granted = False
        self._wanted = self._wanted._replace(permit=False)
        self._send_quietly()

    async def supply(self, lease: Lease, *, kl30: bool, kl15: bool) -> None:
        lease.check()
        self._wanted = self._wanted._replace(kl30=kl30, kl15=kl15)
        wanted = kl30 * plc.KL30 | kl15 * plc.KL15
        await self._ask(lease, lambda flags: flags & (plc.KL30 | plc.KL15) == wanted)

    def supply_off(self) -> None:
        # The interlock loop as at power-up: a run that ended with the loop open must not fail the next pack.
        self._wanted = self._wanted._replace(kl30=False, kl15=False, hvil=True)
        self._send_quietly()

    def status(self) -> PlcStatus | None:
        self._reports.look()
        return self._status

    async def voltages(self, within: Second) -> PlcVoltages:
        what = "set of voltages, all measured and in range,"
        return await self._next(plc.VOLTAGES_ID, self._read_voltages, what, within, plc.VOLTAGES_PERIOD_S)

    async def sense(self, within: Second) -> StationSense:
        return await self._next(plc.SENSE_ID, self._read_sense, "air temperature", within, SENSE_LOOK_S)

    async def _next(
        self, can_id: int, read: Callable[[CanFrame], T | None], what: str, within: Second, look_s: float
    ) -> T:
        """The first value that `read` finds in a cyclic frame received after the call, looked for every `look_s`."""
        loop = asyncio.get_running_loop()
        called_s = loop.time()
        last: CanFrame | None = None
        while True:
            frame = self._can.newest(can_id)
            if frame is not None and frame is not last and frame.t_s > called_s:
                last = frame
                value = read(frame)
                if value is not None:
                    return value
            remaining_s = called_s + within - loop.time()
            if remaining_s <= 0.0:
                raise DeviceTimeout(DEVICE, f"no {what} within {within:g} s; check its supply and the CAN cable")
            await asyncio.sleep(min(look_s, remaining_s))

    def _read_voltages(self, frame: CanFrame) -> PlcVoltages | None:
        volts = self._decoded(frame)
        if volts is None or None in volts[:4]:
            return None
        u_pn, u_link, u_p_pe, u_n_pe = (Volt(volt) for volt in volts[:4] if volt is not None)
        return PlcVoltages(u_pn, u_link, u_p_pe, u_n_pe, frame.t_s)

    def _decoded(self, frame: CanFrame) -> plc.Voltages | None:
        """The frame's voltages, None if it is damaged or repeated."""
        volts = plc.decode_voltages(frame.data)
        if volts is None or not self._voltages_alive.moved(volts.alive, frame.t_s):
            self._reports.errors += 1
            return None
        return volts

    def _read_sense(self, frame: CanFrame) -> StationSense | None:
        sense = plc.decode_sense(frame.data)
        if sense is None or not self._sense_alive.moved(sense.alive, frame.t_s):
            self._reports.errors += 1
            return None
        if sense.air_c is None:
            return None
        adapter = None if sense.adapter in _NO_ADAPTER else sense.adapter
        return StationSense(Celsius(sense.air_c), adapter, frame.t_s)

    async def _ask(self, lease: Lease, done: Callable[[int], bool]) -> float:
        """Send what is wanted now; when the PLC, having read it, reported `done(flags)`."""
        sent_s = asyncio.get_running_loop().time()
        alive = self._send(lease)
        try:
            reported_s = await self._reports.until(lambda seen: _obeys(seen, alive, done), sent_s, ANSWER_WITHIN_S)
        except TimeoutError:
            text = f"did not do as asked within {ANSWER_WITHIN_S:g} s; check its supply and the CAN cable"
            raise DeviceTimeout(DEVICE, text) from None
        lease.touch()
        return reported_s

    def _send(self, lease: Lease | None) -> int:
        """Send the Request for what is wanted now; its alive counter."""
        wanted = self._wanted
        return self._reports.request(lambda alive: plc.encode_request(wanted._replace(alive=alive)), lease)

    def _send_quietly(self) -> None:
        try:
            self._send(None)
        except (LinkDown, TxFull):
            self._reports.errors += 1

    def _take_challenge(self, frame: CanFrame) -> None:
        question = plc.decode_challenge(frame.data)
        if question is None or question.sequence == self._sequence:
            self._reports.errors += 1
            return
        self._sequence = question.sequence
        if self._seen is None or question.flags != self._seen.flags:
            self._reports.look()
        if self._on_challenge is not None:
            self._on_challenge(Challenge(question.sequence, question.nonce, frame.t_s))

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
            hvil_bridged=bool(flags & plc.HVIL_BRIDGED),
            discharging=bool(flags & plc.DISCHARGING),
            voltage_free=status.voltage_free,
            t_s=t_s,
        )
        if self._granted and not flags & plc.PERMISSIVE:
            self._granted = False
            self._wanted = self._wanted._replace(permit=False)
        if changed and self._on_status is not None:
            self._on_status(self._status)


def _obeys(seen: plc.Status, alive: int, done: Callable[[int], bool]) -> bool:
    """Whether the PLC has read request `alive`, or a later one, and done it.

    Raises:
        DeviceRefused: it has read exactly that one, and said no.
    """
    if (seen.echo - alive) & ALIVE_MASK > ALIVE_MASK // 2:
        return False
    if seen.echo == alive and seen.refusal is not Refusal.NONE:
        raise DeviceRefused(DEVICE, _REFUSED[seen.refusal])
    return done(seen.flags)
