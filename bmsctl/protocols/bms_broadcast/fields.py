"""Fields of 13 bits, one after the other from the payload's lowest bit, as values and back.

The highest value of an unsigned field, and the lowest of a signed one, says that there is no value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bmsctl.domain.ports import F64

BITS = 13
SNA_UNSIGNED = 0x1FFF
"""Signal not available, in a field without sign."""
SNA_SIGNED = 0x1000
"""Signal not available, in a field with sign: the most negative value."""

_MASK = 0x1FFF
_PER_WORD = 4
_WORD_BITS = _PER_WORD * BITS
_WORD = (1 << _WORD_BITS) - 1
_SHIFTS = np.array([BITS * index for index in range(_PER_WORD)], np.uint64)
_I64 = NDArray[np.int64]


def pack_unsigned(steps: F64, per_payload: int) -> list[int]:
    """Payloads of `per_payload` fields each from values in steps of their resolution; NaN becomes the sentinel.

    Args:
        steps: (n,), n a multiple of `per_payload`; clipped to the field.
        per_payload: a multiple of 4.
    """
    raw = np.rint(steps)
    np.maximum(raw, 0, out=raw)
    np.minimum(raw, SNA_UNSIGNED - 1, out=raw)
    raw[np.isnan(raw)] = SNA_UNSIGNED
    words: list[int] = np.bitwise_or.reduce(raw.astype(np.uint64).reshape(-1, _PER_WORD) << _SHIFTS, axis=1).tolist()
    return words if per_payload == _PER_WORD else _joined(words, per_payload // _PER_WORD)


def unpack_unsigned(payloads: Sequence[int], per_payload: int) -> _I64:
    """(n,) raw fields of payloads that hold `per_payload` each, a multiple of 4."""
    words = payloads if per_payload == _PER_WORD else _split(payloads, per_payload // _PER_WORD)
    fields = np.array(words, np.uint64)[:, np.newaxis] >> _SHIFTS & np.uint64(_MASK)
    return fields.astype(np.int64).ravel()


def blank(fields: int) -> int:
    """Payload of so many unsigned fields without a value."""
    return (1 << BITS * fields) - 1


def signed_field(value: float | None, lsb: float) -> int:
    """Raw field of a value, clipped; None becomes the sentinel."""
    if value is None:
        return SNA_SIGNED
    return max(-0xFFF, min(0xFFF, round(value / lsb))) & _MASK


def signed_value(payload: int, index: int, per_unit: float) -> float | None:
    """Value of the field at `index` with so many steps to a unit; None: sentinel."""
    field = payload >> BITS * index & _MASK
    return None if field == SNA_SIGNED else (field - (field >> 12 << 13)) / per_unit


def _joined(words: Sequence[int], count: int) -> list[int]:
    """Payloads of so many words each."""
    return [
        sum(word << _WORD_BITS * index for index, word in enumerate(words[at : at + count]))
        for at in range(0, len(words), count)
    ]


def _split(payloads: Sequence[int], count: int) -> list[int]:
    """The words of all payloads."""
    return [payload >> _WORD_BITS * index & _WORD for payload in payloads for index in range(count)]
