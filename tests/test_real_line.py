"""Laplace, Logistic, Gumbel, Cauchy and Student's t: near-equal pairs, extremes, draws, torch."""

import math

import numpy as np
import pytest
from exact import relative_error
from hypothesis import given
from hypothesis import strategies as st
from laws_real_line import EXACT
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import errors

FAMILIES = [kl.Laplace, kl.Gumbel, kl.Cauchy]
SCALAR = [kl.Laplace, kl.Logistic, kl.Gumbel, kl.Cauchy]
each_family = pytest.mark.parametrize("cls", FAMILIES, ids=lambda cls: cls.__name__)
each_scalar = pytest.mark.parametrize("cls", SCALAR, ids=lambda cls: cls.__name__)
finite = st.floats(-1e3, 1e3)
scales = st.floats(1e-3, 1e3)


def exact(name_p, p, name_q, q):
    return EXACT[name_p, name_q](*({k: mp.mpf(v) for k, v in side.items()} for side in (p, q)))


@each_family
@pytest.mark.parametrize("scale", [1e-200, 0.3, 1.0, 7e150])
def test_nearly_equal_pairs_keep_their_digits(cls, scale):
    name = cls.__name__
    for shift in (0.0, 1e-12, -1e-8, 1e-4, -0.1):
        for growth in (0.0, 1e-13, 1e-8, -1e-8, 1e-4, 0.3, 0.9):
            p = {"loc": shift * scale, "scale": scale * (1.0 + growth)}
            q = {"loc": 0.0, "scale": scale}
            for a, b in ((p, q), (q, p)):
                value = kl.kl_divergence(cls(**a), cls(**b))
                with mp.workdps(60):
                    assert relative_error(value, exact(name, a, name, b)) < 1e-14


@each_family
@given(loc_p=finite, loc_q=finite, scale_p=scales, scale_q=scales, move=finite, stretch=st.integers(-60, 60))
def test_moving_and_scaling_both_changes_nothing(cls, loc_p, loc_q, scale_p, scale_q, move, stretch):
    value = kl.kl_divergence(cls(loc=loc_p, scale=scale_p), cls(loc=loc_q, scale=scale_q))
    s = 2.0**stretch
    scaled = kl.kl_divergence(cls(loc=s * loc_p, scale=s * scale_p), cls(loc=s * loc_q, scale=s * scale_q))
    assert value >= 0.0
    assert scaled == pytest.approx(value, rel=1e-13)
    mirrored = kl.kl_divergence(cls(loc=loc_q - loc_p, scale=scale_p), cls(loc=0.0, scale=scale_q))
    if cls is not kl.Gumbel:
        assert mirrored == pytest.approx(value, rel=1e-9)


def test_divergences_of_cauchy_laws_are_symmetric():
    rng = np.random.default_rng(0)
    p = kl.Cauchy(loc=rng.normal(size=50), scale=rng.gamma(2.0, size=50))
    q = kl.Cauchy(loc=rng.normal(size=50), scale=rng.gamma(2.0, size=50))
    np.testing.assert_allclose(kl.kl_divergence(p, q), kl.kl_divergence(q, p), rtol=1e-14)


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        (kl.Laplace(loc=0, scale=1e300), kl.Laplace(loc=0, scale=1e-300), math.inf),
        (kl.Laplace(loc=0, scale=1e-300), kl.Laplace(loc=0, scale=1e300), 600 * math.log(10) - 1.0),
        (kl.Laplace(loc=1e10, scale=1e-300), kl.Laplace(loc=0, scale=1.0), 1e10 + 300 * math.log(10) - 1.0),
        (kl.Laplace(loc=1.5e308, scale=1e308), kl.Laplace(loc=-1.5e308, scale=1e308), 3.0 + math.expm1(-3.0)),
        (kl.Gumbel(loc=0, scale=1e300), kl.Gumbel(loc=0, scale=1e-300), math.inf),
        (kl.Gumbel(loc=0, scale=1), kl.Gumbel(loc=800, scale=1), math.inf),
        (kl.Gumbel(loc=800, scale=1), kl.Gumbel(loc=0, scale=1), 799.0),
        (kl.Cauchy(loc=0, scale=1e-300), kl.Cauchy(loc=0, scale=1e300), 600 * math.log(10) - math.log(4.0)),
        (kl.Cauchy(loc=1.5e308, scale=1e-300), kl.Cauchy(loc=-1.5e308, scale=1e-300), None),
        (kl.Normal(mean=0, var=1e300), kl.Laplace(loc=0, scale=1e-300), math.inf),
        (kl.Normal(mean=0, var=1e300), kl.Gumbel(loc=0, scale=1e-300), math.inf),
        (kl.Normal(mean=-1e5, var=1.0), kl.Gumbel(loc=0, scale=1.0), math.inf),
    ],
)
def test_extreme_parameters(p, q, expected):
    if expected is None:
        with mp.workdps(60):
            expected = float(2 * mp.log(mp.mpf(1.5e308) / mp.mpf(1e-300)))
    assert kl.kl_divergence(p, q) == pytest.approx(expected, rel=1e-14, abs=0)


