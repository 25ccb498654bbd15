"""Waking, message set, frame errors, current awake, identity, and whose trouble codes are whose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bmsctl.domain.ports import Dtc
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol.bms import bms_alive, bms_identity
from tests.support.fake_devices import FakeBench, passed, run_step


def awake(amps: float) -> Callable[[FakeBench], None]:
    return lambda bench: setattr(bench.lv_supply, "amps", amps)


def test_a_bms_awake_is_measured() -> None:
    outcome = run_step(bms_alive, "bms_alive", awake(0.3))
    assert passed(outcome)
    assert outcome.value("first_frame") == pytest.approx(0.8)
    assert outcome.bench.of("lv_supply.current") == [(10.0, 1.0)]


@pytest.mark.parametrize("amps", [0.153, 0.1, 0.597, 1.2])
def test_a_current_awake_outside_its_limits_fails(amps: float) -> None:
    outcome = run_step(bms_alive, "bms_alive", awake(amps))
    assert [name for name, verdict in outcome.verdicts.items() if verdict is Verdict.FAIL] == ["awake_current"]


@pytest.mark.parametrize("revision", [None, 2])
def test_another_message_set_is_refused_before_any_frame_is_counted(revision: int | None) -> None:
    outcome = run_step(bms_alive, "bms_alive", lambda bench: setattr(bench.bms, "revision", revision))
    assert outcome.error is not None
    assert f"message set {revision}" in outcome.error
    assert list(outcome.verdicts) == ["first_frame"]


def test_a_bad_frame_fails() -> None:
    def script(bench: FakeBench) -> None:
        bench.lv_supply.amps, bench.bms.bad_frames = 0.3, 1

    assert run_step(bms_alive, "bms_alive", script).verdicts["frame_errors"] is Verdict.FAIL


def test_codes_are_read_after_clearing_and_settling() -> None:
    outcome = run_step(bms_identity, "bms_identity")
    assert passed(outcome)
    assert outcome.bench.names() == ["bms.identity", "bms.clear_dtcs", "bms.dtcs"]
    assert outcome.duration_s == 5.0


@pytest.mark.parametrize(
    ("field", "measurement"),
    [
        ("part_number", "part_number_match"),
        ("hardware", "hardware_match"),
        ("software", "software_match"),
        ("software_version", "software_match"),
        ("calibration", "calibration_match"),
    ],
)
def test_each_wrong_identifier_fails_its_own_measurement(field: str, measurement: str) -> None:
    def script(bench: FakeBench) -> None:
        bench.bms.identity_now = replace(bench.bms.identity_now, **{field: "X"})

    outcome = run_step(bms_identity, "bms_identity", script)
    assert [name for name, verdict in outcome.verdicts.items() if verdict is not Verdict.PASS] == [measurement]
    assert "'X" in outcome.reason(measurement) or "/X'" in outcome.reason(measurement)


def test_a_code_no_step_owns_fails_here_and_owned_ones_do_not() -> None:
    owned = (0x1B0413, 0x1B1813, 0x1B0364, 0x1BA21A, 0x1B0113)

    def script(bench: FakeBench) -> None:
        bench.bms.stored = [Dtc(code, 9) for code in (*owned, 0x1B1087)]

    outcome = run_step(bms_identity, "bms_identity", script)
    assert outcome.value("foreign_dtcs") == 1.0
    assert "1B10-87" in outcome.reason("foreign_dtcs")
    owners = outcome.context.facts.dtc_owners
    assert [owners[f"{code >> 8:04X}"] for code in owned] == [
        "temperatures",
        "hvil",
        "dcir",
        "insulation_live",
        "cells_at_rest",
    ]
