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


@dataclass(frozen=True)
class PackFacts:
    """What all packs of one type share. `y_farad` is C+ and C- together; resistances hold for 10 s at 25 °C."""

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


PACKS: Mapping[str, PackFacts] = {
    facts.id: facts
    for facts in (
        PackFacts("AS40", 72, 2, 3, 302.4, 157.0, 0.25e-6, 0.55e-3, 43e-3, 9),
        PackFacts("AS52", 96, 2, 4, 403.2, 157.0, 0.33e-6, 0.55e-3, 57e-3, 12),
        PackFacts("AM40", 96, 2, 8, 403.2, 120.0, 0.35e-6, 0.70e-3, 73e-3, 16),
        PackFacts("AM60", 96, 3, 12, 403.2, 180.0, 0.45e-6, 0.47e-3, 53e-3, 24),
        PackFacts("AM87", 96, 2, 12, 403.2, 255.0, 0.50e-6, 0.33e-3, 40e-3, 24),
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
    mean. group_ohm: (series,). busbar_ohm: (modules - 1,) inter-module bars. series_ohm: the whole string.
    incoming_error_v: (series,) error of the incoming inspection. temperature_c: (thermistors,) where each sits.
    outer_*: insulation of the outer poles to chassis.
    """

    soc: float
    rest_spread_v: F64
    incoming_error_v: F64
    group_ohm: F64
    busbar_ohm: F64
    series_ohm: float
    temperature_c: F64
    precharge_ohm: float
    insulation_pos_ohm: float
    insulation_neg_ohm: float
    outer_pos_ohm: float
    outer_neg_ohm: float
    y_farad: float


@dataclass(frozen=True)
class StationUnit:
    """One station's own parts: link capacitor, and the digitizer's input resistance at plus and minus."""

    link_farad: float
    digitizer_pos_ohm: float
    digitizer_neg_ohm: float


def draw_pack(facts: PackFacts, seed: int) -> PackUnit:
    """One good pack of this type. Every quantity has its own channel: adding one leaves the others as they were."""

    def normal(channel: str, count: int = 1) -> F64:
        return draw(seed, f"pack.{channel}").standard_normal(count)

    group_ohm = facts.group_ohm * (1.0 + 0.03 * normal("group_ohm", facts.series))
    insulation_ohm = 20e6 * np.exp(0.4 * normal("insulation", 2))
    outer_ohm = 2e9 * np.exp(0.5 * normal("insulation_outer", 2))
    return PackUnit(
        soc=0.25 + 0.015 * float(normal("soc")[0]),
        rest_spread_v=1.0e-3 * normal("rest_spread", facts.series),
        incoming_error_v=0.1e-3 * normal("incoming_error", facts.series),
        group_ohm=group_ohm,
        busbar_ohm=80e-6 + 6e-6 * normal("busbar", facts.modules - 1),
        series_ohm=float(group_ohm.sum()) + facts.pack_ohm - facts.series * facts.group_ohm,
        temperature_c=22.0 + 0.5 * normal("temperature") + 0.4 * normal("gradient", facts.thermistors),
        precharge_ohm=50.0 * (1.0 + 0.02 * _clipped(normal("precharge"), 5.0)),
        insulation_pos_ohm=float(insulation_ohm[0]),
        insulation_neg_ohm=float(insulation_ohm[1]),
        outer_pos_ohm=float(outer_ohm[0]),
        outer_neg_ohm=float(outer_ohm[1]),
        y_farad=facts.y_farad * (1.0 + 0.06 * _clipped(normal("y_capacitance"), 5.0)),
    )


def draw_station(seed: int) -> StationUnit:
    """One good station."""
    digitizer_ohm = 10e6 * (1.0 + 0.001 * draw(seed, "station.digitizer_ohm").standard_normal(2))
    return StationUnit(
        link_farad=0.5e-3 * (1.0 + 0.01 * _clipped(draw(seed, "station.link_farad").standard_normal(1), 2.0)),
        digitizer_pos_ohm=float(digitizer_ohm[0]),
        digitizer_neg_ohm=float(digitizer_ohm[1]),
    )


def _clipped(deviate: F64, limit: float) -> float:
    """A single deviate, held within a limit that the population is sorted to."""
    return float(np.clip(deviate[0], -limit, limit))
