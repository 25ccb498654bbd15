"""What doctor says of processors, clocks and timers."""

from __future__ import annotations

import pytest

from bmsctl.compose import doctor_machine
from bmsctl.compose.check import State
from bmsctl.protocols.plc import CHALLENGE_PERIOD_S


@pytest.mark.parametrize(("count", "state"), [(1, State.WARN), (2, State.GOOD), (64, State.GOOD)])
def test_two_processors_are_enough(count: int, state: State) -> None:
    assert doctor_machine.processors(count).state is state


def test_a_clock_that_nobody_keeps_is_a_warning_with_a_remedy() -> None:
    assert doctor_machine.wall_clock(True).state is State.GOOD
    check = doctor_machine.wall_clock(False)
    assert check.state is State.WARN
    assert "set-ntp" in check.remedy


@pytest.mark.parametrize(
    ("resolution_s", "monotonic", "state"),
    [(1e-9, True, State.GOOD), (0.004, True, State.BAD), (1e-9, False, State.BAD)],
)
def test_deadlines_need_a_fine_clock_that_never_goes_back(resolution_s: float, monotonic: bool, state: State) -> None:
    assert doctor_machine.monotonic_clock(resolution_s, monotonic).state is state


@pytest.mark.parametrize(
    ("late_s", "state"),
    [(0.0005, State.GOOD), (0.2 * CHALLENGE_PERIOD_S, State.WARN), (CHALLENGE_PERIOD_S, State.BAD)],
)
def test_lateness_is_judged_by_the_plcs_period(late_s: float, state: State) -> None:
    assert doctor_machine.timer(late_s).state is state


def test_the_latest_wake_up_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "WATCHED_S", 0.05)
    assert doctor_machine.latest_wake_up_s() > 0.0
    assert [check.name for check in doctor_machine.checks()] == ["processors", "wall clock", "monotonic clock", "timer"]
