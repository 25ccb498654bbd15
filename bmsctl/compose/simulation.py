"""One simulated pack: recipe, sim world, station and store put together."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import Order, run_one
from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.watches import Watches
from bmsctl.compose.worlds import open_world
from bmsctl.domain.packml import Mode
from bmsctl.domain.world import Site, StationWatch
from bmsctl.errors import Refused

SIMULATED_DAY = date(2026, 1, 1)
"""The day every simulated run is on, for the recipe in effect."""


@dataclass
class SimResult:
    """`record` is None if no attempt was begun; `findings` is what the observers of the simulation found wrong."""

    record: Mapping[str, Any] | None
    findings: list[str] = field(default_factory=list)
    interrupted: bool = False


def simulate_one(
    *,
    pack: str,
    recipes: Path | None,
    seed: int,
    scenario: str | None,
    scenario_file: str,
    store: Path,
    retest_cause: str | None,
    watch: StationWatch | None = None,
) -> SimResult:
    """Test one simulated pack at end of line; raises as `RecipeBook.by_pack`, `open_world` and `run_one`."""
    recipe = RecipeBook(recipes).by_pack(pack, SIMULATED_DAY)
    world = open_world("sim", recipe, seed=seed, scenario=scenario, scenario_file=scenario_file)
    records = RecordMonitor(store)
    order = Order(recipe, world.name, world.simulated, Mode.ENGINEERING, retest_cause=retest_cause)

    watches = Watches(watch, records)

    def main(site: Site) -> Awaitable[Mapping[str, Any]]:
        return run_one(site, store, order, watches)

    try:
        record = world.run(main)
    except Refused:
        if not world.interrupted:
            raise
        return SimResult(None, world.findings(), interrupted=True)
    findings = world.findings() + records.finish() + watches.failures
    return SimResult(record, findings, interrupted=world.interrupted)
