"""The devices of one station, by their ports."""

from __future__ import annotations

from dataclasses import dataclass

from bmsctl.domain.ports import Bms, Digitizer, Matrix, Plc, Scanner

LEASED = ("plc", "matrix", "bms", "digitizer")
"""What a run leases, in the order granted; the scanner is leased for the scan that comes before it."""


@dataclass(frozen=True, slots=True)
class Devices:
    """One port per device."""

    plc: Plc
    matrix: Matrix
    bms: Bms
    digitizer: Digitizer
    scanner: Scanner
