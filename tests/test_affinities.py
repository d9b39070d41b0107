"""Closed forms of integrals of p^a q^(1 - a) within families, against the log-partition function in exact arithmetic.

In an exponential family the logarithm of the integral is F(a s + (1 - a) t) - a F(s) - (1 - a) F(t), with the natural
parameters s and t and the log-partition function F; inf where a s + (1 - a) t leaves the domain of F.
"""

import itertools
import math

import numpy as np
import pytest
from exact import relative_error
from mpmath import mp

import kltools as kl
from kltools import errors

ALPHAS = (0.01, 0.3, 0.5, 0.9, 1.0 - 1e-6, 1.0 + 1e-6, 1.5, 2.0, 7.0)
INF = math.inf
NEAR = 1.0 + 1e-8


def tilted(natural, partition, exists=lambda *mixed: all(x > 0 for x in mixed)):
    """The log-affinity from lists of natural parameters."""

    def log_affinity(p, q, alpha):
        s, t = natural(**p), natural(**q)
        mixed = [alpha * a + (1 - alpha) * b for a, b in zip(s, t, strict=True)]
        if not exists(*mixed):
            return mp.inf
        return partition(*mixed) - alpha * partition(*s) - (1 - alpha) * partition(*t)

    return log_affinity


def always(*mixed):
    return True


def gamma_partition(shape, rate):
    return mp.loggamma(shape) - shape * mp.log(rate)


def beta_partition(*a):
    return mp.fsum(map(mp.loggamma, a)) - mp.loggamma(mp.fsum(a))


def minus_log(x):
    return -mp.log(x)


def pareto(p, q, alpha):
    """The integral from the larger scale on."""
    (a, m), (b, n) = ((law["shape"], law["scale"]) for law in (p, q))
    mixed = alpha * a + (1 - alpha) * b
    if (alpha > 1 and m < n) or mixed <= 0:
        return mp.inf
    constant = alpha * (mp.log(a) + a * mp.log(m)) + (1 - alpha) * (mp.log(b) + b * mp.log(n))
    return constant - mp.log(mixed) - mixed * mp.log(max(m, n))


def inverse_gaussian(a, b):
    """Of exp(-a x / 2 - b / (2 x)) x^(-3/2)."""
    return -mp.sqrt(a * b) - mp.log(b) / 2


def table(p, q, alpha):
    total = mp.mpf(0)
    for x, y in zip(p, q, strict=True):
        if x == 0 or (y == 0 and alpha < 1):
            continue
        if y == 0:
            return mp.inf
        total += mp.exp(alpha * mp.log(x) + (1 - alpha) * mp.log(y))
    return mp.log(total) if total else -mp.inf


def bernoulli(p, q, alpha):
    return table([p["probs"], 1 - p["probs"]], [q["probs"], 1 - q["probs"]], alpha)


def poisson(p, q, alpha):
    x, y = p["rate"], q["rate"]
    power = 0 if x == 0 or (y == 0 and alpha < 1) else mp.inf if y == 0 else mp.exp(alpha * mp.log(x / y)) * y
    return power - alpha * x - (1 - alpha) * y


def geometric(p, q, alpha):
    x, y = p["probs"], q["probs"]
    constant = alpha * mp.log(x) + (1 - alpha) * mp.log(y)
    if x == 1 or (y == 1 and alpha < 1):
        return constant
    power = mp.inf if y == 1 else mp.exp(alpha * mp.log1p(-x) + (1 - alpha) * mp.log1p(-y))
    return constant - mp.log1p(-power) if power < 1 else mp.inf


def log_bessel(order, x):
    """log of I(x) (2 / x)^order, up to a constant."""
    if x < 2000:
        return mp.log(mp.hyp0f1(order + 1, x * x / 4))
    return mp.log(mp.besseli(order, x)) - order * mp.log(x / 2) + mp.loggamma(order + 1)


