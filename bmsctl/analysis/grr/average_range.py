"""The average and range method.

    EV = R K1        AV = sqrt( (X K2)^2 - EV^2 / (parts * trials) )        PV = Rp K3

with R the mean range of a part's trials, X the range of the appraisers' means, Rp the range of the parts' means. It
cannot tell an interaction between appraisers and parts from repeatability.

Source: AIAG MSA, 4th edition, chapter III section B, and its form for the constants, which are 1/d2*.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bmsctl.analysis.grr.study import Study, StudyError
from bmsctl.analysis.grr.variation import Variation, variation

K1 = {2: 0.8862, 3: 0.5908, 4: 0.4857, 5: 0.4299}
"""By trials, for any product of parts and appraisers above 15, as the form assumes."""
_FROM_TWO = (0.7071, 0.5231, 0.4467, 0.4030, 0.3742, 0.3534, 0.3375)
_FROM_NINE = (0.3249, 0.3146, 0.3059, 0.2985, 0.2921, 0.2864, 0.2814)
K = dict(enumerate(_FROM_TWO + _FROM_NINE, start=2))
"""K2 by appraisers and K3 by parts: one range of so many means."""


class Ranges(NamedTuple):
    """What the method takes from the values: R, X (0 with one appraiser) and Rp of the module's docstring."""

    repeatability: float
    appraisers: float
    parts: float


def average_range(study: Study) -> Variation:
    """Evaluate a study by averages and ranges.

    One appraiser, or an automatic station, has no reproducibility: `av` is 0.

    Raises:
        StudyError: more trials, appraisers or parts than the method has constants for.
    """
    parts, appraisers, trials = study.values.shape
    return components(ranges_of(study), parts, appraisers, trials)


def ranges_of(study: Study) -> Ranges:
    """The three ranges of a study."""
    spread = study.values.max(axis=2) - study.values.min(axis=2)
    of_appraisers, of_parts = study.values.mean(axis=(0, 2)), study.values.mean(axis=(1, 2))
    return Ranges(
        float(spread.mean()),
        float(of_appraisers.max() - of_appraisers.min()),
        float(of_parts.max() - of_parts.min()),
    )


def components(ranges: Ranges, parts: int, appraisers: int, trials: int) -> Variation:
    """The components that ranges stand for.

    Raises:
        StudyError: as `average_range`.
    """
    if trials not in K1 or parts not in K or (appraisers > 1 and appraisers not in K):
        raise StudyError(
            f"{parts} parts, {appraisers} appraisers and {trials} trials are more than the average and range method "
            f"has constants for ({max(K)}, {max(K)} and {max(K1)}); use --method anova"
        )
    ev = ranges.repeatability * K1[trials]
    square = (ranges.appraisers * K[appraisers]) ** 2 - ev * ev / (parts * trials) if appraisers > 1 else 0.0
    return variation(ev, math.sqrt(max(square, 0.0)), 0.0, ranges.parts * K[parts])
