"""What the frames of a battery management system say, once decoded."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from bmsctl.domain.ports import Relay


class OperatingState(enum.IntEnum):
    """What the BMS is doing. PLANT: its relays obey RelayRequest."""

    BOOT = 0
    RUN = 1
    PLANT = 2
    SHUTTING_DOWN = 3


class Hvil(enum.IntEnum):
    """High-voltage interlock loop."""

    NOT_USED = 0
    OPEN = 1
    CLOSED = 2
    UNAVAILABLE = 3


class InsulationState(enum.IntEnum):
    """Insulation monitor."""

    NOT_READY = 0
    MEASURING = 1
    SETTLED = 2
    OFF = 3


class Status(NamedTuple):
    """Status frame. `relays` are the coil drivers' echoes, not the contacts; None: sentinel or driver fault."""

    state: OperatingState | None
    hvil: Hvil
    relays: Mapping[Relay, bool | None]
    dbc_revision: int


class Taps(NamedTuple):
    """Voltages against B-, in volts; None: sentinel."""

    u_batt: float | None
    u_p: float | None
    u_n: float | None
    u_link: float | None


class Insulation(NamedTuple):
    """Insulation of the whole pack, in ohm; None: sentinel. `above_range`: it is at least that much."""

    resistance_ohm: float | None
    above_range: bool
    state: InsulationState | None
