"""Every fault a simulated station can have, injected on the wire or at the safety chain.

Kinds carry a name and their number in the fault catalogue; either may be written in a scenario. A BMS whose serial
number is not the label's (D10) is something wrong with the pack: the defect `bms_serial`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmsctl.domain.recipe import EOL, STACKING
from bmsctl.domain.steps import STEP_NAMES
from bmsctl.errors import ScenarioError
from firmware_stubs import can_tampering as can
from firmware_stubs.can_tampering import Maker
from firmware_stubs.ports import BUS_OF, EOL_ECUS, EOL_SERIAL, STACKING_ECUS, STACKING_SERIAL
from firmware_stubs.scenario import Fault


class Disturbable(Protocol):
    """What faults act on: the wiring of a simulated station."""

    def mute_can(self, device: str, on: bool) -> None:
        """Unplug the device's CAN transmitter and receiver."""
        ...

    def bus_off(self, device: str, on: bool) -> None:
        """Put the station's controller on the device's bus into bus-off."""
        ...

    def tamper_can(self, device: str, maker: Maker, on: bool) -> None:
        """Something happens to what the device sends on its CAN."""
        ...

    def separate_bus(self, device: str, on: bool) -> None:
        """Nobody on the device's bus hears anybody: H and L swapped, or another bit rate."""
        ...

    def flood_bus(self, device: str, on: bool) -> None:
        """Frames that nobody knows win every arbitration on the device's bus."""
        ...

    def mute_serial(self, device: str, on: bool) -> None:
        """The device neither hears nor answers."""
        ...

    def unplug_serial(self, device: str, on: bool) -> None:
        """The station's port is gone."""
        ...

    def garble_serial(self, device: str, on: bool) -> None:
        """Noise hits what the device sends."""
        ...

    def split_serial(self, device: str, on: bool) -> None:
        """What the device sends arrives in pieces."""
        ...

    def delay_serial(self, device: str, on: bool) -> None:
        """Each query is given the answer to the one before."""
        ...

    def malform_numbers(self, device: str, on: bool) -> None:
        """What the device has measured arrives as numbers that are none."""
        ...

    def slip_prefix(self, device: str, on: bool) -> None:
        """What the device is there to measure arrives in another prefix of the unit."""
        ...

    def freeze_readings(self, device: str, on: bool) -> None:
        """The device measures the same again and again."""
        ...

    def restart(self, device: str) -> None:
        """The device restarts and forgets its settings."""
        ...

    def lose_contact(self, device: str, on: bool) -> None:
        """The instrument's leads do not touch what they should measure."""
        ...

    def lose_results(self, device: str, on: bool) -> None:
        """What the device has done stays in its memory: it does not tell of it by itself."""
        ...

    def ignore_off(self, device: str, on: bool) -> None:
        """The supply's output stays as it is, whatever it is told; only its enable still stops it."""
        ...

    def overshoot(self, device: str, on: bool) -> None:
        """The supply drives more than it was set to."""
        ...

    def keep_contactors_open(self, on: bool) -> None:
        """Main plus no longer closes, while its coil's driver says that it has."""
        ...

    def keep_contactors_closed(self, on: bool) -> None:
        """Both main contactors weld, while their coils' drivers say that they have opened."""
        ...

    def replay_answers(self, on: bool) -> None:
        """The PLC hears, instead of the station's answers to its challenges, an old one."""
        ...

    def hold_proof_low(self, on: bool) -> None:
        """One of the PLC's two voltmeters reads nothing."""
        ...

    def break_discharge(self) -> None:
        """The PLC's discharge and proof resistors are open."""
        ...

    def leave(self, on: bool) -> None:
        """The person leaves the station, or comes back."""
        ...

    def send_unqualified(self, on: bool) -> None:
        """Whoever works at the station is not qualified for it."""
        ...

    def press_estop(self) -> None:
        """A person presses the emergency stop."""
        ...

    def open_guard(self) -> None:
        """A person opens the guard."""
        ...


Act = Callable[[Disturbable, str, bool], None]


@dataclass(frozen=True)
class FaultKind:
    """One row of the fault table. `targets`: at whichever station they are."""

    catalogue_id: str
    targets: tuple[str, ...]
    act: Act

    def at(self, station: str) -> tuple[str, ...]:
        """The targets that a station has."""
        return tuple(device for device in self.targets if device in TARGETS[station])


