"""Explicit SIMD: every operation, compiled, against its meaning lane by lane."""

import itertools
import math
import operator
import platform
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import processes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.extending import _Intrinsic
from numba.core.imputils import builtin_registry

from kltools import _simd as simd
from kltools._jit import jit
from kltools._simd import EUCLIDEAN, MAXIMUM, Const

KINDS = [(np.float64, 8), (np.float64, 4), (np.float64, 2), (np.float64, 16), (np.float32, 16)]


def _name(x):
    return getattr(x, "__name__", str(x))


every_kind = pytest.mark.parametrize(("dtype", "width"), KINDS, ids=_name)
every_width = pytest.mark.parametrize("width", [2, 4, 8, 16])
every_norm = pytest.mark.parametrize("norm", [EUCLIDEAN, MAXIMUM], ids=["euclidean", "maximum"])
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv)
COMPARISONS = (operator.lt, operator.gt, operator.and_, operator.or_)


@pytest.fixture(autouse=True)
def _numpy_does_not_warn():
    with np.errstate(all="ignore"):
        yield


def same(got, expected, name=""):
    """Equal, of equal sign of zero, and nan where nan is due."""
    np.testing.assert_array_equal(got, expected, name)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers], name)


def nearest(exact, dtype):
    """The number of a type that is nearest to a fraction, where no two are."""
    try:
        guess = dtype(float(exact))
    except OverflowError:
        return dtype(math.inf if exact > 0 else -math.inf)
    beside = np.nextafter(guess, dtype(-math.inf)), guess, np.nextafter(guess, dtype(math.inf))
    return min((x for x in beside if np.isfinite(x)), key=lambda x: abs(Fraction(float(x)) - exact))


def is_multiply_add(got, x, y, z):
    """Whether a number is x y + z, rounded once or twice."""
    twice = x * y + z
    if got == twice or (np.isnan(got) and np.isnan(twice)):
        return True
    if not np.isfinite([x, y]).all():
        return False
    if not np.isfinite(z):  # x y has overflown
        return got == z
    return got == nearest(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)), type(x))


# ---------------------------------------------------------------- all are here


@pytest.mark.jit
def test_every_operation_is_tested():
    operations = {name for name, value in vars(simd).items() if isinstance(value, _Intrinsic)}
    assert {"minimum", "load", "distances"} <= operations
    called_here = set(re.findall(r"simd\.(\w+)\(", Path(__file__).read_text()))
    assert operations - called_here == set()


@pytest.mark.jit
def test_every_operator_is_tested():
    defined = {function for _, function, signature in builtin_registry.functions if simd.Simd in signature}
    assert defined == {*ARITHMETIC, *COMPARISONS}


# ---------------------------------------------------------------- lane by lane

SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, 3e38]


def triples(dtype):
    """Three columns of numbers: ordinary ones, and all triples of special ones."""
    rng = np.random.default_rng(0)
    special = np.array(list(itertools.product(SPECIAL, repeat=3)))
    ordinary = rng.normal(size=(16 * 64 - len(special), 3)) * 10.0 ** rng.integers(-3, 4, (16 * 64 - len(special), 3))
    return np.ascontiguousarray(np.concatenate([ordinary, special]).T, dtype)


@jit
def _operations(x, y, z):
    return (
        simd.minimum(x, y),
        simd.minimum(x, 0.1),
        simd.minimum(0.0, x),
        simd.maximum(x, y),
        simd.maximum(x, 0.1),
        simd.maximum(0.0, x),
        simd.sqrt(x),
        simd.select(simd.less(x, y), y, z),
        simd.select(simd.less(x, 0.0), y, z),
        simd.select(simd.less(0.0, x), y, z),
        simd.select(simd.less_equal(x, y), y, z),
        simd.select(simd.less_equal(x, 1), y, z),
        simd.select(simd.equal(x, y), y, z),
        simd.select(simd.equal(x, 1), y, z),
        simd.select(simd.less(x, y), z, 0.1),
        simd.magnitude(x),
        simd.select(x < y, y, z),
        simd.select(x > y, y, z),
        simd.select(x > 0.1, y, z),
        simd.select((x < y) & (z > 0.0), y, z),
        simd.select((x < y) | (z > 0.0), y, z),
        x + y,
        x - y,
        x * y,
        x / y,
        (x + 0.1) + (3 + y),
        (x - 0.1) - (3 - y),
        (x * 0.1) * (3 * y),
        (x / 0.1) / (3 / y),
        x * y + z,  # rounded twice
    )


