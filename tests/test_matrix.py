"""Wishart, inverse Wishart, matrix normal: accuracy against exact arithmetic, invariances, domains."""

import math

import exact
import laws_matrix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors

RTOL = 1e-13


def symmetric(matrix):
    return np.tril(matrix) + np.tril(matrix, -1).T


def covariance(rng, d):
    factor = rng.normal(size=(d, d + 2))
    return symmetric(factor @ factor.T / d)


def nearby(rng, cov, distance):
    return symmetric(cov * (1.0 + distance * rng.uniform(-1, 1, cov.shape)))


def error(p, q):
    value = kl.kl_divergence(p, q)
    assert value >= 0.0
    given = ({name: a.tolist() for name, a in each.parameters.items()} for each in (p, q))
    return exact.relative_error(value, laws_matrix.EXACT[type(p).__name__, type(q).__name__](*given))


BY_DF = pytest.mark.parametrize("cls", [kl.Wishart, kl.InverseWishart], ids=lambda cls: cls.__name__)


# ---------------------------------------------------------------- Wishart: accuracy


@BY_DF
@pytest.mark.parametrize("df", [2.5, 10.0, 1e4, 1e10])
def test_near_equal_wisharts(cls, df):
    rng = np.random.default_rng(0)
    scale = covariance(rng, 3)
    for k in range(1, 15):
        p = cls(df=df, scale=scale)
        assert error(p, cls(df=df * (1.0 + 10.0**-k), scale=scale)) <= RTOL, k
        assert error(p, cls(df=df, scale=nearby(rng, scale, 10.0**-k))) <= RTOL * 100.0, k
        assert error(p, cls(df=df * (1.0 + 10.0**-k), scale=nearby(rng, scale, 10.0**-k))) <= RTOL * 100.0, k


@pytest.mark.parametrize("df", [3.0, 1e3, 1e6, 1e9, 1e12])
def test_equal_means(df):
    """The divergence is smaller than its textbook terms by a factor of df."""
    for k in range(-2, 4):
        factor = 2.0**k
        p, q = kl.Wishart(df=4.0 * df, scale=np.eye(3)), kl.Wishart(df=4.0 * df * factor, scale=np.eye(3) / factor)
        assert error(p, q) <= RTOL, k
    p, q = kl.Wishart(df=df, scale=np.eye(2)), kl.Wishart(df=df * (1.0 + 2.0**-10), scale=np.eye(2) / (1.0 + 2.0**-10))
    assert error(p, q) <= 1e-12  # of the means, which differ by rounding


@BY_DF
def test_unrelated_wisharts(cls):
    rng = np.random.default_rng(1)
    for df_p in (4.0 + 1e-10, 4.5, 20.0, 1e8):
        for df_q in (4.0 + 1e-12, 4.1, 7.0, 1e5):
            for size in (1e-100, 1.0, 1e100):
                p, q = cls(df=df_p, scale=covariance(rng, 5)), cls(df=df_q, scale=size * covariance(rng, 5))
                assert error(p, q) <= RTOL * 10.0, (df_p, df_q, size)


def test_one_dimension_is_a_gamma_distribution():
    """Of shape df / 2 and rate 1 / (2 scale), whose divergence is (Penny 2001)."""
    df, scale = np.array([0.3, 5.0, 80.0]), np.array([0.5, 1.0, 7.0])
    p, q = kl.Wishart(df=df, scale=scale[:, None, None]), kl.Wishart(df=2.0, scale=[[3.0]])
    a, digamma = 0.5 * df, [-7.014862346, 0.703156640645243, 3.676327374034842]
    digamma[0] = float(laws_matrix.mp.digamma(0.15))
    expected = (a - 1.0) * digamma - [math.lgamma(x) for x in a] + np.log(3.0 / scale) * 1.0 + a * (scale / 3.0 - 1.0)
    np.testing.assert_allclose(kl.kl_divergence(p, q), expected, rtol=1e-12)


