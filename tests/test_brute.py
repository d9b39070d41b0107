"""All pairs: the filter drops no neighbour, the rest is exact, and a sample's own pairs are compared once."""

import itertools

import cases
import naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numba.core import config
from scipy.spatial.distance import cdist

from kltools import _jit
from kltools.neighbors import brute
from kltools.neighbors.brute import BLOCK, Brute

few = settings(derandomize=True, deadline=None, database=None, max_examples=40, phases=[Phase.explicit, Phase.generate])
ORDINARY = tuple(sorted(set(cases.KINDS) - {*cases.EXTREME, "single_precision"}))
PRECISIONS = (np.float32, np.float64)
each_precision = pytest.mark.parametrize("dtype", PRECISIONS, ids=["float32", "float64"])


@pytest.fixture(autouse=True)
def _numpy_does_not_warn():
    """Of what overflows on purpose in kernels, where nothing is compiled."""
    with np.errstate(**({"over": "ignore", "invalid": "ignore"} if config.DISABLE_JIT else {})):
        yield


def filtered(points, dtype, n_jobs=1):
    search = Brute(points, n_jobs)
    search._filter(dtype)
    return search


def among_themselves(search, k, with_rows=True):
    return search.nearest(search.points, k, np.arange(len(search.points)), with_rows)


def survivors(search, queries, k, exclude=None):
    """How many exact distances a search for neighbours computes."""
    return search._search(queries, exclude, np.full((len(queries), k), np.inf), None, None)


# ---------------------------------------------------------------- searches


@pytest.mark.parametrize("d", [*range(1, 13), 16, 20, 33, 64])
@each_precision
def test_equals_naive(dtype, d):
    for kind, points, queries, k, exclude in naive.searches(d):
        maxulp = 0 if kind == "integer_lattice" else 4
        naive.check_search(filtered(points, dtype), queries, k, exclude, naive.summed_once(queries, points), maxulp)


@pytest.mark.parametrize("kind", naive.SEARCHED)
@each_precision
def test_every_kind(dtype, kind):
    rng = np.random.default_rng(1)
    points, queries = (naive.SEARCHED[kind](rng, n, 11) for n in (600, 40))
    table = naive.distances(queries, points)
    for k in (1, 5, 65):
        naive.check_search(filtered(points, dtype), queries, k, rng.integers(-1, 600, 40), table)


@few
@given(
    pair=cases.pairs(ORDINARY, max_features=12, max_rows=150),
    k=st.integers(1, 10**9),
    dtype=st.sampled_from(PRECISIONS),
)
def test_laws(pair, k, dtype):
    queries, points = pair.samples
    k = 1 + k % (pair.m - 1)
    exclude = np.random.default_rng(pair.seed).integers(0, pair.m, pair.n)
    search = filtered(points, dtype)
    every = search.nearest(queries, pair.m - 1, exclude, False)[0]
    assert (np.diff(every, axis=1) >= 0.0).all()
    np.testing.assert_array_equal(search.nearest(queries, k, exclude, False)[0], every[:, :k])
    for radius in (every[:, k - 1].copy(), np.nextafter(every[:, k - 1], 0.0)):  # they agree to the bit
        expected = (every <= radius[:, None]).sum(axis=1)
        np.testing.assert_array_equal(search.count_within(queries, radius, exclude), expected)


# ---------------------------------------------------------------- the filter


@pytest.mark.parametrize("kind", naive.SEARCHED)
@pytest.mark.jit
def test_both_precisions_find_the_same(kind):
    rng = np.random.default_rng(2)
    points, queries = (naive.SEARCHED[kind](rng, n, 20) for n in (700, 300))
    (coarse, _), (fine, _) = (filtered(points, dtype).nearest(queries, 4, None, False) for dtype in PRECISIONS)
    np.testing.assert_array_equal(coarse, fine)
    radius = fine[:, 3].copy()
    coarse, fine = (filtered(points, dtype).count_within(queries, radius, None) for dtype in PRECISIONS)
    np.testing.assert_array_equal(coarse, fine)


