"""Terms of Monte Carlo estimates, their moments in one pass, and what becomes of them.

With r = q(x) / p(x), x ~ p, every estimator is a mean of terms a + c b, b = r - 1, whose mean is 0 where p
has mass wherever q has. Terms may have weights and come in groups that are not independent within.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._scalar import expm1_minus_x
from ..inference import UNKNOWN, Uncertainty
from ..pareto import pareto_k, tail_length

ESTIMATORS = ("k1", "k2", "k3", "cv")
USING_RATIO = ("k3", "cv")  # whose terms contain r itself
_CHUNK = 4096  # groups summed together, whatever the number of threads
_FOLDS = 20
FEWEST_TO_FIT = 10  # groups, for a coefficient
_LARGEST_K_WITH_VARIANCE = 0.5
_ROUNDING = 1e-12
_LOG_LARGEST = 709.0
_ENTRY_COST = 30  # operations


@jit
def ratio_less_one(log_r):
    return math.inf if log_r > _LOG_LARGEST else math.expm1(log_r)


@jit
def term(log_r, power):
    """-log r, (log r)^2 / 2 or r - 1 - log r, of the first, second and third kind."""
    if power == 1:
        return -log_r
    if power == 2:
        return 0.5 * log_r * log_r
    return math.inf if log_r > _LOG_LARGEST else expm1_minus_x(log_r)


@jit
def _moments_kernel(start, stop, size, log_p, log_q, weights, offsets, power, moments):
    """Sums over chunks of `size` groups; `offsets` are where groups begin and end, or None for single entries."""
    n_groups = log_p.shape[0] if offsets is None else offsets.shape[0] - 1
    kept = np.empty((size, 3))
    for chunk in range(start, stop):
        first = chunk * size
        n = min(size, n_groups - first)
        weight, mean_a, mean_b = 0.0, 0.0, 0.0
        for j in range(n):
            begin, end = first + j, first + j + 1
            if offsets is not None:
                begin, end = offsets[first + j], offsets[first + j + 1]
            w, a, b = 0.0, 0.0, 0.0
            for i in range(begin, end):
                w_i = 1.0 if weights is None else weights[i]
                log_r = log_q[i] - log_p[i]
                w += w_i
                a += w_i * term(log_r, power)
                b += w_i * ratio_less_one(log_r)
            weight += w
            mean_a += a
            mean_b += b
            kept[j, 0], kept[j, 1], kept[j, 2] = w, a, b
        mean_a /= weight
        mean_b /= weight
        w2, wa, wb, aa, ab, bb = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            w = kept[j, 0]
            a, b = kept[j, 1] - w * mean_a, kept[j, 2] - w * mean_b
            w2 += w * w
            wa += w * a
            wb += w * b
            aa += a * a
            ab += a * b
            bb += b * b
        row = moments[chunk]
        row[0], row[1], row[2], row[3] = weight, mean_a, mean_b, w2
        row[4], row[5], row[6], row[7], row[8] = wa, wb, aa, ab, bb


def chunk_size(n_groups: int) -> int:
    """Groups whose moments are summed up together."""
    return max(1, min(_CHUNK, n_groups // _FOLDS))


@dataclass(frozen=True)
class PairMoments:
    """Weighted means of terms a and b, and products of their weighted deviations, summed over groups.

    With w_g the weight of a group g and a_g the weighted sum of its terms, let A = sum a_g / sum w_g and
    d_g = a_g - w_g A, likewise for b: the fields are the sums over groups of w, of w^2, of w d, and of d d^T.
    """

    weight: float
    means: np.ndarray
    squared_weight: float
    mixed: np.ndarray
    squares: np.ndarray

    @classmethod
    def of_row(cls, row: np.ndarray) -> PairMoments:
        weight, a, b, w2, wa, wb, aa, ab, bb = row
        squares = np.array([[aa, ab], [ab, bb]])
        return cls(float(weight), np.array([a, b]), float(w2), np.array([wa, wb]), squares)

    def as_group(self) -> PairMoments:
        """All groups taken as a single one."""
        return PairMoments(self.weight, self.means, self.weight**2, np.zeros(2), np.zeros((2, 2)))

    def about(self, means: np.ndarray) -> PairMoments:
        """The same sums with deviations from other means."""
        step = means - self.means
        cross = np.outer(self.mixed, step)
        squares = self.squares - cross - cross.T + self.squared_weight * np.outer(step, step)
        return PairMoments(self.weight, means, self.squared_weight, self.mixed - self.squared_weight * step, squares)

    def mean(self, c: float) -> float:
        """Mean of a + c b."""
        return float(self.means[0] + c * self.means[1])

    def squares_about(self, value: float, c: float) -> float:
        """Sum of squares of the deviations of a + c b from a value."""
        step, direction = value - self.mean(c), np.array([1.0, c])
        moved = -2.0 * step * (direction @ self.mixed) + step * step * self.squared_weight
        return float(direction @ self.squares @ direction + moved)


def merged(parts: list[PairMoments]) -> PairMoments:
    """Moments of all groups together (Chan, Golub and LeVeque 1983, eq. 2.1, with weights)."""
    weight = math.fsum(part.weight for part in parts)
    means = np.sum([part.weight / weight * part.means for part in parts], axis=0)
    moved = [part.about(means) for part in parts]
    return PairMoments(
        weight,
        means,
        math.fsum(part.squared_weight for part in parts),
        np.sum([part.mixed for part in moved], axis=0),
        np.sum([part.squares for part in moved], axis=0),
    )


@dataclass(frozen=True)
class Outcome:
    """An estimate in nats; the mean of r with its standard error; the coefficient of r - 1, if it was fitted."""

    value: float
    uncertainty: Uncertainty
    mean_ratio: float = math.nan
    mean_ratio_error: float = math.nan
    coefficient: float | None = None


class Tally:
    """Moments of terms, and the largest ratios, of draws that come block after block.

    Blocks are cut into chunks of groups, and chunks are dealt out to folds. Log-densities are finite.
    """

    def __init__(self, estimator: str, n: int, n_jobs: int = 1):
        self.estimator = estimator
        self.parts: list[PairMoments] = []
        self.n = n
        self._n_jobs = n_jobs
        self._largest = np.empty(0)

    def add(
        self,
        log_p: np.ndarray,
        log_q: np.ndarray,
        log_weights: np.ndarray | None = None,
        offsets: np.ndarray | None = None,
        size: int | None = None,
    ) -> None:
        """Count entries; a group lies between two `offsets`, without them each entry is one.

        Parts of a whole are cut into chunks of its `size`.
        """
        n_groups = len(log_p) if offsets is None else len(offsets) - 1
        size = chunk_size(n_groups) if size is None else size
        rows = np.empty((-(-n_groups // size), 9))
        power = 1 if self.estimator == "cv" else int(self.estimator[1])
        weights = None if log_weights is None else np.exp(log_weights)
        arrays = [None if array is None else frozen(array) for array in (log_p, log_q, weights, offsets)]
        cost = _ENTRY_COST * size * -(-len(log_p) // n_groups)
        with np.errstate(over="ignore", invalid="ignore"):  # where r, or a square, overflows
            run_rows(_moments_kernel, len(rows), size, *arrays, power, rows, n_jobs=self._n_jobs, row_cost=cost)
        if self.estimator in USING_RATIO:
            self.keep_largest(log_q - log_p if log_weights is None else log_q - log_p + log_weights)
        self.parts += [PairMoments.of_row(row) for row in rows]

    def append(self, other: Tally) -> None:
        """Count all that another one has counted, after what this one has."""
        self.parts += other.parts
        self.keep_largest(other._largest)

    def add_as_group(self, other: Tally) -> None:
        """Count all that another one has counted as a single group."""
        self.parts.append(merged(other.parts).as_group())
        self.keep_largest(other._largest)

    def keep_largest(self, log_ratios: np.ndarray) -> None:
        """Keep of all logarithms of r the largest, by which its tail is judged."""
        log_ratios, kept = np.concatenate([self._largest, log_ratios]), tail_length(self.n) + 1
        self._largest = np.partition(log_ratios, -kept)[-kept:] if len(log_ratios) > kept else log_ratios

    def ratio_k(self) -> float | None:
        """Pareto k-hat of r; None for estimators that do not use r."""
        return pareto_k(self._largest, self.n) if self.estimator in USING_RATIO else None

    def outcome(self, n_groups: int) -> Outcome:
        """The estimate, from all groups."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = merged(self.parts)
            correction = n_groups / (n_groups - 1) if n_groups > 1 else math.nan
            value, squares, coefficient = float(total.means[0]), total.squares[0, 0], None
            if self.estimator == "cv":
                coefficient = 0.0
                k, variance = self.ratio_k(), total.squares[1, 1]  # the latter is not finite where r overflows
                has_variance = k is not None and k <= _LARGEST_K_WITH_VARIANCE and math.isfinite(variance)
                if n_groups >= FEWEST_TO_FIT and has_variance:
                    value, squares, coefficient = self._cross_fitted(total.weight)
        error, ratio_error = (
            math.sqrt(correction * max(s, 0.0)) / total.weight for s in (float(squares), float(total.squares[1, 1]))
        )
        uncertainty = Uncertainty(error, n_groups - 1) if math.isfinite(error) else UNKNOWN
        return Outcome(value, uncertainty, 1.0 + float(total.means[1]), ratio_error, coefficient)

    def _cross_fitted(self, weight: float) -> tuple[float, float, float]:
        """Mean of a + c b, where each fold has the best c of all others; its sum of squares; the mean of c.

        A coefficient that does not depend on the fold it serves leaves the mean unbiased.
        """
        n_folds = min(_FOLDS, len(self.parts))
        folds = [merged(self.parts[fold::n_folds]) for fold in range(n_folds)]
        coefficients = []
        for fold in range(n_folds):
            rest = merged(folds[:fold] + folds[fold + 1 :])
            (_, covariance), (_, variance) = rest.squares
            rounding = rest.squared_weight * (_ROUNDING * rest.means[1]) ** 2  # of an r that never varies
            coefficients.append(-float(covariance / variance) if variance > rounding else 0.0)
        pairs = list(zip(folds, coefficients, strict=True))
        value = math.fsum(fold.weight * fold.mean(c) for fold, c in pairs) / weight
        squares = math.fsum(fold.squares_about(value, c) for fold, c in pairs)
        return value, squares, math.fsum(fold.weight * c for fold, c in pairs) / weight
