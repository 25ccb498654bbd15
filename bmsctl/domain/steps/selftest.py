"""The steps by which a station tests itself, in running order; no pack is needed, and one on the station sleeps on."""

from __future__ import annotations

from bmsctl.domain.steps.eol_closed import CLOSED
from bmsctl.domain.steps.spec import COUNT, StepSpec, both, high, low, quantity

_TIMES = {"settle": quantity("s"), "patience": quantity("s"), "u95_time": quantity("s")}

SELFTEST = (
    StepSpec("instruments", measures={"instruments_identified": low(None)}),
    StepSpec(
        "zero",
        measures={"zero_plc": both("V"), "zero_digitizer": both("V"), "resistor_relays": low(None)},
        params={"samples": COUNT, "u95_plc": quantity("V"), "u95_digitizer": quantity("V")},
    ),
    StepSpec(
        "safe_stop",
        measures={"stop_time": high("s"), "stop_proof_time": high("s")},
        params=_TIMES,
    ),
    StepSpec(
        "dead_man",
        measures={"trip_time": high("s"), "cut_time": high("s"), "discharge_time": high("s")},
        params=_TIMES,
    ),
    next(spec for spec in CLOSED if spec.name == "make_safe"),
)
