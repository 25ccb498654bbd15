"""What each fault makes of an ECU's frames: sealed again where it lies, damaged where it damages, late where late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import bms_broadcast as broadcast
from bmsctl.protocols import plc, uds
from bmsctl.protocols.bms_broadcast import AMPR_MEDIUM, AMPR_SMALL, MessageSet, Taps
from firmware_stubs import can_tampering as can
from firmware_stubs.sim.loop import run
from firmware_stubs.sim.wire import SimCan, SimCanPort

ANSWER = CanFrame(uds.ANSWER_ID, bytes.fromhex("0462F18741AAAAAA"), extended=True)


def on_wire(test: Callable[[SimCanPort, list[CanFrame]], Coroutine[Any, Any, None]]) -> None:
    """Run a test with an ECU's connection and what arrives of the diagnostic answers and the flood."""

    async def main() -> None:
        bus = SimCan("bms")
        arrived: list[CanFrame] = []
        bus.station.push([uds.ANSWER_ID, can.FLOOD_ID], arrived.append)
        await test(bus.ecu("bms"), arrived)

    run(main(), 100.0)


def tampered(maker: can.Maker, *frames: CanFrame) -> list[CanFrame | None]:
    tamper = maker(SimCan("bms").ecu("bms"))
    return [tamper(frame) for frame in frames]


def status(alive: int) -> CanFrame:
    return CanFrame(broadcast.STATUS_ID, AMPR_SMALL.seal(broadcast.STATUS_ID, alive, 1 << 12))


@pytest.mark.parametrize("maker", [can.frozen, can.wrong_check, can.wrong_length, can.without_values, can.second_unit])
def test_faults_of_the_broadcast_leave_diagnostic_answers_alone(maker: can.Maker) -> None:
    assert tampered(maker, ANSWER) == [ANSWER]


@pytest.mark.parametrize("maker", [can.lost_frames, can.wrong_service])
def test_faults_of_the_diagnosis_leave_the_broadcast_alone(maker: can.Maker) -> None:
    assert tampered(maker, status(3)) == [status(3)]


def test_a_frozen_frame_says_what_the_first_of_its_identifier_said() -> None:
    other = CanFrame(0x111, b"other")
    assert tampered(can.frozen, status(3), other, status(4)) == [status(3), other, status(3)]


@pytest.mark.parametrize("maker", [can.wrong_check, can.wrong_length])
def test_a_damaged_frame_fails_its_check(maker: can.Maker) -> None:
    (frame,) = tampered(maker, status(3))
    assert frame is not None
    assert AMPR_SMALL.unseal(frame.can_id, frame.data) is None


@pytest.mark.parametrize("messages", [AMPR_SMALL, AMPR_MEDIUM], ids=lambda messages: messages.name)
def test_without_values_every_measured_signal_is_a_sentinel(messages: MessageSet) -> None:
    def payloads(can_ids: tuple[int, ...]) -> list[int]:
        frames = [CanFrame(can_id, messages.seal(can_id, 5, 0)) for can_id in can_ids]
        held = [messages.unseal(frame.can_id, frame.data) for frame in tampered(can.without_values, *frames) if frame]
        assert [each.alive for each in held if each is not None] == [5] * len(can_ids)
        return [each.payload for each in held if each is not None]

    assert np.isnan(messages.decode_cells(payloads(messages.cells.can_ids))).all()
    assert set(messages.decode_temperatures(payloads(messages.temperatures.can_ids))) == {None}
    assert set(messages.decode_busbars(payloads(messages.busbars.can_ids))) == {None}
    (taps,) = payloads((broadcast.TAPS_ID,))
    assert broadcast.decode_taps(taps) == Taps(None, None, None, None)
    (current,) = payloads((broadcast.CURRENT_ID,))
    assert broadcast.decode_current(current) is None
    (insulation,) = payloads((broadcast.INSULATION_ID,))
    assert broadcast.decode_insulation(insulation).resistance_ohm is None