def _meanings(x, y, z):
    """What each means for the numbers in a lane."""
    zero, tenth = type(x)(0.0), type(x)(0.1)
    return {
        "minimum": x if x < y else y,
        "minimum with 0.1": x if x < tenth else tenth,
        "minimum of 0": zero if zero < x else x,
        "maximum": x if x > y else y,
        "maximum with 0.1": x if x > tenth else tenth,
        "maximum of 0": zero if zero > x else x,
        "sqrt": np.sqrt(x),
        "less": y if x < y else z,
        "less than 0": y if x < 0.0 else z,
        "0 is less": y if x > 0.0 else z,
        "less or equal": y if x <= y else z,
        "less or equal 1": y if x <= 1.0 else z,
        "equal": y if x == y else z,
        "equal to 1": y if x == 1.0 else z,
        "select or 0.1": z if x < y else tenth,
        "magnitude": np.abs(x),
        "<": y if x < y else z,
        ">": y if x > y else z,
        "0.1 <": y if x > tenth else z,
        "&": y if x < y and z > 0.0 else z,
        "|": y if x < y or z > 0.0 else z,
        "add": x + y,
        "sub": x - y,
        "mul": x * y,
        "truediv": x / y,
        "add numbers": (x + tenth) + (3 + y),
        "sub numbers": (x - tenth) - (3 - y),
        "mul numbers": (x * tenth) * (3 * y),
        "truediv numbers": (x / tenth) / (3 / y),
        "product and sum": x * y + z,
    }


@jit
def _multiply_adds(x, y, z):
    return simd.fma(x, y, z), simd.fma(x, 0.1, z), simd.fma(0.1, y, -3)


def _terms(x, y, z):
    tenth = type(x)(0.1)
    return {"fma": (x, y, z), "fma with 0.1": (x, tenth, z), "fma of 0.1": (tenth, y, type(z)(-3))}


@jit
def _over_lanes(operations, x, y, z, out, width, rows):
    for i in range(0, len(x), simd.constant(width)):
        vectors = operations(simd.load(x, i, width), simd.load(y, i, width), simd.load(z, i, width))
        simd.store_many(out, i * rows, vectors)


