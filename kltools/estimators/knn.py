"""k-nearest-neighbour estimates of a divergence and of a log-density."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._formula import Formula
from .._scalar import digamma, log_ball_volume
from ..errors import (
    InfiniteDivergenceWarning,
    PoorOverlapWarning,
    SmallSampleWarning,
    TiesWarning,
    UnreliableEstimateWarning,
)
from ..inference import UNKNOWN, Uncertainty, jackknife_uncertainty, random_blocks
from ..neighbors import ROWS_AT_ONCE, Reference, in_safe_range
from ..neighbors.leave_out import mean_log_distances
from ..preprocessing import SCALES, Notes, fit_scaling
from .problem import Problem, Result

_TIE_TOLERANCE = 1e-9  # relative: distances on a decimal lattice differ in their last bits
_JACKKNIFE_BLOCKS = 20
_ROWS_PER_NEIGHBOR = 10
_DISCRETE_SHARE = 0.1  # more tied rows than this, and the data as a whole are taken as discrete
_FAR_REACH = 0.2
_ROWS_TO_PROBE, _FEWEST_ROWS_TO_PROBE = 2000, 50
_OUTSIDE_SHARE = 0.2
_TREND, _TREND_NOISE = 0.2, 2.5
_UNMATCHED_SHARE = 0.05


_digamma = Formula(digamma)


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """Average over k of mean_i d log(nu_k(i) / rho_k(i)) + log(m / (n - 1)); options: `KNNDivergence`.

    rho_k(i) and nu_k(i) are the distances from X_i to its k-th neighbour in X and in Y.
    """
    _validation.choice(scale, "scale", SCALES)
    ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    scaling = fit_scaling(problem.X, scale, problem.Y, problem.notes)
    X = scaling.apply(problem.X, problem.n_jobs)
    if problem.Y is None:
        log_q = problem.log_q()
        if np.isneginf(log_q).any():
            return _outside_support(problem, int(np.isneginf(log_q).sum()))
        (X,), exponent = in_safe_range(X)
        log_det = scaling.log_det - exponent * problem.d * math.log(2.0)
        comparison: _Comparison = _WithDensity((X, log_q - log_det), ks, problem.n_jobs)
    else:
        samples, _ = in_safe_range(X, scaling.apply(problem.Y, problem.n_jobs))
        comparison = _WithSample(tuple(samples), ks, problem.n_jobs)
    terms = comparison.terms()
    _tell_small_sample(problem, ks)
    _tell_ties(terms, problem.notes)
    return Result(
        value=terms.value,
        uncertainty=lambda: _block_jackknife(comparison, terms.n_ties > 0, problem),
        n_neighbors=ks,
        n_ties=terms.n_ties,
        reasons=_reasons(problem, ks, terms),
        diagnostics={
            "value_by_n_neighbors": dict(zip(ks, terms.values, strict=True)),
            "scale": scaling.kind,
            "n_repeated_rows": terms.n_repeated,
            "n_shared_rows": terms.n_shared,
            "share_outside": terms.share_outside,
        },
    )


@dataclass(frozen=True)
class _Terms:
    """One estimate for each number of neighbours, and the ties that were met."""

    values: tuple[float, ...]
    n_ties: int
    n_repeated: int
    n_shared: int
    n_unmatched: int = 0
    share_outside: float = 0.0

    @property
    def value(self) -> float:
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True)
class _Comparison:
    """A scaled sample of P together with what stands for Q; `samples` has one entry for each."""

    samples: tuple[np.ndarray, ...]
    ks: tuple[int, ...]
    n_jobs: int

    def terms(self) -> _Terms:
        """The estimate."""
        raise NotImplementedError

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        """A random block for every row of each sample."""
        raise NotImplementedError

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        """The estimate without each block in turn, from one search; right where no distances tie."""
        raise NotImplementedError


class _WithSample(_Comparison):
    """Wang, Kulkarni and Verdu (2009), eq. 5 and, where distances tie, eq. 17 at equal radii.

    At a row with a k-th distance of 0, or not unique in X, both samples are counted within the larger of
    the two k-th distances: l_i rows of X and k_i of Y give digamma(l_i) - digamma(k_i). Where more than a
    tenth of the rows are so, all of them are treated so.
    """

    def terms(self) -> _Terms:
        X, Y = self.samples
        own, other, itself = Reference(X, self.n_jobs), Reference(Y, self.n_jobs), np.arange(len(X))
        rho, nu = _Neighborhood(own, X, self.ks, itself), _Neighborhood(other, X, self.ks)
        # far from Y, distances to it agree to many digits: not a tie unless X says so too
        tied = rho.tied | (nu.distances == 0.0)
        values = []
        for row, _ in enumerate(self.ks):
            log_ratio = X.shape[1] * _log_of_ratio(nu.distances[row], rho.distances[row])
            if tied[row].any():
                chosen = np.flatnonzero(tied[row] | (tied[row].mean() > _DISCRETE_SHARE))
                radius = np.maximum(rho.distances[row], nu.distances[row])[chosen] * (1.0 + _TIE_TOLERANCE)
                counts = own.count_within(X[chosen], radius, itself[chosen]), other.count_within(X[chosen], radius)
                log_ratio[chosen] = _digamma(counts[0]) - _digamma(counts[1])
            values.append(float(log_ratio.mean()) + math.log(len(Y) / (len(X) - 1)))
        n_ties, outside = int(tied.any(axis=0).sum()), _share_outside(nu.distances[0], other, self.ks[0])
        on_lattice = nu.n_at_zero > _UNMATCHED_SHARE * len(X)  # then rows of X repeat where Y has none by chance
        n_unmatched = 0 if on_lattice else int(np.count_nonzero(rho.at_zero & ~nu.at_zero))
        return _Terms(tuple(values), n_ties, rho.n_at_zero, nu.n_at_zero, n_unmatched, outside)

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        return [random_blocks(len(sample), blocks, rng) for sample in self.samples]

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        X, Y = self.samples
        own, other, itself = Reference(X, self.n_jobs), Reference(Y, self.n_jobs), np.arange(len(X))
        nu = mean_log_distances(other, X, self.ks, labels[1], labels[0])
        rho = mean_log_distances(own, X, self.ks, labels[0], labels[0], itself)
        n, m = (len(label) - np.bincount(label) for label in labels)
        return X.shape[1] * (nu - rho) + np.log(m / (n - 1))


class _WithDensity(_Comparison):
    """Mean of log p_k(X_i) - log q(X_i) (Perez-Cruz 2008, eq. 18); the samples are X and log q(X)."""

    def terms(self) -> _Terms:
        X, log_q = self.samples
        densities, tied, n_at_zero = _log_densities(Reference(X, self.n_jobs), X, self.ks, np.arange(len(X)))
        values = tuple(float((density - log_q).mean()) for density in densities)
        return _Terms(values, int(tied.any(axis=0).sum()), n_at_zero, 0)

    def labels(self, rng: np.random.Generator, blocks: int) -> list[np.ndarray]:
        return [random_blocks(len(self.samples[0]), blocks, rng)] * 2

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        (X, log_q), label = self.samples, labels[0]
        d = X.shape[1]
        rho = mean_log_distances(Reference(X, self.n_jobs), X, self.ks, label, label, np.arange(len(X)))
        n = len(label) - np.bincount(label)
        mean_log_q = (log_q.sum() - np.bincount(label, weights=log_q)) / n
        return float(_digamma(self.ks).mean()) - np.log(n - 1) - log_ball_volume(d) - d * rho - mean_log_q


def _log_of_ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log(a / b), of the ratio itself where float64 holds it: a common power of two then changes no bit."""
    with np.errstate(all="ignore"):
        ratio = a / b
        return np.where((ratio > 1e-300) & (ratio < 1e300), np.log(ratio), np.log(a) - np.log(b))


