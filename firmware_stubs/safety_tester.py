"""Firmware of a safety tester of Chroma's 19050 series: its program of steps, how they run, and their results.

Enabled by hard wire: without the enable it refuses a start, and drops its output at once. The output rises in steps of
0.1 s, each corrected for what the current drops across the source's resistor.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from bmsctl.protocols.safety_tester import Judgement, Mode
from firmware_stubs.ports import SerialPort
from firmware_stubs.scpi import Failure, Handler, ScpiStub
from firmware_stubs.tester_output import CHECK_S, CHECK_V, SOURCE_OHM, TestedPlant, TesterOutput

LATENCY_S = 0.02
STEPS_MAX = 6
FOREIGN_V = 30.0
RISE_S = 0.1
LOOK_S, TRIP_S = 0.01, 0.001
DISCHARGE_S = 0.3
VOLTAGE_MAX_V, RESISTANCE_VOLTAGE_MAX_V = 6000.0, 1000.0
CURRENT_MAX_A, RESISTANCE_MAX_OHM = 0.01, 50e9

Values = dict[str, float]

ITEMS: dict[Mode, dict[str, tuple[float, float, float]]] = {
    Mode.DC: {
        "DC:LEVel": (50.0, 50.0, VOLTAGE_MAX_V),
        "DC:LIMit:HIGH": (5e-4, 1e-7, CURRENT_MAX_A),
        "DC:LIMit:LOW": (0.0, 0.0, CURRENT_MAX_A),
        "DC:LIMit:ARC": (0.0, 0.0, CURRENT_MAX_A),
        "DC:TIME:RAMP": (0.0, 0.0, 999.0),
        "DC:TIME:TEST": (3.0, 0.3, 999.0),
        "DC:TIME:FALL": (0.0, 0.0, 999.0),
    },
    Mode.IR: {
        "IR:LEVel": (50.0, 50.0, RESISTANCE_VOLTAGE_MAX_V),
        "IR:LIMit:LOW": (1e5, 1e5, RESISTANCE_MAX_OHM),
        "IR:LIMit:HIGH": (0.0, 0.0, RESISTANCE_MAX_OHM),
        "IR:TIME:RAMP": (0.0, 0.0, 999.0),
        "IR:TIME:TEST": (3.0, 0.3, 999.0),
        "IR:TIME:FALL": (0.0, 0.0, 999.0),
    },
    Mode.OSC: {
        "OSC:LIMit:OPEN": (0.5, 0.1, 1.0),
        "OSC:LIMit:SHORt": (3.0, 0.0, 5.0),
        "OSC:CSTandard": (1e-8, 1e-10, 4e-8),
    },
}
"""Items of a step by mode: value after making the step, least and greatest."""

_FORMS = {
    "DC:LEVel": ("DC",),
    "DC:LIMit:HIGH": ("DC:LIMit",),
    "DC:TIME:TEST": ("DC:TIME",),
    "IR:LEVel": ("IR",),
    "IR:LIMit:LOW": ("IR:LIMit",),
    "IR:TIME:TEST": ("IR:TIME",),
}
"""Other ways to write an item, without the nodes that may be left out."""


class Tripped(Exception):
    """The current went beyond the upper limit."""


@dataclass
class Step:
    """One step of the program."""

    mode: Mode
    values: Values


@dataclass
class Result:
    """What a step shows in the end. `peak_v`: highest true voltage so far."""

    mode: Mode
    judgement: Judgement = Judgement.STOP
    output_v: float = 0.0
    measured: float = math.nan
    ramp_s: float = 0.0
    test_s: float = 0.0
    peak_v: float = 0.0


Action = Callable[[Values, Result], Awaitable[Judgement]]


class SafetyTesterStub:
    """One tester on a serial line; build it inside a running loop."""

    def __init__(self, port: SerialPort, plant: TestedPlant, seed: int, *, name: str, identity: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._output = TesterOutput(plant, seed, name)
        self._actions = self._modes()
        self._program: list[Step] = []
        self._results: list[Result] = []
        self._now_at: Result | None = None
        self._test: asyncio.Task[None] | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._enabled = False
        self._interval_s, self._judge_ramp = 0.5, 0.0
        self._scpi = ScpiStub(port, identity, self._commands(), latency_s=lambda: LATENCY_S, reset=self._reset)

    @property
    def enabled(self) -> bool:
        """The hard-wired enable from the safety PLC."""
        return self._enabled

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._enabled = on
        if not on:
            self._halt(Judgement.STOP)

    @property
    def lead_open(self) -> bool:
        """Whether the lead does not touch what it should."""
        return self._output.lead_open

    @lead_open.setter
    def lead_open(self, on: bool) -> None:
        self._output.lead_open = on

    @property
    def running(self) -> bool:
        """Whether a program runs."""
        return self._test is not None

    def restart(self) -> None:
        """Its mains failed and came back."""
        self._scpi.restart()

    def _modes(self) -> dict[Mode, Action]:
        """What a step of each mode does."""
        return {Mode.OSC: self._check_contact, Mode.DC: self._withstand}

    def _reset(self) -> None:
        self._halt(Judgement.STOP)
        self._program, self._results = [], []
        self._interval_s, self._judge_ramp = 0.5, 0.0

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {
            ":SAFEty:STARt": self._start,
            ":SAFEty:STARt:ONCE": self._start,
            ":SAFEty:STOP": lambda _: self._halt(Judgement.USER_STOP),
            ":SAFEty:STATus?": lambda _: "RUNNING" if self.running else "STOPPED",
            ":SAFEty:SNUMber?": lambda _: f"{len(self._program):+d}",
            ":SAFEty:PRESet:TIME:STEP": self._set_interval,
            ":SAFEty:PRESet:TIME:STEP?": lambda _: _shown(self._interval_s),
            ":SAFEty:PRESet:RJUDgment": self._set_judge_ramp,
            ":SAFEty:PRESet:RJUDgment?": lambda _: f"{self._judge_ramp:.0f}",
        }
        for number in range(1, STEPS_MAX + 1):
            commands |= self._step_commands(number)
        for header, text in _COLUMNS.items():
            commands[f":SAFEty:RESult:ALL{header}?"] = partial(self._list, text)
        return commands

    def _step_commands(self, number: int) -> dict[str, Handler]:
        root = f":SAFEty:STEP{number}"
        commands: dict[str, Handler] = {
            f"{root}:DELete": partial(self._delete, number),
            f"{root}:MODE?": partial(self._say_mode, number),
        }
        for mode in self._actions:
            for item, (_, low, high) in ITEMS[mode].items():
                for form in (item, *_FORMS.get(item, ())):
                    commands[f"{root}:{form}"] = partial(self._set, number, mode, item, low, high)
                    commands[f"{root}:{form}?"] = partial(self._say, number, mode, item)
        return commands

    def _set(self, number: int, mode: Mode, item: str, low: float, high: float, argument: str) -> None:
        value = _within(argument, low, high)
        self._forbid_while_running()
        if number > len(self._program) + 1:
            raise Failure(-222, "Data out of range")
        if number > len(self._program):
            self._program.append(_new(mode))
        elif self._program[number - 1].mode is not mode:
            self._program[number - 1] = _new(mode)
        self._program[number - 1].values[item] = value

    def _say(self, number: int, mode: Mode, item: str, argument: str) -> str:
        step = self._step(number)
        if step.mode is not mode:
            raise Failure(-221, "Settings conflict")
        return _shown(step.values[item])

    def _say_mode(self, number: int, argument: str) -> str:
        return self._step(number).mode

    def _delete(self, number: int, argument: str) -> None:
        self._forbid_while_running()
        self._step(number)
        del self._program[number - 1]

    def _step(self, number: int) -> Step:
        if number > len(self._program):
            raise Failure(-222, "Data out of range")
        return self._program[number - 1]

    def _set_interval(self, argument: str) -> None:
        self._interval_s = _within(argument, 0.1, 99.9)

    def _set_judge_ramp(self, argument: str) -> None:
        words = {"ON": "1", "OFF": "0"}
        self._judge_ramp = _within(words.get(argument.upper(), argument), 0.0, 1.0)

    def _list(self, text: Callable[[Result], str], argument: str) -> str:
        if not self._results:
            raise Failure(-230, "Data corrupt or stale")
        return ",".join(text(result) for result in self._results)

    def _forbid_while_running(self) -> None:
        if self.running:
            raise Failure(-221, "Settings conflict")

    def _start(self, argument: str) -> None:
        self._forbid_while_running()
        if not self._program:
            raise Failure(-221, "Settings conflict")
        if not self._enabled:
            raise Failure(-200, "Execution error;Interlock open")
        foreign_v = self._output.volts(self._loop.time())
        if abs(foreign_v) > FOREIGN_V:
            raise Failure(-200, f"Execution error;Foreign voltage {foreign_v:.0f} V")
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._results = [Result(step.mode) for step in self._program]
        self._test = self._loop.create_task(self._run())

    async def _run(self) -> None:
        for number, (step, result) in enumerate(zip(self._program, self._results, strict=True)):
            if number:
                await asyncio.sleep(self._interval_s)
            self._now_at, result.judgement = result, Judgement.TESTING
            try:
                result.judgement = await self._actions[step.mode](step.values, result)
            except Tripped:
                result.judgement = Judgement.DC_HIGH
                await asyncio.sleep(DISCHARGE_S)
                self._output.rest()
            if result.judgement is not Judgement.PASS:
                break
        self._test = None

    def _halt(self, judgement: Judgement) -> None:
        """End the program that runs, if one does, and discharge."""
        if self._test is None:
            return
        self._test.cancel()
        self._test = None
        if self._now_at is not None and self._now_at.judgement is Judgement.TESTING:
            self._now_at.judgement = judgement
        self._output.discharge()
        self._resting = self._loop.call_later(DISCHARGE_S, self._output.rest)

    async def _check_contact(self, values: Values, result: Result) -> Judgement:
        farad = await self._output.capacitance()
        result.output_v, result.measured, result.test_s = CHECK_V, farad, CHECK_S
        standard_f, short = values["OSC:CSTandard"], values["OSC:LIMit:SHORt"]
        if farad < values["OSC:LIMit:OPEN"] * standard_f:
            return Judgement.OSC_OPEN
        if short and farad > short * standard_f:
            return Judgement.OSC_SHORT
        return Judgement.PASS

    async def _withstand(self, values: Values, result: Result) -> Judgement:
        level_v, limit_a = values["DC:LEVel"], values["DC:LIMit:HIGH"]
        await self._rise(level_v, values["DC:TIME:RAMP"], limit_a if self._judge_ramp else math.inf, result)
        held_s = self._loop.time()
        until_s = held_s + values["DC:TIME:TEST"]
        while self._loop.time() < until_s - 1e-9:
            self._regulate(level_v)
            await self._watch(min(RISE_S, until_s - self._loop.time()), limit_a, result)
            result.test_s = self._loop.time() - held_s
        now_s = self._loop.time()
        amps = self._output.shown_a(self._output.amps(now_s), now_s)
        result.output_v, result.measured = self._output.shown_v(result.peak_v, now_s), amps
        await self._fall(values["DC:TIME:FALL"])
        return Judgement.DC_LOW if amps < values["DC:LIMit:LOW"] else Judgement.PASS

    async def _rise(self, level_v: float, ramp_s: float, limit_a: float, result: Result) -> None:
        """Raise the output in equal steps."""
        begun_s = self._loop.time()
        steps = max(1, round(ramp_s / RISE_S))
        for step in range(1, steps + 1):
            self._regulate(level_v * step / steps)
            await self._watch(begun_s + ramp_s * step / steps - self._loop.time(), limit_a, result)
            result.ramp_s = self._loop.time() - begun_s

    def _regulate(self, level_v: float) -> None:
        """Drive the output so that it is at a level after what the current drops inside."""
        now_s = self._loop.time()
        drop_v = max(0.0, self._output.amps(now_s)) * SOURCE_OHM
        self._output.drive(level_v + min(drop_v, level_v))

    async def _watch(self, for_s: float, limit_a: float, result: Result) -> None:
        """Look at the current for a while.

        Raises:
            Tripped: it went beyond the limit; the output is off and the result tells when.
        """
        until_s = self._loop.time() + for_s
        while (seen_s := self._loop.time()) < until_s - 1e-9:
            await asyncio.sleep(min(LOOK_S, until_s - seen_s))
            now_s = self._loop.time()
            if self._output.amps(now_s) > limit_a:
                self._trip(seen_s, now_s, limit_a, result)
                raise Tripped
            result.peak_v = max(result.peak_v, self._output.volts(now_s))

    def _trip(self, seen_s: float, now_s: float, limit_a: float, result: Result) -> None:
        """Find when, since it was last looked at, the current went beyond the limit; the comparator acts 1 ms later."""
        looks = [min(seen_s + look * TRIP_S, now_s) for look in range(1, round(LOOK_S / TRIP_S) + 1)]
        over = next(index for index, t_s in enumerate(looks) if self._output.amps(t_s) > limit_a)
        tripped_s = min(looks[over] + TRIP_S, now_s)
        result.peak_v = max(result.peak_v, *(self._output.volts(t_s) for t_s in looks[: over + 1]))
        result.output_v = self._output.shown_v(result.peak_v, now_s)
        result.measured = self._output.shown_a(self._output.amps(tripped_s), now_s)
        self._output.discharge(tripped_s)

    async def _fall(self, fall_s: float) -> None:
        """Discharge for a while, then drive nothing."""
        if fall_s:
            self._output.discharge()
            await asyncio.sleep(fall_s)
        self._output.rest()


def _new(mode: Mode) -> Step:
    return Step(mode, {item: value for item, (value, _, _) in ITEMS[mode].items()})


def _within(argument: str, low: float, high: float) -> float:
    try:
        value = float(argument)
    except ValueError:
        raise Failure(-104, "Data type error") from None
    if not low <= value <= high:
        raise Failure(-222, "Data out of range")
    return value


def _shown(value: float) -> str:
    return f"{value:+.6E}"


def _digits(value: float) -> str:
    """A reading, to four digits."""
    if math.isnan(value):
        return "+9.910000E+37"
    return _shown(9.9e37 if math.isinf(value) else float(f"{value:.3E}"))


_COLUMNS: dict[str, Callable[[Result], str]] = {
    "": lambda result: str(int(result.judgement)),
    ":JUDGment": lambda result: str(int(result.judgement)),
    ":MODE": lambda result: result.mode,
    ":OMETerage": lambda result: _digits(result.output_v),
    ":MMETerage": lambda result: _digits(result.measured),
    ":TIME": lambda result: _digits(result.test_s),
    ":TIME:TEST": lambda result: _digits(result.test_s),
    ":TIME:RAMP": lambda result: _digits(result.ramp_s),
}
