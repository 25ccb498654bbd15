"""A sequencer with the real PLC driver, the PLC stub, and one output that a run can switch; on any loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bmsctl.domain.lease import Lease, LeaseBook
from bmsctl.domain.packml import Event, State
from bmsctl.drivers.plc import CanPlc
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.scope import RunScope
from bmsctl.stations.sequencer import RunEnd, Sequencer
from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.plc import PlcStub
from firmware_stubs.population import facts_of
from firmware_stubs.sim.wire import SimCan

TOKEN = 4711


class Output:
    """A source that energises: every command is on record, ON needs a lease."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def on(self, lease: Lease) -> None:
        lease.check()
        self.commands.append("ON")

    def off(self) -> None:
        self.commands.append("OFF")

    def on_after_off(self) -> int:
        """ON commands after the last OFF."""
        if "OFF" not in self.commands:
            return 0
        last = len(self.commands) - 1 - self.commands[::-1].index("OFF")
        return self.commands[last:].count("ON")


class SafeAction:
    """The safety action of the bench: output off, PLC permit dropped, and 0.2 s until it is proved."""

    def __init__(self, plc: CanPlc, output: Output) -> None:
        self._plc = plc
        self._output = output
        self.duration_s = 0.2
        self.voltage_free = True
        self.runs = 0

    def ask_off(self) -> None:
        self._output.off()
        self._plc.drop_permit()

    async def run(self) -> SafeReport:
        self.runs += 1
        await asyncio.sleep(self.duration_s)
        return SafeReport(self.voltage_free, 0.0)


@dataclass
class Work:
    """A job whose run is any coroutine of (bench, lease, scope)."""

    bench: Bench
    body: Callable[[Bench, Lease, RunScope], Awaitable[None]]
    max_s: float = 60.0
    ends: list[RunEnd] = field(default_factory=list)

    async def prepare(self, scope: RunScope) -> None:
        self.lease = self.bench.leases.grant("source", 1.0)
        await self.bench.plc.permit(self.lease, TOKEN)

    async def execute(self, scope: RunScope) -> None:
        scope.begin_step("work", self.max_s, [self.lease])
        self.bench.output.on(self.lease)
        await self.body(self.bench, self.lease, scope)
        scope.end_step()

    def safing(self) -> None:
        """Nobody looks on."""

    async def close(self, end: RunEnd, safe: SafeReport) -> RunEnd:
        self.ends.append(end)
        return end


class Bench:
    """Build inside a running loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.can = SimCan("plc")
        self.plant = Plant(facts_of("AS52"), PlantCondition(), 0)
        self.energy: list[tuple[float, bool]] = []
        self.port = self.can.ecu("plc")
        self.stub = PlcStub(
            self.port,
            self.plant,
            0,
            on_supply=lambda kl30, kl15: None,
            on_energy=lambda on: self.energy.append((loop.time(), on)),
        )
        self.plc = CanPlc(self.can.station)
        self.output = Output()
        self.leases = LeaseBook(loop.time)
        self.safe = SafeAction(self.plc, self.output)
        self.sequencer = Sequencer(self.plc, self.leases, self.safe, loop.time)  # type: ignore[arg-type]
        self.owner = loop.create_task(self.sequencer.own())

    async def start(self, body: Callable[[Bench, Lease, RunScope], Awaitable[None]], max_s: float = 60.0) -> Work:
        """Bring the station to Idle and start a run."""
        await self.sequencer.command(Event.RESET)
        await self.sequencer.until(State.IDLE)
        work = Work(self, body, max_s)
        self.outcome = await self.sequencer.start(work)
        await self.sequencer.until(State.EXECUTE, State.COMPLETE, State.ABORTED)
        return work

    async def end(self, within_s: float = 10.0) -> RunEnd:
        """How the run ended."""
        async with asyncio.timeout(within_s):
            end: RunEnd = await self.outcome
        return end

    def energy_off_s(self) -> float:
        """When the PLC last removed energy."""
        return next(t_s for t_s, on in reversed(self.energy) if not on)
