"""exp, log and log1p of vectors against mpmath, over the whole range of float64."""

import math
import platform
from functools import lru_cache
from pathlib import Path

import numpy as np
import processes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from kltools import _simd
from kltools._jit import jit
from kltools._simd import Const, constant, load, store

LARGEST, SMALLEST, SMALLEST_NORMAL = np.finfo(float).max, 5e-324, 2.0**-1022
LN2 = math.log(2.0)
WIDTH = Const(8)
ULPS = {"exp": 1.0, "log": 1.0, "log1p": 2.0}
every_function = pytest.mark.parametrize("name", ULPS)


@pytest.fixture(autouse=True)
def _numpy_does_not_warn():
    with np.errstate(all="ignore"):
        yield


def over_lanes(function):
    @jit
    def kernel(values, out, width):
        for i in range(0, len(values), constant(width)):
            store(out, i, function(load(values, i, width)))

    return kernel


KERNELS = {name: over_lanes(getattr(_simd, name)) for name in ULPS}


def evaluated(name, values, width=WIDTH):
    """A function of many numbers, whose last vector is filled up with ones."""
    padded = np.append(values, np.ones(-len(values) % width.value))
    out = np.full(len(padded), -7.0)
    KERNELS[name](padded, out, width)
    return out[: len(values)]


# ---------------------------------------------------------------- arguments


def beside(*points):
    """Points with the floats next to them."""
    return np.unique([np.nextafter(points, -math.inf), points, np.nextafter(points, math.inf)])


def magnitudes(rng, n, lowest=-1074.0, highest=1024.0):
    """Numbers of every size, from the smallest subnormal one on."""
    exponents = np.floor(rng.uniform(lowest, highest, n)).astype(int)
    return np.ldexp(rng.uniform(1.0, 2.0, n), exponents)


def near_one():
    powers = 2.0 ** -np.arange(1.0, 54.0)
    return beside(1.0, *(1.0 + powers), *(1.0 - powers))


@lru_cache
def arguments(name):
    """Where the function is a finite number other than 0, or rounds to 0 or inf."""
    rng = np.random.default_rng(0)
    if name == "exp":
        halves = (np.arange(-1075, 1025, 3) + 0.5) * LN2  # where one power of 2 takes over from another
        edges = beside(709.782712893384, 709.0, 710.0, 708.0, -708.0, -708.3964185322641, -708.4, -744.4400719213812)
        ends = beside(-745.1332191019411, -745.13, -746.0, 800.0, -800.0, 1e9, -1e9, LARGEST / 2, -LARGEST / 2)
        small = magnitudes(rng, 1000, highest=3.0)
        parts = [rng.uniform(-746.0, 710.0, 3000), rng.uniform(-1.0, 1.0, 1000), small, -small, halves, edges, ends]
    elif name == "log":
        powers = 2.0 ** np.arange(-1000.0, 1000.0, 50.0)
        edges = beside(SMALLEST_NORMAL, math.sqrt(0.5), math.sqrt(2.0), 2.0, math.e, *powers)
        ends = [SMALLEST, 2 * SMALLEST, 3 * SMALLEST, LARGEST, np.nextafter(LARGEST, 0.0)]
        around_one = [rng.uniform(0.5, 2.0, 2000), rng.uniform(0.95, 1.05, 1000), near_one()]
        parts = [magnitudes(rng, 3000), *around_one, edges, ends]
    else:
        around_eps = np.arange(1.0, 33.0) * 2.0**-56
        switches = (2.0**52, 2.0**53, 2.0**54, 2.0**60, math.sqrt(0.5) - 1.0, math.sqrt(2.0) - 1.0, SMALLEST_NORMAL)
        edges = [*beside(*switches), *(near_one() - 1.0), np.nextafter(-1.0, 0.0), SMALLEST, LARGEST]
        below = magnitudes(rng, 2000, highest=0.0)
        parts = [magnitudes(rng, 2000), -below, rng.uniform(-1.0, 1.0, 2000), around_eps, -around_eps, edges]
        parts.append(magnitudes(rng, 1000, -56.0, 2.0))
    values = np.concatenate(parts)
    return values[(values != 0.0) & (values > -1.0)] if name == "log1p" else values


EXTREMES = {
    "exp": [math.inf, -math.inf, math.nan, 709.9, 1e300, -745.0, -LARGEST, SMALLEST],
    "log": [math.inf, -math.inf, math.nan, 0.0, -0.0, -1.0, SMALLEST, LARGEST],
    "log1p": [math.inf, -math.inf, math.nan, -1.0, -0.0, -2.0, SMALLEST, LARGEST],
}
SPECIAL = {
    "exp": [0.0, -0.0, math.inf, -math.inf, math.nan, 709.8, 710.0, LARGEST, -745.2, -746.0, -1e5, -LARGEST, SMALLEST],
    "log": [1.0, 0.0, -0.0, math.inf, -math.inf, math.nan, -SMALLEST, -SMALLEST_NORMAL, -1.0, -LARGEST],
    "log1p": [0.0, -0.0, math.inf, -math.inf, math.nan, -1.0, -1.0 - 2.0**-52, -2.0, -LARGEST, SMALLEST, -SMALLEST],
}


