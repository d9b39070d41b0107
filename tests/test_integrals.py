"""What quadrature must not do: call a slow tail inf, miss an infinity, or exceed what a divergence can be."""

import math
import warnings

import numpy as np
import pytest
from mpmath import mp

import kltools as kl
from kltools import errors, pareto

INF = math.inf


def normal(mean, var):
    return kl.Normal(mean=mean, var=var)


def student(df, loc=0.0, scale=1.0):
    return kl.StudentT(df=df, loc=loc, scale=scale)


def integrated(p, q):
    return kl.kl_divergence(p, q, method="quadrature")


def is_right_or_refused(call, truth, rel=2e-9):
    """Whether it was computed; what is wrong fails."""
    try:
        found = call()
    except errors.NoClosedFormError:
        return False
    assert found == pytest.approx(float(truth), rel=rel, abs=0)
    return True


# ---------------------------------------------------------------- bounded divergences


@pytest.mark.parametrize(
    ("p", "q"),
    [
        *((normal(0, 1), normal(mean, 1)) for mean in (100, 1e4, 1e10, 1e12, 1e14, 1e16, 1e20, 1e100, 1e300)),
        (normal(0, 1), normal(1e200, 1e300)),
        (kl.Pareto(shape=1e300, scale=1), kl.Pareto(shape=2, scale=1)),
        (kl.Beta(alpha=1e300, beta=3.0), kl.Beta(alpha=0.5, beta=1.5)),
        (kl.Beta(alpha=2.0, beta=1e300), kl.Beta(alpha=0.5, beta=1.5)),
    ],
    ids=str,
)
def test_what_does_not_overlap_is_as_far_as_can_be(p, q):
    for first, second in ((p, q), (q, p)):
        assert kl.jensen_shannon(first, second) == pytest.approx(math.log(2), rel=1e-15)
        assert kl.total_variation(first, second) == 1.0
    weights = (0.1, 0.9)
    truth = -sum(w * math.log(w) for w in weights)
    assert kl.jensen_shannon(p, q, weights=weights) == pytest.approx(truth, rel=1e-15)


def test_three_apart_in_a_batch_beside_some_that_are_not():
    batch = [normal([0.0, 0.0], 1.0), normal([1e20, 1.0], 1.0), normal([-1e20, 2.0], 1.0)]
    found = kl.jensen_shannon(batch)
    assert found[0] == pytest.approx(math.log(3), rel=1e-15)
    assert found[1] == kl.jensen_shannon([law[1] for law in batch])
    assert 0.0 < found[1] < 0.5
    variation = kl.total_variation(kl.Gamma(shape=[1.0, 2.0], rate=[1.0, 1.0]), kl.Gamma(shape=2.0, rate=[1e200, 2.0]))
    assert variation[0] == 1.0
    assert variation[1] == kl.total_variation(kl.Gamma(shape=2.0, rate=1.0), kl.Gamma(shape=2.0, rate=2.0))


@pytest.mark.parametrize("mean", [1.0, 5.0, 9.0, 12.0, 18.0])
def test_jensen_shannon_of_mpmath(mean):
    with mp.workdps(30):

        def term(x):
            p, q = mp.npdf(x), mp.npdf(x, mean)
            m = (p + q) / 2
            return (p * mp.log(p / m) + q * mp.log(q / m)) / 2

        truth = mp.quad(term, [-30, -8, -2, 0, mean / 4, mean / 2, mean * 0.75, mean, mean + 2, mean + 8, mean + 30])
    found = kl.jensen_shannon(normal(0, 1), normal(mean, 1))
    assert found == pytest.approx(float(truth), rel=1e-9)
    assert found <= math.log(2)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (kl.Gumbel(loc=1e300, scale=1), kl.Gumbel(loc=1, scale=2)),
        (kl.Weibull(shape=1e300, scale=1), kl.Weibull(shape=1.5, scale=3)),
        (kl.Logistic(loc=0, scale=1), kl.Logistic(loc=1e15, scale=1)),
        (kl.Logistic(loc=0, scale=1), kl.Logistic(loc=1e5, scale=1)),
        (kl.Logistic(loc=0, scale=1), student(3.0, 1e290, 1e280)),
    ],
    ids=str,
)
def test_needles_are_right_or_refused(p, q):
    is_right_or_refused(lambda: kl.jensen_shannon(p, q), math.log(2), rel=1e-4)
    is_right_or_refused(lambda: kl.total_variation(p, q), 1.0, rel=1e-4)


