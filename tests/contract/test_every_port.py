"""What all ports have in common: plain use, leases and their freshness, deadlines, dead wires, and being asked off."""

from __future__ import annotations

import pytest

from bmsctl.errors import BmsctlError, DeviceError, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid
from tests.contract.calls import (
    DEVICES,
    OFF_BY_THEMSELVES,
    ON_CAN,
    ON_SERIAL,
    WITHOUT_NAME,
    PortCalls,
    calls_of,
    parameters,
    silent,
)
from tests.contract.station import FRESH_S, AnyStation, outcome_of

ROUNDING_S = 1e-6

every_device = pytest.mark.parametrize("device", parameters(*DEVICES))
every_serial_device = pytest.mark.parametrize("device", parameters(*ON_SERIAL))


async def ready(station: AnyStation, device: str) -> PortCalls:
    calls = calls_of(station, device)
    if calls.ready is not None:
        await calls.ready()
    return calls


@every_device
async def test_every_call_succeeds_and_refreshes_the_lease(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    lease = station.lease(device)
    for name, call in calls.every.items():
        began_s = station.now()
        outcome = await outcome_of(call(lease))
        assert not isinstance(outcome, BmsctlError), f"{name}: {outcome}"
        if name != "sense":
            assert lease.fresh_until_s > began_s + FRESH_S, name
        assert lease.fresh_until_s <= station.now() + FRESH_S + ROUNDING_S, name


@every_device
async def test_a_silent_device_ends_every_call_by_its_deadline(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    async with station.disturbed(silent(device), device):
        for name, call in calls.every.items():
            outcome = await outcome_of(call(station.lease(device)))
            assert isinstance(outcome, DeviceTimeout), f"{name}: {outcome}"
            assert outcome.device == device


@every_device
async def test_a_silent_device_is_not_fresh_for_longer_than_its_call(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    call = next(iter(calls.commands.values()))
    async with station.disturbed(silent(device), device):
        with pytest.raises(DeviceTimeout):
            await call(station.lease(device))
        assert station.lease(device).fresh_until_s <= station.now() + FRESH_S + ROUNDING_S


@pytest.mark.bus_off
@pytest.mark.parametrize("device", ON_CAN)
async def test_a_bus_off_is_told_from_a_silent_device(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    async with station.disturbed("can.bus_off", device):
        await tell_a_dead_wire(station, device, calls)


@every_serial_device
async def test_an_unplugged_line_is_told_from_a_silent_device_and_carries_no_older_lease(
    station: AnyStation, device: str
) -> None:
    calls = await ready(station, device)
    older = station.lease(device)
    await station.answered()
    async with station.disturbed("serial.unplugged", device):
        await tell_a_dead_wire(station, device, calls)
    for name, call in calls.commands.items():
        outcome = await outcome_of(call(older))
        assert isinstance(outcome, LinkDown), f"{name}, plugged in again: {outcome}"
    await station.until_it_succeeds(lambda: next(iter(calls.commands.values()))(station.lease(device)))


async def tell_a_dead_wire(station: AnyStation, device: str, calls: PortCalls) -> None:
    """Commands name the link; asking off does not raise."""
    for name, call in calls.commands.items():
        outcome = await outcome_of(call(station.lease(device)))
        assert isinstance(outcome, LinkDown), f"{name}: {outcome}"
    for off in calls.off:
        assert off() is None


@every_device
async def test_a_revoked_lease_commands_nothing(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    lease = station.lease(device)
    station.leases.revoke_all()
    for name, call in calls.commands.items():
        outcome = await outcome_of(call(lease))
        assert isinstance(outcome, LeaseRevoked), f"{name}: {outcome}"


@every_device
async def test_a_device_that_is_back_is_used_again(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    call = next(iter(calls.commands.values()))
    async with station.disturbed(silent(device), device):
        with pytest.raises(DeviceTimeout):
            await call(station.lease(device))
    if device == "plc":
        await station.far_end.reset_plc()
        # As any station that lost its PLC. Answers count again once the PLC has heard which token they are made with.
        station.devices.plc.drop_permit()
        await station.answered()
    await call(station.lease(device))


@pytest.mark.parametrize("device", parameters(*(each for each in DEVICES if each not in OFF_BY_THEMSELVES)))
async def test_asking_off_takes_no_lease_and_never_raises(station: AnyStation, device: str) -> None:
    calls = calls_of(station, device)
    assert calls.off
    station.leases.revoke_all()
    async with station.disturbed(silent(device), device):
        for off in calls.off:
            assert off() is None
    for off in calls.off:
        assert off() is None


@every_serial_device
async def test_an_answer_in_pieces_is_the_same_answer(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    async with station.disturbed("serial.split", device):
        for call in calls.commands.values():
            await call(station.lease(device))


@every_serial_device
async def test_the_answer_to_another_question_is_never_taken(station: AnyStation, device: str) -> None:
    calls = await ready(station, device)
    call = next(iter(calls.commands.values()))
    async with station.disturbed("serial.late", device):
        outcome = await outcome_of(call(station.lease(device)))
        assert isinstance(outcome, (DeviceTimeout, ReplyInvalid)), outcome


@pytest.mark.parametrize("device", parameters(*(each for each in ON_SERIAL if each not in WITHOUT_NAME)))
async def test_noise_never_changes_who_a_device_is(station: AnyStation, device: str) -> None:
    identify = calls_of(station, device).commands["identify"]
    who = await identify(station.lease(device))
    async with station.disturbed("serial.garbage", device):
        for _ in range(2):
            outcome = await outcome_of(identify(station.lease(device)))
            assert outcome == who or isinstance(outcome, DeviceError)
    assert await identify(station.lease(device)) == who
