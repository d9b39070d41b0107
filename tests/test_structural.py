"""Independent, Product and Transformed: batches and events, densities, divergences of the parts, invariance."""

import copy
import dataclasses
import math
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import kltools as kl
from kltools import closed_forms, errors, maps

no_gpu = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")


def normals(rng, batch):
    return kl.Normal(mean=rng.normal(size=batch), var=rng.gamma(2.0, size=batch))


def diagonals(rng, batch, d):
    return kl.MultivariateNormalDiag(mean=rng.normal(size=(*batch, d)), var=rng.gamma(2.0, size=(*batch, d)))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------- Independent


def test_a_batch_of_normals_is_a_diagonal_gaussian(rng):
    p, q = normals(rng, (4, 3)), normals(rng, (3,))
    ours = kl.Independent(p, 1), kl.Independent(q, 1)
    diagonal = [kl.MultivariateNormalDiag(mean=a.mean, var=a.var) for a in (p, q)]
    np.testing.assert_allclose(kl.kl_divergence(*ours), kl.kl_divergence(*diagonal), rtol=1e-14)
    np.testing.assert_allclose(kl.pairwise_kl(ours[0]), kl.pairwise_kl(diagonal[0]), rtol=1e-14)
    x = rng.normal(size=(5, 4, 3))
    np.testing.assert_allclose(ours[0].log_prob(x), diagonal[0].log_prob(x), rtol=1e-14)
    np.testing.assert_allclose(ours[0].entropy(), diagonal[0].entropy(), rtol=1e-14)
    np.testing.assert_array_equal(ours[0].sample(7, random_state=1), p.sample(7, random_state=1))


def test_axes_of_the_batch_come_before_those_of_the_base(rng):
    base = diagonals(rng, (5, 4, 2), 3)
    for n, batch, event in ((0, (5, 4, 2), (3,)), (1, (5, 4), (2, 3)), (3, (), (5, 4, 2, 3))):
        p = kl.Independent(base, n)
        assert (p.batch_shape, p.event_shape) == (batch, event)
        assert np.shape(p.sample(6, random_state=0)) == (6, *batch, *event)
        x = rng.normal(size=(6, *batch, *event))
        parts = base.log_prob(x).reshape((6, *batch, -1)).sum(axis=-1)
        np.testing.assert_allclose(p.log_prob(x), parts, rtol=1e-13)
        np.testing.assert_allclose(p.entropy(), base.entropy().reshape((*batch, -1)).sum(axis=-1), rtol=1e-13)
    assert isinstance(kl.Independent(base, 3).entropy(), float)


def test_selecting_takes_whole_events(rng):
    base = normals(rng, (4, 3, 2))
    part = kl.Independent(base, 1)[1:, [2, 0]]
    assert (part.batch_shape, part.event_shape) == ((3, 2), (2,))
    np.testing.assert_array_equal(part.base.mean, base.mean[1:, [2, 0]])


def test_parameters_that_broadcast_are_counted_as_often_as_they_serve():
    p, q = (kl.Independent(kl.Normal(mean=np.full((2, 5), mean), var=1.0), 1) for mean in (0.0, 1.0))
    np.testing.assert_array_equal(kl.kl_divergence(p, q), [2.5, 2.5])
    np.testing.assert_allclose(kl.Independent(p, 1).entropy(), 10 * kl.Normal(mean=0, var=1).entropy())


