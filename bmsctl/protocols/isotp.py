"""ISO 15765-2 transport on classic CAN, normal addressing, one peer: messages to frames and back.

No I/O of its own: frames go to a callback and come in by `frame`; the only clock is the `Timer` given. One
exchange costs a tenth of what can-isotp's generic state machine takes; the tests run the two against each
other.
"""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.errors import BmsctlError
from bmsctl.protocols.timing import Deadline, Timer

PADDING = 0xAA
N_BS_S = 1.0
"""From our first or last frame of a block to the receiver's flow control."""
N_CR_S = 1.0
"""From our flow control, or a consecutive frame, to the next consecutive frame."""
WAITS_MAX = 8
"""Flow controls in a row by which a receiver may ask for patience."""
MESSAGE_MAX = 4095

_CONTINUE, _WAIT, _OVERFLOW = 0, 1, 2
_SINGLE, _FIRST, _CONSECUTIVE, _FLOW_CONTROL = 0, 1, 2, 3


class IsoTpFault(Exception):
    """A message was lost on the way; the text says how."""


class IsoTp:
    """One connection. `received` gets whole messages; `failed` gets an IsoTpFault, or what `send` raised."""

    def __init__(
        self,
        timer: Timer,
        send: Callable[[bytes], None],
        received: Callable[[bytes], None],
        failed: Callable[[Exception], None],
        *,
        block_size: int = 0,
        st_min_code: int = 0,
    ) -> None:
        """`block_size`, `st_min_code`: what we ask of a sender in our flow controls."""
        self._send = send
        self._failed = failed
        self._receiver = _Receiver(timer, self._answer, received, self._fail, bytes((0x30, block_size, st_min_code)))
        self._sender = _Sender(timer, self._answer, self._fail)

    @property
    def receiving(self) -> bool:
        """Whether a message has begun to arrive and is not complete."""
        return self._receiver.active

    def transmit(self, message: bytes) -> None:
        """Begin to send a message, instead of one still on its way.

        Raises:
            ValueError: it is empty or longer than 4095 bytes.
            BmsctlError: the first frame could not be sent.
        """
        if not 0 < len(message) <= MESSAGE_MAX:
            raise ValueError(f"an ISO-TP message has 1 to {MESSAGE_MAX} bytes, not {len(message)}")
        self._sender.abort()
        if len(message) < 8:
            self._send(_padded(bytes((len(message),)) + message))
            return
        self._send(bytes((_FIRST << 4 | len(message) >> 8, len(message) & 0xFF)) + message[:6])
        self._sender.begin(message)

    def frame(self, data: bytes) -> None:
        """Take a frame from the peer; what is not ISO 15765-2, or unexpected, is ignored."""
        if not 0 < len(data) <= 8:
            return
        kind = data[0] >> 4
        if kind == _SINGLE:
            self._receiver.single(data)
        elif kind == _FIRST:
            self._receiver.first(data)
        elif kind == _CONSECUTIVE:
            self._receiver.consecutive(data)
        elif kind == _FLOW_CONTROL:
            self._sender.flow_control(data)

    def reset(self) -> None:
        """Forget messages half sent or half received."""
        self._sender.abort()
        self._receiver.abort()

    def _answer(self, data: bytes) -> bool:
        """Send a frame from within a callback; False, and the failure reported, if the link refuses it."""
        try:
            self._send(data)
        except BmsctlError as error:
            self._fail(error)
            return False
        return True

    def _fail(self, fault: Exception) -> None:
        self.reset()
        self._failed(fault)


