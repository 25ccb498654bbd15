"""PyVISA with its pure Python backend talks to the instrument stubs over pseudo-terminals, as to the instruments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
import pyvisa
from pyvisa.resources import SerialInstrument

from firmware_stubs import cycler, insulation_tester, lv_supply, ohmmeter, withstand_tester
from firmware_stubs.plant import Node
from firmware_stubs.ports import SerialPort
from hil.stubs.far_end import RealWires
from hil.stubs.ptys import Pty
from tests.support.fake_plant import FakePlant

SEED = 1
TIMEOUT_MS = 20_000
LOAD_A = 0.8


class Load:
    """A module that draws the same current always."""

    def mean_supply_current_a(self, from_s: float, to_s: float) -> float:
        return LOAD_A


class Straps:
    """Bonding straps: 1 mOhm at the first point, one more at each further."""

    bonding_points = 20

    def bonding_ohm(self, point: int) -> float:
        return point * 1e-3


class PoweredPlant(FakePlant):
    """Carries no current."""

    def pack_current_a(self, t_s: float) -> float:
        return 0.0


STUBS: dict[str, tuple[str, Callable[[SerialPort], object]]] = {
    "lv_supply": (lv_supply.IDENTITY, lambda port: lv_supply.LvSupplyStub(port, Load(), SEED)),
    "ohmmeter": (ohmmeter.IDENTITY, lambda port: ohmmeter.OhmmeterStub(port, Straps(), SEED)),
    "cycler": (
        cycler.IDENTITY,
        lambda port: cycler.CyclerStub(port, PoweredPlant({Node.CYCLER: 350.0}), SEED),
    ),
    "insulation_tester": (
        insulation_tester.IDENTITY,
        lambda port: insulation_tester.InsulationTesterStub(port, FakePlant(), SEED),
    ),
    "withstand_tester": (
        withstand_tester.IDENTITY,
        lambda port: withstand_tester.WithstandTesterStub(port, FakePlant(), SEED),
    ),
}


@contextmanager
def powered(device: str, pty: Pty) -> Iterator[None]:
    """The stub of an instrument on a terminal, its loop in a thread."""
    started: Future[Callable[[], object]] = Future()

    async def main() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        wires = RealWires({}, {device: pty})
        try:
            STUBS[device][1](wires.instrument(device))
            started.set_result(lambda: loop.call_soon_threadsafe(end.set))
            await end.wait()
        except Exception as error:
            started.set_exception(error)
        finally:
            wires.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        stop = started.result()
        yield
        stop()
    finally:
        thread.join()


@contextmanager
def opened(device: str, folder: Path) -> Iterator[SerialInstrument]:
    """The instrument as PyVISA sees it."""
    pty = Pty(folder / device)
    manager = pyvisa.ResourceManager("@py")
    try:
        with powered(device, pty):
            instrument = manager.open_resource(
                f"ASRL{pty.path}::INSTR",
                baud_rate=115_200,
                read_termination="\r\n",
                write_termination="\n",
                timeout=TIMEOUT_MS,
            )
            assert isinstance(instrument, SerialInstrument)
            with instrument:
                yield instrument
    finally:
        manager.close()
        pty.unplug()


@pytest.mark.parametrize("device", STUBS)
def test_every_instrument_says_who_it_is(device: str, tmp_path: Path) -> None:
    with opened(device, tmp_path) as instrument:
        assert instrument.query("*IDN?") == STUBS[device][0]
        assert instrument.query("*OPC?") == "1"


def test_supply_is_set_switched_on_and_measured(tmp_path: Path) -> None:
    with opened("lv_supply", tmp_path) as supply:
        supply.write("*CLS")
        supply.write(":VOLT 13.5")
        supply.write(":CURR 2")
        supply.write(":OUTP ON")
        assert supply.query_ascii_values(":MEAS:VOLT?") == pytest.approx([13.5], rel=5e-3)
        supply.write(":INIT:ACQ;:TRIG:ACQ")
        assert supply.query_ascii_values(":FETC:CURR?") == pytest.approx([LOAD_A], rel=0.03)
        assert supply.query(":SYST:ERR?") == '+0,"No error"'


def test_a_wrong_command_is_found_in_the_error_queue(tmp_path: Path) -> None:
    with opened("lv_supply", tmp_path) as supply:
        supply.write("*CLS")
        supply.write(":VOLTS:PLEASE 13.5")
        assert supply.query(":SYST:ERR?") == '-113,"Undefined header"'
        assert supply.query(":SYST:ERR?") == '+0,"No error"'


def test_ohmmeter_measures_the_channel_asked_for(tmp_path: Path) -> None:
    with opened("ohmmeter", tmp_path) as meter:
        for setting in (":INIT:CONT OFF", ":TRIG:SOUR IMM", ":SENS:RES:RANG 0.1", ":SENS:RES:OVC ON"):
            meter.write(setting)
        for channel in (1, 7):
            meter.write(f":SENS:CH {channel}")
            assert meter.query_ascii_values(":READ?") == pytest.approx([channel * 1e-3], rel=0.02)


def test_cycler_obeys_only_its_remote_interface(tmp_path: Path) -> None:
    with opened("cycler", tmp_path) as source:
        source.write("*CLS")
        source.write("SOUR:CURR 10")
        assert source.query("SYST:ERR?").startswith("-201")
        source.write("SYST:LOCK ON")
        source.write("SOUR:CURR 10")
        assert source.query("SOUR:CURR?").split() == ["10.00", "A"]
