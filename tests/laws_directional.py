"""Angles and directions: examples, the laws that they must agree with, and exact divergences."""

from types import SimpleNamespace

import numpy as np
from mpmath import mp
from scipy import integrate, special, stats

import kltools as kl

DIGITS = 700  # two concentrations may agree in 8 digits, or differ by 600 orders of magnitude
ASYMPTOTIC = 2000  # from here on Hankel's expansion has 700 digits


def directions(rng, batch, d=3):
    vectors = rng.normal(size=(*batch, d))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def on_sphere(cls):
    return lambda rng, batch: cls(mean_direction=directions(rng, batch), concentration=rng.gamma(3.0, size=batch))


class CircleLaw:
    """SciPy's von Mises law as one of numbers between -pi and pi."""

    def __init__(self, p):
        self.law = stats.vonmises(float(p.concentration), float(p.loc))
        self.logpdf, self.rvs, self.entropy = self.law.logpdf, self.law.rvs, self.law.entropy

    def support(self):
        return -np.pi, np.pi

    def mean(self):
        return integrate.quad(lambda x: x * self.law.pdf(x), -np.pi, np.pi)[0]

    def var(self):
        return integrate.quad(lambda x: (x - self.mean()) ** 2 * self.law.pdf(x), -np.pi, np.pi)[0]


class SphereLaw:
    """A law of unit vectors in three dimensions with log-density log_f(cos of the angle to the axis)."""

    def __init__(self, axis, log_f, rvs):
        self.axis, self.log_f, self.rvs = np.asarray(axis), log_f, rvs

    def logpdf(self, x):
        is_on_sphere = np.abs(np.linalg.norm(x, axis=-1) - 1.0) < 1e-6
        return np.where(is_on_sphere, self.log_f(np.clip(x @ self.axis, -1.0, 1.0)), -np.inf)

    def average(self, g):
        """With t = cos(angle), which takes the corner of a power at -1 away."""
        integrand = lambda a: np.exp(self.log_f(np.cos(a))) * g(np.cos(a)) * np.sin(a)
        return 2.0 * np.pi * integrate.quad(integrand, 0.0, np.pi, epsabs=1e-14, epsrel=1e-13, limit=500)[0]

    def mean(self):
        return self.average(lambda t: t) * self.axis

    @property
    def cov_object(self):
        square, outer = self.average(lambda t: t * t), np.outer(self.axis, self.axis)
        second = square * outer + 0.5 * (1.0 - square) * (np.eye(3) - outer)
        return SimpleNamespace(covariance=second - np.outer(self.mean(), self.mean()))

    def entropy(self):
        return self.average(lambda t: -self.log_f(t))

    def total_mass(self, p):
        """Of p, along a meridian."""
        side = np.linalg.svd(self.axis[None])[2][1]

        def density(t):
            return np.exp(p.log_prob(t * self.axis + np.sqrt(1.0 - t * t) * side))

        return 2.0 * np.pi * integrate.quad(density, -1.0, 1.0)[0]


def fisher_law(p):
    law = stats.vonmises_fisher(p.mean_direction, float(p.concentration))
    k = float(p.concentration)
    return SphereLaw(p.mean_direction, lambda t: np.log(k / (4.0 * np.pi * np.sinh(k))) + k * t, law.rvs)


def power_law(p):
    k = float(p.concentration)

    def rvs(size, random_state):
        t = 2.0 * stats.beta(1.0 + k, 1.0).rvs(size=size, random_state=random_state) - 1.0
        noise = random_state.normal(size=(size, 3))
        noise -= (noise @ p.mean_direction)[:, None] * p.mean_direction
        return t[:, None] * p.mean_direction + np.sqrt(1.0 - t * t)[:, None] * noise / np.linalg.norm(
            noise, axis=1, keepdims=True
        )

    constant = np.log((1.0 + k) / (np.pi * 2.0 ** (2.0 + k)))
    return SphereLaw(p.mean_direction, lambda t: constant + special.xlog1py(k, t), rvs)


def uniform_law(p):
    return SphereLaw([1.0, 0.0, 0.0], lambda t: -np.log(4.0 * np.pi) + 0.0 * t, stats.uniform_direction(3).rvs)


EXAMPLES = {
    kl.VonMises: lambda rng, batch: kl.VonMises(
        loc=rng.uniform(-3.0, 3.0, size=batch), concentration=rng.gamma(3.0, size=batch)
    ),
    kl.VonMisesFisher: on_sphere(kl.VonMisesFisher),
    kl.PowerSpherical: on_sphere(kl.PowerSpherical),
    kl.HypersphericalUniform: lambda rng, batch: kl.HypersphericalUniform(dim=3)[None][np.zeros(batch, dtype=int)],
}

ORACLES = {
    kl.VonMises: CircleLaw,
    kl.VonMisesFisher: fisher_law,
    kl.PowerSpherical: power_law,
    kl.HypersphericalUniform: uniform_law,
}

WITHOUT_ENTROPY = set()


# ---------------------------------------------------------------- exact divergences, from their definitions


