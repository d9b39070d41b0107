"""Monte Carlo from Gaussians and their mixtures: draws, and both log-densities there, by one thread for each draw.

A thread keeps the draw it is at in a column of scratch memory; no array has a number for each draw and component.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _log_prob_validation
from .._philox import two_normals, two_uniforms
from .._scalar import LOG_2PI
from ..errors import DeviceUnavailableError
from ..estimate import DivergenceEstimate
from ..estimators.log_prob import concluded
from ..estimators.terms import chunk_size
from ..families.gaussian import MultivariateNormal, MultivariateNormalDiag, Normal, inverse_of_lower
from ..families.gaussian_mixture import GaussianMixture
from ..preprocessing import Notes
from ._compat import SIMULATED, THREADS, Kernel, cuda, device, types
from .formulas import IS_NO_NUMBER
from .interop import Place, View
from .log_prob import DeviceTally, rows_at_once, sum_of
from .memory import telling_shortage, workspace

uint64 = types.uint64
_MOST_CHUNKS = 1 << 10  # of a block
_BYTES = 48  # of a draw: both log-densities and their difference; the draws being made take as much at most
_MOST_THREADS = 32 if SIMULATED else 1 << 17  # that keep a draw at the same time

_two_uniforms, _two_normals = device(two_uniforms), device(two_normals)


def estimate_kl_monte_carlo(
    p: Any, q: Any, n: int, sampling: str, estimator: str, rng: np.random.Generator, unit: str
) -> DivergenceEstimate:
    """The twin for `sampling` at random of Gaussians and their mixtures, with random numbers of its own."""
    if sampling != "random":
        raise DeviceUnavailableError(f"sampling={sampling!r} has no CUDA implementation; pass device='cpu'.")
    laws = [_Components.of(law, name) for law, name in ((p, "p"), (q, "q"))]
    seed, n_outside = np.uint64(rng.integers(2**63)), 0
    tally = DeviceTally(estimator, n)
    with telling_shortage(), Place() as place:
        arrays = tuple(tuple(map(place.send, law.arrays())) for law in laws)
        d, size = laws[0].means.shape[1], chunk_size(n)
        at_once = min(rows_at_once(_BYTES, size), _MOST_CHUNKS * size)
        threads = _threads(d, n)
        scratch = place.scratch(d, threads)
        kernel = _weighed_draws(*(law.is_diagonal for law in laws))
        for first in range(0, n, at_once):
            length = min(at_once, n - first)
            log_p, log_q = place.scratch(length), place.scratch(length)
            sized = (length, np.uint64(first), seed, d, scratch, *arrays, log_p, log_q)
            kernel(threads // THREADS, THREADS, place.stream, *sized)
            view_p, view_q = (View.of_contiguous(values, (length,)) for values in (log_p, log_q))
            if sum_of(IS_NO_NUMBER, (view_q,), place):
                n_outside += _count_outside(place.receive(log_q), first)
            else:
                tally.add_views(view_p, view_q, size, place)
    return concluded(tally, unit, n, n, n_outside, {"sampling": sampling}, Notes(), d=d, stacklevel=3)


def _threads(d: int, n: int) -> int:
    """All threads of a launch, whose draws fit into the workspace."""
    most = min(_MOST_THREADS, n, workspace() // (16 * d))
    return max(1, -(-most // THREADS)) * THREADS


def _count_outside(log_q: np.ndarray, first: int) -> int:
    _log_prob_validation.check_log_densities(log_q, "log_q", first=first)
    return int(np.isneginf(log_q).sum())


@dataclass(frozen=True)
class _Components:
    """What kernels need of a mixture of K Gaussians; factors (K, d, d), or (K, 1, d) for standard deviations."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, law: Any, name: str) -> "_Components":
        if isinstance(law, GaussianMixture):
            return cls(law.weights, law.means, law._factors)
        if isinstance(law, Normal | MultivariateNormalDiag):
            mean, var = np.atleast_1d(law.mean), np.atleast_1d(law.var)
            mean, std = np.broadcast_arrays(mean, np.sqrt(var))
            return cls(np.ones(1), mean[None], std[None, None])
        if isinstance(law, MultivariateNormal):
            return cls(np.ones(1), law.mean[None], law.cholesky[None])
        raise DeviceUnavailableError(
            f"{name} is a {type(law).__name__}: on a GPU draws are made of Gaussians and GaussianMixture alone; pass "
            "device='cpu'."
        )

    @property
    def is_diagonal(self) -> bool:
        return self.factors.shape[1] == 1

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Cumulated weights, logarithms of the weighted densities at the means, means, factors and their inverses."""
        d = self.means.shape[1]
        diagonals = self.factors[:, 0] if self.is_diagonal else np.diagonal(self.factors, axis1=-2, axis2=-1)
        with np.errstate(divide="ignore"):
            heights = np.log(self.weights) - np.log(diagonals).sum(axis=-1) - 0.5 * d * LOG_2PI
        inverses = 1.0 / self.factors if self.is_diagonal else inverse_of_lower(self.factors)
        arrays = np.cumsum(self.weights), heights, self.means, self.factors, inverses
        return tuple(np.ascontiguousarray(array) for array in arrays)


# ---------------------------------------------------------------- kernels


@functools.cache
def _weighed_draws(is_diagonal_p: bool, is_diagonal_q: bool) -> Kernel:
    place_draw = _placed(is_diagonal_p)
    log_density_p, log_density_q = _log_density(is_diagonal_p), _log_density(is_diagonal_q)

    def weighed_draws(n, first, seed, d, scratch, arrays_p, arrays_q, log_p, log_q):
        cumulated, heights_p, means_p, factors_p, inverses_p = arrays_p
        heights_q, means_q, inverses_q = arrays_q[1], arrays_q[2], arrays_q[4]
        column, counters, stream = cuda.grid(1), uint64(1 + (d + 1) // 2), uint64(0)
        for i in range(column, n, cuda.gridsize(1)):
            counter = (first + uint64(i)) * counters
            choice, _ = _two_uniforms(counter, stream, seed)
            k = 0
            while k < cumulated.shape[0] - 1 and cumulated[k] <= choice * cumulated[cumulated.shape[0] - 1]:
                k += 1
            for j in range(0, d, 2):
                counter += uint64(1)
                even, odd = _two_normals(counter, stream, seed)
                scratch[j, column] = even
                if j + 1 < d:
                    scratch[j + 1, column] = odd
            place_draw(scratch, column, d, means_p[k], factors_p[k])
            log_p[i] = log_density_p(scratch, column, d, heights_p, means_p, inverses_p)
            log_q[i] = log_density_q(scratch, column, d, heights_q, means_q, inverses_q)

    return Kernel(weighed_draws)


@functools.cache
def _placed(is_diagonal: bool) -> Any:
    """Overwrites a column of standard normal numbers with a draw."""

    def along_axes(scratch, column, d, mean, factor):
        for i in range(d):
            scratch[i, column] = mean[i] + factor[0, i] * scratch[i, column]

    def turned(scratch, column, d, mean, factor):
        for i in range(d - 1, -1, -1):  # from the last on: those before are still noise
            value = 0.0
            for j in range(i + 1):
                value += factor[i, j] * scratch[j, column]
            scratch[i, column] = mean[i] + value

    return device(along_axes if is_diagonal else turned)


@functools.cache
def _log_density(is_diagonal: bool) -> Any:
    """The log-density of a mixture at a column, its terms added up under the largest so far."""

    def squares_along_axes(scratch, column, d, mean, inverse):
        total = 0.0
        for i in range(d):
            deviation = (scratch[i, column] - mean[i]) * inverse[0, i]
            total += deviation * deviation
        return total

    def squares_turned(scratch, column, d, mean, inverse):
        total = 0.0
        for i in range(d):
            deviation = 0.0
            for j in range(i + 1):
                deviation += inverse[i, j] * (scratch[j, column] - mean[j])
            total += deviation * deviation
        return total

    squares = device(squares_along_axes if is_diagonal else squares_turned)

    def log_density(scratch, column, d, heights, means, inverses):
        top, total = -math.inf, 0.0
        for k in range(heights.shape[0]):
            term = heights[k] - 0.5 * squares(scratch, column, d, means[k], inverses[k])
            if term > top:
                total = total * math.exp(top - term) + 1.0
                top = term
            elif term > -math.inf:
                total += math.exp(term - top)
        return top + math.log(total) if top > -math.inf else top

    return device(log_density)
