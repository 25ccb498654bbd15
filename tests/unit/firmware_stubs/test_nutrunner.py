"""The tightening controller's firmware: its session, when its tool turns, and what it sends and keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bmsctl.domain.ports import LimitStatus
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import ErrorCode, Message, OldResult, Result, Telegram
from firmware_stubs import nutrunner_records
from firmware_stubs.nutrunner import NutrunnerStub
from firmware_stubs.nutrunner_outbox import REPEAT_S, REPEATS_MAX
from firmware_stubs.nutrunner_records import KEPT_MAX, STRAY_SHARE, Memory, Neighbour, Setup, Transducers, judged
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial

VIN = "AS52000000001"
ANSWER_S = 0.05


class Joint:
    """Bolts that take what they are given; remembers what was tightened, and when the last was."""

    def __init__(self) -> None:
        self.torque_nm, self.angle_deg = 25.0, 90.0
        self.tightened: list[tuple[str, int]] = []
        self.ended = asyncio.Event()
        self.ended_s = 0.0

    def tighten(self, bolt: str, parameter_set: int) -> tuple[float, float]:
        self.tightened.append((bolt, parameter_set))
        self.ended_s = asyncio.get_running_loop().time()
        self.ended.set()
        return self.torque_nm, self.angle_deg


class Client:
    """Sends messages, acknowledges results, and keeps what it hears, with the times."""

    def __init__(self, seed: int = 1, *, acknowledges: bool = True) -> None:
        self._acknowledges = acknowledges
        self.line = SimSerial("nutrunner")
        self.joint = Joint()
        self.stub = NutrunnerStub(self.line.device, self.joint, seed)
        self.heard: list[tuple[float, Message]] = []
        self._telegrams = op.Telegrams()
        self.line.station.attach(self._take)

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.line.station.write(op.encode(op.to_telegram(message)))

    async def ask(self, *messages: Message, wait_s: float = ANSWER_S) -> list[Message]:
        """What comes within a while after some messages."""
        self.heard.clear()
        self.send(*messages)
        await asyncio.sleep(wait_s)
        return [message for _, message in self.heard]

    async def start(self) -> None:
        """A session with results, and a set-up tool."""
        await self.ask(op.CommunicationStart(), op.SubscribeResults())
        await self.ask(op.SelectParameterSet(3), op.DownloadVin(VIN))

    async def tighten(self, bolt: str, wait_s: float = 4.2) -> list[Result]:
        """Enable the tool and pull; the results that come."""
        await self.ask(op.EnableTool())
        self.stub.pull(bolt)
        return [message for message in await self.ask(wait_s=wait_s) if isinstance(message, Result)]

    async def newest(self) -> OldResult:
        (result,) = await self.ask(op.RequestOldResult(0))
        assert isinstance(result, OldResult)
        return result

    def _take(self, data: bytes, t_s: float) -> None:
        for telegram in self._telegrams.feed(data):
            message = op.message_of(telegram)
            self.heard.append((t_s, message))
            if self._acknowledges and isinstance(message, Result):
                self.send(op.AcknowledgeResult())


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The neighbour has gone home, but where a test calls for it."""
    monkeypatch.setattr(nutrunner_records, "NEIGHBOUR_EVERY_S", 1e9)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 1e8)
    assert loop.errors == []


def accepted(*mids: int) -> list[Message]:
    return [op.CommandAccepted(mid) for mid in mids]


def refused(mid: int, code: ErrorCode) -> list[Message]:
    return [op.CommandError(mid, code)]


def old(result: Result) -> OldResult:
    return OldResult(**{name: getattr(result, name) for name in OldResult.__slots__})


def test_nothing_is_done_without_a_session() -> None:
    async def main() -> None:
        client = Client()
        for message in (op.KeepAlive(), op.EnableTool(), op.RequestOldResult(0), op.CommunicationStop()):
            assert await client.ask(message) == refused(op.mid_of(message), ErrorCode.INVALID_DATA)
        assert await client.ask(op.CommunicationStart()) == [op.CommunicationStarted(1, 1, "PF6 STACKING 1")]
        assert await client.ask(op.KeepAlive()) == [op.KeepAlive()]

    run(main)


