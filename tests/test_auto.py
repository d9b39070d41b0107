"""The method "auto": a model of the densities corrected by nearest neighbours, other methods with few rows."""

import math

import cases
import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools import errors

pytestmark = pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")


def normals(n, m, d):
    return cases.Pair("normal", n, m, d, 0).samples


def estimate(X, Y, **options):
    return kl.estimate_kl(X, Y, random_state=0, **options)


# ---------------------------------------------------------------- few rows


@pytest.mark.parametrize(
    ("n", "m", "d", "chosen"),
    [
        (9, 1000, 1, "gaussian"),
        (10, 10, 1, "knn"),
        (99, 1000, 1, "knn"),
        (100, 100, 1, "model and neighbors"),
        (1000, 9, 1, "gaussian"),
        (49, 49, 5, "gaussian"),
        (100, 100, 5, "model and neighbors"),
        (50, 49, 5, "gaussian"),
        (99, 1000, 10, "gaussian"),
        (100, 100, 10, "model and neighbors"),
        (21, 23, 20, "gaussian"),
        (20, 23, 20, "knn"),  # no covariance of full rank: gaussian does not exist
        (21, 22, 20, "knn"),  # the mean of an inverse Wishart matrix does not exist
        (2, 2, 1, "knn"),
    ],
)
def test_what_is_chosen(n, m, d, chosen):
    X, Y = normals(n, m, d)
    result = estimate(X, Y)
    assert result.method == "auto"
    assert result.diagnostics["chosen_method"] == chosen
    if chosen == "model and neighbors":
        return
    expected = kl.estimate_kl(X, Y, method=chosen, random_state=0)
    assert result.value == expected.value
    assert result.standard_error == pytest.approx(expected.standard_error, nan_ok=True, rel=0, abs=0)
    assert result.n_neighbors == expected.n_neighbors
    assert set(expected.warnings) <= set(result.warnings)


@pytest.mark.parametrize(
    ("n", "m", "n_neighbors"),
    [(2, 2, 1), (3, 3, 1), (5, 5, 3), (22, 22, 20), (23, 23, (1, 20)), (200, 21, 20), (200, 20, 20), (200, 100, 100)]
    + [(n, m, None) for n, m in ((2, 2), (3, 3), (4, 9), (9, 4), (5, 5), (22, 22), (23, 23), (23, 200))],
)
def test_no_standard_error_is_told(n, m, n_neighbors):
    """Where it is nan the warnings say why, and else they do not."""
    X, Y = normals(n, m, 2)
    result = estimate(X, Y, n_neighbors=n_neighbors)
    told = [text for text in result.warnings if text.startswith("there is no standard error")]
    assert len(told) == math.isnan(result.standard_error)


def test_a_known_reference_and_few_rows_have_no_standard_error():
    result = estimate(normals(12, 12, 1)[0], kl.Normal(mean=0.0, var=1.0))
    assert math.isnan(result.standard_error)
    assert "without a block of rows 11 are left, too few for n_neighbors=11" in " ".join(result.warnings)


@pytest.mark.parametrize(
    ("n", "chosen"), [(4, "gaussian"), (29, "gaussian"), (30, "knn"), (3, "knn"), (100, "model and neighbors")]
)
def test_what_is_chosen_for_a_known_q(n, chosen):
    X, _ = normals(n, 1, 3)
    result = estimate(X, kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3)))
    assert result.diagnostics["chosen_method"] == chosen


def test_dependent_and_constant_columns_do_not_count():
    X, Y = cases.Pair("collinear", 110, 110, 4, 0).samples
    with pytest.warns(errors.TiesWarning, match="are linear in others"):
        result = estimate(X, Y)
    assert (result.d, result.diagnostics["chosen_method"]) == (1, "model and neighbors")
    X, Y = normals(100, 100, 11)
    X[:, 1:] = Y[:, 1:] = 4.0
    assert estimate(X, Y).diagnostics["chosen_method"] == "model and neighbors"


def test_columns_dependent_in_one_sample_only_have_no_density():
    X, Y = normals(100, 100, 3)
    X[:, 2] = X[:, 0] + X[:, 1]
    result = estimate(X, Y)
    assert result.diagnostics["chosen_method"] == "knn"
    assert result.reliable is False


def test_what_is_done_to_rows_for_a_model_is_told_only_with_one():
    X, Y = normals(110, 110, 2)
    X[:30] = X[30:60]  # 80 different rows are too few for a model: knn takes all rows as they are
    result = estimate(X, Y)
    assert result.diagnostics["chosen_method"] == "knn"
    assert not any("each is taken once" in text for text in result.warnings)


