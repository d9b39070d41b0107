"""Gaussians with full covariance: accuracy against mpmath matrices, mixed pairs, constructors."""

import math

import exact
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import errors

RTOL = 1e-14  # of each unit of condition number; 1e-12 is promised
compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python warns at infinities")


def full(mean, cov):
    return kl.MultivariateNormal(mean=mean, cov=cov)


def symmetric(matrix):
    return np.tril(matrix) + np.tril(matrix, -1).T


def covariance(rng, d, condition):
    """A covariance with eigenvalues from 1 down to 1 / condition."""
    vectors = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return symmetric((vectors * np.logspace(0.0, -math.log10(condition), d)) @ vectors.T)


def nearby(rng, cov, distance):
    """A covariance whose eigenvalues relative to `cov` are within 1 +- distance."""
    factor = np.linalg.cholesky(cov)
    change = symmetric(rng.normal(size=cov.shape))
    return symmetric(cov + distance / np.linalg.norm(change, 2) * factor @ change @ factor.T)


def exact_product(factor):
    """Of a triangular matrix with its transpose, in exact arithmetic."""
    with mp.workdps(exact.DIGITS):
        rows = mp.matrix(factor.tolist())
        return (rows * rows.T).tolist()


def error_by_condition(mean_p, cov_p, mean_q, cov_q):
    value = kl.kl_divergence(full(mean_p, cov_p), full(mean_q, cov_q))
    assert value >= 0.0
    truth = exact.kl_full(mean_p, cov_p, mean_q, cov_q)
    return exact.relative_error(value, truth) / max(np.linalg.cond(cov_p), np.linalg.cond(cov_q))


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
def test_near_equal_covariances(d, condition):
    rng = np.random.default_rng(d)
    cov, nought = covariance(rng, d, condition), np.zeros(d)
    for k in range(2, 15):
        assert error_by_condition(nought, cov, nought, nearby(rng, cov, 10.0**-k)) <= RTOL, k


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_plain_perturbation_of_each_element(d):
    rng = np.random.default_rng(10 + d)
    cov, nought = covariance(rng, d, 10.0), np.zeros(d)
    for k in range(2, 15):
        change = symmetric(rng.uniform(-1, 1, (d, d)))
        assert error_by_condition(nought, cov, nought, symmetric(cov + 10.0**-k * change)) <= RTOL, k


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_where_the_method_changes(d):
    rng = np.random.default_rng(20 + d)
    cov, nought = covariance(rng, d, 100.0), np.zeros(d)
    for distance in np.linspace(0.05, 0.95, 19):
        assert error_by_condition(nought, cov, nought, nearby(rng, cov, distance)) <= RTOL, distance


@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e8])
def test_unrelated_covariances_and_means(d, condition):
    rng = np.random.default_rng(30 + d)
    for scale in (1e-150, 1e-8, 1.0, 1e8, 1e150):
        p, q = covariance(rng, d, condition), covariance(rng, d, condition)
        mean_p, mean_q = rng.normal(size=(2, d)) * math.sqrt(scale)
        assert error_by_condition(mean_p, p * scale, mean_q, q * scale) <= RTOL, scale


def test_only_means_that_differ():
    rng = np.random.default_rng(40)
    cov = covariance(rng, 3, 100.0)
    for k in range(0, 150, 10):
        mean = 10.0**-k * rng.normal(size=3)
        assert error_by_condition(mean, cov, np.zeros(3), cov) <= RTOL, k


def test_a_coordinate_that_differs_beside_one_that_hardly_does():
    p, q = np.diag([1.0, 3.0, 1e-4]), np.diag([1.0 + 1e-9, 3.0 + 1e-12, 1e4])
    for size in (2, 3):
        nought, cov_p, cov_q = np.zeros(size), p[:size, :size], q[:size, :size]
        value = kl.kl_divergence(full(nought, cov_p), full(nought, cov_q))
        assert exact.relative_error(value, exact.kl_full(nought, cov_p, nought, cov_q)) <= 1e-13


def test_units_of_the_coordinates_change_no_bit():
    """A condition number that comes from units alone costs nothing: Cholesky factors scale with them."""
    rng = np.random.default_rng(50)
    p = covariance(rng, 3, 10.0)
    for q in (covariance(rng, 3, 10.0), nearby(rng, p, 1e-9)):
        mean_p, mean_q = rng.normal(size=(2, 3))
        units = np.ldexp(1.0, [-300, 0, 200])
        scaled = [full(m * units, c * np.outer(units, units)) for m, c in ((mean_p, p), (mean_q, q))]
        assert kl.kl_divergence(*scaled) == kl.kl_divergence(full(mean_p, p), full(mean_q, q))


