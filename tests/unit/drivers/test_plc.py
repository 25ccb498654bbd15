"""The PLC driver against frames a test sends by hand: what it believes, what it sends, what it raises."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Challenge, PlcStatus, TripCause
from bmsctl.domain.units import Second
from bmsctl.drivers.plc import CanPlc
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, LinkDown
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from firmware_stubs.ports import Cyclic
from firmware_stubs.sim.loop import run
from firmware_stubs.sim.wire import SimCan

CLOSED = plc.GUARD_CLOSED | plc.ESTOP_RELEASED
SAFE = CLOSED | plc.DISCHARGING
LIVE = CLOSED | plc.PERMISSIVE


class Peer:
    """A PLC played by the test."""

    def __init__(self) -> None:
        self.bus = SimCan("plc")
        self.port = self.bus.ecu("plc")
        self.requests: list[plc.Request] = []
        self.replies: list[plc.Reply] = []
        self.challenges: list[Challenge] = []
        self.statuses: list[PlcStatus] = []
        self.on_request: Callable[[plc.Request], None] = lambda request: None
        self.flags = SAFE
        self.echo = 0
        self.volts: tuple[float | None, float | None, float | None, float | None] = (1.0, 2.0, 3.0, -4.0)
        self.air_c: float | None = 21.5
        self.adapter = 52
        self.frozen = False
        self.port.listen([plc.REQUEST_ID], self._requested)
        self.port.listen([plc.ANSWER_ID], self._answered)
        self.driver = CanPlc(self.bus.station)
        self.driver.listen(self.challenges.append, self.statuses.append)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("plc", 1.0)

    def cyclic(self) -> None:
        def alive(n: int) -> int:
            return 5 if self.frozen else n & 0xF

        def status(n: int, t_s: float) -> bytes:
            return plc.encode_status(plc.Status(self.flags, True, TripCause.NONE, Refusal.NONE, self.echo, alive(n)))

        def voltages(n: int, t_s: float) -> bytes:
            return plc.encode_voltages(plc.Voltages(*self.volts, alive(n)))

        def sense(n: int, t_s: float) -> bytes:
            return plc.encode_sense(plc.Sense(self.air_c, self.adapter, alive(n)))

        self.port.start(
            [
                Cyclic(plc.STATUS_ID, 0.02, status),
                Cyclic(plc.VOLTAGES_ID, 0.02, voltages),
                Cyclic(plc.SENSE_ID, 0.5, sense),
            ]
        )

    def change(self, flags: int, refusal: Refusal = Refusal.NONE, cause: TripCause = TripCause.NONE) -> None:
        self.flags = flags
        data = plc.encode_status(plc.Status(flags, False, cause, refusal, self.echo, 0), plc.STATUS_CHANGED_ID)
        self.port.emit(CanFrame(plc.STATUS_CHANGED_ID, data))

    def challenge(self, sequence: int, nonce: int, flags: int) -> None:
        self.port.emit(CanFrame(plc.CHALLENGE_ID, plc.encode_challenge(plc.Question(sequence, nonce, flags))))

    def obey(self, request: plc.Request) -> None:
        self.echo = request.alive
        supply = request.kl30 * plc.KL30 | request.kl15 * plc.KL15 | request.hvil * plc.HVIL_BRIDGED
        self.change((LIVE | request.coils * plc.COIL_SUPPLY if request.permit else SAFE) | supply)

    def _requested(self, frame: CanFrame) -> None:
        request = plc.decode_request(frame.data)
        assert request is not None
        self.requests.append(request)
        self.on_request(request)

    def _answered(self, frame: CanFrame) -> None:
        reply = plc.decode_answer(frame.data)
        assert reply is not None
        self.replies.append(reply)


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an async test in virtual time."""

    def start() -> None:
        run(test(), 60.0)

    start.__name__ = test.__name__
    return start


@on_loop
async def test_challenges_are_delivered_and_answered_under_the_token() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    peer.challenge(1, 0x12345678, SAFE)
    await asyncio.sleep(0.01)
    assert [(c.sequence, c.nonce) for c in peer.challenges] == [(1, 0x12345678)]
    peer.driver.answer(peer.challenges[0])
    await peer.driver.permit(peer.lease, 0x1267)
    peer.driver.answer(peer.challenges[0])
    await asyncio.sleep(0.01)
    assert peer.replies == [plc.Reply(1, zlib.crc32(bytes.fromhex("785634120000"))), plc.Reply(1, 0x580E80A4)]


