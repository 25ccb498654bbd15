"""The part of an instrument's firmware that speaks SCPI: parsing, common commands, event status and error queue.

Knows IEEE 488.2's common commands (*CLS *ESE *ESE? *ESR? *IDN? *OPC? *RST) and SYSTem:ERRor?; a stub adds its own.
Answers of one program message leave together, joined by semicolons, when the slowest has been made. A command error
ends its message; a header without leading colon continues the path of the one before; nothing may be asked after
*IDN?.

Source: IEEE 488.2-1992, sections 6.1.6, 6.4.5.2, 10.14; SCPI-1999, volume 1, section 6.2.4; volume 2, section 21.8.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from itertools import product

from firmware_stubs.ports import SerialPort

QUEUE_MAX = 20
POWER_ON, COMMAND_ERROR, EXECUTION_ERROR, DEVICE_ERROR, QUERY_ERROR = 0x80, 0x20, 0x10, 0x08, 0x04
_EVENTS = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 4: QUERY_ERROR}
"""Event of an error by its hundred; all others are device-dependent."""


class Failure(Exception):
    """A command fails: an entry for the error queue."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


Handler = Callable[[str], str | Awaitable[str | None] | None]
"""What a header does: takes the argument, gives the answer, None for none; it may take time (an awaitable)."""


class ScpiStub:
    """One instrument's command interpreter. Build inside the running loop.

    Headers in `commands` are written in full, with the optional part in lower case (`:MEASure:CURRent?`): each node
    is understood in long and short form, in any case.
    """

    def __init__(
        self,
        port: SerialPort,
        identity: str,
        commands: Mapping[str, Handler],
        *,
        latency_s: Callable[[], float],
        reset: Callable[[], None],
        error_queue: bool = True,
    ) -> None:
        """`latency_s`: time to an answer, per message; `reset`: settings back to default (*RST, restart)."""
        self._port = port
        self._latency_s = latency_s
        self._reset = reset
        queue: dict[str, Handler] = {":SYSTem:ERRor?": self._next_error} if error_queue else {}
        self._handlers = {
            form: handler
            for header, handler in {**commands, **queue, **self._common(identity)}.items()
            for form in _forms(header)
        }
        self._rest = b""
        self._messages: deque[str] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._enable = 0
        self._events = POWER_ON
        self._errors: deque[tuple[int, str]] = deque()
        port.listen(self._take)

    def restart(self) -> None:
        """Power was lost and came back: settings, queues and what was under way are gone."""
        if self._busy is not None:
            self._busy.cancel()
            self._busy = None
        self._messages.clear()
        self._rest = b""
        self._errors.clear()
        self._enable, self._events = 0, POWER_ON
        self._reset()

    def fail(self, number: int, text: str) -> None:
        """Put an entry into the error queue; a full queue ends with its overflow."""
        self._events |= _EVENTS.get(-number // 100, DEVICE_ERROR)
        if len(self._errors) == QUEUE_MAX:
            self._errors[-1] = (-350, "Queue overflow")
        else:
            self._errors.append((number, text))

    def _common(self, identity: str) -> dict[str, Handler]:
        return {
            "*CLS": self._clear,
            "*ESE": self._set_enable,
            "*ESE?": lambda _: str(self._enable),
            "*ESR?": self._read_events,
            "*IDN?": lambda _: identity,
            "*OPC?": lambda _: "1",
            "*RST": lambda _: self._reset(),
        }

    def _clear(self, argument: str) -> None:
        self._errors.clear()
        self._events = 0

    def _set_enable(self, argument: str) -> None:
        if not argument.isdecimal() or int(argument) > 255:
            raise Failure(-222, "Data out of range")
        self._enable = int(argument)

    def _read_events(self, argument: str) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _next_error(self, argument: str) -> str:
        number, text = self._errors.popleft() if self._errors else (0, "No error")
        return f'{number:+d},"{text}"'

    def _take(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._messages.extend(line.strip(b"\r").decode("ascii", "replace") for line in whole)
        if self._messages and self._busy is None:
            self._busy = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._messages:
            answers = await self._run(self._messages.popleft())
            if answers:
                self._port.emit(";".join(answers).encode("ascii") + b"\r\n")
        self._busy = None

    async def _run(self, message: str) -> list[str]:
        """Answers to the queries of one message."""
        answers: list[str] = []
        path = ""
        indefinite = False
        await asyncio.sleep(self._latency_s())
        for unit in message.split(";"):
            header, _, argument = unit.strip().partition(" ")
            full = _full(header.upper(), path)
            if indefinite and full.endswith("?"):
                self.fail(-440, "Query UNTERMINATED after indefinite response")
                break
            if full not in self._handlers:
                self.fail(-113, "Undefined header")
                break
            if not full.startswith("*"):
                path = full.rpartition(":")[0]
            indefinite = full == "*IDN?"
            try:
                answer = self._handlers[full](argument.strip())
                if isinstance(answer, Awaitable):
                    answer = await answer
            except Failure as failure:
                self.fail(failure.number, str(failure))
                if -200 < failure.number <= -100:
                    break
                continue
            if answer is not None:
                answers.append(answer)
        return answers


def _full(header: str, path: str) -> str:
    """A header from the root of the tree, with the colon it is looked up by."""
    return header if header.startswith((":", "*")) else f"{path}:{header}"


def _forms(header: str) -> list[str]:
    """All mixtures of long and short forms of a header, as looked up."""
    if header.startswith("*"):
        return [header]
    nodes = header.removeprefix(":").split(":")
    forms = [sorted({node.upper(), "".join(char for char in node if not char.islower())}) for node in nodes]
    return [":" + ":".join(choice) for choice in product(*forms)]
