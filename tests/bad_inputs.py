"""What users pass by mistake, one row each, and what must come of it: the table of `test_bad_inputs`."""

import datetime
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from kltools import errors

RNG = np.random.default_rng(0)
P, Q = RNG.normal(size=(50, 3)), RNG.normal(size=(60, 3))
P.flags.writeable = Q.flags.writeable = False
SIX_COLUMNS = np.random.default_rng(1).normal(size=(50, 6))
N_NEIGHBORS = 3

FUNCTIONS = ("knn", "gaussian", "auto")
ESTIMATORS = ("KNNDivergence", "GaussianDivergence")
BY_DISTANCE = ("knn", "auto", "KNNDivergence")  # at 50 rows of 3 features auto is knn
BY_MOMENTS = ("gaussian", "GaussianDivergence")

TIES, INFINITE = errors.TiesWarning, errors.InfiniteDivergenceWarning
SMALL, FAR, OVERLAP = errors.SmallSampleWarning, errors.UnreliableEstimateWarning, errors.PoorOverlapWarning
VALUE, TYPE, SHAPE, FEW = (
    errors.InvalidParameterError,
    errors.InvalidTypeError,
    errors.ShapeMismatchError,
    errors.NotEnoughSamplesError,
)


@dataclass(frozen=True)
class Raises:
    """An error of `kind` whose message matches.

    For estimators scikit-learn may word it: then only ValueError or TypeError, whichever `kind` is, counts.
    """

    kind: type[Exception]
    match: str


@dataclass(frozen=True)
class Gives:
    """An estimate: a number, the estimate from the samples built by `like`, or else any finite number.

    It warns of the categories in `warns`, no more and no less (None: of whatever it likes), and one of
    the texts in the result matches `text`.
    """

    value: float | None = None
    like: Callable[[], tuple] | None = None
    rtol: float = 1e-12
    between: tuple[float, float] = (-np.inf, np.inf)
    warns: tuple[type, ...] | None = ()
    text: str = ""
    flags: dict[str, Any] = field(default_factory=dict)


INFINITE_ANSWER = Gives(value=np.inf, warns=(INFINITE,), flags={"support_mismatch": True})


def clean() -> tuple:
    return P, Q


@dataclass(frozen=True)
class Row:
    """One row of the table: number, name, samples, and the outcome for each way in (or for all of them)."""

    number: str
    name: str
    samples: Callable[[], tuple]
    outcome: Raises | Gives | dict[tuple[str, ...] | str, Raises | Gives]
    options: dict[str, Any] = field(default_factory=dict)

    def cases(self) -> list[tuple[str, "Row", str, Raises | Gives]]:
        """(name of the test, row, way in, outcome) for every way in that has an outcome."""
        ways = self.outcome if isinstance(self.outcome, dict) else {FUNCTIONS + ESTIMATORS: self.outcome}
        found = []
        for names, outcome in ways.items():
            for way in (names,) if isinstance(names, str) else names:
                if way in FUNCTIONS or not self.options:  # estimators have no nan_policy and no unit
                    found.append((f"{self.number}-{self.name}-{way}", self, way, outcome))
        return found


def changed(value: float, where: tuple = (0, 0)) -> np.ndarray:
    array = P.copy()
    array[where] = value
    return array


class WithArray:
    def __array__(self, dtype=None, copy=None):
        return P.copy()


class Subclass(np.ndarray):
    pass


def read_only_memmap() -> np.ndarray:
    with tempfile.TemporaryFile() as file:
        file.write(P.tobytes())
        file.flush()
        return np.memmap(file, dtype=np.float64, mode="r", shape=P.shape)


def matrix() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(P)


def column(array: np.ndarray, value: float) -> np.ndarray:
    return np.column_stack([array[:, :2], np.full(len(array), value)])


def cast(*dtypes: Any, factor: float = 1.0) -> Callable[[], tuple]:
    """Both samples times a factor through some dtypes, one after the other."""

    def build() -> tuple:
        X, Y = P * factor, Q * factor
        for dtype in dtypes:
            X, Y = X.astype(dtype), Y.astype(dtype)
        return X, Y

    return build