@on_loop
async def test_a_damaged_or_repeated_challenge_is_no_question() -> None:
    peer = Peer()
    peer.challenge(1, 7, SAFE)
    peer.challenge(1, 7, SAFE)
    peer.port.emit(CanFrame(plc.CHALLENGE_ID, bytes(8)))
    await asyncio.sleep(0.01)
    assert len(peer.challenges) == 1
    assert peer.driver.errors == 2


@on_loop
async def test_permit_returns_when_the_plc_reports_it_and_touches_the_lease() -> None:
    peer = Peer()
    reported: list[float] = []
    loop = asyncio.get_running_loop()

    def grant() -> None:
        reported.append(loop.time())
        peer.change(LIVE)

    def later(request: plc.Request) -> None:
        peer.echo = request.alive
        peer.change(SAFE)
        loop.call_later(0.015, grant)

    peer.on_request = later
    await peer.driver.permit(peer.lease, 99)
    assert loop.time() >= reported[0]
    assert peer.requests == [plc.Request(True, False, False, True, True, 99, 1)]
    before = len(peer.requests)
    await asyncio.sleep(0.9)
    await peer.driver.permit(peer.lease, 99)
    await asyncio.sleep(0.9)
    assert len(peer.requests) == before
    assert peer.lease.fresh


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (Refusal.GUARD_OPEN, "guard"),
        (Refusal.ESTOP_PRESSED, "emergency stop"),
        (Refusal.TRIPPED, "tripped"),
        (Refusal.TOKEN_USED, "token"),
        (Refusal.NO_ANSWER, "challenges"),
        (Refusal.STOPPING, "safe stop"),
        (Refusal.POLES_LIVE, "below 60 V"),
    ],
)
def test_a_refusal_says_what_forbids_it_and_the_wish_is_withdrawn(refusal: Refusal, text: str) -> None:
    async def main() -> None:
        peer = Peer()

        def refuse(request: plc.Request) -> None:
            peer.echo = request.alive
            peer.change(SAFE, refusal if request.permit else Refusal.NONE)

        peer.on_request = refuse
        with pytest.raises(DeviceRefused, match=text):
            await peer.driver.permit(peer.lease, 99)
        await asyncio.sleep(0.01)
        assert [request.permit for request in peer.requests] == [True, False]

    run(main(), 10.0)


@pytest.mark.parametrize("token", [0, -1, 0x10000])
def test_what_is_no_token_is_not_sent(token: int) -> None:
    async def main() -> None:
        peer = Peer()
        with pytest.raises(DeviceRefused):
            await peer.driver.permit(peer.lease, token)
        await asyncio.sleep(0.01)
        assert peer.requests == []

    run(main(), 10.0)


@on_loop
async def test_a_plc_that_says_nothing_is_a_timeout_and_the_wish_is_withdrawn() -> None:
    peer = Peer()
    with pytest.raises(DeviceTimeout, match="plc"):
        await peer.driver.permit(peer.lease, 99)
    await asyncio.sleep(0.01)
    assert [request.permit for request in peer.requests] == [True, False]


@on_loop
async def test_a_permissive_reported_before_the_request_is_none() -> None:
    peer = Peer()
    peer.change(LIVE)
    await asyncio.sleep(0.01)
    with pytest.raises(DeviceTimeout):
        await peer.driver.permit(peer.lease, 99)


@on_loop
async def test_a_lost_change_is_found_in_the_cyclic_status() -> None:
    peer = Peer()
    peer.cyclic()

    def silently(request: plc.Request) -> None:
        peer.port.settle()
        peer.echo, peer.flags = request.alive, LIVE

    peer.on_request = silently
    await peer.driver.permit(peer.lease, 99)
    assert peer.statuses[-1].permissive

    peer.flags = CLOSED | plc.TRIPPED
    await asyncio.sleep(0.05)
    assert peer.statuses[-1].permissive
    peer.challenge(1, 7, peer.flags)
    await asyncio.sleep(0.01)
    assert (peer.statuses[-1].permissive, peer.statuses[-1].tripped) == (False, True)


@on_loop
async def test_a_revoked_lease_sends_nothing() -> None:
    peer = Peer()
    peer.lease.revoked = True
    with pytest.raises(LeaseRevoked):
        await peer.driver.permit(peer.lease, 99)
    with pytest.raises(LeaseRevoked):
        await peer.driver.supply(peer.lease, kl30=True, kl15=True)
    await asyncio.sleep(0.01)
    assert peer.requests == []
    peer.driver.drop_permit()
    await asyncio.sleep(0.01)
    assert [(request.permit, request.kl30) for request in peer.requests] == [(False, False)]


@on_loop
async def test_dropping_and_switching_off_survive_a_dead_bus() -> None:
    peer = Peer()
    peer.bus.station.go_bus_off()
    peer.driver.drop_permit()
    peer.driver.supply_off()
    peer.driver.answer(Challenge(1, 2, 0.0))
    with pytest.raises(LinkDown):
        await peer.driver.permit(peer.lease, 99)


