"""Nearest-neighbour distances and counts, against tables of all distances."""

import threading
import tracemalloc

import cases
import naive
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from kltools import _jit, errors, kth_neighbor_distances, neighbors
from kltools.neighbors import NORMS, Reference, brute, line, references, tree

ORDINARY = sorted(set(cases.KINDS) - set(cases.EXTREME))


FORCED = {
    "tree": lambda points, norm, n_jobs, asked_often: tree.Tree(points, NORMS[norm], n_jobs),
    "brute": lambda points, norm, n_jobs, asked_often: brute.Brute(points, n_jobs),
}


@pytest.fixture(params=["chosen", *FORCED])
def algorithm(request, monkeypatch):
    """Every search of more than one feature goes through one algorithm, whatever the size of the data."""
    chosen = neighbors._structure
    forced = FORCED.get(request.param, chosen)
    monkeypatch.setattr(
        neighbors, "_structure", lambda points, *how: (forced if points.shape[1] > 1 else chosen)(points, *how)
    )
    return request.param


def pair(kind, n, m, d, seed=0):
    X, Y = cases.Pair(kind, n, m, d, seed).samples
    return np.asarray(X, dtype=float), np.asarray(Y, dtype=float)


# ---------------------------------------------------------------- k-th distances


@pytest.mark.parametrize("kind", ORDINARY)
def test_equals_direct_formula(kind, algorithm):
    """But for rounding: to the bit where there is none."""
    X, Y = pair(kind, 70, 90, 2)
    maxulp = 0 if kind == "integer_lattice" else 4
    for k in (1, 5, 69):
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=k), naive.kth_distances(X, k=k), maxulp)
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, Y, k=k), naive.kth_distances(X, Y, k=k), maxulp)


@pytest.mark.parametrize("kind", cases.EXTREME)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_equals_exact_arithmetic_at_extreme_scales(kind, d, algorithm):
    X, Y = pair(kind, 18, 20, d)
    among_x = naive.kth_distances(X, k=17, distances=naive.exact_distances)
    among_y = naive.kth_distances(X, Y, k=17, distances=naive.exact_distances)
    for k in (1, 4, 17):
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=k), among_x[:, :k], maxulp=4)
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, Y, k=k), among_y[:, :k], maxulp=4)


@pytest.mark.parametrize("d", [1, 2, 8, 9, 20, 63, 200, 500])
def test_many_features(d):
    X, Y = pair("normal", 20, 300, d)
    expected = naive.kth_distances(X, Y, k=7, distances=naive.summed_once)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, Y, k=7), expected, maxulp=4)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 64, 65, 100, 198, 199])
def test_every_number_of_neighbors(k, algorithm):
    X = cases.sample("normal", 200, 2)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=k), naive.kth_distances(X, k=k), maxulp=4)


def test_all_numbers_of_neighbors_come_in_one_pass(algorithm):
    X, Y = pair("normal", 50, 90, 2)
    every = kth_neighbor_distances(X, Y, k=90)
    assert every.dtype == np.float64
    assert (np.diff(every, axis=1) >= 0).all()
    for k in (1, 11, 64, 65, 89):
        np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=k), every[:, :k])


@pytest.mark.parametrize("kind", ["normal", "integer_lattice", "duplicated_rows", "wide_range"])
def test_rows_of_the_nearest_points(kind, algorithm):
    """Each row of `points` at most once, never the excluded one, and at the distance that is told."""
    reference = Reference(pair(kind, 150, 1, 2)[0])
    X = reference.points
    for distances, rows in (reference.nearest(X, 20, np.arange(150)), reference.nearest(None, 20)):
        for i in range(150):
            assert len({*rows[i]}) == 20
            assert i not in rows[i]
            expected = naive.exact_distances(X[i : i + 1], X[rows[i]])[0]
            np.testing.assert_array_max_ulp(distances[i], expected, maxulp=4)
        np.testing.assert_array_equal(reference.kth_distances(None, 20), distances)


def test_a_row_is_left_out_by_its_index_not_by_its_distance(algorithm):
    X = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    expected = [[0.0, 0.0, 1.0]] * 3 + [[1.0, 1.0, 1.0]]
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=3), expected)
    np.testing.assert_array_equal(kth_neighbor_distances(X, X, k=1), np.zeros((4, 1)))
    X = np.full((150, 2), 0.1)
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=149), np.zeros((150, 149)))


def test_smallest_samples(algorithm):
    for d in (1, 2):
        np.testing.assert_array_equal(
            kth_neighbor_distances(np.eye(2, d) * 3.0, k=1), np.full((2, 1), np.sqrt(9.0 * d))
        )
        np.testing.assert_array_equal(kth_neighbor_distances([[1.0] * d], [[4.0] * d], k=1), [[np.sqrt(9.0 * d)]])