def test_bhattacharyya_of_a_needle():
    """Beside a needle at 1, of relative width 1 / s, the other density is constant."""
    for s in (1e2, 1e3, 1e5, 1e7, 1e10, 1e13, 1e15, 1e16, 1e20, 1e100):
        with mp.workdps(130):
            k, c = mp.mpf(1.5), mp.mpf(3)

            def term(y, s=s, k=k, c=c):  # x = exp(y / s): p dx = exp(y - e^y) dy
                x = mp.exp(y / s)
                density_q = k / c * (x / c) ** (k - 1) * mp.exp(-((x / c) ** k))
                return mp.sqrt(mp.exp(y - mp.exp(y)) * density_q * x / s)

            truth = -mp.log(mp.quad(term, [-300, -100, -30, -10, -3, 0, 2, 4, 7]))
        call = lambda s=s: kl.bhattacharyya(kl.Weibull(shape=s, scale=1), kl.Weibull(shape=1.5, scale=3))
        assert is_right_or_refused(call, truth) or s >= 1e7


def test_no_numbers_among_the_mass():
    with pytest.raises(errors.NoClosedFormError, match="among the mass of Beta"):
        kl.jensen_shannon(kl.Beta(alpha=1e300, beta=3.0), kl.Uniform(low=0.0, high=1.0))


# ---------------------------------------------------------------- tails


def kl_student_normal(df, var=1):
    with mp.workdps(40):
        df = mp.mpf(df)
        half = (df + 1) / 2
        negentropy = -half * (mp.psi(0, half) - mp.psi(0, df / 2)) - mp.log(
            mp.sqrt(df) * mp.beta(df / 2, mp.mpf(1) / 2)
        )
        return negentropy + mp.log(2 * mp.pi * var) / 2 + df / (df - 2) / (2 * var)


@pytest.mark.parametrize("df", [3.0, 2.5, 2.1, 2.05, 2.01, 2.001, 2.0001, 2 + 1e-6, 2 + 1e-9, 2 + 1e-11])
def test_a_slow_tail_is_not_inf(df):
    done = is_right_or_refused(lambda: integrated(student(df), normal(0, 1)), kl_student_normal(df))
    assert done or df < 2.1
    assert integrated(student(2.0), normal(0, 1)) == INF


def test_slow_tails_against_exact_means():
    """E x^2 of one tail is a thousand and more; the logarithms of the densities have exact means."""
    with mp.workdps(40):
        a = mp.mpf(1.001)
        exponential, reciprocal = kl.Exponential(rate=1.0), kl.InverseGamma(shape=1.0, scale=1)
        of_pareto = mp.log(a) - 1 - 1 / a + a / (a - 1)
        of_inverse_gamma = -(a + mp.loggamma(a) - (1 + a) * mp.psi(0, a)) + 1 / (a - 1)
        b = mp.mpf(1.0001)
        of_gamma = -(b + mp.loggamma(b) + (1 - b) * mp.psi(0, b)) + 2 * mp.psi(0, b) + 1 / (b - 1)
    assert [round(float(x), 3) for x in (of_pareto, of_inverse_gamma, of_gamma)] == [999.002, 997.848, 9997.846]
    is_right_or_refused(lambda: integrated(kl.Pareto(shape=1.001, scale=1), exponential), of_pareto)
    is_right_or_refused(lambda: integrated(kl.InverseGamma(shape=1.001, scale=1), exponential), of_inverse_gamma)
    is_right_or_refused(lambda: integrated(kl.Gamma(shape=1.0001, rate=1), reciprocal), of_gamma)


def test_a_tail_that_still_grows_at_the_end_of_float64():
    """log |x| follows N(0, 1e6) without end to be seen; of it log q is about twice."""
    p, q = kl.LogNormal(mean=0, var=1e6), student(1.0)
    with mp.workdps(30):

        def term(v):
            log_p = -v * v / mp.mpf(2e6) - mp.log(2 * mp.pi * mp.mpf(1e6)) / 2 - v
            return mp.exp(log_p + v) * (log_p + mp.log(mp.pi) + mp.log1p(mp.exp(2 * v)))

        truth = mp.quad(term, [-20_000, -5000, -1000, -50, 0, 50, 1000, 5000, 20_000])
    assert 300 < truth < 2000
    is_right_or_refused(lambda: integrated(p, q), truth)


