"""Quadrature and sums: any two scalar families, from their log-densities alone."""

import itertools
import math

import numpy as np
import pytest
import scalar_laws as laws
from mpmath import mp
from scipy import integrate, special

import kltools as kl
from kltools import errors, integrands, quadrature

INF = math.inf


def normal(mean, var):
    return kl.Normal(mean=mean, var=var)


def integrated(p, q):
    return kl.kl_divergence(p, q, method="quadrature")


def kl_beta(a, b, c, d):
    with mp.workdps(40):
        a, b, c, d = map(mp.mpf, (a, b, c, d))
        log_beta = mp.log(mp.beta(c, d)) - mp.log(mp.beta(a, b))
        return float(log_beta + (a - c) * mp.psi(0, a) + (b - d) * mp.psi(0, b) + (c - a + d - b) * mp.psi(0, a + b))


def kl_gamma(a, b, c, d):
    with mp.workdps(40):
        a, b, c, d = map(mp.mpf, (a, b, c, d))
        return float((a - c) * mp.psi(0, a) - mp.loggamma(a) + mp.loggamma(c) + c * mp.log(b / d) + a * (d - b) / b)


def kl_cauchy(loc, scale, loc_q, scale_q):
    return math.log(((scale + scale_q) ** 2 + (loc - loc_q) ** 2) / (4 * scale * scale_q))


# ---------------------------------------------------------------- the rule


@pytest.mark.parametrize("degree", range(23))
def test_the_rules_integrate_polynomials(degree):
    exact = 2.0 / (degree + 1) if degree % 2 == 0 else 0.0
    assert quadrature._NODES**degree @ quadrature._KRONROD == pytest.approx(exact, abs=4e-16)
    if degree < 14:
        assert quadrature._NODES**degree @ quadrature._GAUSS == pytest.approx(exact, abs=4e-16)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("mean", "var"),
    [(1, 1), (0, 4), (1e3, 1e-6), (0, 1e10), (0, 1e-10), (1e8, 1), (1e-4, 1), (0, 1.0001), (-30, 2), (1e6, 1e-3)],
)
def test_normal(mean, var):
    p, q = normal(0, 1), normal(mean, var)
    for first, second in ((p, q), (q, p)):
        assert integrated(first, second) == pytest.approx(kl.kl_divergence(first, second), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    "row", [(0.05, 1, 2, 3), (2, 3, 0.05, 1), (0.001, 1, 0.002, 1), (1e4, 1, 1.01e4, 1), (1, 1, 1e5, 1)]
)
def test_gamma_with_poles(row):
    found = integrated(laws.Gamma(shape=row[0], rate=row[1]), laws.Gamma(shape=row[2], rate=row[3]))
    assert found == pytest.approx(kl_gamma(*row), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    "row",
    [
        (0.1, 0.1, 2, 3),
        (2, 3, 0.1, 0.1),
        (0.01, 0.01, 0.02, 0.02),
        (0.05, 0.05, 1, 0.05),
        (1e4, 1e4, 2, 2),
        (2, 2, 1e4, 1e4),
    ],
)
def test_beta_with_poles_at_both_ends(row):
    """Half of the mass of Beta(0.01, 0.01) lies nearer to 1 than any float64 does."""
    found = integrated(laws.Beta(alpha=row[0], beta=row[1]), laws.Beta(alpha=row[2], beta=row[3]))
    assert found == pytest.approx(kl_beta(*row), rel=1e-9, abs=0)


@pytest.mark.parametrize("row", [(0, 1, 3, 0.1), (0, 1e-8, 0, 1), (0, 1, 0, 1e-8), (1e6, 1, 0, 1), (0, 1, 1e-3, 1)])
def test_cauchy(row):
    found = integrated(laws.Cauchy(loc=row[0], scale=row[1]), laws.Cauchy(loc=row[2], scale=row[3]))
    assert found == pytest.approx(kl_cauchy(*row), rel=1e-9, abs=0)


