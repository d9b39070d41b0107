"""All pairs, for many features: a float32 filter with a proven margin, then exact float64 distances.

With a centre c, s = (x - c).(y - c) - |x - c|^2 / 2 - |y - c|^2 / 2 is -1/2 times the squared distance.
These scores are computed in float32 for tiles of 16 queries and 8 points that stay in registers. Their
rounding error is at most (d + 10) 2^-23 (|x - c| + |y - c|)^2 / 2 (Higham 2002, eq. 3.5), so that a pair
whose score is lower than that of the k-th neighbour known so far, by more than this margin, cannot change
the answer. Few pairs survive; their distances are computed from the data as given. Points are ordered by
|y - c| in blocks that have a margin each, so that a few far points do not weaken the filter for all.
"""

import math
from typing import NamedTuple

import numpy as np

from .._arrays import aligned, frozen
from .._jit import jit, run_rows
from .._simd import (
    Const,
    bits,
    constant,
    exceed_many,
    fma,
    fma_many,
    load,
    lowest_bit,
    splat,
    splat_many,
    store_many,
    total,
)
from ._nearest import replace_farthest, rows_or_nobody, sort_heap, squares_beyond

BLOCK = 256  # rows of a block, a whole number of groups of queries and of panels of points
_PANEL = 8
_PANEL_ROWS = Const(_PANEL)
_EXACT = 8
_EXACT_LANES = Const(_EXACT)
_FEW, _ONE_LANE = 16, Const(1)  # features: parts of a sample may be searched by a tree where the whole is not
_FAR = 2.0**60  # queries farther away than so many radii of the points are not filtered
_ALWAYS, _NO_SCORE = 3e38, 1e38  # in place of the scores of far queries and points, and what no score reaches
_ROWS_TO_CENTER = 1000
_ROWS_TO_PROBE, _PROBES = 2000, 64
_FLOOD = 500  # survivors of a query that are more than chance and rounding explain
_UNDERFLOW = 2.0**-100
_LARGEST_EXPONENT = 400  # of the scale, whose square must not overflow
_STRETCHES_PER_THREAD, _LONGEST_STRETCH = 8, 8192  # stretches that are compared as one, and their rows at most
_OPERATIONS_AT_ONCE = 32


@jit
def exact_square(x, i, y, j):
    """Squared distance between row i of x and row j of y; of few features with the rounding of a tree."""
    d = x.shape[1]
    if d < _FEW:
        square = splat(0.0, _ONE_LANE)
        for t in range(d):
            distance = load(x, i * d + t, _ONE_LANE) - load(y, j * d + t, _ONE_LANE)
            square = fma(distance, distance, square)
        return total(square)
    whole = d - d % _EXACT
    squares = splat(0.0, _EXACT_LANES)
    for t in range(0, whole, _EXACT):
        difference = load(x, i * d + t, _EXACT_LANES) - load(y, j * d + t, _EXACT_LANES)
        squares = fma(difference, difference, squares)
    result = total(squares)
    for t in range(whole, d):
        difference = x[i, t] - y[j, t]
        result += difference * difference
    return result


@jit
def _norm_kernel(start, stop, points, center, out):
    """Norms of centred points."""
    for i in range(start, stop):
        out[i] = np.sqrt(exact_square(points, i, center, 0))


@jit
def _pack_kernel(start, stop, points, order, norms, center, scale, width, is_query, out):
    """Centred points, `width` at a time, feature by feature, then two features that add the squares to a product."""
    d = points.shape[1]
    for group in range(start, stop):
        for lane in range(width):
            place = group * width + lane
            near = False
            row = 0
            half = -np.inf
            if place < order.shape[0]:
                row = order[place]
                near = norms[place] <= _FAR
                half = -0.5 * norms[place] * norms[place] if near else _ALWAYS
            for t in range(d):
                out[group, t, lane] = (points[row, t] - center[0, t]) * scale if near else 0.0
            out[group, d, lane] = 1.0 if is_query else half
            out[group, d + 1, lane] = half if is_query else 1.0


