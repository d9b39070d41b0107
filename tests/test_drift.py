"""Drift: cells, statistics and p-values against naive ones, exactness, calibration, power and what is told."""

import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import kltools as kl
from kltools import errors
from kltools.drift import binning, joint
from kltools.drift.columns import read_table

CHECKS = parametrize_with_checks([kl.DriftDetector(n_permutations=9)])


def detected(reference, window, **options):
    options.setdefault("random_state", 0)
    return kl.DriftDetector(**options).fit(reference).detect(window)


def mixed(rng, n, shift=0.0):
    age = np.round(rng.normal(shift, 2.0, n))
    income = rng.exponential(size=n)
    income[rng.random(n) < 0.2] = np.nan
    return {"age": age, "income": income, "city": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])}


def feature(report, name):
    return next(one for one in report.features if one.name == name)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- naive references


def naive_cells(values, n):
    """One cell for each row: bins of middle ranks of numbers, categories, the missing ones by themselves."""
    present = [v for v in values if v is not None and v == v]
    if isinstance(present[0], str):
        counts = {v: present.count(v) for v in present}
        rare = {v for v, c in counts.items() if c < 5 and c < 0.1 * len(present)}
        merged = rare if len(rare) > 1 else set()
        return ["missing" if v is None else "rare" if v in merged else v for v in values]
    of_smaller = 2 * min(n, len(values) - n) / len(values) * len(present)
    n_bins = max(2, round(of_smaller**0.4))
    cells = []
    for v in values:
        if v is None or v != v:
            cells.append(math.inf)  # the last one
        else:
            middle = sum(w < v for w in present) + sum(w == v for w in present) / 2
            cells.append(math.floor(n_bins * middle / len(present)))
    return cells


def naive_g(cells, labels):
    kinds = sorted(set(cells), key=str)
    table = [
        [sum(c == k and y == label for c, y in zip(cells, labels, strict=True)) for k in kinds] for label in (1, 0)
    ]
    return stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic


def naive_cumulative(cells, labels):
    """Squared differences of two cumulative counts, by the variance that they have at random."""
    cells, labels = np.array(cells), np.array(labels)
    ends, N, total = np.unique(cells), len(cells), 0.0
    for low, high in itertools.pairwise(ends):
        H = np.mean(cells <= low)
        excess = np.sum((cells <= low) & (labels == 1)) - labels.mean() * np.sum(cells <= low)
        mass = np.sum(cells == low) + np.sum(cells == high)
        total += mass * excess**2 / (H * (1 - H))
    return total if N else 0.0


def naive_coordinates(columns, n):
    """Whitened normal scores, then indicators."""
    scores, indicators = [], []
    for values in columns:
        cells = naive_cells(values, n)
        if isinstance(next(v for v in values if v is not None), str):
            indicators.append(cells)
            continue
        missing = np.isnan(values)
        score = np.zeros(len(values))
        score[~missing] = stats.norm.ppf((stats.rankdata(values[~missing]) - 0.5) / (~missing).sum())
        scores.append(score)
        if missing.any():
            indicators.append(missing.tolist())
    Z = np.column_stack(scores)
    if Z.shape[1] > 1:
        eigenvalues, vectors = np.linalg.eigh(np.cov(Z, rowvar=False))
        Z = Z @ (vectors / np.sqrt(eigenvalues))
    for cells in indicators:
        shares = [cells.count(k) / len(cells) for k in set(cells)]
        scale = math.sqrt(1.0 / (1.0 - sum(s * s for s in shares)))
        Z = np.column_stack([Z, *(scale * np.array([c == k for c in cells]) for k in sorted(set(cells), key=str))])
    return Z


def naive_divergences(Z, labels, k):
    groups = [np.flatnonzero((np.abs(z - Z) < 1e-9).all(axis=1)) for z in np.unique(Z.round(9), axis=0)]
    terms = {0: [], 1: []}
    for i in range(len(Z)):
        met = []
        for group in sorted(groups, key=lambda g: (i not in g, float(((Z[g[0]] - Z[i]) ** 2).sum()))):
            if len(met) - 1 >= k:
                break
            met += list(group)
        own = sum(labels[j] == labels[i] for j in met) - 1
        terms[labels[i]].append(math.log((own + 0.5) / (len(met) - own - 1 + 0.5)))
    return np.mean(terms[1]), np.mean(terms[0])


def standardised(values):
    values = np.array(values)
    return (values - values.mean()) / values.std()