RIGHT = Gives(like=clean)
SHARED = Gives(warns=(TIES,), text="in Y")
TEXT = Raises(TYPE, r"\bX holds text.*numbers are needed")
NOT_FINITE = Raises(VALUE, r"\bX contains NaN: \d+ in all, the first in row \d+, column \d")

SAMPLES = [
    Row("1", "nan_in_X", lambda: (changed(np.nan), Q), Raises(VALUE, r"\bX contains NaN: 1 in.* row 0, column 0")),
    Row("1b", "nan_in_Y", lambda: (Q, changed(np.nan, where=(7, 2))), Raises(VALUE, r"\b[XY] contains NaN")),
    Row("1c", "nan_omitted", lambda: (changed(np.nan), Q), Gives(like=lambda: (P[1:], Q), flags={"n_dropped": 1}),
        {"nan_policy": "omit"}),
    Row("2", "inf", lambda: (changed(np.inf), Q), Raises(VALUE, r"\bX contains inf.*1 in all.*row 0, column 0")),
    Row("2b", "minus_inf", lambda: (P, -changed(np.inf)), Raises(VALUE, r"\b[XY] contains inf")),
    Row("3", "all_nan", lambda: (P * np.nan, Q), NOT_FINITE),
    Row("3b", "all_nan_omitted", lambda: (P * np.nan, Q), Raises(FEW, r"\bX\b.*0 rows left"), {"nan_policy": "omit"}),
    Row("4", "one_dimension", lambda: (P[:, 0], Q[:, 0]), {
        FUNCTIONS: Gives(like=lambda: (P[:, :1], Q[:, :1]), flags={"d": 1}),
        ESTIMATORS: Raises(ValueError, "Expected 2D array, got 1D.*Reshape your data")}),
    Row("5", "one_against_two_dimensions", lambda: (P[:, 0], Q), {
        FUNCTIONS: Raises(SHAPE, r"\bX\b.*\bY\b.*\(50,\).*\(60, 3\)"), ESTIMATORS: Raises(ValueError, "2D")}),
    Row("6", "three_dimensions", lambda: (P.reshape(5, 10, 3), Q), {
        FUNCTIONS: Raises(SHAPE, r"expected 2-D X.*X\.reshape\(len\(X\), -1\)"),
        ESTIMATORS: Raises(ValueError, "dim 3")}),
    Row("7", "zero_dimensions", lambda: (np.float64(3.0), Q), Raises(SHAPE, r"expected 2-D X|Expected 2D")),
    Row("8", "features_differ", lambda: (P[:, :2], Q),
        Raises(SHAPE, r"X has 2 features, (Y has|but \w+ is expecting) 3")),
    Row("9", "no_features", lambda: (P[:, :0], Q[:, :0]), Raises(VALUE, r"0 feature\(s\)")),
    Row("10", "no_rows_of_X", lambda: (P[:0], Q), Raises(FEW, r"(\bX has|array with) 0 sample\(s\)")),
    Row("11", "no_rows_of_Y", lambda: (P, Q[:0]), Raises(FEW, r"(\bY has|array with) 0 sample\(s\)")),
    Row("12", "one_row", lambda: (P[:1], Q), Raises(FEW, r"\bX\b.*n_samples=1")),
    Row("13", "n_is_k", lambda: (P[:3], Q), {
        BY_DISTANCE: Raises(FEW, r"n_neighbors=3 needs at least 4 rows of X, got n_samples=3"),
        BY_MOMENTS: Raises(FEW, r"rows of X, got n_samples=3")}),
    Row("14", "m_is_k_less_1", lambda: (P, Q[:2]), {
        BY_DISTANCE: Raises(FEW, r"n_neighbors=3 needs at least 3 rows.*got n_samples=2"),
        BY_MOMENTS: Raises(FEW, r"rows of Y, got n_samples=2")}),
    Row("15", "n_is_k_plus_1", lambda: (P[:4], Q), {
        ("knn", "KNNDivergence"): Gives(warns=(SMALL, FAR), flags={"reliable": False}),
        ("auto", *BY_MOMENTS): Gives(warns=None)}),
    Row("16", "the_same_object", lambda: (Q, Q), SHARED),
    Row("17", "all_rows_equal", lambda: (np.ones((50, 3)), np.ones((60, 3))), Gives(value=0.0, warns=(TIES,))),
    Row("18", "X_constant", lambda: (np.ones((50, 3)), Q), INFINITE_ANSWER),
    Row("18b", "Y_constant", lambda: (P, np.ones((60, 3))), INFINITE_ANSWER),
    Row("19", "constant_column", lambda: (column(P, 1.0), column(Q, 1.0)),
        Gives(like=lambda: (P[:, :2], Q[:, :2]), warns=(TIES,), text=r"columns \[2\].*dropped", flags={"d": 2})),
    Row("20", "constants_that_differ", lambda: (column(P, 1.0), column(Q, 0.0)), INFINITE_ANSWER),
    Row("21", "many_duplicates", lambda: (np.round(P), np.round(Q)), {
        BY_DISTANCE: Gives(warns=(TIES,), between=(-1.0, 1.0), text=r"\d+ rows of X"), BY_MOMENTS: Gives(warns=None)}),
    Row("22", "rows_of_Y_in_X", lambda: (Q[:50], Q), SHARED),
    Row("23", "disjoint_by_1e8", lambda: (P + 1e8, Q), {
        BY_DISTANCE: Gives(between=(57.0, 58.0), warns=(OVERLAP,), flags={"reliable": False}),
        BY_MOMENTS: Gives(between=(1e16, 2e16))}),
    # P + 1e300 alone would be a constant, row 18
    Row("24", "disjoint_at_1e300", lambda: (P * 1e295 + 1e300, Q * 1e295), {
        BY_DISTANCE: Gives(like=lambda: (P + 1e5, Q), rtol=1e-6, warns=(OVERLAP,)),
        BY_MOMENTS: Gives(like=lambda: (P + 1e5, Q), rtol=1e-6)}),
    Row("25", "scale_1e200", lambda: (P * 1e200, Q * 1e200), Gives(like=clean, rtol=1e-9)),
    Row("25b", "scale_2**900", lambda: (np.ldexp(P, 900), np.ldexp(Q, 900)), RIGHT),
    Row("26", "scale_1e-200", lambda: (P * 1e-200, Q * 1e-200), Gives(like=clean, rtol=1e-9)),
    Row("26b", "scale_2**-900", lambda: (np.ldexp(P, -900), np.ldexp(Q, -900)), RIGHT),
    Row("27", "smallest_numbers", lambda: (P * 5e-324, Q * 5e-324), {
        BY_DISTANCE: Gives(like=lambda: (P * 5e-324 / 5e-324, Q * 5e-324 / 5e-324), warns=(TIES,)),
        BY_MOMENTS: Gives(like=lambda: (P * 5e-324 / 5e-324, Q * 5e-324 / 5e-324), warns=None)}),
    Row("28", "largest_numbers", lambda: (np.sign(P) * 1.7e308, Q), {
        BY_DISTANCE: Gives(like=lambda: (np.ldexp(np.sign(P) * 1.7e308, -600), np.ldexp(Q, -600)), warns=None),
        BY_MOMENTS: Gives(value=np.inf, warns=None)}),  # 1e616 is beyond float64
    Row("28b", "largest_numbers_spread", lambda: (np.ldexp(P, 1021), np.ldexp(Q, 1021)), RIGHT),
    Row("29", "offset_1e15", lambda: (P + 1e15, Q + 1e15),
        Gives(like=lambda: (P + 1e15 - 1e15, Q + 1e15 - 1e15), rtol=1e-9, warns=None)),
    Row("29b", "offset_1e15_is_told", lambda: (P + 1e15, Q + 1e15), Gives(warns=None, text="digits|precision|spread")),
    Row("30", "float32", cast("f4"), Gives(like=clean, rtol=1e-5)),
    Row("30b", "float32_as_float64", cast("f4"), Gives(like=cast("f4", "f8"))),
    Row("31", "float16", cast("f2"), Gives(like=cast("f2", "f8"))),
    Row("32", "longdouble", cast("g"), RIGHT),
    Row("33", "int8", cast("i1", factor=20), Gives(like=cast("i1", "f8", factor=20), warns=None)),
    Row("34", "uint8", lambda: tuple((abs(a) * 20).astype("u1") for a in clean()),
        Gives(like=lambda: tuple((abs(a) * 20).astype("u1").astype(float) for a in clean()), warns=None)),
    Row("35", "int64_beyond_2**53", cast("i8", factor=1e17),
        Gives(like=cast("i8", "f8", factor=1e17), warns=(errors.KLToolsWarning,), text=r"2\*\*53")),
    Row("36", "bool", lambda: (P > 0, Q > 0), {
        BY_DISTANCE: Gives(like=lambda: ((P > 0) * 1.0, (Q > 0) * 1.0), warns=(TIES,), text="discrete"),
        BY_MOMENTS: Gives(like=lambda: ((P > 0) * 1.0, (Q > 0) * 1.0), warns=None)}),
    Row("37", "complex", lambda: (P + 1j, Q), Raises(VALUE, r"Complex data not supported")),
    Row("37b", "complex_column", lambda: (pd.DataFrame(P + 1j), pd.DataFrame(Q)),
        Raises(VALUE, r"Complex data not supported")),
    Row("38", "objects_that_are_numbers", lambda: (P.astype(object), Q), RIGHT),
    Row("39", "None_among_objects", lambda: (np.array([[None, 1.0, 2.0]] * 10), Q), NOT_FINITE),
    Row("40", "ragged", lambda: ([[1, 2, 3], [1, 2]], Q), Raises(VALUE, r"rows of X have different lengths")),
    Row("41", "numbers_as_text", lambda: (P.astype(str), Q), TEXT),
    Row("41b", "lists_of_text", lambda: (P.astype(str).tolist(), Q), TEXT),
    Row("41c", "objects_of_text", lambda: (P.astype(str).astype(object), Q), TEXT),
    Row("42", "text", lambda: (np.array([["a", "b", "c"]] * 10), Q), TEXT),
    Row("43", "dates", lambda: (np.array([["2020", "2021", "2022"]] * 10, dtype="M8[s]"), Q),
        Raises(TYPE, r"\bX .*date")),
    Row("43b", "lists_of_dates", lambda: ([[np.datetime64("2020", "s")] * 3] * 10, Q), Raises(TYPE, r"\bX .*date")),
    Row("43c", "dates_of_datetime", lambda: ([[datetime.datetime(2020, 1, 1)] * 3] * 10, Q),
        Raises(TYPE, r"\bX|float")),
    Row("44", "time_differences", lambda: (np.ones((10, 3)).astype("m8[s]"), Q), Raises(TYPE, r"\bX .*time differ")),
    Row("44b", "objects_of_time_differences",
        lambda: (np.array([[np.timedelta64(i, "s")] * 3 for i in range(50)], dtype=object), Q), Raises(TYPE, r"\bX ")),
    Row("45", "structured", lambda: (np.zeros(10, dtype=[("a", float), ("b", float)]), Q),
        Raises(TYPE, r"\bX holds a structured dtype")),
    Row("46", "None", lambda: (None, Q), Raises(TYPE, r"\bX\b.*None")),
    Row("47", "dict", lambda: ({"a": [1, 2, 3]}, Q), Raises(TYPE, r"(\bX\b|float).*dict")),
    Row("48", "set", lambda: ({1, 2, 3}, Q), Raises(TYPE, r"(\bX\b|float).*set")),
    Row("49", "generator", lambda: ((row for row in P), Q), Raises(TYPE, r"(\bX\b|float).*generator")),
    Row("50", "nested_lists", lambda: (P.tolist(), Q), RIGHT),
    Row("51", "list_of_arrays", lambda: (list(P), list(Q)), RIGHT),
    Row("52", "range", lambda: (range(50), range(60)), {
        FUNCTIONS: Gives(like=lambda: (np.arange(50.0)[:, None], np.arange(60.0)[:, None]), warns=None),
        ESTIMATORS: Raises(ValueError, "Reshape your data")}),
    Row("53", "str", lambda: ("abc", Q), Raises(TYPE, r"\bX is a str.*path\?.*kltools\.io\.load")),
    Row("54", "masked", lambda: (np.ma.masked_array(P, mask=P > 1), Q), Raises(VALUE, r"\bX has \d+ masked values")),
    Row("54b", "nothing_masked", lambda: (np.ma.masked_array(P), np.ma.masked_array(Q)), RIGHT),
    Row("55", "matrix", lambda: (matrix(), Q), Raises(TYPE, r"(\bX is a numpy.|np\.)matrix")),
    Row("56", "csr_matrix", lambda: (sparse.csr_matrix(P), Q), Raises(TYPE, r"Sparse data was passed \w+ X")),
    Row("57", "csr_array", lambda: (P, sparse.csr_array(Q)), Raises(TYPE, r"Sparse data was passed \w+ [XY]")),
    Row("58", "frame", lambda: (pd.DataFrame(P), pd.DataFrame(Q)), RIGHT),
    Row("59", "frame_with_text", lambda: (pd.DataFrame({"a": [1] * 10, "b": ["x"] * 10, "c": [1.0] * 10}), Q),
        Raises(TYPE, r"column 'b' of X")),
    Row("59b", "frame_with_objects_of_text",
        lambda: (pd.DataFrame({"a": [1] * 10, "b": pd.Series(["x"] * 10, dtype=object), "c": [1.0] * 10}), Q),
        Raises(TYPE, r"\bX\b")),
    Row("60", "frame_with_NA", lambda: (pd.DataFrame(P).astype("Float64").mask(pd.DataFrame(P) > 1), Q), NOT_FINITE),
    Row("60b", "frame_with_NA_omitted", lambda: (pd.DataFrame(P).astype("Float64").mask(pd.DataFrame(P) > 1.5), Q),
        Gives(like=lambda: (P[(P <= 1.5).all(axis=1)], Q), flags={"n_dropped": int((P > 1.5).any(axis=1).sum())}),
        {"nan_policy": "omit"}),
    Row("61", "series", lambda: (pd.Series(P[:, 0]), pd.Series(Q[:, 0])), {
        FUNCTIONS: Gives(like=lambda: (P[:, :1], Q[:, :1])), ESTIMATORS: Raises(ValueError, "2-dimensional|2D")}),
    Row("62", "series_against_matrix", lambda: (pd.Series(P[:, 0]), Q), {
        FUNCTIONS: Raises(SHAPE, r"\bX\b.*\bY\b.*\(50,\).*\(60, 3\)"),
        ESTIMATORS: Raises(ValueError, "2-dimensional|2D")}),
    Row("63", "read_only", clean, RIGHT),
    Row("64", "memmap", lambda: (read_only_memmap(), Q), RIGHT),
    Row("65", "fortran_order", lambda: (np.asfortranarray(P), np.asfortranarray(Q)), RIGHT),
    Row("66", "negative_stride", lambda: (P[::-1], Q[::-1]), Gives(like=clean, rtol=1e-9)),
    Row("67", "every_other_column", lambda: (SIX_COLUMNS[:, ::2], Q),
        Gives(like=lambda: (SIX_COLUMNS[:, ::2].copy(), Q))),
    Row("68", "broadcast", lambda: (np.broadcast_to(P[:1], (50, 3)), Q), INFINITE_ANSWER),  # a constant: row 18
    Row("68b", "broadcast_both", lambda: (np.broadcast_to(P[:1], (50, 3)), np.broadcast_to(P[:1], (60, 3))),
        Gives(value=0.0, warns=(TIES,))),
    Row("69", "big_endian", cast(">f8"), RIGHT),
    Row("70", "unaligned", lambda: (np.ndarray(P.shape, buffer=b"\0" + P.tobytes(), offset=1, dtype="f8"), Q), RIGHT),
    Row("71", "array_protocol", lambda: (WithArray(), Q), RIGHT),
    Row("72", "subclass", lambda: (P.view(Subclass), Q.view(Subclass)), RIGHT),
]  # fmt: skip

