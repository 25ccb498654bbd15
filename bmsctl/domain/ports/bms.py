"""The pack's battery management system."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Ampere, Celsius, Ohm, Second, Volt

F64 = NDArray[np.float64]


class Relay(enum.StrEnum):
    """The pack's own contactors."""

    MAIN_PLUS = "main_plus"
    MAIN_MINUS = "main_minus"
    PRECHARGE = "precharge"


@dataclass(frozen=True, slots=True)
class BmsTaps:
    """BMS voltage taps, all against B-: stack, outer plus, outer minus; and its link voltage. None: sentinel."""

    u_batt: Volt | None
    u_p: Volt | None
    u_n: Volt | None
    u_link: Volt | None
    t_s: float


@dataclass(frozen=True, slots=True)
class CellSnapshot:
    """One consistent set of cell-group voltages, (n_series,) volts, NaN where the BMS sent its sentinel."""

    voltage_v: F64
    t_s: float


@dataclass(frozen=True, slots=True)
class BmsIdentity:
    """What the BMS says it is (DIDs F187, F18C, 901B, F191, F194, F195, F182)."""

    part_number: str
    ecu_serial: str
    pack_serial: str
    hardware: str
    software: str
    software_version: str
    calibration: str


@dataclass(frozen=True, slots=True)
class Dtc:
    """A trouble code as three bytes and its ISO 14229-1 status byte."""

    code: int
    status: int

    def __str__(self) -> str:
        return f"{self.code >> 8:04X}-{self.code & 0xFF:02X}"


@dataclass(frozen=True, slots=True)
class PackSample:
    """One broadcast cycle under current: (n_series,) cell volts, (bars,) volts along the inter-module bars (NaN:
    sentinel), and the pack current (charge positive) meaned over the cycle. `t_s`: when the cells were received."""

    voltage_v: F64
    busbar_v: F64
    current_a: float
    t_s: float


@dataclass(frozen=True, slots=True)
class MonitorState:
    """How far the BMS's own monitors have got: codes supported, those not judged since clearing."""

    supported: int
    not_completed: tuple[Dtc, ...]


@dataclass(frozen=True, slots=True)
class PlantMode:
    """What the station has taken over and not given back, as read from the BMS. Released: all False."""

    relays: bool
    insulation_monitor: bool
    dividers: bool
    balancing: bool
    session: bool

    @property
    def held(self) -> tuple[str, ...]:
        """Names of what is not released."""
        return tuple(name for name in self.__slots__ if getattr(self, name))