EXTREMES = [(1e-60, 1.0), (5e-324, 1.0), (1e-310, 1e-308), (1.0, 1.7e308), (1e300, 1e-5), (1e-300, 1e300)]
EXTREMES += [(5e-324, 1.7e308), (1.7e308, 5e-324), (1.7e308, 0.6)]


@compiled_only
@pytest.mark.parametrize(("var_p", "var_q"), EXTREMES)
def test_one_dimension_at_extremes(var_p, var_q):
    truth = exact.kl_normal(0.0, var_p, 0.0, var_q)
    value = kl.kl_divergence(full([0.0], [[var_p]]), full([0.0], [[var_q]]))
    assert exact.relative_error(value, truth) <= 1e-12


@compiled_only
@pytest.mark.parametrize(("var_p", "var_q"), EXTREMES)
def test_extremes_beside_an_ordinary_coordinate(var_p, var_q):
    p, q = np.diag([var_p, 1.0]), np.diag([var_q, 2.0])
    truth = exact.kl_diagonal([0.0, 0.0], [var_p, 1.0], [0.0, 0.0], [var_q, 2.0])
    assert exact.relative_error(kl.kl_divergence(full([0, 0], p), full([0, 0], q)), truth) <= 1e-12


@compiled_only
def test_infinite_where_the_truth_is_beyond_float64():
    cov = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert kl.kl_divergence(full([1e300, -1e300], 1e-300 * cov), full([0, 0], 1e-300 * cov)) == math.inf
    assert kl.kl_divergence(full([0, 0], 1e300 * cov), full([0, 0], 1e-300 * cov)) == math.inf


@pytest.mark.parametrize("d", [50, 200])
def test_many_dimensions_against_linear_algebra(d):
    """The determinant of 200 variances of 1e-3 is 1e-600: only its logarithm is a float64."""
    rng = np.random.default_rng(d)
    p, q = 1e-3 * covariance(rng, d, 50.0), 1e-3 * covariance(rng, d, 50.0)
    mean_p, mean_q = 0.01 * rng.normal(size=(2, d))
    log_ratio = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    shift = mean_p - mean_q
    truth = 0.5 * (np.trace(np.linalg.solve(q, p)) - d + log_ratio + shift @ np.linalg.solve(q, shift))
    assert kl.kl_divergence(full(mean_p, p), full(mean_q, q)) == pytest.approx(truth, rel=1e-11, abs=0)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(60)
    mean = rng.normal(size=(2, 5, 4))
    cov = np.array([[covariance(rng, 4, 100.0) for _ in range(5)] for _ in range(2)])
    laws = [torch.distributions.MultivariateNormal(torch.tensor(mean[i]), torch.tensor(cov[i])) for i in range(2)]
    truth = torch.distributions.kl_divergence(*laws).numpy()
    np.testing.assert_allclose(kl.kl_divergence(full(mean[0], cov[0]), full(mean[1], cov[1])), truth, rtol=1e-11)


@given(st.integers(1, 6), st.integers(0, 2**16), st.floats(-7, -1))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_near_equal_float32_is_never_negative(d, seed, exponent):
    rng = np.random.default_rng(seed)
    cov = symmetric(covariance(rng, d, 10.0).astype(np.float32))
    other = symmetric(nearby(rng, cov.astype(float), 10.0**exponent).astype(np.float32))
    value = kl.kl_divergence(full(np.zeros(d, np.float32), cov), full(np.zeros(d, np.float32), other))
    assert value >= 0.0
    assert (value == 0.0) == bool((cov == other).all())


# ---------------------------------------------------------------- batches and mixed pairs


def test_a_batch_is_a_loop():
    rng = np.random.default_rng(70)
    cov = np.array([[covariance(rng, 3, 10.0)] for _ in range(4)])
    p, q = full(rng.normal(size=(5, 3)), cov), full(np.zeros(3), covariance(rng, 3, 5.0))
    value = kl.kl_divergence(p, q)
    assert value.shape == (4, 5)
    singles = [[kl.kl_divergence(full(p.mean[j], cov[i, 0]), q) for j in range(5)] for i in range(4)]
    np.testing.assert_array_equal(value, singles)


