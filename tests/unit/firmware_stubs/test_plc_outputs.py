"""What the safety PLC switches at a station's request, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from firmware_stubs.plant import Element, Node
from firmware_stubs.sim.wire import CAN_FRAME_S
from tests.support.plc_station import ADAPTER, PlcStation, on_loop, switched


@on_loop
async def test_cut_coils_leave_the_permissive_and_the_sources_go_first() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=True, coils=False)
    asked_s = station.loop.time() + CAN_FRAME_S
    await asyncio.sleep(0.1)
    assert switched(station.plant.since(asked_s), asked_s) == [
        ("source", False, 0.0),
        ("coils", False, 0.020),
        ("coils told", False, 0.020),
        ("source", True, 0.020),
    ]
    assert station.status().flags & (plc.PERMISSIVE | plc.COIL_SUPPLY) == plc.PERMISSIVE
    assert [change.flags & plc.COIL_SUPPLY for change in station.changes[-2:]] == [plc.COIL_SUPPLY, 0]


@on_loop
async def test_before_coils_are_fed_again_the_matrix_learns_of_it_and_the_poles_are_proved() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=True, coils=False)
    await asyncio.sleep(0.1)
    station.request(permit=True, coils=True)
    asked_s = station.loop.time() + CAN_FRAME_S
    await asyncio.sleep(0.2)
    assert switched(station.plant.since(asked_s), asked_s) == [
        ("coils told", True, 0.0),
        ("pe_proof", True, 0.015),
        ("pe_proof", False, 0.115),
        ("coils", True, 0.115),
        ("coils told", True, 0.115),
    ]
    assert station.status().flags & plc.COIL_SUPPLY


@pytest.mark.parametrize("potential_v", [{Node.P: 70.0, Node.N: 70.0}, {Node.P: 70.0}, {Node.N: -70.0}])
def test_coils_are_not_fed_while_the_poles_are_live(potential_v: dict[Node, float]) -> None:
    async def main() -> None:
        station = PlcStation()
        await station.permitted()
        station.request(permit=True, coils=False)
        await asyncio.sleep(0.1)
        station.plant.potential_v = potential_v
        station.request(permit=True, coils=True)
        await asyncio.sleep(0.2)
        assert station.changes[-1].refusal is Refusal.POLES_LIVE
        assert station.status().flags & (plc.PERMISSIVE | plc.COIL_SUPPLY) == plc.PERMISSIVE
        assert station.plant.log[-1][1:] == ("coils told", False)
        station.plant.potential_v = {}
        station.request(permit=True, coils=True)
        await asyncio.sleep(0.2)
        assert station.status().flags & plc.COIL_SUPPLY

    on_loop(main)()


@on_loop
async def test_the_last_of_two_wishes_for_the_coils_wins() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=True, coils=False)
    await asyncio.sleep(0.005)
    station.request(permit=True, coils=True)
    await asyncio.sleep(0.2)
    assert ("coils", False) not in [entry[1:] for entry in station.plant.since(0.06)]
    assert station.plant.log[-1][1:] == ("source", True)
    station.request(permit=True, coils=False)
    await asyncio.sleep(0.1)
    station.request(permit=True, coils=True)
    await asyncio.sleep(0.005)
    station.request(permit=True, coils=False)
    await asyncio.sleep(0.1)
    assert station.plant.log[-2:][0][1:] == ("coils told", False)
    assert not station.status().flags & plc.COIL_SUPPLY


@pytest.mark.parametrize("after_s", [0.005, 0.05])
@pytest.mark.parametrize("end", ["e-stop", "dropped"])
def test_energy_removed_while_the_coils_are_to_be_fed_again_comes_back_with_nothing(end: str, after_s: float) -> None:
    async def main() -> None:
        station = PlcStation()
        await station.permitted()
        station.request(permit=True, coils=False)
        await asyncio.sleep(0.1)
        station.request(permit=True, coils=True)
        await asyncio.sleep(after_s)
        before = len(station.plant.log)
        if end == "e-stop":
            station.stub.press_estop()
        else:
            station.request(permit=False, coils=True)
        await asyncio.sleep(1.0)
        assert {what for _, what, on in station.plant.log[before:] if on} <= {"discharge", "pe_proof"}
        assert station.plant.closed(Element.PE_PROOF)
        assert not station.status().flags & plc.COIL_SUPPLY

    on_loop(main)()


@on_loop
async def test_a_new_grant_begins_with_the_coils_fed() -> None:
    station = PlcStation()
    await station.permitted()
    station.request(permit=True, coils=False)
    await asyncio.sleep(0.1)
    station.request(permit=False, coils=False)
    await asyncio.sleep(1.0)
    station.token += 1
    station.request(permit=True)
    await asyncio.sleep(0.1)
    assert station.status().flags & (plc.PERMISSIVE | plc.COIL_SUPPLY) == plc.PERMISSIVE | plc.COIL_SUPPLY


@on_loop
async def test_the_interlock_loop_opens_and_closes_by_a_relay_permitted_or_not() -> None:
    station = PlcStation()
    await asyncio.sleep(0.11)
    for closed in (False, True):
        station.request(permit=False, hvil=closed)
        asked_s = station.loop.time() + CAN_FRAME_S
        await asyncio.sleep(0.1)
        assert switched(station.plant.since(asked_s), asked_s) == [("hvil", closed, 0.015)]
        assert bool(station.changes[-1].flags & plc.HVIL_BRIDGED) is closed
    station.request(permit=False, hvil=False)
    await asyncio.sleep(0.1)
    station.request(permit=False, hvil=True, alive=station.alive)
    await asyncio.sleep(0.1)
    assert not station.status().flags & plc.HVIL_BRIDGED


@on_loop
async def test_air_temperature_and_adapter_come_twice_a_second() -> None:
    station = PlcStation()
    await asyncio.sleep(0.01)
    first = station.sense()
    assert first.air_c == pytest.approx(22.0, abs=4 * 0.3)
    assert first.adapter == ADAPTER
    station.stub.adapter = plc.ADAPTER_SHORTED
    await asyncio.sleep(0.4)
    assert station.sense() == first
    await asyncio.sleep(0.1)
    assert station.sense() == plc.Sense(first.air_c, 255, first.alive + 1)
