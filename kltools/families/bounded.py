"""Distributions on [0, 1]: continuous Bernoulli and Kumaraswamy."""

import math
from typing import Any

import numpy as np

from .._affinity import tilt_log_affinity
from .._formula import Formula
from .._gamma_ratio import log_beta
from .._jit import jit
from .._odds import ByProbability, log_odds, log_odds_difference
from .._parameters import param
from .._scalar import LOG_2PI, NODES, expm1_minus_x, half_ratio_excess, standard_difference
from .._stirling import digamma_change, kl_beta
from .._tilt import log_width_beyond, mean_tilt, tilt_excess, tilted_entropy, tilted_mean, tilted_variance
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..relatives import register_relative

_NEAR = 0.05  # a divergence below it is that of densities that are much alike
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = 1e-22, 80.0  # what lies beyond is nothing, for densities that are alike too
_DIGITS = 39.0  # -log of a share that no digit shows

# ---------------------------------------------------------------- families


@family
class ContinuousBernoulli(ByProbability):
    r"""Distribution on [0, 1] with a density that is an exponential function.

    .. math:: p(x) = C \, \mathrm{probs}^x (1 - \mathrm{probs})^{1 - x}, \quad 0 \le x \le 1

    With probs = 1/2 it is uniform; probs is not its mean.

    Parameters
    ----------
    probs : array-like
        Between 0 and 1, both excluded. ``from_logits`` keeps 1 - probs as well, where probs is nearly 1.

    References
    ----------
    G. Loaiza-Ganem and J. P. Cunningham (2019), The continuous Bernoulli, eq. 7.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.ContinuousBernoulli(probs=0.9), kl.ContinuousBernoulli(probs=0.5)).__round__(4)
    0.1796
    """

    probs: Any = param("open probability")

    @property
    def _logits(self) -> np.ndarray:
        return _log_odds(self.probs, self.one_minus_probs)

    def _support(self) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _bulk(self) -> tuple[Any, Any]:
        return _tilted_mean(self._logits), np.sqrt(_tilted_variance(self._logits))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _log_tilted(x, self._logits)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _tilted_quantile(rng.random(shape), self._logits)

    def _entropy(self) -> np.ndarray:
        return _tilted_entropy(self._logits)


@family
class Kumaraswamy(Distribution):
    r"""Distribution on [0, 1] whose quantiles have a formula.

    .. math:: p(x) = \alpha \beta \, x^{\alpha - 1} (1 - x^\alpha)^{\beta - 1}

    Its divergence from a `Beta` takes the mean of log(1 - x), an integral that a fixed rule gives to the last digits.

    Parameters
    ----------
    alpha, beta : array-like, > 0

    References
    ----------
    P. Kumaraswamy (1980), A generalized probability density function for double-bounded random processes, eq. 3.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Kumaraswamy(alpha=2.0, beta=3.0)
    >>> p.entropy().__round__(4)
    -0.2084
    >>> kl.kl_divergence(p, kl.Uniform(low=0, high=1)).__round__(4)
    0.2084
    """

    alpha: Any = param("positive")
    beta: Any = param("positive")

    def _support(self) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _bulk(self) -> tuple[Any, Any]:
        return 0.5, 0.5

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _log_kumaraswamy(x, self.alpha, self.beta)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(over="ignore", divide="ignore"):
            log_power = np.log(-np.expm1(-rng.standard_exponential(shape) / self.beta))
            return np.exp(log_power / self.alpha)

    def _entropy(self) -> np.ndarray:
        return _kumaraswamy_entropy(self.alpha, self.beta)


# ---------------------------------------------------------------- densities and entropies


_log_odds = Formula(log_odds)
_tilted_mean = Formula(tilted_mean)
_tilted_variance = Formula(tilted_variance)
_tilted_entropy = Formula(tilted_entropy)


@Formula
def _log_tilted(x, logit):
    if math.isnan(x):
        return x
    return -mean_tilt(logit, x, 1.0 - x, 0.5 - x) if 0.0 <= x <= 1.0 else -math.inf


