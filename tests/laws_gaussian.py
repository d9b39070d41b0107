"""Gaussians, their mixtures, and categories: examples, and the laws of SciPy that they must agree with."""

from types import SimpleNamespace

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
