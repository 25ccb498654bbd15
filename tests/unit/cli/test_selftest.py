"""`bmsctl selftest` as a process: exit codes, streams, and a record that verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BMSCTL = [sys.executable, "-m", "bmsctl"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BMSCTL, *arguments], capture_output=True, text=True)


def test_a_good_station_exits_0_and_its_record_can_be_proved_and_told(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store"))
    done = run("selftest", "--world", "sim", "--json", *store)
    record = json.loads(done.stdout)
    assert (done.returncode, record["verdict"], record["station"]) == (0, "PASS", "selftest")
    assert "reset button" in done.stderr
    assert run("records", "verify", *store).returncode == 0
    assert "fit for high voltage" in run("explain", "sim-eol", *store).stdout
    page = Path(run("records", "report", "sim-eol", *store).stdout.strip())
    assert "self-test" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--station FILE"),
        (("--station", "/nowhere.toml"), 2, "/nowhere.toml:1: file: cannot be read"),
        (("--world", "sim", "--station", "x.toml"), 2, "no ports"),
        (("--world", "sim", "--pack", "AS99"), 2, "AS99"),
        (("--world", "moon"), 3, "no world named 'moon'"),
    ],
)
def test_what_cannot_be_tested_leaves_no_store(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run("selftest", "--store", str(tmp_path / "store"), *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()


def test_a_slow_plc_exits_3(tmp_path: Path) -> None:
    script = (
        "import sys; from firmware_stubs import plc; plc.DEAD_MAN_S = 0.45; "
        f"sys.argv = ['bmsctl', 'selftest', '--world', 'sim', '--store', {str(tmp_path / 'store')!r}]; "
        "from bmsctl.cli.main import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 3
    assert "run no step with high voltage" in done.stdout
