"""What every station that packs come to has in common: made safe first, a label, an attempt opened, its record."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bmsctl.compose.owner import owner_at_work
from bmsctl.compose.software import software
from bmsctl.compose.watches import Watches
from bmsctl.domain.attempts import Attempt, may_start
from bmsctl.domain.events import AttemptClosed, AttemptOpened
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import Clock
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.packml import Event, Mode, State
from bmsctl.domain.ports import Scanner
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import Site, StationWatch
from bmsctl.errors import Refused
from bmsctl.stations.job import Job
from bmsctl.stations.run import Run, RunDevices
from bmsctl.stations.safe import SafetyAction
from bmsctl.stations.sequencer import Sequencer
from bmsctl.stations.step import F, Step
from bmsctl.store.journal import Journal
from bmsctl.store.run_journal import RunJournal

SCAN_WITHIN = Second(30.0)
LOCK_WITHIN = Second(5.0)
"""How long the manufacturing execution system may take to say whether a pack may start."""
UNPROVED = (
    "the outer poles could not be proved below 60 V before docking: do not touch pack or station, call the "
    "electrician; suspect welded contactors or the discharge"
)


@dataclass(frozen=True)
class Order:
    """What to do: the recipe, and how this run came about. `replaced`: slots of the parts that a rework replaces."""

    recipe: Recipe
    world: str
    simulated: bool
    mode: Mode
    vehicle: str | None = None
    vin: str | None = None
    operator: str | None = None
    retest_cause: str | None = None
    replaced: tuple[str, ...] = ()


def utc_text(clock: Clock) -> str:
    """Wall time as records carry it: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(int(clock.utc().unix_s), UTC).isoformat().replace("+00:00", "Z")


class StationDevices(RunDevices, Protocol):
    """What a station needs of its devices before a run, and in it."""

    @property
    def scanner(self) -> Scanner: ...


D = TypeVar("D", bound=StationDevices)