@Formula
def _tilted_quantile(fraction, logit):
    """For a fraction < 1, from the end where the density is largest."""
    rate = abs(logit)
    if rate == 0.0:
        return fraction
    x = -math.log1p(fraction * math.expm1(-rate)) / rate
    return 1.0 - x if logit > 0.0 else x


@Formula
def _log_kumaraswamy(x, alpha, beta):
    if math.isnan(x):
        return x
    if not 0.0 <= x <= 1.0:
        return -math.inf
    at_0, at_1 = 0.0, 0.0
    if alpha != 1.0:
        at_0 = (alpha - 1.0) * math.log(x) if x > 0.0 else (1.0 - alpha) * math.inf
    if beta != 1.0:
        rest = -math.expm1(alpha * math.log(x)) if x > 0.0 else 1.0
        at_1 = (beta - 1.0) * math.log(rest) if rest > 0.0 else (1.0 - beta) * math.inf
    return math.log(alpha) + math.log(beta) + at_0 + at_1


@Formula
def _kumaraswamy_entropy(alpha, beta):
    return -_negative_entropy(alpha, beta)


@jit
def _negative_entropy(alpha, beta):
    """log(alpha beta) - (1 - 1/beta) - (1 - 1/alpha) H(beta) with a harmonic number H; >= 0, 0 where p is uniform."""
    excess = 2.0 * half_ratio_excess(1.0, beta)
    if alpha < 0.5:
        return excess + math.log(alpha) + (1.0 - alpha) / alpha * digamma_change(beta, 1.0, 1.0 + beta)
    interaction = (alpha - 1.0) / alpha * digamma_change(beta - 1.0, 2.0, beta + 1.0)
    return excess + 2.0 * half_ratio_excess(1.0, alpha) - interaction


# ---------------------------------------------------------------- closed forms: Kumaraswamy


@register_kl(Kumaraswamy, "Uniform")
def kl_kumaraswamy_uniform(alpha_p, beta_p, low_q, high_q):
    """log(width) minus the entropy, for an interval that contains [0, 1]."""
    return _negative_entropy(alpha_p, beta_p) + log_width_beyond(low_q, high_q)


@register_kl(Kumaraswamy, "Beta")
def kl_kumaraswamy_beta(alpha_p, beta_p, alpha_q, beta_q):
    """Means of logarithms; where p and q nearly agree, the mean of q/p - 1 - log(q/p), which cannot cancel."""
    if alpha_p == 1.0 or beta_p == 1.0:
        return kl_beta(alpha_p, beta_p, alpha_q, beta_q)
    constant = -(math.log(alpha_p) + math.log(beta_p) + log_beta(alpha_q, beta_q))
    gap, excess = _means_over_kumaraswamy(alpha_p, beta_p, alpha_q, beta_q, constant)
    of_alpha = (alpha_q - alpha_p) / alpha_p * digamma_change(beta_p, 1.0, 1.0 + beta_p)
    of_beta = (beta_q - beta_p) / beta_p - (beta_q - 1.0) * gap
    divergence = of_alpha + of_beta - constant
    return divergence if divergence > _NEAR else excess


@jit
def _means_over_kumaraswamy(alpha, beta, alpha_q, beta_q, constant):
    """Means of log((1 - x) / (1 - x^alpha)) and of q/p - 1 - log(q/p), for a `constant` of the logarithm.

    -beta log(1 - x^alpha) is exponential, and has a scale of its own to which panels are fitted: doubling ones, for
    functions of its logarithm, but steps of 1 up to where x cannot be told from 1.
    """
    gap = excess = 0.0
    last, steepest = _LARGEST_EXPONENT / beta, max(1.0, _DIGITS - math.log(alpha))
    low = _SMALLEST_EXPONENT / beta
    while low < last:
        high = min(last, low + 1.0 if 1.0 <= low < steepest else 2.0 * low)
        for node, share in NODES:
            t = low + (high - low) * node
            weight = (high - low) * share * beta * math.exp(-beta * t)
            log_power = math.log(-math.expm1(-t)) if t < 0.7 else math.log1p(-math.exp(-t))
            log_gap = _log_gap(alpha, log_power, t)
            gap += weight * log_gap
            moved = (alpha_q - alpha) * (log_power / alpha) - (beta_q - beta) * t + (beta_q - 1.0) * log_gap
            excess += weight * expm1_minus_x(constant + moved) if weight > 0.0 else 0.0
        low = high
    return gap, excess


