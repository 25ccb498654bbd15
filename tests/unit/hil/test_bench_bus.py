"""The interface `bench` as python-can's users see it, between real processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import can
import pytest

from hil.bench_bus import BenchBus
from hil.hub import packets
from tests.unit.hil.hub_process import DEADLINE_S, Wire, message, numbers, received, running_hub, until

CHANNELS = [f"c{number}" for number in range(40)]
FRAMES = 20_000
SHORT_QUEUE = 500

SENDER = """
import sys, can
path, count, fd = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "fd"
with can.Bus(interface="bench", channel=path, name="sender", fd=fd, ignore_config=True) as bus:
    print("open", flush=True)
    sys.stdin.readline()
    for number in range(count):
        bus.send(can.Message(arbitration_id=0x123, is_extended_id=False, is_fd=fd, bitrate_switch=fd,
                             data=number.to_bytes(8, "little") * (8 if fd else 1)), timeout=30)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    where = tmp_path_factory.mktemp("hub")
    with running_hub(where, *CHANNELS):
        yield where, list(CHANNELS)


@pytest.fixture
def wire(folder: tuple[Path, list[str]]) -> Iterator[Wire]:
    where, unused = folder
    with contextlib.ExitStack() as stack:
        yield Wire(where / f"{unused.pop()}.can", stack)


