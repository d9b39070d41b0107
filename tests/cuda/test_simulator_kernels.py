"""Kernels that are no formulas, in the simulator, against the CPU, NumPy and mpmath."""

import math
import warnings

import mpmath
import numpy as np
import pytest

import kltools as kl
from kltools import _philox, cuda
from kltools.cuda import gaussian, log_prob, posterior
from kltools.cuda.interop import Place

DIMENSIONS = (1, 2, 5, 9, 17)  # blocks of 8 threads: less than one, one more than one, more than two


class There:
    """What has the CUDA array interface alone."""

    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}


def spd(rng, *shape):
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1])


# ---------------------------------------------------------------- full covariances


def exact_full(mean_p, cov_p, mean_q, cov_q):
    with mpmath.workdps(60):
        p, q = mpmath.matrix(cov_p.tolist()), mpmath.matrix(cov_q.tolist())
        inverse, d = q**-1, len(mean_p)
        shift = mpmath.matrix([mpmath.mpf(a) - mpmath.mpf(b) for a, b in zip(mean_p, mean_q, strict=True)])
        trace = mpmath.fsum((inverse * p)[i, i] for i in range(d))
        logs = mpmath.log(mpmath.det(q)) - mpmath.log(mpmath.det(p))
        return float((trace - d + logs + (shift.T * inverse * shift)[0]) / 2)


@pytest.mark.parametrize("in_shared", [True, False])
@pytest.mark.parametrize("d", DIMENSIONS)
def test_full_covariances(d, in_shared, monkeypatch):
    if not in_shared:  # as beyond 75 dimensions
        monkeypatch.setattr(gaussian, "_SIZES", ())
    rng = np.random.default_rng(d)
    cov_p, cov_q, mean_p, mean_q = spd(rng, 3, d), spd(rng, d), rng.normal(size=(3, d)), rng.normal(size=d)
    p, q = kl.MultivariateNormal(mean=mean_p, cov=cov_p), kl.MultivariateNormal(mean=mean_q, cov=cov_q)
    expected = [exact_full(m, c, mean_q, cov_q) for m, c in zip(mean_p, cov_p, strict=True)]
    np.testing.assert_allclose(kl.kl_divergence(p, q, device="cuda"), expected, rtol=1e-12)


