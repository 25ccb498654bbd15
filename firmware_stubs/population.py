"""The good population: what packs of each type are, and how one pack and one station differ from the next.

All figures are engineering estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bmsctl.errors import ScenarioError
from firmware_stubs.noise import draw

F64 = NDArray[np.float64]

AIR_C = 22.0
BONDING_OHM = 4e-3
BONDING_POINTS = 6
JOINT_OHM = 20e-6
LINK_OHM = 80e-6
"""An inter-module bar with its two joints."""
QUIESCENT_A = 0.8e-3
REST_SPREAD_V = 1.0e-3
"""Standard deviation of rest voltages within a pack."""
INCOMING_ERROR_V = 0.1e-3
SENSE_OHM = 30e-3
"""A wire from a cell to its monitoring chip."""
CHIP_CHANNELS = 16
"""Cells to a monitoring chip, which has a wire more than cells."""

HOUSING_LEAK_CM3_PER_MIN, HOUSING_LEAK_SD = 6.0, 3.0
COOLANT_LEAK_CM3_PER_MIN, COOLANT_LEAK_SD = 0.5, 0.3
LEAST_LEAK_SHARE = 0.1
"""Of the mean: nothing is tighter."""

REFERENCE_C = 25.0
"""Temperature that resistances of cells are given for."""

_RESISTANCE_TO_CAPACITY = -0.4
"""Correlation of a cell group's resistance with its capacity."""
_AGE_S = (14.5 * 86400.0, 19.0 * 86400.0)


@dataclass(frozen=True)
class PackFacts:
    """What all packs of one type share. `y_farad` is C+ and C- together; resistances hold for 10 s at 25 °C.

    acir_ohm: of a module, at 1 kHz and 25 °C. housing_litre, coolant_litre: volumes that are tested for leaks.
    """

    id: str
    series: int
    parallel: int
    modules: int
    max_working_voltage_v: float
    group_ah: float
    y_farad: float
    group_ohm: float
    pack_ohm: float
    thermistors: int
    acir_ohm: float
    housing_litre: float
    coolant_litre: float


PACKS: Mapping[str, PackFacts] = {
    facts.id: facts
    for facts in (
        PackFacts("AS40", 72, 2, 3, 302.4, 157.0, 0.25e-6, 0.55e-3, 43e-3, 9, 8.6e-3, 45.0, 4.0),
        PackFacts("AS52", 96, 2, 4, 403.2, 157.0, 0.33e-6, 0.55e-3, 57e-3, 12, 8.6e-3, 50.0, 4.5),
        PackFacts("AM40", 96, 2, 8, 403.2, 120.0, 0.35e-6, 0.70e-3, 73e-3, 16, 5.5e-3, 55.0, 5.0),
        PackFacts("AM60", 96, 3, 12, 403.2, 180.0, 0.45e-6, 0.47e-3, 53e-3, 24, 2.5e-3, 50.0, 6.0),
        PackFacts("AM87", 96, 2, 12, 403.2, 255.0, 0.50e-6, 0.33e-3, 40e-3, 24, 1.7e-3, 55.0, 6.0),
    )
}


def facts_of(pack: str) -> PackFacts:
    """The facts of a pack type.

    Raises:
        ScenarioError: there is no such type.
    """
    if pack not in PACKS:
        raise ScenarioError(f"no pack {pack!r} to simulate; there are {', '.join(PACKS)}")
    return PACKS[pack]


@dataclass(frozen=True)
class PackUnit:
    """One pack as built and delivered.

    soc: mean state of charge, 0 to 1. rest_spread_v: (series,) rest voltage of each cell group against the pack's
    mean. age_s: since the modules came in. self_discharge_v_per_h: (series,) fall of the rest voltage since then.
    incoming_error_v: (series,) error of the incoming inspection. group_ohm: (series,) after 10 s at REFERENCE_C.
    capacity_ah: (series,). busbar_ohm: (modules - 1,) inter-module bars with their joints. terminal_ohm: what else
    is in the string. sense_ohm: (chips, CHIP_CHANNELS + 1) wires from cells to monitoring chips. temperature_c:
    (thermistors,) where each sits. bonding_ohm: (BONDING_POINTS,). insulation_*: of the stack's poles to chassis;
    outer_*: of the outer poles. y_farad: all capacitance to chassis.
    """

    soc: float
    rest_spread_v: F64
    age_s: float
    self_discharge_v_per_h: F64
    incoming_error_v: F64
    group_ohm: F64
    capacity_ah: F64
    busbar_ohm: F64
    terminal_ohm: float
    sense_ohm: F64
    temperature_c: F64
    bonding_ohm: F64
    precharge_ohm: float
    insulation_pos_ohm: float
    insulation_neg_ohm: float
    outer_pos_ohm: float
    outer_neg_ohm: float
    y_farad: float


