"""Estimates from counts and labels: against the published series, exact expectations, plain loops, and simulation."""

import itertools
import json
import math
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.inference import ScaledChiSquared, _noncentrality, chi_squared_tail

OF_PAIRS = {
    "kl": kl.estimate_kl_from_counts,
    "cross-entropy": kl.estimate_cross_entropy_from_counts,
    "stability": kl.estimate_population_stability_index_from_counts,
}
METHODS = ("zhang-grabchak", "plug-in", "miller-madow", "jeffreys", "laplace", "dirichlet", "augmented")
COUNTS = [
    ([60, 30, 10], [90, 80, 30]),
    ([1, 7, 0, 3], [5, 2, 4, 9]),
    ([4, 0, 11, 2, 0, 1], [0, 3, 40, 0, 0, 8]),
    ([5], [9]),
    ([0, 3], [3, 0]),
    ([12, 12, 12], [12, 12, 12]),
]
each_pair = pytest.mark.parametrize(("x", "y"), COUNTS, ids=str)
vectors = st.lists(st.integers(0, 60), min_size=2, max_size=8)


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        return function(*arguments, **options)


def options_of(method):
    return {"method": method, "concentration": 0.3} if method == "dirichlet" else {"method": method}


# ---------------------------------------------------------------- oracles


def turing(x, n):
    """sum over v of 1/v prod over j < v of (1 - (x - 1) / (n - 1 - j)): Zhang (2012), eq. 4, term by term."""
    total, product = 0.0, 1.0
    for v in range(1, n - x + 1):
        product *= 1.0 - (x - 1) / (n - v)
        total += product / v
    return total


def turing_of_other(y, m):
    """sum over v of 1/v prod over j <= v of (1 - y / (m - j + 1)): Zhang and Grabchak (2014)."""
    total, product = 0.0, 1.0
    for v in range(1, m - y + 1):
        product *= 1.0 - y / (m - v + 1)
        total += product / v
    return total


def naive_bias(x, y):
    """½ sum (1-p)/n and ½ sum p/q (1-q)/m over seen cells, at frequencies with half a count more."""
    seen = [(a + 0.5, b + 0.5) for a, b in zip(x, y, strict=True) if a + b]
    n, m = sum(x), sum(y)
    ps, qs = ([z / sum(column) for z in column] for column in zip(*seen, strict=True))
    of_p = sum((1 - p) / (2 * n) for p in ps)
    return of_p, sum(p / q * (1 - q) / (2 * m) for p, q in zip(ps, qs, strict=True))


def xlogy(x, y):
    return 0.0 if x == 0 else (x * math.log(y) if y > 0 else -math.inf)


def naive_frequencies(x, y, method):
    if method == "augmented":
        return [a / sum(x) for a in x], [(b + 1) / sum(y) for b in y]
    c = {"jeffreys": 0.5, "laplace": 1.0, "dirichlet": 0.3}.get(method, 0.0)
    return ([(a + c) / (sum(z) + c * len(z)) for a in z] for z in (x, y))


def naive_entropy(x, method):
    n = sum(x)
    if method == "zhang-grabchak":
        return sum(a / n * turing(a, n) for a in x if a)
    ps, _ = naive_frequencies(x, x, method)
    value = -sum(xlogy(p, p) for p in ps)
    return value + (sum(a > 0 for a in x) - 1) / (2 * n) if method == "miller-madow" else value


def naive_cross_entropy(x, y, method):
    if method == "zhang-grabchak":
        return sum(a / sum(x) * turing_of_other(b, sum(y)) for a, b in zip(x, y, strict=True))
    ps, qs = naive_frequencies(x, y, method)
    value = -sum(xlogy(p, q) for p, q in zip(ps, qs, strict=True))
    return value - naive_bias(x, y)[1] if method == "miller-madow" else value


def naive_kl(x, y, method):
    if method == "zhang-grabchak":
        return naive_cross_entropy(x, y, method) - naive_entropy(x, method)
    ps, qs = naive_frequencies(x, y, method)
    value = -sum(xlogy(p, q) for p, q in zip(ps, qs, strict=True)) + sum(xlogy(p, p) for p in ps)
    return value - sum(naive_bias(x, y)) if method == "miller-madow" else value


def naive_value(name, x, y, method):
    if name == "stability":
        return naive_kl(x, y, method) + naive_kl(y, x, method)
    return {"kl": naive_kl, "cross-entropy": naive_cross_entropy}[name](x, y, method)


@each_pair
@pytest.mark.parametrize("name", OF_PAIRS)
@pytest.mark.parametrize("method", METHODS)
def test_values_are_those_of_plain_loops(name, x, y, method):
    estimate = quiet(OF_PAIRS[name], x, y, **options_of(method))
    assert estimate.value == pytest.approx(naive_value(name, x, y, method), rel=1e-12, abs=1e-13)
    assert (estimate.n_p, estimate.n_q, estimate.method) == (sum(x), sum(y), method)


