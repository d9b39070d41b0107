"""Samples that are read in blocks, from files and from Dask arrays: the same bits as from arrays in memory."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parts import assert_same, quietly, samples
from scipy.spatial import cKDTree
from scipy.special import digamma

import kltools as kl
from kltools import _blocks, _moments, _sums
from kltools.errors import (
    InvalidParameterError,
    InvalidTypeError,
    ShapeMismatchError,
)
from kltools.estimators import blocks

MIB = 2**20


@pytest.fixture
def in_blocks(monkeypatch):
    """Blocks of 4096 rows, for however little memory they are."""

    def read(X, Y, nan_policy, notes, n_jobs, memory_limit):
        runner = _blocks.InTurn(n_jobs)
        parts = []
        for sample, name in ((X, "X"), (Y, "Y")):
            pieces = _blocks.stored_pieces(runner, sample, name, 3000)
            parts.append(_blocks.read_rows(runner, pieces, name, _blocks.STEP, nan_policy, notes.add))
        return *parts, blocks.check_same_width(*parts)

    monkeypatch.setattr(blocks, "read_stored", read)


class Stored:
    """An array that is only read in slices of rows, and remembers the longest."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.longest = array, array.shape, array.dtype, 0

    def __getitem__(self, rows):
        self.longest = max(self.longest, rows.stop - rows.start)
        return self._array[rows]


# ---------------------------------------------------------------- sums and moments


@settings(deadline=None)
@given(
    st.lists(st.floats(-2000.0, 2000.0), min_size=1, max_size=200),
    st.randoms(use_true_random=False),
)
def test_sums_know_no_order(values, random):
    array = np.array(values)
    random.shuffle(values)
    mean = _sums.mean(array)
    assert mean == _sums.mean(np.array(values))
    exact = sum(map(Fraction, values)) / len(values)
    assert abs(Fraction(mean) - exact) <= abs(exact) * Fraction(2) ** -52 + Fraction(2) ** -72


def test_sums_know_no_parts():
    values = np.random.default_rng(0).normal(0.0, 300.0, (20_000, 3))
    counted = values > -500.0
    whole = _sums.column_totals(_sums.partial_sums(values, counted))
    parts = [_sums.partial_sums(values[a:b], counted[a:b]) for a, b in ((0, 1), (1, 9000), (9000, 20_000))]
    np.testing.assert_array_equal(whole, _sums.column_totals(np.concatenate(parts)))
    for j in range(3):
        assert whole[j] == pytest.approx(math.fsum(values[counted[:, j], j]), rel=1e-15)


def test_a_sum_of_what_is_not_finite_is_nan():
    assert math.isnan(_sums.mean(np.array([1.0, -np.inf])))


@pytest.mark.parametrize(("n", "d"), [(1, 1), (7, 2), (4096, 3), (4097, 3), (9000, 20)])
def test_moments_of_rows(n, d):
    X = np.random.default_rng(n).normal(size=(n, d)) + 1e3
    inside = np.random.default_rng(1).random(n) < 0.8
    inside[0] = True
    for rows in (None, inside):
        kept = X if rows is None else X[rows]
        moments = _moments.added(_moments.chunk_moments(X, X[0], rows))
        assert moments.count == len(kept)
        np.testing.assert_allclose(moments.mean + X[0], kept.mean(axis=0), rtol=1e-14)
        expected = (kept - kept.mean(axis=0)).T @ (kept - kept.mean(axis=0))
        np.testing.assert_allclose(moments.products, expected, rtol=1e-9, atol=1e-9)


