"""`bmsctl analyze spc` on files as a person gives them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.analyze.spc import spc
from tests.support.strd import MAVRO, MICHELSO

TWO = "key,value,lower,upper\n" + "".join(
    f"a,{value},5,15\nb,{value + 1 if value != 13 else 99},,\n" for value in (10, 12, 11, 13, 9)
)


def run(folder: Path, text: str, *options: object) -> Result:
    (folder / "values.csv").write_text(text)
    return CliRunner().invoke(spc, [str(folder / "values.csv"), *map(str, options)])


def told(folder: Path, text: str, *options: object) -> dict[str, Any]:
    done = run(folder, text, "--json", *options)
    assert (done.exit_code, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


def refused(folder: Path, text: str, *options: object) -> str:
    done = run(folder, text, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


def test_figures_of_each_key(tmp_path: Path) -> None:
    answer = told(tmp_path, TWO)
    assert list(answer) == ["a", "b"]
    a, b = answer["a"], answer["b"]
    assert (a["n"], a["missing"], a["mean"]) == (5, 0, 11.0)
    assert a["sd_within"] == pytest.approx(2.25 / 1.128)
    assert a["sd_overall"] == pytest.approx(math.sqrt(2.5))
    assert (a["cp"], a["cpk"]) == pytest.approx((10.0 / 6.0 * 1.128 / 2.25, 4.0 / 3.0 * 1.128 / 2.25))
    assert (a["pp"], a["ppk"]) == pytest.approx((10.0 / 6.0 / math.sqrt(2.5), 4.0 / 3.0 / math.sqrt(2.5)))
    assert (a["lcl"], a["ucl"]) == pytest.approx((11.0 - 2.66 * 2.25, 11.0 + 2.66 * 2.25))
    assert [b[name] for name in ("cp", "cpk", "pp", "ppk", "lower", "upper")] == [None] * 6


def test_rules_name_the_values_of_their_key(tmp_path: Path) -> None:
    values = [0.0, 1.0] * 20
    values[30] = 9.0
    rows = "".join(f"other,0\nkey,{value}\n" for value in values)
    answer = told(tmp_path, f"key,value\n{rows}")
    assert answer["key"]["rule_hits"]["1"] == [30]
    assert answer["other"]["rule_hits"] == {}


def test_one_limit_one_value_and_what_is_missing(tmp_path: Path) -> None:
    answer = told(tmp_path, "key,value,upper\na,1,9\na,,9\na,3,9\na,nan,\nb,5,\n")
    assert (answer["a"]["n"], answer["a"]["missing"]) == (2, 2)
    assert answer["a"]["cp"] is None
    assert answer["a"]["pp"] is None
    assert answer["a"]["ppk"] == pytest.approx(7.0 / (3.0 * math.sqrt(2.0)))
    assert answer["a"]["sd_within"] is None
    b = answer["b"]
    assert (b["n"], b["mean"], b["sd_overall"], b["lcl"], b["rule_hits"]) == (1, 5.0, None, None, {})


def test_certified_series(tmp_path: Path) -> None:
    rows = [f"{name},{value!r}" for name, data in (("m", MICHELSO), ("v", MAVRO)) for value in data.values]
    answer = told(tmp_path, "\n".join(["key,value", *rows]))
    for name, data in (("m", MICHELSO), ("v", MAVRO)):
        found = answer[name]["mean"], answer[name]["sd_overall"], answer[name]["autocorrelation"]
        assert found == pytest.approx((data.mean, data.sd, data.autocorrelation), rel=1e-9)


def test_a_table_for_people(tmp_path: Path) -> None:
    done = run(tmp_path, TWO + "b,,,\n")
    header, a, b = done.stdout.splitlines()
    assert header.split()[:4] == ["key", "n", "missing", "mean"]
    assert a.split()[:4] == ["a", "5", "0", "11"]
    assert b.split()[6:10] == ["-", "-", "-", "-"]
    assert done.stderr == "values are missing of b; figures are of those that are there\n"


def test_only_the_keys_asked_for(tmp_path: Path) -> None:
    assert list(told(tmp_path, TWO, "--key", "b")) == ["b"]
    assert "has no key c (found: a, b)" in refused(tmp_path, TWO, "--key", "c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key\na\n", "column value is missing"),
        ("key,value\na,x\n", "values.csv:2: value: 'x' is no number"),
        ("key,value,lower,upper\na,1,3,2\n", "3 is not below the upper limit 2"),
        ("key,value\n", "has no values"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_no_such_file() -> None:
    done = CliRunner().invoke(spc, ["/nowhere.csv"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "/nowhere.csv: cannot be read" in done.stderr


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_of_individuals_and_ranges(tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / f"chart.{suffix}"
    done = run(tmp_path, TWO + "a,,,\nc,1,,\n", "--plot", picture)
    assert done.exit_code == 0
    data = picture.read_bytes()
    if suffix == "svg":
        assert all(text in data.decode() for text in ("a: individuals", "c: moving ranges"))
    else:
        assert data.startswith(b"\x89PNG")


def test_pictures_that_cannot_be_drawn(tmp_path: Path) -> None:
    assert "a picture is .svg or .png" in refused(tmp_path, TWO, "--plot", tmp_path / "chart.pdf")
    many = "key,value\n" + "".join(f"k{number},1\n" for number in range(13))
    assert "choose up to 12 by --key" in refused(tmp_path, many, "--plot", tmp_path / "chart.svg")
    assert not (tmp_path / "chart.svg").exists()


def test_the_command_needs_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "values.csv").write_text(TWO)
    script = (
        f"import sys; from bmsctl.cli.analyze.spc import spc; spc(['{tmp_path}/values.csv'], standalone_mode=False); "
        "assert 'numba' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
