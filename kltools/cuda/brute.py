"""Nearest neighbours by comparing every query with every point: tiles in shared memory, the nearest in registers.

A thread keeps `_TOGETHER` queries, or one where many neighbours are sought, and meets the points eight at a time. Of
equally near points the one of the smaller row comes first, so that what is found depends neither on the shape of a
launch nor on how the points are split among blocks. More neighbours than `MOST_AT_ONCE` are found in turns, each of
which looks beyond the last neighbour of the one before.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DeviceUnavailableError
from ..neighbors._nearest import squares_beyond
from ._compat import MOST_BLOCKS, SIMULATED, Kernel, cuda, device, types
from .interop import Place
from .memory import telling_shortage, workspace

float64, int32 = types.float64, types.int32
PANEL = 8  # points that a thread meets at once
MOST_AT_ONCE = 32  # neighbours that fit into registers
BUCKETS = (1, 2, 4, 8, 16, 24, MOST_AT_ONCE)
_TOGETHER, _MOST_TOGETHER = 2, 8  # queries of a thread, and the neighbours up to which it has so many
_TILE = 4096  # numbers in shared memory, 32 KiB
_MOST_FEATURES = _TILE // PANEL  # of a panel in shared memory; more come in parts
THREADS = 8 if SIMULATED else 128
_BLOCKS_WANTED = 4 if SIMULATED else 1024  # fewer leave a device idle: then points are split
_FEWEST_PANELS = 2 if SIMULATED else 256  # of a split
_MOST_SPLITS = 64
_MOST_POINTS = (1 << 31) - 1  # rows are told as int32
_MOST_QUERIES = 1 << 20  # of a launch


class Brute:
    """Points on a device, or sent in blocks where they do not fit; what is asked and found lives on the host."""

    def __init__(self, points: np.ndarray, in_blocks: bool = True):
        check_number(len(points))
        self.points = points
        self._n_panels = -(-len(points) // PANEL)
        with telling_shortage(), Place() as place:
            is_held = not in_blocks or self._panels_at_once() >= self._n_panels
            self._panels = self._pack(0, self._n_panels, place) if is_held else None

    def _panels_at_once(self) -> int:
        """How many fit into half of the workspace, together with the points they are made of."""
        return max(1, workspace() // (4 * PANEL * self.points.itemsize * self.points.shape[1]))

    def _pack(self, first: int, length: int, place: Place) -> Any:
        rows = self.points[first * PANEL : (first + length) * PANEL]
        m, d = rows.shape
        given, panels = place.send(rows.reshape(-1)), place.scratch(length * PANEL * d)
        _packed()(min(-(-panels.size // THREADS), MOST_BLOCKS), THREADS, place.stream, m, d, given, panels)
        return panels

    def _parts(self) -> list[tuple[int, int]]:
        """First panel and number of panels of what the device has at the same time."""
        step = self._n_panels if self._panels is not None else self._panels_at_once()
        return [(first, min(step, self._n_panels - first)) for first in range(0, self._n_panels, step)]

    def _sent(self, parts: list[tuple[int, int]], place: Place) -> Iterator[tuple[int, int, Any]]:
        for first, length in parts:
            yield first, length, self._pack(first, length, place) if self._panels is None else self._panels

    @property
    def order(self) -> np.ndarray:
        """Rows of the points in the array given: they are kept as they came."""
        return np.arange(len(self.points))

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """The order in which a search for these queries is fast: any."""
        return np.arange(len(queries))

    def nearest(
        self, queries: np.ndarray, k: int, exclude: np.ndarray | None, with_rows: bool, progress: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Distances to the k nearest points, ascending, and their rows if asked for."""
        n = len(queries)
        distances = np.empty((n, k))
        rows = np.empty((n, k), dtype=np.int64) if with_rows else None
        turns = [(first, min(k - first, MOST_AT_ONCE)) for first in range(0, k, MOST_AT_ONCE)]
        parts = self._parts()
        n_bytes = 8 * queries.shape[1] + 12 * k + 12 * bucket(k) * _all_splits(n, bucket(turns[0][1]), parts)
        step = min(_MOST_QUERIES, max(THREADS, workspace() // n_bytes))
        for start in range(0, n, step):
            block = slice(start, min(start + step, n))
            skip = np.full(block.stop - start, -1) if exclude is None else exclude[block]
            with telling_shortage(), Place() as place:
                found, found_rows = self._nearest_of_block(queries[block], skip, turns, parts, place)
                distances[block] = place.receive(found)
                if rows is not None:
                    rows[block] = place.receive(found_rows)
            if progress is not None:
                progress(block.stop / n)
        return distances, rows

    def _nearest_of_block(
        self, queries: np.ndarray, skip: np.ndarray, turns: list, parts: list, place: Place
    ) -> tuple[Any, Any]:
        """Distances and rows on the device."""
        n, d = queries.shape
        k = sum(length for _, length in turns)
        columns, skip = place.send(np.ascontiguousarray(queries.T).reshape(-1)), place.send(np.ascontiguousarray(skip))
        distances, rows = place.scratch(n, k), place.scratch(n, k, dtype=np.int32)
        last_squares, last_rows = place.send(np.full(n, -1.0)), place.send(np.full(n, -1, dtype=np.int32))
        for first, length in turns:
            size, together = bucket(length), queries_together(bucket(length))
            shape, done = (_all_splits(n, size, parts), size, n), 0
            squares, places = place.scratch(*shape), place.scratch(*shape, dtype=np.int32)
            for before, n_panels, panels in self._sent(parts, place):
                splits = _splits(n, size, n_panels)
                grid, own = (-(-n // (THREADS * together)), splits), slice(done, done + splits)
                sized = n, d, before, n_panels, -(-n_panels // splits)
                arrays = columns, panels, skip, last_squares, last_rows, squares[own], places[own]
                search(size, together)(grid, THREADS, place.stream, *sized, *arrays)
                done += splits
            results = squares, places, last_squares, last_rows, distances, rows
            merged(size)(-(-n // THREADS), THREADS, place.stream, n, first, length, *results)
        return distances, rows

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude: np.ndarray | None) -> np.ndarray:
        """Number of points at distance <= radius[i] from query i."""
        (n, d), bounds = queries.shape, squares_beyond(radius)
        skip = np.full(n, -1) if exclude is None else exclude
        counts, parts = np.zeros(n, dtype=np.int64), self._parts()
        step = min(_MOST_QUERIES, max(THREADS, workspace() // (8 * d + 24)))
        for start in range(0, n, step):
            block = slice(start, min(start + step, n))
            with telling_shortage(), Place() as place:
                columns = place.send(np.ascontiguousarray(queries[block].T).reshape(-1))
                limits = place.send(np.ascontiguousarray(bounds[block]))
                length = block.stop - start
                out = place.scratch(length, dtype=np.int64)
                for before, n_panels, panels in self._sent(parts, place):
                    excluded = place.send(skip[block] - before * PANEL)
                    arguments = length, d, n_panels, columns, panels, excluded, limits, out
                    count()(-(-length // THREADS), THREADS, place.stream, *arguments)
                    counts[block] += place.receive(out)
        return counts


def check_number(n: int) -> None:
    """Raise for more rows than a device tells apart."""
    if n > _MOST_POINTS:
        raise DeviceUnavailableError(
            f"on a GPU neighbours are searched among at most {_MOST_POINTS} rows, got {n}; pass fewer, or device='cpu'."
        )


def _splits(n: int, size: int, n_panels: int) -> int:
    """Splits of points that different blocks of threads search, where there are few queries."""
    blocks = -(-n // (THREADS * queries_together(size)))
    return max(1, min(_BLOCKS_WANTED // blocks, n_panels // _FEWEST_PANELS, _MOST_SPLITS))


def _all_splits(n: int, size: int, parts: list[tuple[int, int]]) -> int:
    return sum(_splits(n, size, n_panels) for _, n_panels in parts)


def bucket(k: int) -> int:
    """Neighbours that a kernel is compiled for."""
    return next((size for size in BUCKETS if k <= size), MOST_AT_ONCE)


def queries_together(size: int) -> int:
    """Queries of a thread: two use what is read from shared memory twice."""
    return _TOGETHER if size <= _MOST_TOGETHER else 1


# ---------------------------------------------------------------- kernels


@functools.cache
def _packed() -> Kernel:
    """Points eight at a time, feature by feature; infinitely far ones fill the last panel."""

    def packed(m, d, points, panels):
        for e in range(cuda.grid(1), panels.shape[0], cuda.gridsize(1)):
            panel, rest = e // (PANEL * d), e % (PANEL * d)
            row = panel * PANEL + rest % PANEL
            panels[e] = points[row * d + rest // PANEL] if row < m else math.inf

    return Kernel(packed)


@functools.cache
def inserter(size: int) -> Any:
    """The function that puts a point among the nearest ones of a query, after its equals; the last one goes."""

    def insert(best, rows, first, square, row):
        moved = square
        for k in range(first, first + size):
            known, known_row = best[k], rows[k]
            nearer = square < known
            best[k] = moved if nearer else known
            rows[k] = row if nearer else known_row
            moved = known if nearer else moved
            row = known_row if nearer else row

    return device(insert)


@functools.cache
def search(size: int, together: int) -> Kernel:
    """The nearest points of one split of panels that come after others, beyond the last ones found before."""
    n_best, n_sums, insert = size * together, PANEL * together, inserter(size)

    def nearest(n, d, before, n_panels, per_split, columns, panels, skip, last_squares, last_rows, out, out_rows):
        tile = cuda.shared.array(_TILE, float64)
        best = cuda.local.array(n_best, float64)
        rows = cuda.local.array(n_best, int32)
        sums = cuda.local.array(n_sums, float64)
        thread = cuda.threadIdx.x
        first_row = cuda.blockIdx.x * (THREADS * together) + thread
        for a in range(n_best):
            best[a] = math.inf
            rows[a] = int32(-1)
        for a in range(n_sums):
            sums[a] = 0.0
        at_once = max(1, _TILE // (PANEL * d))
        stop = min(n_panels, (cuda.blockIdx.y + 1) * per_split)
        for first in range(cuda.blockIdx.y * per_split, stop, at_once):
            held = min(at_once, stop - first)
            for begin in range(0, d, _MOST_FEATURES):  # once, but for very many features
                length = min(_MOST_FEATURES, d - begin)
                cuda.syncthreads()
                source = (first * d + begin) * PANEL
                for e in range(thread, held * length * PANEL, THREADS):
                    tile[e] = panels[source + e]
                cuda.syncthreads()
                for panel in range(held):
                    for t in range(length):
                        at = (panel * length + t) * PANEL
                        for r in range(together):
                            x = columns[(begin + t) * n + min(first_row + r * THREADS, n - 1)]
                            for b in range(PANEL):
                                difference = x - tile[at + b]
                                sums[r * PANEL + b] = cuda.fma(difference, difference, sums[r * PANEL + b])
                    if begin + length < d:
                        continue
                    for r in range(together):
                        worst = best[r * size + size - 1]
                        some = False
                        for b in range(PANEL):
                            some |= sums[r * PANEL + b] < worst
                        if some:
                            i = min(first_row + r * THREADS, n - 1)
                            for b in range(PANEL):
                                square, row = sums[r * PANEL + b], int32((before + first + panel) * PANEL + b)
                                beyond = square > last_squares[i] or (square == last_squares[i] and row > last_rows[i])
                                if square < best[r * size + size - 1] and row != skip[i] and beyond:
                                    insert(best, rows, r * size, square, row)
                    for a in range(n_sums):
                        sums[a] = 0.0
        for r in range(together):
            i = first_row + r * THREADS
            if i < n:
                for k in range(size):
                    out[cuda.blockIdx.y, k, i] = best[r * size + k]
                    out_rows[cuda.blockIdx.y, k, i] = rows[r * size + k]

    nearest.__name__ = f"nearest_{size}_{together}"
    return Kernel(nearest)


@functools.cache
def merged(size: int) -> Kernel:
    """The nearest points of all splits as distances, and where the next turn goes on."""
    insert = inserter(size)

    def merge(n, first, length, squares, places, last_squares, last_rows, out, out_rows):
        best = cuda.local.array(size, float64)
        rows = cuda.local.array(size, int32)
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            for k in range(size):
                best[k] = squares[0, k, i]
                rows[k] = places[0, k, i]
            for split in range(1, squares.shape[0]):
                for c in range(size):
                    square, row = squares[split, c, i], places[split, c, i]
                    if square < best[size - 1]:
                        insert(best, rows, 0, square, row)
            for k in range(size):
                if k < length:
                    out[i, first + k] = math.sqrt(best[k])
                    out_rows[i, first + k] = rows[k]
            last_squares[i] = best[size - 1]
            last_rows[i] = rows[size - 1]

    merge.__name__ = f"merge_{size}"
    return Kernel(merge)


@functools.cache
def count() -> Kernel:
    """How many points of each query have smaller squares than its bound."""

    def counted(n, d, n_panels, columns, panels, skip, bounds, out):
        sums = cuda.local.array(PANEL, float64)
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            bound, excluded, total = bounds[i], skip[i], 0
            for panel in range(n_panels):
                for b in range(PANEL):
                    sums[b] = 0.0
                for t in range(d):
                    x, at = columns[t * n + i], (panel * d + t) * PANEL
                    for b in range(PANEL):
                        difference = x - panels[at + b]
                        sums[b] = cuda.fma(difference, difference, sums[b])
                for b in range(PANEL):
                    total += 1 if sums[b] < bound and panel * PANEL + b != excluded else 0
            out[i] = total

    return Kernel(counted)
