"""Coordinates for integration over the line: plain ones in the middle, logarithms of the distance towards an end."""

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from .distribution import Distribution
from .integrands import LEAST

_STEP = 0.5
_LOG_SMALLEST, _LOG_LARGEST = -690.0, 700.0  # of a distance that is evaluated
_LOG_RANGE = 300.0  # beyond the reach of distributions: squares must not overflow
_FARTHEST = 1e6  # logarithm of the longest or shortest distance considered
_NEGLIGIBLE = 1e-15
_SAME_LAW = 1e-6  # residual of log-densities that follow a power of the distance
_ROUNDED = 2.0**32  # units in the last place of an end: nearer, the rounding of x would be felt
VISIBLE = 1e-3  # relative rounding error of a term that still tells how it decays
_FAINT = 1e-12  # rounding errors of a panel that do not count, beside masses of 1
_ABRUPT = -1e4  # a log-density above this does not become -inf next but by overflow
_EXACTLY = np.outer(2.0 ** np.arange(200.0, 900.0, 50.0), [1.0, 1.2345, 1.7]).reshape(-1)  # only leading terms are left


def log_densities(laws: Sequence[Distribution], covers: Sequence[bool], with_measure: bool, x: np.ndarray) -> list:
    """Log-densities of the laws, and of the measure; -inf only outside of a support, `LEAST` where they overflow."""
    outside = np.full(x.shape, -math.inf)  # whatever a periodic density goes on with
    pairs = zip(laws, covers, strict=True)
    logs = [np.maximum(law._log_prob(x), LEAST) if is_inside else outside for law, is_inside in pairs]
    return logs + [np.zeros(x.shape)] * with_measure