def test_one_dimensional_input_is_one_column():
    X, Y = pair("normal", 40, 50, 1)
    expected = naive.kth_distances(X, Y, k=3)
    np.testing.assert_array_equal(kth_neighbor_distances(X[:, 0], Y[:, 0], k=3), expected)
    np.testing.assert_array_equal(kth_neighbor_distances(list(X[:, 0]), Y, k=3), expected)


@pytest.mark.parametrize("d", [1, 2, 20])
def test_any_memory_layout(d):
    X, Y = pair("normal", 40, 50, d)
    expected = kth_neighbor_distances(X, Y, k=3)
    np.testing.assert_array_max_ulp(expected, naive.kth_distances(X, Y, k=3), maxulp=4)
    wide = np.zeros((80, 2 * d))
    wide[::2, ::2] = X
    for same in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], X.astype(">f8"), X.tolist()):
        np.testing.assert_array_equal(kth_neighbor_distances(same, Y, k=3), expected)
        np.testing.assert_array_equal(kth_neighbor_distances(Y, same, k=3), kth_neighbor_distances(Y, X, k=3))


@pytest.mark.parametrize("d", [1, 2, 20])
def test_input_is_not_changed(d):
    X, Y = pair("scaled_up", 40, 50, d)
    before = X.copy(), Y.copy()
    for scale in (1.0, 1e-200):
        X, Y = before[0] * scale, before[1] * scale
        X.flags.writeable = False
        kth_neighbor_distances(X, Y, k=3)
        np.testing.assert_array_equal(X, before[0] * scale)
        np.testing.assert_array_equal(Y, before[1] * scale)


@pytest.mark.parametrize("kind", ["normal", "cauchy", "offset_1e7", "offset_1e15", "tenth_grid"])
@pytest.mark.parametrize("d", [1, 2, 3, 8, 16, 64])
@pytest.mark.jit
def test_agrees_with_scipy(kind, d):
    n = 5000 if kind == "normal" else 400
    X, Y = pair(kind, n, n, d)
    asked = np.arange(0, n, 1 if d <= 8 else 9)
    found = kth_neighbor_distances(X, Y, k=4, n_jobs=-1)[asked], kth_neighbor_distances(X, k=4, n_jobs=-1)[asked]
    if d <= 8:
        expected = cKDTree(Y).query(X, k=4)[0], cKDTree(X).query(X, k=5)[0][:, 1:]
    else:
        expected = np.sort(cdist(X[asked], Y), axis=1)[:, :4], np.sort(cdist(X[asked], X), axis=1)[:, 1:5]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


# ---------------------------------------------------------------- offsets and scales


@pytest.mark.parametrize("kind", ["scaled_up", "scaled_down", "largest", "subnormal"])
def test_safe_range_is_reached_by_an_exact_power_of_two(kind):
    X, Y = pair(kind, 50, 60, 3)
    (safe_x, safe_y), exponent = neighbors.in_safe_range(X, Y)
    np.testing.assert_array_equal(np.ldexp(safe_x, exponent), X)
    np.testing.assert_array_equal(np.ldexp(safe_y, exponent), Y)
    largest = max(np.abs(safe_x).max(), np.abs(safe_y).max())
    assert 2.0**-481 < largest <= 2.0**480


@pytest.mark.parametrize("kind", ["normal", "wide_range", "offset_1e15", "cauchy"])
def test_ordinary_numbers_are_in_the_safe_range(kind):
    X, Y = pair(kind, 50, 60, 3)
    same, exponent = neighbors.in_safe_range(X, Y)
    assert exponent == 0
    assert same[0] is X
    assert same[1] is Y


def test_offset_1e15_is_the_distance_of_the_shifted_numbers(algorithm):
    steps = np.random.default_rng(0).integers(-4000, 4000, (200, 2)) * 0.125
    np.testing.assert_array_equal(kth_neighbor_distances(1e15 + steps, k=5), kth_neighbor_distances(steps, k=5))


@pytest.mark.parametrize("exponent", [-900, -665, -540, -500, -479, -400, 300, 479, 485, 500, 515, 540, 665, 1000])
def test_powers_of_two_change_nothing_else(exponent, algorithm):
    X, Y = pair("normal", 60, 70, 2)
    expected = np.ldexp(kth_neighbor_distances(X, Y, k=5), exponent)
    scaled = kth_neighbor_distances(np.ldexp(X, exponent), np.ldexp(Y, exponent), k=5)
    np.testing.assert_array_equal(scaled, expected)


