"""The life of a station: the PackML state model as one table.

Source: ISA-TR88.00.02 (2015), base state model without the Suspend family: nothing upstream or downstream
can make this station wait in the middle of a pack.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Mode(enum.StrEnum):
    """Unit modes; only Production makes records that release a pack to a customer."""

    PRODUCTION = "Production"
    MAINTENANCE = "Maintenance"
    ENGINEERING = "Engineering"


class State(enum.StrEnum):
    """PackML states."""

    STOPPED = "Stopped"
    RESETTING = "Resetting"
    IDLE = "Idle"
    STARTING = "Starting"
    EXECUTE = "Execute"
    HOLDING = "Holding"
    HELD = "Held"
    UNHOLDING = "Unholding"
    COMPLETING = "Completing"
    COMPLETE = "Complete"
    STOPPING = "Stopping"
    ABORTING = "Aborting"
    ABORTED = "Aborted"
    CLEARING = "Clearing"


class Event(enum.StrEnum):
    """Commands, and `state_complete` by which an acting state ends itself."""

    RESET = "reset"
    START = "start"
    HOLD = "hold"
    UNHOLD = "unhold"
    STOP = "stop"
    ABORT = "abort"
    CLEAR = "clear"
    STATE_COMPLETE = "state_complete"
    RUN_DONE = "run_done"


class Transition(NamedTuple):
    """One row of the table."""

    source: State
    event: Event
    target: State


_STOPPABLE = (
    State.RESETTING,
    State.IDLE,
    State.STARTING,
    State.EXECUTE,
    State.HOLDING,
    State.HELD,
    State.UNHOLDING,
    State.COMPLETING,
    State.COMPLETE,
)
_ABORTABLE = (State.STOPPED, *_STOPPABLE, State.STOPPING, State.CLEARING)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(State.STOPPED, Event.RESET, State.RESETTING),
    Transition(State.COMPLETE, Event.RESET, State.RESETTING),
    Transition(State.RESETTING, Event.STATE_COMPLETE, State.IDLE),
    Transition(State.IDLE, Event.START, State.STARTING),
    Transition(State.STARTING, Event.STATE_COMPLETE, State.EXECUTE),
    Transition(State.EXECUTE, Event.HOLD, State.HOLDING),
    Transition(State.HOLDING, Event.STATE_COMPLETE, State.HELD),
    Transition(State.HELD, Event.UNHOLD, State.UNHOLDING),
    Transition(State.UNHOLDING, Event.STATE_COMPLETE, State.EXECUTE),
    *(
        Transition(state, Event.RUN_DONE, State.COMPLETING)
        for state in (State.STARTING, State.EXECUTE, State.HOLDING, State.HELD, State.UNHOLDING)
    ),
    Transition(State.COMPLETING, Event.STATE_COMPLETE, State.COMPLETE),
    *(Transition(state, Event.STOP, State.STOPPING) for state in _STOPPABLE),
    Transition(State.STOPPING, Event.STATE_COMPLETE, State.STOPPED),
    *(Transition(state, Event.ABORT, State.ABORTING) for state in _ABORTABLE),
    Transition(State.ABORTING, Event.STATE_COMPLETE, State.ABORTED),
    Transition(State.ABORTED, Event.CLEAR, State.CLEARING),
    Transition(State.CLEARING, Event.STATE_COMPLETE, State.STOPPED),
)


def mermaid() -> str:
    """The table as a Mermaid state diagram; rows with the same event and target share a line's place."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.STOPPED}"]
    lines += [f"    {row.source} --> {row.target}: {row.event}" for row in TRANSITIONS]
    return "\n".join(lines)
