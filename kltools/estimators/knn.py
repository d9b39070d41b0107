"""k-nearest-neighbour estimates of a divergence and of a log-density."""

import math
from collections.abc import Callable
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
from ..inference import UNKNOWN, Uncertainty, block_jackknife
from ..neighbors import Reference
from ..preprocessing import SCALES, Notes, fit_scaling
from .problem import Problem, Result

_TIE_TOLERANCE = 1e-9  # relative: distances on a decimal lattice differ in their last bits
_JACKKNIFE_BLOCKS = 20
_ROWS_PER_NEIGHBOR = 10
_DISCRETE_SHARE = 0.1  # more tied rows than this, and the data as a whole are taken as discrete
_FAR_REACH = 0.2


_digamma = Formula(digamma)


def estimate(problem: Problem, *, n_neighbors: Any = None, scale: str = "whiten") -> Result:
    """Average over k of mean_i d log(nu_k(i) / rho_k(i)) + log(m / (n - 1)); options: `KNNDivergence`.

    rho_k(i) and nu_k(i) are the distances from X_i to its k-th neighbour in X and in Y.
    """
    _validation.choice(scale, "scale", SCALES)
    ks = _validation.neighbors_within(n_neighbors, problem.n, problem.m)
    scaling = fit_scaling(problem.X, scale, problem.Y)
    X = scaling.apply(problem.X, problem.n_jobs)
    if problem.Y is None:
        log_q = problem.log_q()
        if np.isneginf(log_q).any():
            return _outside_support(problem, int(np.isneginf(log_q).sum()))
        samples: tuple[np.ndarray, ...] = (np.column_stack([X, log_q - scaling.log_det]),)
        measure: Callable[..., _Terms] = _against_density
    else:
        samples = (X, scaling.apply(problem.Y, problem.n_jobs))
        measure = _against_sample
    terms = measure(*samples, ks=ks, n_jobs=problem.n_jobs)

    def uncertainty() -> Uncertainty:
        blocks = min(_JACKKNIFE_BLOCKS, problem.rows)
        left = problem.n - math.ceil(problem.n / blocks), problem.rows - math.ceil(problem.rows / blocks)
        if blocks < 2 or ks[-1] > left[0] - 1 or ks[-1] > left[1]:
            return UNKNOWN
        rng = np.random.default_rng(problem.seed)
        return block_jackknife(lambda *s: measure(*s, ks=ks, n_jobs=problem.n_jobs).value, samples, rng, blocks)

    _tell_small_sample(problem, ks)
    _tell_ties(terms, problem.notes)
    return Result(
        value=terms.value,
        uncertainty=uncertainty,
        n_neighbors=ks,
        n_ties=terms.n_ties,
        reasons=_reasons(problem, ks, terms.value),
        diagnostics={
            "value_by_n_neighbors": dict(zip(ks, terms.values, strict=True)),
            "scale": scaling.kind,
            "n_repeated_rows": terms.n_repeated,
            "n_shared_rows": terms.n_shared,
        },
    )


@dataclass(frozen=True)
class _Terms:
    """One estimate for each number of neighbours, and the ties that were met."""

    values: tuple[float, ...]
    n_ties: int
    n_repeated: int
    n_shared: int

    @property
    def value(self) -> float:
        return math.fsum(self.values) / len(self.values)


def _against_sample(X: np.ndarray, Y: np.ndarray, *, ks: tuple[int, ...], n_jobs: int) -> _Terms:
    """Wang, Kulkarni and Verdu (2009), eq. 5 and, where distances tie, eq. 17 at equal radii.

    At a row whose k-th distance is 0 or not unique, both samples are counted within the larger of the
    two k-th distances: l_i rows of X and k_i of Y give digamma(l_i) - digamma(k_i). Where more than a
    tenth of the rows are so, all of them are treated so.
    """
    (n, d), m = X.shape, len(Y)
    own, other = Reference(X, n_jobs), Reference(Y, n_jobs)
    itself = np.arange(n)
    rho = own.kth_distances(X, min(ks[-1] + 1, n - 1), itself)
    nu = other.kth_distances(X, min(ks[-1] + 1, m))
    ties = np.zeros(n, dtype=bool)
    values = []
    for k in ks:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_ratio = d * (np.log(nu[:, k - 1]) - np.log(rho[:, k - 1]))
        tied = _is_tied(rho, k) | _is_tied(nu, k)
        ties |= tied
        if tied.any():
            rows = np.flatnonzero(tied | (tied.mean() > _DISCRETE_SHARE))
            radius = np.maximum(rho[rows, k - 1], nu[rows, k - 1]) * (1.0 + _TIE_TOLERANCE)
            within_own = own.count_within(X[rows], radius, itself[rows])
            log_ratio[rows] = _digamma(within_own) - _digamma(other.count_within(X[rows], radius))
        values.append(float(log_ratio.mean()) + math.log(m / (n - 1)))
    repeated, shared = (int(np.count_nonzero(distances[:, 0] == 0.0)) for distances in (rho, nu))
    return _Terms(tuple(values), int(ties.sum()), repeated, shared)