@pytest.mark.parametrize("scale", [0.5, 0.9, 0.95, 0.99, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12])
def test_where_a_density_underflows_and_a_logarithm_overflows(scale):
    """E exp(-x) is 1 / (1 - scale^2), of which float64 sees what is below exp(709)."""
    truth = -mp.log(2 * mp.mpf(scale)) - 1 + 1 / (1 - mp.mpf(scale) ** 2)
    done = is_right_or_refused(lambda: integrated(kl.Laplace(loc=0, scale=scale), kl.Gumbel(loc=0, scale=1)), truth)
    assert done or scale > 0.95
    assert integrated(kl.Laplace(loc=0, scale=1), kl.Gumbel(loc=0, scale=1)) == INF
    assert integrated(kl.Laplace(loc=0, scale=1.01), kl.Gumbel(loc=0, scale=1)) == INF


def test_an_infinite_tail_that_weighs_next_to_nothing():
    """The variance of p is inf, though what float64 reaches of it is below 1e-13."""
    assert integrated(student(2.0, 3.0, 1e-5), normal(1, 1e5)) == INF
    assert integrated(student(1.5, 3.0, 1e-5), normal(1, 1e5)) == INF
    assert integrated(student(2.2, 0.0, 1e-5), normal(0, 1e5)) == pytest.approx(
        float(kl_student_normal(2.2, mp.mpf(1e15))), rel=1e-9
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1.0, 1e120, 1e130, 1e154, 1e200, 1e290])
def test_one_scale_is_as_good_as_another(scale):
    for law in (lambda s: kl.Logistic(loc=0, scale=s), lambda s: student(3.0, 0.0, s)):
        p, q, first, second = law(scale), law(2.0 * scale), law(1.0), law(2.0)
        assert integrated(p, q) == pytest.approx(integrated(first, second), rel=1e-9)
        assert kl.jensen_shannon(p, q) == pytest.approx(kl.jensen_shannon(first, second), rel=1e-9)
        assert kl.total_variation(p, q) == pytest.approx(kl.total_variation(first, second), rel=1e-9)


def test_scales_of_a_pair_far_apart():
    wide, narrow = student(3.0, 0.0, 1e130), normal(0, 1)
    assert integrated(wide, narrow) == pytest.approx(1.5e260, rel=1e-9)  # half of E x^2 = 3 scale^2
    is_right_or_refused(lambda: integrated(student(3.0, 0.0, 1e200), narrow), INF)


# ---------------------------------------------------------------- where p^a q^(1 - a) has a constant exponent


def chi_squared_laplace(loc, scale):
    """Of Laplace(loc, scale) from Laplace(0, 1), loc > 0: exponentials over three intervals."""
    with mp.workdps(60):
        loc, rate = mp.mpf(loc), 2 / mp.mpf(scale)
        if rate <= 1:
            return mp.inf
        left = mp.exp(-rate * loc) / (rate - 1)
        middle = mp.exp(-rate * loc) * mp.expm1((rate + 1) * loc) / (rate + 1)
        right = mp.exp(loc) / (rate - 1)
        return (left + middle + right) * rate**2 / 8 - 1


@pytest.mark.parametrize("gap", [0.5, 0.1, 1e-2, 1e-4, 1e-6, 1e-9, 1e-12, 2.0**-51, 0.0, -(2.0**-50), -1e-9, -0.1])
def test_chi_squared_up_to_its_boundary_and_beyond(gap):
    for scale in (1.0, 0.1, 3e5):
        p, q = kl.Laplace(loc=scale, scale=(2.0 - gap) * scale), kl.Laplace(loc=0, scale=scale)
        truth = chi_squared_laplace(1, mp.mpf((2.0 - gap) * scale) / scale)
        done = is_right_or_refused(lambda p=p, q=q: kl.chi_squared(p, q), truth, rel=3e-9)
        assert done or 0.0 < abs(gap) < 1e-6