def test_events_read_from_different_bases(rng):
    """What both read as an event is summed; what is left must have a closed form."""
    p, q = normals(rng, (4, 3)), normals(rng, (4, 3))
    nested = kl.Independent(kl.Independent(p, 1), 1), kl.Independent(q, 2)
    expected = kl.kl_divergence(p, q).sum()
    for first, second in (nested, nested[::-1]):
        assert kl.kl_divergence(kl.Independent(p, 2), kl.Independent(q, 2)) == pytest.approx(expected, rel=1e-14)
        assert kl.kl_divergence(first, second) >= 0.0
    assert kl.kl_divergence(*nested) == pytest.approx(expected, rel=1e-14)
    diagonals = kl.Independent(kl.MultivariateNormalDiag(mean=q.mean, var=q.var), 1)
    assert kl.kl_divergence(kl.Independent(p, 2), diagonals) == pytest.approx(expected, rel=1e-14)
    full = kl.Independent(kl.MultivariateNormal(mean=q.mean, cov=np.tile(np.eye(3), (4, 1, 1))), 1)
    students = kl.Independent(kl.StudentT(df=3.0, loc=p.mean, scale=1.0), 2)
    with pytest.raises(errors.NoClosedFormError, match=r"Independent \|\| MultivariateNormal\).*monte_carlo"):
        kl.kl_divergence(students, full)


def test_one_infinite_part_makes_the_sum_infinite():
    p, q = (kl.Independent(kl.Categorical(probs=probs), 1) for probs in ([[0.5, 0.5]] * 2, [[0.5, 0.5], [1.0, 0.0]]))
    assert kl.kl_divergence(p, q) == math.inf
    assert not p.is_continuous


@pytest.mark.parametrize(("n", "error"), [(3, errors.ShapeMismatchError), (-1, errors.InvalidParameterError)])
def test_a_wrong_number_of_axes(rng, n, error):
    with pytest.raises(error, match="n_event_dims"):
        kl.Independent(normals(rng, (4, 3)), n)


def test_wrong_types():
    for n in (1.0, "1", None, True):
        with pytest.raises(errors.InvalidTypeError, match="n_event_dims"):
            kl.Independent(kl.Normal(mean=[0.0], var=1), n)
    for build in (lambda x: kl.Independent(x, 0), kl.Product, lambda x: kl.Transformed(x, maps.Exp())):
        for wrong in (np.zeros(3), stats.norm(), kl.Normal):
            with pytest.raises(errors.InvalidTypeError, match=r"of (Independent|Product|Transformed) is "):
                build(wrong)
    with pytest.raises(errors.InvalidTypeError, match=r"class Independent; build one: Independent\(base=\.\.\."):
        kl.kl_divergence(kl.Independent, kl.Independent)


# ---------------------------------------------------------------- Product


def test_components_stand_side_by_side(rng):
    one, two = normals(rng, (4, 1)), diagonals(rng, (3,), 2)
    p = kl.Product(one, two)
    assert (p.batch_shape, p.event_shape) == ((4, 3), (3,))
    x = rng.normal(size=(6, 4, 3, 3))
    np.testing.assert_allclose(p.log_prob(x), one.log_prob(x[..., 0]) + two.log_prob(x[..., 1:]), rtol=1e-13)
    np.testing.assert_allclose(p.entropy(), one.entropy() + two.entropy(), rtol=1e-13)
    q = kl.Product(normals(rng, ()), diagonals(rng, (4, 3), 2))
    expected = kl.kl_divergence(one, q.components[0]) + kl.kl_divergence(two, q.components[1])
    np.testing.assert_allclose(kl.kl_divergence(p, q), expected, rtol=1e-14)
    part = p[2, ::-1]
    np.testing.assert_array_equal(part.components[0].mean, np.full(3, one.mean[2, 0]))
    np.testing.assert_array_equal(part.components[1].mean, two.mean[::-1])


def test_the_chain_rule_for_independent_parts_of_a_gaussian(rng):
    """KL of a joint law is the sum of those of its independent parts, here two blocks of a covariance."""
    covs = [np.cov(rng.normal(size=(2, 9))) for _ in range(4)]
    parts = [kl.MultivariateNormal(mean=rng.normal(size=2), cov=cov) for cov in covs]
    joint = []
    for one, two in (parts[:2], parts[2:]):
        cov = np.zeros((4, 4))
        cov[:2, :2], cov[2:, 2:] = one.cov, two.cov
        joint.append(kl.MultivariateNormal(mean=np.append(one.mean, two.mean), cov=cov))
    value = kl.kl_divergence(kl.Product(*parts[:2]), kl.Product(*parts[2:]))
    assert value == pytest.approx(kl.kl_divergence(*joint), rel=1e-12)


