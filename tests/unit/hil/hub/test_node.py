"""What a disturbance makes of the frames of a node, counted, never drawn."""

from __future__ import annotations

from hil.hub import packets
from hil.hub.node import IDS_MAX, OTHER_IDS, Node


def sent(node: Node, *values: int, key: int = 0x10) -> list[int]:
    """The values that reach the bus when the node sends these, one byte each."""
    arrived = []
    for at, value in enumerate(values):
        packet = packets.frame(0, 1, key, bytes((value,)), at)
        node.count(key, packet)
        changed = node.outgoing(key, packet) if node.disturbed else [packet]
        assert all(packets.HEADER.unpack_from(each)[4] == at for each in changed)
        arrived += [each[-1] for each in changed]
    return arrived


def test_an_undisturbed_node_is_left_alone() -> None:
    node = Node("bms")
    node.settle()
    assert not node.disturbed
    assert sent(node, 1, 2, 3) == [1, 2, 3]


def test_a_muted_node_sends_nothing() -> None:
    node = Node("bms")
    node.muted = True
    node.settle()
    assert node.deaf
    assert sent(node, 1, 2) == []
    node.muted = False
    node.settle()
    assert sent(node, 3) == [3]


def test_every_third_frame_is_lost_from_when_it_begins() -> None:
    node = Node("bms")
    sent(node, 1, 2)
    node.drop_every(3)
    node.settle()
    assert sent(node, 1, 2, 3, 4, 5, 6, 7) == [1, 2, 4, 5, 7]
    node.drop_every(0)
    node.settle()
    assert sent(node, 1, 2, 3) == [1, 2, 3]


def test_one_byte_of_every_second_frame_is_inverted() -> None:
    node = Node("bms")
    node.corrupt(2)
    node.settle()
    assert sent(node, 0x0F, 0x0F, 0x0F, 0x0F) == [0x0F, 0xF0, 0x0F, 0xF0]


def test_corruption_goes_through_the_bytes_in_turn_and_spares_empty_frames() -> None:
    node = Node("bms")
    node.corrupt(1)
    node.settle()
    two = packets.frame(0, 2, 1, b"\x00\x00")
    assert [node.outgoing(1, two)[0][-2:] for _ in range(3)] == [b"\xff\x00", b"\x00\xff", b"\xff\x00"]
    empty = packets.frame(0, 0, 1, b"")
    assert node.outgoing(1, empty) == [empty]


def test_a_frozen_id_repeats_its_last_frame_and_other_ids_go_on() -> None:
    node = Node("bms")
    sent(node, 1, 2)
    node.repeat(0x10, True)
    node.settle()
    assert sent(node, 3, 4, 5) == [2, 2, 2]
    assert sent(node, 7, 8, key=0x11) == [7, 8]
    node.repeat(0x10, False)
    node.settle()
    assert sent(node, 6) == [6]


def test_an_id_frozen_before_its_first_frame_repeats_that_one() -> None:
    node = Node("bms")
    node.repeat(0x10, True)
    node.settle()
    assert sent(node, 3, 4) == [3, 3]


def test_a_second_controller_runs_behind() -> None:
    node = Node("bms")
    node.duplicate_of(2)
    node.settle()
    assert sent(node, 1, 2, 3, 4) == [1, 2, 3, 1, 4, 2]
    node.duplicate_of(0)
    node.settle()
    assert sent(node, 5) == [5]


def test_order_survives_the_end_of_a_delay() -> None:
    node = Node("bms")
    node.delay_ns = 100
    assert node.due_ns(1000) == 1100
    node.delay_ns = 0
    assert node.due_ns(1050) == 1100
    assert node.disturbed
    assert node.due_ns(1200) == 1200
    assert not node.disturbed


def test_ids_beyond_the_limit_are_summed_up() -> None:
    node = Node("fuzzer")
    for key in range(IDS_MAX + 5):
        sent(node, 0, key=key)
    assert len(node.ids) == IDS_MAX + 1
    assert node.ids[OTHER_IDS].frames == 5
    assert node.ids[7].bytes == 1
