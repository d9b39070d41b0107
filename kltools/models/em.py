"""Expectation and maximisation for normal mixtures, eight rows at a time.

A row's deviation from a component is kept in the component's own units, z = W (x - mean) with W the inverse
of its Cholesky factor: log-densities are sums of squares of z, and the new covariance is that of z, turned
back. Nothing is squared in other units, so that components far from the origin lose no digits.
"""

import math

import numpy as np

from .._jit import jit
from .._scalar import LOG_2PI
from .._simd import Const, everywhere, exp, fma, less, load, log, maximum, splat, store, total

WIDTH = 8  # rows of a block
_LANES = Const(WIDTH)
_NEGLIGIBLE = 1e-12  # a responsibility that changes no digit of a fit worth having


@jit
def pack_kernel(start, stop, X, blocks):
    """Rows in blocks of eight, column by column; the last block is filled up with the last row."""
    for b in range(start, stop):
        for j in range(X.shape[1]):
            for lane in range(WIDTH):
                blocks[b, j, lane] = X[min(b * WIDTH + lane, X.shape[0] - 1), j]


@jit
def cholesky(matrix, factor):
    """Lower Cholesky factor; whether the matrix is positive definite."""
    d = matrix.shape[0]
    for j in range(d):
        for k in range(j + 1):
            value = matrix[j, k]
            for i in range(k):
                value -= factor[j, i] * factor[k, i]
            if k < j:
                factor[j, k] = value / factor[k, k]
            elif value > 0.0:
                factor[j, j] = math.sqrt(value)
            else:
                return False
        for k in range(j + 1, d):
            factor[j, k] = 0.0
    return True


@jit
def invert(factor, whitening):
    """Inverse of a lower triangular matrix, and the sum of the logarithms of its diagonal."""
    d = factor.shape[0]
    log_det = 0.0
    for j in range(d):
        whitening[j, j] = 1.0 / factor[j, j]
        log_det += math.log(whitening[j, j])
        for k in range(j):
            value = 0.0
            for i in range(k, j):
                value -= factor[j, i] * whitening[i, k]
            whitening[j, k] = value * whitening[j, j]
    return log_det


@jit
def _component_logs(block, constants, means, whitenings, diagonal, z, logs):
    """Log-density of a block of rows under each weighted component, and the z of each; their maximum."""
    n_components, d = means.shape
    top = splat(-np.inf, _LANES)
    for c in range(n_components):
        squares = splat(0.0, _LANES)
        for j in range(d):
            value = splat(0.0, _LANES)
            for k in range(j if diagonal else 0, j + 1):
                value = fma(whitenings[c, j, k], load(block, k * WIDTH, _LANES) - means[c, k], value)
            store(z, (c * d + j) * WIDTH, value)
            squares = fma(value, value, squares)
        result = constants[c] - 0.5 * squares
        store(logs, c * WIDTH, result)
        top = maximum(top, result)
    return top


@jit
def _accumulate(share, z, at, sums, base, d, diagonal):
    """Add a block's share of a component: of rows, of z, and of products of z."""
    store(sums, base, load(sums, base, _LANES) + share)
    place = base + WIDTH
    for j in range(d):
        zj = share * load(z, at + j * WIDTH, _LANES)
        store(sums, place, load(sums, place, _LANES) + zj)
        place += WIDTH
        for k in range(j if diagonal else 0, j + 1):
            store(sums, place, fma(zj, load(z, at + k * WIDTH, _LANES), load(sums, place, _LANES)))
            place += WIDTH


@jit
def _expectation(blocks, weights, constants, means, whitenings, diagonal, accumulate, scratch, sums, densities):
    """Log-densities of all rows, and the sums that the maximisation needs."""
    z, logs = scratch
    n_components, d = means.shape
    stride = sums.shape[0] // n_components
    sums[:] = 0.0
    likelihood = splat(0.0, _LANES)
    for b in range(blocks.shape[0]):
        block = blocks[b].reshape(-1)
        top = _component_logs(block, constants, means, whitenings, diagonal, z, logs)
        scale = splat(0.0, _LANES)
        for c in range(n_components):
            part = exp(load(logs, c * WIDTH, _LANES) - top)
            store(logs, c * WIDTH, part)
            scale = scale + part
        density = top + log(scale)
        weight = load(weights, b * WIDTH, _LANES)
        likelihood = fma(weight, density, likelihood)
        store(densities, b * WIDTH, density)
        if accumulate:
            weight = weight / scale
            for c in range(n_components):
                share = weight * load(logs, c * WIDTH, _LANES)
                if not everywhere(less(share, _NEGLIGIBLE)):
                    _accumulate(share, z, c * d * WIDTH, sums, c * stride, d, diagonal)
    return total(likelihood)


@jit
def _moments_of_z(sums, base, diagonal, mean, covariance):
    """Number of rows, mean and covariance of z."""
    d = mean.shape[0]
    n = total(load(sums, base, _LANES))
    place = base + WIDTH
    covariance[:] = 0.0
    for j in range(d):
        mean[j] = total(load(sums, place, _LANES)) / n
        place += WIDTH
        for k in range(j if diagonal else 0, j + 1):
            value = total(load(sums, place, _LANES)) / n - mean[j] * mean[k]
            covariance[j, k] = value
            covariance[k, j] = value
            place += WIDTH
    return n


