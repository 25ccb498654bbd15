"""`bmsctl analyze balance` on files as a person gives them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.analyze.balance import balance
from tests.reference.balancing import drained_s, level_soc, replayed

CURVE = "soc,voltage_v\n0,3.0\n0.1,3.4\n0.5,3.65\n0.9,4.05\n1,4.18\n"
FLAT = "soc,voltage_v\n0,2.5\n0.1,3.2\n0.4,3.3\n0.6,3.3\n0.95,3.34\n1,3.6\n"
HEADER = "cell,chip,capacity_ah,soc,bleed_ohm\n"
CAPACITY_AH = np.array([157.0, 155.2, 158.1, 156.4, 157.7, 154.9, 157.2, 156.0])
SOC = np.array([0.62, 0.60, 0.615, 0.605, 0.61, 0.63, 0.60, 0.618])
CHIPS = [1, 1, 1, 1, 1, 2, 2, 2]
PACK = HEADER + "".join(
    f"{cell},{chip},{capacity},{soc},33\n"
    for cell, (chip, capacity, soc) in enumerate(zip(CHIPS, CAPACITY_AH, SOC, strict=True), 1)
)


def run(folder: Path, *options: object, pack: str = PACK, curve: str = CURVE) -> Result:
    (folder / "cells.csv").write_text(pack)
    (folder / "ocv.csv").write_text(curve)
    arguments = [str(folder / "cells.csv"), "--ocv", str(folder / "ocv.csv"), *map(str, options)]
    return CliRunner().invoke(balance, arguments)


def told(folder: Path, *options: object, **texts: str) -> dict[str, Any]:
    done = run(folder, *options, "--json", **texts)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def refused(folder: Path, *options: object, **texts: str) -> str:
    done = run(folder, *options, **texts)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr.replace(f"{folder}/", "")


def slots_of(answer: dict[str, Any], names: Sequence[object]) -> list[tuple[float, float, list[int]]]:
    return [
        (slot["start_s"], slot["end_s"], [names.index(cell) for cell in slot["cells"]]) for slot in answer["schedule"]
    ]


@pytest.mark.parametrize(
    "rules", [(), ("--no-adjacent",), ("--max-per-chip", 2), ("--max-per-chip", 1, "--no-adjacent")]
)
@pytest.mark.parametrize("target", ["top", "min", "0.61", "0.58"])
def test_the_plan_bleeds_what_it_says_in_the_shortest_time(
    tmp_path: Path, rules: tuple[object, ...], target: str
) -> None:
    answer = told(tmp_path, *rules, "--target", target)
    assert answer.keys() == {"bleed_s", "bound_s", "makespan_s", "schedule", "note"}
    apart, at_once = "--no-adjacent" in rules, next((rule for rule in rules if isinstance(rule, int)), 8)
    bleed_s = np.array(answer["bleed_s"])
    assert replayed(slots_of(answer, range(1, 9)), 8, CHIPS, at_once, apart) == pytest.approx(bleed_s, abs=1e-6)
    bounds = [bleed_s.max()]
    for chip in (bleed_s[:5], bleed_s[5:]):
        bounds += [chip.sum() / at_once, (chip[1:] + chip[:-1]).max() if apart else 0.0]
    assert answer["bound_s"] == pytest.approx(max(bounds), rel=1e-12)
    assert answer["makespan_s"] == pytest.approx(max(bounds), rel=1e-12)
    assert answer["schedule"][-1]["end_s"] == answer["makespan_s"]


@pytest.mark.parametrize(("target", "level"), [("top", 1.0), ("min", 0.60), ("0.61", 0.61), ("0.58", 0.58)])
def test_bleed_times_are_those_of_drained_cells(tmp_path: Path, target: str, level: float) -> None:
    answer = told(tmp_path, "--target", target)
    points = np.array([[float(text) for text in line.split(",")] for line in CURVE.splitlines()[1:]])
    ends = level_soc(CAPACITY_AH, SOC, level)
    for i, bleed_s in enumerate(answer["bleed_s"]):
        twin_s = drained_s(points[:, 0], points[:, 1], CAPACITY_AH[i], 33.0, SOC[i], ends[i], 20.0)
        assert bleed_s == pytest.approx(twin_s, abs=40.0)


def test_top_is_the_default(tmp_path: Path) -> None:
    assert told(tmp_path) == told(tmp_path, "--target", "top") == told(tmp_path, "--target", "1")


def test_a_person_reads_a_table(tmp_path: Path) -> None:
    done = run(tmp_path, "--no-adjacent")
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(r"^cell  chip  soc     bled to  for h$", done.stdout, re.MULTILINE)
    hours = re.search(r"shortest possible: ([\d.]+) h; this plan: ([\d.]+) h", done.stdout)
    assert hours is not None
    assert hours[1] == hours[2] == f"{told(tmp_path, '--no-adjacent')['bound_s'] / 3600.0:.3f}"


def test_cells_keep_their_names(tmp_path: Path) -> None:
    named = re.sub(r"^(\d),", r"M1.C\1,", PACK, flags=re.MULTILINE)
    assert told(tmp_path, pack=named)["schedule"][0]["cells"][0] == "M1.C1"


def test_a_level_pack_needs_nothing(tmp_path: Path) -> None:
    answer = told(tmp_path, pack=HEADER + "1,1,157,0.6,33\n2,1,157,0.6,33\n")
    assert answer == {"bleed_s": [0.0, 0.0], "bound_s": 0.0, "makespan_s": 0.0, "schedule": [], "note": None}


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("pack", [PACK, HEADER + "1,1,157,0.6,33\n"])
def test_the_plan_is_drawn(tmp_path: Path, suffix: str, pack: str) -> None:
    picture = tmp_path / f"plan{suffix}"
    assert run(tmp_path, "--plot", picture, pack=pack).exit_code == 0
    assert len(picture.read_bytes()) > 1000
    assert "--plot" not in refused(tmp_path, "--plot", tmp_path / "plan.pdf")


def test_a_flat_curve_asks_for_the_charge_history(tmp_path: Path) -> None:
    pack = HEADER + "1,1,100,0.51,33\n2,1,100,0.5,33\n"
    done = run(tmp_path, "--json", pack=pack, curve=FLAT)
    assert done.exit_code == 0
    assert "charge history" in json.loads(done.stdout)["note"]
    assert "charge history" in done.stderr
    assert told(tmp_path, pack=pack)["note"] is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("9,2,0,0.6,33", "cells.csv:10: capacity_ah: 0 is no capacity"),
        ("9,2,nan,0.6,33", "cells.csv:10: capacity_ah: nan is no capacity"),
        ("9,2,inf,0.6,33", "cells.csv:10: capacity_ah: inf is no capacity"),
        ("9,2,157,60,33", "cells.csv:10: soc: 60 is no share from 0 to 1; write 50 % as 0.5"),
        ("9,2,157,nan,33", "cells.csv:10: soc: nan is no share"),
        ("9,2,157,,33", "cells.csv:10: soc: '' is no number"),
        ("9,2,157,0.6,-33", "cells.csv:10: bleed_ohm: -33 is no resistor"),
        ("9,2,157,0.6", "cells.csv:10: bleed_ohm: is missing"),
        ("8,2,157,0.6,33", "cells.csv:10: cell: 8 names no cell of its own"),
        (",2,157,0.6,33", "cells.csv:10: cell: 'nothing' names no cell of its own"),
        ("0,2,157,0.6,33", "cells.csv:10: cell: 0 comes after 8; put the lines in series order"),
        ("9,1,157,0.6,33", "cells.csv:10: chip: '1' is empty, or its cells do not follow each other"),
        ("9,,157,0.6,33", "cells.csv:10: chip: '' is empty"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column(tmp_path: Path, line: str, says: str) -> None:
    assert says in refused(tmp_path, pack=f"{PACK}{line}\n")


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ("soc,voltage_v\n0,3\n0.5,3.6\n0.4,3.7\n", "ocv.csv:4: soc: 0.4 does not rise"),
        ("soc,voltage_v\n0,3\n100,4.2\n", "ocv.csv:3: soc: 100 is no share"),
        ("soc,voltage_v\n0,3\n1,2.9\n", "ocv.csv:3: voltage_v: 2.9 falls"),
        ("soc,voltage_v\n0,3\n1,nan\n", "ocv.csv:3: voltage_v: nan is no cell voltage"),
        ("soc,voltage_v\n0,0\n1,4\n", "ocv.csv:2: voltage_v: 0 is no cell voltage"),
        ("soc,voltage_v\n0.5,3.6\n", "ocv.csv:2: soc: is the only point"),
        ("soc,volts\n0,3\n1,4\n", "ocv.csv:1: column voltage_v is missing"),
        ("soc,voltage_v\n0,3\n0.6,3.7\n", "cells.csv:2: soc: 0.62 is outside the open-circuit curve, 0 to 0.6"),
    ],
)
def test_a_wrong_curve_is_named_by_line_and_column(tmp_path: Path, curve: str, says: str) -> None:
    assert says in refused(tmp_path, curve=curve)


def test_a_cell_that_cannot_lose_enough_is_named(tmp_path: Path) -> None:
    pack = HEADER + "A,1,100,0.05,33\nB,1,20,0.9,33\n"
    says = "cell B would have to be bled below SOC 0, where the curve begins, because cell A lacks so much"
    assert says in refused(tmp_path, pack=pack)


@pytest.mark.parametrize(
    "options", [("--target", "best"), ("--target", "1.5"), ("--target", "nan"), ("--max-per-chip", 0)]
)
def test_wrong_options_are_usage_errors(tmp_path: Path, options: tuple[object, ...]) -> None:
    assert run(tmp_path, *options).exit_code == 2


def test_missing_columns_are_named(tmp_path: Path) -> None:
    assert "cells.csv:1: column chip, bleed_ohm is missing" in refused(
        tmp_path, pack="cell,soc,capacity_ah\n1,0.6,157\n"
    )


def test_one_pack_does_not_start_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text(PACK)
    (tmp_path / "ocv.csv").write_text(CURVE)
    code = (
        "import sys; from bmsctl.cli.analyze.balance import balance; "
        "balance(sys.argv[1:], standalone_mode=False); assert 'numba' not in sys.modules"
    )
    options = [str(tmp_path / "cells.csv"), "--ocv", str(tmp_path / "ocv.csv"), "--max-per-chip", "2", "--no-adjacent"]
    subprocess.run([sys.executable, "-c", code, *options], check=True, capture_output=True)
