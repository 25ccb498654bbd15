"""A BMS stub on a wire with its driver, over a plant whose every value a test sets; build inside a running loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.ports import F64, BmsIdentity, Relay
from bmsctl.drivers.bms import CanBms
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols import uds
from bmsctl.protocols.bms_broadcast import AMPR_SMALL, Hvil, InsulationState, MessageSet, OperatingState, Taps
from bmsctl.protocols.bms_broadcast.envelope import seal_burst
from bmsctl.protocols.isotp import IsoTp
from firmware_stubs.bms import BmsCondition, BmsStub, BmsVariant, demo_key
from firmware_stubs.plant import Element, Node
from firmware_stubs.ports import Cyclic
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimCan

Encode = Callable[[int, float], bytes]
Exchange = tuple[str, list[str]]
"""A request and its answers, in hexadecimal."""

EXCHANGES = Path(__file__).parents[1] / "golden" / "bms" / "exchanges.txt"

CAPACITY_AH = 157.0
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
    """Node potentials, cells and the rest as a test wants them; records what the BMS commands.

    `loop_open_s`: stretches, by loop time, in which the interlock loop is open.
    """

    cell_v: F64 = field(default_factory=lambda: np.full(96, 3.6))
    celsius: F64 = field(default_factory=lambda: np.full(12, 25.0))
    potential_v: dict[Node, float] = field(
        default_factory=lambda: {Node.B_PLUS: 345.6, Node.B_MINUS: 0.0, Node.P: 25.0, Node.N: 25.0, Node.PE: 170.0}
    )
    current_a: float = 0.0
    busbar_v: F64 = field(default_factory=lambda: np.zeros(3))
    insulation: tuple[float, float] = (20e6, 20e6)
    charge: float = 0.0
    loop_open_s: list[tuple[float, float]] = field(default_factory=list)
    commands: list[tuple[float, Relay, bool]] = field(default_factory=list)
    switched: list[tuple[float, Element, bool]] = field(default_factory=list)
    bled: list[tuple[float, int]] = field(default_factory=list)

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None:
        self.commands.append((t_s, relay, closed))

    def switch(self, t_s: float, element: Element, closed: bool) -> None:
        self.switched.append((t_s, element, closed))

    def bleed(self, t_s: float, cells: int) -> None:
        self.bled.append((t_s, cells))

    def hvil_closed(self, t_s: float) -> bool:
        return not any(from_s <= t_s < to_s for from_s, to_s in self.loop_open_s)

    def voltage(self, t_s: float, a: Node, b: Node) -> float:
        return self.potential_v[a] - self.potential_v[b]

    def cell_voltage_v(self, t_s: float) -> F64:
        return self.cell_v

    def temperature_c(self, t_s: float) -> F64:
        return self.celsius

    def pack_current_a(self, t_s: float) -> float:
        return self.current_a

    def charge_ah(self, t_s: float) -> float:
        return self.charge

    def busbar_voltage_v(self, t_s: float) -> F64:
        return self.busbar_v

    def insulation_ohm(self) -> tuple[float, float]:
        return self.insulation


def channels_of(plant: FakePlant) -> Channels:
    """What a BMS measures of the plant."""
    return Channels(len(plant.cell_v), len(plant.celsius), len(plant.busbar_v))


def cell_frames(voltage_v: F64, alive: int, messages: MessageSet = AMPR_SMALL) -> list[bytes]:
    """All cell frames of one cycle."""
    burst = messages.cells
    return seal_burst(burst.can_ids, alive, messages.pack_cells(voltage_v), burst.length)


def temperature_frames(temperature_c: F64, alive: int, messages: MessageSet = AMPR_SMALL) -> list[bytes]:
    """All temperature frames of one cycle."""
    burst = messages.temperatures
    return seal_burst(burst.can_ids, alive, messages.pack_temperatures(temperature_c), burst.length)


def busbars_frame(voltage_v: Sequence[float | None], alive: int, messages: MessageSet = AMPR_SMALL) -> bytes:
    """The frame of the inter-module bars."""
    (payload,) = messages.pack_busbars(voltage_v)
    return messages.seal(messages.busbars.can_ids[0], alive, payload)


def status_frame(state: OperatingState, hvil: Hvil, closed: Set[Relay], alive: int) -> bytes:
    """AmpR Small's status."""
    return codec.encode_status(state, hvil, closed, alive, AMPR_SMALL.revision)


