"""kill -9 anywhere in the store's code: it opens again, what was acknowledged is there, the pack is held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_killed_at_any_line_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.kill_anywhere", str(tmp_path), "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["problems"] == {}
    assert result["exit"] == 0
    assert result["lines"] > 400
