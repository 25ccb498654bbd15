"""The safety action of the end-of-line station: below 60 V, and proved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import PlcVoltages, Route
from bmsctl.domain.units import Second
from bmsctl.stations.eol.devices import Devices
from bmsctl.stations.safe import SafeReport, done_within
from bmsctl.stations.voltage_free import PROVED_WITHIN_S, STATUS_PERIOD_S, voltage_free

CURRENT_GONE_A = 2.0
CURRENT_DEADLINE_S = 0.1
CURRENT_PERIOD_S = 0.002
RELAYS_DEADLINE_S = 0.3
DISCHARGE_DEADLINE_S = PROVED_WITHIN_S + 0.1
PROOF_DEADLINE_S = 0.6
ROUTES_DEADLINE_S = 0.3
PROOF_SAMPLES = 200
FALLING_V = 2.0
"""What falls by more from one reading to the next is still being discharged."""


class MakeSafe:
    """Makes one end-of-line station safe; implements SafetyAction."""

    def __init__(self, devices: Devices, leases: LeaseBook, now: Callable[[], float]) -> None:
        self._devices = devices
        self._leases = leases
        self._now = now

    def ask_off(self) -> None:
        """The synchronous part: no permissive, every source asked to stop. Never waits, never raises.

        The permissive is also the cycler's enable, in hardware. Contactors follow when the current has gone.
        """
        self._devices.plc.drop_permit()
        self._devices.cycler.off()
        self._devices.withstand_tester.off()
        self._devices.insulation_tester.off()
        self._devices.digitizer.stop()

    async def run(self) -> SafeReport:
        """Current gone, contactors, discharge, two proofs, station routes, pack supply off.

        `ask_off` has been called; all leases of the run are revoked.
        """
        started_s = self._now()
        failures: list[str] = []
        values: dict[str, float] = {}
        try:
            await done_within(2 * CURRENT_DEADLINE_S, "bms", self._current_gone(), failures)
            self._devices.bms.open_relays()
            await done_within(RELAYS_DEADLINE_S, "bms", self._relays_open(), failures)
            free = await done_within(DISCHARGE_DEADLINE_S, "plc", self._voltage_free(), failures)
            if free:
                values["time_to_safe"] = self._now() - started_s
            by_plc, by_digitizer = await asyncio.gather(
                done_within(PROOF_DEADLINE_S, "plc", self._plc_proof(), failures),
                done_within(PROOF_DEADLINE_S, "digitizer", self._digitizer_proof(), failures),
            )
            values.update(by_digitizer or {})
            if free:
                values.update(by_plc or {})
            elif by_plc:
                failures.append(_unproved(by_plc))
        finally:
            self._devices.matrix.open_all()
            self._devices.plc.supply_off()
            self._devices.lv_supply.off()
        open_routes = self._devices.matrix.await_routes(frozenset(), Second(ROUTES_DEADLINE_S))
        await done_within(ROUTES_DEADLINE_S, "matrix", open_routes, failures)
        return SafeReport(bool(free), started_s, values, tuple(failures))

    async def _current_gone(self) -> None:
        """Wait until the BMS has twice seen less than CURRENT_GONE_A, at most CURRENT_DEADLINE_S."""
        asked_s = self._now()
        seen_s, below = asked_s, 0
        while below < 2 and self._now() - asked_s < CURRENT_DEADLINE_S:
            newest = self._devices.bms.newest_current()
            if newest is None and self._devices.bms.relays() is None:
                return
            if newest is not None and newest[1] > seen_s:
                seen_s = newest[1]
                below = below + 1 if abs(newest[0]) < CURRENT_GONE_A else 0
            if below < 2:
                await asyncio.sleep(CURRENT_PERIOD_S)

    async def _relays_open(self) -> bool:
        relays = self._devices.bms.relays()
        while relays is not None and any(relays.values()):
            await asyncio.sleep(STATUS_PERIOD_S)
            relays = self._devices.bms.relays()
        return True

    async def _voltage_free(self) -> bool:
        await voltage_free(self._devices.plc, self._now, PROVED_WITHIN_S)
        return True

    async def _plc_proof(self) -> dict[str, float]:
        """Voltages once they no longer fall: when they are first proved they may be just below the limit."""
        volts = await self._devices.plc.voltages(Second(PROOF_DEADLINE_S))
        later = await self._devices.plc.voltages(Second(PROOF_DEADLINE_S))
        while _highest_v(volts) - _highest_v(later) > FALLING_V:
            volts, later = later, await self._devices.plc.voltages(Second(PROOF_DEADLINE_S))
        return {"u_pn_plc": volts.u_pn, "u_p_pe": volts.u_p_pe, "u_n_pe": volts.u_n_pe}

    async def _digitizer_proof(self) -> dict[str, float]:
        await self._devices.matrix.connect(self._leases.grant("matrix", 1.0), {Route.DIGITIZER})
        reading = await self._devices.digitizer.mean(self._leases.grant("digitizer", 1.0), PROOF_SAMPLES)
        return {"u_pn_digitizer": reading.v_pos - reading.v_neg}


def _highest_v(volts: PlcVoltages) -> float:
    return max(abs(volts.u_pn), abs(volts.u_p_pe), abs(volts.u_n_pe))


def _unproved(volts: Mapping[str, float]) -> str:
    """What the PLC measured without proving it: by discharge and proof resistors that may not be there."""
    shown = ", ".join(f"{name} {volt:.0f} V" for name, volt in volts.items())
    return f"plc: what it measures is no proof ({shown}); check its discharge and proof resistors"
