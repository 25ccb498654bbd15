"""Modules of a lot: the pack's own are those of its plant, and all are what their lot's records say."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.assembly import SPARES, AssemblyCondition, Lot, lot_of
from firmware_stubs.plant import Plant, PlantCondition
from firmware_stubs.population import facts_of

PART_NUMBER = "295M24112R"
GOOD, GOOD_PLANT = AssemblyCondition(), PlantCondition()


def lot(
    seed: int = 7,
    pack: str = "AS52",
    condition: AssemblyCondition = GOOD,
    plant: PlantCondition = GOOD_PLANT,
) -> tuple[Plant, Lot]:
    built = Plant(facts_of(pack), plant, seed)
    return built, lot_of(built, condition, PART_NUMBER, seed)


def test_the_packs_own_modules_have_the_cells_of_its_plant() -> None:
    plant, found = lot()
    assert [module.serial for module in found.own] == ["M24-7-1", "M24-7-2", "M24-7-3", "M24-7-4"]
    cell_v = np.concatenate([module.cell_v for module in found.own])
    np.testing.assert_allclose(cell_v, plant.cell_voltage_v(0.0), rtol=1e-7)
    assert sum(module.ocv_v for module in found.own) == pytest.approx(plant.stack_v, rel=1e-12)
    for slot, (module, incoming) in enumerate(zip(found.own, plant.incoming_modules(), strict=True), 1):
        record = found.data[module.serial]
        assert incoming.slot == slot
        assert record.cell_voltage_v == incoming.voltage_v
        assert record.age == incoming.age_s


def test_spares_are_younger_and_numbered_on() -> None:
    _, found = lot(pack="AM60")
    assert [module.serial for module in found.spares] == ["M08-7-13", "M08-7-14", "M08-7-15"]
    ages = [found.data[module.serial].age for module in (*found.own, *found.spares)]
    assert ages == sorted(ages, reverse=True)
    assert len(set(ages)) == 1 + SPARES
    assert found.find("M08-7-14") is found.spares[1]
    assert found.find("M08-7-16") is None


def test_voltages_and_resistances_spread_about_the_lots_medians_as_the_population_says() -> None:
    ocv_v, spare_v, acir, ohm = [], [], [], []
    for seed in range(150):
        _, found = lot(seed)
        for module in (*found.own, *found.spares):
            record = found.data[module.serial]
            deviation_v = module.ocv_v / len(module.cell_v) - record.lot_ocv
            (spare_v if module in found.spares else ocv_v).append(deviation_v)
            acir.append(module.acir_ohm / record.lot_acir - 1.0)
            ohm.append(module.insulation_ohm)
    assert np.std(ocv_v) == pytest.approx(2.0e-3, rel=0.2)
    assert np.std(spare_v) == pytest.approx(2.0e-3, rel=0.15)
    assert np.std(acir) == pytest.approx(0.021, rel=0.1)
    assert np.mean(acir) == pytest.approx(0.0, abs=0.003)
    assert np.median(ohm) == pytest.approx(2e9, rel=0.05)
    assert np.std(np.log(ohm)) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(("pack", "ohm"), [("AS52", 8.6e-3), ("AM40", 5.5e-3), ("AM60", 2.5e-3), ("AM87", 1.7e-3)])
def test_the_resistance_of_a_module_is_its_types_and_falls_with_temperature(pack: str, ohm: float) -> None:
    _, found = lot(pack=pack)
    assert np.mean([module.acir_ohm for module in found.own]) == pytest.approx(ohm, rel=0.08)
    module = found.own[0]
    assert module.temperature_c < 25.0
    assert module.resistance_ohm / module.acir_ohm == pytest.approx(
        1.0 + 0.012 * (25.0 - module.temperature_c), rel=2e-3
    )


def test_a_cell_with_too_much_resistance_shows_in_its_module_only() -> None:
    _, good = lot()
    _, bad = lot(plant=PlantCondition(cell_resistance={1: 1.48}))
    assert bad.own[0].acir_ohm / good.own[0].acir_ohm == pytest.approx(1.02, abs=0.003)
    assert [module.acir_ohm for module in bad.own[1:]] == [module.acir_ohm for module in good.own[1:]]
    assert bad.data["M24-7-1"].lot_acir == good.data["M24-7-1"].lot_acir


def test_a_real_difference_in_charge_is_in_module_and_record() -> None:
    _, good = lot()
    _, bad = lot(plant=PlantCondition(cell_offset_v={25: 0.05}))
    assert bad.own[1].ocv_v - good.own[1].ocv_v == pytest.approx(0.05, rel=1e-6)
    shifted_v = bad.data["M24-7-2"].cell_voltage_v[0] - good.data["M24-7-2"].cell_voltage_v[0]
    assert shifted_v == pytest.approx(0.05, rel=1e-6)
    assert bad.data["M24-7-2"].lot_ocv == good.data["M24-7-2"].lot_ocv


def test_labels_are_the_modules_own_unless_something_is_wrong() -> None:
    _, good = lot()
    assert {module.label.part_number for module in good.own} == {PART_NUMBER}
    assert all(module.label.serial == module.serial for module in (*good.own, *good.spares))
    _, bad = lot(condition=AssemblyCondition(wrong_part=frozenset({3}), cloned_label=frozenset({1, 2})))
    assert [module.serial for module in bad.own] == [module.serial for module in good.own]
    assert [bad.own[slot - 1].label for slot in (1, 2)] == [good.own[1].label, good.own[0].label]
    wrong = bad.own[2].label
    assert wrong.part_number == "295M08113R"
    assert bad.data[wrong.serial].part_number == wrong.part_number
    assert bad.own[3].label == good.own[3].label


def test_a_lot_is_a_function_of_its_seed() -> None:
    (_, one), (_, again), (_, other) = lot(3), lot(3), lot(4)
    assert [module.cell_v.tobytes() for module in one.spares] == [module.cell_v.tobytes() for module in again.spares]
    assert one.data == again.data
    assert one.spares[0].ocv_v != other.spares[0].ocv_v
