"""Beta and Dirichlet distributions."""

import math
from typing import Any, ClassVar

import numpy as np

from .._arrays import frozen
from .._bridge import near_dirichlet_part
from .._formula import Formula, on_lanes
from .._jit import jit, run_rows
from .._odds import log_odds
from .._once import once
from .._parameters import param
from .._scalar import LOG_2PI, half_ratio_excess, x_minus_log1p
from .._special import (
    log_gamma_remainder,
    log_gamma_remainder_excess,
    product_excess,
    ratio_excess,
    remainder_excess,
)
from .._stirling import (
    digamma_change,
    digamma_remainder,
    dirichlet_part,
    kl_beta,
    late_stirling_slope,
    mass_excess,
    product_difference,
    rest_of_sum,
    stirling_slope,
    two_sum,
)
from .._tilt import log_width_beyond, mean_tilt
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..relatives import register_relative

_ASYMPTOTIC = 12.0


@family
class Beta(Distribution):
    r"""Beta distribution, on [0, 1].

    .. math:: p(x) = \frac{x^{\alpha - 1} (1 - x)^{\beta - 1}}{B(\alpha, \beta)}

    Parameters
    ----------
    alpha, beta : array-like, > 0

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Beta(alpha=2.0, beta=2.0), kl.Beta(alpha=1.0, beta=1.0)).__round__(4)
    0.1251
    """

    scipy_name = "beta"
    alpha: Any = param("positive")
    beta: Any = param("positive")

    def _support(self) -> tuple[Any, Any]:
        return 0.0, 1.0

    def _bulk(self) -> tuple[Any, Any]:
        share = self.alpha / (self.alpha + self.beta)
        return share, np.sqrt(share * (self.beta / (self.alpha + self.beta)) / (1.0 + self.alpha + self.beta))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _log_beta(x, self.alpha, self.beta)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.beta(self.alpha, self.beta, size=shape)

    def _entropy(self) -> np.ndarray:
        return _beta_entropy(self.alpha, self.beta)

    def _natural(self) -> tuple[np.ndarray, ...]:
        return self.alpha, self.beta

    @classmethod
    def _from_natural(cls, alpha: np.ndarray, beta: np.ndarray) -> dict[str, np.ndarray]:
        return {"alpha": alpha, "beta": beta}


