"""Frames, tables and tensors of other libraries: read as the numbers they hold, or refused by name."""

import datetime
import decimal
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from bad_inputs import P, Q, check_converted

import kltools as kl
from kltools import _validation, errors

numeric_array = _validation.numeric_array
FRAME = pd.DataFrame(P, columns=["a", "b", "c"])
DAY = datetime.datetime(2020, 1, 1)


def frame(**columns):
    return FRAME.assign(**columns)


# ---------------------------------------------------------------- pandas

FRAMES = {
    "float": (FRAME, P),
    "int_and_bool": (pd.DataFrame({"a": [1, 2], "b": [True, False]}), [[1, 1], [2, 0]]),
    "nullable": (pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, 1]}), [[1, 0.5], [np.nan, 1]]),
    "boolean": (pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}), [[1], [np.nan]]),
    "objects": (pd.DataFrame({"a": pd.Series([1, None, 2.5], dtype=object)}), [[1], [np.nan], [2.5]]),
    "sparse": (pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), [[0], [1]]),
    "equal_names": (FRAME.set_axis(["a", "a", "a"], axis=1), P),
    "series": (FRAME["a"], P[:, 0]),
    "nullable_series": (pd.Series([1.5, None], dtype="Float64"), [1.5, np.nan]),
    "index": (pd.Index([1.5, 2.5]), [1.5, 2.5]),
    "extension_array": (pd.array([1, 2], dtype="Int64"), [1, 2]),
    "empty": (pd.DataFrame({"a": np.empty(0)}), np.empty((0, 1))),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name):
    given, expected = FRAMES[name]
    check_converted(numeric_array(given, "X"), np.asarray(expected, dtype=float))


