"""Step dcir on a pack whose resistances and sensor a test sets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.ports import Route
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.eol.dcir import dcir
from tests.support.fake_devices import Outcome, passed
from tests.support.fake_live import LiveBench, run_live


def run(script: Callable[[LiveBench], None] = lambda bench: None, **params: Any) -> tuple[LiveBench, Outcome]:
    bench, outcome = run_live(dcir, "dcir", script, **params)
    assert bench.resting()
    return bench, outcome


def cell(number: int, factor: float) -> Callable[[LiveBench], None]:
    def script(bench: LiveBench) -> None:
        bench.pack.cell_ohm[number - 1] *= factor

    return script


def test_a_good_pack_passes_with_its_own_values() -> None:
    bench, outcome = run()
    assert passed(outcome)
    assert outcome.value("cell_deviation") == pytest.approx(0.0, abs=0.01)
    assert outcome.value("link_resistance") == pytest.approx(80e-6, rel=1e-3)
    assert outcome.value("current_gain") == pytest.approx(0.0, abs=1e-6)
    assert outcome.value("current_sign") == 1.0
    warm_ohm = 96 * 0.55e-3 + 4e-3
    at_25_ohm = warm_ohm * math.exp(3250.0 * (1 / 298.15 - 1 / 295.15))
    assert outcome.value("pack_resistance") == pytest.approx(at_25_ohm, rel=1e-3)
    assert bench.matrix.routes == {Route.DIGITIZER, Route.CYCLER}


def test_two_pulses_of_the_recipe() -> None:
    """Ten seconds each, of opposite sign: no charge is left behind."""
    bench, _ = run()
    assert [amps for (amps,) in bench.of("cycler.set_current")] == [-100.0, 0.0, 100.0, 0.0]
    assert bench.of("cycler.arm") == [(268.8, 403.2, 100.0)]
    assert bench.pack.count(bench.now()) * 3600.0 == pytest.approx(0.0, abs=40.0)


def test_a_pulse_lasts_its_time() -> None:
    flows: list[float] = []

    def script(bench: LiveBench) -> None:
        flow = bench.pack.flow

        def noted(now_s: float, amps: float) -> None:
            flows.append(now_s)
            flow(now_s, amps)

        bench.pack.flow = noted  # type: ignore[method-assign]

    run(script, rest_time=1.0)
    assert flows[1] - flows[0] == pytest.approx(10.1, abs=0.15)
    assert flows[3] - flows[2] == pytest.approx(10.1, abs=0.15)


@pytest.mark.parametrize(("factor", "verdict"), [(1.125, "PASS"), (1.3, "FAIL"), (1.5, "FAIL"), (5.0, "FAIL")])
@pytest.mark.parametrize("number", [1, 25, 96])
def test_a_cell_is_compared_with_its_module_and_named(number: int, factor: float, verdict: str) -> None:
    _, outcome = run(cell(number, factor))
    assert outcome.verdicts["cell_deviation"] == verdict
    assert outcome.value("cell_deviation") == pytest.approx(100.0 * (factor - 1.0), rel=1e-3)
    if verdict == "FAIL":
        assert f"cell {number} in module {(number - 1) // 24 + 1}" in outcome.reason("cell_deviation")


@pytest.mark.parametrize(
    ("gain", "offset_a", "failing"),
    [
        (1.01, 0.15, set()),
        (1.04, 0.0, {"current_gain"}),
        (0.96, 0.0, {"current_gain"}),
        (1.0, 0.6, {"current_offset"}),
        (1.0, -0.6, {"current_offset"}),
        (1.0, 12.0, {"current_offset"}),
        (-1.0, 0.0, {"current_sign"}),
        (0.0, 0.0, {"current_sign", "current_gain"}),
    ],
)
def test_the_current_sensor(gain: float, offset_a: float, failing: set[str]) -> None:
    def script(bench: LiveBench) -> None:
        bench.bms.gain, bench.bms.offset_a = gain, offset_a

    _, outcome = run(script)
    assert outcome.error is None
    assert {name for name, verdict in outcome.verdicts.items() if verdict is not Verdict.PASS} == failing


def test_a_bad_link_is_named() -> None:
    def script(bench: LiveBench) -> None:
        bench.pack.bar_ohm[1] = 320e-6

    _, outcome = run(script)
    assert outcome.verdicts["link_resistance"] is Verdict.FAIL
    assert "between modules 2 and 3" in outcome.reason("link_resistance")


def test_a_link_without_value_is_no_number() -> None:
    def script(bench: LiveBench) -> None:
        bench.pack.bar_ohm[2] = np.nan

    _, outcome = run(script)
    assert outcome.verdicts["link_resistance"] is Verdict.INVALID
    assert "between modules 3 and 4" in outcome.reason("link_resistance")


def test_a_cell_that_leaves_its_window_ends_the_current_at_once_and_still_fails() -> None:
    bench, outcome = run(cell(40, 20.0))
    assert outcome.error is not None
    assert "cell 40" in outcome.error
    measured = outcome.context.measurements["cell_deviation"]
    assert (measured.verdict, measured.bound) == (Verdict.FAIL, ABOVE)
    names = bench.names()
    first = names.index("cycler.set_current")
    assert names[first + 1 : first + 3] == ["bms.samples", "cycler.off"]
    assert len(bench.of("cycler.set_current")) == 1


def test_a_cell_that_loses_its_value_under_current_ends_it() -> None:
    def script(bench: LiveBench) -> None:
        flow = bench.pack.flow

        def lost(now_s: float, amps: float) -> None:
            flow(now_s, amps)
            bench.pack.rest_v[11] = np.nan

        bench.pack.flow = lost  # type: ignore[method-assign]

    _, outcome = run(script)
    assert outcome.error is not None
    assert "cell 12 at nan V" in outcome.error
    assert outcome.verdicts["cell_deviation"] is Verdict.INVALID


def test_no_current_without_the_temperature() -> None:
    bench, outcome = run(lambda bench: setattr(bench.facts, "temperature_c", None))
    assert outcome.error is not None
    assert "cycler.arm" not in bench.names()


@pytest.mark.parametrize(
    ("hangs_at_s", "under_current"), [(0.5, False), (2.0, False), (5.0, True), (20.0, False), (45.0, True)]
)
def test_a_cycler_that_hangs_under_current_loses_its_enable(hangs_at_s: float, under_current: bool) -> None:
    bench, outcome = run(lambda bench: setattr(bench.cycler, "hangs_at_s", hangs_at_s))
    assert outcome.error is not None
    assert "no answer" in outcome.error
    assert ("plc.drop_permit" in bench.names()) is under_current


@pytest.mark.parametrize("call", ["bms.samples", "digitizer.mean", "cycler.read", "bms.set_relays", "cycler.disarm"])
def test_whatever_fails_no_current_is_left(call: str) -> None:
    _, outcome = run(lambda bench: bench.errors.update({call: [DeviceTimeout("x", "no answer")]}))
    assert outcome.error is not None
