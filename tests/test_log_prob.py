"""Estimates from log-densities: naive formulas, truths known in closed form, warnings, and rows of bad inputs.

Rows 112-118 of the project's list of measured inputs are here and in `test_monte_carlo`.
"""

import json
import math
import warnings

import cases
import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import kltools as kl
from kltools import errors
from kltools.pareto import smoothed_log_weights

P, Q = stats.norm(0.0, 1.0), stats.norm(0.5, math.sqrt(1.2))


def kl_normal(p, q):
    (m, v), (a, b) = ((law.mean(), law.var()) for law in (p, q))
    return 0.5 * (v / b + (m - a) ** 2 / b - 1 + math.log(b / v))


def log_densities(n, seed=0, p=P, q=Q):
    x = p.rvs(n, random_state=seed)
    return p.logpdf(x), q.logpdf(x)


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        return kl.estimate_kl_from_log_prob(*arguments, **options)


def terms(log_p, log_q, estimator):
    log_r = log_q - log_p
    return {"k1": -log_r, "k2": log_r**2 / 2, "k3": np.exp(log_r) - 1 - log_r}[estimator]


# ---------------------------------------------------------------- values and standard errors


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("n", [30, 1000, 100_001])
def test_mean_and_error_of_the_mean(estimator, n):
    log_p, log_q = log_densities(n)
    estimate = quietly(log_p, log_q, estimator=estimator)
    values = terms(log_p, log_q, estimator)
    assert estimate.value == pytest.approx(values.mean(), rel=1e-12)
    assert estimate.standard_error == pytest.approx(stats.sem(values), rel=1e-10)
    low, high = estimate.confidence_interval(0.9)
    assert (low, high) == pytest.approx(stats.t(n - 1, values.mean(), stats.sem(values)).interval(0.9), rel=1e-9)
    assert (estimate.method, estimate.n_p, estimate.n_q, estimate.d) == (estimator, n, None, None)
    assert estimate.diagnostics["mean_ratio"] == pytest.approx(np.exp(log_q - log_p).mean(), rel=1e-12)


@pytest.mark.parametrize("estimator", ["k1", "k3", "cv"])
def test_truth_within_the_error(estimator):
    estimate = kl.estimate_kl_from_log_prob(*log_densities(200_000, 1), estimator=estimator)
    assert abs(estimate.value - kl_normal(P, Q)) < 3.5 * estimate.standard_error
    assert estimate.standard_error < 0.003
    assert estimate.reliable is None
    assert estimate.warnings == ()


