"""What a station did to its far end, on a file, so that the far end outlives a station that is killed.

Every CAN frame and every telegram that leaves the station is written down with its loop time before it takes effect,
and so is every call to the operator. A later process with the same tape plays that to a fresh far end on the virtual
clock, which brings it to where it was, and then lets it be alone for as long as the outage lasts: tools still turn,
results arrive, and people finish what they were told to do. Then the station starts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Instruction, ManualTask, Operator
from bmsctl.domain.units import Second
from firmware_stubs.sim.wires import SimWires

T = TypeVar("T")

OUTAGE_S = 20.0
"""From the kill until the station's program runs again."""

CAN, SERIAL, CALL, CANCEL, RESET = "can", "serial", "call", "cancel", "reset"


class ResetButton(Protocol):
    """The safety PLC's, and whether it must be pressed."""

    @property
    def tripped(self) -> bool: ...

    def reset(self) -> None: ...


class Tape:
    """One far end's tape; append-only, an entry a line. `outage_s`: how long the far end is alone after a kill."""

    def __init__(self, path: Path, outage_s: float = OUTAGE_S) -> None:
        self._path = path
        self._outage_s = outage_s
        self._calls = 0
        self._file: IO[str] | None = None

    async def replay(self, wires: SimWires, operator: Operator, plc: ResetButton) -> None:
        """Play what is on the tape to a fresh far end, and let it be for the outage; nothing if the tape is new.

        Whoever starts the program again resets a safety PLC that has tripped.
        """
        entries = self._read()
        people = _People(operator)
        for t_s, kind, *what in entries:
            await _until(t_s)
            if kind == CAN:
                bus, can_id, data, extended, fd = what
                wires.buses[bus].station.send(CanFrame(can_id, bytes.fromhex(data), t_s, extended, fd))
            elif kind == SERIAL:
                device, data = what
                wires.lines[device].station.write(bytes.fromhex(data))
            elif kind == CALL:
                people.begin(*what)
            elif kind == CANCEL:
                people.cancel(*what)
            else:
                plc.reset()
        self._calls = people.count
        if entries:
            await asyncio.sleep(self._outage_s)
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        if plc.tripped:
            self._write(RESET)
            plc.reset()

    def record(self, wires: SimWires, operator: Operator) -> TapedOperator:
        """Write down from here on what the station does; the operator it is to talk to. After `replay`."""
        for name, bus in wires.buses.items():
            bus.tap = partial(self._frame, name, bus.tap)
        for device, line in wires.lines.items():
            line.tap = partial(self._telegram, device, line.tap)
        return TapedOperator(operator, self)

    def close(self) -> None:
        """Write nothing more."""
        if self._file is not None:
            self._file.close()

    def call(self, name: str, instruction: Instruction | str, within: float | None) -> int:
        """Write down that the operator is called; the call's number."""
        self._calls += 1
        said = instruction if isinstance(instruction, str) else asdict(instruction)
        self._write(CALL, self._calls, name, said, within)
        return self._calls

    def cancel(self, number: int) -> None:
        """Write down that the station no longer waits for a call."""
        self._write(CANCEL, number)

    def _frame(self, bus: str, then: Callable[[CanFrame], None] | None, frame: CanFrame) -> None:
        can_id, data, _, extended, fd = frame
        self._write(CAN, bus, can_id, data.hex(), extended, fd)
        if then is not None:
            then(frame)

    def _telegram(self, device: str, then: Callable[[bytes], None] | None, data: bytes) -> None:
        self._write(SERIAL, device, data.hex())
        if then is not None:
            then(data)

    def _write(self, kind: str, *what: object) -> None:
        assert self._file is not None, "a tape is recorded after it was replayed"
        self._file.write(json.dumps([asyncio.get_running_loop().time(), kind, *what]) + "\n")

    def _read(self) -> list[list[Any]]:
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]


class TapedOperator:
    """The operator, with every call on the tape; implements Operator."""

    def __init__(self, operator: Operator, tape: Tape) -> None:
        self._operator = operator
        self._tape = tape

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        number = self._tape.call("confirm", instruction, within)
        await self._heard(number, self._operator.confirm(lease, instruction, within))

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        number = self._tape.call("show", instruction, None)
        await self._heard(number, self._operator.show(lease, instruction))

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        number = self._tape.call("scan", instruction, within)
        return await self._heard(number, self._operator.scan(lease, instruction, within))

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        number = self._tape.call("qualified", qualification, within)
        return await self._heard(number, self._operator.qualified(lease, qualification, within))

    async def _heard(self, number: int, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except asyncio.CancelledError:
            self._tape.cancel(number)
            raise


class _People:
    """Calls to the operator by a station that is not there any more; what is answered reaches nobody."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._tasks: dict[int, asyncio.Task[object]] = {}
        self.count = 0

    def begin(self, number: int, name: str, said: Any, within: float | None) -> None:
        """Call as the station did."""
        self.count = number
        loop = asyncio.get_running_loop()
        lease = Lease("operator", within or 0.0, loop.time)
        self._tasks[number] = loop.create_task(self._call(lease, name, said, within))
        self._tasks[number].add_done_callback(_retrieve)

    def cancel(self, number: int) -> None:
        """The station no longer waited."""
        self._tasks[number].cancel()

    async def _call(self, lease: Lease, name: str, said: Any, within: float | None) -> object:
        limit = Second(within or 0.0)
        if name == "qualified":
            return await self._operator.qualified(lease, said, limit)
        instruction = Instruction(**said | {"task": ManualTask(said["task"])})
        if name == "show":
            await self._operator.show(lease, instruction)
            return None
        act = self._operator.confirm if name == "confirm" else self._operator.scan
        return await act(lease, instruction, limit)


def _retrieve(task: asyncio.Task[object]) -> None:
    """Look at the outcome, which reaches nobody: otherwise asyncio would complain."""
    if not task.cancelled():
        task.exception()


async def _until(t_s: float) -> None:
    """Return at this very loop time."""
    loop = asyncio.get_running_loop()
    if loop.time() < t_s:
        due = loop.create_future()
        loop.call_at(t_s, due.set_result, None)
        await due
