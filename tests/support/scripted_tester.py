"""A safety tester played from a golden conversation: each message in its turn, or once more, each answer as written.

Messages and answers in the files are without the tag that the SCPI session puts around them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from firmware_stubs.sim.wire import SimSerial

GOLDEN = Path(__file__).parents[1] / "golden"


def conversation(device: str) -> list[tuple[str, str]]:
    """What is said, in order: (message, answer)."""
    text = (GOLDEN / device / "conversation.toml").read_text(encoding="utf-8")
    return [(said, answer) for said, answer in tomllib.loads(text)["conversation"]]


class ScriptedTester:
    """Answers by a conversation. `instead`: other answers to some messages. `heard`: every message, without tags."""

    def __init__(self, device: str, instead: dict[str, str] | None = None) -> None:
        self.line = SimSerial(device)
        self.heard: list[str] = []
        self._script = conversation(device)
        self._next = 0
        self._instead = instead or {}
        self.line.device.listen(self._take)

    def _take(self, data: bytes) -> None:
        for line in data.decode("ascii").splitlines():
            if not line.startswith("*ESE "):
                self.heard.append(line)
                continue
            head, _, rest = line.partition(";")
            message = rest.removesuffix(";*ESR?;*ESE?")
            expected, answer = self._script[self._turn(message)]
            assert message == expected
            self.heard.append(message)
            fields = self._instead.get(message.partition(";")[0], answer)
            self.line.device.emit(f"{fields};0;{head.removeprefix('*ESE ')}\r\n".encode("ascii"))

    def _turn(self, message: str) -> int:
        """Which part of the conversation a message is: the next, or the one before when it is asked again."""
        turn = min(self._next, len(self._script) - 1)
        if turn and self._script[turn][0] != message == self._script[turn - 1][0]:
            return turn - 1
        self._next = turn + 1
        return turn
