"""Distributions made of others: examples, and laws that are put together from those of SciPy."""

from types import SimpleNamespace

import numpy as np
from scipy import stats

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


EXAMPLES = {kl.Independent: independent, kl.Product: product, kl.Transformed: transformed}
ORACLES = {
    kl.Independent: lambda p: GaussianLaw(p.base.mean, list(p.base.var)),
    kl.Product: product_law,
    kl.Transformed: lambda p: stats.lognorm(s=float(p.base.var) ** 0.5, scale=np.exp(float(p.base.mean))),
}
WITHOUT_ENTROPY = {kl.Transformed}
