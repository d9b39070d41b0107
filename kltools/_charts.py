"""Coordinates for integration over the line: plain ones in the middle, logarithms of the distance towards an end."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .distribution import Distribution

_STEP = 0.5
_LOG_SMALLEST, _LOG_LARGEST = -690.0, 300.0  # of a distance that is evaluated; squares of large ones must not overflow
_FARTHEST = 1e6  # logarithm of the longest or shortest distance considered
_SLOWEST = 1e-3  # decay in the logarithm of the distance that still is one, within the range of float64
_NEGLIGIBLE = 1e-15
_SAME_LAW = 1e-6  # residual of log-densities that follow a power of the distance
_ROUNDED = 2.0**32  # units in the last place of an end: nearer, the rounding of x would be felt


class Middle:
    """x itself, between the outermost of some edges."""

    def __init__(self, laws: Sequence[Distribution], with_measure: bool, edges: np.ndarray):
        self._laws, self._with_measure, self.edges = laws, with_measure, edges

    def logs(self, at: np.ndarray) -> np.ndarray:
        """Log-densities of the laws at points x, and of the measure."""
        logs = [law._log_prob(at) for law in self._laws] + [np.zeros(at.shape)] * self._with_measure
        return np.array(logs)

    def log_jacobian(self, at: np.ndarray) -> np.ndarray:
        return np.zeros(at.shape)


class End:
    """v = log |x - point| where x goes to infinity, -log |x - point| where it goes to a point.

    Beyond the range of float64, and of the digits of x, a log-density that follows a power of the distance is
    continued as one.
    """

    def __init__(
        self,
        laws: Sequence[Distribution],
        with_measure: bool,
        point: float,
        sign: float,
        distance: float,
        narrowest: float,
        is_finite: bool = False,
    ):
        self._laws, self._with_measure, self._point, self._sign = laws, with_measure, point, sign
        self._is_finite, self._start = is_finite, math.log(distance)
        self._limits = self._marks(min(narrowest, distance))
        self._fits = [self._fit(law) for law in laws]

    def _marks(self, width: float) -> np.ndarray:
        """Logarithms of five distances, from the last one that is evaluated on."""
        if not self._is_finite:
            return np.linspace(max(_LOG_LARGEST, self._start + 1.0), max(0.5 * _LOG_LARGEST, self._start), 5)
        if self._point == 0.0:
            return np.linspace(_LOG_SMALLEST, min(0.5 * _LOG_SMALLEST, self._start), 5)
        spacing = abs(float(np.spacing(self._point)))
        largest = math.floor(math.log2(max(16.0, min(_ROUNDED, 2.0**-16 * width / spacing))))
        return np.log(spacing) + np.array([largest, *np.linspace(0, largest - 1, 4).round()]) * math.log(2.0)

    def _x(self, log_distance: np.ndarray) -> np.ndarray:
        return self._point + self._sign * np.exp(log_distance)

    def _fit(self, law: Distribution) -> np.ndarray | None:
        """Coefficients of 1, log distance and distance; None where there is no such law."""
        values = law._log_prob(self._exact_points())
        if np.isneginf(values).all():
            return np.array([-math.inf, 0.0, 0.0])
        if not np.isfinite(values).all():
            return None
        columns = [np.ones(5), self._limits]
        if self._is_finite and self._point != 0.0:
            columns.append(np.exp(self._limits - self._limits[0]))
        basis = np.array(columns).T
        solution = np.linalg.lstsq(basis, values, rcond=None)[0]
        if np.abs(basis @ solution - values).max() > _SAME_LAW * (1.0 + np.abs(values).max() * 1e-6):
            return None
        if len(solution) == 2:
            return np.array([*solution, 0.0])
        solution[2] *= math.exp(-self._limits[0])
        return solution

    def _exact_points(self) -> np.ndarray:
        if self._is_finite and self._point != 0.0:
            spacing = abs(float(np.spacing(self._point)))
            return self._point + self._sign * np.round(np.exp(self._limits) / spacing) * spacing
        return self._x(self._limits)

    def _log_distance(self, at: np.ndarray) -> np.ndarray:
        return -at if self._is_finite else at

    def log_jacobian(self, at: np.ndarray) -> np.ndarray:
        return self._log_distance(at)

    @cached_property
    def grid(self) -> np.ndarray:
        """Edges of panels outwards, to the range of float64 and, where all laws follow powers, far beyond."""
        first, last = float(self._log_distance(np.array(self._start))), abs(float(self._limits[0]))
        if not self._is_finite:
            last = float(self._limits[0])
        elif self._point != 0.0:
            last = -float(self._limits[0])
        inside = np.linspace(first, last, max(2, math.ceil((last - first) / _STEP) + 1))
        if any(fit is None for fit in self._fits):
            return inside
        return np.concatenate([inside, last + np.geomspace(_STEP, _FARTHEST, 60)])

    @cached_property
    def steps(self) -> np.ndarray:
        return np.diff(self.grid, append=2.0 * self.grid[-1] - self.grid[-2])

    def logs(self, at: np.ndarray) -> np.ndarray:
        """Log-densities, with respect to v, of the laws at v and of the measure."""
        log_distance = self._log_distance(at)
        beyond = (log_distance - self._limits[0]) * (-1.0 if self._is_finite else 1.0) > 0.0
        inner = np.where(beyond, self._limits[0], log_distance)
        x = self._x(inner)
        logs = []
        for law, fit in zip(self._laws, self._fits, strict=True):
            values = law._log_prob(x)
            if fit is not None and beyond.any():
                continued = fit[0] + fit[1] * log_distance
                values = np.where(beyond, continued + (fit[2] * np.exp(log_distance) if fit[2] else 0.0), values)
            logs.append(values)
        logs += [np.zeros(at.shape)] * self._with_measure
        return np.array(logs) + log_distance

    def reach(self, values: np.ndarray, scale: np.ndarray) -> tuple[int, float] | None:
        """The last edge up to which anything counts, and what share of the term may lie beyond all edges.

        None where the term, the first row, does not decay.
        """
        if np.isinf(values[0]).any():
            return None
        sizes = np.nan_to_num(np.abs(values) * self.steps)
        counts = np.flatnonzero((sizes > _NEGLIGIBLE * scale[:, None]).any(axis=0))
        last, n = (int(counts[-1]) if len(counts) else 0), len(self.grid)
        if last < n - 2 or not sizes[0, -1] > _NEGLIGIBLE * scale[0]:
            return min(last + 1, n - 1), 0.0
        first = max(0, n - 5)
        tail, span = np.abs(values[0]), self.grid[-1] - self.grid[first]
        decay = math.log(tail[first] / tail[-1]) / span
        if decay < _SLOWEST:
            return None
        return n - 1, float(tail[-1] / decay / scale[0])
