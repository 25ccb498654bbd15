"""The verdict on a record of both poles, early or on the whole of it, and the figures it rests on."""

from __future__ import annotations

from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.insulation import early, hum, shares
from bmsctl.analysis.insulation.blocks import F64, I64, Blocks, Grid
from bmsctl.analysis.insulation.model import GN, GP, LN_K, PARAMETERS, Hum, model

FIRST_LOOK_S = 0.04
"""Two periods of 50 Hz mains: a shorter record does not tell its hum from a slope."""
LOOK_RATIO = 1.19
U95 = NormalDist().inv_cdf(0.975)
INSTRUMENT_U95 = 2e-3
"""Of a conductance with its voltmeter: test resistor and voltmeters known to 0.1 % each."""
VAGUE = 0.05
"""Of the limit: a bound that far from the value says the record is too short, not that the pack is bad."""
BLOCKS_MIN = 2 * PARAMETERS
SIDES = 0.02
"""Of the pack voltage: how far outside the poles noise and hum may put the chassis."""


class Verdict(StrEnum):
    """UNDECIDED: measured, but not well enough. INVALID: nothing was measured."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    INVALID = "INVALID"


class Circuit(NamedTuple):
    """What the station put to the pack, and the smallest resistance of a good one, ohms each."""

    test_ohm: float
    meter_ohm: float
    limit_ohm: float


class Risks(NamedTuple):
    """How often, at most, all looks together accept a bad pack and reject a good one."""

    false_accept: float = 1e-6
    false_reject: float = 1e-4


RISKS = Risks()


class Side(NamedTuple):
    """A conductance or capacitance and half the width of its interval of 95 %, siemens or farads."""

    value: float
    u95: float


class Fitted(NamedTuple):
    """What a judgement saw, of each block used: share of the voltage at the minus pole, the circuit's, its noise."""

    share: F64
    circuit: F64
    noise: float


class Judgement(NamedTuple):
    """A verdict on the side with the smaller resistance.

    `provisional`: a FAIL that the rest of the record, settled, has yet to confirm. `decided_at_s`: seconds of record
    that it rests on, NaN if it is no verdict. `chi2`: scatter about the circuit over noise, NaN without a circuit.
    `plus`, `minus`: conductances to chassis without the voltmeters', siemens; `y`: capacitance to chassis, farads;
    None without a circuit. `reason` says why, in words.
    """

    verdict: Verdict
    reason: str
    provisional: bool = False
    decided_at_s: float = np.nan
    chi2: float = np.nan
    plus: Side | None = None
    minus: Side | None = None
    y: Side | None = None
    fitted: Fitted | None = None

    @property
    def r100_ohm(self) -> float:
        """The smaller resistance of both sides, as UN R100 defines it; NaN if none can be told."""
        return _ohm(max(self.plus.value, self.minus.value)) if self.plus and self.minus else np.nan

    @property
    def parallel_ohm(self) -> float:
        """Both sides in parallel, as older editions of ISO 6469-1 define it; NaN if none can be told."""
        return _ohm(self.plus.value + self.minus.value) if self.plus and self.minus else np.nan


def looks_of(grid: Grid, settled: bool = False) -> I64:
    """(K,) numbers of blocks to look at, the last of them all; settled: only all."""
    end_s = grid.end_s
    times_s = []
    time_s = FIRST_LOOK_S
    while not settled and time_s < end_s[-1]:
        times_s.append(time_s)
        time_s *= LOOK_RATIO
    looks = np.append(np.searchsorted(end_s, np.array(times_s) + 0.5 * grid.sample_s, "right"), len(end_s))
    return np.unique(looks[looks >= BLOCKS_MIN])


def judge(blocks: Blocks, grid: Grid, circuit: Circuit, *, settled: bool = False, risks: Risks = RISKS) -> Judgement:
    """Judge a record.

    Early, an acceptance is final and a rejection provisional. A record that ends undecided is judged whole, as it is
    with `settled`: on the bound of the interval, which is widened by the tolerance of resistor and voltmeters.

    Args:
        blocks: (blocks,) means of the record.
        grid: where they lie.
        circuit: what was put to the pack, and the limit.
        settled: do not decide before the end of the record.
        risks: of the early verdict.
    """
    flaw = _flaw(blocks, grid)
    if flaw:
        return Judgement(Verdict.INVALID, flaw)
    looks = looks_of(grid, settled)
    meter, limit = circuit.test_ohm / circuit.meter_ohm, circuit.test_ohm / circuit.limit_ohm
    z_accept, z_reject = (-NormalDist().inv_cdf(risk / (2 * len(looks))) for risk in risks)
    if settled:
        z_accept = z_reject = np.inf
    theta, covariance = np.empty(PARAMETERS), np.empty((PARAMETERS, PARAMETERS))
    figures = np.empty(early.FIGURES)
    early.decide(blocks, grid, grid.centre_s, meter, limit, looks, z_accept, z_reject, theta, covariance, figures)
    if np.isnan(theta[GP]):
        return Judgement(Verdict.UNDECIDED, "no circuit of two resistors and a capacitor follows the voltages")
    found = _told(theta, covariance, figures, grid, circuit, blocks)
    at_s = f"{found.decided_at_s:.3f} s"
    if figures[early.VERDICT] == early.ACCEPTED:
        return found._replace(verdict=Verdict.PASS, reason=f"both sides are above the limit for sure after {at_s}")
    if figures[early.VERDICT] == early.REJECTED:
        why = f"one side is below the limit after {at_s}; confirm it by the settled voltages"
        return found._replace(verdict=Verdict.FAIL, reason=why, provisional=True)
    return _on_the_bound(found, figures[early.SCATTER], circuit)


