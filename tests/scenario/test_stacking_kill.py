"""A stacking station killed in the middle builds the same pack; `tests.campaign.stacking_kills` kills more often."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_stubs.sim.tape import OUTAGE_S
from firmware_stubs.world import EPOCH_UNIX_S
from tests.campaign.stacking_kills import Record, boundaries, check_kill, shown, stored, tightenings, undisturbed

EVERY = 21
PARTS = 4
BOLT = 35
"""Which tightening, from 0, is made during an outage."""
UNDER_WAY = ((0, 0.0), (60, 0.5), (90, 3.0))
"""Which tightenings, from 0, are under way at the kill, and the outage of each, s."""
ENABLED_S = 1.0
"""After a person is shown a bolt: the tool is enabled, and nobody has pulled its trigger yet."""
UNDER_WAY_S = 0.5
"""Before the second in which a tightening ends: the tool turns."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record, int]:
    folder = tmp_path_factory.mktemp("undisturbed") / "whole"
    return folder, *undisturbed(folder)


def made_at(record: Record | None) -> list[float]:
    """When the controller says that each bolt was tightened, by loop time; it knows whole seconds."""
    assert record is not None
    texts = [each["at"] for part in record["genealogy"] for each in part["tightenings"]]
    times = [datetime.strptime(text, "%Y-%m-%d:%H:%M:%S").replace(tzinfo=UTC) for text in texts]
    return [time.timestamp() - EPOCH_UNIX_S for time in times]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_a_journal_boundary_changes_nothing(
    tmp_path: Path, whole: tuple[Path, Record, int], part: int
) -> None:
    _, record, transactions = whole
    chosen = list(boundaries(transactions, EVERY))
    assert len(chosen) > 2 * PARTS
    for at, place in chosen[part::PARTS]:
        check_kill(tmp_path / f"{at}-{place}", record, at, place)


def test_a_bolt_tightened_while_the_station_was_dead_is_not_tightened_again(
    tmp_path: Path, whole: tuple[Path, Record, int]
) -> None:
    folder, record, _ = whole
    moments = shown(folder, "tighten")
    assert len(moments) == len(tightenings(record))
    left = check_kill(tmp_path, record, dies_s=moments[BOLT] + ENABLED_S)
    assert len(tightenings(left)) == BOLT, "it had come back before the kill"
    built = stored(tmp_path / "store")
    assert len(set(tightenings(built))) == len(tightenings(record))
    assert moments[BOLT] - 1.0 < made_at(built)[BOLT] < moments[BOLT] + OUTAGE_S


@pytest.mark.parametrize(("bolt", "outage_s"), UNDER_WAY)
def test_a_tightening_under_way_at_the_kill_is_found_however_soon_the_station_is_back(
    tmp_path: Path, whole: tuple[Path, Record, int], bolt: int, outage_s: float
) -> None:
    _, record, _ = whole
    dies_s = made_at(record)[bolt] - UNDER_WAY_S
    left = check_kill(tmp_path, record, dies_s=dies_s, outage_s=outage_s)
    assert len(tightenings(left)) == bolt, "it had come back before the kill"
    built = stored(tmp_path / "store")
    assert len(set(tightenings(built))) == len(tightenings(record))
    assert made_at(built)[bolt] == made_at(record)[bolt], "it was not under way"
