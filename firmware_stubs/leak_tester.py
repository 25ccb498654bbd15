"""Firmware of the leak tester, and the air in what it tests.

Filling compresses the air and heats it; the regulator then holds the pressure while the air cools and the walls give
way. From the end of filling on the volume is shut: its pressure falls by what leaks, by the rest of cooling and
creeping, by the drift of the hall's temperature, and, being gauge, by that of the atmosphere. All of it is a closed
form in time. What the transducers add is drawn per test and per sample: a test of the same part at the same moment
is the same, however often it is read.
"""

from __future__ import annotations

import asyncio
import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bmsctl.protocols import leak_tester, modbus_rtu
from bmsctl.protocols.leak_tester import Phase, Result, Sample, Settings, StatusBlock
from bmsctl.protocols.modbus_rtu import READING, ExceptionCode, Function, Request, Requests
from firmware_stubs.noise import Noise, draw
from firmware_stubs.ports import SerialPort

F64 = NDArray[np.float64]

IDENTITY = "Leaktest,PD4,PD4-000117,1.4.2"
LATENCY_S = (0.006, 0.018)
CHANNELS = 4
PRESSURE_PA = (-80e3, 600e3)

STANDARD_PA = 101_325.0
KELVIN = 273.15
MINUTE_S = 60.0
SUPPLY_M3_PER_S = 2e-3
"""Of air under standard conditions through the wide-open regulator."""
HEATED_SHARE = 0.1
"""Of the adiabatic rise; the walls take the rest meanwhile."""
ADIABATIC = 0.4 / 1.4
COOLING_S = 5.0
CREEP_S = 8.0
VENTING_S = 0.6
NOTHING_SHARE = 0.01
"""Of the test pressure: less, and filling is given up."""

ATMOSPHERE_PA = (98e3, 103e3)
ATMOSPHERE_DRIFT_PA, HALL_DRIFT_K = 3.0, 0.02
"""Standard deviations over a minute, of what really happens."""
BAROMETER_DRIFT_PA, THERMOMETER_DRIFT_K = 1.0, 0.005
"""... and of what the tester does not see of it, or sees that is not there."""
GAIN_SD = 1e-3
NOISE_PA = 0.3

HALL_K = 296.15


class Part(NamedTuple):
    """What is coupled to a channel.

    The leak's flow is in standard cm3/min under `nominal_pa` gauge and in proportion to the pressure otherwise.
    `compliance_m3_per_pa`: by how much the walls give way, per gauge pressure, creeping; what they give way at once is
    part of the volume.
    """

    volume_m3: float
    leak_cm3_per_min: float
    nominal_pa: float
    compliance_m3_per_pa: float = 0.0
    temperature_k: float = HALL_K


class Volume(Protocol):
    """What the channels are coupled to."""

    def part(self, channel: int) -> Part | None:
        """What is coupled to a channel (from 1); None: nothing, or it is open."""
        ...


class Weather(NamedTuple):
    """The atmosphere, and drifts over a minute: real ones, and those of barometer and thermometer."""

    atmosphere_pa: float
    atmosphere_drift_pa: float
    hall_drift_k: float
    barometer_drift_pa: float
    thermometer_drift_k: float


