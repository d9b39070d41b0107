"""Every family and every registered pair, found through the registries: whatever is registered is tested.

A new family needs a builder in `EXAMPLES` and a law of SciPy in `ORACLES` of one of the files laws_*.py, a new pair
nothing. What has no closed form stands in `WITHOUT_ENTROPY`, and is compared by its log-densities.
"""

import copy
import dataclasses
import importlib
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate

import kltools as kl
from kltools import errors
from kltools._parameters import DOMAINS
from kltools.closed_forms import registered_pairs
from kltools.distribution import FAMILIES

N_DRAWS = 40_000
N_ERRORS = 5.0  # Monte Carlo standard errors allowed; seeds are fixed

LAWS = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("laws_*.py"))]
EXAMPLES = {cls: example for laws in LAWS for cls, example in laws.EXAMPLES.items()}
ORACLES = {cls: law for laws in LAWS for cls, law in laws.ORACLES.items()}
WITHOUT_ENTROPY = {cls for laws in LAWS for cls in laws.WITHOUT_ENTROPY}

OURS = list(FAMILIES.values())
PAIRS = [pair for pair in registered_pairs() if pair[0].__module__.startswith("kltools.")]
PARAMETERS = [(cls, field.name) for cls in OURS for field in dataclasses.fields(cls)]
COMPOSED = [cls for cls in EXAMPLES if cls not in FAMILIES.values()]  # their parameters are no arrays
every_family = pytest.mark.parametrize("cls", [*OURS, *COMPOSED], ids=lambda cls: cls.__name__)
every_declared_family = pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
with_entropy = pytest.mark.parametrize(
    "cls", [c for c in [*OURS, *COMPOSED] if c not in WITHOUT_ENTROPY], ids=lambda c: c.__name__
)
every_parameter = pytest.mark.parametrize(("cls", "name"), PARAMETERS, ids=lambda x: getattr(x, "__name__", x))
every_pair = pytest.mark.parametrize(("cls_p", "cls_q"), PAIRS, ids=lambda cls: cls.__name__)


def example(cls, batch=(), seed=0):
    assert cls in EXAMPLES, f"{cls.__name__} needs a builder in EXAMPLES of tests/laws_*.py"
    return EXAMPLES[cls](np.random.default_rng(seed), batch)


def oracle(p):
    assert type(p) in ORACLES, f"{type(p).__name__} needs a law in ORACLES of tests/laws_*.py"
    return ORACLES[type(p)](p)


def log_density(law, x):
    return law.logpdf(x) if hasattr(law, "logpdf") else law.logpmf(x)


def draws(law, n, seed):
    return law.rvs(size=n, random_state=np.random.default_rng(seed))


def compared(p, q):
    """A number for each of a batch: its divergence from q, or its log-density at a draw of q where there is no form."""
    if (type(p), type(q)) in PAIRS:
        return kl.kl_divergence(p, q)
    return p.log_prob(q.sample(random_state=0))


def rebuild(cls, **changed):
    return cls(**{**example(cls).parameters, **changed})


# ---------------------------------------------------------------- parameters


@every_declared_family
def test_is_documented_and_public(cls):
    assert getattr(kl, cls.__name__) is cls
    assert all(field.name in cls.__doc__ for field in dataclasses.fields(cls))


@every_parameter
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_parameter_must_be_finite(cls, name, value):
    array = np.array(getattr(example(cls), name))
    array.flat[-1] = value
    with pytest.raises(errors.InvalidParameterError, match=f"{name} of {cls.__name__}"):
        rebuild(cls, **{name: array})


OUTSIDE = {
    "real": [],
    "positive": [lambda a: 0.0 * a, lambda a: -a, lambda a: np.where(a == a.max(), -5e-324, a)],
    "nonnegative": [lambda a: -1.0 - a, lambda a: np.full_like(a, -5e-324)],
    "probability": [lambda a: a + 1.1, lambda a: a - 1.1, lambda a: np.full_like(a, -5e-324)],
    "open probability": [lambda a: 0.0 * a, lambda a: np.ones_like(a), lambda a: a + 1.1],
    "count": [lambda a: a + 0.5, lambda a: -1.0 - a],
    "direction": [lambda a: 0.0 * a, lambda a: 1.01 * a],
    "probabilities": [lambda a: 2.0 * a, lambda a: 0.0 * a, lambda a: a - 0.9, lambda a: a + 2e-6],
    "symmetric": [lambda a: a + np.triu(np.ones_like(a), 1), lambda a: a[..., :-1], lambda a: 0.0 * a, lambda a: -a],
}


