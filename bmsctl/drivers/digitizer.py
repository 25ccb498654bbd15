"""The digitizer front end over its serial line: queries matched by sequence number, recordings without a gap."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable, Set
from typing import TypeVar

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import F64, DigitizerReading, Recording, Resistor
from bmsctl.domain.units import Volt
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import digitizer
from bmsctl.protocols.digitizer import BAUD, OFF_SEQUENCE, SAMPLE_RATE_HZ, Command, ErrorCode, Message, Order

DEVICE = "digitizer"
ANSWER_WITHIN_S = 0.1
ATTEMPTS = 2
BITS_PER_BYTE = 10
FIRST_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Room for so many before a recording is first moved to more."""
STUCK_SAMPLES = 20
"""So many identical samples are not measured: their noise exceeds the step of the converter."""

Answer = TypeVar("Answer", digitizer.Identity, digitizer.Mean, digitizer.Started, digitizer.Stopped, digitizer.Inserted)

_CHANNELS = ("v_pos", "v_neg", "v_link")

_REFUSED = {
    ErrorCode.UNKNOWN_COMMAND: "does not know this command; its firmware is too old",
    ErrorCode.WRONG_LENGTH: "read a command of another length; its firmware does not fit",
    ErrorCode.OUT_OF_RANGE: f"takes 1 to {digitizer.MEAN_SAMPLES_MAX} samples",
    ErrorCode.BUSY: "has not finished the last insertion",
}


