"""A simulated station that tests itself: good, and with each thing wrong that the test is there to find."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.selftest import NOT_PROVED, RECIPE_FILE, run_in, selftest, selftest_in
from bmsctl.domain.record_schema import SCHEMA
from bmsctl.domain.selftest_recipe import compile_selftest
from bmsctl.domain.world import Site
from bmsctl.stations.selftest import NO_HIGH_VOLTAGE
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine
from firmware_stubs import plc
from firmware_stubs.world import SimSite, SimWorld

PACK = RecipeBook().by_pack("AS52")
RECIPE = compile_selftest(RECIPE_FILE, RecipeBook().read)

Disturb = Callable[[SimSite], None]


def record_of(store: Path, disturb: Disturb | None = None) -> Mapping[str, Any]:
    """The record of a self-test, which verifies; no observer finds anything."""
    world = SimWorld(PACK, seed=1, scenario=None)

    def main(site: Site) -> Awaitable[Mapping[str, Any]]:
        assert isinstance(site, SimSite)
        if disturb is not None:
            disturb(site)
        return selftest(site, store, RECIPE, world, None)

    record = world.run(main)
    assert world.findings() == []
    assert examine(store, ()).findings == []
    jsonschema.validate(record, SCHEMA)
    return record


def verdicts(record: Mapping[str, Any]) -> dict[str, str | None]:
    return {step["name"]: step["verdict"] for step in record["steps"]}


def measured(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(each for step in record["steps"] for each in step["measurements"] if each["name"] == name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_good_station_passes_and_its_dead_man_is_timed(store: Path) -> None:
    record = record_of(store)
    assert (record["verdict"], record["disposition"]) == ("PASS", "release")
    assert (record["station"], record["pack"], record["pack_serial"]) == ("selftest", "none", "sim-eol")
    assert set(verdicts(record).values()) == {"PASS"}
    assert plc.DEAD_MAN_S < measured(record, "trip_time")["value"] <= plc.DEAD_MAN_S + 0.055
    assert measured(record, "cut_time")["value"] - measured(record, "trip_time")["value"] == pytest.approx(
        0.02, abs=0.005
    )
    assert measured(record, "stop_time")["value"] == pytest.approx(plc.SAFE_STOP_S, abs=0.01)


def test_the_trip_is_the_plcs_own(store: Path) -> None:
    sites: list[SimSite] = []
    record_of(store, sites.append)
    assert sites[0].wiring.plc.tripped


def test_it_is_kept_beside_the_packs_and_repeated_without_a_cause(store: Path) -> None:
    record_of(store)
    assert record_of(store)["attempt"] == 2
    with Reader.open(store) as reader:
        assert [attempt.station for attempt in reader.attempts()] == ["selftest", "selftest"]


def test_a_plc_that_trips_too_late_forbids_high_voltage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "DEAD_MAN_S", 0.45)
    record = record_of(store)
    assert record["verdict"] == "FAIL"
    assert verdicts(record) | {"dead_man": "FAIL"} == verdicts(record)
    trip = measured(record, "trip_time")
    assert trip["value"] == pytest.approx(0.45, abs=0.01)
    assert NO_HIGH_VOLTAGE in trip["reason"]


def test_a_plc_without_dead_man_fails_and_gets_its_permit_back(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "DEAD_MAN_S", 3600.0)
    record = record_of(store)
    assert (record["verdict"], verdicts(record)["dead_man"]) == ("FAIL", "FAIL")
    assert measured(record, "trip_time")["verdict"] == "FAIL"
    assert verdicts(record)["make_safe"] == "PASS"


def test_a_plc_that_stops_too_late_is_found(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "SAFE_STOP_S", 0.8)
    record = record_of(store)
    assert verdicts(record) | {"safe_stop": "FAIL", "dead_man": "PASS"} == verdicts(record)


def slow_discharge(seconds: float) -> Disturb:
    """The PLC proves no voltage so soon after a cut; before the first it does."""

    def disturb(site: SimSite) -> None:
        stub = site.wiring.plc
        prove = stub._voltage_free

        def late(t_s: float) -> bool:
            return (stub.cut_s is None or t_s - stub.cut_s > seconds) and prove(t_s)

        stub._voltage_free = late  # type: ignore[method-assign]

    return disturb


def test_a_discharge_that_takes_too_long_forbids_high_voltage(store: Path) -> None:
    record = record_of(store, slow_discharge(4.2))
    assert (record["verdict"], verdicts(record)["make_safe"]) == ("FAIL", "PASS")
    for name in ("stop_proof_time", "discharge_time"):
        assert measured(record, name)["verdict"] == "FAIL"
        assert NO_HIGH_VOLTAGE in measured(record, name)["reason"]


def test_a_discharge_that_the_plc_itself_gives_up_ends_the_test(store: Path) -> None:
    record = record_of(store, slow_discharge(5.5))
    assert (record["verdict"], verdicts(record)["safe_stop"]) == ("INVALID", "INVALID")
    assert "safety PLC" in record["reason"]


def test_a_silent_instrument_is_named_and_the_dead_man_proved_all_the_same(store: Path) -> None:
    def silence(site: SimSite) -> None:
        site.wires.lines["ohmmeter"].device.muted = True

    record = record_of(store, silence)
    assert (record["verdict"], verdicts(record)["dead_man"]) == ("FAIL", "PASS")
    count = measured(record, "instruments_identified")
    assert count["value"] == 5
    assert "ohmmeter" in count["reason"]


def test_an_instrument_with_another_serial_number_is_named(store: Path) -> None:
    def exchange(site: SimSite) -> None:
        site.serial_numbers = {"cycler": "3100230018", "ohmmeter": "190412345"}

    count = measured(record_of(store, exchange), "instruments_identified")
    assert (count["value"], count["verdict"]) == (5, "FAIL")
    assert "3100230018 is expected" in count["reason"]


def test_an_open_guard_keeps_the_permissive_and_is_said(store: Path) -> None:
    record = record_of(store, lambda site: site.wiring.plc.open_guard())
    assert record["verdict"] == "INVALID"
    steps = {step["name"]: step for step in record["steps"]}
    assert "guard is open" in steps["safe_stop"]["reason"]


def test_an_emergency_stop_in_the_middle_of_the_proof_aborts(store: Path) -> None:
    def press(site: SimSite) -> None:
        def begun(step: str, index: int, total: int) -> None:
            if step == "dead_man":
                asyncio.get_running_loop().call_later(0.5, site.wiring.plc.press_estop)

        site.watch.step_started = begun  # type: ignore[method-assign]

    record = record_of(store, press)
    assert record["verdict"] == "ABORTED"
    assert "emergency stop" in record["reason"]


def test_a_signal_aborts_and_the_record_says_so(store: Path) -> None:
    def interrupt(site: SimSite) -> None:
        asyncio.get_running_loop().call_later(1.0, site.interrupt, "SIGTERM")

    record = record_of(store, interrupt)
    assert (record["verdict"], record["reason"]) == ("ABORTED", "interrupted by SIGTERM")


def test_a_station_that_is_not_proved_dead_is_not_record_of(store: Path) -> None:
    def live(site: SimSite) -> None:
        site.wiring.plc._voltage_free = lambda t_s: False  # type: ignore[method-assign]

    record = record_of(store, live)
    assert (record["verdict"], record["reason"]) == ("INVALID", NOT_PROVED)
    assert set(verdicts(record).values()) == {None}


def test_no_command_that_energises_leaves_the_station(store: Path) -> None:
    frames: list[str] = []

    def listen(site: SimSite) -> None:
        judge = site.wiring.monitor._energising
        site.wiring.monitor._energising = lambda frame: frames.append(str(judge(frame))) or judge(frame)  # type: ignore[func-returns-value]

    record_of(store, listen)
    assert frames
    assert set(frames) == {"None"}


def test_the_world_is_opened_by_name(store: Path) -> None:
    result = selftest_in("sim", station=None, recipes=None, store=store, pack="AS52", watch=None)
    assert (result.record["verdict"], result.findings, result.interrupted) == ("PASS", [], False)
    again = run_in(SimWorld(PACK, seed=2, scenario=None), RECIPE, store, None)
    assert again.record["attempt"] == 2
