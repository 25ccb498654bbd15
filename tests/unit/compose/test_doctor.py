"""Every part of doctor is heard, also after one has broken."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from bmsctl.compose import doctor, doctor_disk, doctor_machine, doctor_ports, doctor_software
from bmsctl.compose.check import Check, State, good


def test_a_part_that_breaks_is_bad_news_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("no /sys here")

    def fine(*_: object) -> Iterable[Check]:
        yield good("a check", "fine")

    for part in (doctor_software, doctor_machine, doctor_disk):
        monkeypatch.setattr(part, "checks", fine)
    monkeypatch.setattr(doctor_ports, "checks", broken)
    checks = list(doctor.examine(None, tmp_path))
    assert [check.state for check in checks] == [State.GOOD, State.BAD, State.GOOD, State.GOOD]
    assert (checks[1].name, checks[1].seen) == ("ports", "internal error: RuntimeError: no /sys here")
