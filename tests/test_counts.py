"""Distributions of counts: conditions of closed forms, extremes, densities, draws, other libraries."""

import itertools
import math

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws_counts import EXACT
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import errors

TINY = 5e-324


def check(name_p, p, name_q, q, tolerance=1e-13):
    value = kl.kl_divergence(getattr(kl, name_p)(**p), getattr(kl, name_q)(**q))
    truth = EXACT[name_p, name_q](*({key: mp.mpf(x) for key, x in d.items()} for d in (p, q)))
    assert value >= 0.0
    assert exact.relative_error(value, truth) <= tolerance, (p, q, value, mp.nstr(truth, 17))


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("p", [1e-300, 1e-12, 1e-3, 0.3, 0.4999999999, 0.5, 0.74999, 0.9, 1.0 - 1e-12])
@pytest.mark.parametrize("step", [1e-10, 1e-8, 1e-3, 0.3])
def test_near_equal_probabilities(p, step):
    q = p - step * p * (1.0 - p)
    for pair in itertools.permutations((p, q)):
        x, y = ({"probs": value} for value in pair)
        check("Bernoulli", x, "Bernoulli", y)
        check("Geometric", x, "Geometric", y)
        check("Binomial", {"n": 12.0, **x}, "Binomial", {"n": 12.0, **y})
        check("NegativeBinomial", {"r": 0.37, **x}, "NegativeBinomial", {"r": 0.37, **y})
        check("Poisson", {"rate": pair[0]}, "Poisson", {"rate": pair[1]})


@pytest.mark.parametrize("p", [0.0, 1e-20, 1e-9, 0.3, 1.0 - 1e-12, 1.0])
@pytest.mark.parametrize("n", [1.0, 2.0, 7.0, 1e6])
def test_bernoulli_against_binomial_and_poisson_of_the_same_mean(p, n):
    for q in {min(p / n, 1.0), min(p / n * (1 + 1e-8), 1.0), 0.5, 1.0}:
        check("Bernoulli", {"probs": p}, "Binomial", {"n": n, "probs": q})
    for rate in (p, p * (1 + 1e-8), 3.0):
        check("Bernoulli", {"probs": p}, "Poisson", {"rate": rate})


def test_certainty():
    zero, one = kl.Bernoulli(probs=0.0), kl.Bernoulli(probs=1.0)
    assert kl.kl_divergence(zero, one) == kl.kl_divergence(one, zero) == math.inf
    assert kl.kl_divergence(zero, kl.Bernoulli(probs=0.75)) == math.log(4.0)
    assert kl.kl_divergence(one, kl.Bernoulli(probs=0.25)) == math.log(4.0)
    assert kl.kl_divergence(zero, kl.Poisson(rate=0.0)) == 0.0
    assert kl.kl_divergence(zero, kl.Binomial(n=0, probs=0.3)) == 0.0
    assert kl.kl_divergence(kl.Bernoulli(probs=0.1), kl.Binomial(n=0, probs=0.3)) == math.inf
    assert kl.kl_divergence(kl.Geometric(probs=1.0), kl.Geometric(probs=0.25)) == math.log(4.0)
    assert kl.kl_divergence(kl.Geometric(probs=0.25), kl.Geometric(probs=1.0)) == math.inf
    assert kl.kl_divergence(kl.Poisson(rate=0.0), kl.Poisson(rate=3.0)) == 3.0
    assert kl.kl_divergence(kl.Binomial(n=0, probs=0.3), kl.Binomial(n=0, probs=1.0)) == 0.0
    assert kl.kl_divergence(kl.Binomial(n=0, probs=0.3), kl.Bernoulli(probs=0.0)) == 0.0


def test_binomial_of_other_numbers_of_trials():
    """More trials than q has are more than q can count; of fewer there is no closed form."""
    p, q = kl.Binomial(n=5, probs=0.5), kl.Binomial(n=[3, 5], probs=0.25)
    trial = kl.kl_divergence(kl.Bernoulli(probs=0.5), kl.Bernoulli(probs=0.25))
    np.testing.assert_allclose(kl.kl_divergence(p, q), [math.inf, 5 * trial], rtol=1e-14)
    with pytest.raises(errors.NoClosedFormError, match=r'only where p and q have the same n.*method="quadrature"'):
        kl.kl_divergence(kl.Binomial(n=[3, 5], probs=0.5), kl.Binomial(n=5, probs=0.25))
    certain = kl.Binomial(n=2, probs=0.0)
    assert kl.kl_divergence(certain, kl.Bernoulli(probs=0.5)) == math.log(2.0)
    assert kl.kl_divergence(kl.Binomial(n=2, probs=0.1), kl.Bernoulli(probs=0.5)) == math.inf


