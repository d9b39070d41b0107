"""The unbiased Gaussian estimate: its formula, its bias, its standard error, and where it does not exist."""

import math
import warnings

import cases
import naive
import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools import errors

# samples are small here, where the formula is tested: test_small_samples_are_told
pytestmark = pytest.mark.filterwarnings("ignore::kltools.errors.SmallSampleWarning")
far_from_normal = pytest.mark.filterwarnings("ignore:a row of . lies:kltools.errors.UnreliableEstimateWarning")


def gaussian(X, Y, **options):
    return kl.estimate_kl(X, Y, method="gaussian", **options)


def random_pair(seed, n, m, d):
    """Samples of two correlated normal distributions that differ in mean and covariance."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    return X, rng.standard_normal((m, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


def ar_truth(d, shift=0.5, rho=0.5):
    """Moments of N(0, I) and of N(shift, AR(rho) covariance), and the divergence."""
    cov = rho ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    return cov, naive.gaussian_kl(np.zeros(d), np.eye(d), np.full(d, shift), cov)


def ar_estimates(d, n, m, repeats, estimate):
    cov, truth = ar_truth(d)
    factor, rng = np.linalg.cholesky(cov), np.random.default_rng(d)
    draws = ((rng.standard_normal((n, d)), 0.5 + rng.standard_normal((m, d)) @ factor.T) for _ in range(repeats))
    return [estimate(X, Y) for X, Y in draws], truth


# ---------------------------------------------------------------- the formula


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "m", "d"), [(2, 4, 1), (10, 15, 1), (30, 40, 5), (6, 8, 5), (300, 20, 7), (60, 80, 40)])
def test_equals_naive(n, m, d, seed):
    X, Y = random_pair(seed, n, m, d)
    assert gaussian(X, Y).value == pytest.approx(naive.gaussian_divergence(X, Y), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("n", "d"), [(2, 1), (50, 1), (20, 3), (8, 7)])
def test_one_sample_form_equals_naive(n, d):
    X, _ = random_pair(0, n, 5, d)
    q = stats.multivariate_normal(np.ones(d), 2 * np.eye(d))
    expected = naive.gaussian_against_density(X, q.logpdf(X))
    estimate = gaussian(X, kl.MultivariateNormalDiag(mean=np.ones(d), var=np.full(d, 2.0)))
    assert estimate.value == pytest.approx(expected, rel=1e-10, abs=1e-9)
    assert estimate.n_q is None


def test_known_q_of_every_kind_is_the_same_q():
    X, _ = random_pair(0, 50, 5, 1)
    expected = gaussian(X, kl.Normal(mean=1, var=2)).value
    assert gaussian(X, kl.MultivariateNormalDiag(mean=[1], var=[2])).value == pytest.approx(expected, abs=1e-12)
    assert gaussian(X, kl.MultivariateNormal(mean=[1], cov=[[2]])).value == pytest.approx(expected, abs=1e-12)


@far_from_normal
@pytest.mark.parametrize("kind", cases.GENERIC)
def test_equals_naive_at_every_offset_and_scale(kind):
    X, Y = cases.Pair(kind, 60, 70, 2, 0).samples
    X, Y = np.asarray(X, dtype=float), np.asarray(Y, dtype=float)
    unit, origin = np.abs(X).max(), X[0]
    expected = naive.gaussian_divergence((X - origin) / unit, (Y - origin) / unit)
    assert gaussian(X, Y).value == pytest.approx(expected, rel=1e-9, abs=1e-9)


# ---------------------------------------------------------------- bias


@pytest.mark.parametrize(
    ("d", "n", "m", "repeats"),
    [
        (1, 10, 15, 3000),
        (5, 30, 40, 3000),
        (20, 100, 200, 400),
        pytest.param(5, 100, 150, 5000, marks=pytest.mark.slow),
        pytest.param(20, 100, 200, 5000, marks=pytest.mark.slow),
        pytest.param(50, 200, 200, 5000, marks=pytest.mark.slow),
    ],
)
def test_unbiased(d, n, m, repeats):
    values, truth = ar_estimates(d, n, m, repeats, lambda X, Y: gaussian(X, Y).value)
    z, told = naive.monte_carlo(values, truth)
    assert abs(z) < 4, told


def test_unbiased_against_a_known_q():
    q, rng = kl.MultivariateNormalDiag(mean=[0.5, 0.5, 0.5], var=[2.0, 2.0, 2.0]), np.random.default_rng(0)
    truth = kl.kl_divergence(kl.MultivariateNormalDiag(mean=[0, 0, 0], var=[1, 1, 1]), q)
    z, told = naive.monte_carlo([gaussian(rng.standard_normal((8, 3)), q).value for _ in range(3000)], truth)
    assert abs(z) < 4, told


# ---------------------------------------------------------------- uncertainty


@pytest.mark.parametrize(("n", "m", "d"), [(50, 60, 1), (80, 50, 4)])
def test_standard_error_is_the_sandwich(n, m, d):
    X, Y = random_pair(1, n, m, d)
    estimate = gaussian(X, Y)
    assert estimate.standard_error == pytest.approx(naive.gaussian_sandwich(X, Y), rel=1e-8)
    low, high = estimate.confidence_interval(0.95)
    half_width = stats.t(min(n, m) - d).ppf(0.975) * estimate.standard_error
    assert (low, high) == pytest.approx((estimate.value - half_width, estimate.value + half_width))


@pytest.mark.parametrize("d", [1, 3])
def test_standard_error_is_that_of_the_spread(d):
    estimates, _ = ar_estimates(d, 400, 500, 300, gaussian)
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    typical = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates]))
    assert typical == pytest.approx(spread, rel=0.2)


@far_from_normal
def test_standard_error_holds_for_samples_that_are_not_normal():
    rng = np.random.default_rng(0)
    estimates = [gaussian(rng.exponential(size=500), 1.5 * rng.exponential(size=500)) for _ in range(300)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    typical = math.sqrt(np.mean([estimate.standard_error**2 for estimate in estimates]))
    assert typical == pytest.approx(spread, rel=0.3)


def test_standard_error_of_the_one_sample_form():
    rng, q = np.random.default_rng(0), kl.Normal(mean=1, var=2)
    estimates = [gaussian(rng.standard_normal(300), q) for _ in range(300)]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    assert np.mean([estimate.standard_error for estimate in estimates]) == pytest.approx(spread, rel=0.2)


# ---------------------------------------------------------------- where it does not exist


@pytest.mark.parametrize("d", [1, 3, 10])
def test_rows_that_are_needed(d):
    X, Y = random_pair(0, d + 1, d + 3, d)
    assert math.isfinite(gaussian(X, Y).value)
    if d > 1:
        with pytest.raises(errors.NotEnoughSamplesError, match=rf"at least {d + 1} rows of X, got n_samples={d}"):
            gaussian(X[:-1], Y)
    with pytest.raises(errors.NotEnoughSamplesError, match=rf"at least {d + 3} rows of Y, got n_samples={d + 2}"):
        gaussian(X, Y[:-1])


def full(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def singular(n, d, seed=1):
    X = full(n, d, seed)
    X[:, -1] = X[:, 0] - 2.0 * X[:, 1]
    return X


@pytest.mark.parametrize(("X", "Y", "who"), [(singular(50, 3), full(60, 3), "X"), (full(50, 3), singular(60, 3), "Y")])
def test_one_degenerate_sample_is_infinitely_far_away(X, Y, who):
    with pytest.warns(errors.InfiniteDivergenceWarning, match=f"columns of {who} are linearly dependent"):
        estimate = gaussian(X, Y)
    assert estimate.value == math.inf
    assert estimate.support_mismatch
    assert math.isnan(estimate.standard_error)


def test_a_degenerate_sample_against_a_density_is_infinitely_far_away():
    with pytest.warns(errors.InfiniteDivergenceWarning, match="columns of X are linearly dependent"):
        estimate = gaussian(singular(50, 3), kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3)))
    assert estimate.value == math.inf


def test_two_samples_in_one_plane_are_compared_within_it():
    X, Y = singular(50, 3), singular(60, 3, seed=2)
    with pytest.warns(errors.TiesWarning, match=r"columns \[2\] are linear in others"):
        estimate = gaussian(X, Y)
    assert estimate.d == 2
    assert estimate.value == gaussian(X[:, :2], Y[:, :2]).value


def test_samples_in_parallel_planes_are_infinitely_far_apart():
    with pytest.warns(errors.InfiniteDivergenceWarning, match="another constant in X than in Y"):
        assert gaussian(singular(50, 3), singular(60, 3, seed=2) + np.array([0.0, 0.0, 1.0])).value == math.inf


def test_samples_in_different_planes_are_infinitely_far_apart():
    X, Y = singular(50, 3), singular(60, 3, seed=2)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="in a way in which those of the other side are not"):
        assert gaussian(X, Y[:, [2, 0, 1]]).value == math.inf


def test_strong_correlation_is_not_degenerate():
    """Correlation 1 - 1e-7: the closed form still holds, to the digits that the covariance keeps."""
    rng = np.random.default_rng(0)
    draw = lambda n: np.cumsum(rng.standard_normal((n, 2)) * [1.0, 3e-4], axis=1)
    X, Y = draw(200), draw(300)
    assert gaussian(X, Y).value == pytest.approx(naive.gaussian_divergence(X, Y), abs=1e-6)


@pytest.mark.parametrize(("n", "m", "d", "expected"), [(12, 13, 3, True), (13, 13, 3, False), (100, 12, 3, True)])
def test_small_samples_are_told(n, m, d, expected):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        gaussian(*random_pair(0, n, m, d))
    assert [entry.category for entry in seen] == [errors.SmallSampleWarning] * expected


def test_intervals_of_small_samples_cover():
    """95% of the intervals hold the truth, but for the simulation's error and what a sandwich misses."""
    estimates, truth = ar_estimates(2, 30, 40, 500, gaussian)
    intervals = [estimate.confidence_interval(0.95) for estimate in estimates]
    assert np.mean([low < truth < high for low, high in intervals]) > 0.88


