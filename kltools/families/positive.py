"""Gamma distributions, with their special cases and their reciprocals."""

import math
from typing import Any, Self

import numpy as np

from .. import _arrays, _special
from .._affinity import scale_log_affinity
from .._bridge import near_gamma_log_affinity
from .._formula import Formula, digamma, on_lanes
from .._jit import jit
from .._parameters import param
from .._scalar import expm1_minus_x, half_ratio_excess, x_minus_log1p
from .._special import deviation, log_gamma_excess, product_excess, product_ratio, quotient
from .._stirling import kl_gamma
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError
from ..relatives import register_relative

_negentropy = Formula(_special.gamma_negentropy)
_HALF_LOG_2PIE = 0.5 * (1.0 + math.log(2.0 * math.pi))
_RANGE = (1e-300, 1e300)


class OnHalfLine(Distribution):
    """Shared by the families on x >= 0."""

    def _support(self) -> tuple[Any, Any]:
        return 0.0, math.inf

    def _bulk(self) -> tuple[Any, Any]:
        with np.errstate(over="ignore", under="ignore"):
            center, reach = self._center_and_reach()
        return np.clip(center, *_RANGE), np.clip(reach, *_RANGE)

    def _center_and_reach(self) -> tuple[Any, Any]:
        raise NotImplementedError


def _rate_of_scale(scale: Any, cls: type) -> np.ndarray:
    """1 / scale, where it is a float64."""
    array = _arrays.numeric_array(scale, f"scale of {cls.__name__}")
    with np.errstate(divide="ignore", over="ignore"):
        rate = 1.0 / array
    bad = ~(array > 0.0) | ~np.isfinite(rate) | (rate < np.finfo(np.float64).tiny)
    if bad.any():
        raise InvalidParameterError(
            f"scale of {cls.__name__} must be > 0 and have a reciprocal in float64, "
            f"{int(bad.sum())} of {bad.size} values have none; rescale the data."
        )
    return rate


@Formula
def _gamma_log_density(x, shape, rate):
    if x <= 0.0 or math.isinf(x):
        if x != 0.0 or shape > 1.0:
            return -math.inf
        return math.log(rate) if shape == 1.0 else math.inf
    return -product_excess(x, 1.0, rate, 1.0, shape) - _special.log_gamma_remainder(shape) - math.log(x)


@Formula
def _inverse_gamma_log_density(x, shape, scale):
    if x <= 0.0 or math.isinf(x):
        return -math.inf
    return -product_excess(scale, 1.0, 1.0, x, shape) - _special.log_gamma_remainder(shape) - math.log(x)


@family
class Exponential(OnHalfLine):
    r"""Exponential distribution with the given rate.

    .. math:: p(x) = \lambda e^{-\lambda x}, \quad x \ge 0

    Parameters
    ----------
    rate : array-like, > 0
        1 / mean; for the mean itself use ``Exponential.from_scale``.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Exponential(rate=1.0), kl.Exponential(rate=2.0)).__round__(4)
    0.3069
    """

    scipy_name = "expon"
    rate: Any = param("positive")

    @classmethod
    def from_scale(cls, *, scale: Any) -> Self:
        """From the mean, 1 / rate; the rate is rounded once.

        Raises
        ------
        InvalidParameterError
            Where scale is not positive, or its reciprocal under- or overflows.
        """
        return cls(rate=_rate_of_scale(scale, cls))

    def _center_and_reach(self) -> tuple[Any, Any]:
        return 1.0 / self.rate, 1.0 / self.rate

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0.0, np.log(self.rate) - self.rate * np.where(x >= 0.0, x, 0.0), -np.inf)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_exponential(shape) / self.rate

    def _entropy(self) -> np.ndarray:
        return 1.0 - np.log(self.rate)

    def _widened(self) -> "Gamma":
        return Gamma(shape=1.0, rate=self.rate)


@family
class Gamma(OnHalfLine):
    r"""Gamma distribution with the given shape and rate.

    .. math:: p(x) = \frac{\beta^\alpha}{\Gamma(\alpha)} x^{\alpha - 1} e^{-\beta x}, \quad x \ge 0

    Parameters
    ----------
    shape : array-like, > 0
    rate : array-like, > 0
        SciPy takes its reciprocal, see ``Gamma.from_scale``.

    References
    ----------
    W. D. Penny (2001), Kullback-Liebler divergences of normal, gamma, Dirichlet and Wishart densities, eq. 17
    (there with the scale).

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Gamma(shape=2.0, rate=1.0), kl.Gamma(shape=3.0, rate=1.0)).__round__(4)
    0.2704
    """

    scipy_name = "gamma"
    shape: Any = param("positive")
    rate: Any = param("positive")

    @classmethod
    def from_scale(cls, *, shape: Any, scale: Any) -> Self:
        """From the shape and the scale, 1 / rate; the rate is rounded once.

        Raises
        ------
        InvalidParameterError
            Where scale is not positive, or its reciprocal under- or overflows.
        """
        return cls(shape=shape, rate=_rate_of_scale(scale, cls))

    def _center_and_reach(self) -> tuple[Any, Any]:
        return self.shape / self.rate, np.sqrt(self.shape) / self.rate

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _gamma_log_density(x, self.shape, self.rate)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_gamma(self.shape, shape) / self.rate

    def _entropy(self) -> np.ndarray:
        return _HALF_LOG_2PIE + 0.5 * np.log(self.shape) - _negentropy(self.shape) - np.log(self.rate)

    def _natural(self) -> tuple[np.ndarray, ...]:
        return self.shape, self.rate

    @classmethod
    def _from_natural(cls, shape: np.ndarray, rate: np.ndarray) -> dict[str, np.ndarray]:
        return {"shape": shape, "rate": rate}


