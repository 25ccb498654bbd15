"""Steps of the end-of-line station that close the pack onto the poles, and those after them."""

from __future__ import annotations

from bmsctl.domain.steps.spec import COUNT, PRECHARGES, TEXT, Gate, GateRule, StepSpec, both, high, low, quantity

WINDOW = dict.fromkeys(("voltage_min", "voltage_max", "cell_min", "cell_max"), quantity("V"))
"""Where pack and cells stay while current flows."""
WINDOW_ORDER = (("voltage_min", "voltage_max"), ("cell_min", "cell_max"))

CLOSED = (
    StepSpec(
        "precharge",
        measures={
            "imd_before": low("Ohm"),
            "precharge_resistance": both("Ohm"),
            "end_ratio": low("%"),
            "loaded_ratio": low("%"),
            "sum_deviation": both("%"),
            "own_dtcs": high(None),
        },
        params={
            **PRECHARGES,
            "imd_within": quantity("s"),
            "link_capacitance": quantity("F"),
            "record": quantity("s"),
            "settle": quantity("s"),
            "samples": COUNT,
            "u95_imd": quantity("%"),
            "u95_resistance": quantity("%"),
            "u95_ratio": quantity("%"),
            "u95_sum": quantity("%"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "insulation_live",
        measures={
            "insulation_resistance": low("Ohm"),
            "insulation_parallel": low("Ohm"),
            "insulation_plus": low("Ohm"),
            "insulation_minus": low("Ohm"),
            "y_capacitance": high("F"),
            "y_energy": high("J"),
            "imd_ratio": both("%"),
            "own_dtcs": high(None),
        },
        params={
            **PRECHARGES,
            "test_resistor": quantity("Ohm"),
            "reference_resistor": quantity("Ohm"),
            "meter_resistance": quantity("Ohm"),
            "record_free": quantity("s"),
            "record_minus": quantity("s"),
            "record_plus": quantity("s"),
            "imd_within": quantity("s"),
            "u95_share": quantity("%"),
            "u95_meter": quantity("%"),
            "u95_capacitance": quantity("%"),
            "u95_imd": quantity("%"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE,), blocks=(Gate.HIGH_VOLTAGE,)),
    ),
    StepSpec(
        "dcir",
        measures={
            "current_offset": both("A"),
            "current_sign": low(None),
            "current_gain": both("%"),
            "cell_deviation": high("%"),
            "pack_resistance": both("Ohm"),
            "link_resistance": high("Ohm"),
        },
        params={
            **PRECHARGES,
            "pulse_current": quantity("A"),
            "pulse_time": quantity("s"),
            "rest_time": quantity("s"),
            "samples": COUNT,
            "activation_temperature": quantity("K"),
            **WINDOW,
            "u95_offset": quantity("A"),
            "u95_gain": quantity("%"),
            "u95_cell": quantity("%"),
            "u95_pack": quantity("%"),
            "u95_link": quantity("Ohm"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE, Gate.CURRENT)),
        ordered=WINDOW_ORDER,
    ),
    StepSpec(
        "balancing_channels",
        measures={
            "signature_min": low("V"),
            "signature_max": high("V"),
            "neighbour_min": low("V"),
        },
        params={
            "groups": COUNT,
            "settle": quantity("s"),
            "snapshots": COUNT,
            "channels_per_chip": COUNT,
            "u95_signature": quantity("V"),
        },
    ),
    StepSpec(
        "self_discharge",
        measures={
            "rate_max": high("V/h"),
        },
        params={
            "age_min": quantity("s"),
            "u95_voltage": quantity("V"),
        },
        mandatory=False,
    ),
    StepSpec(
        "ship_soc",
        measures={
            "soc": both("%"),
            "soc_by_charge": both("%"),
        },
        params={
            **PRECHARGES,
            "target": quantity("%"),
            "capacity": quantity("Ah"),
            "current": quantity("A"),
            "charge_max": quantity("Ah"),
            "poll": quantity("s"),
            "settle": quantity("s"),
            **WINDOW,
            "u95_soc": quantity("%"),
        },
        gate=GateRule(needs=(Gate.HIGH_VOLTAGE, Gate.CURRENT)),
        mandatory=False,
        ordered=WINDOW_ORDER,
    ),
    StepSpec(
        "write_identity",
        measures={
            "traceability_match": low(None),
            "vin_match": low(None),
            "sleep_delay_match": low(None),
            "not_released": high(None),
        },
        params={
            "traceability": TEXT,
            "sleep_delay": quantity("s"),
        },
    ),
    StepSpec(
        "dtc_final",
        measures={
            "dtcs": high(None),
            "monitors_open": high(None),
        },
        params={
            "dtc_settle": quantity("s"),
        },
    ),
    StepSpec(
        "sleep",
        measures={
            "time_to_sleep": high("s"),
            "quiescent_current": high("A"),
        },
        params={
            "sleep_within": quantity("s"),
            "settle": quantity("s"),
            "look": quantity("s"),
            "look_range": quantity("A"),
            "u95_look": quantity("A"),
            "average": quantity("s"),
            "range": quantity("A"),
            "u95_time": quantity("s"),
            "u95_current": quantity("A"),
        },
        ordered=(("range", "look_range"),),
    ),
    StepSpec(
        "make_safe",
        measures={
            "u_pn_plc": both("V"),
            "u_p_pe": both("V"),
            "u_n_pe": both("V"),
            "u_pn_digitizer": both("V"),
            "time_to_safe": high("s"),
        },
        params={"u95_voltage": quantity("V"), "u95_time": quantity("s")},
    ),
)
