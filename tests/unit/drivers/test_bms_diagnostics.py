"""What the station asks the BMS: requests and answers as pinned bytes, and nothing believed that is not one of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Dtc, MonitorState
from bmsctl.domain.units import Second
from bmsctl.drivers.bms import CanBms
from bmsctl.errors import DeviceError, DeviceRefused, ReplyInvalid
from firmware_stubs.bms import BmsCondition
from tests.support.bms import IDENTITY, Bench, Exchange, Scripted, golden_exchanges, simulate

Call = Callable[[CanBms, Lease], Awaitable[Any]]

CLEARED = (0x1B0113, 0x1B0164, 0x1B0264, 0x1B0413, 0x1B0464, 0x1B0A73, 0x1B1813, 0x1BA21A)


async def trouble_codes_off_and_on(bms: CanBms, lease: Lease) -> None:
    await bms.dtc_setting(lease, False)
    await bms.dtc_setting(lease, True)


async def cleared_monitors(bms: CanBms, lease: Lease) -> MonitorState:
    await bms.clear_dtcs(lease)
    return await bms.monitors(lease)


CALLS: dict[str, tuple[Call, Any]] = {
    "trouble codes not to be set, and to be set": (trouble_codes_off_and_on, None),
    "trouble codes not judged": (cleared_monitors, MonitorState(8, tuple(Dtc(code, 0x50) for code in CLEARED))),
    "identity": (lambda bms, lease: bms.write_identity(lease, "AS52000000001", "VF1AAAA0000000001"), None),
    "sleep delay": (lambda bms, lease: bms.set_sleep_delay(lease, Second(2.0)), None),
}


@pytest.mark.parametrize("name", CALLS)
def test_pinned_exchanges(name: str) -> None:
    call, result = CALLS[name]

    async def main() -> None:
        bench = Scripted()
        bench.due = golden_exchanges()[name]
        assert await call(bench.bms, bench.lease) == result
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)


def asked(call: Call, *exchanges: Exchange) -> Any:
    """What a call returns for these answers."""
    results: list[Any] = []

    async def main() -> None:
        bench = Scripted()
        bench.due = list(exchanges)
        results.append(await call(bench.bms, bench.lease))
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)
    return results[0]


@pytest.mark.parametrize(
    ("soc", "charge", "expected"),
    [
        ("0B B8", "77 35 94 00", (30.0, 0.0)),
        ("27 10", "77 35 B2 AA", (100.0, 7.85)),
        ("00 00", "77 35 8E 24", (0.0, -1.5)),
    ],
)
def test_state_of_charge(soc: str, charge: str, expected: tuple[float, float]) -> None:
    answers = ("22 90 01", ["62 90 01 " + soc]), ("22 92 4F", ["62 92 4F " + charge])
    assert asked(lambda bms, lease: bms.soc(lease), *answers) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("soc", "charge"), [("FF FF", "77 35 94 00"), ("0B B8", "FF FF FF FF"), ("0B", "77 35 94 00"), ("0B B8", "77 35")]
)
def test_no_state_of_charge_is_no_number(soc: str, charge: str) -> None:
    answers = ("22 90 01", ["62 90 01 " + soc]), ("22 92 4F", ["62 92 4F " + charge])
    with pytest.raises(ReplyInvalid, match="data identifier 9"):
        asked(lambda bms, lease: bms.soc(lease), *answers)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=8), st.binary(max_size=8))
def test_arbitrary_answers_give_a_decoded_value_or_an_error(soc: bytes, charge: bytes) -> None:
    answers = ("22 90 01", ["62 90 01 " + soc.hex(" ")]), ("22 92 4F", ["62 92 4F " + charge.hex(" ")])
    try:
        percent, ampere_hours = asked(lambda bms, lease: bms.soc(lease), *answers)
    except ReplyInvalid:
        assert len(soc) != 2 or len(charge) != 4 or b"\xff\xff" in (soc, charge[:2])
        return
    assert percent == int.from_bytes(soc) * 0.01
    assert ampere_hours == pytest.approx(int.from_bytes(charge) * 0.001 - 2e6)


def test_texts_and_sleep_delay() -> None:
    blank = ("22 F1 90", ["62 F1 90" + 17 * " FF"])
    assert asked(lambda bms, lease: bms.vin(lease), blank) == ""
    number = ("22 90 1C", ["62 90 1C " + b"AS52000000001".ljust(19).hex(" ")])
    assert asked(lambda bms, lease: bms.traceability(lease), number) == "AS52000000001"
    assert asked(lambda bms, lease: bms.sleep_delay(lease), ("22 92 81", ["62 92 81 00 FA"])) == 25.0


def test_only_status_bits_that_are_kept_tell_anything() -> None:
    some = ("19 0A", ["59 0A 7F 1B 01 13 00 1B 10 87 2F 1B 18 13 10"])
    monitors = asked(lambda bms, lease: bms.monitors(lease), some)
    assert monitors == MonitorState(3, (Dtc(0x1B1813, 0x10),))
    with pytest.raises(ReplyInvalid, match="not judged"):
        asked(lambda bms, lease: bms.monitors(lease), ("19 0A", ["59 0A 09 1B 01 13 00"]))
    with pytest.raises(ReplyInvalid, match="status 09"):
        asked(lambda bms, lease: bms.dtcs(lease), ("19 02 09", ["59 02 50"]))
    for broken in ("59 02", "59 02 7F 1B 01 13"):
        with pytest.raises(ReplyInvalid, match="trouble codes"):
            asked(lambda bms, lease: bms.dtcs(lease), ("19 02 09", [broken]))


def test_what_does_not_read_as_it_was_written_is_an_invalid_reply() -> None:
    exchanges = golden_exchanges()["identity"]
    exchanges[4] = (exchanges[4][0], ["62 90 1C" + 19 * " 20"])
    with pytest.raises(ReplyInvalid, match="901C was written 4153"):
        asked(lambda bms, lease: bms.write_identity(lease, "AS52000000001", None), *exchanges[:5])


def test_a_refused_write_is_not_repeated() -> None:
    exchanges = [*golden_exchanges()["supplier"], ("85 02", ["7F 85 22"])]
    with pytest.raises(DeviceRefused, match="85 02 refused: 0x22 conditions not correct"):
        asked(lambda bms, lease: bms.dtc_setting(lease, False), *exchanges)


def test_a_text_too_long_is_not_written() -> None:
    with pytest.raises(ValueError, match="more than 19 characters") as raised:
        asked(lambda bms, lease: bms.write_identity(lease, "A" * 20, None))
    assert not isinstance(raised.value, DeviceError)


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


def test_what_is_written_stays_through_a_loss_of_supply() -> None:
    async def main() -> None:
        bench = Bench()
        bms, lease = bench.bms, bench.lease
        await bench.awake()
        assert (await bms.traceability(lease), await bms.vin(lease), await bms.sleep_delay(lease)) == ("", "", 25.0)
        await bms.write_identity(lease, "AS52000000001", None)
        await bms.set_sleep_delay(lease, Second(2.0))
        bench.stub.set_supply(kl30=False, kl15=False)
        await asyncio.sleep(5.0)
        await bench.awake()
        assert (await bms.traceability(lease), await bms.vin(lease)) == ("AS52000000001", "")
        assert await bms.sleep_delay(lease) == 2.0

    simulate(main)


def test_the_lease_stays_fresh_while_flash_memory_is_written() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        work = asyncio.ensure_future(bench.bms.write_identity(bench.lease, "A", "VF1AAAA0000000001"))
        while not work.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        await work

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


def test_a_session_that_the_bms_lost_by_sleeping_is_entered_again() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.dtc_setting(bench.lease, True)
        bench.stub.set_supply(kl30=False, kl15=False)
        await asyncio.sleep(1.0)
        await bench.awake()
        await bench.bms.set_sleep_delay(bench.lease, Second(3.0))
        assert await bench.bms.open_wire(bench.lease) == []
        await bench.bms.take_relays(bench.lease)

    simulate(main)


def test_with_trouble_codes_off_no_monitor_is_judged_and_with_them_on_all_are() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.awake()
        await bench.bms.dtc_setting(bench.lease, False)
        await bench.bms.clear_dtcs(bench.lease)
        await asyncio.sleep(5.0)
        monitors = await bench.bms.monitors(bench.lease)
        assert len(monitors.not_completed) == monitors.supported == 8
        await bench.bms.dtc_setting(bench.lease, True)
        assert await bench.bms.monitors(bench.lease) == MonitorState(8, ())

    simulate(main)
