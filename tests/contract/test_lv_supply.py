"""The 12 V supply's port."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid
from tests.contract.station import SUPPLY, SUPPLY_LIMIT, Station

WIDE, NARROW = Ampere(10.0), Ampere(0.01)
BRIEFLY = Second(0.2)


async def current(station: Station, range_a: Ampere = WIDE, over: Second = BRIEFLY) -> Ampere:
    return await station.devices.lv_supply.current(station.lease("lv_supply"), range_a, over)


async def on(station: Station, voltage: Volt = SUPPLY, limit: Ampere = SUPPLY_LIMIT) -> None:
    await station.devices.lv_supply.on(station.lease("lv_supply"), voltage, limit)


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.lv_supply.identify(station.lease("lv_supply"))
    assert first.count(",") == 3
    assert await station.devices.lv_supply.identify(station.lease("lv_supply")) == first


async def test_on_wakes_the_pack_and_off_ends_it_without_a_lease(station: Station) -> None:
    await station.awake()
    station.leases.revoke_all()
    station.devices.lv_supply.off()
    await station.devices.bms.silent(station.lease("bms"), Second(3.0))


async def test_the_pack_draws_more_awake_than_nothing(station: Station) -> None:
    await on(station)
    idle_a = await current(station)
    await station.awake()
    assert await current(station) > idle_a + 0.05
    assert abs(idle_a) < 0.05


async def test_a_mean_takes_as_long_as_was_asked_for(station: Station) -> None:
    await on(station)
    began_s = station.now()
    await current(station, over=Second(0.5))
    assert station.now() - began_s >= 0.5


async def test_over_range_is_no_current(station: Station) -> None:
    await station.awake()
    with pytest.raises(ReplyInvalid, match="range"):
        await current(station, NARROW)
    assert await current(station) > 0.05


async def test_without_output_no_current_is_told(station: Station) -> None:
    with pytest.raises(ReplyInvalid):
        await current(station)
    await on(station)
    await current(station)
    station.devices.lv_supply.off()
    with pytest.raises(ReplyInvalid):
        await current(station)


@pytest.mark.parametrize(("voltage", "limit"), [(1000.0, 8.0), (-1.0, 8.0), (13.5, 1000.0), (13.5, -1.0)])
async def test_what_the_supply_cannot_be_set_to_is_refused(station: Station, voltage: float, limit: float) -> None:
    with pytest.raises(DeviceRefused):
        await on(station, Volt(voltage), Ampere(limit))
    with pytest.raises(ReplyInvalid):
        await current(station)


@pytest.mark.parametrize(("range_a", "over_s"), [(1000.0, 0.2), (10.0, 3600.0), (10.0, 0.0)])
async def test_a_range_or_mean_the_supply_does_not_have_is_refused(
    station: Station, range_a: float, over_s: float
) -> None:
    await on(station)
    with pytest.raises(DeviceRefused):
        await current(station, Ampere(range_a), Second(over_s))


async def test_a_restart_is_told_and_its_output_comes_back_as_it_was(station: Station) -> None:
    await station.devices.lv_supply.identify(station.lease("lv_supply"))
    await on(station)
    await station.far_end.disturb("serial.restart", "lv_supply", True)
    with pytest.raises(DeviceRestarted):
        await current(station)
    await station.devices.lv_supply.identify(station.lease("lv_supply"))
    await current(station)


@pytest.mark.parametrize("fault", ["serial.malformed", "serial.prefix"])
async def test_a_number_that_cannot_be_is_never_returned(station: Station, fault: str) -> None:
    await station.awake()
    async with station.disturbed(fault, "lv_supply"):
        with pytest.raises(ReplyInvalid):
            await current(station)


async def test_a_meter_that_hangs_is_not_believed_twice(station: Station) -> None:
    await station.awake()
    async with station.disturbed("serial.frozen", "lv_supply"):
        await current(station)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await current(station)


async def test_a_lease_revoked_meanwhile_ends_the_measurement(station: Station) -> None:
    await on(station)
    measuring = asyncio.create_task(current(station, over=Second(1.0)))
    await asyncio.sleep(0.5)
    station.leases.revoke_all()
    with pytest.raises(LeaseRevoked):
        await measuring


async def test_off_is_obeyed_after_a_silence(station: Station) -> None:
    await on(station)
    async with station.disturbed("serial.silent", "lv_supply"):
        with pytest.raises(DeviceTimeout):
            await current(station)
    station.devices.lv_supply.off()
    with pytest.raises(ReplyInvalid):
        await current(station)
