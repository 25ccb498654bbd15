"""Whatever ends a run, at whatever instant: safe in time, nothing commanded after, the right verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bmsctl.compose.eol import EolStation
from firmware_stubs.world import SimSite
from tests.support.simulate import Simulation

INSTANTS = 200
SEED = 17

Disturbance = Callable[[SimSite, EolStation], None]


def operator(site: SimSite, station: EolStation) -> None:
    station.sequencer.abort("stopped by the operator")


def signal(site: SimSite, station: EolStation) -> None:
    site.interrupt("SIGTERM")


def estop(site: SimSite, station: EolStation) -> None:
    site.wiring.press_estop()


def guard(site: SimSite, station: EolStation) -> None:
    site.wiring.open_guard()


def plc_silent(site: SimSite, station: EolStation) -> None:
    site.wiring.mute_can("plc", True)


def bms_silent(site: SimSite, station: EolStation) -> None:
    site.wiring.mute_can("bms", True)


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


@pytest.fixture(scope="module")
def end_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """When a good run of this seed has been made safe and its record is being closed."""
    simulation = Simulation(tmp_path_factory.mktemp("good"), seed=SEED)
    assert simulation.run()["verdict"] == "PASS"
    return simulation.world.loop.time() - 0.05


@pytest.mark.parametrize("disturbance", EXPECTED, ids=lambda one: one.__name__)
def test_every_way_out_is_safe(tmp_path: Path, end_s: float, disturbance: Disturbance) -> None:
    kinds = list(EXPECTED)
    count = -(-INSTANTS // len(kinds))
    instants = np.random.default_rng(kinds.index(disturbance)).uniform(START_S, end_s, count)
    for number, at_s in enumerate(sorted(instants)):
        check(tmp_path / f"{number}", disturbance, float(at_s))


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