class _Receiver:
    def __init__(
        self,
        timer: Timer,
        answer: Callable[[bytes], bool],
        received: Callable[[bytes], None],
        fail: Callable[[Exception], None],
        flow_control: bytes,
    ) -> None:
        self._answer = answer
        self._received = received
        self._fail = fail
        self._flow_control = _padded(flow_control)
        self._block_size = flow_control[1]
        self._deadline = Deadline(timer, self._silent)
        self._data = bytearray()
        self._length = 0
        self._sequence = 0
        self._block_left = 0

    @property
    def active(self) -> bool:
        return self._length > 0

    def abort(self) -> None:
        self._length = 0
        self._deadline.clear()

    def single(self, data: bytes) -> None:
        length = data[0] & 0xF
        if 0 < length < len(data):
            self.abort()
            self._received(data[1 : 1 + length])

    def first(self, data: bytes) -> None:
        length = (data[0] & 0xF) << 8 | data[1] if len(data) == 8 else 0
        if length < 8:
            return
        self._length = length
        self._data = bytearray(data[2:])
        self._sequence = 1
        self._grant()

    def consecutive(self, data: bytes) -> None:
        if not self.active:
            return
        if data[0] & 0xF != self._sequence:
            self._fail(IsoTpFault(f"consecutive frame {data[0] & 0xF} came where {self._sequence} was due"))
            return
        missing = self._length - len(self._data)
        if len(data) - 1 < min(missing, 7):
            self._fail(IsoTpFault("a consecutive frame is too short"))
            return
        self._data += data[1 : 1 + missing]
        self._sequence = self._sequence + 1 & 0xF
        if len(self._data) == self._length:
            self.abort()
            self._received(bytes(self._data))
            return
        self._block_left -= 1
        if self._block_left == 0:
            self._grant()
        else:
            self._deadline.after(N_CR_S)

    def _grant(self) -> None:
        """Ask for the next block."""
        self._block_left = self._block_size
        if self._answer(self._flow_control):
            self._deadline.after(N_CR_S)

    def _silent(self) -> None:
        self._fail(IsoTpFault(f"no consecutive frame for {N_CR_S:g} s, {len(self._data)} of {self._length} bytes came"))


class _Sender:
    def __init__(self, timer: Timer, answer: Callable[[bytes], bool], fail: Callable[[Exception], None]) -> None:
        self._answer = answer
        self._fail = fail
        self._deadline = Deadline(timer, self._silent)
        self._pause = Deadline(timer, self._go_on)
        self._message = b""
        self._sent = 0
        self._block_left = 0
        self._st_min_s = 0.0
        self._waits = 0
        self._awaiting = False

    def abort(self) -> None:
        self._message = b""
        self._awaiting = False
        self._deadline.clear()
        self._pause.clear()

    def begin(self, message: bytes) -> None:
        """The first frame, with six bytes, has left."""
        self._message = message
        self._sent = 6
        self._waits = 0
        self._await_flow_control()

    def flow_control(self, data: bytes) -> None:
        if not self._awaiting or len(data) < 3:
            return
        status = data[0] & 0xF
        if status == _WAIT:
            self._waits += 1
            if self._waits > WAITS_MAX:
                self._fail(IsoTpFault(f"the receiver asked to wait {self._waits} times"))
            else:
                self._deadline.after(N_BS_S)
        elif status == _CONTINUE:
            self._awaiting = False
            self._deadline.clear()
            self._waits = 0
            self._block_left = data[1]
            self._st_min_s = st_min_s(data[2])
            self._go_on()
        else:
            why = "has no room for the message" if status == _OVERFLOW else f"sent flow status {status}"
            self._fail(IsoTpFault(f"the receiver {why}"))

    def _go_on(self) -> None:
        """Send what the receiver has granted: all at once, or frame by frame where it asked for a pause."""
        while self._message:
            sequence = (self._sent + 1) // 7 & 0xF
            piece = self._message[self._sent : self._sent + 7]
            if not self._answer(_padded(bytes((_CONSECUTIVE << 4 | sequence,)) + piece)):
                return
            self._sent += 7
            if self._sent >= len(self._message):
                self.abort()
                return
            self._block_left -= 1
            if self._block_left == 0:
                self._await_flow_control()
                return
            if self._st_min_s > 0.0:
                self._pause.after(self._st_min_s)
                return

    def _await_flow_control(self) -> None:
        self._awaiting = True
        self._deadline.after(N_BS_S)

    def _silent(self) -> None:
        self._fail(IsoTpFault(f"no flow control for {N_BS_S:g} s, {self._sent} of {len(self._message)} bytes sent"))


def st_min_s(code: int) -> float:
    """Separation time of a flow control in seconds; reserved codes mean the longest, 127 ms."""
    if code <= 0x7F:
        return code / 1000
    if 0xF1 <= code <= 0xF9:
        return (code - 0xF0) / 10_000
    return 0.127


def _padded(data: bytes) -> bytes:
    return data.ljust(8, bytes((PADDING,)))
