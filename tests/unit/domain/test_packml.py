"""The PackML table, asked what a person would ask of it."""

from __future__ import annotations

from bmsctl.domain.packml import TRANSITIONS, Event, State


def test_no_way_into_execute_but_through_starting_or_a_hold() -> None:
    assert {row.source for row in TRANSITIONS if row.target is State.EXECUTE} == {State.STARTING, State.UNHOLDING}


def test_every_state_can_be_aborted_but_the_aborted_ones() -> None:
    abortable = {row.source for row in TRANSITIONS if row.event is Event.ABORT}
    assert abortable == set(State) - {State.ABORTING, State.ABORTED}


def test_the_table_is_deterministic_and_every_state_is_reached() -> None:
    assert len({(row.source, row.event) for row in TRANSITIONS}) == len(TRANSITIONS)
    assert {row.target for row in TRANSITIONS} == set(State)
