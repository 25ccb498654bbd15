"""Every defect a simulated pack can have: its parameters, and what it does to plant and BMS."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bmsctl.domain.ports import Relay
from bmsctl.domain.recipe_compiler_values import shown
from bmsctl.errors import ScenarioError
from bmsctl.protocols.dids import TEXTS, Did
from firmware_stubs.bms import BmsCondition
from firmware_stubs.plant import PlantCondition
from firmware_stubs.scenario import Defect, Parameter, choice, index, quantity, text


@dataclass(frozen=True)
class PackCondition:
    """Everything wrong with one pack."""

    plant: PlantCondition = field(default_factory=PlantCondition)
    bms: BmsCondition = field(default_factory=BmsCondition)


Apply = Callable[[PackCondition, Mapping[str, Any]], PackCondition]


@dataclass(frozen=True)
class DefectKind:
    """One row of the defect table; `part` is the parameter that says which of several parts is meant."""

    parameters: Mapping[str, Parameter]
    apply: Apply
    part: str | None = None


def _dtc(value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{2}", value):
        raise ValueError('must be a trouble code like "1B10-87"')
    return int(value.replace("-", ""), 16)


def _welded(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    welded = pack.plant.welded | {Relay(given["which"])}
    return replace(pack, plant=replace(pack.plant, welded=welded))


def _stuck_open(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    stuck_open = pack.plant.stuck_open | {Relay(given["which"])}
    return replace(pack, plant=replace(pack.plant, stuck_open=stuck_open))


def _precharge_resistor(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    return replace(pack, plant=replace(pack.plant, precharge_ohm=given["resistance"]))


def _cell_voltage(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    offsets = {**pack.plant.cell_offset_v, given["cell"]: given["offset"]}
    return replace(pack, plant=replace(pack.plant, cell_offset_v=offsets))


def _bms_dtc(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    return replace(pack, bms=replace(pack.bms, dtcs=(*pack.bms.dtcs, given["code"])))


def _bms_software(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    return replace(pack, bms=replace(pack.bms, software_version=given["version"]))


def _bms_serial(pack: PackCondition, given: Mapping[str, Any]) -> PackCondition:
    return replace(pack, bms=replace(pack.bms, pack_serial=given["value"]))


_RELAY = {"which": Parameter(choice(*(relay.value for relay in Relay)))}

DEFECTS: Mapping[str, DefectKind] = {
    "contactor_welded": DefectKind(_RELAY, _welded, "which"),
    "contactor_stuck_open": DefectKind(_RELAY, _stuck_open, "which"),
    "precharge_resistor": DefectKind({"resistance": Parameter(quantity("Ohm", negative=False))}, _precharge_resistor),
    "cell_voltage": DefectKind({"cell": Parameter(index), "offset": Parameter(quantity("V"))}, _cell_voltage, "cell"),
    "bms_dtc": DefectKind({"code": Parameter(_dtc)}, _bms_dtc, "code"),
    "bms_software": DefectKind({"version": Parameter(text(TEXTS[Did.SOFTWARE_VERSION].length))}, _bms_software),
    "bms_serial": DefectKind({"value": Parameter(text(TEXTS[Did.PACK_SERIAL].length))}, _bms_serial),
}


def condition_of(defects: tuple[Defect, ...], series: int) -> PackCondition:
    """The condition of a pack of `series` cell groups with these defects.

    Raises:
        ScenarioError: a defect names a cell the pack does not have, or contradicts or repeats another.
    """
    pack = PackCondition()
    first: dict[tuple[str, Any], Defect] = {}
    for defect in defects:
        kind = DEFECTS[defect.kind]
        if defect.parameters.get("cell", 1) > series:
            raise ScenarioError(
                f"{defect.place}: cell = {shown(defect.parameters['cell'])}: the pack has {series} cells"
            )
        part = defect.parameters[kind.part] if kind.part else None
        other = first.setdefault((defect.kind, part), defect)
        if other is not defect:
            raise ScenarioError(f"{defect.place}: concerns the same part as {other.place}; keep one of them")
        try:
            pack = kind.apply(pack, defect.parameters)
        except ScenarioError as error:
            raise ScenarioError(f"{defect.place}: {error}") from None
    return pack
