"""The dielectric withstand tester: a Chroma 19052 on RS-232.

A test is a program of three steps: contact, DC voltage, contact. A breakdown ends the program, and needs no proof of
contact: the current is its own.
"""

from __future__ import annotations

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import WithstandReading
from bmsctl.domain.units import Ampere, Second, Volt
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
from bmsctl.protocols import safety_tester
from bmsctl.protocols.safety_tester import Judgement, Mode

DEVICE = "withstand_tester"
VOLTAGE_SHARE = 0.06
"""Five standard deviations of the tester's voltmeter."""
TIME_S = 0.05
OUTPUT_MAX_A = 0.05
TRIP_SHARE = 0.9

_TRIPPED = frozenset({Judgement.DC_HIGH, Judgement.DC_METER_OVER})
_DECIDED = _TRIPPED | {Judgement.PASS}


class ScpiWithstandTester:
    """Implements WithstandTester."""

    def __init__(self, serial: SerialLink) -> None:
        self.tester = SafetyTester(serial, DEVICE, judge_ramp=True)
        self._frozen, self._hung = FrozenGuard(DEVICE), FrozenGuard(DEVICE, ALIKE)

    async def identify(self, lease: Lease) -> str:
        return await self.tester.identify(lease)

    async def test(self, lease: Lease, voltage: Volt, ramp: Second, hold: Second, trip: Ampere) -> WithstandReading:
        """As the port says.

        Raises:
            DeviceRefused: a foreign voltage lies at the terminals, or the enable is missing or goes away.
            ReplyInvalid: also when there is no contact before or after.
        """
        program = (CONTACT, _withstand(voltage, ramp, hold, trip), CONTACT)
        duration_s = 2 * CONTACT_CHECK_S + ramp + hold + FALL_S + 2 * INTERVAL_S
        before, result, after = await self.tester.run(lease, program, duration_s)
        self.tester.require_contact(before, "before")
        self.tester.require(result, _DECIDED, "the withstand test")
        self._hung.see(f"{result.output}, {result.measured}")
        if result.judgement in _TRIPPED:
            return self._breakdown(result, voltage, ramp, hold, trip)
        self.tester.require_contact(after, "after")
        number = self.tester.session.number
        least_v, most_v = (1.0 - VOLTAGE_SHARE) * voltage, (1.0 + VOLTAGE_SHARE) * voltage
        volts = number(result.output, least_v, most_v, "test voltage")
        number(result.ramp, ramp - TIME_S, ramp + TIME_S, "time of the ramp")
        number(result.test, hold - TIME_S, hold + TIME_S, "time of the hold")
        amps = number(result.measured, 0.0, trip, "leakage current")
        self._frozen.see(result.output)
        return WithstandReading(Volt(volts), Ampere(amps), tripped=False)

    def off(self) -> None:
        self.tester.off()

    def _breakdown(
        self, result: StepResult, voltage: Volt, ramp: Second, hold: Second, trip: Ampere
    ) -> WithstandReading:
        """Where the trip ended the test: within its voltage and times, at a current beyond the trip's."""
        number = self.tester.session.number
        number(result.ramp, 0.0, ramp + TIME_S, "time of the ramp")
        number(result.test, 0.0, hold + TIME_S, "time of the hold")
        volts = number(result.output, 0.0, (1.0 + VOLTAGE_SHARE) * voltage, "breakdown voltage")
        amps = number(result.measured, TRIP_SHARE * trip, OUTPUT_MAX_A, "breakdown current", over_range=True)
        return WithstandReading(Volt(volts), Ampere(min(amps, OUTPUT_MAX_A)), tripped=True)


def _withstand(voltage: Volt, ramp: Second, hold: Second, trip: Ampere) -> Step:
    return Step(
        Mode.DC,
        {
            safety_tester.DC: f"{voltage:g}",
            safety_tester.DC_HIGH: f"{trip:g}",
            safety_tester.DC_LOW: "0",
            safety_tester.DC_ARC: "0",
            safety_tester.DC_RAMP: f"{ramp:g}",
            safety_tester.DC_TIME: f"{hold:g}",
            safety_tester.DC_FALL: f"{FALL_S:g}",
        },
    )
