"""The digitizer front end."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports.bms import F64
from bmsctl.domain.units import Volt


class Resistor(enum.StrEnum):
    """Known resistors the front end can put between a pole and chassis, one at a time."""

    R0_MINUS = "r0_minus"
    """The test resistor R0 at the minus pole."""
    R0_PLUS = "r0_plus"
    """The test resistor R0 at the plus pole."""
    REFERENCE = "reference"
    """The reference resistor at the minus pole, to check an insulation monitor by."""


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

    async def insert(self, lease: Lease, resistor: Resistor | None) -> float:
        """Exactly this resistor in, or none, confirmed by the front end; loop time of the confirmation.

        Allowed during a recording.

        Raises:
            DeviceRefused: a relay's feedback disagrees.
        """
        ...

    def stop(self) -> None:
        """Ask for no more samples, and every resistor out."""
        ...
