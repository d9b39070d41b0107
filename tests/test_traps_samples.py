"""Wrong answers that other libraries give from samples (peers.md section 4, estimators.md B1)."""

import math
import warnings

import naive
import numpy as np
import pytest

import kltools as kl
from kltools import errors
from kltools.estimators import METHODS


def knn(X, Y, n_neighbors=None, **options):
    return kl.estimate_kl(X, Y, method="knn", n_neighbors=n_neighbors, random_state=0, **options)


def told(X, Y, **options):
    """An estimate and the categories of its warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        estimate = kl.estimate_kl(X, Y, random_state=0, **options)
    return estimate, {entry.category for entry in seen}


def normals(seed, n, m, d=1, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) + shift


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "m"), [(500, 4000), (4000, 500)])
def test_unequal_sizes_of_equal_distributions_infomeasure(method, n, m):
    """infomeasure: +3.71 and -15.03."""
    estimate = kl.estimate_kl(*normals(0, n, m, 2), method=method, random_state=0)
    assert abs(estimate.value) < 0.1
    assert estimate.standard_error < 0.1


@pytest.mark.parametrize("m", [500, 1000, 2000, 4000])
def test_unequal_sizes_of_shifted_distributions_infomeasure(m):
    """infomeasure: -2.30, 0.55, 2.73, 4.36 for a truth of 0.5."""
    assert knn(*normals(1, 1000, m, shift=1.0)).value == pytest.approx(0.5, abs=0.15)


def test_one_neighbor_divergence():
    """divergence: IndexError."""
    estimate = knn(*normals(2, 1000, 1000, shift=1.0), n_neighbors=1)
    assert estimate.value == pytest.approx(0.5, abs=0.25)


def test_more_neighbors_than_rows_divergence():
    """divergence: nan, without a message."""
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=51"):
        knn(*normals(0, 50, 60), n_neighbors=51)
    with pytest.raises(errors.NotEnoughSamplesError, match=r"rows of .*Y"):
        knn(*normals(0, 60, 40), n_neighbors=50)


def test_clipping_is_left_to_the_caller_unite():
    """UNITE, dowhy: max(0, .) makes the mean of 300 repeats 0.065 where P = Q."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimates = [knn(*normals(seed, 200, 200), n_neighbors=1) for seed in range(300)]
    values = np.array([estimate.value for estimate in estimates])
    z, message = naive.monte_carlo(values, 0.0)
    assert abs(z) < 4, message
    assert 0.3 < (values < 0).mean() < 0.7
    assert np.mean([estimate.clipped() for estimate in estimates]) > 0.03


# ---------------------------------------------------------------- repeated rows


@pytest.mark.parametrize("n_neighbors", [1, 5, None])
def test_ten_zeros_added_to_p_divergence(n_neighbors):
    """divergence: 13.8, from a distance floored at 2e-308."""
    X, Y = normals(3, 500, 500)
    with pytest.warns(errors.TiesWarning, match="10 rows occur again in X"):
        estimate = knn(np.append(X, np.zeros(10)), Y, n_neighbors)
    assert abs(estimate.value) < 0.3
    assert math.isfinite(estimate.standard_error)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("n_neighbors", [1, 5, None])
def test_fifty_shared_rows_npeet(n_neighbors, d):
    """NPEET, nhartland, universal-divergence: -inf."""
    X, Y = normals(4, 500, 500, d)
    Y[:50] = X[:50]
    with pytest.warns(errors.TiesWarning, match="50 also in Y"):
        estimate = knn(X, Y, n_neighbors)
    assert abs(estimate.value) < 0.4
    assert estimate.diagnostics["n_shared_rows"] == 50


@pytest.mark.parametrize("n_neighbors", [1, 5, None])
def test_five_valued_data(n_neighbors):
    """NPEET and others: nan; divergence's entropy -703. Counts give the discrete divergence."""
    rng, p, q = np.random.default_rng(5), np.array([0.1, 0.2, 0.4, 0.2, 0.1]), np.full(5, 0.2)
    X, Y = rng.choice(5, 2000, p=p), rng.choice(5, 1500, p=q)
    with pytest.warns(errors.TiesWarning):
        estimate = knn(X, Y, n_neighbors)
    assert estimate.value == pytest.approx(float(p @ np.log(p / q)), abs=0.06)
    assert estimate.n_ties == 2000


