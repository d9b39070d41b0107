"""Samples from files: .npy, .npz, .csv (.tsv, .txt) and .parquet. Nothing is ever unpickled."""

import csv
import math
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from .errors import (
    InvalidParameterError,
    InvalidTypeError,
    KLToolsError,
    MissingDependencyError,
    ShapeMismatchError,
)

T = TypeVar("T")

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_DELIMITERS = (";", "\t", ",")
_SEPARATED = re.compile(r"[-+]?\d{1,3}([,' ]\d{3})+")  # thousands


@dataclass(frozen=True)
class Table:
    """Numbers read from a file, with the names of the columns where the file has any."""

    values: np.ndarray
    columns: list[str] | None = None


def load(path: Any, *, key: str | None = None) -> np.ndarray:
    """Read a sample from a file.

    Parameters
    ----------
    path : str or path-like
        .npy, .npz, .csv, .tsv, .txt (with a header or without) or .parquet.
    key : str, optional
        Name of the array in an .npz file that holds several.

    Returns
    -------
    ndarray
        As stored for .npy and .npz, else of shape (rows, columns) with NaN for missing values. A .npy file is
        read as the array is used: if it is cut short meanwhile, the process ends.
    """
    return load_table(path, key=key).values


def load_table(path: Any, *, key: str | None = None) -> Table:
    """Read a sample with the names of its columns; see `load`."""
    path = Path(path)
    reader = _READERS[_kind(path, key)]
    return _reading(path, lambda: reader(path, key))


def _kind(path: Path, key: str | None) -> str:
    """The suffix of a file that can be read."""
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise InvalidParameterError(f"{path}: unknown kind of file {path.suffix!r}; known are {', '.join(_READERS)}.")
    if key is not None and kind != ".npz":
        raise InvalidParameterError(f"{path}: a key selects an array of an .npz file, this is {path.suffix}.")
    return kind


def _reading(path: Path, read: Callable[[], T]) -> T:
    """What a reader returns; whatever is wrong with the file is told with its name."""
    try:
        return read()
    except (KLToolsError, OSError):
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, csv.Error) as error:
        raise InvalidParameterError(f"{path}: cannot be read: {error}") from error