@dataclass(frozen=True)
class ModuleUnit:
    """The cells of one module as delivered, each (cells,) and as of PackUnit."""

    rest_spread_v: F64
    self_discharge_v_per_h: F64
    incoming_error_v: F64
    group_ohm: F64
    capacity_ah: F64


@dataclass(frozen=True)
class AssemblyUnit:
    """What shows of one pack while it is built, and of the other modules of its lot.

    joint_ohm: (2 * modules + 2,) by joint. acir_share: (modules + spares,) AC resistance against the lot's. lot_ocv_v:
    open-circuit voltage of a cell group, the lot's median against the pack's mean. spares: cells of the modules that
    are not the pack's. insulation_ohm: (modules + spares,) of a module to its housing. housing_leak, coolant_leak: in
    cm3/min, at their test pressures.
    """

    joint_ohm: F64
    acir_share: F64
    lot_ocv_v: float
    spares: tuple[ModuleUnit, ...]
    insulation_ohm: F64
    housing_leak: float
    coolant_leak: float


@dataclass(frozen=True)
class StationUnit:
    """One station's own parts, and the air around it.

    link_farad: the link capacitor. digitizer_*: input resistance at plus and minus. r0_*: the test resistor at minus
    and plus. reference_ohm: the resistor to check an insulation monitor by.
    """

    link_farad: float
    digitizer_pos_ohm: float
    digitizer_neg_ohm: float
    r0_minus_ohm: float
    r0_plus_ohm: float
    reference_ohm: float
    air_c: float


