"""The SCPI session against an instrument played by the test, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.lease import LeaseBook
from bmsctl.drivers.scpi import ATTEMPTS, FROZEN, FrozenGuard, ScpiSession
from bmsctl.errors import (
    DeviceError,
    DeviceRefused,
    DeviceRestarted,
    DeviceTimeout,
    LeaseRevoked,
    LinkDown,
    ReplyInvalid,
)
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.serial_faults import Fault, Tamper, cut_at, damages, every_fault, suffer

IDENTITY = "MAKER,MODEL,SERIAL,1.0"
NO_ERROR = '+0,"No error"'


class Peer:
    """Remembers what it hears; `script` gives the answer to each line, None for none. Tags are given back."""

    def __init__(self, *, error_queue: bool = True) -> None:
        self.line = SimSerial("meter")
        self.heard: list[str] = []
        self.script: Callable[[str], str | None] = lambda line: None
        self.line.device.listen(self._take)
        self.session = ScpiSession(self.line.station, "meter", error_queue=error_queue)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("meter", 1.0)

    def say(self, text: str) -> None:
        self.line.device.emit(text.encode("ascii") + b"\r\n")

    def _take(self, data: bytes) -> None:
        for line in data.decode("ascii").splitlines():
            self.heard.append(line)
            answer = self.script(line)
            if answer is not None:
                self.say(answer)


def tag(line: str) -> str:
    return line.partition("*ESE ")[2].partition(";")[0]


def answering(fields: str, events: int = 0) -> Callable[[str], str]:
    return lambda line: f"{events};{tag(line)};{IDENTITY}" if "*IDN?" in line else f"{fields};{events};{tag(line)}"


def answering_events(events: int) -> Callable[[str], str | None]:
    return lambda line: f"{events};{tag(line)}" if "*ESE" in line else None


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def test_a_query_is_one_message_and_touches_the_lease() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("+1.25E-03")
        await asyncio.sleep(0.9)
        for _ in range(2):
            assert await peer.session.query(peer.lease, ":MEAS:CURR?", 0.1) == ("+1.25E-03",)
        assert peer.heard == ["*ESE 1;:MEAS:CURR?;*ESR?;*ESE?", "*ESE 2;:MEAS:CURR?;*ESR?;*ESE?"]
        await asyncio.sleep(0.9)
        assert peer.lease.fresh

    run(main)


def test_tags_go_round_without_zero() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("1")
        for _ in range(257):
            await peer.session.query(peer.lease, ":X?", 0.1)
        assert [int(tag(line)) for line in peer.heard] == [*range(1, 256), 1, 2]

    run(main)


def test_beginning_clears_the_device_and_takes_a_name_said_twice() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("")
        assert await peer.session.begin(peer.lease) == IDENTITY
        assert peer.heard == ["*CLS;*ESE 1;*ESR?;*ESE?;*IDN?", "*ESE 2;*ESR?;*ESE?;*IDN?"]
        names = iter(("MAKER,MODEL,SERIAL,1.0", "MAKER,MODEL,SER1AL,1.0"))
        peer.script = lambda line: f"0;{tag(line)};{next(names)}"
        with pytest.raises(ReplyInvalid, match="names itself"):
            await peer.session.begin(peer.lease)

    run(main)


def test_a_restart_is_no_news_at_the_beginning_and_is_told_once_later() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("1", events=0x80)
        assert await peer.session.query(peer.lease, ":X?", 0.1) == ("1",)
        peer.script = answering("1")
        await peer.session.begin(peer.lease)
        for _ in range(2):
            peer.script = answering("1", events=0x80)
            with pytest.raises(DeviceRestarted):
                await peer.session.query(peer.lease, ":X?", 0.1)
            peer.script = answering("1")
            assert await peer.session.query(peer.lease, ":X?", 0.1) == ("1",)

    run(main)


def test_an_action_asks_for_the_error_queue_and_is_sent_once() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering('+0,"No error"')
        assert await peer.session.act(peer.lease, ":OUTP ON", 0.1) == ()
        assert peer.heard == ["*ESE 1;:OUTP ON;:SYST:ERR?;*ESR?;*ESE?"]
        peer.script = answering('7;+0,"No error"')
        assert await peer.session.act(peer.lease, ":STAR?", 0.1, fields=1) == ("7",)
        for answer, error in (
            ('-222,"Data out of range"', DeviceRefused),
            ('7;+0,"No error"', ReplyInvalid),
            ("0", ReplyInvalid),
        ):
            peer.script = answering(answer)
            with pytest.raises(error):
                await peer.session.act(peer.lease, ":OUTP ON", 0.1)

    run(main)


@pytest.mark.parametrize(("answer", "error"), [(None, DeviceTimeout), ("\x7f~~", ReplyInvalid), ("1;2", ReplyInvalid)])
def test_an_action_in_doubt_is_not_repeated(answer: str | None, error: type[DeviceError]) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda line: f"{answer};{tag(line)}" if answer == "1;2" else answer
        with pytest.raises(error):
            await peer.session.act(peer.lease, ":OUTP ON", 0.1)
        assert len(peer.heard) == 1

    run(main)


def test_without_an_error_queue_the_tag_has_a_message_of_its_own() -> None:
    async def main() -> None:
        peer = Peer(error_queue=False)
        peer.script = answering_events(0)
        await peer.session.act(peer.lease, ":SAMP:RATE SLOW2", 0.1)
        assert peer.heard == [":SAMP:RATE SLOW2", "*ESE 1;*ESR?;*ESE?"]
        for events in (0x20, 0x10, 0x08, 0x04):
            peer.script = answering_events(events)
            with pytest.raises(DeviceRefused, match=f"event status {events}"):
                await peer.session.act(peer.lease, ":SAMP:RATE SLOW3", 0.1)

    run(main)


def test_a_query_that_fails_in_the_device_is_refused_and_not_repeated() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda line: f"16;{tag(line)}"
        with pytest.raises(DeviceRefused, match="event status 16"):
            await peer.session.query(peer.lease, ":FETC:CURR?", 0.1)
        assert len(peer.heard) == 1

    run(main)


def test_an_error_left_by_an_earlier_message_is_not_blamed_on_the_next_command() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda line: f"16;{tag(line)}"
        with pytest.raises(DeviceRefused):
            await peer.session.query(peer.lease, ":FETC:CURR?", 0.1)
        queue = ['-230,"Data corrupt or stale"', '-350,"Queue overflow"']
        peer.script = lambda line: f"{queue.pop(0) if queue else NO_ERROR};0;{tag(line)}"
        peer.heard.clear()
        await peer.session.act(peer.lease, ":VOLT 12", 0.1)
        await peer.session.act(peer.lease, ":VOLT 13", 0.1)
        commands = [line.split(";*ESR?")[0].partition(";")[2] for line in peer.heard]
        assert commands == [*[":SYST:ERR?"] * 3, ":VOLT 12;:SYST:ERR?", ":VOLT 13;:SYST:ERR?"]
        peer.script = lambda line: None
        with pytest.raises(DeviceTimeout):
            await peer.session.act(peer.lease, ":VOLT 12", 0.1)
        peer.script = answering('-113,"Undefined header"')
        with pytest.raises(ReplyInvalid, match="more than 30 errors"):
            await peer.session.act(peer.lease, ":VOLT 12", 0.1)

    run(main)


def test_a_measurement_is_two_equal_copies_under_its_settings() -> None:
    async def main() -> None:
        peer = Peer()
        under = {":RANG": "0.01", ":RATE": "SLOW"}
        peer.script = answering("+1.25E-03;+1.25E-03;+1.0000E-02;slow")
        assert await peer.session.measure(peer.lease, ":READ?", ":FETC?", under, 0.1) == ("+1.25E-03",)
        assert peer.heard == ["*ESE 1;:READ?;:FETC?;:RANG?;:RATE?;*ESR?;*ESE?"]
        peer.heard.clear()
        peer.script = answering("+1.25E-03;+1.35E-03;+1.0000E-02;SLOW")
        with pytest.raises(ReplyInvalid, match="damaged"):
            await peer.session.measure(peer.lease, ":READ?", ":FETC?", under, 0.1)
        assert len(peer.heard) == ATTEMPTS
        peer.script = answering("1;2;1;2;+1.0000E-02;SLOW")
        assert await peer.session.measure(peer.lease, ":A?;:B?", ":A?;:B?", under, 0.1, fields=2) == ("1", "2")
        peer.script = answering("+1.25E-03;+1.25E-03;+1.0000E+01;SLOW")
        with pytest.raises(ReplyInvalid, match=r":RANG was set to 0\.01 and reads"):
            await peer.session.measure(peer.lease, ":READ?", ":FETC?", under, 0.1)

    run(main)


def test_settings_are_all_set_before_any_is_read_back() -> None:
    async def main() -> None:
        peer = Peer()
        stored: dict[str, str] = {}

        def device(line: str) -> str:
            command = line.split(";")[1]
            if "?" in command:
                return f"{stored[command[:-1]]};0;{tag(line)}"
            header, value = command.split(" ")
            stored[header] = value if header == ":RATE" else f"{float(value):+.6E}"
            return f'+0,"No error";0;{tag(line)}'

        peer.script = device
        await peer.session.settings(peer.lease, {":VOLT": "12.500", ":RATE": "SLOW"}, 0.1)
        commands = [line.split(";")[1] for line in peer.heard]
        assert commands == [":VOLT 12.500", ":RATE SLOW", ":VOLT?", ":RATE?"]

    run(main)


@pytest.mark.parametrize("said", ["12.49", "0", "nan", "", "12,500", "ON"])
def test_a_setting_that_reads_otherwise_is_an_error(said: str) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda line: f"{said};0;{tag(line)}" if ":VOLT?" in line else f'0,"";0;{tag(line)}'
        with pytest.raises(ReplyInvalid, match=r":VOLT was set to 12\.5"):
            await peer.session.settings(peer.lease, {":VOLT": "12.5"}, 0.1)

    run(main)


def test_an_answer_that_comes_late_is_a_stray_and_never_the_next_answer() -> None:
    async def main() -> None:
        peer = Peer()
        values = iter(range(100))
        peer.script = lambda line: f"{next(values)};0;{tag(line)}"
        peer.line.device.tamper = lambda data: [(0.15, data)]
        with pytest.raises(DeviceTimeout):
            await peer.session.query(peer.lease, ":X?", 0.1)
        peer.line.device.tamper = None
        assert await peer.session.query(peer.lease, ":X?", 0.4) == ("3",)
        assert peer.session.strays == 3

    run(main)


def test_noise_is_waited_through_and_silence_is_a_timeout_after_three_attempts() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("5")
        peer.line.device.tamper = lambda data: [(0.0, b"\xff\x00\n~~\n"), (0.05, data)]
        assert await peer.session.query(peer.lease, ":X?", 0.1) == ("5",)
        assert (len(peer.heard), peer.session.damaged) == (1, 2)
        peer.line.device.tamper = lambda data: []
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(DeviceTimeout):
            await peer.session.query(peer.lease, ":X?", 0.1)
        assert asyncio.get_running_loop().time() - started_s == pytest.approx(ATTEMPTS * 0.1)
        assert peer.lease.fresh

    run(main)


def test_a_device_that_is_being_waited_for_is_not_stale() -> None:
    async def main() -> None:
        peer = Peer()
        task = asyncio.get_running_loop().create_task(peer.session.query(peer.lease, ":X?", 5.0))
        await asyncio.sleep(14.0)
        assert peer.lease.fresh
        with pytest.raises(DeviceTimeout):
            await task

    run(main)


@every_fault
def test_faults_of_the_line(fault: Fault) -> None:
    async def main() -> None:
        peer = Peer()
        values = iter(range(100))
        peer.script = lambda line: f"{(value := next(values))};{value};0;{tag(line)}"
        await peer.session.measure(peer.lease, ":X?", ":Y?", {}, 0.1)
        await suffer(
            peer.line,
            fault,
            lambda: peer.session.measure(peer.lease, ":X?", ":Y?", {}, 0.1),
            lambda values: 1 <= int(values[0]) <= ATTEMPTS,
        )

    run(main)


@given(tamper=damages())
@settings(max_examples=100, deadline=None)
def test_whatever_happens_to_the_bytes_a_measurement_is_right_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("+1.250000E-03;+1.250000E-03;+1.000000E-02")
        fault = Fault("damage", lambda: tamper, (ReplyInvalid, DeviceTimeout, DeviceRefused))
        await suffer(
            peer.line,
            fault,
            lambda: peer.session.measure(peer.lease, ":X?", ":Y?", {":RANG": "0.01"}, 0.1),
            lambda texts: texts == ("+1.250000E-03",),
        )

    run(main)


@given(st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=100, deadline=None)
def test_every_split_of_an_answer_is_the_answer(cuts: list[int]) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = answering("+1.250000E-03")
        peer.line.device.tamper = cut_at(cuts, 0.001)
        assert await peer.session.query(peer.lease, ":X?", 0.1) == ("+1.250000E-03",)
        assert (peer.session.damaged, peer.session.strays, len(peer.heard)) == (0, 0, 1)

    run(main)


def test_a_revoked_lease_sends_nothing_not_even_a_second_attempt() -> None:
    async def main() -> None:
        peer = Peer()
        asyncio.get_running_loop().call_later(0.05, setattr, peer.lease, "revoked", True)
        with pytest.raises(LeaseRevoked):
            await peer.session.query(peer.lease, ":X?", 0.1)
        with pytest.raises(LeaseRevoked):
            await peer.session.act(peer.lease, ":OUTP ON", 0.1)
        peer.session.write(":OUTP OFF")
        await asyncio.sleep(0.1)
        assert peer.heard == ["*ESE 1;:X?;*ESR?;*ESE?", ":OUTP OFF"]
        peer.line.station.down = True
        peer.session.write(":OUTP OFF")
        peer.lease.revoked = False
        with pytest.raises(LinkDown):
            await peer.session.query(peer.lease, ":X?", 0.1)

    run(main)


def test_a_cancelled_query_leaves_the_session_usable() -> None:
    async def main() -> None:
        peer = Peer()
        task = asyncio.get_running_loop().create_task(peer.session.query(peer.lease, ":X?", 10.0))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        peer.say("9;0;1")
        peer.script = answering("5")
        assert await peer.session.query(peer.lease, ":X?", 0.1) == ("5",)

    run(main)


def test_numbers_that_cannot_be_believed() -> None:
    session = ScpiSession(SimSerial("meter").station, "meter")
    assert session.number("+1.0E-03", 1e-5, 1e-2, "current") == 1e-3
    assert session.number("9.9E37", 1e-5, 1e-2, "current", over_range=True) == float("inf")
    for text in ("1.0", "1.0E-06", "-1.0E-03", "1,0E-03", "9.9E37", "9.91E37"):
        with pytest.raises(ReplyInvalid, match="current"):
            session.number(text, 1e-5, 1e-2, "current")


def test_a_guard_of_few_readings_tells_a_repetition_first() -> None:
    guard = FrozenGuard("meter", 3)
    assert [guard.see(text) for text in ("1.0", "1.1", "1.1", "1.0", "1.0")] == [True, True, False, True, False]
    with pytest.raises(ReplyInvalid, match="stuck: 3 identical readings"):
        guard.see("1.0")


def test_ten_identical_readings_are_stuck_and_nine_are_not() -> None:
    guard = FrozenGuard("meter")
    for text in ["1.0"] * (FROZEN - 1) + ["1.1"] + ["1.0"] * (FROZEN - 1):
        guard.see(text)
    with pytest.raises(ReplyInvalid, match="stuck"):
        guard.see("1.0")
