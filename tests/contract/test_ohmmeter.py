"""The ohmmeter's port."""

from __future__ import annotations

import pytest

from bmsctl.domain.ports import ResistanceReading
from bmsctl.domain.units import Ohm
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from tests.contract.calls import BONDING_RANGE
from tests.contract.stacking import Stacking
from tests.contract.station import AnyStation, Station, outcome_of

BEYOND_RANGE = '[[defect]]\nkind = "bonding"\npoint = 2\nresistance = "5 Ohm"\n'


async def celsius(station: AnyStation) -> float:
    return float(await station.devices.ohmmeter.temperature(station.lease("ohmmeter")))


async def measured(station: Station, channel: int, range_ohm: Ohm = BONDING_RANGE) -> ResistanceReading:
    return await station.devices.ohmmeter.measure(station.lease("ohmmeter"), channel, range_ohm)


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.ohmmeter.identify(station.lease("ohmmeter"))
    assert first.count(",") == 3
    assert await station.devices.ohmmeter.identify(station.lease("ohmmeter")) == first


async def test_every_bonding_point_has_a_resistance_of_its_own(station: Station) -> None:
    points = range(1, len(station.step("bonding").params["points"]) + 1)
    readings = [await measured(station, point) for point in points]
    assert all(0.0 < reading.ohm < BONDING_RANGE and not reading.over_range for reading in readings)
    assert len({reading.ohm for reading in readings}) == len(readings)


async def test_a_resistance_is_the_same_measured_again(station: Station) -> None:
    first = await measured(station, 1)
    await measured(station, 2)
    assert (await measured(station, 1)).ohm == pytest.approx(first.ohm, rel=0.02)


@pytest.mark.scenario(BEYOND_RANGE)
async def test_beyond_the_range_its_end_is_told_as_a_bound(station: Station) -> None:
    reading = await measured(station, 2)
    assert reading.over_range
    assert reading.ohm == BONDING_RANGE
    assert not (await measured(station, 1)).over_range


@pytest.mark.scenario(BEYOND_RANGE)
async def test_a_wider_range_holds_what_a_narrow_one_does_not(station: Station) -> None:
    reading = await measured(station, 2, Ohm(10.0))
    assert not reading.over_range
    assert reading.ohm == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("channel", [0, -1, 99])
async def test_a_channel_that_is_not_there_is_refused(station: Station, channel: int) -> None:
    with pytest.raises(DeviceRefused):
        await measured(station, channel)
    assert not (await measured(station, 1)).over_range


@pytest.mark.parametrize("range_ohm", [1e9, -1.0])
async def test_a_range_that_is_not_there_is_refused(station: Station, range_ohm: float) -> None:
    with pytest.raises(DeviceRefused):
        await measured(station, 1, Ohm(range_ohm))


async def test_without_contact_there_is_no_resistance_and_no_bound(station: Station) -> None:
    async with station.disturbed("tester.contact", "ohmmeter"):
        with pytest.raises(ReplyInvalid, match="contact"):
            await measured(station, 1)
    assert not (await measured(station, 1)).over_range


async def test_a_restart_is_told_until_the_meter_is_identified_again(station: Station) -> None:
    await station.devices.ohmmeter.identify(station.lease("ohmmeter"))
    first = await measured(station, 1)
    await station.far_end.disturb("serial.restart", "ohmmeter", True)
    with pytest.raises(DeviceRestarted):
        await measured(station, 1)
    await station.devices.ohmmeter.identify(station.lease("ohmmeter"))
    assert (await measured(station, 1)).ohm == pytest.approx(first.ohm, rel=0.02)


@pytest.mark.parametrize("fault", ["serial.malformed", "serial.prefix"])
async def test_a_number_that_cannot_be_is_never_returned(station: Station, fault: str) -> None:
    async with station.disturbed(fault, "ohmmeter"):
        with pytest.raises(ReplyInvalid):
            await measured(station, 1)


async def test_a_meter_that_hangs_is_not_believed_at_the_next_point(station: Station) -> None:
    async with station.disturbed("serial.frozen", "ohmmeter"):
        await measured(station, 1)
        with pytest.raises(ReplyInvalid, match="stuck"):
            await measured(station, 2)


async def test_without_a_probe_there_is_no_temperature(station: Station) -> None:
    with pytest.raises(ReplyInvalid, match="probe"):
        await celsius(station)
    assert not (await measured(station, 1)).over_range


@pytest.mark.stacking
async def test_the_probe_feels_what_the_contact_frame_lies_on(station: Stacking) -> None:
    await station.frame_on_module()
    assert await celsius(station) == pytest.approx(station.waiting.temperature_c, abs=1.0)


@pytest.mark.stacking
async def test_a_temperature_costs_no_setting_of_the_meter(station: Stacking) -> None:
    await station.frame_on_module()
    await station.devices.ohmmeter.identify(station.lease("ohmmeter"))
    first = await celsius(station)
    await outcome_of(station.devices.ohmmeter.measure(station.lease("ohmmeter"), 1, BONDING_RANGE))
    assert await celsius(station) == pytest.approx(first, abs=0.5)


@pytest.mark.stacking
async def test_noise_never_changes_a_temperature(station: Stacking) -> None:
    await station.frame_on_module()
    async with station.disturbed("serial.garbage", "ohmmeter"):
        for _ in range(4):
            outcome = await outcome_of(celsius(station))
            if not isinstance(outcome, DeviceError):
                assert outcome == pytest.approx(station.waiting.temperature_c, abs=1.0)
    assert await celsius(station) == pytest.approx(station.waiting.temperature_c, abs=1.0)


@pytest.mark.stacking
async def test_a_restart_is_told_before_a_temperature_is(station: Stacking) -> None:
    await station.devices.ohmmeter.identify(station.lease("ohmmeter"))
    await station.far_end.disturb("serial.restart", "ohmmeter", True)
    with pytest.raises(DeviceRestarted):
        await celsius(station)


@pytest.mark.stacking
async def test_without_a_lease_no_temperature_is_asked_for(station: Stacking) -> None:
    lease = station.lease("ohmmeter")
    await station.devices.ohmmeter.identify(lease)
    station.leases.revoke_all()
    async with station.sends_nothing("ohmmeter"):
        with pytest.raises(LeaseRevoked):
            await station.devices.ohmmeter.temperature(lease)