def shares_at_least(values):
    values = np.array(values)
    return np.array([np.mean(values >= v - 1e-9 * max(1.0, abs(v))) for v in values])


def naive_p_values(columns, labellings, k):
    """The joint p-value of the first labelling, and those of the parts."""
    n = sum(labellings[0])
    Z = naive_coordinates(columns, n)
    pairs = np.array([naive_divergences(Z, labels, k) for labels in labellings])
    total, difference = standardised(pairs.sum(axis=1)), standardised(pairs[:, 0] - pairs[:, 1])
    by_neighbors = np.maximum(total, 0.0) ** 2 + difference**2
    by_means = [((np.array(labels) @ (Z - Z.mean(axis=0))) ** 2).sum() for labels in labellings]
    scores = []
    for values in columns:
        cells = naive_cells(values, n)
        of_feature = standardised(np.cbrt([naive_g(cells, labels) for labels in labellings]))
        if any(isinstance(v, str) for v in values):
            second = [naive_g(values, labels) for labels in labellings]
        else:
            second = [naive_cumulative(cells, labels) for labels in labellings]
        scores.append(np.maximum(of_feature, standardised(np.cbrt(second))))
    parts = [shares_at_least(part) for part in (by_neighbors, by_means, np.max(scores, axis=0))]
    least = np.min(parts, axis=0)
    return np.mean(least <= least[0] + 1e-12), [p[0] for p in parts], [shares_at_least(s)[0] for s in scores], scores


# ---------------------------------------------------------------- against them


def tables(seed, n, m):
    rng = np.random.default_rng(seed)
    window, reference = mixed(rng, n, 0.5), mixed(rng, m)
    pooled = [np.concatenate([window[name], reference[name]]) for name in window]
    pooled[2] = [f"rare {i % 4}" if i % 5 == 1 else str(v) if i % 7 else None for i, v in enumerate(pooled[2])]
    window["city"], reference["city"] = pooled[2][:n], pooled[2][n:]
    return window, reference, pooled


@pytest.mark.parametrize(("seed", "n", "m"), [(21, 20, 30), (35, 35, 15)])
def test_every_p_value_equals_a_naive_one(seed, n, m):
    """The same labellings, the rest by loops, SciPy and sorting, where rounding orders no equal distances."""
    window, reference, pooled = tables(seed, n, m)
    report = detected(reference, window, n_permutations=59, random_state=3)
    labels = (np.arange(n + m) < n).astype(np.uint8)
    rng = np.random.default_rng(3)
    labellings = [labels, *rng.permuted(np.broadcast_to(labels, (59, n + m)), axis=1)]
    joint_p, parts, of_features, scores = naive_p_values(pooled, labellings, report.n_neighbors)
    assert report.p_value == pytest.approx(joint_p)
    found = report.p_value_of_neighbors, report.p_value_of_means, report.p_value_of_features
    assert found == pytest.approx(tuple(parts))
    for name, p, score in zip(window, of_features, scores, strict=True):
        assert feature(report, name).p_value == pytest.approx(p)
        assert feature(report, name).contribution == pytest.approx(score[0])
    contributions = [one.contribution for one in report.features]
    assert contributions == sorted(contributions, reverse=True)


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.sampled_from([0, 1, 2]), st.floats(0.0, 0.9))
@settings(max_examples=50, deadline=None)
def test_cells_equal_naive_ones(seed, n, decimals, share):
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=n), decimals)
    values[rng.random(n) < 0.2] = np.nan
    values[0] = 1.0
    words = [None if rng.random() < 0.1 else f"w{int(rng.pareto(1.0))}" for _ in range(n)] + ["w0"]
    for column in (values, words):
        window = max(1, int(share * len(column)))
        cells = binning.cells_of(read_table({"x": column}, "X").columns[0], window)
        naive = naive_cells(column, window)
        assert len(cells.names) == len(set(naive))
        assert len(set(zip(cells.codes.tolist(), naive, strict=True))) == len(set(naive))


def test_bins_hold_about_equally_many_rows_and_say_what_is_in_them():
    values = np.random.default_rng(0).normal(size=1000)
    cells = binning.cells_of(read_table({"x": values}, "X").columns[0], 500)
    assert len(cells.names) == 16
    assert set(np.bincount(cells.codes)) <= {62, 63}
    inside = values[cells.codes == 3]
    assert cells.names[3] == f"{inside.min():.6g} to {inside.max():.6g}"


