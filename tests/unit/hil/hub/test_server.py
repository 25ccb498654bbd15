"""The hub as a process: start, end, dead and living predecessors, and clients that do not behave."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import can
import pytest

from hil.hub import packets
from hil.hub.control import HubControl
from tests.unit.hil.hub_process import DEADLINE_S, hub_command, message, running_hub


def opened(folder: Path, name: str) -> can.BusABC:
    return can.Bus(interface="bench", channel=str(folder / "pack.can"), name=name, ignore_config=True)


def raw(folder: Path, *sent: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(DEADLINE_S)
    sock.connect(str(folder / "pack.can"))
    for packet in sent:
        sock.send(packet)
    return sock


def refused(folder: Path, *arguments: str) -> str:
    done = subprocess.run(hub_command(folder, *arguments), capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "hub"
    with running_hub(folder, "pack", "station") as hub:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in folder.iterdir()) == ["pack.can", "station.can"]
        with opened(folder, "a"):
            hub.send_signal(number)
            assert hub.wait(DEADLINE_S) == 0
    assert list(folder.iterdir()) == []


def test_a_dead_hubs_socket_is_replaced_and_a_living_hub_is_refused(tmp_path: Path) -> None:
    with running_hub(tmp_path, "pack") as hub:
        hub.kill()
        hub.wait()
    assert (tmp_path / "pack.can").is_socket()
    with running_hub(tmp_path, "pack"), opened(tmp_path, "a"):
        assert "another hub is running" in refused(tmp_path, "station")
        assert (tmp_path / "pack.can").is_socket()


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert "chmod 700" in refused(tmp_path, "pack")


def test_a_file_in_the_way_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "pack.can").write_text("mine")
    assert "is no socket" in refused(tmp_path, "pack")
    assert (tmp_path / "pack.can").read_text() == "mine"


@pytest.mark.parametrize("arguments", [("../pack",), ("pack", "--queue", "0"), ()])
def test_bad_arguments_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "error:" in refused(tmp_path, *arguments)


def test_clients_that_break_the_layout_are_told_and_closed_and_harm_nobody(tmp_path: Path) -> None:
    hello, good = packets.hello(0, "x"), packets.frame(0, 2, 0x123, b"ab")
    fd_frame = packets.frame(packets.FD, 12, 1, bytes(12))
    abuses = [
        (b"\xff" * 40,),
        (good,),
        (hello, hello),
        (hello, good[:-1]),
        (hello, good + b"!"),
        (hello, bytes(packets.PACKET_MAX + 100)),
        (hello, fd_frame),
        (hello, packets.document(packets.REQUEST, {"do": "traffic"})),
        (packets.hello(packets.CONTROL, "x"), good),
    ]
    with running_hub(tmp_path, "pack"), opened(tmp_path, "a") as a, opened(tmp_path, "b") as b:
        for number, abuse in enumerate(abuses):
            with raw(tmp_path, *abuse) as client:
                answers = []
                while answer := client.recv(packets.PACKET_MAX):
                    answers.append(answer)
                assert answers[-1][0] == packets.REFUSED, abuse
                assert answers[-1][1:].decode()
            a.send(message(number))
            got = b.recv(DEADLINE_S)
            assert got is not None
            assert got.data[0] == number


def test_a_control_client_may_ask_nonsense(tmp_path: Path) -> None:
    with running_hub(tmp_path, "pack"), raw(tmp_path, packets.hello(packets.CONTROL, "x")) as client:
        assert client.recv(10)[0] == packets.WELCOME
        for nonsense in (b"", b"[]", b"{", b'{"do":"explode"}', b'{"do":"mute","name":[1]}', b"\xff\xff"):
            client.send(bytes((packets.REQUEST,)) + nonsense)
            assert "error" in packets.read_document(client.recv(packets.REPLY_MAX))
        client.send(packets.document(packets.REQUEST, {"do": "traffic"}))
        assert "ok" in packets.read_document(client.recv(packets.REPLY_MAX))


def test_clients_that_die_at_any_point_harm_nobody(tmp_path: Path) -> None:
    hello, good = packets.hello(0, "x"), packets.frame(0, 2, 0x123, b"ab")
    with running_hub(tmp_path, "pack"), opened(tmp_path, "a") as a, opened(tmp_path, "b") as b:
        for sent in ((), (b"\x03",), (hello,), (hello, good)):
            raw(tmp_path, *sent).close()
        unread = raw(tmp_path, hello)
        for number in range(50):
            a.send(message(number))
        unread.close()
        a.send(message(50))
        got = []
        while not got or got[-1] != 50:
            frame = b.recv(DEADLINE_S)
            assert frame is not None
            got.append(frame.data[0])
        assert [number for number in got if number != ord("a")] == list(range(51))
        with HubControl(tmp_path / "pack.can") as control:
            assert {client.name: client.online for client in control.traffic().clients}["a"]
