"""What faults make of the frames an ECU sends: frozen, damaged, without values, of a second unit, lost, late.

Each maker takes the ECU's connection and gives its `tamper`. Frames of the diagnostic answer are messages of a
transport of their own; faults of the broadcast leave them alone and the other way round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import plc, uds
from bmsctl.protocols.bms_broadcast import MESSAGE_SETS, STATUS_ID
from bmsctl.protocols.bms_broadcast.core import CURRENT_ID, INSULATION_ID, SNA_CURRENT, SNA_INSULATION, TAPS_ID
from bmsctl.protocols.bms_broadcast.envelope import seal, unseal
from bmsctl.protocols.bms_broadcast.fields import BITS, SNA_SIGNED
from bmsctl.protocols.uds import Nrc
from firmware_stubs.ports import DisturbedCan, Tamper

Maker = Callable[[DisturbedCan], Tamper]

FLOOD_ID = 0x000
FLOOD_EVERY_S = 0.00025
"""Frames one after the other on a classic bus of 500 kbit/s: every arbitration is theirs."""

REVISION_BIT = 1 << 12
"""Lowest bit of the message set's revision in the payload of Status."""

OTHER_COUNTER = 7
"""How far the counter of a second unit is ahead."""

LATE_S = 0.2
"""After the tester has given up an answer, and before it may ask again."""
PENDING_EVERY_S = 2.0

_SINGLE, _FIRST, _CONSECUTIVE = 0, 1, 2
_PADDING = b"\xaa"


def frozen(port: DisturbedCan) -> Tamper:
    """Every frame says for ever what the first one of its identifier said, its counter included."""
    first: dict[int, bytes] = {}
    return _but_answers(lambda frame: frame._replace(data=first.setdefault(frame.can_id, frame.data)))


def wrong_check(port: DisturbedCan) -> Tamper:
    """A bit of every frame is wrong, and so is its check."""
    return _but_answers(lambda frame: frame._replace(data=bytes((frame.data[0] ^ 0x01,)) + frame.data[1:]))


def wrong_length(port: DisturbedCan) -> Tamper:
    """Every frame is a byte too short."""
    return _but_answers(lambda frame: frame._replace(data=frame.data[:-1]))


def without_values(port: DisturbedCan) -> Tamper:
    """Every measured signal of the BMS reads "not available"."""
    return _resealed(lambda frame, alive, payload: (alive, _BLANK.get((frame.can_id, len(frame.data)), payload)))


def second_unit(port: DisturbedCan) -> Tamper:
    """A second BMS sends the same identifiers with a counter of its own, and about every other frame seen is its."""
    return _resealed(lambda frame, alive, payload: (alive + OTHER_COUNTER * _the_others(frame.can_id, alive), payload))


def other_revision(port: DisturbedCan) -> Tamper:
    """The BMS announces a message set of another revision."""
    return _resealed(lambda frame, alive, payload: (alive, payload ^ REVISION_BIT * (frame.can_id == STATUS_ID)))


def outvoted(port: DisturbedCan) -> Tamper:
    """Nothing gets through that loses its arbitration against a flood of FLOOD_ID."""
    return lambda frame: frame if frame.can_id == FLOOD_ID else None


def flooding(port: DisturbedCan) -> Tamper:
    """As `outvoted`, and the flood itself comes from this connection for as long as it is so disturbed."""
    loop = asyncio.get_running_loop()
    tamper = outvoted(port)

    def flood() -> None:
        if port.tamper is tamper:
            port.emit(CanFrame(FLOOD_ID, bytes(8)))
            loop.call_later(FLOOD_EVERY_S, flood)

    loop.call_soon(flood)
    return tamper


def replayed_answer(port: DisturbedCan) -> Tamper:
    """To be put on what the PLC hears: instead of every answer to its challenges, one that was right before."""
    first: list[CanFrame] = []

    def tamper(frame: CanFrame) -> CanFrame:
        if frame.can_id != plc.ANSWER_ID:
            return frame
        if not first:
            first.append(frame)
        return first[0]

    return tamper


def lost_frames(port: DisturbedCan) -> Tamper:
    """Consecutive frames of long diagnostic answers are lost."""
    return _answers(lambda frame: None if frame.data[0] >> 4 == _CONSECUTIVE else frame)