def _share_outside(nu: np.ndarray, other: Reference, k: int) -> float:
    """Share of the rows of X that lie farther from Y than 99% of the rows of Y from one another (k-th distances)."""
    m = len(other.points)
    if min(len(nu), m) < _FEWEST_ROWS_TO_PROBE or k == m:
        return 0.0
    probed = np.linspace(0, m - 1, min(m, _ROWS_TO_PROBE)).astype(int)
    spacing = other.kth_distances(other.points[probed], k, probed)[:, -1]
    return float((nu > np.quantile(spacing, 0.99)).mean())


def _block_jackknife(comparison: _Comparison, has_ties: bool, problem: Problem) -> Uncertainty:
    blocks = min(_JACKKNIFE_BLOCKS, problem.rows)
    largest = comparison.ks[-1]
    left = [len(sample) - math.ceil(len(sample) / blocks) for sample in comparison.samples]
    if blocks < 2 or left[0] <= largest or left[1] < largest:
        return UNKNOWN
    labels = comparison.labels(np.random.default_rng(problem.seed), blocks)
    if not has_ties:
        return jackknife_uncertainty(comparison.values_without_blocks(labels))
    values = []
    for block in range(blocks):
        samples = tuple(s[label != block] for s, label in zip(comparison.samples, labels, strict=True))
        values.append(dataclasses.replace(comparison, samples=samples).terms().value)
    return jackknife_uncertainty(np.array(values))


