"""Precharge: nothing is closed onto a fault, and everything is open at the end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bmsctl.domain.ports import Recording, Relay, Route
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import ReplyInvalid
from bmsctl.stations.eol.precharge import precharge
from tests.support.fake_devices import FakeBench, passed, run_step

RATE_HZ, STACK_V, LINK_F = 10_000.0, 345.6, 0.5e-3


def charging(ohm: float, end_v: float = STACK_V, loaded_v: float = STACK_V) -> Callable[[FakeBench], None]:
    """A link that charges through this resistance."""

    def script(bench: FakeBench) -> None:
        time_s = np.maximum(np.arange(5000) / RATE_HZ - 0.04, 0.0)
        link_v = end_v * (1.0 - np.exp(-time_s / (ohm * LINK_F)))
        bench.digitizer.recording = Recording(link_v / 2, -link_v / 2, link_v, RATE_HZ, 0.0)
        bench.digitizer.poles_v = (loaded_v / 2, -loaded_v / 2)
        bench.facts.pack_voltage_v = STACK_V

    return script


def test_a_good_pack_passes_and_is_open_again() -> None:
    outcome = run_step(precharge, "precharge", charging(50.0))
    assert passed(outcome)
    assert outcome.value("precharge_resistance") == pytest.approx(50.0, rel=1e-3)
    assert outcome.bench.bms.closed == frozenset()


def test_precharge_closes_before_main_plus_and_the_load_comes_last() -> None:
    outcome = run_step(precharge, "precharge", charging(50.0))
    minus, pre, plus = Relay.MAIN_MINUS, Relay.PRECHARGE, Relay.MAIN_PLUS
    assert [relays for (relays,) in outcome.bench.of("bms.set_relays")] == [
        {minus},
        {minus, pre},
        {minus, pre, plus},
        {minus, plus},
        set(),
    ]
    routes = [routes for (routes,) in outcome.bench.of("matrix.connect")]
    assert [Route.LOAD in each for each in routes] == [False, True]


@pytest.mark.parametrize("ohm", [30.0, 70.0])
def test_a_wrong_resistor_fails(ohm: float) -> None:
    outcome = run_step(precharge, "precharge", charging(ohm))
    assert outcome.verdicts["precharge_resistance"] is Verdict.FAIL


def test_nothing_closes_onto_an_insulation_fault() -> None:
    outcome = run_step(precharge, "precharge", lambda bench: setattr(bench.bms, "imd_ohm", 5e3))
    assert outcome.verdicts == {"imd_before": Verdict.FAIL}
    assert outcome.bench.of("bms.set_relays") == []


def test_main_plus_does_not_close_onto_a_link_that_has_not_followed() -> None:
    outcome = run_step(precharge, "precharge", charging(50.0, end_v=330.0))
    assert outcome.verdicts["end_ratio"] is Verdict.FAIL
    assert all(Relay.MAIN_PLUS not in relays for (relays,) in outcome.bench.of("bms.set_relays"))


def test_a_main_plus_that_stays_open_shows_under_load() -> None:
    outcome = run_step(precharge, "precharge", charging(50.0, loaded_v=47.0))
    assert outcome.verdicts["loaded_ratio"] is Verdict.FAIL


def test_an_error_leaves_every_contactor_open() -> None:
    def script(bench: FakeBench) -> None:
        charging(50.0)(bench)
        bench.errors = {"digitizer.finish": [ReplyInvalid("digitizer", "samples are missing")]}

    outcome = run_step(precharge, "precharge", script)
    assert outcome.error == "digitizer: samples are missing"
    assert outcome.bench.bms.closed == frozenset()
    assert outcome.context.facts.contactors_opened_s is not None


@pytest.mark.parametrize(("earlier", "waits"), [(2, False), (3, True)])
def test_a_hot_precharge_resistor_cools_before_anything_is_closed(earlier: int, waits: bool) -> None:
    def script(bench: FakeBench) -> None:
        charging(50.0)(bench)
        bench.facts.precharged_s = [bench.now()] * earlier

    outcome = run_step(precharge, "precharge", script, precharges_max=3, precharges_within=65.0)
    assert passed(outcome)
    assert (outcome.duration_s > 65.0) is waits
    assert len(outcome.context.facts.precharged_s) == earlier + 1
