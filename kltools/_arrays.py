"""Array-likes of any library as NumPy arrays of real numbers, on the host.

No library is imported that the caller has not imported. What could be misread as numbers (dates, text,
categories, masked values) is refused with the argument's name.
"""

import math
import sys
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Number, Real
from typing import Any

import numpy as np

from .errors import (
    InvalidParameterError,
    InvalidTypeError,
    KLToolsWarning,
    NotEnoughSamplesError,
    ShapeMismatchError,
)

_NOT_NUMBERS = (
    *("datetime", "timedelta", "timestamp", "duration", "date", "time", "period", "interval", "str", "utf8"),
    *("categor", "enum", "list", "struct", "binary", "dictionary"),
)
_TENSOR_DTYPES = (
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
)
_CACHE_LINE = 64  # bytes
_LARGEST_EXACT_INTEGER = 2**53


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view: a kernel that sees only such inputs is compiled once."""
    view = array.view()
    view.flags.writeable = False
    return view


def aligned(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """An empty array that begins with a cache line, so that vectors do not straddle two."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + _CACHE_LINE, dtype=np.uint8)
    first = -buffer.__array_interface__["data"][0] % _CACHE_LINE
    return buffer[first : first + size].view(dtype).reshape(shape)


def is_tensor(x: Any) -> bool:
    """Whether x is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def column_names(x: Any) -> list[str] | None:
    """Names of the columns of a frame or table; None for anything without names."""
    if library(x) == "pyarrow":
        names = getattr(x, "column_names", None)
    else:
        names = None if _is_lazy(x) else getattr(x, "columns", None)
    return None if names is None or callable(names) else [str(name) for name in names]


def row_index(x: Any) -> Any:
    """The index of a frame or series of pandas; None for anything else."""
    return getattr(x, "index", None) if library(x) == "pandas" else None


def column(x: Any, j: int) -> Any:
    """The j-th column of a frame or table, as the series or chunked array that it is."""
    if hasattr(x, "iloc"):
        return x.iloc[:, j]
    return x.to_series(j) if hasattr(x, "to_series") else x.column(j)


def is_frame(x: Any) -> bool:
    """Whether x is a data frame: columns with names and dtypes."""
    return hasattr(type(x), "columns") and hasattr(type(x), "dtypes") and not _is_lazy(x)


def warn(category: type[Warning], message: str) -> None:
    warnings.warn(message, category, stacklevel=5)


def numeric_array(
    x: Any, name: str, tell: Callable[[type[KLToolsWarning], str], None] = warn, copy: bool = False
) -> np.ndarray:
    """Any array-like of real numbers as a float64 array of any shape (C-contiguous, read-only).

    ``tell`` hears of numbers that float64 cannot hold. With ``copy`` it is nobody else's array.
    """
    array = host_array(x, name, tell)
    with np.errstate(over="ignore"):
        if copy:
            return frozen(np.array(array, np.float64, order="C"))
        # require keeps 0-d arrays 0-d, which ascontiguousarray does not, and aligns
        return frozen(np.require(array, np.float64, ["C", "A"]).view(np.ndarray))


def host_array(x: Any, name: str, tell: Callable[[type[KLToolsWarning], str], None] = warn) -> np.ndarray:
    """Any array-like of real numbers as a NumPy array with the dtype it has."""
    refuse_kinds(x, name)
    if is_tensor(x):
        array = _from_tensor(x, name)
    elif library(x) == "cupy":
        array = x.get()
    elif isinstance(x, np.ma.MaskedArray):
        array = _unmasked(x, name)
    elif library(x) in ("pandas", "polars", "pyarrow"):
        array = _from_table(x, name, tell)
    else:
        array = _from_sequence(x, name)
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    check_real(array.dtype, name)
    _check_integers(array, name, tell)
    return array


def check_real(dtype: np.dtype, name: str) -> None:
    """Raise for a dtype that does not hold real numbers."""
    if dtype.kind == "c":
        raise InvalidParameterError(
            f"Complex data not supported: {name} has dtype {dtype}; pass real and imaginary part as two columns."
        )
    if dtype.kind not in "fiub":
        raise InvalidTypeError(_dtype_message(name, dtype))


def label_array(x: Any, name: str) -> np.ndarray:
    """One label for each observation: a vector of numbers, or of objects, all text or all numbers that NumPy rounds."""
    if x is None or isinstance(x, str | bytes | dict | set | frozenset):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list or array, one label for each observation.")
    _refuse_dask(x, name)
    if isinstance(x, np.ma.MaskedArray):
        x = _unmasked(x, name)
    elif is_tensor(x):
        x = _from_tensor(x, name)
    _refuse_compound_labels(x, name)
    array = np.asarray(x, dtype=object) if isinstance(x, list | tuple) else np.asarray(x)
    if array.ndim != 1:
        raise ShapeMismatchError(f"{name} must be one label for each observation, got shape {array.shape}.")
    if array.size == 0:
        raise NotEnoughSamplesError(f"{name} is empty: at least one observation is needed.")
    if array.dtype.kind in "OTU" or (array.dtype.kind == "f" and np.isnan(array).any()):
        return _labels_of_objects(array.tolist(), name)
    if array.dtype.kind not in "iubf":
        raise InvalidTypeError(f"{name} has dtype {array.dtype}, numbers or text are needed; use .astype(str).")
    return array


def _refuse_compound_labels(x: Any, name: str) -> None:
    if isinstance(x, list | tuple) or (library(x) in ("numpy", "pandas") and str(x.dtype) == "object"):
        found = next((value for value in x if isinstance(value, tuple | list | bytes)), None)
        if isinstance(found, tuple):
            raise InvalidTypeError(f"{name} holds tuples ({found!r}); make each one text: '/'.join(map(str, label)).")
        if isinstance(found, bytes):
            raise InvalidTypeError(f"{name} holds bytes ({found!r}), numbers or text are needed; use label.decode().")


def is_text(labels: np.ndarray) -> bool:
    """Whether labels from `label_array` are text."""
    return isinstance(labels[0], str)


def _labels_of_objects(values: list, name: str) -> np.ndarray:
    missing = [i for i, value in enumerate(values) if not isinstance(value, str | Real) or value != value]
    if missing:
        raise InvalidParameterError(
            f"{name} holds {len(missing)} entries that are no labels (numbers or text), the first at index "
            f"{missing[0]}: {values[missing[0]]!r}; leave out what is missing."
        )
    n_text = sum(isinstance(value, str) for value in values)
    if n_text not in (0, len(values)):
        raise InvalidTypeError(f"{name} holds {n_text} texts among numbers; make all labels text, or all numbers.")
    array = np.array(values, dtype=object)
    if n_text:
        return array
    numbers = np.array(values)
    return numbers if (numbers.astype(object) == array).all() else array


def _check_integers(array: np.ndarray, name: str, tell: Callable[[type[KLToolsWarning], str], None]) -> None:
    if array.dtype.kind in "iu" and array.size and max(int(array.max()), -int(array.min())) > _LARGEST_EXACT_INTEGER:
        tell(KLToolsWarning, f"{name} has integers beyond 2**53, which float64 rounds; subtract an offset first.")


def check_frame(x: Any, name: str, tell: Callable[[type[KLToolsWarning], str], None] = warn) -> None:
    """Raise for columns of a frame that hold no numbers."""
    for position, (column, dtype) in enumerate(zip(list(x.columns), list(x.dtypes), strict=True)):
        what = f"column {column!r} of {name}"
        _check_dtype(str(dtype), what)
        if str(dtype).lower() in ("object", "int64", "uint64"):
            values = np.asarray(x.iloc[:, position] if hasattr(x, "iloc") else x[column])
            if values.dtype.kind == "O":
                _from_objects(values, what)
            else:
                _check_integers(values, what, tell)


def _check_dtype(dtype: str, name: str) -> None:
    if "complex" in dtype:
        raise InvalidParameterError(f"Complex data not supported: {name} has dtype {dtype}.")
    if any(word in dtype.lower() for word in _NOT_NUMBERS):
        raise InvalidTypeError(f"{name} has dtype {dtype}, numbers are needed; drop or encode it.")


def library(x: Any) -> str:
    """The package that the class of x belongs to."""
    return type(x).__module__.partition(".")[0]


def _is_lazy(x: Any) -> bool:
    return library(x) == "polars" and type(x).__name__ == "LazyFrame"


def refuse_kinds(x: Any, name: str) -> None:
    """Raise for what is no data, or not yet."""
    if isinstance(x, str | bytes):
        raise InvalidTypeError(
            f"{name} is a {type(x).__name__}, numbers are needed; is it a path? kltools.io.load reads files."
        )
    if hasattr(x, "toarray") and "sparse" in type(x).__module__:
        raise InvalidTypeError(f"Sparse data was passed as {name}, dense data is needed; use {name}.toarray().")
    if x is None or isinstance(x, Mapping | set | frozenset):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list or array of numbers.")
    if isinstance(x, np.matrix):
        raise InvalidTypeError(f"{name} is a numpy.matrix; pass numpy.asarray({name}).")
    if _is_lazy(x):
        raise InvalidTypeError(f"{name} is a polars LazyFrame; call .collect() first.")
    _refuse_dask(x, name)


def _refuse_dask(x: Any, name: str) -> None:
    if library(x) == "dask":
        raise InvalidTypeError(
            f"{name} is a Dask {type(x).__name__}, which would be loaded as a whole; kltools.dask takes it, "
            f"all other functions take {name}.compute()."
        )


def _from_tensor(x: Any, name: str) -> np.ndarray:
    try:
        tensor = x.detach().cpu().resolve_conj().resolve_neg()
        known = str(tensor.dtype).removeprefix("torch.") in _TENSOR_DTYPES
        return (tensor if known else tensor.double()).numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise InvalidTypeError(f"{name} is a tensor that cannot become a NumPy array: {error}") from error


def _unmasked(x: np.ma.MaskedArray, name: str) -> np.ndarray:
    if np.ma.is_masked(x):
        raise InvalidParameterError(
            f"{name} has {np.ma.count_masked(x)} masked values, which have no meaning here; "
            "drop or fill them (with NaN where there is nan_policy='omit')."
        )
    return np.asarray(x.data)


def _from_table(x: Any, name: str, tell: Callable[[type[KLToolsWarning], str], None]) -> np.ndarray:
    """Frames, series and tables, whose conversion to NumPy would read dates and text as numbers."""
    if is_frame(x):
        check_frame(x, name, tell)
        dtypes = [str(dtype) for dtype in x.dtypes]
    elif hasattr(x, "schema"):
        dtypes = [str(field.type) for field in x.schema]
    else:
        dtypes = [str(getattr(x, "dtype", None) or getattr(x, "type", "object"))]
    for dtype in dtypes:
        _check_dtype(dtype, name)
    try:
        if library(x) == "pyarrow" and hasattr(x, "schema"):
            return np.column_stack([np.asarray(column, dtype=np.float64) for column in x.columns])
        if library(x) == "pandas" and "object" not in dtypes and not all(hasattr(np, d) for d in dtypes):
            return x.to_numpy(dtype=np.float64, na_value=np.nan)  # nullable dtypes
        return np.asarray(x)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidTypeError(f"{name} ({type(x).__name__}) cannot be read as numbers: {error}") from error


def _from_sequence(x: Any, name: str) -> np.ndarray:
    if isinstance(x, list | tuple):
        if any(np.ma.is_masked(item) for item in x):
            raise InvalidParameterError(f"{name} has masked values, which have no meaning here; drop or fill them.")
        x = [_from_tensor(item, name) if is_tensor(item) else item for item in x]
    try:
        array = np.asarray(x)
    except TypeError as error:
        raise InvalidTypeError(f"{name} ({type(x).__name__}) cannot be read as numbers: {error}") from error
    except (ValueError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise InvalidParameterError(f"the rows of {name} have different lengths.") from error
        raise InvalidParameterError(f"{name} ({type(x).__name__}) cannot be read as numbers: {error}") from error
    if array.dtype.kind == "O" and array.ndim == 0 and not isinstance(array.item(), Number | Decimal):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list or array of numbers.")
    return array


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    for value in array.flat:
        if isinstance(value, str | bytes):
            raise InvalidTypeError(f"{name} holds text ({value!r}), numbers are needed.")
        if isinstance(value, np.datetime64 | np.timedelta64):
            raise InvalidTypeError(f"{name} holds dates or time differences ({value!r}), numbers are needed.")
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise InvalidParameterError(f"{name} holds numbers beyond float64: {error}") from error
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name} holds objects that are not numbers: {error}") from error


def _dtype_message(name: str, dtype: np.dtype) -> str:
    kinds = {"M": "dates", "m": "time differences", "S": "text", "U": "text", "T": "text", "V": "a structured dtype"}
    advice = {"V": "select its numeric fields", "S": "use .astype(float)", "U": "use .astype(float)"}
    kind, remedy = kinds.get(dtype.kind, "no numbers"), advice.get(dtype.kind, "convert it to numbers")
    return f"{name} holds {kind} (dtype {dtype}), numbers are needed; {remedy}."
