"""Are the modules where they are said to be? The pattern of a module's cell voltages is its fingerprint."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

CLIP_SIGMAS = 3.0
"""Beyond this a difference counts no more: a wrong value weighs the same in either slot, and decides nothing."""


class Match(StrEnum):
    """What the voltages say of the slots."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    NOT_DISTINGUISHABLE = "not distinguishable"


class Fingerprint(NamedTuple):
    """`slots`: the two, from 1, that look most as if exchanged; `log_ratio`: how much more likely that is, natural
    logarithm."""

    match: Match
    slots: tuple[int, int]
    log_ratio: float


def compare_modules(incoming_v: F64, measured_v: F64, noise_v: float, odds: float) -> Fingerprint:
    """Compare the cells of a pack with those of its modules as they came in.

    From every module, incoming and measured, its median is subtracted: modules discharge each at its own mean rate,
    and converters differ. For each two slots follows the log-likelihood ratio of "these two were exchanged" against
    "as recorded", with independent Gaussian differences of `noise_v`, each clipped at CLIP_SIGMAS. Contradicted if
    any ratio exceeds `odds`; confirmed if every one is below 1/`odds`.

    Args:
        incoming_v: (modules, cells) volts by recorded slot, at least two modules.
        measured_v: (modules, cells) volts now; a cell without value is NaN and skipped.
        noise_v: standard deviation of measured less incoming, within a module.
        odds: greater than 1.

    Source: Neyman and Pearson, likelihood ratio of two simple hypotheses, 1933; truncated quadratic loss, Huber,
    "Robust Statistics", 1981.
    """
    as_recorded, seen = _pattern(incoming_v), _pattern(measured_v)
    sigmas = np.minimum(np.abs(seen[:, None, :] - as_recorded[None, :, :]) / noise_v, CLIP_SIGMAS)
    penalty = 0.5 * np.nansum(sigmas**2, axis=2)
    own = np.diag(penalty)
    log_ratio = own[:, None] + own[None, :] - penalty - penalty.T
    first, second = np.triu_indices(len(own), 1)
    ratios = log_ratio[first, second]
    worst = int(np.argmax(ratios))
    return Fingerprint(
        _match(float(ratios[worst]), math.log(odds)),
        (int(first[worst]) + 1, int(second[worst]) + 1),
        float(ratios[worst]),
    )


def _pattern(voltage_v: F64) -> F64:
    """Each module's cells against its own median; a module without any value stays without."""
    known = ~np.isnan(voltage_v)
    medians = [np.median(cells[valid]) if valid.any() else 0.0 for cells, valid in zip(voltage_v, known, strict=True)]
    pattern: F64 = voltage_v - np.array(medians)[:, None]
    return pattern


def _match(worst: float, decided: float) -> Match:
    """By the largest of all ratios."""
    if worst > decided:
        return Match.CONTRADICTED
    return Match.CONFIRMED if worst < -decided else Match.NOT_DISTINGUISHABLE
