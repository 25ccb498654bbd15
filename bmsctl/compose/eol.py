"""An end-of-line station put together in some world, and one pack tested on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmsctl.compose.genealogy import StoreThenMes
from bmsctl.compose.station import LOCK_WITHIN, Order, PackStation, run_station, utc_text
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import EOL, STACKING, Recipe
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
from bmsctl.store.journal import Journal
from bmsctl.store.recovery import close_crashed

LABEL_WITHIN = Second(30.0)


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


class EolStation(PackStation[Devices, RunFacts]):
    """One end-of-line station: sequencer and devices on a site, and the journal it writes to."""

    name = EOL
    steps = STEPS
    leased = LEASED
    instruments = INSTRUMENTS

    def __init__(self, site: Site, journal: Journal, watch: StationWatch | None, pack: PackSpec) -> None:
        """`pack`: the type it tests."""
        genealogy = StoreThenMes(journal, site.mes, site.clock)
        devices = replace(devices_of(site, pack), genealogy=genealogy)
        super().__init__(site, journal, watch, pack, devices, lambda leases, now: MakeSafe(devices, leases, now))

    async def _recover(self) -> None:
        """Close them: nothing is resumed under high voltage."""
        await close_crashed(self._journal, utc_text(self._site.clock), self.name)

    async def test(self, order: Order) -> Mapping[str, Any]:
        """Test the pack whose label is scanned next; its record. Raises as `PackStation.test`."""
        self._require_pack(order.recipe)
        serial = _serial(await self._scan(), order.recipe)
        await self._require_stacked(serial)
        self._require_ready()
        earlier = self._earlier(serial, order.retest_cause)
        log = self._open(order, serial, len(earlier) + 1)
        job = self._run(order.recipe, log, RunFacts(serial, order.vin), lambda: self._site.run_token(log.record_id))
        record = await self._outcome(log, job)
        if record["verdict"] == Verdict.PASS:
            await self._print_label(order.recipe, record)
        return record

    async def _require_stacked(self, serial: str) -> None:
        """The process lock: nobody's word that stacking has released the pack is a refusal, too."""
        try:
            why = await self._devices.genealogy.released(serial, STACKING, LOCK_WITHIN)
        except DeviceError as error:
            raise Refused(f"pack {serial} was not started: {error}") from error
        if why is not None:
            raise Refused(f"pack {serial} is not released by stacking: {why}; finish it there first")

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


def _serial(label: str, recipe: Recipe) -> str:
    pattern = next(step for step in recipe.steps(EolStation.name) if step.run == "identify").text("label_pattern")
    found = re.fullmatch(pattern, label)
    if found is None:
        raise Refused(f"the label {label!r} is not that of a {recipe.pack.id} pack; scan again or change the recipe")
    return found["serial"]


async def run_eol(
    site: Site,
    store: Path,
    order: Order,
    watch: StationWatch | None,
    ready: Callable[[EolStation], None] | None = None,
) -> Mapping[str, Any]:
    """Run an end-of-line station for one pack; its record. Raises as `run_station`."""

    def make(journal: Journal) -> EolStation:
        return EolStation(site, journal, watch, order.recipe.pack)

    return await run_station(site, store, order, make, ready)
