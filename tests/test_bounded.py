"""Distributions on intervals and simplices: near equality, concentration, extremes, draws, other libraries."""

import math

import exact
import laws_bounded
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import _special, _stirling, _tilt, errors
from kltools.families import beta, bounded, uniform

STEPS = (1e-8, 1e-4, 0.1, 3.0)


def truth(name_p, p, name_q, q):
    numbers = [
        {key: [mp.mpf(x) for x in v] if isinstance(v, list) else mp.mpf(v) for key, v in d.items()} for d in (p, q)
    ]
    return laws_bounded.EXACT[name_p, name_q](*numbers)


def error_of(name_p, p, name_q, q):
    value = kl.kl_divergence(getattr(kl, name_p)(**p), getattr(kl, name_q)(**q))
    assert value >= 0.0
    return exact.relative_error(value, truth(name_p, p, name_q, q))


# ---------------------------------------------------------------- Beta and Dirichlet

SIZES = (1e-12, 0.5, 3.0, 1e3, 1e9)


@pytest.mark.parametrize("a", SIZES)
@pytest.mark.parametrize("b", SIZES)
def test_beta_near_equality_and_far(a, b):
    """Also where the mean, the total, or one parameter stays."""
    for step in STEPS:
        for c, d in ((a, b * (1 + step)), (a * (1 + step), b * (1 + step)), (a * (1 + step), b), (a + step * b, b)):
            q = {"alpha": c, "beta": d}
            assert error_of("Beta", {"alpha": a, "beta": b}, "Beta", q) <= 1e-13, q
            assert error_of("Beta", q, "Beta", {"alpha": a, "beta": b}) <= 1e-13, q


@pytest.mark.parametrize("size", [1e-10, 1.0, 1e8])
def test_dirichlet_near_equality(size):
    for step in STEPS:
        p = {"concentration": [size, 2.7 * size, 0.1 * size, 30.0 * size]}
        for moved in ([0], [3], [0, 1, 2, 3], [1, 2]):
            a = np.array(p["concentration"])
            a[moved] *= 1.0 + step
            q = {"concentration": a.tolist()}
            assert error_of("Dirichlet", p, "Dirichlet", q) <= 1e-13
            assert error_of("Dirichlet", q, "Dirichlet", p) <= 1e-13


EXTREME_PAIRS = [
    ([2.6e-136, 8.9e-122], [6.3e-12, 7.8e132]),  # the first nearly has no share, and all are far
    ([7.5e148, 683.0, 1e143], [7.5e148 * (1 + 1e-8), 683.0, 1e143 * (1 + 1e-8)]),  # products overflow
    ([1.7e147, 1.4e-31, 3.2e-136], [1.6e-89, 8.2e-112, 3.9e-86]),  # a mean underflows
    ([1e-300, 1.0, 1e300], [1e300, 1.0, 1e-300]),
    ([1e-300, 2e-300], [2e-300, 1e-300]),
    ([1e-160, 1.0, 1.0], [1e-160 * (1 + 1e-8), 1.0, 1.0]),
]


@pytest.mark.parametrize(("p", "q"), EXTREME_PAIRS)
def test_dirichlet_of_extreme_concentrations(p, q):
    with mp.workdps(1000):
        assert error_of("Dirichlet", {"concentration": p}, "Dirichlet", {"concentration": q}) <= 1e-13


@pytest.mark.parametrize("p", [[3.0, 3.0, 1e-20, 1e-40], [1e300, 1.0, 1e-300], [0.1, 0.2, 0.3, 1e17], [5.0]])
def test_rest_of_a_sum(p):
    """The sum of all others, to twice the digits, whether own is the largest or vanishes beside it."""
    law = kl.Dirichlet(concentration=p)
    with mp.workdps(1000):
        for k, own in enumerate(p):
            rest, rounding = _stirling.rest_of_sum(
                own, float(law.largest), float(law.others), float(law.others_rounding)
            )
            truth = mp.fsum(mp.mpf(x) for j, x in enumerate(p) if j != k)
            assert abs(mp.mpf(rest) + mp.mpf(rounding) - truth) <= truth * mp.mpf(2) ** -100


