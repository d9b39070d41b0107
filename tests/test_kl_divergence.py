"""The door of `kl_divergence` and `pairwise_kl`, and the registration of a user's own closed forms."""

import math
import shutil

import numpy as np
import pytest
from scipy import stats

import kltools as kl
from kltools import closed_forms, errors

NORMAL = kl.Normal(mean=0, var=1)
DIAGONAL = kl.MultivariateNormalDiag(mean=[0, 0], var=[1, 1])
FULL = kl.MultivariateNormal(mean=[0, 0], cov=np.eye(2))
CATEGORICAL = kl.Categorical(probs=[0.5, 0.5])
POISSON = kl.Poisson(rate=1.0)
no_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")


def both_sides(x):
    return [(x, NORMAL, "p"), (NORMAL, x, "q")]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((5, 2)), [0.1, 0.9], (1, 2), 3.0, None, "normal"], ids=str)
def test_arrays_are_told_where_to_go(x):
    for p, q, name in both_sides(x):
        with pytest.raises(
            errors.InvalidTypeError, match=rf"^{name} is a .*estimate_kl\(X, Y\).*Categorical\(probs=p\)"
        ):
            kl.kl_divergence(p, q)


def test_torch_tensors_are_told_where_to_go():
    torch = pytest.importorskip("torch")
    with pytest.raises(errors.InvalidTypeError, match=r"p is a Tensor.*estimate_kl.*Categorical"):
        kl.kl_divergence(torch.zeros(5), NORMAL)


@pytest.mark.parametrize(
    ("x", "ours"),
    [
        (stats.norm(0, 1), r"kltools\.Normal\(mean=\.\.\., var=\.\.\.\)"),
        (stats.norm, r"kltools\.Normal\("),
        (stats.multivariate_normal([0, 0]), r"kltools\.MultivariateNormal\(mean=\.\.\., cov=\.\.\.\)"),
        (stats.tukeylambda(0.5), "the family of kltools"),
    ],
    ids=["norm", "norm itself", "multivariate_normal", "no family of ours"],
)
def test_distributions_of_scipy_are_told_our_family(x, ours):
    for p, q, name in both_sides(x):
        with pytest.raises(errors.InvalidTypeError, match=rf"^{name} is a distribution of scipy; build {ours}"):
            kl.kl_divergence(p, q)


@pytest.mark.parametrize(
    ("build", "ours"),
    [
        (lambda d, t: d.Normal(0.0, 1.0), "Normal"),
        (lambda d, t: d.MultivariateNormal(t.zeros(2), t.eye(2)), "MultivariateNormal"),
        (lambda d, t: d.Categorical(probs=t.ones(2) / 2), "Categorical"),
    ],
    ids=["Normal", "MultivariateNormal", "Categorical"],
)
def test_distributions_of_torch_are_told_our_family(build, ours):
    torch = pytest.importorskip("torch")
    with pytest.raises(errors.InvalidTypeError, match=rf"p is a distribution of torch; build kltools\.{ours}\("):
        kl.kl_divergence(build(torch.distributions, torch), NORMAL)


def test_a_class_is_told_to_be_built():
    with pytest.raises(errors.InvalidTypeError, match=r"p is the class Normal; build one: Normal\(mean=\.\.\., var"):
        kl.kl_divergence(kl.Normal, NORMAL)


@pytest.mark.parametrize(("p", "q"), [(POISSON, CATEGORICAL), (CATEGORICAL, POISSON)], ids=["PC", "CP"])
def test_an_unknown_pair_is_named_with_a_way_out(p, q):
    names = f"{type(p).__name__} \\|\\| {type(q).__name__}"
    with pytest.raises(errors.NoClosedFormError, match=rf"{names}.*estimate_kl_monte_carlo\(p, q, n_samples"):
        kl.kl_divergence(p, q)
    with pytest.raises(NotImplementedError):
        kl.kl_divergence(p, q)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (DIAGONAL, kl.MultivariateNormalDiag(mean=[0], var=[1])),
        (FULL, kl.MultivariateNormal(mean=[0], cov=[[1]])),
        (DIAGONAL, kl.MultivariateNormal(mean=[0], cov=[[1]])),
        (FULL, kl.MultivariateNormalDiag(mean=[0, 0, 0], var=[1, 1, 1])),
        (CATEGORICAL, kl.Categorical(probs=[0.5, 0.25, 0.25])),
        (NORMAL, DIAGONAL),
        (FULL, NORMAL),
    ],
    ids=lambda d: f"{type(d).__name__}{d.event_shape}",
)
def test_events_that_differ_raise(p, q):
    for first, second in ((p, q), (q, p)):
        with pytest.raises(errors.ShapeMismatchError):
            kl.kl_divergence(first, second)


