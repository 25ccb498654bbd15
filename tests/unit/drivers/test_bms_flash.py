"""Flashing as the station does it: pinned messages, every refusal, blocks sent again, and deadlines."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bmsctl.domain.units import Second
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols import uds
from tests.support.bms import Exchange, Scripted, simulate

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden" / "bms" / "flash.toml").read_text())
IMAGE, ADDRESS = bytes.fromhex("A1B2C3D4E5"), 0x0800_0000

PHASES = ("enter", "erase", "request_download", "blocks", "exit", "check")


def golden(*phases: str) -> list[Exchange]:
    """The pinned exchanges of these phases."""
    return [(request, list(answers)) for phase in phases for request, answers in GOLDEN[phase]]


WHOLE = golden(*PHASES)
LAST = {request: at for at, (request, _) in enumerate(WHOLE)}


class FlashBench(Scripted):
    """Scripted answers, and what is told of progress and heard of tester present."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__()
        self.due = [(request, list(answers)) for request, answers in exchanges]
        self.shares: list[float] = []
        self.present_s: list[float] = []
        self.port.listen([uds.FUNCTIONAL_ID], lambda frame: self.present_s.append(self.loop.time()))

    async def flash(self) -> None:
        """Flash the pinned image; every answer was asked for, and nothing else."""
        try:
            await self.bms.flash(self.lease, IMAGE, ADDRESS, self.shares.append)
        finally:
            await asyncio.sleep(0.05)
            assert self.strays == []


def flashed(exchanges: list[Exchange]) -> list[float]:
    """The progress of a flashing with these answers."""
    shares: list[float] = []

    async def main() -> None:
        bench = FlashBench(exchanges)
        await bench.flash()
        assert bench.due == []
        shares.extend(bench.shares)

    simulate(main)
    return shares


def fails(exchanges: list[Exchange], error: type[DeviceError], match: str, *, left: int) -> None:
    """A flashing ends with an error, `left` exchanges before its end, and lets its session go."""

    async def main() -> None:
        bench = FlashBench(exchanges)
        with pytest.raises(error, match=match):
            await bench.flash()
        assert len(bench.due) == left
        ended_s = bench.loop.time()
        await asyncio.sleep(10.0)
        assert all(heard_s < ended_s for heard_s in bench.present_s)

    simulate(main)


def answering(request: str, *answers: str) -> list[Exchange]:
    """The pinned flashing with other answers to one request."""
    at = LAST[request]
    return [*WHOLE[:at], (request, list(answers)), *WHOLE[at + 1 :]]


def test_a_flashing_is_as_pinned() -> None:
    assert flashed(WHOLE) == [0.4, 0.8, 1.0]


@pytest.mark.parametrize("at", range(len(WHOLE)), ids=[request for request, _ in WHOLE])
@pytest.mark.parametrize("nrc", [0x11, 0x13, 0x22, 0x24, 0x31, 0x33, 0x35, 0x70, 0x71, 0x72, 0x73, 0x7E, 0x7F, 0x93])
def test_every_refusal_ends_it_and_is_named(at: int, nrc: int) -> None:
    request, _ = WHOLE[at]
    refusal = f"7F {request[:2]} {nrc:02X}"
    name = uds.nrc_name(nrc)
    assert len(name) > 4
    fails([*WHOLE[:at], (request, [refusal]), *WHOLE[at + 1 :]], DeviceRefused, name, left=len(WHOLE) - at - 1)


def test_a_refusal_may_follow_a_promise() -> None:
    erase = golden("erase")[0][0]
    fails(answering(erase, "7F 31 78", "7F 31 72"), DeviceRefused, "0x72 general programming failure", left=6)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("losses", [1, 2])
def test_a_block_whose_answer_is_lost_is_sent_again_with_its_counter(number: int, losses: int) -> None:
    at = LAST[golden("blocks")[number - 1][0]]
    lost = [(WHOLE[at][0], [])] * losses
    assert flashed([*WHOLE[:at], *lost, *WHOLE[at:]]) == [0.4, 0.8, 1.0]


def test_a_block_is_sent_three_times_and_no_more() -> None:
    at = LAST["36 02 C3 D4"]
    silent = [*WHOLE[:at], *[(WHOLE[at][0], [])] * 3, *WHOLE[at + 1 :]]
    fails(silent, DeviceTimeout, "no answer to 36 02C3D4", left=len(WHOLE) - at - 1)


def test_an_erasing_that_is_only_promised_is_given_up_after_10_s() -> None:
    erase = golden("erase")[0][0]

    async def main() -> None:
        bench = FlashBench(answering(erase, *["7F 31 78"] * 40))
        with pytest.raises(DeviceTimeout, match="only ever promised an answer to 31 01FF00"):
            await bench.flash()
        assert bench.loop.time() < 12.0

    simulate(main)


