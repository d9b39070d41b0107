"""The nearest-neighbour estimate: against a naive one, against truths, and its standard error."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.estimators.density import log_density
from kltools.neighbors import Reference
from kltools.neighbors.leave_out import mean_log_distances

# data for which the naive estimate needs no scaling, and distances no exact arithmetic
KINDS = ["normal", "integer_lattice", "tenth_grid", "cauchy", "offset_1e7", "duplicated_rows", "single_precision"]


@pytest.fixture(autouse=True)
def _only_unexpected_warnings():
    """What the estimator says about odd data is asserted where it matters, by pytest.warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.KLToolsWarning)
        yield


def knn_estimate(X, Y, n_neighbors=None, **options):
    options.setdefault("random_state", 0)
    return kl.estimate_kl(X, Y, method="knn", n_neighbors=n_neighbors, **options)


def pair(kind, n, m, d, seed=0):
    X, Y = cases.Pair(kind, n, m, d, seed).samples
    return np.asarray(X, dtype=float), np.asarray(Y, dtype=float)


def normals(seed, n, m, d, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), shift + scale * rng.standard_normal((m, d))


# ---------------------------------------------------------------- against the naive estimate


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(60, 90, 2), (90, 40, 1), (50, 50, 5)])
@pytest.mark.parametrize("ks", [(1,), (3,), (1, 4, 9), (2, 39)])
def test_equals_naive(kind, n, m, d, ks):
    X, Y = pair(kind, n, m, d)
    estimate = knn_estimate(X, Y, ks, scale="none")
    assert estimate.value == pytest.approx(naive.knn_divergence(X, Y, ks), abs=1e-10)
    assert estimate.n_neighbors == ks


@pytest.mark.parametrize("ties", [1, 5, 6, 7, 20])
def test_a_few_ties_are_counted_alone_and_many_decide_for_all(ties):
    """Around a tenth of the rows the rule changes: 6 of 60 rows are not more than a tenth."""
    X, Y = pair("normal", 60, 70, 2)
    X[:ties] = X[0] if ties > 1 else X[-1]
    assert knn_estimate(X, Y, 1, scale="none").value == pytest.approx(naive.knn_divergence(X, Y, (1,)), abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ks", [(1,), (2, 5), (39,)])
def test_one_sample_form_equals_naive(kind, ks):
    X, _ = pair(kind, 40, 40, 2)
    q = kl.MultivariateNormalDiag(mean=[0.5, 0.0], var=[2.0, 3.0])
    log_q = stats.multivariate_normal([0.5, 0.0], [2.0, 3.0]).logpdf(X)
    expected = naive.knn_against_density(X, log_q, ks)
    assert knn_estimate(X, q, ks, scale="none").value == pytest.approx(expected, abs=1e-10, rel=1e-13)


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_default_neighbors_and_scale_equal_naive(n_jobs):
    """Distances after any whitening are the same: here by eigenvectors, in the library by Cholesky."""
    X, Y = pair("normal", 80, 60, 3)
    X, Y = X @ np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 100.0]]), Y * 30.0
    eigenvalues, vectors = np.linalg.eigh(np.cov(X, rowvar=False))
    white = vectors / np.sqrt(eigenvalues)
    estimate = knn_estimate(X, Y, n_jobs=n_jobs)
    assert estimate.value == pytest.approx(naive.knn_divergence(X @ white, Y @ white, (5, 10, 20)), abs=1e-9)
    assert estimate.diagnostics["scale"] == "whiten"
    estimate = knn_estimate(X, Y, scale="std", n_jobs=n_jobs)
    deviations = X.std(axis=0, ddof=1)
    expected = naive.knn_divergence(X / deviations, Y / deviations, (5, 10, 20))
    assert estimate.value == pytest.approx(expected, abs=1e-9)


def test_value_is_the_mean_over_numbers_of_neighbors():
    X, Y = pair("normal", 100, 120, 2)
    together = knn_estimate(X, Y, (2, 7))
    assert together.value == pytest.approx((knn_estimate(X, Y, 2).value + knn_estimate(X, Y, 7).value) / 2, rel=1e-13)
    assert list(together.diagnostics["value_by_n_neighbors"]) == [2, 7]


def test_one_sample_scale_does_not_matter_to_the_density():
    """The scaling's log-determinant is taken out of log q again."""
    X = np.random.default_rng(0).standard_normal((400, 2))
    q = kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1])
    values = [knn_estimate(X, q, 3, scale=scale).value for scale in ("whiten", "std", "none")]
    assert max(values) - min(values) < 0.03
    big = kl.MultivariateNormalDiag(mean=[0, 0], var=[2.0**80, 2.0**80])
    scaled = knn_estimate(2.0**40 * X, big, 3, scale="none").value
    assert scaled == pytest.approx(values[2], abs=1e-10)


