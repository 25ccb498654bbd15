"""Firmware of the insulation tester, a Chroma 19052 whose resistance range ends at 10 GOhm."""

from __future__ import annotations

import asyncio
import math

from bmsctl.protocols.safety_tester import Judgement, Mode
from firmware_stubs.noise import Noise, draw
from firmware_stubs.ports import SerialPort
from firmware_stubs.safety_tester import Action, Result, SafetyTesterStub, Values
from firmware_stubs.tester_output import TestedPlant

IDENTITY = "Chroma,19052,190520001871,4.11"
RANGE_END_OHM = 10e9
GAIN_SD = ((100e6, 0.02), (1e9, 0.05), (math.inf, 0.15))
"""Standard deviation of the gain below a resistance; each has a gain of its own."""
NOISE_SHARE = 0.005


class InsulationTesterStub(SafetyTesterStub):
    """One insulation tester on a serial line; build it inside a running loop."""

    def __init__(self, port: SerialPort, plant: TestedPlant, seed: int) -> None:
        gains = draw(seed, "insulation_tester.gain").standard_normal(len(GAIN_SD)).tolist()
        self._gains = [(end_ohm, 1.0 + sd * gain) for (end_ohm, sd), gain in zip(GAIN_SD, gains, strict=True)]
        self._noise = Noise(seed, "insulation_tester.resistance")
        super().__init__(port, plant, seed, name="insulation_tester", identity=IDENTITY)

    def _modes(self) -> dict[Mode, Action]:
        return {**super()._modes(), Mode.IR: self._resistance}

    async def _resistance(self, values: Values, result: Result) -> Judgement:
        await self._rise(values["IR:LEVel"], values["IR:TIME:RAMP"], math.inf, result)
        begun_s = self._loop.time()
        await asyncio.sleep(values["IR:TIME:TEST"])
        now_s = self._loop.time()
        volts, amps = self._output.volts(now_s), self._output.amps(now_s)
        result.test_s = now_s - begun_s
        result.output_v = self._output.shown_v(volts, now_s)
        result.measured = ohms = self._shown_ohm(volts / amps if amps > 0.0 else math.inf, now_s)
        await self._fall(values["IR:TIME:FALL"])
        if ohms < values["IR:LIMit:LOW"]:
            return Judgement.IR_LOW
        return Judgement.IR_HIGH if 0.0 < values["IR:LIMit:HIGH"] < ohms else Judgement.PASS

    def _shown_ohm(self, ohms: float, t_s: float) -> float:
        """What the meter makes of a resistance; infinite beyond its range."""
        gain = next(gain for end_ohm, gain in self._gains if ohms <= end_ohm)
        shown = ohms * gain * (1.0 + NOISE_SHARE * self._noise.one(int(t_s * 1e3)))
        return shown if shown <= RANGE_END_OHM else math.inf
