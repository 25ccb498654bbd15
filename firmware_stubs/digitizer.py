"""Firmware of the digitizer front end: three channels through a low pass into a 16-bit converter at 10 kHz.

Nothing runs between samples: what a command or a block needs is taken from the plant when its last sample is
due. Sample `k` is always the same, whoever asks for it.
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bmsctl.protocols import digitizer
from bmsctl.protocols.digitizer import BLOCK_SAMPLES, CHANNELS, LSB_V, OFF_SEQUENCE, SAMPLE_RATE_HZ, Command
from firmware_stubs.digitizer_relays import ResistorRelays, SwitchedPlant
from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Element, Node
from firmware_stubs.ports import SerialPort

F64 = NDArray[np.float64]

SERIAL = "DIG3-000017"
FIRMWARE = "1.4.2"
LATENCY_S = 0.001
BOOT_S = 0.4
LOW_PASS_S = 160e-6
NOISE_V = 0.05
GAIN_SD = 5e-4
OFFSET_SD_V = 0.02

READ_AHEAD = 8192
"""Deviates computed at once: a recording reads them in order."""

_PAST = 23
"""Samples before the newest that still show after the low pass, to 1e-6."""
_WEIGHTS: F64 = np.exp(np.arange(-_PAST, 1.0) / (LOW_PASS_S * SAMPLE_RATE_HZ))
_WEIGHTS /= _WEIGHTS.sum()
_INPUTS = ((Node.P, Node.PE), (Node.N, Node.PE), (Node.LINK, Node.N))


class SampledPlant(SwitchedPlant, Protocol):
    """What the front end is connected to."""

    def waveform(self, t_s: F64, a: Node, b: Node) -> F64: ...
    def closed(self, element: Element) -> bool: ...


class Converter:
    """Inputs, low pass and converter. The pole inputs are dead while the matrix does not route them."""

    def __init__(self, plant: SampledPlant, seed: int, start_s: float) -> None:
        self._plant = plant
        self._start_s = start_s
        errors = draw(seed, "digitizer.channels").standard_normal((2, CHANNELS))
        self._filters: list[F64] = [_WEIGHTS * gain for gain in (1.0 + GAIN_SD * errors[0]) / LSB_V]
        self._offset = OFFSET_SD_V / LSB_V * errors[1]
        self._noise = Noise(seed, "digitizer.samples", READ_AHEAD)

    def time_s(self, sample: int) -> float:
        """When a sample is taken."""
        return self._start_s + sample / SAMPLE_RATE_HZ

    def due(self, now_s: float) -> int:
        """Number of the first sample not taken by `now_s`."""
        return math.floor((now_s - self._start_s) * SAMPLE_RATE_HZ + 1e-6) + 1

    def counts(self, first: int, count: int) -> NDArray[np.int16]:
        """Samples `first` to `first + count - 1`, all of them due, (count, 3), held within the range."""
        times_s = np.arange(first - _PAST, first + count) / SAMPLE_RATE_HZ
        if first < _PAST:
            np.maximum(times_s, 0.0, out=times_s)
        times_s += self._start_s
        sampled = self._noise.normal(CHANNELS * first, CHANNELS * count).reshape(count, CHANNELS)
        sampled *= NOISE_V / LSB_V
        sampled += self._offset
        routed = self._plant.closed(Element.DIGITIZER)
        for channel, (a, b) in enumerate(_INPUTS):
            if routed or a is Node.LINK:
                sampled[:, channel] += np.correlate(
                    self._plant.waveform(times_s, a, b), self._filters[channel], "valid"
                )
        np.rint(sampled, out=sampled)
        np.maximum(sampled, digitizer.COUNTS_MIN, out=sampled)
        np.minimum(sampled, digitizer.COUNTS_MAX, out=sampled)
        return sampled.astype(np.int16)


def over_range(counts: NDArray[np.int16]) -> int:
    """Bit per channel that touches an end of the range."""
    if counts.min() > digitizer.COUNTS_MIN and counts.max() < digitizer.COUNTS_MAX:
        return 0
    ends = (counts == digitizer.COUNTS_MIN) | (counts == digitizer.COUNTS_MAX)
    return sum(1 << channel for channel, touched in enumerate(ends.any(axis=0).tolist()) if touched)


class DigitizerStub:
    """One front end on a serial line; build it inside a running loop.

    `relays`: those of its resistors.
    """

    def __init__(self, port: SerialPort, plant: SampledPlant, seed: int) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._converter = Converter(plant, seed, self._loop.time())
        self._deframer = digitizer.Deframer()
        self.relays = ResistorRelays(plant, seed)
        self._frozen_at: int | None = None
        self._power_ups = 0
        self._booting = False
        self._sequence = 0
        self._first = 0
        self._sent = 0
        self._block_due: asyncio.TimerHandle | None = None
        port.listen(self._take)

    def freeze(self, on: bool) -> None:
        """The converter hangs and delivers its newest sample again and again, or recovers."""
        self._frozen_at = self._converter.due(self._loop.time()) - 1 if on else None

    def restart(self) -> None:
        """Power was lost and came back: recording and resistors are gone, and what was under way."""
        self.relays.drop()
        self._end_blocks()
        self._power_ups += 1
        self._booting = True
        self._loop.call_later(BOOT_S, self._up, self._power_ups)

    def _up(self, power_up: int) -> None:
        if power_up == self._power_ups:
            self._booting = False
            self._deframer = digitizer.Deframer()
            self._sent = 0
            self._answer(digitizer.Restarted(OFF_SEQUENCE))

    def _take(self, data: bytes) -> None:
        if self._booting:
            return
        for payload in self._deframer.feed(data):
            order = digitizer.decode_command(payload)
            if isinstance(order, digitizer.Failed):
                self._answer(order)
            elif order is not None:
                self._obey(order)

    def _obey(self, order: digitizer.Order) -> None:
        if order.command is Command.IDENTIFY:
            self._answer(digitizer.Identity(order.sequence, SERIAL, FIRMWARE))
        elif order.command is Command.MEAN:
            first = self._converter.due(self._loop.time())
            last_s = self._converter.time_s(first + order.n - 1)
            self._loop.call_at(last_s, self._answer_mean, order, first, self._power_ups)
        elif order.command is Command.START:
            self._start(order.sequence)
        elif order.command is Command.INSERT:
            self._insert(order)
        else:
            self._stop(order.sequence)

    def _answer(self, message: digitizer.Message, delay_s: float = LATENCY_S) -> None:
        self._port.emit(digitizer.frame(digitizer.encode_message(message)), delay_s)

    def _insert(self, order: digitizer.Order) -> None:
        if self.relays.busy:
            self._answer(digitizer.Failed(order.sequence, order.command, digitizer.ErrorCode.BUSY))
        else:
            self.relays.insert(order.resistor, partial(self._answer_insert, order.sequence, self._power_ups))

    def _answer_insert(self, sequence: int, power_up: int) -> None:
        if power_up == self._power_ups:
            self._answer(digitizer.Inserted(sequence, self.relays.closed))

    def _counts(self, first: int, count: int) -> NDArray[np.int16]:
        """Samples as the converter delivers them."""
        if self._frozen_at is None:
            return self._converter.counts(first, count)
        return np.repeat(self._converter.counts(self._frozen_at, 1), count, axis=0)

    def _answer_mean(self, order: digitizer.Order, first: int, power_up: int) -> None:
        if power_up != self._power_ups:
            return  # the power failed meanwhile
        counts = self._counts(first, order.n)
        mean_v = (counts.mean(axis=0) * LSB_V).tolist()
        sd_v = (counts.std(axis=0) * LSB_V).tolist()
        self._answer(
            digitizer.Mean(
                order.sequence,
                order.n,
                over_range(counts),
                (mean_v[0], mean_v[1], mean_v[2]),
                (sd_v[0], sd_v[1], sd_v[2]),
            )
        )

    def _start(self, sequence: int) -> None:
        self._end_blocks()
        self._sequence = sequence
        self._first = self._converter.due(self._loop.time())
        self._sent = 0
        self._answer(digitizer.Started(sequence), 0.0)
        self._await_block()

    def _await_block(self) -> None:
        last = self._first + self._sent + BLOCK_SAMPLES - 1
        self._block_due = self._loop.call_at(self._converter.time_s(last), self._block)

    def _block(self) -> None:
        self._send_block(BLOCK_SAMPLES)
        self._await_block()

    def _send_block(self, count: int) -> None:
        counts = self._counts(self._first + self._sent, count)
        block = digitizer.Block(self._sequence, self._sent, over_range(counts), digitizer.raw_samples(counts))
        self._answer(block, 0.0)
        self._sent += count

    def _stop(self, sequence: int) -> None:
        """Send what has been sampled since the last block, and the answer."""
        if sequence == OFF_SEQUENCE:
            self.relays.drop()
        if self._block_due is not None:
            self._end_blocks()
            taken = self._converter.due(self._loop.time()) - self._first
            while self._sent < taken:
                self._send_block(min(BLOCK_SAMPLES, taken - self._sent))
        self._answer(digitizer.Stopped(sequence, self._sent))

    def _end_blocks(self) -> None:
        if self._block_due is not None:
            self._block_due.cancel()
            self._block_due = None
