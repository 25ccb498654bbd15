"""A goal as a row of the table, and the figures it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One goal: what was measured, what it is measured against, and what must hold."""

    goal: str
    ours: str
    peer: str
    value: float
    limit: str
    met: bool


def figures(module: str, *arguments: str, fails: bool = False) -> dict[str, Any]:
    """The JSON line a benchmark module prints in a process of its own, which `fails` allows to exit 1."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in ((0, 1) if fails else (0,)) or not done.stdout:
        raise SystemExit(f"{module} exits {done.returncode}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