class Middle:
    """x itself, between the outermost of some edges."""

    def __init__(self, laws: Sequence[Distribution], covers: Sequence[bool], with_measure: bool, edges: np.ndarray):
        self._laws, self._covers, self._with_measure, self.edges = laws, covers, with_measure, edges

    def logs(self, at: np.ndarray) -> np.ndarray:
        """Log-densities of the laws at points x, and of the measure."""
        return np.array(log_densities(self._laws, self._covers, self._with_measure, at))

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
        covers: Sequence[bool],
        with_measure: bool,
        point: float,
        sign: float,
        distance: float,
        reaches: tuple[float, float],
        is_finite: bool = False,
    ):
        self._laws, self._covers, self._with_measure = laws, covers, with_measure
        self._point, self._sign = point, sign
        self._is_finite, self._start = is_finite, math.log(distance)
        self._limits = self._near_marks(min(reaches[0], distance)) if is_finite else self._far_marks(reaches)
        self._fits = [self._fit(values) for values in self._exact_densities()]

    def _far_marks(self, reaches: tuple[float, float]) -> np.ndarray:
        """Logarithms of five distances, from the last one that is evaluated on: as far as no log-density overflows."""
        for scale in sorted({0.0, *(max(0.0, math.log(reach)) for reach in reaches)}, reverse=True):
            last = max(min(scale + _LOG_RANGE, _LOG_LARGEST), self._start + 1.0)
            marks = np.linspace(last, max(0.5 * (last + min(scale, last - 2.0)), self._start), 5)
            logs = log_densities(self._laws, self._covers, False, self._x(marks[::-1]))
            if not any(((log[1:] == LEAST) & (log[:-1] > _ABRUPT)).any() for log in logs):
                break
        return marks

    def _near_marks(self, width: float) -> np.ndarray:
        """Logarithms of five distances, from the shortest one that is evaluated on."""
        if self._point == 0.0:
            return np.linspace(_LOG_SMALLEST, min(0.5 * _LOG_SMALLEST, self._start), 5)
        spacing = abs(float(np.spacing(self._point)))
        largest = math.floor(math.log2(max(16.0, min(_ROUNDED, 2.0**-16 * width / spacing))))
        return np.log(spacing) + np.array([largest, *np.linspace(0, largest - 1, 4).round()]) * math.log(2.0)

    def _x(self, log_distance: np.ndarray) -> np.ndarray:
        return self._point + self._sign * np.exp(log_distance)

    def _exact_densities(self) -> list[np.ndarray]:
        pairs, x = zip(self._laws, self._covers, strict=True), self._exact_points()
        return [law._log_prob(x) if is_inside else np.full(5, -math.inf) for law, is_inside in pairs]

    def _fit(self, values: np.ndarray) -> np.ndarray | None:
        """Coefficients of 1, log distance and distance; None where there is no such law."""
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
        with np.errstate(over="ignore"):
            solution[2] *= np.exp(-self._limits[0])
        return solution if np.isfinite(solution).all() else None

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
        densities = log_densities(self._laws, self._covers, False, x)
        for values, fit, is_inside in zip(densities, self._fits, self._covers, strict=True):
            if fit is not None and beyond.any():
                continued = fit[0] + fit[1] * log_distance
                continued = continued + (fit[2] * np.exp(log_distance) if fit[2] else 0.0)
                values = np.where(beyond, np.maximum(continued, LEAST if is_inside else -math.inf), values)
            logs.append(values)
        logs += [np.zeros(at.shape)] * self._with_measure
        return np.array(logs) + log_distance

    def reach(self, values: np.ndarray, noise: np.ndarray, scale: np.ndarray) -> tuple[int, float]:
        """The last edge up to which anything counts, and what share of the term may lie beyond all edges.

        A term that has fallen to 0 before it becomes unknown is nothing from there on.
        Values are those of the term, the first row, and of the densities. The share is inf where it may be anything.
        """
        n = self._n_visible(values[0], noise, scale[0])
        sizes = np.abs(values[:, :n]) * self.steps[:n]
        counts = np.flatnonzero((sizes > _NEGLIGIBLE * scale[:, None]).any(axis=0))
        edge = max(0, min(int(counts[-1]) + 1, n - 1)) if len(counts) else 0
        tail = abs(float(values[0, n - 1])) if n else math.inf
        if tail == 0.0:
            return edge, 0.0
        if n < 5:
            return edge, math.inf
        if edge < n - 1 and noise[n - 1] > VISIBLE * tail:
            return edge, 0.0
        (_, decay), allowed = self._decays(np.abs(values[0, :n]), noise[:n])
        return edge, tail / decay / float(scale[0]) if decay > allowed else math.inf

    def _n_visible(self, term: np.ndarray, noise: np.ndarray, scale: float) -> int:
        """How many edges there are before the term is unknown, or nothing but rounding."""
        is_faint = noise * self.steps <= _FAINT * max(1.0, scale)
        is_known = np.isfinite(term) & (is_faint | (noise <= VISIBLE * np.abs(term)))
        return len(term) if is_known.all() else int(np.argmin(is_known))

    def _decays(self, values: np.ndarray, noise: np.ndarray) -> tuple[tuple[float, float], float]:
        """Minus the slopes of the logarithm, earlier and at the end, and by how much rounding may change them."""
        v = self.grid[: len(values)]
        marks = [int(np.argmin(np.abs(v - (v[0] + share * (v[-1] - v[0]))))) for share in (2 / 3, 5 / 6, 1)]
        logs, at = np.log(values[marks]), v[marks]
        rounding = (noise[marks] / values[marks]).max() + 1e-14
        early, late = -np.diff(logs) / np.diff(at)
        return (float(early), float(late)), float(2.0 * rounding / np.diff(at).min())

    def diverges(
        self, term: Callable[[np.ndarray], np.ndarray], values: np.ndarray, noise: np.ndarray, scale: float
    ) -> bool:
        """Whether the term, the first row of values, certainly has no integral: it falls no faster than 1 / distance.

        It must not bend down either, and the densities must be seen to fall. Where rounding covers what lies farther,
        the leading terms of the log-densities there have to cancel exactly.
        """
        n = self._n_visible(values[0], noise, scale)
        rows = np.abs(values[:, :n])
        if n < 5 or not rows[0, n // 2 :].all():
            return False
        (early, late), allowed = self._decays(rows[0], noise[:n])
        if late > allowed or late > early + 2.0 * allowed:
            return False
        if any(row[-1] * self.steps[n - 1] > _NEGLIGIBLE and row[-1] >= row[n // 2] for row in rows[1:]):
            return False
        if n == len(self.grid) or not np.isfinite(values[0, n]) or self._is_finite:
            return not self._is_finite or n == len(self.grid)
        far = np.array(log_densities(self._laws, self._covers, self._with_measure, self._sign * _EXACTLY))
        found = term(far[:, (far > LEAST).all(axis=0)])
        return found.size >= _EXACTLY.size // 3 and bool((np.isfinite(found) & (found > 0.0)).all())
