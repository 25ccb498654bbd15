"""The station's side of a contract: its drivers, its leases, and the states in which a device can do its work."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from typing import Any, Protocol, TypeVar

from bmsctl.compose.eol import devices_of
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.links import LinkHealth, LinkState
from bmsctl.domain.ports import Challenge, PlcStatus, Relay, Route
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.domain.world import Site
from bmsctl.errors import BmsctlError, DeviceError
from bmsctl.stations.eol.safe import MakeSafe
from bmsctl.stations.safe import SafetyAction
from firmware_stubs.ports import BUS_OF

T = TypeVar("T")

FRESH_S = 1.0
WITHIN_S = 10.0
"""For what must happen: far more than it takes, so that a busy machine fails nothing."""
LOOK_S = 0.01
DEADLINE_S = 20.0
"""No call of any port that waits for nobody may take so long, whatever its device does."""

SUPPLY, SUPPLY_LIMIT = Volt(13.5), Ampere(8.0)
WAKES_WITHIN = Second(8.0)

DEAD_WIRE = ("can.bus_off", "serial.unplugged")
"""Faults that the station's own end of a wire shows."""

CLOSING = (
    frozenset({Relay.MAIN_MINUS}),
    frozenset({Relay.MAIN_MINUS, Relay.PRECHARGE}),
    frozenset({Relay.MAIN_MINUS, Relay.PRECHARGE, Relay.MAIN_PLUS}),
    frozenset({Relay.MAIN_MINUS, Relay.MAIN_PLUS}),
)
"""Contactors as they close in turn."""
SETTLED_S = 0.1
"""Twenty time constants of what is precharged; contacts have stopped bouncing."""


async def outcome_of(call: Awaitable[T]) -> T | BmsctlError:
    """What a call returns, or what it raises; TimeoutError if it takes longer than any call may."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await call
    except BmsctlError as error:
        return error


class FarEnd(Protocol):
    """What a person, or bad luck, does to the devices at the far end of the wires."""

    async def disturb(self, fault: str, device: str, on: bool) -> None:
        """Begin, or end, a fault of `firmware_stubs.faults`, by its name."""
        ...

    async def reset_plc(self) -> None:
        """Release the e-stop, close the guard and press the PLC's reset button."""
        ...


Safety = Callable[[Any, LeaseBook, Callable[[], float]], SafetyAction]