def fisher(order, k_p, k_q, cosine, alpha):
    beta = 1 - alpha
    mixed = mp.sqrt((alpha * k_p) ** 2 + (beta * k_q) ** 2 + 2 * alpha * beta * k_p * k_q * cosine)
    return log_bessel(order, mixed) - alpha * log_bessel(order, k_p) - beta * log_bessel(order, k_q)


def von_mises(p, q, alpha):
    return fisher(mp.mpf(0), p["concentration"], q["concentration"], mp.cos(p["loc"] - q["loc"]), alpha)


def von_mises_fisher(p, q, alpha):
    a, b = p["mean_direction"], q["mean_direction"]
    dot = mp.fsum(x * y for x, y in zip(a, b, strict=True))
    cosine = 1 if a == b else dot / mp.sqrt(mp.fsum(x * x for x in a) * mp.fsum(x * x for x in b))
    return fisher(mp.mpf(len(a)) / 2 - 1, p["concentration"], q["concentration"], cosine, alpha)


def is_positive_definite(df, matrix):
    d = matrix.rows
    return df > d - 1 and all(mp.det(matrix[:k, :k]) > 0 for k in range(1, d + 1))


def wishart_partition(df, precision):
    d = precision.rows
    gammas = mp.fsum(mp.loggamma((df - j) / 2) for j in range(d))
    return gammas - df / 2 * mp.log(mp.det(precision)) + d * df / 2 * mp.log(2)


def continuous_bernoulli_partition(t):
    return mp.log(mp.expm1(t) / t) if t else mp.mpf(0)


def normal(p, q, alpha):
    s, t = ((law["mean"], law["var"]) for law in (p, q))
    mixed = (1 - alpha) * s[1] + alpha * t[1]
    if mixed <= 0:
        return mp.inf
    gap = mp.log(mixed) - (1 - alpha) * mp.log(s[1]) - alpha * mp.log(t[1])
    return -gap / 2 - alpha * (1 - alpha) * (s[0] - t[0]) ** 2 / mixed / 2


FORMS = {
    "Exponential": tilted(lambda rate: [rate], minus_log),
    "Gamma": tilted(lambda shape, rate: [shape, rate], gamma_partition),
    "Chi2": tilted(lambda df: [df / 2], lambda a: mp.loggamma(a) + a * mp.log(2)),
    "InverseGamma": tilted(lambda shape, scale: [shape, scale], gamma_partition),
    "Beta": tilted(lambda alpha, beta: [alpha, beta], beta_partition),
    "Dirichlet": tilted(lambda concentration: concentration, beta_partition),
    "HalfNormal": tilted(lambda scale: [scale**-2], lambda t: -mp.log(t) / 2),
    "Rayleigh": tilted(lambda scale: [scale**-2], minus_log),
    "Weibull": lambda p, q, alpha: tilted(lambda shape, scale: [scale**-shape], minus_log)(p, q, alpha),
    "Laplace": tilted(lambda loc, scale: [1 / scale], minus_log),
    "Pareto": pareto,
    "InverseGaussian": tilted(
        lambda mean, shape: [shape / mean**2, shape], inverse_gaussian, lambda a, b: a >= 0 and b > 0
    ),
    "LogNormal": normal,
    "Poisson": poisson,
    "Bernoulli": bernoulli,
    "Binomial": lambda p, q, alpha: p["n"] * bernoulli(p, q, alpha),
    "Multinomial": lambda p, q, alpha: p["n"] * table(p["probs"], q["probs"], alpha),
    "Geometric": geometric,
    "NegativeBinomial": lambda p, q, alpha: p["r"] * geometric(p, q, alpha),
    "ContinuousBernoulli": tilted(lambda probs: [mp.log(probs / (1 - probs))], continuous_bernoulli_partition, always),
    "VonMises": von_mises,
    "VonMisesFisher": von_mises_fisher,
    "Wishart": tilted(lambda df, scale: [df, mp.matrix(scale) ** -1], wishart_partition, is_positive_definite),
    "InverseWishart": tilted(lambda df, scale: [df, mp.matrix(scale)], wishart_partition, is_positive_definite),
}

