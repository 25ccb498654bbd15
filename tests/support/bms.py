"""A BMS stub on a wire with its driver, over a plant whose every value a test sets; build inside a running loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import F64, BmsIdentity, Relay
from bmsctl.drivers.bms import CanBms
from bmsctl.protocols import bms_broadcast as codec
from firmware_stubs.bms import BmsCondition, BmsStub, demo_key
from firmware_stubs.plant import Node
from firmware_stubs.sim.wire import SimCan

IDENTITY = BmsIdentity(
    part_number="295B00001R",
    ecu_serial="LBC000000001",
    pack_serial="AS52000000001",
    hardware="295B10001R",
    software="295B20001R",
    software_version="0104",
    calibration="CAL0001",
)


@dataclass
class FakePlant:
    """Node potentials, cells and the rest as a test wants them; records relay commands."""

    cell_v: F64 = field(default_factory=lambda: np.full(96, 3.6))
    celsius: F64 = field(default_factory=lambda: np.full(12, 25.0))
    potential_v: dict[Node, float] = field(
        default_factory=lambda: {Node.B_PLUS: 345.6, Node.B_MINUS: 0.0, Node.P: 25.0, Node.N: 25.0, Node.PE: 170.0}
    )
    current_a: float = 0.0
    busbar_v: F64 = field(default_factory=lambda: np.zeros(3))
    insulation: tuple[float, float] = (20e6, 20e6)
    commands: list[tuple[float, Relay, bool]] = field(default_factory=list)

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None:
        self.commands.append((t_s, relay, closed))

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        return self.potential_v[a] - self.potential_v[b]

    def cell_voltage_v(self, t_s: float) -> F64:
        return self.cell_v

    def temperature_c(self, t_s: float) -> F64:
        return self.celsius

    def pack_current_a(self, t_s: float) -> float:
        return self.current_a

    def busbar_voltage_v(self, t_s: float) -> F64:
        return self.busbar_v

    def insulation_ohm(self) -> tuple[float, float]:
        return self.insulation


def cell_frames(voltage_v: F64, alive: int) -> list[bytes]:
    """All cell frames of one cycle."""
    return [codec.seal(*frame) for frame in zip(codec.CELL_IDS, [alive] * 24, codec.pack_cells(voltage_v), strict=True)]


def temperature_frames(temperature_c: F64, alive: int) -> list[bytes]:
    """All temperature frames of one cycle."""
    payloads = codec.pack_temperatures(temperature_c)
    return [codec.seal(*frame) for frame in zip(codec.TEMPERATURE_IDS, [alive] * 3, payloads, strict=True)]


class Bench:
    """Bus, plant, stub and driver."""

    def __init__(self, condition: BmsCondition | None = None, seed: int = 1) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = SimCan("bms")
        self.plant = FakePlant()
        self.port = self.bus.ecu("bms")
        self.stub = BmsStub(self.port, self.plant, IDENTITY, condition or BmsCondition(), seed)
        self.bms = CanBms(self.bus.station, demo_key)
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)

    async def awake(self) -> None:
        """Supply it and wait until it measures."""
        self.stub.set_supply(kl30=True, kl15=True)
        await asyncio.sleep(4.0)
