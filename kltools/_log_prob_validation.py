"""The door for log-densities: their values, masks and groups."""

from typing import Any

import numpy as np

from ._arrays import host_array, numeric_array
from ._validation import first_index
from .errors import InvalidParameterError, InvalidTypeError, ShapeMismatchError

LARGEST_LOG_DENSITY = 1e300  # differences and sums of larger ones overflow


def log_densities(x: Any, name: str, shape: tuple[int, ...] | None = None, **listeners: Any) -> np.ndarray:
    """Logarithms of densities of one draw each, below inf and without nan; a `shape` must be met exactly."""
    array = numeric_array(x, name, **listeners)
    if shape is not None and array.shape != shape:
        raise ShapeMismatchError(
            f"{name} has shape {array.shape}, {shape} is needed: one number for each draw (nothing is broadcast)."
        )
    return array


def check_log_densities(values: np.ndarray, name: str, counted: np.ndarray | None = None, first: int = 0) -> None:
    """Raise for nan, inf and absurd sizes among the counted values, with the index of the first one."""
    bad = ~(values < LARGEST_LOG_DENSITY) | ((values < -LARGEST_LOG_DENSITY) & ~np.isneginf(values))
    if counted is not None:
        bad &= counted
    if bad.any():
        index, count = first_index(bad, first)
        raise InvalidParameterError(
            f"{name} holds {count} values that are no log-densities (nan, inf, or beyond {LARGEST_LOG_DENSITY:g}), "
            f"the first at index {index}: {values[bad][0]}; leave those draws out, or find out why."
        )


def check_within_support(log_p: np.ndarray, counted: np.ndarray | None = None, first: int = 0) -> None:
    """Raise where p has no mass at a draw from it."""
    outside = np.isneginf(log_p)
    if counted is not None:
        outside &= counted
    if outside.any():
        index, count = first_index(outside, first)
        raise InvalidParameterError(
            f"log_p is -inf at {count} draws, the first at index {index}: p has no mass there, so x was not drawn "
            "from p. Draws of another law need log_weights = log_p - log of that law's density."
        )


def mask(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """True where an entry counts, as a boolean array of that shape; 0 and 1 serve as well."""
    array = host_array(value, "mask")
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise InvalidTypeError(
            f"mask must hold True and False (or 1 and 0), got dtype {array.dtype} with other values."
        )
    if array.shape != shape:
        raise ShapeMismatchError(f"mask has shape {array.shape}, log_p has shape {shape}.")
    return array.astype(bool)


def group_labels(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A number 0, 1, ... for every entry of that shape, equal for entries of one group; or one for each row."""
    labels = np.asarray(value) if isinstance(value, list | tuple | np.ndarray) else host_array(value, "groups")
    if labels.dtype.kind not in "iubfSUT" or (labels.dtype.kind == "f" and np.isnan(labels).any()):
        raise InvalidTypeError(f"groups must hold labels (numbers or text, not nan), got dtype {labels.dtype}.")
    if labels.shape != shape and not (len(shape) == 2 and labels.shape == shape[:1]):
        raise ShapeMismatchError(f"groups has shape {labels.shape}, log_p has shape {shape}: one label for each entry.")
    numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    return numbers if labels.shape == shape else np.broadcast_to(numbers[:, None], shape)