@jit
def _scores(groups, group, panels, panel, zeros, lanes):
    """Scores of a tile: for each point of the panel a vector over the queries of the group."""
    depth = groups.shape[1]
    scores = splat_many(zeros, 0, lanes, _PANEL_ROWS)
    query_at = group * depth * constant(lanes)
    point_at = panel * depth * _PANEL
    for _ in range(depth):
        scores = fma_many(scores, load(groups, query_at, lanes), panels, point_at)
        query_at += constant(lanes)
        point_at += _PANEL
    return scores


class Side(NamedTuple):
    """A sample as the filter reads it: points as given, their order by norm, tiles, the largest norm of each block."""

    points: np.ndarray
    order: np.ndarray
    tiles: np.ndarray
    norms: np.ndarray


class Found(NamedTuple):
    """What is known about each query: a heap of squares, the rows they belong to, or the count of those below its
    root; and what scores must exceed. ``exclude`` holds the row that is no neighbour; ``scale`` is that of scores.
    """

    heaps: np.ndarray
    rows: np.ndarray | None
    counts: np.ndarray | None
    limits: np.ndarray
    exclude: np.ndarray
    scale: float


@jit
def _is_excluded(exclude, i, j):
    return exclude.shape[0] > 0 and exclude[i] == j


@jit
def _take(found, rows, i, square, j):
    """Offer point j to the heap of query i, and raise what scores must exceed."""
    if square < found.heaps[i, 0]:
        replace_farthest(found.heaps[i], None if rows is None else rows[i], square, j)
        found.limits[i] = -0.5 * found.heaps[i, 0] * found.scale


@jit
def _meet(found, rows, counts, i, j, square, both):
    """A pair has survived the filter. (What may be None must be an argument to be compiled away.)"""
    if counts is not None:
        counts[i] += square < found.heaps[i, 0]
        return
    _take(found, rows, i, square, j)
    if both:
        _take(found, rows, j, square, i)


@jit
def _count_if_clear(counts, i, score, sufficient):
    """Count a pair whose score exceeds the bound by more than rounding explains."""
    if counts is None:
        return False
    is_clear = sufficient < score < _NO_SCORE
    counts[i] += is_clear
    return is_clear


@jit
def _compare(queries, points, block, other, found, error, lanes, both, scratch):
    """All pairs of a block of queries and a block of points; with `both` each serves both. How many survived."""
    zeros, x_limits, y_limits, tile = scratch
    width = constant(lanes)
    first_x, first_y = block * BLOCK, other * BLOCK
    n_x, n_y = min(BLOCK, queries.order.shape[0] - first_x), min(BLOCK, points.order.shape[0] - first_y)
    reach = queries.norms[block] + points.norms[other]
    margin = 0.5 * error * reach * reach + _UNDERFLOW
    x_limits[:] = np.inf
    y_limits[:] = np.inf
    for a in range(n_x):
        x_limits[a] = found.limits[queries.order[first_x + a]] - margin
    if both:
        for b in range(n_y):
            y_limits[b] = found.limits[points.order[first_y + b]] - margin
    survivors = 0
    for g in range(0, n_x, width):
        for p in range(0, n_y, _PANEL):
            place = (first_x + g) // width, (first_y + p) // _PANEL
            scores = _scores(queries.tiles, place[0], points.tiles, place[1], zeros, lanes)
            hits = bits(exceed_many(scores, load(x_limits, g, lanes), y_limits, p))
            if hits == 0:
                continue
            store_many(tile, 0, scores)
            while hits != 0:
                lane = lowest_bit(hits)
                hits &= hits - 1
                a = g + lane
                for b in range(p, min(p + _PANEL, n_y) if a < n_x else p):
                    if tile[(b - p) * width + lane] <= min(x_limits[a], y_limits[b]):
                        continue
                    i, j = queries.order[first_x + a], points.order[first_y + b]
                    if _is_excluded(found.exclude, i, j):
                        continue
                    score = tile[(b - p) * width + lane]
                    if _count_if_clear(found.counts, i, score, found.limits[i] + margin):
                        continue
                    survivors += 1
                    square = exact_square(queries.points, i, points.points, j)
                    _meet(found, found.rows, found.counts, i, j, square, both)
                    x_limits[a] = found.limits[i] - margin
                    if both:
                        y_limits[b] = found.limits[j] - margin
    return survivors


