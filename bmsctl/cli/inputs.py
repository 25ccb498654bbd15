"""Files a person hands to a command."""

from __future__ import annotations

from pathlib import Path

from bmsctl.cli.exits import USAGE, leave

BYTES_MAX = 256 * 1024


def read_toml(path: Path, what: str) -> str:
    """The text of a small file that should be TOML; ends with a usage error if it cannot be read, or is no `what`."""
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            leave(USAGE, f"{path}: larger than {BYTES_MAX // 1024} KiB; that is no {what}")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        leave(USAGE, f"{path}: cannot be read: {error}; give a TOML file in UTF-8")
