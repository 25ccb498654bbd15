"""Journal a whole attempt and be killed at the n-th line of the store's code, for every n; print what was left.

Run as `python -m tests.support.kill_anywhere FOLDER STRIDE`. One process forks all victims: starting an
interpreter for each would take minutes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import bmsctl.store
from bmsctl.domain.events import StepFinished
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StoreError
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.recovery import close_crashed
from bmsctl.store.verify import examine
from tests.support.attempts import ENDED_AT, StoryClock, closed, good_story, on_loop, opened

STORE_CODE = str(Path(bmsctl.store.__file__).parent)


def kill_at(line: int) -> Any:
    """A trace function that kills this process when the store's code reaches its `line`-th line."""
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(STORE_CODE):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def victim(folder: Path, line: int, acknowledged: int) -> None:
    """Journal an attempt; write one byte to `acknowledged` for every event whose commit returned."""

    async def main() -> None:
        sys.settrace(kill_at(line))
        journal = Journal.open(folder, StoryClock())
        log = journal.open_run(opened())
        told = 0
        for event in [*good_story(), StepFinished("precharge", Verdict.PASS, "", 1.5, 2.0)]:
            log.append(event)
            if len(log.events) % 4 == 0:
                await log.commit()
                os.write(acknowledged, b"." * (len(log.events) - told))
                told = len(log.events)
        await log.close(closed())
        os.write(acknowledged, b"." * (len(log.events) - told))
        journal.close()
        sys.settrace(None)

    on_loop(main)


def survive(folder: Path, acknowledged: int) -> list[str]:
    """What is wrong after the kill: before the next start, at it, and after it."""
    problems = []
    before = examine(folder)
    if not before.ok and (acknowledged or "no store" not in str(before.unreadable)):
        problems.append(f"before the next start: {before}")

    async def restart() -> None:
        journal = Journal.open(folder, StoryClock())
        await close_crashed(journal, ENDED_AT, "eol")
        journal.close()

    try:
        on_loop(restart)
        with Reader.open(folder) as reader:
            records = [reader.record(each.record_id) for each in reader.attempts()]
    except StoreError as error:
        return [*problems, f"at the next start: {error}"]
    stored = sum(record["events"]["n"] for record in records if record)
    if stored < acknowledged:
        problems.append(f"{acknowledged} events acknowledged, {stored} stored")
    if any(record is None or record["disposition"] is None for record in records):
        problems.append("an attempt without a disposition")
    after = examine(folder)
    if not after.ok or after.notices:
        problems.append(f"after the next start: {after}")
    return problems


def main() -> None:
    """Kill at every STRIDE-th line until a victim survives to its end."""
    root, stride = Path(sys.argv[1]), int(sys.argv[2])
    problems: dict[int, list[str]] = {}
    for line in count(1, stride):
        folder = root / str(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            victim(folder, line, write)
            os._exit(0)
        os.close(write)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(read, "rb") as pipe:
            acknowledged = len(pipe.read())
        found = survive(folder, acknowledged)
        if found:
            problems[line] = found
        if os.WIFEXITED(status):
            json.dump({"lines": line, "exit": os.WEXITSTATUS(status), "problems": problems}, sys.stdout)
            return


if __name__ == "__main__":
    main()