def test_batches_that_do_not_broadcast_raise_and_point_to_pairwise():
    p, q = kl.Normal(mean=np.zeros(3), var=1), kl.Normal(mean=np.zeros(2), var=1)
    with pytest.raises(errors.ShapeMismatchError, match=r"\(3,\).*\(2,\).*pairwise_kl"):
        kl.kl_divergence(p, q)


@pytest.mark.parametrize("unit", ["bit", "nat", "NATS", None, 2, math.e, ["nats"]], ids=str)
def test_a_wrong_unit_is_refused(unit):
    for call in (kl.kl_divergence, kl.pairwise_kl):
        with pytest.raises(errors.InvalidParameterError, match=r"unit must be one of 'nats', 'bits'"):
            call(NORMAL[None], NORMAL[None], unit=unit)


@pytest.mark.parametrize("p", [NORMAL, DIAGONAL, FULL, CATEGORICAL], ids=lambda p: type(p).__name__)
@no_gpu
def test_a_missing_gpu_is_an_error(p):
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        kl.kl_divergence(p, p, device="cuda")
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        kl.pairwise_kl(p[None], device="cuda")


@no_gpu
def test_a_missing_gpu_is_an_error_where_the_divergence_is_infinite():
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        kl.kl_divergence(kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1), device="cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:0", 0, ["cpu"]], ids=str)
def test_an_unknown_device_is_refused(device):
    with pytest.raises(errors.InvalidParameterError, match="device must be None"):
        kl.kl_divergence(NORMAL, NORMAL, device=device)
    with pytest.raises(errors.InvalidParameterError, match="device must be None"):
        kl.kl_divergence(kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1), device=device)


@pytest.mark.parametrize("call", [kl.kl_divergence, kl.pairwise_kl])
def test_unit_and_device_are_keyword_only(call):
    with pytest.raises(TypeError, match="positional"):
        call(NORMAL, NORMAL, "bits")


# ---------------------------------------------------------------- what comes out


def test_bits_are_nats_by_log_2():
    p = kl.Normal(mean=[0.0, 1.0], var=[1.0, 2.0])
    np.testing.assert_allclose(kl.kl_divergence(p, NORMAL, unit="bits"), kl.kl_divergence(p, NORMAL) / math.log(2))
    np.testing.assert_allclose(kl.pairwise_kl(p, unit="bits"), kl.pairwise_kl(p) / math.log(2))
    uniform, point = kl.Categorical(probs=[0.25] * 4), kl.Categorical(probs=[1.0, 0, 0, 0])
    assert kl.kl_divergence(point, uniform, unit="bits") == 2.0
    assert kl.kl_divergence(uniform, point, unit="bits") == math.inf


def test_single_distributions_give_a_float_and_batches_an_array():
    assert type(kl.kl_divergence(NORMAL, NORMAL)) is float
    assert kl.kl_divergence(NORMAL[None], NORMAL).shape == (1,)
    assert kl.kl_divergence(NORMAL[None, None], NORMAL[None]).shape == (1, 1)
    assert kl.kl_divergence(NORMAL, NORMAL, device="cpu") == 0.0


def random_batch(kind, n, seed):
    rng = np.random.default_rng(seed)
    if kind == "Normal":
        return kl.Normal(mean=rng.normal(size=n), var=rng.gamma(2.0, size=n))
    if kind == "Categorical":
        return kl.Categorical(probs=rng.dirichlet(np.ones(5), size=n))
    if kind == "MultivariateNormalDiag":
        return kl.MultivariateNormalDiag(mean=rng.normal(size=(n, 3)), var=rng.gamma(2.0, size=(n, 3)))
    factor = rng.normal(size=(n, 3, 5))
    return kl.MultivariateNormal(mean=rng.normal(size=(n, 3)), cov=factor @ np.swapaxes(factor, 1, 2))


KINDS = ["Normal", "MultivariateNormalDiag", "MultivariateNormal", "Categorical"]


@pytest.mark.parametrize("kind", KINDS)
def test_pairwise_is_a_double_loop(kind):
    ps, qs = random_batch(kind, 4, 1), random_batch(kind, 3, 2)
    loop = [[kl.kl_divergence(p, q) for q in qs] for p in ps]
    np.testing.assert_array_equal(kl.pairwise_kl(ps, qs), loop)


