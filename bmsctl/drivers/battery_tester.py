"""The battery tester: a Hioki BT3564 on RS-232, open-circuit voltage and AC resistance at 1 kHz in one measurement.

The tester proves contact of all four wires in every measurement and says a fault without. It blanks leading zeros
behind the sign, and says over range and a fault as numbers that no battery has. It has no error queue.

Source: Hioki BT3561A/BT3562A/BT3563 Instruction Manual (BT3562A981), sections 8.4 to 8.6. To be checked on the device:
that the BT3564 answers in the same formats, what it shows beyond the end of a range, and that it answers several
queries of one message.
"""

from __future__ import annotations

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import BatteryReading
from bmsctl.domain.units import Ohm, Volt
from bmsctl.drivers.scpi import FrozenGuard, ScpiSession
from bmsctl.errors import ReplyInvalid

DEVICE = "battery_tester"
ANSWER_WITHIN_S = 0.2
MEASURED_WITHIN_S = 1.0

OVER_RANGE, FAULT = 1e9, 1e10
"""What stands for a value beyond the range, with its sign, and for a wire without contact."""
HEADROOM = 1.1
"""The tester shows no more than this share of a range's end."""
ALIKE = 8
"""A tester that hangs shows one module's values at the next; what is alike by chance is not when read again: with a
noise of one digit in both values, four readings would be alike for one pack in 150."""
FLOOR = 1.25e-3
"""Below this share of the range's end lies all that fits the range, a thousand times too small: a slip of a prefix."""


class ScpiBatteryTester:
    """Implements BatteryTester."""

    def __init__(self, serial: SerialLink) -> None:
        self.session = ScpiSession(serial, DEVICE, error_queue=False)
        self._frozen = FrozenGuard(DEVICE, ALIKE)
        self._known: dict[str, str] = {}

    async def identify(self, lease: Lease) -> str:
        self._known = {}
        return await self.session.begin(lease)

    async def measure(self, lease: Lease, voltage_range: Volt, resistance_range: Ohm) -> BatteryReading:
        """As the port says.

        Raises:
            DeviceRefused: no such range.
            ReplyInvalid: also a value too small for its range to be told from a slip of its unit.
        """
        wanted = _settings(voltage_range, resistance_range)
        # Whatever ends this call early leaves nothing known of the tester's settings.
        known, self._known = self._known, {}
        new = {header: value for header, value in wanted.items() if known.get(header) != value}
        await self.session.settings(lease, new, ANSWER_WITHIN_S)
        while True:
            (text,) = await self.session.measure(lease, ":READ?", ":FETC?", wanted, MEASURED_WITHIN_S)
            reading = self._reading(text, voltage_range, resistance_range)
            if self._frozen.see(text):
                self._known = wanted
                return reading

    def _reading(self, text: str, voltage_range: Volt, resistance_range: Ohm) -> BatteryReading:
        fields = text.split(",")
        if len(fields) != 2:
            raise ReplyInvalid(DEVICE, f"answers {text!r} instead of resistance and voltage")
        ohms = self._value(fields[0], resistance_range, "resistance")
        if ohms < 0.0:
            raise ReplyInvalid(DEVICE, f"resistance {ohms:g} is negative; check the order of its wires")
        return BatteryReading(Volt(self._value(fields[1], voltage_range, "voltage")), Ohm(ohms))

    def _value(self, text: str, end: float, what: str) -> float:
        """What one field says, in a range that ends at `end`."""
        digits = _without_blanks(text)
        value = self.session.number(digits, -FAULT, FAULT, what)
        if value == FAULT:
            raise ReplyInvalid(DEVICE, f"a wire has no contact, no {what} is measured; check the contact frame")
        if abs(value) == OVER_RANGE:
            raise ReplyInvalid(DEVICE, f"{what} is over the range that ends at {end:g}; check what is contacted")
        value = self.session.number(digits, -HEADROOM * end, HEADROOM * end, what)
        if abs(value) < FLOOR * end:
            raise ReplyInvalid(DEVICE, f"{what} {value:g} is implausible in the range that ends at {end:g}")
        return value


def _settings(voltage_range: Volt, resistance_range: Ohm) -> dict[str, str]:
    return {
        ":INIT:CONT": "OFF",
        ":TRIG:SOUR": "IMM",
        ":FUNC": "RV",
        ":RES:RANG": f"{resistance_range:g}",
        ":VOLT:RANG": f"{voltage_range:g}",
        ":SAMP:RATE": "SLOW",
    }


def _without_blanks(text: str) -> str:
    """A number without what stands for leading zeros, which lies between sign and digits."""
    text = text.strip()
    return f"-{text[1:].lstrip()}" if text.startswith("-") else text
