"""The 12 V supply's driver: pinned bytes, and against the stub with everything that goes wrong on a serial line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.drivers.lv_supply import DEVICE, ScpiLvSupply
from bmsctl.errors import (
    DeviceError,
    DeviceRefused,
    DeviceRestarted,
    DeviceTimeout,
    LeaseRevoked,
    ReplyInvalid,
)
from firmware_stubs.lv_supply import LvSupplyStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.dialogue import Player, dialogues
from tests.support.serial_faults import (
    Fault,
    Tamper,
    damages,
    every_fault,
    every_malformed_number,
    fields_changed,
    frozen,
    garble_commands,
    suffer,
    suffer_unplug,
    when,
)

DIALOGUES = dialogues("lv_supply")
LOW, HIGH = Ampere(0.01), Ampere(10.0)
CURRENTS, ALL = (0, 3), range(6)
"""Fields of a reading: current, voltage, power, and the three again."""


class Load:
    """Draws a constant current while it is fed."""

    def __init__(self, amps: float) -> None:
        self.amps = amps
        self.fed: list[bool] = []

    def mean_supply_current_a(self, from_s: float, to_s: float) -> float:
        return self.amps if self.fed and self.fed[-1] else 0.0


class Bench:
    """Driver and stub on one line."""

    def __init__(self, amps: float, seed: int = 1) -> None:
        self.line = SimSerial(DEVICE)
        self.load = Load(amps)
        self.stub = LvSupplyStub(self.line.device, self.load, seed, on_output=self.load.fed.append)
        self.driver = ScpiLvSupply(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)

    async def begin(self) -> Bench:
        await self.driver.identify(self.lease)
        await self.on()
        return self

    async def on(self) -> None:
        await self.driver.on(self.lease, Volt(13.5), Ampere(2.0))

    async def current(self, over: float = 1.0) -> Ampere:
        return await self.driver.current(self.lease, LOW, Second(over))


def right(amps: float) -> bool:
    return amps == pytest.approx(0.8e-3, rel=0.02, abs=20e-6)


def is_reading(answer: bytes) -> bool:
    """Whether an answer holds current, voltage and power, and their copies."""
    return answer.count(b";") == 11


def run(test: Callable[[], Awaitable[None]], until_s: float = 600.0) -> None:
    loop = new_loop()
    loop.run_until(test(), until_s)
    assert loop.errors == []


@pytest.mark.parametrize("name", ["identify", "on", "current", "off"])
def test_the_bytes_are_those_of_the_manual(name: str) -> None:
    async def main() -> None:
        line = SimSerial(DEVICE)
        player = Player(line)
        driver = ScpiLvSupply(line.station)
        lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)
        player.play(*([DIALOGUES["on"]] if name == "current" else []), DIALOGUES[name])
        if name == "identify":
            assert await driver.identify(lease) == "Keysight Technologies,N6951A,MY59000217,B.04.02"
        elif name == "on":
            await driver.on(lease, Volt(13.5), Ampere(2.0))
        elif name == "current":
            await driver.on(lease, Volt(13.5), Ampere(2.0))
            assert await driver.current(lease, LOW, Second(10.0)) == 8.012345e-4
        else:
            driver.off()
            await asyncio.sleep(0.1)
        assert player.finished, player.unexpected

    run(main)


def test_on_feeds_the_load_and_a_mean_current_takes_its_time_without_going_stale() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = await Bench(0.8e-3).begin()
        assert bench.load.fed == [True]
        started_s = loop.time()
        stale_s: list[float] = []
        watch = loop.create_task(_note_staleness(bench, stale_s))
        assert right(await bench.current(10.0))
        watch.cancel()
        assert stale_s == []
        assert 10.0 < loop.time() - started_s < 10.5
        bench.load.amps = 0.3
        assert await bench.driver.current(bench.lease, HIGH, Second(0.5)) == pytest.approx(0.3, rel=0.02)

    run(main)


async def _note_staleness(bench: Bench, stale_s: list[float]) -> None:
    while True:
        if not bench.lease.fresh:
            stale_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)


def test_off_takes_effect_at_once_even_while_a_current_is_averaged() -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        task = asyncio.get_running_loop().create_task(bench.current(10.0))
        await asyncio.sleep(2.0)
        bench.lease.revoked = True
        bench.driver.off()
        await asyncio.sleep(0.1)
        assert bench.load.fed == [True, False]
        with pytest.raises(LeaseRevoked):
            await task
        with pytest.raises(LeaseRevoked):
            await bench.on()
        assert bench.load.fed == [True, False]

    run(main)


def test_off_survives_a_dead_line() -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        bench.line.station.down = True
        bench.driver.off()

    run(main)


def test_over_range_is_no_number() -> None:
    async def main() -> None:
        bench = await Bench(0.05).begin()
        with pytest.raises(ReplyInvalid, match=r"over the 0\.01 A range"):
            await bench.current()

    run(main)


@pytest.mark.parametrize(("range_a", "over"), [(0.1, 1.0), (20.0, 1.0), (0.01, 60.0), (0.01, 0.0)])
def test_what_the_supply_cannot_measure_is_an_error_before_it_measures(range_a: float, over: float) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        with pytest.raises((DeviceRefused, ReplyInvalid)):
            await bench.driver.current(bench.lease, Ampere(range_a), Second(over))

    run(main, 5.0)


def test_a_short_is_seen_in_the_voltage() -> None:
    async def main() -> None:
        bench = Bench(30.0)
        with pytest.raises(ReplyInvalid, match="look for a short"):
            await bench.on()

    run(main)


@every_fault
def test_faults_of_the_line_while_a_current_is_measured(fault: Fault) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        await suffer(bench.line, fault, bench.current, right)

    run(main)


@every_fault
def test_faults_of_the_line_while_it_is_switched_on_never_switch_it_on_twice(fault: Fault) -> None:
    async def main() -> None:
        bench = Bench(0.8e-3)
        heard: list[bytes] = []
        garble_commands(bench.line, lambda data: heard.append(data) or data)  # type: ignore[func-returns-value]
        await bench.driver.identify(bench.lease)
        await suffer(bench.line, fault, bench.on, lambda value: bench.stub.output)
        assert sum(b":OUTP ON" in data for data in heard) <= 1

    run(main)


@given(tamper=damages())
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_the_bytes_a_current_is_right_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        fault = Fault("damage", lambda: tamper, (ReplyInvalid, DeviceTimeout, DeviceRefused, DeviceRestarted))
        await suffer(bench.line, fault, bench.current, right)

    run(main)


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_garbled_command_is_a_right_value_or_an_error(at: int) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        garble_commands(bench.line, lambda data: data[:at] + b"\x15" + data[at + 1 :])
        with contextlib.suppress(ReplyInvalid, DeviceTimeout, DeviceRefused):
            assert right(await bench.current())

    run(main)


@every_malformed_number
def test_what_is_no_number_is_never_a_current(text: bytes) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        bench.line.device.tamper = when(is_reading, fields_changed(CURRENTS, lambda _: text))
        with pytest.raises((ReplyInvalid, DeviceTimeout)):
            await bench.current()

    run(main)


@pytest.mark.parametrize("text", [b"+9.900000E+37", b"-9.900000E+37"])
def test_infinity_is_never_a_current(text: bytes) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        bench.line.device.tamper = when(is_reading, fields_changed(CURRENTS, lambda _: text))
        with pytest.raises(ReplyInvalid, match="over"):
            await bench.current()

    run(main)


@pytest.mark.parametrize("fields", [CURRENTS, ALL], ids=["current", "all"])
@pytest.mark.parametrize("range_a", [LOW, HIGH])
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_a_slip_of_the_prefix_is_noticed(fields: Sequence[int], range_a: Ampere, factor: float) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        slip = fields_changed(fields, lambda number: f"{float(number) * factor:+.6E}".encode("ascii"))
        bench.line.device.tamper = when(is_reading, slip)
        with pytest.raises(ReplyInvalid, match=r"implausible|instead of"):
            await bench.driver.current(bench.lease, range_a, Second(1.0))

    run(main)


@pytest.mark.parametrize("amps", [0.0, 1e-6, 0.8e-3, 9e-3])
def test_even_a_small_current_is_read_in_any_range(amps: float) -> None:
    async def main() -> None:
        bench = await Bench(amps).begin()
        for range_a in (LOW, HIGH):
            seen = await bench.driver.current(bench.lease, range_a, Second(1.0))
            assert seen == pytest.approx(amps, rel=0.02, abs=25e-6)

    run(main)


def test_a_current_at_another_voltage_is_none() -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        bench.load.amps = 5.0
        with pytest.raises(ReplyInvalid, match=r"instead of 13\.5 V"):
            await bench.driver.current(bench.lease, HIGH, Second(1.0))

    run(main)


def test_readings_that_do_not_move_are_stuck_and_those_of_the_supply_are_not() -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        for _ in range(30):
            await bench.current(0.1)
        bench.line.device.tamper = when(is_reading, frozen(count=6))
        await bench.current(0.1)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await bench.current(0.1)

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.5, 1.2])
def test_unplugged(after_s: float) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        await suffer_unplug(bench.line, bench.current, after_s)

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.1, 0.19, 0.5, 1.2])
def test_a_silent_restart_is_noticed_whenever_it_happens(after_s: float) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        asyncio.get_running_loop().call_later(after_s, bench.stub.restart)
        with pytest.raises(DeviceError) as raised:
            await bench.current()
        assert isinstance(raised.value, DeviceRestarted | DeviceTimeout)
        assert bench.load.fed[-1] is False
        try:
            await bench.on()
        except DeviceRestarted:
            await bench.on()
        assert right(await bench.current())

    run(main)


@pytest.mark.parametrize("wanted", [True, False])
def test_after_a_restart_the_output_is_what_it_was_asked_to_be(wanted: bool) -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        if not wanted:
            bench.driver.off()
            await asyncio.sleep(0.1)
        bench.stub.restart()
        await bench.driver.identify(bench.lease)
        assert bench.stub.output is wanted
        if wanted:
            assert right(await bench.current())

    run(main)


def test_a_restart_whose_notice_is_lost_on_the_line_is_still_noticed() -> None:
    async def main() -> None:
        bench = await Bench(0.8e-3).begin()
        bench.stub.restart()
        lost = [True]

        def lose_first(data: bytes) -> list[tuple[float, bytes]]:
            return [] if lost and lost.pop() else [(0.0, data)]

        bench.line.device.tamper = lose_first
        with pytest.raises(DeviceTimeout):
            await bench.current()
        with pytest.raises(ReplyInvalid, match=":OUTP was set to 1 and reads 0"):
            await bench.current()

    run(main)
