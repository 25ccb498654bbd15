"""One opened CAN bus: its receive thread, its transmit thread, and what they find out about it.

A port that has failed, or whose controller is bus-off, is finished: it receives and sends nothing more. Whoever
may decide so opens another.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from bmsctl.domain.links import CanFrame, LinkState
from bmsctl.drivers.links.can_reader import reader_of
from bmsctl.drivers.links.threads import PortThreads, nap
from bmsctl.drivers.links.transmitter import Transmitter

if TYPE_CHECKING:
    import can

WATCH_S = 0.05
"""How often the controller's state is looked at when no error frame tells of it."""

TRANSMIT_DEPTH = 256

GONE = {
    errno.ENETDOWN,
    errno.ENODEV,
    errno.ENXIO,
    errno.EIO,
    errno.EBADF,
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ENOTCONN,
    errno.ESHUTDOWN,
}
"""Of the errors of `send`, those after which nothing can be sent any more; the others say: not yet."""

_BUS_OFF_TEXT = (
    "the CAN controller is bus-off: too many errors on the line; check termination, wiring and bit rate, "
    "then reset the station"
)


class CanBusPort:
    """Moves frames of one bus. `take` is called in the receive thread with every batch, never an empty one."""

    def __init__(
        self,
        device: str,
        bus: can.BusABC,
        now: Callable[[], float],
        take: Callable[[list[CanFrame]], None],
        since_s: float = -math.inf,
    ) -> None:
        """Takes the bus over, and shuts it down in the end. Leases granted before `since_s` do not count."""
        from can import BusState, CanError

        self._bus = bus
        self._error_state, self._driver_error = BusState.ERROR, CanError
        self._now = now
        self._take = take
        self._reader = reader_of(bus, now)
        self._closing = threading.Event()
        self._condition = (LinkState.UP, "")
        self.transmitter: Transmitter[can.Message] = Transmitter(device, self._send, TRANSMIT_DEPTH, since_s)
        self._threads = PortThreads(
            device,
            {"receive": self._receive, "transmit": self.transmitter.run},
            on_failure=self._fail,
            close=bus.shutdown,
        )
        self._threads.start()

    @property
    def condition(self) -> tuple[LinkState, str]:
        """The state, and what is to be said of it if it is not UP."""
        condition = self._condition
        if condition[0] is LinkState.UP and not self._threads.alive:
            return LinkState.DOWN, "the CAN bus is closed"
        return condition

    @property
    def lost(self) -> int:
        """Frames that were dropped before they could be read."""
        return self._reader.lost

    @property
    def error_frames(self) -> int:
        """Error frames received."""
        return self._reader.errors

    def close(self) -> bool:
        """End both threads and shut the bus down; whether that is done. A thread that hangs does it when it returns."""
        self._end()
        return self._threads.join()

    def _end(self) -> None:
        self._closing.set()
        self.transmitter.close()

    def _receive(self) -> None:
        look_s, errors = -math.inf, 0
        reader, closing, take, now = self._reader, self._closing, self._take, self._now
        while not closing.is_set():
            frames = reader.read(WATCH_S)
            if closing.is_set():
                return
            if frames:
                take(frames)
            now_s = now()
            if reader.errors != errors or now_s >= look_s:
                look_s, errors = now_s + WATCH_S, reader.errors
                if self._off_the_bus():
                    return
            if frames:
                nap()

    def _send(self, message: can.Message) -> bool:
        """Give one frame to the driver; False: it has no room for it yet, or the port is finished."""
        try:
            self._bus.send(message)
        except Exception as error:
            if not self._off_the_bus() and self._gone(error):
                self._fail(error)
            return False
        return True

    def _gone(self, error: Exception) -> bool:
        """Whether the bus will not take any frame any more."""
        return not isinstance(error, self._driver_error) or error.error_code in GONE

    def _off_the_bus(self) -> bool:
        """Whether the controller has left the bus; then the port is finished."""
        if not self._reader.bus_off and self._bus.state is not self._error_state:
            return False
        self._finish(LinkState.BUS_OFF, _BUS_OFF_TEXT)
        return True

    def _fail(self, error: Exception) -> None:
        """The driver has raised this, and the port is finished. A driver that is gone may not tell its state either."""
        with suppress(Exception):
            if self._off_the_bus():
                return
        text = f"the CAN bus stopped working: {error}; check the adapter and its interface, then reset the station"
        self._finish(LinkState.DOWN, text)

    def _finish(self, state: LinkState, text: str) -> None:
        if self._condition[0] is LinkState.UP:
            self._condition = (state, text)
        self._end()