def evaluated(operations, rows, dtype, width):
    """Row by row what operations make of the columns of `triples`."""
    x, y, z = triples(dtype)
    out = np.full((len(x) // width, rows, width), -7.0, dtype)
    _over_lanes(operations, x, y, z, out, Const(width), rows)
    return out.transpose(1, 0, 2).reshape(rows, -1)


@every_kind
def test_lane_by_lane(dtype, width):
    meanings = [_meanings(*triple) for triple in triples(dtype).T]
    got = evaluated(_operations, len(meanings[0]), dtype, width)
    for name, row in zip(meanings[0], got, strict=True):
        same(row, np.array([meaning[name] for meaning in meanings]), name)


@every_kind
def test_multiply_add(dtype, width):
    terms = [_terms(*triple) for triple in triples(dtype).T]
    got = evaluated(_multiply_adds, len(terms[0]), dtype, width)
    for name, row in zip(terms[0], got, strict=True):
        for number, each in zip(row, terms, strict=True):
            assert is_multiply_add(number, *each[name]), (name, number, each[name])


@jit
def _select_numbers(x, y, out, width):
    a, b = simd.load(x, 0, width), simd.load(y, 0, width)
    smaller = simd.less(a, b)
    simd.store_many(out, 0, (simd.select(smaller, 0.5, b), simd.select(smaller, np.inf, -1.5)))


@every_width
def test_select_numbers(width):
    x, y, _ = triples(np.float64)[:, :width]
    out = np.empty((2, width))
    _select_numbers(x, y, out, Const(width))
    same(out[0], np.where(x < y, 0.5, y))
    same(out[1], np.where(x < y, np.inf, -1.5))


@jit
def _compare_integers(x, y, out, width):
    a, b = simd.load(x, 0, width), simd.load(y, 0, width)
    out[0], out[1] = simd.bits(simd.less(a, b)), simd.bits(simd.less_equal(a, 0))
    out[2] = simd.bits(simd.equal(a, b))
    simd.store(x, 0, simd.select(simd.less(a, b), b, a))


@every_width
@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_integers_are_compared_and_chosen(dtype, width):
    x, y = np.random.default_rng(0).integers(-2, 3, (2, width)).astype(dtype)
    x[0], y[0] = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected, out = np.maximum(x, y), np.empty(3, dtype=np.int64)
    masks = [packed(x < y), packed(x <= 0), packed(x == y)]
    _compare_integers(x, y, out, Const(width))
    assert out.tolist() == masks
    np.testing.assert_array_equal(x, expected)


# ---------------------------------------------------------------- masks and sums over lanes


def packed(mask):
    return sum(1 << lane for lane in range(len(mask)) if mask[lane])


@jit
def _masks(x, bits, counts, everywhere, width):
    for i in range(len(bits)):
        mask = simd.less(0.0, simd.load(x, i * simd.constant(width), width))
        bits[i], counts[i], everywhere[i] = simd.bits(mask), simd.count(mask), simd.everywhere(mask)


@every_kind
def test_masks(dtype, width):
    some = np.random.default_rng(0).integers(0, 2, (200, width))
    masks = np.concatenate([some, np.zeros((1, width)), np.ones((1, width)), np.eye(width), 1 - np.eye(width)])
    (bits, counts), everywhere = np.empty((2, len(masks)), np.int64), np.zeros(len(masks), bool)
    _masks(masks.astype(dtype), bits, counts, everywhere, Const(width))
    assert bits.tolist() == [packed(mask) for mask in masks]
    assert counts.tolist() == [sum(mask) for mask in masks]
    assert everywhere.tolist() == [all(mask) for mask in masks]


@jit
def _lowest_bit(number):
    return simd.lowest_bit(number)


def test_lowest_bit():
    for place in range(63):
        lowest = 1 << place
        assert _lowest_bit(lowest) == place
        assert _lowest_bit(lowest | (0x5A5A5A5A5A5A5A5A & -2 * lowest)) == place


@jit
def _total(x, i, width):
    return simd.total(simd.load(x, i, width))


@every_kind
def test_total(dtype, width):
    x = np.random.default_rng(0).normal(size=100).astype(dtype)
    for i in range(40):
        numbers = x[i : i + width]
        while len(numbers) > 1:
            numbers = [a + b for a, b in zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :], strict=True)]
        assert _total(x, i, Const(width)) == numbers[0]
    assert math.isnan(_total(np.array([1.0] * (width - 1) + [math.nan], dtype), 0, Const(width)))
    assert _total(np.array([-math.inf] + [1.0] * (width - 1), dtype), 0, Const(width)) == -math.inf


# ---------------------------------------------------------------- loads and stores


@jit
def _copy(source, i, target, j, width):
    simd.store(target, j, simd.load(source, i, width))


@every_kind
def test_loads_and_stores_at_any_offset(dtype, width):
    source = np.arange(1, 60, dtype=dtype)
    for i in range(2 * width):
        target = np.zeros(60, dtype)
        j = (7 * i) % 40
        _copy(source, i, target, j, Const(width))
        expected = np.zeros(60)
        expected[j : j + width] = source[i : i + width]
        np.testing.assert_array_equal(target, expected)


@jit
def _load_each(arrays, places, steps, j, strides, n, out, width):
    simd.store_many(out, 0, simd.load_each(arrays, places, steps, j, width))
    lanes = simd.constant(width)
    simd.store_many(out, 2 * lanes, simd.gather_each(arrays, places, steps, j, strides, n, width))
    simd.store(out, 4 * lanes, simd.widened(simd.gather(arrays[1], 5, 3, n, width)))
    simd.store(out, 5 * lanes, simd.first_lanes(simd.load(arrays[0], 0, width), n))
    simd.store_first(out, 6 * lanes, simd.load(arrays[0], 1, width), n)