def test_no_options():
    X, Y = random_pair(0, 20, 20, 2)
    with pytest.raises(
        errors.InvalidParameterError, match=r"no option 'n_neighbors'; its options are: bias, covariance"
    ):
        gaussian(X, Y, n_neighbors=3)


def test_nothing_is_told_and_nothing_is_random():
    X, Y = random_pair(0, 200, 200, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = gaussian(X, Y, random_state=0), gaussian(X, Y, random_state=1, n_jobs=2)
    assert first == second
    assert first.standard_error == second.standard_error
    assert first.n_neighbors is None


# ---------------------------------------------------------------- magnitudes


@pytest.mark.parametrize(("of_x", "of_y"), [(1.0, 1e160), (1.0, 1e300), (1e-300, 1.0), (1e-150, 1e150), (1.0, 1e-140)])
def test_samples_of_different_magnitude(of_x, of_y):
    """The same rows in other units, so that covariances differ by a factor and, but for bias, nothing else."""
    X, _ = random_pair(0, 200, 5, 2)
    X -= X.mean(axis=0)
    found = gaussian(of_x * X, of_y * X)
    ratio = math.log(of_x) - math.log(of_y)
    if ratio < 0.0:
        assert found.value == pytest.approx(-2 * ratio - 1, abs=0.1)
        assert found.standard_error < 1.0
    else:  # (m - d - 2) / (m - 1) frees the trace of its bias, and trace / n the distance
        assert math.log(found.value) == pytest.approx(math.log(196 / 199 * 199 / 200) + 2 * ratio, abs=1e-8)
        assert math.isnan(found.standard_error)


@pytest.mark.parametrize("scale", [1e-160, 1e-300])
def test_divergences_beyond_float64_are_inf(scale):
    X, Y = random_pair(0, 100, 120, 2)
    with pytest.warns(errors.InfiniteDivergenceWarning, match="more than any float64"):
        assert gaussian(X, scale * Y).value == math.inf
    with pytest.warns(errors.InfiniteDivergenceWarning, match="more than any float64"):
        assert gaussian([1.0, 1e-300] * X, [1e-300, 1.0] * Y).value == math.inf


def test_covariances_are_not_shrunk_across_magnitudes():
    X, Y = random_pair(0, 100, 120, 2)
    with pytest.raises(errors.InvalidParameterError, match=r"columns \[1\] are of so different magnitude"):
        gaussian(X, [1.0, 1e-200] * Y, covariance="oas", bias="mle")


# ---------------------------------------------------------------- rows that are no normal draws


@pytest.mark.parametrize("name", ["X", "Y"])
def test_a_wild_row_is_told(name):
    X, Y = np.random.default_rng(0).standard_normal((2, 1000, 2))
    assert gaussian(X, Y).reliable is None
    (X if name == "X" else Y)[5, 0] = 1e6
    with pytest.warns(errors.UnreliableEstimateWarning, match=f"a row of {name} lies 31.6 standard deviations"):
        assert gaussian(X, Y).reliable is False


def test_normal_rows_are_seldom_told():
    """A false alarm in 1000 at most, for each of two samples; 3 or more in 200 calls would be 8 times as many."""
    rng, n_told = np.random.default_rng(0), 0
    for d in (1, 3, 10, 30):
        for _ in range(50):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                n_told += gaussian(*rng.standard_normal((2, 100, d))).reliable is False
    assert n_told < 3


def test_a_wild_row_against_a_known_q_is_told():
    X = np.random.default_rng(0).standard_normal(300)
    X[7] = 50.0
    with pytest.warns(errors.UnreliableEstimateWarning, match="a row of X lies"):
        gaussian(X, kl.Normal(mean=0, var=1))


@pytest.mark.parametrize("name", ["X", "Y"])
@pytest.mark.parametrize("far", [1e10, 1e160])
def test_a_row_too_far_for_a_covariance_is_no_dependence(name, far):
    samples = {"X": np.random.default_rng(0).normal(size=(300, 3)), "Y": np.random.default_rng(1).normal(size=(300, 3))}
    samples[name][5] = far
    with pytest.raises(errors.InvalidParameterError, match=f"a few rows of {name} lie so far from the others"):
        kl.estimate_kl(samples["X"], samples["Y"], method="gaussian")
