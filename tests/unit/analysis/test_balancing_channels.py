"""Signatures of balancing channels, from a stack wired wire by wire."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.balancing_channels import ChannelSignatures, channel_signatures
from bmsctl.domain.ports import F64
from tests.reference.balancing_channels import read_volts, signatures

AMPS, WIRE_OHM = 0.11, 0.03
DROP_V = AMPS * WIRE_OHM
NEAR_V = 0.08 * DROP_V
"""What the chips' outermost wires leave in the mean."""


def falls(
    series: int, groups: int, chip: int, stuck_on: Set[int] = frozenset(), stuck_off: Set[int] = frozenset()
) -> F64:
    """(groups, series) of a stack some of whose switches are stuck."""

    def read(commanded: Set[int]) -> F64:
        return np.array(read_volts([3.6] * series, (commanded | stuck_on) - stuck_off, AMPS, WIRE_OHM, chip))

    return np.array([read(frozenset()) - read(frozenset(range(g, series, groups))) for g in range(groups)])


def found(fall: F64, chip: int) -> ChannelSignatures:
    return channel_signatures(fall, chip)


@pytest.mark.parametrize("series", [72, 96])
@pytest.mark.parametrize("groups", [3, 4])
def test_a_good_stack_shows_the_same_everywhere(series: int, groups: int) -> None:
    fall, rise = found(falls(series, groups, 16), 16)
    assert fall == pytest.approx(2.0 * DROP_V, abs=NEAR_V)
    assert rise == pytest.approx(DROP_V, abs=NEAR_V)


@pytest.mark.parametrize("cell", [0, 15, 16, 47, 95])
@pytest.mark.parametrize("stuck", ["on", "off"])
def test_a_stuck_switch_shows_at_its_own_cell_only(cell: int, stuck: str) -> None:
    only = frozenset({cell})
    fall, rise = found(falls(96, 3, 16, **{f"stuck_{stuck}": only}), 16)
    assert fall[cell] == pytest.approx(0.0, abs=NEAR_V)
    assert rise[cell] == pytest.approx(0.0, abs=NEAR_V)
    others = np.arange(96) != cell
    assert fall[others] == pytest.approx(2.0 * DROP_V, abs=NEAR_V)
    assert rise[others] == pytest.approx(DROP_V, abs=NEAR_V)


@settings(max_examples=40)
@given(st.integers(1, 24), st.integers(1, 5), st.sampled_from([1, 2, 5, 16]), st.integers(0, 1000))
def test_agrees_with_the_loop(series: int, groups: int, chip: int, seed: int) -> None:
    fall = np.random.default_rng(seed).normal(size=(groups, series))
    own, rise = signatures(fall.tolist(), chip)
    assert found(fall, chip).fall_v == pytest.approx(own, abs=1e-12)
    assert found(fall, chip).neighbour_rise_v == pytest.approx(rise, abs=1e-12, nan_ok=True)


def test_what_all_cells_do_together_is_no_signature() -> None:
    fall = falls(96, 3, 16)
    relaxing_v = np.array([[3e-3], [-1e-3], [0.5e-3]])
    for moved, still in zip(found(fall + relaxing_v, 16), found(fall, 16), strict=True):
        assert moved == pytest.approx(still, abs=1e-12)


def test_a_silent_cell_has_no_signature_and_its_neighbours_have_the_other_side() -> None:
    fall = falls(96, 3, 16)
    fall[:, 20] = np.nan
    signature = found(fall, 16)
    assert np.flatnonzero(np.isnan(signature.fall_v)).tolist() == [20]
    assert not np.isnan(signature.neighbour_rise_v).any()