# (number, name, argument, value, outcome) for a call with good samples
COUNT = Raises(VALUE, "n_neighbors must be >= 1")
NOT_AN_INT = Raises(TYPE, "n_neighbors must be an int")
SEED_TYPE = Raises(TYPE, "random_state")
ARGUMENTS = [
    ("73", "0", "n_neighbors", 0, COUNT),
    ("73", "-1", "n_neighbors", -1, COUNT),
    ("74", "2.0", "n_neighbors", 2.0, NOT_AN_INT),
    ("75", "True", "n_neighbors", True, NOT_AN_INT),
    ("75", "np.True_", "n_neighbors", np.True_, NOT_AN_INT),
    ("76", "'3'", "n_neighbors", "3", NOT_AN_INT),
    ("76", "array(3)", "n_neighbors", np.array(3), NOT_AN_INT),
    ("76", "nan", "n_neighbors", np.nan, NOT_AN_INT),
    ("76", "array_of_float", "n_neighbors", np.array([3.0, 5.0]), NOT_AN_INT),
    ("76", "[None]", "n_neighbors", [None], NOT_AN_INT),
    ("76", "[]", "n_neighbors", [], Raises(VALUE, "n_neighbors is empty")),
    ("77", "n", "n_neighbors", 50, Raises(FEW, "n_neighbors=50 needs at least 51 rows of X, got n_samples=50")),
    ("77", "above_m", "n_neighbors", 61, Raises(FEW, "n_neighbors=61 needs at least 6[12] rows of [XY]")),
    ("78", "1e9", "n_neighbors", 10**9, Raises(FEW, "n_neighbors=1000000000 needs")),
    ("79", "int64", "n_neighbors", np.int64(3), RIGHT),
    ("79", "array", "n_neighbors", np.array([3]), RIGHT),
    ("85", "'abc'", "random_state", "abc", SEED_TYPE),
    ("85", "1.5", "random_state", 1.5, SEED_TYPE),
    ("85", "True", "random_state", True, SEED_TYPE),
    ("85", "array(1.5)", "random_state", np.array(1.5), SEED_TYPE),
    ("85", "-1", "random_state", -1, Raises(VALUE, "random_state must be >= 0")),
    ("86", "RandomState", "random_state", np.random.RandomState(0), RIGHT),
    ("86", "Generator", "random_state", np.random.default_rng(0), RIGHT),
    ("86", "2**70", "random_state", 2**70, RIGHT),
    ("86", "[1,_2]", "random_state", [1, 2], RIGHT),
    ("89", "0", "n_jobs", 0, Raises(VALUE, "n_jobs=0")),
    ("90", "1.5", "n_jobs", 1.5, Raises(TYPE, "n_jobs must be an int")),
    ("90", "True", "n_jobs", True, Raises(TYPE, "n_jobs must be an int")),
    ("91", "10**6", "n_jobs", 10**6, RIGHT),
    ("91", "-100", "n_jobs", -100, RIGHT),
]  # fmt: skip

LEVEL = re.escape("confidence_level must lie in (0, 1)")
CONFIDENCE_LEVELS = [
    ("80", 95, Raises(VALUE, LEVEL + r".*95; did you mean 0\.95\?")),
    ("81", 0, Raises(VALUE, LEVEL)),
    ("81", -0.1, Raises(VALUE, LEVEL)),
    ("82", 1, Raises(VALUE, LEVEL)),
    ("82", np.nan, Raises(VALUE, LEVEL)),
    ("82", "0.95", Raises(TYPE, "confidence_level must be a number")),
    ("82", True, Raises(TYPE, "confidence_level must be a number")),
]


def check_converted(array, expected):
    """What kernels rely on: one type, one memory order, read-only; and the right numbers."""
    assert type(array) is np.ndarray
    assert array.dtype == np.float64
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, expected)
