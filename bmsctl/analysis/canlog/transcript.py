"""What a tester and a control unit said to each other in a log: requests, their answers, and what was lost.

Messages are put together by ISO 15765-2, paired by ISO 14229-1: an answer belongs to the request before it, if it names
that request's service and repeats its identifiers; answers that only ask for patience are counted. A late answer to an
earlier request is shown as what it is, and not taken for an answer to the next.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.canlog.frames import EXTENDED, Frames
from bmsctl.analysis.canlog.reassembly import CLASSIC_BYTES, Fault, Message, Reassembler
from bmsctl.analysis.canlog.uds_words import WITH_SUB_FUNCTION, meaning, service_name, subject
from bmsctl.protocols import uds

_FLAG = int(EXTENDED)
_SILENCE = uds.SUPPRESS
_FLOW_CONTROL = 3


class Address(NamedTuple):
    """An identifier, with EXTENDED for 29 bits, and for extended or mixed addressing the first data byte."""

    can_id: int
    byte: int | None = None


class Connection(NamedTuple):
    """Where a tester's requests and a control unit's answers stand; `functional` are requests to every unit."""

    request: Address
    answer: Address
    functional: tuple[Address, ...] = ()


BMS = Connection(Address(uds.REQUEST_ID | _FLAG), Address(uds.ANSWER_ID | _FLAG), (Address(uds.FUNCTIONAL_ID | _FLAG),))
"""The battery management system of this line."""

NORMAL_FUNCTIONAL, NORMAL_REQUESTS, NORMAL_OFFSET = 0x7DF, range(0x7E0, 0x7E8), 8
FIXED, FIXED_TESTER = 0x18DA0000, 0xF1


class Outcome(StrEnum):
    """How an exchange ended."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    NO_ANSWER = "no answer"
    SILENT = "no answer wanted"
    UNASKED = "answer without its request"


class Exchange(NamedTuple):
    """A request and its answer.

    time_s: of the request's first frame, or of the answer's where there is no request.
    bus, request_id, answer_id: where it was heard; identifiers with EXTENDED.
    service, subject: in words, as "read data by identifier" and "9005 pack voltage".
    refusal: the negative response code in words, empty if there is none.
    meaning: what the answer's data say, in words, as far as they are known.
    request, answer: the messages, empty if there is none.
    pending: answers that asked for patience.
    delay_s: from the request's last frame to the answer's first, NaN without one of them.
    """

    time_s: float
    bus: str
    request_id: int
    answer_id: int
    service: str
    subject: str
    outcome: Outcome
    refusal: str
    meaning: str
    request: bytes
    answer: bytes
    pending: int
    delay_s: float


class Transcript(NamedTuple):
    """Exchanges in the order of the log, and the faults of transport in the order they were seen."""

    exchanges: list[Exchange]
    faults: list[Fault]

    @property
    def counts(self) -> Counter[str]:
        """How many exchanges ended in each way, and how many faults there were of each kind."""
        return Counter([str(each.outcome) for each in self.exchanges] + [str(fault.kind) for fault in self.faults])


def usual_connections(frames: Frames) -> list[Connection]:
    """The connections that occur at the addresses of ISO 15765-4, 11 bits and normal fixed 29 bits, by identifier."""
    heard = {int(number) for number in np.unique(frames.can_id)}
    found = []
    for request_id in NORMAL_REQUESTS:
        answer_id = request_id + NORMAL_OFFSET
        if answer_id in heard:
            found.append(Connection(Address(request_id), Address(answer_id), (Address(NORMAL_FUNCTIONAL),)))
    for answer_id in sorted(heard):
        unit = answer_id & 0xFF
        if answer_id == _FLAG | FIXED | FIXED_TESTER << 8 | unit:
            request = Address(_FLAG | FIXED | unit << 8 | FIXED_TESTER)
            found.append(Connection(request, Address(answer_id), BMS.functional))
    return found


def transcript(frames: Frames, connections: Sequence[Connection]) -> Transcript:
    """The dialogues of some connections, each bus by itself.

    Frames are taken in the order of the log, whatever their times; times of NaN are never too late. No frame of a
    connection gives no exchanges.
    """
    faults: list[Fault] = []
    rows: list[Exchange | None] = []
    dialogues: dict[tuple[int, int], _Dialogue] = {}
    last_s = math.nan
    for time_s, bus, place, requesting, can_id, data in _addressed(frames, connections):
        key = bus, place
        if key not in dialogues:
            dialogues[key] = _Dialogue(connections[place], frames.buses[bus], rows, faults)
        dialogues[key].frame(time_s, requesting, can_id, data)
        last_s = time_s
    for dialogue in dialogues.values():
        dialogue.end(last_s)
    return Transcript([row for row in rows if row is not None], faults)


