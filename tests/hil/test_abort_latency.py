"""The PLC trips under current on full buses: everything is commanded off in order, nothing after, and it is proved.

How long that takes is measured by `python -m tests.campaign.abort_latency`, on a machine that has the time.
"""

from __future__ import annotations

import math

import pytest

from tests.campaign.abort_latency import measure

TRIALS, HANGS = 10, 1


@pytest.mark.bench
@pytest.mark.timeout(400)
def test_aborts_under_current_on_full_buses() -> None:
    found = measure(TRIALS, HANGS)
    assert found.findings == []
    assert [trial.trouble for trial in found.trials] == [""] * TRIALS
    for trial in found.trials:
        assert 0.0 < trial.revoked_ms < trial.opened_ms < math.inf
        assert 0.0 < trial.off_ms < math.inf
    assert [math.isfinite(hang.trip_ms) for hang in found.hangs] == [True] * HANGS
