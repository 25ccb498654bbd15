"""A bench in its own processes: wires that carry, people who act, stations that die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from bmsctl.domain.ports import Plc, TripCause
from bmsctl.drivers.links.can_url import open_bus
from bmsctl.protocols import plc as codec
from hil.bench import Bench, bench_up
from hil.control import BenchError, Control
from tests.hil.permitted import with_permissive

PATIENCE_S = 20.0
ORDER = {"seed": 1, "scenario": None, "scenario_file": ""}


def until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def mounted(control: Control) -> Any:
    from bmsctl.compose.recipes import RecipeBook

    order = {"recipe": RecipeBook(None).by_pack("AS52").to_json(), **ORDER}
    while (facts := control.ask("mount", **order)).get("busy"):
        time.sleep(0.1)
    return facts


def test_stubs_are_on_their_wires_while_a_pack_is_mounted(bench: Bench) -> None:
    layout = bench.layout
    with Control(layout.control) as control:
        facts = mounted(control)
        assert facts["pack_serial"] == "AS52000000001"
        assert len(facts["incoming"]) == 4
        bus = open_bus(layout.url("station", "observer"))
        try:
            received = [bus.recv(PATIENCE_S) for _ in range(20)]
            assert codec.CHALLENGE_ID in {message.arbitration_id for message in received if message is not None}
        finally:
            bus.shutdown()
        with serial.Serial(str(layout.port("cycler")), 115200, timeout=PATIENCE_S) as port:
            port.write(b"*IDN?\n")
            assert b"3100230017" in port.readline()
        traffic = control.ask("traffic")["wires"]
        assert traffic["station"]["sent"] > 0
        assert traffic["cycler"]["heard"] == len(b"*IDN?\n")
        assert control.ask("finish")["findings"] == []


def test_a_second_station_has_to_wait_for_the_bench(bench: Bench) -> None:
    with Control(bench.layout.control) as first, Control(bench.layout.control) as second:
        mounted(first)
        assert second.ask("mount", recipe={}, **ORDER) == {"busy": True}
        first.ask("finish")


def test_what_is_wrong_is_answered_in_words_and_the_bench_goes_on(bench: Bench) -> None:
    with Control(bench.layout.control) as control, pytest.raises(BenchError, match="not a recipe"):
        control.ask("mount", recipe={}, **ORDER)
    until(lambda: _asks(bench, "no pack is on the bench", "press_estop"))
    with Control(bench.layout.control) as control:
        with pytest.raises(BenchError, match=r"unknown request 'dance'; known: mount, "):
            control.ask("dance")
        mounted(control)
        with pytest.raises(BenchError, match=r"'can\.silent' is no fault of 'cycler'"):
            control.ask("disturb", fault="can.silent", device="cycler", on=True)
        control.ask("finish")


def _asks(bench: Bench, told: str, do: str) -> bool:
    try:
        with Control(bench.layout.control) as control:
            control.ask(do)
    except BenchError as error:
        return told in str(error)
    return False


def test_an_unplugged_port_vanishes_and_is_back_for_the_next_pack(bench: Bench) -> None:
    port = bench.layout.port("ohmmeter")
    before = os.readlink(port)
    with Control(bench.layout.control) as control:
        mounted(control)
        control.ask("disturb", fault="serial.unplugged", device="ohmmeter", on=True)
        assert not port.is_symlink()
        control.ask("finish")
    until(port.is_symlink)
    assert os.readlink(port) != before


def test_an_emergency_stop_at_the_bench_takes_the_permissive(bench: Bench) -> None:
    causes: list[TripCause] = []

    async def press(plc: Plc) -> None:
        with Control(bench.layout.control) as person:
            person.ask("press_estop")
        while (status := plc.status()) is None or not status.tripped:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        assert not status.permissive
        causes.append(status.cause)

    assert with_permissive(bench.layout.folder, press) == []
    assert causes == [TripCause.ESTOP]


def test_a_killed_station_leaves_the_pack_to_the_safety_plc(bench: Bench) -> None:
    observer = open_bus(bench.layout.url("station", "observer"))
    station = subprocess.Popen(
        [sys.executable, "-m", "tests.hil.permitted", str(bench.layout.folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert station.stdout is not None
        assert station.stdout.readline() == "permitted\n"
        station.kill()
        until(lambda: _tripped(observer))
    finally:
        station.kill()
        station.communicate()
        observer.shutdown()
    until(lambda: _left(bench))
    with Control(bench.layout.control) as control:
        assert control.ask("last")["findings"] == []


def _tripped(observer: Any) -> bool:
    message = observer.recv(PATIENCE_S)
    if message.arbitration_id != codec.STATUS_ID:
        return False
    status = codec.decode_status(bytes(message.data))
    return status is not None and status.cause is TripCause.WATCHDOG and not status.flags & codec.PERMISSIVE


def _left(bench: Bench) -> bool:
    with Control(bench.layout.control) as control:
        return control.ask("traffic")["wires"] == {}


def test_a_second_bench_in_the_same_folder_is_refused(bench: Bench) -> None:
    with pytest.raises(BenchError, match="did not start"), bench_up(bench.layout.folder, can="bench"):
        pass
    assert bench.failed() is None


def test_ctrl_c_ends_the_bench_and_all_its_processes(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    up = subprocess.Popen(
        [sys.executable, "-m", "hil", "up", "--folder", str(folder), "--can", "bench"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert up.stdout is not None
        wiring = [up.stdout.readline() for _ in range(13)]
        assert wiring[1].split()[0] == "bms"
        assert wiring[-1].startswith("station file: ")
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE_S) == 130
    finally:
        up.kill()
        up.communicate()
    assert not (folder / "control").exists()
    assert not (folder / "pack.can").exists()
