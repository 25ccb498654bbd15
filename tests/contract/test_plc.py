"""The safety PLC's port."""

from __future__ import annotations

import pytest

from bmsctl.domain.ports import Challenge, PlcStatus, TripCause
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout
from tests.contract.station import Station

STATUS_AGE_S = 0.5
SAFE_STOP_S = 0.5
TOUCHABLE_V = 60.0


def discharged(status: PlcStatus) -> bool:
    return status.discharging and status.voltage_free and not status.coil_supply


async def test_status_arrives_unasked_and_goes_on_arriving(station: Station) -> None:
    await station.until(lambda: station.devices.plc.status() is not None)
    first = station.status()
    assert first.guard_closed
    assert first.estop_released
    assert not first.permissive
    assert not first.tripped
    await station.until(lambda: station.status().t_s > first.t_s)
    assert station.now() - station.status().t_s < STATUS_AGE_S


async def test_a_permit_is_seen_granted_when_the_call_returns(station: Station) -> None:
    await station.permitted()
    status = station.status()
    assert status.permissive
    assert status.coil_supply
    assert not status.discharging


async def test_every_change_of_status_is_delivered(station: Station) -> None:
    await station.permitted()
    await station.devices.plc.supply(station.lease("plc"), kl30=True, kl15=False)
    station.devices.plc.drop_permit()
    await station.until(lambda: station.statuses[-1].discharging)
    seen = station.statuses
    assert [status.permissive for status in seen].count(True) >= 1
    assert any(status.kl30 for status in seen)
    assert seen == sorted(seen, key=lambda status: status.t_s)
    assert not seen[-1].permissive


@pytest.mark.parametrize("token", [0, -1, 0x10000])
async def test_what_is_no_run_token_is_refused(station: Station, token: int) -> None:
    with pytest.raises(DeviceRefused, match="token"):
        await station.devices.plc.permit(station.lease("plc"), token)
    assert not station.status().permissive


async def test_a_run_token_is_good_for_one_run(station: Station) -> None:
    token = station.token()
    await station.devices.plc.permit(station.lease("plc"), token)
    station.devices.plc.drop_permit()
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused, match="token"):
        await station.devices.plc.permit(station.lease("plc"), token)
    await station.permitted()


async def test_a_dropped_permit_ends_in_no_voltage_within_the_safe_stop(station: Station) -> None:
    await station.permitted()
    station.leases.revoke_all()
    station.devices.plc.drop_permit()
    await station.until(lambda: not station.status().permissive)
    dropped_s = station.status().t_s
    await station.until(lambda: discharged(station.status()))
    # What the PLC cut is stamped on receipt: at most the safe stop later, and its relays.
    cut_s = next(status.t_s for status in station.statuses if status.t_s > dropped_s and not status.coil_supply)
    assert cut_s - dropped_s < 2 * SAFE_STOP_S
    assert not station.status().tripped


async def test_unanswered_challenges_trip_the_watchdog(station: Station) -> None:
    await station.permitted()
    station.ignore_challenges()
    await station.until(lambda: station.status().tripped)
    assert station.status().cause is TripCause.WATCHDOG
    assert not station.status().permissive
    await station.until(lambda: discharged(station.status()))
    station.answer_challenges()
    await station.answered()
    with pytest.raises(DeviceRefused, match="tripped"):
        await station.permitted()


@pytest.mark.parametrize(
    ("fault", "cause", "why"),
    [("safety.estop", TripCause.ESTOP, "emergency stop"), ("safety.guard", TripCause.GUARD, "guard")],
)
async def test_an_open_safety_chain_trips_and_forbids(station: Station, fault: str, cause: TripCause, why: str) -> None:
    await station.permitted()
    await station.far_end.disturb(fault, "plc", True)
    await station.until(lambda: station.status().tripped)
    assert station.status().cause is cause
    assert not station.status().permissive
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused, match=why):
        await station.permitted()
    await station.far_end.reset_plc()
    await station.until(lambda: not station.status().tripped)
    await station.permitted()


async def test_coils_are_cut_and_fed_while_permitted(station: Station) -> None:
    plc, lease = station.devices.plc, station.lease("plc")
    with pytest.raises(DeviceRefused, match="permitted"):
        await plc.feed_coils(lease, on=True)
    await station.permitted()
    await plc.feed_coils(lease, on=False)
    assert not station.status().coil_supply
    assert station.status().permissive
    await plc.feed_coils(lease, on=True)
    assert station.status().coil_supply


async def test_supply_and_wake_line_are_seen_switched_and_go_off_without_a_lease(station: Station) -> None:
    plc = station.devices.plc
    await plc.supply(station.lease("plc"), kl30=True, kl15=True)
    assert (station.status().kl30, station.status().kl15) == (True, True)
    await plc.supply(station.lease("plc"), kl30=True, kl15=False)
    assert (station.status().kl30, station.status().kl15) == (True, False)
    station.leases.revoke_all()
    plc.supply_off()
    await station.until(lambda: not station.status().kl30)


async def test_the_interlock_loop_opens_closes_and_is_left_closed(station: Station) -> None:
    plc, lease = station.devices.plc, station.lease("plc")
    asked_s = station.now()
    opened_s = await plc.bridge_hvil(lease, closed=False)
    assert asked_s < opened_s <= station.now()
    assert not station.status().hvil_bridged
    assert await plc.bridge_hvil(lease, closed=True) > opened_s
    await plc.bridge_hvil(lease, closed=False)
    plc.supply_off()
    await station.until(lambda: station.status().hvil_bridged)


async def test_voltages_are_measured_after_the_call_and_only_without_permissive(station: Station) -> None:
    plc = station.devices.plc
    asked_s = station.now()
    volts = await plc.voltages(Second(2.0))
    assert volts.t_s > asked_s
    assert max(abs(volts.u_pn), abs(volts.u_link), abs(volts.u_p_pe), abs(volts.u_n_pe)) < TOUCHABLE_V
    await station.permitted()
    with pytest.raises(DeviceTimeout, match="voltages"):
        await plc.voltages(Second(0.3))


async def test_the_station_is_sensed(station: Station) -> None:
    asked_s = station.now()
    sense = await station.devices.plc.sense(Second(3.0))
    assert sense.t_s > asked_s
    assert 0.0 < sense.air < 50.0
    assert sense.adapter == station.step("identify").count("adapter")


@pytest.mark.bus_off
async def test_an_answer_never_raises_on_a_dead_wire(station: Station) -> None:
    challenges: list[Challenge] = []
    station.devices.plc.listen(challenges.append, station.statuses.append)
    await station.until(lambda: challenges)
    async with station.disturbed("can.bus_off", "plc"):
        station.devices.plc.answer(challenges[-1])