def wrong_service(port: DisturbedCan) -> Tamper:
    """Every diagnostic answer names another service than was asked for."""

    def tamper(frame: CanFrame) -> CanFrame:
        at = _service_at(frame.data)
        data = bytearray(frame.data)
        if at is not None:
            data[at] ^= 0x08
        return frame._replace(data=bytes(data))

    return _answers(tamper)


def late(port: DisturbedCan) -> Tamper:
    """Every diagnostic answer comes when the tester has given it up."""
    loop = asyncio.get_running_loop()
    on_their_way: list[CanFrame] = []

    def tamper(frame: CanFrame) -> CanFrame | None:
        if frame in on_their_way:
            on_their_way.remove(frame)
            return frame
        on_their_way.append(frame)
        loop.call_later(LATE_S, port.emit, frame)
        return None

    return _answers(tamper)


def pending(port: DisturbedCan) -> Tamper:
    """Every diagnostic answer is "response pending", and again, until something else is asked."""
    loop = asyncio.get_running_loop()
    promise: CanFrame | None = None

    def repeat(said: CanFrame) -> None:
        if port.tamper is tamper and promise is said:
            port.emit(said)

    def answer(frame: CanFrame) -> CanFrame | None:
        nonlocal promise
        if frame is not promise:
            at = _service_at(frame.data)
            if at is None:
                return frame
            said = uds.negative(_asked(frame.data[at:]), Nrc.RESPONSE_PENDING)
            promise = frame._replace(data=(bytes((len(said),)) + said).ljust(8, _PADDING))
        loop.call_later(PENDING_EVERY_S, repeat, promise)
        return promise

    tamper = _answers(answer)
    return tamper


def _asked(answer: bytes) -> int:
    """The service that an answer is about."""
    return answer[1] if answer[0] == uds.NEGATIVE else answer[0] ^ uds.POSITIVE


def _blanks() -> dict[tuple[int, int], int]:
    """Payloads in which nothing has a value, by identifier and length."""
    taps = _blank_signed(4)
    blanks = {(CURRENT_ID, 4): SNA_CURRENT, (TAPS_ID, 8): taps, (INSULATION_ID, 4): SNA_INSULATION}
    for each in MESSAGE_SETS.values():
        for burst in (each.cells, each.temperatures):
            blanks |= {(can_id, burst.length): burst.blank for can_id in burst.can_ids}
        bars = each.busbars
        blanks |= {(can_id, bars.length): _blank_signed(bars.per_frame) for can_id in bars.can_ids}
    return blanks


def _blank_signed(fields: int) -> int:
    return sum(SNA_SIGNED << BITS * index for index in range(fields))


_BLANK = _blanks()


def _the_others(can_id: int, alive: int) -> bool:
    """Whether the second unit's frame is the newest: by neither identifier nor counter alone, as their clocks drift."""
    return bool(0x9D2C5680 >> (can_id + alive * 5 & 0x1F) & 1)


def _resealed(change: Callable[[CanFrame, int, int], tuple[int, int]]) -> Tamper:
    """Another counter and payload in frames of the broadcast, under a check that is right."""

    def tamper(frame: CanFrame) -> CanFrame:
        length = len(frame.data)
        held = unseal(frame.can_id, frame.data, length)
        if held is None:
            return frame
        alive, payload = change(frame, held.alive, held.payload)
        return frame._replace(data=seal(frame.can_id, alive, payload, length))

    return _but_answers(tamper)


def _but_answers(change: Tamper) -> Tamper:
    """Of every frame but those of the diagnostic answer."""
    return lambda frame: frame if frame.can_id == uds.ANSWER_ID else change(frame)


def _answers(change: Tamper) -> Tamper:
    """Of the frames of the diagnostic answer."""
    return lambda frame: change(frame) if frame.can_id == uds.ANSWER_ID else frame


def _service_at(data: bytes) -> int | None:
    """Where the service identifier is, None if the frame has none."""
    kind = data[0] >> 4
    if kind == _SINGLE:
        return 1
    return 2 if kind == _FIRST else None
