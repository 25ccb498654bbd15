"""Values as an engineer writes them: four digits, and the prefix or unit that keeps them short."""

from __future__ import annotations

import math

PREFIXED = frozenset({"V", "A", "Ohm", "F", "s", "V/h"})
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))
DIGITS = 4
DAY_S = 86400.0


def quantity(value: float, unit: str | None) -> str:
    """`value`, in `unit` without prefix, with the prefix that suits it; a count (unit None) as it is, a long time in
    days."""
    if unit == "s" and math.isfinite(value) and abs(value) >= DAY_S:
        return f"{value / DAY_S:.{DIGITS}g} d"
    if unit not in PREFIXED or value == 0.0 or not math.isfinite(value):
        return f"{value:.{DIGITS}g} {unit or ''}".rstrip()
    size = abs(float(f"{value:.{DIGITS}g}"))
    factor, prefix = next((pair for pair in PREFIXES if size >= pair[0]), PREFIXES[-1])
    return f"{value / factor:.{DIGITS}g} {prefix}{unit}"
