"""Whatever ends a run: safe in time. `python -m tests.campaign.aborts 200` tries more instants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign.aborts import EXPECTED, Disturbance, check, good_end_s, instants

EACH = 1


@pytest.fixture(scope="module")
def end_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    return good_end_s(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("disturbance", EXPECTED, ids=lambda one: one.__name__)
def test_every_way_out_is_safe(tmp_path: Path, end_s: float, disturbance: Disturbance) -> None:
    for number, at_s in enumerate(instants(disturbance, end_s, EACH)):
        check(tmp_path / f"{number}", disturbance, at_s)
