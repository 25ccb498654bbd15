"""Obvious twins of the plant: a written-out netlist, cells in small steps, and a chip's sense wires by nodal analysis.

They share nothing with the plant: contacts are 1 mOhm resistors, stack and tester are ideal sources with branch
currents of their own, capacitors are companion models (backward Euler), cells are advanced by explicit Euler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

NODES = ("B+", "B-", "P", "N", "LINK", "CYCLER", "TESTER", "EMF", "GENERATOR")
SOURCES = (("EMF", "B-"), ("GENERATOR", "PE"))
CONTACT_OHM = 1e-3

Part = tuple[str, str, float]


@dataclass(frozen=True)
class Values:
    """Component values of pack and station."""

    stack_v: float
    series_ohm: float
    precharge_ohm: float
    insulation_pos_ohm: float
    insulation_neg_ohm: float
    outer_pos_ohm: float
    outer_neg_ohm: float
    meter_pos_ohm: float
    meter_neg_ohm: float
    r0_minus_ohm: float
    r0_plus_ohm: float
    reference_ohm: float
    y_farad: float
    link_farad: float


@dataclass(frozen=True)
class Setting:
    """Which switches are closed, and what the sources do."""

    closed: frozenset[str]
    cycler_a: float = 0.0
    tester_v: float = 0.0
    tester_ohm: float = 1e6


def resistors(values: Values, setting: Setting) -> list[Part]:
    """The netlist's resistors."""
    closed = setting.closed
    parts = [
        ("EMF", "B+", values.series_ohm),
        ("B+", "PE", values.insulation_pos_ohm),
        ("B-", "PE", values.insulation_neg_ohm),
        ("P", "PE", values.outer_pos_ohm),
        ("N", "PE", values.outer_neg_ohm),
        ("B+", "B-", 5e6),
        ("GENERATOR", "TESTER", setting.tester_ohm),
    ]
    switched: dict[str, list[Part]] = {
        "main_plus": [("B+", "P", CONTACT_OHM)],
        "main_minus": [("B-", "N", CONTACT_OHM)],
        "precharge": [("B+", "P", values.precharge_ohm)],
        "load": [("P", "N", 1e3)],
        "discharge": [("P", "N", 1e3)],
        "digitizer": [("P", "PE", values.meter_pos_ohm), ("N", "PE", values.meter_neg_ohm)],
        "pe_proof": [("P", "PE", 100e3), ("N", "PE", 100e3)],
        "plc_meter": [("P", "N", 200e3)],
        "link_capacitor": [("P", "LINK", CONTACT_OHM)],
        "dividers": [("P", "B-", 5e6), ("N", "B-", 5e6)],
        "cycler": [("P", "CYCLER", CONTACT_OHM)],
        "tester_plus": [("P", "TESTER", CONTACT_OHM)],
        "tester_minus": [("N", "TESTER", CONTACT_OHM)],
        "r0_minus": [("N", "PE", values.r0_minus_ohm)],
        "r0_plus": [("P", "PE", values.r0_plus_ohm)],
        "reference": [("N", "PE", values.reference_ohm)],
    }
    behind_digitizer = {"r0_minus", "r0_plus", "reference"}
    for name in sorted(closed):
        if name not in behind_digitizer or "digitizer" in closed:
            parts += switched[name]
    if "link_capacitor" not in closed:
        parts.append(("LINK", "N", 1e3))
    if "cycler" not in closed:
        parts.append(("CYCLER", "N", 10e3))
    return parts


def capacitors(values: Values) -> list[tuple[str, str, float, str | None]]:
    """The netlist's capacitors, each with the switch that must be closed for it to be there."""
    return [
        ("B+", "PE", values.y_farad / 2 - 0.1e-6, None),
        ("B-", "PE", values.y_farad / 2 - 0.1e-6, None),
        ("P", "PE", 0.1e-6, None),
        ("N", "PE", 0.1e-6, None),
        ("LINK", "N", values.link_farad, None),
        ("CYCLER", "N", 100e-6, None),
        ("CYCLER", "PE", 0.47e-6, "cycler"),
        ("N", "PE", 0.47e-6, "cycler"),
        ("TESTER", "PE", 1e-9, None),
    ]


def steady(values: Values, setting: Setting) -> dict[str, float]:
    """Potentials against chassis long after the last event."""
    matrix = _stamped(resistors(values, setting))
    right = _driven(setting, values.stack_v)
    return _named(np.linalg.solve(matrix, right).astype(np.float64))