class PackStation(ABC, Generic[D, F]):
    """One station: its sequencer on a site, and the journal it writes to."""

    name: ClassVar[str]
    """As the step catalogue calls it."""
    steps: Sequence[Step[D, F]]
    """Those it can run; which of them it does, and in which order, the recipe says."""
    leased: ClassVar[Sequence[str]]
    """Devices whose leases a run takes, in this order."""
    instruments: ClassVar[Sequence[str]]
    """Those of them that must say first who they are."""

    def __init__(
        self,
        site: Site,
        journal: Journal,
        watch: StationWatch | None,
        pack: PackSpec,
        devices: D,
        make_safe: Callable[[LeaseBook, Callable[[], float]], SafetyAction],
    ) -> None:
        """`pack`: the type it is for. `make_safe`: its safety action, of its leases and its clock."""
        self._site = site
        self._pack = pack
        self._journal = journal
        self._watch = Watches(watch, site.watch)
        self._now = asyncio.get_running_loop().time
        self._devices = devices
        self._leases = LeaseBook(self._now)
        self.sequencer = Sequencer(devices.plc, self._leases, make_safe(self._leases, self._now), self._now)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make safe and prove it, see to what a crash left open, then be ready for packs.

        A station that cannot be proved safe runs nothing, but puts on record what stands on it.

        Raises:
            Refused: it was aborted or stopped before it was ready.
        """
        async with owner_at_work(self.sequencer):
            await self.sequencer.command(Event.RESET)
            await self.sequencer.until(State.IDLE, State.ABORTED, State.STOPPED)
            self._require_idle()
            await self._recover()
            yield

    @abstractmethod
    async def _recover(self) -> None:
        """See to attempts that an earlier process left open."""

    @abstractmethod
    async def test(self, order: Order) -> Mapping[str, Any]:
        """Run the steps on the pack whose label is scanned next; its record.

        Raises:
            Refused: the label, an earlier attempt, another station, the safety chain or an abort forbids it, or the
                station was put together for another pack type.
        """

    def _require_pack(self, recipe: Recipe) -> None:
        if recipe.pack != self._pack:
            raise Refused(f"this station was put together for {self._pack.id} packs; start it for {recipe.id}")

    def _require_idle(self) -> None:
        if self.sequencer.proved and self.sequencer.state is not State.IDLE:
            raise Refused(f"no pack was started: {self.sequencer.why}")

    def _require_ready(self) -> None:
        """Refuse while the station is not idle or, proved safe, its safety chain is open."""
        self._require_idle()
        if self.sequencer.proved:
            self._require_safety_chain()

    def _require_safety_chain(self) -> None:
        status = self._devices.plc.status()
        if status is None:
            raise Refused("plc: no status yet; check its supply and the CAN cable")
        if status.tripped or not (status.guard_closed and status.estop_released):
            raise Refused("plc: the safety chain is open; close the guard, release the e-stop, reset the PLC")

    async def _scan(self) -> str:
        """The label; given up when the station changes its state."""
        lease = self._leases.grant("scanner", SCAN_WITHIN)
        scan = asyncio.get_running_loop().create_task(self._devices.scanner.scan(lease, SCAN_WITHIN))
        state = self.sequencer.state
        left = asyncio.get_running_loop().create_task(self.sequencer.until(*set(State) - {state}))
        left.add_done_callback(lambda _: scan.cancel())
        try:
            return await scan
        except asyncio.CancelledError:
            self._require_idle()
            raise
        finally:
            left.cancel()
            self._leases.release(lease)

    def _earlier(self, serial: str, retest_cause: str | None) -> list[Attempt]:
        """Attempts at the pack before this one; raises Refused if one of them forbids another."""
        earlier = self._journal.attempts(serial, self.name)
        may_start(earlier, retest_cause)
        return earlier

    def _open(self, order: Order, serial: str, attempt: int) -> RunJournal:
        """The log of a new attempt, which counts from 1."""
        opened = AttemptOpened(
            record_id=self._site.record_id(serial, self.name, str(attempt)),
            pack_serial=serial,
            pack=order.recipe.pack.id,
            vehicle=order.vehicle,
            station=self.name,
            world=order.world,
            simulated=order.simulated,
            mode=order.mode.value,
            recipe=order.recipe.to_json(),
            software=software(),
            operator=order.operator,
            attempt=attempt,
            retest_cause=order.retest_cause,
            started_at=utc_text(self._site.clock),
        )
        return self._journal.open_run(opened)

    def _run(
        self,
        recipe: Recipe,
        log: RunJournal,
        facts: F,
        token: Callable[[], int],
        begun_s: float | None = None,
    ) -> Run[D, F]:
        """The run of an attempt, or what its log leaves of it; further arguments as those of `Run`."""
        return Run(
            steps=self.steps,
            recipe=recipe.steps(self.name),
            pack=recipe.pack,
            facts=facts,
            token=token,
            record_id=log.record_id,
            devices=self._devices,
            leases=self._leases,
            log=log,
            watch=self._watch,
            now=self._now,
            utc_text=lambda: utc_text(self._site.clock),
            serial_numbers=self._site.serial_numbers,
            leased=self.leased,
            instruments=self.instruments,
            begun=log.events,
            begun_s=begun_s,
        )

    async def _outcome(self, log: RunJournal, job: Job) -> Mapping[str, Any]:
        """The record of a job that has run to its end, or was not let begin."""
        if not self.sequencer.proved:
            return await self._not_started(log, Verdict.INVALID, UNPROVED)
        try:
            outcome = await self.sequencer.start(job)
        except Refused as error:
            return await self._not_started(log, Verdict.ABORTED, str(error))
        record: Mapping[str, Any] = await outcome
        return record

    async def _not_started(self, log: RunJournal, verdict: Verdict, reason: str) -> Mapping[str, Any]:
        """The record of an attempt that ended before it began."""
        record = await log.close(AttemptClosed(verdict, reason, "hold", utc_text(self._site.clock), crash=False))
        self._watch.verdict_shown(record["record_id"], verdict, record["events"]["head_sha256"])
        return record


S = TypeVar("S", bound=PackStation[Any, Any])


async def run_station(
    site: Site, store: Path, order: Order, make: Callable[[Journal], S], ready: Callable[[S], None] | None = None
) -> Mapping[str, Any]:
    """Open the store, run a station for one pack, close the store; the record.

    Args:
        make: puts the station together.
        ready: called with the station before it starts.

    Raises:
        StoreError, Refused, StepInvalid: as the station.
    """
    journal = Journal.open(store, site.clock)
    try:
        station = make(journal)
        if ready is not None:
            ready(station)
        site.on_interrupt(lambda signal: station.sequencer.abort(f"interrupted by {signal}"))
        async with station.running():
            return await station.test(order)
    finally:
        journal.close()
