"""The leak tester's driver: against a scripted device for what goes wrong, against the stub for what goes well."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from bmsctl.analysis.leak import leak_rate
from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import LeakTest, PressureDecay
from bmsctl.domain.units import Pascal, Second
from bmsctl.drivers.leak_tester import ModbusLeakTester
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols import leak_tester, modbus_rtu
from bmsctl.protocols.leak_tester import Phase, Result, Sample, StatusBlock
from bmsctl.protocols.modbus_rtu import READING, ExceptionCode, Function, Request, Requests
from firmware_stubs.leak_tester import IDENTITY, LeakTesterStub, Part
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.reference.crc16 import crc16_bitwise
from tests.support.serial_faults import (
    Fault,
    Tamper,
    damages,
    during,
    every_fault,
    garble_commands,
    in_pieces,
    late,
    lost,
    suffer,
    suffer_unplug,
    when,
)

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/leak_tester/registers.toml").read_text())

HOUSING_CM3 = 50_000.0
HOUSING = LeakTest(2, Pascal(2e3), Second(10.0), Second(20.0), Second(60.0))
SHORT = LeakTest(2, Pascal(2e3), Second(2.0), Second(2.0), Second(6.0))
GOOD = Part(HOUSING_CM3 * 1e-6, 6.0, 2e3)

Answer = tuple[int, ...] | ExceptionCode | None
"""Registers, a refusal, or silence."""


class Coupled:
    """One part on every channel; implements Volume."""

    def __init__(self, part: Part | None = GOOD) -> None:
        self.now = part

    def part(self, channel: int) -> Part | None:
        return self.now


class Rig:
    """A tester on a line and its driver."""

    def __init__(self, part: Part | None = GOOD, seed: int = 1) -> None:
        self.line = SimSerial("leak_tester")
        self.stub = LeakTesterStub(self.line.device, Coupled(part), seed)
        self.driver = ModbusLeakTester(self.line.station)
        self.leases = LeaseBook(asyncio.get_running_loop().time)
        self.lease = self.leases.grant("leak_tester", 1.0)
        self.stale = 0

    def test(self, wanted: LeakTest = SHORT) -> Awaitable[PressureDecay]:
        return self.driver.test(self.lease, wanted)

    async def watch(self) -> None:
        """Count how often the lease is found stale."""
        while True:
            self.stale += not self.lease.fresh
            await asyncio.sleep(0.05)


class Peer:
    """A tester played by the test: keeps its holding registers; `status` says what block STATUS holds."""

    def __init__(self, status: Callable[[StatusBlock], StatusBlock]) -> None:
        self.line = SimSerial("leak_tester")
        self.holding = [0] * leak_tester.HOLDING_COUNT
        self.requests: list[Request] = []
        self.status = status
        self.answer: Callable[[Request, Answer], Answer] = lambda request, answer: answer
        self._requests = Requests(leak_tester.UNIT)
        self.line.device.listen(self._take)
        self.driver = ModbusLeakTester(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("leak_tester", 1.0)

    def test(self) -> Awaitable[PressureDecay]:
        return self.driver.test(self.lease, SHORT)

    def written(self, address: int) -> list[tuple[int, ...]]:
        """All that was written at an address."""
        return [each.values for each in self.requests if each.function not in READING and each.address == address]

    def _take(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            self.requests.append(request)
            answer = self.answer(request, self._registers(request))
            if isinstance(answer, ExceptionCode):
                self.line.device.emit(modbus_rtu.encode_exception(request, answer), 0.01)
            elif answer is not None:
                self.line.device.emit(modbus_rtu.encode_reply(request, answer), 0.01)

    def _registers(self, request: Request) -> tuple[int, ...]:
        first, end = request.address, request.address + request.length
        if request.function is Function.READ_HOLDING:
            return tuple(self.holding[first:end])
        if request.function is Function.READ_INPUT:
            tag, shown, number = self.holding[:3]
            taken = 17 if number else 0
            page = tuple(sample(at) for at in range(shown, taken))
            whole = StatusBlock(tag, number, Phase.VENTED, Result.DONE, 0.0, taken, shown, page)
            return leak_tester.encode_status(self.status(whole))
        self.holding[first:end] = request.values
        return ()


def sample(number: int) -> Sample:
    return Sample(2e3 - number, 23.0, 100e3)


def run(test: Callable[[], Awaitable[None]], until_s: float = 1000.0) -> None:
    loop = new_loop()
    loop.run_until(test(), until_s)
    assert loop.errors == []


def rate(decay: PressureDecay, wanted: LeakTest = HOUSING) -> float:
    tolerance_pa = 0.1 * abs(wanted.pressure)
    return leak_rate(decay, HOUSING_CM3, wanted.settle, wanted.pressure, tolerance_pa).cm3_per_min


def whole(decay: PressureDecay, samples: int = 17) -> bool:
    """Whether this is all of a short test."""
    return (
        len(decay.time_s) == samples
        and decay.time_s[-1] == pytest.approx(0.5 * (samples - 1))
        and bool(np.all(np.abs(decay.pressure_pa - 2e3) < 50.0))
        and bool(np.all(np.abs(decay.temperature_c - 23.0) < 1.0))
    )


def here(fault: Fault) -> Fault:
    """Noise before a telegram does it no harm: it is found by its form, and there are no terminators."""
    return replace(fault, survivable=fault.survivable or fault.name == "noise without terminator")


def test_who_it_is() -> None:
    async def main() -> None:
        rig = Rig()
        await asyncio.sleep(0.9)
        assert await rig.driver.identify(rig.lease) == IDENTITY
        await asyncio.sleep(0.9)
        assert rig.lease.fresh

    run(main)


@pytest.mark.parametrize(
    ("pressure", "leak"), [(2e3, 6.0), (2e3, 60.0), (-2e3, 60.0)], ids=["good", "leaky", "under vacuum"]
)
def test_a_leak_is_measured_and_the_part_vented(pressure: float, leak: float) -> None:
    async def main() -> None:
        rig = Rig(GOOD._replace(leak_cm3_per_min=leak))
        watching = asyncio.ensure_future(rig.watch())
        wanted = LeakTest(2, Pascal(pressure), HOUSING.fill, HOUSING.settle, HOUSING.test)
        decay = await rig.test(wanted)
        assert rate(decay, wanted) == pytest.approx(leak, abs=5.0)
        assert len(decay.time_s) == 161
        assert abs(rig.stub.gauge_pa) <= leak_tester.VENTED_PA
        assert asyncio.get_running_loop().time() < 100.0
        watching.cancel()
        assert rig.stale == 0
        assert rig.driver.damaged == rig.driver.strays == 0

    run(main)


@pytest.mark.parametrize("leak", [1e3, 240e3])
def test_a_gross_leak_is_measured_like_any_other(leak: float) -> None:
    async def main() -> None:
        decay = await Rig(GOOD._replace(leak_cm3_per_min=leak)).test(HOUSING)
        assert 0.5 * leak < rate(decay) or rate(decay) > 1e4

    run(main)


@pytest.mark.parametrize("part", [None, GOOD._replace(leak_cm3_per_min=1e9)])
def test_without_pressure_there_is_nothing_to_measure(part: Part | None) -> None:
    async def main() -> None:
        with pytest.raises(DeviceRefused, match=r"raised no pressure.*check hose"):
            await Rig(part).test()

    run(main)


def test_one_test_after_the_other() -> None:
    async def main() -> None:
        rig = Rig()
        first, second = await rig.test(), await rig.test()
        assert whole(first)
        assert whole(second)
        assert not np.array_equal(first.pressure_pa, second.pressure_pa)
        rig.driver.off()
        await asyncio.sleep(1.0)
        assert whole(await rig.test())
        assert whole(await ModbusLeakTester(rig.line.station).test(rig.lease, SHORT))

    run(main)


@pytest.mark.parametrize(
    "wanted",
    [
        LeakTest(9, Pascal(2e3), Second(2.0), Second(2.0), Second(6.0)),
        LeakTest(2, Pascal(9e5), Second(2.0), Second(2.0), Second(6.0)),
        LeakTest(2, Pascal(2e3), Second(2.0), Second(2.0), Second(6000.0)),
    ],
)
def test_settings_that_the_tester_refuses(wanted: LeakTest) -> None:
    async def main() -> None:
        rig = Rig()
        with pytest.raises(DeviceRefused, match="in the recipe"):
            await rig.test(wanted)
        assert rig.stub.gauge_pa == 0.0

    run(main)


def test_settings_that_fit_no_register_are_never_written() -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)
        with pytest.raises(DeviceRefused, match="test time"):
            await peer.driver.test(peer.lease, LeakTest(2, Pascal(2e3), Second(2.0), Second(2.0), Second(9e9)))
        assert peer.requests == []

    run(main)


def test_what_the_scripted_tester_says_is_the_decay() -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)
        decay = await peer.test()
        assert decay.time_s.tolist() == [0.5 * at for at in range(17)]
        assert decay.pressure_pa.tolist() == [2e3 - at for at in range(17)]
        assert set(decay.temperature_c.tolist()) == {23.0}
        assert set(decay.atmosphere_pa.tolist()) == {100e3}
        assert peer.written(leak_tester.TEST) == [(1,)]
        (registers,) = peer.written(leak_tester.SETTINGS)
        assert leak_tester.decode_settings(registers) == (2, 2e3, 2.0, 2.0, 6.0)

    run(main)


def _with(at: int, **values: float) -> Callable[[StatusBlock], StatusBlock]:
    """One sample is different."""

    def spoil(status: StatusBlock) -> StatusBlock:
        samples = list(status.samples)
        if status.first <= at < status.first + len(samples):
            samples[at - status.first] = samples[at - status.first]._replace(**values)
        return status._replace(samples=tuple(samples))

    return spoil


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (_with(3, pressure_pa=4e3), "pressure"),
        (_with(3, pressure_pa=-1e3), "pressure"),
        (_with(16, temperature_c=-12.0), "temperature"),
        (_with(0, atmosphere_pa=10e3), "atmosphere"),
        (
            lambda status: status._replace(taken=min(status.taken, 16), samples=status.samples[:16]),
            "16 samples instead",
        ),
    ],
)
def test_what_cannot_be_is_no_decay(status: Callable[[StatusBlock], StatusBlock], says: str) -> None:
    async def main() -> None:
        peer = Peer(status)
        with pytest.raises(ReplyInvalid, match=says):
            await peer.test()

    run(main)


def test_a_stuck_transducer_is_noticed() -> None:
    async def main() -> None:
        peer = Peer(
            lambda status: status._replace(samples=tuple(each._replace(pressure_pa=1999.0) for each in status.samples))
        )
        with pytest.raises(ReplyInvalid, match="17 samples instead of 21"):
            await peer.driver.test(peer.lease, LeakTest(2, Pascal(2e3), Second(2.0), Second(4.0), Second(6.0)))
        rig = Rig()
        rig.line.device.tamper = _same_pressure
        with pytest.raises(ReplyInvalid, match="stuck: 21 identical"):
            await rig.test(LeakTest(2, Pascal(2e3), Second(2.0), Second(4.0), Second(6.0)))

    run(main)


def _same_pressure(data: bytes) -> Iterable[tuple[float, bytes]]:
    """A status whose samples all have the same pressure."""
    if data[1:3] != bytes((Function.READ_INPUT, 2 * leak_tester.STATUS_COUNT)):
        return [(0.0, data)]
    request = modbus_rtu.read(1, Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT)
    replies = modbus_rtu.Replies()
    replies.expect(request)
    (reply,) = replies.feed(data)
    assert isinstance(reply, modbus_rtu.Reply)
    status = leak_tester.decode_status(reply.values)
    samples = tuple(each._replace(pressure_pa=1990.0) for each in status.samples)
    return [(0.0, modbus_rtu.encode_reply(request, leak_tester.encode_status(status._replace(samples=samples))))]


def test_settings_that_read_back_otherwise_are_not_tested_with() -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)

        def other(request: Request, answer: Answer) -> Answer:
            if request.function is Function.READ_HOLDING and isinstance(answer, tuple):
                return (*answer[:-1], answer[-1] + 1)
            return answer

        peer.answer = other
        with pytest.raises(ReplyInvalid, match=r"test_s=6\.1.*instead of.*test_s=6\.0"):
            await peer.test()
        assert peer.written(leak_tester.TEST) == []

    run(main)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (ExceptionCode.ILLEGAL_FUNCTION, "firmware does not fit"),
        (ExceptionCode.DEVICE_FAILURE, "failure of its own"),
        (ExceptionCode.BUSY, "still testing or venting"),
        (ExceptionCode.PARITY_ERROR, "code 8"),
    ],
)
def test_a_start_that_is_refused_is_stopped_and_said(code: ExceptionCode, says: str) -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)
        peer.answer = lambda request, answer: code if request.values == (1,) else answer
        with pytest.raises(DeviceRefused, match=says):
            await peer.test()
        await asyncio.sleep(0.1)
        assert peer.written(leak_tester.TEST) == [(1,), (0,)]

    run(main)


def test_a_start_whose_answer_is_lost_starts_one_test() -> None:
    async def main() -> None:
        rig = Rig()
        started = when(lambda data: data[1] == Function.WRITE_ONE, lost())
        rig.line.device.tamper = during(started, 6)
        assert whole(await rig.test())

    run(main)


def test_samples_that_were_lost_on_the_line_come_with_the_next_answer() -> None:
    async def main() -> None:
        rig = Rig()
        counted = iter(range(1_000_000))
        rig.line.device.tamper = when(lambda data: next(counted) % 4 == 3, lost())
        assert whole(await rig.test())

    run(main)


def test_an_answer_to_an_earlier_question_is_never_taken() -> None:
    async def main() -> None:
        rig = Rig()
        rig.line.device.tamper = late(0.35)
        with pytest.raises(DeviceTimeout):
            await rig.driver.identify(rig.lease)
        rig.line.device.tamper = None
        assert await rig.driver.identify(rig.lease) == IDENTITY
        peer = Peer(lambda status: status._replace(tag=status.tag - 1))
        with pytest.raises(DeviceTimeout):
            await peer.test()
        assert peer.driver.strays == 3
        assert peer.written(leak_tester.TEST) == []

    run(main)


def test_a_tester_that_restarts_has_lost_its_test() -> None:
    async def main() -> None:
        rig = Rig()
        asyncio.get_running_loop().call_later(5.0, rig.stub.restart)
        with pytest.raises(DeviceRestarted, match="restarted"):
            await rig.test()
        assert whole(await rig.test())

    run(main)


def test_a_test_that_was_stopped_says_so() -> None:
    async def main() -> None:
        rig = Rig()
        asyncio.get_running_loop().call_later(5.0, rig.driver.off)
        with pytest.raises(DeviceRefused, match="was stopped"):
            await rig.test()

    run(main)


@pytest.mark.parametrize("phase", [Phase.FILL, Phase.TEST, Phase.VENT])
def test_a_tester_that_hangs_in_a_phase_is_told_to_vent(phase: Phase) -> None:
    async def main() -> None:
        peer = Peer(lambda status: status._replace(phase=phase if status.test else Phase.VENTED))
        with pytest.raises(DeviceTimeout, match=f"still in phase {phase.name.lower()}"):
            await peer.test()
        waited_s = 15.0 + (20.0 if phase is Phase.VENT else 0.0)
        assert asyncio.get_running_loop().time() == pytest.approx(waited_s, abs=1.0)
        await asyncio.sleep(0.1)
        assert peer.written(leak_tester.TEST)[-1] == (0,)

    run(main)


@pytest.mark.parametrize("after_s", [1.0, 3.0, 7.0])
def test_a_test_that_is_cancelled_or_loses_its_lease_vents(after_s: float) -> None:
    async def main() -> None:
        for ended_by in ("cancelled", "revoked"):
            rig = Rig()
            testing = asyncio.ensure_future(rig.test())
            await asyncio.sleep(after_s)
            assert rig.stub.gauge_pa > 1e3
            if ended_by == "cancelled":
                testing.cancel()
            else:
                rig.leases.revoke_all()
            with pytest.raises(asyncio.CancelledError if ended_by == "cancelled" else LeaseRevoked):
                await testing
            await asyncio.sleep(5.0)
            assert abs(rig.stub.gauge_pa) <= leak_tester.VENTED_PA

    run(main)


def test_asked_off_it_vents_without_a_lease() -> None:
    async def main() -> None:
        rig = Rig()
        said: list[bytes] = []
        rig.line.tap = said.append
        rig.driver.off()
        assert [data.hex() for data in said] == ["010600020000280a"]
        rig.line.station.down = True
        rig.driver.off()

    run(main)


def test_what_is_vented_already_is_told_at_once() -> None:
    async def main() -> None:
        rig = Rig()
        for _ in range(2):
            began_s = asyncio.get_running_loop().time()
            await rig.driver.vented(rig.lease)
            assert asyncio.get_running_loop().time() - began_s < 0.1
            assert whole(await rig.test())

    run(main)


@pytest.mark.parametrize("after_s", [1.5, 2.21, 2.23, 2.43, 5.0, 9.9])
@pytest.mark.parametrize("cancelled", [True, False])
def test_after_an_abort_at_any_moment_it_is_vented_when_it_says_so(after_s: float, cancelled: bool) -> None:
    """As the owner aborts: revoked, asked off, the safety action begun, and only then the run cancelled."""

    async def main() -> None:
        rig = Rig()
        testing = asyncio.ensure_future(rig.test())
        await asyncio.sleep(after_s)
        assert abs(rig.stub.gauge_pa) > leak_tester.VENTED_PA
        rig.leases.revoke_all()
        rig.driver.off()
        lease = rig.leases.grant("leak_tester", 1.0)
        vented = asyncio.ensure_future(rig.driver.vented(lease))
        if cancelled:
            testing.cancel()
        await vented
        assert abs(rig.stub.gauge_pa) <= leak_tester.VENTED_PA
        assert lease.fresh
        # 2.2 s of venting and one look: neither has taken the other's answer.
        assert not cancelled or asyncio.get_running_loop().time() - after_s < 2.45
        with pytest.raises((asyncio.CancelledError, LeaseRevoked, DeviceRefused)):
            await testing

    run(main)


def test_venting_is_asked_and_told_in_these_bytes() -> None:
    """Answers written by hand from the tester's page; the CRC of each is added bit by bit."""

    def telegram(text: str, rest: int = 0) -> bytes:
        body = bytes.fromhex(text) + bytes(rest)
        return body + crc16_bitwise(body).to_bytes(2, "little")

    async def main() -> None:
        line, left = SimSerial("leak_tester"), list(GOLDEN["vent"])

        def take(data: bytes) -> None:
            each = left.pop(0)
            assert data == telegram(each["asked"])
            line.device.emit(telegram(each["answer"], each["rest"]), 0.01)

        line.device.listen(take)
        driver = ModbusLeakTester(line.station)
        await driver.vented(LeaseBook(asyncio.get_running_loop().time).grant("leak_tester", 1.0))
        assert left == []
        assert driver.damaged == driver.strays == 0

    run(main)


