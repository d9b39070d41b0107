"""Tensors of torch, in the simulator: those of the host pass for those of a device."""

import numpy as np
import pytest

import kltools as kl
from kltools import _device, cuda
from kltools.cuda import interop
from kltools.families.gaussian import kl_normal_normal

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(6, 8))
VARIANCES = RNG.uniform(0.5, 2.0, (6, 8))


def test_tensors_of_the_host_live_there():
    assert not _device.is_on_gpu(torch.ones(2))
    assert isinstance(kl.vae_kl(torch.ones(2, 3), torch.ones(2, 3)), np.ndarray)


@pytest.fixture
def torch_on_gpu(monkeypatch):
    plain = _device.is_on_gpu
    monkeypatch.setattr(_device, "is_on_gpu", lambda x: isinstance(x, torch.Tensor) or plain(x))
    monkeypatch.setattr(interop, "_stream_of", lambda x: 0)


@pytest.mark.usefixtures("torch_on_gpu")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32])
def test_tensors_come_back_as_tensors(dtype):
    tensor = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=dtype).T
    value = cuda.evaluate_sum(kl_normal_normal, tensor, 1.0, 0.0, 1.0, n_axes=1)
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float64
    assert value.tolist() == [8.5, 14.5, 22.5]


@pytest.mark.usefixtures("torch_on_gpu")
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "per_dim"])
@pytest.mark.parametrize("unit", ["nats", "bits"])
def test_latents_with_gradients(reduction, unit):
    mu = torch.tensor(MEANS, requires_grad=True)
    log_var = torch.tensor(VARIANCES.T.copy(), dtype=torch.float32).T
    value = kl.vae_kl(mu, log_var, reduction=reduction, unit=unit)
    v = log_var.detach().double().numpy()
    terms = 0.5 * (np.exp(v) - 1.0 - v + MEANS**2) / (np.log(2.0) if unit == "bits" else 1.0)
    sums = terms.sum(axis=1)
    expected = {"none": sums, "sum": sums.sum(), "mean": sums.mean(), "per_dim": terms}[reduction]
    if reduction in ("sum", "mean"):
        assert type(value) is float
    else:
        assert isinstance(value, torch.Tensor)
        assert not value.requires_grad
    np.testing.assert_allclose(np.asarray(value), expected, rtol=1e-12)


@pytest.mark.usefixtures("torch_on_gpu")
def test_latents_are_checked_where_they_are():
    mu, log_var = torch.tensor(MEANS), torch.tensor(VARIANCES)
    mu[2, 3] = np.nan
    with pytest.raises(kl.InvalidParameterError, match="mu contains 1 values that are not finite"):
        kl.vae_kl(mu, log_var)
    with pytest.raises(kl.ShapeMismatchError, match=r"mu has shape \(6, 8\), log_var has shape \(6, 7\)"):
        kl.vae_kl(mu, log_var[:, :7])
    one = torch.zeros(1, 1, dtype=torch.float64)
    assert kl.vae_kl(one, one + 712.0).tolist() == [np.inf]


@pytest.mark.usefixtures("torch_on_gpu")
def test_latents_against_priors():
    mu, log_var = torch.tensor(MEANS), torch.tensor(np.log(VARIANCES))
    cov = np.eye(8) + 0.3
    priors = (
        kl.MultivariateNormal(mean=np.ones(8), cov=cov),
        kl.MultivariateNormalDiag(mean=np.ones(8), var=np.full(8, 2.0)),
        kl.Normal(mean=0.5, var=3.0),
    )
    p = kl.MultivariateNormalDiag(mean=MEANS, var=VARIANCES)
    for prior in priors:
        value = kl.vae_kl(mu, log_var, prior=prior)
        whole = kl.MultivariateNormalDiag(mean=np.full(8, 0.5), var=np.full(8, 3.0))
        expected = kl.kl_divergence(p, prior if prior.event_shape else whole)
        assert isinstance(value, torch.Tensor)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-12)