def integrate(
    values: Values,
    start: dict[str, float],
    schedule: Sequence[tuple[float, Setting]],
    end_s: float,
    step_s: float,
) -> tuple[F64, dict[str, F64]]:
    """Potentials from the first time of the schedule to `end_s`.

    `schedule`: settings from when on; an event counts from the step that begins after it.
    """
    begin_s = schedule[0][0]
    time_s = np.linspace(begin_s, end_s, round((end_s - begin_s) / step_s) + 1)
    parts = capacitors(values)
    across = _incidence([(a, b) for a, b, _, _ in parts])
    potentials_v = np.empty((len(time_s), len(NODES)))
    potentials_v[0] = [start[node] for node in NODES]
    begins = [int(np.searchsorted(time_s, from_s)) for from_s, _ in schedule[1:]]
    for (_, setting), first, last in zip(schedule, [0, *begins], [*begins, len(time_s) - 1], strict=True):
        there = np.array([switch is None or switch in setting.closed for *_, switch in parts])
        siemens = np.array([farad / step_s for _, _, farad, _ in parts]) * there
        companion = np.zeros((len(NODES) + len(SOURCES),) * 2)
        companion[: len(NODES), : len(NODES)] = across.T @ (siemens[:, None] * across)
        inverse = np.linalg.inv(_stamped(resistors(values, setting)) + companion)
        constant = inverse @ _driven(setting, values.stack_v)
        memory = inverse[:, : len(NODES)] @ (across.T * siemens)
        held_v = across @ potentials_v[first]
        if first and "cycler" not in schedule[begins.index(first)][1].closed:
            held_v[[switch == "cycler" for *_, switch in parts]] = 0.0
        for k in range(first, last):
            potentials_v[k + 1] = (constant + memory @ held_v)[: len(NODES)]
            held_v = across @ potentials_v[k + 1]
    return time_s, {node: potentials_v[:, k] for k, node in enumerate(NODES)}


def cell_emf(
    ocv: Callable[[F64], F64],
    soc: F64,
    capacity_ah: F64,
    elements: Sequence[tuple[float, F64]],
    schedule: Sequence[tuple[float, float]],
    end_s: float,
    step_s: float,
) -> tuple[F64, F64]:
    """Voltages behind the ohmic resistance at (n,) times, (n, series).

    `elements`: time constant and (series,) resistance of each RC element. `schedule`: charge current from when on.
    """
    time_s = np.linspace(schedule[0][0], end_s, round((end_s - schedule[0][0]) / step_s) + 1)
    polarised_v = [np.zeros(len(soc)) for _ in elements]
    emf_v = np.empty((len(time_s), len(soc)))
    for k, now_s in enumerate(time_s):
        emf_v[k] = ocv(soc) + sum(polarised_v)
        current_a = next(amps for from_s, amps in reversed(schedule) if from_s <= now_s + step_s / 2)
        soc = soc + current_a * step_s / 3600.0 / capacity_ah
        polarised_v = [
            volts + step_s / tau_s * (current_a * ohm - volts)
            for volts, (tau_s, ohm) in zip(polarised_v, elements, strict=True)
        ]
    return time_s, emf_v


def chip_inputs(cell_v: F64, wire_ohm: F64, bleeding: Sequence[bool], bleed_ohm: float) -> F64:
    """(cells,) voltages at one chip's inputs, by nodal analysis of its cells + 1 sense wires."""
    tap_v = np.concatenate([[0.0], np.cumsum(cell_v)])
    siemens = np.diag(1.0 / wire_ohm[: len(tap_v)])
    source_a = tap_v / wire_ohm[: len(tap_v)]
    for cell, on in enumerate(bleeding):
        if on:
            siemens[cell : cell + 2, cell : cell + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / bleed_ohm
    return np.diff(np.linalg.solve(siemens, source_a)).astype(np.float64)


def _incidence(pairs: Sequence[tuple[str, str]]) -> F64:
    """(parts, nodes) that takes potentials to voltages across parts."""
    across = np.zeros((len(pairs), len(NODES)))
    for row, (a, b) in enumerate(pairs):
        for node, sign in ((a, 1.0), (b, -1.0)):
            if node != "PE":
                across[row, NODES.index(node)] += sign
    return across


def _stamped(parts: Sequence[Part]) -> F64:
    """Square system of nodes and then the sources' branch currents."""
    size = len(NODES) + len(SOURCES)
    matrix = np.zeros((size, size))
    across = _incidence([(a, b) for a, b, _ in parts])
    matrix[: len(NODES), : len(NODES)] = across.T @ (across / np.array([[ohm] for *_, ohm in parts]))
    branch = _incidence(SOURCES)
    matrix[: len(NODES), len(NODES) :] = branch.T
    matrix[len(NODES) :, : len(NODES)] = branch
    return matrix


def _driven(setting: Setting, stack_v: float) -> F64:
    """Right side of the system."""
    right = np.zeros(len(NODES) + len(SOURCES))
    right[NODES.index("CYCLER")] += setting.cycler_a
    right[NODES.index("N")] -= setting.cycler_a
    right[len(NODES) :] = stack_v, setting.tester_v
    return right


def _named(solution: F64) -> dict[str, float]:
    return {**{node: float(solution[k]) for k, node in enumerate(NODES)}, "PE": 0.0}
