"""What a world gives a stub: the device's side of a link. A stub's clock is the running loop's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bmsctl.domain.links import CanFrame

BUS_OF = {"bms": "pack", "plc": "station", "matrix": "station"}
"""The bus each ECU is on."""

EOL_ECUS = ("bms", "plc", "matrix")
EOL_SERIAL = (
    "digitizer",
    "lv_supply",
    "ohmmeter",
    "insulation_tester",
    "withstand_tester",
    "cycler",
    "scanner",
    "label_printer",
)
"""What the end-of-line station talks to."""

STACKING_ECUS = ("bms", "plc")
STACKING_SERIAL = (
    "scanner",
    "battery_tester",
    "ohmmeter",
    "insulation_tester",
    "nutrunner",
    "leak_tester",
    "lv_supply",
    "label_printer",
)
"""What the stacking station talks to."""

Tamper = Callable[[CanFrame], CanFrame | None]
"""What arrives instead of a frame; None: it is lost."""

Pieces = Iterable[tuple[float, bytes]]
"""What arrives instead of one telegram: each piece that many seconds later."""


@dataclass(frozen=True, slots=True)
class Cyclic:
    """A periodic frame. Transmission `n` (from 0) leaves `n * period_s` after `CanPort.start`.

    `encode(n, t_s)` gives its data and must depend only on the stub's state and on `(n, t_s)`: a lazy wire
    calls it only for transmissions that somebody looks at, possibly up to one period late. A stub whose
    state changes calls `CanPort.settle` first, so that frames already due carry the old state.
    """

    can_id: int
    period_s: float
    encode: Callable[[int, float], bytes]
    extended: bool = False
    fd: bool = False


class CanPort(Protocol):
    """An ECU's connection to its bus."""

    def emit(self, frame: CanFrame) -> None:
        """Send one frame now."""
        ...

    def start(self, cyclics: Iterable[Cyclic]) -> None:
        """Begin these periodic frames, the first transmission now."""
        ...

    def settle(self, ids: Iterable[int] | None = None) -> None:
        """Encode the periodic frames that are already due: those with `ids`, or all."""
        ...

    def stop(self) -> None:
        """Settle, then end all periodic frames (sleep, reset, power loss)."""
        ...

    def listen(self, ids: Iterable[int], sink: Callable[[CanFrame], None]) -> None:
        """Call `sink` for every frame from the station with one of `ids`."""
        ...


class SerialPort(Protocol):
    """An instrument's connection to its serial line."""

    def emit(self, data: bytes, delay_s: float = 0.0) -> None:
        """Send bytes, the first one `delay_s` from now, in order with what was emitted before."""
        ...

    def listen(self, sink: Callable[[bytes], None]) -> None:
        """Call `sink` for every piece of bytes from the station."""
        ...


class DisturbedCan(CanPort, Protocol):
    """An ECU's connection, and what may go wrong with it."""

    tamper: Tamper | None
    """What becomes of a frame that the ECU sends, periodic ones included. A lazy wire asks about the periodic frames
    that somebody looks at, so what it does must not depend on how many it has seen."""

    tamper_heard: Tamper | None
    """What becomes of a frame on its way from the station to the ECU."""

    def mute(self, on: bool) -> None:
        """Unplug (or replug) the ECU: nothing it sends arrives, and it hears nothing."""
        ...


class DisturbedSerial(SerialPort, Protocol):
    """An instrument's connection, and what may go wrong with it."""

    muted: bool
    """The instrument neither hears nor answers."""

    tamper: Callable[[bytes], Pieces] | None
    """What becomes of bytes that the instrument emits."""


class Wires(Protocol):
    """All wires of a station, from the devices' side."""

    on_frame: Callable[[CanFrame], None] | None
    """Called with every frame that leaves the station."""

    on_bytes: Callable[[str, bytes], None] | None
    """Called with the device and every telegram that leaves the station for it."""

    def ecu(self, device: str) -> DisturbedCan:
        """The connection of `bms`, `plc` or `matrix`; always the same."""
        ...

    def instrument(self, device: str) -> DisturbedSerial:
        """The line of an instrument; always the same."""
        ...

    def bus_off(self, device: str, on: bool) -> None:
        """Put the station's controller on the device's bus into bus-off, or back on the bus.

        The station's link uses a controller that is back only once it is opened again.
        """
        ...

    def unplug(self, device: str, on: bool) -> None:
        """Take away the station's serial port to the instrument, or bring it back."""
        ...
