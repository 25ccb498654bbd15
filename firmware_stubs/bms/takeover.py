"""What a tester may take over from the BMS for a session: relays, insulation monitor, dividers, balancing."""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import MessageSet
from bmsctl.protocols.dids import Did
from firmware_stubs.bms.broadcast import BmsState
from firmware_stubs.bms.sensors import Sensors
from firmware_stubs.ports import CanPort


class Takeover:
    """Carries out what a tester wants, and lets frames already due say what was before."""

    def __init__(
        self,
        port: CanPort,
        messages: MessageSet,
        state: BmsState,
        sensors: Sensors,
        now: Callable[[], float],
        relays_changed: Callable[[], None],
    ) -> None:
        """`relays_changed` is called after a relay was taken or given back."""
        self._port = port
        self._messages = messages
        self._state = state
        self._sensors = sensors
        self._now = now
        self._relays_changed = relays_changed
        self.bypassed: set[Did] = set()

    def relay(self, did: Did, taken: bool) -> None:
        """Let a relay obey the tester, or the BMS again."""
        (self.bypassed.add if taken else self.bypassed.discard)(did)
        self._relays_changed()

    def monitor(self, on: bool) -> None:
        """Start or stop the insulation monitor."""
        self._port.settle([codec.INSULATION_ID])
        self._sensors.monitor.switch(self._now(), on)

    def dividers(self, on: bool) -> None:
        """Connect or disconnect the dividers of the outer poles."""
        if on is not self._sensors.front_end.dividers:
            self._port.settle([codec.TAPS_ID])
            self._sensors.front_end.connect_dividers(self._now(), on)

    def balance(self, cells: int) -> None:
        """Close exactly these balancing switches, cell 1 the lowest bit."""
        if cells != self._state.balancing:
            self._port.settle([*self._messages.cells.can_ids, *self._messages.balancing.can_ids])
            self._state.balancing = cells
            self._sensors.front_end.balance(self._now(), cells)

    def end(self, *, awake: bool) -> None:
        """Give everything back; the monitor runs again if the unit is `awake`."""
        self.bypassed.clear()
        self._relays_changed()
        self.dividers(True)
        self.balance(0)
        if awake:
            self.monitor(True)
