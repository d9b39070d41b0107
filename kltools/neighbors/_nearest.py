"""The k nearest points seen so far, as a binary heap whose root is the farthest of them."""

import math

import numpy as np

from .._arrays import frozen
from .._jit import jit

_NOBODY = frozen(np.empty(0, dtype=np.int64))


def rows_or_nobody(exclude: np.ndarray | None) -> np.ndarray:
    """Rows that are no neighbours, none of them for None: of one type, so that kernels are compiled once."""
    return _NOBODY if exclude is None else exclude


@jit
def replace_farthest(squares, points, square, point):
    """Drop the farthest point of the heap and take in a nearer one; `points` may be None."""
    size = squares.shape[0]
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and squares[child + 1] > squares[child]:
            child += 1
        if squares[child] <= square:
            break
        squares[parent] = squares[child]
        if points is not None:
            points[parent] = points[child]
        parent = child
    squares[parent] = square
    if points is not None:
        points[parent] = point


@jit
def sort_heap(squares, points):
    """Sort a heap in place, the nearest first."""
    for last in range(squares.shape[0] - 1, 0, -1):
        square = squares[0]
        if points is None:
            replace_farthest(squares[:last], None, squares[last], 0)
        else:
            point = points[0]
            replace_farthest(squares[:last], points[:last], squares[last], points[last])
            points[last] = point
        squares[last] = square


@jit
def largest_square_within(radius):
    """The largest float whose square root, rounded, is at most `radius`.

    Comparing squares with it gives the same answer as comparing distances with the radius.
    """
    square = radius * radius
    while math.sqrt(square) > radius:
        square = np.nextafter(square, 0.0)
    following = np.nextafter(square, np.inf)
    while math.sqrt(following) <= radius and following < np.inf:
        square = following
        following = np.nextafter(square, np.inf)
    return square


@jit
def beyond(radius, squared):
    """What the distances within a radius, or their squares, are smaller than."""
    limit = largest_square_within(radius) if squared else radius
    return np.nextafter(limit, np.inf)


@jit
def squares_beyond(radii):
    """`beyond` of every radius, for squares."""
    out = np.empty(radii.shape[0])
    for i in range(radii.shape[0]):
        out[i] = beyond(radii[i], True)
    return out