@family
class Dirichlet(Distribution):
    r"""Distribution of K proportions that sum to 1.

    .. math:: p(x) = \frac{\Gamma(\sum_k a_k)}{\prod_k \Gamma(a_k)} \prod_{k=1}^K x_k^{a_k - 1}

    The density is that of the first K - 1 proportions; a point belongs to it where its K entries are >= 0 and sum
    to 1 (to 1e-6).

    Parameters
    ----------
    concentration : array-like of shape (..., K), > 0

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Dirichlet(concentration=[2.0, 3.0, 4.0]), kl.Dirichlet(concentration=[1.0, 1.0, 1.0])
    >>> kl.kl_divergence(p, q).__round__(4)
    0.6194
    """

    scipy_name = "dirichlet"
    _derived: ClassVar[dict[str, int]] = {"largest": 0, "others": 0, "others_rounding": 0}
    concentration: Any = param("positive", event_ndim=1)

    @once
    def _sums(self) -> tuple[np.ndarray, ...]:
        rows = frozen(np.ascontiguousarray(self.concentration).reshape(-1, self.event_shape[0]))
        sums = np.empty((3, len(rows)))
        run_rows(_largest_and_others, len(rows), rows, sums, row_cost=10 * rows.shape[1])
        return tuple(sums.reshape(3, *self.batch_shape))

    @property
    def largest(self) -> np.ndarray:
        """The largest entry of the concentration."""
        return self._sums[0]

    @property
    def others(self) -> np.ndarray:
        """The sum of the others."""
        return self._sums[1]

    @property
    def others_rounding(self) -> np.ndarray:
        """What rounding took from this sum."""
        return self._sums[2]

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        total = self.concentration.sum(axis=-1)
        parts = _log_dirichlet_part(x, self.concentration, total[..., None])
        inside = (x >= 0).all(axis=-1) & (np.abs(x.sum(axis=-1) - 1.0) <= 1e-6) & (parts > -np.inf).all(axis=-1)
        values = np.where(inside[..., None], parts, -np.inf).sum(axis=-1) + _log_gamma_remainder(total)
        return np.where(np.isnan(x).any(axis=-1), np.nan, values)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Gamma draws over their sum; from those of the shapes + 1, so that tiny shapes do not underflow together.

        Where the logarithms overflow as well, the largest draw is all there is.
        """
        draws = rng.standard_gamma(self.concentration + 1.0, size=shape + self.event_shape)
        waits = rng.standard_exponential(shape + self.event_shape)
        with np.errstate(over="ignore", invalid="ignore"):
            logs = np.log(draws) - waits / self.concentration
            top = logs.max(axis=-1, keepdims=True)
            shares = self.concentration / self.concentration.max(axis=-1, keepdims=True)
            largest = waits / shares == (waits / shares).min(axis=-1, keepdims=True)
            weights = np.where(np.isneginf(top), largest, np.exp(logs - top))
        return weights / weights.sum(axis=-1, keepdims=True)

    def _entropy(self) -> np.ndarray:
        total = self.concentration.sum(axis=-1)
        parts = _entropy_part_of(self.concentration).sum(axis=-1)
        return parts - _entropy_of_total_of(total, float(self.event_shape[0]))

    def _natural(self) -> tuple[np.ndarray, ...]:
        return (self.concentration,)

    @classmethod
    def _from_natural(cls, concentration: np.ndarray) -> dict[str, np.ndarray]:
        return {"concentration": concentration}


@jit
def _largest_and_others(start, stop, rows, sums):
    for row in range(start, stop):
        largest = others = rounding = 0.0
        for k in range(rows.shape[1]):
            others, lost = two_sum(others, min(largest, rows[row, k]))
            rounding += lost
            largest = max(largest, rows[row, k])
        sums[0, row], sums[1, row], sums[2, row] = largest, others, rounding


# ---------------------------------------------------------------- densities and entropies


@Formula
def _log_beta(x, alpha, beta):
    """By the deviance from the mean, so that large parameters lose no digits."""
    if math.isnan(x):
        return x
    if not 0.0 <= x <= 1.0:
        return -math.inf
    remainders = log_gamma_remainder(alpha) + log_gamma_remainder(beta) - log_gamma_remainder(alpha + beta)
    if x == 0.0 or x == 1.0:
        exponent = alpha if x == 0.0 else beta
        if exponent != 1.0:
            return math.inf if exponent < 1.0 else -math.inf
        return math.log(beta if x == 0.0 else alpha)
    total = alpha + beta
    excess = product_difference(beta, x, alpha, 1.0 - x)
    deviance = mass_excess(excess, alpha, total * x) + mass_excess(-excess, beta, total * (1.0 - x))
    return -deviance - remainders - math.log(x) - math.log1p(-x)


@Formula
def _log_dirichlet_part(x, own, total):
    if x > 0.0:
        return -mass_excess(total * x - own, own, total * x) - log_gamma_remainder(own) - math.log(x)
    if own != 1.0:
        return math.inf if own < 1.0 else -math.inf
    return math.log(total)


_log_gamma_remainder = Formula(log_gamma_remainder)


@Formula
def _beta_entropy(alpha, beta):
    return _entropy_part(alpha) + _entropy_part(beta) - _entropy_of_total(alpha + beta, 2.0)


@jit
def _entropy_part(own):
    return log_gamma_remainder(own) - (own - 1.0) * digamma_remainder(own) + math.log(own)


@jit
def _entropy_of_total(total, n):
    return log_gamma_remainder(total) - (total - n) * digamma_remainder(total) + n * math.log(total)


_entropy_part_of = Formula(_entropy_part)
_entropy_of_total_of = Formula(_entropy_of_total)


# ---------------------------------------------------------------- closed forms


@register_kl(Beta, Beta)
@on_lanes
def kl_beta_beta(alpha_p, beta_p, alpha_q, beta_q):
    """Bregman divergence of log B(alpha, beta)."""
    return kl_beta(alpha_p, beta_p, alpha_q, beta_q)


@register_kl(Dirichlet, Dirichlet)
@on_lanes
def kl_dirichlet_dirichlet(
    concentration_p,
    largest_p,
    others_p,
    others_rounding_p,
    concentration_q,
    largest_q,
    others_q,
    others_rounding_q,
):
    """Bregman divergence of the sum of lgamma(a_k) minus lgamma of their total, a part for each coordinate."""
    rest_p, rounding_p = rest_of_sum(concentration_p, largest_p, others_p, others_rounding_p)
    rest_q, rounding_q = rest_of_sum(concentration_q, largest_q, others_q, others_rounding_q)
    change_of_rest = (rest_q - rest_p) + (rounding_q - rounding_p)
    return dirichlet_part(concentration_p, rest_p, concentration_q, rest_q, change_of_rest)


@register_kl(Beta, "Uniform")
def kl_beta_uniform(alpha_p, beta_p, low_q, high_q):
    """log(width) minus the entropy, for an interval that contains [0, 1]."""
    return kl_beta(alpha_p, beta_p, 1.0, 1.0) + log_width_beyond(low_q, high_q)


@register_kl(Beta, "ContinuousBernoulli")
def kl_beta_continuous_bernoulli(alpha_p, beta_p, probs_q, one_minus_probs_q):
    """Minus the entropy, minus the log-density at the mean."""
    total = alpha_p + beta_p
    logit = log_odds(probs_q, one_minus_probs_q)
    tilt = mean_tilt(logit, alpha_p / total, beta_p / total, 0.5 * (beta_p - alpha_p) / total)
    return kl_beta(alpha_p, beta_p, 1.0, 1.0) + tilt


@register_kl(Beta, "Normal")
def kl_beta_normal(alpha_p, beta_p, mean_q, var_q):
    """That of normal distributions of the same moments, and what p has less entropy than its moments allow."""
    total = alpha_p + beta_p
    var = alpha_p / total * (beta_p / total) / (total + 1.0)
    shift = _excess_of_mean(alpha_p, beta_p, total, mean_q) / total / math.sqrt(var_q)
    return half_ratio_excess(var, var_q) + 0.5 * shift * shift + _negentropy(alpha_p, beta_p, total, var)


@jit
def _excess_of_mean(alpha, beta, total, mean):
    """alpha - mean (alpha + beta), with what rounding took from the total."""
    shared = total - alpha
    rounding = (alpha - (total - shared)) + (beta - shared)
    return product_difference(alpha, 1.0, mean, total) - mean * rounding


@jit
def _negentropy(alpha, beta, total, var):
    """Entropy of the normal distribution of the same variance, minus the entropy.

    For large parameters from Stirling's series, of which the terms up to 1 / total leave the squared skewness.
    """
    if min(alpha, beta) < _ASYMPTOTIC:
        entropy = _entropy_part(alpha) + _entropy_part(beta) - _entropy_of_total(total, 2.0)
        return 0.5 * (1.0 + LOG_2PI + math.log(var)) - entropy
    skewness = (alpha - beta) / total
    squares = (1.0 / (alpha * alpha) + 1.0 / (beta * beta) - 2.0 / (total * total)) / 12.0
    beyond = _late_part(alpha, 1.0) + _late_part(beta, 1.0) - _late_part(total, 2.0)
    return skewness * skewness * (1.0 / alpha + 1.0 / beta) / 3.0 + (
        0.5 * x_minus_log1p(1.0 / total) + squares - beyond
    )


@jit
def _late_part(x, n):
    """t(x) - (x - n) t'(x) of the terms t(x) = -1/(360 x^3) + 1/(1260 x^5) - ... of Stirling's series."""
    u = 1.0 / (x * x)
    value = -(1 / 360 - u * (1 / 1260 - u * (1 / 1680 - u * (1 / 1188 - u * 691 / 360360)))) * u / x
    return value - (x - n) * late_stirling_slope(x)


@register_kl(Beta, "Exponential")
def kl_beta_exponential(alpha_p, beta_p, rate_q):
    """rate E(x) - log(rate) minus the entropy, as for a Gamma distribution of shape 1."""
    return _kl_beta_gamma(alpha_p, beta_p, 1.0, rate_q)


@register_kl(Beta, "Gamma")
def kl_beta_gamma(alpha_p, beta_p, shape_q, rate_q):
    """Minus the entropy, minus the mean of the log-density."""
    return _kl_beta_gamma(alpha_p, beta_p, shape_q, rate_q)


@jit
def _kl_beta_gamma(alpha, beta, shape, rate):
    """With the total c: what shape differs from alpha, what rate alpha / c differs from shape, and what is left.

    The rest is small for a large beta, where p is nearly a Gamma distribution of shape alpha and rate beta.
    """
    total = alpha + beta
    excess = log_gamma_remainder_excess(alpha, shape) + product_excess(rate, alpha, 1.0, total, shape)
    lost = remainder_excess(-alpha, total, beta)
    if beta < _ASYMPTOTIC:
        change = beta * math.log1p(alpha / beta) - (beta - 1.0) * digamma_change(alpha, beta, total)
        return excess + (shape * digamma_remainder(total) + change - lost)
    rest = ratio_excess(-alpha, total, beta) - lost + 0.5 * (alpha / beta / total + (alpha - shape) / total)
    slopes = shape * stirling_slope(total) + (beta - 1.0) * _slope_difference(alpha, beta, total)
    return excess + (rest + slopes)


@jit
def _slope_difference(alpha, beta, total):
    """stirling_slope(beta) - stirling_slope(total), the first term without cancellation."""
    first = -alpha * (1.0 / beta + 1.0 / total) / (12.0 * beta * total)
    return first + (late_stirling_slope(beta) - late_stirling_slope(total))


# ---------------------------------------------------------------- affinities


@register_relative("near_log_affinity", Beta, Beta)
def near_log_affinity_beta(alpha_p, beta_p, alpha_q, beta_q, alpha):
    changes = alpha_p - alpha_q, beta_p - beta_q
    of_alpha = near_dirichlet_part(alpha_q, beta_q, changes[0], changes[1], alpha)
    return of_alpha + near_dirichlet_part(beta_q, alpha_q, changes[1], changes[0], alpha)


@register_relative("near_log_affinity", Dirichlet, Dirichlet)
def near_log_affinity_dirichlet(
    concentration_p,
    largest_p,
    others_p,
    others_rounding_p,
    concentration_q,
    largest_q,
    others_q,
    others_rounding_q,
    alpha,
):
    rest_p, rounding_p = rest_of_sum(concentration_p, largest_p, others_p, others_rounding_p)
    rest_q, rounding_q = rest_of_sum(concentration_q, largest_q, others_q, others_rounding_q)
    change_of_rest = (rest_p - rest_q) + (rounding_p - rounding_q)
    return near_dirichlet_part(concentration_q, rest_q, concentration_p - concentration_q, change_of_rest, alpha)
