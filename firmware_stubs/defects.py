"""Every defect a simulated pack can have: its parameters, and what it does to plant, BMS and assembly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bmsctl.domain.ports import Relay
from bmsctl.domain.recipe import EOL, STACKING, Recipe
from bmsctl.domain.recipe_compiler_values import shown
from bmsctl.errors import ScenarioError
from bmsctl.protocols.dids import TEXTS, Did
from firmware_stubs.assembly import AssemblyCondition
from firmware_stubs.assembly.drawing import BOLTED
from firmware_stubs.bms import BmsCondition
from firmware_stubs.plant import PlantCondition
from firmware_stubs.population import facts_of
from firmware_stubs.scenario import Defect, Parameter, choice, factor, flag, index, index_or_name, quantity, text


@dataclass(frozen=True)
class PackCondition:
    """Everything wrong with one pack."""

    plant: PlantCondition = field(default_factory=PlantCondition)
    bms: BmsCondition = field(default_factory=BmsCondition)
    assembly: AssemblyCondition = field(default_factory=AssemblyCondition)


Given = Mapping[str, Any]
Apply = Callable[[PackCondition, Given], PackCondition]


@dataclass(frozen=True)
class DefectKind:
    """One row of the defect table; `parts` are the parameters that say which of several parts is meant."""

    parameters: Mapping[str, Parameter]
    apply: Apply
    parts: tuple[str, ...] = ()


def _plant(pack: PackCondition, **changes: Any) -> PackCondition:
    return replace(pack, plant=replace(pack.plant, **changes))


def _bms(pack: PackCondition, **changes: Any) -> PackCondition:
    return replace(pack, bms=replace(pack.bms, **changes))


def _assembly(pack: PackCondition, **changes: Any) -> PackCondition:
    return replace(pack, assembly=replace(pack.assembly, **changes))


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a name that the recipe has")
    return value


def _dtc(value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{2}", value):
        raise ValueError('must be a trouble code like "1B10-87"')
    return int(value.replace("-", ""), 16)


def _insulation(pack: PackCondition, given: Given) -> PackCondition:
    pole = "pos" if given["side"] == "positive" else "neg"
    where = "outer" if given.get("where") == "outer" else "insulation"
    return _plant(pack, **{f"{where}_{pole}_ohm": given["resistance"]})


def _bonding(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, bonding_ohm={**pack.plant.bonding_ohm, given["point"]: given["resistance"]})


def _welded(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, welded=pack.plant.welded | {Relay(given["which"])})


def _stuck_open(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, stuck_open=pack.plant.stuck_open | {Relay(given["which"])})


def _cell_voltage(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, cell_offset_v={**pack.plant.cell_offset_v, given["cell"]: given["offset"]})


def _sense_open(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, sense_open=pack.plant.sense_open | {given["cell"]})


def _temperature_sensor(pack: PackCondition, given: Given) -> PackCondition:
    if given.get("open", False) == ("offset" in given):
        raise ScenarioError("give either offset, or open = true")
    if given.get("open"):
        return _bms(pack, sensor_open=pack.bms.sensor_open | {given["sensor"]})
    return _bms(pack, sensor_offset_k={**pack.bms.sensor_offset_k, given["sensor"]: given["offset"]})


def _cell_resistance(pack: PackCondition, given: Given) -> PackCondition:
    if given["factor"] <= 0.0:
        raise ScenarioError(f"factor = {given['factor']:g}: must be above 0")
    return _plant(pack, cell_resistance={**pack.plant.cell_resistance, given["cell"]: given["factor"]})


def _current_sensor(pack: PackCondition, given: Given) -> PackCondition:
    if not given:
        raise ScenarioError("give gain, offset, or both")
    return _bms(pack, current_gain=given.get("gain", 1.0), current_offset_a=given.get("offset", 0.0))


def _busbar_joint(pack: PackCondition, given: Given) -> PackCondition:
    return _plant(pack, joint_ohm={**pack.plant.joint_ohm, given["joint"]: given["resistance"]})


def _balancing_channel(pack: PackCondition, given: Given) -> PackCondition:
    stuck = {**pack.plant.balancing_stuck, given["cell"]: given["stuck"] == "on"}
    return _plant(pack, balancing_stuck=stuck)


def _self_discharge(pack: PackCondition, given: Given) -> PackCondition:
    age_s = given.get("age", SELF_DISCHARGE_AGE_S)
    if given["rate"] * age_s / 3600.0 > SELF_DISCHARGE_MAX_V:
        raise ScenarioError(f"rate times age is above {SELF_DISCHARGE_MAX_V * 1e3:g} mV; that cell fails at rest")
    rates = {**pack.plant.self_discharge_v_per_h, given["cell"]: given["rate"]}
    return _plant(pack, self_discharge_v_per_h=rates, age_s=age_s)


def _module_swapped(pack: PackCondition, given: Given) -> PackCondition:
    if given["a"] == given["b"]:
        raise ScenarioError("a and b are the same slot")
    return _plant(pack, modules_swapped=(given["a"], given["b"]))


def _bms_dtc(pack: PackCondition, given: Given) -> PackCondition:
    return _bms(pack, dtcs=(*pack.bms.dtcs, given["code"]))


def _wrong_part(pack: PackCondition, given: Given) -> PackCondition:
    return _assembly(pack, wrong_part=pack.assembly.wrong_part | {given["slot"]})


def _cloned_label(pack: PackCondition, given: Given) -> PackCondition:
    return _assembly(pack, cloned_label=pack.assembly.cloned_label | {given["slot"]})


def _reversed(pack: PackCondition, given: Given) -> PackCondition:
    return _assembly(pack, turned=pack.assembly.turned | {given["slot"]})


def _bolt_torque(pack: PackCondition, given: Given) -> PackCondition:
    if given["torque"] > TORQUE_MAX_NM:
        raise ScenarioError(
            f"torque = {given['torque']:g} Nm: no tool of the station reaches more than {TORQUE_MAX_NM:g} Nm"
        )
    return _assembly(pack, bolt_torque={**pack.assembly.bolt_torque, given["bolt"]: given["torque"]})


TORQUE_MAX_NM = 9999.0
"""What the tightening controller can report."""
SELF_DISCHARGE_AGE_S = 16 * 86400.0
SELF_DISCHARGE_MAX_V = 20e-3

_RELAY = {"which": Parameter(choice(*(relay.value for relay in Relay)))}
_OHM = Parameter(quantity("Ohm", negative=False))
_CELL = {"cell": Parameter(index)}
_SLOT = {"slot": Parameter(index)}
_RATE = {"rate": Parameter(quantity("cm3/min", negative=False))}

DEFECTS: Mapping[str, DefectKind] = {
    "insulation": DefectKind(
        {
            "side": Parameter(choice("positive", "negative")),
            "resistance": _OHM,
            "where": Parameter(choice("cells", "outer"), required=False),
        },
        _insulation,
        ("side", "where"),
    ),
    "y_capacitance": DefectKind(
        {"value": Parameter(quantity("F", negative=False))}, lambda pack, given: _plant(pack, y_farad=given["value"])
    ),
    "bonding": DefectKind({"point": Parameter(index_or_name), "resistance": _OHM}, _bonding, ("point",)),
    "hvil_open": DefectKind({}, lambda pack, given: _plant(pack, hvil_open=True)),
    "contactor_welded": DefectKind(_RELAY, _welded, ("which",)),
    "contactor_stuck_open": DefectKind(_RELAY, _stuck_open, ("which",)),
    "precharge_resistor": DefectKind(
        {"resistance": _OHM}, lambda pack, given: _plant(pack, precharge_ohm=given["resistance"])
    ),
    "hipot_breakdown": DefectKind(
        {"voltage": Parameter(quantity("V", negative=False))},
        lambda pack, given: _plant(pack, breakdown_v=given["voltage"]),
    ),
    "cell_voltage": DefectKind(_CELL | {"offset": Parameter(quantity("V"))}, _cell_voltage, ("cell",)),
    "sense_open": DefectKind(_CELL, _sense_open, ("cell",)),
    "temperature_sensor": DefectKind(
        {
            "sensor": Parameter(index),
            "offset": Parameter(quantity("K"), required=False),
            "open": Parameter(flag, required=False),
        },
        _temperature_sensor,
        ("sensor",),
    ),
    "cell_resistance": DefectKind(_CELL | {"factor": Parameter(factor)}, _cell_resistance, ("cell",)),
    "current_sensor": DefectKind(
        {"gain": Parameter(factor, required=False), "offset": Parameter(quantity("A"), required=False)},
        _current_sensor,
    ),
    "busbar_joint": DefectKind({"joint": Parameter(index_or_name), "resistance": _OHM}, _busbar_joint, ("joint",)),
    "balancing_channel": DefectKind(_CELL | {"stuck": Parameter(choice("on", "off"))}, _balancing_channel, ("cell",)),
    "self_discharge": DefectKind(
        _CELL
        | {
            "rate": Parameter(quantity("V/h", negative=False)),
            "age": Parameter(quantity("s", negative=False), required=False),
        },
        _self_discharge,
        ("cell",),
    ),
    "module_swapped": DefectKind({"a": Parameter(index), "b": Parameter(index)}, _module_swapped),
    "bms_dtc": DefectKind({"code": Parameter(_dtc)}, _bms_dtc, ("code",)),
    "bms_software": DefectKind(
        {"version": Parameter(text(TEXTS[Did.SOFTWARE_VERSION].length))},
        lambda pack, given: _bms(pack, software_version=given["version"]),
    ),
    "bms_serial": DefectKind(
        {"value": Parameter(text(TEXTS[Did.PACK_SERIAL].length))},
        lambda pack, given: _bms(pack, pack_serial=given["value"]),
    ),
    "bms_imd_gain": DefectKind({"factor": Parameter(factor)}, lambda pack, given: _bms(pack, imd_gain=given["factor"])),
    "quiescent_current": DefectKind(
        {"current": Parameter(quantity("A", negative=False))},
        lambda pack, given: _bms(pack, quiescent_current_a=given["current"]),
    ),
    "module_wrong_part": DefectKind(_SLOT, _wrong_part, ("slot",)),
    "module_cloned_label": DefectKind(_SLOT, _cloned_label, ("slot",)),
    "module_reversed": DefectKind(_SLOT, _reversed, ("slot",)),
    "bolt_torque": DefectKind(
        {"bolt": Parameter(_name), "torque": Parameter(quantity("Nm", negative=False))}, _bolt_torque, ("bolt",)
    ),
    "housing_leak": DefectKind(_RATE, lambda pack, given: _assembly(pack, housing_leak=given["rate"])),
    "coolant_leak": DefectKind(_RATE, lambda pack, given: _assembly(pack, coolant_leak=given["rate"])),
}


def condition_of(defects: tuple[Defect, ...], recipe: Recipe) -> PackCondition:
    """The condition of a pack of this recipe with these defects.

    Raises:
        ScenarioError: a defect names a part the pack does not have, or contradicts or repeats another.
    """
    pack = PackCondition()
    first: dict[tuple[Any, ...], Defect] = {}
    for defect in defects:
        kind = DEFECTS[defect.kind]
        try:
            given = _located(defect.parameters, recipe)
            other = first.setdefault((defect.kind, *(given.get(part) for part in kind.parts)), defect)
            if other is not defect:
                raise ScenarioError(f"concerns the same part as {other.place}; keep one of them")
            pack = kind.apply(pack, given)
        except ScenarioError as error:
            raise ScenarioError(f"{defect.place}: {error}") from None
    return pack


def _located(given: Given, recipe: Recipe) -> Given:
    """The parameters, a name of the recipe as its number; ScenarioError for a part the pack does not have."""
    counts = {
        "cell": (recipe.pack.series, "cells"),
        "a": (recipe.pack.modules, "modules"),
        "b": (recipe.pack.modules, "modules"),
        "slot": (recipe.pack.modules, "modules"),
        "sensor": (facts_of(recipe.pack.id).thermistors, "temperature sensors"),
        "joint": (2 * (recipe.pack.modules + 1), "joints"),
    }
    if "point" in given:
        points = bonding_points(recipe)
        counts["point"] = (len(points), f"bonding points ({', '.join(points)})")
        given = _numbered(given, "point", points)
    if "joint" in given:
        given = _numbered(given, "joint", _names(recipe, "joints", "joints"))
    if "bolt" in given and given["bolt"] not in bolts(recipe):
        raise ScenarioError(f"bolt = {shown(given['bolt'])}: the recipe has {', '.join(bolts(recipe))}")
    for name, (count, what) in counts.items():
        if name in given and given[name] > count:
            raise ScenarioError(f"{name} = {shown(given[name])}: the pack has {count} {what}")
    return given


def _numbered(given: Given, key: str, names: tuple[str, ...]) -> Given:
    """The parameters, a part's name as its number; ScenarioError for a name that the recipe does not have."""
    if not isinstance(given[key], str):
        return given
    if given[key] not in names:
        raise ScenarioError(f"{key} = {shown(given[key])}: the recipe has {', '.join(names)}")
    return {**given, key: 1 + names.index(given[key])}


def bonding_points(recipe: Recipe) -> tuple[str, ...]:
    """Names of the points where the recipe measures bonding."""
    return next(step for step in recipe.steps(EOL) if step.run == "bonding").names("points")


def bolts(recipe: Recipe) -> tuple[str, ...]:
    """Names of the bolts that the recipe tightens, in that order."""
    return tuple(bolt for run in BOLTED for bolt in _names(recipe, run, "bolts"))


def _names(recipe: Recipe, run: str, parameter: str) -> tuple[str, ...]:
    """Names that a step of the stacking station has; none if the recipe does not run it."""
    return tuple(name for step in recipe.steps(STACKING) if step.run == run for name in step.names(parameter))
