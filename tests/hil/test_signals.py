"""A hundred signals in a row, at any moment: the station ends safe, on record, and soon."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from bmsctl.compose.recipes import RecipeBook
from hil.bench import Bench
from hil.control import Control
from tests.support.station_process import Observer, StationProcess, observing, until

INTERRUPTED = 130


@pytest.mark.bench
def test_with_contactors_closed(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        station.signals(100)
        assert station.gone() == INTERRUPTED, station.told
        must_be_aborted_and_safe(station, observer)
        assert '"verdict": "ABORTED"' in station.printed


@pytest.mark.bench
def test_from_the_first_moment_of_make_safe_to_the_end_of_the_process(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        station.signals(1)
        until(observer.gave_back_s)
        assert station.signals_until_gone() == INTERRUPTED, station.told
        must_be_aborted_and_safe(station, observer)


@pytest.mark.bench
def test_after_the_verdict_it_stands(bench: Bench, tmp_path: Path) -> None:
    with StationProcess(bench.layout, tmp_path, "end") as station:
        station.until_told("energised")
        station.until(station.closed)
        assert station.signals_until_gone() == INTERRUPTED, station.told
        (record,) = station.records()
        assert record["verdict"] == "PASS"
        assert station.found() == []


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6])
def test_before_there_is_a_station(bench: Bench, tmp_path: Path, after_s: float) -> None:
    with StationProcess(bench.layout, tmp_path) as station:
        station.until_it_listens()
        time.sleep(after_s)  # anywhere in the start of the program
        assert station.signals_until_gone() == INTERRUPTED, station.told
        assert "Traceback" not in station.told
        assert not station.begun()
        assert station.found() == []


def test_before_the_station_is_ready(bench: Bench, tmp_path: Path) -> None:
    with StationProcess(bench.layout, tmp_path) as station:
        station.until(station.store.exists)
        assert station.signals_until_gone() == INTERRUPTED, station.told
        assert "Traceback" not in station.told
        assert not station.begun()
        assert station.found() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_for_a_busy_bench(bench: Bench, tmp_path: Path, number: signal.Signals) -> None:
    with Control(bench.layout.control) as owner, StationProcess(bench.layout, tmp_path) as station:
        order = {"recipe": RecipeBook(None).by_pack("AS52").to_json(), "seed": 1, "scenario": None}
        until(lambda: not owner.ask("mount", scenario_file="", **order).get("busy"))
        station.until(lambda: waiting(bench) == 1)
        station.process.send_signal(number)
        assert station.gone() == INTERRUPTED, station.told
        owner.ask("finish")


def waiting(bench: Bench) -> int:
    """How many clients beside the owner hold a connection to the bench."""
    sockets = Path("/proc/net/unix").read_text().splitlines()
    listening_and_owner = 2
    return sum(line.endswith(f" {bench.layout.control}") for line in sockets) - listening_and_owner


def must_be_aborted_and_safe(station: StationProcess, observer: Observer) -> None:
    """One record, ABORTED, proved below 60 V; nothing was energised after the permissive had been given back."""
    (record,) = station.records()
    assert record["verdict"] == "ABORTED"
    assert record["reason"].startswith("interrupted by SIG")
    assert (record["steps"][-1]["name"], record["steps"][-1]["verdict"]) == ("make_safe", "PASS")
    gave_back_s = observer.gave_back_s()
    assert gave_back_s is not None
    assert observer.energised_after(gave_back_s) == []
    assert station.found() == []
