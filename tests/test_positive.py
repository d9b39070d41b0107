"""Families of positive numbers: pairs that nearly agree, extremes, constructors and draws."""

import itertools
import math

import exact
import laws_positive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.closed_forms import _CLOSED_FORMS
from kltools.families import positive, positive_scale, weibull

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python raises at infinities")
RTOL = 1e-12
OURS = {module.__name__ for module in (positive, positive_scale, weibull)}
FORMS = {
    (p.__name__, q if isinstance(q, str) else q.__name__): form
    for (p, q), form in _CLOSED_FORMS.items()
    if p.__module__ in OURS and hasattr(form, "parameters")
}
SAME = sorted(p for p, q in FORMS if p == q)
# of other files; the pairs of this one are asked for by their parameters alone
FOREIGN = {
    "Normal": [{"mean": m, "var": v} for m, v in ((0.0, 1.0), (1.25, 0.625), (-1e3, 1e-3), (1e9, 1e9), (1e50, 1e90))],
    "Gumbel": [{"loc": m, "scale": s} for m, s in ((0.0, 1.0), (1.0, 0.5), (-1e3, 1e3), (0.1, 1e-3), (1e50, 1e48))],
    "Laplace": [{"loc": m, "scale": s} for m, s in ((0.0, 1.0), (1.0, 0.5), (-1e3, 1e-3), (7.005, 0.01), (1e50, 1e48))],
}
GRID = {**FOREIGN, **laws_positive.GRID}


def closed_form(pair, p, q):
    form = FORMS[pair]
    return float(form(*[(q if name.endswith("_q") else p)[name[:-2]] for name in form.parameters]))


def truth(pair, p, q):
    as_mp = [{name: mp.mpf(value) for name, value in parameters.items()} for parameters in (p, q)]
    return laws_positive.EXACT[pair](*as_mp)


def error(pair, p, q):
    exactly, value = truth(pair, p, q), closed_form(pair, p, q)
    return float(value != math.inf) if exactly == mp.inf else exact.relative_error(value, exactly)


def test_every_pair_has_an_exact_form():
    assert set(FORMS) == set(laws_positive.EXACT)
    assert {p for p, _ in FORMS} == set(laws_positive.GRID)


@pytest.mark.parametrize("pair", [p for p in FORMS if p[1] in FOREIGN], ids="-".join)
def test_pairs_with_families_of_other_files(pair):
    errors_ = {i: error(pair, p, q) for i, (p, q) in enumerate(itertools.product(GRID[pair[0]], GRID[pair[1]]))}
    assert max(errors_.values()) <= RTOL, errors_


# ---------------------------------------------------------------- near equality


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("distance", [1e-14, 1e-11, 1e-8, 1e-4, 0.2, -0.2, -1e-8])
def test_pairs_that_nearly_agree(name, distance):
    for p in GRID[name]:
        for changed in itertools.product((1.0, 1.0 + distance), repeat=len(p)):
            q = {k: v * factor for (k, v), factor in zip(p.items(), changed, strict=True)}
            assert error((name, name), p, q) <= RTOL, (p, q)


def proportional(a, b, rng):
    """Shapes and rates that give nearly the same mean."""
    factor = 1.0 + float(rng.choice([-1e-9, 1e-6, 0.01, 5.0]))
    return {"shape": a * factor, "rate": b * factor * (1.0 + float(rng.choice([0.0, 1e-15, 1e-9, 0.1])))}


def test_gamma_of_large_shapes_and_equal_means():
    rng = np.random.default_rng(0)
    for a, b in 10.0 ** rng.uniform(-3, 40, size=(300, 2)):
        p = {"shape": float(a), "rate": float(b)}
        assert error(("Gamma", "Gamma"), p, proportional(float(a), float(b), rng)) <= RTOL


def test_gamma_and_the_normal_distribution_of_its_moments():
    """About 1 / (3 shape), which the entropies do not show."""
    rng = np.random.default_rng(1)
    for a, b in 10.0 ** rng.uniform(-1, 30, size=(300, 2)):
        p = {"shape": float(a), "rate": float(b)}
        q = {"mean": float(a / b), "var": float(a / b / b) * (1.0 + float(rng.choice([0.0, 1e-9, 1e-3, 1.0])))}
        assert error(("Gamma", "Normal"), p, q) <= RTOL


