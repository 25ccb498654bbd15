"""Resistances under current: each cell against its module, the pack, its links; and the BMS's current sensor.

Two pulses, one of each sign, so that offsets of every sensor cancel in their difference. The station's cycler says
what flowed; the BMS's sensor is what is tested. No current flows before cells and temperatures have passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bmsctl.analysis.resistance import at_reference_temperature, highest_in_module
from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import F64, CyclerReading, DigitizerReading, PackSample, Route
from bmsctl.domain.units import Ampere
from bmsctl.errors import StepInvalid
from bmsctl.stations.eol.closing import closed_contactors, connect_cold
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.current import arm, require_cells_within

SEEN = 0.1
"""Share of the cycler's current below which the BMS sees none, and its sign means nothing."""
POLE_SAMPLES = 200
"""One mains period at 10 kHz."""


Look = tuple[PackSample, CyclerReading, DigitizerReading]


class Observed(NamedTuple):
    """Means over some broadcast cycles: (series,) and (bars,) volts, poles, and the current by BMS and cycler."""

    cell_v: F64
    busbar_v: F64
    pole_v: float
    bms_a: float
    cycler_a: float


class Pulse(NamedTuple):
    """What was there before a pulse, and at its end."""

    before: Observed
    end: Observed

    @property
    def step_a(self) -> float:
        """By how much the pulse changed the current."""
        return self.end.cycler_a - self.before.cycler_a


async def dcir(ctx: StepContext) -> None:
    """Measure offset, sign and gain of the BMS's current sensor, and the resistances, by two pulses.

    INVALID, with the current ended at once, if a cell leaves its window; a cell that is far worse than its module
    when that happens fails all the same.
    """
    if ctx.facts.temperature_c is None:
        raise StepInvalid("the pack's temperature is unknown; step cells_at_rest did not run")
    amps = ctx.recipe.quantity("pulse_current")
    await connect_cold(ctx, {Route.DIGITIZER, Route.CYCLER})
    await _measure_offset(ctx)
    async with closed_contactors(ctx):
        await arm(ctx, "pulse_current")
        discharge = await _pulse(ctx, -amps)
        await ctx.dwell(ctx.recipe.quantity("rest_time"))
        charge = await _pulse(ctx, amps)
        await ctx.devices.cycler.disarm(ctx.leases["cycler"])
    _measure_sensor(ctx, discharge.end, charge.end)
    _measure_cells(ctx, discharge, charge)
    _measure_pack(ctx, discharge, charge, ctx.facts.temperature_c)
    _measure_links(ctx, discharge.end, charge.end)


async def _measure_offset(ctx: StepContext) -> None:
    """The contactors are still open: nothing at all can flow."""
    samples = await ctx.devices.bms.samples(ctx.leases["bms"], ctx.recipe.count("samples"))
    offset_a = float(np.mean([sample.current_a for sample in samples]))
    ctx.measure("current_offset", Reading(offset_a, "A", ctx.recipe.quantity("u95_offset")))


async def _pulse(ctx: StepContext, amps: float) -> Pulse:
    """The current on for the pulse time; observed before it and at its end, the cells watched all along."""
    cycler, lease = ctx.devices.cycler, ctx.leases["cycler"]
    began_s = ctx.now()
    before = await _observe(ctx)
    observing_s = ctx.now() - began_s
    on_s = await cycler.set_current(lease, Ampere(amps))
    while ctx.now() < on_s + ctx.recipe.quantity("pulse_time") - observing_s:
        (sample,) = await ctx.devices.bms.samples(ctx.leases["bms"], 1)
        _watch(ctx, sample, before.cell_v)
    end = await _observe(ctx, before.cell_v)
    await cycler.set_current(lease, Ampere(0.0))
    return Pulse(before, end)


async def _observe(ctx: StepContext, before_v: F64 | None = None) -> Observed:
    """`before_v`: the cells before the pulse, if there is one."""
    looks: list[Look] = []
    for _ in range(ctx.recipe.count("samples")):
        looks.append(await _look(ctx))
        _watch(ctx, looks[-1][0], before_v)
    return _mean(looks)


