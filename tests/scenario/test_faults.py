"""Station faults: INVALID or ABORTED, never FAIL and never PASS; always safe."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_stubs.faults import FAULTS
from tests.support.simulate import Simulation

STEPS = ("identify", "bms_alive", "bms_identity", "contactors_open", "cells_at_rest", "precharge")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_never_blames_or_clears_the_pack(tmp_path: Path, kind: str, step: str) -> None:
    scenario = f'[[fault]]\nkind = "{kind}"\nstep = "{step}"\nafter = "0.1 s"\n'
    record = Simulation(tmp_path, seed=5, scenario=scenario).run()
    if kind.startswith("safety."):
        assert record["verdict"] == "ABORTED"
    elif record["verdict"] != "PASS":
        assert record["verdict"] == "INVALID"
        assert record["disposition"] == "hold"
    assert all(step["verdict"] != "FAIL" for step in record["steps"])


@pytest.mark.parametrize("device", ["bms", "plc", "matrix"])
def test_a_silent_can_device_in_a_high_voltage_step_is_invalid(tmp_path: Path, device: str) -> None:
    scenario = f'[[fault]]\nkind = "D2"\ntarget = "{device}"\nstep = "contactors_open"\nafter = "0.05 s"\n'
    record = Simulation(tmp_path, seed=5, scenario=scenario).run()
    assert record["verdict"] == "INVALID"


def test_noise_on_the_digitizers_line_that_ends_is_survived(tmp_path: Path) -> None:
    scenario = '[[fault]]\nkind = "E1"\nstep = "contactors_open"\nafter = "0.1 s"\nlasts = "0.2 s"\n'
    assert Simulation(tmp_path, seed=5, scenario=scenario).run()["verdict"] in ("PASS", "INVALID")