def test_dirichlet_of_two_is_beta_and_merging_does_not_add():
    p, q = kl.Dirichlet(concentration=[2.0, 5.0]), kl.Dirichlet(concentration=[0.3, 4.0])
    both = kl.kl_divergence(kl.Beta(alpha=2.0, beta=5.0), kl.Beta(alpha=0.3, beta=4.0))
    assert kl.kl_divergence(p, q) == pytest.approx(both, rel=1e-14)
    split = kl.kl_divergence(kl.Dirichlet(concentration=[2.0, 1.0, 4.0]), kl.Dirichlet(concentration=[0.3, 3.0, 1.0]))
    assert split > both


def test_dirichlet_of_many_and_of_one():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(1.0, size=(2, 300))
    assert error_of("Dirichlet", {"concentration": a.tolist()}, "Dirichlet", {"concentration": b.tolist()}) <= 1e-14
    assert kl.kl_divergence(kl.Dirichlet(concentration=[2.0]), kl.Dirichlet(concentration=[5.0])) == 0.0


def test_beta_against_normal_of_the_same_moments():
    """What is left shrinks with the squared skewness, then with the squared kurtosis."""
    for a, b in ((20.0, 20.0), (1e3, 1e3), (1e6, 1e6), (12.5, 1e4), (1e6, 3e6), (1e9, 1e7)):
        mean, var = a / (a + b), a / (a + b) * (b / (a + b)) / (a + b + 1.0)
        assert error_of("Beta", {"alpha": a, "beta": b}, "Normal", {"mean": mean, "var": var}) <= 1e-12


def scalar_error(function, name_p, p, name_q, q):
    """For pairs whose q may not be there: the formula itself."""
    value = scalar_value(function, p, q)
    assert value >= 0.0
    return exact.relative_error(value, truth(name_p, p, name_q, q))


def scalar_value(function, p, q):
    arguments = {f"{key}_p": v for key, v in p.items()} | {f"{key}_q": v for key, v in q.items()}
    if "one_minus_probs_p" in function.parameters:
        arguments["one_minus_probs_p"] = 1.0 - p["probs"]
    return float(function(*(arguments[name] for name in function.parameters)))


FORMULAS = {
    ("Beta", "Exponential"): beta.kl_beta_exponential,
    ("Beta", "Gamma"): beta.kl_beta_gamma,
    ("ContinuousBernoulli", "Exponential"): bounded.kl_continuous_bernoulli_exponential,
    ("Uniform", "Exponential"): uniform.kl_uniform_exponential,
    ("Uniform", "Gamma"): uniform.kl_uniform_gamma,
    ("Uniform", "Gumbel"): uniform.kl_uniform_gumbel,
    ("Uniform", "Laplace"): uniform.kl_uniform_laplace,
    ("Uniform", "Pareto"): uniform.kl_uniform_pareto,
}
RATES = (1e-300, 1e-3, 1.0, 7.0, 1e5, 1e300)
PLACES = [(m, s) for m in (0.0, 0.5, -20.0, 1e6) for s in (1e-250, 1e-3, 1.0, 1e9)]
OF_Q = {
    "Exponential": [{"rate": rate} for rate in RATES],
    "Gamma": [{"shape": shape, "rate": rate} for shape in (1e-6, 1.0, 4.5, 1e6) for rate in RATES],
    "Gumbel": [{"loc": m, "scale": s} for m, s in PLACES],
    "Laplace": [{"loc": m, "scale": s} for m, s in PLACES],
    "Pareto": [{"shape": shape, "scale": scale} for shape in (1e-6, 1.0, 1e7) for scale in (1e-300, 0.1, 0.25)],
}


@pytest.mark.parametrize(("name_p", "name_q"), FORMULAS, ids=str)
def test_families_of_other_files(name_p, name_q):
    for p in laws_bounded.GRID[name_p]:
        for q in OF_Q[name_q]:
            if "low" in p and p["low"] < 0.0 and name_q in ("Exponential", "Gamma", "Pareto"):
                continue
            assert scalar_error(FORMULAS[name_p, name_q], name_p, p, name_q, q) <= 1e-12, (p, q)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 20.0])
