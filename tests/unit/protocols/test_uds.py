"""UDS payloads: pinned bytes, what answers what, and udsoncan as an independent reader; identifiers' data."""

from __future__ import annotations

from typing import Any

import pytest
import udsoncan
from hypothesis import given
from hypothesis import strategies as st
from udsoncan.services import (
    CommunicationControl,
    ControlDTCSetting,
    ReadDTCInformation,
    RequestDownload,
    RequestTransferExit,
    RoutineControl,
    TransferData,
    WriteDataByIdentifier,
)

from bmsctl.domain.ports import Dtc
from bmsctl.protocols import dids, uds
from bmsctl.protocols.dids import Did, Scaled, Text, cell_did, is_bitmap
from bmsctl.protocols.uds import Nrc, RoutineAction, Sid


def test_requests_as_bytes() -> None:
    assert uds.identified(Sid.READ_DATA_BY_IDENTIFIER, 0xF187) == bytes.fromhex("22F187")
    assert uds.identified(Sid.WRITE_DATA_BY_IDENTIFIER, 0x91E9, b"\x01") == bytes.fromhex("2E91E901")
    assert uds.routine(RoutineAction.RESULTS, 0xB010) == bytes.fromhex("3103B010")
    assert uds.negative(0x22, Nrc.REQUEST_OUT_OF_RANGE) == bytes.fromhex("7F2231")


@pytest.mark.parametrize(
    ("request_hex", "answer_hex", "rest"),
    [
        ("22F187", "62F187313233", b"123"),
        ("22F187", "62F18C313233", None),
        ("22F187", "62F1", None),
        ("22F187", "6EF187", None),
        ("1060", "5060003201F4", bytes.fromhex("003201F4")),
        ("1060", "5003003201F4", None),
        ("14FFFFFF", "54", b""),
        ("190209", "59027F", b"\x7f"),
        ("190209", "590A7F", None),
        ("2701", "67011234", b"\x12\x34"),
        ("2E91E901", "6E91E9", b""),
        ("3103B010", "7103B01000", b"\x00"),
        ("3103B010", "7101B01000", None),
        ("3103B010", "7103FF0100", None),
        ("22F187", "7F2231", None),
        ("34004408000000000000FF", "74200042", bytes.fromhex("200042")),
        ("36FF41", "76FF", b""),
        ("36FF41", "7600", None),
        ("36FF41", "76", None),
        ("37", "77", b""),
    ],
)
def test_only_the_answer_to_the_request_is_accepted(request_hex: str, answer_hex: str, rest: bytes | None) -> None:
    assert uds.accepted(bytes.fromhex(request_hex), bytes.fromhex(answer_hex)) == rest


def test_refusals_belong_to_a_service() -> None:
    request = bytes.fromhex("22F187")
    assert uds.refusal(request, bytes.fromhex("7F2231")) == 0x31
    assert uds.refusal(request, bytes.fromhex("7F2E31")) is None
    assert uds.refusal(request, bytes.fromhex("7F22")) is None
    assert uds.refusal(request, bytes.fromhex("62F187")) is None
    assert uds.nrc_name(0x33) == "0x33 security access denied"
    assert uds.nrc_name(0xEE) == "0xEE"


@given(st.binary(min_size=1, max_size=20))
def test_arbitrary_answers_never_raise(answer: bytes) -> None:
    assert uds.refusal(b"\x22\xf1\x87", answer) is None or answer[0] == 0x7F
    assert uds.accepted(b"\x22\xf1\x87", answer) is None or answer.startswith(b"\x62\xf1\x87")


def test_trouble_codes_pinned_and_by_udsoncan() -> None:
    dtcs = [Dtc(0x1B1087, 0x2F), Dtc(0x1B0113, 0x08)]
    records = uds.encode_dtcs(dtcs)
    assert records == bytes.fromhex("1B10872F 1B011308")
    assert uds.decode_dtcs(records) == dtcs
    assert uds.decode_dtcs(b"") == []
    assert str(dtcs[0]) == "1B10-87"
    answer = udsoncan.Response(ReadDTCInformation, udsoncan.Response.Code.PositiveResponse, data=b"\x02\x7f" + records)
    read: Any = ReadDTCInformation.interpret_response(answer, subfunction=0x02)
    assert [(dtc.id, dtc.status.get_byte_as_int()) for dtc in read.service_data.dtcs] == [
        (0x1B1087, 0x2F),
        (0x1B0113, 0x08),
    ]
    with pytest.raises(ValueError, match="no whole number"):
        uds.decode_dtcs(records[:-1])


