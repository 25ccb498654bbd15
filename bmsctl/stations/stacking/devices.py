"""The devices of one stacking station, by their ports."""

from __future__ import annotations

from dataclasses import dataclass

from bmsctl.domain.ports import (
    BatteryTester,
    Bms,
    InsulationTester,
    LabelPrinter,
    LeakTester,
    LvSupply,
    ModuleSelector,
    Nutrunner,
    Ohmmeter,
    Operator,
    Parts,
    Plc,
    Scanner,
)

INSTRUMENTS = ("lv_supply", "ohmmeter", "insulation_tester", "battery_tester", "nutrunner", "leak_tester")
"""Devices that say who they are at the start of a run."""

LEASED = ("plc", "bms", "operator", "scanner", "label_printer", *INSTRUMENTS)
"""What a run leases, in the order granted."""


@dataclass(frozen=True, slots=True)
class Devices:
    """One port per device; the pack's BMS among them, once the harness is connected."""

    plc: Plc
    bms: Bms
    lv_supply: LvSupply
    ohmmeter: Ohmmeter
    insulation_tester: InsulationTester
    battery_tester: BatteryTester
    nutrunner: Nutrunner
    leak_tester: LeakTester
    scanner: Scanner
    operator: Operator
    label_printer: LabelPrinter
    parts: Parts
    selector: ModuleSelector
