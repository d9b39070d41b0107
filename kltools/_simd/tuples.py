"""Operations on tuples of vectors, which stay in registers; among them distances of points in the lanes."""

import functools

import numpy as np
from llvmlite import ir
from numba.core import types

from .lowering import (
    Const,
    Simd,
    address_of,
    call_overloaded,
    check_writable,
    flat,
    fused,
    load_vector,
    numbers_at,
    operation,
    plain_maximum,
    put,
    select_where,
    splat_scalar,
)


@operation(
    lambda array, i, width, count: tuple(flat(array)[i : i + width.value * count.value].reshape(-1, width.value))
)
def load_many(context, array, i, width, count):
    """`count` vectors that follow one another."""
    vector = Simd(array.dtype, width.value)
    result = types.UniTuple(vector, count.value)

    def lower(target, builder, sig, args):
        llvm = target.get_value_type(vector)
        first = address_of(target, builder, sig.args[0], args[0], args[1], width.value * count.value)
        addresses = (builder.gep(first, [ir.Constant(ir.IntType(64), t * width.value)]) for t in range(count.value))
        vectors = [load_vector(builder, address, llvm, array.dtype.bitwidth // 8) for address in addresses]
        return target.make_tuple(builder, result, vectors)

    return result(array, types.intp, width, count), lower


def _put_many(array, i, vectors):
    put(array, i, np.concatenate(vectors))


@operation(_put_many)
def store_many(context, array, i, vectors):
    """Write vectors one after the other."""
    check_writable(array, vectors.dtype)
    width = vectors.dtype.width

    def lower(target, builder, sig, args):
        first = address_of(target, builder, sig.args[0], args[0], args[1], width * vectors.count)
        for t in range(vectors.count):
            value = builder.extract_value(args[2], t)
            address = builder.gep(first, [ir.Constant(ir.IntType(64), t * width)])
            stored = builder.store(value, builder.bitcast(address, value.type.as_pointer()))
            stored.align = vectors.dtype.dtype.bitwidth // 8
        return target.get_dummy_value()

    return types.void(array, types.intp, vectors), lower


@operation(lambda array, i, width, count: tuple(np.full(width.value, x) for x in flat(array)[i : i + count.value]))
def splat_many(context, array, i, width, count):
    """A vector for each of `count` numbers that follow one another."""
    vector = Simd(array.dtype, width.value)
    result = types.UniTuple(vector, count.value)

    def lower(target, builder, sig, args):
        numbers = numbers_at(target, builder, sig.args[0], args[0], args[1], count.value)
        llvm = target.get_value_type(vector)
        return target.make_tuple(builder, result, [splat_scalar(builder, number, llvm) for number in numbers])

    return result(array, types.intp, width, count), lower


@operation(
    lambda sums, x, array, i: tuple(s + x * a for s, a in zip(sums, flat(array)[i : i + len(sums)], strict=True))
)
def fma_many(context, sums, x, array, i):
    """Add x times the t-th of the numbers from element i on to the t-th of the vectors."""

    def lower(target, builder, sig, args):
        numbers = numbers_at(target, builder, sig.args[2], args[2], args[3], sums.count)
        out = [
            fused(builder, args[1], splat_scalar(builder, number, args[1].type), builder.extract_value(args[0], t))
            for t, number in enumerate(numbers)
        ]
        return target.make_tuple(builder, sums, out)

    return sums(sums, x, array, types.intp), lower


def _plain_exceed_many(vectors, x, array, i):
    limits = flat(array)[i : i + len(vectors)]
    return np.any(
        [np.where(x < limit, x, limit) < vector for vector, limit in zip(vectors, limits, strict=True)], axis=0
    )


@operation(_plain_exceed_many)
def exceed_many(context, vectors, x, array, i):
    """Lanes in which any of the vectors exceeds x or its own number, those from element i on."""
    mask = Simd(types.boolean, x.width)

    def lower(target, builder, sig, args):
        numbers = numbers_at(target, builder, sig.args[2], args[2], args[3], vectors.count)
        result = None
        for t, number in enumerate(numbers):
            limit = select_where("<")(builder, args[1], splat_scalar(builder, number, args[1].type))
            exceeds = builder.fcmp_ordered("<", limit, builder.extract_value(args[0], t))
            result = exceeds if result is None else builder.or_(result, exceeds)
        return result

    return mask(vectors, x, array, types.intp), lower


# ---------------------------------------------------------------- distances of a tuple of columns

EUCLIDEAN, MAXIMUM = Const(2), Const(0)  # norms; the Euclidean one is meant squared


def _norm_of_lanes(builder, norm: int, differences):
    """Sum of squares, in the order of the features, or maximum of magnitudes."""
    result = None
    for x in differences:
        if norm == EUCLIDEAN.value:
            result = builder.fmul(x, x) if result is None else fused(builder, x, x, result)
        else:
            x = call_overloaded(builder, "fabs", x.type, [x])
            result = x if result is None else select_where(">")(builder, x, result)
    return result


def _plain_norm(differences, norm):
    if norm.value == EUCLIDEAN.value:
        return sum(x * x for x in differences)
    return functools.reduce(plain_maximum, np.abs(differences)[1:], np.abs(differences[0]))


def _plain_distances(columns, points, i, norm):
    return _plain_norm([x - point for x, point in zip(columns, flat(points)[i:], strict=False)], norm)


@operation(_plain_distances)
def distances(context, columns, points, i, norm):
    """Distances from points in the lanes, given by their columns, to the point at element i of an array."""
    vector = columns.dtype

    def lower(target, builder, sig, args):
        numbers = numbers_at(target, builder, sig.args[1], args[1], args[2], columns.count)
        llvm = target.get_value_type(vector)
        differences = [
            builder.fsub(builder.extract_value(args[0], t), splat_scalar(builder, number, llvm))
            for t, number in enumerate(numbers)
        ]
        return _norm_of_lanes(builder, norm.value, differences)

    return vector(columns, points, types.intp, norm), lower


def _plain_box_distances(columns, low, high, i, norm):
    sides = zip(columns, flat(low)[i:], flat(high)[i:], strict=False)
    return _plain_norm([plain_maximum(plain_maximum(a - x, x - b), 0.0) for x, a, b in sides], norm)


@operation(_plain_box_distances)
def box_distances(context, columns, low, high, i, norm):
    """Distances to the box whose corners stand at element i of two arrays, 0 inside.

    They are computed in the steps of `distances`, and rounding is monotone: a computed distance to a
    box never exceeds a computed distance to a point in it.
    """
    vector = columns.dtype

    def lower(target, builder, sig, args):
        llvm = target.get_value_type(vector)
        lows = numbers_at(target, builder, sig.args[1], args[1], args[3], columns.count)
        highs = numbers_at(target, builder, sig.args[2], args[2], args[3], columns.count)
        larger, zero = select_where(">"), ir.Constant(llvm, [0.0] * vector.width)
        outside = []
        for t, (a, b) in enumerate(zip(lows, highs, strict=True)):
            x = builder.extract_value(args[0], t)
            below, above = (
                builder.fsub(splat_scalar(builder, a, llvm), x),
                builder.fsub(x, splat_scalar(builder, b, llvm)),
            )
            outside.append(larger(builder, larger(builder, below, above), zero))
        return _norm_of_lanes(builder, norm.value, outside)

    return vector(columns, low, high, types.intp, norm), lower
