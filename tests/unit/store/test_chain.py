"""The chain's bytes, derived by hand: a journal must stay verifiable with nothing but SHA-256."""

from __future__ import annotations

import hashlib

import pytest

from bmsctl.store.chain import GENESIS, EventRow, digest

ROW = EventRow(1, "noted", 0.5, 1767225600.0, "simulated", '{"text":"µ","what":"x"}')


def test_a_link_is_sha256_of_previous_hash_run_columns_and_payload() -> None:
    # JSON array [previous, record id, seq, kind, t_s, utc_s, quality], then the payload as stored, in UTF-8.
    first = '["","r-1",1,"noted",0.5,1767225600.0,"simulated"]{"text":"µ","what":"x"}'.encode()
    assert digest(GENESIS, "r-1", ROW) == hashlib.sha256(first).hexdigest()


def test_the_next_link_begins_with_the_hash_before_it() -> None:
    head = digest(GENESIS, "r-1", ROW)
    row = EventRow(2, "noted", None, 1.0, "free", "{}")
    second = f'["{head}","r-1",2,"noted",null,1.0,"free"]{{}}'.encode()
    assert digest(head, "r-1", row) == hashlib.sha256(second).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        ROW._replace(seq=2),
        ROW._replace(kind="note"),
        ROW._replace(t_s=None),
        ROW._replace(utc_s=1767225600.5),
        ROW._replace(utc_quality="free"),
        ROW._replace(payload='{"text":"µ","what":"y"}'),
    ],
)
def test_every_column_counts(other: EventRow) -> None:
    assert digest(GENESIS, "r-1", other) != digest(GENESIS, "r-1", ROW)


def test_previous_hash_and_record_count() -> None:
    assert digest("0" * 64, "r-1", ROW) != digest(GENESIS, "r-1", ROW)
    assert digest(GENESIS, "r-2", ROW) != digest(GENESIS, "r-1", ROW)


def test_text_cannot_move_between_columns() -> None:
    left = digest(GENESIS, "r", ROW._replace(kind='a"', utc_quality="b"))
    right = digest(GENESIS, "r", ROW._replace(kind="a", utc_quality='"b'))
    assert left != right
