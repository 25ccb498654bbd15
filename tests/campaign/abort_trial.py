"""What a bench's log shows of one aborted run: how soon everything was commanded off, and that nothing came after."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import bms_broadcast, plc, psb, safety_tester
from bmsctl.protocols.bms_broadcast import AMPR_SMALL
from bmsctl.stations.eol.safe import CURRENT_DEADLINE_S, CURRENT_GONE_A
from bmsctl.stations.safe import SafeReport
from firmware_stubs.monitor import SAFE_V
from firmware_stubs.wiring import energised_by
from tests.campaign.abort_station import Ended
from tests.campaign.abort_witness import Entry

OFF = {
    "cycler": f"{psb.OUTPUT} OFF",
    "withstand_tester": safety_tester.STOP,
    "insulation_tester": safety_tester.STOP,
}
"""What ends each high-voltage source."""

_ON = {
    "cycler": re.compile(rf"{psb.OUTPUT} ON|({psb.SOURCE_CURRENT}|{psb.SINK_CURRENT}) (?!0\.00)\d"),
    "withstand_tester": re.compile(re.escape(safety_tester.START)),
    "insulation_tester": re.compile(re.escape(safety_tester.START)),
    "lv_supply": re.compile(rf"{psb.OUTPUT} ON"),
}
"""What lets a source drive something."""

BEYOND_S = 0.1
"""A stall is seen by the frames before and after it."""
STALL_S = 0.01
"""Half of what an abort may take until everything is commanded off."""
CURRENT_PERIOD_S = AMPR_SMALL.period_s[bms_broadcast.CURRENT_ID]


class Trial(NamedTuple):
    """One aborted run. Times count from the PLC's sending of the trip; infinite for what never came."""

    cause: str
    revoked_ms: float
    off_ms: float
    """The last source's off command arrives."""
    opened_ms: float
    """The request for open contactors arrives."""
    due_ms: float
    """The BMS has sent a current near 0 twice since the trip, or CURRENT_DEADLINE_S has passed: contactors may open."""
    energised: Sequence[str]
    """Commands that energise and came after the abort."""
    unproved: str
    """Why the station is not proved below 60 V; empty if it is."""
    reason: str
    """Why the run ended, as the station has it."""
    stall_s: float
    """The longest time that the loop of the stubs, or of the station, was kept from running."""
    waited_s: float
    """How long hub, stubs or station were ready to run and had no processor."""

    @property
    def off_and_revoked_ms(self) -> float:
        """Leases revoked and every source commanded off."""
        return max(self.revoked_ms, self.off_ms)

    @property
    def late_ms(self) -> float:
        """How much later than it might the request for open contactors came."""
        return self.opened_ms - self.due_ms

    @property
    def contended(self) -> bool:
        """Whether the machine stalled, so that the times tell nothing about the station."""
        return stalled(self.stall_s, self.waited_s)

    @property
    def trouble(self) -> str:
        """What is wrong whatever the machine did; empty if nothing is."""
        before = f"the run had ended before the PLC tripped: {self.reason}" if self.revoked_ms < 0.0 else ""
        early = f"contactors asked to open {-self.late_ms:.1f} ms too early" if self.late_ms < 0.0 else ""
        return "; ".join(text for text in (before, *self.energised, early, self.unproved) if text)


class Hang(NamedTuple):
    """One run whose sequencer hung."""

    trip_ms: float
    """From the last answer's arrival to the PLC's sending of the trip."""
    stall_s: float
    """The longest time that the stubs' loop was kept from running."""
    waited_s: float
    """As of a trial."""

    @property
    def contended(self) -> bool:
        """As of a trial."""
        return stalled(self.stall_s, self.waited_s)


def stalled(stall_s: float, waited_s: float) -> bool:
    """Whether the machine let a loop stand still: one that waited for no processor did so by itself."""
    return STALL_S < stall_s <= waited_s


def hang_of(entries: Sequence[Entry], waited_s: float) -> Hang:
    """What the log tells of a sequencer that hung. `entries`: from before it did until the run was closed."""
    trip_s = _first_s(entry for entry in entries if _is_trip(entry))
    answers_s = [entry.t_s for entry in entries if entry.can_id == plc.ANSWER_ID and entry.t_s < trip_s]
    answered_s = max(answers_s, default=-math.inf)
    return Hang(1e3 * (trip_s - answered_s), _stubs_stall_s(entries, answered_s, trip_s), waited_s)


