"""Which modules become one pack: of one lot if there are enough, the oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bmsctl.domain.ports import ModuleData
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
