"""openhtf, called as its documentation says: 100 phases of 10 measurements with limits, the record as JSON.

Prints one JSON line: CPU seconds of execute(), fsync apart (openhtf makes none), and peak memory over the
level after import.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import openhtf
from openhtf.output.callbacks import json_factory

from tests.bench.memory import peak_kib

PHASES = 100
MEASUREMENTS = 10


def make_phase(number: int) -> openhtf.PhaseDescriptor:
    """One phase with its measurements."""
    names = [f"m{number}_{index}" for index in range(MEASUREMENTS)]

    @openhtf.PhaseOptions(name=f"phase_{number}")
    @openhtf.measures(*(openhtf.Measurement(name).in_range(0.0, 10.0) for name in names))
    def phase(test: openhtf.TestApi) -> None:
        for index, name in enumerate(names):
            test.measurements[name] = 0.5 + index * 0.1

    return phase


def main() -> None:
    base_kib = peak_kib()
    with tempfile.TemporaryDirectory() as folder:
        test = openhtf.Test(*(make_phase(number) for number in range(PHASES)))
        path = Path(folder) / "record.json"
        test.add_output_callbacks(json_factory.OutputToJSON(str(path)))
        started = time.process_time()
        passed = test.execute(test_start=lambda: "dut")
        cpu_s = time.process_time() - started
        assert passed
        size = path.stat().st_size
    end_kib = peak_kib()
    json.dump({"cpu_s": cpu_s, "peak_mib": (end_kib - base_kib) / 1024, "bytes": size}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
