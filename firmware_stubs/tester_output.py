"""High-voltage output of a safety tester: a source behind a resistor, a discharge, and its meters, against chassis."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Node

SOURCE_OHM = 100e3
DISCHARGE_OHM = 10e3
REST_OHM = 1e6
"""What lies across the output while nothing is driven."""

GAIN_SD, CURRENT_OFFSET_SD_A, NOISE_SHARE = 0.01, 1e-6, 0.005

CHECK_V, CHECK_OHM = 10.0, 10e3
CHARGING_S, DECAY_S, CHECK_S = 0.1, 0.005, 0.2
STRAY_F = 50e-12
"""Capacitance of an open lead."""


class TestedPlant(Protocol):
    """What the output is connected to."""

    def tester_source(self, t_s: float, volts: float, ohm: float) -> None: ...
    def tester_current_a(self, t_s: float) -> float: ...
    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...


class TesterOutput:
    """One tester's output. An idle one leaves the plant alone: another tester may be driving the same node."""

    def __init__(self, plant: TestedPlant, seed: int, name: str) -> None:
        self._plant = plant
        self._loop = asyncio.get_running_loop()
        self._volts, self._ohm = 0.0, REST_OHM
        self._lead_open = False
        gain_v, gain_a, offset_a = draw(seed, f"{name}.meters").standard_normal(3).tolist()
        self._gain_v: float = 1.0 + GAIN_SD * gain_v
        self._gain_a: float = 1.0 + GAIN_SD * gain_a
        self._offset_a: float = CURRENT_OFFSET_SD_A * offset_a
        self._noise_v, self._noise_a = Noise(seed, f"{name}.voltage"), Noise(seed, f"{name}.current")

    @property
    def lead_open(self) -> bool:
        """Whether the lead does not touch what it should."""
        return self._lead_open

    @lead_open.setter
    def lead_open(self, on: bool) -> None:
        driving = (self._volts, self._ohm) != (0.0, REST_OHM)
        if on is not self._lead_open and driving:
            source = (0.0, REST_OHM) if on else (self._volts, self._ohm)
            self._plant.tester_source(self._loop.time(), *source)
        self._lead_open = on

    def drive(self, volts: float, ohm: float = SOURCE_OHM, at_s: float | None = None) -> None:
        """Put a voltage behind a resistor, from now on or since a moment just past."""
        self._volts, self._ohm = volts, ohm
        if not self._lead_open:
            self._plant.tester_source(self._loop.time() if at_s is None else at_s, volts, ohm)

    def discharge(self, at_s: float | None = None) -> None:
        """Connect the discharge resistor instead of the source."""
        self.drive(0.0, DISCHARGE_OHM, at_s)

    def rest(self) -> None:
        """Drive nothing."""
        self.drive(0.0, REST_OHM)

    def volts(self, t_s: float) -> float:
        """Voltage at the output."""
        return self._volts if self._lead_open else self._plant.voltage(t_s, Node.TESTER, Node.PE)

    def amps(self, t_s: float) -> float:
        """Current out of it."""
        return 0.0 if self._lead_open else self._plant.tester_current_a(t_s)

    def shown_v(self, volts: float, t_s: float) -> float:
        """What the voltmeter makes of a voltage."""
        return volts * self._gain_v * (1.0 + NOISE_SHARE * self._noise_v.one(int(t_s * 1e3)))

    def shown_a(self, amps: float, t_s: float) -> float:
        """What the ammeter makes of a current; it shows no sign."""
        noise = 1.0 + NOISE_SHARE * self._noise_a.one(int(t_s * 1e3))
        return max(0.0, amps * self._gain_a + self._offset_a) * noise

    async def capacitance(self) -> float:
        """Charge what is connected to 10 V, and tell its capacitance, in farads, by how it decays; infinite if shorted.

        Takes CHECK_S.
        """
        self.drive(CHECK_V, CHECK_OHM)
        await asyncio.sleep(CHARGING_S)
        charged_s = self._loop.time()
        charged_v, leak_a = self.volts(charged_s), self.amps(charged_s)
        self.rest()
        await asyncio.sleep(DECAY_S)
        left_v = self.volts(self._loop.time())
        await asyncio.sleep(CHECK_S - CHARGING_S - DECAY_S)
        if charged_v < 1e-3 * CHECK_V:
            return math.inf
        if left_v <= 0.0:
            return STRAY_F
        siemens = 1.0 / REST_OHM + max(0.0, leak_a) / charged_v
        return DECAY_S * siemens / math.log(charged_v / left_v) if left_v < charged_v else math.inf
