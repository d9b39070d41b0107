"""Sums that do not depend on the order of their terms, nor on the parts in which they are added.

Each number is cut into a multiple of 2^-30 and one of 2^-72. Up to 4096 of either, of numbers below 2^11, are
added by float64 without rounding (Demmel and Nguyen 2015, Parallel reproducible summation), and the sums of such
chunks by `math.fsum`. What is lost are the digits of a number beyond 2^-72.
"""

import math
from collections.abc import Iterable

import numpy as np

from ._arrays import frozen
from ._jit import jit, run_rows

CHUNK = 4096
_COARSE = 1.5 * 2.0 ** (52 - 30)  # a number that is added to it is rounded to a multiple of 2^-30
_FINE = 1.5 * 2.0 ** (52 - 72)


@jit
def parts(x):
    """A multiple of 2^-30, and what is left, as a multiple of 2^-72."""
    high = (x + _COARSE) - _COARSE
    return high, ((x - high) + _FINE) - _FINE


@jit
def _column_kernel(start, stop, values, counted, sums):
    """Sums of the columns over chunks of rows, of the counted entries."""
    n, d = values.shape
    for chunk in range(start, stop):
        sums[chunk] = 0.0
        for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n)):
            for j in range(d):
                if counted is None or counted[i, j]:
                    high, low = parts(values[i, j])
                    sums[chunk, j, 0] += high
                    sums[chunk, j, 1] += low


def partial_sums(values: np.ndarray, counted: np.ndarray | None = None, n_jobs: int = 1) -> np.ndarray:
    """Sums over the rows, below 2^11 each, in parts: of shape (parts, columns, 2)."""
    n, d = values.shape
    sums = np.empty((-(-n // CHUNK), d, 2))
    counted = None if counted is None else frozen(counted)
    run_rows(_column_kernel, len(sums), frozen(values), counted, sums, n_jobs=n_jobs, row_cost=CHUNK * d)
    return sums


def total(partial: Iterable[np.ndarray]) -> float:
    """The sum of parts, exactly rounded; nan where a term was not finite."""
    numbers = np.concatenate([np.ravel(part) for part in partial])
    return math.fsum(numbers) if np.isfinite(numbers).all() else math.nan


def column_totals(partial: np.ndarray) -> np.ndarray:
    """`total` of every column of `partial_sums`."""
    return np.array([total([partial[:, j]]) for j in range(partial.shape[1])])


def mean(values: np.ndarray, n_jobs: int = 1) -> float:
    """The mean of numbers below 2^11, whatever their order."""
    return total([partial_sums(values.reshape(-1, 1), None, n_jobs)]) / len(values)