@pytest.mark.parametrize("method", METHODS[:-1])
@pytest.mark.parametrize("x", [x for x, _ in COUNTS], ids=str)
def test_entropy_is_that_of_plain_loops(x, method):
    estimate = quiet(kl.estimate_entropy_from_counts, x, **options_of(method))
    assert estimate.value == pytest.approx(naive_entropy(x, method), rel=1e-12, abs=1e-13)


def test_closed_form_is_the_double_series_for_many_counts():
    rng = np.random.default_rng(0)
    x, y = rng.multinomial(900, rng.dirichlet(np.ones(30))), rng.multinomial(1500, rng.dirichlet(np.ones(30)))
    expected = naive_kl(x.tolist(), y.tolist(), "zhang-grabchak")
    assert quiet(kl.estimate_kl_from_counts, x, y).value == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------- expectations


def outcomes(n, probabilities):
    """All counts of n draws with their probabilities, as fractions."""
    for x in itertools.product(range(n + 1), repeat=len(probabilities)):
        if sum(x) == n:
            ways = Fraction(math.factorial(n))
            for count, p in zip(x, probabilities, strict=True):
                ways *= p**count / Fraction(math.factorial(count))
            yield x, float(ways)


def test_expectations_are_the_first_terms_of_the_series_of_the_truth():
    """E is exact but for the terms beyond n - 1 and m of -log p = sum (1-p)^v / v: that is the decay of the bias."""
    p, q = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [Fraction(1, 5), Fraction(1, 5), Fraction(3, 5)]
    n, m = 5, 4
    entropy = sum(float(a * (1 - a) ** v) / v for a in p for v in range(1, n))
    cross = sum(float(a * (1 - b) ** v) / v for a, b in zip(p, q, strict=True) for v in range(1, m + 1))
    found_entropy = sum(w * quiet(kl.estimate_entropy_from_counts, x).value for x, w in outcomes(n, p))
    found_kl = sum(
        w * u * quiet(kl.estimate_kl_from_counts, x, y).value for x, w in outcomes(n, p) for y, u in outcomes(m, q)
    )
    assert found_entropy == pytest.approx(entropy, rel=1e-12)
    assert found_kl == pytest.approx(cross - entropy, rel=1e-12)


def zipf(n_categories):
    p = 1.0 / np.arange(1, n_categories + 1)
    return p / p.sum()


UNIFORM = np.full(20, 0.05)
NEAR = 0.7 * UNIFORM + 0.3 * np.random.default_rng(3).dirichlet(np.full(20, 5.0))
TRUTHS = {"equal": (UNIFORM, UNIFORM), "near": (NEAR, UNIFORM), "far": (UNIFORM, zipf(20)), "skewed": (zipf(20), NEAR)}


def divergence(p, q):
    return float((p * np.log(p / q)).sum())


def jensen_shannon(p, q):
    return 0.5 * divergence(p, 0.5 * (p + q)) + 0.5 * divergence(q, 0.5 * (p + q))


TARGETS = {
    "kl": (kl.estimate_kl_from_counts, divergence),
    "stability": (
        kl.estimate_population_stability_index_from_counts,
        lambda p, q: divergence(p, q) + divergence(q, p),
    ),
    "jensen-shannon": (kl.estimate_jensen_shannon_from_counts, jensen_shannon),
    "cross-entropy": (kl.estimate_cross_entropy_from_counts, lambda p, q: float(-(p * np.log(q)).sum())),
}


@pytest.mark.parametrize("case", TRUTHS)
@pytest.mark.parametrize("target", TARGETS)
def test_bias_and_coverage(target, case):
    (p, q), (function, truth_of) = TRUTHS[case], TARGETS[target]
    rng, truth = np.random.default_rng(1), truth_of(p, q)
    estimates = [function(rng.multinomial(1000, p), rng.multinomial(1000, q)) for _ in range(500)]
    values = np.array([estimate.value for estimate in estimates])
    assert abs(values.mean() - truth) < 4.0 * values.std() / math.sqrt(len(values))
    assert values.std() == pytest.approx(np.mean([estimate.standard_error for estimate in estimates]), rel=0.25)
    covered = [low <= truth + 1e-12 and truth <= high for low, high in (e.confidence_interval() for e in estimates)]
    assert np.mean(covered) > 0.93
    assert np.mean(covered) < (0.975 if target != "cross-entropy" else 1.0)  # which holds more where both are uniform
    assert all(estimate.reliable for estimate in estimates)


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0])
def test_bias_and_coverage_of_mutual_information(strength):
    rng = np.random.default_rng(2)
    joint = (1.0 - strength) * np.outer(zipf(4), np.full(5, 0.2)) + strength * rng.dirichlet(np.ones(20)).reshape(4, 5)
    truth = divergence(joint, np.outer(joint.sum(axis=1), joint.sum(axis=0))) if strength else 0.0
    tables = rng.multinomial(2000, joint.reshape(-1), 1500).reshape(-1, 4, 5)
    estimates = [quiet(kl.estimate_mutual_information_from_counts, table) for table in tables]
    values = np.array([estimate.value for estimate in estimates])
    assert abs(values.mean() - truth) < 4.0 * values.std() / math.sqrt(len(values))
    covered = [low <= truth <= high for low, high in (estimate.confidence_interval() for estimate in estimates)]
    assert 0.93 < np.mean(covered) < 0.97


