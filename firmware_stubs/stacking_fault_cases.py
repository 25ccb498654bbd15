"""The fault table of the stacking station: what hits its devices and people, in steps that rest on them.

A person at the safety chain ends the run; a device that has restarted makes the step begin anew, but no bolt is
tightened a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from bmsctl.domain.world import FaultCase
from firmware_stubs.fault_case import case
from firmware_stubs.faults import FAULTS

STATION = "stacking"

INSTRUMENTS = {
    "scanner": ("modules_in", 5.0),
    "insulation_tester": ("modules_in", 10.0),
    "battery_tester": ("place", 0.1),
    "nutrunner": ("bolts", 20.0),
    "ohmmeter": ("joints", 0.1),
    "lv_supply": ("harness", 0.1),
    "leak_tester": ("coolant_leak", 10.0),
    "label_printer": ("label", 0.0),
}
"""A step that rests on the device, and when in it the fault begins."""

SURVIVED = ("serial.split", "serial.restart")
SAYS = {
    ("nutrunner", "serial.frozen"): "nothing was tightened",
    ("scanner", "serial.frozen"): "cloned, hold both",
}
"""Where the reason does not begin with the device."""
UNREAD = {("lv_supply", "serial.prefix"), ("lv_supply", "serial.frozen")}
"""No current of the supply is read here."""
OTHER_SOFTWARE = '[[defect]]\nkind = "bms_software"\nversion = "0001"\n'
"""A BMS that is written."""
ALL_OF_THE_BUS = ("can.silent", "can.check", "can.length", "can.flood", "can.swapped")

_SILENT_PLC = "plc: silent"
_ASLEEP = "bms: not awake within 4 s; check KL30, KL15, and the signal connector"


def rows() -> Iterator[FaultCase]:
    """Every row."""
    yield from chain(_instruments(), _bms(), _flashing(), _plc(), _people())


def _instruments() -> Iterator[FaultCase]:
    for device, (step, after_s) in INSTRUMENTS.items():
        for kind, row in FAULTS.items():
            if kind.startswith(("serial.", "tester.", "supply.")) and device in row.at(STATION):
                survived = kind in SURVIVED
                if (device, kind) not in UNREAD:
                    says = "" if survived else SAYS.get((device, kind), f"{device}: ")
                    yield case(kind, device, step, after_s, says, "PASS" if survived else "INVALID")
    for step in ("busbars", "cover_bolts"):
        yield case("serial.silent", "nutrunner", step, 20.0, "nutrunner: ")
        yield case("serial.restart", "nutrunner", step, 20.0, "", "PASS")
    lost = case("nutrunner.results_lost", "nutrunner", "bolts", 20.0, "", "PASS")
    yield lost._replace(scenario=lost.scenario + 'lasts = "100 s"\n')


def _bms() -> Iterator[FaultCase]:
    for kind in (*ALL_OF_THE_BUS, "can.frozen", "can.bus_off", "bms.second"):
        yield case(kind, "bms", "harness", 8.0, "bms: ")
    yield case("bms.second", "bms", "harness", 0.0, "bms: two units send")
    yield case("bms.no_values", "bms", "harness", 0.0, "bms: no value")
    yield case("bms.no_values", "bms", "harness", 11.0, "not a number")
    for kind in ALL_OF_THE_BUS:
        yield case(kind, "bms", "bms_flash", 0.0, _ASLEEP)
    yield case("can.bus_off", "bms", "bms_flash", 0.0, "bms: ")


def _flashing() -> Iterator[FaultCase]:
    diagnostics = {
        "uds.lost_frame": "no consecutive frame for 1 s",
        "uds.pending": "only ever promised an answer",
        "uds.wrong_service": "bms: no answer to 22",
        "uds.late": "bms: no answer to 22",
    }
    for kind, says in diagnostics.items():
        yield case(kind, "bms", "bms_flash", 0.0, says)
    written = {**diagnostics, "can.silent": "bms: ", "can.flood": "bms: ", "can.bus_off": "CAN controller is bus-off"}
    for target, kind, says in (*(("bms", *each) for each in written.items()), ("lv_supply", "serial.restart", "bms: ")):
        row = case(kind, target, "bms_flash", 10.0, says)
        yield row._replace(scenario=OTHER_SOFTWARE + row.scenario)


def _plc() -> Iterator[FaultCase]:
    for step, after_s in (("modules_in", 11.0), ("bolts", 20.0), ("cover_bolts", 20.0)):
        for kind, who in (("safety.estop", "emergency stop"), ("safety.guard", "guard")):
            yield case(kind, "plc", step, after_s, who, "ABORTED")
        yield case("plc.silent", "plc", step, after_s, _SILENT_PLC)
    for kind in (*ALL_OF_THE_BUS, "can.frozen", "can.bus_off"):
        yield case(kind, "plc", "bolts", 20.0, _SILENT_PLC)
    yield case("plc.replay", "plc", "modules_in", 0.0, "plc: its challenges are not answered")
    yield case("plc.proof_low", "plc", "modules_in", 0.0, "two voltmeters disagree")
    yield case("plc.discharge_open", "plc", "modules_in", 11.0, "not below 60 V")


def _people() -> Iterator[FaultCase]:
    for step, after_s in (("tray", 0.0), ("place", 5.0), ("harness", 0.0), ("hvil_loop", 5.0), ("label", 0.0)):
        yield case("operator.absent", "operator", step, after_s, "operator: nobody ")
    yield case("operator.absent", "operator", "bolts", 20.0, "nothing was tightened")
    for step in ("busbars", "joints", "harness"):
        yield case("operator.unqualified", "operator", step, 0.0, "not qualified for live work")
