"""Counter-based random numbers: the published vectors, a naive version, and what uniform numbers must do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kltools._philox import philox4x32, two_uniforms, uniform_from_words, uniforms

WORD = 2**32 - 1
words = st.integers(0, WORD)
counters = st.integers(0, 2**64 - 1)

# kat_vectors of Random123: counter, key, result of philox4x32 with 10 rounds
KNOWN = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([WORD] * 4, [WORD] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def naive(counter, key):
    """The rounds on Python's integers, as section 4.3 of the paper words them: permute, then xor."""
    (r0, l0, r1, l1), (k0, k1) = counter, key
    for _ in range(10):
        high_0, low_0 = divmod(r0 * 0xD2511F53, 2**32)
        high_1, low_1 = divmod(r1 * 0xCD9E8D57, 2**32)
        r0, l0, r1, l1 = high_1 ^ l0 ^ k0, low_1, high_0 ^ l1 ^ k1, low_0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [r0, l0, r1, l1]


def drawn(counter, key):
    return [int(word) for word in philox4x32(*map(np.uint64, (*counter, *key)))]


def split(number):
    return [number % 2**32, number // 2**32]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_published_vectors(counter, key, result):
    assert naive(counter, key) == result
    assert drawn(counter, key) == result


@given(st.lists(words, min_size=4, max_size=4), st.lists(words, min_size=2, max_size=2))
@settings(deadline=None, derandomize=True)
def test_any_counter_and_key(counter, key):
    assert drawn(counter, key) == naive(counter, key)


@given(words, words)
@settings(deadline=None, derandomize=True)
def test_a_uniform_number_is_the_first_53_bits(high, low):
    value = uniform_from_words(np.uint64(high), np.uint64(low))
    bits = ((high << 32) | low) >> 11
    assert value == (bits * 2.0**-53 if bits else 2.0**-54)


def test_bits_become_numbers_as_in_numpy():
    raw = np.random.Philox(5).random_raw(100)  # 64 bits each, of another generator
    expected = np.random.Generator(np.random.Philox(5)).random(100)
    ours = [uniform_from_words(np.uint64(int(r) >> 32), np.uint64(int(r) & WORD)) for r in raw]
    np.testing.assert_array_equal(ours, expected)


def test_uniform_numbers_never_reach_0_or_1():
    assert uniform_from_words(np.uint64(0), np.uint64(0)) == 2.0**-54
    assert uniform_from_words(np.uint64(0), np.uint64(2047)) == 2.0**-54
    assert uniform_from_words(np.uint64(WORD), np.uint64(WORD)) == 1.0 - 2.0**-53


@given(counters, counters, counters)
@settings(deadline=None, derandomize=True)
def test_counter_stream_and_seed_fill_the_words(counter, stream, seed):
    w0, w1, w2, w3 = naive(split(counter) + split(stream), split(seed))
    expected = [(((high << 32) | low) >> 11) * 2.0**-53 for high, low in ((w0, w1), (w2, w3))]
    assert two_uniforms(*map(np.uint64, (counter, stream, seed))) == pytest.approx(expected, rel=0, abs=2.0**-54)


def test_an_array_counts_up():
    expected = [x for c in range(4) for x in two_uniforms(*map(np.uint64, (c, 3, 7)))]
    np.testing.assert_array_equal(uniforms(8, 7, stream=3), expected)


@pytest.mark.parametrize("first", [0, 1, 2, 17, 998, 999])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_any_piece_of_the_stream(first, n):
    np.testing.assert_array_equal(uniforms(n, 1, first=first), uniforms(1010, 1)[first : first + n])


def test_threads_do_not_matter():
    np.testing.assert_array_equal(uniforms(200_001, 3, first=1), uniforms(200_001, 3, first=1, n_jobs=3))


def test_positions_beyond_32_bits():
    far = uniforms(3, 0, first=2**40)
    assert far[0] == two_uniforms(np.uint64(2**39), np.uint64(0), np.uint64(0))[0]
    assert far[0] != uniforms(1, 0, first=2**40 % 2**33)[0]


@pytest.mark.parametrize("other", [{"seed": 1}, {"seed": 2**32}, {"stream": 1}, {"stream": 2**32}])
def test_seeds_and_streams_are_unrelated(other):
    options = {"seed": 0, "stream": 0}
    a, b = uniforms(20_000, **options), uniforms(20_000, **{**options, **other})
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(20_000)
    assert not (a == b).any()


def test_uniform_numbers_are_uniform_and_unrelated_to_their_neighbours():
    u = uniforms(100_000, 2024)
    assert stats.kstest(u, "uniform").pvalue > 0.001
    cells = np.histogram2d(u[::2], u[1::2], bins=10, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > 0.001
    last_bits = np.bincount((u * 2.0**53).astype(np.int64) % 16, minlength=16)
    assert stats.chisquare(last_bits).pvalue > 0.001
