"""Plug-in and shrunk covariances of method="gaussian": against closed forms, scikit-learn and the spread."""

import math
import warnings

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import OAS, LedoitWolf

import kltools as kl
from kltools import errors
from kltools.estimators.gaussian import ledoit_wolf, oracle_approximating

pytestmark = pytest.mark.filterwarnings("ignore::kltools.errors.SmallSampleWarning")
SHRUNK = {"ledoit-wolf": LedoitWolf, "oas": OAS}
INTENSITIES = {"ledoit-wolf": ledoit_wolf, "oas": oracle_approximating}
every_shrinkage = pytest.mark.parametrize("covariance", SHRUNK)


def gaussian(X, Y, bias="mle", **options):
    return kl.estimate_kl(X, Y, method="gaussian", bias=bias, **options)


def pair(seed, n, m, d):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    return X, rng.standard_normal((m, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


def plug_in_moments(X):
    return X.mean(axis=0), np.atleast_2d(np.cov(X, rowvar=False, ddof=0))


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(("n", "m", "d"), [(2, 3, 1), (10, 15, 1), (30, 40, 5), (7, 6, 5), (60, 80, 40)])
def test_plug_in_equals_the_closed_form(n, m, d):
    X, Y = pair(0, n, m, d)
    expected = naive.gaussian_kl(*plug_in_moments(X), *plug_in_moments(Y))
    assert gaussian(X, Y).value == pytest.approx(expected, rel=1e-8)


def test_plug_in_against_a_known_q():
    X, _ = pair(0, 40, 5, 3)
    mean, cov = plug_in_moments(X)
    q = kl.MultivariateNormalDiag(mean=[1.0, 0.0, 2.0], var=[2.0, 3.0, 1.0])
    expected = naive.gaussian_kl(mean, cov, np.array([1.0, 0.0, 2.0]), np.diag([2.0, 3.0, 1.0]))
    assert gaussian(X, q).value == pytest.approx(expected, rel=1e-10)


def test_the_default_is_without_bias():
    X, Y = pair(0, 50, 60, 3)
    default = kl.estimate_kl(X, Y, method="gaussian")
    assert gaussian(X, Y, bias="unbiased", covariance="empirical") == default
    assert default.value == pytest.approx(naive.gaussian_divergence(X, Y), rel=1e-9)
    assert gaussian(X, Y).value > default.value


@every_shrinkage
@pytest.mark.parametrize(("n", "d"), [(3, 2), (5, 40), (50, 3), (200, 60)])
def test_intensities_are_those_of_scikit_learn(covariance, n, d):
    X, _ = pair(n, n, 3, d)
    expected = SHRUNK[covariance]().fit(X).shrinkage_
    assert 0.0 < expected <= 1.0
    norms = ((X - X.mean(axis=0)) ** 2).sum(axis=1)
    assert INTENSITIES[covariance](np.cov(X, rowvar=False, ddof=0), norms) == pytest.approx(expected, rel=1e-9)


@every_shrinkage
@pytest.mark.parametrize(("n", "m", "d"), [(30, 40, 5), (10, 12, 30), (3, 3, 2), (3, 50, 10)])
def test_shrunk_equals_the_closed_form(covariance, n, m, d):
    X, Y = pair(1, n, m, d)
    spread = X.std(axis=0, ddof=1)
    p, q = (SHRUNK[covariance]().fit(Z / spread) for Z in (X, Y))
    expected = naive.gaussian_kl(p.location_, p.covariance_, q.location_, q.covariance_)
    assert gaussian(X, Y, covariance=covariance).value == pytest.approx(expected, rel=1e-7)


@every_shrinkage
def test_shrunk_against_a_known_q(covariance):
    X = np.random.default_rng(0).standard_normal((8, 20))
    spread = X.std(axis=0, ddof=1)
    p = SHRUNK[covariance]().fit(X / spread)
    entropy = 0.5 * (20 * (1 + math.log(2 * math.pi)) + np.linalg.slogdet(p.covariance_)[1]) + np.log(spread).sum()
    q = kl.MultivariateNormalDiag(mean=np.zeros(20), var=np.ones(20))
    expected = -entropy - q.log_prob(X).mean()
    assert gaussian(X, q, covariance=covariance).value == pytest.approx(expected, rel=1e-9)


@every_shrinkage
def test_shrinking_helps_where_rows_are_few(covariance):
    """N(0, I) against N(0.3, I) in 20 features from 30 rows each: the truth is 0.9, the plug-in far above."""
    rng = np.random.default_rng(0)
    samples = [(rng.standard_normal((30, 20)), 0.3 + rng.standard_normal((30, 20))) for _ in range(20)]
    shrunk = [gaussian(X, Y, covariance=covariance).value for X, Y in samples]
    plain = [gaussian(X, Y).value for X, Y in samples]
    assert abs(np.mean(shrunk) - 0.9) < 0.1 * abs(np.mean(plain) - 0.9)


# ---------------------------------------------------------------- standard error


def numerical_influence(statistic, X, Y, step=1e-5):
    """Derivatives of a statistic of weighted samples in the weight of each row, times the number of rows."""
    out = []
    for which, Z in enumerate((X, Y)):
        found = []
        for i in range(len(Z)):
            values = []
            for sign in (1.0, -1.0):
                weights = [np.full(len(A), 1.0 / len(A)) for A in (X, Y)]
                weights[which] = weights[which] * (1.0 - sign * step)
                weights[which][i] += sign * step
                values.append(statistic(*weights))
            found.append((values[0] - values[1]) / (2.0 * step))
        out.append(np.array(found))
    return out


@every_shrinkage
def test_standard_error_is_that_of_the_influence(covariance):
    """Of the closed form with moments of weighted rows, shrunk with the intensities of the whole samples."""
    X, Y = pair(2, 12, 15, 4)
    spread = X.std(axis=0, ddof=1)
    x, y = X / spread, Y / spread
    intensities = [SHRUNK[covariance]().fit(Z).shrinkage_ for Z in (x, y)]

    def moments(Z, weights, s):
        mean = weights @ Z
        S = (Z - mean).T @ ((Z - mean) * weights[:, None])
        return mean, (1 - s) * S + s * np.trace(S) / 4 * np.eye(4)

    def statistic(a, b):
        return naive.gaussian_kl(*moments(x, a, intensities[0]), *moments(y, b, intensities[1]))

    of_x, of_y = numerical_influence(statistic, x, y)
    expected = math.sqrt(np.var(of_x, ddof=1) / len(x) + np.var(of_y, ddof=1) / len(y))
    assert gaussian(X, Y, covariance=covariance).standard_error == pytest.approx(expected, rel=1e-5)


def test_standard_error_of_the_shrunk_one_sample_form():
    rng, q = np.random.default_rng(0), kl.MultivariateNormalDiag(mean=np.ones(5), var=np.full(5, 2.0))
    estimates = [gaussian(rng.standard_normal((300, 5)), q, covariance="oas") for _ in range(200)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.2)


# ---------------------------------------------------------------- arguments, odd samples


@every_shrinkage
def test_shrunk_covariances_have_no_unbiased_form(covariance):
    X, Y = pair(0, 20, 20, 2)
    with pytest.raises(errors.InvalidParameterError, match=f"covariance='{covariance}' .* pass bias='mle'"):
        kl.estimate_kl(X, Y, method="gaussian", covariance=covariance)


def test_rows_that_are_needed():
    X, Y = pair(0, 6, 6, 5)
    assert math.isfinite(gaussian(X, Y).value)
    with pytest.raises(errors.NotEnoughSamplesError, match="at least 6 rows of Y, got n_samples=5"):
        gaussian(X, Y[:5])
    assert math.isfinite(gaussian(X[:3], Y[:3], covariance="oas").standard_error)
    with pytest.raises(errors.NotEnoughSamplesError, match="at least 3 rows of X, got n_samples=2"):
        gaussian(X[:2], Y, covariance="oas")


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    st.integers(0, 2**16),
    st.integers(3, 30),
    st.integers(3, 30),
    st.integers(1, 12),
    st.sampled_from([*SHRUNK]),
    st.sampled_from([1e-200, 1e-3, 1.0, 1e200]),
)
def test_units_do_not_matter(seed, n, m, d, covariance, unit):
    X, Y = pair(seed, n, m, d)
    units = unit * 10.0 ** np.random.default_rng(seed).uniform(-3, 3, d)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        expected, found = (gaussian(*Z, covariance=covariance).value for Z in ((X, Y), (X * units, Y * units)))
    assert math.isfinite(expected)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@every_shrinkage
def test_a_plane_against_all_features_is_finite_when_shrunk(covariance):
    X, Y = pair(0, 40, 40, 3)
    X[:, 2] = X[:, 0] - X[:, 1]
    assert 0.0 < gaussian(X, Y, covariance=covariance).value < math.inf
    with pytest.warns(errors.InfiniteDivergenceWarning):
        assert gaussian(X, Y).value == math.inf


@every_shrinkage
def test_equal_samples(covariance):
    X, _ = pair(0, 10, 3, 20)
    with pytest.warns(errors.TiesWarning, match="10 rows of X occur also in Y"):
        assert gaussian(X, X, covariance=covariance).value == pytest.approx(0.0, abs=1e-9)
