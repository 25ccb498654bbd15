"""The physics of a pack on a station: voltages, contactors, cells, and what gets damaged."""

from firmware_stubs.plant.circuit import Element
from firmware_stubs.plant.ledger import Damage, DamageRule
from firmware_stubs.plant.network import Node
from firmware_stubs.plant.pack import Plant, PlantCondition

__all__ = ["Damage", "DamageRule", "Element", "Node", "Plant", "PlantCondition"]
