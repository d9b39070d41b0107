"""Checks of counts and labels that come from users."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _validation
from ._arrays import is_text, label_array, numeric_array
from .errors import InvalidParameterError, InvalidTypeError, NotEnoughSamplesError, ShapeMismatchError

_LARGEST_COUNT = 2.0**53  # beyond, float64 has gaps


def counts(x: Any, name: str, n_axes: int = 1, names: list | None = None, **listeners: Any) -> np.ndarray:
    """Numbers of observations in each cell of a vector, or of a table: whole numbers >= 0 that are not all 0."""
    array = numeric_array(x, name, **listeners)
    if array.ndim != n_axes:
        wanted = "a vector, one count for each category" if n_axes == 1 else "a table of shape (rows, columns)"
        hint = ""
        if n_axes == 1 and array.ndim == 2:
            hint = "; take the column" if array.shape[1] == 1 else "; call once for each row"
        raise ShapeMismatchError(f"{name} must be {wanted}, got shape {array.shape}{hint}.")
    if array.size == 0:
        raise NotEnoughSamplesError(f"{name} is empty (shape {array.shape}): at least one category is needed.")
    bad = ~((array >= 0.0) & (array <= _LARGEST_COUNT) & (array == np.floor(array)))
    if bad.any():
        index, count = _validation.first_index(bad, 0)
        where = f"at index {index}" if names is None else f"that of {names[index]!r}"
        raise InvalidParameterError(
            f"{name} must be whole numbers from 0 to 2**53, got {count} others, the first {where}: "
            f"{array[bad][0]:g}; probabilities make a Categorical, for kl_divergence."
        )
    if not array.any():
        raise NotEnoughSamplesError(f"{name} are all 0: at least one observation is needed.")
    return array


def count_pair(p: Any, q: Any, **listeners: Any) -> tuple[np.ndarray, np.ndarray, list | None]:
    """Counts of two samples in the same categories, with the names of these where both tell them."""
    if isinstance(p, Mapping) != isinstance(q, Mapping):
        by_name, other = ("counts_p", "counts_q") if isinstance(p, Mapping) else ("counts_q", "counts_p")
        raise InvalidTypeError(
            f"{by_name} is a dict of counts by name, {other} is a {type(q if by_name == 'counts_p' else p).__name__}: "
            "both must name their categories, or none."
        )
    if isinstance(p, Mapping):
        keys = list(dict.fromkeys([*p, *q]))
        first, second = (_counts_by_name(x, name, keys, listeners) for x, name in ((p, "counts_p"), (q, "counts_q")))
        return first, second, keys
    names = _names_in_common(p, q)
    first, second = counts(p, "counts_p", **listeners), counts(q, "counts_q", **listeners)
    if len(first) != len(second):
        raise ShapeMismatchError(
            f"counts_p has {len(first)} categories, counts_q has {len(second)}: both need one count for each category, "
            "0 where it was not seen."
        )
    return first, second, names


def _counts_by_name(x: Mapping, name: str, names: list, listeners: dict[str, Any]) -> np.ndarray:
    if x:
        counts(list(x.values()), name, names=list(x), **listeners)
    return counts([x.get(key, 0) for key in names], name, names=names, **listeners)


def _names_in_common(p: Any, q: Any) -> list | None:
    """Names that an index gives to the categories; None where that only numbers them."""
    indices = [getattr(x, "index", None) if type(x).__module__.startswith("pandas") else None for x in (p, q)]
    if any(index is None for index in indices):
        return None
    first, second = (list(index) for index in indices)  # type: ignore[arg-type]
    if first != second:
        raise ShapeMismatchError(
            "the labels of counts_p and counts_q differ, or stand in another order; put both into one order "
            "(with reindex), pass dicts (with to_dict), or the labels themselves to estimate_kl_from_labels."
        )
    return None if first == list(range(len(first))) else first


def label_pair(p: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels of two samples, of one kind."""
    first, second = label_array(p, "labels_p"), label_array(q, "labels_q")
    check_one_kind({is_text(first)}, {is_text(second)})
    return first, second


def check_one_kind(p: set[bool], q: set[bool]) -> None:
    """Raise where labels, of which parts are text or not, are not all of one kind."""
    if len(p | q) > 1:
        kinds = (" and ".join("text" if text else "numbers" for text in sorted(found)) for found in (p, q))
        raise InvalidTypeError(
            f"labels_p and labels_q must both be numbers or both be text, got {' and '.join(kinds)}; use str on each."
        )
