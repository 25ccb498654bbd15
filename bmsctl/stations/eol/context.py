"""What an end-of-line step may use, and what it leaves for later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bmsctl.domain.ports import F64, IncomingModule
from bmsctl.stations import step
from bmsctl.stations.eol.devices import Devices


@dataclass
class RunFacts:
    """What one step of a run leaves for later ones. `precharged_s`: when the precharge contactor was closed."""

    label: str
    vin: str | None = None
    dtc_owners: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[IncomingModule] = ()
    precharged_s: list[float] = field(default_factory=list)
    contactors_opened_s: float | None = None
    cells_at_rest_v: F64 | None = None
    pack_voltage_v: float | None = None
    temperature_c: float | None = None


StepContext: TypeAlias = step.StepContext[Devices, RunFacts]
Step: TypeAlias = step.Step[Devices, RunFacts]