class Air:
    """The air in a part from the beginning of filling, at time 0, until it is vented."""

    def __init__(self, part: Part, settings: Settings, weather: Weather) -> None:
        self._part, self._weather = part, weather
        self._fill_s = settings.fill_s
        self._sign = math.copysign(1.0, settings.pressure_pa)
        pa_per_m3 = STANDARD_PA / part.volume_m3
        leak_m3_per_s_pa = part.leak_cm3_per_min * 1e-6 / MINUTE_S / abs(part.nominal_pa)
        self._leak_per_s = leak_m3_per_s_pa * pa_per_m3
        self._ramp_pa_per_s = SUPPLY_M3_PER_S * pa_per_m3
        self._ramp_s = min(self._time_to(abs(settings.pressure_pa)), settings.fill_s)
        self.filled_pa = float(self._ramp_pa(np.array(self._ramp_s)))
        """Magnitude of the gauge pressure when filling ends."""
        ratio = 1.0 + self._sign * self.filled_pa / weather.atmosphere_pa
        self._heated_k = HEATED_SHARE * part.temperature_k * (ratio**ADIABATIC - 1.0)
        end = np.array(settings.fill_s)
        absolute_pa = self._atmosphere_pa(end) + self._sign * self.filled_pa
        self._content = float(absolute_pa * self._volume_m3(end) / self.temperature_k(end))

    def gauge_pa(self, time_s: F64) -> F64:
        """Gauge pressure at times, (n,)."""
        ramp = self._sign * np.minimum(self._ramp_pa(np.minimum(time_s, self._ramp_s)), self.filled_pa)
        absolute_pa = self._content * self.temperature_k(time_s) / self._volume_m3(time_s)
        tight_pa = absolute_pa - self._atmosphere_pa(time_s)
        # What cooling and creeping do to the pressure is levelled out by the leak as well.
        shut = tight_pa * np.exp(-self._leak_per_s * np.maximum(time_s - self._fill_s, 0.0))
        gauge: F64 = np.where(time_s <= self._fill_s, ramp, shut)
        return gauge

    def temperature_k(self, time_s: F64) -> F64:
        """Temperature of the air once it is at pressure, (n,)."""
        drift_k = self._weather.hall_drift_k * time_s / MINUTE_S
        cooled: F64 = np.exp(-np.maximum(time_s - self._ramp_s, 0.0) / COOLING_S)
        kelvin: F64 = self._part.temperature_k + drift_k + self._heated_k * cooled
        return kelvin

    def samples(self, first: int, count: int, gain: float, noise: F64) -> list[Sample]:
        """Samples as the tester shows them; `noise` (count,) standard deviates."""
        since_s = leak_tester.SAMPLE_S * np.arange(first, first + count, dtype=np.float64)
        time_s = self._fill_s + since_s
        pressure_pa = gain * self.gauge_pa(time_s) + NOISE_PA * noise
        seen_k = self.temperature_k(time_s) + self._weather.thermometer_drift_k * since_s / MINUTE_S
        seen_pa = self._atmosphere_pa(time_s) + self._weather.barometer_drift_pa * since_s / MINUTE_S
        return [Sample(*each) for each in np.column_stack((pressure_pa, seen_k - KELVIN, seen_pa)).tolist()]

    def _atmosphere_pa(self, time_s: F64) -> F64:
        return self._weather.atmosphere_pa + self._weather.atmosphere_drift_pa * time_s / MINUTE_S

    def _volume_m3(self, time_s: F64) -> F64:
        crept: F64 = 1.0 - np.exp(-np.maximum(time_s - self._ramp_s, 0.0) / CREEP_S)
        return self._part.volume_m3 + self._sign * self.filled_pa * self._part.compliance_m3_per_pa * crept

    def _ramp_pa(self, time_s: F64) -> F64:
        """Magnitude of the gauge pressure while the regulator is wide open."""
        if self._leak_per_s == 0.0:
            return self._ramp_pa_per_s * time_s
        ramp: F64 = self._ramp_pa_per_s / self._leak_per_s * -np.expm1(-self._leak_per_s * time_s)
        return ramp

    def _time_to(self, magnitude_pa: float) -> float:
        """When the regulator has reached a pressure; infinite if the leak lets out as much before."""
        if self._leak_per_s == 0.0:
            return magnitude_pa / self._ramp_pa_per_s
        left = 1.0 - magnitude_pa * self._leak_per_s / self._ramp_pa_per_s
        return -math.log(left) / self._leak_per_s if left > 0.0 else math.inf