OPERATOR = "operator"
TARGETS: Mapping[str, tuple[str, ...]] = {
    STACKING: (*STACKING_ECUS, *STACKING_SERIAL, OPERATOR),
    EOL: (*EOL_ECUS, *EOL_SERIAL),
}
"""Whom faults may hit, by station."""
ALL_TARGETS = tuple(dict.fromkeys((*TARGETS[EOL], *TARGETS[STACKING])))

CAN_DEVICES = tuple(BUS_OF)
SERIAL_DEVICES = tuple(dict.fromkeys((*EOL_SERIAL, *STACKING_SERIAL)))
SCPI_DEVICES = ("lv_supply", "ohmmeter", "insulation_tester", "withstand_tester", "cycler", "battery_tester")
SAMPLING_DEVICES = ("digitizer", *SCPI_DEVICES, "leak_tester")
REPORTING_DEVICES = ("nutrunner", "scanner")
"""They tell of what has happened, not of what is."""
CONTACT_DEVICES = ("insulation_tester", "withstand_tester", "ohmmeter", "battery_tester")
SUPPLIES = ("cycler", "insulation_tester", "withstand_tester", "lv_supply")


def _tampered(catalogue_id: str, maker: Maker, targets: tuple[str, ...] = ("bms",)) -> FaultKind:
    return FaultKind(catalogue_id, targets, lambda site, device, on: site.tamper_can(device, maker, on))


FAULTS: Mapping[str, FaultKind] = {
    "can.bus_off": FaultKind("D1", CAN_DEVICES, lambda site, device, on: site.bus_off(device, on)),
    "can.silent": FaultKind("D2", CAN_DEVICES, lambda site, device, on: site.mute_can(device, on)),
    "can.frozen": _tampered("D3", can.frozen, CAN_DEVICES),
    "can.check": _tampered("D4", can.wrong_check, CAN_DEVICES),
    "can.length": _tampered("D4b", can.wrong_length, CAN_DEVICES),
    "can.flood": FaultKind("D4c", CAN_DEVICES, lambda site, device, on: site.flood_bus(device, on)),
    "bms.no_values": _tampered("D5", can.without_values),
    "can.swapped": FaultKind("D6", CAN_DEVICES, lambda site, device, on: site.separate_bus(device, on)),
    "bms.second": _tampered("D7", can.second_unit),
    "uds.lost_frame": _tampered("D8", can.lost_frames),
    "uds.pending": _tampered("D8b", can.pending),
    "uds.wrong_service": _tampered("D8c", can.wrong_service),
    "uds.late": _tampered("D8d", can.late),
    "contactor.stays_open": FaultKind("D9", ("bms",), lambda site, device, on: site.keep_contactors_open(on)),
    "contactor.stays_closed": FaultKind("D9b", ("bms",), lambda site, device, on: site.keep_contactors_closed(on)),
    "bms.revision": _tampered("D12", can.other_revision),
    "serial.garbage": FaultKind("E1", SERIAL_DEVICES, lambda site, device, on: site.garble_serial(device, on)),
    "serial.split": FaultKind("E2", SERIAL_DEVICES, lambda site, device, on: site.split_serial(device, on)),
    "serial.late": FaultKind("E3", SERIAL_DEVICES, lambda site, device, on: site.delay_serial(device, on)),
    "serial.silent": FaultKind("E3b", SERIAL_DEVICES, lambda site, device, on: site.mute_serial(device, on)),
    "serial.unplugged": FaultKind("E4", SERIAL_DEVICES, lambda site, device, on: site.unplug_serial(device, on)),
    "serial.restart": FaultKind("E5", SERIAL_DEVICES, lambda site, device, on: site.restart(device) if on else None),
    "serial.malformed": FaultKind("E6", SCPI_DEVICES, lambda site, device, on: site.malform_numbers(device, on)),
    "serial.prefix": FaultKind("E7", SCPI_DEVICES, lambda site, device, on: site.slip_prefix(device, on)),
    "serial.frozen": FaultKind(
        "E8", (*SAMPLING_DEVICES, *REPORTING_DEVICES), lambda site, device, on: site.freeze_readings(device, on)
    ),
    "supply.link_dead": FaultKind("E9", SUPPLIES, lambda site, device, on: site.mute_serial(device, on)),
    "supply.ignores_off": FaultKind("E10", ("cycler",), lambda site, device, on: site.ignore_off(device, on)),
    "supply.overshoot": FaultKind("E10b", ("cycler",), lambda site, device, on: site.overshoot(device, on)),
    "tester.contact": FaultKind("E11", CONTACT_DEVICES, lambda site, device, on: site.lose_contact(device, on)),
    "nutrunner.results_lost": FaultKind("E13", ("nutrunner",), lambda site, device, on: site.lose_results(device, on)),
    "operator.absent": FaultKind("G10", (OPERATOR,), lambda site, device, on: site.leave(on)),
    "operator.unqualified": FaultKind("G10b", (OPERATOR,), lambda site, device, on: site.send_unqualified(on)),
    "safety.estop": FaultKind("F1", ("plc",), lambda site, device, on: site.press_estop() if on else None),
    "safety.guard": FaultKind("F1b", ("plc",), lambda site, device, on: site.open_guard() if on else None),
    "plc.silent": FaultKind("F2", ("plc",), lambda site, device, on: site.mute_can("plc", on)),
    "plc.replay": FaultKind("F3", ("plc",), lambda site, device, on: site.replay_answers(on)),
    "plc.proof_low": FaultKind("F4", ("plc",), lambda site, device, on: site.hold_proof_low(on)),
    "plc.discharge_open": FaultKind("F5", ("plc",), lambda site, device, on: site.break_discharge() if on else None),
}