@on_loop
async def test_supply_keeps_the_permit_and_a_withdrawn_permit_is_not_asked_for_again() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    await peer.driver.permit(peer.lease, 99)
    await peer.driver.supply(peer.lease, kl30=True, kl15=False)
    assert peer.requests[-1] == plc.Request(True, True, False, True, True, 99, 2)
    peer.change(SAFE | plc.KL30 | plc.TRIPPED, cause=TripCause.ESTOP)
    await asyncio.sleep(0.01)
    await peer.driver.supply(peer.lease, kl30=True, kl15=True)
    assert peer.requests[-1] == plc.Request(False, True, True, True, True, 99, 3)
    peer.driver.supply_off()
    await asyncio.sleep(0.01)
    assert peer.requests[-1] == plc.Request(False, False, False, True, True, 99, 4)


@on_loop
async def test_supply_waits_for_this_request_not_for_the_state_before() -> None:
    peer = Peer()
    peer.echo = 1
    peer.change(SAFE | plc.KL30 | plc.KL15)
    await asyncio.sleep(0.01)
    with pytest.raises(DeviceTimeout):
        await peer.driver.supply(peer.lease, kl30=True, kl15=True)


@on_loop
async def test_status_changes_are_delivered_once_with_all_their_meaning() -> None:
    peer = Peer()
    peer.change(SAFE | plc.TRIPPED, cause=TripCause.GUARD)
    peer.change(SAFE | plc.TRIPPED, cause=TripCause.GUARD)
    await asyncio.sleep(0.01)
    assert len(peer.statuses) == 1
    status = peer.statuses[0]
    assert (status.tripped, status.cause, status.discharging, status.permissive) == (True, TripCause.GUARD, True, False)
    assert status.t_s == pytest.approx(0.00025)


@on_loop
async def test_status_is_the_newest_good_one_and_shows_its_age() -> None:
    peer = Peer()
    assert peer.driver.status() is None
    peer.cyclic()
    await asyncio.sleep(1.005)
    status = peer.driver.status()
    assert status is not None
    assert status.voltage_free
    assert status.t_s == pytest.approx(1.00025)
    peer.port.mute(True)
    await asyncio.sleep(1.0)
    assert peer.driver.status() == status


@on_loop
async def test_a_frozen_counter_does_not_refresh_the_status() -> None:
    peer = Peer()
    peer.cyclic()
    await asyncio.sleep(0.105)
    peer.frozen = True
    peer.driver.status()
    await asyncio.sleep(0.02)
    frozen = peer.driver.status()
    for _ in range(10):
        await asyncio.sleep(0.02)
        assert peer.driver.status() == frozen
    assert peer.driver.errors >= 10


@on_loop
async def test_voltages_are_the_next_after_the_call() -> None:
    peer = Peer()
    peer.cyclic()
    await asyncio.sleep(1.005)
    volts = await peer.driver.voltages(Second(0.5))
    assert (volts.u_pn, volts.u_link, volts.u_p_pe, volts.u_n_pe) == (1.0, 2.0, 3.0, -4.0)
    assert volts.t_s == pytest.approx(1.02025)


@on_loop
async def test_a_missing_voltage_is_waited_for_and_never_a_number() -> None:
    peer = Peer()
    peer.volts = (1.0, 2.0, None, None)
    peer.cyclic()

    def measured() -> None:
        peer.port.settle()
        peer.volts = (1.0, 2.0, 3.0, 4.0)

    asyncio.get_running_loop().call_later(0.1, measured)
    assert (await peer.driver.voltages(Second(0.5))).t_s > 0.1
    peer.volts = (1.0, None, 3.0, 4.0)
    with pytest.raises(DeviceTimeout, match="no set of voltages"):
        await peer.driver.voltages(Second(0.5))


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "frozen"])
def test_a_silent_or_frozen_plc_has_no_voltages(silent: bool) -> None:
    async def main() -> None:
        peer = Peer()
        peer.cyclic()
        await asyncio.sleep(1.0)
        peer.driver.status()
        peer.port.mute(silent)
        peer.frozen = not silent
        peer.volts = (1.0, 2.0, None, None) if not silent else peer.volts
        with pytest.raises(DeviceTimeout):
            await peer.driver.voltages(Second(0.3))
        assert peer.driver.errors >= (0 if silent else 10)

    run(main(), 10.0)


