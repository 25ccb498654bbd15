"""The BMS's periodic frames: what it measures and what it is doing, as bytes.

After start-up every measurement is a sentinel for a while, drawn per wake. A burst of cell frames is measured
at once, whichever of them is looked at first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bmsctl.domain.ports import F64, Relay
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import PERIOD_S, Hvil, InsulationState, OperatingState, Taps
from firmware_stubs.bms.sensors import Sensors
from firmware_stubs.noise import draw
from firmware_stubs.ports import Cyclic

SENTINEL_FRAMES = (9, 26)
SENTINEL_FRAMES_SLOW = (1, 3)
"""Start-up of the frames that are sent once a second."""

_SENTINEL_TAPS = Taps(None, None, None, None)
_Burst = Callable[[int, float], list[int]]
"""Payloads of frames that are sent together."""


@dataclass
class BmsState:
    """What the BMS is doing, as far as others are told."""

    operating: OperatingState = OperatingState.RUN
    coils: set[Relay] = field(default_factory=set)
    balancing: int = 0


class Broadcaster:
    """Encodes one unit's frames."""

    def __init__(self, state: BmsState, sensors: Sensors, seed: int) -> None:
        self._state = state
        self._front_end = sensors.front_end
        self._monitor = sensors.monitor
        self._interlock = sensors.interlock
        self._starts = draw(seed, "bms.start_up")
        self._blank = dict.fromkeys(PERIOD_S, 0)

    def wake(self) -> list[Cyclic]:
        """The frames of a new wake, whose first transmissions carry sentinels."""
        blank = {period_s: self._draw_blank(period_s) for period_s in sorted(set(PERIOD_S.values()))}
        self._blank = {can_id: blank[period_s] for can_id, period_s in PERIOD_S.items()}
        return self._cyclics()

    def resume(self) -> list[Cyclic]:
        """The frames, measurements at once, after they were only silenced."""
        self._blank = dict.fromkeys(PERIOD_S, 0)
        return self._cyclics()

    def _cyclics(self) -> list[Cyclic]:
        return [
            _cyclic(codec.CURRENT_ID, self._current),
            _cyclic(codec.TAPS_ID, self._taps),
            _cyclic(codec.STATUS_ID, self._status),
            _cyclic(codec.BUSBARS_ID, self._busbars),
            _cyclic(codec.INSULATION_ID, self._insulation),
            *_together(codec.CELL_IDS, self._cells),
            *_together(codec.BALANCING_IDS, lambda n, t_s: codec.pack_balancing(self._state.balancing)),
            *_together(codec.TEMPERATURE_IDS, self._temperatures),
        ]

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
        if n < self._blank[codec.STATUS_ID]:
            return codec.encode_status(OperatingState.BOOT, Hvil.UNAVAILABLE, self._state.coils, n)
        hvil = Hvil.CLOSED if self._interlock.closed(t_s) else Hvil.OPEN
        return codec.encode_status(self._state.operating, hvil, self._state.coils, n)

    def _busbars(self, n: int, t_s: float) -> bytes:
        values: list[float | None] = [None] * codec.BUSBARS
        if n >= self._blank[codec.BUSBARS_ID]:
            measured = self._front_end.busbar_v(t_s).tolist()
            values[: len(measured)] = measured
        return codec.encode_busbars(values, n)

    def _insulation(self, n: int, t_s: float) -> bytes:
        if n < self._blank[codec.INSULATION_ID]:
            return codec.encode_insulation(None, InsulationState.NOT_READY, n)
        return codec.encode_insulation(*self._monitor.read(t_s), n)

    def _cells(self, n: int, t_s: float) -> list[int]:
        if n < self._blank[codec.CELL_IDS[0]]:
            return [codec.ALL_SNA_UNSIGNED] * len(codec.CELL_IDS)
        return codec.pack_cells(_filled(self._front_end.cell_v(t_s), codec.SERIES))

    def _temperatures(self, n: int, t_s: float) -> list[int]:
        if n < self._blank[codec.TEMPERATURE_IDS[0]]:
            return [codec.ALL_SNA_UNSIGNED] * len(codec.TEMPERATURE_IDS)
        return codec.pack_temperatures(_filled(self._front_end.temperature_c(t_s), codec.THERMISTORS))


def _filled(measured: F64, channels: int) -> F64:
    """(channels,) values, NaN where nothing is connected."""
    if len(measured) == channels:
        return measured
    values = np.full(channels, np.nan)
    values[: len(measured)] = measured
    return values


def _cyclic(can_id: int, encode: Callable[[int, float], bytes]) -> Cyclic:
    return Cyclic(can_id, PERIOD_S[can_id], encode)


def _together(can_ids: Sequence[int], measure: _Burst) -> list[Cyclic]:
    """Frames that are measured together: the newest burst is kept for the others."""
    newest: tuple[int, list[bytes]] = (-1, [])

    def member(index: int) -> Callable[[int, float], bytes]:
        def data(n: int, t_s: float) -> bytes:
            nonlocal newest
            if newest[0] != n:
                newest = (n, codec.seal_burst(can_ids, n, measure(n, t_s)))
            return newest[1][index]

        return data

    return [_cyclic(can_id, member(index)) for index, can_id in enumerate(can_ids)]
