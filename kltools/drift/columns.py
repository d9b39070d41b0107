"""Frames and arrays as columns of numbers or categories, with gaps.

Numbers (whole ones too) are numeric unless they are declared categories. Text, booleans and categories of pandas and
polars are categories, compared as text, so that 1, 1.0 and "1" are the same one. None, NaN, NA and masked values are
missing. Dates are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from .. import _arrays
from ..errors import InvalidParameterError, InvalidTypeError, NotEnoughSamplesError, ShapeMismatchError
from ..estimate import shortened
from .values import CATEGORY, EMPTY, read_values, unmasked

FEWEST_ROWS = 2
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Column:
    """Numbers, NaN where one is missing; or places in ``labels``, -1 for none. An empty column holds neither."""

    name: str
    kind: str
    values: np.ndarray
    labels: tuple[str, ...] = ()
    declared: bool = False  # a category although it may hold numbers

    @property
    def missing(self) -> np.ndarray:
        return self.values < 0 if self.kind == CATEGORY else np.isnan(self.values)

    def take(self, rows: np.ndarray | slice) -> Column:
        """Some rows, and the labels that these have."""
        values = self.values[rows]
        if self.kind != CATEGORY:
            return replace(self, values=values)
        used, places = np.unique(values, return_inverse=True)
        n_missing = int((used < 0).sum())
        labels = tuple(self.labels[i] for i in used[n_missing:])
        return replace(self, values=places.reshape(-1) - n_missing, labels=labels)


@dataclass(frozen=True)
class Table:
    """Columns of equal length, `named` where they came with names."""

    columns: tuple[Column, ...]
    named: bool

    def __len__(self) -> int:
        return len(self.columns[0].values)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def take(self, rows: np.ndarray | slice) -> Table:
        return replace(self, columns=tuple(column.take(rows) for column in self.columns))

    def followed_by(self, other: Table) -> Table:
        """The rows of both, whose columns correspond."""
        pairs = zip(self.columns, other.columns, strict=True)
        return replace(self, columns=tuple(_joined(first, second) for first, second in pairs))


def _joined(first: Column, second: Column) -> Column:
    kind = second.kind if first.kind == EMPTY else first.kind
    if second.kind not in (EMPTY, kind):  # of a stream, where the reference has no value
        raise InvalidTypeError(f"column {first.name!r} was {first.kind}, and is {second.kind} now; convert it.")
    if kind != CATEGORY:
        return replace(first, kind=kind, values=np.concatenate([first.values, second.values]))
    labels = tuple(sorted({*first.labels, *second.labels}))
    place = {label: i for i, label in enumerate(labels)}
    values = np.concatenate([_moved(first, place), _moved(second, place)])
    return replace(first, kind=kind, values=values, labels=labels)


def _moved(column: Column, place: dict[str, int]) -> np.ndarray:
    """Places of the values in other labels."""
    if column.kind == EMPTY:
        return np.full(len(column.values), -1)
    return np.array([*(place[label] for label in column.labels), -1])[column.values]


def read_table(x: Any, name: str, categorical: Any = None) -> Table:
    """A sample; `categorical` are names or positions of columns of numbers that are categories."""
    names, columns = _columns_of(x, name)
    labels = names or [str(j) for j in range(len(columns))]
    declared = _positions(categorical, names, len(columns))
    read = (
        _read(values, label, name, j in declared) for j, (label, values) in enumerate(zip(labels, columns, strict=True))
    )
    return _checked(Table(tuple(read), names is not None), name)


def read_like(x: Any, name: str, reference: Table, fewest: int = FEWEST_ROWS) -> tuple[Table, tuple[str, ...]]:
    """A sample with the columns of a reference, found by name where both have names; and what is to be told."""
    names, columns = _columns_of(x, name)
    told: tuple[str, ...] = ()
    if names is not None and reference.named:
        columns, told = _by_name(names, columns, name, reference)
    elif len(columns) != len(reference.columns):
        raise ShapeMismatchError(
            f"{name} has {len(columns)} features, but the reference has {len(reference.columns)}: "
            f"{listed(reference.names)}."
        )
    elif names is not None or reference.named:
        told = (f"only one of {name} and the reference names its columns: they are matched by position.",)
    pairs = zip(columns, reference.columns, strict=True)
    read = tuple(_read(values, column.name, name, column.declared) for values, column in pairs)
    table = _checked(Table(read, reference.named), name, fewest)
    _check_kinds(table, reference, name)
    return table, told


def _by_name(names: list[str], columns: list, name: str, reference: Table) -> tuple[list, tuple[str, ...]]:
    absent = [column for column in reference.names if column not in names]
    if absent:
        raise ShapeMismatchError(
            f"{name} lacks columns of the reference: {listed(absent)}; it has {listed(names)}. Bring them back, or fit "
            "without them."
        )
    extra = [column for column in names if column not in reference.names]
    told = (f"columns that the reference does not have are ignored: {listed(extra)}.",) if extra else ()
    return [columns[names.index(column)] for column in reference.names], told


def _check_kinds(table: Table, reference: Table, name: str) -> None:
    pairs = zip(table.columns, reference.columns, strict=True)
    changed = [
        f"{old.name!r} ({old.kind}, now {new.kind})"
        for new, old in pairs
        if EMPTY not in (new.kind, old.kind) and new.kind != old.kind
    ]
    if changed:
        raise InvalidTypeError(
            f"columns of {name} are of another kind than in the reference: {', '.join(changed)}; convert them, or "
            "declare them with categorical= and fit again."
        )


def _columns_of(x: Any, name: str) -> tuple[list[str] | None, list]:
    """Names, where there are any, and what holds the values of each column."""
    if hasattr(x, "toarray"):  # a sparse matrix, some of which are mappings
        _arrays.refuse_kinds(x, name)
    names = [str(key) for key in x] if isinstance(x, Mapping) else _arrays.column_names(x)
    if isinstance(x, Mapping):
        columns = list(x.values())
    elif names is not None:
        _arrays.refuse_kinds(x, name)
        columns = [_arrays.column(x, j) for j in range(len(names))]
    else:
        columns = list(_array(x, name).T)
    if not columns:
        shape = f"({_length(x)}, 0)"
        raise InvalidParameterError(f"{name} has 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
    repeated = sorted({column for column in names if names.count(column) > 1}) if names else []
    if repeated:
        raise InvalidParameterError(f"{name} has several columns of the same name: {listed(repeated)}; rename them.")
    return names, columns


def _length(x: Any) -> int:
    return 0 if isinstance(x, Mapping) else len(x)


def _array(x: Any, name: str) -> np.ndarray:
    """Two axes; of numbers, or of objects where there may be others."""
    if _arrays.library(x) in ("pandas", "polars") and type(x).__name__ == "Series":
        raise ShapeMismatchError(f"expected 2-D {name} of shape (rows, features), got a Series; use {name}.to_frame().")
    if isinstance(x, np.ma.MaskedArray):
        x = unmasked(x)
    if isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.dtype.kind in "OUST"):
        array = _objects(x, name)
    else:
        array = _arrays.host_array(x, name, _told_nowhere)
    if array.ndim != 2:
        raise ShapeMismatchError(
            f"expected 2-D {name} of shape (rows, features), got {array.ndim}-D {array.shape}. Reshape your data: "
            f"{name}.reshape(-1, 1) is one feature."
        )
    return array


def _objects(x: Any, name: str) -> np.ndarray:
    array = np.asarray(x, dtype=object)
    if array.ndim == 1 and any(isinstance(row, list | tuple | np.ndarray) for row in array):
        raise InvalidParameterError(f"the rows of {name} have different lengths.")
    return array


def _told_nowhere(category: type[Warning], message: str) -> None:
    """Whole numbers beyond 2**53 are rounded, which moves none of them to another bin that matters."""


def _read(values: Any, label: str, name: str, declared: bool) -> Column:
    what = f"column {label!r} of {name}"
    kind, read, labels = read_values(values, what, as_category=declared)
    return Column(label, kind, _arrays.frozen(read), labels, declared)


def _checked(table: Table, name: str, fewest: int = FEWEST_ROWS) -> Table:
    lengths = {column.name: len(column.values) for column in table.columns}
    if len(set(lengths.values())) > 1:
        raise ShapeMismatchError(f"the columns of {name} have different lengths: {lengths}.")
    if len(table) < fewest:
        raise NotEnoughSamplesError(f"{name} has n_samples={len(table)}: at least {fewest} rows are needed.")
    return table


def _positions(categorical: Any, names: list[str] | None, n_columns: int) -> set[int]:
    if categorical is None:
        return set()
    if isinstance(categorical, str) or not isinstance(categorical, Sequence | np.ndarray):
        raise InvalidTypeError(f"categorical must be a list of names or positions of columns, got {categorical!r}.")
    return {_position(item, names, n_columns) for item in categorical}


def _position(item: Any, names: list[str] | None, n_columns: int) -> int:
    if isinstance(item, str) and names is not None and item in names:
        return names.index(item)
    if isinstance(item, Integral) and not isinstance(item, bool) and 0 <= int(item) < n_columns:
        return int(item)
    known = f"columns 0 to {n_columns - 1}" if names is None else f"{listed(names)}"
    raise InvalidParameterError(f"categorical names {item!r}, which is no column; there are {known}.")


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names, of many of them the first ones, of long ones the beginning."""
    return ", ".join(map(quoted, names[:most])) + (", ..." if len(names) > most else "")


def quoted(name: str) -> str:
    return repr(shortened(name, _LONGEST_NAME))
