"""Von Mises, von Mises-Fisher, power spherical and uniform laws: near-equal pairs, extremes, draws, torch."""

import math

import numpy as np
import pytest
from exact import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from laws_directional import EXACT, cosine, directions, fisher_divergence, power_moments
from mpmath import mp
from scipy import stats

import kltools as kl
from kltools import errors

CONCENTRATIONS = [0.0, 1e-3, 0.7, 5.0, 38.0, 200.0, 1e6]
on_sphere = pytest.mark.parametrize("cls", [kl.VonMisesFisher, kl.PowerSpherical], ids=lambda cls: cls.__name__)


def numbers(parameter):
    return [mp.mpf(x) for x in parameter] if np.ndim(parameter) else mp.mpf(parameter)


def exact(name_p, p, name_q, q):
    return EXACT[name_p, name_q](*({k: numbers(v) for k, v in side.items()} for side in (p, q)))


def axis(d, i=0):
    return np.eye(d)[i]


# ---------------------------------------------------------------- near equality


@pytest.mark.parametrize("concentration", [1e-200, 1e-3, 1.0, 39.99, 41.0, 1e5, 1e200])
def test_nearly_equal_von_mises_laws_keep_their_digits(concentration):
    for turn in (0.0, 1e-160, 1e-8, -0.1):
        for growth in (0.0, 1e-13, -1e-8, 0.4):
            p = {"loc": turn, "concentration": concentration * (1.0 + growth)}
            q = {"loc": 0.0, "concentration": concentration}
            for a, b in ((p, q), (q, p)):
                value = kl.kl_divergence(kl.VonMises(**a), kl.VonMises(**b))
                with mp.workdps(400):
                    assert relative_error(value, exact("VonMises", a, "VonMises", b)) < 1e-13


@pytest.mark.parametrize("d", [2, 3, 8, 101, 2000])
def test_nearly_equal_fisher_laws_keep_their_digits(d):
    rng = np.random.default_rng(d)
    a, noise = directions(rng, (2,), d)
    for angle in (0.0, 1e-9, 1e-3, 1.0):
        b = a * math.cos(angle) + (noise - (noise @ a) * a) * math.sin(angle)
        b /= np.linalg.norm(b)
        for k in (1e-3, 1.0, 30.0, 500.0):
            for growth in (0.0, 1e-8, -1e-3):
                p = kl.VonMisesFisher(mean_direction=a, concentration=k)
                q = kl.VonMisesFisher(mean_direction=b, concentration=k * (1.0 + growth))
                with mp.workdps(100):
                    height = mp.fsum((mp.mpf(x) - mp.mpf(y)) ** 2 for x, y in zip(a, b, strict=True)) / 2
                    truth = fisher_divergence(d, mp.mpf(k), mp.mpf(float(q.concentration)), 1 - height)
                    assert relative_error(kl.kl_divergence(p, q), truth) < 3e-14


@pytest.mark.parametrize("d", [2, 3, 10, 100])
@pytest.mark.parametrize("concentration", [1e-3, 0.3, 10.0, 1e3, 1e4, 1e6, 1e12])
def test_power_spherical_and_fisher_laws_that_nearly_agree(d, concentration):
    """Those of concentrations 2 k + d - 1 and k; their divergence falls like (d / k)^2."""
    q = kl.VonMisesFisher(mean_direction=axis(d), concentration=concentration)
    for share in (1.0, 1.01, 0.5, 3.0):
        p = kl.PowerSpherical(mean_direction=axis(d), concentration=share * (2.0 * concentration + d - 1.0))
        sides = ({"mean_direction": axis(d), "concentration": float(x.concentration)} for x in (p, q))
        p_values, q_values = sides
        with mp.workdps(100):
            truth = exact("PowerSpherical", p_values, "VonMisesFisher", q_values)
            assert relative_error(kl.kl_divergence(p, q), truth) < 1e-11


