"""The door: everything that comes from a user is checked and converted here, once.

Behind it, samples are two-dimensional C-contiguous read-only float64 arrays, so that a kernel sees a
single type, and arguments are what their names promise.
"""

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from .errors import (
    InvalidParameterError,
    InvalidTypeError,
    KLToolsWarning,
    NotEnoughSamplesError,
    ShapeMismatchError,
)

UNITS = {"nats": 1.0, "bits": 1.0 / math.log(2.0)}
NAN_POLICIES = ("raise", "omit")
DEFAULT_NEIGHBORS = (5, 10, 20)
_NOT_NUMBERS = ("datetime", "timedelta", "duration", "date", "time", "str", "categor", "string", "utf8")


# ---------------------------------------------------------------- arrays


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view: a kernel that sees only such inputs is compiled once."""
    view = array.view()
    view.flags.writeable = False
    return view


def _top_module(x: Any) -> str:
    return type(x).__module__.partition(".")[0]


def to_host(x: Any, name: str) -> Any:
    """Bring arrays of other libraries to the host, and refuse what would be misread as numbers."""
    if _top_module(x) == "torch":
        x = x.detach().cpu()
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    if _top_module(x) == "cupy":
        return x.get()
    if _top_module(x) == "polars" and type(x).__name__ == "LazyFrame":
        raise InvalidTypeError(f"{name} is a polars LazyFrame; call .collect() first.")
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise InvalidParameterError(
                f"{name} has {np.ma.count_masked(x)} masked values, which have no meaning here; "
                "drop those rows, or fill them with NaN and pass nan_policy='omit'."
            )
        return x.data
    if hasattr(x, "columns") and hasattr(x, "dtypes"):
        for column, dtype in zip(list(x.columns), list(x.dtypes), strict=True):
            if any(word in str(dtype).lower() for word in _NOT_NUMBERS):
                raise InvalidTypeError(
                    f"column {column!r} of {name} has dtype {dtype}, numbers are needed; drop or encode the column."
                )
    elif isinstance(x, np.ndarray) and x.dtype.kind in "MmSUV":
        raise InvalidTypeError(_dtype_message(name, x.dtype))
    return x


def _dtype_message(name: str, dtype: np.dtype) -> str:
    kinds = {"M": "dates", "m": "time differences", "S": "text", "U": "text", "V": "a structured dtype"}
    kind = kinds.get(dtype.kind, "no numbers")
    advice = {
        "V": "select the numeric fields, for example with numpy.lib.recfunctions.structured_to_unstructured",
        "S": "convert it with .astype(float)",
        "U": "convert it with .astype(float)",
    }.get(dtype.kind, "convert it to numbers in a unit of your choice")
    return f"{name} holds {kind} (dtype {dtype}), numbers are needed; {advice}."


def numeric_array(x: Any, name: str) -> np.ndarray:
    """Any array-like of real numbers as a float64 array of any shape (C-contiguous, read-only)."""
    x = to_host(x, name)
    if isinstance(x, str):
        raise InvalidTypeError(f"{name} is a str, an array is needed; is it a path? Use kltools.io.load.")
    if x is None or isinstance(x, dict | set | frozenset):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list or array of numbers.")
    if isinstance(x, np.matrix):
        raise InvalidTypeError(f"{name} is a numpy.matrix; pass numpy.asarray({name}).")
    if hasattr(x, "toarray") and "sparse" in type(x).__module__:
        raise InvalidTypeError(f"Sparse data was passed as {name}, dense data is needed; use {name}.toarray().")
    is_pandas = _top_module(x) == "pandas"
    array = x.to_numpy(dtype=np.float64, na_value=np.nan) if is_pandas else _plain_array(x, name)
    if array.dtype.kind == "c":
        raise InvalidParameterError(
            f"Complex data not supported: {name} has dtype {array.dtype}; pass real and imaginary part as two columns."
        )
    if array.dtype.kind == "O":
        array = _from_objects(array, name)
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(_dtype_message(name, array.dtype))
    if array.dtype.kind in "iu" and array.size and max(int(array.max()), -int(array.min())) > 2**53:
        warnings.warn(
            f"{name} has integers beyond 2**53, which float64 rounds; subtract an offset first.",
            KLToolsWarning,
            stacklevel=2,
        )
    with np.errstate(over="ignore"):
        # asarray keeps 0-d arrays 0-d, which ascontiguousarray does not
        return frozen(np.asarray(array, dtype=np.float64, order="C"))


def _plain_array(x: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(x)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise InvalidParameterError(f"the rows of {name} have different lengths.") from error
        raise
    if array.dtype.kind == "O" and array.ndim == 0:
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list or array of numbers.")
    return array


def _from_objects(array: np.ndarray, name: str) -> np.ndarray:
    for value in array.flat:
        if isinstance(value, str | bytes):
            raise InvalidTypeError(f"{name} holds text ({value!r}), numbers are needed.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name} holds objects that are not numbers: {error}") from error


# ---------------------------------------------------------------- samples


def sample(x: Any, name: str, nan_policy: str = "raise") -> tuple[np.ndarray, int]:
    """A sample as an (n, d) array, and the number of rows dropped; 1-d input becomes one column."""
    array = numeric_array(x, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        hint = f"; flatten each item with {name}.reshape(len({name}), -1)" if array.ndim > 2 else ""
        raise ShapeMismatchError(
            f"expected 2-D {name} of shape (rows, features), got {array.ndim}-D {array.shape}{hint}."
        )
    if array.shape[1] == 0:
        raise InvalidParameterError(f"{name} has 0 feature(s) (shape {array.shape}), at least 1 is needed.")
    if array.shape[0] == 0:
        raise NotEnoughSamplesError(f"{name} has 0 sample(s) (shape {array.shape}), at least 2 are needed.")
    return _finite_rows(array, name, nan_policy)


def _finite_rows(array: np.ndarray, name: str, nan_policy: str) -> tuple[np.ndarray, int]:
    if np.isfinite(array).all():
        return array, 0
    for label, bad in (("infinite values", np.isinf(array)), ("NaN", np.isnan(array))):
        if bad.any() and (label != "NaN" or nan_policy == "raise"):
            row, column = (int(i) for i in np.argwhere(bad)[0])
            advice = " or pass nan_policy='omit'" if label == "NaN" else ""
            raise InvalidParameterError(
                f"{name} contains {label}: {int(bad.sum())} in all, the first in row {row}, column {column}; "
                f"remove those rows{advice}."
            )
    keep = ~np.isnan(array).any(axis=1)
    if not keep.any():
        raise NotEnoughSamplesError(f"every row of {name} contains NaN: 0 rows left.")
    return frozen(np.ascontiguousarray(array[keep])), int((~keep).sum())


def sample_pair(x: Any, y: Any, nan_policy: str = "raise") -> tuple[np.ndarray, np.ndarray, int]:
    """Two samples with the same features, and the number of rows dropped in all."""
    check_same_columns(x, y)
    first, dropped_x = sample(x, "X", nan_policy)
    second, dropped_y = sample(y, "Y", nan_policy)
    if first.shape[1] != second.shape[1]:
        raise ShapeMismatchError(
            f"X has {first.shape[1]} features, Y has {second.shape[1]} (shapes {np.shape(x)} and {np.shape(y)})."
        )
    return first, second, dropped_x + dropped_y


def column_names(x: Any) -> list[str] | None:
    """Names of the columns of a frame; None for anything without names."""
    columns = getattr(x, "columns", None)
    if columns is None or callable(columns):
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def check_same_columns(x: Any, y: Any) -> None:
    """Raise where two frames name their columns differently."""
    names_x, names_y = column_names(x), column_names(y)
    if names_x is not None and names_y is not None and names_x != names_y:
        raise ShapeMismatchError(
            f"the columns differ: X has {names_x}, Y has {names_y}; select the same columns in the same order."
        )


def check_enough_rows(n: int, name: str, needed: int, why: str) -> None:
    if n < needed:
        raise NotEnoughSamplesError(f"{why} needs at least {needed} rows of {name}, got n_samples={n}.")


# ---------------------------------------------------------------- arguments


def integer(value: Any, name: str, minimum: int | None = None) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise InvalidTypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}.")
    if minimum is not None and value < minimum:
        raise InvalidParameterError(f"{name} must be >= {minimum}, got {value}.")
    return int(value)


def choice(value: Any, name: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        listing = ", ".join(repr(a) for a in allowed)
        raise InvalidParameterError(f"{name} must be one of {listing}, got {value!r}.")
    return value


def unit_factor(unit: Any) -> float:
    """What a number of nats is multiplied with."""
    return UNITS[choice(unit, "unit", tuple(UNITS))]


def neighbors(value: Any) -> tuple[int, ...] | None:
    """The numbers of neighbours asked for, ascending; None stays None."""
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray) or np.ndim(value) == 0:
        values = [value]
    else:
        values = list(value)
    ks = sorted({integer(k, "n_neighbors", minimum=1) for k in values})
    if not ks:
        raise InvalidParameterError("n_neighbors is empty; pass an int or several.")
    return tuple(ks)


def neighbors_within(value: Any, n: int, m: int | None) -> tuple[int, ...]:
    """Numbers of neighbours that n rows of X and m rows of Y have: a default is cut, a wish is not."""
    ks = neighbors(value)
    limit = n - 1 if m is None else min(n - 1, m)
    if ks is None:
        return tuple(sorted({min(k, limit) for k in DEFAULT_NEIGHBORS}))
    if ks[-1] > n - 1:
        check_enough_rows(n, "X", ks[-1] + 1, f"n_neighbors={ks[-1]}")
    if m is not None and ks[-1] > m:
        check_enough_rows(m, "Y", ks[-1], f"n_neighbors={ks[-1]}")
    return ks


def check_n_jobs(n_jobs: Any) -> int | None:
    if n_jobs is None:
        return None
    if integer(n_jobs, "n_jobs") == 0:
        raise InvalidParameterError("n_jobs=0 has no meaning; use None or 1 for one thread, -1 for all cores.")
    return int(n_jobs)


def confidence_level(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidTypeError(f"confidence_level must be a number, got {value!r}.")
    level = float(value)
    if not 0.0 < level < 1.0:
        hint = f"; did you mean {level / 100}?" if 1.0 < level < 100.0 else ""
        raise InvalidParameterError(f"confidence_level must lie in (0, 1), got {value!r}{hint}.")
    return level


def generator(random_state: Any) -> np.random.Generator:
    """The random generator meant by `random_state`."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31, size=8))
    if random_state is not None:
        seeds = random_state if isinstance(random_state, list | tuple | np.ndarray) else [random_state]
        for seed in seeds:
            integer(seed, "random_state", minimum=0)
    return np.random.default_rng(random_state)
