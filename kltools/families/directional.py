"""Distributions of angles and of directions.

Those of directions have densities with respect to the area of the unit sphere; off the sphere they are 0. They
are written in |x - m|^2 / 2 = 1 - cos, which keeps its digits where x is near the mean direction m, and where
lengths are 1 up to rounding only.
"""

import math
from typing import Any, Self

import numpy as np

from .._bessel import bessel_divergence, log_bessel_gap
from .._formula import Formula
from .._gamma_ratio import gamma_ratio_divergence, log_gamma_ratio
from .._jit import jit
from .._parameters import param
from .._scalar import log_ball_volume
from ..distribution import Distribution, family
from ..errors import InvalidParameterError, ShapeMismatchError


@family
class VonMises(Distribution):
    r"""Von Mises distribution of an angle, the Gaussian of the circle.

    .. math:: p(x) = \frac{\exp(\kappa \cos(x - \mu))}{2 \pi I_0(\kappa)}

    Draws lie between -pi and pi; ``log_prob`` takes any angle, in radians.

    Parameters
    ----------
    loc : array-like
        Mean direction :math:`\mu`, an angle in radians, of which multiples of 2 pi do not matter.
    concentration : array-like, >= 0
        :math:`\kappa`; 0 is the uniform distribution.

    References
    ----------
    K. V. Mardia and P. E. Jupp (2000), Directional Statistics, eq. 3.5.17. Draws: D. J. Best and N. I. Fisher (1979),
    Efficient simulation of the von Mises distribution, in the form of A. T. A. Wood (1994).

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.VonMises(loc=0, concentration=4), kl.VonMises(loc=0.5, concentration=1)
    >>> kl.kl_divergence(p, q).__round__(4)
    0.5072
    """

    scipy_name = "vonmises"
    loc: Any = param("real")
    concentration: Any = param("nonnegative")

    def _support(self) -> tuple[Any, Any]:
        return -math.pi, math.pi

    def _bulk(self) -> tuple[Any, Any]:
        return _wrapped(self.loc), np.minimum(1.0, 1.0 / np.sqrt(np.maximum(self.concentration, 1.0)))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return _log_density(2.0, self.concentration, 2.0 * np.sin(0.5 * (x - self.loc)) ** 2)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        half_angle = np.arcsin(np.sqrt(0.5 * _draw_height(rng, 2, self.concentration, shape)))
        return _wrapped(self.loc + np.where(rng.random(shape) < 0.5, -2.0, 2.0) * half_angle)

    def _entropy(self) -> np.ndarray:
        return _entropy(2.0, self.concentration)


