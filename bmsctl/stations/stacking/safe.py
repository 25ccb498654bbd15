"""The safety action of the stacking station: no test voltage, no tool, no pressure; below 60 V, and proved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.lease import LeaseBook
from bmsctl.stations.safe import SafeReport, done_within
from bmsctl.stations.stacking.devices import Devices
from bmsctl.stations.stacking.permit import PROVED_WITHIN_S, voltage_free

PROOF_DEADLINE_S = PROVED_WITHIN_S + 0.1
TOOL_DEADLINE_S = 6.0
"""A tightening that is under way ends first."""
LEASE_FRESH_S = 1.0


class StackingSafe:
    """Makes one stacking station safe; implements SafetyAction."""

    def __init__(self, devices: Devices, leases: LeaseBook, now: Callable[[], float]) -> None:
        self._devices = devices
        self._leases = leases
        self._now = now

    def ask_off(self) -> None:
        """No permissive, no test voltage, tool disabled, volumes vented. Never waits, never raises."""
        self._devices.plc.drop_permit()
        self._devices.insulation_tester.off()
        self._devices.nutrunner.off()
        self._devices.leak_tester.off()

    async def run(self) -> SafeReport:
        """The PLC's proof and the tool's answer, then the pack's supply off.

        `ask_off` has been called; all leases of the run are revoked.
        """
        started_s = self._now()
        failures: list[str] = []
        try:
            proved, _ = await asyncio.gather(
                done_within(PROOF_DEADLINE_S, "plc", self._proof(), failures),
                done_within(TOOL_DEADLINE_S, "nutrunner", self._disable(), failures),
            )
        finally:
            self._devices.plc.supply_off()
            self._devices.lv_supply.off()
        return SafeReport(bool(proved), started_s, failures=tuple(failures))

    async def _proof(self) -> bool:
        await voltage_free(self._devices.plc, self._now)
        return True

    async def _disable(self) -> None:
        await self._devices.nutrunner.disable(self._leases.grant("nutrunner", LEASE_FRESH_S))
