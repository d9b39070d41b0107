"""Normal distributions next to others: moments against SciPy, reverse fits against brute force over integrals."""

import math

import numpy as np
import pytest
import scalar_laws
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from scipy.special import logsumexp

import kltools as kl
from kltools import Distribution, errors, family, fit_gaussian, param, quadrature

LESSON = {"weights": [0.5, 0.5], "means": [[-3.0], [3.0]]}


def mixture(weights, means, stds):
    return kl.GaussianMixture(
        weights=weights, means=np.reshape(means, (-1, 1)), covs=np.reshape(np.square(stds), (-1, 1))
    )


def mixture_log_density(weights, means, stds):
    return lambda x: logsumexp(stats.norm.logpdf(np.asarray(x)[..., None], means, stds), b=weights, axis=-1)


def divergence_by_quad(log_density, mean, std, epsabs=1e-10):
    """KL(N || p)."""

    def term(x):
        log_n = stats.norm.logpdf(x, mean, std)
        return math.exp(log_n) * (log_n - float(log_density(x)))

    marks = mean + std * np.arange(-6.0, 7.0, 2.0)
    return integrate.quad(term, marks[0] - 4 * std, marks[-1] + 4 * std, points=marks, epsabs=epsabs, limit=400)[0]


def nearest_by_simplex(log_density, mean, std):
    """Mean and deviation of the minimum near a start."""
    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 400}
    found = optimize.minimize(
        lambda at: divergence_by_quad(log_density, at[0], math.exp(at[1]), 1e-13),
        [mean, math.log(std)],
        method="Nelder-Mead",
        options=options,
    )
    return found.x[0], math.exp(found.x[1]), found.fun


def closest_on_a_grid(log_density, means, stds):
    """Mean and deviation of the least KL(N || p) by the trapezoidal rule."""
    z = np.linspace(-9.0, 9.0, 361)
    weights = stats.norm.pdf(z) * (z[1] - z[0])
    values = np.array([[-math.log(s) - weights @ log_density(m + s * z) for s in stds] for m in means])
    i, j = np.unravel_index(values.argmin(), values.shape)
    return means[i], stds[j]


# ---------------------------------------------------------------- the lesson


@pytest.mark.parametrize("covs", [[[1.0], [1.0]], [[[1.0]], [[1.0]]]], ids=["diagonal", "full"])
def test_the_lesson(covs):
    target = kl.GaussianMixture(**LESSON, covs=covs)
    wide, narrow = fit_gaussian(target), fit_gaussian(target, direction="reverse")
    assert isinstance(wide, kl.MultivariateNormalDiag)
    assert isinstance(narrow, kl.MultivariateNormalDiag)
    assert (wide.mean.tolist(), wide.var.tolist()) == ([0.0], [10.0])
    assert narrow.mean.round(4).tolist() == [-2.9843]
    assert np.sqrt(narrow.var).round(4).tolist() == [1.0234]
    mean, std, _ = nearest_by_simplex(mixture_log_density([0.5, 0.5], [-3.0, 3.0], [1.0, 1.0]), -3.0, 1.0)
    assert narrow.mean[0] == pytest.approx(mean, abs=1e-7)
    assert narrow.var[0] ** 0.5 == pytest.approx(std, abs=1e-7)


def test_forward_covers_and_reverse_avoids():
    target = kl.GaussianMixture(**LESSON, covs=[[1.0], [1.0]])
    wide, narrow = fit_gaussian(target), fit_gaussian(target, direction="reverse")
    between, other_hill = np.zeros(1), np.full(1, 3.0)
    assert wide.log_prob(between) > target.log_prob(between) + 3.0
    assert narrow.log_prob(between) < target.log_prob(between) + 0.5
    assert narrow.log_prob(other_hill) < target.log_prob(other_hill) - 15.0


# ---------------------------------------------------------------- forward