def test_moments_of_chunks_are_those_of_any_blocks_of_chunks():
    X = np.random.default_rng(0).normal(size=(30_000, 5))
    whole = _moments.added(_moments.chunk_moments(X, X[0]))
    step = 2 * _moments.CHUNK
    chunks = [
        c for first in range(0, len(X), step) for c in _moments.chunk_moments(X[first : first + step], X[0], None, 2)
    ]
    assert len(chunks) == -(-len(X) // _moments.CHUNK)
    np.testing.assert_array_equal(_moments.added(chunks).products, whole.products)


# ---------------------------------------------------------------- order of rows


@pytest.mark.parametrize("d", [1, 3, 12])
def test_no_bit_depends_on_the_order_of_rows(d):
    X, Y = samples(6000, 5000, d)
    rng = np.random.default_rng(1)
    found = [
        quietly(kl.estimate_kl, a, b, method="knn", scale="none").value
        for a, b in ((X, Y), (rng.permutation(X), Y), (X, rng.permutation(Y)))
    ]
    assert found[0] == found[1] == found[2]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("d", [1, 2, 3, 10, 17])
@pytest.mark.parametrize("method", ["knn", "knn_weighted"])
def test_blocks_change_no_bit(in_blocks, d, method):
    X, Y = samples(9001, 8500, d)
    options = {"n_neighbors": (3, 8)} if method == "knn_weighted" else {}
    expected = quietly(kl.estimate_kl, X, Y, method=method, random_state=0, **options)
    found = quietly(kl.estimate_kl, Stored(X), Stored(Y), method=method, random_state=0, **options)
    assert_same(found, expected)
    again = quietly(kl.estimate_kl, Stored(X), Stored(Y), method=method, random_state=0, n_jobs=2, **options)
    assert_same(again, expected)


def plain(X, Y):
    return X, Y


def wild(X, Y):
    X[5, 0], X[7000, 1] = 1e6, -1e7
    return X, Y


def huge(X, Y):
    return X * 1e200, Y * 1e200


def tiny(X, Y):
    return X * [1e-90, 1e90, 1.0], Y * [1e-90, 1e90, 1.0]


def lattice(X, Y):
    return np.round(X), np.round(Y)


def some_repeat(X, Y):
    X[:50] = X[8900:8950]
    Y[20:40] = X[20:40]
    return X, Y


def constant(X, Y):
    X[:, 1] = Y[:, 1] = 2.0
    return X, Y


def constant_in_one(X, Y):
    X[:, 1] = Y[4321, 1]
    return X, Y


def elsewhere(X, Y):
    X[:, 1] = 99.0
    return X, Y


def offset(X, Y):
    step = np.array([1e12, 0.0, 0.0])
    return X + step, Y + step


def of_few_values(X, Y):
    X[:, 2], Y[:, 2] = X[:, 2] > 0, Y[:, 2] > 0
    return X, Y


CASES = (wild, huge, tiny, lattice, some_repeat, constant, constant_in_one, elsewhere, offset, of_few_values)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", ["whiten", "none"])
def test_what_is_told_is_the_same(in_blocks, case, scale):
    X, Y = case(*samples(9001, 8500, 3))
    expected = quietly(kl.estimate_kl, X, Y, method="knn", scale=scale, random_state=0)
    found = quietly(kl.estimate_kl, Stored(X), Stored(Y), method="knn", scale=scale, random_state=0)
    assert_same(found, expected)


def test_a_mask_chooses_rows(in_blocks):
    X, _ = samples(9001, 1, 2)
    sample = _blocks.read_rows(_blocks.InTurn(), [X[:4000], X[4000:]], "X", 3000, "raise", print)
    for mask in (np.arange(9001) % 3 == 1, np.arange(9001) > 8000, np.arange(9001) < 9000):
        chosen = sample.mapped(np.negative)[mask]
        assert len(chosen) == mask.sum()
        np.testing.assert_array_equal(np.concatenate(chosen.each(np.asarray)), -X[mask])
        places = np.array([0, 5, len(chosen) - 1])
        np.testing.assert_array_equal(chosen.take(places), -X[mask][places])


def test_against_a_naive_estimate(in_blocks):
    X, Y = samples(5000, 6000, 2)
    rho = cKDTree(X).query(X, k=6)[0][:, 5]
    nu = cKDTree(Y).query(X, k=5)[0][:, 4]
    expected = 2 * np.log(nu / rho).mean() + math.log(6000 / 4999)
    found = kl.estimate_kl(Stored(X), Stored(Y), method="knn", n_neighbors=5, scale="none")
    assert found.value == pytest.approx(expected, rel=1e-12)


def test_counts_within_equal_radii_where_distances_tie(in_blocks):
    X, Y = lattice(*samples(5000, 6000, 2))
    found = quietly(kl.estimate_kl, Stored(X), Stored(Y), method="knn", n_neighbors=5, scale="none")
    own, other = cKDTree(X), cKDTree(Y)
    radius = np.maximum(own.query(X, k=6)[0][:, 5], other.query(X, k=5)[0][:, 4]) * (1 + 1e-9)
    n_own = own.query_ball_point(X, radius, return_length=True) - 1
    n_other = other.query_ball_point(X, radius, return_length=True)
    expected = (digamma(n_own) - digamma(n_other)).mean() + math.log(6000 / 4999)
    assert found.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("where", ["X", "Y"])
def test_rows_with_nan(in_blocks, where):
    X, Y = samples(9001, 8500, 3)
    holed = X if where == "X" else Y
    holed[[3, 2999, 3000, 8000], [0, 1, 2, 0]] = np.nan
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0, nan_policy="omit")
    found = quietly(kl.estimate_kl, Stored(X), Stored(Y), method="knn", random_state=0, nan_policy="omit")
    assert found.n_dropped == 4
    assert_same(found, expected)
    with pytest.raises(InvalidParameterError) as plainly:
        kl.estimate_kl(X, Y, method="knn")
    with pytest.raises(InvalidParameterError) as by_blocks:
        kl.estimate_kl(Stored(X), Stored(Y), method="knn")
    assert str(by_blocks.value) == str(plainly.value)


