"""BMS broadcast: bytes worked out by hand, and every signal against the message set by an independent decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cantools
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.domain.ports import Relay
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import Hvil, Insulation, InsulationState, OperatingState, Sealed, Taps, unseal
from bmsctl.protocols.checksum import crc8
from tests.support.bms import cell_frames, temperature_frames

ROOT = Path(__file__).parents[3]
DBC: Any = cantools.database.load_file(ROOT / "recipes" / "ampr_small.dbc")
BROADCAST = [message.frame_id for message in DBC.messages if message.senders == ["BMS"]]


def read_golden() -> dict[str, tuple[int, bytes]]:
    lines = (ROOT / "tests" / "golden" / "bms" / "broadcast.txt").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: (int(can_id, 16), bytes.fromhex(data)) for name, can_id, data in rows}


GOLDEN = read_golden()

CELLS_V = np.full(96, 3.7)
CELLS_V[4:8] = [3.5, 3.6, math.nan, 4.2]
CELSIUS = np.array([22.5, -40.0, math.nan, 85.0] + [20.0] * 8)

ENCODED: dict[str, Callable[[], bytes]] = {
    "current": lambda: codec.encode_current(-12.5, 5),
    "current_sna": lambda: codec.encode_current(None, 0),
    "taps": lambda: codec.encode_taps(Taps(350.1, None, -0.3, 0.0), 9),
    "status": lambda: codec.encode_status(OperatingState.PLANT, Hvil.CLOSED, {Relay.MAIN_MINUS, Relay.PRECHARGE}, 15),
    "cells_02": lambda: cell_frames(CELLS_V, 0)[1],
    "temperatures_1": lambda: temperature_frames(CELSIUS, 1)[0],
    "busbars": lambda: codec.encode_busbars([-5e-3, 8e-3, None], 3),
    "insulation": lambda: codec.encode_insulation(1.2e6, InsulationState.SETTLED, 2),
    "insulation_above": lambda: codec.encode_insulation(20e6, InsulationState.SETTLED, 12),
    "balancing_1": lambda: codec.seal(codec.BALANCING_IDS[0], 4, codec.pack_balancing(1 << 0 | 1 << 47)[0]),
    "relay_request": lambda: codec.encode_relay_request({Relay.MAIN_MINUS, Relay.PRECHARGE}, 7),
}

DECODED: dict[str, tuple[Callable[[int], Any], Any]] = {
    "current": (codec.decode_current, -12.5),
    "current_sna": (codec.decode_current, None),
    "taps": (codec.decode_taps, Taps(350.1, None, -0.3, 0.0)),
    "status": (
        codec.decode_status,
        (
            OperatingState.PLANT,
            Hvil.CLOSED,
            {Relay.MAIN_PLUS: False, Relay.MAIN_MINUS: True, Relay.PRECHARGE: True},
            1,
        ),
    ),
    "busbars": (codec.decode_busbars, (-164 / 32768, 262 / 32768, None)),
    "insulation": (codec.decode_insulation, Insulation(1.2e6, False, InsulationState.SETTLED)),
    "insulation_above": (codec.decode_insulation, Insulation(65534 * 200.0, True, InsulationState.SETTLED)),
    "relay_request": (codec.decode_relay_request, {Relay.MAIN_MINUS, Relay.PRECHARGE}),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_encodes_the_golden_bytes(name: str) -> None:
    assert ENCODED[name]().hex() == GOLDEN[name][1].hex()


@pytest.mark.parametrize("name", DECODED)
def test_decodes_the_golden_bytes(name: str) -> None:
    sealed = unseal(*GOLDEN[name])
    assert sealed is not None
    decode, expected = DECODED[name]
    assert decode(sealed.payload) == expected


def test_alive_and_payload_of_a_golden_frame() -> None:
    assert unseal(*GOLDEN["current"]) == Sealed(alive=5, payload=0xFE70)


@given(st.sampled_from(sorted(GOLDEN)), st.data())
def test_no_wrong_bit_and_no_wrong_length_passes(name: str, choose: st.DataObject) -> None:
    can_id, data = GOLDEN[name]
    bit = choose.draw(st.integers(0, 8 * len(data) - 1))
    assert unseal(can_id, (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))) is None
    assert unseal(can_id, data[:-1]) is None
    assert unseal(can_id, data + b"\0") is None


@given(st.sampled_from(sorted(codec.LENGTH)), st.binary(max_size=9))
def test_arbitrary_bytes_never_raise(can_id: int, data: bytes) -> None:
    sealed = unseal(can_id, data)
    if sealed is not None and can_id != codec.RELAY_REQUEST_ID:
        decoder_of(can_id)(sealed.payload)


def test_a_frame_of_one_identifier_does_not_pass_for_another() -> None:
    frames = cell_frames(CELLS_V, 3)
    assert unseal(0x201, frames[1]) is not None
    assert unseal(0x202, frames[1]) is None


PAYLOADS = st.lists(st.integers(0, (1 << 52) - 1), min_size=24, max_size=24)


@given(PAYLOADS, st.integers(0, 1000))
def test_a_burst_is_sealed_frame_by_frame(payloads: list[int], alive: int) -> None:
    frames = [codec.seal(can_id, alive, payload) for can_id, payload in zip(codec.CELL_IDS, payloads, strict=True)]
    assert codec.seal_burst(codec.CELL_IDS, alive, payloads) == frames
    assert codec.unseal_burst(codec.CELL_IDS, frames) == [(alive & 0xF, payload) for payload in payloads]


@given(PAYLOADS, st.integers(0, 23), st.integers(0, 63), st.integers(0, 9))
def test_a_damaged_frame_of_a_burst_is_dropped_alone(payloads: list[int], at: int, bit: int, length: int) -> None:
    frames = codec.seal_burst(codec.CELL_IDS, 7, payloads)
    flipped = (int.from_bytes(frames[at]) ^ 1 << bit).to_bytes(8)
    cut = (frames[at] + b"\0")[:length]
    for damaged in (flipped, cut):
        if damaged != frames[at]:
            held = codec.unseal_burst(codec.CELL_IDS, [*frames[:at], damaged, *frames[at + 1 :]])
            assert held[at] is None
            assert [each for k, each in enumerate(held) if k != at] == [
                (7, payload) for k, payload in enumerate(payloads) if k != at
            ]


def test_a_frame_in_the_wrong_place_of_a_burst_does_not_pass() -> None:
    frames = codec.seal_burst(codec.CELL_IDS, 0, range(24))
    frames[3], frames[4] = frames[4], frames[3]
    assert [k for k, held in enumerate(codec.unseal_burst(codec.CELL_IDS, frames)) if held is None] == [3, 4]


def test_the_message_set_and_the_codec_agree_on_frames() -> None:
    assert {m.frame_id: m.length for m in DBC.messages} == dict(codec.LENGTH)
    assert {m.frame_id: m.cycle_time / 1000 for m in DBC.messages if m.cycle_time} == dict(codec.PERIOD_S)
    assert sorted(BROADCAST) == sorted(codec.PERIOD_S)
    assert DBC.dbc.attributes["Revision"].value == codec.DBC_REVISION == int(DBC.version)


def decoder_of(can_id: int) -> Callable[[int], Any]:
    """Values of a frame in the order of the message set's signals, None for a sentinel."""
    if can_id in codec.CELL_IDS:
        return lambda payload: [None if math.isnan(v) else v for v in codec.decode_cells([payload]).tolist()]
    if can_id in codec.TEMPERATURE_IDS:
        return lambda payload: codec.decode_temperatures([payload])
    if can_id in codec.BALANCING_IDS:
        return lambda payload: [codec.decode_balancing([payload, 0])]
    return {
        codec.CURRENT_ID: lambda payload: [codec.decode_current(payload)],
        codec.TAPS_ID: lambda payload: list(codec.decode_taps(payload)),
        codec.BUSBARS_ID: lambda payload: list(codec.decode_busbars(payload)),
        codec.STATUS_ID: lambda payload: status_values(codec.decode_status(payload)),
        codec.INSULATION_ID: lambda payload: list(codec.decode_insulation(payload)[::2]),
    }[can_id]


