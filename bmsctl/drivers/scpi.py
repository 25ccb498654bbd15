"""A conversation with one SCPI instrument: tagged queries, its error queue, and what makes a reading unbelievable."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import scpi

ATTEMPTS = 3
"""A query is read again twice at most."""
FROZEN = 10
"""So many identical readings in a row are not measured, where noise exceeds the resolution."""
IDENTITY_WITHIN_S = 0.5
QUEUE_MAX = 30
"""Longer than any instrument's error queue."""

Encode = Callable[[int], bytes]
Decode = Callable[[str], scpi.Answer | None]
Whole = Callable[[scpi.Answer], bool]


class ScpiSession:
    """One instrument's conversation; one query at a time. `strays`: answers to nothing that is being asked.

    Without an `error_queue` the instrument is judged by its event status register alone.
    """

    def __init__(self, serial: SerialLink, device: str, *, error_queue: bool = True) -> None:
        self._serial = serial
        self._device = device
        self._error_queue = error_queue
        self._lines = scpi.Lines()
        self._lock = asyncio.Lock()
        self._tag = 0
        self._decode: Decode = scpi.decode_answer
        self._waiting: asyncio.Future[scpi.Answer] | None = None
        self._begun = False
        self._queued = False
        self._undecodable = 0
        self.strays = 0
        serial.attach(self._take)

    @property
    def damaged(self) -> int:
        """Lines that could not be read, or are no answer."""
        return self._lines.damaged + self._undecodable

    def write(self, command: str) -> None:
        """Send a command that expects no answer, by no lease: only ever one that takes energy away."""
        with contextlib.suppress(LinkDown, TxFull):
            self._serial.write(command.encode("ascii") + scpi.TERMINATOR)

    async def begin(self, lease: Lease) -> str:
        """Clear the device's queues and learn who it is, twice alike; from now on a restart is noticed.

        Raises:
            DeviceTimeout, ReplyInvalid: no good answer in ATTEMPTS, or two that differ.
        """
        async with self._lock:
            self._begun = False
            first = await self._identity(lease, clear=True)
            self._begun, self._queued = True, False
            second = await self._identity(lease, clear=False)
        if first != second:
            raise ReplyInvalid(self._device, f"names itself {first}, then {second}; check the cable for noise")
        return second

    async def query(self, lease: Lease, command: str, within_s: float, fields: int = 1) -> tuple[str, ...]:
        """The fields of the answer to a query that changes nothing; asked again when the answer is damaged.

        Raises:
            DeviceTimeout, ReplyInvalid: no good answer in ATTEMPTS.
            DeviceRefused: an error bit instead of an answer.
            DeviceRestarted: the device has lost its settings.
        """
        async with self._lock:
            encode = partial(scpi.tagged, command)
            answer = await self._ask(lease, command, encode, within_s, whole=lambda got: len(got.fields) == fields)
        return answer.fields

    async def measure(
        self, lease: Lease, command: str, again: str, under: Mapping[str, str], within_s: float, fields: int = 1
    ) -> tuple[str, ...]:
        """The digits that `command` measures and `again` repeats, under these settings, all in one answer.

        Asked again when the two differ, for nothing else tells damaged digits; no harm may be done by that.

        Raises:
            ReplyInvalid: also when a setting reads otherwise.
            DeviceTimeout, DeviceRefused, DeviceRestarted: as `query`.
        """
        whole = ";".join((command, again, *(f"{header}?" for header in under)))

        def twice_alike(got: scpi.Answer) -> bool:
            first, second = got.fields[:fields], got.fields[fields : 2 * fields]
            return len(got.fields) == 2 * fields + len(under) and first == second

        async with self._lock:
            answer = await self._ask(lease, command, partial(scpi.tagged, whole), within_s, whole=twice_alike)
        for (header, wanted), said in zip(under.items(), answer.fields[2 * fields :], strict=True):
            self._compare(header, wanted, said)
        return answer.fields[:fields]

    async def act(self, lease: Lease, command: str, within_s: float, fields: int = 0) -> tuple[str, ...]:
        """Run a command, once, and see that it made no error; the fields it answered (none without an error queue).

        Raises:
            DeviceRefused: an entry of the error queue, or an error bit of the event status register.
            DeviceTimeout, ReplyInvalid: the command may have been run; the instrument's state is unknown.
            DeviceRestarted: the device has lost its settings.
        """
        async with self._lock:
            if not self._error_queue:
                return await self._act_by_events(lease, command, within_s)
            if self._queued:
                await self._forget_errors(lease, within_s)
            encode = partial(scpi.tagged, f"{command};:SYST:ERR?")
            answer = await self._ask(lease, command, encode, within_s, attempts=1, whole=lambda got: bool(got.fields))
            self._queued = False
        *rest, entry = answer.fields
        number, text = self._entry(command, entry)
        if number:
            raise DeviceRefused(self._device, f"{command} refused: {number} {text}")
        if len(rest) != fields:
            raise ReplyInvalid(self._device, f"{len(rest)} answers to {command} instead of {fields}")
        return tuple(rest)

    async def settings(self, lease: Lease, wanted: Mapping[str, str], within_s: float) -> None:
        """Set each header to its value, and read all of them back.

        Raises:
            ReplyInvalid: a setting reads otherwise.
        """
        for header, value in wanted.items():
            await self.act(lease, f"{header} {value}", within_s)
        for header, value in wanted.items():
            (said,) = await self.query(lease, f"{header}?", within_s)
            self._compare(header, value, said)

    def number(self, text: str, low: float, high: float, what: str, *, over_range: bool = False) -> float:
        """A number that can be believed: within `low` and `high`, wider than any defect.

        Args:
            over_range: whether infinity, with its sign, is an answer too.

        Raises:
            ReplyInvalid: no number, or implausible.
        """
        try:
            value = scpi.decode_number(text)
        except ValueError as error:
            raise ReplyInvalid(self._device, f"{what}: {error}") from None
        if not low <= value <= high and not (over_range and abs(value) == float("inf")):
            raise ReplyInvalid(self._device, f"{what} {value:g} is implausible, not within {low:g} and {high:g}")
        return value

    def _compare(self, header: str, wanted: str, said: str) -> None:
        if not _same(said, wanted):
            raise ReplyInvalid(self._device, f"{header} was set to {wanted} and reads {said}")

    def _entry(self, command: str, text: str) -> tuple[int, str]:
        try:
            return scpi.decode_error(text)
        except ValueError as error:
            raise ReplyInvalid(self._device, f"answer to {command}: {error}") from None

    async def _forget_errors(self, lease: Lease, within_s: float) -> None:
        """Empty the error queue of what earlier messages left, so that it is not blamed on the next command."""
        encode = partial(scpi.tagged, ":SYST:ERR?")
        for _ in range(QUEUE_MAX):
            answer = await self._ask(lease, ":SYST:ERR?", encode, within_s, whole=lambda got: len(got.fields) == 1)
            if not self._entry(":SYST:ERR?", answer.fields[0])[0]:
                return
        raise ReplyInvalid(self._device, f"has more than {QUEUE_MAX} errors in its queue")

    async def _identity(self, lease: Lease, *, clear: bool) -> str:
        encode = partial(scpi.identify, clear=clear)
        answer = await self._ask(lease, "*IDN?", encode, IDENTITY_WITHIN_S, decode=scpi.decode_identity)
        return answer.fields[0]

    async def _act_by_events(self, lease: Lease, command: str, within_s: float) -> tuple[str, ...]:
        """A message of its own for the tag: after an error a device ignores the rest of a message."""
        message = command.encode("ascii") + scpi.TERMINATOR
        answer = await self._ask(lease, command, lambda tag: message + scpi.tagged("", tag), within_s, attempts=1)
        if answer.events & scpi.ERRORS:
            raise DeviceRefused(self._device, f"{command} refused: event status {answer.events}")
        return answer.fields

    async def _ask(
        self,
        lease: Lease,
        asked: str,
        encode: Encode,
        within_s: float,
        *,
        attempts: int = ATTEMPTS,
        decode: Decode = scpi.decode_answer,
        whole: Whole = lambda got: True,
    ) -> scpi.Answer:
        damaged = False
        for _ in range(attempts):
            seen = self.damaged
            answer = await self._once(lease, encode, within_s, decode)
            damaged = answer is not None or self.damaged > seen
            self._queued |= answer is None or bool(answer.events & scpi.ERRORS)
            if answer is None:
                continue
            if answer.events & scpi.POWER_ON and self._begun:
                raise DeviceRestarted(self._device, "has restarted and lost its settings; check its supply")
            if whole(answer):
                lease.touch()
                return answer
            if answer.events & scpi.ERRORS:
                raise DeviceRefused(self._device, f"{asked} refused: event status {answer.events}")
        if damaged:
            raise ReplyInvalid(self._device, f"the answer to {asked} is damaged; check the cable for noise")
        raise DeviceTimeout(self._device, f"no answer to {asked} within {within_s:g} s; check cable and supply")

    async def _once(self, lease: Lease, encode: Encode, within_s: float, decode: Decode) -> scpi.Answer | None:
        """Ask once; None if no answer with this tag came. Noise in between does not end the waiting."""
        lease.quiet_for(within_s)
        self._tag = self._tag % scpi.TAG_MAX + 1
        self._decode = decode
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            self._serial.write(encode(self._tag), lease)
            async with asyncio.timeout(within_s):
                return await self._waiting
        except TimeoutError:
            return None
        finally:
            self._waiting = None

    def _take(self, data: bytes, t_s: float) -> None:
        for line in self._lines.feed(data):
            answer = self._decode(line)
            if answer is None:
                self._undecodable += 1
            elif answer.tag != self._tag or self._waiting is None or self._waiting.done():
                self.strays += 1
            else:
                self._waiting.set_result(answer)


class FrozenGuard:
    """Notices readings that do not move although their noise exceeds their resolution.

    `alike`: so many in a row are no chance. Few, where a pack is read few times and its digits are many.
    """

    def __init__(self, device: str, alike: int = FROZEN) -> None:
        self._device = device
        self._alike = alike
        self._last: deque[str] = deque(maxlen=alike)

    def see(self, text: str) -> bool:
        """Take the digits of one reading; whether they differ from those before.

        Raises:
            ReplyInvalid: the last `alike` readings are identical.
        """
        differs = not self._last or self._last[-1] != text
        self._last.append(text)
        if len(self._last) == self._alike and len(set(self._last)) == 1:
            raise ReplyInvalid(self._device, f"stuck: {self._alike} identical readings of {text}")
        return differs


def _same(said: str, wanted: str) -> bool:
    try:
        return abs(float(said) - float(wanted)) <= 1e-4 * abs(float(wanted))
    except ValueError:
        return said.strip('"').upper() == wanted.strip('"').upper()