FORWARD = [
    (kl.Gamma(shape=0.3, rate=2.0), stats.gamma(0.3, scale=0.5)),
    (kl.Gamma(shape=1e6, rate=1.0), stats.gamma(1e6)),
    (kl.Beta(alpha=0.5, beta=3.0), stats.beta(0.5, 3.0)),
    (kl.Uniform(low=-1.0, high=3.0), stats.uniform(-1.0, 4.0)),
    (kl.LogNormal(mean=1.0, var=4.0), stats.lognorm(2.0, scale=math.e)),
    (kl.Weibull(shape=0.5, scale=3.0), stats.weibull_min(0.5, scale=3.0)),
    (kl.Pareto(shape=2.05, scale=3.0), stats.pareto(2.05, scale=3.0)),
    (kl.InverseGamma(shape=2.5, scale=1.0), stats.invgamma(2.5)),
    (kl.StudentT(df=2.05, loc=1.0, scale=2.0), stats.t(2.05, 1.0, 2.0)),
    (kl.StudentT(df=1e9, loc=1.0, scale=2.0), stats.t(1e9, 1.0, 2.0)),
    (kl.Laplace(loc=1e8, scale=0.5), stats.laplace(1e8, 0.5)),
    (kl.Logistic(loc=-1.0, scale=2.0), stats.logistic(-1.0, 2.0)),
    (kl.Gumbel(loc=-1.0, scale=2.0), stats.gumbel_r(-1.0, 2.0)),
    (scalar_laws.Student(df=2.1), stats.t(2.1)),
    (kl.Transformed(kl.Laplace(loc=1.0, scale=1.0), kl.maps.Affine(loc=2.0, scale=3.0)), stats.laplace(5.0, 3.0)),
]


@pytest.mark.parametrize(("law", "reference"), FORWARD, ids=lambda each: getattr(each, "_name", ""))
def test_the_forward_fit_has_the_moments(law, reference):
    fit = fit_gaussian(law)
    assert isinstance(fit, kl.Normal)
    assert fit.mean == pytest.approx(reference.mean(), rel=1e-9, abs=1e-9 * reference.std())
    assert fit.var == pytest.approx(reference.var(), rel=1e-8)


@family
class Misplaced(Distribution):
    """A standard normal distribution around a place that its bulk misses."""

    place: float = param("real")

    def _support(self):
        return -math.inf, math.inf

    def _bulk(self):
        return 0.0, 1e3

    def _log_prob(self, x):
        return stats.norm.logpdf(x, self.place)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_rough_bulk_will_do(direction):
    fit = fit_gaussian(Misplaced(place=100.0), direction=direction)
    assert fit.mean == pytest.approx(100.0, rel=1e-12)
    assert fit.var == pytest.approx(1.0, rel=1e-10)


def test_the_forward_fit_of_vectors():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(3, 4))
    mean, cov = rng.normal(size=3), factor @ factor.T
    normal = kl.MultivariateNormal(mean=mean, cov=cov)
    student = kl.MultivariateStudentT(df=5.0, loc=mean, scale_matrix=cov)
    low_rank = kl.LowRankMultivariateNormal(mean=mean, cov_factor=factor[:, :2], cov_diag=[1.0, 2.0, 3.0])
    for law, expected in (
        (normal, np.diag(cov)),
        (student, np.diag(cov) * 5.0 / 3.0),
        (low_rank, 1.0 + np.arange(3) + (factor[:, :2] ** 2).sum(axis=1)),
    ):
        fit = fit_gaussian(law)
        np.testing.assert_allclose(fit.mean, mean, rtol=1e-14)
        np.testing.assert_allclose(fit.var, expected, rtol=1e-14)