SCALES = (1e-150, 0.7, 0.7 * NEAR, 1.0, 2.0, 1e3, 1e150)
PAIRS_OF_SHAPES = (
    (1e-6, 3.0), (0.3, 1e-20), (1.0, 1.0), (2.5, 2.0), (2.5 * NEAR, 2.0), (2.5, 2.0 * NEAR), (30.0, 1e9), (30.0, 20.0),
    (1e4, 1e4), (1e9, 1e9), (1e9 + 10.0, 1e9),
)  # fmt: skip
PROBS = (1e-300, 1e-9, 0.3, 0.3 * NEAR, 0.5, 0.999, 1.0 - 1e-12, 1.0)
DIRECTIONS = ([0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8], [-0.6, 0.0, -0.8])
CONCENTRATIONS = (0.0, 1e-8, 0.3, 2.0, 2.0 * NEAR, 39.0, 45.0, 1e4)
MATRICES = ([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.5], [0.5, 1.0]], [[NEAR, 1e-9], [1e-9, 1.0]], [[30.0, 1.0], [1.0, 0.5]])


def points(*names):
    return lambda rows: [dict(zip(names, row if isinstance(row, tuple) else (row,), strict=True)) for row in rows]


GRID = {
    "Exponential": points("rate")(SCALES),
    "Gamma": points("shape", "rate")(PAIRS_OF_SHAPES),
    "Chi2": points("df")((1e-3, 1.0, 2.0, 5.0, 5.0 * NEAR, 300.0, 1e9)),
    "InverseGamma": points("shape", "scale")(PAIRS_OF_SHAPES),
    "Beta": points("alpha", "beta")((*PAIRS_OF_SHAPES[2:], (1e-6, 1e-6))),
    "Dirichlet": points("concentration")(
        [([1.0, 2.0, 3.0],), ([1.0, 2.0 * NEAR, 3.0],), ([1e-5, 7.0, 1e5],), ([1e5, 2e5, 3e5],), ([1e5 + 1, 2e5, 3e5],)]
    ),
    "HalfNormal": points("scale")(SCALES),
    "Rayleigh": points("scale")(SCALES),
    "Weibull": points("shape", "scale")([(3.7, scale) for scale in (1e-50, 0.7, 0.7 * NEAR, 1.0, 2.0, 1e50)]),
    "Laplace": points("loc", "scale")([(1.5, scale) for scale in SCALES]),
    "Pareto": points("shape", "scale")(
        [(0.5, 2.0), (2.5, 1.0), (2.5 * NEAR, 1.0), (2.5, NEAR), (1e3, 7.0), (1e8, 1e-50), (9.0, 1e50)]
    ),
    "InverseGaussian": points("mean", "shape")(
        [(1e-100, 1.0), (1e-3, 1e3), (1.0, 1.0), (NEAR, 2 - NEAR), (NEAR, 1.0), (7.0, 0.1), (1e50, 1e-50)]
    ),
    "LogNormal": points("mean", "var")([(0.0, 1.0), (1e-8, 1.0), (1.0, NEAR), (-700.0, 1e-5), (30.0, 100.0)]),
    "Poisson": points("rate")((0.0, 1e-300, 1e-9, 0.3, 0.3 * NEAR, 1.0, 42.0, 1e9, 1e9 + 1.0)),
    "Bernoulli": points("probs")((0.0, *PROBS)),
    "Binomial": points("n", "probs")([(1000.0, x) for x in (0.0, *PROBS)]),
    "Multinomial": points("n", "probs")(
        [(5.0, x) for x in ([0.25, 0.25, 0.5], [0.25, 0.25 + 2**-29, 0.5 - 2**-29], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0])]
    ),
    "Geometric": points("probs")(PROBS),
    "NegativeBinomial": points("r", "probs")([(2.5, x) for x in PROBS]),
    "ContinuousBernoulli": points("probs")((1e-300, 1e-9, 0.3, 0.3 * NEAR, 0.5, 0.999, 1.0 - 1e-12)),
    "VonMises": points("loc", "concentration")(
        list(zip((0.0, 1e-8, 3.1, 3.2, 3.2, 0.5, 0.5, 0.5), CONCENTRATIONS, strict=True))
    ),
    "VonMisesFisher": points("mean_direction", "concentration")(
        [(DIRECTIONS[i % 4], k) for i, k in enumerate(CONCENTRATIONS)]
    ),
    "Wishart": points("df", "scale")([(3.0, m) for m in MATRICES] + [(3.0 * NEAR, MATRICES[0]), (1e6, MATRICES[1])]),
    "InverseWishart": points("df", "scale")(
        [(3.0, m) for m in MATRICES] + [(3.0 * NEAR, MATRICES[0]), (1e6, MATRICES[1])]
    ),
}  # fmt: skip
BY_A_MIXED_LAW = {"Gamma", "InverseGamma", "Chi2", "Beta", "Dirichlet", "Wishart", "InverseWishart"}
DIGITS = {name: 80 for name in (*BY_A_MIXED_LAW, "VonMises", "VonMisesFisher")}


