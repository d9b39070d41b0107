"""The door: what becomes of arrays of every kind and of the small arguments; frames and tensors: `test_containers`."""

import collections
import datetime
import decimal
import fractions
import math

import numpy as np
import pandas as pd
import pytest
from bad_inputs import P, WithArray, check_converted, read_only_memmap

import kltools as kl
from kltools import _validation, errors

numeric_array, sample = _validation.numeric_array, _validation.sample
DAY = datetime.datetime(2020, 1, 1)


# ---------------------------------------------------------------- arrays


ARRAYS = {
    "float64": lambda: P,
    "float32": lambda: P.astype("f4"),
    "float16": lambda: P.astype("f2"),
    "longdouble": lambda: P.astype("g"),
    "big_endian": lambda: P.astype(">f8"),
    "int8": lambda: (P * 20).astype("i1"),
    "uint64": lambda: np.arange(6, dtype="u8").reshape(2, 3),
    "bool": lambda: P > 0,
    "fortran": lambda: np.asfortranarray(P),
    "transposed": lambda: P.T,
    "strided": lambda: P[::-2, ::2],
    "broadcast": lambda: np.broadcast_to(P[:1], (5, 3)),
    "unaligned": lambda: np.ndarray(P.shape, buffer=b"\0" + P.tobytes(), offset=1, dtype="f8"),
    "memmap": read_only_memmap,
    "lists": P.tolist,
    "tuples": lambda: tuple(map(tuple, P)),
    "deque": lambda: collections.deque(P.tolist()),
    "list_of_arrays": lambda: list(P),
    "memoryview": lambda: memoryview(P),
    "protocol": WithArray,
    "objects": lambda: P.astype(object),
    "objects_of_bools": lambda: np.array([[True, False]], dtype=object),
    "decimals": lambda: [[decimal.Decimal("0.5"), decimal.Decimal("2")]],
    "fractions": lambda: [[fractions.Fraction(1, 2), 2]],
    "large_ints": lambda: [[10**30, -(2**80), 0.5]],
    "range": lambda: range(5),
    "one_dimension": lambda: P[:, 0],
    "three_dimensions": lambda: P.reshape(5, 10, 3),
    "empty": lambda: np.empty((0, 3)),
    "nan_and_inf": lambda: np.array([[np.nan, np.inf, -np.inf]]),
    "unmasked": lambda: np.ma.masked_array(P, mask=False),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    given = ARRAYS[name]()
    expected = np.array([[float(v) for v in row] for row in given]) if "large" in name or "frac" in name else given
    if name in ("protocol", "deque"):
        expected = P
    check_converted(numeric_array(given, "X"), np.asarray(expected, dtype=np.float64))


def test_scalars_keep_no_dimension():
    for value in (3, 3.0, True, np.float32(3), np.array(3)):
        assert numeric_array(value, "X").shape == ()


@pytest.mark.parametrize("value", [10**30, -(2**70), fractions.Fraction(1, 2), decimal.Decimal("0.5")])
def test_scalars_that_numpy_calls_objects(value):
    check_converted(numeric_array(value, "mean of Normal"), float(value))
    assert kl.Normal(mean=value, var=1).mean == float(value)


def test_data_that_need_no_copy_are_not_copied_and_stay_writable():
    given = P.copy()
    array = numeric_array(given, "X")
    assert np.shares_memory(array, given)
    assert given.flags.writeable


NO_NUMBERS = {
    "None": None,
    "str": "abc",
    "bytes": b"abc",
    "str_0d": np.array("abc"),
    "object_0d": np.array(None),
    "dict": {"a": [1]},
    "ordered_dict": collections.OrderedDict(a=[1]),
    "dict_values": {"a": [1]}.values(),
    "set": {1.0},
    "frozenset": frozenset({1.0}),
    "generator": (row for row in P),
    "iterator": iter(P),
    "zip": zip(P, P, strict=True),
    "function": len,
    "class": int,
    "ellipsis": ...,
    "object": object(),
    "distribution": kl.Normal(mean=0, var=1),
    "batch_of_distributions": kl.Normal(mean=[0, 1], var=1),
    "text": np.array([["1", "2"]]),
    "text_in_lists": [["1", "2"]],
    "text_among_numbers": [[1.0, "2"]],
    "text_objects": np.array([["1", 2.0]], dtype=object),
    "bytes_array": np.array([[b"1"]]),
    "string_dtype": np.array([["1"]], dtype=np.dtypes.StringDType()),
    "dates": np.array([["2020"]], dtype="M8[s]"),
    "dates_in_lists": [[np.datetime64("2020", "s")]],
    "datetimes": [[DAY]],
    "date_objects": np.array([[np.datetime64("2020", "s")]], dtype=object),
    "timedelta": np.array([[1]], dtype="m8[s]"),
    "timedelta_objects": np.array([[np.timedelta64(1, "s")]], dtype=object),
    "datetime_timedelta": [[datetime.timedelta(1)]],
    "pandas_timestamps": [[pd.Timestamp(DAY)]],
    "masked_dates": np.ma.masked_array(np.array([["2020"]], dtype="M8[s]")),
    "structured": np.zeros(3, dtype=[("a", float), ("b", float)]),
    "record": np.rec.fromarrays([P[:, 0]], names="a"),
    "void": np.void(b"abc"),
    "complex_objects": np.array([[1 + 1j]], dtype=object),
    "plain_objects": np.array([[object()]], dtype=object),
    "signalling_nan": [[decimal.Decimal("snan")]],
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_holds_no_numbers(name):
    with pytest.raises(kl.InvalidTypeError, match=r"\bmu\b"):
        numeric_array(NO_NUMBERS[name], "mu")


def deep_list():
    deep = 1.0
    for _ in range(70):
        deep = [deep]
    return deep


NOT_AN_ARRAY = {
    "complex": P + 1j,
    "complex64": P.astype("c8"),
    "ragged": [[1, 2], [3]],
    "ragged_arrays": [np.zeros((2, 3)), np.zeros((2, 4))],
    "mixed_depth": [[1, 2], [[3], 4]],
    "row_is_None": [[1, 2], None],
    "deep": deep_list(),
    "masked": np.ma.masked_array(P, mask=P > 1),
    "too_large": [[10**400, 1]],
    "list_of_masked": [np.ma.masked_array([1.0, 2.0], mask=[True, False])],
}


@pytest.mark.parametrize("name", NOT_AN_ARRAY)
def test_what_is_no_array(name):
    with pytest.raises(kl.InvalidParameterError, match=r"\bmu\b"):
        numeric_array(NOT_AN_ARRAY[name], "mu")


@pytest.mark.parametrize("value", [2**53 + 1, 2**60, -(2**62), -(2**63)])
def test_integers_that_float64_rounds(value):
    with pytest.warns(errors.KLToolsWarning, match=r"X has integers beyond 2\*\*53"):
        check_converted(numeric_array(np.array([[value]]), "X"), [[float(value)]])


@pytest.mark.parametrize("value", [2**53, -(2**53), 0])
def test_integers_that_float64_holds(value):
    check_converted(numeric_array(np.array([[value]]), "X"), [[float(value)]])


def test_a_protocol_that_fails_is_heard():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("the file is gone")

    with pytest.raises(RuntimeError, match="the file is gone"):
        numeric_array(Broken(), "X")


# ---------------------------------------------------------------- samples


def test_sample():
    array, dropped = sample(P[:, 0], "X")
    check_converted(array, P[:, :1])
    assert dropped == 0
    with_nan = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan], [5.0, 6.0]])
    array, dropped = sample(with_nan, "X", "omit")
    check_converted(array, [[1.0, 2.0], [5.0, 6.0]])
    assert dropped == 2
    place = "X contains NaN: 2 in all, the first in row 1, column 0"
    with pytest.raises(kl.InvalidParameterError, match=rf"{place}; remove those rows\.$"):  # nobody can choose
        sample(with_nan, "X")
    with pytest.raises(kl.InvalidParameterError, match=rf"{place}; remove those rows or pass nan_policy='omit'\."):
        sample(with_nan, "X", "raise")


