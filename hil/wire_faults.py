"""Faults of wires and safety chain that a bench can produce, each where its device matters, and what must follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from firmware_stubs.faults import FAULT_NAMES, FAULTS

SERIAL_STEPS: Mapping[str, tuple[str, float]] = {
    "digitizer": ("contactors_open", 0.1),
    "lv_supply": ("quiescent_current", 0.1),
    "ohmmeter": ("bonding", 1.0),
    "insulation_tester": ("insulation_outer", 0.1),
    "withstand_tester": ("withstand", 0.1),
    "cycler": ("dcir", 0.1),
}
"""The first step that rests on an instrument, and seconds into it."""

CAN_STEPS: Mapping[str, tuple[str, float]] = {
    "bms": ("cells_at_rest", 0.1),
    "plc": ("bms_identity", 0.1),
    "matrix": ("contactors_open", 0.1),
}
DIAGNOSTICS = ("bms_identity", 0.0)

FAMILIES = ("can", "serial", "safety")
PLC_LINK = ("plc.silent", "plc.replay")

SURVIVED = frozenset({"serial.split", "serial.restart"})
UNREPEATABLE = frozenset({("withstand_tester", "serial.restart")})
"""A pack does not get its test voltage twice."""
UNSEEN = frozenset({("withstand_tester", "serial.frozen")})
"""It is read once, and a meter that hangs from then on was right."""
BY_A_PERSON = frozenset({"safety.estop", "safety.guard"})


class WireFault(NamedTuple):
    """One fault of a campaign, `after_s` from the start of its step, and the verdict that the run must have."""

    kind: str
    device: str
    step: str
    after_s: float
    verdict: str

    @property
    def scenario(self) -> str:
        """As TOML."""
        return (
            f'[[fault]]\nkind = "{self.kind}"\ntarget = "{self.device}"\nstep = "{self.step}"\n'
            f'after = "{self.after_s} s"\n'
        )


def wire_faults() -> Iterator[WireFault]:
    """All of them, in the order of the fault table."""
    for kind, row in FAULTS.items():
        family = kind.partition(".")[0]
        for device in row.targets:
            if (family in FAMILIES or kind in PLC_LINK) and (device, kind) not in UNSEEN:
                where = CAN_STEPS.get(device) or SERIAL_STEPS.get(device)
            elif family == "uds":
                where = DIAGNOSTICS
            else:
                where = None
            if where is not None:
                yield WireFault(kind, device, *where, _verdict(kind, device))


def chosen(faults: str) -> list[WireFault]:
    """Those named, or all.

    Args:
        faults: "all", or names and catalogue numbers with commas between.

    Raises:
        ValueError: nothing of that name can be produced on a bench; says what can.
    """
    table = list(wire_faults())
    if faults == "all":
        return table
    known = {fault.kind for fault in table}
    wanted = []
    for name in (name.strip() for name in faults.split(",")):
        kind = FAULT_NAMES.get(name)
        if kind not in known:
            raise ValueError(f"{name!r} is no fault of a wire; known: {', '.join(sorted(known))}")
        wanted += [fault for fault in table if fault.kind == kind]
    return wanted


def _verdict(kind: str, device: str) -> str:
    if kind in BY_A_PERSON:
        return "ABORTED"
    return "PASS" if kind in SURVIVED and (device, kind) not in UNREPEATABLE else "INVALID"
