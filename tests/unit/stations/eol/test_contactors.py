"""The weld test: what is measured in which state, against packs with each contactor welded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bmsctl.domain.ports import Relay, Route
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import ReplyInvalid
from bmsctl.stations.eol.contactors import contactors_open
from tests.support.fake_devices import FakeBench, passed, run_step

STACK_V = 345.6


def welded(relay: Relay | None) -> Callable[[FakeBench], None]:
    """U_PN under load and P against B-, as a weld makes them."""

    def script(bench: FakeBench) -> None:
        def closed() -> set[Relay]:
            return {*bench.bms.closed, *([relay] if relay else [])}

        def live() -> bool:
            return Relay.MAIN_MINUS in closed() and len(closed()) > 1

        bench.digitizer.poles_v = lambda: (STACK_V / 2, -STACK_V / 2) if live() else (-50.0, -50.0)
        plus = relay in (Relay.MAIN_PLUS, Relay.PRECHARGE)
        bench.bms.p_b_minus_v = STACK_V if plus else 25.0

    return script


def test_a_good_pack_passes_and_its_rest_begins() -> None:
    outcome = run_step(contactors_open, "contactors_open", welded(None))
    assert passed(outcome)
    assert outcome.context.facts.contactors_opened_s == pytest.approx(outcome.duration_s)
    assert outcome.bench.matrix.routes == frozenset()


def test_plus_is_read_against_minus_with_the_load_and_without_the_digitizer() -> None:
    outcome = run_step(contactors_open, "contactors_open", welded(None))
    assert outcome.bench.of("bms.taps") == [
        (frozenset({Route.LOAD}), frozenset()),
        (frozenset({Route.LOAD}), frozenset({Relay.MAIN_MINUS})),
    ]
    assert all(Route.LINK_CAPACITOR not in routes for (routes,) in outcome.bench.of("matrix.connect"))


def test_no_two_contactors_are_ever_closed() -> None:
    outcome = run_step(contactors_open, "contactors_open", welded(None))
    closed = [relays for (relays,) in outcome.bench.of("bms.set_relays")]
    nothing = frozenset[Relay]()
    precharge, minus = frozenset({Relay.PRECHARGE}), frozenset({Relay.MAIN_MINUS})
    assert closed == [nothing, minus, nothing, nothing, precharge, minus, nothing]


@pytest.mark.parametrize(
    ("relay", "fails"),
    [
        (Relay.MAIN_MINUS, {"u_pn_precharge_only"}),
        (Relay.MAIN_PLUS, {"p_b_minus_all_open", "u_pn_main_minus_only", "p_b_minus_main_minus_only"}),
        (Relay.PRECHARGE, {"p_b_minus_all_open", "u_pn_main_minus_only", "p_b_minus_main_minus_only"}),
    ],
)
def test_each_weld_fails(relay: Relay, fails: set[str]) -> None:
    outcome = run_step(contactors_open, "contactors_open", welded(relay))
    assert {name for name, verdict in outcome.verdicts.items() if verdict is Verdict.FAIL} == fails


def test_a_tap_without_value_is_not_judged() -> None:
    def script(bench: FakeBench) -> None:
        welded(None)(bench)
        bench.bms.dividers = False

    outcome = run_step(contactors_open, "contactors_open", script)
    assert outcome.verdicts["p_b_minus_all_open"] is Verdict.INVALID


def test_an_error_leaves_every_contactor_open() -> None:
    def script(bench: FakeBench) -> None:
        bench.errors = {"digitizer.mean": [ReplyInvalid("digitizer", "over range")]}

    outcome = run_step(contactors_open, "contactors_open", script)
    assert outcome.error == "digitizer: over range"
    assert outcome.bench.names()[-2:] == ["bms.open_relays", "bms.set_relays"]
    assert outcome.bench.bms.closed == frozenset()
    assert outcome.context.facts.contactors_opened_s is not None


@pytest.mark.parametrize(("earlier", "waits"), [(2, False), (3, True)])
def test_a_hot_precharge_resistor_cools_before_anything_is_closed(earlier: int, waits: bool) -> None:
    def script(bench: FakeBench) -> None:
        welded(None)(bench)
        bench.facts.precharged_s = [bench.now()] * earlier

    outcome = run_step(contactors_open, "contactors_open", script, precharges_max=3, precharges_within=65.0)
    assert passed(outcome)
    assert (outcome.duration_s > 65.0) is waits
    assert len(outcome.context.facts.precharged_s) == earlier + 1