def number(value):
    return [number(each) for each in value] if isinstance(value, list) else mp.mpf(value)


def exact(name, p, q, alpha):
    return FORMS[name](*({key: number(value) for key, value in law.items()} for law in (p, q)), mp.mpf(alpha))


@pytest.mark.parametrize("name", FORMS)
def test_log_affinity_is_exact(name):
    cls = getattr(kl, name)
    with mp.workdps(DIGITS.get(name, 700)):
        for (p, q), alpha in itertools.product(itertools.product(GRID[name], GRID[name]), ALPHAS):
            found = kl.renyi(cls(**p), cls(**q), alpha=alpha, method="closed_form")
            if p == q:
                assert found == 0.0, (p, alpha)
                continue
            assert found > 0.0, (p, q, alpha)
            truth = exact(name, p, q, alpha) / (mp.mpf(alpha) - 1)
            assert relative_error(found, truth) <= 1e-12, (p, q, alpha, found, mp.nstr(truth, 17))


@pytest.mark.parametrize("name", FORMS)
def test_relatives_follow_the_affinity(name):
    cls = getattr(kl, name)
    with mp.workdps(DIGITS.get(name, 700)):
        for p, q in itertools.pairwise(GRID[name]):
            if p == q:
                continue
            first, second = cls(**p), cls(**q)
            half, double = exact(name, p, q, 0.5), exact(name, p, q, 2.0)
            assert relative_error(kl.bhattacharyya(first, second, method="closed_form"), -half) <= 1e-12
            assert relative_error(kl.hellinger(first, second, method="closed_form"), mp.sqrt(-mp.expm1(half))) <= 1e-12
            if double == mp.inf or double < 5:
                found = kl.chi_squared(first, second, method="closed_form")
                assert relative_error(found, mp.expm1(double)) <= 1e-11, (p, q)
            try:
                both = kl.jeffreys(first, second, method="closed_form")
            except errors.NoClosedFormError:
                raise AssertionError(f"{name} has no closed form of KL") from None
            assert both == kl.kl_divergence(first, second) + kl.kl_divergence(second, first)


def moderate(name):
    rows = [row for row in GRID[name] if all(np.min(x) >= 1e-2 and np.max(x) <= 1e3 for x in map(np.abs, row.values()))]
    return [getattr(kl, name)(**row) for row in rows[:4]]


OF_ONE_DIMENSION = [name for name in FORMS if moderate(name) and not moderate(name)[0].event_shape]


@pytest.mark.parametrize("name", OF_ONE_DIMENSION)
@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_affinities_are_integrals_of_densities(name, alpha):
    """Nothing but the log-densities takes part in the quadrature."""
    n_agreed = 0
    for p, q in itertools.permutations(moderate(name), 2):
        closed = kl.renyi(p, q, alpha=alpha, method="closed_form")
        if not math.isinf(closed) and closed > 700.0:  # the integral itself is beyond float64
            continue
        try:
            integrated = kl.renyi(p, q, alpha=alpha, method="quadrature")
        except errors.NoClosedFormError:
            continue
        assert integrated == closed if math.isinf(closed) else abs(integrated - closed) <= 1e-8 * closed + 1e-12, (p, q)
        n_agreed += 1
    assert n_agreed >= 2


