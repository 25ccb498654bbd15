"""A benchmark that nobody runs must still run."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_sequencers_benchmark_ends_and_tells_its_figures() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench.sequencer"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout).keys() == {"cpu_s", "bytes", "peak_mib"}
