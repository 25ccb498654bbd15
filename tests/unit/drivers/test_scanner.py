"""The scanner driver: against telegrams written by hand, against the stub, and on a bad line."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.units import Second
from bmsctl.drivers.scanner import SerialScanner
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols import dmcc
from bmsctl.protocols.dmcc import Answer, Command, Status
from bmsctl.protocols.part_label import PartLabel, encode_label, parse_label
from firmware_stubs.scanner import ScannerStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.serial_faults import Fault, Tamper, damages, every_fault, in_pieces, lost, suffer, suffer_unplug

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/scanner/telegrams.toml").read_text())
LABEL = "295B08142R;AS52000000001"
OTHER = "295B08142R;AS52000000002"

Script = Callable[[Command], Iterable[tuple[float, Answer]]]


class Peer:
    """A reader played by the test: `script` says what to send for each command, and when."""

    def __init__(self, script: Script) -> None:
        self.line = SimSerial("scanner")
        self.script = script
        self.commands: list[Command] = []
        self._telegrams = dmcc.Telegrams()
        self.line.device.listen(self._take)
        self.driver = SerialScanner(self.line.station)
        self.lease = lease()

    def scan(self, within: float = 30.0) -> Awaitable[str]:
        return self.driver.scan(self.lease, Second(within))

    def _take(self, data: bytes) -> None:
        for telegram in self._telegrams.feed(data):
            command = dmcc.decode_command(telegram)
            assert command is not None
            self.commands.append(command)
            for delay_s, answer in self.script(command):
                self.line.device.emit(dmcc.encode_answer(answer), delay_s)


def lease() -> Lease:
    return LeaseBook(asyncio.get_running_loop().time).grant("scanner", 1.0)


def reads(*contents: str) -> Script:
    """Each trigger is answered with the next of these; the last one for ever."""
    left = list(contents)

    def script(command: Command) -> Iterable[tuple[float, Answer]]:
        yield 0.005, Answer(command.id, Status.OK)
        if command.text == dmcc.TRIGGER_ON:
            yield 0.1, Answer(0, Status.READ, left.pop(0) if len(left) > 1 else left[0])

    return script


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 120.0)
    assert loop.errors == []


def stubbed(label: str | None = LABEL, seed: int = 1) -> tuple[SimSerial, ScannerStub, SerialScanner]:
    line = SimSerial("scanner")
    return line, ScannerStub(line.device, label, seed), SerialScanner(line.station)


def test_the_bytes_written_by_hand() -> None:
    async def main() -> None:
        line = SimSerial("scanner")
        said: list[bytes] = []
        answers = iter([b"||1:1[0]\x0c\r\n", b"||1:2[0]\x0f\r\n" + bytes.fromhex(GOLDEN["read"]["bytes"])])

        def heard(data: bytes) -> None:
            said.append(data)
            line.device.emit(next(answers), 0.05)

        line.device.listen(heard)
        assert await SerialScanner(line.station).scan(lease(), Second(5.0)) == LABEL
        assert said == [b"||1:1>TRIGGER OFF3\r\n", b"||1:2>TRIGGER ON~\r\n"]

    run(main)


def test_a_label_is_read_and_the_lease_touched() -> None:
    async def main() -> None:
        peer = Peer(reads(LABEL))
        await asyncio.sleep(0.9)
        assert await peer.scan() == LABEL
        assert [command.text for command in peer.commands] == ["TRIGGER OFF", "TRIGGER ON"]
        await asyncio.sleep(0.9)
        assert peer.lease.fresh

    run(main)


@pytest.mark.parametrize("blank", [1, 3, 4])
def test_a_no_read_is_tried_again_three_times(blank: int) -> None:
    async def main() -> None:
        peer = Peer(reads(*[""] * blank, LABEL))
        if blank <= 3:
            assert await peer.scan() == LABEL
        else:
            with pytest.raises(ReplyInvalid, match="4 attempts"):
                await peer.scan()
        assert len(peer.commands) == 2 * min(blank + 1, 4)

    run(main)


def test_the_same_label_within_two_seconds_is_not_read_again() -> None:
    async def main() -> None:
        peer = Peer(reads(LABEL, LABEL, OTHER, LABEL))
        assert await peer.scan() == LABEL
        assert await peer.scan() == OTHER
        assert await peer.scan() == LABEL
        read_s = asyncio.get_running_loop().time()
        assert await peer.scan() == LABEL
        assert asyncio.get_running_loop().time() - read_s >= 2.0
        with pytest.raises(DeviceTimeout, match="no new label"):
            await peer.scan(1.0)

    run(main)


def test_a_double_read_and_a_late_one_are_nobodys() -> None:
    async def main() -> None:
        def script(command: Command) -> Iterable[tuple[float, Answer]]:
            if command.text == dmcc.TRIGGER_OFF:
                yield 0.0, Answer(0, Status.READ, OTHER)
            yield 0.005, Answer(command.id, Status.OK)
            if command.text == dmcc.TRIGGER_ON:
                yield 0.1, Answer(0, Status.READ, LABEL)
                yield 0.0, Answer(0, Status.READ, LABEL)

        peer = Peer(script)
        assert await peer.scan() == LABEL
        await asyncio.sleep(0.1)
        assert peer.driver.strays == 2

    run(main)


def test_an_answer_to_an_earlier_command_is_never_paired_with_this_one() -> None:
    async def main() -> None:
        def script(command: Command) -> Iterable[tuple[float, Answer]]:
            yield 0.005, Answer(command.id - 1, Status.OK)
            yield 0.0, Answer(0, Status.READ, LABEL)

        peer = Peer(script)
        with pytest.raises(DeviceTimeout, match="TRIGGER OFF"):
            await peer.scan()
        assert len(peer.commands) == 3

    run(main)


def test_control_characters_in_a_code_are_garbage_and_separators_are_not() -> None:
    async def main() -> None:
        assert await Peer(reads("A\x07B", LABEL)).scan() == LABEL
        assert await Peer(reads("A\x1dB\x1e\x04")).scan() == "A\x1dB\x1e\x04"
        with pytest.raises(ReplyInvalid, match="damaged"):
            await Peer(reads("A\x07B")).scan()

    run(main)


def test_a_refused_command_and_a_revoked_lease() -> None:
    async def main() -> None:
        peer = Peer(lambda command: [(0.005, Answer(command.id, Status.REJECTED))])
        with pytest.raises(DeviceRefused, match="rejected"):
            await peer.scan()
        peer.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await peer.scan()
        assert len(peer.commands) == 1

    run(main)


def test_silence_is_a_timeout_after_three_attempts() -> None:
    async def main() -> None:
        peer = Peer(lambda command: ())
        with pytest.raises(DeviceTimeout, match="check cable"):
            await peer.scan()
        assert len(peer.commands) == 3
        assert asyncio.get_running_loop().time() == pytest.approx(0.6, abs=0.01)

    run(main)


def test_with_the_stub_two_hundred_labels() -> None:
    async def main() -> None:
        _, stub, driver = stubbed()
        for number in range(200):
            stub.label = f"295B08142R;AS52{number:09d}"
            assert await driver.scan(lease(), Second(5.0)) == stub.label

    run(main)


def test_with_the_stub_the_separators_of_a_part_label_survive() -> None:
    async def main() -> None:
        part = PartLabel("295B1", "M-0001", "L7", "20260102")
        _, _, driver = stubbed(encode_label(part))
        assert parse_label(await driver.scan(lease(), Second(5.0))) == part

    run(main)


def test_with_the_stub_a_label_that_is_asked_for_again_is_read_again() -> None:
    """Two parts with the same label must both be seen."""

    async def main() -> None:
        _, stub, driver = stubbed()
        assert await driver.scan(lease(), Second(5.0)) == LABEL
        stub.label = None
        await asyncio.sleep(2.5)
        stub.label = LABEL
        began_s = asyncio.get_running_loop().time()
        assert await driver.scan(lease(), Second(5.0)) == LABEL
        assert asyncio.get_running_loop().time() - began_s < 0.5

    run(main)


def test_with_the_stub_no_label_is_no_read() -> None:
    async def main() -> None:
        _, _, driver = stubbed(None)
        with pytest.raises(ReplyInvalid, match="4 attempts"):
            await driver.scan(lease(), Second(5.0))

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_label(fault: Fault) -> None:
    async def main() -> None:
        line, _, driver = stubbed()
        await suffer(line, fault, lambda: driver.scan(lease(), Second(10.0)), lambda label: label == LABEL)
        await asyncio.sleep(3.0)
        assert await driver.scan(lease(), Second(10.0)) == LABEL

    run(main)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_any_damage_gives_the_right_label_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        line, _, driver = stubbed()
        line.device.tamper = tamper
        try:
            assert await driver.scan(lease(), Second(10.0)) == LABEL
        except DeviceError:
            line.device.tamper = None

    run(main)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_any_pieces_give_the_same(size: int) -> None:
    async def main() -> None:
        line, _, driver = stubbed()
        line.device.tamper = in_pieces(size, 0.001)
        assert await driver.scan(lease(), Second(10.0)) == LABEL
        assert driver.damaged == 0

    run(main)


def test_unplugged() -> None:
    async def main() -> None:
        line, _, driver = stubbed()
        await suffer_unplug(line, lambda: driver.scan(lease(), Second(10.0)), 0.02)

    run(main)


def test_the_time_of_the_whole_scan_is_kept() -> None:
    async def main() -> None:
        line, _, driver = stubbed()
        line.device.tamper = lost()
        with pytest.raises(DeviceTimeout, match="no new label"):
            await driver.scan(lease(), Second(0.3))
        assert asyncio.get_running_loop().time() == pytest.approx(0.3)

    run(main)
