"""What can be wrong with the parts of a pack, and with how they are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class AssemblyCondition:
    """What is wrong; the default is nothing. Slots are those of modules, from 1.

    wrong_part: slots whose module is one of another pack type. cloned_label: slots whose module bears the label of
    another module of the pack. turned: slots whose module is put in the wrong way round. bolt_torque: by bolt, what
    the tool reaches at most, and at once, in newtonmetres. housing_leak, coolant_leak: in cm3/min, instead of what was
    drawn.
    """

    wrong_part: frozenset[int] = frozenset()
    cloned_label: frozenset[int] = frozenset()
    turned: frozenset[int] = frozenset()
    bolt_torque: Mapping[str, float] = field(default_factory=dict)
    housing_leak: float | None = None
    coolant_leak: float | None = None
