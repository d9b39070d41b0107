"""Distributions on the real line that are not Gaussian."""

import math
from typing import Any, ClassVar

import numpy as np

from .._affinity import scale_log_affinity
from .._formula import Formula
from .._gamma_ratio import digamma_step, log_gamma_ratio, log_gamma_tail
from .._parameters import param
from .._scalar import (
    EULER_GAMMA,
    LARGEST_EXPONENT,
    expm1_minus_x,
    half_ratio_excess,
    half_squared_ratio_excess,
    standard_difference,
)
from .._special import exponential_integral, exponential_integral_near_zero
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..relatives import register_relative

_FAR = 1e300
LARGEST_GROWTH = 2.556e305  # where the logarithm of the gamma function overflows


class _ByLocation(Distribution):
    """Shared by the families with parameters `loc` and `scale`."""

    _standard_moments: ClassVar[tuple[float, float]] = 0.0, math.inf  # mean and variance for loc 0 and scale 1
    loc: Any
    scale: Any

    def _moments(self) -> tuple[Any, Any]:
        mean, var = self._standard_moments
        return self.loc + mean * self.scale, var * self.scale**2

    def _support(self) -> tuple[Any, Any]:
        return -math.inf, math.inf

    def _bulk(self) -> tuple[Any, Any]:
        return self.loc, self.scale

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            z = (x - self.loc) / self.scale
        terms = self._standard_log_prob(z) - np.log(self.scale)
        beyond = np.isinf(z) & np.isfinite(x)
        return np.where(beyond, self._tail(x), terms) if beyond.any() else terms

    def _tail(self, x: np.ndarray) -> Any:
        """Log-density so far out that z is beyond float64."""
        return -math.inf

    def _power_tail(self, x: np.ndarray, exponent: Any) -> np.ndarray:
        """That of a density that is a power of z there."""
        with np.errstate(divide="ignore"):  # at loc, which is not far out
            distance = np.log(np.abs(0.5 * x - 0.5 * self.loc))
        further = distance + math.log(2.0) - np.log(self.scale) - math.log(_FAR)
        return self._standard_log_prob(np.array(_FAR)) - np.log(self.scale) - exponent * further

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        """Log-density for loc 0 and scale 1."""
        raise NotImplementedError

    def _entropy(self) -> np.ndarray:
        return self._standard_entropy() + np.log(self.scale)

    def _standard_entropy(self) -> Any:
        raise NotImplementedError

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.loc + self.scale * self._standard_sample(rng, shape)

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError


@family
class Laplace(_ByLocation):
    r"""Laplace distribution, an exponential decay to both sides of its location.

    .. math:: p(x) = \frac{1}{2 s} \exp\left(-\frac{|x - \mu|}{s}\right)

    Parameters
    ----------
    loc : array-like
        Median and mean :math:`\mu`.
    scale : array-like, > 0
        Mean absolute deviation :math:`s`; the variance is 2 scale**2.

    References
    ----------
    N. L. Johnson, S. Kotz and N. Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 24.1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Laplace(loc=0, scale=1), kl.Laplace(loc=1, scale=2)).__round__(4)
    0.3771
    """

    scipy_name = "laplace"
    _standard_moments = 0.0, 2.0
    loc: Any = param("real")
    scale: Any = param("positive")

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        return -np.abs(z) - math.log(2.0)

    def _standard_entropy(self) -> float:
        return 1.0 + math.log(2.0)

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.laplace(size=shape)


