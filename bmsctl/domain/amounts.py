"""Values with their units as people write them, exactly: the same number, with a prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from bmsctl.domain.units import PREFIXED, PREFIXES


def amount(value: float, unit: str | None) -> str:
    """A value as people write it, with the prefix that leaves one to three digits before the point."""
    text = amounts((value,), (unit,))[0]
    assert text is not None
    return text


def amounts(values: Sequence[float | None], units: Sequence[str | None]) -> list[str | None]:
    """Values as people write them, exactly, with the same prefix for all of the same unit; None stays None."""
    return [
        None if value is None else _written(value, unit, _prefix(unit, _largest(values, units, unit)))
        for value, unit in zip(values, units, strict=True)
    ]


def _largest(values: Iterable[float | None], units: Iterable[str | None], unit: str | None) -> float:
    same = zip(values, units, strict=True)
    return max((abs(value) for value, its in same if value is not None and its == unit), default=0.0)


def _prefix(unit: str | None, magnitude: float) -> str:
    """The prefix for a magnitude; none for units that take none, and no multiples of seconds."""
    base = "" if unit is None else unit.partition("/")[0]
    if base not in PREFIXED or PREFIXED[base][1] != 1 or magnitude == 0.0:
        return ""
    factors = {name: factor for name, factor in PREFIXES.items() if not (base == "s" and factor > 1)} | {"": 1}
    fitting = [name for name, factor in factors.items() if magnitude >= factor]
    return max(fitting, key=lambda name: factors[name], default="p")


def _written(value: float, unit: str | None, prefix: str) -> str:
    number = Decimal(repr(value))
    if prefix:
        factor = PREFIXES[prefix]
        number = number * factor.denominator / factor.numerator
    return f"{plain(number)} {prefix}{unit}" if unit else plain(number)


def plain(number: Decimal) -> str:
    """The number without exponent, and without zeros that say nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