def test_of_two_units_about_every_other_frame_has_the_others_counter() -> None:
    frames = [frame for frame in tampered(can.second_unit, *map(status, range(16))) if frame is not None]
    held = [AMPR_SMALL.unseal(frame.can_id, frame.data) for frame in frames]
    ahead = [(each.alive - alive) % 16 for alive, each in enumerate(held) if each is not None]
    assert set(ahead) == {0, can.OTHER_COUNTER}
    assert 4 <= ahead.count(0) <= 12


def test_another_revision_is_announced_in_status_alone() -> None:
    taps = CanFrame(broadcast.TAPS_ID, AMPR_SMALL.seal(broadcast.TAPS_ID, 1, 0))
    changed, same = tampered(can.other_revision, status(1), taps)
    assert same == taps
    assert changed is not None
    held = AMPR_SMALL.unseal(changed.can_id, changed.data)
    assert held is not None
    assert broadcast.decode_status(held.payload).dbc_revision == 0


def test_a_flood_leaves_nothing_else_and_ends() -> None:
    async def main(port: SimCanPort, arrived: list[CanFrame]) -> None:
        port.tamper = can.flooding(port)
        await asyncio.sleep(0.01)
        port.emit(ANSWER)
        await asyncio.sleep(0.1)
        assert {frame.can_id for frame in arrived} == {can.FLOOD_ID}
        assert len(arrived) > 300
        port.tamper = None
        await asyncio.sleep(0.01)
        arrived.clear()
        await asyncio.sleep(0.1)
        assert arrived == []

    on_wire(main)


def test_the_plc_hears_an_old_answer_for_every_new_one() -> None:
    first, second = (
        CanFrame(plc.ANSWER_ID, plc.encode_answer(plc.Reply(sequence, 77 * sequence))) for sequence in (1, 2)
    )
    request = CanFrame(plc.REQUEST_ID, bytes(8))
    assert tampered(can.replayed_answer, first, request, second) == [first, request, first]


def test_consecutive_frames_are_lost() -> None:
    begin, rest = (CanFrame(uds.ANSWER_ID, bytes.fromhex(text)) for text in ("100D62F187AAAAAA", "21AAAAAAAAAAAAAA"))
    assert tampered(can.lost_frames, begin, rest) == [begin, None]


@pytest.mark.parametrize(
    ("said", "arrives"),
    [("0462F18741AAAAAA", "046AF18741AAAAAA"), ("100D62F187AAAAAA", "100D6AF187AAAAAA"), ("21AABBCC", "21AABBCC")],
)
def test_another_service_is_named(said: str, arrives: str) -> None:
    (frame,) = tampered(can.wrong_service, CanFrame(uds.ANSWER_ID, bytes.fromhex(said)))
    assert frame is not None
    assert frame.data.hex().upper() == arrives


def test_a_late_answer_comes_once() -> None:
    async def main(port: SimCanPort, arrived: list[CanFrame]) -> None:
        port.tamper = can.late(port)
        port.emit(ANSWER)
        await asyncio.sleep(can.LATE_S - 0.01)
        assert arrived == []
        await asyncio.sleep(1.0)
        assert [frame.data for frame in arrived] == [ANSWER.data]

    on_wire(main)


def test_an_answer_is_promised_again_and_again_until_something_else_is_asked() -> None:
    async def main(port: SimCanPort, arrived: list[CanFrame]) -> None:
        port.tamper = can.pending(port)
        port.emit(ANSWER)
        await asyncio.sleep(3.0)
        port.emit(ANSWER._replace(data=bytes.fromhex("037F2E33AAAAAAAA")))
        await asyncio.sleep(3.0)
        first, other = "037F2278AAAAAAAA", "037F2E78AAAAAAAA"
        assert [frame.data.hex().upper() for frame in arrived] == [first, first, other, other]
        port.tamper = None
        await asyncio.sleep(3.0)
        assert len(arrived) == 4

    on_wire(main)