class _Run:
    """One test, from its start at loop time `begun_s`: what it does when. Without `air` nothing holds any pressure."""

    def __init__(self, settings: Settings, air: Air | None, begun_s: float) -> None:
        self.settings, self.air, self.begun_s = settings, air, begun_s
        self._wanted_pa = abs(settings.pressure_pa)
        self._filled_pa = 0.0 if air is None else air.filled_pa
        self._nothing = self._filled_pa < NOTHING_SHARE * self._wanted_pa
        self._stopped = False
        self._tested_s = settings.fill_s + settings.settle_s
        self._vent_at(settings.fill_s if self._nothing else self._tested_s + settings.test_s)

    def stop(self, now_s: float) -> None:
        """Vent now, unless it already does."""
        if now_s - self.begun_s < self._vent_s:
            self._stopped = True
            self._vent_at(now_s - self.begun_s)

    def phase(self, now_s: float) -> Phase:
        """What it is about."""
        time_s = now_s - self.begun_s
        if time_s >= self._vent_s:
            return Phase.VENT if time_s < self._vented_s else Phase.VENTED
        if time_s < self.settings.fill_s:
            return Phase.FILL
        return Phase.SETTLE if time_s < self._tested_s else Phase.TEST

    def result(self, now_s: float) -> Result:
        """How it has ended."""
        if self._stopped:
            return Result.STOPPED
        if self.phase(now_s) is not Phase.VENTED:
            return Result.NONE
        if self._nothing:
            return Result.NO_PRESSURE
        whole = self._filled_pa >= leak_tester.FILLED_SHARE * self._wanted_pa
        return Result.DONE if whole else Result.GROSS_LEAK

    def gauge_pa(self, now_s: float) -> float:
        """True pressure in the part."""
        time_s = now_s - self.begun_s
        shut_pa = self._shut_pa(min(time_s, self._vent_s))
        return shut_pa * math.exp(-max(time_s - self._vent_s, 0.0) / VENTING_S)

    def taken(self, now_s: float) -> int:
        """Samples taken so far."""
        since_s = min(now_s - self.begun_s, self._vent_s) - self.settings.fill_s
        if self._nothing or since_s < 0.0:
            return 0
        return min(int(since_s / leak_tester.SAMPLE_S + 1e-6) + 1, self.settings.samples)

    def _vent_at(self, time_s: float) -> None:
        self._vent_s = time_s
        above = abs(self._shut_pa(time_s)) / leak_tester.VENTED_PA
        self._vented_s = time_s + VENTING_S * math.log(max(above, 1.0))

    def _shut_pa(self, time_s: float) -> float:
        return 0.0 if self.air is None else float(self.air.gauge_pa(np.array([time_s]))[0])