@pytest.mark.parametrize("spread", [1e-12, 1e-4, 1.0, 30.0])
def test_mixed_pairs_agree_with_full(spread):
    rng = np.random.default_rng(80)
    mean, other = rng.normal(size=(2, 6, 3))
    var = 10.0 ** rng.uniform(-3, 3, (6, 3))
    moved = var * np.exp(spread * rng.normal(size=(6, 3)))
    diagonal_p = kl.MultivariateNormalDiag(mean=mean, var=var)
    diagonal_q = kl.MultivariateNormalDiag(mean=mean + spread * other * np.sqrt(var), var=moved)
    full_p, full_q = diagonal_p.to_full(), full(diagonal_q.mean, moved[:, None, :] * np.eye(3))
    truth = kl.kl_divergence(diagonal_p, diagonal_q)
    for p, q in ((full_p, full_q), (diagonal_p, full_q), (full_p, diagonal_q)):
        np.testing.assert_allclose(kl.kl_divergence(p, q), truth, rtol=1e-13)


def test_diagonal_against_a_correlated_one():
    rng = np.random.default_rng(81)
    cov, var = covariance(rng, 3, 10.0), rng.gamma(2.0, size=3)
    diagonal, correlated = kl.MultivariateNormalDiag(mean=np.ones(3), var=var), full(np.zeros(3), cov)
    for p, q in ((diagonal, correlated), (correlated, diagonal)):
        cov_p, cov_q = (d.cov if d is correlated else np.diag(d.var) for d in (p, q))
        truth = exact.kl_full(p.mean, cov_p, q.mean, cov_q)
        assert exact.relative_error(kl.kl_divergence(p, q), truth) <= 1e-13


def test_to_full_is_the_same_distribution():
    p = kl.MultivariateNormalDiag(mean=[[1.0, 2.0], [3.0, 4.0]], var=[5e-324, 1e300])
    assert p.to_full().batch_shape == (2,)
    np.testing.assert_array_equal(p.to_full()[1].cov, np.diag([5e-324, 1e300]))
    np.testing.assert_array_equal(kl.kl_divergence(p, p.to_full()), [0.0, 0.0])


# ---------------------------------------------------------------- how they are built


def test_from_cholesky():
    rng = np.random.default_rng(90)
    factor = np.linalg.cholesky([covariance(rng, 3, 10.0) for _ in range(4)])
    p = kl.MultivariateNormal.from_cholesky(mean=np.zeros(3), cholesky=factor)
    np.testing.assert_allclose(p.cov, factor @ np.swapaxes(factor, 1, 2), rtol=1e-15)
    np.testing.assert_array_equal(p.cholesky, factor)
    q = full(np.ones(3), covariance(rng, 3, 10.0))
    np.testing.assert_allclose(kl.kl_divergence(p, q), kl.kl_divergence(full(p.mean, p.cov), q), rtol=1e-13)


@pytest.mark.parametrize("k", range(2, 15, 3))
def test_from_cholesky_near_equal(k):
    rng = np.random.default_rng(91)
    cov = covariance(rng, 3, 10.0)
    p, q = (
        kl.MultivariateNormal.from_cholesky(mean=np.zeros(3), cholesky=np.linalg.cholesky(c))
        for c in (cov, nearby(rng, cov, 10.0**-k))
    )
    truth = exact.kl_full(p.mean, exact_product(p.cholesky), q.mean, exact_product(q.cholesky))
    assert exact.relative_error(kl.kl_divergence(p, q), truth) <= 1e-12


def factored(factor):
    return kl.MultivariateNormal.from_cholesky(mean=np.zeros(len(factor)), cholesky=factor)


def renyi(cov_p, cov_q, alpha):
    """Of two Gaussians of one mean, whose covariances are exact."""
    with mp.workdps(4 * exact.DIGITS):
        p, q, alpha = mp.matrix(cov_p), mp.matrix(cov_q), mp.mpf(alpha)
        mixed = (1 - alpha) * p + alpha * q
        if any(mp.det(mixed[:k, :k]) <= 0 for k in range(1, p.rows + 1)):
            return mp.inf
        gap = mp.log(mp.det(mixed)) - (1 - alpha) * mp.log(mp.det(p)) - alpha * mp.log(mp.det(q))
        return gap / (1 - alpha) / 2


ALPHAS = (1e-12, 1e-6, 0.3, 0.5, 0.8, 1.0 - 1e-9, 1.0 + 1e-9, 1.3, 2.0)