def test_a_second_client_is_refused_until_the_first_has_gone() -> None:
    async def main() -> None:
        client = Client()
        await client.ask(op.CommunicationStart())
        assert await client.ask(op.CommunicationStart()) == refused(1, ErrorCode.CLIENT_ALREADY_CONNECTED)
        assert await client.ask(op.CommunicationStop(), op.CommunicationStart()) == [
            op.CommandAccepted(3),
            op.CommunicationStarted(1, 1, "PF6 STACKING 1"),
        ]

    run(main)


def test_a_session_ends_after_15_silent_seconds_and_any_message_prolongs_it() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        for _ in range(5):
            assert await client.ask(op.KeepAlive(), wait_s=14.9) == [op.KeepAlive()]
        assert await client.ask(op.KeepAlive(), wait_s=15.1) == [op.KeepAlive()]
        assert await client.ask(op.KeepAlive()) == refused(9999, ErrorCode.INVALID_DATA)
        assert (await client.ask(op.CommunicationStart(), op.SubscribeResults()))[1:] == accepted(60)

    run(main)


@pytest.mark.parametrize(
    ("telegram", "code"),
    [
        (Telegram(60, 2), ErrorCode.REVISION_UNSUPPORTED),
        (Telegram(900), ErrorCode.UNKNOWN_MID),
        (Telegram(61, 1, b"0" * 211), ErrorCode.INVALID_DATA),
        (op.to_telegram(op.CommandAccepted(18)), ErrorCode.UNKNOWN_MID),
        (Telegram(18, 1, b"3"), ErrorCode.INVALID_DATA),
        (Telegram(18, 1, b"x03"), ErrorCode.INVALID_DATA),
        (Telegram(18, 1, b"004"), ErrorCode.PARAMETER_SET_NOT_PRESENT),
        (Telegram(38, 1, b"01"), ErrorCode.JOB_NOT_PRESENT),
        (Telegram(39, 1, b"01"), ErrorCode.JOB_NOT_RUNNING),
        (Telegram(43), ErrorCode.PARAMETER_SET_NOT_RUNNING),
        (Telegram(63), ErrorCode.RESULTS_NOT_SUBSCRIBED),
        (Telegram(64, 1, b"0000000001"), ErrorCode.TIGHTENING_ID_NOT_FOUND),
        (Telegram(73), ErrorCode.ALARMS_NOT_SUBSCRIBED),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_code(telegram: Telegram, code: ErrorCode) -> None:
    async def main() -> None:
        client = Client()
        await client.ask(op.CommunicationStart())
        client.line.station.write(op.encode(telegram))
        assert await client.ask() == refused(telegram.mid, code)

    run(main)


def test_a_subscription_exists_once() -> None:
    async def main() -> None:
        client = Client()
        await client.ask(op.CommunicationStart())
        assert await client.ask(op.SubscribeResults()) == accepted(60)
        assert await client.ask(op.SubscribeResults()) == refused(60, ErrorCode.RESULTS_ALREADY_SUBSCRIBED)
        assert await client.ask(op.UnsubscribeResults(), op.SubscribeResults()) == accepted(63, 60)
        assert (await client.ask(op.SubscribeAlarms()))[:1] == accepted(70)
        assert await client.ask(op.SubscribeAlarms()) == refused(70, ErrorCode.ALARMS_ALREADY_SUBSCRIBED)
        assert await client.ask(op.UnsubscribeAlarms()) == accepted(73)

    run(main)


def test_an_enabled_tool_tightens_once() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        before = client.stub._memory.newest
        client.stub.pull("m1.1")
        await asyncio.sleep(5.0)
        assert client.joint.tightened == []
        (result,) = await client.tighten("m1.1")
        assert client.joint.tightened == [("m1.1", 3)]
        assert not client.stub.enabled
        assert result.tightening_id == before + 1
        assert (result.vin, result.parameter_set, result.ok, result.batch_size) == (VIN, 3, True, 1)
        assert result.torque == pytest.approx(25.0, rel=0.02)
        assert result.angle == pytest.approx(90, abs=4)
        assert result.at == "2026-01-01:00:00:07"
        client.stub.pull("m1.2")
        await asyncio.sleep(5.0)
        assert client.joint.tightened == [("m1.1", 3)]
        assert await client.newest() == old(result)

    run(main)


@pytest.mark.parametrize("disabled_after_s", [0.0, 1.0])
def test_a_disabled_tool_does_not_turn_but_ends_what_it_has_begun(disabled_after_s: float) -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        await client.ask(op.EnableTool())
        if disabled_after_s:
            client.stub.pull("m1.1")
            await asyncio.sleep(disabled_after_s)
        assert await client.ask(op.DisableTool()) == accepted(42)
        if disabled_after_s:
            assert await client.ask(op.EnableTool()) == refused(43, ErrorCode.TOOL_IN_USE)
            assert await client.ask(op.SelectParameterSet(5)) == refused(18, ErrorCode.PARAMETER_SET_CANNOT_BE_SET)
        client.stub.pull("m1.2")
        await asyncio.sleep(5.0)
        assert client.joint.tightened == ([("m1.1", 3)] if disabled_after_s else [])
        assert not client.stub.enabled

    run(main)


def test_the_order_is_what_it_was_when_the_trigger_was_pulled() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        await client.ask(op.EnableTool())
        client.stub.pull("m1.1")
        await client.ask(op.DownloadVin("AS52000000002"), wait_s=5.0)
        assert (await client.newest()).vin == VIN

    run(main)


@pytest.mark.parametrize(
    ("torque_nm", "angle_deg", "torque_status", "angle_status"),
    [
        (20.0, 90.0, LimitStatus.LOW, LimitStatus.OK),
        (30.0, 90.0, LimitStatus.HIGH, LimitStatus.OK),
        (25.0, 20.0, LimitStatus.OK, LimitStatus.LOW),
        (25.0, 170.0, LimitStatus.OK, LimitStatus.HIGH),
    ],
)
def test_the_controller_judges_by_its_own_limits(
    torque_nm: float, angle_deg: float, torque_status: LimitStatus, angle_status: LimitStatus
) -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        client.joint.torque_nm, client.joint.angle_deg = torque_nm, angle_deg
        (result,) = await client.tighten("m1.1")
        assert not result.ok
        assert (result.torque_status, result.angle_status) == (torque_status, angle_status)
        assert (result.torque_min, result.torque_max, result.torque_target) == (22.5, 27.5, 25.0)
        assert (result.angle_min, result.angle_max) == (30, 150)
        assert not client.stub.enabled

    run(main)


def test_what_is_sent_is_what_is_judged() -> None:
    assert judged(1, Setup(VIN, 3), 22.4951, 90.0, 0.0).torque_status is LimitStatus.OK
    assert judged(1, Setup(VIN, 3), 22.4949, 90.0, 0.0).torque_status is LimitStatus.LOW
    assert judged(1, Setup(VIN, 3), -0.1, -3.0, 0.0).torque == 0.0


def test_a_tightening_takes_1_5_to_4_s_and_its_result_50_to_150_ms_more() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        took, came = [], []
        for number in range(60):
            await client.ask(op.EnableTool())
            begun_s = asyncio.get_running_loop().time()
            client.stub.pull(f"m1.{number}")
            await client.ask(wait_s=4.2)
            took.append(client.joint.ended_s - begun_s)
            came.append(client.heard[0][0] - client.joint.ended_s)
        assert 1.5 <= min(took) < 1.8
        assert 3.7 < max(took) <= 4.01
        telegram_s = 232 * client.line.byte_s
        assert 0.049 < min(came) - telegram_s < 0.06
        assert 0.14 < max(came) - telegram_s < 0.151

    run(main)


def test_a_result_is_sent_again_until_it_is_acknowledged() -> None:
    async def main() -> None:
        client = Client(acknowledges=False)
        await client.start()
        await client.ask(op.EnableTool())
        client.stub.pull("m1.1")
        results = await client.ask(wait_s=4.2 + REPEAT_S)
        assert len(results) == 2
        assert results[0] == results[1]
        assert client.heard[1][0] - client.heard[0][0] == pytest.approx(REPEAT_S)
        assert await client.ask(op.AcknowledgeResult(), wait_s=5.0 * REPEAT_S) == []

    run(main)


def test_a_result_that_nobody_acknowledges_is_given_up_and_the_next_sent() -> None:
    async def main() -> None:
        client = Client(acknowledges=False)
        await client.start()
        client.heard.clear()
        for bolt in ("m1.1", "m1.2"):
            client.send(op.EnableTool())
            await asyncio.sleep(ANSWER_S)
            client.stub.pull(bolt)
            await asyncio.sleep(4.2)
        for _ in range(4):
            client.send(op.KeepAlive())
            await asyncio.sleep(10.0)
        ids = [message.tightening_id for _, message in client.heard if isinstance(message, Result)]
        first = client.stub._memory.newest - 1
        assert ids == [first] * (1 + REPEATS_MAX) + [first + 1] * (1 + REPEATS_MAX)

    run(main)


def test_a_tool_disabled_before_the_acknowledgement_costs_the_message_not_the_result() -> None:
    async def main() -> None:
        client = Client(acknowledges=False)
        await client.start()
        await client.ask(op.EnableTool())
        client.stub.pull("m1.1")
        await client.joint.ended.wait()
        assert await client.ask(op.DisableTool(), wait_s=5.0 * REPEAT_S) == accepted(42)
        await client.ask(op.CommunicationStart())
        assert (await client.newest()).vin == VIN

    run(main)


@pytest.mark.parametrize("how", ["silent", "stopped", "lost"])
def test_a_bolt_tightened_while_nobody_listens_is_kept(how: str) -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        await client.ask(op.EnableTool())
        if how == "stopped":
            await client.ask(op.CommunicationStop())
        elif how == "silent":
            await asyncio.sleep(20.0)
        else:
            client.stub.results_lost = True
        assert client.stub.enabled
        client.stub.pull("m1.1")
        assert await client.ask(wait_s=10.0) == []
        assert client.joint.tightened == [("m1.1", 3)]
        await client.ask(op.CommunicationStart())
        result = await client.newest()
        assert (result.vin, result.parameter_set, result.ok) == (VIN, 3, True)
        assert await client.ask(op.RequestOldResult(result.tightening_id)) == [result]
        assert await client.ask(op.RequestOldResult(result.tightening_id + 1)) == refused(
            64, ErrorCode.TIGHTENING_ID_NOT_FOUND
        )

    run(main)


def test_a_restart_keeps_results_and_identifiers_only() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        (first,) = await client.tighten("m1.1")
        await client.ask(op.EnableTool())
        client.stub.pull("m1.2")
        await asyncio.sleep(1.0)
        client.stub.restart()
        await asyncio.sleep(5.0)
        assert client.joint.tightened == [("m1.1", 3)]
        assert not client.stub.enabled
        assert await client.ask(op.KeepAlive()) == refused(9999, ErrorCode.INVALID_DATA)
        assert (await client.ask(op.CommunicationStart(), op.EnableTool()))[1:] == refused(
            43, ErrorCode.PARAMETER_SET_NOT_RUNNING
        )
        assert await client.newest() == old(first)
        await client.ask(op.SubscribeResults(), op.SelectParameterSet(3), op.DownloadVin(VIN))
        (second,) = await client.tighten("m1.2")
        assert second.tightening_id == first.tightening_id + 1

    run(main)


def test_an_alarm_stops_the_tool_until_somebody_acknowledges_it_there() -> None:
    async def main() -> None:
        client = Client()
        await client.start()
        await client.ask(op.EnableTool())
        accepting, status = await client.ask(op.SubscribeAlarms())
        assert accepting == op.CommandAccepted(70)
        assert status == op.AlarmStatus(False, "", True, True, "2026-01-01:00:00:00")
        client.stub.alarm("E404")
        assert await client.ask(op.AcknowledgeAlarmStatus()) == [
            op.Alarm("E404", False, False, "2026-01-01:00:00:00"),
        ]
        assert await client.ask(op.AcknowledgeAlarm()) == []
        client.stub.pull("m1.1")
        await asyncio.sleep(5.0)
        assert client.joint.tightened == []
        assert await client.ask(op.EnableTool()) == refused(43, ErrorCode.COMMAND_FAILED)
        client.stub.acknowledge_alarm()
        assert await client.ask(op.AcknowledgeAlarmAcknowledged()) == [op.AlarmAcknowledged("E404")]
        assert await client.ask(op.EnableTool()) == accepted(43)

    run(main)


def test_identifiers_go_on_from_what_the_controller_has_made_and_old_results_are_dropped() -> None:
    memory = Memory(1)
    first = memory.newest + 1
    for _ in range(KEPT_MAX + 1):
        memory.keep(Setup(VIN, 3), 25.0, 90.0, 0.0)
    assert memory.newest == first + KEPT_MAX
    assert memory.find(first) is None
    kept = memory.find(first + 1)
    newest = memory.find(0)
    assert kept is not None
    assert newest is not None
    assert (kept.tightening_id, newest.tightening_id) == (first + 1, memory.newest)
    assert replace(kept, tightening_id=memory.newest) == newest
    assert Memory(2).newest != Memory(1).newest


def test_the_neighbours_tightenings_are_of_the_same_row_and_strays_reach_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nutrunner_records, "NEIGHBOUR_EVERY_S", 20.0)

    async def main() -> None:
        client = Client()
        await client.start()
        own: list[Result] = []
        strays: list[Result] = []
        for number in range(400):
            for result in await client.tighten(f"m1.{number}"):
                (own if result.vin == VIN else strays).append(result)
        ids = [result.tightening_id for result in own]
        assert len(own) == 400
        assert ids == sorted(set(ids))
        foreign = set(range(ids[0], ids[-1])) - set(ids)
        assert len(foreign) == pytest.approx(400 * 4.3 / 20.0, rel=0.3)
        assert {result.tightening_id for result in strays} < foreign
        assert len(strays) == pytest.approx(STRAY_SHARE * len(foreign), abs=8)
        for tightening_id in sorted(foreign)[:3]:
            (kept,) = await client.ask(op.RequestOldResult(tightening_id))
            assert isinstance(kept, OldResult)
            assert kept.vin.startswith("NB")
            assert kept.ok

    run(main)


def test_the_newest_result_is_there_before_we_have_made_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nutrunner_records, "NEIGHBOUR_EVERY_S", 45.0)

    async def main() -> None:
        for seed in range(20):
            client = Client(seed)
            await client.ask(op.CommunicationStart())
            assert (await client.newest()).vin.startswith("NB")

    run(main)


