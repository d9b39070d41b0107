"""What is done to samples before distances are measured or models fitted, and told about it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import numpy as np

from ._jit import jit, run_rows
from ._validation import frozen
from .errors import InfiniteDivergenceWarning, KLToolsWarning, TiesWarning
from .neighbors import common_exponent

SCALES = ("whiten", "std", "none")
_WHITEN_ROWS_PER_FEATURE = 10  # fewer rows make a whitening that stretches noise
_SMALLEST_PIVOT = 1e-13  # of a correlation matrix: below it columns count as linearly dependent


@dataclass
class Notes:
    """Warnings collected on the way to an estimate, to be issued once and kept in the result."""

    items: list[tuple[type[KLToolsWarning], str]] = field(default_factory=list)

    def add(self, category: type[KLToolsWarning], message: str) -> None:
        self.items.append((category, message))

    def texts(self) -> tuple[str, ...]:
        return tuple(message for _, message in self.items)

    def issue(self, stacklevel: int) -> None:
        for category, message in self.items:
            warnings.warn(message, category, stacklevel=stacklevel + 1)


def drop_constant_columns(
    X: np.ndarray, Y: np.ndarray | None, notes: Notes
) -> tuple[np.ndarray, np.ndarray | None, float | None]:
    """Treat columns with a single value: the samples left over, and the answer where such columns decide it.

    A column with one and the same value in X and Y carries no information and is dropped; nothing left
    means 0. Where one sample is constant and the other never, or not only, takes that value, P has mass
    where Q has none, and the answer is inf.
    """
    constant_x = _is_constant(X)
    if Y is None:
        if not constant_x.any():
            return X, Y, None
        notes.add(InfiniteDivergenceWarning, "a column of X is constant, q is continuous: the divergence is inf.")
        return X, Y, math.inf
    constant_y = _is_constant(Y)
    same = constant_x & constant_y & (X[0] == Y[0])
    met = np.array([bool((Y[:, j] == X[0, j]).any()) for j in range(X.shape[1])])
    mismatch = (constant_y & ~same) | (constant_x & ~met)
    if mismatch.any():
        column = int(np.flatnonzero(mismatch)[0])
        who = "Y" if constant_y[column] else "X"
        notes.add(
            InfiniteDivergenceWarning,
            f"column {column} of {who} is constant, at a value that the other sample does not have or not only: "
            "P has mass where Q has none, the divergence is inf.",
        )
        return X, Y, math.inf
    if not same.any():
        return X, Y, None
    columns = [int(j) for j in np.flatnonzero(same)]
    notes.add(TiesWarning, f"columns {columns} have the same single value in X and Y and are dropped.")
    if same.all():
        return X, Y, 0.0
    return frozen(np.ascontiguousarray(X[:, ~same])), frozen(np.ascontiguousarray(Y[:, ~same])), None


def _is_constant(X: np.ndarray) -> np.ndarray:
    return np.all(X[0] == X, axis=0) if len(X) > 1 else np.zeros(X.shape[1], dtype=bool)


@jit
def _affine_kernel(start, stop, X, center, matrix, out):
    """Rows (x - center) matrix, each summed in one order: equal rows stay equal to the last bit."""
    d = X.shape[1]
    for i in range(start, stop):
        for j in range(d):
            out[i, j] = 0.0
        for k in range(d):
            value = X[i, k] - center[k]
            for j in range(d):
                out[i, j] += value * matrix[k, j]


@dataclass(frozen=True)
class Scaling:
    """An affine map under which features are comparable; ``log_det`` is that of its matrix.

    Without a matrix it divides by 2**exponent, which is exact.
    """

    kind: str
    log_det: float
    exponent: int = 0
    center: np.ndarray | None = None
    matrix: np.ndarray | None = None

    def apply(self, X: np.ndarray, n_jobs: int = 1) -> np.ndarray:
        if self.matrix is None or self.center is None:
            return frozen(np.ldexp(X, -self.exponent)) if self.exponent else X
        out = np.empty(X.shape)
        run_rows(_affine_kernel, len(X), X, frozen(self.center), frozen(self.matrix), out, n_jobs=n_jobs)
        return frozen(out)


def fit_scaling(X: np.ndarray, kind: str, other: np.ndarray | None = None) -> Scaling:
    """Learn from X how to scale X and another sample.

    "whiten" makes the covariance the identity, "std" divides by standard deviations, "none" changes
    nothing, but for an exact power of two where squares of distances would leave float64. Whitening
    falls back to "std" where X has fewer than 10 rows per feature or its columns are linearly
    dependent. A column that is constant in X takes its scale from the other sample.
    """
    d = X.shape[1]
    if kind == "none":
        exponent = common_exponent(*(a for a in (X, other) if a is not None))
        return Scaling("none", -exponent * d * math.log(2.0), exponent)
    center = _column_means(X)
    spread = _column_spreads(X, center)
    if other is not None and (spread == 0.0).any():
        spread = np.where(spread > 0.0, spread, _column_spreads(other, _column_means(other)))
    spread = np.where(spread > 0.0, spread, 1.0)
    log_det = -float(np.log(spread).sum())
    if kind == "whiten" and len(X) >= _WHITEN_ROWS_PER_FEATURE * d > _WHITEN_ROWS_PER_FEATURE:
        standard = (X - center) / spread
        factor = cholesky_or_none(standard.T @ standard / (len(X) - 1))
        if factor is not None:
            matrix = np.ascontiguousarray(np.linalg.solve(factor, np.diag(1.0 / spread)).T)
            log_det -= float(np.log(np.diag(factor)).sum())
            return Scaling("whiten", log_det, center=center, matrix=matrix)
    return Scaling("std", log_det, center=center, matrix=np.diag(1.0 / spread))


def _column_means(X: np.ndarray) -> np.ndarray:
    """Means that cannot overflow."""
    largest = np.abs(X).max(axis=0)
    unit = np.where(largest > 0.0, largest, 1.0)
    return (X / unit).mean(axis=0) * unit


def _column_spreads(X: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Standard deviations that neither over- nor underflow; exactly 0 for a constant column."""
    deviation = X - center
    largest = np.abs(deviation).max(axis=0)
    unit = np.where(largest > 0.0, largest, 1.0)
    return np.where(_is_constant(X), 0.0, unit * (deviation / unit).std(axis=0, ddof=1))


def cholesky_or_none(correlation: np.ndarray) -> np.ndarray | None:
    """Cholesky factor of a correlation matrix; None where columns are linearly dependent."""
    try:
        factor = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        return None
    return factor if (np.diag(factor) ** 2 > _SMALLEST_PIVOT).all() else None
