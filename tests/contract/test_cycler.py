"""The cycler's port."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.ports import Route
from bmsctl.domain.units import Ampere, Volt
from bmsctl.errors import DeviceRefused, DeviceRestarted, LeaseRevoked, ReplyInvalid
from tests.contract.calls import ARMED
from tests.contract.station import Station

SETTLED_S = 0.3
AMPS = 5.0
SEEN_A = 1.0
"""The BMS's current sensor is right to this."""


async def armed(station: Station) -> None:
    await station.devices.cycler.identify(station.lease("cycler"))
    await station.devices.cycler.arm(station.lease("cycler"), *ARMED)


async def armed_onto_pack(station: Station) -> None:
    await station.pack_on_poles({Route.DIGITIZER, Route.CYCLER})
    await armed(station)


async def bms_current(station: Station) -> float:
    await asyncio.sleep(SETTLED_S)
    return await station.devices.bms.current(station.lease("bms"))


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.cycler.identify(station.lease("cycler"))
    assert first.count(",") == 3
    assert await station.devices.cycler.identify(station.lease("cycler")) == first


async def test_it_is_not_armed_without_the_enable_of_the_plc(station: Station) -> None:
    with pytest.raises(DeviceRefused, match="enable"):
        await armed(station)
    await station.permitted()
    await armed(station)


async def test_armed_it_drives_nothing(station: Station) -> None:
    await station.permitted()
    await armed(station)
    reading = await station.devices.cycler.read(station.lease("cycler"))
    assert abs(reading.current) < SEEN_A
    assert reading.t_s <= station.now()


async def test_no_current_is_set_before_it_is_armed_or_after_it_is_off(station: Station) -> None:
    await station.permitted()
    cycler, lease = station.devices.cycler, station.lease("cycler")
    await cycler.identify(lease)
    with pytest.raises(DeviceRefused, match="armed"):
        await cycler.set_current(lease, Ampere(0.0))
    await cycler.arm(lease, *ARMED)
    cycler.off()
    with pytest.raises(DeviceRefused, match="armed"):
        await cycler.set_current(lease, Ampere(0.0))
    await cycler.arm(lease, *ARMED)
    await cycler.disarm(lease)
    with pytest.raises(DeviceRefused, match="armed"):
        await cycler.set_current(lease, Ampere(0.0))


@pytest.mark.parametrize("amps", [ARMED[2] + 0.1, -ARMED[2] - 0.1, float("nan"), float("inf")])
async def test_no_more_is_set_than_it_was_armed_for(station: Station, amps: float) -> None:
    await station.permitted()
    await armed(station)
    with pytest.raises(DeviceRefused):
        await station.devices.cycler.set_current(station.lease("cycler"), Ampere(amps))


@pytest.mark.parametrize(("voltage_max", "current_max"), [(5000.0, 10.0), (450.0, 5000.0), (-1.0, 10.0)])
async def test_protections_it_does_not_have_are_refused(
    station: Station, voltage_max: float, current_max: float
) -> None:
    await station.permitted()
    with pytest.raises(DeviceRefused):
        await station.devices.cycler.arm(station.lease("cycler"), Volt(0.0), Volt(voltage_max), Ampere(current_max))


async def test_charge_counts_positive_for_cycler_and_bms(station: Station) -> None:
    await armed_onto_pack(station)
    cycler, lease = station.devices.cycler, station.lease("cycler")
    for amps in (AMPS, -AMPS):
        asked_s = station.now()
        acknowledged_s = await cycler.set_current(lease, Ampere(amps))
        assert asked_s < acknowledged_s <= station.now()
        assert await bms_current(station) == pytest.approx(amps, abs=SEEN_A)
        reading = await cycler.read(lease)
        assert reading.current == pytest.approx(amps, abs=SEEN_A)
    await cycler.disarm(lease)
    assert abs(await bms_current(station)) < SEEN_A


async def test_off_takes_the_current_away_without_a_lease(station: Station) -> None:
    await armed_onto_pack(station)
    await station.devices.cycler.set_current(station.lease("cycler"), Ampere(AMPS))
    station.leases.revoke_all()
    station.devices.cycler.off()
    assert abs(await bms_current(station)) < SEEN_A


async def test_a_current_no_pack_takes_ends_in_an_alarm(station: Station) -> None:
    await station.permitted()
    await armed(station)
    await station.devices.cycler.set_current(station.lease("cycler"), Ampere(AMPS))
    await asyncio.sleep(SETTLED_S)
    with pytest.raises(DeviceRefused, match="overvoltage"):
        await station.devices.cycler.read(station.lease("cycler"))


async def test_its_output_opens_by_itself_when_the_permissive_ends(station: Station) -> None:
    await station.permitted()
    await armed(station)
    station.devices.plc.drop_permit()
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused, match="enable"):
        await station.devices.cycler.read(station.lease("cycler"))


async def test_a_revoked_lease_leaves_it_unarmed(station: Station) -> None:
    await station.permitted()
    cycler = station.devices.cycler
    arming = asyncio.create_task(cycler.arm(station.lease("cycler"), *ARMED))
    await asyncio.sleep(0.1)
    station.leases.revoke_all()
    with pytest.raises(LeaseRevoked):
        await arming
    with pytest.raises(DeviceRefused, match="armed"):
        await cycler.set_current(station.lease("cycler"), Ampere(0.0))


async def test_a_restart_is_told_and_nothing_is_armed(station: Station) -> None:
    await station.permitted()
    await armed(station)
    cycler, lease = station.devices.cycler, station.lease("cycler")
    await station.far_end.disturb("serial.restart", "cycler", True)
    with pytest.raises(DeviceRestarted):
        await cycler.read(lease)
    with pytest.raises(DeviceRefused, match="armed"):
        await cycler.set_current(lease, Ampere(0.0))
    await armed(station)


@pytest.mark.parametrize("fault", ["serial.malformed", "serial.prefix"])
async def test_a_number_that_cannot_be_is_never_returned(station: Station, fault: str) -> None:
    await armed_onto_pack(station)
    cycler, lease = station.devices.cycler, station.lease("cycler")
    await cycler.set_current(lease, Ampere(AMPS))
    await asyncio.sleep(SETTLED_S)
    async with station.disturbed(fault, "cycler"):
        with pytest.raises(ReplyInvalid):
            await cycler.read(lease)


async def test_a_cancelled_call_asks_the_output_off(station: Station) -> None:
    await armed_onto_pack(station)
    cycler, lease = station.devices.cycler, station.lease("cycler")
    await cycler.set_current(lease, Ampere(AMPS))
    reading = asyncio.create_task(cycler.read(lease))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert abs(await bms_current(station)) < SEEN_A
