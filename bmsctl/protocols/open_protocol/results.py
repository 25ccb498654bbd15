"""Results of Open Protocol: a tightening as the controller sends it, and as it gives it out of its memory. Revision 1.

Torques are in Nm, angles in whole degrees. `at` and `parameter_set_changed` are the controller's time of day. A result
is sent after the tightening, and again until it is acknowledged; an old one has no limits and does not name the
controller.

Source: Atlas Copco, "Open Protocol Specification" R 2.8.0 (9836 4415 01), MID 0061 and 0065, as published decoders
quote it. To be checked on the device: that identifiers have leading zeros, that a change of the parameter set that
never was is a time of zeros, and whether the identifier grows by one or by some.
"""

from __future__ import annotations

from dataclasses import dataclass

from bmsctl.domain.ports import LimitStatus
from bmsctl.protocols.open_protocol.fields import BatchStatus


@dataclass(frozen=True, slots=True)
class Result:
    """0061: the tightening that was just made; `ok` is the controller's own judgement."""

    cell: int
    channel: int
    controller: str
    vin: str
    job: int
    parameter_set: int
    batch_size: int
    batch_counter: int
    ok: bool
    torque_status: LimitStatus
    angle_status: LimitStatus
    torque_min: float
    torque_max: float
    torque_target: float
    torque: float
    angle_min: int
    angle_max: int
    angle_target: int
    angle: int
    at: str
    parameter_set_changed: str
    batch_status: BatchStatus
    tightening_id: int


@dataclass(frozen=True, slots=True)
class OldResult:
    """0065: a tightening out of the controller's memory."""

    tightening_id: int
    vin: str
    parameter_set: int
    batch_counter: int
    ok: bool
    torque_status: LimitStatus
    angle_status: LimitStatus
    torque: float
    angle: int
    at: str
    batch_status: BatchStatus
