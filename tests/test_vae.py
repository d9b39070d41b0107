"""The KL term of a VAE: accuracy from log_var itself, axes and reductions, priors, what encoders hand over."""

import math
import shutil

import exact
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors, vae

RTOL = 1e-13
compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="exp raises in plain Python")
RNG = np.random.default_rng(0)
MU, LOG_VAR = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))


def terms(mu, log_var):
    """Each term on its own, in exact arithmetic."""
    pairs = zip(np.ravel(mu), np.ravel(log_var), strict=True)
    return [exact.kl_normal_log_var(float(m), float(v)) for m, v in pairs]


def worst(mu, log_var):
    values = kl.vae_kl(mu[:, None], log_var[:, None])
    truths = terms(mu, log_var)
    found = [(exact.relative_error(v, t), float(x)) for v, t, x in zip(values, truths, log_var, strict=True)]
    return max(found)


# ---------------------------------------------------------------- accuracy


LOG_VARIANCES = {
    "-700 to 710": np.linspace(-700.0, 710.0, 471),
    "around 0": np.linspace(-1.0, 1.0, 301),
    "tiny": np.array([s * 10.0**e for e in range(-150, 0, 2) for s in (1, -1)]),
    "beyond exp": np.array([-1e300, -1e5, -1489.0, -746.0, -745.0, 709.0, 709.79, 710.0, 710.4, 711.0, 1e5]),
    "where the method changes": np.array([np.nextafter(x, x + s) for x in (-0.5, 0.5, 709.0) for s in (-1, 0, 1)]),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=compiled_only if "exp" in n else ()) for n in LOG_VARIANCES])
def test_keeps_relative_accuracy(name):
    log_var = LOG_VARIANCES[name]
    error, where = worst(np.zeros_like(log_var), log_var)
    assert error <= RTOL, where


@pytest.mark.parametrize("mu", [1e-160, 1e-100, 1e-8, 0.3, 1.0, 1e8, 1e150, 1e154, 1e160])
def test_keeps_relative_accuracy_with_means(mu):
    log_var = np.array([0.0, 1e-100, -1e-8, 1e-3, 2.0, -700.0, 700.0])
    error, where = worst(np.full_like(log_var, mu), log_var)
    assert error <= RTOL, where


def test_a_standard_deviation_of_5e_324():
    """Its variance underflows, its log_var does not."""
    assert kl.vae_kl([[0.0]], [[2.0 * math.log(5e-324)]])[0] == pytest.approx(743.940071921381, rel=1e-14, abs=0)


def test_worth_of_one_mean():
    assert kl.vae_kl([[1e-8]], [[0.0]])[0] == pytest.approx(5e-17, rel=1e-15, abs=0)
    assert kl.vae_kl([[0.5]], [[0.0]])[0] == 0.125


def test_log_var_of_100_in_float32_is_a_number():
    value = kl.vae_kl(np.zeros((1, 1), np.float32), np.full((1, 1), 100.0, np.float32))[0]
    assert value == pytest.approx(0.5 * math.exp(100.0), rel=1e-13, abs=0)
    assert f"{value:.1e}" == "1.3e+43"


@given(st.floats(-1e3, 1e3, width=32), st.floats(-500, 500, width=32))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_is_never_negative_and_zero_only_at_collapse(mu, log_var):
    value = kl.vae_kl([[mu]], [[log_var]])[0]
    assert value >= 0.0
    assert (value == 0.0) == (abs(mu) < 1e-150 and abs(log_var) < 1e-150)


def test_agrees_with_kl_divergence():
    q = kl.MultivariateNormalDiag.from_log_var(mean=MU, log_var=LOG_VAR)
    prior = kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3))
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR), kl.kl_divergence(q, prior), rtol=1e-14)


# ---------------------------------------------------------------- axes


def test_reductions():
    per_dim = np.array(terms(MU, LOG_VAR), dtype=float).reshape(5, 3)
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR, reduction="per_dim"), per_dim, rtol=1e-13, strict=True)
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR), per_dim.sum(axis=1), rtol=1e-13, strict=True)
    np.testing.assert_array_equal(kl.vae_kl(MU, LOG_VAR, reduction="none"), kl.vae_kl(MU, LOG_VAR))
    total, mean = (kl.vae_kl(MU, LOG_VAR, reduction=r) for r in ("sum", "mean"))
    assert (type(total), type(mean)) == (float, float)
    assert total == pytest.approx(per_dim.sum(), rel=1e-13, abs=0)
    assert mean == pytest.approx(per_dim.sum() / 5, rel=1e-13, abs=0)


@pytest.mark.parametrize("shape", [(5, 3), (1, 3), (5, 1), (2, 4, 3), (3,)], ids=str)
def test_shapes(shape):
    mu = np.ones(shape)
    assert np.shape(kl.vae_kl(mu, mu)) == shape[:-1]
    assert np.shape(kl.vae_kl(mu, mu, reduction="per_dim")) == shape
    batch = max(1, math.prod(shape[:-1]))
    assert kl.vae_kl(mu, mu, reduction="sum") == pytest.approx(batch * kl.vae_kl(mu, mu, reduction="mean"))


