"""Normal mixtures fitted by expectation-maximisation, and how many components the data ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import frozen
from .._jit import run_rows
from .em import WIDTH, cholesky, em_kernel, nearest_start, pack_kernel

_TOLERANCE = 1e-3  # nats per row, as in scikit-learn
_MOST_ITERATIONS = 100
_START_ITERATIONS = 8
_STARTS = 3
_ROWS_PER_PARAMETER = 3
_SIZES = (2, 3, 4, 6, 8, 12, 16)


class Rows:
    """Rows packed for the kernels, once for any number of fits."""

    def __init__(self, X: np.ndarray, n_jobs: int = 1):
        self.X, self.n_jobs = frozen(X), n_jobs
        n, d = X.shape
        blocks = np.empty((-(-n // WIDTH), d, WIDTH))
        run_rows(pack_kernel, len(blocks), self.X, blocks, n_jobs=n_jobs, row_cost=WIDTH * d)
        self.blocks = frozen(blocks)

    def weights(self, of_rows: np.ndarray | None = None) -> np.ndarray:
        """Weights of the packed rows; the filling has none."""
        weights = np.zeros(len(self.blocks) * WIDTH)
        weights[: len(self.X)] = 1.0 if of_rows is None else of_rows
        return weights

    def run(self, mixtures: Sequence[Mixture], weights: np.ndarray, n_iterations: int, ridge: float = 0.0) -> _Run:
        """Iterate from some mixtures of one kind and size, for one row of weights each."""
        first = mixtures[0]
        log_weights = np.stack([m.log_weights for m in mixtures])
        means, factors = np.stack([m.means for m in mixtures]), np.stack([m.factors for m in mixtures])
        densities, likelihoods = np.empty(weights.shape), np.empty(len(mixtures))
        run_rows(
            em_kernel,
            len(mixtures),
            self.blocks,
            frozen(weights),
            log_weights,
            means,
            factors,
            first.covariance == "diag",
            first.covariance == "tied",
            ridge,
            _TOLERANCE,
            n_iterations,
            densities,
            likelihoods,
            n_jobs=self.n_jobs,
            share_at_once=self.blocks.size * first.n_components > 2_000,
            row_cost=self.blocks.size * first.n_components * (n_iterations + 1),
        )
        fitted = [Mixture(first.covariance, *parts) for parts in zip(log_weights, means, factors, strict=True)]
        return _Run(fitted, densities[:, : len(self.X)], likelihoods)


@dataclass(frozen=True)
class _Run:
    """Mixtures, the log-density of every row under each, and the weighted means of those."""

    mixtures: list[Mixture]
    densities: np.ndarray
    likelihoods: np.ndarray


@dataclass(frozen=True)
class Mixture:
    """Components with weights, means and Cholesky factors of their covariances."""

    covariance: str
    log_weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @property
    def n_components(self) -> int:
        return len(self.log_weights)

    @property
    def n_parameters(self) -> int:
        return count_parameters(self.n_components, self.means.shape[1], self.covariance)

    def log_density(self, X: np.ndarray, n_jobs: int = 1) -> np.ndarray:
        rows = Rows(X, n_jobs)
        return rows.run([self], rows.weights()[None], 0).densities[0]

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        component = rng.choice(self.n_components, n, p=np.exp(self.log_weights))
        z = rng.standard_normal((n, self.means.shape[1]))
        if self.n_components == 1:
            return self.means[0] + z @ self.factors[0].T
        out = np.empty_like(z)
        for c in range(self.n_components):
            mine = component == c
            out[mine] = self.means[c] + z[mine] @ self.factors[c].T
        return out


def count_parameters(n_components: int, d: int, covariance: str) -> int:
    """Free parameters of a mixture."""
    of_one = {"full": d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": d}[covariance]
    return n_components * (d + 1) - 1 + of_one * (1 if covariance == "tied" else n_components)


def single(X: np.ndarray, covariance: str = "full", ridge: float = 0.0, weights: np.ndarray | None = None) -> Mixture:
    """The normal distribution with the moments of the rows."""
    mean = np.average(X, axis=0, weights=weights)
    deviation = X - mean
    weighted = deviation if weights is None else deviation * weights[:, None]
    matrix = weighted.T @ deviation / (len(X) if weights is None else weights.sum())
    if covariance == "diag":
        matrix = np.diag(np.diag(matrix))
    matrix[np.diag_indices_from(matrix)] += ridge
    factor = np.empty_like(matrix)
    if not cholesky(matrix, factor):
        raise np.linalg.LinAlgError("the rows lie in a subspace")
    return Mixture(covariance, np.zeros(1), mean[None], factor[None])


def fit(
    rows: Rows,
    n_components: int,
    covariance: str,
    rng: np.random.Generator,
    ridge: float,
    weights: np.ndarray | None = None,
) -> tuple[Mixture, float] | None:
    """The best of some starts, and its mean log-likelihood; None where all of them degenerate."""
    weights = rows.weights() if weights is None else weights
    d = rows.X.shape[1]
    starts = []
    for _ in range(_STARTS):
        centers = np.empty((n_components, d))
        square = nearest_start(rows.blocks, frozen(weights), rng.random(n_components), centers)
        factors = np.tile(math.sqrt(max(square / d, ridge)) * np.eye(d), (n_components, 1, 1))
        starts.append(Mixture(covariance, np.full(n_components, -math.log(n_components)), centers, factors))
    tried = rows.run(starts, np.tile(weights, (_STARTS, 1)), _START_ITERATIONS, ridge)
    best = int(np.argmax(tried.likelihoods))
    if not np.isfinite(tried.likelihoods[best]):
        return None
    final = rows.run([tried.mixtures[best]], weights[None], _MOST_ITERATIONS, ridge)
    likelihood = float(final.likelihoods[0])
    return (final.mixtures[0], likelihood) if math.isfinite(likelihood) else None


def choose(
    rows: Rows,
    rng: np.random.Generator,
    ridge: float,
    covariances: Sequence[str],
    most_components: int,
    penalty: float | None = None,
) -> tuple[Mixture, float]:
    """The mixture with the smallest criterion, and that criterion.

    It is minus the mean log-likelihood, plus `penalty` nats a row for each parameter: 1 is Akaike's criterion, the
    default log(n) / 2 the Bayesian one of Schwarz (1978). The number of components grows until the criterion does.
    """
    n, d = rows.X.shape
    per_parameter = (0.5 * math.log(n) if penalty is None else penalty) / n
    best = single(rows.X, covariances[0], ridge)
    score = -float(best.log_density(rows.X, rows.n_jobs).mean()) + per_parameter * best.n_parameters
    for covariance in covariances:
        previous = math.inf
        for size in _SIZES:
            n_parameters = count_parameters(size, d, covariance)
            if size > most_components or n_parameters * _ROWS_PER_PARAMETER > n:
                break
            fitted = fit(rows, size, covariance, rng, ridge)
            if fitted is None:
                break
            mixture, likelihood = fitted
            value = -likelihood + per_parameter * n_parameters
            if value < score:
                best, score = mixture, value
            if value > previous:
                break
            previous = value
    return best, score


def cross_fitted(rows: Rows, mixture: Mixture, folds: np.ndarray, ridge: float) -> tuple[list[Mixture], np.ndarray]:
    """One mixture for each fold, fitted without it, and for each row its log-density without its own fold."""
    n_folds = int(folds.max()) + 1
    weights = np.stack([rows.weights(folds != fold) for fold in range(n_folds)])
    if mixture.n_components == 1:
        mixtures = [single(rows.X[folds != fold], mixture.covariance, ridge) for fold in range(n_folds)]
        run = rows.run(mixtures, weights, 0)
    else:
        run = rows.run([mixture] * n_folds, weights, _MOST_ITERATIONS, ridge)
    return run.mixtures, run.densities[folds, np.arange(len(folds))]
