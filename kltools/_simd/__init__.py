"""Explicit SIMD for Numba: the one place that knows LLVM vectors.

A `Simd` value is a vector of numbers in registers; LLVM maps any width to what the processor has: AVX-512,
AVX2 and SSE2 are tested. Every operation stands once, with its meaning in NumPy, which is also what runs
with NUMBA_DISABLE_JIT=1, and its lowering. Compile-time integers come as `Const`: a number that is part of
the *type* of an argument, so that each value is compiled, and found on disk, separately.
"""

from .elementary import exp, expm1_minus_x, log, log1p, minus_log
from .exponents import nearest_whole, scale, scale_normal, split
from .lanes import (
    bits,
    constant,
    count,
    equal,
    everywhere,
    fma,
    item,
    less,
    less_equal,
    load,
    lowest_bit,
    magnitude,
    maximum,
    minimum,
    select,
    splat,
    sqrt,
    store,
    total,
)
from .lowering import Const, Simd, has_avx512
from .strided import first_lanes, gather, gather_each, load_each, store_first, widened
from .tuples import (
    EUCLIDEAN,
    MAXIMUM,
    box_distances,
    distances,
    exceed_many,
    fma_many,
    load_many,
    splat_many,
    store_many,
)

__all__ = [
    "EUCLIDEAN",
    "MAXIMUM",
    "Const",
    "Simd",
    "bits",
    "box_distances",
    "constant",
    "count",
    "distances",
    "equal",
    "everywhere",
    "exceed_many",
    "exp",
    "expm1_minus_x",
    "first_lanes",
    "fma",
    "fma_many",
    "gather",
    "gather_each",
    "has_avx512",
    "item",
    "less",
    "less_equal",
    "load",
    "load_each",
    "load_many",
    "log",
    "log1p",
    "lowest_bit",
    "magnitude",
    "maximum",
    "minimum",
    "minus_log",
    "nearest_whole",
    "scale",
    "scale_normal",
    "select",
    "splat",
    "splat_many",
    "split",
    "sqrt",
    "store",
    "store_first",
    "store_many",
    "total",
    "widened",
]
