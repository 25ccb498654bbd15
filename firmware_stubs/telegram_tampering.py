"""What becomes of the telegrams of devices that hang: they say again and again what they said first.

Each maker gives a line's `tamper`, which is handed one telegram at a time. What does not tell of a measurement, or of
something done, is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from bmsctl.protocols import dmcc, leak_tester, modbus_rtu, open_protocol
from bmsctl.protocols.dmcc import Status
from bmsctl.protocols.modbus_rtu import Function
from firmware_stubs.ports import Pieces

Tamper = Callable[[bytes], Pieces]

_TOLD = (open_protocol.mid_of(open_protocol.Result), open_protocol.mid_of(open_protocol.OldResult))
_HEAD_BYTES, _CRC_BYTES = 3, 2


def frozen_tightenings() -> Tamper:
    """Every tightening is the first one of which the controller told, in the same words."""
    first: dict[int, bytes] = {}

    def tamper(data: bytes) -> Pieces:
        mid = int(data[4:8])
        return [(0.0, first.setdefault(mid, data) if mid in _TOLD else data)]

    return tamper


def frozen_labels() -> Tamper:
    """Every label is the first one that the reader has read."""
    first: list[bytes] = []

    def tamper(data: bytes) -> Pieces:
        (telegram,) = dmcc.Telegrams().feed(data)
        answer = dmcc.decode_answer(telegram)
        if answer is None or answer.status is not Status.READ:
            return [(0.0, data)]
        first.append(data)
        return [(0.0, first[0])]

    return tamper


def frozen_pressures() -> Tamper:
    """Every sample of a pressure is the first one."""
    first: list[float] = []

    def tamper(data: bytes) -> Pieces:
        if data[1] != Function.READ_INPUT or len(data) != _HEAD_BYTES + 2 * leak_tester.STATUS_COUNT + _CRC_BYTES:
            return [(0.0, data)]
        registers = struct.unpack(f">{leak_tester.STATUS_COUNT}H", data[_HEAD_BYTES:-_CRC_BYTES])
        status = leak_tester.decode_status(registers)
        first.extend(sample.pressure_pa for sample in status.samples[:1])
        samples = tuple(sample._replace(pressure_pa=first[0]) for sample in status.samples)
        asked = modbus_rtu.read(leak_tester.UNIT, Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT)
        return [(0.0, modbus_rtu.encode_reply(asked, leak_tester.encode_status(status._replace(samples=samples))))]

    return tamper