def _flaw(blocks: Blocks, grid: Grid) -> str:
    """Why nothing was measured; empty if something was."""
    if len(grid.start) < BLOCKS_MIN:
        return (
            f"the record is too short: {len(grid.start)} ms of it are usable; record {FIRST_LOOK_S * 1e3:g} ms or more"
        )
    if not (np.isfinite(blocks.sum_v).all() and np.isfinite(blocks.difference_v).all()):
        return "a voltage is missing: the record holds values that are no numbers; measure again"
    seen = np.unique(grid.segments.state[np.diff(grid.segments.first) > 0])
    if len(seen) < 2:
        return "the test resistor stays in one place; record at least two of: nowhere, at minus, at plus"
    share = 0.5 + 0.5 * blocks.difference_v / blocks.sum_v
    if not (blocks.sum_v > 0.0).all() or not (np.abs(share - 0.5) < 0.5 + SIDES).all():
        return "the poles do not lie on both sides of the chassis; check the voltmeters' wires"
    return ""


def _told(theta: F64, covariance: F64, figures: F64, grid: Grid, circuit: Circuit, blocks: Blocks) -> Judgement:
    """The figures of a fit, as yet without a verdict."""
    test_s, meter_s = 1.0 / circuit.test_ohm, 1.0 / circuit.meter_ohm
    count, chi2 = int(figures[early.BLOCKS]), float(figures[early.CHI2])
    sd = U95 * np.sqrt(np.maximum(1.0, chi2) * np.diag(covariance))

    def side(place: int) -> Side:
        siemens = float(theta[place]) * test_s
        return Side(siemens, float(np.hypot(sd[place] * test_s, INSTRUMENT_U95 * (abs(siemens) + meter_s))))

    farad = test_s / float(np.exp(theta[LN_K]))
    y = Side(farad, farad * float(np.hypot(sd[LN_K], INSTRUMENT_U95)))
    seen = _seen(theta, figures, grid, circuit, blocks)
    end_s = float(grid.end_s[count - 1])
    return Judgement(Verdict.UNDECIDED, "", False, end_s, chi2, side(GP), side(GN), y, seen)


def _seen(theta: F64, figures: F64, grid: Grid, circuit: Circuit, blocks: Blocks) -> Fitted:
    """Data and circuit of the blocks used."""
    count = int(figures[early.BLOCKS])
    share, out, by = np.empty(count), np.empty(count), np.empty((PARAMETERS, count))
    mains = Hum(np.empty(count), np.empty(count), np.empty(count))
    shares.shares(blocks, grid.size, grid.centre_s, count, share)
    hum.phases(figures[early.HERTZ], grid.centre_s, count, mains)
    model(theta, circuit.test_ohm / circuit.meter_ohm, grid, mains, count, out, by)
    return Fitted(share, out, float(figures[early.SIGMA]))


def _on_the_bound(found: Judgement, scatter: float, circuit: Circuit) -> Judgement:
    """Judge the whole record."""
    assert found.plus is not None
    assert found.minus is not None
    if not scatter <= early.CHI2_MAX:
        return found._replace(reason="the pack voltage is not steady; let nothing switch while it is recorded")
    if not found.chi2 <= early.CHI2_MAX:
        why = f"something else than resistors and a capacitor moves the poles (chi2 {found.chi2:.1f}); measure again"
        return found._replace(reason=why)
    limit_s = 1.0 / circuit.limit_ohm
    if min(side.value + side.u95 for side in (found.plus, found.minus)) < -early.NEGATIVE_MAX * limit_s:
        why = "a side's conductance is negative; check r0_ohm, r_meter_ohm and the voltmeters"
        return found._replace(verdict=Verdict.INVALID, reason=why)
    worst = max(found.plus, found.minus)
    least, most = worst.value - worst.u95, max(side.value + side.u95 for side in (found.plus, found.minus))
    if most <= limit_s:
        return found._replace(verdict=Verdict.PASS, reason="both sides are above the limit by their uncertainty")
    if least > limit_s:
        return found._replace(verdict=Verdict.FAIL, reason="one side is below the limit")
    if worst.u95 > VAGUE * limit_s:
        return found._replace(reason="the record is too short to tell; record longer")
    return found._replace(verdict=Verdict.FAIL, reason="one side is not above the limit by its uncertainty")


def _ohm(siemens: float) -> float:
    return 1.0 / siemens if siemens > 0.0 else np.nan