def test_one_row_may_be_given_flat():
    assert kl.vae_kl(MU[0], LOG_VAR[0]) == kl.vae_kl(MU, LOG_VAR)[0]
    assert type(kl.vae_kl(MU[0], LOG_VAR[0])) is float


def test_bits():
    for reduction in vae.REDUCTIONS:
        nats, bits = (kl.vae_kl(MU, LOG_VAR, reduction=reduction, unit=u) for u in ("nats", "bits"))
        np.testing.assert_allclose(bits, nats / math.log(2), rtol=1e-15)


# ---------------------------------------------------------------- priors


PRIORS = {
    "Normal": kl.Normal(mean=0.3, var=2.0),
    "MultivariateNormalDiag": kl.MultivariateNormalDiag(mean=[0.3, -1.0, 0.0], var=[2.0, 0.5, 1e-3]),
    "MultivariateNormal": kl.MultivariateNormal(mean=[0.3, -1.0, 0.0], cov=[[2, 0.5, 0], [0.5, 1, 0.2], [0, 0.2, 3]]),
}


@pytest.mark.parametrize("name", PRIORS)
def test_prior(name):
    prior, var = PRIORS[name], np.exp(LOG_VAR)
    mean = np.broadcast_to(prior.mean, 3)
    cov = prior.cov if name == "MultivariateNormal" else np.diag(np.broadcast_to(prior.var, 3))
    truth = [float(exact.kl_full(m, np.diag(v), mean, cov)) for m, v in zip(MU, var, strict=True)]
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR, prior=prior), truth, rtol=1e-13)
    assert kl.vae_kl(MU, LOG_VAR, prior=prior, reduction="sum") == pytest.approx(sum(truth), rel=1e-13, abs=0)


@pytest.mark.parametrize("name", ["Normal", "MultivariateNormalDiag"])
def test_prior_per_dimension(name):
    prior = PRIORS[name]
    per_dim = kl.vae_kl(MU, LOG_VAR, prior=prior, reduction="per_dim")
    expected = kl.kl_divergence(
        kl.Normal.from_log_var(mean=MU, log_var=LOG_VAR), kl.Normal(mean=prior.mean, var=prior.var)
    )
    np.testing.assert_allclose(per_dim, expected, rtol=1e-13)


def test_a_standard_normal_prior_is_the_default():
    for prior in (kl.Normal(mean=0, var=1), kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3))):
        np.testing.assert_array_equal(kl.vae_kl(MU, LOG_VAR, prior=prior), kl.vae_kl(MU, LOG_VAR))
    full = kl.MultivariateNormal(mean=np.zeros(3), cov=np.eye(3))
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR, prior=full), kl.vae_kl(MU, LOG_VAR), rtol=1e-13)


@pytest.mark.parametrize("var", [1e-3, 0.1, 2.0, 50.0])
def test_collapse_onto_a_prior_of_another_variance(var):
    """log_var carries log(var) to 2e-16 of itself: as much of the distance from it cannot be known better."""
    prior = kl.Normal(mean=0.0, var=var)
    for k in range(1, 13):
        log_var = math.log(var) + 10.0**-k
        truth = exact.kl_normal_log_var(0.0, log_var, 0.0, var)
        tolerance = RTOL + 4 * 2.2e-16 * max(1.0, abs(math.log(var))) / 10.0**-k
        assert exact.relative_error(kl.vae_kl([[0.0]], [[log_var]], prior=prior)[0], truth) <= tolerance, k


@pytest.mark.parametrize("log_var", [-740.0, -1400.0, 707.0])
def test_a_correlated_prior_takes_any_log_var(log_var):
    """exp(log_var) may leave float64 where the divergence does not."""
    prior = kl.MultivariateNormal(mean=[0.0, 0.0], cov=np.eye(2))
    expected = kl.vae_kl([[0.0, 0.0]], [[log_var, 0.0]])
    np.testing.assert_allclose(kl.vae_kl([[0.0, 0.0]], [[log_var, 0.0]], prior=prior), expected, rtol=1e-12)


def test_means_whose_difference_overflows():
    prior = kl.Normal(mean=-1e308, var=1.7e308)
    truth = exact.kl_normal_log_var(1e308, 0.0, -1e308, 1.7e308)
    assert exact.relative_error(kl.vae_kl([[1e308]], [[0.0]], prior=prior)[0], truth) <= RTOL


# ---------------------------------------------------------------- what is refused


def test_per_dim_with_a_correlated_prior_is_refused():
    with pytest.raises(errors.InvalidParameterError, match=r"per_dim.*independent dimensions"):
        kl.vae_kl(MU, LOG_VAR, prior=PRIORS["MultivariateNormal"], reduction="per_dim")


