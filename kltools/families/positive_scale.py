"""Other distributions of positive numbers: powers, folds and exponentials of better known ones."""

import math
from typing import Any

import numpy as np

from .._affinity import scale_log_affinity
from .._formula import Formula
from .._jit import jit
from .._parameters import param
from .._scalar import LOG_2PI, half_ratio_excess, half_squared_ratio_excess, standard_difference, x_minus_log1p
from .._special import (
    deviation,
    log_gamma_remainder,
    log_ratio,
    product_excess,
    product_ratio,
    ratio_excess,
    scaled_exponential_integral,
)
from ..closed_forms import register_kl
from ..distribution import family
from ..relatives import register_relative
from .gaussian import kl_normal_normal
from .gaussian_relatives import log_affinity_diagonal, total_variation_normal
from .positive import OnHalfLine

_scaled_exponential_integral = Formula(scaled_exponential_integral)


@family
class LogNormal(OnHalfLine):
    r"""Log-normal distribution: that of exp(y) where y follows Normal(mean, var).

    .. math:: p(x) = \frac{1}{x \sqrt{2 \pi v}} e^{-(\log x - \mu)^2 / (2 v)}, \quad x > 0

    Parameters
    ----------
    mean : array-like
        Mean of the logarithm.
    var : array-like, > 0
        Variance of the logarithm.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.LogNormal(mean=0, var=1), kl.LogNormal(mean=1, var=1))
    0.5
    """

    scipy_name = "lognorm"
    mean: Any = param("real")
    var: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        return np.exp(self.mean), np.exp(self.mean) * np.minimum(np.sqrt(self.var), 1.0)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inside = (x > 0.0) & np.isfinite(x)
        log_x = np.log(np.where(inside, x, 1.0))
        terms = -0.5 * (((log_x - self.mean) / np.sqrt(self.var)) ** 2 + np.log(self.var) + LOG_2PI) - log_x
        return np.where(inside, terms, np.where(np.isnan(x), np.nan, -np.inf))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.mean + np.sqrt(self.var) * rng.standard_normal(shape))

    def _entropy(self) -> np.ndarray:
        return self.mean + 0.5 * (1.0 + LOG_2PI + np.log(self.var))


@family
class HalfNormal(OnHalfLine):
    r"""Half-normal distribution: that of the absolute value of a draw of N(0, scale^2).

    .. math:: p(x) = \frac{\sqrt 2}{\sigma \sqrt\pi} e^{-x^2 / (2 \sigma^2)}, \quad x \ge 0

    Parameters
    ----------
    scale : array-like, > 0
        Standard deviation of the normal distribution.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.HalfNormal(scale=1.0), kl.HalfNormal(scale=2.0)).__round__(4)
    0.3181
    """

    scipy_name = "halfnorm"
    scale: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        return self.scale, self.scale

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        terms = -0.5 * ((x / self.scale) ** 2 + math.log(0.5 * math.pi)) - np.log(self.scale)
        return np.where(x < 0.0, -np.inf, terms)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.scale * np.abs(rng.standard_normal(shape))

    def _entropy(self) -> np.ndarray:
        return 0.5 * (1.0 + math.log(0.5 * math.pi)) + np.log(self.scale)


@family
class HalfCauchy(OnHalfLine):
    r"""Half-Cauchy distribution: that of the absolute value of a draw of Cauchy(0, scale).

    .. math:: p(x) = \frac{2}{\pi \gamma (1 + x^2 / \gamma^2)}, \quad x \ge 0

    Parameters
    ----------
    scale : array-like, > 0

    References
    ----------
    F. Chyzak and F. Nielsen (2019), A closed-form formula for the Kullback-Leibler divergence between Cauchy
    distributions, eq. 1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.HalfCauchy(scale=1.0), kl.HalfCauchy(scale=2.0)).__round__(4)
    0.1178
    """

    scipy_name = "halfcauchy"
    scale: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        return self.scale, self.scale

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        ratio = np.abs(x) / self.scale
        with np.errstate(divide="ignore"):
            logs = np.where(ratio < 1e300, np.log(np.hypot(1.0, ratio)), np.log(np.abs(x)) - np.log(self.scale))
        return np.where(x < 0.0, -np.inf, math.log(2.0 / math.pi) - np.log(self.scale) - 2.0 * logs)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.scale * np.tan(0.5 * math.pi * rng.random(shape))

    def _entropy(self) -> np.ndarray:
        return LOG_2PI + np.log(self.scale)


