"""A live pack on the bench: poles with insulation and Y capacitance, cells with resistance, sensors with errors.

What is dangerous raises AssertionError: a contact that opens under current, current without contactors, main plus
closed onto poles that have not followed, and a route moved under voltage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import (
    F64,
    BmsTaps,
    CellSnapshot,
    CyclerReading,
    DigitizerReading,
    PackSample,
    Recording,
    Relay,
    Resistor,
    Route,
)
from bmsctl.domain.units import Ampere, Ohm, Second, Volt
from bmsctl.errors import DeviceError, DeviceTimeout, StepInvalid
from bmsctl.stations.eol.context import StepContext
from bmsctl.stations.eol.devices import Devices
from firmware_stubs.sim.loop import new_loop
from tests.reference.balancing_channels import read_volts
from tests.reference.insulation import recorded
from tests.support.fake_devices import Fake, FakeBench, FakeBms, FakeDigitizer, FakeMatrix, FakePlc, Outcome

RATE_HZ = 10_000.0
EDGE_S, CONFIRM_S = 0.002, 0.004
METER_OHM, TEST_OHM, REFERENCE_OHM = 10e6, 180e3, 350e3
BREAK_A = 10.0
BLEED_A, WIRE_OHM, CHIP = 0.11, 0.03, 16

StepBody = Callable[[StepContext], Any]


class LivePack:
    """True values; the devices read them. `left_v`: what is left at open poles, and at the link."""

    def __init__(self) -> None:
        self.rest_v: F64 = np.full(96, 3.6)
        self.cell_ohm: F64 = np.full(96, 0.55e-3)
        self.bar_ohm: F64 = np.full(3, 80e-6)
        self.other_ohm = 4e-3
        self.plus_ohm = self.minus_ohm = 20e6
        self.y_farad = 0.33e-6
        self.soc = 25.0
        self.capacity_ah = 157.0
        self.ah = 0.0
        self.current_a = 0.0
        self.since_s = 0.0
        self.left_v = (0.0, 0.0)
        self.stuck_on: Set[int] = frozenset()
        self.stuck_off: Set[int] = frozenset()
        self.bleeding: Set[int] = frozenset()

    def flow(self, now_s: float, amps: float) -> None:
        """From now on this current charges the pack."""
        self.count(now_s)
        self.current_a = amps

    def count(self, now_s: float) -> float:
        """Charge since the beginning, Ah."""
        self.ah += (now_s - self.since_s) / 3600.0 * self.current_a
        self.since_s = now_s
        return self.ah

    def cell_v(self) -> F64:
        """(96,) as the monitoring chips read them."""
        bleeding = {cell - 1 for cell in (self.bleeding | self.stuck_on) - self.stuck_off}
        true_v = self.rest_v + self.current_a * self.cell_ohm
        return np.array(read_volts(true_v.tolist(), bleeding, BLEED_A, WIRE_OHM, CHIP)) if bleeding else true_v

    def pole_v(self) -> float:
        """Plus to minus."""
        return float(np.nansum(self.rest_v + self.current_a * self.cell_ohm)) + self.current_a * self.other_ohm


class LivePlc(FakePlc):
    """Its permissive is the cycler's enable."""

    permitted = True

    def drop_permit(self) -> None:
        self.told("drop_permit")
        self.permitted = False
        live(self.bench).pack.flow(self.bench.now(), 0.0)


class LiveMatrix(FakeMatrix):
    """Refuses nothing; a hot move is the test's failure."""

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        left_v = live(self.bench).pack.left_v
        assert routes == self.routes or max(map(abs, left_v)) < 60.0, "a route moved under voltage"
        await super().connect(lease, routes)

    async def await_routes(self, routes: Set[Route], within: Second) -> None:
        if routes != self.routes:
            await asyncio.sleep(within)
            raise DeviceTimeout("matrix", "no such feedback")


