"""Which reader reads a file, and that none ever fails for what a file holds."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bmsctl.analysis.canlog.readers import LogError, asc, candump, crtd, read_log, trc
from tests.support.logs import FOLDER, rows

TEXTS = {"candump": candump, "asc": asc, "trc": trc, "crtd": crtd}
EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.suffix in {".log", ".asc", ".trc", ".crtd"})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_content_decides_and_not_the_name(path: Path, tmp_path: Path) -> None:
    expected = read_log(path)
    assert expected.count > 0
    for name in ("wrong.blf", "wrong.asc", "wrong.log", "none"):
        copy = tmp_path / name
        copy.write_bytes(path.read_bytes())
        found = read_log(copy)
        assert (rows(found), found.bad_lines) == (rows(expected), expected.bad_lines)


def test_a_packed_log_and_one_with_a_byte_order_mark(tmp_path: Path) -> None:
    data = (FOLDER / "damaged.log").read_bytes()
    packed, marked = tmp_path / "damaged.log.gz", tmp_path / "marked.log"
    packed.write_bytes(gzip.compress(data))
    marked.write_bytes(b"\xef\xbb\xbf" + data)
    for path in (packed, marked):
        assert rows(read_log(path)) == rows(read_log(FOLDER / "damaged.log"))
    packed.write_bytes(gzip.compress(data)[:-20])
    with pytest.raises(LogError, match="copy the log again"):
        read_log(packed)


def test_where_no_line_tells_the_name_decides(tmp_path: Path) -> None:
    for name in ("garbage.log", "garbage.TXT", "garbage.asc", "garbage.trc", "garbage.crtd", "garbage.log.gz"):
        path = tmp_path / name
        path.write_bytes(b"garbage\n\n\xff\xfe\n")
        found = read_log(path)
        assert (found.count, found.malformed_lines) == (0, 2)


def test_files_that_are_no_logs_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"missing\.log: cannot be read"):
        read_log(tmp_path / "missing.log")
    empty = tmp_path / "empty.log"
    empty.touch()
    with pytest.raises(LogError, match=r"empty\.log: is empty"):
        read_log(empty)
    other = tmp_path / "table.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(LogError, match=r"table\.csv: is no log of candump, ASC"):
        read_log(other)


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400) | st.text("0123456789.()#[]xRT;$ \n\tabc", max_size=200).map(str.encode))
def test_any_bytes_are_read_and_each_line_is_accounted_for(name: str, data: bytes) -> None:
    found = TEXTS[name].read(data, "x")
    lines = sum(bool(line.decode(errors="replace").strip()) for line in data.split(b"\n"))
    told = found.count + found.malformed_lines + found.error_frames + found.remote_frames
    assert told <= lines
    assert len(found.bad_lines) == min(found.malformed_lines, 10)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_line_costs_no_other_line(path: Path, data: st.DataObject) -> None:
    """Bytes of one line are changed: every frame of another line is still there."""
    reader = TEXTS["candump" if path.suffix == ".log" else path.suffix[1:]]
    lines = path.read_bytes().split(b"\n")
    target = data.draw(st.integers(0, len(lines) - 1).filter(lambda i: not lines[i].startswith((b";$", b"base"))))
    spoilt = data.draw(st.binary(max_size=20)).replace(b"\n", b"")
    without, damaged = (
        reader.read(b"\n".join([*lines[:target], line, *lines[target + 1 :]]), "") for line in (b"", spoilt)
    )
    kept = iter(rows(damaged))
    assert all(row in kept for row in rows(without))


def test_a_reader_is_imported_only_for_its_format(tmp_path: Path) -> None:
    path = tmp_path / "log.blf"
    path.write_bytes(b"LOGG" + bytes(140))
    code = (
        "import sys; from pathlib import Path; from bmsctl.analysis.canlog.readers import read_log;"
        f"read_log(Path({str(path)!r})); assert 'numba' not in sys.modules and 'asammdf' not in sys.modules"
    )
    subprocess.run((sys.executable, "-c", code), check=True)
