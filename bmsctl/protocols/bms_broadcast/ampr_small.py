"""AmpR Small: classic CAN at 500 kbit/s, four cells to a frame. Its signals are in `recipes/ampr_small.dbc`."""

from __future__ import annotations

from bmsctl.protocols.bms_broadcast.message_set import Burst, MessageSet

AMPR_SMALL = MessageSet(
    name="ampr_small",
    revision=0x01,
    fd=False,
    cells=Burst(tuple(range(0x200, 0x218)), per_frame=4, length=8, period_s=0.1),
    temperatures=Burst((0x250, 0x251, 0x252), per_frame=4, length=8, period_s=1.0),
    busbars=Burst((0x230,), per_frame=3, length=7, period_s=0.1),
    balancing=Burst((0x240, 0x241), per_frame=48, length=8, period_s=0.1),
)
