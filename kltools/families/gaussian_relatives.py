"""Affinities of Gaussians, and the total variation of two univariate ones."""

import math
from typing import Any

import numpy as np

from .._affinity import far_mean_gap, log1p_exp, mean_gap
from .._formula import Formula
from .._jit import jit, run_rows
from .._scalar import standard_difference
from .._special import log_ratio
from ..relatives import register_relative
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .gaussian_full import blocks_of_matrices, fill_whitened, full_block, pair_rows, small_excess, solve_lower


@jit
def log_affinity_scalar(ratio, excess, z, weight):
    """log of the integral of a^(1 - w) b^w for a weight w <= 1/2, from r = var_a / var_b, r - 1 and z = (mean_a -
    mean_b) / std_b.

    It is -(log(1 + w (r - 1)) - w log r) / 2 - w (1 - w) z^2 / (2 (1 + w (r - 1))), and inf where 1 + w (r - 1), the
    variance of the product of the powers, is not positive.
    """
    mixed = 1.0 + weight * excess
    if mixed <= 0.0:
        return math.inf
    return -0.5 * mean_gap(ratio, excess, weight) - 0.5 * weight * (1.0 - weight) * z * (z / mixed)


@jit
def _log_affinity(mean_a, var_a, mean_b, var_b, weight):
    ratio, z = var_a / var_b, standard_difference(mean_a, mean_b, math.sqrt(var_b))
    if 1e-290 < ratio < 1e290:
        return log_affinity_scalar(ratio, (var_a - var_b) / var_b, z, weight)
    logarithm = math.log(var_a) - math.log(var_b)  # the smaller variance is nothing beside the larger
    if logarithm < 0.0:
        return -0.5 * (far_mean_gap(logarithm, weight) + weight * z * z)
    if weight < 0.0:
        return math.inf
    z = standard_difference(mean_a, mean_b, math.sqrt(var_a))
    share = math.exp(-log1p_exp(-math.log(weight) - logarithm))  # of b in the mixed variance
    return -0.5 * (far_mean_gap(logarithm, weight) + (1.0 - weight) * share * z * z)


@Formula
def log_affinity_normal_normal(mean_p, var_p, mean_q, var_q, alpha):
    """log of the integral of p^a q^(1 - a) from means and variances."""
    if alpha > 0.5:
        return _log_affinity(mean_p, var_p, mean_q, var_q, 1.0 - alpha)
    return _log_affinity(mean_q, var_q, mean_p, var_p, alpha)


@register_relative("log_affinity", Normal, Normal)
@register_relative("log_affinity", MultivariateNormalDiag, MultivariateNormalDiag)
def log_affinity_diagonal(p: Any, q: Any, *, alpha: float) -> np.ndarray:
    """Summed over coordinates."""
    n_axes = len(p.event_shape)
    return log_affinity_normal_normal.summed(p.mean, p.var, q.mean, q.var, alpha, n_axes=n_axes)


@register_relative("log_affinity", MultivariateNormal, MultivariateNormal)
@register_relative("log_affinity", MultivariateNormalDiag, MultivariateNormal)
@register_relative("log_affinity", MultivariateNormal, MultivariateNormalDiag)
def log_affinity_full(p: Any, q: Any, *, alpha: float) -> np.ndarray:
    """-(log det(1 + w E) - w log det(1 + E)) / 2 - w (1 - w) z^T (1 + w E)^-1 z / 2 for E = L_b^-1 (S_a - S_b) L_b^-T,
    z = L_b^-1 (m_a - m_b), where b is the one of p and q that has the lesser power w."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out, d = np.empty(math.prod(shape)), p.event_shape[0]
    laws, weight = ((p, q), 1.0 - alpha) if alpha > 0.5 else ((q, p), alpha)
    for block in blocks_of_matrices(out.size, d):
        first, second = (full_block(law, shape, block) for law in laws)
        part = out[block]
        rows = pair_rows(first, second, part.shape)
        run_rows(_log_affinity_kernel, part.size, *rows, float(weight), part, row_cost=4 * d**3)
    return out.reshape(shape)


@jit
def _log_affinity_kernel(
    start, stop, mean_a, mean_a_row, cov_a, cov_a_row, factor_a, factor_a_row,
    mean_b, mean_b_row, cov_b, cov_b_row, factor_b, factor_b_row, by_factor_a, by_factor_b, weight, out,
):  # fmt: skip
    """From w (tr E - log det(1 + E)) - (w tr E - log det(1 + w E)), whose parts are sums of terms >= 0; where w E is
    large, from a factor of 1 + w E."""
    d = mean_a.shape[1]
    work, mixed, z = np.empty((d, d)), np.empty((d, d)), np.empty((d, 1))
    for row in range(start, stop):
        a, b = (
            (cov_a[cov_a_row[row]], factor_a[factor_a_row[row]]),
            (cov_b[cov_b_row[row]], factor_b[factor_b_row[row]]),
        )
        for i in range(d):
            z[i, 0] = mean_a[mean_a_row[row], i] - mean_b[mean_b_row[row], i]
        solve_lower(b[1], z)
        excess, largest = fill_whitened(*a, *b, by_factor_a, by_factor_b, work, mixed)
        if weight * largest < 0.5:
            for i in range(d):
                for j in range(d):
                    mixed[i, j] *= weight
            out[row] = small_excess(mixed) - weight * excess
            if out[row] < np.inf:
                out[row] -= 0.5 * weight * (1.0 - weight) * _square_within(mixed, z)
        else:
            log_det, square = _by_triangle(work, weight, mixed, z)
            for i in range(d):
                log_det -= weight * log_ratio(a[1][i, i], b[1][i, i])
            out[row] = -log_det - 0.5 * weight * (1.0 - weight) * square


@jit
def _square_within(mixed, z):
    """z^T (C D C^T)^-1 z, where mixed[i, j] is C_ij D_j below the diagonal and D_j - 1 on it."""
    total = 0.0
    for i in range(z.shape[0]):
        for k in range(i):
            z[i, 0] -= mixed[i, k] / (1.0 + mixed[k, k]) * z[k, 0]
        total += z[i, 0] * (z[i, 0] / (1.0 + mixed[i, i]))
    return total


@jit
def _by_triangle(work, weight, root, z):
    """log det(R) and the squared norm of R^-T z for the R^T R = 1 - w + w M M^T of a lower triangular M = 1 + work.

    Rows of M^T are turned into R one after the other, whatever the sizes of their entries.
    """
    d = work.shape[0]
    line = np.empty(d)
    for i in range(d):
        for j in range(d):
            root[i, j] = 0.0
        root[i, i] = math.sqrt(1.0 - weight)
    for k in range(d):
        for j in range(k, d):
            line[j] = math.sqrt(weight) * ((1.0 if j == k else 0.0) + work[j, k])
        for i in range(k, d):
            length = math.hypot(root[i, i], line[i])
            cosine, sine = root[i, i] / length, line[i] / length
            root[i, i] = length
            for j in range(i + 1, d):
                turned = cosine * line[j] - sine * root[i, j]
                root[i, j] = cosine * root[i, j] + sine * line[j]
                line[j] = turned
    log_det = square = 0.0
    for i in range(d):
        for k in range(i):
            z[i, 0] -= root[k, i] * z[k, 0]
        z[i, 0] /= root[i, i]
        square += z[i, 0] * z[i, 0]
        log_det += math.log(root[i, i])
    return log_det, square


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