def test_heavy_tails_against_gaussians_have_no_closed_form():
    for p in (kl.Cauchy(loc=0, scale=1), kl.StudentT(df=3, loc=0, scale=1), kl.Logistic(loc=0, scale=1)):
        with pytest.raises(errors.NoClosedFormError, match="Normal"):
            kl.kl_divergence(p, kl.Normal(mean=0, var=1))


# ---------------------------------------------------------------- densities, entropy, draws


@each_scalar
@pytest.mark.parametrize("x", [1e200, -1e200])
def test_log_prob_far_out(cls, x):
    expected = {
        kl.Laplace: -1e200,
        kl.Logistic: -1e200,
        kl.Gumbel: -1e200 if x > 0 else -math.inf,
        kl.Cauchy: -math.log(math.pi) - 400 * math.log(10),
    }
    assert cls(loc=0.0, scale=1.0).log_prob(x) == pytest.approx(expected[cls], rel=1e-14)


def test_log_prob_of_student_far_out_and_of_many_degrees():
    with mp.workdps(50):
        df, z = mp.mpf(2.5), mp.mpf(1e200)
        constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2
        truth = constant - (df + 1) / 2 * mp.log1p(z**2 / df)
    assert kl.StudentT(df=2.5, loc=0, scale=1).log_prob(1e200) == pytest.approx(float(truth), rel=1e-14)
    for x in (0.0, 1.3, -20.0):
        nearly_normal = kl.StudentT(df=1e20, loc=0, scale=1).log_prob(x)
        assert nearly_normal == pytest.approx(kl.Normal(mean=0, var=1).log_prob(x), rel=1e-13)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("df", [1e-3, 0.7, 1.0, 4.0, 30.0, 1e6, 1e15])
def test_entropy_of_student(df, d):
    with mp.workdps(60):
        a, b = mp.mpf(df) / 2, mp.mpf(d) / 2
        constant = mp.loggamma(a) - mp.loggamma(a + b) + b * mp.log(mp.mpf(df) * mp.pi)
        truth = float(constant + (a + b) * (mp.digamma(a + b) - mp.digamma(a)))
    p = kl.MultivariateStudentT(df=df, loc=np.zeros(d), scale_matrix=np.eye(d))
    assert p.entropy() == pytest.approx(truth, rel=1e-13)
    if d == 1:
        assert kl.StudentT(df=df, loc=0, scale=1).entropy() == pytest.approx(truth, rel=1e-13)


@each_scalar
def test_draws_have_the_quantiles_of_scipy(cls):
    law = {kl.Laplace: stats.laplace, kl.Logistic: stats.logistic, kl.Gumbel: stats.gumbel_r, kl.Cauchy: stats.cauchy}
    x = cls(loc=1.5, scale=0.3).sample(20_000, random_state=0)
    assert stats.kstest(x, law[cls](1.5, 0.3).cdf).pvalue > 1e-3


def test_draws_of_student_follow_its_degrees():
    x = kl.StudentT(df=[1.0, 3.5], loc=-1.0, scale=[2.0, 0.1]).sample(20_000, random_state=0)
    for column, df, scale in zip(x.T, (1.0, 3.5), (2.0, 0.1), strict=True):
        assert stats.kstest(column, stats.t(df, -1.0, scale).cdf).pvalue > 1e-3


def test_draws_of_multivariate_student_have_its_margins():
    scale = np.array([[2.0, 0.6], [0.6, 0.5]])
    x = kl.MultivariateStudentT(df=2.5, loc=[1.0, -1.0], scale_matrix=scale).sample(20_000, random_state=0)
    for w in ([1.0, 0.0], [0.0, 1.0], [1.0, -2.0]):
        law = stats.t(2.5, np.dot(w, [1.0, -1.0]), (w @ scale @ w) ** 0.5)
        assert stats.kstest(x @ w, law.cdf).pvalue > 1e-3


def test_draws_beyond_float64_have_both_signs():
    draws = kl.StudentT(df=5e-324, loc=0.5, scale=2.0).sample(200, random_state=0)
    assert np.isinf(draws).all()
    assert 0.3 < (draws > 0.0).mean() < 0.7


def test_points_at_the_ends_of_float64():
    """Far out a density falls like a power: of the longest distances the logarithm is known, or is -inf."""
    p = kl.MultivariateStudentT(df=3.0, loc=[0.0, 0.0], scale_matrix=np.eye(2))
    expected = -math.log(2 * math.pi) - 2.5 * (2 * math.log(1e200) + math.log(2.0 / 3.0))
    assert p.log_prob([1e200, 1e200]) == pytest.approx(expected, rel=1e-14)
    wide = kl.MultivariateStudentT(df=3.0, loc=[1.0, 2.0], scale_matrix=[[5.6e239, -4.4e239], [-4.4e239, 3.6e239]])
    assert math.isfinite(wide.log_prob([1.7e308, 1.7e308]))
    narrow = kl.MultivariateStudentT(df=3.0, loc=[1e300, 1e300], scale_matrix=1e-106 * np.eye(2))
    assert narrow.log_prob([0.8, 0.6]) == -math.inf


