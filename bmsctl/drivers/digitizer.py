"""The digitizer front end over its serial line: queries matched by sequence number, recordings without a gap."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TypeVar

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import DigitizerReading, Recording
from bmsctl.domain.units import Volt
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import digitizer
from bmsctl.protocols.digitizer import BAUD, SAMPLE_RATE_HZ, Command, ErrorCode, Message

DEVICE = "digitizer"
ANSWER_WITHIN_S = 0.1
ATTEMPTS = 2
BITS_PER_BYTE = 10

Answer = TypeVar("Answer", digitizer.Identity, digitizer.Mean, digitizer.Started, digitizer.Stopped)

_REFUSED = {
    ErrorCode.UNKNOWN_COMMAND: "does not know this command; its firmware is too old",
    ErrorCode.WRONG_LENGTH: "read a command of another length; its firmware does not fit",
    ErrorCode.OUT_OF_RANGE: f"takes 1 to {digitizer.MEAN_SAMPLES_MAX} samples",
}


class Recorder:
    """The blocks of one recording, in the order they came."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.samples = 0
        self._gapless = True
        self._over_range = 0
        self._raw: list[bytes] = []
        self._t0_s = math.inf

    def add(self, block: digitizer.Block, t_s: float) -> None:
        """Take a block whose last byte arrived at `t_s`; the least delayed one dates the first sample."""
        self._gapless &= block.first == self.samples
        self.samples = block.first + block.samples
        self._over_range |= block.over_range
        self._raw.append(block.raw)
        on_line_s = len(block.raw) * BITS_PER_BYTE / BAUD
        self._t0_s = min(self._t0_s, t_s - on_line_s - (self.samples - 1) / SAMPLE_RATE_HZ)

    def finish(self, sent: int) -> Recording:
        """The recording, if it holds all that the device says it has sent.

        Raises:
            ReplyInvalid: it does not, or a channel was over range.
        """
        if not self._gapless or self.samples != sent:
            raise ReplyInvalid(DEVICE, f"samples are missing from a recording of {sent}; check the cable")
        if self._over_range:
            raise ReplyInvalid(DEVICE, _over_range(self._over_range))
        samples_v = digitizer.samples_v(b"".join(self._raw))
        v_pos_v, v_neg_v, v_link_v = samples_v.T.copy()
        return Recording(v_pos_v, v_neg_v, v_link_v, float(SAMPLE_RATE_HZ), self._t0_s)


class SerialDigitizer:
    """Implements Digitizer. `strays`: whole messages that nobody had asked for, or no longer."""

    def __init__(self, serial: SerialLink) -> None:
        self._serial = serial
        self._deframer = digitizer.Deframer()
        self._sequence = 0
        self._waiting: dict[int, asyncio.Future[Message | None]] = {}
        self._recorder: Recorder | None = None
        self._recording_lease: Lease | None = None
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Frames dropped because they failed their check."""
        return self._deframer.damaged

    async def identify(self, lease: Lease) -> str:
        identity = await self._query(lease, Command.IDENTIFY, digitizer.Identity)
        return f"{identity.serial} firmware {identity.firmware}"

    async def mean(self, lease: Lease, n: int) -> DigitizerReading:
        if not 1 <= n <= digitizer.MEAN_SAMPLES_MAX:
            raise DeviceRefused(DEVICE, _REFUSED[ErrorCode.OUT_OF_RANGE])
        mean = await self._query(lease, Command.MEAN, digitizer.Mean, n)
        if mean.n != n:
            raise ReplyInvalid(DEVICE, f"averaged {mean.n} samples instead of {n}")
        if mean.over_range:
            raise ReplyInvalid(DEVICE, _over_range(mean.over_range))
        v_pos, v_neg, v_link = mean.mean_v
        return DigitizerReading(Volt(v_pos), Volt(v_neg), Volt(v_link), Volt(max(mean.sd_v)), n)

    async def start(self, lease: Lease) -> None:
        self._recorder, self._recording_lease = None, lease
        await self._query(lease, Command.START, digitizer.Started)

    async def finish(self, lease: Lease) -> Recording:
        recorder = self._recorder
        if recorder is None:
            raise DeviceRefused(DEVICE, "nothing is being recorded")
        stopped = await self._query(lease, Command.STOP, digitizer.Stopped)
        self._recorder = None
        return recorder.finish(stopped.samples)

    def stop(self) -> None:
        self._recorder = None
        with contextlib.suppress(LinkDown, TxFull):
            self._write(Command.STOP, 0, None)

    async def _query(self, lease: Lease, command: Command, answer: type[Answer], n: int = 0) -> Answer:
        """Ask until an `answer` comes; twice, for a query changes nothing that asking again would harm."""
        within_s = ANSWER_WITHIN_S + n / SAMPLE_RATE_HZ
        error: DeviceError | None = None
        for _ in range(ATTEMPTS):
            sequence = self._write(command, n, lease)
            waiting = self._waiting[sequence] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within_s):
                    message = await waiting
            except TimeoutError:
                error = DeviceTimeout(
                    DEVICE, f"no answer to {command.name.lower()} within {within_s:g} s; check the cable"
                )
                continue
            finally:
                del self._waiting[sequence]
            if isinstance(message, digitizer.Failed):
                raise DeviceRefused(DEVICE, _REFUSED[message.error])
            if isinstance(message, answer):
                lease.touch()
                return message
            error = ReplyInvalid(
                DEVICE, f"the answer to {command.name.lower()} fails its check; check the cable for noise"
            )
        assert error is not None
        raise error

    def _write(self, command: Command, n: int, lease: Lease | None) -> int:
        """Send a command; its sequence number."""
        sequence = self._sequence = self._sequence + 1 & 0xFF
        order = digitizer.Order(command, sequence, n)
        self._serial.write(digitizer.frame(digitizer.encode_command(order)), lease)
        return sequence

    def _take(self, data: bytes, t_s: float) -> None:
        damaged = self._deframer.damaged
        for payload in self._deframer.feed(data):
            message = digitizer.decode_message(payload)
            if isinstance(message, digitizer.Block):
                self._take_block(message, t_s)
            elif message is None or not self._take_answer(message):
                self.strays += 1
        if self._deframer.damaged != damaged:
            self._give_up_waiting()

    def _take_block(self, block: digitizer.Block, t_s: float) -> None:
        recorder = self._recorder
        if recorder is None or block.sequence != recorder.sequence:
            self.strays += 1
            return
        recorder.add(block, t_s)
        if self._recording_lease is not None:
            self._recording_lease.touch()

    def _take_answer(self, message: Message) -> bool:
        """Whether someone waits for it. A recording begins with its answer, before its first block can come."""
        waiting = self._waiting.get(message.sequence)
        if waiting is None or waiting.done():
            return False
        if isinstance(message, digitizer.Started):
            self._recorder = Recorder(message.sequence)
        waiting.set_result(message)
        return True

    def _give_up_waiting(self) -> None:
        """A damaged frame may have been any of the answers awaited."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)


def _over_range(channels: int) -> str:
    names = [name for bit, name in enumerate(("v_pos", "v_neg", "v_link")) if channels >> bit & 1]
    return f"over range on {', '.join(names)}"
