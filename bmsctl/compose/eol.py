"""An end-of-line station put together in some world, and one pack tested on it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bmsctl.compose.owner import owner_at_work
from bmsctl.compose.software import software
from bmsctl.compose.watches import Watches
from bmsctl.domain.attempts import may_start
from bmsctl.domain.events import AttemptClosed, AttemptOpened
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import Clock
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.packml import Event, Mode, State
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import Site, StationWatch
from bmsctl.drivers.bms import CanBms
from bmsctl.drivers.cycler import ScpiCycler
from bmsctl.drivers.digitizer import SerialDigitizer
from bmsctl.drivers.insulation_tester import ScpiInsulationTester
from bmsctl.drivers.label_printer import ZplPrinter
from bmsctl.drivers.lv_supply import ScpiLvSupply
from bmsctl.drivers.matrix import CanMatrix
from bmsctl.drivers.ohmmeter import ScpiOhmmeter
from bmsctl.drivers.plc import CanPlc
from bmsctl.drivers.scanner import SerialScanner
from bmsctl.drivers.withstand_tester import ScpiWithstandTester
from bmsctl.errors import DeviceError, LeaseRevoked, Refused
from bmsctl.protocols.bms_broadcast import CORE_ONLY, MESSAGE_SETS
from bmsctl.stations.eol import STEPS
from bmsctl.stations.eol.context import RunFacts
from bmsctl.stations.eol.devices import INSTRUMENTS, LEASED, Devices
from bmsctl.stations.eol.safe import MakeSafe
from bmsctl.stations.run import Run
from bmsctl.stations.sequencer import Sequencer
from bmsctl.store.journal import Journal
from bmsctl.store.recovery import close_crashed
from bmsctl.store.run_journal import RunJournal

STATION = "eol"
SCAN_WITHIN = Second(30.0)
LABEL_WITHIN = Second(30.0)
UNPROVED = (
    "the outer poles could not be proved below 60 V before docking: do not touch pack or station, call the "
    "electrician; suspect welded contactors or the discharge"
)


@dataclass(frozen=True)
class Order:
    """What to test: the recipe, and how this run came about."""

    recipe: Recipe
    world: str
    simulated: bool
    mode: Mode
    vehicle: str | None = None
    vin: str | None = None
    operator: str | None = None
    retest_cause: str | None = None


def utc_text(clock: Clock) -> str:
    """Wall time as records carry it: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(int(clock.utc().unix_s), UTC).isoformat().replace("+00:00", "Z")


def devices_of(site: Site, pack: PackSpec | None = None) -> Devices:
    """Drivers over the site's links, for packs of one type; without one, the BMS measures nothing."""
    messages, channels = CORE_ONLY, Channels(0, 0, 0)
    if pack is not None and pack.message_set is not None:
        messages, channels = MESSAGE_SETS[pack.message_set], pack.channels
    return Devices(
        plc=CanPlc(site.can("plc")),
        matrix=CanMatrix(site.can("matrix")),
        bms=CanBms(site.can("bms"), messages, channels, key=site.seed_key),
        digitizer=SerialDigitizer(site.serial("digitizer")),
        lv_supply=ScpiLvSupply(site.serial("lv_supply")),
        ohmmeter=ScpiOhmmeter(site.serial("ohmmeter")),
        insulation_tester=ScpiInsulationTester(site.serial("insulation_tester")),
        withstand_tester=ScpiWithstandTester(site.serial("withstand_tester")),
        cycler=ScpiCycler(site.serial("cycler")),
        scanner=SerialScanner(site.serial("scanner")),
        operator=site.operator,
        label_printer=ZplPrinter(site.serial("label_printer")),
        genealogy=site.mes,
    )


