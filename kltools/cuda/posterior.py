"""The aggregate posterior of a VAE: the mean of all encoders' densities, at many points."""

import functools
import math
from typing import Any

import numpy as np

from .._arrays import numeric_array
from .._device import is_on_gpu
from .._formula import Formula
from .._scalar import LOG_2PI
from ..errors import ShapeMismatchError
from ._compat import MOST_BLOCKS, THREADS, Kernel, cuda, types
from .formulas import ITSELF, fill
from .interop import Place, View
from .memory import telling_shortage, workspace

float64 = types.float64
_MANY_POINTS = 1 << 16  # which occupy a device by themselves; fewer share it with parts of the sum
_PART = 1 << 12  # encoders
_MOST_PARTS = (1 << 16) - 1  # blocks along the second axis of a grid
_TOGETHER = 4  # encoders that a thread has at work at once


def aggregate_log_prob(z: Any, mu: Any, log_var: Any) -> Any:
    r"""Log-density of the aggregate posterior of a VAE, in nats.

    .. math:: \log q(z) = \log \frac1N \sum_{j=1}^N \mathcal{N}\left(z;\, \mu_j, e^{v_j}\right)

    with v = log_var.

    Nothing of the size (M, N) is stored; the N M d operations take seconds for N = M = 1e6.

    Parameters
    ----------
    z : array-like of shape (M, d)
        Points, on the host or on a device.
    mu, log_var : array-like of shape (N, d)
        Outputs of the encoder.

    Returns
    -------
    array of shape (M,)
        NumPy where all arguments live on the host, else of the library of the first that does not.

    Raises
    ------
    ShapeMismatchError
        Where z, mu and log_var are no such arrays.
    DeviceMemoryError
        Where the memory of the device does not suffice.

    References
    ----------
    M. D. Hoffman and M. J. Johnson (2016), ELBO surgery, eq. 6.

    Examples
    --------
    >>> from kltools.cuda import aggregate_log_prob
    >>> aggregate_log_prob([[0.0]], [[0.0], [0.0]], [[0.0], [0.0]])
    array([-0.91893853])
    """
    with telling_shortage(), Place(z, mu, log_var) as place:
        given = ((z, "z"), (mu, "mu"), (log_var, "log_var"))
        points, means, log_variances = (place.view(x) if is_on_gpu(x) else numeric_array(x, name) for x, name in given)
        _check_shapes(points.shape, means.shape, log_variances.shape)
        (m, d), n = points.shape, means.shape[0]
        encoders = _encoders(place.view(means), place.view(log_variances), place)
        out, flat = (np.empty(m), None) if place.is_host else place.result((m,))
        n_parts = 1 if m >= _MANY_POINTS else min(-(-n // _PART), _MOST_PARTS)
        per_part = -(-n // n_parts)
        step = max(THREADS, min(m, workspace() // (8 * (2 * d + 2 * n_parts + 1))))
        for start in range(0, m, step):
            rows = min(step, m - start)
            block = place.view_rows(points, start, start + rows)
            turned = View(block.flat, (d, rows), block.strides[::-1], block.first)
            columns, tops, totals = place.scratch(d * rows), place.scratch(n_parts, rows), place.scratch(n_parts, rows)
            fill(ITSELF, [turned], (d, rows), 0, columns, place)
            blocks = min(-(-rows // THREADS), MOST_BLOCKS)
            sums = (rows, n, d, per_part, columns.reshape(d, rows), *encoders, tops, totals)
            _partial_sums()((blocks, n_parts), THREADS, place.stream, *sums)
            target, first = (place.scratch(rows), 0) if flat is None else (flat, start)
            _merged()(blocks, THREADS, place.stream, rows, n, first, tops, totals, target)
            if flat is None:
                out[start : start + rows] = place.receive(target)
        return out


def _encoders(means: View, log_variances: View, place: Place) -> tuple[Any, Any, Any]:
    """Means, inverse deviations, and the logarithms of the densities at the means."""
    n, d = means.shape
    centers, inverses, heights = place.scratch(n * d), place.scratch(n * d), place.scratch(n)
    fill(ITSELF, [means], (n, d), 0, centers, place)
    fill(_INVERSE_DEVIATION, [log_variances], (n, d), 0, inverses, place)
    fill(_HEIGHT, [log_variances], (n, d), 1, heights, place)
    return centers.reshape(n, d), inverses.reshape(n, d), heights


def _check_shapes(z: tuple[int, ...], mu: tuple[int, ...], log_var: tuple[int, ...]) -> None:
    if len(mu) != 2 or mu != log_var or len(z) != 2 or z[1:] != mu[1:] or 0 in (*z, *mu):
        raise ShapeMismatchError(
            f"z must have shape (M, d), mu and log_var shape (N, d), none of them empty; got {z}, {mu} and {log_var}."
        )


def _inverse_deviation(log_var):
    return math.exp(-0.5 * log_var)


def _height(log_var):
    return -0.5 * (log_var + LOG_2PI)


_INVERSE_DEVIATION, _HEIGHT = Formula(_inverse_deviation), Formula(_height)


@functools.cache
def _partial_sums() -> Kernel:
    """For a point and a part of the encoders: the largest logarithm, and the sum of densities in units of its."""

    def partial_sums(m, n, d, per_part, columns, centers, inverses, heights, tops, totals):
        part = cuda.blockIdx.y
        last = min(n, (part + 1) * per_part)
        for i in range(cuda.grid(1), m, cuda.gridsize(1)):
            top, total = -math.inf, 0.0
            for j in range(part * per_part, last, _TOGETHER):
                # the last ones are counted once and computed again, which costs less than to ask
                j1, j2, j3 = min(j + 1, last - 1), min(j + 2, last - 1), min(j + 3, last - 1)
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                for k in range(d):
                    x = columns[k, i]
                    a = (x - centers[j, k]) * inverses[j, k]
                    b = (x - centers[j1, k]) * inverses[j1, k]
                    c = (x - centers[j2, k]) * inverses[j2, k]
                    e = (x - centers[j3, k]) * inverses[j3, k]
                    s0 = cuda.fma(a, a, s0)
                    s1 = cuda.fma(b, b, s1)
                    s2 = cuda.fma(c, c, s2)
                    s3 = cuda.fma(e, e, s3)
                s0 = heights[j] - 0.5 * s0
                s1 = heights[j1] - 0.5 * s1 if j + 1 < last else -math.inf
                s2 = heights[j2] - 0.5 * s2 if j + 2 < last else -math.inf
                s3 = heights[j3] - 0.5 * s3 if j + 3 < last else -math.inf
                higher = max(top, max(max(s0, s1), max(s2, s3)))
                if higher > -math.inf:
                    total = total * math.exp(top - higher) + (
                        (math.exp(s0 - higher) + math.exp(s1 - higher))
                        + (math.exp(s2 - higher) + math.exp(s3 - higher))
                    )
                    top = higher
            tops[part, i] = top
            totals[part, i] = total

    return Kernel(partial_sums)


@functools.cache
def _merged() -> Kernel:
    def merged(m, n, start, tops, totals, out):
        for i in range(cuda.grid(1), m, cuda.gridsize(1)):
            top, total = -math.inf, 0.0
            for part in range(tops.shape[0]):
                top = max(top, tops[part, i])
            for part in range(tops.shape[0]):
                if tops[part, i] > -math.inf:
                    total += totals[part, i] * math.exp(tops[part, i] - top)
            out[start + i] = top + math.log(total / n) if top > -math.inf else top

    return Kernel(merged)
