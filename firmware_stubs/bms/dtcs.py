"""Trouble code memory: the BMS's own monitors, and codes that a defect keeps setting.

A monitor has its first verdict 1 to 2 s after wake or after clearing. Nothing ticks: what is due is caught
up on when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bmsctl.domain.ports import F64, Dtc, Relay
from bmsctl.protocols.bms_broadcast import Taps
from bmsctl.protocols.uds import ALL_DTCS, DtcStatus
from firmware_stubs.noise import draw

AVAILABILITY = 0x7F
"""Status bits this BMS supports: all but the warning lamp."""

FIRST_VERDICT_S = (1.0, 2.0)

_RESET = DtcStatus.NOT_COMPLETED_SINCE_CLEAR | DtcStatus.NOT_COMPLETED_THIS_CYCLE
_FAILED = (
    DtcStatus.TEST_FAILED
    | DtcStatus.TEST_FAILED_THIS_CYCLE
    | DtcStatus.PENDING
    | DtcStatus.CONFIRMED
    | DtcStatus.FAILED_SINCE_CLEAR
)
_STORED = DtcStatus.CONFIRMED | DtcStatus.FAILED_SINCE_CLEAR

CELL_LOW_V, CELL_HIGH_V = 2.0, 4.35
SUM_DEVIATION = 0.02
SENSOR_LOW_C, SENSOR_HIGH_C = -35.0, 90.0
SENSOR_FROM_MEDIAN_K = 15.0
WELD_RATIO = 0.6
WELD_INSULATION_OHM = 1e6
INSULATION_OHM_PER_V = 100.0

Coils = frozenset[Relay]


class View(NamedTuple):
    """What is measured at one moment, NaN where a wire is open, and whether the interlock loop was broken before."""

    cell_v: F64
    temperature_c: F64
    taps: Taps
    insulation_ohm: float | None
    interlock_broken: bool


@dataclass(frozen=True, slots=True)
class Monitor:
    """A trouble code, and when the BMS sets it."""

    code: int
    failed: Callable[[View, Coils], bool]


def _cell_wire_open(view: View, coils: Coils) -> bool:
    return bool(np.isnan(view.cell_v).any())


def _cell_implausible(view: View, coils: Coils) -> bool:
    return bool((view.cell_v < CELL_LOW_V).any() or (view.cell_v > CELL_HIGH_V).any())


def _sum_implausible(view: View, coils: Coils) -> bool:
    sum_v, stack_v = float(np.sum(view.cell_v)), view.taps.u_batt or 0.0
    return abs(sum_v - stack_v) > SUM_DEVIATION * sum_v


def _thermistor_open(view: View, coils: Coils) -> bool:
    celsius = view.temperature_c
    return bool((np.isnan(celsius) | (celsius < SENSOR_LOW_C) | (celsius > SENSOR_HIGH_C)).any())


def _thermistor_implausible(view: View, coils: Coils) -> bool:
    known = view.temperature_c[~np.isnan(view.temperature_c)]
    return len(known) > 0 and bool((np.abs(known - np.median(known)) > SENSOR_FROM_MEDIAN_K).any())


def _plus_closed_without_coil(view: View, coils: Coils) -> bool:
    """Outer plus sees the stack though nothing is driven; a weld at minus does not show at rest.

    An insulation fault at plus looks the same to a tap as soon as anything ties the outer poles to chassis.
    """
    if view.insulation_ohm is None or view.insulation_ohm < WELD_INSULATION_OHM:
        return False
    return not coils and (view.taps.u_p or 0.0) > WELD_RATIO * (view.taps.u_batt or 0.0)


def _insulation_low(view: View, coils: Coils) -> bool:
    if view.insulation_ohm is None:
        return False
    return view.insulation_ohm < INSULATION_OHM_PER_V * (view.taps.u_batt or 0.0)


def _interlock_broken(view: View, coils: Coils) -> bool:
    return view.interlock_broken


MONITORS = (
    Monitor(0x1B0113, _cell_wire_open),
    Monitor(0x1B0164, _cell_implausible),
    Monitor(0x1B0264, _sum_implausible),
    Monitor(0x1B0413, _thermistor_open),
    Monitor(0x1B0464, _thermistor_implausible),
    Monitor(0x1B0A73, _plus_closed_without_coil),
    Monitor(0x1B1813, _interlock_broken),
    Monitor(0x1BA21A, _insulation_low),
)


class DtcMemory:
    """Codes and their status; survives sleep and loss of supply."""

    def __init__(self, kept_failing: Sequence[int], seed: int) -> None:
        """`kept_failing`: codes that come back whatever is measured, and were stored before."""
        self._monitors = {monitor.code: monitor for monitor in MONITORS}
        self._kept_failing = tuple(kept_failing)
        codes = sorted({*self._monitors, *kept_failing})
        self._status = {code: _STORED if code in kept_failing else _RESET for code in codes}
        self._occurrences = dict.fromkeys(codes, 0)
        self._due_s = dict.fromkeys(codes, 0.0)
        self._delays = draw(seed, "bms.dtc_delay")
        self.setting = True

    def wake(self, t_s: float) -> None:
        """A new operation cycle."""
        for code, status in self._status.items():
            kept = status & ~(DtcStatus.TEST_FAILED | DtcStatus.TEST_FAILED_THIS_CYCLE)
            self._status[code] = kept | DtcStatus.NOT_COMPLETED_THIS_CYCLE
        self._start_monitors(self._status, t_s)

    def clear(self, t_s: float, group: int) -> bool:
        """Clear one code or all; False if there is no such group."""
        codes = list(self._status) if group == ALL_DTCS else [code for code in self._status if code == group]
        for code in codes:
            self._status[code] = _RESET
            self._occurrences[code] = 0
        self._start_monitors(codes, t_s)
        return bool(codes)

    def _start_monitors(self, codes: Sequence[int] | dict[int, DtcStatus], t_s: float) -> None:
        for code in codes:
            self._due_s[code] = t_s + float(self._delays.uniform(*FIRST_VERDICT_S))

    def update(self, t_s: float, view: View, coils: Coils) -> None:
        """Let every monitor that is due judge what the BMS sees."""
        if not self.setting:
            return
        for code, due_s in self._due_s.items():
            if t_s < due_s:
                continue
            if code in self._kept_failing or self._monitors[code].failed(view, coils):
                if not self._status[code] & DtcStatus.TEST_FAILED:
                    self._occurrences[code] = min(self._occurrences[code] + 1, 0xFF)
                self._status[code] = (self._status[code] & ~_RESET) | _FAILED
            else:
                self._status[code] &= ~(DtcStatus.TEST_FAILED | _RESET)

    def matching(self, mask: int) -> list[Dtc]:
        """Codes with any of the status bits of `mask`."""
        return [Dtc(code, int(status)) for code, status in self._status.items() if status & mask & AVAILABILITY]

    def all(self) -> list[Dtc]:
        """Every code this BMS knows."""
        return [Dtc(code, int(status)) for code, status in self._status.items()]

    def occurrences(self, code: int) -> int | None:
        """How often a code was set since it was cleared; None for a code this BMS does not know."""
        return self._occurrences.get(code)
