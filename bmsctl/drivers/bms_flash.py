"""How a battery management system gets its software: the download of ISO 14229-1, from session to check.

Whatever interrupts it, the BMS is left in its boot loader, and the next flashing begins with the erasing. A block whose
answer is lost is sent again with the same counter: the BMS answers it again, and writes it once.

Source: ISO 14229-1, services 34, 36, 37 and routines FF00, FF01. Security level and the order of services are to be
checked on the device.
"""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.domain.lease import Lease
from bmsctl.drivers.bms_receiver import DEVICE
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid
from bmsctl.protocols import uds
from bmsctl.protocols.dids import Dependencies, Routine
from bmsctl.protocols.uds import CommunicationControl, DtcSetting, RoutineAction, Session, Sid

BLOCK_TRIES = 3
"""How often a block is sent whose answer does not come."""

BLOCK_MAX_BYTES = 258
"""A longer block would spend the patience for its answer on the wire, whatever the BMS has room for."""

_FOUND = {
    Dependencies.CHECKSUM_WRONG: "a wrong checksum; flash it again, then check the image",
    Dependencies.HARDWARE_INCOMPATIBLE: "that the software is not for its hardware; check the part number of the BMS",
}


class BmsFlash:
    """The part of `Bms` that writes its software."""

    def __init__(self, client: UdsClient) -> None:
        self._uds = client

    async def flash(self, lease: Lease, image: bytes, address: int, progress: Callable[[float], None]) -> None:
        """Raises ValueError for an empty image, or one beyond addresses of 32 bits; nothing has been erased then."""
        if not image:
            raise ValueError("an empty image cannot be written")
        area = _area(address, len(image))
        try:
            await self._enter_boot_loader(lease)
            await self._uds.request(lease, uds.routine(RoutineAction.START, Routine.ERASE_MEMORY, area))
            await self._download(lease, image, address, progress)
            await self._check(lease)
        except BaseException:
            self._uds.release()
            raise

    async def _enter_boot_loader(self, lease: Lease) -> None:
        """Quiet the BMS's own supervision and messages first, which end with its application."""
        await self._uds.enter(lease, Session.EXTENDED)
        await self._uds.request(lease, bytes((Sid.CONTROL_DTC_SETTING, DtcSetting.OFF)))
        control = (Sid.COMMUNICATION_CONTROL, CommunicationControl.NEITHER, uds.NORMAL_MESSAGES)
        await self._uds.request(lease, bytes(control))
        await self._uds.enter(lease, Session.PROGRAMMING)
        await self._uds.unlock(lease)

    async def _download(self, lease: Lease, image: bytes, address: int, progress: Callable[[float], None]) -> None:
        answer = await self._uds.request(lease, uds.request_download(address, len(image)))
        try:
            length = uds.decode_block_length(answer)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"answer to the request to download: {error}") from error
        size = min(length, BLOCK_MAX_BYTES) - uds.BLOCK_HEAD_BYTES
        for number, at in enumerate(range(0, len(image), size), start=1):
            await self._write_block(lease, uds.transfer_data(number, image[at : at + size]))
            progress(min(1.0, (at + size) / len(image)))
        await self._uds.request(lease, bytes((Sid.REQUEST_TRANSFER_EXIT,)))

    async def _write_block(self, lease: Lease, block: bytes) -> None:
        for tries in range(1, BLOCK_TRIES + 1):
            try:
                await self._uds.request(lease, block)
                return
            except (DeviceTimeout, ReplyInvalid):
                if tries == BLOCK_TRIES:
                    raise

    async def _check(self, lease: Lease) -> None:
        status = await self._uds.routine(lease, RoutineAction.START, Routine.CHECK_DEPENDENCIES)
        if status == bytes((Dependencies.CORRECT,)):
            return
        try:
            (code,) = status
            found = _FOUND[Dependencies(code)]
        except (ValueError, KeyError):
            raise ReplyInvalid(DEVICE, f"the check of its software ended with {status.hex() or 'nothing'}") from None
        raise DeviceRefused(DEVICE, f"its check of the software written found {found}")


def _area(address: int, size: int) -> bytes:
    try:
        return uds.memory_area(address, size)
    except OverflowError:
        raise ValueError(f"{size} bytes from 0x{address:X} on are beyond addresses of 32 bits") from None
