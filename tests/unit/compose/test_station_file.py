"""The station file: the example reads, and every mistake is told with its line and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.compose.recipes import INSTALLED
from bmsctl.compose.station_file import KINDS, read_station
from bmsctl.errors import StationFileError

EXAMPLE = INSTALLED / "stations" / "eol.toml"


def findings(tmp_path: Path, old: str, new: str) -> list[str]:
    """What is wrong with the example once `old` is replaced by `new`, without the file's name."""
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "station.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(StationFileError) as raised:
        read_station(path)
    assert str(raised.value) == "\n".join(raised.value.findings)
    return [finding.removeprefix(f"{path}:") for finding in raised.value.findings]


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(EXAMPLE.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_names_every_device_once(kind: str) -> None:
    station = read_station(INSTALLED / "stations" / f"{kind}.toml")
    assert (station.name, station.kind, station.seed_key) == (f"{kind}-1", kind, "demo")
    assert sorted(device for port in station.can for device in port.devices) == sorted(KINDS[kind].can)
    assert tuple(station.serial) == KINDS[kind].serial


def test_every_instrument_is_bound_by_its_serial_number() -> None:
    station = read_station(EXAMPLE)
    assert station.serial_numbers["cycler"] == "3100230017"
    assert set(KINDS["eol"].serial) - set(station.serial_numbers) == {"scanner", "label_printer"}


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ('kind = "eol"', 'kind = "oven"', "kind =", "station.kind: must be one of stacking, eol"),
        ('name = "eol-1"', 'nam = "eol-1"', "name =", "did you mean 'name'?"),
        ('name = "eol-1"', 'name = "eol 1"', "name =", "station.name: 'eol 1' is not possible"),
        ('devices = ["bms"]', 'devices = ["bmz"]', 'devices = ["bms"]', "can.pack.devices: must be a list"),
        ('devices = ["bms"]', 'devices = "bms"', 'devices = ["bms"]', "can.pack.devices: must be a list"),
        ('["plc", "matrix"]', '["plc", "matrix", "bms"]', '["plc", "matrix"]', "bms is on can.pack already"),
        ('["plc", "matrix"]', '["plc"]', "[can.pack]", 'can: no bus for matrix; add "matrix"'),
        ('url = "socketcan://can0?bitrate=500000"', 'url = "can0"', "can0", "like socketcan://can0"),
        ("baud = 3000000", "baud = true", "baud = 3000000", "serial.digitizer.baud: must be a whole number"),
        ('serial_number = "DG0001"\n', "", "[serial.digitizer]", "serial.digitizer.serial_number: is missing"),
        ('port = "socket://127.0.0.1:4001"', 'port = "COM1"', "4001", "serial.cycler.port: 'COM1' is not possible"),
        ("127.0.0.1:4002", "127.0.0.1:4001", "4002", "serial.label_printer.port: cycler is on it already"),
        ("[serial.scanner]", "[serial.scaner]", "[serial.scanner]", "did you mean 'scanner'?"),
        ('seed_key = "demo"', "", "[bms]", "bms.seed_key: is missing"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(tmp_path: Path, old: str, new: str, at: str, said: str) -> None:
    found = findings(tmp_path, old, new)
    told = next((finding for finding in found if said in finding), None)
    assert told is not None, found
    assert told.startswith(f"{line_of(at)}: ")
    assert "; " in told


def test_nobody_promises_to_check_a_serial_number_that_no_device_says(tmp_path: Path) -> None:
    old = "[serial.scanner]\n"
    assert any(
        "serial.scanner.serial_number: unknown key" in each
        for each in findings(tmp_path, old, f'{old}serial_number = "1"\n')
    )


def test_a_missing_device_is_told(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    cycler = text[text.index("[serial.cycler]") : text.index("[serial.scanner]")]
    assert any("serial.cycler: is missing; add [serial.cycler]" in each for each in findings(tmp_path, cycler, ""))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "station: is missing"),
        (b"station = 1", "station: must be a table"),
        (b"[can]\npack = 1", "can.pack: must be a table"),
        (b"[station\n", ":1: file: not TOML"),
        (b"\xff", "not TOML in UTF-8"),
        (b"#" * 70_000, "more than 64 KiB"),
        (b"x = " + b"[" * 5_000, "nested too deeply"),
    ],
)
def test_no_file_makes_it_crash(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(data)
    with pytest.raises(StationFileError, match=r"station\.toml") as raised:
        read_station(path)
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StationFileError, match="No such file or directory"):
        read_station(tmp_path / "nowhere.toml")
