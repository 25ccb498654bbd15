"""Insulation of a pack from the voltages of its poles to chassis, with a known resistor put at either pole in turn.

`settled` waits until the poles rest; `early` decides while they still move.
"""

from bmsctl.analysis.insulation.settled import Insulation, Poles, two_meter_insulation

__all__ = ["Insulation", "Poles", "two_meter_insulation"]
