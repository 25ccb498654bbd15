"""The matrix driver against frames a test sends by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Second
from bmsctl.drivers.matrix import CanMatrix
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, LinkDown
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Feedback, Refusal
from firmware_stubs.ports import Cyclic
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimCan

D, L = Route.DIGITIZER, Route.LOAD


class Peer:
    """A matrix played by the test."""

    def __init__(self) -> None:
        self.bus = SimCan("matrix")
        self.port = self.bus.ecu("matrix")
        self.requests: list[matrix.Request] = []
        self.on_request: Callable[[matrix.Request], None] = lambda request: None
        self.cyclic = Feedback(frozenset(), Refusal.NONE, False, False, 0, 0)
        self.frozen = False
        self.port.listen([matrix.REQUEST_ID], self._requested)
        self.driver = CanMatrix(self.bus.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("matrix", 1.0)

    def start(self) -> None:
        def feedback(n: int, t_s: float) -> bytes:
            return matrix.encode_feedback(self.cyclic._replace(alive=5 if self.frozen else n & 0xF))

        self.port.start([Cyclic(matrix.FEEDBACK_ID, 0.05, feedback)])

    def change(
        self,
        routes: Set[Route],
        echo: int,
        refusal: Refusal = Refusal.NONE,
        *,
        fault: bool = False,
        moving: bool = False,
    ) -> None:
        feedback = Feedback(routes, refusal, fault, moving, echo, 0)
        data = matrix.encode_feedback(feedback, matrix.FEEDBACK_CHANGED_ID)
        self.port.emit(CanFrame(matrix.FEEDBACK_CHANGED_ID, data))

    def _requested(self, frame: CanFrame) -> None:
        request = matrix.decode_request(frame.data)
        assert request is not None
        self.requests.append(request)
        self.on_request(request)


def run(test: Callable[[], Awaitable[None]]) -> None:
    new_loop().run_until(test(), 60.0)


def test_connect_returns_when_the_contacts_have_closed_and_touches_the_lease() -> None:
    async def main() -> None:
        peer = Peer()
        loop = asyncio.get_running_loop()

        def obey(request: matrix.Request) -> None:
            peer.change(frozenset(), request.alive, moving=True)
            loop.call_later(0.015, peer.change, request.routes, request.alive)

        peer.on_request = obey
        await asyncio.sleep(0.9)
        await peer.driver.connect(peer.lease, {D, L})
        assert loop.time() == pytest.approx(0.9 + 0.015 + 2 * 0.00025)
        assert peer.requests == [matrix.Request({D, L}, 1)]
        await asyncio.sleep(0.9)
        assert peer.lease.fresh

    run(main)


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (Refusal.ILLEGAL_SET, r"digitizer \+ load exclude each other"),
        (Refusal.NO_FEED, "does not feed"),
        (Refusal.HOT, "under voltage"),
        (Refusal.REPEATED, "second sender"),
        (Refusal.COILS_FED, "coil supply"),
    ],
)
def test_a_refusal_says_why(refusal: Refusal, text: str) -> None:
    async def main() -> None:
        peer = Peer()
        peer.on_request = lambda request: peer.change(frozenset(), request.alive, refusal)
        with pytest.raises(DeviceRefused, match=text):
            await peer.driver.connect(peer.lease, {D, L})

    run(main)


@pytest.mark.parametrize(("shown", "fault"), [({D}, True), ({D}, False), ({D, L}, True)])
def test_a_contact_that_disagrees_is_refused_by_name(shown: Set[Route], fault: bool) -> None:
    async def main() -> None:
        peer = Peer()
        peer.on_request = lambda request: peer.change(shown, request.alive, fault=fault)
        with pytest.raises(DeviceRefused, match=r"instead of digitizer \+ load"):
            await peer.driver.connect(peer.lease, {D, L})

    run(main)


def test_feedback_to_an_earlier_request_or_damaged_is_no_answer() -> None:
    async def main() -> None:
        peer = Peer()
        peer.change({D}, 1)
        await asyncio.sleep(0.01)

        def late(request: matrix.Request) -> None:
            peer.change({D}, request.alive - 1 & 0xF)
            peer.port.emit(CanFrame(matrix.FEEDBACK_CHANGED_ID, bytes(8)))

        peer.on_request = late
        with pytest.raises(DeviceTimeout, match="digitizer"):
            await peer.driver.connect(peer.lease, {D})
        assert peer.driver.errors == 1

    run(main)


def test_a_lost_change_is_found_in_the_cyclic_feedback() -> None:
    async def main() -> None:
        peer = Peer()
        peer.start()

        def silently(request: matrix.Request) -> None:
            peer.cyclic = Feedback(request.routes, Refusal.NONE, False, False, request.alive, 0)

        peer.on_request = silently
        await peer.driver.connect(peer.lease, {D})

    run(main)


def test_a_revoked_lease_sends_nothing_but_open_all_goes_out() -> None:
    async def main() -> None:
        peer = Peer()
        peer.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await peer.driver.connect(peer.lease, {D})
        peer.driver.open_all()
        await asyncio.sleep(0.01)
        assert [request.routes for request in peer.requests] == [frozenset()]

    run(main)


def test_open_all_survives_a_dead_bus() -> None:
    async def main() -> None:
        peer = Peer()
        peer.bus.station.go_bus_off()
        peer.driver.open_all()
        with pytest.raises(LinkDown):
            await peer.driver.connect(peer.lease, {D})

    run(main)


def test_await_routes_returns_on_the_change() -> None:
    async def main() -> None:
        peer = Peer()
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, peer.change, {D}, 0)
        loop.call_later(0.2, peer.change, frozenset(), 0)
        await peer.driver.await_routes(frozenset(), Second(1.0))
        assert loop.time() == pytest.approx(0.20025)
        await peer.driver.await_routes(frozenset(), Second(1.0))
        assert loop.time() == pytest.approx(0.20025)

    run(main)


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "frozen"])
def test_old_feedback_is_not_believed(silent: bool) -> None:
    async def main() -> None:
        peer = Peer()
        peer.start()
        await asyncio.sleep(1.0)
        await peer.driver.await_routes(frozenset(), Second(0.3))
        peer.frozen = not silent
        await asyncio.sleep(0.06)
        await peer.driver.await_routes(frozenset(), Second(0.3))
        peer.port.mute(silent)
        await asyncio.sleep(0.4)
        with pytest.raises(DeviceTimeout):
            await peer.driver.await_routes(frozenset(), Second(0.3))

    run(main)


def test_after_a_restart_requests_go_on_where_the_matrix_last_read() -> None:
    async def main() -> None:
        peer = Peer()
        peer.cyclic = peer.cyclic._replace(echo=15)
        peer.start()
        await asyncio.sleep(0.1)
        peer.driver.open_all()
        await asyncio.sleep(0.01)
        assert [request.alive for request in peer.requests] == [0]

    run(main)
