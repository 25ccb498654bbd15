"""The operator's port: somebody who is simulated, and somebody who types at a terminal."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked
from tests.contract.people import Terminal
from tests.contract.stacking import Stacking
from tests.contract.station import FRESH_S

pytestmark = [pytest.mark.stacking, pytest.mark.worlds("sim", "terminal")]

LOAD = Instruction(ManualTask.LOAD, "tray", "Lay the tray on the carrier")
SCAN = Instruction(ManualTask.FETCH, "module 1", "Scan the module's label", "M0000000001")
WITHIN, BRIEFLY = Second(10.0), Second(0.5)
LABEL = "295M24112R;M0000000001"


async def confirmed(station: Stacking | Terminal, within: Second = WITHIN) -> None:
    await station.devices.operator.confirm(station.lease("operator"), LOAD, within)


async def scanned(station: Stacking | Terminal, within: Second = WITHIN) -> str:
    content: str = await station.devices.operator.scan(station.lease("operator"), SCAN, within)
    return content


async def qualified(station: Stacking | Terminal, within: Second = WITHIN) -> str:
    who: str = await station.devices.operator.qualified(station.lease("operator"), "live work", within)
    return who


async def test_what_is_to_be_done_is_read_and_confirmed(station: Stacking | Terminal) -> None:
    await confirmed(station)
    assert station.person.reads(LOAD.text)
    assert station.lease("operator").fresh_until_s == pytest.approx(station.now() + FRESH_S, abs=0.1)


async def test_while_a_person_has_time_nobody_misses_them(station: Stacking | Terminal) -> None:
    station.person.leave()
    lease = station.lease("operator")
    asking = asyncio.create_task(station.devices.operator.confirm(lease, LOAD, WITHIN))
    await asyncio.sleep(0.1)
    assert lease.fresh_until_s >= station.now() + WITHIN - 0.5
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_a_device_reports_is_shown_and_not_waited_for(station: Stacking | Terminal) -> None:
    began_s = station.now()
    await station.devices.operator.show(station.lease("operator"), LOAD)
    assert station.now() - began_s < 0.1
    assert station.person.reads(LOAD.text)


async def test_what_cannot_be_done_is_told_with_the_reason(station: Stacking | Terminal) -> None:
    station.person.refuse("the carrier is bent")
    with pytest.raises(DeviceRefused, match=f"'{LOAD.text}' cannot be done: the carrier is bent"):
        await confirmed(station)


async def test_what_is_scanned_is_returned_as_it_is(station: Stacking | Terminal) -> None:
    station.person.hold(LABEL)
    assert await scanned(station) == LABEL


async def test_who_is_qualified_is_told_always_alike(station: Stacking | Terminal) -> None:
    who = await qualified(station)
    assert who
    assert await qualified(station) == who


async def test_who_is_not_qualified_is_refused(station: Stacking | Terminal) -> None:
    station.person.lose_qualification()
    with pytest.raises(DeviceRefused, match="qualified for live work"):
        await qualified(station)


@pytest.mark.parametrize("ask", [confirmed, scanned, qualified])
async def test_when_nobody_is_there_each_question_ends_in_time(station: Stacking | Terminal, ask: object) -> None:
    station.person.leave()
    began_s = station.now()
    with pytest.raises(DeviceTimeout) as late:
        await ask(station, BRIEFLY)
    assert late.value.device == "operator"
    assert BRIEFLY <= station.now() - began_s < BRIEFLY + 0.3


async def test_a_revoked_lease_asks_nothing(station: Stacking | Terminal) -> None:
    operator, lease = station.devices.operator, station.lease("operator")
    station.leases.revoke_all()
    for call in (
        operator.confirm(lease, LOAD, WITHIN),
        operator.show(lease, LOAD),
        operator.scan(lease, SCAN, WITHIN),
        operator.qualified(lease, "live work", WITHIN),
    ):
        with pytest.raises(LeaseRevoked):
            await call
    assert not station.person.reads(LOAD.text)
    assert not station.person.reads(SCAN.text)


async def test_a_question_that_is_given_up_leaves_no_answer_for_the_next(station: Stacking | Terminal) -> None:
    asking = asyncio.create_task(confirmed(station))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    station.person.hold(LABEL)
    assert await scanned(station) == LABEL
