"""Weibull distributions and their special case, the Rayleigh distribution."""

import math
from typing import Any

import numpy as np

from .._affinity import scale_log_affinity
from .._formula import Formula
from .._jit import jit
from .._parameters import param
from .._scalar import EULER_GAMMA, expm1_minus_x, half_squared_ratio_excess
from .._special import (
    log_gamma_beside_1,
    log_gamma_beside_2,
    log_gamma_remainder,
    log_gamma_remainder_excess,
    log_ratio,
    product_ratio,
    ratio_excess,
)
from ..closed_forms import register_kl
from ..distribution import family
from ..relatives import register_relative
from .positive import Exponential, OnHalfLine
from .real_line import Gumbel


@Formula
def _weibull_log_density(x, shape, scale):
    if x <= 0.0 or math.isinf(x):
        if x != 0.0 or shape > 1.0:
            return -math.inf
        return -math.log(scale) if shape == 1.0 else math.inf
    log_x = shape * log_ratio(x, scale)
    return math.log(shape) + log_x - math.exp(log_x) - math.log(x)


@family
class Weibull(OnHalfLine):
    r"""Weibull distribution with the given shape and scale.

    .. math:: p(x) = \frac{k}{\lambda} \left(\frac{x}{\lambda}\right)^{k - 1} e^{-(x/\lambda)^k}, \quad x \ge 0

    Parameters
    ----------
    shape : array-like, > 0
    scale : array-like, > 0

    References
    ----------
    C. Bauckhage (2013), Computing the Kullback-Leibler divergence between two Weibull distributions, eq. 12.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Weibull(shape=1.0, scale=1.0), kl.Weibull(shape=2.0, scale=1.0)).__round__(4)
    0.8841
    """

    scipy_name = "weibull_min"
    shape: Any = param("positive")
    scale: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        median = self.scale * math.log(2.0) ** (1.0 / self.shape)
        return median, median / self.shape

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _weibull_log_density(x, self.shape, self.scale)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(over="ignore"):
            return self.scale * rng.standard_exponential(shape) ** (1.0 / self.shape)

    @np.errstate(over="ignore")
    def _entropy(self) -> np.ndarray:
        return EULER_GAMMA * (1.0 - 1.0 / self.shape) + np.log(self.scale) - np.log(self.shape) + 1.0


@family
class Rayleigh(OnHalfLine):
    r"""Rayleigh distribution: the length of a vector of two independent N(0, scale^2).

    .. math:: p(x) = \frac{x}{\sigma^2} e^{-x^2 / (2 \sigma^2)}, \quad x \ge 0

    Parameters
    ----------
    scale : array-like, > 0

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Rayleigh(scale=1.0), kl.Rayleigh(scale=2.0)).__round__(4)
    0.6363
    """

    scipy_name = "rayleigh"
    scale: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        return self.scale, self.scale

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inside = (x > 0.0) & np.isfinite(x)
        positive = np.where(inside, x, 1.0)
        with np.errstate(over="ignore"):
            log_density = np.log(positive) - 0.5 * (positive / self.scale) ** 2 - 2.0 * np.log(self.scale)
        return np.where(inside, log_density, np.where(np.isnan(x), np.nan, -np.inf))

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.scale * np.sqrt(2.0 * rng.standard_exponential(shape))

    def _entropy(self) -> np.ndarray:
        return 1.0 + 0.5 * EULER_GAMMA - 0.5 * math.log(2.0) + np.log(self.scale)


# ---------------------------------------------------------------- closed forms


@jit
def _log_gamma_1p(u: float, c: float) -> float:
    """lgamma(1 + c), where u = c - 1 is known better than c."""
    if -0.5 < u < 0.5:
        return (1.0 - EULER_GAMMA) * u + log_gamma_beside_2(u)
    return math.lgamma(1.0 + c) if c > 0.5 else log_gamma_beside_1(c) - EULER_GAMMA * c


@jit
def _weibull_divergence(shape_p: float, shape_q: float, log_scales: float) -> float:
    """log_gamma_excess(1, c) + e^v - 1 - v with c = shape_q / shape_p and v = shape_q log_scales + lgamma(1 + c).

    The scales are log_scales = log(scale_p / scale_q) apart; v = 0 at the best scale_q.
    """
    c, u = shape_q / shape_p, (shape_q - shape_p) / shape_p
    of_shapes = ratio_excess(shape_q - shape_p, shape_p, shape_q) + log_gamma_beside_2(u)
    if math.isinf(c) or math.isinf(of_shapes):
        return math.inf
    return of_shapes + expm1_minus_x(shape_q * log_scales + _log_gamma_1p(u, c))


