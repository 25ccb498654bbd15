"""The nutrunner driver against a controller played by the test: everything that can go wrong between two telegrams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import LimitStatus, Tightening
from bmsctl.domain.units import Degree, Newtonmetre, Second
from bmsctl.drivers.nutrunner import FINISHED_AFTER_S, OpenProtocolNutrunner
from bmsctl.drivers.open_protocol_session import ANSWER_WITHIN_S, DEVICE, KEEP_ALIVE_EVERY_S
from bmsctl.errors import (
    DeviceRefused,
    DeviceRestarted,
    DeviceTimeout,
    LeaseRevoked,
    LinkDown,
    ReplyInvalid,
)
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import BatchStatus, ErrorCode, Message, OldResult, Result
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

VIN, FOREIGN, SET = "AS52000000001", "NB000000001", 3
BEFORE = 41
"""Identifier of the newest tightening when a test begins."""
AT = "2026-01-01:06:30:00"

Answer = Message | bytes
Script = Callable[[Message], Sequence[Answer] | None]


def sent(tightening_id: int, vin: str = VIN, parameter_set: int = SET, torque: float = 25.01) -> Result:
    """A result as a controller sends it."""
    return Result(
        cell=1,
        channel=1,
        controller="PF6 STACKING 1",
        vin=vin,
        job=0,
        parameter_set=parameter_set,
        batch_size=1,
        batch_counter=1,
        ok=True,
        torque_status=LimitStatus.OK,
        angle_status=LimitStatus.OK,
        torque_min=22.5,
        torque_max=27.5,
        torque_target=25.0,
        torque=torque,
        angle_min=30,
        angle_max=150,
        angle_target=90,
        angle=88,
        at=AT,
        parameter_set_changed=AT,
        batch_status=BatchStatus.OK,
        tightening_id=tightening_id,
    )


def old(of: Result) -> OldResult:
    """A result as a controller has it in its memory."""
    judged = (of.ok, of.torque_status, of.angle_status, of.torque, of.angle)
    return OldResult(of.tightening_id, of.vin, of.parameter_set, of.batch_counter, *judged, of.at, of.batch_status)


def wanted(tightening_id: int, torque: float = 25.01) -> Tightening:
    judged = (True, Newtonmetre(torque), LimitStatus.OK, Degree(88.0), LimitStatus.OK)
    return Tightening(tightening_id, VIN, SET, *judged, AT)


class Controller:
    """A controller played by the test. `script` answers first; what it answers with None is answered as usual."""

    def __init__(self) -> None:
        self.line = SimSerial(DEVICE)
        self.heard: list[Message] = []
        self.script: Script = lambda message: None
        self.session = self.results = self.alarms = False
        self.alarm = ""
        self.memory = {BEFORE: old(sent(BEFORE, FOREIGN))}
        self._telegrams = op.Telegrams()
        self.line.device.listen(self._take)
        self.driver = OpenProtocolNutrunner(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)

    def mids(self, *without: int) -> list[int]:
        """MIDs heard, but for these."""
        return [mid for mid in map(op.mid_of, self.heard) if mid not in without]

    def say(self, answer: Answer, delay_s: float = 0.0) -> None:
        data = answer if isinstance(answer, bytes) else op.encode(op.to_telegram(answer))
        self.line.device.emit(data, delay_s)

    def make(self, result: Result, after_s: float = 0.0, *, push: bool = True) -> None:
        """A tightening ends in so many seconds, and its result is sent or not."""

        def made() -> None:
            self.memory[result.tightening_id] = old(result)
            if push:
                self.say(result)

        asyncio.get_running_loop().call_later(after_s, made)

    def restart(self) -> None:
        self.session = self.results = self.alarms = False

    async def enable(self) -> Controller:
        await self.driver.enable(self.lease, VIN, SET)
        self.heard.clear()
        return self

    def result(self, within: float = 30.0) -> Awaitable[Tightening]:
        return self.driver.result(self.lease, Second(within))

    def _take(self, data: bytes) -> None:
        for telegram in self._telegrams.feed(data):
            message = op.message_of(telegram)
            self.heard.append(message)
            answers = self.script(message)
            for answer in self._usual(message) if answers is None else answers:
                self.say(answer, 0.01)

    def _usual(self, message: Message) -> Sequence[Answer]:
        mid = op.mid_of(message)
        if isinstance(message, op.CommunicationStart):
            if self.session:
                return [op.CommandError(1, ErrorCode.CLIENT_ALREADY_CONNECTED)]
            self.session = True
            return [op.CommunicationStarted(1, 1, "PF6 STACKING 1")]
        if not self.session:
            return [op.CommandError(mid, ErrorCode.INVALID_DATA)]
        if isinstance(message, op.CommunicationStop):
            self.restart()
        elif isinstance(message, op.SubscribeResults):
            if self.results:
                return [op.CommandError(mid, ErrorCode.RESULTS_ALREADY_SUBSCRIBED)]
            self.results = True
        elif isinstance(message, op.SubscribeAlarms):
            if self.alarms:
                return [op.CommandError(mid, ErrorCode.ALARMS_ALREADY_SUBSCRIBED)]
            self.alarms = True
            return [op.CommandAccepted(mid), op.AlarmStatus(bool(self.alarm), self.alarm, True, True, AT)]
        elif isinstance(message, op.RequestOldResult):
            found = self.memory.get(message.tightening_id or max(self.memory, default=0))
            return [found or op.CommandError(mid, ErrorCode.TIGHTENING_ID_NOT_FOUND)]
        elif isinstance(message, op.KeepAlive):
            return [message]
        return [op.CommandAccepted(mid)] if mid in (3, 18, 42, 43, 50, 60, 70) else []


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 6000.0)
    assert loop.errors == []


def now() -> float:
    return asyncio.get_running_loop().time()


def once(mid: int, *answers: Answer) -> Script:
    """The first message of this MID is answered so."""
    left = [list(answers)]
    return lambda message: left.pop() if left and op.mid_of(message) == mid else None


def always(mid: int, *answers: Answer) -> Script:
    return lambda message: list(answers) if op.mid_of(message) == mid else None


def test_the_bytes_written_by_hand() -> None:
    async def main() -> None:
        peer = Controller()
        said: list[bytes] = []
        peer.line.tap = said.append
        await peer.driver.enable(peer.lease, VIN, SET)
        blank = b" " * 9
        newest = b"00300064001" + blank + b"0000000000\0"
        assert said == [
            b"00200001001" + blank + b"\0",
            b"00200060001" + blank + b"\0",
            b"00200070001" + blank + b"\0",
            b"00230018001" + blank + b"003\0",
            b"00200077001" + blank + b"\0",
            b"00450050001" + blank + b"AS52000000001            \0",
            newest,
            newest,
            b"00200043001" + blank + b"\0",
        ]

    run(main)


def test_who_the_controller_is_is_kept_and_that_it_is_there_is_not() -> None:
    async def main() -> None:
        peer = Controller()
        assert await peer.driver.identify(peer.lease) == "PF6 STACKING 1, cell 1, channel 1"
        assert peer.mids(77) == [1, 60, 70, 9999]
        assert await peer.driver.identify(peer.lease) == "PF6 STACKING 1, cell 1, channel 1"
        assert peer.mids(77) == [1, 60, 70, 9999, 9999]
        peer.script = lambda message: []
        with pytest.raises(DeviceTimeout, match="no answer to MID 0001"):
            await peer.driver.identify(peer.lease)

    run(main)


def test_a_session_that_another_process_has_left_is_ended_and_begun_anew() -> None:
    async def main() -> None:
        peer = Controller()
        peer.session = peer.results = True
        assert await peer.driver.identify(peer.lease) == "PF6 STACKING 1, cell 1, channel 1"
        assert peer.mids(77) == [1, 3, 1, 60, 70, 9999]

    run(main)


def test_a_result_is_acknowledged_at_once_read_again_and_touches_the_lease() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 20.0)
        begun_s = now()
        assert await peer.result() == wanted(42)
        assert now() - begun_s < 20.1
        assert peer.mids(9999) == [62, 64]
        assert peer.lease.fresh
        assert peer.lease.fresh_until_s == pytest.approx(now() + 1.0)
        with pytest.raises(DeviceRefused, match="not been enabled; report this record"):
            await peer.result()

    run(main)


def test_the_lease_is_quiet_while_a_person_works() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(40, FOREIGN), 3.0)
        peer.make(sent(42), 25.0)
        task = asyncio.ensure_future(peer.result())
        while not task.done():
            await asyncio.sleep(0.1)
            assert peer.lease.fresh
        assert task.result() == wanted(42)

    run(main)


def test_results_of_others_and_of_before_are_acknowledged_and_not_taken() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        for result in (sent(42, FOREIGN), sent(43, VIN, 5), sent(41, FOREIGN), sent(40), sent(44, FOREIGN)):
            peer.make(result, 1.0)
        peer.make(sent(45, torque=24.5), 5.0)
        assert await peer.result() == wanted(45, 24.5)
        assert peer.mids(64, 9999) == [62] * 6
        assert peer.driver.strays == 5

    run(main)


def test_results_out_of_order_are_put_right() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 1.0, push=False)
        peer.make(sent(43, FOREIGN), 1.1)
        assert await peer.result() == wanted(42)
        assert now() < 2.0
        peer.say(sent(42))
        await peer.enable()
        peer.make(sent(44), 1.0)
        assert await peer.result() == wanted(44)

    run(main)


def test_a_result_that_never_comes_is_in_the_memory_when_time_is_up() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 1.0, push=False)
        peer.make(sent(43, FOREIGN), 2.0, push=False)
        begun_s = now()
        assert await peer.result(10.0) == wanted(42)
        assert now() - begun_s == pytest.approx(10.0, abs=0.3)

    run(main)


def test_a_result_sent_again_belongs_to_the_bolt_before() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42))
        assert await peer.result() == wanted(42)
        await peer.enable()
        peer.say(sent(42), 1.0)
        peer.make(sent(43), 2.0)
        assert await peer.result() == wanted(43)
        assert peer.driver.strays == 1

    run(main)


def test_nothing_tightened_is_a_timeout_and_the_tool_is_asked_off() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        with pytest.raises(DeviceTimeout, match="nothing was tightened within 10 s"):
            await peer.result(10.0)
        await asyncio.sleep(0.1)
        assert peer.mids(9999) == [64, 64, 42]

    run(main)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda data: data.replace(b"0061001", b"0061999"),
            "MID 0061 revision 999: only revision 1",
        ),
        (lambda data: b"0230" + data[4:-2] + b"\0", "MID 0061 revision 1: 231 bytes are expected, there are 230"),
        (lambda data: data.replace(b"002501", b"0025x1"), "MID 0061 revision 1, torque at byte"),
    ],
)
def test_a_result_that_is_none_is_named_and_fetched_from_the_memory(
    change: Callable[[bytes], bytes], says: str
) -> None:
    async def main() -> None:
        peer = await Controller().enable()
        broken = change(op.encode(op.to_telegram(sent(42))))
        peer.make(sent(42), 1.0, push=False)
        peer.say(broken, 1.5)
        assert await peer.result() == wanted(42)
        assert peer.mids(9999)[0] == 62
        await peer.enable()
        peer.say(broken)
        with pytest.raises(ReplyInvalid, match=f"{says}.*, and the result is not in its memory; check the cable"):
            await peer.result(5.0)

    run(main)


def test_a_broken_result_from_before_is_not_held_against_this_bolt() -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        peer.say(op.encode(op.to_telegram(sent(41)))[:-2] + b"?\0")
        await asyncio.sleep(0.1)
        await peer.enable()
        with pytest.raises(DeviceTimeout, match="nothing was tightened"):
            await peer.result(5.0)

    run(main)


def test_a_result_whose_digits_are_not_those_of_the_memory_is_read_until_two_agree() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 1.0, push=False)
        peer.say(sent(42, torque=35.01), 1.5)
        assert await peer.result() == wanted(42)
        assert peer.mids() == [62, 64, 64]
        await peer.enable()
        values = iter([24.0, 25.0, 26.0])
        peer.script = lambda message: (
            [old(sent(43, torque=next(values)))] if message == op.RequestOldResult(43) else None
        )
        peer.say(sent(43), 1.0)
        with pytest.raises(ReplyInvalid, match="does not say the same twice of tightening 43"):
            await peer.result()

    run(main)


def test_two_tightenings_of_one_bolt_are_none() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 1.0, push=False)
        peer.make(sent(43), 2.0)
        with pytest.raises(ReplyInvalid, match="tightened 2 times, enabled once"):
            await peer.result()

    run(main)


def test_an_identifier_out_of_all_bounds_is_not_believed() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.say(sent(900_042), 1.0)
        peer.make(sent(42), 2.0)
        assert await peer.result() == wanted(42)
        await peer.enable()
        peer.make(sent(900_042, FOREIGN), 1.0)
        with pytest.raises(ReplyInvalid, match="has counted from tightening 42 to 900042"):
            await peer.result()

    run(main)


ERROR_CODES = {
    18: (ErrorCode.PARAMETER_SET_NOT_PRESENT, ErrorCode.PARAMETER_SET_CANNOT_BE_SET),
    50: (ErrorCode.VIN_NOT_GRANTED, ErrorCode.REVISION_UNSUPPORTED),
    43: (
        ErrorCode.PARAMETER_SET_NOT_RUNNING,
        ErrorCode.TOOL_IN_USE,
        ErrorCode.COMMAND_FAILED,
        ErrorCode.CONTROLLER_TIMEOUT,
    ),
    60: (ErrorCode.UNKNOWN_MID,),
    1: (ErrorCode.PROTOCOL_BUSY,),
}


@pytest.mark.parametrize(("mid", "code"), [(mid, code) for mid, codes in ERROR_CODES.items() for code in codes])
def test_a_refusal_is_told_with_its_text(mid: int, code: ErrorCode) -> None:
    async def main() -> None:
        peer = Controller()
        peer.script = always(mid, op.CommandError(mid, code))
        with pytest.raises(DeviceRefused, match=f"MID {mid:04d} is refused: {op.error_text(code)}") as told:
            await peer.driver.enable(peer.lease, VIN, SET)
        assert "; " in str(told.value)
        assert "look the code up" not in str(told.value)
        assert (43 in peer.mids()) is (mid == 43)

    run(main)


HARMLESS = {
    1: ErrorCode.CLIENT_ALREADY_CONNECTED,
    60: ErrorCode.RESULTS_ALREADY_SUBSCRIBED,
    70: ErrorCode.ALARMS_ALREADY_SUBSCRIBED,
    64: ErrorCode.TIGHTENING_ID_NOT_FOUND,
}


@pytest.mark.parametrize("code", [*HARMLESS.values(), 55])
@pytest.mark.parametrize("mid", [1, 18, 50, 60, 64, 70])
def test_each_question_has_one_refusal_that_is_an_answer(mid: int, code: int) -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        if mid in (1, 60, 70):
            peer.line.device.muted = True
            with pytest.raises(DeviceTimeout):
                await peer.driver.newest_id(peer.lease)
            peer.line.device.muted = False
            peer.session = peer.results = peer.alarms = True
        peer.script = always(mid, op.CommandError(mid, code))
        if HARMLESS.get(mid) == code:
            await peer.driver.enable(peer.lease, VIN, SET)
        else:
            with pytest.raises(DeviceRefused, match=f"MID {mid:04d} is refused: {op.error_text(code)}; "):
                await peer.driver.enable(peer.lease, VIN, SET)
            assert 43 not in peer.mids()

    run(main)


@pytest.mark.parametrize("code", [*HARMLESS.values(), 55])
def test_a_tool_is_enabled_or_disabled_only_by_an_acceptance(code: int) -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.script = always(42, op.CommandError(42, code))
        for call in (peer.driver.disable, peer.driver.stop):
            with pytest.raises(DeviceRefused, match="MID 0042 is refused"):
                await call(peer.lease)
        peer.script = always(43, op.CommandError(43, code))
        with pytest.raises(DeviceRefused, match="MID 0043 is refused"):
            await peer.driver.enable(peer.lease, VIN, SET)
        await asyncio.sleep(0.1)
        assert peer.mids()[-1] == 42

    run(main)


def test_a_refusal_that_is_in_no_list_is_to_be_looked_up() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.script = always(42, op.CommandError(42, 55))
        with pytest.raises(DeviceRefused, match="MID 0042 is refused: 55; look the code up"):
            await peer.driver.disable(peer.lease)

    run(main)


def test_what_does_not_fit_into_a_telegram_is_refused() -> None:
    async def main() -> None:
        peer = Controller()
        with pytest.raises(DeviceRefused, match="MID 0050 revision 1, vin"):
            await peer.driver.enable(peer.lease, "V" * 26, SET)

    run(main)


@pytest.mark.parametrize("mid", [18, 50, 64, 1, 60, 70])
def test_an_answer_that_is_lost_once_is_asked_for_again_in_a_new_session(mid: int) -> None:
    async def main() -> None:
        peer = Controller()
        if mid in (18, 50, 64):
            await peer.driver.identify(peer.lease)
        peer.script = once(mid)
        await peer.driver.enable(peer.lease, VIN, SET)
        assert peer.mids().count(1) >= 2
        assert peer.mids().count(43) == 1
        peer.make(sent(42), 1.0)
        assert await peer.result() == wanted(42)

    run(main)


def test_an_answer_that_comes_late_is_never_taken_for_the_next() -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        peer.make(sent(BEFORE + 1, FOREIGN), push=False)
        await asyncio.sleep(0.1)
        peer.line.device.tamper = lambda data: [(ANSWER_WITHIN_S + 0.01 if data[4:8] == b"0065" else 0.0, data)]
        with pytest.raises(DeviceTimeout, match="MID 0064"):
            await peer.driver.newest_id(peer.lease)
        peer.line.device.tamper = None
        peer.make(sent(BEFORE + 2, FOREIGN), push=False)
        await asyncio.sleep(0.0)
        strays = peer.driver.strays
        assert await peer.driver.newest_id(peer.lease) == BEFORE + 2
        assert peer.driver.strays > strays

    run(main)


def test_an_enabling_that_is_not_answered_is_not_repeated_and_the_tool_asked_off() -> None:
    async def main() -> None:
        peer = Controller()
        peer.script = always(43)
        with pytest.raises(DeviceTimeout, match="no answer to MID 0043"):
            await peer.driver.enable(peer.lease, VIN, SET)
        await asyncio.sleep(0.1)
        assert peer.mids().count(43) == 1
        assert peer.mids()[-1] == 42
        with pytest.raises(DeviceRefused, match="not been enabled"):
            await peer.result()

    run(main)


def test_a_session_lost_while_the_tool_is_prepared_does_not_enable_it() -> None:
    async def main() -> None:
        peer = Controller()

        def script(message: Message) -> None:
            if isinstance(message, op.DownloadVin) and peer.mids().count(50) == 1:
                peer.restart()

        peer.script = script
        with pytest.raises(DeviceRestarted, match="before the tool was enabled"):
            await peer.driver.enable(peer.lease, VIN, SET)
        assert 43 not in peer.mids()
        await peer.driver.enable(peer.lease, VIN, SET)

    run(main)


def test_an_alarm_ends_the_waiting_with_its_code() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.say(op.Alarm("E404", False, False, AT), 5.0)
        with pytest.raises(DeviceRefused, match="alarm E404 is pending"):
            await peer.result()
        assert peer.mids(9999, 64) == [72]
        await asyncio.sleep(0.1)
        assert peer.mids()[-1] == 42
        with pytest.raises(DeviceRefused, match="alarm E404 is pending"):
            await peer.driver.enable(peer.lease, VIN, SET)
        assert 43 not in peer.mids()
        peer.say(op.AlarmAcknowledged("E404"))
        await asyncio.sleep(0.1)
        assert peer.mids()[-1] == 75
        await peer.driver.enable(peer.lease, VIN, SET)

    run(main)


def test_an_alarm_does_not_hide_a_tightening() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 1.0, push=False)
        peer.say(op.Alarm("E404", False, False, AT), 1.5)
        assert await peer.result() == wanted(42)

    run(main)


def test_an_alarm_from_before_the_session_keeps_the_tool_off() -> None:
    async def main() -> None:
        peer = Controller()
        peer.alarm = "E501"
        with pytest.raises(DeviceRefused, match="alarm E501 is pending"):
            await peer.driver.enable(peer.lease, VIN, SET)
        assert 77 in peer.mids()

    run(main)


@pytest.mark.parametrize("made", [True, False])
def test_after_a_restart_the_memory_is_asked_before_anything_is_said(made: bool) -> None:
    async def main() -> None:
        peer = await Controller().enable()
        if made:
            peer.make(sent(42), 3.0, push=False)
        asyncio.get_running_loop().call_later(4.0, peer.restart)
        if made:
            assert await peer.result() == wanted(42)
        else:
            with pytest.raises(DeviceRestarted, match="tightened nothing"):
                await peer.result()
            assert peer.lease.fresh
        assert peer.mids(9999, 77)[:5] == [1, 60, 70, 42, 64]
        assert now() < 4.0 + KEEP_ALIVE_EVERY_S + ANSWER_WITHIN_S + FINISHED_AFTER_S + 1.0

    run(main)


def test_a_session_in_doubt_that_has_lasted_goes_on() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.script = once(9999)
        peer.make(sent(42), 15.0)
        assert await peer.result() == wanted(42)
        assert peer.mids(9999)[:5] == [1, 60, 70, 64, 64]
        assert 42 not in peer.mids()

    run(main)


def test_a_controller_that_falls_silent_is_noticed_while_a_person_works() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.line.device.muted = True
        begun_s = now()
        with pytest.raises(DeviceTimeout, match="no answer to MID 0001"):
            await peer.result(120.0)
        assert now() - begun_s < KEEP_ALIVE_EVERY_S + 4 * ANSWER_WITHIN_S

    run(main)


def test_an_unplugged_line_is_noticed_while_a_person_works() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        asyncio.get_running_loop().call_later(3.0, setattr, peer.line.station, "down", True)
        begun_s = now()
        with pytest.raises(LinkDown):
            await peer.result(120.0)
        assert now() - begun_s == pytest.approx(KEEP_ALIVE_EVERY_S, abs=0.1)

    run(main)


def test_a_sign_of_life_every_eight_seconds_until_the_lease_ends() -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        peer.heard.clear()
        await asyncio.sleep(4.0)
        await peer.driver.newest_id(peer.lease)
        await asyncio.sleep(KEEP_ALIVE_EVERY_S - 0.5)
        assert peer.mids() == [64, 64]
        await asyncio.sleep(25.0)
        assert peer.mids() == [64, 64, 9999, 9999, 9999, 9999]
        peer.lease.revoked = True
        await asyncio.sleep(60.0)
        assert len(peer.heard) == 6

    run(main)


def test_a_lease_of_the_next_run_begins_a_new_session() -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        peer.lease.revoked = True
        await asyncio.sleep(20.0)
        peer.restart()
        peer.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)
        peer.heard.clear()
        await peer.enable()
        peer.make(sent(42), 30.0)
        assert await peer.result(60.0) == wanted(42)

    run(main)


async def enable_for_ever(peer: Controller) -> None:
    while True:
        await peer.driver.enable(peer.lease, VIN, SET)
        await asyncio.sleep(0.0)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.08, 0.11, 0.14])
def test_no_byte_leaves_after_the_lease_was_revoked(after_s: float) -> None:
    async def main() -> None:
        peer = Controller()
        said_s: list[float] = []
        peer.line.tap = lambda data: said_s.append(now())
        peer.make(sent(BEFORE + 1), 0.0)
        asyncio.get_running_loop().call_later(after_s, setattr, peer.lease, "revoked", True)
        with pytest.raises(LeaseRevoked):
            await enable_for_ever(peer)
        peer.say(sent(BEFORE + 2))
        peer.say(op.Alarm("E404", False, False, AT))
        await asyncio.sleep(60.0)
        assert all(at_s <= after_s for at_s in said_s)

    run(main)


@pytest.mark.parametrize("after_s", [0.01, 0.1, 0.2, 5.0])
def test_cancelled_in_the_middle_the_tool_is_asked_off_and_the_next_call_works(after_s: float) -> None:
    async def main() -> None:
        peer = Controller()

        async def tighten() -> None:
            await peer.driver.enable(peer.lease, VIN, SET)
            await peer.result()

        task = asyncio.ensure_future(tighten())
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.0)
        enabled = 43 in peer.mids()
        await asyncio.sleep(0.2)
        assert (42 in peer.mids()) is enabled
        await peer.enable()
        peer.make(sent(42), 1.0)
        assert await peer.result() == wanted(42)

    run(main)


def test_between_a_result_and_its_acknowledgement_the_tool_is_not_disabled() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), 5.0)
        task = asyncio.ensure_future(peer.result())

        def script(message: Message) -> None:
            if isinstance(message, op.AcknowledgeResult):
                task.cancel()

        peer.script = script
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        assert [mid for mid in peer.mids() if mid in (62, 42)] == [62, 42]

    run(main)


def test_disabling_returns_when_the_controller_has_said_so() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        begun_s = now()
        await peer.driver.disable(peer.lease)
        assert now() - begun_s < 0.1
        assert peer.mids() == [42]
        with pytest.raises(DeviceRefused, match="not been enabled"):
            await peer.result()
        peer.script = always(42)
        with pytest.raises(DeviceTimeout, match="no answer to MID 0042"):
            await peer.driver.disable(peer.lease)

    run(main)


def test_stopped_the_tool_stands_still_and_its_last_tightening_is_in_the_memory() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        peer.make(sent(42), FINISHED_AFTER_S - 0.1)
        task = asyncio.ensure_future(peer.driver.stop(peer.lease))
        while not task.done():
            await asyncio.sleep(0.1)
            assert peer.lease.fresh
        task.result()
        assert await peer.driver.newest_id(peer.lease) == 42
        assert [mid for mid in peer.mids(9999) if mid != 62] == [42, 64, 64]

    run(main)


def test_off_needs_no_lease_no_session_and_no_line() -> None:
    async def main() -> None:
        peer = Controller()
        peer.driver.off()
        await asyncio.sleep(0.1)
        assert peer.mids() == [42]
        await peer.enable()
        peer.lease.revoked = True
        peer.driver.off()
        await asyncio.sleep(0.1)
        assert peer.mids() == [42]
        peer.line.station.down = True
        peer.driver.off()

    run(main)


def test_the_memory_is_read_by_identifier() -> None:
    async def main() -> None:
        peer = Controller()
        peer.memory[7] = old(sent(7))
        assert await peer.driver.newest_id(peer.lease) == BEFORE
        assert await peer.driver.stored(peer.lease, 7) == wanted(7)
        assert await peer.driver.stored(peer.lease, 8) is None
        peer.script = always(64, old(sent(9)))
        with pytest.raises(ReplyInvalid, match="tightening 8"):
            await peer.driver.stored(peer.lease, 8)
        peer.script = lambda message: None
        peer.memory.clear()
        assert await peer.driver.newest_id(peer.lease) == 0

    run(main)


def test_a_not_ok_result_is_a_result() -> None:
    async def main() -> None:
        peer = await Controller().enable()
        nok = replace(sent(42, torque=7.39), ok=False, torque_status=LimitStatus.LOW, batch_status=BatchStatus.NOK)
        peer.make(nok, 1.0)
        got = await peer.result()
        assert (got.ok, got.torque, got.torque_status, got.angle_status) == (
            False,
            7.39,
            LimitStatus.LOW,
            LimitStatus.OK,
        )

    run(main)


def test_an_acceptance_is_no_answer_to_a_question() -> None:
    async def main() -> None:
        peer = Controller()
        await peer.driver.identify(peer.lease)
        peer.script = always(64, op.CommandAccepted(64))
        with pytest.raises(DeviceTimeout, match="no answer to MID 0064"):
            await peer.driver.newest_id(peer.lease)

    run(main)
