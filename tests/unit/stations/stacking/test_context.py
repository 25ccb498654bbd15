"""What a stacking step learns of the pack, and what it forgets with a part that is taken out."""

from __future__ import annotations

from bmsctl.domain.events import (
    Measured,
    PartInstalled,
    PartRemoved,
)
from bmsctl.domain.limits import Limit, Measurement, Reading, judge
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.eol import STEPS as EOL_STEPS
from bmsctl.stations.stacking import STEPS
from bmsctl.stations.stacking.context import StackingFacts, readings_of, slots_of
from bmsctl.stations.stacking.devices import LEASED
from tests.support.stacking_parts import RECIPE, SERIAL, TRAY, accepted, recipe_of


def facts(*events: object, **known: object) -> StackingFacts:
    learned = StackingFacts(SERIAL, TRAY, b"", **known)  # type: ignore[arg-type]
    learned.learn(events)  # type: ignore[arg-type]
    return learned


def test_the_steps_are_the_recipes_and_lease_what_the_station_has() -> None:
    assert [step.name for step in STEPS] == [step.run for step in RECIPE.steps("stacking")]
    assert all(set(step.devices) <= set(LEASED) for step in STEPS)
    assert not any(step.high_voltage or step.voltage_free for step in STEPS)
    assert not {step.name for step in STEPS} & {step.name for step in EOL_STEPS}


def test_with_a_part_goes_all_that_was_known_of_it() -> None:
    earlier = {("place", f"voltage[{slot}]"): Reading(88.0, "V") for slot in ("module 1", "module 2", "module 12")}
    learned = facts(
        accepted(2),
        PartInstalled("module 2", "P", "M2", None),
        PartRemoved("module 2", "M2", "scratched"),
        earlier=earlier,
    )
    assert learned.built.parts == learned.built.accepted == {}
    assert learned.removed == {"M2"}
    assert [name for _, name in learned.earlier] == ["voltage[module 1]", "voltage[module 12]"]


def test_a_bolts_earlier_readings_go_with_it() -> None:
    earlier = {("bolts", f"torque[{bolt}]"): Reading(25.0, "Nm") for bolt in ("m1.1", "m11.1", "m1.11")}
    learned = facts(PartRemoved("bolt m1.1", None, "low"), earlier=earlier)
    assert [name for _, name in learned.earlier] == ["torque[m11.1]", "torque[m1.11]"]


def test_a_reading_on_record_without_its_uncertainty_is_none() -> None:
    limit = Limit(None, 30.0, "Nm", True, "a test")
    told = Measurement("torque[m1.1]", 25.0, "Nm", None, 30.0, None, Verdict.PASS, "")
    readings = readings_of([Measured.of("bolts", told, limit), Measured.of("bolts", told._replace(u95=0.5), limit)])
    assert readings == {("bolts", "torque[m1.1]"): Reading(25.0, "Nm", 0.5)}
    ((_, reading),) = readings_of([Measured.of("bolts", told, limit)]).items()
    assert judge("torque[m1.1]", reading, limit).verdict is Verdict.INVALID


def test_slots_come_by_their_numbers() -> None:
    table = {f"module {number}": "front" for number in (10, 2, 1, 12)}
    assert [slot for slot, _ in slots_of(recipe_of("place", slots=table), "slots")] == [
        "module 1",
        "module 2",
        "module 10",
        "module 12",
    ]


def test_the_stacks_voltage_is_the_sum_of_the_modules() -> None:
    assert facts(accepted(1), accepted(2)).modules_voltage_v() == 2 * accepted(1).voltage
