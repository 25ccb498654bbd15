"""The calls of each port, as tests of what all ports have in common need them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Resistor, Route
from bmsctl.domain.units import Ampere, Ohm, Second, Volt
from firmware_stubs.ports import BUS_OF
from tests.contract.stacking import Stacking
from tests.contract.station import SUPPLY, SUPPLY_LIMIT, AnyStation, Station

Call = Callable[[Lease], Awaitable[object]]

ARMED = Volt(0.0), Volt(450.0), Ampere(10.0)
INSULATION = Volt(200.0), Second(0.3)
WITHSTAND = Volt(200.0), Second(0.3), Second(0.3), Ampere(0.005)
BONDING_RANGE = Ohm(0.1)
LABEL = "AS52000000001", "295B00001R", ("AS52 350 V",)
SCAN_WITHIN = Second(5.0)


@dataclass(frozen=True)
class PortCalls:
    """How one port is called.

    commands: calls that send something; each may come first, and they may come in this order. listens: calls that
    only hear what the device sends by itself. off: what takes neither lease nor time. ready: brings the device to
    where all of this works.
    """

    commands: Mapping[str, Call]
    off: tuple[Callable[[], None], ...] = ()
    listens: Mapping[str, Call] | None = None
    ready: Callable[[], Awaitable[None]] | None = None

    @property
    def every(self) -> Mapping[str, Call]:
        """All that can be awaited."""
        return {**self.commands, **(self.listens or {})}


def _plc(station: Station) -> PortCalls:
    plc = station.devices.plc
    return PortCalls(
        {
            "permit": lambda lease: plc.permit(lease, station.token()),
            "feed_coils": lambda lease: plc.feed_coils(lease, on=False),
            "bridge_hvil": lambda lease: plc.bridge_hvil(lease, closed=False),
            "supply": lambda lease: plc.supply(lease, kl30=True, kl15=False),
        },
        off=(plc.drop_permit, plc.supply_off),
        listens={"sense": lambda lease: plc.sense(Second(1.5))},
    )


def _matrix(station: Station) -> PortCalls:
    matrix = station.devices.matrix
    return PortCalls(
        {
            "connect": lambda lease: matrix.connect(lease, {Route.DIGITIZER}),
            "connect none": lambda lease: matrix.connect(lease, frozenset()),
        },
        off=(matrix.open_all,),
    )


def _bms(station: Station) -> PortCalls:
    bms = station.devices.bms
    return PortCalls(
        {
            "identity": bms.identity,
            "dtcs": bms.dtcs,
            "soc": bms.soc,
            "take_relays": bms.take_relays,
            "dividers_enable": lambda lease: bms.dividers_enable(lease, on=True),
            "release": bms.release,
        },
        off=(bms.open_relays,),
        listens={"taps": bms.taps, "current": bms.current, "hvil_closed": bms.hvil_closed},
        ready=station.awake,
    )


def _digitizer(station: Station) -> PortCalls:
    digitizer = station.devices.digitizer
    return PortCalls(
        {
            "identify": digitizer.identify,
            "mean": lambda lease: digitizer.mean(lease, 200),
            "start": digitizer.start,
            "insert": lambda lease: digitizer.insert(lease, Resistor.R0_MINUS),
        },
        off=(digitizer.stop,),
    )


def _lv_supply(station: Station) -> PortCalls:
    supply = station.devices.lv_supply
    return PortCalls(
        {
            "identify": supply.identify,
            "on": lambda lease: supply.on(lease, SUPPLY, SUPPLY_LIMIT),
            "current": lambda lease: supply.current(lease, Ampere(10.0), Second(0.1)),
        },
        off=(supply.off,),
    )


def _ohmmeter(station: Station) -> PortCalls:
    ohmmeter = station.devices.ohmmeter
    return PortCalls(
        {"identify": ohmmeter.identify, "measure": lambda lease: ohmmeter.measure(lease, 1, BONDING_RANGE)}
    )


def _insulation_tester(station: Station) -> PortCalls:
    tester = station.devices.insulation_tester
    return PortCalls(
        {"identify": tester.identify, "measure": lambda lease: tester.measure(lease, *INSULATION)},
        off=(tester.off,),
        ready=lambda: station.onto_testers(Route.INSULATION_TESTER),
    )


def _withstand_tester(station: Station) -> PortCalls:
    tester = station.devices.withstand_tester
    return PortCalls(
        {"identify": tester.identify, "test": lambda lease: tester.test(lease, *WITHSTAND)},
        off=(tester.off,),
        ready=lambda: station.onto_testers(Route.WITHSTAND_TESTER),
    )


def _cycler(station: Station) -> PortCalls:
    cycler = station.devices.cycler
    return PortCalls(
        {
            "identify": cycler.identify,
            "arm": lambda lease: cycler.arm(lease, *ARMED),
            "read": cycler.read,
            "disarm": cycler.disarm,
        },
        off=(cycler.off,),
        ready=station.permitted,
    )


def _scanner(station: Station) -> PortCalls:
    return PortCalls({"scan": lambda lease: station.devices.scanner.scan(lease, SCAN_WITHIN)})


def _label_printer(station: Station) -> PortCalls:
    return PortCalls({"print": lambda lease: station.devices.label_printer.print(lease, *LABEL)})


def _battery_tester(station: Stacking) -> PortCalls:
    tester = station.devices.battery_tester
    return PortCalls(
        {"identify": tester.identify, "measure": lambda lease: tester.measure(lease, *station.battery_ranges)},
        ready=station.frame_on_module,
    )


def _nutrunner(station: Stacking) -> PortCalls:
    nutrunner = station.devices.nutrunner
    return PortCalls(
        {
            "identify": nutrunner.identify,
            "newest_id": nutrunner.newest_id,
            "stored": lambda lease: nutrunner.stored(lease, 1),
            "enable": lambda lease: nutrunner.enable(lease, station.vin, station.parameter_set),
            "disable": nutrunner.disable,
        },
        off=(nutrunner.off,),
    )


def _leak_tester(station: Stacking) -> PortCalls:
    tester = station.devices.leak_tester
    return PortCalls(
        {
            "identify": tester.identify,
            "test": lambda lease: tester.test(lease, station.leak_test),
            "vented": tester.vented,
        },
        off=(tester.off,),
        ready=station.hose_on_plate,
    )


_TABLE: Mapping[str, Callable[[Any], PortCalls]] = {
    "plc": _plc,
    "matrix": _matrix,
    "bms": _bms,
    "digitizer": _digitizer,
    "lv_supply": _lv_supply,
    "ohmmeter": _ohmmeter,
    "insulation_tester": _insulation_tester,
    "withstand_tester": _withstand_tester,
    "cycler": _cycler,
    "scanner": _scanner,
    "label_printer": _label_printer,
    "battery_tester": _battery_tester,
    "nutrunner": _nutrunner,
    "leak_tester": _leak_tester,
}

DEVICES = tuple(_TABLE)
ON_CAN = tuple(BUS_OF)
ON_SERIAL = tuple(device for device in DEVICES if device not in BUS_OF)
OFF_BY_THEMSELVES = ("ohmmeter", "scanner", "label_printer", "battery_tester")
"""Nothing of them stays on, so they are not asked off."""
WITHOUT_NAME = ("scanner", "label_printer")
"""They do not say who they are."""

STACKING = pytest.mark.stacking
_MARKS = {
    "battery_tester": (STACKING,),
    "nutrunner": (STACKING, pytest.mark.worlds("sim", "bench", "tcp")),
    "leak_tester": (STACKING,),
}


def parameters(*devices: str) -> list[ParameterSet]:
    """These devices, each at the station that has it."""
    return [pytest.param(each, marks=_MARKS.get(each, ())) for each in devices]


def calls_of(station: AnyStation, device: str) -> PortCalls:
    """The calls of a device's port."""
    return _TABLE[device](station)


def silent(device: str) -> str:
    """Name of the fault by which the device neither hears nor answers."""
    return "can.silent" if device in BUS_OF else "serial.silent"
