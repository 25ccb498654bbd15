"""Firmware of an AmpR Small battery management system."""

from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.bms.unit import BmsStub, demo_key

__all__ = ["BmsCondition", "BmsStub", "demo_key"]
