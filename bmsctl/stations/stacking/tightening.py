"""Tightening: the one place of the station where a bolt is tightened.

A bolt is tightened once; what its tool has done cannot be taken back, and a second time would overload it. So it is on
record what is about to be done before the tool can turn, and the controller, which keeps what it has tightened, is
asked when nobody knows whether it was done. A bolt of which even the controller cannot tell is thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    PartInstalled,
    PartRemoved,
    Tightened,
)
from bmsctl.domain.limits import Measurement, Reading, judge
from bmsctl.domain.parts import bolt_slot
from bmsctl.domain.ports import Instruction, ManualTask, Tightening
from bmsctl.domain.steps import of_part
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.stations.stacking.context import StepContext, measure_once, record, verdicts_of
from bmsctl.stations.stacking.operator import confirm
from bmsctl.stations.undo import undone

BOLT_MEASUREMENTS = ("torque", "angle")
UNTOLD = "not on record whether it was tightened"

Loosening = Callable[[StepContext], Awaitable[None]]


async def tighten(ctx: StepContext, bolts: Iterable[str], before_loosening: Loosening | None = None) -> bool:
    """Tighten bolts in this order, each anew as often as the recipe allows; whether all are right.

    Ends with the first that is not.

    Args:
        before_loosening: what is to be done before a bolt is loosened; None: nothing.
    """
    async with undone(partial(ctx.devices.nutrunner.disable, ctx.leases["nutrunner"])):
        for bolt in bolts:
            if not await _tighten_bolt(ctx, bolt, before_loosening):
                return False
    return True


async def _tighten_bolt(ctx: StepContext, bolt: str, before_loosening: Loosening | None) -> bool:
    """Tighten and measure a bolt; whether it is right. What an earlier process has measured of it stays."""
    known = verdicts_of(ctx, bolt, *BOLT_MEASUREMENTS)
    if len(known) < len(BOLT_MEASUREMENTS):
        readings = await _tighten_until_right(ctx, bolt, before_loosening, redo=not known)
        known = [measure_once(ctx, name, reading) for name, reading in readings.items()]
    return all(verdict is Verdict.PASS for verdict in known)


async def _tighten_until_right(
    ctx: StepContext, bolt: str, before_loosening: Loosening | None, redo: bool
) -> dict[str, Reading]:
    """Torque and angle of the bolt, by name, after the last tightening that it needs or may have."""
    while True:
        tightened = _from_record(ctx, bolt) or await _from_memory(ctx, bolt)
        if tightened is None:
            tightened = await _made_new(ctx, bolt, before_loosening)
        readings = _readings(ctx, tightened)
        judged = [judge(name, reading, ctx.recipe.limits[name]) for name, reading in readings.items()]
        _require_agreement(ctx, tightened, judged)
        failed = [f"{each.name}: {each.reason}" for each in judged if each.verdict is not Verdict.PASS]
        unknown = any(each.verdict is Verdict.INVALID for each in judged)
        if not failed or unknown or not redo or _tries(ctx, bolt) >= ctx.recipe.count("tightenings_max"):
            return readings
        await _take_out(ctx, bolt, "; ".join(failed), before_loosening)


def _tries(ctx: StepContext, bolt: str) -> int:
    return max(ctx.facts.built.tries.get(bolt_slot(bolt), 0), len(ctx.facts.built.tightenings(bolt)))


def _pending(ctx: StepContext, bolt: str) -> ActionIntended | None:
    """The action at this bolt of which nobody knows whether it was done."""
    pending = ctx.facts.built.pending
    return pending if pending is not None and pending.slot == bolt_slot(bolt) else None


def _from_record(ctx: StepContext, bolt: str) -> Tightened | None:
    """The tightening that is on record of the bolt that is in."""
    on_record = ctx.facts.built.tightenings(bolt)
    if not on_record:
        return None
    pending = _pending(ctx, bolt)
    if pending is not None:
        record(ctx, ActionDone(pending.action_id, _result(on_record[-1])))
    return on_record[-1]


async def _from_memory(ctx: StepContext, bolt: str) -> Tightened | None:
    """The tightening that a pending action has brought about, as the controller has it; None if it has brought none.

    If nobody can tell, the bolt is in, and it is on record that nobody can.
    """
    pending = _pending(ctx, bolt)
    if pending is None:
        return None
    made, lost = await _made_meanwhile(ctx, pending)
    if lost:
        _record_bolt(ctx, bolt)
        record(ctx, ActionUnknown(pending.action_id, lost))
    if made is None:
        return None
    _record_bolt(ctx, bolt)
    return await _record_tightening(ctx, bolt, pending, made)


async def _made_new(ctx: StepContext, bolt: str, before_loosening: Loosening | None) -> Tightened:
    """A tightening made now, with a bolt that was never tightened."""
    action = _pending(ctx, bolt)
    if action is None:
        if bolt_slot(bolt) in ctx.facts.built.parts:
            await _take_out(ctx, bolt, UNTOLD, before_loosening)
        action = await _intend(ctx, bolt)
    _record_bolt(ctx, bolt)
    await ctx.log.commit()
    tightened = await _record_tightening(ctx, bolt, action, await _turn(ctx, bolt))
    # Whatever its batch size is: no tool is live before the next bolt's intent is on record.
    await ctx.devices.nutrunner.disable(ctx.leases["nutrunner"])
    return tightened


async def _record_tightening(ctx: StepContext, bolt: str, action: ActionIntended, made: Tightening) -> Tightened:
    """Have it on record, durably, what an action has brought about."""
    torque, angle = _number(made.torque), _number(made.angle)
    tightened = Tightened(bolt, made.tightening_id, made.parameter_set, made.ok, torque, angle, made.at)
    record(ctx, tightened, ActionDone(action.action_id, _result(tightened)))
    await ctx.log.commit()
    return tightened


async def _intend(ctx: StepContext, bolt: str) -> ActionIntended:
    """Say what is about to be done, and from where on to look for it in the controller's memory."""
    newest_id = await ctx.devices.nutrunner.newest_id(ctx.leases["nutrunner"])
    slot, number, parameter_set = bolt_slot(bolt), _tries(ctx, bolt) + 1, ctx.recipe.count("parameter_set")
    what = f"tighten with parameter set {parameter_set}"
    action = ActionIntended(f"{slot} #{number}", "nutrunner", what, slot, newest_id)
    record(ctx, action)
    return action


