"""What faults do to the wires and devices of the simulated station; implements `faults.Disturbable`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from itertools import pairwise

from bmsctl.domain.ports import Relay
from firmware_stubs.can_tampering import Maker, flooding, outvoted, replayed_answer
from firmware_stubs.eol_wiring import EolWiring
from firmware_stubs.faults import SCPI_DEVICES
from firmware_stubs.noise import Noise
from firmware_stubs.ports import BUS_OF, Pieces
from firmware_stubs.stacking_wiring import StackingWiring
from firmware_stubs.telegram_tampering import frozen_labels, frozen_pressures, frozen_tightenings

Edit = Callable[[bytes, bytes], bytes]
"""Makes of a query and its answer what arrives instead."""

READINGS = frozenset({b":MEAS:ARR?", b":MEAS:CURR?", b":FETC:CURR?", b":READ?", b":FETC?", b":SAFE:RES:ALL:MMET?"})
"""Queries of what an instrument is there to measure."""
MEASURED = READINGS | {b":MEAS:VOLT?", b":FETC:VOLT?", b":FETC:POW?", b":SAFE:RES:ALL:OMET?"}
"""Queries of all that is measured; settings, registers and words are not."""

HANGING = {"nutrunner": frozen_tightenings, "scanner": frozen_labels, "leak_tester": frozen_pressures}
"""How a device hangs whose telegrams are no answers in SCPI."""

NUMBER = re.compile(rb"[+-]?\d+(?:\.\d+)?(?:E[+-]\d+)?")


class Disturbances:
    """Does to one station what its faults say."""

    def __init__(self, wiring: EolWiring | StackingWiring, seed: int) -> None:
        self._wiring = wiring
        self._wires = wiring.wires
        self._noise = Noise(seed, "line.garbage")
        self._garbled = 0
        self._asked: dict[str, list[bytes]] = {}
        self._heard = self._wires.on_bytes
        self._wires.on_bytes = self._hear

    def mute_can(self, device: str, on: bool) -> None:
        self._wires.ecu(device).mute(on)

    def bus_off(self, device: str, on: bool) -> None:
        self._wires.bus_off(device, on)

    def tamper_can(self, device: str, maker: Maker, on: bool) -> None:
        ecu = self._wires.ecu(device)
        ecu.tamper = maker(ecu) if on else None

    def separate_bus(self, device: str, on: bool) -> None:
        for each in self._on_bus_of(device):
            self.mute_can(each, on)

    def flood_bus(self, device: str, on: bool) -> None:
        for each in self._on_bus_of(device):
            self.tamper_can(each, flooding if each == device else outvoted, on)

    def mute_serial(self, device: str, on: bool) -> None:
        self._wires.instrument(device).muted = on

    def unplug_serial(self, device: str, on: bool) -> None:
        self._wires.unplug(device, on)

    def garble_serial(self, device: str, on: bool) -> None:
        self._tamper(device, self._garble if on else None)

    def split_serial(self, device: str, on: bool) -> None:
        self._tamper(device, _split if on else None)

    def delay_serial(self, device: str, on: bool) -> None:
        self._tamper(device, _one_behind() if on else None)

    def malform_numbers(self, device: str, on: bool) -> None:
        self._edit(device, MEASURED, lambda query, said: NUMBER.sub(b"1.2.3", said), on)

    def slip_prefix(self, device: str, on: bool) -> None:
        self._edit(device, READINGS, _slipped, on)

    def freeze_readings(self, device: str, on: bool) -> None:
        if device == "digitizer":
            getattr(self._wiring, device).freeze(on)
        elif device in HANGING:
            self._tamper(device, HANGING[device]() if on else None)
        else:
            self._edit(device, MEASURED, _frozen(), on)

    def restart(self, device: str) -> None:
        getattr(self._wiring, device).restart()

    def lose_contact(self, device: str, on: bool) -> None:
        if device == "ohmmeter":
            channels = range(1, self._wiring.ohmmeter_channels + 1)
            self._wiring.ohmmeter.lost_contacts = set(channels) if on else set()
        elif isinstance(self._wiring, StackingWiring) and device == "battery_tester":
            self._wiring.probes.lifted = on
        else:
            getattr(self._wiring, device).lead_open = on

    def lose_results(self, device: str, on: bool) -> None:
        getattr(self._wiring, device).results_lost = on

    def ignore_off(self, device: str, on: bool) -> None:
        getattr(self._wiring, device).stuck = on

    def overshoot(self, device: str, on: bool) -> None:
        getattr(self._wiring, device).overshoot(on)

    def keep_contactors_open(self, on: bool) -> None:
        self._wiring.plant.refuse(Relay.MAIN_PLUS, True if on else None)

    def keep_contactors_closed(self, on: bool) -> None:
        for relay in (Relay.MAIN_PLUS, Relay.MAIN_MINUS):
            self._wiring.plant.refuse(relay, False if on else None)
        self._wiring.monitor.excused |= on

    def replay_answers(self, on: bool) -> None:
        ecu = self._wires.ecu("plc")
        ecu.tamper_heard = replayed_answer(ecu) if on else None

    def hold_proof_low(self, on: bool) -> None:
        self._wiring.plc.meter.reads_nothing = on

    def break_discharge(self) -> None:
        self._wiring.plc.energy.break_discharge(asyncio.get_running_loop().time())
        self._wiring.monitor.excused = True

    def leave(self, on: bool) -> None:
        self._wiring.operator.absent = on

    def send_unqualified(self, on: bool) -> None:
        self._wiring.operator.unqualified = on

    def press_estop(self) -> None:
        self._wiring.plc.press_estop()

    def open_guard(self) -> None:
        self._wiring.plc.open_guard()

    def _on_bus_of(self, device: str) -> list[str]:
        return [each for each in self._wiring.ecus if BUS_OF[each] == BUS_OF[device]]

    def _tamper(self, device: str, tamper: Callable[[bytes], Pieces] | None) -> None:
        self._wires.instrument(device).tamper = tamper

    def _hear(self, device: str, message: bytes) -> None:
        """Remember what an instrument has been asked: only the question tells what an answer is about."""
        if device in SCPI_DEVICES:
            queries = [unit for unit in message.strip().split(b";") if unit.endswith(b"?")]
            if queries:
                self._asked[device] = queries
        if self._heard is not None:
            self._heard(device, message)

    def _edit(self, device: str, queries: frozenset[bytes], edit: Edit, on: bool) -> None:
        """Change the answers to these queries."""

        def tamper(data: bytes) -> Pieces:
            fields = data.split(b";")
            for index, query in enumerate(self._asked.get(device, [])[: len(fields)]):
                if query in queries:
                    fields[index] = edit(query, fields[index])
            return [(0.0, b";".join(fields))]

        self._tamper(device, tamper if on else None)

    def _garble(self, data: bytes) -> Pieces:
        """Flip bits in one byte of about every eighth; which, depends on how many bytes came before."""
        draws = self._noise.normal(self._garbled, len(data))
        self._garbled += len(data)
        return [(0.0, bytes(byte ^ (0x55 if draw > 1.15 else 0) for byte, draw in zip(data, draws, strict=True)))]


def _split(data: bytes) -> Pieces:
    """As six reads see it that come while it arrives; the last byte is on time."""
    marks = sorted({0, 1, 2, 3, len(data) // 2, len(data) - 1, len(data)})
    return [(0.0, data[low:high]) for low, high in pairwise(marks) if high <= len(data)]


def _one_behind() -> Callable[[bytes], Pieces]:
    """Each query is given the answer to the one before."""
    held: list[bytes] = []

    def tamper(data: bytes) -> Pieces:
        held.append(data)
        return [(0.0, held[-2])] if len(held) > 1 else []

    return tamper


def _slipped(query: bytes, said: bytes) -> bytes:
    """Every number a thousand times too large."""
    return NUMBER.sub(lambda found: f"{1e3 * float(found[0]):+.6E}".encode(), said)


def _frozen() -> Edit:
    """Every number stays as it was in the first answer to the same query."""
    first: dict[bytes, bytes] = {}
    return lambda query, said: first.setdefault(query, said)
