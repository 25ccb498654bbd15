"""The digitizer driver: against a scripted device for what goes wrong, against the stub for what goes well."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import Resistor
from bmsctl.drivers.digitizer import SerialDigitizer
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid
from bmsctl.protocols import digitizer
from bmsctl.protocols.digitizer import (
    Block,
    Command,
    Deframer,
    ErrorCode,
    Failed,
    Identity,
    Inserted,
    Mean,
    Message,
    Order,
    Restarted,
    Started,
    Stopped,
)
from firmware_stubs.digitizer import DigitizerStub
from firmware_stubs.plant import Element, Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.fake_plant import FakePlant

BYTE_S = 10 / digitizer.BAUD
R0_MINUS, R0_PLUS, REFERENCE = Resistor


class Peer:
    """A front end played by the test: `script` says what to answer to each command."""

    def __init__(self) -> None:
        self.line = SimSerial("digitizer", BYTE_S)
        self.orders: list[Order] = []
        self.script: Callable[[Order], Iterable[Message]] = lambda order: ()
        self._deframer = Deframer()
        self.line.device.listen(self._take)
        self.driver = SerialDigitizer(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("digitizer", 1.0)

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.line.device.emit(digitizer.frame(digitizer.encode_message(message)))

    def _take(self, data: bytes) -> None:
        for payload in self._deframer.feed(data):
            order = digitizer.decode_command(payload)
            assert isinstance(order, Order)
            self.orders.append(order)
            self.say(*self.script(order))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def mean_of(order: Order, volts: float = 10.0, *, over_range: int = 0) -> Mean:
    return Mean(order.sequence, order.n, over_range, (volts, -volts, 2 * volts), (0.05, 0.07, 0.06))


def block(sequence: int, first: int, samples: int = 100, *, over_range: int = 0) -> Block:
    counts = np.arange(first, first + samples, dtype=np.int16)[:, None] * np.array([1, -1, 2], dtype=np.int16)
    return Block(sequence, first, over_range, digitizer.raw_samples(counts))


def test_mean_and_identity_are_returned_and_the_lease_touched() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: (
            [mean_of(order)] if order.command is Command.MEAN else [Identity(order.sequence, "DIG3-000001", "1.0")]
        )
        await asyncio.sleep(0.9)
        assert await peer.driver.identify(peer.lease) == "DIG3-000001 firmware 1.0"
        reading = await peer.driver.mean(peer.lease, 200)
        assert (reading.v_pos, reading.v_neg, reading.v_link) == pytest.approx((10.0, -10.0, 20.0))
        assert reading.sd == pytest.approx(0.07)
        assert reading.n == 200
        await asyncio.sleep(0.9)
        assert peer.lease.fresh

    run(main)


def test_over_range_is_not_a_number() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [mean_of(order, over_range=0b101)]
        with pytest.raises(ReplyInvalid, match="v_pos, v_link"):
            await peer.driver.mean(peer.lease, 200)
        assert len(peer.orders) == 1

    run(main)


def test_a_mean_of_another_number_of_samples_is_not_taken() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [mean_of(order)._replace(n=199)]
        with pytest.raises(ReplyInvalid, match="199"):
            await peer.driver.mean(peer.lease, 200)

    run(main)


def test_an_answer_to_an_earlier_query_is_never_paired_with_this_one() -> None:
    async def main() -> None:
        peer = Peer()
        late: list[Order] = []

        def off_by_one(order: Order) -> list[Message]:
            late.append(order)
            return [mean_of(late[-2], 99.0)] if len(late) > 1 else []

        peer.script = off_by_one
        with pytest.raises(DeviceTimeout):
            await peer.driver.mean(peer.lease, 200)
        assert peer.driver.strays == 1
        peer.script = lambda order: [mean_of(late[-1], 99.0), mean_of(order)]
        assert (await peer.driver.mean(peer.lease, 200)).v_pos == pytest.approx(10.0)

    run(main)


@pytest.mark.parametrize("bad", [1, 2])
def test_a_damaged_answer_is_asked_for_once_more(bad: int) -> None:
    async def main() -> None:
        peer = Peer()
        left = [bad]

        def tamper(data: bytes) -> list[tuple[float, bytes]]:
            left[0] -= 1
            return [(0.0, data if left[0] < 0 else bytes((data[0], data[1] ^ 0x20)) + data[2:])]

        peer.line.device.tamper = tamper
        peer.script = lambda order: [mean_of(order)]
        if bad == 1:
            assert (await peer.driver.mean(peer.lease, 200)).v_pos == pytest.approx(10.0)
        else:
            with pytest.raises(ReplyInvalid, match="check"):
                await peer.driver.mean(peer.lease, 200)
        assert len(peer.orders) == 2
        assert peer.driver.damaged == bad

    run(main)


def test_silence_is_a_timeout_after_two_attempts() -> None:
    async def main() -> None:
        peer = Peer()
        with pytest.raises(DeviceTimeout, match="mean"):
            await peer.driver.mean(peer.lease, 200)
        assert len(peer.orders) == 2
        assert asyncio.get_running_loop().time() == pytest.approx(2 * (0.1 + 0.02), abs=1e-3)

    run(main)


def test_an_error_is_a_refusal_and_an_impossible_number_is_not_even_sent() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [Failed(order.sequence, order.command, ErrorCode.OUT_OF_RANGE)]
        with pytest.raises(DeviceRefused, match="1 to 10000"):
            await peer.driver.mean(peer.lease, 200)
        for n in (0, 10_001):
            with pytest.raises(DeviceRefused):
                await peer.driver.mean(peer.lease, n)
        assert len(peer.orders) == 1

    run(main)


def test_a_revoked_lease_sends_nothing_but_stop_goes_out_and_survives_a_dead_line() -> None:
    async def main() -> None:
        peer = Peer()
        peer.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await peer.driver.mean(peer.lease, 200)
        peer.driver.stop()
        await asyncio.sleep(0.01)
        assert peer.orders == [Order(Command.STOP, digitizer.OFF_SEQUENCE)]
        peer.line.station.down = True
        peer.driver.stop()
        peer.lease.revoked = False
        with pytest.raises(LinkDown):
            await peer.driver.mean(peer.lease, 200)

    run(main)


@pytest.mark.parametrize(
    ("sd_v", "n", "stuck"),
    [
        ((0.0, 0.0, 0.0), 20, "v_pos, v_neg, v_link"),
        ((0.05, 0.05, 0.0), 20, "v_link"),
        ((0.0, 0.0, 0.0), 19, None),
        ((1e-6, 1e-6, 1e-6), 200, None),
    ],
)
def test_a_mean_without_any_noise_is_stuck(sd_v: tuple[float, float, float], n: int, stuck: str | None) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [mean_of(order)._replace(sd_v=sd_v)]
        if stuck is None:
            assert (await peer.driver.mean(peer.lease, n)).n == n
        else:
            with pytest.raises(ReplyInvalid, match=f"stuck: {n} identical samples on {stuck}"):
                await peer.driver.mean(peer.lease, n)

    run(main)


def test_a_sequence_of_zero_is_kept_for_stop() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [mean_of(order)]
        for _ in range(300):
            await peer.driver.mean(peer.lease, 1)
        assert [order.sequence for order in peer.orders] == [1 + index % 255 for index in range(300)]

    run(main)


@pytest.mark.parametrize("resistor", [R0_MINUS, R0_PLUS, REFERENCE, None])
def test_insert_returns_when_the_front_end_has_confirmed_it(resistor: Resistor | None) -> None:
    async def main() -> None:
        peer = Peer()
        loop = asyncio.get_running_loop()
        inserted = frozenset() if resistor is None else frozenset({resistor})
        peer.script = lambda order: loop.call_later(0.008, peer.say, Inserted(order.sequence, inserted)) and ()
        await asyncio.sleep(0.9)
        confirmed_s = await peer.driver.insert(peer.lease, resistor)
        assert peer.orders == [Order(Command.INSERT, 1, resistor=resistor)]
        assert confirmed_s == loop.time() == pytest.approx(0.9 + 0.008, abs=15 * BYTE_S)
        await asyncio.sleep(0.9)
        assert peer.lease.fresh

    run(main)


@pytest.mark.parametrize(
    ("closed", "text"),
    [
        ({R0_MINUS}, "shows r0_minus instead of r0_plus"),
        (set(), "shows no resistor instead of r0_plus"),
        ({R0_MINUS, R0_PLUS}, r"shows r0_minus \+ r0_plus instead of r0_plus"),
    ],
)
def test_a_contact_that_disagrees_is_refused_by_name(closed: set[Resistor], text: str) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [Inserted(order.sequence, closed)]
        with pytest.raises(DeviceRefused, match=text):
            await peer.driver.insert(peer.lease, R0_PLUS)

    run(main)


def _silent(order: Order) -> list[Message]:
    return []


def _late(order: Order) -> list[Message]:
    return [Inserted(order.sequence - 1 & 0xFF, {R0_PLUS})]


def _something_else(order: Order) -> list[Message]:
    return [Stopped(order.sequence, 0)]


def _busy(order: Order) -> list[Message]:
    return [Failed(order.sequence, order.command, ErrorCode.BUSY)]


@pytest.mark.parametrize(
    ("script", "error"),
    [(_silent, DeviceTimeout), (_late, DeviceTimeout), (_something_else, ReplyInvalid), (_busy, DeviceRefused)],
)
def test_an_insertion_in_doubt_is_not_repeated(
    script: Callable[[Order], list[Message]], error: type[Exception]
) -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = script
        with pytest.raises(error):
            await peer.driver.insert(peer.lease, R0_PLUS)
        assert len(peer.orders) == 1
        peer.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await peer.driver.insert(peer.lease, R0_PLUS)
        assert len(peer.orders) == 1

    run(main)


@pytest.mark.parametrize("lost", ["resistor", "recording"])
def test_a_restart_that_lost_something_is_told_once(lost: str) -> None:
    async def main() -> None:
        peer = Peer()

        def script(order: Order) -> list[Message]:
            if order.command is Command.INSERT:
                return [Inserted(order.sequence, {R0_PLUS})]
            return [Started(order.sequence)] if order.command is Command.START else [mean_of(order)]

        peer.script = script
        if lost == "resistor":
            await peer.driver.insert(peer.lease, R0_PLUS)
        else:
            await peer.driver.start(peer.lease)
        peer.say(Restarted(0))
        await asyncio.sleep(0.01)
        before = len(peer.orders)
        with pytest.raises(DeviceRestarted):
            await peer.driver.mean(peer.lease, 200)
        assert len(peer.orders) == before
        assert (await peer.driver.mean(peer.lease, 200)).n == 200

    run(main)


def test_a_restart_during_an_insertion_is_told_and_one_that_lost_nothing_is_not() -> None:
    async def main() -> None:
        peer = Peer()
        peer.script = lambda order: [Restarted(0)]
        with pytest.raises(DeviceRestarted):
            await peer.driver.insert(peer.lease, R0_PLUS)
        peer.script = lambda order: [Inserted(order.sequence, {R0_PLUS})]
        await peer.driver.insert(peer.lease, R0_PLUS)
        peer.say(Restarted(0))
        await asyncio.sleep(0.01)
        peer.driver.stop()
        peer.script = lambda order: [mean_of(order)]
        assert (await peer.driver.mean(peer.lease, 200)).n == 200
        assert peer.driver.strays == 0

    run(main)


def _recording(peer: Peer, blocks: Callable[[int], list[Message]], sent: int) -> None:
    def script(order: Order) -> list[Message]:
        if order.command is Command.START:
            return [Started(order.sequence), *blocks(order.sequence)]
        return [Stopped(order.sequence, sent)]

    peer.script = script


def test_a_recording_is_put_together_in_volts() -> None:
    async def main() -> None:
        peer = Peer()
        _recording(peer, lambda sequence: [block(sequence, 0), block(sequence, 100), block(sequence, 200, 32)], 232)
        await peer.driver.start(peer.lease)
        await asyncio.sleep(0.1)
        recording = await peer.driver.finish(peer.lease)
        steps_v = np.arange(232) * (1000.0 / 32768)
        assert np.array_equal(recording.v_pos_v, steps_v)
        assert np.array_equal(recording.v_neg_v, -steps_v)
        assert np.array_equal(recording.v_link_v, 2 * steps_v)
        assert recording.sample_rate_hz == 10_000.0

    run(main)


@pytest.mark.parametrize(
    ("blocks", "sent", "text"),
    [
        (lambda s: [block(s, 0), block(s, 200)], 300, "missing"),
        (lambda s: [block(s, 100)], 200, "missing"),
        (lambda s: [block(s, 0)], 200, "missing"),
        (lambda s: [block(s, 0), block(s, 0)], 100, "missing"),
        (lambda s: [block(s - 1 & 0xFF, 0), block(s, 100)], 200, "missing"),
        (lambda s: [block(s, 0), block(s, 100, over_range=0b10)], 200, "v_neg"),
        (lambda s: [Block(s, 0, 0, block(s, 7, 1).raw * 100)], 100, "stuck"),
    ],
    ids=["a hole", "no first", "no last", "doubled", "of another recording", "over range", "stuck"],
)
def test_a_recording_with_a_gap_or_over_range_is_none(
    blocks: Callable[[int], list[Message]], sent: int, text: str
) -> None:
    async def main() -> None:
        peer = Peer()
        _recording(peer, blocks, sent)
        await peer.driver.start(peer.lease)
        await asyncio.sleep(0.1)
        with pytest.raises(ReplyInvalid, match=text):
            await peer.driver.finish(peer.lease)

    run(main)


def test_nothing_to_finish_is_refused_also_after_stop() -> None:
    async def main() -> None:
        peer = Peer()
        with pytest.raises(DeviceRefused):
            await peer.driver.finish(peer.lease)
        _recording(peer, lambda sequence: [], 0)
        await peer.driver.start(peer.lease)
        peer.driver.stop()
        with pytest.raises(DeviceRefused):
            await peer.driver.finish(peer.lease)

    run(main)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_split_of_what_the_device_says_gives_the_same(choose: st.DataObject) -> None:
    async def main() -> None:
        peer = Peer()

        def split(data: bytes) -> list[tuple[float, bytes]]:
            cuts = sorted(choose.draw(st.lists(st.integers(0, len(data)), max_size=5)))
            return [(0.0, data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

        peer.line.device.tamper = split
        _recording(peer, lambda sequence: [block(sequence, 0), block(sequence, 100)], 200)
        await peer.driver.start(peer.lease)
        await asyncio.sleep(0.1)
        recording = await peer.driver.finish(peer.lease)
        assert np.array_equal(recording.v_pos_v, np.arange(200) * (1000.0 / 32768))
        assert peer.driver.damaged == 0

    run(main)


class Real:
    """The driver on the stub, and a plant that remembers what was switched."""

    def __init__(self) -> None:
        self.plant = FakePlant({Node.P: 180.0, Node.N: -170.0, Node.LINK: -70.0})
        self.plant.switch(0.0, Element.DIGITIZER, True)
        self.line = SimSerial("digitizer", BYTE_S)
        self.stub = DigitizerStub(self.line.device, self.plant, 1)
        self.driver = SerialDigitizer(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant("digitizer", 1.0)


def test_with_the_stub_a_recording_has_no_gap_across_insertions() -> None:
    async def main() -> None:
        real = Real()
        await real.driver.start(real.lease)
        for resistor in (R0_MINUS, R0_PLUS, REFERENCE, None):
            await asyncio.sleep(0.1003)
            confirmed_s = await real.driver.insert(real.lease, resistor)
            moved_s = real.plant.log[-1][0]
            assert 0.001 < confirmed_s - moved_s < 0.005
        recording = await real.driver.finish(real.lease)
        assert len(recording.v_pos_v) == pytest.approx(4200, abs=150)
        assert [entry[1:] for entry in real.plant.log[1:]] == [
            ("r0_minus", True),
            ("r0_minus", False),
            ("r0_plus", True),
            ("r0_plus", False),
            ("reference", True),
            ("reference", False),
        ]

    run(main)


def test_with_the_stub_a_resistor_outlasts_a_recording_but_not_stop() -> None:
    async def main() -> None:
        real = Real()
        await real.driver.start(real.lease)
        await real.driver.insert(real.lease, R0_PLUS)
        await real.driver.finish(real.lease)
        await asyncio.sleep(0.1)
        assert real.plant.closed(Element.R0_PLUS)
        real.driver.stop()
        await asyncio.sleep(0.01)
        assert not real.plant.closed(Element.R0_PLUS)
        real.stub.relays.stuck = frozenset({R0_MINUS})
        with pytest.raises(DeviceRefused, match="no resistor instead of r0_minus"):
            await real.driver.insert(real.lease, R0_MINUS)

    run(main)


def test_with_the_stub_a_hung_converter_and_a_restart_are_found() -> None:
    async def main() -> None:
        real = Real()
        real.stub.freeze(True)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await real.driver.mean(real.lease, 200)
        await real.driver.start(real.lease)
        await asyncio.sleep(0.1)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await real.driver.finish(real.lease)
        real.stub.freeze(False)
        await real.driver.insert(real.lease, REFERENCE)
        real.stub.restart()
        await asyncio.sleep(0.5)
        assert not real.plant.closed(Element.REFERENCE)
        with pytest.raises(DeviceRestarted):
            await real.driver.mean(real.lease, 200)
        assert (await real.driver.mean(real.lease, 200)).v_pos == pytest.approx(180.0, abs=0.4)

    run(main)


def test_with_the_stub_the_first_sample_is_dated_to_a_tenth_of_a_millisecond() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        real = Real()
        driver, lease = real.driver, real.lease
        await asyncio.sleep(0.01234)
        started_s = loop.time()
        await driver.start(lease)
        await asyncio.sleep(1.0)
        recording = await driver.finish(lease)
        first_s = math.ceil((started_s + 6 * BYTE_S) * 1e4) / 1e4
        assert recording.t0_s == pytest.approx(first_s, abs=1e-4)
        assert 9_990 < len(recording.v_pos_v) < 10_020
        assert np.mean(recording.v_pos_v) == pytest.approx(180.0, abs=0.4)
        assert np.mean(recording.v_link_v) == pytest.approx(100.0, abs=0.3)
        reading = await driver.mean(lease, 500)
        assert reading.v_neg == pytest.approx(float(np.mean(recording.v_neg_v)), abs=0.02)

    run(main)
