"""The tightening controller's port: no tightening is lost, none is made twice, none is taken for another."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.ports import LimitStatus, Tightening
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceError, DeviceRefused, DeviceRestarted, DeviceTimeout, LeaseRevoked
from tests.contract.stacking import Stacking
from tests.contract.station import outcome_of

pytestmark = [pytest.mark.stacking, pytest.mark.worlds("sim", "bench", "tcp")]

WITHIN, BRIEFLY = Second(15.0), Second(0.5)
OTHER_VIN = "SOMEBODY-ELSE"
NO_SUCH_SET, UNKNOWN_ID = 999, 1
RESULT_OUT_S = 0.5
"""So long after a tightening its result is at the station, if it gets there."""


async def result(station: Stacking, within: Second = WITHIN) -> Tightening:
    made: Tightening = await station.devices.nutrunner.result(station.lease("nutrunner"), within)
    return made


async def stored(station: Stacking, tightening_id: int) -> Tightening | None:
    made: Tightening | None = await station.devices.nutrunner.stored(station.lease("nutrunner"), tightening_id)
    return made


async def newest_id(station: Stacking) -> int:
    newest: int = await station.devices.nutrunner.newest_id(station.lease("nutrunner"))
    return newest


async def made_since(station: Stacking, before: int) -> list[Tightening]:
    """This pack's tightenings after an identifier."""
    made = [await stored(station, number) for number in range(before + 1, await newest_id(station) + 1)]
    return [each for each in made if each is not None and each.vin == station.vin]


async def bolted(station: Stacking) -> Tightening:
    """One bolt, as a step does it."""
    await station.enabled()
    station.pull()
    return await result(station)


async def test_it_names_itself_always_alike(station: Stacking) -> None:
    first = await station.devices.nutrunner.identify(station.lease("nutrunner"))
    assert first
    assert await station.devices.nutrunner.identify(station.lease("nutrunner")) == first


async def test_a_tightening_is_told_whole(station: Stacking) -> None:
    before = await newest_id(station)
    made = await bolted(station)
    assert made.tightening_id > before
    assert (made.vin, made.parameter_set) == (station.vin, station.parameter_set)
    limit = station.step("bolts").limit("torque")
    assert limit.low < made.torque < limit.high
    assert 0.0 < made.angle < 180.0
    assert (made.ok, made.torque_status, made.angle_status) == (True, LimitStatus.OK, LimitStatus.OK)
    assert made.at


@pytest.mark.scenario('[[defect]]\nkind = "bolt_torque"\nbolt = "m1.1"\ntorque = "12 Nm"\n')
async def test_what_is_not_right_is_a_result(station: Stacking) -> None:
    made = await bolted(station)
    assert (made.ok, made.torque_status) == (False, LimitStatus.LOW)
    assert made.torque == pytest.approx(12.0, rel=0.05)


async def test_what_was_tightened_is_kept_and_counted(station: Stacking) -> None:
    first, second = await bolted(station), await bolted(station)
    assert await stored(station, first.tightening_id) == first
    assert await stored(station, second.tightening_id) == second
    assert second.tightening_id > first.tightening_id
    assert await newest_id(station) >= second.tightening_id


async def test_enabled_once_it_tightens_once(station: Stacking) -> None:
    before = await newest_id(station)
    made = await bolted(station)
    station.pull()
    assert not station.hands.wiring.nutrunner.enabled
    with pytest.raises(DeviceRefused, match="not been enabled"):
        await result(station)
    assert await made_since(station, before) == [made]


async def test_nothing_tightened_is_told_in_time_and_the_tool_is_asked_off(station: Stacking) -> None:
    await station.enabled()
    assert station.hands.wiring.nutrunner.enabled
    began_s = station.now()
    with pytest.raises(DeviceTimeout, match="nothing was tightened"):
        await result(station, BRIEFLY)
    assert BRIEFLY <= station.now() - began_s < BRIEFLY + 2.0
    await station.until(lambda: not station.hands.wiring.nutrunner.enabled)


async def test_a_result_of_before_is_never_taken_for_this_bolt(station: Stacking) -> None:
    await station.enabled()
    await station.tightened()
    await asyncio.sleep(RESULT_OUT_S)
    await station.enabled()
    with pytest.raises(DeviceTimeout, match="nothing was tightened"):
        await result(station, BRIEFLY)


async def test_a_result_of_another_vin_is_never_taken_for_this_bolt(station: Stacking) -> None:
    before = await newest_id(station)
    await station.devices.nutrunner.enable(station.lease("nutrunner"), OTHER_VIN, station.parameter_set)
    await station.tightened()
    made = await bolted(station)
    assert made.vin == station.vin
    between = [await stored(station, number) for number in range(before + 1, made.tightening_id)]
    assert OTHER_VIN in [each.vin for each in between if each is not None]


async def test_a_result_that_is_lost_on_its_way_is_fetched_from_the_memory(station: Stacking) -> None:
    station.hands.wiring.nutrunner.results_lost = True
    await station.enabled()
    await station.tightened()
    made = await result(station, BRIEFLY)
    assert made.vin == station.vin
    assert await stored(station, made.tightening_id) == made


