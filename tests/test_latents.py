"""Latent reports against quadrature, naive sums and torch: the parts, their errors, bounds, priors and subsampling."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

import kltools as kl
from kltools.latents.aggregate import Aggregate
from kltools.latents.bounds import information_bounds

PARTS = ("mutual_information", "total_correlation", "dimension_wise_kl", "aggregate_kl")


def encoder(n, d, std, seed, correlation=0.7):
    """Means that depend on each other, and deviations around std."""
    rng = np.random.default_rng(seed)
    mu = rng.normal(size=(n, d))
    mu[:, 1:] += correlation * mu[:, :-1]
    return mu, 2.0 * math.log(std) + rng.normal(0.0, 0.5, size=(n, d))


def log_terms(z, mu, log_var):
    """log N(z_ij; mu_kj, var_kj) for all rows i, components k and units j."""
    return norm.logpdf(z[:, None], mu, np.exp(0.5 * log_var))


def on_a_grid(mu, log_var, log_prior):
    """The four parts of two units by sums over a fine grid; the prior's units are independent."""
    x = np.linspace(-10.0, 10.0, 1401)
    step = x[1] - x[0]
    densities = [norm.pdf(x, mu[:, j, None], np.exp(0.5 * log_var[:, j, None])) for j in (0, 1)]
    q = densities[0].T @ densities[1] / len(mu)
    marginals = [d.mean(axis=0) for d in densities]
    mean_entropy = 0.5 * (math.log(2.0 * math.pi) + 1.0 + log_var).mean(axis=0).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        negative_entropy = np.nansum(q * np.log(q)) * step**2
        of_units = [np.nansum(m * np.log(m)) * step for m in marginals]
        from_prior = sum(np.nansum(m * (np.log(m) - log_prior(x))) * step for m in marginals)
    information, correlation = -mean_entropy - negative_entropy, negative_entropy - sum(of_units)
    return information, correlation, from_prior, correlation + from_prior


def deviations(report, truths):
    found = [getattr(report, name) for name in PARTS]
    return [(part.value - truth) / part.standard_error for part, truth in zip(found, truths, strict=True)]


# ---------------------------------------------------------------- truth


@pytest.mark.parametrize(("n", "std"), [(5, 1.0), (60, 0.5), (300, 0.15)])
def test_parts_are_within_their_errors_of_quadrature(n, std):
    """Of 100 seeds: hardly any part beyond 3 standard errors, none far, the errors neither too small nor too large."""
    mu, log_var = encoder(n, 2, std, seed=5)
    truths = on_a_grid(mu, log_var, norm.logpdf)
    z = np.array(
        [deviations(kl.latent_report(mu, log_var, n_samples=1000, random_state=s), truths) for s in range(100)]
    )
    assert (np.abs(z) > 3.0).mean() <= 0.01
    assert np.abs(z).max() < 4.0
    assert (z.std(axis=0) > 0.75).all()
    assert (z.std(axis=0) < 1.25).all()
    assert (np.abs(z.mean(axis=0)) < 0.35).all()


@pytest.mark.parametrize(("n", "std"), [(1, 1.0), (5, 1.0), (60, 0.5), (300, 0.15), (40, 0.01)])
def test_bounds_hold(n, std):
    mu, log_var = encoder(n, 2, std, seed=6)
    report = kl.latent_report(mu, log_var, random_state=0)
    information, _, _, aggregate = on_a_grid(mu, log_var, norm.logpdf) if std > 0.05 else (math.log(n), 0, 0, report.kl)
    if std <= 0.05:  # hardly any overlap, which no grid sees
        aggregate = report.kl - information
    low, high = report.mutual_information_bounds
    assert low - 1e-9 <= information <= high + 1e-9
    low, high = report.aggregate_kl_bounds
    assert low - 1e-9 <= aggregate <= high + 1e-9


def test_bounds_are_those_of_the_paper():
    """From all pairs, by the closed forms of divergences of normal distributions."""
    mu, log_var = encoder(23, 3, 0.6, seed=1)
    components = kl.MultivariateNormalDiag(mean=mu, var=np.exp(log_var))
    low, high = information_bounds(Aggregate(mu, log_var, 23), np.arange(23), n_jobs=1)
    pairs = kl.bhattacharyya(components[:, None], components[None])
    np.testing.assert_allclose(low, math.log(23) - logsumexp(-pairs, axis=1), rtol=1e-12, atol=1e-13)
    expected = math.log(23) - logsumexp(-kl.pairwise_kl(components), axis=1)
    np.testing.assert_allclose(high, expected, rtol=1e-12, atol=1e-13)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(2, 12), st.integers(1, 4), st.floats(-8.0, 3.0), st.integers(0, 2**32 - 1))
