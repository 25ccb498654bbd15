"""What a BMS measures of its pack: the plant seen through sensors with errors of their own.

Systematic errors belong to the unit and are drawn once; noise belongs to a sample, numbered by its time.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from bmsctl.domain.ports import F64, Relay
from bmsctl.protocols.bms_broadcast import Taps
from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Node

CELL_SD_V = 0.6e-3
AFE_SD_V = 0.4e-3
AFE_CHANNELS = 16
AFE_DRIFT_V_PER_K = 0.1e-3
CALIBRATED_AT_C = 25.0
CELL_NOISE_V = 0.3e-3
TAP_GAIN_SD = 0.0015
TAP_NOISE_V = 0.03
CURRENT_GAIN_SD = 0.0015
CURRENT_OFFSET_SD_A = 0.02
CURRENT_NOISE_A = 0.05
THERMISTOR_SD_K = 0.4
THERMISTOR_NOISE_K = 0.05
BUSBAR_SD_V = 0.1e-3
BUSBAR_NOISE_V = 0.1e-3

CELL_PERIOD_S = 0.1
TAP_PERIOD_S = 0.02
CURRENT_PERIOD_S = 0.01
TEMPERATURE_PERIOD_S = 1.0
BUSBAR_PERIOD_S = 0.1


class BmsPlant(Protocol):
    """The part of a pack that its BMS touches."""

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None: ...
    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...
    def cell_voltage_v(self, t_s: float) -> F64: ...
    def temperature_c(self, t_s: float) -> F64: ...
    def pack_current_a(self, t_s: float) -> float: ...
    def busbar_voltage_v(self, t_s: float) -> F64: ...
    def insulation_ohm(self) -> tuple[float, float]: ...


class View(NamedTuple):
    """Everything measured at one moment; cells and temperatures NaN where a wire is open."""

    cell_v: F64
    temperature_c: F64
    taps: Taps
    current_a: float
    insulation_ohm: float | None


class FrontEnd:
    """The sensors of one unit."""

    def __init__(self, plant: BmsPlant, seed: int) -> None:
        self._plant = plant
        self.series = series = len(plant.cell_voltage_v(0.0))
        self.thermistors = thermistors = len(plant.temperature_c(0.0))
        self.busbars = busbars = len(plant.busbar_voltage_v(0.0))
        afes = -(-series // AFE_CHANNELS)
        self._cell_error_v = CELL_SD_V * draw(seed, "bms.cell_error").standard_normal(series)
        self._afe_error_v = AFE_SD_V * draw(seed, "bms.afe_error").standard_normal(afes)
        self._afe_drift_v_per_k = AFE_DRIFT_V_PER_K * draw(seed, "bms.afe_drift").standard_normal(afes)
        self._afe_of = np.arange(series) // AFE_CHANNELS
        self._tap_gain = (1.0 + TAP_GAIN_SD * draw(seed, "bms.tap_gain").standard_normal(4)).tolist()
        error = draw(seed, "bms.current_error").standard_normal(2)
        self._current_gain = 1.0 + CURRENT_GAIN_SD * float(error[0])
        self._current_offset_a = CURRENT_OFFSET_SD_A * float(error[1])
        self._thermistor_error_k = THERMISTOR_SD_K * draw(seed, "bms.thermistor_error").standard_normal(thermistors)
        self._busbar_error_v = BUSBAR_SD_V * draw(seed, "bms.busbar_error").standard_normal(busbars)
        self._cell_noise = Noise(seed, "bms.cell")
        self._tap_noise = Noise(seed, "bms.tap")
        self._current_noise = Noise(seed, "bms.current")
        self._thermistor_noise = Noise(seed, "bms.thermistor")
        self._busbar_noise = Noise(seed, "bms.busbar")

    def cell_v(self, t_s: float) -> F64:
        """(series,) cell-group voltages."""
        true_v = self._plant.cell_voltage_v(t_s)
        warmth_k = _mean(self._plant.temperature_c(t_s)) - CALIBRATED_AT_C
        afe_v = (self._afe_error_v + self._afe_drift_v_per_k * warmth_k)[self._afe_of]
        noise = self._cell_noise.normal(len(true_v) * int(t_s / CELL_PERIOD_S), len(true_v))
        return true_v + self._cell_error_v + afe_v + CELL_NOISE_V * noise

    def taps(self, t_s: float) -> Taps:
        """Stack, outer plus and outer minus against B-, and the link."""
        voltage = self._plant.voltage
        p_v, n_v = voltage(t_s, Node.P, Node.B_MINUS), voltage(t_s, Node.N, Node.B_MINUS)
        first = 4 * int(t_s / TAP_PERIOD_S)
        true_v = (voltage(t_s, Node.B_PLUS, Node.B_MINUS), p_v, n_v, p_v - n_v)
        return Taps(
            *(
                gain * volt + TAP_NOISE_V * self._tap_noise.one(first + index)
                for index, (gain, volt) in enumerate(zip(self._tap_gain, true_v, strict=True))
            )
        )

    def current_a(self, t_s: float) -> float:
        """Pack current, charge positive."""
        noise_a = CURRENT_NOISE_A * self._current_noise.one(int(t_s / CURRENT_PERIOD_S))
        return self._current_gain * self._plant.pack_current_a(t_s) + self._current_offset_a + noise_a

    def temperature_c(self, t_s: float) -> F64:
        """(thermistors,) temperatures."""
        true_c = self._plant.temperature_c(t_s)
        noise = self._thermistor_noise.normal(len(true_c) * int(t_s / TEMPERATURE_PERIOD_S), len(true_c))
        return true_c + self._thermistor_error_k + THERMISTOR_NOISE_K * noise

    def busbar_v(self, t_s: float) -> F64:
        """(modules - 1,) voltages along the inter-module bars."""
        true_v = self._plant.busbar_voltage_v(t_s)
        noise = self._busbar_noise.normal(self.busbars * int(t_s / BUSBAR_PERIOD_S), self.busbars)
        return true_v + self._busbar_error_v + BUSBAR_NOISE_V * noise

    def view(self, t_s: float, insulation_ohm: float | None) -> View:
        """All of it, with what the insulation monitor says."""
        return View(self.cell_v(t_s), self.temperature_c(t_s), self.taps(t_s), self.current_a(t_s), insulation_ohm)


def _mean(values: F64) -> float:
    """Mean of those that are not NaN."""
    known = ~np.isnan(values)
    return float(np.where(known, values, 0.0).sum()) / int(np.count_nonzero(known))
