"""A stacking station put together in some world, and one pack built on it.

What a crash leaves open is resumed, and a pack that is worked on again keeps what has stayed in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bmsctl.compose.station import Order, PackStation, run_station, utc_text
from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import AttemptOpened, Event, PartInstalled, PartRemoved, StepKept
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.pack_state import PackState
from bmsctl.domain.parts import TRAY
from bmsctl.domain.recipe import STACKING, Recipe
from bmsctl.domain.rework import continued, holding, older
from bmsctl.domain.world import Site, StationWatch
from bmsctl.drivers.battery_tester import ScpiBatteryTester
from bmsctl.drivers.bms import CanBms
from bmsctl.drivers.insulation_tester import ScpiInsulationTester
from bmsctl.drivers.label_printer import ZplPrinter
from bmsctl.drivers.leak_tester import ModbusLeakTester
from bmsctl.drivers.lv_supply import ScpiLvSupply
from bmsctl.drivers.nutrunner import OpenProtocolNutrunner
from bmsctl.drivers.ohmmeter import ScpiOhmmeter
from bmsctl.drivers.plc import CanPlc
from bmsctl.drivers.scanner import SerialScanner
from bmsctl.errors import Refused
from bmsctl.protocols.bms_broadcast import MESSAGE_SETS
from bmsctl.protocols.part_label import PartLabel, parse_label
from bmsctl.stations.stacking import STEPS
from bmsctl.stations.stacking.context import StackingFacts, readings_of
from bmsctl.stations.stacking.devices import INSTRUMENTS, LEASED, Devices
from bmsctl.stations.stacking.safe import StackingSafe
from bmsctl.stations.stacking.selection import OldestFirst
from bmsctl.store.journal import Journal
from bmsctl.store.recovery import resumed
from bmsctl.store.run_journal import RunJournal

Images = Callable[[Recipe], bytes]
"""The software image of a recipe's BMS; raises RecipeError."""

History = list[tuple[float, Event]]
"""Events of an attempt, each with the wall time at which it was logged, s since 1970."""


def devices_of(site: Site, pack: PackSpec) -> Devices:
    """Drivers over the site's links, for packs of one type."""
    assert pack.message_set is not None, "a compiled recipe names its message set"
    return Devices(
        plc=CanPlc(site.can("plc")),
        bms=CanBms(site.can("bms"), MESSAGE_SETS[pack.message_set], pack.channels, key=site.seed_key),
        lv_supply=ScpiLvSupply(site.serial("lv_supply")),
        ohmmeter=ScpiOhmmeter(site.serial("ohmmeter")),
        insulation_tester=ScpiInsulationTester(site.serial("insulation_tester")),
        battery_tester=ScpiBatteryTester(site.serial("battery_tester")),
        nutrunner=OpenProtocolNutrunner(site.serial("nutrunner")),
        leak_tester=ModbusLeakTester(site.serial("leak_tester")),
        scanner=SerialScanner(site.serial("scanner")),
        operator=site.operator,
        label_printer=ZplPrinter(site.serial("label_printer")),
        parts=site.mes,
        selector=OldestFirst(),
    )


