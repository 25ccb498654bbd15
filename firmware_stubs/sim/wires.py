"""All wires of a simulated station: the pack's CAN, the station's CAN, and a line to every instrument."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import digitizer
from firmware_stubs.ports import BUS_OF, EOL_ECUS, EOL_SERIAL
from firmware_stubs.sim.wire import SimCan, SimCanPort, SimSerial, SimSerialPort


class SimWires:
    """Implements Wires. `buses` and `lines` have the station's side too."""

    def __init__(self, ecus: Collection[str] = EOL_ECUS, instruments: Collection[str] = EOL_SERIAL) -> None:
        """`ecus`, `instruments`: the devices of the station, of which each has its bus or line."""
        self.on_frame: Callable[[CanFrame], None] | None = None
        self.on_bytes: Callable[[str, bytes], None] | None = None
        self.buses = {bus: SimCan(f"can.{bus}") for bus in dict.fromkeys(BUS_OF[device] for device in ecus)}
        self.lines = {device: SimSerial(device) for device in instruments}
        if "digitizer" in self.lines:
            self.lines["digitizer"].byte_s = 10 / digitizer.BAUD
        self._ecus = {device: self.bus(device).ecu(device) for device in ecus}
        for bus in self.buses.values():
            bus.tap = self._tap_frame
        for device, line in self.lines.items():
            line.tap = partial(self._tap_bytes, device)

    def bus(self, device: str) -> SimCan:
        """The bus the device is on."""
        return self.buses[BUS_OF[device]]

    def ecu(self, device: str) -> SimCanPort:
        return self._ecus[device]

    def instrument(self, device: str) -> SimSerialPort:
        return self.lines[device].device

    def bus_off(self, device: str, on: bool) -> None:
        if on:
            self.bus(device).station.go_bus_off()

    def unplug(self, device: str, on: bool) -> None:
        self.lines[device].station.down = on

    def _tap_frame(self, frame: CanFrame) -> None:
        if self.on_frame is not None:
            self.on_frame(frame)

    def _tap_bytes(self, device: str, data: bytes) -> None:
        if self.on_bytes is not None:
            self.on_bytes(device, data)
