"""The stub's diagnostic server: frames pinned by hand, every refusal, sessions, security."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import Relay
from bmsctl.protocols import uds
from bmsctl.protocols.bms_broadcast import CURRENT_ID
from bmsctl.protocols.isotp import IsoTp
from firmware_stubs.bms import BmsCondition, demo_key
from firmware_stubs.sim.loop import VirtualLoop
from tests.support.bms import Bench, golden_exchanges

GOLDEN = Path(__file__).parents[3] / "golden" / "bms" / "diagnostics.txt"


class DiagnosticBench(Bench):
    """A bench whose requests are plain bytes, and that logs every frame on the diagnostic identifiers."""

    def __init__(self, condition: BmsCondition | None = None) -> None:
        super().__init__(condition)
        self.answers: list[tuple[float, bytes]] = []
        self.wire: list[str] = []
        self.isotp = IsoTp(self.loop, self.send, self.answered, lambda fault: None)
        self.bus.station.push([uds.ANSWER_ID], self.arrived)

    def send(self, data: bytes) -> None:
        self.wire.append("> " + data.hex(" ").upper())
        self.bus.station.send(CanFrame(uds.REQUEST_ID, data, extended=True))

    def arrived(self, frame: CanFrame) -> None:
        self.wire.append("< " + frame.data.hex(" ").upper())
        self.isotp.frame(frame.data)

    def answered(self, data: bytes) -> None:
        self.answers.append((self.loop.time(), data))

    async def ask(self, request: str, wait_s: float = 0.1) -> str:
        """The newest answer within a while, in hexadecimal; empty if there is none."""
        before = len(self.answers)
        self.isotp.transmit(bytes.fromhex(request))
        await asyncio.sleep(wait_s)
        return self.answers[-1][1].hex().upper() if len(self.answers) > before else ""

    async def dialogue(self, *lines: tuple[str, str]) -> None:
        for request, answer in lines:
            assert await self.ask(request) == answer.replace(" ", ""), request

    async def unlock(self) -> None:
        await self.dialogue(("1060", "50 60 0032 01F4"))
        seed = bytes.fromhex(await self.ask("2701"))[2:]
        await self.dialogue(("2702" + demo_key(seed).hex(), "67 02"))


def simulate(main: Callable[[DiagnosticBench], Awaitable[None]], condition: BmsCondition | None = None) -> None:
    async def awake() -> None:
        tester = DiagnosticBench(condition)
        await tester.awake()
        await main(tester)

    loop = VirtualLoop()
    loop.run_until(awake(), 200.0)
    assert loop.errors == []


def golden_dialogues() -> dict[str, list[str]]:
    dialogues: dict[str, list[str]] = {}
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("["):
            frames = dialogues[line.strip("[]")] = []
        elif line.startswith((">", "<")):
            frames.append(line)
    return dialogues


@pytest.mark.parametrize("name", golden_dialogues())
def test_frames_on_the_wire(name: str) -> None:
    frames = golden_dialogues()[name]

    async def main(tester: DiagnosticBench) -> None:
        tester.send(bytes.fromhex(frames[0][2:]))
        await asyncio.sleep(0.1)
        assert tester.wire == frames

    simulate(main)


@pytest.mark.parametrize(
    ("request_hex", "nrc"),
    [
        ("3501", "11"),
        ("1002", "7E"),
        ("1101", "7E"),
        ("110100", "13"),
        ("14FFFF", "13"),
        ("14123456", "31"),
        ("1903", "12"),
        ("1902", "13"),
        ("1906123456FF", "31"),
        ("22F1", "13"),
        ("22F187F1", "13"),
        ("220000", "31"),
        ("2701", "7F"),
        ("280001", "7F"),
        ("2E91E901", "7F"),
        ("3101B010", "7F"),
        ("3E01", "12"),
        ("8501", "7F"),
    ],
)
def test_refusals_in_the_default_session(request_hex: str, nrc: str) -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue((request_hex, "7F" + request_hex[:2] + nrc))

    simulate(main)


def test_refusals_in_other_sessions() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(
            ("1003", "50 03 0032 01F4"),
            ("2E91E901", "7F 2E 31"),
            ("2EF18741", "7F 2E 31"),
            ("2EF190" + "41" * 17, "7F 2E 33"),
            ("2E901C" + "41" * 19, "7F 2E 33"),
            ("2E920201", "7F 2E 31"),
            ("2E912B" + "00" * 12, "7F 2E 31"),
            ("2E9281", "7F 2E 13"),
            ("2E928114", "7F 2E 13"),
            ("2E92810000", "7F 2E 31"),
            ("2E9281FFFF", "7F 2E 31"),
            ("270200000000", "7F 27 24"),
            ("2703", "7F 27 12"),
            ("27010000", "7F 27 13"),
            ("3101B011", "7F 31 31"),
            ("3103B010", "7F 31 24"),
            ("3102B010", "7F 31 24"),
            ("3104B010", "7F 31 12"),
            ("280007", "7F 28 31"),
            ("1060", "50 60 0032 01F4"),
            ("2E91E901", "7F 2E 33"),
            ("2E920201", "7F 2E 33"),
            ("2E912B" + "00" * 12, "7F 2E 33"),
        )

    simulate(main)


@pytest.mark.parametrize("name", golden_exchanges())
def test_pinned_exchanges(name: str) -> None:
    held = {"held", "default"}
    exchanges = [*(golden_exchanges()["supplier"] if name in held else []), *golden_exchanges()[name]]

    async def main(tester: DiagnosticBench) -> None:
        for request, answers in exchanges:
            before = len(tester.answers)
            await tester.ask(request, 2.5 if len(answers) > 1 else 0.1)
            assert [data.hex(" ").upper() for _, data in tester.answers[before:]] == answers, request

    simulate(main)


def test_flash_memory_takes_up_to_2_s_and_nothing_else_is_served_meanwhile() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.unlock()
        waits_s = []
        for number in range(20):
            asked_s = tester.loop.time()
            assert await tester.ask(f"2E9281{number + 20:04X}") == "7F2E78"
            assert await tester.ask("22F186", 2.4) == "6E9281"
            waits_s.append(tester.answers[-1][0] - asked_s)
        assert 0.2 <= min(waits_s) < 0.6
        assert 1.6 < max(waits_s) <= 2.03

    simulate(main)


def test_power_lost_while_flash_memory_is_written_leaves_no_answer() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"), ("2E92810014", "7F 2E 78"))
        tester.stub.set_supply(kl30=False, kl15=False)
        before = len(tester.answers)
        await tester.awake()
        assert len(tester.answers) == before
        await tester.dialogue(("22F186", "62 F186 01"))

    simulate(main)


def test_writing_in_the_supplier_session() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.unlock()
        await tester.dialogue(
            ("2E91E901", "6E 91E9"),
            ("2291E9", "62 91E9 01"),
            ("2E91E902", "7F 2E 31"),
            ("2E91E90101", "7F 2E 13"),
            ("2291EA", "62 91EA 00"),
            ("2E920202", "7F 2E 31"),
            ("2E912B00", "7F 2E 13"),
            ("2E901C" + "07" * 19, "7F 2E 31"),
            ("2E901C" + "41" * 18, "7F 2E 13"),
            ("22F186", "62 F186 60"),
            ("2701", "67 01 00000000"),
            ("1060", "50 60 0032 01F4"),
            ("2291E9", "62 91E9 00"),
            ("2E91E901", "7F 2E 33"),
        )

    simulate(main)


def test_a_session_ends_5_s_after_the_last_request() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"))
        await asyncio.sleep(4.8)
        await tester.dialogue(("22F186", "62 F186 03"))
        await asyncio.sleep(4.8)
        await tester.dialogue(("3E00", "7E 00"))
        await asyncio.sleep(5.0)
        await tester.dialogue(("22F186", "62 F186 01"))

    simulate(main)


def test_tester_present_without_answer_holds_the_session_and_only_that_is_silent() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1083", ""), ("22F186", "62 F186 03"))
        for _ in range(4):
            tester.bus.station.send(CanFrame(uds.FUNCTIONAL_ID, bytes.fromhex("023E80AAAAAAAAAA"), extended=True))
            await asyncio.sleep(3.0)
        await tester.dialogue(("22F186", "62 F186 03"))

    simulate(main)


def test_functional_requests_are_answered_but_not_refused() -> None:
    async def main(tester: DiagnosticBench) -> None:
        async def functional(data: str) -> list[bytes]:
            before = len(tester.answers)
            tester.bus.station.send(CanFrame(uds.FUNCTIONAL_ID, bytes.fromhex(data).ljust(8, b"\xaa"), extended=True))
            await asyncio.sleep(0.1)
            return [data for _, data in tester.answers[before:]]

        assert await functional("0322F186") == [bytes.fromhex("62F18601")]
        assert await functional("0322F199") == []
        assert await functional("023501") == []
        assert await functional("0310AA") == [bytes.fromhex("7F1013")], "a wrong length is always told"
        tester.bus.station.send(CanFrame(uds.FUNCTIONAL_ID, bytes.fromhex("0322F1"), extended=True))
        await asyncio.sleep(0.1)
        assert len(tester.answers) == 2, "a single frame shorter than it says is none"

    simulate(main)


def test_three_wrong_keys_lock_the_door_for_10_s() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"))
        for nrc in ("35", "35", "36"):
            seed = await tester.ask("2701")
            assert seed.startswith("6701")
            assert seed != "670100000000"
            await tester.dialogue(("270200000000", "7F27" + nrc))
        await tester.dialogue(("270200000000", "7F 27 24"), ("2701", "7F 27 37"))
        await asyncio.sleep(10.0)
        await tester.unlock()

    simulate(main)


def test_a_seed_serves_once_and_differs_each_time() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"))
        first = bytes.fromhex(await tester.ask("2701"))[2:]
        await tester.dialogue(("2702" + bytes(4).hex(), "7F 27 35"))
        await tester.dialogue(("2702" + demo_key(first).hex(), "7F 27 24"))
        assert bytes.fromhex(await tester.ask("2701"))[2:] != first

    simulate(main)


def test_the_demo_key() -> None:
    # 0x81234567 rotated left by 7 is 0x91A2B3C0; xor 0x5A17C0DE.
    assert demo_key(bytes.fromhex("81234567")).hex() == "cbb5731e"


def test_answers_come_5_to_20_ms_after_the_request() -> None:
    async def main(tester: DiagnosticBench) -> None:
        delays_s = []
        for _ in range(40):
            asked_s = tester.loop.time()
            await tester.ask("22F186")
            delays_s.append(tester.answers[-1][0] - asked_s)
        assert 0.005 <= min(delays_s) < 0.008
        assert 0.017 < max(delays_s) <= 0.021

    simulate(main)


def test_a_second_request_while_one_is_served_is_lost() -> None:
    async def main(tester: DiagnosticBench) -> None:
        tester.isotp.transmit(bytes.fromhex("22F186"))
        tester.isotp.transmit(bytes.fromhex("22F18A"))
        await asyncio.sleep(0.1)
        assert [data.hex()[:6] for _, data in tester.answers] == ["62f186"]

    simulate(main)


def test_the_open_wire_routine_is_pending_for_2_s() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"), ("3101B010", "71 01 B010 01"), ("3101B010", "7F 31 22"))
        await tester.dialogue(("3103B010", "7F 31 78"))
        await asyncio.sleep(2.0)
        assert tester.answers[-1][1] == bytes.fromhex("7103B01000") + bytes(12)
        await tester.dialogue(("3102B010", "71 02 B010 00"), ("3103B010", "7F 31 24"), ("3101FF01", "7F 31 31"))

    simulate(main)


def test_no_open_wire_routine_and_no_reset_with_contactors_closed() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.bms.take_relays(tester.lease)
        await tester.bms.set_relays(tester.lease, {Relay.MAIN_MINUS})
        await tester.dialogue(("3101B010", "7F 31 22"), ("1103", "7F 11 22"))

    simulate(main)


def test_reset_answers_and_restarts() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"), ("1101", "51 01"), ("22F186", ""))
        await asyncio.sleep(1.0)
        await tester.dialogue(("22F186", "62 F186 01"))
        assert tester.plant.commands == []

    simulate(main)


def test_communication_control_silences_the_broadcast_until_the_session_ends() -> None:
    async def main(tester: DiagnosticBench) -> None:
        def age_s() -> float:
            frame = tester.bus.station.newest(CURRENT_ID)
            assert frame is not None
            return tester.loop.time() - frame.t_s

        await tester.dialogue(("1003", "50 03 0032 01F4"), ("280301", "68 03"))
        await asyncio.sleep(1.0)
        assert age_s() > 0.9
        await tester.dialogue(("280001", "68 00"))
        await asyncio.sleep(0.1)
        assert age_s() < 0.02
        assert await tester.bms.current(tester.lease) == pytest.approx(0.0, abs=0.4)
        await tester.dialogue(("280301", "68 03"))
        await asyncio.sleep(6.0)
        assert age_s() < 0.02

    simulate(main)


def test_trouble_code_reports() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(
            ("190109", "59 01 7F 01 0001"),
            ("190209", "59 02 7F 1B1087 2F"),
            ("19061B108701", "59 06 1B1087 2F 01 01"),
            ("19061B1087FF", "59 06 1B1087 2F 01 01"),
            ("19061B108702", "7F 19 31"),
        )
        supported = bytes.fromhex(await tester.ask("190A"))
        assert supported[:3] == bytes.fromhex("590A7F")
        codes = [dtc.code for dtc in uds.decode_dtcs(supported[3:])]
        assert codes == sorted(codes)
        assert {0x1B1087, 0x1B0113} <= set(codes)
        await tester.dialogue(("141B1087", "54"), ("190209", "59 02 7F"), ("1902FF", "59 02 7F 1B1087 50"))

    simulate(main, BmsCondition(dtcs=(0x1B1087,)))


def test_with_dtc_setting_off_no_code_comes_back() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("1003", "50 03 0032 01F4"), ("8502", "C5 02"), ("14FFFFFF", "54"))
        await asyncio.sleep(4.0)
        await tester.dialogue(("190209", "59 02 7F"), ("8501", "C5 01"), ("190209", "59 02 7F 1B1087 2F"))

    simulate(main, BmsCondition(dtcs=(0x1B1087,)))


def test_several_identifiers_in_one_request() -> None:
    async def main(tester: DiagnosticBench) -> None:
        await tester.dialogue(("22F18691E90000", "62 F186 01 91E9 00"))

    simulate(main)


def test_cells_lie_behind_bitmaps() -> None:
    async def main(tester: DiagnosticBench) -> None:
        tester.plant.cell_v[[0, 31, 95]] = [3.0, 3.1, 3.2]
        for did, volt in (("9021", 3.0), ("9041", 3.1), ("9083", 3.2)):
            answer = await tester.ask("22" + did)
            assert answer[:6] == "62" + did
            assert int(answer[6:], 16) / 1024 == pytest.approx(volt, abs=4e-3)
        await tester.dialogue(
            ("229020", "62 9020 FFFFFFFF"),
            ("229060", "62 9060 FFFFFFFF"),
            ("229080", "62 9080 E0000000"),
            ("229084", "7F 22 31"),
            ("2291E0", "62 91E0 00FC0001"),
            ("229200", "62 9200 C0000001"),
            ("229240", "62 9240 00020009"),
        )

    simulate(main)


@pytest.mark.parametrize(
    ("did", "lsb", "offset", "value", "tolerance"),
    [
        ("9005", 0.1, 0.0, 345.6, 2.0),
        ("9007", 1 / 1024, 0.0, 3.603, 3e-3),
        ("9009", 1 / 1024, 0.0, 3.597, 3e-3),
        ("9012", 0.0625, -40.0, 25.0, 1.0),
        ("9131", 0.0625, -40.0, 25.0, 2.0),
        ("913C", 0.0625, -40.0, 25.0, 2.0),
        ("925D", 0.03125, -1020.0, 0.0, 0.4),
        ("9221", 1 / 32768, -1.0, 0.0, 1e-3),
    ],
)
def test_measured_identifiers(did: str, lsb: float, offset: float, value: float, tolerance: float) -> None:
    async def main(tester: DiagnosticBench) -> None:
        answer = await tester.ask("22" + did)
        assert int(answer[6:], 16) * lsb + offset == pytest.approx(value, abs=tolerance)

    simulate(main)


def test_power_lost_in_the_middle_of_an_answer_leaves_nothing_for_the_next_wake() -> None:
    async def main(tester: DiagnosticBench) -> None:
        tester.isotp.transmit(bytes.fromhex("1003"))
        await asyncio.sleep(0.002)
        tester.stub.set_supply(kl30=False, kl15=False)
        await asyncio.sleep(1.0)
        assert tester.answers == []
        await tester.awake()
        await tester.dialogue(("22F186", "62 F186 01"))

    simulate(main)
