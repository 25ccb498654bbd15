"""The devices of one station, by their ports."""

from __future__ import annotations

from dataclasses import dataclass

from bmsctl.domain.ports import (
    Bms,
    Cycler,
    Digitizer,
    Genealogy,
    InsulationTester,
    LabelPrinter,
    LvSupply,
    Matrix,
    Ohmmeter,
    Operator,
    Plc,
    Scanner,
    WithstandTester,
)

INSTRUMENTS = ("digitizer", "lv_supply", "ohmmeter", "insulation_tester", "withstand_tester", "cycler")
"""Devices that say who they are at the start of a run."""

LEASED = ("plc", "matrix", "bms", "operator", *INSTRUMENTS)
"""What a run leases, in the order granted; scanner and label printer are leased for the moment before and after."""


@dataclass(frozen=True, slots=True)
class Devices:
    """One port per device."""

    plc: Plc
    matrix: Matrix
    bms: Bms
    digitizer: Digitizer
    lv_supply: LvSupply
    ohmmeter: Ohmmeter
    insulation_tester: InsulationTester
    withstand_tester: WithstandTester
    cycler: Cycler
    scanner: Scanner
    operator: Operator
    label_printer: LabelPrinter
    genealogy: Genealogy
