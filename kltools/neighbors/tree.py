"""A balanced kd-tree without pointers, for few features; eight queries descend it at once.

The queries of a group lie in the lanes of vectors, one vector for each feature. A node is entered where
the box around its points is nearer to any of the queries than the k points that query already knows.
"""

import math

import numpy as np

from .._arrays import aligned, frozen
from .._jit import jit, run_rows
from .._once import once
from .._simd import (
    EUCLIDEAN,
    Const,
    bits,
    box_distances,
    constant,
    distances,
    equal,
    item,
    less,
    load,
    load_many,
    maximum,
    minimum,
    select,
    splat,
    sqrt,
    store,
)
from ._build import (
    GROUP,
    LANES,
    box_top,
    copy_kernel,
    fill_kernel,
    leaf_edges,
    level_kernel,
    row_width,
    subtree_kernel,
)
from ._nearest import beyond, replace_farthest, rows_or_nobody, sort_heap

_EUCLIDEAN = EUCLIDEAN.value  # the norm whose distances are compared as squares
_STACK = 64
_MOST_INSERTED = 64  # neighbours kept sorted in vectors; more are kept in heaps
_PARALLEL_ROWS = 20_000
_SUBTREE_BYTES = 2**18


@jit
def _workspace(d):
    """Columns of a group of queries, their centre, the rows they leave out, and the nodes left to visit."""
    return np.empty(constant(d) * GROUP), np.empty(constant(d)), np.full(GROUP, -1), np.empty(_STACK, np.int64)


@jit
def _open(queries, group, exclude, workspace, d):
    """Transpose the queries of a group into columns, put the root on the stack; how many queries there are.

    Lanes beyond the last query repeat it.
    """
    columns, center, excluded, stack = workspace
    n_features = constant(d)
    first = group * GROUP
    for feature in range(n_features):
        total = 0.0
        for lane in range(GROUP):
            row = min(first + lane, queries.shape[0] - 1)
            value = item(queries, row * n_features + feature)
            columns[feature * GROUP + lane] = value
            total += value
        center[feature] = total / GROUP
    n_queries = min(GROUP, queries.shape[0] - first)
    if exclude.shape[0] > 0:
        for lane in range(n_queries):  # to assign a slice takes seconds to compile
            excluded[lane] = exclude[first + lane]
    stack[0] = 1
    return n_queries


@jit
def _next_leaf(stack, depth, query, center, bound, tree, norm, width):
    """The next leaf in which one of the queries may find a point nearer than its bound, or -1."""
    edges, features, low, high = tree
    n_leaves = edges.shape[0] - 1
    stride = constant(width)
    while depth > 0:
        depth -= 1
        node = item(stack, depth)
        while bits(less(box_distances(query, low, high, node * stride, norm), bound)) != 0:
            if node >= n_leaves:
                return node - n_leaves, depth
            feature = item(features, node)
            left = 2 * node
            near = left + (item(center, feature) > item(high, left * stride + feature))
            stack[depth] = 2 * left + 1 - near
            depth += 1
            node = near
    return -1, 0


@jit
def _insert(best, x, y, k):
    """Sort two vectors into the k vectors that ascend in each lane."""
    for i in range(0, k * GROUP, GROUP):
        known = load(best, i, LANES)
        smaller = minimum(x, known)
        x = maximum(x, known)
        store(best, i, minimum(y, smaller))
        y = maximum(y, smaller)


@jit
def _insert_with_row(best, best_rows, x, row, k):
    """Sort a vector into the k vectors that ascend in each lane, and the row it belongs to into theirs."""
    rows = splat(row, LANES)
    for i in range(0, k * GROUP, GROUP):
        known, known_rows = load(best, i, LANES), load(best_rows, i, LANES)
        nearer = less(x, known)
        store(best, i, select(nearer, x, known))
        store(best_rows, i, select(nearer, rows, known_rows))
        x, rows = select(nearer, known, x), select(nearer, known_rows, rows)


