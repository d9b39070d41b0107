"""Invertible maps that `Transformed` puts a distribution through.

Any object will do that has ``forward(x)``, ``inverse(y)`` (nan outside the image) and ``log_abs_det_jacobian(x)``, an
array of the shape of x, which is summed over the event, or of its leading axes. ``==`` says whether two are the same.
It may have a ``domain``: the ends of the interval of the x that it takes, all numbers without it.
"""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from ._arrays import frozen, numeric_array
from ._parameters import check_domain
from .errors import InvalidParameterError

__all__ = ["Affine", "Exp", "Log", "Sigmoid", "Tanh"]


@dataclasses.dataclass(frozen=True)
class Exp:
    """y = exp(x), from all numbers to those > 0.

    Examples
    --------
    >>> import kltools as kl
    >>> log_normal = kl.Transformed(kl.Normal(mean=0, var=1), kl.maps.Exp())
    >>> log_normal.log_prob(1.0).__round__(4)
    -0.9189
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """exp(x)."""
        return np.exp(x)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """log(y)."""
        return np.log(y)

    def log_abs_det_jacobian(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative, of the shape of x."""
        return x


@dataclasses.dataclass(frozen=True)
class Log:
    """y = log(x), from the numbers > 0 to all.

    Examples
    --------
    >>> from kltools import maps
    >>> float(maps.Log().forward(1.0))
    0.0
    """

    domain: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """log(x)."""
        return np.log(x)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """exp(y)."""
        return np.exp(y)

    def log_abs_det_jacobian(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative, of the shape of x."""
        return -np.log(x)


@dataclasses.dataclass(frozen=True)
class Sigmoid:
    """y = 1 / (1 + exp(-x)), from all numbers to those between 0 and 1.

    Examples
    --------
    >>> from kltools import maps
    >>> float(maps.Sigmoid().forward(0.0))
    0.5
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """1 / (1 + exp(-x))."""
        return np.exp(-np.logaddexp(0.0, -x))

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """log(y / (1 - y))."""
        return np.log(y) - np.log1p(-y)

    def log_abs_det_jacobian(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative, of the shape of x."""
        return -np.abs(x) - 2.0 * np.log1p(np.exp(-np.abs(x)))


@dataclasses.dataclass(frozen=True)
class Tanh:
    """y = tanh(x), from all numbers to those between -1 and 1.

    Examples
    --------
    >>> from kltools import maps
    >>> float(maps.Tanh().forward(0.0))
    0.0
    """

    def forward(self, x: np.ndarray) -> np.ndarray:
        """tanh(x)."""
        return np.tanh(x)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """artanh(y)."""
        return np.arctanh(y)

    def log_abs_det_jacobian(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative, of the shape of x."""
        return 2.0 * (math.log(2.0) - np.abs(x) - np.log1p(np.exp(-2.0 * np.abs(x))))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Affine:
    """y = loc + scale * x, element by element.

    Parameters
    ----------
    loc : array-like
        A number, or an array that broadcasts against an event.
    scale : array-like
        The same; not 0.

    Raises
    ------
    InvalidParameterError
        Where an entry is not finite, or a scale is 0.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Transformed(kl.Normal(mean=0, var=1), kl.maps.Affine(loc=1, scale=2))
    >>> p.entropy() - kl.Normal(mean=1, var=4).entropy()
    0.0
    """

    loc: Any = 0.0
    scale: Any = 1.0

    def __post_init__(self) -> None:
        for name in ("loc", "scale"):
            array = numeric_array(getattr(self, name), f"{name} of Affine")
            check_domain(array, "real", f"{name} of Affine")
            object.__setattr__(self, name, frozen(array.copy()))
        if not self.scale.all():
            raise InvalidParameterError("scale of Affine must not be 0, such a map has no inverse.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Affine):
            return NotImplemented
        return np.array_equal(self.loc, other.loc) and np.array_equal(self.scale, other.scale)

    def __hash__(self) -> int:
        return hash((self.loc.tobytes(), self.scale.tobytes()))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """loc + scale * x."""
        return self.loc + self.scale * x

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """(y - loc) / scale."""
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative, of the shape of x."""
        return np.broadcast_to(np.log(np.abs(self.scale)), np.shape(x))
