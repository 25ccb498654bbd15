"""Why a controller refuses a message of Open Protocol: the codes of MID 0004 that a station has to tell apart.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), MID 0004, table of error codes, as published
decoders quote it. To be checked on the device: which code answers a message before MID 0001, and MID 0043 while an
alarm is active.
"""

from __future__ import annotations

import enum


class ErrorCode(enum.IntEnum):
    """Codes of MID 0004."""

    INVALID_DATA = 1
    PARAMETER_SET_NOT_PRESENT = 2
    PARAMETER_SET_CANNOT_BE_SET = 3
    PARAMETER_SET_NOT_RUNNING = 4
    VIN_NOT_GRANTED = 8
    RESULTS_ALREADY_SUBSCRIBED = 9
    RESULTS_NOT_SUBSCRIBED = 10
    ALARMS_ALREADY_SUBSCRIBED = 11
    ALARMS_NOT_SUBSCRIBED = 12
    TIGHTENING_ID_NOT_FOUND = 15
    PROTOCOL_BUSY = 16
    JOB_NOT_PRESENT = 17
    JOB_CANNOT_BE_SET = 20
    JOB_NOT_RUNNING = 21
    CONTROL_NOT_GRANTED = 25
    TOOL_INACCESSIBLE = 27
    CONTROLLER_NOT_MASTER = 30
    NO_ALARM = 58
    TOOL_IN_USE = 59
    COMMAND_FAILED = 79
    COMMANDS_DISABLED = 92
    CLIENT_ALREADY_CONNECTED = 96
    REVISION_UNSUPPORTED = 97
    CONTROLLER_TIMEOUT = 98
    UNKNOWN_MID = 99


_TEXTS = {
    ErrorCode.INVALID_DATA: "invalid data",
    ErrorCode.PARAMETER_SET_NOT_PRESENT: "parameter set not present",
    ErrorCode.PARAMETER_SET_CANNOT_BE_SET: "parameter set cannot be set",
    ErrorCode.PARAMETER_SET_NOT_RUNNING: "parameter set not running",
    ErrorCode.VIN_NOT_GRANTED: "the VIN is taken from another source",
    ErrorCode.RESULTS_ALREADY_SUBSCRIBED: "results are subscribed already",
    ErrorCode.RESULTS_NOT_SUBSCRIBED: "results are not subscribed",
    ErrorCode.ALARMS_ALREADY_SUBSCRIBED: "alarms are subscribed already",
    ErrorCode.ALARMS_NOT_SUBSCRIBED: "alarms are not subscribed",
    ErrorCode.TIGHTENING_ID_NOT_FOUND: "tightening identifier not found",
    ErrorCode.PROTOCOL_BUSY: "connection rejected, protocol busy",
    ErrorCode.JOB_NOT_PRESENT: "job not present",
    ErrorCode.JOB_CANNOT_BE_SET: "job cannot be set",
    ErrorCode.JOB_NOT_RUNNING: "job not running",
    ErrorCode.CONTROL_NOT_GRANTED: "programming control not granted",
    ErrorCode.TOOL_INACCESSIBLE: "the tool is inaccessible",
    ErrorCode.CONTROLLER_NOT_MASTER: "the controller is not the master of its station",
    ErrorCode.NO_ALARM: "no alarm present",
    ErrorCode.TOOL_IN_USE: "tool in use",
    ErrorCode.COMMAND_FAILED: "command failed",
    ErrorCode.COMMANDS_DISABLED: "Open Protocol commands are disabled at the controller",
    ErrorCode.CLIENT_ALREADY_CONNECTED: "a client is connected already",
    ErrorCode.REVISION_UNSUPPORTED: "revision of the MID unsupported",
    ErrorCode.CONTROLLER_TIMEOUT: "the controller's internal request timed out",
    ErrorCode.UNKNOWN_MID: "unknown MID",
}


def error_text(code: int) -> str:
    """A code of MID 0004 in words: "02 parameter set not present"."""
    try:
        return f"{code:02d} {_TEXTS[ErrorCode(code)]}"
    except ValueError:
        return f"{code:02d}"
