"""Firmware of the dielectric withstand tester, a Chroma 19052."""

from __future__ import annotations

from firmware_stubs.ports import SerialPort
from firmware_stubs.safety_tester import SafetyTesterStub
from firmware_stubs.tester_output import TestedPlant

IDENTITY = "Chroma,19052,190520001834,4.11"


class WithstandTesterStub(SafetyTesterStub):
    """One withstand tester on a serial line; build it inside a running loop."""

    def __init__(self, port: SerialPort, plant: TestedPlant, seed: int) -> None:
        super().__init__(port, plant, seed, name="withstand_tester", identity=IDENTITY)
