"""udsoncan's own client, on can-isotp's own stack with its threads, against the BMS in another process."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import suppress

import can
import isotp
import pytest
import udsoncan
from udsoncan.client import Client
from udsoncan.configs import default_client_config
from udsoncan.connections import PythonIsoTpConnection
from udsoncan.exceptions import NegativeResponseException, TimeoutException
from udsoncan.services import DiagnosticSessionControl, RoutineControl

from bmsctl.drivers.links.can_url import open_bus
from bmsctl.protocols import uds
from bmsctl.protocols.dids import CELL_VOLTAGE, Did, Routine, cell_did
from firmware_stubs.bms import demo_key
from tests.support.bms import IDENTITY
from tests.vcan.bms_process import DTC
from tests.vcan.wire import PATIENCE_S

SUPPLIER = uds.Session.SUPPLIER
LEVEL = 1
ATTEMPTS = 3
ANSWER_WITHIN_S = 10.0
P2_S = 0.1
CELLS = (cell_did(1), cell_did(96))


class Record(udsoncan.DidCodec):
    """A data record as bytes; without a length it takes all that is there."""

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self._length = length

    def encode(self, *values: bytes) -> bytes:
        return values[0]

    def decode(self, payload: bytes) -> bytes:
        return payload

    def __len__(self) -> int:
        if self._length is None:
            raise udsoncan.DidCodec.ReadAllRemainingData
        return self._length


class PatientClient(Client):
    """Asks again where a machine that stalled for longer than ISO-TP waits made the BMS give up."""

    def send_request(self, request: udsoncan.Request, timeout: int = -1) -> udsoncan.Response | None:
        for _ in range(ATTEMPTS - 1):
            with suppress(TimeoutException):
                return super().send_request(request, timeout)
        return super().send_request(request, timeout)


@pytest.fixture
def client(bms: None) -> Iterator[Client]:
    """A client in the default session."""
    bus = open_bus("socketcan://vcan0")
    bus.set_filters([{"can_id": uds.ANSWER_ID, "can_mask": 0x1FFFFFFF, "extended": True}])
    notifier = can.Notifier(bus, [], timeout=0.1)
    address = isotp.Address(isotp.AddressingMode.Normal_29bits, txid=uds.REQUEST_ID, rxid=uds.ANSWER_ID)
    stack = isotp.NotifierBasedCanStack(bus, notifier, address=address, params={"tx_padding": 0xAA})
    config = copy.deepcopy(default_client_config)
    config["security_algo"] = lambda level, seed: demo_key(seed)
    config["data_identifiers"] = {"default": Record()} | dict.fromkeys(CELLS, Record(CELL_VOLTAGE.length))
    config["request_timeout"] = config["p2_timeout"] = config["p2_star_timeout"] = ANSWER_WITHIN_S
    config["use_server_timing"] = False
    try:
        with PatientClient(PythonIsoTpConnection(stack), config=config) as opened:
            opened.change_session(DiagnosticSessionControl.Session.defaultSession)
            yield opened
    finally:
        notifier.stop()
        bus.shutdown()


@pytest.fixture
def unlocked(client: Client) -> Client:
    """A client in the maker's session, its security access granted."""
    client.change_session(SUPPLIER)
    client.unlock_security_access(LEVEL)
    return client


def read(client: Client, did: int) -> bytes:
    """One data record."""
    answer = client.read_data_by_identifier(did)
    assert answer is not None
    record = answer.service_data.values[did]
    assert isinstance(record, bytes)
    return record


def failed_codes(client: Client) -> list[int]:
    """The trouble codes whose test has failed."""
    answer = client.get_dtc_by_status_mask(uds.DtcStatus.TEST_FAILED)
    assert answer is not None
    return [dtc.id for dtc in answer.service_data.dtcs]


@pytest.mark.parametrize("session", [uds.Session.EXTENDED, uds.Session.SUPPLIER])
def test_sessions_open_and_say_their_timing(client: Client, session: uds.Session) -> None:
    answer = client.change_session(session)
    assert answer is not None
    assert (answer.service_data.p2_server_max, answer.service_data.p2_star_server_max) == (0.05, 5.0)
    assert read(client, Did.ACTIVE_SESSION) == bytes((session,))


