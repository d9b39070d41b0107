"""Entropy and cross-entropy from samples: against naive ones, against truths, and where they are infinite."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from scipy.special import digamma

import kltools as kl
from kltools import errors

KINDS = ["normal", "integer_lattice", "cauchy", "offset_1e7", "duplicated_rows", "single_precision"]


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def pair(kind, n, m, d, seed=0):
    return tuple(np.asarray(sample, dtype=float) for sample in cases.Pair(kind, n, m, d, seed).samples)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(60, 40, 2), (50, 90, 1), (40, 40, 4)])
@pytest.mark.parametrize("ks", [(1,), (1, 4, 9), (39,)])
def test_equal_naive(kind, n, m, d, ks):
    X, Y = pair(kind, n, m, d)
    entropy = kl.estimate_entropy(X, n_neighbors=ks, scale="none")
    assert entropy.value == pytest.approx(naive.knn_entropy(X, ks), abs=1e-10)
    cross = kl.estimate_cross_entropy(X, Y, n_neighbors=ks, scale="none")
    assert cross.value == pytest.approx(naive.knn_cross_entropy(X, Y, ks), abs=1e-10)
    assert entropy.n_neighbors == cross.n_neighbors == ks


def test_scaling_is_undone():
    """Whitened data are estimated, and the map's determinant is put back: here by eigenvectors."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3)) @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 100.0]])
    eigenvalues, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
    white = vectors / np.sqrt(eigenvalues)
    log_det = 0.5 * np.log(eigenvalues).sum()
    Y = 1.0 + 2.0 * X[::-1][:200]
    entropy = kl.estimate_entropy(X)
    assert entropy.value == pytest.approx(naive.knn_entropy(X @ white, (5, 10, 20)) + log_det, abs=1e-9)
    cross = kl.estimate_cross_entropy(Y, X)
    assert cross.value == pytest.approx(naive.knn_cross_entropy(Y @ white, X @ white, (5, 10, 20)) + log_det, abs=1e-9)
    assert entropy.diagnostics["scale"] == cross.diagnostics["scale"] == "whiten"
    assert list(entropy.diagnostics["value_by_n_neighbors"]) == [5, 10, 20]


@pytest.mark.parametrize(("d", "slack", "cross_slack"), [(1, 0.0, 0.0), (2, 0.01, 0.02), (5, 0.08, 0.2)])
def test_normal_distributions(d, slack, cross_slack):
    """Unbiased but for the smoothing by 5 of 1500 neighbours, which is stronger where q is thin."""
    rng = np.random.default_rng(d)
    factor = rng.standard_normal((d, d))
    cov = factor @ factor.T
    truth = stats.multivariate_normal(np.zeros(d), cov).entropy()
    shift = 0.5
    values, crosses = [], []
    for _ in range(12):
        X, Y = rng.standard_normal((2, 1500, d)) @ factor.T
        values.append(kl.estimate_entropy(X, n_neighbors=5).value)
        crosses.append(kl.estimate_cross_entropy(X + shift * factor.sum(axis=1), Y, n_neighbors=5).value)
    z, told = naive.monte_carlo(values, truth)
    assert abs(np.mean(values) - truth) < slack or abs(z) < 4, told
    truth += 0.5 * d * shift**2
    z, told = naive.monte_carlo(crosses, truth)
    assert abs(np.mean(crosses) - truth) < cross_slack or abs(z) < 4, told


def test_cross_entropy_minus_entropy_is_the_divergence():
    """But for psi(n) in the place of log(n - 1) in the entropy."""
    X, Y = pair("normal", 200, 300, 2)
    cross, entropy = kl.estimate_cross_entropy(X, Y, scale="none").value, kl.estimate_entropy(X, scale="none").value
    divergence = kl.estimate_kl(X, Y, method="knn", scale="none").value
    assert cross - entropy + digamma(200) - math.log(199) == pytest.approx(divergence, abs=1e-12)


def test_cross_entropy_with_a_known_density_is_a_mean():
    X, _ = pair("normal", 100, 1, 2)
    log_q = stats.multivariate_normal([1, 0], [[2, 0], [0, 3]]).logpdf(X)
    estimate = kl.estimate_cross_entropy(X, kl.MultivariateNormalDiag(mean=[1, 0], var=[2, 3]))
    assert estimate.value == pytest.approx(-log_q.mean(), rel=1e-13)
    assert estimate.standard_error == pytest.approx(stats.sem(log_q), rel=1e-12)
    assert (estimate.n_q, estimate.n_neighbors, estimate.method) == (None, None, "known density")
    low, high = estimate.confidence_interval(0.9)
    expected = stats.t.interval(0.9, 99, loc=-log_q.mean(), scale=stats.sem(log_q))
    assert (low, high) == pytest.approx(expected, rel=1e-9)


def test_standard_errors_leave_out_blocks():
    X, Y = pair("normal", 60, 50, 2)
    seed = int(np.random.default_rng(5).integers(2**63))
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(60) % 20, rng.permutation(50) % 20]
    expected = naive.block_jackknife(lambda A: naive.knn_entropy(A, (2, 3)), (X,), labels[:1], 20)
    estimate = kl.estimate_entropy(X, n_neighbors=(2, 3), scale="none", random_state=5)
    assert estimate.standard_error == pytest.approx(expected, rel=1e-9)
    expected = naive.block_jackknife(lambda A, B: naive.knn_cross_entropy(A, B, (2, 3)), (X, Y), labels, 20)
    estimate = kl.estimate_cross_entropy(X, Y, n_neighbors=(2, 3), scale="none", random_state=5)
    assert estimate.standard_error == pytest.approx(expected, rel=1e-9)


