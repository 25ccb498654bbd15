"""The same seed gives the same bytes: in two processes, under any hash seed, and in any order of ready tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from firmware_stubs.sim.loop import Timer, VirtualLoop
from tests.support.simulate import Simulation, defect

COMMAND = [sys.executable, "-m", "bmsctl", "sim", "run", "--pack", "AS52", "--station", "eol", "--json"]


def process(store: Path, seed: int, hash_seed: str) -> bytes:
    done = subprocess.run(
        [*COMMAND, "--seed", str(seed), "--store", str(store)],
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
    )
    return done.stdout


def test_two_processes_with_different_hash_seeds_print_the_same_bytes(tmp_path: Path) -> None:
    first = process(tmp_path / "a", 11, "0")
    second = process(tmp_path / "b", 11, "4242")
    assert first == second
    assert first != process(tmp_path / "c", 12, "0")


class ShuffledReady(deque[Timer]):
    """Lets the later of two waiting tasks run first; frames and timers keep their order."""

    def __init__(self) -> None:
        super().__init__()
        self.swaps = 0

    def popleft(self) -> Timer:
        if len(self) > 1 and self[0].resumes_task and self[1].resumes_task:
            self.swaps += 1
            self[0], self[1] = self[1], self[0]
        return super().popleft()


@pytest.mark.parametrize("scenario", [None, defect("contactor_stuck_open", which="main_plus")])
def test_another_order_of_ready_tasks_gives_the_same_record(tmp_path: Path, scenario: str | None) -> None:
    plain = Simulation(tmp_path / "plain", seed=21, scenario=scenario)
    shuffled = Simulation(tmp_path / "shuffled", seed=21, scenario=scenario)
    loop = shuffled.world.loop
    assert isinstance(loop, VirtualLoop)
    loop._ready = ready = ShuffledReady()
    assert json.dumps(plain.run()) == json.dumps(shuffled.run())
    assert ready.swaps > 0
