"""Steps of the end-of-line station that are done before the pack is closed onto the poles."""

from __future__ import annotations

from bmsctl.domain.steps.spec import (
    COUNT,
    PRECHARGES,
    TEXT,
    Gate,
    GateRule,
    Kind,
    ParamSpec,
    StepSpec,
    both,
    high,
    low,
    quantity,
)

KNEE = {"u95_knee": quantity("Ohm"), "u95_below_knee": quantity("%"), "u95_above_knee": quantity("%")}
"""Uncertainty of an insulation tester, in per cent of the reading below and above a resistance."""
TEMPERATURE = ParamSpec(Kind.QUANTITY, "degC", signed=True)
DTC_OWNERS = ParamSpec(Kind.STEP_TABLE, key_pattern="[0-9A-F]{4}")

OPEN = (
    StepSpec(
        "identify",
        measures={
            "docking_voltage": both("V"),
            "wake_time": high("s"),
        },
        params={
            "label_pattern": ParamSpec(Kind.PATTERN, names=("serial",)),
            "adapter": COUNT,
            "docking": TEXT,
            "dock_within": quantity("s"),
            "supply_voltage": quantity("V"),
            "supply_limit": quantity("A"),
            "u95_voltage": quantity("V"),
            "u95_time": quantity("s"),
            "wake_within": quantity("s"),
            "ready_within": quantity("s"),
            "snapshots": COUNT,
            "incoming_within": quantity("s"),
            "fingerprint_noise": quantity("V"),
            "fingerprint_odds": COUNT,
            "sleep_delay": quantity("s"),
            "sleep_within": quantity("s"),
        },
        gate=GateRule(blocks=(Gate.RUN,)),
    ),
    StepSpec(
        "quiescent_current",
        measures={
            "quiescent_current": high("A"),
        },
        params={
            "settle": quantity("s"),
            "look": quantity("s"),
            "look_range": quantity("A"),
            "u95_look": quantity("A"),
            "average": quantity("s"),
            "range": quantity("A"),
            "u95_current": quantity("A"),
        },
        ordered=(("range", "look_range"),),
    ),
    StepSpec(
        "bms_alive",
        measures={"first_frame": high("s"), "frame_errors": high(None), "awake_current": both("A")},
        params={
            "u95_time": quantity("s"),
            "wake_within": quantity("s"),
            "ready_within": quantity("s"),
            "message_set": COUNT,
            "observe": quantity("s"),
            "awake_average": quantity("s"),
            "awake_range": quantity("A"),
            "u95_awake": quantity("A"),
        },
        gate=GateRule(blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "bms_identity",
        measures={
            "part_number_match": low(None),
            "hardware_match": low(None),
            "software_match": low(None),
            "calibration_match": low(None),
            "foreign_dtcs": high(None),
        },
        params={
            "part_number": TEXT,
            "hardware": TEXT,
            "software": TEXT,
            "software_version": TEXT,
            "calibration": TEXT,
            "dtc_settle": quantity("s"),
            "dtc_owners": DTC_OWNERS,
        },
    ),
    StepSpec(
        "hvil",
        measures={
            "loop_closed": low(None),
            "open_response": high("s"),
            "close_response": high("s"),
            "own_dtcs": high(None),
        },
        params={
            "respond_within": quantity("s"),
            "u95_time": quantity("s"),
        },
        gate=GateRule(blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "bonding",
        measures={
            "resistance_max": high("Ohm"),
        },
        params={
            "points": ParamSpec(Kind.NAMES),
            "range": quantity("Ohm"),
            "u95_offset": quantity("Ohm"),
            "u95_share": quantity("%"),
        },
        gate=GateRule(blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "contactors_open",
        measures={
            "u_pn_all_open": both("V"),
            "u_pn_precharge_only": both("V"),
            "u_pn_main_minus_only": both("V"),
            "p_b_minus_all_open": both("V"),
            "p_b_minus_main_minus_only": both("V"),
            "own_dtcs": high(None),
        },
        params={
            **PRECHARGES,
            "settle": quantity("s"),
            "samples": COUNT,
            "u95_voltage": quantity("V"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "insulation_outer",
        measures={
            "insulation_plus": low("Ohm"),
            "insulation_minus": low("Ohm"),
            "insulation_both": low("Ohm"),
        },
        params={
            "test_voltage": quantity("V"),
            "duration": quantity("s"),
            "decay": quantity("s"),
            "samples": COUNT,
            "foreign_voltage": quantity("V"),
            **KNEE,
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "withstand",
        measures={
            "leakage_current": high("A"),
            "insulation_after": low("Ohm"),
            "residual_voltage": both("V"),
        },
        params={
            "test_voltage": quantity("V"),
            "ramp": quantity("s"),
            "hold": quantity("s"),
            "trip_current": quantity("A"),
            "u95_share": quantity("%"),
            "u95_offset": quantity("A"),
            "insulation_voltage": quantity("V"),
            "insulation_duration": quantity("s"),
            **KNEE,
            "decay": quantity("s"),
            "samples": COUNT,
            "foreign_voltage": quantity("V"),
            "u95_voltage": quantity("V"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
        mandatory=False,
    ),
    StepSpec(
        "cells_at_rest",
        measures={
            "cell_min": low("V"),
            "cell_max": high("V"),
            "cell_deviation": high("V"),
            "cell_spread": high("V"),
            "pack_sum_deviation": both("%"),
            "open_wires": high(None),
            "own_dtcs": high(None),
        },
        params={
            "rest": quantity("s"),
            "temperature_low": TEMPERATURE,
            "temperature_high": TEMPERATURE,
            "snapshots": COUNT,
            "u95_cell": quantity("V"),
            "u95_deviation": quantity("V"),
            "u95_spread": quantity("V"),
            "u95_sum": quantity("%"),
        },
        gate=GateRule(blocks=(Gate.CURRENT,)),
        ordered=(("temperature_low", "temperature_high"),),
    ),
    StepSpec(
        "temperatures",
        measures={
            "from_median": high("K"),
            "from_air": high("K"),
            "open_sensors": high(None),
            "own_dtcs": high(None),
        },
        params={
            "sense_within": quantity("s"),
            "u95_median": quantity("K"),
            "u95_air": quantity("K"),
        },
        gate=GateRule(blocks=(Gate.CURRENT,)),
    ),
)
