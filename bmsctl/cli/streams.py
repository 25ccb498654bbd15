"""Standard output that survives its reader: a closed pipe ends the printing, not the command."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


class QuietPipe(TextIOWrapper):
    """Text to a pipe; once nobody reads it, text to nowhere."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._nowhere()

    def _nowhere(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def protect() -> None:
    """Let stdout and stderr bear closed pipes, and letters their encoding does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):
            stream.flush()
            quiet = QuietPipe(
                stream.detach(),
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=name == "stderr" or stream.line_buffering,
            )
            setattr(sys, name, quiet)
