"""Firmware of the ohmmeter: a Hioki RM3545-02 whose multiplexer reaches the pack's bonding points.

Each channel's wires are proven in every measurement: without contact it answers not-a-number. A thermal EMF of each
channel adds to a reading unless offset voltage compensation reverses the current. What it reads depends on when it
was measured, not on how many measurements there were before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from firmware_stubs.noise import Noise, draw
from firmware_stubs.ports import SerialPort
from firmware_stubs.scpi import Failure, Handler, ScpiStub

IDENTITY = "HIOKI,RM3545-02,190412345,V1.11"
LATENCY_S = 0.005
CHANNELS = 20
"""Four-wire channels of two multiplexer units."""
CURRENT_A = {0.01: 1.0, 0.1: 1.0, 1.0: 0.1, 10.0: 0.01, 100.0: 0.01, 1000.0: 0.001}
"""Measurement current by the end of the range, ohms."""
DISPLAY_MAX = 1.2
DIGITS = 6
"""Of the end of a range: 100.0000 m on the 100 m range."""
SPEEDS_S = {"FAST": 0.0022, "MED": 0.022, "SLOW1": 0.11, "SLOW2": 0.22}

GAIN_SD, OFFSET_SD_SHARE = 6e-4, 1e-4
NOISE_SHARE = 5e-6
"""Of the end of the range: 0.5 uOhm at 1 A."""
EMF_V = (1e-6, 5e-6)
TEMPERATURE_SD_K, TEMPERATURE_NOISE_K = 0.2, 0.05
TEMPERATURE_EVERY_S = 2.0
"""The probe is read so often; every question in between has the same answer."""

OVER_RANGE, NO_MEASUREMENT = " 9.9000E+37", " 9.9100E+37"


class Target(Protocol):
    """What the channels are wired to: channel `n` to bonding point `n`."""

    @property
    def bonding_points(self) -> int: ...
    def bonding_ohm(self, point: int) -> float: ...


class OhmmeterStub:
    """One ohmmeter on a serial line; build it inside a running loop. `lost_contacts`: channels with a wire off.

    `temperature_c`: the true temperature of the probe; None while there is no probe, as at first.
    """

    def __init__(self, port: SerialPort, target: Target, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._gain, self._offset_share = _errors(seed)
        emf = draw(seed, "ohmmeter.emf")
        self._emf_v = (emf.uniform(*EMF_V, CHANNELS) * emf.choice((-1.0, 1.0), CHANNELS)).tolist()
        self._noise = Noise(seed, "ohmmeter.noise")
        self._temperature_error_k = TEMPERATURE_SD_K * float(draw(seed, "ohmmeter.temperature").standard_normal())
        self._temperature_noise = Noise(seed, "ohmmeter.temperature_noise")
        self.lost_contacts: set[int] = set()
        self.temperature_c: Callable[[], float | None] = lambda: None
        self._reset()
        self._scpi = ScpiStub(
            port,
            IDENTITY,
            self._commands(),
            latency_s=lambda: LATENCY_S,
            reset=self._reset,
            error_queue=False,
        )

    def restart(self) -> None:
        """Its mains failed and came back."""
        self._scpi.restart()

    def _reset(self) -> None:
        self._range_ohm = 1000.0
        self._channel = 1
        self._words = {"speed": "SLOW2", "compensation": "OFF", "continuous": "ON", "source": "IMM"}
        self._newest = NO_MEASUREMENT

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {
            ":SENSe:RESistance:RANGe": self._set_range,
            ":SENSe:RESistance:RANGe?": lambda _: f"{self._range_ohm:.4E}",
            ":SENSe:CH": self._select,
            ":SENSe:CH?": lambda _: str(self._channel),
            ":READ?": self._measure,
            ":FETCh?": lambda _: self._newest,
            ":MEASure:TEMPerature?": lambda _: self._temperature(),
        }
        for header, key, words in (
            (":SAMPle:RATE", "speed", tuple(SPEEDS_S)),
            (":SENSe:RESistance:OVC", "compensation", ("ON", "OFF")),
            (":INITiate:CONTinuous", "continuous", ("ON", "OFF")),
            (":TRIGger:SOURce", "source", ("IMM", "EXT")),
        ):
            commands[header] = partial(self._set_word, key, words)
            commands[f"{header}?"] = partial(self._say_word, key)
        return commands

    def _set_word(self, key: str, words: tuple[str, ...], argument: str) -> None:
        if argument.upper() not in words:
            raise Failure(-224, "Illegal parameter value")
        self._words[key] = argument.upper()

    def _say_word(self, key: str, argument: str) -> str:
        return self._words[key]

    def _set_range(self, argument: str) -> None:
        """The smallest range that holds the value."""
        value = _number(argument)
        fitting = [end for end in CURRENT_A if value <= end]
        if value < 0.0 or not fitting:
            raise Failure(-222, "Data out of range")
        self._range_ohm = fitting[0]

    def _select(self, argument: str) -> None:
        channel = _number(argument)
        if channel not in range(1, CHANNELS + 1):
            raise Failure(-222, "Data out of range")
        self._channel = int(channel)

    async def _measure(self, argument: str) -> str:
        compensated = self._words["compensation"] == "ON"
        await asyncio.sleep(SPEEDS_S[self._words["speed"]] * (2 if compensated else 1))
        self._newest = self._value(compensated)
        return self._newest

    def _temperature(self) -> str:
        true_c = self.temperature_c()
        if true_c is None:
            return NO_MEASUREMENT
        noise_k = TEMPERATURE_NOISE_K * self._temperature_noise.one(int(self._loop.time() / TEMPERATURE_EVERY_S))
        return f"{true_c + self._temperature_error_k + noise_k: .1f}"

    def _value(self, compensated: bool) -> str:
        end, channel = self._range_ohm, self._channel
        if channel in self.lost_contacts or channel > self._target.bonding_points:
            return NO_MEASUREMENT
        ohms = self._target.bonding_ohm(channel) * self._gain + self._offset_share * end
        ohms += NOISE_SHARE * end * self._noise.one(int(self._loop.time() * 1e3))
        if not compensated:
            ohms += self._emf_v[channel - 1] / CURRENT_A[end]
        return _shown(ohms, end)


def _errors(seed: int) -> tuple[float, float]:
    gain, offset = draw(seed, "ohmmeter.reading").standard_normal(2).tolist()
    return 1.0 + GAIN_SD * gain, OFFSET_SD_SHARE * offset


def _shown(ohms: float, end_ohm: float) -> str:
    """A reading as the display has it, with a space for a plus sign."""
    if abs(ohms) > DISPLAY_MAX * end_ohm:
        return OVER_RANGE if ohms > 0.0 else OVER_RANGE.replace(" ", "-")
    milli = end_ohm <= 1.0
    scale, exponent = (1e3, "-03") if milli else (1.0, "+00")
    whole = len(f"{end_ohm * scale:.0f}")
    return f"{ohms * scale: .{DIGITS + 1 - whole}f}E{exponent}"


def _number(argument: str) -> float:
    try:
        return float(argument)
    except ValueError:
        raise Failure(-104, "Data type error") from None
