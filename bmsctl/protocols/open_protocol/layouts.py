"""Layouts of Open Protocol messages: which fields a MID has, in which order, and messages to telegrams and back.

Where a layout is numbered, the number of each field, two digits counted from 01, stands before it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from bmsctl.protocols.open_protocol import messages as m
from bmsctl.protocols.open_protocol.fields import (
    BATCH,
    FLAG,
    LIMIT_STATUS,
    NUMBER,
    TEXT,
    TIME,
    TORQUE,
    Field,
    Malformed,
)
from bmsctl.protocols.open_protocol.results import OldResult, Result
from bmsctl.protocols.open_protocol.telegram import HEADER_LENGTH, Telegram

Message: TypeAlias = (
    m.CommunicationStart
    | m.CommunicationStarted
    | m.CommunicationStop
    | m.CommandError
    | m.CommandAccepted
    | m.SelectParameterSet
    | m.SelectJob
    | m.RestartJob
    | m.DisableTool
    | m.EnableTool
    | m.DownloadVin
    | m.SubscribeResults
    | Result
    | m.AcknowledgeResult
    | m.UnsubscribeResults
    | m.RequestOldResult
    | OldResult
    | m.SubscribeAlarms
    | m.Alarm
    | m.AcknowledgeAlarm
    | m.UnsubscribeAlarms
    | m.AlarmAcknowledged
    | m.AcknowledgeAlarmAcknowledged
    | m.AlarmStatus
    | m.AcknowledgeAlarmStatus
    | m.KeepAlive
)


class Layout(NamedTuple):
    """How the data of one MID is written in one revision."""

    mid: int
    message: type[Any]
    fields: tuple[Field, ...] = ()
    numbered: bool = False
    revision: int = 1

    def __str__(self) -> str:
        return f"MID {self.mid:04d} revision {self.revision}"

    @property
    def length(self) -> int:
        """Of the telegram, without NUL."""
        return HEADER_LENGTH + sum(field.width + 2 * self.numbered for field in self.fields)


_MID, _ERROR = Field("mid", 4, NUMBER), Field("error", 4, TEXT)
_JOB, _PARAMETER_SET = Field("job", 2, NUMBER), Field("parameter_set", 3, NUMBER)
_VIN, _ID = Field("vin", 25, TEXT), Field("tightening_id", 10, NUMBER)
_CONTROLLER = (Field("cell", 4, NUMBER), Field("channel", 2, NUMBER), Field("controller", 25, TEXT))
_JUDGED = (Field("ok", 1, FLAG), Field("torque_status", 1, LIMIT_STATUS), Field("angle_status", 1, LIMIT_STATUS))
_BATCH_COUNTER, _BATCH_STATUS = Field("batch_counter", 4, NUMBER), Field("batch_status", 1, BATCH)
_TORQUE, _ANGLE, _AT = Field("torque", 6, TORQUE), Field("angle", 5, NUMBER), Field("at", 19, TIME)
_READY = (Field("controller_ready", 1, FLAG), Field("tool_ready", 1, FLAG))

_RESULT = (
    *_CONTROLLER,
    _VIN,
    _JOB,
    _PARAMETER_SET,
    Field("batch_size", 4, NUMBER),
    _BATCH_COUNTER,
    *_JUDGED,
    Field("torque_min", 6, TORQUE),
    Field("torque_max", 6, TORQUE),
    Field("torque_target", 6, TORQUE),
    _TORQUE,
    Field("angle_min", 5, NUMBER),
    Field("angle_max", 5, NUMBER),
    Field("angle_target", 5, NUMBER),
    _ANGLE,
    _AT,
    Field("parameter_set_changed", 19, TIME),
    _BATCH_STATUS,
    _ID,
)
_OLD_RESULT = (_ID, _VIN, _PARAMETER_SET, _BATCH_COUNTER, *_JUDGED, _TORQUE, _ANGLE, _AT, _BATCH_STATUS)

LAYOUTS = (
    Layout(1, m.CommunicationStart),
    Layout(2, m.CommunicationStarted, _CONTROLLER, numbered=True),
    Layout(3, m.CommunicationStop),
    Layout(4, m.CommandError, (_MID, Field("code", 2, NUMBER))),
    Layout(5, m.CommandAccepted, (_MID,)),
    Layout(18, m.SelectParameterSet, (_PARAMETER_SET,)),
    Layout(38, m.SelectJob, (_JOB,)),
    Layout(39, m.RestartJob, (_JOB,)),
    Layout(42, m.DisableTool),
    Layout(43, m.EnableTool),
    Layout(50, m.DownloadVin, (_VIN,)),
    Layout(60, m.SubscribeResults),
    Layout(61, Result, _RESULT, numbered=True),
    Layout(62, m.AcknowledgeResult),
    Layout(63, m.UnsubscribeResults),
    Layout(64, m.RequestOldResult, (_ID,)),
    Layout(65, OldResult, _OLD_RESULT, numbered=True),
    Layout(70, m.SubscribeAlarms),
    Layout(71, m.Alarm, (_ERROR, *_READY, _AT), numbered=True),
    Layout(72, m.AcknowledgeAlarm),
    Layout(73, m.UnsubscribeAlarms),
    Layout(74, m.AlarmAcknowledged, (_ERROR,)),
    Layout(75, m.AcknowledgeAlarmAcknowledged),
    Layout(76, m.AlarmStatus, (Field("active", 1, FLAG), _ERROR, *_READY, _AT), numbered=True),
    Layout(77, m.AcknowledgeAlarmStatus),
    Layout(9999, m.KeepAlive),
)
_BY_MID = {layout.mid: layout for layout in LAYOUTS}
_BY_MESSAGE = {layout.message: layout for layout in LAYOUTS}


def mid_of(message: Message | type[Message]) -> int:
    """The MID of a message or of its class."""
    return _BY_MESSAGE[message if isinstance(message, type) else type(message)].mid


def to_telegram(message: Message) -> Telegram:
    """The telegram that carries a message, nothing but its MID and revision in the header.

    Raises:
        Malformed: a value does not fit into its field.
    """
    layout = _BY_MESSAGE[type(message)]
    texts = []
    for number, field in enumerate(layout.fields, 1):
        try:
            text = field.kind.encode(getattr(message, field.name), field.width)
        except ValueError as error:
            raise Malformed(f"{layout}, {field.name}: {error}") from None
        texts.append(f"{number:02d}{text}" if layout.numbered else text)
    return Telegram(layout.mid, layout.revision, "".join(texts).encode("ascii"))


def message_of(telegram: Telegram) -> Message:
    """The message that a telegram carries.

    Raises:
        Malformed: unknown MID or revision, wrong length, or a field that has not its form; says which, and where.
    """
    layout = _BY_MID.get(telegram.mid)
    if layout is None:
        raise Malformed(f"MID {telegram.mid:04d} revision {telegram.revision}: no message is known by this number")
    if telegram.revision != layout.revision:
        raise Malformed(
            f"MID {telegram.mid:04d} revision {telegram.revision}: only revision {layout.revision} is known"
        )
    length = HEADER_LENGTH + len(telegram.data)
    if length != layout.length:
        raise Malformed(f"{layout}: {layout.length} bytes are expected, there are {length}")
    message: Message = layout.message(**_values(layout, telegram.data.decode("latin-1")))
    return message


def _values(layout: Layout, data: str) -> dict[str, Any]:
    """The values of the fields by name. Positions in errors count from 1, header included."""
    values = {}
    at = 0
    for number, field in enumerate(layout.fields, 1):
        if layout.numbered:
            if data[at : at + 2] != f"{number:02d}":
                where = f"{layout}, {field.name} at byte {HEADER_LENGTH + at + 1}"
                raise Malformed(f"{where}: {data[at : at + 2]!r} is not its number {number:02d}")
            at += 2
        try:
            values[field.name] = field.kind.decode(data[at : at + field.width])
        except ValueError as error:
            raise Malformed(f"{layout}, {field.name} at byte {HEADER_LENGTH + at + 1}: {error}") from None
        at += field.width
    return values
