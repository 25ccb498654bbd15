"""The judge of an aborted run sees what is late, what is missing, and what should never have come."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from bmsctl.domain.ports import Relay, Route, TripCause
from bmsctl.domain.verdict import Verdict
from bmsctl.protocols import bms_broadcast, matrix, plc
from bmsctl.protocols.plc import Refusal
from bmsctl.stations.job import RunEnd
from bmsctl.stations.safe import SafeReport
from tests.campaign.abort_station import Ended
from tests.campaign.abort_trial import Trial, hang_of, trial_of
from tests.campaign.abort_witness import Entry

TRIP_S = 100.0
PROVED = {"u_pn_plc": 0.1, "u_pn_digitizer": -0.2}


def after(milliseconds: float) -> float:
    return TRIP_S + milliseconds / 1e3


def told(milliseconds: float, device: str, text: str) -> Entry:
    return Entry(after(milliseconds), device, -1, text.encode())


def asked_plc(milliseconds: float, *, permit: bool) -> Entry:
    request = plc.Request(permit, kl30=True, kl15=True, coils=True, hvil=True, token=1, alive=1)
    return Entry(after(milliseconds), "can", plc.REQUEST_ID, plc.encode_request(request))


def relays(milliseconds: float, *closed: Relay) -> Entry:
    data = bms_broadcast.encode_relay_request(frozenset(closed), 1)
    return Entry(after(milliseconds), "can", bms_broadcast.RELAY_REQUEST_ID, data)


def current(milliseconds: float, amps: float) -> Entry:
    return Entry(after(milliseconds), "bms", bms_broadcast.CURRENT_ID, bms_broadcast.encode_current(amps, 1))


def trip() -> Entry:
    status = plc.Status(plc.TRIPPED, False, TripCause.ESTOP, Refusal.NONE, 0, 1)
    return Entry(TRIP_S, "plc", plc.STATUS_CHANGED_ID, plc.encode_status(status, plc.STATUS_CHANGED_ID))


GOOD = (
    current(-5.0, 5.0),
    trip(),
    current(5.0, 5.0),
    asked_plc(6.0, permit=False),
    told(7.0, "cycler", "OUTP OFF\n"),
    told(8.0, "withstand_tester", ":SAFE:STOP\n"),
    told(9.0, "insulation_tester", ":SAFE:STOP\n"),
    current(15.0, 0.1),
    current(25.0, 0.1),
    relays(30.0),
)


def judged(entries: Sequence[Entry], *, revoked_ms: float = 2.0, safe: SafeReport | None = None) -> Trial:
    report = SafeReport(True, TRIP_S, PROVED) if safe is None else safe
    ended = Ended(after(revoked_ms), RunEnd(Verdict.ABORTED, "the emergency stop was pressed"), report)
    return trial_of("e-stop", entries, ended, 0.0, 0.0)


def test_a_good_abort() -> None:
    trial = judged(GOOD)
    assert trial.trouble == ""
    assert trial.revoked_ms == pytest.approx(2.0)
    assert trial.off_and_revoked_ms == pytest.approx(9.0)
    assert trial.opened_ms == pytest.approx(30.0)
    assert trial.late_ms == pytest.approx(5.0)


@pytest.mark.parametrize("missing", range(3, 7))
def test_an_off_command_that_never_comes(missing: int) -> None:
    assert judged([*GOOD[:missing], *GOOD[missing + 1 :]]).off_ms == math.inf


def test_leases_that_are_not_revoked() -> None:
    assert judged(GOOD, revoked_ms=math.inf).off_and_revoked_ms == math.inf


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (told(40.0, "cycler", "SOUR:CURR 5.00;:SYST:ERR?\n"), "cycler: SOUR:CURR 5.00"),
        (told(40.0, "cycler", "OUTP ON\n"), "cycler: OUTP ON"),
        (told(40.0, "withstand_tester", ":SAFE:STAR\n"), "withstand_tester: :SAFE:STAR"),
        (told(40.0, "lv_supply", ":OUTP ON\n"), "lv_supply: :OUTP ON"),
        (asked_plc(40.0, permit=True), "permissive"),
        (relays(40.0, Relay.MAIN_PLUS), "contactor"),
        (
            Entry(after(40.0), "can", matrix.REQUEST_ID, matrix.encode_request(matrix.Request({Route.CYCLER}, 1))),
            "matrix route",
        ),
    ],
)
def test_a_command_that_energises_afterwards(command: Entry, what: str) -> None:
    assert what in judged([*GOOD, command]).trouble


@pytest.mark.parametrize("text", ["SOUR:CURR 0.00\n", "SOUR:CURR?\n", "OUTP OFF\n"])
def test_a_command_that_does_not(text: str) -> None:
    assert judged([*GOOD, told(40.0, "cycler", text)]).trouble == ""


def test_contactors_opened_under_current() -> None:
    under_current = [entry for entry in GOOD if entry.can_id != bms_broadcast.RELAY_REQUEST_ID]
    assert "too early" in judged([*under_current, relays(20.0)]).trouble


def test_contactors_opened_under_current_that_does_not_go() -> None:
    stuck = [current(milliseconds, 5.0) for milliseconds in range(5, 150, 10)]
    others = [entry for entry in GOOD if entry.can_id not in (bms_broadcast.CURRENT_ID, bms_broadcast.RELAY_REQUEST_ID)]
    trial = judged([*others, *stuck, relays(103.0)])
    assert trial.trouble == ""
    assert trial.late_ms == pytest.approx(1.0)


@pytest.mark.parametrize(
    "safe",
    [
        SafeReport(False, TRIP_S, PROVED),
        SafeReport(True, TRIP_S, {"u_pn_plc": 0.1}),
        SafeReport(True, TRIP_S, PROVED | {"u_pn_digitizer": 61.0}),
        SafeReport(True, TRIP_S, PROVED | {"u_pn_digitizer": math.nan}),
    ],
)
def test_a_station_that_is_not_proved_safe(safe: SafeReport) -> None:
    assert "not proved below 60 V" in judged(GOOD, safe=safe).trouble


def test_a_run_that_ended_before_it_was_to_be_ended() -> None:
    assert "had ended before" in judged(GOOD, revoked_ms=-10.0).trouble


def test_only_a_loop_that_waited_for_a_processor_was_stalled_by_the_machine() -> None:
    trial = judged(GOOD)
    assert not trial._replace(stall_s=0.2, waited_s=0.1).contended
    assert trial._replace(stall_s=0.2, waited_s=0.3).contended
    assert not trial._replace(stall_s=0.005, waited_s=0.3).contended


def test_the_trip_of_a_hung_sequencer_counts_from_the_last_answer() -> None:
    answers = [Entry(after(milliseconds), "can", plc.ANSWER_ID, b"") for milliseconds in (-300.0, -250.0, 10.0)]
    assert hang_of([*answers, *GOOD], 0.0).trip_ms == pytest.approx(250.0)
