"""The envelope: no damaged frame passes, and a burst is sealed and opened as its frames are one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols.bms_broadcast import AMPR_MEDIUM, AMPR_SMALL, MessageSet
from bmsctl.protocols.bms_broadcast.envelope import seal, seal_burst, unseal, unseal_burst

BOTH = [AMPR_SMALL, AMPR_MEDIUM]
SETS = pytest.mark.parametrize("messages", BOTH, ids=lambda messages: messages.name)


@st.composite
def bursts(draw: st.DrawFn) -> tuple[MessageSet, list[int]]:
    """A message set, and payloads for the cell frames of one cycle."""
    messages = draw(st.sampled_from(BOTH))
    count, bits = len(messages.cells.can_ids), 8 * messages.cells.length - 12
    return messages, draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=count, max_size=count))


@given(st.sampled_from([(0x110, 4), (0x230, 7), (0x217, 8), (0x207, 64)]), st.integers(0, (1 << 20) - 1), st.data())
def test_no_wrong_bit_and_no_wrong_length_passes(frame: tuple[int, int], payload: int, choose: st.DataObject) -> None:
    can_id, length = frame
    data = seal(can_id, 5, payload, length)
    assert unseal(can_id, data, length) == (5, payload)
    bit = choose.draw(st.integers(0, 8 * length - 1))
    assert unseal(can_id, (int.from_bytes(data) ^ 1 << bit).to_bytes(length), length) is None
    assert unseal(can_id, data[:-1], length) is None
    assert unseal(can_id, data + b"\0", length) is None


@SETS
def test_a_frame_of_one_identifier_does_not_pass_for_another(messages: MessageSet) -> None:
    frame = messages.seal(0x201, 3, 0xABC)
    assert messages.unseal(0x201, frame) is not None
    assert messages.unseal(0x202, frame) is None


@given(bursts(), st.integers(0, 1000))
def test_a_burst_is_sealed_frame_by_frame(burst: tuple[MessageSet, list[int]], alive: int) -> None:
    messages, payloads = burst
    cells = messages.cells
    frames = [messages.seal(can_id, alive, payload) for can_id, payload in zip(cells.can_ids, payloads, strict=True)]
    assert seal_burst(cells.can_ids, alive, payloads, cells.length) == frames
    assert unseal_burst(cells.can_ids, frames, cells.length) == [(alive & 0xF, payload) for payload in payloads]


@given(bursts(), st.data())
def test_a_damaged_frame_of_a_burst_is_dropped_alone(
    burst: tuple[MessageSet, list[int]], choose: st.DataObject
) -> None:
    messages, payloads = burst
    can_ids, size = messages.cells.can_ids, messages.cells.length
    frames = seal_burst(can_ids, 7, payloads, size)
    at = choose.draw(st.integers(0, len(frames) - 1))
    bit, length = choose.draw(st.integers(0, 8 * size - 1)), choose.draw(st.integers(0, size + 1))
    flipped = (int.from_bytes(frames[at]) ^ 1 << bit).to_bytes(size)
    cut = (frames[at] + b"\0")[:length]
    for damaged in (flipped, cut):
        if damaged != frames[at]:
            held = unseal_burst(can_ids, [*frames[:at], damaged, *frames[at + 1 :]], size)
            assert held[at] is None
            assert [each for k, each in enumerate(held) if k != at] == [
                (7, payload) for k, payload in enumerate(payloads) if k != at
            ]


@SETS
def test_a_frame_in_the_wrong_place_of_a_burst_does_not_pass(messages: MessageSet) -> None:
    cells = messages.cells
    frames = seal_burst(cells.can_ids, 0, range(len(cells.can_ids)), cells.length)
    frames[3], frames[4] = frames[4], frames[3]
    held = unseal_burst(cells.can_ids, frames, cells.length)
    assert [k for k, each in enumerate(held) if each is None] == [3, 4]