@jit
def _nearest_kernel(start, stop, queries, points, tree, exclude, k, norm, width, d, out, out_rows):
    """The k smallest distances of the groups of queries [start, stop), kept sorted in vectors."""
    edges = tree[0]
    workspace = _workspace(d)
    columns, center, excluded, stack = workspace
    best = np.empty(k * GROUP)
    best_rows = np.zeros(k * GROUP, np.int64)
    last = (k - 1) * GROUP
    for group in range(start, stop):
        first_query = group * GROUP
        n_queries = _open(queries, group, exclude, workspace, d)
        query = load_many(columns, 0, LANES, d)
        best[:] = np.inf
        bound = load(best, last, LANES)
        depth = 1
        while True:
            leaf, depth = _next_leaf(stack, depth, query, center, bound, tree, norm, width)
            if leaf < 0:
                break
            row, end = item(edges, leaf), item(edges, leaf + 1)
            while row < end:
                x = distances(query, points, row * constant(width), norm)
                other = min(row + 1, end - 1)
                y = distances(query, points, other * constant(width), norm)
                if bits(less(minimum(x, y), bound)) != 0:
                    skipped = load(excluded, 0, LANES)
                    x = select(equal(skipped, row), np.inf, x)
                    y = select(equal(skipped, other), np.inf, y)
                    if other == row:
                        y = splat(np.inf, LANES)
                    if out_rows is None:
                        _insert(best, x, y, k)
                    else:
                        _insert_with_row(best, best_rows, x, row, k)
                        _insert_with_row(best, best_rows, y, other, k)
                    bound = load(best, last, LANES)
                row += 2
        if constant(norm) == _EUCLIDEAN:
            for i in range(0, k * GROUP, GROUP):
                store(best, i, sqrt(load(best, i, LANES)))
        for lane in range(n_queries):
            for j in range(k):
                out[first_query + lane, j] = best[j * GROUP + lane]
                if out_rows is not None:
                    out_rows[first_query + lane, j] = best_rows[j * GROUP + lane]


@jit
def _heap_kernel(start, stop, queries, points, tree, exclude, norm, width, d, out, out_rows):
    """The same for any k, with the rows of the neighbours, kept in a heap for each query."""
    edges = tree[0]
    workspace = _workspace(d)
    columns, center, excluded, stack = workspace
    bounds, found = np.empty(GROUP), np.empty(GROUP)
    for group in range(start, stop):
        first_query = group * GROUP
        n_queries = _open(queries, group, exclude, workspace, d)
        query = load_many(columns, 0, LANES, d)
        bounds[:] = -1.0
        bounds[:n_queries] = np.inf
        out[first_query : first_query + n_queries] = np.inf
        bound = load(bounds, 0, LANES)
        depth = 1
        while True:
            leaf, depth = _next_leaf(stack, depth, query, center, bound, tree, norm, width)
            if leaf < 0:
                break
            for row in range(item(edges, leaf), item(edges, leaf + 1)):
                x = distances(query, points, row * constant(width), norm)
                if bits(less(x, bound)) == 0:
                    continue
                store(found, 0, x)
                for lane in range(n_queries):
                    if found[lane] < bounds[lane] and excluded[lane] != row:
                        heap = out[first_query + lane]
                        replace_farthest(heap, out_rows[first_query + lane], found[lane], row)
                        bounds[lane] = heap[0]
                bound = load(bounds, 0, LANES)
        for lane in range(n_queries):
            heap = out[first_query + lane]
            sort_heap(heap, out_rows[first_query + lane])
            if constant(norm) == _EUCLIDEAN:
                for j in range(heap.shape[0]):
                    heap[j] = math.sqrt(heap[j])


@jit
def _visits_kernel(start, stop, queries, points, tree, exclude, radius, norm, width, d, out):
    """How many leaves hold the points within its radius of any query of a group."""
    workspace = _workspace(d)
    columns, center, _, stack = workspace
    bounds = np.empty(GROUP)
    for group in range(start, stop):
        _open(queries, group, exclude, workspace, d)
        for lane in range(GROUP):
            bounds[lane] = beyond(radius[min(group * GROUP + lane, queries.shape[0] - 1)], constant(norm) == _EUCLIDEAN)
        depth = 1
        out[group] = -1
        leaf = 0
        while leaf >= 0:
            out[group] += 1
            query = load_many(columns, 0, LANES, d)
            leaf, depth = _next_leaf(stack, depth, query, center, load(bounds, 0, LANES), tree, norm, width)


