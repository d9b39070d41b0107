"""Formulas and divergences in the simulator: the scalar of the CPU inside of a kernel gives the bits of the CPU."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from formulas import FORMULAS

import kltools as kl
from kltools import cuda
from kltools._formula import Formula
from kltools._scalar import half_ratio_excess
from kltools.closed_forms import registered_pairs

LAWS = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parents[1].glob("laws_*.py"))]
EXAMPLES = {cls: example for laws in LAWS for cls, example in laws.EXAMPLES.items()}
PAIRS = [pair for pair in registered_pairs() if set(pair) <= set(EXAMPLES)]
ON_THE_CPU_ALONE = {
    "KL(InverseWishart || InverseWishart)",
    "KL(LowRankMultivariateNormal || LowRankMultivariateNormal)",
    "KL(LowRankMultivariateNormal || MultivariateNormalDiag)",
    "KL(MatrixNormal || MatrixNormal)",
    "KL(MultivariateNormalDiag || LowRankMultivariateNormal)",
    "KL(Wishart || Wishart)",
}
each_pair = pytest.mark.parametrize(("cls_p", "cls_q"), PAIRS, ids=lambda cls: cls.__name__)


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_in_a_kernel_equals_the_cpu(formula):
    n_parameters = len(formula.parameters)
    columns = np.random.default_rng(0).uniform(0.05, 0.95, (n_parameters, 20))
    half = n_parameters // 2
    columns[half : 2 * half, :5] = columns[:half, :5]  # p = q
    expected = Formula(formula.function)(*columns)
    assert np.array_equal(cuda.evaluate(formula, *columns), expected, equal_nan=True)


@each_pair
def test_divergence_on_the_device_equals_that_of_the_cpu(cls_p, cls_q):
    p = EXAMPLES[cls_p](np.random.default_rng(1), (2, 1))
    for seed, batch in ((2, (3,)), (1, (2, 1))):  # where the divergence needs parameters in common, equal ones
        q = EXAMPLES[cls_q](np.random.default_rng(seed), batch)
        try:
            value = kl.kl_divergence(p, q, device="cuda")
        except kl.DeviceUnavailableError as error:
            pair = f"KL({cls_p.__name__} || {cls_q.__name__})"
            assert pair in ON_THE_CPU_ALONE
            if not str(error).startswith(f"{pair} has no CUDA implementation"):
                raise
            return
        except (kl.NoClosedFormError, kl.ShapeMismatchError):
            continue
        expected = kl.kl_divergence(p, q)
        assert isinstance(value, np.ndarray)
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-13, atol=0)
        return
    pytest.fail("the examples have no divergence")


def test_one_divergence_is_a_float():
    p, q = kl.Gamma(shape=2.0, rate=1.0), kl.Gamma(shape=3.0, rate=1.5)
    value = kl.kl_divergence(p, q, device="cuda", unit="bits")
    assert type(value) is float
    assert value == pytest.approx(kl.kl_divergence(p, q, unit="bits"), rel=1e-14)


def test_pairwise_divergences_do_not_repeat_the_batches():
    ps = kl.MultivariateNormalDiag(mean=np.random.default_rng(3).normal(size=(5, 3)), var=[1.0, 2.0, 0.5])
    values = kl.pairwise_kl(ps, device="cuda")
    expected = [[kl.kl_divergence(a, b) for b in ps] for a in ps]
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_sums_over_several_axes_and_of_nothing():
    x, y = np.random.default_rng(4).uniform(0.1, 2.0, (2, 3, 5, 7))
    formula = Formula(half_ratio_excess)
    expected = formula(x, y[0]).reshape(3, 35).sum(axis=1)
    np.testing.assert_allclose(cuda.evaluate_sum(formula, x, y[0], n_axes=2), expected, rtol=1e-14)
    assert cuda.evaluate_sum(formula, x[:0], y[:0], n_axes=2).shape == (0,)
    assert cuda.evaluate_sum(formula, x[:, :0], y[:, :0], n_axes=2).tolist() == [0.0, 0.0, 0.0]
    assert cuda.evaluate(formula, x[:, :0], 1.0).shape == (3, 0, 7)


def test_infinite_divergences_are_answers():
    p, q = kl.Bernoulli(probs=[0.5, 0.0]), kl.Bernoulli(probs=[0.0, 0.0])
    assert kl.kl_divergence(p, q, device="cuda").tolist() == [np.inf, 0.0]
    assert kl.kl_divergence(kl.Uniform(low=0, high=2), kl.Uniform(low=0, high=1), device="cuda") == np.inf


def test_a_long_sum_has_one_order_whatever_the_memory():
    x = np.random.default_rng(5).lognormal(sigma=3.0, size=40_000)
    assert cuda.total(x) == pytest.approx(math.fsum(x), rel=1e-14)
    assert cuda.total(x) == cuda.total(x)


@pytest.mark.parametrize("n_bytes", [1, 300, 10**6])
def test_blocks_within_a_memory_limit_do_not_change_a_bit(n_bytes):
    rng = np.random.default_rng(6)
    p = kl.MultivariateNormalDiag(mean=rng.normal(size=(11, 4)), var=rng.uniform(0.5, 2.0, (11, 4)))
    q = kl.MultivariateNormalDiag(mean=rng.normal(size=(2, 1, 4)), var=np.ones(4))
    expected = kl.kl_divergence(p, q, device="cuda")
    with cuda.memory_limit(n_bytes):
        assert np.array_equal(kl.kl_divergence(p, q, device="cuda"), expected)
        full = kl.kl_divergence(_full(p), _full(q), device="cuda")
    np.testing.assert_allclose(full, expected, rtol=1e-13)


def _full(diagonal):
    return kl.MultivariateNormal(mean=diagonal.mean, cov=diagonal.var[..., None] * np.eye(diagonal.var.shape[-1]))


@pytest.mark.parametrize("n_bytes", [0, -1, 1.5, "1G"])
def test_a_memory_limit_is_a_number_of_bytes(n_bytes):
    with pytest.raises((kl.InvalidParameterError, kl.InvalidTypeError), match="n_bytes"), cuda.memory_limit(n_bytes):
        pass


def test_what_has_no_twin_names_the_cpu():
    inside, outside = kl.Uniform(low=0, high=1), kl.Uniform(low=0, high=2)
    for p, q in ((inside, outside), (outside, inside)):
        with pytest.raises(kl.DeviceUnavailableError, match=r"quadrature has no CUDA implementation.*device='cpu'"):
            kl.kl_divergence(p, q, method="quadrature", device="cuda")
