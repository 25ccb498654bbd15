"""What can happen in an attempt, one frozen dataclass each. The record is the fold of these.

The fields are the event's payload in the journal; a field added later needs a default, none is ever
renamed or removed, so that a journal stays readable for as long as it is kept.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from json.encoder import encode_basestring
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from bmsctl.domain.canonical import canonical_json
from bmsctl.domain.limits import Limit, Measurement
from bmsctl.domain.verdict import Verdict


@dataclass(frozen=True)
class Event:
    """Something that happened; `kind` names the subclass in the journal."""

    kind: ClassVar[str]

    def payload_json(self) -> str:
        """The fields as canonical JSON.

        Raises:
            ValueError, TypeError: a field holds what JSON cannot say.
        """
        return canonical_json(vars(self))


@dataclass(frozen=True)
class AttemptOpened(Event):
    """The first event: what is about to be done. `recipe` is the resolved recipe, `pack_serial` None until scanned."""

    kind: ClassVar[str] = "attempt_opened"
    record_id: str
    pack_serial: str | None
    pack: str
    vehicle: str | None
    station: str
    world: str
    simulated: bool
    mode: str
    recipe: Mapping[str, Any]
    software: Mapping[str, str | None]
    operator: str | None
    attempt: int
    retest_cause: str | None
    started_at: str


@dataclass(frozen=True)
class PackIdentified(Event):
    """The pack's serial became known after the attempt was opened."""

    kind: ClassVar[str] = "pack_identified"
    pack_serial: str


@dataclass(frozen=True)
class PartInstalled(Event):
    """A part went into a slot of the pack."""

    kind: ClassVar[str] = "part_installed"
    slot: str
    part_number: str
    serial: str | None
    lot: str | None


@dataclass(frozen=True)
class PartRemoved(Event):
    """The part in a slot was taken out again.

    `cause`: `replaced`, or `came_off` with one that is, both before the attempt's first step; empty: in a step.
    """

    kind: ClassVar[str] = "part_removed"
    slot: str
    serial: str | None
    reason: str
    cause: str = ""


@dataclass(frozen=True)
class IncomingMeasured(Event):
    """Incoming data of the part in a slot: one value, or one per cell from the negative pole; None: no number."""

    kind: ClassVar[str] = "incoming_measured"
    slot: str
    name: str
    unit: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class ModuleAccepted(Event):
    """A module was measured at the station and found right for a slot; it is not in it yet.

    `age` in s since incoming inspection, when `cell_voltage` was measured, V by cell group from the negative pole;
    `voltage` V, `resistance` Ohm and `temperature` degC are of the whole module, now.
    """

    kind: ClassVar[str] = "module_accepted"
    slot: str
    part_number: str
    serial: str
    lot: str
    age: float
    cell_voltage: tuple[float, ...]
    voltage: float
    resistance: float
    temperature: float


@dataclass(frozen=True)
class Tightened(Event):
    """A bolt was tightened, well or not: what its controller has on record. `torque` in Nm, `angle` in deg.

    `tightening_id` is the controller's; `at` its time of day, as it writes it.
    """

    kind: ClassVar[str] = "tightened"
    bolt: str
    tightening_id: int
    parameter_set: int
    ok: bool
    torque: float | None
    angle: float | None
    at: str


@dataclass(frozen=True)
class AttemptResumed(Event):
    """The station's program ended in the middle of the attempt, and is resumed at `at`."""

    kind: ClassVar[str] = "attempt_resumed"
    at: str


@dataclass(frozen=True)
class StepKept(Event):
    """A step is not run: it passed in the earlier attempt `record_id`, and nothing it rests on was replaced since."""

    kind: ClassVar[str] = "step_kept"
    step: str
    record_id: str


@dataclass(frozen=True)
class StepStarted(Event):
    """A step began `t_s` after the attempt did."""

    kind: ClassVar[str] = "step_started"
    step: str
    t_s: float


@dataclass(frozen=True)
class StepSkipped(Event):
    """A step will not be run in this attempt."""

    kind: ClassVar[str] = "step_skipped"
    step: str
    reason: str


@dataclass(frozen=True)
class StepRepeated(Event):
    """The running step begins anew; what it has measured so far is worth nothing."""

    kind: ClassVar[str] = "step_repeated"
    step: str
    reason: str


@dataclass(frozen=True)
class ActionIntended(Event):
    """An action that must not be repeated (a tightened bolt) is about to be commanded.

    `slot`: of the part that it is done to, empty if to none. `after_id`: the device's newest identifier before it, None
    if it counts nothing.
    """

    kind: ClassVar[str] = "action_intended"
    action_id: str
    device: str
    what: str
    slot: str = ""
    after_id: int | None = None


@dataclass(frozen=True)
class ActionDone(Event):
    """The device confirmed the action."""

    kind: ClassVar[str] = "action_done"
    action_id: str
    result: str