def test_turns_of_huge_angles():
    """Locations are the numbers that they are, not what is left of them after rounding."""
    with mp.workdps(700):
        for a, b in ((1e300, 0.5), (1e10, -1e-5), (0.1, 200.0 * math.pi), (1.7e308, -1.7e308)):
            p, q = ({"loc": loc, "concentration": 2.0} for loc in (a, b))
            value = kl.kl_divergence(kl.VonMises(**p), kl.VonMises(**q))
            assert relative_error(value, exact("VonMises", p, "VonMises", q)) < 1e-13


# ---------------------------------------------------------------- laws


@settings(max_examples=60)
@given(st.integers(2, 40), st.floats(0.0, 1e4), st.floats(0.0, 1e4), st.integers(0, 2**31), st.floats(0.0, math.pi))
def test_turning_both_changes_nothing(d, k_p, k_q, seed, angle):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    a, b = axis(d), math.cos(angle) * axis(d) + math.sin(angle) * axis(d, 1)
    values = []
    for m, n in ((a, b), (turn @ a, turn @ b)):
        p = kl.VonMisesFisher(mean_direction=m, concentration=k_p)
        q = kl.VonMisesFisher(mean_direction=n, concentration=k_q)
        values.append(kl.kl_divergence(p, q))
    assert min(values) >= 0.0
    assert values[1] == pytest.approx(values[0], rel=1e-9, abs=1e-11)


def test_von_mises_is_fisher_on_the_circle():
    rng = np.random.default_rng(0)
    angles, concentrations = rng.uniform(-3.0, 3.0, (2, 30)), rng.gamma(1.0, 5.0, (2, 30))
    flat = [kl.VonMises(loc=a, concentration=k) for a, k in zip(angles, concentrations, strict=True)]
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    sphere = [
        kl.VonMisesFisher(mean_direction=m, concentration=k) for m, k in zip(vectors, concentrations, strict=True)
    ]
    np.testing.assert_allclose(kl.kl_divergence(*flat), kl.kl_divergence(*sphere), rtol=1e-13)
    np.testing.assert_allclose(flat[0].entropy(), sphere[0].entropy(), rtol=1e-14)
    np.testing.assert_allclose(flat[0].log_prob(angles[1]), sphere[0].log_prob(vectors[1]), rtol=1e-12)


@on_sphere
@pytest.mark.parametrize("d", [2, 5, 300])
def test_concentration_zero_is_uniform(cls, d):
    p, uniform = cls(mean_direction=axis(d), concentration=0.0), kl.HypersphericalUniform(dim=d)
    x = uniform.sample(5, random_state=0)
    assert kl.kl_divergence(p, uniform) == kl.kl_divergence(uniform, p) == 0.0
    np.testing.assert_allclose(p.log_prob(x), uniform.log_prob(x), rtol=1e-14)
    assert p.entropy() == pytest.approx(uniform.entropy(), rel=1e-15)
    assert p.log_prob(-axis(d)) == pytest.approx(-uniform.entropy(), rel=1e-14)


@on_sphere
@pytest.mark.parametrize("d", [2, 4, 101])
def test_divergence_from_uniform_is_the_loss_of_entropy(cls, d):
    p, uniform = cls(mean_direction=axis(d), concentration=CONCENTRATIONS), kl.HypersphericalUniform(dim=d)
    np.testing.assert_allclose(uniform.entropy() - p.entropy(), kl.kl_divergence(p, uniform), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3, 10, 1000])
@pytest.mark.parametrize("concentration", [1e-8, 0.3, 7.0, 1e3, 1e9])
def test_pairs_with_the_uniform_law_in_other_dimensions(d, concentration):
    k = mp.mpf(concentration)
    p, uniform = kl.PowerSpherical(mean_direction=axis(d), concentration=concentration), kl.HypersphericalUniform(dim=d)
    with mp.workdps(80):
        _, mean_log, log_mean = power_moments(d, k)
        assert relative_error(kl.kl_divergence(p, uniform), k * mean_log - log_mean) < 1e-13
        back = log_mean - k * power_moments(d, mp.mpf(0))[1]
        assert relative_error(kl.kl_divergence(uniform, p), back) < 1e-13