@pytest.mark.parametrize("answer", ["74", "74 20 00", "74 20 00 04 00", "74 00", "74 10 02", "74 20 00 00"])
def test_a_length_of_blocks_that_cannot_be_is_an_invalid_reply(answer: str) -> None:
    request = golden("request_download")[0][0]
    fails(answering(request, answer), ReplyInvalid, "answer to the request to download", left=5)


def test_a_block_is_never_longer_than_what_its_answer_can_be_waited_for() -> None:
    image = bytes(600)
    sizes: list[int] = []

    async def main() -> None:
        bench = FlashBench(golden("enter"))
        area = "44 08 00 00 00 00 00 02 58"
        bench.due += [("31 01 FF 00 " + area, ["71 01 FF 00 00"]), ("34 00 " + area, ["74 20 0F FF"])]
        for counter, size in ((1, 256), (2, 256), (3, 88)):
            bench.due.append((f"36 {counter:02X}" + " 00" * size, [f"76 {counter:02X}"]))
            sizes.append(size)
        bench.due += golden("exit", "check")
        await bench.bms.flash(bench.lease, image, ADDRESS, bench.shares.append)
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)
    assert sum(sizes) == len(image)


@pytest.mark.parametrize(
    ("status", "error", "match"),
    [
        ("01", DeviceRefused, "a wrong checksum"),
        ("02", DeviceRefused, "not for its hardware"),
        ("77", ReplyInvalid, "ended with 77"),
        ("", ReplyInvalid, "ended with nothing"),
        ("00 00", ReplyInvalid, "ended with 0000"),
    ],
)
def test_a_check_that_is_not_passed(status: str, error: type[DeviceError], match: str) -> None:
    fails(answering("31 01 FF 01", f"71 01 FF 01 {status}".strip()), error, match, left=0)


@pytest.mark.parametrize(("image", "address"), [(b"", ADDRESS), (b"\0", 1 << 32), (b"\0", -1)])
def test_what_cannot_be_written_is_not_begun(image: bytes, address: int) -> None:
    async def main() -> None:
        bench = FlashBench([])
        with pytest.raises(ValueError, match=r"empty image|beyond addresses") as raised:
            await bench.bms.flash(bench.lease, image, address, bench.shares.append)
        assert not isinstance(raised.value, DeviceError)
        assert bench.strays == []

    simulate(main)


@pytest.mark.parametrize("after", range(len(WHOLE)))
def test_nothing_leaves_once_the_lease_is_revoked(after: int) -> None:
    async def main() -> None:
        bench = FlashBench(WHOLE)
        work = asyncio.ensure_future(bench.flash())
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            if len(bench.due) <= len(WHOLE) - after:
                break
        bench.leases.revoke_all()
        with pytest.raises(LeaseRevoked):
            await work
        left, present = len(bench.due), len(bench.present_s)
        await asyncio.sleep(10.0)
        assert (len(bench.due), len(bench.present_s)) == (left, present)

    simulate(main)


def test_a_restart_in_the_session_of_the_flashing() -> None:
    async def main() -> None:
        bench = FlashBench([*WHOLE, *golden("reset"), ("22 F1 86", ["62 F1 86 01"])])
        bench.start()
        await bench.flash()
        asked_s = bench.loop.time()
        await bench.bms.restart(bench.lease, Second(5.0))
        assert bench.loop.time() - asked_s > 0.2
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)


def test_a_restart_enters_a_session_that_allows_it_and_believes_only_the_default_one_afterwards() -> None:
    async def main() -> None:
        extended: list[Any] = [("10 03", ["50 03 00 32 01 F4"]), *golden("reset")]
        bench = FlashBench([*extended, ("22 F1 86", ["62 F1 86 01"]), *extended, ("22 F1 86", ["62 F1 86 03"])])
        bench.start()
        await bench.bms.restart(bench.lease, Second(5.0))
        with pytest.raises(DeviceRefused, match="has not reset, its session is 03"):
            await bench.bms.restart(bench.lease, Second(5.0))
        assert (bench.due, bench.strays) == ([], [])

    simulate(main)


def test_a_bms_that_stays_silent_after_its_reset_is_a_timeout() -> None:
    async def main() -> None:
        bench = FlashBench([("10 03", ["50 03 00 32 01 F4"]), *golden("reset")])
        with pytest.raises(DeviceTimeout, match="not awake within 2 s"):
            await bench.bms.restart(bench.lease, Second(2.0))

    simulate(main)


def test_monitoring_chips() -> None:
    async def main() -> None:
        bench = FlashBench(golden("chips"))
        assert list(await bench.bms.chips(bench.lease)) == [("MC123456", 16), ("MC000007", 8)]

    simulate(main)


@pytest.mark.parametrize("data", ["", "4D 43 31", "4D 43 31 32 33 34 35 36", "20 20 20 20 20 20 20 20 10"])
def test_no_list_of_chips_is_an_invalid_reply(data: str) -> None:
    async def main() -> None:
        bench = FlashBench([("22 92 30", [f"62 92 30 {data}".strip()])])
        with pytest.raises(ReplyInvalid, match="data identifier 9230"):
            await bench.bms.chips(bench.lease)

    simulate(main)
