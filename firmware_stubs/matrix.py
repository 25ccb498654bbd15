"""Firmware of the HV matrix: which routes may be closed together, when they may move, and what really is closed.

Four guards, none of which a telegram can lift. A set of routes must be in the table of legal sets. Routes that
carry energy close only while the PLC feeds their coils, and drop when it does not; the digitizer's stays, so that
a station without energy can still be measured. Testers are connected only while the PLC does not feed the pack's
contactors, and drop when it does: 2 kV would meet the cells. And no relay moves under voltage but the load's, which
is a semiconductor switch: the load must be put on a live pack to prove its contactors. Voltage is looked for when
routes are asked for, and again when their contacts are about to close.

Relays that open do so before others close, so no two instruments ever meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Set
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
_PLUS, _MINUS = Route.TESTER_PLUS, Route.TESTER_MINUS

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
        # Test voltages of 500 V and more meet nothing but the pack: an instrument, and the poles its output goes to.
        (Route.INSULATION_TESTER, _PLUS),
        (Route.INSULATION_TESTER, _MINUS),
        (Route.INSULATION_TESTER, _PLUS, _MINUS),
        (Route.WITHSTAND_TESTER, _PLUS, _MINUS),
    )
)

_ELEMENTS = {
    _D: Element.DIGITIZER,
    _L: Element.LOAD,
    _C: Element.LINK_CAPACITOR,
    Route.CYCLER: Element.CYCLER,
    _PLUS: Element.TESTER_PLUS,
    _MINUS: Element.TESTER_MINUS,
}
_UNFED = frozenset({_D})
_TESTERS = frozenset({Route.INSULATION_TESTER, Route.WITHSTAND_TESTER, _PLUS, _MINUS})
_HOT_SWITCHED = frozenset({_L})

_POLES = (Node.P, Node.N)
_TO_CHASSIS = ((Node.P, Node.PE), (Node.N, Node.PE), (Node.TESTER, Node.PE))


class RoutedPlant(Protocol):
    """What the matrix switches and measures."""

    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...
    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...


class MatrixStub:
    """One matrix on a bus; build it inside a running loop. Every route begins open, the feed off, the coils unfed.

    `stuck`: routes whose relay no longer moves; their contacts stay as they are.
    """

    def __init__(self, port: CanPort, plant: RoutedPlant, seed: int) -> None:
        self._port, self._plant = port, plant
        self._loop = asyncio.get_running_loop()
        self._relay_s = RELAY_S + RELAY_SPREAD_S * draw(seed, "matrix.relay").uniform(-1.0, 1.0)
        self._fed = self._contactors_fed = False
        self._closed: Set[Route] = frozenset()
        self._driven: Set[Route] = frozenset()
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
        if not on and self._driven - _UNFED:
            self._refusal = Refusal.NO_FEED
            self._move_to(self._driven & _UNFED)
            self._publish()

    def coils(self, on: bool) -> None:
        """The PLC feeds, or cuts, the pack's contactor coils; testers drop before a contactor can close."""
        self._port.settle()
        self._contactors_fed = on
        if on and self._driven & _TESTERS:
            self._refusal = Refusal.COILS_FED
            self._move_to(self._driven - _TESTERS)
            self._publish()

    def _take_request(self, frame: CanFrame) -> None:
        request = matrix.decode_request(frame.data)
        if request is None:
            return
        self._port.settle()
        self._refusal = self._refusal_of(request)
        self._request_alive = request.alive
        if self._refusal is Refusal.NONE and request.routes != self._driven:
            self._move_to(request.routes)
        self._publish()

    def _refusal_of(self, request: matrix.Request) -> Refusal:
        if request.alive == self._request_alive and request.routes - self._driven:
            return Refusal.REPEATED
        if request.routes not in LEGAL_SETS:
            return Refusal.ILLEGAL_SET
        if request.routes - _UNFED and not self._fed:
            return Refusal.NO_FEED
        if request.routes & _TESTERS and self._contactors_fed:
            return Refusal.COILS_FED
        if self._hot((request.routes ^ self._driven) - _HOT_SWITCHED):
            return Refusal.HOT
        return Refusal.NONE

    def _hot(self, moving: Set[Route]) -> bool:
        """Whether a relay would move under voltage."""
        now_s = self._loop.time()
        return any(abs(self._plant.voltage(now_s, a, b)) > HOT_V for a, b in _looked_at(moving))

    def _move_to(self, routes: Set[Route]) -> None:
        """Drive the coils: what opens, then what closes."""
        self._driven = routes
        if self._motion is not None:
            self._motion.cancel()
        opens = self._closed - routes
        self._motion = self._loop.call_later(self._relay_s, self._open if opens else self._close)

    def _open(self) -> None:
        self._port.settle()
        self._set(self._closed & (self._driven | self.stuck))
        if self._driven - self._closed - self.stuck:
            self._motion = self._loop.call_later(self._relay_s, self._close)
        else:
            self._motion = None
        self._publish()

    def _close(self) -> None:
        self._port.settle()
        self._motion = None
        closing = self._driven - self._closed - self.stuck
        if self._hot(closing - _HOT_SWITCHED):
            self._refusal = Refusal.HOT
            self._driven &= self._closed
        else:
            self._set(self._closed | closing)
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
        fault = not moving and self._closed != self._driven
        echo = 0 if self._request_alive is None else self._request_alive
        feedback = matrix.Feedback(self._closed, self._refusal, fault, moving, echo, alive & ALIVE_MASK)
        return matrix.encode_feedback(feedback, can_id)


def _looked_at(moving: Set[Route]) -> Iterator[tuple[Node, Node]]:
    """Between which points there must be no voltage; link capacitor, cycler and testers bring their own."""
    if moving:
        yield _POLES
    if _C in moving:
        yield Node.LINK, Node.N
    if Route.CYCLER in moving:
        yield Node.CYCLER, Node.N
    if moving & _TESTERS:
        yield from _TO_CHASSIS
