"""Which modules become one pack: of one lot if there are enough, the oldest first, or the oldest with what fits it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from bmsctl.analysis.matching.closest import closest_set
from bmsctl.domain.ports import ModuleData
from bmsctl.domain.units import Volt
from bmsctl.errors import Refused


class OldestFirst:
    """Modules of one part number and one lot, that with the oldest module; of several lots only if no lot has enough.

    Implements ModuleSelector.
    """

    def select(self, buffer: Sequence[ModuleData], count: int) -> Sequence[ModuleData]:
        """The oldest `count` modules of a lot, or of a part number, that has so many.

        Raises:
            Refused: no part number has.
        """
        oldest_first = sorted(buffer, key=lambda module: -module.age)
        of_lot = Counter((module.part_number, module.lot) for module in buffer)
        of_part = Counter(module.part_number for module in buffer)
        for first in oldest_first:
            if of_lot[first.part_number, first.lot] >= count:
                kind = first.part_number, first.lot
                return [module for module in oldest_first if (module.part_number, module.lot) == kind][:count]
        for first in oldest_first:
            if of_part[first.part_number] >= count:
                return [module for module in oldest_first if module.part_number == first.part_number][:count]
        most = max(of_part.values(), default=0)
        raise Refused(f"{count} modules of one part number are needed, the buffer has {most}: bring more modules")


class ClosestVoltages:
    """Modules whose cells, as they came in, differ least, with the oldest module that finds such company in the buffer.

    Implements ModuleSelector. Lots and part numbers are kept apart as `OldestFirst` keeps them.
    """

    def __init__(self, window: Volt) -> None:
        """`window`: by how much the cell voltages of a pack may differ."""
        self._window = window

    def select(self, buffer: Sequence[ModuleData], count: int) -> Sequence[ModuleData]:
        """`count` modules within the window, the oldest first.

        A module without cell voltages is not taken.

        Raises:
            Refused: no part number has so many, or none has so many within the window.
        """
        known = [module for module in buffer if _known(module)]
        oldest_first = sorted(known, key=lambda module: -module.age)
        least = math.inf
        for by_lot in (True, False):
            kinds = [(module.part_number, module.lot if by_lot else "") for module in oldest_first]
            for first, kind in zip(oldest_first, kinds, strict=True):
                alike = [module for module, other in zip(oldest_first, kinds, strict=True) if other == kind]
                if len(alike) < count:
                    continue
                places, between = _closest(alike, alike.index(first), count)
                if between <= self._window:
                    return [alike[place] for place in places]
                least = min(least, between)
            if math.isfinite(least):
                break
        if math.isfinite(least):
            raise Refused(
                f"no {count} modules have cell voltages within {self._window * 1e3:g} mV, the closest differ by "
                f"{least * 1e3:.1f} mV: bring more modules, or equalise these"
            )
        most = max(Counter(module.part_number for module in known).values(), default=0)
        raise Refused(
            f"{count} modules of one part number are needed, the buffer has {most} with cell voltages: bring more"
        )


def _known(module: ModuleData) -> bool:
    return bool(module.cell_voltage_v) and all(map(math.isfinite, module.cell_voltage_v))


def _closest(modules: Sequence[ModuleData], one: int, count: int) -> tuple[Sequence[int], float]:
    lowest, highest = ([edge(module.cell_voltage_v) for module in modules] for edge in (min, max))
    places, between = closest_set(lowest, highest, one, count)
    return places.tolist(), between
