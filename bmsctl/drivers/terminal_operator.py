"""The person at the station, asked at a terminal: one instruction at a time, answered by one line.

Enter says that it is done, `x` and a reason that it cannot be; labels are typed, or come from a scanner that writes as
a keyboard does. What is typed ahead answers nothing: on a terminal, lines from before a question are thrown away, and
an Enter that comes sooner than anybody reads is that of the question before. The terminal stays as it is: it puts the
lines together, and Ctrl-C remains a signal. Ctrl-D, which some labels end with, only hands over what came before it.
Who the person is, nobody checks here, and the answer says so.

Source: POSIX.1-2017, chapter 11, general terminal interface. To be checked on the device: what the scanner sends for
GS, RS and EOT, and with what it ends a line.
"""

from __future__ import annotations

import asyncio
import os
import re
import termios
from collections.abc import Callable
from typing import NamedTuple

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Instruction
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid

DEVICE = "operator"
READ_BYTES = 4096
LINE_MAX = 4096
"""Bytes. No label is longer, and no terminal puts together a longer line."""
EAGER_S = 0.3
"""Nobody reads and does anything sooner: a second Enter, or the line feed of a scanner that sends CR LF."""
BLANKS = " \t\r"
"""What may stand around an answer. Python takes GS and RS for blanks, too, and they are part of a label."""
CANNOT = re.compile(r"[xX](?:[ \t]+(?P<reason>.*))?", re.DOTALL)

BY_ENTER = "Enter: done; x and a reason: cannot be done"
BY_SCAN = "scan the label, or type what it says; x and a reason: cannot be done"
BY_NAME = "type your name if you are; x if nobody here is"


class _Question(NamedTuple):
    """What is shown, the `hint` how to answer, which line is an answer; what to say if nobody answers, or refuses."""

    told: str
    hint: str
    answers: Callable[[str], bool]
    nobody: str
    refused: str


class TerminalOperator:
    """Implements Operator; one question at a time. It needs a real loop."""

    def __init__(self, stdin: int, say: Callable[[str], None]) -> None:
        """`stdin`: descriptor of a terminal or a pipe, which stays open; `say`: shows lines of text."""
        self._stdin = stdin
        self._say = say
        self._terminal = os.isatty(stdin)
        self._rest = b""

    async def confirm(self, lease: Lease, instruction: Instruction, within: Second) -> None:
        """As the port says.

        Raises:
            DeviceRefused: also when nothing can be read from the terminal (any more).
            ReplyInvalid: a line without end.
        """
        text = instruction.text
        nobody, refused = f"nobody confirmed {text!r}", f"{text!r} cannot be done"
        await self._ask(lease, _Question(_told(instruction), BY_ENTER, lambda line: not line, nobody, refused), within)

    async def show(self, lease: Lease, instruction: Instruction) -> None:
        lease.check()
        self._say(_told(instruction))
        lease.touch()

    async def scan(self, lease: Lease, instruction: Instruction, within: Second) -> str:
        """As the port says; raises as `confirm`, too."""
        text = instruction.text
        nobody, refused = f"nobody scanned anything for {text!r}", f"{text!r} cannot be done"
        return await self._ask(lease, _Question(_told(instruction), BY_SCAN, bool, nobody, refused), within)

    async def qualified(self, lease: Lease, qualification: str, within: Second) -> str:
        """The name that was typed, and that nobody has checked it; raises as the port says, and as `confirm`."""
        question = _Question(
            told=f"WHO IS QUALIFIED for {_printable(qualification)}, today?",
            hint=BY_NAME,
            answers=lambda line: bool(_printable(line)),
            nobody="nobody said who is at the station",
            refused=f"nobody is qualified for {qualification}",
        )
        return f"{_printable(await self._ask(lease, question, within))}, as stated at the terminal"

    async def _ask(self, lease: Lease, question: _Question, within: Second) -> str:
        """The first line that is an answer. Raises as `confirm`."""
        lease.check()
        self._forget()
        self._say(f"{question.told}\n  {question.hint}")
        shown_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(shown_s + within):
                while True:
                    lease.quiet_for(shown_s + within - asyncio.get_running_loop().time())
                    line = await self._line()
                    lease.touch()
                    _require_possible(line, question.refused)
                    if not line and self._terminal and asyncio.get_running_loop().time() < shown_s + EAGER_S:
                        continue
                    if question.answers(line):
                        return line
                    self._say(f"  {question.hint}")
        except TimeoutError:
            text = f"{question.nobody} within {within:g} s; see who is at the station"
            raise DeviceTimeout(DEVICE, text) from None

    def _forget(self) -> None:
        """What was typed before the question answers nothing; in a pipe, each line waits for its question."""
        if self._terminal:
            self._require_foreground()
            self._rest = b""
            try:
                termios.tcflush(self._stdin, termios.TCIFLUSH)
            except termios.error as error:
                raise _closed(str(error)) from None

    async def _line(self) -> str:
        """The next line, without what surrounds it."""
        while b"\n" not in self._rest:
            if len(self._rest) > LINE_MAX:
                self._rest = b""
                raise ReplyInvalid(DEVICE, f"a line of more than {LINE_MAX} bytes; set the scanner to end a line")
            self._rest += await self._bytes()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace").strip(BLANKS)

    async def _bytes(self) -> bytes:
        """What comes next, at least one byte.

        Raises:
            DeviceRefused: the input has ended.
        """
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        # The descriptor is shared with whoever started this program, so it stays blocking, and is read when it has
        # something.
        loop.add_reader(self._stdin, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._stdin)
        self._require_foreground()
        try:
            data = os.read(self._stdin, READ_BYTES)
        except OSError as error:
            raise _closed(error.strerror) from None
        if not data:
            self._rest = b""
            raise _closed("end of input")
        return data

    def _require_foreground(self) -> None:
        """A program in the background that reads its terminal is stopped, and with it the answers to the safety PLC.

        Raises:
            DeviceRefused: it is.
        """
        try:
            owner = os.tcgetpgrp(self._stdin)
        except OSError:  # not the terminal that this program could be stopped by
            return
        if owner != os.getpgrp():
            raise DeviceRefused(DEVICE, "bmsctl runs in the background; start it in the foreground of a terminal")


def _require_possible(line: str, refused: str) -> None:
    cannot = CANNOT.fullmatch(line)
    if cannot is not None:
        reason = _printable(cannot["reason"] or "") or "no reason was given"
        raise DeviceRefused(DEVICE, f"{refused}: {reason}")


def _closed(why: str | None) -> DeviceRefused:
    return DeviceRefused(DEVICE, f"nothing can be read from the terminal: {why}; start bmsctl at a terminal")


def _told(instruction: Instruction) -> str:
    """An instruction as it is shown: what to do to what; details on a line of their own."""
    done_to = f"{instruction.task.upper()} {instruction.part}".rstrip()
    lines = [f"{done_to}: {instruction.text}", *([f"  {instruction.detail}"] if instruction.detail else [])]
    return "\n".join(map(_printable, lines))


def _printable(text: str) -> str:
    """Text without what would move a cursor or ring a bell."""
    return "".join(char for char in text if char.isprintable()).rstrip()
