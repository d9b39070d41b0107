"""Nearest neighbours in few features: a complete binary tree of boxes over points in Morton order, without pointers.

Node i has the children 2i and 2i + 1, its leaves hold `LEAF` points that follow one another. A thread goes down to the
leaf whose boxes are nearest to its query, then up again, and enters the subtree beside its way wherever the box is
nearer than the neighbours it knows. A box is computed like a point and rounds like one: it is never farther than the
points in it.
"""

import functools
import math
from typing import Any

import numpy as np

from ..neighbors._nearest import squares_beyond
from ..preprocessing import spread_rows
from ._compat import MOST_BLOCKS, Kernel, cuda, device, types
from .brute import MOST_AT_ONCE, PANEL, THREADS, Brute, bucket, check_number, inserter
from .interop import Place
from .memory import telling_shortage, workspace
from .sort import sorted_rows

float64, int32, int64 = types.float64, types.int32, types.int64
LEAF = 2 * PANEL
_MOST_BITS, _MOST_BITS_OF_FEATURE = 60, 24
_ROWS_TO_LOOK_AT = 2000
_NARROWEST = 1e-280  # of a feature that is cut into cells, whose number per unit must not overflow
_TAIL = 0.01  # of each feature, on each side, that may lie beyond the cells
_MOST_QUERIES = 1 << 20