@jit
def _log_gap(alpha, log_power, t):
    """log((1 - x) / (1 - x^alpha)) from the logarithm of x^alpha and t = -log(1 - x^alpha)."""
    log_x = log_power / alpha
    if min(log_x, log_power) > -1e-17:  # its limit, for t may be far beyond what has an exponential
        return -math.log(alpha)
    step = (alpha - 1.0) * log_x
    if abs(step) < 0.5:
        return -math.log1p(math.exp(log_x) * (math.expm1(step) / math.expm1(log_x)))
    return math.log(-math.expm1(log_x)) + t


# ---------------------------------------------------------------- closed forms: from tilted distributions on [0, 1]


@register_kl(ContinuousBernoulli, "Uniform")
def kl_continuous_bernoulli_uniform(probs_p, one_minus_probs_p, low_q, high_q):
    """log(width) minus the entropy, for an interval that contains [0, 1]."""
    return log_width_beyond(low_q, high_q) - tilted_entropy(log_odds(probs_p, one_minus_probs_p))


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def kl_continuous_bernoulli_continuous_bernoulli(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q):
    """Bregman divergence of the log-partition function, in the logits."""
    difference = log_odds_difference(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q)
    return tilt_excess(difference, log_odds(probs_p, one_minus_probs_p), log_odds(probs_q, one_minus_probs_q))


@register_kl(ContinuousBernoulli, "Exponential")
def kl_continuous_bernoulli_exponential(probs_p, one_minus_probs_p, rate_q):
    """rate E(x) - log(rate) minus the entropy; with logits far below 0 p is nearly exponential itself."""
    logit = log_odds(probs_p, one_minus_probs_p)
    if logit > -1.0:
        return rate_q * tilted_mean(logit) - math.log(rate_q) - tilted_entropy(logit)
    beyond = math.exp(logit)  # what an exponential distribution of rate -logit has beyond 1
    rest = (rate_q + logit) * (beyond / (1.0 - beyond))
    return 2.0 * half_ratio_excess(rate_q, -logit) - math.log1p(-beyond) - rest


@register_kl(ContinuousBernoulli, "Normal")
def kl_continuous_bernoulli_normal(probs_p, one_minus_probs_p, mean_q, var_q):
    """That of normal distributions of the same moments, and what p has less entropy than its moments allow."""
    logit = log_odds(probs_p, one_minus_probs_p)
    var = tilted_variance(logit)
    if logit > 0.0:
        shift = standard_difference(1.0 - mean_q, tilted_mean(-logit), math.sqrt(var_q))
    else:
        shift = standard_difference(tilted_mean(logit), mean_q, math.sqrt(var_q))
    negentropy = 0.5 * (1.0 + LOG_2PI + math.log(var)) - tilted_entropy(logit)
    return half_ratio_excess(var, var_q) + 0.5 * shift * shift + negentropy


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", ContinuousBernoulli, ContinuousBernoulli)
def log_affinity_continuous_bernoulli(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q, alpha):
    """Gap of Jensen's inequality for the log-partition function, in the logits."""
    difference = log_odds_difference(probs_p, one_minus_probs_p, probs_q, one_minus_probs_q)
    return tilt_log_affinity(
        difference, log_odds(probs_p, one_minus_probs_p), log_odds(probs_q, one_minus_probs_q), alpha
    )