def status_values(status: codec.Status) -> list[Any]:
    order = (Relay.MAIN_PLUS, Relay.MAIN_MINUS, Relay.PRECHARGE)
    return [status.state, status.hvil, *(status.relays[relay] for relay in order), status.dbc_revision]


def independently(message: Any, data: bytes) -> list[Any]:
    """The message's values by cantools, without CRC and counter; None where the value table says so."""
    raw = message.decode(data, decode_choices=False, scaling=False)
    scaled = message.decode(data, decode_choices=False)
    values = []
    for signal in message.signals[2:]:
        name = str((signal.choices or {}).get(raw[signal.name], ""))
        values.append(None if name in ("SNA", "Error") and signal.name != "Hvil" else scaled[signal.name])
    return values


@pytest.mark.parametrize("can_id", sorted(BROADCAST))
@given(st.data())
def test_decodes_what_the_message_set_says(can_id: int, choose: st.DataObject) -> None:
    message = DBC.get_message_by_frame_id(can_id)
    raw = {signal.name: choose.draw(raw_values(signal), signal.name) for signal in message.signals}
    data = message.encode(raw, scaling=False, strict=False)
    data = bytes((crc8(can_id.to_bytes(2, "little") + data[1:]),)) + data[1:]
    sealed = unseal(can_id, data)
    assert sealed is not None
    assert sealed.alive == raw["Alive"]
    assert decoder_of(can_id)(sealed.payload) == pytest.approx(independently(message, data), abs=1e-12)


