"""Messages of Open Protocol against telegrams written by hand; lengths, revisions and fields that are wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import LimitStatus
from bmsctl.protocols import open_protocol as op
from bmsctl.protocols.open_protocol import (
    LAYOUTS,
    BatchStatus,
    Layout,
    Malformed,
    Message,
    Telegrams,
    encode,
    message_of,
    to_telegram,
)
from bmsctl.protocols.open_protocol.fields import BATCH, FLAG, LIMIT_STATUS, NUMBER, TEXT, TIME, TORQUE, Field, Kind

GOLDEN = tomllib.loads((Path(__file__).parents[3] / "golden/nutrunner/telegrams.toml").read_text())
ENUMS: dict[str, Any] = {"torque_status": LimitStatus, "angle_status": LimitStatus, "batch_status": BatchStatus}


def golden(name: str) -> bytes:
    return "".join(GOLDEN[name]["telegram"]).encode() + b"\0"


def pinned(name: str) -> Message:
    values = {key: ENUMS[key][value] if key in ENUMS else value for key, value in GOLDEN[name]["values"].items()}
    message: Message = getattr(op, GOLDEN[name]["message"])(**values)
    return message


def heard(encoded: bytes) -> Message:
    (telegram,) = Telegrams().feed(encoded)
    return message_of(telegram)


def changed(name: str, at: int, text: str) -> bytes:
    """A golden telegram with other characters from byte `at` on, counted from 1."""
    encoded = golden(name)
    return encoded[: at - 1] + text.encode("latin-1") + encoded[at - 1 + len(text) :]


def test_every_message_has_a_golden_telegram() -> None:
    assert {each["message"] for each in GOLDEN.values()} == {layout.message.__name__ for layout in LAYOUTS}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_telegram_is_its_message(name: str) -> None:
    assert heard(golden(name)) == pinned(name)
    assert encode(to_telegram(pinned(name))) == golden(name)


def test_lengths_are_those_of_the_specification() -> None:
    lengths = {layout.mid: layout.length for layout in LAYOUTS if layout.length > 20}
    assert lengths == {
        2: 57,
        4: 26,
        5: 24,
        18: 23,
        38: 22,
        39: 22,
        50: 45,
        61: 231,
        64: 30,
        65: 118,
        71: 53,
        74: 24,
        76: 56,
    }


def test_messages_without_content_are_not_the_same() -> None:
    assert op.EnableTool() != op.DisableTool()
    assert op.CommandAccepted(18) != op.SelectParameterSet(18)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_wrong_length_is_refused_by_name(layout: Layout) -> None:
    name = next(name for name, each in GOLDEN.items() if each["message"] == layout.message.__name__)
    (telegram,) = Telegrams().feed(golden(name))
    wrong = [telegram.data + b"0", *([telegram.data[:-1], b""] if telegram.data else [])]
    for data in wrong:
        with pytest.raises(Malformed) as caught:
            message_of(telegram._replace(data=data))
        said = f"MID {layout.mid:04d} revision 1: {layout.length} bytes are expected, there are {20 + len(data)}"
        assert str(caught.value) == said


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_another_revision_is_refused_by_name(layout: Layout) -> None:
    with pytest.raises(Malformed) as caught:
        message_of(op.Telegram(layout.mid, 2, b"0" * (layout.length - 20)))
    assert str(caught.value) == f"MID {layout.mid:04d} revision 2: only revision 1 is known"


def test_an_unknown_mid_is_refused_by_name() -> None:
    with pytest.raises(Malformed, match=r"^MID 0900 revision 3: no message is known by this number$"):
        message_of(op.Telegram(900, 3))


@pytest.mark.parametrize(
    ("name", "at", "text", "what"),
    [
        ("result_nok", 21, "02", "MID 0061 revision 1, cell at byte 21: '02' is not its number 01"),
        ("result_nok", 23, "000 ", "MID 0061 revision 1, cell at byte 23: '000 ' is not a number"),
        ("result_nok", 33, "\xe4", "MID 0061 revision 1, controller at byte 33: 'äirbag7"),
        ("result_nok", 60, "\t", "MID 0061 revision 1, vin at byte 60: "),
        ("result_nok", 91, "+03", "MID 0061 revision 1, parameter_set at byte 91: '+03' is not a number"),
        ("result_nok", 108, "2", "MID 0061 revision 1, ok at byte 108: '2' is not 0 or 1"),
        ("result_nok", 111, "3", "MID 0061 revision 1, torque_status at byte 111: '3' is not 0 for low"),
        ("result_nok", 114, " ", "MID 0061 revision 1, angle_status at byte 114: ' ' is not 0 for low"),
        ("result_nok", 141, "0007.4", "MID 0061 revision 1, torque at byte 141: '0007.4' is not a number"),
        ("result_nok", 141, "-00739", "MID 0061 revision 1, torque at byte 141: '-00739' is not a number"),
        ("result_nok", 170, "1e3  ", "MID 0061 revision 1, angle at byte 170: '1e3  ' is not a number"),
        ("result_nok", 182, "13", "MID 0061 revision 1, at at byte 177: '2001-13-02:09:54:09' is not a time"),
        ("result_nok", 188, "24", "MID 0061 revision 1, at at byte 177: '2001-06-02:24:54:09' is not a time"),
        ("result_nok", 198, "Last Change Unknown", "MID 0061 revision 1, parameter_set_changed at byte 198: "),
        ("result_nok", 219, "3", "MID 0061 revision 1, batch_status at byte 219: '3' is not 0 for NOK"),
        ("result_nok", 220, "24", "MID 0061 revision 1, tightening_id at byte 220: '24' is not its number 23"),
        ("result_nok", 222, "345675    ", "MID 0061 revision 1, tightening_id at byte 222: '345675    '"),
        ("old_result", 33, "03", "MID 0065 revision 1, vin at byte 33: '03' is not its number 02"),
        ("old_result", 118, "3", "MID 0065 revision 1, batch_status at byte 118: '3'"),
        ("accepted", 21, "O018", "MID 0005 revision 1, mid at byte 21: 'O018' is not a number"),
        ("alarm", 29, "2", "MID 0071 revision 1, controller_ready at byte 29: '2' is not 0 or 1"),
    ],
)
def test_a_field_out_of_form_is_refused_by_name_and_place(name: str, at: int, text: str, what: str) -> None:
    with pytest.raises(Malformed) as caught:
        heard(changed(name, at, text))
    assert str(caught.value).startswith(what)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (op.SelectParameterSet(1000), "MID 0018 revision 1, parameter_set: 1000 does not fit into 3 digits"),
        (op.SelectParameterSet(-1), "MID 0018 revision 1, parameter_set: -1 does not fit into 3 digits"),
        (op.DownloadVin("A" * 26), "MID 0050 revision 1, vin: 'AAAAAAAAAAAAAAAAAAAAAAAAAA' does not fit into 25"),
        (op.DownloadVin("AS52\0"), r"MID 0050 revision 1, vin: 'AS52\\x00' is not printable ASCII"),
        (op.DownloadVin("ÄS52"), "MID 0050 revision 1, vin: 'ÄS52' is not printable ASCII"),
        (op.RequestOldResult(10**10), "MID 0064 revision 1, tightening_id: 10000000000 does not fit into 10 digits"),
        (op.Alarm("E851", True, True, "now"), "MID 0071 revision 1, at: 'now' is not a time"),
    ],
)
def test_a_value_that_does_not_fit_is_not_sent(message: Message, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        to_telegram(message)


@pytest.mark.parametrize("torque", [float("nan"), float("inf"), -0.02, 10_000.0])
def test_a_torque_that_is_none_is_not_sent(torque: float) -> None:
    values = {name: getattr(pinned("old_result"), name) for name in GOLDEN["old_result"]["values"]}
    with pytest.raises(Malformed, match="MID 0065 revision 1, torque: "):
        to_telegram(op.OldResult(**{**values, "torque": torque}))


TIMES = st.datetimes().map(lambda at: f"{at.year:04d}-{at:%m-%d:%H:%M:%S}")
PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
OF_KIND: dict[Kind, Any] = {
    NUMBER: lambda width: st.integers(0, 10**width - 1),
    TEXT: lambda width: st.text(PRINTABLE, max_size=width).map(lambda text: text.rstrip(" ")),
    TORQUE: lambda width: st.integers(0, 10**width - 1).map(lambda hundredths: hundredths / 100.0),
    TIME: lambda width: st.one_of(TIMES, st.just("0000-00-00:00:00:00")),
    FLAG: lambda width: st.booleans(),
    LIMIT_STATUS: lambda width: st.sampled_from(LimitStatus),
    BATCH: lambda width: st.sampled_from(BatchStatus),
}


def values_of(field: Field) -> Any:
    return OF_KIND[field.kind](field.width)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_message_comes_back(layout: Layout) -> None:
    @given(st.builds(layout.message, **{field.name: values_of(field) for field in layout.fields}))
    def comes_back(message: Message) -> None:
        assert heard(encode(to_telegram(message))) == message

    comes_back()


@given(st.sampled_from(sorted(GOLDEN)), st.integers(0, 230), st.integers(0, 255))
def test_one_wrong_byte_is_dropped_refused_or_read(name: str, at: int, byte: int) -> None:
    encoded = bytearray(golden(name))
    encoded[at % len(encoded)] = byte
    for telegram in Telegrams().feed(bytes(encoded) + b"\0"):
        try:
            message = message_of(telegram)
        except Malformed:
            continue
        assert message_of(to_telegram(message)) == message


def test_a_refusal_is_told_in_words() -> None:
    assert op.CommandError(18, 2).text == "MID 0018 is refused: 02 parameter set not present"
    assert op.CommandError(64, op.ErrorCode.TIGHTENING_ID_NOT_FOUND).text == (
        "MID 0064 is refused: 15 tightening identifier not found"
    )
    assert op.CommandError(1, 77).text == "MID 0001 is refused: 77"


@pytest.mark.parametrize("code", op.ErrorCode)
def test_every_known_code_has_words(code: op.ErrorCode) -> None:
    assert len(op.error_text(code)) > 5