def test_beta_near_a_gamma_distribution(alpha):
    for b in (20.0, 1e4, 1e8):
        p, q = {"alpha": alpha, "beta": b}, {"shape": alpha, "rate": alpha + b}
        assert scalar_error(beta.kl_beta_gamma, "Beta", p, "Gamma", q) <= 1e-12, b


# ---------------------------------------------------------------- continuous Bernoulli


def test_continuous_bernoulli_around_one_half():
    for shift in (0.0, 1e-15, 1e-9, 1e-4, 0.05):
        for step in (2.0**-52, 1e-12, 1e-8, 1e-3, 0.2):
            p, q = {"probs": 0.5 + shift}, {"probs": 0.5 + shift + step}
            assert error_of("ContinuousBernoulli", p, "ContinuousBernoulli", q) <= 1e-13
            assert error_of("ContinuousBernoulli", q, "ContinuousBernoulli", p) <= 1e-13
            assert error_of("ContinuousBernoulli", q, "Uniform", {"low": 0.0, "high": 1.0}) <= 1e-13


@pytest.mark.parametrize("p", [1e-300, 1e-9, 0.2, 0.5, 0.8, 1.0 - 1e-9])
def test_continuous_bernoulli_near_and_far(p):
    for step in (1e-10, 1e-3, 0.1):
        q = {"probs": p - step * (1.0 - p) * p}
        assert error_of("ContinuousBernoulli", {"probs": p}, "ContinuousBernoulli", q) <= 1e-13


@pytest.mark.parametrize("cls", [kl.Bernoulli, kl.ContinuousBernoulli])
def test_logits_keep_both_probabilities(cls):
    p, q = cls.from_logits(logits=[40.0, -40.0, 0.0, 700.0]), cls.from_logits(logits=[45.0, -45.0, 0.5, -700.0])
    assert (p.probs[0], p.one_minus_probs[0]) == (1.0, pytest.approx(math.exp(-40.0), rel=1e-15))
    forward = kl.kl_divergence(p, q)
    assert np.isfinite(forward).all()
    assert (forward > 0).all()
    opposite = cls.from_logits(logits=[-40.0, 40.0, 0.0, -700.0]), cls.from_logits(logits=[-45.0, 45.0, -0.5, 700.0])
    np.testing.assert_allclose(forward, kl.kl_divergence(*opposite), rtol=1e-14)
    np.testing.assert_array_equal(kl.kl_divergence(p[1:], q[1:]), forward[1:])  # indexing keeps them as well
    np.testing.assert_allclose(cls.from_logits(logits=[-2.0, 1.0]).probs, [1 / (1 + math.e**2), 1 / (1 + 1 / math.e)])


@pytest.mark.parametrize("cls", [kl.Bernoulli, kl.ContinuousBernoulli])
@pytest.mark.parametrize("logits", [709.0, -1e300, math.inf, math.nan])
def test_logits_whose_probability_underflows_are_refused(cls, logits):
    with pytest.raises(errors.InvalidParameterError, match=f"logits of {cls.__name__} must lie between -708 and 708"):
        cls.from_logits(logits=[0.0, logits])


# ---------------------------------------------------------------- Kumaraswamy


@pytest.mark.parametrize("step", [1e-8, 0.1])
def test_kumaraswamy_beside_a_beta_distribution(step):
    for alpha_p, beta_p, alpha_q, beta_q in ((1, 4, 1, 4), (1, 0.02, 1, 0.02), (30, 1, 30, 1), (1e-3, 2, 1e-3, 2)):
        p = kl.Kumaraswamy(alpha=alpha_p * (1.0 + step), beta=beta_p * (1.0 + step))
        q = kl.Beta(alpha=alpha_q, beta=beta_q * (1.0 + 2.0 * step))
        numbers = ({name: mp.mpf(float(getattr(law, name))) for name in ("alpha", "beta")} for law in (p, q))
        truth = laws_bounded.EXACT["Kumaraswamy", "Beta"](*numbers)
        assert kl.kl_divergence(p, q) == pytest.approx(float(truth), rel=1e-12, abs=0)


# ---------------------------------------------------------------- uniform


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), ([0.0, 3.0], [1.0, 2.0])])
def test_an_empty_interval_is_refused(low, high):
    with pytest.raises(errors.InvalidParameterError, match="low of Uniform must be < high of Uniform, got low="):
        kl.Uniform(low=low, high=high)


