"""What would have been damaged, or have hurt somebody, on a real stacking station: one rule a function."""

from __future__ import annotations

import enum
from dataclasses import dataclass

TOUCH_V = 60.0
"""ISO 6469-3, voltage class A: what may be touched."""
FAR_OFF_SHARE = 0.2
"""By how much the torque of a parameter set may differ from the joint's."""


class AssemblyRule(enum.StrEnum):
    """Ways to damage a pack while it is built, or its builder."""

    TOUCHED = "touched"
    SHORT = "short"
    LIVE_BUSBAR = "live_busbar"
    PARAMETER_SET = "parameter_set"
    TIGHTENED_TWICE = "tightened_twice"
    NOTHING_HELD = "nothing_held"


@dataclass(frozen=True)
class Damage:
    """One entry of the ledger."""

    t_s: float
    rule: AssemblyRule
    text: str


def touched(t_s: float, volts: float) -> Damage | None:
    """Hands are at modules that a test voltage stands at."""
    if abs(volts) <= TOUCH_V:
        return None
    return Damage(t_s, AssemblyRule.TOUCHED, f"{volts:.0f} V of the insulation tester where hands are")


def shorted(t_s: float, busbar: str, turned: list[int]) -> Damage | None:
    """A busbar joins a module that lies the wrong way round."""
    if not turned:
        return None
    return Damage(t_s, AssemblyRule.SHORT, f"{busbar} laid onto module {turned[0]}, which lies the wrong way round")


def live_busbar(t_s: float, part: str, connected: list[str]) -> Damage | None:
    """A busbar is loosened while something still closes a circuit through it."""
    if not connected:
        return None
    return Damage(t_s, AssemblyRule.LIVE_BUSBAR, f"{part} loosened with {' and '.join(connected)} in")


def wrong_set(t_s: float, bolt: str, set_nm: float | None, joint_nm: float) -> Damage | None:
    """A tool drives a joint to a torque that is not the joint's; None for a set that nobody has made."""
    if set_nm is not None and abs(set_nm - joint_nm) <= FAR_OFF_SHARE * joint_nm:
        return None
    torque = "no torque" if set_nm is None else f"{set_nm:g} Nm"
    return Damage(
        t_s, AssemblyRule.PARAMETER_SET, f"bolt {bolt} driven to {torque}; the joint is made for {joint_nm:g}"
    )


def tightened_twice(t_s: float, bolt: str, tight: bool) -> Damage | None:
    """A bolt that is tight is tightened once more: it is stretched beyond its yield point."""
    return Damage(t_s, AssemblyRule.TIGHTENED_TWICE, f"bolt {bolt} tightened though it was tight") if tight else None


def nothing_held(t_s: float, bolt: str, part: str, there: bool) -> Damage | None:
    """A bolt is driven in without the part that it holds."""
    return None if there else Damage(t_s, AssemblyRule.NOTHING_HELD, f"bolt {bolt} driven in without {part}")
