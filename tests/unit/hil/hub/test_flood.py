"""The hub's own frames: the rate over time, and what a stall does."""

from __future__ import annotations

from hil.hub import packets
from hil.hub.flood import BURST_S, Flood

MS = 1_000_000


def test_the_rate_holds_however_often_it_is_asked() -> None:
    flood = Flood(4000, 0x7FF, 0)
    assert flood.due_ns() == 250_000
    assert [len(list(flood.due(ms * MS))) for ms in range(1, 6)] == [4, 4, 4, 4, 4]
    assert list(flood.due(5 * MS)) == []


def test_frames_count_themselves() -> None:
    first, second = Flood(1000, 0x7FF, 0).due(2 * MS)
    assert first == packets.frame(0, 8, 0x7FF, (1).to_bytes(8, "little"), 2 * MS)
    assert second[-8:] == (2).to_bytes(8, "little")


def test_what_a_stall_made_late_is_skipped() -> None:
    flood = Flood(4000, 0x7FF, 0)
    late = list(flood.due(1000 * MS))
    assert len(late) == BURST_S * 4000
    assert int.from_bytes(late[-1][-8:], "little") == 4000
    assert len(list(flood.due(1001 * MS))) == 4


def test_one_frame_a_second_is_not_skipped() -> None:
    assert len(list(Flood(1, 0x7FF, 0).due(1000 * MS))) == 1


def test_a_large_id_is_extended() -> None:
    flood = Flood(1, 0x800, 0)
    assert flood.key == 0x800 | packets.EXTENDED_KEY
    assert packets.check_frame(next(flood.due(1000 * MS)))[0] == packets.EXTENDED