def naive_control_variate(log_p, log_q):
    """For n <= 81 920 draws folds are 20 blocks in a row, of n // 20 draws each and a rest dealt out again."""
    n, size = len(log_p), len(log_p) // 20
    folds = (np.arange(n) // size) % 20
    a, b = log_p - log_q, np.exp(log_q - log_p) - 1
    c = np.empty(n)
    for fold in range(20):
        rest = folds != fold
        covariance = np.cov(a[rest], b[rest])
        c[~rest] = -covariance[0, 1] / covariance[1, 1]
    return (a + c * b).mean(), stats.sem(a + c * b), c.mean()


@pytest.mark.parametrize("n", [100, 1000, 1019, 40_000])
def test_control_variate_equals_the_naive_one(n):
    log_p, log_q = log_densities(n, q=stats.norm(0.3, 0.9))
    estimate = kl.estimate_kl_from_log_prob(log_p, log_q, estimator="cv")
    value, error, coefficient = naive_control_variate(log_p, log_q)
    assert estimate.value == pytest.approx(value, rel=1e-10)
    assert estimate.standard_error == pytest.approx(error, rel=1e-10)
    assert estimate.diagnostics["coefficient"] == pytest.approx(coefficient, rel=1e-10)


def test_control_variate_is_unbiased_and_its_interval_covers():
    q = stats.norm(0.3, 0.8)
    truth = kl_normal(P, q)
    estimates = [quietly(*log_densities(1000, seed, q=q), estimator="cv") for seed in range(400)]
    bias, numbers = naive.monte_carlo([float(estimate) for estimate in estimates], truth)
    assert abs(bias) < 3.5, numbers
    covered = [low < truth < high for low, high in (estimate.confidence_interval() for estimate in estimates)]
    assert 0.91 < np.mean(covered) < 0.98


def test_control_variate_has_the_smallest_error():
    """<= 1.02 x the smaller one of k1 and k3, on 99% of cases."""
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(400):
        shift, scale = rng.normal() * 10 ** rng.uniform(-3, 0.3), math.exp(0.25 * rng.normal())
        pair = log_densities(10_000, rng, q=stats.norm(shift, scale))
        k1, k3, cv = (quietly(*pair, estimator=name).standard_error for name in ("k1", "k3", "cv"))
        ratios.append(cv / min(k1, k3))
    assert np.mean(np.array(ratios) <= 1.02) >= 0.99
    assert np.median(ratios) < 0.9


def test_k3_keeps_its_digits_where_p_and_q_nearly_agree():
    log_r = 1e-9 * np.random.default_rng(0).standard_normal(1000)
    log_r -= log_r.mean()
    estimate = quietly(np.zeros(1000), log_r, estimator="k3")
    with mpmath.workdps(50):
        exact = mpmath.fsum(mpmath.expm1(mpmath.mpf(float(x))) - mpmath.mpf(float(x)) for x in log_r) / 1000
    assert estimate.value == pytest.approx(float(exact), rel=1e-12)


def test_units():
    nats = kl.estimate_kl_from_log_prob(*log_densities(1000))
    bits = kl.estimate_kl_from_log_prob(*log_densities(1000), unit="bits")
    assert bits.value == pytest.approx(nats.value / math.log(2), rel=1e-15)
    assert bits.standard_error == pytest.approx(nats.standard_error / math.log(2), rel=1e-15)


@given(st.integers(0, 2**16), st.integers(2, 300), st.floats(0.0, 5.0), st.floats(-100.0, 100.0))
@settings(deadline=None, derandomize=True)
def test_laws(seed, n, spread, shift):
    rng = np.random.default_rng(seed)
    log_p, log_q = rng.standard_normal(n), spread * rng.standard_normal(n)
    for estimator in ("k1", "k2", "k3", "cv"):
        estimate = quietly(log_p, log_q, estimator=estimator)
        assert math.isfinite(estimate.value)
        moved = quietly(log_p + shift, log_q + shift, estimator=estimator)  # a change of variables
        assert moved.value == pytest.approx(estimate.value, rel=1e-9, abs=1e-9)
        if estimator in ("k2", "k3"):
            assert estimate.value >= 0.0
            assert quietly(log_p, log_p, estimator=estimator).value == 0.0
        if estimator != "cv":  # whose folds follow the order
            order = rng.permutation(n)
            assert quietly(log_p[order], log_q[order], estimator=estimator).value == pytest.approx(estimate.value)
    assert quietly(log_q, log_p).value == pytest.approx(-quietly(log_p, log_q).value)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3", "cv"])
def test_threads_do_not_matter(estimator):
    pair = log_densities(300_000)
    one, three = (kl.estimate_kl_from_log_prob(*pair, estimator=estimator, n_jobs=n_jobs) for n_jobs in (1, 3))
    assert (one.value, one.standard_error) == (three.value, three.standard_error)
    assert one.diagnostics == three.diagnostics


# ---------------------------------------------------------------- masks and groups


def naive_clusters(values, labels, weights=None):
    """Weighted mean, and its standard error from sums of deviations per label."""
    weights = np.ones(len(values)) if weights is None else weights
    mean = (weights * values).sum() / weights.sum()
    sums = [(weights * (values - mean))[labels == label].sum() for label in sorted(set(labels))]
    return mean, math.sqrt(len(sums) / (len(sums) - 1) * sum(s * s for s in sums)) / weights.sum()


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("kind", [np.int64, str])
def test_groups(estimator, kind):
    log_p, log_q = log_densities(1000)
    labels = np.random.default_rng(0).integers(-5, 40, 1000).astype(kind)
    estimate = quietly(log_p, log_q, estimator=estimator, groups=labels)
    expected = naive_clusters(terms(log_p, log_q, estimator), labels)
    assert (estimate.value, estimate.standard_error) == pytest.approx(expected, rel=1e-10)
    assert estimate.diagnostics["n_groups"] == 45


def test_rows_of_tokens_are_groups():
    log_p, log_q = (a.reshape(50, 20) for a in log_densities(1000))
    mask = np.arange(20) < np.random.default_rng(0).integers(0, 21, 50)[:, None]
    estimate = kl.estimate_kl_from_log_prob(log_p, log_q, mask=mask)
    rows = np.broadcast_to(np.arange(50)[:, None], mask.shape)[mask]
    expected = naive_clusters((log_p - log_q)[mask], rows)
    assert (estimate.value, estimate.standard_error) == pytest.approx(expected, rel=1e-10)
    assert estimate.n_p == mask.sum()
    assert estimate.diagnostics["n_masked"] == 1000 - mask.sum()
    assert estimate.diagnostics["n_groups"] == mask.any(axis=1).sum()


def test_one_label_for_each_row():
    log_p, log_q = (a.reshape(50, 20) for a in log_densities(1000))
    prompts = np.arange(50) // 5
    of_rows = kl.estimate_kl_from_log_prob(log_p, log_q, groups=prompts)
    of_entries = kl.estimate_kl_from_log_prob(log_p, log_q, groups=np.repeat(prompts, 20).reshape(50, 20))
    assert of_rows.standard_error == of_entries.standard_error
    assert of_rows.diagnostics["n_groups"] == 10


def test_copies_of_a_draw_tell_nothing_new():
    log_p, log_q = log_densities(400)
    plain = quietly(log_p, log_q, estimator="cv")
    copied = quietly(*(np.repeat(a[:, None], 6, axis=1) for a in (log_p, log_q)), estimator="cv")
    assert copied.value == pytest.approx(plain.value, rel=1e-9)
    assert copied.standard_error == pytest.approx(plain.standard_error, rel=1e-9)
    per_token = quietly(np.repeat(log_p, 6), np.repeat(log_q, 6))
    assert per_token.standard_error < 0.5 * quietly(log_p, log_q).standard_error  # what groups are for


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e305])
def test_what_is_masked_does_not_matter(garbage):
    log_p, log_q = log_densities(300)
    mask = np.arange(300) % 3 > 0
    kept = kl.estimate_kl_from_log_prob(log_p[mask], log_q[mask])
    log_p, log_q, log_weights = (np.where(mask, a, garbage) for a in (log_p, log_q, np.zeros(300)))
    for m in (mask, mask.astype(int), list(mask)):
        masked = kl.estimate_kl_from_log_prob(log_p, log_q, mask=m)
        assert (masked.value, masked.standard_error) == (kept.value, kept.standard_error)
    weighted = kl.estimate_kl_from_log_prob(log_p, log_q, mask=mask, log_weights=log_weights)
    assert weighted.value == pytest.approx(kept.value, rel=1e-12)


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("grouped", [False, True])
def test_weights(estimator, grouped):
    log_p, log_q = log_densities(1000)
    log_weights = 0.3 * np.random.default_rng(1).standard_normal(1000) - 700.0
    labels = np.arange(1000) // 4 if grouped else np.arange(1000)
    estimate = quietly(log_p, log_q, estimator=estimator, log_weights=log_weights, groups=labels if grouped else None)
    weights = np.exp(smoothed_log_weights(log_weights)[0])
    expected = naive_clusters(terms(log_p, log_q, estimator), labels, weights)
    assert (estimate.value, estimate.standard_error) == pytest.approx(expected, rel=1e-10)
    assert estimate.diagnostics["effective_sample_size"] == pytest.approx(1 / (weights**2).sum())


