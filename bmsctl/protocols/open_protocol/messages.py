"""Messages of Open Protocol without results: sessions, commands, subscriptions, alarms. One class a MID, revision 1.

They are dataclasses, not tuples, so that two messages without content are not the same.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), section 5, as published decoders quote it. To
be checked on the device: that MID 0042 lets a tightening under way end.
"""

from __future__ import annotations

from dataclasses import dataclass

from bmsctl.protocols.open_protocol.error_codes import error_text


@dataclass(frozen=True, slots=True)
class CommunicationStart:
    """0001: the client asks for a session."""


@dataclass(frozen=True, slots=True)
class CommunicationStarted:
    """0002: the controller grants it, and says who it is."""

    cell: int
    channel: int
    controller: str


@dataclass(frozen=True, slots=True)
class CommunicationStop:
    """0003: the client ends its session."""


@dataclass(frozen=True, slots=True)
class CommandError:
    """0004: the controller refuses the message `mid`; `code` is an `ErrorCode` if it is known."""

    mid: int
    code: int

    @property
    def text(self) -> str:
        """The refusal in words: "MID 0018 is refused: 02 parameter set not present"."""
        return f"MID {self.mid:04d} is refused: {error_text(self.code)}"


@dataclass(frozen=True, slots=True)
class CommandAccepted:
    """0005: the controller accepts the message `mid`."""

    mid: int


@dataclass(frozen=True, slots=True)
class SelectParameterSet:
    """0018: the tool tightens by this parameter set from here on."""

    parameter_set: int


@dataclass(frozen=True, slots=True)
class SelectJob:
    """0038: a job, a sequence of parameter sets, begins."""

    job: int


@dataclass(frozen=True, slots=True)
class RestartJob:
    """0039: a job begins anew."""

    job: int


@dataclass(frozen=True, slots=True)
class DisableTool:
    """0042: the tool turns no more; a tightening under way is finished."""


@dataclass(frozen=True, slots=True)
class EnableTool:
    """0043: the tool may turn."""


@dataclass(frozen=True, slots=True)
class DownloadVin:
    """0050: tightenings from here on belong to this vehicle identification number, or whatever stands for one."""

    vin: str


@dataclass(frozen=True, slots=True)
class SubscribeResults:
    """0060: every result from here on is to be sent."""


@dataclass(frozen=True, slots=True)
class AcknowledgeResult:
    """0062: a result has been received."""


@dataclass(frozen=True, slots=True)
class UnsubscribeResults:
    """0063: no more results are to be sent."""


@dataclass(frozen=True, slots=True)
class RequestOldResult:
    """0064: the result of this identifier is wanted; 0: the newest."""

    tightening_id: int


@dataclass(frozen=True, slots=True)
class SubscribeAlarms:
    """0070: every alarm from here on is to be sent."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """0071: an alarm came up. `error` is the controller's own code."""

    error: str
    controller_ready: bool
    tool_ready: bool
    at: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlarm:
    """0072: the alarm's message has been received; the alarm stays."""


@dataclass(frozen=True, slots=True)
class UnsubscribeAlarms:
    """0073: no more alarms are to be sent."""


@dataclass(frozen=True, slots=True)
class AlarmAcknowledged:
    """0074: somebody has acknowledged the alarm at the controller."""

    error: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlarmAcknowledged:
    """0075: 0074 has been received."""


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """0076: how things stand when alarms are subscribed: whether an alarm is active, and which."""

    active: bool
    error: str
    controller_ready: bool
    tool_ready: bool
    at: str


@dataclass(frozen=True, slots=True)
class AcknowledgeAlarmStatus:
    """0077: 0076 has been received."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """9999: nothing but a sign of life; the controller answers with the same."""
