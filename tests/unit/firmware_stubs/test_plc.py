"""The safety PLC as a device: it is talked to in raw frames, and watched at its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import TripCause
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from firmware_stubs.plant import Element, Node
from firmware_stubs.plc import PlcStub
from firmware_stubs.sim.loop import VirtualLoop, new_loop
from firmware_stubs.sim.wire import CAN_FRAME_S
from tests.support.fake_plant import FakePlant
from tests.support.plc_station import TOKEN, PlcStation, on_loop, switched

CUT = (
    ("coils", False, 0.0),
    ("coils told", False, 0.0),
    ("feed", False, 0.0),
    ("discharge", True, 0.015),
    ("pe_proof", True, 0.015),
)
"""What a cut switches, and how long after its beginning."""
TRIP = (("source", False, -0.020), *CUT)
SAFE_STOP = (("source", False, -0.5), *CUT)


@on_loop
async def test_it_begins_safe_and_discharging() -> None:
    station = PlcStation()
    assert station.plant.log == [
        (0.0, "coils", False),
        (0.0, "discharge", True),
        (0.0, "pe_proof", True),
        (0.0, "hvil", True),
    ]
    await asyncio.sleep(0.1)
    assert station.status().flags == plc.GUARD_CLOSED | plc.ESTOP_RELEASED | plc.DISCHARGING | plc.HVIL_BRIDGED
    assert not station.stub.tripped


@on_loop
async def test_a_permit_opens_the_discharge_then_feeds_coils_and_matrix_then_enables_the_sources() -> None:
    station = PlcStation()
    await asyncio.sleep(0.11)
    station.token = TOKEN
    station.request(permit=True)
    await asyncio.sleep(0.1)
    granted_s = 0.11 + CAN_FRAME_S + 0.015
    assert switched(station.plant.since(0.05), granted_s) == [
        ("discharge", False, 0.0),
        ("pe_proof", False, 0.0),
        ("coils", True, 0.0),
        ("coils told", True, 0.0),
        ("feed", True, 0.0),
        ("source", True, 0.0),
    ]
    status = station.status()
    assert status.flags & (plc.PERMISSIVE | plc.COIL_SUPPLY | plc.DISCHARGING) == plc.PERMISSIVE | plc.COIL_SUPPLY
    assert (status.refusal, status.echo) == (Refusal.NONE, station.alive)


@on_loop
async def test_it_trips_250_to_300_ms_after_the_last_valid_answer_and_cuts() -> None:
    station = PlcStation()
    await station.permitted()
    await asyncio.sleep(5.0)
    assert not station.stub.tripped
    station.reply = lambda question: None
    fell_silent_s = station.answered_s
    await asyncio.sleep(0.5)
    feed_off_s = next(t_s for t_s, what, on in station.plant.since(1.0) if what == "feed" and not on)
    assert 0.250 <= feed_off_s - 0.020 - fell_silent_s <= 0.300
    assert switched(station.plant.since(1.0), feed_off_s) == list(TRIP)
    assert (station.stub.tripped, station.status().cause) == (True, TripCause.WATCHDOG)


def _wrong_token(station: PlcStation, question: plc.Question) -> plc.Reply:
    return plc.Reply(question.sequence, plc.response(question.nonce, TOKEN + 1))


def _wrong_sequence(station: PlcStation, question: plc.Question) -> plc.Reply:
    return plc.Reply(question.sequence - 1 & 0xFF, plc.response(question.nonce, TOKEN))


def _last_nonce(station: PlcStation, question: plc.Question) -> plc.Reply:
    return plc.Reply(question.sequence, plc.response(station.questions[-2].nonce, TOKEN))


def _recorded_a_turn_ago(station: PlcStation, question: plc.Question) -> plc.Reply:
    """What was right when the sequence number was this one before."""
    old = next((old for old in station.questions[:-1] if old.sequence == question.sequence), question)
    return plc.Reply(question.sequence, plc.response(old.nonce, TOKEN))


@pytest.mark.parametrize(
    ("answer", "after_s"),
    [(_wrong_token, 1.0), (_wrong_sequence, 1.0), (_last_nonce, 1.0), (_recorded_a_turn_ago, 256 * 0.05)],
)
def test_an_answer_that_is_not_to_this_question_is_none(
    answer: Callable[[PlcStation, plc.Question], plc.Reply], after_s: float
) -> None:
    async def main() -> None:
        station = PlcStation()
        await station.permitted()
        await asyncio.sleep(after_s)
        station.reply = lambda question: answer(station, question)
        await asyncio.sleep(0.35)
        assert station.stub.tripped

    on_loop(main)()


@pytest.mark.parametrize(
    ("act", "cause", "contact"),
    [
        (PlcStub.press_estop, TripCause.ESTOP, plc.ESTOP_RELEASED),
        (PlcStub.open_guard, TripCause.GUARD, plc.GUARD_CLOSED),
    ],
)
def test_an_opened_safety_chain_cuts_and_only_a_person_resets_it(
    act: Callable[[PlcStub], None], cause: TripCause, contact: int
) -> None:
    async def main() -> None:
        station = PlcStation()
        await station.permitted()
        act(station.stub)
        tripped_s = station.loop.time()
        await asyncio.sleep(0.040)
        assert switched(station.plant.since(tripped_s), tripped_s + 0.020) == list(TRIP)
        first = next(change for change in station.changes if change.flags & plc.TRIPPED)
        assert (first.cause, first.flags & plc.PERMISSIVE, first.flags & contact) == (cause, 0, 0)

        station.token += 1
        for _ in range(20):
            station.request(permit=True)
            await asyncio.sleep(0.1)
        assert station.changes[-1].refusal in (Refusal.GUARD_OPEN, Refusal.ESTOP_PRESSED)
        station.stub.reset()
        station.request(permit=True)
        await asyncio.sleep(0.1)
        assert station.status().flags & (plc.PERMISSIVE | plc.TRIPPED) == plc.PERMISSIVE

    on_loop(main)()


@on_loop
async def test_a_dropped_permit_leaves_half_a_second_and_grants_nothing_meanwhile() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=False)
    await asyncio.sleep(0.001)
    dropped_s = station.loop.time() - 0.001 + CAN_FRAME_S
    assert station.changes[-1].flags & (plc.PERMISSIVE | plc.COIL_SUPPLY) == plc.COIL_SUPPLY
    station.token += 1
    station.request(permit=True)
    await asyncio.sleep(0.1)
    assert station.changes[-1].refusal is Refusal.STOPPING
    await asyncio.sleep(1.0)
    assert switched(station.plant.since(dropped_s), dropped_s + 0.5) == list(SAFE_STOP)
    assert not station.stub.tripped


@on_loop
async def test_the_dead_man_stays_armed_during_a_safe_stop() -> None:
    station = PlcStation()
    await station.permitted()
    station.reply = lambda question: None
    await asyncio.sleep(0.2)
    station.request(permit=False)
    await asyncio.sleep(0.2)
    assert (station.stub.tripped, station.status().cause) == (True, TripCause.WATCHDOG)


@pytest.mark.parametrize("end", ["e-stop", "dropped"])
def test_a_permit_given_up_before_the_discharge_relay_has_opened_energises_nothing(end: str) -> None:
    async def main() -> None:
        station = PlcStation()
        await asyncio.sleep(0.1)
        station.token = TOKEN
        station.request(permit=True)
        await asyncio.sleep(0.010)
        if end == "e-stop":
            station.stub.press_estop()
        else:
            station.request(permit=False)
        await asyncio.sleep(0.5)
        assert station.plant.since(0.05) == []
        assert station.status().flags & (plc.PERMISSIVE | plc.DISCHARGING) == plc.DISCHARGING

    on_loop(main)()


@on_loop
async def test_a_used_token_is_refused() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=False)
    await asyncio.sleep(1.0)
    station.request(permit=True)
    await asyncio.sleep(0.1)
    assert station.changes[-1].refusal is Refusal.TOKEN_USED
    assert not station.status().flags & plc.PERMISSIVE


@on_loop
async def test_no_permit_without_token_or_answers() -> None:
    station = PlcStation()
    await asyncio.sleep(0.1)
    station.request(permit=True)
    await asyncio.sleep(0.01)
    assert [change.refusal for change in station.changes] == [Refusal.TOKEN_USED]
    station.reply = lambda question: None
    await asyncio.sleep(0.3)
    station.token = TOKEN
    station.request(permit=True)
    await asyncio.sleep(0.1)
    assert station.changes[-1].refusal is Refusal.NO_ANSWER


@on_loop
async def test_another_token_before_the_grant_is_complete_ends_it() -> None:
    station = PlcStation()
    await asyncio.sleep(0.1)
    station.token = TOKEN
    station.request(permit=True)
    await asyncio.sleep(0.005)
    station.token += 1
    station.request(permit=True)
    await asyncio.sleep(0.1)
    assert station.changes[-1].refusal is Refusal.STOPPING
    assert not station.status().flags & plc.PERMISSIVE


@on_loop
async def test_another_token_while_permitted_is_another_run_and_ends_this_one() -> None:
    station = PlcStation()
    await station.permitted()
    station.token += 1
    station.request(permit=True)
    await asyncio.sleep(0.001)
    assert station.changes[-1].refusal is Refusal.STOPPING
    assert not station.changes[-1].flags & plc.PERMISSIVE


@on_loop
async def test_a_repeated_request_only_removes() -> None:
    station = PlcStation()
    await asyncio.sleep(0.1)
    station.request(permit=False, kl30=True, kl15=True)
    await asyncio.sleep(0.1)
    assert station.supply == [(True, True)]
    station.token = TOKEN
    station.request(permit=True, kl30=True, kl15=False, alive=station.alive)
    await asyncio.sleep(0.1)
    assert not station.status().flags & plc.PERMISSIVE
    station.request(permit=False, kl30=True, kl15=True, alive=station.alive)
    await asyncio.sleep(0.1)
    assert station.supply == [(True, True), (True, False)]


@on_loop
async def test_a_damaged_request_is_no_request() -> None:
    station = PlcStation()
    await asyncio.sleep(0.1)
    data = bytearray(plc.encode_request(plc.Request(False, True, True, True, True, 0, 1)))
    data[0] ^= 0x04
    station.bus.station.send(CanFrame(plc.REQUEST_ID, bytes(data)))
    await asyncio.sleep(0.1)
    assert station.supply == []


@on_loop
async def test_the_supply_follows_by_a_relay_and_a_trip_leaves_it() -> None:
    station = PlcStation()
    station.request(permit=False, kl30=True, kl15=True)
    await asyncio.sleep(0.014)
    assert station.supply == []
    await asyncio.sleep(0.002)
    assert station.supply == [(True, True)]
    station.stub.press_estop()
    await asyncio.sleep(0.1)
    assert station.status().flags & (plc.KL30 | plc.KL15) == plc.KL30 | plc.KL15


@on_loop
async def test_a_blocked_loop_trips_before_a_late_answer_is_looked_at() -> None:
    station = PlcStation()
    await station.permitted()
    loop = station.loop
    assert isinstance(loop, VirtualLoop)
    question = station.questions[-1]
    assert station.stub._sequence == question.sequence
    loop.block(2.0)
    station.stub._take_answer(CanFrame(plc.ANSWER_ID, plc.encode_answer(station.right(question))))
    assert station.stub.tripped


@on_loop
async def test_a_station_that_does_not_discharge_is_locked_after_5_s() -> None:
    station = PlcStation()
    await station.permitted()
    station.plant.potential_v[Node.P] = 350.0
    station.request(permit=False)
    await asyncio.sleep(5.5)
    assert not station.stub.tripped
    await asyncio.sleep(0.1)
    assert (station.stub.tripped, station.status().cause) == (True, TripCause.SAFE_STOP_TIMEOUT)


@on_loop
async def test_voltmeters_that_contradict_each_other_trip_and_prove_nothing_until_a_person_resets() -> None:
    station = PlcStation()
    await station.permitted()
    station.plant.potential_v[Node.P] = 350.0
    await asyncio.sleep(1.5)
    assert not station.stub.tripped
    station.stub.meter.reads_nothing = True
    await asyncio.sleep(1.1)
    assert (station.stub.tripped, station.status().cause) == (True, TripCause.VOLTMETER)
    station.plant.potential_v.clear()
    await asyncio.sleep(1.0)
    assert station.status().flags & plc.DISCHARGING
    assert not station.status().voltage_free
    station.stub.reset()
    await asyncio.sleep(0.1)
    assert station.status().voltage_free


@on_loop
async def test_nothing_is_proved_free_by_resistors_that_are_not_connected() -> None:
    station = PlcStation()
    await asyncio.sleep(0.1)
    assert station.status().voltage_free
    station.stub.energy.break_discharge(station.loop.time())
    await asyncio.sleep(0.1)
    assert (station.plant.closed(Element.DISCHARGE), station.plant.closed(Element.PE_PROOF)) == (False, False)
    assert not station.status().voltage_free
    await station.permitted()
    station.request(permit=False)
    await asyncio.sleep(5.6)
    assert (station.stub.tripped, station.status().cause) == (True, TripCause.SAFE_STOP_TIMEOUT)
    assert not station.plant.closed(Element.DISCHARGE)


@on_loop
async def test_nothing_is_proved_free_while_permitted() -> None:
    station = PlcStation()
    await station.permitted()
    assert not station.status().voltage_free
    assert station.voltages()[2:4] == (None, None)


@on_loop
async def test_the_cyclic_frames_show_what_is_there_and_count() -> None:
    station = PlcStation(FakePlant({Node.P: 65.0}))
    seen = []
    for _ in range(20):
        await asyncio.sleep(0.02)
        seen.append(station.voltages())
    assert all((after.alive - before.alive) % 16 == 1 for before, after in pairwise(seen))
    assert all(volts.u_pn is not None and abs(volts.u_pn - 65.0) < 4.0 for volts in seen)
    assert not station.status().voltage_free
    station.plant.potential_v.clear()
    await asyncio.sleep(0.02)
    assert station.status().voltage_free


def _session(seed: int) -> list[bytes]:
    async def main() -> list[bytes]:
        station = PlcStation(FakePlant({Node.P: 20.0}), seed)
        heard: list[bytes] = []
        station.bus.station.push([plc.CHALLENGE_ID, plc.STATUS_CHANGED_ID], lambda frame: heard.append(frame.data))
        await station.permitted()
        station.request(permit=False)
        await asyncio.sleep(1.0)
        for can_id in (plc.STATUS_ID, plc.VOLTAGES_ID):
            frame = station.bus.station.newest(can_id)
            assert frame is not None
            heard.append(frame.data)
        return heard

    return new_loop().run_until(main(), 10.0)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert _session(1) == _session(1)
    assert _session(1) != _session(2)
