"""uLSIF, RuLSIF and KLIEP: against fits without each row, general optimisers and truths."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

import kltools as kl
from kltools import errors
from kltools.estimators import direct_ratio
from kltools.estimators.direct_ratio import leave_one_out, likelihood_shares, squares

few = settings(derandomize=True, deadline=None, database=None, max_examples=15)


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def normals(seed, n, m, d, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + scale * rng.standard_normal((m, d))


def gaussian_kernels(rows, centers, width):
    return np.array([[math.exp(-((x - c) @ (x - c)) / (2 * width**2)) for c in centers] for x in rows])


def fitted(of_x, of_y, alpha, penalty, clip):
    """Weights of the ratio by the normal equations."""
    hessian = alpha * of_x.T @ of_x / len(of_x) + (1 - alpha) * of_y.T @ of_y / len(of_y)
    weights = np.linalg.solve(hessian + penalty * np.eye(of_x.shape[1]), of_x.mean(axis=0))
    return np.maximum(weights, 0) if clip else weights


@few
@given(
    n=st.integers(2, 15),
    m=st.integers(2, 15),
    alpha=st.sampled_from([0.0, 0.1, 0.7]),
    penalty=st.sampled_from([1e-3, 0.1, 10.0]),
    clip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_leaving_out_in_closed_form_is_leaving_out(n, m, alpha, penalty, clip, seed):
    X, Y = normals(seed, n, m, 2, 0.5)
    of_x, of_y = (gaussian_kernels(Z, X, 0.8) for Z in (X, Y))
    at_x = [of_x[i] @ fitted(np.delete(of_x, i, 0), of_y, alpha, penalty, clip) for i in range(n)]
    at_y = [of_y[j] @ fitted(of_x, np.delete(of_y, j, 0), alpha, penalty, clip) for j in range(m)]
    expected = alpha / 2 * np.mean(np.square(at_x)) + (1 - alpha) / 2 * np.mean(np.square(at_y)) - np.mean(at_x)
    assert leave_one_out(of_x, of_y, alpha, penalty, clip) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_shares_maximise_the_likelihood(seed):
    """SciPy maximises over a softmax; the likelihood, not the shares, is unique."""
    terms = 3.0 * np.random.default_rng(seed).standard_normal((40, 6))

    def loss(logits):
        shares = np.exp(logits - logits.max())
        return -np.mean(np.log(np.exp(terms) @ (shares / shares.sum())))

    shares = likelihood_shares(terms)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= 0.0).all()
    best = min(minimize(loss, start, tol=1e-12).fun for start in (np.zeros(6), np.ones(6) * np.arange(6) / 3))
    assert -np.mean(np.log(np.exp(terms) @ shares)) == pytest.approx(best, abs=2e-4)


def test_squares_keep_their_digits():
    X, Y = normals(0, 7, 9, 3)
    expected = [[(x - y) @ (x - y) for y in Y] for x in X]
    np.testing.assert_allclose(squares(X + 2.0**20, Y + 2.0**20), expected, rtol=1e-7)


@pytest.mark.parametrize("method", ["ulsif", "kliep"])
def test_value_is_that_of_the_ratio(method):
    """At the width that was chosen, from one feature, which is not scaled."""
    X, Y = normals(1, 60, 80, 1, 0.7)
    estimate = kl.estimate_kl(X, Y, method=method)
    width = estimate.diagnostics["width"]
    of_x, of_y = (gaussian_kernels(Z, X, width) for Z in (X, Y))
    if method == "ulsif":
        weights = fitted(of_x, of_y, 0.0, estimate.diagnostics["penalty"], True)
    else:
        masses = of_y.mean(axis=0)
        weights = likelihood_shares(np.log(of_x / masses)) / masses
    ratio_x, ratio_y = of_x @ weights, of_y @ weights
    assert estimate.value == pytest.approx(np.log(ratio_x).mean() - math.log(ratio_y.mean()), rel=1e-8)
    error = math.sqrt(np.log(ratio_x).var(ddof=1) / 60 + (ratio_y / ratio_y.mean()).var(ddof=1) / 80)
    assert estimate.standard_error == pytest.approx(error, rel=1e-7)


def test_value_of_rulsif():
    X, Y = normals(2, 60, 80, 1, 0.7)
    estimate = kl.estimate_kl(X, Y, method="rulsif", alpha=0.3)
    of_x, of_y = (gaussian_kernels(Z, X, estimate.diagnostics["width"]) for Z in (X, Y))
    weights = fitted(of_x, of_y, 0.3, estimate.diagnostics["penalty"], False)
    x, y = of_x @ weights, of_y @ weights
    assert estimate.value == pytest.approx(x.mean() - 0.15 * (x**2).mean() - 0.35 * (y**2).mean() - 0.5, rel=1e-8)
    assert any("not KL" in reason for reason in estimate.reasons)
    assert estimate.reliable is False


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_rulsif_on_normal_distributions(alpha):
    def integrand(x):
        mixture = alpha * norm.pdf(x) + (1 - alpha) * norm.pdf(x, 0.8)
        return 0.5 * (norm.pdf(x) / mixture - 1) ** 2 * mixture

    truth = quad(integrand, -9, 9)[0]
    values = [kl.estimate_kl(*normals(s, 1000, 1000, 1, 0.8), method="rulsif", alpha=alpha).value for s in range(3)]
    assert np.mean(values) == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize("method", ["ulsif", "kliep"])
@pytest.mark.parametrize(("n", "m"), [(800, 800), (500, 1000)])
def test_normal_distributions(method, n, m):
    values = [kl.estimate_kl(*normals(seed, n, m, 1, 0.7), method=method).value for seed in range(5)]
    assert np.median(values) == pytest.approx(0.245, abs=0.12)


@pytest.mark.parametrize("method", ["ulsif", "kliep", "rulsif"])
def test_more_rows_than_are_learnt_from(method, monkeypatch):
    """All rows are judged, a part of them is learnt from."""
    X, Y = normals(3, 400, 500, 1, 0.5)
    monkeypatch.setattr(direct_ratio, "_ROWS_TO_LEARN", 150)
    monkeypatch.setattr(direct_ratio, "_ROWS_AT_ONCE", 70)
    estimate = kl.estimate_kl(X, Y, method=method)
    assert estimate.diagnostics["n_centers"] == 100
    assert -0.5 < estimate.value < 0.5


@pytest.mark.parametrize("method", ["ulsif", "kliep", "rulsif"])
@pytest.mark.parametrize("shift", [30.0, 1e4])
def test_far_apart(method, shift):
    X, Y = normals(4, 40, 50, 2, shift)
    estimate = kl.estimate_kl(X, Y, method=method)
    assert estimate.value > 1.0
    assert not math.isnan(estimate.value)
    assert estimate.reliable is False


@pytest.mark.parametrize("method", ["ulsif", "kliep", "rulsif"])
def test_ties_tiny_and_equal_samples(method):
    X, Y = normals(5, 60, 50, 2)
    for pair in ((X, X), (np.round(X), np.round(Y)), (X[:2], Y[:2]), (X[:2], Y), (1e-200 * X, 1e-200 * Y)):
        assert math.isfinite(kl.estimate_kl(*pair, method=method).value)
    with pytest.raises(errors.NotEnoughSamplesError, match="at least 2 rows of Y"):
        kl.estimate_kl(X, Y[:1], method=method)


@pytest.mark.parametrize(
    ("alpha", "kind"), [(1.0, ValueError), (-0.1, ValueError), ("0", TypeError), (True, TypeError)]
)
def test_bad_alpha(alpha, kind):
    X, Y = normals(0, 20, 20, 1)
    with pytest.raises(kind, match="alpha"):
        kl.estimate_kl(X, Y, method="rulsif", alpha=alpha)
    with pytest.raises(kind, match="alpha"):
        kl.RuLSIFDivergence(alpha=alpha).fit(Y)


def test_bad_folds():
    with pytest.raises(errors.InvalidParameterError, match="n_folds must be >= 2"):
        kl.estimate_kl(*normals(0, 20, 20, 1), method="kliep", n_folds=1)


@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
@pytest.mark.parametrize("method", ["kliep", "ulsif"])
def test_rows_beyond_the_reach_of_any_kernel_are_no_nan(method):
    Y = np.array([[-3.0, -57.0], [1.0, 1e300], [1.8, 0.2], [1e300, 0.8], [1e300, -1.0]])
    estimate = kl.estimate_kl(np.random.default_rng(0).normal(size=(40, 2)), Y, method=method)
    assert estimate.value > 0.0
    assert estimate.reliable is False


@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
@pytest.mark.parametrize("method", ["kliep", "ulsif", "rulsif"])
def test_samples_whose_distances_no_kernel_can_bridge(method):
    X, Y = 1e8 + np.random.default_rng(0).normal(size=40), np.array([-1.0, 2.0, -2.0, 1.0, 1.0]) * 1e190
    for one, other in ((X, Y), (Y, X)):
        assert not math.isnan(kl.estimate_kl(one, other, method=method).value)
    if method != "rulsif":  # whose Pearson divergence is bounded
        assert kl.estimate_kl(X, Y, method=method).value == math.inf
