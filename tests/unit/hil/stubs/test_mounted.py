"""Faults that a bench cannot produce are refused before a pack is mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.errors import ScenarioError
from firmware_stubs.world import eol_scenario
from hil.bench_file import BenchFile, RealLine
from hil.layout import CanKind, Layout
from hil.stubs.mounted import possible

REAL = BenchFile(can={"station": "socketcan://can0"}, serial={"cycler": RealLine("/dev/ttyUSB0")})


def fault(kind: str, target: str) -> str:
    return f'[[fault]]\nkind = "{kind}"\ntarget = "{target}"\nstep = "dcir"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (fault("serial.silent", "cycler"), "cycler is a real device"),
        (fault("can.silent", "plc"), "plc is a real device"),
        ('[[fault]]\nkind = "safety.estop"\nstep = "dcir"\n', "plc is a real device"),
        (fault("can.bus_off", "bms"), "vcan cannot go bus-off; start the bench with --can bench"),
    ],
)
def test_what_cannot_be_done_is_told(text: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        possible(eol_scenario(text, "test"), Layout(Path("bench"), REAL, CanKind.VCAN))


def test_a_bench_of_stubs_on_its_own_buses_can_do_all() -> None:
    layout = Layout(Path("bench"), BenchFile(), CanKind.BENCH)
    possible(eol_scenario(fault("can.bus_off", "bms") + fault("serial.silent", "cycler"), "test"), layout)