class _No(Exception):
    """A request that is refused."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code)
        self.code = code


class LeakTesterStub:
    """One leak tester on a serial line; build it inside a running loop."""

    def __init__(self, port: SerialPort, volume: Volume, seed: int) -> None:
        self._port, self._volume = port, volume
        self._loop = asyncio.get_running_loop()
        self._latencies = draw(seed, "leak_tester.latency")
        self._gain = 1.0 + GAIN_SD * float(draw(seed, "leak_tester.gain").standard_normal())
        self._atmosphere_pa = float(draw(seed, "leak_tester.atmosphere").uniform(*ATMOSPHERE_PA))
        self._weather = Noise(seed, "leak_tester.weather")
        self._noise = Noise(seed, "leak_tester.pressure")
        self._requests = Requests(leak_tester.UNIT)
        self._run: _Run | None = None
        self._holding = [0] * leak_tester.HOLDING_COUNT
        port.listen(self._take)

    @property
    def gauge_pa(self) -> float:
        """True gauge pressure in the part under test; 0 without one."""
        return 0.0 if self._run is None else self._run.gauge_pa(self._loop.time())

    def restart(self) -> None:
        """Its supply failed and came back: the valves have vented, all registers are 0."""
        self._requests = Requests(leak_tester.UNIT)
        self._run = None
        self._holding = [0] * leak_tester.HOLDING_COUNT

    def _take(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            try:
                answer = modbus_rtu.encode_reply(request, self._obey(request))
            except _No as no:
                answer = modbus_rtu.encode_exception(request, no.code)
            self._port.emit(answer, float(self._latencies.uniform(*LATENCY_S)))

    def _obey(self, request: Request) -> tuple[int, ...]:
        """Registers read; nothing for a write. Raises _No."""
        first, end = request.address, request.address + request.length
        if request.function is Function.READ_INPUT:
            block = self._block(first)
            if request.length > len(block):
                raise _No(ExceptionCode.ILLEGAL_ADDRESS)
            return block[: request.length]
        if end > leak_tester.HOLDING_COUNT:
            raise _No(ExceptionCode.ILLEGAL_ADDRESS)
        if request.function not in READING:
            self._write(first, end, request.values)
            return ()
        return tuple(self._holding[first:end])

    def _write(self, first: int, end: int, values: tuple[int, ...]) -> None:
        registers = [*self._holding[:first], *values, *self._holding[end:]]
        settings = leak_tester.decode_settings(registers[leak_tester.SETTINGS :])
        number = registers[leak_tester.TEST]
        starts = number not in (leak_tester.STOP, self._holding[leak_tester.TEST])
        now_s = self._loop.time()
        if end > leak_tester.SETTINGS or starts:
            if self._run is not None and self._run.phase(now_s) is not Phase.VENTED:
                raise _No(ExceptionCode.BUSY)
            if not _possible(settings):
                raise _No(ExceptionCode.ILLEGAL_VALUE)
        self._holding = registers
        if starts:
            self._run = _Run(settings, self._fill(settings, now_s), now_s)
        elif number == leak_tester.STOP and self._run is not None:
            self._run.stop(now_s)

    def _fill(self, settings: Settings, now_s: float) -> Air | None:
        part = self._volume.part(settings.channel)
        if part is None:
            return None
        normal = self._weather.normal(4 * int(now_s * 1e3), 4)
        drifts = normal * (ATMOSPHERE_DRIFT_PA, HALL_DRIFT_K, BAROMETER_DRIFT_PA, THERMOMETER_DRIFT_K)
        return Air(part, settings, Weather(self._atmosphere_pa, *drifts.tolist()))

    def _block(self, address: int) -> tuple[int, ...]:
        tag = self._holding[leak_tester.TAG]
        if address == leak_tester.IDENTITY:
            return leak_tester.encode_identity(tag, IDENTITY)
        if address == leak_tester.STATUS:
            return leak_tester.encode_status(self._status(tag))
        raise _No(ExceptionCode.ILLEGAL_ADDRESS)

    def _status(self, tag: int) -> StatusBlock:
        number, first = self._holding[leak_tester.TEST], self._holding[leak_tester.FIRST]
        run, now_s = self._run, self._loop.time()
        if run is None:
            return StatusBlock(tag, number, Phase.VENTED, Result.NONE, 0.0, 0, first, ())
        taken = run.taken(now_s)
        count = min(max(taken - first, 0), leak_tester.PAGE)
        samples: list[Sample] = []
        if count and run.air is not None:
            noise = self._noise.normal(int(run.begun_s * 1e3) + first, count)
            samples = run.air.samples(first, count, self._gain, noise)
        shown_pa = self._gain * run.gauge_pa(now_s)
        return StatusBlock(tag, number, run.phase(now_s), run.result(now_s), shown_pa, taken, first, tuple(samples))


def _possible(settings: Settings) -> bool:
    """Whether the tester can do this."""
    low_pa, high_pa = PRESSURE_PA
    times = min(settings.fill_s, settings.test_s) > 0.0 and settings.samples <= leak_tester.SAMPLES_MAX
    return 1 <= settings.channel <= CHANNELS and low_pa <= settings.pressure_pa <= high_pa and times
