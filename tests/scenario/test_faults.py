"""Station faults: INVALID, a person's ABORTED; never FAIL, and no PASS unless the fault was survived; always safe."""

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
    assert record["verdict"] == ("ABORTED" if kind.startswith("safety.") else "INVALID")
    assert record["disposition"] == "hold"
    assert all(step["verdict"] != "FAIL" for step in record["steps"])


@pytest.mark.parametrize("device", ["bms", "plc", "matrix"])
def test_a_silent_can_device_in_a_high_voltage_step_is_invalid(tmp_path: Path, device: str) -> None:
    scenario = f'[[fault]]\nkind = "D2"\ntarget = "{device}"\nstep = "contactors_open"\nafter = "0.05 s"\n'
    record = Simulation(tmp_path, seed=5, scenario=scenario).run()
    assert record["verdict"] == "INVALID"


def test_noise_on_the_digitizers_line_that_ends_is_survived_or_invalid(tmp_path: Path) -> None:
    verdicts = set()
    for seed in range(5):
        scenario = '[[fault]]\nkind = "E1"\nstep = "contactors_open"\nafter = "0.1 s"\nlasts = "0.2 s"\n'
        verdicts.add(Simulation(tmp_path / str(seed), seed=seed, scenario=scenario).run()["verdict"])
    assert verdicts <= {"PASS", "INVALID"}
    assert "PASS" in verdicts


@pytest.mark.parametrize("kind", ["safety.estop", "safety.guard", "can.silent"])
def test_a_fault_while_making_safe_is_seen(tmp_path: Path, kind: str) -> None:
    target = "" if kind.startswith("safety.") else 'target = "plc"\n'
    scenario = f'[[fault]]\nkind = "{kind}"\nstep = "make_safe"\n{target}'
    record = Simulation(tmp_path, seed=5, scenario=scenario).run()
    assert record["verdict"] == ("INVALID" if kind == "can.silent" else "ABORTED")
