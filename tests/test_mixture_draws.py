"""Gaussian mixtures: draws, and what is estimated from them, against SciPy and quadrature."""

import math
import warnings

import numpy as np
import pytest
from mixtures import P1, Q1, parameters, variances
from scipy import integrate, stats
from scipy.special import logsumexp

import kltools as kl
from kltools import errors

# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("p", [P1, Q1], ids=["diagonal", "full"])
def test_draws_of_one_coordinate_have_the_distribution_function(p):
    deviation = np.sqrt(p.covs.reshape(-1))
    laws = [stats.norm(*each) for each in zip(p.means[:, 0], deviation, strict=True)]
    x = p.sample(5000, random_state=0)[:, 0]
    function = sum(w * law.cdf(x) for w, law in zip(p.weights, laws, strict=True))
    assert stats.kstest(function, "uniform").pvalue > 0.01


@pytest.mark.parametrize("diagonal", [False, True])
def test_draws_of_every_component(diagonal):
    """Components that nobody confuses: how many draws of each, their means and their covariances."""
    law = parameters(8, 4, 3)
    law["means"] = 1000.0 * np.arange(12.0).reshape(4, 3)
    law["weights"] = np.array([0.1, 0.0, 0.6, 0.3])
    matrices = law["covs"]
    if diagonal:
        law["covs"] = variances(matrices)
        matrices = law["covs"][:, :, None] * np.eye(3)
    n = 20_000
    x = kl.GaussianMixture(**law).sample(n, random_state=1)
    component = np.rint(x[:, 0] / 3000.0).astype(int)
    counts = np.bincount(component, minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], n * law["weights"][[0, 2, 3]]).pvalue > 0.01
    for k in (0, 2, 3):
        z = np.linalg.solve(np.linalg.cholesky(matrices[k]), (x[component == k] - law["means"][k]).T)
        assert (np.abs(z.mean(axis=1)) < 4.5 / math.sqrt(counts[k])).all()
        assert (np.abs(z @ z.T / counts[k] - np.eye(3)) < 4.5 * math.sqrt(2 / counts[k])).all()


def test_each_of_a_batch_draws_from_its_own():
    means = np.array([[[0.0, 0.0], [10.0, 10.0]], [[100.0, 0.0], [110.0, 0.0]]])
    p = kl.GaussianMixture(weights=[[1.0, 0.0], [0.5, 0.5]], means=means, covs=np.full((2, 2), 1e-6))
    x = p.sample((300, 4), random_state=2)
    assert x.shape == (300, 4, 2, 2)
    np.testing.assert_allclose(x[:, :, 0], 0.0, atol=0.01)
    assert set(np.rint(x[:, :, 1, 0]).reshape(-1)) == {100.0, 110.0}
    np.testing.assert_allclose(x[:, :, 1, 1], 0.0, atol=0.01)


# ---------------------------------------------------------------- estimates


def kl_by_quadrature(p, q):
    """Of two mixtures of one coordinate."""
    laws = [(law.weights, stats.norm(law.means.reshape(-1), np.sqrt(law.covs.reshape(-1)))) for law in (p, q)]

    def term(x):
        log_p, log_q = (logsumexp(components.logpdf(x), b=weights) for weights, components in laws)
        return math.exp(log_p) * (log_p - log_q)

    return integrate.quad(term, -15, 15, epsabs=1e-10, epsrel=1e-10, limit=200)[0]


@pytest.mark.parametrize("estimator", ["k1", "k3", "cv"])
def test_monte_carlo_of_two_mixtures(estimator):
    truth = kl_by_quadrature(P1, Q1)
    result = kl.estimate_kl_monte_carlo(P1, Q1, n_samples=40_000, estimator=estimator, random_state=0)
    assert abs(result.value - truth) < 4.0 * result.standard_error < 0.15 * truth


def test_monte_carlo_with_other_families():
    normal = kl.MultivariateNormalDiag(mean=[0.5], var=[2.0])
    alone = kl.GaussianMixture(weights=[1.0], means=[[0.5]], covs=[[2.0]])
    for p, q, same_p, same_q in ((P1, normal, P1, alone), (normal, Q1, alone, Q1)):
        truth = kl_by_quadrature(same_p, same_q)
        result = kl.estimate_kl_monte_carlo(p, q, n_samples=40_000, random_state=1)
        assert abs(result.value - truth) < 4.0 * result.standard_error < 0.15 * truth
    precise = kl.estimate_kl_monte_carlo(normal, Q1, n_samples=2**13, sampling="sobol", random_state=0)
    assert precise.value == pytest.approx(truth, abs=1e-3)
    with pytest.raises(errors.InvalidTypeError, match="inverse distribution function, which GaussianMixture lacks"):
        kl.estimate_kl_monte_carlo(P1, normal, n_samples=100, sampling="sobol")


def test_a_mixture_against_itself_is_zero():
    result = kl.estimate_kl_monte_carlo(P1, P1, n_samples=1000, random_state=0)
    assert (result.value, result.standard_error) == (0.0, 0.0)


@pytest.mark.parametrize("method", ["auto", "knn", "knn_weighted", "kde"])
def test_a_sample_against_a_known_mixture(method):
    X = P1.sample(4000, random_state=3)
    truth = kl_by_quadrature(P1, Q1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.UnreliableEstimateWarning)
        result = kl.estimate_kl(X, Q1, method=method, random_state=0)
    assert result.value == pytest.approx(truth, abs=0.06)
    assert result.n_q is None


def test_a_sample_needs_the_coordinates_of_the_mixture():
    X = np.zeros((50, 2)) + np.arange(50.0)[:, None]
    with pytest.raises(errors.ShapeMismatchError, match=r"X has 2 features, q draws shape \(1,\)"):
        kl.estimate_kl(X, Q1)
    with pytest.raises(errors.ShapeMismatchError, match="batch shape"):
        kl.estimate_kl(X[:, :1], Q1[None])


def test_no_closed_form_names_what_to_do():
    normal = kl.MultivariateNormalDiag(mean=[0.0], var=[1.0])
    for p, q in ((P1, Q1), (P1, normal), (normal, P1), (P1[None], Q1)):
        with pytest.raises(errors.NoClosedFormError, match=r"estimate_kl_monte_carlo\(p, q, n_samples="):
            kl.kl_divergence(p, q)
