"""Modules as they wait to be built in: those of one pack, and others of their lot.

The pack's own have the cells that the plant of the same seed has, so that a pack that is built is the one that is
tested afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bmsctl.domain.parts import kind_of, number_of
from bmsctl.domain.ports import ModuleData
from bmsctl.domain.units import Ohm, Second, Volt
from bmsctl.protocols.part_label import PartLabel
from firmware_stubs.assembly.condition import AssemblyCondition
from firmware_stubs.plant import Plant
from firmware_stubs.plant.cells import OCV_SOC, OCV_V, Cells
from firmware_stubs.plant.condition import Others
from firmware_stubs.population import (
    F64,
    REFERENCE_C,
    AssemblyUnit,
    ModuleUnit,
    PackFacts,
    draw_assembly,
    draw_pack,
    module_serial,
)

SPARES = 3
"""Other modules of the lot that wait."""
SPARE_YOUNGER_S = 1800.0
"""So much later each came in."""
FARAD = 50e-9
"""Of a module to its housing."""
ACIR_PER_K = 0.012
"""Fall of the AC resistance with temperature."""
FOREIGN_PART_NUMBERS = ("295M24112R", "295M08113R")
"""Modules of other packs; the first that is not the pack's own is taken for it by mistake."""


@dataclass(frozen=True)
class Module:
    """One module. `serial`: what the store knows it by; `label`: what it bears. cell_v: (cells,) rest voltages from
    the negative pole. acir_ohm: at 1 kHz and 25 °C. insulation_ohm: to its housing."""

    serial: str
    label: PartLabel
    cell_v: F64
    acir_ohm: float
    temperature_c: float
    insulation_ohm: float

    @property
    def ocv_v(self) -> float:
        """Open-circuit voltage."""
        return float(self.cell_v.sum())

    @property
    def resistance_ohm(self) -> float:
        """AC resistance at its own temperature."""
        return self.acir_ohm * math.exp(-ACIR_PER_K * (self.temperature_c - REFERENCE_C))


@dataclass(frozen=True)
class Lot:
    """Modules of one lot: a pack's `own` in slot order, and `spares`, younger ones. `data`: what is on record of each,
    and of whatever may be taken for one, by serial."""

    own: tuple[Module, ...]
    spares: tuple[Module, ...]
    data: Mapping[str, ModuleData]

    def find(self, serial: str) -> Module | None:
        """The module that the store knows by a serial."""
        return next((module for module in (*self.own, *self.spares) if module.serial == serial), None)


def lot_of(plant: Plant, condition: AssemblyCondition, part_number: str, seed: int) -> Lot:
    """The lot of the plant's modules, with what is wrong with their labels."""
    drawn = draw_assembly(plant.facts, seed, SPARES)
    good_ohm = plant.facts.acir_ohm * _shares(plant, draw_pack(plant.facts, seed).group_ohm)
    lot_v = float(np.interp(plant.unit.soc, OCV_SOC, OCV_V)) + drawn.lot_ocv_v
    own = _own(plant, drawn, part_number, seed)
    spares = _spares(plant, drawn, own, seed)
    labelled = _mislabelled(own, condition)
    data = _records(plant, drawn, (*own, *spares), lot_v, float(good_ohm.mean()))
    for module, known in zip(labelled, own, strict=True):
        if module.label.part_number != part_number:
            record = replace(data[known.serial], serial=module.label.serial, part_number=module.label.part_number)
            data[record.serial] = record
    return Lot(labelled, spares, data)


def _shares(plant: Plant, group_ohm: F64) -> F64:
    """(modules,) resistance of each module's cells against the pack type's."""
    shares: F64 = group_ohm.reshape(plant.facts.modules, -1).mean(axis=1) / plant.facts.group_ohm
    return shares


