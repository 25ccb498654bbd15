"""Firmware of a battery management system: power, broadcast, contactors, diagnostics."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import BmsIdentity, Relay
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import MessageSet, OperatingState
from bmsctl.protocols.dids import RELAY_BYPASS, bitmap_of
from bmsctl.protocols.firmware_image import ImageHeader
from firmware_stubs.bms.broadcast import BmsState, Broadcaster
from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.bms.consumption import Consumption
from firmware_stubs.bms.diagnostics import Diagnostics
from firmware_stubs.bms.dids import BmsSettings, Entry, controls, daisy_chain, identification, measurements
from firmware_stubs.bms.dtcs import DtcMemory
from firmware_stubs.bms.flash import BootLoader, loader_frames
from firmware_stubs.bms.measure import BmsPlant, clipped
from firmware_stubs.bms.sensors import Sensors
from firmware_stubs.bms.takeover import Takeover
from firmware_stubs.bms.uds import Reply, UdsServer
from firmware_stubs.noise import draw
from firmware_stubs.ports import CanPort

BOOT_S, BOOT_SD_S = 0.8, 0.05
SLEEP_SD = 2.0 / 25.0
"""Standard deviation of the sleep delay, relative."""
COIL_S = (0.010, 0.020)
"""From a relay request to the coil."""


class Power(enum.Enum):
    """Supply and wake state."""

    OFF = enum.auto()
    ASLEEP = enum.auto()
    BOOTING = enum.auto()
    AWAKE = enum.auto()


def demo_key(seed: bytes) -> bytes:
    """The simulated unit's security-access key: the seed rotated left by 7 bits, xor 0x5A17C0DE."""
    word = int.from_bytes(seed)
    bits = 8 * len(seed)
    rotated = (word << 7 | word >> bits - 7) & (1 << bits) - 1
    return (rotated ^ 0x5A17C0DE).to_bytes(len(seed))


@dataclass(frozen=True, slots=True)
class BmsVariant:
    """What a unit is built to be. `capacity_ah`: of a cell group of the pack type it is calibrated for."""

    messages: MessageSet
    identity: BmsIdentity
    capacity_ah: float


