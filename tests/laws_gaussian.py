"""Gaussians, their mixtures, and categories: examples, and the laws of SciPy that they must agree with."""

from types import SimpleNamespace

import exact
import numpy as np
from scipy import stats
from scipy.special import logsumexp

import kltools as kl

D = 3  # features of the examples


def covariances(rng, batch):
    factor = rng.normal(size=(*batch, D, D + 2))
    return factor @ np.swapaxes(factor, -1, -2) / D


def gaussian_mixture(rng, batch):
    """The last of its components has no weight."""
    weights = np.concatenate([rng.dirichlet(np.ones(3), size=batch), np.zeros((*batch, 1))], axis=-1)
    return kl.GaussianMixture(
        weights=weights, means=rng.normal(size=(*batch, 4, D)), covs=covariances(rng, (*batch, 4)) + 0.5 * np.eye(D)
    )


class MixtureLaw:
    """A mixture of laws of SciPy, component after component."""

    def __init__(self, weights, means, covs):
        self.weights, self.means, self.covs = weights, means, covs

    @property
    def mean(self):
        return self.weights @ self.means

    @property
    def cov_object(self):
        deviation = self.means - self.mean
        between = np.einsum("k,ki,kj->ij", self.weights, deviation, deviation)
        return SimpleNamespace(covariance=np.einsum("k,kij->ij", self.weights, self.covs) + between)

    def logpdf(self, x):
        laws = [stats.multivariate_normal(*law) for law in zip(self.means, self.covs, strict=True)]
        return logsumexp([law.logpdf(x) for law in laws], axis=0, b=self.weights.reshape(-1, *[1] * (np.ndim(x) - 1)))

    def rvs(self, size, random_state):
        counts = random_state.multinomial(size, self.weights)
        parts = zip(self.means, self.covs, counts, strict=True)
        return np.concatenate([random_state.multivariate_normal(*part) for part in parts])


EXAMPLES = {
    kl.Normal: lambda rng, batch: kl.Normal(mean=rng.normal(size=batch), var=rng.gamma(3.0, size=batch)),
    kl.MultivariateNormalDiag: lambda rng, batch: kl.MultivariateNormalDiag(
        mean=rng.normal(size=(*batch, D)), var=rng.gamma(3.0, size=(*batch, D))
    ),
    kl.MultivariateNormal: lambda rng, batch: kl.MultivariateNormal(
        mean=rng.normal(size=(*batch, D)), cov=covariances(rng, batch)
    ),
    kl.Categorical: lambda rng, batch: kl.Categorical(probs=rng.dirichlet(np.ones(4), size=batch)),
    kl.GaussianMixture: gaussian_mixture,
}

ORACLES = {
    kl.Normal: lambda p: stats.norm(float(p.mean), float(p.var) ** 0.5),
    kl.MultivariateNormalDiag: lambda p: stats.multivariate_normal(p.mean, np.diag(p.var)),
    kl.MultivariateNormal: lambda p: stats.multivariate_normal(p.mean, p.cov),
    kl.Categorical: lambda p: stats.rv_discrete(values=(range(p.probs.shape[-1]), p.probs)),
    kl.GaussianMixture: lambda p: MixtureLaw(p.weights, p.means, p.covs),
}

WITHOUT_ENTROPY = {kl.GaussianMixture}

# ---------------------------------------------------------------- for tests/test_exact_pairs.py


def full(p):
    """Mean and covariance of a Gaussian with a diagonal or a full covariance."""
    if "cov" in p:
        return p["mean"], p["cov"]
    d = len(p["var"])
    return p["mean"], [[p["var"][i] if i == j else 0.0 for j in range(d)] for i in range(d)]


def condition(p, q):
    """Of the two covariances, scaled to unit variances."""
    numbers = []
    for law in (p, q):
        cov = np.array(full(law)[1], dtype=float)
        std = np.sqrt(np.diag(cov))
        numbers.append(np.linalg.cond(cov / np.outer(std, std)))
    return 1e-12 * max(numbers)


