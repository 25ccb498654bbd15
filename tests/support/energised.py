"""`python -m tests.support.energised DEED run …`: `python -m hil run …` with one short step, that ends in a deed.

The step closes the pack's contactors onto the cycler, says "energised" on stderr, and does its deed. Everything else
is what always runs: command, world, links, station, journal.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import hil.cli
from bmsctl.compose.eol import EolStation
from bmsctl.domain.limits import Limit, Reading
from bmsctl.domain.ports import Relay, Route
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.drivers.links.clock import SystemClock
from bmsctl.errors import BmsctlError
from bmsctl.stations.eol.context import Step, StepContext
from hil.__main__ import run
from hil.bench_bus import BenchBus

FOREVER_S = 3600
STEPS = ("identify", "bms_identity", "dcir")
"""Those by which the stubs are built, and one under high voltage. What they do is of here."""
DONE = "done"
LIMITS = {DONE: Limit(low=1.0, high=None, unit=None, guard=False, why="a step must measure something")}

SUPPLY, SUPPLY_LIMIT = Volt(13.5), Ampere(8.0)
WAKES_WITHIN = Second(8.0)
SETTLED_S = 0.1
CLOSING = (
    {Relay.MAIN_MINUS},
    {Relay.MAIN_MINUS, Relay.PRECHARGE},
    {Relay.MAIN_MINUS, Relay.PRECHARGE, Relay.MAIN_PLUS},
)

Deed = Callable[[StepContext], Awaitable[None]]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


async def wait(ctx: StepContext) -> None:
    """Keep what is closed closed."""
    await ctx.dwell(FOREVER_S)


async def end(ctx: StepContext) -> None:
    """Let the run go on to its end."""
    ctx.measure(DONE, Reading(1.0, None))


async def work_beside(ctx: StepContext) -> None:
    """Wait for a thread that never returns."""
    for lease in ctx.leases.values():
        lease.quiet_for(FOREVER_S)
    await SystemClock().offload(time.sleep, FOREVER_S, cost_s=0.0)


async def hold_interpreter(ctx: StepContext) -> None:
    """Call C code that keeps the interpreter's lock: no thread of this process runs any more."""
    ctypes.PyDLL(None).sleep(FOREVER_S)


async def command_on(ctx: StepContext) -> None:
    """Swallow every cancellation, and go on commanding; say so, and whether a command was taken after the abort."""
    bms, cycler, plc = ctx.devices.bms, ctx.devices.cycler, ctx.devices.plc
    commands = (
        lambda: bms.set_relays(ctx.leases["bms"], {Relay.MAIN_MINUS, Relay.MAIN_PLUS}),
        lambda: cycler.set_current(ctx.leases["cycler"], Ampere(1.0)),
        lambda: ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.CYCLER}),
        lambda: plc.permit(ctx.leases["plc"], 1),
    )
    while True:
        for command in commands:
            try:
                await asyncio.sleep(0.0)
                revoked = ctx.leases["bms"].revoked
                await command()
                if revoked:
                    say("taken")
            except asyncio.CancelledError:
                say("swallowed")
            except BmsctlError:
                continue


async def spin(ctx: StepContext) -> None:
    """Never let the loop run again."""
    while True:
        pass


async def block(ctx: StepContext) -> None:
    """Call C code that keeps the loop's thread, and lets the others run."""
    time.sleep(FOREVER_S)  # noqa: ASYNC251


def stuck_sending(channel: str) -> Deed:
    """The driver of a bus blocks in its C code from now on, one frame in hand."""

    async def deed(ctx: StepContext) -> None:
        send = BenchBus.send

        def stuck(self: BenchBus, *args: Any, **options: Any) -> None:
            if channel in str(self.channel_info):
                threading.Event().wait()
            send(self, *args, **options)

        BenchBus.send = stuck  # type: ignore[method-assign]
        await wait(ctx)

    return deed


DEEDS: Mapping[str, Deed] = {
    "wait": wait,
    "end": end,
    "work_beside": work_beside,
    "hold_interpreter": hold_interpreter,
    "command_on": command_on,
    "spin": spin,
    "block": block,
    "stuck_sending_to_pack": stuck_sending("pack.can"),
    "stuck_sending_to_station": stuck_sending("station.can"),
}


async def wake(ctx: StepContext) -> None:
    """Before high voltage is permitted: from then on the BMS must be heard."""
    devices, leases = ctx.devices, ctx.leases
    await devices.lv_supply.on(leases["lv_supply"], SUPPLY, SUPPLY_LIMIT)
    await devices.plc.supply(leases["plc"], kl30=True, kl15=True)
    await devices.bms.alive(leases["bms"], WAKES_WITHIN)
    await devices.bms.ready(leases["bms"], WAKES_WITHIN)
    await end(ctx)


async def energise(ctx: StepContext) -> None:
    """Close the pack's contactors onto the cycler."""
    devices, leases = ctx.devices, ctx.leases
    await devices.matrix.connect(leases["matrix"], {Route.DIGITIZER, Route.CYCLER})
    await devices.bms.take_relays(leases["bms"])
    for closed in CLOSING:
        await devices.bms.set_relays(leases["bms"], closed)
        await asyncio.sleep(SETTLED_S)


def _steps(deed: Deed) -> tuple[Step, ...]:
    async def step(ctx: StepContext) -> None:
        await energise(ctx)
        say("energised")
        await deed(ctx)

    leased = ("plc", "lv_supply", "bms", "matrix", "cycler")
    return (
        Step("identify", end, devices=leased),
        Step("bms_identity", wake, devices=leased),
        Step("dcir", step, devices=leased, high_voltage=True),
    )


def _shortened(recipe: Recipe) -> Recipe:
    def step(whole: StepRecipe) -> StepRecipe:
        return whole if whole.run == "make_safe" else replace(whole, max_s=Second(FOREVER_S), limits=LIMITS)

    kept = (*STEPS, "make_safe")
    steps = {"stacking": recipe.stacking, "eol": [step(whole) for whole in recipe.eol if whole.run in kept]}
    return Recipe.of("test", recipe.pack, steps, {})


def main() -> NoReturn:
    deed = DEEDS[sys.argv.pop(1)]
    whole = hil.cli._recipe
    hil.cli._recipe = lambda *wanted: _shortened(whole(*wanted))
    EolStation.steps = _steps(deed)
    run()


if __name__ == "__main__":
    main()
