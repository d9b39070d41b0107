"""Intervals of estimates from counts: they hold the truth where the first order vanishes, far from there, between."""

import json
import math
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import special, stats

import kltools as kl
from kltools import errors
from kltools.estimators.cell_errors import poisson_deviance, trigamma
from kltools.inference import Combined, Deficit, ScaledChiSquared, Uncertainty, noncentral_chi_squared

REPEATS = 300
LEAST = 0.91  # three standard errors of that many runs below 95%


def zipf(n_categories):
    p = 1.0 / np.arange(1, n_categories + 1)
    return p / p.sum()


def uniform(n_categories):
    return np.full(n_categories, 1.0 / n_categories)


def banded(n_categories, width):
    i = np.arange(n_categories)
    joint = np.exp(-0.5 * ((i[:, None] - i) / width) ** 2)
    return joint / joint.sum()


def diluted(joint, share):
    return share * joint + (1.0 - share) * np.outer(joint.sum(axis=1), joint.sum(axis=0))


def plogp(p):
    return float(special.xlogy(p, p).sum())


def information(joint):
    return plogp(joint) - plogp(joint.sum(axis=0)) - plogp(joint.sum(axis=1))


def jensen_shannon(p, q):
    return 0.5 * plogp(p) + 0.5 * plogp(q) - plogp(0.5 * (p + q))


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        return function(*arguments, **options)


def coverage(estimates, truth):
    ends = [estimate.confidence_interval() for estimate in estimates]
    for estimate, (low, high) in zip(estimates, ends, strict=True):
        assert low <= max(estimate.value, 0.0) <= high
    return np.mean([low <= truth + 1e-12 and truth - 1e-12 <= high for low, high in ends])


# ---------------------------------------------------------------- coverage

TABLES = {
    "independent, even": (np.outer(uniform(4), uniform(5)), 200),
    "independent, 3 x 4": (np.outer(zipf(3), zipf(4)), 100),
    "independent, 5 x 5": (np.outer(zipf(5), zipf(5)), 200),
    "independent, 10 x 10": (np.outer(zipf(10), zipf(10)), 1000),
    "nearly independent": (diluted(banded(5, 1.0), 0.15), 300),
    "weak": (banded(5, 2.0), 200),
    "band of 20, 0.6": (banded(20, 0.6), 2000),
    "band of 20, 1": (banded(20, 1.0), 2000),
    "band of 10, 0.6": (banded(10, 0.6), 500),
    "band of 10, 0.3": (banded(10, 0.3), 2000),
    "determined, even 2": (np.eye(2) / 2, 100),
    "determined, even 3": (np.eye(3) / 3, 90),
    "determined, even 5": (np.eye(5) / 5, 500),
    "determined, uneven": (np.diag(zipf(5)), 200),
    "all but determined": (diluted(np.eye(5) / 5, 0.99), 500),
    "nearly determined": (diluted(np.eye(5) / 5, 0.9), 500),
}


@pytest.mark.parametrize("case", TABLES)
def test_coverage_of_mutual_information(case):
    joint, n = TABLES[case]
    tables = np.random.default_rng(0).multinomial(n, joint.reshape(-1), REPEATS).reshape(-1, *joint.shape)
    estimates = [quiet(kl.estimate_mutual_information_from_counts, table) for table in tables]
    assert LEAST <= coverage(estimates, max(information(joint), 0.0)) <= 0.99


ENTROPIES = [
    ([0.5, 0.5], 30),
    ([0.5, 0.5], 10**6),
    ([0.501, 0.499], 10**6),
    ([0.55, 0.45], 1000),
    ([0.6, 0.4], 100),
    ([0.62, 0.38], 50),
    ([0.62, 0.38], 100),
    ([0.7, 0.3], 30),
    ([0.9, 0.1], 100),
    ([0.36, 0.33, 0.31], 200),
    ([0.4, 0.33, 0.27], 200),
    ([0.98, 0.01, 0.01], 300),
    (uniform(20), 200),
    (zipf(5), 100),
    (zipf(20), 200),
    (zipf(100), 1000),
]


@pytest.mark.parametrize(("p", "n"), ENTROPIES, ids=lambda x: str(x)[:20])
def test_coverage_of_entropy(p, n):
    counts = np.random.default_rng(1).multinomial(n, p, REPEATS)
    estimates = [quiet(kl.estimate_entropy_from_counts, x) for x in counts if (x > 0).sum() > 1]
    assert LEAST <= coverage(estimates, -plogp(np.array(p))) <= 0.985


PAIRS = [
    (uniform(2), uniform(2), 50, 50, 1.0),
    ([0.6, 0.4], [0.6, 0.4], 50, 50, 0.985),
    ([0.9, 0.1], [0.9, 0.1], 50, 50, 0.985),
    ([0.7, 0.3], uniform(2), 500, 50, 0.985),
    (zipf(5), zipf(5), 100, 100, 0.985),
    (zipf(20), uniform(20), 500, 500, 0.985),
    (uniform(20), zipf(20), 1000, 1000, 0.985),
]


