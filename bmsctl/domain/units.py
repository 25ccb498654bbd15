"""Physical units: a type each at boundaries, strings with a unit in recipes and scenarios.

A quantity is written `number unit`, e.g. `25 mV`, `0.05 mV/h`, `16 d`. Inside, every value is a float in
one of a few units without prefix: V, A, Ohm, F, s, Hz, W, J, Ah, degC, K, Pa, Nm, deg, %, cm3, cm3/min, and
ratios of them such as V/h.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import NamedTuple, NewType

Volt = NewType("Volt", float)
Ampere = NewType("Ampere", float)
Ohm = NewType("Ohm", float)
Farad = NewType("Farad", float)
Second = NewType("Second", float)
Celsius = NewType("Celsius", float)
Pascal = NewType("Pascal", float)
Newtonmetre = NewType("Newtonmetre", float)
Degree = NewType("Degree", float)

PREFIXES = {
    "p": Fraction(1, 10**12),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
}

PREFIXED = {
    "V": ("V", Fraction(1)),
    "A": ("A", Fraction(1)),
    "Ohm": ("Ohm", Fraction(1)),
    "F": ("F", Fraction(1)),
    "s": ("s", Fraction(1)),
    "Hz": ("Hz", Fraction(1)),
    "W": ("W", Fraction(1)),
    "J": ("J", Fraction(1)),
    "Ah": ("Ah", Fraction(1)),
    "K": ("K", Fraction(1)),
    "Pa": ("Pa", Fraction(1)),
    "bar": ("Pa", Fraction(10**5)),
    "Nm": ("Nm", Fraction(1)),
}
"""Units that take a prefix: the dimension, named by its unit without prefix, and the factor to that."""

PLAIN = {
    "min": ("s", Fraction(60)),
    "h": ("s", Fraction(3600)),
    "d": ("s", Fraction(86400)),
    "degC": ("degC", Fraction(1)),
    "deg": ("deg", Fraction(1)),
    "%": ("%", Fraction(1)),
    "cm3": ("cm3", Fraction(1)),
    "cm3/min": ("cm3/min", Fraction(1)),
}
"""Units that never take one. A temperature is not a difference of temperatures: degC and K do not mix."""

READ_AS = {"µ": "u", "μ": "u", "Ω": "Ohm", "\N{OHM SIGN}": "Ohm", "°C": "degC", "℃": "degC", "°": "deg"}
"""Characters that are read, in this order, and never written."""

_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?) +(?P<unit>\S+)")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)\b", re.IGNORECASE)


class Unit(NamedTuple):
    """What a unit measures (numerator and denominator, in units without prefix), and the factor to that."""

    dimension: tuple[str, str | None]
    factor: Fraction


@cache
def parse_unit(text: str) -> Unit:
    """The unit of a text such as `mV`, `Ohm/V` or `cm3/min`.

    Raises:
        ValueError: no such unit.
    """
    name = text
    for spelling, written in READ_AS.items():
        name = name.replace(spelling, written)
    single = _single(name)
    if single is not None:
        return Unit((single[0], None), single[1])
    above, slash, below = name.partition("/")
    numerator, denominator = _single(above), _single(below)
    if slash and numerator is not None and denominator is not None:
        return Unit((numerator[0], denominator[0]), numerator[1] / denominator[1])
    known = ", ".join((*PREFIXED, *PLAIN))
    raise ValueError(f"unknown unit {text!r}; known: {known}, the first {len(PREFIXED)} with p n u m k M G, and ratios")


def _single(name: str) -> tuple[str, Fraction] | None:
    exact = PREFIXED.get(name) or PLAIN.get(name)
    if exact is not None:
        return exact
    prefix, base = PREFIXES.get(name[:1]), PREFIXED.get(name[1:])
    if prefix is None or base is None:
        return None
    return base[0], prefix * base[1]


def split_quantity(text: str) -> tuple[Fraction, Unit]:
    """Number and unit of a text `number unit`, exactly.

    Raises:
        ValueError: not a finite number, a space and a known unit; says which.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        if _NOT_FINITE.match(text.strip()):
            raise ValueError(f"{text!r} is not a finite number; give a number")
        raise ValueError(f'{text!r} is not a quantity; write number, space and unit, like "25 mV"')
    return Fraction(found["number"]), parse_unit(found["unit"])


def parse_quantity(text: str, unit: str) -> float:
    """The value in `unit` of a text `number unit`, correctly rounded.

    Raises:
        ValueError: not a finite number, an unknown unit, or a unit that measures something else.
    """
    number, given = split_quantity(text)
    wanted = parse_unit(unit)
    if given.dimension != wanted.dimension:
        raise ValueError(f"{text!r} is not in {unit}; give it in {unit}")
    return float(number * given.factor / wanted.factor)
