"""Part labels against messages written by hand; every disguise of their separators; what must be refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols.part_label import PartLabel, encode_label, parse_label

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden/part_label/labels.toml").read_text())

WHOLE = "[)>\x1e06\x1dP295B1\x1dSM-0001\x1d1TL7\x1d16D20260102\x1e\x04"
LABEL = PartLabel("295B1", "M-0001", "L7", "20260102")

values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30)
maybe = st.one_of(st.just(""), values)
labels = st.builds(PartLabel, values, values, maybe, maybe)


def disguised(rs: str, gs: str, eot: str, content: str = WHOLE) -> str:
    return content.replace("\x1e", rs).replace("\x1d", gs).replace("\x04", eot)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_labels_written_by_hand(name: str) -> None:
    fields = dict(GOLDEN[name])
    content = bytes.fromhex(fields.pop("bytes")).decode("ascii")
    label = PartLabel(**fields)
    assert parse_label(content) == label
    assert encode_label(label) == content


@pytest.mark.parametrize(
    ("rs", "gs", "eot"),
    [
        ("\x1e", "\x1d", "\x04"),
        ("\x1e", "\x1d", ""),
        ("", "\x1d", "\x04"),
        ("", "\x1d", ""),
        ("<RS>", "<GS>", "<EOT>"),
        ("", "<GS>", ""),
        ("{RS}", "{GS}", "{EOT}"),
        ("{RS}", "{GS}", ""),
        ("^^", "^]", "^D"),
        ("", "^]", ""),
        ("^", "]", "D"),
        ("^", "]", "d"),
        ("^", "]", ""),
        ("", "]", ""),
    ],
)
def test_every_disguise_of_the_separators(rs: str, gs: str, eot: str) -> None:
    assert parse_label(disguised(rs, gs, eot)) == LABEL


def test_a_serial_that_ends_like_a_lost_eot_stays_whole() -> None:
    assert parse_label("[)>06]P295B1]SM-000D").serial == "M-000D"


@given(labels)
def test_what_is_written_is_read(label: PartLabel) -> None:
    assert parse_label(encode_label(label)) == label


@given(values, values, maybe)
def test_plain_labels(part_number: str, serial: str, lot: str) -> None:
    texts = [text.replace(";", ",") for text in (part_number, serial, lot) if text]
    if texts[0].startswith("[)>"):
        texts[0] = f"P{texts[0]}"
    assert parse_label(";".join(texts)) == PartLabel(*texts)


def test_other_identifiers_are_skipped_in_any_order() -> None:
    content = "[)>\x1e06\x1d12V123456789\x1dSM-0001\x1dQ1\x1d30P99\x1dP295B1\x1d1P7\x1e\x04"
    assert parse_label(content) == PartLabel("295B1", "M-0001")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[)>06P295B1SM-00011TL7", "lost its separators"),
        ("[)>\x1e06P295B1SM-0001\x1e\x04", "lost its separators"),
        ("[)>\x1e05\x1d01095012\x1e\x04", "not in format 06"),
        ("[)>\x1e06", "not in format 06"),
        ("[)>", "not in format 06"),
        ("[)>\x1e06\x1dP295B1\x1e\x04", r"no field S \(serial number\)"),
        ("[)>\x1e06\x1dSM-0001\x1e\x04", r"no field P \(part number\)"),
        ("[)>\x1e06\x1dP1\x1dSM1\x1dP1\x1e\x04", r"two fields P \(part number\)"),
        ("[)>\x1e06\x1dP1\x1dSM1\x1dSM2\x1e\x04", r"two fields S \(serial number\)"),
        ("[)>\x1e06\x1dP1\x1d\x1dSM1\x1e\x04", "field 2 .* no data identifier"),
        ("[)>\x1e06\x1dP1\x1dSM1\x1d1234P\x1e\x04", "field 3 .* no data identifier"),
        ("[)>\x1e06\x1dP\x1dSM1\x1e\x04", "part number .* empty"),
        ("[)>\x1e06\x1dP1\x1dSM\x071\x1e\x04", "serial number .* control characters"),
        ("[)>\x1e06\x1dP1\x1dSM1\x1e\x1e\x04", "serial number .* control characters"),
        ("", "not part number;serial"),
        ("AS52000000001", "not part number;serial"),
        ("1;2;3;4", "not part number;serial"),
        (";M-0001", "part number .* empty"),
        ("295B1;", "serial number .* empty"),
        ("295B1;M-0001;", "lot .* empty"),
        ("295B1;M\x1d1", "serial number .* control characters"),
    ],
)
def test_what_is_no_part_label_is_refused_by_name(content: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_label(content)


@given(st.text(max_size=60))
def test_any_text_is_a_label_or_refused(content: str) -> None:
    try:
        label = parse_label(content)
    except ValueError:
        return
    assert label.part_number
    assert label.serial


@pytest.mark.parametrize(
    "label", [PartLabel("", "M1"), PartLabel("P1", ""), PartLabel("P1", "M\x1d1"), PartLabel("P1", "M1", "\x1e")]
)
def test_what_cannot_be_on_a_label_is_not_written(label: PartLabel) -> None:
    with pytest.raises(ValueError, match="empty or has control characters"):
        encode_label(label)
