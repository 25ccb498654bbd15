"""Our sequencer doing what `peer_openhtf` does: 100 steps of 10 judged measurements, journalled and recorded.

The whole path of a station: owner task, run, judge, hash-chained journal in group commits, fold to the
record as JSON. Only the devices are missing. Prints the same JSON line as the peer, fsync apart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bmsctl.domain import steps as catalogue
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.limits import Limit, Reading
from bmsctl.domain.links import WallTime
from bmsctl.domain.packml import Event, State
from bmsctl.domain.ports import PlcStatus, TripCause
from bmsctl.domain.recipe import Recipe, StepRecipe
from bmsctl.domain.steps import GateRule
from bmsctl.domain.units import Second
from bmsctl.stations.eol.context import RunFacts, Step, StepContext
from bmsctl.stations.eol.devices import LEASED, Devices
from bmsctl.stations.run import Run
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.sequencer import Sequencer
from bmsctl.store.journal import Journal
from tests.bench.apart import without_fsync
from tests.bench.memory import peak_kib
from tests.support.attempts import opened
from tests.support.simulate import RECIPE

STEPS = 100
MEASUREMENTS = 10
NAMES = [f"m{index}" for index in range(MEASUREMENTS)]


class RealClock:
    """Wall time of the machine, work inline; implements Clock."""

    def utc(self) -> WallTime:
        return WallTime(1.0, "free")

    async def offload(self, fn: Any, *args: object, cost_s: float) -> Any:
        return fn(*args)


class IdlePlc:
    """A PLC with a closed safety chain and nothing to say."""

    def listen(self, on_challenge: Any, on_status: Any) -> None:
        """Never calls."""

    def status(self) -> PlcStatus:
        now_s = asyncio.get_running_loop().time()
        return PlcStatus(True, True, False, False, TripCause.NONE, False, False, False, True, True, now_s)


class NoSafe:
    """Nothing to make safe."""

    def ask_off(self) -> None:
        """Nothing is on."""

    async def run(self) -> SafeReport:
        return SafeReport(True, 0.0)


async def measure(context: StepContext) -> None:
    """Ten readings, and one wait, as for a device: meanwhile the journal writes."""
    await asyncio.sleep(0)
    for index, name in enumerate(NAMES):
        context.measure(name, Reading(0.5 + index * 0.1, "V"))


def steps() -> tuple[StepRecipe, ...]:
    """A hundred steps with ten limits each."""
    limits = {name: Limit(0.0, 10.0, "V", False, "bench") for name in NAMES}
    return tuple(
        StepRecipe(run=f"step_{number}", mandatory=True, max_s=Second(60.0), limits=limits, params={})
        for number in range(STEPS)
    )


def register() -> None:
    """Let the catalogue know the bench's steps."""
    catalogue._GATES = {**catalogue._GATES, **{f"step_{number}": GateRule() for number in range(STEPS)}}


async def one_run(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """A record of a hundred steps."""
    now = asyncio.get_running_loop().time
    journal = Journal.open(folder, RealClock())
    plc: Any = IdlePlc()
    safe: Any = NoSafe()
    unused: dict[str, Any] = {field.name: None for field in fields(Devices)}
    leases = LeaseBook(now)
    sequencer = Sequencer(plc, leases, safe, now)
    owner = asyncio.get_running_loop().create_task(sequencer.own())
    await sequencer.command(Event.RESET)
    await sequencer.until(State.IDLE)
    started = time.process_time()
    job = Run(
        steps=[Step(step.run, measure, devices=()) for step in recipe.eol],
        recipe=recipe.eol,
        pack=recipe.pack,
        facts=RunFacts("BENCH1"),
        token=lambda: 1,
        record_id="bench",
        devices=Devices(**{**unused, "plc": plc}),
        leases=leases,
        log=journal.open_run(replace(opened(), recipe=recipe.to_json())),
        watch=None,
        now=now,
        utc_text=lambda: "2026-01-01T00:00:00Z",
        serial_numbers={},
        leased=LEASED,
        instruments=(),
    )
    record = await (await sequencer.start(job))
    size = (folder / "record.json").write_text(json.dumps(record))
    cpu_s = time.process_time() - started
    owner.cancel()
    journal.close()
    assert record["verdict"] == "PASS"
    return {"cpu_s": cpu_s, "bytes": size}


def main() -> None:
    register()
    gc.freeze()
    recipe = Recipe.of("1", RECIPE.pack, {"stacking": (), "eol": steps()}, {})
    base_kib = peak_kib()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner, without_fsync():
        result = runner.run(one_run(Path(folder), recipe))
    end_kib = peak_kib()
    json.dump({**result, "peak_mib": (end_kib - base_kib) / 1024}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