@jit
def _turn_back(factor, mean, covariance):
    """Mean and covariance of factor z from those of z, in place."""
    d = mean.shape[0]
    for j in range(d - 1, -1, -1):  # from the last row on: rows above are still those of z
        for k in range(d):
            value = 0.0
            for i in range(j + 1):
                value += factor[j, i] * covariance[i, k]
            covariance[j, k] = value
        value = 0.0
        for i in range(j + 1):
            value += factor[j, i] * mean[i]
        mean[j] = value
    for j in range(d):
        for k in range(d - 1, -1, -1):
            value = 0.0
            for i in range(k + 1):
                value += covariance[j, i] * factor[k, i]
            covariance[j, k] = value


@jit
def _maximisation(sums, log_weights, means, factors, diagonal, tied, ridge, n_rows):
    """New weights, means and factors; False where a covariance is no longer positive definite."""
    n_components, d = means.shape
    stride = sums.shape[0] // n_components
    mean, covariance = np.empty(d), np.empty((d, d))
    pooled = np.zeros((d, d))
    for c in range(n_components):
        n = total(load(sums, c * stride, _LANES))
        log_weights[c] = math.log(n / n_rows)
        if not n > 1e-6 * n_rows:  # nobody's component: it stays where it is, without weight
            continue
        _moments_of_z(sums, c * stride, diagonal, mean, covariance)
        _turn_back(factors[c], mean, covariance)
        for j in range(d):
            means[c, j] += mean[j]
            for k in range(d):
                pooled[j, k] += n / n_rows * covariance[j, k]
            covariance[j, j] += ridge
        if not tied and not cholesky(covariance, factors[c]):
            return False
    if tied:
        for j in range(d):
            pooled[j, j] += ridge
        for c in range(n_components):
            if not cholesky(pooled, factors[c]):
                return False
    return True


@jit
def em_kernel(
    start,
    stop,
    blocks,
    weights,
    log_weights,
    means,
    factors,
    diagonal,
    tied,
    ridge,
    tolerance,
    n_iterations,
    densities,
    likelihoods,
):
    """Fits [start, stop) to the same rows, each with its own weights of rows and its own start.

    Where a fit ends, `densities` belong to its last parameters; without iterations nothing else is done.
    """
    n_components, d = means.shape[1:]
    pairs = d if diagonal else d * (d + 1) // 2
    sums = np.empty(n_components * (1 + d + pairs) * WIDTH)
    scratch = np.empty(n_components * d * WIDTH), np.empty(n_components * WIDTH)
    whitenings, constants = np.zeros((n_components, d, d)), np.empty(n_components)
    for fit in range(start, stop):
        n_rows = weights[fit].sum()
        previous = -np.inf
        for iteration in range(n_iterations + 1):
            for c in range(n_components):
                log_det = invert(factors[fit, c], whitenings[c])
                constants[c] = log_weights[fit, c] + log_det - 0.5 * d * LOG_2PI
            likelihoods[fit] = (
                _expectation(
                    blocks,
                    weights[fit],
                    constants,
                    means[fit],
                    whitenings,
                    diagonal,
                    iteration < n_iterations,
                    scratch,
                    sums,
                    densities[fit],
                )
                / n_rows
            )
            if iteration == n_iterations or not likelihoods[fit] - previous >= tolerance:
                break
            previous = likelihoods[fit]
            if not _maximisation(sums, log_weights[fit], means[fit], factors[fit], diagonal, tied, ridge, n_rows):
                likelihoods[fit] = -np.inf
                break


@jit
def nearest_start(blocks, weights, uniforms, centers):
    """Centres by k-means++ (Arthur and Vassilvitskii 2007); the mean squared distance to the nearest."""
    n_blocks, d, _ = blocks.shape
    n = n_blocks * WIDTH
    nearest = np.full(n, np.inf)
    mean_square = 0.0
    for c in range(centers.shape[0] + 1):
        if c > 0:
            for b in range(n_blocks):
                for lane in range(WIDTH):
                    square = 0.0
                    for j in range(d):
                        square += (blocks[b, j, lane] - centers[c - 1, j]) ** 2
                    nearest[b * WIDTH + lane] = min(nearest[b * WIDTH + lane], square)
        n_rows, mass = 0.0, 0.0
        for i in range(n):
            n_rows += weights[i]
            mass += weights[i] if c == 0 else weights[i] * nearest[i]
        mean_square = mass / n_rows
        if c == centers.shape[0]:
            break
        left = uniforms[c] * mass
        chosen = 0
        for i in range(n):
            part = weights[i] if c == 0 else weights[i] * nearest[i]
            if part > 0.0:
                chosen = i
                left -= part
                if left < 0.0:
                    break
        for j in range(d):
            centers[c, j] = blocks[chosen // WIDTH, j, chosen % WIDTH]
    return mean_square