class AnyStation:
    """Devices over the wires of some site, whose PLC is answered. Build inside the running loop.

    `devices`: as the station's kind has them.
    """

    kind: str
    devices: Any

    def __init__(self, site: Site, far_end: FarEnd, recipe: Recipe, safety: Safety) -> None:
        """`safety`: makes the station's safety action of its devices, leases and clock."""
        self.recipe = recipe
        self.far_end = far_end
        self.now = asyncio.get_running_loop().time
        self.leases = LeaseBook(self.now)
        self.statuses: list[PlcStatus] = []
        self._site = site
        self._safety = safety
        self._held: dict[str, Lease] = {}
        self._runs = itertools.count(1)
        self._challenged_s = -math.inf
        self._wire_lost = False

    def step(self, run: str) -> StepRecipe:
        """A step of the recipe."""
        return next(step for step in self.recipe.steps(self.kind) if step.run == run)

    def lease(self, device: str) -> Lease:
        """The device's living lease."""
        held = self._held.get(device)
        if held is None or held.revoked:
            held = self._held[device] = self.leases.grant(device, FRESH_S)
        return held

    def token(self) -> int:
        """A run token that was not used before."""
        return self._site.run_token(self._site.record_id("contract", str(next(self._runs))))

    def answer_challenges(self) -> None:
        """Keep the dead-man content, and remember every change of the PLC's status."""

        def answer(challenge: Challenge) -> None:
            self.devices.plc.answer(challenge)
            self._challenged_s = challenge.t_s

        self.devices.plc.listen(answer, self.statuses.append)

    def ignore_challenges(self) -> None:
        """Let the dead-man run out."""
        self.devices.plc.listen(lambda challenge: None, self.statuses.append)

    async def answered(self) -> None:
        """A challenge that came after the call has been answered."""
        asked_s = self.now()
        await self.until(lambda: self._challenged_s > asked_s)

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """A station that is answered from its first challenge on, and made safe at the end."""
        self.answer_challenges()
        await self.answered()
        await self.until(lambda: self.devices.plc.status() is not None)
        try:
            yield
        finally:
            self.leases.revoke_all()
            make_safe = self._safety(self.devices, self.leases, self.now)
            make_safe.ask_off()
            if not self._wire_lost:
                report = await make_safe.run()
                assert report.voltage_free, report.failures

    @contextlib.asynccontextmanager
    async def disturbed(self, fault: str, device: str) -> AsyncIterator[None]:
        """While a fault of the wire or the device lasts; a dead wire, from when the station's link has noticed.

        A controller that was bus-off is lost to the station.
        """
        self._wire_lost |= fault == "can.bus_off"
        await self.far_end.disturb(fault, device, True)
        if fault in DEAD_WIRE:
            await self.until(lambda: self._health(device).state is not LinkState.UP)
        try:
            yield
        finally:
            await self.far_end.disturb(fault, device, False)

    def _health(self, device: str) -> LinkHealth:
        """Of the link to the device."""
        link = self._site.can(device) if device in BUS_OF else self._site.serial(device)
        return link.health()

    async def until(self, seen: Callable[[], object]) -> None:
        """Look until it is so; TimeoutError if it never is."""

        async def look() -> None:
            while True:
                if seen():
                    return
                await asyncio.sleep(LOOK_S)

        await self._within(look())

    async def until_it_succeeds(self, call: Callable[[], Awaitable[object]]) -> None:
        """Call until the device answers again, by leases that are granted anew; TimeoutError if it never does."""

        async def attempt() -> None:
            while True:
                self.leases.revoke_all()
                with contextlib.suppress(DeviceError):
                    await call()
                    return
                await asyncio.sleep(LOOK_S)

        await self._within(attempt())

    async def until_told(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask until the answer is not empty; TimeoutError if it always is."""

        async def look() -> None:
            while True:
                if await ask():
                    return
                await asyncio.sleep(LOOK_S)

        await self._within(look())

    async def _within(self, awaited: Awaitable[object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            await awaited

    def status(self) -> PlcStatus:
        """The PLC's newest status."""
        status = self.devices.plc.status()
        assert status is not None
        return status

    async def permitted(self) -> None:
        """High voltage is permitted, by a new token."""
        await self.devices.plc.permit(self.lease("plc"), self.token())


class Station(AnyStation):
    """The end-of-line station."""

    kind = "eol"

    def __init__(self, site: Site, far_end: FarEnd, recipe: Recipe) -> None:
        super().__init__(site, far_end, recipe, MakeSafe)
        self.devices = devices_of(site, recipe.pack)

    async def onto_testers(self, tester: Route) -> None:
        """A tester lies at both poles, where no contactor can close."""
        await self.permitted()
        await self.devices.plc.feed_coils(self.lease("plc"), on=False)
        await self.devices.matrix.connect(self.lease("matrix"), {tester, Route.TESTER_PLUS, Route.TESTER_MINUS})

    async def awake(self) -> None:
        """The pack has its 12 V and its wake line, and its BMS sends."""
        await self.devices.lv_supply.identify(self.lease("lv_supply"))
        await self.devices.lv_supply.on(self.lease("lv_supply"), SUPPLY, SUPPLY_LIMIT)
        await self.devices.plc.supply(self.lease("plc"), kl30=True, kl15=True)
        await self.devices.bms.alive(self.lease("bms"), WAKES_WITHIN)

    async def ready(self) -> None:
        """The pack is awake, and its BMS has a value for everything."""
        await self.awake()
        await self.devices.bms.ready(self.lease("bms"), WAKES_WITHIN)

    async def pack_on_poles(self, routes: Set[Route]) -> None:
        """The pack's contactors are closed, onto these routes."""
        await self.ready()
        await self.permitted()
        await self.devices.matrix.connect(self.lease("matrix"), routes)
        bms, lease = self.devices.bms, self.lease("bms")
        await bms.take_relays(lease)
        for closed in CLOSING:
            await bms.set_relays(lease, closed)
            await asyncio.sleep(SETTLED_S)