@pytest.mark.parametrize("policy", ["raise", "omit"])
def test_infinite_values_are_never_omitted(policy):
    with pytest.raises(kl.InvalidParameterError, match=r"Y contains infinite values: 1 in all, .* row 1, column 0"):
        sample([[1.0], [-np.inf], [2.0]], "Y", policy)


def test_shapes():
    for given, kind, match in (
        (3.0, kl.ShapeMismatchError, r"2-D X.*got 0-D \(\)"),
        (P.reshape(5, 10, 3), kl.ShapeMismatchError, r"2-D X.*X\.reshape\(len\(X\), -1\)"),
        (P[:, :0], kl.InvalidParameterError, r"X has 0 feature\(s\)"),
        (P[:0], kl.NotEnoughSamplesError, r"X has 0 sample\(s\)"),
        ([], kl.NotEnoughSamplesError, r"X has 0 sample\(s\)"),
        ([[]], kl.InvalidParameterError, r"X has 0 feature\(s\)"),
        ([[np.nan]], kl.InvalidParameterError, r"X contains NaN"),
    ):
        with pytest.raises(kind, match=match):
            sample(given, "X")
    with pytest.raises(kl.NotEnoughSamplesError, match="every row of X contains NaN: 0 rows left"):
        sample([[np.nan], [np.nan]], "X", "omit")


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (3, (3,)),
        (np.int64(3), (3,)),
        (np.uint8(3), (3,)),
        ([5, 3, 5], (3, 5)),
        ((1,), (1,)),
        (range(1, 4), (1, 2, 3)),
        (np.array([7, 2]), (2, 7)),
        (10**30, (10**30,)),
    ],
)
def test_neighbors(value, expected):
    assert _validation.neighbors(value) == expected


