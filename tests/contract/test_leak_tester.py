"""The leak tester's port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bmsctl.domain.ports import LeakTest, PressureDecay
from bmsctl.domain.units import Pascal, Second
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, LeaseRevoked
from tests.contract.stacking import PRESSURE, SETTLE, TEST, Stacking
from tests.contract.station import outcome_of

pytestmark = pytest.mark.stacking

VENTED_PA = 100.0
UNDER_WAY_S = 1.5
LONG = Second(60.0)


async def decay_of(station: Stacking, wanted: LeakTest | None = None) -> PressureDecay:
    decay: PressureDecay = await station.devices.leak_tester.test(
        station.lease("leak_tester"), wanted or station.leak_test
    )
    return decay


async def interrupted(station: Stacking, interrupt: Callable[[], Awaitable[None]]) -> DeviceError | LeaseRevoked:
    """How a long test ends that is interrupted once there is pressure."""
    await station.hose_on_plate()
    testing = asyncio.create_task(decay_of(station, replace(station.leak_test, test=LONG)))
    await asyncio.sleep(UNDER_WAY_S)
    assert station.gauge_pa() > PRESSURE / 2
    await interrupt()
    began_s = station.now()
    with pytest.raises((DeviceError, LeaseRevoked)) as ended:
        await testing
    assert station.now() - began_s < LONG / 2
    return ended.value


async def test_it_names_itself_always_alike(station: Stacking) -> None:
    first = await station.devices.leak_tester.identify(station.lease("leak_tester"))
    assert first.count(",") == 3
    assert await station.devices.leak_tester.identify(station.lease("leak_tester")) == first


async def test_a_decay_is_whole_and_the_part_is_vented(station: Stacking) -> None:
    await station.hose_on_plate()
    decay = await decay_of(station)
    samples = len(decay.time_s)
    assert decay.time_s[0] == 0.0
    assert decay.time_s[-1] == pytest.approx(SETTLE + TEST)
    assert np.all(np.diff(decay.time_s) > 0.0)
    for values in (decay.pressure_pa, decay.temperature_c, decay.atmosphere_pa):
        assert values.shape == (samples,)
    assert decay.pressure_pa == pytest.approx(PRESSURE, rel=0.1)
    assert np.all((decay.temperature_c > 0.0) & (decay.temperature_c < 50.0))
    assert decay.atmosphere_pa == pytest.approx(101e3, rel=0.05)
    assert abs(station.gauge_pa()) < VENTED_PA


@pytest.mark.scenario('[[defect]]\nkind = "coolant_leak"\nrate = "2000 cm3/min"\n')
async def test_a_leak_has_a_decay_that_falls(station: Stacking) -> None:
    await station.hose_on_plate()
    decay = await decay_of(station)
    assert decay.pressure_pa[-1] < decay.pressure_pa[0] - 50.0


async def test_where_nothing_is_connected_there_is_no_decay(station: Stacking) -> None:
    with pytest.raises(DeviceRefused, match="no pressure"):
        await decay_of(station)
    await station.hose_on_plate()
    await decay_of(station)


@pytest.mark.parametrize(
    "change",
    [{"channel": 0}, {"channel": 99}, {"pressure": Pascal(1e9)}, {"fill": Second(0.0)}, {"test": Second(-1.0)}],
)
async def test_what_the_tester_cannot_do_is_refused(station: Stacking, change: dict[str, float]) -> None:
    await station.hose_on_plate()
    with pytest.raises(DeviceRefused):
        await decay_of(station, replace(station.leak_test, **change))
    assert station.gauge_pa() == 0.0


async def test_off_ends_a_test_without_a_lease_and_vents(station: Stacking) -> None:
    async def off() -> None:
        station.devices.leak_tester.off()

    assert isinstance(await interrupted(station, off), DeviceRefused)
    await station.until(lambda: abs(station.gauge_pa()) < VENTED_PA)


async def test_a_revoked_lease_ends_a_test_and_only_vents(station: Stacking) -> None:
    async def revoke() -> None:
        station.leases.revoke_all()

    assert isinstance(await interrupted(station, revoke), LeaseRevoked)
    async with station.sends_nothing("leak_tester"):
        await station.until(lambda: abs(station.gauge_pa()) < VENTED_PA)


async def test_a_restart_ends_a_test_and_is_told(station: Stacking) -> None:
    restart = partial(station.far_end.disturb, "serial.restart", "leak_tester", True)
    assert isinstance(await interrupted(station, restart), DeviceRestarted)
    assert station.gauge_pa() == 0.0
    await decay_of(station)


async def test_noise_costs_time_and_never_a_sample(station: Stacking) -> None:
    await station.hose_on_plate()
    quiet = await decay_of(station)
    async with station.disturbed("serial.garbage", "leak_tester"):
        outcome = await outcome_of(decay_of(station))
    if not isinstance(outcome, DeviceError):
        assert outcome.pressure_pa == pytest.approx(quiet.pressure_pa, rel=0.02)
    await decay_of(station)


async def test_a_silent_tester_is_vented_when_it_is_back(station: Stacking) -> None:
    """Long before it would have ended its test by itself."""
    await station.hose_on_plate()
    testing = asyncio.create_task(decay_of(station, replace(station.leak_test, test=LONG)))
    await asyncio.sleep(UNDER_WAY_S)
    async with station.disturbed("serial.silent", "leak_tester"):
        with pytest.raises(DeviceError):
            await testing
    station.leases.revoke_all()
    began_s = station.now()
    await station.devices.leak_tester.vented(station.lease("leak_tester"))
    assert abs(station.gauge_pa()) < VENTED_PA
    assert station.now() - began_s < LONG / 2


async def test_a_test_that_is_cancelled_is_vented(station: Stacking) -> None:
    await station.hose_on_plate()
    testing = asyncio.create_task(decay_of(station, replace(station.leak_test, test=LONG)))
    await asyncio.sleep(UNDER_WAY_S)
    assert station.gauge_pa() > PRESSURE / 2
    testing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await testing
    await station.until(lambda: abs(station.gauge_pa()) < VENTED_PA)


async def test_a_revoked_lease_sends_nothing(station: Stacking) -> None:
    await station.hose_on_plate()
    tester, lease = station.devices.leak_tester, station.lease("leak_tester")
    await tester.identify(lease)
    station.leases.revoke_all()
    async with station.sends_nothing("leak_tester"):
        for call in (tester.identify(lease), tester.test(lease, station.leak_test)):
            with pytest.raises(LeaseRevoked):
                await call


async def test_vented_ends_a_test_and_returns_once_there_is_no_pressure(station: Stacking) -> None:
    async def vent() -> None:
        station.leases.revoke_all()
        await station.devices.leak_tester.vented(station.lease("leak_tester"))
        assert abs(station.gauge_pa()) < VENTED_PA

    assert isinstance(await interrupted(station, vent), (DeviceRefused, LeaseRevoked))
