"""Mutual information and total correlation from samples: continuous, discrete and mixed."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

import kltools as kl
from kltools import errors

estimate = kl.estimate_mutual_information


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def normals(seed, n, correlation):
    X, Z = np.random.default_rng(seed).standard_normal((2, n))
    return X, correlation * X + math.sqrt(1 - correlation**2) * Z


def blocks_of(seed, n, *widths):
    """Parts of rows that depend on one another."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 1))
    return [common + rng.standard_normal((n, width)) for width in widths]


# ---------------------------------------------------------------- against naive estimates


@pytest.mark.parametrize("widths", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("k", [1, 3, 39])
@pytest.mark.parametrize(("algorithm", "number"), [("ksg1", 1), ("ksg2", 2), ("mixed", 1), ("auto", 1)])
def test_equals_naive(widths, k, algorithm, number):
    X, Y = blocks_of(0, 60, *widths)
    found = estimate(X, Y, n_neighbors=k, algorithm=algorithm, scale="none")
    assert found.value == pytest.approx(naive.ksg([X, Y], k, number), abs=1e-11)
    assert found.method == ("ksg1" if algorithm == "auto" else algorithm)


@pytest.mark.parametrize(("algorithm", "number"), [("ksg1", 1), ("ksg2", 2), ("auto", 1)])
def test_total_correlation_equals_naive(algorithm, number):
    (X,) = blocks_of(1, 50, 4)
    found = kl.estimate_total_correlation(X, n_neighbors=3, algorithm=algorithm, scale="none")
    assert found.value == pytest.approx(naive.ksg(np.hsplit(X, 4), 3, number), abs=1e-11)
    assert (found.quantity, found.direction, found.d) == ("total correlation", "X", 4)


@pytest.mark.parametrize("k", [1, 3, 20])
@pytest.mark.parametrize("kind", ["tenth_grid", "duplicated_rows", "integer_lattice"])
def test_ties_equal_naive(k, kind):
    """Too many different values for labels: rows are counted in closed balls."""
    X, Y = (sample[:, :1] + sample[:, 1:] for sample in cases.Pair(kind, 50, 50, 2, 0).samples)
    Y = Y + X
    X[:2], Y[:2] = [[70.0], [80.0]], [[90.0], [90.0]]
    found = estimate(X, Y, n_neighbors=k, scale="none", algorithm="mixed")
    assert found.value == pytest.approx(naive.ksg([X, Y], k, "mixed"), abs=1e-11)
    assert found.method == "mixed"
    assert found.n_ties > 0


def test_value_is_the_mean_over_numbers_of_neighbors():
    X, Y = normals(0, 100, 0.5)
    for algorithm in ("ksg1", "ksg2"):
        values = [estimate(X, Y, n_neighbors=k, algorithm=algorithm).value for k in (5, 10, 20)]
        assert estimate(X, Y, algorithm=algorithm).value == pytest.approx(np.mean(values), rel=1e-12)


# ---------------------------------------------------------------- against scikit-learn


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.95])
def test_equals_scikit_learn(correlation):
    """It cuts negative values, scales by standard deviations, and adds noise of 1e-10."""
    X, Y = normals(2, 300, correlation)
    expected = mutual_info_regression(X[:, None], Y, n_neighbors=3, random_state=0)[0]
    assert estimate(X, Y, n_neighbors=3).clipped() == pytest.approx(expected, abs=1e-6)