def test_the_numbers_of_neighbors_are_an_option():
    X, Y = normals(100, 100, 2)
    assert estimate(X, Y, n_neighbors=3).n_neighbors == (3,)
    assert estimate(X, Y).n_neighbors == (5, 10, 20)
    with pytest.raises(errors.InvalidParameterError, match=r"no option 'k'; its options are: n_neighbors\."):
        kl.estimate_kl(X, Y, k=3)
    with pytest.raises(errors.NotEnoughSamplesError, match="n_neighbors=100"):
        kl.estimate_kl(X, Y, n_neighbors=100)


def test_auto_is_the_default():
    X, Y = normals(160, 160, 1)
    assert kl.estimate_kl(X, Y).method == "auto"
    assert "auto (model and neighbors)" in estimate(X, Y).summary()


# ---------------------------------------------------------------- against known truths


def normal_divergence(mean, cov):
    """KL(N(0, I) || N(mean, cov)) by dense algebra."""
    inverse = np.linalg.inv(cov)
    d = len(mean)
    return 0.5 * (np.trace(inverse) + mean @ inverse @ mean - d + math.log(np.linalg.det(cov)))


LAWS = {
    "near": (3, np.full(3, 0.05), 1.02 * np.eye(3)),
    "shift": (5, np.full(5, 0.4), np.eye(5)),
    "wide": (8, np.zeros(8), np.diag(np.linspace(0.6, 2.0, 8))),
    "far": (5, np.full(5, 1.6), np.eye(5)),
    "many features": (40, np.full(40, 0.2), 1.2 * np.eye(40)),
}


@pytest.mark.parametrize("name", sorted(LAWS))
def test_normal_samples(name):
    """Errors of some seeds stay within what their standard errors promise, and the mean error within their noise."""
    d, mean, cov = LAWS[name]
    truth, factor = normal_divergence(mean, cov), np.linalg.cholesky(cov)
    scores, values = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, Y = rng.standard_normal((800, d)), mean + rng.standard_normal((800, d)) @ factor.T
        result = estimate(X, Y)
        values.append(result.value)
        scores.append((result.value - truth) / result.standard_error)
    assert np.abs(scores).max() < 3.5
    assert abs(np.mean(scores)) < 1.6
    assert np.std(values) < 0.15 * max(truth, 0.2)


