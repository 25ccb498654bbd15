"""The fault table as cases: every fault of a station in steps that rest on what it hits, and what must come of it.

A station's fault is INVALID, a survived one PASS. The only FAIL is that of contactors which, by the station's own
meter, do not do what the BMS reports (D9). The rows of stacking are in `stacking_fault_cases`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from bmsctl.domain.recipe import EOL, STACKING, Recipe
from bmsctl.domain.world import FaultCase
from firmware_stubs.fault_case import case as _case
from firmware_stubs.faults import FAULTS
from firmware_stubs.stacking_fault_cases import rows as stacking_rows

_SILENT_BMS = "bms: no fresh, undamaged status"
_NO_ANSWERS = "missed the sequencer's answers"
_SILENT_PLC = "plc: silent"

INSTRUMENTS = {
    "digitizer": ("contactors_open", 0.1),
    "lv_supply": ("quiescent_current", 0.1),
    "ohmmeter": ("bonding", 1.0),
    "insulation_tester": ("insulation_outer", 0.1),
    "withstand_tester": ("withstand", 0.1),
    "cycler": ("dcir", 0.1),
}
"""A step that reads the instrument, and when in it the fault begins."""

SURVIVED = ("serial.split", "serial.restart")
UNSEEN = {("withstand_tester", "serial.frozen")}
"""It is read once: the first reading of a meter that hangs from then on is right."""
OWN_STEPS = ("supply.ignores_off", "supply.overshoot", "supply.link_dead")
"""They matter only while current flows, or test voltage stands."""


def cases(recipe: Recipe, station: str = EOL) -> list[FaultCase]:
    """Every case of a station whose step the recipe runs.

    Raises:
        LookupError: no such station.
    """
    running = {step.run for step in recipe.steps(station)}
    table = {
        EOL: lambda: chain(_can(), _bms(), _diagnostics(), _instruments(), _supplies(), _safety_chain()),
        STACKING: stacking_rows,
    }[station]
    return [case._replace(station=station) for case in table() if case.begins_in in running]


def _can() -> Iterator[FaultCase]:
    for kind in ("can.silent", "can.frozen", "can.check", "can.length", "can.flood", "can.swapped"):
        yield _case(kind, "bms", "insulation_live", 6.0, _SILENT_BMS)
    yield _case("can.silent", "bms", "bms_identity", 0.1, "bms: no answer to")
    for kind in ("can.check", "can.flood", "can.swapped"):
        yield _case(
            kind, "bms", "bms_alive", 0.0, "bms: not awake within 4 s; check KL30, KL15, and the signal connector"
        )
    yield _case("can.frozen", "bms", "cells_at_rest", 0.1, "bms: ")
    yield _case("can.bus_off", "bms", "cells_at_rest", 0.1, "bms: ")
    yield _case("can.bus_off", "bms", "contactors_open", 0.1, "bms: ")
    for kind in ("can.silent", "can.frozen", "can.check"):
        yield _case(kind, "matrix", "dcir", 0.0, "matrix: no feedback")
    for kind in ("can.check", "can.length", "can.flood", "can.swapped"):
        yield _case(kind, "plc", "dcir", 5.0, _SILENT_PLC)
    yield _case("can.frozen", "plc", "dcir", 5.0, _NO_ANSWERS)


def _bms() -> Iterator[FaultCase]:
    yield _case("bms.no_values", "bms", "cells_at_rest", 0.0, "the BMS reports no temperature")
    yield _case("bms.no_values", "bms", "precharge", 0.0, "bms: its insulation monitor")
    yield _case("bms.no_values", "bms", "dcir", 4.0, "bms: ")
    yield _case("bms.no_values", "bms", "balancing_channels", 5.0, "not a number")
    yield _case("bms.second", "bms", "bms_alive", 0.0, "bms: two units send")
    for step in ("insulation_live", "dcir"):
        yield _case("bms.second", "bms", step, 3.0, "bms: ")
    yield _case("bms.revision", "bms", "bms_alive", 0.0, "message set")
    yield _case("contactor.stays_open", "bms", "precharge", 0.0, "loaded_ratio: below low", "FAIL")
    yield _case("contactor.stays_closed", "bms", "contactors_open", 0.0, "above high", "FAIL")
    for step, after_s in (("precharge", 0.0), ("ship_soc", 60.0)):
        welded = _case("contactor.stays_closed", "bms", step, after_s, "not below 60 V", "FAIL")
        yield welded._replace(step=None)


def _diagnostics() -> Iterator[FaultCase]:
    for kind, says in (
        ("uds.lost_frame", "no consecutive frame for 1 s"),
        ("uds.pending", "only ever promised an answer"),
        ("uds.wrong_service", "bms: no answer to 22"),
        ("uds.late", "bms: no answer to 22"),
    ):
        yield _case(kind, "bms", "bms_identity", 0.0, says)
        if kind != "uds.lost_frame":
            yield _case(kind, "bms", "contactors_open", 0.0, "bms: ")
    yield _case("uds.lost_frame", "bms", "write_identity", 0.0, "no consecutive frame for 1 s")


def _instruments() -> Iterator[FaultCase]:
    for device, (step, after_s) in INSTRUMENTS.items():
        for kind, row in FAULTS.items():
            if device in row.targets and kind not in SURVIVED + OWN_STEPS and (device, kind) not in UNSEEN:
                yield _case(kind, device, step, after_s, f"{device}: ")
        yield _case("serial.split", device, step, after_s, "", "PASS")
        if device not in ("digitizer", "withstand_tester"):
            yield _case("serial.restart", device, step, after_s, "", "PASS")
    yield _case("serial.restart", "digitizer", "insulation_live", 6.0, "", "PASS")
    yield _case("serial.restart", "withstand_tester", "withstand", 0.1, "withstand_tester: ")
    yield _case("serial.restart", "insulation_tester", "withstand", 9.0, "insulation_tester: ")
    yield _case("serial.silent", "digitizer", "insulation_live", 6.0, "digitizer: ")


def _supplies() -> Iterator[FaultCase]:
    for step, after_s in (("dcir", 8.0), ("ship_soc", 60.0)):
        yield _case("supply.link_dead", "cycler", step, after_s, "cycler: no answer")
        yield _case("supply.ignores_off", "cycler", step, after_s, "cycler: ")
        yield _case("supply.overshoot", "cycler", step, 0.0, "overcurrent")
    yield _case("supply.link_dead", "withstand_tester", "withstand", 5.0, "withstand_tester: no answer")
    yield _case("supply.link_dead", "insulation_tester", "insulation_outer", 1.0, "insulation_tester: no answer")
    yield _case("supply.link_dead", "lv_supply", "quiescent_current", 0.1, "lv_supply: no answer")


def _safety_chain() -> Iterator[FaultCase]:
    for kind, who in (("safety.estop", "emergency stop"), ("safety.guard", "guard")):
        yield _case(kind, "plc", "dcir", 8.0, who, "ABORTED")
    for step, after_s in (("bms_identity", 0.1), ("insulation_live", 6.0)):
        yield _case("plc.silent", "plc", step, after_s, _SILENT_PLC)
    for step, after_s in (("contactors_open", 0.1), ("insulation_live", 6.0)):
        yield _case("plc.replay", "plc", step, after_s, _NO_ANSWERS)
    for step in ("insulation_live", "dcir"):
        yield _case("plc.proof_low", "plc", step, 6.0, "two voltmeters disagree")
    for step in ("insulation_live", "ship_soc"):
        yield _case("plc.discharge_open", "plc", step, 2.0, "not below 60 V")._replace(step=None)
    yield _case("plc.discharge_open", "plc", "make_safe", 0.0, "not proved below 60 V within")
