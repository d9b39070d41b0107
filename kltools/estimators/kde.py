"""Kernel density estimates of both samples, compared at the rows of X."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import aligned, frozen
from .._jit import jit, run_rows
from .._scalar import LOG_2PI
from .._simd import Const, constant, exp, fma, load, minimum, splat, store, total
from ..errors import InfiniteDivergenceWarning, UnreliableEstimateWarning
from ..inference import UNKNOWN, Uncertainty, sum_of_means
from ..preprocessing import Scaling, column_exponents, learn_scaling, tell_shared_rows
from .problem import Problem, Result

_MOST_FEATURES = 5
_WIDTH = 8
_LANES = Const(_WIDTH)
_PIECE = 1024  # points whose squares are held at a time, a whole number of vectors


def estimate(problem: Problem, *, bandwidth: Any = "silverman") -> Result:
    """mean_i log p(X_i) - log q(X_i), p without X_i itself; options: `KDEDivergence`."""
    bandwidth = _validation.bandwidth(bandwidth)
    p = Density.fit(problem.X, bandwidth, problem.Y)
    log_p = p.log_density(None, problem.n_jobs)
    diagnostics: dict[str, Any] = {"bandwidth_p": p.bandwidth, "scale_p": p.scaling.kind}
    q = None
    if problem.Y is None:
        log_q = problem.log_q()
    else:
        tell_shared_rows(problem.X, problem.Y, problem.notes)
        q = Density.fit(problem.Y, bandwidth, problem.X)
        log_q = q.log_density(problem.X, problem.n_jobs)
        diagnostics |= {"bandwidth_q": q.bandwidth, "scale_q": q.scaling.kind}
    if np.isneginf(log_q).any():
        return _outside_support(problem, int(np.isneginf(log_q).sum()), diagnostics)
    log_ratio = log_p - log_q
    value = float(log_ratio.mean())
    return Result(
        value,
        lambda: _uncertainty(problem, log_ratio, p, q),
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
    points: np.ndarray

    @classmethod
    def fit(cls, sample: np.ndarray, bandwidth: str | float, other: np.ndarray | None = None) -> "Density":
        """Learn the covariance from all rows: no row is then farther from the others than kernels can tell.

        A column that is constant in the sample takes its scale from the other one.
        """
        exponents = column_exponents(sample, other)
        scaling = learn_scaling(np.ldexp(sample, -exponents), "whiten", exponents, other)
        rows = scaling.apply(sample)
        columns = -(-len(rows) // _WIDTH) * _WIDTH
        points = aligned((rows.shape[1], columns))
        points[:] = np.inf  # what fills the last vector is infinitely far
        points[:, : len(rows)] = rows.T
        return cls(scaling, _bandwidth(bandwidth, *rows.shape), rows, frozen(points))

    def log_density(self, queries: np.ndarray | None, n_jobs: int) -> np.ndarray:
        """Log-density at other rows; without queries at the rows of the sample, each left out in its turn."""
        itself = queries is None
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self.rows if queries is None else self.scaling.apply(queries, n_jobs)
        (d, _), m = self.points.shape, len(self.rows) - itself
        out = np.empty(len(rows))
        arguments = rows, self.points, itself, 0.5 / self.bandwidth**2, _LANES, out
        run_rows(_log_sum_kernel, len(rows), *arguments, n_jobs=n_jobs, row_cost=self.points.size)
        return out + (self.scaling.log_det - math.log(m) - d * math.log(self.bandwidth) - 0.5 * d * LOG_2PI)


def _bandwidth(rule: str | float, n: int, d: int) -> float:
    """Scott (1992), eq. 6.42, and Silverman (1986), eq. 4.14 with the constant of a normal kernel."""
    if not isinstance(rule, str):
        return rule
    rows = n if rule == "scott" else n * (d + 2.0) / 4.0
    return rows ** (-1.0 / (d + 4.0))


@jit
def _log_sum_kernel(start, stop, queries, points, itself, rate, lanes, out):
    """log sum_j exp(-rate |query - point_j|^2), from the smallest square on, so that nothing underflows."""
    width = constant(lanes)
    d, n_points = points.shape
    squares = np.empty(_PIECE)
    lowest = np.empty(width)
    for i in range(start, stop):
        smallest, result = np.inf, 0.0
        for first in range(0, n_points, _PIECE):
            piece = min(_PIECE, n_points - first)
            for at in range(0, piece, width):
                square = splat(0.0, lanes)
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


def _uncertainty(problem: Problem, log_ratio: np.ndarray, p: Density, q: Density | None) -> Uncertainty:
    """From the influence functions log p/q of rows of X, and -p/q of rows of Y."""
    if q is None:
        return sum_of_means(log_ratio)
    if problem.m == 1:
        return UNKNOWN
    assert problem.Y is not None
    with np.errstate(over="ignore"):
        ratio = np.exp(p.log_density(problem.Y, problem.n_jobs) - q.log_density(None, problem.n_jobs))
    return sum_of_means(log_ratio, ratio) if np.isfinite(ratio).all() else UNKNOWN


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
