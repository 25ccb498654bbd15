"""What would have been damaged on a real station: one rule a function, each None while all is well."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_stubs.plant.network import Node

INRUSH_V = 20.0
INRUSH_FARAD = 10e-6
BREAK_A = 10.0
OUTER_TO_STACK_V = 600.0
STACK_TO_CHASSIS_V = 600.0
DIGITIZER_V = 1000.0
HOT_ROUTE_V = 60.0
PRECHARGES = 3
PRECHARGES_WITHIN_S = 60.0


class DamageRule(enum.StrEnum):
    """Ways to damage pack or station."""

    INRUSH = "inrush"
    BREAK = "break"
    OUTER_TO_STACK = "outer_to_stack"
    STACK_TO_CHASSIS = "stack_to_chassis"
    DIGITIZER = "digitizer"
    PRECHARGE = "precharge"
    HOT_ROUTE = "hot_route"


@dataclass(frozen=True)
class Damage:
    """One entry of the ledger."""

    t_s: float
    rule: DamageRule
    text: str


def inrush(t_s: float, contact: str, across_v: float, farad: float) -> Damage | None:
    """A contact closes and charges a capacitance through nothing but itself."""
    if abs(across_v) <= INRUSH_V or farad <= INRUSH_FARAD:
        return None
    return Damage(t_s, DamageRule.INRUSH, f"{contact} closed onto {across_v:.0f} V and {farad * 1e6:.0f} µF")


def broken_current(t_s: float, contact: str, current_a: float) -> Damage | None:
    """A contact opens under current."""
    if abs(current_a) <= BREAK_A:
        return None
    return Damage(t_s, DamageRule.BREAK, f"{contact} opened at {current_a:.1f} A")


def hot_route(t_s: float, route: str, across_v: float) -> Damage | None:
    """A route of the matrix closes with voltage across its contact."""
    if abs(across_v) <= HOT_ROUTE_V:
        return None
    return Damage(t_s, DamageRule.HOT_ROUTE, f"route {route} closed with {across_v:.0f} V across it")


def overvoltages(t_s: float, potential_v: Sequence[float], *, dividers: bool, digitizer: bool) -> list[Damage]:
    """What is connected, and stands less than the contactors that are open.

    Args:
        t_s: when.
        potential_v: by Node, against chassis.
        dividers: whether the BMS's are connected between outer poles and stack.
        digitizer: whether its inputs are connected to the outer poles.
    """
    outer_v = potential_v[Node.P], potential_v[Node.N]
    stack_v = potential_v[Node.B_PLUS], potential_v[Node.B_MINUS]
    across_v = max(max(outer_v) - min(stack_v), max(stack_v) - min(outer_v))
    chassis_v = max(abs(volts) for volts in stack_v)
    input_v = max(abs(volts) for volts in outer_v)
    damages = []
    if dividers and across_v > OUTER_TO_STACK_V:
        damages.append(Damage(t_s, DamageRule.OUTER_TO_STACK, f"{across_v:.0f} V between outer poles and stack"))
    if chassis_v > STACK_TO_CHASSIS_V:
        damages.append(Damage(t_s, DamageRule.STACK_TO_CHASSIS, f"{chassis_v:.0f} V between stack and chassis"))
    if digitizer and input_v > DIGITIZER_V:
        damages.append(Damage(t_s, DamageRule.DIGITIZER, f"{input_v:.0f} V at the digitizer's inputs"))
    return damages


class PrechargeDuty:
    """The precharge resistor cools for a minute after three precharges."""

    def __init__(self) -> None:
        self._closed_s: deque[float] = deque(maxlen=PRECHARGES)

    def closed(self, t_s: float) -> Damage | None:
        """The precharge contactor closes."""
        rested = len(self._closed_s) < PRECHARGES or t_s - self._closed_s[0] >= PRECHARGES_WITHIN_S
        self._closed_s.append(t_s)
        if rested:
            return None
        return Damage(t_s, DamageRule.PRECHARGE, f"more than {PRECHARGES} precharges in {PRECHARGES_WITHIN_S:.0f} s")
