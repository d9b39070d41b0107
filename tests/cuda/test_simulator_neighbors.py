"""Nearest neighbours in the simulator, against sorted lists of all distances and against the CPU."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import cuda
from kltools.cuda import brute, neighbors
from kltools.cuda.brute import Brute
from kltools.cuda.interop import Place
from kltools.cuda.sort import sorted_rows
from kltools.cuda.tree import Tree


def all_distances(queries, points):
    return np.array([[math.sqrt(math.fsum((a - b) ** 2)) for b in points] for a in queries])


def lattice(rng, n, d):
    return np.round(rng.normal(size=(n, d)))


def heavy(rng, n, d):
    return rng.standard_t(1.0, size=(n, d)) ** 3


def normal(rng, n, d):
    return rng.normal(size=(n, d))


SAMPLES = {"normal": normal, "heavy": heavy, "lattice": lattice}


def assert_nearest(found, rows, queries, points, k, exclude=None):
    """Distances are those of a sort of all; of equally near points the first one comes first."""
    table = all_distances(queries, points)
    if exclude is not None:
        table[np.arange(len(queries)), exclude] = math.inf
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(table, order, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-15 * (4 + queries.shape[1]), atol=0)
    np.testing.assert_array_equal(rows, order)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    ("n", "m", "d", "k"),
    [(1, 1, 1, 1), (17, 41, 1, 2), (33, 23, 2, 4), (9, 64, 3, 8), (20, 40, 5, 16), (5, 65, 2, 21), (3, 50, 33, 32)],
)
def test_all_against_all(name, n, m, d, k):
    rng = np.random.default_rng([n, m])
    points, queries = SAMPLES[name](rng, m, d), SAMPLES[name](rng, n, d)
    assert_nearest(*Brute(points).nearest(queries, k, None, True), queries, points, k)


@pytest.mark.parametrize("name", SAMPLES)
def test_rows_are_left_out_by_their_number(name):
    points = SAMPLES[name](np.random.default_rng(1), 30, 2)
    points[7] = points[3]
    exclude = np.arange(30)
    assert_nearest(*Brute(points).nearest(points, 5, exclude, True), points, points, 5, exclude)


@pytest.mark.parametrize("k", [33, 40, 64, 69])
@pytest.mark.parametrize("name", ["normal", "lattice"])
def test_more_neighbors_than_registers_hold(name, k):
    points = SAMPLES[name](np.random.default_rng(2), 70, 2)
    queries, exclude = points[:6], np.arange(6)
    assert_nearest(*Brute(points).nearest(queries, k, exclude, True), queries, points, k, exclude)


def test_more_features_than_shared_memory_holds():
    rng = np.random.default_rng(3)
    points, queries = rng.normal(size=(11, 515)), rng.normal(size=(3, 515))
    distances, rows = Brute(points).nearest(queries, 2, None, True)
    assert_nearest(distances, rows, queries, points, 2)


@pytest.mark.parametrize("k", [6, 40])
@pytest.mark.parametrize("n_bytes", [1, 1600, 4200])  # blocks of one, three and eight panels of eight points
def test_neither_splits_nor_memory_change_a_bit(monkeypatch, n_bytes, k):
    rng = np.random.default_rng(4)
    points, queries = lattice(rng, 90, 2), rng.normal(size=(9, 2))
    exclude = np.arange(70, 79)
    whole = Brute(points)
    expected = whole.nearest(queries, k, exclude, True)
    radius = expected[0][:, 3] * (1.0 + 1e-12)
    counts = whole.count_within(queries, radius, exclude)
    with cuda.memory_limit(n_bytes):
        in_blocks = Brute(points)
        assert in_blocks._panels is None
        assert len(in_blocks._parts()) == -(-12 // max(1, n_bytes // 512))
        found = in_blocks.nearest(queries, k, exclude, True)
        assert np.array_equal(in_blocks.count_within(queries, radius, exclude), counts)
    monkeypatch.setattr(brute, "_BLOCKS_WANTED", 1)
    for again in (found, whole.nearest(queries, k, exclude, True)):
        assert all(np.array_equal(a, b) for a, b in zip(again, expected, strict=True))


@pytest.mark.parametrize("structure", [Brute, Tree])
def test_more_points_than_rows_can_be_told_are_refused(structure):
    with pytest.raises(kl.DeviceUnavailableError, match=r"at most 2147483647 rows, got 2147483648.*device='cpu'"):
        structure(np.broadcast_to(np.zeros((1, 1)), (2**31, 1)))


@pytest.mark.parametrize("name", SAMPLES)
def test_counts_within_radii(name):
    rng = np.random.default_rng(5)
    points, queries = SAMPLES[name](rng, 45, 3), SAMPLES[name](rng, 20, 3)
    table = all_distances(queries, points)
    radius = np.sort(table, axis=1)[:, 9] * (1.0 + 1e-12)
    assert Brute(points).count_within(queries, radius, None).tolist() == (table <= radius[:, None]).sum(axis=1).tolist()
    exclude = table.argmin(axis=1)
    table[np.arange(20), exclude] = math.inf
    counts = Brute(points).count_within(queries, radius, exclude)
    assert counts.tolist() == (table <= radius[:, None]).sum(axis=1).tolist()


# ---------------------------------------------------------------- the tree


def assert_as_near(found, rows, queries, points, k, exclude=None):
    """Distances are those of a sort of all, rows have them, none twice."""
    table = all_distances(queries, points)
    if exclude is not None:
        table[np.arange(len(queries)), exclude] = math.inf
    tolerance = 1e-15 * (4 + queries.shape[1])
    np.testing.assert_allclose(found, np.sort(table, axis=1)[:, :k], rtol=tolerance, atol=0)
    np.testing.assert_allclose(np.take_along_axis(table, rows, axis=1), found, rtol=tolerance, atol=0)
    assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(1, 1, 1, 1), (9, 130, 1, 3), (11, 70, 2, 4), (6, 129, 3, 21), (5, 65, 9, 2), (2, 50, 2, 35)]
)
def test_tree(name, n, m, d, k):
    rng = np.random.default_rng([20, m])
    points, queries = SAMPLES[name](rng, m, d), SAMPLES[name](rng, n, d)
    tree = Tree(points)
    assert sorted(tree.order) == list(range(m))
    assert np.array_equal(points[tree.order], tree.points)
    assert_as_near(*tree.nearest(queries, k, None, True), queries, tree.points, k)


@pytest.mark.parametrize("name", SAMPLES)
def test_tree_leaves_rows_out_by_their_number(name):
    tree = Tree(SAMPLES[name](np.random.default_rng(21), 60, 2))
    rows = np.arange(0, 60, 4)
    queries = tree.points[rows]
    assert_as_near(*tree.nearest(queries, 4, rows, True), queries, tree.points, 4, rows)


@pytest.mark.parametrize("name", SAMPLES)
def test_counts_in_a_tree(name):
    rng = np.random.default_rng(22)
    tree, queries = Tree(SAMPLES[name](rng, 75, 2)), SAMPLES[name](rng, 12, 2)
    table = all_distances(queries, tree.points)
    radius = np.sort(table, axis=1)[:, 19] * (1.0 + 1e-12)
    exclude = table.argmin(axis=1)
    within = table <= radius[:, None]
    assert tree.count_within(queries, radius, None).tolist() == within.sum(axis=1).tolist()
    within[np.arange(12), exclude] = False
    assert tree.count_within(queries, radius, exclude).tolist() == within.sum(axis=1).tolist()


@settings(max_examples=12, deadline=None)
@given(data=st.data(), d=st.integers(1, 3), m=st.integers(3, 40))
def test_both_structures_agree_with_a_sort(data, d, m):
    numbers = st.floats(-1e100, 1e100) | st.integers(-2, 2).map(float)
    points = np.array(data.draw(st.lists(numbers, min_size=m * d, max_size=m * d))).reshape(m, d)
    k = data.draw(st.integers(1, min(m, 8)))
    expected = np.sort(np.array([[math.hypot(*(a - b)) for b in points] for a in points[:4]]), axis=1)[:, :k]
    for structure in (Brute(points), Tree(points)):
        found = structure.nearest(points[:4], k, None, False)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-150)


@pytest.mark.parametrize("spread", [0.0, 1e-312, 1e-15, 1e-140])
def test_tree_of_points_that_are_nearly_one(spread):
    points = np.ones((40, 2))
    points[:, 0] = (1.0 if spread == 1e-15 else 0.0) + spread * np.arange(40)
    points[0] = 1e100
    tree = Tree(points)
    assert sorted(tree.order) == list(range(40))
    if spread != 1e-312:  # whose squares are 0
        assert_as_near(*tree.nearest(points[:5], 3, None, True), points[:5], tree.points, 3)


@pytest.mark.parametrize(("n", "n_bits"), [(1, 4), (63, 8), (64, 60), (65, 33), (300, 60)])
def test_sort(n, n_bits):
    keys = np.random.default_rng(23).integers(0, 1 << n_bits, n)
    keys[n // 2 :: 3] = keys[0]
    with Place() as place:
        rows = place.receive(sorted_rows(place.send(keys.copy()), n, n_bits, place))
    assert rows.tolist() == sorted(range(n), key=lambda i: keys[i])


def test_the_structure_depends_on_rows_and_features(monkeypatch):
    monkeypatch.setattr(neighbors, "FEWEST_ROWS", 20)
    monkeypatch.setattr(neighbors, "MANY_ROWS", 40)
    points = np.random.default_rng(24).normal(size=(40, 10))
    chosen = {(m, d): type(neighbors.structure(points[:m, :d].copy())) for m, d in ((19, 2), (20, 7), (20, 8), (40, 9))}
    assert chosen == {(19, 2): Brute, (20, 7): Tree, (20, 8): Brute, (40, 9): Tree}
    assert type(neighbors.structure(points)) is Brute


@pytest.mark.parametrize("method", ["knn", "knn_radius"])
@pytest.mark.parametrize("name", SAMPLES)
def test_estimates_by_trees(name, method, monkeypatch):
    monkeypatch.setattr(neighbors, "FEWEST_ROWS", 2)
    rng = np.random.default_rng(25)
    X, Y = SAMPLES[name](rng, 25, 2), 1.3 * SAMPLES[name](rng, 30, 2)
    expected, found = estimates(X, Y, method=method, n_neighbors=2)
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-12)
    assert found.warnings == expected.warnings
    if name == "normal" and method == "knn":
        assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-11)


# ---------------------------------------------------------------- what stands on it


@pytest.mark.parametrize("scale", [1.0, 1e-160, 1e200])
@pytest.mark.parametrize("d", [1, 3])
def test_distances_to_neighbors(d, scale):
    rng = np.random.default_rng(6)
    X, Y = scale * rng.normal(size=(20, d)), scale * rng.normal(size=(30, d))
    for args in ((X, Y), (X, None)):
        value = kl.kth_neighbor_distances(*args, k=3, device="cuda")
        np.testing.assert_allclose(value, kl.kth_neighbor_distances(*args, k=3), rtol=1e-15 * (4 + d))


def test_distances_whose_squares_underflow():
    X = np.array([[0.0], [1e-250], [3e-250], [1.0], [2.5]])
    value = kl.kth_neighbor_distances(X, k=2, device="cuda")
    np.testing.assert_allclose(value, kl.kth_neighbor_distances(X, k=2), rtol=1e-15)
    assert value[0].tolist() == [1e-250, 3e-250]


def test_arguments_are_checked_as_on_the_cpu():
    with pytest.raises(kl.NotEnoughSamplesError, match="k=5"):
        kl.kth_neighbor_distances([0.0, 1.0, 2.0], k=5, device="cuda")
    with pytest.raises(kl.InvalidParameterError, match="NaN"):
        kl.kth_neighbor_distances([0.0, math.nan, 2.0], k=1, device="cuda")


def estimates(X, Y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [kl.estimate_kl(X, Y, random_state=0, device=device, **options) for device in ("cpu", "cuda")]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    "options",
    [
        {"method": "knn", "n_neighbors": (2, 3)},
        {"method": "knn_radius", "n_neighbors": 3, "unit": "bits"},
        {"method": "knn_weighted"},
    ],
    ids=lambda options: options["method"],
)
def test_estimates_are_those_of_the_cpu(options, name):
    rng = np.random.default_rng(7)
    X, Y = SAMPLES[name](rng, 40, 2), 1.3 * SAMPLES[name](rng, 50, 2)
    expected, found = estimates(X, Y, **options)
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-12)
    assert found.warnings == expected.warnings
    assert found.reliable == expected.reliable
    assert found.n_ties == expected.n_ties
    values = (estimate.diagnostics.pop("value_by_n_neighbors") for estimate in (found, expected))
    assert next(values) == pytest.approx(next(values), rel=1e-12, abs=1e-12)
    found.diagnostics.pop("weight_by_n_neighbors", None)
    expected.diagnostics.pop("weight_by_n_neighbors", None)
    assert found.diagnostics == expected.diagnostics


def test_standard_error_is_that_of_the_cpu():
    rng = np.random.default_rng(8)
    expected, found = estimates(normal(rng, 40, 2), normal(rng, 50, 2), method="knn", n_neighbors=2)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-12)


def test_calibrated_and_against_a_known_density():
    rng = np.random.default_rng(9)
    X, Y = rng.normal(size=(25, 1)), rng.normal(size=(30, 1))
    options = {"method": "knn_calibrated", "reference": "gaussian", "n_simulations": 3, "n_neighbors": 2}
    expected, found = estimates(X, Y, **options)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-12)
    expected, found = estimates(X, kl.Normal(mean=0.5, var=2.0), method="knn", n_neighbors=2)
    assert found.value == pytest.approx(expected.value, rel=1e-12)


class There:
    """What has the CUDA array interface alone."""

    def __init__(self, array):
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}


def test_arrays_on_the_device():
    rng = np.random.default_rng(10)
    X, Y = rng.normal(size=(25, 2)), rng.normal(size=(30, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = kl.estimate_kl(X, Y, method="knn", n_neighbors=2)
        assert kl.estimate_kl(There(X), There(Y), method="knn", n_neighbors=2).value == pytest.approx(expected.value)
    found = kl.kth_neighbor_distances(There(X), Y, k=2)
    assert not isinstance(found, np.ndarray)  # it stays on the device
    np.testing.assert_allclose(found.copy_to_host(), kl.kth_neighbor_distances(X, Y, k=2), rtol=1e-14)


def test_methods_without_a_kernel_name_the_cpu():
    X = np.random.default_rng(11).normal(size=(30, 2))
    with pytest.raises(kl.DeviceUnavailableError, match=r"method='kde' has no CUDA.*'knn'.*device='cpu'"):
        kl.estimate_kl(X, X + 1.0, method="kde", device="cuda")
    with pytest.raises(kl.InvalidParameterError, match="method must be one of"):
        kl.estimate_kl(X, X + 1.0, method="knnn", device="cuda")
