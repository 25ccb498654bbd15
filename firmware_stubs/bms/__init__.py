"""Firmware of a battery management system."""

from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.bms.unit import BmsStub, BmsVariant, demo_key

__all__ = ["BmsCondition", "BmsStub", "BmsVariant", "demo_key"]
