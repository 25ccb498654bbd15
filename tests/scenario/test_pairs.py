"""Two defects at once; `python -m tests.campaign.pairs 200` runs more of them."""

from __future__ import annotations

from itertools import islice

import pytest

from bmsctl.compose.campaign import run_jobs
from tests.campaign.pairs import Pair, job, pairs, wrong
from tests.support.simulate import RECIPE

PAIRS = list(islice(pairs(RECIPE, 2), 6))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name} + {pair[1].name}")
def test_the_earlier_step_finds_it(pair: Pair) -> None:
    (outcome,) = run_jobs([job(pair, 7)], None, 1)
    assert wrong(pair, outcome) == ""
