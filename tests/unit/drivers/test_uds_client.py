"""UDS client against a scripted server: what it believes, how long it waits, what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid
from bmsctl.protocols import uds
from bmsctl.protocols.isotp import IsoTp
from bmsctl.protocols.uds import RoutineAction, Session
from firmware_stubs.sim.loop import VirtualLoop
from firmware_stubs.sim.wire import SimCan


class Server:
    """Answers each request with the next line of its script: (delay, message) pairs."""

    def __init__(self, *script: list[tuple[float, str]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = SimCan("bms")
        self.port = self.bus.ecu("bms")
        self.script = list(script)
        self.requests: list[tuple[float, str]] = []
        self.functional: list[tuple[float, str]] = []
        self.isotp = IsoTp(self.loop, self.emit, self.received, lambda fault: None)
        self.port.listen([uds.REQUEST_ID], lambda frame: self.isotp.frame(frame.data))
        self.port.listen([uds.FUNCTIONAL_ID], self.heard)
        self.client = UdsClient(self.bus.station, "bms", key=lambda seed: seed[::-1])
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)

    def emit(self, data: bytes) -> None:
        self.port.emit(CanFrame(uds.ANSWER_ID, data, extended=True))

    def heard(self, frame: CanFrame) -> None:
        self.functional.append((self.loop.time(), frame.data.hex()))

    def received(self, request: bytes) -> None:
        self.requests.append((self.loop.time(), request.hex().upper()))
        for delay_s, message in self.script.pop(0) if self.script else []:
            self.loop.call_later(delay_s, self.isotp.transmit, bytes.fromhex(message))


def simulate(main: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    loop.run_until(main(), 120.0)
    assert loop.errors == []


def test_short_and_long_answers() -> None:
    async def main() -> None:
        serial = "62901B" + b"AS52000000001".ljust(25).hex()
        server = Server([(0.01, "62F187" + b"295B00001R".hex())], [(0.02, serial)])
        assert await server.client.read(server.lease, 0xF187) == b"295B00001R"
        assert await server.client.read(server.lease, 0x901B) == b"AS52000000001".ljust(25)
        assert [request for _, request in server.requests] == ["22F187", "22901B"]

    simulate(main)


def test_a_refusal_names_its_code() -> None:
    async def main() -> None:
        server = Server([(0.01, "7F2E33")])
        with pytest.raises(DeviceRefused, match=r"bms: 2E 91E901 refused: 0x33 security access denied"):
            await server.client.write(server.lease, 0x91E9, b"\x01")

    simulate(main)


def test_silence_is_a_timeout_after_150_ms_and_the_next_request_waits() -> None:
    async def main() -> None:
        server = Server([], [(0.01, "62F18C41")])
        with pytest.raises(DeviceTimeout, match="no answer to 22 F187"):
            await server.client.read(server.lease, 0xF187)
        assert server.loop.time() == pytest.approx(0.15)
        assert await server.client.read(server.lease, 0xF18C) == b"A"
        assert server.requests[1][0] == pytest.approx(0.3, abs=1e-3)

    simulate(main)


@pytest.mark.parametrize("late_s", [0.2, 0.29])
def test_a_late_answer_is_never_taken_for_that_of_the_same_request_again(late_s: float) -> None:
    async def main() -> None:
        server = Server([(late_s, "62F1874F4C44")], [(0.05, "62F1874E4557")])
        with pytest.raises(DeviceTimeout):
            await server.client.read(server.lease, 0xF187)
        assert await server.client.read(server.lease, 0xF187) == b"NEW"

    simulate(main)


def test_answers_that_belong_to_something_else_are_dropped() -> None:
    async def main() -> None:
        strays = [(0.01, "62F18C41"), (0.02, "6EF187"), (0.03, "7F2E31"), (0.04, "7F2E78")]
        server = Server([*strays, (0.06, "62F18742")])
        assert await server.client.read(server.lease, 0xF187) == b"B"

    simulate(main)


def test_a_long_answer_that_belongs_to_something_else_gains_no_time() -> None:
    async def main() -> None:
        server = Server([(0.01, "6EF187" + b"295B00001R".hex())])
        with pytest.raises(DeviceTimeout, match="no answer to 22 F187; check the signal connector"):
            await server.client.read(server.lease, 0xF187)
        assert server.loop.time() == pytest.approx(0.15)

    simulate(main)


def test_an_answer_that_is_only_ever_promised_is_given_up() -> None:
    async def main() -> None:
        server = Server([(at_s, "7F2278") for at_s in (0.01, 4.0, 8.0, 9.9)])
        with pytest.raises(DeviceTimeout, match="only ever promised an answer to 22 F187; switch the pack's 12 V off"):
            await server.client.read(server.lease, 0xF187)
        assert server.loop.time() == pytest.approx(10.0)

    simulate(main)


def test_a_wait_for_the_rest_of_a_long_answer_is_declared() -> None:
    async def main() -> None:
        server = Server([])
        server.loop.call_later(0.1, server.emit, bytes.fromhex("100D62F187AAAAAA"))
        with pytest.raises(ReplyInvalid, match="no consecutive frame for 1 s"):
            await server.client.read(server.lease, 0xF187)
        assert server.lease.fresh

    simulate(main)


def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async def main() -> None:
        server = Server([(0.1, "62F1874F4C44")], [(0.01, "62F1874E4557")])
        task = asyncio.ensure_future(server.client.read(server.lease, 0xF187))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await server.client.read(server.lease, 0xF187) == b"NEW"

    simulate(main)


def test_response_pending_is_waited_for_and_keeps_the_lease_fresh() -> None:
    async def main() -> None:
        server = Server([(0.01, "7F3178"), (4.0, "7F3178"), (8.0, "7103B01000")])
        waiting = asyncio.ensure_future(server.client.routine(server.lease, RoutineAction.RESULTS, 0xB010))
        for _ in range(79):
            await asyncio.sleep(0.1)
            assert server.lease.fresh
        assert await waiting == b"\x00"

    simulate(main)


def test_response_pending_for_ever_ends_and_is_not_believed_afterwards() -> None:
    async def main() -> None:
        pending = [(0.01 + number, "7F3178") for number in range(30)]
        server = Server(pending)
        with pytest.raises(DeviceTimeout, match="31 03B010"):
            await server.client.routine(server.lease, RoutineAction.RESULTS, 0xB010)
        assert server.loop.time() == pytest.approx(10.0)

    simulate(main)


def test_response_pending_and_then_nothing_ends_after_5_s() -> None:
    async def main() -> None:
        server = Server([(0.01, "7F3178")])
        with pytest.raises(DeviceTimeout):
            await server.client.routine(server.lease, RoutineAction.RESULTS, 0xB010)
        assert server.loop.time() == pytest.approx(5.01, abs=0.01)

    simulate(main)


def test_a_lost_consecutive_frame_is_an_invalid_reply() -> None:
    async def main() -> None:
        server = Server()
        server.received = lambda request: None  # type: ignore[method-assign]
        server.isotp = IsoTp(server.loop, server.emit, lambda request: lossy(), lambda fault: None)

        def lossy() -> None:
            server.emit(bytes.fromhex("1014 62F187 414243"))
            server.loop.call_later(0.01, server.emit, bytes.fromhex("22 41424344454647"))

        with pytest.raises(ReplyInvalid, match="consecutive frame 2 came where 1 was due"):
            await server.client.read(server.lease, 0xF187)

    simulate(main)


def test_an_answer_that_stops_half_way_is_an_invalid_reply_after_n_cr() -> None:
    async def main() -> None:
        server = Server()
        first = bytes.fromhex("1014 62F187 414243")
        server.isotp = IsoTp(server.loop, server.emit, lambda request: server.emit(first), lambda fault: None)
        with pytest.raises(ReplyInvalid, match="no consecutive frame for 1 s"):
            await server.client.read(server.lease, 0xF187)
        assert server.loop.time() == pytest.approx(1.0, abs=0.01)

    simulate(main)


def test_one_request_at_a_time() -> None:
    async def main() -> None:
        server = Server([(0.1, "62F18741")], [(0.1, "62F18C42")])
        both = await asyncio.gather(server.client.read(server.lease, 0xF187), server.client.read(server.lease, 0xF18C))
        assert both == [b"A", b"B"]
        assert server.requests[1][0] - server.requests[0][0] > 0.1

    simulate(main)


def test_a_revoked_lease_sends_nothing() -> None:
    async def main() -> None:
        server = Server()
        server.leases.revoke_all()
        with pytest.raises(LeaseRevoked):
            await server.client.read(server.lease, 0xF187)
        await asyncio.sleep(0.1)
        assert server.requests == []

    simulate(main)


def test_a_lease_revoked_in_the_middle_of_a_long_answer_sends_no_flow_control() -> None:
    async def main() -> None:
        server = Server([(0.05, "62901B" + "41" * 25)])
        reading = asyncio.ensure_future(server.client.read(server.lease, 0x901B))
        await asyncio.sleep(0.02)
        server.leases.revoke_all()
        with pytest.raises(LeaseRevoked):
            await reading

    simulate(main)


def test_bus_off_is_said() -> None:
    async def main() -> None:
        server = Server()
        server.bus.station.go_bus_off()
        with pytest.raises(LinkDown):
            await server.client.read(server.lease, 0xF187)

    simulate(main)


def test_a_session_is_kept_alive_until_it_is_left() -> None:
    async def main() -> None:
        server = Server([(0.01, "5060003201F4")], [(0.01, "5001003201F4")])
        await server.client.enter(server.lease, Session.SUPPLIER)
        assert server.client.holds(server.lease, Session.SUPPLIER)
        await asyncio.sleep(6.5)
        times_s = [round(t_s, 1) for t_s, _ in server.functional]
        assert times_s == [2.0, 4.0, 6.0]
        assert {data for _, data in server.functional} == {"023e80aaaaaaaaaa"}
        await server.client.enter(server.lease, Session.DEFAULT)
        await asyncio.sleep(10.0)
        assert len(server.functional) == 3
        assert not server.client.holds(server.lease, Session.SUPPLIER)

    simulate(main)


def test_a_revoked_lease_keeps_no_session_alive() -> None:
    async def main() -> None:
        server = Server([(0.01, "5060003201F4")])
        await server.client.enter(server.lease, Session.SUPPLIER)
        await asyncio.sleep(3.0)
        server.leases.revoke_all()
        await asyncio.sleep(10.0)
        assert len(server.functional) == 1
        assert not server.client.holds(server.lease, Session.SUPPLIER)

    simulate(main)


def test_security_access_answers_the_seed() -> None:
    async def main() -> None:
        server = Server([(0.01, "670101020304")], [(0.01, "6702")], [(0.01, "670100000000")])
        await server.client.unlock(server.lease)
        assert server.requests[1][1] == "270204030201"
        await server.client.unlock(server.lease)
        assert len(server.requests) == 3, "a seed of zeros needs no key"

    simulate(main)
