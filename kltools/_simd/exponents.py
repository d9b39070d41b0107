"""The exponents of float64, taken apart and put together."""

import math

import numpy as np
from llvmlite import ir
from numba.core import types

from .lowering import operation

_MANTISSA_BITS = 52
_BIAS = 1023
_HALF_SQRT2_BITS = 0x3FE6A09E667F3BCD  # of sqrt(1/2)


def _integers(value: int, width: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(64), width), [value] * width)


def _plain_split(x):
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    return np.where(low, 2.0 * mantissa, mantissa), np.where(low, exponent - 1, exponent).astype(float)


@operation(_plain_split)
def split(context, x):
    """Mantissas in [sqrt(1/2), sqrt(2)) and exponents of positive normal numbers, both as numbers."""

    def lower(target, builder, sig, args):
        integers = ir.VectorType(ir.IntType(64), x.width)
        pattern = builder.bitcast(args[0], integers)
        above = builder.sub(pattern, _integers(_HALF_SQRT2_BITS, x.width))
        exponent = builder.ashr(above, _integers(_MANTISSA_BITS, x.width))
        mantissa = builder.sub(pattern, builder.shl(exponent, _integers(_MANTISSA_BITS, x.width)))
        parts = [builder.bitcast(mantissa, args[0].type), builder.sitofp(exponent, args[0].type)]
        return target.make_tuple(builder, sig.return_type, parts)

    return types.UniTuple(x, 2)(x), lower


_ROUND = 1.5 * 2.0**52


@operation(lambda x: (np.rint(x), np.rint(x)))
def nearest_whole(context, x):
    """The nearest whole numbers, of magnitude up to 2**50, and something that `scale_normal` takes for them."""

    def lower(target, builder, sig, args):
        magic = ir.Constant(args[0].type, [_ROUND] * x.width)
        shifted = builder.fadd(args[0], magic)
        return target.make_tuple(builder, sig.return_type, [builder.fsub(shifted, magic), shifted])

    return types.UniTuple(x, 2)(x), lower


@operation(lambda x, shifted: np.ldexp(x, shifted.astype(int)))
def scale_normal(context, x, shifted):
    """x times 2 to a whole number, where x and the product are normal."""

    def lower(target, builder, sig, args):
        integers = ir.VectorType(ir.IntType(64), x.width)
        pattern, power = (builder.bitcast(a, integers) for a in args)
        power = builder.shl(power, _integers(_MANTISSA_BITS, x.width))
        return builder.bitcast(builder.add(pattern, power), args[0].type)

    return x(x, shifted), lower


@operation(lambda x, exponents: np.ldexp(x, exponents.astype(int)))
def scale(context, x, exponents):
    """x times 2 to the whole numbers `exponents` of magnitude up to 2000, rounded at most once for x near 1."""

    def lower(target, builder, sig, args):
        integers = ir.VectorType(ir.IntType(64), x.width)
        whole = builder.fptosi(args[1], integers)
        half = builder.ashr(whole, _integers(1, x.width))
        result = args[0]
        for part in (half, builder.sub(whole, half)):
            biased = builder.add(part, _integers(_BIAS, x.width))
            power = builder.bitcast(builder.shl(biased, _integers(_MANTISSA_BITS, x.width)), args[0].type)
            result = builder.fmul(result, power)
        return result

    return x(x, exponents), lower
