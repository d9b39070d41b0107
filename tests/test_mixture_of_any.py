"""Mixtures of any family: densities, draws and moments against SciPy, quadrature across their modes and gaps."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import logsumexp

import kltools as kl
from kltools import errors


def two(components, weight=0.25):
    return kl.Mixture(weights=[weight, 1.0 - weight], components=components)


# ---------------------------------------------------------------- densities


def test_gaussian_components_make_a_gaussian_mixture():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(5, 3, 2, 4))
    covs = factor @ np.swapaxes(factor, -1, -2)
    weights, means = rng.dirichlet(np.ones(3), size=5), rng.normal(size=(5, 3, 2))
    full = kl.Mixture(weights=weights, components=kl.MultivariateNormal(mean=means, cov=covs))
    ours = kl.GaussianMixture(weights=weights, means=means, covs=covs)
    assert (full.batch_shape, full.event_shape) == ((5,), (2,))
    x = 2.0 * rng.normal(size=(40, 5, 2))
    np.testing.assert_allclose(full.log_prob(x), ours.log_prob(x), rtol=1e-11, atol=1e-12)
    for found, expected in zip(full._moments(), ours._moments(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("n_rows", [1, 3, 600_000])
def test_blocks_of_components_change_no_bit(n_rows):
    p = kl.Mixture(weights=np.full(8, 0.125), components=kl.Laplace(loc=np.arange(8.0), scale=1.0))
    x = np.linspace(-3.0, 9.0, n_rows)
    some = slice(None, None, max(1, n_rows // 7))
    np.testing.assert_array_equal(p.log_prob(x)[some], [p.log_prob(each) for each in x[some]])


def test_matrices_are_mixed():
    scales = np.array([np.eye(2), [[2.0, 0.5], [0.5, 1.0]]])
    p = two(kl.Wishart(df=[3.0, 5.0], scale=scales))
    x = p.sample(30, random_state=0)
    assert x.shape == (30, 2, 2)
    logs = [stats.wishart(df, scale).logpdf(np.moveaxis(x, 0, -1)) for df, scale in zip((3, 5), scales, strict=True)]
    np.testing.assert_allclose(p.log_prob(x), logsumexp(logs, axis=0, b=[[0.25], [0.75]]), rtol=1e-10)


def test_what_no_component_reaches_is_minus_infinity():
    p = two(kl.Uniform(low=[0.0, 5.0], high=[1.0, 6.0]))
    np.testing.assert_allclose(
        p.log_prob([-1.0, 0.5, 3.0, 5.5]), [-math.inf, math.log(0.25), -math.inf, math.log(0.75)]
    )
    far = two(kl.Normal(mean=[0.0, 1.0], var=1.0))
    assert far.log_prob(1e300) == -math.inf


def test_a_pole_counts_with_weight_only():
    components = kl.Beta(alpha=[0.5, 2.0], beta=[0.5, 2.0])
    assert kl.Mixture(weights=[0.0, 1.0], components=components).log_prob(0.0) == -math.inf
    assert kl.Mixture(weights=[0.5, 0.5], components=components).log_prob(0.0) == math.inf


def test_weights_and_components_broadcast():
    p = kl.Mixture(
        weights=[[[0.2, 0.8]], [[0.5, 0.5]], [[1.0, 0.0]]],
        components=kl.Normal(mean=np.arange(8.0).reshape(4, 2), var=1.0),
    )
    assert p.batch_shape == (3, 4)
    x = np.random.default_rng(1).normal(size=(5, 3, 4))
    for i, j in np.ndindex(3, 4):
        logs = [stats.norm(2 * j + k).logpdf(x[:, i, j]) for k in range(2)]
        with np.errstate(divide="ignore"):
            expected = logsumexp(logs, axis=0, b=p.weights[i, 0][:, None])
        np.testing.assert_allclose(p.log_prob(x)[:, i, j], expected, rtol=1e-12)
        np.testing.assert_allclose(p[i, j].log_prob(x[:, i, j]), expected, rtol=1e-12)


@given(st.integers(1, 5), st.floats(0.0, 1.0), st.integers(0, 2**16))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_a_component_may_be_told_as_two(n_components, share, seed):
    rng = np.random.default_rng(seed)
    loc, weights = rng.normal(size=n_components), rng.dirichlet(np.ones(n_components))
    split = np.append(weights, 0.0)
    split[-2:] = weights[-1] * share, weights[-1] * (1.0 - share)
    x = 3.0 * rng.normal(size=20)
    whole = kl.Mixture(weights=weights, components=kl.Gumbel(loc=loc, scale=1.0))
    parts = kl.Mixture(weights=split, components=kl.Gumbel(loc=np.append(loc, loc[-1]), scale=1.0))
    np.testing.assert_allclose(parts.log_prob(x), whole.log_prob(x), rtol=1e-12, atol=1e-13)


# ---------------------------------------------------------------- draws and moments


def test_draws_come_from_every_component():
    p = kl.Mixture(weights=[0.1, 0.0, 0.6, 0.3], components=kl.Normal(mean=[0.0, 50.0, 100.0, 200.0], var=1.0))
    x = p.sample(20_000, random_state=0)
    counts = np.bincount(np.rint(x / 50.0).astype(int), minlength=5)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 4]], 20_000 * np.array([0.1, 0.6, 0.3])).pvalue > 0.01
    assert stats.kstest(x[np.abs(x - 100.0) < 25.0] - 100.0, "norm").pvalue > 0.01


def test_each_of_a_batch_draws_from_its_own():
    p = kl.Mixture(weights=[[1.0, 0.0], [0.5, 0.5]], components=kl.Normal(mean=[[0.0, 9.0], [100.0, 200.0]], var=1e-6))
    x = p.sample((300, 4), random_state=0)
    assert x.shape == (300, 4, 2)
    np.testing.assert_allclose(x[..., 0], 0.0, atol=0.01)
    assert set(np.rint(x[..., 1]).reshape(-1)) == {100.0, 200.0}


def test_a_forward_fit_has_the_moments():
    """By their formula, and by integration for components without one."""
    mean = 0.25 * 2.0 + 0.75 * 10.0
    var = 0.25 * (2.0 + (2.0 - mean) ** 2) + 0.75 * (20.0 + (10.0 - mean) ** 2)
    for components in (kl.Normal(mean=[2.0, 10.0], var=[2.0, 20.0]), kl.Laplace(loc=[2.0, 10.0], scale=[1.0, 10**0.5])):
        fit = kl.fit_gaussian(two(components))
        assert (float(fit.mean), float(fit.var)) == pytest.approx((mean, var), rel=1e-8)


def test_a_component_without_variance_matters_with_weight_only():
    components = kl.StudentT(df=[1.5, 5.0], loc=0.0, scale=1.0)
    assert two(components)._moments()[1] == math.inf
    assert kl.Mixture(weights=[0.0, 1.0], components=components)._moments()[1] == pytest.approx(5.0 / 3.0)


def test_a_reverse_fit_takes_the_deepest_mode():
    p = kl.Mixture(weights=[0.4, 0.6], components=kl.Normal(mean=[-3.0, 40.0], var=[1.0, 4.0]))
    fit = kl.fit_gaussian(p, direction="reverse")
    assert (float(fit.mean), float(fit.var)) == pytest.approx((40.0, 4.0), rel=1e-6)


# ---------------------------------------------------------------- quadrature


def quad_kl(p, q, points):
    """Piece by piece."""

    def term(x):
        log_p = p.log_prob(x)
        return math.exp(log_p) * (log_p - q.log_prob(x)) if log_p > -745.0 else 0.0

    edges = itertools.pairwise(points)
    return sum(integrate.quad(term, *edge, epsabs=1e-13, epsrel=1e-12, limit=500)[0] for edge in edges)


def test_divergence_of_near_modes():
    components, q = kl.Normal(mean=[-1.0, 2.0], var=[1.0, 0.5]), kl.Normal(mean=0.0, var=4.0)
    p, points = two(components), np.linspace(-15.0, 15.0, 31)
    for first, second in ((p, q), (q, p), (p, two(components, 0.6))):
        found = kl.kl_divergence(first, second, method="quadrature")
        assert found == pytest.approx(quad_kl(first, second, points), rel=1e-9)


def test_narrow_modes_far_apart_are_found():
    """Where each stands alone, the divergence is that of the components, and of the weights."""
    p = two(kl.Normal(mean=[0.0, 1e4], var=[1.0, 1e-4]))
    q = two(kl.Normal(mean=[0.5, 1e4], var=[1.0, 1e-4]), 0.5)
    alone = 0.25 * (0.125 + math.log(0.5)) + 0.75 * math.log(1.5)
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(alone, rel=1e-8)
    entropies = 0.5 * np.log(2.0 * np.pi * np.e * np.array([1.0, 1e-4]))
    mixed = 0.25 * (entropies[0] - math.log(0.25)) + 0.75 * (entropies[1] - math.log(0.75))
    assert kl.entropy(p, method="quadrature") == pytest.approx(mixed, rel=1e-8)


def test_heavy_tails_beside_one_another():
    p = two(kl.StudentT(df=[3.0, 9.0], loc=[0.0, 50.0], scale=1.0))
    q = kl.StudentT(df=2.0, loc=0.0, scale=5.0)
    points = [-np.inf, -100.0, -10.0, 0.0, 10.0, 40.0, 50.0, 60.0, 200.0, np.inf]
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(quad_kl(p, q, points), rel=1e-8)


def test_a_gap_in_a_support():
    p, q = two(kl.Uniform(low=[0.0, 5.0], high=[1.0, 6.0])), kl.Uniform(low=0.0, high=6.0)
    truth = 0.25 * math.log(0.25 * 6.0) + 0.75 * math.log(0.75 * 6.0)
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(truth, rel=1e-9)
    assert kl.kl_divergence(q, p, method="quadrature") == math.inf
    unlike = kl.Mixture(weights=[1.0, 0.0], components=kl.Uniform(low=[0.0, 5.0], high=[1.0, 9.0]))
    assert kl.kl_divergence(unlike, q, method="quadrature") == pytest.approx(math.log(6.0), rel=1e-9)


def test_counts_are_summed():
    p = two(kl.Poisson(rate=[3.0, 400.0]))
    q = kl.NegativeBinomial(r=1.0, probs=0.01)
    k = np.arange(2000)
    probs = 0.25 * stats.poisson(3.0).pmf(k) + 0.75 * stats.poisson(400.0).pmf(k)
    inside = probs > 0.0
    truth = (probs[inside] * (np.log(probs[inside]) - stats.geom(0.01, loc=-1).logpmf(k[inside]))).sum()
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(truth, rel=1e-9)


def test_categories_are_summed():
    p = two(kl.Categorical(probs=[[0.2, 0.8, 0.0], [0.6, 0.4, 0.0]]))
    mixed, q = kl.Categorical(probs=[0.5, 0.5, 0.0]), kl.Categorical(probs=[0.3, 0.3, 0.4])
    assert kl.kl_divergence(p, q, method="quadrature") == pytest.approx(kl.kl_divergence(mixed, q), rel=1e-14)
    assert kl.kl_divergence(q, p, method="quadrature") == math.inf


def test_other_divergences_and_draws_agree():
    p, q = two(kl.Laplace(loc=[-3.0, 4.0], scale=[1.0, 2.0])), kl.Logistic(loc=1.0, scale=3.0)
    exact = kl.kl_divergence(p, q, method="quadrature")
    drawn = kl.estimate_kl_monte_carlo(p, q, n_samples=50_000, random_state=0)
    assert abs(drawn.value - exact) < 4.0 * drawn.standard_error
    assert 0.0 < kl.jensen_shannon(p, q) < math.log(2.0)
    with pytest.raises(errors.NoClosedFormError, match='method="quadrature"'):
        kl.kl_divergence(p, q)


# ---------------------------------------------------------------- what is refused


WRONG = [
    ({"weights": [0.5, 0.6]}, errors.InvalidParameterError, "weights of Mixture must be >= 0 and sum to 1"),
    ({"weights": 1.0}, errors.ShapeMismatchError, "weights of Mixture needs at least 1 dimension"),
    ({"weights": [0.5, np.nan]}, errors.InvalidParameterError, "weights of Mixture must be finite"),
    ({"weights": [0.5, 0.25, 0.25]}, errors.ShapeMismatchError, r"Mixture has 3 weights.*shape \(2,\)"),
    ({"components": kl.Normal(mean=0.0, var=1.0)}, errors.ShapeMismatchError, r"2 weights.*shape \(\)"),
    ({"components": [0.0, 1.0]}, errors.InvalidTypeError, "components of Mixture is a list"),
    (
        {"weights": np.full((3, 2), 0.5), "components": kl.Normal(mean=np.zeros((4, 2)), var=1.0)},
        errors.ShapeMismatchError,
        "batches of weights",
    ),
]


@pytest.mark.parametrize(("changed", "error", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_wrong_parameters(changed, error, message):
    right = {"weights": [0.5, 0.5], "components": kl.Normal(mean=[0.0, 1.0], var=1.0)}
    with pytest.raises(error, match=message):
        kl.Mixture(**{**right, **changed})


def test_a_mixture_cannot_be_changed():
    p = two(kl.Normal(mean=[0.0, 1.0], var=1.0))
    with pytest.raises(AttributeError):
        p.weights = [1.0, 0.0]
    with pytest.raises(ValueError, match="read-only"):
        p.weights[0] = 1.0
