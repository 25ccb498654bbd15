"""Both message sets: bytes worked out by hand, and every signal against the DBC by an independent decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cantools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.message_sets import MESSAGE_SETS as KNOWN_TO_RECIPES
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.ports import Relay
from bmsctl.protocols import bms_broadcast as codec
from bmsctl.protocols.bms_broadcast import (
    AMPR_MEDIUM,
    AMPR_SMALL,
    CORE_ONLY,
    MESSAGE_SETS,
    Hvil,
    Insulation,
    InsulationState,
    MessageSet,
    OperatingState,
    Sealed,
    Taps,
)
from bmsctl.protocols.checksum import crc8
from tests.support.bms import busbars_frame, cell_frames, temperature_frames

ROOT = Path(__file__).parents[4]
DBC: dict[str, Any] = {name: cantools.database.load_file(ROOT / "recipes" / f"{name}.dbc") for name in MESSAGE_SETS}
SETS = pytest.mark.parametrize("messages", MESSAGE_SETS.values(), ids=MESSAGE_SETS)
FRAMES = [
    pytest.param(messages, can_id, id=f"{name}-{can_id:03X}")
    for name, messages in MESSAGE_SETS.items()
    for can_id in sorted(messages.period_s)
    if can_id not in messages.cells.can_ids[1:-1]
]


def read_golden(file: str) -> dict[str, tuple[int, bytes]]:
    lines = (ROOT / "tests" / "golden" / "bms" / file).read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: (int(can_id, 16), bytes.fromhex(data)) for name, can_id, data in rows}


GOLDEN = {"ampr_small": read_golden("broadcast.txt"), "ampr_medium": read_golden("broadcast_fd.txt")}
PINNED = [(name, frame) for name, frames in GOLDEN.items() for frame in frames]

CELLS_V = np.full(96, 3.7)
CELLS_V[4:8] = [3.5, 3.6, math.nan, 4.2]
CELSIUS = np.array([22.5, -40.0, math.nan, 85.0] + [20.0] * 8)
LAST_CELLS_V = np.array([3.5] * 92 + [3.6, math.nan, 4.2, 3.65])
ALL_CELSIUS = np.array([22.5, -40.0, math.nan, 85.0] + [20.0] * 19 + [25.0])
COILS = {Relay.MAIN_MINUS, Relay.PRECHARGE}


def status(alive: int, messages: MessageSet) -> bytes:
    return codec.encode_status(OperatingState.PLANT, Hvil.CLOSED, COILS, alive, messages.revision)


def balancing(cells: int, alive: int, messages: MessageSet) -> bytes:
    return messages.seal(0x240, alive, messages.pack_balancing(cells)[0])


ENCODED: dict[tuple[str, str], Callable[[], bytes]] = {
    ("ampr_small", "current"): lambda: codec.encode_current(-12.5, 5),
    ("ampr_small", "current_sna"): lambda: codec.encode_current(None, 0),
    ("ampr_small", "taps"): lambda: codec.encode_taps(Taps(350.1, None, -0.3, 0.0), 9),
    ("ampr_small", "status"): lambda: status(15, AMPR_SMALL),
    ("ampr_small", "cells_02"): lambda: cell_frames(CELLS_V, 0)[1],
    ("ampr_small", "temperatures_1"): lambda: temperature_frames(CELSIUS, 1)[0],
    ("ampr_small", "busbars"): lambda: busbars_frame([-5e-3, 8e-3, None], 3),
    ("ampr_small", "insulation"): lambda: codec.encode_insulation(1.2e6, InsulationState.SETTLED, 2),
    ("ampr_small", "insulation_above"): lambda: codec.encode_insulation(20e6, InsulationState.SETTLED, 12),
    ("ampr_small", "balancing_1"): lambda: balancing(1 << 0 | 1 << 47, 4, AMPR_SMALL),
    ("ampr_small", "relay_request"): lambda: codec.encode_relay_request(COILS, 7),
    ("ampr_medium", "status"): lambda: status(15, AMPR_MEDIUM),
    ("ampr_medium", "cells_8"): lambda: cell_frames(LAST_CELLS_V, 0, AMPR_MEDIUM)[7],
    ("ampr_medium", "temperatures"): lambda: temperature_frames(ALL_CELSIUS, 1, AMPR_MEDIUM)[0],
    ("ampr_medium", "busbars"): lambda: busbars_frame([-5e-3, 8e-3, None, *[0.0] * 7, 1.5e-3], 3, AMPR_MEDIUM),
    ("ampr_medium", "balancing"): lambda: balancing(1 << 0 | 1 << 47 | 1 << 48 | 1 << 95, 4, AMPR_MEDIUM),
    ("ampr_medium", "relay_request"): lambda: codec.encode_relay_request(COILS, 7),
}

ECHOES = {Relay.MAIN_PLUS: False, Relay.MAIN_MINUS: True, Relay.PRECHARGE: True}
DECODED: dict[tuple[str, str], tuple[Callable[[int], Any], Any]] = {
    ("ampr_small", "current"): (codec.decode_current, -12.5),
    ("ampr_small", "current_sna"): (codec.decode_current, None),
    ("ampr_small", "taps"): (codec.decode_taps, Taps(350.1, None, -0.3, 0.0)),
    ("ampr_small", "status"): (codec.decode_status, (OperatingState.PLANT, Hvil.CLOSED, ECHOES, 0x01)),
    ("ampr_small", "busbars"): (
        lambda payload: AMPR_SMALL.decode_busbars([payload]),
        (-164 / 32768, 262 / 32768, None),
    ),
    ("ampr_small", "insulation"): (codec.decode_insulation, Insulation(1.2e6, False, InsulationState.SETTLED)),
    ("ampr_small", "insulation_above"): (
        codec.decode_insulation,
        Insulation(65534 * 200.0, True, InsulationState.SETTLED),
    ),
    ("ampr_small", "relay_request"): (codec.decode_relay_request, COILS),
    ("ampr_medium", "status"): (codec.decode_status, (OperatingState.PLANT, Hvil.CLOSED, ECHOES, 0x11)),
    ("ampr_medium", "cells_8"): (
        lambda payload: values(AMPR_MEDIUM.decode_cells([payload]).tolist()),
        [3.5] * 8 + [3686 / 1024, None, 4301 / 1024, 3738 / 1024],
    ),
    ("ampr_medium", "temperatures"): (
        lambda payload: AMPR_MEDIUM.decode_temperatures([payload]),
        [22.5, -40.0, None, 85.0] + [20.0] * 19 + [25.0],
    ),
    ("ampr_medium", "busbars"): (
        lambda payload: AMPR_MEDIUM.decode_busbars([payload]),
        (-164 / 32768, 262 / 32768, None, *[0.0] * 7, 49 / 32768),
    ),
    ("ampr_medium", "balancing"): (
        lambda payload: AMPR_MEDIUM.decode_balancing([payload]),
        1 << 0 | 1 << 47 | 1 << 48 | 1 << 95,
    ),
}


def values(volts: list[float]) -> list[float | None]:
    return [None if math.isnan(volt) else volt for volt in volts]


@pytest.mark.parametrize(("name", "frame"), PINNED)
def test_encodes_the_golden_bytes(name: str, frame: str) -> None:
    assert ENCODED[name, frame]().hex() == GOLDEN[name][frame][1].hex()


@pytest.mark.parametrize(("name", "frame"), DECODED)
def test_decodes_the_golden_bytes(name: str, frame: str) -> None:
    sealed = MESSAGE_SETS[name].unseal(*GOLDEN[name][frame])
    assert sealed is not None
    decode, expected = DECODED[name, frame]
    assert decode(sealed.payload) == expected


def test_alive_and_payload_of_a_golden_frame() -> None:
    assert AMPR_SMALL.unseal(*GOLDEN["ampr_small"]["current"]) == Sealed(alive=5, payload=0xFE70)


@SETS
@given(st.data())
def test_arbitrary_bytes_never_raise(messages: MessageSet, choose: st.DataObject) -> None:
    can_id = choose.draw(st.sampled_from(sorted(messages.period_s)))
    sealed = messages.unseal(can_id, choose.draw(st.binary(max_size=65)))
    if sealed is not None:
        decoder_of(messages, can_id)(sealed.payload)


@SETS
def test_the_dbc_and_the_codec_agree_on_frames(messages: MessageSet) -> None:
    dbc = DBC[messages.name]
    broadcast = [message for message in dbc.messages if message.senders == ["BMS"]]
    assert {m.frame_id: m.length for m in dbc.messages} == dict(messages.length)
    assert {m.frame_id: m.cycle_time / 1000 for m in dbc.messages if m.cycle_time} == dict(messages.period_s)
    assert sorted(m.frame_id for m in broadcast) == sorted(messages.period_s)
    assert {m.is_fd for m in broadcast} == {messages.fd}
    assert not dbc.get_message_by_name("RelayRequest").is_fd
    assert dbc.dbc.attributes["Revision"].value == messages.revision == int(dbc.version)


@SETS
def test_all_cells_of_a_pack_come_within_100_ms(messages: MessageSet) -> None:
    assert messages.cells.period_s == 0.1
    assert messages.cells.channels == 96


def test_fd_frames_have_a_length_that_can_fd_has() -> None:
    assert {AMPR_MEDIUM.length[can_id] for can_id in AMPR_MEDIUM.cells.can_ids} == {64}
    assert set(AMPR_MEDIUM.length.values()) <= {*range(9), 12, 16, 20, 24, 32, 48, 64}


def test_recipes_know_every_set_and_how_much_it_has_room_for() -> None:
    room = {
        name: Channels(messages.cells.channels, messages.temperatures.channels, messages.busbars.channels)
        for name, messages in MESSAGE_SETS.items()
    }
    assert room == dict(KNOWN_TO_RECIPES)


@SETS
def test_what_a_station_needs_of_an_unknown_pack_is_alike_in_every_set(messages: MessageSet) -> None:
    for can_id, period_s in CORE_ONLY.period_s.items():
        assert messages.period_s[can_id] == period_s
        assert messages.length[can_id] == CORE_ONLY.length[can_id]
    assert messages.length[codec.RELAY_REQUEST_ID] == CORE_ONLY.length[codec.RELAY_REQUEST_ID]


@SETS
def test_revisions_tell_the_sets_apart(messages: MessageSet) -> None:
    assert [each.name for each in MESSAGE_SETS.values() if each.revision == messages.revision] == [messages.name]


def decoder_of(messages: MessageSet, can_id: int) -> Callable[[int], Any]:
    """Values of a frame in the order of the DBC's signals, None for a sentinel."""
    if can_id in messages.cells.can_ids:
        return lambda payload: values(messages.decode_cells([payload]).tolist())
    if can_id in messages.temperatures.can_ids:
        return lambda payload: messages.decode_temperatures([payload])
    if can_id in messages.busbars.can_ids:
        return lambda payload: list(messages.decode_busbars([payload]))
    if can_id in messages.balancing.can_ids:
        halves = range(0, messages.balancing.per_frame, 48)
        return lambda payload: [messages.decode_balancing([payload]) >> at & (1 << 48) - 1 for at in halves]
    return {
        codec.CURRENT_ID: lambda payload: [codec.decode_current(payload)],
        codec.TAPS_ID: lambda payload: list(codec.decode_taps(payload)),
        codec.STATUS_ID: status_values,
        codec.INSULATION_ID: insulation_values,
    }[can_id]


