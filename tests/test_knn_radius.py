"""The estimate at equal radii: against a naive one, against truths, at ties, and its standard error."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors

KINDS = ["normal", "integer_lattice", "tenth_grid", "cauchy", "duplicated_rows", "single_precision"]


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    """What is said about odd data is asserted where it matters, by pytest.warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def at_equal_radii(X, Y, n_neighbors=None, **options):
    options.setdefault("random_state", 0)
    return kl.estimate_kl(X, Y, method="knn_radius", n_neighbors=n_neighbors, **options)


def pair(kind, n, m, d, seed=0):
    X, Y = cases.Pair(kind, n, m, d, seed).samples
    return np.asarray(X, dtype=float), np.asarray(Y, dtype=float)


# ---------------------------------------------------------------- against the naive estimate


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(60, 90, 2), (90, 40, 1), (50, 50, 5)])
@pytest.mark.parametrize("k", [1, 4, 39])
def test_equals_naive(kind, n, m, d, k):
    X, Y = pair(kind, n, m, d)
    estimate = at_equal_radii(X, Y, k, scale="none")
    assert estimate.value == pytest.approx(naive.radius_divergence(X, Y, k), abs=1e-10)
    assert estimate.n_neighbors == (k,)


@pytest.mark.parametrize("ties", [1, 5, 6, 7, 20])
def test_a_few_ties_are_counted_alone_and_many_decide_for_all(ties):
    X, Y = pair("normal", 60, 70, 2)
    X[:ties] = X[0] if ties > 1 else X[-1]
    assert at_equal_radii(X, Y, 1, scale="none").value == pytest.approx(naive.radius_divergence(X, Y, 1), abs=1e-10)


def test_against_a_known_q_it_is_knn():
    X, _ = pair("normal", 80, 1, 2)
    q = kl.MultivariateNormalDiag(mean=[0.5, 0.0], var=[2.0, 3.0])
    estimate, expected = at_equal_radii(X, q), kl.estimate_kl(X, q, method="knn", n_neighbors=10, random_state=0)
    assert estimate.value == expected.value
    assert estimate.standard_error == expected.standard_error


# ---------------------------------------------------------------- against truths


@pytest.mark.parametrize(("n", "m"), [(500, 4000), (4000, 500)])
def test_equal_distributions_give_zero_for_unequal_samples(n, m):
    values = [at_equal_radii(*pair("normal", n, m, 2, seed)).value for seed in range(30)]
    z, told = naive.monte_carlo(values, 0.0)
    assert abs(z) < 4, told


def test_normal_distributions_of_other_scale():
    """With twice the standard deviation in 3 features, where fixed numbers of neighbours are more biased."""
    truth = 3 * (math.log(2.0) + 1 / 8 - 1 / 2)
    samples = [(X, 2.0 * Y) for X, Y in (pair("normal", 3000, 3000, 3, seed) for seed in range(15))]
    bias = np.mean([at_equal_radii(X, Y, 5).value for X, Y in samples]) - truth
    of_knn = np.mean([kl.estimate_kl(X, Y, method="knn", n_neighbors=5).value for X, Y in samples]) - truth
    assert abs(bias) < 0.04
    assert abs(bias) < abs(of_knn)


# ---------------------------------------------------------------- arguments, small samples


@pytest.mark.parametrize(("n", "m", "k"), [(100, 100, 10), (8, 100, 7), (100, 3, 3), (2, 1, 1)])
def test_the_default_number_is_cut(n, m, k):
    estimate = at_equal_radii(*pair("normal", n, m, 1))
    assert estimate.n_neighbors == (k,)
    assert math.isfinite(estimate.value)


@pytest.mark.parametrize("value", [[3, 4], (1, 2, 3)])
def test_several_numbers_are_refused(value):
    with pytest.raises(errors.InvalidParameterError, match=r"n_neighbors must be one number for this method, got \["):
        at_equal_radii(*pair("normal", 20, 30, 1), value)


@pytest.mark.parametrize(("value", "error"), [(0, errors.InvalidParameterError), (2.0, errors.InvalidTypeError)])
def test_bad_numbers(value, error):
    with pytest.raises(error, match="n_neighbors"):
        at_equal_radii(*pair("normal", 20, 30, 1), value)
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=20 needs at least 21 rows of X"):
        at_equal_radii(*pair("normal", 20, 30, 1), 20)


@pytest.mark.parametrize("exponent", [-660, 660])
def test_magnitudes_do_not_matter(exponent):
    X, Y = pair("normal", 90, 60, 3)
    assert at_equal_radii(np.ldexp(X, exponent), np.ldexp(Y, exponent)).value == at_equal_radii(X, Y).value


def test_a_sample_against_itself():
    X, _ = pair("normal", 100, 1, 2)
    with pytest.warns(errors.TiesWarning, match="100 also in Y"):
        estimate = at_equal_radii(X, X)
    # about each row, itself and k others are in Y where k are in X: shared rows pull the estimate down
    assert estimate.value == pytest.approx(-(1 / 10 + 1 / 11) + math.log(100 / 99), rel=1e-12)


# ---------------------------------------------------------------- standard error, doubts, laws


@pytest.mark.parametrize("kind", ["normal", "tenth_grid"])
def test_standard_error_is_the_block_jackknife(kind):
    X, Y = pair(kind, 60, 90, 2)
    rng = np.random.default_rng(int(np.random.default_rng(3).integers(2**63)))
    labels = [rng.permutation(size) % 20 for size in (60, 90)]
    expected = naive.block_jackknife(lambda A, B: naive.radius_divergence(A, B, 4), (X, Y), labels, 20)
    estimate = at_equal_radii(X, Y, 4, scale="none", random_state=3)
    assert estimate.standard_error == pytest.approx(expected, rel=1e-9)


def test_doubts_are_those_of_knn():
    X, Y = pair("normal", 300, 300, 10)
    with pytest.warns(errors.UnreliableEstimateWarning, match="in 10 features the nearest 10 of 300"):
        assert at_equal_radii(X, Y).reliable is False
    with pytest.warns(errors.PoorOverlapWarning, match="rows of X lie outside of Y"):
        assert at_equal_radii(X[:, :2] + 6.0, Y[:, :2]).reliable is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert at_equal_radii(*pair("normal", 1000, 1000, 2)).reliable is None


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    cases.pairs(("normal", "tenth_grid", "duplicated_rows"), min_rows=3), st.integers(1, 2), st.sampled_from([2, -1])
)
def test_threads_and_the_naive_estimate(samples, k, n_jobs):
    X, Y = samples.samples
    estimate = at_equal_radii(X, Y, k, scale="none", n_jobs=n_jobs)
    if estimate.d == X.shape[1] and math.isfinite(estimate.value):  # no constant or dependent columns
        assert estimate.value == pytest.approx(naive.radius_divergence(X, Y, k), abs=1e-10)
    assert estimate == at_equal_radii(X, Y, k, scale="none")
