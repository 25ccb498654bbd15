"""Standard streams that survive their reader: a closed pipe ends the printing, not the command."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


class Stream(TextIOWrapper):
    """Text to a file or pipe; once that takes no more, text to nowhere. `error`: why, unless the reader just left."""

    error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.error = error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def protect() -> None:
    """Let stdout and stderr bear closed and full files, and letters their encoding does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            setattr(sys, name, _protected(stream, line_buffering=name == "stderr" or stream.line_buffering))


def _protected(stream: TextIOWrapper, line_buffering: bool) -> Stream:
    encoding = stream.encoding
    return Stream(stream.detach(), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering)


def output_error() -> OSError | None:
    """Why what was printed did not all arrive; None if it did, or if its reader did not want it."""
    sys.stdout.flush()
    return getattr(sys.stdout, "error", None)