@pytest.mark.parametrize("n_neighbors", [1, 5, None])
@pytest.mark.parametrize(("d", "shift", "truth"), [(1, 0, 0.0), (1, 1, 0.5), (2, 0, 0.0), (2, 1, 1.0)])
def test_data_on_a_grid_of_a_tenth(n_neighbors, d, shift, truth):
    """kldest, NPEET, universal-divergence: +-inf or +2 to +6 nats where half of the distances are 0."""
    X, Y = (np.round(Z, 1) for Z in normals(6, 1000, 1000, d, shift))
    with pytest.warns(errors.TiesWarning):
        estimate = knn(X, Y, n_neighbors)
    assert estimate.value == pytest.approx(truth, abs=0.35)


def test_all_rows_equal():
    """A floor below distances: 0.2, -127 or 2126. Two equal point masses are the same."""
    with pytest.warns(errors.TiesWarning):
        assert knn(np.zeros(50), np.zeros(60)).value == 0.0


def test_a_sample_against_itself():
    """dowhy: 0 for certain. The rows are told to be shared, the number is not worse than a tie's rule makes it."""
    X, _ = normals(7, 500, 1, 2)
    estimate, categories = told(X, X, method="knn")
    assert errors.TiesWarning in categories
    assert any("500 also in Y" in text for text in estimate.warnings)
    assert abs(estimate.value) < 0.3


@pytest.mark.parametrize(
    ("method", "message"), [("knn", "100 also in Y"), ("gaussian", "100 rows of X occur also in Y")]
)
def test_windows_that_overlap_are_told(method, message):
    X, _ = normals(7, 1100, 1, 2)
    estimate, categories = told(X[:600], X[500:], method=method)
    assert categories == {errors.TiesWarning}
    assert any(message in text for text in estimate.warnings)


def test_every_second_row_is_no_shared_data():
    X, _ = normals(7, 1000, 1, 2)
    for method in METHODS:
        _, categories = told(X[::2], X[1::2], method=method)
        assert not categories


# ---------------------------------------------------------------- little overlap


@pytest.mark.parametrize("n_neighbors", [1, 5, None])
@pytest.mark.parametrize("shift", [6.0, 10.0, 50.0])
def test_distributions_far_apart_divergence(n_neighbors, shift):
    """divergence: -0.61 for a truth of 18. No neighbour can see it, but it can be told."""
    X, Y = normals(8, 1000, 1000, shift=shift)
    estimate, categories = told(X, Y, method="knn", n_neighbors=n_neighbors)
    assert estimate.value > 4.0
    assert errors.PoorOverlapWarning in categories
    assert estimate.reliable is False


def test_wide_against_narrow_divergence():
    """divergence: -1.74 for a truth of 47.2."""
    X, Y = normals(9, 1000, 1000)
    estimate, categories = told(3.0 * X, 0.3 * Y, method="knn")
    assert estimate.value > 1.0
    assert errors.PoorOverlapWarning in categories
    assert estimate.reliable is False


@pytest.mark.parametrize(
    ("factor_p", "factor_q", "truth"),
    [
        pytest.param(2 * np.eye(2), np.eye(2), 1.61, id="twice as wide"),
        pytest.param(np.eye(2), np.linalg.cholesky([[1.0, 0.9], [0.9, 1.0]]), 3.43, id="strongly correlated"),
    ],
)
def test_a_reference_thinner_than_p_is_told(factor_p, factor_q, truth):
    """Any k-NN estimate is far too low: few rows of Y lie where P has mass. The interval does not know."""
    X, Y = normals(15, 1000, 1000, 2)
    estimate, categories = told(X @ factor_p.T, Y @ factor_q.T, method="knn")
    if abs(estimate.value - truth) > 0.3 * truth:
        assert errors.PoorOverlapWarning in categories
        assert estimate.reliable is False


