"""Low-rank Gaussians: accuracy against exact matrices, many coordinates against linear algebra, other libraries."""

import math

import exact
import laws_low_rank
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import kltools as kl
from kltools import errors

RTOL = 1e-14
LowRank = kl.LowRankMultivariateNormal


def low_rank(mean, factor, diagonal):
    return LowRank(mean=mean, cov_factor=factor, cov_diag=diagonal)


def truth(p, q):
    return laws_low_rank.kl_gaussians(*({name: a.tolist() for name, a in each.parameters.items()} for each in (p, q)))


def random(rng, d, r, noise=1.0):
    return low_rank(rng.normal(size=d), rng.normal(size=(d, r)), noise * rng.gamma(2.0, size=d))


def nearby(rng, p, distance):
    """Every parameter changed by about that relative distance."""
    factor = p.cov_factor * (1.0 + distance * rng.normal(size=p.cov_factor.shape))
    return low_rank(p.mean * (1.0 + distance), factor, p.cov_diag * np.exp(distance * rng.normal(size=len(p.mean))))


def error(p, q):
    value = kl.kl_divergence(p, q)
    assert value >= 0.0
    return exact.relative_error(value, truth(p, q))


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize(("d", "r"), [(1, 1), (2, 1), (3, 2), (6, 2), (2, 4)])
@pytest.mark.parametrize("noise", [1.0, 1e-4, 1e-10])
def test_near_equal_parameters(d, r, noise):
    """However little the factors leave unexplained: 1e-10 makes a condition number of 1e10 or more."""
    rng = np.random.default_rng(d)
    p = random(rng, d, r, noise)
    for k in range(4, 16, 2):
        if 10.0**-k < 1e-3 * noise**0.5:
            assert error(p, nearby(rng, p, 10.0**-k)) <= RTOL, k


@pytest.mark.parametrize("distance", [1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 1.0, 3.0, 10.0])
def test_where_the_method_changes(distance):
    rng = np.random.default_rng(1)
    for _ in range(12):
        p = random(rng, int(rng.integers(1, 6)), int(rng.integers(1, 4)))
        assert error(p, nearby(rng, p, distance)) <= 5e-14


@pytest.mark.parametrize("noise", [1.0, 1e-6, 1e-12])
def test_unrelated_distributions(noise):
    rng = np.random.default_rng(2)
    for scale in (1e-140, 1e-8, 1.0, 1e8, 1e140):
        p, q = (random(rng, 4, r, noise) for r in (1, 3))
        p, q = (low_rank(scale * a.mean, scale * a.cov_factor, scale**2 * a.cov_diag) for a in (p, q))
        assert error(p, q) <= 1e-13
        assert error(q, p) <= 1e-13


@pytest.mark.parametrize("r", [1, 2])
def test_diagonals(r):
    rng = np.random.default_rng(3)
    for spread in (0.1, 3.0, 30.0):
        p = low_rank(rng.normal(size=4), rng.normal(size=(4, r)), 10.0 ** (spread * rng.uniform(-0.5, 0.5, 4)))
        q = kl.MultivariateNormalDiag(mean=rng.normal(size=4), var=rng.gamma(2.0, size=4))
        assert error(p, q) <= 5e-14
        assert error(q, p) <= 5e-14


def test_small_factors_beside_a_diagonal():
    diagonal = kl.MultivariateNormalDiag(mean=[0.0, 0.0], var=[1.0, 2.0])
    for k in range(1, 20, 3):
        p = low_rank([0.0, 0.0], [[10.0**-k], [2.0 * 10.0**-k]], [1.0, 2.0])
        assert error(p, diagonal) <= RTOL
        assert error(diagonal, p) <= RTOL


def test_against_full_covariances():
    rng = np.random.default_rng(4)
    p, q = random(rng, 4, 2), random(rng, 4, 1)
    for other in (p.to_full(), kl.MultivariateNormal(mean=[0, 0, 0, 0], cov=np.eye(4) + 0.5)):
        assert error(q, other) <= RTOL
        assert error(other, q) <= RTOL
    assert kl.kl_divergence(p, p.to_full()) == kl.kl_divergence(p.to_full(), p) == 0.0


def test_one_factor_written_in_two_ways():
    """Turned factors have the same covariance but for rounding, whose square is all that may be left."""
    rng = np.random.default_rng(5)
    p = random(rng, 8, 3)
    turned = low_rank(p.mean, p.cov_factor @ np.linalg.qr(rng.normal(size=(3, 3)))[0], p.cov_diag)
    assert 0.0 <= kl.kl_divergence(p, turned) <= 1e-28
    flipped = low_rank(p.mean, -p.cov_factor[:, ::-1], p.cov_diag)
    assert 0.0 <= kl.kl_divergence(p, flipped) <= 1e-28
    assert error(p, nearby(rng, turned, 1e-4)) <= 1e-10
    padded = low_rank(p.mean, np.pad(p.cov_factor, [(0, 0), (0, 2)]), p.cov_diag)
    assert kl.kl_divergence(p, padded) == kl.kl_divergence(padded, p) == 0.0


