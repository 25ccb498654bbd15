"""The control channel of a bench: how a station's world asks the stubs' process for a pack.

A Unix stream socket, one JSON object a line, in UTF-8. The bench speaks first:

    {"bench": 1}                                             version of this protocol

A request names what to do. With an `id` it is answered under the same `id`, by `ok` or by an `error` in words;
without one it is not answered.

    {"id": 1, "do": "mount", "recipe": {...}, "seed": 7, "scenario": "...", "scenario_file": "s.toml"}
        {"id": 1, "ok": {"pack_serial": "...", "module_part_number": "...", "incoming": [[slot, age_s, [V, ...]], ...]}}
    {"do": "step_started", "step": "identify"}               faults of this step are due from now on
    {"id": 2, "do": "finish"}                                the run has ended
        {"id": 2, "ok": {"pack_serial": "...", "findings": ["..."], "stall_s": 0.01}}
    {"id": 3, "do": "last"}                                  the same of the last pack that left; null before
    {"id": 4, "do": "traffic"}
        {"id": 4, "ok": {"t_s": 12.3, "wires": {"pack": {...}, ...}}}      counters of every bus and line, and when
    {"id": 5, "do": "disturb", "fault": "can.silent", "device": "bms", "on": true}
    {"id": 6, "do": "press_estop" | "open_guard" | "reset_plc"}

A pack is on the bench from `mount` to `finish`, or until its station's connection ends; then the bench waits until
the safety PLC has had its time, looks a last time, and takes the pack away. Until then every other `mount` is
answered by `{"busy": true}`. With a pack, every connection ends; who connects then is served when the next may come.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bmsctl.errors import BmsctlError

VERSION = 1
LINE_MAX = 4 * 1024 * 1024
ANSWER_WITHIN_S = 20.0


class BenchError(BmsctlError):
    """The bench is not there, is of another version, or refused; says what to do."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One line of the channel."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def answers(path: Path) -> bool:
    """Whether a bench listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


class Control:
    """A connection to a bench, for a station's process: calls block, notices do not."""

    def __init__(self, path: Path) -> None:
        """Connect.

        Raises:
            BenchError: no bench there, or one of another version.
        """
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_WITHIN_S)
        self._number = 0
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            text = f"{path}: no bench answers ({error.strerror}); start one with `python -m hil up`"
            raise BenchError(text) from None
        self._lines = self._socket.makefile("rb")
        if self._read().get("bench") != VERSION:
            self.close()
            raise BenchError(f"{path}: the bench is of another version; stop it and start it anew")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, do: str, **parameters: Any) -> Any:
        """What the bench answers; blocks.

        Raises:
            BenchError: it refused, or is gone.
        """
        self._number += 1
        try:
            self._socket.sendall(encode({"id": self._number, "do": do, **parameters}))
        except OSError as error:
            raise self._gone(str(error)) from None
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise BenchError(str(answer["error"]))
        return answer["ok"]

    def tell(self, do: str, **parameters: Any) -> None:
        """Let the bench know; never blocks.

        Raises:
            BenchError: it is gone, or does not read.
        """
        line = encode({"do": do, **parameters})
        try:
            sent = self._socket.send(line, socket.MSG_DONTWAIT)
        except OSError as error:
            raise self._gone(str(error)) from None
        if sent != len(line):
            raise self._gone("it does not read")

    def await_end(self) -> None:
        """Wait until the pack on the bench has left, and the connection ends with it.

        Raises:
            BenchError: it is still there after ANSWER_WITHIN_S.
        """
        try:
            while self._lines.readline(LINE_MAX):
                pass
        except TimeoutError:
            raise BenchError(f"{self._path}: another station holds the bench; wait until its run has ended") from None
        except OSError as error:
            raise self._gone(str(error)) from None

    def close(self) -> None:
        """End the connection; a pack mounted through it leaves the bench. Idempotent."""
        self._lines.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline(LINE_MAX)
        except OSError as error:
            raise self._gone(str(error)) from None
        if not line.endswith(b"\n"):
            raise self._gone("it closed the connection")
        message: dict[str, Any] = json.loads(line)
        return message

    def _gone(self, why: str) -> BenchError:
        return BenchError(f"{self._path}: the bench no longer answers: {why}; look at its window and start it anew")
