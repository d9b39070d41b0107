"""The permutation test of P = Q: against brute force, its size, its power, and ties."""

import itertools
import json
import math
import warnings

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.comparison import permutation


def whitened(Z):
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(Z, rowvar=False)))
    return Z @ (vectors / np.sqrt(values))


def naive_divergences(Z, labels, k):
    """Label counts row by row: whoever is equal to the row first, then whole groups of equal rows by distance."""
    white = whitened(Z) if Z.shape[1] > 1 else Z
    groups = [np.flatnonzero((z == Z).all(axis=1)) for z in np.unique(Z, axis=0)]
    terms = {0: [], 1: []}
    for i in range(len(Z)):
        by_distance = sorted(groups, key=lambda g: (i not in g, float(((white[g[0]] - white[i]) ** 2).sum())))
        met = []
        for group in by_distance:
            if len(met) - 1 >= k:  # row i is among those met
                break
            met += list(group)
        own = sum(labels[j] == labels[i] for j in met) - 1
        other = sum(labels[j] != labels[i] for j in met)
        terms[labels[i]].append(math.log((own + 0.5) / (other + 0.5)))
    n, m = len(terms[1]), len(terms[0])
    return np.mean(terms[1]) + math.log(m / (n - 1)), np.mean(terms[0]) + math.log(n / (m - 1))


def naive_statistics(values):
    """Of each labelling, among all of them."""
    out = []
    total, difference = [a + b for a, b in values], [a - b for a, b in values]
    for t, d in zip(total, difference, strict=True):
        z = [(x - np.mean(xs)) / np.std(xs) if np.std(xs) > 1e-9 else 0.0 for x, xs in ((t, total), (d, difference))]
        out.append(max(z[0], 0.0) ** 2 + z[1] ** 2)
    return out


def quiet(*args, **options):
    options.setdefault("random_state", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        return kl.two_sample_test(*args, **options)


def p_values(draw, n_simulations, **options):
    return np.array([quiet(*draw(seed), random_state=seed, **options).p_value for seed in range(n_simulations)])


# ---------------------------------------------------------------- against brute force


@pytest.mark.parametrize("kind", ["normal", "offset_1e7", "duplicated_rows"])
@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(30, 40, 2, 5), (25, 10, 1, 3), (12, 30, 3, 1), (9, 9, 2, 17), (120, 130, 20, 9)]
)
def test_divergences_equal_naive_counts(kind, n, m, d, k):
    X, Y = cases.Pair(kind, n, m, d, seed=3).samples
    result = quiet(X, Y, n_neighbors=k, n_permutations=1)
    Z = np.concatenate([X, Y])
    expected = naive_divergences(Z - Z[0], np.arange(n + m) < n, k)
    assert result.divergences == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (15, 50), (50, 15)])
def test_statistic_and_p_value_equal_naive(n, m):
    """The same permutations, drawn one after the other; statistics by the definition."""
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((n, 2)), 0.4 + rng.standard_normal((m, 2))
    result = quiet(X, Y, n_neighbors=6, n_permutations=49, random_state=5)
    Z, labels = np.concatenate([X, Y]), (np.arange(n + m) < n).astype(np.uint8)
    draws = np.random.default_rng(5)
    labellings = [labels] + [draws.permuted(labels) for _ in range(49)]
    expected = naive_statistics([naive_divergences(Z, labelling, 6) for labelling in labellings])
    assert result.statistic == pytest.approx(expected[0], rel=1e-9)
    assert result.p_value == sum(t >= expected[0] - 1e-9 for t in expected) / 50


def test_p_value_approaches_that_of_all_labellings():
    """Of 4 and 5 rows all 126 labellings are counted; 9999 of them at random come close."""
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((4, 1)), 1.0 + rng.standard_normal((5, 1))
    Z = np.concatenate([X, Y])
    every = [np.isin(np.arange(9), chosen) for chosen in itertools.combinations(range(9), 4)]
    statistics = naive_statistics([naive_divergences(Z, labels, 3) for labels in every])
    expected = np.mean(np.array(statistics) >= statistics[0] - 1e-9)
    assert quiet(X, Y, n_neighbors=3, n_permutations=9999).p_value == pytest.approx(expected, abs=0.02)


# ---------------------------------------------------------------- size


TIED = {
    "lattice": lambda rng, n, d: rng.integers(0, 3, (n, d)).astype(float),
    "binary": lambda rng, n, d: (rng.random((n, d)) < 0.2).astype(float),
    "rounded": lambda rng, n, d: np.round(rng.standard_normal((n, d)), 1),
    "duplicated": cases.duplicated_rows,
    "constant_column": cases.constant_column,
    "collinear": cases.collinear,
}