def test_the_forward_fit_of_a_mixture_has_the_moments_of_its_draws():
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(2, 3, 2, 2))
    target = kl.GaussianMixture(
        weights=rng.dirichlet(np.ones(3), 2),
        means=rng.normal(size=(2, 3, 2)),
        covs=factors @ np.swapaxes(factors, -1, -2),
    )
    fit = fit_gaussian(target)
    draws = target.sample(100_000, random_state=2)
    assert fit.batch_shape == (2,)
    np.testing.assert_allclose(fit.mean, draws.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(fit.var, draws.var(axis=0), rtol=0.03)


# ---------------------------------------------------------------- reverse


def test_the_reverse_fit_of_a_gumbel_is_known():
    fit = fit_gaussian(kl.Gumbel(loc=2.0, scale=3.0), direction="reverse")  # exp(s^2/2 - m) = 1 and s^2 = 1 for (0, 1)
    assert fit.mean == pytest.approx(3.5, rel=1e-13)
    assert fit.var == pytest.approx(9.0, rel=1e-12)


@pytest.mark.parametrize(
    ("loc", "scale"), [(0.0, 1.0), (1.0, 2.0), (0.0, 1e-100), (-5.0, 1e-6), (1e8, 1.0), (0.0, 1e150)]
)
def test_the_reverse_fit_of_a_laplace_is_known(loc, scale):
    fit = fit_gaussian(kl.Laplace(loc=loc, scale=scale), direction="reverse")  # E|z| / scale = 1 / std
    assert fit.mean == pytest.approx(loc, abs=1e-12 * scale)
    assert fit.var == pytest.approx(0.5 * math.pi * scale**2, rel=1e-9 if loc > 1e6 else 1e-12)


@pytest.mark.parametrize(
    ("law", "reference"),
    [
        (kl.StudentT(df=3.0, loc=1.0, scale=2.0), stats.t(3.0, 1.0, 2.0)),
        (kl.Cauchy(loc=1.0, scale=2.0), stats.cauchy(1.0, 2.0)),
        (kl.Logistic(loc=5.0, scale=0.1), stats.logistic(5.0, 0.1)),
    ],
    ids=["StudentT", "Cauchy", "Logistic"],
)
def test_reverse_fits_against_scipy(law, reference):
    fit = fit_gaussian(law, direction="reverse")
    mean, std, value = nearest_by_simplex(reference.logpdf, float(law.loc), float(law.scale))
    assert fit.mean == pytest.approx(mean, abs=1e-6 * std)
    assert fit.var**0.5 == pytest.approx(std, rel=1e-6)
    assert kl.kl_divergence(fit, law, method="quadrature") == pytest.approx(value, rel=1e-7)


@family
class Asymmetric(Distribution):
    """A density with a kink away from its mean."""

    slope: float = param("positive")

    def _support(self):
        return -math.inf, math.inf

    def _bulk(self):
        return 0.0, 1.0

    def _log_prob(self, x):
        return math.log(self.slope / (1.0 + self.slope)) - np.where(x > 0.0, self.slope * x, -x)


def test_kinks_away_from_the_mean():
    fit = fit_gaussian(Asymmetric(slope=3.0), direction="reverse")
    # where P(x > 0) 3 = P(x < 0), and (1 + 3) std density of x at 0 is 1
    z = stats.norm.ppf(0.25)
    std = 1.0 / (4.0 * stats.norm.pdf(z))
    assert fit.mean == pytest.approx(z * std, rel=1e-11)
    assert fit.var == pytest.approx(std**2, rel=1e-11)


weights_means_stds = st.lists(
    st.tuples(st.floats(0.05, 1.0), st.floats(-5.0, 5.0), st.floats(0.3, 3.0)), min_size=1, max_size=4
)


@given(weights_means_stds)
@settings(max_examples=25, deadline=None)
def test_nothing_on_a_grid_is_closer(rows):
    weights, means, stds = np.array(rows).T
    weights = weights / weights.sum()
    log_density = mixture_log_density(weights, means, stds)
    fit = fit_gaussian(mixture(weights, means, stds), direction="reverse")
    value = divergence_by_quad(log_density, fit.mean[0], fit.var[0] ** 0.5)
    other = closest_on_a_grid(log_density, np.linspace(-6.0, 6.0, 49), np.geomspace(0.05, 5.0, 25))
    assert value <= divergence_by_quad(log_density, *other) + 1e-8


@given(weights_means_stds, st.floats(-100.0, 100.0), st.floats(0.01, 100.0), st.sampled_from(["forward", "reverse"]))
@settings(max_examples=25, deadline=None)
def test_fits_move_and_grow_with_the_target(rows, shift, scale, direction):
    weights, means, stds = np.array(rows).T
    weights = weights / weights.sum()
    moved = fit_gaussian(mixture(weights, shift + scale * means, scale * stds), direction=direction)
    fit = fit_gaussian(mixture(weights, means, stds), direction=direction)
    before, after = (
        (divergence_by_quad(mixture_log_density(weights, m, s), f.mean[0], f.var[0] ** 0.5))
        for f, m, s in ((fit, means, stds), (moved, shift + scale * means, scale * stds))
    )
    assert before == pytest.approx(after, rel=1e-7, abs=1e-8)
    if direction == "forward":
        assert moved.mean[0] == pytest.approx(shift + scale * fit.mean[0], abs=1e-12 * (abs(shift) + 10 * scale))
        assert moved.var[0] == pytest.approx(scale**2 * fit.var[0], rel=1e-9)


def test_narrow_hills_far_apart_are_found():
    fit = fit_gaussian(mixture([0.4, 0.6], [-1e4, 1e4], [1e-4, 1e-3]), direction="reverse")
    assert fit.mean[0] == pytest.approx(1e4, abs=1e-9)
    assert fit.var[0] == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 10.7, 1e3])
@pytest.mark.parametrize("distance", [3.1, 4.7, 77.7])
def test_of_equal_minima_the_smallest_mean_is_returned(place, distance):
    for means in ([place - distance, place + distance], [place + distance, place - distance]):
        fit = fit_gaussian(mixture([0.5, 0.5], means, [1.1, 1.1]), direction="reverse")
        assert fit.mean[0] < place - 0.5 * distance


