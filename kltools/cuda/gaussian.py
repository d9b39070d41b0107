"""Divergences of Gaussians with full covariances: one block of threads for a pair.

The matrix that a pair is computed in lies in shared memory up to `_MOST_SHARED` dimensions, in scratch memory of the
block beyond. Threads take columns of a triangular solve, which wait for nobody.
"""

import functools
import math
from typing import Any

import numpy as np

from .._scalar import half_squared_ratio_excess, x_minus_log1p
from ..distribution import Distribution
from ..families.gaussian_full import (
    LARGE,
    SMALL,
    blocks_of_matrices,
    full_block,
    less_product,
    pair_rows,
)
from ._blocks import sum_of_block
from ._compat import SIMULATED, Kernel, cuda, device, types
from .interop import Place
from .memory import telling_shortage, workspace

float64 = types.float64
_MOST_SHARED = 75  # whose matrix takes less than 48 KiB
_SIZES = (16, 32, 48, _MOST_SHARED)
_MOST_BLOCKS = 2 if SIMULATED else 1 << 12
_MOST_THREADS = 8 if SIMULATED else 256
_WARP = 8 if SIMULATED else 32

_excess_of_ratio, _excess_of_change = device(half_squared_ratio_excess), device(x_minus_log1p)
_less_product = device(less_product)


def kl_multivariate_normal(p: Any, q: Any) -> np.ndarray:
    """The twin of `families.gaussian_full.kl_multivariate_normal`, for parameters on the host."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    *rows, by_factor_p, by_factor_q = pair_rows(p, q, shape)
    d, n = p.event_shape[0], math.prod(shape)
    out = np.empty(n)
    step = max(1, workspace() // (8 * (4 * d * d + 2 * d)))
    with telling_shortage(), Place() as place:
        for start in range(0, n, step):
            block = slice(start, start + step)
            out[block] = _block_of_pairs(rows, block, d, (by_factor_p, by_factor_q), place)
    return out.reshape(shape)


def kl_diagonal_and_full(p: Distribution, q: Distribution) -> np.ndarray:
    """The same, with the diagonal covariances written out in blocks of the batch that bound the memory."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    out = np.empty(math.prod(shape))
    for block in blocks_of_matrices(out.size, p.event_shape[0]):
        out[block] = kl_multivariate_normal(full_block(p, shape, block), full_block(q, shape, block))
    return out.reshape(shape)


def _block_of_pairs(rows: list[np.ndarray], block: slice, d: int, by_factor: tuple, place: Place) -> np.ndarray:
    """All pairs from their factors; then those that nearly agree, or overflowed, from what was given of each."""
    mean_p, cov_p, factor_p, mean_q, cov_q, factor_q = (
        _sent(array, index[block], place) for array, index in zip(rows[::2], rows[1::2], strict=True)
    )
    n = len(rows[1][block])
    excess, shift = place.scratch(n), place.scratch(n)
    _launch(_by_factors(_size(d), _threads(d)), n, d, place, (*mean_p, *factor_p, *mean_q, *factor_q, excess, shift))
    found, moved = place.receive(excess)[:n], place.receive(shift)[:n]
    if not all(by_factor):
        with np.errstate(invalid="ignore"):
            again = np.flatnonzero(~((found > LARGE) & (found + moved < math.inf)))
        if again.size:
            kernel = _by_difference(_size(d), _threads(d), *by_factor)
            _launch(kernel, again.size, d, place, (place.send(again), *cov_p, *factor_p, *cov_q, *factor_q, excess))
            found = place.receive(excess)[:n]
    return found + moved


def _sent(array: np.ndarray, index: np.ndarray, place: Place) -> tuple[Any, Any]:
    """The items that are needed, once each, and which of them stands at each place."""
    needed, place_of = np.unique(index, return_inverse=True)
    items = array if len(needed) == len(array) else array[needed]
    return place.send(np.ascontiguousarray(items)), place.send(np.ascontiguousarray(place_of.reshape(-1)))


def _launch(kernel: Kernel, n: int, d: int, place: Place, arrays: tuple) -> None:
    blocks = min(n, _MOST_BLOCKS)
    scratch = place.scratch(1, 1) if _size(d) else place.scratch(blocks, d * (d + 2))
    kernel(blocks, _threads(d), place.stream, n, d, scratch, arrays)


def _size(d: int) -> int:
    """Dimensions that shared memory is made for; 0 for none."""
    return next((size for size in _SIZES if d <= size), 0)


