"""Whatever ends a run, at whatever instant: safe in time, nothing commanded after, the right verdict.

`python -m tests.campaign.aborts 200` ends so many runs, spread evenly over the ways out.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bmsctl.compose.eol import EolStation
from firmware_stubs.world import SimSite
from tests.support.simulate import Simulation

SEED = 17

Disturbance = Callable[[SimSite, EolStation], None]


def operator(site: SimSite, station: EolStation) -> None:
    station.sequencer.abort("stopped by the operator")


def signal(site: SimSite, station: EolStation) -> None:
    site.interrupt("SIGTERM")


def estop(site: SimSite, station: EolStation) -> None:
    site.wiring.plc.press_estop()


def guard(site: SimSite, station: EolStation) -> None:
    site.wiring.plc.open_guard()


def plc_silent(site: SimSite, station: EolStation) -> None:
    site.wires.ecu("plc").mute(True)


def bms_silent(site: SimSite, station: EolStation) -> None:
    site.wires.ecu("bms").mute(True)


def swallow(site: SimSite, station: EolStation) -> None:
    """From now on the run's task is protected from cancellation; then the operator stops."""
    task = station.sequencer._run_task
    if task is not None:
        task.cancel = lambda msg=None: False  # type: ignore[method-assign]
    station.sequencer.abort("stopped by the operator")


def hang(site: SimSite, station: EolStation) -> None:
    """What the run waits for will never wake it."""
    task = station.sequencer._run_task
    waiting = None if task is None else task._fut_waiter  # type: ignore[attr-defined]
    if waiting is not None:
        for callback, _ in waiting._callbacks:
            waiting.remove_done_callback(callback)


def blocked(site: SimSite, station: EolStation) -> None:
    loop = asyncio.get_running_loop()
    loop.block(2.0)  # type: ignore[attr-defined]


STATION_ONLY = {"PASS", "INVALID"}
"""Once the run is over and only make_safe remains, a disturbance that is no person's ends nothing."""

EXPECTED = {
    operator: {"ABORTED"},
    signal: {"ABORTED"},
    estop: {"ABORTED"},
    guard: {"ABORTED"},
    plc_silent: {"INVALID"},
    bms_silent: {"INVALID"},
    swallow: {"ABORTED"},
    hang: {"INVALID"},
    blocked: {"INVALID"},
}


TRIP_WITHIN_S = 0.300
PLC_REACTION_S = 0.020

START_S = 0.6
"""The run has begun."""


def check(store: Path, disturbance: Disturbance, at_s: float) -> None:
    simulation = Simulation(store, seed=SEED)
    ended = permitted = False

    def disturb(site: SimSite, station: EolStation) -> None:
        nonlocal ended, permitted
        ended = station.sequencer._run_task is None
        permitted = site.wiring.plc.permitted
        disturbance(site, station)

    def schedule(site: SimSite, station: EolStation) -> None:
        asyncio.get_running_loop().call_at(at_s, disturb, site, station)

    record = simulation.run(schedule)
    site = simulation.world.site
    assert site is not None
    if permitted:
        assert site.wiring.monitor.safe_after_s != []
    if permitted and disturbance is blocked:
        plc = site.wiring.plc
        assert plc.tripped
        assert plc.cut_s is not None
        assert plc.cut_s - at_s <= TRIP_WITHIN_S + PLC_REACTION_S
    assert all(after_s <= 5.0 for after_s in site.wiring.monitor.safe_after_s)
    expected = STATION_ONLY if ended and EXPECTED[disturbance] == {"INVALID"} else EXPECTED[disturbance]
    assert record["verdict"] in expected, f"at {at_s:.3f} s: {record['reason']}"


def good_end_s(store: Path) -> float:
    """When a good run of this seed has been made safe and its record is being closed."""
    simulation = Simulation(store, seed=SEED)
    assert simulation.run()["verdict"] == "PASS"
    return simulation.world.loop.time() - 0.05


def instants(disturbance: Disturbance, end_s: float, count: int) -> list[float]:
    """So many moments of a run."""
    number = list(EXPECTED).index(disturbance)
    return sorted(np.random.default_rng(number).uniform(START_S, end_s, count).tolist())


def main(count: int) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        end_s = good_end_s(Path(folder) / "good")
        for disturbance in EXPECTED:
            for at_s in instants(disturbance, end_s, -(-count // len(EXPECTED))):
                try:
                    check(Path(folder) / f"{disturbance.__name__}-{at_s}", disturbance, at_s)
                except AssertionError as error:
                    wrong += 1
                    sys.stdout.write(f"{disturbance.__name__} at {at_s:.3f} s: {error}\n")
    sys.stdout.write(f"{wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
