"""Nearest-neighbour distances and counts, against tables of all distances."""

import threading
import tracemalloc

import cases
import naive
import numpy as np
import pytest
from scipy.spatial import cKDTree

from kltools import _jit, errors, kth_neighbor_distances, neighbors
from kltools.neighbors import Reference, brute, tree

STRUCTURES = {"tree": tree.Tree, "brute": brute.Brute}
ORDINARY = sorted(set(cases.KINDS) - set(cases.EXTREME))


@pytest.fixture(params=sorted(STRUCTURES))
def algorithm(request, monkeypatch):
    """Every search goes through one algorithm, whatever the size of the data."""
    monkeypatch.setattr(neighbors, "_TREE_MAX_FEATURES", 10**6 if request.param == "tree" else 0)
    monkeypatch.setattr(neighbors, "_TREE_MIN_ROWS", 1)
    assert isinstance(Reference(np.zeros((3, 2)))._search, STRUCTURES[request.param])
    return request.param


def pair(kind, n, m, d, seed=0):
    X, Y = cases.Pair(kind, n, m, d, seed).samples
    return np.asarray(X, dtype=float), np.asarray(Y, dtype=float)


def none_of(n):
    return np.full(n, -1)


# ---------------------------------------------------------------- k-th distances


@pytest.mark.parametrize("kind", ORDINARY)
def test_equals_direct_formula_to_the_bit(kind, algorithm):
    X, Y = pair(kind, 70, 90, 3)
    for k in (1, 5, 69):
        np.testing.assert_array_equal(kth_neighbor_distances(X, k=k), naive.kth_distances(X, k=k))
        np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=k), naive.kth_distances(X, Y, k=k))


@pytest.mark.parametrize("kind", cases.EXTREME)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_equals_exact_arithmetic_at_extreme_scales(kind, d, algorithm):
    X, Y = pair(kind, 18, 20, d)
    among_x = naive.kth_distances(X, k=17, distances=naive.exact_distances)
    among_y = naive.kth_distances(X, Y, k=17, distances=naive.exact_distances)
    for k in (1, 4, 17):
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=k), among_x[:, :k], maxulp=4)
        np.testing.assert_array_max_ulp(kth_neighbor_distances(X, Y, k=k), among_y[:, :k], maxulp=4)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("d", range(1, 13))
def test_search_structures_themselves(structure, d):
    X = cases.sample("normal", 25, d)
    for m in (1, 2, 15, 16, 17, 33, 100):
        Y = cases.sample("normal", m, d, seed=m)
        search = STRUCTURES[structure](Y, 1)
        table = naive.distances(X, Y)
        for k in {1, (m + 1) // 2, m}:
            squares, rows = search.nearest(X, k, none_of(25))
            np.testing.assert_array_equal(np.sqrt(squares), naive.kth_distances(X, Y, k=k))
            np.testing.assert_array_equal(np.take_along_axis(table, rows, axis=1), np.sqrt(squares))


@pytest.mark.parametrize("d", [1, 2, 3, 8, 9, 20, 63, 200, 500])
def test_many_features(d, algorithm):
    X, Y = pair("normal", 20, 300, d)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=7), naive.kth_distances(X, Y, k=7))


@pytest.mark.parametrize("m", [255, 256, 257, 512, 513])
def test_rows_around_the_size_of_a_tile(m, algorithm):
    X, Y = pair("normal", 9, m, 2)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=m), naive.kth_distances(X, Y, k=m))


@pytest.mark.parametrize("k", [1, 2, 3, 10, 100, 198, 199])
def test_every_number_of_neighbors(k, algorithm):
    X = cases.sample("normal", 200, 2)
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=k), naive.kth_distances(X, k=k))


def test_all_numbers_of_neighbors_come_in_one_pass(algorithm):
    X, Y = pair("normal", 50, 60, 3)
    every = kth_neighbor_distances(X, Y, k=60)
    assert every.dtype == np.float64
    assert (np.diff(every, axis=1) >= 0).all()
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=11), every[:, :11])


@pytest.mark.parametrize("kind", ["normal", "integer_lattice", "duplicated_rows", "wide_range"])
def test_rows_of_the_nearest_points(kind, algorithm):
    """Each row at most once, never the excluded one, and at the distance that is told."""
    X, _ = pair(kind, 150, 1, 2)
    distances, rows = Reference(X).nearest(X, 20, np.arange(150))
    for i in range(150):
        assert len({*rows[i]}) == 20
        assert i not in rows[i]
        expected = naive.exact_distances(X[i : i + 1], X[rows[i]])[0]
        np.testing.assert_array_max_ulp(distances[i], expected, maxulp=4)


