"""A plant whose voltages a test sets, and that remembers what was switched when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.plant import Element, Node


@dataclass
class FakePlant:
    """`potential_v`: against chassis, by node, constant. `log`: (t_s, what, on). `sources`: (t_s, what, value)."""

    potential_v: dict[Node, float] = field(default_factory=dict)
    log: list[tuple[float, str, bool]] = field(default_factory=list)
    sources: list[tuple[float, str, float]] = field(default_factory=list)
    tester_ohm: float = 1e6

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        self.log.append((round(t_s, 6), element.value, closed))

    def coil_supply(self, t_s: float, on: bool) -> None:
        self.log.append((round(t_s, 6), "coils", on))

    def bridge_hvil(self, t_s: float, closed: bool) -> None:
        self.log.append((round(t_s, 6), "hvil", closed))

    def hvil_closed(self, t_s: float) -> bool:
        """Whether the station has closed the loop, as it has at power-up."""
        return self._last("hvil", True)

    def cycler_current(self, t_s: float, amps: float) -> None:
        self.sources.append((round(t_s, 6), "cycler", amps))

    def tester_source(self, t_s: float, volts: float, ohm: float) -> None:
        self.sources.append((round(t_s, 6), "tester", volts))
        self.tester_ohm = ohm

    def tester_current_a(self, t_s: float) -> float:
        """What the newest tester source drives into the node as it is set."""
        volts = next((value for _, what, value in reversed(self.sources) if what == "tester"), 0.0)
        return (volts - self.voltage(t_s, Node.TESTER, Node.PE)) / self.tester_ohm

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        return self.potential_v.get(a, 0.0) - self.potential_v.get(b, 0.0)

    def waveform(self, t_s: NDArray[np.float64], a: Node, b: Node) -> NDArray[np.float64]:
        return np.full(len(t_s), self.voltage(0.0, a, b))

    def closed(self, element: Element) -> bool:
        """Whether it was switched on last."""
        return self._last(element.value, False)

    def since(self, t_s: float) -> list[tuple[float, str, bool]]:
        """The log from `t_s` on."""
        return [entry for entry in self.log if entry[0] >= t_s - 1e-6]

    def _last(self, what: str, at_first: bool) -> bool:
        return next((on for _, name, on in reversed(self.log) if name == what), at_first)