def test_undersampled_counts_are_not_called_reliable():
    rng = np.random.default_rng(4)
    p, q = rng.dirichlet(np.ones(200)), rng.dirichlet(np.ones(200))
    x, y = rng.multinomial(1000, p), rng.multinomial(1000, q)
    for function in (*OF_PAIRS.values(), kl.estimate_jensen_shannon_from_counts):
        assert quiet(function, x, y).reliable is False
    assert quiet(kl.estimate_entropy_from_counts, rng.multinomial(100, p)).reliable is False
    assert quiet(kl.estimate_mutual_information_from_counts, x.reshape(20, 10)).reliable is False
    assert quiet(kl.estimate_mutual_information_from_counts, x.reshape(20, 10) + 9).reliable is True


# ---------------------------------------------------------------- zeros

P_BEYOND, Q_BEYOND = [50, 30, 20, 5, 0], [40, 40, 60, 0, 7]


@pytest.mark.parametrize("name", OF_PAIRS)
def test_what_becomes_of_zeros(name):
    function = OF_PAIRS[name]
    for method in METHODS:
        chosen = options_of(method)
        estimate = quiet(function, P_BEYOND, Q_BEYOND, zero="inf", **chosen)
        assert estimate.warnings[0].startswith("Q has no observation in 1 of 5 categories, which hold 4.8%")
        assert estimate.warnings[0].endswith("the value is inf.")
        assert (estimate.value, estimate.reliable, estimate.support_mismatch) == (math.inf, None, True)
        assert math.isnan(estimate.standard_error)
        assert estimate.confidence_interval()[1] == math.inf
        with pytest.raises(errors.InvalidParameterError, match=r"counts_q has no observation in 1 of 5 .* at index 3"):
            function(P_BEYOND, Q_BEYOND, zero="raise", **chosen)
        value = quiet(function, P_BEYOND, Q_BEYOND, **chosen).value
        assert math.isinf(value) == (method in ("plug-in", "miller-madow"))
        assert function([5, 9, 7, 9], [8, 8, 8, 8], zero="raise", **chosen).value == pytest.approx(
            naive_value(name, [5, 9, 7, 9], [8, 8, 8, 8], method), rel=1e-12
        )


def test_dropped_terms():
    estimate = quiet(kl.estimate_kl_from_counts, P_BEYOND, Q_BEYOND, method="plug-in", zero="drop")
    assert "4.8% of those of P: their terms are left out" in estimate.warnings[0]
    p, q = np.array(P_BEYOND)[:3] / 105, np.array(Q_BEYOND)[:3] / 147
    assert estimate.value == pytest.approx((p * np.log(p / q)).sum(), rel=1e-13)
    terms = [
        x / 105 * (turing_of_other(y, 147) - turing(x, 105)) for x, y in zip([50, 30, 20], [40, 40, 60], strict=True)
    ]
    estimate = quiet(kl.estimate_kl_from_counts, P_BEYOND, Q_BEYOND, zero="drop")
    assert estimate.value == pytest.approx(sum(terms), rel=1e-12)
    index = quiet(kl.estimate_population_stability_index_from_counts, P_BEYOND, Q_BEYOND, method="plug-in", zero="drop")
    assert index.value == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-13)


def test_infinite_values_are_warned_about():
    with pytest.warns(errors.InfiniteDivergenceWarning, match="the value is inf"):
        kl.estimate_kl_from_counts(P_BEYOND, Q_BEYOND, zero="inf")


