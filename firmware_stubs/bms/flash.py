"""The BMS's boot loader: the memory its software lies in, and the services that write it.

Software counts from the moment its check has passed. The first byte erased ends that, and nothing but a whole new
flashing brings it back, so whatever interrupts one leaves a unit that only its boot loader runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols import uds
from bmsctl.protocols.bms_broadcast import Hvil, MessageSet, OperatingState
from bmsctl.protocols.dids import Dependencies, Routine
from bmsctl.protocols.firmware_image import ImageHeader, read_header
from bmsctl.protocols.timing import Timer
from bmsctl.protocols.uds import Nrc, Sid
from firmware_stubs.bms.uds import Refused, Reply
from firmware_stubs.noise import draw
from firmware_stubs.ports import Cyclic

AREA_ADDRESS, AREA_BYTES = 0x0800_0000, 512 * 1024
"""Where the software lies."""
BLOCK_BYTES = 0x42
"""Longest TransferData request."""
ERASE_S, WRITE_S, CHECK_S = (0.5, 2.0), (0.002, 0.020), (0.1, 0.5)


class BootLoader:
    """One unit's boot loader. `software`: what runs at the next start, None if there is nothing that could."""

    def __init__(self, software: ImageHeader, hardware: str, timer: Timer, seed: int) -> None:
        self.software: ImageHeader | None = software
        self._hardware = hardware
        self._timer = timer
        self._erasing = draw(seed, "bms.erase")
        self._writing = draw(seed, "bms.write")
        self._checking = draw(seed, "bms.check")
        self._erased: range | None = None
        self._download: _Download | None = None
        self._written: bytes | None = None

    def abandon(self) -> None:
        """Forget what was under way: the next download needs erased memory again."""
        self._erased = self._download = self._written = None

    def program(self, request: bytes) -> Reply | bytes:
        """Carry out a service or routine that writes software, as `uds.Ecu.program`."""
        if request[0] == Sid.REQUEST_DOWNLOAD:
            return self._begin(request)
        if request[0] == Sid.TRANSFER_DATA:
            return self._transfer(request)
        if request[0] == Sid.REQUEST_TRANSFER_EXIT:
            return self._end()
        routine = int.from_bytes(request[2:4])
        if routine == Routine.ERASE_MEMORY:
            return self._erase(request)
        if routine == Routine.CHECK_DEPENDENCIES:
            return self._check(request)
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)

    def _erase(self, request: bytes) -> Reply:
        area = _area(request[4:])
        self.abandon()
        self.software = None

        def done() -> bytes:
            self._erased = area
            return b"\x71" + request[1:4] + b"\x00"

        return Reply(at_s=self._timer.time() + float(self._erasing.uniform(*ERASE_S)), later=done)

    def _begin(self, request: bytes) -> bytes:
        if request[1] != uds.AS_IS:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        area = _area(request[2:])
        if self._download is not None:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        if self._erased is None or area.start not in self._erased or area[-1] not in self._erased:
            raise Refused(Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED)
        self._erased = None
        self._download = _Download(len(area))
        return bytes((0x74, 0x20)) + BLOCK_BYTES.to_bytes(2)

    def _transfer(self, request: bytes) -> Reply | bytes:
        """A block that repeats the last counter is answered, and not written again."""
        download = self._download
        if download is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        if not uds.BLOCK_HEAD_BYTES < len(request) <= BLOCK_BYTES:
            raise Refused(Nrc.INCORRECT_LENGTH)
        done = bytes((0x76, request[1]))
        if download.blocks and request[1] == uds.block_counter(download.blocks):
            return done
        if request[1] != uds.block_counter(download.blocks + 1):
            raise Refused(Nrc.WRONG_BLOCK_SEQUENCE_COUNTER)
        data = request[uds.BLOCK_HEAD_BYTES :]
        if len(download.data) + len(data) > download.size:
            raise Refused(Nrc.TRANSFER_DATA_SUSPENDED)

        def write() -> bytes:
            download.data += data
            download.blocks += 1
            return done

        written_s = self._timer.time() + float(self._writing.uniform(*WRITE_S))
        return Reply(at_s=written_s, later=write, pending=False)

    def _end(self) -> bytes:
        download = self._download
        if download is None or len(download.data) < download.size:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        self._written, self._download = bytes(download.data), None
        return b"\x77"

    def _check(self, request: bytes) -> Reply:
        """Whether what was written may run; it does from the next start on."""
        written = self._written
        if len(request) != 4:
            raise Refused(Nrc.INCORRECT_LENGTH)
        if written is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)

        def checked() -> bytes:
            return b"\x71" + request[1:4] + bytes((self._depend(written),))

        return Reply(at_s=self._timer.time() + float(self._checking.uniform(*CHECK_S)), later=checked)

    def _depend(self, image: bytes) -> Dependencies:
        try:
            header = read_header(image)
        except ValueError:
            return Dependencies.CHECKSUM_WRONG
        if self._hardware not in header.hardware:
            return Dependencies.HARDWARE_INCOMPATIBLE
        self.software = header
        return Dependencies.CORRECT


class _Download:
    """One download of `size` bytes: what has been written so far, in how many blocks."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray()
        self.blocks = 0


def _area(data: bytes) -> range:
    try:
        address, size = uds.decode_memory_area(data)
    except ValueError:
        raise Refused(Nrc.INCORRECT_LENGTH if len(data) != 9 else Nrc.REQUEST_OUT_OF_RANGE) from None
    if not size or address < AREA_ADDRESS or address + size > AREA_ADDRESS + AREA_BYTES:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    return range(address, address + size)


def loader_frames(messages: MessageSet) -> Iterable[Cyclic]:
    """What is sent while the boot loader runs: the status, which says so, and no measurement."""

    def status(n: int, t_s: float) -> bytes:
        return codec.encode_status(OperatingState.BOOT, Hvil.UNAVAILABLE, frozenset(), n, messages.revision)

    return [Cyclic(codec.STATUS_ID, messages.period_s[codec.STATUS_ID], status, fd=messages.fd)]
