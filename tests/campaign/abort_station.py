"""A station that drives current until it is aborted: production sequencer, safety action, drivers and links.

Only the job is not a station's: one step without end, that keeps commanding, so that a command that slips through
after an abort is there to be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Callable, Set
from typing import NamedTuple

from bmsctl.compose.eol import devices_of
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.packml import Event, State
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Ampere, Volt
from bmsctl.domain.world import Site
from bmsctl.errors import DeviceRefused, Refused
from bmsctl.stations.eol.devices import LEASED, Devices
from bmsctl.stations.eol.safe import MakeSafe
from bmsctl.stations.job import RunEnd
from bmsctl.stations.run import LEASE_FRESH_S
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.scope import RunScope
from bmsctl.stations.sequencer import Sequencer
from tests.contract.station import CLOSING, LOOK_S, SETTLED_S, SUPPLY, SUPPLY_LIMIT, WAKES_WITHIN

ARMED = Volt(0.0), Volt(450.0), Ampere(10.0)
PULSES = Ampere(5.0), Ampere(6.0)
"""Both more than make_safe takes for no current."""
STEP_MAX_S = 60.0
COLD_LOOK_S = 0.1
PATIENCE_S = 30.0


class RunEnded(Exception):
    """A run did not come to where it was to be ended; says why."""


class Ended(NamedTuple):
    """What the station says of an aborted run. Times are the loop's."""

    revoked_s: float
    """By then every lease was revoked, and every off command given; infinite if one was not."""
    end: RunEnd
    safe: SafeReport


class Driving:
    """A job that drives current without end; implements Job."""

    def __init__(self, devices: Devices, leases: LeaseBook, token: int, now: Callable[[], float]) -> None:
        self._devices = devices
        self._book = leases
        self._token = token
        self._now = now
        self._leases: dict[str, Lease] = {}
        self._revoked_s = math.inf
        self.drives = asyncio.Event()

    async def prepare(self, scope: RunScope) -> None:
        self._leases = {device: self._book.grant(device, LEASE_FRESH_S) for device in LEASED}

    async def execute(self, scope: RunScope) -> None:
        scope.begin_step("drive", STEP_MAX_S, list(self._leases.values()))
        devices, leases = self._devices, self._leases
        await devices.plc.permit(leases["plc"], self._token)
        await asyncio.gather(self._wake(), self._arm())
        await self._connect_cold({Route.DIGITIZER, Route.CYCLER})
        await devices.bms.take_relays(leases["bms"])
        for closed in CLOSING:
            await devices.bms.set_relays(leases["bms"], closed)
            await asyncio.sleep(SETTLED_S)
        for amps in itertools.cycle(PULSES):
            await devices.cycler.set_current(leases["cycler"], amps)
            await devices.cycler.read(leases["cycler"])
            current = await devices.bms.current(leases["bms"])
            if current > min(PULSES) / 2:
                self.drives.set()

    async def _wake(self) -> None:
        devices, leases = self._devices, self._leases
        await devices.lv_supply.identify(leases["lv_supply"])
        await devices.lv_supply.on(leases["lv_supply"], SUPPLY, SUPPLY_LIMIT)
        await devices.plc.supply(leases["plc"], kl30=True, kl15=True)
        await devices.bms.alive(leases["bms"], WAKES_WITHIN)

    async def _connect_cold(self, routes: Set[Route]) -> None:
        """Connect these routes as soon as the cycler's capacitor has discharged since the run before."""
        while True:
            try:
                await self._devices.matrix.connect(self._leases["matrix"], routes)
                return
            except DeviceRefused:
                self._leases["matrix"].quiet_for(COLD_LOOK_S)
                await asyncio.sleep(COLD_LOOK_S)

    async def _arm(self) -> None:
        await self._devices.cycler.identify(self._leases["cycler"])
        await self._devices.cycler.arm(self._leases["cycler"], *ARMED)

    def safing(self) -> None:
        if all(lease.revoked for lease in self._leases.values()):
            self._revoked_s = self._now()

    async def close(self, end: RunEnd, safe: SafeReport) -> Ended:
        return Ended(self._revoked_s, end, safe)


class AbortedStation:
    """One station that starts runs only for them to be aborted. Build inside the running loop."""

    def __init__(self, site: Site, pack: PackSpec) -> None:
        self._site = site
        self._now = asyncio.get_running_loop().time
        self._devices = devices_of(site, pack)
        self._leases = LeaseBook(self._now)
        make_safe = MakeSafe(self._devices, self._leases, self._now)
        self.sequencer = Sequencer(self._devices.plc, self._leases, make_safe, self._now)

    @contextlib.asynccontextmanager
    async def owned(self) -> AsyncIterator[None]:
        """While the owner task runs."""
        owner = asyncio.get_running_loop().create_task(self.sequencer.own())
        try:
            yield
        finally:
            owner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await owner

    async def drive(self) -> asyncio.Future[Ended]:
        """Start a run; returns when its current flows. The future holds how it ended.

        Raises:
            RunEnded: it could not start, ended early, or no current flowed within PATIENCE_S.
        """
        try:
            if self.sequencer.state is State.ABORTED:
                await self.sequencer.command(Event.CLEAR)
                await self.sequencer.until(State.STOPPED, State.ABORTED)
            await self.sequencer.command(Event.RESET)
            await self.sequencer.until(State.IDLE, State.ABORTED)
            job = Driving(self._devices, self._leases, self._site.run_token("abort latency"), self._now)
            ended = await self.sequencer.start(job)
        except Refused as error:
            raise RunEnded(f"{error} ({self.sequencer.why})") from None
        drives = asyncio.get_running_loop().create_task(job.drives.wait())
        await asyncio.wait([drives, ended], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        drives.cancel()
        if not job.drives.is_set():
            raise RunEnded(ended.result().end.reason if ended.done() else "no current flows")
        return ended

    async def untripped(self) -> None:
        """Wait until the PLC, which somebody resets, is tripped no more; TimeoutError if it stays so."""
        async with asyncio.timeout(PATIENCE_S):
            while (status := self._devices.plc.status()) is None or status.tripped:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(LOOK_S)
