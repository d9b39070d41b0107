"""Bounds and approximations for Gaussian mixtures, against integrals on grids, SciPy and plain loops."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import logsumexp

import kltools as kl
from kltools import errors

TIGHT = 1e-9  # rounding errors of bounds that are met with equality
NAMES = (
    "variational",
    "product",
    "durrieu_lower",
    "durrieu_upper",
    "variational_upper",
    "kolchinsky_tracey_upper",
)
LINE = np.linspace(-60.0, 60.0, 40_001)  # sums over it are integrals to rounding errors, for deviations above 0.02
STEP = LINE[1] - LINE[0]


def random_mixture(rng, d, n_components=None, diagonal=None):
    n_components = int(rng.integers(1, 7)) if n_components is None else n_components
    factor = rng.normal(size=(n_components, d, d + 2))
    covs = rng.choice([0.3, 1.0, 2.0]) * (factor @ np.swapaxes(factor, 1, 2) / d + 0.05 * np.eye(d))
    if rng.random() < 0.5 if diagonal is None else diagonal:
        covs = np.diagonal(covs, axis1=1, axis2=2)
    means = rng.choice([0.3, 1.0, 3.0]) * rng.normal(size=(n_components, d))
    return kl.GaussianMixture(weights=rng.dirichlet(np.ones(n_components)), means=means, covs=covs)


def laws(mixture):
    """Of SciPy, one for each component."""
    covs = mixture.covs if mixture.covs.ndim > mixture.means.ndim else [np.diag(var) for var in mixture.covs]
    return [stats.multivariate_normal(mean, cov) for mean, cov in zip(mixture.means, covs, strict=True)]


def log_density(mixture, x):
    return logsumexp([law.logpdf(x) for law in laws(mixture)], axis=0, b=mixture.weights[:, None])


def on_line(mixture):
    """Densities of the components of a mixture of one coordinate, and their logarithms."""
    logs = np.array([stats.norm(law.mean[0], math.sqrt(law.cov[0, 0])).logpdf(LINE) for law in laws(mixture)])
    return np.exp(logs), logs


def kl_on_line(p, q):
    f, _ = on_line(p)
    return float((p.weights @ f) @ (log_density(p, LINE) - log_density(q, LINE))) * STEP


def expected_on_line(p, q):
    """The definitions, with each integral as a sum over the line."""
    (f, log_f), (g, log_g) = on_line(p), on_line(q)
    pi, omega = p.weights, q.weights
    value = dict.fromkeys(NAMES[:4] + NAMES[5:], 0.0)
    for a in range(len(pi)):
        entropy = -(f[a] @ log_f[a]) * STEP
        own = sum(pi[c] * math.exp(-(f[a] @ (log_f[a] - log_f[c])) * STEP) for c in range(len(pi)))
        other = sum(omega[b] * math.exp(-(f[a] @ (log_f[a] - log_g[b])) * STEP) for b in range(len(omega)))
        own_product = sum(pi[c] * (f[a] @ f[c]) * STEP for c in range(len(pi)))
        other_product = sum(omega[b] * (f[a] @ g[b]) * STEP for b in range(len(omega)))
        overlap = sum(pi[c] * np.sqrt(f[a] * f[c]).sum() * STEP for c in range(len(pi)))
        value["variational"] += pi[a] * math.log(own / other)
        value["product"] += pi[a] * math.log(own_product / other_product)
        value["durrieu_upper"] += pi[a] * (math.log(own_product / other) + entropy)
        value["durrieu_lower"] += pi[a] * (math.log(own / other_product) - entropy)
        value["kolchinsky_tracey_upper"] += pi[a] * math.log(overlap / other)
    return value


@pytest.mark.parametrize("seed", range(8))
def test_values_are_those_of_the_definitions(seed):
    rng = np.random.default_rng(seed)
    p, q = random_mixture(rng, 1), random_mixture(rng, 1)
    bounds = kl.mixture_kl_bounds(p, q, n_samples=100, random_state=0)
    for name, value in expected_on_line(p, q).items():
        assert getattr(bounds, name) == pytest.approx(value, rel=1e-9, abs=1e-10), name


@pytest.mark.parametrize("diagonals", [(True, True), (True, False), (False, True), (False, False)])
def test_independent_coordinates_may_be_told_as_matrices(diagonals):
    rng = np.random.default_rng(1)
    p, q = random_mixture(rng, 3, 4, True), random_mixture(rng, 3, 3, True)
    told = [
        law
        if diagonal
        else kl.GaussianMixture(weights=law.weights, means=law.means, covs=law.covs[..., None] * np.eye(3))
        for law, diagonal in zip((p, q), diagonals, strict=True)
    ]
    plain, others = (kl.mixture_kl_bounds(*pair, n_samples=100, random_state=0) for pair in ((p, q), told))
    for name in NAMES:
        assert getattr(others, name) == pytest.approx(getattr(plain, name), rel=1e-9, abs=1e-12), name


def test_a_rotation_changes_nothing():
    rng = np.random.default_rng(2)
    p, q = random_mixture(rng, 4, 3, False), random_mixture(rng, 4, 5, False)
    turn = stats.ortho_group.rvs(4, random_state=0) * 1.7
    turned = [
        kl.GaussianMixture(
            weights=law.weights, means=law.means @ turn.T + 5.0, covs=_symmetric(turn @ law.covs @ turn.T)
        )
        for law in (p, q)
    ]
    plain, others = (kl.mixture_kl_bounds(*pair, n_samples=100, random_state=0) for pair in ((p, q), turned))
    for name in NAMES:
        assert getattr(others, name) == pytest.approx(getattr(plain, name), rel=1e-8), name


def _symmetric(matrices):
    return 0.5 * (matrices + np.swapaxes(matrices, -1, -2))


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds:RuntimeWarning")  # older SciPy
@pytest.mark.parametrize("seed", range(6))
def test_the_variational_upper_bound_is_the_least_of_its_kind(seed):
    """By a general minimiser over all phi."""
    rng = np.random.default_rng(seed)
    p, q = random_mixture(rng, 2, 3), random_mixture(rng, 2, 4)
    divergences = kl.pairwise_kl(p.components, q.components)

    def objective(phi):
        slope = divergences + np.log(phi.reshape(3, 4).sum(axis=0) / q.weights)
        return float(phi @ slope.reshape(-1)), slope.reshape(-1) + 1.0

    found = optimize.minimize(
        objective,
        np.outer(p.weights, q.weights).reshape(-1),
        jac=True,
        method="SLSQP",
        bounds=[(1e-15, None)] * 12,
        constraints={"type": "eq", "fun": lambda phi: phi.reshape(3, 4).sum(axis=1) - p.weights},
        options={"ftol": 1e-13, "maxiter": 500},
    ).fun
    ours = kl.mixture_kl_bounds(p, q, n_samples=100, random_state=0).variational_upper
    assert ours == pytest.approx(found, rel=1e-6)


# ---------------------------------------------------------------- bounds hold


def check_bounds(bounds, low, high):
    """The truth lies between low and high."""
    assert bounds.durrieu_lower <= high + TIGHT
    assert bounds.lower <= high + TIGHT
    for name in ("durrieu_upper", "variational_upper", "kolchinsky_tracey_upper", "upper"):
        assert getattr(bounds, name) >= low - TIGHT, name
    if bounds.kolchinsky_tracey_lower is not None:
        assert bounds.kolchinsky_tracey_lower <= high + TIGHT


@pytest.mark.parametrize("seed", range(60))
def test_bounds_hold_on_the_line(seed):
    rng = np.random.default_rng(100 + seed)
    p = random_mixture(rng, 1)
    q = random_mixture(rng, 1, 1 if seed % 3 == 0 else None)
    truth = kl_on_line(p, q)
    bounds = kl.mixture_kl_bounds(p, q, n_samples=2000, random_state=seed)
    check_bounds(bounds, truth, truth)
    assert abs(bounds.monte_carlo.value - truth) < 5.0 * bounds.monte_carlo.standard_error + TIGHT
    assert (bounds.kolchinsky_tracey_lower is None) == (len(q.weights) > 1)


def check_in_space(seed, n):
    """Against draws and densities of SciPy."""
    rng = np.random.default_rng(1000 + seed)
    d = int(rng.integers(1, 7))
    p, q = random_mixture(rng, d), random_mixture(rng, d, 1 if seed % 4 == 0 else None)
    counts = rng.multinomial(n, p.weights)
    x = np.concatenate(
        [law.rvs(size=count, random_state=rng).reshape(count, d) for law, count in zip(laws(p), counts, strict=True)]
    )
    ratios = log_density(p, x) - log_density(q, x)
    margin = 5.0 * ratios.std() / math.sqrt(n)
    check_bounds(
        kl.mixture_kl_bounds(p, q, n_samples=100, random_state=0), ratios.mean() - margin, ratios.mean() + margin
    )


@pytest.mark.parametrize("seed", range(20))
def test_bounds_hold_in_space(seed):
    check_in_space(seed, 20_000)


@pytest.mark.slow
def test_bounds_hold_on_a_thousand_mixtures():
    for seed in range(1000):
        check_in_space(seed, 100_000)


@given(st.integers(0, 2**16), st.floats(0.01, 0.99), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=30)
def test_a_component_may_be_told_as_two(seed, share, of_p):
    rng = np.random.default_rng(seed)
    pair = [random_mixture(rng, 2, 3, False), random_mixture(rng, 2, 2, False)]
    whole = kl.mixture_kl_bounds(*pair, n_samples=100, random_state=0)
    law = pair[0 if of_p else 1]
    split = {name: np.concatenate([array, array[-1:]]) for name, array in law.parameters.items()}
    split["weights"][-2:] *= share, 1.0 - share
    pair[0 if of_p else 1] = kl.GaussianMixture(**split)
    parts = kl.mixture_kl_bounds(*pair, n_samples=100, random_state=0)
    for name in NAMES:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-6, abs=1e-9), name


def test_equal_mixtures():
    p = random_mixture(np.random.default_rng(3), 3, 5)
    bounds = kl.mixture_kl_bounds(p, p, random_state=0)
    assert (bounds.monte_carlo.value, bounds.monte_carlo.standard_error) == (0.0, 0.0)
    assert (bounds.variational, bounds.product) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert 0.0 <= bounds.lower <= bounds.upper < 1e-6


def test_single_gaussians_are_exact():
    """All but what integrates products."""
    p, q = kl.Normal(mean=0.0, var=1.0), kl.Normal(mean=1.0, var=2.0)
    diag = [kl.MultivariateNormalDiag(mean=[float(law.mean)], var=[float(law.var)]) for law in (p, q)]
    truth = kl.kl_divergence(p, q)
    for pair in (diag, [law.to_full() for law in diag]):
        bounds = kl.mixture_kl_bounds(*pair, random_state=0)
        assert [bounds.lower, bounds.upper, bounds.variational] == pytest.approx([truth] * 3, rel=1e-14)


def test_components_without_weight_do_not_count():
    p = random_mixture(np.random.default_rng(4), 2, 3, False)
    more = {name: np.concatenate([array, array[:1] + 0.0]) for name, array in p.parameters.items()}
    more["weights"][-1] = 0.0
    more["means"][-1] = 1e6
    bounds, others = (
        kl.mixture_kl_bounds(law, p, n_samples=1000, random_state=0) for law in (p, kl.GaussianMixture(**more))
    )
    assert others.to_dict() == bounds.to_dict()


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize(("n_components", "n_samples"), [(3, 600), (200, 1000)], ids=["each", "in groups"])
def test_the_estimate_is_unbiased_and_knows_its_error(n_components, n_samples):
    rng = np.random.default_rng(5)
    means = np.sort(3.0 * rng.normal(size=(n_components, 1)), axis=0)
    p = kl.GaussianMixture(
        weights=rng.dirichlet(np.ones(n_components)), means=means, covs=rng.gamma(2.0, size=(n_components, 1)) + 0.1
    )
    q = kl.MultivariateNormalDiag(mean=[0.5], var=[6.0])
    truth = kl_on_line(p, kl.GaussianMixture(weights=[1.0], means=[[0.5]], covs=[[6.0]]))
    found = [kl.mixture_kl_bounds(p, q, n_samples=n_samples, random_state=seed).monte_carlo for seed in range(120)]
    z = np.array([(each.value - truth) / each.standard_error for each in found])
    assert abs(z.mean()) < 4.0 / math.sqrt(len(z))
    assert 0.75 < z.std() < 1.3
    assert all(each.n_p <= n_samples for each in found)


def test_strata_bring_precision():
    """Where what differs is the component, whose share is no longer left to chance."""
    p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-20.0], [20.0]], covs=[[1.0], [1.0]])
    q = kl.GaussianMixture(weights=[0.9, 0.1], means=[[-20.0], [20.0]], covs=[[1.0], [1.1]])
    stratified = kl.mixture_kl_bounds(p, q, n_samples=10_000, random_state=0).monte_carlo
    plain = kl.estimate_kl_monte_carlo(p, q, n_samples=10_000, random_state=0)
    assert stratified.standard_error < 0.1 * plain.standard_error
    assert stratified.confidence_interval()[0] < kl_on_line(p, q) < stratified.confidence_interval()[1]


def test_the_seed_fixes_every_bit_for_any_number_of_threads():
    p, q = (random_mixture(np.random.default_rng(seed), 3, 40) for seed in (6, 7))
    first, again, other = (
        kl.mixture_kl_bounds(p, q, n_samples=5000, random_state=seed, n_jobs=jobs).to_dict()
        for seed, jobs in ((0, 1), (0, 2), (1, 1))
    )
    assert first == again
    assert first["monte_carlo"]["value"] != other["monte_carlo"]["value"]


# ---------------------------------------------------------------- the result, and what is refused


def test_the_result_tells_itself():
    p, q = (random_mixture(np.random.default_rng(seed), 2, 3) for seed in (8, 9))
    nats, bits = (kl.mixture_kl_bounds(p, q, n_samples=1000, unit=unit, random_state=0) for unit in ("nats", "bits"))
    for name in (*NAMES, "lower", "upper"):
        assert getattr(bits, name) == pytest.approx(getattr(nats, name) / math.log(2.0), rel=1e-12)
    assert bits.monte_carlo.unit == "bits"
    assert json.loads(nats.to_json())["upper"] == nats.upper == min(nats.to_dict()[name] for name in NAMES[3:])
    assert f"{nats.upper:.6g}]" in nats.summary()
    assert (nats.n_components_p, nats.n_components_q) == (3, 3)


MIXTURE = kl.GaussianMixture(weights=[0.5, 0.5], means=np.zeros((2, 2)), covs=np.ones((2, 2)))
MANY, POSTERIOR = (
    kl.GaussianMixture(weights=np.full(n, 1 / n), means=np.zeros((n, 2)), covs=np.ones((n, 2))) for n in (5000, 20_000)
)
WRONG = [
    ((MIXTURE, [1.0]), {}, errors.InvalidTypeError, "q is a list"),
    ((MIXTURE, kl.Normal(mean=0.0, var=1.0)), {}, errors.InvalidTypeError, "q is a Normal; a GaussianMixture"),
    ((MIXTURE[None], MIXTURE), {}, errors.ShapeMismatchError, r"p must be a single distribution.*\(1,\)"),
    ((MIXTURE, kl.MultivariateNormalDiag(mean=[0.0], var=[1.0])), {}, errors.ShapeMismatchError, "events differ"),
    ((MIXTURE, MIXTURE), {"n_samples": 10}, errors.InvalidParameterError, "n_samples"),
    ((MIXTURE, MIXTURE), {"unit": "digits"}, errors.InvalidParameterError, "unit"),
    ((MANY, MANY), {}, errors.InvalidParameterError, "p and q have 25000000 pairs of components"),
    ((POSTERIOR, MIXTURE), {}, errors.InvalidParameterError, r"p has 400000000 pairs.*estimate_kl_monte_carlo"),
]


@pytest.mark.parametrize(("laws", "options", "error", "message"), WRONG, ids=[row[3] for row in WRONG])
def test_what_is_refused(laws, options, error, message):
    with pytest.raises(error, match=message):
        kl.mixture_kl_bounds(*laws, **options)


def test_an_estimate_that_its_bounds_refute_is_told():
    """Draws of deviations 1e-150 around 2 are 2: they do not see that half of q is wider."""
    p, q = (
        kl.GaussianMixture(weights=[0.5, 0.5], means=[[-2.0], [2.0]], covs=[[1e-300], [v]]) for v in (1e-300, 2e-300)
    )
    with pytest.warns(errors.UnreliableEstimateWarning, match="is beyond the bounds, .*; rely on the bounds") as told:
        found = kl.mixture_kl_bounds(p, q, random_state=0)
    assert told[0].filename == __file__
    assert found.monte_carlo.reliable is False
    assert "beyond the bounds" in found.monte_carlo.reasons[0]
    truth = 0.5 * kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=0, var=2))
    assert found.lower <= truth <= 1.01 * found.upper


@pytest.mark.parametrize("var", [1e307, 1e308])
def test_huge_variances_have_bounds(var):
    p = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-2.0], [2.0]], covs=[[var], [var]])
    with pytest.warns(errors.UnreliableEstimateWarning, match="the Monte Carlo estimate, inf, is beyond the bounds"):
        found = kl.mixture_kl_bounds(p, kl.MultivariateNormalDiag(mean=[0.0], var=[1.0]), random_state=0)
    truth = 0.5 * var
    assert found.lower == pytest.approx(truth, rel=1e-9)
    assert found.upper == pytest.approx(truth, rel=1e-9)
    full = kl.GaussianMixture(weights=p.weights, means=p.means, covs=p.covs[..., None])
    assert kl.mixture_kl_bounds(full, p, random_state=0).upper == pytest.approx(0.0, abs=1e-9)
