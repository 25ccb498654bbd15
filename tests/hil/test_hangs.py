"""What hangs, dies or is stopped under high voltage: the pack is made safe, and a process that can end does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from hil.bench import Bench, own_bench
from hil.control import Control
from tests.support.station_process import StationProcess, bench_process, observing, until

pytestmark = pytest.mark.bench

INTERRUPTED, STATION = 130, 3
TRIPS_WITHIN_S = 0.3
"""From the last answer to the PLC's reporting its trip."""


@pytest.mark.parametrize(
    ("deed", "made_safe"),
    [("work_beside", "PASS"), ("stuck_sending_to_pack", "INVALID"), ("stuck_sending_to_station", "INVALID")],
)
def test_a_thread_stuck_in_c_code_keeps_nobody(bench: Bench, tmp_path: Path, deed: str, made_safe: str) -> None:
    with StationProcess(bench.layout, tmp_path, deed) as station:
        station.until_told("energised")
        station.signals(1)
        assert station.gone() == INTERRUPTED, station.told
        (record,) = station.records()
        assert (record["verdict"], record["steps"][-1]["verdict"]) == ("ABORTED", made_safe)
        assert station.found() == []


@pytest.mark.parametrize("deed", ["spin", "block"])
def test_a_loop_that_hangs_is_cut_off_and_interrupted(bench: Bench, tmp_path: Path, deed: str) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, deed) as station:
        station.until_told("energised")
        until(observer.trip_s)
        assert station.signals_until_gone() == INTERRUPTED, station.told
        (record,) = station.records()
        assert (record["verdict"], record["steps"][-1]["verdict"]) == ("INVALID", "PASS")
        assert station.found() == []


def test_c_code_that_holds_the_interpreter_leaves_the_pack_to_the_plc(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "hold_interpreter") as station:
        station.until_told("energised")
        until(observer.trip_s)
        station.process.kill()
        station.gone()
        assert station.found() == []
        must_have_tripped_in_time(bench, observer.trip_s(), observer.last_answer_s())
        (record,) = station.records()
        assert record["verdict"] is None


def test_a_task_that_swallows_its_cancellations_commands_nothing_any_more(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "command_on") as station:
        station.until_told("energised")
        station.signals(1)
        assert station.gone() == INTERRUPTED, station.told
        assert "swallowed" in station.told
        assert "taken" not in station.told
        assert "a task did not end when it was cancelled" in station.told
        (record,) = station.records()
        assert (record["verdict"], record["steps"][-1]["verdict"]) == ("ABORTED", "PASS")
        gave_back_s = observer.gave_back_s()
        opened_s = observer.opened_s()
        assert gave_back_s is not None
        assert opened_s is not None
        # One telegram may have been in the hands of the other bus's driver; none follows the one that opens.
        late = observer.energised_after(gave_back_s)
        assert late in ([], ["contactor"])
        assert observer.energised_after(max(gave_back_s, opened_s)) == []
        assert len(station.found()) <= len(late)


def test_a_killed_station_leaves_the_pack_to_the_plc(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        station.process.kill()
        station.gone()
        until(observer.trip_s)
        assert station.found() == []
        must_have_tripped_in_time(bench, observer.trip_s(), observer.last_answer_s())
        (record,) = station.records()
        assert record["verdict"] is None


@pytest.mark.parametrize(
    ("victim", "says"),
    [("hil.hub", "the hub is gone"), ("hil.stubs", "the bench no longer answers")],
)
def test_a_bench_that_dies_ends_the_run_as_invalid(tmp_path: Path, victim: str, says: str) -> None:
    with own_bench(can="bench") as bench, StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        os.kill(bench_process(victim, bench.layout), signal.SIGKILL)
        assert station.gone() == STATION, station.told
        (record,) = station.records()
        assert (record["verdict"], record["steps"][-1]["verdict"]) == ("INVALID", "INVALID")
        assert record["reason"].startswith(("plc: silent", "bms: no fresh, undamaged status"))
        assert says in station.told + record["steps"][-1]["reason"]
        assert "bus-off" not in record["steps"][-1]["reason"]
        assert "Traceback" not in station.told


def test_a_station_stopped_for_a_moment_goes_on_or_says_that_it_was_stalled(bench: Bench, tmp_path: Path) -> None:
    with StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        stop(station, 0.2)
        station.signals(1)
        code = station.gone()
        (record,) = station.records()
        assert (code, record["verdict"]) in ((INTERRUPTED, "ABORTED"), (STATION, "INVALID"))
        assert "this machine was too busy and stalled the station" in station.told
        assert station.found() == []


def test_a_station_stopped_for_long_is_cut_off_and_says_so(bench: Bench, tmp_path: Path) -> None:
    with observing(bench.layout) as observer, StationProcess(bench.layout, tmp_path, "wait") as station:
        station.until_told("energised")
        stop(station, 2.0)
        assert station.gone() == STATION, station.told
        assert observer.trip_s() is not None
        (record,) = station.records()
        assert record["verdict"] == "INVALID"
        assert "stalled" in record["reason"]
        assert "this machine was too busy and stalled the station" in station.told
        assert station.found() == []


def stop(station: StationProcess, for_s: float) -> None:
    """Stop the process for a time, as a busy machine may."""
    station.process.send_signal(signal.SIGSTOP)
    time.sleep(for_s)
    station.process.send_signal(signal.SIGCONT)


def must_have_tripped_in_time(bench: Bench, trip_s: float | None, answer_s: float) -> None:
    """The PLC reported its trip in time after the last answer, as far as the machine let it."""
    with Control(bench.layout.control) as control:
        stalled_s = control.ask("last")["stall_s"]
    assert trip_s is not None
    assert trip_s - answer_s <= TRIPS_WITHIN_S + stalled_s
