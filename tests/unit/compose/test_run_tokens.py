"""Run tokens: the PLC takes none twice, so none is given out twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmsctl.compose import run_tokens
from bmsctl.compose.run_tokens import default_file, new_token
from bmsctl.errors import StoreError


def test_no_token_comes_twice_from_process_to_process(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "run_tokens"
    tokens = [new_token(file) for _ in range(500)]
    assert len(set(tokens)) == len(tokens)
    assert all(0 < token <= 0xFFFF for token in tokens)


def test_every_token_is_used_before_the_oldest_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tokens, "TOKENS", 8)
    monkeypatch.setattr(run_tokens, "REMEMBERED", 4)
    tokens = [new_token(tmp_path / "run_tokens") for _ in range(60)]
    assert all(len(set(tokens[at : at + 5])) == 5 for at in range(56))
    assert (tmp_path / "run_tokens").stat().st_size == 8


def test_a_torn_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "run_tokens"
    file.write_bytes(b"\x12\x34\x56")
    new_token(file)
    assert file.read_bytes()[:2] == b"\x12\x34"
    assert file.stat().st_size == 4


def test_a_file_that_cannot_be_kept_refuses_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="make the folder writable"):
        new_token(tmp_path / "file" / "run_tokens")


def test_the_file_is_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert default_file() == Path("/var/state/bmsctl/run_tokens")
