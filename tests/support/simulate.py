"""One simulated end-of-line run with every observer on; the way all scenario tests run a station."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import EolStation, run_eol
from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.station import Order
from bmsctl.domain.packml import Mode
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.world import Site
from firmware_stubs.world import SimSite, SimWorld

RECIPE: Recipe = RecipeBook(None).by_pack("AS52")

Disturb = Callable[[SimSite, EolStation], None]


class Simulation:
    """Runs one pack in a store and keeps the world for inspection; fails on any broken invariant."""

    def __init__(self, store: Path, *, seed: int, scenario: str | None = None, retest: str | None = None) -> None:
        self.world = SimWorld(RECIPE, seed=seed, scenario=scenario, scenario_file="test")
        self.store = store
        self.order = Order(RECIPE, self.world.name, self.world.simulated, Mode.ENGINEERING, retest_cause=retest)
        self.records = RecordMonitor(store)

    def run(self, disturb: Disturb | None = None) -> Mapping[str, Any]:
        """The record; `disturb` is called once the station exists, before it is reset."""

        def main(site: Site) -> Awaitable[Mapping[str, Any]]:
            assert isinstance(site, SimSite)
            ready = None if disturb is None else lambda station: disturb(site, station)
            return run_eol(site, self.store, self.order, self.records, ready)

        record = self.world.run(main)
        findings = self.world.findings() + self.records.finish()
        assert findings == []
        return record


def defect(kind: str, **parameters: object) -> str:
    """A scenario with one defect."""
    lines = [f"{name} = {_toml(value)}" for name, value in parameters.items()]
    return "\n".join(["[[defect]]", f'kind = "{kind}"', *lines, ""])


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def first_not_pass(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and verdict of the first step of the record that is not PASS."""
    return next(((s["name"], s["verdict"]) for s in record["steps"] if s["verdict"] != "PASS"), None)