def test_tails_beyond_float64():
    """Of a t distribution with 0.01 degrees of freedom, a thousandth lies beyond 1e300."""
    p, q = laws.Student(df=0.01), laws.Student(df=0.02)
    with mp.workdps(30):

        def log_density(n, t):  # with respect to t = log x, of |x|
            constant = mp.loggamma((n + 1) / 2) - mp.loggamma(n / 2) - mp.log(n * mp.pi) / 2 + mp.log(2)
            return constant - (n + 1) / 2 * mp.log1p(mp.exp(2 * t) / n) + t

        def term(t):
            a, b = log_density(mp.mpf(0.01), t), log_density(mp.mpf(0.02), t)
            return mp.exp(a) * (a - b)

        truth = float(mp.quad(term, [-100, -20, -5, 0, 5, 20, 100, 500, 2000, 10000]))
    assert integrated(p, q) == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize(
    ("p", "q", "low", "high"),
    [
        (laws.Gamma(shape=2.0, rate=3.0), normal(0, 1), 0, 40),
        (laws.Laplace(loc=0.3, scale=0.5), normal(0, 1), -40, 40),
        (laws.Laplace(loc=0.3, scale=0.5), laws.Gumbel(loc=0, scale=1), -30, 30),
        (normal(0.5, 1), laws.Gumbel(loc=0, scale=1), -12, 12),
        (laws.Gumbel(loc=0, scale=1), laws.Laplace(loc=1, scale=3), -6, 60),
        (laws.Uniform(low=1.0, high=2.0), laws.Gamma(shape=2.0, rate=3.0), 1, 2),
        (laws.Uniform(low=-3.0, high=2.0), laws.Laplace(loc=0.7, scale=0.01), -3, 2),
        (laws.Beta(alpha=2.0, beta=3.0), laws.Gamma(shape=0.5, rate=3.0), 0, 1),
        (laws.LogNormal(mean=0.0, var=1.0), laws.Gamma(shape=2.0, rate=1.0), 1e-9, 1e6),
        (laws.Student(df=5.0), normal(1, 2), -3e4, 3e4),
    ],
    ids=lambda law: type(law).__name__,
)
def test_pairs_of_different_families(p, q, low, high):
    def term(x):
        log_p, log_q = float(p._log_prob(np.array(x))), float(q._log_prob(np.array(x)))
        return math.exp(log_p) * (log_p - log_q) if log_p > -700 else 0.0

    points = sorted(
        {
            low,
            high,
            *(x for x in (-1e3, -100, -10, -3, -1, 0, 0.01, 0.3, 0.7, 1, 2, 5, 20, 100, 1e3, 1e4) if low < x < high),
        }
    )
    truth = sum(integrate.quad(term, a, b, epsabs=0, epsrel=1e-12, limit=500)[0] for a, b in itertools.pairwise(points))
    assert integrated(p, q) == pytest.approx(truth, rel=2e-9, abs=1e-12)


@pytest.mark.parametrize("rates", [(3, 4), (0.1, 100), (100, 0.1), (1e-8, 1), (300, 350), (0, 2), (3, 3.01)])
def test_counts(rates):
    a, b = (mp.mpf(rate) for rate in rates)
    truth = float(a * mp.log(a / b) - a + b) if a else rates[1]
    assert integrated(laws.Poisson(rate=rates[0]), laws.Poisson(rate=rates[1])) == pytest.approx(
        truth, rel=1e-12, abs=1e-14
    )


@pytest.mark.parametrize("probs", [(0.1, 0.2), (1e-4, 0.5), (0.5, 1e-4), (0.3, 0.31)])
def test_counts_with_long_tails(probs):
    a, b = probs
    truth = math.log(a / b) + (1 - a) / a * (math.log1p(-a) - math.log1p(-b))
    assert integrated(laws.Geometric(probs=a), laws.Geometric(probs=b)) == pytest.approx(truth, rel=1e-12)


