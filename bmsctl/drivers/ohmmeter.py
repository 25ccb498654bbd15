"""The four-wire ohmmeter behind its multiplexer: a Hioki RM3545-02 with multiplexer units, on RS-232.

The meter proves contact of its sense wires and the current in its source wires in every measurement, and answers
not-a-number without; over range is read twice, so that contact is proven before and after. Offset voltage
compensation measures with both current directions. It has no SCPI error queue. Its temperature probe stands in the
station's air.

Source: Hioki RM3544/RM3545 Communication Command Instruction Manual (RM3544A986-03). To be checked on the device: the
query of the temperature, and that without a probe it is answered with not-a-number.
"""

from __future__ import annotations

import math

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import ResistanceReading
from bmsctl.domain.units import Celsius, Ohm
from bmsctl.drivers.scpi import FrozenGuard, ScpiSession
from bmsctl.errors import ReplyInvalid
from bmsctl.protocols import scpi

DEVICE = "ohmmeter"
ANSWER_WITHIN_S = 0.2
MEASURED_WITHIN_S = 1.0

HEADROOM = 1.2
"""The meter shows up to this share of the range's end."""
ALIKE = 8
"""A meter that hangs shows one point's resistance at the next; what is alike by chance is not when read again: with a
noise of five digits, four readings would be alike for one pack in 250."""
FLOOR = 7.5e-4
"""Below this share of the range's end lies three quarters of the range, a thousand times too small: a slip of a prefix.
What is measured there for a good reason, a joint in the lowest range, is above."""
TEMPERATURE_MIN_C, TEMPERATURE_MAX_C = -10.0, 60.0
"""No station is colder or warmer."""


class ScpiOhmmeter:
    """Implements Ohmmeter."""

    def __init__(self, serial: SerialLink) -> None:
        self.session = ScpiSession(serial, DEVICE, error_queue=False)
        self._frozen = FrozenGuard(DEVICE, ALIKE)
        self._known: dict[str, str] = {}

    async def identify(self, lease: Lease) -> str:
        self._known = {}
        return await self.session.begin(lease)

    async def measure(self, lease: Lease, channel: int, range_ohm: Ohm) -> ResistanceReading:
        """As the port says.

        Raises:
            DeviceRefused: no such channel.
            ReplyInvalid: also a reading too small for the range to be told from a slip of its unit.
        """
        wanted = _settings(channel, range_ohm)
        # Whatever ends this call early leaves nothing known of the meter's settings.
        known, self._known = self._known, {}
        new = {header: value for header, value in wanted.items() if known.get(header) != value}
        await self.session.settings(lease, new, ANSWER_WITHIN_S)
        ohms = await self._read(lease, channel, range_ohm, wanted)
        over_range = math.isinf(ohms)
        if over_range and not math.isinf(await self._read(lease, channel, range_ohm, wanted)):
            raise ReplyInvalid(DEVICE, f"channel {channel} is over range once and then not; check its contacts")
        self._known = wanted
        return ResistanceReading(range_ohm if over_range else Ohm(ohms), over_range)

    async def temperature(self, lease: Lease) -> Celsius:
        (text,) = await self.session.measure(lease, ":MEAS:TEMP?", ":MEAS:TEMP?", {}, ANSWER_WITHIN_S)
        if scpi.is_not_a_number(text):
            raise ReplyInvalid(DEVICE, "has no temperature probe; plug it in")
        return Celsius(self.session.number(text, TEMPERATURE_MIN_C, TEMPERATURE_MAX_C, "temperature"))

    async def _read(self, lease: Lease, channel: int, range_ohm: Ohm, under: dict[str, str]) -> float:
        """One resistance under these settings, infinite over range; read again while its digits are the last one's."""
        while True:
            text = await self._digits(lease, under)
            ohms = self._ohms(text, channel, range_ohm)
            if math.isinf(ohms) or self._frozen.see(text):
                return ohms

    async def _digits(self, lease: Lease, under: dict[str, str]) -> str:
        (text,) = await self.session.measure(lease, ":READ?", ":FETC?", under, MEASURED_WITHIN_S)
        return text

    def _ohms(self, text: str, channel: int, range_ohm: Ohm) -> float:
        """What the digits say, infinite over range."""
        if scpi.is_not_a_number(text):
            raise ReplyInvalid(DEVICE, f"a wire of channel {channel} has no contact; check probes and multiplexer")
        what = f"resistance at channel {channel}"
        ohms = self.session.number(text, FLOOR * range_ohm, HEADROOM * range_ohm, what, over_range=True)
        if ohms == -math.inf:
            raise ReplyInvalid(DEVICE, f"resistance at channel {channel} is below the range; check its wires")
        return ohms


def _settings(channel: int, range_ohm: Ohm) -> dict[str, str]:
    return {
        ":INIT:CONT": "OFF",
        ":TRIG:SOUR": "IMM",
        ":SENS:RES:RANG": f"{range_ohm:g}",
        ":SENS:RES:OVC": "ON",
        ":SAMP:RATE": "SLOW2",
        ":SENS:CH": str(channel),
    }