class LiveBms(FakeBms):
    """`gain`, `offset_a`: its current sensor. `imd_gain`: its monitor. `followed`: poles by precharge."""

    gain, offset_a = 1.0, 0.0
    imd_gain = 1.0
    imd_on = True
    followed = True

    @property
    def pack(self) -> LivePack:
        return live(self.bench).pack

    def shown_a(self) -> float:
        """What its current sensor shows."""
        return self.gain * self.pack.current_a + self.offset_a

    async def set_relays(self, lease: Lease, closed: Set[Relay]) -> None:
        if Relay.MAIN_PLUS in closed and Relay.MAIN_PLUS not in self.closed:
            assert self.closed == {Relay.MAIN_MINUS, Relay.PRECHARGE}
            assert self.followed, "main plus closed onto poles that have not followed"
        self._require_cold(closed)
        await super().set_relays(lease, closed)

    def open_relays(self) -> None:
        self._require_cold(frozenset())
        super().open_relays()

    def _require_cold(self, closed: Set[Relay]) -> None:
        if self.closed - closed - {Relay.PRECHARGE}:
            assert abs(self.pack.current_a) < BREAK_A, "a contact opened under current"

    async def taps(self, lease: Lease) -> BmsTaps:
        self.told("taps", lease=lease)
        return BmsTaps(Volt(self.pack.pole_v()), None, None, None, self.bench.now())

    async def current(self, lease: Lease) -> Ampere:
        self.told("current", lease=lease)
        return Ampere(self.shown_a())

    def newest_current(self) -> tuple[Ampere, float] | None:
        return Ampere(self.shown_a()), self.bench.now()

    async def samples(self, lease: Lease, n: int) -> Sequence[PackSample]:
        self.told("samples", n, lease=lease)
        samples = []
        for _ in range(n):
            await asyncio.sleep(0.1)
            busbar_v = self.pack.bar_ohm * self.pack.current_a
            samples.append(PackSample(self.pack.cell_v(), busbar_v, self.shown_a(), self.bench.now()))
        return samples

    async def cells(self, lease: Lease, n: int) -> Sequence[CellSnapshot]:
        self.told("cells", n, lease=lease)
        await asyncio.sleep(0.1 * n)
        return [CellSnapshot(self.pack.cell_v(), self.bench.now())] * n

    async def soc(self, lease: Lease) -> tuple[float, float]:
        self.told("soc", lease=lease)
        ah = self.pack.count(self.bench.now())
        return self.pack.soc + 100.0 * self.gain * ah / self.pack.capacity_ah, ah

    async def balance(self, lease: Lease, cells: Set[int]) -> None:
        self.told("balance", frozenset(cells), lease=lease)
        await asyncio.sleep(0.1)
        self.pack.bleeding = frozenset(cells)

    async def imd_enable(self, lease: Lease, on: bool) -> None:
        self.told("imd_enable", on, lease=lease)
        self.imd_on = on

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        self.told("imd", lease=lease)
        assert self.imd_on
        await asyncio.sleep(10.0)
        plus_s, minus_s = live(self.bench).digitizer.conductances()
        return Ohm(self.imd_gain / (plus_s + minus_s))


class LiveDigitizer(FakeDigitizer):
    """Records by the exact step response. `missing`: resistors whose relay only says that it moved."""

    resistor: Resistor | None = None
    missing: Set[Resistor] = frozenset()
    noise_v = 0.05

    def __init__(self, bench: FakeBench, device: str) -> None:
        super().__init__(bench, device)
        self._states: list[tuple[float, tuple[float, float]]] = []

    def conductances(self) -> tuple[float, float]:
        """Plus and minus pole to chassis, all included."""
        pack = live(self.bench).pack
        plus_s, minus_s = 1 / pack.plus_ohm + 1 / METER_OHM, 1 / pack.minus_ohm + 1 / METER_OHM
        inserted = None if self.resistor in self.missing else self.resistor
        plus_s += (inserted is Resistor.R0_PLUS) / TEST_OHM
        minus_s += (inserted is Resistor.R0_MINUS) / TEST_OHM + (inserted is Resistor.REFERENCE) / REFERENCE_OHM
        return plus_s, minus_s

    async def mean(self, lease: Lease, n: int) -> DigitizerReading:
        self.told("mean", n, lease=lease)
        await asyncio.sleep(n / RATE_HZ)
        pack, bms = live(self.bench).pack, live(self.bench).bms
        left_v, link_v = pack.left_v
        pole_v = left_v if not bms.closed else pack.pole_v() if bms.followed else 100.0
        return DigitizerReading(Volt(pole_v / 2), Volt(-pole_v / 2), Volt(link_v), Volt(0.05), n)

    async def start(self, lease: Lease) -> None:
        self.told("start", lease=lease)
        assert not live(self.bench).bms.imd_on, "the monitor disturbs the measurement"
        self._states = [(self.bench.now(), self.conductances())]

    async def insert(self, lease: Lease, resistor: Resistor | None) -> float:
        self.told("insert", resistor, lease=lease)
        await asyncio.sleep(EDGE_S)
        self.resistor = resistor
        self._states.append((self.bench.now(), self.conductances()))
        await asyncio.sleep(CONFIRM_S - EDGE_S)
        return self.bench.now()

    async def finish(self, lease: Lease) -> Recording:
        self.told("finish", lease=lease)
        times_s = [t_s for t_s, _ in self._states]
        lengths_s = np.diff([*times_s, self.bench.now()]).tolist()
        pack = live(self.bench).pack
        parts = recorded(pack.pole_v(), [state for _, state in self._states], pack.y_farad, lengths_s, RATE_HZ, 0.3)
        noise = self.noise_v * np.random.default_rng(3).standard_normal((2, sum(len(plus_v) for plus_v, _ in parts)))
        plus_v, minus_v = (np.concatenate([part[pole] for part in parts]) + noise[pole] for pole in (0, 1))
        return Recording(plus_v, minus_v, np.zeros(len(plus_v)), RATE_HZ, times_s[0])

    def stop(self) -> None:
        super().stop()
        self.resistor = None


