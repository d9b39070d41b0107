"""Divergences of all pairs of many samples, against loops over pairs."""

import math
import warnings
from types import MappingProxyType

import cases
import naive
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors
from kltools.selection import matrix as module

pytestmark = pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")

SIZES = (40, 61, 30, 25)
FAR = 1e-9  # relative: where whitening is done otherwise


def samples(kind="normal", sizes=SIZES, d=3, seed=0):
    return [cases.sample(kind, n, d, seed + i) + 0.25 * i for i, n in enumerate(sizes)]


def loop(pair, some):
    return np.array([[0.0 if i == j else pair(X, Y) for j, Y in enumerate(some)] for i, X in enumerate(some)])


def estimates(some, **options):
    return loop(lambda X, Y: kl.estimate_kl(X, Y, method="knn", scale="none", **options).value, some)


def whitened(some):
    """All rows with the identity as covariance."""
    rows = np.concatenate(some)
    factor = np.linalg.cholesky(np.linalg.inv(np.cov(rows.T)))
    return [Z @ factor for Z in some]


# ---------------------------------------------------------------- entries


@pytest.mark.parametrize("kind", ["normal", "cauchy", "integer_lattice", "tenth_grid", "duplicated_rows"])
@pytest.mark.parametrize("ks", [(1,), (3, 5)])
def test_entries_are_those_of_a_naive_loop(kind, ks):
    some = samples(kind)
    expected = loop(lambda X, Y: naive.knn_divergence(X, Y, ks), some)
    np.testing.assert_allclose(
        kl.divergence_matrix(some, n_neighbors=ks, scale="none"), expected, rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("kind", sorted(cases.KINDS))
@pytest.mark.parametrize("d", [1, 3])
def test_entries_are_those_of_estimates_of_pairs(kind, d):
    """The loop shares the estimate of a pair with the matrix, but neither its searches nor what is done before."""
    some = [cases.sample(kind, n, d, i) for i, n in enumerate(SIZES)]
    expected, found = estimates(some), kl.divergence_matrix(some, scale="none")
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    assert not np.isnan(found).any()


def test_rows_are_scaled_together():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3)) * [1.0, 1e3, 1e-3]
    some = [Z @ mixing for Z in samples()]
    np.testing.assert_allclose(kl.divergence_matrix(some), estimates(whitened(some)), rtol=FAR, atol=FAR)
    spread = np.concatenate(some).std(axis=0, ddof=1)
    expected = estimates([Z / spread for Z in some])
    np.testing.assert_allclose(kl.divergence_matrix(some, scale="std"), expected, rtol=FAR, atol=FAR)


def test_samples_of_other_sizes_than_their_neighbours():
    """Below 21 rows the default numbers of neighbours are cut, for each pair by itself."""
    some = samples(sizes=(2, 3, 9, 21, 40))
    np.testing.assert_allclose(kl.divergence_matrix(some, scale="none"), estimates(some), rtol=1e-11, atol=1e-12)


def test_the_truth():
    rng = np.random.default_rng(0)
    means = np.array([0.0, 0.5, 1.5])
    found = kl.divergence_matrix([rng.normal(mean, 1.0, 4000) for mean in means], n_neighbors=10)
    np.testing.assert_allclose(found, 0.5 * (means[:, None] - means) ** 2, atol=0.1)


