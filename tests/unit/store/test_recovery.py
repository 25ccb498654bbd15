"""What a crash leaves open is closed by appending, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.domain.events import ActionDone, ActionIntended, ActionUnknown, AttemptResumed, StepStarted
from bmsctl.errors import StoreError
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.recovery import close_crashed, resumed
from bmsctl.store.verify import verify
from tests.support.attempts import ENDED_AT, RECORD_ID, SERIAL, START_S, StoryClock, good_run, measured, on_loop, opened


def _crash_in_identify(folder: Path, *more: ActionIntended | ActionDone) -> None:
    async def main() -> None:
        journal = Journal.open(folder, StoryClock())
        await good_run(journal, "r-1")
        log = journal.open_run(opened(RECORD_ID, 2, "audit"))
        log.append(StepStarted("identify", 0.0))
        log.append(measured("identify", "docking_voltage", 0.5))
        for event in more:
            log.append(event)
        await log.commit()
        journal.close()

    on_loop(main)


def _recover(folder: Path, station: str = "eol") -> list[dict[str, object]]:
    async def main() -> list[dict[str, object]]:
        journal = Journal.open(folder, StoryClock())
        try:
            return await close_crashed(journal, ENDED_AT, station)
        finally:
            journal.close()

    return on_loop(main)


def test_an_open_attempt_is_closed_as_aborted_and_the_pack_held(tmp_path: Path) -> None:
    _crash_in_identify(tmp_path)
    (record,) = _recover(tmp_path)
    assert (record["record_id"], record["verdict"], record["disposition"]) == (RECORD_ID, "ABORTED", "hold")
    assert str(record["reason"]).startswith("crash")
    assert record["ended_at"] == ENDED_AT
    with Reader.open(tmp_path) as reader:
        stored = reader.record(RECORD_ID)
    assert stored == record
    assert stored is not None
    identify = stored["steps"][0]
    assert (identify["verdict"], identify["measurements"][0]["value"]) == (None, 0.5)
    assert verify(tmp_path) == []


def test_the_closed_ones_stay_as_they_are_and_a_second_start_finds_nothing(tmp_path: Path) -> None:
    _crash_in_identify(tmp_path)
    with Reader.open(tmp_path) as reader:
        before = reader.record("r-1")
    assert len(_recover(tmp_path)) == 1
    assert _recover(tmp_path) == []
    with Reader.open(tmp_path) as reader:
        assert reader.record("r-1") == before


def test_another_station_is_left_alone(tmp_path: Path) -> None:
    _crash_in_identify(tmp_path)
    assert _recover(tmp_path, station="stacking") == []
    assert len(_recover(tmp_path)) == 1


def test_actions_nobody_confirmed_are_unknown(tmp_path: Path) -> None:
    bolt = [ActionIntended(f"bolt-{n}", "nutrunner", "tighten to 9 Nm") for n in (1, 2, 3)]
    _crash_in_identify(tmp_path, bolt[0], ActionDone("bolt-1", "9.0 Nm"), bolt[1], bolt[2])
    _recover(tmp_path)

    async def main() -> list[str]:
        journal = Journal.open(tmp_path, StoryClock())
        events = journal.resume(RECORD_ID).events
        journal.close()
        return [event.action_id for event in events if isinstance(event, ActionUnknown)]

    assert on_loop(main) == ["bolt-2", "bolt-3"]


def test_the_next_attempt_counts_on(tmp_path: Path) -> None:
    _crash_in_identify(tmp_path)
    _recover(tmp_path)

    async def main() -> list[tuple[int, str | None]]:
        journal = Journal.open(tmp_path, StoryClock())
        found = [(each.attempt, each.verdict) for each in journal.attempts(SERIAL, "eol")]
        journal.close()
        return found

    assert on_loop(main) == [(1, "PASS"), (2, "ABORTED")]


def test_a_resumed_attempt_stays_open_and_says_so(tmp_path: Path) -> None:
    bolt = ActionIntended("bolt m1.1 #1", "nutrunner", "tighten to 9 Nm")
    _crash_in_identify(tmp_path, bolt)

    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        log = await resumed(journal, RECORD_ID, ENDED_AT)
        assert log.record_id == RECORD_ID
        assert log.events[-2:] == (bolt, AttemptResumed(ENDED_AT))
        assert [each.record_id for each in journal.open_attempts("eol")] == [RECORD_ID]
        times, events = zip(*journal.history(RECORD_ID), strict=True)
        assert events == log.events
        assert times[0] > times[-1] == START_S, "the process that resumes has a clock of its own"
        journal.close()

    on_loop(main)


def test_there_is_no_history_of_what_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        with pytest.raises(StoreError, match="no record r-9"):
            journal.history("r-9")
        journal.close()

    on_loop(main)
