"""Identification: nobody docks a live pack, and a wrong adapter, BMS or module ends the step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bmsctl.domain.events import IncomingMeasured, PartInstalled
from bmsctl.domain.ports import IncomingModule
from bmsctl.domain.units import Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceRefused, DeviceTimeout
from bmsctl.stations.eol.identify import identify
from tests.support.fake_devices import RECIPE, SERIAL, FakeBench, Outcome, passed, recipe_of, run_step

AGE_S = Second(16 * 86400.0)


def modules_of(cell_v: np.ndarray) -> list[IncomingModule]:
    """The genealogy of a pack whose cells came in with these voltages."""
    return [
        IncomingModule(slot, "M24", f"M-{slot}", "L7", AGE_S, tuple(Volt(float(volts)) for volts in cells))
        for slot, cells in enumerate(cell_v.reshape(RECIPE.pack.modules, -1), 1)
    ]


def built(bench: FakeBench) -> None:
    """A pack whose modules are where the genealogy has them."""
    bench.bms.cell_v = 3.6 + 1e-3 * np.random.default_rng(1).standard_normal(RECIPE.pack.series)
    bench.genealogy.known = modules_of(bench.bms.cell_v + 4e-3)


def ran(change: Callable[[FakeBench], None] = lambda bench: None) -> Outcome:
    def script(bench: FakeBench) -> None:
        built(bench)
        change(bench)

    return run_step(identify, "identify", script)


def test_a_good_pack_is_identified_and_sent_back_to_sleep() -> None:
    outcome = ran()
    assert passed(outcome)
    assert outcome.value("wake_time") == pytest.approx(0.8)
    bench = outcome.bench
    assert bench.log.notes()[0].startswith("confirmed")
    assert bench.bms.delay_s == recipe_of("identify").quantity("sleep_delay")
    assert bench.of("plc.supply") == [(True, True), (True, False)]
    assert bench.names()[-1] == "bms.silent"
    assert bench.log.traces["cells_at_arrival"] == pytest.approx(bench.bms.cell_v)


def test_supply_comes_before_wake_and_docking_before_both() -> None:
    names = ran().bench.names()
    order = ["plc.voltages", "operator.confirm", "plc.sense", "lv_supply.on", "plc.supply", "bms.identity"]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)


def test_every_module_is_logged_with_its_incoming_data() -> None:
    outcome = ran()
    events = outcome.bench.log.installed()
    assert [event.slot for event in events if isinstance(event, PartInstalled)] == [f"module {n}" for n in (1, 2, 3, 4)]
    voltages = [event for event in events if isinstance(event, IncomingMeasured) and event.name == "cell_voltage"]
    assert [len(event.values) for event in voltages] == [24] * 4
    assert outcome.context.facts.modules == outcome.bench.genealogy.known


@pytest.mark.parametrize("voltages_v", [(61.0, 0, 0, 0), (0, 0, -61.0, 0), (0, 0, 0, 59.5)])
def test_nobody_is_asked_to_dock_a_live_pack(voltages_v: tuple[float, float, float, float]) -> None:
    outcome = ran(lambda bench: setattr(bench.plc, "voltages_v", voltages_v))
    assert outcome.verdicts == {"docking_voltage": Verdict.FAIL}
    assert outcome.bench.names() == ["plc.voltages"]


@pytest.mark.parametrize(("mated", "said"), [(40, "adapter 40"), (None, "no adapter")])
def test_a_wrong_adapter_is_named_with_the_right_one(mated: int | None, said: str) -> None:
    outcome = ran(lambda bench: setattr(bench.plc, "adapter", mated))
    assert outcome.error is not None
    assert said in outcome.error
    assert f"takes adapter {recipe_of('identify').count('adapter')}" in outcome.error
    assert "lv_supply.on" not in outcome.bench.names()


@pytest.mark.parametrize("error", [DeviceTimeout("operator", "nobody"), DeviceRefused("operator", "plug bent")])
def test_without_the_operator_nothing_is_switched_on(error: Exception) -> None:
    outcome = ran(lambda bench: bench.errors.update({"operator.confirm": [error]}))
    assert outcome.error == str(error)
    assert "lv_supply.on" not in outcome.bench.names()


def test_another_packs_bms_is_named_with_the_label() -> None:
    outcome = ran(lambda bench: setattr(bench.bms, "pack_serial", "AS52000099999"))
    assert outcome.error is not None
    assert "AS52000099999" in outcome.error
    assert SERIAL in outcome.error
    assert "genealogy.modules" not in outcome.bench.names()


@pytest.mark.parametrize(("a", "b"), [(1, 2), (1, 4), (3, 4)])
def test_exchanged_modules_are_named(a: int, b: int) -> None:
    def exchange(bench: FakeBench) -> None:
        cells = np.array([module.cell_voltage_v for module in bench.genealogy.known])
        cells[[a - 1, b - 1]] = cells[[b - 1, a - 1]]
        bench.genealogy.known = modules_of(cells)

    outcome = ran(exchange)
    assert outcome.error is not None
    assert f"slots {a} and {b}" in outcome.error
    assert outcome.bench.log.notes()[0].startswith("contradicted")
    assert "cells_at_arrival" in outcome.bench.log.traces


def test_without_incoming_data_modules_are_not_distinguishable_and_that_is_on_record() -> None:
    outcome = ran(lambda bench: setattr(bench.genealogy, "known", ()))
    assert passed(outcome)
    assert outcome.bench.log.notes() == ["not distinguishable: nothing known to compare with"]


@pytest.mark.parametrize("keep", [slice(0, 3), slice(1, 4)])
def test_a_genealogy_of_another_pack_is_refused(keep: slice) -> None:
    outcome = ran(lambda bench: setattr(bench.genealogy, "known", bench.genealogy.known[keep]))
    assert outcome.error is not None
    assert "the pack has 4 of 24 cells" in outcome.error
    assert outcome.bench.log.installed() == []


def test_a_repeated_step_installs_no_module_twice() -> None:
    def again(bench: FakeBench) -> None:
        bench.facts.modules = bench.genealogy.known

    outcome = ran(again)
    assert passed(outcome)
    assert outcome.bench.log.installed() == []


def test_a_silent_genealogy_ends_the_step() -> None:
    error = DeviceTimeout("genealogy", "no answer")
    outcome = ran(lambda bench: bench.errors.update({"genealogy.modules": [error]}))
    assert outcome.error == str(error)
