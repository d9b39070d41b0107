"""What all families of counts share."""

import math
from typing import Any

import numpy as np

from . import integrands, quadrature
from ._scalar import LOG_2PI
from ._summation import summed
from .distribution import Distribution
from .errors import InvalidParameterError

_LARGEST_COUNT = 2.0**62  # that NumPy draws
_LEAST_STRIDE = 16.0
_AGREEMENT = 1e-13
_NORMAL = 46.0  # logarithm of the variance from which on a distribution of counts is normal to the last digit


def at_counts(x: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Log-probabilities where x is a count, -inf elsewhere, nan at nan."""
    return np.where(np.isnan(x), np.nan, np.where((x >= 0) & (x == np.floor(x)), log_probs, -np.inf))


def cross_entropy_of_counts(p: Distribution, q: Distribution) -> np.ndarray:
    """Cross-entropy of q under p, over the batch, from sums over all counts that weigh anything, to about 1e-13.

    Where p is wide, every 2^k-th count will do: the sums of a smooth function over two such lattices agree to
    rounding, or one takes all counts.
    """
    return quadrature.loop(_of_one, (p, q))


def entropy_of_counts(p: Distribution, log_variance: np.ndarray, is_normal: Any = True) -> np.ndarray:
    """Entropy by summation, or that of a normal distribution where the variance is huge and is_normal."""
    flat = np.broadcast_to(log_variance, p.batch_shape).reshape(-1)
    normal = (flat > _NORMAL) & np.broadcast_to(is_normal, p.batch_shape).reshape(-1)
    out = np.empty(flat.shape)
    out[normal] = 0.5 * (1.0 + LOG_2PI + flat[normal])
    rest = p._take(np.flatnonzero(~normal))
    out[~normal] = cross_entropy_of_counts(rest, rest)
    return out.reshape(p.batch_shape)


def _of_one(laws: list[Distribution]) -> float:
    place, reach = (float(x) for x in laws[0]._bulk())
    stride = 2.0 ** math.floor(math.log2(reach) - 5.0)
    if stride >= _LEAST_STRIDE and math.isfinite(64.0 * reach):
        coarse, fine = (_strided(laws, place, 64.0 * reach, each) for each in (stride, 0.5 * stride))
        if abs(coarse[0] - fine[0]) <= _AGREEMENT * abs(fine[0]) and abs(fine[1] - 1.0) <= 10.0 * _AGREEMENT:
            return fine[0]
    with np.errstate(all="ignore"):
        return summed(integrands.cross_entropy, laws, f"-p.log_prob(p.sample(n)).mean() for a {laws[0]._name} p", True)


def _strided(laws: list[Distribution], place: float, farthest: float, stride: float) -> tuple[float, float]:
    """Cross-entropy and mass of counts around a place, each standing for as many as a stride is long."""
    steps = np.arange(-math.ceil(farthest / stride), math.ceil(farthest / stride) + 1.0)
    counts = (math.floor(place / stride) + steps) * stride
    with np.errstate(all="ignore"):
        logs = np.array([law._log_prob(counts) for law in laws] + [np.zeros(counts.shape)])
        return stride * float(integrands.cross_entropy(logs).sum()), stride * float(np.exp(logs[0]).sum())


def check_drawable(largest: np.ndarray, distribution: Distribution) -> None:
    if largest.size and not largest.max() <= _LARGEST_COUNT:
        raise InvalidParameterError(
            f"draws of {distribution._name} would be beyond 2**62 (about {largest.max():.3g}), which cannot be drawn; "
            "a Normal of the same mean and variance has the same draws to float64."
        )
