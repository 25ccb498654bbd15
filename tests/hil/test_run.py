"""`python -m hil run`: a station on a bench in real time."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from bmsctl.errors import StoreError
from bmsctl.store.reader import Reader
from hil.bench import Bench

PATIENCE_S = 60.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hil", *arguments]


def test_an_interrupted_run_is_made_safe_and_recorded(bench: Bench, tmp_path: Path) -> None:
    scenario = tmp_path / "estop.toml"
    scenario.write_text('[[fault]]\nkind = "safety.estop"\nstep = "identify"\nafter = "20 s"\n')
    where = ("--folder", str(bench.layout.folder), "--store", str(tmp_path / "store"))
    run = subprocess.Popen(
        command("run", "--seed", "3", "--scenario", str(scenario), "--json", *where),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not _begun(tmp_path / "store"):
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, told = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
        run.communicate()
    record = json.loads(out)
    assert run.returncode == 130, told
    assert (record["world"], record["simulated"], record["mode"]) == ("hil", True, "Engineering")
    assert record["verdict"] == "ABORTED"
    assert record["reason"] == "interrupted by SIGINT"
    assert record["steps"][-1]["name"] == "make_safe"
    assert record["steps"][-1]["verdict"] == "PASS"


def _begun(store: Path) -> bool:
    """Whether an attempt is on record."""
    with contextlib.suppress(StoreError), Reader.open(store) as reader:
        return bool(reader.attempts())
    return False


def test_without_a_bench_in_the_folder_named_nothing_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        command("run", "--folder", str(tmp_path), "--store", str(tmp_path / "store")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"no bench is up there; start one with `python -m hil up --folder {tmp_path}`" in done.stderr


def test_a_campaign_tells_what_it_would_run() -> None:
    done = subprocess.run(
        command("campaign", "--list", "--json", "--faults", "D2"), capture_output=True, text=True, check=True
    )
    assert [row["device"] for row in json.loads(done.stdout)] == ["bms", "matrix"]
