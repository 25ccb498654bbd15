"""What is still wrong with a pack once stacking has worked on it: a defect goes with the part that it belongs to.

A bolt that is tightened anew within its step is not replaced here: what keeps it from its torque is in the thread.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bmsctl.domain.parts import BMS, HARNESS, bolt_of, bolt_slot, busbar_of, busbar_slot, held_by, kind_of, module_slot
from bmsctl.domain.world import AsBuilt
from firmware_stubs.bms import BmsCondition
from firmware_stubs.defects import PackCondition


def remaining(condition: PackCondition, built: AsBuilt) -> PackCondition:
    """What was wrong with a pack at first, without what belonged to parts that have been replaced since.

    Cells go with their module; see `assembly.others_of`.
    """
    new = built.replaced
    plant, assembly, bms = condition.plant, condition.assembly, condition.bms
    if BMS in new:
        bms = BmsCondition()
    elif built.flashed:
        bms = replace(bms, software_version=None)
    remade = _joined_anew(new)
    return PackCondition(
        plant=replace(
            plant,
            joint_ohm={
                joint: ohm for joint, ohm in plant.joint_ohm.items() if busbar_slot(busbar_of(joint)) not in remade
            },
            sense_open=frozenset() if HARNESS in new else plant.sense_open,
        ),
        bms=bms,
        assembly=replace(
            assembly,
            wrong_part=_in_place(assembly.wrong_part, new),
            cloned_label=_in_place(assembly.cloned_label, new),
            turned=_in_place(assembly.turned, new),
            bolt_torque={bolt: torque for bolt, torque in assembly.bolt_torque.items() if bolt_slot(bolt) not in new},
        ),
    )


def _in_place(modules: frozenset[int], replaced: Collection[str]) -> frozenset[int]:
    return frozenset(number for number in modules if module_slot(number) not in replaced)


def _joined_anew(replaced: Collection[str]) -> set[str]:
    """Busbars that are others, or have been bolted down again."""
    bolts = {held_by(bolt_of(slot)) for slot in replaced if kind_of(slot) == "bolt"}
    return bolts.union(slot for slot in replaced if kind_of(slot) == "busbar")
