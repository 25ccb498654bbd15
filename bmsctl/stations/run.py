"""One attempt of one pack: the steps in order, each measured, judged and logged; then the record.

Implements `job.Job`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from bmsctl.domain.events import (
    AttemptClosed,
    Event,
    Measured,
    Noted,
    StepFinished,
    StepRepeated,
    StepSkipped,
    StepStarted,
)
from bmsctl.domain.journal import RunLog
from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.limits import Reading, judge
from bmsctl.domain.pack import PackSpec
from bmsctl.domain.ports import Bms, Plc
from bmsctl.domain.recipe import StepRecipe
from bmsctl.domain.steps import Gate, gate_of
from bmsctl.domain.verdict import Verdict, fold_run, fold_step
from bmsctl.domain.world import StationWatch
from bmsctl.errors import DeviceError, DeviceRestarted, LeaseRevoked, StepInvalid, StoreError
from bmsctl.stations.identity import identify
from bmsctl.stations.job import RunEnd
from bmsctl.stations.progress import Progress
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.scope import RunScope
from bmsctl.stations.step import F, Step, StepContext

LEASE_FRESH_S = 1.0
BMS_SILENT_S = 0.3
BMS_RECENT_S = 0.2
SAFE_STEP = "make_safe"


class RunDevices(Protocol):
    """What a run itself needs of a station's devices."""

    @property
    def plc(self) -> Plc: ...
    @property
    def bms(self) -> Bms: ...


D = TypeVar("D", bound=RunDevices)


