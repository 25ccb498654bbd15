"""A real process, killed by SIGKILL at journal boundaries of a run, on a store in a file.

`python -m tests.campaign.kills 1` kills at every transaction, `… 5` at every fifth.

Boundaries of a transaction: before it begins, after its rows are written but not committed, after the
commit but before the head is kept elsewhere, and after that.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmsctl.errors import Refused
from bmsctl.store import heads
from bmsctl.store.reader import Reader
from bmsctl.store.verify import verify
from bmsctl.store.writer import Writer
from tests.support.simulate import Simulation

SEED = 31
PLACES = ("before", "uncommitted", "committed", "headed")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(at: int, place: str, acknowledged: int) -> None:
    """Make this process kill itself at transaction `at`; acknowledge each finished one on a pipe."""
    write, keep = Writer._write, heads.append
    seen = 0

    def counted(self: Writer, batch: Any) -> None:
        nonlocal seen
        if seen == at and place == "before":
            die()
        if seen == at and place == "uncommitted":
            self._connection = DyingAtCommit(self._connection)  # type: ignore[assignment]
        write(self, batch)
        if seen == at:
            die()
        os.write(acknowledged, len(batch.events).to_bytes(2, "big"))
        seen += 1

    def kept(folder: Path, new: Any) -> None:
        if seen == at and place == "committed":
            die()
        keep(folder, new)

    Writer._write = counted  # type: ignore[method-assign]
    heads.append = kept


class DyingAtCommit:
    """A connection that dies where the transaction would be committed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT":
            die()
        return self._connection.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def in_a_process(work: Callable[[int], None]) -> tuple[int, bytes]:
    """Wait status of a child that runs `work(pipe)`, and what it wrote to the pipe."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            work(writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        written = pipe.read()
    _, status = os.waitpid(child, 0)
    return status, written


def transactions(store: Path) -> int:
    status, written = in_a_process(lambda pipe: (arm(-1, "", pipe), Simulation(store, seed=SEED).run())[0])
    assert status == 0
    return len(written) // 2


def check_kill(store: Path, at: int, place: str) -> None:
    status, written = in_a_process(lambda pipe: (arm(at, place, pipe), Simulation(store, seed=SEED).run())[0])
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    acknowledged = sum(written[i] << 8 | written[i + 1] for i in range(0, len(written), 2))
    opened = at > 0 or place in ("committed", "headed")
    closed = verdict_of(store) is not None if opened else False
    if opened and not closed:
        with pytest.raises(Refused, match="cause"):
            Simulation(store, seed=SEED).run()
        assert events_of(store) >= acknowledged + 1
        assert verdict_of(store) == "ABORTED"
        with Reader.open(store) as reader:
            attempt = reader.attempts()[0]
            record = reader.record(attempt.record_id)
        assert record is not None
        assert (record["disposition"], "crash" in record["reason"]) == ("hold", True)
    cause = "power failure" if opened else None
    again = Simulation(store, seed=SEED, retest=cause).run()
    assert (again["verdict"], again["attempt"]) == ("PASS", 2 if opened else 1)
    assert verify(store) == []


def verdict_of(store: Path) -> str | None:
    with Reader.open(store) as reader:
        return reader.attempts()[0].verdict


def events_of(store: Path) -> int:
    with Reader.open(store) as reader:
        record = reader.record(reader.attempts()[0].record_id)
    assert record is not None
    return int(record["events"]["n"])


def main(every: int) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for at in range(0, transactions(Path(folder) / "whole"), every):
            for place in PLACES:
                try:
                    check_kill(Path(folder) / f"{at}-{place}", at, place)
                except AssertionError as error:
                    wrong += 1
                    sys.stdout.write(f"transaction {at}, {place}: {error}\n")
    sys.stdout.write(f"{wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
