"""The HV matrix as a device: which sets it closes, when it moves, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set
from itertools import combinations

import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Route
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Feedback, Refusal
from firmware_stubs.matrix import LEGAL_SETS, MatrixStub
from firmware_stubs.plant import Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimCan
from tests.support.fake_plant import FakePlant

D, L, C, CYCLER = Route.DIGITIZER, Route.LOAD, Route.LINK_CAPACITOR, Route.CYCLER
INSULATION, WITHSTAND = Route.INSULATION_TESTER, Route.WITHSTAND_TESTER
PLUS, MINUS = Route.TESTER_PLUS, Route.TESTER_MINUS
TESTERS = (INSULATION, WITHSTAND)
HOT = {Node.P: 350.0}


class Station:
    """Sends raw requests, remembers every FeedbackChanged."""

    def __init__(self, *, fed: bool = True) -> None:
        self.plant = FakePlant()
        self.bus = SimCan("matrix")
        self.stub = MatrixStub(self.bus.ecu("matrix"), self.plant, 1)
        self.stub.feed(fed)
        self.alive = 0
        self.changes: list[tuple[float, Feedback]] = []
        self.bus.station.latch([matrix.FEEDBACK_ID])
        self.bus.station.push([matrix.FEEDBACK_CHANGED_ID], self._changed)

    async def request(self, routes: Set[Route], alive: int | None = None) -> Feedback:
        """Request, and the feedback once all has come to rest."""
        self.alive = (self.alive + 1) % 16 if alive is None else alive
        data = matrix.encode_request(matrix.Request(routes, self.alive))
        self.bus.station.send(CanFrame(matrix.REQUEST_ID, data))
        await asyncio.sleep(0.1)
        return self.feedback()

    def feedback(self) -> Feedback:
        frame = self.bus.station.newest(matrix.FEEDBACK_ID)
        assert frame is not None
        feedback = matrix.decode_feedback(frame.data)
        assert feedback is not None
        return feedback

    def _changed(self, frame: CanFrame) -> None:
        feedback = matrix.decode_feedback(frame.data, matrix.FEEDBACK_CHANGED_ID)
        assert feedback is not None
        self.changes.append((frame.t_s, feedback))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def all_sets() -> list[frozenset[Route]]:
    return [frozenset(chosen) for n in range(9) for chosen in combinations(Route, n)]


def test_a_set_is_closed_exactly_if_it_is_legal() -> None:
    async def main() -> None:
        for routes in all_sets():
            station = Station()
            feedback = await station.request(routes)
            if routes in LEGAL_SETS:
                assert (feedback.routes, feedback.refusal, feedback.fault) == (routes, Refusal.NONE, False)
            else:
                assert (feedback.routes, feedback.refusal) == (frozenset(), Refusal.ILLEGAL_SET)

    run(main)


def test_no_legal_set_brings_a_tester_together_with_anything_or_a_source_onto_the_load() -> None:
    for routes in LEGAL_SETS:
        assert not routes & {*TESTERS, PLUS, MINUS} or len(routes & set(TESTERS)) == 1
        assert not routes & set(TESTERS) or routes <= {*TESTERS, PLUS, MINUS}
        assert WITHSTAND not in routes or routes >= {PLUS, MINUS}
        assert CYCLER not in routes or (L not in routes and D in routes)
    for tester in TESTERS:
        assert {tester} not in LEGAL_SETS
    for wanted in ({D, L}, {D, L, C}, {INSULATION, PLUS}, {INSULATION, MINUS}, {INSULATION, PLUS, MINUS}):
        assert wanted in LEGAL_SETS


def test_a_route_takes_a_relay_time_and_is_reported_when_its_contact_has_closed() -> None:
    async def main() -> None:
        station = Station()
        await station.request({D, L})
        asked, done = station.changes
        assert (asked[1].moving, asked[1].routes) == (True, frozenset())
        assert (done[1].moving, done[1].routes, done[1].echo) == (False, {D, L}, 1)
        assert 0.014 <= done[0] - asked[0] <= 0.016
        assert [(what, on) for _, what, on in station.plant.log] == [("digitizer", True), ("load", True)]

    run(main)


def test_what_opens_opens_before_anything_closes() -> None:
    async def main() -> None:
        station = Station()
        await station.request({D, L})
        station.plant.log.clear()
        await station.request({D, C})
        (opened_s, opened, _), (closed_s, closed, _) = station.plant.log
        assert (opened, closed) == ("load", "link_capacitor")
        assert 0.014 <= closed_s - opened_s <= 0.016

    run(main)


@pytest.mark.parametrize(
    ("before", "after", "potential_v", "refusal"),
    [
        ({D}, {D, L}, HOT, Refusal.NONE),
        ({D, L}, {D}, HOT, Refusal.NONE),
        ({D, C}, {D, C, L}, HOT, Refusal.NONE),
        ({D, L}, {L}, HOT, Refusal.HOT),
        ({D, L}, {D, L, C}, HOT, Refusal.HOT),
        ({D, L, C}, {D, L}, HOT, Refusal.HOT),
        ({D, L, C}, frozenset(), {Node.P: -350.0}, Refusal.HOT),
        ({D}, {D, C}, {Node.LINK: 350.0}, Refusal.HOT),
        ({D}, {D, L}, {Node.LINK: 350.0}, Refusal.NONE),
        ({D, C}, frozenset(), {Node.P: 59.0, Node.LINK: 59.0}, Refusal.NONE),
        ({D}, {D, CYCLER}, {Node.P: 61.0}, Refusal.HOT),
        ({D}, {D, CYCLER}, {Node.CYCLER: 61.0}, Refusal.HOT),
        ({D}, {D, CYCLER}, {Node.P: 200.0, Node.N: 200.0, Node.CYCLER: 200.0}, Refusal.NONE),
        ({D, CYCLER}, {D}, {Node.CYCLER: -61.0}, Refusal.HOT),
        ({D, CYCLER}, {D, CYCLER, C}, {Node.CYCLER: 61.0}, Refusal.NONE),
        (frozenset(), {INSULATION, PLUS}, {Node.P: 59.0, Node.N: 59.0, Node.TESTER: 59.0}, Refusal.NONE),
        (frozenset(), {INSULATION, PLUS}, {Node.P: 61.0, Node.N: 61.0}, Refusal.HOT),
        (frozenset(), {INSULATION, PLUS}, {Node.P: 50.0, Node.N: -50.0}, Refusal.HOT),
        (frozenset(), {INSULATION, MINUS}, {Node.TESTER: 500.0}, Refusal.HOT),
        ({INSULATION, PLUS}, {INSULATION, PLUS, MINUS}, {Node.P: -61.0, Node.N: -61.0}, Refusal.HOT),
        ({INSULATION, PLUS, MINUS}, frozenset(), {Node.P: 500.0, Node.N: 500.0, Node.TESTER: 500.0}, Refusal.HOT),
        ({INSULATION, PLUS}, {INSULATION, MINUS}, {}, Refusal.NONE),
        ({INSULATION, PLUS, MINUS}, {WITHSTAND, PLUS, MINUS}, {}, Refusal.NONE),
    ],
)
def test_only_the_load_moves_under_voltage(
    before: Set[Route], after: Set[Route], potential_v: dict[Node, float], refusal: Refusal
) -> None:
    async def main() -> None:
        station = Station()
        await station.request(before)
        station.plant.potential_v = potential_v
        feedback = await station.request(after)
        assert feedback.refusal is refusal
        assert feedback.routes == (after if refusal is Refusal.NONE else before)

    run(main)


@pytest.mark.parametrize(
    ("before", "after", "potential_v", "found"),
    [
        (frozenset(), {INSULATION, PLUS}, {Node.TESTER: 500.0}, frozenset()),
        ({D, L}, {D, C, CYCLER}, {Node.CYCLER: 61.0}, {D}),
        ({D}, {D, L}, HOT, {D, L}),
    ],
)
def test_a_contact_does_not_close_on_a_voltage_that_came_while_it_moved(
    before: Set[Route], after: Set[Route], potential_v: dict[Node, float], found: Set[Route]
) -> None:
    async def main() -> None:
        station = Station()
        await station.request(before)
        station.alive += 1
        data = matrix.encode_request(matrix.Request(after, station.alive))
        station.bus.station.send(CanFrame(matrix.REQUEST_ID, data))
        await asyncio.sleep(0.010)
        assert station.changes[-1][1].moving
        station.plant.potential_v = potential_v
        await asyncio.sleep(0.1)
        feedback = station.changes[-1][1]
        assert (feedback.routes, feedback.moving, feedback.fault) == (found, False, False)
        assert feedback.refusal is (Refusal.NONE if found == after else Refusal.HOT)
        assert feedback.echo == station.alive
        station.plant.potential_v = {}
        assert (await station.request(after)).routes == after

    run(main)


def test_without_feed_only_the_digitizer_can_be_routed_and_stays() -> None:
    async def main() -> None:
        station = Station(fed=False)
        assert (await station.request({D, L})).refusal is Refusal.NO_FEED
        assert (await station.request({D})).routes == {D}
        station.stub.feed(True)
        assert (await station.request({D, L, C})).routes == {D, L, C}
        station.plant.potential_v = HOT
        station.stub.feed(False)
        await asyncio.sleep(0.1)
        assert (station.feedback().routes, station.feedback().refusal) == ({D}, Refusal.NO_FEED)
        station.stub.feed(True)
        await asyncio.sleep(0.1)
        assert station.feedback().routes == {D}

    run(main)


@pytest.mark.parametrize(
    ("routes", "elements"),
    [
        ({D, CYCLER}, ["digitizer", "cycler"]),
        ({INSULATION, PLUS}, ["tester_plus"]),
        ({INSULATION, MINUS}, ["tester_minus"]),
        ({WITHSTAND, PLUS, MINUS}, ["tester_plus", "tester_minus"]),
    ],
)
def test_a_route_connects_its_element(routes: Set[Route], elements: list[str]) -> None:
    async def main() -> None:
        station = Station()
        await station.request(routes)
        assert [(what, on) for _, what, on in station.plant.log] == [(element, True) for element in elements]
        await station.request(frozenset())
        assert [what for _, what, on in station.plant.log if not on] == elements

    run(main)


@pytest.mark.parametrize("routes", [{INSULATION, PLUS}, {WITHSTAND, PLUS, MINUS}])
def test_a_tester_is_refused_while_the_coils_are_fed_and_drops_before_a_contactor_can_close(
    routes: Set[Route],
) -> None:
    async def main() -> None:
        station = Station()
        station.stub.coils(True)
        assert (await station.request(routes)).refusal is Refusal.COILS_FED
        assert (await station.request({D, L})).routes == {D, L}
        station.stub.coils(False)
        assert (await station.request(routes)).routes == routes
        station.plant.potential_v = {Node.P: 2000.0, Node.N: 2000.0, Node.TESTER: 2000.0}
        station.stub.coils(True)
        await asyncio.sleep(0.0165)
        assert station.changes[-1][1][:4] == (frozenset(), Refusal.COILS_FED, False, False)
        station.stub.coils(False)
        await asyncio.sleep(0.1)
        assert station.feedback().routes == frozenset()

    run(main)


def test_other_routes_stay_when_the_coils_are_fed() -> None:
    async def main() -> None:
        station = Station()
        await station.request({D, CYCLER})
        station.stub.coils(True)
        await asyncio.sleep(0.1)
        assert (station.feedback().routes, station.feedback().refusal) == ({D, CYCLER}, Refusal.NONE)

    run(main)


def test_the_feed_gone_while_relays_move_leaves_nothing_closed() -> None:
    async def main() -> None:
        station = Station()
        data = matrix.encode_request(matrix.Request({L, C}, 1))
        station.bus.station.send(CanFrame(matrix.REQUEST_ID, data))
        await asyncio.sleep(0.010)
        station.stub.feed(False)
        await asyncio.sleep(0.1)
        assert station.feedback().routes == frozenset()
        assert station.plant.log == []

    run(main)


def test_a_repeated_request_only_opens() -> None:
    async def main() -> None:
        station = Station()
        await station.request({D, L})
        assert (await station.request({D, L, C}, alive=1)).refusal is Refusal.REPEATED
        assert (await station.request({D}, alive=1)).routes == {D}

    run(main)


def test_a_damaged_request_is_none() -> None:
    async def main() -> None:
        station = Station()
        data = bytearray(matrix.encode_request(matrix.Request({D}, 1)))
        data[0] |= 0x02
        station.bus.station.send(CanFrame(matrix.REQUEST_ID, bytes(data)))
        await asyncio.sleep(0.1)
        assert station.feedback().routes == frozenset()
        assert station.changes == []

    run(main)


def test_a_stuck_relay_is_a_fault_and_its_contact_is_told_as_it_is() -> None:
    async def main() -> None:
        station = Station()
        station.stub.stuck = frozenset({L})
        feedback = await station.request({D, L})
        assert (feedback.routes, feedback.fault) == ({D}, True)
        feedback = await station.request({D})
        assert (feedback.routes, feedback.fault) == ({D}, False)

    run(main)