def test_labels_equal_scikit_learn():
    """Ross (2014): neighbours have the same label, whatever numbers the labels are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    Y = rng.standard_normal(300) + labels
    expected = mutual_info_classif(Y[:, None], labels, n_neighbors=3, random_state=0)[0]
    codes = np.array([5.0, -1e-3, 5.1])[labels]
    for X in (labels, codes, np.stack([codes, codes**2], axis=1)):
        for found in (estimate(X, Y, n_neighbors=3), estimate(Y, X, n_neighbors=3)):
            assert found.value == pytest.approx(expected, abs=1e-6)
            assert found.method == "mixed"


# ---------------------------------------------------------------- against truths


@pytest.mark.parametrize("algorithm", ["ksg1", "ksg2"])
@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_normal_distributions(algorithm, correlation):
    truth = -0.5 * math.log(1 - correlation**2)
    samples = [normals(seed, 1000, correlation) for seed in range(20)]
    values = [estimate(X, Y, n_neighbors=3, algorithm=algorithm).value for X, Y in samples]
    z, told = naive.monte_carlo(values, truth)
    assert abs(z) < 4, told


def test_several_columns_of_normals():
    """Two columns on two: det R = (1 - r^2)^2. Any linear map within X leaves the whitened estimate alone."""
    truth = -math.log(1 - 0.6**2)
    mix = np.array([[1.0, 30.0], [0.0, 1.0]])
    values = []
    for seed in range(10):
        X, Y = np.stack([normals(seed, 1500, 0.6), normals(seed + 99, 1500, 0.6)], axis=2)
        values.append(estimate(X, Y, n_neighbors=5).value)
    assert np.mean(values) == pytest.approx(truth, abs=0.06)
    assert estimate(X @ mix, Y, n_neighbors=5).value == pytest.approx(truth, abs=0.15)


def test_total_correlation_of_normals():
    cov = 0.5 * np.eye(3) + 0.5
    truth = -0.5 * np.linalg.slogdet(cov)[1]
    samples = np.random.default_rng(0).multivariate_normal(np.zeros(3), cov, (20, 1000))
    for algorithm in ("ksg1", "ksg2"):
        values = [kl.estimate_total_correlation(X, n_neighbors=3, algorithm=algorithm).value for X in samples]
        assert np.mean(values) == pytest.approx(truth, abs=0.02)


def test_two_columns_have_their_mutual_information_as_total_correlation():
    X, Y = normals(0, 200, 0.7)
    assert kl.estimate_total_correlation(np.stack([X, Y], axis=1)).value == estimate(X, Y).value
    assert kl.estimate_total_correlation(X).value == 0.0


def test_discrete_data():
    joint = np.array([[0.3, 0.1, 0.1], [0.05, 0.25, 0.2]])
    truth = float((joint * np.log(joint / joint.sum(0) / joint.sum(1, keepdims=True))).sum())
    rng = np.random.default_rng(0)
    values = []
    for _ in range(30):
        cells = rng.choice(6, 600, p=joint.ravel())
        values.append(estimate(cells // 3, cells % 3).value)
    z, told = naive.monte_carlo(values, truth)
    assert abs(z) < 4, told


def test_a_mixture_of_atoms_and_a_density():
    """Gao et al. (2017): half of the rows lie on four equal atoms with X = Y, half are independent normals."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(10):
        atoms = rng.integers(0, 4, 1000) + 10.0
        X, Y = rng.standard_normal((2, 1000))
        is_atom = rng.random(1000) < 0.5
        values.append(estimate(np.where(is_atom, atoms, X), np.where(is_atom, atoms, Y)).value)
    assert np.mean(values) == pytest.approx(math.log(2) + 0.5 * math.log(4), abs=0.02)


def test_a_constant_tells_nothing():
    Y = normals(0, 60, 0)[0]
    for X in (np.zeros(60), np.full((60, 2), 1e200)):
        assert estimate(X, Y).value == pytest.approx(0.0, abs=1e-12)
        assert estimate(Y, X).value == pytest.approx(0.0, abs=1e-12)
        assert estimate(X, X).value == pytest.approx(0.0, abs=1e-12)


# ---------------------------------------------------------------- rounded data, strong dependence


@pytest.mark.parametrize("step", [1.0, 0.25])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_rounded_normals(step, correlation):
    """Against the sum over cells, whose masses are sums over a fine grid: what is spread has the same truth."""
    std = 4.0
    fine = np.linspace(-5, 5, 4001) * std
    edges = np.arange(-20.0 - 0.5 * step, 20.0 + step, step)
    conditional = stats.norm.cdf((edges - correlation * fine[:, None]) / math.sqrt(1 - correlation**2) / std)
    joint = np.zeros((len(edges), len(edges) - 1))
    np.add.at(joint, np.digitize(fine, edges), stats.norm.pdf(fine / std)[:, None] * np.diff(conditional, axis=1))
    joint /= joint.sum()
    truth = stats.entropy(joint.sum(axis=0)) + stats.entropy(joint.sum(axis=1)) - stats.entropy(joint.ravel())
    X, Y = (step * np.round(std * part / step) for part in normals(1, 3000, correlation))
    with pytest.warns(errors.TiesWarning, match="lie on a lattice"):
        found = estimate(X, Y, random_state=0)
    assert found.value == pytest.approx(truth, abs=0.03)
    assert found.reliable is None
    assert kl.estimate_total_correlation(np.stack([X, Y], axis=1), random_state=0).value == found.value


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_moderate_dependence_is_not_doubted(correlation):
    assert estimate(*normals(0, 1000, correlation)).reliable is None


def test_strong_dependence_is_doubted():
    X, Y = normals(0, 1000, 0.999)
    for samples in ((X, Y), (X, X**2), (np.round(X, 1), np.round(X, 1))):
        with pytest.warns(errors.UnreliableEstimateWarning, match="more than half of that|the estimate moves"):
            found = estimate(*samples)
        assert found.reliable is False