def golden_exchanges() -> dict[str, list[Exchange]]:
    """The pinned diagnostic exchanges by name."""
    named: dict[str, list[Exchange]] = {}
    exchanges: list[Exchange] = []
    for line in EXCHANGES.read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if line.startswith("["):
            exchanges = named[line.strip("[]")] = []
        elif mark == "=":
            exchanges += named[rest]
        elif mark == ">":
            exchanges.append((rest, []))
        elif mark == "<":
            exchanges[-1][1].append(rest)
    return named


def simulate(main: Callable[[], Awaitable[None]], until_s: float = 300.0) -> None:
    """Run on a virtual loop, without an error left behind."""
    loop = new_loop()
    loop.run_until(main(), until_s)
    assert loop.errors == []


class Scripted:
    """A broadcast of chosen bytes, good values except where a test replaces them, and pinned diagnostic answers."""

    def __init__(self, **replaced: Encode) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = SimCan("bms")
        self.port = self.bus.ecu("bms")
        self.bms = CanBms(self.bus.station, AMPR_SMALL, channels_of(FakePlant()), key=demo_key)
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)
        volts, celsius = np.full(96, 3.6), np.full(12, 25.0)
        frames: dict[int, Encode] = {
            codec.CURRENT_ID: lambda n, t_s: codec.encode_current(-2.5, n),
            codec.TAPS_ID: lambda n, t_s: codec.encode_taps(Taps(345.6, 25.0, 25.0, 0.0), n),
            codec.STATUS_ID: lambda n, t_s: status_frame(OperatingState.RUN, Hvil.CLOSED, set(), n),
            AMPR_SMALL.busbars.can_ids[0]: lambda n, t_s: busbars_frame([0.0, 1e-3, None], n),
            codec.INSULATION_ID: lambda n, t_s: codec.encode_insulation(10e6, InsulationState.SETTLED, n),
        }
        for index, can_id in enumerate(AMPR_SMALL.cells.can_ids):
            frames[can_id] = lambda n, t_s, index=index: cell_frames(volts, n)[index]
        for index, can_id in enumerate(AMPR_SMALL.temperatures.can_ids):
            frames[can_id] = lambda n, t_s, index=index: temperature_frames(celsius, n)[index]
        ids = {"busbars": AMPR_SMALL.busbars.can_ids[0]}
        frames |= {ids.get(name) or getattr(codec, name.upper() + "_ID"): encode for name, encode in replaced.items()}
        self.frames = frames
        self.due: list[Exchange] = []
        self.strays: list[str] = []
        isotp = IsoTp(self.loop, self._emit, self._asked, lambda fault: None)
        self.port.listen([uds.REQUEST_ID], lambda frame: isotp.frame(frame.data))
        self._isotp = isotp

    def start(self, but: tuple[int, ...] = ()) -> Scripted:
        """Begin to send."""
        self.port.start(
            Cyclic(can_id, AMPR_SMALL.period_s[can_id], encode)
            for can_id, encode in self.frames.items()
            if can_id not in but
        )
        return self

    def _emit(self, data: bytes) -> None:
        self.port.emit(CanFrame(uds.ANSWER_ID, data, extended=True))

    def _asked(self, request: bytes) -> None:
        """Answer the request that is due; any other is a stray, and gets none."""
        if not self.due or self.due[0][0] != request.hex(" ").upper():
            self.strays.append(request.hex(" ").upper())
            return
        _, answers = self.due.pop(0)
        for number, answer in enumerate(answers):
            self.loop.call_later(0.01 + 0.5 * number, self._isotp.transmit, bytes.fromhex(answer))


class Bench:
    """Bus, plant, stub and driver."""

    def __init__(
        self,
        condition: BmsCondition | None = None,
        seed: int = 1,
        messages: MessageSet = AMPR_SMALL,
        plant: FakePlant | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = SimCan("bms")
        self.plant = plant or FakePlant()
        self.port = self.bus.ecu("bms")
        variant = BmsVariant(messages, IDENTITY, CAPACITY_AH)
        self.stub = BmsStub(self.port, self.plant, variant, condition or BmsCondition(), seed)
        self.bms = CanBms(self.bus.station, messages, channels_of(self.plant), demo_key)
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)

    async def awake(self) -> None:
        """Supply it and wait until it measures."""
        self.stub.set_supply(kl30=True, kl15=True)
        await asyncio.sleep(4.0)