def test_sizes_of_drift_are_those_of_the_counts():
    """KL and PSI by the series of Zhang and Grabchak, from SciPy; JS by the public function."""
    rng = np.random.default_rng(1)
    report = detected(mixed(rng, 300), mixed(rng, 200, 1.0))
    for one in report.features:
        x, y = np.array(one.window_counts), np.array(one.reference_counts)
        assert (x.sum(), y.sum()) == (200, 300)
        assert one.kl == pytest.approx(series(x, y))
        assert one.psi == pytest.approx(series(x, y) + series(y, x))
        assert one.js == pytest.approx(kl.estimate_jensen_shannon_from_counts(x, y).value)


@pytest.mark.parametrize("size", [30, 60])
def test_sizes_of_drift_are_0_on_average_in_small_windows_too(size):
    """The counts that the bins would have of samples from one distribution: rows fall into them at random."""
    rng = np.random.default_rng(size)
    rows = {"x": np.arange(1000.0 + size)}
    names = binning.cells_of(read_table(rows, "X").columns[0], size).names
    found = []
    for _ in range(300):
        cells = binning.cells_of(read_table({"x": rng.permutation(rows["x"])}, "X").columns[0], size)
        found.append(binning.divergences(cells, size)[2])
    assert len(names) == round((2 * size) ** 0.4)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / math.sqrt(len(found))
    assert (np.abs(mean) <= 4.0 * error).all()
    assert (np.abs(mean) < [0.02, 0.006, 0.05]).all()


def series(x, y):
    seen = x > 0
    n, m = x.sum(), y.sum()
    terms = special.digamma(x[seen]) - special.digamma(n) - special.digamma(y[seen] + 1) + special.digamma(m + 1)
    return (x[seen] / n * terms).sum()


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_adjusted_p_values_are_those_of_scipy(p_values):
    p = np.array(p_values)
    np.testing.assert_allclose(joint.false_discovery_adjusted(p), stats.false_discovery_control(p), atol=1e-15)


def test_features_are_adjusted_for_their_number():
    rng = np.random.default_rng(0)
    report = detected(rng.normal(size=(100, 6)), rng.normal(size=(80, 6)), alpha=0.3)
    p = [one.p_value for one in report.features]
    adjusted = stats.false_discovery_control(p)
    assert [one.adjusted_p_value for one in report.features] == pytest.approx(list(adjusted))
    assert [one.drift for one in report.features] == [q <= 0.3 for q in adjusted]


# ---------------------------------------------------------------- exactness


def test_exact_over_all_labellings_of_a_tiny_sample(monkeypatch):
    """Of all 70 ways to choose a window of 4 rows among these 8, a share of at most alpha has p <= alpha."""
    number = [0.0, 0.0, 1.0, 1.5, 1.5, np.nan, 4.0, 7.0]
    word = ["a", "b", "a", None, "a", "b", "b", "c"]
    ways = [set(way) for way in itertools.combinations(range(8), 4)]
    p_values = []
    for chosen in ways:
        order = [*sorted(chosen), *sorted(set(range(8)) - chosen)]  # the window stands first

        def all_labellings(*_, chosen=chosen, order=order):
            others = [way for way in ways if way != chosen]
            yield np.array([[i in way for i in order] for way in [chosen, *others]], dtype=np.uint8)

        monkeypatch.setattr(joint, "labellings", all_labellings)
        rows = {"number": [number[i] for i in order], "word": [word[i] for i in order]}
        window, reference = ({k: v[part] for k, v in rows.items()} for part in (slice(4), slice(4, None)))
        p_values.append(detected(reference, window, n_permutations=69).p_value)
    p_values = np.array(p_values)
    for k in range(1, 71):
        assert np.mean(p_values <= k / 70 + 1e-12) <= k / 70 + 1e-12
    assert len(set(p_values)) > 10


@pytest.mark.parametrize("make", [lambda rng, n: rng.normal(size=(n, 3)), mixed])
def test_p_values_are_uniform_without_drift(make):
    p = []
    for seed in range(300):
        rng = np.random.default_rng([seed, 7])
        p.append(detected(make(rng, 30), make(rng, 25), n_permutations=39, random_state=seed).p_value)
    p = np.array(p)
    for level in (0.05, 0.1, 0.25, 0.5, 0.75):
        found = int((p <= level).sum())
        assert stats.binomtest(found, len(p), level).pvalue > 1e-3, level


# ---------------------------------------------------------------- laws