def test_points_where_only_some_parameters_are_batched():
    """One scale matrix, or one point, for several degrees of freedom."""
    df, x = np.array([2.0, 3.0, 4.0]), np.array([0.5, -0.5])
    expected = [stats.multivariate_t([0.0, 1.0], np.eye(2), df=each).logpdf(x) for each in df]
    p = kl.MultivariateStudentT(df=df, loc=[0.0, 1.0], scale_matrix=np.eye(2))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-13)
    np.testing.assert_allclose(p.log_prob(np.tile(x, (4, 1, 1))), np.tile(expected, (4, 1)), rtol=1e-13)
    p = kl.MultivariateStudentT(df=df, loc=[0.0, 1.0], scale_matrix=np.stack([np.eye(2)] * 3))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-13)


def test_scale_matrices_are_checked():
    with pytest.raises(errors.InvalidParameterError, match="scale_matrix of MultivariateStudentT must be positive def"):
        kl.MultivariateStudentT(df=3.0, loc=[0, 0], scale_matrix=[[1, 2], [2, 1]])
    with pytest.warns(errors.KLToolsWarning, match="scale_matrix of MultivariateStudentT is singular but for rounding"):
        kl.MultivariateStudentT(df=3.0, loc=[0, 0], scale_matrix=[[1, 1], [1, 1 + 4e-16]])


@pytest.mark.parametrize("name", ["Laplace", "Gumbel", "Cauchy", "StudentT"])
def test_log_prob_is_that_of_torch(name):
    torch = pytest.importorskip("torch")
    df = {"df": 3.5} if name == "StudentT" else {}
    theirs = getattr(torch.distributions, name)(
        **df, loc=torch.tensor(0.3, dtype=torch.float64), scale=torch.tensor(1.7, dtype=torch.float64)
    )
    ours = getattr(kl, name)(**df, loc=0.3, scale=1.7)
    x = np.linspace(-4.0, 9.0, 14)
    np.testing.assert_allclose(ours.log_prob(x), theirs.log_prob(torch.tensor(x)).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("name_p", "name_q"),
    [
        ("Laplace", "Laplace"),
        ("Gumbel", "Gumbel"),
        ("Cauchy", "Cauchy"),
        ("Laplace", "Normal"),
        ("Gumbel", "Normal"),
        ("Normal", "Laplace"),
        ("Normal", "Gumbel"),
    ],
)
def test_divergence_is_that_of_torch(name_p, name_q):
    torch = pytest.importorskip("torch")

    def both(name, loc, scale):
        names = {"loc": torch.tensor(loc, dtype=torch.float64), "scale": torch.tensor(scale, dtype=torch.float64)}
        ours = kl.Normal(mean=loc, var=scale**2) if name == "Normal" else getattr(kl, name)(loc=loc, scale=scale)
        return ours, getattr(torch.distributions, name)(**names)

    p, their_p = both(name_p, 0.3, 1.7)
    q, their_q = both(name_q, -0.4, 0.8)
    expected = torch.distributions.kl_divergence(their_p, their_q).item()
    assert kl.kl_divergence(p, q) == pytest.approx(expected, rel=1e-12)


def test_log_densities_where_the_distance_in_scales_overflows():
    """Tails that are powers go on beyond float64."""
    x, scale = 1e300, 1e-250
    log_z = math.log(x) - math.log(scale)
    cauchy = -math.log(math.pi) - 2.0 * log_z - math.log(scale)
    assert kl.Cauchy(loc=0, scale=scale).log_prob([x, -x]) == pytest.approx([cauchy, cauchy], rel=1e-14)
    assert kl.HalfCauchy(scale=scale).log_prob(x) == pytest.approx(cauchy + math.log(2.0), rel=1e-14)
    assert kl.StudentT(df=1, loc=0, scale=scale).log_prob(x) == pytest.approx(cauchy, rel=1e-13)
    three = math.log(2.0 * math.sqrt(3.0) / math.pi) + math.log(3.0) - 4.0 * log_z - math.log(scale)
    assert kl.StudentT(df=3, loc=0, scale=scale).log_prob(x) == pytest.approx(three, rel=1e-13)
    assert kl.Laplace(loc=0, scale=scale).log_prob(x) == -math.inf
    assert kl.Cauchy(loc=0, scale=scale).log_prob(math.inf) == -math.inf


def test_a_density_at_its_peak_beside_rows_far_out():
    p = kl.Cauchy(loc=[0.0, 1.0], scale=5e-324)
    at_peak = -math.log(math.pi) - math.log(5e-324)
    far_out = math.log(5e-324) - math.log(math.pi)
    np.testing.assert_allclose(p.log_prob(1.0), [far_out, at_peak], rtol=1e-14)