@pytest.mark.parametrize(
    ("p", "q", "condition"),
    [
        (
            kl.NegativeBinomial(r=2.0, probs=0.5),
            kl.NegativeBinomial(r=[2.0, 3.0], probs=0.4),
            "p and q have the same r",
        ),
        (kl.NegativeBinomial(r=[1.0, 2.0], probs=0.5), kl.Geometric(probs=0.4), "r of the NegativeBinomial is 1"),
        (kl.Geometric(probs=0.5), kl.NegativeBinomial(r=0.5, probs=0.4), "r of the NegativeBinomial is 1"),
    ],
    ids=["r", "p", "q"],
)
def test_conditions_of_negative_binomials(p, q, condition):
    with pytest.raises(errors.NoClosedFormError, match=rf'only where {condition}\. .*method="quadrature"'):
        kl.kl_divergence(p, q)


def test_a_users_condition():
    @kl.family
    class Waiting(kl.Distribution):
        rate: float = kl.param("positive")

    def is_slow(p, q):
        """both rates are below 1."""
        return (p.rate < 1.0) & (q.rate < 1.0)

    @kl.register_kl(Waiting, Waiting, only_where=is_slow)
    def kl_waiting_waiting(rate_p, rate_q):
        return rate_p * rate_q

    try:
        assert kl.kl_divergence(Waiting(rate=0.5), Waiting(rate=0.5)) == 0.25
        with pytest.raises(
            errors.NoClosedFormError, match=r"KL\(Waiting \|\| Waiting\).*only where both rates are below 1"
        ):
            kl.kl_divergence(Waiting(rate=[0.5, 1.5]), Waiting(rate=0.5))
    finally:
        from kltools import closed_forms

        del closed_forms._CLOSED_FORMS[Waiting, Waiting]
        del closed_forms._CONDITIONS[Waiting, Waiting]


def test_multinomials():
    p, q = kl.Multinomial(n=[4, 4, 0], probs=[0.5, 0.5, 0.0]), kl.Multinomial(n=[4, 3, 0], probs=[0.25, 0.5, 0.25])
    np.testing.assert_allclose(kl.kl_divergence(p, q), [2 * math.log(2.0), math.inf, 0.0], rtol=1e-15)
    assert kl.kl_divergence(q[0], p[0]) == math.inf
    two = kl.Multinomial(n=9, probs=[[0.3, 0.7], [0.6, 0.4]])
    binomial = kl.Binomial(n=9, probs=[0.3, 0.6])
    np.testing.assert_allclose(kl.pairwise_kl(two), kl.pairwise_kl(binomial), rtol=1e-14)


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 50))
def test_trials_add_up(p, q, n):
    one = kl.kl_divergence(kl.Bernoulli(probs=p), kl.Bernoulli(probs=q))
    many = kl.kl_divergence(kl.Binomial(n=n, probs=p), kl.Binomial(n=n, probs=q))
    assert many == pytest.approx(n * one if n else 0.0, rel=1e-13, abs=1e-320)
    assert (one == 0.0) == (p == q) or abs(p - q) < 1e-150


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 1e300), st.floats(0.0, 1e300))
def test_poisson_is_positive_and_0_for_equals(a, b):
    value = kl.kl_divergence(kl.Poisson(rate=a), kl.Poisson(rate=b))
    assert value >= 0.0
    assert kl.kl_divergence(kl.Poisson(rate=a), kl.Poisson(rate=a)) == 0.0
    assert (value == math.inf) == (b == 0.0 < a)


