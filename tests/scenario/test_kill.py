"""A real process, killed in the middle of a run; `python -m tests.campaign.kills 1` does it at every transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.kills import PLACES, check_kill, transactions

MOMENTS = 3


@pytest.fixture(scope="module")
def count(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many transactions a whole run has."""
    return transactions(tmp_path_factory.mktemp("kill") / "whole")


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, count: int, place: str) -> None:
    assert count >= 8
    for moment in range(MOMENTS):
        at = moment * (count - 1) // (MOMENTS - 1)
        check_kill(tmp_path / f"{at}", at, place)