@jit
def _scratch(lanes, dtype):
    """Zeros, limits of queries and of points, and a tile of scores."""
    return (
        np.zeros(_PANEL, dtype),
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
        np.empty(_PANEL * constant(lanes), dtype),
    )


@jit
def _cross_kernel(start, stop, queries, points, nearest, found, error, lanes, survivors):
    """Blocks of queries against all points: those of similar norm first, which raise the limits soon."""
    scratch = _scratch(lanes, queries.tiles.dtype)
    n_blocks = points.norms.shape[0]
    for block in range(start, stop):
        for step in range(n_blocks):
            other = (nearest[block] + step) % n_blocks
            survivors[block] += _compare(queries, points, block, other, found, error, lanes, False, scratch)


@jit
def _self_kernel(start, stop, pairs, span, queries, points, found, error, lanes):
    """Pairs of stretches of `span` blocks of one sample; each distance serves both of its points."""
    scratch = _scratch(lanes, queries.tiles.dtype)
    n_blocks = points.norms.shape[0]
    for pair in range(start, stop):
        first, second = pairs[pair, 0] * span, pairs[pair, 1] * span
        for a in range(first, min(first + span, n_blocks)):
            for b in range(max(a, second), min(second + span, n_blocks)):
                _compare(queries, points, a, b, found, error, lanes, a != b, scratch)


@jit
def _finish_kernel(start, stop, heaps, heap_rows):
    """Sort the heaps, and take roots."""
    for i in range(start, stop):
        sort_heap(heaps[i], None if heap_rows is None else heap_rows[i])
        for j in range(heaps.shape[1]):
            heaps[i, j] = math.sqrt(heaps[i, j])


