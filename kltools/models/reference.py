"""Pairs of normal distributions to simulate from, as far apart as the samples are believed to be."""

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
    """The normal distribution of X, and that of Y drawn towards it until their divergence is at most the given one.

    Fitted means and covariances are farther apart than the true ones, by noise. Samples from the fitted
    pair would have another divergence, and a nearest-neighbour estimate another bias.
    """
    p, q = single(X), single(Y)
    covariances = [factor @ factor.T for factor in (p.factors[0], q.factors[0])]

    def drawn(part: float) -> Mixture:
        mean = p.means[0] + part * (q.means[0] - p.means[0])
        covariance = covariances[0] + part * (covariances[1] - covariances[0])
        return Mixture("full", np.zeros(1), mean[None], np.linalg.cholesky(covariance)[None])

    if normal_divergence(p, q) <= divergence:
        return p, q
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if normal_divergence(p, drawn(middle)) < divergence:
            low = middle
        else:
            high = middle
    return p, drawn(high)


def mean_log_ratio(p: Mixture, q: Mixture, X: np.ndarray) -> float:
    """Mean of log p(x) - log q(x) over rows."""
    return float((p.log_density(X) - q.log_density(X)).mean())


def monte_carlo_divergence(p: Mixture, q: Mixture, rng: np.random.Generator, n: int) -> float:
    """KL(p || q) from n draws of p."""
    return mean_log_ratio(p, q, p.sample(rng, n))
