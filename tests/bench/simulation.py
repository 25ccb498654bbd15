"""Speed of one simulated end-of-line run: station time over CPU time, fsync apart.

Prints one JSON line: medians over several packs, the frames and bytes the wires carried, and the UDS load.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import run_one
from bmsctl.domain.world import Site
from bmsctl.protocols.uds import ANSWER_ID, REQUEST_ID
from firmware_stubs.world import SimSite
from tests.bench.apart import without_fsync
from tests.support.simulate import Simulation

PACKS = 9


def one_pack(seed: int) -> dict[str, float]:
    """Figures of one run."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder) / "store", seed=seed)
        figures: dict[str, float] = {}

        async def main(site: Site) -> Mapping[str, Any]:
            assert isinstance(site, SimSite)
            uds = {"frames": 0}
            count_uds(site, uds)
            work: Awaitable[Mapping[str, Any]] = run_one(site, simulation.store, simulation.order, None)
            record = await work
            wiring = site.wiring
            figures["frames"] = sum(
                bus.carried + sum(port.scheduled_frames() for port in ports)
                for bus, ports in (
                    (wiring.pack_can, (wiring.bms_port,)),
                    (wiring.station_can, (wiring.plc_port, wiring.matrix_port)),
                )
            )
            figures["uds_frames"] = uds["frames"]
            figures["serial_bytes"] = wiring.line.carried
            figures["station_s"] = asyncio.get_running_loop().time()
            return record

        with without_fsync():
            started = time.process_time()
            record = simulation.world.run(main)
            figures["cpu_s"] = time.process_time() - started
        assert record["verdict"] == "PASS"
    return figures


def count_uds(site: SimSite, uds: dict[str, int]) -> None:
    """Count diagnostic frames in both directions."""
    bus = site.wiring.pack_can
    inner = bus.tap

    def tap(frame: Any) -> None:
        uds["frames"] += frame.can_id == REQUEST_ID
        if inner is not None:
            inner(frame)

    bus.tap = tap
    bus.station.push([ANSWER_ID], lambda frame: uds.update(frames=uds["frames"] + 1))


def main() -> None:
    one_pack(1000)
    gc.freeze()
    runs = [one_pack(seed) for seed in range(PACKS)]
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    figures["ratio"] = statistics.median(run["station_s"] / run["cpu_s"] for run in runs)
    json.dump(figures, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
