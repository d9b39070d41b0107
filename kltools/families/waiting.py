"""Distributions of the number of failures before a success."""

import math
from typing import Any

import numpy as np

from .._affinity import waiting_log_affinity
from .._counting import at_counts, check_drawable, entropy_of_counts
from .._formula import Formula
from .._jit import jit
from .._parameters import param
from .._special import log_gamma_remainder, ratio_excess
from .._stirling import log_factorial_remainder, mass_excess, product_difference
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError
from ..relatives import register_relative

_LARGEST = np.finfo(np.float64).max


@family
class Geometric(Distribution):
    r"""Number of failures before the first success.

    .. math:: P(x) = \mathrm{probs} \, (1 - \mathrm{probs})^x, \quad x = 0, 1, 2, \dots

    SciPy's ``geom`` counts the trials instead, one more than the failures.

    Parameters
    ----------
    probs : array-like
        Probability of a success, > 0 and up to 1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Geometric(probs=0.5), kl.Geometric(probs=0.25)).__round__(4)
    0.2877
    """

    is_continuous = False
    probs: Any = param("probability")

    def _prepare(self) -> None:
        _check_possible(self)

    def _support(self) -> tuple[Any, Any]:
        return 0.0, np.where(self.probs < 1, np.inf, 0.0)

    def _bulk(self) -> tuple[Any, Any]:
        return _failures(1.0, self.probs)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return at_counts(x, _log_geometric(x, self.probs))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(divide="ignore", over="ignore"):
            return np.floor(rng.standard_exponential(shape) / -np.log1p(-self.probs))

    def _entropy(self) -> np.ndarray:
        return _geometric_entropy(self.probs)


@family
class NegativeBinomial(Distribution):
    r"""Number of failures before the r-th success.

    .. math:: P(x) = \frac{\Gamma(r + x)}{\Gamma(r) \, x!} \, \mathrm{probs}^r (1 - \mathrm{probs})^x,
        \quad x = 0, 1, 2, \dots

    Two of them have a closed form where their r agree. The entropy is a sum over the counts, to 1e-12.

    Parameters
    ----------
    r : array-like
        Number of successes to wait for; any real number > 0.
    probs : array-like
        Probability of a success, > 0 and up to 1.

    Raises
    ------
    NoClosedFormError
        By `kl_divergence` where r of p and of q differ, and by ``entropy()`` where the counts that weigh anything are
        more than 2**24 and no smooth curve: r below about 60, probs below 1e-5.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.NegativeBinomial(r=3, probs=0.5), kl.NegativeBinomial(r=3, probs=0.25)
    >>> kl.kl_divergence(p, q).__round__(4)
    0.863
    """

    scipy_name = "nbinom"
    is_continuous = False
    r: Any = param("positive")
    probs: Any = param("probability")

    def _prepare(self) -> None:
        _check_possible(self)

    def _support(self) -> tuple[Any, Any]:
        return 0.0, np.where(self.probs < 1, np.inf, 0.0)

    def _bulk(self) -> tuple[Any, Any]:
        return _failures(self.r, self.probs)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return at_counts(x, _log_negative_binomial(x, self.r, self.probs))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(over="ignore"):
            rate = rng.standard_gamma(self.r, size=shape) * ((1.0 - self.probs) / self.probs)
        check_drawable(rate, self)
        return rng.poisson(rate, size=shape).astype(np.float64)

    def _entropy(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            log_variance = np.log(self.r) + np.log1p(-self.probs) - 2.0 * np.log(self.probs)
        return entropy_of_counts(self, log_variance, self.r > 1e20)


def _check_possible(distribution: Any) -> None:
    if not (distribution.probs > 0).all():
        raise InvalidParameterError(
            f"probs of {distribution._name} must be > 0: without any chance of a success the failures never end."
        )


def _failures(r: Any, probs: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard deviation of a number of failures, within float64."""
    with np.errstate(over="ignore"):
        mean = r * (1.0 - probs) / probs
        return np.minimum(mean, _LARGEST), 1.0 + np.minimum(np.sqrt(mean) / np.sqrt(probs), _LARGEST)


# ---------------------------------------------------------------- log-probabilities and entropies


@Formula
def _geometric_entropy(probs):
    """That of a Bernoulli distribution, divided by probs."""
    if probs == 1.0:
        return 0.0
    return -math.log(probs) - (1.0 - probs) * (math.log1p(-probs) / probs)


@Formula
def _log_geometric(x, probs):
    if x == 0.0:
        return math.log(probs)
    return -math.inf if probs == 1.0 else math.log(probs) + x * math.log1p(-probs)


@Formula
def _log_negative_binomial(x, r, probs):
    if x < 0.0 or math.isinf(x):
        return -math.inf
    trials = r + x
    ways = log_gamma_remainder(trials) - log_gamma_remainder(r) - log_factorial_remainder(x)
    shared = trials - r
    rounding = (r - (trials - shared)) + (x - shared)
    excess = product_difference(r, 1.0, probs, trials) - probs * rounding  # of the successes over those expected
    return ways - mass_excess(-excess, r, trials * probs) - mass_excess(excess, x, trials * (1.0 - probs))


# ---------------------------------------------------------------- closed forms


@jit
def _kl_geometric(p, q):
    """That of Bernoulli distributions, divided by p, which may be tiny."""
    if q == 1.0 and p < 1.0:
        return math.inf
    difference = q - p
    return ratio_excess(difference, p, q) + mass_excess(-difference, 1.0 - p, 1.0 - q) / p


@register_kl(Geometric, Geometric)
def kl_geometric_geometric(probs_p, probs_q):
    """log(p / q) + (1 - p) / p log((1 - p) / (1 - q)), as the sum of two terms >= 0."""
    return _kl_geometric(probs_p, probs_q)


def _equal_r(p: NegativeBinomial, q: NegativeBinomial) -> np.ndarray:
    """p and q have the same r."""
    return p.r == q.r


def _waits_once(p: Any, q: Any) -> np.ndarray:
    """r of the NegativeBinomial is 1."""
    return (p if isinstance(p, NegativeBinomial) else q).r == 1.0


@register_kl(NegativeBinomial, NegativeBinomial, only_where=_equal_r)
def kl_negative_binomial_negative_binomial(r_p, probs_p, probs_q):
    """r times that of geometric distributions."""
    return r_p * _kl_geometric(probs_p, probs_q)


@register_kl(NegativeBinomial, Geometric, only_where=_waits_once)
def kl_negative_binomial_geometric(probs_p, probs_q):
    """With r = 1 both are geometric distributions."""
    return _kl_geometric(probs_p, probs_q)


@register_kl(Geometric, NegativeBinomial, only_where=_waits_once)
def kl_geometric_negative_binomial(probs_p, probs_q):
    """With r = 1 both are geometric distributions."""
    return _kl_geometric(probs_p, probs_q)


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", Geometric, Geometric)
@register_relative("log_affinity", NegativeBinomial, Geometric, only_where=_waits_once)
@register_relative("log_affinity", Geometric, NegativeBinomial, only_where=_waits_once)
def log_affinity_geometric(probs_p, probs_q, alpha):
    return waiting_log_affinity(probs_p, probs_q, alpha)


@register_relative("log_affinity", NegativeBinomial, NegativeBinomial, only_where=_equal_r)
def log_affinity_negative_binomial(r_p, probs_p, probs_q, alpha):
    """r times that of geometric distributions."""
    return r_p * waiting_log_affinity(probs_p, probs_q, alpha)