def test_a_distance_beyond_float64_is_inf(algorithm):
    for d in (1, 2):
        X = np.array([[1.7e308], [-1.7e308]]) * np.eye(1, d)
        np.testing.assert_array_equal(kth_neighbor_distances(X, k=1), [[np.inf], [np.inf]])


@pytest.mark.parametrize("exponent", [-380, -440, -460, -500, -515, -530, -565, -1040])
def test_tiny_numbers_beside_ordinary_ones(exponent, algorithm):
    X = np.ldexp(cases.sample("normal", 18, 2), exponent)
    X[::3] = cases.sample("normal", 6, 2, seed=1)
    expected = naive.kth_distances(X, k=17, distances=naive.exact_distances)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=17), expected, maxulp=4)
    reference = Reference(X)
    expected = expected[reference.order]
    radius = expected[:, 3] + 8 * np.spacing(expected[:, 3])
    counts = reference.count_within(reference.points, radius, np.arange(18))
    np.testing.assert_array_equal(counts, (expected <= radius[:, None]).sum(axis=1))


@pytest.mark.parametrize("d", [1, 2])
def test_huge_and_tiny_numbers_together(d, algorithm):
    X = np.array([[1e200], [1e-170], [3e-170]]) * np.eye(1, d)
    expected = naive.kth_distances(X, k=2, distances=naive.exact_distances)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=2), expected, maxulp=4)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("d", [1, 2, 9])
def test_counts_agree_with_distances(kind, d, algorithm):
    """Each radius is exactly a distance, or less by an ulp: the point there counts, or does not."""
    X, Y = pair(kind, 40, 60, d)
    for reference, queries, exclude in ((Reference(Y), X, None), (Reference(X), None, np.arange(40))):
        known = 60 if exclude is None else 39
        distances = reference.kth_distances(queries, known)
        radius = np.array([row[i % known] for i, row in enumerate(distances)])
        queries = reference.points if queries is None else queries
        for r in (radius, np.nextafter(radius, 0.0), np.nextafter(radius, np.inf)):
            expected = (distances <= r[:, None]).sum(axis=1)
            np.testing.assert_array_equal(reference.count_within(queries, r, exclude), expected)


@pytest.mark.parametrize("d", [1, 2])
def test_counts_at_tiny_distances(d, algorithm):
    Y = np.array([[0.0], [1e-200], [3e-200], [1.0]]) * np.eye(1, d)
    radius = np.array([0.0, 2e-200, 3e-200, 1.0])
    np.testing.assert_array_equal(Reference(Y).count_within(np.zeros((4, d)), radius), [1, 2, 3, 4])


# ---------------------------------------------------------------- a reference


def test_the_algorithm_that_suits_the_points(monkeypatch):
    monkeypatch.setattr(neighbors, "FEWEST_ROWS_TO_PROBE", 1000)
    rng = np.random.default_rng(0)
    near_a_plane = rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 9))
    shapes = {(9, 1): line.Line, (9, 2): tree.Tree, (9, 8): tree.Tree, (9, 9): brute.Brute, (2000, 9): brute.Brute}
    for shape, expected in shapes.items():
        assert type(Reference(rng.normal(size=shape))._structure) is expected
    for d, expected in ((1, line.Line), (2, tree.Tree), (9, tree.Tree)):
        assert type(Reference(rng.normal(size=(9, d)), norm="maximum")._structure) is expected
    assert type(Reference(near_a_plane[:999])._structure) is brute.Brute
    assert type(Reference(near_a_plane)._structure) is tree.Tree


@pytest.mark.parametrize("d", [1, 2, 20])
@pytest.mark.parametrize("norm", NORMS)
def test_searches_of_a_reference(norm, d):
    X, Y = pair("normal", 30, 80, d)
    reference = Reference(Y, norm=norm)
    assert reference.shape == (80, d)
    np.testing.assert_array_equal(Y[reference.order], reference.points)
    np.testing.assert_array_equal(np.sort(reference.order_of(X)), np.arange(30))
    distances = naive.distances if norm == "euclidean" else naive.maximum_distances
    naive.check_search(reference._structure, X, 5, None, distances(X, reference.points))
    among = naive.kth_distances(reference.points, k=4, distances=distances)
    np.testing.assert_array_max_ulp(reference.kth_distances(None, 4), among, maxulp=4)


def test_points_among_themselves_are_compared_once(monkeypatch):
    called = []
    monkeypatch.setattr(brute.Brute, "_search_self", lambda *arguments: called.append(1))
    X = np.random.default_rng(0).normal(size=(50, 20))
    Reference(X).kth_distances(None, 3)
    assert called == [1]
    kth_neighbor_distances(X, k=3)
    assert called == [1, 1]