@pytest.mark.parametrize(("d", "r"), [(300, 1), (300, 20), (50, 60)])
def test_many_coordinates_against_linear_algebra(d, r):
    rng = np.random.default_rng(d + r)
    p, q = random(rng, d, r), random(rng, d, max(1, r // 2))
    covs = [a.cov_factor @ a.cov_factor.T + np.diag(a.cov_diag) for a in (p, q)]
    shift = p.mean - q.mean
    inverse = np.linalg.inv(covs[1])
    log_ratio = np.linalg.slogdet(covs[1])[1] - np.linalg.slogdet(covs[0])[1]
    expected = 0.5 * (np.sum(inverse * covs[0]) - d + log_ratio + shift @ inverse @ shift)
    assert kl.kl_divergence(p, q) == pytest.approx(expected, rel=1e-9)
    law, x = stats.multivariate_normal(p.mean, covs[0]), rng.normal(size=(5, d))
    np.testing.assert_allclose(p.log_prob(x), law.logpdf(x), rtol=1e-9)
    assert p.entropy() == pytest.approx(law.entropy(), rel=1e-12)


def test_many_coordinates_need_no_matrix():
    """A matrix of 200,000 coordinates would take 320 GB."""
    rng = np.random.default_rng(6)
    p = random(rng, 200_000, 2)
    q = nearby(rng, p, 1e-7)
    value = kl.kl_divergence(p, q)
    assert value == pytest.approx(sum(_pieces(p, q, 50)), rel=0.3)  # coordinates of different pieces hardly interact
    assert np.isfinite(p.log_prob(q.mean))
    assert np.isfinite(p.entropy())


def _pieces(p, q, n_pieces):
    for rows in np.array_split(np.arange(len(p.mean)), n_pieces):
        yield kl.kl_divergence(*(low_rank(a.mean[rows], a.cov_factor[rows], a.cov_diag[rows]) for a in (p, q)))


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**16), st.floats(-16, 1))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_never_negative_and_the_same_in_any_order_of_the_coordinates(d, r, seed, exponent):
    rng = np.random.default_rng(seed)
    p = random(rng, d, r)
    q = nearby(rng, p, 10.0**exponent)
    value = kl.kl_divergence(p, q)
    order = rng.permutation(d)
    moved = (low_rank(a.mean[order], a.cov_factor[order], a.cov_diag[order]) for a in (p, q))
    assert value >= 0.0
    assert kl.kl_divergence(*moved) == pytest.approx(value, rel=1e-12, abs=0)


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize(("var_p", "var_q"), [(1e-60, 1.0), (5e-324, 1.0), (1e300, 1e-5), (1.7e308, 5e-324)])
def test_extreme_variances(var_p, var_q):
    p, q = (low_rank([0.0, 0.0], [[0.0], [1.0]], [var, 1.0]) for var in (var_p, var_q))
    assert exact.relative_error(kl.kl_divergence(p, q), exact.kl_normal(0.0, var_p, 0.0, var_q)) <= 1e-12


def test_infinite_where_the_truth_is_beyond_float64():
    p, q = low_rank([1e300, -1e300], [[1.0], [1.0]], [1, 1]), low_rank([0, 0], [[1e-5], [1e-5]], [1e-10, 1e-10])
    assert kl.kl_divergence(p, q) == math.inf
    wide = low_rank([0, 0], [[1e150], [-1e150]], [1e300, 1e300])
    assert kl.kl_divergence(wide, low_rank([0, 0], [[1e-150], [1e-150]], [1e-300, 1e-300])) == math.inf
    assert q.log_prob([1e300, -1e300]) == -math.inf
    assert q.log_prob([math.inf, 0.0]) == -math.inf
    assert np.isnan(q.log_prob([[math.nan, 0.0], [math.inf, math.nan]])).all()


def test_a_covariance_that_overflows_is_refused():
    with pytest.raises(errors.InvalidParameterError, match=r"cov_factor of LowRankMultivariateNormal.*rescale"):
        low_rank([0, 0], [[1e160], [1.0]], [1, 1])


def test_the_full_covariance_and_its_factor():
    rng = np.random.default_rng(7)
    p = low_rank(rng.normal(size=(2, 1, 4)), rng.normal(size=(3, 4, 2)), 1e-12 * rng.gamma(2.0, size=4))
    full = p.to_full()
    assert full.batch_shape == (2, 3)
    cov = p.cov_factor @ np.swapaxes(p.cov_factor, -1, -2) + p.cov_diag * np.eye(4)
    np.testing.assert_allclose(full.cov, cov, rtol=1e-15)
    np.testing.assert_allclose(full.cholesky @ np.swapaxes(full.cholesky, -1, -2), cov, atol=1e-14)
    assert (np.triu(full.cholesky, 1) == 0).all()


# ---------------------------------------------------------------- batches, other libraries


def test_batches_of_each_parameter_broadcast():
    rng = np.random.default_rng(8)
    p = low_rank(rng.normal(size=(4, 1, 3)), rng.normal(size=(2, 3, 2)), rng.gamma(2.0, size=(3,)))
    q = low_rank(np.zeros(3), rng.normal(size=(3, 1)), rng.gamma(2.0, size=(2, 3)))
    value = kl.kl_divergence(p, q)
    assert value.shape == (4, 2)
    for i in range(4):
        for j in range(2):
            single = low_rank(p.mean[i, 0], p.cov_factor[j], p.cov_diag)
            assert value[i, j] == kl.kl_divergence(single, low_rank(q.mean, q.cov_factor, q.cov_diag[j]))


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    mean, factor, diagonal = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 4, 2)), rng.gamma(2.0, size=(2, 5, 4))
    laws = [
        torch.distributions.LowRankMultivariateNormal(*(torch.tensor(a[i]) for a in (mean, factor, diagonal)))
        for i in range(2)
    ]
    p, q = (low_rank(mean[i], factor[i], diagonal[i]) for i in range(2))
    np.testing.assert_allclose(kl.kl_divergence(p, q), torch.distributions.kl_divergence(*laws).numpy(), rtol=1e-10)
    x = rng.normal(size=(5, 4))
    np.testing.assert_allclose(p.log_prob(x), laws[0].log_prob(torch.tensor(x)).numpy(), rtol=1e-10)
    with pytest.raises(errors.InvalidTypeError, match=r"kltools\.LowRankMultivariateNormal\(mean="):
        kl.kl_divergence(laws[0], q)
