"""The physics of a pack that is being built: modules, bolts, joints, leaks, and what gets damaged."""

from firmware_stubs.assembly.build import PackUnderConstruction
from firmware_stubs.assembly.condition import AssemblyCondition
from firmware_stubs.assembly.drawing import Drawing
from firmware_stubs.assembly.hands import Hands
from firmware_stubs.assembly.harnessed import HarnessedPlant
from firmware_stubs.assembly.leaks import Volumes
from firmware_stubs.assembly.ledger import AssemblyRule, Damage
from firmware_stubs.assembly.module import SPARES, Lot, Module, lot_of, others_of
from firmware_stubs.assembly.probes import Frame, Probes
from firmware_stubs.assembly.proved import ProvedPlant

__all__ = [
    "SPARES",
    "AssemblyCondition",
    "AssemblyRule",
    "Damage",
    "Drawing",
    "Frame",
    "Hands",
    "HarnessedPlant",
    "Lot",
    "Module",
    "PackUnderConstruction",
    "Probes",
    "ProvedPlant",
    "Volumes",
    "lot_of",
    "others_of",
]
