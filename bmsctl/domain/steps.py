"""The step catalogue: for each station, in running order, what every step measures and what it needs to be told.

A recipe gives the limits and parameters named here and no others. A measurement of unit None is a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum


class Gate(Enum):
    """What a step that did not PASS keeps others from doing."""

    RUN = "run"
    """Anything at all: the pack is not the one on the label, or not safe to touch."""
    HIGH_VOLTAGE = "high_voltage"
    """Closing a contactor."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """`needs`: gates that must be open for the step to run; `blocks`: gates it shuts unless it passes."""

    needs: tuple[Gate, ...] = ()
    blocks: tuple[Gate, ...] = ()


class Needs(Enum):
    """Which limits a recipe must state; the other one may be stated too."""

    LOW = ("low",)
    HIGH = ("high",)
    BOTH = ("low", "high")


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """One measurement of a step."""

    unit: str | None
    needs: Needs


class Kind(StrEnum):
    """What a parameter is."""

    QUANTITY = "quantity"
    COUNT = "count"
    TEXT = "text"
    PATTERN = "pattern"
    """A regular expression; `names` are the groups it must have."""
    STEP_TABLE = "step table"
    """Keys that match `key_pattern`, each with the name of a step of the same station."""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter of a step; a quantity is not negative unless `signed`."""

    kind: Kind
    unit: str = ""
    signed: bool = False
    names: tuple[str, ...] = ()
    key_pattern: str = ""


@dataclass(frozen=True)
class StepSpec:
    """One step. `ordered`: pairs of parameters of which the first must be less than the second."""

    name: str
    measures: Mapping[str, MeasureSpec]
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    gate: GateRule = GateRule()
    mandatory: bool = True
    ordered: tuple[tuple[str, str], ...] = ()


Catalogue = Mapping[str, tuple[StepSpec, ...]]


def _low(unit: str | None) -> MeasureSpec:
    return MeasureSpec(unit, Needs.LOW)


def _high(unit: str | None) -> MeasureSpec:
    return MeasureSpec(unit, Needs.HIGH)


def _both(unit: str | None) -> MeasureSpec:
    return MeasureSpec(unit, Needs.BOTH)


def _in(unit: str) -> ParamSpec:
    return ParamSpec(Kind.QUANTITY, unit)


COUNT = ParamSpec(Kind.COUNT)
TEXT = ParamSpec(Kind.TEXT)
TEMPERATURE = ParamSpec(Kind.QUANTITY, "degC", signed=True)
DTC_OWNERS = ParamSpec(Kind.STEP_TABLE, key_pattern="[0-9A-F]{4}")

EOL = (
    StepSpec(
        "identify",
        measures={"docking_voltage": _both("V"), "wake_time": _high("s")},
        params={
            "label_pattern": ParamSpec(Kind.PATTERN, names=("serial",)),
            "u95_voltage": _in("V"),
            "u95_time": _in("s"),
            "wake_within": _in("s"),
            "ready_within": _in("s"),
            "snapshots": COUNT,
            "sleep_delay": _in("s"),
            "sleep_within": _in("s"),
        },
        gate=GateRule(blocks=(Gate.RUN,)),
    ),
    StepSpec(
        "bms_alive",
        measures={"first_frame": _high("s"), "frame_errors": _high(None)},
        params={
            "u95_time": _in("s"),
            "wake_within": _in("s"),
            "ready_within": _in("s"),
            "message_set": COUNT,
            "observe": _in("s"),
        },
        gate=GateRule(blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "bms_identity",
        measures={
            "part_number_match": _low(None),
            "hardware_match": _low(None),
            "software_match": _low(None),
            "calibration_match": _low(None),
            "foreign_dtcs": _high(None),
        },
        params={
            "part_number": TEXT,
            "hardware": TEXT,
            "software": TEXT,
            "software_version": TEXT,
            "calibration": TEXT,
            "dtc_settle": _in("s"),
            "dtc_owners": DTC_OWNERS,
        },
    ),
    StepSpec(
        "contactors_open",
        measures={
            "u_pn_all_open": _both("V"),
            "u_pn_precharge_only": _both("V"),
            "u_pn_main_minus_only": _both("V"),
            "p_b_minus_all_open": _both("V"),
            "p_b_minus_main_minus_only": _both("V"),
            "own_dtcs": _high(None),
        },
        params={"settle": _in("s"), "samples": COUNT, "u95_voltage": _in("V")},
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "cells_at_rest",
        measures={
            "cell_min": _low("V"),
            "cell_max": _high("V"),
            "cell_deviation": _high("V"),
            "cell_spread": _high("V"),
            "pack_sum_deviation": _both("%"),
            "open_wires": _high(None),
            "own_dtcs": _high(None),
        },
        params={
            "rest": _in("s"),
            "temperature_low": TEMPERATURE,
            "temperature_high": TEMPERATURE,
            "snapshots": COUNT,
            "u95_cell": _in("V"),
            "u95_deviation": _in("V"),
            "u95_spread": _in("V"),
            "u95_sum": _in("%"),
        },
        ordered=(("temperature_low", "temperature_high"),),
    ),
    StepSpec(
        "precharge",
        measures={
            "imd_before": _low("Ohm"),
            "precharge_resistance": _both("Ohm"),
            "end_ratio": _low("%"),
            "loaded_ratio": _low("%"),
            "sum_deviation": _both("%"),
            "own_dtcs": _high(None),
        },
        params={
            "imd_within": _in("s"),
            "link_capacitance": _in("F"),
            "record": _in("s"),
            "settle": _in("s"),
            "samples": COUNT,
            "u95_imd": _in("%"),
            "u95_resistance": _in("%"),
            "u95_ratio": _in("%"),
            "u95_sum": _in("%"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "make_safe",
        measures={
            "u_pn_plc": _both("V"),
            "u_p_pe": _both("V"),
            "u_n_pe": _both("V"),
            "u_pn_digitizer": _both("V"),
            "time_to_safe": _high("s"),
        },
        params={"u95_voltage": _in("V"), "u95_time": _in("s")},
    ),
)

CATALOGUE: Catalogue = {"stacking": (), "eol": EOL}

STEP_NAMES: Mapping[str, tuple[str, ...]] = {
    station: tuple(spec.name for spec in specs) for station, specs in CATALOGUE.items()
}

_GATES = {spec.name: spec.gate for specs in CATALOGUE.values() for spec in specs}


def gate_of(run: str) -> GateRule:
    """The gate rule of a step; LookupError if there is no such step."""
    return _GATES[run]
