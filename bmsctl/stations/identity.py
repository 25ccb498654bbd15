"""Is the instrument on a line the one that belongs there? It is bound by its serial number, not by the line's name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bmsctl.domain.lease import Lease
from bmsctl.errors import DeviceRefused


async def identify(devices: object, lease: Lease, serial_numbers: Mapping[str, str]) -> str:
    """Who the leased instrument says it is.

    Args:
        devices: the station's, each an attribute by its name.
        serial_numbers: the serial number expected of each instrument; one that is not named may be any.

    Raises:
        DeviceRefused: it is another one than expected.
        DeviceError: it does not say.
    """
    device = lease.device
    said: str = await getattr(devices, device).identify(lease)
    expected = serial_numbers.get(device)
    if expected is not None and expected not in re.split(r"[\s,;]+", said):
        raise DeviceRefused(
            device,
            f"serial number {expected} is expected, there is {said!r}: "
            "put the right instrument on this line, or correct the station file and calibrate",
        )
    return said
