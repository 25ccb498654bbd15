"""Driver and firmware together, for packs that fill their message set and for packs that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.message_sets import Channels
from bmsctl.domain.ports import Relay
from bmsctl.domain.units import Second
from bmsctl.drivers.bms import CanBms
from bmsctl.errors import ReplyInvalid
from bmsctl.protocols.bms_broadcast import AMPR_MEDIUM, AMPR_SMALL, CORE_ONLY, RELAY_REQUEST_ID, MessageSet
from bmsctl.protocols.dids import BUSBAR_VOLTAGE, TEMPERATURE, Did, temperature_did
from firmware_stubs.bms import BmsCondition, demo_key
from tests.support.bms import Bench, FakePlant, simulate


def plant(cells: int, sensors: int, bars: int) -> FakePlant:
    """Every channel with a value of its own."""
    return FakePlant(
        cell_v=3.5 + 0.005 * np.arange(cells),
        celsius=20.0 + 0.5 * np.arange(sensors),
        busbar_v=1e-3 * np.arange(1, bars + 1),
    )


PACKS = {
    "as40": (AMPR_SMALL, (72, 9, 2)),
    "as52": (AMPR_SMALL, (96, 12, 3)),
    "am40": (AMPR_MEDIUM, (96, 16, 7)),
    "am60": (AMPR_MEDIUM, (96, 24, 11)),
}
EACH_PACK = pytest.mark.parametrize(("messages", "channels"), PACKS.values(), ids=PACKS)


def simulate_awake(
    messages: MessageSet,
    pack: FakePlant,
    test: Callable[[Bench], Awaitable[None]],
    condition: BmsCondition | None = None,
) -> None:
    async def main() -> None:
        bench = Bench(condition, messages=messages, plant=pack)
        await bench.awake()
        await test(bench)

    simulate(main)


@EACH_PACK
def test_a_pack_reports_its_own_channels_and_no_more(messages: MessageSet, channels: tuple[int, int, int]) -> None:
    pack = plant(*channels)

    async def test(bench: Bench) -> None:
        (snapshot,) = await bench.bms.cells(bench.lease, 1)
        assert np.abs(snapshot.voltage_v - pack.cell_v).max() < 5e-3
        celsius = np.array(await bench.bms.temperatures(bench.lease), float)
        assert np.abs(celsius - pack.celsius).max() < 2.0
        (sample,) = await bench.bms.samples(bench.lease, 1)
        assert sample.voltage_v.shape == (channels[0],)
        assert np.abs(sample.busbar_v - pack.busbar_v).max() < 1e-3
        assert await bench.bms.frame_errors(bench.lease, Second(1.0)) == 0
        assert await bench.bms.open_wire(bench.lease) == []
        assert bench.bms.dbc_revision() == messages.revision

    simulate_awake(messages, pack, test)


@EACH_PACK
def test_a_pack_is_ready_although_channels_it_lacks_are_sentinels(
    messages: MessageSet, channels: tuple[int, int, int]
) -> None:
    async def main() -> None:
        bench = Bench(messages=messages, plant=plant(*channels))
        bench.stub.set_supply(kl30=True, kl15=True)
        await bench.bms.alive(bench.lease, Second(2.0))
        await bench.bms.ready(bench.lease, Second(5.0))
        (snapshot,) = await bench.bms.cells(bench.lease, 1)
        assert not np.isnan(snapshot.voltage_v).any()

    simulate(main)


@EACH_PACK
def test_the_last_channel_of_each_kind_is_watched(messages: MessageSet, channels: tuple[int, int, int]) -> None:
    cells, sensors, _ = channels
    pack = plant(*channels)
    pack.cell_v[-1] = np.nan

    async def test(bench: Bench) -> None:
        (snapshot,) = await bench.bms.cells(bench.lease, 1)
        assert np.flatnonzero(np.isnan(snapshot.voltage_v)).tolist() == [cells - 1]
        assert await bench.bms.open_wire(bench.lease) == [cells]
        celsius = await bench.bms.temperatures(bench.lease)
        assert [index for index, value in enumerate(celsius, 1) if value is None] == [sensors]

    simulate_awake(messages, pack, test, BmsCondition(sensor_open=frozenset({sensors})))


@EACH_PACK
def test_every_cell_can_be_balanced_and_none_beyond(messages: MessageSet, channels: tuple[int, int, int]) -> None:
    cells = channels[0]
    pack = plant(*channels)

    async def test(bench: Bench) -> None:
        await bench.bms.balance(bench.lease, {1, cells})
        assert pack.bled[-1][1] == 1 | 1 << cells - 1
        with pytest.raises(ValueError, match=f"no cell {cells + 1}"):
            await bench.bms.balance(bench.lease, {cells + 1})
        await bench.bms.balance(bench.lease, set())
        assert pack.bled[-1][1] == 0

    simulate_awake(messages, pack, test)


@EACH_PACK
def test_frames_are_fd_as_the_set_says_and_what_the_station_sends_is_classic(
    messages: MessageSet, channels: tuple[int, int, int]
) -> None:
    async def test(bench: Bench) -> None:
        sent: list[tuple[int, bool, int]] = []
        bench.bus.tap = lambda frame: sent.append((frame.can_id, frame.fd, len(frame.data)))
        for can_id in messages.period_s:
            frame = bench.bus.station.newest(can_id)
            assert frame is not None
            assert (frame.fd, len(frame.data)) == (messages.fd, messages.length[can_id])
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.MAIN_MINUS})
        assert (RELAY_REQUEST_ID, False, 2) in sent
        assert {(fd, length > 8) for _, fd, length in sent} == {(False, False)}
        assert bench.bms.relays() == {Relay.MAIN_PLUS: False, Relay.MAIN_MINUS: True, Relay.PRECHARGE: False}

    simulate_awake(messages, plant(*channels), test)


def test_data_identifiers_of_sensors_and_bars_step_over_the_bitmaps() -> None:
    """Sensor 16 would fall on 9140, which is a bitmap."""
    pack = plant(96, 24, 11)
    assert [temperature_did(sensor) for sensor in (1, 15, 16, 24)] == [0x9131, 0x913F, 0x9141, 0x9149]

    async def test(bench: Bench) -> None:
        for sensor in range(1, 25):
            celsius = TEMPERATURE.decode(bench.stub.dids[temperature_did(sensor)].read())
            assert celsius == pytest.approx(pack.celsius[sensor - 1], abs=2.0)
        for bar in range(11):
            volts = BUSBAR_VOLTAGE.decode(bench.stub.dids[Did.BUSBAR_FIRST + bar].read())
            assert volts == pytest.approx(pack.busbar_v[bar], abs=1e-3)

    simulate_awake(AMPR_MEDIUM, pack, test)


def test_a_unit_that_speaks_the_other_set_is_not_believed() -> None:
    async def test(bench: Bench) -> None:
        listener = CanBms(bench.bus.station, AMPR_MEDIUM, Channels(96, 24, 11), demo_key)
        with pytest.raises(ReplyInvalid, match="0x207 in a row are damaged"):
            await listener.cells(bench.lease, 1)
        assert listener.dbc_revision() == AMPR_SMALL.revision

    simulate_awake(AMPR_SMALL, FakePlant(), test)


def test_without_a_known_set_a_station_still_hears_current_and_coils() -> None:
    async def test(bench: Bench) -> None:
        bench.plant.current_a = -30.0
        stranger = CanBms(bench.bus.station, CORE_ONLY, Channels(0, 0, 0), demo_key)
        assert await stranger.current(bench.lease) == pytest.approx(-30.0, abs=0.5)
        await bench.bms.take_relays(bench.lease)
        for closed in ({Relay.MAIN_MINUS}, {Relay.MAIN_MINUS, Relay.PRECHARGE}):
            await bench.bms.set_relays(bench.lease, closed)
        stranger.open_relays()
        await asyncio.sleep(0.2)
        assert bench.bms.relays() == dict.fromkeys(Relay, False)

    simulate_awake(AMPR_MEDIUM, plant(96, 24, 11), test)
