"""The HV matrix's port."""

from __future__ import annotations

import asyncio
from collections.abc import Set

import pytest

from bmsctl.domain.ports import Route
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout
from tests.contract.station import Station

WITHIN = Second(3.0)
BRIEFLY = Second(0.3)
TESTER = frozenset({Route.INSULATION_TESTER, Route.TESTER_PLUS, Route.TESTER_MINUS})

MEASUREMENTS = [
    {Route.DIGITIZER, Route.LOAD, Route.LINK_CAPACITOR},
    {Route.DIGITIZER, Route.LINK_CAPACITOR, Route.CYCLER},
    {Route.LOAD},
    {Route.DIGITIZER},
]
"""Sets that the steps need, in an order in which routes open and close."""

ILLEGAL = [
    {Route.CYCLER, Route.LOAD},
    {Route.INSULATION_TESTER, Route.WITHSTAND_TESTER, Route.TESTER_PLUS},
    {Route.DIGITIZER, Route.INSULATION_TESTER, Route.TESTER_PLUS},
]


async def test_exactly_the_routes_asked_for_are_closed(station: Station) -> None:
    await station.permitted()
    for routes in MEASUREMENTS:
        await station.devices.matrix.connect(station.lease("matrix"), routes)
        await station.devices.matrix.await_routes(routes, WITHIN)
        with pytest.raises(DeviceTimeout):
            await station.devices.matrix.await_routes(routes | {Route.WITHSTAND_TESTER}, BRIEFLY)


@pytest.mark.parametrize("routes", ILLEGAL, ids=lambda routes: " + ".join(sorted(routes)))
async def test_routes_that_exclude_each_other_are_refused_and_nothing_moves(
    station: Station, routes: Set[Route]
) -> None:
    await station.permitted()
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER})
    with pytest.raises(DeviceRefused, match="exclude each other"):
        await station.devices.matrix.connect(station.lease("matrix"), routes)
    await station.devices.matrix.await_routes({Route.DIGITIZER}, WITHIN)


async def test_the_digitizer_is_connected_without_permissive(station: Station) -> None:
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER})
    await station.devices.matrix.await_routes({Route.DIGITIZER}, WITHIN)


async def test_routes_with_energy_need_the_plc(station: Station) -> None:
    await station.permitted()
    await station.far_end.disturb("safety.estop", "plc", True)
    await station.until(lambda: station.status().discharging)
    with pytest.raises(DeviceRefused, match="feed"):
        await station.devices.matrix.connect(station.lease("matrix"), {Route.LOAD})


async def test_routes_with_energy_drop_with_the_permissive_and_the_digitizer_stays(station: Station) -> None:
    await station.permitted()
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER, Route.LOAD})
    station.devices.plc.drop_permit()
    await station.devices.matrix.await_routes({Route.DIGITIZER}, WITHIN)


async def test_a_tester_is_refused_while_contactors_could_close(station: Station) -> None:
    await station.permitted()
    with pytest.raises(DeviceRefused, match="coil"):
        await station.devices.matrix.connect(station.lease("matrix"), TESTER)
    await station.devices.plc.feed_coils(station.lease("plc"), on=False)
    await station.devices.matrix.connect(station.lease("matrix"), TESTER)


async def test_a_tester_drops_when_contactors_could_close(station: Station) -> None:
    await station.onto_testers(Route.INSULATION_TESTER)
    await station.devices.plc.feed_coils(station.lease("plc"), on=True)
    await station.devices.matrix.await_routes(frozenset(), WITHIN)


async def test_no_route_but_the_load_is_moved_under_voltage(station: Station) -> None:
    await station.pack_on_poles(frozenset())
    matrix, lease = station.devices.matrix, station.lease("matrix")
    with pytest.raises(DeviceRefused, match="under voltage"):
        await matrix.connect(lease, {Route.DIGITIZER})
    await matrix.await_routes(frozenset(), WITHIN)
    await matrix.connect(lease, {Route.LOAD})
    await matrix.connect(lease, frozenset())


async def test_all_routes_open_without_a_lease(station: Station) -> None:
    await station.permitted()
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER, Route.LOAD})
    station.leases.revoke_all()
    station.devices.matrix.open_all()
    await station.devices.matrix.await_routes(frozenset(), WITHIN)


async def test_silence_is_no_proof_of_routes(station: Station) -> None:
    await station.devices.matrix.connect(station.lease("matrix"), {Route.DIGITIZER})
    async with station.disturbed("can.silent", "matrix"):
        await asyncio.sleep(0.5)
        with pytest.raises(DeviceTimeout):
            await station.devices.matrix.await_routes({Route.DIGITIZER}, BRIEFLY)