@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-9, 2e5])
def test_chi_squared_of_logistic_at_the_boundary(scale):
    for at in (0.0, scale):
        p, q = kl.Logistic(loc=at, scale=2.0 * scale), kl.Logistic(loc=0, scale=scale)
        assert kl.chi_squared(p, q) == INF
    assert kl.renyi(p, q, alpha=2.0) == INF
    assert math.isfinite(kl.chi_squared(kl.Logistic(loc=0, scale=1.99 * scale), q))


def test_what_falls_below_float64_before_it_grows():
    """p^2 / q is exp(-2 x + x^2 / 2e9): at x = 2e9 it is exp(-2e9), at 5e9 beyond float64."""
    assert kl.chi_squared(kl.Laplace(loc=0, scale=1), normal(0, 1e9)) == INF
    assert kl.renyi(kl.Logistic(loc=0, scale=1), normal(0, 1e12), alpha=1.5) == INF
    truth = 0.1 / math.sqrt(math.pi) * math.exp(25.0) * (1.0 + math.erf(5.0)) - 1.0
    assert kl.chi_squared(normal(0, 1), kl.Laplace(loc=0, scale=0.1)) == pytest.approx(truth, rel=1e-9)


# ---------------------------------------------------------------- generators


P, Q = normal(0, 1), normal(1, 2)


@pytest.mark.parametrize(
    ("f", "error", "match"),
    [
        (lambda t: np.log(t - 5), errors.InvalidParameterError, r"f\(1\) is nan"),
        (lambda t: np.log(2 * t - 1), errors.InvalidParameterError, r"f\(1e-30\) is nan"),
        (lambda t: np.where((t > 1.5) & (t < 1.6), np.nan, t - 1), errors.InvalidParameterError, "is nan"),
        (lambda t: 1.0, errors.InvalidParameterError, "shape"),
        (lambda t: t.sum(), errors.InvalidParameterError, "shape"),
        (lambda t: t[:, None], errors.InvalidParameterError, "shape"),
        (lambda t: t**2, errors.InvalidParameterError, r"f\(1\) must be 0.*got 1\.0"),
        (lambda t: "t", errors.InvalidTypeError, "array of numbers"),
    ],
)
def test_generators_that_are_none(f, error, match):
    with pytest.raises(error, match=match):
        kl.f_divergence(P, Q, f)
    with pytest.raises(error, match=match):
        kl.estimate_divergence_monte_carlo(P, Q, "f_divergence", f=f, n_samples=1000, random_state=0)


GENERATORS = {
    "kl": (lambda t: t * np.log(t), lambda p, q: kl.kl_divergence(p, q)),
    "reverse": (lambda t: -np.log(t), lambda p, q: kl.kl_divergence(q, p)),
    "jeffreys": (lambda t: (t - 1) * np.log(t), lambda p, q: kl.jeffreys(p, q)),
    "pearson": (lambda t: (t - 1) ** 2, lambda p, q: kl.chi_squared(p, q)),
    "neyman": (lambda t: (t - 1) ** 2 / t, lambda p, q: kl.chi_squared(q, p)),
    "hellinger": (lambda t: 1 - np.sqrt(t), lambda p, q: kl.hellinger(p, q) ** 2),
    "cubes": (lambda t: t**3 - 1, lambda p, q: 2 * kl.tsallis(p, q, alpha=3)),
    "variation": (lambda t: abs(t - 1) / 2, lambda p, q: kl.total_variation(p, q)),
}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(
    ("p", "q"),
    [(P, Q), (Q, P), (P, normal(100, 1)), (normal(0, 1), normal(0, 3)), (normal(0, 1), normal(0, 1e-4))],
    ids=str,
)
def test_generators_far_out(name, p, q):
    """Ratios beyond float64 count: KL of normals that are 100 apart is 5000, and chi squared may be inf."""
    f, expected = GENERATORS[name]
    assert kl.f_divergence(p, q, f) == pytest.approx(expected(p, q), rel=2e-9)


def test_a_generator_between_powers_and_logarithms():
    with mp.workdps(30):
        truth = mp.quad(lambda x: mp.npdf(x) * mp.log(mp.npdf(x) / mp.npdf(x, 1, mp.sqrt(2))) ** 2, [-30, -5, 0, 5, 30])
    assert kl.f_divergence(P, Q, lambda t: t * np.log(t) ** 2) == pytest.approx(float(truth), rel=1e-9)


# ---------------------------------------------------------------- densities and counts


