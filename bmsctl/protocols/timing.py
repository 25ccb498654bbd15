"""Deadlines of protocols: the only clock is the one given, an event loop or a test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float:
        """Now, in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        """Call back at `when`."""
        ...


class Deadline:
    """A moment that is often moved and seldom reached: at most one timer, never cancelled."""

    __slots__ = ("_armed_s", "_expired", "_timer", "_when_s")

    def __init__(self, timer: Timer, expired: Callable[[], None]) -> None:
        self._timer = timer
        self._expired = expired
        self._when_s: float | None = None
        self._armed_s: float | None = None

    def after(self, duration_s: float) -> None:
        """Expire `duration_s` from now, and no longer when it was said before."""
        self._when_s = self._timer.time() + duration_s
        if self._armed_s is None or self._armed_s > self._when_s:
            self._arm(self._when_s)

    def clear(self) -> None:
        """Do not expire."""
        self._when_s = None

    def _arm(self, when_s: float) -> None:
        self._armed_s = when_s
        self._timer.call_at(when_s, lambda: self._fire(when_s))

    def _fire(self, armed_s: float) -> None:
        if armed_s != self._armed_s:
            return
        self._armed_s = None
        if self._when_s is None:
            return
        if self._timer.time() < self._when_s:
            self._arm(self._when_s)
            return
        self._when_s = None
        self._expired()
