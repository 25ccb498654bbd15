"""What doctor says of CAN adapters, serial ports, permissions and keys; only loopback and pseudo terminals."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose import doctor_ports
from bmsctl.compose.check import State
from bmsctl.compose.station_file import CanPort, SerialPort, StationFile
from bmsctl.drivers.links import device_files

CAN0 = CanPort("pack", "socketcan://can0?fd=true&bitrate=500000", ("bms",))


def line(port: str) -> SerialPort:
    return SerialPort("cycler", port, 115200, "1")


@pytest.fixture
def pty() -> Iterator[str]:
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("error", "needed", "state"),
    [("", True, State.GOOD), ("not supported", True, State.BAD), ("not supported", False, State.WARN)],
)
def test_a_kernel_without_can_is_bad_only_where_it_is_needed(error: str, needed: bool, state: State) -> None:
    assert doctor_ports.kernel_can(error, needed).state is state


@pytest.mark.parametrize(
    ("user_id", "groups", "state"),
    [(0, {"root"}, State.WARN), (1000, {"dialout"}, State.GOOD), (1000, {"users"}, State.WARN)],
)
def test_a_station_runs_as_a_user_of_the_serial_group(user_id: int, groups: set[str], state: State) -> None:
    assert doctor_ports.user(user_id, frozenset(groups)).state is state


def test_a_bus_that_opens_is_good_and_one_that_does_not_says_why() -> None:
    assert doctor_ports.can_bus(CanPort("pack", "virtual://doctor", ("bms",))).state is State.GOOD
    check = doctor_ports.can_bus(CanPort("pack", "nosuch://0", ("bms",)))
    assert check.state is State.BAD
    assert "there is no CAN interface nosuch" in check.remedy


def details(bitrate: int) -> dict[str, Any]:
    return {"linkinfo": {"info_kind": "can", "info_data": {"bittiming": {"bitrate": bitrate}}}}


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (details(500_000), State.GOOD, "500000 bit/s"),
        (details(250_000), State.BAD, "250000 bit/s, the station file says 500000"),
        ({"linkinfo": {"info_kind": "vcan"}}, State.GOOD, "virtual"),
        (None, State.WARN, "not known"),
        ({}, State.WARN, "not known"),
    ],
)
def test_the_bit_rate_is_that_of_the_station_file(found: dict[str, Any] | None, state: State, said: str) -> None:
    check = doctor_ports.bit_rate(CAN0, found)
    assert (check.state, said in check.seen) == (state, True)


def test_an_interface_that_is_not_there_has_no_details() -> None:
    assert doctor_ports.link_details("nosuch7") is None


def test_a_serial_port_that_is_there_is_good(pty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_files, "holders", lambda path: [])
    assert doctor_ports.serial_port(line(pty)).state is State.GOOD


def test_a_serial_port_in_use_is_a_warning(pty: str) -> None:
    check = doctor_ports.serial_port(line(pty))
    assert check.state is State.WARN
    assert f"process {os.getpid()}" in check.seen


def test_a_serial_port_that_is_missing_is_bad() -> None:
    check = doctor_ports.serial_port(line("/dev/serial/by-id/nosuch"))
    assert (check.state, "plug" in check.remedy) == (State.BAD, True)


def test_a_serial_port_without_permission_names_the_group(pty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    check = doctor_ports.serial_port(line(pty))
    assert (check.state, "dialout" in check.remedy) == (State.BAD, True)


def test_a_port_by_its_changing_number_is_a_warning(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.write_text("")
    check = doctor_ports.serial_port(line(str(port)))
    assert (check.state, "by-id" in check.remedy) == (State.WARN, True)


def test_a_serial_server_answers_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        assert doctor_ports.serial_port(line(url)).state is State.GOOD
    assert doctor_ports.serial_port(line(url)).state is State.BAD


@pytest.mark.parametrize("url", ["socket://127.0.0.1", "rfc2217://127.0.0.1:1", "socket://127.0.0.1:x"])
def test_a_url_that_is_no_serial_server_is_bad(url: str) -> None:
    assert doctor_ports.serial_port(line(url)).state is State.BAD


def test_the_seed_key_is_installed_or_not() -> None:
    assert doctor_ports.key("demo").state is State.GOOD
    assert doctor_ports.key("secret").state is State.BAD


def test_without_a_station_file_only_the_computer_is_checked() -> None:
    assert [check.name for check in doctor_ports.checks(None)] == ["kernel CAN", "CAN drivers", "user"]


def test_with_a_station_file_every_port_is_checked(pty: str) -> None:
    buses = (
        CanPort("pack", "virtual://doctor", ("bms",)),
        CanPort("station", "socketcan://nosuch7", ("plc", "matrix")),
    )
    station = StationFile("eol-1", "eol", buses, {"cycler": line(pty)}, "demo")
    checks = {check.name: check.state for check in doctor_ports.checks(station)}
    assert list(checks)[3:] == ["can.pack", "can.station", "serial.cycler", "seed key"]
    assert checks["can.station"] is State.BAD
