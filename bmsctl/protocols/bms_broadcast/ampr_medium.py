"""AmpR Medium: CAN FD, 500 kbit/s and 2 Mbit/s, twelve cells to a frame of 64 bytes.

Its signals are in `recipes/ampr_medium.dbc`. Every frame of the broadcast is an FD frame with bit rate switch. Those
of a burst are all of the longest length, what no signal uses is zero, and one receive buffer size fits them.
Diagnostics stay in classic frames of 8 bytes, as does what the station sends.
"""

from __future__ import annotations

from bmsctl.protocols.bms_broadcast.message_set import Burst, MessageSet

_LENGTH = 64

AMPR_MEDIUM = MessageSet(
    name="ampr_medium",
    revision=0x11,
    fd=True,
    cells=Burst(tuple(range(0x200, 0x208)), per_frame=12, length=_LENGTH, period_s=0.1),
    temperatures=Burst((0x250,), per_frame=24, length=_LENGTH, period_s=1.0),
    busbars=Burst((0x230,), per_frame=11, length=_LENGTH, period_s=0.1),
    balancing=Burst((0x240,), per_frame=96, length=_LENGTH, period_s=0.1),
)
