"""One row of a fault table."""

from __future__ import annotations

from bmsctl.domain.world import FaultCase
from firmware_stubs.faults import FAULTS


def scenario(kind: str, target: str, step: str, after_s: float = 0.0) -> str:
    """A scenario with one fault, as TOML."""
    return f'[[fault]]\nkind = "{kind}"\ntarget = "{target}"\nstep = "{step}"\nafter = "{after_s} s"\n'


def case(kind: str, target: str, step: str, after_s: float, says: str, verdict: str = "INVALID") -> FaultCase:
    """It shows in the step in which it begins, if it shows."""
    text, first = scenario(kind, target, step, after_s), None if verdict == "PASS" else step
    return FaultCase(kind, FAULTS[kind].catalogue_id, target, step, text, verdict, first, says)
