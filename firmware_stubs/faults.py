"""Every fault a simulated station can have, injected on the wire or at the safety chain.

Kinds carry a name and their number in the fault catalogue; either may be written in a scenario.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmsctl.errors import ScenarioError
from firmware_stubs.ports import BUS_OF, SERIAL_DEVICES
from firmware_stubs.scenario import Fault


class Disturbable(Protocol):
    """What faults act on: the sim world's wiring."""

    def mute_can(self, device: str, on: bool) -> None:
        """Unplug the device's CAN transmitter and receiver."""
        ...

    def bus_off(self, device: str, on: bool) -> None:
        """Put the station's controller on the device's bus into bus-off."""
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

    def press_estop(self) -> None:
        """A person presses the emergency stop."""
        ...

    def open_guard(self) -> None:
        """A person opens the guard."""
        ...


Act = Callable[[Disturbable, str, bool], None]


@dataclass(frozen=True)
class FaultKind:
    """One row of the fault table."""

    catalogue_id: str
    targets: tuple[str, ...]
    act: Act


CAN_DEVICES = tuple(BUS_OF)
SCPI_DEVICES = ("lv_supply", "ohmmeter", "insulation_tester", "withstand_tester", "cycler")
SAMPLING_DEVICES = ("digitizer", *SCPI_DEVICES)
CONTACT_DEVICES = ("insulation_tester", "withstand_tester", "ohmmeter")

FAULTS: Mapping[str, FaultKind] = {
    "can.bus_off": FaultKind("D1", CAN_DEVICES, lambda site, device, on: site.bus_off(device, on)),
    "can.silent": FaultKind("D2", CAN_DEVICES, lambda site, device, on: site.mute_can(device, on)),
    "serial.garbage": FaultKind("E1", SERIAL_DEVICES, lambda site, device, on: site.garble_serial(device, on)),
    "serial.split": FaultKind("E2", SERIAL_DEVICES, lambda site, device, on: site.split_serial(device, on)),
    "serial.late": FaultKind("E3", SERIAL_DEVICES, lambda site, device, on: site.delay_serial(device, on)),
    "serial.silent": FaultKind("E3b", SERIAL_DEVICES, lambda site, device, on: site.mute_serial(device, on)),
    "serial.unplugged": FaultKind("E4", SERIAL_DEVICES, lambda site, device, on: site.unplug_serial(device, on)),
    "serial.restart": FaultKind("E5", SERIAL_DEVICES, lambda site, device, on: site.restart(device) if on else None),
    "serial.malformed": FaultKind("E6", SCPI_DEVICES, lambda site, device, on: site.malform_numbers(device, on)),
    "serial.prefix": FaultKind("E7", SCPI_DEVICES, lambda site, device, on: site.slip_prefix(device, on)),
    "serial.frozen": FaultKind("E8", SAMPLING_DEVICES, lambda site, device, on: site.freeze_readings(device, on)),
    "tester.contact": FaultKind("E11", CONTACT_DEVICES, lambda site, device, on: site.lose_contact(device, on)),
    "safety.estop": FaultKind("F1", ("plc",), lambda site, device, on: site.press_estop() if on else None),
    "safety.guard": FaultKind("F1b", ("plc",), lambda site, device, on: site.open_guard() if on else None),
    "plc.silent": FaultKind("F2", ("plc",), lambda site, device, on: site.mute_can("plc", on)),
}

FAULT_NAMES: Mapping[str, str] = {
    **{name: name for name in FAULTS},
    **{kind.catalogue_id: name for name, kind in FAULTS.items()},
}
"""A fault's name for its name or catalogue number."""

TARGETS = (*CAN_DEVICES, *SERIAL_DEVICES)


class FaultInjector:
    """Starts each fault of a scenario when its step has started.

    A fault without a target hits the first device of its kind that the step talks to, as soon as it does.
    """

    def __init__(self, faults: Sequence[Fault], site: Disturbable) -> None:
        for fault in faults:
            if fault.target is not None and fault.target not in FAULTS[fault.kind].targets:
                allowed = ", ".join(FAULTS[fault.kind].targets)
                raise ScenarioError(f"{fault.place}: target = {fault.target!r}: must be one of {allowed}")
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
        for fault in [fault for fault in self._waiting if device in FAULTS[fault.kind].targets]:
            self._waiting.remove(fault)
            self._begin(fault, device)

    def _due(self, fault: Fault) -> None:
        targets = FAULTS[fault.kind].targets
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
