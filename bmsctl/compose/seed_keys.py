"""Security-access algorithms of BMSes by name, from the entry point group `bmsctl.seed_keys`.

A maker's algorithm is secret and installed as a package of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from bmsctl.errors import Refused

GROUP = "bmsctl.seed_keys"


def seed_key(name: str) -> Callable[[bytes], bytes]:
    """The algorithm that makes the key of a seed.

    Raises:
        Refused: none of that name is installed.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group=GROUP).names)) or "none"
        raise Refused(f"no seed key named {name!r} is installed; installed: {known}; install the maker's package")
    algorithm: Callable[[bytes], bytes] = next(iter(found)).load()
    return algorithm
