"""A Kalman filter of the hidden factors of a Gaussian, coordinate after coordinate, compiled."""

import math

import numpy as np

from .._jit import jit

# The state is (unit, weight, f, alpha, partial): the covariance of the factors given the coordinates so far is
# U diag(w) U^T for a unit upper triangular U, and what the next coordinate tells, by `measure`, stands in the others.


@jit
def new_filter(r, weight):
    """Before any coordinate factors are independent standard normals (weight 1); differences of filters are 0."""
    state = np.empty((r, r)), np.empty(r), np.empty(r), np.empty(r + 1), np.empty((r, r + 1))
    forget(state, weight)
    return state


@jit
def forget(state, weight):
    for j in range(state[1].shape[0]):
        state[1][j] = weight
        for i in range(j):
            state[0][i, j] = 0.0


@jit
def measure(row, noise, state):
    """Fill f = U^T row, the variances alpha[j] of the coordinate from noise and the first j of the factors U^T z, and
    the covariances partial[:, r] of the factors z with it; partial[:, j] is their part from the first j."""
    unit, weight, f, alpha, partial = state
    alpha[0] = noise
    for j in range(row.shape[0]):
        f[j] = row[j]
        for i in range(j):
            f[j] += unit[i, j] * row[i]
        v = weight[j] * f[j]
        alpha[j + 1] = alpha[j] + f[j] * v
        for i in range(j):
            partial[i, j + 1] = partial[i, j] + unit[i, j] * v
        partial[j, j + 1] = v


@jit
def update(state):
    """The covariance of the factors given the coordinate, too; no variance is subtracted from another."""
    unit, weight, f, alpha, partial = state
    for j in range(f.shape[0]):
        weight[j] *= alpha[j] / alpha[j + 1]
        for i in range(j):
            unit[i, j] -= partial[i, j] * (f[j] / alpha[j])


@jit
def filter_coordinates(factor, noise, state, gain, variance):
    """How far the innovation of each coordinate moves the prediction of the factors, and the innovation's variance."""
    d, r = factor.shape
    forget(state, 1.0)
    for i in range(d):
        measure(factor[i], noise[i], state)
        update(state)
        variance[i] = state[3][r]
        for j in range(r):
            gain[i, j] = state[4][j, r] / state[3][r]


@jit
def squares(point, factor, gain, variance, hidden):
    """Sum of the squared innovations of a point, in units of their variances."""
    d, r = factor.shape
    total = 0.0
    for j in range(r):
        hidden[j] = 0.0
    for i in range(d):
        innovation = point[i]
        for j in range(r):
            innovation -= factor[i, j] * hidden[j]
        for j in range(r):
            hidden[j] += gain[i, j] * innovation
        z = innovation / math.sqrt(variance[i])
        total += z * z
        if not total < np.inf:  # behind an overflow stands the nan of inf - inf
            return np.inf
    return total


@jit
def innovations_kernel(start, stop, factor, factor_row, noise, noise_row, gain, variance):
    state = new_filter(factor.shape[2], 1.0)
    for row in range(start, stop):
        filter_coordinates(factor[factor_row[row]], noise[noise_row[row]], state, gain[row], variance[row])


@jit
def squares_kernel(
    start, stop, points, points_row, factor, factor_row, gain, gain_row, variance, variance_row, out
):  # fmt: skip
    hidden = np.empty(factor.shape[2])
    for row in range(start, stop):
        rows = factor[factor_row[row]], gain[gain_row[row]], variance[variance_row[row]]
        out[row] = squares(points[points_row[row]], *rows, hidden)
