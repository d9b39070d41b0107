"""Univariate and diagonal Gaussians: relative accuracy over the whole of float64, and how they are built."""

import math

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kltools as kl
from kltools import errors

LARGEST = np.finfo(float).max
RTOL = 1e-13
# against N(0, 1) each is known from the definition alone
VARIANCES = [5e-324, 1e-320, 1e-310, 2.3e-308, 1e-300, 1e-200, 1e-100, 1e-60, 1e-16, 1e-8, 0.1, 0.5, 0.74, 0.76, 1.0]
VARIANCES += [1.34, 1.36, 2.0, 10.0, 1e8, 1e16, 1e60, 1e100, 1e200, 1e300, 8.9e307, 1.7e308, LARGEST]
MEANS = [0.0, 5e-324, 1e-300, 1e-160, 1e-100, 1e-20, 1e-8, 0.3, 1.0, 7.0, 1e8, 1e16, 1e100, 1e150, 1e160, 1e300]


def normal(mean, var):
    return kl.Normal(mean=mean, var=var)


def worst(cases):
    """The greatest relative error over cases (mean_p, var_p, mean_q, var_q), and where it is."""
    mean_p, var_p, mean_q, var_q = np.array(cases, dtype=float).T
    values = kl.kl_divergence(normal(mean_p, var_p), normal(mean_q, var_q))
    found = [(exact.relative_error(v, exact.kl_normal(*map(float, c))), c) for v, c in zip(values, cases, strict=True)]
    return max(found)


# ---------------------------------------------------------------- univariate


def test_all_variances_against_all():
    error, case = worst([(0.0, p, 0.0, q) for p in VARIANCES for q in VARIANCES])
    assert error <= RTOL, case


@pytest.mark.parametrize(("var_p", "var_q"), [(1.7e308, 0.5), (LARGEST, 0.76), (1e300, 3e-9), (LARGEST, 0.5)])
def test_half_of_a_ratio_that_overflows_is_a_number(var_p, var_q):
    error, case = worst([(0.0, var_p, 0.0, var_q)])
    assert error <= RTOL, case


def test_all_means_against_all():
    cases = [(a, v, sign * b, v) for a in MEANS for b in MEANS for sign in (1, -1) for v in (5e-324, 1e-9, 1.0, 1e300)]
    error, case = worst(cases)
    assert error <= RTOL, case


def test_log_spaced_parameters():
    rng = np.random.default_rng(0)
    n = 800
    var_p, var_q = 10.0 ** rng.uniform(-300, 300, n), 10.0 ** rng.uniform(-300, 300, n)
    mean_p, mean_q = rng.choice([-1, 1], (2, n)) * 10.0 ** rng.uniform(-200, 200, (2, n))
    error, case = worst(list(zip(mean_p, var_p, mean_q, var_q, strict=True)))
    assert error <= RTOL, case


def test_near_equal_variances_and_means():
    rng = np.random.default_rng(1)
    n = 800
    var = 10.0 ** rng.uniform(-290, 290, n)
    other = var * (1.0 + rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-16, 0, n) * 0.9)
    mean = 10.0 ** rng.uniform(-100, 100, n)
    near = mean * (1.0 + 10.0 ** rng.uniform(-16, 0, n))
    nought = np.zeros(n)
    for rows in ((nought, var, nought, other), (mean, var, near, other), (mean, var, near, var)):
        error, case = worst(list(zip(*rows, strict=True)))
        assert error <= RTOL, case


