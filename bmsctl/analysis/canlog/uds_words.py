"""What diagnostic messages ask and answer, in words.

Services, sub-functions and refusals are those of ISO 14229-1. Identifiers and routines of the maker's own are those of
the battery management system of this line; another maker's are shown under the same names.
"""

from __future__ import annotations

import enum

from bmsctl.protocols import dids, uds
from bmsctl.protocols.dids import Did
from bmsctl.protocols.uds import Sid

OTHER_SERVICES = {
    "23": "read memory by address",
    "24": "read scaling data by identifier",
    "2A": "read data by periodic identifier",
    "2C": "dynamically define data identifier",
    "2F": "input output control by identifier",
    "35": "request upload",
    "38": "request file transfer",
    "3D": "write memory by address",
    "83": "access timing parameter",
    "84": "secured data transmission",
    "86": "response on event",
    "87": "link control",
}
"""Services that the line itself does not use, by identifier."""
WITH_SUB_FUNCTION = frozenset(bytes.fromhex("10 11 19 27 28 2C 31 3E 83 85 86 87"))
"""Services whose second byte can ask for silence."""

_CELLS_END = 0x9100
_SENSORS_END = 0x9180
_SCALED = {
    Did.SOC: (dids.PERCENT, "%"),
    Did.USABLE_SOC: (dids.PERCENT, "%"),
    Did.SOH: (dids.PERCENT, "%"),
    Did.PACK_VOLTAGE: (dids.PACK_VOLTAGE, "V"),
    Did.CELL_VOLTAGE_MAX: (dids.CELL_VOLTAGE, "V"),
    Did.CELL_VOLTAGE_MIN: (dids.CELL_VOLTAGE, "V"),
    Did.TEMPERATURE_MEAN: (dids.TEMPERATURE, "degC"),
    Did.TEMPERATURE_MIN: (dids.TEMPERATURE, "degC"),
    Did.TEMPERATURE_MAX: (dids.TEMPERATURE, "degC"),
    Did.INSULATION: (dids.INSULATION, "Ohm"),
    Did.CHARGE: (dids.CHARGE, "Ah"),
    Did.CURRENT: (dids.CURRENT, "A"),
    Did.SLEEP_DELAY: (dids.SLEEP_DELAY, "s"),
}


_CELLS = {did: cell for cell in range(1, 0x100) if (did := dids.cell_did(cell)) < _CELLS_END}
_SENSORS = {did: sensor for sensor in range(1, 0x100) if (did := dids.temperature_did(sensor)) < _SENSORS_END}


def service_name(sid: int) -> str:
    """A service by its identifier in a request."""
    return _named(Sid, sid) or OTHER_SERVICES.get(f"{sid:02X}") or f"service {sid:02X}"


def did_name(did: int) -> str:
    """A data identifier: "9005 pack voltage"."""
    name = _named(Did, did)
    if not name and dids.is_bitmap(did):
        name = "supported identifiers"
    elif not name and did in _CELLS:
        name = f"cell {_CELLS[did]} voltage"
    elif did in _SENSORS:
        name = f"temperature {_SENSORS[did]}"
    return f"{did:04X} {name}".rstrip()


def subject(message: bytes, *, asked: bool) -> str:
    """What a request concerns, or an answer, which repeats it; empty where the service says it all."""
    sid = message[0] if asked else message[0] & ~uds.POSITIVE
    rest = message[1:]
    second = rest[0] & ~uds.SUPPRESS if rest and sid in WITH_SUB_FUNCTION else -1
    if sid in (Sid.READ_DATA_BY_IDENTIFIER, Sid.WRITE_DATA_BY_IDENTIFIER):
        last = len(rest) - 1 if asked and sid == Sid.READ_DATA_BY_IDENTIFIER else min(len(rest) - 1, 1)
        return ", ".join(did_name(int.from_bytes(rest[at : at + 2])) for at in range(0, last, 2))
    if sid == Sid.ROUTINE_CONTROL and len(rest) > 2:
        number = int.from_bytes(rest[1:3])
        return f"{_named(uds.RoutineAction, second)} {number:04X} {_named(dids.Routine, number)}".strip()
    if sid == Sid.SECURITY_ACCESS and rest:
        return f"{'seed' if second % 2 else 'key'} {second:02X}"
    if sid == Sid.CLEAR_DIAGNOSTIC_INFORMATION and asked:
        group = int.from_bytes(rest[:3])
        return "all trouble codes" if group == uds.ALL_DTCS else f"group {group:06X}"
    if sid == Sid.REQUEST_DOWNLOAD and asked:
        return _memory(rest[1:])
    if sid == Sid.TRANSFER_DATA and rest:
        return f"block {rest[0]}"
    kinds: dict[int, type[enum.IntEnum]] = {
        Sid.DIAGNOSTIC_SESSION_CONTROL: uds.Session,
        Sid.ECU_RESET: uds.Reset,
        Sid.READ_DTC_INFORMATION: uds.DtcReport,
        Sid.COMMUNICATION_CONTROL: uds.CommunicationControl,
        Sid.CONTROL_DTC_SETTING: uds.DtcSetting,
    }
    if sid in kinds and rest:
        return _named(kinds[sid], second) or f"{second:02X}"
    return ""


def meaning(answer: bytes) -> str:
    """What the data of a positive answer say: a value with its unit, a text, trouble codes; empty if it is unknown."""
    sid, rest = answer[0] & ~uds.POSITIVE, answer[1:]
    try:
        if sid == Sid.READ_DATA_BY_IDENTIFIER and len(rest) > 2:
            return _value(int.from_bytes(rest[:2]), rest[2:])
        if sid == Sid.READ_DTC_INFORMATION and rest[:1] in (b"\x02", b"\x0a"):
            codes = uds.decode_dtc_reply(rest[1:]).dtcs
            return ", ".join(f"{code} {_status(code.status)}" for code in codes) or "no trouble codes"
        if sid == Sid.REQUEST_DOWNLOAD:
            return f"blocks of {uds.decode_block_length(rest)} bytes"
    except ValueError as error:
        return f"not as it should be: {error}"
    return ""


def _value(did: int, data: bytes) -> str:
    scaled = _SCALED.get(Did(did)) if did in set(Did) else None
    if scaled is None and did in _CELLS:
        scaled = (dids.CELL_VOLTAGE, "V")
    elif scaled is None and did in _SENSORS:
        scaled = (dids.TEMPERATURE, "degC")
    if scaled is not None:
        value = scaled[0].decode(data)
        return "not available" if value is None else f"{value:.7g} {scaled[1]}"
    text = dids.TEXTS.get(Did(did)) if did in set(Did) else None
    return text.decode(data) if text is not None else ""


def _status(status: int) -> str:
    """The status of a trouble code, as far as a person acts on it."""
    for flag in (uds.DtcStatus.CONFIRMED, uds.DtcStatus.PENDING, uds.DtcStatus.TEST_FAILED):
        if status & flag:
            return str(flag.name).replace("_", " ").lower()
    return "not failed"


def _memory(data: bytes) -> str:
    try:
        address, size = uds.decode_memory_area(data)
    except ValueError:
        return ""
    return f"{size} bytes at {address:08X}"


def _named(kind: type[enum.IntEnum], number: int) -> str:
    try:
        return kind(number).name.replace("_", " ").lower()
    except ValueError:
        return ""
