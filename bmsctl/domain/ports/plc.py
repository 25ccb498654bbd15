"""The safety PLC."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Celsius, Second, Volt


class TripCause(enum.StrEnum):
    """Why the PLC removed energy."""

    NONE = "none"
    WATCHDOG = "watchdog"
    ESTOP = "estop"
    GUARD = "guard"
    SAFE_STOP_TIMEOUT = "safe_stop_timeout"
    VOLTMETER = "voltmeter"


class Challenge(NamedTuple):
    """The PLC's question; the owner task answers it or the PLC trips."""

    sequence: int
    nonce: int
    t_s: float


@dataclass(frozen=True, slots=True)
class PlcStatus:
    """State the PLC reports of its safety chain, stamped on receipt.

    `permissive`: HV permitted now. `coil_supply`: the pack's contactor coils are fed, if the BMS drives them.
    `hvil_bridged`: the station closes the pack's interlock loop. `voltage_free`: the PLC's own two-channel proof
    of < 60 V at the outer poles and the link. `discharging`: its discharge resistor lies across the outer poles.
    """

    guard_closed: bool
    estop_released: bool
    permissive: bool
    tripped: bool
    cause: TripCause
    kl30: bool
    kl15: bool
    coil_supply: bool
    hvil_bridged: bool
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


@dataclass(frozen=True, slots=True)
class StationSense:
    """What the PLC's inputs say of the station: air temperature, and the code of the adapter that is mated.

    `adapter` None: none is mated, or its coding is open or shorted.
    """

    air: Celsius
    adapter: int | None
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

    async def feed_coils(self, lease: Lease, on: bool) -> None:
        """Feed, or cut, the supply of the pack's contactor coils while high voltage is permitted; return when the
        PLC reports it. Every `permit` that is newly granted begins with the coils fed."""
        ...

    async def bridge_hvil(self, lease: Lease, closed: bool) -> float:
        """Close (as at power-up) or open the station's part of the interlock loop; loop time at which the PLC
        reported it."""
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
        """The next voltages received after the call; to be had only without permissive, when the proof resistors
        are on."""
        ...

    async def sense(self, within: Second) -> StationSense:
        """The next StationSense received after the call."""
        ...