@given(st.integers(1, 5), st.integers(0, 2**16), st.floats(-16, 0))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_a_change_of_basis_changes_nothing(d, seed, exponent):
    rng = np.random.default_rng(seed)
    scale, df = covariance(rng, d), d - 1.0 + rng.gamma(2.0)
    other, other_df = nearby(rng, scale, 0.1 * 10.0**exponent), df + 10.0**exponent
    units = np.ldexp(1.0, rng.integers(-300, 300, size=d))
    for cls in (kl.Wishart, kl.InverseWishart):
        value = kl.kl_divergence(cls(df=df, scale=scale), cls(df=other_df, scale=other))
        moved = (cls(df=n, scale=a * np.outer(units, units)) for n, a in ((df, scale), (other_df, other)))
        assert value >= 0.0
        assert kl.kl_divergence(*moved) == value


def test_an_inverse_is_an_inverse():
    rng = np.random.default_rng(2)
    scales = [covariance(rng, 3) for _ in range(2)]
    p, q = (kl.InverseWishart(df=5.0 + i, scale=scale) for i, scale in enumerate(scales))
    inverse_p, inverse_q = (kl.Wishart(df=a.df, scale=symmetric(np.linalg.inv(a.scale))) for a in (p, q))
    assert kl.kl_divergence(p, q) == pytest.approx(kl.kl_divergence(inverse_p, inverse_q), rel=1e-12)
    x = inverse_p.sample(random_state=0)
    log_volume = 4.0 * np.linalg.slogdet(x)[1]
    assert p.log_prob(np.linalg.inv(x)) == pytest.approx(inverse_p.log_prob(x) + log_volume, rel=1e-12)


@BY_DF
@pytest.mark.parametrize("df", [2.001, 3.0, 23.9, 24.1, 26.0, 1e4, 1e8, 1e12])
def test_entropy_at_any_number_of_degrees_of_freedom(cls, df):
    """The textbook formula has terms of the size of df log(df), the entropy is of the size of log(df)."""
    mp, d = laws_matrix.mp, 3
    with mp.workdps(60):
        a, sign = mp.mpf(df) / 2, 1 if cls is kl.Wishart else -1
        gammas = laws_matrix.log_multigamma(a, d) + mp.mpf(d * (d - 1)) / 4 * mp.log(mp.pi)
        shapes = gammas + a * d - (a - sign * mp.mpf(d + 1) / 2) * laws_matrix.multidigamma(a, d)
        expected = float(shapes + sign * mp.mpf(d * (d + 1)) / 2 * mp.log(2))
    assert cls(df=df, scale=np.eye(d)).entropy() == pytest.approx(expected, rel=1e-13)


def test_torch_agrees_on_wisharts():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    parameters = [(rng.uniform(3.5, 9.0), covariance(rng, 3)) for _ in range(2)]
    laws = [torch.distributions.Wishart(torch.tensor(n, dtype=torch.float64), torch.tensor(v)) for n, v in parameters]
    p, q = (kl.Wishart(df=n, scale=v) for n, v in parameters)
    assert kl.kl_divergence(p, q) == pytest.approx(torch.distributions.kl_divergence(*laws).item(), rel=1e-11)
    assert p.entropy() == pytest.approx(laws[0].entropy().item(), rel=1e-11)


# ---------------------------------------------------------------- Wishart: domains, draws


@BY_DF
def test_too_few_degrees_of_freedom(cls):
    for df in (2.0, 1.0, [5.0, 2.0]):
        with pytest.raises(errors.InvalidParameterError, match=rf"df of {cls.__name__} must exceed 2 .* of [12]\."):
            cls(df=df, scale=np.eye(3))
    assert math.isfinite(cls(df=2.0 + 1e-9, scale=np.eye(3)).entropy())


@BY_DF
def test_a_scale_that_is_not_positive_definite(cls):
    with pytest.raises(errors.InvalidParameterError, match=f"scale of {cls.__name__} must be positive definite"):
        cls(df=5.0, scale=[[1.0, 2.0], [2.0, 1.0]])