async def test_what_was_tightened_while_nobody_listened_is_found_afterwards(station: Stacking) -> None:
    before = await newest_id(station)
    await station.enabled()
    async with station.disturbed("serial.silent", "nutrunner"):
        await station.tightened()
        assert isinstance(await outcome_of(result(station, BRIEFLY)), DeviceTimeout)
    await station.until_it_succeeds(lambda: station.devices.nutrunner.disable(station.lease("nutrunner")))
    (made,) = await made_since(station, before)
    assert (made.vin, made.parameter_set, made.ok) == (station.vin, station.parameter_set, True)


async def test_what_is_not_in_its_memory_is_nothing(station: Stacking) -> None:
    assert await stored(station, UNKNOWN_ID) is None
    assert await stored(station, await newest_id(station) + 1000) is None


async def test_a_parameter_set_that_is_not_there_is_refused_and_nothing_turns(station: Stacking) -> None:
    with pytest.raises(DeviceRefused, match="arameter set"):
        await station.devices.nutrunner.enable(station.lease("nutrunner"), station.vin, NO_SUCH_SET)
    assert not station.hands.wiring.nutrunner.enabled
    assert (await bolted(station)).ok


async def test_an_alarm_refuses_until_it_is_acknowledged(station: Stacking) -> None:
    await station.devices.nutrunner.identify(station.lease("nutrunner"))
    station.hands.wiring.nutrunner.alarm("E404")
    await asyncio.sleep(RESULT_OUT_S)
    with pytest.raises(DeviceRefused):
        await station.enabled()
    assert not station.hands.wiring.nutrunner.enabled
    station.hands.wiring.nutrunner.acknowledge_alarm()
    await asyncio.sleep(RESULT_OUT_S)
    assert (await bolted(station)).ok


async def test_off_takes_the_tool_away_without_a_lease(station: Stacking) -> None:
    await station.enabled()
    station.leases.revoke_all()
    station.devices.nutrunner.off()
    await station.until(lambda: not station.hands.wiring.nutrunner.enabled)


async def test_disabled_it_does_not_turn(station: Stacking) -> None:
    before = await newest_id(station)
    await station.enabled()
    await station.devices.nutrunner.disable(station.lease("nutrunner"))
    assert not station.hands.wiring.nutrunner.enabled
    station.pull()
    assert await made_since(station, before) == []


async def test_stopped_in_the_middle_of_a_tightening_it_has_it_in_its_memory(station: Stacking) -> None:
    before = await newest_id(station)
    await station.enabled()
    station.pull()
    assert await made_since(station, before) == []
    await station.devices.nutrunner.stop(station.lease("nutrunner"))
    assert not station.hands.wiring.nutrunner.enabled
    (made,) = await made_since(station, before)
    assert (made.vin, made.parameter_set) == (station.vin, station.parameter_set)


async def test_a_restart_while_a_bolt_waits_is_told_and_the_tool_is_off(station: Stacking) -> None:
    await station.enabled()
    waiting = asyncio.create_task(result(station))
    await asyncio.sleep(0.1)
    await station.far_end.disturb("serial.restart", "nutrunner", True)
    with pytest.raises(DeviceRestarted):
        await waiting
    assert not station.hands.wiring.nutrunner.enabled
    assert (await bolted(station)).ok


async def test_noise_never_changes_what_was_tightened(station: Stacking) -> None:
    made = await bolted(station)
    async with station.disturbed("serial.garbage", "nutrunner"):
        for _ in range(3):
            outcome = await outcome_of(stored(station, made.tightening_id))
            assert outcome == made or isinstance(outcome, DeviceError)
    await station.until_it_succeeds(lambda: station.devices.nutrunner.identify(station.lease("nutrunner")))
    assert await stored(station, made.tightening_id) == made


async def test_a_late_answer_is_never_taken_for_another_tightening(station: Stacking) -> None:
    first, second = await bolted(station), await bolted(station)
    async with station.disturbed("serial.late", "nutrunner"):
        for made in (first, second):
            outcome = await outcome_of(stored(station, made.tightening_id))
            assert outcome == made or isinstance(outcome, DeviceError)
    await station.until_it_succeeds(lambda: station.devices.nutrunner.identify(station.lease("nutrunner")))
    assert await stored(station, second.tightening_id) == second


async def test_a_revoked_lease_sends_nothing(station: Stacking) -> None:
    nutrunner, lease = station.devices.nutrunner, station.lease("nutrunner")
    await nutrunner.identify(lease)
    station.leases.revoke_all()
    async with station.sends_nothing("nutrunner"):
        for call in (
            nutrunner.identify(lease),
            nutrunner.newest_id(lease),
            nutrunner.stored(lease, UNKNOWN_ID),
            nutrunner.enable(lease, station.vin, station.parameter_set),
            nutrunner.disable(lease),
            nutrunner.stop(lease),
        ):
            with pytest.raises(LeaseRevoked):
                await call


async def test_a_lease_that_is_revoked_while_a_bolt_waits_ends_the_waiting_without_a_word(station: Stacking) -> None:
    await station.enabled()
    waiting = asyncio.create_task(result(station, BRIEFLY))
    await asyncio.sleep(0.1)
    station.leases.revoke_all()
    async with station.sends_nothing("nutrunner"):
        with pytest.raises(LeaseRevoked):
            await waiting
