"""The defect table as cases: every defect at twice its limit and at half of it, or simply present, and where it shows.

Twice a limit is the nominal value and twice the tolerance, half is the nominal value and half the tolerance; for
insulation, half the limit and twice the limit. Limits come from the recipe, nominal values from the population.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from bmsctl.domain.limits import Limit
from bmsctl.domain.ports import Relay
from bmsctl.domain.recipe import EOL, STACKING, Recipe
from bmsctl.domain.world import DefectCase
from firmware_stubs.assembly.drawing import BOLTED
from firmware_stubs.defects import bonding_points
from firmware_stubs.population import (
    BONDING_OHM,
    COOLANT_LEAK_CM3_PER_MIN,
    HOUSING_LEAK_CM3_PER_MIN,
    JOINT_OHM,
    LINK_OHM,
    QUIESCENT_A,
    facts_of,
)

Value = str | int | float | bool


def cases(recipe: Recipe, station: str = EOL) -> list[DefectCase]:
    """Every case of a station that the recipe's steps there can show.

    Raises:
        LookupError: no such station.
    """
    running = {step.run for step in recipe.steps(station)}
    table = {
        EOL: (_insulation, _contactors, _voltage, _current, _management),
        STACKING: (_modules, _bolts, _joints, _leaks, _electronics),
    }[station]
    found = chain.from_iterable(rows(recipe) for rows in table)
    return [case._replace(station=station) for case in found if all(step in running for step, _ in case.expected)]


def scenario(kind: str, **parameters: Value) -> str:
    """A scenario with one defect, as TOML."""
    lines = ["[[defect]]", f'kind = "{kind}"']
    for name, value in parameters.items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        lines.append(f"{name} = {text}")
    return "\n".join(lines) + "\n"


def _fails(name: str, step: str, kind: str, verdict: str = "FAIL", **parameters: Value) -> DefectCase:
    return DefectCase(f"{kind} {name}".strip(), scenario(kind, **parameters), ((step, verdict),))


def _passes(name: str, kind: str, **parameters: Value) -> DefectCase:
    return DefectCase(f"{kind} {name}", scenario(kind, **parameters), ())


def _limit(recipe: Recipe, step: str, name: str) -> Limit | None:
    """A limit of the recipe, None if it does not run the step."""
    found = next((each for each in (*recipe.eol, *recipe.stacking) if each.run == step), None)
    return None if found is None else found.limit(name)


def _high(recipe: Recipe, step: str, name: str) -> float:
    limit = _limit(recipe, step, name)
    return 0.0 if limit is None or limit.high is None else limit.high


def _low(recipe: Recipe, step: str, name: str) -> float:
    limit = _limit(recipe, step, name)
    return 0.0 if limit is None or limit.low is None else limit.low


def _twice(nominal: float, limit: float) -> float:
    return nominal + 2.0 * (limit - nominal)


def _half(nominal: float, limit: float) -> float:
    return nominal + 0.5 * (limit - nominal)


def _insulation(recipe: Recipe) -> Iterator[DefectCase]:
    live = _low(recipe, "insulation_live", "insulation_resistance")
    outer = _low(recipe, "insulation_outer", "insulation_both")
    for side in ("positive", "negative"):
        yield _fails(f"{side} twice", "insulation_live", "insulation", side=side, resistance=f"{live / 2:g} Ohm")
        yield _passes(f"{side} half", "insulation", side=side, resistance=f"{2 * live:g} Ohm")
        yield _fails(f"{side} hard", "precharge", "insulation", side=side, resistance="5 kOhm")
        case = _fails(f"{side} 10 kOhm", "precharge", "insulation", side=side, resistance="10 kOhm")
        yield case._replace(expected=(("precharge", "FAIL"), ("insulation_live", "FAIL")))
        low, high = f"{outer / 2:g} Ohm", f"{2 * outer:g} Ohm"
        name = f"outer {side}"
        yield _fails(f"{name} twice", "insulation_outer", "insulation", side=side, where="outer", resistance=low)
        yield _passes(f"{name} half", "insulation", side=side, where="outer", resistance=high)
    good_f = facts_of(recipe.pack.id).y_farad
    limit_f = 2.0 * _high(recipe, "insulation_live", "y_energy") / recipe.pack.u_max**2
    yield _fails("twice", "insulation_live", "y_capacitance", value=f"{_twice(good_f, limit_f):g} F")
    yield _passes("half", "y_capacitance", value=f"{_half(good_f, limit_f):g} F")
    bonding = _high(recipe, "bonding", "resistance_max")
    points = bonding_points(recipe)
    for point in (1, points[-1]):
        yield _fails(
            f"{point} twice", "bonding", "bonding", point=point, resistance=f"{_twice(BONDING_OHM, bonding):g} Ohm"
        )
        yield _passes(f"{point} half", "bonding", point=point, resistance=f"{_half(BONDING_OHM, bonding):g} Ohm")
    yield _fails("open strap", "bonding", "bonding", point=2, resistance="10 MOhm")
    for volts in (700, 1500, 2000):
        yield _fails(f"{volts} V", "withstand", "hipot_breakdown", voltage=f"{volts} V")
    yield _passes("above the test voltage", "hipot_breakdown", voltage="3 kV")


def _contactors(recipe: Recipe) -> Iterator[DefectCase]:
    for relay in Relay:
        yield _fails(str(relay), "contactors_open", "contactor_welded", which=str(relay))
        yield _fails(str(relay), "precharge", "contactor_stuck_open", which=str(relay))
    low = _low(recipe, "precharge", "precharge_resistance")
    high = _high(recipe, "precharge", "precharge_resistance")
    good = (low + high) / 2.0
    for name, limit in (("high", high), ("low", low)):
        yield _fails(f"{name} twice", "precharge", "precharge_resistor", resistance=f"{_twice(good, limit):g} Ohm")
        yield _passes(f"{name} half", "precharge_resistor", resistance=f"{_half(good, limit):g} Ohm")
    yield _fails("400 Ohm", "precharge", "precharge_resistor", resistance="400 Ohm")


def _voltage(recipe: Recipe) -> Iterator[DefectCase]:
    series = recipe.pack.series
    deviation = _high(recipe, "cells_at_rest", "cell_deviation")
    for cell, sign in ((1, 1.0), (series // 2, -1.0), (series, -1.0)):
        side = "above" if sign > 0.0 else "below"
        offset = f"{sign * _twice(0.0, deviation):g} V"
        yield _fails(f"{cell} {side} twice", "cells_at_rest", "cell_voltage", cell=cell, offset=offset)
        yield _passes(f"{cell} {side} half", "cell_voltage", cell=cell, offset=f"{sign * _half(0.0, deviation):g} V")
    for cell in (1, series // 2, series):
        yield _fails(str(cell), "cells_at_rest", "sense_open", cell=cell)
    sensors = facts_of(recipe.pack.id).thermistors
    kelvin = _high(recipe, "temperatures", "from_median")
    for sensor, sign in ((1, 1.0), (sensors, -1.0)):
        offset = f"{sign * _twice(0.0, kelvin):g} K"
        yield _fails(f"{sensor} twice", "temperatures", "temperature_sensor", sensor=sensor, offset=offset)
        half = f"{sign * _half(0.0, kelvin):g} K"
        yield _passes(f"{sensor} half", "temperature_sensor", sensor=sensor, offset=half)
    yield _fails("open", "temperatures", "temperature_sensor", sensor=2, open=True)
    rate = _high(recipe, "self_discharge", "rate_max") * 1e3
    yield _fails("twice", "self_discharge", "self_discharge", cell=40, rate=f"{_twice(0.0, rate):g} mV/h")
    yield _passes("half", "self_discharge", cell=40, rate=f"{_half(0.0, rate):g} mV/h")
    young = {"rate": f"{_half(0.0, rate):g} mV/h", "age": "10 d"}
    yield _fails("too young", "self_discharge", "self_discharge", "INVALID", cell=40, **young)
    for stuck in ("on", "off"):
        for cell in (1, 41, series):
            yield _fails(f"{cell} stuck {stuck}", "balancing_channels", "balancing_channel", cell=cell, stuck=stuck)


def _current(recipe: Recipe) -> Iterator[DefectCase]:
    percent = _high(recipe, "dcir", "cell_deviation")
    for cell in (1, 2 * recipe.pack.series // 3):
        factor = 1.0 + _twice(0.0, percent) / 100.0
        yield _fails(f"{cell} twice", "dcir", "cell_resistance", cell=cell, factor=round(factor, 6))
        factor = 1.0 + _half(0.0, percent) / 100.0
        yield _passes(f"{cell} half", "cell_resistance", cell=cell, factor=round(factor, 6))
    gain = _high(recipe, "dcir", "current_gain") / 100.0
    offset = _high(recipe, "dcir", "current_offset")
    for sign in (1.0, -1.0):
        side = "high" if sign > 0.0 else "low"
        yield _fails(f"gain {side} twice", "dcir", "current_sensor", gain=round(1.0 + sign * _twice(0.0, gain), 6))
        yield _passes(f"gain {side} half", "current_sensor", gain=round(1.0 + sign * _half(0.0, gain), 6))
        yield _fails(f"offset {side} twice", "dcir", "current_sensor", offset=f"{sign * _twice(0.0, offset):g} A")
        yield _passes(f"offset {side} half", "current_sensor", offset=f"{sign * _half(0.0, offset):g} A")
    yield _fails("reversed", "dcir", "current_sensor", gain=-1.0)
    link = _high(recipe, "dcir", "link_resistance")
    twice = JOINT_OHM + _twice(LINK_OHM, link) - LINK_OHM
    half = JOINT_OHM + _half(LINK_OHM, link) - LINK_OHM
    for joint in (1, 2 * (recipe.pack.modules - 1)):
        yield _fails(f"{joint} twice", "dcir", "busbar_joint", joint=joint, resistance=f"{twice:g} Ohm")
        yield _passes(f"{joint} half", "busbar_joint", joint=joint, resistance=f"{half:g} Ohm")


def _management(recipe: Recipe) -> Iterator[DefectCase]:
    yield _fails("", "hvil", "hvil_open")
    yield _fails("", "bms_identity", "bms_dtc", code="1B10-87")
    yield _fails("", "bms_identity", "bms_software", version="0001")
    yield _fails("", "identify", "bms_serial", "INVALID", value=f"{recipe.pack.id}000099999")
    ratio = _high(recipe, "insulation_live", "imd_ratio") / 100.0
    for sign in (1.0, -1.0):
        side = "high" if sign > 0.0 else "low"
        factor = round(1.0 + sign * _twice(0.0, ratio), 6)
        yield _fails(f"{side} twice", "insulation_live", "bms_imd_gain", factor=factor)
        yield _passes(f"{side} half", "bms_imd_gain", factor=round(1.0 + sign * _half(0.0, ratio), 6))
    asleep = _high(recipe, "quiescent_current", "quiescent_current")
    twice = f"{_twice(QUIESCENT_A, asleep):g} A"
    yield _fails("twice", "quiescent_current", "quiescent_current", current=twice)
    yield _fails("50 mA", "quiescent_current", "quiescent_current", current="50 mA")
    yield _passes("half", "quiescent_current", current=f"{_half(QUIESCENT_A, asleep):g} A")
    for a, b in ((1, 2), (1, recipe.pack.modules)):
        yield _fails(f"{a} and {b}", "identify", "module_swapped", "INVALID", a=a, b=b)


def _modules(recipe: Recipe) -> Iterator[DefectCase]:
    for slot in (1, recipe.pack.modules):
        yield _fails(str(slot), "modules_in", "module_wrong_part", slot=slot)
        yield _fails(str(slot), "modules_in", "module_cloned_label", "INVALID", slot=slot)
        yield _fails(str(slot), "place", "module_reversed", slot=slot)
    offset = _half(0.0, _high(recipe, "cells_at_rest", "cell_deviation"))
    for sign in (1.0, -1.0):
        side = "above" if sign > 0.0 else "below"
        yield _passes(f"{side} half", "cell_voltage", cell=1, offset=f"{sign * offset:g} V")


def _bolts(recipe: Recipe) -> Iterator[DefectCase]:
    for step in recipe.steps(STACKING):
        if step.run not in BOLTED:
            continue
        low, high = _low(recipe, step.run, "torque"), _high(recipe, step.run, "torque")
        good, bolts = (low + high) / 2.0, step.names("bolts")
        for bolt, side, limit in ((bolts[0], "low", low), (bolts[-1], "high", high)):
            twice, half = f"{_twice(good, limit):g} Nm", f"{_half(good, limit):g} Nm"
            yield _fails(f"{bolt} {side} twice", step.run, "bolt_torque", bolt=bolt, torque=twice)
            yield _passes(f"{bolt} {side} half", "bolt_torque", bolt=bolt, torque=half)


def _joints(recipe: Recipe) -> Iterator[DefectCase]:
    of_median = _high(recipe, "joints", "of_median") / 100.0 * JOINT_OHM
    limit = min(of_median, _high(recipe, "joints", "resistance"))
    for joint in (1, 2 * recipe.pack.modules, 2 * recipe.pack.modules + 2):
        twice, half = f"{_twice(JOINT_OHM, limit):g} Ohm", f"{_half(JOINT_OHM, limit):g} Ohm"
        yield _fails(f"{joint} twice", "joints", "busbar_joint", joint=joint, resistance=twice)
        yield _passes(f"{joint} half", "busbar_joint", joint=joint, resistance=half)
    yield _fails("1 beyond the range", "joints", "busbar_joint", joint=1, resistance="1 Ohm")


def _leaks(recipe: Recipe) -> Iterator[DefectCase]:
    for step, good in (("coolant_leak", COOLANT_LEAK_CM3_PER_MIN), ("housing_leak", HOUSING_LEAK_CM3_PER_MIN)):
        limit = _high(recipe, step, "leak_rate")
        yield _fails("twice", step, step, rate=f"{_twice(good, limit):g} cm3/min")
        yield _passes("half", step, rate=f"{_half(good, limit):g} cm3/min")


def _electronics(recipe: Recipe) -> Iterator[DefectCase]:
    yield _fails("", "hvil_loop", "hvil_open")
    yield _passes("reflashed", "bms_software", version="0001")
