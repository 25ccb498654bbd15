"""Bonding: the worst point is the verdict, and named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import ReplyInvalid
from bmsctl.stations.eol.bonding import bonding
from tests.support.fake_devices import FakeBench, Outcome, passed, recipe_of, run_step

POINTS = recipe_of("bonding").names("points")


def bonded(*ohms: float) -> Outcome:
    return run_step(bonding, "bonding", lambda bench: setattr(bench.ohmmeter, "ohms", list(ohms)))


def test_every_point_is_measured_by_its_channel() -> None:
    outcome = bonded(*(4e-3 + 1e-4 * index for index in range(6)))
    assert passed(outcome)
    assert outcome.value("resistance_max") == pytest.approx(4.5e-3)
    assert outcome.bench.of("ohmmeter.measure") == [(channel, 0.1) for channel in range(1, 7)]
    assert outcome.bench.log.traces["resistances"] == pytest.approx([4e-3 + 1e-4 * index for index in range(6)])


@pytest.mark.parametrize("ohm", [24.9e-3, 26e-3, 0.099])
def test_a_high_resistance_fails_with_the_points_name(ohm: float) -> None:
    outcome = bonded(4e-3, 4e-3, ohm, 4e-3, 4e-3, 4e-3)
    assert outcome.verdicts == {"resistance_max": Verdict.FAIL}
    assert POINTS[2] in outcome.reason("resistance_max")


def test_an_open_strap_fails_as_a_bound() -> None:
    outcome = bonded(4e-3, 4e-3, 0.1, 4e-3, 4e-3, 1e7)
    measurement = outcome.context.measurements["resistance_max"]
    assert (measurement.verdict, measurement.value, measurement.bound) == (Verdict.FAIL, 0.1, ABOVE)
    assert POINTS[5] in measurement.reason


@settings(max_examples=30)
@given(st.lists(st.floats(1e-3, 0.2), min_size=6, max_size=6))
def test_the_verdict_is_that_of_the_worst_point(ohms: list[float]) -> None:
    assert (bonded(*ohms).verdicts["resistance_max"] is Verdict.PASS) == (
        max(ohms) + 0.2e-3 + 0.005 * max(ohms) <= 25e-3
    )


def test_a_point_without_contact_is_named_and_not_judged() -> None:
    def script(bench: FakeBench) -> None:
        bench.errors = {"ohmmeter.measure": [ReplyInvalid("ohmmeter", "no contact")]}

    outcome = run_step(bonding, "bonding", script)
    assert outcome.error == f"bonding point {POINTS[0]}: ohmmeter: no contact"
    assert outcome.verdicts == {}