def test_components_without_weight_do_not_matter():
    fit = fit_gaussian(mixture([1.0, 0.0], [2.0, 50.0], [1.5, 1e-3]), direction="reverse")
    assert fit.mean[0] == pytest.approx(2.0, rel=1e-13)
    assert fit.var[0] == pytest.approx(2.25, rel=1e-13)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from(["forward", "reverse"]))
@settings(max_examples=40, deadline=None)
def test_no_diagonal_normal_nearby_is_closer_to_a_full_one(seed, d, direction):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(d, d + 1))
    cov, mean = factor @ factor.T, rng.normal(size=d)

    def value(law_mean, var):
        pair = (cov, np.diag(var)) if direction == "forward" else (np.diag(var), cov)
        inverse = np.linalg.inv(pair[1])
        shift = law_mean - mean
        log_dets = np.linalg.slogdet(pair[1])[1] - np.linalg.slogdet(pair[0])[1]
        return 0.5 * (np.trace(inverse @ pair[0]) + shift @ inverse @ shift - d + log_dets)

    fit = fit_gaussian(kl.MultivariateNormal(mean=mean, cov=cov), direction=direction)
    least = value(fit.mean, fit.var)
    for size in (1e-3, 0.1):
        other = fit.mean + size * rng.normal(size=d), fit.var * np.exp(size * rng.normal(size=d))
        assert value(*other) > least


def test_the_reverse_fit_of_normal_distributions_is_their_own_or_by_the_precision():
    mean, cov = [1.0, 2.0], np.array([[2.0, 1.5], [1.5, 3.0]])
    expected = 1.0 / np.diag(np.linalg.inv(cov))
    for law in (
        kl.MultivariateNormal(mean=mean, cov=cov),
        kl.LowRankMultivariateNormal(mean=mean, cov_factor=[[1.0], [1.5]], cov_diag=[1.0, 0.75]),
    ):
        np.testing.assert_allclose(fit_gaussian(law, direction="reverse").var, expected, rtol=1e-14)
    diagonal = kl.MultivariateNormalDiag(mean=mean, var=[4.0, 5.0])
    for direction in ("forward", "reverse"):
        assert kl.kl_divergence(diagonal, fit_gaussian(diagonal, direction=direction)) == 0.0


