"""Distributions made of others: examples, and laws that are put together from those of SciPy."""

from types import SimpleNamespace

import numpy as np
from scipy import stats
from scipy.special import logsumexp

import kltools as kl


def independent(rng, batch):
    return kl.Independent(kl.Normal(mean=rng.normal(size=(*batch, 3)), var=rng.gamma(3.0, size=(*batch, 3))), 1)


def product(rng, batch):
    factor = rng.normal(size=(*batch, 2, 4))
    pair = kl.MultivariateNormal(mean=rng.normal(size=(*batch, 2)), cov=factor @ np.swapaxes(factor, -1, -2))
    return kl.Product(kl.Normal(mean=rng.normal(size=batch), var=rng.gamma(3.0, size=batch)), pair)


def transformed(rng, batch):
    base = kl.Normal(mean=0.3 * rng.normal(size=batch), var=0.1 * rng.gamma(3.0, size=batch))
    return kl.Transformed(base, kl.maps.Exp())


def mixture(rng, batch):
    """The last of its components has no weight."""
    weights = np.concatenate([rng.dirichlet(np.ones(3), size=batch), np.zeros((*batch, 1))], axis=-1)
    components = kl.Gamma(shape=1.0 + rng.gamma(3.0, size=(*batch, 4)), rate=rng.gamma(3.0, size=(*batch, 4)))
    return kl.Mixture(weights=weights, components=components)


class MixtureLaw:
    """A mixture of gamma distributions of SciPy."""

    def __init__(self, p):
        self.weights = p.weights
        self.laws = [stats.gamma(a, scale=1.0 / b) for a, b in zip(p.components.shape, p.components.rate, strict=True)]

    def _sum(self, function):
        return sum(weight * function(law) for weight, law in zip(self.weights, self.laws, strict=True))

    def logpdf(self, x):
        return logsumexp([law.logpdf(x) for law in self.laws], axis=0, b=self.weights.reshape(-1, *[1] * np.ndim(x)))

    def mean(self):
        return self._sum(lambda law: law.mean())

    def var(self):
        return self._sum(lambda law: law.var() + (law.mean() - self.mean()) ** 2)

    def cdf(self, x):
        return self._sum(lambda law: law.cdf(x))

    def support(self):
        return 0.0, np.inf

    def rvs(self, size, random_state):
        counts = random_state.multinomial(size, self.weights)
        parts = zip(self.laws, counts, strict=True)
        return np.concatenate([law.rvs(count, random_state=random_state) for law, count in parts])


class GaussianLaw:
    """Independent numbers beside a Gaussian pair: all a Gaussian with blocks for a covariance."""

    def __init__(self, mean, blocks):
        d = len(mean)
        covariance, start = np.zeros((d, d)), 0
        for block in map(np.atleast_2d, blocks):
            stop = start + len(block)
            covariance[start:stop, start:stop] = block
            start = stop
        self.mean, self.cov_object = mean, SimpleNamespace(covariance=covariance)
        law = stats.multivariate_normal(mean, covariance)
        self.logpdf, self.rvs, self.entropy = law.logpdf, law.rvs, law.entropy


def product_law(p):
    one, two = p.components
    return GaussianLaw(np.append(one.mean, two.mean), [one.var, two.cov])


EXAMPLES = {
    kl.Independent: independent,
    kl.Mixture: mixture,
    kl.Product: product,
    kl.Transformed: transformed,
}
ORACLES = {
    kl.Independent: lambda p: GaussianLaw(p.base.mean, list(p.base.var)),
    kl.Mixture: MixtureLaw,
    kl.Product: product_law,
    kl.Transformed: lambda p: stats.lognorm(s=float(p.base.var) ** 0.5, scale=np.exp(float(p.base.mean))),
}
WITHOUT_ENTROPY = {kl.Mixture, kl.Transformed}