@pytest.mark.parametrize("estimator", ["k1", "k3", "cv"])
def test_reverse_divergence_from_the_same_draws(estimator):
    log_p, log_q = log_densities(100_000, q=stats.norm(0.3, 0.9))
    estimate = kl.estimate_kl_from_log_prob(log_q, log_p, log_weights=log_q - log_p, estimator=estimator)
    truth = kl_normal(stats.norm(0.3, 0.9), P)
    assert abs(estimate.value - truth) < 3.5 * estimate.standard_error
    assert estimate.standard_error < 0.01
    assert abs(truth - kl_normal(P, stats.norm(0.3, 0.9))) > 5 * estimate.standard_error


def test_error_of_a_weighted_mean_is_that_of_its_repetitions():
    q = stats.norm(0.3, 0.9)
    estimates = []
    for seed in range(400):
        log_p, log_q = log_densities(500, seed, q=q)
        estimates.append(quietly(log_q, log_p, log_weights=log_q - log_p))
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.15)


def test_heavy_weights_are_told():
    log_p, log_q = log_densities(20_000, q=stats.norm(0.0, 3.0))  # k = 1 - 1/9
    with pytest.warns(errors.UnreliableEstimateWarning, match="log_weights have a Pareto k-hat") as told:
        estimate = kl.estimate_kl_from_log_prob(log_q, log_p, log_weights=log_q - log_p)
    assert told[0].filename == __file__
    assert estimate.reliable is False
    assert estimate.diagnostics["weights_pareto_k"] > 0.7
    assert estimate.reasons == estimate.warnings != ()


