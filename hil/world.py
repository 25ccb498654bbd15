"""The hil world: a station behind real ports, with the stubs of a bench at their far ends, in real time.

The bench must be up. Its folder is BMSCTL_BENCH, or the user's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmsctl.compose.seed_keys import seed_key
from bmsctl.compose.station_file import read_station
from bmsctl.compose.wired import WiredSite, WiredWorld, open_site
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.world import StationWatch
from bmsctl.errors import Refused
from firmware_stubs.defects import condition_of
from firmware_stubs.people import SimMes, SimOperator
from firmware_stubs.world import eol_scenario
from hil.control import BenchError, Control
from hil.layout import CONTROL, STATION_FILE, default_folder
from hil.stall import NOTABLE_S, StallWatch


class BenchWatch(StationWatch):
    """Tells the bench which step has begun, so that faults start with it."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def step_started(self, step: str, index: int, total: int) -> None:
        self._control.tell("step_started", step=step)


class Delivered:
    """The modules of the pack on the bench, as the bench told; implements DeliveredPlant."""

    def __init__(self, incoming: Sequence[tuple[int, float, Sequence[float]]]) -> None:
        self._incoming = incoming

    def incoming_modules(self) -> Sequence[tuple[int, float, Sequence[float]]]:
        """Slot, age in seconds, and rest voltages in volts of each."""
        return self._incoming


class HilWorld(WiredWorld):
    """One station on a bench; implements World."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int,
        scenario: str | None,
        scenario_file: str = "",
        station: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """`folder`: of the bench.

        Raises:
            ScenarioError: the scenario is not understood.
            Refused: a station file is given; the bench has its own.
        """
        if station is not None:
            raise Refused(f"{station}: a bench has a station file of its own; leave this one away")
        condition_of(eol_scenario(scenario, scenario_file).defects, recipe)
        self._order = {
            "recipe": recipe.to_json(),
            "seed": seed,
            "scenario": scenario,
            "scenario_file": scenario_file,
        }
        self._seed = seed
        self._bench = folder or default_folder()
        self._found: list[str] = []
        self.stalls: dict[str, float] = {}
        super().__init__("hil", True, self._mounted)

    def findings(self) -> list[str]:
        return super().findings() + self._found

    @property
    def contention(self) -> str | None:
        """That the machine stalled a process long enough to disturb the run, in words; None if it did not."""
        stalled = [
            f"{process} for {longest_s:.2f} s" for process, longest_s in self.stalls.items() if longest_s > NOTABLE_S
        ]
        return f"this machine was too busy and stalled the {' and the '.join(stalled)}" if stalled else None

    @contextlib.contextmanager
    def _mounted(self) -> Iterator[WiredSite]:
        """A pack on the bench, and the station's ports open, for one run."""
        control, facts = self._mount()
        with control:
            station = read_station(self._bench / STATION_FILE)
            try:
                with open_site(
                    station,
                    operator=SimOperator(self._seed),
                    mes=self._mes(facts),
                    seed_key=seed_key(station.seed_key),
                    watch=BenchWatch(control),
                    tokens=self._bench / "run_tokens",
                ) as site:
                    stalls = StallWatch()
                    try:
                        yield site
                    finally:
                        stalls.stop()
                        self.stalls["station"] = stalls.longest_s
            finally:
                self._finish(control)

    def _mount(self) -> tuple[Control, Mapping[str, Any]]:
        """Put the pack on the bench as soon as the one before has left; the connection that owns it, and its facts."""
        while True:
            control = Control(self._bench / CONTROL)
            try:
                facts: Mapping[str, Any] = control.ask("mount", **self._order)
                if not facts.get("busy"):
                    return control, facts
                control.await_end()
            except BaseException:
                control.close()
                raise
            control.close()

    def _mes(self, facts: Mapping[str, Any]) -> SimMes:
        return SimMes(Delivered(facts["incoming"]), facts["module_part_number"], facts["pack_serial"], self._seed)

    def _finish(self, control: Control) -> None:
        try:
            outcome = control.ask("finish")
        except BenchError as error:
            self._found.append(str(error))
            return
        self._found += outcome["findings"]
        self.stalls["bench"] = outcome["stall_s"]
