"""Speaks SCPI to a stub without any driver: one message, one answer."""

from __future__ import annotations

import asyncio

from firmware_stubs.sim.wire import SimSerial

ANSWER_S = 0.1


class RawScpi:
    """The station's end of a line. Answers are strings without terminator, None where none came in time."""

    def __init__(self, line: SimSerial) -> None:
        self._line = line
        self._heard = b""
        line.station.attach(self._take)

    async def ask(self, message: str) -> str | None:
        """Send one message and give its answer."""
        self._heard = b""
        self._line.station.write(message.encode("ascii") + b"\n")
        await asyncio.sleep(ANSWER_S)
        return self._heard.decode("ascii").removesuffix("\r\n") or None

    async def tell(self, *commands: str) -> None:
        """Send commands, each in a message of its own, and see that none is refused."""
        for command in commands:
            answer = await self.ask(f"{command};:SYST:ERR?")
            assert answer == '+0,"No error"', (command, answer)

    def _take(self, data: bytes, t_s: float) -> None:
        self._heard += data
