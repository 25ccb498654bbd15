"""The steps by which a station tests itself: who its instruments are, that they agree on nothing being there, and
that the safety PLC takes energy away when it is told to and when it is told nothing.

No contactor is closed and no source is switched on. The dead-man is proved by the owner task that answers it in
every run: it falls silent, and the PLC must trip. That trip stays latched until a person resets the PLC, so it comes
last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import PlcStatus, Resistor, Route, TripCause
from bmsctl.domain.units import Second
from bmsctl.errors import DeviceError, LeaseRevoked, StepInvalid
from bmsctl.stations.eol.context import Step, StepContext
from bmsctl.stations.eol.devices import INSTRUMENTS
from bmsctl.stations.identity import identify
from bmsctl.stations.voltage_free import proves_voltage_free

VOLTAGES_WITHIN = Second(0.5)
LOOK_S = 0.002
UNREFERENCED = (
    "not tested, because the station has no reference for them: gain of the digitizer and of the PLC's voltages, "
    "both test resistors, the reference resistor, the link capacitor, ohmmeter, testers, 12 V supply and cycler; "
    "their calibration certificates stand for them"
)
NO_HIGH_VOLTAGE = "run no step with high voltage on this station until its safety PLC has been repaired and this passes"
UNCHARGED = "nothing was charged: discharge times are those of the PLC's relays, not of a loaded link"


class Owner(Protocol):
    """What the steps need of the owner task."""

    @property
    def last_answer_s(self) -> float | None:
        """Loop time of the last answer to the PLC."""
        ...

    def prove_dead_man(self) -> None:
        """Fall silent for the rest of the run."""
        ...


def steps(owner: Owner, token: Callable[[str], int], serial_numbers: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps, in order.

    Args:
        token: a fresh dead-man token for the permissive of the step named.
        serial_numbers: those expected of the instruments.
    """
    return (
        Step("instruments", partial(instruments, serial_numbers), devices=INSTRUMENTS),
        Step("zero", zero, devices=("plc", "matrix", "digitizer")),
        Step("safe_stop", partial(safe_stop, token), devices=("plc",)),
        Step("dead_man", partial(dead_man, owner, token), devices=("plc",)),
    )


async def instruments(serial_numbers: Mapping[str, str], ctx: StepContext) -> None:
    """Count the instruments that answer and are those that belong here."""
    wrong = []
    for device in INSTRUMENTS:
        try:
            ctx.note(device, await identify(ctx.devices, ctx.leases[device], serial_numbers))
        except LeaseRevoked:
            raise
        except DeviceError as error:
            wrong.append(str(error))
    ctx.measure("instruments_identified", Reading(len(INSTRUMENTS) - len(wrong), None, detail="; ".join(wrong)))


async def zero(ctx: StepContext) -> None:
    """See no voltage between dead poles, nor at the link, with PLC and digitizer; move every known resistor."""
    ctx.note("not_tested", UNREFERENCED)
    volts = await ctx.devices.plc.voltages(VOLTAGES_WITHIN)
    plc_v = max((volts.u_pn, volts.u_link), key=abs)
    ctx.measure("zero_plc", Reading(plc_v, "V", ctx.recipe.quantity("u95_plc")))
    digitizer, lease = ctx.devices.digitizer, ctx.leases["digitizer"]
    await ctx.devices.matrix.connect(ctx.leases["matrix"], {Route.DIGITIZER})
    reading = await digitizer.mean(lease, ctx.recipe.count("samples"))
    digitizer_v = max((reading.v_pos - reading.v_neg, reading.v_link), key=abs)
    ctx.measure("zero_digitizer", Reading(digitizer_v, "V", ctx.recipe.quantity("u95_digitizer")))
    for resistor in Resistor:
        await digitizer.insert(lease, resistor)
    await digitizer.insert(lease, None)
    ctx.measure("resistor_relays", Reading(len(Resistor), None))


async def safe_stop(token: Callable[[str], int], ctx: StepContext) -> None:
    """Give the permissive back, and time the PLC until coils are dead and the poles proved below 60 V."""
    ctx.note("not_tested", UNCHARGED)
    await _permit(ctx, token("safe_stop"))
    dropped_s = ctx.now()
    ctx.devices.plc.drop_permit()
    await _time(ctx, "stop_time", _cut, dropped_s)
    await _time(ctx, "stop_proof_time", partial(_voltage_free, ctx, dropped_s), dropped_s)


async def dead_man(owner: Owner, token: Callable[[str], int], ctx: StepContext) -> None:
    """Stop answering, and time the PLC until it trips, coils are dead and the poles proved below 60 V.

    Raises:
        StepInvalid: the permissive ended for another reason.
    """
    await _permit(ctx, token("dead_man"))
    try:
        owner.prove_dead_man()
        answered_s = owner.last_answer_s
        if answered_s is None:
            raise StepInvalid("the PLC was never answered; report this record")
        tripped = await _time(ctx, "trip_time", _withdrawn, answered_s)
        if tripped is not None and tripped.cause is not TripCause.WATCHDOG:
            raise StepInvalid(
                f"the PLC withdrew the permissive for {tripped.cause}, not by its dead-man; repeat the test"
            )
        cut = await _time(ctx, "cut_time", _cut, answered_s)
        cut_s = answered_s if cut is None else cut.t_s
        await _time(ctx, "discharge_time", partial(_voltage_free, ctx, cut_s), cut_s)
    finally:
        ctx.devices.plc.drop_permit()


async def _permit(ctx: StepContext, token: int) -> None:
    """Obtain the permissive, once what led to it is on disk, and keep it until challenges were answered under it."""
    await ctx.log.commit()
    await ctx.devices.plc.permit(ctx.leases["plc"], token)
    await ctx.dwell(ctx.recipe.quantity("settle"))


async def _time(ctx: StepContext, name: str, done: Callable[[PlcStatus], bool], since_s: float) -> PlcStatus | None:
    """Measure how long after `since_s` the PLC first reports what `done` accepts; that status, None if it does not."""
    patience_s, u95_s = ctx.recipe.quantity("patience"), ctx.recipe.quantity("u95_time")
    ctx.leases["plc"].quiet_for(patience_s)
    while ctx.now() - since_s < patience_s:
        status = ctx.devices.plc.status()
        if status is not None and status.t_s > since_s and done(status):
            ctx.measure(name, Reading(status.t_s - since_s, "s", u95_s, detail=NO_HIGH_VOLTAGE))
            return status
        await asyncio.sleep(LOOK_S)
    detail = f"the PLC has not done it yet; {NO_HIGH_VOLTAGE}"
    ctx.measure(name, Reading(patience_s, "s", u95_s, detail=detail, bound=ABOVE))
    return None


def _withdrawn(status: PlcStatus) -> bool:
    return not status.permissive


def _cut(status: PlcStatus) -> bool:
    return not (status.permissive or status.coil_supply)


def _voltage_free(ctx: StepContext, since_s: float, status: PlcStatus) -> bool:
    return proves_voltage_free(status, since_s, ctx.now())
