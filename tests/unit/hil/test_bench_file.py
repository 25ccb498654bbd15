"""The bench file, and the station file that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.compose.station_file import read_station
from hil.bench_file import STANDARD, BenchFile, BenchFileError, RealLine, read_bench_file
from hil.layout import CanKind, Layout, Wire

REAL = """
[can.pack]
real = "socketcan://can0?bitrate=500000"

[serial.cycler]
real = "/dev/serial/by-id/usb-PSB"
baud = 19200
serial_number = "3100230099"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "bench.toml"
    path.write_text(text)
    return path


def test_on_the_standard_bench_everything_is_a_stub() -> None:
    assert read_bench_file(STANDARD) == BenchFile()


def test_a_line_puts_a_real_device_in_a_stubs_place(tmp_path: Path) -> None:
    bench = read_bench_file(written(tmp_path, REAL))
    assert bench.can == {"pack": "socketcan://can0?bitrate=500000"}
    assert bench.serial == {"cycler": RealLine("/dev/serial/by-id/usb-PSB", 19200, "3100230099")}
    assert bench.real_devices == ("bms", "cycler")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[can.pack]\nreel = 'x'", ":2: can.pack.reel: unknown; known: real"),
        ("[can.body]\n", ":1: can.body: unknown; known: pack, station"),
        ("[serial.scope]\n", ":1: serial.scope: unknown; known: digitizer"),
        ("[lin.x]\n", ":1: lin: unknown; known: can, serial"),
        ("can = 1\n", ":1: can: no table; write [can.pack]"),
        ("[can]\npack = 1\n", ":2: can.pack: no table; write [can.pack]"),
        ("[can.pack]\nreal = 1\n", ":2: can.pack.real: must be text in quotes"),
        ("[serial.cycler]\nreal = 'x'\nbaud = '9600'\n", ":3: serial.cycler.baud: must be a whole number"),
        ("[serial.cycler]\nbaud = 9600\n", ":1: serial.cycler: is a stub"),
        ("[can.pack\n", ":1: file: cannot be read"),
    ],
)
def test_what_is_wrong_is_refused_with_file_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BenchFileError) as refused:
        read_bench_file(path)
    assert str(refused.value).startswith(f"{path}{told}")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match="cannot be read"):
        read_bench_file(tmp_path / "none.toml")


@pytest.mark.parametrize("kind", CanKind)
def test_the_station_file_leads_to_stubs_and_real_devices(tmp_path: Path, kind: CanKind) -> None:
    layout = Layout(tmp_path, read_bench_file(written(tmp_path, REAL)), kind)
    layout.station_file.write_text(layout.station_text())
    station = read_station(layout.station_file)
    urls = {port.name: port.url for port in station.can}
    assert urls["pack"] == "socketcan://can0?bitrate=500000"
    assert urls["station"].startswith(
        "socketcan://vcan1" if kind is CanKind.VCAN else f"bench://{tmp_path}/station.can"
    )
    assert station.serial["cycler"].port == "/dev/serial/by-id/usb-PSB"
    assert station.serial["ohmmeter"].port == str(tmp_path / "ohmmeter")
    assert station.serial_numbers["cycler"] == "3100230099"
    assert layout.stub_buses == ("station",)
    assert "cycler" not in layout.stub_instruments


def test_the_wiring_tells_stubs_from_real_devices(tmp_path: Path) -> None:
    layout = Layout(tmp_path, read_bench_file(written(tmp_path, REAL)), CanKind.BENCH)
    wiring = {wire.device: wire for wire in layout.wiring()}
    assert wiring["bms"] == Wire("bms", "CAN pack", "socketcan://can0?bitrate=500000", stub=False)
    assert wiring["cycler"] == Wire("cycler", "serial", "/dev/serial/by-id/usb-PSB", stub=False)
    assert wiring["scanner"] == Wire("scanner", "serial", str(tmp_path / "scanner"), stub=True)
