"""Divergences of Gaussians with full covariances."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._lanes import for_vectors
from .._parameters import event_ndim
from .._scalar import half_squared_ratio_excess, x_minus_log1p
from .._simd import Const, constant, fma, load, splat, store
from .._stirling import rounding_error
from ..closed_forms import register_kl
from ..distribution import Distribution, flat_positions
from .gaussian import MultivariateNormal, MultivariateNormalDiag

SMALL = 0.25  # squared norm of a relative difference up to which that difference is what is computed with
LARGE = 0.06  # a divergence that only a difference of a norm beyond that has
_MOST_FEATURES = 128  # whose matrices, eight at a time, are at home in a cache
_WIDTH = Const(8)


@register_kl(MultivariateNormal, MultivariateNormal)
def kl_multivariate_normal(p: MultivariateNormal, q: MultivariateNormal, n_jobs: int = 1) -> np.ndarray:
    """(tr(S_q^-1 S_p) - d - log det(S_q^-1 S_p) + (m_p - m_q)^T S_q^-1 (m_p - m_q)) / 2."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    arguments = (*pair_rows(p, q, shape), out)
    d = p.event_shape[0]
    if d <= _MOST_FEATURES:
        n_groups = -(-out.size // _WIDTH.value)
        run_rows(_kl_in_lanes, n_groups, *arguments, _WIDTH, n_jobs=n_jobs, row_cost=_WIDTH.value * 2 * d**3)
    else:
        run_rows(_kl_full_kernel, out.size, *arguments, n_jobs=n_jobs, row_cost=2 * d**3)
    return out.reshape(shape)


@register_kl(MultivariateNormalDiag, MultivariateNormal)
@register_kl(MultivariateNormal, MultivariateNormalDiag)
def kl_diagonal_and_full(p: Distribution, q: Distribution, n_jobs: int = 1) -> np.ndarray:
    """The same, with the diagonal covariances written out in blocks of the batch that bound the memory."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    for block in blocks_of_matrices(out.size, p.event_shape[0]):
        out[block] = kl_multivariate_normal(full_block(p, shape, block), full_block(q, shape, block), n_jobs)
    return out.reshape(shape)


def blocks_of_matrices(n: int, d: int) -> Iterator[slice]:
    """Slices of n items whose (d, d) matrices take up to 32 MiB a slice."""
    step = max(1, (1 << 22) // (d * d))
    return (slice(start, start + step) for start in range(0, n, step))


def full_block(distribution: Any, shape: tuple[int, ...], block: slice) -> MultivariateNormal:
    if distribution.batch_shape:
        positions = np.broadcast_to(flat_positions(distribution), shape).reshape(-1)
        distribution = distribution._take(positions[block])
    return distribution if isinstance(distribution, MultivariateNormal) else distribution.to_full()


def pair_rows(p: Any, q: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """What kernels take of two distributions: parameters with the indices of their rows, and which has its factor."""
    return (*_rows(p, shape), *_rows(q, shape), p._by_factor, q._by_factor)


def _rows(distribution: MultivariateNormal, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Flat parameters, each with the index of its row for every item of the broadcast batch."""
    flat: list[np.ndarray] = []
    for array, n_event in (
        (distribution.mean, event_ndim(MultivariateNormal, "mean")),
        (distribution.cov, event_ndim(MultivariateNormal, "cov")),
        (distribution.cholesky, event_ndim(MultivariateNormal, "cov")),
    ):
        flat += flat_rows(array, n_event, shape)
    return tuple(flat)


def flat_rows(array: np.ndarray, n_event: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The items of a batch one after the other, and the index of the one for each place of the shape."""
    batch, event = array.shape[: array.ndim - n_event], array.shape[array.ndim - n_event :]
    index = np.broadcast_to(np.arange(math.prod(batch)).reshape(batch), shape)
    index = np.ascontiguousarray(index).reshape(-1)  # of one layout, so that kernels are compiled once
    return frozen(array.reshape((math.prod(batch), *event))), frozen(index)


@jit
def solve_lower(factor, columns):
    """Overwrite the columns with factor^-1 columns, for a lower triangular factor."""
    d, n = columns.shape
    for i in range(d):
        for k in range(i):
            weight = factor[i, k]
            if weight != 0.0:  # 0 times inf would be nan
                for j in range(n):
                    columns[i, j] -= weight * columns[k, j]
        for j in range(n):
            columns[i, j] /= factor[i, i]


@jit
def whiten_difference(work, cov_q, factor_q):
    """Overwrite a symmetric W with E = L_q^-1 W L_q^-T; return its squared norm, inf where it cannot be small."""
    d = work.shape[0]
    for i in range(d):
        if not abs(work[i, i]) < 0.5 * cov_q[i, i]:
            return np.inf
    solve_lower(factor_q, work)
    solve_lower(factor_q, work.T)
    norm = 0.0
    for i in range(d):
        for j in range(d):
            norm += work[i, j] * work[i, j]
    return norm if norm < np.inf else np.inf


@jit
def small_excess(work):
    """(tr E - log det(I + E)) / 2 of a small E, which is overwritten; inf where I + E is not positive definite.

    With I + E = C D C^T (unit lower triangular C, D_j = 1 + delta_j) it is the sum of
    delta_j - log1p(delta_j) and of C_ij^2 D_j over i > j: terms that are all >= 0, so that no digit
    is lost however near the two covariances are.
    """
    d = work.shape[0]
    total = 0.0
    for j in range(d):
        for i in range(j, d):  # work[i, j] becomes C_ij D_j
            for k in range(j):
                work[i, j] -= work[i, k] / (1.0 + work[k, k]) * work[j, k]
        if not work[j, j] > -1.0:
            return np.inf
        total += 0.5 * x_minus_log1p(work[j, j])
        for i in range(j + 1, d):
            total += 0.5 * work[i, j] * work[i, j] / (1.0 + work[j, j])
    return total


@jit
def covariance_excess(cov_p, factor_p, ratio, difference, cov_q, factor_q, work):
    """(tr A - d - log det A) / 2 for A = S_q^-1 ratio S_p, where difference = ratio - 1 may be better known.

    Where E = L_q^-1 (ratio S_p - S_q) L_q^-T is small, from E. Else from M = sqrt(ratio) L_q^-1 L_p: half the sum of
    M_jj^2 - 1 - log M_jj^2 and of M_ij^2 over i > j.
    """
    d = cov_p.shape[0]
    for i in range(d):
        for j in range(i + 1):
            work[i, j] = cov_p[i, j] - cov_q[i, j] + difference * cov_p[i, j]
            work[j, i] = work[i, j]
    return _excess_of_difference(work, factor_p, math.sqrt(ratio), cov_q, factor_q)


@jit
def _excess_of_difference(work, factor_p, scale, cov_q, factor_q):
    """The same from the difference of the covariances, which is overwritten."""
    if whiten_difference(work, cov_q, factor_q) < SMALL:
        return small_excess(work)
    d = work.shape[0]
    for i in range(d):  # a whole-array assignment takes seconds to compile
        for j in range(d):
            work[i, j] = scale * factor_p[i, j]
    solve_lower(factor_q, work)
    total = 0.0
    for i in range(d):
        total += half_squared_ratio_excess(scale * factor_p[i, i], factor_q[i, i])
        for j in range(i):
            total += 0.5 * work[i, j] * work[i, j]
    return total


@jit
def less_product(total, rest, a, b):
    """total + rest - a b, again as a sum and what its rounding left."""
    product = a * b
    less = total - product
    back = total - less
    return less, rest + (((total - (less + back)) + (back - product)) - rounding_error(a, b, product))


@jit
def fill_beyond_product(work, cov, factor, sign):
    """Fill work with sign (cov - factor factor^T), from products and sums of twice the digits."""
    d = cov.shape[0]
    for i in range(d):
        for j in range(i + 1):
            total, rest = cov[i, j], 0.0
            for k in range(j + 1):
                total, rest = less_product(total, rest, factor[i, k], factor[j, k])
            work[i, j] = work[j, i] = sign * (total + rest)


@jit
def whiten_factors(work, factor_p, factor_q):
    """Overwrite work with L_q^-1 (L_p - L_q)."""
    d = work.shape[0]
    for i in range(d):
        for j in range(d):
            work[i, j] = factor_p[i, j] - factor_q[i, j]
    solve_lower(factor_q, work)


@jit
def _factors_excess(factor_p, factor_q, work):
    """(tr A - d - log det A) / 2 for A = M M^T, M = L_q^-1 L_p: half the sum of M_jj^2 - 1 - log M_jj^2 and of M_ij^2
    over i > j, where M - 1 = L_q^-1 (L_p - L_q) takes no cancellation."""
    whiten_factors(work, factor_p, factor_q)
    total = 0.0
    for i in range(work.shape[0]):
        total += half_squared_ratio_excess(factor_p[i, i], factor_q[i, i])
        for j in range(i):
            total += 0.5 * work[i, j] * work[i, j]
    return total


@jit
def fill_difference(work, cov_p, factor_p, cov_q, factor_q, by_factor_p, by_factor_q):
    """Fill work with S_p - S_q, of which at most one was given by its factor."""
    if by_factor_p:
        fill_beyond_product(work, cov_q, factor_p, -1.0)
    elif by_factor_q:
        fill_beyond_product(work, cov_p, factor_q, 1.0)
    else:
        for i in range(work.shape[0]):
            for j in range(i + 1):
                work[i, j] = work[j, i] = cov_p[i, j] - cov_q[i, j]


@jit
def _pair_excess(cov_p, factor_p, cov_q, factor_q, by_factor_p, by_factor_q, work):
    """(tr A - d - log det A) / 2 for A = S_q^-1 S_p, from what was given of each: its matrix, or its factor."""
    if by_factor_p and by_factor_q:
        return _factors_excess(factor_p, factor_q, work)
    fill_difference(work, cov_p, factor_p, cov_q, factor_q, by_factor_p, by_factor_q)
    return _excess_of_difference(work, factor_p, 1.0, cov_q, factor_q)


@jit
def _kl_full_kernel(
    start, stop, mean_p, mean_p_row, cov_p, cov_p_row, factor_p, factor_p_row,
    mean_q, mean_q_row, cov_q, cov_q_row, factor_q, factor_q_row, by_factor_p, by_factor_q, out,
):  # fmt: skip
    d = mean_p.shape[1]
    work = np.empty((d, d))
    shift = np.empty((d, 1))
    for row in range(start, stop):
        factor = factor_q[factor_q_row[row]]
        cov = cov_p[cov_p_row[row]], factor_p[factor_p_row[row]]
        total = _pair_excess(*cov, cov_q[cov_q_row[row]], factor, by_factor_p, by_factor_q, work)
        for i in range(d):
            shift[i, 0] = mean_p[mean_p_row[row], i] - mean_q[mean_q_row[row], i]
        solve_lower(factor, shift)
        for i in range(d):
            total += 0.5 * shift[i, 0] * shift[i, 0]
        out[row] = total


@jit
def fill_whitened(cov_p, factor_p, cov_q, factor_q, by_factor_p, by_factor_q, work, square):
    """Fill square with E = L_q^-1 (S_p - S_q) L_q^-T, and work with L_q^-1 (L_p - L_q) unless E is small.

    Return (tr E - log det(1 + E)) / 2, and a bound of the norm of E.
    """
    d = work.shape[0]
    if not (by_factor_p and by_factor_q):
        fill_difference(square, cov_p, factor_p, cov_q, factor_q, by_factor_p, by_factor_q)
        norm = whiten_difference(square, cov_q, factor_q)
        if norm < SMALL:
            for i in range(d):
                for j in range(d):
                    work[i, j] = square[i, j]
            return small_excess(work), math.sqrt(norm)
    excess, norm = _factors_excess(factor_p, factor_q, work), 0.0
    for i in range(d):
        for j in range(i + 1):
            total = work[i, j] + (work[i, i] if i == j else 0.0)
            for k in range(j + 1):
                total += work[i, k] * work[j, k]
            square[i, j] = square[j, i] = total
            norm += (1.0 if i == j else 2.0) * total * total
    return excess, math.sqrt(norm)


_squared_ratio_excess = for_vectors(half_squared_ratio_excess)


@jit
def _kl_in_lanes(
    start, stop, mean_p, mean_p_row, cov_p, cov_p_row, factor_p, factor_p_row,
    mean_q, mean_q_row, cov_q, cov_q_row, factor_q, factor_q_row, by_factor_p, by_factor_q, out, lanes,
):  # fmt: skip
    """From the factors, each lane another item; what turns out to be no number, each for itself, as what is near 0
    unless it is the factors that were given."""
    width, d = constant(lanes), mean_p.shape[1]
    weights, columns = np.empty((d, d, width)), np.empty((-(-d // 4) * 4, d, width))
    shift, diagonal, sums = np.empty((d, width)), np.empty((d, width)), np.empty((2, width))
    least = -1.0 if by_factor_p and by_factor_q else LARGE
    for group in range(start, stop):
        for lane in range(width):
            row = min(group * width + lane, out.size - 1)
            own, other = factor_p[factor_p_row[row]], factor_q[factor_q_row[row]]
            for i in range(d):
                shift[i, lane] = mean_p[mean_p_row[row], i] - mean_q[mean_q_row[row], i]
                diagonal[i, lane] = own[i, i]
                for j in range(i + 1):
                    columns[j, i, lane] = own[i, j] - other[i, j]  # so that sums run over neighbours
                    weights[i, j, lane] = -other[i, j]
        store(sums, 0, _whitened_excess(weights, columns, diagonal, lanes))
        store(sums, width, _half_norm(weights, shift, lanes))
        for lane in range(min(width, out.size - group * width)):
            row = group * width + lane
            total = sums[0, lane] + sums[1, lane]
            if sums[0, lane] > least and total < np.inf:
                out[row] = total
            else:
                _kl_full_kernel(
                    row, row + 1, mean_p, mean_p_row, cov_p, cov_p_row, factor_p, factor_p_row,
                    mean_q, mean_q_row, cov_q, cov_q_row, factor_q, factor_q_row, by_factor_p, by_factor_q, out,
                )  # fmt: skip


@jit
def _whitened_excess(weights, columns, diagonal, lanes):
    """`_factors_excess` from -L_q, the columns of L_p - L_q and the diagonal of L_p."""
    width, d = constant(lanes), weights.shape[0]
    total = splat(0.0, lanes)
    for i in range(d):
        pivot = 0.0 - load(weights, (i * d + i) * width, lanes)
        inverse = 1.0 / pivot
        total = total + _squared_ratio_excess(load(diagonal, i * width, lanes), pivot)
        for j in range(i + 1, columns.shape[0]):
            if j % 4 == 0:
                break
            store(columns, (j * d + i) * width, splat(0.0, lanes))
        for j in range(0, i + 1, 4):  # four columns at a time: their sums do not wait for one another
            first, column = j * d * width, d * width
            second, third, fourth = first + column, first + 2 * column, first + 3 * column
            at = i * width
            a, b = load(columns, first + at, lanes), load(columns, second + at, lanes)
            c, e = load(columns, third + at, lanes), load(columns, fourth + at, lanes)
            for k in range(j * width, at, width):
                weight = load(weights, i * d * width + k, lanes)
                a = fma(weight, load(columns, first + k, lanes), a)
                b = fma(weight, load(columns, second + k, lanes), b)
                c = fma(weight, load(columns, third + k, lanes), c)
                e = fma(weight, load(columns, fourth + k, lanes), e)
            store(columns, first + at, a * inverse)
            store(columns, second + at, b * inverse)
            store(columns, third + at, c * inverse)
            store(columns, fourth + at, e * inverse)
        for j in range(i):
            entry = load(columns, (j * d + i) * width, lanes)
            total = fma(0.5 * entry, entry, total)
    return total


@jit
def _half_norm(weights, shift, lanes):
    """Half the squared norm of L_q^-1 shift."""
    width, d = constant(lanes), shift.shape[0]
    total = splat(0.0, lanes)
    for i in range(d):
        entry = load(shift, i * width, lanes)
        for k in range(i):
            entry = fma(load(weights, (i * d + k) * width, lanes), load(shift, k * width, lanes), entry)
        entry = entry / (0.0 - load(weights, (i * d + i) * width, lanes))
        store(shift, i * width, entry)
        total = fma(0.5 * entry, entry, total)
    return total
