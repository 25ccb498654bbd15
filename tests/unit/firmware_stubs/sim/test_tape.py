"""A far end that outlives its station: what was done to it is done again, at the same times; then it is alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from firmware_stubs.ports import STACKING_ECUS, STACKING_SERIAL
from firmware_stubs.sim.loop import run
from firmware_stubs.sim.tape import OUTAGE_S, Tape
from firmware_stubs.sim.wires import SimWires

PLACE = Instruction(ManualTask.PLACE, "module 1", "Place it", "poles to the front")
FETCH = Instruction(ManualTask.FETCH, "module 1", "Fetch it")
WITHIN = Second(30.0)
ACTS_S = 3.0


class FarEnd:
    """Notes what reaches it, and when; people take three seconds for everything."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.seen: list[tuple[float, str]] = []
        self.wires = SimWires(STACKING_ECUS, STACKING_SERIAL)
        self.tripped = False
        self.wires.ecu("bms").listen([0x123], lambda frame: self.note(f"frame {frame.data.hex()}"))
        self.wires.instrument("nutrunner").listen(lambda data: self.note(f"bytes {data.hex()}"))

    def note(self, what: str) -> None:
        self.seen.append((self.loop.time(), what))

    def reset(self) -> None:
        self.tripped = False
        self.note("reset")

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        await self._act(f"confirm {instruction.text} {instruction.detail} {within:g}")

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        self.loop.call_later(ACTS_S, self.note, f"show {instruction.task.name}")

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        await self._act(f"scan {instruction.part}")
        return "a label"

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        await self._act(f"qualified {qualification}")
        return "a person"

    async def _act(self, what: str) -> None:
        await asyncio.sleep(ACTS_S)
        self.note(what)


Station = Callable[[FarEnd, "Tape"], Awaitable[None]]


def lived(path: Path, station: Station, until_s: float = 200.0, tripped: bool = False) -> list[tuple[float, str]]:
    """What a far end has seen at the end of a station's life; killed in its middle, a station writes no end."""

    async def main() -> list[tuple[float, str]]:
        far, tape = FarEnd(), Tape(path)
        far.tripped = tripped
        await tape.replay(far.wires, far, far)
        try:
            await station(far, tape)
        finally:
            tape.close()
        return far.seen

    return run(main(), until_s)


async def works(far: FarEnd, tape: Tape) -> None:
    """A frame, bytes, and all that a person may be asked."""
    operator, lease = tape.record(far.wires, far), Lease("operator", 1.0, far.loop.time)
    await asyncio.sleep(0.1)
    far.wires.buses["pack"].station.send(CanFrame(0x123, b"\x01", 0.0))
    far.wires.lines["nutrunner"].station.write(b"\x02")
    await operator.confirm(lease, PLACE, WITHIN)
    await operator.show(lease, FETCH)
    assert await operator.scan(lease, FETCH, WITHIN) == "a label"
    assert await operator.qualified(lease, "live work", WITHIN) == "a person"
    await asyncio.sleep(1.0)


async def dies_while_the_person_acts(far: FarEnd, tape: Tape) -> None:
    operator = tape.record(far.wires, far)
    far.loop.create_task(operator.confirm(Lease("operator", 1.0, far.loop.time), PLACE, WITHIN))
    await asyncio.sleep(0.5)
    tape.close()


async def gives_up_while_the_person_acts(far: FarEnd, tape: Tape) -> None:
    operator = tape.record(far.wires, far)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await operator.confirm(Lease("operator", 1.0, far.loop.time), PLACE, WITHIN)


async def looks(far: FarEnd, tape: Tape) -> None:
    """Does nothing to the far end."""


def test_what_was_done_is_done_again_at_the_same_times(tmp_path: Path) -> None:
    first = lived(tmp_path / "tape", works)
    assert [what for _, what in first] == [
        "bytes 02",
        "frame 01",
        "confirm Place it poles to the front 30",
        "show FETCH",
        "scan module 1",
        "qualified live work",
    ]
    assert lived(tmp_path / "tape", looks) == first


def test_the_second_life_is_on_the_tape_too_an_outage_later(tmp_path: Path) -> None:
    first = lived(tmp_path / "tape", works)
    both = lived(tmp_path / "tape", works)
    assert both[: len(first)] == first
    assert [what for _, what in both[len(first) :]] == [what for _, what in first]
    ended_s = first[-1][0] - ACTS_S
    assert both[len(first)][0] == pytest.approx(ended_s + OUTAGE_S + 0.1, abs=0.001)
    assert lived(tmp_path / "tape", looks) == both


def test_people_finish_what_they_were_told_though_the_station_is_dead(tmp_path: Path) -> None:
    assert lived(tmp_path / "tape", dies_while_the_person_acts) == []
    assert lived(tmp_path / "tape", looks) == [(ACTS_S, "confirm Place it poles to the front 30")]


def test_what_the_station_no_longer_waited_for_is_not_waited_for_again(tmp_path: Path) -> None:
    assert lived(tmp_path / "tape", gives_up_while_the_person_acts) == []
    assert lived(tmp_path / "tape", looks) == []


def test_whoever_starts_the_station_again_resets_the_plc_and_that_is_on_the_tape(tmp_path: Path) -> None:
    lived(tmp_path / "tape", looks, tripped=True)
    assert lived(tmp_path / "tape", looks) == [(0.0, "reset")]
