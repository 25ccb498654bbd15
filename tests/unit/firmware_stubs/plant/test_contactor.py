"""A contact follows its coil late, bounces, and may have stopped moving."""

from __future__ import annotations

import math

import pytest

from bmsctl.domain.ports import Relay
from firmware_stubs.plant.contactor import Change, Contactor


def taken(contactor: Contactor) -> list[Change]:
    changes = []
    while contactor.next_s < math.inf:
        changes.append(contactor.step())
    return changes


@pytest.fixture
def contactor() -> Contactor:
    return Contactor(Relay.MAIN_PLUS, seed=1, seized=None)


def test_it_touches_lifts_and_stays(contactor: Contactor) -> None:
    contactor.drive(5.0, True)
    touch, lift, stay = taken(contactor)
    assert [change.closed for change in (touch, lift, stay)] == [True, False, True]
    assert [change.driven for change in (touch, lift, stay)] == [True, False, False]
    assert 5.016 <= touch.t_s <= 5.020
    assert touch.t_s < lift.t_s < stay.t_s
    assert 1e-3 - 1e-9 <= stay.t_s - touch.t_s <= 2e-3 + 1e-9
    assert contactor.closed


def test_it_opens_once(contactor: Contactor) -> None:
    contactor.drive(0.0, True)
    taken(contactor)
    contactor.drive(1.0, False)
    (change,) = taken(contactor)
    assert not change.closed
    assert change.driven
    assert 1.007 <= change.t_s <= 1.009


def test_every_actuation_is_different_and_every_spread_is_used() -> None:
    contactor = Contactor(Relay.MAIN_PLUS, seed=1, seized=None)
    closing_s, bounce_s, opening_s = [], [], []
    for k in range(200):
        contactor.drive(2.0 * k, True)
        touch, _, stay = taken(contactor)
        contactor.drive(2.0 * k + 1.0, False)
        (lifted,) = taken(contactor)
        closing_s.append(touch.t_s - 2.0 * k)
        bounce_s.append(stay.t_s - touch.t_s)
        opening_s.append(lifted.t_s - 2.0 * k - 1.0)
    for values, middle, spread in ((closing_s, 18e-3, 2e-3), (bounce_s, 1.5e-3, 0.5e-3), (opening_s, 8e-3, 1e-3)):
        assert min(values) >= middle - spread - 1e-9
        assert max(values) <= middle + spread + 1e-9
        assert max(values) - min(values) > spread
        assert abs(sum(values) / len(values) - middle) < 0.1 * spread


def test_the_same_seed_gives_the_same_movements() -> None:
    def movements(relay: Relay, seed: int) -> list[Change]:
        contactor = Contactor(relay, seed, None)
        contactor.drive(0.0, True)
        return taken(contactor)

    assert movements(Relay.PRECHARGE, 3) == movements(Relay.PRECHARGE, 3)
    assert movements(Relay.PRECHARGE, 3) != movements(Relay.PRECHARGE, 4)
    assert movements(Relay.PRECHARGE, 3) != movements(Relay.MAIN_MINUS, 3)


def test_a_coil_dropped_early_never_touches(contactor: Contactor) -> None:
    contactor.drive(0.0, True)
    contactor.drive(0.002, False)
    assert [change.closed for change in taken(contactor)] == [False]


def test_a_coil_dropped_late_touches_and_lifts(contactor: Contactor) -> None:
    contactor.drive(0.0, True)
    contactor.drive(0.0155, False)
    first, *_, last = taken(contactor)
    assert first.closed
    assert not last.closed


def test_a_coil_driven_again_as_it_was_does_nothing(contactor: Contactor) -> None:
    contactor.drive(0.0, True)
    before = contactor.next_s
    contactor.drive(0.01, True)
    assert contactor.next_s == before


@pytest.mark.parametrize("seized", [True, False])
def test_a_seized_contact_does_not_move(seized: bool) -> None:
    contactor = Contactor(Relay.MAIN_PLUS, 1, seized)
    assert contactor.closed is seized
    for on in (True, False, True):
        contactor.drive(0.0, on)
        assert contactor.next_s == math.inf
        assert contactor.closed is seized


@pytest.mark.parametrize("closing", [True, False])
def test_a_contact_that_refuses_one_movement_still_makes_the_other(contactor: Contactor, closing: bool) -> None:
    contactor.drive(0.0, not closing)
    taken(contactor)
    contactor.refuses = closing
    contactor.drive(1.0, closing)
    assert (taken(contactor), contactor.closed) == ([], not closing)
    contactor.refuses = None
    contactor.drive(2.0, not closing)
    contactor.drive(3.0, closing)
    taken(contactor)
    assert contactor.closed is closing
