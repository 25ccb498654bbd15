"""Where the station's meters lie on the pack under construction, and what is there: the targets of their stubs."""

from __future__ import annotations

import asyncio
import enum
import math

from firmware_stubs.assembly.build import PackUnderConstruction
from firmware_stubs.assembly.insulated import InsulatedParts
from firmware_stubs.assembly.module import FARAD, Module
from firmware_stubs.population import F64

HVIL_OHM = 1.0
"""Six contacts and 4 m of wire."""


class Frame(enum.Enum):
    """Where the contact frame of battery tester and insulation tester lies."""

    OFF = enum.auto()
    TABLE = enum.auto()
    SLOT = enum.auto()
    STACK = enum.auto()


class Probes:
    """Contact frame, ohmmeter tips and temperature probe; implements the targets of battery tester and ohmmeter.

    `table`: the module on the test table. `lifted`: the frame's contacts to the battery tester touch nothing, wherever
    it lies. `insulated`: what the insulation tester is connected to.
    """

    def __init__(self, build: PackUnderConstruction, joint_ohm: F64, air_c: float, *, hvil_open: bool) -> None:
        """`joint_ohm`: (joints,)."""
        self._build = build
        self._loop = asyncio.get_running_loop()
        self._joint_ohm = joint_ohm.tolist()
        self._air_c = air_c
        self._hvil_open = hvil_open
        self._frame, self._slot = Frame.OFF, 0
        self._joint: int | None = None
        self.table: Module | None = None
        self.lifted = False
        self.insulated = InsulatedParts(build.look)
        build.test_voltage = self.insulated.stress_v

    def lay_frame(self, frame: Frame, slot: int = 0) -> None:
        """Put the frame somewhere else; `slot`: of Frame.SLOT."""
        self._frame, self._slot = frame, slot
        siemens = [1.0 / module.insulation_ohm for module in self._under_frame()]
        if siemens:
            self.insulated.connect(self._loop.time(), 1.0 / sum(siemens), FARAD * len(siemens))
        else:
            self.insulated.disconnect(self._loop.time())

    def put_tips(self, joint: str) -> None:
        """Both pairs of tips onto a joint.

        Raises:
            ValueError: the pack has no such joint.
        """
        joints = self._build.drawing.joints
        if joint not in joints:
            raise ValueError(f"joint {joint!r}: there are {', '.join(joints)}")
        self._joint = joints.index(joint)

    @property
    def bonding_points(self) -> int:
        """Channels that are wired: the tips, and the interlock loop."""
        return max(1, self._build.drawing.hvil_channel or 0)

    def bonding_ohm(self, point: int) -> float:
        """Resistance at a channel; infinite where nothing conducts."""
        if point == self._build.drawing.hvil_channel:
            return HVIL_OHM if self.hvil_closed else math.inf
        if self._joint is None or self._joint // 2 + 1 not in self._build.busbars:
            return math.inf
        return float(self._joint_ohm[self._joint])

    @property
    def hvil_closed(self) -> bool:
        """Whether the pack's part of the interlock loop is closed."""
        build = self._build
        return build.harness and build.mated.issuperset(build.drawing.connectors) and not self._hvil_open

    def temperature_c(self) -> float:
        """What the probe in the contact frame feels: the module that it lies on, or else the air."""
        modules = self._under_frame()
        return modules[0].temperature_c if modules else self._air_c

    def terminal(self) -> tuple[float, float] | None:
        """Signed volts and ohms between the frame's contacts; None: no contact."""
        modules, build = self._under_frame(), self._build
        if self.lifted or not modules:
            return None
        if self._frame is not Frame.STACK:
            sign = -1.0 if self._frame is Frame.SLOT and self._slot in build.reversed else 1.0
            return sign * modules[0].ocv_v, modules[0].resistance_ohm
        volts = sum((-1.0 if slot in build.reversed else 1.0) * module.ocv_v for slot, module in build.modules.items())
        between = 2 * (build.drawing.modules - 1)
        return volts, sum(module.resistance_ohm for module in modules) + sum(self._joint_ohm[:between])

    def _under_frame(self) -> list[Module]:
        """The modules between the frame's contacts, in series; empty if they do not make a whole."""
        build = self._build
        if self._frame is Frame.TABLE:
            return [] if self.table is None else [self.table]
        if self._frame is Frame.SLOT:
            return [build.modules[self._slot]] if self._slot in build.modules else []
        whole = len(build.modules) == build.drawing.modules
        joined = build.busbars.issuperset(range(1, build.drawing.modules))
        return list(build.modules.values()) if self._frame is Frame.STACK and whole and joined else []
