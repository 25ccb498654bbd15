"""`bmsctl analyze warmup`: what it compiles, what it skips, and a cache that cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

import bmsctl.analysis
from bmsctl.cli.analyze import warmup as module
from bmsctl.cli.analyze.warmup import families, warm, warmup

KERNEL = """
from bmsctl.analysis.compiled import kernel

@kernel
def double(value):
    return 2 * value

def warm_up():
    double(1)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with a family that has a kernel, and one that has none."""
    folder = tmp_path / "analyses"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "doubling.py").write_text(KERNEL)
    (folder / "plain.py").write_text("def mean(values): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "families", lambda _: ["analyses.doubling", "analyses.plain"])
    import importlib

    yield importlib.import_module("analyses")
    for name in [name for name in sys.modules if name.partition(".")[0] == "analyses"]:
        del sys.modules[name]


def test_families_are_the_modules_of_the_package() -> None:
    found = families(bmsctl.analysis)
    assert {"bmsctl.analysis.spc", "bmsctl.analysis.pulse", "bmsctl.analysis.leak"} <= set(found)
    assert found == sorted(found)


def test_every_family_that_compiles_is_warmed(package: ModuleType) -> None:
    done = CliRunner().invoke(warmup, ["--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    (told,) = json.loads(done.stdout)
    assert (told["family"], told["kernels"]) == ("doubling", ["double"])
    assert told["compiled"] + told["cached"] == 1
    assert told["cpu_s"] > 0.0


def test_a_table_for_people(package: ModuleType) -> None:
    lines = CliRunner().invoke(warmup).stdout.splitlines()
    assert lines[0].split() == ["family", "compiled", "cached", "CPU", "s", "kernels"]
    assert (lines[1].split()[0], lines[1].split()[-1]) == ("doubling", "double")
    assert len(lines) == 2


def test_the_own_kernels_are_warmed() -> None:
    for family, name in (("pulse", "root_time_fits"), ("self_discharge", "rest_slopes"), ("spc", "describe_keys")):
        told = warm(f"bmsctl.analysis.{family}")
        assert told is not None
        assert name in told.kernels
    assert warm("bmsctl.analysis.leak") is None


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("cannot cache function 'double': no locator available")

    monkeypatch.setattr(module, "warm", fail)
    done = CliRunner().invoke(warmup)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "let NUMBA_CACHE_DIR name a folder that you may write" in done.stderr


def test_the_second_run_finds_the_cache(tmp_path: Path) -> None:
    script = (
        "import sys; from bmsctl.cli.analyze.warmup import warm; told = warm('bmsctl.analysis.self_discharge'); "
        "print(told.compiled, told.cached)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    answers = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [each.stdout.strip() for each in answers] == ["1 0", "0 1"]
