"""BMS stub: power, start-up, broadcast, contactors, trouble codes; seen from the wire and from the plant."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cantools
import numpy as np
import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Dtc, Relay
from bmsctl.domain.units import Second
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import AMPR_SMALL
from firmware_stubs.bms import BmsCondition
from firmware_stubs.plant import Element, Node
from firmware_stubs.sim.loop import VirtualLoop
from tests.support.bms import IDENTITY, Bench, simulate

DBC: Any = cantools.database.load_file(Path(__file__).parents[4] / "recipes" / "ampr_small.dbc")


def seen(bench: Bench, name: str) -> Mapping[str, Any]:
    """The newest frame of a message, decoded with the message set and nothing of ours."""
    message = DBC.get_message_by_name(name)
    frame = bench.bus.station.newest(message.frame_id)
    assert frame is not None
    return {
        key: str(value) if not isinstance(value, int | float) else value
        for key, value in message.decode(frame.data).items()
    }


def request(closed: set[Relay], alive: int, wrong: int = 0) -> CanFrame:
    data = codec.encode_relay_request(closed, alive)
    return CanFrame(codec.RELAY_REQUEST_ID, bytes((data[0] ^ wrong,)) + data[1:])


async def booted(seed: int) -> float:
    bench = Bench(seed=seed)
    bench.stub.set_supply(kl30=True, kl15=True)
    return await bench.bms.alive(bench.lease, Second(4.0))


def test_boot_takes_800_ms_more_or_less() -> None:
    times_s: list[float] = []

    for seed in range(40):
        loop = VirtualLoop()
        times_s.append(loop.run_until(booted(seed), 10.0))
    assert 0.65 <= min(times_s) < max(times_s) <= 0.9501
    assert np.mean(times_s) == pytest.approx(0.8, abs=0.03)
    assert 0.03 < np.std(times_s) < 0.07


def test_kl30_alone_does_not_wake_it() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.set_supply(kl30=True, kl15=False)
        await asyncio.sleep(5.0)
        assert bench.bms.last_status_s() is None
        bench.stub.set_supply(kl30=True, kl15=True)
        await asyncio.sleep(1.0)
        assert bench.bms.last_status_s() is not None

    simulate(main)


def test_the_first_9_to_26_frames_carry_sentinels() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.set_supply(kl30=True, kl15=True)
        began_s = await bench.bms.alive(bench.lease, Second(4.0))
        assert seen(bench, "BMS_Status")["OperatingState"] == "Boot"
        assert seen(bench, "BMS_Status")["Hvil"] == "SNA"
        first_s: dict[str, float] = {}
        watched = {"BMS_Taps": "U_Batt", "BMS_Cells05": "CellVoltage17", "BMS_Current": "PackCurrent"}
        slow = {"BMS_Temperatures1": "Temperature01", "BMS_Busbars": "BusbarVoltage2"}
        while len(first_s) < 5:
            for name, signal in (watched | slow).items():
                if seen(bench, name)[signal] != "SNA":
                    first_s.setdefault(name, bench.loop.time() - began_s)
            await asyncio.sleep(0.01)
        for name, t_s in first_s.items():
            frames = t_s / (DBC.get_message_by_name(name).cycle_time / 1000)
            low, high = (9, 26) if not name.startswith("BMS_Temp") else (1, 3)
            assert low - 0.5 <= frames <= high + 1.5, name
        assert seen(bench, "BMS_Status")["OperatingState"] == "Run"

    simulate(main)


def test_every_frame_is_in_the_message_set_and_only_those() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        broadcast = [message for message in DBC.messages if message.senders == ["BMS"]]
        assert sorted(bench.bus.schedules) == sorted(message.frame_id for message in broadcast)
        for message in broadcast:
            assert message.length == len(bench.bus.station.newest(message.frame_id).data)  # type: ignore[union-attr]

    simulate(main)


def test_what_is_measured_is_what_the_plant_is() -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.cell_v = np.linspace(3.5, 3.7, 96)
        bench.plant.potential_v.update({Node.B_PLUS: 345.6, Node.P: 300.0, Node.N: -1.0})
        bench.plant.current_a = 100.0
        bench.plant.celsius = np.linspace(15.0, 26.0, 12)
        bench.plant.busbar_v = np.array([8e-3, 9e-3, 10e-3])
        await bench.awake()
        cells = [seen(bench, f"BMS_Cells{1 + k // 4:02d}")[f"CellVoltage{k + 1:02d}"] for k in range(96)]
        assert np.abs(np.array(cells) - bench.plant.cell_v).max() < 4e-3
        taps = seen(bench, "BMS_Taps")
        assert taps["U_Batt"] == pytest.approx(345.6, rel=0.006)
        assert taps["U_P"] == pytest.approx(300.0, rel=0.006)
        assert taps["U_N"] == pytest.approx(-1.0, abs=0.2)
        assert taps["U_Link"] == pytest.approx(301.0, rel=0.006)
        assert seen(bench, "BMS_Current")["PackCurrent"] == pytest.approx(100.0, abs=0.9)
        celsius = [seen(bench, f"BMS_Temperatures{1 + k // 4}")[f"Temperature{k + 1:02d}"] for k in range(12)]
        assert np.abs(np.array(celsius) - bench.plant.celsius).max() < 1.7
        assert seen(bench, "BMS_Busbars")["BusbarVoltage3"] == pytest.approx(10e-3, abs=0.6e-3)

    simulate(main)


def test_kl30_off_is_dead_at_once_and_drops_the_contactors() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        off_s = bench.loop.time()
        bench.stub.set_supply(kl30=False, kl15=True)
        assert bench.plant.commands[-1] == (off_s, Relay.MAIN_MINUS, False)
        await asyncio.sleep(5.0)
        assert (bench.bms.last_status_s() or math.inf) <= off_s

    simulate(main)


def test_sleep_comes_about_25_s_after_the_wake_line_and_not_if_it_returns() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        bench.stub.set_supply(kl30=True, kl15=False)
        await asyncio.sleep(0.2)
        assert seen(bench, "BMS_Status")["OperatingState"] == "ShuttingDown"
        await asyncio.sleep(10.0)
        bench.stub.set_supply(kl30=True, kl15=True)
        await asyncio.sleep(60.0)
        assert bench.loop.time() - (bench.bms.last_status_s() or 0.0) < 0.2
        bench.stub.set_supply(kl30=True, kl15=False)
        off_s = bench.loop.time()
        last_s = await bench.bms.silent(bench.lease, Second(60.0))
        assert 19.0 <= last_s - off_s <= 31.1

    simulate(main)


def test_relay_requests_are_obeyed_only_under_bypass_with_a_right_check_and_a_new_counter() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        link, plant = bench.bus.station, bench.plant
        link.send(request({Relay.PRECHARGE}, 1), bench.lease)
        await asyncio.sleep(0.1)
        assert plant.commands == []
        await bench.bms.take_relays(bench.lease)
        link.send(request({Relay.PRECHARGE}, 2, wrong=1), bench.lease)
        link.send(request({Relay.PRECHARGE}, 1), bench.lease)
        await asyncio.sleep(0.1)
        assert plant.commands == [], "a damaged request, and one whose counter did not move"
        sent_s = bench.loop.time()
        link.send(request({Relay.PRECHARGE}, 3), bench.lease)
        await asyncio.sleep(0.1)
        ((t_s, relay, closed),) = plant.commands
        assert (relay, closed) == (Relay.PRECHARGE, True)
        assert 0.010 <= t_s - sent_s <= 0.0205

    simulate(main)


def test_the_status_echoes_the_drivers_not_the_contacts() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await asyncio.sleep(0.11)
        assert seen(bench, "BMS_Status")["OperatingState"] == "Plant"
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_PLUS, Relay.MAIN_MINUS})
        status = seen(bench, "BMS_Status")
        assert (status["MainPlusDriver"], status["MainMinusDriver"], status["PrechargeDriver"]) == ("On", "On", "Off")

    simulate(main)


def test_the_bypass_ends_with_the_session_and_the_contactors_open() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        await asyncio.sleep(20.0)
        assert len(bench.plant.commands) == 1, "tester present holds the session"
        bench.leases.revoke_all()
        lost_s = bench.loop.time()
        await asyncio.sleep(8.0)
        t_s, relay, closed = bench.plant.commands[-1]
        assert (relay, closed) == (Relay.MAIN_MINUS, False)
        assert 3.0 <= t_s - lost_s <= 5.1
        assert seen(bench, "BMS_Status")["OperatingState"] == "Run"

    simulate(main)


@pytest.mark.parametrize(
    ("condition", "changed"),
    [
        (BmsCondition(), {}),
        (BmsCondition(software_version="0099"), {"software_version": "0099"}),
        (BmsCondition(pack_serial="AS52000009999"), {"pack_serial": "AS52000009999"}),
    ],
)
def test_identity_as_built_or_as_the_defect_says(condition: BmsCondition, changed: dict[str, str]) -> None:
    async def main() -> None:
        bench = Bench(condition)
        await bench.awake()
        assert await bench.bms.identity(bench.lease) == replace(IDENTITY, **changed)

    simulate(main)


def test_a_foreign_trouble_code_is_stored_and_comes_back_1_to_2_s_after_wake_and_after_clearing() -> None:
    async def main() -> None:
        bench = Bench(BmsCondition(dtcs=(0x1B1087,)))
        bench.stub.set_supply(kl30=True, kl15=True)
        await bench.bms.alive(bench.lease, Second(4.0))
        (dtc,) = await bench.bms.dtcs(bench.lease)
        assert (dtc.code, dtc.status & 0x09) == (0x1B1087, 0x08), "confirmed long ago, not failing yet"
        await asyncio.sleep(2.0)
        (dtc,) = await bench.bms.dtcs(bench.lease)
        assert dtc.status & 0x09 == 0x09
        await bench.bms.clear_dtcs(bench.lease)
        cleared_s = bench.loop.time()
        back: Sequence[Dtc] = ()
        while not back:
            await asyncio.sleep(0.05)
            back = await bench.bms.dtcs(bench.lease)
        assert 1.0 <= bench.loop.time() - cleared_s <= 2.1

    simulate(main)


def plus_welded(bench: Bench) -> None:
    bench.plant.potential_v[Node.P] = bench.plant.potential_v[Node.B_PLUS]


def thermistor_off(bench: Bench) -> None:
    bench.plant.celsius[4] = 45.0


def wire_open(bench: Bench) -> None:
    bench.plant.cell_v[10] = math.nan


def cell_dead(bench: Bench) -> None:
    bench.plant.cell_v[10] = 0.3


def stack_disagrees(bench: Bench) -> None:
    bench.plant.potential_v[Node.B_PLUS] = 360.0


def insulation_gone(bench: Bench) -> None:
    bench.plant.insulation = (20e6, 15e3)


def loop_open(bench: Bench) -> None:
    bench.plant.loop_open_s = [(0.0, math.inf)]


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (lambda bench: None, []),
        (plus_welded, ["1B0A-73"]),
        (thermistor_off, ["1B04-64"]),
        (wire_open, ["1B01-13"]),
        (cell_dead, ["1B01-64"]),
        (stack_disagrees, ["1B02-64"]),
        (insulation_gone, ["1BA2-1A"]),
        (loop_open, ["1B18-13"]),
    ],
)
def test_the_bms_sets_what_it_really_sees(spoil: Callable[[Bench], None], codes: list[str]) -> None:
    async def main() -> None:
        bench = Bench()
        spoil(bench)
        await bench.awake()
        await asyncio.sleep(15.0)
        assert [str(dtc) for dtc in await bench.bms.dtcs(bench.lease)] == codes

    simulate(main)


def test_an_open_temperature_sensor_is_a_sentinel_and_a_trouble_code() -> None:
    async def main() -> None:
        bench = Bench(BmsCondition(sensor_open=frozenset({5})))
        await bench.awake()
        celsius = await bench.bms.temperatures(bench.lease)
        assert [index for index, value in enumerate(celsius, 1) if value is None] == [5]
        assert [str(dtc) for dtc in await bench.bms.dtcs(bench.lease)] == ["1B04-13"]

    simulate(main)


def test_a_plus_pole_that_is_meant_to_be_closed_is_no_weld() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.PRECHARGE})
        plus_welded(bench)
        await asyncio.sleep(3.0)
        assert await bench.bms.dtcs(bench.lease) == []

    simulate(main)


@pytest.mark.parametrize(("poles", "ohm"), [((20e6, 20e6), 10e6), ((100e3, 20e6), 99.5e3), ((5e3, 20e6), 5e3)])
def test_the_insulation_monitor_settles_from_below_on_both_poles_in_parallel(
    poles: tuple[float, float], ohm: float
) -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.insulation = poles
        bench.stub.set_supply(kl30=True, kl15=True)
        began_s = await bench.bms.alive(bench.lease, Second(4.0))
        states: dict[str, float] = {}
        values: list[float] = []
        while "Settled" not in states:
            insulation = seen(bench, "BMS_Insulation")
            states.setdefault(insulation["InsulationState"], bench.loop.time() - began_s)
            if insulation["InsulationResistance"] != "SNA":
                values.append(insulation["InsulationResistance"])
            await asyncio.sleep(1.0)
        assert list(states) == ["NotReady", "Measuring", "Settled"]
        assert 5.0 < states["Settled"] <= 30.0
        assert values[0] < values[-1] * 1.05
        assert values[-1] == pytest.approx(ohm, rel=0.12)

    simulate(main)


def test_above_its_range_the_monitor_saturates() -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.insulation = (200e6, 200e6)
        await bench.awake()
        await asyncio.sleep(15.0)
        assert seen(bench, "BMS_Insulation")["InsulationResistance"] == "AboveRange"
        assert await bench.bms.imd(bench.lease, Second(5.0)) == 65534 * 200.0

    simulate(main)


@pytest.mark.parametrize("closing", [False, True])
def test_the_interlock_flag_follows_the_loop_after_about_150_ms(closing: bool) -> None:
    delays_s: list[float] = []

    async def main(seed: int) -> None:
        bench = Bench(seed=seed)
        await bench.awake()
        changed_s = bench.loop.time() + 0.033
        bench.plant.loop_open_s = [(0.0, changed_s)] if closing else [(changed_s, math.inf)]
        await asyncio.sleep(0.0)
        before, after = ("Open", "Closed") if closing else ("Closed", "Open")
        while bench.loop.time() < changed_s + 0.12:
            assert seen(bench, "BMS_Status")["Hvil"] == before
            await asyncio.sleep(0.01)
        followed_s = await bench.bms.hvil_becomes(bench.lease, closing, Second(0.5))
        assert seen(bench, "BMS_Status")["Hvil"] == after
        delays_s.append(followed_s - changed_s)

    for seed in range(8):
        VirtualLoop().run_until(main(seed), 20.0)
    assert min(delays_s) >= 0.12
    assert max(delays_s) <= 0.281


@pytest.mark.parametrize(
    ("stretches", "setting", "codes"),
    [
        ([(1.0, 1.25)], True, []),
        ([(1.0, 1.45)], True, ["1B18-13"]),
        ([(1.0, 1.2), (1.3, 1.5), (1.6, 1.8)], True, []),
        ([(1.0, 1.45)], False, []),
        ([(1.0, 9.0)], False, ["1B18-13"]),
    ],
)
def test_a_loop_open_for_longer_than_300_ms_is_stored_unless_codes_are_off(
    stretches: list[tuple[float, float]], setting: bool, codes: list[str]
) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.dtc_setting(bench.lease, setting)
        now_s = bench.loop.time()
        bench.plant.loop_open_s = [(now_s + from_s, now_s + to_s) for from_s, to_s in stretches]
        await asyncio.sleep(4.0)
        await bench.bms.dtc_setting(bench.lease, True)
        await asyncio.sleep(1.0)
        assert [str(dtc) for dtc in await bench.bms.dtcs(bench.lease)] == codes

    simulate(main)


def test_dividers_and_balancing_end_with_the_session_and_with_the_supply() -> None:
    async def main() -> None:
        for seed, lost_after_s in ((1, 5.1), (2, 0.001)):
            bench = Bench(seed=seed)
            await bench.awake()
            await bench.bms.dividers_enable(bench.lease, False)
            await bench.bms.balance(bench.lease, {7, 90})
            assert seen(bench, "BMS_Balancing2")["BalancingSwitches2"] == 1 << 41
            assert seen(bench, "BMS_Taps")["U_P"] == "SNA"
            bench.leases.revoke_all()
            lost_s = bench.loop.time()
            if seed == 2:
                bench.stub.set_supply(kl30=False, kl15=False)
            await asyncio.sleep(8.0)
            assert bench.plant.bled[-1][1] == 0
            assert bench.plant.switched[-1][1:] == (Element.DIVIDERS, True)
            assert bench.plant.bled[-1][0] - lost_s <= lost_after_s
            if seed == 1:
                assert seen(bench, "BMS_Balancing2")["BalancingSwitches2"] == 0
                assert seen(bench, "BMS_Taps")["U_P"] == pytest.approx(25.0, abs=0.5)

    simulate(main)


async def until(happened: Callable[[], object]) -> None:
    """Return within half a millisecond of it."""
    while True:
        if happened():
            return
        await asyncio.sleep(0.0005)


def test_frames_already_sent_keep_what_was_before() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        work = asyncio.ensure_future(bench.bms.dividers_enable(bench.lease, False))
        await until(lambda: bench.plant.switched)
        assert seen(bench, "BMS_Taps")["U_P"] == pytest.approx(25.0, abs=0.5)
        await work
        work = asyncio.ensure_future(bench.bms.balance(bench.lease, {1}))
        await until(lambda: bench.plant.bled)
        assert seen(bench, "BMS_Balancing1")["BalancingSwitches1"] == 0
        await work
        assert seen(bench, "BMS_Balancing1")["BalancingSwitches1"] == 1
        assert seen(bench, "BMS_Taps")["U_P"] == "SNA"

    simulate(main)


def test_the_sleep_delay_survives_a_loss_of_supply() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.set_sleep_delay(bench.lease, Second(2.0))
        bench.stub.set_supply(kl30=False, kl15=False)
        await asyncio.sleep(2.0)
        await bench.awake()
        bench.stub.set_supply(kl30=True, kl15=False)
        off_s = bench.loop.time()
        assert 1.4 < await bench.bms.silent(bench.lease, Second(10.0)) - off_s < 2.6

    simulate(main)


def test_supply_current_through_a_units_life() -> None:
    async def main() -> None:
        bench = Bench()
        stub, now = bench.stub, bench.loop.time
        assert stub.supply_current_a(now()) == 0.0
        await asyncio.sleep(2.0)
        stub.set_supply(kl30=True, kl15=False)
        asleep_s = now()
        await asyncio.sleep(20.0)
        assert stub.mean_supply_current_a(0.0, asleep_s) == 0.0
        quiescent_a = stub.mean_supply_current_a(asleep_s + 3.3, asleep_s + 13.3)
        assert 0.2e-3 <= quiescent_a <= 1.4e-3
        stub.set_supply(kl30=True, kl15=True)
        await asyncio.sleep(4.0)
        assert stub.supply_current_a(now()) == pytest.approx(0.30, abs=0.03)
        awake_a = stub.supply_current_a(now())
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS, Relay.PRECHARGE})
        assert stub.supply_current_a(now()) == pytest.approx(awake_a + 1.8)
        bench.bms.open_relays()
        await asyncio.sleep(0.1)
        assert stub.supply_current_a(now()) == pytest.approx(awake_a)
        stub.set_supply(kl30=False, kl15=False)
        assert stub.supply_current_a(now()) == 0.0

    simulate(main)


def test_the_same_seed_gives_the_same_bytes_however_often_they_are_read() -> None:
    def record(seed: int, poll_s: float) -> list[bytes]:
        async def main() -> list[bytes]:
            bench = Bench(seed=seed)
            await bench.awake()
            data: list[bytes] = []
            for turn in range(1, 51):
                await asyncio.sleep(poll_s)
                ids = sorted(AMPR_SMALL.period_s) if turn % round(0.5 / poll_s) == 0 else [codec.CURRENT_ID]
                frames = [bench.bus.station.newest(can_id) for can_id in ids]
                if len(ids) > 1:
                    data += [frame.data for frame in frames if frame is not None]
                if turn * poll_s > 2.4999:
                    break
            return data

        return VirtualLoop().run_until(main(), 60.0)

    often, seldom, other = record(1, 0.05), record(1, 0.5), record(2, 0.5)
    assert len(often) == 5 * len(AMPR_SMALL.period_s)
    assert often == seldom
    assert seldom != other
