"""The analysis of variance of a crossed study: parts and appraisers as random effects, with their interaction.

An interaction that an F test does not show at alpha = 0.25 is pooled with repeatability.

Source: AIAG MSA, 4th edition, chapter III section B and appendix A. Reference: tests/reference/grr.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bmsctl.analysis.grr.f_test import f_probability
from bmsctl.analysis.grr.study import Study
from bmsctl.analysis.grr.variation import Variation, variation

POOLING_ALPHA = 0.25


class Source(NamedTuple):
    """A line of the table: sum of squares and degrees of freedom."""

    square: float
    df: int

    @property
    def mean(self) -> float:
        return self.square / self.df if self.df else 0.0


class Table(NamedTuple):
    """Where the variation comes from; `interaction_p`: chance of such an interaction if there is none, 1 without."""

    appraisers: Source
    parts: Source
    interaction: Source
    equipment: Source
    interaction_p: float


def anova(study: Study) -> Variation:
    """Evaluate a study by the analysis of variance.

    One appraiser, or an automatic station, has neither reproducibility nor interaction. Components that come out
    negative are 0.
    """
    table = anova_table(study)
    parts, appraisers, trials = study.values.shape
    interaction, equipment = table.interaction, table.equipment
    pooled = table.interaction_p > POOLING_ALPHA
    if pooled:
        equipment = Source(interaction.square + equipment.square, interaction.df + equipment.df)
    beside = equipment.mean if pooled else interaction.mean
    return variation(
        math.sqrt(equipment.mean),
        _root((table.appraisers.mean - beside) / (parts * trials)) if appraisers > 1 else 0.0,
        0.0 if pooled else _root((interaction.mean - equipment.mean) / trials),
        _root((table.parts.mean - beside) / (appraisers * trials)),
    )


def anova_table(study: Study) -> Table:
    """Sums of squares about the means of parts, appraisers and both."""
    parts, appraisers, trials = study.values.shape
    values = study.values - study.values[0, 0, 0]
    grand = values.mean()
    of_cells, of_parts, of_appraisers = values.mean(axis=2), values.mean(axis=(1, 2)), values.mean(axis=(0, 2))
    crossed = of_cells - of_parts[:, None] - of_appraisers[None, :] + grand
    interaction = Source(trials * float((crossed**2).sum()), (parts - 1) * (appraisers - 1))
    equipment = Source(float(((values - of_cells[:, :, None]) ** 2).sum()), parts * appraisers * (trials - 1))
    return Table(
        Source(parts * trials * float(((of_appraisers - grand) ** 2).sum()), appraisers - 1),
        Source(appraisers * trials * float(((of_parts - grand) ** 2).sum()), parts - 1),
        interaction,
        equipment,
        _probability(interaction, equipment),
    )


def _probability(interaction: Source, equipment: Source) -> float:
    if interaction.square == 0.0:
        return 1.0
    if equipment.square == 0.0:
        return 0.0
    return f_probability(interaction.mean / equipment.mean, interaction.df, equipment.df)


def _root(variance: float) -> float:
    return math.sqrt(max(variance, 0.0))
