"""Both buses of a bench as full as they can be: frames of the hub's own, beside those of station and stubs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hil.bench_file import BUSES
from hil.hub.control import HubControl
from hil.layout import Layout

FRAMES_PER_S = 4000
"""A classic bus at 500 kbit/s carries no more frames of 8 bytes."""


@contextmanager
def full_buses(layout: Layout) -> Iterator[None]:
    """While this is entered, the hub floods every bus."""
    with ExitStack() as stack:
        for bus in BUSES:
            hub = stack.enter_context(HubControl(layout.channel(bus)))
            stack.callback(hub.load, 0)
            hub.load(FRAMES_PER_S)
        yield