def test_linear_dependence_is_infinite():
    X, Y = normals(0, 100, 0.5)
    for samples in ((X, X), (X, 3 - 2 * X), (np.stack([X, Y], axis=1), X + Y)):
        with pytest.warns(errors.InfiniteDivergenceWarning, match="linear"):
            assert estimate(*samples).value == math.inf
    assert kl.estimate_total_correlation(np.stack([X, Y, X + Y], axis=1)).value == math.inf
    inside = np.stack([X, 2 * X], axis=1)  # is no dependence on Y
    assert estimate(inside, Y).value == pytest.approx(estimate(X, Y).value, abs=0.1)


def test_a_label_has_its_entropy_as_mutual_information_with_itself():
    labels = np.random.default_rng(0).integers(0, 5, 500)
    found = estimate(labels, labels)
    assert found.value == pytest.approx(stats.entropy(np.bincount(labels)), abs=0.01)
    assert found.reliable is None


def test_many_labels_in_few_rows_are_doubted():
    X, Y = np.random.default_rng(0).integers(0, 30, (2, 2000))
    assert estimate(X, Y).reliable is False
    assert estimate(X // 6, Y // 6).reliable is None


# ---------------------------------------------------------------- circumstances


def test_zero_distances_are_refused_by_the_algorithms_for_densities():
    X, Y = (np.repeat(part, 3) for part in normals(0, 30, 0.5))
    for algorithm in ("ksg1", "ksg2"):
        with pytest.raises(errors.InvalidParameterError, match=f"algorithm='{algorithm}' needs distances.*'mixed'"):
            estimate(X, Y, n_neighbors=2, algorithm=algorithm)
    with pytest.raises(errors.InvalidParameterError, match="algorithm must be one of 'auto', 'ksg1'"):
        estimate(X, Y, algorithm="ksg3")


def test_rows_belong_together():
    X, Y = normals(0, 50, 0.9)
    with pytest.raises(errors.ShapeMismatchError, match="X has 50 rows and Y has 49"):
        estimate(X, Y[1:])
    holes_x, holes_y = X.copy(), Y.copy()
    holes_x[3], holes_y[[5, 7]] = math.nan, math.nan
    with pytest.raises(errors.InvalidParameterError, match="Y contains NaN: 2 in all"):
        estimate(X, holes_y)
    kept = ~np.isnan(holes_x + holes_y)
    found = estimate(holes_x, holes_y, nan_policy="omit")
    assert found.value == estimate(X[kept], Y[kept]).value
    assert (found.n_dropped, found.n_p) == (3, 47)


def test_standard_error_leaves_out_blocks_of_rows():
    X, Y = blocks_of(0, 60, 1, 2)
    seed = int(np.random.default_rng(5).integers(2**63))
    labels = np.random.default_rng(seed).permutation(60) % 20
    expected = naive.block_jackknife(
        lambda rows: naive.ksg([rows[:, :1], rows[:, 1:]], 3, 1), (np.hstack([X, Y]),), [labels], 20
    )
    found = estimate(X, Y, n_neighbors=3, scale="none", random_state=5)
    assert found.standard_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_standard_error_is_that_of_the_spread(correlation):
    found = [estimate(*normals(seed, 300, correlation), random_state=0) for seed in range(60)]
    spread = np.std([one.value for one in found], ddof=1)
    typical = math.sqrt(np.mean([one.standard_error**2 for one in found[:20]]))
    assert spread / 1.4 < typical < spread * 1.8


@pytest.mark.parametrize("exponent", [660, -660])
def test_any_scale(exponent):
    X, Y = blocks_of(0, 60, 2, 1)
    expected = estimate(X, Y).value
    assert estimate(np.ldexp(X, exponent), Y).value == pytest.approx(expected, abs=1e-12)
    scaled = estimate(np.ldexp(X, exponent), np.ldexp(Y, exponent), scale="none")
    assert scaled.value == estimate(X, Y, scale="none").value


def test_workspace_does_not_change_algorithm_2():
    X, Y = blocks_of(0, 3000, 5, 5)
    values = [estimate(X, Y, algorithm="ksg2", memory_limit=limit).value for limit in (2**20, None)]
    assert values[0] == values[1]


@settings(max_examples=40, deadline=None)
@given(cases.pairs(min_rows=3))
def test_symmetric_and_never_nan(pair):
    X, Y = pair.samples
    rows = min(len(X), len(Y))
    there, back = estimate(X[:rows], Y[:rows]).value, estimate(Y[:rows], X[:rows]).value
    assert not math.isnan(there)
    assert there == pytest.approx(back, abs=1e-9)
    assert not math.isnan(kl.estimate_total_correlation(X).value)
