"""Parameters of families: each declares its domain once, for validation, documentation and tests."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InvalidParameterError, ShapeMismatchError


@dataclasses.dataclass(frozen=True)
class Domain:
    """Where a parameter may lie: in words, and as a test of finite arrays."""

    requirement: str
    event_ndim: int
    contains: Callable[[np.ndarray], bool]


def _is_simplex(probs: np.ndarray) -> bool:
    total = probs.sum(axis=-1)
    return bool((probs >= 0).all() and (np.abs(total - 1.0) <= 1e-6).all())


def _is_direction(vectors: np.ndarray) -> bool:
    return bool((np.abs((vectors * vectors).sum(axis=-1) - 1.0) <= 2e-6).all())


def _is_symmetric(matrix: np.ndarray) -> bool:
    if matrix.shape[-1] != matrix.shape[-2]:
        return False
    variance = np.abs(np.diagonal(matrix, axis1=-2, axis2=-1))
    scale = np.sqrt(variance[..., :, None]) * np.sqrt(variance[..., None, :])
    return bool((np.abs(matrix - np.swapaxes(matrix, -1, -2)) <= 1e-9 * scale).all())


DOMAINS = {
    "real": Domain("be finite", 0, lambda a: True),
    "positive": Domain("be > 0", 0, lambda a: bool(a.min(initial=math.inf) > 0)),
    "nonnegative": Domain("be >= 0", 0, lambda a: bool(a.min(initial=math.inf) >= 0)),
    "probability": Domain("be between 0 and 1", 0, lambda a: bool(((a >= 0) & (a <= 1)).all())),
    "open probability": Domain("lie between 0 and 1, both excluded", 0, lambda a: bool(((a > 0) & (a < 1)).all())),
    "count": Domain("be whole numbers >= 0", 0, lambda a: bool(((a >= 0) & (a == np.floor(a))).all())),
    "direction": Domain("be unit vectors (to 1e-6)", 1, _is_direction),
    "probabilities": Domain("be >= 0 and sum to 1 (to 1e-6) along the last axis", 1, _is_simplex),
    "symmetric": Domain("be a symmetric square matrix (or a batch of them)", 2, _is_symmetric),
}


def param(domain: str, *, event_ndim: int = 0) -> Any:
    """Declare a parameter of a family: its domain, and how many trailing axes one event takes.

    Parameters
    ----------
    domain : str
        "real", "positive", "nonnegative", "probability", "open probability", "count", "direction",
        "probabilities" or "symmetric".
    event_ndim : int
        Axes of the parameter that belong to one distribution: 0 for a scalar, 1 for a vector.

    Returns
    -------
    dataclasses.Field

    Examples
    --------
    >>> from kltools import Distribution, family, param
    >>> @family
    ... class Exponential(Distribution):
    ...     rate: float = param("positive")
    >>> Exponential(rate=2.0)
    Exponential(rate=2.0)
    """
    if domain not in DOMAINS:
        raise InvalidParameterError(f"domain must be one of {', '.join(DOMAINS)}, got {domain!r}.")
    return dataclasses.field(metadata={"domain": domain, "event_ndim": event_ndim or DOMAINS[domain].event_ndim})


@functools.cache
def declaration(cls: type, parameter: str) -> tuple[str, int]:
    """Domain of a parameter, and its trailing axes that belong to one distribution."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    return fields[parameter].metadata["domain"], fields[parameter].metadata["event_ndim"]


def event_ndim(cls: type, parameter: str) -> int:
    """Trailing axes of a parameter that belong to one distribution."""
    return declaration(cls, parameter)[1]


def check_axes(array: np.ndarray, n_axes: int, name: str) -> None:
    """Raise where an array has fewer axes than one event, or an event without entries."""
    if array.ndim < n_axes:
        raise ShapeMismatchError(f"{name} needs at least {n_axes} dimension(s), got shape {array.shape}.")
    if 0 in array.shape[array.ndim - n_axes :]:
        raise ShapeMismatchError(f"{name} is empty (shape {array.shape}).")


def check_domain(array: np.ndarray, domain: str, name: str) -> None:
    """Raise where an array is not finite or leaves a domain."""
    if not is_finite(array) or not DOMAINS[domain].contains(array):
        raise InvalidParameterError(f"{name} must {DOMAINS[domain].requirement}, {_describe_offence(array, domain)}.")


def is_finite(array: np.ndarray) -> bool:
    """Without an array of booleans: nan is the least and the largest of anything it is among."""
    with np.errstate(invalid="ignore"):
        return bool(-math.inf < array.min(initial=0.0) and array.max(initial=0.0) < math.inf)


def _describe_offence(array: np.ndarray, domain: str) -> str:
    if array.size == 1:
        return f"got {array.item()!r}"
    if not np.isfinite(array).all():
        return f"got {int((~np.isfinite(array)).sum())} values that are not finite"
    described = f"got values from {array.min():g} to {array.max():g} in shape {array.shape}"
    if domain != "probabilities":
        return described
    if (array < 0).any():
        return f"{described}; of logarithms of probabilities make a Categorical.from_logits"
    sums = array.sum(axis=-1)
    return f"{described} with sums from {sums.min():g} to {sums.max():g}; divide by the sum, as Categorical.from_counts"
