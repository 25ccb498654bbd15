"""The nutrunner driver against the stub: many bolts beside a neighbour, restarts, and what goes wrong on the line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import Tightening
from bmsctl.domain.units import Second
from bmsctl.drivers.nutrunner import OpenProtocolNutrunner
from bmsctl.drivers.open_protocol_session import DEVICE
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LinkDown
from firmware_stubs.nutrunner import NutrunnerStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.serial_faults import Fault, Tamper, damages, every_fault, in_pieces, late, suffer, suffer_unplug

VIN, SET = "AS52000000001", 3


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 6000.0)
    assert loop.errors == []


class Bolts:
    """What the tool is put onto; counts how often each bolt is tightened."""

    def __init__(self) -> None:
        self.tightened: list[str] = []

    def tighten(self, bolt: str, parameter_set: int) -> tuple[float, float]:
        self.tightened.append(bolt)
        return 25.0, 90.0


class Bench:
    """Driver and stub on one line, and a person at the tool."""

    def __init__(self, seed: int = 1) -> None:
        self.line = SimSerial(DEVICE)
        self.bolts = Bolts()
        self.stub = NutrunnerStub(self.line.device, self.bolts, seed)
        self.driver = OpenProtocolNutrunner(self.line.station)
        self.lease = LeaseBook(asyncio.get_running_loop().time).grant(DEVICE, 1.0)

    async def tighten(self, bolt: str = "m1.1", within: float = 20.0, pulls: bool = True) -> Tightening:
        await self.driver.enable(self.lease, VIN, SET)
        if pulls:
            asyncio.get_running_loop().call_later(2.0, self.stub.pull, bolt)
        return await self.driver.result(self.lease, Second(within))


def right(got: Tightening) -> bool:
    near = got.torque == pytest.approx(25.0, rel=0.02) and got.angle == pytest.approx(90.0, abs=5.0)
    return near and got.ok and (got.vin, got.parameter_set) == (VIN, SET)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_bolts_beside_a_neighbour_are_all_different(seed: int) -> None:
    async def main() -> None:
        bench = Bench(seed)
        done = [await bench.tighten(f"m1.{number}") for number in range(60)]
        assert all(map(right, done))
        assert len({one.tightening_id for one in done}) == 60
        assert bench.bolts.tightened == [f"m1.{number}" for number in range(60)]
        assert bench.lease.fresh
        for one in done[::20]:
            assert await bench.driver.stored(bench.lease, one.tightening_id) == one

    run(main)


def test_results_that_are_not_sent_are_found_in_the_memory() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.results_lost = True
        assert right(await bench.tighten())
        with pytest.raises(DeviceTimeout, match="nothing was tightened"):
            await bench.tighten(pulls=False)
        await asyncio.sleep(0.1)
        assert not bench.stub.enabled

    run(main)


@pytest.mark.parametrize("after_s", [0.5, 3.0, 5.8, 7.0])
def test_a_restart_of_the_controller_loses_no_bolt(after_s: float) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        asyncio.get_running_loop().call_later(after_s, bench.stub.restart)
        try:
            assert right(await bench.tighten(within=30.0))
        except DeviceRestarted:
            assert bench.bolts.tightened == []
            assert not bench.stub.enabled
            assert right(await bench.tighten())
        assert len(bench.bolts.tightened) == 1

    run(main)


def test_a_tightening_under_way_when_the_tool_is_stopped_is_found_afterwards() -> None:
    async def main() -> None:
        bench = Bench()
        task = asyncio.ensure_future(bench.tighten())
        await asyncio.sleep(2.5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        again = OpenProtocolNutrunner(bench.line.station)
        before = await again.newest_id(bench.lease)
        assert bench.bolts.tightened == []
        await again.stop(bench.lease)
        assert bench.bolts.tightened == ["m1.1"]
        found = [
            await again.stored(bench.lease, made) for made in range(before, await again.newest_id(bench.lease) + 1)
        ]
        assert [one.vin for one in found if one is not None].count(VIN) == 1

    run(main)


@every_fault
def test_faults_of_the_line(fault: Fault) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        allowed = (*fault.raises, DeviceRefused, DeviceRestarted) if fault.raises else ()
        await suffer(bench.line, replace(fault, raises=allowed), bench.tighten, right)

    run(main)


@pytest.mark.parametrize("tamper", [in_pieces(1), in_pieces(7, 0.005), late(0.3)])
def test_slow_and_in_pieces(tamper: Tamper) -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.device.tamper = tamper
        assert right(await bench.tighten())

    run(main)


@given(tamper=damages())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_to_the_bytes_a_bolt_is_right_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        bench.line.device.tamper = tamper
        with contextlib.suppress(DeviceError):
            assert right(await bench.tighten())
        bench.line.device.tamper = None
        await asyncio.sleep(10.0)
        assert right(await bench.tighten("m1.2"))
        assert bench.bolts.tightened.count("m1.2") == 1

    run(main)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 3.0])
def test_unplugged(after_s: float) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.driver.identify(bench.lease)
        await suffer_unplug(bench.line, bench.tighten, after_s)
        bench.line.station.down = False
        with pytest.raises(LinkDown, match="start the run anew"):
            await bench.tighten()

    run(main)
