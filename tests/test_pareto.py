"""Pareto k-hat and smoothed weights: a naive version, samples of known tail index, and limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kltools.pareto import fit_generalised_pareto, pareto_k, smoothed_log_weights, tail_length


def naive_fit(x):
    """Zhang and Stephens (2009) number by number, with the prior of Vehtari et al. (2024)."""
    n, m = len(x), 30 + int(math.sqrt(len(x)))
    thetas, likelihoods = [], []
    for j in range(1, m + 1):
        theta = 1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * x[int(n / 4 + 0.5) - 1])
        k = -sum(math.log(1 - theta * value) for value in x) / n
        thetas.append(theta)
        likelihoods.append(n * (math.log(theta / k) + k - 1))
    weights = [1 / sum(math.exp(other - own) for other in likelihoods) for own in likelihoods]
    theta = sum(t * w for t, w in zip(thetas, weights, strict=True))
    k = -sum(math.log(1 - theta * value) for value in x) / n  # of the other sign: Hosking and Wallis
    return (-k * n + 10 * 0.5) / (n + 10), k / theta


def naive_smoothing(log_ratios):
    """Algorithm 1 of Vehtari et al. (2024) on the ratios themselves; quantiles by SciPy."""
    ratios = np.exp(log_ratios - np.max(log_ratios))
    m = math.ceil(min(len(ratios) / 5, 3 * math.sqrt(len(ratios))))
    order = np.argsort(ratios)
    threshold = ratios[order[-m - 1]]
    k, scale = naive_fit([float(ratio - threshold) for ratio in ratios[order[-m:]]])
    quantiles = stats.genpareto(k, scale=scale).ppf((np.arange(1, m + 1) - 0.5) / m)
    ratios[order[-m:]] = np.minimum(threshold + quantiles, 1.0)
    return ratios / ratios.sum(), k


def generalised_pareto(k, n, seed):
    return stats.genpareto(k).rvs(n, random_state=seed)


@pytest.mark.parametrize("k", [-0.8, -0.2, 0.0, 0.3, 0.7, 1.5])
@pytest.mark.parametrize("n", [5, 8, 100])
def test_fit_equals_the_naive_one(k, n):
    x = np.sort(generalised_pareto(k, n, 0))
    assert fit_generalised_pareto(x) == pytest.approx(naive_fit(list(map(float, x))), rel=1e-10)


@pytest.mark.parametrize("law", [stats.norm(), stats.norm(scale=3), stats.t(4), stats.uniform(), stats.gumbel_l()])
@pytest.mark.parametrize("n", [25, 301, 2000])
def test_smoothed_weights_equal_the_naive_ones(law, n):
    log_ratios = law.rvs(n, random_state=n) + 7.0
    weights, k = smoothed_log_weights(log_ratios)
    expected, expected_k = naive_smoothing(log_ratios)
    assert k == pytest.approx(expected_k, rel=1e-8)
    assert pareto_k(log_ratios) == k
    np.testing.assert_allclose(np.exp(weights), expected, rtol=1e-8)


@pytest.mark.parametrize("k", [0.0, 0.2, 0.5, 0.7, 1.0, 1.5])
def test_samples_of_a_known_tail_index(k):
    """sd about (1 + k) / sqrt(3 sqrt(n)); the prior draws towards 0.5."""
    found = [pareto_k(np.log(generalised_pareto(k, 20_000, seed))) for seed in range(20)]
    assert np.mean(found) == pytest.approx(k, abs=0.06)
    assert np.std(found) < 0.15


def test_the_ratio_of_two_normal_distributions():
    """q of variance v against p of variance 1: k = 1 - 1/v for v > 1, the order of the last moment of q/p."""
    x = np.random.default_rng(0).standard_normal(200_000)
    for v in (2.0, 4.0):
        log_ratios = stats.norm(scale=math.sqrt(v)).logpdf(x) - stats.norm().logpdf(x)
        assert pareto_k(log_ratios) == pytest.approx(1 - 1 / v, abs=0.15)


def test_smoothing_helps_where_weights_are_heavy():
    """The variance of N(0, 2.5) from 200 draws of N(0, 1), whose ratios have k = 0.6."""
    errors = []
    for seed in range(300):
        x = np.random.default_rng(seed).standard_normal(200)
        log_ratios = stats.norm(scale=math.sqrt(2.5)).logpdf(x) - stats.norm().logpdf(x)
        plain = np.exp(log_ratios) / np.exp(log_ratios).sum()
        smooth = np.exp(smoothed_log_weights(log_ratios)[0])
        errors.append([(weights * x**2).sum() - 2.5 for weights in (plain, smooth)])
    rmse = np.sqrt(np.square(errors).mean(axis=0))
    assert rmse[1] < 0.9 * rmse[0]


@given(st.integers(0, 2**16), st.integers(1, 400), st.floats(0.0, 50.0), st.floats(-1e6, 1e6))
@settings(deadline=None, derandomize=True)
def test_laws_of_smoothed_weights(seed, n, spread, shift):
    log_ratios = spread * np.random.default_rng(seed).standard_normal(n) + shift
    weights, k = smoothed_log_weights(log_ratios)
    assert not math.isnan(k)
    assert np.exp(weights).sum() == pytest.approx(1.0, rel=1e-12)
    order = np.argsort(log_ratios, kind="stable")
    assert (np.diff(weights[order]) >= -1e-9).all()  # the order stays
    assert pareto_k(log_ratios[::-1]) == k
    below = log_ratios <= np.sort(log_ratios)[-min(n, tail_length(n) + 1)]
    steps = weights[below] - log_ratios[below]
    assert np.ptp(steps) < 1e-9 * max(1.0, abs(shift))  # and what is not in the tail


def test_the_largest_ratios_are_enough():
    log_ratios = np.random.default_rng(0).standard_t(5, 5000)
    largest = np.sort(log_ratios)[-tail_length(5000) - 1 :]
    assert pareto_k(largest, 5000) == pareto_k(log_ratios)
    assert pareto_k(largest) != pareto_k(log_ratios)


@pytest.mark.parametrize("n", [1, 20])
def test_a_few_ratios_have_no_tail_to_look_at(n):
    assert pareto_k(np.arange(float(n))) == math.inf
    assert pareto_k(np.arange(21.0)) < math.inf


def test_equal_ratios_have_no_tail():
    weights, k = smoothed_log_weights(np.full(100, 3.0))
    assert k == -math.inf
    np.testing.assert_allclose(np.exp(weights), 0.01, rtol=1e-14)
    assert pareto_k(np.repeat([0.0, 1.0], 50)) == -math.inf  # an atom at the largest value


def test_ratios_of_zero_are_ratios():
    log_ratios = np.random.default_rng(0).standard_normal(1000)
    with_zeros = np.concatenate([log_ratios, np.full(1000, -np.inf)])
    weights, k = smoothed_log_weights(with_zeros)
    assert math.isfinite(k)
    assert np.isneginf(weights[1000:]).all()
    few = np.concatenate([log_ratios[:3], np.full(1000, -np.inf)])
    assert pareto_k(few) == math.inf


@pytest.mark.parametrize("scale", [1e-300, 1e-17, 1e5, 1e300])
def test_never_nan(scale):
    log_ratios = scale * np.random.default_rng(0).standard_normal(1000)
    weights, k = smoothed_log_weights(log_ratios)
    assert not math.isnan(k)
    assert not np.isnan(weights).any()
    if scale >= 1e5:
        assert k == math.inf


def test_ratios_that_differ_by_rounding_have_no_tail():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=100_000)
    assert pareto_k((logs + 0.1) - logs) == -math.inf
    assert pareto_k(-700.0 + (logs + 0.1) - logs) == -math.inf