def _record_bolt(ctx: StepContext, bolt: str) -> None:
    """Have it on record that a bolt is in, if it is not."""
    if bolt_slot(bolt) not in ctx.facts.built.parts:
        record(ctx, PartInstalled(bolt_slot(bolt), ctx.recipe.text("bolt_part_number"), None, None))


async def _turn(ctx: StepContext, bolt: str) -> Tightening:
    """Let the tool turn once, and wait until the person has used it.

    Shown first: while another bolt is still on the screen, a tool that turns would turn that one a second time.
    """
    nutrunner, lease = ctx.devices.nutrunner, ctx.leases["nutrunner"]
    instruction = Instruction(ManualTask.TIGHTEN, bolt_slot(bolt), ctx.recipe.text("tighten"))
    await ctx.devices.operator.show(ctx.leases["operator"], instruction)
    await nutrunner.enable(lease, ctx.facts.serial, ctx.recipe.count("parameter_set"))
    return await nutrunner.result(lease, Second(ctx.recipe.quantity("tighten_within")))


async def _made_meanwhile(ctx: StepContext, action: ActionIntended) -> tuple[Tightening | None, str]:
    """The tightening that an action has brought about, None if none; and why nobody can tell, empty if it is sure."""
    nutrunner, lease = ctx.devices.nutrunner, ctx.leases["nutrunner"]
    await nutrunner.stop(lease)
    before_id, newest_id = action.after_id, await nutrunner.newest_id(lease)
    if before_id is None:
        return None, "it is not on record which tightening was the controller's newest before"
    if newest_id < before_id:
        why = "its memory was cleared, or it was exchanged"
        return None, f"the controller's newest tightening was {before_id} and is {newest_id}: {why}"
    lost = ""
    for tightening_id in range(before_id + 1, newest_id + 1):
        stored = await nutrunner.stored(lease, tightening_id)
        if stored is None:
            lost = f"the controller no longer has tightening {tightening_id}"
        elif stored.vin == ctx.facts.serial:
            return stored, ""
    return None, lost


async def _take_out(ctx: StepContext, bolt: str, why: str, before_loosening: Loosening | None) -> None:
    """Have the bolt loosened and thrown away, and a new one put in, which is not tightened."""
    if before_loosening is not None:
        await before_loosening(ctx)
    await confirm(ctx, ManualTask.LOOSEN, bolt_slot(bolt), "loosen", "tighten_within", why)
    record(ctx, PartRemoved(bolt_slot(bolt), None, why))


def _readings(ctx: StepContext, tightened: Tightened) -> dict[str, Reading]:
    torque, angle = (of_part(name, tightened.bolt) for name in BOLT_MEASUREMENTS)
    text = f"tightening {tightened.tightening_id}"
    u95_torque = ctx.recipe.quantity("u95_torque") / 100.0 * abs(tightened.torque or 0.0)
    return {
        torque: Reading(tightened.torque, "Nm", u95_torque, detail=text),
        angle: Reading(tightened.angle, "deg", ctx.recipe.quantity("u95_angle"), detail=text),
    }


def _require_agreement(ctx: StepContext, tightened: Tightened, judged: Iterable[Measurement]) -> None:
    """INVALID if the controller has not done, or has not found, what the recipe would have."""
    bolt, parameter_set = bolt_slot(tightened.bolt), ctx.recipe.count("parameter_set")
    if tightened.parameter_set != parameter_set:
        raise StepInvalid(
            f"{bolt} was tightened with parameter set {tightened.parameter_set} instead of {parameter_set}: "
            f"correct the parameter set, then start again with --replace '{bolt}'"
        )
    if not tightened.ok and all(each.verdict is Verdict.PASS for each in judged):
        raise StepInvalid(
            f"{bolt}: the controller says NOK to tightening {tightened.tightening_id}, torque and angle are within the "
            f"recipe's limits: compare parameter set {parameter_set} with the recipe"
        )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _result(tightened: Tightened) -> str:
    return f"tightening {tightened.tightening_id}, {'OK' if tightened.ok else 'NOK'}"
