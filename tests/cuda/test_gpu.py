"""The CUDA kernels at full size on a GPU: against the CPU, and twice for the same bits."""

import math
import warnings

import numpy as np
import pytest

import kltools as kl
from kltools import _philox, cuda
from kltools._formula import Formula

pytestmark = pytest.mark.gpu
try:
    cuda.require()
except kl.DeviceUnavailableError as error:
    pytest.skip(str(error), allow_module_level=True)

from formulas import FORMULAS  # noqa: E402

from kltools.cuda._compat import SIMULATED  # noqa: E402
from kltools.cuda._compat import cuda as numba_cuda  # noqa: E402
from kltools.cuda.interop import Place  # noqa: E402
from kltools.cuda.memory import telling_shortage  # noqa: E402
from kltools.cuda.sort import sorted_rows  # noqa: E402

if SIMULATED:
    pytest.skip("too large for the simulator", allow_module_level=True)


def on_host(x):
    return x.copy_to_host() if hasattr(x, "copy_to_host") else np.asarray(x)


def twice(call):
    first, second = call(), call()
    assert np.array_equal(on_host(first), on_host(second), equal_nan=True)
    return on_host(first)


def spd(rng, *shape):
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1])


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formulas(formula):
    columns = np.random.default_rng(0).uniform(0.05, 0.95, (len(formula.parameters), 100_003))
    half = len(columns) // 2
    columns[half : 2 * half, :500] = columns[:half, :500]
    value = twice(lambda: cuda.evaluate(formula, *columns))
    np.testing.assert_allclose(value, Formula(formula.function)(*columns), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(100_003, 3), (10_007, 100), (3, 1_000_003)])
def test_latents(shape, dtype):
    rng = np.random.default_rng(1)
    mu, log_var = rng.normal(size=(2, *shape)).astype(dtype)
    expected = kl.vae_kl(mu, log_var)
    there = numba_cuda.to_device(mu), numba_cuda.to_device(log_var)
    np.testing.assert_allclose(twice(lambda: kl.vae_kl(*there)), expected, rtol=1e-12)
    np.testing.assert_allclose(twice(lambda: kl.vae_kl(mu, log_var, device="cuda")), expected, rtol=1e-12)
    assert kl.vae_kl(*there, reduction="mean") == pytest.approx(expected.mean(), rel=1e-12)


def test_blocks_within_a_memory_limit():
    rng = np.random.default_rng(2)
    p = kl.Normal(mean=rng.normal(size=1_000_003), var=rng.uniform(0.5, 2.0, 1_000_003))
    q = kl.Normal(mean=0.0, var=1.0)
    expected = kl.kl_divergence(p, q, device="cuda")
    with cuda.memory_limit(1 << 20):
        assert np.array_equal(kl.kl_divergence(p, q, device="cuda"), expected)


def test_all_pairs():
    rng = np.random.default_rng(3)
    ps = kl.MultivariateNormalDiag(mean=rng.normal(size=(300, 20)), var=rng.uniform(0.5, 2.0, (300, 20)))
    np.testing.assert_allclose(twice(lambda: kl.pairwise_kl(ps, device="cuda")), kl.pairwise_kl(ps), rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(10_000, 3), (3000, 32), (1000, 48), (500, 75), (100, 76), (20, 300)])
def test_full_covariances(n, d):
    rng = np.random.default_rng(4)
    cov, mean = spd(rng, n, d), rng.normal(size=(n, d))
    p = kl.MultivariateNormal(mean=mean, cov=cov)
    q = kl.MultivariateNormal(mean=rng.normal(size=d), cov=spd(rng, d))
    near = kl.MultivariateNormal(mean=mean, cov=cov * (1.0 + 2.0**-30))
    for other in (q, near):
        value = twice(lambda other=other: kl.kl_divergence(p, other, device="cuda"))
        np.testing.assert_allclose(value, kl.kl_divergence(p, other), rtol=1e-9)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3", "cv"])
