"""ISO-TP: frames pinned from the standard, every fault it names, and can-isotp as an independent twin."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

import isotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.errors import LinkDown
from bmsctl.protocols.isotp import IsoTp, IsoTpFault, st_min_s


class ManualTimer:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        heapq.heappush(self._due, (when, len(self._due), callback))
        return None

    def advance(self, duration_s: float) -> None:
        until_s = self.now_s + duration_s
        while self._due and self._due[0][0] <= until_s:
            self.now_s, _, callback = heapq.heappop(self._due)
            callback()
        self.now_s = until_s


class Peer:
    """One end: what it sent, received and lost."""

    def __init__(self, **parameters: int) -> None:
        self.timer = ManualTimer()
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.faults: list[Exception] = []
        self.refuse = False
        self.isotp = IsoTp(self.timer, self._send, self.received.append, self.faults.append, **parameters)

    def _send(self, data: bytes) -> None:
        if self.refuse:
            raise LinkDown("bms", "gone")
        self.sent.append(data)

    def frames(self, *hexadecimal: str) -> None:
        for data in hexadecimal:
            self.isotp.frame(bytes.fromhex(data))

    def fault(self) -> str:
        (fault,) = self.faults
        assert isinstance(fault, IsoTpFault)
        return str(fault)


FLOW_CONTROL = "30 00 00 AA AA AA AA AA"


def test_single_frame_is_padded() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes.fromhex("22F187"))
    assert peer.sent == [bytes.fromhex("03 22 F1 87 AA AA AA AA")]
    peer.isotp.transmit(bytes(range(7)))
    assert peer.sent[1] == bytes.fromhex("07 00 01 02 03 04 05 06")


def test_sixteen_bytes_leave_as_first_and_consecutive_frames() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(range(16)))
    assert peer.sent == [bytes.fromhex("10 10 00 01 02 03 04 05")]
    peer.frames(FLOW_CONTROL)
    assert peer.sent[1:] == [
        bytes.fromhex("21 06 07 08 09 0A 0B 0C"),
        bytes.fromhex("22 0D 0E 0F AA AA AA AA"),
    ]


def test_receives_what_it_would_send() -> None:
    peer = Peer()
    peer.frames("10 10 00 01 02 03 04 05")
    assert peer.sent == [bytes.fromhex(FLOW_CONTROL)]
    assert peer.isotp.receiving
    peer.frames("21 06 07 08 09 0A 0B 0C", "22 0D 0E 0F 55 55 55 55")
    assert peer.received == [bytes(range(16))]
    assert not peer.isotp.receiving
    peer.timer.advance(10.0)
    assert peer.faults == []


def test_the_sequence_number_wraps_from_f_to_0() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(6 + 7 * 17))
    peer.frames(FLOW_CONTROL)
    assert [frame[0] for frame in peer.sent[1:]] == [0x20 | number % 16 for number in range(1, 18)]


def test_the_sender_pauses_after_each_block_and_between_frames() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(6 + 7 * 5))
    peer.frames("30 02 0A")
    assert len(peer.sent) == 2
    peer.timer.advance(0.0099)
    assert len(peer.sent) == 2
    peer.timer.advance(0.0002)
    assert len(peer.sent) == 3
    peer.timer.advance(0.5)
    assert len(peer.sent) == 3, "the block of two is over"
    peer.frames("30 00 00")
    assert len(peer.sent) == 6


def test_the_receiver_asks_for_each_block() -> None:
    peer = Peer(block_size=2, st_min_code=5)
    grant = bytes.fromhex("30 02 05 AA AA AA AA AA")
    peer.frames("10 29" + " 00" * 6, "21" + " 00" * 7)
    assert peer.sent == [grant]
    peer.frames("22" + " 00" * 7)
    assert peer.sent == [grant, grant]


@pytest.mark.parametrize(
    ("code", "seconds"),
    [(0x00, 0.0), (0x01, 0.001), (0x7F, 0.127), (0xF1, 0.0001), (0xF9, 0.0009), (0x80, 0.127), (0xFA, 0.127)],
)
def test_separation_time_codes(code: int, seconds: float) -> None:
    assert st_min_s(code) == pytest.approx(seconds)


def test_no_flow_control_within_n_bs() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(20))
    peer.timer.advance(0.99)
    assert peer.faults == []
    peer.timer.advance(0.02)
    assert "no flow control" in peer.fault()
    peer.frames(FLOW_CONTROL)
    assert len(peer.sent) == 1, "a flow control that comes too late starts nothing"


def test_wait_restarts_n_bs_but_not_for_ever() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(20))
    for _ in range(8):
        peer.timer.advance(0.9)
        peer.frames("31 00 00")
    assert peer.faults == []
    peer.frames("31 00 00")
    assert "wait" in peer.fault()


@pytest.mark.parametrize(("frame", "said"), [("32 00 00", "no room"), ("35 00 00", "flow status 5")])
def test_overflow_and_unknown_flow_status_end_the_transmission(frame: str, said: str) -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(20))
    peer.frames(frame)
    assert said in peer.fault()
    peer.frames(FLOW_CONTROL)
    assert len(peer.sent) == 1


def test_a_lost_consecutive_frame_is_found_by_the_next() -> None:
    peer = Peer()
    peer.frames("10 14 00 00 00 00 00 00", "22 00 00 00 00 00 00 00")
    assert "consecutive frame 2 came where 1 was due" in peer.fault()
    peer.frames("21 00 00 00 00 00 00 00", "22 00 00 00 00 00 00 00")
    assert peer.received == []


def test_a_short_consecutive_frame_ends_the_reception() -> None:
    peer = Peer()
    peer.frames("10 14 00 00 00 00 00 00", "21 00")
    assert "too short" in peer.fault()


def test_no_consecutive_frame_within_n_cr() -> None:
    peer = Peer()
    peer.frames("10 14 00 00 00 00 00 00")
    peer.timer.advance(0.9)
    peer.frames("21 00 00 00 00 00 00 00")
    peer.timer.advance(0.9)
    assert peer.faults == []
    peer.timer.advance(0.2)
    assert "no consecutive frame for 1 s, 13 of 20 bytes came" in peer.fault()


def test_a_new_message_replaces_one_half_received() -> None:
    peer = Peer()
    peer.frames("10 14 00 00 00 00 00 00", "02 7E 00")
    assert peer.received == [b"\x7e\x00"]
    peer.frames("21 00 00 00 00 00 00 00")
    assert peer.received == [b"\x7e\x00"]
    peer.timer.advance(5.0)
    assert peer.faults == []


def test_reset_forgets_both_directions() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(20))
    peer.frames("10 14 00 00 00 00 00 00")
    peer.isotp.reset()
    sent = len(peer.sent)
    peer.frames(FLOW_CONTROL, "21 00 00 00 00 00 00 00")
    peer.timer.advance(5.0)
    assert (len(peer.sent), peer.received, peer.faults) == (sent, [], [])


def test_a_link_that_refuses_a_frame_in_a_callback_is_reported_not_raised() -> None:
    peer = Peer()
    peer.isotp.transmit(bytes(20))
    peer.refuse = True
    peer.frames(FLOW_CONTROL)
    assert [type(fault) for fault in peer.faults] == [LinkDown]
    with pytest.raises(LinkDown):
        peer.isotp.transmit(bytes(3))


@pytest.mark.parametrize("length", [0, 4096])
def test_lengths_that_cannot_be_sent(length: int) -> None:
    with pytest.raises(ValueError, match="1 to 4095"):
        Peer().isotp.transmit(bytes(length))


@pytest.mark.parametrize("frame", ["", "00", "00 01 02", "08 00 00 00 00 00 00 00", "04 01", "10 05 00 00 00 00 00 00"])
def test_frames_that_mean_nothing_are_ignored(frame: str) -> None:
    peer = Peer()
    peer.frames(frame)
    assert (peer.sent, peer.received, peer.faults) == ([], [], [])


@given(st.lists(st.binary(max_size=9), max_size=12))
def test_arbitrary_frames_never_raise(frames: list[bytes]) -> None:
    peer = Peer(block_size=1)
    peer.isotp.transmit(bytes(40))
    for data in frames:
        peer.isotp.frame(data)
        peer.timer.advance(0.3)
    assert all(0 < len(message) <= 4095 for message in peer.received)


class Twin:
    """can-isotp's state machine without its threads."""

    def __init__(self, block_size: int) -> None:
        self.inbox: deque[Any] = deque()
        self.sent: list[bytes] = []
        parameters = {"tx_padding": 0xAA, "blocksize": block_size, "stmin": 0, "rate_limit_enable": False}
        self.logic = isotp.TransportLayerLogic(
            rxfn=lambda timeout: self.inbox.popleft() if self.inbox else None,
            txfn=lambda message: self.sent.append(bytes(message.data)),
            address=isotp.Address(isotp.AddressingMode.NormalFixed_29bits, source_address=0xDB, target_address=0xF1),
            params=parameters,
        )

    def frame(self, data: bytes) -> None:
        self.inbox.append(isotp.CanMessage(arbitration_id=0x18DADBF1, data=data, extended_id=True))


