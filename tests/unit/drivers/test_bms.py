"""What the station takes over from the BMS and gives back: relays, insulation monitor, dividers, balancing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import PlantMode, Relay
from bmsctl.domain.units import Second
from bmsctl.drivers.bms import CanBms
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols.bms_broadcast import AMPR_SMALL
from bmsctl.protocols.dids import bitmap_of
from firmware_stubs.bms import demo_key
from firmware_stubs.plant import Element
from tests.support.bms import Bench, Encode, Scripted, channels_of, golden_exchanges, simulate


def test_relays_follow_only_once_taken() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        with pytest.raises(DeviceTimeout, match="do not follow"):
            await bench.bms.set_relays(bench.lease, {Relay.PRECHARGE})
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.PRECHARGE})
        assert bench.bms.relays() == {Relay.MAIN_PLUS: False, Relay.MAIN_MINUS: False, Relay.PRECHARGE: True}
        await bench.bms.take_relays(bench.lease)
        assert bench.bms.relays() is not None
        assert (bench.bms.relays() or {})[Relay.PRECHARGE], "taking what is held opens nothing"
        await bench.bms.set_relays(bench.lease, frozenset())
        assert bench.bms.relays() == dict.fromkeys(Relay, False)

    simulate(main)


def test_opening_needs_no_lease_and_no_time_and_swallows_a_dead_link() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        bench.leases.revoke_all()
        with pytest.raises(LeaseRevoked):
            await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS, Relay.PRECHARGE})
        asked_s = bench.loop.time()
        bench.bms.open_relays()
        assert bench.loop.time() == asked_s
        await asyncio.sleep(0.03)
        t_s, relay, closed = bench.plant.commands[-1]
        assert (relay, closed) == (Relay.MAIN_MINUS, False)
        assert t_s - asked_s < 0.0205
        bench.bus.station.go_bus_off()
        bench.bms.open_relays()

    simulate(main)


@pytest.mark.parametrize("requests", range(1, 17))
def test_a_driver_that_follows_another_opens_at_once_whatever_counter_came_last(requests: int) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        for _ in range(requests):
            await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        following = CanBms(bench.bus.station, AMPR_SMALL, channels_of(bench.plant), demo_key)
        following.open_relays()
        await asyncio.sleep(0.03)
        assert bench.plant.commands[-1][1:] == (Relay.MAIN_MINUS, False)
        await following.set_relays(bench.lease, {Relay.MAIN_MINUS})

    simulate(main)


def test_the_insulation_monitor_is_switched_without_dropping_the_relays() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        await bench.bms.imd_enable(bench.lease, False)
        with pytest.raises(DeviceRefused, match="switched off"):
            await bench.bms.imd(bench.lease, Second(5.0))
        await bench.bms.imd_enable(bench.lease, True)
        assert await bench.bms.imd(bench.lease, Second(30.0)) == pytest.approx(10e6, rel=0.15)
        assert (bench.bms.relays() or {})[Relay.MAIN_MINUS]

    simulate(main)


def balancing(cells: set[int]) -> dict[int, Encode]:
    """Balancing frames that echo these cells."""
    payloads = AMPR_SMALL.pack_balancing(bitmap_of(cells))
    return {
        can_id: lambda n, t_s, can_id=can_id, payload=payload: AMPR_SMALL.seal(can_id, n, payload)
        for can_id, payload in zip(AMPR_SMALL.balancing.can_ids, payloads, strict=True)
    }


async def dividers_off_and_on(bms: CanBms, lease: Lease) -> None:
    await bms.dividers_enable(lease, False)
    await bms.dividers_enable(lease, True)


Call = Callable[[CanBms, Lease], Awaitable[object]]

CALLS: dict[str, tuple[Call, object]] = {
    "dividers off and on": (dividers_off_and_on, None),
    "balancing of cells 1, 9 and 96": (lambda bms, lease: bms.balance(lease, {1, 9, 96}), None),
    "release": (lambda bms, lease: bms.release(lease), None),
    "nothing taken over": (lambda bms, lease: bms.plant_mode(lease), PlantMode(*5 * [False])),
}


@pytest.mark.parametrize("name", CALLS)
def test_pinned_exchanges(name: str) -> None:
    call, result = CALLS[name]

    async def main() -> None:
        bench = Scripted()
        bench.frames |= balancing({1, 9, 96})
        bench.start()
        bench.due = golden_exchanges()[name]
        assert await call(bench.bms, bench.lease) == result
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)


@pytest.mark.parametrize(
    ("which", "flag"),
    [(0, "relays"), (1, "relays"), (2, "relays"), (3, "insulation_monitor"), (4, "dividers"), (5, "balancing")],
)
def test_each_flag_of_the_plant_mode_is_read(which: int, flag: str) -> None:
    async def main() -> None:
        bench = Scripted()
        bench.due = golden_exchanges()["nothing taken over"]
        request, (answer,) = bench.due[which]
        bench.due[which] = request, [answer[:-2] + "01"]
        bench.due[6] = "22 F1 86", ["62 F1 86 60"]
        assert (await bench.bms.plant_mode(bench.lease)).held == (flag, "session")

    simulate(main)


def test_a_flag_that_is_none_is_an_invalid_reply() -> None:
    async def main() -> None:
        bench = Scripted()
        for answer in ("62 91 E9 02", "62 91 E9", "62 91 E9 00 00"):
            bench.due = [("22 91 E9", [answer])]
            with pytest.raises(ReplyInvalid, match="data identifier 91E9"):
                await bench.bms.plant_mode(bench.lease)

    simulate(main)


def test_balancing_that_is_not_echoed_is_a_timeout_and_is_not_asked_again() -> None:
    async def main() -> None:
        bench = Scripted()
        bench.frames |= balancing({2, 48})
        bench.start()
        bench.due = golden_exchanges()["balancing of cells 1, 9 and 96"]
        with pytest.raises(DeviceTimeout, match="it echoes cells 2, 48"):
            await bench.bms.balance(bench.lease, {1, 9, 96})
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)


def test_a_cell_that_is_not_there_is_not_balanced() -> None:
    async def main() -> None:
        bench = Scripted().start()
        bench.due = golden_exchanges()["balancing of cells 1, 9 and 96"][:4]
        with pytest.raises(ValueError, match="no cell 97"):
            await bench.bms.balance(bench.lease, {97})
        assert bench.strays == []

    simulate(main)


def test_a_divider_that_reads_as_it_was_is_an_invalid_reply() -> None:
    async def main() -> None:
        bench = Scripted()
        bench.due = golden_exchanges()["dividers off and on"][:5]
        bench.due[4] = "22 92 02", ["62 92 02 00"]
        with pytest.raises(ReplyInvalid, match="9202 was written 01 and reads 00"):
            await bench.bms.dividers_enable(bench.lease, False)

    simulate(main)


def test_without_dividers_the_outer_taps_have_no_value() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.dividers_enable(bench.lease, False)
        taps = await bench.bms.taps(bench.lease)
        assert (taps.u_p, taps.u_n, taps.u_link) == (None, None, None)
        assert taps.u_batt == pytest.approx(345.6, rel=0.006)
        await bench.bms.dividers_enable(bench.lease, True)
        await asyncio.sleep(0.03)
        assert (await bench.bms.taps(bench.lease)).u_p == pytest.approx(25.0, abs=0.4)
        assert [(element, closed) for _, element, closed in bench.plant.switched] == [
            (Element.DIVIDERS, False),
            (Element.DIVIDERS, True),
        ]

    simulate(main)


def test_balancing_returns_with_its_echo() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.balance(bench.lease, {1, 49, 96})
        assert bench.plant.bled[-1][1] == 1 | 1 << 48 | 1 << 95
        assert bench.loop.time() - bench.plant.bled[-1][0] < 0.2
        assert (await bench.bms.plant_mode(bench.lease)).held == ("balancing", "session")
        await bench.bms.balance(bench.lease, frozenset())
        assert bench.plant.bled[-1][1] == 0
        assert (await bench.bms.plant_mode(bench.lease)).held == ("session",)

    simulate(main)


def test_everything_taken_is_told_and_given_back() -> None:
    async def main() -> None:
        bench = Bench()
        bms, lease = bench.bms, bench.lease
        await bench.awake()
        assert (await bms.plant_mode(lease)).held == ()
        await bms.take_relays(lease)
        await bms.imd_enable(lease, False)
        await bms.dividers_enable(lease, False)
        await bms.balance(lease, {3})
        await bms.dtc_setting(lease, False)
        assert (await bms.plant_mode(lease)).held == (
            "relays",
            "insulation_monitor",
            "dividers",
            "balancing",
            "session",
        )
        await bms.release(lease)
        assert (await bms.plant_mode(lease)).held == ()
        assert bench.stub.dtcs.setting
        assert bench.plant.bled[-1][1] == 0
        await asyncio.sleep(10.0)
        assert bench.loop.time() - (bms.last_status_s() or 0.0) < 0.2
        assert await bms.imd(lease, Second(30.0)) == pytest.approx(10e6, rel=0.15)

    simulate(main)


def test_nothing_that_can_energise_leaves_under_a_revoked_lease() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        bms = bench.bms
        await bms.take_relays(bench.lease)
        bench.leases.revoke_all()
        sent = len(bench.plant.commands), len(bench.plant.switched), len(bench.plant.bled)
        calls: list[Call] = [
            lambda bms, lease: bms.set_relays(lease, {Relay.MAIN_MINUS}),
            lambda bms, lease: bms.dividers_enable(lease, True),
            lambda bms, lease: bms.balance(lease, {1}),
            lambda bms, lease: bms.release(lease),
        ]
        for call in calls:
            with pytest.raises(LeaseRevoked):
                await call(bms, bench.lease)
        await asyncio.sleep(1.0)
        assert (len(bench.plant.commands), len(bench.plant.switched), len(bench.plant.bled)) == sent

    simulate(main)


def test_samples_of_the_real_thing() -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.current_a = -100.0
        bench.plant.busbar_v = np.array([-8e-3, -9e-3, -10e-3])
        await bench.awake()
        for sample in await bench.bms.samples(bench.lease, 5):
            assert np.abs(sample.voltage_v - 3.6).max() < 4e-3
            assert np.abs(sample.busbar_v - bench.plant.busbar_v).max() < 0.6e-3
            assert sample.current_a == pytest.approx(-100.0, abs=0.7)

    simulate(main)
