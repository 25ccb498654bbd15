"""Giving back what a step has taken over, on every way out of it but one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bmsctl.errors import DeviceError, LeaseRevoked, StoreError


@contextlib.asynccontextmanager
async def undone(undo: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `undo` when the block ends, also by an error; that error is then the one told, not what `undo` meets.

    Not when the run is being ended, by cancellation, a revoked lease or a lost store: the owner's make_safe keeps
    the order then.
    """
    try:
        yield
    except (LeaseRevoked, StoreError):
        raise
    except Exception:
        with contextlib.suppress(DeviceError):
            await undo()
        raise
    await undo()