@every_width
@pytest.mark.parametrize("steps", [(0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("strides", [(0, 1), (1, 3), (2, 0)])
def test_numbers_from_places_of_several_arrays(width, steps, strides):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=90), rng.normal(size=90).astype(np.float32)
    places, j, lanes = np.array([2, 4]), 3, np.arange(width)
    for n in range(1, width + 1):
        out = np.full((7, width), -7.0)
        _load_each(arrays, places, np.array(steps), j, np.array(strides), n, out, Const(width))
        for k, array in enumerate(arrays):
            first = places[k] + j * steps[k]
            np.testing.assert_array_equal(out[k], array[first + steps[k] * lanes])
            np.testing.assert_array_equal(out[2 + k], array[first + strides[k] * np.minimum(lanes, n - 1)])
        np.testing.assert_array_equal(out[4], arrays[1][5 + 3 * np.minimum(lanes, n - 1)])
        np.testing.assert_array_equal(out[5], np.where(lanes < n, arrays[0][:width], 0.0))
        np.testing.assert_array_equal(out[6], np.where(lanes < n, arrays[0][1 : 1 + width], -7.0))


@pytest.mark.parametrize("shape", [(64,), (8, 8), (4, 2, 8), (1, 64)])
def test_arrays_of_any_shape_are_counted_flat(shape):
    source, target = np.arange(64.0).reshape(shape), np.zeros(shape)
    _copy(source, 13, target, 21, Const(8))
    np.testing.assert_array_equal(target.ravel(), [*[0.0] * 21, *range(13, 21), *[0.0] * 35])
    assert [_item(source, i) for i in (0, 13, 63)] == [0.0, 13.0, 63.0]


def test_read_only_arrays_are_read():
    source, target = np.arange(8.0), np.zeros(8)
    source.flags.writeable = False
    _copy(source, 0, target, 0, Const(8))
    np.testing.assert_array_equal(target, source)


@jit
def _item(array, i):
    return simd.item(array, i)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32])
def test_item(dtype):
    array = np.arange(-3, 9).astype(dtype).reshape(3, 4)
    assert [_item(array, i) for i in range(12)] == list(range(-3, 9))


@jit
def _splat(number, out, width):
    simd.store(out, 1, simd.splat(number, width))


@every_kind
def test_splat(dtype, width):
    for number in (-2.5, -0.0, math.nan, math.inf):
        out = np.zeros(width + 2, dtype)
        _splat(dtype(number), out, Const(width))
        same(out, np.array([0.0, *[number] * width, 0.0], dtype))


def test_splat_integer():
    out = np.zeros(6, dtype=np.int64)
    _splat(7, out, Const(4))
    assert out.tolist() == [0, 7, 7, 7, 7, 0]


# ---------------------------------------------------------------- tuples of vectors

KINDS_AND_COUNTS = [(*kind, count) for kind, count in zip(KINDS, (5, 2, 1, 3, 4), strict=True)]
every_kind_and_count = pytest.mark.parametrize(("dtype", "width", "count"), KINDS_AND_COUNTS, ids=_name)


@jit
def _copy_many(source, i, target, j, width, count):
    simd.store_many(target, j, simd.load_many(source, i, width, count))


@jit
def _copy_swapped(source, target, width, count):
    first, second = simd.load_many(source, 0, width, count)
    simd.store_many(target, 0, (second, first))


@jit
def _spread(source, i, target, width, count):
    simd.store_many(target, 1, simd.splat_many(source, i, width, count))


@jit
def _add_products(sums, x, factors, i, out, width, count):
    simd.store_many(out, 0, simd.fma_many(simd.load_many(sums, 0, width, count), simd.load(x, 0, width), factors, i))


@jit
def _exceed(vectors, x, limits, i, width, count):
    return simd.bits(simd.exceed_many(simd.load_many(vectors, 0, width, count), simd.load(x, 0, width), limits, i))


@every_kind_and_count
def test_loads_and_stores_of_many(dtype, width, count):
    source = np.arange(1, 101, dtype=dtype)
    for i in range(17):
        target, expected = np.zeros((2, 101), dtype)
        _copy_many(source, i, target, 17 - i, Const(width), Const(count))
        expected[17 - i : 17 - i + width * count] = source[i : i + width * count]
        np.testing.assert_array_equal(target, expected)


def test_a_tuple_is_taken_apart_and_put_together():
    target = np.zeros(8)
    _copy_swapped(np.arange(8.0), target, Const(4), Const(2))
    assert target.tolist() == [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0]