def test_known_q_of_every_kind_is_the_same_q():
    X, _ = pair("normal", 100, 1, 1)
    by_normal = knn_estimate(X, kl.Normal(mean=1, var=2)).value
    by_diagonal = knn_estimate(X, kl.MultivariateNormalDiag(mean=[1], var=[2])).value
    by_full = knn_estimate(X, kl.MultivariateNormal(mean=[1], cov=[[2]])).value
    assert by_diagonal == pytest.approx(by_normal, abs=1e-12)
    assert by_full == pytest.approx(by_normal, abs=1e-12)
    X, _ = pair("normal", 100, 1, 3)
    by_diagonal = knn_estimate(X, kl.MultivariateNormalDiag(mean=[1, 0, 0], var=[2, 1, 3])).value
    by_full = knn_estimate(X, kl.MultivariateNormal(mean=[1, 0, 0], cov=np.diag([2, 1, 3]))).value
    assert by_full == pytest.approx(by_diagonal, abs=1e-12)


# ---------------------------------------------------------------- against truths


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(("n", "m"), [(500, 4000), (4000, 500)])
def test_equal_distributions_give_zero_for_unequal_samples(n, m, d):
    samples = [normals(seed, n, m, d) for seed in range(40)]
    z, told = naive.monte_carlo([knn_estimate(X, Y, 1).value for X, Y in samples], 0.0)
    assert abs(z) < 4, told
    # with 5 to 20 neighbours the two samples are smoothed at unequal radii, which leaves a small bias
    assert abs(np.mean([knn_estimate(X, Y).value for X, Y in samples[:10]])) < 0.05


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(
    ("shift", "scale", "bias"),
    [(0.5, 1.0, 0.01), (1.0, 1.0, 0.05), (0.0, 2.0, 0.02)],
)
def test_normal_distributions(d, shift, scale, bias):
    """Within 4 Monte Carlo errors and the bias that 1 neighbour of 4000 leaves where q is thin."""
    truth = d * (math.log(scale) + (1 + shift**2) / (2 * scale**2) - 0.5)
    values = [knn_estimate(*normals(seed, 4000, 3000, d, shift, scale), 1).value for seed in range(20)]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - truth) < 4 * error + bias * d


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(("mean", "var"), [(1.0, 1.0), (0.0, 4.0), (0.0, 0.25)])
def test_one_sample_form_on_normal_distributions(d, mean, var):
    q = kl.MultivariateNormalDiag(mean=np.full(d, mean), var=np.full(d, var))
    truth = d * 0.5 * ((1 + mean**2) / var - 1 + math.log(var))
    values = [knn_estimate(normals(seed, 2000, 1, d)[0], q, 1).value for seed in range(30)]
    z, told = naive.monte_carlo(values, truth)
    assert abs(z) < 4, told


def test_one_neighbor():
    X, Y = pair("normal", 3, 1, 1)
    estimate = knn_estimate(X, Y, 1)
    assert estimate.value == pytest.approx(naive.knn_divergence(X, Y, (1,)), rel=1e-12)
    assert estimate.n_neighbors == (1,)


def test_a_ratio_of_distances_beyond_float64():
    estimate = knn_estimate([0.0, 1e-320], [0.5, 0.7], 1, scale="none")
    assert estimate.value == pytest.approx(math.log(0.5) - math.log(1e-320) + math.log(2.0), rel=1e-12)


# ---------------------------------------------------------------- numbers of neighbours, options


@pytest.mark.parametrize(
    ("n", "m", "expected"),
    [(100, 100, (5, 10, 20)), (11, 100, (5, 10)), (100, 7, (5, 7)), (3, 100, (2,)), (2, 1, (1,))],
)
def test_default_neighbors_are_cut(n, m, expected):
    X, Y = pair("normal", n, m, 1)
    assert knn_estimate(X, Y).n_neighbors == expected


def test_too_many_neighbors():
    X, Y = pair("normal", 20, 30, 1)
    assert knn_estimate(X, Y, 19).n_neighbors == (19,)
    with pytest.raises(errors.NotEnoughSamplesError, match=r"n_neighbors=20 needs at least 21 rows of .*X.*=20"):
        knn_estimate(X, Y, 20)
    with pytest.raises(errors.NotEnoughSamplesError, match=r"n_neighbors=25 needs at least 25 rows of .*Y"):
        knn_estimate(np.arange(40.0), Y[:24], 25)
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=1000000000"):
        knn_estimate(X, Y, [5, 10**9])


