"""One simulated pack: recipe, sim world, station and store put together, for one station or both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any

from bmsctl.compose.as_built import as_built, left_off_s, unfinished
from bmsctl.compose.eol import run_eol
from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.stacking import require_no_other, run_stacking
from bmsctl.compose.station import Order
from bmsctl.compose.watches import Watches
from bmsctl.compose.worlds import SimulatedWorld, simulated_world
from bmsctl.domain.packml import Mode
from bmsctl.domain.recipe import EOL, STACKING, STATIONS, Recipe
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import Site, StationWatch
from bmsctl.errors import Refused

SIMULATED_DAY = date(2026, 1, 1)
"""The day every simulated run is on, for the recipe in effect."""
BOTH = "both"
CARRIED_S = 600.0
"""Wall time from one station to the next."""
RESUMED_AFTER_S = 60.0
"""Wall time from a station's end in the middle of a pack to its next start."""


_Run = Callable[[Site, Path, Order, StationWatch], Awaitable[Mapping[str, Any]]]
"""The run of a station for one pack."""


@dataclass
class SimResult:
    """`record` is the last one, None if no attempt was begun; `before` are those of the stations before.

    `findings` is what the observers of the simulation found wrong.
    """

    record: Mapping[str, Any] | None
    findings: list[str] = field(default_factory=list)
    interrupted: bool = False
    before: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def records(self) -> list[Mapping[str, Any]]:
        """All that were made, in order."""
        return self.before if self.record is None else [*self.before, self.record]


@dataclass(frozen=True)
class _Simulation:
    """What stays the same from station to station."""

    book: RecipeBook
    recipe: Recipe
    store: Path
    retest_cause: str | None
    replaced: tuple[str, ...]
    watch: StationWatch | None


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
    station: str = EOL,
    replaced: Sequence[str] = (),
) -> SimResult:
    """Build or test one simulated pack, or both: then it is tested if stacking has passed it.

    Args:
        station: one of `STATIONS`, or `BOTH`.
        replaced: slots of the parts that are replaced at stacking.

    Raises:
        RecipeError, ScenarioError, Refused, StoreError: as `RecipeBook.by_pack`, `simulated_world` and the stations.
    """
    book = RecipeBook(recipes)
    recipe = book.by_pack(pack, SIMULATED_DAY)
    simulation = _Simulation(book, recipe, store, retest_cause, tuple(replaced), watch)
    result, begins_s = SimResult(None), _begins_s(station, store)
    for at in STATIONS if station == BOTH else (station,):
        world = simulated_world(
            recipe, seed=seed, scenario=scenario, scenario_file=scenario_file, at=at, begins_s=begins_s
        )
        done = _run_at(at, world, simulation)
        findings = result.findings + done.findings
        result = SimResult(done.record, findings, done.interrupted, result.records)
        if done.interrupted or done.record is None or done.record["verdict"] != Verdict.PASS:
            break
        begins_s = world.wall_s + CARRIED_S
    return result


def _begins_s(station: str, store: Path) -> float:
    """Wall time since the simulated day began at which the first station does: later than what is to be resumed."""
    left_s = None if station == EOL else left_off_s(store)
    day_s = datetime.combine(SIMULATED_DAY, time.min, UTC).timestamp()
    return 0.0 if left_s is None else left_s - day_s + RESUMED_AFTER_S


def _run_at(at: str, world: SimulatedWorld, simulation: _Simulation) -> SimResult:
    """The pack at one station."""
    store, recipe = simulation.store, simulation.recipe
    run: _Run = run_eol
    replaced: tuple[str, ...] = ()
    if at == STACKING:
        require_no_other(world.pack_serial, unfinished(store))
        run, replaced = partial(run_stacking, images=simulation.book.image), simulation.replaced
    retest_cause = simulation.retest_cause
    order = Order(recipe, world.name, world.simulated, Mode.ENGINEERING, retest_cause=retest_cause, replaced=replaced)
    records = RecordMonitor(store)
    watches = Watches(simulation.watch, records)
    world.built = as_built(store, world.pack_serial, recipe.pack.modules, replaced)
    try:
        record = world.run(lambda site: run(site, store, order, watches))
    except Refused:
        if not world.interrupted:
            raise
        return SimResult(None, world.findings(), interrupted=True)
    findings = world.findings() + records.finish() + watches.failures
    return SimResult(record, findings, interrupted=world.interrupted)
