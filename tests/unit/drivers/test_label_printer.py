"""The label printer driver: against answers written by hand, against the stub, and on a bad line."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.drivers.label_printer import ZplPrinter
from bmsctl.errors import DeviceError, DeviceRefused, DeviceTimeout, LeaseRevoked, ReplyInvalid
from bmsctl.protocols import zpl
from bmsctl.protocols.zpl import Label, Trouble
from firmware_stubs.label_printer import LabelPrinterStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.serial_faults import (
    FAULTS,
    Fault,
    Tamper,
    damages,
    during,
    edited,
    garble_commands,
    late,
    lost,
    suffer,
    unplug,
)

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/label_printer/zpl.toml").read_text())
LABEL = Label("295B08142R;AS52000000001", ("295B08142R", "AS52000000001", "AS52 350 V"))

FRAMED = ("noise without terminator", "terminator overwritten")
"""Bytes between two answers hurt none of them: each has a beginning and an end of its own."""


class Bench:
    """Driver and stub on one line. `said`: what the driver sent."""

    def __init__(self) -> None:
        self.line = SimSerial("label_printer")
        self.stub = LabelPrinterStub(self.line.device, 1)
        self.driver = ZplPrinter(self.line.station)
        self.lease = lease()
        self.said: list[bytes] = []
        sink = self.line.device_sink
        assert sink is not None

        def heard(data: bytes) -> None:
            self.said.append(data)
            sink(data)

        self.line.device_sink = heard

    def print(self) -> Coroutine[None, None, None]:
        return self.driver.print(self.lease, "AS52000000001", "295B08142R", ["AS52 350 V"])

    @property
    def sent(self) -> int:
        """How often the label was sent."""
        return sum(b"^XA" in data for data in self.said)

    async def nothing_comes_out_any_more(self, printed: int) -> None:
        self.stub.trouble = Trouble(0)
        await asyncio.sleep(5.0)
        assert len(self.stub.printed) == printed


def lease() -> Lease:
    return LeaseBook(asyncio.get_running_loop().time).grant("label_printer", 1.0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 120.0)
    assert loop.errors == []


def test_the_bytes_written_by_hand() -> None:
    async def main() -> None:
        line = SimSerial("label_printer")
        said: list[bytes] = []
        ready = b"".join(b"\x02" + string.encode() + b"\x03\r\n" for string in GOLDEN["ready"]["strings"])
        counts = iter([b'"1204""1204"', b'"1204""1204"', b'"1205""1205"'])

        def heard(data: bytes) -> None:
            said.append(data)
            if data.startswith(b"~HS"):
                line.device.emit(ready + next(counts), 0.05)

        line.device.listen(heard)
        await ZplPrinter(line.station).print(lease(), "AS52000000001", "295B08142R", GOLDEN["label"]["lines"][2:])
        ask = b"~HS" + 2 * b'! U1 getvar "odometer.total_label_count"\r\n'
        assert said == [ask, GOLDEN["label"]["zpl"].encode(), ask, ask]

    run(main)


def test_with_the_stub_one_label_is_printed_and_the_lease_kept_fresh() -> None:
    async def main() -> None:
        bench = Bench()
        counted = bench.stub.count
        task = asyncio.get_running_loop().create_task(bench.print())
        while not task.done():
            await asyncio.sleep(0.05)
            assert bench.lease.fresh
        assert bench.stub.printed == [LABEL]
        assert bench.stub.count == counted + 1
        assert asyncio.get_running_loop().time() < 2.0

    run(main)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (Trouble.PAPER_OUT, "out of paper"),
        (Trouble.RIBBON_OUT | Trouble.PAUSED, "paused and out of ribbon"),
        (Trouble.HEAD_OPEN, "head is open"),
        (Trouble.TOO_HOT, "too hot"),
        (Trouble.MEMORY_LOST, "set-up"),
    ],
)
def test_a_printer_that_cannot_print_is_sent_nothing(trouble: Trouble, text: str) -> None:
    async def main() -> None:
        bench = Bench()
        bench.stub.trouble = trouble
        with pytest.raises(DeviceRefused, match=text):
            await bench.print()
        assert bench.sent == 0

    run(main)


def test_paper_that_runs_out_in_the_middle_does_not_print_it_later() -> None:
    async def main() -> None:
        bench = Bench()
        asyncio.get_running_loop().call_later(0.5, setattr, bench.stub, "trouble", Trouble.PAPER_OUT)
        with pytest.raises(DeviceRefused, match="out of paper"):
            await bench.print()
        await bench.nothing_comes_out_any_more(printed=0)

    run(main)


def test_a_busy_printer_is_not_given_another_label() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.station.write(zpl.encode_label(Label("x", ())))
        await asyncio.sleep(0.1)
        with pytest.raises(DeviceRefused, match="something else"):
            await bench.print()
        assert bench.sent == 1

    run(main)


def test_a_label_that_the_printer_did_not_understand_is_not_printed() -> None:
    async def main() -> None:
        bench = Bench()
        garble_commands(bench.line, lambda data: data.replace(b"^XZ", b"^XY"))
        with pytest.raises(DeviceTimeout, match="not printed"):
            await bench.print()
        assert bench.sent == 1

    run(main)


def test_a_label_printed_twice_is_noticed() -> None:
    async def main() -> None:
        bench = Bench()
        garble_commands(bench.line, lambda data: 2 * data if b"^XA" in data else data)
        with pytest.raises(ReplyInvalid, match="instead of one"):
            await bench.print()

    run(main)


def test_a_counter_that_is_damaged_once_is_asked_again() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.device.tamper = during(edited(lambda data: b'"77"'), 1, skip=1)
        await bench.print()
        assert bench.stub.printed == [LABEL]

    run(main)


def test_a_cancelled_or_revoked_print_leaves_nothing_behind() -> None:
    async def main() -> None:
        bench = Bench()
        task = asyncio.get_running_loop().create_task(bench.print())
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.sent == 1
        await bench.nothing_comes_out_any_more(printed=0)
        bench.lease.revoked = True
        with pytest.raises(LeaseRevoked):
            await bench.print()
        assert bench.sent == 1

    run(main)


def test_answers_that_always_come_too_late_are_never_believed() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.device.tamper = late(1.2)
        with pytest.raises(DeviceError):
            await bench.print()
        assert bench.sent == 0
        assert bench.driver.strays > 0

    run(main)


def survived(fault: Fault) -> Fault:
    return replace(fault, survivable=True) if fault.name in FRAMED else fault


@pytest.mark.parametrize("fault", [survived(fault) for fault in FAULTS], ids=str)
def test_a_fault_on_the_line_never_prints_two_labels_or_confirms_none(fault: Fault) -> None:
    async def main() -> None:
        bench = Bench()
        await suffer(bench.line, fault, bench.print, lambda _: bench.stub.printed == [LABEL])
        await asyncio.sleep(0.1)
        assert bench.sent <= 1
        assert len(bench.stub.printed) <= 1

    run(main)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_any_damage_ends_in_a_label_or_an_error(tamper: Tamper) -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.device.tamper = tamper
        try:
            await bench.print()
        except DeviceError:
            bench.line.device.tamper = None
        else:
            assert bench.stub.printed == [LABEL]
        assert bench.sent <= 1

    run(main)


def test_silence_and_a_dead_line() -> None:
    async def main() -> None:
        bench = Bench()
        bench.line.device.tamper = lost()
        with pytest.raises(DeviceTimeout):
            await bench.print()
        assert len(bench.said) == 3
        unplug(bench.line)
        with pytest.raises(DeviceError):
            await bench.print()

    run(main)