@pytest.mark.parametrize("value", [0, -1, [], [5, 0]])
def test_neighbors_out_of_range(value):
    with pytest.raises(errors.InvalidParameterError, match="n_neighbors"):
        knn_estimate(*pair("normal", 20, 30, 1), value)


@pytest.mark.parametrize("value", [2.0, True, "3", [1, 2.5], math.nan, {5}])
def test_neighbors_of_the_wrong_type(value):
    with pytest.raises(errors.InvalidTypeError, match="n_neighbors"):
        knn_estimate(*pair("normal", 20, 30, 1), value)


@pytest.mark.parametrize("value", [np.int64(3), (3,), [3, 3], np.array([3])])
def test_neighbors_of_every_valid_type(value):
    X, Y = pair("normal", 20, 30, 1)
    assert knn_estimate(X, Y, value) == knn_estimate(X, Y, 3)


def test_unknown_options_and_values():
    X, Y = pair("normal", 20, 30, 1)
    with pytest.raises(errors.InvalidParameterError, match=r"no option 'k'; its options are: n_neighbors, scale"):
        knn_estimate(X, Y, k=3)
    with pytest.raises(errors.InvalidParameterError, match="scale must be one of 'whiten', 'std', 'none'"):
        knn_estimate(X, Y, scale="sphere")


# ---------------------------------------------------------------- standard error


def labels_of(random_state, sizes, blocks):
    """The blocks that a call with this random_state draws."""
    seed = int(np.random.default_rng(random_state).integers(2**63))
    rng = np.random.default_rng(seed)
    return [rng.permutation(size) % blocks for size in sizes]


@pytest.mark.parametrize("kind", ["normal", "tenth_grid"])
@pytest.mark.parametrize(("n", "m", "blocks"), [(60, 90, 20), (90, 45, 20), (40, 12, 12)])
def test_standard_error_is_the_block_jackknife(kind, n, m, blocks):
    X, Y = pair(kind, n, m, 2)
    labels = labels_of(3, (n, m), blocks)
    expected = naive.block_jackknife(lambda A, B: naive.knn_divergence(A, B, (1, 4)), (X, Y), labels, blocks)
    estimate = knn_estimate(X, Y, (1, 4), scale="none", random_state=3)
    assert estimate.standard_error == pytest.approx(expected, rel=1e-9)
    half_width = stats.t(blocks - 1).ppf(0.95) * expected
    low, high = estimate.confidence_interval(0.9)
    assert (low, high) == pytest.approx((estimate.value - half_width, estimate.value + half_width), rel=1e-8)


@pytest.mark.parametrize("ks", [(1,), (2, 5), (1, 20)])
@pytest.mark.parametrize("arrange", [np.sort, np.random.default_rng(0).permutation], ids=["in clumps", "at random"])
def test_distances_without_blocks(ks, arrange):
    """A block in one clump takes all near neighbours away, so that more of them must be asked for."""
    X, Y = (Z[np.argsort(Z[:, 0])] for Z in pair("normal", 70, 95, 2))
    blocks_of_x, blocks_of_y = (arrange(np.arange(n) % 3) for n in (70, 95))
    own, other = Reference(X), Reference(Y)
    X, blocks_of_x = own.points, blocks_of_x[own.order]
    Y, blocks_of_y = other.points, blocks_of_y[other.order]
    cases = ((other, Y, blocks_of_y, None), (own, X, blocks_of_x, np.arange(70)))
    for among, points, labels, exclude in cases:
        expected = []
        for block in range(3):
            left = X[blocks_of_x != block]
            reference = left if exclude is not None else points[labels != block]
            distances = naive.kth_distances(left, None if exclude is not None else reference, k=ks[-1])
            expected.append(np.log(distances[:, [k - 1 for k in ks]]).mean())
        found = mean_log_distances(among, X, ks, labels, blocks_of_x, exclude)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_standard_error_of_the_one_sample_form():
    X, _ = pair("normal", 50, 1, 1)
    q = stats.norm(0.5, 2.0)
    expected = naive.block_jackknife(
        lambda A: naive.knn_against_density(A, q.logpdf(A[:, 0]), (2, 3)), (X,), labels_of(5, (50,), 20), 20
    )
    estimate = knn_estimate(X, kl.Normal(mean=0.5, var=4.0), (2, 3), scale="none", random_state=5)
    assert estimate.standard_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2])