@every_parameter
def test_a_parameter_must_lie_in_its_domain(cls, name):
    (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
    assert set(OUTSIDE) == set(DOMAINS), "every domain needs examples of what lies outside"
    for spoil in OUTSIDE[field.metadata["domain"]]:
        with pytest.raises(errors.InvalidParameterError, match=f"{name} of {cls.__name__}"):
            rebuild(cls, **{name: spoil(getattr(example(cls), name))})


@every_parameter
@pytest.mark.parametrize("value", [None, "1.0", {"a": 1}, {1.0}, object(), ["a"]], ids=str)
def test_a_parameter_must_be_numbers(cls, name, value):
    with pytest.raises(errors.InvalidTypeError, match=f"{name} of {cls.__name__}"):
        rebuild(cls, **{name: value})


@every_parameter
def test_a_parameter_must_have_its_event_axes(cls, name):
    (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
    n_axes = field.metadata["event_ndim"]
    for too_few in range(n_axes):
        with pytest.raises(errors.ShapeMismatchError, match=rf"{name} of {cls.__name__}.*shape"):
            rebuild(cls, **{name: np.ones((1,) * too_few)})
    if n_axes:
        with pytest.raises(errors.ShapeMismatchError, match=f"{name} of {cls.__name__} is empty"):
            rebuild(cls, **{name: np.ones((0,) * n_axes)})


@every_parameter
def test_parameters_must_agree_in_shape(cls, name):
    others = [field.name for field in dataclasses.fields(cls) if field.name != name]
    if not others:
        return
    wrong_batch = {other: np.array(getattr(example(cls, (2,)), other)) for other in others}
    with pytest.raises(errors.ShapeMismatchError, match=rf"{cls.__name__}: batch shapes.*{name}"):
        cls(**{name: getattr(example(cls, (3,)), name)}, **wrong_batch)
    array = getattr(example(cls), name)
    if array.ndim and any(getattr(example(cls), other).ndim for other in others):
        smaller = array[tuple(slice(length - 1) for length in array.shape)]
        with pytest.raises(errors.ShapeMismatchError, match=rf"{cls.__name__}: event shapes.*{name}"):
            rebuild(cls, **{name: smaller})


@every_declared_family
def test_parameters_are_keyword_only(cls):
    call = rf"{cls.__name__} takes its parameters by name, {cls.__name__}\({'=..., '.join(example(cls).parameters)}="
    with pytest.raises(errors.InvalidTypeError, match=rf"{call}.*got \d positional argument"):
        cls(*example(cls).parameters.values())
    with pytest.raises(errors.InvalidTypeError, match=rf"{call}.*got the unknown sigma"):
        rebuild(cls, sigma=1.0)
    with pytest.raises(errors.InvalidTypeError, match=rf"{call}.*no parameter {', '.join(example(cls).parameters)}"):
        cls()


def test_other_ways_to_build_a_family_are_named():
    for wrong in ({"mean": 0, "sigma": 1}, {"mean": 0, "std": 1}, {}):
        with pytest.raises(errors.InvalidTypeError, match=r"Normal\.from_std\(mean=\.\.\., std=\.\.\.\)"):
            kl.Normal(**wrong)
    with pytest.raises(errors.InvalidTypeError, match=r"got no parameter var and the unknown sigma; there is also"):
        kl.Normal(mean=0, sigma=1)
    assert str(inspect.signature(kl.Normal)).startswith("(*, mean")


def test_a_family_may_build_itself():
    @kl.family
    class Shifted(kl.Distribution):
        loc: float = kl.param("real")

        def __init__(self, at):
            object.__setattr__(self, "loc", at)
            self.__post_init__()

    assert Shifted(2.0).loc == 2.0


def test_what_a_family_does_not_define():
    @kl.family
    class Bare(kl.Distribution):
        rate: float = kl.param("positive")

    for use in (lambda p: p.entropy(), kl.entropy, lambda p: p.sample(3), lambda p: p.log_prob(1.0)):
        with pytest.raises(errors.NoClosedFormError, match=r"Bare defines no _(entropy|sample|log_prob)\("):
            use(Bare(rate=1.0))


@every_declared_family
def test_is_frozen(cls):
    p = example(cls)
    for name, array in p.parameters.items():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(p, name, array)
        with pytest.raises(ValueError, match="read-only"):
            getattr(p, name)[...] = 0.0


@every_declared_family
def test_later_changes_of_the_given_arrays_do_not_reach_it(cls):
    given = {name: np.array(array) for name, array in example(cls).parameters.items()}
    p = cls(**given)
    for array in given.values():
        array[...] = np.nan
    assert all(np.isfinite(array).all() for array in p.parameters.values())


@every_declared_family
def test_parameters_of_other_types_are_converted(cls):
    p = example(cls, (2,))
    lists = cls(**{name: array.tolist() for name, array in p.parameters.items()})
    for name, array in p.parameters.items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(getattr(lists, name), array)
    single = cls(**{name: array.astype(np.float32) for name, array in p.parameters.items()})
    assert all(array.dtype == np.float64 for array in single.parameters.values())


# ---------------------------------------------------------------- batches


@every_family
def test_batch_and_event_shape(cls):
    for batch in ((), (4,), (4, 3)):
        p = example(cls, batch)
        assert p.batch_shape == batch
        assert np.shape(p.sample(random_state=0)) == batch + p.event_shape
        assert np.shape(p.sample(7, random_state=0)) == (7, *batch, *p.event_shape)
        assert np.shape(p.sample((2, 5), random_state=0)) == (2, 5, *batch, *p.event_shape)
        assert np.shape(p.log_prob(np.zeros((2, *batch, *p.event_shape)))) == (2, *batch)
        if cls not in WITHOUT_ENTROPY:
            assert np.shape(p.entropy()) == batch


@every_family
def test_an_empty_batch_has_empty_results(cls):
    p = example(cls, (0,))
    assert p.sample(3, random_state=0).shape == (3, 0, *p.event_shape)
    assert p.log_prob(np.zeros(p.event_shape)).shape == (0,)
    if cls not in WITHOUT_ENTROPY:
        assert p.entropy().shape == (0,)


INDICES = [
    1,
    -1,
    np.int64(2),
    slice(1, 3),
    slice(None, None, -2),
    slice(0, 0),
    None,
    ...,
    (..., 0),
    (1, slice(None)),
    (slice(None), None, 2),
    [3, 0, 0],
    (np.array([[0], [1]]), np.array([1, 2])),
    np.array([True, False, True, True]),
    np.arange(12).reshape(4, 3) % 2 == 0,
]


@every_family
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_equals_indexing_of_the_results(cls, index):
    p, x = example(cls, (4, 3)), np.zeros(example(cls).event_shape)
    part, whole = p[index], compared(p, example(cls, seed=1))
    assert type(part) is cls
    assert part.batch_shape == np.zeros((4, 3))[index].shape
    np.testing.assert_array_equal(compared(part, example(cls, seed=1)), whole[index])
    if cls not in WITHOUT_ENTROPY:
        np.testing.assert_array_equal(part.entropy(), p.entropy()[index])
    np.testing.assert_allclose(part.log_prob(x), p.log_prob(x)[index], rtol=1e-12)


def test_indexing_of_parameters_that_broadcast():
    p = kl.Normal(mean=np.arange(4.0)[:, None], var=[1.0, 2.0, 3.0])
    assert p.batch_shape == (4, 3)
    assert (float(p[2, 1].mean), float(p[2, 1].var)) == (2.0, 2.0)
    np.testing.assert_array_equal(p[1:, 0].mean, [1.0, 2.0, 3.0])
    q = kl.MultivariateNormal(mean=np.zeros((4, 1, 2)), cov=np.eye(2) * np.array([1.0, 2.0, 3.0])[:, None, None])
    np.testing.assert_array_equal(q[3, 1].cov, 2.0 * np.eye(2))


@every_family
def test_wrong_indices_raise_as_those_of_arrays(cls):
    for p, index in ((example(cls, (4,)), 4), (example(cls, (4,)), (0, 0)), (example(cls), 0)):
        with pytest.raises(IndexError):
            p[index]


@every_family
def test_length_and_iteration(cls):
    p, q = example(cls, (4,)), example(cls, seed=1)
    assert len(p) == len(list(p)) == 4
    assert len(p[:0]) == 0
    np.testing.assert_array_equal([compared(each, q) for each in p], compared(p, q))
    for use in (len, iter):
        with pytest.raises(TypeError, match="single distribution"):
            use(q)


@every_family
def test_a_distribution_is_true(cls):
    assert example(cls)


@every_family
def test_equality_is_identity(cls):
    p = example(cls)
    assert p == p
    assert p != example(cls)
    assert len({p, p, example(cls)}) == 2


@every_declared_family
def test_repr_names_the_family_and_shapes(cls):
    p = example(cls, (4, 3))
    assert repr(p) == f"{cls.__name__}(batch_shape=(4, 3), event_shape={p.event_shape})"
    assert repr(example(cls)).startswith(f"{cls.__name__}(")


def test_repr_of_scalar_parameters_can_be_evaluated():
    p = kl.Normal(mean=0.1, var=2)
    assert repr(p) == "Normal(mean=0.1, var=2.0)"
    assert eval(repr(p), {"Normal": kl.Normal}).parameters == p.parameters


@every_family
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_and_pickles(cls, duplicate):
    p = example(cls, (3,))
    assert duplicate(p).batch_shape == (3,)
    np.testing.assert_array_equal(compared(duplicate(p), example(cls, seed=1)), compared(p, example(cls, seed=1)))
    if (cls, cls) in PAIRS:
        np.testing.assert_array_equal(kl.kl_divergence(duplicate(p), p), np.zeros(3))


# ---------------------------------------------------------------- densities, draws, entropy


@every_family
def test_log_prob_is_that_of_scipy(cls):
    for seed in range(5):
        p = example(cls, seed=seed)
        x = draws(oracle(p), 50, seed)
        for scale in (1.0, 1.5 if p.is_continuous else 1.0):
            expected = log_density(oracle(p), scale * x)
            np.testing.assert_allclose(p.log_prob(scale * x), expected, rtol=1e-10, atol=1e-12)


@every_family
def test_log_prob_broadcasts(cls):
    p = example(cls, (4,))
    x = p.sample(6, random_state=0)
    expected = [[p[j].log_prob(x[i, j]) for j in range(4)] for i in range(6)]
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-12)
    assert isinstance(p[0].log_prob(x[0, 0]), float)


@every_family
@pytest.mark.parametrize(("value", "expected"), [(np.nan, np.nan), (np.inf, -np.inf), (-np.inf, -np.inf)])
def test_log_prob_at_what_is_no_finite_number(cls, value, expected):
    """One such coordinate is enough, and nothing else of a batch feels it."""
    p = example(cls, (4,))
    x = p.sample(6, random_state=0)
    spoiled = np.array(x)
    spoiled[2, 1] = np.where(np.arange(x[2, 1].size).reshape(x[2, 1].shape) == 0, value, x[2, 1])
    wanted = np.array(p.log_prob(x))
    wanted[2, 1] = expected
    np.testing.assert_array_equal(p.log_prob(spoiled), wanted)
    np.testing.assert_array_equal(p[0].log_prob(np.full(p.event_shape, value)), expected)


@every_family
def test_log_prob_of_a_wrong_shape_raises(cls):
    p = example(cls, (4,))
    with pytest.raises(errors.ShapeMismatchError, match="shape"):
        p.log_prob(np.zeros((5, *p.event_shape)))
    if p.event_shape:
        with pytest.raises(errors.ShapeMismatchError, match="event shape"):
            p.log_prob(np.zeros((4, *p.event_shape[:-1], p.event_shape[-1] + 1)))


def total_mass(p, law):
    if hasattr(law, "total_mass"):
        return law.total_mass(p)
    if not p.is_continuous:
        return np.exp(p.log_prob(np.arange(-3.0, 100.0))).sum()
    if not p.event_shape:
        return integrate.quad(lambda x: np.exp(p.log_prob(x)), *law.support())[0]
    deviation = np.sqrt(np.diag(law.cov_object.covariance))
    axes = [m + s * np.linspace(-9.0, 9.0, 60) for m, s in zip(law.mean, deviation, strict=True)]
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    return cell * np.exp(p.log_prob(np.stack(np.meshgrid(*axes), axis=-1))).sum()


@every_family
def test_density_integrates_to_one(cls):
    p = example(cls, seed=2)
    assert total_mass(p, oracle(p)) == pytest.approx(1.0, abs=1e-6)


def test_normal_log_prob_at_extreme_scales():
    assert kl.Normal(mean=0, var=1e300).log_prob(1e200) == pytest.approx(-5e99, rel=1e-12, abs=0)
    assert kl.Normal(mean=0, var=5e-324).log_prob(0.0) == pytest.approx(371.3010974274864, rel=1e-12, abs=0)


@every_family
def test_moments_of_draws(cls):
    p = example(cls, seed=3)
    law = oracle(p)
    mean = np.atleast_1d(law.mean() if callable(law.mean) else law.mean)
    covariance = np.atleast_2d(law.var() if hasattr(law, "var") else law.cov_object.covariance)
    x = p.sample(N_DRAWS, random_state=4).reshape(N_DRAWS, -1)
    if not np.isfinite(covariance).all():  # what has no variance is mapped to uniform numbers
        x, mean, covariance = law.cdf(x), 1 / 2, 1 / 12
    x = x - mean
    assert (np.abs(x.mean(axis=0)) <= N_ERRORS * x.std(axis=0) / N_DRAWS**0.5).all()
    products = x[:, :, None] * x[:, None, :]
    assert (np.abs(products.mean(axis=0) - covariance) <= N_ERRORS * products.std(axis=0) / N_DRAWS**0.5).all()


@every_family
def test_draws_follow_the_seed(cls):
    p = example(cls, (2,))
    np.testing.assert_array_equal(p.sample(9, random_state=5), p.sample(9, random_state=5))
    assert (p.sample(9, random_state=5) != p.sample(9, random_state=6)).any()
    for seed in (np.random.default_rng(5), np.random.RandomState(5)):
        assert p.sample(9, random_state=seed).shape == (9, 2, *p.event_shape)
    for size in (2.0, [2, 3], "2", True):
        with pytest.raises(errors.InvalidTypeError, match="size must be an int or a tuple of ints, got"):
            p.sample(size)
    with pytest.raises(errors.InvalidParameterError, match="size"):
        p.sample(-1)


@with_entropy
def test_entropy_is_that_of_scipy(cls):
    p = example(cls, (5,))
    np.testing.assert_allclose(p.entropy(), [oracle(each).entropy() for each in p], rtol=1e-12)
    assert isinstance(p[0].entropy(), float)


@with_entropy
def test_an_entropy_of_zero_has_no_sign(cls):
    entropy = np.asarray(example(cls, (5,)).entropy())
    assert not np.signbit(entropy[entropy == 0.0]).any()
    assert not np.signbit(kl.Uniform(low=0, high=1).entropy())


@pytest.mark.parametrize("cls", WITHOUT_ENTROPY, ids=lambda cls: cls.__name__)
def test_an_entropy_without_a_formula_says_what_to_do(cls):
    for p in (example(cls), example(cls, (2,))):
        with pytest.raises(errors.NoClosedFormError, match=rf"entropy of a {cls.__name__}.*estimate_kl_monte_carlo\(p"):
            p.entropy()


# ---------------------------------------------------------------- pairs


@every_pair
def test_pair_is_the_mean_log_ratio(cls_p, cls_q):
    """Draws and log-densities are those of SciPy; nothing of the library takes part."""
    for seed in range(3):
        p, q = example(cls_p, seed=seed), example(cls_q, seed=seed + 10)
        x = draws(oracle(p), N_DRAWS, seed)
        ratio = log_density(oracle(p), x) - log_density(oracle(q), x)
        if np.isinf(ratio).any():
            assert kl.kl_divergence(p, q) == np.inf
            continue
        error = ratio.std() / N_DRAWS**0.5
        assert abs(kl.kl_divergence(p, q) - ratio.mean()) <= N_ERRORS * error + 1e-14 * abs(ratio.mean())


@every_pair
def test_pair_is_never_negative(cls_p, cls_q):
    p, q = example(cls_p, (40, 1)), example(cls_q, (30,), seed=1)
    assert (kl.kl_divergence(p, q) >= 0.0).all()


@every_pair
def test_pair_of_equals_is_zero(cls_p, cls_q):
    p = example(cls_p, (20,))
    if cls_p is cls_q:
        np.testing.assert_array_equal(kl.kl_divergence(p, p), np.zeros(20))
        np.testing.assert_array_equal(kl.kl_divergence(p, example(cls_p, (20,))), np.zeros(20))


@every_pair
def test_pair_of_batches_is_a_loop(cls_p, cls_q):
    p, q = example(cls_p, (4, 1)), example(cls_q, (3,), seed=1)
    value = kl.kl_divergence(p, q)
    np.testing.assert_array_equal(value, [[kl.kl_divergence(p[i, 0], q[j]) for j in range(3)] for i in range(4)])
    assert isinstance(kl.kl_divergence(p[0, 0], q[0]), float)


@every_pair
@pytest.mark.parametrize("batch", [(0,), (2, 0), (0, 2)], ids=str)
def test_pair_of_an_empty_batch_is_empty(cls_p, cls_q, batch):
    assert kl.kl_divergence(example(cls_p, batch), example(cls_q)).shape == batch
    assert kl.kl_divergence(example(cls_p), example(cls_q, batch)).shape == batch
