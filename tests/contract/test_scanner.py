"""The scanner's port."""

from __future__ import annotations

import asyncio
import re

import pytest

from bmsctl.domain.units import Second
from bmsctl.errors import DeviceError, DeviceTimeout, LeaseRevoked, LinkDown
from tests.contract.calls import SCAN_WITHIN
from tests.contract.station import Station, outcome_of

BRIEFLY = Second(1.0)
ANOTHER_LABEL_S = 2.5
"""After so long the same content is another label."""


async def scanned(station: Station, within: Second = SCAN_WITHIN) -> str:
    return await station.devices.scanner.scan(station.lease("scanner"), within)


def require_label(station: Station, content: str) -> None:
    """See that this is the label of a pack as the recipe has it."""
    assert re.fullmatch(station.step("identify").text("label_pattern"), content)


async def test_a_label_is_read_whole(station: Station) -> None:
    require_label(station, await scanned(station))


async def test_one_label_is_not_read_twice(station: Station) -> None:
    await scanned(station)
    with pytest.raises(DeviceTimeout):
        await scanned(station, BRIEFLY)


async def test_the_same_content_later_is_another_label(station: Station) -> None:
    first = await scanned(station)
    await asyncio.sleep(ANOTHER_LABEL_S)
    assert await scanned(station) == first


async def test_the_time_given_ends_a_scan_whatever_happens(station: Station) -> None:
    async with station.disturbed("serial.silent", "scanner"):
        began_s = station.now()
        with pytest.raises(DeviceTimeout):
            await scanned(station, Second(0.5))
        assert station.now() - began_s >= 0.5


async def test_noise_never_changes_a_label(station: Station) -> None:
    async with station.disturbed("serial.garbage", "scanner"):
        outcome = await outcome_of(scanned(station, BRIEFLY))
    if isinstance(outcome, str):
        require_label(station, outcome)
    else:
        assert isinstance(outcome, DeviceError)
    await asyncio.sleep(ANOTHER_LABEL_S)
    require_label(station, await scanned(station))


async def test_an_unplugged_scanner_is_told_at_once_and_used_again(station: Station) -> None:
    async with station.disturbed("serial.unplugged", "scanner"):
        with pytest.raises(LinkDown):
            await scanned(station)
    await station.until_it_succeeds(lambda: scanned(station))


async def test_a_restart_costs_a_read_and_no_more(station: Station) -> None:
    scanning = asyncio.create_task(scanned(station))
    await asyncio.sleep(0.05)
    await station.far_end.disturb("serial.restart", "scanner", True)
    require_label(station, await scanning)


async def test_a_revoked_lease_ends_a_scan(station: Station) -> None:
    await scanned(station)
    scanning = asyncio.create_task(scanned(station))
    await asyncio.sleep(0.05)
    station.leases.revoke_all()
    with pytest.raises(LeaseRevoked):
        await scanning