@pytest.mark.parametrize(
    "value",
    [True, 2.0, "3", "", b"3", np.nan, [3, True], [[3]], np.array(3), np.array([3.0]), {3}, iter([3]), object()],
)
def test_neighbors_of_the_wrong_type(value):
    with pytest.raises(kl.InvalidTypeError, match="n_neighbors must be an int"):
        _validation.neighbors(value)


@pytest.mark.parametrize("value", [0, -1, [3, 0], [], (), range(0), np.array([], dtype=int)])
def test_neighbors_out_of_range(value):
    with pytest.raises(kl.InvalidParameterError, match="n_neighbors"):
        _validation.neighbors(value)


def test_neighbors_within():
    assert _validation.neighbors_within(None, 100, 100) == (5, 10, 20)
    assert _validation.neighbors_within(None, 8, 6) == (5, 6)
    assert _validation.neighbors_within(None, 2, 1) == (1,)
    assert _validation.neighbors_within([2, 4], 5, 4) == (2, 4)
    assert _validation.neighbors_within(4, 5, None) == (4,)
    with pytest.raises(kl.NotEnoughSamplesError, match="n_neighbors=5 needs at least 6 rows of X, got n_samples=5"):
        _validation.neighbors_within([1, 5], 5, 9)
    with pytest.raises(kl.NotEnoughSamplesError, match="n_neighbors=5 needs at least 5 rows of Y, got n_samples=4"):
        _validation.neighbors_within([1, 5], 9, 4)


@pytest.mark.parametrize("value", [None, 0, 7, 2**70, np.int64(7), [1, 2], (1,), np.array([1, 2])])
def test_generator(value):
    rng = _validation.generator(value)
    assert type(rng) is np.random.Generator
    if value is not None:
        assert rng.integers(2**60) == np.random.default_rng(value).integers(2**60)


def test_generators_are_used_as_they_are():
    rng = np.random.default_rng(0)
    assert _validation.generator(rng) is rng
    first, second = (_validation.generator(np.random.RandomState(3)).integers(2**60) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("value", ["abc", 1.5, True, np.nan, [1.5], ["a"], [[1, 2]], {1}, np.array(1.5), object()])
def test_seeds_of_the_wrong_type(value):
    with pytest.raises(kl.InvalidTypeError, match="random_state"):
        _validation.generator(value)


@pytest.mark.parametrize("value", [-1, [1, -2], np.array([-1])])
def test_negative_seeds(value):
    with pytest.raises(kl.InvalidParameterError, match="random_state must be >= 0"):
        _validation.generator(value)


@pytest.mark.parametrize("value", [None, 1, -1, 10**6, np.int64(2)])
def test_n_jobs(value):
    assert _validation.check_n_jobs(value) == value


@pytest.mark.parametrize("value", [1.5, True, "2", np.nan, [1], np.array(2)])
def test_n_jobs_of_the_wrong_type(value):
    with pytest.raises(kl.InvalidTypeError, match="n_jobs must be an int"):
        _validation.check_n_jobs(value)


def test_no_jobs():
    with pytest.raises(kl.InvalidParameterError, match="n_jobs=0"):
        _validation.check_n_jobs(0)


@pytest.mark.parametrize("value", [0.95, np.float32(0.5), np.float64(1e-300), fractions.Fraction(1, 2), 1 - 1e-16])
def test_confidence_level(value):
    level = _validation.confidence_level(value)
    assert type(level) is float
    assert level == float(value)


@pytest.mark.parametrize("value", ["0.95", None, True, np.True_, [0.95], np.array(0.95), 0.95 + 0j])
def test_confidence_levels_of_the_wrong_type(value):
    with pytest.raises(kl.InvalidTypeError, match="confidence_level must be a number"):
        _validation.confidence_level(value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [(95, "did you mean 0.95"), (99.5, "did you mean 0.995"), (0, ""), (1, ""), (-0.1, ""), (np.nan, ""), (np.inf, "")],
)
def test_confidence_levels_out_of_range(value, hint):
    with pytest.raises(kl.InvalidParameterError, match=rf"confidence_level must lie in \(0, 1\).*{hint}") as caught:
        _validation.confidence_level(value)
    assert ("did you mean" in str(caught.value)) == bool(hint)


def test_choice():
    assert _validation.choice("a", "thing", ("a", "b")) == "a"


@pytest.mark.parametrize("value", ["c", None, 1, True, ["a"], b"a", "A", "", np.array(["a", "b"]), np.nan, {"a": 1}])
def test_what_is_no_choice(value):
    with pytest.raises(kl.InvalidParameterError, match="thing must be one of 'a', 'b', got"):
        _validation.choice(value, "thing", ("a", "b"))


def test_units():
    assert _validation.unit_factor("nats") == 1.0
    assert _validation.unit_factor("bits") == pytest.approx(1 / math.log(2), rel=1e-15)
