"""Attempts of a pack at a station: what is known of each, and whether another may start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bmsctl.domain.events import AttemptClosed, AttemptOpened, DispositionSet, Event, PackIdentified
from bmsctl.errors import Refused


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line about an attempt; `verdict`, `disposition` and `ended_at` are None while it is open."""

    record_id: str
    pack_serial: str | None
    pack: str
    station: str
    attempt: int
    started_at: str
    ended_at: str | None = None
    verdict: str | None = None
    disposition: str | None = None

    @classmethod
    def of(cls, opened: AttemptOpened) -> Attempt:
        """The attempt as it begins."""
        return cls(
            record_id=opened.record_id,
            pack_serial=opened.pack_serial,
            pack=opened.pack,
            station=opened.station,
            attempt=opened.attempt,
            started_at=opened.started_at,
        )

    def after(self, event: Event) -> Attempt:
        """The attempt once `event` has happened; itself if the event says nothing about it."""
        if not isinstance(event, _TELLING):
            return self
        if isinstance(event, PackIdentified):
            return replace(self, pack_serial=event.pack_serial)
        if isinstance(event, AttemptClosed):
            verdict = str(event.verdict)
            return replace(self, verdict=verdict, disposition=event.disposition, ended_at=event.ended_at)
        if isinstance(event, DispositionSet):
            return replace(self, disposition=event.disposition)
        return self

    @classmethod
    def folded(cls, events: Iterable[Event]) -> Attempt:
        """The attempt as its events tell.

        Raises:
            ValueError: the first event does not open an attempt.
        """
        stream = iter(events)
        opened = next(stream, None)
        if not isinstance(opened, AttemptOpened):
            raise ValueError("the first event does not open an attempt")
        attempt = cls.of(opened)
        for event in stream:
            attempt = attempt.after(event)
        return attempt


_TELLING = (PackIdentified, AttemptClosed, DispositionSet)


def may_start(earlier: Sequence[Attempt], retest_cause: str | None) -> None:
    """Return if a pack with these earlier attempts at the station may be started again.

    Raises:
        Refused: an attempt is still open, the pack is scrapped, or a retest has no cause.
    """
    if not earlier:
        return
    last = earlier[-1]
    if any(attempt.verdict is None for attempt in earlier):
        raise Refused(f"pack {last.pack_serial} has an attempt still open at {last.station}; end it first")
    if last.disposition == "scrap":
        raise Refused(f"pack {last.pack_serial} is scrapped; set another disposition before it is tested again")
    if not (retest_cause or "").strip():
        raise Refused(
            f"pack {last.pack_serial} already has attempt {last.attempt} at {last.station} ({last.verdict}); "
            "state the cause of the retest (--retest CAUSE)"
        )


def unreleased(attempts: Sequence[Attempt]) -> str | None:
    """Why a station with these attempts at a pack has not released it, for people; None if it has.

    Raises:
        ValueError: there is no attempt.
    """
    if not attempts:
        raise ValueError("no attempt, so nothing is known")
    last = attempts[-1]
    if last.verdict is None:
        return f"attempt {last.attempt} at {last.station} is still open"
    if (last.verdict, last.disposition) != ("PASS", "release"):
        return f"attempt {last.attempt} at {last.station} is {last.verdict}, disposition {last.disposition}"
    return None
