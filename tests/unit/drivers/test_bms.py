"""BMS driver: good values come through, and nothing that is damaged, stale or missing does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import Relay
from bmsctl.domain.units import Second
from bmsctl.drivers.bms import CanBms
from bmsctl.errors import DeviceRefused, DeviceTimeout, LeaseRevoked, LinkDown, ReplyInvalid
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import Hvil, InsulationState, OperatingState, Taps
from firmware_stubs.bms import BmsCondition
from firmware_stubs.ports import Cyclic
from firmware_stubs.sim.loop import VirtualLoop
from firmware_stubs.sim.wire import SimCan
from tests.support.bms import IDENTITY, Bench, cell_frames, temperature_frames

Encode = Callable[[int, float], bytes]


def simulate(main: Callable[[], Awaitable[None]]) -> None:
    loop = VirtualLoop()
    loop.run_until(main(), 200.0)
    assert loop.errors == []


async def endlessly(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()


class Scripted:
    """A broadcast of chosen bytes: good values, except for the identifiers a test replaces."""

    def __init__(self, **replaced: Encode) -> None:
        self.loop = asyncio.get_running_loop()
        self.bus = SimCan("bms")
        self.port = self.bus.ecu("bms")
        self.bms = CanBms(self.bus.station, key=bytes)
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)
        volts, celsius = np.full(96, 3.6), np.full(12, 25.0)
        frames: dict[int, Encode] = {
            codec.CURRENT_ID: lambda n, t_s: codec.encode_current(-2.5, n),
            codec.TAPS_ID: lambda n, t_s: codec.encode_taps(Taps(345.6, 25.0, 25.0, 0.0), n),
            codec.STATUS_ID: lambda n, t_s: codec.encode_status(OperatingState.RUN, Hvil.CLOSED, set(), n),
            codec.INSULATION_ID: lambda n, t_s: codec.encode_insulation(10e6, InsulationState.SETTLED, n),
        }
        for index, can_id in enumerate(codec.CELL_IDS):
            frames[can_id] = lambda n, t_s, index=index: cell_frames(volts, n)[index]
        for index, can_id in enumerate(codec.TEMPERATURE_IDS):
            frames[can_id] = lambda n, t_s, index=index: temperature_frames(celsius, n)[index]
        frames |= {getattr(codec, name.upper() + "_ID"): encode for name, encode in replaced.items()}
        self.frames = frames

    def start(self, but: tuple[int, ...] = ()) -> Scripted:
        self.port.start(
            Cyclic(can_id, codec.PERIOD_S[can_id], encode)
            for can_id, encode in self.frames.items()
            if can_id not in but
        )
        return self


def test_values_of_a_good_broadcast() -> None:
    async def main() -> None:
        bench = Scripted().start()
        bms, lease = bench.bms, bench.lease
        assert await bms.current(lease) == -2.5
        taps = await bms.taps(lease)
        assert (taps.u_batt, taps.u_p, taps.u_n, taps.u_link) == (345.6, 25.0, 25.0, 0.0)
        snapshots = await bms.cells(lease, 3)
        assert all(np.allclose(shot.voltage_v, 3.6, atol=0.5 / 1024) for shot in snapshots)
        assert np.diff([shot.t_s for shot in snapshots]) == pytest.approx(0.1)
        assert await bms.temperatures(lease) == [25.0] * 12
        assert await bms.imd(lease, Second(5.0)) == 10e6
        assert bms.relays() == dict.fromkeys(Relay, False)
        assert bms.dbc_revision() == codec.DBC_REVISION
        assert await bms.frame_errors(lease, Second(2.0)) == 0

    simulate(main)


def test_before_the_first_frame() -> None:
    async def main() -> None:
        bench = Scripted()
        assert bench.bms.relays() is None
        assert bench.bms.last_frame_s() is None
        assert bench.bms.dbc_revision() is None
        with pytest.raises(DeviceTimeout, match="no frame 0x120"):
            await bench.bms.taps(bench.lease)
        assert bench.loop.time() == pytest.approx(0.3, abs=0.02)

    simulate(main)


def test_values_are_of_after_the_call() -> None:
    async def main() -> None:
        bench = Scripted().start()
        await asyncio.sleep(1.0)
        for _ in range(5):
            asked_s = bench.loop.time()
            assert (await bench.bms.taps(bench.lease)).t_s > asked_s
            assert bench.loop.time() - asked_s < 0.025

    simulate(main)


@pytest.mark.parametrize("unplug", ["mute", "stop"])
def test_a_bms_that_falls_silent_is_found_within_300_ms(unplug: str) -> None:
    async def main() -> None:
        bench = Scripted().start()
        await bench.bms.taps(bench.lease)
        bench.port.mute(True) if unplug == "mute" else bench.port.stop()
        fell_s = bench.loop.time()
        with pytest.raises(DeviceTimeout, match="check the pack's signal connector"):
            await endlessly(lambda: bench.bms.taps(bench.lease))
        assert bench.loop.time() - fell_s < 0.35
        assert bench.loop.time() - (bench.bms.last_frame_s() or 0.0) > 0.3

    simulate(main)


def test_bus_off_is_link_down() -> None:
    async def main() -> None:
        bench = Scripted().start()
        await asyncio.sleep(0.5)
        bench.bus.station.bus_off = True
        with pytest.raises(LinkDown, match="bus_off"):
            await bench.bms.taps(bench.lease)

    simulate(main)


def damaged(encode: Encode, every: int) -> Encode:
    """Every so many-th frame with one wrong bit."""

    def data(n: int, t_s: float) -> bytes:
        good = encode(n, t_s)
        return good if n % every else bytes((good[0], good[1] ^ 0x80)) + good[2:]

    return data


def current(n: int, t_s: float) -> bytes:
    return codec.encode_current(1.0, n)


def taps(n: int, t_s: float) -> bytes:
    return codec.encode_taps(Taps(345.6, 25.0, 25.0, 0.0), n)


def test_damaged_frames_are_dropped_and_counted() -> None:
    async def main() -> None:
        bench = Scripted(current=damaged(current, 10)).start()
        assert await bench.bms.frame_errors(bench.lease, Second(1.0)) in (9, 10, 11)
        for _ in range(30):
            assert await bench.bms.current(bench.lease) == 1.0

    simulate(main)


def test_nothing_but_damaged_frames_is_an_invalid_reply() -> None:
    async def main() -> None:
        bench = Scripted(taps=damaged(taps, 1)).start()
        with pytest.raises(ReplyInvalid, match="5 frames 0x120 in a row are damaged"):
            await bench.bms.taps(bench.lease)

    simulate(main)


def test_wrong_length_counts_as_damage() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: taps(n, t_s)[:-1]).start()
        with pytest.raises(ReplyInvalid, match="damaged"):
            await bench.bms.taps(bench.lease)

    simulate(main)


def test_a_counter_that_stands_still_is_stale_after_five_cycles() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: taps(min(n, 20), t_s)).start()
        await asyncio.sleep(0.3)
        with pytest.raises(ReplyInvalid, match="stale"):
            await endlessly(lambda: bench.bms.taps(bench.lease))
        assert bench.loop.time() < 20 * 0.02 + 7 * 0.02

    simulate(main)


def test_a_frozen_status_frame_no_longer_shows_life() -> None:
    async def main() -> None:
        def frozen(n: int, t_s: float) -> bytes:
            return codec.encode_status(OperatingState.RUN, Hvil.CLOSED, set(), min(n, 10))

        bench = Scripted(status=frozen).start()
        while bench.loop.time() < 1.6:
            await asyncio.sleep(0.05)
            heard_s = bench.bms.last_frame_s()
            assert heard_s is not None
        assert heard_s == pytest.approx(1.0, abs=0.01)

    simulate(main)


def test_a_second_sender_on_the_same_identifier_is_counted() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: current(n + 7 * (n % 2), t_s)).start()
        assert await bench.bms.frame_errors(bench.lease, Second(1.0)) > 80

    simulate(main)


def test_observing_a_bms_that_stops_is_a_timeout() -> None:
    async def main() -> None:
        bench = Scripted().start()
        bench.loop.call_later(0.3, bench.port.stop)
        with pytest.raises(DeviceTimeout):
            await bench.bms.frame_errors(bench.lease, Second(1.0))

    simulate(main)


def test_sentinels_are_none_or_nan_never_numbers() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: codec.encode_taps(Taps(345.6, None, None, 0.0), n)).start()
        taps = await bench.bms.taps(bench.lease)
        assert (taps.u_batt, taps.u_p, taps.u_n) == (345.6, None, None)
        volts = np.full(96, 3.6)
        volts[6] = math.nan
        celsius = np.full(12, 25.0)
        celsius[3] = math.nan
        bench = Scripted()
        bench.frames[codec.CELL_IDS[1]] = lambda n, t_s: cell_frames(volts, n)[1]
        bench.frames[codec.TEMPERATURE_IDS[0]] = lambda n, t_s: temperature_frames(celsius, n)[0]
        bench.start()
        (shot,) = await bench.bms.cells(bench.lease, 1)
        assert np.flatnonzero(np.isnan(shot.voltage_v)).tolist() == [6]
        assert [index for index, value in enumerate(await bench.bms.temperatures(bench.lease)) if value is None] == [3]

    simulate(main)


def test_a_current_that_is_only_sentinels_is_an_invalid_reply() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: codec.encode_current(None, n)).start()
        with pytest.raises(ReplyInvalid, match="current sensor"):
            await bench.bms.current(bench.lease)

    simulate(main)


def test_a_set_of_cells_with_one_frame_missing_is_no_snapshot() -> None:
    async def main() -> None:
        bench = Scripted().start(but=(codec.CELL_IDS[7],))
        with pytest.raises(ReplyInvalid, match="no complete set of cell voltages"):
            await bench.bms.cells(bench.lease, 1)

    simulate(main)


def test_a_cell_frame_of_an_older_cycle_is_not_mixed_in() -> None:
    async def main() -> None:
        bench = Scripted()
        good = bench.frames[codec.CELL_IDS[3]]
        bench.frames[codec.CELL_IDS[3]] = lambda n, t_s: good(n - 1, t_s)
        bench.start()
        with pytest.raises(ReplyInvalid, match="no complete set"):
            await bench.bms.cells(bench.lease, 1)

    simulate(main)


def test_ready_waits_for_start_up_but_not_for_a_broken_wire() -> None:
    async def main() -> None:
        volts = np.full(96, 3.6)
        volts[9] = math.nan
        bench = Scripted()
        for index, can_id in enumerate(codec.CELL_IDS):
            bench.frames[can_id] = lambda n, t_s, index=index: cell_frames(
                volts if n >= 15 else np.full(96, math.nan), n
            )[index]
        bench.start()
        await bench.bms.ready(bench.lease, Second(6.0))
        assert 3.5 < bench.loop.time() < 4.5

    simulate(main)


def test_ready_names_what_has_no_value() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: codec.encode_taps(Taps(345.6, None, 0.0, 0.0), n)).start()
        with pytest.raises(DeviceTimeout, match=r"no value after 1\.\d s on u_p"):
            await bench.bms.ready(bench.lease, Second(1.0))

    simulate(main)


def test_alive_and_silent_tell_when() -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.set_supply(kl30=True, kl15=True)
        alive_s = await bench.bms.alive(bench.lease, Second(4.0))
        assert 0.6 < alive_s < 1.0
        assert bench.loop.time() - alive_s < 0.06
        bench.stub.set_supply(kl30=False, kl15=False)
        off_s = bench.loop.time()
        last_s = await bench.bms.silent(bench.lease, Second(5.0))
        assert off_s - 0.011 <= last_s <= off_s
        assert bench.loop.time() - last_s == pytest.approx(1.0, abs=0.01)
        with pytest.raises(DeviceTimeout, match="not awake within 2 s"):
            await bench.bms.alive(bench.lease, Second(2.0))

    simulate(main)


def test_silent_gives_up_on_a_bms_that_goes_on() -> None:
    async def main() -> None:
        bench = Scripted().start()
        with pytest.raises(DeviceTimeout, match="still sending"):
            await bench.bms.silent(bench.lease, Second(3.0))
        assert bench.lease.fresh

    simulate(main)


def test_the_insulation_monitor_must_settle() -> None:
    async def main() -> None:
        def settling(n: int, t_s: float) -> bytes:
            state = InsulationState.SETTLED if n >= 8 else InsulationState.MEASURING
            return codec.encode_insulation(50e3 if n < 8 else 2e6, state, n)

        bench = Scripted(insulation=settling).start()
        assert await bench.bms.imd(bench.lease, Second(20.0)) == 2e6
        bench = Scripted(insulation=lambda n, t_s: codec.encode_insulation(50e3, InsulationState.MEASURING, n)).start()
        with pytest.raises(DeviceTimeout, match="not settled"):
            await bench.bms.imd(bench.lease, Second(5.0))
        bench = Scripted(insulation=lambda n, t_s: codec.encode_insulation(None, InsulationState.OFF, n)).start()
        with pytest.raises(DeviceRefused, match="switched off"):
            await bench.bms.imd(bench.lease, Second(5.0))

    simulate(main)


def test_the_lease_stays_fresh_through_every_wait() -> None:
    async def main() -> None:
        bench = Scripted().start()
        work = asyncio.ensure_future(everything(bench))
        while not work.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        await work

    async def everything(bench: Scripted) -> None:
        await bench.bms.imd(bench.lease, Second(5.0))
        await bench.bms.temperatures(bench.lease)
        await bench.bms.frame_errors(bench.lease, Second(2.0))

    simulate(main)


def test_waiting_in_vain_for_a_slow_frame_is_no_stale_lease() -> None:
    async def main() -> None:
        bench = Scripted().start(but=codec.TEMPERATURE_IDS)
        work = asyncio.ensure_future(bench.bms.temperatures(bench.lease))
        while not work.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        with pytest.raises(DeviceTimeout, match="no frame 0x252"):
            await work
        assert bench.loop.time() > 3.0

    simulate(main)


def test_identity_and_trouble_codes() -> None:
    async def main() -> None:
        bench = Bench(BmsCondition(dtcs=(0x1B1087,)))
        await bench.awake()
        assert await bench.bms.identity(bench.lease) == IDENTITY
        await bench.bms.clear_dtcs(bench.lease)
        assert await bench.bms.dtcs(bench.lease) == []
        await asyncio.sleep(2.0)
        assert [str(dtc) for dtc in await bench.bms.dtcs(bench.lease)] == ["1B10-87"]

    simulate(main)


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


def test_a_driver_fault_counts_as_closed() -> None:
    async def main() -> None:
        fault = codec.seal(codec.STATUS_ID, 0, 1 | 2 << 4 | 2 << 6 | 3 << 8 | codec.DBC_REVISION << 12)
        bench = Scripted(status=lambda n, t_s: fault).start()
        await asyncio.sleep(0.1)
        assert bench.bms.relays() == {Relay.MAIN_PLUS: True, Relay.MAIN_MINUS: True, Relay.PRECHARGE: False}

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
        bench.bus.station.bus_off = True
        bench.bms.open_relays()

    simulate(main)


def test_open_wires_are_found_by_the_routine() -> None:
    async def main() -> None:
        bench = Bench()
        bench.plant.cell_v[[0, 41, 95]] = math.nan
        await bench.awake()
        began_s = bench.loop.time()
        assert await bench.bms.open_wire(bench.lease) == [1, 42, 96]
        assert 2.0 < bench.loop.time() - began_s < 2.2

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


def test_the_sleep_delay_is_obeyed() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.set_sleep_delay(bench.lease, Second(2.0))
        off_s = bench.loop.time()
        bench.stub.set_supply(kl30=True, kl15=False)
        last_s = await bench.bms.silent(bench.lease, Second(10.0))
        assert 1.4 < last_s - off_s < 2.6

    simulate(main)
