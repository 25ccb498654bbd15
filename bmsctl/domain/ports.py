"""What a station needs of each device. Drivers implement these; stations know nothing else.

Common contract. Every call that can energise takes the device's `Lease` and raises LeaseRevoked once it
is revoked. Calls named `off`, `open_*`, `drop_*` and `stop` take no lease, no lock and no time: they only
hand one telegram to the link, and swallow nothing but LinkDown and TxFull. Every awaiting call has a
deadline of its own and raises DeviceTimeout, ReplyInvalid, DeviceRefused or LinkDown; it returns only
values that passed their check (CRC, counter, range), and touches the lease when they did.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

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


class Route(enum.StrEnum):
    """What the matrix can connect to the pack's outer poles."""

    DIGITIZER = "digitizer"
    LOAD = "load"
    LINK_CAPACITOR = "link_capacitor"
    INSULATION_TESTER = "insulation_tester"
    WITHSTAND_TESTER = "withstand_tester"
    CYCLER = "cycler"


class TripCause(enum.StrEnum):
    """Why the PLC removed energy."""

    NONE = "none"
    WATCHDOG = "watchdog"
    ESTOP = "estop"
    GUARD = "guard"
    SAFE_STOP_TIMEOUT = "safe_stop_timeout"


class Challenge(NamedTuple):
    """The PLC's question; the owner task answers it or the PLC trips."""

    sequence: int
    nonce: int
    t_s: float


@dataclass(frozen=True, slots=True)
class PlcStatus:
    """State the PLC reports of its safety chain, stamped on receipt.

    `permissive`: HV permitted now. `voltage_free`: the PLC's own two-channel proof of < 60 V at the outer
    poles and the link. `discharging`: its discharge resistor lies across the outer poles.
    """

    guard_closed: bool
    estop_released: bool
    permissive: bool
    tripped: bool
    cause: TripCause
    kl30: bool
    kl15: bool
    coil_supply: bool
    discharging: bool
    voltage_free: bool
    t_s: float


@dataclass(frozen=True, slots=True)
class PlcVoltages:
    """Independent voltages of the safety PLC: outer poles, link, and each pole to chassis (low-ohmic)."""

    u_pn: Volt
    u_link: Volt
    u_p_pe: Volt
    u_n_pe: Volt
    t_s: float


class Plc(Protocol):
    """Safety PLC: owns guard, e-stop, permissive, dead-man, discharge. Software only asks."""

    def listen(self, on_challenge: Callable[[Challenge], None], on_status: Callable[[PlcStatus], None]) -> None:
        """Deliver every challenge, and every change of status, on the loop."""
        ...

    def answer(self, challenge: Challenge) -> None:
        """Answer the dead-man's question with the run's token. Never raises."""
        ...

    async def permit(self, lease: Lease, token: int) -> None:
        """Ask for the HV permissive under a fresh run token; return when the PLC reports it.

        Raises:
            DeviceRefused: guard, e-stop, trip or token forbids it; the text says which.
        """
        ...

    def drop_permit(self) -> None:
        """Give the permissive back: nothing more can be energised; within 500 ms the PLC cuts what still is,
        opens the station's contactors and discharges (safe stop 1)."""
        ...

    async def supply(self, lease: Lease, *, kl30: bool, kl15: bool) -> None:
        """Switch the pack's 12 V supply and wake line; return when the PLC reports it."""
        ...

    def supply_off(self) -> None:
        """Ask for KL30 and KL15 off."""
        ...

    def status(self) -> PlcStatus | None:
        """Newest status, or None if none came yet. Judge its age by `t_s`."""
        ...

    async def voltages(self, within: Second) -> PlcVoltages:
        """The next voltages received after the call."""
        ...


class Matrix(Protocol):
    """HV matrix. Routes exclude each other in hardware; the device refuses an illegal set."""

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        """Exactly these routes closed, confirmed by feedback.

        Raises:
            DeviceRefused: the set is not legal, a route is under voltage (hot switching forbidden), or a
                relay's feedback disagrees.
        """
        ...

    def open_all(self) -> None:
        """Ask for every route open."""
        ...

    async def await_routes(self, routes: Set[Route], within: Second) -> None:
        """Return when the feedback shows exactly `routes`."""
        ...


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


class Bms(Protocol):
    """The pack's battery management system, over its CAN."""

    async def alive(self, lease: Lease, within: Second) -> float:
        """Loop time at which the first valid frame after the call arrived."""
        ...

    async def silent(self, lease: Lease, within: Second) -> float:
        """Loop time of the last frame, once the BMS has stopped sending for 1 s; no device need speak meanwhile."""
        ...

    def last_frame_s(self) -> float | None:
        """Loop time of the newest valid broadcast frame, None before the first. Cheap; never waits."""
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

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        """The first settled value of the BMS's own insulation monitor."""
        ...

    async def imd_enable(self, lease: Lease, on: bool) -> None:
        """Switch the BMS's insulation monitor."""
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

    async def set_sleep_delay(self, lease: Lease, delay: Second) -> None:
        """Time from the wake line's end to sleep (DID 9281)."""
        ...


@dataclass(frozen=True, slots=True)
class DigitizerReading:
    """Mean over `n` samples, each pole to chassis, and the link; standard deviation of the worst channel."""

    v_pos: Volt
    v_neg: Volt
    v_link: Volt
    sd: Volt
    n: int


@dataclass(frozen=True, slots=True)
class Recording:
    """Gapless samples: (n,) volts each, first sample at loop time `t0_s`."""

    v_pos_v: F64
    v_neg_v: F64
    v_link_v: F64
    sample_rate_hz: float
    t0_s: float


class Digitizer(Protocol):
    """Three-channel front end at 10 kHz: outer plus and minus to chassis (signed), and the link."""

    async def identify(self, lease: Lease) -> str:
        """Serial number and firmware, as the device reports them."""
        ...

    async def mean(self, lease: Lease, n: int) -> DigitizerReading:
        """Mean of the next `n` samples.

        Raises:
            ReplyInvalid: a channel was over range, or the reply fails its check twice.
        """
        ...

    async def start(self, lease: Lease) -> None:
        """Begin a recording; samples accumulate in the driver."""
        ...

    async def finish(self, lease: Lease) -> Recording:
        """End the recording and return it.

        Raises:
            ReplyInvalid: samples are missing, by the counter.
        """
        ...

    def stop(self) -> None:
        """Ask for no more samples."""
        ...


class Scanner(Protocol):
    """Data-matrix scanner at the station's entry."""

    async def scan(self, lease: Lease, within: Second) -> str:
        """The content of the next label read."""
        ...