class Bms(Protocol):
    """The pack's battery management system, over its CAN."""

    async def alive(self, lease: Lease, within: Second) -> float:
        """Loop time at which the first valid frame after the call arrived."""
        ...

    async def silent(self, lease: Lease, within: Second) -> float:
        """Loop time of the last frame, once the BMS has stopped sending for 1 s; no device need speak meanwhile."""
        ...

    def last_status_s(self) -> float | None:
        """Loop time of the newest valid status frame, which tells of contactors and interlock; None before the first.

        Whatever else a BMS goes on sending, without status it is silent. Cheap; never waits.
        """
        ...

    async def frame_errors(self, lease: Lease, over: Second) -> int:
        """Frames with a bad CRC, length or counter seen while watching the broadcast for `over`."""
        ...

    async def ready(self, lease: Lease, within: Second) -> None:
        """Return when no start-up sentinel is left on taps and cells, or raise DeviceTimeout naming what is."""
        ...

    def dbc_revision(self) -> int | None:
        """Revision of the message set the BMS announces, None before its first status frame."""
        ...

    async def identity(self, lease: Lease) -> BmsIdentity:
        """Read the identification DIDs."""
        ...

    async def dtcs(self, lease: Lease, mask: int = 0x09) -> Sequence[Dtc]:
        """Trouble codes whose status matches `mask` (testFailed | confirmed)."""
        ...

    async def clear_dtcs(self, lease: Lease) -> None:
        """Clear all trouble codes."""
        ...

    async def cells(self, lease: Lease, n: int) -> Sequence[CellSnapshot]:
        """The next `n` complete snapshots, one per broadcast cycle."""
        ...

    async def temperatures(self, lease: Lease) -> Sequence[Celsius | None]:
        """All NTCs; None where the BMS sent its sentinel."""
        ...

    async def taps(self, lease: Lease) -> BmsTaps:
        """The next valid taps frame after the call."""
        ...

    async def current(self, lease: Lease) -> Ampere:
        """The next valid pack current after the call; charge counts positive."""
        ...

    async def hvil_closed(self, lease: Lease) -> bool | None:
        """The interlock flag of the next valid status; None: sentinel."""
        ...

    async def hvil_becomes(self, lease: Lease, closed: bool, within: Second) -> float:
        """Loop time of the first status whose interlock flag is `closed`; raises DeviceTimeout."""
        ...

    async def samples(self, lease: Lease, n: int) -> Sequence[PackSample]:
        """The next `n` complete cycles under current."""
        ...

    def newest_current(self) -> tuple[Ampere, float] | None:
        """Newest valid pack current and its receipt, None before the first. Cheap; never waits."""
        ...

    async def soc(self, lease: Lease) -> tuple[float, float]:
        """State of charge in %, and the charge counter in Ah (charge positive)."""
        ...

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        """The first settled value of the BMS's own insulation monitor."""
        ...

    async def imd_enable(self, lease: Lease, on: bool) -> None:
        """Switch the BMS's insulation monitor."""
        ...

    async def dividers_enable(self, lease: Lease, on: bool) -> None:
        """Connect or disconnect the tap dividers of the outer poles, read back; without them the taps are sentinels."""
        ...

    async def balance(self, lease: Lease, cells: Set[int]) -> None:
        """Exactly the balancing switches of these cells (from 1) on; returns when the BMS echoes the command.

        The echo proves nothing about the switch.
        """
        ...

    async def open_wire(self, lease: Lease) -> Sequence[int]:
        """Run the open-wire routine; numbers of the cells (from 1) with an open sense wire."""
        ...

    async def take_relays(self, lease: Lease) -> None:
        """Enter the supplier session, unlock, and take over relay control (relay bypass), read back."""
        ...

    async def set_relays(self, lease: Lease, closed: Set[Relay]) -> None:
        """Exactly these contactors closed, by the BMS's feedback. Needs `take_relays`.

        Raises:
            DeviceTimeout: the feedback does not follow within 0.5 s.
        """
        ...

    def relays(self) -> Mapping[Relay, bool] | None:
        """Newest contactor feedback, None before the first."""
        ...

    def open_relays(self) -> None:
        """Ask for every contactor open."""
        ...

    async def dtc_setting(self, lease: Lease, on: bool) -> None:
        """Let the BMS set trouble codes, or not (ISO 14229-1 service 85)."""
        ...

    async def monitors(self, lease: Lease) -> MonitorState:
        """Which of the supported codes have not been judged since they were cleared."""
        ...

    async def write_identity(self, lease: Lease, traceability: str, vin: str | None) -> None:
        """Write the traceability number, and the VIN if there is one; read both back."""
        ...

    async def vin(self, lease: Lease) -> str:
        """The VIN, empty if blank."""
        ...

    async def traceability(self, lease: Lease) -> str:
        """The traceability number, empty if blank."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give back relays, monitor, dividers, balancing, communication control and trouble-code setting, and leave
        every session."""
        ...

    async def plant_mode(self, lease: Lease) -> PlantMode:
        """What is not given back, read from the BMS."""
        ...

    async def chips(self, lease: Lease) -> Sequence[tuple[str, int]]:
        """Monitoring chips in the order of their daisy chain: serial number, and number of cells."""
        ...

    async def flash(self, lease: Lease, image: bytes, address: int, progress: Callable[[float], None]) -> None:
        """Erase the software, write the image to `address`, and let the BMS check it; it runs after `restart`.

        Contactors open first. Interrupted anywhere after the erasing has begun, the BMS stays in its boot loader, says
        that it has no software, and is to be flashed anew from the beginning. `progress` gets the share written, to 1.

        Raises:
            DeviceRefused: the BMS does not take it; the text names its code, or what its check found.
            ReplyInvalid: an answer that no BMS may give.
            DeviceTimeout: no answer, though a block was repeated.
        """
        ...

    async def restart(self, lease: Lease, within: Second) -> None:
        """Reset the BMS; return when it sends again and is in its default session.

        Raises:
            DeviceRefused: it does not reset, or has not reset.
            DeviceTimeout: it does not send within `within`.
        """
        ...

    async def sleep_delay(self, lease: Lease) -> Second:
        """Time from the wake line's end to sleep, as stored."""
        ...

    async def set_sleep_delay(self, lease: Lease, delay: Second) -> None:
        """Time from the wake line's end to sleep (DID 9281)."""
        ...