@given(st.integers(0, 2**32 - 1), st.integers(5, 40), st.integers(5, 40))
@settings(max_examples=25, deadline=None)
def test_maps_that_keep_the_order_change_nothing_but_names_of_bins(seed, n, m):
    rng = np.random.default_rng(seed)
    window, reference = np.round(rng.normal(size=(n, 2)), 1), np.round(rng.normal(size=(m, 2)), 1)
    plain = detected(reference, window, n_permutations=19)
    curved = detected(np.exp(reference), np.exp(window), n_permutations=19)
    assert (plain.p_value, plain.rows, plain.row_contributions) == (
        curved.p_value,
        curved.rows,
        curved.row_contributions,
    )
    for one, other in zip(plain.features, curved.features, strict=True):
        assert (one.contribution, one.kl, one.window_counts) == (other.contribution, other.kl, other.window_counts)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_names_of_categories_are_names(seed):
    """Any other names in the same order give the same numbers."""
    rng = np.random.default_rng(seed)
    words = rng.choice(["a", "b", "c"], 60)
    other = [{"a": "x", "b": "y", "c": "z"}[word] for word in words]
    first, second = (detected({"k": w[20:]}, {"k": w[:20]}, n_permutations=19) for w in (words, other))
    assert first.p_value == second.p_value
    assert first.features[0].js == second.features[0].js


def test_threads_and_seeds():
    rng = np.random.default_rng(0)
    reference, window = mixed(rng, 300), mixed(rng, 200)
    first = detected(reference, window, random_state=5)
    assert detected(reference, window, random_state=5, n_jobs=2).to_json() == first.to_json()
    assert detected(reference, window, random_state=6).p_value != first.p_value


# ---------------------------------------------------------------- what is seen, and told


def test_a_change_of_dependence_alone_is_seen():
    rng = np.random.default_rng(0)
    cov = [[1.0, 0.9], [0.9, 1.0]]
    report = detected(rng.multivariate_normal([0, 0], cov, 300), rng.normal(size=(200, 2)), alpha=0.01)
    assert report.drift
    assert report.p_value_of_features > 0.05
    assert "neighbours differ" in report.findings[0]


def test_many_small_shifts_are_seen_together():
    rng = np.random.default_rng(0)
    report = detected(rng.normal(size=(200, 30)), rng.normal(0.1, 1.0, (200, 30)), alpha=0.01)
    assert report.drift
    assert report.p_value_of_means == 0.001
    assert not any(one.drift for one in report.features)
    assert "together they have shifted" in report.findings[0]


def test_no_drift_is_told():
    rng = np.random.default_rng(0)
    report = detected(mixed(rng, 300), mixed(rng, 200))
    assert not report.drift
    assert report.findings == ("the window differs from the reference no more than by chance.",)
    assert report.warnings == ()


def test_one_feature_cannot_depend_on_others():
    """Of one column nothing is said about features together, nor about how they depend on each other."""
    rng = np.random.default_rng(0)
    told = set()
    for seed in range(60):
        window = 0.9 * np.sign(rng.normal(size=(40, 1))) + 0.45 * rng.normal(size=(40, 1))
        report = detected(rng.normal(size=(60, 1)), window, n_permutations=99, random_state=seed)
        if report.drift and not report.features[0].drift:
            told |= set(report.findings)
    assert told
    assert all("'0' has changed, as its" in text for text in told)


def test_rows_that_contribute_most_are_those_from_elsewhere():
    rng = np.random.default_rng(0)
    window = rng.normal(size=(200, 2))
    strangers = [3, 50, 51, 77, 120, 121, 140, 160, 161, 180, 190, 199, *range(10, 22)]
    window[strangers] += 6.0
    report = detected(rng.normal(size=(300, 2)), window)
    assert set(report.rows) <= set(strangers)
    assert list(report.row_contributions) == sorted(report.row_contributions, reverse=True)
    assert report.row_contributions[0] > 0.5


def test_contributions_of_rows_by_counting():
    """log of the density of the window over that of the reference, from the k nearest rows of one feature."""
    rng = np.random.default_rng(3)
    window, reference = rng.normal(1, 1, 30), rng.normal(0, 1, 40)
    report = detected(reference[:, None], window[:, None], n_permutations=9)
    pooled = np.concatenate([window, reference])
    scores = stats.norm.ppf((stats.rankdata(pooled) - 0.5) / 70)
    for row, contribution in zip(report.rows, report.row_contributions, strict=True):
        near = np.argsort(np.abs(scores - scores[row]))[1 : report.n_neighbors + 1]
        own = (near < 30).sum()
        expected = math.log((own + 0.5) / (report.n_neighbors - own + 0.5)) + math.log(40 / 29)
        assert contribution == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::kltools.errors.UnreliableEstimateWarning")  # of incomes, which are not normal
