"""The safety action of the stacking station: no test voltage, no 12 V, no tool, no pressure; below 60 V, and proved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.lease import LeaseBook
from bmsctl.stations.safe import SafeReport, done_within
from bmsctl.stations.stacking.devices import Devices
from bmsctl.stations.voltage_free import PROVED_WITHIN_S, voltage_free

PROOF_DEADLINE_S = PROVED_WITHIN_S + 0.1
TOOL_DEADLINE_S = 2.0
"""A tightening that is under way ends by itself; none begins after the controller's answer."""
VENT_DEADLINE_S = 23.0
"""Longer than the tester itself is given to vent, so that it is told at what pressure it has stopped."""
LEASE_FRESH_S = 1.0


class StackingSafe:
    """Makes one stacking station safe; implements SafetyAction."""

    def __init__(self, devices: Devices, leases: LeaseBook, now: Callable[[], float]) -> None:
        self._devices = devices
        self._leases = leases
        self._now = now

    def ask_off(self) -> None:
        """No permissive, no test voltage, tool disabled, volumes vented, pack's supply off. Never waits, never raises.

        A BMS that is being written is then without software, and written anew in the next attempt.
        """
        self._devices.plc.drop_permit()
        self._devices.insulation_tester.off()
        self._devices.nutrunner.off()
        self._devices.leak_tester.off()
        self._devices.plc.supply_off()
        self._devices.lv_supply.off()

    async def run(self) -> SafeReport:
        """At the same time: the PLC's proof, the tool disabled, and the volumes vented, each by its device's answer.

        `ask_off` has been called; all leases of the run are revoked.
        """
        started_s = self._now()
        failures: list[str] = []
        proved, _, _ = await asyncio.gather(
            done_within(PROOF_DEADLINE_S, "plc", self._proof(), failures),
            done_within(TOOL_DEADLINE_S, "nutrunner", self._tool_disabled(), failures),
            done_within(VENT_DEADLINE_S, "leak_tester", self._vented(), failures),
        )
        return SafeReport(bool(proved), started_s, failures=tuple(failures))

    async def _proof(self) -> bool:
        await voltage_free(self._devices.plc, self._now, PROVED_WITHIN_S)
        return True

    async def _tool_disabled(self) -> None:
        await self._devices.nutrunner.disable(self._leases.grant("nutrunner", LEASE_FRESH_S))

    async def _vented(self) -> None:
        await self._devices.leak_tester.vented(self._leases.grant("leak_tester", LEASE_FRESH_S))
