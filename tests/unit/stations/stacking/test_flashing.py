"""The BMS's software: compared, written if it is another, and written anew when writing was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceTimeout
from bmsctl.stations.stacking.flashing import bms_flash
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step

OFF = [("plc.supply", False, False), ("lv_supply.off",)]


def run(script: Callable[[StackingBench], None] = lambda bench: None) -> Outcome:
    return run_step(bms_flash, "bms_flash", script)


def says(**changes: str) -> Callable[[StackingBench], None]:
    """The BMS says this of itself."""

    def script(bench: StackingBench) -> None:
        bench.bms.identity_now = replace(bench.bms.identity_now, **changes)

    return script


def test_the_right_software_is_left_alone() -> None:
    outcome = run()
    assert passed(outcome)
    assert outcome.bench.of("bms.flash") == []
    assert outcome.bench.calls[-2:] == OFF


@pytest.mark.parametrize("change", [{"software_version": "0006"}, {"software": "SW0140"}, {"calibration": "CAL040"}])
def test_other_software_is_replaced(change: dict[str, str]) -> None:
    outcome = run(says(**change))
    assert passed(outcome)
    assert outcome.bench.of("bms.flash") == [(b"image", 134217728)]
    assert outcome.bench.names().count("bms.restart") == 1
    assert any("is replaced by firmware/sw0152_0007.bin" in note for note in outcome.bench.log.notes())


@pytest.mark.parametrize(
    ("change", "failed"), [({"part_number": "X"}, "part_number_match"), ({"hardware": "HW02"}, "hardware_match")]
)
def test_a_wrong_bms_fails_unwritten(change: dict[str, str], failed: str) -> None:
    outcome = run(says(software_version="0006", **change))
    assert outcome.verdicts[failed] is Verdict.FAIL
    assert outcome.verdicts["software_match"] is Verdict.FAIL
    assert outcome.bench.of("bms.flash") == []


def test_a_bms_in_its_boot_loader_is_written() -> None:
    outcome = run(lambda bench: setattr(bench.bms, "unbootable", True))
    assert passed(outcome)
    assert len(outcome.bench.of("bms.flash")) == 1


def test_an_interrupted_writing_begins_anew_once() -> None:
    def script(bench: StackingBench) -> None:
        says(software_version="0006")(bench)
        bench.errors["bms.flash"] = [DeviceTimeout("bms", "block 7 is not answered")]

    outcome = run(script)
    assert passed(outcome)
    assert len(outcome.bench.of("bms.flash")) == 2
    assert "not written: bms: block 7 is not answered" in outcome.bench.log.notes()


def test_a_bms_that_cannot_be_written_is_invalid() -> None:
    def script(bench: StackingBench) -> None:
        says(software_version="0006")(bench)
        bench.errors["bms.flash"] = [DeviceRefused("bms", "programming failure") for _ in range(3)]

    outcome = run(script)
    assert outcome.error == "bms: programming failure"
    assert len(outcome.bench.of("bms.flash")) == 2
    assert outcome.bench.calls[-2:] == OFF


def test_software_that_is_wrong_even_when_written_fails() -> None:
    def script(bench: StackingBench) -> None:
        says(software_version="0006")(bench)
        bench.bms.written = "SW0152", "0005", "CAL052"

    outcome = run(script)
    assert outcome.verdicts["software_match"] is Verdict.FAIL
    assert len(outcome.bench.of("bms.flash")) == 2


def test_without_an_image_nothing_is_erased() -> None:
    def script(bench: StackingBench) -> None:
        says(software_version="0006")(bench)
        bench.facts.image = b""

    outcome = run(script)
    assert outcome.error is not None
    assert "firmware/sw0152_0007.bin is not at the station" in outcome.error
    assert outcome.bench.of("bms.flash") == []


def test_a_bms_that_has_a_vin_is_not_new() -> None:
    outcome = run(lambda bench: setattr(bench.bms, "stored_vin", "VF1AG000000000001"))
    assert outcome.verdicts["vin_blank"] is Verdict.FAIL
    assert "VF1AG000000000001" in outcome.reason("vin_blank")
