"""The label scanner at the station's entry: one trigger, one code, and never the one before."""

from __future__ import annotations

import asyncio
import math

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid
from bmsctl.protocols import dmcc
from bmsctl.protocols.dmcc import Answer, Command, Status

DEVICE = "scanner"
ANSWER_WITHIN_S = 0.2
READ_WITHIN_S = 1.0
NO_READS = 3
"""So often a label that could not be read is tried again; a fault of the line, FAULTS times."""
FAULTS = 2
SAME_LABEL_S = 2.0
"""Within this time the same code is the same label, seen twice."""


class SerialScanner:
    """Implements Scanner. `strays`: answers and results that nobody waited for."""

    def __init__(self, serial: SerialLink) -> None:
        self._serial = serial
        self._telegrams = dmcc.Telegrams()
        self._id = 0
        self._reply: asyncio.Future[Answer] | None = None
        self._result: asyncio.Future[Answer] | None = None
        self._last = ""
        self._last_s = -math.inf
        self._undecodable = 0
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Telegrams that failed their check, or are none of a reader."""
        return self._telegrams.damaged + self._undecodable

    async def scan(self, lease: Lease, within: Second) -> str:
        """The content of the next label read.

        Raises:
            DeviceTimeout: the scanner is silent, or shows nothing new within `within`.
            ReplyInvalid: the label cannot be read, or its content arrives damaged.
            DeviceRefused: the scanner does not take the command.
        """
        try:
            async with asyncio.timeout(within):
                return await self._next_label(lease)
        except DeviceTimeout:
            raise
        except TimeoutError:
            raise DeviceTimeout(DEVICE, f"no new label within {within:g} s") from None

    async def _next_label(self, lease: Lease) -> str:
        no_reads = faults = 0
        while True:
            try:
                content = await self._read(lease)
            except (DeviceTimeout, ReplyInvalid):
                faults += 1
                if faults > FAULTS:
                    raise
                continue
            if not content:
                no_reads += 1
                if no_reads > NO_READS:
                    raise ReplyInvalid(
                        DEVICE, f"cannot read the label in {no_reads} attempts; clean it, check its place"
                    )
            elif not self._seen(content):
                return content

    def _seen(self, content: str) -> bool:
        """Whether this is the label of a moment ago; otherwise it is the newest one."""
        now_s = asyncio.get_running_loop().time()
        if content == self._last and now_s - self._last_s < SAME_LABEL_S:
            return True
        self._last, self._last_s = content, now_s
        return False

    async def _read(self, lease: Lease) -> str:
        """Content of one read, empty for none; nothing of an earlier trigger is taken for it."""
        await self._command(lease, dmcc.TRIGGER_OFF)
        result = self._result = asyncio.get_running_loop().create_future()
        try:
            await self._command(lease, dmcc.TRIGGER_ON)
            return (await self._await(lease, result, "the trigger", READ_WITHIN_S)).content
        finally:
            self._result = None

    async def _command(self, lease: Lease, text: str) -> None:
        self._id = self._id % dmcc.ID_MAX + 1
        self._serial.write(dmcc.encode_command(Command(self._id, text)), lease)
        reply = self._reply = asyncio.get_running_loop().create_future()
        try:
            answer = await self._await(lease, reply, text, ANSWER_WITHIN_S)
        finally:
            self._reply = None
        if answer.status is not Status.OK:
            raise DeviceRefused(DEVICE, f"{text} refused: {answer.status.name.lower()}; check its set-up")

    async def _await(self, lease: Lease, awaited: asyncio.Future[Answer], what: str, within_s: float) -> Answer:
        lease.quiet_for(within_s)
        damaged = self.damaged
        try:
            async with asyncio.timeout(within_s):
                answer = await awaited
        except TimeoutError:
            if self.damaged != damaged:
                raise ReplyInvalid(DEVICE, f"the answer to {what} is damaged; check the cable for noise") from None
            raise DeviceTimeout(DEVICE, f"no answer to {what} within {within_s:g} s; check cable and supply") from None
        lease.touch()
        return answer

    def _take(self, data: bytes, t_s: float) -> None:
        for telegram in self._telegrams.feed(data):
            answer = dmcc.decode_answer(telegram)
            if answer is None:
                self._undecodable += 1
                continue
            awaited = self._result if answer.status is Status.READ else self._reply
            wanted = answer.status is Status.READ or answer.id == self._id
            if awaited is None or awaited.done() or not wanted:
                self.strays += 1
            else:
                awaited.set_result(answer)
