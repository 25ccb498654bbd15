"""The BMS's diagnostic server: services, sessions and security of ISO 14229-1, without transport.

A request is checked in the order of the standard: service, session, length, sub-function, security,
sequence, range, conditions. Whatever ends a session ends every bypass it allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bmsctl.protocols import uds
from bmsctl.protocols.dids import OPEN_WIRE_BYTES, Did, Routine, is_bitmap
from bmsctl.protocols.isotp import MESSAGE_MAX
from bmsctl.protocols.timing import Deadline, Timer
from bmsctl.protocols.uds import CommunicationControl, DtcReport, DtcSetting, Nrc, Reset, RoutineAction, Session, Sid
from firmware_stubs.bms.dids import Entry, bitmap
from firmware_stubs.bms.dtcs import AVAILABILITY, DtcMemory
from firmware_stubs.noise import draw

S3_S = 5.0
P2_MS, P2_STAR_10MS = 50, 500
KEY_TRIES = 3
KEY_DELAY_S = 10.0
SEED_BYTES = 4
OPEN_WIRE_S = 2.0
FLASH_S = (0.2, 2.0)
"""Writing to non-volatile memory."""
BOOT_LOADER_S = (0.05, 0.3)
"""From the request for the programming session until the boot loader answers it."""
READ_MAX = 8
"""Identifiers in one ReadDataByIdentifier."""

_PROGRAMMING = frozenset({Session.PROGRAMMING})
_ENTERED = _PROGRAMMING | {Session.EXTENDED, Session.SUPPLIER}
_MESSAGES = (uds.NORMAL_MESSAGES, 0x03)
_SILENT_IF_FUNCTIONAL = frozenset(
    {
        Nrc.SERVICE_NOT_SUPPORTED,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED,
        Nrc.REQUEST_OUT_OF_RANGE,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_SESSION,
        Nrc.SERVICE_NOT_SUPPORTED_IN_SESSION,
    }
)


class Ecu(Protocol):
    """What the server acts on. `in_boot_loader`: the boot loader runs instead of the application."""

    in_boot_loader: bool

    @property
    def dids(self) -> Mapping[int, Entry]:
        """Its data identifiers, bitmaps and active session left out."""
        ...

    @property
    def dtcs(self) -> DtcMemory:
        """Its trouble codes."""
        ...

    def judge_dtcs(self) -> None:
        """Let the monitors that are due judge."""
        ...

    def energised(self) -> bool:
        """Whether any contactor is driven."""
        ...

    def broadcast(self, on: bool) -> None:
        """Let the periodic frames go on, or stop them."""
        ...

    def end_bypass(self) -> None:
        """Take everything back: contactors open, monitor on, dividers connected, no balancing, no download."""
        ...

    def enter_boot_loader(self) -> None:
        """End the application, unless the boot loader runs already."""
        ...

    def program(self, request: bytes) -> Reply | bytes:
        """Carry out a service or routine of the boot loader that writes software. Raises Refused."""
        ...

    def reset(self) -> None:
        """Restart."""
        ...

    def open_wires(self) -> int:
        """Bitmap of cells with an open sense wire, cell 1 the lowest bit."""
        ...


class Reply(NamedTuple):
    """An answer. `later`: to be had only at `at_s`, promised if `pending`. `then`: what happens once it has left."""

    data: bytes = b""
    at_s: float = 0.0
    later: Callable[[], bytes] | None = None
    then: Callable[[], None] | None = None
    pending: bool = True


class Refused(Exception):
    """The request gets a negative answer."""

    def __init__(self, nrc: Nrc) -> None:
        self.nrc = nrc


@dataclass(frozen=True, slots=True)
class _Service:
    """Lengths count the whole request; `subs` None: there is no sub-function. `loader`: the boot loader serves it."""

    handle: Callable[[UdsServer, bytes], Reply | bytes]
    length_min: int
    length_max: int
    subs: frozenset[int] | None = None
    sessions: frozenset[Session] = frozenset(Session)
    loader: bool = True


class UdsServer:
    """One BMS's server."""

    def __init__(self, ecu: Ecu, timer: Timer, seed: int, key: Callable[[bytes], bytes]) -> None:
        self._ecu = ecu
        self._timer = timer
        self._seeds = draw(seed, "bms.seed")
        self._flash = draw(seed, "bms.flash")
        self._key = key
        self._session = Session.DEFAULT
        self._s3 = Deadline(timer, self._expire)
        self._unlocked = False
        self._seed: bytes | None = None
        self._wrong_keys = 0
        self._locked_until_s = -KEY_DELAY_S
        self._open_wire_s: float | None = None

    def answer(self, request: bytes, *, functional: bool) -> Reply | None:
        """The answer to a request; None if there is none."""
        sid = request[0]
        self._keep_session()
        try:
            reply = self._dispatch(request)
        except Refused as refused:
            if functional and refused.nrc in _SILENT_IF_FUNCTIONAL:
                return None
            return Reply(uds.negative(sid, refused.nrc))
        if isinstance(reply, bytes):
            reply = Reply(reply)
        has_sub = _SERVICES[sid].subs is not None
        if has_sub and request[1] & uds.SUPPRESS and reply.later is None:
            return Reply(then=reply.then) if reply.then else None
        return reply

    def fall_back(self) -> None:
        """To the default session."""
        self._enter(Session.DEFAULT)

    def _expire(self) -> None:
        """A pause of 5 s ends a session; the boot loader leaves its own by restarting."""
        (self._ecu.reset if self._ecu.in_boot_loader else self.fall_back)()

    def _dispatch(self, request: bytes) -> Reply | bytes:
        service = _SERVICES.get(request[0])
        if service is None or (self._ecu.in_boot_loader and not service.loader):
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED)
        if self._session not in service.sessions:
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED_IN_SESSION)
        if not service.length_min <= len(request) <= service.length_max:
            raise Refused(Nrc.INCORRECT_LENGTH)
        if service.subs is not None and request[1] & ~uds.SUPPRESS not in service.subs:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)
        return service.handle(self, request)

    def _keep_session(self) -> None:
        if self._session is not Session.DEFAULT:
            self._s3.after(S3_S)

    def _enter(self, session: Session) -> None:
        self._session = session
        self._unlocked = False
        self._seed = None
        self._open_wire_s = None
        self._set_dtcs(True)
        self._ecu.end_bypass()
        self._ecu.broadcast(True)
        if session is Session.DEFAULT:
            self._s3.clear()
        else:
            self._s3.after(S3_S)

    def _session_control(self, request: bytes) -> Reply:
        session = Session(request[1] & ~uds.SUPPRESS)
        done = bytes((0x50, session)) + P2_MS.to_bytes(2) + P2_STAR_10MS.to_bytes(2)
        if session is Session.PROGRAMMING:
            return self._enter_boot_loader(done)
        if session is Session.SUPPLIER and self._ecu.in_boot_loader:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)
        self._enter(session)
        ends = session is Session.DEFAULT and self._ecu.in_boot_loader
        return Reply(done, then=self._ecu.reset if ends else None)

    def _enter_boot_loader(self, done: bytes) -> Reply:
        if self._session is Session.DEFAULT:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_SESSION)
        if self._ecu.energised():
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)

        def enter() -> bytes:
            self._enter(Session.PROGRAMMING)
            self._ecu.enter_boot_loader()
            return done

        return Reply(at_s=self._timer.time() + float(self._flash.uniform(*BOOT_LOADER_S)), later=enter)

    def _reset(self, request: bytes) -> Reply:
        kind = request[1] & ~uds.SUPPRESS
        if kind == Reset.HARD and self._session is Session.DEFAULT:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_SESSION)
        if self._ecu.energised():
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        return Reply(bytes((0x51, kind)), then=self._ecu.reset)

    def _clear(self, request: bytes) -> bytes:
        self._ecu.judge_dtcs()
        if not self._ecu.dtcs.clear(self._timer.time(), int.from_bytes(request[1:])):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return b"\x54"

    def _dtcs(self, request: bytes) -> bytes:
        report = request[1] & ~uds.SUPPRESS
        if len(request) != {DtcReport.EXTENDED_DATA: 6, DtcReport.SUPPORTED: 2}.get(DtcReport(report), 3):
            raise Refused(Nrc.INCORRECT_LENGTH)
        self._ecu.judge_dtcs()
        memory = self._ecu.dtcs
        head = bytes((0x59, report))
        if report == DtcReport.EXTENDED_DATA:
            return head + self._extended_data(int.from_bytes(request[2:5]), request[5])
        if report == DtcReport.SUPPORTED:
            return head + bytes((AVAILABILITY,)) + uds.encode_dtcs(memory.all())
        found = memory.matching(request[2])
        if report == DtcReport.NUMBER_BY_STATUS_MASK:
            return head + bytes((AVAILABILITY, 0x01)) + len(found).to_bytes(2)
        return head + bytes((AVAILABILITY,)) + uds.encode_dtcs(found)

    def _extended_data(self, code: int, record: int) -> bytes:
        """Record 1, the only one: the occurrence counter."""
        occurrences = self._ecu.dtcs.occurrences(code)
        if occurrences is None or record not in (0x01, 0xFF):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        dtc = next(dtc for dtc in self._ecu.dtcs.all() if dtc.code == code)
        return uds.encode_dtcs([dtc]) + bytes((0x01, occurrences))

    def _read(self, request: bytes) -> bytes:
        if len(request) % 2 == 0:
            raise Refused(Nrc.INCORRECT_LENGTH)
        answer = b"\x62"
        for at in range(1, len(request), 2):
            did = int.from_bytes(request[at : at + 2])
            data = self._value(did)
            if data is not None:
                answer += request[at : at + 2] + data
        if len(answer) == 1:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return answer

    def _value(self, did: int) -> bytes | None:
        if did == Did.ACTIVE_SESSION:
            return bytes((self._session,))
        if is_bitmap(did):
            bits = bitmap(self._ecu.dids, did)
            return bits if any(bits) else None
        entry = self._ecu.dids.get(did)
        return None if entry is None else entry.read()

    def _write(self, request: bytes) -> Reply | bytes:
        entry = self._ecu.dids.get(int.from_bytes(request[1:3]))
        if entry is None or entry.write is None or self._session not in entry.sessions:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if entry.secured and not self._unlocked:
            raise Refused(Nrc.SECURITY_ACCESS_DENIED)
        if len(request) != 3 + entry.length:
            raise Refused(Nrc.INCORRECT_LENGTH)
        if not entry.write(request[3:]):
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        done = b"\x6e" + request[1:3]
        if not entry.flash:
            return done
        return Reply(at_s=self._timer.time() + float(self._flash.uniform(*FLASH_S)), later=lambda: done)

    def _security(self, request: bytes) -> bytes:
        send_key = request[1] & ~uds.SUPPRESS == 0x02
        if len(request) != (2 + SEED_BYTES if send_key else 2):
            raise Refused(Nrc.INCORRECT_LENGTH)
        return self._try_key(request[2:]) if send_key else self._give_seed()

    def _give_seed(self) -> bytes:
        if self._timer.time() < self._locked_until_s:
            raise Refused(Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
        if self._unlocked:
            return b"\x67\x01" + bytes(SEED_BYTES)
        self._seed = int(self._seeds.integers(1, 1 << 8 * SEED_BYTES)).to_bytes(SEED_BYTES)
        return b"\x67\x01" + self._seed

    def _try_key(self, key: bytes) -> bytes:
        if self._seed is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        right, self._seed = key == self._key(self._seed), None
        if right:
            self._unlocked, self._wrong_keys = True, 0
            return b"\x67\x02"
        self._wrong_keys += 1
        if self._wrong_keys < KEY_TRIES:
            raise Refused(Nrc.INVALID_KEY)
        self._wrong_keys = 0
        self._locked_until_s = self._timer.time() + KEY_DELAY_S
        raise Refused(Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS)

    def _communication(self, request: bytes) -> bytes:
        if request[2] not in _MESSAGES:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        control = request[1] & ~uds.SUPPRESS
        self._ecu.broadcast(control == CommunicationControl.RECEIVE_AND_SEND)
        return bytes((0x68, control))

    def _routine(self, request: bytes) -> Reply | bytes:
        action = RoutineAction(request[1] & ~uds.SUPPRESS)
        routine = int.from_bytes(request[2:4])
        echo = bytes((0x71, action)) + request[2:4]
        if self._session is Session.PROGRAMMING and action is RoutineAction.START:
            return self._program(request)
        if routine != Routine.OPEN_WIRE or self._ecu.in_boot_loader:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if len(request) != 4:
            raise Refused(Nrc.INCORRECT_LENGTH)
        if action is RoutineAction.START:
            return self._start_open_wire(echo)
        if self._open_wire_s is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        done_s = self._open_wire_s
        if action is RoutineAction.STOP:
            self._open_wire_s = None
            return echo + b"\x00"
        if self._timer.time() >= done_s:
            return self._open_wire_result(echo)
        return Reply(at_s=done_s, later=lambda: self._open_wire_result(echo))

    def _start_open_wire(self, echo: bytes) -> bytes:
        now_s = self._timer.time()
        running = self._open_wire_s is not None and now_s < self._open_wire_s
        if running or self._ecu.energised():
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        self._open_wire_s = now_s + OPEN_WIRE_S
        return echo + b"\x01"

    def _open_wire_result(self, echo: bytes) -> bytes:
        """Status 0, and the bitmap."""
        return echo + b"\x00" + self._ecu.open_wires().to_bytes(OPEN_WIRE_BYTES)

    def _program(self, request: bytes) -> Reply | bytes:
        if not self._unlocked:
            raise Refused(Nrc.SECURITY_ACCESS_DENIED)
        return self._ecu.program(request)

    def _tester_present(self, request: bytes) -> bytes:
        return b"\x7e\x00"

    def _dtc_setting(self, request: bytes) -> bytes:
        setting = request[1] & ~uds.SUPPRESS
        self._set_dtcs(setting == DtcSetting.ON)
        return bytes((0xC5, setting))

    def _set_dtcs(self, on: bool) -> None:
        """Let codes be set or not, after those due until now."""
        self._ecu.judge_dtcs()
        self._ecu.dtcs.setting = on


_SERVICES: Mapping[int, _Service] = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: _Service(UdsServer._session_control, 2, 2, frozenset(Session)),
    Sid.ECU_RESET: _Service(UdsServer._reset, 2, 2, frozenset(Reset)),
    Sid.CLEAR_DIAGNOSTIC_INFORMATION: _Service(UdsServer._clear, 4, 4, loader=False),
    Sid.READ_DTC_INFORMATION: _Service(UdsServer._dtcs, 2, 6, frozenset(DtcReport), loader=False),
    Sid.READ_DATA_BY_IDENTIFIER: _Service(UdsServer._read, 3, 1 + 2 * READ_MAX),
    Sid.SECURITY_ACCESS: _Service(UdsServer._security, 2, 2 + SEED_BYTES, frozenset({0x01, 0x02}), _ENTERED),
    Sid.COMMUNICATION_CONTROL: _Service(UdsServer._communication, 3, 3, frozenset(CommunicationControl), _ENTERED),
    Sid.WRITE_DATA_BY_IDENTIFIER: _Service(UdsServer._write, 4, 64, None, _ENTERED, loader=False),
    Sid.ROUTINE_CONTROL: _Service(UdsServer._routine, 4, 13, frozenset(RoutineAction), _ENTERED),
    Sid.REQUEST_DOWNLOAD: _Service(UdsServer._program, 3, 11, None, _PROGRAMMING),
    Sid.TRANSFER_DATA: _Service(UdsServer._program, 3, MESSAGE_MAX, None, _PROGRAMMING),
    Sid.REQUEST_TRANSFER_EXIT: _Service(UdsServer._program, 1, 1, None, _PROGRAMMING),
    Sid.TESTER_PRESENT: _Service(UdsServer._tester_present, 2, 2, frozenset({0x00})),
    Sid.CONTROL_DTC_SETTING: _Service(UdsServer._dtc_setting, 2, 2, frozenset(DtcSetting), _ENTERED),
}
