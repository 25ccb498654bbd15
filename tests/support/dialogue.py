"""Dialogues with line-oriented instruments, pinned line by line in TOML: pairs of what is sent and what is answered."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from firmware_stubs.sim.wire import SimSerial

Dialogue = Sequence[tuple[str, str]]

MEASURED = re.compile(r"[ +-]\d\.\d+E[+-]\d\d")


def dialogues(device: str) -> dict[str, Dialogue]:
    """All dialogues pinned for a device; an empty answer is none."""
    return tomllib.loads((Path(__file__).parents[1] / f"golden/{device}/dialogue.toml").read_text())


class Player:
    """Plays the instrument's part on a line: answers while it hears exactly what is pinned, then falls silent."""

    def __init__(self, line: SimSerial) -> None:
        self._line = line
        self._rest = b""
        self._due: list[tuple[str, str]] = []
        self.unexpected: list[str] = []
        line.device.listen(self._take)

    def play(self, *dialogues: Dialogue) -> None:
        """Expect these, one after the other."""
        self._due = [(said, answer) for dialogue in dialogues for said, answer in dialogue]

    @property
    def finished(self) -> bool:
        """Whether all that was expected was heard, and nothing else."""
        return not self._due and not self.unexpected

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said, answer = self._due[0] if self._due else ("", "")
            if self.unexpected or line != said.encode("ascii"):
                self.unexpected.append(line.decode("ascii"))
                return
            del self._due[0]
            if answer:
                self._line.device.emit(answer.encode("ascii") + b"\r\n")