def test_laws_of_every_report(n, d, log_std, seed):
    mu, log_var = encoder(n, d, math.exp(log_std), seed)
    report = kl.latent_report(mu, log_var, n_samples=200, random_state=0)
    information, correlation, from_prior, aggregate = (getattr(report, name) for name in PARTS)
    total = information.value + correlation.value + from_prior.value
    assert total == pytest.approx(report.kl, rel=1e-11, abs=1e-11)
    assert total - information.value == pytest.approx(aggregate.value, rel=1e-9, abs=1e-9 * (1.0 + report.kl))
    assert report.kl == pytest.approx(kl.vae_kl(mu, log_var, reduction="mean"), rel=1e-12)
    low, high = report.mutual_information_bounds
    assert 0.0 <= low <= high <= math.log(n)
    slack = 6.0 * information.standard_error + 1e-9
    assert low - slack <= information.value <= high + slack
    if d == 1:
        assert abs(correlation.value) < 1e-9
    assert from_prior.value == pytest.approx(report.marginal_kl.sum(), rel=1e-9, abs=1e-9)


def test_against_torch():
    """The mixture of torch.distributions, at draws of its own."""
    torch = pytest.importorskip("torch")
    mu, log_var = encoder(200, 3, 0.4, seed=2)
    parts = torch.distributions.Independent(
        torch.distributions.Normal(*map(torch.tensor, (mu, np.exp(0.5 * log_var)))), 1
    )
    q = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=torch.zeros(200)), parts)
    torch.manual_seed(0)
    z = q.sample((60_000,))
    ratios = (q.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)).numpy()
    report = kl.latent_report(mu, log_var, n_samples=50_000, random_state=0)
    error = math.hypot(ratios.std() / math.sqrt(len(ratios)), report.aggregate_kl.standard_error)
    assert abs(report.aggregate_kl.value - ratios.mean()) < 3.0 * error
    assert report.aggregate_kl.standard_error < 0.005


def test_minibatch_weights_give_what_they_give_and_the_report_the_right_answer():
    """Total correlation of 4000 posteriors in 4 dimensions, with batches of 256 (Chen et al. 2018, appendix C)."""
    n, d, m, var = 4000, 4, 256, 0.09
    rng = np.random.default_rng(0)
    mu, log_var = rng.normal(size=(n, d)) * math.sqrt(1.0 - var), np.full((n, d), math.log(var))
    weighted, stratified = [], []
    for _ in range(10):
        rows = rng.choice(n, m, replace=False)
        z = mu[rows] + math.sqrt(var) * rng.normal(size=(m, d))
        logs = log_terms(z, mu[rows], log_var[rows])
        weighted.append((logsumexp(logs.sum(2), 1) - logsumexp(logs, 1).sum(1)).mean() + (d - 1) * math.log(n * m))
        weights = np.full((m, m), 1.0 / (m - 1))  # as they are copied from one repository to the next
        weights[:, 0] = 1.0 / n
        weights[:, 1] = weights[m - 2, 0] = (n - m + 1) / (n * (m - 1))
        log_weights = np.log(weights)
        joint, single = logsumexp(logs.sum(2) + log_weights, 1), logsumexp(logs + log_weights[:, :, None], 1)
        stratified.append((joint - single.sum(1)).mean())
    rows = rng.choice(n, 3000)
    z = mu[rows] + math.sqrt(var) * rng.normal(size=(3000, d))
    exact = np.empty(3000)
    for i in range(0, 3000, 250):
        logs = log_terms(z[i : i + 250], mu, log_var)
        exact[i : i + 250] = logsumexp(logs.sum(2), 1) - logsumexp(logs, 1).sum(1) + (d - 1) * math.log(n)
    found = kl.latent_report(mu, log_var, n_samples=20_000, random_state=0).total_correlation
    assert np.mean(weighted) == pytest.approx(25.4, abs=0.1)
    assert np.mean(stratified) == pytest.approx(0.49, abs=0.07)
    error = math.hypot(found.standard_error, exact.std() / math.sqrt(3000))
    assert abs(found.value - exact.mean()) < 3.0 * error
    assert found.value == pytest.approx(0.083, abs=0.01)