def test_a_row_is_left_out_by_its_index_not_by_its_distance(algorithm):
    X = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    expected = [[0.0, 0.0, 1.0]] * 3 + [[1.0, 1.0, 1.0]]
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=3), expected)
    np.testing.assert_array_equal(kth_neighbor_distances(X, X, k=1), np.zeros((4, 1)))


def test_equal_rows_all_over(algorithm):
    X = np.full((150, 3), 0.1)
    np.testing.assert_array_equal(kth_neighbor_distances(X, k=149), np.zeros((150, 149)))


def test_smallest_samples(algorithm):
    np.testing.assert_array_equal(kth_neighbor_distances([[1.0], [4.0]], k=1), [[3.0], [3.0]])
    np.testing.assert_array_equal(kth_neighbor_distances([[1.0]], [[4.0]], k=1), [[3.0]])


def test_one_dimensional_input_is_one_column(algorithm):
    X, Y = pair("normal", 40, 50, 1)
    expected = naive.kth_distances(X, Y, k=3)
    np.testing.assert_array_equal(kth_neighbor_distances(X[:, 0], Y[:, 0], k=3), expected)
    np.testing.assert_array_equal(kth_neighbor_distances(list(X[:, 0]), Y, k=3), expected)


def test_any_memory_layout():
    X, Y = pair("normal", 40, 50, 3)
    expected = naive.kth_distances(X, Y, k=3)
    wide = np.zeros((80, 6))
    wide[::2, ::2] = X
    for same in (np.asfortranarray(X), wide[::2, ::2], X[::-1][::-1], X.astype(">f8"), X.tolist()):
        np.testing.assert_array_equal(kth_neighbor_distances(same, Y, k=3), expected)


def test_input_is_not_changed():
    X, Y = pair("scaled_up", 40, 50, 3)
    before = X.copy(), Y.copy()
    kth_neighbor_distances(X, Y, k=3)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize("d", [1, 2, 5, 20])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "offset_1e7", "offset_1e15", "tenth_grid"])
def test_agrees_with_scipy(kind, d):
    X, Y = pair(kind, 300, 400, d)
    distances, _ = cKDTree(Y).query(X, k=[1, 2, 10])
    np.testing.assert_allclose(kth_neighbor_distances(X, Y, k=10)[:, [0, 1, 9]], distances, rtol=1e-12)


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
    steps = np.random.default_rng(0).integers(-4000, 4000, (200, 3)) * 0.125
    np.testing.assert_array_equal(kth_neighbor_distances(1e15 + steps, k=5), kth_neighbor_distances(steps, k=5))


@pytest.mark.parametrize("exponent", [-900, -665, -540, -500, -479, -400, 300, 479, 485, 500, 515, 540, 665, 1000])
def test_powers_of_two_change_nothing_else(exponent, algorithm):
    X, Y = pair("normal", 60, 70, 3)
    expected = np.ldexp(kth_neighbor_distances(X, Y, k=5), exponent)
    scaled = kth_neighbor_distances(np.ldexp(X, exponent), np.ldexp(Y, exponent), k=5)
    np.testing.assert_array_equal(scaled, expected)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scales_beyond_the_range_of_squares(scale, algorithm):
    X, Y = pair("normal", 60, 70, 3)
    scaled = kth_neighbor_distances(X * scale, Y * scale, k=5)
    np.testing.assert_allclose(scaled / scale, kth_neighbor_distances(X, Y, k=5), rtol=1e-13)


def test_a_distance_beyond_float64_is_inf(algorithm):
    np.testing.assert_array_equal(kth_neighbor_distances([[1.7e308], [-1.7e308]], k=1), [[np.inf], [np.inf]])


@pytest.mark.parametrize("exponent", [-380, -440, -460, -500, -515, -530, -565, -1040])
def test_tiny_numbers_beside_ordinary_ones(exponent, algorithm):
    X = np.ldexp(cases.sample("normal", 18, 2), exponent)
    X[::3] = cases.sample("normal", 6, 2, seed=1)
    expected = naive.kth_distances(X, k=17, distances=naive.exact_distances)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=17), expected, maxulp=4)
    radius = expected[:, 3] + 8 * np.spacing(expected[:, 3])
    counts = Reference(X).count_within(X, radius, np.arange(18))
    np.testing.assert_array_equal(counts, (expected <= radius[:, None]).sum(axis=1))


def test_huge_and_tiny_numbers_together(algorithm):
    X = np.array([[1e200], [1e-170], [3e-170]])
    expected = naive.kth_distances(X, k=2, distances=naive.exact_distances)
    np.testing.assert_array_max_ulp(kth_neighbor_distances(X, k=2), expected, maxulp=4)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("d", [1, 4, 12])
