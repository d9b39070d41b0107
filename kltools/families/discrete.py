"""Distributions over categories."""

import math
from typing import Any, Self

import numpy as np

from .. import _arrays
from .._arrays import frozen
from .._formula import Formula
from .._parameters import param
from .._scalar import x_minus_log1p
from ..closed_forms import register_kl
from ..distribution import Distribution, family
from ..errors import InvalidParameterError, ShapeMismatchError


@family
class Categorical(Distribution):
    """Distribution over the categories 0, ..., K - 1.

    Parameters
    ----------
    probs : array-like of shape (..., K)
        Probabilities, zeros allowed; they must sum to 1 (nothing is normalised). See also
        ``from_logits`` and ``from_counts``.

    Examples
    --------
    >>> import kltools as kl
    >>> p, q = kl.Categorical(probs=[0.9, 0.1]), kl.Categorical(probs=[0.5, 0.5])
    >>> kl.kl_divergence(p, q, unit="bits").__round__(4)
    0.531
    >>> kl.kl_divergence(q, kl.Categorical(probs=[1.0, 0.0]))
    inf
    """

    is_continuous = False
    probs: Any = param("probabilities")

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    def _prepare(self) -> None:
        if not hasattr(self, "_log_probs"):
            with np.errstate(divide="ignore"):
                self._keep_log_probs(np.log(self.probs))

    def _keep_log_probs(self, log_probs: np.ndarray) -> None:
        object.__setattr__(self, "_log_probs", frozen(log_probs))

    @property
    def log_probs(self) -> np.ndarray:
        """Logarithms of the probabilities, shape (..., K); exact where a probability underflows."""
        return self._log_probs  # type: ignore[attr-defined]

    def _table(self) -> np.ndarray:
        return self.log_probs

    @classmethod
    def _with_log_probs(cls, probs: np.ndarray, log_probs: np.ndarray) -> Self:
        instance = cls.__new__(cls)
        instance._keep_log_probs(log_probs)
        instance.__init__(probs=probs)  # type: ignore[misc]
        return instance

    @classmethod
    def from_logits(cls, *, logits: Any) -> Self:
        """From logarithms of probabilities up to a constant; -inf is probability 0."""
        array = _arrays.numeric_array(logits, "logits of Categorical")
        largest = array.max(axis=-1, keepdims=True) if array.ndim and array.size else np.array(np.nan)
        if np.isnan(array).any() or not np.isfinite(largest).all():
            raise InvalidParameterError("logits of Categorical must be numbers below inf, not all -inf.")
        shifted = array - largest
        log_probs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return cls._with_log_probs(np.exp(log_probs), log_probs)

    @classmethod
    def from_counts(cls, *, counts: Any) -> Self:
        """From counts of observations; the relative frequencies become the probabilities."""
        array = _arrays.numeric_array(counts, "counts of Categorical")
        with np.errstate(over="ignore", invalid="ignore"):
            total = array.sum(axis=-1, keepdims=True) if array.ndim else array
        if not np.isfinite(total).all() or (array < 0).any() or not (total > 0).all():
            raise InvalidParameterError("counts of Categorical must be >= 0, with a positive and finite sum.")
        return cls(probs=array / total)

    def _take(self, positions: np.ndarray) -> "Categorical":
        n_categories = self.probs.shape[-1]
        rows = (a.reshape(-1, n_categories)[positions] for a in (self.probs, self.log_probs))
        return self._with_log_probs(*rows)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        n_categories = self.probs.shape[-1]
        inside = (x >= 0) & (x < n_categories) & (x == np.floor(x))
        index = np.where(inside, x, 0).astype(np.intp)
        shape = np.broadcast_shapes(index.shape, self.batch_shape)
        table = np.broadcast_to(self.log_probs, (*shape, n_categories))
        chosen = np.take_along_axis(table, np.broadcast_to(index, shape)[..., None], axis=-1)[..., 0]
        return np.where(inside, chosen, -np.inf)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        cumulative = np.cumsum(self.probs, axis=-1)
        draws = rng.random(shape)[..., None] * cumulative[..., -1:]
        return (draws >= cumulative).sum(axis=-1).astype(np.float64)

    def _entropy(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            terms = np.where(self.probs > 0, -self.probs * self.log_probs, 0.0)
        return terms.sum(axis=-1)


@Formula
def _kl_term(prob_p, log_prob_p, prob_q, log_prob_q):
    """p log(p/q) - p + q: its sum is the divergence, and every term is >= 0."""
    if prob_p == 0.0:  # or too small for a float64, and then still infinitely more than nothing
        return math.inf if math.isinf(log_prob_q) and not math.isinf(log_prob_p) else prob_q
    excess = (prob_q - prob_p) / prob_p
    if -0.25 < excess < 0.35:
        return prob_p * x_minus_log1p(excess)
    if math.isinf(log_prob_q):
        return math.inf
    return prob_p * (log_prob_p - log_prob_q) + (prob_q - prob_p)


@register_kl(Categorical, Categorical)
def kl_categorical(p: Categorical, q: Categorical, device: str) -> np.ndarray:
    """sum of p_k log(p_k / q_k), inf where p_k > 0 = q_k."""
    if p.probs.shape[-1] != q.probs.shape[-1]:
        raise ShapeMismatchError(f"p has {p.probs.shape[-1]} categories, q has {q.probs.shape[-1]}.")
    return _kl_term.summed(p.probs, p.log_probs, q.probs, q.log_probs, n_axes=1, device=device)
