"""Dead-man tokens that the safety PLC has not seen: it grants its permissive once for each, until it is restarted."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from bmsctl.errors import StoreError

TOKENS = 0xFFFF
REMEMBERED = TOKENS // 2
_BYTES = 2


def default_file() -> Path:
    """In the user's state folder, so that the next process knows what this one has used."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "bmsctl" / "run_tokens"


def new_token(file: Path) -> int:
    """A random token from 1 to 65535 that is none of the newest `REMEMBERED` kept in `file`, where it is added.

    Raises:
        StoreError: the file cannot be read or written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(handle, "r+b") as opened:
            fcntl.flock(handle, fcntl.LOCK_EX)
            kept = opened.read()
            kept = kept[: len(kept) // _BYTES * _BYTES]
            used = {int.from_bytes(kept[at : at + _BYTES]) for at in range(0, len(kept), _BYTES)}
            token = 1 + secrets.randbelow(TOKENS)
            while token in used:
                token = 1 + secrets.randbelow(TOKENS)
            newest = (kept + token.to_bytes(_BYTES))[-REMEMBERED * _BYTES :]
            opened.seek(0)
            opened.write(newest)
            opened.truncate()
            return token
    except OSError as error:
        why = error.strerror or error
        raise StoreError(f"{file}: used run tokens cannot be kept: {why}; make the folder writable") from error