@family
class Logistic(_ByLocation):
    r"""Logistic distribution, whose distribution function is the logistic curve.

    .. math:: p(x) = \frac{e^{-z}}{s (1 + e^{-z})^2}, \quad z = (x - \mu) / s

    Parameters
    ----------
    loc : array-like
        Median and mean :math:`\mu`.
    scale : array-like, > 0
        :math:`s`; the variance is (pi scale)**2 / 3.

    References
    ----------
    N. L. Johnson, S. Kotz and N. Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 23.5.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.Logistic(loc=0, scale=1).log_prob(0.0).__round__(4)
    -1.3863
    >>> kl.Logistic(loc=0, scale=1).entropy()
    2.0
    """

    scipy_name = "logistic"
    _standard_moments = 0.0, math.pi**2 / 3.0
    loc: Any = param("real")
    scale: Any = param("positive")

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        distance = np.abs(z)
        return -distance - 2.0 * np.log1p(np.exp(-distance))

    def _standard_entropy(self) -> float:
        return 2.0

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.logistic(size=shape)


@family
class Gumbel(_ByLocation):
    r"""Gumbel distribution of maxima, skewed to the right.

    .. math:: p(x) = \frac{1}{s} \exp\left(-z - e^{-z}\right), \quad z = (x - \mu) / s

    Parameters
    ----------
    loc : array-like
        Mode :math:`\mu`; the mean is loc + 0.5772 scale.
    scale : array-like, > 0
        :math:`s`; the variance is (pi scale)**2 / 6.

    References
    ----------
    N. L. Johnson, S. Kotz and N. Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 22.1.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Gumbel(loc=0, scale=1), kl.Gumbel(loc=0, scale=2)).__round__(4)
    0.2908
    """

    scipy_name = "gumbel_r"
    _standard_moments = EULER_GAMMA, math.pi**2 / 6.0
    loc: Any = param("real")
    scale: Any = param("positive")

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.where(z < -1e3, -np.inf, -z - np.exp(-z))  # there exp(-z) is beyond float64

    def _standard_entropy(self) -> float:
        return 1.0 + EULER_GAMMA

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.gumbel(size=shape)


@family
class Cauchy(_ByLocation):
    r"""Cauchy distribution: tails so heavy that it has no mean.

    .. math:: p(x) = \frac{1}{\pi s (1 + z^2)}, \quad z = (x - \mu) / s

    Parameters
    ----------
    loc : array-like
        Median :math:`\mu`.
    scale : array-like, > 0
        Half the distance of the quartiles, :math:`s`.

    References
    ----------
    F. Chyzak and F. Nielsen (2019), A closed-form formula for the Kullback-Leibler divergence between Cauchy
    distributions, eq. 1.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Cauchy(loc=0, scale=1), kl.Cauchy(loc=1, scale=2)
    >>> kl.kl_divergence(p, q).__round__(4), kl.kl_divergence(q, p).__round__(4)
    (0.2231, 0.2231)
    """

    scipy_name = "cauchy"
    loc: Any = param("real")
    scale: Any = param("positive")

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        return -math.log(math.pi) - log1p_of_square(z)

    def _tail(self, x: np.ndarray) -> np.ndarray:
        return self._power_tail(x, 2.0)

    def _standard_entropy(self) -> float:
        return math.log(4.0 * math.pi)

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_cauchy(size=shape)


