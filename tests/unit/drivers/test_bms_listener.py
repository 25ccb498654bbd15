"""What the station hears of the BMS: good values come through, and nothing that is damaged, stale or missing does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.ports import PackSample, Relay
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, ReplyInvalid
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import AMPR_SMALL, Hvil, InsulationState, OperatingState, Taps
from tests.support.bms import (
    Bench,
    Encode,
    Scripted,
    busbars_frame,
    cell_frames,
    simulate,
    status_frame,
    temperature_frames,
)


async def endlessly(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()


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
        assert bms.dbc_revision() == AMPR_SMALL.revision
        assert await bms.frame_errors(lease, Second(2.0)) == 0

    simulate(main)


def test_before_the_first_frame() -> None:
    async def main() -> None:
        bench = Scripted()
        assert bench.bms.relays() is None
        assert bench.bms.last_status_s() is None
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


def test_frames_that_are_too_old_to_count_are_not_looked_at() -> None:
    looked: list[int] = []

    def counted(n: int, t_s: float) -> bytes:
        looked.append(n)
        return taps(n, t_s)

    async def main() -> None:
        bench = Scripted(taps=counted).start()
        await bench.bms.taps(bench.lease)
        looked.clear()
        for _ in range(5):
            await asyncio.sleep(0.333)
            await bench.bms.taps(bench.lease)

    simulate(main)
    assert len(looked) == 5


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
        assert bench.loop.time() - (bench.bms.last_status_s() or 0.0) > 0.3

    simulate(main)


def test_bus_off_is_link_down() -> None:
    async def main() -> None:
        bench = Scripted().start()
        await asyncio.sleep(0.5)
        bench.bus.station.go_bus_off()
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


def test_a_frame_that_repeats_one_of_long_ago_is_stale() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: taps(min(n, 16), t_s)).start()
        await asyncio.sleep(0.31)
        await bench.bms.taps(bench.lease)
        await asyncio.sleep(10.0)
        with pytest.raises(ReplyInvalid, match="stale"):
            await bench.bms.taps(bench.lease)

    simulate(main)


def test_a_unit_that_restarts_is_no_second_one() -> None:
    async def main() -> None:
        bench = Scripted(taps=lambda n, t_s: taps(n if n < 50 else n + 7, t_s)).start()
        while bench.loop.time() < 2.0:
            await bench.bms.taps(bench.lease)

    simulate(main)


def test_a_frozen_status_frame_no_longer_shows_life() -> None:
    async def main() -> None:
        def frozen(n: int, t_s: float) -> bytes:
            return status_frame(OperatingState.RUN, Hvil.CLOSED, set(), min(n, 10))

        bench = Scripted(status=frozen).start()
        while bench.loop.time() < 1.6:
            await asyncio.sleep(0.05)
            heard_s = bench.bms.last_status_s()
            assert heard_s is not None
        assert heard_s == pytest.approx(1.0, abs=0.01)

    simulate(main)


def test_a_bms_that_sends_all_but_its_status_shows_no_life() -> None:
    async def main() -> None:
        bench = Scripted().start()
        await asyncio.sleep(1.0)
        bench.port.tamper = lambda frame: None if frame.can_id == codec.STATUS_ID else frame
        await asyncio.sleep(1.0)
        newest = bench.bms.newest_current()
        assert newest is not None
        assert newest[1] > 1.9
        assert bench.bms.last_status_s() == pytest.approx(0.9, abs=0.01)

    simulate(main)


def test_a_second_sender_on_the_same_identifier_is_found() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: current(n + 7 * (n % 2), t_s)).start()
        with pytest.raises(ReplyInvalid, match="two units send 0x110"):
            await bench.bms.frame_errors(bench.lease, Second(1.0))

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
        bench.frames[AMPR_SMALL.cells.can_ids[1]] = lambda n, t_s: cell_frames(volts, n)[1]
        bench.frames[AMPR_SMALL.temperatures.can_ids[0]] = lambda n, t_s: temperature_frames(celsius, n)[0]
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
        bench = Scripted().start(but=(AMPR_SMALL.cells.can_ids[7],))
        with pytest.raises(ReplyInvalid, match="no complete set of cell voltages"):
            await bench.bms.cells(bench.lease, 1)

    simulate(main)


def test_a_cell_frame_of_an_older_cycle_is_not_mixed_in() -> None:
    async def main() -> None:
        bench = Scripted()
        good = bench.frames[AMPR_SMALL.cells.can_ids[3]]
        bench.frames[AMPR_SMALL.cells.can_ids[3]] = lambda n, t_s: good(n - 1, t_s)
        bench.start()
        with pytest.raises(ReplyInvalid, match="no complete set"):
            await bench.bms.cells(bench.lease, 1)

    simulate(main)


def test_ready_waits_for_start_up_but_not_for_a_broken_wire() -> None:
    async def main() -> None:
        volts = np.full(96, 3.6)
        volts[9] = math.nan
        bench = Scripted()
        for index, can_id in enumerate(AMPR_SMALL.cells.can_ids):
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
        assert bench.lease.fresh_until_s == pytest.approx(bench.loop.time() + 1.0)
        bench.stub.set_supply(kl30=False, kl15=False)
        off_s = bench.loop.time()
        last_s = await bench.bms.silent(bench.lease, Second(5.0))
        assert off_s - 0.011 <= last_s <= off_s
        assert bench.loop.time() - last_s == pytest.approx(1.0, abs=0.01)
        assert bench.lease.fresh_until_s == pytest.approx(bench.loop.time() + 1.0)
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
        bench = Scripted().start(but=AMPR_SMALL.temperatures.can_ids)
        work = asyncio.ensure_future(bench.bms.temperatures(bench.lease))
        while not work.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        with pytest.raises(DeviceTimeout, match="no frame 0x252"):
            await work
        assert bench.loop.time() > 3.0

    simulate(main)


def test_a_driver_fault_counts_as_closed() -> None:
    async def main() -> None:
        fault = AMPR_SMALL.seal(codec.STATUS_ID, 0, 1 | 2 << 4 | 2 << 6 | 3 << 8 | AMPR_SMALL.revision << 12)
        bench = Scripted(status=lambda n, t_s: fault).start()
        await asyncio.sleep(0.1)
        assert bench.bms.relays() == {Relay.MAIN_PLUS: True, Relay.MAIN_MINUS: True, Relay.PRECHARGE: False}

    simulate(main)


def status(hvil: Hvil, n: int) -> bytes:
    return status_frame(OperatingState.RUN, hvil, set(), n)


@pytest.mark.parametrize(
    ("hvil", "closed"), [(Hvil.CLOSED, True), (Hvil.OPEN, False), (Hvil.UNAVAILABLE, None), (Hvil.NOT_USED, None)]
)
def test_the_interlock_flag(hvil: Hvil, closed: bool | None) -> None:
    async def main() -> None:
        bench = Scripted(status=lambda n, t_s: status(hvil, n)).start()
        assert await bench.bms.hvil_closed(bench.lease) is closed

    simulate(main)


def test_when_the_interlock_flag_changed_is_when_its_first_frame_came() -> None:
    async def main() -> None:
        bench = Scripted(status=lambda n, t_s: status(Hvil.OPEN if n >= 7 else Hvil.CLOSED, n)).start()
        await asyncio.sleep(0.35)
        assert await bench.bms.hvil_becomes(bench.lease, False, Second(1.0)) == pytest.approx(0.7, abs=1e-3)
        with pytest.raises(DeviceTimeout, match=r"not closed within 0\.5 s"):
            await bench.bms.hvil_becomes(bench.lease, True, Second(0.5))
        assert 1.2 < bench.loop.time() < 1.5

    simulate(main)


def test_no_flag_is_not_an_open_loop() -> None:
    async def main() -> None:
        bench = Scripted(status=lambda n, t_s: status(Hvil.UNAVAILABLE, n)).start()
        with pytest.raises(DeviceTimeout, match="not open"):
            await bench.bms.hvil_becomes(bench.lease, False, Second(0.5))

    simulate(main)


def test_newest_current_waits_for_nothing_and_keeps_the_last_value() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: codec.encode_current(None if n > 9 else float(n), n))
        assert bench.bms.newest_current() is None
        bench.start()
        await asyncio.sleep(0.0505)
        assert bench.bms.newest_current() == (5.0, pytest.approx(0.05, abs=1e-3))
        await asyncio.sleep(0.04)
        assert bench.bms.newest_current() == (9.0, pytest.approx(0.09, abs=1e-3))
        await asyncio.sleep(0.1)
        assert bench.bms.newest_current() == (9.0, pytest.approx(0.09, abs=1e-3)), "a sentinel is no value"
        bench.port.mute(True)
        await asyncio.sleep(5.0)
        assert bench.bms.newest_current() == (9.0, pytest.approx(0.09, abs=1e-3)), "and its age tells"

    simulate(main)


def test_newest_current_is_never_of_a_damaged_frame() -> None:
    async def main() -> None:
        bench = Scripted(current=damaged(current, 2)).start()
        for _ in range(40):
            await asyncio.sleep(0.0137)
            newest = bench.bms.newest_current()
            assert newest is None or newest[0] == 1.0
        assert newest is not None
        assert bench.loop.time() - newest[1] < 0.05

    simulate(main)


def numbered(n: int) -> float:
    """A cell voltage that tells the cycle it belongs to, exact in the field."""
    return 3.0 + (n % 1000) / 1024


def numbered_cycles() -> Scripted:
    """Cells and busbars tell the cycle's number, the current that of the ten frames before it."""
    bench = Scripted(
        busbars=lambda n, t_s: busbars_frame([n / 32768, 0.0, None], n),
        current=lambda n, t_s: codec.encode_current(float(-(-n // 10)), n),
    )
    for index, can_id in enumerate(AMPR_SMALL.cells.can_ids):
        bench.frames[can_id] = lambda n, t_s, index=index: cell_frames(np.full(96, numbered(n)), n)[index]
    return bench


def consistent(sample: PackSample, off_a: float = 0.0) -> bool:
    """Whether everything in a sample is of one cycle, the current within `off_a`."""
    n = round((sample.voltage_v[0] - 3.0) * 1024)
    return bool(
        (sample.voltage_v == numbered(n)).all()
        and sample.busbar_v[0] == n / 32768
        and np.isnan(sample.busbar_v[2])
        and abs(sample.current_a - n) <= off_a
        and abs(sample.t_s - 0.1 * n) < 0.001
    )


def test_a_sample_is_of_one_cycle_and_its_current_the_mean_of_it() -> None:
    async def main() -> None:
        bench = numbered_cycles().start()
        await asyncio.sleep(0.537)
        samples = await bench.bms.samples(bench.lease, 20)
        assert all(consistent(sample) for sample in samples)
        assert np.diff([sample.t_s for sample in samples]) == pytest.approx(0.1)
        assert bench.loop.time() - samples[-1].t_s < 0.01

    simulate(main)


def test_samples_taken_one_by_one_miss_no_cycle() -> None:
    async def main() -> None:
        bench = numbered_cycles().start()
        await asyncio.sleep(0.537)
        samples = [*await bench.bms.samples(bench.lease, 1)]
        assert samples[0].t_s == pytest.approx(0.7, abs=1e-3)
        for _ in range(5):
            samples += await bench.bms.samples(bench.lease, 1)
        assert np.diff([sample.t_s for sample in samples]) == pytest.approx(0.1)
        assert all(consistent(sample) for sample in samples)

    simulate(main)


def test_the_current_of_a_sample_is_spread_over_its_cycle() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: codec.encode_current(float(n % 10), n)).start()
        for sample in await bench.bms.samples(bench.lease, 10):
            assert sample.current_a == pytest.approx(4.5, abs=1.0)

    simulate(main)


@settings(max_examples=80, deadline=None)
@given(st.sets(st.tuples(st.sampled_from(sorted(AMPR_SMALL.period_s)), st.integers(0, 60)), max_size=60), st.booleans())
def test_whatever_is_damaged_or_frozen_a_sample_is_right_or_none(spoiled: set[tuple[int, int]], frozen: bool) -> None:
    async def main() -> None:
        bench = numbered_cycles()

        def spoil(can_id: int, encode: Encode) -> Encode:
            def data(n: int, t_s: float) -> bytes:
                if (can_id, n) not in spoiled:
                    return encode(n, t_s)
                good = encode(n - 1, t_s) if frozen else encode(n, t_s)
                return good if frozen else bytes((good[0] ^ 0x40,)) + good[1:]

            return data

        bench.frames = {can_id: spoil(can_id, encode) for can_id, encode in bench.frames.items()}
        bench.start()
        await asyncio.sleep(0.35)
        for _ in range(5):
            try:
                samples = await bench.bms.samples(bench.lease, 1)
            except (DeviceTimeout, ReplyInvalid):
                continue
            # A frozen current between two looks is one 10 ms old; at a cycle's border that is the last cycle's.
            assert all(consistent(sample, 0.21 if frozen else 0.0) for sample in samples)

    simulate(main)


@pytest.mark.parametrize("missing", [AMPR_SMALL.cells.can_ids[5], AMPR_SMALL.busbars.can_ids[0]])
def test_a_cycle_that_is_never_complete_is_an_invalid_reply(missing: int) -> None:
    async def main() -> None:
        bench = Scripted().start(but=(missing,))
        with pytest.raises(ReplyInvalid, match="no cycle with all cells, busbars and current in 5"):
            await bench.bms.samples(bench.lease, 1)

    simulate(main)


def test_a_current_of_sentinels_makes_no_sample() -> None:
    async def main() -> None:
        bench = Scripted(current=lambda n, t_s: codec.encode_current(None if n % 3 else 1.0, n)).start()
        with pytest.raises(ReplyInvalid, match="current"):
            await bench.bms.samples(bench.lease, 1)

    simulate(main)


def test_the_lease_stays_fresh_through_samples() -> None:
    async def main() -> None:
        bench = Scripted().start()
        work = asyncio.ensure_future(bench.bms.samples(bench.lease, 50))
        while not work.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        assert len(await work) == 50

    simulate(main)
