"""Bounds of the mutual information of inputs and codes, from all pairs of components."""

import math

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._simd import constant, exp, fma, load, minimum, splat, sqrt, store
from ..models.density import lanes_for
from .aggregate import Aggregate, log_sums

_OPERATIONS_PER_COORDINATE = 4


def information_bounds(whole: Aggregate, rows: np.ndarray, n_jobs: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, what it gives to a lower and to an upper bound, whose means over all rows bound I(x; z).

    -log mean_j exp(-B_ij) with the Bhattacharyya divergence, and -log mean_j exp(-KL_ij): the bounds of Kolchinsky and
    Tracey (2017, eq. 10) for the entropy of a mixture, less the mean entropy of its components.
    """
    return -np.log(_mean_affinity(whole, rows, n_jobs)), -_log_mean_exp_kl(whole, rows, n_jobs)


def _log_mean_exp_kl(whole: Aggregate, rows: np.ndarray, n_jobs: int) -> np.ndarray:
    """2 KL_ij = |mu_i - mu_j|^2 / var_j + |std_i|^2 / var_j - d + log var_j - log var_i: squares of 2 d coordinates."""
    halves = 0.5 * whole.log_var.sum(axis=1)
    x = np.hstack([whole.mu[rows], whole.std[rows]])
    means = np.hstack([whole.mu, np.zeros_like(whole.mu)])
    constants = 0.5 * whole.d - halves - math.log(len(whole))
    stds = np.hstack([whole.std, whole.std])
    sums = log_sums(x, np.arange(len(rows)), constants[None], means[None], stds[None], n_jobs)
    return sums[:, 0] + halves[rows]


def _mean_affinity(whole: Aggregate, rows: np.ndarray, n_jobs: int) -> np.ndarray:
    """Mean over the components of int sqrt(f_i f_j), which no sum can take beyond float64."""
    lanes = lanes_for(len(rows))
    width = lanes.value
    filled = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % width)])
    arrays = whole.mu, whole.std, 1.0 / whole.std
    columns = (a[filled].reshape(-1, width, whole.d).transpose(0, 2, 1) for a in arrays)
    inputs = [frozen(np.ascontiguousarray(a)) for a in (*columns, *arrays)]
    out = np.empty(len(filled))
    cost = _OPERATIONS_PER_COORDINATE * width * len(whole) * whole.d
    run_rows(_affinity_kernel, len(filled) // width, *inputs, out, lanes, n_jobs=n_jobs, row_cost=cost)
    return out[: len(rows)] / len(whole)


@jit
def _affinity_kernel(start, stop, mean_columns, std_columns, inverse_columns, means, stds, inverses, out, lanes):
    """Sums of affinities of the components in the lanes with all; r <= 1 is the ratio of the two deviations."""
    width, d = constant(lanes), means.shape[1]
    for block in range(start, stop):
        total = splat(0.0, lanes)
        for k in range(means.shape[0]):
            squares, scale = splat(0.0, lanes), splat(1.0, lanes)
            for i in range(d):
                at = (block * d + i) * width
                inverse = minimum(load(inverse_columns, at, lanes), inverses[k, i])
                ratio = minimum(load(std_columns, at, lanes), stds[k, i]) * inverse
                share = 1.0 / fma(ratio, ratio, 1.0)
                step = (load(mean_columns, at, lanes) - means[k, i]) * inverse
                squares = fma(step * step, share, squares)
                scale = scale * (ratio * share * 2.0)
            total = total + exp(squares * -0.25) * sqrt(scale)
        store(out, block * width, total)
