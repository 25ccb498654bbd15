"""What the safety PLC measures: voltages by two channels with errors of their own, and the air temperature."""

from __future__ import annotations

from typing import Protocol

from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Node

SAFE_V = 60.0
GAIN_SD = 0.01
NOISE_V = 0.3
AIR_SD_K = 0.3
APART_SHARE, APART_V = 0.1, 10.0
"""By how much the channels may differ: far more than their errors, far less than a pack's voltage."""

Reading = tuple[float, float, float | None, float | None]
"""U_PN, U_link, U_P-PE, U_N-PE; the last two None without proof resistors."""


class Measurable(Protocol):
    """Where there are voltages."""

    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...


class Voltmeter:
    """Both channels measure outer poles, link, and with the proof resistors on the poles to chassis."""

    def __init__(self, plant: Measurable, seed: int) -> None:
        self._plant = plant
        self._gains: list[list[float]] = (1.0 + GAIN_SD * draw(seed, "plc.gain").standard_normal((2, 4))).tolist()
        self._noise = (Noise(seed, "plc.channel_a"), Noise(seed, "plc.channel_b"))
        self.reads_nothing = False
        """The first channel has lost its inputs."""

    def read(self, n: int, t_s: float, channel: int, *, to_chassis: bool) -> Reading:
        """Sample number `n` of a channel, taken at `t_s`, in volts."""

        def measured(k: int, a: Node, b: Node) -> float:
            noise_v = NOISE_V * self._noise[channel].one(4 * n + k)
            if self.reads_nothing and channel == 0:
                return noise_v
            return self._plant.voltage(t_s, a, b) * self._gains[channel][k] + noise_v

        u_pn, u_link = measured(0, Node.P, Node.N), measured(1, Node.LINK, Node.N)
        if not to_chassis:
            return u_pn, u_link, None, None
        return u_pn, u_link, measured(2, Node.P, Node.PE), measured(3, Node.N, Node.PE)

    def apart(self, n: int, t_s: float) -> bool:
        """The channels contradict each other about the voltage between the outer poles, or at the link."""
        pairs = zip(*(self.read(n, t_s, channel, to_chassis=False)[:2] for channel in (0, 1)), strict=True)
        return any(abs(a - b) > APART_SHARE * max(abs(a), abs(b)) + APART_V for a, b in pairs)

    def voltage_free(self, n: int, t_s: float) -> bool:
        """Both channels see less than 60 V everywhere; the proof resistors must be on."""
        return all(
            volts is not None and abs(volts) < SAFE_V
            for channel in (0, 1)
            for volts in self.read(n, t_s, channel, to_chassis=True)
        )


class Thermometer:
    """The sensor of the hall's air temperature, wrong by the same amount for ever."""

    def __init__(self, air_c: float | None, seed: int) -> None:
        """`air_c`: what the air has; None for a broken sensor."""
        self._air_c = air_c
        self._error_k = AIR_SD_K * float(draw(seed, "plc.air").standard_normal())

    def read(self) -> float | None:
        """The air temperature in °C; None: broken."""
        return None if self._air_c is None else self._air_c + self._error_k
