"""How kernels are compiled: once, into the cache; without the interpreter's lock; never with fastmath.

Fastmath lets the compiler assume that there is no NaN, and a missing value would pass every limit. Sums keep their
order, so results are the same bits on every processor and with any number of threads: what `prange` works on in
parallel is written item by item, never summed up across items.

The cache is beside the source, or in NUMBA_CACHE_DIR. It is not portable between processors; `bmsctl analyze warmup`
fills it.
"""

from __future__ import annotations

from numba import config, njit, prange

from bmsctl.analysis.kernel_cache import LOCATORS

__all__ = ["kernel", "parallel_kernel", "prange"]

config.CACHE_LOCATOR_CLASSES = LOCATORS  # type: ignore[attr-defined]

kernel = njit(cache=True, nogil=True, error_model="numpy")
"""Decorator of a kernel; `.py_func` is the same function interpreted."""

parallel_kernel = njit(cache=True, nogil=True, parallel=True, error_model="numpy")
"""Decorator of a kernel whose `prange` loops are spread over the processors."""
