"""The door for what an encoder puts out: means and logarithms of variances, or codes, in any container."""

from typing import Any

import numpy as np

from ._arrays import column_names, frozen, is_text, label_array, numeric_array, row_index
from ._validation import check_same_columns, check_same_names
from .errors import InvalidParameterError, InvalidTypeError, NotEnoughSamplesError, ShapeMismatchError

LARGEST_LOG_VAR = 1400.0  # beyond, the deviation or its inverse is no number
_DIVERGED = "the encoder has diverged there: find out why, or leave those rows out."


def latent_table(x: Any, name: str, advice: str = _DIVERGED) -> np.ndarray:
    """One row for each input, one column for each latent unit; from an array, or from a list of batches of them."""
    if not _is_batches(x, 2):
        return _table(x, name, advice)
    batches = [_table(batch, f"{name}[{i}]", advice) for i, batch in enumerate(x)]
    widths = sorted({batch.shape[1] for batch in batches})
    if len(widths) > 1:
        raise ShapeMismatchError(f"the batches of {name} have different numbers of latents: {widths}.")
    for i, batch in enumerate(x):
        check_same_columns(x[0], batch, f"{name}[0]", f"{name}[{i}]")
    return frozen(np.concatenate(batches))


def latent_labels(x: Any, n: int) -> np.ndarray | None:
    """A label for each of n rows, from an array or a list of batches; None stays None."""
    if x is None:
        return None
    if _is_batches(x, 1):
        batches = [label_array(batch, f"labels[{i}]") for i, batch in enumerate(x)]
        check_same_kind_of_labels(*batches)
        labels = np.concatenate(batches)
    else:
        labels = label_array(x, "labels")
    if len(labels) != n:
        raise ShapeMismatchError(f"labels has {len(labels)} entries, there are {n} rows.")
    return labels


def check_same_kind_of_labels(*parts: np.ndarray) -> None:
    """Raise where some are text and others numbers."""
    if len({is_text(part) for part in parts}) > 1:
        raise InvalidTypeError("labels are text in some batches, numbers in others; make all text, or all numbers.")


def check_same_rows(x: Any, y: Any, name_x: str, name_y: str) -> None:
    """Raise where frames or series of pandas, or those in lists of batches, have different indices."""
    for a, b, where in _pairs(x, y):
        index_a, index_b = row_index(a), row_index(b)
        if index_a is not None and index_b is not None and not index_a.equals(index_b):
            raise ShapeMismatchError(
                f"row i of {name_x}{where} belongs to row i of {name_y}{where}, but their indices differ: the first "
                f"rows are {list(index_a[:3])} and {list(index_b[:3])}; reindex one of them, or pass to_numpy()."
            )


def check_alike(x: Any, y: Any, name_x: str, name_y: str) -> None:
    """Raise where frames of the same rows and latents name their columns or rows differently."""
    for a, b, where in _pairs(x, y):
        check_same_columns(a, b, f"{name_x}{where}", f"{name_y}{where}")
    check_same_rows(x, y, name_x, name_y)


def _pairs(x: Any, y: Any) -> list[tuple[Any, Any, str]]:
    """What was cut alike, piece by piece."""
    first, second = _pieces(x), _pieces(y)
    alike = [where for _, where in first] == [where for _, where in second]
    return [(a, b, where) for (a, where), (b, _) in zip(first, second, strict=True)] if alike else []


def _pieces(x: Any) -> list[tuple[Any, str]]:
    """Batches that are no bare numbers, or all at once, each with its place in the list."""
    if isinstance(x, list | tuple):
        return [(batch, f"[{i}]") for i, batch in enumerate(x)] if x and hasattr(x[0], "ndim") else []
    return [(x, "")]


def _is_batches(x: Any, ndim: int) -> bool:
    return isinstance(x, list | tuple) and bool(x) and all(_ndim(batch) == ndim for batch in x)


def _ndim(x: Any) -> int:
    return x.ndim if hasattr(x, "ndim") else _depth(x)


def _depth(x: Any) -> int:
    return 1 + _depth(x[0]) if isinstance(x, list | tuple) and x else 0


def _table(x: Any, name: str, advice: str) -> np.ndarray:
    array = numeric_array(x, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        hint = f"; flatten each item with {name}.reshape(len({name}), -1)" if array.ndim > 2 else ""
        raise ShapeMismatchError(f"{name} must have shape (rows, latents), got {array.shape}{hint}.")
    if array.shape[1] == 0:
        raise ShapeMismatchError(f"{name} has no latents: its shape is {array.shape}.")
    if array.shape[0] == 0:
        raise NotEnoughSamplesError(f"{name} is empty (shape {array.shape}): at least one row is needed.")
    _check_finite(array, name, advice)
    return array


def encoder_outputs(mu: Any, log_var: Any, of: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Tables of equal shape of finite means and logarithms of variances whose deviations are numbers."""
    name, other = f"mu{of}", f"log_var{of}"
    means, log_variances = latent_table(mu, name), latent_table(log_var, other)
    if means.shape != log_variances.shape:
        raise ShapeMismatchError(
            f"{name} has shape {means.shape}, {other} has shape {log_variances.shape}: each row of the one belongs to "
            "the row of the other."
        )
    check_alike(mu, log_var, name, other)
    too_large = np.abs(log_variances) > LARGEST_LOG_VAR
    _refuse(log_variances, too_large, other, f"beyond +-{LARGEST_LOG_VAR:g}", _DIVERGED)
    return means, log_variances


def latent_names(x: Any, n_latents: int) -> tuple[str, ...]:
    """Names of the columns of a frame, or of the first in a list of them, else 0, 1, 2, ..."""
    pieces = _pieces(x)
    names = column_names(pieces[0][0]) if pieces else None
    return tuple(str(j) for j in range(n_latents)) if names is None else tuple(names)


def together_named(mine: tuple[str, ...], its: tuple[str, ...], name_mine: str, name_its: str) -> tuple[str, ...]:
    """Names of the same latents from two sources, of which either may have none."""
    check_same_names(list(mine), list(its), name_mine, name_its)
    return its if mine == latent_names(None, len(mine)) else mine


def _check_finite(array: np.ndarray, name: str, advice: str) -> None:
    if not np.isfinite(array).all():
        _refuse(array, np.isnan(array), name, "NaN", advice)
        _refuse(array, np.isinf(array), name, "infinite", advice)


def _refuse(array: np.ndarray, bad: np.ndarray, name: str, what: str, advice: str) -> None:
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidParameterError(
            f"{name} holds {int(bad.sum())} values that are {what}, the first in row {row}, latent {column}: "
            f"{array[row, column]:g}; {advice}"
        )
