"""Distributions of counts."""

import math
from typing import Any

import numpy as np

from .._affinity import power_excess, two_outcomes_log_affinity
from .._counting import at_counts, check_drawable, cross_entropy_of_counts, entropy_of_counts
from .._formula import Formula
from .._jit import jit
from .._odds import ByProbability, probability_difference
from .._parameters import param
from .._scalar import x_minus_log1p
from .._stirling import log_factorial_remainder, mass_excess, product_difference
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..relatives import log_sum_of_powers, register_relative

# ---------------------------------------------------------------- families


@family
class Bernoulli(ByProbability):
    r"""Distribution of 0 and 1.

    .. math:: P(1) = \mathrm{probs}, \quad P(0) = 1 - \mathrm{probs}

    Parameters
    ----------
    probs : array-like
        Probability of 1, from 0 to 1. ``from_logits`` keeps 1 - probs as well, where probs is nearly 1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Bernoulli(probs=0.9), kl.Bernoulli(probs=0.5)).__round__(4)
    0.3681
    >>> kl.kl_divergence(kl.Bernoulli(probs=0.5), kl.Bernoulli(probs=1.0))
    inf
    """

    scipy_name = "bernoulli"
    is_continuous = False
    probs: Any = param("probability")

    def _support(self) -> tuple[Any, Any]:
        return np.where(self.one_minus_probs > 0, 0.0, 1.0), np.where(self.probs > 0, 1.0, 0.0)

    def _bulk(self) -> tuple[Any, Any]:
        return self.probs, 1.0

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return at_counts(
                x, np.select([x == 0, x == 1], [np.log(self.one_minus_probs), np.log(self.probs)], -np.inf)
            )

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.where(rng.random(shape) < self.probs, 1.0, 0.0)

    def _entropy(self) -> np.ndarray:
        return _bernoulli_entropy(self.probs, self.one_minus_probs)