@pytest.mark.parametrize("e", [1e-3, 1e-6, 1e-8, 1e-9, 1e-12])
def test_factors_tell_apart_what_rounded_covariances_do_not(e):
    p, q = factored([[1.0, 0.0], [1.0, e]]), factored([[1.0, 0.0], [1.0, 2.0 * e]])
    assert kl.kl_divergence(p, q) == pytest.approx(math.log(2.0) - 0.375, rel=1e-15)
    assert kl.bhattacharyya(p, q) == pytest.approx(0.5 * math.log(1.25), rel=1e-15)
    pairs = kl.MultivariateNormal.from_cholesky(mean=[0, 0], cholesky=[p.cholesky, q.cholesky])
    truth = [[0.0, math.log(2.0) - 0.375], [1.5 - math.log(2.0), 0.0]]
    np.testing.assert_allclose(kl.pairwise_kl(pairs), truth, rtol=1e-15)


@pytest.mark.parametrize("d", [2, 4])
@pytest.mark.parametrize("pivot", [1.0, 1e-5, 1e-9, 1e-13])
@pytest.mark.parametrize("distance", [1e-13, 1e-9, 1e-4, 0.03, 0.3, 3.0])
def test_divergences_of_factors_of_any_condition(d, pivot, distance):
    rng = np.random.default_rng(93)
    first = np.tril(rng.normal(size=(d, d)), -1) + np.diag(np.geomspace(1.0, pivot, d))
    second = first * np.exp(distance * rng.normal(size=(d, d)))
    p, q = factored(first), factored(second)
    cov_p, cov_q = exact_product(first), exact_product(second)
    truth = exact.kl_full(p.mean, cov_p, q.mean, cov_q)
    assert exact.relative_error(kl.kl_divergence(p, q), truth) <= 1e-11
    for alpha in ALPHAS:
        truth = renyi(cov_p, cov_q, alpha)
        assert exact.relative_error(kl.renyi(p, q, alpha=alpha), truth) <= 2e-10, alpha


@pytest.mark.parametrize("k", range(1, 14, 2))
def test_a_factor_beside_a_covariance(k):
    rng = np.random.default_rng(94)
    cov = covariance(rng, 3, 10.0)
    p, q = factored(np.linalg.cholesky(nearby(rng, cov, 10.0**-k))), full(np.zeros(3), cov)
    product = exact_product(p.cholesky)
    for pair, covs in (((p, q), (product, cov.tolist())), ((q, p), (cov.tolist(), product))):
        truth = exact.kl_full(np.zeros(3), covs[0], np.zeros(3), covs[1])
        assert exact.relative_error(kl.kl_divergence(*pair), truth) <= 1e-13
        for alpha in ALPHAS:
            assert exact.relative_error(kl.renyi(*pair, alpha=alpha), renyi(*covs, alpha)) <= 1e-12, alpha


@pytest.mark.parametrize("distance", [1e-12, 1e-6, 0.1, 0.6, 3.0])
def test_renyi_of_covariances_of_any_order(distance):
    rng = np.random.default_rng(95)
    cov = covariance(rng, 3, 100.0)
    other = nearby(rng, cov, distance) if distance < 1.0 else covariance(rng, 3, 100.0)
    for alpha in (1e-300, 1e-15, *ALPHAS, 7.0):
        truth = renyi(cov.tolist(), other.tolist(), alpha)
        found = kl.renyi(full(np.zeros(3), cov), full(np.zeros(3), other), alpha=alpha)
        assert exact.relative_error(found, truth) <= 1e-12, alpha


def precision(e):
    return [[1.0 + 1.0 / e**2, -1.0 / e**2], [-1.0 / e**2, 1.0 / e**2]]


@pytest.mark.parametrize("e", [1e-2, 1e-3, 1e-4])
def test_precisions_that_are_nearly_singular(e):
    p, q = (kl.MultivariateNormal.from_precision(mean=[0.0, 0.0], precision=precision(x)) for x in (e, 2.0 * e))
    truth = exact.kl_full([0.0, 0.0], precision(2.0 * e), [0.0, 0.0], precision(e))  # of inverse matrices, reversed
    assert exact.relative_error(kl.kl_divergence(p, q), truth) <= 1e-15 / e**2


@pytest.mark.parametrize("e", [1e-6, 1e-7])
def test_precisions_that_lost_digits_warn(e):
    with pytest.warns(errors.KLToolsWarning, match="precision of MultivariateNormal is nearly singular"):
        kl.MultivariateNormal.from_precision(mean=[0.0, 0.0], precision=precision(e))


