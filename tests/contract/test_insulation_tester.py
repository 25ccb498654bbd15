"""The insulation tester's port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from bmsctl.domain.ports import InsulationReading, Route
from bmsctl.domain.units import Second, Volt
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from tests.contract.calls import INSULATION
from tests.contract.station import Station

POOR = '[[defect]]\nkind = "insulation"\nside = "positive"\nresistance = "100 kOhm"\nwhere = "outer"\n'
LONG = Second(20.0)
UNDER_WAY_S = 2.0


async def onto_poles(station: Station) -> None:
    await station.onto_testers(Route.INSULATION_TESTER)


async def measured(
    station: Station, voltage: Volt = INSULATION[0], duration: Second = INSULATION[1]
) -> InsulationReading:
    tester = station.devices.insulation_tester
    return await tester.measure(station.lease("insulation_tester"), voltage, duration)


async def interrupted(station: Station, interrupt: Callable[[], Awaitable[None]]) -> DeviceError | LeaseRevoked:
    """How a long measurement ends that is interrupted once it is under way."""
    measuring = asyncio.create_task(measured(station, duration=LONG))
    await asyncio.sleep(UNDER_WAY_S)
    assert not measuring.done()
    await interrupt()
    began_s = station.now()
    with pytest.raises((DeviceError, LeaseRevoked)) as ended:
        await measuring
    assert station.now() - began_s < LONG / 2
    return ended.value


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.insulation_tester.identify(station.lease("insulation_tester"))
    assert first.count(",") == 3
    assert await station.devices.insulation_tester.identify(station.lease("insulation_tester")) == first


async def test_the_pack_is_measured_at_the_voltage_asked_for(station: Station) -> None:
    await onto_poles(station)
    reading = await measured(station)
    assert reading.voltage == pytest.approx(INSULATION[0], rel=0.1)
    assert reading.ohm > 1e6


async def test_the_voltage_lasts_as_long_as_was_asked_for(station: Station) -> None:
    await onto_poles(station)
    began_s = station.now()
    await measured(station, duration=Second(1.0))
    assert station.now() - began_s >= 1.0


@pytest.mark.scenario(POOR)
async def test_poor_insulation_is_a_reading(station: Station) -> None:
    await onto_poles(station)
    reading = await measured(station)
    assert not reading.over_range
    assert reading.ohm == pytest.approx(100e3, rel=0.15)


async def test_without_contact_there_is_no_reading(station: Station) -> None:
    await onto_poles(station)
    async with station.disturbed("tester.contact", "insulation_tester"):
        with pytest.raises(ReplyInvalid, match="contact"):
            await measured(station)
    assert (await measured(station)).ohm > 1e6


async def test_without_the_plc_there_is_no_voltage(station: Station) -> None:
    with pytest.raises(DeviceRefused, match="Interlock"):
        await measured(station)


async def test_when_the_plc_takes_its_enable_away_there_is_no_voltage(station: Station) -> None:
    await onto_poles(station)
    station.devices.plc.drop_permit()
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused):
        await measured(station)


@pytest.mark.parametrize("voltage", [1e6, 0.0, -500.0])
async def test_a_voltage_the_tester_does_not_have_is_refused(station: Station, voltage: float) -> None:
    await onto_poles(station)
    with pytest.raises(DeviceRefused):
        await measured(station, Volt(voltage))


async def test_off_ends_a_measurement_without_a_lease(station: Station) -> None:
    await onto_poles(station)

    async def off() -> None:
        station.devices.insulation_tester.off()

    assert isinstance(await interrupted(station, off), DeviceRefused)


async def test_an_e_stop_ends_a_measurement(station: Station) -> None:
    await onto_poles(station)
    error = await interrupted(station, partial(station.far_end.disturb, "safety.estop", "plc", True))
    assert isinstance(error, DeviceRefused)


async def test_a_revoked_lease_ends_a_measurement(station: Station) -> None:
    await onto_poles(station)

    async def revoke() -> None:
        station.leases.revoke_all()

    assert isinstance(await interrupted(station, revoke), LeaseRevoked)


async def test_a_restart_ends_a_measurement_and_is_told(station: Station) -> None:
    await onto_poles(station)
    await station.devices.insulation_tester.identify(station.lease("insulation_tester"))
    restart = partial(station.far_end.disturb, "serial.restart", "insulation_tester", True)
    assert isinstance(await interrupted(station, restart), DeviceRestarted)


@pytest.mark.parametrize("fault", ["serial.malformed", "serial.prefix"])
async def test_a_number_that_cannot_be_is_never_returned(station: Station, fault: str) -> None:
    await onto_poles(station)
    async with station.disturbed(fault, "insulation_tester"):
        with pytest.raises(ReplyInvalid):
            await measured(station)
