"""Small symmetric systems of equations, without a library."""

from __future__ import annotations

import numpy as np

from bmsctl.analysis.compiled import kernel


@kernel
def factored(matrix, factor):  # type: ignore[no-untyped-def]
    """Cholesky factor L of L L' = matrix, both (n, n); False if the matrix is not positive, or holds no numbers."""
    n = len(matrix)
    for row in range(n):
        for column in range(row + 1):
            rest = matrix[row, column]
            for i in range(column):
                rest -= factor[row, i] * factor[column, i]
            if row > column:
                factor[row, column] = rest / factor[column, column]
            elif rest > 0.0:
                factor[row, row] = np.sqrt(rest)
            else:
                return False
    return True


@kernel
def solve(factor, right):  # type: ignore[no-untyped-def]
    """Solve L L' x = right in place of `right`, (n,)."""
    n = len(right)
    for row in range(n):
        for i in range(row):
            right[row] -= factor[row, i] * right[i]
        right[row] /= factor[row, row]
    for row in range(n - 1, -1, -1):
        for i in range(row + 1, n):
            right[row] -= factor[i, row] * right[i]
        right[row] /= factor[row, row]


@kernel
def inverse(factor, out):  # type: ignore[no-untyped-def]
    """Inverse of L L' into `out`, (n, n)."""
    column = np.empty(len(factor))
    for i in range(len(factor)):
        column[:] = 0.0
        column[i] = 1.0
        solve(factor, column)
        out[:, i] = column