def test_a_weight_of_zero_counts_for_nothing():
    log_p, log_q = log_densities(300)
    zeros = np.full(100, -np.inf)
    for garbage in (0.0, -np.inf):
        estimate = kl.estimate_kl_from_log_prob(
            np.append(log_p, np.full(100, garbage)),
            np.append(log_q, np.full(100, garbage)),
            log_weights=np.append(np.zeros(300), zeros),
        )
        assert estimate.value == pytest.approx((log_p - log_q).mean(), rel=1e-12)
    with pytest.raises(errors.InvalidParameterError, match="log_weights are all -inf"):
        kl.estimate_kl_from_log_prob(log_p[:100], log_q[:100], log_weights=zeros)


def test_a_weight_too_small_for_a_number():
    """e^-800 adds nothing, but a draw where q has no mass makes the divergence infinite at any weight."""
    log_p, log_q = log_densities(300)
    log_weights = np.append(np.zeros(299), -800.0)
    estimate = kl.estimate_kl_from_log_prob(log_p, log_q, log_weights=log_weights)
    assert estimate.value == pytest.approx((log_p - log_q)[:-1].mean(), rel=1e-12)
    log_q[-1] = -np.inf
    assert quietly(log_p, log_q, log_weights=log_weights).value == math.inf


# ---------------------------------------------------------------- infinite, heavy, biased


def test_a_draw_where_q_has_no_mass():
    log_p, log_q = log_densities(100)
    log_q[[7, 9]] = -np.inf
    for estimator in ("k1", "k2", "k3", "cv"):
        with pytest.warns(errors.InfiniteDivergenceWarning, match="no mass at 2 of 100 draws") as told:
            estimate = kl.estimate_kl_from_log_prob(log_p, log_q, estimator=estimator)
        assert told[0].filename == __file__
        assert estimate.value == math.inf
        assert estimate.support_mismatch
        assert estimate.diagnostics["n_outside"] == 2
        assert math.isnan(estimate.standard_error)
        assert json.loads(estimate.to_json())["value"] == "Infinity"