def draw_pack(facts: PackFacts, seed: int) -> PackUnit:
    """One good pack of this type. Every quantity has its own channel: adding one leaves the others as they were."""

    def normal(channel: str, count: int = 1) -> F64:
        return draw(seed, f"pack.{channel}").standard_normal(count)

    group_ohm, capacity_ah = _groups(facts, seed, normal("group_ohm", facts.series), normal("capacity", facts.series))
    chips = -(-facts.series // CHIP_CHANNELS)
    insulation_ohm = 20e6 * np.exp(0.4 * normal("insulation", 2))
    outer_ohm = 2e9 * np.exp(0.5 * normal("insulation_outer", 2))
    bonding = np.array([normal(f"bonding.{point}")[0] for point in range(1, BONDING_POINTS + 1)])
    return PackUnit(
        soc=0.25 + 0.015 * float(normal("soc")[0]),
        rest_spread_v=REST_SPREAD_V * normal("rest_spread", facts.series),
        age_s=float(draw(seed, "pack.age").uniform(*_AGE_S)),
        self_discharge_v_per_h=_self_discharge(normal("self_discharge", facts.series)),
        incoming_error_v=INCOMING_ERROR_V * normal("incoming_error", facts.series),
        group_ohm=group_ohm,
        capacity_ah=capacity_ah,
        busbar_ohm=LINK_OHM + 6e-6 * normal("busbar", facts.modules - 1),
        terminal_ohm=facts.pack_ohm - facts.series * facts.group_ohm - (facts.modules - 1) * LINK_OHM,
        sense_ohm=SENSE_OHM + 3.2e-3 * normal("sense_wire", chips * (CHIP_CHANNELS + 1)).reshape(chips, -1),
        temperature_c=_air_c(seed) + 0.5 * normal("temperature") + 0.4 * normal("gradient", facts.thermistors),
        bonding_ohm=BONDING_OHM * np.exp(0.3 * bonding),
        precharge_ohm=50.0 * (1.0 + 0.02 * _clipped(normal("precharge"), 5.0)),
        insulation_pos_ohm=float(insulation_ohm[0]),
        insulation_neg_ohm=float(insulation_ohm[1]),
        outer_pos_ohm=float(outer_ohm[0]),
        outer_neg_ohm=float(outer_ohm[1]),
        y_farad=facts.y_farad * (1.0 + 0.06 * _clipped(normal("y_capacitance"), 5.0)),
    )


def module_serial(cells: int, seed: int, number: int) -> str:
    """The serial of a module of so many cell groups; the pack's own are numbered by slot, and spares after them."""
    return f"M{cells:02d}-{seed}-{number}"


def draw_assembly(facts: PackFacts, seed: int, spares: int) -> AssemblyUnit:
    """The parts of one good pack as they come to be put together; `spares`: other modules of the lot."""
    modules = facts.modules + spares
    lot_ocv_v = 2.0e-3 * float(draw(seed, "assembly.lot_ocv").standard_normal(1)[0])

    def normal(channel: str, count: int = 1) -> F64:
        return draw(seed, f"assembly.{channel}").standard_normal(count)

    def leak(channel: str, mean: float, sd: float) -> float:
        return max(LEAST_LEAK_SHARE * mean, mean + sd * float(normal(channel)[0]))

    return AssemblyUnit(
        joint_ohm=JOINT_OHM * (1.0 + 0.08 * normal("joint", 2 * facts.modules + 2)),
        acir_share=1.0 + 0.02 * normal("acir", modules),
        lot_ocv_v=lot_ocv_v,
        spares=tuple(_spare(facts, seed, index, lot_ocv_v) for index in range(spares)),
        insulation_ohm=2e9 * np.exp(0.3 * normal("insulation", modules)),
        housing_leak=leak("housing_leak", HOUSING_LEAK_CM3_PER_MIN, HOUSING_LEAK_SD),
        coolant_leak=leak("coolant_leak", COOLANT_LEAK_CM3_PER_MIN, COOLANT_LEAK_SD),
    )


def _spare(facts: PackFacts, seed: int, index: int, lot_ocv_v: float) -> ModuleUnit:
    """A module of a pack's lot that is not in it, from 0."""
    cells = facts.series // facts.modules

    def normal(channel: str) -> F64:
        """The spares' deviates follow each other."""
        return draw(seed, f"assembly.spare_{channel}").standard_normal((index + 1) * cells)[-cells:]

    ocv_v = lot_ocv_v + 2.0e-3 * draw(seed, "assembly.spare_ocv").standard_normal(index + 1)[-1]
    group_ohm, capacity_ah = _groups(facts, seed, normal("group_ohm"), normal("capacity"))
    return ModuleUnit(
        rest_spread_v=ocv_v + REST_SPREAD_V * normal("rest"),
        self_discharge_v_per_h=_self_discharge(normal("self_discharge")),
        incoming_error_v=INCOMING_ERROR_V * normal("incoming_error"),
        group_ohm=group_ohm,
        capacity_ah=capacity_ah,
    )


def _groups(facts: PackFacts, seed: int, resistance: F64, independent: F64) -> tuple[F64, F64]:
    """Resistances and capacities of cell groups of the pack's lot, from their deviates."""
    lot = 1.0 + 0.03 * _clipped(draw(seed, "pack.lot_ohm").standard_normal(1), 5.0)
    capacity = _RESISTANCE_TO_CAPACITY * resistance + np.sqrt(1.0 - _RESISTANCE_TO_CAPACITY**2) * independent
    return facts.group_ohm * lot * (1.0 + 0.03 * resistance), facts.group_ah * (1.0 + 0.01 * capacity)


def _self_discharge(deviates: F64) -> F64:
    """Fall of rest voltages, in volts an hour."""
    return 0.010e-3 + 0.0015e-3 * deviates


def draw_station(seed: int) -> StationUnit:
    """One good station."""
    digitizer_ohm = 10e6 * (1.0 + 0.001 * draw(seed, "station.digitizer_ohm").standard_normal(2))
    r0_ohm = 180e3 * (1.0 + 0.0005 * draw(seed, "station.r0_ohm").standard_normal(2))
    reference_ohm = 350e3 * (1.0 + 0.0005 * draw(seed, "station.reference_ohm").standard_normal(1))
    return StationUnit(
        link_farad=0.5e-3 * (1.0 + 0.01 * _clipped(draw(seed, "station.link_farad").standard_normal(1), 2.0)),
        digitizer_pos_ohm=float(digitizer_ohm[0]),
        digitizer_neg_ohm=float(digitizer_ohm[1]),
        r0_minus_ohm=float(r0_ohm[0]),
        r0_plus_ohm=float(r0_ohm[1]),
        reference_ohm=float(reference_ohm[0]),
        air_c=_air_c(seed),
    )


def _air_c(seed: int) -> float:
    """Air of the hall, which packs have stood in for long."""
    return AIR_C + _clipped(draw(seed, "station.air").standard_normal(1), 3.0)


def _clipped(deviate: F64, limit: float) -> float:
    """A single deviate, held within a limit that the population is sorted to."""
    return float(np.clip(deviate[0], -limit, limit))