@pytest.mark.parametrize(("p", "q"), [(TINY, 1.0), (1.0, TINY), (1e-310, 2e-310)])
def test_the_smallest_numbers(p, q):
    check("Geometric", {"probs": p}, "Geometric", {"probs": q})
    check("Poisson", {"rate": p}, "Poisson", {"rate": q})
    check("Bernoulli", {"probs": p}, "Bernoulli", {"probs": q})


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize("build", [kl.Geometric, lambda probs: kl.NegativeBinomial(r=2.0, probs=probs)])
def test_a_success_must_be_possible(build):
    with pytest.raises(errors.InvalidParameterError, match=r"probs of \w+ must be > 0: without any chance"):
        build(probs=[0.5, 0.0])


HUGE = [
    kl.Poisson(rate=1e300),
    kl.Binomial(n=1e300, probs=0.5),
    kl.Multinomial(n=1e300, probs=[1.0]),
    kl.NegativeBinomial(r=1e300, probs=1e-5),
]


@pytest.mark.parametrize("p", HUGE, ids=repr)
def test_draws_beyond_integers_are_refused(p):
    with pytest.raises(errors.InvalidParameterError, match="beyond 2\\*\\*62"):
        p.sample(3, random_state=0)


# ---------------------------------------------------------------- log-probabilities, draws, entropy

LAWS = [
    (kl.Binomial(n=40, probs=0.3), stats.binom(40, 0.3)),
    (kl.Binomial(n=40, probs=0.0), stats.binom(40, 0.0)),
    (kl.Binomial(n=40, probs=1.0), stats.binom(40, 1.0)),
    (kl.NegativeBinomial(r=0.3, probs=0.2), stats.nbinom(0.3, 0.2)),
    (kl.NegativeBinomial(r=25.5, probs=0.6), stats.nbinom(25.5, 0.6)),
    (kl.Geometric(probs=0.05), stats.geom(0.05, loc=-1)),
    (kl.Geometric(probs=1.0), stats.geom(1.0, loc=-1)),
    (kl.Poisson(rate=30.0), stats.poisson(30.0)),
    (kl.Poisson(rate=0.0), stats.poisson(0.0)),
    (kl.Bernoulli(probs=0.0), stats.bernoulli(0.0)),
]
each_law = pytest.mark.parametrize(("p", "law"), LAWS, ids=lambda x: repr(x) if isinstance(x, kl.Distribution) else "")


@each_law
def test_log_probabilities(p, law):
    x = np.arange(-2.0, 90.0)
    with np.errstate(all="ignore"):
        expected = law.logpmf(x)
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(p.log_prob([0.5, math.inf, -math.inf, math.nan]), [-math.inf] * 3 + [math.nan])


def test_log_probabilities_of_large_counts():
    with mp.workdps(60):
        n, x = mp.mpf(10) ** 12, mp.mpf(3) * 10**11 + 10**5
        p = mp.mpf(0.3)
        logs = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1) + x * mp.log(p) + (n - x) * mp.log1p(-p)
        assert kl.Binomial(n=1e12, probs=0.3).log_prob(float(x)) == pytest.approx(float(logs), rel=1e-9)
        rate = mp.mpf(10) ** 9
        logs = (rate + 10**4) * mp.log(rate) - rate - mp.loggamma(rate + 10**4 + 1)
        assert kl.Poisson(rate=1e9).log_prob(1e9 + 1e4) == pytest.approx(float(logs), rel=1e-12)


@each_law
def test_draws(p, law):
    draws = p.sample(20_000, random_state=2)
    assert (draws == np.floor(draws)).all()
    with np.errstate(all="ignore"):
        mean, var = law.mean(), law.var()
    assert abs(draws.mean() - mean) <= 5 * (var / draws.size) ** 0.5
    spread = ((draws - mean) ** 2).std()
    assert abs(((draws - mean) ** 2).mean() - var) <= 5 * spread / draws.size**0.5


def test_geometric_draws_of_rare_successes():
    draws = kl.Geometric(probs=1e-30).sample(20_000, random_state=0) * 1e-30
    assert stats.kstest(draws, stats.expon.cdf).pvalue > 1e-4


