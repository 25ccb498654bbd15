"""Moments of many series at once: compiled and interpreted, against the moments of one and exact fractions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.analysis.spc import keyed
from bmsctl.analysis.spc.keyed import KeyMoments, KeysError, moments_by_key
from bmsctl.analysis.spc.moments import moments
from tests.reference.spc import exact_moments

KERNELS = ("count_keys", "sort_by_key", "describe_keys", "_describe", "_first_pass", "_second_pass", "_fold")
NONE = [math.nan, math.nan, math.nan]
MIXED = st.tuples(
    st.integers(0, 2), st.floats(-100, 100).map(lambda v: round(v, 3)) | st.sampled_from([math.nan, math.inf])
)


@contextmanager
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in KERNELS:
            patch.setattr(keyed, name, getattr(keyed, name).py_func)
        yield


def assert_is(found: KeyMoments, key: int, twin: dict[str, Any], values: list[float]) -> None:
    known = [value for value in values if math.isfinite(value)]
    assert (found.n[key], found.missing[key]) == (twin["n"], twin["missing"])
    for name in ("mean", "sd_overall", "moving_range"):
        assert getattr(found, name)[key] == pytest.approx(twin[name], rel=1e-9, abs=1e-9, nan_ok=True), name
    assert found.minimum[key] == pytest.approx(min(known, default=math.nan), nan_ok=True)
    assert found.maximum[key] == pytest.approx(max(known, default=math.nan), nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(st.lists(MIXED, max_size=60))
def test_agrees_with_fractions(rows: list[tuple[int, float]]) -> None:
    found = moments_by_key([key for key, _ in rows], [value for _, value in rows], NONE, NONE)
    for key in range(3):
        values = [value for of, value in rows if of == key]
        assert_is(found, key, exact_moments(values), values)


def streams(n: int, n_keys: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    keys, values = rng.integers(0, n_keys, n), rng.normal(3.3, 1e-4, n)
    values[rng.integers(0, n, n // 50)] = np.nan
    return keys, values


def test_interpreted_is_the_same_to_the_bit() -> None:
    keys, values = streams(600, 4)
    limits = np.full(4, 3.2999), np.full(4, 3.3001)
    compiled = moments_by_key(keys, values, *limits)
    with interpreted():
        plain = moments_by_key(keys, values, *limits)
    for ours, theirs in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_agrees_with_one_series_at_a_time() -> None:
    keys, values = streams(100_000, 7)
    lower, upper = np.full(7, 3.2998), np.full(7, 3.3002)
    found = moments_by_key(keys, values, lower, upper)
    for key in range(7):
        of_key = values[keys == key]
        alone = moments(of_key)
        for name in ("n", "missing", "mean", "sd_overall", "moving_range"):
            assert getattr(found, name)[key] == pytest.approx(getattr(alone, name), rel=1e-12), name
        assert found.outside[key] == np.count_nonzero((of_key < lower[key]) | (of_key > upper[key]))


def test_one_thread_and_two_give_the_same_bits() -> None:
    keys, values = streams(200_000, 50)
    limits = np.full(50, np.nan), np.full(50, 3.3)
    before = numba.get_num_threads()
    answers = []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            answers.append(moments_by_key(keys, values, *limits))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*answers, strict=True):
        assert one.tobytes() == two.tobytes()


def test_a_missing_value_is_outside_of_nothing_and_a_limit_itself_is_inside() -> None:
    found = moments_by_key([0, 0, 0, 0], [np.nan, 1.0, 3.0, 3.1], [1.0], [3.0])
    assert (found.missing[0], found.outside[0]) == (1, 1)
    assert moments_by_key([0, 0], [-1e9, 1e9], [np.nan], [np.nan]).outside[0] == 0


def test_an_outlier_first_does_not_cost_digits() -> None:
    values = [1e6, *(3.3 + 1e-4 * (-1) ** i for i in range(500))]
    found = moments_by_key([0] * 501, values, [np.nan], [np.nan])
    assert found.sd_overall[0] == pytest.approx(exact_moments(values)["sd_overall"], rel=1e-12)


def test_strided_and_empty_input() -> None:
    keys, values = streams(500, 3)
    straight = moments_by_key(keys, values, NONE, NONE)
    strided = moments_by_key(np.repeat(keys, 2)[::2], np.repeat(values, 2)[::2], NONE, NONE)
    assert straight.sd_overall.tobytes() == strided.sd_overall.tobytes()
    empty = moments_by_key([], [], NONE, NONE)
    assert empty.n.tolist() == [0, 0, 0]
    assert np.isnan(empty.mean).all()


@pytest.mark.parametrize("key", [-1, 3])
def test_a_key_that_is_not_there(key: int) -> None:
    with pytest.raises(KeysError, match="not below 3"):
        moments_by_key([0, key], [1.0, 2.0], NONE, NONE)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(KeysError, match="give keys and values"):
        moments_by_key([0], [1.0, 2.0], NONE, NONE)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_run_without_the_interpreters_lock_and_keep_nan(name: str) -> None:
    options = getattr(keyed, name).targetoptions
    assert options["nogil"]
    assert not options.get("fastmath")
