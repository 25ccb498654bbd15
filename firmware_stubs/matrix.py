"""Firmware of the HV matrix: which routes may be closed together, when they may move, and what really is closed.

Three guards, none of which a telegram can lift. A set of routes must be in the table of legal sets. Routes that
carry energy close only while the PLC feeds their coils, and drop when it does not; the digitizer's stays, so that
a station without energy can still be measured. And no relay moves under voltage but the load's, which is a
semiconductor switch: the load must be put on a live pack to prove its contactors.

Relays that open do so before others close, so no two instruments ever meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Protocol

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Route
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK
from firmware_stubs.noise import draw
from firmware_stubs.plant import Element, Node
from firmware_stubs.ports import CanPort, Cyclic

RELAY_S, RELAY_SPREAD_S = 0.015, 0.001
HOT_V = 60.0

_D, _L, _C = Route.DIGITIZER, Route.LOAD, Route.LINK_CAPACITOR

LEGAL_SETS: frozenset[Set[Route]] = frozenset(
    frozenset(routes)
    for routes in (
        # Passive parts and the 10 MOhm inputs of the digitizer stand whatever the pack gives.
        (),
        (_D,),
        (_L,),
        (_C,),
        (_D, _L),
        (_D, _C),
        (_L, _C),
        (_D, _L, _C),
        # A source: watched by the digitizer, and never onto the load, whose rating is for seconds.
        (_D, Route.CYCLER),
        (_D, _C, Route.CYCLER),
        # Test voltages of 500 V and more meet nothing but the pack.
        (Route.INSULATION_TESTER,),
        (Route.WITHSTAND_TESTER,),
    )
)

_ELEMENTS = {_D: Element.DIGITIZER, _L: Element.LOAD, _C: Element.LINK_CAPACITOR}
_UNFED = frozenset({_D})
_HOT_SWITCHED = frozenset({_L})


class RoutedPlant(Protocol):
    """What the matrix switches and measures."""

    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...
    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...


class MatrixStub:
    """One matrix on a bus; build it inside a running loop. Every route begins open, the feed off.

    `stuck`: routes whose relay no longer moves; their contacts stay as they are.
    """

    def __init__(self, port: CanPort, plant: RoutedPlant, seed: int) -> None:
        self._port, self._plant = port, plant
        self._loop = asyncio.get_running_loop()
        self._relay_s = RELAY_S + RELAY_SPREAD_S * draw(seed, "matrix.relay").uniform(-1.0, 1.0)
        self._fed = False
        self._closed: Set[Route] = frozenset()
        self._coils: Set[Route] = frozenset()
        self._refusal = Refusal.NONE
        self._request_alive: int | None = None
        self._events = 0
        self._motion: asyncio.TimerHandle | None = None
        self.stuck: Set[Route] = frozenset()
        port.listen([matrix.REQUEST_ID], self._take_request)
        port.start([Cyclic(matrix.FEEDBACK_ID, matrix.FEEDBACK_PERIOD_S, self._feedback)])

    def feed(self, on: bool) -> None:
        """The PLC switches the coil feed of the energy routes; without it they drop, hot or not."""
        self._port.settle()
        self._fed = on
        if not on and self._coils - _UNFED:
            self._refusal = Refusal.NO_FEED
            self._move_to(self._coils & _UNFED)
            self._publish()

    def _take_request(self, frame: CanFrame) -> None:
        request = matrix.decode_request(frame.data)
        if request is None:
            return
        self._port.settle()
        self._refusal = self._refusal_of(request)
        self._request_alive = request.alive
        if self._refusal is Refusal.NONE and request.routes != self._coils:
            self._move_to(request.routes)
        self._publish()

    def _refusal_of(self, request: matrix.Request) -> Refusal:
        if request.alive == self._request_alive and request.routes - self._coils:
            return Refusal.REPEATED
        if request.routes not in LEGAL_SETS:
            return Refusal.ILLEGAL_SET
        if request.routes - _UNFED and not self._fed:
            return Refusal.NO_FEED
        if self._hot((request.routes ^ self._coils) - _HOT_SWITCHED):
            return Refusal.HOT
        return Refusal.NONE

    def _hot(self, moving: Set[Route]) -> bool:
        """Whether a relay would move under voltage; the link capacitor brings its own."""
        if not moving:
            return False
        now_s = self._loop.time()
        poles_v = self._plant.voltage(now_s, Node.P, Node.N)
        link_v = self._plant.voltage(now_s, Node.LINK, Node.N) if Route.LINK_CAPACITOR in moving else 0.0
        return max(abs(poles_v), abs(link_v)) > HOT_V

    def _move_to(self, routes: Set[Route]) -> None:
        """Drive the coils: what opens, then what closes."""
        self._coils = routes
        if self._motion is not None:
            self._motion.cancel()
        opens = self._closed - routes
        self._motion = self._loop.call_later(self._relay_s, self._open if opens else self._close)

    def _open(self) -> None:
        self._port.settle()
        self._set(self._closed & (self._coils | self.stuck))
        if self._coils - self._closed - self.stuck:
            self._motion = self._loop.call_later(self._relay_s, self._close)
        else:
            self._motion = None
        self._publish()

    def _close(self) -> None:
        self._port.settle()
        self._motion = None
        self._set(self._closed | (self._coils - self.stuck))
        self._publish()

    def _set(self, routes: Set[Route]) -> None:
        """The contacts are now so."""
        now_s = self._loop.time()
        for route, element in _ELEMENTS.items():
            if (route in routes) != (route in self._closed):
                self._plant.switch(now_s, element, route in routes)
        self._closed = routes

    def _publish(self) -> None:
        self._events += 1
        data = self._encode(self._events, matrix.FEEDBACK_CHANGED_ID)
        self._port.emit(CanFrame(matrix.FEEDBACK_CHANGED_ID, data))

    def _feedback(self, n: int, t_s: float) -> bytes:
        return self._encode(n, matrix.FEEDBACK_ID)

    def _encode(self, alive: int, can_id: int) -> bytes:
        moving = self._motion is not None
        fault = not moving and self._closed != self._coils
        echo = 0 if self._request_alive is None else self._request_alive
        feedback = matrix.Feedback(self._closed, self._refusal, fault, moving, echo, alive & ALIVE_MASK)
        return matrix.encode_feedback(feedback, can_id)
