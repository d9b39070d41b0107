"""Monte Carlo from distributions: closed forms, evenly spread points, blocks, and what p and q may be."""

import math
import re
import warnings

import cases
import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools import errors
from kltools.estimators import monte_carlo

P, Q = kl.Normal(mean=0.2, var=1.0), kl.Normal(mean=0.5, var=0.9)
P3 = kl.MultivariateNormal(mean=[0.0, 1.0, 0.0], cov=np.eye(3) + 0.3)
Q3 = kl.MultivariateNormalDiag(mean=[0.1, 0.8, 0.0], var=[1.2, 1.3, 1.5])
PAIRS = {"one": (P, Q), "three": (P3, Q3), "diagonal": (Q3, kl.MultivariateNormal(mean=[0, 1, 0], cov=2 * np.eye(3)))}
SAMPLINGS = ("random", "sobol", "stratified")


def estimate(p=P, q=Q, n_samples=4096, random_state=0, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        return kl.estimate_kl_monte_carlo(p, q, n_samples=n_samples, random_state=random_state, **options)


class Recorder:
    """A log-density that keeps what it was asked about."""

    def __init__(self, density=Q.log_prob):
        self.density, self.blocks = density, []

    def __call__(self, x):
        self.blocks.append(np.array(x))
        return self.density(x)

    @property
    def draws(self):
        return np.concatenate(self.blocks)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("estimator", ["k1", "k3", "cv"])
def test_truth_within_the_error(pair, sampling, estimator):
    p, q = PAIRS[pair]
    result = estimate(p, q, 20_000, 1, sampling=sampling, estimator=estimator)
    truth = kl.kl_divergence(p, q)
    low, high = result.confidence_interval(0.9995)
    assert low < truth < high
    assert result.standard_error < 0.1 * truth
    assert (result.d, result.method, result.n_q) == (3 if pair != "one" else 1, estimator, None)
    assert result.n_p >= 20_000


def test_evenly_spread_points_have_a_much_smaller_error():
    random, sobol, stratified = (estimate(n_samples=2**14, sampling=s).standard_error for s in SAMPLINGS)
    assert sobol < random / 20
    assert stratified < random / 10
    random, sobol, stratified = (estimate(P3, Q3, 2**14, sampling=s).standard_error for s in SAMPLINGS)
    assert sobol < random / 5
    assert stratified < 0.8 * random


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_error_is_that_of_repetitions(sampling):
    truth = kl.kl_divergence(P, Q)
    results = [estimate(n_samples=160, random_state=seed, sampling=sampling) for seed in range(100)]
    values = np.array([result.value for result in results])
    assert abs(values.mean() - truth) < 3.5 * values.std() / math.sqrt(100)
    assert np.mean([result.standard_error for result in results]) == pytest.approx(values.std(), rel=0.25)
    covered = [low < truth < high for low, high in (result.confidence_interval() for result in results)]
    assert np.mean(covered) > 0.85


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_seed_gives_the_same_bits(sampling):
    results = [estimate(random_state=seed, sampling=sampling, estimator="cv") for seed in (5, 5, 6)]
    assert (results[0].value, results[0].standard_error) == (results[1].value, results[1].standard_error)
    assert results[0].value != results[2].value


@pytest.mark.parametrize("sampling", ["random", "sobol", "stratified"])
@pytest.mark.parametrize("estimator", ["k1", "cv"])
def test_blocks_do_not_matter(sampling, estimator, monkeypatch):
    whole, in_blocks = Recorder(), Recorder()
    one = estimate(q=whole, n_samples=5000, sampling=sampling, estimator=estimator)
    monkeypatch.setattr(monte_carlo, "_MOST_ROWS", 64)
    many = estimate(q=in_blocks, n_samples=5000, sampling=sampling, estimator=estimator)
    np.testing.assert_array_equal(whole.draws, in_blocks.draws)
    assert len(in_blocks.blocks) >= 5000 / 64 > len(whole.blocks) - 16
    if estimator == "k1":
        assert many.value == pytest.approx(one.value, rel=1e-12)
        assert many.standard_error == pytest.approx(one.standard_error, rel=1e-9)
    else:
        assert abs(many.value - one.value) < one.standard_error


def test_memory_is_bounded():
    wide = kl.MultivariateNormalDiag(mean=np.zeros(1000), var=np.ones(1000))
    q = Recorder(lambda x: -0.5 * (x**2).sum(axis=1) - 500 * math.log(2 * math.pi))
    estimate(wide, q, n_samples=5000)
    assert all(len(block) >= 2 and block.size <= 2**20 for block in q.blocks)


# ---------------------------------------------------------------- evenly spread points


@pytest.mark.parametrize("n", [16, 100, 1000])
def test_sobol_points_are_one_in_each_interval(n):
    q = Recorder()
    result = estimate(q=q, n_samples=n, sampling="sobol")
    per_replicate = result.n_p // 16
    assert n <= result.n_p < 2 * n or n == 16 == result.n_p
    u = stats.norm(0.2, 1.0).cdf(q.draws).reshape(16, per_replicate)
    for points in u:
        assert sorted((points * per_replicate).astype(int)) == list(range(per_replicate))
    assert len(np.unique(u)) == result.n_p  # replicates are scrambled each on its own


@pytest.mark.parametrize("n", [64, 1000])
def test_strata_have_equal_numbers_of_draws(n):
    q = Recorder()
    result = estimate(q=q, n_samples=n, sampling="stratified")
    per_replicate = result.n_p // 16
    assert n <= result.n_p < n + 16
    u = stats.norm(0.2, 1.0).cdf(q.draws).reshape(16, per_replicate)
    for points in u:
        assert sorted((points * per_replicate).astype(int)) == list(range(per_replicate))


@pytest.mark.parametrize("n", [128, 1000, 5000])
def test_cells_in_three_dimensions(n):
    q = Recorder(Q3.log_prob)
    result = estimate(kl.MultivariateNormalDiag(mean=[0, 0, 0], var=[1, 1, 1]), q, n_samples=n, sampling="stratified")
    side = {128: 2, 1000: 3, 5000: 6}[n]
    assert n <= result.n_p <= 2 * n
    cells = (stats.norm.cdf(q.draws) * side).astype(int).reshape(16, -1, 3) @ [1, side, side**2]
    for replicate in cells:
        counts = np.bincount(replicate, minlength=side**3)
        assert len(counts) == side**3
        assert len(set(counts)) == 1
    assert stats.kstest((stats.norm.cdf(q.draws) * side % 1).ravel(), "uniform").pvalue > 0.001


@pytest.mark.parametrize("u", [2.0**-54, 1.0 - 2.0**-53])
def test_draws_at_the_ends_of_strata_are_finite(u, monkeypatch):
    monkeypatch.setattr(monte_carlo, "uniforms", lambda n, *_, **__: np.full(n, u))
    q = Recorder()
    estimate(q=q, n_samples=1000, sampling="stratified")
    assert np.isfinite(q.draws).all()


@pytest.mark.parametrize("u", [0.0, 1.0 - 2.0**-52])
def test_the_first_and_the_last_sobol_point_are_finite(u, monkeypatch):
    monkeypatch.setattr(stats.qmc.Sobol, "random", lambda self, n: np.full((n, self.d), u))
    q = Recorder()
    estimate(q=q, n_samples=1000, sampling="sobol")
    assert np.isfinite(q.draws).all()


def test_n_p_tells_how_many_draws_there_were():
    q = Recorder()
    assert estimate(q=q, n_samples=1000, sampling="sobol").n_p == len(q.draws) == 1024


# ---------------------------------------------------------------- what p and q may be


def test_frozen_distributions_of_scipy():
    p, q = stats.norm(0.2, 1.0), stats.norm(0.5, math.sqrt(0.9))
    for sampling in SAMPLINGS:
        result = estimate(p, q, sampling=sampling)
        assert abs(result.value - kl.kl_divergence(P, Q)) < 4 * result.standard_error
    sobol = estimate(sampling="sobol")
    assert estimate(p, q, sampling="sobol").value == pytest.approx(sobol.value, rel=1e-10)


def test_multivariate_normal_of_scipy():
    p, q = stats.multivariate_normal(P3.mean, P3.cov), stats.multivariate_normal(Q3.mean, np.diag(Q3.var))
    result = estimate(p, q)
    assert abs(result.value - kl.kl_divergence(P3, Q3)) < 4 * result.standard_error
    assert result.d == 3
    assert math.isfinite(estimate(P3, q, 16, sampling="sobol").value)  # one row in each block


def test_probabilities():
    result = estimate(stats.poisson(3.0), stats.poisson(4.0))
    assert abs(result.value - (3 * math.log(3 / 4) + 1)) < 4 * result.standard_error
    p, q = kl.Categorical(probs=[0.2, 0.8]), kl.Categorical(probs=[0.5, 0.5])
    result = estimate(p, q)
    assert abs(result.value - kl.kl_divergence(p, q)) < 4 * result.standard_error


@pytest.mark.parametrize("convert", [list, cases.tensor, lambda a: a.astype(">f8")])
def test_what_a_callable_may_return(convert):
    assert estimate(q=lambda x: convert(Q.log_prob(x))).value == estimate().value


def test_anything_with_sample_and_log_prob():
    class Own:
        def sample(self, size, random_state):
            return random_state.normal(0.2, 1.0, size)

        log_prob = staticmethod(P.log_prob)

    result = estimate(Own(), Q)
    assert abs(result.value - kl.kl_divergence(P, Q)) < 4 * result.standard_error


def test_callable_that_writes_into_its_argument():
    def density(x):
        value = Q.log_prob(x.copy())
        x[:] = np.nan
        return value

    assert estimate(q=density).value == estimate().value


def test_units():
    assert estimate(unit="bits").value == pytest.approx(estimate().value / math.log(2))


# ---------------------------------------------------------------- rows 112-118


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_draws_where_q_has_no_mass(sampling):
    outside = Recorder(lambda x: np.where(np.abs(x) < 1.5, 0.0, -np.inf))
    with pytest.warns(errors.InfiniteDivergenceWarning, match="q has no mass") as told:
        result = kl.estimate_kl_monte_carlo(P, outside, n_samples=1024, sampling=sampling, random_state=0)
    assert told[0].filename == __file__
    assert result.value == math.inf
    assert result.diagnostics["n_outside"] == (np.abs(outside.draws) >= 1.5).sum() > 0
    nowhere = estimate(q=lambda x: np.full(len(x), -np.inf), sampling=sampling)
    assert nowhere.diagnostics["n_outside"] == nowhere.n_p


def test_heavy_tails_of_q_are_told():
    q = kl.Normal(mean=0.0, var=16.0)
    with pytest.warns(errors.UnreliableEstimateWarning, match="Pareto k-hat") as told:
        kl.estimate_kl_monte_carlo(P, q, n_samples=100_000, estimator="k3", random_state=0)
    assert told[0].filename == __file__


@pytest.mark.parametrize("shape", ["(n, 1)", "(n, n)", "()", "(n - 1,)"])
def test_a_density_of_another_shape(shape):
    shapes = {"(n, 1)": lambda n: (n, 1), "(n, n)": lambda n: (n, n), "()": lambda n: (), "(n - 1,)": lambda n: n - 1}
    with pytest.raises(errors.ShapeMismatchError, match=r"log-density of q has shape .* \(100,\) is needed"):
        estimate(q=lambda x: np.zeros(shapes[shape](len(x))), n_samples=100)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("block", [8, 2**16])
def test_the_first_bad_log_density_is_named(bad, block, monkeypatch):
    monkeypatch.setattr(monte_carlo, "_MOST_ROWS", block)
    q = Recorder(lambda block: np.where(block == block.max(), bad, 0.0) if (block > 2.0).any() else 0.0 * block)
    with pytest.raises(errors.InvalidParameterError, match=f"log_q holds .*: {bad}") as caught:
        estimate(q=q, n_samples=100, random_state=3)
    index = int(re.search(r"index (\d+)", str(caught.value))[1])
    assert q.draws[index] == q.blocks[-1].max()
    assert q.draws[index] > 2.0


def test_p_without_mass_at_its_own_draws():
    class Own:
        def rvs(self, size, random_state):
            return random_state.normal(0.0, 1.0, size)

        def logpdf(self, x):
            return np.where(x < 2.0, 0.0, -np.inf)

    with pytest.raises(errors.InvalidParameterError, match=r"log_p is -inf at .* not drawn from p"):
        estimate(Own(), Q)


def test_an_error_in_a_callable_comes_through_with_the_place():
    def density(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        estimate(q=density, n_samples=100)
    assert caught.value.__notes__ == ["in the block of draws 0 to 99 of x ~ p"]


def test_distributions_of_torch_are_sent_to_ours():
    foreign = pytest.importorskip("torch").distributions.Normal(0.0, 1.0)
    for p, q in ((foreign, Q), (P, foreign)):
        with pytest.raises(errors.InvalidTypeError, match=r"kltools\.Normal"):
            estimate(p, q)


def drawless(size, random_state):
    return np.zeros(3)


@pytest.mark.parametrize(
    ("p", "q", "options", "error", "match"),
    [
        (np.zeros(5), Q, {}, errors.InvalidTypeError, "p is a ndarray"),
        (P, np.zeros(5), {}, errors.InvalidTypeError, "q is a ndarray; .* or a function of x"),
        (P.log_prob, Q, {}, errors.InvalidTypeError, "p is a method"),
        (P, kl.Normal, {}, errors.InvalidTypeError, "q is the class Normal; build one"),
        (kl.Normal(mean=[0, 1], var=1), Q, {}, errors.ShapeMismatchError, "p must be a single"),
        (P, kl.Normal(mean=[0, 1], var=1), {}, errors.ShapeMismatchError, "q must be a single"),
        (P3, Q, {}, errors.ShapeMismatchError, "events differ"),
        (kl.Categorical(probs=[0.5, 0.5]), Q, {}, errors.InvalidTypeError, "has densities, the other probabilities"),
        (P, Q, {"n_samples": 1}, errors.InvalidParameterError, "n_samples must be >= 2"),
        (P, Q, {"n_samples": 10.0}, errors.InvalidTypeError, "n_samples must be an int"),
        (P, Q, {"sampling": "halton"}, errors.InvalidParameterError, "sampling must be one of"),
        (P, Q, {"estimator": "k4"}, errors.InvalidParameterError, "estimator must be one of"),
        (P, Q, {"unit": "dits"}, errors.InvalidParameterError, "unit must be one of"),
        (P, Q, {"random_state": -1}, errors.InvalidParameterError, "random_state"),
        (P3, Q3, {"n_samples": 100, "sampling": "stratified"}, errors.InvalidParameterError, "needs .* at least 128"),
        (
            kl.Categorical(probs=[0.5, 0.5]),
            kl.Categorical(probs=[0.5, 0.5]),
            {"sampling": "sobol"},
            errors.InvalidTypeError,
            "sampling='sobol' needs an inverse distribution function, which Categorical lacks",
        ),
    ],
)
def test_bad_arguments(p, q, options, error, match):
    with pytest.raises(error, match=match):
        estimate(p, q, **options)


def test_a_sampler_that_gives_another_number_of_draws():
    class Own:
        sample = staticmethod(drawless)
        log_prob = staticmethod(P.log_prob)

    with pytest.raises(errors.ShapeMismatchError, match=r"asked for 2 draws and gave an array of shape \(3,\)"):
        estimate(Own(), Q)


# ---------------------------------------------------------------- distributions of newer SciPy, ratios beyond float64


@pytest.mark.skipif(not hasattr(stats, "make_distribution"), reason="SciPy has make_distribution from 1.15 on")
def test_distributions_of_newer_scipy():
    """Their draws take rng, not random_state, and are those of it."""
    p, q = stats.Normal(mu=0.0, sigma=1.0), stats.Normal(mu=1.0, sigma=1.0)
    found = estimate(p, q, 10_000)
    assert found.value == pytest.approx(0.5, abs=5 * found.standard_error)
    assert estimate(p, q, 10_000) == found
    assert estimate(p, q, 10_000, random_state=1) != found
    gamma = stats.make_distribution(stats.gamma)
    found, truth = (
        estimate(gamma(a=2.0), gamma(a=3.0), 10_000),
        kl.kl_divergence(*(kl.Gamma(shape=a, rate=1) for a in (2, 3))),
    )
    assert found.value == pytest.approx(truth, abs=5 * found.standard_error)


def test_draws_that_cannot_be_repeated_are_refused():
    class Bare:
        def sample(self, size):
            return np.zeros(size)

        def log_prob(self, x):
            return np.zeros(len(x))

    with pytest.raises(errors.InvalidTypeError, match="sample of p takes size, and neither random_state= nor rng="):
        estimate(Bare(), Q, 100)


@pytest.mark.filterwarnings("ignore:.*Pareto k-hat:kltools.errors.UnreliableEstimateWarning")
def test_ratios_beyond_float64_are_told():
    log_p, log_q = np.zeros(100), np.linspace(700.0, 900.0, 100)
    with pytest.warns(errors.UnreliableEstimateWarning, match="beyond float64.*the value of estimator='k3' is inf"):
        found = kl.estimate_kl_from_log_prob(log_p, log_q, estimator="k3")
    assert found.value == math.inf
    assert found.reliable is False
    assert estimate(*map(stats.norm, (0.0, 0.0), (1.0, 1.0)), 100).reliable is None
