"""`bmsctl analyze match` on files as a person gives them."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.analyze.match import match
from tests.reference.matching import keeps, least_spread, most_packs, spread

HEADER = "serial,capacity_ah,dcir_ohm\n"
RANDOM = np.random.default_rng(7)
CAPACITY_AH = np.round(RANDOM.normal(157.0, 1.57, 14), 3).tolist()
DCIR_OHM = np.round(RANDOM.normal(1e-3, 3e-5, 14), 8).tolist()
SERIALS = [f"M{number}" for number in range(14)]
LOT = HEADER + "".join(
    f"{serial},{capacity},{dcir}\n" for serial, capacity, dcir in zip(SERIALS, CAPACITY_AH, DCIR_OHM, strict=True)
)
WINDOWS = ("--capacity-window", 0.02, "--dcir-window", 0.05)


def run(folder: Path, *options: object, lot: str = LOT) -> Result:
    (folder / "lot.csv").write_text(lot)
    return CliRunner().invoke(match, [str(folder / "lot.csv"), *map(str, options)])


def told(folder: Path, *options: object, lot: str = LOT) -> dict[str, Any]:
    done = run(folder, *options, "--json", lot=lot)
    assert done.exit_code == 0, done.output
    answer = dict(json.loads(done.stdout))
    assert answer.keys() == {"packs", "left_over", "bound", "spread"}
    return answer


def refused(folder: Path, *options: object, lot: str = LOT) -> str:
    done = run(folder, *options, lot=lot)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr.replace(f"{folder}/", "")


def places(answer: dict[str, Any]) -> list[list[int]]:
    return [[SERIALS.index(serial) for serial in pack] for pack in answer["packs"]]


@pytest.mark.parametrize("group", [3, 4, 14])
def test_all_modules_but_the_remainder_with_the_least_spread(tmp_path: Path, group: int) -> None:
    answer = told(tmp_path, "--group", group)
    packs = places(answer)
    assert [len(pack) for pack in packs] == [group] * (14 // group)
    assert sorted(itertools.chain(*answer["packs"], answer["left_over"])) == sorted(SERIALS)
    assert answer["spread"] == pytest.approx(spread([CAPACITY_AH, DCIR_OHM], packs), rel=1e-9)
    exact = least_spread([CAPACITY_AH, DCIR_OHM], group)
    assert answer["spread"] == pytest.approx(exact, rel=1e-9)
    assert 0.0 < answer["bound"] <= exact * (1.0 + 1e-12)


@pytest.mark.parametrize(
    ("options", "windows"),
    [
        (WINDOWS, (0.02, 0.05)),
        (WINDOWS[:2], (0.02, np.inf)),
        (WINDOWS[2:], (np.inf, 0.05)),
    ],
)
def test_as_many_packs_as_the_windows_allow(
    tmp_path: Path, options: tuple[object, ...], windows: tuple[float, float]
) -> None:
    answer = told(tmp_path, "--group", 4, *options)
    for values, window in zip((CAPACITY_AH, DCIR_OHM), windows, strict=True):
        assert all(keeps([values[module] for module in pack], window) for pack in places(answer))
    exact = most_packs([CAPACITY_AH, DCIR_OHM], 4, windows)
    assert len(answer["packs"]) == exact > 0
    assert isinstance(answer["bound"], int)
    assert exact <= answer["bound"] <= 3
    assert sorted(itertools.chain(*answer["packs"], answer["left_over"])) == sorted(SERIALS)


def test_no_pack_within_the_windows_is_an_answer(tmp_path: Path) -> None:
    answer = told(tmp_path, "--group", 4, "--capacity-window", 0, "--dcir-window", 0)
    assert answer == {"packs": [], "left_over": SERIALS, "bound": 0, "spread": None}


def test_a_column_without_variance_counts_nothing(tmp_path: Path) -> None:
    flat = HEADER + "".join(f"M{number},0.1,{1 + number // 2}e-3\n" for number in range(4))
    answer = told(tmp_path, "--group", 2, lot=flat)
    assert answer == {"packs": [["M0", "M1"], ["M2", "M3"]], "left_over": [], "bound": 0.0, "spread": 0.0}


def test_a_person_reads_a_table(tmp_path: Path) -> None:
    done = run(tmp_path, "--group", 4)
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(r"^pack  capacity range  resistance range  modules$", done.stdout, re.MULTILINE)
    assert re.search(r"^left over: M\d+ M\d+$", done.stdout, re.MULTILINE)
    answer = told(tmp_path, "--group", 4)
    assert f"spread {answer['spread']:.4f}; less than {answer['bound']:.4f} is impossible" in done.stdout
    windowed = run(tmp_path, "--group", 4, *WINDOWS).stdout
    counts = told(tmp_path, "--group", 4, *WINDOWS)
    assert f"{len(counts['packs'])} packs; more than {counts['bound']} are impossible" in windowed


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("options", [(), WINDOWS, ("--capacity-window", 0, "--dcir-window", 0)])
def test_the_packs_are_drawn(tmp_path: Path, suffix: str, options: tuple[object, ...]) -> None:
    picture = tmp_path / f"packs{suffix}"
    assert run(tmp_path, "--group", 4, *options, "--plot", picture).exit_code == 0
    assert len(picture.read_bytes()) > 1000


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("M3,157,1e-3", "lot.csv:16: serial: M3 stands in line 5, too; keep one"),
        (",157,1e-3", "lot.csv:16: serial: is empty"),
        ("N,0,1e-3", "lot.csv:16: capacity_ah: 0 is no value of a module; it must be above 0"),
        ("N,nan,1e-3", "lot.csv:16: capacity_ah: nan is no value"),
        ("N,inf,1e-3", "lot.csv:16: capacity_ah: inf is no value"),
        ("N,157,-1e-3", "lot.csv:16: dcir_ohm: -0.001 is no value"),
        ("N,157,", "lot.csv:16: dcir_ohm: '' is no number"),
        ("N,157", "lot.csv:16: dcir_ohm: is missing"),
    ],
)
def test_a_wrong_module_is_named_by_line_and_column(tmp_path: Path, line: str, says: str) -> None:
    assert says in refused(tmp_path, "--group", 4, lot=f"{LOT}{line}\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Missing option '--group'"),
        (("--group", 1), "1 is not in the range x>=2"),
        (("--group", 15), "lot.csv: has 14 modules, a pack needs 15"),
        (("--group", 4, "--capacity-window", -0.1), "-0.1 is not in the range"),
        (("--group", 4, "--dcir-window", "nan"), "a window is nan"),
        (("--group", 4, "--plot", "packs.pdf"), "packs.pdf: a picture is .svg or .png"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, options: tuple[object, ...], says: str) -> None:
    assert says in refused(tmp_path, *options)


def test_a_missing_column_or_file_is_named(tmp_path: Path) -> None:
    assert "column dcir_ohm is missing" in refused(tmp_path, "--group", 2, lot="serial,capacity_ah\nM1,1\n")
    done = CliRunner().invoke(match, [str(tmp_path / "none.csv"), "--group", "2"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "none.csv: cannot be read" in done.stderr
