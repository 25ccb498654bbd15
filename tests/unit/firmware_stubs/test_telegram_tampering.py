"""Devices that hang: what they tell again, and what they go on telling."""

from __future__ import annotations

import pytest

from bmsctl.domain.ports import LimitStatus
from bmsctl.protocols import dmcc, leak_tester, modbus_rtu
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.dmcc import Answer, Status
from bmsctl.protocols.leak_tester import Phase, Result, Sample, StatusBlock
from bmsctl.protocols.modbus_rtu import Function
from bmsctl.protocols.open_protocol import BatchStatus, OldResult
from firmware_stubs.telegram_tampering import Tamper, frozen_labels, frozen_pressures, frozen_tightenings


def through(tamper: Tamper, data: bytes) -> bytes:
    """What arrives of one telegram, at once and in one piece."""
    ((delay_s, piece),) = tamper(data)
    assert delay_s == 0.0
    return piece


def old(tightening_id: int) -> bytes:
    told = (1, True, LimitStatus.OK, LimitStatus.OK, 25.0, 90, "2026-01-01:00:00:00", BatchStatus.OK)
    return op.encode(op.to_telegram(OldResult(tightening_id, "AS52000000007", 3, *told)))


def test_a_controller_that_hangs_has_made_one_tightening() -> None:
    tamper = frozen_tightenings()
    assert through(tamper, old(7)) == old(7)
    assert through(tamper, old(8)) == old(7)
    alive = op.encode(op.to_telegram(op.KeepAlive()))
    assert through(tamper, alive) == alive


def test_a_reader_that_hangs_reads_one_label_and_still_obeys() -> None:
    tamper = frozen_labels()
    first, second = (dmcc.encode_answer(Answer(0, Status.READ, label)) for label in ("A;1", "A;2"))
    assert through(tamper, first) == first
    assert through(tamper, second) == first
    accepted = dmcc.encode_answer(Answer(5, Status.OK))
    assert through(tamper, accepted) == accepted


@pytest.mark.parametrize("first", [0, 20])
def test_a_transducer_that_hangs_has_one_pressure(first: int) -> None:
    tamper = frozen_pressures()
    asked = modbus_rtu.read(leak_tester.UNIT, Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT)

    def status(*pressures: float) -> bytes:
        samples = tuple(Sample(pascal, 22.0, 100e3) for pascal in pressures)
        told = StatusBlock(3, 1, Phase.TEST, Result.NONE, 2e5, first + len(samples), first, samples)
        return modbus_rtu.encode_reply(asked, leak_tester.encode_status(told))

    assert through(tamper, status(200_000.0, 199_999.0)) == status(200_000.0, 200_000.0)
    assert through(tamper, status(199_990.0)) == status(200_000.0)
    assert through(tamper, status()) == status()
    written = modbus_rtu.encode_reply(modbus_rtu.write(leak_tester.UNIT, leak_tester.TAG, (1, 0)))
    assert through(tamper, written) == written