@pytest.mark.parametrize("kind", sorted(TIED))
@pytest.mark.parametrize(("n", "m"), [(20, 20), (8, 40), (30, 5)])
def test_size_with_ties(kind, n, m):
    """P(p <= alpha) <= alpha where distances, rows and statistics tie; 4 standard errors of 300 simulations."""

    def draw(seed):
        rows = TIED[kind](np.random.default_rng([seed, n]), n + m, 2)
        return rows[:n], rows[n:]

    p = p_values(draw, 300, n_permutations=39)
    for alpha in (0.05, 0.25, 0.5):
        assert (p <= alpha).mean() <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / 300)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 3), (2, 9), (4, 3)])
def test_size_of_tiny_samples(n, m):
    p = p_values(lambda seed: np.split(np.random.default_rng(seed).standard_normal(n + m), [n]), 300, n_permutations=19)
    for alpha in (0.05, 0.25, 0.5):
        assert (p <= alpha).mean() <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / 300)


def test_p_values_are_uniform_under_equality():
    p = p_values(lambda seed: np.random.default_rng(seed).standard_normal((2, 50, 2)), 300, n_permutations=99)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 < (p <= 0.05).mean() < 0.09


@pytest.mark.slow
def test_size_at_200_rows():
    """Within 4% and 6% (goal); the standard error of 2000 simulations is half a percent."""
    p = p_values(lambda seed: np.random.default_rng(seed).standard_normal((2, 200, 2)), 2000)
    assert 0.04 <= (p <= 0.05).mean() <= 0.06
    assert abs((p <= 0.5).mean() - 0.5) < 0.05


def test_copies_are_not_taken_for_a_difference():
    """Rows in pairs, one in each sample, are more alike than chance has it: that is no evidence against P = Q."""
    X = np.random.default_rng(0).standard_normal((100, 2))
    assert quiet(X, X).p_value > 0.5


# ---------------------------------------------------------------- power


@pytest.mark.parametrize(("n", "m"), [(200, 200), (100, 300), (300, 100)])
@pytest.mark.parametrize(("shift", "scale"), [(0.7, 1.0), (0.0, 1.3), (0.0, 1 / 1.3)])
def test_power_in_five_features(shift, scale, n, m):
    def draw(seed):
        rng = np.random.default_rng(seed)
        Y = rng.standard_normal((m, 5)) * scale
        Y[:, 0] += shift
        return rng.standard_normal((n, 5)), Y

    assert (p_values(draw, 20, n_permutations=99) <= 0.05).mean() >= 0.8


def test_power_on_lattices_and_atoms():
    rng = np.random.default_rng(0)
    assert quiet(rng.integers(0, 3, 400), rng.binomial(2, 0.5, 400)).p_value < 0.01
    assert quiet(np.zeros(30), np.ones(20)).p_value == 0.001
    assert quiet(np.zeros(5), np.ones(4), n_permutations=1999).p_value < 0.02


def test_a_column_of_another_constant_is_a_difference():
    X, Y = np.random.default_rng(0).standard_normal((2, 60, 2))
    X[:, 0], Y[:, 0] = 0.0, 1.0
    assert quiet(X, Y).p_value == 0.001


# ---------------------------------------------------------------- laws


@given(cases.pairs(max_rows=30, max_features=3, min_rows=2), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_any_data_give_a_p_value(pair, seed):
    X, Y = pair.samples
    result = quiet(X, Y, n_permutations=19, random_state=seed)
    assert 1 / 20 <= result.p_value <= 1.0
    assert 0.0 <= result.statistic < math.inf
    assert all(math.isfinite(value) for value in result.divergences)
    assert (result.n_p, result.n_q) == (pair.n, pair.m)


@pytest.mark.parametrize("kind", ["normal", "integer_lattice"])
def test_samples_may_change_places_and_rows_their_order(kind):
    X, Y = cases.Pair(kind, 40, 25, 2, seed=1).samples
    result, swapped = quiet(X, Y), quiet(Y, X)
    assert swapped.divergences == result.divergences[::-1]
    again = quiet(X[::-1], Y[np.random.default_rng(0).permutation(25)])
    assert again.divergences == result.divergences


def test_powers_of_two_change_no_bit_and_common_affine_maps_little():
    X, Y = cases.Pair("normal", 50, 40, 3, seed=1).samples
    plain = quiet(X, Y)
    assert quiet(np.ldexp(X, 900), np.ldexp(Y, 900)) == plain
    matrix = np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]]) * [1e-6, 1.0, 1e6]
    assert quiet(X @ matrix, Y @ matrix).divergences == pytest.approx(plain.divergences, abs=1e-12)


@pytest.mark.parametrize("n_jobs", [1, 2, 3, -1])
def test_threads_and_blocks_change_no_bit(n_jobs, monkeypatch):
    X, Y = cases.Pair("tenth_grid", 300, 250, 2, seed=1).samples
    expected = quiet(X, Y)
    assert quiet(X, Y, n_jobs=n_jobs) == expected
    monkeypatch.setattr(permutation, "_LABELS_AT_ONCE", 550 * 7)
    monkeypatch.setattr(permutation, "_ROWS_AT_ONCE", 64)
    assert quiet(X, Y, n_jobs=n_jobs) == expected


