"""Kernel density estimates of both samples, compared at the rows of X."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import aligned, frozen
from .._jit import jit, run_rows
from .._scalar import LOG_2PI
from .._simd import Const, constant, exp, fma, load, minimum, splat, store, total
from ..errors import InfiniteDivergenceWarning, UnreliableEstimateWarning
from ..inference import UNKNOWN, Uncertainty, sum_of_means
from ..preprocessing import column_exponents
from ..repeats import tell_repeats
from ..scaling import Scaling, learn_scaling
from .problem import Problem, Result

_MOST_FEATURES = 5
_WIDTH = 8
_LANES = Const(_WIDTH)
_PIECE = 1024  # points whose squares are held at a time, a whole number of vectors


def estimate(problem: Problem, *, bandwidth: Any = "silverman") -> Result:
    """mean_i log p(X_i) - log q(X_i), p without X_i itself; options: `KDEDivergence`."""
    bandwidth = _validation.bandwidth(bandwidth)
    tell_repeats(problem.X, problem.Y, problem.notes)
    p = Density.fit(problem.X, bandwidth, problem.Y)
    log_p = p.log_density(None, problem.n_jobs)
    diagnostics: dict[str, Any] = {"bandwidth_p": p.bandwidth, "scale_p": p.scaling.kind}
    shares: Callable[[], np.ndarray] | None = None
    if problem.Y is None:
        log_q = problem.log_q()
    else:
        q = Density.fit(problem.Y, bandwidth, problem.X)
        rows = q.coordinates(problem.X, problem.n_jobs)
        log_q = q.log_density(rows, problem.n_jobs)
        shares = partial(q.shares, rows, log_q, problem.n_jobs)
        diagnostics |= {"bandwidth_q": q.bandwidth, "scale_q": q.scaling.kind}
    if np.isneginf(log_q).any():
        return _outside_support(problem, int(np.isneginf(log_q).sum()), diagnostics)
    log_ratio = log_p - log_q
    value = float(log_ratio.mean())
    return Result(
        value,
        lambda: _uncertainty(log_ratio, shares),
        reasons=_tell_many_features(problem)
        + problem.tell_beyond_sight(value)
        + problem.tell_impossible_ratio(float(log_ratio.min())),
        diagnostics=diagnostics,
    )


@dataclass(frozen=True)
class Density:
    """Normal kernels at the rows of a sample, whose covariance they have, times the square of the bandwidth."""

    scaling: Scaling
    bandwidth: float
    rows: np.ndarray

    @classmethod
    def fit(cls, sample: np.ndarray, bandwidth: str | float, other: np.ndarray | None = None) -> "Density":
        """Learn the covariance from all rows: no row is then farther from the others than kernels can tell.

        A column that is constant in the sample takes its scale from the other one.
        """
        exponents = column_exponents(sample)
        if other is not None:
            constant = sample.min(axis=0) == sample.max(axis=0)
            exponents = np.where(constant, column_exponents(sample, other), exponents)
        scaling = learn_scaling(np.ldexp(sample, -exponents), "whiten", exponents, other)
        rows = scaling.apply(sample)
        return cls(scaling, _bandwidth(bandwidth, *rows.shape), rows)

    def coordinates(self, sample: np.ndarray, n_jobs: int) -> np.ndarray:
        """Other rows in the units of the covariance; what is beyond float64 in these is at its end."""
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self.scaling.apply(sample, n_jobs)
        return frozen(np.where(np.isfinite(rows), rows, np.finfo(float).max))

    def log_density(self, queries: np.ndarray | None, n_jobs: int) -> np.ndarray:
        """Log-density at other rows, given their coordinates; without them at the sample's, each left out in turn."""
        itself = queries is None
        (n, d), m = self.rows.shape, len(self.rows) - itself
        out = self._log_sums(self.rows if queries is None else queries, self.rows, np.zeros(n), itself, n_jobs)
        return out + (self.scaling.log_det - math.log(m) - d * math.log(self.bandwidth) - 0.5 * d * LOG_2PI)

    def shares(self, queries: np.ndarray, log_density: np.ndarray, n_jobs: int) -> np.ndarray:
        """What each row's kernel gives of the density at queries, on an average over these; 1 in the mean of rows."""
        terms = self._log_sums(self.rows, queries, log_density / self._rate, False, n_jobs)
        shares = np.exp(terms - terms.max())
        return shares / shares.mean()

    @property
    def _rate(self) -> float:
        return 0.5 / self.bandwidth**2

    def _log_sums(
        self, queries: np.ndarray, points: np.ndarray, offsets: np.ndarray, itself: bool, n_jobs: int
    ) -> np.ndarray:
        out = np.empty(len(queries))
        filled = _in_vectors(points.T, np.inf)  # what fills the last vector is infinitely far
        arguments = queries, filled, _in_vectors(offsets, 0.0), itself, self._rate, _LANES, out
        run_rows(_log_sum_kernel, len(queries), *arguments, n_jobs=n_jobs, row_cost=filled.size)
        return out


