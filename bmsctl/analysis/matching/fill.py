"""As many packs as can be found: one after the other, the hardest modules first; then some are opened to make more."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel
from bmsctl.analysis.matching.choice import choose_pack, companions_of, nearest_of
from bmsctl.analysis.matching.draws import BITS, draw
from bmsctl.analysis.matching.modules import F64, I64
from bmsctl.analysis.matching.windows import beside

OPENED = 3
"""Packs that are opened at once, at most."""


@kernel
def fill(
    capacity: F64,
    dcir: F64,
    ease: F64,
    order: I64,
    group: int,
    windows: tuple[float, float],
    keep: tuple[float, float],
    scale: tuple[float, float],
    most: int,
    pack: I64,
) -> int:
    """Make packs around the modules in `order`, of the `most` candidates nearest to each.

    `pack` (n,) is -1 for modules without, and gets the number of each one's pack.

    Returns:
        How many packs there are.
    """
    made, chosen, found = 0, np.empty(group, np.int64), np.empty(len(pack), np.int64)
    for one in order:
        if pack[one] >= 0:
            continue
        count = companions_of(capacity, dcir, pack, one, keep, found)
        if count < group:
            continue
        count = nearest_of(capacity, dcir, found, count, one, scale, most)
        if choose_pack(capacity, dcir, ease, found[:count], one, windows, keep, chosen):
            for module in chosen:
                pack[module] = made
            made += 1
    return made


@kernel
def refill(
    capacity: F64,
    dcir: F64,
    companions: I64,
    group: int,
    windows: tuple[float, float],
    keep: tuple[float, float],
    rounds: int,
    target: int,
    most: int,
    pack: I64,
    made: int,
    state: int,
) -> int:
    """Open packs around a module that has none, and make as many again, or one more, in another order.

    Args:
        companions: (n,) with how many others each module can be.
        target: packs at which to end; else after `rounds`.
        most: modules without pack that take part in a round.
        pack: as `fill` left it; changed in place.
        made: how many packs there are; there may be up to n / `group`.
        state: of the generator.

    Returns:
        How many packs there are.
    """
    count = len(pack)
    without, found, opened = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(OPENED, np.int64)
    ease, before = np.empty(count), np.empty_like(pack)
    for _ in range(rounds):
        waiting = 0
        for module in range(count):
            if pack[module] < 0 and companions[module] >= group - 1:
                without[waiting] = module
                waiting += 1
        if made >= target or waiting == 0:
            break
        state = draw(state)
        one = without[(state * waiting) >> BITS]
        state, packs = open_some(capacity, dcir, pack, one, keep, opened, state)
        local = around(capacity, dcir, pack, companions, group, one, keep, opened[:packs], most, found)
        for module in found[:local]:
            state = draw(state)
            ease[module] = companions[module] * (1.0 + state / float(1 << BITS))
        before[:] = pack
        for module in found[:local]:
            pack[module] = -1
        again = fill_local(capacity, dcir, ease, found[:local], group, windows, keep, opened[:packs], made, pack)
        if again < packs:
            pack[:] = before
        else:
            made += again - packs
    return made


@kernel
def open_some(
    capacity: F64, dcir: F64, pack: I64, one: int, keep: tuple[float, float], opened: I64, state: int
) -> tuple[int, int]:
    """Write into `opened` some of the packs that have a module which can be with `one`, each as likely as the others;
    the generator's state, and how many."""
    state = draw(state)
    most, seen, kept = 1 + ((state * len(opened)) >> BITS), 0, 0
    met = np.zeros(len(pack), np.bool_)
    for module in range(len(pack)):
        if pack[module] < 0 or met[pack[module]]:
            continue
        if beside(capacity, one, module, keep[0]) and beside(dcir, one, module, keep[1]):
            met[pack[module]] = True
            seen += 1
            if kept < most:
                opened[kept] = pack[module]
                kept += 1
            else:
                state = draw(state)
                at = (state * seen) >> BITS
                if at < most:
                    opened[at] = pack[module]
    return state, kept


@kernel
def around(
    capacity: F64,
    dcir: F64,
    pack: I64,
    companions: I64,
    group: int,
    one: int,
    keep: tuple[float, float],
    opened: I64,
    most: int,
    found: I64,
) -> int:
    """Write into `found`, ascending, the modules of the opened packs and up to `most` without pack that can be within
    two windows of `one`; how many."""
    wide, local, free = (keep[0] * keep[0], keep[1] * keep[1]), 0, 0
    for module in range(len(pack)):
        takes_part = module == one
        near = beside(capacity, one, module, wide[0]) and beside(dcir, one, module, wide[1])
        if pack[module] >= 0:
            for number in opened:
                takes_part = takes_part or pack[module] == number
        elif near and free < most and companions[module] >= group - 1:
            takes_part = True
            free += 1
        if takes_part:
            found[local] = module
            local += 1
    return local


@kernel
def fill_local(
    capacity: F64,
    dcir: F64,
    ease: F64,
    local: I64,
    group: int,
    windows: tuple[float, float],
    keep: tuple[float, float],
    numbers: I64,
    made: int,
    pack: I64,
) -> int:
    """Make packs of the `local` modules, those with the least ease first, until there is one more than `numbers`.

    They are numbered as `numbers`, the one more as `made`. How many there are.
    """
    again, chosen, candidates = 0, np.empty(group, np.int64), np.empty_like(local)
    for one in local[np.argsort(ease[local])]:
        if pack[one] >= 0:
            continue
        count = 0
        for module in local:
            if pack[module] < 0 and beside(capacity, one, module, keep[0]) and beside(dcir, one, module, keep[1]):
                candidates[count] = module
                count += 1
        if count >= group and choose_pack(capacity, dcir, ease, candidates[:count], one, windows, keep, chosen):
            for module in chosen:
                pack[module] = numbers[again] if again < len(numbers) else made
            again += 1
            if again > len(numbers):
                break
    return again
