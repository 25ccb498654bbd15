"""Where compiled kernels are cached, and when a cached one is still right.

numba takes a cached kernel for right while the file that defines it is the same. A kernel that calls one of another
file would then keep the old callee; so here all files of `bmsctl.analysis` must be the same.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from numba.core.caching import InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator


def sources_stamp(folder: Path) -> str:
    """Changes with the text of any Python file in the folder and below."""
    every = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        every.update(path.read_bytes())
    return every.hexdigest()


@cache
def _stamp() -> str:
    return sources_stamp(Path(__file__).parent)


class _AllSources:
    """The stamp that a cached kernel is kept under."""

    def get_source_stamp(self) -> str:
        return _stamp()


class NamedFolder(_AllSources, UserProvidedCacheLocator):
    """NUMBA_CACHE_DIR, if it is set."""


class BesideSource(_AllSources, InTreeCacheLocator):
    """`__pycache__`, where that can be written."""


class UserFolder(_AllSources, UserWideCacheLocator):
    """The user's own cache."""


LOCATORS = ",".join(f"{each.__module__}.{each.__qualname__}" for each in (NamedFolder, BesideSource, UserFolder))
"""As numba's configuration names them, in the order they are tried."""