def test_standard_error_is_that_of_the_spread():
    samples = np.random.default_rng(3).standard_normal((100, 400, 2))
    estimates = [kl.estimate_entropy(X, random_state=0) for X in samples]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    typical = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates[:20]]))
    assert spread / 1.4 < typical < spread * 1.6


# ---------------------------------------------------------------- where there is no density


@pytest.mark.parametrize(
    "X",
    [
        np.c_[np.arange(9.0), np.full(9, 0.1)],
        np.c_[np.arange(9.0), 3.0 - 2.0 * np.arange(9.0)],
        np.zeros((2, 3)),
        np.full(50, 1e200),
    ],
)
def test_entropy_in_fewer_dimensions_is_minus_infinity(X):
    with pytest.warns(errors.InfiniteDivergenceWarning, match="no density"):
        estimate = kl.estimate_entropy(X)
    assert estimate.value == -math.inf
    assert estimate.support_mismatch is False
    assert math.isnan(estimate.standard_error)
    low, high = estimate.confidence_interval()
    assert low == -math.inf
    assert math.isnan(high)


def test_an_outlier_makes_no_columns_dependent():
    X, _ = pair("normal", 100, 1, 2)
    X[7] = 1e12
    assert math.isfinite(kl.estimate_entropy(X).value)


def test_cross_entropy_against_a_plane():
    x, y = pair("normal", 40, 50, 1)
    plane = np.hstack([y, 1 + 2 * y])
    with pytest.warns(errors.InfiniteDivergenceWarning):
        assert kl.estimate_cross_entropy(np.hstack([x, 1 + 2 * x]), plane).value == -math.inf
    for outside in (np.hstack([x, 2 + 2 * x]), np.hstack([x, x[::-1]])):
        estimate = kl.estimate_cross_entropy(outside, plane)
        assert estimate.value == math.inf
        assert estimate.support_mismatch
    constant = np.hstack([y, np.ones_like(y)])
    assert kl.estimate_cross_entropy(np.hstack([x, np.ones_like(x)]), constant).value == -math.inf
    assert kl.estimate_cross_entropy(np.hstack([x, x]), constant).value == math.inf
    assert math.isfinite(kl.estimate_cross_entropy(np.hstack([x, np.ones_like(x)]), np.hstack([y, y**3])).value)


def test_repeated_rows_are_told():
    X, Y = pair("duplicated_rows", 60, 60, 2)
    with pytest.warns(errors.TiesWarning, match="rows have a zero or repeated distance"):
        estimate = kl.estimate_entropy(X, n_neighbors=3)
    assert estimate.n_ties > 0
    assert math.isfinite(estimate.value)
    assert kl.estimate_cross_entropy(X, Y, n_neighbors=3).n_ties > 0


# ---------------------------------------------------------------- rounded data, copied rows, poor overlap


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("digits", [0, 1])
def test_rounded_normals(d, digits):
    """The density of the cells is that of X + U, whose entropy is log of the step plus that of the counts."""
    step, std = 10.0**-digits, 4.0
    edges = np.arange(-40.5, 41.0) * step if digits == 0 else np.arange(-400.5, 401.0) * step
    masses = np.diff(stats.norm.cdf(edges, scale=std))
    truth = d * (stats.entropy(masses) + math.log(step))
    rng = np.random.default_rng(d)
    X, Y = (np.round(std * rng.standard_normal((2000, d)), digits) for _ in range(2))
    with pytest.warns(errors.TiesWarning, match="lie on a lattice"):
        entropy = kl.estimate_entropy(X, n_neighbors=5, random_state=0)
    assert entropy.value == pytest.approx(truth, abs=0.08)
    cross = kl.estimate_cross_entropy(X, Y, n_neighbors=5, random_state=0)
    assert cross.value == pytest.approx(truth, abs=0.08)
    assert entropy.reliable is cross.reliable is None
    assert kl.estimate_entropy(X[::-1, ::-1], n_neighbors=5, random_state=0).value == pytest.approx(entropy.value)


def test_discrete_data_are_not_believed():
    X, Y = np.random.default_rng(0).integers(0, 4, (2, 500))
    for found in (kl.estimate_entropy(X), kl.estimate_cross_entropy(X, Y)):
        assert found.reliable is False
        assert "discrete" in found.reasons[0]


def test_copied_rows_and_poor_overlap_are_told():
    X, Y = pair("normal", 300, 300, 2)
    quiet = kl.estimate_cross_entropy(X, Y)
    assert quiet.reliable is None
    assert not quiet.warnings
    with pytest.warns(errors.TiesWarning, match="40 rows of X occur also in Y"):
        kl.estimate_cross_entropy(X, np.vstack([X[:40], Y]))
    with pytest.warns(errors.PoorOverlapWarning, match="100% of the rows of X lie outside of Y"):
        assert kl.estimate_cross_entropy(X + 30, Y).reliable is False


@settings(max_examples=60, deadline=None)
@given(cases.pairs())
def test_never_nan(pair):
    X, Y = pair.samples
    assert not math.isnan(kl.estimate_entropy(X).value)
    assert not math.isnan(kl.estimate_cross_entropy(X, Y).value)


@pytest.mark.parametrize("exponent", [660, -660])
def test_any_scale(exponent):
    X, Y = pair("normal", 50, 60, 3)
    shift = 3 * exponent * math.log(2)
    for function, samples in ((kl.estimate_entropy, (X,)), (kl.estimate_cross_entropy, (X, Y))):
        expected = function(*samples).value + shift
        assert function(*(np.ldexp(s, exponent) for s in samples)).value == pytest.approx(expected, rel=1e-12)
