"""Smooth monotone maps of columns that make a reference sample about normal.

A divergence does not change under a map that both samples undergo; heavy tails, edges of supports and
different scales do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows

MOST_KNOTS = 20
_FEWEST_KNOTS, _ROWS_PER_KNOT = 8, 12
_END_SEGMENTS = 3  # beyond the knots the map begins with the mean slope of these


@dataclass(frozen=True)
class NormalScores:
    """For each column: knots x, values z, slopes of a cubic between, and of the tails where they begin (0 and -1).

    Beyond the last knot, with t the continuation of the line, z^2 grows by 2 log(1 + z t): that is how the
    normal scores of a power law grow, and the outliers of heavy tails stay within reach. Near the knot it
    is the line.
    """

    knots: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    @property
    def n_parameters(self) -> int:
        return self.knots.size

    def apply(self, X: np.ndarray, n_jobs: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Images of the rows, and the logarithms of the determinants of the map there."""
        out, log_det = np.empty(X.shape), np.empty(len(X))
        arguments = frozen(X), self.knots, self.values, self.slopes, out, log_det
        run_rows(_apply_kernel, len(X), *arguments, n_jobs=n_jobs, row_cost=50 * X.shape[1])
        return out, log_det


def fit_normal_scores(X: np.ndarray) -> NormalScores | None:
    """Learn the map from a sample; None where a column has too few different values for it."""
    n = len(X)
    n_knots = min(MOST_KNOTS, max(_FEWEST_KNOTS, n // _ROWS_PER_KNOT))
    highest = -NormalDist().inv_cdf(1.5 / n)
    z = np.linspace(-highest, highest, n_knots)
    probabilities = np.array([NormalDist().cdf(value) for value in z])
    columns = np.sort(np.ascontiguousarray(X.T))
    place = probabilities * (n - 1)
    below = np.minimum(place.astype(int), n - 2)
    part = place - below
    knots = columns[:, below] * (1.0 - part) + columns[:, below + 1] * part
    smallest_step = 1e-12 * (columns[:, -1] - columns[:, 0])
    if not (np.diff(knots) > smallest_step[:, None]).all():
        return None
    values = np.broadcast_to(z, knots.shape)
    slopes = _slopes(knots, values)
    if not ((slopes > 0.0) & (slopes < np.inf)).all():  # of columns that are tiny beside those of the other sample
        return None
    return NormalScores(frozen(knots), frozen(np.ascontiguousarray(values)), frozen(slopes))


def _slopes(knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slopes of a monotone cubic (Fritsch and Butland 1984, eq. 5), between those of the tails."""
    steps = np.diff(knots)
    rises = np.diff(values) / steps
    after, before = 2.0 * steps[:, 1:] + steps[:, :-1], steps[:, 1:] + 2.0 * steps[:, :-1]
    slopes = np.empty((knots.shape[0], knots.shape[1] + 2))
    with np.errstate(divide="ignore"):
        slopes[:, 2:-2] = (after + before) / (after / rises[:, :-1] + before / rises[:, 1:])
    slopes[:, 1], slopes[:, -2] = rises[:, 0], rises[:, -1]
    k = _END_SEGMENTS
    slopes[:, 0] = (values[:, k] - values[:, 0]) / (knots[:, k] - knots[:, 0])
    slopes[:, -1] = (values[:, -1] - values[:, -1 - k]) / (knots[:, -1] - knots[:, -1 - k])
    return slopes


@jit
def _tail(t, z):
    """Value and slope at t beyond the last knot, whose value is z > 0."""
    value = math.sqrt(z * z + 2.0 * math.log1p(z * t))
    return value, z / ((1.0 + z * t) * value)


@jit
def _apply_kernel(start, stop, X, knots, values, slopes, out, log_det):
    n_knots = knots.shape[1]
    for i in range(start, stop):
        log_slope = 0.0
        for j in range(X.shape[1]):
            x = X[i, j]
            if x < knots[j, 0]:
                value, slope = _tail((knots[j, 0] - x) * slopes[j, 0], -values[j, 0])
                value, slope = -value, slope * slopes[j, 0]
            elif x > knots[j, n_knots - 1]:
                value, slope = _tail((x - knots[j, n_knots - 1]) * slopes[j, n_knots + 1], values[j, n_knots - 1])
                slope *= slopes[j, n_knots + 1]
            else:
                left, right = 0, n_knots - 1
                while right - left > 1:
                    middle = (left + right) // 2
                    if knots[j, middle] <= x:
                        left = middle
                    else:
                        right = middle
                step = knots[j, right] - knots[j, left]
                t = (x - knots[j, left]) / step
                rise = (values[j, right] - values[j, left]) / step
                first, last = slopes[j, left + 1], slopes[j, right + 1]
                square, cube = 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise
                value = values[j, left] + step * t * (first + t * (square + t * cube))
                slope = first + t * (2.0 * square + 3.0 * t * cube)
            out[i, j] = value
            log_slope += math.log(slope)
        log_det[i] = log_slope