def trial_of(cause: str, entries: Sequence[Entry], ended: Ended, station_stall_s: float, waited_s: float) -> Trial:
    """What the log and the station tell of an abort. `entries`: from before the trip until the run was closed."""
    trip_s = _first_s(entry for entry in entries if _is_trip(entry))
    after = [entry for entry in entries if entry.t_s >= trip_s]
    dropped_s = _first_s(entry for entry in after if _permits(entry) is False)
    off_s = {device: _first_s(entry for entry in after if _is_off(entry, device)) for device in OFF}
    opened_s = _first_s(entry for entry in after if _opens(entry))
    due_s = min(_current_gone_s(after), ended.revoked_s + CURRENT_DEADLINE_S)
    fences_s = {**off_s, "plc": dropped_s}
    return Trial(
        cause,
        revoked_ms=1e3 * (ended.revoked_s - trip_s),
        off_ms=1e3 * (max(*off_s.values(), dropped_s) - trip_s),
        opened_ms=1e3 * (opened_s - trip_s),
        due_ms=1e3 * (due_s - trip_s),
        energised=[
            f"{what} {1e3 * (entry.t_s - trip_s):.1f} ms after the trip"
            for entry in after
            if (what := energises(entry)) and entry.t_s > max(ended.revoked_s, fences_s.get(entry.wire, 0.0))
        ],
        unproved=_unproved(ended.safe),
        reason=ended.end.reason,
        stall_s=max(station_stall_s, _stubs_stall_s(entries, trip_s, opened_s)),
        waited_s=waited_s,
    )


def energises(entry: Entry) -> str:
    """What a telegram from the station would energise; empty if nothing."""
    if entry.wire == "can":
        return energised_by(CanFrame(entry.can_id, entry.data)) or ("permissive" if _permits(entry) else "")
    on = _ON.get(entry.wire)
    said = entry.data.decode("ascii", "replace").strip()
    return f"{entry.wire}: {said}" if on is not None and on.search(said) else ""


def _first_s(entries: Iterable[Entry]) -> float:
    return min((entry.t_s for entry in entries), default=math.inf)


def _is_trip(entry: Entry) -> bool:
    if entry.wire != "plc":
        return False
    status = plc.decode_status(entry.data, plc.STATUS_CHANGED_ID)
    return status is not None and bool(status.flags & plc.TRIPPED)


def _permits(entry: Entry) -> bool | None:
    """Whether a request to the PLC asks for the permissive; None for any other telegram."""
    if entry.wire != "can" or entry.can_id != plc.REQUEST_ID:
        return None
    request = plc.decode_request(entry.data)
    return None if request is None else request.permit


def _is_off(entry: Entry, device: str) -> bool:
    return entry.wire == device and OFF[device] in entry.data.decode("ascii", "replace")


def _opens(entry: Entry) -> bool:
    asked = entry.wire == "can" and entry.can_id == bms_broadcast.RELAY_REQUEST_ID
    return asked and not bms_broadcast.requested_relays(entry.data)


def _current_gone_s(entries: Iterable[Entry]) -> float:
    """When the BMS had sent a current below CURRENT_GONE_A twice in a row."""
    seen = [(entry.t_s, _is_gone(entry.data)) for entry in entries if entry.wire == "bms"]
    return min((t_s for (_, before), (t_s, gone) in itertools.pairwise(seen) if before and gone), default=math.inf)


def _is_gone(data: bytes) -> bool:
    sealed = AMPR_SMALL.unseal(bms_broadcast.CURRENT_ID, data)
    amps = None if sealed is None else bms_broadcast.decode_current(sealed.payload)
    return amps is not None and abs(amps) < CURRENT_GONE_A


def _unproved(safe: SafeReport) -> str:
    volts = [safe.values.get(name, math.inf) for name in ("u_pn_plc", "u_pn_digitizer")]
    if safe.voltage_free and all(abs(volt) < SAFE_V for volt in volts):
        return ""
    return f"not proved below {SAFE_V:g} V: {dict(safe.values)} {'; '.join(safe.failures)}"


def _stubs_stall_s(entries: Iterable[Entry], from_s: float, to_s: float) -> float:
    """The longest delay of the BMS's current frames: the stubs' own clock."""
    sent_s = [
        entry.t_s
        for entry in entries
        if entry.wire == "bms" and from_s <= entry.t_s + BEYOND_S and entry.t_s <= to_s + BEYOND_S
    ]
    return max((after - before for before, after in itertools.pairwise(sent_s)), default=math.inf) - CURRENT_PERIOD_S