def test_a_density_and_counts_have_nothing_in_common():
    pairs = [
        (kl.Poisson(rate=1.0), normal(0, 1)),
        (kl.Uniform(low=0.0, high=1.0), kl.Geometric(probs=0.5)),
        (kl.Bernoulli(probs=0.5), kl.Beta(alpha=1.0, beta=1.0)),
    ]
    for pair in pairs:
        for p, q in (pair, pair[::-1]):
            assert kl.kl_divergence(p, q) == INF
            assert kl.kl_divergence(p, q, method="quadrature") == INF
            for infinite in (kl.jeffreys, kl.bhattacharyya, kl.chi_squared, kl.cross_entropy):
                assert infinite(p, q) == INF
            assert kl.renyi(p, q, alpha=0.5) == kl.renyi(p, q, alpha=1.0) == kl.renyi(p, q, alpha=2.0) == INF
            assert kl.tsallis(p, q, alpha=0.5) == 2.0
            assert kl.total_variation(p, q) == kl.hellinger(p, q) == 1.0
            assert kl.jensen_shannon(p, q) == pytest.approx(math.log(2), rel=1e-15)
            assert kl.f_divergence(p, q, lambda t: (t - 1) ** 2 / (t + 1)) == 2.0


def test_batches_and_products_of_densities_and_counts():
    found = kl.kl_divergence(kl.Poisson(rate=[1.0, 2.0]), normal([[0.0], [1.0], [2.0]], 1.0))
    np.testing.assert_array_equal(found, np.full((3, 2), INF))
    mixed = kl.Product(kl.Poisson(rate=1.0), normal(0, 1))
    assert kl.kl_divergence(mixed, kl.Product(normal(0, 1), kl.Poisson(rate=1.0))) == INF
    assert kl.kl_divergence(mixed, kl.Product(normal(0, 1), normal(0, 1))) == INF
    assert kl.kl_divergence(mixed, mixed) == 0.0


def test_batches_of_which_some_reach_outside():
    p, q = normal(0, 1), kl.Uniform(low=[-100.0, -200.0], high=100.0)
    np.testing.assert_array_equal(kl.kl_divergence(p, q, method="quadrature"), [INF, INF])
    assert kl.chi_squared(p, q[0], method="quadrature") == INF  # p has mass beyond 100, if less than float64 can say
    gamma, both = kl.Gamma(shape=2.0, rate=1.0), kl.Uniform(low=0.0, high=9.0)
    assert integrated(gamma, both) == INF


# ---------------------------------------------------------------- Pareto tails


@pytest.mark.parametrize("n", [10_000, 100_000])
def test_a_bounded_ratio_has_no_heavy_tail(n):
    """(p / q)^2 is bounded; there is a local maximum of the terms just where their tail begins."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = kl.estimate_divergence_monte_carlo(P, Q, "chi_squared", n_samples=n, random_state=1)
    assert found.diagnostics["pareto_k"] < 0.5
    assert abs(found.value - kl.chi_squared(P, Q)) < 5 * found.standard_error


@pytest.mark.parametrize("k", [0.3, 0.8, 1.5])
def test_tails_that_are_heavy_stay_heavy(k):
    found = [pareto.pareto_k(np.log(np.random.default_rng(seed).pareto(1 / k, 20_000) + 1e-9)) for seed in range(40)]
    assert abs(np.mean(found) - k) < 0.1


def test_ratios_that_crowd_below_an_end():
    for seed in range(20):
        ratios = 1.0 + np.random.default_rng(seed).beta(2.0, 0.5, 5000)  # shape -2
        assert pareto.pareto_k(np.log(ratios)) <= 0.0


def test_a_periodic_density_ends_with_its_support():
    angle, wide = kl.VonMises(loc=0.0, concentration=1.0), normal(0.0, 1.0)
    x = np.linspace(-math.pi, math.pi, 20_001)
    terms = np.exp(angle.log_prob(x)) * (angle.log_prob(x) - wide.log_prob(x))
    truth = np.trapezoid(terms, x)
    assert integrated(angle, wide) == pytest.approx(truth, rel=1e-6)
    assert integrated(wide, angle) == INF
    fit = kl.fit_gaussian(angle)
    assert fit.var == pytest.approx(np.trapezoid(np.exp(angle.log_prob(x)) * x * x, x), rel=1e-6)