def test_uniform_widths_beyond_float64():
    widest = kl.Uniform(low=-1.7e308, high=1.7e308)
    assert kl.kl_divergence(kl.Uniform(low=-0.85e308, high=0.85e308), widest) == pytest.approx(math.log(2.0), rel=1e-15)
    assert kl.kl_divergence(kl.Uniform(low=0.0, high=5e-324), widest) == pytest.approx(
        math.log(3.4) + 308 * math.log(10) + 1074 * math.log(2), rel=1e-15
    )
    assert widest.entropy() == pytest.approx(math.log(3.4) + 308 * math.log(10), rel=1e-15)
    draws = widest.sample(1000, random_state=0)
    assert np.isfinite(draws).all()
    assert 0.8 < (np.abs(draws) / 1e308).mean() < 0.9
    within = kl.Uniform(low=1.0, high=1.0 + 2.0**-52).sample(1000, random_state=0)
    assert set(within) == {1.0, 1.0 + 2.0**-52}


TINY = 5e-324


ENDS = [(0.0, TINY), (TINY, 2 * TINY), (0.0, 1.0), (1.0 - 2.0**-53, 1.0), (1e308, 1.7e308)]


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_uniform_at_the_ends_of_float64(low, high):
    """Nothing over- or underflows on the way."""
    p = {"low": low, "high": high}
    for (name_p, name_q), formula in FORMULAS.items():
        if name_p == "Uniform":
            for q in (q for q in OF_Q[name_q] if q.get("scale", 0.0) <= low or name_q != "Pareto"):
                value = scalar_value(formula, p, q)
                assert exact.relative_error(value, truth("Uniform", p, name_q, q)) <= 1e-12, (name_q, q, value)
    if high <= 1.0:
        for q in ((1.0, 1.0), (0.5, 20.0), (1e-8, 2.0), (3e6, 1e6)):
            assert error_of("Uniform", p, "Beta", {"alpha": q[0], "beta": q[1]}) <= 1e-12, q
        for probs in (1e-300, 0.5, 0.9):
            assert error_of("Uniform", p, "ContinuousBernoulli", {"probs": probs}) <= 1e-12, probs


@settings(max_examples=200, deadline=None)
@given(*(st.floats(-1e6, 1e6) for _ in range(4)))
def test_uniform_is_finite_where_contained_and_inf_elsewhere(a, b, c, d):
    if len({a, b}) < 2 or len({c, d}) < 2:
        return
    p, q = kl.Uniform(low=min(a, b), high=max(a, b)), kl.Uniform(low=min(c, d), high=max(c, d))
    value = kl.kl_divergence(p, q)
    assert (value < math.inf) == (min(c, d) <= min(a, b) and max(a, b) <= max(c, d))
    assert value >= 0.0


# ---------------------------------------------------------------- special functions


@pytest.mark.parametrize("x", [1e-300, 1e-8, 0.3, 1.0, 5.0, 11.999, 12.0, 1e3, 1e15])
def test_remainders_of_the_gamma_function(x):
    with mp.workdps(400):
        y = mp.mpf(x)
        assert exact.relative_error(_stirling.digamma_remainder(x), mp.digamma(y) - mp.log(y)) <= 1e-13
        assert exact.relative_error(_special.log_gamma_remainder(x), mp.loggamma(y) - y * mp.log(y) + y) <= 1e-12


@pytest.mark.parametrize("n", [1.0, 2.0, 11.0, 12.0, 1e3, 1e15])
def test_remainders_of_factorials(n):
    with mp.workdps(60):
        truth = mp.loggamma(n + 1) - n * mp.log(n) + n
        assert exact.relative_error(_stirling.log_factorial_remainder(n), truth) <= 1e-14
    assert _stirling.log_factorial_remainder(0.0) == 0.0


@pytest.mark.parametrize("a", [1e-6, 0.5, 2.0, 11.0, 300.0, 1e12])
def test_digamma_change(a):
    with mp.workdps(60):
        for b in (a * (1 + 1e-10), a * 1.1, a * 50, a * 0.7):
            expected = mp.digamma(mp.mpf(b)) - mp.digamma(mp.mpf(a))
            assert exact.relative_error(_stirling.digamma_change(b - a, a, b), expected) <= 1e-14


