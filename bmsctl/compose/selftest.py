"""A station that tests itself: instruments, zero, safe stop and dead-man; the record lies beside those of the packs.

The record's `pack` is "none" and its serial is the station's name, so that `records list` and `records show` find it
like any other, and the newest one before a pack's attempt says under which safety performance that pack was tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import devices_of
from bmsctl.compose.owner import owner_at_work
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.software import software
from bmsctl.compose.station import utc_text
from bmsctl.compose.watches import Watches
from bmsctl.compose.worlds import open_world
from bmsctl.domain.events import AttemptClosed, AttemptOpened
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.packml import Event, Mode, State
from bmsctl.domain.recipe import SELFTEST, Recipe
from bmsctl.domain.selftest_recipe import compile_selftest
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import Site, StationWatch, World
from bmsctl.stations.eol.context import RunFacts
from bmsctl.stations.eol.devices import LEASED, Devices
from bmsctl.stations.eol.safe import MakeSafe
from bmsctl.stations.run import Run
from bmsctl.stations.selftest import steps
from bmsctl.stations.sequencer import Sequencer
from bmsctl.store.journal import Journal
from bmsctl.store.recovery import close_crashed
from bmsctl.store.run_journal import RunJournal

RECIPE_FILE = "selftest.toml"
NOT_PROVED = (
    "nothing was tested: the outer poles could not be proved below 60 V; "
    "do not touch pack or station, call the electrician"
)


@dataclass
class SelftestResult:
    """`record` of the self-test; `findings`: what observers of the world found wrong."""

    record: Mapping[str, Any]
    findings: list[str] = field(default_factory=list)
    interrupted: bool = False


def selftest_in(
    name: str, *, station: Path | None, recipes: Path | None, store: Path, pack: str, watch: StationWatch | None
) -> SelftestResult:
    """Test the station of a world.

    Args:
        pack: a pack type the world is set up for; a simulated one stands on the station, asleep.

    Raises:
        RecipeError, ScenarioError, StationFileError: a file is wrong, or the world cannot take it.
        Refused, StoreError, DeviceError: no such world, or store or station cannot be opened.
    """
    book = RecipeBook(recipes)
    recipe = compile_selftest(RECIPE_FILE, book.read)
    world = open_world(name, book.by_pack(pack), seed=0, scenario=None, station=station)
    return run_in(world, recipe, store, watch)


def run_in(world: World, recipe: Recipe, store: Path, watch: StationWatch | None) -> SelftestResult:
    """Test the station of an opened world; raises as `selftest`."""

    def main(site: Site) -> Awaitable[Mapping[str, Any]]:
        return selftest(site, store, recipe, world, watch)

    record = world.run(main)
    return SelftestResult(record, world.findings(), world.interrupted)


async def selftest(
    site: Site, store: Path, recipe: Recipe, world: World, watch: StationWatch | None
) -> Mapping[str, Any]:
    """Make the station safe, test it, make it safe again; the record.

    Raises:
        StoreError: the store cannot be used.
        StepInvalid: the owner task has ended.
    """
    journal = Journal.open(store, site.clock)
    try:
        await close_crashed(journal, utc_text(site.clock), SELFTEST)
        station = _Station(site, journal, world, watch)
        async with owner_at_work(station.sequencer):
            return await station.test(recipe)
    finally:
        journal.close()


class _Station:
    """Devices and owner task of the station under test."""

    def __init__(self, site: Site, journal: Journal, world: World, watch: StationWatch | None) -> None:
        self._site, self._journal, self._world = site, journal, world
        self._watch = Watches(watch, site.watch)
        self._now = asyncio.get_running_loop().time
        self._devices = devices_of(site)
        self._leases = LeaseBook(self._now)
        make_safe = MakeSafe(self._devices, self._leases, self._now)
        self.sequencer = Sequencer(self._devices.plc, self._leases, make_safe, self._now)
        site.on_interrupt(lambda signal: self.sequencer.abort(f"interrupted by {signal}"))

    async def test(self, recipe: Recipe) -> Mapping[str, Any]:
        """Reset and run; what kept the station from running is on record, too."""
        opened = self._opened(recipe)
        log = self._journal.open_run(opened)
        await self.sequencer.command(Event.RESET)
        await self.sequencer.until(State.IDLE, State.ABORTED, State.STOPPED)
        if self.sequencer.state is not State.IDLE:
            return await self._not_started(log)
        record: Mapping[str, Any] = await (await self.sequencer.start(self._run(recipe, opened.record_id, log)))
        return record

    async def _not_started(self, log: RunJournal) -> Mapping[str, Any]:
        proved = self.sequencer.proved
        verdict = Verdict.ABORTED if proved else Verdict.INVALID
        reason = self.sequencer.why if proved else NOT_PROVED
        return await log.close(AttemptClosed(verdict, reason, "hold", utc_text(self._site.clock), crash=False))

    def _run(self, recipe: Recipe, record_id: str, log: RunJournal) -> Run[Devices, RunFacts]:
        def token(step: str) -> int:
            return self._site.run_token(f"{record_id}/{step}")

        return Run(
            steps=steps(self.sequencer, token, self._site.serial_numbers),
            recipe=recipe.steps(SELFTEST),
            pack=recipe.pack,
            facts=RunFacts(self._site.name),
            token=lambda: token("run"),
            record_id=record_id,
            devices=self._devices,
            leases=self._leases,
            log=log,
            watch=self._watch,
            now=self._now,
            utc_text=lambda: utc_text(self._site.clock),
            serial_numbers=self._site.serial_numbers,
            leased=LEASED,
            instruments=(),
        )

    def _opened(self, recipe: Recipe) -> AttemptOpened:
        attempt = len(self._journal.attempts(self._site.name, SELFTEST)) + 1
        return AttemptOpened(
            record_id=self._site.record_id(self._site.name, SELFTEST, str(attempt)),
            pack_serial=self._site.name,
            pack=recipe.pack.id,
            vehicle=None,
            station=SELFTEST,
            world=self._world.name,
            simulated=self._world.simulated,
            mode=Mode.MAINTENANCE.value,
            recipe=recipe.to_json(),
            software=software(),
            operator=None,
            attempt=attempt,
            retest_cause=None,
            started_at=utc_text(self._site.clock),
        )