def test_counts_beside_numbers(rng):
    p = kl.Product(kl.Categorical(probs=[0.2, 0.8]), normals(rng, ()))
    x = p.sample(2000, random_state=0)
    assert x.shape == (2000, 2)
    assert set(x[:, 0]) == {0.0, 1.0}
    assert not p.is_continuous
    assert p.log_prob([0.5, 0.0]) == -math.inf


def test_a_product_cannot_be_joined(rng):
    with pytest.raises(errors.InvalidParameterError, match="at least one"):
        kl.Product()
    with pytest.raises(errors.ShapeMismatchError, match=r"component 1 of Product draws shape \(2, 2\)"):
        kl.Product(normals(rng, ()), kl.Wishart(df=3, scale=np.eye(2)))
    with pytest.raises(errors.ShapeMismatchError, match=r"\(2,\).*\(3,\).*components"):
        kl.Product(normals(rng, (2,)), normals(rng, (3,)))


def test_products_of_components_that_do_not_match(rng):
    p, q = kl.Product(normals(rng, ()), diagonals(rng, (), 2)), kl.Product(diagonals(rng, (), 2), normals(rng, ()))
    with pytest.raises(errors.NoClosedFormError, match=r"components of p.*estimate_kl_monte_carlo"):
        kl.kl_divergence(p, q)


# ---------------------------------------------------------------- Transformed

MAPS = [maps.Exp(), maps.Log(), maps.Sigmoid(), maps.Tanh(), maps.Affine(loc=1.0, scale=-3.0)]
every_map = pytest.mark.parametrize("map", MAPS, ids=lambda map: type(map).__name__)


class Cube:
    """A user's own map, of the real line onto itself."""

    def forward(self, x):
        return x**3

    def inverse(self, y):
        return np.cbrt(y)

    def log_abs_det_jacobian(self, x):
        return np.log(3.0 * x**2)


class Turn:
    """A map of vectors, whose Jacobian is told for each event."""

    matrix = np.array([[0.6, -0.8], [1.6, 1.2]])

    def forward(self, x):
        return x @ self.matrix.T

    def inverse(self, y):
        return np.linalg.solve(self.matrix, y[..., None])[..., 0]

    def log_abs_det_jacobian(self, x):
        return np.full(x.shape[:-1], math.log(2.0))