def test_unseen_categories_are_told():
    with pytest.warns(errors.PoorOverlapWarning, match="how rare they are is a guess"):
        estimate = kl.estimate_kl_from_counts(P_BEYOND, Q_BEYOND)
    assert estimate.diagnostics["n_categories"] == 5
    assert estimate.diagnostics["n_unseen"] == 1
    assert estimate.diagnostics["unseen_share"] == pytest.approx(5 / 105)
    assert estimate.reliable
    estimate = quiet(kl.estimate_kl_from_counts, [50, 30, 20, 45], [40, 40, 60, 0])
    assert estimate.reliable is False
    assert "Q never saw hold 31.0%" in estimate.reasons[0]
    estimate = quiet(kl.estimate_population_stability_index_from_counts, P_BEYOND, Q_BEYOND)
    assert estimate.diagnostics["n_unseen_by_p"] == 1
    assert any(text.startswith("P has no observation in 1 of 5") for text in estimate.warnings)
    with pytest.warns(errors.SmallSampleWarning, match="12 observations of P in 3 categories: fewer than 5"):
        kl.estimate_kl_from_counts([4, 4, 4], [10, 10, 10])
    assert quiet(kl.estimate_kl_from_counts, [1, 1, 1], [10, 10, 10]).reliable is False
    assert quiet(kl.estimate_kl_from_counts, [1, 0], [9, 9]).warnings[0].startswith("1 observation of P in 2 cat")


def test_a_method_far_from_the_default_is_told():
    rng = np.random.default_rng(7)
    x, y = (rng.multinomial(400, np.full(50, 0.02)) for _ in range(2))
    assert kl.estimate_kl_from_counts(x, y).reliable
    with pytest.warns(errors.UnreliableEstimateWarning, match="'plug-in' gives .* standard errors from the"):
        estimate = kl.estimate_kl_from_counts(x, y, method="plug-in")
    assert estimate.reliable is False


# ---------------------------------------------------------------- laws


@settings(max_examples=60, deadline=None)
@given(st.data(), vectors)
def test_order_and_absent_categories_do_not_matter(data, x):
    y = data.draw(st.lists(st.integers(0, 60), min_size=len(x), max_size=len(x)))
    order = data.draw(st.permutations(range(len(x))))
    if not sum(x) or not sum(y):
        return
    for function in (*OF_PAIRS.values(), kl.estimate_jensen_shannon_from_counts):
        value = quiet(function, x, y).value
        assert quiet(function, [x[i] for i in order], [y[i] for i in order]).value == pytest.approx(value, abs=1e-12)
        assert quiet(function, [*x, 0], [*y, 0]).value == pytest.approx(value, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data(), vectors)
def test_how_they_hang_together(data, x):
    y = data.draw(st.lists(st.integers(0, 60), min_size=len(x), max_size=len(x)))
    if not sum(x) or not sum(y):
        return
    one, other = quiet(kl.estimate_kl_from_counts, x, y), quiet(kl.estimate_kl_from_counts, y, x)
    entropy = quiet(kl.estimate_entropy_from_counts, x).value
    assert quiet(kl.estimate_cross_entropy_from_counts, x, y).value - entropy == pytest.approx(one.value, abs=1e-12)
    stability = quiet(kl.estimate_population_stability_index_from_counts, x, y).value
    assert stability == pytest.approx(one.value + other.value, abs=1e-12)
    low, high = one.confidence_interval()
    assert math.isnan(low) or 0.0 <= low <= high
    plain = {"method": "plug-in"}
    assert quiet(kl.estimate_kl_from_counts, x, y, **plain).value >= 0.0
    apart = quiet(kl.estimate_jensen_shannon_from_counts, x, y, **plain)
    assert -1e-15 <= apart.value <= math.log(2.0) + 1e-15
    assert quiet(kl.estimate_jensen_shannon_from_counts, y, x, **plain).value == pytest.approx(apart.value, abs=1e-15)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_mutual_information_is_a_difference_of_entropies(rows, columns, data):
    flat = data.draw(st.lists(st.integers(0, 30), min_size=rows * columns, max_size=rows * columns))
    table = np.array(flat).reshape(rows, columns)
    if not table.any():
        return
    for method in ("zhang-grabchak", "plug-in", "miller-madow"):
        entropies = [
            quiet(kl.estimate_entropy_from_counts, part, method=method).value
            for part in (table.sum(axis=1), table.sum(axis=0), table.reshape(-1))
        ]
        estimate = quiet(kl.estimate_mutual_information_from_counts, table, method=method)
        assert estimate.value == pytest.approx(entropies[0] + entropies[1] - entropies[2], abs=1e-12)
        turned = quiet(kl.estimate_mutual_information_from_counts, table.T, method=method)
        assert turned.value == pytest.approx(estimate.value, abs=1e-12)


def test_mutual_information_with_pseudo_counts_is_the_exact_one_of_the_raised_table():
    table = np.array([[30, 10, 0], [15, 45, 3]])
    for method, more in (("jeffreys", 0.5), ("laplace", 1.0), ("plug-in", 0.0)):
        joint = (table + more) / (table + more).sum()
        estimate = quiet(kl.estimate_mutual_information_from_counts, table, method=method)
        assert estimate.value == pytest.approx(kl.mutual_information(joint), rel=1e-13)


