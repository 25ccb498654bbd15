"""One thing that `bmsctl doctor` looked at: whether it is good, what was seen, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """GOOD; WARN: works, but something should be done; BAD: a station must not be run like this."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """A finished check; `remedy` is empty if it is good."""

    name: str
    state: State
    seen: str
    remedy: str = ""


def good(name: str, seen: str) -> Check:
    """A check that found nothing to do."""
    return Check(name, State.GOOD, seen)
