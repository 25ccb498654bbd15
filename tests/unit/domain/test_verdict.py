"""The fold tables, row by row."""

from __future__ import annotations

import itertools

import pytest

from bmsctl.domain.verdict import Verdict, fold_run, fold_step

P, F, I, A = Verdict.PASS, Verdict.FAIL, Verdict.INVALID, Verdict.ABORTED  # noqa: E741


@pytest.mark.parametrize(
    ("verdicts", "step"),
    [
        ([], I),
        ([P], P),
        ([P, P, P], P),
        ([F], F),
        ([I], I),
        ([P, I, P], I),
        ([I, F], F),
        ([F, I, P], F),
        ([A], I),
        ([P, A], I),
    ],
)
def test_a_step_is_its_worst_measurement_and_never_passes_on_nothing(verdicts: list[Verdict], step: Verdict) -> None:
    assert fold_step(iter(verdicts)) is step


@pytest.mark.parametrize(
    ("steps", "aborted", "run"),
    [
        ([(True, P), (True, P)], False, P),
        ([(True, P), (True, F), (True, None)], False, F),
        ([(True, I), (True, F)], False, F),
        ([(True, P), (True, I)], False, I),
        ([(True, P), (True, None)], False, I),
        ([(True, P), (False, None)], False, P),
        ([(True, P), (False, F)], False, F),
        ([(True, P), (False, I)], False, I),
        ([(True, A)], False, I),
        ([(False, None)], False, I),
        ([], False, I),
        ([(True, F)], True, A),
        ([(True, P)], True, A),
        ([], True, A),
    ],
)
def test_a_run(steps: list[tuple[bool, Verdict | None]], aborted: bool, run: Verdict) -> None:
    assert fold_run(steps, aborted) is run


def test_order_does_not_matter() -> None:
    for verdicts in itertools.product([P, F, I], repeat=3):
        assert len({fold_step(order) for order in itertools.permutations(verdicts)}) == 1
