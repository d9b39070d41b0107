"""Distances of data that span more orders of magnitude than the square of a float64 does.

Slow, and only asked about the few points where a squared difference may have underflowed.
"""

import numpy as np

from .._jit import jit

SMALLEST_SAFE_DISTANCE = 2.0**-450
_SMALLEST_SAFE_VALUE = 2.0**-390  # differences of larger numbers are at least 2**-442: their squares are normal


@jit
def _extent(points):
    """Largest and smallest magnitude that is not 0; of no such number (0, inf)."""
    largest, smallest = 0.0, np.inf
    for x in points.flat:
        magnitude = abs(x)
        largest = max(largest, magnitude)
        smallest = min(smallest, magnitude if magnitude > 0.0 else np.inf)
    return largest, smallest


def is_wide(points: np.ndarray) -> bool:
    """Whether differences between such numbers can be too small to be squared."""
    return _extent(points)[1] < _SMALLEST_SAFE_VALUE


def largest(points: np.ndarray) -> float:
    """Largest magnitude, 0 of no numbers."""
    return _extent(points)[0]


def distances(query: np.ndarray, points: np.ndarray, exclude: int) -> np.ndarray:
    """Euclidean distances from one query to all points; inf to the excluded one."""
    differences = np.abs(query - points)
    largest = differences.max(axis=1)
    unit = np.where(largest > 0.0, largest, 1.0)
    result = largest * np.sqrt(((differences / unit[:, None]) ** 2).sum(axis=1))
    if exclude >= 0:
        result[exclude] = np.inf
    return result
