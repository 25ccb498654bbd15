"""All wires of a station from the devices' side, over real buses and pseudo-terminals; implements Wires.

Build it inside the loop that will drive the stubs. A bus or line that is not given is an open end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

import can

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import scpi
from firmware_stubs.faults import SCPI_DEVICES
from firmware_stubs.ports import BUS_OF, EOL_SERIAL, DisturbedCan, DisturbedSerial
from hil.stubs.can_end import BusEnd, CanEnd
from hil.stubs.open_ends import OpenCan, OpenSerial
from hil.stubs.ptys import Pty
from hil.stubs.serial_end import SerialEnd


def _impossible(bus: str, on: bool) -> None:
    raise ValueError(f"bus {bus}: this bus cannot be put into bus-off; use one of the bench's own")


class RealWires:
    """Implements Wires."""

    def __init__(
        self,
        buses: Mapping[str, can.BusABC],
        ptys: Mapping[str, Pty],
        bus_off: Callable[[str, bool], None] = _impossible,
    ) -> None:
        """`buses` by name, `ptys` by device; `bus_off`: puts the station's controller on a bus into bus-off or back.

        They stay open when these wires are closed.
        """
        self.on_frame: Callable[[CanFrame], None] | None = None
        self.on_bytes: Callable[[str, bytes], None] | None = None
        self._bus_off = bus_off
        self._buses = {name: BusEnd(bus, self._tap_frame) for name, bus in buses.items()}
        self._ecus: dict[str, DisturbedCan] = {
            device: CanEnd(self._buses[bus]) if bus in self._buses else OpenCan() for device, bus in BUS_OF.items()
        }
        self._lines = {
            device: SerialEnd(pty, partial(self._tap_bytes, device), _terminator(device))
            for device, pty in ptys.items()
        }
        self._instruments: dict[str, DisturbedSerial] = {
            device: self._lines.get(device) or OpenSerial() for device in EOL_SERIAL
        }

    def ecu(self, device: str) -> DisturbedCan:
        return self._ecus[device]

    def instrument(self, device: str) -> DisturbedSerial:
        return self._instruments[device]

    def bus_off(self, device: str, on: bool) -> None:
        self._bus_off(BUS_OF[device], on)

    def unplug(self, device: str, on: bool) -> None:
        if device in self._lines:
            self._lines[device].unplug(on)

    def traffic(self) -> dict[str, dict[str, int]]:
        """Counters of every bus and line by name."""
        buses = {name: asdict(end.counters) for name, end in self._buses.items()}
        return buses | {device: asdict(end.counters) for device, end in self._lines.items()}

    def close(self) -> None:
        """Let go of the loop: no stub sends or hears anything any more. Idempotent."""
        for bus in self._buses.values():
            bus.close()
        for line in self._lines.values():
            line.close()

    def _tap_frame(self, frame: CanFrame) -> None:
        if self.on_frame is not None:
            self.on_frame(frame)

    def _tap_bytes(self, device: str, data: bytes) -> None:
        if self.on_bytes is not None:
            self.on_bytes(device, data)


def _terminator(device: str) -> bytes | None:
    return scpi.TERMINATOR if device in SCPI_DEVICES else None