def test_jensen_shannon_against_its_definition():
    x, y, weights = [60, 30, 10], [30, 40, 30], (0.3, 0.7)
    p, q = (kl.Categorical.from_counts(counts=counts) for counts in (x, y))
    exact = kl.jensen_shannon(p, q, weights=weights)
    estimate = kl.estimate_jensen_shannon_from_counts(x, y, weights=weights, method="plug-in")
    assert estimate.value == pytest.approx(exact, rel=1e-13)
    P, Q = ((np.array(counts) + 0.5) / 101.5 for counts in (x, y))
    M = 0.3 * P + 0.7 * Q
    bias = (0.3 * (1 - P) / 100 * (1 - 0.3 * P / M) + 0.7 * (1 - Q) / 100 * (1 - 0.7 * Q / M)).sum() / 2
    estimate = kl.estimate_jensen_shannon_from_counts(x, y, weights=weights)
    assert estimate.value == pytest.approx(exact - bias, rel=1e-13)


def test_units_and_result():
    nats, bits = (kl.estimate_kl_from_counts([60, 30, 10], [90, 80, 30], unit=unit) for unit in ("nats", "bits"))
    assert bits.value == pytest.approx(nats.value / math.log(2))
    assert bits.confidence_interval() == pytest.approx(np.array(nats.confidence_interval()) / math.log(2))
    assert (nats.quantity, nats.direction, nats.d) == ("KL", "P||Q", None)
    fields = json.loads(nats.to_json())
    assert {"value", "standard_error", "confidence_interval", "diagnostics"} <= set(fields)
    assert all(type(value) in (int, float) for value in nats.diagnostics.values())


# ---------------------------------------------------------------- interval and test


@pytest.mark.parametrize("degrees", [1, 2, 7.5, 19, 400, 1e5])
def test_tails_of_chi_squared(degrees):
    for deviation in (-2.0, -0.3, 0.0, 1.0, 4.0, 12.0):
        x = degrees + deviation * math.sqrt(2 * degrees)
        assert chi_squared_tail(x, degrees) == pytest.approx(stats.chi2.sf(max(x, 0.0), degrees), rel=1e-9)


@pytest.mark.parametrize("degrees", [1.0, 19.0, 300.0])
def test_noncentrality_inverts_the_distribution(degrees):
    for x in (degrees / 2, degrees, 3 * degrees + 10, 1e4):
        for probability in (0.025, 0.5, 0.975):
            found = _noncentrality(x, degrees, probability)
            if found:
                assert stats.ncx2.cdf(x, degrees, found) == pytest.approx(probability, rel=1e-8)
            else:
                assert stats.chi2.cdf(x, degrees) <= probability
    assert _noncentrality(1e7 * 1.0001, degrees, 0.1) == pytest.approx(
        _noncentrality(1e7 * 0.9999, degrees, 0.1), rel=3e-4
    )


@given(st.floats(0.0, 80.0), st.floats(0.5, 40.0), st.floats(0.5, 0.99))
@settings(max_examples=100, deadline=None)
def test_interval_leaves_zero_out_just_where_a_test_rejects_it(x, degrees, level):
    uncertainty = ScaledChiSquared.of(x - degrees, degrees, 1.0)
    low, high = uncertainty.interval(x, level)
    assert 0.0 <= low <= high
    if abs(stats.chi2.sf(x, degrees) - (1 - level)) > 1e-9:
        assert (low > 0.0) == (stats.chi2.sf(x, degrees) < 1 - level)
    wider = uncertainty.interval(x, 0.5 * (1 + level))
    assert wider[0] <= low * (1 + 1e-9)
    assert high <= wider[1] * (1 + 1e-9)


@pytest.mark.parametrize("function", [kl.estimate_kl_from_counts, kl.estimate_jensen_shannon_from_counts])
def test_g_test_is_that_of_scipy(function):
    for x, y in (([60, 30, 10], [90, 80, 30]), ([5, 9, 70, 0], [8, 8, 88, 3]), ([100, 200], [50, 100])):
        told = quiet(function, x, y).diagnostics
        known = stats.chi2_contingency([x, y], correction=False, lambda_="log-likelihood")
        assert told["g_statistic"] == pytest.approx(known.statistic, rel=1e-10, abs=1e-12)
        assert told["degrees_of_freedom"] == known.dof
        assert told["p_value"] == pytest.approx(known.pvalue, rel=1e-10)


def test_g_test_of_independence_is_that_of_scipy():
    table = [[30, 10, 5], [15, 45, 8]]
    told = kl.estimate_mutual_information_from_counts(table).diagnostics
    known = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert told["g_statistic"] == pytest.approx(known.statistic, rel=1e-10)
    assert told["p_value"] == pytest.approx(known.pvalue, rel=1e-10)


