"""What a process would else pay for in the middle of its first run: memory touched and code called for the first time.

A station in real time has 50 ms for an answer. In a guest kernel alone the first call of `numpy.median` takes 0.5 s.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from bmsctl.compose.simulation import simulate_one


def warm_up() -> None:
    """Test one simulated pack and forget it. What is loaded then stays: it is never looked through for garbage."""
    with tempfile.TemporaryDirectory(prefix="bmsctl-") as store:
        simulate_one(
            pack="AS52",
            recipes=None,
            seed=0,
            scenario=None,
            scenario_file="",
            store=Path(store),
            retest_cause=None,
        )
    gc.collect()
    gc.freeze()