# ---------------------------------------------------------------- batches and parts


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_batches_are_fitted_one_by_one(direction):
    batch = kl.Gumbel(loc=[[0.0], [1.0]], scale=[1.0, 2.0, 3.0])
    fit = fit_gaussian(batch, direction=direction)
    assert fit.batch_shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        alone = fit_gaussian(batch[i, j], direction=direction)
        assert (fit.mean[i, j], fit.var[i, j]) == (alone.mean, alone.var)
    mixtures = kl.GaussianMixture(weights=[0.5, 0.5], means=[[[-3.0], [3.0]]], covs=[[[1.0], [1.0]], [[0.5], [2.0]]])
    fit = fit_gaussian(mixtures, direction=direction)
    assert (fit.batch_shape, fit.event_shape) == ((2,), (1,))
    np.testing.assert_array_equal(fit.mean[1], fit_gaussian(mixtures[1], direction=direction).mean)
    assert fit_gaussian(batch[:0], direction=direction).batch_shape == (0, 3)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_independent_parts_are_fitted_alone(direction):
    parts = kl.Laplace(loc=[[0.0, 1.0]], scale=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    each = fit_gaussian(parts, direction=direction)
    together = fit_gaussian(kl.Independent(parts, 1), direction=direction)
    assert (together.batch_shape, together.event_shape) == ((3,), (2,))
    np.testing.assert_array_equal(together.mean, each.mean)
    np.testing.assert_array_equal(together.var, each.var)
    lesson = kl.GaussianMixture(**LESSON, covs=[[1.0], [1.0]])
    product = fit_gaussian(kl.Product(kl.Logistic(loc=0.0, scale=[1.0, 2.0]), lesson), direction=direction)
    alone = (
        fit_gaussian(kl.Logistic(loc=0.0, scale=2.0), direction=direction),
        fit_gaussian(lesson, direction=direction),
    )
    np.testing.assert_array_equal(product.mean[1], [alone[0].mean, alone[1].mean[0]])
    np.testing.assert_array_equal(product.var[1], [alone[0].var, alone[1].var[0]])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("target", "options", "error", "words"),
    [
        (np.zeros(3), {}, errors.InvalidTypeError, "target is a ndarray"),
        (stats.norm(), {}, errors.InvalidTypeError, "target is a distribution of scipy"),
        (kl.Normal, {}, errors.InvalidTypeError, "target is the class Normal"),
        (kl.Normal(mean=0, var=1), {"direction": "backward"}, errors.InvalidParameterError, "direction must be one of"),
        (kl.Poisson(rate=3.0), {}, errors.InvalidTypeError, "target is a Poisson, which has probabilities"),
        (kl.Cauchy(loc=0, scale=1), {}, errors.InvalidParameterError, "variance of target comes out as inf"),
        (kl.StudentT(df=2, loc=0, scale=1), {}, errors.InvalidParameterError, "variance of target comes out as inf"),
        (kl.Pareto(shape=2, scale=1), {}, errors.InvalidParameterError, "variance of target comes out as inf"),
        (kl.Pareto(shape=0.5, scale=1), {}, errors.InvalidParameterError, "variance of target comes out as inf"),
        (kl.Pareto(shape=2, scale=5e-324), {}, errors.NoClosedFormError, "Pareto"),
        (kl.Pareto(shape=2e102, scale=1e-3), {}, errors.NoClosedFormError, "float64 has no numbers among the mass"),
        (kl.HalfCauchy(scale=1), {}, errors.InvalidParameterError, "variance of target comes out as inf"),
        (kl.Laplace(loc=0, scale=1e200), {}, errors.InvalidParameterError, "rescale target"),
        (kl.Laplace(loc=0, scale=1e-200), {}, errors.InvalidParameterError, "rescale target"),
        (kl.Dirichlet(concentration=[1, 1]), {}, errors.NoClosedFormError, "moments of Dirichlet have no formula"),
        (kl.Wishart(df=3, scale=np.eye(2)), {}, errors.NoClosedFormError, "target draws shape"),
        (kl.Gamma(shape=2, rate=1), {"direction": "reverse"}, errors.InvalidParameterError, "from 0 to inf only"),
        (
            kl.GaussianMixture(weights=[1.0], means=[[0.0, 0.0]], covs=[[1.0, 1.0]]),
            {"direction": "reverse"},
            errors.NoClosedFormError,
            "GaussianMixture with event shape",
        ),
        (
            kl.MultivariateStudentT(df=3, loc=[0.0], scale_matrix=[[1.0]]),
            {"direction": "reverse"},
            errors.NoClosedFormError,
            "in reverse to MultivariateStudentT",
        ),
    ],
)
def test_what_cannot_be_fitted(target, options, error, words):
    with pytest.raises(error, match=words):
        fit_gaussian(target, **options)


@family
class Holed(Distribution):
    """No mass between 1 and 2, and silent about its support."""

    rate: float = param("positive")

    def _bulk(self):
        return 0.0, 1.0

    def _log_prob(self, x):
        return np.where((x > 1.0) & (x < 2.0), -np.inf, -self.rate * np.abs(x))


@family
class Rough(Holed):
    """A log-density that is noise."""

    def _log_prob(self, x):
        return -self.rate * np.abs(x) + np.sin(1e9 * x)


def test_densities_that_no_reverse_fit_can_follow():
    with pytest.raises(errors.InvalidParameterError, match="it has no mass somewhere"):
        fit_gaussian(Holed(rate=1.0), direction="reverse")
    with pytest.raises(errors.NoClosedFormError, match="quadrature over target"):
        fit_gaussian(Rough(rate=1.0), direction="reverse")
    with pytest.raises(errors.NoClosedFormError, match="move the target towards 0"):
        fit_gaussian(kl.Laplace(loc=1e15, scale=1.0), direction="reverse")


# ---------------------------------------------------------------- integrals that share their nodes


def test_integrals_that_share_their_nodes():
    def rows(x):
        return np.array([np.exp(x), np.abs(x - 0.3), np.ones(x.shape)])

    found = quadrature.integrals(rows, np.array([-1.0, 0.0, 2.0]), 1e-14, "these")
    expected = [math.exp(2.0) - math.exp(-1.0), 0.5 * (1.3**2 + 1.7**2), 3.0]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_an_integrand_that_is_not_finite():
    with np.errstate(divide="ignore"):
        assert quadrature.integrals(lambda x: np.array([1.0 / np.abs(x)]), np.array([-1.0, 1.0]), 1e-14, "it") is None


def test_a_law_narrower_than_float64_can_tell():
    with pytest.raises(errors.InvalidParameterError, match="the variance of target comes out as 0"):
        fit_gaussian(kl.Beta(alpha=1e300, beta=1e16))