def test_a_list_of_trouble_codes_begins_with_the_status_bits_that_are_kept() -> None:
    assert uds.decode_dtc_reply(bytes.fromhex("7F 1B181310")) == (0x7F, [Dtc(0x1B1813, 0x10)])
    assert uds.decode_dtc_reply(b"\x09") == (0x09, [])
    with pytest.raises(ValueError, match="no availability mask"):
        uds.decode_dtc_reply(b"")
    with pytest.raises(ValueError, match="no whole number"):
        uds.decode_dtc_reply(bytes.fromhex("7F 1B1813"))
    answer = bytes.fromhex("0A 7F 1B181310")
    response = udsoncan.Response(ReadDTCInformation, udsoncan.Response.Code.PositiveResponse, data=answer)
    read: Any = ReadDTCInformation.interpret_response(response, subfunction=0x0A)
    assert [(dtc.id, dtc.status.test_not_completed_since_last_clear) for dtc in read.service_data.dtcs] == [
        (0x1B1813, True)
    ]


def test_settings_are_those_of_udsoncan() -> None:
    for setting in uds.DtcSetting:
        request: Any = ControlDTCSetting.make_request(setting_type=setting)
        assert request.get_payload() == bytes((Sid.CONTROL_DTC_SETTING, setting))
    control: Any = CommunicationControl.make_request(
        control_type=uds.CommunicationControl.RECEIVE_AND_SEND, communication_type=uds.NORMAL_MESSAGES
    )
    assert control.get_payload() == bytes.fromhex("280001")
    assert CommunicationControl.ControlType.enableRxAndDisableTx == uds.CommunicationControl.RECEIVE_ONLY
    assert CommunicationControl.ControlType.disableRxAndTx == uds.CommunicationControl.NEITHER


def test_requests_are_those_of_udsoncan() -> None:
    routine: Any = RoutineControl.make_request(routine_id=0xB010, control_type=1)
    assert routine.get_payload() == uds.routine(RoutineAction.START, 0xB010)
    config = {0x9281: udsoncan.DidCodec(">H")}
    write: Any = WriteDataByIdentifier.make_request(did=0x9281, value=20, didconfig=config)
    assert write.get_payload() == uds.identified(
        Sid.WRITE_DATA_BY_IDENTIFIER, Did.SLEEP_DELAY, dids.SLEEP_DELAY.encode(2.0)
    )


def test_download_as_bytes() -> None:
    assert uds.request_download(0x0800_0000, 24_576) == bytes.fromhex("34 00 44 08000000 00006000")
    assert uds.memory_area(0xFFFF_FFFF, 1) == bytes.fromhex("44 FFFFFFFF 00000001")
    assert uds.decode_memory_area(bytes.fromhex("44 08000000 00006000")) == (0x0800_0000, 24_576)
    assert uds.transfer_data(1, b"AB") == bytes.fromhex("36 01 4142")
    counters = [uds.transfer_data(number, b"A")[1] for number in (1, 2, 254, 255, 256, 257, 511, 512, 513)]
    assert counters == [0x01, 0x02, 0xFE, 0xFF, 0x00, 0x01, 0xFF, 0x00, 0x01]
    for data in ("", "44 08000000 000060", "44 08000000 0000600000", "33 08000000 00006000"):
        with pytest.raises(ValueError, match="is no area of memory"):
            uds.decode_memory_area(bytes.fromhex(data))


def test_downloads_are_those_of_udsoncan() -> None:
    memory = udsoncan.MemoryLocation(0x0800_0000, 24_576, address_format=32, memorysize_format=32)
    download: Any = RequestDownload.make_request(memory_location=memory)
    assert download.get_payload() == uds.request_download(0x0800_0000, 24_576)
    block: Any = TransferData.make_request(sequence_number=0, data=b"AB")
    assert block.get_payload() == uds.transfer_data(256, b"AB")
    leave: Any = RequestTransferExit.make_request()
    assert leave.get_payload() == bytes((Sid.REQUEST_TRANSFER_EXIT,))
    erase: Any = RoutineControl.make_request(
        routine_id=0xFF00, control_type=1, data=uds.memory_area(0x0800_0000, 24_576)
    )
    assert erase.get_payload() == uds.routine(
        RoutineAction.START, dids.Routine.ERASE_MEMORY, uds.memory_area(0x0800_0000, 24_576)
    )


@pytest.mark.parametrize(
    ("data", "length"), [("20 0042", 0x42), ("10 42", 0x42), ("40 00000FFF", 0xFFF), ("20 0003", 3)]
)
def test_the_longest_block(data: str, length: int) -> None:
    assert uds.decode_block_length(bytes.fromhex(data)) == length
    response = udsoncan.Response(RequestDownload, udsoncan.Response.Code.PositiveResponse, data=bytes.fromhex(data))
    read: Any = RequestDownload.interpret_response(response)
    assert read.service_data.max_length == length


@pytest.mark.parametrize("data", ["", "00", "20", "20 42", "20 004200", "10 02", "20 0000"])
def test_a_longest_block_that_is_none(data: str) -> None:
    with pytest.raises(ValueError, match=r"no length of a block|no room for data"):
        uds.decode_block_length(bytes.fromhex(data))