def test_the_estimate_is_that_of_complete_rows_of_numbers():
    rng = np.random.default_rng(0)
    window, reference = mixed(rng, 200, 1.0), mixed(rng, 300)
    complete = [
        np.column_stack([rows["age"], rows["income"]])[~np.isnan(rows["income"])] for rows in (window, reference)
    ]
    report = detected(reference, window, estimator=kl.GaussianDivergence())
    assert report.estimate == kl.estimate_kl(*complete, method="gaussian")
    assert report.estimate_features == ("age", "income")
    assert "2 numeric features, by gaussian" in report.summary()
    assert detected(reference, window).estimate.method == "knn"


@pytest.mark.parametrize(
    ("reference", "window", "why"),
    [
        ({"k": ["a", "b"] * 9}, {"k": ["a", "b"] * 9}, "no numeric column"),
        ({"x": [1.0, np.nan] * 9, "y": [np.nan, 1.0] * 9}, {"x": [1.0] * 5, "y": [2.0] * 5}, "without missing numbers"),
        ({"x": np.arange(9.0)}, {"x": [None, None, None]}, "window has no row without missing numbers"),
    ],
)
def test_why_there_is_no_estimate(reference, window, why):
    report = detected(reference, window)
    assert report.estimate is None
    assert why in " ".join(report.warnings)


def test_a_report_for_people_and_machines():
    rng = np.random.default_rng(0)
    window = mixed(rng, 200, 2.0)
    window["city"] = np.where(rng.random(200) < 0.3, "new", window["city"])
    report = detected(mixed(rng, 300), window)
    told = json.loads(report.to_json())
    assert told["drift"] is True
    assert told["features"][0]["name"] == report.features[0].name
    assert told["estimate"]["standard_error"] > 0
    frame = report.to_frame()
    assert list(frame["name"]) == [one.name for one in report.features]
    assert list(frame["p_value"]) == [one.p_value for one in report.features]
    text = str(report)
    assert text.startswith("drift          yes: p = 0.001 <= alpha = 0.05")
    assert "'city' has categories that the reference never had" in " ".join(text.split())
    assert "<table>" in report._repr_html_()
    assert (
        repr(report) == "DriftReport(drift=True, p_value=0.001, alpha=0.05, features=3, n_reference=300, n_window=200)"
    )


def test_only_some_rows_of_large_samples():
    rng = np.random.default_rng(0)
    detector = kl.DriftDetector(max_rows=100, random_state=0).fit(rng.normal(size=(500, 1)))
    report = detector.detect(rng.normal(size=(300, 1)) + 9.0 * (np.arange(300) >= 200)[:, None])
    assert (report.n_reference, report.n_window, detector.n_samples_fit_) == (100, 100, 100)
    assert min(report.rows) >= 200  # positions in the window given
    assert "100 random rows of the 500 of the reference" in report.warnings[0]
    assert "100 random rows of the 300 of the window" in report.warnings[1]
    every = kl.DriftDetector(max_rows=None, random_state=0).fit(rng.normal(size=(500, 1)))
    assert every.detect(rng.normal(size=(300, 1))).n_window == 300


def test_too_few_permutations_or_rows_are_told():
    rng = np.random.default_rng(0)
    report = detected(rng.normal(size=(50, 1)), rng.normal(size=(50, 1)), n_permutations=19)
    assert "n_permutations=19 may give no p-value below 0.15" in report.warnings[0]
    report = detected(rng.normal(size=(5, 1)), rng.normal(size=(2, 1)))
    assert "can be labelled in 21 ways only" in report.warnings[0]
    report = detected(rng.normal(size=(50, 1)), rng.normal(size=(50, 1)), n_permutations=1)
    assert "no p-value below 1, " in report.warnings[0]


