"""Features made comparable before distances are measured: scales learnt from one sample, applied to any."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._arrays import frozen
from ._jit import jit, run_rows
from ._moments import RowMoments, added, chunk_moments
from .errors import UnreliableEstimateWarning
from .preprocessing import (
    ROWS_TO_LOOK_AT,
    Notes,
    are_few,
    cholesky_or_none,
    column_exponents,
    column_ranges,
    correlation_and_spreads,
    divided,
    outlier_bounds,
    rows_inside,
    spread_rows,
)

SCALES = ("whiten", "std", "none")
_WHITEN_ROWS_PER_FEATURE = 10  # fewer rows make a whitening that stretches noise


@jit
def _affine_kernel(start, stop, X, center, matrix, out):
    """Rows matrix (x - center), each summed in one order: equal rows stay equal to the last bit."""
    d = X.shape[1]
    for i in range(start, stop):
        for j in range(d):
            total = 0.0
            for k in range(d):
                total += (X[i, k] - center[k]) * matrix[j, k]
            out[i, j] = total


@dataclass(frozen=True)
class Scaling:
    """Powers of two for the columns, then perhaps an affine map; ``log_det`` is of both together."""

    kind: str
    log_det: float
    exponents: np.ndarray
    center: np.ndarray | None = None
    matrix: np.ndarray | None = None

    def apply(self, X: np.ndarray, n_jobs: int = 1) -> np.ndarray:
        """A new array: what is kept for a standard error must not change with the one given."""
        X = divided(X, self.exponents)
        if self.matrix is None or self.center is None:
            return frozen(X.copy())
        out = np.empty(X.shape)
        arguments = X, frozen(self.center), frozen(self.matrix), out
        run_rows(_affine_kernel, len(X), *arguments, n_jobs=n_jobs, row_cost=self.matrix.size)
        return frozen(out)


def fit_scaling(X: np.ndarray, kind: str, other: np.ndarray | None = None, notes: Notes | None = None) -> Scaling:
    """Learn from X how to make the features of X and of another sample comparable.

    "whiten" makes the covariance the identity, "std" divides by standard deviations, "none" changes
    nothing; a single feature needs no scaling. Whitening falls back to "std" where X has fewer than 10
    rows per feature, and with a note where its columns are constant or linearly dependent. A column that is constant
    in X takes its scale from the other sample.
    """
    d = X.shape[1]
    if kind == "none" or d == 1:
        return Scaling("none", 0.0, np.zeros(d, dtype=int))
    exponents = column_exponents(X, other)
    rows = divided(X, exponents)
    bounds = outlier_bounds(spread_rows(rows, ROWS_TO_LOOK_AT), *column_ranges(rows))
    inside = None if bounds is None else rows_inside(rows, bounds)
    return learn_scaling(rows, kind, exponents, other, notes, None if inside is None or are_few(inside) else inside)


def learn_scaling(
    X: np.ndarray,
    kind: str,
    exponents: np.ndarray,
    other: np.ndarray | None = None,
    notes: Notes | None = None,
    inside: np.ndarray | None = None,
) -> Scaling:
    """`fit_scaling` by "whiten" or "std", from the rows inside and for any number of features; X is divided already."""
    center = X[0 if inside is None else int(inside.argmax())]
    moments = added(chunk_moments(X, center, inside))
    others = None
    if other is not None and (np.diag(moments.products) == 0.0).any():
        rows = divided(other, exponents)
        others = added(chunk_moments(rows, rows[0]))
    return scaling_of(moments, center, kind, exponents, others, notes)


def scaling_of(
    moments: RowMoments,
    center: np.ndarray,
    kind: str,
    exponents: np.ndarray,
    others: RowMoments | None = None,
    notes: Notes | None = None,
) -> Scaling:
    """What `fit_scaling` makes of the moments of X and, for columns that are constant there, of the other sample."""
    d = len(center)
    correlation, spread = correlation_and_spreads(moments.covariance)
    constant = spread == 0.0
    if others is not None:
        spread = np.where(spread > 0.0, spread, np.sqrt(np.diag(others.covariance)))
    spread = np.where(spread > 0.0, spread, 1.0)
    log_det = -math.log(2.0) * float(exponents.sum()) - float(np.log(spread).sum())
    if kind == "whiten" and moments.count >= _WHITEN_ROWS_PER_FEATURE * d:
        factor = cholesky_or_none(correlation)
        if factor is not None:
            matrix = np.ascontiguousarray(np.linalg.solve(factor, np.diag(1.0 / spread)))
            log_det -= float(np.log(np.diag(factor)).sum())
            return Scaling("whiten", log_det, exponents, center.copy(), matrix)
        if notes is not None and constant.any():
            notes.add(
                UnreliableEstimateWarning,
                f"columns {notes.names(constant)} of X are constant, outliers aside: X has fewer dimensions than "
                "columns, which inflates a nearest-neighbour estimate; compare without these columns.",
            )
        elif notes is not None:
            notes.add(
                UnreliableEstimateWarning,
                f"the {d} columns of X are linearly dependent: the data have fewer dimensions than columns, which "
                "inflates a nearest-neighbour estimate; drop dependent columns.",
            )
    return Scaling("std", log_det, exponents, center.copy(), np.diag(1.0 / spread))