@on_loop
async def test_coils_are_cut_and_fed_under_the_permit_and_a_new_permit_begins_with_them_fed() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    await peer.driver.permit(peer.lease, 99)
    await peer.driver.feed_coils(peer.lease, False)
    assert peer.requests[-1] == plc.Request(True, False, False, False, True, 99, 2)
    assert peer.statuses[-1].permissive
    assert not peer.statuses[-1].coil_supply
    await peer.driver.supply(peer.lease, kl30=True, kl15=True)
    assert not peer.requests[-1].coils
    await peer.driver.feed_coils(peer.lease, True)
    assert peer.statuses[-1].coil_supply
    await peer.driver.feed_coils(peer.lease, False)
    peer.driver.drop_permit()
    await asyncio.sleep(0.01)
    await peer.driver.permit(peer.lease, 100)
    assert peer.requests[-1].coils


@on_loop
async def test_coils_are_not_fed_without_permit_but_cut() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    with pytest.raises(DeviceRefused, match="permitted"):
        await peer.driver.feed_coils(peer.lease, True)
    assert peer.requests == []
    await peer.driver.feed_coils(peer.lease, False)
    assert not peer.requests[-1].coils


@on_loop
async def test_feeding_coils_in_doubt_is_asked_once_and_taken_back() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    await peer.driver.permit(peer.lease, 99)
    await peer.driver.feed_coils(peer.lease, False)
    peer.on_request = lambda request: None
    before = len(peer.requests)
    with pytest.raises(DeviceTimeout):
        await peer.driver.feed_coils(peer.lease, True)
    await asyncio.sleep(0.01)
    assert [(request.permit, request.coils) for request in peer.requests[before:]] == [(True, True), (True, False)]


@on_loop
async def test_bridging_tells_when_the_plc_reported_it_and_switching_off_bridges_again() -> None:
    peer = Peer()
    loop = asyncio.get_running_loop()

    def later(request: plc.Request) -> None:
        loop.call_later(0.015, peer.obey, request)

    peer.on_request = later
    opened_s = await peer.driver.bridge_hvil(peer.lease, False)
    assert opened_s == loop.time() == pytest.approx(0.015 + 2 * 0.00025)
    assert not peer.statuses[-1].hvil_bridged
    await asyncio.sleep(1.0)
    closed_s = await peer.driver.bridge_hvil(peer.lease, True)
    assert closed_s == pytest.approx(opened_s + 1.0 + 0.0155)
    assert peer.statuses[-1].hvil_bridged
    assert [request.hvil for request in peer.requests] == [False, True]
    await peer.driver.bridge_hvil(peer.lease, False)
    peer.driver.supply_off()
    await asyncio.sleep(0.1)
    assert peer.statuses[-1].hvil_bridged


@on_loop
async def test_a_revoked_lease_neither_feeds_coils_nor_bridges() -> None:
    peer = Peer()
    peer.on_request = peer.obey
    await peer.driver.permit(peer.lease, 99)
    peer.lease.revoked = True
    before = len(peer.requests)
    for call in (peer.driver.feed_coils(peer.lease, True), peer.driver.bridge_hvil(peer.lease, True)):
        with pytest.raises(LeaseRevoked):
            await call
    await asyncio.sleep(0.01)
    assert len(peer.requests) == before


@pytest.mark.parametrize(("code", "adapter"), [(52, 52), (1, 1), (254, 254), (0, None), (255, None)])
def test_sense_is_the_next_after_the_call_and_a_broken_coding_no_adapter(code: int, adapter: int | None) -> None:
    async def main() -> None:
        peer = Peer()
        peer.adapter = code
        peer.cyclic()
        await asyncio.sleep(0.6)
        sense = await peer.driver.sense(Second(1.0))
        assert (sense.air, sense.adapter) == (21.5, adapter)
        assert sense.t_s == pytest.approx(1.00025)

    run(main(), 10.0)


@pytest.mark.parametrize("fault", ["silent", "frozen", "broken"])
def test_an_air_temperature_that_is_old_or_missing_is_none(fault: str) -> None:
    async def main() -> None:
        peer = Peer()
        peer.cyclic()
        await asyncio.sleep(0.1)
        peer.frozen = fault == "frozen"
        await peer.driver.sense(Second(1.0))
        peer.port.mute(fault == "silent")
        peer.air_c = None if fault == "broken" else 21.5
        with pytest.raises(DeviceTimeout, match="air temperature"):
            await peer.driver.sense(Second(1.2))

    run(main(), 10.0)


@on_loop
async def test_after_a_restart_requests_go_on_where_the_plc_last_read() -> None:
    peer = Peer()
    peer.echo = 15
    peer.cyclic()
    await asyncio.sleep(0.1)
    peer.driver.drop_permit()
    await asyncio.sleep(0.01)
    assert [request.alive for request in peer.requests] == [0]
