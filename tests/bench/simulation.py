"""Speed of one simulated end-of-line run: station time over CPU time, fsync apart.

Prints one JSON line: medians over several packs, the frames and bytes the wires carried, the UDS load, and the
dearest functions of one run more, which is profiled.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmsctl.compose.eol import run_eol
from bmsctl.domain.world import Site
from bmsctl.protocols.uds import ANSWER_ID, REQUEST_ID
from firmware_stubs.ports import BUS_OF
from firmware_stubs.world import SimSite
from tests.bench.apart import without_fsync
from tests.support.simulate import Simulation

PACKS = 7
DEAREST = 5


def one_pack(seed: int, profile: cProfile.Profile | None = None) -> dict[str, float]:
    """Figures of one run, which `profile` may watch."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder) / "store", seed=seed)
        figures: dict[str, float] = {}

        async def main(site: Site) -> Mapping[str, Any]:
            assert isinstance(site, SimSite)
            uds = count_uds(site)
            record = await run_eol(site, simulation.store, simulation.order, None)
            figures.update(carried(site), uds_frames=uds[0], station_s=asyncio.get_running_loop().time())
            return record

        with without_fsync():
            started = time.process_time()
            record = simulation.world.run(main) if profile is None else profile.runcall(simulation.world.run, main)
            figures["cpu_s"] = time.process_time() - started
        assert record["verdict"] == "PASS"
    return figures


def carried(site: SimSite) -> dict[str, float]:
    """Frames and bytes on all wires so far."""
    wires = site.wires
    frames = sum(bus.carried for bus in wires.buses.values())
    frames += sum(wires.ecu(device).scheduled_frames() for device in BUS_OF)
    return {"frames": frames, "serial_bytes": sum(line.carried for line in wires.lines.values())}


def count_uds(site: SimSite) -> list[int]:
    """Diagnostic frames in both directions, counted from now on."""
    bus, count = site.wires.bus("bms"), [0]
    inner = bus.tap

    def tap(frame: Any) -> None:
        count[0] += frame.can_id == REQUEST_ID
        if inner is not None:
            inner(frame)

    def answered(frame: Any) -> None:
        count[0] += 1

    bus.tap = tap
    bus.station.push([ANSWER_ID], answered)
    return count


def dearest(seed: int) -> dict[str, float]:
    """The functions that one run spends most time in itself, each with its share of the whole.

    A coroutine that has more time of its own than altogether is left out: the profiler saw it begin twice.
    """
    profile = cProfile.Profile()
    one_pack(seed, profile)
    rows = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    known = {where: own_s for where, (_, _, own_s, whole_s, _) in rows.items() if own_s <= whole_s}
    total_s = sum(known.values())
    own = sorted(((own_s, *where) for where, own_s in known.items()), reverse=True)
    return {_name(file, function): own_s / total_s for own_s, file, _, function in own[:DEAREST]}


def _name(file: str, function: str) -> str:
    """Where a function is, as short as it is clear."""
    return f"{Path(file).parent.name}/{Path(file).name} {function}" if file != "~" else function


def main() -> None:
    one_pack(1000)
    gc.freeze()
    runs = [one_pack(seed) for seed in range(PACKS)]
    figures: dict[str, Any] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    figures["ratio"] = statistics.median(run["station_s"] / run["cpu_s"] for run in runs)
    figures["dearest"] = dearest(0)
    json.dump(figures, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