@pytest.mark.parametrize("p", [TINY, 1e-300, 1e-9, 0.5, 1.0 - 2.0**-53])
def test_entropies_of_extreme_probabilities(p):
    with mp.workdps(700):
        x = mp.mpf(p)
        truth = -x * mp.log(x) - (1 - x) * mp.log(1 - x)
        assert exact.relative_error(kl.Bernoulli(probs=p).entropy(), truth) <= 1e-14
        assert exact.relative_error(kl.Geometric(probs=p).entropy(), truth / x) <= 1e-14
    assert kl.Bernoulli(probs=[0.0, 1.0]).entropy().tolist() == [0.0, 0.0]
    assert kl.Geometric(probs=1.0).entropy() == 0.0


def entropy_of_terms(log_prob, stop):
    logs = [log_prob(mp.mpf(x)) for x in range(stop)]
    return -mp.fsum(mp.exp(log) * log for log in logs)


@pytest.mark.parametrize("rate", [1e-300, 1e-9, 0.5, 10.0, 700.0, 5e6, 1e15, 1e25, 1e300])
def test_entropy_of_poisson(rate):
    """Plain sums, and for large rates the series of Evans, Boersma, Blachman and Jagers (1988)."""
    with mp.workdps(30 if rate > 1e-9 else 320):
        x = mp.mpf(rate)
        if rate < 1000:
            truth = entropy_of_terms(
                lambda k: k * mp.log(x) - x - mp.loggamma(k + 1), int(rate + 12 * rate**0.5 + 25 if rate > 1e-9 else 3)
            )
        else:
            truth = mp.log(2 * mp.pi * mp.e * x) / 2 - 1 / (12 * x) - 1 / (24 * x**2) - mp.mpf(19) / (360 * x**3)
        assert exact.relative_error(kl.Poisson(rate=rate).entropy(), truth) <= 1e-13


@pytest.mark.parametrize(("n", "probs"), [(1, 0.3), (20, 0.01), (500, 0.7), (500, 1.0 - 1e-12), (9, 1e-200)])
def test_entropy_of_binomial(n, probs):
    with mp.workdps(250 if probs < 1e-100 else 40):
        p = mp.mpf(probs)
        ways = [mp.log(mp.binomial(n, k)) for k in range(n + 1)]
        truth = entropy_of_terms(lambda k: ways[int(k)] + k * mp.log(p) + (n - k) * mp.log1p(-p), n + 1)
        assert exact.relative_error(kl.Binomial(n=n, probs=probs).entropy(), truth) <= 1e-13


@pytest.mark.parametrize(
    ("r", "probs", "stop"), [(2.5, 0.3, 250), (0.3, 0.5, 120), (300.0, 0.4, 900), (1e-5, 0.1, 500)]
)
def test_entropy_of_negative_binomial(r, probs, stop):
    with mp.workdps(40):
        s, p = mp.mpf(r), mp.mpf(probs)
        constant = s * mp.log(p) - mp.loggamma(s)
        truth = entropy_of_terms(lambda k: mp.loggamma(s + k) - mp.loggamma(k + 1) + constant + k * mp.log1p(-p), stop)
        assert exact.relative_error(kl.NegativeBinomial(r=r, probs=probs).entropy(), truth) <= 1e-13


def test_entropies_of_wide_laws_are_those_of_normals():
    """Up to squared skewness / 12, that of squares being beyond the digits."""
    for p, variance, skewness in (
        (kl.Binomial(n=1e12, probs=0.1), 9e10, 0.8 / 9e10**0.5),
        (kl.Binomial(n=1e25, probs=0.2), 1.6e24, 0.6 / 1.6e24**0.5),
        (kl.NegativeBinomial(r=1e9, probs=0.5), 2e9, 1.5 / 5e8**0.5),
        (kl.NegativeBinomial(r=1e30, probs=0.5), 2e30, 0.0),
        (kl.NegativeBinomial(r=1e30, probs=1e-300), 10**630, 0.0),
    ):
        truth = 0.5 * (math.log(2.0 * math.pi * math.e) + math.log(variance)) - skewness**2 / 12.0
        assert p.entropy() == pytest.approx(truth, rel=1e-13)
    wide = kl.NegativeBinomial(r=1e3, probs=1e-7)  # as good as a gamma distribution
    assert wide.entropy() == pytest.approx(kl.Gamma(shape=1e3, rate=1e-7).entropy(), abs=1e-7)


