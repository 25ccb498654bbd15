"""`bmsctl sim run` as a process: exit codes, streams and signals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = [sys.executable, "-m", "bmsctl", "sim", "run", "--pack", "AS52", "--station", "eol"]
WELD = '[[defect]]\nkind = "contactor_welded"\nwhich = "main_plus"\n'


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True)


def test_pass_fail_and_retest(tmp_path: Path) -> None:
    scenario = tmp_path / "weld.toml"
    scenario.write_text(WELD)
    store = ("--store", str(tmp_path / "store"))
    failed = run("--seed", "4", "--scenario", str(scenario), "--json", *store)
    record = json.loads(failed.stdout)
    page = tmp_path / "store" / "reports" / f"{record['record_id']}.html"
    assert (failed.returncode, record["verdict"], failed.stderr) == (1, "FAIL", f"report: {page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    refused = run("--seed", "4", *store)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "--retest" in refused.stderr
    again = run("--seed", "4", "--retest", "new contactor box", "--json", *store)
    assert (again.returncode, json.loads(again.stdout)["attempt"]) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "-1"], "--seed"),
        (["--seed", "1000000000000"], "--seed"),
        (["--seed", "1", "--pack", "AS99"], "AS52"),
        (["--seed", "1", "--scenario", "/nowhere.toml"], "/nowhere.toml"),
        (["--seed", "1", "--scenario", "/dev/zero"], "256 KiB"),
        (["--seed", "1", "--scenario", "/"], "is a directory"),
        (["--seed", "1", "--retest", "scratched", "--replace", "module 2"], "--station stacking"),
        (["--seed", "1", "--station", "stacking", "--replace", "module 2"], "--retest"),
    ],
)
def test_usage_errors_exit_2_and_make_no_record(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_store_exits_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = run("--seed", "1", "--store", str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (3, "")
    assert str(tmp_path / "file") in done.stderr


def test_a_full_disk_behind_stdout_is_said_and_the_record_kept(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*RUN, "--seed", "1", "--store", str(tmp_path)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert "No space left" in done.stderr
    verified = subprocess.run([sys.executable, "-m", "bmsctl", "records", "verify", "--store", str(tmp_path)])
    assert verified.returncode == 0


IN_THE_MIDDLE = """
import os, signal, sys
sys.argv = ["bmsctl", *sys.argv[1:]]
from bmsctl.cli.main import run
from bmsctl.stations.run import Run
execute = Run._execute_step

async def interrupted(self, recipe, scope):
    if recipe.run == "contactors_open":
        for _ in range(20):
            os.kill(os.getpid(), signal.{name})
    await execute(self, recipe, scope)

Run._execute_step = interrupted
run()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_twenty_signals_in_the_middle_make_safe_and_exit_130(tmp_path: Path, name: str) -> None:
    script = IN_THE_MIDDLE.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", script, *RUN[3:], "--seed", "2", "--json", "--store", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    record = json.loads(done.stdout)
    assert (done.returncode, record["verdict"], record["disposition"]) == (130, "ABORTED", "hold")
    assert name in record["reason"]
    make_safe = record["steps"][-1]
    assert (make_safe["name"], make_safe["verdict"]) == ("make_safe", "PASS")


BEFORE_THE_STATION = """
import os, signal, sys
sys.argv = ["bmsctl", *sys.argv[1:]]
from bmsctl.cli.main import run
from bmsctl.store.journal import Journal
opened = Journal.open.__func__

def interrupted(cls, folder, clock):
    journal = opened(cls, folder, clock)
    os.kill(os.getpid(), signal.SIGTERM)
    return journal

Journal.open = classmethod(interrupted)
run()
"""


def test_a_signal_before_the_station_listens_starts_no_pack(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_THE_STATION, *RUN[3:], "--seed", "2", "--json", "--store", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (130, "")


@pytest.mark.parametrize("command", [RUN[3:], ["records", "list"]], ids=["sim run", "records list"])
def test_an_empty_store_name_is_a_usage_error(tmp_path: Path, command: list[str]) -> None:
    arguments = [*command, "--store", "", *(["--seed", "1"] if command[0] == "sim" else [])]
    done = subprocess.run([sys.executable, "-m", "bmsctl", *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