def test_infinite_entries_are_told_with_their_row(in_blocks):
    X, Y = samples(9001, 8500, 3)
    Y[7777, 2] = np.inf
    with pytest.raises(InvalidParameterError, match=r"Y contains infinite.*1 in all, the first in row 7777, column 2"):
        kl.estimate_kl(Stored(X), Stored(Y), method="knn", nan_policy="omit")


def test_dependent_columns_cannot_be_made_sure_of(in_blocks):
    X, Y = samples(5000, 5000, 2)
    with pytest.raises(InvalidParameterError, match="linear in others"):
        kl.estimate_kl(Stored(X[:, [0, 1, 0]]), Stored(Y[:, [0, 1, 0]]), method="knn")


def test_progress_in_blocks(in_blocks):
    X, Y = samples(9001, 5000, 2)
    told = []
    kl.estimate_kl(Stored(X), Stored(Y), method="knn", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (18_002, 18_002)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_is_stored_is_read_in_slices():
    X, Y = samples(60_000, 50_000, 2)
    expected = quietly(kl.estimate_kl, X, Y, method="knn")
    stored = Stored(X)
    assert quietly(kl.estimate_kl, stored, Y, method="knn", memory_limit=MIB) == expected
    assert 0 < stored.longest < 10_000
    loaded = Stored(X)
    loaded.__array__ = None
    assert blocks.read_stored(loaded, Y, "raise", None, 1, 100 * MIB) is None  # little enough to be loaded


def test_mapped_files_and_hdf5_and_zarr(tmp_path):
    X, Y = samples(40_000, 30_000, 2)
    expected = quietly(kl.estimate_kl, X, Y, method="knn", random_state=0)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = [np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy")]
    assert_same(quietly(kl.estimate_kl, *mapped, method="knn", random_state=0, memory_limit=MIB), expected, error=False)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "both.h5", "w") as file:
        stored = [file.create_dataset(name, data=data) for name, data in (("x", X), ("y", Y))]
        found = quietly(kl.estimate_kl, *stored, method="knn", random_state=0, memory_limit=MIB)
        assert_same(found, expected, error=False)
    zarr = pytest.importorskip("zarr")
    stored = [zarr.array(data, chunks=(7000, 2)) for data in (X, Y)]
    found = quietly(kl.estimate_kl, *stored, method="knn", random_state=0, memory_limit=MIB)
    assert_same(found, expected, error=False)


@pytest.mark.parametrize(
    ("X", "error"),
    [
        (np.zeros((200_000, 2), dtype=complex), InvalidTypeError),
        (np.zeros((200_000, 2, 1)), ShapeMismatchError),
        (np.zeros((200_000, 3)), ShapeMismatchError),
    ],
)
def test_stored_arrays_that_are_no_samples(X, error):
    with pytest.raises(error):
        kl.estimate_kl(Stored(X), np.random.default_rng(0).normal(size=(200_000, 2)), method="knn", memory_limit=MIB)