def load_arrays(path: Any) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name."""
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise InvalidParameterError(f"{path}: an .npz file with named arrays is needed.")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InvalidParameterError(f"{path}: cannot be read as .npz: {error}") from error


@dataclass(frozen=True)
class Categories:
    """Counts of categories, by name (a dict) or not (a list), or the labels of single observations (a list)."""

    values: list | dict[Any, Any]
    are_labels: bool = False
    numbering: dict[str, list] = field(default_factory=dict)  # other columns of whole numbers, none of them twice


def load_counts(
    path: Any, *, column: str | None = None, labels: str | None = None, key: str | None = None
) -> Categories:
    """Counts of categories from a column of a file, by name where another column has these; or a column of labels.

    Columns are called "1", "2", ... where the file has no header. Without `column` and `labels` the only column of
    numbers is taken, and the only one of text beside it; a file of nothing but text has observations in it, as has
    one of nothing but the column `labels`. A column that is both `column` and `labels` is one of observations.
    """
    path = Path(path)
    columns = _reading(path, lambda: _columns(path, key))
    for name in (column, labels):
        if name is not None and name not in columns:
            raise InvalidParameterError(f"{path}: has no column {name!r}; it holds {', '.join(columns) or 'none'}.")
    if labels is not None and (column == labels or (column is None and len(columns) == 1)):
        return Categories(_whole(columns[labels]), are_labels=True)
    texts = [name for name, cells in columns.items() if any(isinstance(cell, str) for cell in cells)]
    spoiled = [name for name in texts if any(_looks_like_count(cell) for cell in columns[name])]
    numbers = [name for name in columns if name not in (*texts, labels)]
    candidates = numbers or [name for name in spoiled if name != labels] or ([] if labels else texts)
    chosen = column or _only(candidates, path, "column")
    if chosen in spoiled or (labels and chosen in texts):
        raise _no_number(path, chosen, columns[chosen])
    if chosen in texts:
        return Categories(columns[chosen], are_labels=True)
    if not (texts or labels):
        return Categories(columns[chosen], numbering=_numbering(columns, chosen))
    names = _whole(columns[labels or _only(texts, path, "labels")])
    if len(set(names)) < len(names):
        repeated = next(name for i, name in enumerate(names) if name in names[:i])
        raise InvalidParameterError(f"{path}: the label {repeated!r} occurs more than once; add up its counts.")
    return Categories(dict(zip(names, columns[chosen], strict=True)))


def load_columns(path: Any, *, key: str | None = None) -> dict[str, Any] | np.ndarray:
    """Columns of numbers, text or anything else by name, with gaps; an array of .npy and .npz, which have no names."""
    path = Path(path)
    kind = _kind(path, key)
    if kind in (".npy", ".npz"):
        return load_table(path, key=key).values
    if kind != ".parquet":
        return _reading(path, lambda: _csv_columns(path))
    table = _reading(path, lambda: _without_index(_arrow_table(path)))
    return {name: table.column(name) for name in table.column_names}


def _whole(cells: list) -> list:
    """Cells of a column of names: whole numbers as such."""
    return [int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells]


def _numbering(columns: dict[str, list], chosen: str) -> dict[str, list]:
    others = {name: _whole(cells) for name, cells in columns.items() if name != chosen}
    return {
        name: cells
        for name, cells in others.items()
        if all(isinstance(cell, int) for cell in cells) and len(set(cells)) == len(cells)
    }


def _looks_like_count(cell: Any) -> bool:
    return isinstance(cell, str) and (_number(cell) is not None or _SEPARATED.fullmatch(cell) is not None)


def _no_number(path: Path, name: str, cells: list) -> InvalidTypeError:
    row = next(i for i, cell in enumerate(cells) if isinstance(cell, str) and _number(cell) is None)
    return InvalidTypeError(
        f"{path}: column {name!r} holds {cells[row]!r} in row {row + 1} of {len(cells)}, which is no count; write "
        f"counts as plain numbers, or count the labels of that column with --column {name} --labels {name}."
    )


def _only(names: list[str], path: Path, option: str) -> str:
    if len(names) != 1:
        between = (
            f"choose a column with --{option}, of: {', '.join(names)}" if names else f"has no column for --{option}"
        )
        raise InvalidParameterError(f"{path}: {between}.")
    return names[0]


def _columns(path: Path, key: str | None) -> dict[str, list]:
    kind = path.suffix.lower()
    if kind == ".parquet":
        table = _arrow_table(path)
        return {name: table.column(name).to_pylist() for name in table.column_names}
    if kind in (".csv", ".tsv", ".txt"):
        return _csv_columns(path)
    values = np.asarray(load_table(path, key=key).values)
    if values.ndim not in (1, 2):
        raise ShapeMismatchError(f"{path}: a vector, or a table with columns, is needed, got shape {values.shape}.")
    return {str(j + 1): column.tolist() for j, column in enumerate(values.reshape(len(values), -1).T)}


def _csv_columns(path: Path) -> dict[str, list]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        text = file.read()
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(StringIO(text), delimiter=delimiter, skipinitialspace=True)
    rows = [[cell.strip() for cell in cells] for cells in reader if cells]
    if not rows:
        raise InvalidParameterError(f"{path}: is empty.")
    uneven = next((i for i, cells in enumerate(rows) if len(cells) != len(rows[0])), None)
    if uneven is not None:
        raise InvalidParameterError(f"{path}: row {uneven + 1} has {len(rows[uneven])} fields, not {len(rows[0])}.")
    has_header = any(rows[0]) and all(not cell or _number(cell) is None for cell in rows[0])
    names = rows[0] if has_header else [str(j + 1) for j in range(len(rows[0]))]
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise InvalidParameterError(f"{path}: several columns have the name {repeated!r}; rename them.")
    return {name: _numbers_or_text([row[j] for row in rows[has_header:]]) for j, name in enumerate(names)}


def _numbers_or_text(cells: list[str]) -> list:
    """Numbers, NaN where one is missing, or text, None where it is missing."""
    numbers = [_number(cell) for cell in cells]
    return [cell or None for cell in cells] if None in numbers else numbers


def _read_npy(path: Path, key: str | None) -> Table:
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:  # NumPy would take it for a pickle
            raise InvalidParameterError(f"{path}: is no .npy file.")
    # mapping checks the size that the header claims against the size of the file
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path: Path, key: str | None) -> Table:
    arrays = load_arrays(path)
    if not arrays:
        raise InvalidParameterError(f"{path}: holds no array.")
    if key is None and len(arrays) > 1:
        raise InvalidParameterError(f"{path}: holds the arrays {', '.join(arrays)}; choose one with a key (--key).")
    name = next(iter(arrays)) if key is None else key
    if name not in arrays:
        raise InvalidParameterError(f"{path}: has no array {key!r}; it holds {', '.join(arrays)}.")
    return Table(arrays[name])


def _read_csv(path: Path, key: str | None) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        first_line = next((line for line in file if line.strip()), "")
    if not first_line:
        raise InvalidParameterError(f"{path}: is empty.")
    delimiter = max(_DELIMITERS, key=first_line.count)
    words = first_line.split()
    if delimiter not in first_line and len(words) > 1 and all(_number(word) is not None for word in words):
        return Table(_read_words(path))  # what numpy.savetxt writes
    first = next(csv.reader([first_line], delimiter=delimiter, skipinitialspace=True))
    has_header = any(_number(cell) is None for cell in first)
    columns = [cell.strip() for cell in first] if has_header else None
    if columns is not None and not columns[0]:
        raise InvalidParameterError(
            f"{path}: the first column has no name, like a row index; write the file without it (index=False)."
        )
    values = _read_numbers(path, delimiter, has_header)
    if values is None or values.shape[1] != len(first):
        values = _parse_rows(path, delimiter, columns, len(first))
    return Table(values, columns)


def _read_words(path: Path) -> np.ndarray:
    return np.loadtxt(path, ndmin=2, encoding="utf-8-sig")


def _read_numbers(path: Path, delimiter: str, has_header: bool) -> np.ndarray | None:
    """All rows of a file that holds nothing but numbers, quickly; None for any other file."""
    try:
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there are no rows
            lines = (line for line in file if line.strip())
            if has_header:
                next(lines)
            return np.loadtxt(lines, delimiter=delimiter, ndmin=2, comments=None, quotechar='"')
    except ValueError:
        return None


def _parse_rows(path: Path, delimiter: str, columns: list[str] | None, width: int) -> np.ndarray:
    rows = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        skip_header = columns is not None
        for cells in reader:
            if not cells:
                continue
            if skip_header:
                skip_header = False
                continue
            if len(cells) != width:
                raise InvalidParameterError(f"{path}: line {reader.line_num} has {len(cells)} fields, not {width}.")
            numbers = [_number(cell) for cell in cells]
            if None in numbers:
                at = numbers.index(None)
                column = repr(columns[at]) if columns else str(at + 1)
                raise InvalidTypeError(
                    f"{path}: line {reader.line_num}, column {column}: {cells[at]!r} is not a number; "
                    "encode or remove the column."
                )
            rows.append(numbers)
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _number(cell: str) -> float | None:
    """The number in a cell, NaN for a missing value, None for text."""
    text = cell.strip()
    if text.lower() in _MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _arrow_table(path: Path) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading .parquet needs pyarrow; install it with pip install 'kltools[io]'."
        ) from error
    try:
        return parquet.read_table(path)
    except pa.ArrowException as error:
        raise InvalidParameterError(f"{path}: cannot be read as .parquet: {error}") from error


def _without_index(table: Any) -> Any:
    """The columns that a frame had before pandas wrote its index beside them."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return table.drop_columns([name for name in index if isinstance(name, str) and name in table.column_names])


def _read_parquet(path: Path, key: str | None) -> Table:
    table = _without_index(_arrow_table(path))
    import pyarrow as pa

    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not (
            pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)
        ):
            raise InvalidTypeError(f"{path}: column {name!r} holds {column.type}; encode or remove the column.")
        columns.append(column.cast(pa.float64(), safe=False).to_numpy())
    return Table(np.column_stack(columns) if columns else np.empty((table.num_rows, 0)), list(table.column_names))


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".parquet": _read_parquet,
}
