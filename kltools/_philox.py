"""Random numbers by counting: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011).

Four 32-bit words are a function of a counter (four words) and a key (two words), without a state between
calls: any number can be had at any time, by any thread, on any device, and is the same. All of it is integer
arithmetic on scalars of type uint64, which no product of two words overflows.
"""

import math

import numpy as np

from ._jit import jit, run_rows

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_WORD = np.uint64(0xFFFFFFFF)
_WORD_BITS = np.uint64(32)
_ROUNDS = 10

_KEPT_OF_HIGH, _DROPPED_OF_LOW = np.uint64(21), np.uint64(11)
_STEP = 2.0**-53
_QUARTER_TURN = 0.5 * math.pi
_SERIES = (  # of the cosine beyond x^2 / 2 and of the sine beyond x, for |x| < pi / 4
    (-1.13596475577881948265e-11, 1.58969099521155010221e-10),
    (2.08757232129817482790e-09, -2.50507602534068634195e-08),
    (-2.75573143513906633035e-07, 2.75573137070700676789e-06),
    (2.48015872894767294178e-05, -1.98412698298579493134e-04),
    (-1.38888888888741095749e-03, 8.33333333332248946124e-03),
    (4.16666666666666019037e-02, -1.66666666666666324348e-01),
)
_ZERO = np.uint64(0)
_COUNTER_COST = 100  # operations


@jit
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four random words from a counter and a key; words are uint64 below 2^32."""
    for _ in range(_ROUNDS):
        product_0 = _MULTIPLIER_0 * c0
        product_1 = _MULTIPLIER_1 * c2
        c0 = (product_1 >> _WORD_BITS) ^ c1 ^ k0
        c1 = product_1 & _WORD
        c2 = (product_0 >> _WORD_BITS) ^ c3 ^ k1
        c3 = product_0 & _WORD
        k0 = (k0 + _WEYL_0) & _WORD
        k1 = (k1 + _WEYL_1) & _WORD
    return c0, c1, c2, c3


@jit
def uniform_from_words(high, low):
    """A number in the open interval (0, 1): i 2^-53 for the 53 first bits i of two words, 2^-54 for i = 0."""
    bits = (high << _KEPT_OF_HIGH) | (low >> _DROPPED_OF_LOW)
    if bits == _ZERO:
        return 0.5 * _STEP
    return np.float64(bits) * _STEP


@jit
def two_uniforms(counter, stream, seed):
    """Two numbers in (0, 1) from a counter, a stream and a seed, each uint64."""
    w0, w1, w2, w3 = philox4x32(
        counter & _WORD, counter >> _WORD_BITS, stream & _WORD, stream >> _WORD_BITS, seed & _WORD, seed >> _WORD_BITS
    )
    return uniform_from_words(w0, w1), uniform_from_words(w2, w3)


@jit
def two_normals(counter, stream, seed):
    """Two standard normal numbers of the same arguments (Box and Muller 1958)."""
    u, v = two_uniforms(counter, stream, seed)
    radius = math.sqrt(-2.0 * math.log(u))
    cosine, sine = point_of_turn(v)
    return radius * cosine, radius * sine


@jit
def point_of_turn(v):
    """cos(2 pi v) and sin(2 pi v) for v in [0, 1], the same bits on every device; polynomials of fdlibm 5.3."""
    quarter = math.floor(4.0 * v + 0.5)
    x = (4.0 * v - quarter) * _QUARTER_TURN
    square, tail_cosine, tail_sine = x * x, 0.0, 0.0
    for c, s in _SERIES:
        tail_cosine = tail_cosine * square + c
        tail_sine = tail_sine * square + s
    half = 0.5 * square
    less = 1.0 - half
    cosine = less + (((1.0 - less) - half) + square * square * tail_cosine)
    sine = x + x * square * tail_sine
    if quarter == 1.0:
        return -sine, cosine
    if quarter == 2.0:
        return -cosine, -sine
    if quarter == 3.0:
        return sine, -cosine
    return cosine, sine


@jit
def _uniforms_kernel(start, stop, first, stream, seed, out):
    """Row c writes the numbers 2 c and 2 c + 1 from the even number at or below `first` on, where `out` has them."""
    for row in range(start, stop):
        counter = np.uint64(first // 2 + row)
        even, odd = two_uniforms(counter, stream, seed)
        place = 2 * row - first % 2
        if place >= 0:
            out[place] = even
        if place + 1 < out.shape[0]:
            out[place + 1] = odd


def uniforms(n: int, seed: int, *, stream: int = 0, first: int = 0, n_jobs: int = 1) -> np.ndarray:
    """The numbers first, ..., first + n - 1 of a stream of uniform numbers in (0, 1).

    Each depends on its position, the stream and the seed (all below 2^64) alone.
    """
    out = np.empty(n)
    n_counters = (first + n + 1) // 2 - first // 2
    arguments = (first, np.uint64(stream), np.uint64(seed), out)
    run_rows(_uniforms_kernel, n_counters, *arguments, n_jobs=n_jobs, row_cost=_COUNTER_COST)
    return out
