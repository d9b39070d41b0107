"""Normal mixtures and normal-score maps, against NumPy, SciPy and scikit-learn."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import PchipInterpolator
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture

from kltools.models import em, mixture
from kltools.models.mixture import Mixture, Rows, choose, count_parameters, cross_fitted, fit, single
from kltools.models.normal_scores import fit_normal_scores

COVARIANCES = ("full", "tied", "diag")


def clusters(n, d, n_clusters, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    centers = spread * rng.standard_normal((n_clusters, d))
    shapes = rng.standard_normal((n_clusters, d, d)) / 2.0
    label = rng.integers(0, n_clusters, n)
    return centers[label] + np.einsum("nij,nj->ni", shapes[label], rng.standard_normal((n, d)))


def start(X, n_components, covariance):
    """Some components, the same for everybody."""
    weights = np.arange(1.0, n_components + 1.0)
    log_weights = np.log(weights / weights.sum())
    means = X[:: len(X) // n_components][:n_components].copy()
    factors = np.tile(np.diag(X.std(axis=0)), (n_components, 1, 1))
    return Mixture(covariance, log_weights, means, factors)


def naive_log_joint(model, X):
    return np.stack(
        [
            w + stats.multivariate_normal(mean, factor @ factor.T).logpdf(X).reshape(-1)
            for w, mean, factor in zip(model.log_weights, model.means, model.factors, strict=True)
        ],
        axis=1,
    )


def naive_step(model, X, weights, ridge):
    """One iteration by the textbook (Bishop 2006, eq. 9.23-9.27)."""
    joint = naive_log_joint(model, X)
    share = weights[:, None] * np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    counts = share.sum(axis=0)
    means = share.T @ X / counts[:, None]
    covariances = []
    for c, count in enumerate(counts):
        deviation = X - means[c]
        covariances.append((share[:, c, None] * deviation).T @ deviation / count)
    if model.covariance == "tied":
        pooled = sum(n * S for n, S in zip(counts, covariances, strict=True)) / counts.sum()
        covariances = [pooled] * len(counts)
    if model.covariance == "diag":
        covariances = [np.diag(np.diag(S)) for S in covariances]
    factors = np.stack([np.linalg.cholesky(S + ridge * np.eye(X.shape[1])) for S in covariances])
    return Mixture(model.covariance, np.log(counts / weights.sum()), means, factors)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize(("n", "d", "n_components"), [(8, 1, 2), (103, 1, 3), (200, 2, 2), (77, 4, 3), (301, 11, 2)])
def test_iterations_are_those_of_the_textbook(n, d, n_components, covariance, monkeypatch):
    monkeypatch.setattr(mixture, "_TOLERANCE", -math.inf)  # as many as asked for
    X = clusters(n, d, n_components)
    expected = model = start(X, n_components, covariance)
    rows, weights = Rows(X), np.random.default_rng(1).uniform(0.5, 2.0, n)
    ridge = 1e-2
    for _ in range(3):
        expected = naive_step(expected, X, weights, ridge)
    run = rows.run([model], rows.weights(weights)[None], 3, ridge)
    (found,) = run.mixtures
    np.testing.assert_allclose(found.log_weights, expected.log_weights, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.means, expected.means, rtol=1e-8, atol=1e-9)
    covariances = [m.factors @ np.swapaxes(m.factors, 1, 2) for m in (found, expected)]
    np.testing.assert_allclose(*covariances, rtol=1e-8, atol=1e-9)
    density = logsumexp(naive_log_joint(expected, X), axis=1)
    np.testing.assert_allclose(run.densities[0], density, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(run.likelihoods[0], np.average(density, weights=weights), rtol=1e-8)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_ends_where_scikit_learn_ends(covariance):
    X = clusters(500, 3, 3)
    model, likelihood = fit(Rows(X), 3, covariance, np.random.default_rng(0), 1e-6)
    precisions = np.linalg.inv(model.factors @ np.swapaxes(model.factors, 1, 2))
    shape = {"full": precisions, "tied": precisions[0], "diag": np.diagonal(precisions, axis1=1, axis2=2)}
    theirs = SklearnMixture(
        3,
        covariance_type=covariance,
        weights_init=np.exp(model.log_weights),
        means_init=model.means,
        precisions_init=shape[covariance],
        tol=1e-9,
        max_iter=300,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X)
    assert likelihood == pytest.approx(theirs.score(X), abs=0.01)
    np.testing.assert_allclose(model.means, theirs.means_, atol=0.15)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_an_offset_costs_few_digits(offset):
    X = clusters(200, 3, 2)
    near, far = (single(X + shift).log_density(X + shift) for shift in (0.0, offset))
    np.testing.assert_allclose(far, near, atol=1e-6)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_a_weight_of_zero_is_a_row_left_out(covariance, monkeypatch):
    monkeypatch.setattr(mixture, "_TOLERANCE", -math.inf)
    X = clusters(120, 3, 2)
    kept = np.arange(120) % 3 > 0
    model, rows, part = start(X, 2, covariance), Rows(X), Rows(X[kept])
    (left,) = rows.run([model], rows.weights(kept)[None], 5, 1e-3).mixtures
    (alone,) = part.run([model], part.weights()[None], 5, 1e-3).mixtures
    np.testing.assert_allclose(left.means, alone.means, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(left.factors, alone.factors, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_do_not_matter(n_jobs, monkeypatch):
    monkeypatch.setattr("kltools._jit.available_cores", lambda: 4)
    X = clusters(300, 3, 3)
    one, several = (choose(Rows(X, n), np.random.default_rng(0), 1e-4, COVARIANCES, 6)[0] for n in (1, n_jobs))
    for name in ("log_weights", "means", "factors"):
        np.testing.assert_array_equal(getattr(one, name), getattr(several, name))


@pytest.mark.parametrize("n_clusters", [1, 2, 4])
@pytest.mark.parametrize("d", [1, 2, 6])
def test_the_criterion_finds_separate_clusters(n_clusters, d):
    rng = np.random.default_rng(3)
    centers = 12.0 * np.arange(n_clusters)[:, None] * np.ones(d)
    X = centers[rng.integers(0, n_clusters, 800)] + rng.standard_normal((800, d))
    model, score = choose(Rows(X), rng, 1e-4, ("full", "tied"), 12)
    assert model.n_components == n_clusters
    penalty = 0.5 * model.n_parameters * math.log(800) / 800
    assert score == pytest.approx(-model.log_density(X).mean() + penalty, abs=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize(("n_components", "d"), [(1, 1), (3, 4)])
def test_parameters_are_counted_as_scikit_learn_does(n_components, d, covariance):
    theirs = SklearnMixture(n_components, covariance_type=covariance).fit(clusters(60, d, 2))
    assert count_parameters(n_components, d, covariance) == theirs._n_parameters()


@pytest.mark.parametrize("n_components", [1, 3])
def test_cross_fitted_densities_do_not_know_their_row(n_components):
    X = clusters(240, 2, 3)
    folds = np.random.default_rng(0).permutation(240) % 4
    whole, _ = (
        fit(Rows(X), n_components, "full", np.random.default_rng(0), 1e-4) if n_components > 1 else (single(X), 0)
    )
    before = cross_fitted(Rows(X), whole, folds, 1e-4)[0]
    moved = X.copy()
    moved[folds == 1] += 0.37  # without the fold, its rows cannot matter
    after = cross_fitted(Rows(moved), whole, folds, 1e-4)[0]
    np.testing.assert_allclose(before[1].means, after[1].means, atol=1e-12)
    assert np.abs(before[0].means - after[0].means).max() > 1e-3


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_draws_have_the_moments(covariance):
    model = start(clusters(50, 2, 3), 3, covariance)
    draws = model.sample(np.random.default_rng(0), 200_000)
    weights = np.exp(model.log_weights)
    mean = weights @ model.means
    within = np.einsum("c,cij,ckj->ik", weights, model.factors, model.factors)
    between = np.einsum("c,ci,cj->ij", weights, model.means - mean, model.means - mean)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), within + between, atol=0.1)


def test_rows_in_a_subspace_have_no_density():
    with pytest.raises(np.linalg.LinAlgError):
        single(np.stack([np.arange(5.0), np.ones(5)], axis=1))


def test_degenerate_starts_are_survived():
    X = np.repeat(np.arange(3.0), 20)[:, None] * np.ones(2)
    assert fit(Rows(X), 5, "full", np.random.default_rng(0), 1e-6) is None or math.isfinite(
        fit(Rows(X), 5, "full", np.random.default_rng(0), 1e-6)[1]
    )


@pytest.mark.parametrize("d", [1, 2, 7])
def test_cholesky_factor(d):
    A = np.random.default_rng(d).standard_normal((d, d + 1))
    factor = np.full((d, d), np.nan)
    assert em.cholesky(A @ A.T, factor)
    np.testing.assert_allclose(factor, np.linalg.cholesky(A @ A.T), rtol=1e-12, atol=1e-14)
    assert not em.cholesky(-np.eye(d), factor)


def test_the_start_prefers_rows_far_from_the_centres():
    X = np.concatenate([np.zeros((50, 1)), np.full((50, 1), 9.0)]) + 0.01 * np.random.default_rng(0).normal(
        size=(100, 1)
    )
    rows = Rows(X)
    for trial in range(20):
        centers = np.empty((2, 1))
        square = em.nearest_start(rows.blocks, rows.weights(), np.random.default_rng(trial).random(2), centers)
        assert sorted(np.round(centers[:, 0])) == [0.0, 9.0]
        nearest = np.abs(X - centers.T).min(axis=1)
        assert square == pytest.approx((nearest**2).mean(), rel=1e-9)


# ---------------------------------------------------------------- normal scores


SHAPES = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "uniform far away": lambda rng, n: 1e6 + rng.random(n),
}
each_shape = pytest.mark.parametrize("shape", sorted(SHAPES))


def columns(shape, n=500, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([SHAPES[shape](rng, n), -2.0 * SHAPES[shape](rng, n)], axis=1)


@each_shape
def test_scores_of_the_sample_are_about_normal(shape):
    X = columns(shape, 2000)
    scores, _ = fit_normal_scores(X).apply(X)
    for column in scores.T:
        assert stats.kstest(column, "norm").statistic < 0.03


@each_shape
def test_the_map_is_increasing_with_the_slope_it_tells(shape):
    X = columns(shape)
    transform = fit_normal_scores(X)
    grid = np.linspace(X[:, 0].min() - 1.0, X[:, 0].max() + 1.0, 20_001)
    queries = np.stack([grid, np.full_like(grid, np.median(X[:, 1]))], axis=1)
    scores, log_det = transform.apply(queries)
    assert (np.diff(scores[:, 0]) > 0).all()
    slope = np.exp(log_det - log_det[0])  # that of the other column is a constant factor
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]) * np.diff(grid))])
    gained = scores[:, 0] - scores[0, 0]
    np.testing.assert_allclose(integral / integral[-1], gained / gained[-1], rtol=2e-2, atol=2e-3)


def test_tails_are_those_of_normal_scores_of_a_power_law():
    X = stats.cauchy.rvs(size=(20_000, 1), random_state=0)
    far = 10.0 ** np.arange(4.0, 9.0)
    expected = stats.norm.isf(stats.cauchy.sf(far))
    np.testing.assert_allclose(fit_normal_scores(X).apply(far[:, None])[0][:, 0], expected, rtol=0.1)


@each_shape
def test_interior_is_the_monotone_cubic_of_scipy(shape):
    X = columns(shape)
    transform = fit_normal_scores(X)
    for j in range(2):
        knots, values = transform.knots[j], transform.values[j]
        inner = np.linspace(knots[2], knots[-3], 1001)
        queries = np.repeat(knots[:1], 1001)[:, None] * np.ones(2)
        queries[:, j] = inner
        expected = PchipInterpolator(knots, values)(inner)
        np.testing.assert_allclose(transform.apply(queries)[0][:, j], expected, rtol=1e-9, atol=1e-9)


def test_too_few_values_give_no_map():
    assert fit_normal_scores(np.random.default_rng(0).integers(0, 5, (300, 1)).astype(float)) is None


def test_normal_scores_do_not_depend_on_threads():
    X = columns("cauchy", 20_000)
    transform = fit_normal_scores(X)
    for one, two in zip(transform.apply(X, 1), transform.apply(X, 2), strict=True):
        np.testing.assert_array_equal(one, two)
