"""Log-densities of Gaussian mixtures: whitening, squares and sums of exponentials in one pass, rows in the lanes."""

import math

import numpy as np

from .._jit import jit
from .._simd import Const, constant, everywhere, exp, fma, less, load, log, maximum, select, splat, store

LANES = Const(16)
BLOCK = 128  # rows of one mixture, in groups that meet a chunk of components one after the other
_CHUNK = 32  # components whose logarithms are kept
_NEGLIGIBLE = -50.0  # logarithm of a share that a hundred thousand times changes no digit


@jit
def log_density_kernel(
    start, stop, order, n_each, x, x_row, log_constants, log_constants_row, means, means_row, factors, factors_row,
    scales, scales_row, out, lanes,
):  # fmt: skip
    """Blocks of rows, in an order in which n_each that follow one another belong to one mixture.

    Factors are lower triangles, or one row of what is their diagonal; scales are -1 / diagonal.
    """
    width, d = constant(lanes), means.shape[2]
    columns = np.empty((BLOCK // width, d * width))
    scratch = np.empty(d * width), np.empty(_CHUNK * width)
    tops, sums = np.empty(BLOCK), np.empty(BLOCK)
    parts = (n_each + BLOCK - 1) // BLOCK
    for block in range(start, stop):
        row = block // parts * n_each + block % parts * BLOCK
        n = min(BLOCK, n_each - block % parts * BLOCK)
        n_groups = (n + width - 1) // width
        for lane in range(n_groups * width):  # what is left of the width repeats the last row
            point = x[x_row[order[row + min(lane, n - 1)]]]
            for i in range(d):
                columns[lane // width, i * width + lane % width] = point[i]
            tops[lane], sums[lane] = -math.inf, 0.0
        place = order[row]
        log_constant, mean = log_constants[log_constants_row[place]], means[means_row[place]]
        factor, scale = factors[factors_row[place]], scales[scales_row[place]]
        mixture = log_constant, mean, factor, scale
        for first in range(0, mean.shape[0], _CHUNK):
            last = min(first + _CHUNK, mean.shape[0])
            for group in range(n_groups):
                _meet(columns[group], *mixture, first, last, scratch, tops, sums, group * width, lanes)
        for group in range(n_groups):
            density = load(tops, group * width, lanes) + log(load(sums, group * width, lanes))
            store(tops, group * width, density)
        for lane in range(n):
            out[order[row + lane]] = tops[lane]


@jit
def _meet(columns, log_constant, mean, factor, scale, first, last, scratch, tops, sums, at, lanes):
    """Add some components to the sum of exponentials of a group of rows, relative to the largest so far."""
    width = constant(lanes)
    whitened, logs = scratch
    previous = load(tops, at, lanes)
    top = previous
    for k in range(first, last):
        squares = _squares(columns, mean, factor, scale, k, whitened, lanes)
        result = log_constant[k] - 0.5 * squares
        place = (k - first) * width
        store(logs, place, result)
        if not everywhere(less(squares, np.inf)):
            _far_out(columns, mean[k], factor[k], log_constant[k], whitened, logs, place, width)
            result = load(logs, place, lanes)
        top = maximum(result, top)
    level = select(less(-np.inf, top), top, 0.0)
    total = load(sums, at, lanes) * exp(previous - level)
    for k in range(last - first):
        share = load(logs, k * width, lanes) - level
        if not everywhere(less(share, _NEGLIGIBLE)):
            total = total + select(less(share, _NEGLIGIBLE), 0.0, exp(share))  # whatever the other rows are
    store(sums, at, total)
    store(tops, at, top)


@jit
def _squares(columns, mean, factor, scale, k, whitened, lanes):
    """Sum of squared deviations from component k, in its units."""
    width, d = constant(lanes), mean.shape[1]
    squares = splat(0.0, lanes)
    is_full = factor.shape[1] > 1
    for i in range(d):
        value = load(columns, i * width, lanes) - mean[k, i]
        if is_full:
            for j in range(i):
                value = fma(factor[k, i, j], load(whitened, j * width, lanes), value)
        value = value * scale[k, i]
        if is_full:
            store(whitened, i * width, value)
        squares = fma(value, value, squares)
    return squares


@jit
def _far_out(columns, mean, factor, log_constant, whitened, logs, place, width):
    """Logarithms again, of lanes in which squares are beyond float64, or the nan of inf - inf behind one that is."""
    d = mean.shape[0]
    for lane in range(width):
        if logs[place + lane] > -math.inf:
            continue
        squares = 0.0
        for i in range(d):
            value = columns[i * width + lane] - mean[i]
            if factor.shape[0] > 1:
                for j in range(i):
                    if factor[i, j] != 0.0:  # 0 times inf would be nan
                        value -= factor[i, j] * whitened[j * width + lane]
            value /= factor[i, i] if factor.shape[0] > 1 else factor[0, i]
            whitened[i * width + lane] = value
            if squares < math.inf:
                squares += value * value
        logs[place + lane] = log_constant - 0.5 * squares
