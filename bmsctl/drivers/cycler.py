"""A bidirectional supply of the PSB series at the pack's outer poles.

The protections end a run, the set values only steer it: the voltage set value lies beyond the overvoltage protection
when the supply sources and at zero when it sinks, so that a pack at its limit trips the supply instead of quietly
getting less current than was asked for. What a command has done after a doubt is not known; the output is then
asked off, and the command is not sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.domain.ports import CyclerReading
from bmsctl.domain.units import Ampere, Volt
from bmsctl.drivers.scpi import FrozenGuard, ScpiSession
from bmsctl.errors import DeviceRefused, ReplyInvalid
from bmsctl.protocols import psb
from bmsctl.protocols.psb import Questionable

DEVICE = "cycler"
ANSWER_WITHIN_S = 0.2
SETTLING_S = 0.1
"""Ramp and averaging of the supply: from then on a reading shows the current that was set."""

BEYOND_PROTECTION = 1.02
CURRENT_PROTECTION = 1.1
SETTING_SHARE, SETTING_LSB = 1e-3, 0.02
PLAUSIBLE_SHARE, PLAUSIBLE_A = 0.05, 2.0
"""A slip of the unit's prefix is far outside of this, and no defect of a supply that regulates is."""

PLAUSIBLE_VOLTAGE_SHARE, PLAUSIBLE_V = 0.1, 2.0
POWER_SHARE, POWER_W = 0.005, 5.0
"""So well power is the product of the other two; a slip of the prefix of any of the three is not."""

_READ = f":{psb.MEASURE};:{psb.STATUS};:{psb.SOURCE_CURRENT}?;:{psb.SINK_CURRENT}?"


@dataclass(frozen=True, slots=True)
class _Protections:
    voltage_min: float
    voltage_max: float
    current_max: float


