"""The door for what an encoder puts out: means and logarithms of variances, or codes, in any container."""

from typing import Any

import numpy as np

from ._arrays import column_names, frozen, numeric_array
from .errors import InvalidParameterError, NotEnoughSamplesError, ShapeMismatchError

LARGEST_LOG_VAR = 1400.0  # beyond, the deviation or its inverse is no number


def latent_table(x: Any, name: str) -> np.ndarray:
    """One row for each input, one column for each latent unit; from an array, or from a list of batches of them."""
    if isinstance(x, list | tuple) and x and all(_ndim(batch) == 2 for batch in x):
        batches = [_table(batch, f"{name}[{i}]") for i, batch in enumerate(x)]
        widths = sorted({batch.shape[1] for batch in batches})
        if len(widths) > 1:
            raise ShapeMismatchError(f"the batches of {name} have different numbers of latents: {widths}.")
        return frozen(np.concatenate(batches))
    return _table(x, name)


def _ndim(x: Any) -> int:
    return x.ndim if hasattr(x, "ndim") else _depth(x)


def _depth(x: Any) -> int:
    return 1 + _depth(x[0]) if isinstance(x, list | tuple) and x else 0


def _table(x: Any, name: str) -> np.ndarray:
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
    _check_finite(array, name)
    return array


def encoder_outputs(mu: Any, log_var: Any) -> tuple[np.ndarray, np.ndarray]:
    """Tables of equal shape of finite means and logarithms of variances whose deviations are numbers."""
    means, log_variances = latent_table(mu, "mu"), latent_table(log_var, "log_var")
    if means.shape != log_variances.shape:
        raise ShapeMismatchError(
            f"mu has shape {means.shape}, log_var has shape {log_variances.shape}: each row of the one belongs to the "
            "row of the other."
        )
    _refuse(log_variances, np.abs(log_variances) > LARGEST_LOG_VAR, "log_var", f"beyond +-{LARGEST_LOG_VAR:g}")
    return means, log_variances


def latent_names(x: Any, n_latents: int) -> tuple[str, ...]:
    """Names of the columns of a frame, else 0, 1, 2, ..."""
    names = column_names(x)
    return tuple(str(j) for j in range(n_latents)) if names is None else tuple(names)


def _check_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        _refuse(array, np.isnan(array), name, "NaN")
        _refuse(array, np.isinf(array), name, "infinite")


def _refuse(array: np.ndarray, bad: np.ndarray, name: str, what: str) -> None:
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidParameterError(
            f"{name} holds {int(bad.sum())} values that are {what}, the first in row {row}, latent {column}: "
            f"{array[row, column]:g}; the encoder has diverged there: find out why, or leave those rows out."
        )
