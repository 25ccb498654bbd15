"""What a step is, and what it may use.

A step is a name and one coroutine that measures; its limits and parameters come from the recipe, its
devices by their ports. It judges nothing itself: `StepContext.measure` does, and logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bmsctl.domain.events import Measured, Noted
from bmsctl.domain.journal import RunLog
from bmsctl.domain.lease import Lease
from bmsctl.domain.limits import Measurement, Reading, judge
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.ports import F64
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import StationWatch

D = TypeVar("D")
"""The station's devices."""
F = TypeVar("F")
"""What one step of a run leaves for later ones."""


@dataclass
class StepContext(Generic[D, F]):
    """One step's view of the station.

    `token` gives a fresh dead-man token for the permissive. `measurements`: those made so far, also by a process that
    ended in the middle of the step.
    """

    devices: D
    leases: Mapping[str, Lease]
    recipe: StepRecipe
    pack: PackSpec
    facts: F
    log: RunLog
    watch: StationWatch | None
    now: Callable[[], float]
    token: Callable[[], int]
    measurements: dict[str, Measurement] = field(default_factory=dict)

    def measure(self, name: str, reading: Reading) -> Verdict:
        """Judge a reading against the recipe's limit of that name, log it, and return its verdict.

        A measurement goes to the disk by itself: a crash in the rest of a long step does not cost it.
        """
        limit = self.recipe.limits[name]
        measurement = self.measurements[name] = judge(name, reading, limit)
        self.log.append(Measured.of(self.recipe.run, measurement, limit))
        self.log.commit_soon()
        if self.watch is not None:
            self.watch.measured(self.recipe.run, measurement)
        return measurement.verdict

    def note(self, what: str, text: str) -> None:
        """Log a remark that changes nothing."""
        self.log.append(Noted(what, text))

    def missing(self) -> list[str]:
        """Measurements the recipe asks for and the step has not made."""
        return [name for name in self.recipe.limits if name not in self.measurements]

    def trace(self, name: str, unit: str, sample_rate_hz: float | None, data: F64) -> None:
        """Log a trace, (n,) in `unit`."""
        self.log.add_trace(self.recipe.run, name, unit, sample_rate_hz, data)

    async def dwell(self, duration_s: float) -> None:
        """Wait on purpose: no device need speak meanwhile."""
        for lease in self.leases.values():
            lease.quiet_for(duration_s)
        await asyncio.sleep(duration_s)


@dataclass(frozen=True)
class Step(Generic[D, F]):
    """A step of a station. `devices`: whose progress the owner watches; `high_voltage`: whether it asks for
    the permissive, from when on the BMS must be heard; `voltage_free`: whether the permissive is given back before
    it, and the BMS may fall silent; `repeatable`: whether it may begin anew when an instrument has restarted."""

    name: str
    run: Callable[[StepContext[D, F]], Awaitable[None]]
    devices: tuple[str, ...]
    high_voltage: bool = False
    voltage_free: bool = False
    repeatable: bool = True
