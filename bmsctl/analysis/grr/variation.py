"""What a study says of a measuring system, whatever the method: standard deviations and their shares."""

from __future__ import annotations

import math
from typing import NamedTuple

NDC_FACTOR = 1.41


class Variation(NamedTuple):
    """Standard deviations in the unit of the values.

    `ev`: repeatability, of the equipment. `av`: reproducibility, between appraisers. `interaction`: between
    appraisers and parts, 0 where it is not told apart. `grr`: the three together. `pv`: of the parts. `tv`: all.
    `ndc`: number of distinct categories, None where a measuring system without any variation would have infinitely
    many. `percent_grr`: share of `grr` in `tv`, NaN if nothing varies.
    """

    ev: float
    av: float
    interaction: float
    grr: float
    pv: float
    tv: float
    ndc: int | None
    percent_grr: float


def variation(ev: float, av: float, interaction: float, pv: float) -> Variation:
    """Put the components together.

    A measuring system that shows no variation at all is too coarse to be judged: it has no number of categories,
    and no share if the parts are alike, too.

    Source: AIAG MSA, 4th edition, chapter III section B.
    """
    grr = math.sqrt(ev * ev + av * av + interaction * interaction)
    tv = math.hypot(grr, pv)
    ndc = math.floor(NDC_FACTOR * pv / grr) if grr > 0.0 else None
    return Variation(ev, av, interaction, grr, pv, tv, ndc, 100.0 * grr / tv if tv > 0.0 else math.nan)