@pytest.mark.parametrize("scale", [3.0, 5.0])
def test_heavy_tails_of_q_are_told(scale):
    pair = log_densities(20_000, q=stats.norm(0.0, scale))
    k1, k3, cv = (quietly(*pair, estimator=estimator) for estimator in ("k1", "k3", "cv"))
    assert k3.diagnostics["pareto_k"] == cv.diagnostics["pareto_k"] > 0.7
    assert k3.reliable is False
    assert "standard error of estimator='k3' no meaning" in k3.reasons[0] + k3.reasons[-1]
    assert (cv.value, cv.standard_error, cv.diagnostics["coefficient"]) == (k1.value, k1.standard_error, 0.0)
    assert cv.reliable is None
    with pytest.warns(errors.KLToolsWarning, match=r"Pareto k-hat .* the value is that of 'k1'"):
        kl.estimate_kl_from_log_prob(*pair, estimator="cv")
    assert k1.warnings == ()


@pytest.mark.parametrize("n", [200, 5000])
def test_heavy_tails_are_nearly_always_told(n):
    told = 0
    for seed in range(60):
        log_ratios = np.log(stats.genpareto(1.5).rvs(n, random_state=seed))
        estimate = quietly(np.zeros(n), log_ratios, estimator="k3")
        heavy = [reason for reason in estimate.reasons if "Pareto k-hat" in reason]
        assert (estimate.diagnostics["pareto_k"] > 0.7) == bool(heavy)
        told += bool(heavy)
    assert told >= 50


def test_mass_of_q_where_p_has_none():
    """U(0, 1) against U(0, 2), log 2 = 0.693, and k3 says 0.193."""
    log_p, log_q = np.zeros(1000), np.full(1000, -math.log(2))
    assert kl.estimate_kl_from_log_prob(log_p, log_q).value == pytest.approx(math.log(2))
    with pytest.warns(errors.UnreliableEstimateWarning, match=r"mean of r = q/p is 0\.5 .* use 'k1'"):
        k3 = kl.estimate_kl_from_log_prob(log_p, log_q, estimator="k3")
    assert k3.value == pytest.approx(0.193, abs=5e-4)
    assert k3.reliable is False
    assert kl.estimate_kl_from_log_prob(log_p, log_q, estimator="cv").value == pytest.approx(math.log(2))


@pytest.mark.parametrize("estimator", ["k3", "cv"])
def test_mass_of_q_where_p_has_none_biases_any_use_of_r(estimator):
    """p = 1/2 + x on (0, 1), q = U(0, 2): r varies between 1/3 and 1, and its mean is 1/2."""
    u = np.random.default_rng(0).random(20_000)
    log_p, log_q = np.log(np.sqrt(0.25 + 2 * u)), np.full(20_000, -math.log(2))
    truth = integrate.quad(lambda x: (0.5 + x) * math.log(2 * (0.5 + x)), 0, 1)[0]
    k1 = kl.estimate_kl_from_log_prob(log_p, log_q)
    assert abs(k1.value - truth) < 3.5 * k1.standard_error
    with pytest.warns(errors.UnreliableEstimateWarning, match="mean of r = q/p"):
        biased = kl.estimate_kl_from_log_prob(log_p, log_q, estimator=estimator)
    assert abs(biased.value - truth) > 10 * biased.standard_error


def test_swapped_arguments_are_told():
    log_p, log_q = log_densities(5000)
    with pytest.warns(errors.UnreliableEstimateWarning, match="cannot exceed 1: .* swapped"):
        swapped = kl.estimate_kl_from_log_prob(log_q, log_p)
    assert swapped.value < 0
    with pytest.warns(errors.UnreliableEstimateWarning, match="not normalised"):
        kl.estimate_kl_from_log_prob(log_p, log_q + 0.5)


def test_false_alarms_are_rare():
    told = [bool(quietly(*log_densities(1000, seed), estimator="cv").warnings) for seed in range(300)]
    assert np.mean(told) < 0.02


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3", "cv"])
@pytest.mark.parametrize("extreme", [1000.0, -1000.0, 1e200, -1e200])
def test_never_nan(estimator, extreme):
    log_p, log_q = log_densities(100)
    log_q[3] = extreme
    estimate = quietly(log_p, log_q, estimator=estimator)
    assert not math.isnan(estimate.value)
    if estimator == "k1" or (estimator == "cv" and extreme > 0):
        assert estimate.value == pytest.approx((log_p - log_q).mean(), rel=1e-12)


