"""The BMS's port."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bmsctl.domain.ports import Relay
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked
from bmsctl.protocols.firmware_image import ImageHeader, encode_image
from tests.contract.station import WAKES_WITHIN, Station

ALL_OPEN = dict.fromkeys(Relay, False)
BRIEFLY = Second(0.5)
CELL_V = (2.5, 4.3)
IDLE_A = 1.0
NEW_VERSION = "9999"
BODY = bytes(range(256))
"""As short as a body may be: a real one takes a minute to write."""
RESTARTS_WITHIN = Second(10.0)


def image_of(station: Station, hardware: str | None = None) -> bytes:
    """An image of other software than the BMS has."""
    text = station.step("bms_identity").text
    header = ImageHeader((hardware or text("hardware"),), text("software"), NEW_VERSION, text("calibration"))
    return encode_image(header, BODY)


def address_of(station: Station) -> int:
    """Where the recipe has images written to."""
    return next(step for step in station.recipe.steps("stacking") if step.run == "bms_flash").count("image_address")


async def flashed(station: Station, image: bytes) -> list[float]:
    """Write an image; the shares that were told on the way."""
    shares: list[float] = []
    await station.devices.bms.flash(station.lease("bms"), image, address_of(station), shares.append)
    return shares


async def restarted(station: Station) -> None:
    await station.devices.bms.restart(station.lease("bms"), RESTARTS_WITHIN)


async def test_it_is_silent_without_supply_and_alive_with_it(station: Station) -> None:
    assert station.devices.bms.last_status_s() is None
    assert station.devices.bms.relays() is None
    assert station.devices.bms.newest_current() is None
    with pytest.raises(DeviceTimeout):
        await station.devices.bms.alive(station.lease("bms"), BRIEFLY)
    asked_s = station.now()
    await station.awake()
    heard_s = station.devices.bms.last_status_s()
    assert heard_s is not None
    assert asked_s < heard_s <= station.now()
    assert station.devices.bms.dbc_revision() == station.step("bms_alive").count("message_set")


async def test_it_falls_silent_when_its_supply_ends(station: Station) -> None:
    await station.awake()
    station.devices.plc.supply_off()
    ended_s = station.now()
    last_s = await station.devices.bms.silent(station.lease("bms"), Second(3.0))
    assert last_s < ended_s + 1.0
    assert station.now() - last_s >= 1.0


async def test_while_it_sends_it_is_not_silent(station: Station) -> None:
    await station.awake()
    with pytest.raises(DeviceTimeout, match="still sending"):
        await station.devices.bms.silent(station.lease("bms"), Second(0.1))


@pytest.mark.bus_off
async def test_a_dead_wire_is_no_silence(station: Station) -> None:
    await station.awake()
    async with station.disturbed("can.bus_off", "bms"):
        with pytest.raises(DeviceError):
            await station.devices.bms.silent(station.lease("bms"), Second(0.1))


async def test_it_says_who_it_is(station: Station) -> None:
    await station.awake()
    identity = await station.devices.bms.identity(station.lease("bms"))
    assert identity.part_number == station.step("bms_identity").text("part_number")
    assert identity.software_version == station.step("bms_identity").text("software_version")
    assert identity.pack_serial.startswith(station.recipe.pack.id)
    assert await station.devices.bms.identity(station.lease("bms")) == identity


async def test_what_it_measures_is_there_once_it_is_ready(station: Station) -> None:
    await station.ready()
    bms, lease = station.devices.bms, station.lease("bms")
    series = station.recipe.pack.series
    first, second = await bms.cells(lease, 2)
    assert first.t_s < second.t_s <= station.now()
    for shot in (first, second):
        assert shot.voltage_v.shape == (series,)
        assert np.all((shot.voltage_v > CELL_V[0]) & (shot.voltage_v < CELL_V[1]))
    taps = await bms.taps(lease)
    assert taps.u_batt == pytest.approx(float(first.voltage_v.sum()), rel=0.02)
    temperatures = await bms.temperatures(lease)
    assert all(celsius is not None and 0.0 < celsius < 50.0 for celsius in temperatures)
    assert abs(await bms.current(lease)) < IDLE_A
    (sample,) = await bms.samples(lease, 1)
    assert sample.voltage_v.shape == (series,)
    assert abs(sample.current_a) < IDLE_A
    percent, _ = await bms.soc(lease)
    assert 0.0 < percent < 100.0
    assert bms.relays() == ALL_OPEN


async def test_a_good_bus_has_no_frame_errors(station: Station) -> None:
    await station.awake()
    assert await station.devices.bms.frame_errors(station.lease("bms"), Second(1.0)) == 0


async def test_the_interlock_flag_follows_the_loop(station: Station) -> None:
    await station.ready()
    bms, plc = station.devices.bms, station.devices.plc
    assert await bms.hvil_closed(station.lease("bms")) is True
    opened_s = await plc.bridge_hvil(station.lease("plc"), closed=False)
    assert await bms.hvil_becomes(station.lease("bms"), closed=False, within=Second(3.0)) > opened_s
    await plc.bridge_hvil(station.lease("plc"), closed=True)
    await bms.hvil_becomes(station.lease("bms"), closed=True, within=Second(3.0))
    with pytest.raises(DeviceTimeout):
        await bms.hvil_becomes(station.lease("bms"), closed=False, within=BRIEFLY)


async def test_contactors_obey_only_once_they_are_taken_over(station: Station) -> None:
    await station.awake()
    await station.permitted()
    bms, lease = station.devices.bms, station.lease("bms")
    with pytest.raises(DeviceTimeout):
        await bms.set_relays(lease, {Relay.MAIN_MINUS})
    bms.open_relays()
    await bms.take_relays(lease)
    await bms.set_relays(lease, {Relay.MAIN_MINUS})
    assert bms.relays() == {**ALL_OPEN, Relay.MAIN_MINUS: True}


async def test_contactors_open_without_a_lease(station: Station) -> None:
    await station.awake()
    await station.permitted()
    bms = station.devices.bms
    await bms.take_relays(station.lease("bms"))
    await bms.set_relays(station.lease("bms"), {Relay.MAIN_MINUS})
    station.leases.revoke_all()
    bms.open_relays()
    await station.until(lambda: bms.relays() == ALL_OPEN)


async def test_contactors_taken_over_are_lost_with_its_supply(station: Station) -> None:
    await station.awake()
    await station.permitted()
    bms = station.devices.bms
    await bms.take_relays(station.lease("bms"))
    station.devices.plc.supply_off()
    await bms.silent(station.lease("bms"), Second(3.0))
    await station.awake()
    with pytest.raises(DeviceTimeout):
        await bms.set_relays(station.lease("bms"), {Relay.MAIN_MINUS})
    bms.open_relays()


async def test_what_was_taken_over_is_told_and_all_given_back(station: Station) -> None:
    await station.awake()
    bms, lease = station.devices.bms, station.lease("bms")
    assert (await bms.plant_mode(lease)).held == ()
    await bms.take_relays(lease)
    await bms.imd_enable(lease, on=False)
    await bms.dividers_enable(lease, on=False)
    await bms.balance(lease, {1, 3})
    held = (await bms.plant_mode(lease)).held
    assert set(held) == {"relays", "insulation_monitor", "dividers", "balancing", "session"}
    await bms.release(lease)
    assert (await bms.plant_mode(lease)).held == ()


async def test_without_dividers_the_outer_taps_have_no_value(station: Station) -> None:
    await station.ready()
    bms, lease = station.devices.bms, station.lease("bms")
    await bms.dividers_enable(lease, on=False)
    taps = await bms.taps(lease)
    assert (taps.u_p, taps.u_n) == (None, None)
    assert taps.u_batt is not None
    await bms.dividers_enable(lease, on=True)


async def test_its_insulation_monitor_refuses_while_it_is_off(station: Station) -> None:
    await station.awake()
    bms, lease = station.devices.bms, station.lease("bms")
    await bms.imd_enable(lease, on=False)
    with pytest.raises(DeviceRefused, match="switched off"):
        await bms.imd(lease, WAKES_WITHIN)


async def test_what_is_written_is_read_back(station: Station) -> None:
    await station.awake()
    bms, lease = station.devices.bms, station.lease("bms")
    assert await bms.vin(lease) == ""
    await bms.write_identity(lease, "TRACE0001", "VF1AAAAA000000001")
    assert await bms.traceability(lease) == "TRACE0001"
    assert await bms.vin(lease) == "VF1AAAAA000000001"
    await bms.set_sleep_delay(lease, Second(7.0))
    assert await bms.sleep_delay(lease) == 7.0


@pytest.mark.scenario('[[defect]]\nkind = "bms_dtc"\ncode = "1B10-87"\n')
async def test_a_trouble_code_comes_back_after_clearing(station: Station) -> None:
    await station.awake()
    bms, lease = station.devices.bms, station.lease("bms")
    await station.until_told(lambda: bms.dtcs(lease))
    await bms.clear_dtcs(lease)
    await station.until_told(lambda: bms.dtcs(lease))
    assert [str(dtc) for dtc in await bms.dtcs(lease)] == ["1B10-87"]


async def test_every_open_sense_wire_would_be_named(station: Station) -> None:
    await station.ready()
    assert list(await station.devices.bms.open_wire(station.lease("bms"))) == []


async def test_its_monitoring_chips_are_told_in_order_with_all_cells(station: Station) -> None:
    await station.awake()
    chips = list(await station.devices.bms.chips(station.lease("bms")))
    assert len({serial for serial, _ in chips}) == len(chips)
    assert sum(cells for _, cells in chips) == station.recipe.pack.series
    assert list(await station.devices.bms.chips(station.lease("bms"))) == chips


async def test_software_that_is_written_runs_after_a_restart(station: Station) -> None:
    await station.awake()
    shares = await flashed(station, image_of(station))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    asked_s = station.now()
    await restarted(station)
    assert station.devices.bms.last_status_s() > asked_s
    identity = await station.devices.bms.identity(station.lease("bms"))
    assert identity.software_version == NEW_VERSION
    assert (await station.devices.bms.plant_mode(station.lease("bms"))).held == ()


async def test_software_for_other_hardware_is_refused_and_does_not_run(station: Station) -> None:
    await station.awake()
    with pytest.raises(DeviceRefused, match="hardware"):
        await flashed(station, image_of(station, hardware="0000"))
    await flashed(station, image_of(station))
    await restarted(station)
    assert (await station.devices.bms.identity(station.lease("bms"))).software_version == NEW_VERSION


async def test_a_writing_that_was_interrupted_is_begun_anew(station: Station) -> None:
    await station.awake()
    writing = asyncio.create_task(flashed(station, image_of(station)))
    await asyncio.sleep(1.0)
    station.leases.revoke_all()
    with pytest.raises(LeaseRevoked):
        await writing
    identity = await station.devices.bms.identity(station.lease("bms"))
    assert (identity.software, identity.software_version) == ("", "")
    await flashed(station, image_of(station))
    await restarted(station)
    assert (await station.devices.bms.identity(station.lease("bms"))).software_version == NEW_VERSION


async def test_a_restart_leaves_nothing_taken_over(station: Station) -> None:
    await station.awake()
    bms, lease = station.devices.bms, station.lease("bms")
    before = await bms.identity(lease)
    await bms.take_relays(lease)
    await restarted(station)
    assert (await bms.plant_mode(lease)).held == ()
    assert await bms.identity(lease) == before


async def test_a_bms_that_does_not_come_back_is_told_in_time(station: Station) -> None:
    await station.awake()
    async with station.disturbed("can.silent", "bms"):
        began_s = station.now()
        with pytest.raises(DeviceTimeout):
            await station.devices.bms.restart(station.lease("bms"), Second(1.0))
        assert station.now() - began_s < 5.0