WIDER = [
    (kl.Exponential(rate=2.0), kl.Gamma(shape=2.5, rate=1.0)),
    (kl.Gamma(shape=2.5, rate=1.0), kl.Exponential(rate=2.0)),
    (kl.Chi2(df=3.0), kl.Gamma(shape=2.0, rate=0.7)),
    (kl.Exponential(rate=0.6), kl.Chi2(df=5.0)),
    (kl.Geometric(probs=0.4), kl.NegativeBinomial(r=1.0, probs=0.3)),
]


@pytest.mark.parametrize(("p", "q"), WIDER, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.2])
def test_special_cases_have_the_form_of_their_family(p, q, alpha):
    closed = kl.renyi(p, q, alpha=alpha, method="closed_form")
    assert closed == pytest.approx(kl.renyi(p, q, alpha=alpha, method="quadrature"), rel=1e-8)


OUTSIDE = [
    (kl.Laplace(loc=0.0, scale=1.0), kl.Laplace(loc=1.0, scale=1.5)),
    (kl.Weibull(shape=2.0, scale=1.0), kl.Weibull(shape=3.0, scale=1.0)),
    (kl.Binomial(n=3, probs=0.5), kl.Binomial(n=5, probs=0.5)),
    (kl.NegativeBinomial(r=2.0, probs=0.5), kl.NegativeBinomial(r=3.0, probs=0.5)),
]


@pytest.mark.parametrize(("p", "q"), OUTSIDE, ids=lambda law: type(law).__name__)
def test_beyond_an_exponential_family_there_is_quadrature(p, q):
    with pytest.raises(errors.NoClosedFormError, match="quadrature"):
        kl.renyi(p, q, alpha=0.5, method="closed_form")
    assert kl.renyi(p, q, alpha=0.5) == kl.renyi(p, q, alpha=0.5, method="quadrature") > 0.0


def log_affinity_of_weibulls(p, q, alpha):
    """The integral over y = k log(x / scale) with those of p, which is the narrower one."""
    with mp.workdps(40):
        (k, a), (h, b) = ((mp.mpf(law["shape"]), mp.mpf(law["scale"])) for law in (p, q))
        c, v, beta = h / k, h * mp.log(a / b), 1 - mp.mpf(alpha)

        def term(y):
            return mp.exp(alpha * (y - mp.exp(y)) + beta * (mp.log(c) + c * y + v - mp.exp(c * y + v)))

        return mp.log(mp.quad(term, [-400, -100, -30, -10, -5, -2, -1, 0, 1, 2, 3, 4, 6, 8]))


@pytest.mark.parametrize("shape", [1e2, 1e6, 1e12, 1e15, 1e16, 1e20, 1e100, 1e250])
@pytest.mark.parametrize("scale", [1.0, 2.3])
def test_a_weibull_law_narrower_than_float64_has_places(shape, scale):
    p, q = {"shape": shape, "scale": scale}, {"shape": 1.5, "scale": 3.0}
    truth = -log_affinity_of_weibulls(p, q, 0.5)
    first, second = kl.Weibull(**p), kl.Weibull(**q)
    assert relative_error(kl.bhattacharyya(first, second), truth) <= 1e-11
    assert relative_error(kl.bhattacharyya(second, first), truth) <= 1e-11
    truth = log_affinity_of_weibulls(p, q, 0.3) / (mp.mpf(0.3) - 1)
    assert relative_error(kl.renyi(first, second, alpha=0.3), truth) <= 1e-10


def test_trials_of_different_number_have_nothing_in_common():
    p, q = kl.Multinomial(n=[3, 3], probs=[0.5, 0.5]), kl.Multinomial(n=[3, 4], probs=[0.25, 0.75])
    assert (kl.renyi(p, q, alpha=0.5)[1], kl.renyi(p, q, alpha=2.0)[1], kl.hellinger(p, q)[1]) == (INF, INF, 1.0)
    assert 0.0 < kl.renyi(p, q, alpha=0.5)[0] < 1.0