@jit
def _count_kernel(start, stop, queries, points, tree, exclude, radius, norm, width, d, out):
    """How many points lie within its radius of each query."""
    edges = tree[0]
    workspace = _workspace(d)
    columns, center, excluded, stack = workspace
    bounds, totals = np.empty(GROUP), np.empty(GROUP)
    for group in range(start, stop):
        first_query = group * GROUP
        n_queries = _open(queries, group, exclude, workspace, d)
        query = load_many(columns, 0, LANES, d)
        bounds[:] = -1.0
        for lane in range(n_queries):
            bounds[lane] = beyond(radius[first_query + lane], constant(norm) == _EUCLIDEAN)
        skipped = load(excluded, 0, LANES)
        bound = load(bounds, 0, LANES)
        total = splat(0.0, LANES)
        depth = 1
        while True:
            leaf, depth = _next_leaf(stack, depth, query, center, bound, tree, norm, width)
            if leaf < 0:
                break
            for row in range(item(edges, leaf), item(edges, leaf + 1)):
                inside = less(distances(query, points, row * constant(width), norm), bound)
                total = select(equal(skipped, row), total, total + select(inside, 1.0, 0.0))
        store(totals, 0, total)
        for lane in range(n_queries):
            out[first_query + lane] = totals[lane]


class Tree:
    """Points in the order of the tree; `order` are their rows in the array given."""

    def __init__(self, points: np.ndarray, norm: Const, n_jobs: int):
        m, d = points.shape
        edges = leaf_edges(m)
        n_leaves = len(edges) - 1
        depth = n_leaves.bit_length() - 1
        self._rows = rows = aligned((m, row_width(d)))
        fill_kernel(points, rows)
        features = np.zeros(n_leaves, dtype=np.int64)
        low, high = aligned((2, 2 * n_leaves, rows.shape[1]))
        self._width, self._d, self._norm, self._n_jobs = Const(rows.shape[1]), Const(d), norm, n_jobs
        top = 0  # levels split one by one, until the subtrees fit into a cache and occupy all threads
        while top < depth and (rows.nbytes >> top > _SUBTREE_BYTES or (n_jobs > 1 << top and m > _PARALLEL_ROWS)):
            top += 1
        shape = self._width, self._d
        for level in range(top):
            run_rows(
                level_kernel,
                1 << level,
                level,
                edges,
                rows,
                features,
                *shape,
                n_jobs=n_jobs,
                row_cost=rows.size >> level,
            )
        cost = (rows.size >> top) * (depth - top + 1)
        run_rows(
            subtree_kernel, 1 << top, top, depth, edges, rows, features, low, high, *shape, n_jobs=n_jobs, row_cost=cost
        )
        if top:
            box_top(top, low, high, self._width)
        self._tree = edges, features, low, high

    @once
    def points(self) -> np.ndarray:
        out = np.empty((len(self._rows), self._d.value))
        copy_kernel(self._rows, out)
        return frozen(out)

    @once
    def order(self) -> np.ndarray:
        return self._rows[:, self._d.value].astype(np.int64)

    def nearest(self, queries, k: int, exclude, with_rows: bool, progress=None):
        """Distances to the k nearest points, and their rows if asked for."""
        out = np.empty((len(queries), k))
        insert = k <= _MOST_INSERTED
        out_rows = np.zeros((len(queries), k), dtype=np.int64) if with_rows or not insert else None
        shape = self._norm, self._width, self._d
        if insert:
            self._run(_nearest_kernel, queries, exclude, k, *shape, out, out_rows, progress=progress)
        else:
            self._run(_heap_kernel, queries, exclude, *shape, out, out_rows, progress=progress)
        return out, out_rows

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude) -> np.ndarray:
        out = np.empty(len(queries), dtype=np.int64)
        self._run(_count_kernel, queries, exclude, radius, self._norm, self._width, self._d, out)
        return out

    def share_visited(self, n_queries: int, k: int) -> float:
        """Share of the leaves that a search for the k nearest enters, from searches for a few of the points."""
        groups = -(-len(self._rows) // GROUP)
        chosen = np.linspace(0, groups - 1, min(groups, -(-n_queries // GROUP))).astype(int)
        rows = np.minimum((chosen[:, None] * GROUP + np.arange(GROUP)).ravel(), len(self.points) - 1)
        queries = frozen(self.points[rows])
        radius = frozen(self.nearest(queries, min(k, len(self.points)), None, False)[0][:, -1])
        visits = np.empty(len(chosen), dtype=np.int64)
        self._run(_visits_kernel, queries, None, radius, self._norm, self._width, self._d, visits)
        return float(visits.mean()) / (len(self._tree[0]) - 1)

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """The order in which a search for these queries is fast."""
        return Tree(queries, self._norm, self._n_jobs).order

    def _run(self, kernel, queries, exclude, *arguments, progress=None) -> None:
        groups = -(-len(queries) // GROUP)
        arguments = queries, self._rows, self._tree, rows_or_nobody(exclude), *arguments
        run_rows(kernel, groups, *arguments, n_jobs=self._n_jobs, row_cost=self._rows.size, progress=progress)
