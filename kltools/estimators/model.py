"""Densities fitted to the samples: what they say of the divergence, and pairs of samples drawn from them.

The first is right where the densities are; the second tell how a nearest-neighbour estimate errs on samples
like these.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..inference import Moments
from ..models.mixture import Mixture, Rows, choose, cross_fitted, single
from ..models.reference import (
    matched_normals,
    mean_log_ratio,
    monte_carlo_divergence,
    normal_divergence,
    normal_entropy,
)
from ..neighbors.contrast import Some, contrast, mean_log_density
from ..neighbors.neighborhood import Search
from ..preprocessing import column_exponents, deviations, without_outliers
from ..scaling import Scaling, fit_scaling
from . import gaussian
from .problem import Problem

RIDGE = 1e-4  # added to variances of standardised columns, so that no component falls onto a point
PENALTY = 2.0  # nats per parameter, twice those of Akaike: with few rows more components than needed cost most
MOST_COMPONENTS = 16
COVARIANCES = ("full", "tied")  # of one column there is but the first kind
N_FOLDS = 5
_DRAWS = 20_000
_RADIUS_NEIGHBORS = 10
_LARGEST_NOISE = 0.1, 0.02  # of the mean ratio, relative to the divergence and absolute


def linear_scaling(X: np.ndarray, other: np.ndarray | None = None, kind: str = "whiten") -> Scaling:
    """A map learnt from X to columns of unit variance, for `RIDGE`; a single one keeps its origin, and its digits."""
    if X.shape[1] > 1:
        return fit_scaling(X, kind, other)
    exponents = column_exponents(X, other)
    spread = float(deviations(without_outliers(np.ldexp(X, -exponents))).std(ddof=1)) or 1.0
    log_det = -math.log(2.0) * float(exponents.sum()) - math.log(spread)
    return Scaling("std", log_det, exponents, np.zeros(1), np.array([[1.0 / spread]]))


def whitened(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaling = fit_scaling(X, "whiten", Y)
    return scaling.apply(X), scaling.apply(Y)


@dataclass(frozen=True)
class Pair:
    """Two samples and the densities p and q they are taken for, with the divergence KL(p || q).

    ``value`` is the estimate of the divergence by the model, ``standard_error`` its own.
    """

    X: np.ndarray
    Y: np.ndarray
    p: Mixture
    q: Mixture
    divergence: float
    value: float
    standard_error: float
    whiten: bool

    @property
    def is_normal(self) -> bool:
        return self.p.n_components == self.q.n_components == 1

    @property
    def can_only_be_more(self) -> bool:
        """Whether what the model misses can only add to the divergence: it can where q is normal."""
        return self.q.n_components == 1

    @property
    def components(self) -> tuple[int, ...]:
        return self.p.n_components, self.q.n_components

    @property
    def covariances(self) -> tuple[str, ...]:
        return self.p.covariance, self.q.covariance

    @property
    def n_rows(self) -> int:
        return max(len(self.X), len(self.Y))

    def observed(self, search: Search, some: Some) -> float:
        """The nearest-neighbour estimate, with the mean over some rows of X."""
        return self._statistic(self.X, self.Y, search, some)

    def simulated(self, search: Search, most_rows: int, rng: np.random.Generator) -> tuple[float, float]:
        """The nearest-neighbour estimate and that of the model for samples drawn from p and q."""
        X, Y = self.p.sample(rng, len(self.X)), self.q.sample(rng, len(self.Y))
        of_model = _normal_estimate(X, Y)[0] if self.is_normal else mean_log_ratio(self.p, self.q, X)
        return self._statistic(X, Y, search, Some(most_rows, rng)), of_model

    def _statistic(self, X: np.ndarray, Y: np.ndarray, search: Search, some: Some) -> float:
        if self.whiten:
            X, Y = whitened(X, Y)
        return contrast(X, Y, search, min(_RADIUS_NEIGHBORS, search.ks[-1]), some).value


@dataclass(frozen=True)
class Sample:
    """One sample, the density p it is taken for, and log q at its rows; fields as those of `Pair`."""

    X: np.ndarray
    p: Mixture
    mean_log_q: float
    divergence: float
    value: float
    standard_error: float
    can_only_be_more: bool = True

    @property
    def is_normal(self) -> bool:
        return self.p.n_components == 1

    @property
    def components(self) -> tuple[int, ...]:
        return (self.p.n_components,)

    @property
    def covariances(self) -> tuple[str, ...]:
        return (self.p.covariance,)

    @property
    def n_rows(self) -> int:
        return len(self.X)

    def observed(self, search: Search, some: Some) -> float:
        """The same estimate; the mean is one over all rows, as that of log q."""
        return _mean_log_p(self.X, search) - self.mean_log_q

    def simulated(self, search: Search, most_rows: int, rng: np.random.Generator) -> tuple[float, float]:
        """The same two estimates for a sample drawn from p, with the mean of log q that was observed."""
        X = self.p.sample(rng, len(self.X))
        of_model = _normal_log_density(X) if self.is_normal else float(self.p.log_density(X).mean())
        return _mean_log_p(X, search, Some(most_rows, rng)) - self.mean_log_q, of_model - self.mean_log_q


Model = Pair | Sample


def _mean_log_p(X: np.ndarray, search: Search, some: Some | None = None) -> float:
    scaling = fit_scaling(X, "whiten")
    return mean_log_density(scaling.apply(X), search, some) + scaling.log_det


def _normal_estimate(X: np.ndarray, Y: np.ndarray) -> tuple[float, float]:
    result = gaussian.against_sample(X, Y)
    return result.value, result.uncertainty().standard_error


def _normal_log_density(X: np.ndarray) -> float:
    """Unbiased estimate of the mean log-density of a normal distribution at its own draws."""
    return -gaussian.unbiased_entropy(X)


def normal_pair(X: np.ndarray, Y: np.ndarray) -> Pair:
    """Both samples taken for normal; the columns are whitened by X."""
    X, Y = whitened(X, Y)
    value, standard_error = _normal_estimate(X, Y)
    p, q = matched_normals(X, Y, max(value, 0.0))
    return Pair(X, Y, p, q, normal_divergence(p, q), value, standard_error, whiten=True)


def normal_sample(X: np.ndarray, log_q: np.ndarray) -> Sample:
    """A sample taken for normal, with log q at its rows."""
    result = gaussian.against_density(X, log_q)
    p, mean_log_q = single(X), float(log_q.mean())
    return Sample(X, p, mean_log_q, -normal_entropy(p) - mean_log_q, result.value, result.uncertainty().standard_error)


def fitted_sample(problem: Problem, reference: str = "auto") -> Sample:
    """The model of a sample against a known q: of one normal distribution, a mixture, or what the criterion says."""
    scaling = linear_scaling(problem.X)
    X, log_q = scaling.apply(problem.X, problem.n_jobs), problem.log_q() - scaling.log_det
    if reference == "gaussian":
        return normal_sample(X, log_q)
    rows = Rows(X, problem.n_jobs)
    p, _ = choose_mixture(rows, problem.seed, COVARIANCES[: min(problem.d, 2)], MOST_COMPONENTS)
    if reference == "auto" and p.n_components == 1:
        return normal_sample(X, log_q)
    return mixture_sample(rows, p, log_q, problem.seed)


def mixture_sample(rows: Rows, p: Mixture, log_q: np.ndarray, seed: int, n_folds: int = N_FOLDS) -> Sample:
    """A mixture fitted to a sample; the estimate is cross-fitted."""
    rng = np.random.default_rng(seed)
    _, log_p = cross_fitted(rows, p, rng.permutation(len(rows.X)) % n_folds, RIDGE)
    moments, mean_log_q = Moments.of(log_p - log_q), float(log_q.mean())
    mean_log_p = float(p.log_density(p.sample(rng, _DRAWS)).mean())
    return Sample(rows.X, p, mean_log_q, mean_log_p - mean_log_q, moments.mean, moments.standard_error)


def mixture_pair(x: Rows, y: Rows, p: Mixture, q: Mixture, seed: int, whiten: bool, n_folds: int = N_FOLDS) -> Pair:
    """Mixtures fitted to both samples; the estimate is cross-fitted, a row's densities come from fits without it."""
    rng = np.random.default_rng(seed)
    fold_x, fold_y = (rng.permutation(len(rows.X)) % n_folds for rows in (x, y))
    ps, log_p_x = cross_fitted(x, p, fold_x, RIDGE)
    qs, log_q_y = cross_fitted(y, q, fold_y, RIDGE)
    log_ratio = log_p_x - _densities_of_folds(x, qs, fold_x)
    ratio = np.exp(np.minimum(_densities_of_folds(y, ps, fold_y) - log_q_y, 30.0))
    moments = Moments.of(log_ratio)
    relative, absolute = _LARGEST_NOISE
    noise = min(Moments.of(ratio).standard_error, relative * abs(moments.mean) + absolute)
    divergence = monte_carlo_divergence(p, q, rng, _DRAWS)
    error = math.hypot(moments.standard_error, noise)
    return Pair(x.X, y.X, p, q, divergence, moments.mean, error, whiten)


def _densities_of_folds(rows: Rows, mixtures: list[Mixture], folds: np.ndarray) -> np.ndarray:
    """Log-density of each row under the mixture of its fold."""
    weights = np.tile(rows.weights(), (len(mixtures), 1))
    return rows.run(mixtures, weights, 0).densities[folds, np.arange(len(folds))]


def held_out_log_density(rows: Rows, mixture: Mixture, seed: int) -> float:
    """Mean log-density of the rows under mixtures fitted without them: outliers count as what they are."""
    folds = np.random.default_rng(seed).permutation(len(rows.X)) % N_FOLDS
    return float(cross_fitted(rows, mixture, folds, RIDGE)[1].mean())


def choose_mixture(
    rows: Rows, seed: int, covariances: tuple[str, ...], most_components: int, penalty: float | None = PENALTY
) -> tuple[Mixture, float]:
    """The mixture that the rows ask for, and its criterion."""
    return choose(rows, np.random.default_rng(seed), RIDGE, covariances, most_components, penalty)