@pytest.mark.parametrize(("phase", "pressure_pa"), [(Phase.VENT, 0.0), (Phase.TEST, 2e3), (Phase.VENTED, -2e3)])
def test_what_does_not_vent_is_told_with_its_pressure(phase: Phase, pressure_pa: float) -> None:
    async def main() -> None:
        peer = Peer(lambda status: status._replace(phase=phase, pressure_pa=pressure_pa))
        with pytest.raises(DeviceTimeout, match=f"does not vent, {pressure_pa:.0f} Pa are left.*vent by hand"):
            await peer.driver.vented(peer.lease)
        assert asyncio.get_running_loop().time() == pytest.approx(20.0, abs=0.5)
        assert peer.written(leak_tester.TEST) == [(leak_tester.STOP,)]

    run(main)


@every_fault
def test_a_fault_on_the_line_never_tells_a_pressure_vented(fault: Fault) -> None:
    async def main() -> None:
        rig = Rig()
        testing = asyncio.ensure_future(rig.test())
        await asyncio.sleep(3.0)
        testing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await testing

        def right(nothing: None) -> bool:
            return abs(rig.stub.gauge_pa) <= leak_tester.VENTED_PA

        await suffer(rig.line, here(fault), lambda: rig.driver.vented(rig.lease), right)

    run(main)


