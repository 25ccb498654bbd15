"""The stub's boot loader: its refusals, and flashings interrupted anywhere, from which the next one recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import BmsIdentity, Relay
from bmsctl.domain.units import Second
from bmsctl.drivers.bms import CanBms
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked
from bmsctl.protocols import uds
from bmsctl.protocols.bms_broadcast import AMPR_MEDIUM, AMPR_SMALL, CURRENT_ID, STATUS_ID, MessageSet, decode_status
from bmsctl.protocols.bms_broadcast.values import OperatingState
from bmsctl.protocols.firmware_image import ImageHeader, encode_image
from firmware_stubs.bms import BmsCondition, demo_key
from tests.support.bms import IDENTITY, Bench, FakePlant, channels_of, simulate

ADDRESS = 0x0800_0000
HEADER = ImageHeader((IDENTITY.hardware,), "SW0199", "0042", "CAL0099")
FLASHED = replace(IDENTITY, software="SW0199", software_version="0042", calibration="CAL0099")
BLANK = replace(IDENTITY, software="", software_version="", calibration="")
SMALL = encode_image(HEADER, bytes(range(100)))
WITHIN = Second(5.0)


class FlashBench(Bench):
    """A bench with a client of its own, so that a test can ask what the driver never does."""

    def __init__(self, condition: BmsCondition | None = None, messages: MessageSet = AMPR_SMALL) -> None:
        super().__init__(condition, messages=messages)
        self.client = UdsClient(self.bus.station, "bms", demo_key)
        self.shares: list[float] = []

    async def ask(self, request: str) -> str:
        """What the answer carries, or the code of the refusal."""
        try:
            return (await self.client.request(self.lease, bytes.fromhex(request))).hex().upper()
        except DeviceRefused as error:
            return str(error).split("refused: ")[1][:4]

    async def dialogue(self, *lines: tuple[str, str]) -> None:
        for request, answer in lines:
            assert await self.ask(request) == answer.replace(" ", ""), request

    async def in_boot_loader(self) -> None:
        """Awake, in an unlocked programming session."""
        await self.awake()
        await self.dialogue(("1003", "0032 01F4"), ("1002", "0032 01F4"))
        await self.client.unlock(self.lease)

    async def flash(self, image: bytes = SMALL) -> None:
        await self.bms.flash(self.lease, image, ADDRESS, self.shares.append)

    def heard(self, can_id: int, within_s: float) -> bool:
        """Whether a periodic frame came a short while ago."""
        frame = self.bus.station.newest(can_id)
        return frame is not None and self.loop.time() - frame.t_s < within_s

    def starts_anew(self) -> None:
        """A new process of the station, with a driver and leases of its own."""
        self.leases.revoke_all()
        self.leases = LeaseBook(self.loop.time)
        self.lease = self.leases.grant("bms", 1.0)
        self.bms = CanBms(self.bus.station, AMPR_SMALL, channels_of(self.plant), demo_key)


def area(address: int, size: int) -> str:
    return uds.memory_area(address, size).hex()


def test_the_whole_sequence_makes_it_what_the_image_says() -> None:
    async def main() -> None:
        bench = FlashBench(BmsCondition(software_version="0001"))
        await bench.awake()
        assert (await bench.bms.identity(bench.lease)).software_version == "0001"
        await bench.flash()
        assert bench.shares == sorted(bench.shares)
        assert bench.shares[-1] == 1.0
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED
        assert await bench.client.read(bench.lease, 0xF188) == b"SW0199    "
        await bench.bms.ready(bench.lease, WITHIN)
        assert (await bench.bms.cells(bench.lease, 1))[0].voltage_v.shape == (96,)
        assert not (await bench.bms.plant_mode(bench.lease)).held
        bench.stub.set_supply(kl30=False, kl15=False)
        await asyncio.sleep(1.0)
        await bench.awake()
        assert await bench.bms.identity(bench.lease) == FLASHED, "flash memory keeps it"

    simulate(main)


@pytest.mark.parametrize("messages", [AMPR_SMALL, AMPR_MEDIUM], ids=lambda messages: messages.name)
def test_a_large_image_takes_the_block_counter_round(messages: MessageSet) -> None:
    async def main() -> None:
        bench = FlashBench(messages=messages)
        counters: list[int] = []

        def tap(frame: CanFrame) -> None:
            if frame.can_id == uds.REQUEST_ID and frame.data[0] >> 4 == 1 and frame.data[2] == 0x36:
                counters.append(frame.data[3])

        bench.bus.tap = tap
        await bench.awake()
        await bench.flash(encode_image(HEADER, np.arange(24_508, dtype=np.uint8).tobytes()))
        assert len(bench.shares) == 384
        assert counters == [number & 0xFF for number in range(1, 385)]
        assert counters[254:257] == [0xFF, 0x00, 0x01]
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED

    simulate(main)


def test_a_flashing_of_24_kib_takes_seconds_and_its_erasing_up_to_2_s() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()
        began_s = bench.loop.time()
        await bench.flash(encode_image(HEADER, bytes(24_508)))
        assert 384 * 0.007 < bench.loop.time() - began_s < 384 * 0.045 + 4.0
        erasing_s = []
        for _ in range(12):
            asked_s = bench.loop.time()
            await bench.dialogue(("3101FF00" + area(ADDRESS, 1), "00"))
            erasing_s.append(bench.loop.time() - asked_s)
        assert 0.5 <= min(erasing_s) < 0.9
        assert 1.4 < max(erasing_s) < 2.03

    simulate(main)


def test_only_the_core_status_is_sent_by_the_boot_loader_and_it_says_so() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.in_boot_loader()
        await asyncio.sleep(1.0)
        assert bench.heard(STATUS_ID, 0.3)
        for can_id in (CURRENT_ID, AMPR_SMALL.cells.can_ids[0], AMPR_SMALL.temperatures.can_ids[0]):
            assert not bench.heard(can_id, 0.9)
        frame = bench.bus.station.newest(STATUS_ID)
        sealed = None if frame is None else AMPR_SMALL.unseal(STATUS_ID, frame.data)
        assert sealed is not None
        assert decode_status(sealed.payload).state is OperatingState.BOOT
        await bench.dialogue(
            ("22F180", b"BOOT0100  ".hex().upper()), ("22F186", "02"), ("229005", "0x31"), ("190209", "0x11")
        )

    simulate(main)


def test_refusals_of_the_boot_loader() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()
        whole, five = area(ADDRESS, 512 * 1024), area(ADDRESS, 5)
        erase, download = "3101FF00", "3400"
        await bench.dialogue(
            (download + five, "0x7F"),
            ("1002", "0x7E"),
            ("1003", "0032 01F4"),
            (download + five, "0x7F"),
            (erase + five, "0x31"),
            ("1002", "0032 01F4"),
            (erase + five, "0x33"),
            (download + five, "0x33"),
            ("360141", "0x33"),
            ("37", "0x33"),
            ("1060", "0x12"),
        )
        await bench.client.unlock(bench.lease)
        await bench.dialogue(
            (erase, "0x13"),
            (erase + "33" + five[2:], "0x31"),
            (erase + area(ADDRESS - 1, 5), "0x31"),
            (erase + area(ADDRESS, 0), "0x31"),
            (erase + area(ADDRESS + 1, 512 * 1024), "0x31"),
            ("3101FF02", "0x31"),
            ("3102FF00" + five, "0x31"),
            ("3101B010", "0x31"),
            (download + five, "0x70"),
            ("3101FF01", "0x24"),
            (erase + whole, "00"),
            (erase + five, "00"),
            ("3411" + five, "0x31"),
            (download + area(ADDRESS, 6), "0x70"),
            ("360141", "0x24"),
            ("37", "0x24"),
            (download + five, "20 0042"),
            (download + five, "0x22"),
            ("360041", "0x73"),
            ("360241", "0x73"),
            ("3601", "0x13"),
            ("3601" + "41" * 65, "0x13"),
            ("3601" + "41" * 6, "0x71"),
            ("36014142", ""),
            ("36014142", ""),
            ("360341", "0x73"),
            ("37", "0x24"),
            ("3602434445", ""),
            ("360346", "0x71"),
            ("37", ""),
            ("37", "0x24"),
            ("3101FF0100", "0x13"),
            ("3101FF01", "01"),
            ("22F194", "FF" * 16),
        )

    simulate(main)


def test_the_programming_session_is_refused_with_contactors_closed() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()
        await bench.bms.take_relays(bench.lease)
        await bench.bms.set_relays(bench.lease, {Relay.PRECHARGE})
        await bench.dialogue(("1002", "0x22"))
        assert bench.plant.commands[-1][1:] == (Relay.PRECHARGE, True)
        await bench.flash()
        assert bench.plant.commands[-1][1:] == (Relay.PRECHARGE, False)

    simulate(main)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (SMALL[:100] + bytes((SMALL[100] ^ 1,)) + SMALL[101:], "a wrong checksum"),
        (SMALL[:-8], "a wrong checksum"),
        (encode_image(replace(HEADER, hardware=("HW99",)), b"body"), "not for its hardware"),
    ],
    ids=["damaged", "cut off", "other hardware"],
)
def test_an_image_that_does_not_pass_its_check_never_runs(image: bytes, match: str) -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()
        with pytest.raises(DeviceRefused, match=match):
            await bench.flash(image)
        await asyncio.sleep(7.0)
        assert await bench.bms.identity(bench.lease) == BLANK
        with pytest.raises(DeviceTimeout, match="no frame"):
            await bench.bms.ready(bench.lease, WITHIN)
        await bench.flash()
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED

    simulate(main)


@pytest.mark.parametrize("leave", ["1001", "1101", ""], ids=["default session", "reset", "silence"])
def test_without_erasing_the_application_is_back_once_the_session_ends(leave: str) -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.in_boot_loader()
        if leave:
            await bench.ask(leave)
        await asyncio.sleep(1.5 if leave else 6.5)
        assert await bench.bms.identity(bench.lease) == IDENTITY
        await bench.bms.ready(bench.lease, WITHIN)

    simulate(main)


def test_a_block_whose_answer_was_lost_is_written_once() -> None:
    async def main() -> None:
        bench = FlashBench()
        lost: list[bytes] = []

        def tamper(frame: CanFrame) -> CanFrame | None:
            if frame.can_id == uds.ANSWER_ID and frame.data[1] == 0x76 and lost.count(frame.data) < 2:
                lost.append(frame.data)
                return None
            return frame

        bench.port.tamper = tamper
        await bench.awake()
        await bench.flash()
        assert len(lost) == 2 * len(bench.shares)
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED

    simulate(main)


def test_a_single_frame_that_is_lost_costs_a_block_sent_again_and_no_more() -> None:
    lost: list[bytes] = []
    failed: list[bytes] = []

    async def loses(number: int) -> None:
        bench = FlashBench()
        heard: list[bytes] = []

        def tamper(frame: CanFrame) -> CanFrame | None:
            heard.append(frame.data)
            return None if len(heard) == number else frame

        await bench.awake()
        bench.port.tamper_heard = tamper
        try:
            await bench.flash()
        except DeviceError:
            failed.append(heard[number - 1])
            await asyncio.sleep(7.0)
            await bench.flash()
        lost.append(heard[number - 1])
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED

    for number in range(1, FRAMES + 1):
        simulate(lambda number=number: loses(number))
    before, after = 6 + 2 + 2, 2
    assert failed == lost[:before] + lost[-after:], "sessions and key, erasing, download; its end, the check"


def test_the_lease_stays_fresh_all_the_while() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()

        async def work() -> None:
            await bench.flash()
            await bench.bms.restart(bench.lease, WITHIN)

        task = asyncio.ensure_future(work())
        while not task.done():
            await asyncio.sleep(0.02)
            assert bench.lease.fresh
        await task

    simulate(main)


async def is_cancelled(bench: FlashBench, work: asyncio.Future[None]) -> None:
    work.cancel()


async def has_its_lease_revoked(bench: FlashBench, work: asyncio.Future[None]) -> None:
    bench.leases.revoke_all()


async def loses_power(bench: FlashBench, work: asyncio.Future[None]) -> None:
    bench.stub.set_supply(kl30=False, kl15=False)
    await asyncio.sleep(0.5)
    bench.stub.set_supply(kl30=True, kl15=True)


async def resets(bench: FlashBench, work: asyncio.Future[None]) -> None:
    bench.stub.reset()


async def is_unplugged(bench: FlashBench, work: asyncio.Future[None]) -> None:
    bench.port.mute(True)
    await asyncio.sleep(4.0)
    bench.port.mute(False)


Interruption = Callable[[FlashBench, "asyncio.Future[None]"], Awaitable[None]]

FRAMES = 39
"""What the station sends to flash the small image of three blocks."""


async def interrupted(bench: FlashBench, frames: int, interruption: Interruption) -> None:
    """Flash, with an interruption right after so many frames of the station, and let it end."""
    reached = asyncio.Event()
    sent = 0

    def tap(frame: CanFrame) -> None:
        nonlocal sent
        sent += frame.can_id == uds.REQUEST_ID
        if sent == frames:
            reached.set()

    await bench.awake()
    bench.bus.tap = tap
    work = asyncio.ensure_future(bench.flash())
    await reached.wait()
    await interruption(bench, work)
    (error,) = await asyncio.gather(work, return_exceptions=True)
    assert isinstance(error, DeviceError | LeaseRevoked | asyncio.CancelledError | None)


def left_with(frames: int, interruption: Interruption, wait_s: float) -> BmsIdentity:
    """What the BMS says it is, a while after an interruption, to a station that starts anew and flashes it again."""
    found: list[BmsIdentity] = []

    async def main() -> None:
        bench = FlashBench()
        await interrupted(bench, frames, interruption)
        await asyncio.sleep(wait_s)
        bench.starts_anew()
        found.append(await bench.bms.identity(bench.lease))
        await bench.flash()
        await bench.bms.restart(bench.lease, WITHIN)
        assert await bench.bms.identity(bench.lease) == FLASHED, f"after {frames} frames"

    simulate(main)
    return found[0]


def test_an_undisturbed_flashing_sends_as_many_frames() -> None:
    async def main() -> None:
        bench = FlashBench()
        await bench.awake()
        sent: list[CanFrame] = []
        bench.bus.tap = sent.append
        await bench.flash()
        assert len(bench.shares) == 3
        assert len([frame for frame in sent if frame.can_id == uds.REQUEST_ID]) == FRAMES

    simulate(main)


@pytest.mark.parametrize(
    ("interruption", "wait_s", "every"),
    [
        (loses_power, 7.0, 1),
        (resets, 7.0, 4),
        (is_unplugged, 7.0, 4),
        (is_cancelled, 2.5, 4),
        (is_cancelled, 7.0, 4),
        (has_its_lease_revoked, 2.5, 3),
        (has_its_lease_revoked, 7.0, 4),
    ],
)
def test_flashing_that_is_interrupted_at_any_block_succeeds_anew(
    interruption: Interruption, wait_s: float, every: int
) -> None:
    """2.5 s: in the session that was left. Every third or fourth frame still meets each block."""
    left = [left_with(frames, interruption, wait_s) for frames in range(1, FRAMES + 1, every)]
    stages = [(IDENTITY, BLANK, FLASHED).index(identity) for identity in left]
    assert stages == sorted(stages), "what is erased comes back only when all has been written and checked"
    assert 5 <= stages.count(0) * every < 15, "the erasing is asked for after the session and the key"
    assert FLASHED not in left[:-1], "only the last frame asks for the check"


def test_monitoring_chips_in_the_order_of_the_chain() -> None:
    async def chips(condition: BmsCondition) -> list[tuple[str, int]]:
        bench = FlashBench(condition)
        await bench.awake()
        return list(await bench.bms.chips(bench.lease))

    async def main() -> None:
        good = await chips(BmsCondition())
        assert [cells for _, cells in good] == [16] * 6
        assert len({serial for serial, _ in good}) == 6
        swapped = await chips(BmsCondition(chips_swapped=(2, 5)))
        assert swapped == [good[at] for at in (0, 4, 2, 3, 1, 5)]
        short = await chips(BmsCondition(chip_cells={3: 15}))
        assert [cells for _, cells in short] == [16, 16, 15, 16, 16, 16]

    simulate(main)


def test_the_last_chip_has_what_is_left() -> None:
    async def main() -> None:
        bench = Bench(plant=FakePlant(cell_v=np.full(72, 3.6)))
        await bench.awake()
        assert [cells for _, cells in await bench.bms.chips(bench.lease)] == [16, 16, 16, 16, 8]

    simulate(main)
