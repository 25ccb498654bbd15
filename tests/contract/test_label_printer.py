"""The label printer's port."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.errors import DeviceError, LeaseRevoked, LinkDown
from tests.contract.calls import LABEL
from tests.contract.station import Station, outcome_of

SENT_S = 0.2
"""By then the label is with the printer, which takes longer to print it."""


async def printed(station: Station) -> None:
    await station.devices.label_printer.print(station.lease("label_printer"), *LABEL)


async def test_labels_are_printed_one_after_another(station: Station) -> None:
    await printed(station)
    await printed(station)


async def test_a_label_is_not_believed_printed_before_it_is(station: Station) -> None:
    began_s = station.now()
    await printed(station)
    assert station.now() - began_s > SENT_S


async def test_a_cancelled_label_does_not_come_out_later(station: Station) -> None:
    printing = asyncio.create_task(printed(station))
    await asyncio.sleep(SENT_S)
    printing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await printing
    await printed(station)


async def test_a_revoked_lease_ends_the_call_and_the_next_label_is_counted_alone(station: Station) -> None:
    printing = asyncio.create_task(printed(station))
    await asyncio.sleep(SENT_S)
    station.leases.revoke_all()
    with pytest.raises(LeaseRevoked):
        await printing
    await printed(station)


async def test_an_unplugged_printer_is_told_and_used_again(station: Station) -> None:
    async with station.disturbed("serial.unplugged", "label_printer"):
        with pytest.raises(LinkDown):
            await printed(station)
    await station.until_it_succeeds(lambda: printed(station))


async def test_noise_is_told_or_harmless(station: Station) -> None:
    async with station.disturbed("serial.garbage", "label_printer"):
        outcome = await outcome_of(printed(station))
    assert outcome is None or isinstance(outcome, DeviceError)
    await printed(station)


async def test_what_the_printer_would_take_for_a_command_is_text(station: Station) -> None:
    serial, part_number, _ = LABEL
    lines = ("^XZ^XA~JA", "a_b\\c", "\u00b5\u03a9 \u00b0C")
    await station.devices.label_printer.print(station.lease("label_printer"), serial, part_number, lines)
    await printed(station)