@every_kind_and_count
def test_splat_many(dtype, width, count):
    source, target = np.random.default_rng(0).normal(size=10).astype(dtype), np.zeros(width * count + 2, dtype)
    _spread(source, 3, target, Const(width), Const(count))
    np.testing.assert_array_equal(target, [0.0, *(x for x in source[3 : 3 + count] for _ in range(width)), 0.0])


@every_kind_and_count
def test_fma_many(dtype, width, count):
    rng = np.random.default_rng(0)
    sums, x, factors = (rng.normal(size=n).astype(dtype) for n in (width * count, width, 10))
    out = np.zeros(width * count, dtype)
    _add_products(sums, x, factors, 3, out, Const(width), Const(count))
    for t, lane in itertools.product(range(count), range(width)):
        at = t * width + lane
        assert is_multiply_add(out[at], x[lane], factors[3 + t], sums[at])


@every_kind_and_count
def test_exceed_many(dtype, width, count):
    rng = np.random.default_rng(0)
    for _ in range(50):
        vectors, x, limits = (
            rng.choice([-math.inf, -2.0, 0.1, 1.0, 3.0, math.inf], shape).astype(dtype)
            for shape in ((count, width), width, 10)
        )
        limits[:3] = -9.0
        limits[3:] += 1.0
        exceeded = [
            any(v > min(x[lane], limit) for v, limit in zip(vectors[:, lane], limits[3:], strict=False))
            for lane in range(width)
        ]
        assert _exceed(vectors, x, limits, 3, Const(width), Const(count)) == packed(exceeded)


# ---------------------------------------------------------------- distances


@jit
def _distances(columns, points, low, high, to_points, to_boxes, width, count, norm):
    """From blocks of columns, each to a point and to a box."""
    for j in range(len(to_points) // simd.constant(width)):
        block = simd.load_many(columns, j * simd.constant(width) * simd.constant(count), width, count)
        i = j * simd.constant(count)
        simd.store(to_points, j * simd.constant(width), simd.distances(block, points, i, norm))
        simd.store(to_boxes, j * simd.constant(width), simd.box_distances(block, low, high, i, norm))


def distances(columns, points, low, high, norm):
    """Distances from columns (blocks, features, lanes) to points and boxes (blocks, features)."""
    blocks, count, width = columns.shape
    to_points, to_boxes = np.full((2, blocks, width), -7.0, columns.dtype)
    out = to_points.reshape(-1), to_boxes.reshape(-1)
    _distances(columns, points, low, high, *out, Const(width), Const(count), norm)
    return to_points, to_boxes


def plain_norm(differences, norm):
    if norm is MAXIMUM:
        return max(abs(x) for x in differences)
    result = Fraction(0)
    for x in differences:
        result += x**2
    return result


def plain_distances(columns, points, low, high, norm):
    """The same in exact arithmetic."""
    blocks, _, width = columns.shape
    to_points, to_boxes = np.empty((2, blocks, width), object)
    for j, lane in itertools.product(range(blocks), range(width)):
        x, point, a, b = (
            [Fraction(float(v)) for v in row] for row in (columns[j, :, lane], points[j], low[j], high[j])
        )
        sides = zip(x, a, b, strict=True)
        to_points[j, lane] = plain_norm([v - p for v, p in zip(x, point, strict=True)], norm)
        to_boxes[j, lane] = plain_norm([max(left - v, v - right, Fraction(0)) for v, left, right in sides], norm)
    return to_points, to_boxes


def scene(draw, blocks, count, width, dtype=np.float64):
    """Columns, boxes and points in the boxes, of numbers that `draw` makes in a shape."""
    columns = draw((blocks, count, width)).astype(dtype)
    corners = draw((2, blocks, count)).astype(dtype)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return columns, np.clip(draw((blocks, count)).astype(dtype), low, high), low, high


@pytest.mark.parametrize(("dtype", "width", "count"), [*((*kind, 3) for kind in KINDS), (np.float64, 8, 1)], ids=_name)
@every_norm
def test_distances(norm, dtype, width, count):
    rng = np.random.default_rng(0)
    whole = scene(lambda shape: rng.integers(-20, 20, shape), 20, count, width, dtype)
    for got, expected in zip(distances(*whole, norm), plain_distances(*whole, norm), strict=True):
        np.testing.assert_array_equal(got, expected.astype(float))  # without rounding
    ordinary = scene(lambda shape: rng.normal(size=shape), 20, count, width, dtype)
    for got, expected in zip(distances(*ordinary, norm), plain_distances(*ordinary, norm), strict=True):
        np.testing.assert_allclose(got, expected.astype(float), rtol=8 * np.finfo(dtype).eps, atol=0)


@every_norm
def test_distances_to_what_has_no_end(norm):
    """Boxes may be half spaces, points may be far away, and squares may overflow."""
    x = np.array([-1e300, -1.0, 0.0, 1.0, 2.0, 5.0, 1e300, 1.7e308])
    columns = np.stack([x, np.zeros(8)])[None]
    low, high = np.array([[1.0, -math.inf]]), np.array([[math.inf, math.inf]])
    to_points, to_boxes = distances(columns, np.array([[math.inf, 0.0]]), low, high, norm)
    power = 2 if norm is EUCLIDEAN else 1
    np.testing.assert_array_equal(to_points, [[math.inf] * 8])
    np.testing.assert_array_equal(to_boxes[0], np.maximum(1.0 - x, 0.0) ** power)


@every_kind
@every_norm
def test_a_box_is_never_farther_than_a_point_in_it(norm, dtype, width):
    """Where rounding matters: numbers that differ in their last bits, and points on the sides."""
    rng = np.random.default_rng(0)
    eps = np.finfo(dtype).eps
    for draw in (
        lambda shape: rng.normal(size=shape),
        lambda shape: 1.0 + eps * rng.integers(-9, 10, shape),
        lambda shape: rng.choice([0.1, 0.3, 1 / 3, 7.7], shape) * (1 + eps * rng.integers(-1, 2, shape)),
        lambda shape: rng.normal(size=shape) * 10.0 ** rng.integers(-25, 20, shape),
    ):
        to_points, to_boxes = distances(*scene(draw, 2000, 3, width, dtype), norm)
        assert (to_boxes <= to_points).all()
        assert (to_boxes >= 0.0).all()


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-30, 30).map(lambda x: x / 10)


