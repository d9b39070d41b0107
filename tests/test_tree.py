"""The kd-tree: what it finds, in both norms, and how it is built."""

import itertools
import timeit

import cases
import naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kltools import _jit
from kltools._simd import EUCLIDEAN, MAXIMUM
from kltools.neighbors._build import GROUP, LEAF_GROUPS, leaf_edges, row_width
from kltools.neighbors.tree import Tree

few = settings(derandomize=True, deadline=None, database=None, max_examples=25, phases=[Phase.explicit, Phase.generate])
TABLES = {EUCLIDEAN: naive.distances, MAXIMUM: naive.maximum_distances}
NAMES = {EUCLIDEAN: "euclidean", MAXIMUM: "maximum"}
every_norm = pytest.mark.parametrize("norm", NAMES, ids=NAMES.values())
# every number of features is compiled for, which takes seconds
OFTEN = [(EUCLIDEAN, d) for d in (1, 2, 5, 8, 9)] + [(MAXIMUM, d) for d in (2, 20)]
SELDOM = [(EUCLIDEAN, d) for d in (3, 4, 6, 7, 10, 11, 12, 15)] + [(MAXIMUM, d) for d in (1, 5, 8, 16, 33, 64)]
SHAPES = [*OFTEN, *(pytest.param(*shape, marks=pytest.mark.slow) for shape in SELDOM)]


def check(points, queries, k, exclude, norm, maxulp=4):
    """`exclude` are rows of the points as given."""
    search = Tree(points, norm, 1)
    if exclude is not None:
        place = np.append(np.argsort(search.order), -1)
        exclude = place[exclude]
    naive.check_search(search, queries, k, exclude, TABLES[norm](queries, search.points), maxulp)


# ---------------------------------------------------------------- searches


@pytest.mark.parametrize(("norm", "d"), SHAPES, ids=lambda x: NAMES.get(x, str(x)))
def test_equals_naive(norm, d):
    for kind, points, queries, k, exclude in naive.searches(d):
        if d != 2:
            k = min(k, 64)
            exclude = np.full(len(queries), -1) if exclude is None else exclude
        maxulp = 0 if kind == "integer_lattice" or norm is MAXIMUM else 4
        check(points, queries, k, exclude, norm, maxulp)


@every_norm
@pytest.mark.parametrize("kind", naive.SEARCHED)
def test_every_kind(kind, norm):
    rng = np.random.default_rng(1)
    points, queries = (naive.SEARCHED[kind](rng, n, 2) for n in (70, 9))
    for k in (1, 5, 64, 65):
        check(points, queries, k, rng.integers(-1, 70, 9), norm)


@few
@given(pair=cases.pairs(tuple(set(cases.KINDS) - set(cases.EXTREME)), max_rows=150), data=st.data())
def test_laws(pair, data):
    rng = np.random.default_rng(pair.seed)
    queries, points = (np.asarray(cases.KINDS[pair.kind](rng, n, 2), dtype=float) for n in (pair.n, pair.m))
    norm = data.draw(st.sampled_from([EUCLIDEAN, MAXIMUM]))
    k = data.draw(st.integers(1, pair.m - 1))
    exclude = rng.integers(0, pair.m, pair.n)
    search = Tree(points, norm, 1)
    every = search.nearest(queries, pair.m - 1, exclude, False)[0]
    assert (np.diff(every, axis=1) >= 0.0).all()
    np.testing.assert_array_equal(search.nearest(queries, k, exclude, False)[0], every[:, :k])
    radius = every[:, k - 1].copy()  # counts and distances agree to the bit
    inside = (every <= radius[:, None]).sum(axis=1)
    np.testing.assert_array_equal(search.count_within(queries, radius, exclude), inside)
    below = np.where(radius > 0.0, (every < radius[:, None]).sum(axis=1), inside)
    np.testing.assert_array_equal(search.count_within(queries, np.nextafter(radius, 0.0), exclude), below)


@every_norm
def test_queries_far_away(norm):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    queries = rng.normal(size=(24, 2)) * 10.0 ** rng.integers(0, 60, (24, 1))
    check(points, queries, 7, rng.integers(-1, 300, 24), norm)


@every_norm
def test_a_radius_of_zero_and_one_that_covers_all(norm):
    points = np.repeat(np.arange(50.0), 2).reshape(50, 2)
    points = np.concatenate([points, points])
    search = Tree(points, norm, 1)
    np.testing.assert_array_equal(search.count_within(points[:50].copy(), np.zeros(50), None), np.full(50, 2))
    np.testing.assert_array_equal(search.count_within(points[:50].copy(), np.full(50, 1e3), None), np.full(50, 100))
    np.testing.assert_array_equal(search.count_within(points[:50].copy(), np.full(50, np.inf), None), np.full(50, 100))


def test_the_share_of_leaves_that_is_visited():
    rng = np.random.default_rng(0)
    line = np.outer(rng.normal(size=3000), np.ones(2))
    assert Tree(line, EUCLIDEAN, 1).share_visited(100, 5) < 0.1
    assert Tree(np.zeros((3000, 2)), EUCLIDEAN, 1).share_visited(100, 5) == 1.0
    assert Tree(rng.normal(size=(5, 2)), EUCLIDEAN, 1).share_visited(100, 9) == 1.0


