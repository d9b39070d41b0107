"""Pairs of normal distributions to simulate from, as far apart as the samples are believed to be."""

import math

import numpy as np

from .._scalar import LOG_2PI
from .mixture import Mixture, single

_HALVINGS = 40


def normal_divergence(p: Mixture, q: Mixture) -> float:
    """KL(p || q) of two normal distributions."""
    relative = np.linalg.solve(q.factors[0], p.factors[0])
    shift = np.linalg.solve(q.factors[0], p.means[0] - q.means[0])
    log_dets = float(np.log(np.diag(relative)).sum())
    return 0.5 * (float((relative**2).sum()) + float(shift @ shift) - len(shift)) - log_dets


def normal_entropy(p: Mixture) -> float:
    """Entropy of a normal distribution."""
    d = p.means.shape[1]
    return 0.5 * d * (1.0 + LOG_2PI) + float(np.log(np.diag(p.factors[0])).sum())


def matched_normals(X: np.ndarray, Y: np.ndarray, divergence: float) -> tuple[Mixture, Mixture]:
    """The normal distribution of X, and that of Y drawn towards it until their divergence is about the given one.

    Fitted means and covariances are farther apart than the true ones, by noise. Samples from the fitted
    pair would have another divergence, and a nearest-neighbour estimate another bias. The distance of the
    means becomes what an unbiased estimate makes of it. Of the covariances first the differences between
    directions shrink, where most of the noise is, then the common factor.
    """
    p, q = single(X), single(Y)
    n, m, d = len(X), len(Y), X.shape[1]
    p_factor, q_factor = (f * math.sqrt(size / (size - 1)) for f, size in ((p.factors[0], n), (q.factors[0], m)))
    relative = np.linalg.solve(p_factor, q_factor)
    variances, directions = np.linalg.eigh(relative @ relative.T)
    logs = np.log(variances)
    shift = directions.T @ np.linalg.solve(p_factor, q.means[0] - p.means[0])
    shrink = (m - d - 2) / (m - 1)
    square = shrink * float((shift**2 / variances).sum()) - shrink * float((1.0 / variances).sum()) / n - d / m
    square = max(square, 0.0)
    drawn = _drawn(logs, max(divergence - 0.5 * square, 0.0))
    length = float((shift**2 / drawn).sum())
    shift = shift * math.sqrt(square / length) if length > 0.0 else shift
    to_units = p_factor @ directions
    covariance = (to_units * drawn) @ to_units.T
    normal_p = Mixture("full", np.zeros(1), p.means, p_factor[None])
    normal_q = Mixture("full", np.zeros(1), (p.means[0] + to_units @ shift)[None], np.linalg.cholesky(covariance)[None])
    return normal_p, normal_q


def _drawn(logs: np.ndarray, divergence: float) -> np.ndarray:
    """Variances drawn towards 1 from exp(logs) until KL(N(0, 1) || N(0, variances)) is at most the given one."""
    common = float(logs.mean())

    def at(part: float) -> np.ndarray:  # from 1 to the common factor at 1, to all differences at 2
        return np.exp(min(part, 1.0) * common + max(part - 1.0, 0.0) * (logs - common))

    def distance(part: float) -> float:
        variances = at(part)
        return 0.5 * float((1.0 / variances - 1.0 + np.log(variances)).sum())

    if distance(2.0) <= divergence:
        return at(2.0)
    low, high = 0.0, 2.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if distance(middle) < divergence:
            low = middle
        else:
            high = middle
    return at(low)


def mean_log_ratio(p: Mixture, q: Mixture, X: np.ndarray) -> float:
    """Mean of log p(x) - log q(x) over rows."""
    return float((p.log_density(X) - q.log_density(X)).mean())


def monte_carlo_divergence(p: Mixture, q: Mixture, rng: np.random.Generator, n: int) -> float:
    """KL(p || q) from n draws of p."""
    return mean_log_ratio(p, q, p.sample(rng, n))