@every_norm
@settings(deadline=None, derandomize=True, max_examples=200)
@given(data=st.data())
def test_a_box_is_never_farther_than_any_point_in_it(norm, data):
    def draw(shape):
        n = math.prod(shape)
        return np.array(data.draw(st.lists(numbers, min_size=n, max_size=n))).reshape(shape)

    to_points, to_boxes = distances(*scene(draw, 1, 3, 8), norm)
    assert (to_boxes <= to_points).all()


# ---------------------------------------------------------------- exponents


@jit
def _split(x, mantissas, exponents, width):
    for i in range(0, len(x), simd.constant(width)):
        mantissa, exponent = simd.split(simd.load(x, i, width))
        simd.store(mantissas, i, mantissa)
        simd.store(exponents, i, exponent)


@jit
def _round(x, out, width):
    for i in range(0, len(x), simd.constant(width)):
        simd.store(out, i, simd.nearest_whole(simd.load(x, i, width))[0])


@jit
def _scale_normal(x, n, out, width):
    for i in range(0, len(x), simd.constant(width)):
        _, shifted = simd.nearest_whole(simd.load(n, i, width))
        simd.store(out, i, simd.scale_normal(simd.load(x, i, width), shifted))


@jit
def _scale(x, n, out, width):
    for i in range(0, len(x), simd.constant(width)):
        simd.store(out, i, simd.scale(simd.load(x, i, width), simd.load(n, i, width)))


def spread(n, lowest=-1022, highest=1024):
    """Positive numbers of every exponent."""
    rng = np.random.default_rng(0)
    return np.ldexp(rng.uniform(1.0, 2.0, n), rng.integers(lowest, highest, n))


def around(*points):
    return np.concatenate([np.nextafter(points, 0.0), points, np.nextafter(points, math.inf)])


@every_width
def test_split(width):
    powers = np.ldexp(1.0, np.arange(-1021, 1023, 101))
    ends = 2.0**-1022, np.finfo(float).max
    x = np.concatenate([spread(1000), around(*powers), around(*powers * math.sqrt(0.5)), ends])
    x = np.append(x, np.ones(-len(x) % 16))
    mantissas, exponents = np.empty((2, len(x)))
    _split(x, mantissas, exponents, Const(width))
    for number, mantissa, exponent in zip(x.tolist(), mantissas.tolist(), exponents.tolist(), strict=True):
        assert Fraction(mantissa) * Fraction(2) ** int(exponent) == Fraction(number)
        assert exponent == int(exponent)
        assert 0.5 <= Fraction(mantissa) ** 2 < 2


