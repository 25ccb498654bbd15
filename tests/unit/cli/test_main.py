"""The command as a whole: closed pipes, strange encodings, internal errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bmsctl.cli import main, process

COMMAND = [sys.executable, "-m", "bmsctl"]


def test_a_closed_stdout_ends_quietly_with_the_commands_own_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "recipe", "show", "AS52"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [["nonsense"], ["records", "nonsense"], ["--nonsense"], ["sim", "run"]])
def test_usage_errors_say_what_is_possible(arguments: list[str]) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_internal_error_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(main.cli, "main", broken)
    assert process._code(main.cli, "bmsctl", "bmsctl") == 3
    said = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: oops" in said
    assert "Traceback" not in said