@pytest.mark.parametrize("k", [1, 64, 65])
@pytest.mark.jit
def test_a_search_enters_few_leaves(k):
    """Which shows in its time only: a search that enters all, in a tree of which 1 % suffices, takes much longer."""
    search = Tree(np.random.default_rng(0).normal(size=(200_000, 2)), EUCLIDEAN, 1)
    queries, everywhere = search.points[99_000:99_032].copy(), np.full(32, np.inf)
    nearest = timeit.repeat(lambda: search.nearest(queries, k, None, False), number=1, repeat=6)
    count_all = timeit.repeat(lambda: search.count_within(queries, everywhere, None), number=1, repeat=6)
    assert min(nearest) < 0.3 * min(count_all)


# ---------------------------------------------------------------- the structure itself


def two_values(rng, m, d):
    return rng.integers(0, 2, (m, 1)) * np.ones(d)


BUILT = {
    "normal": lambda rng, m, d: rng.normal(size=(m, d)),
    "lattice": cases.integer_lattice,
    "equal": lambda rng, m, d: np.full((m, d), 0.1),
    "sorted": lambda rng, m, d: np.arange(m)[:, None] + np.arange(1.0, d + 1.0),
    "reversed": lambda rng, m, d: -np.arange(m)[:, None] + np.arange(1.0, d + 1.0),
    "two_values": two_values,
    "one_differs": lambda rng, m, d: np.arange(m)[:, None] == np.full(d, m - 1),
    "organ_pipe": lambda rng, m, d: np.minimum(np.arange(m), np.arange(m)[::-1])[:, None] * np.ones(d),
    "constant_column": cases.constant_column,
    "cauchy": cases.cauchy,
}


def check_build(points, search):
    """Rows permuted, nodes divided where they should be, and boxed as tightly as can be."""
    m, d = points.shape
    np.testing.assert_array_equal(np.sort(search.order), np.arange(m))
    np.testing.assert_array_equal(search.points, points[search.order])
    edges, features, low, high = search._tree
    n_leaves = len(edges) - 1
    assert low.shape == high.shape == (2 * n_leaves, row_width(d))
    for node in range(1, 2 * n_leaves):
        level = node.bit_length() - 1
        span = n_leaves >> level
        leaf = (node - (1 << level)) * span
        rows = search.points[edges[leaf] : edges[leaf + span]]
        np.testing.assert_array_equal(low[node, :d], rows.min(axis=0))
        np.testing.assert_array_equal(high[node, :d], rows.max(axis=0))
        if node < n_leaves:
            column, middle = rows[:, features[node]], edges[leaf + span // 2] - edges[leaf]
            assert column[:middle].max() <= column[middle:].min()
    for first, last in itertools.pairwise(edges):
        check_groups(search.points[first:last])


def check_groups(rows):
    """The groups of a leaf are divided from each other in some column, again and again."""
    groups = -(-len(rows) // GROUP)
    if groups > 1:
        middle = groups // 2 * GROUP
        assert (rows[:middle].max(axis=0) <= rows[middle:].min(axis=0)).any()
        check_groups(rows[:middle])
        check_groups(rows[middle:])


@pytest.mark.parametrize("kind", BUILT)
def test_build(kind):
    for m in (*naive.SIZES[:-1], 600):
        points = np.asarray(BUILT[kind](np.random.default_rng(m), m, 2), dtype=float)
        check_build(points, Tree(points, EUCLIDEAN, 1))


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.jit
def test_build_of_many_rows(kind, monkeypatch):
    monkeypatch.setattr(_jit, "available_cores", lambda: 3)
    points = np.asarray(BUILT[kind](np.random.default_rng(0), 30_001, 3), dtype=float)
    alone, shared = Tree(points, EUCLIDEAN, 1), Tree(points, EUCLIDEAN, 3)
    check_build(points, alone)
    np.testing.assert_array_equal(alone.order, shared.order)
    for a, b in zip(alone._tree, shared._tree, strict=True):
        np.testing.assert_array_equal(a[1:], b[1:])  # nothing stands at 0


@pytest.mark.parametrize("n", [1, 7, 8, 9, 32, 33, 64, 65, 127, 128, 129, 1000, 4096, 4097, 10**6 + 1])
def test_leaf_edges(n):
    edges = leaf_edges(n)
    assert edges[0] == 0
    assert edges[-1] == n
    sizes = np.diff(edges)
    assert (len(sizes) & (len(sizes) - 1)) == 0
    assert sizes.min() >= 1
    assert sizes.max() <= LEAF_GROUPS * GROUP
    assert (edges[:-1] % GROUP == 0).all()


def test_a_row_holds_its_point_and_its_number():
    for d in range(1, 100):
        assert d < row_width(d) <= d + 4


def test_input_is_neither_changed_nor_kept():
    points = np.random.default_rng(0).normal(size=(100, 2))
    before = points.copy()
    search = Tree(points, EUCLIDEAN, 1)
    np.testing.assert_array_equal(points, before)
    points[:] = 0.0
    np.testing.assert_array_equal(search.points, before[search.order])