class BmsStub:
    """One unit on its bus. Build inside the running loop; implements `uds.Ecu`."""

    def __init__(self, port: CanPort, plant: BmsPlant, variant: BmsVariant, condition: BmsCondition, seed: int) -> None:
        self._port = port
        self._plant = plant
        self._messages = variant.messages
        self._loop = asyncio.get_running_loop()
        self._draws = draw(seed, "bms.power")
        self._coil_draws = draw(seed, "bms.coil")
        self._power = Power.OFF
        self._epoch = 0
        self._kl15 = False
        self._sleep_timer: asyncio.TimerHandle | None = None
        self._state = BmsState()
        self._settings = BmsSettings()
        self._requested_alive: int | None = None
        self._wanted = frozenset[Relay]()
        self._sending = False
        self.in_boot_loader = False
        self._consumption = Consumption(condition.quiescent_current_a, seed)
        self._sensors = sensors = Sensors.of(plant, variant.capacity_ah, condition, seed)
        self._broadcaster = Broadcaster(variant.messages, self._state, sensors, seed)
        self._takeover = Takeover(port, variant.messages, self._state, sensors, self._loop.time, self._relays_changed)
        self.dtcs = DtcMemory(condition.dtcs, seed)
        identity = _as_condition(variant.identity, condition)
        self._boot_loader = BootLoader(_software(identity), identity.hardware, self._loop, seed)
        self._loader_dids = identification(identity, lambda: self._boot_loader.software)
        self._dids = {
            **self._loader_dids,
            **measurements(sensors, self._state, self._loop.time),
            **daisy_chain(sensors.front_end.series, condition, seed),
            **controls(self._takeover, self._settings, self._state, sensors),
        }
        server = UdsServer(self, self._loop, seed, demo_key)
        self._diagnostics = Diagnostics(port, server, draw(seed, "bms.p2"))
        port.listen([codec.RELAY_REQUEST_ID], self._relay_request)

    def set_supply(self, kl30: bool, kl15: bool) -> None:
        """Battery supply and wake line, from now on."""
        self._kl15 = kl15
        if not kl30:
            if self._power is not Power.OFF:
                self._halt(Power.OFF)
            return
        if self._power is Power.OFF:
            self._power = Power.ASLEEP
            self._consume()
        if self._power is Power.ASLEEP and kl15:
            self._boot()
        elif self._power is Power.AWAKE:
            self._heed_wake_line()

    def supply_current_a(self, t_s: float) -> float:
        """Current drawn from KL30 at a loop time up to now."""
        return self._consumption.current_a(t_s)

    def mean_supply_current_a(self, from_s: float, to_s: float) -> float:
        """Mean of the current drawn from KL30 over a window that ends by now."""
        return self._consumption.mean_a(from_s, to_s)

    def _consume(self) -> None:
        """Draw what the present power state and coils need."""
        now_s = self._loop.time()
        if self._power is Power.OFF:
            self._consumption.off(now_s)
        elif self._power is Power.ASLEEP:
            self._consumption.asleep(now_s)
        else:
            self._consumption.awake(now_s, len(self._state.coils))

    def _boot(self) -> None:
        self._power = Power.BOOTING
        self._epoch += 1
        self._consume()
        self._loop.call_later(BOOT_S + BOOT_SD_S * self._deviation(), self._in_epoch(self._start))

    def _start(self) -> None:
        self._power = Power.AWAKE
        now_s = self._loop.time()
        self.in_boot_loader = self._boot_loader.software is None
        self._state.operating = OperatingState.BOOT if self.in_boot_loader else OperatingState.RUN
        if not self.in_boot_loader:
            self._sensors.wake(now_s)
            self.dtcs.wake(now_s)
        self._diagnostics.wake()
        self._sending = True
        self._port.start(loader_frames(self._messages) if self.in_boot_loader else self._broadcaster.wake())
        self._heed_wake_line()

    def _heed_wake_line(self) -> None:
        if self._kl15 and self._sleep_timer is not None:
            self._sleep_timer.cancel()
            self._sleep_timer = None
        elif not self._kl15 and self._sleep_timer is None:
            delay_s = self._settings.sleep_delay_s * (1.0 + SLEEP_SD * self._deviation())
            self._sleep_timer = self._loop.call_later(delay_s, self._in_epoch(lambda: self._halt(Power.ASLEEP)))
        self._tell()

    def _halt(self, power: Power) -> None:
        """Stop everything: sleep, reset or loss of supply."""
        if self._power is Power.AWAKE:
            self.judge_dtcs()
            self._diagnostics.sleep()
            self._port.stop()
        self._power = power
        self._epoch += 1
        if self._sleep_timer is not None:
            self._sleep_timer.cancel()
            self._sleep_timer = None
        self._requested_alive = None
        self._sensors.halt(self._loop.time())
        self._consume()

    def reset(self) -> None:
        self._halt(Power.ASLEEP)
        self._boot()

    def broadcast(self, on: bool) -> None:
        if self._power is Power.AWAKE and on is not self._sending:
            self._sending = on
            if on:
                self._port.start(loader_frames(self._messages) if self.in_boot_loader else self._broadcaster.resume())
            else:
                self._port.stop()

    def enter_boot_loader(self) -> None:
        if not self.in_boot_loader:
            self.broadcast(False)
            self._sensors.halt(self._loop.time())
            self.in_boot_loader = True
            self._state.operating = OperatingState.BOOT
            self.broadcast(True)

    def program(self, request: bytes) -> Reply | bytes:
        return self._boot_loader.program(request)

    @property
    def dids(self) -> Mapping[int, Entry]:
        return self._loader_dids if self.in_boot_loader else self._dids

    def energised(self) -> bool:
        return bool(self._state.coils)

    def judge_dtcs(self) -> None:
        """The boot loader judges none."""
        if not self.in_boot_loader:
            now_s = self._loop.time()
            self.dtcs.update(now_s, self._sensors.view(now_s), frozenset(self._state.coils))

    def open_wires(self) -> int:
        open_wire = np.isnan(self._sensors.front_end.cell_v(self._loop.time()))
        return bitmap_of(1 + int(index) for index in np.flatnonzero(open_wire))

    def end_bypass(self) -> None:
        self._takeover.end(awake=self._power is Power.AWAKE and not self.in_boot_loader)
        self._boot_loader.abandon()

    def _relays_changed(self) -> None:
        """A relay given back opens: the BMS itself wants none closed without a vehicle."""
        for relay, did in RELAY_BYPASS.items():
            if did not in self._takeover.bypassed:
                self._drive(relay, False)
        self._tell()

    def _tell(self) -> None:
        """Let the status frame say what the BMS is doing, from its next transmission."""
        if self.in_boot_loader:
            return
        if self._takeover.bypassed:
            operating = OperatingState.PLANT
        else:
            operating = OperatingState.RUN if self._kl15 else OperatingState.SHUTTING_DOWN
        if operating is not self._state.operating:
            self._port.settle([codec.STATUS_ID])
            self._state.operating = operating

    def _relay_request(self, frame: CanFrame) -> None:
        sealed = self._messages.unseal(codec.RELAY_REQUEST_ID, frame.data)
        if sealed is None or self._power is not Power.AWAKE or sealed.alive == self._requested_alive:
            return
        self._requested_alive = sealed.alive
        self._wanted = codec.decode_relay_request(sealed.payload)
        delay_s = float(self._coil_draws.uniform(*COIL_S))
        self._loop.call_later(delay_s, self._in_epoch(self._obey))

    def _obey(self) -> None:
        """Do what was asked for last, also if an earlier request is only now its turn."""
        for relay, did in RELAY_BYPASS.items():
            if did in self._takeover.bypassed:
                self._drive(relay, relay in self._wanted)

    def _drive(self, relay: Relay, on: bool) -> None:
        if on is (relay in self._state.coils):
            return
        self._port.settle([codec.STATUS_ID])
        (self._state.coils.add if on else self._state.coils.discard)(relay)
        self._plant.relay_command(self._loop.time(), relay, on)
        self._consume()

    def _in_epoch(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action, unless the unit was halted or restarted in between."""
        epoch = self._epoch

        def act() -> None:
            if epoch == self._epoch:
                action()

        return act

    def _deviation(self) -> float:
        return clipped(self._draws.standard_normal())


def _software(identity: BmsIdentity) -> ImageHeader:
    """What a unit comes with."""
    return ImageHeader((identity.hardware,), identity.software, identity.software_version, identity.calibration)


def _as_condition(identity: BmsIdentity, condition: BmsCondition) -> BmsIdentity:
    return replace(
        identity,
        software_version=condition.software_version or identity.software_version,
        pack_serial=condition.pack_serial or identity.pack_serial,
    )
