"""What `diagnose` sees in two samples, and what it makes of it."""

import json
import math

import cases
import naive
import numpy as np
import pytest
from hypothesis import given, settings

import kltools as kl
from kltools import errors
from kltools.comparison import shape
from kltools.comparison.halves import quiet_estimate
from kltools.estimators import METHODS
from kltools.repeats import lattice_steps


def normals(seed, n, m, d=2, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + rng.standard_normal((m, d))


def diagnose(X, Y, **options):
    options.setdefault("random_state", 0)
    return kl.diagnose(X, Y, **options)


# ---------------------------------------------------------------- what is measured


def test_estimates_are_those_of_the_methods():
    X, Y = normals(0, 220, 250, shift=0.5)
    found = diagnose(X, Y)
    assert {*found.estimates, *found.not_estimated} == {"auto", "gaussian", "knn", "classifier", "kde"} <= set(METHODS)
    for name in ("gaussian", "knn"):
        assert found.estimates[name].value == kl.estimate_kl(X, Y, method=name).value
    assert found.reverse.value == kl.estimate_kl(Y, X, method="knn").value
    for k, value in found.by_n_neighbors.items():
        assert value == pytest.approx(quiet_estimate(X, Y, method="knn", n_neighbors=k).value, rel=1e-12)
    assert tuple(found.by_n_neighbors) == (1, 2, 5, 10, 20, 50, 100)
    assert (found.n_p, found.n_q, found.d) == (220, 250, 2)


def test_halves_are_disjoint_halves():
    """The mean of an unbiased estimate over two halves: the rows are drawn as documented by the generator."""
    X, Y = normals(0, 61, 80, shift=0.5)
    draws = np.random.default_rng(0)
    draws.integers(2**63)
    x, y = draws.permutation(61)[:60].reshape(2, 30), draws.permutation(80).reshape(2, 40)
    expected = [naive.gaussian_divergence(X[x[i]], Y[y[i]]) for i in range(2)]
    assert diagnose(X, Y).at_half["gaussian"] == pytest.approx(np.mean(expected), rel=1e-10)


def test_participation_ratio_is_that_of_the_spectrum():
    X = np.random.default_rng(0).standard_normal((200, 4)) @ np.random.default_rng(1).standard_normal((4, 4))
    spectrum = np.linalg.eigvalsh(np.corrcoef(X, rowvar=False))
    assert shape.participation_ratio(X) == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum(), rel=1e-12)
    assert shape.participation_ratio(1e200 * X * [1.0, 1e-3, 1.0, 1e3]) == pytest.approx(shape.participation_ratio(X))
    assert shape.participation_ratio(np.column_stack([X, np.ones(200)])) == pytest.approx(shape.participation_ratio(X))


@pytest.mark.parametrize("n", [10, 60])
def test_intrinsic_dimension_equals_naive(n):
    X = np.random.default_rng(0).standard_normal((n, 3))
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    terms = []
    for row in naive.kth_distances(Z, k=min(20, n - 1)):
        terms += [math.log(row[-1] / distance) for distance in row[:-1]]
    assert shape.intrinsic_dimension(np.concatenate([X, X[:3]])) == pytest.approx(1 / np.mean(terms), rel=0.2)
    assert shape.intrinsic_dimension(X) == pytest.approx(1 / np.mean(terms), rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_intrinsic_dimension_of_a_flat_in_ten_features(d):
    rng = np.random.default_rng(d)
    X = rng.uniform(size=(3000, d)) @ rng.standard_normal((d, 10))
    assert shape.intrinsic_dimension(X) == pytest.approx(d, rel=0.12)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.arange(10.0).repeat(3), True),
        (1e7 + np.arange(10).repeat(3) / 10, True),
        (np.array([-1.7e308, 0.0, 1.7e308]).repeat(3), True),
        (np.array([5e-324, 1e-323, 5e-323]).repeat(3), True),
        (np.array([5e-324, 1e-323, 1.7e308]).repeat(3), True),  # two values, to float64
        (np.array([1e-310, 3e-310, 1.0]).repeat(3), True),  # the first two differ by less than rounding
        (np.ones(10), False),
        (np.arange(10.0), False),  # no value repeats: as good as continuous
        (np.array([0.0, 1.0, math.pi]).repeat(5), False),
        (np.random.default_rng(0).standard_normal(50), False),
    ],
)
def test_lattices(column, expected):
    assert (lattice_steps(column[:, None], None)[0] > 0.0) == expected


def test_repeated_and_shared_rows_are_counted():
    X, Y = normals(0, 50, 60)
    X[:3], X[10], Y[5] = X[0], X[11], X[20]
    found = diagnose(X, Y)
    assert found.n_repeated == (5, 0)
    assert found.n_shared == 1


# ---------------------------------------------------------------- findings


def test_nothing_is_found_in_good_samples():
    for seed in range(5):
        found = diagnose(*normals(seed, 1500, 1500, 2, shift=0.3), random_state=seed)
        assert found.findings == ()
    assert "nothing speaks against" in found.summary()


def only(found, text):
    return sum(text in finding for finding in found.findings) == 1


def test_too_few_rows_where_p_is():
    found = diagnose(*normals(0, 300, 300, 5, shift=2.0))
    assert only(found, "of the rows of X lie outside of Y: the divergence is at least")
    assert only(found, "of the rows of Y lie outside of X")
    assert only(found, "the nearest-neighbour estimate moves from")
    assert any("disagree" in finding for finding in found.findings)


