"""Modules at the scan and on the test table: what stops before anything is touched, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from bmsctl.domain.events import Event, ModuleAccepted, PartRemoved
from bmsctl.domain.limits import Reading
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, ReplyInvalid
from bmsctl.stations.stacking.modules_in import MODULE_MEASUREMENTS, modules_in
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed
from tests.support.stacking_bench import run_step as run_any
from tests.support.stacking_far_end import FarEnd
from tests.support.stacking_parts import CELLS, MODULE, REST_V, STACK, built, module


def run(
    far: FarEnd | None = None, script: Callable[[StackingBench], None] = lambda bench: None, **how: object
) -> Outcome:
    return run_any(modules_in, "modules_in", script, far=far, **how)  # type: ignore[arg-type]


def fetched(outcome: Outcome) -> list[tuple[str, str]]:
    return outcome.bench.of("operator.confirm.fetch")


def untouched(outcome: Outcome) -> bool:
    """Whether nothing was probed."""
    return not any(
        name.startswith(("operator.confirm.probe", "battery", "insulation")) for name in outcome.bench.names()
    )


def test_good_modules_are_accepted_in_slot_order_the_oldest_first() -> None:
    outcome = run()
    assert passed(outcome)
    assert fetched(outcome) == [(f"module {number}", f"M{number}") for number in range(1, 5)]
    accepted = [event for event in outcome.bench.log.events if isinstance(event, ModuleAccepted)]
    assert [(event.slot, event.serial) for event in accepted] == [(f"module {n}", f"M{n}") for n in range(1, 5)]
    assert accepted[0].voltage == CELLS * REST_V
    assert accepted[0].cell_voltage == CELLS * (REST_V,)


def test_each_test_voltage_has_its_own_permissive_and_hands_come_after_it_is_gone() -> None:
    names = [name for name in run().bench.names() if name.startswith(("plc", "insulation"))]
    one = ["plc.permit", "plc.feed_coils", "insulation_tester.measure", "insulation_tester.off", "plc.drop_permit"]
    assert names == 4 * one


def test_an_open_guard_is_the_stations_trouble() -> None:
    outcome = run(script=lambda bench: setattr(bench.plc, "refused", "the guard is open"))
    assert outcome.error == "plc: the guard is open"
    assert Verdict.FAIL not in outcome.verdicts.values()
    assert outcome.bench.of("insulation_tester.measure") == []


def test_nobody_touches_a_module_that_the_plc_does_not_prove_voltage_free() -> None:
    outcome = run(script=lambda bench: setattr(bench.plc, "proves", False))
    assert outcome.error is not None
    assert "do not touch" in outcome.error
    assert len(fetched(outcome)) == 1


def test_a_wrong_part_fails_and_nothing_is_touched() -> None:
    outcome = run(FarEnd(labels={"module 2": "295M12080R;X1"}))
    assert outcome.verdicts["part_match[module 2]"] is Verdict.FAIL
    assert "X1 is 295M12080R" in outcome.reason("part_match[module 2]")
    assert outcome.bench.parts_of("operator.confirm.probe") == ["module 1"]
    assert len(fetched(outcome)) == 2


@pytest.mark.parametrize(
    ("far", "says"),
    [
        (FarEnd(labels={"module 2": f"{MODULE};M1"}), "which is the one for module 1: cloned"),
        (FarEnd(labels={"module 1": f"{MODULE};M3"}), "M3 was fetched instead of M1"),
        (FarEnd(labels={"module 1": f"{MODULE};M99"}), "nothing is known of module M99"),
        (FarEnd(packs={"M1": "AS52000000099"}), "known in pack AS52000000099"),
        (FarEnd(labels={"module 1": "?"}), "the label cannot be read"),
        (FarEnd(buffer=[module(1), module(2)]), "4 modules of one part number are needed, the buffer has 2"),
        (FarEnd(buffer=[module(n, part_number="295M12080R") for n in range(1, 6)]), "the buffer has 0"),
    ],
    ids=["cloned", "another", "unknown", "used", "unreadable", "too few", "none of the part number"],
)
def test_what_a_person_must_look_into_is_invalid_and_nothing_is_touched(far: FarEnd, says: str) -> None:
    outcome = run(far)
    assert outcome.error is not None
    assert says in outcome.error
    assert Verdict.FAIL not in outcome.verdicts.values()
    last = outcome.bench.names()[-1]
    assert not last.startswith(("battery_tester", "insulation_tester", "ohmmeter"))


def test_a_module_known_in_this_very_pack_is_no_clone() -> None:
    assert passed(run(FarEnd(packs={"M1": "AS52000000001"})))


def test_too_old_a_module_fails_before_it_is_touched() -> None:
    outcome = run(FarEnd(buffer=[module(1, age=91 * 86400.0), *(module(n) for n in range(2, 5))]))
    assert outcome.verdicts == {"part_match[module 1]": Verdict.PASS, "age[module 1]": Verdict.FAIL}
    assert untouched(outcome)
    assert "M1" in outcome.reason("age[module 1]")


@pytest.mark.parametrize("millivolts", [-10.5, -9.8, 9.8, 10.5])
def test_a_module_off_its_lot_fails_and_is_not_accepted(millivolts: float) -> None:
    volts = CELLS * (REST_V + 1e-3 * millivolts)
    outcome = run(FarEnd(volts={"module 1": volts}))
    assert outcome.verdicts["ocv_deviation[module 1]"] is Verdict.FAIL
    assert outcome.value("ocv_deviation[module 1]") == pytest.approx(1e-3 * millivolts)
    assert outcome.verdicts["insulation[module 1]"] is Verdict.PASS
    assert not any(isinstance(event, ModuleAccepted) for event in outcome.bench.log.events)
    assert len(fetched(outcome)) == 1


@pytest.mark.parametrize(("celsius", "ohm"), [(25.0, 8.6e-3), (35.0, 8.6e-3 * 0.88), (15.0, 8.6e-3 * 1.12)])
def test_the_resistance_is_compared_at_the_temperature_of_the_medians(celsius: float, ohm: float) -> None:
    def script(bench: StackingBench) -> None:
        bench.battery_tester.ohm, bench.ohmmeter.celsius = ohm, celsius

    outcome = run(script=script)
    assert passed(outcome)
    assert outcome.value("acir_deviation[module 1]") == pytest.approx(0.0, abs=1e-9)


def test_a_module_with_a_weak_housing_fails() -> None:
    outcome = run(script=lambda bench: setattr(bench.insulation_tester, "ohm", 9e7))
    assert outcome.verdicts["insulation[module 1]"] is Verdict.FAIL
    assert "M1 at 500 V" in outcome.reason("insulation[module 1]")


def test_no_contact_is_invalid() -> None:
    lost = ReplyInvalid("battery_tester", "no contact")
    outcome = run(script=lambda bench: bench.errors.update({"battery_tester.measure": [lost]}))
    assert outcome.error == "battery_tester: no contact"


def test_incoming_data_of_another_module_type_is_invalid() -> None:
    short = [module(n, cell_voltage_v=12 * (REST_V,)) for n in range(1, 5)]
    outcome = run(FarEnd(buffer=short))
    assert outcome.error is not None
    assert "has 12 cell groups, the pack's modules have 24" in outcome.error


def test_modules_at_different_temperatures_are_not_comparable() -> None:
    def script(bench: StackingBench) -> None:
        celsius = iter([20.0, 24.5, 22.0, 22.0])

        async def temperature(lease: object) -> float:
            return next(celsius)

        bench.ohmmeter.temperature = temperature  # type: ignore[method-assign, assignment]

    outcome = run(script=script)
    assert outcome.value("temperature_spread") == 4.5
    assert outcome.verdicts["temperature_spread"] is Verdict.FAIL


@pytest.mark.parametrize("lives", range(1, 26, 3))
def test_killed_after_any_event_no_module_is_measured_twice_and_none_left_out(lives: int) -> None:
    far = FarEnd()
    first = run(far, lives=lives)
    assert first.error == "died"
    done = [event.slot for event in first.bench.log.events if isinstance(event, ModuleAccepted)]
    second = run(far, begun=first.bench.log.events)
    assert passed(second)
    assert [slot for slot, _ in fetched(second)] == [slot for slot in STACK if slot not in done]
    undisturbed = [event for event in run().bench.log.events if isinstance(event, ModuleAccepted)]
    assert [event for event in second.bench.log.events if isinstance(event, ModuleAccepted)] == undisturbed


def test_a_step_that_had_failed_does_not_go_on_after_the_program_ended() -> None:
    far = FarEnd(labels={"module 1": "295M12080R;X1"})
    second = run(FarEnd(), begun=run(far).bench.log.events)
    assert second.verdicts == {"part_match[module 1]": Verdict.FAIL}
    assert fetched(second) == []


def readings(*slots: str) -> dict[tuple[str, str], Reading]:
    """What an earlier attempt has measured of these slots."""
    values = {
        "part_match": Reading(1.0, None),
        "age": Reading(30 * 86400.0, "s"),
        "ocv_deviation": Reading(1e-3, "V", 0.5e-3),
        "acir_deviation": Reading(1.0, "%", 0.7),
        "insulation": Reading(2e9, "Ohm", 4e8),
    }
    return {("modules_in", f"{name}[{slot}]"): values[name] for slot in slots for name in MODULE_MEASUREMENTS}


def replaced(slot: str) -> Sequence[Event]:
    """A pack whose module in a slot was taken out."""
    return [*built(*STACK), PartRemoved(slot, "M" + slot[-1], "replaced")]


def test_only_a_replaced_modules_slot_is_filled_anew_and_not_with_the_one_taken_out() -> None:
    outcome = run(begun=replaced("module 2"), earlier=readings(*STACK))
    assert passed(outcome)
    assert fetched(outcome) == [("module 2", "M5")]
    assert outcome.value("ocv_deviation[module 1]") == 1e-3
    assert outcome.value("ocv_deviation[module 2]") == pytest.approx(0.0)


def test_a_replacement_comes_from_the_packs_own_lot_if_there_is_one() -> None:
    older = module(0, serial="M0", lot="L0")
    outcome = run(
        FarEnd(buffer=[older, *(module(n) for n in range(1, 6))]), begun=replaced("module 2"), earlier=readings(*STACK)
    )
    assert fetched(outcome) == [("module 2", "M5")]


def test_a_module_in_the_pack_of_which_nothing_is_known_is_invalid() -> None:
    outcome = run(begun=built("module 1"))
    assert outcome.error is not None
    assert "module 1 is in the pack" in outcome.error


def test_an_accepted_module_that_is_no_longer_known_is_invalid() -> None:
    events = [event for event in built("module 1") if isinstance(event, ModuleAccepted)]
    outcome = run(FarEnd(buffer=[module(n) for n in range(2, 6)]), begun=events)
    assert outcome.error is not None
    assert "M1 was accepted, and is not known any more" in outcome.error


def test_a_person_who_refuses_ends_the_step() -> None:
    no = DeviceRefused("operator", "the hoist is broken")
    outcome = run(script=lambda bench: bench.errors.update({"operator.confirm.fetch": [no]}))
    assert outcome.error == str(no)


def test_a_right_serial_on_a_wrong_part_is_not_taken_after_the_program_ended() -> None:
    far = FarEnd()
    first = run(far, lives=2)
    again = run(replace(far, labels={"module 1": "295M12080R;M1"}), begun=first.bench.log.events)
    assert again.error is not None
    assert "was fetched instead of M1" in again.error