@family
class Pareto(OnHalfLine):
    r"""Pareto distribution of the numbers from `scale` on.

    .. math:: p(x) = \frac{\alpha \, x_m^\alpha}{x^{\alpha + 1}}, \quad x \ge x_m

    Parameters
    ----------
    shape : array-like, > 0
        Its mean is finite above 1, its variance above 2.
    scale : array-like, > 0
        Least value.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Pareto(shape=2.0, scale=2.0), kl.Pareto(shape=1.0, scale=1.0)
    >>> kl.kl_divergence(p, q).__round__(4), kl.kl_divergence(q, p)
    (0.8863, inf)
    """

    scipy_name = "pareto"
    shape: Any = param("positive")
    scale: Any = param("positive")

    def _support(self) -> tuple[Any, Any]:
        return self.scale, math.inf

    def _center_and_reach(self) -> tuple[Any, Any]:
        reach = self.scale / self.shape
        return self.scale + reach, reach

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inside = np.where(x < self.scale, self.scale, x)
        terms = np.log(self.shape) - self.shape * np.log(inside / self.scale) - np.log(inside)
        return np.where(x < self.scale, -np.inf, terms)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.scale * np.exp(rng.standard_exponential(shape) / self.shape)

    def _entropy(self) -> np.ndarray:
        return 1.0 + 1.0 / self.shape + np.log(self.scale) - np.log(self.shape)


@family
class InverseGaussian(OnHalfLine):
    r"""Inverse Gaussian (Wald) distribution with the given mean and shape.

    .. math:: p(x) = \sqrt{\frac{\lambda}{2 \pi x^3}} \, e^{-\lambda (x - \mu)^2 / (2 \mu^2 x)}, \quad x > 0

    Parameters
    ----------
    mean : array-like, > 0
    shape : array-like, > 0
        Its variance is mean^3 / shape. SciPy's ``invgauss(mu, scale=s)`` has the mean mu s and the shape s.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.InverseGaussian(mean=1.0, shape=1.0), kl.InverseGaussian(mean=2.0, shape=1.0)
    >>> kl.kl_divergence(p, q)
    0.125
    """

    scipy_name = "invgauss"
    mean: Any = param("positive")
    shape: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        center = 1.0 / (1.0 / self.mean + 1.0 / self.shape)
        return center, center * np.minimum(np.sqrt(self.mean / self.shape), 1.0)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inside = (x > 0.0) & np.isfinite(x)
        at = np.where(inside, x, 1.0)
        z = (at - self.mean) / self.mean * np.sqrt(self.shape / at)
        terms = 0.5 * (np.log(self.shape) - LOG_2PI - z * z) - 1.5 * np.log(at)
        return np.where(inside, terms, np.where(np.isnan(x), np.nan, -np.inf))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.wald(self.mean, self.shape, shape)

    def _entropy(self) -> np.ndarray:
        known = 0.5 * (1.0 + LOG_2PI + 3.0 * np.log(self.mean) - np.log(self.shape))
        with np.errstate(over="ignore", under="ignore"):
            return known - 1.5 * _scaled_exponential_integral(2.0 * (self.shape / self.mean))


# ---------------------------------------------------------------- closed forms

register_kl(LogNormal, LogNormal)(kl_normal_normal)


@register_kl(HalfNormal, HalfNormal)
def kl_half_normal_half_normal(scale_p, scale_q):
    """(r^2 - 1 - log r^2) / 2 with r = scale_p / scale_q."""
    return half_squared_ratio_excess(scale_p, scale_q)


@register_kl(HalfCauchy, HalfCauchy)
def kl_half_cauchy_half_cauchy(scale_p, scale_q):
    """log((scale_p + scale_q)^2 / (4 scale_p scale_q)), as for two Cauchy distributions of one location."""
    low, high = min(scale_p, scale_q), max(scale_p, scale_q)
    if low / high > 0.1:
        return math.log1p(0.25 * ((high - low) / low) * ((high - low) / high))
    return 2.0 * math.log1p(low / high) - math.log(4.0) - log_ratio(low, high)


@register_kl(InverseGaussian, InverseGaussian)
def kl_inverse_gaussian_inverse_gaussian(mean_p, shape_p, mean_q, shape_q):
    """(r - 1 - log r) / 2 with r = shape_q / shape_p, plus shape_q (mean_p - mean_q)^2 / (2 mean_q^2 mean_p)."""
    z = (mean_p - mean_q) / mean_q * math.sqrt(shape_q) / math.sqrt(mean_p)
    return half_ratio_excess(shape_q, shape_p) + 0.5 * z * z


@register_kl(Pareto, Pareto)
def kl_pareto_pareto(shape_p, scale_p, shape_q, scale_q):
    """r - 1 - log r + shape_q log(scale_p / scale_q) with r = shape_q / shape_p; inf where scale_p < scale_q."""
    if scale_p < scale_q:
        return math.inf
    return 2.0 * half_ratio_excess(shape_q, shape_p) + shape_q * log_ratio(scale_p, scale_q)


@jit
def _pareto_from_gamma(shape_p: float, scale_p: float, shape_q: float, rate_q: float) -> float:
    """shape_q (m - 1 - log m) for the best rate_q, where m = 1, plus what that leaves; the mean exists above 1."""
    if shape_p <= 1.0:
        return math.inf
    below = shape_p - 1.0
    of_rates = product_excess(scale_p, rate_q, shape_p, below, shape_q)
    return (
        of_rates + shape_q * ratio_excess(-1.0, shape_p, below) + math.log(shape_p) - 1.0 + log_gamma_remainder(shape_q)
    )


