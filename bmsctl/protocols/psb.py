"""SCPI dialect of EA Elektro-Automatik's bidirectional supplies PSB 9000 and PSB 10000.

Numbers are answered with their unit (`348.25 V`). Current out of the supply is positive (source), current into it
negative (sink). Which of the two it does follows from the voltage set value: above the voltage at its terminals it
sources, limited by SOUR:CURR; below, it sinks, limited by SINK:CURR. Set values are taken under remote control only.

Source: EA Elektro-Automatik, guide "ModBus & SCPI" for series 9000 and 10000, as published drivers quote it.
To be checked on the device: SYST:CONF:UVD and its action, SYST:ERR:ALL? as acknowledgement, and bits 5 and 9 of the
questionable status.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from bmsctl.protocols import scpi

SOURCE_VOLTAGE = "SOUR:VOLT"
SOURCE_CURRENT = "SOUR:CURR"
SINK_CURRENT = "SINK:CURR"
OVER_VOLTAGE = "SOUR:VOLT:PROT"
SOURCE_OVER_CURRENT = "SOUR:CURR:PROT"
SINK_OVER_CURRENT = "SINK:CURR:PROT"
UNDER_VOLTAGE = "SYST:CONF:UVD"
UNDER_VOLTAGE_ACTION = "SYST:CONF:UVD:ACT"
"""What an undervoltage does: NONE, SIGNAL, WARNING, or ALARM, which switches the output off."""

REMOTE_CONTROL = "SYST:LOCK"
OWNER = "SYST:LOCK:OWN?"
OUTPUT = "OUTP"
MEASURE = "MEAS:ARR?"
STATUS = "STAT:QUES:COND?"
ACKNOWLEDGE = "SYST:ERR:ALL?"
"""All errors; reading them acknowledges alarms whose cause has gone."""


class Questionable(enum.IntFlag):
    """Condition register of the questionable status."""

    OVP = 1 << 0
    OCP = 1 << 1
    OPP = 1 << 2
    OT = 1 << 3
    UVD = 1 << 5
    REM_SB = 1 << 9
    REMOTE = 1 << 10
    OUTPUT_ON = 1 << 11
    PF = 1 << 13


ALARMS = {
    Questionable.OVP: "overvoltage",
    Questionable.OCP: "overcurrent",
    Questionable.OPP: "overpower",
    Questionable.OT: "overtemperature",
    Questionable.UVD: "undervoltage",
    Questionable.REM_SB: "the enable is missing",
    Questionable.PF: "power fail",
}
"""Conditions that switch the output off and keep it off."""


class Measured(NamedTuple):
    """Answer to MEASURE: V, A, W; and the digits of the current as they came."""

    voltage_v: float
    current_a: float
    power_w: float
    current_text: str


def encode_quantity(value: float, unit: str) -> str:
    """A value as the supply answers it: two decimals and the unit; never a negative zero."""
    return f"{round(value, 2) + 0.0:.2f} {unit}"


def decode_quantity(text: str, unit: str) -> float:
    """The value of a text with this unit, without prefix.

    Raises:
        ValueError: no number, or another unit.
    """
    number, space, said = text.strip().partition(" ")
    if not space or said.strip() != unit:
        raise ValueError(f"{text!r} is not a number of {unit}")
    return scpi.decode_number(number)


def encode_measured(voltage_v: float, current_a: float) -> str:
    """Answer to MEASURE."""
    amounts = ((voltage_v, "V"), (current_a, "A"), (voltage_v * current_a, "W"))
    return ", ".join(encode_quantity(value, unit) for value, unit in amounts)


def decode_measured(text: str) -> Measured:
    """Answer to MEASURE, taken apart.

    Raises:
        ValueError: not three numbers with their units.
    """
    parts = text.split(",")
    if len(parts) != 3:
        raise ValueError(f"{text!r} is not voltage, current and power")
    volts, amps, watts = (decode_quantity(part, unit) for part, unit in zip(parts, "VAW", strict=True))
    return Measured(volts, amps, watts, parts[1].strip())


def decode_status(text: str) -> Questionable:
    """Condition register.

    Raises:
        ValueError: not a number of 16 bits.
    """
    if not (text.isdecimal() and text.isascii() and int(text) < 1 << 16):
        raise ValueError(f"{text!r} is not a status register")
    return Questionable(int(text))


def alarm_text(status: Questionable) -> str:
    """The alarms in a status, in words; empty for none."""
    return " and ".join(text for alarm, text in ALARMS.items() if status & alarm)