class _Neighborhood:
    """Distances to the neighbours of the asked numbers, shape (len(ks), n), and which of them tie."""

    def __init__(
        self, reference: Reference, queries: np.ndarray, ks: tuple[int, ...], exclude: np.ndarray | None = None
    ):
        n, available = len(queries), len(reference.points) - (exclude is not None)
        self.distances = np.empty((len(ks), n))
        self.tied = np.empty((len(ks), n), dtype=bool)
        self.at_zero = np.empty(n, dtype=bool)
        for start in range(0, n, ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            skip = None if exclude is None else exclude[rows]
            nearest = reference.kth_distances(queries[rows], min(ks[-1] + 1, available), skip)
            self.distances[:, rows] = nearest.T[[k - 1 for k in ks]]
            self.tied[:, rows] = [_is_tied(nearest, k) for k in ks]
            self.at_zero[rows] = nearest[:, 0] == 0.0

    @property
    def n_at_zero(self) -> int:
        """Queries that coincide with a point of the reference."""
        return int(np.count_nonzero(self.at_zero))


def _is_tied(distances: np.ndarray, k: int) -> np.ndarray:
    """Whether the k-th distance is 0 or also that of the next neighbour, to the rounding of a lattice."""
    kth = distances[:, k - 1]
    if k == distances.shape[1]:
        return kth == 0.0
    return (kth == 0.0) | (distances[:, k] <= kth * (1.0 + _TIE_TOLERANCE))


def log_density(reference: Reference, queries: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """k-NN estimate of the log-density of the reference at each query, averaged over k."""
    return np.mean(_log_densities(reference, queries, ks, None)[0], axis=0)


def _log_densities(
    reference: Reference, queries: np.ndarray, ks: tuple[int, ...], exclude: np.ndarray | None
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """digamma(l) - log N - log c_d - d log r at each query for every k; which tie; how many lie on a point.

    r is the k-th distance and l = k; where that distance is 0 or not unique, r is the smallest positive
    one from there on and l the number of points within it. N is the number of points that count.
    """
    m, d = reference.points.shape
    available = m - (exclude is not None)
    near = _Neighborhood(reference, queries, ks, exclude)
    densities = []
    for k, radius, tied in zip(ks, near.distances, near.tied, strict=True):
        count = np.full(len(queries), k)
        if tied.any():
            rows = np.flatnonzero(tied)
            skip = None if exclude is None else exclude[rows]
            radius[rows] = _smallest_positive(reference, queries[rows], radius[rows], k, available, skip)
            count[rows] = reference.count_within(queries[rows], radius[rows] * (1.0 + _TIE_TOLERANCE), skip)
        with np.errstate(divide="ignore"):
            densities.append(_digamma(count) - math.log(available) - log_ball_volume(d) - d * np.log(radius))
    return densities, near.tied, near.n_at_zero


def _smallest_positive(
    reference: Reference, queries: np.ndarray, radius: np.ndarray, k: int, available: int, exclude: np.ndarray | None
) -> np.ndarray:
    """The radius where it is positive, else the distance to the nearest point elsewhere (0 if there is none)."""
    radius = radius.copy()
    while k < available and (radius == 0.0).any():
        k = min(2 * k, available)
        rows = np.flatnonzero(radius == 0.0)
        distances = reference.kth_distances(queries[rows], k, None if exclude is None else exclude[rows])
        first = np.argmax(distances > 0.0, axis=1)
        radius[rows] = distances[np.arange(len(rows)), first]
    return radius


def _outside_support(problem: Problem, count: int) -> Result:
    problem.notes.add(
        InfiniteDivergenceWarning, f"q has no mass at {count} of {problem.n} rows of X: the divergence is inf."
    )
    return Result(math.inf, lambda: UNKNOWN)


def _tell_small_sample(problem: Problem, ks: tuple[int, ...]) -> None:
    if problem.rows < _ROWS_PER_NEIGHBOR * ks[0]:
        problem.notes.add(
            SmallSampleWarning,
            f"{problem.rows} rows are few for n_neighbors={ks[0]}: fewer than {_ROWS_PER_NEIGHBOR} times as many.",
        )


def _tell_ties(terms: _Terms, notes: Notes) -> None:
    if terms.n_ties:
        notes.add(
            TiesWarning,
            f"{terms.n_ties} rows of X have a zero or repeated distance to a neighbour ({terms.n_repeated} rows "
            f"occur again in X, {terms.n_shared} also in Y): they are estimated by counts within equal radii. "
            "A density never gives such data; for discrete columns compare counts.",
        )
    elif terms.n_repeated or terms.n_shared:
        notes.add(
            TiesWarning,
            f"{terms.n_repeated} rows of X occur again in X, {terms.n_shared} also in Y: such samples are not "
            "independent draws, and shared rows pull the estimate down; remove them from one of the samples.",
        )


def _reasons(problem: Problem, ks: tuple[int, ...], terms: _Terms) -> tuple[str, ...]:
    """Why the value should not be believed, if there is anything.

    k of N rows are found within about (k / N)^(1/d) of the distribution's width, and the bias is of the
    order of its square.
    """
    reasons = []
    reach = (ks[-1] / problem.rows) ** (2.0 / problem.d)
    trend = terms.values[0] - terms.values[-1]
    objections = []
    if reach > _FAR_REACH:
        objections.append(
            f"in {problem.d} features the nearest {ks[-1]} of {problem.rows} rows are not near: expect bias, which the "
            "interval, about variance only, does not contain; compare method='gaussian', or use fewer features "
            "or more rows."
        )
    if abs(trend) > max(_TREND * abs(terms.value), _TREND_NOISE / math.sqrt(problem.rows)):
        objections.append(
            f"the estimate moves from {terms.values[0]:.3g} nats at {ks[0]} neighbours to {terms.values[-1]:.3g} at "
            f"{ks[-1]}: expect bias, which the interval, about variance only, does not contain; use more rows, or "
            "compare method='gaussian'."
        )
    if terms.n_unmatched > _UNMATCHED_SHARE * problem.n:
        objections.append(
            f"{terms.n_unmatched} of {problem.n} rows of X repeat within X and never occur in Y: rows were copied, or "
            "P has atoms that Q has not, and then the divergence is inf."
        )
    for text in objections:
        problem.notes.add(UnreliableEstimateWarning, text)
    reasons += objections
    ceiling = math.log(problem.rows / ks[0])
    poor = []
    if terms.value > ceiling:
        poor.append(f"the estimate exceeds log({problem.rows} / {ks[0]}) = {ceiling:.2f} nats")
    if terms.share_outside > _OUTSIDE_SHARE:
        poor.append(f"{terms.share_outside:.0%} of the rows of X lie outside of Y")
    if poor:
        text = f"{' and '.join(poor)}: the samples hardly overlap, and nearest neighbours cannot see how far apart."
        problem.notes.add(PoorOverlapWarning, text)
        reasons.append(text)
    return tuple(reasons)
