"""A balanced kd-tree without pointers, for few features.

Node i has the children 2i and 2i + 1; the points are permuted so that every node is a range of them.
A node keeps the bounding box of its points. The box's distance to a query is summed in the order of the
direct formula, and rounding is monotone, so a computed box distance never exceeds a computed distance
to a point inside: pruning by it is exact to the last bit.
"""

import numpy as np

from .._arrays import frozen
from .._jit import jit, run_rows
from ._nearest import largest_square_within, replace_farthest, sort_heap

_LEAF_ROWS = 16


@jit
def _bounding_box(points, order, first, last, low, high):
    for feature in range(points.shape[1]):
        smallest = np.inf
        largest = -np.inf
        for position in range(first, last):
            value = points[order[position], feature]
            smallest = min(smallest, value)
            largest = max(largest, value)
        low[feature] = smallest
        high[feature] = largest


@jit
def _partition(values, order, first, last, middle):
    """Reorder so that no value before `middle` exceeds one after it (Hoare's selection)."""
    last -= 1
    while first < last:
        pivot = values[order[(first + last) // 2]]
        i = first
        j = last
        while i <= j:
            while values[order[i]] < pivot:
                i += 1
            while values[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j
        elif middle >= i:
            first = i
        else:
            return


@jit
def _build_kernel(start, stop, first_node, leaf_span, points, edges, order, low, high):
    """Box and split the nodes of one level; a node spans `leaf_span` leaves."""
    for offset in range(start, stop):
        node = first_node + offset
        first = edges[offset * leaf_span]
        last = edges[(offset + 1) * leaf_span]
        _bounding_box(points, order, first, last, low[node], high[node])
        if leaf_span > 1:
            feature = np.argmax(high[node] - low[node])
            middle = edges[offset * leaf_span + leaf_span // 2]
            _partition(points[:, feature], order, first, last, middle)


@jit
def _box_distance(query, low, high):
    """Squared distance from a query to the nearest place of a box."""
    total = 0.0
    for feature in range(query.shape[0]):
        outside = max(low[feature] - query[feature], query[feature] - high[feature], 0.0)
        total += outside * outside
    return total


@jit
def _squared_distance(query, point):
    total = 0.0
    for feature in range(query.shape[0]):
        difference = query[feature] - point[feature]
        total += difference * difference
    return total


@jit
def _kth_kernel(start, stop, queries, points, order, edges, low, high, exclude, out_squares, out_points):
    n_leaves = edges.shape[0] - 1
    stack = np.empty(128, np.int64)
    bound = np.empty(128)
    for i in range(start, stop):
        query = queries[i]
        nearest = out_squares[i]
        nearest[:] = np.inf
        stack[0] = 1
        bound[0] = 0.0
        depth = 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if bound[depth] >= nearest[0]:
                continue
            while node < n_leaves:
                left = _box_distance(query, low[2 * node], high[2 * node])
                right = _box_distance(query, low[2 * node + 1], high[2 * node + 1])
                near = 2 * node + (right < left)
                stack[depth] = near ^ 1
                bound[depth] = max(left, right)
                depth += 1
                node = near
            leaf = node - n_leaves
            for position in range(edges[leaf], edges[leaf + 1]):
                square = _squared_distance(query, points[position])
                if square < nearest[0] and order[position] != exclude[i]:
                    replace_farthest(nearest, out_points[i], square, order[position])
        sort_heap(nearest, out_points[i])


@jit
def _count_kernel(start, stop, queries, points, order, edges, low, high, exclude, radius, out):
    n_leaves = edges.shape[0] - 1
    stack = np.empty(128, np.int64)
    for i in range(start, stop):
        query = queries[i]
        limit = largest_square_within(radius[i])
        count = 0
        stack[0] = 1
        depth = 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if _box_distance(query, low[node], high[node]) > limit:
                continue
            if node < n_leaves:
                stack[depth] = 2 * node
                stack[depth + 1] = 2 * node + 1
                depth += 2
                continue
            leaf = node - n_leaves
            for position in range(edges[leaf], edges[leaf + 1]):
                inside = _squared_distance(query, points[position]) <= limit
                if inside and order[position] != exclude[i]:
                    count += 1
        out[i] = count


class Tree:
    def __init__(self, points: np.ndarray, n_jobs: int):
        m, d = points.shape
        n_levels = max(0, int(np.ceil(np.log2(m / _LEAF_ROWS))))
        n_leaves = 1 << n_levels
        edges = frozen(np.arange(n_leaves + 1) * m // n_leaves)
        order = np.arange(m)
        low = np.empty((2 * n_leaves, d))
        high = np.empty((2 * n_leaves, d))
        for level in range(n_levels + 1):
            first_node = 1 << level
            arguments = (first_node, n_leaves >> level, points, edges, order, low, high)
            run_rows(_build_kernel, first_node, *arguments, n_jobs=n_jobs)
        self._nodes = (frozen(points[order]), frozen(order), edges, frozen(low), frozen(high))
        self._n_jobs = n_jobs
        self._row_cost = points.size

    def nearest(self, queries: np.ndarray, k: int, exclude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and rows of the k nearest points, the nearest first."""
        squares = np.empty((len(queries), k))
        points = np.zeros((len(queries), k), dtype=np.int64)
        arguments = (queries, *self._nodes, exclude, squares, points)
        run_rows(_kth_kernel, len(queries), *arguments, n_jobs=self._n_jobs, row_cost=self._row_cost)
        return squares, points

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray) -> np.ndarray:
        out = np.empty(len(queries), dtype=np.int64)
        arguments = (queries, *self._nodes, exclude, radius, out)
        run_rows(_count_kernel, len(queries), *arguments, n_jobs=self._n_jobs, row_cost=self._row_cost)
        return out