@family
class Binomial(Distribution):
    r"""Number of successes among n independent trials.

    .. math:: P(x) = \binom{n}{x} \, \mathrm{probs}^x (1 - \mathrm{probs})^{n - x}, \quad x = 0, \dots, n

    Two of them have a closed form where their n agree. The entropy is a sum over the counts, to 1e-12.

    Parameters
    ----------
    n : array-like
        Number of trials, a whole number >= 0.
    probs : array-like
        Probability of a success, from 0 to 1.

    Raises
    ------
    NoClosedFormError
        By `kl_divergence` where n of p is less than n of q.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Binomial(n=10, probs=0.9), kl.Binomial(n=10, probs=0.5)).__round__(4)
    3.6806
    """

    scipy_name = "binom"
    is_continuous = False
    n: Any = param("count")
    probs: Any = param("probability")

    def _support(self) -> tuple[Any, Any]:
        return np.where(self.probs < 1, 0.0, self.n), np.where(self.probs > 0, self.n, 0.0)

    def _bulk(self) -> tuple[Any, Any]:
        mean = self.n * self.probs
        return mean, 1.0 + np.sqrt(mean * (1.0 - self.probs))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return at_counts(x, _log_binomial(x, self.n, self.probs))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        check_drawable(self.n, self)
        return rng.binomial(self.n.astype(np.int64), self.probs, size=shape).astype(np.float64)

    def _entropy(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return entropy_of_counts(self, np.log(self.n * self.probs * (1.0 - self.probs)))


@family
class Poisson(Distribution):
    r"""Number of independent events that are expected at a rate.

    .. math:: P(x) = \frac{\mathrm{rate}^x}{x!} \, e^{-\mathrm{rate}}, \quad x = 0, 1, 2, \dots

    Its entropy is a sum over the counts, to 1e-12.

    Parameters
    ----------
    rate : array-like, >= 0
        Mean number of events.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Poisson(rate=2.0), kl.Poisson(rate=1.0)).__round__(4)
    0.3863
    >>> kl.kl_divergence(kl.Poisson(rate=1.0), kl.Poisson(rate=0.0))
    inf
    """

    scipy_name = "poisson"
    is_continuous = False
    rate: Any = param("nonnegative")

    def _support(self) -> tuple[Any, Any]:
        return 0.0, np.where(self.rate > 0, np.inf, 0.0)

    def _bulk(self) -> tuple[Any, Any]:
        return self.rate, 1.0 + np.sqrt(self.rate)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return at_counts(x, _log_poisson(x, self.rate))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        check_drawable(self.rate, self)
        return rng.poisson(self.rate, size=shape).astype(np.float64)

    def _entropy(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return entropy_of_counts(self, np.log(self.rate))


@family
class Multinomial(Distribution):
    r"""Counts of K outcomes among n independent trials.

    .. math:: P(x) = \frac{n!}{x_1! \cdots x_K!} \prod_{k=1}^K \mathrm{probs}_k^{x_k}, \quad \sum_k x_k = n

    Distributions whose n differ have no draw in common, so that their divergence is inf. The entropy is a sum over the
    counts of each outcome, to 1e-12.

    Parameters
    ----------
    n : array-like
        Number of trials, a whole number >= 0.
    probs : array-like of shape (..., K)
        Probabilities of the outcomes, zeros allowed; they must sum to 1 (nothing is normalised).

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Multinomial(n=10, probs=[0.9, 0.1]), kl.Multinomial(n=10, probs=[0.5, 0.5])
    >>> kl.kl_divergence(p, q).__round__(4)
    3.6806
    """

    scipy_name = "multinomial"
    is_continuous = False
    n: Any = param("count")
    probs: Any = param("probabilities")

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...]:
        return events[1]

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        parts = at_counts(x, _log_multinomial_part(x, self.n[..., None], self.probs))
        fits = np.isnan(x).any(axis=-1) | (x.sum(axis=-1) == self.n)
        return np.where(fits, _log_factorial(self.n) + parts.sum(axis=-1), -np.inf)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        check_drawable(self.n, self)
        probs = self.probs / self.probs.sum(axis=-1, keepdims=True)  # NumPy wants a sum of 1 to the last digits
        return rng.multinomial(self.n.astype(np.int64), probs, size=shape).astype(np.float64)

    def _entropy(self) -> np.ndarray:
        """Sum over the outcomes of the cross-entropies of their counts from Poisson counts of the same means."""
        n = self.n[..., None]
        parts = cross_entropy_of_counts(Binomial(n=n, probs=self.probs), Poisson(rate=n * self.probs))
        return parts.sum(axis=-1) - _log_factorial(self.n)


# ---------------------------------------------------------------- log-probabilities and entropies


@Formula
def _bernoulli_entropy(probs, one_minus_probs):
    """-p log p - (1 - p) log(1 - p), each logarithm from the smaller of the two."""
    smaller, larger = min(probs, one_minus_probs), max(probs, one_minus_probs)
    if smaller == 0.0:
        return 0.0
    return -smaller * math.log(smaller) - larger * math.log1p(-smaller)


@Formula
def _log_binomial(x, n, probs):
    """By the deviance, as in C. Loader (2000), Fast and accurate computation of binomial probabilities."""
    if not 0.0 <= x <= n:
        return -math.inf
    ways = log_factorial_remainder(n) - log_factorial_remainder(x) - log_factorial_remainder(n - x)
    expected, excess = n * probs, product_difference(n, probs, x, 1.0)
    return ways - mass_excess(excess, x, expected) - mass_excess(-excess, n - x, n * (1.0 - probs))


@Formula
def _log_poisson(x, rate):
    if x < 0.0 or math.isinf(x):
        return -math.inf
    return -mass_excess(rate - x, x, rate) - log_factorial_remainder(x)


@Formula
def _log_multinomial_part(x, n, probs):
    if x < 0.0 or math.isinf(x):
        return -math.inf
    return -mass_excess(product_difference(n, probs, x, 1.0), x, n * probs) - log_factorial_remainder(x)


_log_factorial = Formula(log_factorial_remainder)


# ---------------------------------------------------------------- closed forms


@jit
def _kl_bernoulli(p, one_minus_p, q, one_minus_q):
    difference = probability_difference(p, one_minus_p, q, one_minus_q)
    return mass_excess(difference, p, q) + mass_excess(-difference, one_minus_p, one_minus_q)


@register_kl(Bernoulli, Bernoulli)
def kl_bernoulli_bernoulli(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q):
    """p log(p / q) - p + q for either outcome."""
    return _kl_bernoulli(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q)


@register_kl(Bernoulli, Poisson)
def kl_bernoulli_poisson(probs_p, one_minus_probs_p, rate_q):
    """[p log(p / rate) - p + rate] + [(1 - p) log(1 - p) + p]."""
    return mass_excess(rate_q - probs_p, probs_p, rate_q) + mass_excess(probs_p, one_minus_probs_p, 1.0)


@register_kl(Bernoulli, Binomial)
def kl_bernoulli_binomial(probs_p, one_minus_probs_p, n_q, probs_q):
    """[p log(p / (n q)) - p + n q] + [(1 - p) log((1 - p) / (1 - q)) + p - q] + (n - 1) [-log(1 - q) - q]."""
    if n_q == 0.0:
        return math.inf if probs_p > 0.0 else 0.0
    if n_q == 1.0:
        return _kl_bernoulli(probs_p, one_minus_probs_p, probs_q, 1.0 - probs_q)
    if probs_q == 1.0:
        return math.inf
    successes = mass_excess(product_difference(n_q, probs_q, probs_p, 1.0), probs_p, n_q * probs_q)
    failures = mass_excess(probs_p - probs_q, one_minus_probs_p, 1.0 - probs_q)
    return successes + failures + (n_q - 1.0) * x_minus_log1p(-probs_q)


@register_kl(Binomial, Bernoulli)
def kl_binomial_bernoulli(n_p, probs_p, probs_q, one_minus_probs_q):
    """A binomial count that is at most 1 is 1 with the probability n p."""
    if n_p > 1.0 and probs_p > 0.0:
        return math.inf
    p = probs_p if n_p == 1.0 else 0.0
    return _kl_bernoulli(p, 1.0 - p, probs_q, one_minus_probs_q)


def _equal_n(p: Binomial, q: Binomial) -> np.ndarray:
    """p and q have the same n."""
    return p.n == q.n


@register_kl(Binomial, Binomial, only_where=_equal_n)
def kl_binomial_binomial(n_p, probs_p, n_q, probs_q):
    """n times that of Bernoulli distributions, in mean counts, which do not underflow as early."""
    if n_p != n_q:
        return math.inf  # by what p counts beyond n_q: the condition keeps n_p < n_q away
    change = n_p * (probs_q - probs_p)
    successes = mass_excess(change, n_p * probs_p, n_p * probs_q)
    return successes + mass_excess(-change, n_p * (1.0 - probs_p), n_p * (1.0 - probs_q))


@register_kl(Poisson, Poisson)
def kl_poisson_poisson(rate_p, rate_q):
    """p log(p / q) - p + q."""
    return mass_excess(rate_q - rate_p, rate_p, rate_q)


@register_kl(Multinomial, Multinomial)
def kl_multinomial_multinomial(n_p, probs_p, n_q, probs_q):
    """n [p log(p / q) - p + q], summed over the outcomes; inf where n differ."""
    if n_p != n_q:
        return math.inf
    return mass_excess(n_p * (probs_q - probs_p), n_p * probs_p, n_p * probs_q)


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", Poisson, Poisson)
def log_affinity_poisson(rate_p, rate_q, alpha):
    """Minus a p + (1 - a) q - p^a q^(1 - a)."""
    return -power_excess(rate_q - rate_p, rate_p, rate_q, alpha)


@register_relative("log_affinity", Bernoulli, Bernoulli)
def log_affinity_bernoulli(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q, alpha):
    """Logarithm of the sum over both outcomes."""
    difference = probability_difference(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q)
    return two_outcomes_log_affinity(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q, difference, alpha)


@register_relative("log_affinity", Binomial, Binomial, only_where=_equal_n)
def log_affinity_binomial(n_p, probs_p, probs_q, alpha):
    """n times that of Bernoulli distributions."""
    if n_p == 0.0:
        return 0.0
    difference = probs_q - probs_p
    return n_p * two_outcomes_log_affinity(probs_p, 1.0 - probs_p, probs_q, 1.0 - probs_q, difference, alpha)


_power_excess = Formula(power_excess)


@register_relative("log_affinity", Multinomial, Multinomial)
def log_affinity_multinomial(p: Multinomial, q: Multinomial, *, alpha: float) -> np.ndarray:
    """n times that of one trial; distributions of different n have no draw in common."""
    excess = _power_excess.summed(q.probs - p.probs, p.probs, q.probs, alpha, n_axes=1)
    far = log_sum_of_powers(np.log(p.probs), np.log(q.probs), alpha)
    one = np.where((excess > -1e300) & (excess < 0.5), np.log1p(-np.minimum(excess, 0.5)), far)
    of_trials = np.where(p.n == 0.0, 0.0, p.n * one)
    return np.where(p.n == q.n, of_trials, math.copysign(math.inf, alpha - 1.0))
