"""Operations on one vector, or between vectors and scalars."""

import operator

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from .lowering import (
    Simd,
    address_of,
    call_overloaded,
    check_writable,
    common_vector,
    flat,
    fused,
    load_vector,
    operation,
    plain_maximum,
    put,
    select_where,
    splat_scalar,
    to_vector,
)


@operation(lambda number: number.value)
def constant(context, number):
    """The integer of a `Const`."""

    def lower(target, builder, sig, args):
        return ir.Constant(ir.IntType(64), number.value)

    return types.int64(number), lower


@operation(lambda array, i: flat(array)[i])
def item(context, array, i):
    """Element i of an array of any shape, counted flat; a negative index is not meant from the end."""

    def lower(target, builder, sig, args):
        address = address_of(target, builder, sig.args[0], args[0], args[1], 1)
        return builder.load(address, typ=target.get_value_type(array.dtype))

    return array.dtype(array, types.intp), lower


@operation(lambda array, i, width: flat(array)[i : i + width.value].copy())
def load(context, array, i, width):
    """The `width` numbers from element i on, counted flat."""
    vector = Simd(array.dtype, width.value)

    def lower(target, builder, sig, args):
        address = address_of(target, builder, sig.args[0], args[0], args[1], width.value)
        return load_vector(builder, address, target.get_value_type(vector), array.dtype.bitwidth // 8)

    return vector(array, types.intp, width), lower


@operation(put)
def store(context, array, i, vector):
    """Write a vector to the elements from i on."""
    check_writable(array, vector)

    def lower(target, builder, sig, args):
        address = address_of(target, builder, sig.args[0], args[0], args[1], vector.width)
        stored = builder.store(args[2], builder.bitcast(address, args[2].type.as_pointer()))
        stored.align = vector.dtype.bitwidth // 8
        return target.get_dummy_value()

    return types.void(array, types.intp, vector), lower


@operation(lambda number, width: np.full(width.value, number))
def splat(context, number, width):
    """The same number in every lane."""
    vector = Simd(number, width.value)

    def lower(target, builder, sig, args):
        return splat_scalar(builder, args[0], target.get_value_type(vector))

    return vector(number, width), lower


# ---------------------------------------------------------------- arithmetic


def _elementwise(build, vector, operands):
    """Signature and lowering of what `build` does with LLVM vectors, after scalars have been splatted."""

    def lower(target, builder, sig, args):
        llvm = target.get_value_type(vector)
        values = zip(args, sig.args, strict=True)
        return build(builder, *(to_vector(target, builder, x, kind, vector, llvm) for x, kind in values))

    return vector(*operands), lower


def _binary(build, meaning):
    @operation(meaning)
    def between(context, x, y):
        return _elementwise(build, common_vector(x, y), (x, y))

    return between


minimum = _binary(select_where("<"), lambda x, y: np.where(x < y, x, y))
maximum = _binary(select_where(">"), plain_maximum)


@operation(lambda x, y, z: x * y + z)
def fma(context, x, y, z):
    """x y + z, rounded once where the processor can; scalars are splatted."""
    return _elementwise(fused, common_vector(x, y, z), (x, y, z))


def _define_operator(function, instruction):
    """Let the Python operator work between vectors, and between vectors and scalars."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            if any(isinstance(x, Simd) for x in args) and all(isinstance(x, Simd | types.Number) for x in args):
                return signature(common_vector(*args), *args)

    def lower(target, builder, sig, args):
        _, lower_vectors = _elementwise(lambda b, x, y: getattr(b, instruction)(x, y), sig.return_type, sig.args)
        return lower_vectors(target, builder, sig, args)

    for left, right in ((Simd, Simd), (Simd, types.Number), (types.Number, Simd)):
        lower_builtin(function, left, right)(lower)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_operator(_function, _instruction)


@operation(np.abs)
def magnitude(context, x):
    def lower(target, builder, sig, args):
        return call_overloaded(builder, "fabs", args[0].type, [args[0]])

    return x(x), lower


@operation(np.sqrt)
def sqrt(context, x):
    def lower(target, builder, sig, args):
        return call_overloaded(builder, "sqrt", args[0].type, [args[0]])

    return x(x), lower


def _sum_in_halves(x):
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


@operation(_sum_in_halves)
def total(context, x):
    """Sum over the lanes, a power of two of them, of halves upon halves."""
    if x.width & (x.width - 1):
        raise TypingError(f"{x} cannot be halved")

    def lower(target, builder, sig, args):
        value, width = args[0], x.width
        while width > 1:
            width //= 2
            halves = []
            for first in (0, width):
                lanes = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(first, first + width)))
                halves.append(builder.shuffle_vector(value, value, lanes))
            value = builder.fadd(*halves)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return x.dtype(x), lower


# ---------------------------------------------------------------- masks


def _comparison(symbol, meaning):
    @operation(meaning)
    def between(context, x, y):
        vector = common_vector(x, y)

        def lower(target, builder, sig, args):
            llvm = target.get_value_type(vector)
            x, y = (to_vector(target, builder, a, k, vector, llvm) for a, k in zip(args, sig.args, strict=True))
            if isinstance(vector.dtype, types.Integer):
                return builder.icmp_signed(symbol, x, y)
            return builder.fcmp_ordered(symbol, x, y)

        return Simd(types.boolean, vector.width)(x, y), lower

    return between


less = _comparison("<", lambda x, y: np.less(x, y))
less_equal = _comparison("<=", lambda x, y: np.less_equal(x, y))
equal = _comparison("==", lambda x, y: np.equal(x, y))


def _define_connective(function, instruction):
    """Let the Python operator connect masks."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            if all(isinstance(x, Simd) and x.dtype == types.boolean for x in args):
                return signature(args[0], *args)

    def lower(target, builder, sig, args):
        return getattr(builder, instruction)(*args)

    lower_builtin(function, Simd, Simd)(lower)


for _function, _instruction in ((operator.and_, "and_"), (operator.or_, "or_")):
    _define_connective(_function, _instruction)


def _define_comparison(function, symbol):
    """Let the Python operator compare vectors, and vectors with scalars, lane by lane."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            if any(isinstance(x, Simd) for x in args) and all(isinstance(x, Simd | types.Number) for x in args):
                return signature(Simd(types.boolean, common_vector(*args).width), *args)

    def lower(target, builder, sig, args):
        _, lower_vectors = _elementwise(
            lambda b, x, y: b.fcmp_ordered(symbol, x, y), common_vector(*sig.args), sig.args
        )
        return lower_vectors(target, builder, sig, args)

    for left, right in ((Simd, Simd), (Simd, types.Number), (types.Number, Simd)):
        lower_builtin(function, left, right)(lower)


for _function, _symbol in ((operator.lt, "<"), (operator.gt, ">")):
    _define_comparison(_function, _symbol)


@operation(lambda mask, x, y: np.where(mask, x, y))
def select(context, mask, x, y):
    """x where the mask holds, else y."""
    dtype = next((v.dtype for v in (x, y) if isinstance(v, Simd)), x)
    vector = Simd(dtype, mask.width)

    def lower(target, builder, sig, args):
        llvm = target.get_value_type(vector)
        values = zip(args[1:], sig.args[1:], strict=True)
        return builder.select(args[0], *(to_vector(target, builder, a, k, vector, llvm) for a, k in values))

    return vector(mask, x, y), lower


@operation(lambda mask: sum(1 << int(lane) for lane in np.flatnonzero(mask)))
def bits(context, mask):
    """The lanes where the mask holds, as bits of an integer."""

    def lower(target, builder, sig, args):
        packed = builder.bitcast(args[0], ir.IntType(mask.width))
        return packed if mask.width == 64 else builder.zext(packed, ir.IntType(64))

    return types.int64(mask), lower


@operation(lambda mask: int(np.count_nonzero(mask)))
def count(context, mask):
    """In how many lanes the mask holds."""

    def lower(target, builder, sig, args):
        packed = builder.bitcast(args[0], ir.IntType(mask.width))
        ones = builder.ctpop(packed)
        return ones if mask.width == 64 else builder.zext(ones, ir.IntType(64))

    return types.int64(mask), lower


@operation(lambda mask: bool(np.all(mask)))
def everywhere(context, mask):
    """Whether the mask holds in all lanes."""

    def lower(target, builder, sig, args):
        packed = builder.bitcast(args[0], ir.IntType(mask.width))
        return builder.icmp_unsigned("==", packed, ir.Constant(packed.type, -1))

    return types.boolean(mask), lower


@operation(lambda packed: (packed & -packed).bit_length() - 1)
def lowest_bit(context, packed):
    """The place of the lowest bit of a positive integer."""

    def lower(target, builder, sig, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), lower
