"""A person at a terminal: what is answered by what, over a real pseudo-terminal and a real loop."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from bmsctl.drivers import terminal_operator
from bmsctl.drivers.terminal_operator import LINE_MAX, TerminalOperator
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols.part_label import PartLabel, encode_label, parse_label

T = TypeVar("T")

WITHIN = Second(10.0)
BRIEFLY = Second(0.02)
BOLT = Instruction(ManualTask.LOOSEN, "bolt m1.1", "Loosen the bolt shown", "NOK: torque")
LABEL = PartLabel("295M24112R", "M0000000001", "L7")


class Desk:
    """A terminal, or a pipe, and who sits at it."""

    def __init__(self, operator_end: int, typing_end: int) -> None:
        self.operator_end = operator_end
        self.operator = TerminalOperator(operator_end, self._say)
        self.said: list[str] = []
        self._typing_end = typing_end
        self._told = asyncio.Event()
        self.leases = LeaseBook(asyncio.get_running_loop().time)
        self.lease = self.leases.grant("operator", 1.0)

    def _say(self, text: str) -> None:
        self.said.append(text)
        self._told.set()

    def type(self, text: str) -> None:
        os.write(self._typing_end, text.encode())

    async def told(self) -> None:
        """Something has been shown since the last call."""
        async with asyncio.timeout(WITHIN):
            await self._told.wait()
        self._told.clear()

    async def answered(self, call: Callable[[Lease], Awaitable[T]], *typed: str) -> T:
        """What a call returns to whom answers its question, and each time that it is shown how, by the next text."""
        asking = asyncio.ensure_future(call(self.lease))
        for text in typed:
            await self.told()
            self.type(text)
        async with asyncio.timeout(WITHIN):
            return await asking

    async def confirmed(self, *typed: str) -> None:
        await self.answered(lambda lease: self.operator.confirm(lease, BOLT, WITHIN), *typed)

    async def scanned(self, *typed: str) -> str:
        return await self.answered(lambda lease: self.operator.scan(lease, BOLT, WITHIN), *typed)

    async def qualified(self, *typed: str) -> str:
        return await self.answered(lambda lease: self.operator.qualified(lease, "live work", WITHIN), *typed)


At = Callable[[Callable[[Desk], Awaitable[None]]], None]


def _seated(ends: Callable[[], tuple[int, int]]) -> Iterator[At]:
    operator_end, typing_end = ends()

    def at(test: Callable[[Desk], Awaitable[None]]) -> None:
        async def main() -> None:
            await test(Desk(operator_end, typing_end))

        asyncio.run(main())

    try:
        yield at
    finally:
        os.close(operator_end)
        os.close(typing_end)


def _pty() -> tuple[int, int]:
    master, slave = os.openpty()
    return slave, master


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """Runs a test at a terminal whose user answers at once."""
    monkeypatch.setattr(terminal_operator, "EAGER_S", 0.0)
    yield from _seated(_pty)


@pytest.fixture
def at_pipe() -> Iterator[At]:
    """Runs a test at a pipe."""
    yield from _seated(os.pipe)


def test_enter_confirms_what_is_shown_with_part_and_detail(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        await desk.confirmed("\n")
        (told,) = desk.said
        assert told.startswith("LOOSEN bolt m1.1: Loosen the bolt shown\n  NOK: torque\n")
        assert "Enter" in told

    at_terminal(test)


def test_an_instruction_without_part_and_detail_is_one_line(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        await desk.operator.show(desk.lease, Instruction(ManualTask.CONNECT, "", "Couple the coolant ports"))
        assert desk.said == ["CONNECT: Couple the coolant ports"]

    at_terminal(test)


@pytest.mark.parametrize("line", ["done", "y", "295M24112R;M0000000001", "xenon"])
def test_anything_else_confirms_nothing_and_is_told_how(at_terminal: At, line: str) -> None:
    async def test(desk: Desk) -> None:
        await desk.confirmed(f"{line}\n", "\n")
        assert "Enter" in desk.said[1]
        assert len(desk.said) == 2

    at_terminal(test)


@pytest.mark.parametrize(("typed", "reason"), [("x no gloves\n", "no gloves"), ("X\n", "no reason was given")])
def test_x_says_that_it_cannot_be_done(at_terminal: At, typed: str, reason: str) -> None:
    async def test(desk: Desk) -> None:
        for ask in (desk.confirmed, desk.scanned):
            with pytest.raises(DeviceRefused, match=f"'Loosen the bolt shown' cannot be done: {reason}"):
                await ask(typed)

    at_terminal(test)


def test_what_moves_a_cursor_never_gets_into_a_reason_or_onto_the_screen(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        with pytest.raises(DeviceRefused) as refused:
            await desk.confirmed("x torn\x1b[2J off\n")
        assert str(refused.value).endswith("torn[2J off")
        await desk.operator.show(desk.lease, Instruction(ManualTask.FETCH, "module 1", "Fetch", "M1\x1d\x07"))
        assert desk.said[-1] == "FETCH module 1: Fetch\n  M1"

    at_terminal(test)


def test_what_was_typed_before_the_question_answers_nothing(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        desk.type("\nx before\n")
        await desk.confirmed("\n")
        asking = asyncio.create_task(desk.operator.confirm(desk.lease, BOLT, BRIEFLY))
        with pytest.raises(DeviceTimeout):
            await asking

    at_terminal(test)


def test_two_answers_at_once_answer_one_question(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        await desk.confirmed("\n\n")
        with pytest.raises(DeviceTimeout, match="nobody confirmed 'Loosen the bolt shown'"):
            await desk.operator.confirm(desk.lease, BOLT, BRIEFLY)

    at_terminal(test)


def test_an_enter_too_soon_is_not_meant_for_this_question(at_terminal: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_operator, "EAGER_S", math.inf)

    async def test(desk: Desk) -> None:
        with pytest.raises(DeviceRefused, match="too soon"):
            await desk.confirmed("\nx too soon\n")
        assert len(desk.said) == 1

    at_terminal(test)


@pytest.mark.parametrize(
    "written",
    [
        encode_label(LABEL),
        encode_label(LABEL).replace("\x1e\x04", "\x1e"),
        encode_label(LABEL).replace("\x1d", "<GS>").replace("\x1e", "<RS>").replace("\x04", "<EOT>"),
        encode_label(LABEL).replace("\x1d", "]").replace("\x1e", "^").replace("\x04", "D"),
        "295M24112R;M0000000001;L7",
        "  295M24112R;M0000000001;L7 ",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_label_is_scanned_however_the_scanner_writes_it(at_terminal: At, written: str, end: str) -> None:
    async def test(desk: Desk) -> None:
        assert parse_label(await desk.scanned(written + end)) == LABEL

    at_terminal(test)


def test_an_empty_line_is_no_scan_and_no_name(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        assert await desk.scanned("\n", " \t\n", "A;B\n") == "A;B"
        assert await desk.qualified("\n", "\x07\n", "Ada\n") == "Ada, as stated at the terminal"

    at_terminal(test)


def test_who_is_qualified_is_asked_with_for_what(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        assert await desk.qualified("Ada Lovelace\n") == "Ada Lovelace, as stated at the terminal"
        assert "live work" in desk.said[0]
        with pytest.raises(DeviceRefused, match="nobody is qualified for live work: off sick"):
            await desk.qualified("x off sick\n")

    at_terminal(test)


def test_nobody_answers_in_time(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        for call in (
            desk.operator.confirm(desk.lease, BOLT, BRIEFLY),
            desk.operator.scan(desk.lease, BOLT, BRIEFLY),
            desk.operator.qualified(desk.lease, "live work", BRIEFLY),
        ):
            with pytest.raises(DeviceTimeout, match=r"within 0\.02 s"):
                await call
        await desk.told()
        await desk.confirmed("\n")

    at_terminal(test)


def test_a_line_that_is_not_ended_is_no_answer_and_does_not_hold_the_loop(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        asking = asyncio.create_task(desk.operator.scan(desk.lease, BOLT, WITHIN))
        await desk.told()
        desk.type("295M24112R;M00000")
        await asyncio.sleep(0)
        assert not asking.done()
        desk.type("00001;L7\n")
        assert parse_label(await asking) == LABEL

    at_terminal(test)


def test_end_of_input_refuses_and_a_terminal_can_be_used_again(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        with pytest.raises(DeviceRefused, match="end of input"):
            await desk.confirmed("\x04")
        await desk.confirmed("\n")

    at_terminal(test)


def test_a_terminal_that_is_gone_refuses() -> None:
    async def main() -> None:
        slave, master = _pty()
        desk = Desk(slave, master)
        asking = asyncio.create_task(desk.operator.confirm(desk.lease, BOLT, WITHIN))
        await desk.told()
        os.close(master)
        with pytest.raises(DeviceRefused, match="nothing can be read from the terminal"):
            await asking
        with pytest.raises(DeviceRefused, match="nothing can be read from the terminal"):
            await desk.operator.confirm(desk.lease, BOLT, WITHIN)
        os.close(slave)

    asyncio.run(main())


def test_in_a_pipe_each_line_waits_for_its_question(at_pipe: At) -> None:
    async def test(desk: Desk) -> None:
        desk.type("\nA;B\nAda\n")
        await desk.confirmed()
        assert await desk.scanned() == "A;B"
        assert await desk.qualified() == "Ada, as stated at the terminal"

    at_pipe(test)


def test_a_pipe_that_has_ended_refuses_every_question() -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        desk = Desk(reading, writing)
        desk.type("\n")
        os.close(writing)
        await desk.confirmed()
        for _ in range(2):
            with pytest.raises(DeviceRefused, match="end of input"):
                await desk.confirmed()
        os.close(reading)

    asyncio.run(main())


def test_a_line_without_end_is_given_up(at_pipe: At) -> None:
    async def test(desk: Desk) -> None:
        desk.type("A" * (LINE_MAX + 1))
        with pytest.raises(ReplyInvalid, match="line of more than"):
            await desk.scanned()
        desk.type("\n")
        await desk.confirmed()

    at_pipe(test)


def test_without_the_right_to_command_nothing_is_shown(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        desk.leases.revoke_all()
        for call in (
            desk.operator.confirm(desk.lease, BOLT, WITHIN),
            desk.operator.show(desk.lease, BOLT),
            desk.operator.scan(desk.lease, BOLT, WITHIN),
            desk.operator.qualified(desk.lease, "live work", WITHIN),
        ):
            with pytest.raises(LeaseRevoked):
                await call
        assert desk.said == []

    at_terminal(test)


def test_a_person_may_take_as_long_as_there_is_and_is_due_again_afterwards(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        now = asyncio.get_running_loop().time
        asking = asyncio.create_task(desk.operator.confirm(desk.lease, BOLT, WITHIN))
        await desk.told()
        assert desk.lease.fresh_until_s >= now() + 0.9 * WITHIN
        desk.type("what?\n")
        await desk.told()
        assert desk.lease.fresh_until_s >= now() + 0.9 * WITHIN
        desk.type("\n")
        await asking
        assert desk.lease.fresh_until_s <= now() + 1.0

    at_terminal(test)


def test_a_cancelled_question_leaves_the_terminal_to_the_next(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        asking = asyncio.create_task(desk.operator.confirm(desk.lease, BOLT, WITHIN))
        await desk.told()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await desk.confirmed("\n")

    at_terminal(test)


def test_the_terminal_stays_as_it_was(at_terminal: At) -> None:
    async def test(desk: Desk) -> None:
        before, blocking = termios.tcgetattr(desk.operator_end), os.get_blocking(desk.operator_end)
        await desk.confirmed("\n")
        assert termios.tcgetattr(desk.operator_end) == before
        assert os.get_blocking(desk.operator_end) == blocking

    at_terminal(test)


def test_in_the_background_nothing_is_read(at_terminal: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: os.getpgrp() + 1)

    async def test(desk: Desk) -> None:
        with pytest.raises(DeviceError, match="background"):
            await desk.confirmed()
        assert desk.said == []

    at_terminal(test)


ASKING = """
import asyncio
from bmsctl.drivers.terminal_operator import TerminalOperator
from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Instruction, ManualTask

async def main():
    lease = Lease("operator", 1.0, asyncio.get_running_loop().time)
    say = lambda text: print(text, flush=True)
    await TerminalOperator(0, say).confirm(lease, Instruction(ManualTask.LOAD, "tray", "Lay the tray"), 60.0)

asyncio.run(main())
"""


def test_ctrl_c_ends_the_program_as_ever() -> None:
    slave, master = _pty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASKING],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        assert child.stdout is not None
        assert b"LOAD tray" in child.stdout.readline()
        os.write(master, b"\x03")
        assert child.wait(WITHIN) == -signal.SIGINT
    finally:
        child.kill()
        child.communicate()
        os.close(slave)
        os.close(master)