SHAPES = {  # laws of one column, KL of P from Q by the textbook
    "exponential": (stats.expon(), stats.expon(scale=2.0), math.log(2.0) - 0.5),
    "laplace": (stats.laplace(), stats.laplace(scale=2.0), math.log(2.0) - 0.5),
    "lognormal": (stats.lognorm(1.0), stats.lognorm(1.0, scale=math.e), 0.5),
    "beta": (stats.beta(2, 1), stats.uniform(), math.log(2.0) - 0.5),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize("d", [1, 3])
def test_other_shapes(name, d):
    p, q, truth = SHAPES[name]
    rng = np.random.default_rng(1)
    errors_ = []
    for _ in range(3):
        result = estimate(p.rvs((1500, d), random_state=rng), q.rvs((1500, d), random_state=rng))
        errors_.append(result.value / d - truth)
        assert result.diagnostics["space"] in ("linear", "scores of X", "scores of Y", "scores of both")
    assert np.abs(errors_).max() < 0.12
    assert abs(np.mean(errors_)) < 0.06


def test_mixtures_are_seen():
    rng = np.random.default_rng(0)
    X = rng.choice([-4.0, 4.0], 2000)[:, None] + rng.standard_normal((2000, 1))
    Y = math.sqrt(17.0) * rng.standard_normal((2000, 1))
    grid = np.linspace(-12.0, 12.0, 200_001)
    p = 0.5 * (stats.norm.pdf(grid, -4) + stats.norm.pdf(grid, 4))
    truth = np.sum(p * np.log(p / stats.norm.pdf(grid, scale=math.sqrt(17.0)))) * (grid[1] - grid[0])
    result = estimate(X, Y)
    assert result.diagnostics["model_components"][0] >= 2
    assert result.value == pytest.approx(truth, abs=0.06)


def test_structure_that_the_model_misses_is_found_by_neighbors():
    """A curve: hardly a mixture of few normal distributions."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((2, 3000, 2))
    bend = lambda Z: np.stack([Z[:, 0], 0.2 * Z[:, 1] + np.sin(3.0 * Z[:, 0])], axis=1)
    result = estimate(bend(X + np.array([0.0, 1.0])), bend(Y))  # the map changes no divergence
    assert result.value == pytest.approx(0.5, abs=0.12)


def test_a_known_q():
    q = kl.MultivariateNormalDiag(mean=np.zeros(4), var=np.ones(4))
    for seed in range(4):
        X = np.random.default_rng(seed).normal(0.3, 1.0, (1000, 4))
        result = estimate(X, q)
        assert abs(result.value - 0.18) < 3.5 * result.standard_error
        assert result.standard_error < 0.05
        assert result.n_q is None


def test_outside_the_support_of_a_known_q_it_is_inf():
    X = np.random.default_rng(0).standard_normal((100, 1))

    @kl.family
    class Positive(kl.Distribution):
        rate: float = kl.param("positive")

        def _log_prob(self, x):
            return np.where(x > 0, np.log(self.rate) - self.rate * x, -np.inf)

    with pytest.warns(errors.InfiniteDivergenceWarning, match="no mass"):
        assert estimate(X, Positive(rate=1.0)).value == math.inf


# ---------------------------------------------------------------- what must not change it


def gammas(seed=0, n=700, d=3):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 1.0, (n, d)), rng.gamma(3.0, 1.0, (n, d))


@pytest.mark.parametrize("n_jobs", [2, 3, -1])
def test_bitwise_the_same_for_any_number_of_threads(n_jobs):
    X, Y = gammas()
    one, several = estimate(X, Y), estimate(X, Y, n_jobs=n_jobs)
    assert (one.value, one.standard_error) == (several.value, several.standard_error)
    assert one.diagnostics == several.diagnostics


def test_a_seed_decides_and_little_depends_on_it():
    X, Y = gammas()
    values = [kl.estimate_kl(X, Y, random_state=seed) for seed in (0, 0, 1, 2)]
    assert values[0].value == values[1].value
    assert values[0].diagnostics == values[1].diagnostics
    assert values[0].diagnostics != values[2].diagnostics
    assert np.ptp([v.value for v in values]) < values[0].standard_error


@pytest.mark.parametrize("exponent", [-600, -300, 300, 600])
def test_powers_of_two_change_nothing(exponent):
    X, Y = gammas()
    scaled = estimate(np.ldexp(X, exponent), np.ldexp(Y, exponent))
    assert scaled.value == pytest.approx(estimate(X, Y).value, rel=1e-9)


def test_affine_maps_and_the_order_of_columns_change_little():
    X, Y = gammas()
    expected = estimate(X, Y)
    scales, offsets = 10.0 ** np.array([-6.0, 0.0, 6.0]), np.array([3.0, -50.0, 1e7])
    for one, other in ((X * scales + offsets, Y * scales + offsets), (X[:, ::-1], Y[:, ::-1])):
        assert estimate(one, other).value == pytest.approx(expected.value, abs=0.1 * expected.standard_error)


@pytest.mark.parametrize("order", [0, 1])
def test_swapping_is_another_question(order):
    """KL(N(0, 1) || N(0, 4)) = .318, and .807 the other way round."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(0, 1, (3000, 1)), rng.normal(0, 2, (3000, 1))]
    truth = [math.log(2.0) - 3 / 8, 2.0 - math.log(2.0) - 0.5][order]
    assert estimate(*(samples if order == 0 else samples[::-1])).value == pytest.approx(truth, abs=0.1 * (1 + order))


# ---------------------------------------------------------------- ties


def test_lattice_columns_are_spread_and_told():
    """Counts: the divergence of the cells is that of the probabilities."""
    rng = np.random.default_rng(0)
    X, Y = rng.poisson(9.0, (3000, 1)).astype(float), rng.poisson(7.0, (3000, 1)).astype(float)
    with pytest.warns(errors.TiesWarning, match=r"columns \[0\] lie on a lattice"):
        result = estimate(X, Y)
    assert result.value == pytest.approx(9.0 * math.log(9 / 7) - 2.0, abs=0.05)


def test_rounded_samples_are_estimated_like_the_others():
    X, Y = (np.random.default_rng(s).normal(s, 1.0, (1500, 2)) for s in (0, 1))
    near, rounded = estimate(X, Y), estimate(np.round(X, 1), np.round(Y, 1))
    assert rounded.value == pytest.approx(near.value, abs=near.standard_error)


def test_repeated_and_shared_rows_are_told():
    X, Y = gammas()
    X[:100] = X[100:200]
    Y[:7] = X[300:307]
    with pytest.warns(errors.TiesWarning, match="100 rows repeat within their sample.* 7 rows of X occur in Y"):
        assert math.isfinite(estimate(X, Y).value)


def test_atoms_are_counted():
    """Zeros of different shares beside one continuous law: the divergence is that of the shares."""
    rng = np.random.default_rng(0)
    X, Y = (np.where(rng.random(1500) < share, 0.0, rng.gamma(2.0, 1.0, 1500)) for share in (0.6, 0.3))
    truth = 0.6 * math.log(0.6 / 0.3) + 0.4 * math.log(0.4 / 0.7)
    result = estimate(X, Y)
    assert result.diagnostics["chosen_method"] == "knn"
    assert result.value == pytest.approx(truth, abs=0.1)


def test_an_outlier_of_another_magnitude():
    X, Y = np.random.default_rng(0).normal(size=(2, 300))
    assert not math.isnan(estimate(np.append(X, 1e300), Y).value)


def test_the_same_sample_twice():
    X, _ = gammas()
    result = estimate(X, X)
    assert abs(result.value) < 0.05
    assert any("occur in Y" in text for text in result.warnings)


# ---------------------------------------------------------------- what it says of itself


def test_diagnostics_tell_how_the_value_came_about():
    found = estimate(*gammas())
    d = found.diagnostics
    assert found.value == pytest.approx(d["model_value"] + d["residual_weight"] * d["residual"], rel=1e-12)
    assert d["residual"] == pytest.approx(d["knn_value"] - d["knn_bias_removed"] - d["model_value"], rel=1e-9)
    assert 0.0 <= d["residual_weight"] < 1.0


def test_reliable_where_the_interval_is_narrow():
    X, Y = (np.random.default_rng(s).normal(s, 1.0, (2000, 2)) for s in (0, 1))
    result = estimate(X, Y)
    assert result.reliable is True
    assert result.reasons == ()


def test_a_wide_interval_is_a_reason():
    X, Y = (np.random.default_rng(s).standard_normal((110, 2)) for s in (0, 1))
    result = estimate(X, 3.0 * Y)
    assert result.reliable is False
    assert "the 95% interval reaches" in result.reasons[0]


def test_far_samples_are_a_reason():
    X, Y = (np.random.default_rng(s).normal(12.0 * s, 1.0, (500, 2)) for s in (0, 1))
    with pytest.warns(errors.PoorOverlapWarning, match="hardly overlap"):
        result = estimate(X, Y)
    assert result.value > 50.0
    assert result.reliable is False


@pytest.mark.parametrize("n", [30_000])
def test_large_samples_are_modelled_in_part(n):
    rng = np.random.default_rng(0)
    X, Y = rng.exponential(1.0, (n, 2)), rng.exponential(2.0, (n, 2))
    result = estimate(X, Y, n_jobs=2)
    assert result.value == pytest.approx(2 * (math.log(2.0) - 0.5), abs=0.03)
    assert (result.n_p, result.standard_error < 0.03) == (n, True)


@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1e20, 1e300])
@pytest.mark.parametrize("which", ["X", "Y"])
def test_samples_of_which_one_is_a_point_beside_the_other(factor, which):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(150, 2)), rng.normal(0.5, 1.0, (150, 2))
    X, Y = (factor * X, Y) if which == "X" else (X, factor * Y)
    result = kl.estimate_kl(X, Y, random_state=0)
    assert result.diagnostics["chosen_method"] == "knn"
    assert math.isfinite(result.value)
    assert result.reliable is False
    for method in ("mixture", "knn_calibrated"):
        with pytest.raises(kl.InvalidParameterError, match=r"columns \[0, 1\] spread 1e\+12 times as far"):
            kl.estimate_kl(X, Y, method=method, random_state=0)


def test_columns_are_named_as_the_user_numbers_them():
    """A constant column and one that depends on another are dropped, and auto moves the others."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(200, 5)), rng.normal(0.3, 1.0, (200, 5))
    for Z in (X, Y):
        Z[:, 0] = 3.0
        Z[:, 2] = 2.0 * Z[:, 1]
        Z[:, 3] = (Z[:, 3] * 5.0).round(0)
    texts = " ".join(kl.estimate_kl(X, Y, random_state=0).warnings)
    for expected in ("columns [0] have the same", "columns [2] are linear", "columns [3] lie on a lattice"):
        assert expected in texts


def test_edges_with_too_few_rows_within_are_told():
    rng = np.random.default_rng(2)
    X, Y = rng.random((300, 6)), rng.uniform(-0.5, 1.5, (300, 6))
    result = kl.estimate_kl(X, Y, random_state=0)
    assert result.reliable is False
    assert any("ends sharply inside Y" in reason for reason in result.reasons)