FAULT_NAMES: Mapping[str, str] = {
    **{name: name for name in FAULTS},
    **{kind.catalogue_id: name for name, kind in FAULTS.items()},
}
"""A fault's name for its name or catalogue number."""

STATION_OF = {step: station for station, steps in STEP_NAMES.items() for step in steps}


def _require_targets(faults: Sequence[Fault]) -> None:
    """Raise ScenarioError if a fault cannot hit anything, or not its target, at the station of its step."""
    for fault in faults:
        station = STATION_OF[fault.step]
        allowed = FAULTS[fault.kind].at(station)
        if not allowed:
            raise ScenarioError(f"{fault.place}: step = {fault.step!r}: the {station} station has nothing that it hits")
        if fault.target is not None and fault.target not in allowed:
            raise ScenarioError(f"{fault.place}: target = {fault.target!r}: must be one of {', '.join(allowed)}")


class FaultInjector:
    """Starts each fault of a scenario when its step has started; those of steps of another station never start.

    A fault without a target hits the first device of its kind that the step talks to, as soon as it does.
    """

    def __init__(self, faults: Sequence[Fault], site: Disturbable) -> None:
        _require_targets(faults)
        self._faults = faults
        self._site = site
        self._talked_to: list[str] = []
        self._waiting: list[Fault] = []

    def step_started(self, step: str) -> None:
        """Arm the faults of this step."""
        loop = asyncio.get_running_loop()
        self._talked_to, self._waiting = [], []
        for fault in self._faults:
            if fault.step == step:
                loop.call_later(fault.after_s, self._due, fault)

    def talked_to(self, device: str) -> None:
        """The station has sent something to a device."""
        if device not in self._talked_to:
            self._talked_to.append(device)
        for fault in [fault for fault in self._waiting if device in _targets(fault)]:
            self._waiting.remove(fault)
            self._begin(fault, device)

    def _due(self, fault: Fault) -> None:
        targets = _targets(fault)
        if fault.target is not None or len(targets) == 1:
            self._begin(fault, fault.target or targets[0])
            return
        found = next((device for device in self._talked_to if device in targets), None)
        if found is None:
            self._waiting.append(fault)
        else:
            self._begin(fault, found)

    def _begin(self, fault: Fault, target: str) -> None:
        act = FAULTS[fault.kind].act
        act(self._site, target, True)
        if fault.lasts_s is not None:
            asyncio.get_running_loop().call_later(fault.lasts_s, act, self._site, target, False)


def _targets(fault: Fault) -> tuple[str, ...]:
    return FAULTS[fault.kind].at(STATION_OF[fault.step])
