"""`bmsctl doctor`: exit codes, the table in any width, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.doctor import doctor
from bmsctl.compose import doctor as examination
from bmsctl.compose.check import Check, State, good
from bmsctl.compose.recipes import INSTALLED
from bmsctl.compose.station_file import StationFile

SEEN = "zq " * 40
GOOD = [good("python", "3.11.7"), Check("timer", State.WARN, SEEN, "end other programs")]
BAD = [*GOOD, Check("can.pack", State.BAD, "socketcan://can0", "plug it in")]


def invoked(monkeypatch: pytest.MonkeyPatch, checks: list[Check], *arguments: str, columns: int = 80) -> Result:
    def examine(station: StationFile | None, store: Path) -> Iterator[Check]:
        yield from checks

    monkeypatch.setattr(examination, "examine", examine)
    return CliRunner().invoke(doctor, arguments, env={"COLUMNS": str(columns)}, standalone_mode=True)


@pytest.mark.parametrize(("checks", "code"), [(GOOD, 0), (BAD, 3)])
def test_warnings_are_allowed_and_bad_news_is_not(
    monkeypatch: pytest.MonkeyPatch, checks: list[Check], code: int
) -> None:
    result = invoked(monkeypatch, checks)
    assert result.exit_code == code
    assert all(check.name in result.output for check in checks)


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    table = json.loads(invoked(monkeypatch, BAD, "--json").output)
    assert table["ok"] is False
    assert [check["state"] for check in table["checks"]] == ["good", "warn", "bad"]
    assert table["checks"][2] == {
        "name": "can.pack",
        "state": "bad",
        "seen": "socketcan://can0",
        "remedy": "plug it in",
    }


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    output = invoked(monkeypatch, BAD, columns=columns).output
    assert "…" not in output
    assert (output.count("z"), output.count("q")) == (SEEN.count("z"), SEEN.count("q"))


def test_a_wrong_station_file_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text("[station]\nname = 1\n")
    result = invoked(monkeypatch, GOOD, "--station", str(path))
    assert result.exit_code == 2
    assert f"{path}:2: station.name" in result.output


def test_the_station_file_reaches_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def examine(station: StationFile | None, store: Path) -> Iterator[Check]:
        assert station is not None
        names.append(station.name)
        yield good("python", "3.11.7")

    monkeypatch.setattr(examination, "examine", examine)
    result = CliRunner().invoke(doctor, ["--station", str(INSTALLED / "stations" / "eol.toml")])
    assert (result.exit_code, names) == (0, ["eol-1"])
