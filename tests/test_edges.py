"""Sharp edges of P inside Q, against the exact decomposition and samples whose support is known."""

import math

import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools.estimators.edges import cut_at_edges
from kltools.estimators.problem import Problem
from kltools.models.normality import departure_from_normal
from kltools.preprocessing import Notes


def cut(X, Y, needed=50):
    return cut_at_edges(Problem(X, Y, None, Notes(), 1, 0), needed)


def shares_cut(law_x, law_y, n, d, runs=40):
    rng = np.random.default_rng(0)
    return [cut(law_x(rng, (n, d)), law_y(rng, (n, d))).share for _ in range(runs)]


@pytest.mark.parametrize(("n", "tolerance"), [(200, 0.1), (1000, 0.03), (5000, 0.02)])
def test_a_uniform_inside_a_uniform_is_found(n, tolerance):
    shares = shares_cut(lambda rng, s: rng.uniform(0.2, 0.8, s), lambda rng, s: rng.random(s), n, 2)
    assert np.median(shares) == pytest.approx(0.36, abs=tolerance)


@pytest.mark.parametrize(
    "law",
    [
        lambda rng, s: rng.normal(size=s),
        lambda rng, s: rng.laplace(size=s),
        lambda rng, s: rng.standard_t(3, size=s),
        lambda rng, s: rng.beta(3.0, 3.0, size=s),
    ],
    ids=["normal", "laplace", "t", "beta"],
)
def test_smooth_ends_are_no_edges(law):
    shares = shares_cut(law, lambda rng, s: rng.normal(scale=3.0, size=s), 1000, 3)
    assert np.mean(np.array(shares) < 1.0) <= 0.05


def test_edges_that_both_samples_share_are_not_cut():
    shares = shares_cut(lambda rng, s: rng.exponential(size=s), lambda rng, s: rng.exponential(2.0, size=s), 1000, 3)
    assert set(shares) == {1.0}


def test_the_divergence_is_that_of_the_decomposition():
    """KL = -log Q(A) + KL(P || Q given A): exactly the parts, and the standard error that of a log share."""
    rng = np.random.default_rng(1)
    X, Y = (np.arange(500.0)[:, None] + 0.5) / 500.0, rng.uniform(-1.0, 2.0, (3000, 1))
    edges = cut(X, Y)
    inside = (X.min() <= Y) & (X.max() >= Y)
    np.testing.assert_array_equal(edges.samples.Y, Y[inside[:, 0]])
    assert edges.share == inside.mean()
    assert edges.value == -math.log(inside.mean())
    draws = stats.binom(3000, 1 / 3).rvs(4000, random_state=rng)
    assert edges.standard_error == pytest.approx(np.log(draws).std(), rel=0.05)


def test_nothing_is_cut_where_too_few_rows_of_y_would_be_left():
    rng = np.random.default_rng(2)
    X, Y = rng.random((500, 1)), rng.uniform(0.0, 20.0, (500, 1))
    assert cut(X, Y, needed=50).share == 1.0
    assert cut(X, Y, needed=10).share < 0.1


@pytest.mark.parametrize("scale", [1e-6, 1.0, -1e6])
def test_auto_finds_the_volume(scale):
    rng = np.random.default_rng(3)
    X, Y = rng.uniform(0.1, 0.9, (1000, 3)), rng.random((1000, 3))
    estimate = kl.estimate_kl(scale * X, scale * Y, random_state=0)
    assert estimate.diagnostics["share_within_edges"] == pytest.approx(0.512, abs=0.06)
    low, high = estimate.confidence_interval()
    assert low < -3.0 * math.log(0.8) < high
    assert high - low < 0.2


# ---------------------------------------------------------------- departure from normal


@pytest.mark.parametrize(("n", "d"), [(200, 1), (200, 8), (1000, 5), (9000, 3)])
def test_departure_of_normal_rows_is_small(n, d):
    rng = np.random.default_rng(4)
    mix = rng.normal(size=(d, d))
    found = [departure_from_normal(rng.normal(size=(n, d)) @ mix + 5.0) for _ in range(60)]
    assert np.quantile(found, 0.9) < 3.0
    assert max(found) < 5.0


def test_departure_is_that_of_the_plain_formulas():
    """With all pairs of rows, as Mardia writes it."""
    rng = np.random.default_rng(5)
    X = rng.gamma(15.0, size=(300, 4))
    n, d = X.shape
    Z = X - X.mean(axis=0)
    products = Z @ np.linalg.inv(Z.T @ Z / n) @ Z.T
    freedom = d * (d + 1) * (d + 2) / 6
    skewness = stats.norm.isf(stats.chi2(freedom).sf(n * (products**3).mean() / 6))
    kurtosis = ((np.diag(products) ** 2).mean() - d * (d + 2) * (n - 1) / (n + 1)) / math.sqrt(8 * d * (d + 2) / n)
    assert departure_from_normal(X) == pytest.approx(max(skewness, abs(kurtosis)), rel=0.02)


def test_auto_tells_of_a_shape_that_it_could_not_model():
    rng = np.random.default_rng(6)
    centers = 1.5 * rng.normal(size=(3, 10))
    part, spreads = rng.integers(0, 3, 200), rng.gamma(3.0, size=(3, 10))
    X = centers[part] + spreads[part] * rng.normal(size=(200, 10))
    with pytest.warns(kl.UnreliableEstimateWarning, match="skewness or kurtosis"):
        estimate = kl.estimate_kl(X, 3.0 * rng.normal(size=(200, 10)), random_state=0)
    assert estimate.diagnostics["model_components"] == (1, 1)
    assert estimate.reliable is False