@pytest.mark.parametrize("d", DIMENSIONS[1:4])
def test_covariances_that_nearly_agree_keep_their_digits(d):
    rng = np.random.default_rng(10 + d)
    cov = spd(rng, 2, d)
    near = cov * (1.0 + 2.0**-30 * np.array([1.0, 3.0])[:, None, None])
    mean = np.zeros(d)
    value = kl.kl_divergence(
        kl.MultivariateNormal(mean=mean, cov=cov), kl.MultivariateNormal(mean=mean, cov=near), device="cuda"
    )
    expected = [exact_full(mean, a, mean, b) for a, b in zip(cov, near, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert (value < 1e-15).all()


@pytest.mark.parametrize("by_factor", [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("step", [0.0, 2.0**-28, 0.5])
def test_covariances_given_by_their_factors(by_factor, step):
    rng = np.random.default_rng(20)
    mean, factor = np.zeros(5), np.linalg.cholesky(spd(rng, 5))
    factor = np.round(factor * 2.0**12) / 2.0**12  # so that its square is exact
    other = factor * (1.0 + step)

    def law(matrix, given):
        if given:
            return kl.MultivariateNormal.from_cholesky(mean=mean, cholesky=matrix)
        return kl.MultivariateNormal(mean=mean, cov=matrix @ matrix.T)

    p, q = law(factor, by_factor[0]), law(other, by_factor[1])
    value, expected = kl.kl_divergence(p, q, device="cuda"), kl.kl_divergence(p, q)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-30)
    ratio = 1.0 / (1.0 + step) ** 2
    if all(by_factor) and step:
        with mpmath.workdps(40):
            r = mpmath.mpf(1) / (1 + mpmath.mpf(step)) ** 2
            truth = float(2.5 * (r - 1 - mpmath.log(r)))
        assert value == pytest.approx(truth, rel=1e-6)
    assert (value == 0.0) == (ratio == 1.0)


def test_diagonal_against_full_and_all_pairs():
    rng = np.random.default_rng(30)
    p = kl.MultivariateNormalDiag(mean=rng.normal(size=(3, 4)), var=rng.uniform(0.5, 2.0, (3, 4)))
    q = kl.MultivariateNormal(mean=rng.normal(size=(2, 4)), cov=spd(rng, 2, 4))
    for a, b in ((p, q), (q, p)):
        value = kl.pairwise_kl(a, b, device="cuda")
        rows = [(x.mean, np.diag(x.var) if hasattr(x, "var") else x.cov) for x in (*a, *b)]
        expected = [[exact_full(*x, *y) for y in rows[len(a) :]] for x in rows[: len(a)]]
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_extreme_scales_are_no_nan():
    tiny = kl.MultivariateNormal(mean=np.zeros(2), cov=np.diag([1e-300, 1.0]))
    huge = kl.MultivariateNormal(mean=np.zeros(2), cov=np.diag([1e300, 1.0]))
    assert kl.kl_divergence(tiny, huge, device="cuda") == pytest.approx(kl.kl_divergence(tiny, huge), rel=1e-13)
    assert kl.kl_divergence(huge, tiny, device="cuda") == math.inf


def test_overflow_in_a_kernel_is_as_silent_as_on_the_cpu():
    p = kl.MultivariateNormal(mean=[1e200, 0.0], cov=np.eye(2))
    q = kl.MultivariateNormal(mean=[0.0, 0.0], cov=1e-200 * np.eye(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kl.kl_divergence(p, q, device="cuda") == math.inf
        assert cuda.aggregate_log_prob([[1e300]], [[0.0]], [[0.0]]).tolist() == [-math.inf]


# ---------------------------------------------------------------- log-densities


@pytest.mark.parametrize("shape", [(333,), (1, 40), (37, 9)])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3", "cv"])
def test_estimates_from_log_densities(shape, estimator):
    rng = np.random.default_rng(40)
    log_p = rng.normal(size=shape)
    log_q = log_p + 0.1 * rng.normal(size=shape) - 0.005
    log_r = log_q - log_p
    terms = {"k1": -log_r, "k2": 0.5 * log_r**2, "k3": np.expm1(log_r) - log_r}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimate = kl.estimate_kl_from_log_prob(log_p, log_q, estimator=estimator, device="cuda")
        on_cpu = kl.estimate_kl_from_log_prob(log_p, log_q, estimator=estimator)
    if estimator != "cv":
        groups = terms[estimator].reshape(len(log_p), -1).mean(axis=1)
        error = groups.std(ddof=1) / math.sqrt(len(groups)) if len(groups) > 1 else math.nan
        assert estimate.value == pytest.approx(groups.mean(), rel=1e-10)
        assert estimate.standard_error == pytest.approx(error, rel=1e-9, nan_ok=True)
    assert estimate.value == pytest.approx(on_cpu.value, rel=1e-10)
    assert estimate.standard_error == pytest.approx(on_cpu.standard_error, rel=1e-9, nan_ok=True)
    assert estimate.diagnostics == pytest.approx(on_cpu.diagnostics, rel=1e-9)
    assert estimate.warnings == on_cpu.warnings


def recorded(monkeypatch):
    """Numbers that are sent to the device at a time."""
    sizes, send = [], Place.send
    monkeypatch.setattr(Place, "send", lambda place, array: sizes.append(array.size) or send(place, array))
    return sizes


@pytest.mark.parametrize(("shape", "n_bytes"), [((120,), 1), ((41, 3), 1500)])
def test_log_densities_go_in_blocks_that_change_no_bit(monkeypatch, shape, n_bytes):
    rng = np.random.default_rng(41)
    log_p = rng.normal(size=shape)
    log_q = log_p + 0.1 * rng.normal(size=shape) - 0.005
    # single precision and what lives on the device already are read in blocks as well
    variants = ((log_p, log_q), (log_p.astype(np.float32), log_q), (log_p, There(log_q)), (log_p[::2], log_q[::2]))
    for own, other in variants:
        expected = kl.estimate_kl_from_log_prob(own, other, estimator="k3", device="cuda")
        with monkeypatch.context() as patch, cuda.memory_limit(n_bytes):
            sizes = recorded(patch)
            found = kl.estimate_kl_from_log_prob(own, other, estimator="k3", device="cuda")
        assert found == expected
        assert found.standard_error == expected.standard_error
        assert 0 < max(sizes) <= max(40, n_bytes // 40, 16 * own[0].size)


def test_log_densities_that_are_no_numbers_are_refused_as_on_the_cpu():
    with pytest.raises(kl.InvalidTypeError, match="log_p holds text"):
        kl.estimate_kl_from_log_prob(["a"], [0.0], device="cuda")
    log_q = np.zeros(100)
    log_q[77] = -math.inf  # in the last block
    with cuda.memory_limit(1), pytest.warns(kl.InfiniteDivergenceWarning, match="1 of 100 draws"):
        assert kl.estimate_kl_from_log_prob(np.zeros(100), log_q, device="cuda").value == math.inf


def test_draws_outside_and_bad_ones_are_told_as_on_the_cpu():
    log_p, log_q = np.zeros(20), np.zeros(20)
    log_q[3] = -math.inf
    with pytest.warns(kl.InfiniteDivergenceWarning, match="1 of 20 draws") as caught:
        estimate = kl.estimate_kl_from_log_prob(log_p, log_q, device="cuda")
    assert estimate.value == math.inf
    assert caught[0].filename == __file__
    log_p[5] = math.nan
    with pytest.raises(kl.InvalidParameterError, match=r"log_p holds 1 values.*index 5"):
        kl.estimate_kl_from_log_prob(log_p, log_q, device="cuda")
    with pytest.raises(kl.ShapeMismatchError):
        kl.estimate_kl_from_log_prob(log_p, log_q[:7], device="cuda")


@pytest.mark.parametrize("option", ["mask", "groups", "log_weights"])
def test_what_is_not_counted_on_a_device_names_the_cpu(option):
    with pytest.raises(kl.DeviceUnavailableError, match="device='cpu'"):
        kl.estimate_kl_from_log_prob([0.0, 1.0], [0.0, 1.0], device="cuda", **{option: [0, 1]})


# ---------------------------------------------------------------- random numbers


@pytest.mark.parametrize("first", [0, 1, 7, 2**40 + 1])
@pytest.mark.parametrize("n", [1, 2, 45])
def test_uniform_numbers_are_those_of_the_cpu(n, first):
    seed = 2**63 + 12345
    expected = _philox.uniforms(n, seed, stream=2**33, first=first)
    assert np.array_equal(cuda.uniforms(n, seed, stream=2**33, first=first), expected)


def test_normal_numbers():
    values = cuda.normals(60, 7, first=1)
    with mpmath.workdps(40):
        for number, value in enumerate(values, start=1):
            u, v = (mpmath.mpf(x) for x in _philox.uniforms(2, 7, first=number - number % 2).tolist())
            turn = mpmath.sinpi(2 * v) if number % 2 else mpmath.cospi(2 * v)
            assert value == pytest.approx(float(mpmath.sqrt(-2 * mpmath.log(u)) * turn), rel=4 * 2.0**-52, abs=0)


# ---------------------------------------------------------------- Monte Carlo

N_DRAWS = 120


def drawn(law, seed):
    """Draws of a law from the random numbers that the kernel takes, and nothing else of it."""
    weights, means, covs = law
    k, d = means.shape
    per_draw = 1 + (d + 1) // 2
    out = np.empty((N_DRAWS, d))
    for i in range(N_DRAWS):
        u = _philox.uniforms(1, seed, first=2 * i * per_draw)[0]
        chosen = min(int((np.cumsum(weights) <= u * weights.sum()).sum()), k - 1)
        pairs = _philox.uniforms(2 * (per_draw - 1), seed, first=2 * (i * per_draw + 1)).reshape(-1, 2)
        radius, angle = np.sqrt(-2.0 * np.log(pairs[:, 0])), 2.0 * np.pi * pairs[:, 1]
        noise = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:d]
        out[i] = means[chosen] + np.linalg.cholesky(covs[chosen]) @ noise
    return out


def log_density(law, x):
    weights, means, covs = law
    logs = []
    for w, m, c in zip(weights, means, covs, strict=True):
        deviation = x - m
        squares = np.einsum("ni,ij,nj->n", deviation, np.linalg.inv(c), deviation)
        logs.append(np.log(w) - 0.5 * (squares + np.linalg.slogdet(2.0 * np.pi * c)[1]))
    return np.logaddexp.reduce(logs, axis=0)


def laws(d):
    """Distributions, and each as weights, means and covariances."""
    rng = np.random.default_rng(50 + d)
    mean, cov, var = rng.normal(size=d), spd(rng, d), rng.uniform(0.5, 2.0, d)
    weights, means, covs = np.array([0.25, 0.5, 0.25]), rng.normal(size=(3, d)), spd(rng, 3, d)
    variances = rng.uniform(0.5, 2.0, (3, d))
    one = np.ones(1)
    return {
        "diagonal": (kl.MultivariateNormalDiag(mean=mean, var=var), (one, mean[None], np.diag(var)[None])),
        "full": (kl.MultivariateNormal(mean=mean, cov=cov), (one, mean[None], cov[None])),
        "mixture": (kl.GaussianMixture(weights=weights, means=means, covs=covs), (weights, means, covs)),
        "diagonal mixture": (
            kl.GaussianMixture(weights=weights, means=means, covs=variances),
            (weights, means, np.stack([np.diag(v) for v in variances])),
        ),
    }


@pytest.mark.parametrize(
    ("d", "name_p", "name_q"),
    [
        (1, "diagonal", "mixture"),
        (2, "mixture", "full"),
        (3, "diagonal mixture", "diagonal"),
        (3, "full", "diagonal mixture"),
    ],
)
def test_monte_carlo_counts_the_draws_it_says(d, name_p, name_q):
    (p, parts_p), (q, parts_q) = laws(d)[name_p], laws(d)[name_q]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimate = kl.estimate_kl_monte_carlo(p, q, n_samples=N_DRAWS, random_state=3, device="cuda")
    x = drawn(parts_p, int(np.random.default_rng(3).integers(2**63)))
    terms = log_density(parts_p, x) - log_density(parts_q, x)
    assert estimate.value == pytest.approx(terms.mean(), rel=1e-10)
    assert estimate.standard_error == pytest.approx(terms.std(ddof=1) / math.sqrt(N_DRAWS), rel=1e-9)
    assert (estimate.n_p, estimate.d) == (N_DRAWS, d)


def test_monte_carlo_does_not_depend_on_the_workspace():
    p, q = laws(2)["mixture"][0], laws(2)["full"][0]
    options = {"n_samples": N_DRAWS, "estimator": "k2", "random_state": 1, "device": "cuda"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = kl.estimate_kl_monte_carlo(p, q, **options)
        with cuda.memory_limit(100):
            found = kl.estimate_kl_monte_carlo(p, q, **options)
    assert (found.value, found.standard_error) == (expected.value, expected.standard_error)


def test_monte_carlo_holds_few_draws_at_a_time(monkeypatch):
    lengths, add = [], log_prob.DeviceTally.add_views
    monkeypatch.setattr(
        log_prob.DeviceTally, "add_views", lambda tally, p, *rest: lengths.append(p.shape[0]) or add(tally, p, *rest)
    )
    p, q = kl.Normal(mean=0.0, var=1.0), kl.Normal(mean=0.1, var=1.0)
    with cuda.memory_limit(48 * 30):
        kl.estimate_kl_monte_carlo(p, q, n_samples=110, random_state=1, device="cuda")
    assert lengths == [30, 30, 30, 20]


def test_monte_carlo_refuses_other_laws():
    p, q = kl.Normal(mean=0.0, var=1.0), kl.Laplace(loc=0.0, scale=1.0)
    with pytest.raises(kl.DeviceUnavailableError, match=r"q is a Laplace.*device='cpu'"):
        kl.estimate_kl_monte_carlo(p, q, n_samples=10, device="cuda")
    with pytest.raises(kl.DeviceUnavailableError, match=r"sampling='sobol'.*device='cpu'"):
        kl.estimate_kl_monte_carlo(p, p, n_samples=10, sampling="sobol", device="cuda")


# ---------------------------------------------------------------- aggregate posterior


@pytest.mark.parametrize(("n_points", "n_encoders", "d"), [(1, 1, 1), (19, 13, 3), (5, 4, 2), (33, 7, 5)])
def test_aggregate_posterior(n_points, n_encoders, d):
    rng = np.random.default_rng(60)
    z, mu, log_var = (rng.normal(size=(n, d)) for n in (n_points, n_encoders, n_encoders))
    z[0] = 40.0  # far from everything
    terms = -0.5 * ((z[:, None] - mu) ** 2 / np.exp(log_var) + log_var + np.log(2.0 * np.pi))
    expected = np.logaddexp.reduce(terms.sum(axis=2), axis=1) - np.log(n_encoders)
    found = cuda.aggregate_log_prob(z, mu, log_var)
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    with cuda.memory_limit(200):
        np.testing.assert_array_equal(cuda.aggregate_log_prob(z, mu, log_var), found)
        there = cuda.aggregate_log_prob(There(z), mu, log_var)
        np.testing.assert_array_equal(there.copy_to_host(), found)
        np.testing.assert_array_equal(cuda.aggregate_log_prob(z, There(mu), log_var).copy_to_host(), found)


def test_points_of_the_aggregate_posterior_go_in_blocks(monkeypatch):
    sizes = recorded(monkeypatch)
    with cuda.memory_limit(1):
        cuda.aggregate_log_prob(np.zeros((40, 3)), np.zeros((2, 3)), np.zeros((2, 3)))
    assert max(sizes) == 16 * 3


@pytest.mark.parametrize("shapes", [((3, 2), (4, 3), (4, 3)), ((3,), (4, 3), (4, 3)), ((0, 3), (4, 3), (4, 3))])
def test_aggregate_posterior_of_other_shapes(shapes):
    with pytest.raises(kl.ShapeMismatchError, match="z must have shape"):
        cuda.aggregate_log_prob(*(np.zeros(shape) for shape in shapes))


def test_aggregate_posterior_in_parts(monkeypatch):
    monkeypatch.setattr(posterior, "_PART", 4)
    test_aggregate_posterior(19, 13, 3)


def test_aggregate_posterior_in_as_many_parts_as_a_grid_has(monkeypatch):
    monkeypatch.setattr(posterior, "_PART", 1)
    monkeypatch.setattr(posterior, "_MOST_PARTS", 5)
    test_aggregate_posterior(3, 7, 2)  # parts of two: the last one is empty
