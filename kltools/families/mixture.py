"""Mixtures of the distributions of any family."""

import math
from typing import Any, NoReturn

import numpy as np

from .._arrays import frozen, numeric_array
from .._parameters import check_axes, check_domain
from ..distribution import Distribution, broadcast_shapes, check_distribution, flat_positions
from ..errors import NoClosedFormError, ShapeMismatchError
from .discrete import Categorical
from .structural import Composed

_BLOCK_NUMBERS = 2**20  # log-densities, or numbers drawn, at a time


class Mixture(Composed):
    r"""Mixture of K distributions of one family.

    .. math:: p(x) = \sum_{k=1}^K w_k \, p_k(x)

    Neither its entropy nor a divergence from or to it has a closed form. Where components are scalar there is
    quadrature, which looks at each of them; `estimate_kl_monte_carlo` takes any. Of Gaussian vectors make a
    `GaussianMixture`, which is faster, and has `mixture_kl_bounds`.

    Parameters
    ----------
    weights : array-like of shape (..., K)
        Probabilities of the components, zeros allowed; they must sum to 1 (nothing is normalised).
    components : Distribution
        A batch of shape (..., K). The axes before the last one broadcast against those of the weights.

    Raises
    ------
    ShapeMismatchError
        Where the last axis of the batch is not as long as that of the weights.
    NoClosedFormError
        By ``entropy()``, and by `kl_divergence` without ``method="quadrature"``.

    References
    ----------
    C. M. Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.9.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Mixture(weights=[0.9, 0.1], components=kl.Laplace(loc=0.0, scale=[1.0, 10.0]))
    >>> p.log_prob(0.0).__round__(4)
    -0.7875
    >>> kl.kl_divergence(p, kl.StudentT(df=2.0, loc=0.0, scale=1.0), method="quadrature").__round__(4)
    0.0312
    """

    _parts = ("weights", "components")
    weights: np.ndarray
    components: Distribution

    def __init__(self, *, weights: Any, components: Distribution):
        probs = numeric_array(weights, "weights of Mixture")
        check_axes(probs, 1, "weights of Mixture")
        check_domain(probs, "probabilities", "weights of Mixture")
        check_distribution(components, "components of Mixture")
        shape = components.batch_shape
        if shape[-1:] != probs.shape[-1:]:
            raise ShapeMismatchError(
                f"Mixture has {probs.shape[-1]} weights, so the last axis of the batch of components must have that "
                f"length; the batch has shape {shape}."
            )
        batch_shape = broadcast_shapes(probs.shape[:-1], shape[:-1], "the batches of weights and components.")
        self._keep(weights=frozen(probs.copy()), components=components, is_continuous=components.is_continuous)
        self._keep(batch_shape=batch_shape, event_shape=components.event_shape)

    def _take(self, positions: np.ndarray) -> "Mixture":
        weights = np.broadcast_to(self.weights, (*self.batch_shape, self.weights.shape[-1]))
        each = self._component_positions()
        return Mixture(
            weights=weights.reshape(-1, weights.shape[-1])[positions],
            components=self.components._take(each.reshape(-1, weights.shape[-1])[positions]),
        )

    def _component_positions(self) -> np.ndarray:
        """Where the components of each mixture stand in the batch of all."""
        return np.broadcast_to(flat_positions(self.components), (*self.batch_shape, self.weights.shape[-1]))

    def _log_weights(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        n_event, n_components = len(self.event_shape), self.weights.shape[-1]
        points, log_weights = np.expand_dims(x, x.ndim - n_event), self._log_weights()
        shape = np.broadcast_shapes(x.shape[: x.ndim - n_event], self.batch_shape)
        step = max(1, _BLOCK_NUMBERS // max(1, math.prod(shape)))
        out = np.full(shape, -math.inf)
        for start in range(0, n_components, step):
            logs = self.components[..., start : start + step]._log_prob(points)
            own = log_weights[..., start : start + step]
            with np.errstate(invalid="ignore"):
                logs = np.where(own > -math.inf, own + logs, -math.inf)  # a pole without weight is none
            for k in range(logs.shape[-1]):
                out = np.logaddexp(out, logs[..., k])
        return out

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self._sample_components(rng, Categorical(probs=self.weights)._sample(rng, shape).astype(np.intp))

    def _sample_components(self, rng: np.random.Generator, chosen: np.ndarray) -> np.ndarray:
        """A draw from the component of each number, in an array whose last axes are the batch."""
        each = np.broadcast_to(self._component_positions(), (*chosen.shape, self.weights.shape[-1]))
        places = np.take_along_axis(each, chosen[..., None], axis=-1).reshape(-1)
        draws = np.empty((len(places), *self.event_shape))
        step = max(1, _BLOCK_NUMBERS // max(1, math.prod(self.event_shape) ** 2))
        for start in range(0, len(places), step):
            block = places[start : start + step]
            draws[start : start + step] = self.components._take(block)._sample(rng, block.shape)
        return draws.reshape(chosen.shape + self.event_shape)

    def _entropy(self) -> NoReturn:
        raise NoClosedFormError(
            'the entropy of a Mixture has no closed form; in one dimension use entropy(p, method="quadrature"), else '
            "average -p.log_prob(x) over draws x of p, or compare p with another distribution: "
            "estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
        )

    def _support(self) -> tuple[Any, Any] | None:
        support = self.components._support()
        if support is None:
            return None
        low, high = support
        has_weight = self.weights > 0.0
        return np.where(has_weight, low, math.inf).min(axis=-1), np.where(has_weight, high, -math.inf).max(axis=-1)

    def _bulk(self) -> tuple[Any, Any]:
        places, reaches = self.components._bulk()
        center = (self.weights * places).sum(axis=-1)
        return center, (self.weights * (reaches + np.abs(places - center[..., None]))).sum(axis=-1)

    def _pieces(self) -> tuple[Distribution, ...]:
        return tuple(self.components[k] for k in np.flatnonzero(self.weights))

    def _moments(self) -> tuple[Any, Any] | None:
        moments = self.components._moments()
        if moments is None:
            return None
        n_event = len(self.event_shape)
        shape = (*self.batch_shape, self.weights.shape[-1], *self.event_shape)
        weights = self.weights[(..., *[None] * n_event)]
        means, variances = (np.where(weights > 0.0, np.broadcast_to(each, shape), 0.0) for each in moments)
        axis = -1 - n_event
        mean = (weights * means).sum(axis=axis)
        return mean, (weights * (variances + (means - np.expand_dims(mean, axis)) ** 2)).sum(axis=axis)

    def _table(self) -> np.ndarray | None:
        table = self.components._table()
        return None if table is None else np.logaddexp.reduce(self._log_weights()[..., None] + table, axis=-2)
