"""One pack on a bench: recipe, hil world, station and store put together."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import run_eol
from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.station import Order
from bmsctl.compose.watches import Watches
from bmsctl.domain.packml import Mode
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.world import Site, StationWatch
from bmsctl.errors import Refused
from hil.world import HilWorld


@dataclass
class HilResult:
    """`record` is None if no attempt was begun; `findings`: what the observers found wrong; `contention`: that the
    machine stalled the run, in words."""

    record: Mapping[str, Any] | None
    findings: list[str] = field(default_factory=list)
    contention: str | None = None
    interrupted: bool = False


def run_on_bench(
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    scenario: str | None,
    scenario_file: str,
    store: Path,
    retest_cause: str | None = None,
    watch: StationWatch | None = None,
) -> HilResult:
    """Test one pack at end of line on the bench in `folder`; raises as `HilWorld` and `run_eol`."""
    world = HilWorld(recipe, seed=seed, scenario=scenario, scenario_file=scenario_file, folder=folder)
    records = RecordMonitor(store)
    order = Order(recipe, world.name, world.simulated, Mode.ENGINEERING, retest_cause=retest_cause)
    watches = Watches(watch, records)

    def main(site: Site) -> Awaitable[Mapping[str, Any]]:
        return run_eol(site, store, order, watches)

    try:
        record = world.run(main)
    except Refused:
        if not world.interrupted:
            raise
        return HilResult(None, world.findings(), world.contention, interrupted=True)
    findings = world.findings() + records.finish() + watches.failures
    return HilResult(record, findings, world.contention, world.interrupted)