NO_FACTORS = {
    "upper": [[1.0, 1.0], [0.0, 1.0]],
    "zero": [[1.0, 0.0], [0.0, 0.0]],
    "negative": [[-1.0, 0.0], [0.0, 1.0]],
    "nan": [[math.nan, 0.0], [0.0, 1.0]],
    "not square": [[1.0, 0.0]],
    "vector": [1.0, 2.0],
    "number": 3.0,
}


@pytest.mark.parametrize("factor", NO_FACTORS.values(), ids=NO_FACTORS)
def test_from_cholesky_refuses_what_is_no_factor(factor):
    with pytest.raises(errors.InvalidParameterError, match="cholesky must"):
        kl.MultivariateNormal.from_cholesky(mean=[0.0, 0.0], cholesky=factor)


@pytest.mark.parametrize("scale", [1e160, 1e300])
def test_a_factor_whose_square_overflows_is_refused(scale):
    with pytest.raises(errors.InvalidParameterError):
        kl.MultivariateNormal.from_cholesky(mean=[0.0], cholesky=[[scale]])


@pytest.mark.parametrize(("a", "b"), [(1e-170, 2e-170), (3.5e-162, 3.6e-162), (3.5e-162, 4.1e-162)])
def test_a_factor_whose_square_underflows_is_refused_or_right(a, b):
    try:
        p, q = (kl.MultivariateNormal.from_cholesky(mean=[0.0], cholesky=[[s]]) for s in (a, b))
    except errors.InvalidParameterError:
        return
    truth = 0.5 * ((a / b) ** 2 - 1.0) - math.log(a / b)
    assert kl.kl_divergence(p, q) == pytest.approx(truth, rel=1e-12, abs=0)


def test_from_precision():
    rng = np.random.default_rng(92)
    precision = np.array([covariance(rng, 3, 10.0) for _ in range(4)])
    p = kl.MultivariateNormal.from_precision(mean=np.zeros(3), precision=precision)
    np.testing.assert_allclose(p.cov @ precision, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-13)
    assert kl.MultivariateNormal.from_precision(mean=[0.0], precision=[[4.0]]).cov == 0.25


@pytest.mark.parametrize(
    "precision",
    [[[1.0, 2.0], [2.0, 1.0]], [[1.0, math.nan], [0.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]]],
    ids=["indefinite", "nan", "not symmetric"],
)
def test_from_precision_names_the_precision(precision):
    with pytest.raises(errors.InvalidParameterError, match="precision"):
        kl.MultivariateNormal.from_precision(mean=[0.0, 0.0], precision=precision)


def test_a_precision_whose_inverse_overflows_is_refused():
    with pytest.raises(errors.InvalidParameterError):
        kl.MultivariateNormal.from_precision(mean=[0.0], precision=[[1e-320]])


def test_covariances_that_are_none():
    for cov, words in (
        ([[1.0, 2.0], [2.0, 1.0]], r"cov of MultivariateNormal must be positive definite.*eigenvalue is -1"),
        ([[1.0, 1.0], [1.0, 1.0]], r"positive definite.*eigenvalue is (0|-?\d\S*e-1\d)"),
        ([[1.0, 0.5], [0.4, 1.0]], "cov of MultivariateNormal must be a symmetric"),
        (
            [[1.0, math.nan], [math.nan, 1.0]],
            "cov of MultivariateNormal must be finite, got 2 values that are not finite",
        ),
    ):
        with pytest.raises(errors.InvalidParameterError, match=words):
            full([0.0, 0.0], cov)


@pytest.mark.parametrize("factor", [1.0, np.array([1.0, 2.0])[:, None, None]], ids=["one", "batch"])
def test_points_at_the_ends_of_float64(factor):
    cov = np.array([[4.14, -0.61, 0.88], [-0.61, 1.14, -0.43], [0.88, -0.43, 4.37]])
    p = kl.MultivariateNormal(mean=[3.0, -1.0, 1.0], cov=factor * cov)
    for x in ([-1.797e308] * 3, [1e200, -1e200, 0.0]):
        assert np.all(np.equal(p.log_prob(x), -math.inf))
    x = np.random.default_rng(0).normal(size=(5, 3))
    expected = [stats.multivariate_normal([3.0, -1.0, 1.0], c).logpdf(x) for c in (factor * cov).reshape(-1, 3, 3)]
    np.testing.assert_allclose(
        p.log_prob(x if np.ndim(factor) == 0 else x[:, None]).T, np.squeeze(expected), rtol=1e-13
    )