@every_map
def test_maps_are_inverted_and_differentiated(map):
    x = np.array([0.01, 0.3, 1.0, 2.5, 5.0])
    np.testing.assert_allclose(map.inverse(map.forward(x)), x, rtol=1e-11)
    slope = (map.forward(x + 1e-6) - map.forward(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(map.log_abs_det_jacobian(x), np.log(np.abs(slope)), atol=1e-6)


def test_jacobians_far_out():
    for x in (-700.0, 700.0):
        assert maps.Sigmoid().log_abs_det_jacobian(x) == -700.0
        assert maps.Tanh().log_abs_det_jacobian(x) == pytest.approx(2.0 * math.log(2.0) - 1400.0)
    assert maps.Sigmoid().forward(-700.0) == pytest.approx(math.exp(-700.0))
    assert maps.Sigmoid().forward(np.array([-np.inf, np.inf])).tolist() == [0.0, 1.0]


@every_map
def test_densities_integrate_to_one(map):
    base = kl.Gamma(shape=225.0, rate=75.0)  # about 3, and > 0 for the logarithm
    p = kl.Transformed(base, map)
    ends = sorted(float(map.forward(np.float64(end))) for end in (1.2, 4.8))
    assert integrate.quad(lambda y: math.exp(p.log_prob(y)), *ends, limit=200)[0] == pytest.approx(1.0, abs=1e-8)


def test_a_log_normal_is_that_of_scipy():
    p = kl.Transformed(kl.Normal(mean=[0.3, -1.0], var=[0.5, 2.0]), maps.Exp())
    law = stats.lognorm(s=np.sqrt([0.5, 2.0]), scale=np.exp([0.3, -1.0]))
    y = np.array([[1e-200], [1e-3], [1.0], [30.0], [1e200]])
    np.testing.assert_allclose(p.log_prob(y), law.logpdf(y), rtol=1e-12)
    assert (p.log_prob(np.array([[0.0], [-1.0], [np.inf], [-np.inf]])) == -math.inf).all()
    assert np.isnan(p.log_prob(np.nan)).all()
    assert p._support() == (0.0, math.inf)
    middle, reach = p._bulk()
    assert ((law.cdf(middle) > 0.2) & (law.cdf(middle) < 0.8)).all()
    assert (np.isfinite(reach) & (reach > 0.0)).all()


def test_a_divergence_survives_a_log_normal():
    """It is that of the normals, here by quadrature of SciPy's densities."""
    p, q = (kl.Transformed(kl.Normal(mean=mean, var=var), maps.Exp()) for mean, var in ((0.0, 1.0), (0.5, 2.0)))
    laws = stats.lognorm(s=1.0), stats.lognorm(s=2.0**0.5, scale=math.exp(0.5))

    def term(y):
        return laws[0].pdf(y) * (laws[0].logpdf(y) - laws[1].logpdf(y))

    expected = sum(integrate.quad(term, *ends, limit=200)[0] for ends in ((0.0, 1.0), (1.0, 10.0), (10.0, np.inf)))
    assert kl.kl_divergence(p, q) == pytest.approx(expected, rel=1e-7)


@given(st.integers(0, 4), st.integers(0, 2**16), st.floats(-12, 1))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_maps_change_no_divergence(index, seed, exponent):
    rng = np.random.default_rng(seed)
    p = normals(rng, (3,))
    q = kl.Normal(mean=p.mean + 10.0**exponent, var=p.var * (1.0 + 10.0**exponent))
    expected = kl.kl_divergence(p, q)
    if isinstance(MAPS[index], maps.Log):
        p, q = (kl.LogNormal(mean=law.mean, var=law.var) for law in (p, q))
    images = kl.Transformed(p, MAPS[index]), kl.Transformed(q, copy.deepcopy(MAPS[index]))
    np.testing.assert_array_equal(kl.kl_divergence(*images), expected)


def test_an_affine_image_of_a_normal_is_a_normal(rng):
    base = diagonals(rng, (4,), 3)
    affine = maps.Affine(loc=[1.0, 2.0, 3.0], scale=[2.0, -1.0, 0.5])
    p = kl.Transformed(base, affine)
    same = kl.MultivariateNormalDiag(mean=affine.loc + affine.scale * base.mean, var=affine.scale**2 * base.var)
    x = rng.normal(size=(5, 4, 3))
    np.testing.assert_allclose(p.log_prob(x), same.log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), same.entropy(), rtol=1e-12)
    np.testing.assert_allclose(kl.kl_divergence(p, p[0]), kl.kl_divergence(same, same[0]), rtol=1e-12)
    single = kl.Transformed(kl.Normal(mean=1.0, var=2.0), maps.Affine(scale=-3.0))
    assert single.entropy() == pytest.approx(kl.Normal(mean=1.0, var=18.0).entropy(), rel=1e-14)
    assert single._support() == (-math.inf, math.inf)


def test_a_users_map():
    base = kl.Normal(mean=0.5, var=1.0)
    cube = Cube()
    p = kl.Transformed(base, cube)
    assert p.log_prob(8.0) == pytest.approx(base.log_prob(2.0) - math.log(12.0), rel=1e-13)
    assert kl.kl_divergence(p, kl.Transformed(kl.Normal(mean=1.5, var=1.0), cube)) == 0.5
    np.testing.assert_array_equal(p.sample(5, random_state=0), base.sample(5, random_state=0) ** 3)
    with pytest.raises(errors.NoClosedFormError, match=r'different maps.*method="quadrature"'):
        kl.kl_divergence(p, kl.Transformed(base, Cube()))
    pair = kl.MultivariateNormalDiag(mean=[0.0, 1.0], var=[1.0, 1.0])
    with pytest.raises(errors.NoClosedFormError, match=r"different maps.*estimate_kl_monte_carlo"):
        kl.kl_divergence(kl.Transformed(pair, cube), kl.Transformed(pair, Cube()))


def test_a_users_map_of_vectors(rng):
    base = kl.MultivariateNormal(mean=[1.0, -1.0], cov=[[2.0, 0.5], [0.5, 1.0]])
    p = kl.Transformed(base, Turn())
    law = stats.multivariate_normal(Turn.matrix @ base.mean, Turn.matrix @ base.cov @ Turn.matrix.T)
    x = rng.normal(size=(6, 2))
    np.testing.assert_allclose(p.log_prob(x), law.logpdf(x), rtol=1e-12)


def test_maps_that_differ_have_no_closed_form():
    p = kl.Transformed(kl.Normal(mean=0, var=1), maps.Affine(scale=2.0))
    for other in (maps.Affine(scale=3.0), maps.Affine(loc=1.0, scale=2.0), Cube()):
        with pytest.raises(errors.NoClosedFormError, match=r'different maps.*method="quadrature"'):
            kl.kl_divergence(p, kl.Transformed(kl.Normal(mean=0, var=1), other))
    assert maps.Affine(scale=2.0) == maps.Affine(scale=2) != maps.Exp()
    assert len({maps.Affine(scale=2.0), maps.Affine(scale=2), maps.Affine()}) == 2


def test_values_beyond_the_image_of_q():
    """Between families a closed form is needed only where the intervals do not tell."""
    positive = kl.Transformed(kl.Normal(mean=0, var=1), maps.Exp())
    assert kl.kl_divergence(kl.Normal(mean=[0.0, 1.0], var=1.0), positive).tolist() == [math.inf, math.inf]
    with pytest.raises(errors.NoClosedFormError, match=r"Transformed \|\| Normal"):
        kl.kl_divergence(positive, kl.Normal(mean=0, var=1))


class Part(maps.Exp):
    """The exponential of the numbers from 2 to 3 only."""

    domain = (2.0, 3.0)


def test_a_base_with_values_that_the_map_does_not_take():
    for base, map in (
        (kl.Normal(mean=0, var=1), maps.Log()),
        (kl.Uniform(low=[0.0, -1e-300], high=1.0), maps.Log()),
        (kl.Uniform(low=2.0, high=3.1), Part()),
        (kl.Transformed(kl.Normal(mean=0, var=1), maps.Affine(loc=1.0)), maps.Log()),
    ):
        with pytest.raises(errors.InvalidParameterError, match=r"takes numbers from .* to .* has values from"):
            kl.Transformed(base, map)
    assert np.isfinite(kl.Transformed(kl.Exponential(rate=1.0), maps.Log()).sample(5, random_state=0)).all()
    assert kl.Transformed(kl.Uniform(low=2.0, high=3.0), Part())._support() == (math.exp(2.0), math.exp(3.0))


def test_draws_that_the_map_does_not_take():
    """Of the values of vectors no family tells an interval."""
    p = kl.Transformed(kl.MultivariateNormalDiag(mean=[0.0, 0.0], var=[1.0, 1.0]), maps.Log())
    with pytest.raises(errors.InvalidParameterError, match=r"Log\(\) makes nan of \d+ draws of MultivariateNormalDiag"):
        p.sample(20, random_state=0)


def test_draws_beyond_float64_are_infinite():
    far = kl.Transformed(kl.Normal(mean=1000.0, var=1.0), maps.Exp())
    assert far.sample(2, random_state=0).tolist() == [math.inf, math.inf]
    heavy = kl.MultivariateStudentT(df=1e-300, loc=[0.0, 0.0], scale_matrix=np.eye(2))
    x = heavy.sample(20, random_state=0)
    assert np.isinf(x).all()
    assert (heavy.log_prob(x) == -math.inf).all()


def test_what_is_no_map():
    base = kl.Normal(mean=0, var=1)
    for wrong in (np.exp, maps.Exp, None, "exp"):
        with pytest.raises(errors.InvalidTypeError, match=r"map of Transformed.*kltools\.maps"):
            kl.Transformed(base, wrong)
    with pytest.raises(errors.InvalidParameterError, match="must have a density"):
        kl.Transformed(kl.Categorical(probs=[0.5, 0.5]), maps.Exp())
    for scale in (0.0, [1.0, 0.0], np.inf):
        with pytest.raises(errors.InvalidParameterError, match="scale of Affine"):
            maps.Affine(scale=scale)


def test_a_map_of_wrong_shapes():
    class Flat(Cube):
        def log_abs_det_jacobian(self, x):
            return np.zeros(7)

    class Longer(Cube):
        def forward(self, x):
            return np.append(x, 0.0)

    with pytest.raises(errors.ShapeMismatchError, match=r"log_abs_det_jacobian.*\(7,\)"):
        kl.Transformed(kl.Normal(mean=0, var=1), Flat()).log_prob([1.0, 2.0])
    with pytest.raises(errors.ShapeMismatchError, match="must keep shapes"):
        kl.Transformed(kl.Normal(mean=0, var=1), Longer()).sample(3)


# ---------------------------------------------------------------- all of them


def examples():
    base = kl.Normal(mean=[0.0, 1.0], var=1.0)
    return [kl.Independent(base, 1), kl.Product(base, base), kl.Transformed(base, maps.Exp())]


each = pytest.mark.parametrize("p", examples(), ids=lambda p: type(p).__name__)


@each
def test_is_frozen_and_shows_its_parts(p):
    with pytest.raises(dataclasses.FrozenInstanceError):
        p.base = None
    assert "Normal(batch_shape=(2,), event_shape=())" in repr(p)
    assert all(getattr(p, name) is part for name, part in p.parameters.items())
    assert pickle.loads(pickle.dumps(p)).event_shape == p.event_shape


@each
def test_units_and_devices_reach_the_parts(p):
    assert kl.kl_divergence(p, p, device="cpu", unit="bits") is not None
    q = type(p)(*(kl.Normal(mean=2.0, var=[1.0, 1.0]) if isinstance(v, kl.Distribution) else v for v in _arguments(p)))
    bits, nats = (kl.kl_divergence(p, q, unit=unit) for unit in ("bits", "nats"))
    np.testing.assert_allclose(bits, np.asarray(nats) / math.log(2.0), rtol=1e-15)


def _arguments(p):
    return p.components if isinstance(p, kl.Product) else p.parameters.values()


@no_gpu
@each
def test_a_missing_gpu_is_an_error(p):
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        kl.kl_divergence(p, p, device="cuda")


def test_a_users_function_may_take_the_device():
    @kl.family
    class Parts(kl.Distribution):
        rate: float = kl.param("positive")

    seen = []
    try:

        @kl.register_kl(Parts, Parts)
        def kl_parts(p, q, device):
            seen.append(device)
            return p.rate

        assert kl.kl_divergence(Parts(rate=2.0), Parts(rate=1.0), device="cpu") == 2.0
        assert seen == ["cpu"]
    finally:
        del closed_forms._CLOSED_FORMS[Parts, Parts]


def test_nested():
    base = kl.Normal(mean=np.zeros((4, 3)), var=1.0)
    p = kl.Product(kl.Independent(kl.Transformed(base, maps.Exp()), 1), kl.Normal(mean=np.arange(4.0), var=1.0))
    q = kl.Product(kl.Independent(kl.Transformed(base[0][None], maps.Exp()), 1), kl.Normal(mean=0.0, var=1.0))
    assert (p.batch_shape, p.event_shape) == ((4,), (4,))
    np.testing.assert_array_equal(kl.kl_divergence(p, q), 0.5 * np.arange(4.0) ** 2)
    assert p.sample(5, random_state=0).shape == (5, 4, 4)