class LiveCycler(Fake):
    """`hangs_at_s`: from then on it neither answers nor obeys. `share`: of the current asked for that it gives."""

    hangs_at_s = float("inf")
    share = 1.0
    output = False

    async def _answer(self) -> None:
        await asyncio.sleep(0.02)
        if self.bench.now() >= self.hangs_at_s:
            await asyncio.sleep(0.2)
            raise DeviceTimeout("cycler", "no answer")

    async def arm(self, lease: Lease, voltage_min: Volt, voltage_max: Volt, current_max: Ampere) -> None:
        self.told("arm", voltage_min, voltage_max, current_max, lease=lease)
        await self._answer()
        self.output = True

    async def set_current(self, lease: Lease, current: Ampere) -> float:
        self.told("set_current", current, lease=lease)
        await self._answer()
        assert self.output, "a current set with the output off"
        assert self.bench.bms.closed == {Relay.MAIN_PLUS, Relay.MAIN_MINUS}, "current without contactors"
        assert Route.CYCLER in self.bench.matrix.routes
        live(self.bench).pack.flow(self.bench.now(), self.share * current)
        return self.bench.now()

    async def read(self, lease: Lease) -> CyclerReading:
        self.told("read", lease=lease)
        await self._answer()
        pack = live(self.bench).pack
        return CyclerReading(Ampere(pack.current_a), Volt(pack.pole_v()), self.bench.now())

    async def disarm(self, lease: Lease) -> None:
        self.told("disarm", lease=lease)
        await self._answer()
        self.output = False
        live(self.bench).pack.flow(self.bench.now(), 0.0)

    def off(self) -> None:
        self.told("off")
        if self.bench.now() < self.hangs_at_s:
            self.output = False
            live(self.bench).pack.flow(self.bench.now(), 0.0)


class LiveBench(FakeBench):
    """The bench with a live pack; build it inside a running loop."""

    plc: LivePlc
    matrix: LiveMatrix
    bms: LiveBms
    digitizer: LiveDigitizer

    def __init__(self) -> None:
        super().__init__()
        self.pack = LivePack()
        self.plc = LivePlc(self, "plc")
        self.matrix = LiveMatrix(self, "matrix")
        self.bms = LiveBms(self, "bms")
        self.digitizer = LiveDigitizer(self, "digitizer")
        self.cycler = LiveCycler(self, "cycler")
        self.facts.temperature_c = 22.0

    def devices(self) -> Devices:
        cycler: Any = self.cycler
        return replace(super().devices(), cycler=cycler)

    def resting(self) -> bool:
        """Contactors open, no current, no resistor in."""
        return not self.bms.closed and self.pack.current_a == 0.0 and self.digitizer.resistor is None


def live(bench: FakeBench) -> LiveBench:
    """The bench of a live device."""
    assert isinstance(bench, LiveBench)
    return bench


def run_live(
    step: StepBody, run: str, script: Callable[[LiveBench], None] = lambda bench: None, **params: Any
) -> tuple[LiveBench, Outcome]:
    """Run one step on a fresh bench that `script` has prepared, as a run does."""

    async def main() -> tuple[LiveBench, Outcome]:
        bench = LiveBench()
        script(bench)
        context = bench.context(run, **params)
        error, started_s = None, bench.now()
        try:
            await step(context)
        except (DeviceError, StepInvalid) as caught:
            error = str(caught)
        verdicts = {name: measurement.verdict for name, measurement in context.measurements.items()}
        return bench, Outcome(bench, context, error, bench.now() - started_s, verdicts)

    loop = new_loop()
    bench, outcome = loop.run_until(main(), 3600.0)
    assert loop.errors == []
    return bench, outcome