COLUMNS = {
    "str": pd.Series(["1"] * 50),
    "string": pd.Series(["1"] * 50, dtype="string"),
    "object_str": pd.Series(["1"] * 50, dtype=object),
    "object_text": pd.Series(["x"] * 50, dtype=object),
    "category": pd.Series([1, 2] * 25, dtype="category"),
    "datetime": pd.Series(pd.date_range("2020", periods=50)),
    "datetime_utc": pd.Series(pd.date_range("2020", periods=50, tz="UTC")),
    "timedelta": pd.Series(pd.timedelta_range("1s", periods=50)),
    "period": pd.Series(pd.period_range("2020", periods=50, freq="D")),
    "interval": pd.Series(pd.interval_range(0, 50)),
    "object_dates": pd.Series([DAY.date()] * 50, dtype=object),
    "object_lists": pd.Series([[1.0]] * 50),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_without_numbers(name):
    with pytest.raises(kl.InvalidTypeError, match=r"'b' of X|\bX\b"):
        numeric_array(frame(b=COLUMNS[name]), "X")


@pytest.mark.parametrize("name", COLUMNS)
def test_series_without_numbers(name):
    with pytest.raises(kl.InvalidTypeError, match=r"\bX\b"):
        numeric_array(COLUMNS[name], "X")


@pytest.mark.parametrize("given", [frame(b=P[:, 1] + 1j), pd.Series(P[:, 0] + 1j)], ids=["frame", "series"])
def test_complex_pandas(given):
    with pytest.raises(kl.InvalidParameterError, match=r"Complex data not supported.*X"):
        numeric_array(given, "X")


@pytest.mark.parametrize("given", [frame(b=np.arange(50) * 2**55), pd.Series([2**60 + 1, 3])], ids=["frame", "series"])
def test_large_integers_of_pandas(given):
    with pytest.warns(errors.KLToolsWarning, match=r"2\*\*53"):
        numeric_array(given, "X")


@pytest.mark.parametrize(
    "given",
    [pd.NA, pd.NaT, pd.Timestamp(DAY), FRAME.groupby("a"), pd.MultiIndex.from_product([[1], [2]])],
    ids=["NA", "NaT", "timestamp", "groups", "multi_index"],
)
def test_pandas_objects_that_are_no_data(given):
    with pytest.raises(kl.InvalidTypeError, match=r"\bX\b"):
        numeric_array(given, "X")


# ---------------------------------------------------------------- columns of two frames


def test_column_names():
    assert _validation.column_names(FRAME) == ["a", "b", "c"]
    assert _validation.column_names(pd.DataFrame(P)) == ["0", "1", "2"]
    assert _validation.column_names(P) is None
    assert _validation.column_names(FRAME["a"]) is None


def test_equal_columns_are_fine():
    X, Y, _ = _validation.sample_pair(FRAME, pd.DataFrame(Q, columns=["a", "b", "c"]))
    check_converted(X, P)
    check_converted(Y, Q)
    for other in (Q, pd.DataFrame(Q)):
        _validation.sample_pair(FRAME, other)


DIFFERENT = {
    "reordered": lambda f: f[["c", "a", "b"]],
    "renamed": lambda f: f.rename(columns={"a": "z"}),
    "fewer": lambda f: f[["a", "b"]],
    "more": lambda f: f.assign(z=1.0),
}


def compared(X, Y):
    return {
        "estimate_kl": lambda: kl.estimate_kl(X, Y),
        "estimator": lambda: kl.KNNDivergence().fit(Y).divergence(X),
        "kth_neighbor_distances": lambda: kl.kth_neighbor_distances(X, Y, k=1),
    }


@pytest.mark.parametrize("use", compared(None, None))
@pytest.mark.parametrize("name", DIFFERENT)
def test_columns_that_differ(name, use):
    given = compared(DIFFERENT[name](FRAME), pd.DataFrame(Q, columns=["a", "b", "c"]))[use]
    with pytest.raises(ValueError, match=r"columns differ|feature names should match|features"):
        given()


def test_reordered_columns_named_by_numbers():
    with pytest.raises(kl.ShapeMismatchError, match="columns differ"):
        kl.estimate_kl(pd.DataFrame(P)[[2, 1, 0]], pd.DataFrame(Q))


# ---------------------------------------------------------------- polars, pyarrow


@pytest.fixture
def pl():
    return pytest.importorskip("polars")


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


def test_polars(pl):
    given = pl.DataFrame(P, schema=["a", "b", "c"])
    check_converted(numeric_array(given, "X"), P)
    check_converted(numeric_array(given["a"], "X"), P[:, 0])
    check_converted(numeric_array(given.cast(pl.Float32), "X"), P.astype("f4"))
    check_converted(numeric_array(pl.DataFrame({"a": [1, None], "b": [True, False]}), "X"), [[1, 1], [np.nan, 0]])
    check_converted(numeric_array(pl.DataFrame({"a": [decimal.Decimal("1.5")]}), "X"), [[1.5]])
    assert _validation.column_names(given) == ["a", "b", "c"]


def test_polars_columns_that_differ(pl):
    X, Y = (pl.DataFrame(a, schema=["a", "b", "c"]) for a in (P, Q))
    for use in ("estimate_kl", "estimator"):
        with pytest.raises(ValueError, match=r"columns differ|feature names should match"):
            compared(X.select("c", "b", "a"), Y)[use]()
    assert kl.estimate_kl(X, pd.DataFrame(Q, columns=["a", "b", "c"]), method="gaussian").value == pytest.approx(
        kl.estimate_kl(P, Q, method="gaussian").value
    )


@pytest.mark.parametrize("name", ["String", "Categorical", "Date", "Datetime", "Duration", "Time", "Binary", "List"])
def test_polars_columns_without_numbers(pl, name):
    values = {
        "String": ["1", "2"],
        "Categorical": pl.Series(["1", "2"], dtype=pl.Categorical),
        "Date": [DAY.date()] * 2,
        "Datetime": [DAY] * 2,
        "Duration": [datetime.timedelta(1)] * 2,
        "Time": [DAY.time()] * 2,
        "Binary": [b"1", b"2"],
        "List": [[1.0], [2.0]],
    }[name]
    given = pl.DataFrame({"a": [1.0, 2.0], "b": values})
    for data in (given, given["b"]):
        with pytest.raises(kl.InvalidTypeError, match=r"\bX\b"):
            numeric_array(data, "X")


def test_lazy_frames(pl):
    given = pl.DataFrame(P, schema=["a", "b", "c"]).lazy()
    for function in (lambda: numeric_array(given, "X"), lambda: kl.estimate_kl(given, Q)):
        with pytest.raises(kl.InvalidTypeError, match=r"X is a polars LazyFrame.*\.collect\(\)"):
            function()
    with pytest.raises(kl.InvalidTypeError, match=r"LazyFrame.*\.collect\(\)"):
        kl.KNNDivergence().fit(given)
    with pytest.raises(kl.InvalidTypeError, match=r"Y is a polars LazyFrame"):
        kl.estimate_kl(P, given)


def test_arrow(pa):
    given = pa.table({name: P[:, j] for j, name in enumerate("abc")})
    check_converted(numeric_array(given, "X"), P)
    check_converted(numeric_array(given["a"], "X"), P[:, 0])
    check_converted(numeric_array(given.to_batches()[0], "X"), P)
    check_converted(numeric_array(pa.array([1.5, None]), "X"), [1.5, np.nan])


@pytest.mark.parametrize("values", [["x", "y"], ["1", "2"], [DAY, DAY], [DAY.date(), DAY.date()]], ids=str)
@pytest.mark.parametrize("others", [{}, {"b": [1.0, 2.0]}], ids=["alone", "among_numbers"])
def test_arrow_columns_without_numbers(pa, values, others):
    with pytest.raises(kl.InvalidTypeError, match=r"\bX\b"):
        numeric_array(pa.table({"a": values, **others}), "X")


@pytest.mark.parametrize("other", ["arrow", "pandas"])
def test_arrow_columns_that_differ(pa, other):
    X, Y = (pa.table({name: a[:, j] for j, name in enumerate("abc")}) for a in (P, Q))
    with pytest.raises(ValueError, match=r"columns differ|feature names should match"):
        kl.estimate_kl(X.select(["c", "b", "a"]), Y if other == "arrow" else Y.to_pandas())


# ---------------------------------------------------------------- torch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_tensors(torch):
    given = torch.tensor(P)
    for tensor in (given, given.clone().requires_grad_(), torch.nn.Parameter(given.clone()), given.T.contiguous().T):
        check_converted(numeric_array(tensor, "X"), P)
    check_converted(numeric_array(given.float(), "X"), P.astype("f4"))
    check_converted(numeric_array(given.half(), "X"), P.astype("f2"))
    check_converted(numeric_array(given.bfloat16(), "X"), given.bfloat16().double().numpy())
    check_converted(numeric_array((given * 20).int(), "X"), (P * 20).astype("i4"))
    check_converted(numeric_array(given > 0, "X"), P > 0)
    check_converted(numeric_array(torch.tensor(3.0), "X"), 3.0)
    check_converted(numeric_array(list(given), "X"), P)


def test_estimates_from_tensors(torch):
    expected = kl.estimate_kl(P, Q, method="gaussian").value
    for X in (torch.tensor(P), torch.tensor(P, requires_grad=True)):
        assert kl.estimate_kl(X, torch.tensor(Q), method="gaussian").value == expected
        assert kl.GaussianDivergence().fit(torch.tensor(Q)).divergence(X).value == expected


def test_tensors_with_lazy_bits(torch):
    conjugate = torch.complex(torch.tensor(P), torch.tensor(P)).conj()
    check_converted(numeric_array(conjugate.imag, "X"), -P)
    with pytest.raises(kl.InvalidParameterError, match=r"Complex data not supported.*X"):
        numeric_array(conjugate, "X")


def test_lists_of_tensors_with_gradients(torch):
    check_converted(numeric_array(list(torch.tensor(P, requires_grad=True)), "X"), P)


def test_subclasses_of_tensors(torch):
    class Named(torch.Tensor):
        pass

    named = torch.tensor(P).as_subclass(Named)
    for tensor in (named, named.clone().requires_grad_()):
        check_converted(numeric_array(tensor, "X"), P)
        assert math.isfinite(kl.estimate_kl(tensor, Q, method="gaussian").value)


@pytest.mark.parametrize("name", ["sparse", "sparse_csr", "meta", "Module", "distribution"])
def test_torch_objects_without_numbers(torch, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        given = {
            "sparse": lambda: torch.tensor(P).to_sparse(),
            "sparse_csr": lambda: torch.tensor(P).to_sparse_csr(),
            "meta": lambda: torch.empty(5, 3, device="meta"),
            "Module": lambda: torch.nn.Linear(3, 3),
            "distribution": lambda: torch.distributions.Normal(0, 1),
        }[name]()
    with pytest.raises(kl.InvalidTypeError, match=r"\bX\b"):
        numeric_array(given, "X")


def test_torch_numbers_that_numpy_does_not_know(torch):
    tensor = torch.tensor(P).to(torch.float8_e4m3fn)
    check_converted(numeric_array(tensor, "X"), tensor.double().numpy())
    check_converted(numeric_array(torch.Size([5, 3]), "X"), [5.0, 3.0])