def test_permutations_that_cannot_show_drift_are_the_first_finding():
    rng = np.random.default_rng(0)
    reference, alike, shifted = rng.normal(size=(60, 1)), rng.normal(size=(40, 1)), rng.normal(9.0, 1.0, (40, 1))
    report = detected(reference, shifted, alpha=1e-6)
    assert not report.drift
    assert report.findings[0].startswith(
        "999 permutations cannot show drift at alpha = 1e-06, and p = 0.001 is as small"
    )
    assert "n_permutations=999999 or more" in report.findings[0]
    assert "by chance" not in report.summary()
    assert "n_permutations=49 or more" in detected(reference, shifted, alpha=0.02, n_permutations=48).findings[0]
    assert detected(reference, shifted, alpha=0.02, n_permutations=49).drift
    # and where labellings were further, more of them would hardly change that
    assert "no more than by chance" in detected(reference, alike, alpha=1e-6).findings[0]


def test_unique_values_are_no_evidence_and_told():
    rng = np.random.default_rng(0)
    names, others = [f"u{i}" for i in range(500)], [f"v{i}" for i in range(200)]
    size, again = rng.normal(size=500), rng.normal(size=200)
    reference = {"id": names, "size": size, "unit": ["cm"] * 500}
    report = detected(reference, {"id": others, "size": again, "unit": ["cm"] * 200})
    assert report.left_out == ("id", "unit")
    assert [text for text in report.warnings if "unique" in text] == [
        "no value of 'id' occurs in the reference, nor twice in the window: a column of unique values cannot be tested."
    ]
    repeated = detected(
        {**reference, "id": names[:250] * 2}, {"id": others[:100] * 2, "size": again, "unit": ["cm"] * 200}
    )
    assert repeated.left_out == ("unit",)  # codes that repeat are evidence
    assert repeated.drift
    assert not any("unique" in text for text in repeated.warnings)


def test_nothing_varies():
    report = detected({"x": [1.0] * 9, "y": [None] * 9}, {"x": [1.0] * 5, "y": [None] * 5})
    assert (report.drift, report.p_value, report.features, report.rows) == (False, 1.0, (), ())
    assert report.left_out == ("x", "y")
    assert "nothing to compare" in " ".join(report.warnings)
    json.loads(report.to_json())
    assert "left out" in report.summary()
    constant = detected(np.ones((9, 1)), np.ones((9, 1)))
    assert "estimate 0 nats: KL" in constant.summary()


# ---------------------------------------------------------------- as an estimator


def test_clone_and_pickle():
    rng = np.random.default_rng(0)
    reference, window = mixed(rng, 100), mixed(rng, 80)
    detector = kl.DriftDetector(kl.GaussianDivergence(), alpha=0.2, categorical=["age"], random_state=1)
    copied = clone(detector.fit(reference))
    assert copied.get_params()["categorical"] == ["age"]
    assert not hasattr(copied, "n_features_in_")
    assert pickle.loads(pickle.dumps(detector)).detect(window).to_json() == detector.detect(window).to_json()
    assert list(detector.feature_names_in_) == ["age", "income", "city"]
    detector.set_params(categorical=None).fit(rng.normal(size=(20, 2)))
    assert not hasattr(detector, "feature_names_in_")


@pytest.mark.parametrize(
    ("parameters", "kind", "match"),
    [
        ({"alpha": 0.0}, errors.InvalidParameterError, r"alpha must lie in \(0, 1\)"),
        ({"alpha": "5%"}, errors.InvalidTypeError, "alpha must be a number"),
        ({"n_permutations": 0}, errors.InvalidParameterError, "n_permutations must be >= 1"),
        ({"max_rows": 1}, errors.InvalidParameterError, "max_rows must be >= 2"),
        ({"n_jobs": 0}, errors.InvalidParameterError, "n_jobs=0"),
        ({"estimator": "knn"}, errors.InvalidTypeError, "estimator must have fit, .* got 'knn'"),
        ({"estimator": kl.KNNDivergence}, errors.InvalidTypeError, "estimator must have fit, .* got <class"),
        ({"estimator": kl.RatioDivergence()}, errors.InvalidTypeError, "needs the reference alone"),
        ({"random_state": -1}, errors.InvalidParameterError, "random_state"),
        ({"categorical": "x"}, errors.InvalidTypeError, "categorical must be a list"),
        ({"categorical": ["z"]}, errors.InvalidParameterError, "categorical names 'z'"),
        ({"categorical": [2]}, errors.InvalidParameterError, "categorical names 2, .* columns 0 to 1"),
    ],
)
def test_bad_parameters_are_found_when_fitting(parameters, kind, match):
    detector = kl.DriftDetector(**parameters)
    with pytest.raises(kind, match=match):
        detector.fit(np.arange(20.0).reshape(10, 2))
