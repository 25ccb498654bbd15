"""Many simulated packs: outcomes in order whatever ends first, and no process that dies unnoticed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from typing import Any, cast

import pytest

from bmsctl.compose import campaign
from bmsctl.compose.campaign import SimJob, SimOutcome, run_jobs
from bmsctl.compose.simulation import SimResult
from bmsctl.errors import BmsctlError, Refused

JOBS = [SimJob(f"job {seed}", "AS52", seed) for seed in range(6)]


def record(**steps: str | None) -> dict[str, Any]:
    return {"verdict": "PASS", "steps": [{"name": name, "verdict": each} for name, each in steps.items()]}


def simulated(**given: Any) -> SimResult:
    """Seed 2 breaks; the record tells which process made it."""
    if given["seed"] == 2:
        raise Refused("the label is not that of the pack")
    return SimResult(record() | {"seed": given["seed"], "process": os.getpid(), "store": given["store"]}, ["a finding"])


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are forked, so that they have the fake too."""
    monkeypatch.setattr(campaign, "simulate_one", simulated)
    monkeypatch.setattr(campaign, "PATIENCE_S", 0.05)


def records(outcomes: list[SimOutcome]) -> list[Mapping[str, Any]]:
    return [outcome.record for outcome in outcomes if outcome.record is not None]


@pytest.mark.parametrize("stations", [1, 2])
def test_outcomes_come_in_the_order_of_the_jobs_and_a_broken_one_stops_nothing(stations: int) -> None:
    outcomes = list(run_jobs(JOBS, None, stations))
    assert [outcome.job for outcome in outcomes] == JOBS
    assert [each["seed"] for each in records(outcomes)] == [0, 1, 3, 4, 5]
    assert (outcomes[2].record, outcomes[2].verdict, outcomes[2].first_not_pass) == (None, None, None)
    assert outcomes[2].findings == ["the run broke: the label is not that of the pack"]
    assert outcomes[3].findings == ["a finding"]


def test_what_comes_early_waits_for_its_turn() -> None:
    done: Queue[tuple[int, SimOutcome]] = Queue()
    for number in (2, 0, 3, 1):
        done.put((number, SimOutcome(JOBS[number], None)))
    ordered: Any = campaign._in_order(4, cast(Any, done), lambda: True)
    assert [outcome.job.seed for outcome in ordered] == [0, 1, 2, 3]


def test_two_stations_are_two_processes_and_take_turns() -> None:
    made = records(list(run_jobs(JOBS, None, 2)))
    processes = {each["seed"] % 2: each["process"] for each in made}
    assert len({*processes.values(), os.getpid()}) == 3
    assert all(each["process"] == processes[each["seed"] % 2] for each in made)


def test_a_job_without_a_store_has_one_of_its_own_that_is_thrown_away(tmp_path: Path) -> None:
    own, other, kept = records(list(run_jobs([*JOBS[:2], SimJob("kept", "AS52", 7, store=tmp_path)], None, 1)))
    assert kept["store"] == tmp_path
    assert own["store"] != other["store"]
    assert not own["store"].parent.exists()


def test_a_killed_process_raises_instead_of_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(**given: Any) -> SimResult:
        if given["seed"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return simulated(**given)

    monkeypatch.setattr(campaign, "simulate_one", killed)
    outcomes = run_jobs(JOBS, None, 2)
    with pytest.raises(BmsctlError, match="process was killed"):
        list(outcomes)


def test_who_stops_listening_leaves_no_process_behind() -> None:
    outcomes = run_jobs(JOBS, None, 2)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"identify": "PASS", "sleep": "PASS"}, None),
        ({"identify": "PASS", "hvil": "FAIL", "sleep": None}, ("hvil", "FAIL")),
        ({"identify": None, "sleep": None}, ("identify", "None")),
    ],
)
def test_the_first_step_that_is_not_pass(steps: dict[str, str | None], expected: tuple[str, str] | None) -> None:
    assert SimOutcome(JOBS[0], record(**steps)).first_not_pass == expected