def test_seeds():
    X, Y = cases.Pair("normal", 30, 30, 2, seed=1).samples
    assert quiet(X, Y, random_state=1) == quiet(X, Y, random_state=np.random.default_rng(1))
    assert quiet(X, Y, random_state=1).statistic != quiet(X, Y, random_state=2).statistic


# ---------------------------------------------------------------- arguments, result


@pytest.mark.parametrize(("rows", "expected"), [(4, 3), (40, 5), (800, 100), (2000, 100)])
def test_default_neighbors(rows, expected):
    X = np.arange(float(rows))
    assert quiet(X[: rows // 2], X[rows // 2 :], n_permutations=1).n_neighbors == expected


def test_few_rows_or_permutations_are_told():
    X, Y = np.arange(4.0), np.arange(30.0)
    with pytest.warns(errors.SmallSampleWarning, match=r"n_permutations=10 gives no p-value below 0\.091"):
        result = kl.two_sample_test(X, Y, n_permutations=10)
    assert len(result.warnings) == 1
    with pytest.warns(errors.SmallSampleWarning, match="2 rows of X and 3 of Y can be labelled in 10 ways"):
        kl.two_sample_test(X[:2], Y[:3])
    assert kl.two_sample_test(X, Y, n_permutations=19).warnings == ()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"statistic": "mean"}, errors.InvalidParameterError, "statistic must be one of 'knn', got 'mean'"),
        ({"n_neighbors": 0}, errors.InvalidParameterError, "n_neighbors must be >= 1"),
        ({"n_neighbors": 2.0}, errors.InvalidTypeError, "n_neighbors must be an int"),
        ({"n_neighbors": [3]}, errors.InvalidTypeError, "n_neighbors must be an int"),
        (
            {"n_neighbors": 20},
            errors.NotEnoughSamplesError,
            "n_neighbors=20 needs at least 21 rows of X and Y together",
        ),
        ({"n_permutations": 0}, errors.InvalidParameterError, "n_permutations must be >= 1"),
        ({"n_permutations": True}, errors.InvalidTypeError, "n_permutations must be an int"),
        ({"n_permutations": 99.0}, errors.InvalidTypeError, "n_permutations must be an int"),
        ({"n_jobs": 0}, errors.InvalidParameterError, "n_jobs=0"),
        ({"random_state": -1}, errors.InvalidParameterError, "random_state must be >= 0"),
        ({"nan_policy": "drop"}, errors.InvalidParameterError, "nan_policy"),
        ({"progress": 3}, errors.InvalidTypeError, "progress must be a bool, a function"),
    ],
)
def test_bad_arguments(options, error, match):
    with pytest.raises(error, match=match):
        kl.two_sample_test(np.arange(10.0), np.arange(10.0), **options)


@pytest.mark.parametrize(
    ("X", "Y", "error", "match"),
    [
        ([1.0], [1.0, 2.0], errors.NotEnoughSamplesError, "a test needs at least 2 rows of X, got n_samples=1"),
        ([1.0, 2.0], [1.0], errors.NotEnoughSamplesError, "2 rows of Y"),
        ([1.0, math.nan], [1.0, 2.0], errors.InvalidParameterError, "X contains NaN"),
        ([[1.0, 2.0]] * 3, [[1.0]] * 3, errors.ShapeMismatchError, "X has 2 features, Y has 1"),
        ("path.npy", [1.0, 2.0], errors.InvalidTypeError, "X is a str"),
    ],
)
def test_bad_samples(X, Y, error, match):
    with pytest.raises(error, match=match):
        kl.two_sample_test(X, Y)


def test_rows_with_nan_are_dropped_when_asked():
    X, Y = cases.Pair("normal", 40, 30, 2, seed=1).samples
    with_nan = np.concatenate([X, [[math.nan, 0.0]]])
    result = quiet(with_nan, Y, nan_policy="omit")
    assert result.n_dropped == 1
    assert result.p_value == quiet(X, Y).p_value


def test_progress(monkeypatch):
    told = []
    monkeypatch.setattr(permutation, "_LABELS_AT_ONCE", 20 * 40)
    quiet(np.arange(10.0), np.arange(10.0), n_permutations=99, progress=lambda *args: told.append(args))
    assert told == [(40, 99), (80, 99), (99, 99)]


def test_the_result_shows_itself():
    X, Y = cases.Pair("integer_lattice", 40, 30, 2, seed=1).samples
    result = quiet(X, Y, n_permutations=10)
    assert result.n_repeated == 70 - (np.unique(np.concatenate([X, Y]), axis=0, return_counts=True)[1] == 1).sum()
    assert json.loads(result.to_json())["p_value"] == result.p_value
    assert result.to_dict()["divergences"] == result.divergences
    assert "p-value" in result.summary()
    assert max(map(len, result.summary().splitlines())) <= 100
    assert result._repr_html_().startswith("<table>")
    assert repr(result).startswith("TestResult(statistic=")
