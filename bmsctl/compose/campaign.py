"""Many simulated packs, several stations side by side, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

from bmsctl.compose.simulation import simulate_one
from bmsctl.domain.recipe import EOL
from bmsctl.errors import BmsctlError

PATIENCE_S = 1.0
SAFE_WITHIN_S = 10.0
"""Real seconds in which a simulated station that was told to end has made safe."""


@dataclass(frozen=True)
class SimJob:
    """One simulated pack at one station or both; `name` is for whoever reads the outcome.

    `store` None: a temporary one, thrown away.
    """

    name: str
    pack: str
    seed: int
    scenario: str | None = None
    store: Path | None = None
    station: str = EOL


@dataclass(frozen=True)
class SimOutcome:
    """What became of a job: its last record (None: the run broke), and everything the observers found wrong."""

    job: SimJob
    record: Mapping[str, Any] | None
    findings: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str | None:
        """The record's verdict."""
        return None if self.record is None else str(self.record["verdict"])

    @property
    def first_not_pass(self) -> tuple[str, str] | None:
        """Name and verdict of the first step that is not PASS; None if all passed."""
        steps = [] if self.record is None else self.record["steps"]
        return next(((step["name"], str(step["verdict"])) for step in steps if step["verdict"] != "PASS"), None)


Numbered = tuple[int, SimOutcome]


def run_jobs(jobs: Sequence[SimJob], recipes: Path | None, stations: int) -> Iterator[SimOutcome]:
    """The outcomes, in the order of the jobs; job `i` runs on station `i % stations`.

    Ended early, by its consumer or a signal, every station makes the pack on it safe and puts that on record.

    Raises:
        KeyboardInterrupt: a signal ended a run in this process.
        BmsctlError: a station's process was killed.
    """
    if stations == 1:
        yield from (_run(job, recipes) for job in jobs)
        return
    context = multiprocessing.get_context("fork")
    done: Queue[Numbered] = context.Queue()
    numbered = list(enumerate(jobs))
    workers = [context.Process(target=_work, args=(numbered[k::stations], recipes, done)) for k in range(stations)]
    for worker in workers:
        worker.start()
    try:
        yield from _in_order(
            len(jobs), done, lambda: all(worker.is_alive() or worker.exitcode == 0 for worker in workers)
        )
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(SAFE_WITHIN_S)
            worker.kill()
            worker.join()


def _in_order(count: int, done: Queue[Numbered], alive: Any) -> Iterator[SimOutcome]:
    early: dict[int, SimOutcome] = {}
    for index in range(count):
        while index not in early:
            try:
                number, outcome = done.get(timeout=PATIENCE_S)
            except Empty:
                if not alive():
                    raise BmsctlError("a simulated station's process was killed; start again") from None
                continue
            early[number] = outcome
        yield early.pop(index)


def _work(numbered: Sequence[tuple[int, SimJob]], recipes: Path | None, done: Queue[Numbered]) -> None:
    """One station's process. Ctrl-C is the parent's to handle; it ends its workers by SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(KeyboardInterrupt):
        for number, job in numbered:
            done.put((number, _run(job, recipes)))
    done.close()
    done.join_thread()


def _run(job: SimJob, recipes: Path | None) -> SimOutcome:
    if job.store is not None:
        return _run_in(job, recipes, job.store)
    with tempfile.TemporaryDirectory(prefix="bmsctl-") as folder:
        return _run_in(job, recipes, Path(folder) / "store")


def _run_in(job: SimJob, recipes: Path | None, store: Path) -> SimOutcome:
    try:
        result = simulate_one(
            pack=job.pack,
            recipes=recipes,
            seed=job.seed,
            scenario=job.scenario,
            scenario_file=job.name,
            store=store,
            retest_cause=None,
            station=job.station,
        )
    except BmsctlError as error:
        return SimOutcome(job, None, [f"the run broke: {error}"])
    if result.interrupted:
        raise KeyboardInterrupt
    return SimOutcome(job, result.record, result.findings)