class Run(Generic[D, F]):
    """One attempt, or what is left of one."""

    def __init__(
        self,
        *,
        steps: Sequence[Step[D, F]],
        recipe: Sequence[StepRecipe],
        pack: PackSpec,
        facts: F,
        token: Callable[[], int],
        record_id: str,
        devices: D,
        leases: LeaseBook,
        log: RunLog,
        watch: StationWatch | None,
        now: Callable[[], float],
        utc_text: Callable[[], str],
        serial_numbers: Mapping[str, str],
        leased: Sequence[str],
        instruments: Sequence[str],
        begun: Sequence[Event] = (),
        begun_s: float | None = None,
    ) -> None:
        """A run of these steps.

        Args:
            facts: what the steps know from the beginning, and add to.
            token: gives a dead-man token that the PLC has not seen, with each call.
            serial_numbers: those expected of the instruments.
            leased: the devices whose leases it takes, in this order.
            instruments: those of them that must say first who they are.
            begun: what the attempt's log holds already; steps that are over are not run.
            begun_s: loop time at which the attempt began; None: now.
        """
        self._steps = {step.name: step for step in steps}
        self._recipe = recipe
        self._pack = pack
        self._new_token = token
        self._token = token()
        self._record_id = record_id
        self._devices = devices
        self._book = leases
        self._log = log
        self._watch = watch
        self._now = now
        self._utc_text = utc_text
        self._serial_numbers = serial_numbers
        self._leased, self._instruments = leased, instruments
        self._started_s = now() if begun_s is None else begun_s
        self._leases: Mapping[str, Lease] = {}
        self._facts = facts
        self._progress = Progress.of(begun)
        self._verdicts = dict(self._progress.verdicts)
        self._reasons = dict(self._progress.reasons)
        self._open: tuple[StepContext[D, F], float] | None = None
        self._blocked: dict[Gate, str] = {}
        for name, verdict in self._verdicts.items():
            self._block(name, verdict)
        self._bms_watched = False
        self._bms_heard_s = 0.0

    async def prepare(self, scope: RunScope) -> None:
        """Take every device's lease; the attempt is on record before anything moves."""
        self._leases = {device: self._book.grant(device, LEASE_FRESH_S) for device in self._leased}
        for device in self._instruments:
            await self._identify(device)
        await self._log.commit()

    async def _identify(self, device: str) -> None:
        """Log who the instrument says it is; raises DeviceRefused if it is not the one expected."""
        said = await identify(self._devices, self._leases[device], self._serial_numbers)
        self._log.append(Noted(device, said))

    async def execute(self, scope: RunScope) -> None:
        """Every step but make_safe, which belongs to the owner."""
        recipes = [recipe for recipe in self._recipe if recipe.run != SAFE_STEP]
        for index, recipe in enumerate(recipes):
            if recipe.run in self._reasons:
                continue
            await scope.boundary()
            blocked = self._blocked_by(recipe)
            if blocked is not None:
                self._skip(recipe, blocked)
                continue
            if self._watch is not None:
                self._watch.step_started(recipe.run, index, len(self._recipe))
            await self._execute_step(recipe, scope)

    def _skip(self, recipe: StepRecipe, reason: str) -> None:
        self._reasons[recipe.run] = reason
        self._log.append(StepSkipped(recipe.run, reason))

    def _blocked_by(self, recipe: StepRecipe) -> str | None:
        if Gate.RUN in self._blocked:
            return self._blocked[Gate.RUN]
        gates = gate_of(recipe.run).needs
        return next((self._blocked[gate] for gate in gates if gate in self._blocked), None)

    async def _execute_step(self, recipe: StepRecipe, scope: RunScope) -> None:
        step = self._steps[recipe.run]
        context = self._begin_step(recipe, self._now())
        if step.high_voltage:
            await self._log.commit()
        else:
            self._log.commit_soon()
        scope.begin_step(recipe.run, recipe.max_s, [self._leases[device] for device in step.devices])
        error: str | None
        try:
            error = await self._measure(step, context, scope)
        except DeviceRestarted as restarted:
            context = self._begin_again(context, restarted)
            scope.begin_step(recipe.run, recipe.max_s, [self._leases[device] for device in step.devices])
            error = await self._measure(step, context, scope, restarted=restarted.device)
        scope.end_step()
        self._finish(context, error)

    def _begin_step(self, recipe: StepRecipe, started_s: float) -> StepContext[D, F]:
        """A step's beginning, or what an earlier process has left of it."""
        context = self._context(recipe)
        if recipe.run == self._progress.running:
            started_s = self._started_s + self._progress.running_since_s
            context.measurements.update(self._progress.measurements)
        else:
            self._log.append(StepStarted(recipe.run, started_s - self._started_s))
        self._open = (context, started_s)
        return context

    def _context(self, recipe: StepRecipe) -> StepContext[D, F]:
        return StepContext(
            self._devices,
            self._leases,
            recipe,
            self._pack,
            self._facts,
            self._log,
            self._watch,
            self._now,
            self._new_token,
        )

    def _begin_again(self, context: StepContext[D, F], restarted: DeviceRestarted) -> StepContext[D, F]:
        """The running step from its beginning, once more."""
        assert self._open is not None
        self._log.append(StepRepeated(context.recipe.run, str(restarted)))
        context = self._context(context.recipe)
        self._open = (context, self._open[1])
        return context

    async def _measure(
        self, step: Step[D, F], context: StepContext[D, F], scope: RunScope, restarted: str | None = None
    ) -> str | None:
        """Run the step; why it could not measure, or None.

        Args:
            restarted: the device for whose restart the step is run again, to be set up anew; not again for another.

        Raises:
            DeviceRestarted: an instrument lost its settings in the middle, and the step may be run again.
        """
        try:
            if restarted is not None:
                await self._identify(restarted)
            if step.high_voltage:
                await self._devices.plc.permit(self._leases["plc"], self._token)
                self._watch_bms(scope)
            elif step.voltage_free:
                self._devices.plc.drop_permit()
                self._bms_watched = False
                scope.watch(None)
            await step.run(context)
        except (LeaseRevoked, StoreError):
            raise
        except DeviceRestarted as error:
            if restarted is None and step.repeatable:
                raise
            return str(error)
        except (DeviceError, StepInvalid) as error:
            return str(error)
        except Exception as error:
            self._log.append(Noted("internal_error", traceback.format_exc()))
            return f"internal error in step {step.name}: {type(error).__name__}: {error}; report this record"
        return None

    def _finish(self, context: StepContext[D, F], error: str | None, ended: Verdict | None = None) -> None:
        """Judge the step: what could not be measured is INVALID; a valid FAIL stands all the same.

        Args:
            error: what kept the step from measuring all it should.
            ended: ABORTED if the run was aborted in this step.
        """
        recipe = context.recipe
        for missing in context.missing():
            limit = recipe.limits[missing]
            why = error or "the step ended before it was measured"
            context.measurements[missing] = judge(missing, None, limit, missing_because=why)
            self._log.append(Measured.of(recipe.run, context.measurements[missing], limit))
        verdicts = [measurement.verdict for measurement in context.measurements.values()]
        verdict = ended or fold_step([*verdicts, Verdict.INVALID] if error else verdicts)
        self._close_step(context, verdict, _reason(context, verdict, error))
        self._block(recipe.run, verdict)

    def _block(self, run: str, verdict: Verdict) -> None:
        """Shut what a step's verdict shuts."""
        if verdict is not Verdict.PASS:
            for gate in gate_of(run).blocks:
                self._blocked.setdefault(gate, f"not run after {verdict} of {run}")

    def _close_step(self, context: StepContext[D, F], verdict: Verdict, reason: str) -> None:
        assert self._open is not None
        name, started_s = context.recipe.run, self._open[1]
        self._open = None
        self._verdicts[name], self._reasons[name] = verdict, reason
        self._log.append(StepFinished(name, verdict, reason, started_s - self._started_s, self._now() - started_s))
        if self._watch is not None:
            self._watch.step_finished(name, verdict, reason)

    def _watch_bms(self, scope: RunScope) -> None:
        """Demand that the BMS is heard; nothing was expected of it before."""
        if not self._bms_watched:
            self._bms_watched, self._bms_heard_s = True, self._now()
        scope.watch(self._bms_silent)

    def _bms_silent(self) -> str | None:
        """Looks only once what was last heard has grown old."""
        if self._now() - self._bms_heard_s <= BMS_RECENT_S:
            return None
        self._bms_heard_s = max(self._bms_heard_s, self._devices.bms.last_status_s() or 0.0)
        if self._now() - self._bms_heard_s <= BMS_SILENT_S:
            return None
        return (
            f"bms: no fresh, undamaged status for {BMS_SILENT_S:g} s while high voltage is permitted; "
            "check the pack's signal connector, then the BMS"
        )

    def safing(self) -> None:
        """Tell who looks on that make_safe runs; its values are logged when it has ended."""
        if self._watch is not None:
            self._watch.step_started(SAFE_STEP, len(self._recipe) - 1, len(self._recipe))

    async def close(self, end: RunEnd, safe: SafeReport) -> Any:
        """Log how the run ended and what make_safe proved, commit, show; the record."""
        spoilt = end.reason if end.verdict is Verdict.INVALID and self._open is None else ""
        if self._open is not None:
            aborted = Verdict.ABORTED if end.verdict is Verdict.ABORTED else None
            self._finish(self._open[0], end.reason or "the run ended", aborted)
        if safe.failures and all(recipe.run != SAFE_STEP for recipe in self._recipe):
            self._log.append(Noted(SAFE_STEP, "; ".join(safe.failures)))
        for recipe in self._recipe:
            if recipe.run == SAFE_STEP:
                self._log_safe(recipe, safe, spoilt)
            elif recipe.run not in self._reasons:
                self._skip(recipe, f"not run: {end.reason or 'the run ended'}")
        verdict = self._verdict(end)
        reason = end.reason or self._first_reason()
        disposition = "release" if verdict is Verdict.PASS else "hold"
        closed = AttemptClosed(verdict, reason, disposition, self._utc_text(), crash=False)
        record = await self._log.close(closed)
        if self._watch is not None:
            self._watch.verdict_shown(self._record_id, verdict, record["events"]["head_sha256"])
        return record

    def _verdict(self, end: RunEnd) -> Verdict:
        steps = [(recipe.mandatory, self._verdicts.get(recipe.run)) for recipe in self._recipe]
        return fold_run(steps, aborted=end.verdict is Verdict.ABORTED)

    def _first_reason(self) -> str:
        bad = (name for name, verdict in self._verdicts.items() if verdict is not Verdict.PASS)
        return next((f"{name} {self._verdicts[name]}: {self._reasons[name]}" for name in bad), "")

    def _log_safe(self, recipe: StepRecipe, safe: SafeReport, spoilt: str) -> None:
        """`spoilt`: what went wrong with the station after the last step, so that no step shows it but this."""
        context = self._begin_step(recipe, safe.started_s)
        for name, value in safe.values.items():
            unit = recipe.limits[name].unit
            u95 = recipe.quantity("u95_time" if unit == "s" else "u95_voltage")
            context.measure(name, Reading(value, unit, u95))
        errors = [text for text in (spoilt, *safe.failures) if text]
        self._finish(context, "; ".join(errors) or None)


def _reason(context: StepContext[Any, Any], verdict: Verdict, error: str | None) -> str:
    """The step's reason: what failed if the pack failed, else what kept it from being measured."""
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.ABORTED:
        return error or ""
    bad = [m for m in context.measurements.values() if m.verdict is verdict]
    if verdict is Verdict.FAIL or not error:
        return "; ".join(f"{m.name}: {m.reason}" for m in bad)
    return error