@register_kl(Pareto, "Gamma")
def kl_pareto_gamma(shape_p, scale_p, shape_q, rate_q):
    """inf unless the mean of p exists, for shape_p > 1."""
    return _pareto_from_gamma(shape_p, scale_p, shape_q, rate_q)


@register_kl(Pareto, "Exponential")
def kl_pareto_exponential(shape_p, scale_p, rate_q):
    """inf unless the mean of p exists, for shape_p > 1."""
    return _pareto_from_gamma(shape_p, scale_p, 1.0, rate_q)


@register_kl(Pareto, "Normal")
def kl_pareto_normal(shape_p, scale_p, mean_q, var_q):
    """That of the normal distribution with p's moments, plus what p lacks of being normal; inf for shape_p <= 2."""
    if shape_p <= 2.0:
        return math.inf
    below = shape_p - 1.0
    std_q = math.sqrt(var_q)
    std = scale_p * (math.sqrt(shape_p / (shape_p - 2.0)) / below)
    z = deviation(shape_p, scale_p, below, mean_q, std_q)
    skewed = ratio_excess(-1.0, shape_p, below) - 0.5 * log_ratio(shape_p - 2.0, shape_p)
    return half_squared_ratio_excess(std, std_q) + 0.5 * z * z + skewed + 0.5 * (LOG_2PI - 1.0)


@register_kl(Pareto, "Laplace")
def kl_pareto_laplace(shape_p, scale_p, loc_q, scale_q):
    """r - 1 - log r for the best scale_q, where r = 1, plus what that leaves; inf for shape_p <= 1.

    r = E|x - loc_q| / scale_q, and s is this mean deviation in units of scale_p / (shape_p - 1).
    """
    if shape_p <= 1.0:
        return math.inf
    below = shape_p - 1.0
    z = standard_difference(loc_q, scale_p, scale_p) * below
    s = 1.0 - z if z <= 0.0 else z - 1.0 + 2.0 * math.exp(-below * log_ratio(loc_q, scale_p))
    skewed = ratio_excess(-1.0, shape_p, below) + math.log(2.0)
    if math.isinf(s):
        distance = abs(loc_q - scale_p)
        if math.isinf(distance):
            return math.inf
        return 2.0 * half_ratio_excess(distance, scale_q) + log_ratio(distance, scale_p) + math.log(below) + skewed
    t, logarithm = product_ratio(s, 1.0, scale_p, below, scale_q)
    of_scales = x_minus_log1p(t) if -0.25 < t < 0.35 else t - logarithm
    return of_scales + math.log(s) + skewed


# ---------------------------------------------------------------- affinities

register_relative("log_affinity", LogNormal, LogNormal)(log_affinity_diagonal)
register_relative("total_variation", LogNormal, LogNormal)(total_variation_normal)


@register_relative("log_affinity", HalfNormal, HalfNormal)
def log_affinity_half_normal(scale_p, scale_q, alpha):
    return 0.5 * scale_log_affinity(scale_p, scale_q, 2.0, alpha)


@register_relative("log_affinity", Pareto, Pareto)
def log_affinity_pareto(shape_p, scale_p, shape_q, scale_q, alpha):
    """That of the exponential distributions of log(x / scale), and what lies below the larger scale."""
    of_shapes = scale_log_affinity(shape_q, shape_p, 1.0, alpha)
    if scale_p >= scale_q:
        return of_shapes - (1.0 - alpha) * shape_q * log_ratio(scale_p, scale_q)
    return math.inf if alpha > 1.0 else of_shapes - alpha * shape_p * log_ratio(scale_q, scale_p)


@register_relative("log_affinity", InverseGaussian, InverseGaussian)
def log_affinity_inverse_gaussian(mean_p, shape_p, mean_q, shape_q, alpha):
    """From the mixed shape, and from m = a w_p + (1 - a) w_q and z^2 = shape_p shape_q (1 / mean_p - 1 / mean_q)^2.

    w is shape / mean. The exponents leave sqrt(m^2 + a (1 - a) z^2) - m.
    """
    beta = 1.0 - alpha
    of_shapes = 0.5 * scale_log_affinity(shape_q, shape_p, 1.0, alpha)
    z = standard_difference(mean_q, mean_p, mean_p) * math.sqrt(shape_p) * (math.sqrt(shape_q) / mean_q)
    if z == 0.0 or math.isinf(of_shapes):
        return of_shapes
    m = alpha * (shape_p / mean_p) + beta * (shape_q / mean_q)
    step = math.sqrt(abs(alpha * beta)) * abs(z)
    if alpha > 1.0 and m < step:
        return math.inf
    root = math.hypot(m, step) if alpha < 1.0 else math.sqrt(m - step) * math.sqrt(m + step)
    return of_shapes - alpha * beta * z * (z / (m + root))