@family
class Chi2(OnHalfLine):
    r"""Chi-squared distribution: Gamma(shape=df / 2, rate=1 / 2).

    .. math:: p(x) = \frac{x^{k/2 - 1} e^{-x/2}}{2^{k/2} \, \Gamma(k/2)}, \quad x \ge 0

    Parameters
    ----------
    df : array-like, > 0
        Degrees of freedom.

    Raises
    ------
    InvalidParameterError
        Also where half of df is no float64 > 0.

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.Chi2(df=2), kl.Chi2(df=4)).__round__(4)
    0.5772
    """

    scipy_name = "chi2"
    df: Any = param("positive")

    def _prepare(self) -> None:
        if not (0.5 * self.df > 0.0).all():
            raise InvalidParameterError(f"df of Chi2 must be larger than {self.df.min()}, whose half is 0 in float64.")

    def _center_and_reach(self) -> tuple[Any, Any]:
        return self.df, np.sqrt(2.0 * self.df)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _gamma_log_density(x, 0.5 * self.df, 0.5)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return 2.0 * rng.standard_gamma(0.5 * self.df, shape)

    def _entropy(self) -> np.ndarray:
        return _HALF_LOG_2PIE + 0.5 * np.log(2.0 * self.df) - _negentropy(0.5 * self.df)

    def _widened(self) -> Gamma:
        return Gamma(shape=0.5 * self.df, rate=0.5)