@pytest.mark.parametrize(("p", "q", "n", "m", "most"), PAIRS, ids=lambda x: str(x)[:16])
def test_coverage_of_cross_entropy(p, q, n, m, most):
    rng = np.random.default_rng(2)
    draws = zip(rng.multinomial(n, p, REPEATS), rng.multinomial(m, q, REPEATS), strict=True)
    estimates = [quiet(kl.estimate_cross_entropy_from_counts, x, y) for x, y in draws]
    assert LEAST <= coverage(estimates, -float(special.xlogy(p, q).sum())) <= most
    spread = np.std([estimate.value for estimate in estimates])
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.22)


@pytest.mark.parametrize(
    ("p", "q", "n", "m"),
    [
        (uniform(30), uniform(30), 300, 300),
        (uniform(30), uniform(30), 200, 600),
        (uniform(5), uniform(5), 50, 50),
        (uniform(5), zipf(5), 60, 60),
        (uniform(30), zipf(30), 300, 300),
    ],
    ids=lambda x: str(x)[:16],
)
def test_coverage_of_jensen_shannon(p, q, n, m):
    rng = np.random.default_rng(3)
    draws = zip(rng.multinomial(n, p, 1000), rng.multinomial(m, q, 1000), strict=True)
    estimates = [quiet(kl.estimate_jensen_shannon_from_counts, x, y) for x, y in draws]
    assert 0.93 <= coverage(estimates, max(jensen_shannon(p, q), 0.0)) <= 0.98


# ---------------------------------------------------------------- balanced tables, single categories


@pytest.mark.parametrize(
    "table", [[[50, 0], [0, 50]], [[1, 0], [0, 1]], np.diag([10, 10, 10]), np.kron(np.eye(2), np.full((2, 2), 9))]
)
def test_balanced_tables_have_an_interval(table):
    """Their first-order variance is 0."""
    estimate = quiet(kl.estimate_mutual_information_from_counts, table)
    low, high = estimate.confidence_interval()
    assert 0.0 <= low < high
    assert low <= estimate.value <= high
    assert 0.0 < estimate.standard_error < math.inf
    assert "95% interval" in estimate.summary()
    assert json.loads(estimate.to_json())["confidence_interval"] == [low, high]


SMALL = st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(SMALL, st.floats(0.3, 0.99))
def test_every_table_has_an_interval_around_its_value(rows, level):
    table = np.array(rows)
    if not table.any():
        return
    estimate = quiet(kl.estimate_mutual_information_from_counts, table)
    low, high = estimate.confidence_interval(level)
    if min(table.any(axis=0).sum(), table.any(axis=1).sum()) < 2:
        assert math.isnan(low)
        assert estimate.reliable is False
        return
    assert 0.0 <= low <= max(estimate.value, 0.0) <= high
    wide_low, wide_high = estimate.confidence_interval(0.5 * (1.0 + level))
    assert wide_low <= low + 1e-9
    assert high <= wide_high + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=6), st.floats(0.3, 0.99))
def test_every_entropy_lies_in_its_interval(x, level):
    if sum(count > 0 for count in x) < 2:
        return
    estimate = quiet(kl.estimate_entropy_from_counts, x)
    low, high = estimate.confidence_interval(level)
    assert low <= estimate.value <= high
    assert low >= -1e-12
    wide_low, wide_high = estimate.confidence_interval(0.5 * (1.0 + level))
    assert wide_low <= low + 1e-9
    assert high <= wide_high + 1e-9


def test_an_interval_survives_pickling():
    estimate = kl.estimate_entropy_from_counts([60, 30, 10])
    assert pickle.loads(pickle.dumps(estimate)).confidence_interval() == estimate.confidence_interval()


def test_one_category_tells_nothing_of_errors():
    for estimate in (
        quiet(kl.estimate_entropy_from_counts, [30, 0]),
        quiet(kl.estimate_kl_from_counts, [30, 0], [20, 0]),
        quiet(kl.estimate_mutual_information_from_counts, [[10, 20]]),
    ):
        assert estimate.value == pytest.approx(0.0, abs=1e-15)
        assert estimate.reliable is False
        assert "are in one category" in estimate.reasons[0]
        assert math.isnan(estimate.standard_error)
    assert math.copysign(1.0, quiet(kl.estimate_entropy_from_counts, [30, 0]).value) == 1.0


# ---------------------------------------------------------------- what is left out, what nobody saw