# ---------------------------------------------------------------- priors


def test_a_full_prior():
    """Its coupling is exact, and KL(q || p) is that of a grid."""
    mu, log_var = encoder(40, 2, 0.5, seed=3)
    cov = np.array([[1.0, 0.6], [0.6, 1.5]])
    prior = kl.MultivariateNormal(mean=[0.1, -0.2], cov=cov)
    report = kl.latent_report(mu, log_var, prior=prior, n_samples=20_000, random_state=0)
    information = on_a_grid(mu, log_var, norm.logpdf)[0]
    truth = kl.vae_kl(mu, log_var, prior=prior, reduction="mean") - information
    assert abs(report.aggregate_kl.value - truth) < 3.0 * report.aggregate_kl.standard_error
    second = (mu - prior.mean).T @ (mu - prior.mean) / 40 + np.diag(np.exp(log_var).mean(axis=0))
    quadratic = 0.5 * np.trace(np.linalg.solve(cov, second)) + 0.5 * np.linalg.slogdet(cov)[1]
    single = 0.5 * (np.diagonal(second) / np.diagonal(cov) + np.log(np.diagonal(cov))).sum()
    assert report.prior_coupling.value == pytest.approx(quadratic - single, rel=1e-9)
    low, high = report.aggregate_kl_bounds
    assert low <= truth <= high
    check_sum(report)


def check_sum(report):
    parts = (report.mutual_information, report.total_correlation, report.dimension_wise_kl, report.prior_coupling)
    assert sum(part.value for part in parts) == pytest.approx(report.kl, rel=1e-10)


def test_a_mixture_for_a_prior():
    """VampPrior: the mean KL itself has an error then; every part against sums of SciPy's densities."""
    mu, log_var = encoder(30, 2, 0.5, seed=4)
    prior = kl.GaussianMixture(weights=[0.3, 0.7], means=[[-1.0, 0.0], [1.0, 0.5]], covs=[[1.0, 0.5], [1.5, 1.0]])

    def log_prior(z):
        parts = [multivariate_normal.logpdf(z, m, np.diag(c)) for m, c in zip(prior.means, prior.covs, strict=True)]
        return logsumexp(np.log(prior.weights)[:, None] + np.array(parts), axis=0)

    def log_prior_of(j, x):
        parts = [norm.logpdf(x, m[j], math.sqrt(c[j])) for m, c in zip(prior.means, prior.covs, strict=True)]
        return logsumexp(np.log(prior.weights)[:, None] + np.array(parts), axis=0)

    x = np.linspace(-9.0, 9.0, 901)
    step = x[1] - x[0]
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    single = [norm.pdf(x, mu[:, j, None], np.exp(0.5 * log_var[:, j, None])) for j in (0, 1)]
    q = (single[0].T @ single[1] / 30).reshape(-1)
    information, correlation, _, _ = on_a_grid(mu, log_var, norm.logpdf)
    inside = q > 0.0
    aggregate = (q[inside] * (np.log(q[inside]) - log_prior(grid[inside]))).sum() * step**2
    units = [((m := s.mean(axis=0)) * (np.log(m) - log_prior_of(j, x))).sum() * step for j, s in enumerate(single)]
    report = kl.latent_report(mu, log_var, prior=prior, n_samples=20_000, random_state=1)
    truths = information, correlation, sum(units), aggregate
    assert np.abs(deviations(report, truths)).max() < 3.0
    assert abs(report.kl - information - aggregate) < 3.0 * report.kl_standard_error
    assert (np.abs(report.marginal_kl - units) < 3.0 * report.marginal_kl_standard_error).all()
    assert report.aggregate_kl_bounds is None
    check_sum(report)