@each_precision
@pytest.mark.parametrize("closeness", [1e-3, 1e-6, 1e-9, 1e-12, 0.0])
@pytest.mark.jit
def test_neighbors_that_rounding_cannot_tell_apart(closeness, dtype):
    """All points at about one distance from a query far from the centre: only the margin keeps the nearest."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(2000, 24))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = directions * (1.0 + closeness * rng.random((2000, 1)))
    queries = 1e-4 * closeness * rng.normal(size=(40, 24))
    for shift in (0.0, 3.0, 1e5):
        table = naive.summed_once(queries[:5] + shift, points + shift)
        naive.check_search(filtered(points + shift, dtype), queries[:5] + shift, 3, None, table)
    (found, _), (expected, _) = (filtered(points, t).nearest(queries, 9, None, False) for t in (dtype, np.float64))
    np.testing.assert_array_equal(found, expected)


@each_precision
def test_queries_far_away(dtype):
    """Alone, as those that share a block share its margin, and all together."""
    rng = np.random.default_rng(4)
    points = rng.normal(size=(400, 10))
    sizes = np.array([1e-3, 1e3, 1e9, 1e17, 1e18, 3e18, 1e19, 1e20, 1e30, 1e60])
    queries = sizes[:, None] * rng.normal(size=(10, 10)) / np.sqrt(10.0)
    table = naive.distances(queries, points)
    for chosen in (slice(None), *(slice(i, i + 1) for i in range(10))):
        exclude = rng.integers(-1, 400, len(queries[chosen]))
        naive.check_search(filtered(points, dtype), queries[chosen], 5, exclude, table[chosen])


@each_precision
@pytest.mark.parametrize("size", [1e3, 1e10, 1e30, 1e140])
@pytest.mark.jit
def test_huge_outliers(size, dtype):
    rng = np.random.default_rng(5)
    points = rng.normal(size=(600, 10))
    points[rng.integers(0, 600, 5)] *= size
    queries = np.concatenate([points[:300], rng.normal(size=(20, 10)), size * rng.normal(size=(20, 10))])
    table = naive.distances(queries, points)
    naive.check_search(filtered(points, dtype), queries, 5, np.append(np.arange(300), np.full(40, -1)), table)
    np.testing.assert_array_max_ulp(
        among_themselves(filtered(points, dtype), 5)[0], naive.kth_distances(points, k=5), maxulp=4
    )


def test_points_at_one_place():
    points, queries = np.full((300, 9), 0.1), np.full((3, 9), 0.1) + np.array([[0.0], [1.0], [1e20]])
    naive.check_search(Brute(points, 1), queries, 70, None, naive.distances(queries, points))
    np.testing.assert_array_equal(among_themselves(Brute(points, 1), 299)[0], np.zeros((300, 299)))


@pytest.mark.parametrize("size", [1e-100, 1e-140, 1e-155, 1e-158])
def test_points_much_smaller_than_queries(size):
    rng = np.random.default_rng(6)
    points, queries = size * rng.normal(size=(50, 10)), rng.normal(size=(9, 10))
    naive.check_search(Brute(points, 1), queries, 3, None, naive.distances(queries, points))
    queries *= 1e100
    naive.check_search(Brute(points, 1), queries, 3, None, naive.distances(queries, points))


@each_precision
@pytest.mark.jit
def test_few_pairs_survive(dtype):
    rng = np.random.default_rng(7)
    points, queries = rng.normal(size=(2, 3000, 20))
    assert survivors(filtered(points, dtype), queries, 5) < 0.03 * 3000**2
    points[::500] *= 1e6  # weaken the filter for their own blocks only
    assert survivors(filtered(points, dtype), queries, 5) < 0.15 * 3000**2
    radius = np.full((3000, 1), 1.0)
    assert filtered(points, dtype)._search(queries, None, radius, None, np.zeros(3000, np.int64)) < 0.11 * 3000**2


@pytest.mark.jit
def test_a_flood_of_survivors_switches_to_float64():
    rng = np.random.default_rng(8)
    points = 1e3 * np.random.default_rng(7).normal(size=(3, 12))[rng.integers(0, 3, 2500)]
    points += 1e-3 * rng.normal(size=points.shape)
    for k, search in itertools.product((1, 7), (Brute(points, 1), Brute(points, 2))):
        found, rows = among_themselves(search, k)
        assert search._dtype is np.float64
        naive.check_search(search, points[:40], k, np.arange(40), naive.distances(points[:40], points))
        table = naive.without(cdist(points, points), np.arange(2500))
        np.testing.assert_allclose(found, np.sort(table, axis=1)[:, :k], rtol=1e-14)
        np.testing.assert_allclose(np.take_along_axis(table, rows, axis=1), found, rtol=1e-14)
        again = filtered(points, np.float32)._search(points, np.arange(2500), np.full((2500, k), np.inf), None, None)
        assert survivors(search, points, k, np.arange(2500)) < 0.1 * again


@pytest.mark.jit
def test_ordinary_points_stay_in_float32():
    points = np.random.default_rng(9).normal(size=(2500, 12))
    for k in (1, 50):
        search = Brute(points, 1)
        among_themselves(search, k)
        assert search._dtype is np.float32


# ---------------------------------------------------------------- pairs of one sample


@pytest.mark.parametrize("n", range(1, 25))
def test_tournament(n):
    rounds = [list(map(tuple, pairs)) for pairs in brute._tournament(n)]
    assert sorted(itertools.chain(*rounds)) == [(a, b) for a in range(n) for b in range(a, n)]
    for pairs in rounds:
        blocks = [block for pair in pairs for block in set(pair)]
        assert len(blocks) == len(set(blocks))


def check_self(points, k, dtype, n_jobs=1):
    """The search that uses each distance twice against one that does not know that queries are the points."""
    search = filtered(points, dtype, n_jobs)
    itself = np.arange(len(points))
    distances, rows = among_themselves(search, k)
    expected, _ = search.nearest(points.copy(), k, itself, True)
    np.testing.assert_array_equal(distances, expected)
    np.testing.assert_array_equal(among_themselves(search, k, with_rows=False)[0], expected)
    assert (rows != itself[:, None]).all()
    assert all(len(set(row)) == k for row in rows.tolist())
    squares = ((points[:, None, :] - points[rows]) ** 2).sum(axis=2)
    np.testing.assert_allclose(np.sqrt(squares), distances, rtol=1e-14)


@pytest.mark.parametrize("m", [2, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 9])
@each_precision
@pytest.mark.jit
def test_pairs_of_one_sample(dtype, m):
    for kind in ("normal", "integer_lattice", "duplicated_rows", "cauchy", "clusters"):
        points = naive.SEARCHED[kind](np.random.default_rng(m), m, 10)
        for k in {1, min(5, m - 1), min(70, m - 1)}:
            check_self(points, k, dtype)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.jit
def test_pairs_of_many_blocks(n_jobs, monkeypatch):
    """A task is a stretch of several blocks, for one thread; for more threads a stretch is shorter."""
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    points = np.random.default_rng(10).standard_t(3, size=(17 * BLOCK + 3, 9))
    check_self(points, 3, np.float32, n_jobs)


def test_only_a_search_for_the_points_themselves_goes_by_pairs(monkeypatch):
    called = []
    monkeypatch.setattr(Brute, "_search_self", lambda self, *arguments: called.append(1))
    points, other = np.random.default_rng(11).normal(size=(2, 50, 10))
    itself, search = np.arange(50), Brute(points, 1)
    for queries, exclude in ((other, itself), (points, None), (points, itself[::-1].copy())):
        search.nearest(queries, 3, exclude, False)
    assert not called
    search.nearest(search.points, 3, itself, False)
    assert called


@pytest.mark.parametrize("n_jobs", [2, 4])
@pytest.mark.jit
def test_threads_do_not_matter(n_jobs, monkeypatch):
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-6)
    points, queries = np.random.default_rng(12).normal(size=(2, 2100, 12))
    alone, shared = Brute(points, 1), Brute(points, n_jobs)
    for a, b in zip(alone.nearest(queries, 6, None, True), shared.nearest(queries, 6, None, True), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(among_themselves(alone, 6)[0], among_themselves(shared, 6)[0])
    radius = alone.nearest(queries, 6, None, False)[0][:, 5].copy()
    np.testing.assert_array_equal(shared.count_within(queries, radius, None), np.full(2100, 6))
