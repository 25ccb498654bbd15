"""Every fault a simulated station can have, injected on the wire or at the safety chain.

Kinds carry a name and their number in the fault catalogue; either may be written in a scenario.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bmsctl.errors import ScenarioError
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

    def press_estop(self) -> None:
        """A person presses the emergency stop."""
        ...

    def open_guard(self) -> None:
        """A person opens the guard."""
        ...


Act = Callable[[Disturbable, str, bool], None]


@dataclass(frozen=True)
class FaultKind:
    """One row of the fault table; the first target is the default."""

    catalogue_id: str
    targets: tuple[str, ...]
    act: Act


CAN_DEVICES = ("bms", "plc", "matrix")

FAULTS: Mapping[str, FaultKind] = {
    "can.bus_off": FaultKind("D1", CAN_DEVICES, lambda site, device, on: site.bus_off(device, on)),
    "can.silent": FaultKind("D2", CAN_DEVICES, lambda site, device, on: site.mute_can(device, on)),
    "serial.garbage": FaultKind("E1", ("digitizer",), lambda site, device, on: site.garble_serial(device, on)),
    "serial.silent": FaultKind("E3", ("digitizer",), lambda site, device, on: site.mute_serial(device, on)),
    "serial.unplugged": FaultKind("E4", ("digitizer",), lambda site, device, on: site.unplug_serial(device, on)),
    "safety.estop": FaultKind("F1", ("plc",), lambda site, device, on: site.press_estop() if on else None),
    "safety.guard": FaultKind("F1b", ("plc",), lambda site, device, on: site.open_guard() if on else None),
    "plc.silent": FaultKind("F2", ("plc",), lambda site, device, on: site.mute_can("plc", on)),
}

FAULT_NAMES: Mapping[str, str] = {
    **{name: name for name in FAULTS},
    **{kind.catalogue_id: name for name, kind in FAULTS.items()},
}
"""A fault's name for its name or catalogue number."""

TARGETS = (*CAN_DEVICES, "digitizer")


class FaultInjector:
    """Starts each fault of a scenario when its step has started."""

    def __init__(self, faults: Sequence[Fault], site: Disturbable) -> None:
        for fault in faults:
            if fault.target is not None and fault.target not in FAULTS[fault.kind].targets:
                allowed = ", ".join(FAULTS[fault.kind].targets)
                raise ScenarioError(f"{fault.place}: target = {fault.target!r}: must be one of {allowed}")
        self._faults = faults
        self._site = site

    def step_started(self, step: str) -> None:
        """Arm the faults of this step."""
        loop = asyncio.get_running_loop()
        for fault in self._faults:
            if fault.step != step:
                continue
            kind = FAULTS[fault.kind]
            target = fault.target or kind.targets[0]
            loop.call_later(fault.after_s, kind.act, self._site, target, True)
            if fault.lasts_s is not None:
                loop.call_later(fault.after_s + fault.lasts_s, kind.act, self._site, target, False)