@dataclass(frozen=True)
class ActionUnknown(Event):
    """Nobody can tell whether the intended action took place; a person must look."""

    kind: ClassVar[str] = "action_unknown"
    action_id: str
    reason: str


@dataclass(frozen=True)
class Measured(Event):
    """A value with everything its verdict rests on: limits, guard band and whether it is a bound only."""

    kind: ClassVar[str] = "measured"
    step: str
    name: str
    value: float | None
    unit: str | None
    low: float | None
    high: float | None
    u95: float | None
    guard: bool
    bound: str | None
    verdict: Verdict
    reason: str

    @classmethod
    def of(cls, step: str, measurement: Measurement, limit: Limit) -> Measured:
        """The event of a judged measurement."""
        name, value, unit, low, high, u95, verdict, reason, bound = measurement
        return cls(step, name, value, unit, low, high, u95, limit.guard, bound, verdict, reason)

    def measurement(self) -> Measurement:
        """The measurement that the event tells of."""
        limits = self.low, self.high, self.u95
        return Measurement(self.name, self.value, self.unit, *limits, self.verdict, self.reason, self.bound)

    def payload_json(self) -> str:
        """Written out, because a run has more of these than of all other events."""
        text = (
            f'{{"bound":{_text(self.bound)},"guard":{"true" if self.guard else "false"},"high":{_number(self.high)},'
            f'"low":{_number(self.low)},"name":{_text(self.name)},"reason":{_text(self.reason)},'
            f'"step":{_text(self.step)},"u95":{_number(self.u95)},"unit":{_text(self.unit)},'
            f'"value":{_number(self.value)},"verdict":"{self.verdict._value_}"}}'
        )
        return text if text.isascii() else canonical_json(vars(self))


@dataclass(frozen=True)
class TraceRecorded(Event):
    """A trace was stored beside the journal: (n,) values of numpy type `dtype`, hashed as stored."""

    kind: ClassVar[str] = "trace_recorded"
    step: str
    name: str
    unit: str
    sample_rate_hz: float | None
    n: int
    dtype: str
    sha256: str


@dataclass(frozen=True)
class StepFinished(Event):
    """A step ended with a verdict. Not PASS: `reason` says why."""

    kind: ClassVar[str] = "step_finished"
    step: str
    verdict: Verdict
    reason: str
    started_s: float
    duration_s: float


@dataclass(frozen=True)
class Noted(Event):
    """A remark that changes nothing: an internal error's traceback, an operator's note."""

    kind: ClassVar[str] = "noted"
    what: str
    text: str


@dataclass(frozen=True)
class AttemptClosed(Event):
    """The attempt is over. `crash`: closed at the next start, for a station that ended in its middle."""

    kind: ClassVar[str] = "attempt_closed"
    verdict: Verdict
    reason: str
    disposition: str
    ended_at: str
    crash: bool


@dataclass(frozen=True)
class DispositionSet(Event):
    """A person decided what happens next to the pack."""

    kind: ClassVar[str] = "disposition_set"
    disposition: str
    by: str
    reason: str


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    return float.__repr__(value) if isinstance(value, float) else canonical_json(value)


EVENTS: Mapping[str, type[Event]] = {cls.kind: cls for cls in Event.__subclasses__()}


def payload(event: Event) -> dict[str, Any]:
    """The event's fields as a JSON object."""
    return dict(vars(event))


def from_payload(kind: str, values: Any) -> Event:
    """The event of a journal's payload, every field checked.

    Raises:
        ValueError: unknown kind or field, a missing field, or a value of the wrong type.
    """
    cls = EVENTS.get(kind)
    if cls is None:
        raise ValueError(f"unknown kind of event {kind!r}")
    if not isinstance(values, dict):
        raise ValueError(f"{kind}: the payload is not an object")
    hints = _hints(kind)
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise ValueError(f"{kind}: unknown field {unknown[0]!r}")
    required = [field.name for field in fields(cls) if field.default is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise ValueError(f"{kind}: field {missing[0]!r} is missing")
    return cls(**{name: _typed(hints[name], value, f"{kind}.{name}") for name, value in values.items()})


@cache
def _hints(kind: str) -> Mapping[str, Any]:
    """Field names of a kind of event, with their types."""
    cls = EVENTS[kind]
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` if it is a JSON value of the type `hint`; tuples and verdicts are rebuilt."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner, none = get_args(hint)
        return None if value is None and none is types.NoneType else _typed(inner, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(get_args(hint)[0], item, where) for item in value)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        inner = get_args(hint)[1]
        return value if inner is Any else {key: _typed(inner, item, where) for key, item in value.items()}
    if hint is Verdict and value in list(Verdict):
        return Verdict(value)
    if hint is float and type(value) in (int, float):
        return value
    if hint in (str, int, bool) and type(value) is hint:
        return value
    raise ValueError(f"{where}: {value!r} is not of the right type")