def test_what_the_neighbour_makes_does_not_depend_on_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nutrunner_records, "NEIGHBOUR_EVERY_S", 45.0)

    async def main() -> None:
        quiet, busy = Client(), Client()
        await busy.start()
        for _ in range(100):
            await busy.ask(op.RequestOldResult(0), op.AcknowledgeResult(), wait_s=7.0)
        await quiet.ask(op.CommunicationStart())
        assert await quiet.newest() == await busy.newest()

    run(main)


def test_four_hundred_tools_are_as_accurate_as_the_data_sheet_says() -> None:
    readings = np.array([Transducers(seed).measured(seed, 25.0, 90.0) for seed in range(400)])
    assert np.std(readings[:, 0]) == pytest.approx(25.0 * 0.005, rel=0.12)
    assert np.std(readings[:, 1]) == pytest.approx(1.0, rel=0.12)
    tool = Transducers(1)
    assert tool.measured(7, 25.0, 90.0) == tool.measured(7, 25.0, 90.0)
    assert tool.measured(7, 25.0, 90.0)[1] != tool.measured(8, 25.0, 90.0)[1]


def test_a_neighbour_stays_at_a_pack_for_some_tightenings() -> None:
    neighbour = Neighbour(1, 0.0)
    made = [neighbour.take() for _ in range(320)]
    assert 4 <= len({each.setup.vin for each in made}) <= 20
    assert all(late.at_s > early.at_s for early, late in pairwise(made))