@pytest.mark.parametrize("reduction", ["batchmean", "Mean", None, 1, "per-dim"])
def test_unknown_reductions_are_refused(reduction):
    with pytest.raises(errors.InvalidParameterError, match="reduction must be one of 'none', 'sum', 'mean', 'per_dim'"):
        kl.vae_kl(MU, LOG_VAR, reduction=reduction)


def test_unknown_units_and_devices_are_refused():
    with pytest.raises(errors.InvalidParameterError, match="unit must be one of"):
        kl.vae_kl(MU, LOG_VAR, unit="bit")
    with pytest.raises(errors.InvalidParameterError, match="device must be"):
        kl.vae_kl(MU, LOG_VAR, device="gpu")
    with pytest.raises(TypeError, match="positional"):
        kl.vae_kl(MU, LOG_VAR, None)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
@pytest.mark.parametrize("prior", [None, *PRIORS.values()], ids=["default", *PRIORS])
def test_a_missing_gpu_is_an_error(prior):
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        kl.vae_kl(MU, LOG_VAR, prior=prior, device="cuda")


@pytest.mark.parametrize("first", [(5, 3), (), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize("second", [(5, 2), (3,), (5, 1), (), (0, 3), (3, 0)], ids=str)
def test_shapes_that_cannot_be_meant(first, second):
    with pytest.raises(errors.ShapeMismatchError, match=r"mu|log_var"):
        kl.vae_kl(np.zeros(first), np.zeros(second))


@pytest.mark.parametrize("name", ["mu", "log_var"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_must_be_finite(name, value):
    latents = {"mu": MU.copy(), "log_var": LOG_VAR.copy()}
    latents[name][2, 1] = value
    with pytest.raises(errors.InvalidParameterError, match=f"{name} contains 1 values that are not finite"):
        kl.vae_kl(**latents)


def test_latents_must_be_numbers():
    for bad in (None, "mu.npy", {"mu": 1}, kl.Normal(mean=0, var=1)):
        with pytest.raises(errors.InvalidTypeError, match="mu"):
            kl.vae_kl(bad, LOG_VAR)
        with pytest.raises(errors.InvalidTypeError, match="log_var"):
            kl.vae_kl(MU, bad)


def test_priors_that_cannot_be_meant():
    with pytest.raises(errors.ShapeMismatchError, match="single distribution"):
        kl.vae_kl(MU, LOG_VAR, prior=kl.Normal(mean=np.zeros(3), var=1))
    with pytest.raises(errors.ShapeMismatchError, match=r"prior draws shape \(2,\), there are 3 latents"):
        kl.vae_kl(MU, LOG_VAR, prior=kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1]))
    with pytest.raises(errors.InvalidTypeError, match="prior must be a Gaussian distribution, got Categorical"):
        kl.vae_kl(MU, LOG_VAR, prior=kl.Categorical(probs=[0.5, 0.5]))
    with pytest.raises(errors.InvalidTypeError, match="prior is a ndarray"):
        kl.vae_kl(MU, LOG_VAR, prior=np.zeros(3))


# ---------------------------------------------------------------- what encoders hand over


def test_lists_and_float32_and_readonly():
    expected = kl.vae_kl(MU, LOG_VAR)
    np.testing.assert_array_equal(kl.vae_kl(MU.tolist(), LOG_VAR.tolist()), expected)
    np.testing.assert_allclose(kl.vae_kl(MU.astype(np.float32), LOG_VAR.astype(np.float32)), expected, rtol=1e-5)
    frozen = np.asfortranarray(MU)
    frozen.flags.writeable = False
    np.testing.assert_array_equal(kl.vae_kl(frozen, LOG_VAR), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_torch_tensors_with_gradients(dtype):
    torch = pytest.importorskip("torch")
    mu, log_var = (torch.tensor(a, dtype=getattr(torch, dtype), requires_grad=True) for a in (MU, LOG_VAR))
    rounded = [t.detach().double().numpy() for t in (mu, log_var)]
    value = kl.vae_kl(mu, log_var)
    assert isinstance(value, np.ndarray)
    np.testing.assert_array_equal(value, kl.vae_kl(*rounded))
    assert mu.requires_grad


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    laws = torch.distributions
    q = laws.Normal(torch.tensor(MU), torch.tensor(LOG_VAR).mul(0.5).exp())
    truth = laws.kl_divergence(q, laws.Normal(torch.tensor(0.0), torch.tensor(1.0))).numpy()
    np.testing.assert_allclose(kl.vae_kl(MU, LOG_VAR, reduction="per_dim"), truth, rtol=1e-12)


def test_polars_frames():
    polars = pytest.importorskip("polars")
    frames = [polars.DataFrame(a, schema=["a", "b", "c"]) for a in (MU, LOG_VAR)]
    np.testing.assert_array_equal(kl.vae_kl(*frames), kl.vae_kl(MU, LOG_VAR))