def test_a_lease_that_is_revoked_commands_nothing() -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)
        peer.lease.revoked = True
        for call in (peer.driver.identify(peer.lease), peer.test(), peer.driver.vented(peer.lease)):
            with pytest.raises(LeaseRevoked):
                await call
        assert peer.requests == []

    run(main)


def test_silence_is_a_timeout_after_three_attempts() -> None:
    async def main() -> None:
        peer = Peer(lambda status: status)
        peer.answer = lambda request, answer: None
        with pytest.raises(DeviceTimeout, match="check cable"):
            await peer.driver.identify(peer.lease)
        assert asyncio.get_running_loop().time() == pytest.approx(0.6, abs=0.01)

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_identity(fault: Fault) -> None:
    async def main() -> None:
        rig = Rig()
        await suffer(rig.line, here(fault), lambda: rig.driver.identify(rig.lease), lambda text: text == IDENTITY)
        await asyncio.sleep(1.0)
        assert await rig.driver.identify(rig.lease) == IDENTITY

    run(main)


@every_fault
def test_a_fault_on_the_line_never_gives_a_wrong_decay(fault: Fault) -> None:
    async def main() -> None:
        rig = Rig()
        await suffer(rig.line, here(fault), rig.test, whole)
        await asyncio.sleep(30.0)
        assert whole(await rig.test())

    run(main)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_any_damage_gives_the_right_decay_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        rig = Rig()
        rig.line.device.tamper = tamper
        try:
            assert whole(await rig.test())
        except DeviceError:
            rig.line.device.tamper = None

    run(main)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_pieces_give_the_same(size: int) -> None:
    async def main() -> None:
        rig = Rig()
        rig.line.device.tamper = in_pieces(size, 1e-4)
        assert whole(await rig.test())
        assert rig.driver.damaged == 0

    run(main)


def test_questions_that_arrive_damaged_are_asked_again() -> None:
    async def main() -> None:
        rig = Rig()
        counted = iter(range(1_000_000))
        garble_commands(rig.line, lambda data: data[:-1] if next(counted) % 5 == 4 else data)
        assert whole(await rig.test())

    run(main)


def test_unplugged() -> None:
    async def main() -> None:
        rig = Rig()
        await suffer_unplug(rig.line, rig.test, 4.0)

    run(main)
