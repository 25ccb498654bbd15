"""Firmware of the battery tester: a Hioki BT3564 whose contact frame is put on a module or a stack.

The errors that the manual states bound the unit's own at two standard deviations. What it reads depends on when it
was measured, not on how many measurements there were before.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NamedTuple, Protocol

from firmware_stubs.noise import Noise, draw
from firmware_stubs.ports import SerialPort
from firmware_stubs.scpi import Failure, Handler, ScpiStub

IDENTITY = "HIOKI,BT3564,200612345,V1.07"
LATENCY_S = 0.005
SPEEDS_S = {"EXFAST": 0.008, "FAST": 0.024, "MEDIUM": 0.070, "SLOW": 0.253}
"""Time of resistance and voltage together."""

RESISTANCE_SHARE, RESISTANCE_DIGITS = 5e-3, 5.0
VOLTAGE_SHARE, VOLTAGE_DIGITS = 1e-4, 3.0
NOISE_DIGITS = 1.0


class Range(NamedTuple):
    """How one range shows its values: `unit` times a number with so many decimals, up to `most`."""

    end: float
    most: float
    unit: float
    exponent: str
    decimals: int

    @property
    def digit(self) -> float:
        """The last digit."""
        return float(self.unit * 10.0**-self.decimals)

    def shown(self, value: float) -> str:
        """A reading: the sign, or a blank, then the number, leading zeros blank."""
        sign = "-" if value < 0.0 else " "
        if abs(value) > self.most:
            return sign + self._power(9)
        text = f"{abs(value) / self.unit:7.{self.decimals}f}"
        return (sign if float(text) else " ") + text + self.exponent

    @property
    def fault(self) -> str:
        """What stands for no contact."""
        return " " + self._power(10)

    def _power(self, exponent: int) -> str:
        """A power of ten with as many digits as a reading."""
        whole = 5 - self.decimals
        return f"{10.0**whole:.{self.decimals}f}E+{exponent - whole}"


RESISTANCE_RANGES = tuple(
    Range(end, end * 31.0 / 30.0, unit, exponent, decimals)
    for end, unit, exponent, decimals in (
        (3e-3, 1e-3, "E-3", 4),
        (30e-3, 1e-3, "E-3", 3),
        (300e-3, 1e-3, "E-3", 2),
        (3.0, 1.0, "E+0", 4),
        (30.0, 1.0, "E+0", 3),
        (300.0, 1.0, "E+0", 2),
        (3e3, 1e3, "E+3", 4),
    )
)
VOLTAGE_RANGES = (
    Range(10.0, 9.99999, 1.0, "E+0", 5),
    Range(100.0, 99.9999, 1.0, "E+0", 4),
    Range(1000.0, 1100.0, 1.0, "E+0", 3),
)


class Probed(Protocol):
    """What the contact frame touches."""

    def terminal(self) -> tuple[float, float] | None:
        """True voltage, signed as the leads lie, V, and AC resistance, Ohm; None: a wire touches nothing."""
        ...


class BatteryTesterStub:
    """One battery tester on a serial line; build it inside a running loop."""

    def __init__(self, port: SerialPort, target: Probed, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._resistance = _Errors(seed, "resistance", RESISTANCE_SHARE, RESISTANCE_DIGITS)
        self._voltage = _Errors(seed, "voltage", VOLTAGE_SHARE, VOLTAGE_DIGITS)
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
        self._ranges = {"resistance": RESISTANCE_RANGES[-1], "voltage": VOLTAGE_RANGES[-1]}
        self._words = {"function": "RV", "rate": "SLOW", "continuous": "ON", "source": "IMM"}
        self._newest = self._no_contact

    @property
    def _no_contact(self) -> str:
        return f"{self._ranges['resistance'].fault},{self._ranges['voltage'].fault}"

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {":READ?": self._measure, ":FETCh?": lambda _: self._newest}
        for header, key, ranges in (
            (":RESistance:RANGe", "resistance", RESISTANCE_RANGES),
            (":VOLTage:RANGe", "voltage", VOLTAGE_RANGES),
        ):
            commands[header] = partial(self._set_range, key, ranges)
            commands[f"{header}?"] = partial(self._say_range, key)
        for header, key, words in (
            (":FUNCtion", "function", ("RV",)),
            (":SAMPle:RATE", "rate", tuple(SPEEDS_S)),
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

    def _set_range(self, key: str, ranges: tuple[Range, ...], argument: str) -> None:
        """The smallest range that holds the value."""
        value = _number(argument)
        fitting = [candidate for candidate in ranges if value <= candidate.end]
        if value < 0.0 or not fitting:
            raise Failure(-222, "Data out of range")
        self._ranges[key] = fitting[0]

    def _say_range(self, key: str, argument: str) -> str:
        chosen = self._ranges[key]
        return f"{chosen.end / chosen.unit:.{chosen.decimals}f}{chosen.exponent}"

    async def _measure(self, argument: str) -> str:
        await asyncio.sleep(SPEEDS_S[self._words["rate"]])
        self._newest = self._values()
        return self._newest

    def _values(self) -> str:
        touched = self._target.terminal()
        if touched is None:
            return self._no_contact
        volts, ohms = touched
        sample = int(self._loop.time() * 1e3)
        resistance = self._resistance.read(ohms, self._ranges["resistance"], sample)
        voltage = self._voltage.read(volts, self._ranges["voltage"], sample)
        return f"{resistance},{voltage}"


class _Errors:
    """Errors of one quantity: gain and offset of the unit, and noise of each reading."""

    def __init__(self, seed: int, quantity: str, share: float, digits: float) -> None:
        """`share` of the reading and `digits`: bounds of gain and offset, at two standard deviations."""
        deviates = draw(seed, f"battery_tester.{quantity}").standard_normal(2).clip(-2.0, 2.0)
        gain, offset = deviates.tolist()
        self._gain = 1.0 + share * gain / 2.0
        self._offset_digits = digits * offset / 2.0
        self._noise = Noise(seed, f"battery_tester.{quantity}_noise")

    def read(self, value: float, chosen: Range, sample: int) -> str:
        digits = self._offset_digits + NOISE_DIGITS * self._noise.one(sample)
        return chosen.shown(value * self._gain + digits * chosen.digit)


def _number(argument: str) -> float:
    try:
        return float(argument)
    except ValueError:
        raise Failure(-104, "Data type error") from None
