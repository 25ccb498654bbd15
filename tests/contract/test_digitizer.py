"""The digitizer's port."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.ports import Recording, Resistor, Route
from bmsctl.errors import DeviceRefused, DeviceRestarted, DeviceTimeout, LinkDown, ReplyInvalid
from tests.contract.station import Station

MAINS_PERIOD = 200
"""Samples at 10 kHz."""
QUIET_V = 5.0


async def recorded(station: Station, for_s: float = 0.2) -> Recording:
    """A recording that is at least so long."""
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.start(lease)
    await asyncio.sleep(for_s)
    return await digitizer.finish(lease)


async def test_it_names_itself_always_alike(station: Station) -> None:
    first = await station.devices.digitizer.identify(station.lease("digitizer"))
    assert first
    assert await station.devices.digitizer.identify(station.lease("digitizer")) == first


async def test_a_mean_is_that_of_as_many_samples_as_asked_for(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER})
    for n in (1, MAINS_PERIOD, 2000):
        reading = await digitizer.mean(lease, n)
        assert reading.n == n
        assert max(abs(reading.v_pos - reading.v_neg), abs(reading.v_link)) < QUIET_V
    assert 0.0 < reading.sd < QUIET_V


async def test_the_pack_is_seen_on_the_poles_plus_above_minus(station: Station) -> None:
    await station.pack_on_poles({Route.DIGITIZER})
    reading = await station.devices.digitizer.mean(station.lease("digitizer"), MAINS_PERIOD)
    taps = await station.devices.bms.taps(station.lease("bms"))
    assert taps.u_batt is not None
    assert reading.v_pos - reading.v_neg == pytest.approx(taps.u_batt, rel=0.02)


@pytest.mark.parametrize("n", [0, -1, 1_000_000])
async def test_a_mean_of_impossible_many_samples_is_refused(station: Station, n: int) -> None:
    with pytest.raises(DeviceRefused):
        await station.devices.digitizer.mean(station.lease("digitizer"), n)


async def test_a_recording_has_every_sample_since_its_start(station: Station) -> None:
    before_s = station.now()
    recording = await recorded(station)
    after_s = station.now()
    count = len(recording.v_pos_v)
    assert len(recording.v_neg_v) == len(recording.v_link_v) == count
    assert 0.2 <= count / recording.sample_rate_hz <= after_s - before_s
    assert before_s <= recording.t0_s + 0.01
    assert recording.t0_s + count / recording.sample_rate_hz <= after_s + 0.01


async def test_a_recording_needs_a_start(station: Station) -> None:
    with pytest.raises(DeviceRefused, match="recorded"):
        await station.devices.digitizer.finish(station.lease("digitizer"))


async def test_a_recording_keeps_its_lease_fresh(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.start(lease)
    started_s = lease.fresh_until_s
    await station.until(lambda: lease.fresh_until_s > started_s + 0.1)
    await digitizer.finish(lease)


async def test_one_resistor_is_in_at_a_time_and_the_time_is_that_of_its_confirmation(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    last_s = station.now()
    for resistor in (*Resistor, None, None):
        confirmed_s = await digitizer.insert(lease, resistor)
        assert last_s < confirmed_s <= station.now()
        last_s = confirmed_s


async def test_a_resistor_is_moved_while_recording(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.start(lease)
    inserted_s = await digitizer.insert(lease, Resistor.R0_MINUS)
    removed_s = await digitizer.insert(lease, None)
    recording = await digitizer.finish(lease)
    assert recording.t0_s - 0.01 < inserted_s < removed_s


async def test_stop_ends_a_recording_without_a_lease(station: Station) -> None:
    digitizer = station.devices.digitizer
    await digitizer.start(station.lease("digitizer"))
    await digitizer.insert(station.lease("digitizer"), Resistor.R0_PLUS)
    station.leases.revoke_all()
    digitizer.stop()
    with pytest.raises(DeviceRefused, match="recorded"):
        await digitizer.finish(station.lease("digitizer"))
    await digitizer.insert(station.lease("digitizer"), Resistor.R0_MINUS)


async def test_missing_samples_are_never_returned(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.start(lease)
    await asyncio.sleep(0.1)
    async with station.disturbed("serial.silent", "digitizer"):
        await asyncio.sleep(0.1)
    with pytest.raises(ReplyInvalid, match="missing"):
        await digitizer.finish(lease)


async def test_a_stuck_converter_is_never_read(station: Station) -> None:
    async with station.disturbed("serial.frozen", "digitizer"):
        with pytest.raises(ReplyInvalid, match="stuck"):
            await station.devices.digitizer.mean(station.lease("digitizer"), MAINS_PERIOD)


async def test_a_restart_that_lost_a_resistor_is_told_once(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.insert(lease, Resistor.R0_MINUS)
    await station.far_end.disturb("serial.restart", "digitizer", True)
    await asyncio.sleep(1.0)
    with pytest.raises(DeviceRestarted):
        await digitizer.mean(lease, MAINS_PERIOD)
    await digitizer.mean(lease, MAINS_PERIOD)


async def test_a_wire_lost_while_recording_ends_it(station: Station) -> None:
    digitizer, lease = station.devices.digitizer, station.lease("digitizer")
    await digitizer.start(lease)
    async with station.disturbed("serial.unplugged", "digitizer"):
        await asyncio.sleep(0.1)
        with pytest.raises((LinkDown, DeviceTimeout)):
            await digitizer.finish(lease)