def autoregressive(rho, stds):
    i = np.arange(len(stds))
    return (rho ** np.abs(i[:, None] - i) * np.outer(stds, stds)).tolist()


_FULL = ("MultivariateNormal", "MultivariateNormalDiag")
EXACT = {
    ("Normal", "Normal"): lambda p, q: exact.kl_normal(p["mean"], p["var"], q["mean"], q["var"]),
    ("MultivariateNormalDiag", "MultivariateNormalDiag"): lambda p, q: exact.kl_diagonal(
        p["mean"], p["var"], q["mean"], q["var"]
    ),
    ("Categorical", "Categorical"): lambda p, q: exact.kl_categorical(p["probs"], q["probs"]),
    **{
        (a, b): lambda p, q: exact.kl_full(*full(p), *full(q))
        for a, b in ((_FULL[0], _FULL[0]), (_FULL[0], _FULL[1]), (_FULL[1], _FULL[0]))
    },
}

TOLERANCES = {
    ("Normal", "Normal"): lambda p, q: 1e-13,
    ("MultivariateNormalDiag", "MultivariateNormalDiag"): lambda p, q: 1e-13,
    **{(a, b): condition for a, b in EXACT if a in _FULL and b in _FULL and a + b != 2 * _FULL[1]},
}

GRID = {
    "Normal": [
        {"mean": 0.0, "var": 1.0},
        {"mean": 1.0, "var": 1.0},
        {"mean": -0.3, "var": 2.5},
        {"mean": 1e-9, "var": 1.0 + 1e-9},
        {"mean": 1e-150, "var": 1e-300},
        {"mean": 1e8, "var": 1e-3},
        {"mean": -1e150, "var": 1e300},
        {"mean": 3.0, "var": 1e-12},
        {"mean": 0.1, "var": 1e12},
        {"mean": 7.0, "var": 0.02},
    ],
    "MultivariateNormalDiag": [
        {"mean": [0.0, 0.0, 0.0], "var": [1.0, 1.0, 1.0]},
        {"mean": [1.0, -1.0, 0.5], "var": [0.5, 2.0, 3.0]},
        {"mean": [1e-9, 0.0, 0.0], "var": [1.0, 1.0, 1.0 + 1e-12]},
        {"mean": [1e3, 0.0, -1e-3], "var": [1e6, 1.0, 1e-6]},
        {"mean": [0.0, 2.0, 0.0], "var": [1e-8, 1e8, 4.0]},
    ],
    "MultivariateNormal": [
        {"mean": [0.0, 0.0, 0.0], "cov": autoregressive(0.0, [1.0, 1.0, 1.0])},
        {"mean": [1.0, -1.0, 0.5], "cov": autoregressive(0.5, [1.0, 2.0, 0.5])},
        {"mean": [0.1, 0.2, 0.3], "cov": autoregressive(-0.9, [1e-3, 1.0, 1e3])},
        {"mean": [0.0, 0.0, 1e-9], "cov": autoregressive(0.999, [1.0, 1.0, 1.0])},
        {"mean": [5.0, 0.0, 0.0], "cov": autoregressive(0.3, [1e4, 1e4, 1e4])},
    ],
    "Categorical": [
        {"probs": [0.25, 0.25, 0.25, 0.25]},
        {"probs": [0.7, 0.1, 0.1, 0.1]},
        {"probs": [1.0, 0.0, 0.0, 0.0]},
        {"probs": [0.5, 0.5, 0.0, 0.0]},
        {"probs": [1.0 - 3e-12, 1e-12, 1e-12, 1e-12]},
        {"probs": [1e-300, 1.0, 1e-20, 1e-8]},
        {"probs": [0.25 + 1e-9, 0.25 - 1e-9, 0.25, 0.25]},
    ],
}