@pytest.mark.parametrize(
    ("function", "scale"),
    [
        (kl.estimate_kl_from_counts, 0.5),
        (kl.estimate_population_stability_index_from_counts, 1.0),
        (kl.estimate_jensen_shannon_from_counts, 0.125),
    ],
)
def test_standard_error_where_first_order_vanishes(function, scale):
    """Of equal counts all derivatives are 0; what is left is the chi-squared law of the G statistic."""
    n, n_categories = 40_000, 8
    estimate = function([n // 8] * n_categories, [n // 8] * n_categories)
    expected = scale * (2 / n) * math.sqrt(2 * (n_categories - 1))
    assert estimate.standard_error == pytest.approx(expected, rel=1e-3)
    beside = function([n // 8] * n_categories, [n // 8 + 1, *[n // 8] * 6, n // 8 - 1])
    assert beside.standard_error == pytest.approx(expected, rel=1e-3)


def test_counts_of_any_size():
    for size in (1, 10**6, 10**12):
        estimate = quiet(kl.estimate_kl_from_counts, [3 * size, 2 * size], [2 * size, 2 * size])
        low, high = estimate.confidence_interval()
        assert low <= estimate.value <= high or size == 1
        assert 0 < estimate.standard_error < math.inf
    assert estimate.value == pytest.approx(divergence(np.array([0.6, 0.4]), np.array([0.5, 0.5])), rel=1e-11)


def test_a_single_category_has_no_error():
    for function in (*OF_PAIRS.values(), kl.estimate_jensen_shannon_from_counts):
        estimate = quiet(function, [10, 0], [20, 0])
        assert estimate.value == pytest.approx(0.0, abs=1e-15)
        assert math.isnan(estimate.standard_error)
    assert quiet(kl.estimate_entropy_from_counts, [10]).value == 0.0
    assert math.isnan(quiet(kl.estimate_mutual_information_from_counts, [[10, 10]]).standard_error)


# ---------------------------------------------------------------- labels


def test_labels_are_counted_over_both():
    rng = np.random.default_rng(5)
    first, second = rng.choice(list("abcdef"), 300), rng.choice(list("cdefgh"), 400)
    names = sorted({*first, *second})
    counts = [[Counter(part.tolist())[name] for name in names] for part in (first, second)]
    expected = quiet(kl.estimate_kl_from_counts, *counts)
    for kind in (list, tuple, np.array, pd.Series, pl.Series, lambda x: pd.Series(x, dtype="category")):
        estimate = quiet(kl.estimate_kl_from_labels, kind(first.tolist()), kind(second.tolist()))
        assert "2 of 8 categories ('b', 'a'), which hold" in estimate.warnings[0]
        assert estimate.value == expected.value
        assert estimate.standard_error == expected.standard_error
        assert set(estimate.diagnostics["unseen_labels"]) == {"a", "b"}
    with pytest.raises(errors.InvalidParameterError, match="labels_q has no observation in 2 of 8"):
        kl.estimate_kl_from_labels(first, second, zero="raise")


LARGE = 2**62


@pytest.mark.parametrize(
    ("first", "second", "n_categories"),
    [
        (np.array([LARGE, LARGE + 1], np.uint64), np.array([LARGE], np.int64), 2),
        (np.array([LARGE, LARGE + 1]), np.array([float(LARGE)]), 2),
        ([LARGE, LARGE + 1, 0.5], [LARGE], 3),
        ([-1, 2**63, 2**63 + 1], [-1], 3),
        ([2**70, 2**70 + 1], [2**70], 2),
        (["a", "a\0"], ["a"], 2),
        (["a", "a\0"], np.array(["a"]), 2),
        (np.array([1, 2], np.int8), np.array([1.0, 2.5]), 3),
        ([True, False], [1, 2], 3),
    ],
    ids=str,
)
def test_labels_that_differ_are_not_merged(first, second, n_categories):
    estimate = quiet(kl.estimate_kl_from_labels, list(first) * 20, list(second) * 20)
    assert estimate.diagnostics["n_categories"] == n_categories
    whole = quiet(kl.estimate_kl_from_labels, first, second)
    assert whole.diagnostics["n_categories"] == n_categories


def test_the_most_frequent_unseen_labels_come_first():
    labels = [label for label, count in zip("abcdefg", (1, 5, 2, 9, 3, 4, 60), strict=True) for _ in range(count)]
    estimate = quiet(kl.estimate_kl_from_labels, labels, ["g"] * 100)
    assert estimate.diagnostics["unseen_labels"] == ["d", "b", "f", "e", "c", "a"]
    assert "('d', 'b', 'f', 'e', 'c', ...)" in estimate.warnings[-2]


@pytest.mark.parametrize(
    "labels", [[1, 2, 2, 3], [1.0, 2.0, 2.0, 3.0], np.array([1, 2, 2, 3], dtype="u1"), [10**18, 1, 2, 2]]
)
def test_labels_may_be_numbers(labels):
    estimate = quiet(kl.estimate_kl_from_labels, list(labels) * 10, list(labels) * 20)
    assert estimate.diagnostics["n_categories"] == 3
    assert abs(estimate.value) < 0.1


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ("aab", errors.InvalidTypeError, "labels_p is a str"),
        ({"a": 2}, errors.InvalidTypeError, "labels_p is a dict"),
        (None, errors.InvalidTypeError, "labels_p is a NoneType"),
        ([], errors.NotEnoughSamplesError, "labels_p is empty"),
        ([["a"], ["b"]], errors.ShapeMismatchError, r"got shape \(2, 1\)"),
        (["a", None, "b"], errors.InvalidParameterError, "1 entries that are no labels .* at index 1: None"),
        (["a", math.nan], errors.InvalidParameterError, "index 1: nan"),
        ([1.0, math.nan], errors.InvalidParameterError, "index 1: nan"),
        (pd.Series(["a", pd.NA]), errors.InvalidParameterError, "at index 1"),
        (["a", 1], errors.InvalidTypeError, "1 texts among numbers"),
        ([("a", 1), ("b", 2)], errors.InvalidTypeError, r"holds tuples \(\('a', 1\)\); make each one text"),
        ([b"a", b"b"], errors.InvalidTypeError, r"holds bytes \(b'a'\), .* use label.decode\(\)"),
        ([1, 2], errors.InvalidTypeError, "must both be numbers or both be text"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), errors.InvalidTypeError, r"use .astype\(str\)"),
        (np.ma.array(["a", "b"], mask=[0, 1]), errors.InvalidParameterError, "1 masked values"),
    ],
    ids=str,
)
def test_bad_labels(labels, kind, message):
    with pytest.raises(kind, match=message):
        kl.estimate_kl_from_labels(labels, ["a", "b"])


# ---------------------------------------------------------------- bad counts

BAD = [
    ([3, -1], errors.InvalidParameterError, "whole numbers .* at index 1: -1"),
    ([3, 1.5], errors.InvalidParameterError, "got 1 others, the first at index 1: 1.5"),
    ([0.2, 0.8], errors.InvalidParameterError, "probabilities make a Categorical"),
    ([3, math.nan], errors.InvalidParameterError, "at index 1: nan"),
    ([3, math.inf], errors.InvalidParameterError, "at index 1: inf"),
    ([3, 1e17], errors.InvalidParameterError, r"to 2\*\*53"),
    ([0, 0], errors.NotEnoughSamplesError, "are all 0"),
    ([], errors.NotEnoughSamplesError, "is empty"),
    (3, errors.ShapeMismatchError, r"got shape \(\)"),
    ([[3, 1], [2, 2]], errors.ShapeMismatchError, "call once for each row"),
    (pd.DataFrame({"n": [3, 1]}), errors.ShapeMismatchError, r"got shape \(2, 1\); take the column"),
    (["3", "1"], errors.InvalidTypeError, "text"),
    (None, errors.InvalidTypeError, "NoneType"),
]


@pytest.mark.parametrize(("counts", "kind", "message"), BAD, ids=lambda x: str(x)[:20])
def test_bad_counts(counts, kind, message):
    for function in (*OF_PAIRS.values(), kl.estimate_jensen_shannon_from_counts):
        with pytest.raises(kind, match=message) as caught:
            function(counts, [3, 1])
        assert "counts_p" in str(caught.value)
        with pytest.raises(kind, match="counts_q"):
            function([3, 1], counts)
    with pytest.raises(kind, match=message):
        kl.estimate_entropy_from_counts(counts)


def test_pairs_that_do_not_fit():
    with pytest.raises(errors.ShapeMismatchError, match="counts_p has 2 categories, counts_q has 3"):
        kl.estimate_kl_from_counts([1, 2], [1, 2, 3])
    p, q = pd.Series(["a", "b", "b"] * 5).value_counts(), pd.Series(["a", "a", "b"] * 5).value_counts()
    with pytest.raises(errors.ShapeMismatchError, match="stand in another order"):
        kl.estimate_kl_from_counts(p, q)
    assert kl.estimate_kl_from_counts(p, q.reindex(p.index)).value == kl.estimate_kl_from_counts([10, 5], [5, 10]).value
    with pytest.raises(errors.ShapeMismatchError, match=r"a table of shape \(rows, columns\), got shape \(2,\)"):
        kl.estimate_mutual_information_from_counts([1, 2])


def test_counts_by_name_are_matched():
    expected = quiet(kl.estimate_kl_from_counts, [60, 30, 10, 0], [90, 80, 0, 7])
    for kind in (dict, Counter):
        p, q = kind({"a": 60, "b": 30, "c": 10}), kind({"d": 7, "b": 80, "a": 90})
        estimate = quiet(kl.estimate_kl_from_counts, p, q)
        assert estimate.value == pytest.approx(expected.value, rel=1e-14)
        assert estimate.diagnostics["unseen_labels"] == ["c"]
        assert "1 of 4 categories ('c'), which hold 10.0%" in estimate.warnings[0]
        index = quiet(kl.estimate_population_stability_index_from_counts, p, q).diagnostics
        assert (index["unseen_labels"], index["unseen_labels_by_p"]) == (["c"], ["d"])
        for function in (kl.estimate_cross_entropy_from_counts, kl.estimate_jensen_shannon_from_counts):
            matched = quiet(function, p, q).value
            assert matched == pytest.approx(quiet(function, [60, 30, 10, 0], [90, 80, 0, 7]).value, rel=1e-14)
    with pytest.raises(errors.InvalidParameterError, match=r"which the other has \('c'\), and zero='raise'"):
        kl.estimate_kl_from_counts(p, q, zero="raise")
    series = quiet(kl.estimate_kl_from_counts, pd.Series({"a": 60, "b": 30}), pd.Series({"a": 90, "b": 0}))
    assert series.diagnostics["unseen_labels"] == ["b"]


@pytest.mark.parametrize(
    ("p", "q", "kind", "message"),
    [
        ({"a": 3}, [3], errors.InvalidTypeError, "counts_p is a dict of counts by name, counts_q is a list"),
        ([3], {"a": 3}, errors.InvalidTypeError, "counts_q is a dict of counts by name, counts_p is a list"),
        ({"a": 3, "b": -1}, {"a": 3}, errors.InvalidParameterError, "counts_p must be whole .* that of 'b': -1"),
        ({"a": 3}, {"a": 3, "c": 0.5}, errors.InvalidParameterError, "counts_q must be whole .* that of 'c': 0.5"),
        ({"a": 3}, {}, errors.NotEnoughSamplesError, "counts_q are all 0"),
        ({}, {}, errors.NotEnoughSamplesError, "counts_p is empty"),
        ({"a": "x"}, {"a": 3}, errors.InvalidTypeError, "counts_p"),
    ],
    ids=str,
)
def test_bad_counts_by_name(p, q, kind, message):
    with pytest.raises(kind, match=message):
        kl.estimate_kl_from_counts(p, q)


def test_bad_arguments():
    for function in (*OF_PAIRS.values(), kl.estimate_jensen_shannon_from_counts):
        with pytest.raises(errors.InvalidParameterError, match="method must be one of"):
            function([1, 2], [3, 4], method="bayes")
        with pytest.raises(errors.InvalidTypeError, match="'dirichlet' needs concentration="):
            function([1, 2], [3, 4], method="dirichlet")
        with pytest.raises(errors.InvalidTypeError, match="'plug-in' takes no concentration="):
            function([1, 2], [3, 4], method="plug-in", concentration=1.0)
        with pytest.raises(errors.InvalidParameterError, match="concentration must be > 0"):
            function([1, 2], [3, 4], method="dirichlet", concentration=0.0)
        with pytest.raises(errors.InvalidParameterError, match="unit must be one of"):
            function([1, 2], [3, 4], unit="dits")
    with pytest.raises(errors.InvalidParameterError, match="zero must be one of"):
        kl.estimate_kl_from_counts([1, 2], [3, 4], zero="smooth")
    with pytest.raises(errors.InvalidParameterError, match="method must be one of 'plug-in'"):
        kl.estimate_jensen_shannon_from_counts([1, 2], [3, 4], method="zhang-grabchak")
    with pytest.raises(errors.InvalidParameterError, match="weights must be > 0"):
        kl.estimate_jensen_shannon_from_counts([1, 2], [3, 4], weights=(1.0, 0.0))


def test_whole_numbers_of_any_kind_are_counts():
    expected = kl.estimate_kl_from_counts([60, 30, 10], [90, 80, 30]).value
    for kind in (np.array, pd.Series, pl.Series, lambda x: np.array(x, dtype=np.float32), lambda x: np.array(x, "u1")):
        assert kl.estimate_kl_from_counts(kind([60, 30, 10]), kind([90, 80, 30])).value == expected


def test_warnings_point_to_the_caller():
    with pytest.warns(errors.PoorOverlapWarning) as caught:
        kl.estimate_kl_from_counts(P_BEYOND, Q_BEYOND)
    assert caught[0].filename == __file__


def test_an_interval_stays_above_zero_where_the_value_does_not():
    """As the docstring says: the value is unbiased, and the interval is one of divergences."""
    estimate = kl.estimate_kl_from_counts([5, 7], [5, 7])
    low, high = estimate.confidence_interval()
    assert estimate.value < 0.0 == low < high
    assert "never reaches below 0" in " ".join(kl.estimate_kl_from_counts.__doc__.split())