def _tournament(n: int) -> list[np.ndarray]:
    """Rounds of pairs of n blocks: every pair once, and no block twice in a round (the circle method)."""
    seats = list(range(n + n % 2))
    rounds = [np.array([(block, block) for block in range(n)])]
    for _ in range(len(seats) - 1):
        pairs = zip(seats[: len(seats) // 2], reversed(seats[len(seats) // 2 :]), strict=True)
        rounds.append(np.array([sorted(pair) for pair in pairs if max(pair) < n]).reshape(-1, 2))
        seats[1:] = [seats[-1], *seats[1:-1]]
    return rounds


def _norms(points: np.ndarray, center: np.ndarray, n_jobs: int) -> np.ndarray:
    out = np.empty(len(points))
    run_rows(_norm_kernel, len(points), points, center, out, n_jobs=n_jobs, row_cost=points.shape[1])
    return out


class Brute:
    """Points of many features; a search compares every query with every point."""

    def __init__(self, points: np.ndarray, n_jobs: int):
        self.points = points
        self._n_jobs = n_jobs
        sample = points[:: max(1, len(points) // _ROWS_TO_CENTER)]
        self._center = frozen(np.median(sample, axis=0, keepdims=True))
        self._norms = _norms(points, self._center, n_jobs)
        exponent = -int(np.frexp(self._norms.max())[1])
        self._scale = 2.0 ** min(exponent, _LARGEST_EXPONENT)  # brings the largest norm to about 1
        self._filter(np.float32)

    def _filter(self, dtype) -> None:
        """Prepare a filter that computes in this precision."""
        self._dtype = dtype
        self._lanes = 16 if dtype == np.float32 else 8
        self._error = (self.points.shape[1] + 10) * float(np.finfo(dtype).eps)
        self._side = self._packed(self.points, self._norms, _PANEL, is_query=False)

    def _packed(self, points: np.ndarray, norms: np.ndarray, lanes: int, is_query: bool) -> Side:
        n, d = points.shape
        order = frozen(np.argsort(norms, kind="stable"))
        norms = frozen(norms[order] * self._scale)
        tiles = aligned((-(-n // lanes), d + 2, lanes), self._dtype)
        arguments = points, order, norms, self._center, self._scale, lanes, is_query, tiles
        run_rows(_pack_kernel, len(tiles), *arguments, n_jobs=self._n_jobs, row_cost=lanes * d)
        last_of_blocks = np.minimum(np.arange(BLOCK, n + BLOCK, BLOCK), n) - 1
        return Side(points, order, frozen(tiles), frozen(norms[last_of_blocks]))

    def nearest(self, queries, k: int, exclude, with_rows: bool, progress=None):
        """Distances to the k nearest points, and their rows if asked for."""
        n = len(queries)
        if n > _ROWS_TO_PROBE and self._dtype is np.float32:
            self._probe(queries, k, exclude)
        heaps = np.full((n, k), np.inf)
        heap_rows = np.zeros((n, k), dtype=np.int64) if with_rows else None
        if queries is self.points and exclude is not None and np.array_equal(exclude, np.arange(n)):
            self._search_self(exclude, heaps, heap_rows, progress)
        else:
            self._search(queries, exclude, heaps, heap_rows, None, progress)
        run_rows(_finish_kernel, n, heaps, heap_rows, n_jobs=self._n_jobs, row_cost=k)
        return heaps, heap_rows

    def _probe(self, queries, k: int, exclude) -> None:
        """Filter in float64 from now on, if float32 lets too many pairs of a few queries pass."""
        rows = np.linspace(0, len(queries) - 1, _PROBES).astype(int)
        skip = None if exclude is None else exclude[rows]
        heaps = np.full((_PROBES, k), np.inf)
        if self._search(frozen(queries[rows]), skip, heaps, None, None) > _PROBES * (_FLOOD + 10 * k):
            self._filter(np.float64)

    @property
    def order(self) -> np.ndarray:
        """Rows of the points in the array given: they are kept as they came."""
        return np.arange(len(self.points))

    def order_of(self, queries: np.ndarray) -> np.ndarray:
        """The order in which a search for these queries is fast: any."""
        return np.arange(len(queries))

    def count_within(self, queries: np.ndarray, radius: np.ndarray, exclude) -> np.ndarray:
        bounds = squares_beyond(radius).reshape(-1, 1)
        counts = np.zeros(len(queries), dtype=np.int64)
        self._search(queries, exclude, bounds, None, counts)
        return counts

    def _search(self, queries, exclude, heaps, heap_rows, counts, progress=None) -> int:
        """Fill the heaps, or count; how many pairs survived the filter."""
        asked = self._packed(queries, _norms(queries, self._center, self._n_jobs), self._lanes, is_query=True)
        scale = self._scale**2
        with np.errstate(over="ignore"):  # a limit of -inf lets every pair pass
            limits = -0.5 * scale * heaps[:, 0]
        found = Found(heaps, heap_rows, counts, limits, rows_or_nobody(exclude), scale)
        nearest = np.searchsorted(self._side.norms, asked.norms) % len(self._side.norms)
        survivors = np.zeros(len(asked.norms), dtype=np.int64)
        arguments = asked, self._side, nearest, found, self._error, Const(self._lanes), survivors
        cost = BLOCK * self.points.size // _OPERATIONS_AT_ONCE
        run_rows(_cross_kernel, len(survivors), *arguments, n_jobs=self._n_jobs, row_cost=cost, progress=progress)
        return int(survivors.sum())

    def _search_self(self, exclude, heaps, heap_rows, progress) -> None:
        asked = self._packed(self.points, self._norms, self._lanes, is_query=True)
        found = Found(heaps, heap_rows, None, np.full(len(heaps), -np.inf), exclude, self._scale**2)
        n_blocks = len(asked.norms)
        span = max(1, min(n_blocks // (_STRETCHES_PER_THREAD * self._n_jobs), _LONGEST_STRETCH // BLOCK))
        arguments = span, asked, self._side, found, self._error, Const(self._lanes)
        cost = (span * BLOCK) ** 2 * self.points.shape[1] // _OPERATIONS_AT_ONCE
        rounds = _tournament(-(-n_blocks // span))
        for done, pairs in enumerate(rounds):
            how = {"n_jobs": self._n_jobs, "row_cost": cost, "share_at_once": True}
            run_rows(_self_kernel, len(pairs), pairs, *arguments, **how)
            if progress is not None:
                progress((done + 1) / len(rounds))
