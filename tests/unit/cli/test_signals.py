"""Signals of a command: one interrupts, and none disturbs what an interrupt has begun to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from bmsctl.cli.signals import ENDING, ignore, listen


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the test session come back."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_every_ending_signal_interrupts(number: signal.Signals) -> None:
    listen()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_none_disturbs_the_end_of_an_interrupted_command() -> None:
    listen()
    ended: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted_while_it_ends(ended)
    assert ended == ["in order"]


def _interrupted_while_it_ends(ended: list[str]) -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number in ENDING:
            signal.raise_signal(number)
        _interrupted_while_it_fails()
        ended.append("in order")


def _interrupted_while_it_fails() -> None:
    try:
        raise ValueError
    except ValueError:
        signal.raise_signal(signal.SIGINT)


def test_after_an_interrupt_that_was_lost_the_next_one_counts() -> None:
    listen()
    for number in ENDING:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_another_error_being_dealt_with_is_interrupted() -> None:
    listen()
    with pytest.raises(KeyboardInterrupt):
        _interrupted_while_it_fails()


def test_ignored_signals_do_nothing() -> None:
    listen()
    ignore()
    for number in ENDING:
        signal.raise_signal(number)
