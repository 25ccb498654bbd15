"""The PackML table, run. One owner fires it; a refused event changes nothing."""

from __future__ import annotations

import logging

from transitions import Machine

from bmsctl.domain.packml import TRANSITIONS, Event, State

logging.getLogger("transitions.core").setLevel(logging.ERROR)


class _Model:
    """What the state machine library hangs its triggers on."""

    state: State


class Life:
    """Current PackML state of a station."""

    def __init__(self) -> None:
        self._model = _Model()
        self._machine = Machine(
            self._model,
            states=State,
            initial=State.STOPPED,
            transitions=[[row.event.value, row.source, row.target] for row in TRANSITIONS],
            auto_transitions=False,
            queued=False,
        )

    @property
    def state(self) -> State:
        """Where the station is."""
        return self._model.state

    def may(self, event: Event) -> bool:
        """Whether the table has a row for `event` in the current state."""
        return event.value in self._machine.get_triggers(self._model.state)

    def fire(self, event: Event) -> None:
        """Take the transition; raises transitions.MachineError where the table has none."""
        self._machine.events[event.value].trigger(self._model)
