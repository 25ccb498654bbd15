"""Four verdicts and how they combine: PASS and FAIL speak of the pack, INVALID of the station, ABORTED of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum


class Verdict(StrEnum):
    """What is known at the end of a measurement, a step or a run."""

    PASS = "PASS"
    FAIL = "FAIL"
    INVALID = "INVALID"
    ABORTED = "ABORTED"


def fold_step(verdicts: Iterable[Verdict]) -> Verdict:
    """A step's verdict from those of its measurements: a valid FAIL stands, and nothing measured is INVALID."""
    given = list(verdicts)
    if Verdict.FAIL in given:
        return Verdict.FAIL
    if not given or any(verdict is not Verdict.PASS for verdict in given):
        return Verdict.INVALID
    return Verdict.PASS


def fold_run(steps: Sequence[tuple[bool, Verdict | None]], aborted: bool) -> Verdict:
    """A run's verdict.

    Args:
        steps: of each step of the recipe, whether it is mandatory, and its verdict; None if it was not run.
        aborted: whether a person, a signal, the e-stop, the guard or a crash ended the run.
    """
    if aborted:
        return Verdict.ABORTED
    verdicts = [Verdict.INVALID if verdict is None else verdict for mandatory, verdict in steps if mandatory or verdict]
    return fold_step(verdicts)
