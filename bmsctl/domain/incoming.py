"""Incoming data of a module as events tell it: what each value is called, and its unit."""

from __future__ import annotations

from collections.abc import Sequence

from bmsctl.domain.events import IncomingMeasured

AGE, CELL_VOLTAGE = "age", "cell_voltage"
"""Age is the value that grows by itself."""

UNITS = {AGE: "s", CELL_VOLTAGE: "V", "voltage": "V", "resistance": "Ohm", "temperature": "degC"}


def incoming_of(slot: str, age: float, cell_voltage: Sequence[float], **measured: float) -> list[IncomingMeasured]:
    """The incoming data of the module in a slot.

    Args:
        age: s since incoming inspection.
        cell_voltage: V at incoming inspection, of each cell group from the negative pole.
        measured: what a station has measured of the whole module: `voltage` V, `resistance` Ohm, `temperature` degC.
    """
    values = {AGE: (age,), CELL_VOLTAGE: tuple(cell_voltage)} | {name: (value,) for name, value in measured.items()}
    return [IncomingMeasured(slot, name, UNITS[name], known) for name, known in values.items()]