def status_values(payload: int) -> list[Any]:
    status = codec.decode_status(payload)
    order = (Relay.MAIN_PLUS, Relay.MAIN_MINUS, Relay.PRECHARGE)
    return [status.state, status.hvil, *(status.relays[relay] for relay in order), status.dbc_revision]


def insulation_values(payload: int) -> list[Any]:
    return list(codec.decode_insulation(payload)[::2])


def independently(message: Any, data: bytes) -> list[Any]:
    """The message's values by cantools, without CRC and counter; None where the value table says so."""
    raw = message.decode(data, decode_choices=False, scaling=False)
    scaled = message.decode(data, decode_choices=False)
    decoded = []
    for signal in message.signals[2:]:
        name = str((signal.choices or {}).get(raw[signal.name], ""))
        decoded.append(None if name in ("SNA", "Error") and signal.name != "Hvil" else scaled[signal.name])
    return decoded


@pytest.mark.parametrize(("messages", "can_id"), FRAMES)
@settings(max_examples=20)
@given(st.data())
def test_decodes_what_the_dbc_says(messages: MessageSet, can_id: int, choose: st.DataObject) -> None:
    message = DBC[messages.name].get_message_by_frame_id(can_id)
    raw = {signal.name: choose.draw(raw_values(signal), signal.name) for signal in message.signals}
    data = message.encode(raw, scaling=False, strict=False)
    data = bytes((crc8(can_id.to_bytes(2, "little") + data[1:]),)) + data[1:]
    sealed = messages.unseal(can_id, data)
    assert sealed is not None
    assert sealed.alive == raw["Alive"]
    assert decoder_of(messages, can_id)(sealed.payload) == pytest.approx(independently(message, data), abs=1e-12)


