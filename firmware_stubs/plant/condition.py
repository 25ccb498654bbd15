"""What can be wrong with a pack's power part, and what it makes of a pack as drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from bmsctl.domain.ports import Relay
from bmsctl.errors import ScenarioError
from firmware_stubs.plant.breakdown import RECOVERED_V
from firmware_stubs.plant.circuit import CONTACT_OHM, LEAST_Y_FARAD
from firmware_stubs.population import BONDING_POINTS, JOINT_OHM, ModuleUnit, PackFacts, PackUnit

Others = Mapping[int, int | ModuleUnit]
"""Modules that are in a pack instead of its own, by slot: that of another of its slots, by number, or one of others."""


@dataclass(frozen=True)
class PlantCondition:
    """What is wrong with the pack's power part; the default is nothing. Parts are numbered from 1.

    precharge_ohm, y_farad, age_s: instead of what was drawn. insulation_*_ohm: a fault in parallel with the drawn
    insulation of the stack's pole; outer_*_ohm: of the outer pole. breakdown_v: the outer poles' insulation to chassis
    breaks down above. bonding_ohm: by point. cell_offset_v: by cell, a difference in charge that gives this difference
    in rest voltage. cell_resistance: by cell, a factor. self_discharge_v_per_h: by cell, on top of what all cells
    have, since the modules came in. joint_ohm: by joint; bar `i`, from the negative pole, has joints 2i - 1 and 2i,
    the terminal bars' come last. sense_open: cells with an open sense wire. balancing_stuck: by cell, True for a
    switch that is always on. modules_swapped: slots whose incoming data are exchanged. hvil_open: the interlock loop
    is open in the pack.

    Raises:
        ScenarioError: conditions that contradict each other, or a value that no part can have.
    """

    welded: frozenset[Relay] = frozenset()
    stuck_open: frozenset[Relay] = frozenset()
    precharge_ohm: float | None = None
    insulation_pos_ohm: float | None = None
    insulation_neg_ohm: float | None = None
    outer_pos_ohm: float | None = None
    outer_neg_ohm: float | None = None
    y_farad: float | None = None
    breakdown_v: float | None = None
    bonding_ohm: Mapping[int, float] = field(default_factory=dict)
    cell_offset_v: Mapping[int, float] = field(default_factory=dict)
    cell_resistance: Mapping[int, float] = field(default_factory=dict)
    self_discharge_v_per_h: Mapping[int, float] = field(default_factory=dict)
    age_s: float | None = None
    joint_ohm: Mapping[int, float] = field(default_factory=dict)
    sense_open: frozenset[int] = frozenset()
    balancing_stuck: Mapping[int, bool] = field(default_factory=dict)
    modules_swapped: tuple[int, int] | None = None
    hvil_open: bool = False

    def __post_init__(self) -> None:
        for relay in Relay:
            if relay in self.welded and relay in self.stuck_open:
                raise ScenarioError(f"{relay} is both welded and stuck open; a contact can be only one of them")
        ohms = [self.precharge_ohm, self.insulation_pos_ohm, self.insulation_neg_ohm]
        ohms += [self.outer_pos_ohm, self.outer_neg_ohm, *self.bonding_ohm.values(), *self.joint_ohm.values()]
        if any(ohm is not None and not ohm >= 0.0 for ohm in ohms):
            raise ScenarioError("a resistance is negative")
        if any(not factor > 0.0 for factor in self.cell_resistance.values()):
            raise ScenarioError("the resistance of a cell must be above 0")
        if self.age_s is not None and not self.age_s >= 0.0:
            raise ScenarioError("the age of a pack is negative")
        if self.y_farad is not None and not self.y_farad >= LEAST_Y_FARAD:
            raise ScenarioError(f"{self.y_farad:g} F: no pack has less than {LEAST_Y_FARAD:g} F to chassis")
        if self.breakdown_v is not None and not self.breakdown_v > RECOVERED_V:
            raise ScenarioError(f"{self.breakdown_v:g} V: insulation holds at least {RECOVERED_V:g} V")
        if self.modules_swapped is not None and self.modules_swapped[0] == self.modules_swapped[1]:
            raise ScenarioError(f"slot {self.modules_swapped[0]} cannot be exchanged with itself")

    def seized(self, relay: Relay) -> bool | None:
        """True for a welded contact, False for one stuck open, None for one that moves."""
        return True if relay in self.welded else False if relay in self.stuck_open else None


def damaged(facts: PackFacts, unit: PackUnit, condition: PlantCondition) -> PackUnit:
    """The pack as drawn with everything that is wrong with it, but for what moves or switches.

    Raises:
        ScenarioError: a part that the pack does not have.
    """
    _check_parts(facts, condition)
    age_s = unit.age_s if condition.age_s is None else condition.age_s
    rest_v, rate_v_per_h = unit.rest_spread_v.copy(), unit.self_discharge_v_per_h.copy()
    for cell, volts in condition.cell_offset_v.items():
        rest_v[cell - 1] += volts
    for cell, extra_v_per_h in condition.self_discharge_v_per_h.items():
        rest_v[cell - 1] -= extra_v_per_h * age_s / 3600.0
        rate_v_per_h[cell - 1] += extra_v_per_h
    group_ohm, bonding_ohm = unit.group_ohm.copy(), unit.bonding_ohm.copy()
    for cell, factor in condition.cell_resistance.items():
        group_ohm[cell - 1] *= factor
    for point, ohm in condition.bonding_ohm.items():
        bonding_ohm[point - 1] = ohm
    bars_ohm = np.append(unit.busbar_ohm, unit.terminal_ohm)
    for joint, ohm in condition.joint_ohm.items():
        bars_ohm[min((joint - 1) // 2, facts.modules - 1)] += ohm - JOINT_OHM
    return replace(
        unit,
        rest_spread_v=rest_v,
        age_s=age_s,
        self_discharge_v_per_h=rate_v_per_h,
        group_ohm=group_ohm,
        busbar_ohm=bars_ohm[:-1],
        terminal_ohm=float(bars_ohm[-1]),
        bonding_ohm=bonding_ohm,
        precharge_ohm=unit.precharge_ohm if condition.precharge_ohm is None else condition.precharge_ohm,
        insulation_pos_ohm=_parallel_ohm(unit.insulation_pos_ohm, condition.insulation_pos_ohm),
        insulation_neg_ohm=_parallel_ohm(unit.insulation_neg_ohm, condition.insulation_neg_ohm),
        outer_pos_ohm=_parallel_ohm(unit.outer_pos_ohm, condition.outer_pos_ohm),
        outer_neg_ohm=_parallel_ohm(unit.outer_neg_ohm, condition.outer_neg_ohm),
        y_farad=unit.y_farad if condition.y_farad is None else condition.y_farad,
    )


def rebuilt(facts: PackFacts, unit: PackUnit, others: Others) -> PackUnit:
    """The pack with other modules in these slots; what was wrong with the cells that were in them went with them."""
    changed = {}
    for each in fields(ModuleUnit):
        own = getattr(unit, each.name).reshape(facts.modules, -1)
        changed[each.name] = own.copy()
        for slot, other in others.items():
            changed[each.name][slot - 1] = own[other - 1] if isinstance(other, int) else getattr(other, each.name)
    return replace(unit, **{name: values.ravel() for name, values in changed.items()})


def _check_parts(facts: PackFacts, condition: PlantCondition) -> None:
    cells = {*condition.cell_offset_v, *condition.cell_resistance, *condition.self_discharge_v_per_h}
    parts: tuple[tuple[str, Iterable[int], int], ...] = (
        ("cell", cells | {*condition.sense_open, *condition.balancing_stuck}, facts.series),
        ("module", condition.modules_swapped or (), facts.modules),
        ("joint", condition.joint_ohm, 2 * (facts.modules + 1)),
        ("bonding point", condition.bonding_ohm, BONDING_POINTS),
    )
    for what, numbers, count in parts:
        if any(not 1 <= number <= count for number in numbers):
            raise ScenarioError(f"{facts.id} has {what}s 1 to {count}, not {', '.join(map(str, sorted(numbers)))}")


def _parallel_ohm(good_ohm: float, fault_ohm: float | None) -> float:
    return good_ohm if fault_ohm is None else 1.0 / (1.0 / good_ohm + 1.0 / max(fault_ohm, CONTACT_OHM))
