"""What doctor says of the disk under the store."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from bmsctl.compose import doctor_disk
from bmsctl.compose.check import State

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /run rw,nosuid - tmpfs tmpfs rw
24 22 0:6 / /srv/the\\040store rw - nfs4 server:/x rw
25 22 0:7 / /srv rw shared:9 master:2 - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/x", "ext4"), ("/run/user/0", "tmpfs"), ("/srv/the store/eol", "nfs4"), ("/srv", "xfs"), ("/srvx", "ext4")],
)
def test_the_nearest_mount_point_tells_the_file_system(folder: str, kind: str) -> None:
    assert doctor_disk.file_system(Path(folder), MOUNTS) == kind


def test_nothing_mounted_is_not_known() -> None:
    assert doctor_disk.file_system(Path("/home"), "") == "unknown"


@pytest.mark.parametrize(("kind", "state"), [("ext4", State.GOOD), ("tmpfs", State.WARN), ("nfs4", State.BAD)])
def test_a_store_belongs_on_a_disk_of_this_computer(kind: str, state: State) -> None:
    assert doctor_disk.kind_of_disk(Path("/store"), kind).state is state


@pytest.mark.parametrize(("gigabytes", "state"), [(0.4, State.BAD), (2.0, State.WARN), (80.0, State.GOOD)])
def test_space_runs_out_with_a_warning_first(gigabytes: float, state: State) -> None:
    assert doctor_disk.free_space(round(gigabytes * 1e9)).state is state


@pytest.mark.parametrize(
    ("took_s", "state", "said"),
    [
        ([1e-3] * 100, State.GOOD, ""),
        ([5e-6] * 100, State.WARN, "pretend"),
        ([1e-3] * 90 + [0.5] * 10, State.WARN, "faster disk"),
        ([1e-3] * 99 + [0.5], State.GOOD, ""),
        ([1e-3], State.GOOD, ""),
    ],
)
def test_a_flush_is_neither_too_fast_nor_too_slow(took_s: list[float], state: State, said: str) -> None:
    check = doctor_disk.flushes(took_s)
    assert check.state is state
    assert said in check.remedy


def test_a_store_that_does_not_exist_yet_is_looked_at_where_it_will_be(tmp_path: Path) -> None:
    assert doctor_disk.existing(tmp_path / "a" / "b") == tmp_path
    names = [check.name for check in doctor_disk.checks(tmp_path / "a" / "b")]
    assert names[:3] == ["disk", "disk space", "store"]
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor_disk, "flush_times_s", refuse)
    *_, last = doctor_disk.checks(tmp_path)
    assert (last.name, last.state) == ("store", State.BAD)
    assert "Permission denied" in last.seen
    assert last.remedy


def test_flushes_are_timed_and_leave_nothing_behind(tmp_path: Path) -> None:
    took_s = doctor_disk.flush_times_s(tmp_path)
    assert 1 <= len(took_s) <= doctor_disk.FLUSHES
    assert min(took_s) > 0.0
    assert list(tmp_path.iterdir()) == []