def raw_values(signal: Any) -> st.SearchStrategy[int]:
    """Raw values of a signal that the DBC gives a meaning, sentinels more often than by chance."""
    named = [int(value) for value in (signal.choices or {})]
    if signal.name in ("OperatingState", "InsulationState"):
        return st.sampled_from(named)
    low, high = (0, (1 << signal.length) - 1)
    if signal.is_signed:
        low, high = -(1 << signal.length - 1), (1 << signal.length - 1) - 1
    return st.one_of(st.integers(low, high), st.sampled_from(named)) if named else st.integers(low, high)


@SETS
def test_cells_come_back_in_order_within_half_a_step(messages: MessageSet) -> None:
    volts = np.linspace(3.0, 4.2, 96)
    frames = cell_frames(volts, 11, messages)
    sealed = [messages.unseal(can_id, data) for can_id, data in zip(messages.cells.can_ids, frames, strict=True)]
    assert {frame.alive for frame in sealed if frame} == {11}
    back = messages.decode_cells([frame.payload for frame in sealed if frame])
    assert np.abs(back - volts).max() <= 0.5 / 1024
    decoded: dict[str, float] = {}
    for can_id, data in zip(messages.cells.can_ids, frames, strict=True):
        decoded |= DBC[messages.name].get_message_by_frame_id(can_id).decode(data)
    assert [decoded[f"CellVoltage{cell:02d}"] for cell in range(1, 97)] == back.tolist()


