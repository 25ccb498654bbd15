"""ISO 14229-1 unified diagnostic services: identifiers, answers and what they answer, trouble codes.

Addresses are ISO 15765-4 normal fixed, 29 bit: tester F1, battery management system DB.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bmsctl.domain.ports import Dtc

REQUEST_ID = 0x18DADBF1
ANSWER_ID = 0x18DAF1DB
FUNCTIONAL_ID = 0x18DB33F1

POSITIVE = 0x40
NEGATIVE = 0x7F
SUPPRESS = 0x80
"""In a sub-function: no positive answer wanted."""


class Sid(enum.IntEnum):
    """Service identifiers."""

    DIAGNOSTIC_SESSION_CONTROL = 0x10
    ECU_RESET = 0x11
    CLEAR_DIAGNOSTIC_INFORMATION = 0x14
    READ_DTC_INFORMATION = 0x19
    READ_DATA_BY_IDENTIFIER = 0x22
    SECURITY_ACCESS = 0x27
    COMMUNICATION_CONTROL = 0x28
    WRITE_DATA_BY_IDENTIFIER = 0x2E
    ROUTINE_CONTROL = 0x31
    REQUEST_DOWNLOAD = 0x34
    TRANSFER_DATA = 0x36
    REQUEST_TRANSFER_EXIT = 0x37
    TESTER_PRESENT = 0x3E
    CONTROL_DTC_SETTING = 0x85


class Nrc(enum.IntEnum):
    """Negative response codes."""

    SERVICE_NOT_SUPPORTED = 0x11
    SUB_FUNCTION_NOT_SUPPORTED = 0x12
    INCORRECT_LENGTH = 0x13
    BUSY_REPEAT_REQUEST = 0x21
    CONDITIONS_NOT_CORRECT = 0x22
    REQUEST_SEQUENCE_ERROR = 0x24
    REQUEST_OUT_OF_RANGE = 0x31
    SECURITY_ACCESS_DENIED = 0x33
    INVALID_KEY = 0x35
    EXCEEDED_NUMBER_OF_ATTEMPTS = 0x36
    REQUIRED_TIME_DELAY_NOT_EXPIRED = 0x37
    UPLOAD_DOWNLOAD_NOT_ACCEPTED = 0x70
    TRANSFER_DATA_SUSPENDED = 0x71
    GENERAL_PROGRAMMING_FAILURE = 0x72
    WRONG_BLOCK_SEQUENCE_COUNTER = 0x73
    RESPONSE_PENDING = 0x78
    SUB_FUNCTION_NOT_SUPPORTED_IN_SESSION = 0x7E
    SERVICE_NOT_SUPPORTED_IN_SESSION = 0x7F
    VOLTAGE_TOO_HIGH = 0x92
    VOLTAGE_TOO_LOW = 0x93


class Session(enum.IntEnum):
    """Diagnostic sessions; SUPPLIER is the maker's own."""

    DEFAULT = 0x01
    PROGRAMMING = 0x02
    EXTENDED = 0x03
    SUPPLIER = 0x60


class Reset(enum.IntEnum):
    """Sub-functions of ECUReset."""

    HARD = 0x01
    SOFT = 0x03


class RoutineAction(enum.IntEnum):
    """Sub-functions of RoutineControl."""

    START = 0x01
    STOP = 0x02
    RESULTS = 0x03


class DtcReport(enum.IntEnum):
    """Sub-functions of ReadDTCInformation."""

    NUMBER_BY_STATUS_MASK = 0x01
    BY_STATUS_MASK = 0x02
    EXTENDED_DATA = 0x06
    SUPPORTED = 0x0A


class DtcSetting(enum.IntEnum):
    """Sub-functions of ControlDTCSetting."""

    ON = 0x01
    OFF = 0x02


class CommunicationControl(enum.IntEnum):
    """Sub-functions of CommunicationControl: what the server may do."""

    RECEIVE_AND_SEND = 0x00
    RECEIVE_ONLY = 0x01
    NEITHER = 0x03


NORMAL_MESSAGES = 0x01
"""CommunicationControl concerns the periodic messages, not those of network management."""


class DtcStatus(enum.IntFlag):
    """Status byte of a trouble code (ISO 14229-1, annex D)."""

    TEST_FAILED = 0x01
    TEST_FAILED_THIS_CYCLE = 0x02
    PENDING = 0x04
    CONFIRMED = 0x08
    NOT_COMPLETED_SINCE_CLEAR = 0x10
    FAILED_SINCE_CLEAR = 0x20
    NOT_COMPLETED_THIS_CYCLE = 0x40
    WARNING_INDICATOR = 0x80


ALL_DTCS = 0xFFFFFF
"""Group of all trouble codes."""

AS_IS = 0x00
"""Data format of a download: neither compressed nor encrypted."""

MEMORY_FORM = 0x44
"""Address and size of memory in four bytes each."""

BLOCK_HEAD_BYTES = 2
"""Service and block sequence counter, which the length of a block counts."""

