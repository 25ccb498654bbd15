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
RUN_S = 45.0

Disturbance = Callable[[SimSite, EolStation], None]


def operator(site: SimSite, station: EolStation) -> None:
    station.sequencer.abort("stopped by the operator")


def signal(site: SimSite, station: EolStation) -> None:
    assert site.interrupted is not None
    site.interrupted("SIGTERM")


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


@pytest.mark.parametrize("disturbance", EXPECTED, ids=lambda one: one.__name__)
@pytest.mark.parametrize("part", range(4))
def test_every_way_out_is_safe(tmp_path: Path, disturbance: Disturbance, part: int) -> None:
    kinds = list(EXPECTED)
    instants = np.random.default_rng(kinds.index(disturbance)).uniform(1.5, RUN_S, INSTANTS // len(kinds))
    for number, at_s in enumerate(instants[part::4]):
        simulation = Simulation(tmp_path / f"{number}", seed=number)

        def disturb(site: SimSite, station: EolStation, at_s: float = at_s) -> None:
            asyncio.get_running_loop().call_at(at_s, disturbance, site, station)

        record = simulation.run(disturb)
        site = simulation.world.site
        assert site is not None
        assert all(after_s <= 5.0 for after_s in site.wiring.monitor.safe_after_s)
        assert record["verdict"] in EXPECTED[disturbance], f"at {at_s:.3f} s"