@given(st.lists(st.one_of(st.none(), st.floats(-500, 500)), min_size=4, max_size=4), st.integers(0, 99))
def test_taps_are_clipped_and_rounded_but_never_wrapped(volts: list[float | None], alive: int) -> None:
    data = codec.encode_taps(Taps(*volts), alive)
    decoded = DBC["ampr_small"].get_message_by_name("BMS_Taps").decode(data)
    assert decoded["Alive"] == alive % 16
    for name, volt in zip(("U_Batt", "U_P", "U_N", "U_Link"), volts, strict=True):
        if volt is None:
            assert str(decoded[name]) == "SNA"
        else:
            assert decoded[name] == pytest.approx(max(-409.5, min(409.5, volt)), abs=0.0501)


@SETS
@pytest.mark.parametrize("volt", [0.0, -1.0, 9.0, math.nan])
def test_a_cell_voltage_outside_the_field_is_clipped_below_the_sentinel(messages: MessageSet, volt: float) -> None:
    frame = cell_frames(np.full(96, volt), 0, messages)[0]
    decoded = DBC[messages.name].get_message_by_frame_id(0x200).decode(frame)["CellVoltage01"]
    assert str(decoded) == "SNA" if math.isnan(volt) else decoded == max(0.0, min(volt, 8190 / 1024))


def test_requested_relays_even_with_a_wrong_check() -> None:
    data = codec.encode_relay_request({Relay.MAIN_PLUS}, 3)
    assert codec.requested_relays(b"\0" + data[1:]) == {Relay.MAIN_PLUS}
    assert codec.requested_relays(codec.encode_relay_request(frozenset(), 3)) == frozenset()
    assert codec.requested_relays(b"\x01") == frozenset()


@SETS
def test_sentinels_are_named_in_every_value_table_of_a_measurement(messages: MessageSet) -> None:
    room = KNOWN_TO_RECIPES[messages.name]
    measured = [signal for message in DBC[messages.name].messages for signal in message.signals if signal.unit]
    assert len(measured) == 1 + 4 + sum(room) + 1
    assert all("SNA" in map(str, (signal.choices or {}).values()) for signal in measured)


def test_frames_that_hold_the_first_channels() -> None:
    assert AMPR_SMALL.cells.holding(72) == AMPR_SMALL.cells.can_ids[:18]
    assert AMPR_SMALL.temperatures.holding(9) == AMPR_SMALL.temperatures.can_ids
    assert AMPR_MEDIUM.cells.holding(13) == (0x200, 0x201)
    assert AMPR_MEDIUM.cells.holding(0) == ()