# ---------------------------------------------------------------- accuracy


def ulps(got, truth):
    """|got - truth| in units of the distance of the floats around truth; inf is right beyond the largest."""
    if truth >= mp.ldexp(1, 1024) - mp.ldexp(1, 970):
        return 0.0 if got == math.inf else math.inf
    if not math.isfinite(got):
        return math.inf
    spacing = mp.ldexp(1, max(mp.frexp(truth)[1] - 53, -1074))
    return float(abs(mp.mpf(got) - truth) / spacing)


@lru_cache
def truths(name):
    with mp.workprec(200):
        return [getattr(mp, name)(mp.mpf(x)) for x in arguments(name).tolist()]


def check(name, got, chosen=slice(None)):
    """The function of the arguments, or of some of them, is as near to the truth as it should be."""
    with mp.workprec(200):
        errors = [ulps(*pair) for pair in zip(got.tolist(), truths(name)[chosen], strict=True)]
    worst = int(np.argmax(errors))
    x = float(arguments(name)[chosen][worst])
    assert errors[worst] <= ULPS[name], f"{name}({x!r}) = {float(got[worst])!r}, {errors[worst]} ulp off"


def same(got, expected):
    """Equal, of equal sign of zero, and nan where nan is due."""
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


@every_function
@pytest.mark.parametrize("width", [2, 4, 8, 16])
def test_accuracy(name, width):
    check(name, evaluated(name, arguments(name), Const(width)))


@every_function
def test_ordinary_numbers_beside_each_other(name):
    """Sorted by size, so that a vector has either ordinary lanes or extreme ones."""
    order = np.argsort(np.abs(arguments(name)))
    got = np.empty(len(order))
    got[order] = evaluated(name, arguments(name)[order])
    check(name, got)


@every_function
@pytest.mark.parametrize("lane", range(8))
def test_an_extreme_number_leaves_the_other_lanes_alone(name, lane):
    chosen = slice(lane, None, 3)
    values = arguments(name)[chosen]
    groups = np.resize(values, (-(-len(values) // 7), 7))
    extremes = np.resize(EXTREMES[name], len(groups))
    got = evaluated(name, np.insert(groups, lane, extremes, axis=1).ravel())
    check(name, np.delete(got.reshape(-1, 8), lane, axis=1).ravel()[: len(values)], chosen)


@every_function
@pytest.mark.parametrize("others", [0.5, 700.0, math.nan, math.inf, SMALLEST])
def test_special_numbers_are_those_of_numpy(name, others):
    expected = getattr(np, name)(SPECIAL[name])
    for lane in range(8):
        vectors = np.full((len(expected), 8), others)
        vectors[:, lane] = SPECIAL[name]
        same(evaluated(name, vectors.ravel())[lane::8], expected)


@every_function
def test_equal_lanes_of_special_numbers(name):
    same(evaluated(name, np.repeat(SPECIAL[name], 8)), np.repeat(getattr(np, name)(SPECIAL[name]), 8))


DOMAINS = {"exp": -math.inf, "log": 0.0, "log1p": -1.0}
eight_numbers = st.lists(st.floats(), min_size=8, max_size=8)


@every_function
@settings(deadline=None, derandomize=True, max_examples=150)
@given(numbers=eight_numbers)
def test_any_numbers(name, numbers):
    for x, got in zip(numbers, evaluated(name, np.array(numbers)).tolist(), strict=True):
        if x != 0.0 and DOMAINS[name] < x < math.inf:
            with mp.workprec(1200):
                assert ulps(got, getattr(mp, name)(mp.mpf(x))) <= ULPS[name], (x, got)
        else:
            same(np.array(got), getattr(np, name)(np.array(x)))


# ---------------------------------------------------------------- other processors

RESTRICTED = {
    "SSE2": ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}, set()),
    "AVX2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}, {"vfmadd", "ymm"}),
}
SCRIPT = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
import test_vector_math as tests
for name, kernel in tests.KERNELS.items():
    tests.check(name, tests.evaluated(name, tests.arguments(name)))
    tests.same(tests.evaluated(name, tests.SPECIAL[name]), getattr(tests.np, name)(tests.SPECIAL[name]))
    (machine_code,) = kernel.inspect_asm().values()
    print(*(word for word in ("vfmadd", "ymm", "zmm") if word in machine_code))
"""


@pytest.mark.jit
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the names of x86 processors")
@pytest.mark.parametrize("processor", RESTRICTED)
def test_accuracy_on_lesser_processors(processor):
    variables, instructions = RESTRICTED[processor]
    out, _ = processes.run("-c", SCRIPT, env=processes.environment(**variables))
    assert [set(line.split()) for line in out.splitlines()] == [instructions] * len(KERNELS)
