"""Who serves the operator's port in a contract: simulated, or somebody who types at a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Protocol

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.drivers.terminal_operator import EAGER_S, TerminalOperator
from firmware_stubs.people import SimOperator
from tests.contract.station import FRESH_S

READS_S = EAGER_S + 0.1
"""So long a person takes to read what is asked."""


class Person(Protocol):
    """What a contract may ask of the person at a station; at first they do whatever they are asked."""

    def leave(self) -> None:
        """Go away: nothing is answered."""
        ...

    def refuse(self, why: str) -> None:
        """Say of everything that it cannot be done."""
        ...

    def lose_qualification(self) -> None:
        """Be qualified for nothing."""
        ...

    def hold(self, label: str) -> None:
        """Hold the hand scanner at a label."""
        ...

    def reads(self, text: str) -> bool:
        """Whether this has been on the screen."""
        ...


class SimPerson:
    """Implements Person."""

    def __init__(self, operator: SimOperator) -> None:
        self._operator = operator

    def leave(self) -> None:
        self._operator.absent = True

    def refuse(self, why: str) -> None:
        self._operator.refusal = why

    def lose_qualification(self) -> None:
        self._operator.unqualified = True

    def hold(self, label: str) -> None:
        self._operator.in_sight = lambda: label

    def reads(self, text: str) -> bool:
        return text in self._operator.seen


class Typist:
    """Answers what the terminal shows, once it has been read; implements Person."""

    def __init__(self, type_: Callable[[str], object]) -> None:
        self._type = type_
        self._loop = asyncio.get_running_loop()
        self._answers = {"Enter": "", "scan the label": "", "type your name": "Ada Lovelace"}
        self._shown: list[str] = []

    def leave(self) -> None:
        self._answers = {}

    def refuse(self, why: str) -> None:
        self._answers = dict.fromkeys(self._answers, f"x {why}")

    def lose_qualification(self) -> None:
        self._answers["type your name"] = "x"

    def hold(self, label: str) -> None:
        self._answers["scan the label"] = label

    def reads(self, text: str) -> bool:
        return any(text in shown for shown in self._shown)

    def see(self, shown: str) -> None:
        """Something has been shown."""
        self._shown.append(shown)
        for hint, answer in self._answers.items():
            if hint in shown:
                self._loop.call_later(READS_S, self._type, f"{answer}\n")


class Terminal:
    """A place where nothing but the operator is asked, to contracts what a station is."""

    def __init__(self, stdin: int, type_: Callable[[str], object]) -> None:
        self.now = asyncio.get_running_loop().time
        self.leases = LeaseBook(self.now)
        self.person = Typist(type_)
        self.devices = SimpleNamespace(operator=TerminalOperator(stdin, self.person.see))
        self._held: Lease | None = None

    def lease(self, device: str) -> Lease:
        """The device's living lease."""
        if self._held is None or self._held.revoked:
            self._held = self.leases.grant(device, FRESH_S)
        return self._held

    @contextlib.asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Nothing is on, and nothing is to be made safe."""
        yield


class AtTerminal:
    """A pseudo-terminal on a real loop; implements ContractWorld."""

    def run(
        self, contract: Callable[[Any], Awaitable[None]], *, scenario: str | None, on_stall: Callable[[str], None]
    ) -> list[str]:
        master, slave = os.openpty()

        async def main() -> None:
            await contract(Terminal(slave, lambda text: os.write(master, text.encode())))

        try:
            asyncio.run(main())
        finally:
            os.close(master)
            os.close(slave)
        return []