def _in_vectors(values: np.ndarray, filler: float) -> np.ndarray:
    """A copy whose last axis has a whole number of vectors."""
    n = values.shape[-1]
    result = aligned((*values.shape[:-1], -(-n // _WIDTH) * _WIDTH))
    result[..., :n], result[..., n:] = values, filler
    return frozen(result)


def _bandwidth(rule: str | float, n: int, d: int) -> float:
    """Scott (1992), eq. 6.42, and Silverman (1986), eq. 4.14 with the constant of a normal kernel."""
    if not isinstance(rule, str):
        return rule
    rows = n if rule == "scott" else n * (d + 2.0) / 4.0
    return rows ** (-1.0 / (d + 4.0))


@jit
def _log_sum_kernel(start, stop, queries, points, offsets, itself, rate, lanes, out):
    """log sum_j exp(-rate (|query - point_j|^2 + offset_j)), from the smallest on, so that nothing underflows."""
    width = constant(lanes)
    d, n_points = points.shape
    squares = np.empty(_PIECE)
    lowest = np.empty(width)
    for i in range(start, stop):
        smallest, result = np.inf, 0.0
        for first in range(0, n_points, _PIECE):
            piece = min(_PIECE, n_points - first)
            for at in range(0, piece, width):
                square = load(offsets, first + at, lanes)
                for t in range(d):
                    difference = load(points, t * n_points + first + at, lanes) - queries[i, t]
                    square = fma(difference, difference, square)
                store(squares, at, square)
            if itself and first <= i < first + piece:
                squares[i - first] = np.inf
            low = splat(np.inf, lanes)
            for at in range(0, piece, width):
                low = minimum(load(squares, at, lanes), low)
            store(lowest, 0, low)
            nearest = lowest.min()
            if nearest == np.inf:  # so far that squares overflow
                continue
            if nearest < smallest:
                result *= math.exp(rate * (nearest - smallest))
                smallest = nearest
            sums = splat(0.0, lanes)
            for at in range(0, piece, width):
                sums = sums + exp((smallest - load(squares, at, lanes)) * rate)
            result += total(sums)
        out[i] = math.log(result) - rate * smallest if result > 0.0 else -np.inf


def _uncertainty(log_ratio: np.ndarray, shares: Callable[[], np.ndarray] | None) -> Uncertainty:
    """From the influence of rows, bandwidths taken as given: log p/q of a row of X, minus its share of a row of Y.

    The estimate is a function of the kernels' sums: shares are its derivative by the weight of a row of Y. In the
    limit they are p/q, but a single row has a share of m at most.
    """
    if shares is None:
        return sum_of_means(log_ratio)
    found = shares()
    return sum_of_means(log_ratio, found) if len(found) > 1 else UNKNOWN


def _outside_support(problem: Problem, count: int, diagnostics: dict[str, Any]) -> Result:
    where = "q has no mass" if problem.Y is None else "the density of Y is less than any float64"
    problem.notes.add(InfiniteDivergenceWarning, f"{where} at {count} of {problem.n} rows of X: the divergence is inf.")
    return Result(math.inf, lambda: UNKNOWN, diagnostics=diagnostics)


def _tell_many_features(problem: Problem) -> tuple[str, ...]:
    if problem.d <= _MOST_FEATURES:
        return ()
    text = (
        f"in {problem.d} features kernel density estimates are far too smooth: expect bias, which the interval, about "
        "variance only, does not contain; compare method='knn' or method='gaussian'."
    )
    problem.notes.add(UnreliableEstimateWarning, text)
    return (text,)