def exchange(ours: Peer, twin: Twin) -> None:
    """Carry frames both ways until neither has any left."""
    ours_done = twin_done = 0
    while True:
        twin.logic.process()
        if ours_done == len(ours.sent) and twin_done == len(twin.sent):
            return
        for data in ours.sent[ours_done:]:
            twin.frame(data)
        ours_done = len(ours.sent)
        fresh, twin_done = twin.sent[twin_done:], len(twin.sent)
        for data in fresh:
            ours.isotp.frame(data)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(0, 9), st.integers(0, 9))
def test_both_directions_against_can_isotp(length: int, our_block: int, its_block: int) -> None:
    ours, twin = Peer(block_size=our_block), Twin(its_block)
    message = bytes(index * 7 & 0xFF for index in range(length))
    ours.isotp.transmit(message)
    exchange(ours, twin)
    assert bytes(twin.logic.recv() or b"") == message
    twin.logic.send(message[::-1])
    exchange(ours, twin)
    assert ours.received == [message[::-1]]
    assert ours.faults == []


def test_the_longest_message_against_can_isotp() -> None:
    ours, twin = Peer(), Twin(0)
    message = bytes(index & 0xFF for index in range(4095))
    ours.isotp.transmit(message)
    exchange(ours, twin)
    assert bytes(twin.logic.recv() or b"") == message
