"""Devices of the stacking station: battery tester, tightening controller, leak tester."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports.bms import F64
from bmsctl.domain.ports.people import ModuleData
from bmsctl.domain.units import Degree, Newtonmetre, Ohm, Pascal, Second, Volt


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """Open-circuit voltage, signed as the leads lie, and AC internal resistance at 1 kHz."""

    voltage: Volt
    resistance: Ohm


class BatteryTester(Protocol):
    """Four-wire battery tester: open-circuit voltage and AC resistance in one measurement."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def measure(self, lease: Lease, voltage_range: Volt, resistance_range: Ohm) -> BatteryReading:
        """One reading in the ranges that end at these values, contact of all four wires proven by it.

        Raises:
            ReplyInvalid: a wire has no contact, a value is over range, or the reading is implausible or stuck.
        """
        ...


class LimitStatus(StrEnum):
    """How a quantity of a tightening lies to the controller's own limits."""

    LOW, OK, HIGH = "low", "ok", "high"


@dataclass(frozen=True, slots=True)
class Tightening:
    """One tightening as its controller has it on record.

    `tightening_id` grows by one with every tightening of the controller, of any client; `vin` is what was downloaded
    before it; `at` the controller's time of day.
    """

    tightening_id: int
    vin: str
    parameter_set: int
    ok: bool
    torque: Newtonmetre
    torque_status: LimitStatus
    angle: Degree
    angle_status: LimitStatus
    at: str


class Nutrunner(Protocol):
    """Tightening controller and its tool. The controller keeps what it tightened, and disables its tool by itself
    after one tightening."""

    async def identify(self, lease: Lease) -> str:
        """Name and cell of the controller, as it reports them."""
        ...

    async def newest_id(self, lease: Lease) -> int:
        """Identifier of the last tightening that the controller has made."""
        ...

    async def stored(self, lease: Lease, tightening_id: int) -> Tightening | None:
        """A tightening of the past; None if the controller has none of this identifier (any more).

        Raises:
            ReplyInvalid: the controller answers with another one.
        """
        ...

    async def enable(self, lease: Lease, vin: str, parameter_set: int) -> None:
        """Let the tool tighten once: select the parameter set, download the VIN, enable the tool.

        Raises:
            DeviceRefused: no such parameter set, or an alarm is pending; says which.
        """
        ...

    async def result(self, lease: Lease, within: Second) -> Tightening:
        """The tightening made since `enable`, acknowledged; results of other VINs or of before are not it.

        A gap in the identifiers is filled from the controller's memory.

        Raises:
            DeviceTimeout: nothing was tightened within `within`.
        """
        ...

    async def disable(self, lease: Lease) -> None:
        """The tool starts no more; returns when the controller has said so. One under way may still be finished."""
        ...

    async def stop(self, lease: Lease) -> None:
        """Disable the tool; return when a tightening that was under way has ended and is in the memory."""
        ...

    def off(self) -> None:
        """Ask for the tool disabled."""
        ...


@dataclass(frozen=True, slots=True)
class LeakTest:
    """What is to be tested how: pneumatic channel, gauge pressure (negative: vacuum), and the times of its phases."""

    channel: int
    pressure: Pascal
    fill: Second
    settle: Second
    test: Second


@dataclass(frozen=True, slots=True)
class PressureDecay:
    """Settling and test phase of a leak test, sampled: (n,) each, from the end of filling on.

    `time_s` counts from then; `pressure_pa` is gauge; `temperature_c` is that of the air in the volume;
    `atmosphere_pa` absolute.
    """

    time_s: F64
    pressure_pa: F64
    temperature_c: F64
    atmosphere_pa: F64


class LeakTester(Protocol):
    """Pressure-decay leak tester. Vents what it has filled before a test ends."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def test(self, lease: Lease, wanted: LeakTest) -> PressureDecay:
        """Set up, read back, fill, settle, record, vent.

        Raises:
            DeviceRefused: the tester refuses the settings, or filling raised no pressure: no part, or it is open.
            ReplyInvalid: samples are missing or implausible. A part that could not be filled whole has a decay, too.
        """
        ...

    async def vented(self, lease: Lease) -> None:
        """End the test, if one runs; return when no volume is under pressure, by the tester's own transducer.

        Raises:
            DeviceTimeout: it does not vent; says at what pressure it has stopped.
        """
        ...

    def off(self) -> None:
        """Ask for the test to end and the volume to be vented."""
        ...


class ModuleSelector(Protocol):
    """Which modules of a buffer become one pack."""

    def select(self, buffer: Sequence[ModuleData], count: int) -> Sequence[ModuleData]:
        """`count` modules that fit together, in slot order.

        Raises:
            Refused: there are not enough that do; says what is missing.
        """
        ...
