"""Affinities of Gaussians, and the total variation of two univariate ones."""

import math
from typing import Any

import numpy as np

from .._affinity import log_mean_gap
from .._formula import Formula
from .._jit import jit
from .._scalar import standard_difference
from ..relatives import register_relative
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal

_MATRIX_ELEMENTS = 1 << 22  # at a time: 32 MiB


@jit
def log_affinity_scalar(ratio, excess, z, alpha):
    """log of the integral of p^a q^(1 - a) from r = var_p / var_q, r - 1 and z = (mean_p - mean_q) / std_q.

    It is -(log((1 - a) r + a) - (1 - a) log r) / 2 - a (1 - a) z^2 / (2 ((1 - a) r + a)), and inf where
    (1 - a) r + a, the variance of the product of the powers, does not exist.
    """
    beta = 1.0 - alpha
    mixed = 1.0 + beta * excess if abs(excess) < 0.5 else alpha + beta * ratio
    if mixed <= 0.0:
        return math.inf
    if ratio == 1.0 and excess == 0.0 and z == 0.0:
        return 0.0
    gap = log_mean_gap(ratio, excess, alpha)
    return -0.5 * gap - 0.5 * alpha * beta * z * (z / mixed)


@Formula
def log_affinity_normal_normal(mean_p, var_p, mean_q, var_q, alpha):
    """The same from means and variances."""
    ratio, beta = var_p / var_q, 1.0 - alpha
    z = standard_difference(mean_p, mean_q, math.sqrt(var_q))
    if 1e-290 < ratio < 1e290:
        return log_affinity_scalar(ratio, (var_p - var_q) / var_q, z, alpha)
    log_ratio = math.log(var_p) - math.log(var_q)  # the smaller variance is nothing beside the larger
    if log_ratio < 0.0:
        return -0.5 * (math.log(alpha) - beta * log_ratio + beta * z * z)
    if beta < 0.0:
        return math.inf
    z = standard_difference(mean_p, mean_q, math.sqrt(var_p))
    return -0.5 * (math.log(beta) + alpha * log_ratio + alpha * z * z)


@register_relative("log_affinity", Normal, Normal)
@register_relative("log_affinity", MultivariateNormalDiag, MultivariateNormalDiag)
def log_affinity_diagonal(p: Any, q: Any, *, alpha: float) -> np.ndarray:
    """Summed over coordinates."""
    n_axes = len(p.event_shape)
    return log_affinity_normal_normal.summed(p.mean, p.var, q.mean, q.var, alpha, n_axes=n_axes)


@Formula
def _log_affinity_whitened(excess, z, alpha):
    return log_affinity_scalar(1.0 + excess, excess, z, alpha)


@register_relative("log_affinity", MultivariateNormal, MultivariateNormal)
@register_relative("log_affinity", MultivariateNormalDiag, MultivariateNormal)
@register_relative("log_affinity", MultivariateNormal, MultivariateNormalDiag)
def log_affinity_full(p: Any, q: Any, *, alpha: float) -> np.ndarray:
    """Summed over the eigenvectors of cov_p in coordinates in which cov_q is the identity."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out, d = np.empty(math.prod(shape)), p.event_shape[0]
    places = [
        np.broadcast_to(np.arange(math.prod(law.batch_shape)).reshape(law.batch_shape), shape).reshape(-1)
        for law in (p, q)
    ]
    step = max(1, _MATRIX_ELEMENTS // (d * d))
    for start in range(0, out.size, step):
        block = slice(start, start + step)
        first, second = (_full(law, i[block]) for law, i in zip((p, q), places, strict=True))
        out[block] = _log_affinity_block(first, second, alpha)
    return out.reshape(shape)


def _full(law: Any, positions: np.ndarray) -> MultivariateNormal:
    taken = law._take(positions)
    return taken if isinstance(taken, MultivariateNormal) else taken.to_full()


def _log_affinity_block(p: MultivariateNormal, q: MultivariateNormal, alpha: float) -> np.ndarray:
    lower = np.tril(p.cov - q.cov)
    difference = lower + np.swapaxes(np.tril(lower, -1), -1, -2)
    half = np.linalg.solve(q.cholesky, difference)
    whitened = np.linalg.solve(q.cholesky, np.swapaxes(half, -1, -2))
    excess, vectors = np.linalg.eigh(0.5 * (whitened + np.swapaxes(whitened, -1, -2)))
    shift = np.linalg.solve(q.cholesky, (p.mean - q.mean)[..., None])
    z = (np.swapaxes(vectors, -1, -2) @ shift)[..., 0]
    return _log_affinity_whitened.summed(np.maximum(excess, _LEAST_EXCESS), z, alpha, n_axes=1)


_LEAST_EXCESS = np.nextafter(-1.0, 0.0)  # rounding must not make a variance negative

# ---------------------------------------------------------------- total variation

# A. H. Stroud and D. Secrest (1966): Gauss-Legendre, 8 nodes
_NODES = (0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363)
_WEIGHTS = (0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763)


@jit
def _normal_mass(middle, width):
    """Mass of N(0, 1) on an interval, to full relative accuracy if it is narrow."""
    if width < 0.5:
        total = 0.0
        for node, weight in zip(_NODES, _WEIGHTS):  # noqa: B905 (compiled)
            for x in (middle - 0.5 * width * node, middle + 0.5 * width * node):
                total += weight * math.exp(-0.5 * x * x)
        return 0.5 * width * total / math.sqrt(2.0 * math.pi)
    middle = abs(middle)
    low, high = (middle - 0.5 * width) / math.sqrt(2.0), (middle + 0.5 * width) / math.sqrt(2.0)
    return 0.5 * (math.erfc(low) - math.erfc(high))


@Formula
def total_variation_normal_normal(mean_p, var_p, mean_q, var_q):
    """Differences of the distribution functions where the densities cross, found without cancellation.

    With e = var_q / var_p - 1 >= 0, r = sqrt(1 + e), d = |mean_p - mean_q| / std_p >= 0 and g = e log(1 + e), the
    crossings in units of p are -(d + s) / e and (d^2 + r^2 log(1 + e)) / (d + s), where s = r sqrt(d^2 + g).
    """
    least, greatest = min(var_p, var_q), max(var_p, var_q)
    d = abs(standard_difference(mean_p, mean_q, math.sqrt(least)))
    r = math.sqrt(greatest) / math.sqrt(least)
    if d > 1e100 or r > 1e50:
        return 1.0  # apart, or a needle in a field
    e = (greatest - least) / least
    if d == 0.0 and e == 0.0:
        return 0.0
    g = e * math.log1p(e)
    root = math.sqrt(d * d + g)
    right = (d * d + r * r * math.log1p(e)) / (d + r * root)
    width = (right * e / (r + 1.0) + d) / r
    total = _normal_mass(right - 0.5 * width, width)
    if e > 0.0:
        left = -(d + r * root) / e
        width = g / ((root + d) * (r + 1.0))
        total += _normal_mass(left + 0.5 * width, width)
    return min(total, 1.0)


@register_relative("total_variation", Normal, Normal)
def total_variation_normal(p: Normal, q: Normal) -> np.ndarray:
    """Of two univariate Gaussians."""
    return total_variation_normal_normal(p.mean, p.var, q.mean, q.var)