ANCHORS = {
    "mean 1e-8": ((1e-8, 1.0, 0.0, 1.0), 5e-17),
    "mean 1e-9": ((0.0, 1.0, 1e-9, 1.0), 5.0e-19),
    "var 1e-60": ((0.0, 1e-60, 0.0, 1.0), 68.5775527898213700105),
    "var 5e-324": ((0.0, 5e-324, 0.0, 1.0), 371.720035960690599),
    "equal at var 1e300": ((0.0, 1e300, 0.0, 1e300), 0.0),
    "var 1 against 2": ((0.0, 1.0, 0.0, 2.0), 0.0965735902799726547),
    "example 3 of the lesson": ((0.5, 0.64, 0.0, 1.0), 0.168143551314209755),
    "problem 2 of the lesson": ((0.0, 1.0, 1.0, 1.0), 0.5),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_anchor(name):
    arguments, truth = ANCHORS[name]
    assert exact.relative_error(truth, exact.kl_normal(*arguments)) < 1e-14
    value = kl.kl_divergence(normal(*arguments[:2]), normal(*arguments[2:]))
    assert value == pytest.approx(truth, rel=1e-14, abs=0)


def test_anchors_given_by_standard_deviations():
    build = kl.Normal.from_std
    unit = build(mean=0, std=1)
    assert kl.kl_divergence(unit, build(mean=0, std=2)) == pytest.approx(math.log(2) - 0.375, rel=1e-15, abs=0)
    assert kl.kl_divergence(build(mean=0, std=2), unit) == pytest.approx(1.5 - math.log(2), rel=1e-15, abs=0)
    assert kl.kl_divergence(build(mean=0, std=1e-30), unit) == pytest.approx(68.57755278982137, rel=1e-14, abs=0)
    # (1 + 1e-9)^2 is rounded once: 2e-16 of a variance is 1e-7 of its distance from 1
    assert kl.kl_divergence(unit, build(mean=0, std=1 + 1e-9)) == pytest.approx(1e-18, rel=1e-6, abs=0)


def test_infinite_where_the_truth_is_beyond_float64():
    assert kl.kl_divergence(normal(0, 1.7e308), normal(0, 5e-324)) == math.inf
    assert kl.kl_divergence(normal(1e300, 1), normal(-1e300, 1)) == math.inf
    assert kl.kl_divergence(normal(1.7e308, 1.7e308), normal(-1.7e308, 1e300)) == math.inf


def test_means_whose_difference_overflows():
    error, case = worst([(1e308, 1.7e308, -1e308, 1.7e308)])
    assert error <= RTOL, case


@given(st.floats(-1e30, 1e30), st.floats(1e-30, 1e30), st.floats(-1e30, 1e30), st.floats(1e-30, 1e30))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_is_exact_for_any_floats(mean_p, var_p, mean_q, var_q):
    error, _ = worst([(mean_p, var_p, mean_q, var_q)])
    assert error <= RTOL


@given(st.floats(0.5, 2.0, width=32), st.integers(-3, 3), st.floats(-1, 1, width=32), st.integers(-3, 3))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_near_equal_float32_is_never_negative(var, steps, mean, mean_steps):
    var, mean = np.float32(var), np.float32(mean)
    other = var + steps * np.spacing(var)
    moved = mean + mean_steps * np.spacing(mean)
    value = kl.kl_divergence(normal(mean, var), normal(moved, other))
    assert value >= 0.0
    assert (value == 0.0) == (other == var and moved == mean)


def test_scaling_both_by_a_power_of_two_changes_no_bit():
    p, q = normal([0.3, -2.0], [0.7, 1.1]), normal(1.1, [0.70001, 3.0])
    for power in (-300, 40, 250):
        a, b = math.ldexp(1.0, power), math.ldexp(1.0, 2 * power)
        scaled = kl.kl_divergence(normal(p.mean * a, p.var * b), normal(q.mean * a, q.var * b))
        np.testing.assert_array_equal(scaled, kl.kl_divergence(p, q))


# ---------------------------------------------------------------- diagonal


def diagonal(mean, var):
    return kl.MultivariateNormalDiag(mean=mean, var=var)


@pytest.mark.parametrize("d", [1, 2, 7, 100])
def test_diagonal_against_mpmath(d):
    rng = np.random.default_rng(d)
    for spread in (1e-14, 1e-7, 1e-2, 1.0, 100.0):
        var_p = 10.0 ** rng.uniform(-50, 50, d)
        var_q = var_p * np.exp(spread * rng.normal(size=d))
        mean_p = np.sqrt(var_p) * rng.normal(size=d)
        mean_q = mean_p + spread * np.sqrt(var_p) * rng.normal(size=d)
        truth = exact.kl_diagonal(mean_p.tolist(), var_p.tolist(), mean_q.tolist(), var_q.tolist())
        value = kl.kl_divergence(diagonal(mean_p, var_p), diagonal(mean_q, var_q))
        assert exact.relative_error(value, truth) <= RTOL, spread


def test_diagonal_of_extremes():
    var_p, var_q = [5e-324, 1.0, 1e-300, 1.7e308], [1.0, 1.7e308, 1e300, 1e300]
    mean_p, mean_q = [0.0, 1e150, -1e-300, 1e150], [0.0, 0.0, 1e100, -1e150]
    truth = exact.kl_diagonal(mean_p, var_p, mean_q, var_q)
    assert exact.relative_error(kl.kl_divergence(diagonal(mean_p, var_p), diagonal(mean_q, var_q)), truth) <= RTOL


def test_diagonal_is_the_sum_of_its_coordinates():
    rng = np.random.default_rng(5)
    mean, var = rng.normal(size=(2, 6, 4)), rng.gamma(2.0, size=(2, 6, 4))
    each = kl.kl_divergence(normal(mean[0], var[0]), normal(mean[1], var[1]))
    whole = kl.kl_divergence(diagonal(mean[0], var[0]), diagonal(mean[1], var[1]))
    np.testing.assert_allclose(whole, each.sum(axis=1), rtol=1e-14)


def test_a_batch_of_200_000_rows_is_the_loop():
    rng = np.random.default_rng(6)
    p = diagonal(rng.normal(size=(200_000, 8)), rng.gamma(2.0, size=8))  # more than one block
    q = diagonal(np.zeros(8), np.ones(8))
    rows = [0, 1, 77_777, 131_071, 131_072, 199_999]
    np.testing.assert_array_equal(kl.kl_divergence(p, q)[rows], [kl.kl_divergence(p[i], q) for i in rows])


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    mean, var = rng.normal(size=(2, 50)), rng.gamma(2.0, size=(2, 50))
    law = [torch.distributions.Normal(torch.tensor(m), torch.tensor(v).sqrt()) for m, v in zip(mean, var, strict=True)]
    truth = torch.distributions.kl_divergence(*law).numpy()
    np.testing.assert_allclose(kl.kl_divergence(normal(mean[0], var[0]), normal(mean[1], var[1])), truth, rtol=1e-12)
    whole = kl.kl_divergence(diagonal(mean[0], var[0]), diagonal(mean[1], var[1]))
    assert whole == pytest.approx(truth.sum(), rel=1e-12, abs=0)


# ---------------------------------------------------------------- how they are built


@pytest.mark.parametrize("cls", [kl.Normal, kl.MultivariateNormalDiag])
def test_from_std_and_from_log_var_round_once(cls):
    std, log_var = np.array([1e-150, 0.3, 2.0, 1e150]), np.array([-700.0, -1.0, 0.0, 700.0])
    np.testing.assert_array_equal(cls.from_std(mean=np.zeros(4), std=std).var, std**2)
    np.testing.assert_array_equal(cls.from_log_var(mean=np.zeros(4), log_var=log_var).var, np.exp(log_var))
    np.testing.assert_array_equal(cls.from_std(mean=np.arange(4), std=std).mean, np.arange(4.0))


@pytest.mark.parametrize("cls", [kl.Normal, kl.MultivariateNormalDiag])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("std", value) for value in (1e-170, 1e-158, 1.4e154, 1e300)),
        *(("log_var", value) for value in (-746.0, -709.0, 710.0, 1e300)),
    ],
)
def test_a_variance_that_leaves_float64_raises(cls, name, value):
    build = getattr(cls, f"from_{name}")
    with pytest.raises(errors.InvalidParameterError, match=rf"var of {cls.__name__} under- or overflows.*{name}"):
        build(mean=[0.0, 0.0], **{name: [value, 1.0]})


@pytest.mark.parametrize("cls", [kl.Normal, kl.MultivariateNormalDiag])
@pytest.mark.parametrize("name", ["std", "log_var"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_constructors_refuse_what_is_not_finite(cls, name, value):
    with pytest.raises(errors.InvalidParameterError, match=rf"{name}|{cls.__name__}"):
        getattr(cls, f"from_{name}")(mean=[0.0, 0.0], **{name: [value, 1.0]})


@pytest.mark.parametrize("std", [0.0, -0.0, -1.0, -math.inf])
def test_a_standard_deviation_must_be_positive(std):
    with pytest.raises(errors.InvalidParameterError, match=r"std of Normal must be > 0"):
        kl.Normal.from_std(mean=0.0, std=std)


def test_constructors_are_keyword_only():
    for build in (kl.Normal.from_std, kl.Normal.from_log_var, kl.MultivariateNormal.from_cholesky):
        with pytest.raises(TypeError, match="positional"):
            build(0.0, 1.0)
