"""The safety PLC's voltmeter and thermometer: their errors, and what it takes for less than 60 V."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_stubs.plant import Node
from firmware_stubs.plc_meter import Thermometer, Voltmeter
from tests.support.fake_plant import FakePlant

P, N, LINK = Node.P, Node.N, Node.LINK


@pytest.mark.parametrize(
    ("potential_v", "free"),
    [
        ({}, True),
        ({P: 55.0}, True),
        ({P: 65.0}, False),
        ({P: -65.0}, False),
        ({LINK: 65.0}, False),
        ({P: 65.0, N: 65.0, LINK: 65.0}, False),
        ({P: -65.0, N: -65.0, LINK: -65.0}, False),
    ],
)
def test_free_is_below_60_v_between_poles_at_the_link_and_against_chassis(
    potential_v: dict[Node, float], free: bool
) -> None:
    assert Voltmeter(FakePlant(potential_v), 1).voltage_free(0, 0.0) is free


def test_either_channel_alone_denies_the_proof() -> None:
    denied = set()
    for seed in range(40):
        meter = Voltmeter(FakePlant({P: 60.0}), seed)
        above = tuple(abs(meter.read(0, 0.0, channel, to_chassis=True)[0]) >= 60.0 for channel in (0, 1))
        pole_above = any(abs(meter.read(0, 0.0, channel, to_chassis=True)[2] or 0.0) >= 60.0 for channel in (0, 1))
        assert meter.voltage_free(0, 0.0) is not (any(above) or pole_above)
        denied.add(above)
    assert {(True, False), (False, True)} <= denied


def test_without_proof_resistors_nothing_is_known_against_chassis() -> None:
    assert Voltmeter(FakePlant({P: 10.0}), 1).read(0, 0.0, 0, to_chassis=False)[2:] == (None, None)


def test_gain_differs_by_a_percent_and_noise_is_300_mv() -> None:
    plant = FakePlant({P: 175.0, N: -175.0, LINK: -100.0})
    gains = []
    for seed in range(100):
        meter = Voltmeter(plant, seed)
        read_v = np.array([meter.read(n, 0.0, 0, to_chassis=True) for n in range(64)], dtype=np.float64)
        assert read_v.std(axis=0) == pytest.approx(np.full(4, 0.3), rel=0.5)
        gains.append(read_v.mean(axis=0) / (350.0, 75.0, 175.0, -175.0))
    assert np.mean(gains, axis=0) == pytest.approx(np.ones(4), abs=0.004)
    assert np.std(gains, axis=0) == pytest.approx(np.full(4, 0.01), rel=0.25)


def test_a_thermometer_is_wrong_by_300_mk_and_always_by_the_same() -> None:
    read_c = [Thermometer(22.0, seed).read() or 0.0 for seed in range(200)]
    assert np.mean(read_c) == pytest.approx(22.0, abs=0.07)
    assert np.std(read_c) == pytest.approx(0.3, rel=0.2)
    meter = Thermometer(22.0, 1)
    assert meter.read() == meter.read() == Thermometer(22.0, 1).read()
    assert Thermometer(None, 1).read() is None


def test_a_sample_depends_on_seed_and_number_only() -> None:
    plant = FakePlant({P: 100.0})
    first, again = Voltmeter(plant, 7), Voltmeter(plant, 7)
    again.read(3, 0.0, 0, to_chassis=True)
    assert first.read(5, 0.0, 0, to_chassis=True) == again.read(5, 0.0, 0, to_chassis=True)
    assert first.read(5, 0.0, 0, to_chassis=True) != first.read(6, 0.0, 0, to_chassis=True)