class EolStation:
    """One end-of-line station: sequencer and devices on a site, and the journal it writes to."""

    def __init__(self, site: Site, journal: Journal, watch: StationWatch | None, pack: PackSpec) -> None:
        """`pack`: the type it tests."""
        self._site = site
        self._pack = pack
        self._journal = journal
        self._watch = Watches(watch, site.watch)
        self._now = asyncio.get_running_loop().time
        self._devices = devices_of(site, pack)
        self._leases = LeaseBook(self._now)
        make_safe = MakeSafe(self._devices, self._leases, self._now)
        self.sequencer = Sequencer(self._devices.plc, self._leases, make_safe, self._now)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make safe and prove it, close what a crash left open, then be ready for packs.

        A station that cannot be proved safe runs nothing, but puts on record what stands on it.

        Raises:
            Refused: it was aborted or stopped before it was ready.
        """
        async with owner_at_work(self.sequencer):
            await self.sequencer.command(Event.RESET)
            await self.sequencer.until(State.IDLE, State.ABORTED, State.STOPPED)
            self._require_idle()
            await close_crashed(self._journal, utc_text(self._site.clock))
            yield

    def _require_idle(self) -> None:
        if self.sequencer.proved and self.sequencer.state is not State.IDLE:
            raise Refused(f"no pack was started: {self.sequencer.why}")

    async def test(self, order: Order) -> Mapping[str, Any]:
        """Test the pack whose label is scanned next; its record.

        Raises:
            Refused: the label, an earlier attempt, the safety chain or an abort forbids it, or the station was put
                together for another pack type.
        """
        if order.recipe.pack != self._pack:
            raise Refused(f"this station was put together for {self._pack.id} packs; start it for {order.recipe.id}")
        serial = _serial(await self._scan(), order.recipe)
        self._require_idle()
        if self.sequencer.proved:
            self._require_safety_chain()
        earlier = self._journal.attempts(serial, STATION)
        may_start(earlier, order.retest_cause)
        attempt = len(earlier) + 1
        record_id = self._site.record_id(serial, STATION, str(attempt))
        log = self._journal.open_run(self._opened(order, record_id, serial, attempt))
        job = Run(
            steps=STEPS,
            recipe=order.recipe.steps(STATION),
            pack=order.recipe.pack,
            facts=RunFacts(serial, order.vin),
            token=lambda: self._site.run_token(record_id),
            record_id=record_id,
            devices=self._devices,
            leases=self._leases,
            log=log,
            watch=self._watch,
            now=self._now,
            utc_text=lambda: utc_text(self._site.clock),
            serial_numbers=self._site.serial_numbers,
            leased=LEASED,
            instruments=INSTRUMENTS,
        )
        if not self.sequencer.proved:
            return await self._not_started(log, Verdict.INVALID, UNPROVED)
        try:
            outcome = await self.sequencer.start(job)
        except Refused as error:
            return await self._not_started(log, Verdict.ABORTED, str(error))
        record: Mapping[str, Any] = await outcome
        if record["verdict"] == Verdict.PASS:
            await self._print_label(order.recipe, record)
        return record

    async def _print_label(self, recipe: Recipe, record: Mapping[str, Any]) -> None:
        """The pack's label, once its record is durable; a printer's trouble changes nothing about the pack."""
        lease = self._leases.grant("label_printer", LABEL_WITHIN)
        lines = (f"{recipe.pack.id} {recipe.pack.u_nom:.0f} V", record["ended_at"], record["record_id"])
        try:
            await self._devices.label_printer.print(lease, record["pack_serial"], recipe.pack.part_number, lines)
        except (DeviceError, LeaseRevoked) as error:
            self._watch.notice(f"the label of {record['pack_serial']} is not printed: {error}")
        finally:
            self._leases.release(lease)

    async def _not_started(self, log: RunJournal, verdict: Verdict, reason: str) -> Mapping[str, Any]:
        """The record of an attempt that ended before it began."""
        record = await log.close(AttemptClosed(verdict, reason, "hold", utc_text(self._site.clock), crash=False))
        self._watch.verdict_shown(record["record_id"], verdict, record["events"]["head_sha256"])
        return record

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

    def _require_safety_chain(self) -> None:
        status = self._devices.plc.status()
        if status is None:
            raise Refused("plc: no status yet; check its supply and the CAN cable")
        if status.tripped or not (status.guard_closed and status.estop_released):
            raise Refused("plc: the safety chain is open; close the guard, release the e-stop, reset the PLC")

    def _opened(self, order: Order, record_id: str, serial: str, attempt: int) -> AttemptOpened:
        return AttemptOpened(
            record_id=record_id,
            pack_serial=serial,
            pack=order.recipe.pack.id,
            vehicle=order.vehicle,
            station=STATION,
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


def _serial(label: str, recipe: Recipe) -> str:
    pattern = next(step for step in recipe.steps(STATION) if step.run == "identify").text("label_pattern")
    found = re.fullmatch(pattern, label)
    if found is None:
        raise Refused(f"the label {label!r} is not that of a {recipe.pack.id} pack; scan again or change the recipe")
    return found["serial"]


async def run_one(
    site: Site,
    store: Path,
    order: Order,
    watch: StationWatch | None,
    ready: Callable[[EolStation], None] | None = None,
) -> Mapping[str, Any]:
    """Open the store, run the station for one pack, close the store; the record.

    Args:
        ready: called with the station before it starts.

    Raises:
        StoreError, Refused, StepInvalid: as `EolStation`.
    """
    journal = Journal.open(store, site.clock)
    try:
        station = EolStation(site, journal, watch, order.recipe.pack)
        if ready is not None:
            ready(station)
        site.on_interrupt(lambda signal: station.sequencer.abort(f"interrupted by {signal}"))
        async with station.running():
            return await station.test(order)
    finally:
        journal.close()
