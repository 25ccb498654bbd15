"""The withstand tester's port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bmsctl.domain.ports import Route, WithstandReading
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from tests.contract.calls import WITHSTAND
from tests.contract.station import Station

POOR = '[[defect]]\nkind = "insulation"\nside = "positive"\nresistance = "100 kOhm"\nwhere = "outer"\n'
VOLTAGE, RAMP, HOLD, TRIP = WITHSTAND
BELOW_LEAKAGE = Ampere(0.001)
LONG = Second(20.0)
UNDER_WAY_S = 2.0


async def onto_poles(station: Station) -> None:
    await station.onto_testers(Route.WITHSTAND_TESTER)


async def withstood(
    station: Station, voltage: Volt = VOLTAGE, hold: Second = HOLD, trip: Ampere = TRIP
) -> WithstandReading:
    return await station.devices.withstand_tester.test(station.lease("withstand_tester"), voltage, RAMP, hold, trip)


async def interrupted(station: Station, interrupt: Callable[[], Awaitable[None]]) -> DeviceError | LeaseRevoked:
    """How a long test ends that is interrupted once it is under way."""
    testing = asyncio.create_task(withstood(station, hold=LONG))
    await asyncio.sleep(UNDER_WAY_S)
    assert not testing.done()
    await interrupt()
    began_s = station.now()
    with pytest.raises((DeviceError, LeaseRevoked)) as ended:
        await testing
    assert station.now() - began_s < LONG / 2
    return ended.value


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.withstand_tester.identify(station.lease("withstand_tester"))
    assert first.count(",") == 3
    assert await station.devices.withstand_tester.identify(station.lease("withstand_tester")) == first


async def test_a_pack_that_withstands_is_told_with_voltage_and_leakage(station: Station) -> None:
    await onto_poles(station)
    reading = await withstood(station)
    assert not reading.tripped
    assert reading.voltage == pytest.approx(VOLTAGE, rel=0.06)
    assert 0.0 <= reading.current < TRIP


async def test_ramp_and_hold_last_as_long_as_was_asked_for(station: Station) -> None:
    await onto_poles(station)
    began_s = station.now()
    await withstood(station, hold=Second(1.0))
    assert station.now() - began_s >= RAMP + 1.0


@pytest.mark.scenario(POOR)
async def test_a_trip_is_a_result(station: Station) -> None:
    await onto_poles(station)
    reading = await withstood(station, trip=BELOW_LEAKAGE)
    assert reading.tripped
    assert reading.current >= 0.9 * BELOW_LEAKAGE
    assert 0.0 < reading.voltage <= 1.06 * VOLTAGE


async def test_without_contact_there_is_no_result(station: Station) -> None:
    await onto_poles(station)
    async with station.disturbed("tester.contact", "withstand_tester"):
        with pytest.raises(ReplyInvalid, match="contact"):
            await withstood(station)
    assert not (await withstood(station)).tripped


async def test_without_the_plc_there_is_no_voltage(station: Station) -> None:
    with pytest.raises(DeviceRefused, match="Interlock"):
        await withstood(station)


async def test_when_the_plc_takes_its_enable_away_there_is_no_voltage(station: Station) -> None:
    await onto_poles(station)
    station.devices.plc.drop_permit()
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused):
        await withstood(station)


@pytest.mark.parametrize("voltage", [1e6, 0.0, -500.0])
async def test_a_voltage_the_tester_does_not_have_is_refused(station: Station, voltage: float) -> None:
    await onto_poles(station)
    with pytest.raises(DeviceRefused):
        await withstood(station, Volt(voltage))


async def test_off_ends_a_test_without_a_lease(station: Station) -> None:
    await onto_poles(station)

    async def off() -> None:
        station.devices.withstand_tester.off()

    assert isinstance(await interrupted(station, off), DeviceRefused)


async def test_an_e_stop_ends_a_test(station: Station) -> None:
    await onto_poles(station)
    error = await interrupted(station, partial(station.far_end.disturb, "safety.estop", "plc", True))
    assert isinstance(error, DeviceRefused)


async def test_a_revoked_lease_ends_a_test(station: Station) -> None:
    await onto_poles(station)

    async def revoke() -> None:
        station.leases.revoke_all()

    assert isinstance(await interrupted(station, revoke), LeaseRevoked)


async def test_a_restart_ends_a_test_and_is_told(station: Station) -> None:
    await onto_poles(station)
    await station.devices.withstand_tester.identify(station.lease("withstand_tester"))
    restart = partial(station.far_end.disturb, "serial.restart", "withstand_tester", True)
    assert isinstance(await interrupted(station, restart), DeviceRestarted)


@pytest.mark.parametrize("fault", ["serial.malformed", "serial.prefix"])
async def test_a_number_that_cannot_be_is_never_returned(station: Station, fault: str) -> None:
    await onto_poles(station)
    async with station.disturbed(fault, "withstand_tester"):
        with pytest.raises(ReplyInvalid):
            await withstood(station)