NEIGHBOURS = [
    *(("Exponential", {"rate": r}, "Gamma", {"shape": 1.0, "rate": r}) for r in (1e-100, 0.3, 1e100)),
    *(("Exponential", {"rate": r}, "Weibull", {"shape": 1.0, "scale": 1.0 / r}) for r in (1e-100, 0.3, 1e100)),
    *(("Weibull", {"shape": 1.0, "scale": s}, "Gamma", {"shape": 1.0, "rate": 1.0 / s}) for s in (1e-100, 0.3, 1e100)),
    *(("Rayleigh", {"scale": s}, "Weibull", {"shape": 2.0, "scale": s * 2**0.5}) for s in (1e-100, 0.3, 1e100)),
    *(("Chi2", {"df": k}, "Gamma", {"shape": k / 2, "rate": 0.5}) for k in (1e-50, 3.0, 1e50)),
    ("Exponential", {"rate": 0.5}, "Chi2", {"df": 2.0}),
]


@pytest.mark.parametrize(("name_p", "p", "name_q", "q"), NEIGHBOURS)
def test_different_families_that_nearly_agree(name_p, p, name_q, q):
    for distance in (0.0, 1e-14, 1e-8, -1e-8, 1e-3):
        for changed in itertools.product((1.0, 1.0 + distance), repeat=len(q)):
            near = {k: v * factor for (k, v), factor in zip(q.items(), changed, strict=True)}
            assert error((name_p, name_q), p, near) <= RTOL, near
            if (name_q, name_p) in FORMS:
                assert error((name_q, name_p), near, p) <= RTOL, near


def test_families_that_agree_have_no_divergence():
    gamma, exponential = kl.Gamma(shape=1.0, rate=3.0), kl.Exponential(rate=3.0)
    assert kl.kl_divergence(gamma, exponential) == kl.kl_divergence(exponential, gamma) == 0.0
    chi2 = kl.Chi2(df=[1.0, 7.0])
    np.testing.assert_array_equal(kl.kl_divergence(chi2, kl.Gamma(shape=[0.5, 3.5], rate=0.5)), [0.0, 0.0])
    np.testing.assert_array_equal(kl.kl_divergence(kl.Chi2(df=2.0), kl.Exponential(rate=0.5)), 0.0)


# ---------------------------------------------------------------- extremes

LIMITS = (5e-324, 1e-308, 1e-200, 1e-16, 1.0, 1e16, 1e200, 1.7e308)


@compiled_only
@pytest.mark.parametrize("pair", FORMS, ids="-".join)
def test_never_nan_and_never_negative(pair):
    arguments = FORMS[pair].parameters
    limits = np.array(LIMITS[1:] if "Chi2" in pair else LIMITS)
    signed = {"LogNormal": {"mean_p", "mean_q"}, "Normal": {"mean_q"}, "Gumbel": {"loc_q"}, "Laplace": {"loc_q"}}
    reals = signed.get(pair[1], set())
    axes = [np.concatenate([limits, -limits, [0.0]]) if name in reals else limits for name in arguments]
    values = FORMS[pair](*np.meshgrid(*axes))
    assert not np.isnan(values).any()
    assert (values >= 0.0).all()


