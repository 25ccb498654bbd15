"""What a safety action is: bring the station into its safe state and prove it, whatever state it is in.

Belongs to the owner task, runs on every way out of a run and at start-up. Every device has a deadline and
every failure is a result, so one dead device never keeps the others from being made safe. De-energising
waits for nothing: no journal, no lease of the run, no run task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bmsctl.errors import DeviceError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SafeReport:
    """What a safety action saw, from loop time `started_s` on.

    `voltage_free`: the PLC's own two-channel proof. `values` are those of the recipe's step that reports it, if it has
    one, in V and s; a device that did not answer is missing there and named in `failures`.
    """

    voltage_free: bool
    started_s: float
    values: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


class SafetyAction(Protocol):
    """Makes one station safe."""

    def ask_off(self) -> None:
        """The synchronous part: no permissive, every source asked to stop. Never waits, never raises."""
        ...

    async def run(self) -> SafeReport:
        """What takes time, and the proof. `ask_off` has been called; all leases of the run are revoked."""
        ...


async def done_within(deadline_s: float, device: str, work: Coroutine[Any, Any, T], failures: list[str]) -> T | None:
    """What `work` returns; None if it fails or takes longer, and `failures` says so of the device."""
    try:
        async with asyncio.timeout(deadline_s):
            return await work
    except TimeoutError as error:
        failures.append(str(error) or f"{device}: not done within {deadline_s:g} s")
    except DeviceError as error:
        failures.append(str(error))
    except Exception as error:
        failures.append(f"{device}: internal error: {type(error).__name__}: {error}; report this record")
    return None