class StackingStation(PackStation[Devices, StackingFacts]):
    """One stacking station: sequencer and devices on a site, and the journal it writes to."""

    name = STACKING
    steps = STEPS
    leased = LEASED
    instruments = INSTRUMENTS

    def __init__(
        self, site: Site, journal: Journal, watch: StationWatch | None, pack: PackSpec, images: Images
    ) -> None:
        """`pack`: the type it builds."""
        devices = devices_of(site, pack)
        super().__init__(site, journal, watch, pack, devices, lambda leases, now: StackingSafe(devices, leases, now))
        self._images = images
        self._unfinished: Sequence[Attempt] = ()

    async def _recover(self) -> None:
        """Remember them: a pack half built is resumed."""
        self._unfinished = self._journal.open_attempts(self.name)

    async def test(self, order: Order) -> Mapping[str, Any]:
        """Build the pack whose tray is scanned next, or resume the one on the carrier; its record.

        Raises as `PackStation.test`, and RecipeError if the BMS's software image is not there.
        """
        self._require_pack(order.recipe)
        on_carrier = [one for one in self._unfinished if TRAY in PackState.of(self._events(one)).parts]
        if len(on_carrier) == 1:
            return await self._resume(on_carrier[0], order)
        tray = _tray(await self._scan(), order.recipe)
        for attempt in self._unfinished:
            if attempt.pack_serial == tray.serial:
                return await self._resume(attempt, order, tray)
        require_no_other(tray.serial, self._unfinished)
        self._require_ready()
        return await self._begin(tray, order)

    async def _begin(self, tray: PartLabel, order: Order) -> Mapping[str, Any]:
        """A new attempt; of a pack that was here before it keeps what still holds."""
        image = self._images(order.recipe)
        earlier = self._earlier(tray.serial, order.retest_cause)
        if order.replaced and not earlier:
            raise Refused(f"nothing can be replaced in {tray.serial}: it was never built here; leave --replace away")
        histories = [self._journal.history(attempt.record_id) for attempt in earlier]
        kept = self._kept(histories[-1], order, earlier[-1].record_id) if earlier else []
        steps = {step.run for step in order.recipe.steps(self.name)}
        if steps == {event.step for event in kept if isinstance(event, StepKept)}:
            raise Refused(
                f"nothing is to be done to {tray.serial}: every step has passed, and nothing was replaced since; "
                "say what was (--replace PART)"
            )
        log = self._open(order, tray.serial, len(earlier) + 1)
        for event in kept:
            log.append(event)
        facts = facts_of(tray, image, histories, log.events)
        return await self._outcome(log, self._run(order.recipe, log, facts, self._tokens(log)))

    def _kept(self, history: History, order: Order, record_id: str) -> list[Event]:
        """Events with which the next attempt begins; a step that the recipe has changed since is not kept."""
        now_s = self._site.clock.utc().unix_s
        earlier = [older(event, now_s - utc_s) for utc_s, event in history]
        steps = order.recipe.steps(self.name)
        events = continued(earlier, order.replaced, steps, self._pack.modules, record_id)
        before = _opened(history).steps(self.name)
        changed = {step.run for step in steps if step not in before}
        return [event for event in events if not (isinstance(event, StepKept) and event.step in changed)]

    async def _resume(self, attempt: Attempt, order: Order, tray: PartLabel | None = None) -> Mapping[str, Any]:
        """Resume an attempt where its program ended, by the recipe that it was begun with.

        Refused, it stays open. `tray`: its label, if it is not on record.
        """
        self._require_ready()
        if not self.sequencer.proved:
            raise Refused(f"pack {attempt.pack_serial} is not resumed: {self.sequencer.why}")
        if order.replaced:
            raise Refused(f"pack {attempt.pack_serial} is unfinished: finish it, then replace {order.replaced[0]}")
        history = self._journal.history(attempt.record_id)
        recipe = _opened(history)
        image = self._images(recipe)
        known = self._journal.attempts(str(attempt.pack_serial), self.name)
        earlier = [self._journal.history(one.record_id) for one in known if one.record_id != attempt.record_id]
        elapsed_s = max(self._site.clock.utc().unix_s, history[-1][0]) - history[0][0]
        log = await resumed(self._journal, attempt.record_id, utc_text(self._site.clock))
        label = tray or _installed_tray(log.events)
        facts = facts_of(label, image, earlier, log.events)
        job = self._run(recipe, log, facts, self._tokens(log), self._now() - elapsed_s)
        outcome = await self.sequencer.start(job)
        record: Mapping[str, Any] = await outcome
        return record

    def _events(self, attempt: Attempt) -> Iterator[Event]:
        return (event for _, event in self._journal.history(attempt.record_id))

    def _tokens(self, log: RunJournal) -> Callable[[], int]:
        """Gives a token with each call, none that an earlier process has had for the attempt."""
        begun, numbers = len(log.events), count(1)
        return lambda: self._site.run_token(f"{log.record_id}/{begun}/{next(numbers)}")


def require_no_other(serial: str, unfinished: Iterable[Attempt]) -> None:
    """Raise Refused if a pack that is unfinished is another one: it has the carrier."""
    others = [str(attempt.pack_serial) for attempt in unfinished if attempt.pack_serial != serial]
    if others:
        raise Refused(
            f"tray {serial} was not started: {', '.join(others)} is unfinished; put that on the carrier and finish it"
        )


def _opened(history: History) -> Recipe:
    """The recipe that an attempt was begun with."""
    opened = history[0][1]
    assert isinstance(opened, AttemptOpened)
    return Recipe.from_json(opened.recipe)


def facts_of(tray: PartLabel, image: bytes, earlier: Sequence[History], events: Sequence[Event]) -> StackingFacts:
    """What is known of a pack from its earlier attempts and from this one's events."""
    before = [[event for _, event in history] for history in earlier]
    removed = {event.serial for known in before for event in known if isinstance(event, PartRemoved) and event.serial}
    facts = StackingFacts(tray.serial, tray, image, removed=removed, earlier=readings_of(holding(before)))
    facts.learn(events)
    return facts


def _installed_tray(events: Sequence[Event]) -> PartLabel:
    tray = next(event for event in events if isinstance(event, PartInstalled) and event.slot == TRAY)
    return PartLabel(tray.part_number, tray.serial or "", tray.lot or "")


def _tray(label: str, recipe: Recipe) -> PartLabel:
    """The tray's label, whose serial becomes the pack's; raises Refused if it is none for packs of the recipe."""
    pattern = next(step for step in recipe.steps(StackingStation.name) if step.run == "tray").text("serial_pattern")
    try:
        tray = parse_label(label)
    except ValueError as error:
        raise Refused(f"no pack was started: {error}") from error
    if re.fullmatch(pattern, tray.serial) is None:
        raise Refused(f"the label {label!r} is not that of a {recipe.pack.id} tray; scan again or change the recipe")
    return tray


async def run_stacking(
    site: Site,
    store: Path,
    order: Order,
    watch: StationWatch | None,
    images: Images,
    ready: Callable[[StackingStation], None] | None = None,
) -> Mapping[str, Any]:
    """Run a stacking station for one pack; its record. Raises as `run_station` and `StackingStation.test`."""

    def make(journal: Journal) -> StackingStation:
        return StackingStation(site, journal, watch, order.recipe.pack, images)

    return await run_station(site, store, order, make, ready)
