"""What the station asks the BMS by its diagnostic services (ISO 14229-1): identity, trouble codes, settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import BmsIdentity, Dtc, MonitorState
from bmsctl.domain.units import Second
from bmsctl.drivers.bms_receiver import DEVICE
from bmsctl.drivers.uds_client import UdsClient
from bmsctl.errors import ReplyInvalid
from bmsctl.protocols import dids, uds
from bmsctl.protocols.dids import TEXTS, Did, Routine, Scaled
from bmsctl.protocols.uds import DtcReply, DtcReport, DtcSetting, DtcStatus, RoutineAction, Session, Sid


class BmsDiagnostics:
    """The part of `Bms` that only asks and answers."""

    def __init__(self, client: UdsClient) -> None:
        self._uds = client

    async def identity(self, lease: Lease) -> BmsIdentity:
        return BmsIdentity(
            part_number=await self._text(lease, Did.PART_NUMBER),
            ecu_serial=await self._text(lease, Did.ECU_SERIAL),
            pack_serial=await self._text(lease, Did.PACK_SERIAL),
            hardware=await self._text(lease, Did.HARDWARE),
            software=await self._text(lease, Did.SOFTWARE),
            software_version=await self._text(lease, Did.SOFTWARE_VERSION),
            calibration=await self._text(lease, Did.CALIBRATION),
        )

    async def vin(self, lease: Lease) -> str:
        return await self._text(lease, Did.VIN)

    async def traceability(self, lease: Lease) -> str:
        return await self._text(lease, Did.TRACEABILITY)

    async def write_identity(self, lease: Lease, traceability: str, vin: str | None) -> None:
        """Raises ValueError for a text that is too long or not ASCII; nothing has been written then."""
        texts = {Did.TRACEABILITY: traceability} | ({} if vin is None else {Did.VIN: vin})
        data = {did: TEXTS[did].encode(text) for did, text in texts.items()}
        await self._supplier_session(lease)
        for did in data:
            await self._write(lease, did, data[did])

    async def dtcs(self, lease: Lease, mask: int = 0x09) -> Sequence[Dtc]:
        reply = await self._dtc_reply(lease, bytes((DtcReport.BY_STATUS_MASK, mask)))
        if mask and not mask & reply.availability:
            raise ReplyInvalid(DEVICE, f"it does not keep trouble code status {mask:02X}; nothing can be told")
        return reply.dtcs

    async def monitors(self, lease: Lease) -> MonitorState:
        reply = await self._dtc_reply(lease, bytes((DtcReport.SUPPORTED,)))
        bit = DtcStatus.NOT_COMPLETED_SINCE_CLEAR
        if not bit & reply.availability:
            raise ReplyInvalid(DEVICE, "it does not tell which trouble codes it has not judged")
        return MonitorState(len(reply.dtcs), tuple(dtc for dtc in reply.dtcs if dtc.status & bit))

    async def _dtc_reply(self, lease: Lease, report: bytes) -> DtcReply:
        answer = await self._uds.request(lease, bytes((Sid.READ_DTC_INFORMATION,)) + report)
        try:
            return uds.decode_dtc_reply(answer)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"trouble codes: {error}") from error

    async def clear_dtcs(self, lease: Lease) -> None:
        await self._uds.request(lease, bytes((Sid.CLEAR_DIAGNOSTIC_INFORMATION,)) + uds.ALL_DTCS.to_bytes(3))

    async def dtc_setting(self, lease: Lease, on: bool) -> None:
        """Holds the supplier session from here on: the setting ends with it."""
        await self._supplier_session(lease)
        await self._uds.request(lease, bytes((Sid.CONTROL_DTC_SETTING, DtcSetting.ON if on else DtcSetting.OFF)))

    async def soc(self, lease: Lease) -> tuple[float, float]:
        return await self._number(lease, Did.SOC, dids.PERCENT), await self._number(lease, Did.CHARGE, dids.CHARGE)

    async def sleep_delay(self, lease: Lease) -> Second:
        return Second(await self._number(lease, Did.SLEEP_DELAY, dids.SLEEP_DELAY))

    async def set_sleep_delay(self, lease: Lease, delay: Second) -> None:
        async with self._extended_session(lease):
            await self._write(lease, Did.SLEEP_DELAY, dids.SLEEP_DELAY.encode(delay))

    async def open_wire(self, lease: Lease) -> Sequence[int]:
        async with self._extended_session(lease):
            await self._uds.routine(lease, RoutineAction.START, Routine.OPEN_WIRE)
            status = await self._uds.routine(lease, RoutineAction.RESULTS, Routine.OPEN_WIRE)
        if len(status) != 1 + dids.OPEN_WIRE_BYTES or status[0] != 0:
            raise ReplyInvalid(DEVICE, f"the open-wire routine ended with {status.hex() or 'nothing'}")
        return dids.cells_in(int.from_bytes(status[1:]))

    async def chips(self, lease: Lease) -> Sequence[tuple[str, int]]:
        data = await self._uds.read(lease, Did.CHIPS)
        try:
            return dids.decode_chips(data)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"data identifier {Did.CHIPS:04X}: {error}") from error

    async def _text(self, lease: Lease, did: Did) -> str:
        data = await self._uds.read(lease, did)
        try:
            return TEXTS[did].decode(data)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X}: {error}") from error

    async def _number(self, lease: Lease, did: Did, form: Scaled) -> float:
        data = await self._uds.read(lease, did)
        try:
            value = form.decode(data)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X}: {error}") from error
        if value is None:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X} has no value")
        return value

    async def _flag(self, lease: Lease, did: Did) -> bool:
        data = await self._uds.read(lease, did)
        try:
            return dids.decode_flag(data)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X}: {error}") from error

    async def _write(self, lease: Lease, did: Did, data: bytes) -> None:
        """Write an identifier, and read it back."""
        await self._uds.write(lease, did, data)
        read = await self._uds.read(lease, did)
        if read != data:
            raise ReplyInvalid(DEVICE, f"data identifier {did:04X} was written {data.hex()} and reads {read.hex()}")

    async def _in_supplier_session(self, lease: Lease) -> bool:
        """Whether the supplier session is held, and the BMS has not lost it by sleeping or restarting."""
        held = self._uds.holds(lease, Session.SUPPLIER)
        return held and await self._uds.read(lease, Did.ACTIVE_SESSION) == bytes((Session.SUPPLIER,))

    async def _supplier_session(self, lease: Lease) -> None:
        """Enter and unlock; not again where it is held, because entering ends every bypass."""
        if not await self._in_supplier_session(lease):
            await self._uds.enter(lease, Session.SUPPLIER)
        await self._uds.unlock(lease)

    @contextlib.asynccontextmanager
    async def _extended_session(self, lease: Lease) -> AsyncIterator[None]:
        """The extended session, or the supplier's where that is held."""
        if await self._in_supplier_session(lease):
            yield
            return
        await self._uds.enter(lease, Session.EXTENDED)
        try:
            yield
        except BaseException:
            self._uds.release()
            raise
        await self._uds.enter(lease, Session.DEFAULT)