class ScpiCycler:
    """Implements Cycler."""

    def __init__(self, serial: SerialLink) -> None:
        self.session = ScpiSession(serial, DEVICE)
        self._frozen = FrozenGuard(DEVICE)
        self._armed: _Protections | None = None
        self._settings: dict[str, float] = {}
        self._set_a = 0.0
        self._set_s = -math.inf

    async def identify(self, lease: Lease) -> str:
        """As the port says; alarms left from an earlier run are acknowledged."""
        identity = await self.session.begin(lease)
        await self.session.query(lease, psb.ACKNOWLEDGE, ANSWER_WITHIN_S)
        return identity

    async def arm(self, lease: Lease, voltage_min: Volt, voltage_max: Volt, current_max: Ampere) -> None:
        with self._off_in_doubt():
            self._forget()
            _require_no_alarm(await self._status(lease))
            await self._take_control(lease)
            await self._act(lease, f"{psb.OUTPUT} OFF")
            trip_a = CURRENT_PROTECTION * current_max
            settings = {
                psb.SOURCE_CURRENT: (0.0, "A"),
                psb.SINK_CURRENT: (0.0, "A"),
                psb.SOURCE_VOLTAGE: (0.0, "V"),
                psb.OVER_VOLTAGE: (voltage_max, "V"),
                psb.SOURCE_OVER_CURRENT: (trip_a, "A"),
                psb.SINK_OVER_CURRENT: (trip_a, "A"),
                psb.UNDER_VOLTAGE: (voltage_min, "V"),
            }
            for header, (value, _) in settings.items():
                await self._set(lease, header, value)
            await self._act(lease, f"{psb.UNDER_VOLTAGE_ACTION} ALARM")
            for header, (value, unit) in settings.items():
                await self._require_setting(lease, header, value, unit)
            await self._require_word(lease, f"{psb.UNDER_VOLTAGE_ACTION}?", "ALARM")
            await self._act(lease, f"{psb.OUTPUT} ON")
            await self._require_word(lease, f"{psb.OUTPUT}?", "ON")
            self._remember(0.0)
            self._armed = _Protections(voltage_min, voltage_max, current_max)

    async def set_current(self, lease: Lease, current: Ampere) -> float:
        """As the port says. A reversal stops at 0 on its way; the time returned is that of the last step.

        Raises:
            DeviceRefused: not armed, or more than was armed for.
        """
        armed = self._armed
        if armed is None:
            raise DeviceRefused(DEVICE, "has not been armed")
        if not abs(current) <= armed.current_max:
            raise DeviceRefused(DEVICE, f"{current:g} A is more than the {armed.current_max:g} A it was armed for")
        with self._off_in_doubt():
            if current <= 0.0:
                await self._set(lease, psb.SOURCE_CURRENT, 0.0)
            if current >= 0.0:
                await self._set(lease, psb.SINK_CURRENT, 0.0)
            if current > 0.0:
                await self._set(lease, psb.SOURCE_VOLTAGE, BEYOND_PROTECTION * armed.voltage_max)
                await self._set(lease, psb.SOURCE_CURRENT, current)
            elif current < 0.0:
                await self._set(lease, psb.SOURCE_VOLTAGE, 0.0)
                await self._set(lease, psb.SINK_CURRENT, -current)
            self._remember(current)
            return self._set_s

    async def read(self, lease: Lease) -> CyclerReading:
        """Current and voltage now.

        Raises:
            DeviceRefused: a protection has tripped, or the output is off although it was armed.
            ReplyInvalid: current or voltage cannot be what was set, a set value reads otherwise, or the current is
                stuck.
        """
        with self._off_in_doubt():
            answer, said, *set_texts = await self.session.measure(lease, _READ, _READ, {}, ANSWER_WITHIN_S, 4)
            t_s = asyncio.get_running_loop().time()
            try:
                measured, status = psb.decode_measured(answer), psb.decode_status(said)
            except ValueError as error:
                raise ReplyInvalid(DEVICE, str(error)) from None
            _require_no_alarm(status)
            if self._armed is not None and not status & Questionable.OUTPUT_ON:
                raise DeviceRefused(DEVICE, "has switched its output off by itself")
            self._require_plausible(measured, settled=t_s - self._set_s > SETTLING_S)
            for header, text in zip((psb.SOURCE_CURRENT, psb.SINK_CURRENT), set_texts, strict=True):
                if self._armed is not None:
                    _require_near(header, self._settings[header], "A", text)
            self._frozen.see(measured.current_text)
            return CyclerReading(Ampere(measured.current_a), Volt(measured.voltage_v), t_s)

    async def disarm(self, lease: Lease) -> None:
        with self._off_in_doubt():
            if self._armed is not None:
                await self.set_current(lease, Ampere(0.0))
                lease.quiet_for(SETTLING_S)
                await asyncio.sleep(SETTLING_S)
                await self.read(lease)
            await self._act(lease, f"{psb.OUTPUT} OFF")
            await self._require_word(lease, f"{psb.OUTPUT}?", "OFF")
            self._forget()

    def off(self) -> None:
        self.session.write(f"{psb.OUTPUT} OFF")
        self._forget()

    @contextlib.contextmanager
    def _off_in_doubt(self) -> Iterator[None]:
        """Whatever ends the block early, a cancellation too, asks the output off."""
        try:
            yield
        except BaseException:
            self.off()
            raise

    def _forget(self) -> None:
        self._armed = None
        self._settings.clear()
        self._set_a, self._set_s = 0.0, -math.inf

    def _remember(self, current: float) -> None:
        self._set_a, self._set_s = current, asyncio.get_running_loop().time()

    async def _act(self, lease: Lease, command: str) -> None:
        await self.session.act(lease, command, ANSWER_WITHIN_S)

    async def _set(self, lease: Lease, header: str, value: float) -> None:
        """Send a set value, unless the supply has it."""
        if self._settings.get(header) != value:
            await self._act(lease, f"{header} {value:.2f}")
            self._settings[header] = value

    async def _status(self, lease: Lease) -> Questionable:
        (said,) = await self.session.query(lease, psb.STATUS, ANSWER_WITHIN_S)
        try:
            return psb.decode_status(said)
        except ValueError as error:
            raise ReplyInvalid(DEVICE, str(error)) from None

    async def _take_control(self, lease: Lease) -> None:
        await self._act(lease, f"{psb.REMOTE_CONTROL} ON")
        (owner,) = await self.session.query(lease, psb.OWNER, ANSWER_WITHIN_S)
        if owner != "REMOTE":
            raise DeviceRefused(DEVICE, f"is under {owner.lower()} control; switch it to remote")

    async def _require_setting(self, lease: Lease, header: str, value: float, unit: str) -> None:
        (said,) = await self.session.query(lease, f"{header}?", ANSWER_WITHIN_S)
        _require_near(header, value, unit, said)

    async def _require_word(self, lease: Lease, query: str, word: str) -> None:
        (said,) = await self.session.query(lease, query, ANSWER_WITHIN_S)
        if said != word:
            raise ReplyInvalid(DEVICE, f"{query} answers {said} instead of {word}")

    def _require_plausible(self, measured: psb.Measured, *, settled: bool) -> None:
        armed = self._armed or _Protections(0.0, math.inf, 0.0)
        if settled:
            middle_a, width_a = self._set_a, PLAUSIBLE_SHARE * abs(self._set_a) + PLAUSIBLE_A
        else:
            middle_a, width_a = 0.0, CURRENT_PROTECTION * armed.current_max + PLAUSIBLE_A
        if not abs(measured.current_a - middle_a) <= width_a:
            raise ReplyInvalid(DEVICE, f"{measured.current_a:g} A is implausible at {self._set_a:g} A set")
        product_w = measured.voltage_v * measured.current_a
        if not abs(measured.power_w - product_w) <= POWER_SHARE * abs(product_w) + POWER_W:
            raise ReplyInvalid(DEVICE, f"power reads {measured.power_w:g} W, the product is {product_w:g} W")
        low_v = (1.0 - PLAUSIBLE_VOLTAGE_SHARE) * armed.voltage_min if settled and self._set_a else 0.0
        high_v = (1.0 + PLAUSIBLE_VOLTAGE_SHARE) * armed.voltage_max
        if not low_v - PLAUSIBLE_V <= measured.voltage_v <= high_v:
            raise ReplyInvalid(DEVICE, f"{measured.voltage_v:g} V is implausible between {low_v:g} and {high_v:g} V")


def _require_no_alarm(status: Questionable) -> None:
    alarm = psb.alarm_text(status)
    if alarm:
        raise DeviceRefused(DEVICE, f"output off: {alarm}; check pack, route and safety chain")


def _require_near(header: str, value: float, unit: str, said: str) -> None:
    """See that a set value reads as it was set, to the supply's own steps."""
    try:
        read = psb.decode_quantity(said, unit)
    except ValueError as error:
        raise ReplyInvalid(DEVICE, f"{header}: {error}") from None
    if not abs(read - value) <= SETTING_SHARE * abs(value) + SETTING_LSB:
        raise ReplyInvalid(DEVICE, f"{header} was set to {value:g} {unit} and reads {said}")
