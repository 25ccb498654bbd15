"""How far an attempt has come: what its log tells a run that resumes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bmsctl.domain.events import Event, Measured, StepFinished, StepKept, StepRepeated, StepSkipped, StepStarted
from bmsctl.domain.limits import Measurement
from bmsctl.domain.verdict import Verdict


@dataclass(frozen=True)
class Progress:
    """Verdicts and reasons of the steps that are over; the step that has begun, when, and what it has measured."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    running: str | None = None
    running_since_s: float = 0.0
    measurements: Mapping[str, Measurement] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Progress:
        """The progress that an attempt's events tell."""
        verdicts: dict[str, Verdict] = {}
        reasons: dict[str, str] = {}
        running: str | None = None
        since_s = 0.0
        measurements: dict[str, Measurement] = {}
        for event in events:
            if isinstance(event, StepKept):
                verdicts[event.step], reasons[event.step] = Verdict.PASS, ""
            elif isinstance(event, StepSkipped):
                reasons[event.step] = event.reason
            elif isinstance(event, StepStarted):
                running, since_s, measurements = event.step, event.t_s, {}
            elif isinstance(event, StepRepeated):
                measurements = {}
            elif isinstance(event, Measured):
                measurements[event.name] = event.measurement()
            elif isinstance(event, StepFinished):
                verdicts[event.step], reasons[event.step] = event.verdict, event.reason
                running = None
        return cls(verdicts, reasons, running, since_s, measurements if running is not None else {})
