"""Firmware of the 12 V supply: one output, and an ammeter with a low range, in the dialect of Keysight's N6900 series.

An acquisition takes the load's mean current over its aperture once, when it is first fetched. What it reads depends
on when it was made, not on how many were made before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from firmware_stubs.noise import Noise, draw
from firmware_stubs.ports import SerialPort
from firmware_stubs.scpi import Failure, Handler, ScpiStub

IDENTITY = "Keysight Technologies,N6951A,MY59000217,B.04.02"
LATENCY_S = 0.02
VOLTAGE_MAX_V, CURRENT_MAX_A = 20.4, 10.2
RANGES_A = (0.01, 10.0)
OVER_RANGE_SHARE = 1.02
OVER_RANGE = "+9.900000E+37"
POINTS_MAX = 524_288
POINTS, INTERVAL_S = 3255, 20.48e-6
"""Acquisition after a reset: four mains cycles."""

VOLTAGE_GAIN_SD, VOLTAGE_NOISE_V = 5e-4, 1e-3
CURRENT_GAIN_SD, CURRENT_OFFSET_SD_A, CURRENT_NOISE_A = 5e-3, 5e-6, 5e-6

_VOLTAGE, _LIMIT, _RANGE, _POINTS, _INTERVAL = "voltage", "limit", "range", "points", "interval"


class Load(Protocol):
    """What the output feeds."""

    def mean_supply_current_a(self, from_s: float, to_s: float) -> float:
        """Mean current drawn between two loop times, the later one not in the future."""
        ...


@dataclass(frozen=True, slots=True)
class _Reading:
    volts: str
    amps: str
    watts: str


class LvSupplyStub:
    """One supply on a serial line, its output off; build it inside a running loop."""

    def __init__(
        self, port: SerialPort, load: Load, seed: int, *, on_output: Callable[[bool], None] = lambda on: None
    ) -> None:
        """`on_output`: told whenever the output is switched."""
        self._loop = asyncio.get_running_loop()
        self._load = load
        self._on_output = on_output
        self._voltage_gain = 1.0 + VOLTAGE_GAIN_SD * float(draw(seed, "lv_supply.voltage").standard_normal())
        gain, offset = draw(seed, "lv_supply.current").standard_normal(2).tolist()
        self._current_gain = 1.0 + CURRENT_GAIN_SD * gain
        self._current_offset_a = CURRENT_OFFSET_SD_A * offset
        self._voltage_noise = Noise(seed, "lv_supply.voltage_noise")
        self._current_noise = Noise(seed, "lv_supply.current_noise")
        self.output = False
        self._default()
        self._scpi = ScpiStub(port, IDENTITY, self._commands(), latency_s=lambda: LATENCY_S, reset=self._reset)

    def restart(self) -> None:
        """Its mains failed and came back."""
        self._scpi.restart()

    def _default(self) -> None:
        self._values = {
            _VOLTAGE: 0.0,
            _LIMIT: 0.1,
            _RANGE: RANGES_A[-1],
            _POINTS: float(POINTS),
            _INTERVAL: INTERVAL_S,
        }
        self._armed = False
        self._aperture: tuple[float, float] | None = None
        self._reading: _Reading | None = None

    def _reset(self) -> None:
        self._switch(False)
        self._default()

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {
            ":OUTPut": lambda argument: self._switch(_on_or_off(argument)),
            ":OUTPut?": lambda _: str(int(self.output)),
            ":INITiate:ACQuire": self._arm,
            ":TRIGger:ACQuire": self._trigger,
            ":FETCh:VOLTage?": self._fetch_voltage,
            ":FETCh:CURRent?": self._fetch_current,
            ":FETCh:POWer?": self._fetch_power,
            ":MEASure:VOLTage?": partial(self._measure, self._fetch_voltage),
            ":MEASure:CURRent?": partial(self._measure, self._fetch_current),
        }
        settings: tuple[tuple[str, str, Callable[[float], float]], ...] = (
            (":VOLTage", _VOLTAGE, partial(_within, 0.0, VOLTAGE_MAX_V)),
            (":CURRent", _LIMIT, partial(_within, 0.0, CURRENT_MAX_A)),
            (":SENSe:CURRent:RANGe", _RANGE, _range_for),
            (":SENSe:SWEep:POINts", _POINTS, partial(_within, 1.0, float(POINTS_MAX))),
            (":SENSe:SWEep:TINTerval", _INTERVAL, partial(_within, 5.12e-6, 40e3)),
        )
        for header, key, accept in settings:
            commands[header] = partial(self._set, key, accept)
            commands[f"{header}?"] = partial(self._say, key)
        return commands

    def _set(self, key: str, accept: Callable[[float], float], argument: str) -> None:
        try:
            value = float(argument)
        except ValueError:
            raise Failure(-104, "Data type error") from None
        self._values[key] = accept(value)

    def _say(self, key: str, argument: str) -> str:
        return f"{self._values[key]:.0f}" if key == _POINTS else f"{self._values[key]:+.6E}"

    def _switch(self, on: bool) -> None:
        if on is not self.output:
            self.output = on
            self._on_output(on)

    def _arm(self, argument: str) -> None:
        self._armed = True
        self._aperture = self._reading = None

    def _trigger(self, argument: str) -> None:
        if not self._armed:
            raise Failure(-211, "Trigger ignored")
        self._armed = False
        now_s = self._loop.time()
        self._aperture = now_s, now_s + self._values[_POINTS] * self._values[_INTERVAL]

    async def _measure(self, fetch: Callable[[str], Awaitable[str]], argument: str) -> str:
        self._arm(argument)
        self._trigger(argument)
        return await fetch(argument)

    async def _fetch_voltage(self, argument: str) -> str:
        return (await self._fetched()).volts

    async def _fetch_current(self, argument: str) -> str:
        return (await self._fetched()).amps

    async def _fetch_power(self, argument: str) -> str:
        return (await self._fetched()).watts

    async def _fetched(self) -> _Reading:
        """What was acquired; waits for the end of the aperture."""
        if self._aperture is None:
            raise Failure(-230, "Data corrupt or stale")
        from_s, to_s = self._aperture
        if self._loop.time() < to_s:
            await asyncio.sleep(to_s - self._loop.time())
        if self._reading is None:
            self._reading = self._read(from_s, to_s)
        return self._reading

    def _read(self, from_s: float, to_s: float) -> _Reading:
        drawn_a = self._load.mean_supply_current_a(from_s, to_s)
        limit_a, n = self._values[_LIMIT], int(to_s * 1e3)
        given = limit_a / drawn_a if drawn_a > limit_a else 1.0
        volts = self._values[_VOLTAGE] * given * self._voltage_gain if self.output else 0.0
        amps = drawn_a * given * self._current_gain + self._current_offset_a
        volts += VOLTAGE_NOISE_V * self._voltage_noise.one(n)
        amps += CURRENT_NOISE_A * self._current_noise.one(n)
        if abs(amps) > OVER_RANGE_SHARE * self._values[_RANGE]:
            return _Reading(f"{volts:+.6E}", OVER_RANGE, OVER_RANGE)
        return _Reading(f"{volts:+.6E}", f"{amps:+.6E}", f"{volts * amps:+.6E}")


def _within(low: float, high: float, value: float) -> float:
    if not low <= value <= high:
        raise Failure(-222, "Data out of range")
    return value


def _range_for(value: float) -> float:
    """The smallest range that holds a value."""
    for end in RANGES_A:
        if 0.0 <= value <= end:
            return end
    raise Failure(-222, "Data out of range")


def _on_or_off(argument: str) -> bool:
    if argument.upper() not in ("ON", "OFF", "1", "0"):
        raise Failure(-104, "Data type error")
    return argument.upper() in ("ON", "1")
