"""Kernel density estimates: against SciPy, naive sums and truths."""

import math
import warnings

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

import kltools as kl
from kltools import errors
from kltools.estimators.kde import Density

few = settings(derandomize=True, deadline=None, database=None, max_examples=20)


def normals(seed, n, m, d, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + scale * rng.standard_normal((m, d))


def kde(X, Y, **options):
    return kl.estimate_kl(X, Y, method="kde", **options)


def naive_log_densities(queries, points, covariance, leave_out):
    """One query after the other, by SciPy's density of a normal distribution."""
    values = []
    for i, query in enumerate(queries):
        kept = np.delete(points, i, axis=0) if leave_out else points
        terms = [stats.multivariate_normal(point, covariance).logpdf(query) for point in kept]
        values.append(logsumexp(terms) - math.log(len(kept)))
    return np.array(values)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("rule", ["silverman", "scott", 0.3])
@pytest.mark.parametrize("n", [60, 1025])
def test_density_equals_that_of_scipy(d, rule, n):
    rng = np.random.default_rng(d)
    points, queries = rng.standard_normal((n, d)) @ (np.eye(d) + 0.5) + 3.0, 4.0 * rng.standard_normal((70, d))
    expected = stats.gaussian_kde(points.T, rule).logpdf(queries.T)
    density = Density.fit(points, rule)
    found = density.log_density(density.coordinates(queries, 1), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("kind", ["normal", "tenth_grid", "duplicated_rows"])
def test_value_and_standard_error_equal_naive(kind, d):
    X, Y = cases.Pair(kind, 40, 30, d, 0).samples
    factors = [(len(Z) * (d + 2) / 4) ** (-1 / (d + 4)) for Z in (X, Y)]
    p, q = (f**2 * np.cov(Z, rowvar=False) for f, Z in zip(factors, (X, Y), strict=True))
    log_q = naive_log_densities(X, Y, q, False)
    log_ratio = naive_log_densities(X, X, p, True) - log_q
    shares = [np.mean(stats.multivariate_normal(y, q).pdf(X) / np.exp(log_q)) for y in Y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        estimate = kde(X, Y)
    assert estimate.value == pytest.approx(log_ratio.mean(), rel=1e-10)
    expected = math.sqrt(np.var(log_ratio, ddof=1) / len(X) + np.var(shares, ddof=1) / len(Y))
    assert estimate.standard_error == pytest.approx(expected, rel=1e-8)


@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")  # kernels are narrow
@pytest.mark.parametrize(("shift", "bandwidth", "most"), [(0.5, "silverman", 1.6), (0.5, 0.3, 2.0), (0.0, 0.3, 2.0)])
def test_standard_error_is_that_of_the_values(shift, bandwidth, most):
    """It takes bandwidths as given, and misses what they add, but no single row makes it wild."""
    estimates = [kde(*normals(seed, 200, 200, 2, shift), bandwidth=bandwidth) for seed in range(80)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    errors_found = np.array([estimate.standard_error for estimate in estimates])
    assert spread / most < np.median(errors_found) < 1.2 * spread
    assert errors_found.max() < 3.0 * spread


def test_standard_error_with_a_row_of_y():
    """Nearly all that q is at the rows of X comes from the one row of Y among them."""
    X, Y = normals(0, 200, 100, 1, shift=40.0)
    with pytest.warns(errors.PoorOverlapWarning):
        estimate = kde(X, np.concatenate([Y, [[0.0]]]), bandwidth=0.2)
    spread = float(np.std(101.0 * np.eye(101)[0], ddof=1)) / math.sqrt(101)
    assert estimate.standard_error >= 0.999 * spread


@pytest.mark.parametrize("d", [1, 3])
def test_changing_the_samples_afterwards_has_no_effect(d):
    X, Y = normals(0, 300, 300, d, shift=0.5)
    expected, estimate = kde(X, Y).standard_error, kde(X, Y)
    X *= -3.0
    Y += 5.0
    assert estimate.standard_error == expected


def test_few_rows_are_scaled_column_by_column():
    X, Y = normals(0, 25, 26, 3)
    estimate = kde(X, Y, bandwidth=0.5)
    p, q = (0.25 * np.diag(Z.var(axis=0, ddof=1)) for Z in (X, Y))
    expected = (naive_log_densities(X, X, p, True) - naive_log_densities(X, Y, q, False)).mean()
    assert estimate.value == pytest.approx(expected, rel=1e-10)
    assert estimate.diagnostics["scale_p"] == "std"


@pytest.mark.parametrize(("d", "shift", "scale"), [(1, 0.0, 1.0), (1, 0.7, 1.0), (2, 0.5, 1.3)])
def test_normal_distributions(d, shift, scale):
    truth = d * (math.log(scale) + (1 + shift**2) / (2 * scale**2) - 0.5)
    values = [kde(*normals(seed, 1500, 1000, d, shift, scale)).value for seed in range(10)]
    assert np.mean(values) == pytest.approx(truth, abs=0.05)


def test_known_q():
    X, _ = normals(1, 60, 1, 2)
    q = kl.MultivariateNormalDiag(mean=[0.5, 0.0], var=[1.0, 2.0])
    covariance = 60 ** (-1 / 3) * np.cov(X, rowvar=False)
    log_q = stats.multivariate_normal([0.5, 0.0], [1.0, 2.0]).logpdf(X)
    values = naive_log_densities(X, X, covariance, True) - log_q
    estimate = kde(X, q, bandwidth="scott")
    assert estimate.value == pytest.approx(values.mean(), rel=1e-10)
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(60), rel=1e-10)


def test_nothing_underflows():
    """exp(-0.5 * 1e4^2 / h^2) is 0 in float64, its logarithm is not."""
    X, Y = normals(2, 40, 40, 1, shift=1e4)
    with pytest.warns(errors.PoorOverlapWarning, match="log\\(m\\)"):
        estimate = kde(X, Y)
    width = Y.std(ddof=1) * (40 * 3 / 4) ** -0.2
    expected = np.mean(naive_log_densities(X, X, (X.std(ddof=1) * 30**-0.2) ** 2, True)) - np.mean(
        [logsumexp(-0.5 * ((x - Y) / width) ** 2) - math.log(40 * width * math.sqrt(2 * math.pi)) for x in X]
    )
    assert estimate.value == pytest.approx(expected, rel=1e-10)
    assert estimate.reliable is False


def test_beyond_float64():
    X, Y = normals(2, 50, 50, 1)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="the divergence is inf"):
        assert kde(X + 1e200, Y).value == math.inf


@few
@given(pair=cases.pairs(("normal", "cauchy", "tenth_grid"), max_features=3), exponent=st.integers(-900, 900))
def test_scale_and_threads(pair, exponent):
    X, Y = (np.asarray(Z, dtype=float) for Z in pair.samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        estimate = kde(X, Y)
        assert kde(X, Y, n_jobs=3) == estimate
        scaled = kde(np.ldexp(X, exponent), np.ldexp(Y, exponent)).value
    assert scaled == pytest.approx(estimate.value, rel=1e-9, abs=1e-9)


def test_threads_share_rows_and_agree():
    X, Y = normals(4, 6000, 5000, 2)
    assert kde(X, Y, n_jobs=2).value == kde(X, Y).value


def test_many_features_and_shared_rows_are_told():
    with pytest.warns(errors.UnreliableEstimateWarning, match="in 6 features"):
        assert kde(*normals(5, 300, 300, 6)).reliable is False
    X, _ = normals(5, 100, 1, 2)
    with pytest.warns(errors.TiesWarning, match="100 rows of X occur also in Y"):
        assert kde(X, X).value < 0.0


@pytest.mark.parametrize(("value", "kind"), [(0.0, ValueError), (-1, ValueError), (math.nan, ValueError)])
@pytest.mark.parametrize("use", [kde, lambda X, Y, **o: kl.KDEDivergence(**o).fit(Y)])
def test_bandwidth_out_of_range(value, kind, use):
    with pytest.raises(kind, match="bandwidth"):
        use(*normals(0, 20, 20, 1), bandwidth=value)


@pytest.mark.parametrize(
    ("value", "kind"), [("median", errors.InvalidParameterError), (True, TypeError), (None, TypeError)]
)
def test_bandwidth_of_another_kind(value, kind):
    with pytest.raises(kind, match="bandwidth must be"):
        kde(*normals(0, 20, 20, 1), bandwidth=value)


def test_a_constant_reference_has_no_density():
    estimator = kl.KDEDivergence().fit(np.array([[0.0, 1.0], [1.0, 1.0]]))
    with pytest.raises(errors.InvalidParameterError, match=r"columns \[1\] are constant"):
        estimator.score_samples(np.zeros((1, 2)))


def test_a_ratio_that_is_impossibly_low_is_told():
    """p/q is at most t with probability at most t under P; a lonely row of X amid rows of Y is no draw of P."""
    X, Y = normals(6, 100, 100, 1)
    X[0], Y[50:] = 30.0, Y[50:] + 30.0
    with pytest.warns(errors.UnreliableEstimateWarning, match="log p/q is estimated as low as -.* at a row of X"):
        assert kde(X, Y).reliable is False


@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_samples_of_different_magnitude(scale):
    """A change of the units of Y adds the logarithm of them for each feature, where X is a point beside Y."""
    X, Y = normals(0, 100, 120, 2)
    with pytest.warns(errors.PoorOverlapWarning):
        found, wide = kde(X, scale * Y), kde(X, 1e30 * Y)
    assert found.value - wide.value == pytest.approx(2 * (math.log(scale) - math.log(1e30)), abs=1e-9)
    assert found.standard_error == pytest.approx(wide.standard_error, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-160, 1e-300])
def test_samples_beside_a_point(scale):
    X, Y = normals(0, 100, 120, 2)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="less than any float64 at 100 of 100 rows"):
        assert kde(X, scale * Y).value == math.inf


def test_standard_errors_beyond_float64_are_unknown():
    X, Y = normals(0, 100, 120, 2)
    with pytest.warns(errors.PoorOverlapWarning):
        found = kde(X, 1e-140 * Y)
    assert 1e270 < found.value < math.inf
    assert math.isnan(found.standard_error)