def test_supports_that_differ():
    X, Y = normals(0, 60, 60)
    X[:, 1] = 0.0
    assert only(diagnose(X, Y), "the estimate is inf (auto, gaussian, knn, classifier, kde)")


def test_rows_that_repeat():
    X, Y = normals(0, 300, 300)
    found = diagnose(np.concatenate([X[:150], X[:150]]), Y)
    assert only(found, "300 of 300 rows of X repeat, which")
    assert only(diagnose(X, np.concatenate([X[:50], Y])), "50 rows of X occur in Y")


def test_reasons_of_estimates_are_findings():
    """Each once, with all methods that give it."""
    found = diagnose(*normals(0, 120, 120))
    reasons = {reason for estimate in found.estimates.values() for reason in estimate.reasons}
    assert any("95% interval reaches" in reason for reason in found.estimates["auto"].reasons)
    for reason in reasons:
        assert only(found, reason)
        (finding,) = (text for text in found.findings if reason in text)
        named = {name for name, estimate in found.estimates.items() if reason in estimate.reasons}
        assert set(finding[: finding.index(" unreliable: ")].split(", ")) == named


def test_a_wild_row_is_found():
    X, Y = normals(0, 300, 300)
    X[0, 0] = 1e6
    assert only(diagnose(X, Y), "gaussian unreliable: a row of X lies 17.3 standard deviations from the mean")


def test_rows_with_nan_are_dropped_where_asked():
    X, Y = normals(0, 80, 90)
    expected = diagnose(X, Y)
    X, Y = np.insert(X, [3, 50], math.nan, axis=0), np.insert(Y, 7, [math.nan, 0.0], axis=0)
    found = diagnose(X, Y, nan_policy="omit")
    assert (found.n_p, found.n_q, found.n_dropped) == (80, 90, 3)
    assert "3 rows with NaN" in found.summary()
    assert {**found.to_dict(), "n_dropped": 0} == expected.to_dict()
    with pytest.raises(errors.InvalidParameterError, match="nan_policy"):
        diagnose(X, Y, nan_policy="drop")


def test_lattice_columns_are_named_once():
    rng = np.random.default_rng(0)
    found = diagnose(rng.integers(0, 9, (300, 2)), rng.integers(0, 9, (300, 2)))
    assert found.lattice_columns == (0, 1)
    assert only(found, "columns [0, 1] are rounded")
    assert not any("repeat" in finding for finding in found.findings)


def test_few_rows_and_few_dimensions():
    assert only(diagnose(*normals(0, 40, 40, 5)), "40 rows are few for 5 features")
    plane = np.random.default_rng(1).standard_normal((2, 6))
    X, Y = (Z @ plane + 1e-4 * normals(5, 300, 300, 6)[i] for i, Z in enumerate(normals(0, 300, 300)))
    assert only(diagnose(X, Y), "fill about 2")


# ---------------------------------------------------------------- laws, arguments, result


@given(cases.pairs(max_rows=25, max_features=3))
@settings(max_examples=15, deadline=None)
def test_any_data_can_be_diagnosed(pair):
    found = diagnose(*pair.samples)
    assert json.loads(found.to_json())["n_p"] == pair.n
    assert max(map(len, found.summary().splitlines())) <= 100
    assert all(0.0 <= share <= 1.0 or math.isnan(share) for share in found.outside)
    assert all(0.0 <= ratio <= pair.d + 1e-9 for ratio in found.participation_ratio)
    assert not any(dimension <= 0.0 for dimension in found.intrinsic_dimension)


def test_seeds_and_threads():
    X, Y = normals(0, 200, 150)
    expected = diagnose(X, Y).to_json()
    assert diagnose(X, Y, n_jobs=2).to_json() == expected
    assert diagnose(X, Y, random_state=np.random.default_rng(0)).to_json() == expected


def test_the_result_shows_itself():
    found = diagnose(*normals(0, 80, 80))
    fields = json.loads(found.to_json())
    assert fields["estimates"]["knn"]["value"] == found.estimates["knn"].value
    assert fields["reverse"]["standard_error"] == found.reverse.standard_error
    assert found._repr_html_().count("<tr>") >= 8
    assert repr(found).startswith("Diagnosis(auto=")


def test_a_method_that_cannot_be_used_says_why():
    found = diagnose(*normals(0, 5, 5, 4))
    assert "needs at least 7 rows" in found.not_estimated["gaussian"]
    assert "gaussian    not estimated" in found.summary()
    assert found.outside == pytest.approx((math.nan, math.nan), nan_ok=True)
    assert "nan" not in [word for line in found.summary().splitlines() if "overlap" in line for word in line.split()]


@pytest.mark.parametrize(
    ("X", "Y", "options", "match"),
    [
        ([1.0], [1.0, 2.0], {}, "a diagnosis needs at least 2 rows of X"),
        ([1.0, 2.0], [1.0], {}, "2 rows of Y"),
        ([1.0, math.nan], [1.0, 2.0], {}, "X contains NaN"),
        ([[1.0, 2.0]] * 3, [[1.0]] * 3, {}, "X has 2 features, Y has 1"),
        ([1.0, 2.0], [1.0, 2.0], {"n_jobs": 0}, "n_jobs=0"),
        ([1.0, 2.0], [1.0, 2.0], {"random_state": -1}, "random_state"),
    ],
)
def test_bad_inputs(X, Y, options, match):
    with pytest.raises(errors.KLToolsError, match=match):
        kl.diagnose(X, Y, **options)