_ECHOED: Mapping[int, int] = MappingProxyType(
    {
        Sid.DIAGNOSTIC_SESSION_CONTROL: 1,
        Sid.ECU_RESET: 1,
        Sid.CLEAR_DIAGNOSTIC_INFORMATION: 0,
        Sid.READ_DTC_INFORMATION: 1,
        Sid.READ_DATA_BY_IDENTIFIER: 2,
        Sid.SECURITY_ACCESS: 1,
        Sid.COMMUNICATION_CONTROL: 1,
        Sid.WRITE_DATA_BY_IDENTIFIER: 2,
        Sid.ROUTINE_CONTROL: 3,
        Sid.REQUEST_DOWNLOAD: 0,
        Sid.TRANSFER_DATA: 1,
        Sid.REQUEST_TRANSFER_EXIT: 0,
        Sid.TESTER_PRESENT: 1,
        Sid.CONTROL_DTC_SETTING: 1,
    }
)
"""Bytes of the request that its positive answer repeats after the service identifier."""


def identified(sid: Sid, identifier: int, data: bytes = b"") -> bytes:
    """A request of a service that works on a 16-bit identifier."""
    return bytes((sid,)) + identifier.to_bytes(2) + data


def routine(action: RoutineAction, identifier: int, data: bytes = b"") -> bytes:
    """A RoutineControl request."""
    return bytes((Sid.ROUTINE_CONTROL, action)) + identifier.to_bytes(2) + data


def memory_area(address: int, size: int) -> bytes:
    """Format, address and size of an area of memory, as downloads and the erase routine name it."""
    return bytes((MEMORY_FORM,)) + address.to_bytes(4) + size.to_bytes(4)


def decode_memory_area(data: bytes) -> tuple[int, int]:
    """Address and size of an area of memory.

    Raises:
        ValueError: another format, or another length.
    """
    if len(data) != 9 or data[0] != MEMORY_FORM:
        raise ValueError(f"{data.hex(' ').upper() or 'nothing'} is no area of memory in format {MEMORY_FORM:02X}")
    return int.from_bytes(data[1:5]), int.from_bytes(data[5:])


def request_download(address: int, size: int) -> bytes:
    """A RequestDownload of data as they are."""
    return bytes((Sid.REQUEST_DOWNLOAD, AS_IS)) + memory_area(address, size)


def decode_block_length(data: bytes) -> int:
    """Longest TransferData request the server takes, in bytes, from what its answer to RequestDownload carries.

    Raises:
        ValueError: it is malformed, or a block of this length has no room for data.
    """
    if not data or len(data) != 1 + (data[0] >> 4):
        raise ValueError(f"{data.hex(' ').upper() or 'nothing'} is no length of a block")
    length = int.from_bytes(data[1:])
    if length <= BLOCK_HEAD_BYTES:
        raise ValueError(f"a block of {length} bytes has no room for data")
    return length


def block_counter(number: int) -> int:
    """Block sequence counter of a block, from 1: 01 to FF, then 00 and on."""
    return number & 0xFF


def transfer_data(number: int, data: bytes) -> bytes:
    """A TransferData request with block `number`, from 1."""
    return bytes((Sid.TRANSFER_DATA, block_counter(number))) + data


def negative(sid: int, nrc: Nrc) -> bytes:
    """A negative answer."""
    return bytes((NEGATIVE, sid, nrc))


def refusal(request: bytes, answer: bytes) -> int | None:
    """The code of a negative answer to `request`, None if the answer is none."""
    return answer[2] if len(answer) == 3 and answer[0] == NEGATIVE and answer[1] == request[0] else None


def accepted(request: bytes, answer: bytes) -> bytes | None:
    """What a positive answer to exactly this request carries after the repeated bytes, None if it is none."""
    echoed = _ECHOED[request[0]]
    head = bytes((request[0] | POSITIVE,)) + request[1 : 1 + echoed]
    return answer[len(head) :] if answer.startswith(head) else None


def nrc_name(code: int) -> str:
    """A refusal in words: "0x33 security access denied"."""
    try:
        return f"0x{code:02X} {Nrc(code).name.replace('_', ' ').lower()}"
    except ValueError:
        return f"0x{code:02X}"


def encode_dtcs(dtcs: Iterable[Dtc]) -> bytes:
    """Trouble codes as records of three bytes and a status."""
    return b"".join(dtc.code.to_bytes(3) + bytes((dtc.status,)) for dtc in dtcs)


def decode_dtcs(records: bytes) -> list[Dtc]:
    """Trouble codes from records of four bytes.

    Raises:
        ValueError: there is a part of a record.
    """
    if len(records) % 4:
        raise ValueError(f"{len(records)} bytes are no whole number of trouble codes")
    return [Dtc(int.from_bytes(records[at : at + 3]), records[at + 3]) for at in range(0, len(records), 4)]


class DtcReply(NamedTuple):
    """A list of trouble codes, and which status bits the server supports: the others are always 0."""

    availability: int
    dtcs: list[Dtc]


def decode_dtc_reply(data: bytes) -> DtcReply:
    """What ReadDTCInformation 02 and 0A answer after the bytes they repeat.

    Raises:
        ValueError: there is no availability mask, or a part of a record.
    """
    if not data:
        raise ValueError("no availability mask")
    return DtcReply(data[0], decode_dtcs(data[1:]))