# ---------------------------------------------------------------- densities


@pytest.mark.parametrize("d", [2, 3, 20, 500])
@pytest.mark.parametrize("concentration", [0.5, 30.0, 1e4])
def test_log_prob_of_fisher_in_any_dimension(d, concentration):
    rng = np.random.default_rng(d)
    a, x = directions(rng, (2,), d)
    with mp.workdps(60):
        order, k = mp.mpf(d) / 2 - 1, mp.mpf(concentration)
        dot = cosine(*(type("V", (), {"mean_direction": [mp.mpf(c) for c in v]}) for v in (a, x)))
        bessel = mp.log(mp.besseli(order, k))
        truth = float(order * mp.log(k) - mp.mpf(d) / 2 * mp.log(2 * mp.pi) - bessel + k * dot)
    p = kl.VonMisesFisher(mean_direction=a, concentration=concentration)
    assert p.log_prob(x) == pytest.approx(truth, rel=1e-12)


def test_log_prob_at_huge_concentrations():
    """The density of a small deviation is that of a Gaussian; 1 - cos would have no digit left."""
    k = 1e20
    for deviation in (0.0, 1e-10, 3e-10):
        expected = 0.5 * math.log(k / (2.0 * math.pi)) - 0.5 * k * deviation**2
        assert kl.VonMises(loc=0.0, concentration=k).log_prob(deviation) == pytest.approx(expected, rel=1e-13)
        x = [1.0, deviation, 0.0]
        expected = math.log(k / (2.0 * math.pi)) - 0.5 * k * deviation**2
        fisher = kl.VonMisesFisher(mean_direction=axis(3), concentration=k)
        assert fisher.log_prob(x) == pytest.approx(expected, rel=1e-13)
        power = kl.PowerSpherical(mean_direction=axis(3), concentration=2.0 * k)
        assert power.log_prob(x) == pytest.approx(expected, rel=1e-13)


@on_sphere
def test_there_is_no_density_off_the_sphere(cls):
    p = cls(mean_direction=[0.6, 0.8], concentration=2.0)
    assert math.isfinite(p.log_prob([-0.8, 0.6]))
    for x in ([0.6, 0.81], [0.0, 0.0], [1e200, 0.0]):
        assert p.log_prob(x) == -math.inf
        assert kl.HypersphericalUniform(dim=2).log_prob(x) == -math.inf


def test_the_antipode():
    p = kl.PowerSpherical(mean_direction=axis(3), concentration=2.0)
    assert p.log_prob(-axis(3)) == -math.inf
    x = [-1.0, 1e-12, 0.0]
    assert p.log_prob(x) == pytest.approx(math.log(3 / (16 * math.pi)) + 2 * math.log(0.5e-24), rel=1e-12)


# ---------------------------------------------------------------- draws


@pytest.mark.parametrize("concentration", [0.0, 1e-9, 0.5, 4.0, 300.0])
def test_draws_of_angles(concentration):
    x = kl.VonMises(loc=2.5, concentration=concentration).sample(20_000, random_state=0)
    assert (np.abs(x) <= math.pi).all()
    turned = np.remainder(x - 2.5 + math.pi, 2.0 * math.pi) - math.pi
    law = stats.vonmises(concentration) if concentration else stats.uniform(-math.pi, 2.0 * math.pi)
    assert stats.kstest(turned, law.cdf).pvalue > 1e-3


