"""MF4: logs that python-can and asammdf write, and files that are none."""

from __future__ import annotations

import sys
from pathlib import Path

import can
import numpy as np
import pytest

from bmsctl.analysis.canlog.frames import EXTENDED
from bmsctl.analysis.canlog.readers import LogError, mf4, read_log
from tests.support.logs import data_of, drawn_messages

asammdf = pytest.importorskip("asammdf")
HEADER = b"MDF     4.10    ".ljust(64, b"\0") + b"##HD".ljust(104, b"\0")


@pytest.mark.filterwarnings("default")
def test_agrees_with_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "log.mf4"
    messages = list(drawn_messages(9, 60))
    with can.MF4Writer(path) as writer:
        for message in messages:
            writer.on_message_received(message)
        writer.on_message_received(can.Message(timestamp=1.7e9 + 1.0, is_error_frame=True))
        writer.on_message_received(can.Message(timestamp=1.7e9 + 1.1, arbitration_id=5, is_remote_frame=True))
    found = read_log(path)
    assert (found.count, found.malformed_lines, found.error_frames, found.remote_frames) == (60, 0, 1, 1)
    for i, message in enumerate(messages):
        assert data_of(found, i) == message.data
        assert int(found.can_id[i]) == message.arbitration_id | (int(EXTENDED) if message.is_extended_id else 0)
        assert (found.received[i], found.fd[i]) == (message.is_rx, message.is_fd)
        assert found.buses[found.bus[i]] == str(message.channel)
        assert found.time_s[i] == pytest.approx(message.timestamp, abs=1e-5)


@pytest.mark.filterwarnings("default")
def test_signals_without_raw_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "signals.mf4"
    with asammdf.MDF() as file:
        file.append(asammdf.Signal(np.zeros(3), np.arange(3.0), name="voltage"))
        file.save(path)
    with pytest.raises(LogError, match=r"signals\.mf4: has no raw CAN frames"):
        read_log(path)


@pytest.mark.parametrize("data", [b"MDF     ", b"MDF     4.10    garbage" + bytes(200), b"UnFinMF 4.10", HEADER[:-1]])
def test_without_a_header_a_file_is_refused(data: bytes) -> None:
    with pytest.raises(LogError, match=r"x\.mf4: has no header of an MF4 file"):
        mf4.read(data, "x.mf4")


def test_whatever_asammdf_stumbles_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(file: object) -> None:
        raise IndexError("block 7")

    monkeypatch.setattr(asammdf, "MDF", stumble)
    with pytest.raises(LogError, match=r"x\.mf4: asammdf cannot read it: block 7; copy the log again"):
        mf4.read(HEADER, "x.mf4")


def test_without_asammdf_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asammdf", None)
    with pytest.raises(LogError, match=r"pip install 'bmsctl\[analysis\]'"):
        mf4.read(HEADER, "x.mf4")
