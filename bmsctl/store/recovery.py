"""After a crash an attempt is closed, and nobody is told that an action happened that nobody saw; or it is resumed."""

from __future__ import annotations

from typing import Any

from bmsctl.domain.events import ActionDone, ActionIntended, ActionUnknown, AttemptClosed, AttemptResumed
from bmsctl.domain.verdict import Verdict
from bmsctl.store.journal import Journal
from bmsctl.store.run_journal import RunJournal

REASON = "crash: the station program ended in the middle of the attempt; the pack is held, start it again with a cause"
ACTION_REASON = "crash: commanded, but not confirmed; look at the part before going on"


async def close_crashed(journal: Journal, ended_at: str, station: str) -> list[dict[str, Any]]:
    """Close every attempt that an earlier process left open at a station, as ABORTED; their records.

    Unfinished steps stay as they are. `ended_at`: wall time now, as records carry it.

    Raises:
        StoreError: an attempt is damaged, or cannot be written.
    """
    records = []
    for attempt in journal.open_attempts(station):
        log = journal.resume(attempt.record_id)
        for action_id in _unanswered(log):
            log.append(ActionUnknown(action_id, ACTION_REASON))
        records.append(await log.close(AttemptClosed(Verdict.ABORTED, REASON, "hold", ended_at, crash=True)))
    return records


async def resumed(journal: Journal, record_id: str, at: str) -> RunJournal:
    """Resume an attempt that an earlier process left open; what was pending stays so, for the station to find out.

    `at`: wall time now, as records carry it.

    Raises:
        StoreError: the attempt is damaged, or cannot be written.
    """
    log = journal.resume(record_id)
    log.append(AttemptResumed(at))
    await log.commit()
    return log


def _unanswered(log: RunJournal) -> list[str]:
    """Actions that were intended and neither confirmed nor given up, in order."""
    pending: dict[str, None] = {}
    for event in log.events:
        if isinstance(event, ActionIntended):
            pending[event.action_id] = None
        elif isinstance(event, ActionDone | ActionUnknown):
            pending.pop(event.action_id, None)
    return list(pending)