@pytest.mark.parametrize("kind", KINDS)
def test_pairwise_of_one_batch_has_a_zero_diagonal(kind):
    ps = random_batch(kind, 4, 3)
    np.testing.assert_array_equal(kl.pairwise_kl(ps), kl.pairwise_kl(ps, ps))
    np.testing.assert_array_equal(np.diag(kl.pairwise_kl(ps)), np.zeros(4))


@pytest.mark.parametrize("kind", KINDS)
def test_pairwise_of_an_empty_batch_is_empty(kind):
    ps = random_batch(kind, 4, 3)
    assert kl.pairwise_kl(ps, ps[:0]).shape == (4, 0)
    assert kl.pairwise_kl(ps[:0], ps).shape == (0, 4)


@pytest.mark.parametrize(("kind_p", "kind_q"), [KINDS[1:3], KINDS[2:0:-1]])
def test_pairwise_of_two_families(kind_p, kind_q):
    ps, qs = random_batch(kind_p, 4, 1), random_batch(kind_q, 3, 2)
    np.testing.assert_array_equal(kl.pairwise_kl(ps, qs), [[kl.kl_divergence(p, q) for q in qs] for p in ps])


def test_pairwise_needs_one_dimensional_batches():
    for ps, qs, name in ((NORMAL, None, "ps"), (NORMAL[None], NORMAL, "qs"), (NORMAL[None, None], NORMAL[None], "ps")):
        with pytest.raises(errors.ShapeMismatchError, match=f"{name} must be a one-dimensional batch"):
            kl.pairwise_kl(ps, qs)
    with pytest.raises(errors.InvalidTypeError, match="ps is a ndarray"):
        kl.pairwise_kl(np.zeros((3, 2)))


# ---------------------------------------------------------------- a user's own pairs


@pytest.fixture
def registries():
    """What a test registers is gone after it."""
    before = dict(closed_forms._CLOSED_FORMS)
    yield
    closed_forms._CLOSED_FORMS.clear()
    closed_forms._CLOSED_FORMS.update(before)


@pytest.fixture
def decay(registries):
    @kl.family
    class Decay(kl.Distribution):
        rate: float = kl.param("positive")

    return Decay


def test_a_users_scalar_formula(decay):
    @kl.register_kl(decay, decay)
    def kl_decay_decay(rate_p, rate_q):
        return math.log(rate_p / rate_q) + rate_q / rate_p - 1.0

    p, q = decay(rate=[[1.0], [2.0]]), decay(rate=[1.0, 2.0, 4.0])
    expected = np.log(p.rate / q.rate) + q.rate / p.rate - 1.0
    np.testing.assert_allclose(kl.kl_divergence(p, q), expected, rtol=1e-14)
    np.testing.assert_allclose(kl.pairwise_kl(p[:, 0], q, unit="bits"), expected / math.log(2), rtol=1e-14)
    assert kl_decay_decay.parameters == ("rate_p", "rate_q")
    assert (decay, decay) in closed_forms.registered_pairs()
    with pytest.raises(errors.InvalidParameterError, match=r"rate of Decay must be > 0, got -1\.0"):
        decay(rate=-1)


def test_a_users_family_may_have_the_name_of_another():
    @kl.family
    class Gumbel(kl.Distribution):
        rate: float = kl.param("positive")

    with pytest.raises(errors.NoClosedFormError, match=r"KL\(Gamma \|\| Gumbel\)"):
        kl.kl_divergence(kl.Gamma(shape=1.0, rate=1.0), Gumbel(rate=1.0))
    assert (kl.Gamma, kl.Gumbel) in closed_forms.registered_pairs()


def test_a_users_scalar_formula_is_summed_over_the_event(registries):
    @kl.family
    class Decays(kl.Distribution):
        rate: float = kl.param("positive", event_ndim=1)

    @kl.register_kl(Decays, Decays)
    def kl_decays_decays(rate_p, rate_q):
        return math.log(rate_p / rate_q) + rate_q / rate_p - 1.0

    p, q = Decays(rate=[1.0, 2.0, 3.0]), Decays(rate=np.full((5, 3), 2.0))
    assert p.event_shape == (3,)
    np.testing.assert_allclose(kl.kl_divergence(p, q), [np.sum(np.log(p.rate / 2) + 2 / p.rate - 1)] * 5)


