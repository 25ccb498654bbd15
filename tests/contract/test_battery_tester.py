"""The battery tester's port."""

from __future__ import annotations

import pytest

from bmsctl.domain.ports import BatteryReading
from bmsctl.domain.units import Ohm, Volt
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from tests.contract.stacking import Stacking
from tests.contract.station import outcome_of

pytestmark = pytest.mark.stacking

MANY = 6
"""Readings in noise, of which each arrives damaged or not."""


async def measured(station: Stacking, voltage: Volt | None = None, resistance: Ohm | None = None) -> BatteryReading:
    volts, ohms = station.battery_ranges
    reading: BatteryReading = await station.devices.battery_tester.measure(
        station.lease("battery_tester"), voltage or volts, resistance or ohms
    )
    return reading


async def test_it_names_itself_always_alike(station: Stacking) -> None:
    first = await station.devices.battery_tester.identify(station.lease("battery_tester"))
    assert first.count(",") == 3
    assert await station.devices.battery_tester.identify(station.lease("battery_tester")) == first


async def test_a_module_is_measured_with_both_its_values(station: Stacking) -> None:
    await station.frame_on_module()
    reading = await measured(station)
    assert reading.voltage == pytest.approx(station.waiting.ocv_v, rel=1e-3)
    assert reading.resistance == pytest.approx(station.waiting.resistance_ohm, rel=2e-2)


async def test_a_value_is_the_same_measured_again(station: Stacking) -> None:
    await station.frame_on_module()
    first, second = await measured(station), await measured(station)
    assert second.voltage == pytest.approx(first.voltage, rel=1e-4)
    assert second.resistance == pytest.approx(first.resistance, rel=5e-3)


async def test_leads_the_wrong_way_round_are_seen_by_the_sign(station: Stacking) -> None:
    await station.frame_on_module()
    module = station.waiting
    station.hands.wiring.probes.terminal = lambda: (-module.ocv_v, module.resistance_ohm)
    assert (await measured(station)).voltage == pytest.approx(-module.ocv_v, rel=1e-3)


async def test_without_contact_there_is_no_reading(station: Stacking) -> None:
    with pytest.raises(ReplyInvalid, match="contact"):
        await measured(station)
    await station.frame_on_module()
    assert (await measured(station)).voltage > 0.0


async def test_what_is_beyond_a_range_is_no_reading(station: Stacking) -> None:
    await station.frame_on_module()
    with pytest.raises(ReplyInvalid, match="over the range"):
        await measured(station, voltage=Volt(10.0))
    with pytest.raises(ReplyInvalid, match="over the range"):
        await measured(station, resistance=Ohm(3e-3))
    assert (await measured(station)).voltage > 0.0


@pytest.mark.parametrize(("voltage", "resistance"), [(1e6, 30e-3), (-1.0, 30e-3), (100.0, 1e9), (100.0, -1.0)])
async def test_a_range_that_is_not_there_is_refused(station: Stacking, voltage: float, resistance: float) -> None:
    await station.frame_on_module()
    with pytest.raises(DeviceRefused):
        await measured(station, Volt(voltage), Ohm(resistance))


async def test_a_restart_is_told_until_the_tester_is_identified_again(station: Stacking) -> None:
    await station.devices.battery_tester.identify(station.lease("battery_tester"))
    await station.frame_on_module()
    first = await measured(station)
    await station.far_end.disturb("serial.restart", "battery_tester", True)
    with pytest.raises(DeviceRestarted):
        await measured(station)
    await station.devices.battery_tester.identify(station.lease("battery_tester"))
    assert (await measured(station)).voltage == pytest.approx(first.voltage, rel=1e-4)


async def test_noise_never_changes_a_reading(station: Stacking) -> None:
    await station.frame_on_module()
    true = await measured(station)
    async with station.disturbed("serial.garbage", "battery_tester"):
        outcomes = [await outcome_of(measured(station)) for _ in range(MANY)]
    assert any(isinstance(outcome, DeviceError) for outcome in outcomes)
    for outcome in outcomes:
        if not isinstance(outcome, DeviceError):
            assert outcome.voltage == pytest.approx(true.voltage, rel=1e-4)
            assert outcome.resistance == pytest.approx(true.resistance, rel=5e-3)
    assert (await measured(station)).voltage == pytest.approx(true.voltage, rel=1e-4)


async def test_the_reading_of_the_module_before_is_never_taken_for_this_one(station: Stacking) -> None:
    await station.frame_on_module()
    await measured(station)
    async with station.disturbed("serial.late", "battery_tester"):
        outcome = await outcome_of(measured(station))
        assert isinstance(outcome, DeviceError), outcome
    await station.until_it_succeeds(lambda: measured(station))


async def test_a_revoked_lease_sends_nothing(station: Stacking) -> None:
    await station.frame_on_module()
    await measured(station)
    tester, lease = station.devices.battery_tester, station.lease("battery_tester")
    station.leases.revoke_all()
    async with station.sends_nothing("battery_tester"):
        for call in (tester.identify(lease), tester.measure(lease, *station.battery_ranges)):
            with pytest.raises(LeaseRevoked):
                await call
