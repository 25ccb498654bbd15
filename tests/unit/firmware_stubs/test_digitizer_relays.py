"""The relays of the digitizer's resistors: their timing, and that there are never two resistors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.ports import Resistor
from firmware_stubs.digitizer_relays import ResistorRelays
from firmware_stubs.sim.loop import new_loop
from tests.support.fake_plant import FakePlant

R0_MINUS, R0_PLUS, REFERENCE = Resistor


class Board:
    """Relays on a plant that remembers; `done_s`: when each insertion was done."""

    def __init__(self, seed: int = 1) -> None:
        self.loop = asyncio.get_running_loop()
        self.plant = FakePlant()
        self.relays = ResistorRelays(self.plant, seed)
        self.done_s: list[float] = []

    async def insert(self, resistor: Resistor | None) -> None:
        self.relays.insert(resistor, lambda: self.done_s.append(self.loop.time()))
        await asyncio.sleep(0.02)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_a_relay_has_its_delay_and_an_edge_within_50_us() -> None:
    async def main() -> None:
        means_s = []
        for seed in range(8):
            board = Board(seed)
            delays_s = []
            for _ in range(50):
                begun_s = board.loop.time()
                await board.insert(R0_PLUS)
                delays_s.append(board.plant.log[-1][0] - begun_s)
                await board.insert(None)
            assert np.ptp(delays_s) <= 100e-6 + 2e-6
            assert np.ptp(delays_s) > 50e-6
            means_s.append(float(np.mean(delays_s)))
        assert min(means_s) > 0.00095
        assert max(means_s) < 0.00305
        assert np.ptp(means_s) > 0.0005

    run(main)


def test_what_is_in_opens_before_the_next_closes_and_the_contacts_are_believed_after_4_ms_each() -> None:
    async def main() -> None:
        board = Board()
        await board.insert(R0_MINUS)
        await board.insert(REFERENCE)
        await board.insert(REFERENCE)
        await board.insert(None)
        assert [entry[1:] for entry in board.plant.log] == [
            ("r0_minus", True),
            ("r0_minus", False),
            ("reference", True),
            ("reference", False),
        ]
        assert board.done_s == pytest.approx([0.004, 0.028, 0.04, 0.064])
        assert board.plant.log[1][0] < 0.024 < board.plant.log[2][0]

    run(main)


def test_beside_a_contact_that_does_not_open_nothing_is_closed() -> None:
    async def main() -> None:
        board = Board()
        await board.insert(R0_MINUS)
        board.relays.stuck = frozenset({R0_MINUS})
        await board.insert(R0_PLUS)
        assert board.relays.closed == {R0_MINUS}
        assert [entry[1:] for entry in board.plant.log] == [("r0_minus", True)]

    run(main)


@pytest.mark.parametrize("after_s", [0.0005, 0.0035, 0.0045, 0.0075])
def test_dropped_at_any_moment_of_an_insertion_nothing_is_in(after_s: float) -> None:
    async def main() -> None:
        board = Board()
        await board.insert(R0_MINUS)
        board.loop.call_later(after_s, board.relays.drop)
        await board.insert(R0_PLUS)
        assert board.relays.closed == frozenset()
        assert len(board.done_s) == 2
        assert not board.relays.busy
        assert [on for _, what, on in board.plant.log if what == "r0_plus"] in ([], [True, False])

    run(main)