def _own(plant: Plant, drawn: AssemblyUnit, part_number: str, seed: int) -> tuple[Module, ...]:
    """The pack's modules, from its negative pole."""
    modules = plant.facts.modules
    cell_v = Cells(plant.unit).rest_v.reshape(modules, -1)
    acir_ohm = plant.facts.acir_ohm * _shares(plant, plant.unit.group_ohm) * drawn.acir_share[:modules]
    temperature_c = plant.unit.temperature_c.reshape(modules, -1).mean(axis=1)
    return tuple(
        Module(
            serial=(serial := module_serial(cell_v.shape[1], seed, slot)),
            label=PartLabel(part_number, serial, f"L{seed}"),
            cell_v=cell_v[slot - 1],
            acir_ohm=float(acir_ohm[slot - 1]),
            temperature_c=float(temperature_c[slot - 1]),
            insulation_ohm=float(drawn.insulation_ohm[slot - 1]),
        )
        for slot in range(1, modules + 1)
    )


def others_of(facts: PackFacts, seed: int, parts: Mapping[str, str]) -> Others:
    """The modules in a pack that are not its slots' own. `parts`: serials of what is in it, by slot."""
    cells = facts.series // facts.modules
    lot: list[int | ModuleUnit] = [*range(1, facts.modules + 1), *draw_assembly(facts, seed, SPARES).spares]
    known = {module_serial(cells, seed, number): module for number, module in enumerate(lot, 1)}
    inside = {number_of(slot): serial for slot, serial in parts.items() if kind_of(slot) == "module"}
    return {slot: known[serial] for slot, serial in inside.items() if known.get(serial, slot) != slot}


def _spares(plant: Plant, drawn: AssemblyUnit, own: Sequence[Module], seed: int) -> tuple[Module, ...]:
    """Modules that are like the pack's; their serials go on from its."""
    cells = len(own[0].cell_v)
    temperature_c = sum(module.temperature_c for module in own) / len(own)
    pack_v = float(np.interp(plant.unit.soc, OCV_SOC, OCV_V))
    spares = []
    for number, unit in enumerate(drawn.spares, len(own)):
        serial = module_serial(cells, seed, number + 1)
        share = float(unit.group_ohm.mean()) / plant.facts.group_ohm
        spares.append(
            Module(
                serial=serial,
                label=own[0].label._replace(serial=serial),
                cell_v=pack_v + unit.rest_spread_v,
                acir_ohm=plant.facts.acir_ohm * share * float(drawn.acir_share[number]),
                temperature_c=temperature_c,
                insulation_ohm=float(drawn.insulation_ohm[number]),
            )
        )
    return tuple(spares)


def _mislabelled(own: Sequence[Module], condition: AssemblyCondition) -> tuple[Module, ...]:
    """The modules with the labels that they really bear."""
    modules = list(own)
    for slot in condition.cloned_label:
        # The label of the module before, which has been seen by then.
        modules[slot - 1] = replace(modules[slot - 1], label=own[slot - 2 if slot > 1 else 1].label)
    for slot in condition.wrong_part:
        label = own[slot - 1].label
        foreign = next(number for number in FOREIGN_PART_NUMBERS if number != label.part_number)
        label = label._replace(part_number=foreign, serial=f"X-{label.serial}")
        modules[slot - 1] = replace(modules[slot - 1], label=label)
    return tuple(modules)


def _records(
    plant: Plant, drawn: AssemblyUnit, modules: Sequence[Module], lot_v: float, lot_ohm: float
) -> dict[str, ModuleData]:
    """What the incoming inspection has on record of the pack's own modules, and of the spares."""
    incoming = {module.slot: module for module in plant.incoming_modules()}
    data = {}
    for number, module in enumerate(modules, 1):
        younger_s = SPARE_YOUNGER_S * max(0, number - len(incoming))
        if number in incoming:
            cell_v = incoming[number].voltage_v
        else:
            unit = drawn.spares[number - len(incoming) - 1]
            hours = (plant.unit.age_s - younger_s) / 3600.0
            cell_v = (module.cell_v + unit.self_discharge_v_per_h * hours + unit.incoming_error_v).tolist()
        data[module.serial] = ModuleData(
            serial=module.serial,
            part_number=module.label.part_number,
            lot=module.label.lot,
            age=Second(plant.unit.age_s - younger_s),
            cell_voltage_v=tuple(Volt(volts) for volts in cell_v),
            lot_ocv=Volt(lot_v),
            lot_acir=Ohm(lot_ohm),
        )
    return data