def test_a_mixture_of_one_is_that_gaussian():
    mu, log_var = encoder(500, 3, 0.5, seed=7)
    one = kl.GaussianMixture(weights=[1.0], means=np.full((1, 3), 0.2), covs=np.full((1, 3), 1.5))
    gaussian = kl.MultivariateNormalDiag(mean=np.full(3, 0.2), var=np.full(3, 1.5))
    a, b = (kl.latent_report(mu, log_var, prior=p, random_state=0) for p in (one, gaussian))
    assert abs(a.kl - b.kl) < 4.0 * a.kl_standard_error
    assert b.kl_standard_error == 0.0
    assert a.mutual_information.value == b.mutual_information.value


def test_draws_for_a_prior():
    mu, log_var = encoder(1500, 2, 0.6, seed=8)
    rows = np.random.default_rng(0).normal(size=(4000, 2))
    known = kl.latent_report(mu, log_var, random_state=0)
    found = kl.latent_report(mu, log_var, prior=rows, random_state=0)
    assert found.mutual_information.value == known.mutual_information.value
    error = math.hypot(found.aggregate_kl.standard_error, known.aggregate_kl.standard_error)
    assert abs(found.aggregate_kl.value - known.aggregate_kl.value) < 4.0 * error + 0.03
    check_sum(found)


# ---------------------------------------------------------------- units, holes, subsampling


def test_units_by_name():
    """A collapsed unit, an over-spread one, and one that is active by its variance alone but not by its KL."""
    n = 3000
    noise = np.random.default_rng(0).normal(size=(n, 4))
    mu = noise * [0.9, 0.0, 3.0, 0.12]
    report = kl.latent_report(mu, np.log([0.19, 1.0, 0.1, 1.0 - 0.12**2]) * np.ones((n, 4)), random_state=0)
    assert report.active_by_kl == (0, 2)
    assert report.active_by_mu == (0, 2, 3)
    assert report.collapsed == (1, 3)
    assert report.over_spread == (2,)
    np.testing.assert_allclose(report.mu_variance, mu.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        report.kl_per_unit,
        kl.vae_kl(mu, np.log([0.19, 1.0, 0.1, 1 - 0.12**2]) * np.ones((n, 4)), reduction="per_dim").mean(axis=0),
        rtol=1e-12,
    )
    assert any("collapsed: 1, 3" in text for text in report.warnings)
    assert any("over-spread: 2" in text for text in report.warnings)


def test_holes_are_where_there_are_no_codes():
    """A ring of codes: the middle of the prior is a hole, and the share of its draws there is known."""
    n, radius = 4000, 2.0
    angle = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, n)
    mu = radius * np.column_stack([np.cos(angle), np.sin(angle)])
    report = kl.latent_report(mu, np.full((n, 2), 2.0 * math.log(0.15)), random_state=0)
    inside = 1.0 - math.exp(-0.5 * (radius - 3.3 * 0.15) ** 2)  # of the prior, below all but a few codes
    outside = math.exp(-0.5 * (radius + 3.3 * 0.15) ** 2)
    assert report.hole_share == pytest.approx(inside + outside, abs=0.1)
    assert any("holes" in text for text in report.warnings)
    distances = np.hypot(*report.holes.T)
    assert ((distances < 1.2) | (distances > 2.8)).all()
    assert (np.diff(report.hole_log_ratios) >= 0.0).all()


@pytest.mark.parametrize("std", [0.3, 1.0])
def test_no_holes_where_the_aggregate_is_the_prior(std):
    n = 20_000 if std < 1.0 else 2000
    mu = np.random.default_rng(0).normal(size=(n, 2)) * math.sqrt(1.0 - std**2)
    report = kl.latent_report(mu, np.full((n, 2), 2.0 * math.log(std)), n_samples=5000, random_state=0)
    assert report.hole_share < 0.02
    assert not any("holes" in text for text in report.warnings)


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_a_part_of_the_components_is_told_with_its_error(std):
    mu, log_var = encoder(4000, 3, std, seed=9)
    whole = kl.latent_report(mu, log_var, n_samples=20_000, random_state=0)
    truths = [getattr(whole, name).value for name in PARTS]
    z = []
    for seed in range(20):
        report = kl.latent_report(mu, log_var, n_samples=1000, max_components=500, random_state=seed)
        assert report.kl == whole.kl  # of all rows
        assert report.mutual_information_bounds is None
        assert any("500 random rows of 4000" in text for text in report.warnings)
        z.append(deviations(report, truths))
    assert np.abs(z).max() < 3.5
    # the plain estimate, as if these rows were all, is off by more than the error that is told
    naive = kl.latent_report(mu[:500], log_var[:500], random_state=0).mutual_information.value
    assert abs(naive - truths[0]) > 5.0 * abs(np.mean(z, axis=0)[0]) * report.mutual_information.standard_error