@family
class StudentT(_ByLocation):
    r"""Student's t distribution, moved and scaled.

    .. math:: p(x) = \frac{\Gamma((\nu + 1) / 2)}{\Gamma(\nu / 2) \sqrt{\nu \pi} s}
        \left(1 + \frac{z^2}{\nu}\right)^{-(\nu + 1) / 2}, \quad z = (x - \mu) / s

    Parameters
    ----------
    df : array-like, > 0
        Degrees of freedom :math:`\nu`, whole or not; 1 is the Cauchy distribution.
    loc : array-like
        Median :math:`\mu`.
    scale : array-like, > 0
        :math:`s`, which is not the standard deviation: the variance is scale**2 df / (df - 2) for df > 2.

    References
    ----------
    N. L. Johnson, S. Kotz and N. Balakrishnan (1995), Continuous Univariate Distributions 2, eq. 28.2.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.StudentT(df=1, loc=0, scale=1).entropy().__round__(4), kl.Cauchy(loc=0, scale=1).entropy().__round__(4)
    (2.531, 2.531)
    """

    scipy_name = "t"
    df: Any = param("positive")
    loc: Any = param("real")
    scale: Any = param("positive")

    def _moments(self) -> tuple[Any, Any]:
        return self.loc, student_variance(self.df) * self.scale**2

    def _standard_log_prob(self, z: np.ndarray) -> np.ndarray:
        return student_log_prob(np.abs(z), self.df, 1.0)

    def _tail(self, x: np.ndarray) -> np.ndarray:
        return self._power_tail(x, self.df + 1.0)

    def _standard_entropy(self) -> np.ndarray:
        return student_entropy(self.df, 1.0)

    def _standard_sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        draws = rng.standard_t(self.df, size=shape)
        lost = np.isnan(draws)  # for df next to 0, of draws beyond float64
        return np.where(lost, rng.choice([-np.inf, np.inf], shape), draws) if lost.any() else draws


def log1p_of_square(z: np.ndarray) -> np.ndarray:
    """log(1 + z^2), also where z^2 overflows."""
    distance = np.abs(z)
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(distance < 1e100, np.log1p(distance**2), 2.0 * np.log(distance))


def student_variance(df: np.ndarray) -> np.ndarray:
    """Variance of Student's t of scale 1."""
    with np.errstate(divide="ignore"):
        return np.where(df > 2.0, df / np.maximum(df - 2.0, 0.0), np.inf)


def student_log_prob(distance: np.ndarray, df: np.ndarray, d: float) -> np.ndarray:
    """Log-density of Student's t in d dimensions at a standardised distance from its centre."""
    return _student_log_constant(df, d) - 0.5 * (df + d) * log1p_of_square(distance / np.sqrt(df))


@Formula
def _student_log_constant(df, d):
    return log_gamma_ratio(0.5 * df, 0.5 * d) - 0.5 * d * (math.log(df) + math.log(math.pi))


@Formula
def student_entropy(df, d):
    """Entropy of Student's t in d dimensions with a scale matrix of determinant 1."""
    constant = 0.5 * d * (math.log(df) + math.log(math.pi)) - log_gamma_ratio(0.5 * df, 0.5 * d)
    return constant + 0.5 * (df + d) * digamma_step(0.5 * df, 0.5 * d)


# ---------------------------------------------------------------- closed forms


@register_kl(Laplace, Laplace)
def kl_laplace_laplace(loc_p, scale_p, loc_q, scale_q):
    """r - 1 - log r + r (exp(-z) - 1 + z) with r = scale_p / scale_q and z = |loc_p - loc_q| / scale_p."""
    spread = 2.0 * half_ratio_excess(scale_p, scale_q)
    z = abs(standard_difference(loc_p, loc_q, scale_p))
    if math.isinf(spread):
        return math.inf
    if z < 1.0:
        shift = scale_p / scale_q * expm1_minus_x(-z)
    else:
        shift = abs(standard_difference(loc_p, loc_q, scale_q)) + scale_p / scale_q * math.expm1(-z)
    return spread + shift


@register_kl(Laplace, "Normal")
def kl_laplace_normal(loc_p, scale_p, mean_q, var_q):
    """(r - log r + z^2 + log(pi) - 2) / 2 with r = 2 scale_p^2 / var_q and z = (loc_p - mean_q) / sqrt(var_q)."""
    deviation = math.sqrt(var_q)
    z = standard_difference(loc_p, mean_q, deviation)
    constant = 0.5 * math.log(math.pi) - 0.5
    return half_squared_ratio_excess(scale_p, math.sqrt(0.5) * deviation) + 0.5 * z * z + constant


