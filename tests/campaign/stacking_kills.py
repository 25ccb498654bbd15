"""A stacking station killed by SIGKILL at journal boundaries, started again, and finished, at the same far end.

`python -m tests.campaign.stacking_kills` kills at every transaction, `… 20` at every twentieth, at each of the places
of `tests.campaign.kills` in turn; `… 1 all` at all places of every transaction. The far end lives on a tape: tools turn
and people act while nobody listens, and the results wait in the tightening controller.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.stacking import run_stacking
from bmsctl.compose.station import Order
from bmsctl.domain.packml import Mode
from bmsctl.domain.world import Site
from bmsctl.store.reader import Reader
from bmsctl.store.verify import verify
from firmware_stubs.sim.tape import OUTAGE_S, Tape
from firmware_stubs.world import SimWorld
from tests.campaign.kills import PLACES, arm, die, in_a_process

SEED = 31
BOOK = RecipeBook(None)
RECIPE = BOOK.by_pack("AS52")
TAPE = "tape"
NOWHERE = -1
"""A transaction at which nobody is killed."""

Record = Mapping[str, Any]


def build(folder: Path, dies_s: float | None = None, outage_s: float = OUTAGE_S) -> tuple[Record, list[str]]:
    """Begin a pack, or resume it; its record, and what the observers found wrong.

    Args:
        dies_s: when the program is killed, by loop time.
        outage_s: since an earlier one was.
    """
    world = SimWorld(RECIPE, seed=SEED, scenario=None, at="stacking", tape=Tape(folder / TAPE, outage_s))
    order = Order(RECIPE, world.name, world.simulated, Mode.ENGINEERING)
    records = RecordMonitor(folder / "store")

    def main(site: Site) -> Awaitable[Record]:
        if dies_s is not None:
            asyncio.get_running_loop().call_at(dies_s, die)
        return run_stacking(site, folder / "store", order, records, BOOK.image)

    record = world.run(main)
    return record, world.findings() + records.finish()


def built(
    folder: Path, at: int = NOWHERE, place: str = "", dies_s: float | None = None, outage_s: float = OUTAGE_S
) -> tuple[int, bytes, Record | None, list[str]]:
    """As `build`, in a process of its own that is killed at a transaction, or at a time: its status, what it
    acknowledged, and what it made."""
    folder.mkdir(exist_ok=True)
    made = folder / "made.json"
    made.unlink(missing_ok=True)

    def work(pipe: int) -> None:
        arm(at, place, pipe)
        made.write_text(json.dumps(build(folder, dies_s, outage_s)))

    status, written = in_a_process(work)
    record, findings = json.loads(made.read_text()) if made.exists() else (None, [])
    return status, written, record, findings


def undisturbed(folder: Path) -> tuple[Record, int]:
    """The record of a run that nobody kills, and in how many transactions it was written."""
    status, written, record, findings = built(folder)
    assert (status, findings) == (0, [])
    assert record is not None
    assert record["verdict"] == "PASS", record["reason"]
    return record, len(written) // 2


def check_kill(
    folder: Path,
    whole: Record,
    at: int = NOWHERE,
    place: str = "",
    dies_s: float | None = None,
    outage_s: float = OUTAGE_S,
) -> Record | None:
    """Kill, start again, finish: the pack is as one that was built without; its record as the kill had left it."""
    status, written, _, _ = built(folder, at, place, dies_s)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    acknowledged = sum(written[i] << 8 | written[i + 1] for i in range(0, len(written), 2))
    left = stored(folder / "store")
    assert left is None or left["events"]["n"] >= acknowledged
    if left is not None and left["verdict"] is not None:
        assert parts_of(left) == parts_of(whole)
        return left
    status, _, record, findings = built(folder, outage_s=outage_s)
    assert (status, findings) == (0, [])
    assert record is not None
    assert (record["verdict"], record["attempt"]) == ("PASS", 1), record["reason"]
    assert parts_of(record) == parts_of(whole)
    assert names_of(record) == names_of(whole)
    assert set(measured(left)) <= set(measured(record))
    assert tightenings(left) == tightenings(record)[: len(tightenings(left))]
    assert verify(folder / "store") == []
    return left


def shown(folder: Path, task: str) -> list[float]:
    """When the person was shown a task that a device reports as done, by loop time."""
    entries = [json.loads(line) for line in (folder / TAPE).read_text().splitlines()]
    return [t_s for t_s, kind, *what in entries if (kind, *what[1:2]) == ("call", "show") and what[2]["task"] == task]


def stored(store: Path) -> Record | None:
    """The only attempt as the store has it; None if it was never written."""
    if not (store / "store.db").exists():
        return None
    with Reader.open(store) as reader:
        attempts = reader.attempts()
        return reader.record(attempts[0].record_id) if attempts else None


def parts_of(record: Record) -> list[tuple[Any, ...]]:
    """Every part that ever was in, with the names of its incoming data, and how often and how it was tightened."""
    return [
        (
            *(part[key] for key in ("slot", "part_number", "serial", "lot", "removed_reason")),
            tuple(value["name"] for value in part["incoming"]),
            tuple((each["parameter_set"], each["ok"]) for each in part["tightenings"]),
        )
        for part in record["genealogy"]
    ]


def names_of(record: Record) -> list[tuple[str, list[str]]]:
    """What each step measured, by name."""
    return [(step["name"], sorted(each["name"] for each in step["measurements"])) for step in record["steps"]]


def measured(record: Record | None) -> Iterator[tuple[str, str, float | None]]:
    """Every value."""
    for step in () if record is None else record["steps"]:
        for each in step["measurements"]:
            yield step["name"], each["name"], each["value"]


def tightenings(record: Record | None) -> list[int]:
    """What the controller calls them."""
    parts: Sequence[Any] = () if record is None else record["genealogy"]
    return [each["tightening_id"] for part in parts for each in part["tightenings"]]


def boundaries(transactions: int, every: int, all_places: bool = False) -> Iterator[tuple[int, str]]:
    """Every so many transactions, at one place after the other, or at all."""
    for number, at in enumerate(range(0, transactions, every)):
        for place in PLACES if all_places else (PLACES[number % len(PLACES)],):
            yield at, place


def wrong_after(folder: Path, whole: Record, kill: tuple[int, str]) -> str:
    """What is wrong after a kill at a transaction and place; empty if nothing is."""
    at, place = kill
    try:
        check_kill(folder / f"{at}-{place}", whole, at, place)
    except AssertionError as error:
        return f"transaction {at}, {place}: {error}\n"
    return ""


def main(every: int, all_places: bool) -> int:
    """Kill, as often at a time as there are processors, and count what went wrong; 0 if nothing did."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, transactions = undisturbed(folder / "whole")
        kills = list(boundaries(transactions, every, all_places))
        with get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
            for text in pool.imap_unordered(partial(wrong_after, folder, whole), kills):
                wrong += bool(text)
                sys.stdout.write(text)
    sys.stdout.write(f"{len(kills)} kills in {transactions} transactions, {wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1, sys.argv[2:] == ["all"]))