class Tree(Brute):
    """Points of few features on a device, in Morton order."""

    def __init__(self, points: np.ndarray):
        check_number(len(points))
        m, d = points.shape
        with telling_shortage(), Place() as place:
            self._order = place.receive(_morton_order(points, place))
        super().__init__(np.ascontiguousarray(points[self._order]), in_blocks=False)
        self._n_leaves = 1 << (-(-m // LEAF) - 1).bit_length()
        with telling_shortage(), Place() as place:
            self._boxes = place.scratch(4 * d * self._n_leaves)
            first = self._n_leaves
            while first:
                blocks = min(-(-first // THREADS), MOST_BLOCKS)
                _boxes()(blocks, THREADS, place.stream, m, d, first, self._n_leaves, self._panels, self._boxes)
                first //= 2

    @property
    def order(self) -> np.ndarray:
        """Rows of the points in the array given."""
        return self._order

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """An order in which threads that are neighbours go the same ways: of each block of queries by itself."""
        orders = []
        for start in range(0, len(queries), _MOST_QUERIES):
            with telling_shortage(), Place() as place:
                order = place.receive(_morton_order(queries[start : start + _MOST_QUERIES], place))
            orders.append(start + order.astype(np.int64))
        return np.concatenate(orders)

    def nearest(
        self, queries: np.ndarray, k: int, exclude: np.ndarray | None, with_rows: bool, progress: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Distances to the k nearest points, ascending, and their rows if asked for."""
        if k > MOST_AT_ONCE:
            return super().nearest(queries, k, exclude, with_rows, progress)
        n, d = queries.shape
        distances = np.empty((n, k))
        rows = np.empty((n, k), dtype=np.int64) if with_rows else None
        kernel = nearest(d, bucket(k))
        for block, sent, place in self._blocks(queries, exclude, 12 * k):
            length = block.stop - block.start
            out, out_rows = place.scratch(length, k), place.scratch(length, k, dtype=np.int32)
            tree = self._n_leaves, self._panels, self._boxes
            kernel(-(-length // THREADS), THREADS, place.stream, length, k, *tree, *sent, out, out_rows)
            distances[block] = place.receive(out)
            if rows is not None:
                rows[block] = place.receive(out_rows)
            if progress is not None:
                progress(block.stop / n)
        return distances, rows

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray | None) -> np.ndarray:
        """Number of points at distance <= radius[i] from query i."""
        bounds, counts = squares_beyond(radius), np.empty(len(queries), dtype=np.int64)
        kernel = count(queries.shape[1])
        for block, sent, place in self._blocks(queries, exclude, 16):
            length = block.stop - block.start
            out, limits = place.scratch(length, dtype=np.int64), place.send(np.ascontiguousarray(bounds[block]))
            tree = self._n_leaves, self._panels, self._boxes
            kernel(-(-length // THREADS), THREADS, place.stream, length, *tree, *sent, limits, out)
            counts[block] = place.receive(out)
        return counts

    def _blocks(self, queries: np.ndarray, exclude: np.ndarray | None, n_bytes: int) -> Any:
        """Blocks of queries that take so many bytes each besides, with what is sent of them."""
        n, d = queries.shape
        step = min(_MOST_QUERIES, max(THREADS, workspace() // (8 * d + 8 + n_bytes)))
        for start in range(0, n, step):
            block = slice(start, min(start + step, n))
            skip = np.full(block.stop - start, -1) if exclude is None else exclude[block]
            with telling_shortage(), Place() as place:
                columns = np.ascontiguousarray(queries[block].T).reshape(-1)
                yield block, (place.send(columns), place.send(np.ascontiguousarray(skip))), place


def _morton_order(points: np.ndarray, place: Place) -> Any:
    """Rows in the order of the cells of a grid over the bulk of the points, along a curve that stays near."""
    m, d = points.shape
    n_bits = max(1, min(_MOST_BITS // d, _MOST_BITS_OF_FEATURE))
    columns = np.sort(spread_rows(points, _ROWS_TO_LOOK_AT), axis=0)
    skipped = int(_TAIL * len(columns))
    low, high = columns[skipped], columns[len(columns) - 1 - skipped]
    width = high - low
    low, width = low - width, 3.0 * width
    is_wide = width > _NARROWEST
    scales = np.where(is_wide, 2.0**n_bits / np.where(is_wide, width, 1.0), 0.0)
    keys = place.scratch(m, dtype=np.int64)
    given = [place.send(np.ascontiguousarray(array).reshape(-1)) for array in (points, low, scales)]
    _codes()(min(-(-m // THREADS), MOST_BLOCKS), THREADS, place.stream, m, d, n_bits, *given, keys)
    return sorted_rows(keys, m, n_bits * d, place)


# ---------------------------------------------------------------- kernels


@functools.cache
def _codes() -> Kernel:
    """Bits of the numbers of cells, the highest of all features first."""

    def codes(m, d, n_bits, points, low, scales, out):
        for i in range(cuda.grid(1), m, cuda.gridsize(1)):
            code = int64(0)
            for t in range(d):
                place = (points[i * d + t] - low[t]) * scales[t]
                cell = int64(min(max(place, 0.0), float64((int64(1) << n_bits) - 1)))
                for bit in range(n_bits):
                    code |= ((cell >> bit) & 1) << (bit * d + t)
            out[i] = code

    return Kernel(codes)


@functools.cache
def _boxes() -> Kernel:
    """Boxes of one level of nodes: smallest, then largest values of the features; those of nothing are inverted."""

    def boxes(m, d, first, n_leaves, panels, out):
        for i in range(cuda.grid(1), first, cuda.gridsize(1)):
            node = first + i
            for t in range(d):
                low, high = math.inf, -math.inf
                if first == n_leaves:
                    for row in range(i * LEAF, min((i + 1) * LEAF, m)):
                        x = panels[(row // PANEL * d + t) * PANEL + row % PANEL]
                        low, high = min(low, x), max(high, x)
                else:
                    left = 4 * node * d + t
                    low, high = min(out[left], out[left + 2 * d]), max(out[left + d], out[left + 3 * d])
                out[2 * node * d + t], out[(2 * node + 1) * d + t] = low, high

    return Kernel(boxes)


@functools.cache
def _square_to_box(d: int) -> Any:
    def square_to_box(x, boxes, node):
        square = 0.0
        for t in range(d):
            gap = max(max(boxes[2 * node * d + t] - x[t], x[t] - boxes[(2 * node + 1) * d + t]), 0.0)
            square = cuda.fma(gap, gap, square)
        return square

    return device(square_to_box)


@functools.cache
def _squares_in_panel(d: int) -> Any:
    def squares_in_panel(x, panels, panel, sums):
        for b in range(PANEL):
            sums[b] = 0.0
        for t in range(d):
            at = (panel * d + t) * PANEL
            for b in range(PANEL):
                difference = x[t] - panels[at + b]
                sums[b] = cuda.fma(difference, difference, sums[b])

    return device(squares_in_panel)


@functools.cache
def nearest(d: int, size: int) -> Kernel:
    """The nearest points of each query, for d features."""
    square_to_box, squares_in_panel, insert = _square_to_box(d), _squares_in_panel(d), inserter(size)

    def search(n, wanted, n_leaves, panels, boxes, columns, skip, out, out_rows):
        x = cuda.local.array(d, float64)
        best = cuda.local.array(size, float64)
        rows = cuda.local.array(size, int32)
        sums = cuda.local.array(PANEL, float64)
        i = cuda.grid(1)
        if i >= n:
            return
        for t in range(d):
            x[t] = columns[t * n + i]
        for k in range(size):
            best[k] = math.inf
            rows[k] = int32(-1)
        excluded = int32(skip[i])
        n_panels = panels.shape[0] // (PANEL * d)
        home = int32(1)
        while home < n_leaves:
            home = int32(2 * home)
            if square_to_box(x, boxes, home + 1) < square_to_box(x, boxes, home):
                home = int32(home + 1)
        top, node = home, home
        while True:
            descend = False
            if square_to_box(x, boxes, node) < best[size - 1]:
                descend = node < n_leaves
                if not descend:
                    first = (node - n_leaves) * (LEAF // PANEL)
                    for panel in range(first, min(first + LEAF // PANEL, n_panels)):
                        squares_in_panel(x, panels, panel, sums)
                        for b in range(PANEL):
                            square, row = sums[b], int32(panel * PANEL + b)
                            if square < best[size - 1] and row != excluded:
                                insert(best, rows, 0, square, row)
            if descend:
                node = int32(2 * node)
                continue
            while node != top and node % 2 == 1:
                node = int32(node // 2)
            if node != top:
                node = int32(node + 1)
                continue
            up = top if top == home else int32(top // 2)  # the node on the way up whose other side comes next
            if up <= 1:
                break
            top = int32(up + 1 - 2 * (up % 2))
            node = top
        for k in range(size):
            if k < wanted:
                out[i, k] = math.sqrt(best[k])
                out_rows[i, k] = rows[k]

    search.__name__ = f"nearest_in_tree_{d}_{size}"
    return Kernel(search)


@functools.cache
def count(d: int) -> Kernel:
    """How many points of each query have smaller squares than its bound."""
    square_to_box, squares_in_panel = _square_to_box(d), _squares_in_panel(d)

    def counted(n, n_leaves, panels, boxes, columns, skip, bounds, out):
        x = cuda.local.array(d, float64)
        sums = cuda.local.array(PANEL, float64)
        i = cuda.grid(1)
        if i >= n:
            return
        for t in range(d):
            x[t] = columns[t * n + i]
        n_panels = panels.shape[0] // (PANEL * d)
        excluded, bound, total = skip[i], bounds[i], 0
        node = int32(1)
        while node > 0:
            if square_to_box(x, boxes, node) < bound:
                if node < n_leaves:
                    node = int32(2 * node)
                    continue
                first = (node - n_leaves) * (LEAF // PANEL)
                for panel in range(first, min(first + LEAF // PANEL, n_panels)):
                    squares_in_panel(x, panels, panel, sums)
                    for b in range(PANEL):
                        total += 1 if sums[b] < bound and panel * PANEL + b != excluded else 0
            while node % 2 == 1:  # up from right children; above the root is node 0
                node = int32(node // 2)
            node = int32(node + 1) if node > 0 else int32(0)
        out[i] = total

    counted.__name__ = f"count_in_tree_{d}"
    return Kernel(counted)
