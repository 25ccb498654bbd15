"""Cells at rest: the conditions, the figures, open wires, and what later steps are left."""

from __future__ import annotations

import numpy as np
import pytest

from bmsctl.domain.ports import Dtc
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol.cells import cells_at_rest
from tests.support.fake_devices import FakeBench, Outcome, passed, run_step


def rested(bench: FakeBench) -> None:
    bench.facts.contactors_opened_s = 0.0


def with_cell(cell: int, offset_v: float) -> Outcome:
    def script(bench: FakeBench) -> None:
        rested(bench)
        bench.bms.cell_v[cell - 1] += offset_v
        bench.bms.stack_v = float(np.nansum(bench.bms.cell_v))

    return run_step(cells_at_rest, "cells_at_rest", script)


def test_a_pack_is_left_to_rest_and_then_measured() -> None:
    outcome = run_step(cells_at_rest, "cells_at_rest", rested)
    assert passed(outcome)
    assert outcome.duration_s == pytest.approx(30.0 + 1.0, abs=1.0)
    facts = outcome.context.facts
    assert facts.cells_at_rest_v == pytest.approx(outcome.bench.bms.cell_v)
    assert facts.pack_voltage_v == pytest.approx(345.6)
    assert facts.temperature_c == 22.0


@pytest.mark.parametrize(("cell", "offset_v"), [(17, 0.024), (96, -0.05)])
def test_a_cell_beyond_the_limit_fails_and_is_named(cell: int, offset_v: float) -> None:
    outcome = with_cell(cell, offset_v)
    assert outcome.verdicts["cell_deviation"] is Verdict.FAIL
    assert f"cell {cell}" in outcome.reason("cell_deviation")


def test_a_cell_within_it_passes() -> None:
    assert passed(with_cell(40, -0.0125))


def test_unknown_rest_is_not_judged() -> None:
    outcome = run_step(cells_at_rest, "cells_at_rest")
    assert outcome.error is not None
    assert outcome.verdicts == {}


@pytest.mark.parametrize("celsius", [[14.0] * 12, [36.0] * 12, [None] * 12])
def test_a_cold_or_hot_or_unknown_pack_is_not_judged(celsius: list[float | None]) -> None:
    def script(bench: FakeBench) -> None:
        rested(bench)
        bench.bms.celsius = celsius

    outcome = run_step(cells_at_rest, "cells_at_rest", script)
    assert outcome.error is not None
    assert outcome.verdicts == {}


def test_one_lost_value_costs_nothing_and_a_cell_that_never_has_one_is_an_open_wire() -> None:
    def script(bench: FakeBench) -> None:
        rested(bench)
        bench.bms.shots = [bench.bms.cell_v.copy() for _ in range(10)]
        bench.bms.shots[3][4] = np.nan

    assert passed(run_step(cells_at_rest, "cells_at_rest", script))

    outcome = with_cell(5, np.nan)
    assert outcome.verdicts["open_wires"] is Verdict.FAIL
    assert "cells 5" in outcome.reason("open_wires")
    assert outcome.verdicts["pack_sum_deviation"] is Verdict.INVALID


def test_an_open_wire_and_an_own_code_fail() -> None:
    def script(bench: FakeBench) -> None:
        rested(bench)
        bench.bms.open_cells = [1, 2]
        bench.bms.stored = [Dtc(0x1B0113, 9)]
        bench.facts.dtc_owners = {"1B01": "cells_at_rest"}

    outcome = run_step(cells_at_rest, "cells_at_rest", script)
    assert outcome.value("open_wires") == 2.0
    assert "1B01-13" in outcome.reason("own_dtcs")
