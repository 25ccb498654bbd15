"""Instruments on serial lines: 12 V supply, ohmmeter, insulation and withstand testers, cycler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.units import Ampere, Celsius, Ohm, Second, Volt


class LvSupply(Protocol):
    """12 V supply of the pack's low-voltage side, with an ammeter."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def on(self, lease: Lease, voltage: Volt, limit: Ampere) -> None:
        """Set voltage and current limit, read both back, switch the output on, and see the voltage there."""
        ...

    async def current(self, lease: Lease, range_a: Ampere, over: Second) -> Ampere:
        """Mean current over `over`, measured in the range that ends at `range_a`; raises ReplyInvalid over range."""
        ...

    def off(self) -> None:
        """Ask for the output off."""
        ...


@dataclass(frozen=True, slots=True)
class ResistanceReading:
    """One resistance. `over_range`: it is at least `ohm`, the end of the range, contact proven before and after."""

    ohm: Ohm
    over_range: bool


class Ohmmeter(Protocol):
    """Four-wire ohmmeter behind a multiplexer; measures with both current directions."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def measure(self, lease: Lease, channel: int, range_ohm: Ohm) -> ResistanceReading:
        """Resistance at a multiplexer channel (from 1), contact of all four wires proven before and after.

        Raises:
            ReplyInvalid: a wire has no contact, or the reading is implausible or stuck.
        """
        ...

    async def temperature(self, lease: Lease) -> Celsius:
        """What the meter's temperature probe reads.

        Raises:
            ReplyInvalid: there is no probe, or its reading is implausible.
        """
        ...


@dataclass(frozen=True, slots=True)
class InsulationReading:
    """One insulation resistance at `voltage`. `over_range`: it is at least `ohm`, the end of the range."""

    ohm: Ohm
    voltage: Volt
    over_range: bool


class InsulationTester(Protocol):
    """Megohmmeter. Discharges what it has charged before a measurement ends."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def measure(self, lease: Lease, voltage: Volt, duration: Second) -> InsulationReading:
        """Apply `voltage` for `duration`, read, discharge; contact proven before and after.

        Raises:
            DeviceRefused: a foreign voltage lies at the terminals.
            ReplyInvalid: no contact before or after, or resistance, voltage and current do not agree.
        """
        ...

    def off(self) -> None:
        """Ask for the test voltage off."""
        ...


@dataclass(frozen=True, slots=True)
class WithstandReading:
    """How a withstand test ended: highest voltage and current seen, and whether the trip ended it (a breakdown)."""

    voltage: Volt
    current: Ampere
    tripped: bool


class WithstandTester(Protocol):
    """Dielectric withstand tester, DC. Discharges what it has charged before a test ends."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def test(self, lease: Lease, voltage: Volt, ramp: Second, hold: Second, trip: Ampere) -> WithstandReading:
        """Ramp up, hold, discharge. A trip is a result, never an error; `current` is that of the hold, or of the trip.

        Raises:
            ReplyInvalid: the settings read back, or voltage and times reported, are not those asked for.
        """
        ...

    def off(self) -> None:
        """Ask for the test voltage off."""
        ...


@dataclass(frozen=True, slots=True)
class CyclerReading:
    """What the cycler measures at its output: current (charge positive), voltage, when."""

    current: Ampere
    voltage: Volt
    t_s: float


class Cycler(Protocol):
    """Bidirectional source at the outer poles. Its output opens by itself when the safety PLC withdraws its enable."""

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware, as the device reports them."""
        ...

    async def arm(self, lease: Lease, voltage_min: Volt, voltage_max: Volt, current_max: Ampere) -> None:
        """Set protections and current 0, read all back, then switch the output on.

        Raises:
            DeviceRefused: an alarm is pending, or the enable is missing.
        """
        ...

    async def set_current(self, lease: Lease, current: Ampere) -> float:
        """Go to a current (charge positive, discharge negative); loop time at which the device acknowledged."""
        ...

    async def read(self, lease: Lease) -> CyclerReading:
        """Current and voltage now."""
        ...

    async def disarm(self, lease: Lease) -> None:
        """Current to 0, see it there, output off, read back."""
        ...

    def off(self) -> None:
        """Ask for the output off."""
        ...
