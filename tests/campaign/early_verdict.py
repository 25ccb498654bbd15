"""Early insulation verdicts of simulated packs under every disturbance: no bad pack accepted, and soon decided.

`python -m tests.campaign.early_verdict 100000 1` runs so many bad packs, at 0.90 to 0.98 of the limit, from a seed,
spread over the disturbances, a tenth as many good ones at 1.10, and as many of all kinds; it prints a table.

The table counts what the early verdict did, and what the whole record then said of those it left undecided.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.insulation.blocks import block_grid, block_means
from bmsctl.analysis.insulation.judge import Circuit, Judgement, Verdict, judge
from tests.reference.insulation_plant import SPAN_V, Packs, recorded

F64 = NDArray[np.float64]

RATE_HZ = 10_000.0
VOLTS = 800.0
CIRCUIT = Circuit(test_ohm=400e3, meter_ohm=10e6, limit_ohm=400e3)
DWELL_S = np.repeat([0.02, 0.04, 0.08, 0.16, 0.32, 0.64], 2)
SWITCH_S = np.concatenate(([0.0], np.cumsum(DWELL_S)[:-1]))
STATE = np.tile([1, 2], len(DWELL_S) // 2)
SAMPLES = round(DWELL_S.sum() * RATE_HZ)
GRID = block_grid(SAMPLES, RATE_HZ, SWITCH_S, STATE)
BATCH = 200
SCALE_V = SPAN_V / 32768.0

Random = np.random.Generator
Change = Callable[[Random, int], dict[str, F64]]


def nothing(random: Random, n: int) -> dict[str, F64]:
    return {}


def hum_50(random: Random, n: int) -> dict[str, F64]:
    return {"hum_v": random.uniform(0.0, 1.0, n), "hum_hz": random.uniform(49.8, 50.2, n)}


def hum_60(random: Random, n: int) -> dict[str, F64]:
    return {"hum_v": random.uniform(0.0, 1.0, n), "hum_hz": random.uniform(59.9, 60.1, n)}


def lag(random: Random, n: int) -> dict[str, F64]:
    return {"lag_s": random.uniform(0.0, 500e-6, n)}


def late_contacts(random: Random, n: int) -> dict[str, F64]:
    return {"late_1_s": random.uniform(0.0, 500e-6, n), "late_2_s": random.uniform(0.0, 500e-6, n)}


def absorption(random: Random, n: int) -> dict[str, F64]:
    return {"slow_share": random.uniform(0.0, 0.03, n), "slow_s": 10.0 ** random.uniform(-3.0, 0.5, n)}


def tolerances(random: Random, n: int) -> dict[str, F64]:
    return {name: 1.0 + random.uniform(-1e-3, 1e-3, n) for name in ("r0_gain", "gain_pos", "gain_neg")}


def drift(random: Random, n: int) -> dict[str, F64]:
    return {"drift": random.uniform(-1e-4, 1e-4, n)}


def bits_12(random: Random, n: int) -> dict[str, F64]:
    return {"bits": np.full(n, 12.0)}


def quiet_12(random: Random, n: int) -> dict[str, F64]:
    """Twelve bits and a noise that does not move them."""
    return {"bits": np.full(n, 12.0), "noise_v": np.full(n, 0.01)}


def bits_16(random: Random, n: int) -> dict[str, F64]:
    return {"bits": np.full(n, 16.0), "noise_v": np.full(n, 0.005)}


def step(random: Random, n: int) -> dict[str, F64]:
    volts = random.choice([-1.0, 1.0], n) * 10.0 ** random.uniform(-1.0, 1.5, n)
    return {"step_v": volts, "step_s": _times(random, n)}


def loose_reading(random: Random, n: int) -> dict[str, F64]:
    lasts = 10.0 ** random.uniform(-3.5, -1.5, n)
    return {"open_s": _times(random, n), "open_for_s": lasts, "open_share": random.uniform(0.0, 1.0, n)}


def contact_bounce(random: Random, n: int) -> dict[str, F64]:
    return {"bounce_s": random.uniform(0.0, 3e-3, n)}


def all_at_once(random: Random, n: int) -> dict[str, F64]:
    found: dict[str, F64] = {}
    for change in (hum_50, lag, late_contacts, absorption, tolerances, drift):
        found |= change(random, n)
    return found | {"bits": random.choice([12.0, 16.0], n)}


def all_and_upset(random: Random, n: int) -> dict[str, F64]:
    found = all_at_once(random, n) | contact_bounce(random, n)
    return found | (step(random, n) if random.random() < 0.5 else loose_reading(random, n))


CASES: tuple[Change, ...] = (
    nothing,
    hum_50,
    hum_60,
    lag,
    late_contacts,
    absorption,
    tolerances,
    drift,
    bits_12,
    quiet_12,
    bits_16,
    step,
    loose_reading,
    contact_bounce,
    all_at_once,
    all_and_upset,
)


def _times(random: Random, n: int) -> F64:
    """When something happens: mostly while it can still spoil an early verdict."""
    return np.where(random.random(n) < 0.7, random.uniform(0.0, 0.12, n), random.uniform(0.0, 2.5, n))


def drawn(random: Random, n: int, plus_ohm: F64, minus_ohm: F64, change: Change) -> Packs:
    """Packs with these resistances, the poles at rest or anywhere in the beginning."""
    rest = (1.0 / plus_ohm) / (1.0 / plus_ohm + 1.0 / minus_ohm)
    values = {name: np.zeros(n) for name in Packs._fields} | {
        "plus_ohm": plus_ohm,
        "minus_ohm": minus_ohm,
        "farad": 0.1e-6 * 50.0 ** random.random(n),
        "volts": np.full(n, VOLTS),
        "start": np.where(random.random(n) < 0.5, rest, random.uniform(0.1, 0.9, n)),
        "noise_v": np.full(n, 0.05),
        "hum_hz": np.full(n, 50.0),
        "hum_phase": random.uniform(0.0, 2.0 * np.pi, n),
        "slow_s": np.ones(n),
        "late_1_s": random.uniform(0.0, 1e-4, n),
        "late_2_s": random.uniform(0.0, 1e-4, n),
        "r0_gain": np.ones(n),
        "gain_pos": np.ones(n),
        "gain_neg": np.ones(n),
        "bits": np.full(n, 16.0),
        "step_s": np.full(n, 1e9),
        "open_s": np.full(n, 1e9),
    }
    return Packs(**(values | change(random, n)))


def near(random: Random, n: int, low: float, high: float) -> tuple[F64, F64]:
    """Resistances of which the smaller is this share of the limit, at either side."""
    smaller = random.uniform(low, high, n)
    other = smaller * (100.0 / smaller) ** random.random(n)
    swap = random.random(n) < 0.5
    limit = CIRCUIT.limit_ohm
    return limit * np.where(swap, smaller, other), limit * np.where(swap, other, smaller)


def bad_ones(random: Random, n: int) -> tuple[F64, F64]:
    return near(random, n, 0.90, 0.98)


def good_ones(random: Random, n: int) -> tuple[F64, F64]:
    return near(random, n, 1.10, 1.10)


def anywhere(random: Random, n: int) -> tuple[F64, F64]:
    """Resistances log-uniform from a tenth to a hundred times the limit."""
    plus, minus = CIRCUIT.limit_ohm * 10.0 ** random.uniform(-1.0, 2.0, (2, n))
    return plus, minus


def judged(packs: Packs, seeds: NDArray[np.int64]) -> Iterator[Judgement]:
    pos, neg = (np.empty((len(seeds), SAMPLES), np.int16) for _ in range(2))
    recorded(packs, seeds, SWITCH_S, STATE, CIRCUIT.test_ohm, CIRCUIT.meter_ohm, RATE_HZ, pos, neg)
    for plus, minus in zip(pos, neg, strict=True):
        yield judge(block_means(plus, minus, SCALE_V, GRID), GRID, CIRCUIT)


def settling_s(packs: Packs) -> F64:
    """(packs,) five time constants without the resistor, and five with it."""
    free = 1.0 / packs.plus_ohm + 1.0 / packs.minus_ohm + 2.0 / CIRCUIT.meter_ohm
    both: F64 = 5.0 * packs.farad * (1.0 / free + 1.0 / (free + 1.0 / CIRCUIT.test_ohm))
    return both


def outcome(random: Random, n: int, plus_ohm: F64, minus_ohm: F64, change: Change) -> dict[str, Any]:
    """What came of so many packs: fractions of the settling time, and counts."""
    tally: dict[str, Any] = dict.fromkeys(("n", "early_accept", "accept", "early_reject", "reject", "undecided"), 0)
    tally["fraction"], tally["decided_s"] = [], []
    for begin in range(0, n, BATCH):
        part = slice(begin, begin + BATCH)
        count = len(plus_ohm[part])
        packs = drawn(random, count, plus_ohm[part], minus_ohm[part], change)
        bad = np.minimum(packs.plus_ohm, packs.minus_ohm) < CIRCUIT.limit_ohm
        seeds = random.integers(0, 2**31, count)
        for found, wanted_s, is_bad in zip(judged(packs, seeds), settling_s(packs), bad, strict=True):
            early = found.decided_at_s < GRID.end_s[-1]
            tally["n"] += 1
            tally["accept"] += found.verdict == Verdict.PASS and is_bad
            tally["early_accept"] += found.verdict == Verdict.PASS and is_bad and early
            tally["reject"] += found.verdict == Verdict.FAIL and not found.provisional and not is_bad
            tally["early_reject"] += found.verdict == Verdict.FAIL and found.provisional and not is_bad
            tally["undecided"] += found.verdict not in (Verdict.PASS, Verdict.FAIL)
            decided_s = found.decided_at_s if early and found.verdict != Verdict.UNDECIDED else np.inf
            tally["fraction"].append(decided_s / wanted_s)
            tally["decided_s"].append(decided_s)
    return tally


def main() -> int:
    bad, seed = (int(argument) for argument in sys.argv[1:3])
    share = -(-bad // len(CASES))
    line = "{:<16}{:<10}{:>8}{:>14}{:>8}{:>14}{:>9}{:>11}{:>10}{:>10}\n"
    sys.stdout.write(
        line.format(
            "disturbance",
            "packs",
            "n",
            "early accepts",
            "accepts",
            "early rejects",
            "rejects",
            "undecided",
            "median s",
            "fraction",
        )
    )
    wrong = 0
    for number, change in enumerate(CASES):
        for place, (name, population, n) in enumerate(
            (
                ("0.90-0.98", bad_ones, share),
                ("1.10", good_ones, -(-share // 10)),
                ("0.1-100", anywhere, -(-share // 10)),
            )
        ):
            random = np.random.default_rng((seed, number, place))
            plus_ohm, minus_ohm = population(random, n)
            tally = outcome(random, n, plus_ohm, minus_ohm, change)
            wrong += tally["accept"]
            counts = (tally[key] for key in ("n", "early_accept", "accept", "early_reject", "reject", "undecided"))
            medians = (f"{np.median(tally['decided_s']):.3f}", f"1/{1.0 / np.median(tally['fraction']):.1f}")
            sys.stdout.write(line.format(change.__name__, name, *counts, *medians))
            sys.stdout.flush()
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