async def _look(ctx: StepContext) -> Look:
    """The three instruments at the same time; none is still being asked when one has failed."""
    samples, reading, poles = await asyncio.gather(
        ctx.devices.bms.samples(ctx.leases["bms"], 1),
        ctx.devices.cycler.read(ctx.leases["cycler"]),
        ctx.devices.digitizer.mean(ctx.leases["digitizer"], POLE_SAMPLES),
        return_exceptions=True,
    )
    for result in (samples, reading, poles):
        if isinstance(result, BaseException):
            raise result
    assert not isinstance(samples, BaseException)
    assert not isinstance(reading, BaseException)
    assert not isinstance(poles, BaseException)
    return samples[0], reading, poles


def _mean(looks: Sequence[Look]) -> Observed:
    return Observed(
        np.mean([sample.voltage_v for sample, _, _ in looks], axis=0),
        np.mean([sample.busbar_v for sample, _, _ in looks], axis=0),
        float(np.mean([poles.v_pos - poles.v_neg for _, _, poles in looks])),
        float(np.mean([sample.current_a for sample, _, _ in looks])),
        float(np.mean([reading.current for _, reading, _ in looks])),
    )


def _watch(ctx: StepContext, sample: PackSample, before_v: F64 | None) -> None:
    """End the current, and the step, when a cell leaves its window; its resistance so far is a bound."""
    try:
        require_cells_within(ctx, sample.voltage_v)
    except StepInvalid:
        if before_v is not None:
            _measure_deviation(ctx, np.abs(sample.voltage_v - before_v), ABOVE)
        raise


def _measure_sensor(ctx: StepContext, discharge: Observed, charge: Observed) -> None:
    slope = (charge.bms_a - discharge.bms_a) / (charge.cycler_a - discharge.cycler_a)
    text = f"BMS {discharge.bms_a:.2f} A and {charge.bms_a:.2f} A"
    sign = float(np.sign(slope)) if abs(slope) > SEEN else 0.0
    ctx.measure("current_sign", Reading(sign, None, detail=text))
    ctx.measure("current_gain", Reading(100.0 * (abs(slope) - 1.0), "%", ctx.recipe.quantity("u95_gain"), detail=text))


def _measure_cells(ctx: StepContext, discharge: Pulse, charge: Pulse) -> None:
    cell_ohm = np.mean([(pulse.end.cell_v - pulse.before.cell_v) / pulse.step_a for pulse in (discharge, charge)], 0)
    ctx.trace("cell_resistance", "Ohm", None, cell_ohm)
    _measure_deviation(ctx, cell_ohm)


def _measure_deviation(ctx: StepContext, resistance: F64, bound: str | None = None) -> None:
    """(series,) in whatever unit: only the ratio to the module's median is judged."""
    worst = highest_in_module(resistance, ctx.pack.modules)
    text = f"cell {worst.cell} in module {worst.module}"
    u95 = ctx.recipe.quantity("u95_cell")
    ctx.measure("cell_deviation", Reading(worst.deviation, "%", u95, detail=text, bound=bound))


def _measure_pack(ctx: StepContext, discharge: Pulse, charge: Pulse, temperature_c: float) -> None:
    pulses = (discharge, charge)
    warm_ohm = float(np.mean([(pulse.end.pole_v - pulse.before.pole_v) / pulse.step_a for pulse in pulses]))
    ohm = at_reference_temperature(warm_ohm, temperature_c, ctx.recipe.quantity("activation_temperature"))
    u95 = ctx.recipe.quantity("u95_pack") / 100.0 * abs(ohm)
    ctx.measure("pack_resistance", Reading(ohm, "Ohm", u95, detail=f"{warm_ohm:.4g} Ohm at {temperature_c:.1f} °C"))


def _measure_links(ctx: StepContext, discharge: Observed, charge: Observed) -> None:
    """Bars between modules; a bar without value is the worst."""
    bar_ohm = (charge.busbar_v - discharge.busbar_v) / (charge.cycler_a - discharge.cycler_a)
    ctx.trace("link_resistance", "Ohm", None, bar_ohm)
    worst = int(np.argmax(np.where(np.isnan(bar_ohm), np.inf, bar_ohm)))
    text = f"bar between modules {worst + 1} and {worst + 2}"
    ctx.measure("link_resistance", Reading(float(bar_ohm[worst]), "Ohm", ctx.recipe.quantity("u95_link"), detail=text))