@pytest.mark.parametrize(
    ("function", "x", "y", "plug_in", "corrected"),
    [
        (kl.estimate_kl_from_counts, [60, 30, 10], [90, 80, 0], -0.0600, -0.068),
        (kl.estimate_kl_from_counts, [10, 0], [0, 10], 0.0, 0.0),
        (kl.estimate_cross_entropy_from_counts, [60, 30, 10], [90, 80, 0], 0.6077, 0.605),
        (kl.estimate_population_stability_index_from_counts, [60, 30, 10, 0], [90, 80, 0, 5], 0.0794, 0.06),
    ],
)
def test_a_correction_is_that_of_the_terms_that_are_summed(function, x, y, plug_in, corrected):
    values = {method: quiet(function, x, y, zero="drop", method=method) for method in ("plug-in", "miller-madow")}
    assert values["plug-in"].value == pytest.approx(plug_in, abs=5e-5)
    assert values["miller-madow"].value == pytest.approx(corrected, abs=2e-3)
    for estimate in (*values.values(), quiet(function, x, y, zero="drop")):
        assert estimate.reliable is False
        assert any("no divergence" in reason for reason in estimate.reasons)
        assert all(math.isnan(end) for end in estimate.confidence_interval())


def test_nothing_is_left_out_where_all_was_seen():
    for method in ("zhang-grabchak", "miller-madow"):
        kept, plain = (kl.estimate_kl_from_counts([60, 30], [90, 80], zero=z, method=method) for z in ("drop", "inf"))
        assert kept.value == plain.value
        assert kept.confidence_interval() == plain.confidence_interval()
        assert kept.reliable


def test_a_large_error_does_not_excuse_what_nobody_saw():
    for function, x, y in (
        (kl.estimate_kl_from_counts, [5, 0, 0, 5], [60, 70, 70, 0]),
        (kl.estimate_population_stability_index_from_counts, [10, 0, 30, 0], [0, 20, 30, 0]),
    ):
        estimate = quiet(function, x, y)
        assert estimate.diagnostics["unseen_share"] < 0.5 * estimate.standard_error
        assert estimate.reliable is False
        assert any("more than 10%" in reason for reason in estimate.reasons)


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("mean", [1e-9, 0.01, 0.7, 3.0, 12.0, 49.9, 50.1, 300.0])
def test_deviances_of_poisson_numbers(mean):
    x = np.arange(0.0, mean + 40.0 * math.sqrt(mean) + 40.0)
    deviance = special.xlogy(x, x / mean) - x + mean
    for power, tolerance in ((1.0, 1e-4), (2.0, 3e-4)):
        expected = (stats.poisson.pmf(x, mean) * deviance**power).sum()
        assert poisson_deviance(mean, power) == pytest.approx(expected, rel=tolerance if mean >= 50.0 else 1e-10)
    assert poisson_deviance(0.0, 1.0) == 0.0


@pytest.mark.parametrize("x", [1e-3, 0.5, 1.0, 2.0, 11.9, 12.0, 80.0, 1e6, 1e15])
def test_trigamma(x):
    assert float(trigamma(x)) == pytest.approx(float(mp.psi(1, x)), rel=1e-13)


@pytest.mark.parametrize("degrees", [0.01, 3.0, 500.0])
def test_noncentral_chi_squared(degrees):
    for noncentrality in (0.0, 2.0, 100.0):
        for x in (0.1, 3.0, degrees + noncentrality):
            expected = stats.ncx2.cdf(x, degrees, noncentrality) if noncentrality else stats.chi2.cdf(x, degrees)
            assert noncentral_chi_squared(x, degrees, noncentrality) == pytest.approx(expected, rel=1e-9)
    beyond = 1.0001e7
    z = (beyond - degrees - 1e7) / math.sqrt(2.0 * degrees + 4e7)
    assert noncentral_chi_squared(beyond, degrees, 1e7) == pytest.approx(stats.norm.cdf(z), rel=1e-12)


def test_distances_are_added_in_quadrature():
    first = Uncertainty(3.0)
    combined = Combined.of(first, center=1.0, best=11.0, plus=10.0, normal=4.0)
    assert combined.standard_error == 5.0
    assert combined.interval(1.0, 0.95) == pytest.approx(Uncertainty(5.0).interval(11.0, 0.95))
    assert Combined.of(first, center=1.0, best=1.0, least=0.0).interval(1.0, 0.95)[0] == 0.0
    assert Combined.of(first, center=1.0, best=50.0).interval(1.0, 0.95)[1] == 50.0


@pytest.mark.parametrize("seen", [0, 1, 2, 5, 20])
def test_what_is_too_rare_to_be_seen_is_a_poisson_number(seen):
    """Where all error is that of a Poisson number, the end is its exact upper limit to a few percent."""
    combined = Combined.of(Uncertainty(math.sqrt(seen)), center=-seen, best=-seen, unseen=1.0)
    exact = 0.5 * stats.chi2.ppf(0.975, 2 * seen + 2)
    low, _ = combined.interval(-seen, 0.95)
    shift = -low - seen
    assert shift == pytest.approx(exact - seen, rel=0.06)


def test_a_deficit_mirrors_its_divergence():
    below = ScaledChiSquared.of(0.02, 0.01, 0.005)
    low, high = below.interval(0.0, 0.9)
    deficit = Deficit.of(below, 0.7)
    assert deficit.interval(0.0, 0.9) == (0.7 - high, 0.7 - low)
    assert deficit.standard_error == below.standard_error
