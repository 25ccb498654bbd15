"""The step catalogue: for each station, in running order, what every step measures and what it needs to be told.

A recipe gives the limits and parameters named here and no others. A measurement of unit None is a count.
"""

from __future__ import annotations

from collections.abc import Mapping

from bmsctl.domain.steps.eol import EOL
from bmsctl.domain.steps.selftest import SELFTEST
from bmsctl.domain.steps.spec import Catalogue, Gate, GateRule, Kind, MeasureSpec, Needs, ParamSpec, StepSpec, of_part
from bmsctl.domain.steps.stacking import STACKING

__all__ = [
    "CATALOGUE",
    "SELFTEST",
    "STEP_NAMES",
    "Catalogue",
    "Gate",
    "GateRule",
    "Kind",
    "MeasureSpec",
    "Needs",
    "ParamSpec",
    "StepSpec",
    "gate_of",
    "of_part",
]

CATALOGUE: Catalogue = {"stacking": STACKING, "eol": EOL}

STEP_NAMES: Mapping[str, tuple[str, ...]] = {
    station: tuple(spec.name for spec in specs) for station, specs in CATALOGUE.items()
}

_GATES = {spec.name: spec.gate for specs in (SELFTEST, *CATALOGUE.values()) for spec in specs}


def gate_of(run: str) -> GateRule:
    """The gate rule of a step; LookupError if there is no such step."""
    return _GATES[run]
