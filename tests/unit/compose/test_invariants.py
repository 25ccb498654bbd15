"""The observer of the records finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

from bmsctl.compose.invariants import RecordMonitor
from bmsctl.domain.verdict import Verdict
from bmsctl.store.database import FILE
from tests.support.simulate import Simulation


def test_what_is_shown_but_not_in_the_store_is_found(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1).run()
    head = record["events"]["head_sha256"]
    for record_id, verdict, sha256 in (
        ("no-such-record", Verdict.PASS, head),
        (record["record_id"], Verdict.FAIL, head),
        (record["record_id"], Verdict.PASS, "0" * 64),
    ):
        monitor = RecordMonitor(tmp_path)
        monitor.verdict_shown(record_id, verdict, sha256)
        assert any(finding.startswith("I4") for finding in monitor.finish())
    honest = RecordMonitor(tmp_path)
    honest.verdict_shown(record["record_id"], Verdict.PASS, head)
    assert honest.finish() == []


def test_a_store_that_cannot_be_read_back_is_found(tmp_path: Path) -> None:
    record = Simulation(tmp_path, seed=1).run()
    database = tmp_path / FILE
    whole = database.read_bytes()
    database.write_bytes(b"no database")
    monitor = RecordMonitor(tmp_path)
    monitor.verdict_shown(record["record_id"], Verdict.PASS, record["events"]["head_sha256"])
    database.write_bytes(whole)
    assert any("cannot be read back" in finding for finding in monitor.finish())
