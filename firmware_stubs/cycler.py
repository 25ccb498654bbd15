"""Firmware and power stage of the cycler: a bidirectional supply at the outer poles, by current.

Voltage regulation is not modelled: the station keeps the voltage set value beyond the protections. Ripple (0.2 A) is
averaged away in a reading. The enable is hard-wired from the safety PLC; without it the output opens and stays off
after the enable has come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from bmsctl.protocols import psb
from bmsctl.protocols.psb import ALARMS, Questionable
from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Node
from firmware_stubs.ports import SerialPort
from firmware_stubs.scpi import Failure, Handler, ScpiStub

IDENTITY = "EA Elektro-Automatik GmbH & Co. KG, PSB 10500-200, 3100230017, V3.02"
NOMINAL_V, NOMINAL_A = 500.0, 200.0
SETTING_MAX, PROTECTION_MAX = 1.02, 1.1
LATENCY_S = (0.015, 0.030)
RAMP_S_PER_A = 0.010 / 100.0
GAIN_SD, OFFSET_SD_A = 1e-3, 0.05
NOISE_A = 0.03
VOLTAGE_GAIN_SD, VOLTAGE_NOISE_V = 5e-4, 0.03
AVERAGING_S = 0.010
WATCH_S = 0.1
OVERSHOOT = 1.3
RUNAWAY_S = 0.001
"""A current without a pack charges or empties the output capacitor of 100 uF in this time."""

_ALARMS = Questionable(sum(ALARMS))


class CycledPlant(Protocol):
    """What the cycler is connected to."""

    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...
    def pack_current_a(self, t_s: float) -> float: ...
    def cycler_current(self, t_s: float, amps: float) -> None: ...


class PowerStage:
    """Drives a current into the plant, measures it, and reports what its output meets."""

    def __init__(self, plant: CycledPlant, seed: int) -> None:
        self._plant = plant
        self._loop = asyncio.get_running_loop()
        set_error, read_error = draw(seed, "cycler.set"), draw(seed, "cycler.reading")
        self._set_gain, self._set_offset_a = _gain_and_offset(set_error.standard_normal(2).tolist())
        self._read_gain, self._read_offset_a = _gain_and_offset(read_error.standard_normal(2).tolist())
        self._voltage_gain = 1.0 + VOLTAGE_GAIN_SD * float(draw(seed, "cycler.voltage").standard_normal())
        self._current_noise = Noise(seed, "cycler.current_noise")
        self._voltage_noise = Noise(seed, "cycler.voltage_noise")
        self._ramp: asyncio.TimerHandle | None = None
        self._wanted_a = 0.0
        self.driven_a = 0.0
        self._window, self._averaged = -1, (0.0, 0.0)
        self.overshoot = 1.0
        """How much more than it was set to the stage drives from its next step on."""

    def drive(self, amps: float, from_s: float) -> None:
        """Go to a set current from `from_s` on, in one step at the middle of the ramp; at once if that is past."""
        if amps == self._wanted_a:
            return
        if self._ramp is not None:
            self._ramp.cancel()
        step_s = from_s + RAMP_S_PER_A * abs(amps - self._wanted_a) / 2.0
        self._wanted_a = amps
        if step_s > self._loop.time():
            self._ramp = self._loop.call_at(step_s, self._step, step_s)
        else:
            self._step(step_s)

    @property
    def carried(self) -> bool:
        """Whether a pack takes, or gives, the current that is driven."""
        return abs(self._plant.pack_current_a(self._loop.time())) >= abs(self.driven_a) / 2.0

    @property
    def terminal_v(self) -> float:
        """Voltage at the output capacitor, connected or not."""
        return self._plant.voltage(self._loop.time(), Node.CYCLER, Node.N)

    def measured(self) -> tuple[float, float]:
        """Averaged voltage and current now; the same for every question within one averaging window."""
        n = int(self._loop.time() / AVERAGING_S)
        if n != self._window:
            self._window, self._averaged = n, self._average(n)
        return self._averaged

    def _average(self, n: int) -> tuple[float, float]:
        amps = self.driven_a if self.carried else 0.0
        volts = self.terminal_v * self._voltage_gain + VOLTAGE_NOISE_V * self._voltage_noise.one(n)
        return volts, amps * self._read_gain + self._read_offset_a + NOISE_A * self._current_noise.one(n)

    def _step(self, at_s: float) -> None:
        self._ramp = None
        # Set to zero, the stage is blocked: an offset of the set value drives nothing.
        set_a = self._wanted_a * self._set_gain + self._set_offset_a if self._wanted_a else 0.0
        self.driven_a = set_a * self.overshoot
        self._plant.cycler_current(at_s, self.driven_a)


class CyclerStub:
    """One cycler on a serial line, its output off and its enable missing; build it inside a running loop."""

    def __init__(self, port: SerialPort, plant: CycledPlant, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._stage = PowerStage(plant, seed)
        self._latencies = draw(seed, "cycler.latency")
        self._latched = Questionable(0)
        self._enabled = False
        self.stuck = False
        """The output stays as it is, whatever is commanded, until the enable goes."""
        self._watch: asyncio.TimerHandle | None = None
        self._default()
        self._scpi = ScpiStub(
            port,
            IDENTITY,
            self._commands(),
            latency_s=lambda: float(self._latencies.uniform(*LATENCY_S)),
            reset=self._reset,
        )

    @property
    def output_on(self) -> bool:
        """Whether the output is on."""
        return self._output

    def enable(self, t_s: float, on: bool) -> None:
        """The safety PLC gives the enable, or took it away at `t_s`: the output opened at once."""
        self._enabled = on
        if not on:
            self._switch_off(t_s)

    def overshoot(self, on: bool) -> None:
        """Every current from the next one on is more than was set."""
        self._stage.overshoot = OVERSHOOT if on else 1.0

    def restart(self) -> None:
        """Its supply failed and came back."""
        self._scpi.restart()

    def _default(self) -> None:
        self._output = False
        self._remote = False
        self._under_voltage_alarm = False
        self._values = {
            psb.SOURCE_VOLTAGE: 0.0,
            psb.SOURCE_CURRENT: 0.0,
            psb.SINK_CURRENT: 0.0,
            psb.OVER_VOLTAGE: PROTECTION_MAX * NOMINAL_V,
            psb.SOURCE_OVER_CURRENT: PROTECTION_MAX * NOMINAL_A,
            psb.SINK_OVER_CURRENT: PROTECTION_MAX * NOMINAL_A,
            psb.UNDER_VOLTAGE: 0.0,
        }

    def _reset(self) -> None:
        self._switch_off()
        self._default()

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {
            ":SYSTem:LOCK": self._lock,
            ":SYSTem:LOCK:OWNer?": lambda _: "REMOTE" if self._remote else "NONE",
            ":SYSTem:CONFig:UVD:ACTion": self._set_under_voltage_action,
            ":SYSTem:CONFig:UVD:ACTion?": lambda _: "ALARM" if self._under_voltage_alarm else "NONE",
            ":SYSTem:ERRor:ALL?": self._acknowledge,
            ":OUTPut": self._switch,
            ":OUTPut?": lambda _: "ON" if self._output else "OFF",
            ":MEASure:ARRay?": lambda _: psb.encode_measured(*self._stage.measured()),
            ":STATus:QUEStionable:CONDition?": lambda _: str(int(self._status())),
        }
        for header, key, unit, highest in (
            (":SOURce:VOLTage", psb.SOURCE_VOLTAGE, "V", SETTING_MAX * NOMINAL_V),
            (":SOURce:CURRent", psb.SOURCE_CURRENT, "A", SETTING_MAX * NOMINAL_A),
            (":SINK:CURRent", psb.SINK_CURRENT, "A", SETTING_MAX * NOMINAL_A),
            (":SOURce:VOLTage:PROTection", psb.OVER_VOLTAGE, "V", PROTECTION_MAX * NOMINAL_V),
            (":SOURce:CURRent:PROTection", psb.SOURCE_OVER_CURRENT, "A", PROTECTION_MAX * NOMINAL_A),
            (":SINK:CURRent:PROTection", psb.SINK_OVER_CURRENT, "A", PROTECTION_MAX * NOMINAL_A),
            (":SYSTem:CONFig:UVD", psb.UNDER_VOLTAGE, "V", NOMINAL_V),
        ):
            commands[header] = partial(self._set, key, highest)
            commands[f"{header}?"] = self._answer(key, unit)
        return commands

    def _answer(self, key: str, unit: str) -> Callable[[str], str]:
        return lambda _: psb.encode_quantity(self._values[key], unit)

    def _require_remote(self) -> None:
        if not self._remote:
            raise Failure(-201, "Invalid while in local")

    def _lock(self, argument: str) -> None:
        self._remote = _on_or_off(argument)

    def _set(self, key: str, highest: float, argument: str) -> None:
        self._require_remote()
        try:
            value = float(argument)
        except ValueError:
            raise Failure(-220, "Parameter error") from None
        if not 0.0 <= value <= highest:
            raise Failure(-222, "Data out of range")
        self._values[key] = value
        self._regulate()

    def _set_under_voltage_action(self, argument: str) -> None:
        self._require_remote()
        if argument not in ("NONE", "SIGNAL", "WARNING", "ALARM"):
            raise Failure(-224, "Illegal parameter value")
        self._under_voltage_alarm = argument == "ALARM"

    def _switch(self, argument: str) -> None:
        self._require_remote()
        if not _on_or_off(argument):
            self._switch_off()
        elif self._status() & _ALARMS:
            raise Failure(-221, "Settings conflict")
        else:
            self._output = True
            self._regulate()

    def _switch_off(self, at_s: float | None = None) -> None:
        self._output = False
        self._regulate(at_s)

    def _acknowledge(self, argument: str) -> str:
        """Latched protections are let go; most causes have gone with the current."""
        over_voltage = self._stage.terminal_v > self._values[psb.OVER_VOLTAGE]
        self._latched &= Questionable.OVP if over_voltage else Questionable(0)
        return '0,"No error"'

    def _status(self) -> Questionable:
        status = self._latched
        if not self._enabled:
            status |= Questionable.REM_SB
        if self._remote:
            status |= Questionable.REMOTE
        if self._output:
            status |= Questionable.OUTPUT_ON
        return status

    def _regulate(self, at_s: float | None = None) -> None:
        """Drive what the settings ask for, from `at_s` or now on, and watch it while it flows."""
        if self.stuck and self._enabled:
            return
        amps = self._wanted_a() if self._output else 0.0
        self._stage.drive(amps, self._loop.time() if at_s is None else at_s)
        if not amps:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = None
        elif self._watch is None:
            self._watch = self._loop.call_later(RAMP_S_PER_A * abs(amps) / 2.0 + RUNAWAY_S, self._protect)

    def _wanted_a(self) -> float:
        if self._values[psb.SOURCE_VOLTAGE] > self._stage.terminal_v:
            return self._values[psb.SOURCE_CURRENT]
        return -self._values[psb.SINK_CURRENT]

    def _protect(self) -> None:
        alarm = self._alarm()
        if alarm:
            self._watch = None
            self._latched |= alarm
            self._switch_off()
        else:
            self._watch = self._loop.call_later(WATCH_S, self._protect)

    def _alarm(self) -> Questionable:
        """The protection that the output violates now."""
        amps, volts = self._stage.driven_a, self._stage.terminal_v
        protection = psb.SOURCE_OVER_CURRENT if amps > 0.0 else psb.SINK_OVER_CURRENT
        runs_away = bool(amps) and not self._stage.carried
        if volts > self._values[psb.OVER_VOLTAGE] or (runs_away and amps > 0.0):
            return Questionable.OVP
        if self._under_voltage_alarm and (volts < self._values[psb.UNDER_VOLTAGE] or runs_away):
            return Questionable.UVD
        return Questionable.OCP if abs(amps) > self._values[protection] else Questionable(0)


def _on_or_off(argument: str) -> bool:
    if argument.upper() not in ("ON", "OFF", "1", "0"):
        raise Failure(-224, "Illegal parameter value")
    return argument.upper() in ("ON", "1")


def _gain_and_offset(errors: list[float]) -> tuple[float, float]:
    return 1.0 + GAIN_SD * errors[0], OFFSET_SD_A * errors[1]