@pytest.mark.parametrize("d", [1, 2, 20])
@pytest.mark.jit
def test_progress(d):
    X, Y = pair("normal", 2500, 300, d)
    for reference, queries in ((Reference(Y), X), (Reference(X), None)):
        seen = []
        reference.kth_distances(queries, 3, progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0


# ---------------------------------------------------------------- threads, blocks, memory


@pytest.mark.parametrize("n_jobs", [2, 3, -1, None])
def test_threads_do_not_matter(n_jobs, algorithm, monkeypatch):
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-6)
    X, Y = pair("normal", 500, 600, 2)
    expected = kth_neighbor_distances(X, Y, k=5, n_jobs=1)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=5, n_jobs=n_jobs), expected)
    among = kth_neighbor_distances(X, k=5, n_jobs=1)
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=5, n_jobs=n_jobs), among)
    counts = Reference(Y, 4).count_within(X, expected[:, -1].copy())
    np.testing.assert_array_equal(counts, np.full(500, 5))


@pytest.mark.parametrize("d", [1, 3, 20])
def test_references_made_side_by_side_are_the_same(d):
    X, Y = pair("normal", 21_000, 20_000, d)
    for own, other in zip(references(X, Y, 2), references(X, Y, 1), strict=True):
        np.testing.assert_array_equal(own.points, other.points)
        np.testing.assert_array_equal(own.order, other.order)


@pytest.mark.parametrize(("seconds", "growth"), [(1e-9, 1), (1e-9, 8), (1e-4, 2), (1e3, 10**9)])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_block_size_does_not_matter(seconds, growth, n_jobs, algorithm, monkeypatch):
    X, Y = pair("normal", 300, 400, 2)
    expected = kth_neighbor_distances(X, Y, k=4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", seconds)
    monkeypatch.setattr(_jit, "_GROWTH", growth)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=4, n_jobs=n_jobs), expected)


def test_safe_from_many_python_threads():
    X, Y = pair("normal", 400, 500, 2)
    expected, seen = kth_neighbor_distances(X, Y, k=4), []
    threads = [threading.Thread(target=lambda: seen.append(kth_neighbor_distances(X, Y, k=4))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(np.array_equal(result, expected) for result in seen)


@pytest.mark.jit
def test_memory_is_bounded():
    X, Y = pair("normal", 20_000, 20_000, 20)
    kth_neighbor_distances(X[:10], Y[:10], k=5)
    tracemalloc.start()
    try:
        kth_neighbor_distances(X, Y, k=5, n_jobs=-1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


# ---------------------------------------------------------------- errors


IMPOSSIBLE = {
    errors.InvalidParameterError: (0, -1),
    errors.InvalidTypeError: (2.0, True, "3", None, np.array([3])),
    errors.NotEnoughSamplesError: (10, 10**9),
}


@pytest.mark.parametrize(("error", "k"), [(error, k) for error, ks in IMPOSSIBLE.items() for k in ks])
def test_impossible_numbers_of_neighbors(error, k):
    with pytest.raises(error, match="k"):
        kth_neighbor_distances(np.arange(10.0), k=k)


def test_neighbors_available_with_and_without_a_reference():
    X = np.arange(10.0)
    assert kth_neighbor_distances(X, k=np.int64(9)).shape == (10, 9)
    assert kth_neighbor_distances(X, X, k=10).shape == (10, 10)
    with pytest.raises(errors.NotEnoughSamplesError):
        kth_neighbor_distances(X, X, k=11)
    with pytest.raises(errors.NotEnoughSamplesError):
        kth_neighbor_distances([[1.0]], k=1)


def test_shapes_must_fit():
    with pytest.raises(errors.ShapeMismatchError, match="3 features, Y has 2"):
        kth_neighbor_distances(np.zeros((5, 3)), np.zeros((5, 2)), k=1)
    with pytest.raises(errors.ShapeMismatchError):
        kth_neighbor_distances(np.zeros((5, 3, 2)), k=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    X = np.zeros((5, 2))
    X[3, 1] = bad
    with pytest.raises(errors.InvalidParameterError, match=r"row 3, column 1; remove those rows\.$"):
        kth_neighbor_distances(X, k=1)
    with pytest.raises(errors.InvalidParameterError, match="Y"):
        kth_neighbor_distances(np.zeros((5, 2)), X, k=1)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "all"])
def test_bad_n_jobs(n_jobs):
    with pytest.raises((errors.InvalidParameterError, errors.InvalidTypeError), match="n_jobs"):
        kth_neighbor_distances(np.arange(5.0), k=1, n_jobs=n_jobs)
