"""The BMS's periodic frames: what it measures and what it is doing, as bytes.

After start-up every measurement is a sentinel for a while, drawn per wake. A burst of cell frames is measured
at once, whichever of them is looked at first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bmsctl.domain.ports import F64, Relay
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import Burst, Hvil, InsulationState, MessageSet, OperatingState, Taps
from bmsctl.protocols.bms_broadcast.envelope import seal_burst
from firmware_stubs.bms.sensors import Sensors
from firmware_stubs.noise import draw
from firmware_stubs.ports import Cyclic

SENTINEL_FRAMES = (9, 26)
SENTINEL_FRAMES_SLOW = (1, 3)
"""Start-up of the frames that are sent once a second."""

_SENTINEL_TAPS = Taps(None, None, None, None)
_Measure = Callable[[int, float], list[int]]
"""Payloads of the frames of a burst."""


@dataclass
class BmsState:
    """What the BMS is doing, as far as others are told."""

    operating: OperatingState = OperatingState.RUN
    coils: set[Relay] = field(default_factory=set)
    balancing: int = 0


class Broadcaster:
    """Encodes one unit's frames, as its message set has them."""

    def __init__(self, messages: MessageSet, state: BmsState, sensors: Sensors, seed: int) -> None:
        self._messages = messages
        self._state = state
        self._front_end = sensors.front_end
        self._monitor = sensors.monitor
        self._interlock = sensors.interlock
        self._starts = draw(seed, "bms.start_up")
        self._blank = dict.fromkeys(messages.period_s, 0)

    def wake(self) -> list[Cyclic]:
        """The frames of a new wake, whose first transmissions carry sentinels."""
        periods_s = self._messages.period_s
        blank = {period_s: self._draw_blank(period_s) for period_s in sorted(set(periods_s.values()))}
        self._blank = {can_id: blank[period_s] for can_id, period_s in periods_s.items()}
        return self._cyclics()

    def resume(self) -> list[Cyclic]:
        """The frames, measurements at once, after they were only silenced."""
        self._blank = dict.fromkeys(self._messages.period_s, 0)
        return self._cyclics()

    def _cyclics(self) -> list[Cyclic]:
        messages = self._messages
        return [
            self._cyclic(codec.CURRENT_ID, self._current),
            self._cyclic(codec.TAPS_ID, self._taps),
            self._cyclic(codec.STATUS_ID, self._status),
            self._cyclic(codec.INSULATION_ID, self._insulation),
            *self._together(messages.busbars, self._busbars),
            *self._together(messages.cells, self._cells),
            *self._together(messages.balancing, lambda n, t_s: messages.pack_balancing(self._state.balancing)),
            *self._together(messages.temperatures, self._temperatures),
        ]

    def _cyclic(self, can_id: int, encode: Callable[[int, float], bytes]) -> Cyclic:
        return Cyclic(can_id, self._messages.period_s[can_id], encode, fd=self._messages.fd)

    def _together(self, burst: Burst, measure: _Measure) -> list[Cyclic]:
        """Frames that are measured together: the newest burst is kept for the others."""
        newest: tuple[int, list[bytes]] = (-1, [])

        def member(index: int) -> Callable[[int, float], bytes]:
            def data(n: int, t_s: float) -> bytes:
                nonlocal newest
                if newest[0] != n:
                    newest = (n, seal_burst(burst.can_ids, n, measure(n, t_s), burst.length))
                return newest[1][index]

            return data

        return [self._cyclic(can_id, member(index)) for index, can_id in enumerate(burst.can_ids)]

    def _draw_blank(self, period_s: float) -> int:
        low, high = SENTINEL_FRAMES if period_s < 1.0 else SENTINEL_FRAMES_SLOW
        return int(self._starts.integers(low, high + 1))

    def _current(self, n: int, t_s: float) -> bytes:
        blank = n < self._blank[codec.CURRENT_ID]
        return codec.encode_current(None if blank else self._front_end.current_a(t_s), n)

    def _taps(self, n: int, t_s: float) -> bytes:
        blank = n < self._blank[codec.TAPS_ID]
        return codec.encode_taps(_SENTINEL_TAPS if blank else self._front_end.taps(t_s), n)

    def _status(self, n: int, t_s: float) -> bytes:
        operating, hvil = OperatingState.BOOT, Hvil.UNAVAILABLE
        if n >= self._blank[codec.STATUS_ID]:
            operating = self._state.operating
            hvil = Hvil.CLOSED if self._interlock.closed(t_s) else Hvil.OPEN
        return codec.encode_status(operating, hvil, self._state.coils, n, self._messages.revision)

    def _busbars(self, n: int, t_s: float) -> list[int]:
        values: list[float | None] = [None] * self._messages.busbars.channels
        if n >= self._blank[self._messages.busbars.can_ids[0]]:
            measured = self._front_end.busbar_v(t_s).tolist()
            values[: len(measured)] = measured
        return self._messages.pack_busbars(values)

    def _insulation(self, n: int, t_s: float) -> bytes:
        if n < self._blank[codec.INSULATION_ID]:
            return codec.encode_insulation(None, InsulationState.NOT_READY, n)
        return codec.encode_insulation(*self._monitor.read(t_s), n)

    def _cells(self, n: int, t_s: float) -> list[int]:
        burst = self._messages.cells
        if n < self._blank[burst.can_ids[0]]:
            return [burst.blank] * len(burst.can_ids)
        return self._messages.pack_cells(_filled(self._front_end.cell_v(t_s), burst.channels))

    def _temperatures(self, n: int, t_s: float) -> list[int]:
        burst = self._messages.temperatures
        if n < self._blank[burst.can_ids[0]]:
            return [burst.blank] * len(burst.can_ids)
        return self._messages.pack_temperatures(_filled(self._front_end.temperature_c(t_s), burst.channels))


def _filled(measured: F64, channels: int) -> F64:
    """(channels,) values, NaN where nothing is connected."""
    if len(measured) == channels:
        return measured
    values = np.full(channels, np.nan)
    values[: len(measured)] = measured
    return values
