"""The insulation tester: a Chroma 19052 on RS-232.

A measurement is a program of four steps: contact, resistance, current at the same voltage, contact. The tester tells
resistance and current in steps of their own; that they agree shows that neither slipped by a prefix of its unit.
"""

from __future__ import annotations

import math

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import InsulationReading
from bmsctl.domain.units import Ohm, Second, Volt
from bmsctl.drivers.safety_tester import (
    ALIKE,
    CONTACT,
    CONTACT_CHECK_S,
    FALL_S,
    INTERVAL_S,
    SafetyTester,
    Step,
    StepResult,
)
from bmsctl.drivers.scpi import FrozenGuard
from bmsctl.errors import ReplyInvalid
from bmsctl.protocols import safety_tester
from bmsctl.protocols.safety_tester import Judgement, Mode

DEVICE = "insulation_tester"
RANGE_END_OHM = 10e9
HELD_OHM = 2e6
"""From here on the tester holds its voltage; less is told apart by its own judgement, and ends the program."""
VOLTAGE_SHARE = 0.1
TIME_S = 0.05

CURRENT_RAMP_S, CURRENT_TIME_S = 0.1, 0.3
CURRENT_MAX_A = 0.01
CURRENT_SHARE, CURRENT_A = 0.3, 6e-6
"""Six standard deviations of both meters, far less than a slip of a prefix."""

_DECIDED = frozenset({Judgement.PASS, Judgement.IR_LOW})
_PASSED = frozenset({Judgement.PASS})


class ScpiInsulationTester:
    """Implements InsulationTester."""

    def __init__(self, serial: SerialLink) -> None:
        self.tester = SafetyTester(serial, DEVICE, judge_ramp=False)
        self._frozen, self._hung = FrozenGuard(DEVICE), FrozenGuard(DEVICE, ALIKE)

    async def identify(self, lease: Lease) -> str:
        return await self.tester.identify(lease)

    async def measure(self, lease: Lease, voltage: Volt, duration: Second) -> InsulationReading:
        """As the port says.

        Raises:
            DeviceRefused: also when the enable is missing or goes away.
            ReplyInvalid: also when the voltage was not reached although the insulation would bear it.
        """
        test_s = duration + CURRENT_RAMP_S + CURRENT_TIME_S + FALL_S
        duration_s = 2 * CONTACT_CHECK_S + test_s + 3 * INTERVAL_S
        before, resistance, current, after = await self.tester.run(lease, _program(voltage, duration), duration_s)
        self.tester.require_contact(before, "before")
        self.tester.require(resistance, _DECIDED, "the resistance measurement")
        self._hung.see(", ".join((resistance.output, resistance.measured, current.output, current.measured)))
        volts, ohms = self._resistance(resistance, voltage, duration)
        if resistance.judgement is Judgement.PASS:
            self.tester.require(current, _PASSED, "the current measurement")
            self._agree(volts, ohms, self._current(current, voltage))
            self.tester.require_contact(after, "after")
        if math.isinf(ohms):
            return InsulationReading(Ohm(RANGE_END_OHM), Volt(volts), over_range=True)
        self._frozen.see(resistance.measured)
        return InsulationReading(Ohm(ohms), Volt(volts), over_range=False)

    def off(self) -> None:
        self.tester.off()

    def _resistance(self, result: StepResult, voltage: Volt, duration: Second) -> tuple[float, float]:
        """Voltage and resistance, infinite over range. A low resistance may pull the voltage down, and proves contact
        by itself: the tester saw a current."""
        low = result.judgement is Judgement.IR_LOW
        least_v = 0.0 if low else (1.0 - VOLTAGE_SHARE) * voltage
        number = self.tester.session.number
        volts = number(result.output, least_v, (1.0 + VOLTAGE_SHARE) * voltage, "test voltage")
        least_ohm, most_ohm = (0.0, HELD_OHM) if low else (HELD_OHM, RANGE_END_OHM)
        ohms = number(result.measured, least_ohm, most_ohm, "insulation", over_range=True)
        if ohms == -math.inf or (low and math.isinf(ohms)):
            raise ReplyInvalid(DEVICE, f"insulation {result.measured} at {result.output} V cannot be")
        number(result.test, duration - TIME_S, duration + TIME_S, "test time")
        return volts, ohms

    def _current(self, result: StepResult, voltage: Volt) -> float:
        number = self.tester.session.number
        number(result.output, (1.0 - VOLTAGE_SHARE) * voltage, (1.0 + VOLTAGE_SHARE) * voltage, "test voltage")
        return number(result.measured, 0.0, CURRENT_MAX_A, "current")

    def _agree(self, volts: float, ohms: float, amps: float) -> None:
        """See that the current is that which flows through the resistance; over range, no more than at its end."""
        expected_a = volts / min(ohms, RANGE_END_OHM)
        least_a = 0.0 if math.isinf(ohms) else (1.0 - CURRENT_SHARE) * expected_a - CURRENT_A
        if not least_a <= amps <= (1.0 + CURRENT_SHARE) * expected_a + CURRENT_A:
            raise ReplyInvalid(DEVICE, f"{amps:g} A at {volts:g} V do not agree with {ohms:g} Ohm")


def _program(voltage: Volt, duration: Second) -> tuple[Step, ...]:
    resistance = {
        safety_tester.IR: f"{voltage:g}",
        safety_tester.IR_LOW: f"{HELD_OHM:g}",
        safety_tester.IR_HIGH: "0",
        safety_tester.IR_RAMP: "0",
        safety_tester.IR_TIME: f"{duration:g}",
        safety_tester.IR_FALL: "0",
    }
    current = {
        safety_tester.DC: f"{voltage:g}",
        safety_tester.DC_HIGH: f"{CURRENT_MAX_A:g}",
        safety_tester.DC_LOW: "0",
        safety_tester.DC_RAMP: f"{CURRENT_RAMP_S:g}",
        safety_tester.DC_TIME: f"{CURRENT_TIME_S:g}",
        safety_tester.DC_FALL: f"{FALL_S:g}",
    }
    return (CONTACT, Step(Mode.IR, resistance), Step(Mode.DC, current), CONTACT)
