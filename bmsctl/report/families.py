"""Measurements that there are of every part, `torque[m1.3]`, as people read them: one line for all, the worst in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Measured = Mapping[str, Any]
"""A measurement of a record."""

NAMED_MAX = 6

_GRAVITY = {"FAIL": 0, "INVALID": 1, "ABORTED": 2, "PASS": 3}


class Member(NamedTuple):
    """One part's measurement in a family."""

    part: str
    measured: Measured


class Family(NamedTuple):
    """All measurements of one name in a step.

    `worst` is the one that decides: the gravest verdict, then the least distance from a limit. `members` in the order
    measured; empty for a measurement that there is only one of. `reasons`: why members did not pass, and which.
    """

    name: str
    worst: Measured
    members: Sequence[Member]
    reasons: Sequence[tuple[str, str]]

    @property
    def worst_part(self) -> str:
        """The part that `worst` is of; empty if of none."""
        return base_and_part(self.worst["name"])[1]

    @property
    def tally(self) -> str:
        """How many members there are of each verdict, the gravest first."""
        verdicts = [member.measured["verdict"] for member in self.members]
        return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _GRAVITY if verdict in verdicts)


def base_and_part(name: str) -> tuple[str, str]:
    """A measurement's name without the part, and the part; that is empty if there is none."""
    base, _, part = name.partition("[")
    return base, part.removesuffix("]")


def families(measurements: Iterable[Measured]) -> list[Family]:
    """The measurements of a step by family, in the order in which each began."""
    by_name: dict[str, list[Member]] = {}
    for each in measurements:
        base, part = base_and_part(each["name"])
        by_name.setdefault(base, []).append(Member(part, each))
    return [_family(name, members) for name, members in by_name.items()]


def _family(name: str, members: Sequence[Member]) -> Family:
    parts_by_reason: dict[str, list[str]] = {}
    for part, each in members:
        if each["verdict"] != "PASS" and each["reason"]:
            parts_by_reason.setdefault(each["reason"], []).append(part)
    alone = len(members) == 1 and not members[0].part
    reasons = [(reason, named(parts)) for reason, parts in parts_by_reason.items()]
    return Family(name, worst(member.measured for member in members), () if alone else members, reasons)


def named(parts: Sequence[str]) -> str:
    """The names of some parts, the first few of them if they are many."""
    told = ", ".join(parts[:NAMED_MAX])
    return told if len(parts) <= NAMED_MAX else f"{told} and {len(parts) - NAMED_MAX} more"


def worst(measurements: Iterable[Measured]) -> Measured:
    """The gravest verdict's, a number before none; of these the nearest to a limit, or the farthest beyond one."""
    return min(measurements, key=lambda each: (_GRAVITY[each["verdict"]], each["value"] is None, margin(each)))


def margin(each: Measured) -> float:
    """Distance of a value from its nearest limit, negative beyond it; infinite without a value or a limit."""
    value, low, high = each["value"], each["low"], each["high"]
    if value is None:
        return math.inf
    return min(math.inf if low is None else value - low, math.inf if high is None else high - value)
