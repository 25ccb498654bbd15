"""Traces read back: as recorded, of a repeated step only those that count, and never damaged ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from bmsctl.domain.events import AttemptClosed, StepFinished, StepRepeated, StepStarted
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StoreError
from bmsctl.store.journal import Journal
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine
from tests.support.attempts import RECORD_ID, StoryClock, closed, measured, on_loop, opened, store_of


def repeated(folder: Path, second_ohm: float, end: AttemptClosed) -> None:
    """Store an attempt whose last step was repeated after a bad value and two traces."""

    async def main() -> None:
        journal = Journal.open(folder, StoryClock())
        log = journal.open_run(opened())
        log.append(StepStarted("identify", 0.0))
        log.append(measured("identify", "docking_voltage", 0.0))
        log.add_trace("identify", "cells_at_arrival", "V", None, np.full(3, 3.6))
        log.append(StepFinished("identify", Verdict.PASS, "", 0.0, 1.0))
        log.append(StepStarted("precharge", 1.0))
        log.add_trace("precharge", "link_voltage", "V", 10.0, np.zeros(4))
        log.add_trace("precharge", "only_the_first_time", "V", 10.0, np.zeros(4))
        log.append(measured("precharge", "resistance", 80.0))
        log.append(StepRepeated("precharge", "cycler: has restarted"))
        log.append(measured("precharge", "resistance", second_ohm))
        log.add_trace("precharge", "link_voltage", "V", 20.0, np.array([1.0, np.nan]))
        log.append(StepFinished("precharge", end.verdict, end.reason, 1.0, 3.0))
        await log.close(end)
        journal.close()

    on_loop(main)


def test_of_a_repeated_step_only_the_last_time_is_told_and_all_of_it_verifies(tmp_path: Path) -> None:
    repeated(tmp_path, 50.0, closed())
    report = examine(tmp_path)
    assert (report.ok, report.n_runs, report.findings) == (True, 1, [])
    with Reader.open(tmp_path) as reader:
        told = reader.told(RECORD_ID)
    assert set(told.traces) == {("identify", "cells_at_arrival"), ("precharge", "link_voltage")}
    link = told.traces["precharge", "link_voltage"]
    assert (link.unit, link.sample_rate_hz) == ("V", 20.0)
    np.testing.assert_array_equal(link.values, [1.0, np.nan])
    assert told.traces["identify", "cells_at_arrival"].sample_rate_hz is None
    precharge = told.record["steps"][1]
    assert [each["value"] for each in precharge["measurements"]] == [50.0]
    assert [each["name"] for each in precharge["traces"]] == ["link_voltage"]


def test_a_bad_value_after_the_repetition_does_not_verify_as_a_pass(tmp_path: Path) -> None:
    repeated(tmp_path, 80.0, closed())
    whats = [finding.what for finding in examine(tmp_path).findings]
    assert any("its measurements give FAIL" in what for what in whats)


@pytest.mark.parametrize("sql", ["DELETE FROM trace", "UPDATE trace SET data = zeroblob(length(data))"])
def test_a_damaged_trace_is_refused_and_the_record_still_read(tmp_path: Path, sql: str) -> None:
    (record,) = store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute(sql)
    with Reader.open(tmp_path) as reader:
        with pytest.raises(StoreError, match=r"trace link_voltage of step precharge is damaged"):
            reader.told(record["record_id"])
        assert reader.record(record["record_id"]) == record
