"""What a BMS measures of its pack: the plant seen through sensors with errors of their own.

Systematic errors belong to the unit and are drawn once; noise belongs to a sample, numbered by its time.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from bmsctl.domain.ports import F64, Relay
from bmsctl.protocols.bms_broadcast import Taps
from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.noise import Noise, draw
from firmware_stubs.plant import Element, Node

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

DEVIATIONS_MAX = 3.0


class BmsPlant(Protocol):
    """The part of a pack that its BMS touches. The interlock loop is asked for past times too."""

    def relay_command(self, t_s: float, relay: Relay, closed: bool) -> None: ...
    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...
    def bleed(self, t_s: float, cells: int) -> None: ...
    def hvil_closed(self, t_s: float) -> bool: ...
    def voltage(self, t_s: float, a: Node, b: Node) -> float: ...
    def cell_voltage_v(self, t_s: float) -> F64: ...
    def temperature_c(self, t_s: float) -> F64: ...
    def pack_current_a(self, t_s: float) -> float: ...
    def charge_ah(self, t_s: float) -> float: ...
    def busbar_voltage_v(self, t_s: float) -> F64: ...
    def insulation_ohm(self) -> tuple[float, float]: ...


def clipped(deviate: float) -> float:
    """A deviate, held within what units are sorted to."""
    return max(-DEVIATIONS_MAX, min(DEVIATIONS_MAX, float(deviate)))


class FrontEnd:
    """The sensors of one unit, and the switches between them and the pack. `dividers`: whether those are connected."""

    def __init__(self, plant: BmsPlant, condition: BmsCondition, seed: int) -> None:
        self._plant = plant
        self.dividers = True
        self.series = series = len(plant.cell_voltage_v(0.0))
        self.thermistors = thermistors = len(plant.temperature_c(0.0))
        self.busbars = busbars = len(plant.busbar_voltage_v(0.0))
        afes = -(-series // AFE_CHANNELS)
        afe_of = np.arange(series) // AFE_CHANNELS
        channel_v = CELL_SD_V * draw(seed, "bms.cell_error").standard_normal(series)
        self._cell_error_v = channel_v + (AFE_SD_V * draw(seed, "bms.afe_error").standard_normal(afes))[afe_of]
        self._cell_drift_v_per_k = (AFE_DRIFT_V_PER_K * draw(seed, "bms.afe_drift").standard_normal(afes))[afe_of]
        self._tap_gain = (1.0 + TAP_GAIN_SD * draw(seed, "bms.tap_gain").standard_normal(4)).tolist()
        error = draw(seed, "bms.current_error").standard_normal(2)
        self._current_gain = condition.current_gain * (1.0 + CURRENT_GAIN_SD * float(error[0]))
        self._current_offset_a = condition.current_offset_a + CURRENT_OFFSET_SD_A * float(error[1])
        self._thermistor_error_k = THERMISTOR_SD_K * draw(seed, "bms.thermistor_error").standard_normal(thermistors)
        for sensor, offset_k in condition.sensor_offset_k.items():
            self._thermistor_error_k[sensor - 1] += offset_k
        for sensor in condition.sensor_open:
            self._thermistor_error_k[sensor - 1] = np.nan
        self._busbar_error_v = BUSBAR_SD_V * draw(seed, "bms.busbar_error").standard_normal(busbars)
        self._cell_noise = Noise(seed, "bms.cell", 2 * series)
        self._tap_noise = Noise(seed, "bms.tap")
        self._current_noise = Noise(seed, "bms.current")
        self._thermistor_noise = Noise(seed, "bms.thermistor")
        self._busbar_noise = Noise(seed, "bms.busbar")

    def cell_v(self, t_s: float) -> F64:
        """(series,) cell-group voltages, NaN behind an open wire."""
        warmth_k = float(self._plant.temperature_c(t_s).sum()) / self.thermistors - CALIBRATED_AT_C
        noise_v = CELL_NOISE_V * self._cell_noise.normal(self.series * int(t_s / CELL_PERIOD_S), self.series)
        measured_v: F64 = self._plant.cell_voltage_v(t_s) + noise_v
        measured_v += self._cell_error_v
        measured_v += self._cell_drift_v_per_k * warmth_k
        return measured_v

    def taps(self, t_s: float) -> Taps:
        """Stack, outer plus and outer minus against B-, and the link; only the stack without dividers."""
        voltage = self._plant.voltage
        first = 4 * int(t_s / TAP_PERIOD_S)
        stack_v = voltage(t_s, Node.B_PLUS, Node.B_MINUS)
        if not self.dividers:
            return Taps(self._tap_gain[0] * stack_v + TAP_NOISE_V * self._tap_noise.one(first), None, None, None)
        p_v, n_v = voltage(t_s, Node.P, Node.B_MINUS), voltage(t_s, Node.N, Node.B_MINUS)
        true_v = (stack_v, p_v, n_v, p_v - n_v)
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

    def charge_ah(self, t_s: float) -> float:
        """Integral of the current as measured, from a beginning of its own; into the pack counts positive."""
        return self._current_gain * self._plant.charge_ah(t_s) + self._current_offset_a * t_s / 3600.0

    def temperature_c(self, t_s: float) -> F64:
        """(thermistors,) temperatures, NaN for an open sensor."""
        true_c = self._plant.temperature_c(t_s)
        noise = self._thermistor_noise.normal(len(true_c) * int(t_s / TEMPERATURE_PERIOD_S), len(true_c))
        return true_c + self._thermistor_error_k + THERMISTOR_NOISE_K * noise

    def busbar_v(self, t_s: float) -> F64:
        """(modules - 1,) voltages along the inter-module bars."""
        true_v = self._plant.busbar_voltage_v(t_s)
        noise = self._busbar_noise.normal(self.busbars * int(t_s / BUSBAR_PERIOD_S), self.busbars)
        return true_v + self._busbar_error_v + BUSBAR_NOISE_V * noise

    def connect_dividers(self, t_s: float, on: bool) -> None:
        """Connect or disconnect the dividers of the outer poles."""
        self.dividers = on
        self._plant.switch(t_s, Element.DIVIDERS, on)

    def balance(self, t_s: float, cells: int) -> None:
        """Close exactly these balancing switches, cell 1 the lowest bit."""
        self._plant.bleed(t_s, cells)