@pytest.mark.parametrize("numbers", [(0.1, 0.3, 0.03, 1.0), (1e8 + 1, 1e8 - 1, 1e8, 1e8), (1 / 3, 3.0, 1.0, 1.0)])
def test_product_difference(numbers):
    a, b, c, d = map(mp.mpf, numbers)
    with mp.workdps(60):
        assert exact.relative_error(_stirling.product_difference(*numbers), a * b - c * d) <= 1e-15


@pytest.mark.parametrize("s", [1e-9, 0.01, 0.3, 0.4999, 0.5001, 0.9, 1.0 - 1e-12, 1.0])
def test_log_mean_excess(s):
    with mp.workdps(80):
        x = mp.mpf(s)
        lower = (1 - x) * mp.log(1 - x) if s < 1 else 0
        expected = 1 - ((1 + x) * mp.log(1 + x) - lower) / (2 * x)
        assert exact.relative_error(_stirling.log_mean_excess(s), expected) <= 1e-14


@pytest.mark.parametrize("t", [1e-12, 1e-3, 0.4999, 0.5, 3.0, 100.0, 705.0])
def test_cumulants_of_tilted_distributions(t):
    with mp.workdps(400):
        for sign in (1.0, -1.0):
            x = mp.mpf(sign * t)
            partition = mp.log(mp.sinh(x / 2) / (x / 2))
            mean, var = 1 - 1 / x + 1 / mp.expm1(x), 1 / x**2 - 1 / (4 * mp.sinh(x / 2) ** 2)
            for ours, expected in (
                (_tilt.centred_log_partition, partition),
                (_tilt.log_decay, partition - x / 2),
                (_tilt.tilted_mean, mean),
                (_tilt.tilted_variance, var),
                (_tilt.tilted_entropy, partition + x / 2 - x * mean),
            ):
                if ours is not _tilt.log_decay or sign > 0:
                    assert exact.relative_error(ours(sign * t), expected) <= 2e-13, ours


# ---------------------------------------------------------------- densities, draws, entropy


@pytest.mark.parametrize(("a", "b"), [(1e6, 3e6), (1e-3, 2.0), (40.0, 1e5)])
def test_beta_density_and_entropy_of_extreme_parameters(a, b):
    p = kl.Beta(alpha=a, beta=b)
    with mp.workdps(60):
        x = 0.99 * a / (a + b)
        density = (
            (mp.mpf(a) - 1) * mp.log(x) + (mp.mpf(b) - 1) * mp.log1p(-x) - laws_bounded.log_beta(mp.mpf(a), mp.mpf(b))
        )
        assert p.log_prob(x) == pytest.approx(float(density), rel=1e-11)
        entropy = float(-laws_bounded.NEGATIVE_ENTROPY["Beta"]({"alpha": mp.mpf(a), "beta": mp.mpf(b)}))
        assert p.entropy() == pytest.approx(entropy, rel=1e-12)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (kl.Beta(alpha=0.5, beta=2.0), [math.inf, -math.inf]),
        (kl.Beta(alpha=1.0, beta=3.0), [math.log(3.0), -math.inf]),
        (kl.Beta(alpha=1.0, beta=1.0), [0.0, 0.0]),
        (kl.Kumaraswamy(alpha=0.5, beta=2.0), [math.inf, -math.inf]),
        (kl.Kumaraswamy(alpha=1.0, beta=1.0), [0.0, 0.0]),
        (kl.Uniform(low=0.0, high=2.0), [-math.log(2.0)] * 2),
        (kl.ContinuousBernoulli(probs=0.5), [0.0, 0.0]),
    ],
    ids=repr,
)
def test_densities_at_the_ends(p, expected):
    np.testing.assert_allclose(p.log_prob([0.0, 1.0]), expected, rtol=1e-14)
    np.testing.assert_array_equal(p.log_prob([-0.1, 2.1, math.nan]), [-math.inf, -math.inf, math.nan])


