"""Which software made a record."""

from __future__ import annotations

import re
from pathlib import Path

import bmsctl

_HASH = re.compile(r"[0-9a-f]{40}")


def git_commit() -> str | None:
    """The commit checked out beside the package, None outside a checkout."""
    git = Path(bmsctl.__file__).parent.parent / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head if _HASH.fullmatch(head) else None
        ref = head.removeprefix("ref: ")
        if (git / ref).exists():
            return (git / ref).read_text().strip()
        packed = (git / "packed-refs").read_text()
    except OSError:
        return None
    found = re.search(rf"^([0-9a-f]{{40}}) {re.escape(ref)}$", packed, re.MULTILINE)
    return found[1] if found else None


def software() -> dict[str, str | None]:
    """Version and commit, as records carry them."""
    return {"version": bmsctl.__version__, "git": git_commit()}
