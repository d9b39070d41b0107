"""Families whose parameter is a probability, kept together with 1 - probability, so that neither loses digits."""

import math
from typing import Any, ClassVar, Self

import numpy as np

from . import _arrays
from ._arrays import frozen
from ._jit import jit
from ._special import log_ratio
from .distribution import Distribution
from .errors import InvalidParameterError

_LARGEST_LOGIT = 708.0  # beyond, the smaller of the two probabilities has lost digits


class ByProbability(Distribution):
    """Shared by the families with the one parameter `probs`."""

    _derived: ClassVar[dict[str, int]] = {"one_minus_probs": 0}
    probs: Any

    def _declared(self, name: str, ndim: int) -> tuple[str, int]:
        """Beside an exact 1 - probs, probs may round to 1."""
        return ("probability", 0) if hasattr(self, "_one_minus") else super()._declared(name, ndim)

    def _prepare(self) -> None:
        if not hasattr(self, "_one_minus"):
            self._keep(1.0 - self.probs)

    def _keep(self, one_minus_probs: np.ndarray) -> None:
        object.__setattr__(self, "_one_minus", frozen(np.asarray(one_minus_probs)))

    @property
    def one_minus_probs(self) -> np.ndarray:
        """1 - probs, to the last digit also where `from_logits` made it and probs is 1 after rounding."""
        return self._one_minus  # type: ignore[attr-defined]

    @classmethod
    def _from_both(cls, probs: np.ndarray, one_minus_probs: np.ndarray) -> Self:
        instance = cls.__new__(cls)
        instance._keep(one_minus_probs)
        instance.__init__(probs=probs)  # type: ignore[misc]
        return instance

    @classmethod
    def from_logits(cls, *, logits: Any) -> Self:
        """From log(probs / (1 - probs)), any real number up to 708 in size; probs and 1 - probs are each rounded once.

        Raises
        ------
        InvalidParameterError
            For logits beyond, whose probs or 1 - probs underflows.
        """
        array = _arrays.numeric_array(logits, f"logits of {cls.__name__}")
        if not (np.abs(array) <= _LARGEST_LOGIT).all():
            raise InvalidParameterError(
                f"logits of {cls.__name__} must lie between -708 and 708, where probs and 1 - probs are above 1e-308; "
                f"got values from {array.min():g} to {array.max():g}."
            )
        odds = np.exp(-np.abs(array))
        smaller, larger = odds / (1.0 + odds), 1.0 / (1.0 + odds)
        return cls._from_both(np.where(array < 0, smaller, larger), np.where(array < 0, larger, smaller))

    def _take(self, positions: np.ndarray) -> Self:
        rows = (array.reshape(-1)[positions] for array in (self.probs, self.one_minus_probs))
        return self._from_both(*rows)


@jit
def probability_difference(p: float, one_minus_p: float, q: float, one_minus_q: float) -> float:
    """q - p, from whichever of the probabilities and their complements has more digits."""
    return q - p if min(p, q) <= 0.75 else one_minus_p - one_minus_q


@jit
def log_odds(p: float, one_minus_p: float) -> float:
    """log(p / (1 - p)), with full relative accuracy around p = 1/2."""
    if 0.25 < p < 0.75:
        return math.log1p(2.0 * (p - 0.5) / one_minus_p)
    return log_ratio(p, one_minus_p)


@jit
def log_odds_difference(p: float, one_minus_p: float, q: float, one_minus_q: float) -> float:
    """log_odds(q) - log_odds(p), with full relative accuracy around p = q."""
    difference = probability_difference(p, one_minus_p, q, one_minus_q)
    return _log_of_changed(difference, p, q) - _log_of_changed(-difference, one_minus_p, one_minus_q)


@jit
def _log_of_changed(difference: float, a: float, b: float) -> float:
    """log(b / a) with difference = b - a."""
    t = difference / a
    return math.log1p(t) if -0.25 < t < 0.35 else log_ratio(b, a)