# ---------------------------------------------------------------- inf, and nothing but inf


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (laws.Cauchy(loc=0, scale=1), normal(0, 1)),
        (laws.Cauchy(loc=0, scale=1), laws.Laplace(loc=0, scale=1)),
        (laws.Student(df=2.0), normal(0, 1)),
        (laws.Student(df=0.5), normal(0, 1e6)),
        (laws.Student(df=1.0), laws.Laplace(loc=3, scale=1e3)),
        (normal(0, 1), laws.Gamma(shape=2.0, rate=1.0)),
        (laws.Laplace(loc=0, scale=1), laws.Gumbel(loc=0, scale=1)),
        (laws.Laplace(loc=0, scale=2), laws.Gumbel(loc=0, scale=1)),
        (laws.Student(df=3.0), laws.Gumbel(loc=0, scale=1)),
        (laws.Gamma(shape=2.0, rate=1.0), laws.Uniform(low=0.0, high=9.0)),
        (laws.Uniform(low=0.0, high=1.0), laws.Uniform(low=0.0, high=0.999)),
        (laws.Zeta(s=2.0), laws.Poisson(rate=3.0)),
        (laws.Zeta(s=1.5), laws.Geometric(probs=0.5)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_inf(p, q):
    assert integrated(p, q) == INF


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (laws.Student(df=2.2), normal(0, 1)),
        (laws.Student(df=1.2), laws.Laplace(loc=0, scale=1)),
        (laws.Laplace(loc=0, scale=0.9), laws.Gumbel(loc=0, scale=1)),
        (laws.Cauchy(loc=0, scale=1), laws.Student(df=0.1)),
        (laws.Cauchy(loc=0, scale=1), laws.Student(df=50.0)),
        (laws.LogNormal(mean=0.0, var=9.0), normal(0, 1)),
        (laws.LogNormal(mean=0.0, var=9.0), laws.Gamma(shape=0.1, rate=9.0)),
        (normal(0, 1), normal(0, 1e-200)),
        (laws.Geometric(probs=0.01), laws.Poisson(rate=1.0)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_a_large_divergence_is_not_inf(p, q):
    assert 0.0 < integrated(p, q) < INF


def test_powers_diverge_where_their_tails_do():
    chi = integrands.power(2.0)
    with pytest.raises(errors.NoClosedFormError, match="does not reach"):
        quadrature.integral(chi, (normal(0, 1), normal(0, 0.5)), "MC")  # which side is it, of a rounded sqrt(0.5)?
    for var, is_finite in ((0.49, False), (0.51, True), (0.5 - 1e-9, False), (0.5001, True)):
        value = float(quadrature.integral(chi, (normal(0, 1), normal(0, var)), "MC"))
        assert math.isfinite(value) == is_finite, var
        if is_finite:
            assert value == pytest.approx(1 / math.sqrt(2 * var - 1) * var - 1, rel=1e-8)
    geometric, poisson = laws.Geometric(probs=0.1), laws.Poisson(rate=100.0)
    assert quadrature.integral(chi, (geometric, poisson), "MC") == INF  # terms fall below 1e-300 before they grow
    assert math.isfinite(quadrature.integral(chi, (poisson, geometric), "MC"))


def test_poles_decide_too():
    """chi squared of Beta(a, 1) from Beta(c, 1) is finite where 2 a > c."""
    for a, c, is_finite in ((0.5, 1.1, False), (0.6, 1.1, True), (0.5, 1.0, False)):
        for p, q in (
            (laws.Beta(alpha=a, beta=1.0), laws.Beta(alpha=c, beta=1.0)),
            (laws.Beta(alpha=1.0, beta=a), laws.Beta(alpha=1.0, beta=c)),
        ):
            value = float(quadrature.integral(integrands.power(2.0), (p, q), "MC"))
            assert value == (pytest.approx(a * a / c / (2 * a - c) - 1, rel=1e-9) if is_finite else INF)


# ---------------------------------------------------------------- what it cannot do


def test_what_misses_its_accuracy_is_an_error():
    with pytest.raises(errors.NoClosedFormError, match=r"1e-09.*estimate_kl_monte_carlo\(p, q"):
        integrated(laws.Student(df=2.01), normal(0, 1))  # a twentieth lies beyond exp(300)
    with pytest.raises(errors.NoClosedFormError, match=r"16777216.*estimate_kl_monte_carlo\(p, q"):
        integrated(laws.Poisson(rate=1e16), laws.Poisson(rate=1.1e16))
    with pytest.raises(errors.NoClosedFormError, match="16777216"):
        integrated(laws.Zeta(s=2.0), laws.Zeta(s=3.0))
    with pytest.raises(errors.NoClosedFormError, match="no numbers among the mass"):
        integrated(normal(1e150, 1), normal(0, 1))


def test_mass_that_was_missed_is_noticed():
    liar = laws.Shifted(loc=0.0, scale=1.0)
    with pytest.raises(errors.NoClosedFormError, match="does not reach"):
        integrated(liar, normal(0, 1))
    with pytest.raises(errors.NoClosedFormError, match="add up to"):
        integrated(laws.Twice(probs=0.5), laws.Geometric(probs=0.5))


def test_batches_are_loops():
    p, q = normal([[0.0], [1.0]], 1.0), normal([0.0, 0.5, 3.0], [1.0, 2.0, 3.0])
    found = integrated(p, q)
    np.testing.assert_allclose(found, kl.kl_divergence(p, q), rtol=1e-9, atol=0)
    assert found[0, 0] == 0.0
    np.testing.assert_array_equal(found, [[integrated(p[i, 0], q[j]) for j in range(3)] for i in range(2)])
    assert integrated(p[:0], q).shape == (0, 3)
    assert isinstance(integrated(p[0, 0], q[1]), float)
    np.testing.assert_allclose(
        kl.kl_divergence(p, q, method="quadrature", unit="bits"), found / math.log(2), rtol=1e-15
    )


def test_categories_are_summed():
    p, q = kl.Categorical(probs=[0.5, 0.5, 0.0]), kl.Categorical(probs=[0.25, 0.25, 0.5])
    assert integrated(p, q) == pytest.approx(math.log(2), rel=1e-15)
    assert integrated(q, p) == INF
    with pytest.raises(errors.ShapeMismatchError, match=r"\[3, 2\]"):
        integrated(p, kl.Categorical(probs=[0.5, 0.5]))


def test_what_quadrature_does_not_apply_to():
    vectors = kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1])
    with pytest.raises(errors.NoClosedFormError, match=r"MultivariateNormalDiag.*estimate_kl_monte_carlo"):
        integrated(vectors, vectors)
    with pytest.raises(errors.InvalidTypeError, match="densities"):
        kl.jensen_shannon([laws.Poisson(rate=1.0), laws.Gamma(shape=1.0, rate=1.0), normal(0, 1)])
    with pytest.raises(errors.InvalidParameterError, match="method"):
        kl.kl_divergence(normal(0, 1), normal(0, 1), method="exact")