def test_a_scale_that_is_singular_but_for_rounding_is_told_once():
    with pytest.warns(kl.KLToolsWarning, match="scale of Wishart is singular"):
        p = kl.Wishart(df=[5.0, 6.0], scale=[[1.0, 1.0], [1.0, 1.0 + 4e-16]])
    assert p[1].df == 6.0


@BY_DF
def test_density_of_what_is_no_covariance(cls):
    p = cls(df=[5.0, 6.0], scale=np.eye(2))
    good = np.array([[1.0, 0.5], [0.5, 1.0]])
    singular, indefinite, crooked = np.ones((2, 2)), np.array([[1.0, 2.0], [2.0, 1.0]]), good + np.triu(good, 1)
    x = np.stack([good, singular, indefinite, crooked, -good, np.full((2, 2), np.nan)])[:, None]
    value = p.log_prob(x)
    assert np.isfinite(value[0]).all()
    assert (value[1:5] == -math.inf).all()
    assert np.isnan(value[5]).all()


@BY_DF
def test_draws_have_a_positive_density_even_with_few_degrees_of_freedom(cls):
    p = cls(df=2.5, scale=covariance(np.random.default_rng(4), 3))
    x = p.sample(200, random_state=0)
    np.testing.assert_array_equal(x, np.swapaxes(x, -1, -2))
    assert np.isfinite(p.log_prob(x)).mean() > 0.99


def test_mean_log_determinants_of_draws():
    """E log det X = psi_d(df / 2) + d log 2 + log det V, also for a df that is no whole number."""
    p = kl.Wishart(df=2.7, scale=covariance(np.random.default_rng(5), 3))
    logs = np.linalg.slogdet(p.sample(20_000, random_state=0))[1]
    expected = float(laws_matrix.multidigamma(1.35, 3)) + 3.0 * math.log(2.0) + np.linalg.slogdet(p.scale)[1]
    assert abs(logs.mean() - expected) <= 5.0 * logs.std() / 20_000**0.5


# ---------------------------------------------------------------- matrix normal


def matrix_normal(mean, row, col):
    return kl.MatrixNormal(mean=mean, row_cov=row, col_cov=col)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 3), (3, 2), (4, 4)])
def test_near_equal_matrix_normals(n, m):
    rng = np.random.default_rng(6)
    row, col, nought = covariance(rng, n), covariance(rng, m), np.zeros((n, m))
    p = matrix_normal(nought, row, col)
    for k in range(1, 15):
        for q in (
            matrix_normal(nought, nearby(rng, row, 10.0**-k), col),
            matrix_normal(nought, row, nearby(rng, col, 10.0**-k)),
            matrix_normal(nought, nearby(rng, row, 10.0**-k), nearby(rng, col, 10.0**-k)),
            matrix_normal(10.0**-k * rng.normal(size=(n, m)), row, col),
        ):
            assert error(p, q) <= RTOL * 100.0, k


def test_unrelated_matrix_normals():
    rng = np.random.default_rng(7)
    for size in (1e-140, 1e-3, 1.0, 1e3, 1e140):
        p, q = (matrix_normal(rng.normal(size=(3, 2)), covariance(rng, 3), covariance(rng, 2)) for _ in range(2))
        assert error(p, q) <= RTOL
        assert error(p, matrix_normal(q.mean, size * q.row_cov, q.col_cov)) <= RTOL
        assert error(p, matrix_normal(q.mean, size * q.row_cov, q.col_cov / size)) <= RTOL


def test_scales_that_pass_from_rows_to_columns_change_nothing():
    rng = np.random.default_rng(8)
    mean, row, col = rng.normal(size=(3, 2)), covariance(rng, 3), covariance(rng, 2)
    p = matrix_normal(mean, row, col)
    for factor in (1.0 + 1e-9, 1.0 + 1e-3, 0.5, 3.0, 1e200):
        assert 0.0 <= kl.kl_divergence(p, matrix_normal(mean, factor * row, col / factor)) <= 1e-29


