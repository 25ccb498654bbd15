"""The 12 V supply of the pack's low-voltage side, and its ammeter, in the dialect of Keysight's N6900/N7900 series.

A mean current is one acquisition of the supply: started, waited for, then fetched. Meanwhile the supply obeys, so
that its output can be switched off at once, and a damaged answer costs no second acquisition. Voltage and power of
the same acquisition prove the unit of the current: it may lie anywhere in its range, down to nothing.

Source: Keysight N6900/N7900 Series Operating and Service Guide, chapter 6, "SCPI programming reference".
"""

from __future__ import annotations

import asyncio
import math

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.units import Ampere, Second, Volt
from bmsctl.drivers.scpi import FrozenGuard, ScpiSession
from bmsctl.errors import DeviceRefused, ReplyInvalid

DEVICE = "lv_supply"
ANSWER_WITHIN_S = 0.3

SAMPLE_S = 102.4e-6
"""Five ticks of the supply's 20.48 us clock; it would round anything else to whole ticks."""
SAMPLES_MAX = 524_288
MAINS_CYCLE_S = 0.02

VOLTAGE_SHARE = 0.02
"""A regulating supply is far closer to its set value; one in its current limit, or shorted, is far off."""
POWER_SHARE, POWER_W = 0.01, 1e-6
"""Rounding, and ripple of voltage and current together, make power differ by less from their product."""
HEADROOM = 1.02
ALIKE = 2
"""Seven digits of a microampere's noise are the same twice in 100 000 pairs of acquisitions at most."""


class ScpiLvSupply:
    """Implements LvSupply."""

    def __init__(self, serial: SerialLink) -> None:
        self.session = ScpiSession(serial, DEVICE)
        self._frozen = FrozenGuard(DEVICE, ALIKE)
        self._voltage = Volt(0.0)
        self._switched_on: tuple[Volt, Ampere] | None = None

    async def identify(self, lease: Lease) -> str:
        """As the port says; an output that a restart has switched off is switched on again as it was."""
        identity = await self.session.begin(lease)
        if self._switched_on is not None:
            await self.on(lease, *self._switched_on)
        return identity

    async def on(self, lease: Lease, voltage: Volt, limit: Ampere) -> None:
        """As the port says.

        Raises:
            DeviceRefused: the supply cannot be set so.
            ReplyInvalid: a setting reads otherwise, or the voltage is not there; the output may be on.
        """
        self._switched_on = voltage, limit
        wanted = {":VOLT": f"{voltage:.3f}", ":CURR": f"{limit:.3f}", **_sweep(MAINS_CYCLE_S)}
        await self.session.settings(lease, wanted, ANSWER_WITHIN_S)
        await self.session.act(lease, ":OUTP ON", ANSWER_WITHIN_S)
        self._voltage = voltage
        under = {**wanted, ":OUTP": "1"}
        (text,) = await self.session.measure(lease, ":MEAS:VOLT?", ":FETC:VOLT?", under, ANSWER_WITHIN_S)
        self._require_voltage(text)

    async def current(self, lease: Lease, range_a: Ampere, over: Second) -> Ampere:
        """As the port says.

        Raises:
            DeviceRefused: the supply cannot average for so long.
            ReplyInvalid: over range; not at the voltage set; power is not voltage times current; or stuck.
        """
        wanted = {":SENS:CURR:RANG": f"{range_a:g}", **_sweep(over)}
        await self.session.settings(lease, wanted, ANSWER_WITHIN_S)
        await self.session.act(lease, ":INIT:ACQ;:TRIG:ACQ", ANSWER_WITHIN_S)
        lease.quiet_for(over)
        await asyncio.sleep(over)
        fetch, under = ":FETC:CURR?;:FETC:VOLT?;:FETC:POW?", {**wanted, ":OUTP": "1"}
        amps_text, volts_text, watts_text = await self.session.measure(lease, fetch, fetch, under, ANSWER_WITHIN_S, 3)
        end_a = HEADROOM * range_a
        amps = self.session.number(amps_text, -end_a, end_a, "supply current", over_range=True)
        if math.isinf(amps):
            raise ReplyInvalid(DEVICE, f"supply current is over the {range_a:g} A range")
        product = self._require_voltage(volts_text) * amps
        watts = self.session.number(watts_text, -math.inf, math.inf, "supply power")
        if not abs(watts - product) <= POWER_SHARE * abs(product) + POWER_W:
            raise ReplyInvalid(DEVICE, f"supply current {amps:g} A is implausible, for the power is {watts:g} W")
        self._frozen.see(amps_text)
        return Ampere(amps)

    def off(self) -> None:
        self._switched_on = None
        self.session.write(":OUTP OFF")

    def _require_voltage(self, text: str) -> float:
        volts = self.session.number(text, -math.inf, math.inf, "output voltage")
        if not abs(volts - self._voltage) <= VOLTAGE_SHARE * self._voltage:
            raise ReplyInvalid(DEVICE, f"shows {volts:g} V instead of {self._voltage:g} V; look for a short at KL30")
        return volts


def _sweep(over_s: float) -> dict[str, str]:
    """Settings of an acquisition this long."""
    samples = round(over_s / SAMPLE_S)
    if not 1 <= samples <= SAMPLES_MAX:
        raise DeviceRefused(DEVICE, f"averages over at most {SAMPLES_MAX * SAMPLE_S:.0f} s, not {over_s:g} s")
    return {":SENS:SWE:TINT": f"{SAMPLE_S:.4g}", ":SENS:SWE:POIN": str(samples)}
