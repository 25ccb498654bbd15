"""Step balancing_channels on a stack wired wire by wire."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.eol.balancing import balancing_channels
from tests.support.fake_devices import Outcome, passed
from tests.support.fake_live import BLEED_A, WIRE_OHM, LiveBench, run_live

DROP_V = BLEED_A * WIRE_OHM


def run(script: Callable[[LiveBench], None] = lambda bench: None, **params: Any) -> tuple[LiveBench, Outcome]:
    bench, outcome = run_live(balancing_channels, "balancing_channels", script, **params)
    assert bench.pack.bleeding == frozenset()
    return bench, outcome


def test_a_good_pack_passes() -> None:
    _, outcome = run()
    assert passed(outcome)
    assert outcome.value("signature_min") == pytest.approx(2 * DROP_V, rel=0.06)
    assert outcome.value("signature_max") == pytest.approx(2 * DROP_V, rel=0.06)
    assert outcome.value("neighbour_min") == pytest.approx(DROP_V, rel=0.06)
    assert outcome.duration_s < 15.0


def test_every_cell_bleeds_once_and_never_beside_another() -> None:
    bench, _ = run()
    groups = [cells for (cells,) in bench.of("bms.balance") if cells]
    assert sorted(cell for cells in groups for cell in cells) == list(range(1, 97))
    assert not any(cell + 1 in cells for cells in groups for cell in cells)


@pytest.mark.parametrize("cell", [1, 16, 17, 41, 96])
@pytest.mark.parametrize("stuck", ["stuck_on", "stuck_off"])
def test_a_stuck_switch_fails_and_is_named(cell: int, stuck: str) -> None:
    _, outcome = run(lambda bench: setattr(bench.pack, stuck, frozenset({cell})))
    assert outcome.verdicts["signature_min"] is Verdict.FAIL
    assert outcome.verdicts["signature_max"] is Verdict.PASS
    assert f"cell {cell}" in outcome.reason("signature_min").split(": ")[-1]


@pytest.mark.parametrize("course", [lambda t_s: 0.5e-3 * t_s, lambda t_s: 20e-3 * math.exp(-t_s / 2.0)])
def test_cells_that_relax_look_neither_better_nor_worse(course: Callable[[float], float]) -> None:
    def script(bench: LiveBench) -> None:
        cell_v = bench.pack.cell_v
        bench.pack.cell_v = lambda: cell_v() - course(bench.now())  # type: ignore[method-assign]

    (_, still), (_, outcome) = run(), run(script)
    for name in still.verdicts:
        assert outcome.value(name) == pytest.approx(still.value(name), abs=1e-6)


def test_a_cell_without_value_is_no_number() -> None:
    def script(bench: LiveBench) -> None:
        bench.pack.rest_v[29] = np.nan

    _, outcome = run(script)
    assert outcome.verdicts["signature_min"] is Verdict.INVALID
    assert "cell 30" in outcome.reason("signature_min")


@pytest.mark.parametrize("after", [1, 2, 4])
def test_bleeding_ends_whatever_fails(after: int) -> None:
    def script(bench: LiveBench) -> None:
        cells, calls = bench.bms.cells, []

        async def sometimes(lease: Any, n: int) -> Any:
            calls.append(n)
            if len(calls) == after:
                raise DeviceTimeout("bms", "silent")
            return await cells(lease, n)

        bench.bms.cells = sometimes  # type: ignore[method-assign]

    bench, outcome = run(script)
    assert outcome.error == "bms: silent"
    assert bench.of("bms.balance")[-1] == (frozenset(),)


def test_one_group_would_bleed_neighbours_together() -> None:
    bench, outcome = run(groups=1)
    assert outcome.error is not None
    assert bench.of("bms.balance") == []