class Recorder:
    """The samples of one recording, converted as their blocks come: a loop must not stand still for all at once."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.samples = 0
        self._gapless = True
        self._over_range = 0
        self._volts = np.empty((digitizer.CHANNELS, FIRST_SAMPLES))
        self._t0_s = math.inf

    def add(self, block: digitizer.Block, t_s: float) -> None:
        """Take a block whose last byte arrived at `t_s`; the least delayed one dates the first sample."""
        self._gapless &= block.first == self.samples
        self.samples = block.first + block.samples
        self._over_range |= block.over_range
        if self._gapless:
            self._keep(digitizer.samples_v(block.raw))
        on_line_s = len(block.raw) * BITS_PER_BYTE / BAUD
        self._t0_s = min(self._t0_s, t_s - on_line_s - (self.samples - 1) / SAMPLE_RATE_HZ)

    def _keep(self, block_v: F64) -> None:
        """Append (n, 3) volts that end at `samples`."""
        if self.samples > self._volts.shape[1]:
            grown = np.empty((digitizer.CHANNELS, 2 * self.samples))
            grown[:, : self._volts.shape[1]] = self._volts
            self._volts = grown
        self._volts[:, self.samples - len(block_v) : self.samples] = block_v.T

    def finish(self, sent: int) -> Recording:
        """The recording, if it holds all that the device says it has sent.

        Raises:
            ReplyInvalid: it does not, or a channel was over range or stuck.
        """
        if not self._gapless or self.samples != sent:
            raise ReplyInvalid(DEVICE, f"samples are missing from a recording of {sent}; check the cable")
        if self._over_range:
            raise ReplyInvalid(DEVICE, _over_range(self._over_range))
        v_pos_v, v_neg_v, v_link_v = channels_v = self._volts[:, :sent]
        if sent >= STUCK_SAMPLES:
            _check_moving(np.ptp(channels_v, axis=1).tolist(), sent)
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
        self._inserted = False
        self._inserted_s = 0.0
        self._lost = False
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Frames dropped because they failed their check."""
        return self._deframer.damaged

    async def identify(self, lease: Lease) -> str:
        identity = await self._query(lease, Order(Command.IDENTIFY, 0), digitizer.Identity)
        return f"{identity.serial} firmware {identity.firmware}"

    async def mean(self, lease: Lease, n: int) -> DigitizerReading:
        if not 1 <= n <= digitizer.MEAN_SAMPLES_MAX:
            raise DeviceRefused(DEVICE, _REFUSED[ErrorCode.OUT_OF_RANGE])
        mean = await self._query(lease, Order(Command.MEAN, 0, n), digitizer.Mean)
        if mean.n != n:
            raise ReplyInvalid(DEVICE, f"averaged {mean.n} samples instead of {n}")
        if mean.over_range:
            raise ReplyInvalid(DEVICE, _over_range(mean.over_range))
        if n >= STUCK_SAMPLES:
            _check_moving(mean.sd_v, n)
        v_pos, v_neg, v_link = mean.mean_v
        return DigitizerReading(Volt(v_pos), Volt(v_neg), Volt(v_link), Volt(max(mean.sd_v)), n)

    async def start(self, lease: Lease) -> None:
        self._recorder, self._recording_lease = None, lease
        await self._query(lease, Order(Command.START, 0), digitizer.Started)

    async def finish(self, lease: Lease) -> Recording:
        recorder = self._recorder
        if recorder is None:
            raise DeviceRefused(DEVICE, "nothing is being recorded")
        stopped = await self._query(lease, Order(Command.STOP, 0), digitizer.Stopped)
        self._recorder = None
        return recorder.finish(stopped.samples)

    async def insert(self, lease: Lease, resistor: Resistor | None) -> float:
        lease.check()
        self._inserted = True
        order = Order(Command.INSERT, 0, resistor=resistor)
        inserted = await self._query(lease, order, digitizer.Inserted, attempts=1)
        wanted = frozenset() if resistor is None else frozenset({resistor})
        if inserted.resistors != wanted:
            text = f"feedback shows {_names(inserted.resistors)} instead of {_names(wanted)}; a relay is stuck"
            raise DeviceRefused(DEVICE, text)
        self._inserted = resistor is not None
        return self._inserted_s

    def stop(self) -> None:
        self._recorder = None
        self._inserted = self._lost = False
        with contextlib.suppress(LinkDown, TxFull):
            self._write(Order(Command.STOP, OFF_SEQUENCE), None)

    async def _query(self, lease: Lease, order: Order, answer: type[Answer], attempts: int = ATTEMPTS) -> Answer:
        """Send an order under a sequence of its own until an `answer` comes.

        Twice: a query changes nothing that asking again would harm. What moves a relay is asked for once.

        Raises:
            DeviceRestarted: a recording or a resistor has been lost since the last query.
        """
        command = order.command.name.lower()
        within_s = ANSWER_WITHIN_S + order.n / SAMPLE_RATE_HZ
        error: DeviceError | None = None
        for _ in range(attempts):
            self._check_not_lost()
            sequence = self._sequence = self._sequence % 0xFF + 1
            self._write(order._replace(sequence=sequence), lease)
            waiting = self._waiting[sequence] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within_s):
                    message = await waiting
            except TimeoutError:
                error = DeviceTimeout(DEVICE, f"no answer to {command} within {within_s:g} s; check the cable")
                continue
            finally:
                del self._waiting[sequence]
            if isinstance(message, digitizer.Failed):
                raise DeviceRefused(DEVICE, _REFUSED[message.error])
            if isinstance(message, answer):
                lease.touch()
                return message
            error = ReplyInvalid(DEVICE, f"the answer to {command} fails its check; check the cable for noise")
        self._check_not_lost()
        assert error is not None
        raise error

    def _check_not_lost(self) -> None:
        if self._lost:
            self._lost = self._inserted = False
            self._recorder = None
            raise DeviceRestarted(DEVICE, "has restarted and lost its recording or resistor; check its supply")

    def _write(self, order: Order, lease: Lease | None) -> None:
        self._serial.write(digitizer.frame(digitizer.encode_command(order)), lease)

    def _take(self, data: bytes, t_s: float) -> None:
        damaged = self._deframer.damaged
        for payload in self._deframer.feed(data):
            message = digitizer.decode_message(payload)
            if isinstance(message, digitizer.Block):
                self._take_block(message, t_s)
            elif isinstance(message, digitizer.Restarted):
                self._lost = self._inserted or self._recorder is not None
                self._give_up_waiting()
            elif message is None or not self._take_answer(message, t_s):
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

    def _take_answer(self, message: Message, t_s: float) -> bool:
        """Whether someone waits for it. A recording begins with its answer, before its first block can come."""
        if message.sequence == OFF_SEQUENCE:
            return True
        waiting = self._waiting.get(message.sequence)
        if waiting is None or waiting.done():
            return False
        if isinstance(message, digitizer.Started):
            self._recorder = Recorder(message.sequence)
        elif isinstance(message, digitizer.Inserted):
            self._inserted_s = t_s
        waiting.set_result(message)
        return True

    def _give_up_waiting(self) -> None:
        """What was lost may have been any of the answers awaited."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)


def _over_range(channels: int) -> str:
    names = [name for bit, name in enumerate(_CHANNELS) if channels >> bit & 1]
    return f"over range on {', '.join(names)}"


def _check_moving(spread_v: Iterable[float], n: int) -> None:
    """Raise ReplyInvalid for a channel whose `n` samples have no spread: standard deviation, or range."""
    stuck = [name for name, spread in zip(_CHANNELS, spread_v, strict=True) if spread == 0.0]
    if stuck:
        raise ReplyInvalid(DEVICE, f"stuck: {n} identical samples on {', '.join(stuck)}")


def _names(resistors: Set[Resistor]) -> str:
    return " + ".join(sorted(resistors)) or "no resistor"
