"""Statistical reference data sets of NIST with their certified values, in the public domain.

Values are kept as texts, as certified. The sets of the analysis of variance are made by their known construction: nine
treatments whose means lie alternately 0.1 below and above the first, each value 0.1 from its mean but the first.

Source: NIST StRD, https://www.itl.nist.gov/div898/strd/, sets Michelso, Mavro and SmLs01 to SmLs06.
"""

from __future__ import annotations

from typing import NamedTuple


class Univariate(NamedTuple):
    """A series, and its certified mean, standard deviation and lag-1 autocorrelation."""

    values: list[float]
    mean: float
    sd: float
    autocorrelation: float


class Treatments(NamedTuple):
    """Groups, and what is certified: sums of squares, F, R squared and residual standard deviation."""

    groups: list[list[float]]
    between: float
    within: float
    f: float
    r_squared: float
    residual_sd: float


_MICHELSO = """
850 740 900 1070 930 850 950 980 980 880 1000 980 930 650 760 810 1000 1000 960 960
960 940 960 940 880 800 850 880 900 840 830 790 810 880 880 830 800 790 760 800
880 880 880 860 720 720 620 860 970 950 880 910 850 870 840 840 850 840 840 840
890 810 810 820 800 770 760 740 750 760 910 920 890 860 880 720 840 850 850 780
890 840 780 810 760 810 790 810 820 850 870 870 810 740 810 940 950 800 810 870
"""
"""Speed of light in air by A. A. Michelson, 1879, in km/s over 299000."""

_MAVRO = """
180 170 180 190 180 170 150 140 150 150 170 180 180 190 190 210 200 160 140 130
130 150 150 160 150 140 130 140 150 140 150 160 150 160 190 200 200 210 220 230
240 250 270 260 260 260 270 260 250 240
"""
"""Transmittance of a filter by R. Mavrodineanu, as 100000ths over 2."""

MICHELSO = Univariate(
    [float(f"{299000 + int(text)}e-3") for text in _MICHELSO.split()],
    299.852400000000,
    0.0790105478190518,
    0.535199668621283,
)
MAVRO = Univariate(
    [float(f"2.00{text}") for text in _MAVRO.split()], 2.00185600000000, 0.000429123454003053, 0.937989183438248
)

TREATMENTS = 9


def _treatments(base: int, repeats: int) -> list[list[float]]:
    tenths = [4, *(3 + 2 * (number % 2) for number in range(TREATMENTS - 1))]
    return [
        [float(f"{base}.{mean + step}") for step in (0, *(2 * (n % 2) - 1 for n in range(repeats - 1)))]
        for mean in tenths
    ]


def _smls(base: int, repeats: int) -> Treatments:
    between = (TREATMENTS - 1) * repeats * 0.01
    within = TREATMENTS * (repeats - 1) * 0.01
    return Treatments(_treatments(base, repeats), between, within, float(repeats), between / (between + within), 0.1)


SMLS = {
    f"SmLs0{number}": _smls(base, repeats)
    for number, (base, repeats) in enumerate(((b, r) for b in (1, 1_000_000) for r in (21, 201, 2001)), 1)
}
"""Their certified values are those of the exact construction."""