def _threads(d: int) -> int:
    return min(_MOST_THREADS, -(-(d + 1) // _WARP) * _WARP)


# ---------------------------------------------------------------- kernels


def _with_memory(size: int, threads: int, traverse: Any) -> Kernel:
    """A kernel that calls a function with d (d + 2) numbers of memory of the block, and one for each thread."""
    length, traverse = size * (size + 2), device(traverse)

    def shared(n, d, scratch, arrays):
        kept = cuda.shared.array(threads, float64)
        memory = cuda.shared.array(length, float64)
        traverse(n, d, memory, kept, arrays)

    def beyond(n, d, scratch, arrays):
        kept = cuda.shared.array(threads, float64)
        traverse(n, d, scratch[cuda.blockIdx.x], kept, arrays)

    return Kernel(shared if size else beyond)


def _solve_column(memory, start, column, row_step, first, d, factor):
    """Overwrite the numbers at start + column + row * row_step, from the first row on, with those of factor^-1."""
    for i in range(first, d):
        value = memory[start + column + i * row_step]
        for k in range(first, i):
            weight = factor[i, k]
            if weight != 0.0:  # 0 times inf would be nan
                value -= weight * memory[start + column + k * row_step]
        memory[start + column + i * row_step] = value / factor[i, i]


_solve_column = device(_solve_column)


def _half_squares_below(memory, column, d):
    """Half the sum of squares of a column below the diagonal."""
    total = 0.0
    for i in range(column + 1, d):
        entry = memory[column + i * d]
        total += 0.5 * entry * entry
    return total


_half_squares_below = device(_half_squares_below)


@functools.cache
def _by_factors(size: int, threads: int) -> Kernel:
    """(tr A - d - log det A) / 2 from M = L_q^-1 L_p, and half the squared norm of L_q^-1 (m_p - m_q)."""

    def traverse(n, d, memory, kept, arrays):
        mean_p, mean_p_row, factor_p, factor_p_row, mean_q, mean_q_row, factor_q, factor_q_row, excess, shift = arrays
        thread = cuda.threadIdx.x
        for row in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            own_factor, other = factor_p[factor_p_row[row]], factor_q[factor_q_row[row]]
            for e in range(thread, d * d, threads):
                memory[e] = own_factor[e // d, e % d] - other[e // d, e % d]
            for i in range(thread, d, threads):
                memory[d * d + i] = mean_p[mean_p_row[row], i] - mean_q[mean_q_row[row], i]
            cuda.syncthreads()
            bent, moved = 0.0, 0.0
            for column in range(thread, d + 1, threads):
                if column < d:
                    _solve_column(memory, 0, column, d, column, d, other)
                    bent += _excess_of_ratio(own_factor[column, column], other[column, column])
                    bent += _half_squares_below(memory, column, d)
                else:
                    _solve_column(memory, d * d, 0, 1, 0, d, other)
                    for i in range(d):
                        moved += 0.5 * memory[d * d + i] * memory[d * d + i]
            bent = sum_of_block(bent, kept)
            moved = sum_of_block(moved, kept)
            if thread == 0:
                excess[row], shift[row] = bent, moved
            cuda.syncthreads()

    return _with_memory(size, threads, traverse)


@functools.cache
def _by_difference(size: int, threads: int, by_factor_p: bool, by_factor_q: bool) -> Kernel:
    """(tr A - d - log det A) / 2 of chosen pairs, where E = L_q^-1 (S_p - S_q) L_q^-T is small from E, else from M."""

    def difference(i, j, cov_p, factor_p, cov_q, factor_q):
        if by_factor_p:
            total, rest = cov_q[i, j], 0.0
            for k in range(j + 1):
                total, rest = _less_product(total, rest, factor_p[i, k], factor_p[j, k])
            return -(total + rest)
        if by_factor_q:
            total, rest = cov_p[i, j], 0.0
            for k in range(j + 1):
                total, rest = _less_product(total, rest, factor_q[i, k], factor_q[j, k])
            return total + rest
        return cov_p[i, j] - cov_q[i, j]

    difference = device(difference)

    def traverse(n, d, memory, kept, arrays):
        chosen, cov_p, cov_p_row, factor_p, factor_p_row, cov_q, cov_q_row, factor_q, factor_q_row, excess = arrays
        thread = cuda.threadIdx.x
        for turn in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            row = chosen[turn]
            own, own_factor = cov_p[cov_p_row[row]], factor_p[factor_p_row[row]]
            other, other_factor = cov_q[cov_q_row[row]], factor_q[factor_q_row[row]]
            for e in range(thread, d * d, threads):
                i, j = e // d, e % d
                if j <= i:
                    memory[e] = difference(i, j, own, own_factor, other, other_factor)
                    memory[j * d + i] = memory[e]
            cuda.syncthreads()
            is_near = True
            for i in range(d):
                is_near = is_near and abs(memory[i * d + i]) < 0.5 * other[i, i]
            cuda.syncthreads()
            norm = 0.0
            if is_near:
                for column in range(thread, d, threads):
                    _solve_column(memory, 0, column, d, 0, d, other_factor)
                cuda.syncthreads()
                for line in range(thread, d, threads):
                    _solve_column(memory, line * d, 0, 1, 0, d, other_factor)
                    for j in range(d):
                        norm += memory[line * d + j] * memory[line * d + j]
                norm = sum_of_block(norm, kept)
            if is_near and norm < SMALL:
                value = sum_of_block(small_excess(thread, d, memory), kept)
            else:
                for e in range(thread, d * d, threads):
                    memory[e] = own_factor[e // d, e % d]
                cuda.syncthreads()
                value = 0.0
                for column in range(thread, d, threads):
                    _solve_column(memory, 0, column, d, column, d, other_factor)
                    value += _excess_of_ratio(own_factor[column, column], other_factor[column, column])
                    value += _half_squares_below(memory, column, d)
                value = sum_of_block(value, kept)
            if thread == 0:
                excess[row] = value
            cuda.syncthreads()

    def small_excess(thread, d, memory):
        """The part of one thread of (tr E - log det(1 + E)) / 2, by the pivots and columns of 1 + E = C D C^T."""
        for j in range(d):
            for i in range(j + thread, d, threads):  # the entry becomes C_ij D_j
                entry = memory[i * d + j]
                for k in range(j):
                    entry -= memory[i * d + k] / (1.0 + memory[k * d + k]) * memory[j * d + k]
                memory[i * d + j] = entry
            cuda.syncthreads()
        total = 0.0
        for j in range(d):
            if not memory[j * d + j] > -1.0:
                return math.inf
        for j in range(thread, d, threads):
            total += 0.5 * _excess_of_change(memory[j * d + j])
            for i in range(j + 1, d):
                total += 0.5 * memory[i * d + j] * memory[i * d + j] / (1.0 + memory[j * d + j])
        return total

    small_excess = device(small_excess)
    return _with_memory(size, threads, traverse)
