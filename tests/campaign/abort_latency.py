"""How long a station takes from the safety PLC's trip to having commanded everything off, on a full bus, in real time.

`python -m tests.campaign.abort_latency 500` ends so many runs while current flows, by e-stop, guard and dead-man in
turn; then it lets the sequencer hang. Hub, stubs and station are processes of their own. Times are taken where the
stubs live, from the PLC's sending of the trip to the arrival of the commands; only the leases are in the station.
Prints a table, and last a line of JSON. Exits 1 if a goal is missed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.world import Site
from hil.bench import prefer_this_process
from hil.control import Control
from hil.stall import StallWatch
from hil.world import HilWorld
from tests.campaign.abort_station import AbortedStation, Ended, RunEnded
from tests.campaign.abort_trial import Hang, Trial, hang_of, trial_of
from tests.campaign.abort_witness import Log, witnessed_bench
from tests.campaign.contention import ProcessorWait
from tests.campaign.full_bus import full_buses

RECIPE = RecipeBook(None).by_pack("AS52")
SEED = 23
PRECHARGES = 3
"""So often may a pack be precharged within a minute."""
TRIALS, HANGS = 500, 20
HANG = "hang"
HANG_S = 0.6
ENDS_WITHIN_S = 20.0
FALSE_STARTS_MAX = 10
PHASE_S = 0.05
"""A challenge's period: causes come at any moment of it."""

OFF_WITHIN_MS = 20.0
OPEN_WITHIN_MS = 20.0
"""From when the BMS has sent twice that no current flows, or make_safe has waited for that as long as it may."""
TRIP_WITHIN_MS = 300.0

CAUSES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "e-stop": ("press_estop", {}),
    "guard": ("open_guard", {}),
    "dead-man": ("disturb", {"fault": "plc.replay", "device": "plc", "on": True}),
}
"""What the bench is told, to let its PLC trip. The dead-man runs out because the PLC hears one old answer again."""


@dataclass
class Found:
    """All that was measured."""

    trials: list[Trial] = field(default_factory=list)
    hangs: list[Hang] = field(default_factory=list)
    false_starts: list[str] = field(default_factory=list)
    """Why a run ended before it was to be ended; it was started anew."""
    findings: list[str] = field(default_factory=list)
    """What the bench's observer found wrong."""


class OnePack:
    """A station whose runs are ended while current flows through one pack. Build inside the running loop."""

    def __init__(self, site: Site, control: Control, log: Log, processes: Sequence[int], found: Found) -> None:
        """`processes`: hub and stubs."""
        self._station = AbortedStation(site, RECIPE.pack)
        self._control = control
        self._log = log
        self._bench_processes = processes
        self._found = found

    async def run(self, plan: deque[str], draws: np.random.Generator) -> None:
        """End as many runs as one pack endures, each as the plan says."""
        async with self._station.owned():
            for _ in range(min(PRECHARGES, len(plan))):
                try:
                    ended = await self._drive(draws.uniform(PHASE_S, 2 * PHASE_S))
                except RunEnded as error:
                    self._found.false_starts.append(str(error))
                    return
                if plan[0] == HANG:
                    await self._hang(ended)
                else:
                    await self._abort(plan[0], ended)
                plan.popleft()

    async def _drive(self, duration_s: float) -> asyncio.Future[Ended]:
        """A run whose current has flowed so long; what was logged before is forgotten. Raises RunEnded."""
        ended = await self._station.drive()
        self._log.since_last()
        await asyncio.sleep(duration_s)
        if ended.done():
            raise RunEnded(ended.result().end.reason)
        return ended

    async def _abort(self, cause: str, ended: asyncio.Future[Ended]) -> None:
        wait = ProcessorWait((*self._bench_processes, os.getpid()))
        stalls = StallWatch()
        do, parameters = CAUSES[cause]
        self._control.tell(do, **parameters)
        told = await self._told(ended)
        stalls.stop()
        trial = trial_of(cause, self._log.since_last(), told, stalls.longest_s, wait.longest_s())
        self._found.trials.append(trial)
        await self._reset()

    async def _hang(self, ended: asyncio.Future[Ended]) -> None:
        wait = ProcessorWait(self._bench_processes)
        asyncio.get_running_loop().call_soon(_spin)
        await self._told(ended)
        self._found.hangs.append(hang_of(self._log.since_last(), wait.longest_s()))
        await self._reset()

    async def _told(self, ended: asyncio.Future[Ended]) -> Ended:
        async with asyncio.timeout(ENDS_WITHIN_S):
            return await ended

    async def _reset(self) -> None:
        self._control.tell("disturb", fault="plc.replay", device="plc", on=False)
        self._control.tell("reset_plc")
        await self._station.untripped()