def test_a_formula_may_use_parameters_of_one_side_only(decay):
    @kl.register_kl(decay, decay)
    def kl_one_sided(rate_q):
        return 2.0 * rate_q

    np.testing.assert_array_equal(kl.kl_divergence(decay(rate=[1.0, 1.0]), decay(rate=3.0)), [6.0, 6.0])


def test_a_users_function_of_two_distributions(decay):
    @kl.register_kl(kl.Normal, decay)
    def kl_normal_decay(p, q):
        return p.mean * q.rate

    p = kl.Normal(mean=[1.0, 2.0], var=1.0)
    np.testing.assert_array_equal(kl.kl_divergence(p, decay(rate=3.0)), [3.0, 6.0])
    assert kl.kl_divergence(p[1], decay(rate=3.0)) == 6.0
    with pytest.raises(errors.NoClosedFormError, match=r"Decay \|\| Normal"):
        kl.kl_divergence(decay(rate=3.0), p)


def test_wrong_argument_names_are_refused(decay):
    with pytest.raises(errors.InvalidParameterError, match=r"rate_p, mean_q, var_q; got rate_q, sigma_q"):

        @kl.register_kl(decay, kl.Normal)
        def kl_wrong(rate_p, rate_q, sigma_q):
            return 0.0

    assert (decay, kl.Normal) not in closed_forms.registered_pairs()


def test_a_subclass_inherits_the_forms(registries):
    class Centred(kl.Normal):
        """A family of a user's own, by inheritance."""

    p, q = Centred(mean=0.0, var=2.0), kl.Normal(mean=1.0, var=1.0)
    same = kl.Normal(mean=0.0, var=2.0)
    assert kl.kl_divergence(p, q) == kl.kl_divergence(same, q)
    assert kl.kl_divergence(q, p) == kl.kl_divergence(q, same)
    assert type(p[None]) is Centred

    @kl.register_kl(Centred, kl.Normal)
    def kl_centred_normal(p, q):
        return np.full(p.batch_shape, 7.0)

    assert kl.kl_divergence(p, q) == 7.0
    assert kl.kl_divergence(same, q) != 7.0


def test_an_edited_formula_is_not_answered_from_the_disk(decay):
    """Two runs of one script, between which the user has corrected the formula."""
    for constant in (1.0, 2.0):
        source = f"def kl_edited(rate_p, rate_q):\n    return {constant} * (rate_p - rate_q) ** 2\n"
        script = {"__name__": "users_script"}
        exec(source, script)
        kl.register_kl(decay, decay)(script["kl_edited"])
        assert kl.kl_divergence(decay(rate=1.0), decay(rate=3.0)) == 4.0 * constant


def test_a_pair_may_name_a_family_of_the_library(decay):
    with pytest.raises(errors.InvalidParameterError, match="no family of the library is named 'Nope'"):

        @kl.register_kl(decay, "Nope")
        def kl_decay_nope(rate_p, rate_q):
            return 0.0

    with pytest.raises(errors.InvalidParameterError, match="rate_p, scale_q; got shape_q"):

        @kl.register_kl(decay, "Rayleigh")
        def kl_decay_shape(rate_p, shape_q):
            return 0.0

    @kl.register_kl(decay, "Rayleigh")
    def kl_decay_rayleigh(rate_p, scale_q):
        return rate_p * scale_q

    assert kl.kl_divergence(decay(rate=2.0), kl.Rayleigh(scale=3.0)) == 6.0
    assert (decay, kl.Rayleigh) in closed_forms.registered_pairs()
    with pytest.raises(kl.NoClosedFormError):
        kl.kl_divergence(decay(rate=2.0), decay(rate=2.0))


def test_values_that_q_cannot_have_make_the_divergence_infinite(registries):
    @kl.family
    class Interval(kl.Distribution):
        low: float = kl.param("real")
        high: float = kl.param("real")

        def _support(self):
            return self.low, self.high

    @kl.register_kl(Interval, Interval)
    def kl_interval_interval(low_p, high_p, low_q, high_q):
        return math.log((high_q - low_q) / (high_p - low_p))

    p, q = Interval(low=[0.0, -1.0, 0.0], high=[1.0, 1.0, 3.0]), Interval(low=0.0, high=2.0)
    np.testing.assert_array_equal(kl.kl_divergence(p, q), [math.log(2.0), math.inf, math.inf])
    normal = kl.Normal(mean=0.0, var=[1.0, 2.0])
    np.testing.assert_array_equal(kl.kl_divergence(normal, q), [math.inf, math.inf])  # without a closed form
    with pytest.raises(kl.NoClosedFormError):
        kl.kl_divergence(q, normal)