@pytest.mark.parametrize("shape", [(1_000_003,), (20_001, 50)])
def test_log_densities(shape, estimator):
    rng = np.random.default_rng(5)
    log_p = rng.normal(size=shape)
    log_q = log_p + 0.1 * rng.normal(size=shape) - 0.005
    there = numba_cuda.to_device(log_p), numba_cuda.to_device(log_q)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = kl.estimate_kl_from_log_prob(log_p, log_q, estimator=estimator)
        value = kl.estimate_kl_from_log_prob(*there, estimator=estimator)
        assert kl.estimate_kl_from_log_prob(*there, estimator=estimator).value == value.value
    assert value.value == pytest.approx(expected.value, rel=1e-9)
    assert value.standard_error == pytest.approx(expected.standard_error, rel=1e-9)


def test_random_numbers():
    assert np.array_equal(cuda.uniforms(1_000_001, 9, first=5), _philox.uniforms(1_000_001, 9, first=5))
    on_cpu = np.array([_philox.two_normals(np.uint64(i), np.uint64(0), np.uint64(9)) for i in range(50_000)])
    np.testing.assert_array_max_ulp(cuda.normals(100_000, 9), on_cpu.reshape(-1), maxulp=4)


def test_monte_carlo():
    rng = np.random.default_rng(6)
    p = kl.GaussianMixture(weights=[0.3, 0.7], means=rng.normal(size=(2, 5)), covs=spd(rng, 2, 5))
    q = kl.MultivariateNormal(mean=np.zeros(5), cov=spd(rng, 5))

    def estimate(**options):
        return kl.estimate_kl_monte_carlo(p, q, n_samples=1_000_000, random_state=0, **options)

    there, here = estimate(device="cuda"), estimate()
    assert estimate(device="cuda").value == there.value
    assert abs(there.value - here.value) < 5.0 * math.hypot(there.standard_error, here.standard_error)


def test_aggregate_posterior():
    rng = np.random.default_rng(7)
    mu, log_var = rng.normal(size=(2, 20_003, 8))
    z = rng.normal(size=(10_001, 8))
    value = twice(lambda: cuda.aggregate_log_prob(z, mu, log_var))
    for i in range(0, len(z), 997):
        terms = -0.5 * ((z[i] - mu) ** 2 / np.exp(log_var) + log_var + np.log(2.0 * np.pi)).sum(axis=1)
        assert value[i] == pytest.approx(np.logaddexp.reduce(terms) - np.log(len(mu)), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "m", "d", "k"),
    [
        (20_003, 30_011, 1, 4),
        (100_003, 100_003, 2, 5),
        (50_001, 70_001, 5, 21),
        (1001, 50_003, 3, 40),
        (20_011, 20_021, 16, 5),
        (7, 100_003, 20, 21),
        (3001, 5003, 128, 32),
        (501, 1009, 512, 8),
        (101, 307, 700, 64),
    ],
)
def test_nearest_neighbors(n, m, d, k):
    rng = np.random.default_rng(9)
    X, Y = rng.standard_t(2.0, (n, d)), rng.normal(size=(m, d))
    Y[1::50] = Y[0]
    value = twice(lambda: kl.kth_neighbor_distances(X, Y, k=k, device="cuda"))
    np.testing.assert_allclose(value, kl.kth_neighbor_distances(X, Y, k=k, n_jobs=-1), rtol=1e-14)
    among = twice(lambda: kl.kth_neighbor_distances(Y, k=k, device="cuda"))
    np.testing.assert_allclose(among, kl.kth_neighbor_distances(Y, k=k, n_jobs=-1), rtol=1e-14)


