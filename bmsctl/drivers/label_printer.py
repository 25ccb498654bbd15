"""The label printer: a label counts as printed when the printer's own counter says so.

Its answers carry neither tag nor check. Status and counter are therefore always asked together, the counter twice: an
answer that belongs to an earlier question stands at the wrong place, and damaged digits differ. A label is sent once;
whatever goes wrong from then on, the printer is told to forget it, so that it does not come out when somebody puts in
paper.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import zpl
from bmsctl.protocols.zpl import HostStatus, Label, Trouble

DEVICE = "label_printer"
ANSWER_WITHIN_S = 1.0
QUIET_S = 0.5
"""After an answer that did not come, or came damaged, so long nothing is asked and nothing believed."""
ATTEMPTS = 3
POLL_S = 0.25
PRINTED_WITHIN_S = 10.0

_TROUBLES = {
    Trouble.PAPER_OUT: "out of paper",
    Trouble.PAUSED: "paused",
    Trouble.MEMORY_LOST: "has lost its set-up",
    Trouble.TOO_HOT: "too hot",
    Trouble.HEAD_OPEN: "its head is open",
    Trouble.RIBBON_OUT: "out of ribbon",
}


_ORDER = [False, False, False, True, True]
"""Three strings of the status, and twice the counter, which is in quotes."""


class _State(NamedTuple):
    status: HostStatus
    labels: int


class ZplPrinter:
    """Implements LabelPrinter. `strays`: answers that nobody waited for."""

    def __init__(self, serial: SerialLink) -> None:
        self._serial = serial
        self._answers = zpl.Answers()
        self._heard: list[str] = []
        self._waiting: asyncio.Future[list[str]] | None = None
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Runs of bytes that were no answer."""
        return self._answers.damaged

    async def print(self, lease: Lease, serial: str, part_number: str, lines: Sequence[str]) -> None:
        """As the port says: `part_number;serial` as data matrix, then both and `lines` as text.

        Raises:
            DeviceRefused: also when something else is to be printed; the text says what.
            DeviceTimeout: the printer is silent, or the label is not printed in time.
            ReplyInvalid: the printer has not counted exactly this label, or its answers are damaged.
        """
        before = await self._state(lease)
        _require_no_trouble(before.status)
        if not before.status.idle:
            raise DeviceRefused(DEVICE, "has something else to print; cancel it and print again")
        label = Label(f"{part_number};{serial}", (part_number, serial, *lines))
        try:
            self._serial.write(zpl.encode_label(label), lease)
            await self._printed(lease, before.labels)
        except BaseException:
            with contextlib.suppress(LinkDown, TxFull):
                self._serial.write(zpl.CANCEL_ALL)
            raise

    async def _printed(self, lease: Lease, before: int) -> None:
        """Return when one label more is counted and nothing is left to print."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PRINTED_WITHIN_S
        while loop.time() < until_s:
            lease.quiet_for(POLL_S)
            await asyncio.sleep(POLL_S)
            status, labels = await self._state(lease)
            _require_no_trouble(status)
            if labels not in (before, before + 1):
                raise ReplyInvalid(DEVICE, f"has counted {labels - before} labels instead of one; look what it printed")
            if status.idle and labels == before + 1:
                return
        raise DeviceTimeout(DEVICE, f"the label is not printed after {PRINTED_WITHIN_S:g} s; print it again")

    async def _state(self, lease: Lease) -> _State:
        """Status and label counter; asked again when they do not come, or not whole."""
        error: DeviceError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                lease.quiet_for(QUIET_S)
                await asyncio.sleep(QUIET_S)
            try:
                state = _decode(await self._ask(lease))
            except (DeviceTimeout, ReplyInvalid) as failure:
                error = failure
            else:
                lease.touch()
                return state
        assert error is not None
        raise error

    async def _ask(self, lease: Lease) -> list[str]:
        """The answers to one question, whole and in order."""
        lease.quiet_for(ANSWER_WITHIN_S)
        self._answers.clear()
        self._heard = []
        damaged = self.damaged
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            self._serial.write(zpl.STATUS + 2 * zpl.LABEL_COUNT, lease)
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._waiting
        except TimeoutError:
            if self._heard or self.damaged != damaged:
                raise ReplyInvalid(DEVICE, "its answers are not whole; check the cable for noise") from None
            raise DeviceTimeout(DEVICE, f"no answer within {ANSWER_WITHIN_S:g} s; check cable and supply") from None
        finally:
            self._waiting = None

    def _take(self, data: bytes, t_s: float) -> None:
        for answer in self._answers.feed(data):
            if self._waiting is None or self._waiting.done():
                self.strays += 1
                continue
            self._heard.append(answer)
            newest = self._heard[-len(_ORDER) :]
            if [text.startswith('"') for text in newest] == _ORDER and newest[-1] == newest[-2]:
                self._waiting.set_result(newest)


def _decode(answers: Sequence[str]) -> _State:
    first, second, third, count, _ = answers
    try:
        return _State(zpl.decode_status(first, second, third), zpl.decode_count(count))
    except ValueError as error:
        raise ReplyInvalid(DEVICE, f"{error}; check the cable for noise") from None


def _require_no_trouble(status: HostStatus) -> None:
    if status.trouble:
        text = " and ".join(text for trouble, text in _TROUBLES.items() if trouble in status.trouble)
        raise DeviceRefused(DEVICE, f"{text}; see to it and print the label again")
