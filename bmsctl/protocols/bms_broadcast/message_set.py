"""A message set: which frames a BMS broadcasts, how long they are, and how many channels each carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bmsctl.domain.ports import F64
from bmsctl.protocols.bms_broadcast import envelope
from bmsctl.protocols.bms_broadcast.core import CORE_LENGTH, CORE_PERIOD_S
from bmsctl.protocols.bms_broadcast.envelope import Sealed
from bmsctl.protocols.bms_broadcast.fields import (
    BITS,
    SNA_UNSIGNED,
    blank,
    pack_unsigned,
    signed_field,
    signed_value,
    unpack_unsigned,
)

CELL_V = 1 / 1024
TEMPERATURE_K = 0.0625
TEMPERATURE_ZERO_C = -40.0
BUSBAR_V = 1 / 32768


@dataclass(frozen=True)
class Burst:
    """Frames of one kind, measured and sent together, all of `length` bytes with `per_frame` channels each."""

    can_ids: tuple[int, ...]
    per_frame: int
    length: int
    period_s: float

    @property
    def channels(self) -> int:
        """Channels of all frames."""
        return self.per_frame * len(self.can_ids)

    @cached_property
    def blank(self) -> int:
        """Payload of a frame of unsigned fields in which no channel has a value."""
        return blank(self.per_frame)

    def holding(self, channels: int) -> tuple[int, ...]:
        """Identifiers of the frames that carry the first so many channels."""
        return self.can_ids[: -(-channels // self.per_frame)]


@dataclass(frozen=True)
class MessageSet:
    """One set; its name, signals and revision are those of `recipes/<name>.dbc`. `fd`: its broadcast is CAN FD.

    A pack with fewer channels than the set sends the frames all the same, with sentinels in those it lacks.
    """

    name: str
    revision: int
    fd: bool
    cells: Burst
    temperatures: Burst
    busbars: Burst
    balancing: Burst

    @cached_property
    def bursts(self) -> tuple[Burst, ...]:
        """What differs from set to set."""
        return self.cells, self.busbars, self.balancing, self.temperatures

    @cached_property
    def period_s(self) -> Mapping[int, float]:
        """Every broadcast frame and its period."""
        periods = dict(CORE_PERIOD_S)
        for burst in self.bursts:
            periods |= dict.fromkeys(burst.can_ids, burst.period_s)
        return periods

    @cached_property
    def length(self) -> Mapping[int, int]:
        """Every frame of the set, the relay request among them, and its bytes of data."""
        lengths = dict(CORE_LENGTH)
        for burst in self.bursts:
            lengths |= dict.fromkeys(burst.can_ids, burst.length)
        return lengths

    def seal(self, can_id: int, alive: int, payload: int) -> bytes:
        """A frame's data: CRC, alive counter (modulo 16), payload."""
        return envelope.seal(can_id, alive, payload, self.length[can_id])

    def unseal(self, can_id: int, data: bytes) -> Sealed | None:
        """Alive counter and payload, or None if length or CRC is wrong."""
        return envelope.unseal(can_id, data, self.length[can_id])

    def pack_cells(self, voltage_v: F64) -> list[int]:
        """Payloads of one cycle from volts, NaN becomes the sentinel; (n,), n filling whole frames."""
        return pack_unsigned(voltage_v * (1 / CELL_V), self.cells.per_frame)

    def decode_cells(self, payloads: Sequence[int]) -> F64:
        """(n,) volts from the payloads of the first frames of a cycle; NaN: sentinel."""
        raw = unpack_unsigned(payloads, self.cells.per_frame)
        return np.where(raw == SNA_UNSIGNED, np.nan, raw * CELL_V)

    def pack_temperatures(self, temperature_c: F64) -> list[int]:
        """Payloads of one cycle from °C, NaN becomes the sentinel; (n,), n filling whole frames."""
        return pack_unsigned((temperature_c - TEMPERATURE_ZERO_C) / TEMPERATURE_K, self.temperatures.per_frame)

    def decode_temperatures(self, payloads: Sequence[int]) -> list[float | None]:
        """°C from the payloads of the first frames of a cycle; None: sentinel."""
        fields: list[int] = unpack_unsigned(payloads, self.temperatures.per_frame).tolist()
        return [None if raw == SNA_UNSIGNED else raw * TEMPERATURE_K + TEMPERATURE_ZERO_C for raw in fields]

    def pack_busbars(self, voltage_v: Sequence[float | None]) -> list[int]:
        """Payloads of one cycle from the voltage along each inter-module bar; None becomes the sentinel."""
        size = self.busbars.per_frame
        return [
            sum(signed_field(volt, BUSBAR_V) << BITS * index for index, volt in enumerate(voltage_v[at : at + size]))
            for at in range(0, len(voltage_v), size)
        ]

    def decode_busbars(self, payloads: Sequence[int]) -> tuple[float | None, ...]:
        """Voltage along each inter-module bar, in volts; None: sentinel."""
        fields = range(self.busbars.per_frame)
        return tuple(signed_value(payload, index, 1 / BUSBAR_V) for payload in payloads for index in fields)

    def pack_balancing(self, cells: int) -> list[int]:
        """Payloads for balancing switches as commanded, cell 1 the lowest bit of `cells`."""
        size = self.balancing.per_frame
        return [cells >> size * index & (1 << size) - 1 for index in range(len(self.balancing.can_ids))]

    def decode_balancing(self, payloads: Sequence[int]) -> int:
        """Balancing switches, cell 1 the lowest bit."""
        return sum(payload << self.balancing.per_frame * index for index, payload in enumerate(payloads))
