"""An observer of the simulated station that shares no code with it: watches plant and wires, judges physics.

I1: the outer poles are above 60 V only while the safety PLC permits it, or within 5 s after.
I2: 5 s after the PLC has ceased to permit, they are below 60 V.
Also: no command that energises without the permissive having been asked for.

A pack that arrives with both poles welded is live whatever the station does; so may be one whose contactors weld, or
whose station cannot discharge. Then only commands are judged, and that the PLC proves nothing is the station's to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from bmsctl.domain.links import CanFrame
from firmware_stubs.plant import Node, Plant

SAFE_V = 60.0
SAFE_WITHIN_S = 5.0


class SafetyMonitor:
    """Collects violations in `findings`, and how long each removal of energy took in `safe_after_s`."""

    def __init__(self, plant: Plant, energising: Callable[[CanFrame], str | None]) -> None:
        """`energising` names what a frame from the station would energise, None for the others."""
        self._plant = plant
        self._energising = energising
        self._permitted = False
        self._asked = False
        self._removed_s: float | None = None
        self.findings: list[str] = []
        self.safe_after_s: list[float] = []
        self.excused = self._outer_v(asyncio.get_running_loop().time()) >= SAFE_V
        """Whether voltage at the outer poles is nobody's fault who commands."""
        plant.on_switch.append(self._look)

    def permit(self, on: bool) -> None:
        """The PLC grants or removes its permissive (its output, not what it reports)."""
        now_s = asyncio.get_running_loop().time()
        if on:
            self._removed_s = None
        elif self._permitted:
            self._removed_s = now_s
            asyncio.get_running_loop().call_later(SAFE_WITHIN_S, self._safe_in_time, now_s)
        self._permitted = on

    def asked(self, on: bool) -> None:
        """The station asks for, or gives back, the permissive."""
        self._asked = on

    def command(self, frame: CanFrame) -> None:
        """A frame left the station."""
        what = self._energising(frame)
        if what is not None and not self._asked:
            self._find(f"{what} commanded without the permissive asked for")

    def finish(self) -> list[str]:
        """Look a last time, at a station that says it is safe; all findings."""
        volts = self._outer_v(asyncio.get_running_loop().time())
        if volts >= SAFE_V and not self.excused:
            self._find(f"I2: {volts:.0f} V at the outer poles of a station that has ended its run")
        if self._removed_s is not None:
            self._note_safe(self._removed_s)
        return self.findings + [f"damage: {damage.text} at {damage.t_s:.3f} s" for damage in self._plant.ledger]

    def _look(self, t_s: float) -> None:
        if self.excused or self._permitted or (self._removed_s is not None and t_s <= self._removed_s + SAFE_WITHIN_S):
            return
        volts = self._outer_v(t_s)
        if volts >= SAFE_V:
            self._find(f"I1: {volts:.0f} V at the outer poles without permissive")

    def _safe_in_time(self, removed_s: float) -> None:
        if self.excused or removed_s != self._removed_s:
            return
        now_s = asyncio.get_running_loop().time()
        volts = self._outer_v(now_s)
        if volts >= SAFE_V:
            self._find(f"I2: {volts:.0f} V at the outer poles {SAFE_WITHIN_S:g} s after the permissive ended")
        self._note_safe(removed_s)

    def _note_safe(self, removed_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        times_s = np.linspace(removed_s, now_s, 501)
        volts = np.abs(self._plant.waveform(times_s, Node.P, Node.N))
        above = np.flatnonzero(volts >= SAFE_V)
        self.safe_after_s.append(0.0 if len(above) == 0 else float(times_s[above[-1]] - removed_s))
        self._removed_s = None

    def _outer_v(self, t_s: float) -> float:
        plant = self._plant
        return max(
            abs(plant.voltage(t_s, Node.P, Node.N)),
            abs(plant.loaded_voltage(t_s, Node.P)),
            abs(plant.loaded_voltage(t_s, Node.N)),
        )

    def _find(self, text: str) -> None:
        self.findings.append(f"{text} (at {asyncio.get_running_loop().time():.3f} s)")