def test_in_trees_for_more_features(monkeypatch):
    """Which are compiled for as many features where there are many samples."""
    some = samples(d=10, sizes=(70, 64, 50))
    expected = loop(lambda X, Y: naive.knn_divergence(X, Y, (5, 10, 20)), some)
    monkeypatch.setattr(module, "_DISTANCES_WORTH_COMPILING", 0)
    np.testing.assert_allclose(kl.divergence_matrix(some, scale="none"), expected, rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------- degenerate columns


def test_a_column_that_is_constant_everywhere_is_dropped():
    some = samples(d=2)
    with_constant = [np.column_stack([Z, np.full(len(Z), 7.0)]) for Z in some]
    with pytest.warns(errors.TiesWarning, match=r"columns \[2\] have the same single value in all samples"):
        found = kl.divergence_matrix(with_constant)
    np.testing.assert_array_equal(found, kl.divergence_matrix(some))


def test_samples_that_are_all_the_same_point():
    for kind in ("kl", "js"):
        assert (kl.divergence_matrix([np.ones((5, 2)), np.ones((9, 2))], kind=kind) == 0.0).all()


def test_constant_columns_of_some_samples():
    """Mass at a point is infinitely far from a density; the same point is no distance at all."""
    rng = np.random.default_rng(0)
    free, other = rng.normal(size=(2, 40, 2))
    at_zero, again, at_one = (np.column_stack([rng.normal(size=40), np.full(40, value)]) for value in (0.0, 0.0, 1.0))
    some = [free, other, at_zero, again, at_one]
    found = kl.divergence_matrix(some, scale="none")
    np.testing.assert_allclose(found, estimates(some), rtol=1e-11, atol=1e-12)
    is_inf = np.isinf(found)
    assert is_inf[:2, 2:].all()
    assert is_inf[2:, :2].all()
    assert is_inf[4, 2:4].all()
    assert not is_inf[2, 3]
    bounded = kl.divergence_matrix(some, kind="js")
    assert (np.abs(bounded) <= math.log(2.0) + 0.1).all()
    assert np.isinf(kl.divergence_matrix(some, scale="none", symmetric=True)[0, 2])


def test_columns_bound_together_in_one_pair_only():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50))
    line, same_line, next_line = (np.column_stack([z, z + c]) for z, c in ((x, 0.0), (y, 0.0), (x, 1.0)))
    plane = rng.normal(size=(50, 2))
    for scale in ("none", "whiten"):
        found = kl.divergence_matrix([line, same_line, next_line, plane], scale=scale)
        assert found[0, 1] == pytest.approx(naive.knn_divergence(x[:, None], y[:, None], (5, 10, 20)), rel=1e-9)
        assert found[0, 2] == found[2, 0] == math.inf
    expected = estimates([line, same_line, next_line, plane])
    np.testing.assert_allclose(kl.divergence_matrix([line, same_line, next_line, plane], scale="none"), expected)


# ---------------------------------------------------------------- Jensen-Shannon


@pytest.mark.parametrize("kind", ["normal", "integer_lattice", "duplicated_rows"])
def test_jensen_shannon_of_a_naive_loop(kind):
    some = samples(kind)
    expected = loop(lambda X, Y: naive.jensen_shannon(X, Y, 3, (0.5, 0.5)), some)
    found = kl.divergence_matrix(some, kind="js", n_neighbors=3, scale="none")
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("sizes", [(40, 40, 40), (400, 39, 12)])
def test_jensen_shannon_of_pairs(sizes):
    """Of the largest sample rows are drawn, with the same seed in a pair as in the matrix."""
    some = samples(sizes=sizes)
    expected = loop(lambda X, Y: kl.estimate_jensen_shannon(X, Y, scale="none", random_state=3).value, some)
    upper = np.triu(np.ones((3, 3), dtype=bool))
    found = kl.divergence_matrix(some, kind="js", scale="none", random_state=3)
    np.testing.assert_allclose(found[upper], expected[upper], rtol=1e-11, atol=1e-12)