@pytest.mark.parametrize("shift", [400.0, 1000.0])
def test_no_coefficient_where_the_variance_of_the_ratios_overflows(shift):
    """Log-densities off by a constant: no tail is heavy, and yet r - 1, or its square, is beyond float64."""
    log_p, noise = np.random.default_rng(0).normal(size=(2, 200))
    log_q = log_p + shift + 0.01 * noise
    found = quietly(log_p, log_q, estimator="cv")
    k1 = quietly(log_p, log_q)
    assert found.value == pytest.approx((log_p - log_q).mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(k1.standard_error, rel=1e-12)
    assert found.diagnostics["coefficient"] == 0.0


def test_overflowing_ratios_are_told_with_what_to_do():
    log_p = np.linspace(-3.0, 0.0, 200)
    assert "use 'k1'" in quietly(log_p, log_p + 1000.0, estimator="k3").reasons[0]
    found = quietly(log_p, log_p + 1000.0, estimator="cv")
    assert "the value is that of 'k1'" in found.reasons[0]
    assert found.reliable is False


# ---------------------------------------------------------------- few draws


def test_one_draw():
    with pytest.warns(errors.SmallSampleWarning, match="no standard error"):
        estimate = kl.estimate_kl_from_log_prob(-1.0, -3.0)
    assert estimate.value == 2.0
    assert math.isnan(estimate.standard_error)
    with pytest.warns(errors.SmallSampleWarning, match="no standard error"):
        assert kl.estimate_kl_from_log_prob([[-1.0, -2.0]], [[-3.0, -3.0]]).value == 1.5


def test_too_few_draws_to_fit_a_coefficient():
    log_p, log_q = log_densities(9)
    estimate = quietly(log_p, log_q, estimator="cv")
    assert estimate.value == pytest.approx((log_p - log_q).mean())
    assert any("too few to fit the coefficient" in text for text in estimate.warnings)
    few_groups = quietly(*(a.reshape(9, 30) for a in log_densities(270)), estimator="cv")
    assert few_groups.diagnostics["coefficient"] == 0.0


# ---------------------------------------------------------------- what comes in


@pytest.mark.parametrize(
    "convert",
    [
        list,
        cases.tensor,
        lambda a: cases.tensor(a, requires_grad=True),
        lambda a: np.repeat(a, 2)[::2],
        lambda a: a.astype(">f8"),
    ],
)
def test_containers(convert):
    log_p, log_q = log_densities(200)
    expected = kl.estimate_kl_from_log_prob(log_p, log_q)
    assert kl.estimate_kl_from_log_prob(convert(log_p), convert(log_q)).value == expected.value


def test_a_mask_may_be_a_tensor():
    log_p, log_q = log_densities(200)
    mask = np.arange(200) % 3 > 0
    expected = kl.estimate_kl_from_log_prob(log_p, log_q, mask=mask)
    assert kl.estimate_kl_from_log_prob(log_p, log_q, mask=cases.tensor(mask)).value == expected.value


def test_arrays_stay_as_they_are():
    log_p, log_q = log_densities(200)
    kept = log_p.copy(), log_q.copy()
    for array in (log_p, log_q):
        array.flags.writeable = False
    kl.estimate_kl_from_log_prob(log_p, log_q, estimator="cv", log_weights=np.zeros(200))
    np.testing.assert_array_equal((log_p, log_q), kept)


def test_single_precision():
    log_p, log_q = (a.astype(np.float32) for a in log_densities(200))
    estimate = kl.estimate_kl_from_log_prob(log_p, log_q)
    assert estimate.value == pytest.approx((log_p.astype(float) - log_q.astype(float)).mean(), rel=1e-13)


def test_summary_does_not_speak_of_features():
    summary = kl.estimate_kl_from_log_prob(*log_densities(200)).summary()
    assert "200 rows of P, Q known\n" in summary + "\n"
    assert "features" not in summary


GOOD = np.zeros(30)


def changed(value, index=7):
    array = GOOD.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((GOOD, GOOD[:, None]), {}, errors.ShapeMismatchError, r"log_q has shape \(30, 1\), \(30,\) is needed"),
        ((GOOD, 0.0), {}, errors.ShapeMismatchError, "log_q has shape"),
        ((GOOD.reshape(5, 3, 2),) * 2, {}, errors.ShapeMismatchError, "1-d or 2-d"),
        (([], []), {}, errors.NotEnoughSamplesError, "log_p is empty"),
        ((np.zeros((3, 0)),) * 2, {}, errors.NotEnoughSamplesError, "log_p is empty"),
        ((GOOD, changed(np.nan)), {}, errors.InvalidParameterError, "log_q holds 1 .* first at index 7: nan"),
        ((GOOD, changed(np.inf)), {}, errors.InvalidParameterError, "log_q holds 1 .* first at index 7: inf"),
        ((GOOD, changed(-1e305)), {}, errors.InvalidParameterError, "log_q holds 1"),
        ((changed(np.nan), GOOD), {}, errors.InvalidParameterError, "log_p holds 1 .* first at index 7: nan"),
        ((changed(np.inf), GOOD), {}, errors.InvalidParameterError, "log_p holds 1"),
        (
            (changed(-np.inf), GOOD),
            {},
            errors.InvalidParameterError,
            "log_p is -inf at 1 draws, .* index 7: .* not dra",
        ),
        (
            (changed(np.nan).reshape(5, 6), GOOD.reshape(5, 6)),
            {},
            errors.InvalidParameterError,
            r"first at index \(1, 1\)",
        ),
        ((GOOD, GOOD), {"mask": GOOD > 1}, errors.NotEnoughSamplesError, "mask leaves no entry"),
        ((GOOD, GOOD), {"mask": GOOD[:5] > -1}, errors.ShapeMismatchError, "mask has shape"),
        ((GOOD, GOOD), {"mask": GOOD + 0.5}, errors.InvalidTypeError, "mask must hold True and False"),
        ((GOOD, GOOD), {"mask": ["yes"] * 30}, errors.InvalidTypeError, "mask"),
        ((GOOD, GOOD), {"groups": GOOD[:5]}, errors.ShapeMismatchError, "groups has shape"),
        ((GOOD, GOOD), {"groups": changed(np.nan)}, errors.InvalidTypeError, "groups must hold labels"),
        ((GOOD, GOOD), {"groups": [None] * 30}, errors.InvalidTypeError, "groups must hold labels"),
        ((GOOD, GOOD), {"log_weights": GOOD[:5]}, errors.ShapeMismatchError, "log_weights has shape"),
        ((GOOD, GOOD), {"log_weights": changed(np.inf)}, errors.InvalidParameterError, "log_weights holds 1"),
        ((GOOD, GOOD), {"log_weights": changed(np.nan)}, errors.InvalidParameterError, "log_weights holds 1"),
        ((GOOD, GOOD), {"estimator": "k4"}, errors.InvalidParameterError, "estimator must be one of 'k1'"),
        ((GOOD, GOOD), {"unit": "dits"}, errors.InvalidParameterError, "unit must be one of"),
        ((GOOD, GOOD), {"n_jobs": 0}, errors.InvalidParameterError, "n_jobs=0"),
        ((GOOD, GOOD), {"n_jobs": 1.5}, errors.InvalidTypeError, "n_jobs"),
        ((GOOD, GOOD), {"device": "tpu"}, errors.InvalidParameterError, "device"),
        ((GOOD, None), {}, errors.InvalidTypeError, "log_q is a NoneType"),
        ((GOOD, ["a"] * 30), {}, errors.InvalidTypeError, "log_q holds text"),
        ((GOOD + 1j, GOOD), {}, errors.InvalidParameterError, "Complex data"),
    ],
)
def test_bad_inputs(arguments, options, error, match):
    with pytest.raises(error, match=match):
        kl.estimate_kl_from_log_prob(*arguments, **options)
