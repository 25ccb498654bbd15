"""State of charge as the BMS knows it: estimated at wake, then counted; a load does not move it."""

from __future__ import annotations

import numpy as np

from firmware_stubs.bms.measure import FrontEnd
from firmware_stubs.noise import draw

OCV_PERCENT = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
OCV_V = (3.0, 3.34, 3.45, 3.51, 3.555, 3.592, 3.622, 3.645, 3.663, 3.705, 3.79, 3.89, 3.99, 4.09, 4.2)
ESTIMATE_SD_PERCENT = 0.4


class ChargeCounter:
    """One unit's estimate and counter; the counter is kept in non-volatile memory and stands still while asleep."""

    def __init__(self, front_end: FrontEnd, capacity_ah: float, seed: int) -> None:
        """`capacity_ah`: what the unit is calibrated to, for the pack type it is built for."""
        self._front_end = front_end
        self._capacity_ah = capacity_ah
        self._error_percent = ESTIMATE_SD_PERCENT * float(draw(seed, "bms.soc").standard_normal())
        self._counted_ah = 0.0
        self._since_ah: float | None = None
        self._at_wake_percent = 0.0
        self._at_wake_ah = 0.0

    def wake(self, t_s: float) -> None:
        """Estimate anew from the mean cell voltage, and count on from here."""
        known_v = self._front_end.cell_v(t_s)
        known_v = known_v[~np.isnan(known_v)]
        mean_v = float(known_v.mean()) if len(known_v) else float("nan")
        self._at_wake_percent = float(np.interp(mean_v, OCV_V, OCV_PERCENT)) + self._error_percent
        self._at_wake_ah = self._counted_ah
        self._since_ah = self._front_end.charge_ah(t_s)

    def halt(self, t_s: float) -> None:
        """Count no further."""
        self._counted_ah = self.charge_ah(t_s)
        self._since_ah = None

    def charge_ah(self, t_s: float) -> float:
        """Net charge counted since the first supply; into the pack counts positive."""
        counting_ah = 0.0 if self._since_ah is None else self._front_end.charge_ah(t_s) - self._since_ah
        return self._counted_ah + counting_ah

    def percent(self, t_s: float) -> float | None:
        """State of charge; None if no cell gave a voltage at wake."""
        percent = self._at_wake_percent + 100.0 * (self.charge_ah(t_s) - self._at_wake_ah) / self._capacity_ah
        return None if np.isnan(percent) else float(np.clip(percent, 0.0, 100.0))
