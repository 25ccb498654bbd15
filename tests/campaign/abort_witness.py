"""A bench whose stubs keep a log: what reached which device, what the PLC reported and the BMS measured, and when.

The log is written where the stubs live, so that it shows what a device was told, not what a station meant to tell it.
Its times are the machine's monotonic clock, which every process shares.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import bms_broadcast, plc
from hil.bench import _child
from hil.bench_file import STANDARD, read_bench_file
from hil.layout import CanKind, Layout
from hil.stubs import __main__ as stubs_process
from hil.stubs.far_end import RealWires
from hil.stubs.ptys import Pty

LOG = "witness.jsonl"
REPORTED = {"plc": plc.STATUS_CHANGED_ID, "bms": bms_broadcast.CURRENT_ID}


class Entry(NamedTuple):
    """A telegram: `wire` names an instrument, or is "can" for a frame that devices heard, "plc", "bms" for what they
    sent."""

    t_s: float
    wire: str
    can_id: int
    data: bytes


class WitnessedWires(RealWires):
    """The bench's wires, and the log."""

    def __init__(self, buses: Mapping[str, Any], ptys: Mapping[str, Pty], *bus_off: Any) -> None:
        super().__init__(buses, ptys, *bus_off)
        self._log = (next(iter(ptys.values())).path.parent / LOG).open("a")
        for device, can_id in REPORTED.items():
            self.ecu(device).tamper = partial(self._reported, device, can_id)

    def close(self) -> None:
        super().close()
        self._log.close()

    def _reported(self, device: str, can_id: int, frame: CanFrame) -> CanFrame:
        if frame.can_id == can_id:
            self._note(device, can_id, frame.data)
        return frame

    def _tap_frame(self, frame: CanFrame) -> None:
        self._note("can", frame.can_id, frame.data)
        super()._tap_frame(frame)

    def _tap_bytes(self, device: str, data: bytes) -> None:
        self._note(device, -1, data)
        super()._tap_bytes(device, data)

    def _note(self, wire: str, can_id: int, data: bytes) -> None:
        self._log.write(json.dumps((time.monotonic(), wire, can_id, data.hex())) + "\n")
        self._log.flush()


class Log:
    """Reads the log of a bench."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOG).open()
        self._begun = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def since_last(self) -> list[Entry]:
        """What was logged since the call before; a line that is being written is left for the next."""
        *lines, self._begun = (self._begun + self._file.read()).split("\n")
        return [Entry(t_s, wire, can_id, bytes.fromhex(data)) for t_s, wire, can_id, data in map(json.loads, lines)]


class WitnessedBench(NamedTuple):
    """A bench that runs, and the ids of its processes."""

    layout: Layout
    processes: tuple[int, ...]


@contextmanager
def witnessed_bench() -> Iterator[WitnessedBench]:
    """Hub and witnessed stubs in processes of their own; raises as `hil.bench.bench_up`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        layout = Layout(Path(name), read_bench_file(STANDARD), CanKind.BENCH)
        with (
            _child("hil.hub", name, *layout.stub_buses) as hub,
            _child(__spec__.name, name, layout.kind.value, str(STANDARD)) as stubs,
        ):
            (layout.folder / LOG).touch()
            layout.station_file.write_text(layout.station_text(), "utf-8")
            yield WitnessedBench(layout, (hub.pid, stubs.pid))


if __name__ == "__main__":
    stubs_process.RealWires = WitnessedWires
    stubs_process.main()