def exact(function):
    """Of the parameters of p and q, with enough digits for any float64."""

    def divergence(p, q):
        with mp.workdps(DIGITS):
            return function(SimpleNamespace(**p), SimpleNamespace(**q))

    return divergence


def hankel_sum(order, x):
    """I_order(x) sqrt(2 pi x) exp(-x) for large x."""
    term, total, k = mp.mpf(1), mp.mpf(1), 0
    while abs(term) > mp.mpf(10) ** (-DIGITS - 9):
        k += 1
        term *= -(4 * order**2 - (2 * k - 1) ** 2) / (8 * k * x)
        total += term
    return total


def growth(order, x):
    """log of gamma(order + 1) (2/x)^order I_order(x); 0 at x = 0."""
    if x > ASYMPTOTIC:
        log_bessel = x - mp.log(2 * mp.pi * x) / 2 + mp.log(hankel_sum(order, x))
        return mp.loggamma(order + 1) + order * mp.log(2 / x) + log_bessel
    term, total, k = mp.mpf(1), mp.mpf(0), 0
    while k == 0 or term > total * mp.mpf(10) ** (-DIGITS - 9):
        k += 1
        term *= x**2 / (4 * k * (order + k))
        total += term
    return mp.log1p(total)


def mean_cosine(order, x):
    if x > ASYMPTOTIC:
        return hankel_sum(order + 1, x) / hankel_sum(order, x)
    return x / (2 * order + 2) * mp.exp(growth(order + 1, x) - growth(order, x))


def fisher_divergence(d, k_p, k_q, cosine):
    """E_p of k_p t - growth(k_p) - k_q x.m_q + growth(k_q)."""
    order = mp.mpf(d) / 2 - 1
    return mean_cosine(order, k_p) * (k_p - k_q * cosine) - growth(order, k_p) + growth(order, k_q)


def cosine(p, q):
    return mp.fsum(a * b for a, b in zip(p.mean_direction, q.mean_direction, strict=True)) / mp.sqrt(
        mp.fsum(a * a for a in p.mean_direction) * mp.fsum(b * b for b in q.mean_direction)
    )


def von_mises(p, q):
    return fisher_divergence(2, p.concentration, q.concentration, mp.cos(p.loc - q.loc))


def fisher_fisher(p, q):
    return fisher_divergence(len(p.mean_direction), p.concentration, q.concentration, cosine(p, q))


def power_moments(d, k):
    """E t, E log z, and the log of the mean of z^k over the sphere, where z = (1 + t) / 2 is a beta variable."""
    half = (mp.mpf(d) - 1) / 2
    log_mean = mp.loggamma(half + k) + mp.loggamma(2 * half) - mp.loggamma(half) - mp.loggamma(2 * half + k)
    return k / (2 * half + k), mp.digamma(half + k) - mp.digamma(2 * half + k), log_mean


def power_fisher(p, q):
    d = len(p.mean_direction)
    mean, mean_log, log_mean = power_moments(d, p.concentration)
    product = q.concentration * mean * cosine(p, q)
    return p.concentration * mean_log - log_mean - product + growth(mp.mpf(d) / 2 - 1, q.concentration)


def power_uniform(p, q):
    _, mean_log, log_mean = power_moments(q.dim, p.concentration)
    return p.concentration * mean_log - log_mean


def uniform_power(p, q):
    return power_moments(p.dim, q.concentration)[2] - q.concentration * power_moments(p.dim, mp.mpf(0))[1]


EXACT = {
    ("VonMises", "VonMises"): exact(von_mises),
    ("VonMisesFisher", "VonMisesFisher"): exact(fisher_fisher),
    ("PowerSpherical", "VonMisesFisher"): exact(power_fisher),
    ("VonMisesFisher", "HypersphericalUniform"): exact(
        lambda p, q: fisher_divergence(q.dim, p.concentration, mp.mpf(0), mp.mpf(0))
    ),
    ("PowerSpherical", "HypersphericalUniform"): exact(power_uniform),
    ("HypersphericalUniform", "VonMisesFisher"): exact(lambda p, q: growth(p.dim / 2 - 1, q.concentration)),
    ("HypersphericalUniform", "PowerSpherical"): exact(uniform_power),
    ("HypersphericalUniform", "HypersphericalUniform"): exact(lambda p, q: mp.mpf(0)),
}

_AXES = [[0.6, 0.0, 0.8], [0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.6, 0.0, -0.8]]
_CONCENTRATIONS = [0.0, 1e-200, 1e-8, 0.3, 2.0, 2.0 * (1.0 + 1e-8), 39.0, 45.0, 1e4, 1e12, 1e300]
_DIRECTED = [{"mean_direction": _AXES[i % 4], "concentration": k} for i, k in enumerate(_CONCENTRATIONS)]
GRID = {
    "VonMises": [
        {"loc": loc, "concentration": k}
        for k, loc in zip(_CONCENTRATIONS, [0.0, 1e-8, 3.1, 3.2, -3.0, -3.0, 0.5, 0.5, 1e5, 100.0, 1e-160], strict=True)
    ],
    "VonMisesFisher": _DIRECTED,
    "PowerSpherical": _DIRECTED,
    "HypersphericalUniform": [{"dim": 3.0}],
}