def test_monitoring_chips_as_bytes() -> None:
    data = bytes.fromhex("4D43313233343536 10 4D43303037202020 08")
    assert dids.encode_chips([("MC123456", 16), ("MC007", 8)]) == data
    assert dids.decode_chips(data) == [("MC123456", 16), ("MC007", 8)]
    for wrong in (b"", data[:-1], b" " * 8 + b"\x10", b"\xff" * 9):
        with pytest.raises(ValueError, match=r"no list of monitoring chips|no serial number"):
            dids.decode_chips(wrong)
    with pytest.raises(ValueError, match="more than 8"):
        dids.encode_chips([("MC1234567", 16)])


def test_negative_response_codes_are_those_of_the_standard() -> None:
    codes = {code.value: code.name for code in Nrc}
    for value in codes:
        assert udsoncan.Response.Code.get_name(value), f"{value:02X}"
    assert udsoncan.Response.Code.InvalidKey == Nrc.INVALID_KEY
    assert udsoncan.Response.Code.ExceedNumberOfAttempts == Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS
    assert udsoncan.Response.Code.ServiceNotSupportedInActiveSession == Nrc.SERVICE_NOT_SUPPORTED_IN_SESSION


@pytest.mark.parametrize(
    ("cell", "did"),
    [(1, 0x9021), (31, 0x903F), (32, 0x9041), (62, 0x905F), (63, 0x9061), (93, 0x907F), (94, 0x9081), (96, 0x9083)],
)
def test_cell_identifiers_step_over_the_bitmaps(cell: int, did: int) -> None:
    assert cell_did(cell) == did
    assert not is_bitmap(did)


def test_bitmaps() -> None:
    assert [did for did in range(0x9020, 0x9090) if is_bitmap(did)] == [0x9020, 0x9040, 0x9060, 0x9080]
    assert not is_bitmap(0xF180)


def test_texts() -> None:
    assert Text(10).encode("295B0") == b"295B0     "
    assert Text(10).decode(b"295B0     ") == "295B0"
    assert Text(4).decode(b"\xff" * 4) == ""
    for data in (b"295B", b"295B0\x01    ", b"\xe9" + b" " * 9):
        with pytest.raises(ValueError, match=r"due|not text|decode"):
            Text(10).decode(data)
    with pytest.raises(ValueError, match="more than 10"):
        Text(10).encode("295B00001RX")


def test_scaled_values() -> None:
    assert dids.CELL_VOLTAGE.encode(3198 / 1024) == bytes.fromhex("0C7E")
    assert dids.CELL_VOLTAGE.decode(bytes.fromhex("0C7E")) == pytest.approx(3.12305, abs=1e-5)
    assert dids.TEMPERATURE.encode(-40.0) == b"\0\0"
    assert dids.CURRENT.decode(bytes.fromhex("7F80")) == 0.0
    assert Scaled(2, 0.1).encode(None) == b"\xff\xff"
    assert Scaled(2, 0.1).decode(b"\xff\xff") is None
    assert Scaled(2, 0.1).encode(1e9) == b"\xff\xfe"
    assert Scaled(1, 1.0).encode(-5.0) == b"\0"
    with pytest.raises(ValueError, match="due"):
        Scaled(2, 0.1).decode(b"\0")


def test_charge_counts_in_both_directions() -> None:
    # 2,000,000 Ah / 1 mAh = 77359400 stands for none.
    assert dids.CHARGE.encode(0.0) == bytes.fromhex("77359400")
    assert dids.CHARGE.encode(7.85) == bytes.fromhex("7735B2AA")
    assert dids.CHARGE.decode(bytes.fromhex("77358E24")) == pytest.approx(-1.5, abs=1e-6)
    assert dids.CHARGE.decode(b"\xff" * 4) is None


def test_flags() -> None:
    assert dids.decode_flag(b"\x01") is True
    assert dids.decode_flag(b"\x00") is False
    for data in (b"", b"\x02", b"\x00\x01"):
        with pytest.raises(ValueError, match="00 or 01 is due"):
            dids.decode_flag(data)


def test_bitmaps_of_cells_pinned() -> None:
    assert dids.bitmap_of([1, 9, 96]).to_bytes(12).hex() == "800000000000000000000101"
    assert dids.bitmap_of([]) == 0


@given(st.sets(st.integers(1, 96)))
def test_bitmaps_of_cells_come_back(cells: set[int]) -> None:
    assert dids.cells_in(dids.bitmap_of(cells)) == sorted(cells)


@given(st.integers(0, 0xFFFE))
def test_scaled_values_come_back(raw: int) -> None:
    for codec in (dids.CURRENT, dids.BUSBAR_VOLTAGE, dids.PERCENT):
        assert codec.encode(codec.decode(raw.to_bytes(2))) == raw.to_bytes(2)