class _OnSphere(Distribution):
    """Shared by the families of unit vectors with a mean direction and a concentration."""

    mean_direction: Any
    concentration: Any

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...]:
        (shape,) = (event for event in events if event)
        if shape == (1,):
            raise ShapeMismatchError(f"mean_direction of {self._name} needs at least 2 coordinates, got 1.")
        return shape

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        d = float(self.event_shape[0])
        height = 0.5 * ((x - self.mean_direction) ** 2).sum(axis=-1)
        depth = 0.5 * ((x + self.mean_direction) ** 2).sum(axis=-1)
        return np.where(_is_on_sphere(x), self._log_density_at(d, height, depth), -np.inf)

    def _log_density_at(self, d: float, height: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Log-density where 1 - cos is `height` and 1 + cos is `depth`."""
        raise NotImplementedError

    def _draw_height(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draws of 1 - cos."""
        raise NotImplementedError

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        height = self._draw_height(rng, shape)[..., None]
        noise = rng.standard_normal(shape + self.event_shape)
        axis = self.mean_direction
        for _ in range(2):  # where the noise was nearly along the axis, the first leaves some of it
            noise = noise - (noise * axis).sum(axis=-1, keepdims=True) * axis
            noise = noise / np.linalg.norm(noise, axis=-1, keepdims=True)
        return axis - height * axis + np.sqrt(height * (2.0 - height)) * noise


@family
class VonMisesFisher(_OnSphere):
    r"""Von Mises-Fisher distribution of a direction, the Gaussian of the sphere.

    .. math:: p(x) = \frac{\kappa^{d/2 - 1}}{(2 \pi)^{d/2} I_{d/2 - 1}(\kappa)} \exp(\kappa\, m \cdot x)

    Parameters
    ----------
    mean_direction : array-like of shape (..., d), d >= 2
        Unit vector m.
    concentration : array-like, >= 0
        :math:`\kappa`; 0 is the uniform distribution.

    References
    ----------
    K. V. Mardia and P. E. Jupp (2000), Directional Statistics, eq. 9.3.4. Draws: A. T. A. Wood (1994), Simulation of
    the von Mises Fisher distribution.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.VonMisesFisher(mean_direction=[0, 0, 1], concentration=4)
    >>> q = kl.VonMisesFisher(mean_direction=[0, 1, 0], concentration=1)
    >>> kl.kl_divergence(p, q).__round__(4)
    1.2439
    """

    scipy_name = "vonmises_fisher"
    mean_direction: Any = param("direction")
    concentration: Any = param("nonnegative")

    def _log_density_at(self, d: float, height: np.ndarray, depth: np.ndarray) -> np.ndarray:
        return _log_density(d, self.concentration, height)

    def _draw_height(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return _draw_height(rng, self.event_shape[0], self.concentration, shape)

    def _entropy(self) -> np.ndarray:
        return _entropy(float(self.event_shape[0]), self.concentration)


@family
class PowerSpherical(_OnSphere):
    r"""Power spherical distribution of a direction, like von Mises-Fisher, with powers in place of Bessel functions.

    .. math:: p(x) \propto (1 + m \cdot x)^\kappa

    Parameters
    ----------
    mean_direction : array-like of shape (..., d), d >= 2
        Unit vector m.
    concentration : array-like, >= 0
        :math:`\kappa`; 0 is the uniform distribution.

    References
    ----------
    N. De Cao and W. Aziz (2020), The Power Spherical distribution, eqs. 6, 8, 13.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.PowerSpherical(mean_direction=[0, 0, 1], concentration=4)
    >>> kl.kl_divergence(p, kl.VonMisesFisher(mean_direction=[0, 0, 1], concentration=2.5)).__round__(4)
    0.0266
    >>> kl.kl_divergence(p, kl.HypersphericalUniform(dim=3)).__round__(4)
    0.8094
    """

    mean_direction: Any = param("direction")
    concentration: Any = param("nonnegative")

    def _log_density_at(self, d: float, height: np.ndarray, depth: np.ndarray) -> np.ndarray:
        return _power_log_density(d, self.concentration, height, depth)

    def _draw_height(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        half = 0.5 * (self.event_shape[0] - 1.0)
        return 2.0 * rng.beta(half, half + self.concentration, size=shape)

    def _entropy(self) -> np.ndarray:
        return _power_entropy(float(self.event_shape[0]), self.concentration)


@family
class HypersphericalUniform(Distribution):
    r"""Uniform distribution on the unit sphere in `dim` dimensions.

    .. math:: p(x) = \frac{\Gamma(d / 2)}{2 \pi^{d/2}}

    Parameters
    ----------
    dim : array-like, a whole number >= 2
        Coordinates d of a draw: 2 is the circle, 3 the sphere. All of a batch must have the same.

    Raises
    ------
    InvalidParameterError
        For fewer than 2 dimensions.
    ShapeMismatchError
        Where the dimensions of a batch differ, or the batch is empty.

    References
    ----------
    K. V. Mardia and P. E. Jupp (2000), Directional Statistics, sec. 9.3.1.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.HypersphericalUniform(dim=3)
    >>> p.entropy().__round__(4), p.sample(5, random_state=0).shape
    (2.531, (5, 3))
    """

    dim: Any = param("count")

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...]:
        known = np.unique(self.dim) if self.dim.size else np.asarray(getattr(self, "_known_dim", ()))
        if known.size != 1:
            raise ShapeMismatchError(
                f"dim of {self._name} must be one number for all of a batch, got {known.tolist()}."
            )
        if known.item() < 2:
            raise InvalidParameterError(f"dim of {self._name} must be >= 2, got {known.item():g}.")
        return (int(known.item()),)

    def _take(self, positions: np.ndarray) -> Self:
        instance = type(self).__new__(type(self))
        object.__setattr__(instance, "_known_dim", self.event_shape)
        instance.__init__(dim=self._gather("dim", positions))  # type: ignore[misc]
        return instance

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        shape = np.broadcast_shapes(x.shape[:-1], self.batch_shape)
        return np.broadcast_to(np.where(_is_on_sphere(x), -_log_area(float(self.event_shape[0])), -np.inf), shape)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape + self.event_shape)
        return noise / np.linalg.norm(noise, axis=-1, keepdims=True)

    def _entropy(self) -> np.ndarray:
        return _log_area(self.dim)


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """Angles between -pi and pi, those there already untouched."""
    return np.where(np.abs(angle) <= math.pi, angle, np.remainder(angle + math.pi, 2.0 * math.pi) - math.pi)


def _is_on_sphere(x: np.ndarray) -> np.ndarray:
    """Which vectors have length 1, up to what a mean direction may lack."""
    return np.abs((x * x).sum(axis=-1) - 1.0) <= 2e-6


def _draw_height(rng: np.random.Generator, d: int, concentration: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Draws of 1 - cos of a von Mises-Fisher law, by rejection (Wood 1994, written in 1 - cos).

    Of a beta variable z the proposal is 2 b z / (1 - (1 - b) z); its mode lies at c = 2 b / (1 + b).
    """
    flat = np.broadcast_to(concentration, shape).reshape(-1)
    out, waiting = np.empty(flat.size), np.arange(flat.size)
    while waiting.size:
        k = flat[waiting]
        b = (d - 1.0) / (2.0 * k + np.hypot(2.0 * k, d - 1.0))
        z = rng.beta(0.5 * (d - 1.0), 0.5 * (d - 1.0), size=waiting.size)
        height, mode = 2.0 * b * z / (1.0 - z + b * z), 2.0 * b / (1.0 + b)
        excess = (1.0 - mode) * (height - mode) / (mode * (2.0 - mode))
        log_ratio = (d - 1.0) * np.log1p(excess) - k * (height - mode)
        accepted = log_ratio >= -rng.standard_exponential(waiting.size)
        out[waiting[accepted]] = height[accepted]
        waiting = waiting[~accepted]
    return out.reshape(shape)


@jit
def log_sphere_area(d: float) -> float:
    """Logarithm of the area of the unit sphere in d dimensions."""
    return log_ball_volume(d) + math.log(d)


_log_area = Formula(log_sphere_area)


@Formula
def _log_density(d, concentration, height):
    """That of a von Mises-Fisher law where 1 - cos is `height`."""
    gap = log_bessel_gap(0.5 * d - 1.0, concentration)
    return gap - concentration * height - log_sphere_area(d)


@Formula
def _entropy(d, concentration):
    """That of a von Mises-Fisher law: the logarithm of the area, less the divergence from the uniform law."""
    return log_sphere_area(d) - bessel_divergence(0.5 * d - 1.0, concentration, 0.0)


@Formula
def _power_log_density(d, concentration, height, depth):
    """That of a power spherical law where 1 - cos is `height` and 1 + cos is `depth`."""
    uniform = -log_sphere_area(d)
    if concentration == 0.0:
        return uniform
    if depth == 0.0:
        return -math.inf
    half = 0.5 * (d - 1.0)
    log_share = math.log1p(-0.5 * height) if height < 1.0 else math.log(0.5 * depth)
    ratios = log_gamma_ratio(half + concentration, half) - log_gamma_ratio(half, half)
    return uniform + ratios + concentration * log_share


@Formula
def _power_entropy(d, concentration):
    return log_sphere_area(d) - gamma_ratio_divergence(0.5 * (d - 1.0), concentration, 0.0)
