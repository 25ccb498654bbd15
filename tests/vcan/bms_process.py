"""A process of its own in which a BMS is awake, until it is terminated: `bms_process CHANNEL MESSAGE_SET`.

Prints "awake" once it measures.
"""

from __future__ import annotations

import asyncio
import sys

from bmsctl.drivers.links.can_url import open_bus
from bmsctl.protocols.bms_broadcast import MESSAGE_SETS
from firmware_stubs.bms import BmsCondition, BmsStub, BmsVariant
from hil.stubs.far_end import RealWires
from tests.support.bms import IDENTITY, FakePlant

START_UP_S = 4.0
"""From the wake line to the last frame that carries measurements."""
CAPACITY_AH = 78.0
DTC = 0x1B0113
"""A trouble code that keeps coming back."""


async def main(channel: str, message_set: str) -> None:
    messages = MESSAGE_SETS[message_set]
    wires = RealWires({"pack": open_bus(f"socketcan://{channel}?fd={str(messages.fd).lower()}")}, {})
    variant = BmsVariant(messages, IDENTITY, CAPACITY_AH)
    stub = BmsStub(wires.ecu("bms"), FakePlant(), variant, BmsCondition(dtcs=(DTC,)), seed=1)
    stub.set_supply(kl30=True, kl15=True)
    await asyncio.sleep(START_UP_S)
    print("awake", flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
