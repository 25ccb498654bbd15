"""A file replaced whole: killed at any line, it holds the old content or the new one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from bmsctl.store.whole_file import only_writer, read_file, replace_file


def test_content_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        replace_file(path, content, 0o600)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"content", 0o600)
    assert read_file(path, 7) == b"content"
    assert len(read_file(path, 3)) == 4


def test_what_is_no_regular_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_file(tmp_path / "pipe", 99)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none", 99)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 99)


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"half")
    replace_file(tmp_path / "file", b"whole", 0o600)
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert not (tmp_path / "file.part").exists()


def test_a_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old", 0o600)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new", 0o600)
    assert path.read_bytes() == b"old"


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")

    def count() -> None:
        for _ in range(10):
            with only_writer(path):
                replace_file(path, str(int(path.read_text()) + 1).encode(), 0o600)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "40"