def test_dirichlet_density_is_that_of_a_simplex():
    p = kl.Dirichlet(concentration=[1.0, 2.0, 0.5])
    points = [[0.2, 0.3, 0.5], [0.2, 0.3, 0.6], [-0.2, 0.6, 0.6], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    values = p.log_prob(points)
    assert values[0] == pytest.approx(stats.dirichlet([1.0, 2.0, 0.5]).logpdf(points[0]), rel=1e-13)
    assert values[3] == pytest.approx(stats.dirichlet([1.0, 2.0, 0.5]).logpdf(points[3]), rel=1e-13)
    np.testing.assert_array_equal(values[[1, 2, 4, 5]], [-math.inf, -math.inf, -math.inf, math.inf])


@pytest.mark.parametrize(
    ("p", "law"),
    [
        (kl.Beta(alpha=0.3, beta=2.0), stats.beta(0.3, 2.0)),
        (kl.Kumaraswamy(alpha=0.5, beta=0.7), None),
        (kl.ContinuousBernoulli(probs=0.999), None),
        (kl.ContinuousBernoulli.from_logits(logits=-1e-7), stats.uniform(0, 1)),
        (kl.Uniform(low=-3.0, high=5.0), stats.uniform(-3, 8)),
    ],
    ids=repr,
)
def test_draws_follow_the_distribution(p, law):
    draws = p.sample(20_000, random_state=1)
    if law is None:
        logit = math.log(p.probs / (1 - p.probs)) if hasattr(p, "probs") else 0.0
        cdf = (
            (lambda x: np.expm1(logit * x) / math.expm1(logit)) if logit else (lambda x: 1 - (1 - x**p.alpha) ** p.beta)
        )
    else:
        cdf = law.cdf
    assert stats.kstest(draws, cdf).pvalue > 1e-4


def test_dirichlet_draws_of_tiny_concentrations_are_corners():
    draws = kl.Dirichlet(concentration=[1e-5, 2e-5, 1e-5]).sample(4000, random_state=0)
    np.testing.assert_allclose(draws.sum(axis=-1), 1.0, rtol=1e-15)
    share = (draws > 0.5).mean(axis=0)
    assert (np.abs(share - [0.25, 0.5, 0.25]) < 5 * np.sqrt(0.25 / 4000)).all()


# ---------------------------------------------------------------- another library

OF_TORCH = {
    "Beta": (kl.Beta(alpha=2.0, beta=0.7), (2.0, 0.7)),
    "ContinuousBernoulli": (kl.ContinuousBernoulli(probs=0.9), (0.9,)),
    "Uniform": (kl.Uniform(low=0.2, high=0.7), (0.2, 0.7)),
}
TO_TORCH = {
    "Beta": (kl.Beta(alpha=1.5, beta=3.0), (1.5, 3.0)),
    "ContinuousBernoulli": (kl.ContinuousBernoulli(probs=0.3), (0.3,)),
    "Normal": (kl.Normal(mean=0.1, var=4.0), (0.1, 2.0)),
    "Uniform": (kl.Uniform(low=-1.0, high=3.0), (-1.0, 3.0)),
}
TORCH_PAIRS = [(p, q) for p in OF_TORCH for q in TO_TORCH if (p, q) != ("ContinuousBernoulli", "Beta")]


@pytest.mark.parametrize(("name_p", "name_q"), TORCH_PAIRS, ids=str)
def test_torch_agrees(name_p, name_q):
    torch = pytest.importorskip("torch")
    (p, arguments_p), (q, arguments_q) = OF_TORCH[name_p], TO_TORCH[name_q]
    theirs = [
        getattr(torch.distributions, name)(*torch.tensor(arguments, dtype=torch.float64), validate_args=False)
        for name, arguments in ((name_p, arguments_p), (name_q, arguments_q))
    ]
    assert kl.kl_divergence(p, q) == pytest.approx(float(torch.distributions.kl_divergence(*theirs)), rel=1e-9)


def test_draws_of_the_smallest_concentrations_are_corners():
    """The k-th of them with probability a_k / sum(a)."""
    draws = kl.Dirichlet(concentration=[1e-310, 3e-310]).sample(4000, random_state=0)
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert draws[:, 1].mean() == pytest.approx(0.75, abs=0.03)
    assert kl.Dirichlet(concentration=[5e-324]).sample(2, random_state=0).tolist() == [[1.0], [1.0]]