def _spin() -> None:
    """Code that does not give the loop back."""
    until_s = time.monotonic() + HANG_S
    while time.monotonic() < until_s:
        pass


def measure(trials: int, hangs: int) -> Found:
    """End so many runs by the PLC, and so many by hanging.

    Raises:
        SystemExit: too many runs end by themselves.
    """
    plan = deque((*itertools.islice(itertools.cycle(CAUSES), trials), *itertools.repeat(HANG, hangs)))
    found = Found()
    draws = np.random.default_rng(SEED)
    with witnessed_bench() as (layout, processes), Log(layout.folder) as log, full_buses(layout):
        for seed in itertools.count(SEED):
            if not plan:
                break
            if len(found.false_starts) > FALSE_STARTS_MAX:
                raise SystemExit("\n".join(("runs end by themselves:", *found.false_starts)))
            world = HilWorld(RECIPE, seed=seed, scenario=None, folder=layout.folder)

            async def main(site: Site) -> None:
                with Control(layout.control) as control:
                    await OnePack(site, control, log, processes, found).run(plan, draws)

            world.run(main)
            found.findings += world.findings()
    return found


def _row(name: str, values: Sequence[float]) -> dict[str, float]:
    """Print one line of the table; its figures, in ms, infinite if there are no values."""
    percentiles = np.percentile(values or (np.inf,), (50, 99, 100), method="higher").tolist()
    sys.stdout.write(f"{name:<48}" + "".join(f"{value:9.2f}" for value in percentiles) + "\n")
    return dict(zip(("p50", "p99", "max"), percentiles, strict=True))


def report(found: Found) -> tuple[dict[str, Any], list[str]]:
    """Print the table; the figures, and the goals that are missed."""
    trials = [trial for trial in found.trials if not trial.contended]
    hangs = [hang for hang in found.hangs if not hang.contended]
    stalled = [each for each in (*found.trials, *found.hangs) if each.contended]
    sys.stdout.write(f"{'from the trip, in ms':<48}{'p50':>9}{'p99':>9}{'max':>9}\n")
    revoked = _row("leases revoked", [trial.revoked_ms for trial in trials])
    off = _row("and cycler and testers commanded off", [trial.off_and_revoked_ms for trial in trials])
    opened = _row("contactors asked to open", [trial.opened_ms for trial in trials])
    late = _row("  after the current was twice sent as gone", [trial.late_ms for trial in trials])
    sys.stdout.writelines(f"started anew: {text}\n" for text in found.false_starts)
    sys.stdout.writelines(f"counted apart, for the machine stalled: {each}\n" for each in stalled)
    trouble = [f"{trial.cause}: {trial.trouble}" for trial in found.trials if trial.trouble] + found.findings
    sys.stdout.writelines(f"{line}\n" for line in trouble)
    goals = {
        f"everything off within {OFF_WITHIN_MS:g} ms": off["p99"] <= OFF_WITHIN_MS,
        f"contactors asked to open within {OPEN_WITHIN_MS:g} ms": late["p99"] <= OPEN_WITHIN_MS,
        "fewer runs on a machine that stalled than on a quiet one": len(stalled) < len(trials) + len(hangs),
        "nothing energised afterwards, nothing opened early, everything proved": not trouble,
    }
    figures = {"revoked_ms": revoked, "off_ms": off, "opened_ms": opened, "late_ms": late}
    if found.hangs:
        trips = _row("hung sequencer: from the last answer to the trip", [hang.trip_ms for hang in hangs])
        figures["hang_trip_ms"] = trips
        goals[f"hung sequencer tripped within {TRIP_WITHIN_MS:g} ms"] = trips["max"] <= TRIP_WITHIN_MS
    counts = {"runs": len(trials) + len(hangs), "stalled": len(stalled), "false_starts": len(found.false_starts)}
    return counts | figures | {"trouble": trouble}, [goal for goal, met in goals.items() if not met]


def main(trials: int = TRIALS, hangs: int = HANGS) -> int:
    prefer_this_process()
    figures, missed = report(measure(trials, hangs))
    for goal in missed:
        sys.stderr.write(f"missed: {goal}\n")
    sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:3])))