def test_support_of_p_beyond_that_of_q_divergence():
    """divergence: -0.42 for U(0, 2) against U(0, 1), where the truth is inf: half of X lies beyond all of Y."""
    rng = np.random.default_rng(10)
    estimate, categories = told(rng.uniform(0, 2, 1000), rng.uniform(0, 1, 1000), method="knn")
    assert estimate.value > 1.0
    assert categories & {errors.PoorOverlapWarning, errors.InfiniteDivergenceWarning}
    assert estimate.reliable is False or estimate.value == math.inf


def test_support_of_p_within_that_of_q():
    rng = np.random.default_rng(10)
    estimate, categories = told(rng.uniform(0, 1, 1000), rng.uniform(0, 2, 1000), method="knn")
    assert estimate.value == pytest.approx(math.log(2.0), abs=0.1)
    assert not categories


@pytest.mark.parametrize("d", [10, 20])
def test_many_features_are_told(d):
    """All fixed-k peers: 0.9 for 1.25 (d = 10) and 1.5 for 2.5 (d = 20), with no warning."""
    estimate, categories = told(*normals(11, 1000, 1000, d, 0.5), method="knn")
    assert errors.UnreliableEstimateWarning in categories
    assert estimate.reliable is False


# ---------------------------------------------------------------- scales and sizes of problems


@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")
def test_scales_of_columns():
    """k-NN peers: RMSE of 0.6 to 1.1 at a truth of 1.59 for scales of 1e-3 to 1e3."""
    rng, scales = np.random.default_rng(12), np.array([1e-3, 1e-1, 1.0, 1e1, 1e3])
    covariance = 0.5 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    truth = naive.gaussian_kl(np.zeros(5), covariance, np.full(5, 0.5), covariance)
    X, Y = rng.standard_normal((2, 1000, 5)) @ np.linalg.cholesky(covariance).T
    Y += 0.5
    for method in METHODS:
        pairs = ((X, Y), (X * scales, Y * scales))
        raw, scaled = (kl.estimate_kl(*pair, method=method, random_state=0).value for pair in pairs)
        assert scaled == pytest.approx(raw, abs=1e-8)
        if method in ("auto", "gaussian", "knn", "knn_weighted"):  # the others are weaker, or estimate no KL
            assert scaled == pytest.approx(truth, abs=0.15)


def test_plug_in_bias_of_twenty_features():
    """Everybody's plug-in: +2.08 at n = 100, m = 200 in 20 features."""
    samples = [normals(seed, 100, 200, 20, 0.5) for seed in range(200)]
    z, message = naive.monte_carlo([kl.estimate_kl(*pair, method="gaussian").value for pair in samples], 2.5)
    assert abs(z) < 4, message
    assert np.mean([naive.gaussian_plug_in(*pair) for pair in samples[:20]]) > 4.0


def test_one_feature_too_thin_for_a_resampled_error():
    """A bootstrap repeats rows, and so ties them: kldest and NPEET give -inf. A jackknife leaves rows out."""
    estimate = knn(*normals(13, 200, 200), n_neighbors=1)
    assert 0.0 < estimate.standard_error < 0.4


# ---------------------------------------------------------------- what cannot be meant


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_divergence(method, bad):
    """divergence: -0.0016, no message."""
    X, Y = normals(14, 50, 60, 3)
    X[7, 2] = bad
    with pytest.raises(errors.InvalidParameterError, match="1 in all, the first in row 7, column 2"):
        kl.estimate_kl(X, Y, method=method)
    with pytest.raises(errors.InvalidParameterError, match="Y contains"):
        kl.estimate_kl(Y, X, method=method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")
def test_missing_rows_can_be_left_out(method):
    X, Y = normals(14, 200, 201, 3)
    X[7, 2] = Y[3, 0] = np.nan
    estimate = kl.estimate_kl(X, Y, method=method, nan_policy="omit", random_state=0)
    assert (estimate.n_p, estimate.n_q, estimate.n_dropped) == (199, 200, 2)
    expected = kl.estimate_kl(np.delete(X, 7, axis=0), np.delete(Y, 3, axis=0), method=method, random_state=0)
    assert estimate.value == expected.value
