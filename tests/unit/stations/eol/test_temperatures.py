"""Temperatures: against each other, against the air, and sensors that are not there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bmsctl.domain.ports import Dtc
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol.temperatures import temperatures
from tests.support.fake_devices import FakeBench, passed, run_step

GOOD: list[float | None] = [21.6, 22.0, 22.4, 22.1, 21.9, 22.2, 22.0, 21.8, 22.3, 22.0, 22.1, 21.7]


def felt(changes: dict[int, float | None]) -> Callable[[FakeBench], None]:
    """These sensors, from 1, feel something else."""

    def script(bench: FakeBench) -> None:
        bench.bms.celsius = [changes.get(sensor, value) for sensor, value in enumerate(GOOD, 1)]

    return script


def test_good_sensors_pass_after_one_reading() -> None:
    outcome = run_step(temperatures, "temperatures", felt({}))
    assert passed(outcome)
    assert outcome.value("from_median") == pytest.approx(0.4)
    assert outcome.bench.of("bms.temperatures") == [()]
    assert outcome.bench.log.traces["temperatures"] == pytest.approx(GOOD)


@pytest.mark.parametrize(("sensor", "celsius"), [(1, 26.8), (12, 12.0), (3, 32.0)])
def test_a_sensor_off_the_median_fails_and_is_named(sensor: int, celsius: float) -> None:
    outcome = run_step(temperatures, "temperatures", felt({sensor: celsius}))
    assert outcome.verdicts["from_median"] is Verdict.FAIL
    assert outcome.verdicts["from_air"] is Verdict.PASS
    assert f"sensor {sensor} " in outcome.reason("from_median")


@pytest.mark.parametrize("celsius", [24.4, 19.6])
def test_half_the_tolerance_passes(celsius: float) -> None:
    assert passed(run_step(temperatures, "temperatures", felt({2: celsius})))


@pytest.mark.parametrize("air_c", [10.5, 33.5])
def test_a_pack_that_is_not_at_the_airs_temperature_fails(air_c: float) -> None:
    def script(bench: FakeBench) -> None:
        felt({})(bench)
        bench.plc.air_c = air_c

    outcome = run_step(temperatures, "temperatures", script)
    assert [name for name, verdict in outcome.verdicts.items() if verdict is Verdict.FAIL] == ["from_air"]
    assert f"air {air_c}" in outcome.reason("from_air")


def test_a_sensor_without_value_in_ten_readings_is_open() -> None:
    def script(bench: FakeBench) -> None:
        felt({2: None})(bench)
        bench.bms.stored = [Dtc(0x1B0413, 9)]
        bench.facts.dtc_owners = {"1B04": "temperatures"}

    outcome = run_step(temperatures, "temperatures", script)
    assert outcome.value("open_sensors") == 1.0
    assert "sensors 2" in outcome.reason("open_sensors")
    assert outcome.verdicts["own_dtcs"] is Verdict.FAIL
    assert outcome.verdicts["from_median"] is Verdict.PASS
    assert len(outcome.bench.of("bms.temperatures")) == 10


def test_a_value_that_is_missing_once_is_waited_for() -> None:
    def script(bench: FakeBench) -> None:
        felt({})(bench)
        bench.bms.celsius_before = [[None, *GOOD[1:]], [None, None, *GOOD[2:]]]

    outcome = run_step(temperatures, "temperatures", script)
    assert passed(outcome)
    assert len(outcome.bench.of("bms.temperatures")) == 3


def test_sensors_that_take_turns_in_being_missing_are_there() -> None:
    def script(bench: FakeBench) -> None:
        bench.bms.celsius_before = [[None, *GOOD[1:]], [GOOD[0], None, *GOOD[2:]]] * 5

    outcome = run_step(temperatures, "temperatures", script)
    assert passed(outcome)
    assert len(outcome.bench.of("bms.temperatures")) == 2


def test_no_sensor_at_all_is_not_the_sensors_fault() -> None:
    outcome = run_step(temperatures, "temperatures", felt(dict.fromkeys(range(1, 13))))
    assert outcome.error is not None
    assert outcome.verdicts == {}
