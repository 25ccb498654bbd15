"""The heads kept outside the database, against lines written by hand."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bmsctl.store import heads
from bmsctl.store.heads import Head

A, B = Head("r-1", 1, "a" * 64), Head("r-1", 17, "b" * 64)
LINE = b'["r-1",1,"' + b"a" * 64 + b'"]\n'


def test_a_line_by_hand(tmp_path: Path) -> None:
    heads.append(tmp_path, [A])
    assert (tmp_path / heads.FILE).read_bytes() == LINE


def test_heads_are_appended_and_read_in_order(tmp_path: Path) -> None:
    heads.append(tmp_path, [A])
    heads.append(tmp_path, [B, Head("r \n2", 1, "c" * 64)])
    assert heads.read(tmp_path) == ([A, B, Head("r \n2", 1, "c" * 64)], [])


def test_no_file_has_no_heads(tmp_path: Path) -> None:
    assert heads.read(tmp_path) == ([], [])
    heads.drop_torn_line(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_line_is_ignored_and_then_dropped(tmp_path: Path) -> None:
    for cut in range(1, len(LINE)):
        (tmp_path / heads.FILE).write_bytes(LINE + LINE[:cut])
        assert heads.read(tmp_path) == ([A], [])
        heads.drop_torn_line(tmp_path)
        assert (tmp_path / heads.FILE).read_bytes() == LINE


def test_damaged_lines_are_numbered_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / heads.FILE).write_bytes(b"\n" + LINE + b'["r-1","1","x"]\n' + b"\xff\n")
    assert heads.read(tmp_path) == ([A], [f"line {n} is damaged" for n in (1, 3, 4)])


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_read_without_raising(tmp_path_factory: object, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("heads")  # type: ignore[attr-defined]
    (folder / heads.FILE).write_bytes(data)
    found, problems = heads.read(folder)
    assert len(found) + len(problems) == data.count(b"\n")
