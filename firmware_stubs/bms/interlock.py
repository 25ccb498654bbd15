"""The BMS's watch over the high-voltage interlock loop."""

from __future__ import annotations

from firmware_stubs.bms.measure import BmsPlant, clipped
from firmware_stubs.noise import draw

RESPONSE_S, RESPONSE_SD_S = 0.150, 0.010
"""From the loop to the flag."""
SCAN_S = 0.05
FAULT_SCANS = 6
"""Found open so many scans after the first, 300 ms, the loop counts as broken."""


class Interlock:
    """One unit's loop input. Its scans are caught up on when somebody asks."""

    def __init__(self, plant: BmsPlant, seed: int) -> None:
        self._plant = plant
        self._response_s = RESPONSE_S + RESPONSE_SD_S * clipped(draw(seed, "bms.hvil_response").standard_normal())
        self._next_scan = 0
        self._open_scans = 0

    def closed(self, t_s: float) -> bool:
        """The flag."""
        return self._plant.hvil_closed(t_s - self._response_s)

    def wake(self, t_s: float) -> None:
        """Scan from now on."""
        self._next_scan = int(t_s / SCAN_S) + 1
        self._open_scans = 0

    def was_broken(self, t_s: float) -> bool:
        """Whether the loop counted as broken at any time since the last call."""
        broken = False
        last = int(t_s / SCAN_S)
        for scan in range(self._next_scan, last + 1):
            self._open_scans = 0 if self._plant.hvil_closed(scan * SCAN_S) else self._open_scans + 1
            broken |= self._open_scans > FAULT_SCANS
        self._next_scan = max(self._next_scan, last + 1)
        return broken or self._open_scans > FAULT_SCANS