def test_the_limit_is_told():
    mu, log_var = encoder(2000, 8, 0.01, seed=0)
    report = kl.latent_report(mu, log_var, random_state=0)
    assert report.mutual_information.value == pytest.approx(math.log(2000), abs=1e-6)
    assert any("log n" in text for text in report.warnings)


def test_rounding_of_draws_does_no_harm():
    """Deviations far below the rounding of the means: codes of different rows do not overlap, equal rows are one."""
    mu = np.array([[1.234], [-0.7], [1.234], [5.0]]).repeat(25, axis=0)
    for log_var in (-60.0, -80.0, -200.0, -1000.0):
        report = kl.latent_report(mu, np.full_like(mu, log_var), random_state=0)
        entropy = 1.5 * math.log(2.0)  # of one half, a quarter and a quarter
        assert report.mutual_information.value == pytest.approx(entropy, abs=1e-10)
        assert report.mutual_information_bounds == pytest.approx((entropy, entropy), abs=1e-10)


def test_threads_and_seeds():
    mu, log_var = encoder(700, 5, 0.4, seed=1)
    one, two = (kl.latent_report(mu, log_var, n_jobs=n, random_state=3).to_dict() for n in (1, 2))
    assert one == two
    assert kl.latent_report(mu, log_var, random_state=4).to_dict() != one


def test_no_table_of_rows_and_components():
    mu, log_var = encoder(6000, 2, 0.3, seed=0)
    kl.latent_report(mu[:50], log_var[:50], random_state=0)  # compiled
    tracemalloc.start()
    kl.latent_report(mu, log_var, n_samples=6000, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # a table would have 288e6 bytes


def test_precision_of_a_million_draws():
    """Errors fall with the root of the number of draws: 1e6 of them give 1e-3 in 32 dimensions."""
    n, d = 1000, 32
    rng = np.random.default_rng(1)
    mu, log_var = np.zeros((n, d)), np.zeros((n, d))
    mu[:, :4], log_var[:, :4] = 0.95 * rng.normal(size=(n, 4)), 2.0 * math.log(0.3)
    errors = [
        kl.latent_report(mu, log_var, n_samples=s, random_state=0).aggregate_kl.standard_error for s in (5000, 20_000)
    ]
    assert errors[1] == pytest.approx(errors[0] / 2.0, rel=0.15)
    assert errors[1] / math.sqrt(50.0) < 1e-3


@pytest.mark.parametrize(("n", "d"), [(1, 2), (3, 7), (40, 12)])
def test_bounds_of_equal_posteriors_are_in_order(n, d):
    """There is no information: what is below 0 in the upper bound is rounding, and no more than that."""
    rng = np.random.default_rng(d)
    for _ in range(10):
        mu, log_var = (np.repeat(row[None], n, axis=0) for row in rng.normal(size=(2, d)))
        _, high = information_bounds(Aggregate(mu, log_var, n), np.arange(n), n_jobs=1)
        assert np.abs(high).max() < 1e-13
        report = kl.latent_report(mu, log_var, n_samples=100, random_state=0)
        low, high = report.mutual_information_bounds
        assert 0.0 <= low <= high <= max(math.log(n), 0.0)
        low, high = report.aggregate_kl_bounds
        assert 0.0 <= low <= high


@pytest.mark.parametrize("where", ["mu", "log_var"])
def test_an_infinite_value_has_no_error(where):
    mu, log_var = np.array([[0.0, 1.0], [2.0, 1.0]]), np.zeros((2, 2))
    {"mu": mu, "log_var": log_var}[where][0, 0] = {"mu": 1e200, "log_var": 800.0}[where]
    report = kl.latent_report(mu, log_var, random_state=0)
    assert report.aggregate_kl.value == math.inf
    assert math.isnan(report.aggregate_kl.standard_error)
    assert math.isnan(report.marginal_kl_standard_error[0])
    assert math.isfinite(report.marginal_kl_standard_error[1])
    assert "inf +-" not in report.summary()
    assert "nan" not in report.summary()