# ---------------------------------------------------------------- laws


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.sampled_from(["normal", "tenth_grid", "duplicated_rows"]), st.integers(0, 5))
def test_the_order_of_the_samples(order, kind, seed):
    some = samples(kind, seed=seed)
    expected = kl.divergence_matrix(some, scale="none")[np.ix_(order, order)]
    np.testing.assert_allclose(
        kl.divergence_matrix([some[i] for i in order], scale="none"), expected, rtol=1e-12, atol=1e-13
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(-900, 900), st.sampled_from(["kl", "js"]), st.sampled_from(["none", "std"]))
def test_a_power_of_two_changes_no_bit(exponent, kind, scale):
    some = samples()
    scaled = [np.ldexp(Z, exponent) for Z in some]
    found = kl.divergence_matrix(scaled, kind=kind, scale=scale)
    np.testing.assert_array_equal(found, kl.divergence_matrix(some, kind=kind, scale=scale))


@pytest.mark.parametrize("kind", ["kl", "js"])
@pytest.mark.parametrize("data", ["normal", "tenth_grid", "collinear"])
def test_threads_change_no_bit(kind, data):
    some = samples(data, sizes=(300, 200, 21, 12))
    expected = kl.divergence_matrix(some, kind=kind, random_state=0)  # which rows of the largest are drawn
    for n_jobs in (2, -1):
        found = kl.divergence_matrix(some, kind=kind, random_state=0, n_jobs=n_jobs)
        np.testing.assert_array_equal(found, expected)


def test_both_directions_and_units():
    some = samples()
    plain = kl.divergence_matrix(some)
    both = kl.divergence_matrix(some, symmetric=True)
    np.testing.assert_array_equal(both, (plain + plain.T) / 2.0)
    assert both[0, 1] == pytest.approx(0.5 * (plain[0, 1] + plain[1, 0]))
    np.testing.assert_allclose(kl.divergence_matrix(some, unit="bits"), plain / math.log(2.0), rtol=1e-15)
    assert plain.shape == (4, 4)
    assert plain.dtype == np.float64
    assert (np.diag(plain) == 0.0).all()


def test_a_single_sample():
    assert kl.divergence_matrix([np.arange(30.0)]).tolist() == [[0.0]]


# ---------------------------------------------------------------- what may be given


def test_containers():
    some = samples(sizes=(40, 40))
    expected = kl.divergence_matrix(some)
    names = ["a", "b", "c"]
    for given_as in (
        np.stack(some),
        tuple(some),
        [Z.tolist() for Z in some],
        [pd.DataFrame(Z, columns=names) for Z in some],
        [pl.DataFrame(Z, schema=names) for Z in some],
        [pd.DataFrame(some[0], columns=names), some[1]],
    ):
        np.testing.assert_array_equal(kl.divergence_matrix(given_as), expected)
    with_gaps = [np.vstack([Z, np.full(3, np.nan)]) for Z in some]
    np.testing.assert_array_equal(kl.divergence_matrix(with_gaps, nan_policy="omit"), expected)
    column = [Z[:, 0] for Z in some]
    np.testing.assert_array_equal(kl.divergence_matrix(column), kl.divergence_matrix([z[:, None] for z in column]))


FRAME = pd.DataFrame(samples()[0], columns=["a", "b", "c"])


