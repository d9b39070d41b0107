"""What is made of neighbour distances while they are at hand: chosen neighbours, ties, means of logarithms."""

from dataclasses import replace

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from .._simd import Const, everywhere, less, load, log, select, store
from .._sums import CHUNK, parts, total
from ..inference import Moments

TIE_TOLERANCE = 1e-9  # relative: distances on a decimal lattice differ in their last bits
_LANES = Const(8)


@jit
def choose_kernel(start, stop, nearest, ks, first, distances, tied, at_zero):
    """Distances to the ks-th neighbours, and which are 0 or also those of the next neighbour."""
    n_known = nearest.shape[1]
    for i in range(start, stop):
        for j in range(ks.shape[0]):
            kth = nearest[i, ks[j] - 1]
            distances[j, first + i] = kth
            again = ks[j] < n_known and nearest[i, ks[j]] <= kth * (1.0 + TIE_TOLERANCE)
            tied[j, first + i] = kth == 0.0 or again
        at_zero[first + i] = nearest[i, 0] == 0.0


@jit
def _log_ratio_kernel(start, stop, a, b, moments, sums, terms):
    """Mean, squared deviations and parts of the sum of log(a / b) in chunks of rows, one vector at a time."""
    kept = np.zeros(CHUNK)
    above_last, below_last = np.ones(8), np.ones(8)
    for chunk in range(start, stop):
        first = chunk * CHUNK
        n = min(CHUNK, a.shape[0] - first)
        for i in range(0, n, 8):
            if i + 8 <= n:
                above, below = load(a, first + i, _LANES), load(b, first + i, _LANES)
            else:
                for j in range(i, n):
                    above_last[j - i], below_last[j - i] = a[first + j], b[first + j]
                above, below = load(above_last, 0, _LANES), load(below_last, 0, _LANES)
            ratio = above / below
            result = log(ratio)
            if not (everywhere(less(1e-300, ratio)) and everywhere(less(ratio, 1e300))):
                apart = log(above) - log(below)  # not always: a common power of two must change no bit
                result = select(less(1e-300, ratio), select(less(ratio, 1e300), result, apart), apart)
            store(kept, i, result)
        sums[chunk] = 0.0
        total_of_chunk = 0.0
        for i in range(n):
            total_of_chunk += kept[i]
            high, low = parts(kept[i])
            sums[chunk, 0] += high
            sums[chunk, 1] += low
        mean = total_of_chunk / n
        squares = 0.0
        for i in range(n):
            squares += (kept[i] - mean) ** 2
        moments[chunk, 0] = mean
        moments[chunk, 1] = squares
        if terms is not None:
            for i in range(n):
                terms[first + i] = kept[i]


def log_ratio_moments(a: np.ndarray, b: np.ndarray, n_jobs: int = 1) -> Moments:
    """Moments of log(a_i / b_i); the mean does not depend on the order of the rows."""
    return _log_ratios(a, b, n_jobs, None)


def log_ratios(a: np.ndarray, b: np.ndarray, n_jobs: int = 1) -> np.ndarray:
    """log(a_i / b_i), one by one."""
    terms = np.empty(len(a))
    _log_ratios(a, b, n_jobs, terms)
    return terms


def _log_ratios(a, b, n_jobs, terms) -> Moments:
    n = len(a)
    moments, sums = np.empty((2, -(-n // CHUNK), 2))
    arguments = frozen(a), frozen(b), moments, sums, terms
    run_rows(_log_ratio_kernel, len(sums), *arguments, n_jobs=n_jobs, row_cost=CHUNK)
    counts = [min(CHUNK, n - first) for first in range(0, n, CHUNK)]
    of_chunks = [
        Moments(count, float(mean), float(squares)) for count, (mean, squares) in zip(counts, moments, strict=True)
    ]
    return replace(sum(of_chunks[1:], start=of_chunks[0]), mean=total([sums]) / n)
