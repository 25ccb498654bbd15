"""The steps of the stacking station, in running order."""

from __future__ import annotations

from bmsctl.domain.steps.spec import (
    COUNT,
    NAMES,
    TABLE,
    TEXT,
    Gate,
    GateRule,
    Kind,
    MeasureSpec,
    ParamSpec,
    StepSpec,
    both,
    each,
    high,
    low,
    quantity,
)

_REDO_AFTER = {"redo_after": NAMES}
"""Kinds of part (see `domain.parts`) whose replacement the step does not survive."""
_GAUGE_PRESSURE = ParamSpec(Kind.QUANTITY, "Pa", signed=True)
_TEMPERATURE = ParamSpec(Kind.QUANTITY, "degC", signed=True)
_STOPS_THE_RUN = GateRule(blocks=(Gate.RUN,))
"""Nothing is built onto what is not right."""

_BATTERY_TESTER = {"voltage_range": quantity("V"), "resistance_range": quantity("Ohm")}
"""The battery tester's ranges, by their ends."""
_INSULATION_TESTER = {
    "test_voltage": quantity("V"),
    "test_time": quantity("s"),
    "u95_knee": quantity("Ohm"),
    "u95_below_knee": quantity("%"),
    "u95_above_knee": quantity("%"),
}
"""Uncertainty of the insulation tester in per cent of the reading, below and above a resistance."""

_BOLT_MEASURES: dict[str, MeasureSpec] = {
    "torque": each("bolts", both("Nm")),
    "angle": each("bolts", both("deg")),
}
_BOLT_PARAMS: dict[str, ParamSpec] = {
    "bolts": NAMES,
    "bolt_part_number": TEXT,
    "parameter_set": COUNT,
    "tightenings_max": COUNT,
    "tighten": TEXT,
    "loosen": TEXT,
    "tighten_within": quantity("s"),
    "u95_torque": quantity("%"),
    "u95_angle": quantity("deg"),
    **_REDO_AFTER,
}
"""`bolts` in the order they are tightened; `tightenings_max` of one joint, the first included, each with a new bolt."""

_LEAK_MEASURES: dict[str, MeasureSpec] = {"leak_rate": high("cm3/min")}
_LEAK_PARAMS: dict[str, ParamSpec] = {
    "port": TEXT,
    "connect": TEXT,
    "connect_within": quantity("s"),
    "channel": COUNT,
    "test_pressure": _GAUGE_PRESSURE,
    "pressure_tolerance": quantity("%"),
    "fill": quantity("s"),
    "settle": quantity("s"),
    "test": quantity("s"),
    "volume": quantity("cm3"),
    "u95_rate": quantity("cm3/min"),
    **_REDO_AFTER,
}
"""`port`: where the tester is coupled to the pack. `test_pressure` is gauge. `settle` is the time from the end of
filling until the decay is fitted."""

