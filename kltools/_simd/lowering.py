"""The types behind SIMD, and how operations become LLVM instructions."""

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.core.registry import cpu_target
from numba.extending import NativeValue, intrinsic, register_model, unbox
from numba.np.arrayobj import make_array


class _ConstType(types.Type):
    def __init__(self, value: int):
        self.value = value
        super().__init__(name=f"const({value})")


class Const:
    """An integer that a kernel is compiled for."""

    __slots__ = ("_numba_type_", "value")

    def __init__(self, value: int):
        self.value = int(value)
        self._numba_type_ = _ConstType(self.value)  # where Numba's dispatcher looks first


class Simd(types.Type):
    """The Numba type of a vector of `width` numbers."""

    def __init__(self, dtype: types.Type, width: int):
        self.dtype = dtype
        self.width = width
        super().__init__(name=f"simd({dtype}x{width})")


@functools.cache
def has_avx512() -> bool:
    """Whether the processor that is compiled for has 32 registers of eight float64."""
    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


@unbox(_ConstType)
def _unbox_const(typ, value, context):
    return NativeValue(context.context.get_dummy_value())


register_model(_ConstType)(models.OpaqueModel)


@lower_constant(_ConstType)
def _lower_const(context, builder, typ, value):
    return context.get_dummy_value()


@register_model(Simd)
class _SimdModel(models.PrimitiveModel):
    def __init__(self, manager, simd):
        element = ir.IntType(1) if simd.dtype == types.boolean else manager.lookup(simd.dtype).get_value_type()
        super().__init__(manager, simd, ir.VectorType(element, simd.width))


def operation(meaning):
    """Make an operation of its typing function, or of its meaning in NumPy where nothing is compiled."""
    return intrinsic if not getattr(config, "DISABLE_JIT", 0) else lambda typing_function: meaning


def _lanes(value: int, width: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), width), [value] * width)


def splat_scalar(builder, scalar, vector: ir.VectorType):
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, _lanes(0, vector.count))


def address_of(context, builder, array_type, array, index, count: int):
    """Address of an element of a C-contiguous array that is followed by `count - 1` others."""
    if array_type.layout != "C":
        raise TypingError(f"vectors are read from C-contiguous arrays, not from {array_type}")
    struct = make_array(array_type)(context, builder, array)
    if getattr(config, "BOUNDSCHECK", None):
        last = builder.add(index, ir.Constant(index.type, count))
        outside = builder.or_(
            builder.icmp_signed("<", index, ir.Constant(index.type, 0)),
            builder.icmp_signed(">", last, builder.trunc(struct.nitems, index.type)),
        )
        with builder.if_then(outside, likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("vector outside of the array",))
    return builder.gep(struct.data, [index])


def load_vector(builder, address, vector: ir.VectorType, bytes_per_element: int):
    loaded = builder.load(builder.bitcast(address, vector.as_pointer()), typ=vector)
    loaded.align = bytes_per_element
    return loaded


def call_overloaded(builder, name: str, vector: ir.VectorType, arguments):
    """Call the LLVM function `name`, which is overloaded by the vector type."""
    suffix = "f64" if vector.element == ir.DoubleType() else "f32"
    function_type = ir.FunctionType(vector, [a.type for a in arguments])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.v{vector.count}{suffix}")
    return builder.call(function, arguments)


def fused(builder, x, y, z):
    """x y + z, with one rounding where the processor has such an instruction."""
    return call_overloaded(builder, "fmuladd", x.type, [x, y, z])


def flat(array: Any) -> np.ndarray:
    return array.reshape(-1)


def numbers_at(target, builder, array_type, array, i, count: int):
    first = address_of(target, builder, array_type, array, i, count)
    scalar = target.get_value_type(array_type.dtype)
    addresses = (builder.gep(first, [ir.Constant(ir.IntType(64), t)]) for t in range(count))
    return [builder.load(address, typ=scalar) for address in addresses]


def common_vector(*operands):
    """The vector type that operands, of which some may be scalars, are brought to."""
    for x in operands:
        if isinstance(x, Simd):
            return x
    raise TypingError(f"one of {operands} must be a vector")


def to_vector(target, builder, value, kind, vector, llvm):
    if isinstance(kind, Simd):
        return value
    return splat_scalar(builder, target.cast(builder, value, kind, vector.dtype), llvm)


def select_where(comparison):
    return lambda builder, x, y: builder.select(builder.fcmp_ordered(comparison, x, y), x, y)


def plain_maximum(x, y):
    return np.where(x > y, x, y)


def put(array, i, vector):
    flat(array)[i : i + len(vector)] = vector


def check_writable(array, vector) -> None:
    if array.dtype != vector.dtype or not array.mutable:
        raise TypingError(f"{vector} cannot be stored in {array}")
