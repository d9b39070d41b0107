"""Fitted mixtures, and neighbours calibrated on models: against truths and naive computations, and odd samples."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.estimators import preparation

METHODS = ("mixture", "knn_calibrated")
every_method = pytest.mark.parametrize("method", METHODS)


def estimate(X, Y, method, **options):
    options.setdefault("random_state", 0)
    return kl.estimate_kl(X, Y, method=method, **options)


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        return estimate(*args, **options)


def normals(seed, n, m, d, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + scale * rng.standard_normal((m, d))


def two_bumps(seed, n, at):
    rng = np.random.default_rng(seed)
    return (rng.choice([-at, at], n) + rng.standard_normal(n))[:, None]


def log_density_of_bumps(x, at):
    return np.logaddexp(stats.norm.logpdf(x, -at), stats.norm.logpdf(x, at)) - math.log(2.0)


# ---------------------------------------------------------------- mixtures


@pytest.mark.parametrize(("n", "m", "d", "n_folds"), [(60, 90, 2, 5), (80, 50, 3, 2), (40, 40, 1, 7)])
def test_one_component_is_a_cross_fitted_normal(n, m, d, n_folds, monkeypatch):
    """Folds are drawn as documented by the generator; variances have the floor of the whitened columns."""
    monkeypatch.setattr(preparation, "distinct_rows", lambda rows, rng: rows)  # in the order given
    X, Y = normals(1, n, m, d, shift=0.5, scale=1.5)
    rng = np.random.default_rng(int(np.random.default_rng(0).integers(2**63)))
    fold_x, fold_y = rng.permutation(n) % n_folds, rng.permutation(m) % n_folds
    white = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(X, rowvar=False)))).T
    x, y = X @ white, Y @ white

    def log_density(rows, others):
        cov = np.atleast_2d(np.cov(others, rowvar=False, ddof=0)) + 1e-4 * np.eye(d)
        return stats.multivariate_normal(others.mean(axis=0), cov).logpdf(rows)

    terms = []
    for fold in range(n_folds):
        rows = x[fold_x == fold]
        terms.append(log_density(rows, x[fold_x != fold]) - log_density(rows, y[fold_y != fold]))
    found = estimate(X, Y, "mixture", max_components=1, n_folds=n_folds)
    assert found.value == pytest.approx(np.concatenate([np.atleast_1d(t) for t in terms]).mean(), rel=1e-8)
    assert found.diagnostics["components"] == (1, 1)


@pytest.mark.parametrize("covariance", ["auto", "full", "tied", "diag"])
def test_components_are_found_and_the_truth_too(covariance):
    """Two bumps 3 from the middle against two 4 from it: the divergence by quadrature."""
    grid = np.linspace(-12, 12, 20_001)
    p, q = log_density_of_bumps(grid, 3.0), log_density_of_bumps(grid, 4.0)
    truth = float(np.sum(np.exp(p) * (p - q)) * (grid[1] - grid[0]))
    found = estimate(two_bumps(0, 3000, 3.0), two_bumps(1, 3000, 4.0), "mixture", covariance=covariance)
    assert found.diagnostics["components"] == (2, 2)
    assert abs(found.value - truth) < 4 * found.standard_error
    assert found.standard_error < 0.1


def test_a_known_q():
    q = kl.Normal(mean=0.0, var=10.0)
    grid = np.linspace(-14, 14, 20_001)
    p = log_density_of_bumps(grid, 3.0)
    truth = float(np.sum(np.exp(p) * (p - stats.norm.logpdf(grid, 0, math.sqrt(10.0)))) * (grid[1] - grid[0]))
    for method in METHODS:
        found = estimate(two_bumps(0, 2000, 3.0), q, method)
        assert abs(found.value - truth) < 4 * found.standard_error
        assert found.n_q is None


def test_diagonal_components_belong_to_the_columns():
    """Independent columns of any units: their diagonal mixture is right, and rotates with nothing."""
    X, Y = normals(0, 3000, 3000, 3, shift=0.4)
    units = np.array([1e-6, 1.0, 1e5])
    found, expected = (estimate(A, B, "mixture", covariance="diag") for A, B in ((X * units, Y * units), (X, Y)))
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert abs(found.value - 1.5 * 0.16) < 4 * found.standard_error
    assert found.diagnostics["covariances"] == ("diag", "diag")


def test_rows_that_mixtures_need():
    X, Y = normals(0, 30, 30, 4)
    for n_folds, needed in ((5, 7), (2, 10), (12, 12)):
        assert math.isfinite(quiet(X[:needed], Y[:needed], "mixture", n_folds=n_folds).value)
        with pytest.raises(
            errors.NotEnoughSamplesError, match=rf"at least {needed} rows of X, got n_samples={needed - 1}"
        ):
            quiet(X[: needed - 1], Y, "mixture", n_folds=n_folds)
    with pytest.warns(errors.SmallSampleWarning, match="30 rows are few for densities of 4 features"):
        estimate(X, Y, "mixture")


# ---------------------------------------------------------------- calibration


def test_calibration_removes_the_bias():
    """N(0, I) against N(0.5, I) in 8 features from 400 rows: the truth is 1, and plain neighbours miss it."""
    samples = [normals(seed, 400, 400, 8, shift=0.5) for seed in range(12)]
    found = [estimate(X, Y, "knn_calibrated").value for X, Y in samples]
    plain = [quiet(X, Y, "knn").value for X, Y in samples]
    assert abs(np.mean(found) - 1.0) < 0.08
    assert abs(np.mean(plain) - 1.0) > 0.2


def test_the_value_is_the_raw_one_without_the_bias():
    X, Y = normals(0, 300, 200, 3, shift=0.3)
    found = estimate(X, Y, "knn_calibrated", reference="gaussian")
    of = found.diagnostics
    assert found.value == pytest.approx(of["knn_value"] - of["knn_bias_removed"], rel=1e-12)
    white = np.linalg.inv(np.linalg.cholesky(np.cov(X, rowvar=False))).T
    fixed = naive.knn_divergence(X @ white, Y @ white, (5, 10, 20))
    raw = 0.5 * (fixed + naive.radius_divergence(X @ white, Y @ white, 10))
    assert of["knn_value"] == pytest.approx(raw, rel=1e-9)
    assert of["model_value"] == pytest.approx(naive.gaussian_divergence(X, Y), rel=1e-8)


@pytest.mark.parametrize(("reference", "components"), [("gaussian", (1, 1)), ("mixture", (2, 2)), ("auto", (2, 2))])
def test_references(reference, components):
    X, Y = two_bumps(0, 800, 4.0), two_bumps(1, 800, 4.5)
    found = estimate(X, Y, "knn_calibrated", reference=reference)
    assert found.diagnostics["model_components"] == components
    normal = naive.gaussian_divergence(X, Y)
    assert (found.diagnostics["model_value"] == pytest.approx(normal, rel=1e-8)) == (reference == "gaussian")


def test_more_simulations_mean_less_noise():
    X, Y = normals(0, 200, 200, 2, shift=0.5)
    of_few, of_many = (
        np.std([estimate(X, Y, "knn_calibrated", n_simulations=b, random_state=s).value for s in range(20)])
        for b in (3, 48)
    )
    assert of_many < 0.5 * of_few


def test_standard_error_of_calibration_is_about_the_spread():
    estimates = [estimate(*normals(seed, 300, 300, 2, shift=0.7), "knn_calibrated") for seed in range(60)]
    spread = np.std([found.value for found in estimates], ddof=1)
    typical = math.sqrt(np.mean([found.standard_error**2 for found in estimates]))
    assert spread / 1.4 < typical < spread * 1.6


@pytest.mark.filterwarnings("ignore:.* rows are few for a model:kltools.errors.SmallSampleWarning")
@pytest.mark.parametrize(("d", "needed"), [(1, 20), (3, 30), (6, 60)])
def test_rows_that_calibration_needs(d, needed):
    X, Y = normals(0, needed, needed, d)
    assert math.isfinite(estimate(X, Y, "knn_calibrated").value)
    with pytest.raises(errors.NotEnoughSamplesError, match=rf"'knn' or 'gaussian' .* at least {needed} rows of Y, got"):
        estimate(X, Y[:-1], "knn_calibrated")


def test_few_rows_to_calibrate_with_are_told():
    with pytest.warns(errors.SmallSampleWarning, match="49 rows are few for a model of their densities"):
        estimate(*normals(0, 49, 60, 1), "knn_calibrated")
    estimate(*normals(0, 50, 60, 1), "knn_calibrated")  # warnings are errors


@pytest.mark.parametrize("name", ["X", "Y"])
def test_a_wild_row_is_told(name):
    """In X the row decides the value; in Y a component of its own takes it, which costs its share of the mass."""
    X, Y = normals(0, 1000, 1000, 2, shift=0.3)
    calm = estimate(X, Y, "mixture", random_state=0).value
    (X if name == "X" else Y)[5, 0] = 1e6
    found = quiet(X, Y, "mixture", random_state=0)
    if name == "X":
        assert found.reliable is False
        assert any("says next to nothing" in reason for reason in found.reasons)
        assert any("exceeds log" in text for text in found.warnings)
    else:
        assert found.value == pytest.approx(calm, abs=0.05)


def test_neighbors_must_be_left_where_rows_repeat():
    X, Y = normals(0, 100, 100, 1)
    X[:40] = X[0]
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=80 needs at least 81 rows of X"):
        quiet(X, Y, "knn_calibrated", n_neighbors=80)
    assert quiet(X, Y, "auto", n_neighbors=80).diagnostics["chosen_method"] == "knn"


def test_large_samples_are_modelled_in_part():
    X, Y = normals(0, 24_000, 21_000, 2, shift=0.5)
    found = estimate(X, Y, "knn_calibrated", n_simulations=3, n_jobs=2)
    assert abs(found.value - 0.25) < 4 * found.standard_error
    assert estimate(X, Y, "knn_calibrated", n_simulations=3) == found


# ---------------------------------------------------------------- odd samples


def test_clusters_that_whitening_merges_are_refused_by_calibration():
    X, Y = normals(0, 200, 200, 2)
    X[1:41] = 1e-170 * X[1:41]
    with pytest.raises(errors.InvalidParameterError, match=r"so close together .* use method='knn'"):
        quiet(X, Y, "knn_calibrated")
    assert math.isfinite(quiet(X, Y, "mixture").value)
    assert math.isfinite(quiet(X[:, :1], Y[:, :1], "knn_calibrated").value)


@pytest.mark.parametrize("d", [1, 2])
@every_method
def test_offsets_do_not_matter(method, d):
    X, Y = (np.round(2.0**20 * Z) / 2.0**20 for Z in normals(0, 300, 300, d, shift=0.5))
    expected = estimate(X, Y, method).value
    assert estimate(X + 2.0**20, Y + 2.0**20, method).value == pytest.approx(expected, rel=1e-5)


@every_method
def test_lattices_are_spread_and_told(method):
    X, Y = normals(0, 600, 600, 2, shift=0.5)
    with pytest.warns(errors.TiesWarning, match=r"columns \[0, 1\] lie on a lattice"):
        found = estimate(np.round(X, 1), np.round(Y, 1), method)
    assert abs(found.value - 0.25) < 4 * found.standard_error


@every_method
def test_repeated_rows_are_taken_once_and_told(method):
    X, Y = normals(0, 300, 300, 2, shift=0.5)
    with pytest.warns(errors.TiesWarning, match="200 rows repeat within their sample"):
        found = estimate(np.concatenate([X, X[:200]]), Y, method)
    assert abs(found.value - 0.25) < 4 * found.standard_error
    with pytest.raises(errors.NotEnoughSamplesError, match="rows of X that differ, got n_samples=3"):
        quiet(np.tile(X[:3], (100, 1)), Y, method)


@every_method
def test_a_sample_against_itself(method):
    X, _ = normals(0, 200, 1, 2)
    with pytest.warns(errors.TiesWarning, match="200 rows of X occur in Y"):
        assert abs(estimate(X, X, method).value) < 0.3


@every_method
def test_a_plane_against_all_features_is_infinitely_far_away(method):
    X, Y = normals(0, 200, 200, 3)
    X[:, 2] = X[:, 0] - X[:, 1]
    with pytest.warns(errors.InfiniteDivergenceWarning, match="columns of X are linearly dependent"):
        assert estimate(X, Y, method).value == math.inf


@every_method
def test_wild_rows_are_refused_not_infinitely_far(method):
    X, Y = normals(0, 200, 200, 2)
    X[0] = 1e30
    with pytest.raises(errors.InvalidParameterError, match="a few rows of X lie so far from the others"):
        quiet(X, Y, method)


@every_method
def test_outside_the_support_of_a_known_q(method):
    with pytest.warns(errors.InfiniteDivergenceWarning, match="q has no mass at 200 of 200 rows of X"):
        found = estimate(np.full(200, 1e200) * np.linspace(1, 2, 200), kl.Normal(mean=0, var=1e-3), method)
    assert found.value == math.inf


@every_method
@pytest.mark.parametrize("exponent", [-660, -20, 30, 660])
def test_magnitudes_do_not_matter(method, exponent):
    for d in (1, 3):
        X, Y = normals(0, 90, 120, d, shift=0.5)
        expected = estimate(X, Y, method).value
        assert estimate(np.ldexp(X, exponent), np.ldexp(Y, exponent), method).value == pytest.approx(expected, rel=1e-9)


@every_method
def test_beyond_sight_is_told(method):
    X, Y = normals(0, 100, 100, 1, shift=8.0)
    with pytest.warns(errors.PoorOverlapWarning, match="exceeds log"):
        assert estimate(X, Y, method).reliable is False


@every_method
@settings(derandomize=True, deadline=None, max_examples=20)
@given(cases.pairs(min_rows=50, max_rows=80, max_features=3))
def test_threads_seeds_and_never_nan(method, samples):
    X, Y = samples.samples
    try:
        found = quiet(X, Y, method, n_jobs=2)
    except errors.KLToolsError:
        return
    assert not math.isnan(found.value)
    again = quiet(X, Y, method)
    assert again == found
    assert math.isinf(found.value) or again.standard_error == found.standard_error
