"""When a pack or a module counts as voltage-free: by the safety PLC's proof, and by nothing else.

The PLC measures by two channels while its discharge resistor is connected. Its proof counts only if it is younger than
what it is to prove, fresh, and given without permissive: the bits of an earlier discharge prove nothing of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.ports import Plc, PlcStatus
from bmsctl.errors import DeviceTimeout

PROVED_WITHIN_S = 4.5
"""The PLC itself gives a discharge up later."""
STATUS_PERIOD_S = 0.02
STATUS_FRESH_S = 0.1


def proves_voltage_free(status: PlcStatus | None, asked_s: float, now_s: float) -> bool:
    """Whether a status of the PLC, asked for at loop time `asked_s`, proves below 60 V at `now_s`."""
    return (
        status is not None
        and asked_s < status.t_s
        and now_s - status.t_s < STATUS_FRESH_S
        and not status.permissive
        and status.discharging
        and status.voltage_free
    )


async def voltage_free(plc: Plc, now: Callable[[], float], within_s: float) -> None:
    """Return when the PLC proves below 60 V; the permissive has been given back.

    Raises:
        DeviceTimeout: it has not within `within_s`: nobody may touch anything.
    """
    asked_s = now()
    while now() - asked_s <= within_s:
        if proves_voltage_free(plc.status(), asked_s, now()):
            return
        await asyncio.sleep(STATUS_PERIOD_S)
    raise DeviceTimeout(
        "plc", f"not proved below 60 V within {within_s:g} s: do not touch pack or station, call the electrician"
    )