def test_counts_equal_naive(kind, d, algorithm):
    X, Y = pair(kind, 40, 60, d)
    for points, exclude in ((Y, None), (X, np.arange(40))):
        table = naive.distances(X, points)
        # each radius is exactly a distance: the point there counts
        radius = np.array([np.sort(row)[i % len(points)] for i, row in enumerate(table)])
        expected = naive.counts_within(X, points, radius, exclude_self=exclude is not None)
        np.testing.assert_array_equal(Reference(points).count_within(X, radius, exclude), expected)


def test_a_radius_one_ulp_below_a_distance_leaves_the_point_out(algorithm):
    X, Y = pair("normal", 200, 1, 3)
    radius = naive.distances(X, Y)[:, 0]
    assert (Reference(Y).count_within(X, radius) == 1).all()
    assert (Reference(Y).count_within(X, np.nextafter(radius, 0.0)) == 0).all()
    assert (Reference(Y).count_within(X, np.nextafter(radius, np.inf)) == 1).all()


def test_counts_at_tiny_distances(algorithm):
    Y = np.array([[0.0], [1e-200], [3e-200], [1.0]])
    radius = np.array([0.0, 2e-200, 3e-200, 1.0])
    np.testing.assert_array_equal(Reference(Y).count_within(np.zeros((4, 1)), radius), [1, 2, 3, 4])


def test_counts_agree_with_distances(algorithm):
    X = cases.sample("normal", 120, 2)
    reference, itself = Reference(X), np.arange(120)
    distances = reference.kth_distances(X, 119, itself)
    for k in (1, 17, 119):
        np.testing.assert_array_equal(reference.count_within(X, distances[:, k - 1], itself), np.full(120, k))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_counts_of_the_structures_themselves(structure):
    X = cases.sample("integer_lattice", 30, 2)
    for m in (1, 16, 17, 50, 300):
        Y = cases.sample("integer_lattice", m, 2, seed=m)
        for radius in (0.0, 1.0, np.sqrt(2.0), 100.0):
            counts = STRUCTURES[structure](Y, 1).count_within(X, np.full(30, radius), none_of(30))
            np.testing.assert_array_equal(counts, naive.counts_within(X, Y, np.full(30, radius)))


# ---------------------------------------------------------------- threads, blocks, memory


@pytest.mark.parametrize("n_jobs", [2, 3, -1, None])
def test_threads_do_not_matter(n_jobs, algorithm, monkeypatch):
    monkeypatch.setattr(_jit, "available_cores", lambda: 4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", 1e-6)
    X, Y = pair("normal", 500, 600, 4)
    expected = kth_neighbor_distances(X, Y, k=5, n_jobs=1)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=5, n_jobs=n_jobs), expected)
    counts = Reference(Y, 4).count_within(X, expected[:, -1].copy())
    np.testing.assert_array_equal(counts, np.full(500, 5))


@pytest.mark.parametrize(("seconds", "growth"), [(1e-9, 1), (1e-9, 8), (1e-4, 2), (1e3, 10**9)])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_block_size_does_not_matter(seconds, growth, n_jobs, algorithm, monkeypatch):
    X, Y = pair("normal", 300, 400, 3)
    expected = naive.kth_distances(X, Y, k=4)
    monkeypatch.setattr(_jit, "_BLOCK_SECONDS", seconds)
    monkeypatch.setattr(_jit, "_GROWTH", growth)
    np.testing.assert_array_equal(kth_neighbor_distances(X, Y, k=4, n_jobs=n_jobs), expected)


def test_safe_from_many_python_threads():
    X, Y = pair("normal", 400, 500, 3)
    expected, seen = naive.kth_distances(X, Y, k=4), []
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


@pytest.mark.parametrize(
    ("k", "error"),
    [
        (0, errors.InvalidParameterError),
        (-1, errors.InvalidParameterError),
        (2.0, errors.InvalidTypeError),
        (True, errors.InvalidTypeError),
        ("3", errors.InvalidTypeError),
        (None, errors.InvalidTypeError),
        (np.array([3]), errors.InvalidTypeError),
        (10, errors.NotEnoughSamplesError),
        (10**9, errors.NotEnoughSamplesError),
    ],
)
def test_impossible_numbers_of_neighbors(k, error):
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
    with pytest.raises(errors.InvalidParameterError, match="row 3, column 1"):
        kth_neighbor_distances(X, k=1)
    with pytest.raises(errors.InvalidParameterError, match="Y"):
        kth_neighbor_distances(np.zeros((5, 2)), X, k=1)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "all"])
def test_bad_n_jobs(n_jobs):
    with pytest.raises((errors.InvalidParameterError, errors.InvalidTypeError), match="n_jobs"):
        kth_neighbor_distances(np.arange(5.0), k=1, n_jobs=n_jobs)
