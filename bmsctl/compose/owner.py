"""A station's owner task from its beginning to its end: it is let go only when the station is at rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bmsctl.domain.packml import State
from bmsctl.errors import StepInvalid
from bmsctl.stations.sequencer import Sequencer

AT_REST = (State.STOPPED, State.IDLE, State.COMPLETE, State.ABORTED)
"""States in which nothing is under way."""


@contextlib.asynccontextmanager
async def owner_at_work(sequencer: Sequencer) -> AsyncIterator[None]:
    """The owner task at work; when this is left, what is still under way is aborted and made safe first."""
    owner = asyncio.get_running_loop().create_task(sequencer.own())
    try:
        yield
    finally:
        if sequencer.state not in AT_REST:
            sequencer.abort("the station program ends")
            with contextlib.suppress(StepInvalid):
                await sequencer.until(*AT_REST)
        owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await owner
