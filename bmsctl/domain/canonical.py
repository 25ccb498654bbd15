"""One spelling for every JSON value, so that equal values hash equally, years apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, NoReturn

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _make_encode() -> Callable[[Any], str]:
    """`_ENCODER.encode`, which sets up its C part anew for every value, with that part set up once."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _ENCODER.encode
    escape = json.encoder.encode_basestring
    encode = make(None, _ENCODER.default, escape, None, ":", ",", True, False, False)
    return lambda value: "".join(encode(value, 0))


_encode = _make_encode()


def canonical_json(value: Any) -> str:
    """The value as JSON: keys sorted, no spaces, floats in their shortest form, always encodable as UTF-8.

    Raises:
        ValueError: a NaN or an infinity.
        TypeError: not a JSON value.
    """
    text = _encode(value)
    if text.isascii():
        return text
    # A lone surrogate (an undecodable byte of a label) has no UTF-8; its backslash form is its JSON escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_json(text: str | bytes) -> Any:
    """Parse JSON as `canonical_json` writes it.

    Raises:
        ValueError: not JSON, not UTF-8, a NaN or infinity, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
