"""`bmsctl analyze grr` on files as a person gives them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.analyze.grr import grr
from tests.support.strd.aiag import ROWS

Rows = Sequence[tuple[object, ...]]


def run(folder: Path, rows: Rows, *options: object) -> Result:
    lines = ["part,appraiser,trial,value", *(",".join(map(str, row)) for row in rows)]
    (folder / "study.csv").write_text("\n".join(lines))
    return CliRunner().invoke(grr, [str(folder / "study.csv"), *map(str, options)])


def told(folder: Path, rows: Rows, *options: object) -> dict[str, Any]:
    done = run(folder, rows, "--json", *options)
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def refused(folder: Path, rows: Rows, *options: object) -> str:
    done = run(folder, rows, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("options", [(), ("--method", "average-range")])
def test_the_worked_example_by_averages_and_ranges(tmp_path: Path, options: Sequence[str]) -> None:
    answer = told(tmp_path, ROWS, *options)
    printed = {"ev": 0.20188, "av": 0.22963, "grr": 0.30575, "pv": 1.10456, "tv": 1.14610}
    for name, value in printed.items():
        assert answer[name] == pytest.approx(value, abs=5e-5), name
    assert (answer["ndc"], round(answer["percent_grr"], 2)) == (5, 26.68)


def test_the_worked_example_by_anova(tmp_path: Path) -> None:
    answer = told(tmp_path, ROWS, "--method", "anova")
    printed = {"ev": 0.199933, "av": 0.226838, "grr": 0.302373, "pv": 1.042327}
    for name, value in printed.items():
        assert answer[name] == pytest.approx(value, abs=1.5e-6), name
    assert (answer["ndc"], round(answer["percent_grr"], 1), answer["interaction"]) == (4, 27.9, 0.0)
    assert (answer["parts"], answer["appraisers"], answer["trials"]) == (10, 3, 3)


def test_a_missing_measurement_is_refused_by_name(tmp_path: Path) -> None:
    without = [row for row in ROWS if row[:3] != ("4", "C", "3")]
    assert "study.csv: measurements are missing: part 4, appraiser C: trial 3" in refused(tmp_path, without)
    assert "column value is missing" in CliRunner().invoke(grr, [str(_file(tmp_path, "part,appraiser,trial\n"))]).stderr


def _file(folder: Path, text: str) -> Path:
    (folder / "other.csv").write_text(text)
    return folder / "other.csv"


def test_alike_parts_and_a_dead_system(tmp_path: Path) -> None:
    alike = [(part, name, trial, 1.0 + 0.1 * trial) for part in (1, 2) for name in "AB" for trial in (1, 2)]
    answer = told(tmp_path, alike)
    assert (answer["ndc"], answer["percent_grr"]) == (0, 100.0)
    dead = run(tmp_path, [(*row[:3], 1.0) for row in alike], "--json")
    answer = json.loads(dead.stdout)
    assert (answer["ndc"], answer["percent_grr"], answer["grr"]) == (None, None, 0.0)
    assert "too coarse to be judged" in dead.stderr


def test_a_table_for_people(tmp_path: Path) -> None:
    done = run(tmp_path, ROWS)
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["repeatability", "(EV)", "0.201857", "17.61", "%"]
    assert lines[-1] == "number of distinct categories: 5"
    dead = run(tmp_path, [(*row[:3], 1.0) for row in ROWS])
    assert dead.stdout.splitlines()[-1] == "number of distinct categories: -"


def test_a_picture(tmp_path: Path) -> None:
    assert run(tmp_path, ROWS, "--plot", tmp_path / "study.svg").exit_code == 0
    assert "% of total variation" in (tmp_path / "study.svg").read_text()
    assert "a picture is .svg or .png" in refused(tmp_path, ROWS, "--plot", tmp_path / "study.txt")


def test_the_command_needs_no_compiler(tmp_path: Path) -> None:
    run(tmp_path, ROWS)
    script = (
        f"import sys; from bmsctl.cli.analyze.grr import grr; grr(['{tmp_path}/study.csv'], standalone_mode=False); "
        "assert 'numba' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