def test_identity_is_read_in_several_frames(client: Client) -> None:
    assert read(client, Did.PART_NUMBER).decode().strip() == IDENTITY.part_number
    assert read(client, Did.ECU_SERIAL).decode().strip() == IDENTITY.ecu_serial


def test_several_identifiers_come_in_one_answer(client: Client) -> None:
    answer = client.read_data_by_identifier(list(CELLS))
    assert answer is not None
    volts = [CELL_VOLTAGE.decode(record) for record in answer.service_data.values.values()]
    assert volts == pytest.approx([3.6, 3.6], abs=0.02)


def test_an_unknown_identifier_is_refused(client: Client) -> None:
    with pytest.raises(NegativeResponseException) as refused:
        client.read_data_by_identifier(0x0123)
    assert refused.value.response.code == uds.Nrc.REQUEST_OUT_OF_RANGE


def test_security_access_needs_the_right_key(client: Client) -> None:
    client.change_session(SUPPLIER)
    client.request_seed(LEVEL)
    with pytest.raises(NegativeResponseException) as refused:
        client.send_key(LEVEL + 1, b"\x00\x00\x00\x01")
    assert refused.value.response.code == uds.Nrc.INVALID_KEY
    client.unlock_security_access(LEVEL)
    assert read(client, Did.ACTIVE_SESSION) == bytes((SUPPLIER,))


def test_a_secured_identifier_is_written_only_when_unlocked(client: Client) -> None:
    client.change_session(SUPPLIER)
    with pytest.raises(NegativeResponseException) as refused:
        client.write_data_by_identifier(Did.DIVIDER_BYPASS, b"\x01")
    assert refused.value.response.code == uds.Nrc.SECURITY_ACCESS_DENIED
    client.unlock_security_access(LEVEL)
    client.write_data_by_identifier(Did.DIVIDER_BYPASS, b"\x01")
    assert read(client, Did.DIVIDER_BYPASS) == b"\x01"


def test_a_record_of_several_frames_is_written_while_the_flash_lets_wait(unlocked: Client) -> None:
    vin = b"VF1AAAA0000000001"
    unlocked.write_data_by_identifier(Did.VIN, vin)
    assert read(unlocked, Did.VIN) == vin


def test_trouble_codes_are_listed_and_counted(client: Client) -> None:
    supported = client.get_supported_dtc()
    assert supported is not None
    assert DTC in {dtc.id for dtc in supported.service_data.dtcs}
    deadline_s = time.monotonic() + PATIENCE_S
    while failed_codes(client) != [DTC]:
        assert time.monotonic() < deadline_s, "the code did not come back"
        time.sleep(0.1)
    counted = client.get_number_of_dtc_by_status_mask(uds.DtcStatus.TEST_FAILED)
    assert counted is not None
    assert counted.service_data.dtc_count == 1


def test_trouble_codes_are_cleared_and_not_set_again_while_that_is_off(client: Client) -> None:
    client.change_session(uds.Session.EXTENDED)
    client.control_dtc_setting(uds.DtcSetting.OFF)
    client.clear_dtc(uds.ALL_DTCS)
    assert failed_codes(client) == []


def test_a_routine_is_started_and_its_result_awaited(unlocked: Client) -> None:
    """The open-wire test takes two seconds: the result comes after "response pending"."""
    started = unlocked.start_routine(Routine.OPEN_WIRE)
    assert started is not None
    assert started.service_data.routine_status_record == b"\x01"
    result = unlocked.get_routine_result(Routine.OPEN_WIRE)
    assert result is not None
    assert result.service_data.control_type_echo == RoutineControl.ControlType.requestRoutineResults
    assert result.service_data.routine_status_record == b"\x00" + bytes(12)


def test_tester_present_keeps_the_session(client: Client) -> None:
    client.change_session(uds.Session.EXTENDED)
    with client.suppress_positive_response:
        assert client.tester_present() is None
    time.sleep(P2_S)  # Busy with that, the BMS would not hear the next request.
    assert read(client, Did.ACTIVE_SESSION) == bytes((uds.Session.EXTENDED,))