@pytest.mark.parametrize(
    ("some", "error", "match"),
    [
        ([], errors.NotEnoughSamplesError, "samples is empty"),
        (np.ones((5, 3)), errors.ShapeMismatchError, r"one array of shape \(5, 3\)"),
        (FRAME, errors.InvalidTypeError, "samples is a DataFrame"),
        ({"a": [1.0, 2.0]}, errors.InvalidTypeError, "samples is a dict"),
        (MappingProxyType({"a": [1.0, 2.0]}), errors.InvalidTypeError, "samples is a mappingproxy"),
        (FRAME.groupby("a"), errors.InvalidTypeError, "samples is a DataFrameGroupBy; pass its groups"),
        ([samples()[0], MappingProxyType({"a": [1.0]})], errors.InvalidTypeError, r"samples\[1\] is a mappingproxy"),
        ((z for z in ()), errors.InvalidTypeError, "samples is a generator"),
        ("data.csv", errors.InvalidTypeError, "samples is a str"),
        ([1.0, 2.0], errors.ShapeMismatchError, r"samples\[0\]"),
        (
            [samples()[0], samples(d=2)[1]],
            errors.ShapeMismatchError,
            r"samples\[1\] has 2 features, samples\[0\] has 3",
        ),
        ([samples()[0], np.empty((0, 3))], errors.NotEnoughSamplesError, r"samples\[1\] has 0 sample"),
        ([samples()[0], np.ones((1, 3))], errors.NotEnoughSamplesError, r"samples\[1\], got n_samples=1"),
        ([samples()[0], np.full((9, 3), np.nan)], errors.InvalidParameterError, r"samples\[1\] contains NaN"),
        ([FRAME, FRAME[["b", "a", "c"]]], errors.ShapeMismatchError, r"samples\[0\] has .* samples\[1\] has"),
        ([FRAME, FRAME.assign(c="x")], errors.InvalidTypeError, r"column 'c' of samples\[1\]"),
        ([FRAME, FRAME[["a", "b"]]], errors.ShapeMismatchError, r"samples\[1\] has \['a', 'b'\]"),
        ([FRAME, pl.LazyFrame({"a": [1.0]})], errors.InvalidTypeError, r"samples\[1\] is a polars LazyFrame"),
    ],
)
def test_bad_samples(some, error, match):
    with pytest.raises(error, match=match):
        kl.divergence_matrix(some)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"kind": "tv"}, errors.InvalidParameterError, "kind must be one of 'kl', 'js'"),
        ({"symmetric": "yes"}, errors.InvalidTypeError, "symmetric must be True or False"),
        ({"scale": "sphere"}, errors.InvalidParameterError, "scale must be one of"),
        ({"n_neighbors": 30}, errors.NotEnoughSamplesError, r"n_neighbors=30 needs at least 31 rows of samples\[2\]"),
        ({"unit": "dits"}, errors.InvalidParameterError, "unit must be one of"),
        ({"n_jobs": 0}, errors.InvalidParameterError, "n_jobs=0"),
        ({"random_state": -1}, errors.InvalidParameterError, "random_state"),
        ({"nan_policy": "drop"}, errors.InvalidParameterError, "nan_policy"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        kl.divergence_matrix(samples(), **options)


# ---------------------------------------------------------------- what is told


def told(some, **options):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        kl.divergence_matrix(some, **options)
    assert {entry.filename for entry in seen} <= {__file__}
    return [(entry.category, str(entry.message)) for entry in seen]


def test_good_samples_are_told_nothing_of():
    assert told(samples(sizes=(300, 400, 500), d=1)) == []


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_pairs_are_told_of_once(kind):
    rng = np.random.default_rng(0)
    some = [rng.normal(size=(300, 1)), np.round(rng.normal(size=(300, 1)), 1), rng.normal(size=(300, 1)) + 100.0]
    found = told(some, kind=kind)
    ties = [text for category, text in found if category is errors.TiesWarning]
    apart = [text for category, text in found if category is errors.PoorOverlapWarning]
    assert len(ties) == len(apart) == 1
    assert ties[0].startswith("2 of 6 pairs have" if kind == "kl" else "2 of 3 pairs have")
    assert apart[0].startswith("4 of 6 pairs hardly" if kind == "kl" else "2 of 3 pairs hardly")
    assert "samples[0], samples[2]" in apart[0]


def test_infinite_few_and_far():
    rng = np.random.default_rng(0)
    categories = {category for category, _ in told([rng.normal(size=(12, 3)), rng.normal(size=(12, 3))])}
    assert categories >= {errors.SmallSampleWarning, errors.UnreliableEstimateWarning}
    found = told([rng.normal(size=(300, 1)), np.zeros((300, 1)), np.ones((300, 1))])
    assert [text for category, text in found if category is errors.InfiniteDivergenceWarning] == [
        "6 of 6 pairs have mass where the other sample has none: their divergence is inf; the first is samples[0], "
        "samples[1]."
    ]
