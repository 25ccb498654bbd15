"""A tester on ISO 14229-1 over ISO-TP: one request at a time, and only its own answer is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid, TxFull
from bmsctl.protocols import uds
from bmsctl.protocols.isotp import N_CR_S, IsoTp, IsoTpFault
from bmsctl.protocols.uds import Nrc, RoutineAction, Session, Sid

P2_S = 0.15
"""Patience for an answer: the server has 50 ms, the rest is for adapters and scheduling."""
P2_STAR_S = 5.0
"""Patience after "response pending"."""
TOTAL_S = 10.0
"""Patience for one request, whatever the server promises."""
TESTER_PRESENT_S = 2.0

_TESTER_PRESENT = bytes((0x02, Sid.TESTER_PRESENT, uds.SUPPRESS)) + b"\xaa" * 5


class UdsClient:
    """One server's tester. Build inside the running loop."""

    def __init__(self, can: CanLink, device: str, key: Callable[[bytes], bytes]) -> None:
        """`key`: the security-access key for a seed."""
        self._can = can
        self._device = device
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._isotp = IsoTp(self._loop, self._send, self._received, self._failed)
        self._request = b""
        self._promised = False
        self._lease: Lease | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._patience: asyncio.Timeout | None = None
        self._due_s = self._give_up_s = 0.0
        self._deaf_until_s = 0.0
        self._present: asyncio.TimerHandle | None = None
        self._held: tuple[Lease, Session] | None = None
        can.push([uds.ANSWER_ID], lambda frame: self._frame(frame))

    async def request(self, lease: Lease, request: bytes, total_s: float = TOTAL_S) -> bytes:
        """Send a request; what its positive answer carries after the bytes it repeats.

        Raises:
            DeviceRefused: a negative answer; the text names its code.
            DeviceTimeout: no answer in time.
            ReplyInvalid: an answer that was damaged on its way.
        """
        async with self._lock:
            try:
                return await self._exchange(lease, request, total_s)
            except TimeoutError:
                raise DeviceTimeout(self._device, self._unanswered(request)) from None
            except IsoTpFault as fault:
                raise ReplyInvalid(self._device, f"answer to {_shown(request)} lost: {fault}") from None
            finally:
                self._request = b""
                self._patience = self._answer = None

    def _unanswered(self, request: bytes) -> str:
        if self._promised:
            return f"only ever promised an answer to {_shown(request)}; switch the pack's 12 V off and on, then retest"
        return f"no answer to {_shown(request)}; check the signal connector, then the pack"

    async def _exchange(self, lease: Lease, request: bytes, total_s: float) -> bytes:
        deaf_s = self._deaf_until_s - self._loop.time()
        if deaf_s > 0.0:
            lease.quiet_for(deaf_s)
            await asyncio.sleep(deaf_s)
        self._isotp.reset()
        self._lease, self._request, self._promised = lease, request, False
        answer = self._answer = self._loop.create_future()
        now_s = self._loop.time()
        self._due_s, self._give_up_s = now_s + P2_S, now_s + total_s
        self._isotp.transmit(request)
        # An answer may come after we have given up; the next request waits until it no longer can.
        self._deaf_until_s = now_s + 2 * P2_S
        async with asyncio.timeout_at(self._due_s) as self._patience:
            data = await answer
        self._deaf_until_s = 0.0
        lease.touch()
        return self._accepted(request, data)

    def _accepted(self, request: bytes, data: bytes) -> bytes:
        nrc = uds.refusal(request, data)
        if nrc is not None:
            raise DeviceRefused(self._device, f"{_shown(request)} refused: {uds.nrc_name(nrc)}")
        rest = uds.accepted(request, data)
        assert rest is not None, "only matching answers get here"
        return rest

    def _send(self, data: bytes) -> None:
        self._can.send(CanFrame(uds.REQUEST_ID, data, extended=True), self._lease)

    def _frame(self, frame: CanFrame) -> None:
        begun = self._isotp.receiving
        self._isotp.frame(frame.data)
        if self._isotp.receiving and not begun and self._lease is not None:
            self._lease.quiet_for(N_CR_S)
            self._wait_until(self._give_up_s)

    def _received(self, data: bytes) -> None:
        """Take a whole message; one that does not belong to the current request is dropped."""
        answer, request = self._answer, self._request
        if answer is None or answer.done():
            return
        nrc = uds.refusal(request, data)
        if nrc == Nrc.RESPONSE_PENDING:
            assert self._lease is not None
            self._promised = True
            self._deaf_until_s = self._loop.time() + P2_STAR_S
            self._lease.quiet_for(P2_STAR_S)
            self._due_s = min(self._deaf_until_s, self._give_up_s)
            self._wait_until(self._due_s)
        elif nrc is not None or uds.accepted(request, data) is not None:
            answer.set_result(data)
        else:
            self._wait_until(self._due_s)

    def _wait_until(self, when_s: float) -> None:
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(when_s)

    def _failed(self, fault: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)

    async def read(self, lease: Lease, did: int) -> bytes:
        """ReadDataByIdentifier."""
        return await self.request(lease, uds.identified(Sid.READ_DATA_BY_IDENTIFIER, did))

    async def write(self, lease: Lease, did: int, data: bytes) -> None:
        """WriteDataByIdentifier."""
        await self.request(lease, uds.identified(Sid.WRITE_DATA_BY_IDENTIFIER, did, data))

    async def routine(self, lease: Lease, action: RoutineAction, routine: int) -> bytes:
        """RoutineControl; the routine's status record."""
        return await self.request(lease, uds.routine(action, routine))

    async def enter(self, lease: Lease, session: Session) -> None:
        """Change session; one other than the default is kept alive until left, or until the lease is revoked."""
        await self.request(lease, bytes((Sid.DIAGNOSTIC_SESSION_CONTROL, session)))
        self.release()
        if session is not Session.DEFAULT:
            self._held = lease, session
            self._present = self._loop.call_later(TESTER_PRESENT_S, self._keep, lease)

    def holds(self, lease: Lease, session: Session) -> bool:
        """Whether this session was entered under this lease and has been kept alive since."""
        return self._held == (lease, session)

    async def unlock(self, lease: Lease) -> None:
        """Security access, level 1; a seed of zeros says that it is open already."""
        seed = await self.request(lease, bytes((Sid.SECURITY_ACCESS, 0x01)))
        if not seed:
            raise ReplyInvalid(self._device, "security access gave no seed")
        if any(seed):
            await self.request(lease, bytes((Sid.SECURITY_ACCESS, 0x02)) + self._key(seed))

    def release(self) -> None:
        """Keep no session alive; the server falls back to the default after 5 s."""
        if self._present is not None:
            self._present.cancel()
            self._present = None
        self._held = None

    def _keep(self, lease: Lease) -> None:
        try:
            self._can.send(CanFrame(uds.FUNCTIONAL_ID, _TESTER_PRESENT, extended=True), lease)
        except LeaseRevoked:
            self.release()
            return
        except (LinkDown, TxFull):
            pass  # The session is lost if this lasts; the next request that needs it says so.
        self._present = self._loop.call_later(TESTER_PRESENT_S, self._keep, lease)


def _shown(request: bytes) -> str:
    """The request for a message: "22 F187", long ones cut."""
    head = request[:4]
    shown = f"{head[0]:02X} {head[1:].hex().upper()}".strip()
    return shown if len(request) <= 4 else shown + "…"