@compiled_only
def test_answers_that_are_infinite():
    assert kl.kl_divergence(kl.Pareto(shape=1.0, scale=1.0), kl.Exponential(rate=1.0)) == math.inf
    assert kl.kl_divergence(kl.Pareto(shape=1.0, scale=1.0), kl.Gamma(shape=1.0, rate=1.0)) == math.inf
    assert kl.kl_divergence(kl.Pareto(shape=2.0, scale=1.0), kl.Normal(mean=0.0, var=1.0)) == math.inf
    assert kl.kl_divergence(kl.Exponential(rate=1.0), kl.Pareto(shape=1.0, scale=1e-300)) == math.inf
    assert kl.kl_divergence(kl.Normal(mean=1e9, var=1.0), kl.Gamma(shape=1.0, rate=1.0)) == math.inf
    batch = kl.Pareto(shape=1.0, scale=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(np.isinf(kl.kl_divergence(batch, batch[1])), [True, False, False])


def test_degrees_of_freedom_that_have_no_half_are_refused():
    with pytest.raises(errors.InvalidParameterError, match="df of Chi2 must be larger than 5e-324"):
        kl.Chi2(df=[1.0, 5e-324])


def test_pareto_and_exponential_across_the_least_mean():
    just = np.nextafter(1.0, 2.0)
    assert math.isfinite(kl.kl_divergence(kl.Pareto(shape=just, scale=1.0), kl.Exponential(rate=1.0)))


# ---------------------------------------------------------------- laws of divergences

shapes, scales = st.floats(1e-3, 1e6), st.floats(1e-50, 1e50)


@given(a=shapes, b=shapes, r=scales, s=scales, unit=st.floats(1e-50, 1e50))
def test_the_unit_of_measurement_does_not_matter(a, b, r, s, unit):
    gamma = [kl.kl_divergence(kl.Gamma(shape=a, rate=r * u), kl.Gamma(shape=b, rate=s * u)) for u in (1.0, unit)]
    slack = 4e-16 * a * (1.0 + s / r)  # the products with the unit are rounded
    assert gamma[1] == pytest.approx(gamma[0], rel=1e-12, abs=slack) or math.isinf(gamma[0])
    weibulls = [kl.kl_divergence(kl.Rayleigh(scale=r * u), kl.Rayleigh(scale=s * u)) for u in (1.0, unit)]
    assert weibulls[1] == pytest.approx(weibulls[0], rel=1e-12, abs=1e-15)


@given(a=shapes, b=shapes, r=scales, s=scales)
def test_a_monotone_map_does_not_matter(a, b, r, s):
    """1 / Gamma is InverseGamma; a square root makes Rayleigh of Exponential; a logarithm, Exponential of Pareto."""
    inverse = kl.kl_divergence(kl.InverseGamma(shape=a, scale=r), kl.InverseGamma(shape=b, scale=s))
    assert inverse == kl.kl_divergence(kl.Gamma(shape=a, rate=r), kl.Gamma(shape=b, rate=s))
    squares = kl.kl_divergence(kl.Exponential(rate=0.5 / r / r), kl.Exponential(rate=0.5 / s / s))
    assert kl.kl_divergence(kl.Rayleigh(scale=r), kl.Rayleigh(scale=s)) == pytest.approx(squares, rel=1e-12, abs=1e-15)
    paretos = kl.kl_divergence(kl.Pareto(shape=a, scale=s), kl.Pareto(shape=b, scale=s))
    assert paretos == kl.kl_divergence(kl.Exponential(rate=a), kl.Exponential(rate=b))


# ---------------------------------------------------------------- densities, draws, constructors


@pytest.mark.parametrize("cls", laws_positive.EXAMPLES, ids=lambda cls: cls.__name__)
def test_densities_outside_and_at_the_ends(cls):
    p = laws_positive.EXAMPLES[cls](np.random.default_rng(0), ())
    law = laws_positive.ORACLES[cls](p)
    assert p.log_prob(-1e-300) == p.log_prob(-math.inf) == p.log_prob(math.inf) == -math.inf
    assert p.log_prob(0.0) == pytest.approx(law.logpdf(0.0), rel=1e-13)


@pytest.mark.parametrize("family", [kl.Gamma, kl.Weibull])
@pytest.mark.parametrize(("shape", "at_zero"), [(0.5, math.inf), (1.0, math.log(2.0)), (1.5, -math.inf)])
def test_density_at_zero_depends_on_the_shape(family, shape, at_zero):
    p = family(shape=shape, **({"rate": 2.0} if family is kl.Gamma else {"scale": 0.5}))
    assert p.log_prob(0.0) == at_zero


@pytest.mark.parametrize("shape", [1e-3, 0.1, 30.0, 1e4, 1e8])
def test_densities_of_any_shape(shape):
    with mp.workdps(60):
        for x in (shape, 0.9 * shape, 1.001 * shape, 1e-5):
            a, y = mp.mpf(shape), mp.mpf(x)
            gamma = (a - 1) * mp.log(y) - y - mp.loggamma(a)
            assert kl.Gamma(shape=shape, rate=1.0).log_prob(x) == pytest.approx(float(gamma), rel=1e-13, abs=1e-13)
            inverse = -(a + 1) * mp.log(y) - 1 / y - mp.loggamma(a)
            assert kl.InverseGamma(shape=shape, scale=1.0).log_prob(x) == pytest.approx(
                float(inverse), rel=1e-13, abs=1e-13
            )


@pytest.mark.parametrize("shape", [1e-6, 0.01, 1.0, 11.9, 12.1, 1e6, 1e12])
def test_entropies_of_any_shape(shape):
    with mp.workdps(60):
        a = mp.mpf(shape)
        gamma = a + mp.loggamma(a) + (1 - a) * mp.digamma(a)
        inverse = a + mp.loggamma(a) - (1 + a) * mp.digamma(a)
        gaussian = (mp.log(2 * mp.pi * mp.e / a) - 3 * mp.exp(2 * a) * mp.e1(2 * a)) / 2
    for p, entropy in (
        (kl.Gamma(shape=shape, rate=1.0), gamma),
        (kl.Chi2(df=2.0 * shape), gamma + mp.log(2)),
        (kl.InverseGamma(shape=shape, scale=1.0), inverse),
        (kl.InverseGaussian(mean=1.0, shape=shape), gaussian),
    ):
        assert p.entropy() == pytest.approx(float(entropy), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("cls", laws_positive.EXAMPLES, ids=lambda cls: cls.__name__)
def test_draws_have_the_distribution_function_of_scipy(cls):
    p = laws_positive.EXAMPLES[cls](np.random.default_rng(3), ())
    law = laws_positive.ORACLES[cls](p)
    assert stats.kstest(p.sample(20_000, random_state=7), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("cls", laws_positive.EXAMPLES, ids=lambda cls: cls.__name__)
def test_the_bulk_holds_mass(cls):
    p = laws_positive.EXAMPLES[cls](np.random.default_rng(5), (6,))
    center, reach = p._bulk()
    for each, c, r in zip(p, np.broadcast_to(center, 6), np.broadcast_to(reach, 6), strict=True):
        law = laws_positive.ORACLES[cls](each)
        assert law.cdf(c + 2.0 * r) - law.cdf(c - 2.0 * r) > 0.4
    for parameters in laws_positive.GRID[cls.__name__]:
        for number in cls(**parameters)._bulk():
            assert 0.0 < number < math.inf


@pytest.mark.parametrize("scale", [1e-300, 0.5, [1.0, 3.0], 1e300])
def test_from_scale(scale):
    rate = 1.0 / np.asarray(scale)
    np.testing.assert_array_equal(kl.Exponential.from_scale(scale=scale).rate, rate)
    gamma = kl.Gamma.from_scale(shape=2.0, scale=scale)
    np.testing.assert_array_equal(gamma.rate, rate)
    np.testing.assert_array_equal(gamma.shape, 2.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 1e-310, 1.7e308, [1.0, 0.0]], ids=str)
def test_a_scale_without_a_rate_is_refused(scale):
    for build in (lambda: kl.Exponential.from_scale(scale=scale), lambda: kl.Gamma.from_scale(shape=1.0, scale=scale)):
        with pytest.raises(errors.InvalidParameterError, match=r"scale of (Exponential|Gamma) must be > 0"):
            build()


# ---------------------------------------------------------------- torch


def torch_law(distributions, p):
    numbers = {name: float(value) for name, value in p.parameters.items()}
    arguments = {
        "Exponential": lambda rate: distributions.Exponential(rate),
        "Gamma": lambda shape, rate: distributions.Gamma(shape, rate),
        "Chi2": lambda df: distributions.Chi2(df),
        "InverseGamma": lambda shape, scale: distributions.InverseGamma(shape, scale),
        "LogNormal": lambda mean, var: distributions.LogNormal(mean, var**0.5),
        "HalfNormal": lambda scale: distributions.HalfNormal(scale),
        "Pareto": lambda shape, scale: distributions.Pareto(scale, shape),
        "Normal": lambda mean, var: distributions.Normal(mean, var**0.5),
    }
    return arguments[type(p).__name__](**numbers)


TORCH_PAIRS = [
    *(("Exponential", q) for q in ("Exponential", "Gamma", "Normal")),
    *(("Gamma", q) for q in ("Gamma", "Exponential", "Normal")),
    *(("Pareto", q) for q in ("Pareto", "Exponential", "Gamma", "Normal")),
    *((p, p) for p in ("Chi2", "InverseGamma", "LogNormal", "HalfNormal")),
]


@pytest.mark.parametrize("pair", TORCH_PAIRS, ids="-".join)
def test_agrees_with_torch(pair):
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for seed in range(5):
            build_p = laws_positive.EXAMPLES[getattr(kl, pair[0])]
            build_q = laws_positive.EXAMPLES.get(getattr(kl, pair[1]), lambda rng, batch: kl.Normal(mean=0.3, var=2.0))
            p, q = build_p(np.random.default_rng(seed), ()), build_q(np.random.default_rng(seed + 9), ())
            theirs = torch.distributions.kl_divergence(
                torch_law(torch.distributions, p), torch_law(torch.distributions, q)
            )
            assert kl.kl_divergence(p, q) == pytest.approx(float(theirs), rel=1e-9, abs=1e-12)
    finally:
        torch.set_default_dtype(before)


def test_rayleigh_at_the_ends_of_float64():
    p = kl.Rayleigh(scale=[3.0, 0.7])
    assert p.log_prob(5e-324) == pytest.approx(math.log(5e-324) - 2.0 * np.log([3.0, 0.7]), rel=1e-15)
    assert p.log_prob(1.797e308).tolist() == [-math.inf] * 2


def test_the_entropy_of_the_smallest_weibull_shape():
    assert kl.entropy(kl.Weibull(shape=5e-324, scale=1.0)) == -math.inf


@pytest.mark.parametrize("shape", [5e-324, 1e-309, 1e-300, 1e-8])
def test_entropy_of_the_smallest_shapes(shape):
    """Beyond the logarithms it is 1 / shape."""
    found = kl.entropy(kl.InverseGamma(shape=shape, scale=2.0))
    a = mp.mpf(shape)
    exact = a + mp.log(2) + mp.loggamma(a) - (1 + a) * mp.digamma(a)
    assert found == (math.inf if exact > 1.79e308 else pytest.approx(float(exact), rel=1e-12))
