"""Giving back what a step has taken over, on every way out of it but one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bmsctl.errors import DeviceError, LeaseRevoked, StepInvalid, StoreError


@contextlib.asynccontextmanager
async def undone(undo: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `undo` when the block ends, also by an error, which is told then.

    Not when the run is being ended, by cancellation, a revoked lease or a lost store: the owner's make_safe keeps
    the order then.

    Raises:
        StepInvalid: after an error of the block `undo` failed, too. What it has left comes first in the text, because
            it may be a danger; and the step is never begun anew on what is not given back.
    """
    try:
        yield
    except (LeaseRevoked, StoreError):
        raise
    except (DeviceError, StepInvalid) as error:
        try:
            await undo()
        except (DeviceError, StepInvalid) as left:
            raise StepInvalid(f"{left}; before that: {error}") from error
        raise
    except Exception as error:
        try:
            await undo()
        except (DeviceError, StepInvalid) as left:
            error.add_note(str(left))
        raise
    await undo()
