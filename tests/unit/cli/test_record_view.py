"""A record's parts for a person: each with the bolts that hold it, and what was taken out with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bmsctl.cli.record_view import WIDTH, print_record, print_records

HEAD: dict[str, Any] = {
    "record_id": "r-1",
    "pack_serial": "AS52000000001",
    "station": "stacking",
    "attempt": 1,
    "verdict": "PASS",
    "reason": None,
    "disposition": "release",
    "started_at": "2026-01-01T00:00:00Z",
    "ended_at": "2026-01-01T00:20:00Z",
    "steps": [],
}


def part(slot: str, serial: str | None = None, lot: str | None = None, removed: str | None = None) -> dict[str, Any]:
    told = {"slot": slot, "part_number": "295X", "serial": serial, "lot": lot, "removed_reason": removed}
    return told | {"incoming": [], "tightenings": []}


def bolt(name: str, torque: float | None, removed: str | None = None) -> dict[str, Any]:
    tightening = {"tightening_id": 1, "parameter_set": 3, "ok": True, "torque": torque, "angle": 90.0, "at": ""}
    return part(f"bolt {name}", removed=removed) | {"tightenings": [tightening]}


def shown(parts: Sequence[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_record(HEAD | {"genealogy": parts}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    return lines[lines.index("parts") + 1 :]


def test_bolts_are_told_with_the_part_that_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [
        part("module 1", "M-1", "L1"),
        part("module 2", "M-2", "L1", "replaced"),
        bolt("m1.1", 24.5),
        bolt("m1.2", 25.25),
        bolt("m1.3", 31.0, "torque: above 27.5 Nm"),
        part("bolt m1.3"),
        bolt("m2.1", 25.0, "came off with module 2"),
    ]
    assert [line.split() for line in shown(parts, capsys)] == [
        ["module", "1", "295X", "M-1", "lot", "L1"],
        ["2", "bolts,", "24.5", "Nm", "…", "25.25", "Nm,", "90", "deg", "…", "90", "deg:", "m1.1,", "m1.2"],
        ["1", "bolt", "without", "a", "tightening", "on", "record:", "m1.3"],
        ["1", "bolt", "out,", "torque:", "above", "27.5", "Nm:", "m1.3"],
        ["module", "2", "295X", "M-2", "lot", "L1", "out:", "replaced"],
        ["module", "2", "is", "out"],
        ["1", "bolt", "out,", "came", "off", "with", "module", "2:", "m2.1"],
    ]


def test_a_torque_that_nobody_knows_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no value in Nm" in shown([part("cover"), bolt("c1", None)], capsys)[1]


def test_many_bolts_stay_within_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown([part("cover"), *(bolt(f"c{number}", 10.0) for number in range(1, 51))], capsys)
    assert len(lines) > 3
    assert all(len(line) <= WIDTH for line in lines)


def test_a_record_without_parts_has_no_heading_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(HEAD | {"genealogy": []}, as_json=False)
    assert "parts" not in capsys.readouterr().out


def test_several_records_are_an_array_or_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    records = [HEAD | {"genealogy": []}, HEAD | {"genealogy": [], "station": "eol"}]
    print_records([], as_json=True)
    assert capsys.readouterr().out == "[]\n"
    print_records(records, as_json=False)
    assert [line.split(", ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("PASS")] == [
        "stacking attempt 1",
        "eol attempt 1",
    ]
