"""How the simulated station is wired: which stub sits on which bus, and who feeds whom."""

from __future__ import annotations

import asyncio

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink, SerialLink
from bmsctl.domain.ports import BmsIdentity
from bmsctl.domain.recipe import Recipe
from bmsctl.domain.units import Second
from bmsctl.protocols import bms_broadcast, digitizer, matrix, plc
from firmware_stubs.bms import BmsStub, demo_key
from firmware_stubs.defects import PackCondition
from firmware_stubs.digitizer import DigitizerStub
from firmware_stubs.matrix import MatrixStub
from firmware_stubs.monitor import SafetyMonitor
from firmware_stubs.noise import Noise
from firmware_stubs.plant import Plant
from firmware_stubs.plc import PlcStub
from firmware_stubs.population import facts_of
from firmware_stubs.sim.wire import SimCan, SimSerial

SCAN_S = 0.2


class SimScanner:
    """Reads the label of the pack on the station; implements Scanner."""

    def __init__(self, label: str) -> None:
        self._label = label

    async def scan(self, lease: Lease, within: Second) -> str:
        await asyncio.sleep(SCAN_S)
        return self._label


class Wiring:
    """One station: the pack's CAN, the station's CAN with PLC and matrix, and the digitizer's line."""

    def __init__(self, recipe: Recipe, condition: PackCondition, seed: int) -> None:
        self.plant = Plant(facts_of(recipe.pack.id), condition.plant, seed)
        self.pack_can, self.station_can = SimCan("bms"), SimCan("plc")
        self.line = SimSerial("digitizer", byte_s=10 / digitizer.BAUD)
        serial = f"{recipe.pack.id}{seed:09d}"
        self.scanner = SimScanner(f"{recipe.pack.part_number};{serial}")
        self.bms_port = self.pack_can.ecu("bms")
        self.plc_port = self.station_can.ecu("plc")
        self.matrix_port = self.station_can.ecu("matrix")
        self.bms = BmsStub(self.bms_port, self.plant, built_to(recipe, serial), condition.bms, seed)
        self.matrix = MatrixStub(self.matrix_port, self.plant, seed)
        self.monitor = SafetyMonitor(self.plant, energised_by)
        self.plc = PlcStub(
            self.plc_port,
            self.plant,
            seed,
            on_supply=lambda kl30, kl15: self.bms.set_supply(kl30=kl30, kl15=kl15),
            on_energy=self._feed,
        )
        self.digitizer = DigitizerStub(self.line.device, self.plant, seed)
        self.pack_can.tap = self.station_can.tap = self._tap
        self.can_links: dict[str, CanLink] = {
            "bms": self.pack_can.station,
            "plc": self.station_can.station,
            "matrix": self.station_can.station,
        }
        self.serial_links: dict[str, SerialLink] = {"digitizer": self.line.station}
        self._noise = Noise(seed, "line.garbage")
        self._garbled = 0

    def seed_key(self, seed: bytes) -> bytes:
        """The simulated BMS's key algorithm."""
        return demo_key(seed)

    def _tap(self, frame: CanFrame) -> None:
        """Show the monitor every frame that leaves the station."""
        if frame.can_id == plc.REQUEST_ID:
            request = plc.decode_request(frame.data)
            self.monitor.asked(request is not None and request.permit)
        self.monitor.command(frame)

    def _feed(self, on: bool) -> None:
        self.matrix.feed(on)
        self.monitor.permit(on)

    def mute_can(self, device: str, on: bool) -> None:
        {"bms": self.bms_port, "plc": self.plc_port, "matrix": self.matrix_port}[device].mute(on)

    def bus_off(self, device: str, on: bool) -> None:
        bus = self.pack_can if device == "bms" else self.station_can
        bus.station.bus_off = on

    def mute_serial(self, device: str, on: bool) -> None:
        self.line.device.muted = on

    def unplug_serial(self, device: str, on: bool) -> None:
        self.line.station.down = on

    def garble_serial(self, device: str, on: bool) -> None:
        self.line.device.tamper = self._garble if on else None

    def _garble(self, data: bytes) -> list[tuple[float, bytes]]:
        """Flip bits in one byte of about every eighth; which, depends on how many bytes came before."""
        draws = self._noise.normal(self._garbled, len(data))
        self._garbled += len(data)
        return [(0.0, bytes(byte ^ (0x55 if draw > 1.15 else 0) for byte, draw in zip(data, draws, strict=True)))]

    def press_estop(self) -> None:
        self.plc.press_estop()

    def open_guard(self) -> None:
        self.plc.open_guard()


def built_to(recipe: Recipe, serial: str) -> BmsIdentity:
    """A BMS as the recipe's bill of materials demands it."""
    text = next(step for step in recipe.steps("eol") if step.run == "bms_identity").text
    return BmsIdentity(
        part_number=text("part_number"),
        ecu_serial=f"LBC{serial[-9:]}",
        pack_serial=serial,
        hardware=text("hardware"),
        software=text("software"),
        software_version=text("software_version"),
        calibration=text("calibration"),
    )


def energised_by(frame: CanFrame) -> str | None:
    """What a frame from the station would energise."""
    if frame.can_id == bms_broadcast.RELAY_REQUEST_ID and bms_broadcast.requested_relays(frame.data):
        return "contactor"
    if frame.can_id == matrix.REQUEST_ID and matrix.requested_energy_routes(frame.data):
        return "matrix route"
    return None