@jit
def _parts(x, mantissas, exponents, width):
    for i in range(0, len(x), simd.constant(width)):
        mantissa, exponent = simd.parts(simd.load(x, i, width))
        simd.store(mantissas, i, mantissa)
        simd.store(exponents, i, exponent)


@every_width
def test_parts_of_subnormal_numbers_too(width):
    x = np.concatenate([spread(1600, -1074), [5e-324, 2.0**-1022, 2.0**-1023, np.finfo(float).max] * 4])
    mantissas, exponents = np.empty((2, len(x)))
    _parts(x, mantissas, exponents, Const(width))
    for number, mantissa, exponent in zip(x.tolist(), mantissas.tolist(), exponents.tolist(), strict=True):
        assert Fraction(mantissa) * Fraction(2) ** int(exponent) == Fraction(number)
        assert 0.5 <= Fraction(mantissa) ** 2 < 2


@every_width
def test_nearest_whole(width):
    rng = np.random.default_rng(0)
    halves = np.arange(-40, 40) + 0.5
    large = 2.0**50 * np.array([1.0, -1.0, *rng.uniform(-1.0, 1.0, 30)])
    x = np.concatenate([rng.uniform(-1e3, 1e3, 400), large, halves, around(*halves)])
    x = np.append(x, np.zeros(-len(x) % 16))
    out = np.empty(len(x))
    _round(x, out, Const(width))
    assert out.tolist() == [round(number) for number in x.tolist()]  # half to even


@every_width
def test_scale_normal(width):
    rng = np.random.default_rng(0)
    x = spread(1600, -500, 500) * rng.choice([-1.0, 1.0], 1600)
    n = rng.integers(-500, 500, 1600).astype(float)
    x[:2], n[:2] = 1.0, (1023.0, -1022.0)
    out = np.empty(1600)
    _scale_normal(x, n + rng.uniform(-0.4, 0.4, 1600), out, Const(width))
    assert out.tolist() == [math.ldexp(*pair) for pair in zip(x.tolist(), n.astype(int).tolist(), strict=True)]


@every_width
def test_scale(width):
    rng = np.random.default_rng(0)
    n = np.concatenate([np.arange(-2000, 2000, 5), np.arange(-1080, -1016), np.arange(1016, 1032)])
    x = rng.uniform(0.7, 1.42, len(n)) * rng.choice([-1.0, 1.0], len(n))
    out = np.empty(len(n))
    _scale(x, n.astype(float), out, Const(width))
    for got, number, exponent in zip(out, x.tolist(), n.tolist(), strict=True):
        assert got == nearest(Fraction(number) * Fraction(2) ** exponent, np.float64), (number, exponent)


# ---------------------------------------------------------------- compile-time integers


@jit
def _constant(number):
    return simd.constant(number)


@pytest.mark.parametrize("number", [-3, 0, 8, 2**40])
def test_constant(number):
    assert _constant(Const(number)) == number


@pytest.mark.jit
def test_each_value_of_a_constant_is_compiled_once():
    @jit
    def first_lanes(x, width):
        return simd.total(simd.load(x, 0, width))

    x = np.arange(16.0)
    assert [first_lanes(x, Const(width)) for width in (4, 8, 4, 8)] == [6.0, 28.0, 6.0, 28.0]
    assert len(first_lanes.signatures) == 2


CACHED = """
from kltools._jit import jit
from kltools._simd import load, total

@jit
def first_lanes(x, width):
    return total(load(x, 0, width))
"""
CACHED_JOB = """
import numpy as np
from kltools._cached import first_lanes
from kltools._simd import Const
print(*(first_lanes(np.arange(16.0), Const(width)) for width in {widths}))
print(*(sum(count.values()) for count in (first_lanes.stats.cache_hits, first_lanes.stats.cache_misses)))
"""


