"""An attempt as a station would journal it, on the virtual loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    AttemptClosed,
    AttemptOpened,
    Event,
    IncomingMeasured,
    Measured,
    Noted,
    PartInstalled,
    PartRemoved,
    StepFinished,
    StepStarted,
)
from bmsctl.domain.limits import Limit, Reading, judge
from bmsctl.domain.links import WallTime
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.units import Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.store.journal import Journal
from bmsctl.store.run_journal import RunJournal
from firmware_stubs.sim.loop import VirtualLoop

T = TypeVar("T")

START_S = 1767225600.0
STARTED_AT = "2026-01-01T00:00:00Z"
ENDED_AT = "2026-01-01T00:01:00Z"
SERIAL = "AS52-000017"
RECORD_ID = "018c0000-0000-7000-8000-000000000017"

VOLTAGE = Limit(None, 60.0, "V", True, "estimate: touch voltage")
RESISTANCE = Limit(40.0, 60.0, "Ohm", True, "estimate: drawing")
LIMITS = {"identify": {"docking_voltage": VOLTAGE}, "precharge": {"resistance": RESISTANCE}}
RECIPE = Recipe.of(
    revision="1",
    pack=PackSpec("AS52", "295B0-0001", 96, 2, 4, Volt(403.2), Volt(350.0)),
    steps={"stacking": (), "eol": [StepRecipe(run, True, Second(30.0), limits, {}) for run, limits in LIMITS.items()]},
    provenance={},
)


class StoryClock:
    """Wall time counts from START_S with the loop; work is done at once and declared to take its cost."""

    def utc(self) -> WallTime:
        return WallTime(START_S + asyncio.get_running_loop().time(), "simulated")

    async def offload(self, fn: Callable[..., T], *args: object, cost_s: float) -> T:
        result = fn(*args)
        await asyncio.sleep(cost_s)
        return result


def on_loop(main: Callable[[], Awaitable[T]]) -> T:
    """Run on a fresh virtual loop; nothing may escape into its error list."""
    loop = VirtualLoop()
    result = loop.run_until(main(), 1000.0)
    assert loop.errors == []
    return result


def opened(record_id: str = RECORD_ID, attempt: int = 1, retest_cause: str | None = None) -> AttemptOpened:
    """The first event of an attempt."""
    return AttemptOpened(
        record_id=record_id,
        pack_serial=SERIAL,
        pack="AS52",
        vehicle=None,
        station="eol",
        world="sim",
        simulated=True,
        mode="Engineering",
        recipe=RECIPE.to_json(),
        software={"version": "0.1.0", "git": None},
        operator=None,
        attempt=attempt,
        retest_cause=retest_cause,
        started_at=STARTED_AT,
    )


def measured(step: str, name: str, value: float | None, u95: float = 0.5) -> Measured:
    """A value judged by the recipe above."""
    limit = LIMITS[step][name]
    return Measured.of(step, judge(name, Reading(value, limit.unit, u95), limit), limit)


def closed(verdict: Verdict = Verdict.PASS, reason: str = "") -> AttemptClosed:
    """The last event of an attempt."""
    disposition = "release" if verdict is Verdict.PASS else "hold"
    return AttemptClosed(verdict, reason, disposition, ENDED_AT, crash=False)


def good_story() -> list[Event]:
    """A good pack's events between opening and closing, one of nearly every kind."""
    return [
        PartInstalled("1", "295B0", "M-1", "L-7"),
        IncomingMeasured("1", "cell_voltage", "V", (3.65, 3.651, None)),
        PartRemoved("1", "M-1", "scratched"),
        PartInstalled("1", "295B0", "M-2", None),
        StepStarted("identify", 0.0),
        ActionIntended("bolt-1", "nutrunner", "tighten to 9 Nm"),
        ActionDone("bolt-1", "9.02 Nm"),
        measured("identify", "docking_voltage", 0.25),
        StepFinished("identify", Verdict.PASS, "", 0.0, 1.5),
        Noted("operator", "Größe µ ✓"),
        StepStarted("precharge", 1.5),
        measured("precharge", "resistance", 50.125),
    ]


async def good_run(journal: Journal, record_id: str = RECORD_ID, attempt: int = 1) -> dict[str, Any]:
    """Journal a whole good attempt, with two traces, and return its record."""
    log = journal.open_run(opened(record_id, attempt, "second look" if attempt > 1 else None))
    await log.commit()
    await tell(log, good_story())
    log.add_trace("precharge", "link_voltage", "V", 10_000.0, np.linspace(0.0, 350.0, 40))
    log.add_trace("precharge", "cells", "V", None, np.full(6, 3.65))
    log.append(StepFinished("precharge", Verdict.PASS, "", 1.5, 2.0))
    return await log.close(closed())


async def tell(log: RunJournal, events: list[Event]) -> None:
    """Append events 10 ms apart, committing after each third."""
    for number, event in enumerate(events):
        await asyncio.sleep(0.01)
        log.append(event)
        if number % 3 == 2:
            await log.commit()


def store_of(folder: Path, attempts: int = 1) -> list[dict[str, Any]]:
    """Make a store of good attempts and close it; their records."""

    async def main() -> list[dict[str, Any]]:
        journal = Journal.open(folder, StoryClock())
        try:
            return [await good_run(journal, f"{RECORD_ID[:-2]}{n:02}", n) for n in range(1, attempts + 1)]
        finally:
            journal.close()

    return on_loop(main)
