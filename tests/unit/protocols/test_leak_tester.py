"""The leak tester's registers against telegrams written by hand from its page."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols import leak_tester, modbus_rtu
from bmsctl.protocols.leak_tester import Phase, Result, Sample, Settings, StatusBlock
from bmsctl.protocols.modbus_rtu import Function, Replies, Reply, Request
from tests.reference.crc16 import crc16_bitwise

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/leak_tester/registers.toml").read_text())

SETTINGS = Settings(2, -2000.0, 10.0, 20.0, 60.0)
SAMPLES = (Sample(-1993.4, 19.25, 101325.0), Sample(-1993.1, 24.001, 101324.9))
STATUS = StatusBlock(7, 5, Phase.TEST, Result.NONE, -1993.1, 4, 2, SAMPLES)

ASK = modbus_rtu.write(leak_tester.UNIT, leak_tester.TAG, (7, 2))
READ_BACK = modbus_rtu.read(leak_tester.UNIT, Function.READ_HOLDING, leak_tester.TAG, leak_tester.HOLDING_COUNT)
READ_IDENTITY = modbus_rtu.read(leak_tester.UNIT, Function.READ_INPUT, leak_tester.IDENTITY, leak_tester.IDENTITY_COUNT)
READ_STATUS = modbus_rtu.read(leak_tester.UNIT, Function.READ_INPUT, leak_tester.STATUS, leak_tester.STATUS_COUNT)

REQUESTS: dict[str, Request] = {
    "ask": ASK,
    "settings": modbus_rtu.write(leak_tester.UNIT, leak_tester.SETTINGS, leak_tester.encode_settings(SETTINGS)),
    "read_back": READ_BACK,
    "start": modbus_rtu.write(leak_tester.UNIT, leak_tester.TEST, (5,)),
    "stop": modbus_rtu.write(leak_tester.UNIT, leak_tester.TEST, (leak_tester.STOP,)),
    "read_identity": READ_IDENTITY,
    "read_status": READ_STATUS,
}


def golden(name: str) -> bytes:
    """A telegram, its CRC added bit by bit."""
    if name == "status":
        body = bytes.fromhex(GOLDEN[name]["head"] + GOLDEN[name]["samples"]) + bytes(2 * 105)
    else:
        body = bytes.fromhex(GOLDEN[name]["bytes"])
    return body + crc16_bitwise(body).to_bytes(2, "little")


def answered(name: str, request: Request) -> tuple[int, ...]:
    replies = Replies()
    replies.expect(request)
    (reply,) = replies.feed(golden(name))
    assert isinstance(reply, Reply)
    return reply.values


def test_every_golden_telegram_is_tested() -> None:
    assert set(GOLDEN) == {*REQUESTS, "holding", "identity", "status", "vent"}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(name: str) -> None:
    assert modbus_rtu.encode_request(REQUESTS[name]) == golden(name)


def test_settings_read_back() -> None:
    tag, first, test, *registers = answered("holding", READ_BACK)
    assert (tag, first, test) == (7, 2, 5)
    assert leak_tester.decode_settings(registers) == SETTINGS


def test_identity() -> None:
    registers = answered("identity", READ_IDENTITY)
    assert leak_tester.decode_identity(registers) == "Leaktest,PD4,1,1"
    assert leak_tester.encode_identity(7, "Leaktest,PD4,1,1") == registers


def test_course() -> None:
    registers = answered("status", READ_STATUS)
    status = leak_tester.decode_status(registers)
    assert status[:7] == STATUS[:7]
    assert [value for sample in status.samples for value in sample] == pytest.approx(
        [value for sample in SAMPLES for value in sample], abs=1e-9
    )
    assert leak_tester.encode_status(STATUS) == registers


@pytest.mark.parametrize(("taken", "first", "shown"), [(0, 0, 0), (3, 5, 0), (5, 5, 0), (100, 7, 23), (24, 1, 23)])
def test_a_page_has_what_was_taken_and_no_more(taken: int, first: int, shown: int) -> None:
    registers = leak_tester.encode_status(STATUS._replace(taken=taken, first=first, samples=()))
    assert len(leak_tester.decode_status(registers).samples) == shown


@given(st.integers(0, 0xFFFF), st.integers(-(1 << 31), (1 << 31) - 1), st.tuples(*[st.integers(0, 0xFFFF)] * 3))
def test_all_settings_come_back(channel: int, pressure: int, tenths: tuple[int, int, int]) -> None:
    settings = Settings(channel, float(pressure), *(each / 10 for each in tenths))
    assert leak_tester.decode_settings(leak_tester.encode_settings(settings)) == settings


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (SETTINGS._replace(channel=-1), "channel"),
        (SETTINGS._replace(pressure_pa=3e9), "test pressure"),
        (SETTINGS._replace(fill_s=6553.6), "fill time"),
        (SETTINGS._replace(settle_s=-0.1), "settling time"),
        (SETTINGS._replace(test_s=1e9), "test time"),
    ],
)
def test_what_fits_no_register_is_refused_by_name(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        leak_tester.encode_settings(settings)


@pytest.mark.parametrize(
    ("settle_s", "test_s", "samples"), [(20.0, 60.0, 161), (0.0, 0.5, 2), (0.3, 0.3, 2), (0.0, 0.4, 1)]
)
def test_samples_are_counted_from_the_end_of_filling(settle_s: float, test_s: float, samples: int) -> None:
    assert SETTINGS._replace(settle_s=settle_s, test_s=test_s).samples == samples


@pytest.mark.parametrize(("at", "value"), [(2, 5), (3, 9)])
def test_a_phase_or_result_that_does_not_exist_is_refused(at: int, value: int) -> None:
    registers = list(leak_tester.encode_status(STATUS))
    registers[at] = value
    with pytest.raises(ValueError, match=str(value)):
        leak_tester.decode_status(registers)


@pytest.mark.parametrize("text", ["", "A\x07", "A\0B"])
def test_an_identity_must_be_text(text: str) -> None:
    with pytest.raises(ValueError, match="no text"):
        leak_tester.decode_identity(leak_tester.encode_identity(7, text))