@register_kl(Gumbel, Gumbel)
def kl_gumbel_gumbel(loc_p, scale_p, loc_q, scale_q):
    """lgamma(r) + gamma (r - 1) + exp(L) - 1 - L with r = scale_p / scale_q, two parts >= 0, written in r - 1.

    L = lgamma(1 + r) + (loc_q - loc_p) / scale_q, and gamma is Euler's.
    """
    growth = (scale_p - scale_q) / scale_q
    if growth > LARGEST_GROWTH:
        return math.inf
    tail = log_gamma_tail(growth)
    exponent = standard_difference(loc_q, loc_p, scale_q) + (1.0 - EULER_GAMMA) * growth + tail
    if exponent > LARGEST_EXPONENT:
        return math.inf
    return 2.0 * half_ratio_excess(scale_p, scale_q) + tail + expm1_minus_x(exponent)


@register_kl(Gumbel, "Normal")
def kl_gumbel_normal(loc_p, scale_p, mean_q, var_q):
    """(r - 1 - log r + z^2 + log(pi^3 / 3) - 1) / 2 - gamma with r = (pi scale_p)^2 / (6 var_q).

    z = (loc_p + gamma scale_p - mean_q) / sqrt(var_q), and gamma is Euler's.
    """
    deviation = math.sqrt(var_q)
    z = standard_difference(loc_p, mean_q, deviation) + EULER_GAMMA * scale_p / deviation
    constant = 0.5 * math.log(math.pi**3 / 3.0) - 0.5 - EULER_GAMMA
    return half_squared_ratio_excess(scale_p, math.sqrt(6.0) / math.pi * deviation) + 0.5 * z * z + constant


@register_kl(Gumbel, Laplace)
def kl_gumbel_laplace(loc_p, scale_p, loc_q, scale_q):
    """r - 1 - log r + log(2 h) - gamma with r = h scale_p / scale_q, where h scale_p = E|x - loc_q|.

    With y = (loc_q - loc_p) / scale_p and u = exp(-y), h = gamma - y + 2 E1(u) = y - gamma + 2 Ein(u).
    """
    y = standard_difference(loc_q, loc_p, scale_p)
    if y > -1.0:
        distance = (loc_q - loc_p) + scale_p * (2.0 * exponential_integral_near_zero(math.exp(-y)) - EULER_GAMMA)
    else:
        distance = (loc_p - loc_q) + scale_p * (2.0 * exponential_integral(math.exp(-y)) + EULER_GAMMA)
    ratio = distance / scale_p
    log_ratio = math.log(distance) - math.log(scale_p) if math.isinf(ratio) else math.log(ratio)
    return 2.0 * half_ratio_excess(distance, scale_q) + log_ratio + math.log(2.0) - EULER_GAMMA


@register_kl(Cauchy, Cauchy)
def kl_cauchy_cauchy(loc_p, scale_p, loc_q, scale_q):
    """log(1 + ((scale_p - scale_q)^2 + (loc_p - loc_q)^2) / (4 scale_p scale_q))."""
    root_p, root_q = math.sqrt(scale_p), math.sqrt(scale_q)
    a = 0.5 * (scale_p - scale_q) / root_p / root_q
    b = 0.5 * standard_difference(loc_p, loc_q, root_p) / root_q
    u = a * a + b * b
    if u < 1e100:
        return math.log1p(u)
    distance = math.hypot(0.25 * scale_p + 0.25 * scale_q, 0.25 * loc_p - 0.25 * loc_q)
    return 2.0 * (math.log(distance) + math.log(2.0)) - math.log(scale_p) - math.log(scale_q)


# ---------------------------------------------------------------- affinities


def _equal_locations(p: Laplace, q: Laplace) -> np.ndarray:
    return p.loc == q.loc


@register_relative("log_affinity", Laplace, Laplace, only_where=_equal_locations)
def log_affinity_laplace(scale_p, scale_q, alpha):
    """Around one location that of the exponential distributions of |x - loc|."""
    return scale_log_affinity(scale_p, scale_q, 1.0, alpha)
