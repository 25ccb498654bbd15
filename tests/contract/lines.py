"""A world whose stacking station has real serial lines: its instruments' stubs sit on pseudo-terminals, in real time.

One process and one loop serve both ends, so that a test reaches what it disturbs. The tightening controller may be
behind TCP, as in a plant. CAN is in memory: what is on it, the end-of-line contracts hold to real buses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from bmsctl.compose.station_file import StationFile
from bmsctl.compose.wired import WiredSite, WiredWorld
from bmsctl.domain.recipe import Recipe
from bmsctl.drivers.links.clock import SystemClock
from bmsctl.drivers.links.serial_link import PyserialLink
from bmsctl.protocols import scpi
from firmware_stubs.defects import condition_of
from firmware_stubs.faults import SCPI_DEVICES
from firmware_stubs.ports import STACKING_ECUS, STACKING_SERIAL, DisturbedSerial
from firmware_stubs.sim.wires import SimWires
from firmware_stubs.stacking_wiring import StackingWiring
from firmware_stubs.world import eol_scenario
from hil.bench_file import BAUD
from hil.stall import StallWatch
from hil.stubs.ptys import Pty
from hil.stubs.serial_end import SerialEnd
from tests.contract.tcp_end import TcpEnd

BY_LINES = frozenset({*SCPI_DEVICES, "battery_tester"})
"""Instruments whose telegrams are lines of text."""


class LineWires(SimWires):
    """All wires of a stacking station from the devices' side: lines are real ones. `urls`: of the station's ends."""

    def __init__(self, ptys: Mapping[str, Pty], over_tcp: frozenset[str]) -> None:
        super().__init__(STACKING_ECUS, ())
        self._ends: dict[str, SerialEnd | TcpEnd] = {}
        self.urls: dict[str, str] = {}
        for device, pty in ptys.items():
            tap = partial(self._tap_bytes, device)
            if device in over_tcp:
                end = self._ends[device] = TcpEnd(tap)
                self.urls[device] = end.url
            else:
                self._ends[device] = SerialEnd(pty, tap, scpi.TERMINATOR if device in BY_LINES else None)
                self.urls[device] = str(pty.path)

    def instrument(self, device: str) -> DisturbedSerial:
        return self._ends[device]

    def unplug(self, device: str, on: bool) -> None:
        self._ends[device].unplug(on)

    def close(self) -> None:
        """No stub sends or hears anything on a line any more."""
        for end in self._ends.values():
            end.close()


class LineSite(WiredSite):
    """A stacking station's surroundings. `wiring`: what is at the far end of its wires."""

    wiring: StackingWiring


class LineWorld(WiredWorld):
    """One stacking station on pseudo-terminals; implements World. `stalls`: of its loop, after `run`."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int,
        scenario: str | None,
        ptys: Mapping[str, Pty],
        over_tcp: frozenset[str],
        tokens: Path,
    ) -> None:
        """`over_tcp`: devices that are behind TCP; `tokens`: where used run tokens are kept."""
        self._recipe, self._seed = recipe, seed
        self._condition = condition_of(eol_scenario(scenario, "contract").defects, recipe)
        self._ptys, self._over_tcp = ptys, over_tcp
        self._tokens = tokens
        self._found: list[str] = []
        self.stalls: dict[str, float] = {}
        super().__init__("lines", True, self._wired)

    def findings(self) -> list[str]:
        return super().findings() + self._found

    @contextlib.contextmanager
    def _wired(self) -> Iterator[WiredSite]:
        wires = LineWires(self._ptys, self._over_tcp)
        wiring = StackingWiring(self._recipe, self._condition, self._seed, wires)
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as opened:
            opened.callback(wires.close)
            lines = {}
            for device in STACKING_SERIAL:
                lines[device] = link = PyserialLink(device, wires.urls[device], BAUD, loop)
                opened.callback(link.close)
            site = LineSite(
                StationFile("lines", "stacking", (), {}, "demo"),
                SystemClock(),
                {device: wires.bus(device).station for device in STACKING_ECUS},
                lines,
                operator=wiring.operator,
                mes=wiring.mes,
                seed_key=wiring.seed_key,
                tokens=self._tokens,
            )
            site.wiring = wiring
            stalls = StallWatch()
            try:
                yield site
            finally:
                stalls.stop()
                self.stalls["station"] = stalls.longest_s
                self._found += wiring.monitor.finish()