@pytest.mark.parametrize("name", FORMS)
def test_batches_are_their_items(name):
    cls = getattr(kl, name)
    rows = [row for row in GRID[name] if row][:3]
    batch = cls(**{key: [row[key] for row in rows] for key in rows[0]})
    found = kl.renyi(batch, batch[::-1], alpha=0.4)
    np.testing.assert_array_equal(found, [kl.renyi(a, b, alpha=0.4) for a, b in zip(batch, batch[::-1], strict=True)])


@pytest.mark.parametrize("name", ["InverseWishart", "Wishart", "Dirichlet"])
@pytest.mark.parametrize("alpha", [1.5, 2.0, 7.0])
def test_items_of_a_batch_exist_each_for_itself(name, alpha):
    """Of vectors and matrices, where for some the integral diverges."""
    cls, rows = getattr(kl, name), GRID[name]
    batch = cls(**{key: [row[key] for row in rows] for key in rows[0]})
    for other in [cls(**row) for row in rows]:
        found = kl.renyi(batch, other, alpha=alpha)
        np.testing.assert_array_equal(found, [kl.renyi(law, other, alpha=alpha) for law in batch])


def test_chi_squared_of_a_batch_of_matrices():
    matrix = [[2.0, 0.5], [0.5, 1.0]]
    batch = kl.InverseWishart(df=[5.0, 4.0], scale=[np.eye(2), matrix])
    np.testing.assert_array_equal(kl.chi_squared(batch, kl.InverseWishart(df=4.0, scale=matrix)), [INF, 0.0])


def test_log_normal_is_the_exponential_of_a_normal():
    """Of distributions that are images under one map nothing but those before it counts."""
    normals = kl.Normal(mean=0.3, var=2.0), kl.Normal(mean=-1.0, var=1.5)
    plain = [kl.LogNormal(mean=law.mean, var=law.var) for law in normals]
    moved = [kl.Transformed(law, kl.maps.Exp()) for law in normals]
    assert kl.kl_divergence(*plain) == kl.kl_divergence(*moved) == kl.kl_divergence(*normals)
    assert kl.entropy(plain[0]) == pytest.approx(kl.entropy(moved[0]), rel=1e-14)
    for alpha in (0.3, 1.7):
        assert kl.renyi(*plain, alpha=alpha) == kl.renyi(*normals, alpha=alpha)
    assert kl.total_variation(*plain) == kl.total_variation(*normals)


def test_affinities_beyond_float64_have_logarithms():
    p, q = [0.5, 0.5, 0.0], [1e-200, 0.5, 0.5 - 1e-200]
    truth = (7.0 * math.log(0.5) - 6.0 * math.log(1e-200)) / 6.0
    assert kl.renyi(kl.Categorical(probs=p), kl.Categorical(probs=q), alpha=7) == pytest.approx(truth, rel=1e-14)
    found = kl.renyi(kl.Multinomial(n=3, probs=p), kl.Multinomial(n=3, probs=q), alpha=7)
    assert found == pytest.approx(3.0 * truth, rel=1e-14)
    assert kl.renyi(kl.Categorical(probs=q), kl.Categorical(probs=p), alpha=7) == INF


def test_parameters_at_the_ends_of_float64():
    tiny = {"mean": 1e-160, "shape": 1.0}, {"mean": 2e-160, "shape": 1.0}
    huge = {"shape": 1e308, "rate": 1e308}, {"shape": 9e307, "rate": 1e308}
    for name, (p, q), alphas, digits in (("InverseGaussian", tiny, (0.5, 1.1), 700), ("Gamma", huge, (0.5, 2.0), 800)):
        cls = getattr(kl, name)
        for alpha in alphas:
            with mp.workdps(digits):
                truth = exact(name, p, q, alpha) / (mp.mpf(alpha) - 1)
                assert relative_error(kl.renyi(cls(**p), cls(**q), alpha=alpha), truth) <= 1e-12, (name, alpha)