STACKING = (
    StepSpec(
        "tray",
        measures={"part_match": low(None), "used": high(None)},
        params={
            "part_number": TEXT,
            "serial_pattern": ParamSpec(Kind.PATTERN),
            "load": TEXT,
            "load_within": quantity("s"),
            "answer_within": quantity("s"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec(
        "modules_in",
        measures={
            "part_match": each("slots", low(None)),
            "age": each("slots", high("s")),
            "ocv_deviation": each("slots", both("V")),
            "acir_deviation": each("slots", both("%")),
            "insulation": each("slots", low("Ohm")),
            "temperature_spread": high("K"),
        },
        params={
            "slots": TABLE,
            "part_number": TEXT,
            "fetch": TEXT,
            "fetch_within": quantity("s"),
            "scan_within": quantity("s"),
            "answer_within": quantity("s"),
            "probe": TEXT,
            "probe_within": quantity("s"),
            **_BATTERY_TESTER,
            "u95_ocv": quantity("V"),
            "u95_acir": quantity("%"),
            "acir_per_kelvin": quantity("%"),
            "reference_temperature": _TEMPERATURE,
            "u95_temperature": quantity("K"),
            **_INSULATION_TESTER,
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec(
        "place",
        measures={"serial_match": each("slots", low(None)), "voltage": each("slots", low("V"))},
        params={
            "slots": TABLE,
            "place": TEXT,
            "place_within": quantity("s"),
            "scan_within": quantity("s"),
            **_BATTERY_TESTER,
            "u95_share": quantity("%"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec("bolts", measures=_BOLT_MEASURES, params=_BOLT_PARAMS, gate=_STOPS_THE_RUN),
    StepSpec(
        "busbars",
        measures=_BOLT_MEASURES,
        params={
            **_BOLT_PARAMS,
            "busbars": TABLE,
            "busbar_part_number": TEXT,
            "place": TEXT,
            "place_within": quantity("s"),
            "disconnect": TEXT,
            "unplug": TEXT,
            "unplug_within": quantity("s"),
            "qualification": TEXT,
            "ask_within": quantity("s"),
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec(
        "joints",
        measures={
            "resistance": each("joints", high("Ohm")),
            "of_median": each("joints", high("%")),
            "stack_voltage": both("%"),
            "stack_insulation": low("Ohm"),
        },
        params={
            "joints": NAMES,
            "channel": COUNT,
            "probe": TEXT,
            "probe_within": quantity("s"),
            "range": quantity("Ohm"),
            "u95_offset": quantity("Ohm"),
            "u95_share": quantity("%"),
            "u95_of_median": quantity("%"),
            "poles": TEXT,
            **_BATTERY_TESTER,
            "u95_voltage": quantity("%"),
            **_INSULATION_TESTER,
            "qualification": TEXT,
            "ask_within": quantity("s"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec(
        "harness",
        measures={
            "chips_wrong": high(None),
            "open_wires": high(None),
            "frame_errors": high(None),
            "stack_voltage": both("%"),
        },
        params={
            "part_number": TEXT,
            "bms_part_number": TEXT,
            "chips": TABLE,
            "connect": TEXT,
            "connect_within": quantity("s"),
            "supply_voltage": quantity("V"),
            "supply_limit": quantity("A"),
            "wake_within": quantity("s"),
            "ready_within": quantity("s"),
            "observe": quantity("s"),
            "snapshots": COUNT,
            "u95_voltage": quantity("%"),
            "qualification": TEXT,
            "ask_within": quantity("s"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec(
        "hvil_loop",
        measures={"loop_resistance": high("Ohm"), "opened": each("connectors", low("Ohm"))},
        params={
            "connectors": NAMES,
            "channel": COUNT,
            "range": quantity("Ohm"),
            "close": TEXT,
            "open": TEXT,
            "act_within": quantity("s"),
            "u95_offset": quantity("Ohm"),
            "u95_share": quantity("%"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
        mandatory=False,
    ),
    StepSpec(
        "bms_flash",
        measures={
            "part_number_match": low(None),
            "hardware_match": low(None),
            "software_match": low(None),
            "calibration_match": low(None),
            "vin_blank": low(None),
        },
        params={
            "part_number": TEXT,
            "hardware": TEXT,
            "software": TEXT,
            "software_version": TEXT,
            "calibration": TEXT,
            "image": TEXT,
            "image_address": COUNT,
            "image_sha256": TEXT,
            "supply_voltage": quantity("V"),
            "supply_limit": quantity("A"),
            "wake_within": quantity("s"),
            "flashings_max": COUNT,
            "restart_within": quantity("s"),
            **_REDO_AFTER,
        },
        gate=_STOPS_THE_RUN,
    ),
    StepSpec("coolant_leak", measures=_LEAK_MEASURES, params=_LEAK_PARAMS, gate=_STOPS_THE_RUN, mandatory=False),
    StepSpec(
        "cover_bolts",
        measures=_BOLT_MEASURES,
        params={**_BOLT_PARAMS, "cover_part_number": TEXT, "place": TEXT, "place_within": quantity("s")},
        gate=_STOPS_THE_RUN,
    ),
    StepSpec("housing_leak", measures=_LEAK_MEASURES, params=_LEAK_PARAMS, gate=_STOPS_THE_RUN),
    StepSpec(
        "label",
        measures={"label_match": low(None)},
        params={
            "part_number": TEXT,
            "apply": TEXT,
            "apply_within": quantity("s"),
            "scan_within": quantity("s"),
            **_REDO_AFTER,
        },
    ),
)
