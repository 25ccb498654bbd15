"""Each disturbance and the counters, through a real hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import can
import pytest

from hil.hub import packets
from hil.hub.control import ClientTraffic, HubControl, HubError, IdTraffic
from tests.unit.hil.hub_process import Wire, message, numbers, received, running_hub, until

CHANNELS = [f"c{number}" for number in range(40)]


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


def test_a_muted_client_is_neither_heard_nor_hears(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.mute("bms", True)
    bms.send(message(1))
    station.send(message(2))
    until(lambda: sum(client.frames for client in wire.control.traffic().clients) == 2)
    wire.control.mute("bms", False)
    bms.send(message(3))
    station.send(message(4))
    assert numbers(station, 1) == [3]
    assert numbers(bms, 1) == [4]


def test_a_disturbance_meets_a_client_that_comes_back(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.drop_every("bms", 2)
    bms.shutdown()
    again = wire.bus("bms")
    for number in range(6):
        again.send(message(number))
    assert numbers(station, 3) == [0, 2, 4]


def test_corrupt_repeat_and_duplicate_reach_the_others(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.corrupt("bms", 1)
    bms.send(message(0))
    assert numbers(station, 1) == [0xFF]
    wire.control.corrupt("bms", 0)
    wire.control.repeat("bms", 0x123, True)
    bms.send(message(5))
    bms.send(message(6, can_id=0x124))
    assert numbers(station, 2) == [0, 6]
    wire.control.repeat("bms", 0x123, False)
    wire.control.duplicate_of("bms", 1)
    bms.send(message(7))
    bms.send(message(8))
    assert numbers(station, 3) == [7, 8, 7]


def test_standard_and_extended_ids_freeze_apart(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.repeat("bms", 0x123, True, extended=True)
    for number in (1, 2):
        bms.send(message(number))
        bms.send(can.Message(arbitration_id=0x123, is_extended_id=True, data=number.to_bytes(8, "little")))
    assert numbers(station, 4) == [1, 1, 2, 1]


def test_a_delayed_client_keeps_its_order_and_others_are_not_delayed(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.delay("bms", 0.05)
    bms.send(message(1))
    bms.send(message(2))
    wire.control.delay("bms", 0.0)
    bms.send(message(3))
    until(lambda: sum(client.frames for client in wire.control.traffic().clients) == 3)
    station.send(message(4))
    assert numbers(bms, 1) == [4]
    got = [received(station) for _ in range(3)]
    assert [frame.data[0] for frame in got] == [1, 2, 3]


def test_a_delay_is_at_least_what_was_asked(wire: Wire) -> None:
    bms, station = wire.bus("bms", receive_own_messages=True), wire.bus("station")
    wire.control.delay("bms", 0.03)
    station.send(message(1))
    bms.send(message(2))
    assert numbers(bms, 1) == [1]
    received(station)
    station.send(message(3))
    echo, later = received(bms), received(bms)
    assert later.timestamp - echo.timestamp >= 0.03


def test_the_hub_floods_a_channel(wire: Wire) -> None:
    station = wire.bus("station")
    wire.control.load(4000)
    counted = numbers(station, 400)
    assert counted == sorted(set(counted))
    wire.control.load(0)
    clients = {client.name: client for client in wire.control.traffic().clients}
    assert clients["load"].frames >= 400
    assert not clients["load"].online


def test_with_swapped_lines_all_see_errors_and_nobody_hears(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    wire.control.swap_lines(True)
    assert bms.state is station.state is can.BusState.PASSIVE
    bms.send(message(1))
    for bus in (bms, station):
        passive, bit_error = received(bus), received(bus)
        assert passive.is_error_frame
        assert (passive.arbitration_id, bytes(passive.data)) == (packets.ERR_CONTROLLER, packets.ERR_PASSIVE)
        assert bit_error.is_error_frame
        assert bit_error.arbitration_id == packets.ERR_PROTOCOL | packets.ERR_BUS_ERROR
    assert wire.bus("late").state is can.BusState.PASSIVE
    wire.control.swap_lines(False)
    assert bms.state is can.BusState.ACTIVE
    bms.send(message(2))
    assert numbers(station, 1) == [2]


def test_traffic_by_client_and_id(wire: Wire) -> None:
    bms, station = wire.bus("bms"), wire.bus("station")
    assert wire.control.traffic().ids == ()
    bms.send(message(1))
    bms.send(message(2))
    bms.send(can.Message(arbitration_id=0x18DAF110, data=b"\x01"))
    received(station)
    until(lambda: wire.control.traffic().clients[0].frames == 3)
    traffic = wire.control.traffic()
    assert traffic.clients[0] == ClientTraffic("bms", True, 3, 17, 0.0, 0)
    assert traffic.clients[1] == ClientTraffic("station", True, 0, 0, 0.0, 0)
    assert traffic.ids == (
        IdTraffic("bms", 0x123, False, 2, 16, 0.0),
        IdTraffic("bms", 0x18DAF110, True, 1, 1, 0.0),
    )
    bms.send(message(3))
    rated: list[float] = []
    until(lambda: rated.append(wire.control.traffic().clients[0].frames_per_s) or rated[-1] > 0.0)
    bms.shutdown()
    until(lambda: not wire.control.traffic().clients[0].online)


def test_a_name_nobody_has_is_refused_and_names_those_there(wire: Wire) -> None:
    wire.bus("bms")
    with pytest.raises(HubError, match=r"no client named 'bsm'.*there were: bms"):
        wire.control.mute("bsm", True)


def test_arguments_out_of_range_are_refused(wire: Wire) -> None:
    wire.bus("bms")
    with pytest.raises(HubError, match="n must be a whole number"):
        wire.control.drop_every("bms", -1)
    with pytest.raises(HubError, match="can_id must be"):
        wire.control.load(1, 1 << 29)
    with pytest.raises(HubError, match="frames_per_s must be"):
        wire.control.load(10**12)
    for seconds in (-1.0, 1e9):
        with pytest.raises(HubError, match="us must be"):
            wire.control.delay("bms", seconds)
    wire.control.mute("bms", False)


def test_control_of_nothing_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"python -m hil\.hub .* pack"):
        HubControl(tmp_path / "pack.can")


def test_control_of_a_dead_hub_says_so(tmp_path: Path) -> None:
    with running_hub(tmp_path, "pack") as hub, HubControl(tmp_path / "pack.can") as control:
        hub.kill()
        hub.wait()
        for _ in range(2):
            with pytest.raises(HubError, match="start it again"):
                control.traffic()