def test_the_error_of_a_missing_form_names_quadrature_where_it_works():
    with pytest.raises(errors.NoClosedFormError, match=r'kl_divergence\(p, q, method="quadrature"\)'):
        kl.kl_divergence(laws.Cauchy(loc=0, scale=1), normal(0, 1))
    mixture = kl.GaussianMixture(weights=[1.0], means=[[0.0]], covs=[[1.0]])
    with pytest.raises(errors.NoClosedFormError, match="estimate_kl_monte_carlo"):
        kl.kl_divergence(mixture, mixture)


def test_entropy_of_scipy():
    for a in (0.05, 0.5, 3.0, 1e4):
        expected = a + special.gammaln(a) + (1 - a) * special.digamma(a)
        assert kl.entropy(laws.Gamma(shape=a, rate=1.0)) == pytest.approx(expected, rel=1e-9)
    assert kl.entropy(laws.Uniform(low=0.0, high=1.0)) == pytest.approx(0.0, abs=1e-15)


def test_a_needle_within_an_endless_field():
    """The widths differ by more than float64 reaches; the answer is inf where it is beyond it, too."""
    field = kl.Uniform(low=-1e300, high=1e300)
    assert kl.kl_divergence(field, kl.Laplace(loc=0, scale=1e-250), method="quadrature") == math.inf
    assert kl.kl_divergence(field, kl.Laplace(loc=0, scale=1.0), method="quadrature") == pytest.approx(5e299, rel=1e-9)
    found = kl.kl_divergence(field, kl.Cauchy(loc=0, scale=1e-250), method="quadrature")
    log_z = math.log(1e300) - math.log(1e-250) - 1.0  # the mean of log |x| is log(1e300) - 1
    truth = -math.log(2.0) - math.log(1e300) + math.log(math.pi) + math.log(1e-250) + 2.0 * log_z
    assert found == pytest.approx(truth, rel=1e-9)


def test_where_exponents_cancel_exactly_it_is_inf_and_where_rounding_decides_it_refuses():
    """p^2 / q is constant: far out it is the exponential of a difference of huge numbers."""
    p = kl.Exponential(rate=1.0)
    assert kl.renyi(p, kl.Exponential(rate=2.0), alpha=2.0, method="quadrature") == INF
    with pytest.raises(errors.NoClosedFormError, match="does not reach"):
        kl.renyi(p, kl.Exponential(rate=2.0 - 2.0**-51), alpha=2.0, method="quadrature")
