"""The pressure-decay leak tester, over Modbus RTU.

Modbus answers carry no number. Before each question the station therefore writes a tag, and the tester's blocks begin
with it: an answer that comes late is never taken for the next. A test is started by its number, so that a start whose
answer was lost can be sent again and still starts one test. Samples are asked for from the first one missing on, so
that what was lost on the line comes with the next answer.

A pack that leaks badly is measured like any other, and so is one that could not be filled whole: the decay says how
badly. Only where filling raises no pressure at all there is nothing to measure: no part is connected, or it is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import math

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import LeakTest, PressureDecay
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import leak_tester, modbus_rtu
from bmsctl.protocols.leak_tester import Phase, Result, Sample, Settings, StatusBlock
from bmsctl.protocols.modbus_rtu import ExceptionCode, ExceptionResponse, Function, Replies, Reply, Request

DEVICE = "leak_tester"
ANSWER_WITHIN_S = 0.2
ATTEMPTS = 3
POLL_S = 1.0
VENT_POLL_S = 0.2
LATE_S = 5.0
"""A phase may take so much longer than it was set to."""
VENTED_WITHIN_S = 20.0
STUCK_SAMPLES = 20
"""So many identical pressures are not measured: their noise exceeds the resolution."""

ATMOSPHERE_PA = (60e3, 110e3)
TEMPERATURE_C = (-10.0, 60.0)
PRESSURE_SHARE = (-0.2, 1.5)
"""What can be: of the atmosphere, of the air in a pack, and of the test pressure."""

_EXCEPTIONS = {
    ExceptionCode.ILLEGAL_FUNCTION: "does not know this function; its firmware does not fit",
    ExceptionCode.ILLEGAL_ADDRESS: "has no such register; its firmware does not fit",
    ExceptionCode.ILLEGAL_VALUE: "does not take these settings; check channel, pressure and times in the recipe",
    ExceptionCode.DEVICE_FAILURE: "reports a failure of its own; see its display",
    ExceptionCode.BUSY: "is still testing or venting; end its test and start again",
}


class ModbusLeakTester:
    """Implements LeakTester. `strays`: whole answers that nobody waited for."""

    def __init__(self, serial: SerialLink) -> None:
        self._serial = serial
        self._replies = Replies()
        self._waiting: asyncio.Future[Reply | ExceptionResponse] | None = None
        self._tag = 0
        self._wanted_tag: int | None = None
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Bytes that were no answer."""
        return self._replies.damaged

    async def identify(self, lease: Lease) -> str:
        block = await self._ask(lease, Function.READ_INPUT, leak_tester.IDENTITY, leak_tester.IDENTITY_COUNT)
        try:
            return leak_tester.decode_identity(block)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"{error}; check its firmware") from None

    async def test(self, lease: Lease, wanted: LeakTest) -> PressureDecay:
        """As the port says.

        Raises:
            DeviceRefused: also when its test was stopped by hand.
            DeviceRestarted: it restarted meanwhile; restarting vents.
            DeviceTimeout: it is silent, or hangs in a phase.
        """
        settings = Settings(wanted.channel, wanted.pressure, wanted.fill, wanted.settle, wanted.test)
        await self._set_up(lease, settings)
        number = (await self._status(lease, 0)).test % leak_tester.TESTS + 1
        try:
            await self._write(lease, leak_tester.TEST, (number,))
            samples = await self._record(lease, settings, number)
        except BaseException:
            self.off()
            raise
        return _decay(samples, settings)

    async def vented(self, lease: Lease) -> None:
        await self._write(lease, leak_tester.TEST, (leak_tester.STOP,))
        loop = asyncio.get_running_loop()
        vented_s = loop.time() + VENTED_WITHIN_S
        while True:
            status = await self._status(lease, 0)
            if status.phase is Phase.VENTED and abs(status.pressure_pa) <= leak_tester.VENTED_PA:
                return
            if loop.time() > vented_s:
                text = (
                    f"does not vent, {status.pressure_pa:.0f} Pa are left; touch neither hose nor cover, vent by hand"
                )
                raise DeviceTimeout(DEVICE, text)
            lease.quiet_for(VENT_POLL_S)
            await asyncio.sleep(VENT_POLL_S)

    def off(self) -> None:
        stop = modbus_rtu.write(leak_tester.UNIT, leak_tester.TEST, (leak_tester.STOP,))
        with contextlib.suppress(LinkDown, TxFull):
            self._serial.write(modbus_rtu.encode_request(stop))

    async def _set_up(self, lease: Lease, settings: Settings) -> None:
        """Write the settings and read them back."""
        try:
            registers = leak_tester.encode_settings(settings)
        except ValueError as error:
            raise DeviceRefused(DEVICE, str(error)) from None
        await self._write(lease, leak_tester.SETTINGS, registers)
        block = await self._ask(lease, Function.READ_HOLDING, leak_tester.TAG, leak_tester.HOLDING_COUNT)
        if block[leak_tester.SETTINGS :] != registers:
            shown = leak_tester.decode_settings(block[leak_tester.SETTINGS :])
            raise ReplyInvalid(DEVICE, f"has the settings {shown} instead of {settings}; check for a second master")

    async def _record(self, lease: Lease, settings: Settings, number: int) -> list[Sample]:
        """All samples of the test that runs, once the volume is vented.

        Raises:
            DeviceRefused, DeviceRestarted, DeviceTimeout: as `test`.
            ReplyInvalid: samples are missing.
        """
        loop = asyncio.get_running_loop()
        tested_s = loop.time() + settings.fill_s + settings.settle_s + settings.test_s + LATE_S
        samples: list[Sample] = []
        while True:
            status = await self._status(lease, len(samples))
            _check_running(status, number)
            if status.first == len(samples):
                samples.extend(status.samples)
            if status.phase is Phase.VENTED and len(samples) >= status.taken:
                break
            if loop.time() > tested_s + (VENTED_WITHIN_S if status.phase is Phase.VENT else 0.0):
                text = f"is still in phase {status.phase.name.lower()}; see its display, vent the part by hand"
                raise DeviceTimeout(DEVICE, text)
            if len(samples) >= status.taken:
                lease.quiet_for(POLL_S)
                await asyncio.sleep(POLL_S)
        _check_result(status)
        if len(samples) != settings.samples:
            raise ReplyInvalid(DEVICE, f"has taken {len(samples)} samples instead of {settings.samples}; test again")
        return samples

    async def _status(self, lease: Lease, first: int) -> StatusBlock:
        block = await self._ask(lease, Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT, first)
        try:
            return leak_tester.decode_status(block)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"{error}; check its firmware") from None

    async def _ask(self, lease: Lease, function: Function, address: int, count: int, first: int = 0) -> tuple[int, ...]:
        """A block that begins with the tag written just before."""
        error: DeviceError | None = None
        for _ in range(ATTEMPTS):
            self._tag = self._tag % 0xFFFF + 1
            try:
                await self._exchange(lease, modbus_rtu.write(leak_tester.UNIT, leak_tester.TAG, (self._tag, first)))
                question = modbus_rtu.read(leak_tester.UNIT, function, address, count)
                return (await self._exchange(lease, question, self._tag)).values
            except (DeviceTimeout, ReplyInvalid) as failure:
                error = failure
        assert error is not None
        raise error

    async def _write(self, lease: Lease, address: int, values: tuple[int, ...]) -> None:
        """Write registers; again when no answer comes, which changes nothing."""
        error: DeviceError | None = None
        for _ in range(ATTEMPTS):
            try:
                await self._exchange(lease, modbus_rtu.write(leak_tester.UNIT, address, values))
            except (DeviceTimeout, ReplyInvalid) as failure:
                error = failure
            else:
                return
        assert error is not None
        raise error

    async def _exchange(self, lease: Lease, request: Request, tag: int | None = None) -> Reply:
        """One request and its answer, which begins with `tag`."""
        lease.check()
        damaged = self.damaged
        self._replies.expect(request)
        self._wanted_tag = tag
        waiting: asyncio.Future[Reply | ExceptionResponse] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        try:
            self._serial.write(modbus_rtu.encode_request(request), lease)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reply = await waiting
        except TimeoutError:
            if self.damaged != damaged:
                raise ReplyInvalid(DEVICE, "its answer is damaged; check the cable for noise") from None
            raise DeviceTimeout(DEVICE, f"no answer within {ANSWER_WITHIN_S:g} s; check cable and supply") from None
        finally:
            # After an abort it may be the safety action's question that waits.
            if self._waiting is waiting:
                self._replies.expect(None)
                self._waiting = None
        lease.touch()
        if isinstance(reply, ExceptionResponse):
            raise DeviceRefused(DEVICE, _EXCEPTIONS.get(reply.code, f"refuses with code {reply.code}"))
        return reply

    def _take(self, data: bytes, t_s: float) -> None:
        for reply in self._replies.feed(data):
            tag = self._wanted_tag
            stale = isinstance(reply, Reply) and tag is not None and reply.values[0] != tag
            if stale or self._waiting is None or self._waiting.done():
                self.strays += 1
            else:
                self._waiting.set_result(reply)


