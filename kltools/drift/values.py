"""The values of one column: numbers or categories, and which of them are missing."""

import datetime
import math
import re
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np

from .. import _arrays
from ..errors import InvalidParameterError, InvalidTypeError

NUMERIC, CATEGORY, EMPTY = "numeric", "category", "empty"
_DATES = ("date", "time", "duration", "period")
_CATEGORIES = ("categor", "dictionary", "enum")  # of pandas and polars, of pyarrow, of polars
_COMPOUND = ("list", "struct", "array", "binary", "interval", "map")
_DATE_CLASSES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


def read_values(values: Any, what: str, as_category: bool) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Kind, numbers (NaN: missing) or places in labels (-1: missing), and labels in ascending order."""
    array = _vector(values, what)
    as_category = as_category or _dtype_name(values).startswith(_CATEGORIES)
    if array.dtype.kind == "O":
        return _of_objects(array, what, as_category)
    if array.dtype.kind == "b" or as_category:
        distinct, codes = np.unique(array, return_inverse=True)  # NaN stands last, once
        texts = [None if value != value else _text(value, what) for value in distinct.tolist()]
        return _categories(texts, codes)
    numbers = _numbers(array, what)
    return (EMPTY if np.isnan(numbers).all() else NUMERIC), numbers, ()


def _of_objects(array: np.ndarray, what: str, as_category: bool) -> tuple[str, np.ndarray, tuple[str, ...]]:
    items = [None if _is_missing(value) else value for value in array]
    present = [value for value in items if value is not None]
    dates = [value for value in present if isinstance(value, _DATE_CLASSES)]
    if dates:
        raise _no_dates(what, repr(dates[0]))
    if not present:
        return EMPTY, np.full(len(items), math.nan), ()
    if not as_category and all(_is_number(value) for value in present):
        numbers = _arrays.numeric_array([math.nan if value is None else value for value in items], what)
        return NUMERIC, _numbers(numbers, what), ()
    texts = [None if value is None else _text(value, what) for value in items]
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return _categories(list(place), np.array([place[text] for text in texts]))


def _categories(texts: list[str | None], codes: np.ndarray) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """Places in the sorted labels, of codes that are places in texts; None is missing."""
    labels = tuple(sorted({text for text in texts if text is not None}))
    if not labels:
        return EMPTY, np.full(len(codes), math.nan), ()
    place = {label: i for i, label in enumerate(labels)}
    return CATEGORY, np.array([-1 if text is None else place[text] for text in texts])[codes.reshape(-1)], labels


def _numbers(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind == "c":
        raise InvalidParameterError(f"Complex data not supported: {what} has dtype {array.dtype}.")
    numbers = array.astype(np.float64)
    infinite = np.isinf(numbers)
    if infinite.any():
        raise InvalidParameterError(
            f"{what} holds infinite values: {int(infinite.sum())} in all, the first in row {int(infinite.argmax())}; "
            "remove them, or make them NaN, which is missing."
        )
    return numbers


def _vector(values: Any, what: str) -> np.ndarray:
    """One axis, of booleans, numbers or objects."""
    name = _dtype_name(values)
    if name.startswith(_DATES) or name.startswith("timestamp"):
        raise _no_dates(what, f"dtype {values.dtype}" if hasattr(values, "dtype") else f"type {values.type}")
    if name.startswith(_COMPOUND):
        raise InvalidTypeError(f"{what} holds {name} values, numbers or categories are needed; split them up.")
    array = _of_series(values)
    if array.dtype.kind in "mM":
        raise _no_dates(what, f"dtype {array.dtype}")
    if array.dtype.kind not in "fiubcO":
        array = np.array(values.tolist() if hasattr(values, "tolist") else list(values), dtype=object)
    if array.ndim != 1:
        raise InvalidTypeError(f"{what} has shape {array.shape}: one value for each row is needed.")
    return array


def _dtype_name(values: Any) -> str:
    """As the library of the values calls it, without parameters."""
    return re.split(r"[(\[<]", str(getattr(values, "dtype", None) or getattr(values, "type", "")).lower())[0]


def _of_series(values: Any) -> np.ndarray:
    kind = getattr(getattr(values, "dtype", None), "kind", None)
    if isinstance(values, np.ma.MaskedArray):
        return unmasked(values)
    if isinstance(values, np.ndarray):
        return values
    if _arrays.library(values) == "pandas":
        return values.to_numpy(np.float64, na_value=math.nan) if kind in ("i", "u", "f") else values.to_numpy(object)
    if _arrays.library(values) == "polars" and values.dtype.is_numeric():
        return values.cast(float).to_numpy()
    if _arrays.library(values) in ("polars", "pyarrow"):
        return np.array(values.to_list() if hasattr(values, "to_list") else values.to_pylist(), dtype=object)
    array = np.asarray(values)
    return array if array.dtype.kind in "fiubc" else np.array(values, dtype=object)


def unmasked(array: np.ma.MaskedArray) -> np.ndarray:
    """Objects, None where they are masked."""
    objects = np.array(array.data, dtype=object)
    objects[np.ma.getmaskarray(array)] = None
    return objects


def _no_dates(what: str, found: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"{what} holds dates or times ({found}), whose distribution always moves on; leave the column out, or pass "
        "what may repeat, such as the hour or the day of the week."
    )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    return isinstance(value, float | np.floating | Decimal) and value != value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real | Decimal):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    needed = "decode it to text" if isinstance(value, bytes) else "an argument must be a string or a real number"
    raise InvalidTypeError(f"{what} holds a {type(value).__name__} ({value!r}): {needed}.")