def _addressed(frames: Frames, connections: Sequence[Connection]) -> Iterator[tuple[float, int, int, bool, int, bytes]]:
    """Time, bus, place of the connection, whether it is the tester's, identifier and data of each frame of one."""
    ends: dict[int, list[tuple[int, bool, int | None]]] = {}
    for place, connection in enumerate(connections):
        for address in (connection.request, *connection.functional):
            ends.setdefault(address.can_id, []).append((place, True, address.byte))
        ends.setdefault(connection.answer.can_id, []).append((place, False, connection.answer.byte))
    for index in np.flatnonzero(np.isin(frames.can_id, np.array(list(ends), np.uint32))):
        begin = int(frames.start[index])
        data = frames.data[begin : begin + int(frames.length[index])].tobytes()
        can_id = int(frames.can_id[index])
        for place, requesting, byte in ends[can_id]:
            if byte is None or data[:1] == bytes((byte,)):
                told = data if byte is None else data[1:]
                yield float(frames.time_s[index]), int(frames.bus[index]), place, requesting, can_id, told


class _Dialogue:
    """One connection on one bus."""

    def __init__(self, connection: Connection, bus: str, rows: list[Exchange | None], faults: list[Fault]) -> None:
        self._connection = connection
        self._bus = bus
        self._rows = rows
        self._requests = {
            address.can_id: _reassembler(address, faults) for address in (connection.request, *connection.functional)
        }
        self._answers = _reassembler(connection.answer, faults)
        self._open: Message | None = None
        self._row = 0
        self._request_id = connection.request.can_id
        self._pending = 0

    def frame(self, time_s: float, requesting: bool, can_id: int, data: bytes) -> None:
        """One frame of either end; flow control belongs to the messages of the other."""
        mine = self._requests[can_id] if requesting else self._answers
        if data and data[0] >> 4 == _FLOW_CONTROL:
            other = self._answers if requesting else self._requests[self._connection.request.can_id]
            other.flow_control(time_s, data)
            return
        message = mine.frame(time_s, data)
        if message is not None and requesting:
            self._asked(message, can_id)
        elif message is not None:
            self._answered(message)

    def end(self, time_s: float) -> None:
        """The log ends."""
        for each in (*self._requests.values(), self._answers):
            each.end(time_s)
        self._close_unanswered()

    def _asked(self, message: Message, can_id: int) -> None:
        if self._open is not None and _wants_silence(message.data):
            self._rows.append(self._exchange(message, None, Outcome.SILENT, can_id, 0))
            return
        self._close_unanswered()
        self._open, self._request_id, self._pending, self._row = message, can_id, 0, len(self._rows)
        self._rows.append(None)

    def _answered(self, message: Message) -> None:
        asked = self._open
        if asked is None or not _answers(asked.data, message.data):
            self._rows.append(self._exchange(None, message, Outcome.UNASKED, self._request_id, 0))
        elif message.data[0] == uds.NEGATIVE and message.data[2] == uds.Nrc.RESPONSE_PENDING:
            self._pending += 1
        else:
            outcome = Outcome.NEGATIVE if message.data[0] == uds.NEGATIVE else Outcome.POSITIVE
            self._rows[self._row] = self._exchange(asked, message, outcome, self._request_id, self._pending)
            self._open = None

    def _close_unanswered(self) -> None:
        if self._open is not None:
            silent = _wants_silence(self._open.data) and not self._pending
            outcome = Outcome.SILENT if silent else Outcome.NO_ANSWER
            self._rows[self._row] = self._exchange(self._open, None, outcome, self._request_id, self._pending)
            self._open = None

    def _exchange(
        self, asked: Message | None, answered: Message | None, outcome: Outcome, request_id: int, pending: int
    ) -> Exchange:
        request = asked.data if asked else b""
        answer = answered.data if answered else b""
        refused = len(answer) > 2 and answer[0] == uds.NEGATIVE
        told = request or answer
        sid = told[0] if request else _service_answered(told)
        first = asked or answered
        return Exchange(
            time_s=first.time_s if first else math.nan,
            bus=self._bus,
            request_id=request_id,
            answer_id=self._connection.answer.can_id,
            service=service_name(sid),
            subject="" if refused and not request else subject(told, asked=bool(request)),
            outcome=outcome,
            refusal=uds.nrc_name(answer[2]) if refused else "",
            meaning="" if refused or not answer else meaning(answer),
            request=request,
            answer=answer,
            pending=pending,
            delay_s=answered.time_s - asked.end_s if asked and answered else math.nan,
        )


def _reassembler(address: Address, faults: list[Fault]) -> Reassembler:
    return Reassembler(address.can_id, faults, CLASSIC_BYTES - (address.byte is not None))


def _service_answered(answer: bytes) -> int:
    """The service that an answer names."""
    if answer[0] == uds.NEGATIVE:
        return answer[1] if len(answer) > 1 else uds.NEGATIVE
    return answer[0] & ~uds.POSITIVE


def _wants_silence(request: bytes) -> bool:
    return len(request) > 1 and request[0] in WITH_SUB_FUNCTION and bool(request[1] & _SILENCE)


def _answers(request: bytes, answer: bytes) -> bool:
    """Whether an answer, positive or negative, belongs to a request."""
    if answer[0] == uds.NEGATIVE:
        return uds.refusal(request, answer) is not None
    if _wants_silence(request):
        request = bytes((request[0], request[1] & ~_SILENCE)) + request[2:]
    if request[0] in set(uds.Sid):
        return uds.accepted(request, answer) is not None
    return answer[0] == request[0] | uds.POSITIVE
