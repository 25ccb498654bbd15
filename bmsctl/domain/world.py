"""What a world gives: a site (links, clock, key) inside a running loop, and the running of it.

Worlds are found by the entry point group `bmsctl.worlds`. No other code knows which world it is in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from bmsctl.domain.limits import Measurement
from bmsctl.domain.links import CanLink, Clock, SerialLink
from bmsctl.domain.ports import Mes, Operator
from bmsctl.domain.verdict import Verdict

T = TypeVar("T")


class StationWatch:
    """Who looks on: a screen, a progress bar, an invariant monitor. It never influences the run.

    This one looks away; others override what is of interest to them.
    """

    def step_started(self, step: str, index: int, total: int) -> None:
        """A step begins."""

    def measured(self, step: str, measurement: Measurement) -> None:
        """A value has been judged (not yet durable)."""

    def step_finished(self, step: str, verdict: Verdict, reason: str) -> None:
        """A step has its verdict (not yet durable)."""

    def notice(self, text: str) -> None:
        """Something a person should know that is no part of the record."""

    def verdict_shown(self, record_id: str, verdict: Verdict, head_sha256: str) -> None:
        """The run's verdict becomes visible to people: only after its record is durable."""


class AsBuilt(NamedTuple):
    """A pack as the stacking station has left it.

    `parts`: serials of what is in it, by slot; empty for a part without. `replaced`: slots whose part is another one
    than at first. `flashed`: whether its BMS has had the recipe's software written.
    """

    parts: Mapping[str, str] = MappingProxyType({})
    replaced: frozenset[str] = frozenset()
    flashed: bool = False


NOT_BUILT = AsBuilt()
"""A pack that stacking has not begun; to end of line, one that was built elsewhere."""


class DefectCase(NamedTuple):
    """One case of a defect table: scenario text, and the steps and verdicts of which the first that is not PASS must
    be one; none: the pack passes."""

    name: str
    scenario: str
    expected: tuple[tuple[str, str], ...]
    station: str = "eol"
    """Where the pack is run."""


class FaultCase(NamedTuple):
    """One case of a fault table: a fault of the station, `catalogue_id` in the catalogue, that begins in a step.

    `verdict` is the record's. `step` is the first that is not PASS, None if that depends on the pack. `says` is in
    the reason of the record or of a step.
    """

    kind: str
    catalogue_id: str
    target: str
    begins_in: str
    scenario: str
    verdict: str
    step: str | None
    says: str
    station: str = "eol"
    """Where the pack is run."""

    @property
    def name(self) -> str:
        """For people: what, whom, where."""
        return f"{self.kind} {self.target} {self.begins_in}"


class Site(Protocol):
    """A station's surroundings, valid inside one running loop."""

    name: str
    """The station's name, as records of its self-tests carry it."""
    clock: Clock
    operator: Operator
    mes: Mes
    watch: StationWatch | None
    serial_numbers: Mapping[str, str]
    """Serial numbers of the instruments that belong to the station; empty where any will do."""

    def can(self, device: str) -> CanLink:
        """The CAN bus the device is on."""
        ...

    def serial(self, device: str) -> SerialLink:
        """The serial line the device is on."""
        ...

    def seed_key(self, seed: bytes) -> bytes:
        """The BMS's security-access key for a seed."""
        ...

    def record_id(self, *parts: str) -> str:
        """A new record's id (UUID); `parts` name it within the site."""
        ...

    def run_token(self, record_id: str) -> int:
        """The 16-bit dead-man token of one run."""
        ...

    def on_interrupt(self, callback: Callable[[str], None]) -> None:
        """Call `callback(signal_name)` on the loop at each SIGINT, SIGTERM and SIGHUP; soon, if one came before,
        unless that has ended what runs on the site."""
        ...


class World(Protocol):
    """One of hardware, hil, sim."""

    name: str
    simulated: bool
    interrupted: bool
    """Whether a SIGINT or SIGTERM came during `run`."""

    def findings(self) -> list[str]:
        """What an observer that shares no code with the station found wrong; nothing where none looks on."""
        ...

    def run(self, main: Callable[[Site], Awaitable[T]]) -> T:
        """Run `main` with this world's site on this world's loop, to its end."""
        ...