def test_an_entropy_of_too_many_terms_raises():
    with pytest.raises(errors.NoClosedFormError, match="terms"):
        kl.NegativeBinomial(r=2.5, probs=1e-8).entropy()
    with pytest.raises(errors.NoClosedFormError, match="terms"):
        kl.NegativeBinomial(r=2.5, probs=1e-308).entropy()


def test_entropy_of_multinomial():
    for n, probs in ((5, [0.2, 0.3, 0.5]), (1, [0.2, 0.8]), (12, [0.0, 0.4, 0.6]), (0, [0.5, 0.5])):
        law = kl.Multinomial(n=n, probs=probs)
        draws = np.array([x for x in itertools.product(range(n + 1), repeat=len(probs)) if sum(x) == n], dtype=float)
        logs = law.log_prob(draws)
        truth = -sum(math.exp(log) * log for log in logs if log > -math.inf)
        assert law.entropy() == pytest.approx(truth, rel=1e-13, abs=1e-15)
    pair = kl.Multinomial(n=700, probs=[0.3, 0.7]), kl.Binomial(n=700, probs=0.3)
    assert pair[0].entropy() == pytest.approx(pair[1].entropy(), rel=1e-13)
    large = kl.Multinomial(n=1e10, probs=[0.3, 0.7]), kl.Binomial(n=1e10, probs=0.3)
    assert large[0].entropy() == pytest.approx(large[1].entropy(), rel=1e-12)


def test_log_probabilities_far_from_0():
    """By the deviance, with a mean that is not rounded."""
    with mp.workdps(60):
        for n, probs, k in ((1e8, 0.3, 8.0), (1e12, 0.001, -2.0), (1e9, 0.999, 3.0)):
            x = math.floor(n * probs + k * (n * probs * (1 - probs)) ** 0.5)
            p, ways = mp.mpf(probs), mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
            truth = ways + x * mp.log(p) + (n - x) * mp.log1p(-p)
            assert exact.relative_error(kl.Binomial(n=n, probs=probs).log_prob(x), truth) <= 5e-14
            pair = kl.Multinomial(n=n, probs=[probs, 1 - probs])
            assert exact.relative_error(pair.log_prob([x, n - x]), truth) <= 2e-13  # 1 - probs is rounded
        for r, probs, k in ((1e8, 0.3, 8.0), (2.5, 1e-8, 3.0), (1e9, 0.999, 8.0)):
            x = math.floor(r * (1 - probs) / probs + k * (r * (1 - probs)) ** 0.5 / probs)
            p, ways = mp.mpf(probs), mp.loggamma(mp.mpf(r) + x) - mp.loggamma(x + 1) - mp.loggamma(r)
            truth = ways + r * mp.log(p) + x * mp.log1p(-p)
            assert exact.relative_error(kl.NegativeBinomial(r=r, probs=probs).log_prob(x), truth) <= 5e-14


# ---------------------------------------------------------------- another library

TORCH = {
    "Bernoulli": [{"probs": 0.3}, {"probs": 0.8}],
    "Binomial": [{"total_count": 6, "probs": 0.3}, {"total_count": 6, "probs": 0.8}],
    "Geometric": [{"probs": 0.3}, {"probs": 0.8}],
    "Poisson": [{"rate": 0.3}, {"rate": 8.0}],
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_agrees(name):
    torch = pytest.importorskip("torch")
    theirs, ours = [], []
    for parameters in TORCH[name]:
        tensors = {key: torch.tensor(value, dtype=torch.float64) for key, value in parameters.items()}
        theirs.append(getattr(torch.distributions, name)(**tensors))
        ours.append(getattr(kl, name)(**{key.replace("total_count", "n"): value for key, value in parameters.items()}))
    assert kl.kl_divergence(*ours) == pytest.approx(float(torch.distributions.kl_divergence(*theirs)), rel=1e-12)
    if name == "Bernoulli":
        poisson = torch.distributions.Poisson(torch.tensor(2.0, dtype=torch.float64))
        value = float(torch.distributions.kl_divergence(theirs[0], poisson))
        assert kl.kl_divergence(ours[0], kl.Poisson(rate=2.0)) == pytest.approx(value, rel=1e-12)
