"""What is written is read back, what was taken is given back, and silence of the monitors proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bmsctl.domain.ports import Dtc, MonitorState, PlantMode
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol.release import dtc_final, write_identity
from tests.support.fake_devices import SERIAL, FakeBench, passed, run_step

VIN = "VF1AAAAA123456789"


def says(**values: Any) -> Callable[[FakeBench], None]:
    """The BMS answers these, whatever was written."""

    def script(bench: FakeBench) -> None:
        for name, value in values.items():

            async def answer(lease: object, value: Any = value) -> Any:
                return value

            setattr(bench.bms, name, answer)

    return script


def test_the_numbers_are_written_and_the_bms_released() -> None:
    outcome = run_step(write_identity, "write_identity")
    assert passed(outcome)
    assert outcome.bench.of("bms.write_identity") == [(f"BP-{SERIAL}", None)]
    assert len(f"BP-{SERIAL}") <= 19
    assert outcome.bench.of("bms.set_sleep_delay") == [(25.0,)]
    names = outcome.bench.names()
    assert names.index("bms.set_sleep_delay") < names.index("bms.release") < names.index("bms.plant_mode")


def test_the_vin_is_that_of_the_order_or_blank() -> None:
    outcome = run_step(write_identity, "write_identity", lambda bench: setattr(bench.facts, "vin", VIN))
    assert passed(outcome)
    assert outcome.bench.bms.stored_vin == VIN
    outcome = run_step(write_identity, "write_identity", lambda bench: setattr(bench.bms, "stored_vin", VIN))
    assert outcome.verdicts["vin_match"] is Verdict.FAIL
    assert VIN in outcome.reason("vin_match")


@pytest.mark.parametrize(
    ("said", "measurement"),
    [
        ({"traceability": ""}, "traceability_match"),
        ({"traceability": "BP-AS52000000002"}, "traceability_match"),
        ({"vin": VIN}, "vin_match"),
        ({"sleep_delay": Second(5.0)}, "sleep_delay_match"),
        ({"sleep_delay": Second(24.9)}, "sleep_delay_match"),
    ],
)
def test_what_reads_back_otherwise_fails(said: dict[str, Any], measurement: str) -> None:
    outcome = run_step(write_identity, "write_identity", says(**said))
    assert [name for name, verdict in outcome.verdicts.items() if verdict is Verdict.FAIL] == [measurement]


def test_what_is_not_released_is_named() -> None:
    mode = PlantMode(relays=False, insulation_monitor=True, dividers=False, balancing=False, session=True)
    outcome = run_step(write_identity, "write_identity", lambda bench: setattr(bench.bms, "mode", mode))
    assert outcome.value("not_released") == 2.0
    assert outcome.reason("not_released").endswith("insulation_monitor, session")


def test_no_code_and_every_monitor_done_passes() -> None:
    outcome = run_step(dtc_final, "dtc_final")
    assert passed(outcome)
    assert outcome.bench.names() == ["bms.clear_dtcs", "bms.dtcs", "bms.monitors"]
    assert outcome.duration_s == 5.0


def test_a_code_fails_whoever_owns_it() -> None:
    def script(bench: FakeBench) -> None:
        bench.bms.stored = [Dtc(0x1B0113, 9)]
        bench.facts.dtc_owners = {"1B01": "cells_at_rest"}

    outcome = run_step(dtc_final, "dtc_final", script)
    assert outcome.verdicts == {"dtcs": Verdict.FAIL, "monitors_open": Verdict.PASS}


def test_a_monitor_that_has_not_judged_fails_and_is_named() -> None:
    """As after service 85 with its setting off left behind."""
    state = MonitorState(40, (Dtc(0x1B0113, 0x50), Dtc(0x1B0413, 0x50)))
    outcome = run_step(dtc_final, "dtc_final", lambda bench: setattr(bench.bms, "monitor_state", state))
    assert outcome.value("monitors_open") == 2.0
    assert outcome.reason("monitors_open").endswith("1B01-13, 1B04-13")


def test_a_bms_without_any_monitor_proves_nothing() -> None:
    outcome = run_step(dtc_final, "dtc_final", lambda bench: setattr(bench.bms, "monitor_state", MonitorState(0, ())))
    assert outcome.error is not None
    assert "monitors_open" not in outcome.verdicts
