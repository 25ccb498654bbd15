"""Values that hold from one event to the next, remembered for a while."""

from __future__ import annotations

from bisect import bisect_right
from typing import Generic, TypeVar

T = TypeVar("T")

REMEMBERED_S = 120.0
TRIMMED_AT = 1024


class History(Generic[T]):
    """The values of at least the last REMEMBERED_S before the newest, in order."""

    def __init__(self, start_s: float, first: T) -> None:
        self.last = first
        self._values = [first]
        self._starts_s = [start_s]

    def append(self, start_s: float, value: T) -> None:
        """A new value, from not before the last one's start."""
        if len(self._values) >= TRIMMED_AT:
            forgotten = bisect_right(self._starts_s, start_s - REMEMBERED_S) - 1
            del self._values[: max(forgotten, 0)], self._starts_s[: max(forgotten, 0)]
        self._values.append(value)
        self._starts_s.append(start_s)
        self.last = value

    def at(self, t_s: float) -> T:
        """The value that holds at a moment; the later of two that begin then.

        Raises:
            ValueError: the moment is no longer remembered.
        """
        return self._values[self._index(t_s)]

    def _index(self, t_s: float) -> int:
        index = bisect_right(self._starts_s, t_s) - 1
        if index < 0:
            raise ValueError(f"{t_s} s: only {self._starts_s[0]} s and later is remembered")
        return index
