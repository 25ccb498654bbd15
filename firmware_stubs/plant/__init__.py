"""The physics of a pack on a station: voltages, contactors, cells, and what gets damaged."""

from firmware_stubs.plant.circuit import Element
from firmware_stubs.plant.condition import PlantCondition
from firmware_stubs.plant.ledger import Damage, DamageRule
from firmware_stubs.plant.network import Node
from firmware_stubs.plant.pack import Incoming, Plant

__all__ = ["Damage", "DamageRule", "Element", "Incoming", "Node", "Plant", "PlantCondition"]
