"""What the record of a stacked pack says of each part: good, bad, not known, or not done yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bmsctl.domain.parts import TRAY, bolt_slot
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.report.families import base_and_part

Part = Mapping[str, Any]
"""A part of a record's genealogy."""


class Result(NamedTuple):
    """What is known of one part. `verdict` None: not, or not wholly, done; `measurements` in running order."""

    verdict: str | None
    measurements: Sequence[Mapping[str, Any]]


GRAVITY = ("FAIL", "INVALID", None, "PASS")
"""Verdicts of parts, the gravest first."""
NOTHING = Result(None, ())


class PackResults:
    """The results of a record's parts, and which parts are in the pack."""

    def __init__(self, record: Mapping[str, Any], recipe: Recipe) -> None:
        """`recipe`: the one the record was judged by."""
        self._installed: dict[str, Part] = {}
        self._removed: dict[str, list[Part]] = {}
        for part in record["genealogy"]:
            if part["removed_reason"] is None:
                self._installed[part["slot"]] = part
            else:
                self._removed.setdefault(part["slot"], []).append(part)
        self._results = self._judged(record, recipe)

    def of(self, part: str) -> Result:
        """The result of a part by the name it has in measurements: `module 2`, `m1.3`, `j5`; also of the tray."""
        return self._results.get(part, NOTHING)

    def installed(self, slot: str) -> Part | None:
        """The part that is in a slot."""
        return self._installed.get(slot)

    def removed(self, slot: str) -> Sequence[Part]:
        """Parts that were in a slot and were taken out, in that order."""
        return self._removed.get(slot, ())

    def _judged(self, record: Mapping[str, Any], recipe: Recipe) -> dict[str, Result]:
        told = {step["name"]: step for step in record["steps"]}
        found: dict[str, list[Result]] = {}
        for step in recipe.steps(record["station"]):
            if step.run in told:
                for part, names in _names_by_part(step).items():
                    found.setdefault(part, []).append(self._of_step(told[step.run], part, names))
        return {part: _both(results) for part, results in found.items()}

    def _of_step(self, step: Mapping[str, Any], part: str, names: Sequence[str]) -> Result:
        """What one step says of a part; a step kept from an earlier attempt says that it passed."""
        mine = [each for each in step["measurements"] if each["name"] in names]
        verdicts = {each["verdict"] for each in mine}
        if not mine:
            return Result("PASS" if step["verdict"] == "PASS" else None, mine)
        if "FAIL" in verdicts:
            return Result("FAIL", mine)
        if not self._begun(step, part, mine):
            return Result(None, ())
        if "INVALID" in verdicts:
            return Result("INVALID", mine)
        return Result("PASS" if len(mine) == len(names) else None, mine)

    def _begun(self, step: Mapping[str, Any], part: str, measurements: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a step came as far as this part: what it never came to is INVALID in the record, too."""
        bolt = self._installed.get(bolt_slot(part))
        return (
            any(each["value"] is not None for each in measurements)
            or (bolt is not None and bool(bolt["tightenings"]))
            or re.search(rf"\b{re.escape(part)}(?![\w.-])", step["reason"] or "") is not None
        )


def _names_by_part(step: StepRecipe) -> dict[str, list[str]]:
    """The measurements of each part in a step; those of no other part are the tray's, if it is the tray's step."""
    names: dict[str, list[str]] = {}
    for name in step.limits:
        part = base_and_part(name)[1] or (TRAY if step.run == TRAY else "")
        if part:
            names.setdefault(part, []).append(name)
    return names


def _both(results: Sequence[Result]) -> Result:
    """One result of those that several steps have given."""
    verdicts = [result.verdict for result in results]
    gravest = min(verdicts, key=GRAVITY.index)
    return Result(gravest, [each for result in results for each in result.measurements])
