"""Vectors read from places of arrays that need not follow one another."""

import numpy as np
from llvmlite import ir
from numba.core import types

from .lanes import constant, item, load, splat
from .lowering import Simd, address_of, flat, operation, put


@operation(lambda x: np.asarray(x, dtype=np.float64))
def widened(context, x):
    """The same numbers as float64."""
    vector = Simd(types.float64, x.width)

    def lower(target, builder, sig, args):
        return args[0] if x == vector else builder.fpext(args[0], target.get_value_type(vector))

    return vector(x), lower


def _positions(first, stride, count, width):
    return first + stride * np.minimum(np.arange(width.value), count - 1)


@operation(lambda array, i, stride, n, width: flat(array)[_positions(i, stride, n, width)])
def gather(context, array, i, stride, n, width):
    """n numbers from element i on, so many elements apart; the last one in the lanes that are left."""
    vector = Simd(array.dtype, width.value)

    def lower(target, builder, sig, args):
        _, first, stride, n, _ = args
        element, result = target.get_value_type(array.dtype), ir.Constant(target.get_value_type(vector), ir.Undefined)
        last = builder.sub(n, ir.Constant(n.type, 1))
        for lane in range(width.value):
            place = ir.Constant(n.type, lane)
            place = builder.select(builder.icmp_signed("<", place, last), place, last)
            index = builder.add(first, builder.mul(stride, place))
            address = address_of(target, builder, sig.args[0], args[0], index, 1)
            number = builder.load(address, typ=element)
            result = builder.insert_element(result, number, ir.Constant(ir.IntType(32), lane))
        return result

    return vector(array, types.intp, types.intp, types.intp, width), lower


def _load_or_splat(array, i, step, width):
    return widened(load(array, i, width)) if step == 1 else splat(np.float64(item(array, i)), width)


def _load_strided(array, i, stride, n, width):
    if stride == 0:
        return splat(np.float64(item(array, i)), width)
    if stride == 1 and n == constant(width):
        return widened(load(array, i, width))
    return widened(gather(array, i, stride, n, width))


def _from_each(target, builder, sig, args, function, more):
    """A tuple of what `function` reads from each array, at `j` steps beyond its place."""
    arrays, vector, zero = sig.args[0], sig.return_type.dtype, ir.Constant(args[3].type, 0)
    columns = {k: address_of(target, builder, sig.args[k], args[k], zero, len(arrays)) for k in {1, 2, more[0]}}
    vectors = []
    for k, array in enumerate(arrays):
        here = [ir.Constant(ir.IntType(64), k)]
        at = {c: builder.load(builder.gep(address, here), typ=zero.type) for c, address in columns.items()}
        first = builder.add(at[1], builder.mul(args[3], at[2]))
        values = [builder.extract_value(args[0], k), first, *(at.get(c, args[c]) for c in more)]
        kinds = [types.intp if c in at else sig.args[c] for c in more]
        vectors.append(target.compile_internal(builder, function, vector(array, types.intp, *kinds), values))
    return target.make_tuple(builder, sig.return_type, vectors)


def _plain_load_each(arrays, places, steps, j, width):
    return _plain_gather_each(arrays, places, steps, j, steps, width.value, width)


@operation(_plain_load_each)
def load_each(context, arrays, places, steps, j, width):
    """From each array, `j` of its steps beyond its place: for a step of 1 a vector, for 0 one number, as float64."""
    result = types.UniTuple(Simd(types.float64, width.value), len(arrays))

    def lower(target, builder, sig, args):
        return _from_each(target, builder, sig, args, _load_or_splat, (2, 4))

    return result(arrays, places, steps, types.intp, width), lower


def _plain_gather_each(arrays, places, steps, j, strides, n, width):
    each = zip(arrays, places + j * steps, strides, strict=True)
    return tuple(flat(a)[_positions(i, stride, n, width)].astype(np.float64) for a, i, stride in each)


@operation(_plain_gather_each)
def gather_each(context, arrays, places, steps, j, strides, n, width):
    """From each array, `j` of its steps beyond its place: n numbers, its stride apart, as float64."""
    result = types.UniTuple(Simd(types.float64, width.value), len(arrays))

    def lower(target, builder, sig, args):
        return _from_each(target, builder, sig, args, _load_strided, (4, 5, 6))

    return result(arrays, places, steps, types.intp, strides, types.intp, width), lower


def _put_first(array, i, vector, n):
    put(array, i, vector[:n])


@operation(_put_first)
def store_first(context, array, i, vector, n):
    """Write the first n numbers of a vector to the elements from i on."""

    def lower(target, builder, sig, args):
        for lane in range(vector.width):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(args[3].type, lane), args[3])):
                index = builder.add(args[1], ir.Constant(args[1].type, lane))
                address = address_of(target, builder, sig.args[0], args[0], index, 1)
                builder.store(builder.extract_element(args[2], ir.Constant(ir.IntType(32), lane)), address)
        return target.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), lower


@operation(lambda x, n: np.where(np.arange(len(x)) < n, x, 0.0))
def first_lanes(context, x, n):
    """The first n numbers of a vector, and zeros."""

    def lower(target, builder, sig, args):
        integers = ir.VectorType(args[1].type, x.width)
        limit = builder.insert_element(ir.Constant(integers, ir.Undefined), args[1], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), x.width), [0] * x.width)
        limit = builder.shuffle_vector(limit, limit, zeros)
        inside = builder.icmp_signed("<", ir.Constant(integers, list(range(x.width))), limit)
        return builder.select(inside, args[0], ir.Constant(args[0].type, [0.0] * x.width))

    return x(x, types.intp), lower
