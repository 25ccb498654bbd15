"""Resistance by the ohmmeter: its uncertainty, its range, and where it has no contact."""

from __future__ import annotations

import pytest

from bmsctl.domain.limits import ABOVE, Reading
from bmsctl.domain.ports import ResistanceReading
from bmsctl.domain.units import Ohm
from bmsctl.errors import DeviceTimeout, ReplyInvalid, StepInvalid
from bmsctl.stations.resistance import reading_of, resistance
from firmware_stubs.sim.loop import run
from tests.support.stacking_bench import StackingBench
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import recipe_of

RECIPE = recipe_of("hvil_loop", u95_offset=0.1, u95_share=2.0, range=100.0)


def measured(error: Exception | None = None) -> ResistanceReading:
    async def main() -> ResistanceReading:
        bench = StackingBench(FarEnd(ohms={"loop": 1.5}))
        bench.errors["ohmmeter.measure"] = [] if error is None else [error]
        reading = await resistance(bench.context("hvil_loop", range=100.0), 2, "here")
        assert bench.of("ohmmeter.measure") == [(2, 100.0)]
        return reading

    return run(main(), 10.0)


def test_it_is_measured_in_the_recipes_range() -> None:
    assert measured() == ResistanceReading(Ohm(1.5), over_range=False)


def test_no_contact_says_where() -> None:
    with pytest.raises(StepInvalid, match="here: ohmmeter: no contact"):
        measured(ReplyInvalid("ohmmeter", "no contact"))
    with pytest.raises(DeviceTimeout, match="ohmmeter: silent"):
        measured(DeviceTimeout("ohmmeter", "silent"))


def test_its_uncertainty_is_an_offset_and_a_share_and_over_range_is_a_bound() -> None:
    assert reading_of(ResistanceReading(Ohm(2.0), over_range=False), RECIPE) == Reading(2.0, "Ohm", 0.14)
    beyond = reading_of(ResistanceReading(Ohm(100.0), over_range=True), RECIPE, "a joint")
    assert beyond == Reading(100.0, "Ohm", 2.1, "a joint", ABOVE)
