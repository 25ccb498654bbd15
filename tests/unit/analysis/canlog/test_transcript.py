"""UDS dialogues from frames: bytes pinned from ISO 14229-1 and ISO 15765-2, paired, named, and what was lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.canlog.frames import EXTENDED, Frames
from bmsctl.analysis.canlog.readers.collect import Collector
from bmsctl.analysis.canlog.reassembly import FaultKind
from bmsctl.analysis.canlog.transcript import (
    BMS,
    Address,
    Connection,
    Exchange,
    Outcome,
    Transcript,
    transcript,
    usual_connections,
)
from bmsctl.protocols import uds

REQUEST, ANSWER, FUNCTIONAL = 0x7E0, 0x7E8, 0x7DF
ENGINE = Connection(Address(REQUEST), Address(ANSWER), (Address(FUNCTIONAL),))
ASK, TELL, ALL = "ask", "tell", "all"
IDS = {ASK: REQUEST, TELL: ANSWER, ALL: FUNCTIONAL}


def log(*lines: tuple[str, str], bus: str = "can0") -> Frames:
    """Frames 10 ms apart, padded to eight bytes."""
    found = Collector()
    for number, (end, data) in enumerate(lines):
        found.frame(number * 0.01, IDS[end], bus, bytes.fromhex(data).ljust(8, b"\xaa"))
    return found.frames()


def dialogue(*lines: tuple[str, str]) -> Transcript:
    return transcript(log(*lines), [ENGINE])


def only(*lines: tuple[str, str]) -> Exchange:
    found = dialogue(*lines)
    assert found.faults == []
    (row,) = found.exchanges
    return row


def test_a_vin_read_in_several_frames() -> None:
    row = only(
        (ASK, "03 22 F1 90"),
        (TELL, "10 14 62 F1 90 57 30 4C"),
        (ASK, "30 00 00"),
        (TELL, "21 30 30 30 30 34 33 4D"),
        (TELL, "22 42 35 34 31 33 32 36"),
    )
    assert (row.service, row.subject, row.outcome) == ("read data by identifier", "F190 vin", Outcome.POSITIVE)
    assert row.meaning == "W0L000043MB541326"
    assert row.request == bytes.fromhex("22F190")
    assert row.answer == b"\x62\xf1\x90W0L000043MB541326"
    assert (row.time_s, row.delay_s, row.bus) == (0.0, 0.01, "can0")
    assert (row.request_id, row.answer_id, row.refusal, row.pending) == (REQUEST, ANSWER, "", 0)


def test_a_refusal_after_patience() -> None:
    row = only((ASK, "04 31 01 FF 00"), (TELL, "03 7F 31 78"), (TELL, "03 7F 31 78"), (TELL, "03 7F 31 33"))
    assert (row.service, row.subject) == ("routine control", "start FF00 erase memory")
    assert (row.outcome, row.refusal, row.pending) == (Outcome.NEGATIVE, "0x33 security access denied", 2)
    assert row.delay_s == pytest.approx(0.03)
    assert row.meaning == ""


@pytest.mark.parametrize(
    ("request_data", "answer", "service", "subject", "meaning"),
    [
        ("02 10 03", "06 50 03 00 32 01 F4", "diagnostic session control", "extended", ""),
        ("02 11 01", "02 51 01", "ecu reset", "hard", ""),
        ("04 14 FF FF FF", "01 54", "clear diagnostic information", "all trouble codes", ""),
        ("03 19 02 0C", "07 59 02 FF 1B 10 87 08", "read dtc information", "by status mask", "1B10-87 confirmed"),
        ("03 19 02 0C", "03 59 02 FF", "read dtc information", "by status mask", "no trouble codes"),
        ("03 22 90 05", "05 62 90 05 0E 10", "read data by identifier", "9005 pack voltage", "360 V"),
        ("03 22 90 21", "05 62 90 21 0C 7E", "read data by identifier", "9021 cell 1 voltage", "3.123047 V"),
        ("03 22 90 41", "05 62 90 41 FF FF", "read data by identifier", "9041 cell 32 voltage", "not available"),
        ("03 22 90 40", "07 62 90 40 FF FF FF FE", "read data by identifier", "9040 supported identifiers", ""),
        ("03 22 91 31", "05 62 91 31 04 10", "read data by identifier", "9131 temperature 1", "25 degC"),
        ("03 22 12 34", "04 62 12 34 05", "read data by identifier", "1234", ""),
        (
            "03 22 90 05",
            "04 62 90 05 0E",
            "read data by identifier",
            "9005 pack voltage",
            "not as it should be: 1 bytes where 2 are due",
        ),
        ("04 2E 92 81 64", "03 6E 92 81", "write data by identifier", "9281 sleep delay", ""),
        ("02 27 65", "06 67 65 01 02 03 04", "security access", "seed 65", ""),
        ("06 27 66 01 02 03 04", "02 67 66", "security access", "key 66", ""),
        ("03 28 03 01", "02 68 03", "communication control", "neither", ""),
        ("02 85 02", "02 C5 02", "control dtc setting", "off", ""),
        ("02 3E 00", "02 7E 00", "tester present", "", ""),
        ("03 36 01 55", "02 76 01", "transfer data", "block 1", ""),
        ("01 37", "01 77", "request transfer exit", "", ""),
        ("05 2F 01 02 03 04", "04 6F 01 02 03", "input output control by identifier", "", ""),
        ("02 BA 01", "02 FA 01", "service BA", "", ""),
    ],
)
def test_services_subjects_and_meanings(
    request_data: str, answer: str, service: str, subject: str, meaning: str
) -> None:
    row = only((ASK, request_data), (TELL, answer))
    assert (row.outcome, row.service, row.subject, row.meaning) == (Outcome.POSITIVE, service, subject, meaning)


def test_a_download_names_its_area_and_the_length_of_blocks() -> None:
    row = only(
        (ASK, "10 0B 34 00 44 00 00 10"),
        (TELL, "30 00 00"),
        (ASK, "21 00 00 00 02 00"),
        (TELL, "04 74 20 0F FA"),
    )
    assert (row.service, row.subject, row.meaning) == (
        "request download",
        "512 bytes at 00001000",
        "blocks of 4090 bytes",
    )


def test_several_identifiers_in_one_request() -> None:
    row = only((ASK, "05 22 90 05 92 5D"), (TELL, "10 09 62 90 05 0E 10 92"), (ASK, "30 00 00"), (TELL, "21 5D 7F 80"))
    assert row.subject == "9005 pack voltage, 925D current"


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    found = dialogue(
        (ASK, "03 22 90 21"), (ASK, "03 22 90 22"), (TELL, "05 62 90 21 0C 7E"), (TELL, "05 62 90 22 0C 80")
    )
    assert [(row.outcome, row.subject) for row in found.exchanges] == [
        (Outcome.NO_ANSWER, "9021 cell 1 voltage"),
        (Outcome.POSITIVE, "9022 cell 2 voltage"),
        (Outcome.UNASKED, "9021 cell 1 voltage"),
    ]
    assert found.exchanges[1].answer == bytes.fromhex("6290220C80")
    assert math.isnan(found.exchanges[0].delay_s)
    assert found.counts == {"no answer": 1, "positive": 1, "answer without its request": 1}


def test_a_refusal_without_a_request_names_its_service() -> None:
    row = only((TELL, "03 7F 22 31"))
    assert (row.outcome, row.service, row.subject) == (Outcome.UNASKED, "read data by identifier", "")
    assert row.refusal == "0x31 request out of range"
    assert only((TELL, "01 7F")).service == "service 7F"


def test_silence_that_was_asked_for() -> None:
    found = dialogue(
        (ASK, "03 22 F1 90"),
        (ALL, "02 3E 80"),
        (TELL, "03 7F 22 78"),
        (ALL, "02 3E 80"),
        (TELL, "03 7F 22 31"),
        (ALL, "02 3E 80"),
    )
    assert [row.outcome for row in found.exchanges] == [Outcome.NEGATIVE, *[Outcome.SILENT] * 3]
    assert [row.request_id for row in found.exchanges] == [REQUEST, FUNCTIONAL, FUNCTIONAL, FUNCTIONAL]
    assert found.exchanges[0].pending == 1


def test_silence_is_broken_by_a_refusal_or_by_an_answer_after_patience() -> None:
    assert only((ASK, "02 10 83"), (TELL, "03 7F 10 22")).outcome is Outcome.NEGATIVE
    row = only((ASK, "02 10 83"), (TELL, "03 7F 10 78"), (TELL, "06 50 03 00 32 01 F4"))
    assert (row.outcome, row.subject, row.pending) == (Outcome.POSITIVE, "extended", 1)
    assert only((ASK, "02 10 83"), (TELL, "03 7F 10 78")).outcome is Outcome.NO_ANSWER, "patience promised an answer"


def test_what_is_lost_on_the_way_is_counted_and_named() -> None:
    found = dialogue(
        (ASK, "03 22 F1 90"),
        (TELL, "10 14 62 F1 90 57 30 4C"),
        (ASK, "30 00 00"),
        (TELL, "22 42 35 34 31 33 32 36"),
        (ASK, "03 22 F1 90"),
        (TELL, "10 14 62 F1 90 57 30 4C"),
        (ASK, "32 00 00"),
    )
    assert [row.outcome for row in found.exchanges] == [Outcome.NO_ANSWER] * 2
    assert [(fault.can_id, fault.kind) for fault in found.faults] == [
        (ANSWER, FaultKind.MISSING),
        (ANSWER, FaultKind.OVERFLOW),
    ]
    assert found.counts["consecutive frame missing"] == 1


def test_extended_addresses_share_an_identifier() -> None:
    found = Collector()
    for data in (
        "29 03 22 F1 87",
        "F1 10 0D 62 F1 87 41 42",
        "29 30 00 00",
        "40 02 3E 00",
        "F1 21 43 44 45 46 47 48",
        "F1 22 49 4A",
    ):
        found.frame(0.0, 0x6F1 if data[0] != "F" else 0x629, "", bytes.fromhex(data))
    connection = Connection(Address(0x6F1, 0x29), Address(0x629, 0xF1))
    other = Connection(Address(0x6F1, 0x40), Address(0x640, 0xF1))
    rows = transcript(found.frames(), [connection, other]).exchanges
    assert [(row.request.hex(), row.answer.hex()) for row in rows] == [
        ("22f187", "62f1874142434445464748494a"),
        ("3e00", ""),
    ]
    assert rows[0].meaning == "ABCDEFGHIJ"


def test_buses_do_not_mix() -> None:
    found = Collector()
    for bus, end, data in (
        ("a", ASK, "022290"),
        ("b", TELL, "03629005"),
        ("a", ASK, "03229005"),
        ("b", ASK, "03229005"),
    ):
        found.frame(0.0, IDS[end], bus, bytes.fromhex(data).ljust(8, b"\0"))
    rows = transcript(found.frames(), [ENGINE]).exchanges
    assert [(row.bus, row.outcome) for row in rows] == [
        ("a", Outcome.NO_ANSWER),
        ("b", Outcome.UNASKED),
        ("a", Outcome.NO_ANSWER),
        ("b", Outcome.NO_ANSWER),
    ]


def test_nothing_was_said() -> None:
    nothing = Transcript([], [])
    assert transcript(log(), [ENGINE]) == nothing
    assert transcript(log((ASK, "02 3E 00")), []) == nothing
    assert transcript(log((ASK, "02 3E 00")), [BMS]) == nothing


def test_the_usual_addresses_are_found() -> None:
    found = Collector()
    for can_id in (0x7E9, 0x123, 0x18DAF1DB | int(EXTENDED), 0x18DAF2DB | int(EXTENDED), 0x18DAF1DB & 0x7FF):
        found.frame(0.0, can_id, "", b"")
    assert usual_connections(found.frames()) == [
        Connection(Address(0x7E1), Address(0x7E9), (Address(0x7DF),)),
        BMS,
    ]
    assert BMS.request.can_id == uds.REQUEST_ID | 1 << 31


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([ASK, TELL, ALL]), st.binary(max_size=8)), max_size=25))
def test_any_frames_are_told(lines: list[tuple[str, bytes]]) -> None:
    found = Collector()
    for number, (end, data) in enumerate(lines):
        found.frame(number * 0.4, IDS[end], "", data)
    told = transcript(found.frames(), [ENGINE])
    assert len(told.exchanges) <= len(lines)
    assert sum(told.counts.values()) == len(told.exchanges) + len(told.faults)
    assert all(row.service and (row.request or row.answer) for row in told.exchanges)


def test_unsorted_and_missing_times_are_taken_in_the_order_of_the_log() -> None:
    frames = log((ASK, "03 22 90 05"), (TELL, "05 62 90 05 0E 10"))
    for times in ([5.0, 1.0], [np.nan, np.nan]):
        moved = Frames(**{name: getattr(frames, name) for name in frames.__slots__} | {"time_s": np.array(times)})
        (row,) = transcript(moved, [ENGINE]).exchanges
        assert row.outcome is Outcome.POSITIVE
        assert row.delay_s == pytest.approx(times[1] - times[0], nan_ok=True)
