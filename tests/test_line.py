"""One feature: sorted points."""

import cases
import naive
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kltools import _jit
from kltools.neighbors.line import Line

few = settings(derandomize=True, deadline=None, database=None, max_examples=60, phases=[Phase.explicit, Phase.generate])
ORDINARY = tuple(sorted(set(cases.KINDS) - set(cases.EXTREME)))


def check(points, queries, k, exclude):
    """`exclude` are rows of the points as given. There is no square and no sum: distances are exact to the bit."""
    search = Line(points, 1)
    if exclude is not None:
        exclude = np.append(np.argsort(search.order), -1)[exclude]
    naive.check_search(search, queries, k, exclude, naive.maximum_distances(queries, search.points), maxulp=0)


@pytest.mark.parametrize("shift", range(12))
def test_equals_naive(shift):
    for _, points, queries, k, exclude in naive.searches(1, shift=shift):
        check(points, queries, k, exclude)


@pytest.mark.parametrize("kind", cases.KINDS)
def test_every_kind_at_any_scale(kind):
    points, queries = (np.asarray(cases.sample(kind, n, 1, seed=n), dtype=float) for n in (90, 25))
    if kind == "largest":  # differences must not overflow
        points, queries = points / 4.0, queries / 4.0
    for k in (1, 5, 89):
        check(points, queries, k, np.random.default_rng(k).integers(-1, 90, 25))
        check(points, queries, k, None)


@few
@given(pair=cases.pairs(ORDINARY, max_features=1, max_rows=120), k=st.integers(1, 10**9), ascending=st.booleans())
def test_laws(pair, k, ascending):
    queries, points = (np.asarray(sample, dtype=float) for sample in pair.samples)
    if ascending:
        queries = np.sort(queries, axis=0)
    k = 1 + k % (pair.m - 1)
    exclude = np.random.default_rng(pair.seed).integers(0, pair.m, pair.n)
    search = Line(points, 1)
    every = search.nearest(queries, pair.m - 1, exclude, False)[0]
    assert (np.diff(every, axis=1) >= 0.0).all()
    np.testing.assert_array_equal(search.nearest(queries, k, exclude, False)[0], every[:, :k])
    for radius in (every[:, k - 1].copy(), np.nextafter(every[:, k - 1], 0.0)):
        expected = (every <= radius[:, None]).sum(axis=1)
        np.testing.assert_array_equal(search.count_within(queries, radius, exclude), expected)


@pytest.mark.parametrize("m", [2, 3, 17])
def test_every_point_excluded_from_every_place(m):
    """On equal and on distinct values, for queries in front of, between and behind the points."""
    for points in (np.arange(m, dtype=float), np.zeros(m), np.arange(m) // 2.0):
        places = np.arange(-0.5, m, 0.5)
        queries, exclude = (a.ravel() for a in np.meshgrid(places, np.arange(-1, m)))
        order = np.random.default_rng(m).permutation(m)
        check(points[order].reshape(-1, 1), queries.reshape(-1, 1).copy(), m - 1, exclude)


def test_any_order_of_queries():
    rng = np.random.default_rng(0)
    points, queries = rng.normal(size=(2, 500, 1))
    search = Line(points, 1)
    expected = search.nearest(queries, 3, None, False)[0]
    for order in (search.order_of(queries), search.order_of(queries)[::-1], rng.permutation(500)):
        np.testing.assert_array_equal(search.nearest(queries[order], 3, None, False)[0], expected[order])


def test_points_are_sorted_and_the_order_tells_where_they_were():
    points = cases.sample("integer_lattice", 100, 1)
    search = Line(points, 1)
    np.testing.assert_array_equal(search.points, np.sort(points, axis=0))
    np.testing.assert_array_equal(points[search.order], search.points)
    np.testing.assert_array_equal(np.sort(search.order), np.arange(100))
    assert not search.points.flags.writeable


def test_queries_far_away():
    points = np.arange(10.0).reshape(-1, 1)
    queries = np.array([[-1e300], [1e300], [4.0], [-1e-300], [9.0]])
    check(points, queries, 9, np.array([0, 9, 4, -1, 9]))


def test_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-6)
    points, queries = np.random.default_rng(0).normal(size=(2, 3000, 1))
    alone, shared = (Line(points, n_jobs).nearest(queries, 4, np.arange(3000), True) for n_jobs in (1, 4))
    np.testing.assert_array_equal(alone[0], shared[0])
    np.testing.assert_array_equal(alone[1], shared[1])
