"""A plant whose voltages a test sets, and that remembers what was switched when."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware_stubs.plant import Element, Node


@dataclass
class FakePlant:
    """`potential_v`: against chassis, by node, constant. `log`: (t_s, what, on)."""

    potential_v: dict[Node, float] = field(default_factory=dict)
    log: list[tuple[float, str, bool]] = field(default_factory=list)

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        self.log.append((round(t_s, 6), element.value, closed))

    def coil_supply(self, t_s: float, on: bool) -> None:
        self.log.append((round(t_s, 6), "coils", on))

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        return self.potential_v.get(a, 0.0) - self.potential_v.get(b, 0.0)

    def waveform(self, t_s: NDArray[np.float64], a: Node, b: Node) -> NDArray[np.float64]:
        return np.full(len(t_s), self.voltage(0.0, a, b))

    def closed(self, element: Element) -> bool:
        """Whether it was switched on last."""
        states = [on for _, what, on in self.log if what == element.value]
        return bool(states) and states[-1]

    def since(self, t_s: float) -> list[tuple[float, str, bool]]:
        """The log from `t_s` on."""
        return [entry for entry in self.log if entry[0] >= t_s - 1e-6]