@register_kl(Weibull, Weibull)
def kl_weibull_weibull(shape_p, scale_p, shape_q, scale_q):
    """Sum of two divergences: of the shapes at the best scale_q, and of the scales (Bauckhage 2013, rearranged)."""
    return _weibull_divergence(shape_p, shape_q, log_ratio(scale_p, scale_q))


@register_kl(Weibull, "Exponential")
def kl_weibull_exponential(shape_p, scale_p, rate_q):
    return _weibull_divergence(shape_p, 1.0, product_ratio(scale_p, 1.0, rate_q, 1.0, 1.0)[1])


@register_kl(Exponential, Weibull)
def kl_exponential_weibull(rate_p, shape_q, scale_q):
    return _weibull_divergence(1.0, shape_q, -product_ratio(rate_p, 1.0, scale_q, 1.0, 1.0)[1])


@register_kl(Rayleigh, Rayleigh)
def kl_rayleigh_rayleigh(scale_p, scale_q):
    """r^2 - 1 - log r^2 with r = scale_p / scale_q."""
    return 2.0 * half_squared_ratio_excess(scale_p, scale_q)


@jit
def _log_squared_scales(rayleigh: float, weibull: float) -> float:
    """log(2 rayleigh^2 / weibull^2): Rayleigh(scale) is Weibull(2, scale sqrt 2)."""
    return product_ratio(rayleigh, rayleigh, 2.0, weibull, weibull)[1]


@register_kl(Rayleigh, Weibull)
def kl_rayleigh_weibull(scale_p, shape_q, scale_q):
    return _weibull_divergence(2.0, shape_q, 0.5 * _log_squared_scales(scale_p, scale_q))


@register_kl(Weibull, Rayleigh)
def kl_weibull_rayleigh(shape_p, scale_p, scale_q):
    return _weibull_divergence(shape_p, 2.0, -0.5 * _log_squared_scales(scale_q, scale_p))


@register_kl(Weibull, "Gamma")
def kl_weibull_gamma(shape_p, scale_p, shape_q, rate_q):
    """shape_q (e^v - 1 - v), where v = 0 at the best rate_q, plus what that leaves of shapes alone."""
    c, u = 1.0 / shape_p, (1.0 - shape_p) / shape_p
    if math.isinf(c):
        return math.inf
    v = product_ratio(scale_p, 1.0, rate_q, 1.0, shape_q)[1] + _log_gamma_1p(u, c)
    above = shape_q - 1.0
    if -0.5 < u < 0.5 and -0.5 < above < 0.5:
        of_shapes = ratio_excess(u, 1.0, c) + shape_q * log_gamma_beside_2(u)
        of_shapes += above * u + log_gamma_remainder_excess(1.0, shape_q)
    else:
        of_shapes = shape_q * log_gamma_beside_1(c) - math.log(c)
        of_shapes += log_gamma_remainder(shape_q) - 1.0 - EULER_GAMMA
    of_rates = shape_q * expm1_minus_x(v) if v < 700.0 else math.exp(v + math.log(shape_q))
    return of_rates + of_shapes


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", Rayleigh, Rayleigh)
def log_affinity_rayleigh(scale_p, scale_q, alpha):
    return scale_log_affinity(scale_p, scale_q, 2.0, alpha)


def _equal_shapes(p: Weibull, q: Weibull) -> np.ndarray:
    return p.shape == q.shape


@register_relative("log_affinity", Weibull, Weibull, only_where=_equal_shapes)
def log_affinity_weibull(shape_p, scale_p, scale_q, alpha):
    return scale_log_affinity(scale_p, scale_q, shape_p, alpha)


_log_ratio = Formula(log_ratio)


def _representable(p: Weibull, q: Weibull) -> np.ndarray:
    """Whether the locations and scales of `aligned` are."""
    with np.errstate(over="ignore", under="ignore"):
        widest = np.maximum(p.shape / q.shape, q.shape / p.shape)
        return np.isfinite(widest) & np.isfinite(np.maximum(p.shape, q.shape) * _log_ratio(p.scale, q.scale))


@register_relative("aligned", Weibull, Weibull, only_where=_representable)
def aligned_weibull(p: Weibull, q: Weibull) -> tuple[Gumbel, Gumbel]:
    """The laws of -k log(x / scale), with k and the scale of the narrower one: however narrow, it is as wide as 1."""
    k, is_narrow = np.maximum(p.shape, q.shape), p.shape >= q.shape
    apart = k * _log_ratio(p.scale, q.scale)
    return (
        Gumbel(loc=np.where(is_narrow, 0.0, -apart), scale=k / p.shape),
        Gumbel(loc=np.where(is_narrow, apart, 0.0), scale=k / q.shape),
    )
