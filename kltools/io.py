"""Samples from files: .npy, .npz, .csv (.tsv, .txt) and .parquet. Nothing is ever unpickled."""

import csv
import math
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InvalidParameterError, InvalidTypeError, KLToolsError, MissingDependencyError

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_DELIMITERS = (";", "\t", ",")


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
        As stored for .npy and .npz, else of shape (rows, columns) with NaN for missing values.
    """
    return load_table(path, key=key).values


def load_table(path: Any, *, key: str | None = None) -> Table:
    """Read a sample with the names of its columns; see `load`."""
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidParameterError(f"{path}: unknown kind of file {path.suffix!r}; known are {', '.join(_READERS)}.")
    if key is not None and path.suffix.lower() != ".npz":
        raise InvalidParameterError(f"{path}: a key selects an array of an .npz file, this is {path.suffix}.")
    try:
        return reader(path, key)
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


def _read_npy(path: Path, key: str | None) -> Table:
    # mapping checks the size that the header claims against the size of the file
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path: Path, key: str | None) -> Table:
    arrays = load_arrays(path)
    if key is None and len(arrays) != 1:
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


def _read_parquet(path: Path, key: str | None) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading .parquet needs pyarrow; install it with pip install 'kltools[io]'."
        ) from error
    try:
        table = parquet.read_table(path)
    except pa.ArrowException as error:
        raise InvalidParameterError(f"{path}: cannot be read as .parquet: {error}") from error
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    table = table.drop_columns([name for name in index if isinstance(name, str) and name in table.column_names])
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
