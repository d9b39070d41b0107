"""Families of one dimension for tests of what works for any family: written plainly, and not of the library."""

import math
from typing import Any

import numpy as np
from scipy import special

import kltools as kl
from kltools import Distribution, family, param, register_kl


class _Line(Distribution):
    def _support(self):
        return -math.inf, math.inf

    def _bulk(self):
        return self.loc, self.scale


@family
class Cauchy(_Line):
    loc: Any = param("real")
    scale: Any = param("positive")

    def _log_prob(self, x):
        return -np.log(np.pi * self.scale) - np.log1p(((x - self.loc) / self.scale) ** 2)


@family
class Student(Distribution):
    df: Any = param("positive")

    def _support(self):
        return -math.inf, math.inf

    def _bulk(self):
        return 0.0, 1.0

    def _log_prob(self, x):
        n = self.df
        constant = special.gammaln((n + 1) / 2) - special.gammaln(n / 2) - 0.5 * np.log(n * np.pi)
        return constant - (n + 1) / 2 * np.log1p(x * x / n)


@family
class Laplace(_Line):
    loc: Any = param("real")
    scale: Any = param("positive")

    def _log_prob(self, x):
        return -np.log(2 * self.scale) - np.abs(x - self.loc) / self.scale


@family
class Gumbel(_Line):
    loc: Any = param("real")
    scale: Any = param("positive")

    def _log_prob(self, x):
        z = (x - self.loc) / self.scale
        return -np.log(self.scale) - z - np.exp(-z)


@family
class LogNormal(Distribution):
    mean: Any = param("real")
    var: Any = param("positive")

    def _support(self):
        return 0.0, math.inf

    def _bulk(self):
        return np.exp(self.mean), np.exp(self.mean) * np.minimum(np.sqrt(self.var), 1.0)

    def _log_prob(self, x):
        log_x = np.log(x)
        return -((log_x - self.mean) ** 2) / (2 * self.var) - 0.5 * np.log(2 * np.pi * self.var) - log_x


@family
class Gamma(Distribution):
    shape: Any = param("positive")
    rate: Any = param("positive")

    def _support(self):
        return 0.0, math.inf

    def _bulk(self):
        return self.shape / self.rate, np.sqrt(self.shape) / self.rate

    def _log_prob(self, x):
        a, b = self.shape, self.rate
        inside = x > 0
        y = np.where(inside, x, 1.0)
        return np.where(inside, a * np.log(b) - special.gammaln(a) + (a - 1) * np.log(y) - b * y, -np.inf)

    def _natural(self):
        return self.shape, -self.rate

    @classmethod
    def _from_natural(cls, shape, negative_rate):
        return {"shape": shape, "rate": -negative_rate}


@register_kl(Gamma, Gamma)
def kl_gamma(p, q):
    a, b, c, d = p.shape, p.rate, q.shape, q.rate
    return (a - c) * special.digamma(a) - special.gammaln(a) + special.gammaln(c) + c * np.log(b / d) + a * (d - b) / b


@family
class Beta(Distribution):
    alpha: Any = param("positive")
    beta: Any = param("positive")

    def _support(self):
        return 0.0, 1.0

    def _bulk(self):
        mean = self.alpha / (self.alpha + self.beta)
        return mean, np.sqrt(mean * (1 - mean) / (self.alpha + self.beta + 1))

    def _log_prob(self, x):
        a, b = self.alpha, self.beta
        inside = (x > 0) & (x < 1)
        y = np.where(inside, x, 0.5)
        return np.where(inside, (a - 1) * np.log(y) + (b - 1) * np.log1p(-y) - special.betaln(a, b), -np.inf)


@family
class Uniform(Distribution):
    low: Any = param("real")
    high: Any = param("real")

    def _support(self):
        return self.low, self.high

    def _bulk(self):
        return 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)

    def _log_prob(self, x):
        return np.where((x >= self.low) & (x <= self.high), -np.log(self.high - self.low), -np.inf)


@family
class Exponential(Distribution):
    rate: Any = param("positive")

    def _support(self):
        return 0.0, math.inf

    def _bulk(self):
        return 1.0 / self.rate, 1.0 / self.rate

    def _log_prob(self, x):
        return np.where(x >= 0, np.log(self.rate) - self.rate * x, -np.inf)

    def _natural(self):
        return (-self.rate,)

    @classmethod
    def _from_natural(cls, negative_rate):
        return {"rate": -negative_rate}


@register_kl(Exponential, Exponential)
def kl_exponential(rate_p, rate_q):
    t = (rate_q - rate_p) / rate_p
    if abs(t) < 1e-4:
        return t * t * (0.5 - t * (1 / 3 - t * (0.25 - t * 0.2)))
    return t - math.log1p(t)


class _Counts(Distribution):
    is_continuous = False

    def _support(self):
        return 0.0, math.inf


@family
class Poisson(_Counts):
    rate: Any = param("nonnegative")

    def _bulk(self):
        return self.rate, np.sqrt(self.rate) + 1.0

    def _log_prob(self, x):
        return np.where(
            (x >= 0) & (x == np.floor(x)), special.xlogy(x, self.rate) - self.rate - special.gammaln(x + 1), -np.inf
        )

    def _natural(self):
        with np.errstate(divide="ignore"):
            return (np.log(self.rate),)

    @classmethod
    def _from_natural(cls, log_rate):
        return {"rate": np.exp(log_rate)}


@register_kl(Poisson, Poisson)
def kl_poisson(p, q):
    with np.errstate(all="ignore"):
        return np.where(p.rate > 0, p.rate * np.log(p.rate / q.rate) - p.rate + q.rate, q.rate)


@family
class Geometric(_Counts):
    probs: Any = param("open probability")

    def _bulk(self):
        return 1 / self.probs, 1 / self.probs

    def _log_prob(self, x):
        return np.where((x >= 0) & (x == np.floor(x)), np.log(self.probs) + x * np.log1p(-self.probs), -np.inf)


@family
class Twice(Geometric):
    """Probabilities that sum to 2."""

    def _log_prob(self, x):
        return super()._log_prob(x) + math.log(2.0)


@family
class Zeta(_Counts):
    """1 / (x + 1)^s."""

    s: Any = param("positive")

    def _bulk(self):
        return 0.0, 3.0

    def _log_prob(self, x):
        inside = (x >= 0) & (x == np.floor(x))
        return np.where(inside, -self.s * np.log1p(np.where(inside, x, 0.0)) - np.log(special.zeta(self.s)), -np.inf)


@family
class Shifted(_Line):
    """A standard normal law that tells a place where it is not."""

    loc: Any = param("real")
    scale: Any = param("positive")

    def _log_prob(self, x):
        return kl.Normal(mean=self.loc + 1e4 * self.scale, var=1e-6 * self.scale**2)._log_prob(x)
