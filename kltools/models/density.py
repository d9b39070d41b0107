"""Log-densities of Gaussian mixtures: whitening, squares and sums of exponentials in one pass, rows in the lanes."""

import math

import numpy as np

from .._jit import jit
from .._simd import (
    Const,
    constant,
    everywhere,
    exp,
    fma,
    fma_many,
    has_avx512,
    item,
    less,
    load,
    log,
    maximum,
    select,
    splat,
    splat_many,
    store,
)
from .em import invert

BLOCK = 128  # rows of one mixture, in groups that meet a chunk of components one after the other
OPERATIONS_OF_EXP, AT_ONCE = 20, 8  # what an exponential costs, and the lanes that share it
_FEW = 8
_CHUNK = 32  # components whose logarithms are kept
_TWO = Const(2)  # rows of a whitening that are added up at once
_NEGLIGIBLE = -50.0  # logarithm of a share that a hundred thousand times changes no digit


def lanes_for(n_rows: int) -> Const:
    """As many as registers take, so that sums of many rows hide that each waits for its last term."""
    return Const(_FEW if n_rows <= _FEW else 32 if has_avx512() else 16)


def packed_length(d: int) -> int:
    """Of one whitening, whose last row has zeros beside it where their number is odd."""
    return d * (d + 1) // 2 + d % 2 * d


@jit
def pack_kernel(start, stop, factors, packed):
    """Inverses of lower triangles: for each two rows the columns that both have, and the last number of the second."""
    d = factors.shape[1]
    inverse = np.zeros((d, d))
    for k in range(start, stop):
        invert(factors[k], inverse)
        at = 0
        for i in range(0, d, 2):
            for j in range(i + 1):
                packed[k, at] = inverse[i, j]
                packed[k, at + 1] = inverse[i + 1, j] if i + 1 < d else 0.0
                at += 2
            if i + 1 < d:
                packed[k, at] = inverse[i + 1, i + 1]
                at += 1


@jit
def log_density_kernel(
    start, stop, n_each, n_mixtures, x, x_row, log_constants, log_constants_row, means, means_row, factors, factors_row,
    whitenings, whitenings_row, out, lanes,
):  # fmt: skip
    """Blocks of rows that belong to one mixture: the i-th of its n_each rows has the place i * n_mixtures + its number.

    Factors are lower triangles and whitenings their packed inverses, or both are diagonals.
    """
    width, d = constant(lanes), means.shape[2]
    columns = np.empty((BLOCK // width, d * width))
    logs, zeros = np.empty(_CHUNK * width), np.zeros(2)
    tops, sums = np.empty(BLOCK), np.empty(BLOCK)
    parts = (n_each + BLOCK - 1) // BLOCK
    for block in range(start, stop):
        number, row = block // parts, block % parts * BLOCK
        n = min(BLOCK, n_each - row)
        n_groups = (n + width - 1) // width
        for lane in range(n_groups * width):  # what is left of the width repeats the last row
            point = x_row[(row + min(lane, n - 1)) * n_mixtures + number]
            for i in range(d):
                columns[lane // width, i * width + lane % width] = x[point, i]
            tops[lane], sums[lane] = -math.inf, 0.0
        log_constant, mean = log_constants[log_constants_row[number]], means[means_row[number]]
        factor, whitening = factors[factors_row[number]], whitenings[whitenings_row[number]]
        mixture = log_constant, mean, factor, whitening
        for first in range(0, mean.shape[0], _CHUNK):
            last = min(first + _CHUNK, mean.shape[0])
            for group in range(n_groups):
                _meet(columns[group], *mixture, first, last, zeros, logs, tops, sums, group * width, lanes)
        for group in range(n_groups):
            density = load(tops, group * width, lanes) + log(load(sums, group * width, lanes))
            store(tops, group * width, density)
        for lane in range(n):
            out[(row + lane) * n_mixtures + number] = tops[lane]


@jit
def _meet(columns, log_constant, mean, factor, whitening, first, last, zeros, logs, tops, sums, at, lanes):
    """Add some components to the sum of exponentials of a group of rows, relative to the largest so far."""
    width = constant(lanes)
    previous = load(tops, at, lanes)
    top = previous
    for k in range(first, last):
        if factor.shape[1] > 1:
            squares = _full_squares(columns, mean, whitening, k, zeros, lanes)
        else:
            squares = _diagonal_squares(columns, mean, whitening, k, lanes)
        result = log_constant[k] - 0.5 * squares
        place = (k - first) * width
        store(logs, place, result)
        if not everywhere(less(squares, np.inf)):
            _far_out(columns, mean, factor, log_constant, k, logs, place, width)
            result = load(logs, place, lanes)
        top = maximum(result, top)
    level = select(less(-np.inf, top), top, 0.0)
    total = load(sums, at, lanes) * exp(previous - level)
    for k in range(last - first):
        share = load(logs, k * width, lanes) - level
        if not everywhere(less(share, _NEGLIGIBLE)):
            part = exp(maximum(share, _NEGLIGIBLE))  # the quick way, however far out some rows are
            total = total + select(less(share, _NEGLIGIBLE), 0.0, part)  # whatever the other rows are
    store(sums, at, total)
    store(tops, at, top)


@jit
def _full_squares(columns, mean, whitening, k, zeros, lanes):
    """Sum of squared deviations from component k, in its units."""
    width, d = constant(lanes), mean.shape[1]
    squares = splat(0.0, lanes)
    at = k * whitening.shape[1]
    for i in range(0, d, 2):
        values = splat_many(zeros, 0, lanes, _TWO)
        for j in range(i + 1):
            values = fma_many(values, load(columns, j * width, lanes) - mean[k, j], whitening, at)
            at += 2
        value, other = values
        if i + 1 < d:
            other = fma(load(columns, (i + 1) * width, lanes) - mean[k, i + 1], item(whitening, at), other)
            at += 1
        squares = fma(other, other, fma(value, value, squares))
    return squares


@jit
def _diagonal_squares(columns, mean, whitening, k, lanes):
    width = constant(lanes)
    squares = splat(0.0, lanes)
    for i in range(mean.shape[1]):
        value = (load(columns, i * width, lanes) - mean[k, i]) * whitening[k, i]
        squares = fma(value, value, squares)
    return squares


@jit
def _far_out(columns, means, factors, log_constants, k, logs, place, width):
    """Logarithms again, of lanes in which squares are beyond float64, or the nan of inf - inf behind one that is."""
    mean, factor = means[k], factors[k]
    d = mean.shape[0]
    whitened = np.empty(d)
    for lane in range(width):
        if logs[place + lane] > -math.inf:
            continue
        squares = 0.0
        for i in range(d):
            value = columns[i * width + lane] - mean[i]
            if factor.shape[0] > 1:
                for j in range(i):
                    if factor[i, j] != 0.0:  # 0 times inf would be nan
                        value -= factor[i, j] * whitened[j]
            value /= factor[i, i] if factor.shape[0] > 1 else factor[0, i]
            whitened[i] = value
            if squares < math.inf:
                squares += value * value
        logs[place + lane] = log_constants[k] - 0.5 * squares
