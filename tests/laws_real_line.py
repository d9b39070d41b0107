"""Distributions on the real line: examples, the laws of SciPy that they must agree with, and exact divergences."""

from types import SimpleNamespace

from laws_gaussian import D, covariances
from mpmath import mp
from scipy import stats

import kltools as kl

DIGITS = 700  # two scales may agree in 8 digits, or differ by 600 orders of magnitude


def by_location(cls):
    return lambda rng, batch: cls(loc=rng.normal(size=batch), scale=rng.gamma(3.0, size=batch))


class MultivariateTLaw:
    """SciPy's, whose covariance and entropy of one law it does not name."""

    def __init__(self, p):
        self.df, self.mean = float(p.df), p.loc
        self.law = stats.multivariate_t(p.loc, p.scale_matrix, df=self.df)
        self.cov_object = SimpleNamespace(covariance=p.scale_matrix * self.df / (self.df - 2.0))
        self.logpdf, self.rvs, self.entropy = self.law.logpdf, self.law.rvs, self.law.entropy


EXAMPLES = {
    kl.Laplace: by_location(kl.Laplace),
    kl.Logistic: by_location(kl.Logistic),
    kl.Gumbel: by_location(kl.Gumbel),
    kl.Cauchy: by_location(kl.Cauchy),
    kl.StudentT: lambda rng, batch: kl.StudentT(
        df=8.0 + rng.gamma(3.0, size=batch), loc=rng.normal(size=batch), scale=rng.gamma(3.0, size=batch)
    ),
    kl.MultivariateStudentT: lambda rng, batch: kl.MultivariateStudentT(
        df=20.0 + rng.gamma(3.0, size=batch), loc=rng.normal(size=(*batch, D)), scale_matrix=covariances(rng, batch)
    ),
}

ORACLES = {
    kl.Laplace: lambda p: stats.laplace(float(p.loc), float(p.scale)),
    kl.Logistic: lambda p: stats.logistic(float(p.loc), float(p.scale)),
    kl.Gumbel: lambda p: stats.gumbel_r(float(p.loc), float(p.scale)),
    kl.Cauchy: lambda p: stats.cauchy(float(p.loc), float(p.scale)),
    kl.StudentT: lambda p: stats.t(float(p.df), float(p.loc), float(p.scale)),
    kl.MultivariateStudentT: MultivariateTLaw,
}

WITHOUT_ENTROPY = set()


# ---------------------------------------------------------------- exact divergences, from entropies and moments


def exact(function):
    """Of the parameters of p and q, with enough digits for any float64."""

    def divergence(p, q):
        with mp.workdps(DIGITS):
            return function(SimpleNamespace(**p), SimpleNamespace(**q))

    return divergence


def laplace_deviation(p, point):
    """E|x - point|, from its two exponential tails."""
    distance = abs(p.loc - point)
    return distance + p.scale * mp.exp(-distance / p.scale)


def laplace_laplace(p, q):
    return mp.log(2 * q.scale) + laplace_deviation(p, q.loc) / q.scale - 1 - mp.log(2 * p.scale)


def laplace_normal(p, q):
    square = 2 * p.scale**2 + (p.loc - q.mean) ** 2
    return mp.log(2 * mp.pi * q.var) / 2 + square / (2 * q.var) - 1 - mp.log(2 * p.scale)


def gumbel_entropy(p):
    return mp.log(p.scale) + mp.euler + 1


def gumbel_gumbel(p, q):
    mean = (p.loc + mp.euler * p.scale - q.loc) / q.scale
    exponential = mp.exp((q.loc - p.loc) / q.scale) * mp.gamma(1 + p.scale / q.scale)
    return mp.log(q.scale) + mean + exponential - gumbel_entropy(p)


def gumbel_normal(p, q):
    square = (mp.pi * p.scale) ** 2 / 6 + (p.loc + mp.euler * p.scale - q.mean) ** 2
    return mp.log(2 * mp.pi * q.var) / 2 + square / (2 * q.var) - gumbel_entropy(p)


def gumbel_laplace(p, q):
    """E|x - l| = E x - l + 2 E(l - x)_+, and the last is the integral of the distribution function up to l."""
    y = (q.loc - p.loc) / p.scale
    below = p.scale * (0 if y < -9 else mp.e1(mp.exp(-y)) if y < 1e6 else y - mp.euler)
    deviation = p.loc + mp.euler * p.scale - q.loc + 2 * below
    return mp.log(2 * q.scale) + deviation / q.scale - gumbel_entropy(p)


def normal_entropy(p):
    return mp.log(2 * mp.pi * mp.e * p.var) / 2


def normal_laplace(p, q):
    deviation = mp.sqrt(p.var)
    z = (p.mean - q.loc) / deviation
    mean = deviation * (mp.sqrt(2 / mp.pi) * mp.exp(-(z**2) / 2) + z * mp.erf(z / mp.sqrt(2)))
    return mp.log(2 * q.scale) + mean / q.scale - normal_entropy(p)


def normal_gumbel(p, q):
    z = (p.mean - q.loc) / q.scale
    return mp.log(q.scale) + z + mp.exp(p.var / (2 * q.scale**2) - z) - normal_entropy(p)


def cauchy_cauchy(p, q):
    return mp.log(((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2) / (4 * p.scale * q.scale))


EXACT = {
    ("Laplace", "Laplace"): exact(laplace_laplace),
    ("Laplace", "Normal"): exact(laplace_normal),
    ("Gumbel", "Gumbel"): exact(gumbel_gumbel),
    ("Gumbel", "Normal"): exact(gumbel_normal),
    ("Gumbel", "Laplace"): exact(gumbel_laplace),
    ("Normal", "Laplace"): exact(normal_laplace),
    ("Normal", "Gumbel"): exact(normal_gumbel),
    ("Cauchy", "Cauchy"): exact(cauchy_cauchy),
}

_LOCATIONS = [
    {"loc": 0.0, "scale": 1.0},
    {"loc": 1e-8, "scale": 1.0},
    {"loc": 0.0, "scale": 1.0 + 1e-8},
    {"loc": -3.0, "scale": 0.2},
    {"loc": 1e-3, "scale": 1e-6},
    {"loc": 40.0, "scale": 7.0},
    {"loc": -1e5, "scale": 1e5},
    {"loc": 0.0, "scale": 1e-250},
    {"loc": 1e100, "scale": 1e150},
    {"loc": 0.0, "scale": 1e300},
]
GRID = {name: _LOCATIONS for name in ("Laplace", "Gumbel", "Cauchy")}
