"""CAN logs of several formats, each read into the same columns.

A reader never fails for a damaged line: a line is a frame, header or comment, an error or remote frame, or it is
counted as malformed. The format is told by the content, and by the name of the file only where the content does not
tell.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from bmsctl.analysis.canlog.frames import Frames
from bmsctl.analysis.canlog.readers.collect import LogError

__all__ = ["LogError", "read_log", "warm_up"]

TEXT_FORMATS = ("trc", "asc", "crtd", "candump")
"""Readers of text, in the order they are asked about a line."""
MAGIC = {b"LOGG": "blf", b"MDF ": "mf4", b"UnFi": "mf4"}
SUFFIXES = {
    ".log": "candump",
    ".candump": "candump",
    ".txt": "candump",
    ".asc": "asc",
    ".blf": "blf",
    ".trc": "trc",
    ".crtd": "crtd",
    ".mf4": "mf4",
    ".mdf": "mf4",
}
LINES_LOOKED_AT = 200
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Reader = Callable[[bytes, str], Frames]


def read_log(path: Path) -> Frames:
    """The frames of a log: candump, ASC, BLF, TRC, CRTD, or MF4; any of them packed by gzip.

    Raises:
        LogError: it cannot be opened or unpacked, is empty, or is of no format that is known.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path}: cannot be read: {error}; check the name, or copy the log again") from error
    if not data:
        raise LogError(f"{path}: is empty; check that the logger was running")
    data = data.removeprefix(_BYTE_ORDER_MARK)
    known = MAGIC.get(data[:4]) or _text_format(data) or SUFFIXES.get(_suffix(path))
    if known is None:
        raise LogError(f"{path}: is no log of candump, ASC, BLF, TRC, CRTD or MF4; convert it to one of these")
    reader: Reader = _module(known).read
    return reader(data, str(path))


def _text_format(data: bytes) -> str | None:
    """The format of the first line that belongs to one."""
    texts = [(name, _module(name).recognise) for name in TEXT_FORMATS]
    for raw in itertools.islice(BytesIO(data), LINES_LOOKED_AT):
        line = raw.decode(errors="replace").strip()
        for name, recognise in texts:
            if recognise(line):
                return name
    return None


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return suffixes[-1] if suffixes else ""


def _module(name: str) -> Any:
    return import_module(f"{__name__}.{name}")


def warm_up() -> None:
    """Compile the kernels into the cache."""
    _module("candump").warm_up()