def test_draws_at_huge_concentrations_are_gaussian():
    k = 1e40
    x = kl.VonMises(loc=0.0, concentration=k).sample(20_000, random_state=0)
    assert stats.kstest(x * k**0.5, stats.norm.cdf).pvalue > 1e-3
    x = kl.VonMisesFisher(mean_direction=axis(4), concentration=k).sample(5000, random_state=0)
    assert stats.kstest((x[:, 1:] ** 2).sum(axis=1) * k, stats.chi2(3).cdf).pvalue > 1e-3
    x = kl.PowerSpherical(mean_direction=axis(4), concentration=2.0 * k).sample(5000, random_state=0)
    assert stats.kstest((x[:, 1:] ** 2).sum(axis=1) * k, stats.chi2(3).cdf).pvalue > 1e-3
    assert np.isfinite(kl.VonMises(loc=0.0, concentration=1e300).sample(9, random_state=0)).all()


@on_sphere
@pytest.mark.parametrize("d", [2, 3, 50])
def test_draws_have_the_right_mean_and_are_unit_vectors(cls, d):
    k, n = np.array([0.0, 1.0, 30.0]), 20_000
    m = directions(np.random.default_rng(1), (), d)
    x = cls(mean_direction=m, concentration=k).sample(n, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1.0, rtol=1e-14)
    if cls is kl.PowerSpherical:
        expected = k / (k + d - 1.0)
    else:
        expected = [float(mp.besseli(d / 2, v) / mp.besseli(d / 2 - 1, v)) if v else 0.0 for v in k]
    error = (x @ m).std(axis=0) / n**0.5
    assert (np.abs((x @ m).mean(axis=0) - expected) <= 5.0 * error).all()
    sideways = x - (x @ m)[..., None] * m
    assert (np.abs(sideways.mean(axis=0)) <= 5.0 * sideways.std(axis=0) / n**0.5).all()


# ---------------------------------------------------------------- arguments


@on_sphere
def test_one_coordinate_is_no_direction(cls):
    with pytest.raises(errors.ShapeMismatchError, match=r"mean_direction .* needs at least 2 coordinates"):
        cls(mean_direction=[1.0], concentration=1.0)


def test_dimensions_of_a_uniform_law():
    assert kl.HypersphericalUniform(dim=[4, 4]).event_shape == (4,)
    assert kl.HypersphericalUniform(dim=[4, 4])[:0].event_shape == (4,)
    for dim in (0, 1):
        with pytest.raises(errors.InvalidParameterError, match="dim of HypersphericalUniform must be >= 2"):
            kl.HypersphericalUniform(dim=dim)
    for dim in ([2, 3], []):
        with pytest.raises(errors.ShapeMismatchError, match="one number for all of a batch"):
            kl.HypersphericalUniform(dim=dim)
    with pytest.raises(errors.ShapeMismatchError, match="events differ"):
        kl.kl_divergence(kl.HypersphericalUniform(dim=2), kl.HypersphericalUniform(dim=3))


@pytest.mark.parametrize("d", [2, 9])
def test_many_pairs_agree_with_pairs_one_by_one(d):
    rng = np.random.default_rng(0)
    p = kl.PowerSpherical(mean_direction=directions(rng, (7,), d), concentration=rng.gamma(2.0, size=7))
    q = kl.VonMisesFisher(mean_direction=directions(rng, (5,), d), concentration=rng.gamma(2.0, size=5))
    table = kl.pairwise_kl(p, q)
    for i in range(7):
        for j in range(5):
            assert table[i, j] == kl.kl_divergence(p[i], q[j])


def test_von_mises_log_prob_is_that_of_torch():
    torch = pytest.importorskip("torch")
    loc, concentration, x = (torch.tensor(v, dtype=torch.float64) for v in (0.3, 2.5, np.linspace(-3.0, 3.0, 9)))
    expected = torch.distributions.VonMises(loc=loc, concentration=concentration).log_prob(x).numpy()
    np.testing.assert_allclose(kl.VonMises(loc=0.3, concentration=2.5).log_prob(x), expected, rtol=1e-6)
