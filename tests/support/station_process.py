"""A station in a process of its own on a bench, what reaches the wires, and what is left when it has gone."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import can

from bmsctl.domain.ports import TripCause
from bmsctl.drivers.links.can_url import open_bus
from bmsctl.errors import StoreError
from bmsctl.protocols import matrix, plc
from bmsctl.protocols.bms_broadcast import RELAY_REQUEST_ID, requested_relays
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine
from hil.control import BenchError, Control
from hil.layout import Layout

PATIENCE_S = 60.0
"""For what must happen, on the busiest machine."""
GONE_WITHIN_S = 10.0
"""From the first signal on: made safe, recorded, ended."""
LOOK_S = 0.01
BETWEEN_SIGNALS_S = 0.003


def until(condition: Callable[[], object]) -> None:
    """Look until it is so; fails if it never is."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(LOOK_S)


class StationProcess:
    """`python -m tests.support.energised DEED run …` or, without a deed, `python -m hil run …`; killed in the end."""

    def __init__(self, layout: Layout, work: Path, deed: str | None = None, *options: str) -> None:
        self.store = work / "store"
        self._layout = layout
        self._told, self._out = work / "stderr", work / "stdout"
        module = ["hil"] if deed is None else ["tests.support.energised", deed]
        where = ("--folder", str(layout.folder), "--store", str(self.store), "--json", *options)
        with self._told.open("w") as told, self._out.open("w") as out:
            command = [sys.executable, "-m", *module, "run", *where]
            self.process = subprocess.Popen(command, stdout=out, stderr=told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def told(self) -> str:
        """What it wrote to stderr."""
        return self._told.read_text("utf-8")

    @property
    def printed(self) -> str:
        """What it wrote to stdout."""
        return self._out.read_text("utf-8")

    def until(self, condition: Callable[[], object]) -> None:
        """Look until it is so, or the process ends, which it must not."""

        def seen() -> object:
            assert self.process.poll() is None, f"code {self.process.returncode}: {self.told}{self.printed}"
            return condition()

        until(seen)

    def until_told(self, text: str) -> None:
        """It has written this to stderr."""
        self.until(lambda: text in self.told)

    def until_it_listens(self) -> None:
        """It has taken SIGTERM over from the operating system."""
        status = Path(f"/proc/{self.process.pid}/status")
        bit = 1 << (signal.SIGTERM - 1)

        def caught() -> bool:
            line = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
            return bool(int(line.split()[1], 16) & bit)

        self.until(caught)

    def signals(self, count: int) -> None:
        """SIGINT and SIGTERM in turn, a few milliseconds apart; fewer if it has gone before."""
        for number in range(count):
            self.process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
            time.sleep(BETWEEN_SIGNALS_S)

    def signals_until_gone(self) -> int:
        """Go on with signals until it has gone; the exit code."""
        give_up_s = time.monotonic() + GONE_WITHIN_S
        while self.process.poll() is None and time.monotonic() < give_up_s:
            self.signals(10)
        return self.gone()

    def gone(self) -> int:
        """The exit code, once it has ended, which it must in GONE_WITHIN_S."""
        return self.process.wait(GONE_WITHIN_S)

    def records(self) -> list[Mapping[str, Any]]:
        """All that are in its store, which must verify."""
        report = examine(self.store)
        assert report.ok, report
        with Reader.open(self.store) as reader:
            return [reader.record(attempt.record_id) for attempt in reader.attempts()]  # type: ignore[misc]

    def begun(self) -> bool:
        """Whether an attempt is on record."""
        return bool(self._verdicts())

    def closed(self) -> bool:
        """Whether an attempt is on record, and closed."""
        return any(verdict is not None for verdict in self._verdicts())

    def _verdicts(self) -> list[Any]:
        with contextlib.suppress(StoreError), Reader.open(self.store) as reader:
            return [attempt.verdict for attempt in reader.attempts()]
        return []

    def found(self) -> list[str]:
        """What the bench's observer found wrong, once the pack has left."""
        until(self._left)
        with Control(self._layout.control) as control:
            last = control.ask("last")
        return [] if last is None else list(last["findings"])

    def _left(self) -> bool:
        """The bench ends every connection when a pack leaves."""
        with contextlib.suppress(BenchError), Control(self._layout.control) as control:
            return control.ask("traffic")["wires"] == {}
        return False


def bench_process(module: str, layout: Layout) -> int:
    """The process id of a bench's hub or stubs."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if module.encode() in arguments and str(layout.folder).encode() in arguments:
                return int(folder.name)
    raise LookupError(f"no {module} of {layout.folder} runs")


class Seen(NamedTuple):
    """A frame on a bus, and when the hub took it, in seconds of the machine's monotonic clock."""

    t_s: float
    bus: str
    can_id: int
    data: bytes


class Observer:
    """Every frame of both buses. Use `observing`."""

    def __init__(self, layout: Layout) -> None:
        self._seen: list[Seen] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(bus, open_bus(layout.url(bus, "observer"))))
            for bus in layout.stub_buses
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _listen(self, name: str, bus: can.BusABC) -> None:
        with contextlib.suppress(can.CanOperationError):
            while not self._over.is_set():
                message = bus.recv(LOOK_S)
                if message is not None and not message.is_extended_id:
                    self._seen.append(Seen(message.timestamp, name, message.arbitration_id, bytes(message.data)))
        bus.shutdown()

    def frames(self, *can_ids: int) -> list[Seen]:
        """Those on the station's own bus with these identifiers."""
        return [seen for seen in tuple(self._seen) if seen.bus == "station" and seen.can_id in can_ids]

    def gave_back_s(self) -> float | None:
        """When the station gave the permissive back, after it had asked for it."""
        asked = False
        for seen in self.frames(plc.REQUEST_ID):
            request = plc.decode_request(seen.data)
            assert request is not None
            if asked and not request.permit:
                return seen.t_s
            asked |= request.permit
        return None

    def energised_after(self, since_s: float) -> list[str]:
        """What the station commanded on after that time."""
        late = [seen for seen in tuple(self._seen) if seen.t_s > since_s]
        return [what for what in map(_energised, late) if what is not None]

    def opened_s(self) -> float | None:
        """When the BMS was last asked to open every contactor."""
        asked = [seen.t_s for seen in tuple(self._seen) if (seen.bus, seen.can_id) == ("pack", RELAY_REQUEST_ID)]
        return asked[-1] if asked else None

    def trip_s(self) -> float | None:
        """When the PLC first reported that its dead-man had removed energy."""
        for seen in self.frames(plc.STATUS_CHANGED_ID, plc.STATUS_ID):
            status = plc.decode_status(seen.data, seen.can_id)
            if status is not None and status.cause is TripCause.WATCHDOG and not status.flags & plc.PERMISSIVE:
                return seen.t_s
        return None

    def last_answer_s(self) -> float:
        """When the station last answered the PLC."""
        return self.frames(plc.ANSWER_ID)[-1].t_s


def _energised(seen: Seen) -> str | None:
    """What a frame of the station's would energise."""
    if (seen.bus, seen.can_id) == ("station", plc.REQUEST_ID):
        request = plc.decode_request(seen.data)
        return "permissive" if request is not None and request.permit else None
    if (seen.bus, seen.can_id) == ("station", matrix.REQUEST_ID) and matrix.requested_energy_routes(seen.data):
        return "matrix route"
    if (seen.bus, seen.can_id) == ("pack", RELAY_REQUEST_ID) and requested_relays(seen.data):
        return "contactor"
    return None


@contextmanager
def observing(layout: Layout) -> Iterator[Observer]:
    """An observer on both buses of a bench."""
    observer = Observer(layout)
    try:
        yield observer
    finally:
        observer.close()
