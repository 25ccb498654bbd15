"""The digitizer front end as a device: raw frames to its serial line, a plant at its inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bmsctl.domain.ports import Resistor
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
)
from firmware_stubs.digitizer import Converter, DigitizerStub
from firmware_stubs.plant import Element, Node
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.fake_plant import FakePlant

BYTE_S = 10 / digitizer.BAUD
POLES = {Node.P: 180.0, Node.N: -170.0, Node.LINK: -70.0}


class Step(FakePlant):
    """P steps from 0 to 300 V at 1 s."""

    def waveform(self, t_s: NDArray[np.float64], a: Node, b: Node) -> NDArray[np.float64]:
        return np.where(t_s >= 1.0, 300.0, 0.0) if a is Node.P else np.zeros(len(t_s))


class Station:
    """Sends raw commands, remembers every message and when it came."""

    def __init__(self, plant: FakePlant | None = None, seed: int = 1, *, routed: bool = True) -> None:
        self.plant = plant or FakePlant(dict(POLES))
        self.plant.switch(0.0, Element.DIGITIZER, routed)
        self.line = SimSerial("digitizer", BYTE_S)
        self.stub = DigitizerStub(self.line.device, self.plant, seed)
        self.heard: list[tuple[float, Message]] = []
        self._deframer = Deframer()
        self.line.station.attach(self._take)

    def send(self, command: Command, sequence: int, n: int = 0, resistor: Resistor | None = None) -> None:
        order = Order(command, sequence, n, resistor)
        self.line.station.write(digitizer.frame(digitizer.encode_command(order)))

    def messages(self) -> list[Message]:
        return [message for _, message in self.heard]

    def _take(self, data: bytes, t_s: float) -> None:
        for payload in self._deframer.feed(data):
            message = digitizer.decode_message(payload)
            assert message is not None
            self.heard.append((t_s, message))


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 60.0)
    assert loop.errors == []


def blocks(station: Station) -> list[Block]:
    return [message for message in station.messages() if isinstance(message, Block)]


def test_it_identifies_itself() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.IDENTIFY, 7)
        await asyncio.sleep(0.1)
        assert station.messages() == [Identity(7, "DIG3-000017", "1.4.2")]

    run(main)


def test_a_mean_takes_its_samples_and_one_millisecond_and_is_within_the_error_of_the_front_end() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.MEAN, 8, 1000)
        await asyncio.sleep(0.2)
        ((t_s, mean),) = station.heard
        assert isinstance(mean, Mean)
        assert 0.100 <= t_s <= 0.103
        assert (mean.sequence, mean.n, mean.over_range) == (8, 1000, 0)
        for read_v, true_v in zip(mean.mean_v, (180.0, -170.0, 100.0), strict=True):
            assert read_v == pytest.approx(true_v, abs=4 * (5e-4 * abs(true_v) + 0.02))
        assert all(0.045 < sd_v < 0.056 for sd_v in mean.sd_v)

    run(main)


def test_pole_inputs_are_dead_while_not_routed_and_the_link_is_not() -> None:
    async def main() -> None:
        station = Station(routed=False)
        station.send(Command.MEAN, 8, 100)
        await asyncio.sleep(0.1)
        mean = station.messages()[0]
        assert isinstance(mean, Mean)
        assert mean.mean_v[:2] == pytest.approx((0.0, 0.0), abs=0.1)
        assert mean.mean_v[2] == pytest.approx(100.0, abs=0.3)

    run(main)


@pytest.mark.parametrize(("volts", "channels"), [(1010.0, 0b001), (-1010.0, 0b001), (990.0, 0)])
def test_an_input_beyond_its_range_is_marked(volts: float, channels: int) -> None:
    async def main() -> None:
        station = Station(FakePlant({Node.P: volts}))
        station.send(Command.MEAN, 8, 10)
        station.send(Command.START, 9)
        await asyncio.sleep(0.1)
        mean = next(message for message in station.messages() if isinstance(message, Mean))
        assert mean.over_range == channels
        assert {block.over_range for block in blocks(station)} == {channels}

    run(main)


def test_a_recording_is_gapless_in_blocks_of_10_ms_and_ends_with_what_is_left() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.START, 9)
        await asyncio.sleep(0.1052)
        station.send(Command.STOP, 10)
        await asyncio.sleep(0.1)
        got = blocks(station)
        assert [block.first for block in got] == [100 * index for index in range(11)]
        assert [block.samples for block in got[:-1]] == [100] * 10
        assert {block.sequence for block in got} == {9}
        assert station.messages()[-1] == digitizer.Stopped(10, 1000 + got[-1].samples)
        assert got[-1].samples in (51, 52, 53)
        arrivals_s = [t_s for t_s, message in station.heard if isinstance(message, Block)]
        assert np.diff(arrivals_s[:10]) == pytest.approx(0.010, abs=1e-5)

    run(main)


def test_a_start_while_streaming_begins_anew_and_a_late_stop_is_answered_the_same() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.START, 1)
        await asyncio.sleep(0.055)
        station.send(Command.START, 2)
        await asyncio.sleep(0.055)
        station.send(Command.STOP, 3)
        await asyncio.sleep(0.1)
        station.send(Command.STOP, 4)
        await asyncio.sleep(0.1)
        second = [block for block in blocks(station) if block.sequence == 2]
        assert second[0].first == 0
        samples = second[-1].first + second[-1].samples
        assert station.messages()[-2:] == [digitizer.Stopped(3, samples), digitizer.Stopped(4, samples)]

    run(main)


def test_a_step_passes_the_low_pass_of_160_us() -> None:
    plant = Step()
    plant.switch(0.0, Element.DIGITIZER, True)
    step_v = Converter(plant, 1, 0.0).counts(9_990, 40)[:, 0] * digitizer.LSB_V
    assert np.allclose(step_v[:10], 0.0, atol=0.4)
    after_s = (np.arange(30) + 1) * 1e-4
    assert np.allclose(step_v[10:], 300.0 * (1.0 - np.exp(-after_s / 160e-6)), atol=0.6)


def test_a_sample_is_the_same_whoever_asks_and_whenever() -> None:
    plant = FakePlant(dict(POLES))
    plant.switch(0.0, Element.DIGITIZER, True)
    whole = Converter(plant, 5, 0.0).counts(1000, 500)
    pieces = Converter(plant, 5, 0.0)
    late = pieces.counts(1300, 200)
    early = pieces.counts(1000, 300)
    assert np.array_equal(whole, np.concatenate((early, late)))
    assert not np.array_equal(whole, Converter(plant, 6, 0.0).counts(1000, 500))


def test_what_it_cannot_do_it_says_and_damage_it_ignores() -> None:
    async def main() -> None:
        station = Station()
        station.line.station.write(digitizer.frame(bytes((0x33, 5))))
        await asyncio.sleep(0.01)
        station.send(Command.MEAN, 6, 0)
        await asyncio.sleep(0.01)
        damaged = bytearray(digitizer.frame(bytes((0x01, 7))))
        damaged[1] ^= 0x10
        station.line.station.write(bytes(damaged))
        await asyncio.sleep(0.01)
        station.send(Command.IDENTIFY, 8)
        await asyncio.sleep(0.1)
        assert station.messages() == [
            Failed(5, 0x33, ErrorCode.UNKNOWN_COMMAND),
            Failed(6, 0x02, ErrorCode.OUT_OF_RANGE),
            Identity(8, "DIG3-000017", "1.4.2"),
        ]

    run(main)


def test_a_restart_ends_recording_mean_and_resistor_and_says_so() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.INSERT, 1, resistor=Resistor.REFERENCE)
        station.send(Command.START, 2)
        await asyncio.sleep(0.05)
        station.send(Command.MEAN, 3, 1000)
        station.send(Command.INSERT, 4)
        await asyncio.sleep(0.001)
        station.stub.restart()
        await asyncio.sleep(0.002)  # what was on the line
        heard = len(station.heard)
        station.send(Command.IDENTIFY, 5)
        await asyncio.sleep(0.3)
        assert len(station.heard) == heard
        assert station.plant.log[-1][1:] == ("reference", False)
        await asyncio.sleep(0.2)
        station.send(Command.STOP, 6)
        await asyncio.sleep(0.1)
        assert station.messages()[heard:] == [Restarted(0), digitizer.Stopped(6, 0)]

    run(main)


def test_a_hung_converter_repeats_its_newest_sample() -> None:
    async def main() -> None:
        station = Station()
        await asyncio.sleep(0.05)
        station.stub.freeze(True)
        station.send(Command.START, 2)
        await asyncio.sleep(0.05)
        assert len({block.raw[:6] for block in blocks(station)}) == 1
        assert {len(set(block.raw)) for block in blocks(station)} == {len(set(blocks(station)[0].raw[:6]))}

    run(main)


def test_stop_with_sequence_zero_drops_the_resistor_and_another_does_not() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.INSERT, 1, resistor=Resistor.R0_PLUS)
        await asyncio.sleep(0.02)
        station.send(Command.STOP, 2)
        await asyncio.sleep(0.02)
        assert station.plant.closed(Element.R0_PLUS)
        station.send(Command.STOP, digitizer.OFF_SEQUENCE)
        await asyncio.sleep(0.02)
        assert not station.plant.closed(Element.R0_PLUS)
        assert station.messages() == [
            Inserted(1, {Resistor.R0_PLUS}),
            digitizer.Stopped(2, 0),
            digitizer.Stopped(0, 0),
        ]

    run(main)


def test_an_insertion_while_one_is_under_way_is_refused() -> None:
    async def main() -> None:
        station = Station()
        station.send(Command.INSERT, 1, resistor=Resistor.R0_PLUS)
        station.send(Command.INSERT, 2, resistor=Resistor.R0_MINUS)
        await asyncio.sleep(0.1)
        assert station.messages() == [
            Failed(2, 0x10, ErrorCode.BUSY),
            Inserted(1, {Resistor.R0_PLUS}),
        ]

    run(main)
