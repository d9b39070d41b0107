"""One scalar law for every kind of caller: broadcasting, sums, blocks, compiled code."""

import math
import shutil
import tracemalloc

import numba
import numpy as np
import pytest

from kltools import _formula, errors
from kltools._formula import Formula
from kltools.families.gaussian import kl_normal_normal


def law(x, scale):
    """(x / scale)^2, or -log scale where x < 0."""
    if x < 0.0:
        return -math.log(scale)
    return (x / scale) * (x / scale)


FORMULA = Formula(law)
compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python raises at infinities")
RNG = np.random.default_rng(3)


def by_loop(*arguments):
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in arguments))
    values = [law(*(float(v) for v in each)) for each in zip(*(a.flat for a in arrays), strict=True)]
    return np.array(values).reshape(arrays[0].shape)


SHAPES = [((), ()), ((3,), ()), ((3, 1), (4,)), ((2, 1, 3), (5, 1)), ((0,), ()), ((0, 3), (3,)), ((2, 0), (2, 1))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_broadcasts_like_a_ufunc(shapes):
    x, scale = RNG.normal(size=shapes[0]), RNG.gamma(2.0, size=shapes[1])
    result = FORMULA(x, scale)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, by_loop(x, scale), rtol=1e-15, strict=True)


def test_shapes_that_do_not_broadcast_raise():
    with pytest.raises(ValueError, match="broadcast"):
        FORMULA(np.zeros(3), np.ones(4))


@pytest.mark.parametrize("convert", [np.int8, np.int64, np.uint8, np.float16, np.float32, np.longdouble, bool, list])
def test_every_input_is_computed_in_float64(convert):
    x = np.array([0, 1, 1])
    given = x.tolist() if convert is list else x.astype(convert)
    result = FORMULA(given, 3)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, FORMULA(x.astype(float), 3.0))


def test_memory_order_does_not_matter():
    x = RNG.normal(size=(6, 8))
    expected = FORMULA(x, 2.0)
    for view in (np.asfortranarray(x), x[::-1][::-1], x.astype(">f8")):
        np.testing.assert_array_equal(FORMULA(view, 2.0), expected)
    x.flags.writeable = False
    np.testing.assert_array_equal(FORMULA(x, 2.0), expected)


@compiled_only
def test_inf_is_an_answer_without_a_warning():
    np.testing.assert_array_equal(FORMULA([1.0, -1.0, 1e200], [0.0, 0.0, 1.0]), [math.inf] * 3)


def test_keeps_the_name_the_text_and_the_parameters():
    assert FORMULA.__name__ == "law"
    assert FORMULA.__doc__ == law.__doc__
    assert FORMULA.parameters == ("x", "scale")
    assert repr(FORMULA) == "Formula(law(x, scale))"
    assert FORMULA.function is law


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("n_axes", [0, 1, 2, 3])
def test_summed_is_the_naive_sum(n_axes):
    x, scale = RNG.normal(size=(2, 3, 1)), RNG.gamma(2.0, size=(3, 7))
    terms = by_loop(x, scale)
    result = np.asarray(FORMULA.summed(x, scale, n_axes=n_axes))
    batch = terms.shape[: 3 - n_axes]
    expected = [math.fsum(each) for each in terms.reshape(math.prod(batch), -1)]
    np.testing.assert_allclose(result.reshape(-1), expected, rtol=1e-14)
    assert result.shape == batch


def test_summed_broadcasts_a_batch_without_the_summed_axis():
    mean, var = RNG.normal(size=(5, 4)), 2.0
    np.testing.assert_allclose(FORMULA.summed(mean, var, n_axes=1), by_loop(mean, var).sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("block", [1, 3, 7, 64])
@pytest.mark.parametrize("n_axes", [1, 2])
@pytest.mark.parametrize("shape", [(5, 300), (1, 9), (3, 4, 50), (40, 2, 3), (2, 40, 3)], ids=str)
def test_blocks_do_not_change_a_bit(monkeypatch, block, n_axes, shape):
    x, scale = RNG.normal(size=shape), RNG.gamma(2.0, size=shape[-1])
    whole = FORMULA.summed(x, scale, n_axes=n_axes)
    monkeypatch.setattr(_formula, "_BLOCK_ELEMENTS", block)
    np.testing.assert_array_equal(FORMULA.summed(x, scale, n_axes=n_axes), whole)


@pytest.mark.parametrize("batch", [(0,), (2, 0), (0, 2), (1, 0, 1)], ids=str)
def test_an_empty_batch_has_an_empty_sum(batch):
    result = FORMULA.summed(np.zeros((*batch, 3)), np.ones(3), n_axes=1)
    assert result.shape == batch


def test_an_empty_event_sums_to_zero():
    np.testing.assert_array_equal(FORMULA.summed(np.zeros((4, 0)), 1.0, n_axes=1), np.zeros(4))


def test_memory_of_a_sum_is_bounded():
    x, scale = np.ones((300, 1, 64)), np.ones((300, 64))
    FORMULA.summed(x[:1], scale[:1], n_axes=1)
    tracemalloc.start()
    FORMULA.summed(x, scale, n_axes=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 2**20  # two blocks of 8 MiB; all terms are 44 MiB


# ---------------------------------------------------------------- other callers


def test_scalar_is_callable_from_a_users_compiled_code():
    scalar = FORMULA.scalar

    @numba.njit
    def total(values):
        result = 0.0
        for value in values:
            result += scalar(value, 2.0)
        return result

    values = RNG.normal(size=10)
    assert total(values) == pytest.approx(by_loop(values, 2.0).sum(), rel=1e-14, abs=0)


def test_closed_forms_of_the_library_are_callable_too():
    scalar = kl_normal_normal.scalar

    @numba.njit
    def divergence(mean):
        return scalar(mean, 1.0, 0.0, 1.0)

    assert divergence(1.0) == 0.5
    assert scalar(1.0, 1.0, 0.0, 1.0) == float(kl_normal_normal(1.0, 1.0, 0.0, 1.0)) == 0.5


def test_every_caller_gets_the_same_bits():
    x = RNG.normal(size=100)
    np.testing.assert_array_equal([FORMULA.scalar(float(v), 1.7) for v in x], FORMULA(x, 1.7))


def shifted_by(constant):
    def shifted(x):
        return x + constant

    return Formula(shifted)


def test_two_functions_of_one_name_stay_two():
    """Machine code kept on disk under the name of a function must not serve another one."""
    assert [float(shifted_by(constant)(1.0)) for constant in (1.0, 2.0)] == [2.0, 3.0]
    assert [shifted_by(constant).scalar(1.0) for constant in (1.0, 2.0)] == [2.0, 3.0]


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
@pytest.mark.parametrize("n_axes", [0, 1])
def test_a_missing_gpu_is_an_error(n_axes):
    with pytest.raises(errors.DeviceUnavailableError, match="cuda"):
        FORMULA.summed(np.ones(3), 1.0, n_axes=n_axes, device="cuda")