@pytest.mark.parametrize("method", ["knn", "knn_radius", "knn_weighted", "knn_calibrated"])
@pytest.mark.parametrize("d", [1, 3, 16])
def test_estimates_by_neighbors(d, method):
    rng = np.random.default_rng(10)
    X, Y = rng.normal(size=(10_001, d)), 1.2 * rng.normal(size=(12_001, d))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for decimals in (15, 1):
            samples = X.round(decimals), Y.round(decimals)
            expected = kl.estimate_kl(*samples, method=method, random_state=0, n_jobs=-1)
            value = kl.estimate_kl(*samples, method=method, random_state=0, device="cuda")
            assert value.value == pytest.approx(expected.value, rel=1e-9, abs=1e-11)
            assert value.warnings == expected.warnings
        there = numba_cuda.to_device(X), numba_cuda.to_device(Y)
        expected = kl.estimate_kl(X, Y, method=method, random_state=0, device="cuda")
        assert kl.estimate_kl(*there, method=method, random_state=0).value == expected.value


@pytest.mark.parametrize(
    ("n", "d"), [(1_000_003, 1), (300_007, 3), (100_003, 16), (50_021, 33), (20_011, 130), (5003, 512)]
)
def test_normal_estimates(n, d):
    rng = np.random.default_rng(12)
    X, Y = rng.normal(size=(n, d)), rng.normal(0.1, 1.2, (n + 1001, d))
    expected = kl.estimate_kl(X, Y, method="gaussian")
    value = twice(lambda: kl.estimate_kl(X, Y, method="gaussian", device="cuda").value)
    assert value == pytest.approx(expected.value, rel=1e-12)
    there = kl.estimate_kl(numba_cuda.to_device(X), Y, method="gaussian")
    assert there.value == value
    assert there.standard_error == pytest.approx(expected.standard_error, rel=1e-12)
    with cuda.memory_limit(1 << 20):
        in_blocks = kl.estimate_kl(X, Y, method="gaussian", device="cuda")
    assert (in_blocks.value, in_blocks.standard_error) == (value, there.standard_error)


def test_sort():
    keys = np.random.default_rng(11).integers(0, 1 << 60, 1_000_003)
    keys[::7] = keys[3]
    with Place() as place:
        rows = place.receive(sorted_rows(place.send(keys.copy()), len(keys), 60, place))
    assert np.array_equal(rows, np.argsort(keys, kind="stable"))


# ---------------------------------------------------------------- other libraries


def latents():
    rng = np.random.default_rng(8)
    return rng.normal(size=(2, 5001, 16))


def test_torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    mu, log_var = latents()
    expected = kl.vae_kl(mu, log_var)
    there = torch.tensor(mu, device="cuda", requires_grad=True), torch.tensor(log_var.T.copy(), device="cuda").T
    value = kl.vae_kl(*there)
    assert isinstance(value, torch.Tensor)
    assert value.is_cuda
    np.testing.assert_allclose(value.cpu().numpy(), expected, rtol=1e-12)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        late = torch.zeros(5001, 16, device="cuda", dtype=torch.float64)
        late += torch.tensor(mu, device="cuda")
        value = kl.vae_kl(late, there[1])
    side.synchronize()
    np.testing.assert_allclose(value.cpu().numpy(), expected, rtol=1e-12)


def test_cupy():
    cupy = pytest.importorskip("cupy")
    mu, log_var = latents()
    value = kl.vae_kl(cupy.asarray(mu)[:, ::-1], cupy.asarray(log_var)[:, ::-1])
    assert isinstance(value, cupy.ndarray)
    np.testing.assert_allclose(value.get(), kl.vae_kl(mu, log_var), rtol=1e-12)


def test_too_much_is_told():
    with pytest.raises(kl.DeviceMemoryError, match="memory_limit"), telling_shortage(), Place() as place:
        place.scratch(1 << 50)
    assert kl.kl_divergence(kl.Normal(mean=[0.0, 1.0], var=1.0), kl.Normal(mean=0, var=1), device="cuda")[1] == 0.5


@pytest.mark.skipif(len(numba_cuda.gpus) < 2, reason="needs two GPUs")
def test_the_device_of_the_data():
    torch = pytest.importorskip("torch")
    mu, log_var = (torch.tensor(a, device="cuda:1") for a in latents())
    assert kl.vae_kl(mu, log_var).device == mu.device
    with pytest.raises(kl.InvalidParameterError, match="different devices"):
        kl.vae_kl(mu, log_var.to("cuda:0"))