@contextlib.contextmanager
def sending(path: Path, count: int, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that sends `count` numbered frames, told to begin."""
    command = [sys.executable, "-c", SENDER, str(path), str(count), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        try:
            assert sender.stdin is not None
            assert sender.stdout is not None
            assert sender.stdout.readline() == "open\n"
            sender.stdin.write("\n")
            sender.stdin.flush()
            yield sender
        finally:
            sender.kill()


@pytest.mark.parametrize("kind", ["classic", "fd"])
def test_a_receiver_that_reads_loses_nothing(wire: Wire, kind: str) -> None:
    bus = wire.bus("station", fd=kind == "fd")
    with sending(wire.path, FRAMES, kind) as sender:
        for number in range(FRAMES):
            got = received(bus)
            assert int.from_bytes(got.data[:8], "little") == number
        assert sender.wait(DEADLINE_S) == 0
    assert bus.lost == 0
    assert (len(got.data), got.is_fd, got.bitrate_switch) == ((64, True, True) if kind == "fd" else (8, False, False))


def test_what_a_receiver_that_does_not_read_loses_is_reported_where_it_is_missing(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(running_hub(tmp_path, "pack", "--queue", str(SHORT_QUEUE)))
        wire = Wire(tmp_path / "pack.can", stack)
        bus = wire.bus("station")
        count = 4000
        with sending(wire.path, count, "classic") as sender:
            assert sender.wait(DEADLINE_S) == 0
        until(lambda: {client.name: client.frames for client in wire.control.traffic().clients}["sender"] == count)
        assert bus.lost == 0
        taken = 0

        def all_accounted_for() -> bool:
            nonlocal taken
            while (got := bus.recv(0.01)) is not None:
                assert int.from_bytes(got.data, "little") == taken + bus.lost
                taken += 1
            return taken + bus.lost == count

        until(all_accounted_for)
        assert bus.lost > 0
        assert taken >= SHORT_QUEUE
        dropped = {client.name: client.dropped for client in wire.control.traffic().clients}
        assert dropped == {"station": bus.lost, "sender": 0}
        wire.bus("other").send(message(7))
        assert numbers(bus, 1) == [7]


def test_a_sender_that_dies_in_the_middle_leaves_a_whole_prefix(wire: Wire) -> None:
    bus = wire.bus("station")
    with sending(wire.path, 1_000_000, "classic") as sender:
        assert numbers(bus, 100) == list(range(100))
        sender.send_signal(signal.SIGKILL)
        sender.wait(DEADLINE_S)
    until(lambda: not {client.name: client.online for client in wire.control.traffic().clients}["sender"])
    wire.bus("other").send(message(7, can_id=0x7FF))
    taken = 100
    while (got := received(bus)).arbitration_id != 0x7FF:
        assert int.from_bytes(got.data, "little") == taken + bus.lost
        taken += 1


def test_every_kind_of_frame_arrives_as_it_was_sent(wire: Wire) -> None:
    a, b = wire.bus("a", fd=True), wire.bus("b", fd=True)
    frames = [
        can.Message(arbitration_id=0x7FF, is_extended_id=False, data=b""),
        can.Message(arbitration_id=0x123, is_extended_id=True, data=b"12345678"),
        can.Message(arbitration_id=1, is_extended_id=False, is_remote_frame=True, dlc=4),
        can.Message(arbitration_id=2, is_extended_id=False, is_fd=True, data=bytes(48)),
        can.Message(arbitration_id=3, is_fd=True, bitrate_switch=True, error_state_indicator=True, data=bytes(64)),
    ]
    for frame in frames:
        a.send(frame)
        got = received(b)
        assert got.equals(frame, timestamp_delta=None, check_channel=False)
        assert got.channel == str(wire.path)
        assert got.timestamp > 0.0


def test_own_frames_come_back_only_if_asked_for_and_marked(wire: Wire) -> None:
    a, b = wire.bus("a", receive_own_messages=True), wire.bus("b")
    a.send(message(1))
    assert not received(a).is_rx
    assert received(b).is_rx
    b.send(message(2))
    assert numbers(a, 1) == [2]
    assert b.recv(0) is None


def test_one_order_for_all(wire: Wire) -> None:
    a, b = wire.bus("a"), wire.bus("b")
    c, d = wire.bus("c"), wire.bus("d")
    for number in range(100):
        (a if number % 3 else b).send(message(number))
    assert numbers(c, 100) == numbers(d, 100)


def test_channels_are_apart(folder: tuple[Path, list[str]], wire: Wire) -> None:
    where, unused = folder
    with contextlib.ExitStack() as stack:
        other = Wire(where / f"{unused.pop()}.can", stack)
        elsewhere, here, sender = other.bus("station"), wire.bus("station"), wire.bus("bms")
        sender.send(message(1))
        assert numbers(here, 1) == [1]
        assert elsewhere.recv(0) is None


def test_bus_off_wakes_the_reader_and_ends_sending_until_it_is_over(wire: Wire) -> None:
    bus, other = wire.bus("station"), wire.bus("bms")
    woken: list[can.Message | None] = []
    reader = threading.Thread(target=lambda: woken.append(bus.recv(DEADLINE_S)), daemon=True)
    reader.start()
    wire.control.bus_off("station", True)
    assert bus.state is can.BusState.ERROR
    with pytest.raises(can.CanOperationError, match="bus-off"):
        bus.send(message(1))
    reader.join(DEADLINE_S)
    [error] = woken
    assert error is not None
    assert error.is_error_frame
    assert error.arbitration_id == packets.ERR_BUS_OFF
    other.send(message(2))
    until(lambda: wire.control.traffic().clients[1].frames == 1)
    assert bus.recv(0) is None
    wire.control.bus_off("station", False)
    assert received(bus).arbitration_id == packets.ERR_RESTARTED
    assert bus.state is can.BusState.ACTIVE
    bus.send(message(3))
    assert numbers(other, 1) == [3]


def test_opening_the_bus_again_does_not_end_bus_off(wire: Wire) -> None:
    wire.bus("station").shutdown()
    wire.control.bus_off("station", True)
    again = wire.bus("station")
    assert again.state is can.BusState.ERROR
    assert received(again).arbitration_id == packets.ERR_BUS_OFF


def test_bus_off_is_told_before_the_frames_that_wait_in_the_hub(wire: Wire) -> None:
    bus, other = wire.bus("station"), wire.bus("bms")
    count = 5000
    for number in range(count):
        other.send(message(number), timeout=DEADLINE_S)
    until(lambda: {client.name: client.frames for client in wire.control.traffic().clients}["bms"] == count)
    wire.control.bus_off("station", True)
    got = [received(bus) for _ in range(count + 1)]
    at = [frame.is_error_frame for frame in got].index(True)
    assert at < count // 2
    assert [int.from_bytes(frame.data, "little") for frame in got if not frame.is_error_frame] == list(range(count))


def test_an_unknown_option_is_refused_by_name(wire: Wire) -> None:
    with pytest.raises(can.CanInitializationError, match=r"no option drop_evry; it has name"):
        wire.bus("a", drop_evry=3)


def test_an_unusable_name_is_refused(wire: Wire) -> None:
    with pytest.raises(can.CanInitializationError, match="1 to 64 printable"):
        wire.bus("")


def test_no_hub_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(can.CanInitializationError, match=r"python -m hil\.hub .* pack"):
        BenchBus(tmp_path / "pack.can")


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (can.Message(is_fd=True, data=bytes(8)), "opened without fd=True"),
        (can.Message(data=bytes(9)), "no classic frame has 9 bytes"),
        (can.Message(data=bytes(65)), "no CAN frame has this id and length"),
        (can.Message(arbitration_id=0x800, is_extended_id=False), "id 0x800 is too large"),
        (can.Message(arbitration_id=1 << 32), "no CAN frame has this id and length"),
        (can.Message(is_error_frame=True), "error frames cannot be sent"),
    ],
)
def test_a_frame_that_a_classic_controller_cannot_send_is_refused(wire: Wire, frame: can.Message, why: str) -> None:
    bus = wire.bus("a")
    with pytest.raises(can.CanOperationError, match=why):
        bus.send(frame)
    bus.send(message(1))


def test_an_fd_bus_refuses_lengths_that_fd_does_not_have(wire: Wire) -> None:
    with pytest.raises(can.CanOperationError, match="no FD frame has 9 bytes"):
        wire.bus("a", fd=True).send(can.Message(is_fd=True, data=bytes(9)))


def test_an_fd_frame_is_a_form_error_to_a_classic_controller(wire: Wire) -> None:
    sender, classic, fd = wire.bus("a", fd=True), wire.bus("b"), wire.bus("c", fd=True)
    sender.send(can.Message(is_fd=True, data=bytes(64)))
    error = received(classic)
    assert error.is_error_frame
    assert (error.arbitration_id, bytes(error.data)) == (packets.ERR_PROTOCOL, packets.ERR_FORM)
    assert received(fd).is_fd


def test_filters_apply_to_frames_and_never_hide_an_error(wire: Wire) -> None:
    bus = wire.bus("station", can_filters=[{"can_id": 0x200, "can_mask": 0x7FF}])
    sender = wire.bus("bms")
    for number, can_id in enumerate((0x100, 0x200, 0x300)):
        sender.send(message(number, can_id=can_id))
    wire.control.bus_off("station", True)
    assert received(bus).arbitration_id in (0x200, packets.ERR_BUS_OFF)
    assert received(bus).arbitration_id in (0x200, packets.ERR_BUS_OFF)


def test_a_stopped_hub_stops_the_sender_within_its_timeout(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(running_hub(tmp_path, "pack"))
        bus = Wire(tmp_path / "pack.can", stack).bus("a")
        hub.send_signal(signal.SIGSTOP)

        def fill() -> None:
            for number in range(100_000):
                bus.send(message(number), timeout=0.05)

        try:
            with pytest.raises(can.CanTimeoutError, match="takes no more frames"):
                fill()
        finally:
            hub.send_signal(signal.SIGCONT)
        bus.send(message(0), timeout=DEADLINE_S)


def test_a_hub_that_is_killed_is_noticed_and_can_be_replaced(tmp_path: Path) -> None:
    with running_hub(tmp_path, "pack") as hub, contextlib.ExitStack() as stack:
        bus = Wire(tmp_path / "pack.can", stack).bus("a")
        failed: list[Exception] = []

        def read() -> None:
            try:
                bus.recv(DEADLINE_S)
            except can.CanOperationError as error:
                failed.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        hub.kill()
        reader.join(DEADLINE_S)
        assert "the hub is gone" in str(failed)
        with pytest.raises(can.CanOperationError, match="the hub is gone"):
            bus.send(message(1))
    with running_hub(tmp_path, "pack"), contextlib.ExitStack() as stack:
        wire = Wire(tmp_path / "pack.can", stack)
        a, b = wire.bus("a"), wire.bus("b")
        a.send(message(2))
        assert numbers(b, 1) == [2]


def test_shutdown_ends_a_recv_in_another_thread(wire: Wire) -> None:
    bus = wire.bus("a")
    failed: list[can.CanOperationError] = []

    def read() -> None:
        try:
            bus.recv(None)
        except can.CanOperationError as error:
            failed.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    bus.shutdown()
    bus.shutdown()
    reader.join(DEADLINE_S)
    assert "the bus is shut down" in str(failed)


def test_a_bus_that_is_shut_down_says_so(wire: Wire) -> None:
    bus = wire.bus("a")
    bus.shutdown()
    with pytest.raises(can.CanOperationError, match="the bus is shut down"):
        bus.recv(0.0)
    with pytest.raises(can.CanOperationError, match="the bus is shut down"):
        bus.recv(None)
    with pytest.raises(can.CanOperationError, match="the bus is shut down"):
        bus.send(message(1))


def test_the_threaded_notifier_works_on_it(wire: Wire) -> None:
    bus, sender = wire.bus("station"), wire.bus("bms")
    got: list[int] = []
    notifier = can.Notifier(bus, [lambda frame: got.append(frame.data[0])], timeout=0.05)
    try:
        for number in range(100):
            sender.send(message(number))
        until(lambda: len(got) == 100)
    finally:
        notifier.stop()
    assert got == list(range(100))
    assert notifier.exception is None


def test_the_asyncio_notifier_works_on_it(wire: Wire) -> None:
    bus, sender = wire.bus("station"), wire.bus("bms")

    async def main() -> list[int]:
        reader = can.AsyncBufferedReader()
        notifier = can.Notifier(bus, [reader], loop=asyncio.get_running_loop())
        try:
            for number in range(100):
                sender.send(message(number))
            async with asyncio.timeout(DEADLINE_S):
                return [(await reader.get_message()).data[0] for _ in range(100)]
        finally:
            notifier.stop()

    assert asyncio.run(main()) == list(range(100))
