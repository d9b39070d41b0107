"""Building a kd-tree in place: rows of a table are reordered so that every node is a range of rows.

A row of the table is a point, then its number, then padding: it is moved as one vector. Node i has the
children 2i and 2i + 1. Nodes are cut at whole numbers of `LANES` rows, down to leaves and within them,
so that the rows of such a group, which are searched for together, lie close together.
"""

from functools import lru_cache

import numpy as np

from .._arrays import frozen
from .._jit import jit
from .._simd import Const, constant, count, item, less, load, maximum, minimum, splat, store

GROUP = 8  # queries that are searched for together
LANES = Const(GROUP)
LEAF_GROUPS = 7
_SORTED_ROWS = 64
_WIDTH_STEP = 4


def row_width(d: int) -> int:
    """Columns of the table: those of the points, the number, and padding to what moves fast."""
    return -(-(d + 1) // _WIDTH_STEP) * _WIDTH_STEP


@lru_cache(maxsize=16)
def leaf_edges(n: int) -> np.ndarray:
    """Where the leaves of n rows begin, and where the last one ends; a power of two of leaves."""
    groups = -(-n // GROUP)
    n_leaves = 1
    while n_leaves * LEAF_GROUPS < groups:
        n_leaves *= 2
    return frozen(np.minimum(np.arange(n_leaves + 1) * groups // n_leaves * GROUP, n))


@jit
def fill_kernel(points, rows):
    """Points and their numbers, padded with 0."""
    for i in range(rows.shape[0]):
        for j in range(points.shape[1]):
            rows[i, j] = points[i, j]
        rows[i, points.shape[1]] = i
        for j in range(points.shape[1] + 1, rows.shape[1]):
            rows[i, j] = 0.0


@jit
def copy_kernel(rows, points):
    """The points of a table."""
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            points[i, j] = rows[i, j]


@jit
def _value_of_rank(rows, first, last, rank, feature, width, sample):
    """A value of a column that about `rank` of the rows are smaller than, from a sample of them."""
    n = last - first
    size = 31 if n > 512 else 9
    for a in range(size):
        value = item(rows, (first + a * n // size) * constant(width) + feature)
        b = a
        while b > 0 and sample[b - 1] > value:
            sample[b] = sample[b - 1]
            b -= 1
        sample[b] = value
    return sample[min(size - 1, rank * size // n)]


@jit
def _divide(rows, first, last, middle, feature, width, sample):
    """Reorder rows so that no value before `middle` exceeds one after it (quickselect without branches)."""
    stride = constant(width)
    while last - first > 1:
        pivot = _value_of_rank(rows, first, last, middle - first, feature, width, sample)
        edge = first * stride
        for i in range(first * stride, last * stride, stride):  # smaller ones to the front
            row = load(rows, i, width)
            smaller = item(rows, i + feature) < pivot
            store(rows, i, load(rows, edge, width))
            store(rows, edge, row)
            edge += stride * smaller
        if middle * stride < edge:
            last = edge // stride
            continue
        for i in range(edge, last * stride, stride):  # then equal ones: ties must not stop the progress
            row = load(rows, i, width)
            equal = item(rows, i + feature) == pivot
            store(rows, i, load(rows, edge, width))
            store(rows, edge, row)
            edge += stride * equal
        first = edge // stride
        if middle < first:
            return


@jit
def _sort(rows, first, last, feature, width, scratch):
    """Sort few rows by a column: each goes where as many are smaller."""
    stride = constant(width)
    keys, n_placed, copy = scratch
    n = last - first
    for i in range(n):
        keys[i] = item(rows, (first + i) * stride + feature)
        n_placed[i] = 0
        store(copy, i * stride, load(rows, (first + i) * stride, width))
    padded = (n + GROUP - 1) // GROUP * GROUP
    keys[n:padded] = np.inf
    for i in range(n):
        key = splat(keys[i], LANES)
        place = 0
        for j in range(0, padded, GROUP):
            place += count(less(load(keys, j, LANES), key))
        store(rows, (first + place + n_placed[place]) * stride, load(copy, i * stride, width))
        n_placed[place] += 1


@jit
def _box(rows, first, last, step, width, low, high, at):
    """Smallest and largest value of each column among every step-th row, stored at element `at`."""
    stride = constant(width)
    smallest = load(rows, first * stride, width)
    largest = smallest
    for i in range((first + step) * stride, last * stride, step * stride):
        row = load(rows, i, width)
        smallest = minimum(smallest, row)
        largest = maximum(largest, row)
    store(low, at, smallest)
    store(high, at, largest)


@jit
def _join_boxes(node, low, high, width):
    """The box of a node from those of its children."""
    at = node * constant(width)
    store(low, at, minimum(load(low, 2 * at, width), load(low, 2 * at + constant(width), width)))
    store(high, at, maximum(load(high, 2 * at, width), load(high, 2 * at + constant(width), width)))


@jit
def _cut(rows, first, last, middle, width, d, scratch):
    """Divide rows at `middle` across the direction in which they extend farthest, which is returned."""
    low = scratch[0]
    high = low[constant(width) :]
    _box(rows, first, last, max(1, (last - first) // 64), width, low, high, 0)
    feature = 0
    for other in range(1, constant(d)):
        if high[other] - low[other] > high[feature] - low[feature]:
            feature = other
    if last - first <= _SORTED_ROWS:
        _sort(rows, first, last, feature, width, scratch)
    else:
        _divide(rows, first, last, middle, feature, width, scratch[0])
    return feature


@jit
def _scratch(width):
    """Keys, or a sample, or two boxes; counters; and copies of rows."""
    keys = np.zeros(max(_SORTED_ROWS, 2 * constant(width)))
    copies = np.empty(_SORTED_ROWS * constant(width))
    return keys, np.empty(_SORTED_ROWS, np.int64), copies


@jit
def _cut_node(node, level, edges, rows, features, width, d, scratch):
    span = (edges.shape[0] - 1) >> level
    leaf = (node - (1 << level)) * span
    middle = edges[leaf + span // 2]
    features[node] = _cut(rows, edges[leaf], edges[leaf + span], middle, width, d, scratch)


@jit
def _order_leaf(rows, first, last, width, d, scratch):
    """Cut a leaf into groups of rows that lie close together."""
    groups = (last - first + GROUP - 1) // GROUP
    if groups > 1:
        middle = first + groups // 2 * GROUP
        _cut(rows, first, last, middle, width, d, scratch)
        _order_leaf(rows, first, middle, width, d, scratch)
        _order_leaf(rows, middle, last, width, d, scratch)


@jit
def level_kernel(start, stop, level, edges, rows, features, width, d):
    """Cut nodes of one level."""
    scratch = _scratch(width)
    for i in range(start, stop):
        _cut_node((1 << level) + i, level, edges, rows, features, width, d, scratch)


@jit
def subtree_kernel(start, stop, top, depth, edges, rows, features, low, high, width, d):
    """Cut everything below nodes of level `top`, and box it."""
    scratch = _scratch(width)
    for i in range(start, stop):
        for level in range(top, depth):
            span = 1 << (level - top)
            for node in range((1 << level) + i * span, (1 << level) + (i + 1) * span):
                _cut_node(node, level, edges, rows, features, width, d, scratch)
        span = 1 << (depth - top)
        for leaf in range(i * span, (i + 1) * span):
            _order_leaf(rows, edges[leaf], edges[leaf + 1], width, d, scratch)
            _box(rows, edges[leaf], edges[leaf + 1], 1, width, low, high, ((1 << depth) + leaf) * constant(width))
        for level in range(depth - 1, top - 1, -1):
            span = 1 << (level - top)
            for node in range((1 << level) + i * span, (1 << level) + (i + 1) * span):
                _join_boxes(node, low, high, width)


@jit
def box_top(top, low, high, width):
    """Box the nodes above level `top`."""
    for node in range((1 << top) - 1, 0, -1):
        _join_boxes(node, low, high, width)