@pytest.mark.jit
def test_each_value_of_a_constant_is_found_on_disk(tmp_path):
    shutil.copytree(processes.ROOT / "kltools", tmp_path / "kltools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "kltools" / "_cached.py").write_text(CACHED)

    def job(*widths):
        script = CACHED_JOB.format(widths=widths)
        return processes.run("-c", script, env=processes.environment(tmp_path, tmp_path / "cache"))[0].split("\n")[:2]

    assert job(4, 8) == ["6.0 28.0", "0 2"]
    assert job(8, 4, 2) == ["28.0 6.0 1.0", "2 1"]


# ---------------------------------------------------------------- other ways to run

HERE = f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\nimport test_simd as tests\n"

EIGHT, THREE = Const(8), Const(3)  # constants may be globals of a kernel
# accesses to x at element i, each with the number of elements from there on that it needs; y is long enough
ACCESSES = {
    "item": (lambda x, y, i: simd.item(x, i), 1),
    "load": (lambda x, y, i: simd.store(y, 0, simd.load(x, i, EIGHT)), 8),
    "store": (lambda x, y, i: simd.store(x, i, simd.splat(1.0, EIGHT)), 8),
    "load_many": (lambda x, y, i: simd.store_many(y, 0, simd.load_many(x, i, EIGHT, THREE)), 24),
    "store_many": (lambda x, y, i: simd.store_many(x, i, simd.load_many(y, 0, EIGHT, THREE)), 24),
    "splat_many": (lambda x, y, i: simd.store_many(y, 0, simd.splat_many(x, i, EIGHT, THREE)), 3),
    "fma_many": (lambda x, y, i: simd.store_many(y, 0, simd.fma_many(_columns(y), simd.load(y, 0, EIGHT), x, i)), 3),
    "exceed_many": (lambda x, y, i: simd.bits(simd.exceed_many(_columns(y), simd.load(y, 0, EIGHT), x, i)), 3),
    "distances": (lambda x, y, i: simd.total(simd.distances(_columns(y), x, i, MAXIMUM)), 3),
    "box_distances, low": (lambda x, y, i: simd.total(simd.box_distances(_columns(y), x, y, i, MAXIMUM)), 3),
    "box_distances, high": (lambda x, y, i: simd.total(simd.box_distances(_columns(y), y, x, i, MAXIMUM)), 3),
}


@jit
def _columns(y):
    return simd.load_many(y, 0, EIGHT, THREE)


def wrong_accesses():
    """Accesses outside of the array that are made, and those inside of it that are refused."""
    n = 30
    x, y = np.ones(n), np.ones(2 * n)
    for name, (access, reach) in ACCESSES.items():
        kernel = jit(access)
        for i in (0, n - reach, -1, -(2**40), n - reach + 1, n, 2**40):
            try:
                kernel(x, y, i)
                refused = False
            except IndexError:
                refused = True
            if refused == (0 <= i <= n - reach):
                yield name, i


@pytest.mark.jit
def test_bounds_are_checked_where_asked():
    env = processes.environment(NUMBA_BOUNDSCHECK="1")
    out, _ = processes.run("-c", HERE + "print(*tests.wrong_accesses())", env=env)
    assert out == "\n"


def representative():
    """Many of the tests, for a process that compiles differently."""
    with np.errstate(all="ignore"):
        for norm in (EUCLIDEAN, MAXIMUM):
            test_distances(norm, np.float64, 8, 3)
            test_a_box_is_never_farther_than_a_point_in_it(norm, np.float64, 8)
        for test in (test_lane_by_lane, test_multiply_add, test_masks, test_total, test_splat):
            test(np.float64, 8)
        for test in (test_splat_many, test_fma_many, test_exceed_many):
            test(np.float64, 8, 2)
        for test in (test_split, test_nearest_whole, test_scale_normal, test_scale):
            test(8)


WAYS = {
    "nothing is compiled": {"NUMBA_DISABLE_JIT": "1"},
    "SSE2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
}


@pytest.mark.jit
@pytest.mark.parametrize("way", WAYS)
def test_results_are_the_same_where(way):
    """They are those of the compiler here, as both are compared with the same bits."""
    if "NUMBA_CPU_NAME" in WAYS[way] and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the name of an x86 processor")
    processes.run("-c", HERE + "tests.representative()", env=processes.environment(**WAYS[way]))
