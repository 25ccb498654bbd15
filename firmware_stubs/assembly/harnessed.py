"""What the pack's BMS sees of it while it is built: the plant, as far as harness and modules are there."""

from __future__ import annotations

import math

import numpy as np

from bmsctl.domain.ports import Relay
from firmware_stubs.assembly.build import PackUnderConstruction
from firmware_stubs.assembly.probes import Probes
from firmware_stubs.plant import Element, Node, Plant
from firmware_stubs.plant.history import History
from firmware_stubs.population import F64


class HarnessedPlant:
    """Implements BmsPlant. Without harness no cell and no temperature is seen, and the interlock loop is open."""

    def __init__(self, plant: Plant, build: PackUnderConstruction, probes: Probes) -> None:
        self._plant, self._build, self._probes = plant, build, probes
        self._hvil = History(-math.inf, probes.hvil_closed)

    def look(self, t_s: float) -> None:
        """Take in what has been plugged or unplugged by now."""
        if self._probes.hvil_closed is not self._hvil.last:
            self._hvil.append(t_s, self._probes.hvil_closed)

    def cell_voltage_v(self, t_s: float) -> F64:
        """(series,) voltages at the monitoring chips' inputs, NaN where nothing is connected.

        A module that is not the one that the plant has in its slot is at rest.
        """
        cell_v = self._plant.cell_voltage_v(t_s)
        by_slot = cell_v.reshape(self._build.drawing.modules, -1)
        for slot, own in enumerate(self._build.lot.own, 1):
            module = self._build.modules.get(slot)
            if module is None or not self._build.harness:
                by_slot[slot - 1] = np.nan
            elif module is not own:
                by_slot[slot - 1] = module.cell_v
        return cell_v

    def temperature_c(self, t_s: float) -> F64:
        """(thermistors,) true temperatures, NaN where nothing is connected."""
        celsius = self._plant.temperature_c(t_s)
        return celsius if self._build.harness else np.full_like(celsius, np.nan)

    def hvil_closed(self, t_s: float) -> bool:
        """Whether the interlock loop is closed, in the pack and in the station."""
        return self._hvil.at(t_s) and self._plant.hvil_closed(t_s)

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None:
        """As Plant."""
        self._plant.relay_command(t_s, relay, closed)

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        """As Plant."""
        self._plant.switch(t_s, element, closed)

    def bleed(self, t_s: float, cells: int) -> None:
        """As Plant."""
        self._plant.bleed(t_s, cells)

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        """As Plant."""
        return self._plant.voltage(t_s, a, b)

    def pack_current_a(self, t_s: float) -> float:
        """As Plant."""
        return self._plant.pack_current_a(t_s)

    def charge_ah(self, t_s: float) -> float:
        """As Plant."""
        return self._plant.charge_ah(t_s)

    def busbar_voltage_v(self, t_s: float) -> F64:
        """As Plant."""
        return self._plant.busbar_voltage_v(t_s)

    def insulation_ohm(self) -> tuple[float, float]:
        """As Plant."""
        return self._plant.insulation_ohm()
