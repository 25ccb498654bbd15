"""SCPI dialect of Chroma's hipot testers 19051 to 19054: a program of steps, run by one command.

A step has one mode: DC withstand (DC), insulation resistance (IR), or open/short check (OSC), which measures the
capacitance of what is connected. Setting any value of a mode makes a step one of that mode. The first step that does
not pass ends the program. Results are lists with one value a step: judgement, output in volts, and what was measured,
in amperes, ohms or farads.

Source: Chroma ATE, "HIPOT Tester 19051/19052/19053/19054 User's Manual" 2.1 (A11 000893), chapter on GPIB and RS-232
remote control. The manual leaves open which error a refused start queues.
"""

from __future__ import annotations

import enum

START, STOP = ":SAFE:STAR", ":SAFE:STOP"
STATUS = ":SAFE:STAT?"
RUNNING, STOPPED = "RUNNING", "STOPPED"
STEPS = ":SAFE:SNUM?"
"""How many steps the program has."""

INTERVAL = ":SAFE:PRES:TIME:STEP"
"""Pause between two steps, s."""
JUDGE_RAMP = ":SAFE:PRES:RJUD"
"""Whether the upper limit of the current counts while the voltage rises."""

JUDGEMENTS = ":SAFE:RES:ALL?"
MODES = ":SAFE:RES:ALL:MODE?"
OUTPUTS = ":SAFE:RES:ALL:OMET?"
MEASURED = ":SAFE:RES:ALL:MMET?"
RAMP_TIMES = ":SAFE:RES:ALL:TIME:RAMP?"
TEST_TIMES = ":SAFE:RES:ALL:TIME?"

DC, DC_HIGH, DC_LOW, DC_ARC = "DC", "DC:LIM", "DC:LIM:LOW", "DC:LIM:ARC"
DC_RAMP, DC_TIME, DC_FALL = "DC:TIME:RAMP", "DC:TIME", "DC:TIME:FALL"
IR, IR_LOW, IR_HIGH = "IR", "IR:LIM", "IR:LIM:HIGH"
IR_RAMP, IR_TIME, IR_FALL = "IR:TIME:RAMP", "IR:TIME", "IR:TIME:FALL"
OSC_OPEN, OSC_SHORT, OSC_STANDARD = "OSC:LIM:OPEN", "OSC:LIM:SHOR", "OSC:CST"
"""Below this share of the standard capacitance, F, nothing is connected; above this one, 0 for never, it is shorted."""


class Mode(enum.StrEnum):
    """What a step does."""

    DC = "DC"
    IR = "IR"
    OSC = "OSC"


class Judgement(enum.IntEnum):
    """How a step ended."""

    DC_HIGH = 33
    DC_LOW = 34
    DC_ARC = 35
    DC_METER_OVER = 39
    IR_HIGH = 49
    IR_LOW = 50
    OSC_SHORT = 97
    OSC_OPEN = 98
    STOP = 112
    USER_STOP = 113
    CAN_NOT_TEST = 114
    TESTING = 115
    PASS = 116


def step(number: int, item: str) -> str:
    """Header of a step's item; steps count from 1."""
    return f":SAFE:STEP{number}:{item}"


def mode_of(number: int) -> str:
    """Query of a step's mode."""
    return step(number, "MODE?")


def delete(number: int) -> str:
    """Command that takes a step out of the program; those behind it move up."""
    return step(number, "DEL")


def decode_list(text: str, count: int) -> tuple[str, ...]:
    """The values of a result, one for each of `count` steps.

    Raises:
        ValueError: another number of values.
    """
    values = tuple(text.split(","))
    if len(values) != count:
        raise ValueError(f"{len(values)} values for {count} steps: {text!r}")
    return values


def decode_judgement(text: str) -> Judgement:
    """How a step ended.

    Raises:
        ValueError: not a code of this dialect.
    """
    digits = text.strip().removeprefix("+")
    if not digits.isdecimal() or int(digits) not in set(Judgement):
        raise ValueError(f"{text!r} is not a judgement")
    return Judgement(int(digits))