# A jackknife variance is biased upwards (Efron and Stein 1981), most where the truth is 0 and all is noise.
@pytest.mark.parametrize(("shift", "too_large"), [(0.0, 1.75), (1.0, 1.5)])
@pytest.mark.jit
def test_standard_error_is_that_of_the_spread(d, shift, too_large):
    estimates = [knn_estimate(*normals(seed, 500, 500, d, shift)) for seed in range(200)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    typical = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates[:25]]))
    assert spread / 1.5 < typical < spread * too_large


def test_no_standard_error_where_no_block_can_be_left_out():
    estimate = knn_estimate(*pair("normal", 6, 6, 1), 5)
    assert math.isfinite(estimate.value)
    assert math.isnan(estimate.standard_error)


def test_standard_error_where_a_block_leaves_equal_rows_only():
    X = np.append(np.zeros(19), 1.0)
    estimate = knn_estimate(X, kl.Normal(mean=0, var=1), 1)
    assert math.isfinite(estimate.value)
    assert not estimate.standard_error <= 0.0  # unknown or inf, but no warning of NumPy's


# ---------------------------------------------------------------- reproducibility


def test_one_seed_one_answer_for_any_number_of_threads():
    X, Y = pair("normal", 700, 800, 3)
    expected = knn_estimate(X, Y, n_jobs=1)
    for n_jobs in (2, -1, None):
        again = knn_estimate(X, Y, n_jobs=n_jobs)
        assert again == expected
        assert again.standard_error == expected.standard_error


@pytest.mark.parametrize("make", [lambda: 7, lambda: np.random.default_rng(7), lambda: np.random.RandomState(7)])
def test_any_kind_of_random_state(make):
    X, Y = pair("normal", 60, 80, 2)
    first, second = (knn_estimate(X, Y, random_state=make()) for _ in range(2))
    assert first.standard_error == second.standard_error
    assert first.standard_error != knn_estimate(X, Y, random_state=8).standard_error
    assert first.value == knn_estimate(X, Y, random_state=8).value


# ---------------------------------------------------------------- what is told


def test_ties_are_counted_and_told():
    X, Y = pair("normal", 100, 100, 2)
    X[:3], Y[:2] = X[50], X[70]
    with pytest.warns(errors.TiesWarning, match=r"4 rows occur again in X, 1 also in Y"):
        estimate = knn_estimate(X, Y, 1)
    assert estimate.diagnostics["n_repeated_rows"] == 4
    assert estimate.diagnostics["n_shared_rows"] == 1
    assert estimate.n_ties >= 5  # a row with a repeated row as its neighbour has two at one distance
    assert any("4 rows occur again" in text for text in estimate.warnings)


def test_small_samples_are_told():
    with pytest.warns(errors.SmallSampleWarning, match="20 rows are few for n_neighbors=3"):
        knn_estimate(*pair("normal", 20, 40, 1), 3)


def test_many_features_are_told():
    with pytest.warns(errors.UnreliableEstimateWarning, match="in 10 features"):
        estimate = knn_estimate(*pair("normal", 500, 500, 10))
    assert estimate.reliable is False
    assert estimate.reasons


def test_nothing_is_told_about_good_data():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = knn_estimate(*pair("normal", 1000, 1000, 2))
    assert estimate.warnings == estimate.reasons == ()
    assert estimate.n_ties == 0
    assert estimate.reliable is None


# ---------------------------------------------------------------- log-densities


@pytest.mark.parametrize("kind", ["normal", "tenth_grid", "duplicated_rows"])
def test_log_density_equals_naive(kind):
    reference, queries = pair(kind, 80, 30, 2)
    rows = [np.sort(row) for row in naive.distances(queries, reference)]
    expected = np.mean([naive.knn_log_density(rows, 2, k) for k in (1, 4)], axis=0)
    density = log_density(Reference(reference), queries, (1, 4))
    np.testing.assert_allclose(density, expected, rtol=0, atol=1e-10)


def test_neighbors_that_are_nearly_all_rows_are_told():
    X, Y = np.random.default_rng(0).standard_normal((2, 400, 2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = kl.estimate_kl(X, Y, method="knn", n_neighbors=399)
        near = kl.estimate_kl(X, Y, method="knn", n_neighbors=5)
    assert caught
    assert found.reliable is False
    assert any("399 neighbours of 400 rows are too many" in text for text in found.reasons)
    assert not any("more features" in text or "overlap" in text for text in found.reasons)
    assert not any("too many" in text for text in near.reasons)
