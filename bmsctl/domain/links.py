"""What a world gives a station: links that move bytes, and a clock.

Monotonic time is the running loop's (`loop.time()`, `asyncio.sleep`, `asyncio.timeout`) and nothing
else; wall time comes only from `Clock.utc`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

from bmsctl.domain.lease import Lease

T = TypeVar("T")


class CanFrame(NamedTuple):
    """One CAN frame. `t_s` is loop time on receipt (0 for a frame to be sent)."""

    can_id: int
    data: bytes
    t_s: float = 0.0
    extended: bool = False
    fd: bool = False


class LinkState(enum.StrEnum):
    """What the adapter says of its line."""

    UP = "up"
    BUS_OFF = "bus_off"
    DOWN = "down"


class LinkHealth(NamedTuple):
    """A link's own view of itself; counters since it was opened."""

    state: LinkState
    lost: int
    overflow: int
    last_rx_s: float | None


class Subscription(Protocol):
    """A running `CanLink.push`."""

    def cancel(self) -> None:
        """Deliver nothing more. Idempotent."""
        ...


class CanLink(Protocol):
    """Frames to and from one CAN bus. No call blocks; callbacks run on the loop."""

    def send(self, frame: CanFrame, lease: Lease | None = None) -> None:
        """Queue a frame; `lease` is checked again where the frame leaves.

        Raises:
            LeaseRevoked: the lease is revoked; nothing was queued.
            LinkDown: bus-off or adapter gone.
            TxFull: the transmit queue is full.
        """
        ...

    def push(self, ids: Iterable[int], sink: Callable[[CanFrame], None]) -> Subscription:
        """Call `sink` for every frame with one of `ids`, in the order of receipt."""
        ...

    def latch(self, ids: Iterable[int]) -> None:
        """Keep only the newest frame of each of `ids`; never wakes the loop."""
        ...

    def newest(self, can_id: int) -> CanFrame | None:
        """The newest frame of a latched id, or None if none came. Judge its age by `t_s`."""
        ...

    def health(self) -> LinkHealth:
        """State and counters."""
        ...


class SerialLink(Protocol):
    """Bytes to and from one serial device, in arbitrary pieces."""

    def write(self, data: bytes, lease: Lease | None = None) -> None:
        """Queue bytes as one telegram; raises as `CanLink.send`."""
        ...

    def attach(self, sink: Callable[[bytes, float], None]) -> None:
        """Call `sink(data, t_s)` for every piece received; replaces an earlier sink."""
        ...

    def discard_unsent(self) -> None:
        """Forget telegrams not yet handed to the wire."""
        ...

    def health(self) -> LinkHealth:
        """State and counters."""
        ...


class WallTime(NamedTuple):
    """UTC as seconds since 1970 and how well it is known ("synchronised", "free", "simulated")."""

    unix_s: float
    quality: str


class Clock(Protocol):
    """Wall time, and work that must not stall the loop."""

    def utc(self) -> WallTime:
        """Now. Never for durations."""
        ...

    async def offload(self, fn: Callable[..., T], *args: object, cost_s: float) -> T:
        """Run `fn(*args)` beside the loop; it is declared to take `cost_s`.

        A virtual clock advances by exactly `cost_s`; a real one by what it takes.
        """
        ...
