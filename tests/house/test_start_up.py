"""The command starts without what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "numba",
    "can",
    "sqlalchemy",
    "fastapi",
    "alembic",
    "cantools",
    "rich",
    "transitions",
    "argon2",
    "cryptography",
)

SCRIPT = """
import json, os, sys
os._exit = sys.exit
sys.argv = ["bmsctl", {argument!r}]
from bmsctl.cli.main import run
try:
    run()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(argument=argument)], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "bmsctl.cli.main" in loaded
    assert loaded.isdisjoint(HEAVY)