@pytest.mark.parametrize("spread", [1e-6, 0.1, 1.0])
def test_a_matrix_normal_is_a_normal_of_its_entries(spread):
    rng = np.random.default_rng(9)
    mean, row, col = rng.normal(size=(3, 2)), covariance(rng, 3), covariance(rng, 2)
    p = matrix_normal(mean, row, col)
    q = matrix_normal(mean + spread, nearby(rng, row, 0.3 * spread), nearby(rng, col, 0.3 * spread))
    entries = [kl.MultivariateNormal(mean=a.mean.ravel(), cov=np.kron(a.row_cov, a.col_cov)) for a in (p, q)]
    assert kl.kl_divergence(p, q) == pytest.approx(kl.kl_divergence(*entries), rel=1e-14 / spread**2 + 1e-12)
    x = rng.normal(size=(5, 3, 2))
    np.testing.assert_allclose(p.log_prob(x), entries[0].log_prob(x.reshape(5, 6)), rtol=1e-11)
    assert p.entropy() == pytest.approx(entries[0].entropy(), rel=1e-12)


def test_extreme_matrix_normals():
    def one(mean, row, col):
        return matrix_normal([[mean]], [[row]], [[col]])

    for row_p, col_p, row_q, col_q in (
        (5e-324, 1.0, 1.0, 1.0),
        (1e300, 2e-300, 1e-300, 1e300),
        (1e-200, 1e-100, 1e200, 1e100),
        (1e300, 1e300, 1e-300, 1e-300),
    ):
        assert error(one(0.0, row_p, col_p), one(0.0, row_q, col_q)) <= RTOL
    assert kl.kl_divergence(one(1e308, 1.0, 1.0), one(-1e308, 1.0, 1.0)) == math.inf


def test_a_covariance_of_a_wrong_size_or_kind():
    with pytest.raises(errors.ShapeMismatchError, match="MatrixNormal: event shapes"):
        matrix_normal(np.zeros((2, 3)), np.eye(3), np.eye(2))
    with pytest.raises(errors.InvalidParameterError, match="col_cov of MatrixNormal must be positive definite"):
        matrix_normal(np.zeros((2, 3)), np.eye(2), np.eye(3) - np.ones((3, 3)) + 1e-3)


def test_batches_of_each_parameter_broadcast():
    rng = np.random.default_rng(10)
    p = matrix_normal(rng.normal(size=(4, 1, 3, 2)), covariance(rng, 3), [covariance(rng, 2) for _ in range(5)])
    q = matrix_normal(np.zeros((3, 2)), np.eye(3), np.eye(2))
    value = kl.kl_divergence(p, q)
    assert value.shape == (4, 5)
    assert value[2, 3] == kl.kl_divergence(p[2, 3], q)


def test_draws_of_an_inverse_wishart_next_to_its_limit():
    """A gamma draw of shape 5e-10 is 0 in float64, its reciprocal inf."""
    draws = kl.InverseWishart(df=1.0 + 1e-9, scale=[[2.0, 0.5], [0.5, 1.0]]).sample(200, random_state=0)
    assert not np.isnan(draws).any()
    assert np.isinf(draws[:, 0, 0]).mean() > 0.9
    np.testing.assert_array_equal(draws[:, 0, 1], draws[:, 1, 0])
    one = kl.InverseWishart(df=1e-9, scale=[[2.0]]).sample(5, random_state=0)
    np.testing.assert_array_equal(one, np.full((5, 1, 1), np.inf))


@pytest.mark.filterwarnings("ignore:scale of Wishart is singular but for rounding")
def test_a_scale_that_has_no_inverse_in_float64():
    p, q = kl.Wishart(df=2.0, scale=np.eye(2)), kl.Wishart(df=2.0, scale=np.full((2, 2), 0.125))
    with pytest.raises(errors.InvalidParameterError, match="no inverse in float64"):
        kl.bhattacharyya(p, q)
