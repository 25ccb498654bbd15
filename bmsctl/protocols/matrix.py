"""Telegrams of the HV matrix, on the station bus (see `station_bus`; byte 7 is always the CRC).

| frame | id | sent | bytes |
|---|---|---|---|
| Request | 0x120 | station, on change | 0 routes; 1-5 zero; 6 alive (4 bits) |
| FeedbackChanged | 0x121 | matrix, on change and after each Request | as Feedback |
| Feedback | 0x130 | matrix, 50 ms | 0 routes closed, by their auxiliary contacts; 1 refusal (bits 0-3), |
| | | | relay fault (bit 4), moving (bit 5); 2 alive of the last Request (bits 0-3); 3-5 zero; 6 alive |

routes: digitizer, load, link capacitor, insulation tester, withstand tester, cycler, tester to plus, tester to minus
(bits 0-7). Relay fault: a contact is not where its coil should have put it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Set
from typing import NamedTuple

from bmsctl.domain.ports import Route
from bmsctl.protocols.station_bus import ALIVE_MASK, Seal

REQUEST_ID = 0x120
FEEDBACK_CHANGED_ID = 0x121
FEEDBACK_ID = 0x130

FEEDBACK_PERIOD_S = 0.05

_BITS = {
    Route.DIGITIZER: 0x01,
    Route.LOAD: 0x02,
    Route.LINK_CAPACITOR: 0x04,
    Route.INSULATION_TESTER: 0x08,
    Route.WITHSTAND_TESTER: 0x10,
    Route.CYCLER: 0x20,
    Route.TESTER_PLUS: 0x40,
    Route.TESTER_MINUS: 0x80,
}
_ROUTES = tuple(frozenset(route for route, bit in _BITS.items() if bits & bit) for bits in range(256))
_FAULT, _MOVING = 0x10, 0x20

_REQUEST = Seal(REQUEST_ID)
_FEEDBACK = {FEEDBACK_ID: Seal(FEEDBACK_ID), FEEDBACK_CHANGED_ID: Seal(FEEDBACK_CHANGED_ID)}
_WISH = struct.Struct("<B5xB")
_STATE = struct.Struct("<BBBxxxB")


class Refusal(enum.IntEnum):
    """Why the matrix did not do what the last Request asked for."""

    NONE = 0
    ILLEGAL_SET = 1
    NO_FEED = 2
    HOT = 3
    REPEATED = 4
    COILS_FED = 5


class Request(NamedTuple):
    """Contents of Request: exactly these routes closed."""

    routes: Set[Route]
    alive: int


class Feedback(NamedTuple):
    """Contents of Feedback and FeedbackChanged; `echo` is the alive counter of the last Request."""

    routes: Set[Route]
    refusal: Refusal
    fault: bool
    moving: bool
    echo: int
    alive: int


def encode_request(request: Request) -> bytes:
    return _REQUEST.close(_WISH.pack(_bits(request.routes), request.alive))


def decode_request(data: bytes) -> Request | None:
    """None for a damaged frame."""
    if not _REQUEST.holds(data):
        return None
    return Request(_ROUTES[data[0]], data[6] & ALIVE_MASK)


def requested_energy_routes(data: bytes) -> Set[Route]:
    """Routes of a Request over which energy can flow; the digitizer only measures."""
    request = decode_request(data)
    return frozenset() if request is None else request.routes - {Route.DIGITIZER}


def encode_feedback(feedback: Feedback, can_id: int = FEEDBACK_ID) -> bytes:
    """`can_id`: FEEDBACK_ID or FEEDBACK_CHANGED_ID."""
    state = feedback.refusal | feedback.fault * _FAULT | feedback.moving * _MOVING
    return _FEEDBACK[can_id].close(_STATE.pack(_bits(feedback.routes), state, feedback.echo, feedback.alive))


def decode_feedback(data: bytes, can_id: int = FEEDBACK_ID) -> Feedback | None:
    """None for a damaged frame, or one with a refusal that does not exist."""
    if not _FEEDBACK[can_id].holds(data):
        return None
    routes, state, echo, alive = _STATE.unpack_from(data)
    if state & 0xF >= len(Refusal):
        return None
    return Feedback(
        _ROUTES[routes],
        Refusal(state & 0xF),
        bool(state & _FAULT),
        bool(state & _MOVING),
        echo & ALIVE_MASK,
        alive & ALIVE_MASK,
    )


def _bits(routes: Iterable[Route]) -> int:
    return sum(_BITS[route] for route in routes)