def _against_density(X_and_log_q: np.ndarray, *, ks: tuple[int, ...], n_jobs: int) -> _Terms:
    """Mean of log p_k(X_i) - log q(X_i) (Perez-Cruz 2008, eq. 18); the last column holds log q."""
    X, log_q = np.ascontiguousarray(X_and_log_q[:, :-1]), X_and_log_q[:, -1]
    densities, ties, repeated = _log_densities(Reference(X, n_jobs), X, ks, np.arange(len(X)))
    values = tuple(float((density - log_q).mean()) for density in densities)
    return _Terms(values, int(ties.sum()), int(repeated.sum()), 0)


def log_density(reference: Reference, queries: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """k-NN estimate of the log-density of the reference at each query, averaged over k."""
    return np.mean(_log_densities(reference, queries, ks, None)[0], axis=0)


def _log_densities(
    reference: Reference, queries: np.ndarray, ks: tuple[int, ...], exclude: np.ndarray | None
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """digamma(l) - log N - log c_d - d log r at each query for every k; which queries met ties, and rows of 0.

    r is the k-th distance and l = k; where that distance is 0 or not unique, r is the smallest positive
    one from there on and l the number of points within it. N is the number of points that count.
    """
    m, d = reference.points.shape
    available = m - (exclude is not None)
    distances = reference.kth_distances(queries, min(ks[-1] + 1, available), exclude)
    ties = np.zeros(len(queries), dtype=bool)
    densities = []
    for k in ks:
        radius = distances[:, k - 1].copy()
        count = np.full(len(queries), k)
        tied = _is_tied(distances, k)
        ties |= tied
        if tied.any():
            rows = np.flatnonzero(tied)
            skip = None if exclude is None else exclude[rows]
            radius[rows] = _smallest_positive(reference, queries[rows], radius[rows], k, available, skip)
            count[rows] = reference.count_within(queries[rows], radius[rows] * (1.0 + _TIE_TOLERANCE), skip)
        with np.errstate(divide="ignore"):
            densities.append(_digamma(count) - math.log(available) - log_ball_volume(d) - d * np.log(radius))
    return densities, ties, distances[:, 0] == 0.0


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


def _is_tied(distances: np.ndarray, k: int) -> np.ndarray:
    """Whether the k-th distance is 0 or also the distance of the next neighbour."""
    kth = distances[:, k - 1]
    if k == distances.shape[1]:
        return kth == 0.0
    return (kth == 0.0) | (distances[:, k] <= kth * (1.0 + _TIE_TOLERANCE))


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
        notes.add(TiesWarning, f"{terms.n_repeated} rows of X occur again in X, {terms.n_shared} also in Y.")


def _reasons(problem: Problem, ks: tuple[int, ...], value: float) -> tuple[str, ...]:
    """Why the value should not be believed, if there is anything.

    k of N rows are found within about (k / N)^(1/d) of the distribution's width, and the bias is of the
    order of its square.
    """
    reasons = []
    reach = (ks[-1] / problem.rows) ** (2.0 / problem.d)
    if reach > _FAR_REACH:
        text = (
            f"in {problem.d} features the nearest {ks[-1]} of {problem.rows} rows are not near: expect bias, which the "
            "interval, about variance only, does not contain; compare method='gaussian', or use fewer features "
            "or more rows."
        )
        problem.notes.add(UnreliableEstimateWarning, text)
        reasons.append(text)
    ceiling = math.log(problem.rows)
    if value > ceiling:
        text = (
            f"the estimate exceeds log({problem.rows}) = {ceiling:.2f} nats: the samples hardly overlap, and "
            "nearest neighbours then give at best a lower bound."
        )
        problem.notes.add(PoorOverlapWarning, text)
        reasons.append(text)
    return tuple(reasons)
