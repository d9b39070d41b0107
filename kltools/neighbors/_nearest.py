"""The k smallest numbers seen so far, as a binary heap whose root is the largest of them."""

import math

import numpy as np

from .._jit import jit


@jit
def replace_largest(heap, value):
    """Drop the largest number of the heap and take in a smaller one."""
    size = heap.shape[0]
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = value


@jit
def sort_heap(heap):
    """Sort a heap in place, ascending."""
    for last in range(heap.shape[0] - 1, 0, -1):
        largest = heap[0]
        replace_largest(heap[:last], heap[last])
        heap[last] = largest


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