@family
class InverseGamma(OnHalfLine):
    r"""Inverse gamma distribution: that of 1 / x where x follows Gamma(shape, rate=scale).

    .. math:: p(x) = \frac{\beta^\alpha}{\Gamma(\alpha)} x^{-\alpha - 1} e^{-\beta / x}, \quad x \ge 0

    Parameters
    ----------
    shape : array-like, > 0
    scale : array-like, > 0

    Examples
    --------
    >>> import kltools as kl
    >>> kl.kl_divergence(kl.InverseGamma(shape=2.0, scale=1.0), kl.InverseGamma(shape=3.0, scale=1.0)).__round__(4)
    0.2704
    """

    scipy_name = "invgamma"
    shape: Any = param("positive")
    scale: Any = param("positive")

    def _center_and_reach(self) -> tuple[Any, Any]:
        mode = self.scale / (self.shape + 1.0)
        return mode, mode / np.sqrt(np.minimum(self.shape, 1.0) + self.shape)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _inverse_gamma_log_density(x, self.shape, self.scale)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        with np.errstate(divide="ignore", over="ignore"):  # the reciprocal of a draw of a tiny shape
            return self.scale / rng.standard_gamma(self.shape, shape)

    def _entropy(self) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):  # about 1 / shape where that is beyond float64
            entropy = _HALF_LOG_2PIE + 0.5 * np.log(self.shape) - _negentropy(self.shape) - 2.0 * digamma(self.shape)
            entropy = np.where(np.isinf(2.0 / self.shape), math.inf, entropy)
        return entropy + np.log(self.scale)

    def _natural(self) -> tuple[np.ndarray, ...]:
        return self.shape, self.scale

    @classmethod
    def _from_natural(cls, shape: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        return {"shape": shape, "scale": scale}


# ---------------------------------------------------------------- closed forms


@register_kl(Exponential, Exponential)
def kl_exponential_exponential(rate_p, rate_q):
    """rate_q / rate_p - 1 - log(rate_q / rate_p), without cancellation."""
    return 2.0 * half_ratio_excess(rate_q, rate_p)


@register_kl(InverseGamma, InverseGamma)
@on_lanes
def kl_inverse_gamma_inverse_gamma(shape_p, scale_p, shape_q, scale_q):
    """That of the reciprocals, which follow Gamma distributions."""
    return kl_gamma(shape_p, scale_p, shape_q, scale_q)


@register_kl(Gamma, Gamma)
@on_lanes
def kl_gamma_gamma(shape_p, rate_p, shape_q, rate_q):
    """Sum of two divergences: of the means, and of the shapes (Penny 2001, eq. 17, without its cancellation)."""
    return kl_gamma(shape_p, rate_p, shape_q, rate_q)


@register_kl(Chi2, Chi2)
@on_lanes
def kl_chi2_chi2(df_p, df_q):
    """Equal rates leave the Bregman divergence of the log-gamma function."""
    return log_gamma_excess(0.5 * df_p, 0.5 * df_q)


@register_kl(Chi2, Gamma)
def kl_chi2_gamma(df_p, shape_q, rate_q):
    return kl_gamma(0.5 * df_p, 0.5, shape_q, rate_q)


@register_kl(Gamma, Chi2)
def kl_gamma_chi2(shape_p, rate_p, df_q):
    return kl_gamma(shape_p, rate_p, 0.5 * df_q, 0.5)


@register_kl(Exponential, Gamma)
def kl_exponential_gamma(rate_p, shape_q, rate_q):
    return kl_gamma(1.0, rate_p, shape_q, rate_q)


@register_kl(Gamma, Exponential)
def kl_gamma_exponential(shape_p, rate_p, rate_q):
    return kl_gamma(shape_p, rate_p, 1.0, rate_q)


@register_kl(Exponential, Chi2)
def kl_exponential_chi2(rate_p, df_q):
    return kl_gamma(1.0, rate_p, 0.5 * df_q, 0.5)


@register_kl(Chi2, Exponential)
def kl_chi2_exponential(df_p, rate_q):
    return kl_gamma(0.5 * df_p, 0.5, 1.0, rate_q)


@jit
def _gamma_from_normal(shape: float, rate: float, mean: float, var: float) -> float:
    """That of the normal distribution with p's moments, plus what p lacks of being normal, about 1 / (3 shape)."""
    t, logarithm = product_ratio(rate, rate, var, 1.0, shape)  # of the variances, q's over p's
    z = deviation(shape, 1.0, rate, mean, math.sqrt(var))
    if -0.25 < t < 0.35:
        of_variances = x_minus_log1p(-t / (1.0 + t))
    else:
        of_variances = (math.sqrt(shape) / rate / math.sqrt(var)) ** 2 - 1.0 + logarithm
    return 0.5 * (of_variances + z * z) + _special.gamma_negentropy(shape)


@register_kl(Gamma, "Normal")
def kl_gamma_normal(shape_p, rate_p, mean_q, var_q):
    return _gamma_from_normal(shape_p, rate_p, mean_q, var_q)


@register_kl(Exponential, "Normal")
def kl_exponential_normal(rate_p, mean_q, var_q):
    return _gamma_from_normal(1.0, rate_p, mean_q, var_q)


@jit
def _gamma_from_gumbel(shape: float, rate: float, loc: float, scale: float) -> float:
    """e^v - 1 - v for the best loc_q, where v = 0, plus what that leaves; E exp(-x / scale) = (1 + 1/s)^-shape."""
    log_s = product_ratio(rate, 1.0, scale, 1.0, 1.0)[1]
    inverse = 1.0 / rate / scale
    if inverse < 1.0:
        spread = shape * x_minus_log1p(inverse)
        v = spread - deviation(shape, 1.0, rate, loc, scale)  # may be small where the means are not
    else:
        mean = quotient(shape, 1.0, 1.0, rate, scale)
        if math.isinf(mean):
            return math.inf
        decay = shape * (-log_s if math.isinf(inverse) else math.log1p(inverse))
        spread, v = mean - decay, loc / scale - decay
    lacking = log_s - 0.5 * math.log(shape) + 1.0 - _HALF_LOG_2PIE + _special.gamma_negentropy(shape)
    return expm1_minus_x(v) + spread + lacking


@register_kl(Gamma, "Gumbel")
def kl_gamma_gumbel(shape_p, rate_p, loc_q, scale_q):
    return _gamma_from_gumbel(shape_p, rate_p, loc_q, scale_q)


@register_kl(Exponential, "Gumbel")
def kl_exponential_gumbel(rate_p, loc_q, scale_q):
    return _gamma_from_gumbel(1.0, rate_p, loc_q, scale_q)


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", Exponential, Exponential)
def log_affinity_exponential(rate_p, rate_q, alpha):
    """log(rate_p^a rate_q^(1 - a) / (a rate_p + (1 - a) rate_q))."""
    return scale_log_affinity(rate_q, rate_p, 1.0, alpha)


@register_relative("near_log_affinity", Gamma, Gamma)
def near_log_affinity_gamma(shape_p, rate_p, shape_q, rate_q, alpha):
    return near_gamma_log_affinity(shape_p, rate_p, shape_q, rate_q, alpha)


@register_relative("near_log_affinity", InverseGamma, InverseGamma)
def near_log_affinity_inverse_gamma(shape_p, scale_p, shape_q, scale_q, alpha):
    return near_gamma_log_affinity(shape_p, scale_p, shape_q, scale_q, alpha)
