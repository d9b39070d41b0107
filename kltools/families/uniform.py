"""The uniform distribution."""

import math
from typing import Any

import numpy as np

from .._formula import Formula
from .._jit import jit
from .._odds import log_odds
from .._parameters import param
from .._scalar import LOG_2PI, standard_difference
from .._special import log_gamma_remainder, log_ratio, product_excess
from .._stirling import kl_beta, log_mean_excess, mass_excess, product_difference
from .._tilt import mean_tilt
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError

_SMALLEST = np.finfo(np.float64).smallest_subnormal


@family
class Uniform(Distribution):
    r"""Distribution whose density is constant between two numbers.

    .. math:: p(x) = \frac{1}{\mathrm{high} - \mathrm{low}}, \quad \mathrm{low} \le x \le \mathrm{high}

    Parameters
    ----------
    low, high : array-like
        Ends of the interval, low < high.

    Raises
    ------
    InvalidParameterError
        Where low is not below high.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Uniform(low=0, high=1), kl.Uniform(low=0, high=2)).__round__(4)
    0.6931
    >>> kl.kl_divergence(kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1))
    inf
    """

    scipy_name = "uniform"
    low: Any = param("real")
    high: Any = param("real")

    def _prepare(self) -> None:
        bad = ~(self.low < self.high)
        if bad.any():
            low, high = (float(np.broadcast_to(a, bad.shape)[bad][0]) for a in (self.low, self.high))
            raise InvalidParameterError(f"low of Uniform must be < high of Uniform, got low={low!r}, high={high!r}.")

    def _support(self) -> tuple[Any, Any]:
        return self.low, self.high

    def _bulk(self) -> tuple[Any, Any]:
        reach = 0.5 * self.high - 0.5 * self.low
        return 0.5 * self.low + 0.5 * self.high, np.maximum(reach, _SMALLEST)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inside = (x >= self.low) & (x <= self.high)
        return np.where(np.isnan(x), np.nan, np.where(inside, -self._entropy(), -np.inf))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        fraction = rng.random(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            width = self.high - self.low
            half = 0.5 * self.low + (0.5 * self.high - 0.5 * self.low) * fraction
            draws = np.where(np.isinf(width), 2.0 * half, self.low + width * fraction)
        return np.minimum(draws, self.high)  # which a sum may exceed by rounding

    def _entropy(self) -> np.ndarray:
        return -_log_scale_over_width(1.0, self.low, self.high)


@jit
def _log_per_width(scale, low, high):
    """log(scale / (high - low)), also where the width or the ratio overflows."""
    width = high - low
    if math.isinf(width):
        return log_ratio(0.5 * scale, 0.5 * high - 0.5 * low)
    return log_ratio(scale, width)


_log_scale_over_width = Formula(_log_per_width)


# ---------------------------------------------------------------- closed forms


@register_kl(Uniform, Uniform)
def kl_uniform_uniform(low_p, high_p, low_q, high_q):
    """log of the ratio of the widths, from what q has beyond p at either end; inf where p reaches beyond q."""
    if low_p < low_q or high_p > high_q:
        return math.inf
    width = high_p - low_p
    if math.isinf(width):
        scale = 0.5 * high_p - 0.5 * low_p
        return math.log1p((0.5 * high_q - 0.5 * high_p) / scale + (0.5 * low_p - 0.5 * low_q) / scale)
    excess = (high_q - high_p) / width + (low_p - low_q) / width
    return (
        _log_per_width(1.0, low_p, high_p) - _log_per_width(1.0, low_q, high_q)
        if excess > 1e300
        else math.log1p(excess)
    )


@register_kl(Uniform, "Beta")
def kl_uniform_beta(low_p, high_p, alpha_q, beta_q):
    """-log(width) minus the mean of the log-density."""
    if low_p < 0.0 or high_p > 1.0:
        return math.inf
    width = high_p - low_p
    ends, other_ends = low_p + high_p, (1.0 - low_p) + (1.0 - high_p)  # twice the means of x and 1 - x
    if max(alpha_q, beta_q) <= 10.0:
        log_x = _mean_log_plus_1(low_p, high_p, 1.0 - high_p, width)
        log_rest = _mean_log_plus_1(1.0 - high_p, 1.0 - low_p, low_p, width)
        others = (alpha_q - 1.0) * log_x + (beta_q - 1.0) * log_rest
        return kl_beta(1.0, 1.0, alpha_q, beta_q) - _log_width(low_p, high_p) - others
    half = 0.5 * (alpha_q + beta_q)
    excess = 0.5 * product_difference(beta_q, ends, alpha_q, other_ends)  # of the total, times the mean, over alpha
    concentration = mass_excess(-excess, beta_q, half * other_ends)
    if half * ends > 1e-290:
        concentration += mass_excess(excess, alpha_q, half * ends)
    else:  # the product has few digits
        concentration += product_excess(half, ends, 1.0, 1.0, alpha_q)
    remainders = log_gamma_remainder(alpha_q) + log_gamma_remainder(beta_q) - log_gamma_remainder(2.0 * half)
    spread = (alpha_q - 1.0) * log_mean_excess(width / ends) + (beta_q - 1.0) * log_mean_excess(width / other_ends)
    return concentration + spread + remainders + math.log(0.25 * other_ends * (ends / width))


@jit
def _log_width(low, high):
    """log(high - low) of an interval within [0, 1], from what is missing there."""
    missing = (1.0 - high) + low
    return math.log1p(-missing) if missing < 0.5 else math.log(high - low)


@jit
def _mean_log_plus_1(low, high, one_minus_high, width):
    """E log(x) + 1, which is log(high) + low / width log(high / low); 0 for the interval from 0 to 1."""
    log_high = math.log1p(-one_minus_high) if one_minus_high < 0.5 else math.log(high)
    if low == 0.0:
        return log_high
    if width >= low:
        return log_high + log_ratio(high, low) * (low / width)
    t = width / low
    return log_high + (math.log1p(t) / t if t > 0.0 else 1.0)


@register_kl(Uniform, "ContinuousBernoulli")
def kl_uniform_continuous_bernoulli(low_p, high_p, probs_q, one_minus_probs_q):
    """-log(width) minus the log-density at the mean."""
    if low_p < 0.0 or high_p > 1.0:
        return math.inf
    mean, one_minus_mean = 0.5 * low_p + 0.5 * high_p, 0.5 * (1.0 - low_p) + 0.5 * (1.0 - high_p)
    tilt = mean_tilt(log_odds(probs_q, one_minus_probs_q), mean, one_minus_mean, 0.5 * (1.0 - high_p) - 0.5 * low_p)
    return tilt - _log_width(low_p, high_p)


@register_kl(Uniform, "Exponential")
def kl_uniform_exponential(low_p, high_p, rate_q):
    """rate E(x) - log(rate) - log(width), as for a Gamma distribution of shape 1."""
    return _kl_uniform_gamma(low_p, high_p, 1.0, rate_q)


@register_kl(Uniform, "Gamma")
def kl_uniform_gamma(low_p, high_p, shape_q, rate_q):
    """-log(width) minus the mean of the log-density."""
    return _kl_uniform_gamma(low_p, high_p, shape_q, rate_q)


@jit
def _kl_uniform_gamma(low, high, shape, rate):
    """Everything that is large for a large shape stands in one term >= 0, the excess of rate * mean over it."""
    if low < 0.0:
        return math.inf
    n = 2.0 if high < 1.0 else 1.0  # times the mean, which may be too small or too large for a float64
    mean = 0.5 * n * low + 0.5 * n * high
    excess = product_excess(rate, mean, 1.0, n, shape)
    spread = (shape - 1.0) * log_mean_excess(0.5 * n * (high - low) / mean)
    return excess + spread + log_gamma_remainder(shape) + log_ratio(mean, n * (high - low))


@register_kl(Uniform, "Pareto")
def kl_uniform_pareto(low_p, high_p, shape_q, scale_q):
    """(shape + 1) E log(x) - log(shape) - shape log(scale) - log(width)."""
    if low_p < scale_q:
        return math.inf
    width = high_p - low_p
    mean = low_p + 0.5 * width
    excess = log_mean_excess(0.5 * width / mean)
    beyond = 0.5 * ((low_p - scale_q) / scale_q) + 0.5 * ((high_p - scale_q) / scale_q)
    log_mean = math.log1p(beyond) if beyond < 1.0 else log_ratio(mean, scale_q)
    return shape_q * (log_mean - excess) - excess + log_ratio(mean / width, shape_q)


@register_kl(Uniform, "Normal")
def kl_uniform_normal(low_p, high_p, mean_q, var_q):
    """log(std / width) + log(2 pi) / 2 + (width^2 / 12 + (mean_p - mean_q)^2) / (2 var)."""
    std = math.sqrt(var_q)
    width = standard_difference(high_p, low_p, std)
    if math.isinf(width):
        return math.inf
    shift = 0.5 * standard_difference(low_p, mean_q, std) + 0.5 * standard_difference(high_p, mean_q, std)
    return _log_per_width(std, low_p, high_p) + 0.5 * (LOG_2PI + width * width / 12.0 + shift * shift)


@register_kl(Uniform, "Laplace")
def kl_uniform_laplace(low_p, high_p, loc_q, scale_q):
    """log(2 scale / width) + E|x - loc| / scale."""
    below, above = standard_difference(loc_q, low_p, scale_q), standard_difference(high_p, loc_q, scale_q)
    if math.isinf(below) or math.isinf(above):
        return math.inf
    if below > 0.0 and above > 0.0:
        half = 0.5 * below + 0.5 * above
        if math.isinf(half):
            return math.inf
        distance = 0.5 * (below * (0.5 * below / half) + above * (0.5 * above / half))
    else:
        distance = abs(0.5 * above - 0.5 * below)
    return math.log(2.0) + _log_per_width(scale_q, low_p, high_p) + distance


@register_kl(Uniform, "Gumbel")
def kl_uniform_gumbel(low_p, high_p, loc_q, scale_q):
    """log(scale / width) + E(z) + E(exp(-z)) with z = (x - loc) / scale."""
    low, high = standard_difference(low_p, loc_q, scale_q), standard_difference(high_p, loc_q, scale_q)
    width = standard_difference(high_p, low_p, scale_q)
    if low < -2000.0 or math.isinf(high):
        return math.inf
    exponent = -low  # of E(exp(-z))
    if width > 0.0:
        exponent += math.log(-math.expm1(-width) / width)
    if exponent > 709.7:
        return math.inf
    return _log_per_width(scale_q, low_p, high_p) + (0.5 * low + 0.5 * high) + math.exp(exponent)
