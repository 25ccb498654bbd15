"""What a part's data-matrix label says: an ISO/IEC 15434 message in format 06, or plain text.

The message is `[)>` RS `06` GS, fields parted by GS, RS EOT. A field is a data identifier of ANSI MH10.8.2 (up to three
digits and a letter) and what it identifies: P part number, S serial number, 1T lot, 16D production date. Scanners that
write as a keyboard does cannot send control characters and send something else for them; some drop RS and EOT. Plain
text is `part number;serial`, and perhaps `;lot`.

Source: ISO/IEC 15434 (syntax), ISO/IEC 15418 and ANSI MH10.8.2 (data identifiers). To be checked on the device: which
characters the scanner sends for GS, RS and EOT.
"""

from __future__ import annotations

import re
from typing import NamedTuple

GS, RS, EOT = "\x1d", "\x1e", "\x04"
HEADER = "[)>"
FORMAT = "06"

PART_NUMBER, SERIAL, LOT, PRODUCED = "P", "S", "1T", "16D"

_KNOWN = {PART_NUMBER: "part number", SERIAL: "serial number", LOT: "lot", PRODUCED: "production date"}
_FIELD = re.compile(r"(?P<identifier>[0-9]{0,3}[A-Z])(?P<value>.*)", re.DOTALL)
_VALUE = re.compile(r"[\x20-\x7e]+")


class PartLabel(NamedTuple):
    """One part. `lot` and `produced` (as written; 16D is YYYYMMDD) are empty where the label does not say."""

    part_number: str
    serial: str
    lot: str = ""
    produced: str = ""


class _Disguise(NamedTuple):
    """What stands for RS and GS, and all that may stand for RS EOT at the end."""

    rs: str
    gs: str
    ends: tuple[str, ...]


_DISGUISES = (
    _Disguise(RS, GS, (RS + EOT, RS, EOT)),
    _Disguise("<RS>", "<GS>", ("<RS><EOT>", "<RS>", "<EOT>")),
    _Disguise("{RS}", "{GS}", ("{RS}{EOT}", "{RS}", "{EOT}")),
    _Disguise("^^", "^]", ("^^^D", "^^", "^D")),
    _Disguise("^", "]", ("^D", "^d", "^")),
)
"""The last two: Ctrl shown by a caret, and Ctrl lost; without Ctrl an EOT alone cannot be told from a letter."""


def parse_label(content: str) -> PartLabel:
    """What a label says.

    Raises:
        ValueError: it is no label of a part; says what is wrong, where, and what to do.
    """
    if not content.startswith(HEADER):
        return _plain(content)
    fields: dict[str, str] = {}
    for number, field in enumerate(_fields(content), start=1):
        found = _FIELD.fullmatch(field)
        if found is None:
            raise ValueError(f"field {number} of label {content!r} has no data identifier; print it anew")
        identifier = found["identifier"]
        if identifier not in _KNOWN:
            continue
        if identifier in fields:
            raise ValueError(f"label {content!r} has two fields {identifier} ({_KNOWN[identifier]}); print it anew")
        fields[identifier] = _checked(found["value"], _KNOWN[identifier], content)
    for identifier in (PART_NUMBER, SERIAL):
        if identifier not in fields:
            text = f"label {content!r} has no field {identifier} ({_KNOWN[identifier]})"
            raise ValueError(f"{text}; scan the part's own label, or print it anew")
    return PartLabel(fields[PART_NUMBER], fields[SERIAL], fields.get(LOT, ""), fields.get(PRODUCED, ""))


def encode_label(label: PartLabel) -> str:
    """The message that says this.

    Raises:
        ValueError: part number or serial is empty, or a text cannot be on a label; says which.
    """
    values = dict(zip(_KNOWN, label, strict=True))
    fields = [
        identifier + _checked(value, _KNOWN[identifier], value)
        for identifier, value in values.items()
        if value or identifier in (PART_NUMBER, SERIAL)
    ]
    return f"{HEADER}{RS}{FORMAT}{GS}{GS.join(fields)}{RS}{EOT}"


def _plain(content: str) -> PartLabel:
    values = content.split(";")
    if not 2 <= len(values) <= 3:
        raise ValueError(
            f"label {content!r} is not part number;serial or part number;serial;lot; scan the part's label"
        )
    names = list(_KNOWN.values())
    return PartLabel(*(_checked(value, names[at], content) for at, value in enumerate(values)))


def _fields(content: str) -> list[str]:
    """The fields of a message, however its control characters are written."""
    body = content[len(HEADER) :]
    for rs, gs, ends in _DISGUISES:
        head = FORMAT + gs
        rest = body.removeprefix(rs)
        if rest.startswith(head):
            end = next((end for end in ends if rest.endswith(end)), "")
            return rest[len(head) : len(rest) - len(end)].split(gs)
    if re.match(rf"\W*{FORMAT}[0-9]{{0,3}}[A-Z]", body):
        text = f"label {content!r} has lost its separators"
        raise ValueError(f"{text}; set the scanner to transmit GS, RS and EOT, and scan again")
    raise ValueError(f"label {content!r} is not in format {FORMAT} of ISO/IEC 15434; scan the part's own label")


def _checked(value: str, name: str, content: str) -> str:
    """The value; ValueError if it is empty or has characters that no label has."""
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the {name} of label {content!r} is empty or has control characters; print it anew")
    return value