def _check_running(status: StatusBlock, number: int) -> None:
    """Raise unless it is this test that runs, or has ended by itself."""
    if status.test == number:
        return
    if status.result is Result.STOPPED:
        raise DeviceRefused(DEVICE, "its test was stopped; test again")
    raise DeviceRestarted(DEVICE, "has restarted and lost its test; check its supply")


def _check_result(status: StatusBlock) -> None:
    """Raise unless a decay was recorded."""
    if status.result is Result.NO_PRESSURE:
        text = "filling raised no pressure: nothing is connected, or it is open; check hose, plugs and cover"
        raise DeviceRefused(DEVICE, text)
    if status.result not in (Result.DONE, Result.GROSS_LEAK):
        raise DeviceRefused(DEVICE, f"its test ended as {status.result.name.lower()}; test again")


def _decay(samples: list[Sample], settings: Settings) -> PressureDecay:
    """The samples as arrays.

    Raises:
        ReplyInvalid: a value cannot be, or the pressure is stuck.
    """
    pressure_pa, temperature_c, atmosphere_pa = np.array(samples).T.copy()
    of_test = pressure_pa / settings.pressure_pa if settings.pressure_pa else np.full(len(samples), math.nan)
    for what, values, (low, high) in (
        ("pressure is no", of_test, PRESSURE_SHARE),
        ("temperature is no", temperature_c, TEMPERATURE_C),
        ("atmosphere is no", atmosphere_pa, ATMOSPHERE_PA),
    ):
        if not ((low <= values) & (values <= high)).all():
            raise ReplyInvalid(DEVICE, f"a sample's {what} possible one; check its transducers")
    same = np.flatnonzero(np.diff(pressure_pa))
    longest = int(np.diff(np.concatenate(([-1], same, [len(pressure_pa) - 1]))).max())
    if longest >= STUCK_SAMPLES:
        raise ReplyInvalid(DEVICE, f"stuck: {longest} identical pressures; check its transducer")
    time_s = leak_tester.SAMPLE_S * np.arange(len(samples), dtype=np.float64)
    return PressureDecay(time_s, pressure_pa, temperature_c, atmosphere_pa)
