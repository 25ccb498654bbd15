"""A real hub process, buses on it, and waiting for what it has done."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import can

from hil.bench_bus import BenchBus
from hil.hub.control import HubControl

DEADLINE_S = 30.0
"""For everything that happens at once on an idle machine."""


def hub_command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "hil.hub", str(folder), *arguments]


@contextlib.contextmanager
def running_hub(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A hub that listens; ended by SIGTERM unless it is gone by then."""
    with subprocess.Popen(hub_command(folder, *arguments), stdout=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stdout is not None
            assert hub.stdout.readline() == "ready\n"
            yield hub
        finally:
            hub.send_signal(signal.SIGTERM)
            hub.wait(DEADLINE_S)


class Wire:
    """One channel of a running hub."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self.path = path
        self._stack = stack
        self.control = stack.enter_context(HubControl(path))

    def bus(self, name: str, **options: object) -> BenchBus:
        bus = can.Bus(interface="bench", channel=str(self.path), name=name, ignore_config=True, **options)
        assert isinstance(bus, BenchBus)
        self._stack.callback(bus.shutdown)
        return bus


def message(number: int, can_id: int = 0x123) -> can.Message:
    """A classic frame whose 8 data bytes are `number`."""
    return can.Message(arbitration_id=can_id, is_extended_id=False, data=number.to_bytes(8, "little"))


def numbers(bus: BenchBus, count: int) -> list[int]:
    """The numbers of the next `count` data frames."""
    return [int.from_bytes(received(bus).data, "little") for _ in range(count)]


def received(bus: BenchBus) -> can.Message:
    got = bus.recv(DEADLINE_S)
    assert got is not None
    return got


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a generous deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