def raw_values(signal: Any) -> st.SearchStrategy[int]:
    """Raw values of a signal that the message set gives a meaning, sentinels more often than by chance."""
    named = [int(value) for value in (signal.choices or {})]
    if signal.name in ("OperatingState", "InsulationState"):
        return st.sampled_from(named)
    low, high = (
        (-(1 << signal.length - 1), (1 << signal.length - 1) - 1)
        if signal.is_signed
        else (
            0,
            (1 << signal.length) - 1,
        )
    )
    return st.one_of(st.integers(low, high), st.sampled_from(named)) if named else st.integers(low, high)


def test_cells_come_back_in_order_within_half_a_step() -> None:
    volts = np.linspace(3.0, 4.2, 96)
    frames = cell_frames(volts, 11)
    sealed = [unseal(can_id, data) for can_id, data in zip(codec.CELL_IDS, frames, strict=True)]
    assert {frame.alive for frame in sealed if frame} == {11}
    back = codec.decode_cells([frame.payload for frame in sealed if frame])
    assert np.abs(back - volts).max() <= 0.5 / 1024
    for index, (can_id, data) in enumerate(zip(codec.CELL_IDS, frames, strict=True)):
        decoded = DBC.get_message_by_frame_id(can_id).decode(data)
        for offset in range(4):
            cell = 4 * index + offset
            assert decoded[f"CellVoltage{cell + 1:02d}"] == back[cell]


@given(st.lists(st.one_of(st.none(), st.floats(-500, 500)), min_size=4, max_size=4), st.integers(0, 99))
def test_taps_are_clipped_and_rounded_but_never_wrapped(values: list[float | None], alive: int) -> None:
    decoded = DBC.get_message_by_name("BMS_Taps").decode(codec.encode_taps(Taps(*values), alive))
    assert decoded["Alive"] == alive % 16
    for name, value in zip(("U_Batt", "U_P", "U_N", "U_Link"), values, strict=True):
        if value is None:
            assert str(decoded[name]) == "SNA"
        else:
            assert decoded[name] == pytest.approx(max(-409.5, min(409.5, value)), abs=0.0501)


@pytest.mark.parametrize("value", [0.0, -1.0, 9.0, math.nan])
def test_a_cell_voltage_outside_the_field_is_clipped_below_the_sentinel(value: float) -> None:
    frame = cell_frames(np.full(96, value), 0)[0]
    decoded = DBC.get_message_by_frame_id(0x200).decode(frame)["CellVoltage01"]
    assert str(decoded) == "SNA" if math.isnan(value) else decoded == max(0.0, min(value, 8190 / 1024))


def test_requested_relays_even_with_a_wrong_check() -> None:
    data = codec.encode_relay_request({Relay.MAIN_PLUS}, 3)
    assert codec.requested_relays(b"\0" + data[1:]) == {Relay.MAIN_PLUS}
    assert codec.requested_relays(codec.encode_relay_request(frozenset(), 3)) == frozenset()
    assert codec.requested_relays(b"\x01") == frozenset()


def test_sentinels_are_named_in_every_value_table_of_a_measurement() -> None:
    measured = [signal for message in DBC.messages for signal in message.signals if signal.unit]
    assert len(measured) == 1 + 4 + 96 + 3 + 12 + 1
    assert all("SNA" in map(str, (signal.choices or {}).values()) for signal in measured)
