"""Obvious twin of the plant: modified nodal analysis of a written-out netlist, and backward Euler in small steps.

Shares nothing with the plant: contacts are 1 mOhm resistors, the stack is an ideal source with a branch current of its
own, capacitors are companion models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

NODES = ("B+", "B-", "P", "N", "LINK", "EMF")
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
    y_farad: float
    link_farad: float


def resistors(values: Values, closed: frozenset[str]) -> list[Part]:
    """The netlist's resistors with these switches closed."""
    parts = [
        ("EMF", "B+", values.series_ohm),
        ("B+", "PE", values.insulation_pos_ohm),
        ("B-", "PE", values.insulation_neg_ohm),
        ("P", "PE", values.outer_pos_ohm),
        ("N", "PE", values.outer_neg_ohm),
        ("B+", "B-", 5e6),
        ("P", "B-", 5e6),
        ("N", "B-", 5e6),
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
    }
    for name in sorted(closed):
        parts += switched[name]
    if "link_capacitor" not in closed:
        parts.append(("LINK", "N", 1e3))
    return parts


def capacitors(values: Values) -> list[Part]:
    """The netlist's capacitors."""
    return [
        ("B+", "PE", values.y_farad / 2),
        ("B-", "PE", values.y_farad / 2),
        ("P", "PE", 1e-9),
        ("N", "PE", 1e-9),
        ("LINK", "N", values.link_farad),
    ]


def steady(values: Values, closed: frozenset[str]) -> dict[str, float]:
    """Potentials against chassis long after the last event."""
    matrix, right = _stamp(resistors(values, closed), values.stack_v)
    return _named(np.linalg.solve(matrix, right).astype(np.float64))


def integrate(
    values: Values,
    start: dict[str, float],
    schedule: Sequence[tuple[float, frozenset[str]]],
    end_s: float,
    step_s: float,
) -> tuple[F64, dict[str, F64]]:
    """Potentials from the first time of the schedule to `end_s`.

    `schedule`: from when on which switches are closed; an event counts from the step that begins after it.
    """
    begin_s = schedule[0][0]
    time_s = np.linspace(begin_s, end_s, round((end_s - begin_s) / step_s) + 1)
    parts = capacitors(values)
    potentials_v = np.empty((len(time_s), len(NODES)))
    potentials_v[0] = [start[node] for node in NODES]
    begins = [int(np.searchsorted(time_s, from_s)) for from_s, _ in schedule[1:]]
    for (_, closed), first, last in zip(schedule, [0, *begins], [*begins, len(time_s) - 1], strict=True):
        matrix, source = _stamp(resistors(values, closed), values.stack_v)
        charge, _ = _stamp([(a, b, step_s / farad) for a, b, farad in parts], None)
        inverse = np.linalg.inv(matrix + charge)
        for k in range(first, last):
            stored = charge[: len(NODES), : len(NODES)] @ potentials_v[k]
            potentials_v[k + 1] = (inverse @ (source + np.append(stored, 0.0)))[: len(NODES)]
    return time_s, {node: potentials_v[:, k] for k, node in enumerate(NODES)}


def _stamp(parts: Sequence[Part], stack_v: float | None) -> tuple[F64, F64]:
    """(nodes + 1) square system; the last unknown is the source's current, absent without `stack_v`."""
    size = len(NODES) + 1
    matrix, right = np.zeros((size, size)), np.zeros(size)
    for a, b, ohm in parts:
        for node, other in ((a, b), (b, a)):
            if node == "PE":
                continue
            row = NODES.index(node)
            matrix[row, row] += 1.0 / ohm
            if other != "PE":
                matrix[row, NODES.index(other)] -= 1.0 / ohm
    if stack_v is not None:
        plus, minus = NODES.index("EMF"), NODES.index("B-")
        matrix[plus, -1] = matrix[-1, plus] = 1.0
        matrix[minus, -1] = matrix[-1, minus] = -1.0
        right[-1] = stack_v
    return matrix, right


def _named(solution: F64) -> dict[str, float]:
    return {**{node: float(solution[k]) for k, node in enumerate(NODES)}, "PE": 0.0}
