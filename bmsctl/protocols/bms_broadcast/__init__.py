"""What the battery management systems broadcast, and the one frame they take from the station.

Two platforms, two message sets. They share the envelope (`envelope`), fields of 13 bits (`fields`) and the frames
that a station needs before it knows the pack (`core`); they differ in how cells, temperatures, bars and balancing
switches are spread over frames, and in whether those are CAN FD.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bmsctl.protocols.bms_broadcast.ampr_medium import AMPR_MEDIUM
from bmsctl.protocols.bms_broadcast.ampr_small import AMPR_SMALL
from bmsctl.protocols.bms_broadcast.core import (
    CURRENT_ID,
    INSULATION_ID,
    RELAY_REQUEST_ID,
    STATUS_ID,
    TAPS_ID,
    decode_current,
    decode_insulation,
    decode_relay_request,
    decode_status,
    decode_taps,
    encode_current,
    encode_insulation,
    encode_relay_request,
    encode_status,
    encode_taps,
    requested_relays,
)
from bmsctl.protocols.bms_broadcast.envelope import Sealed
from bmsctl.protocols.bms_broadcast.message_set import Burst, MessageSet
from bmsctl.protocols.bms_broadcast.values import Hvil, Insulation, InsulationState, OperatingState, Status, Taps

_NOTHING = Burst((), per_frame=1, length=8, period_s=1.0)
CORE_ONLY = MessageSet("core", 0, False, _NOTHING, _NOTHING, _NOTHING, _NOTHING)
"""What is heard of a BMS whose message set nobody knows."""

MESSAGE_SETS: Mapping[str, MessageSet] = MappingProxyType({each.name: each for each in (AMPR_SMALL, AMPR_MEDIUM)})
"""Every message set by the name that recipes know it by."""

__all__ = [
    "AMPR_MEDIUM",
    "AMPR_SMALL",
    "CORE_ONLY",
    "CURRENT_ID",
    "INSULATION_ID",
    "MESSAGE_SETS",
    "RELAY_REQUEST_ID",
    "STATUS_ID",
    "TAPS_ID",
    "Burst",
    "Hvil",
    "Insulation",
    "InsulationState",
    "MessageSet",
    "OperatingState",
    "Sealed",
    "Status",
    "Taps",
    "decode_current",
    "decode_insulation",
    "decode_relay_request",
    "decode_status",
    "decode_taps",
    "encode_current",
    "encode_insulation",
    "encode_relay_request",
    "encode_status",
    "encode_taps",
    "requested_relays",
]
