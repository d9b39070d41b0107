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
    """Where a parameter may lie: in words, and as a test of finite arrays.

    Numbers lie between `low` and `high`, included or not; `contains` says what else must hold.
    """

    requirement: str
    event_ndim: int = 0
    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False
    contains: Callable[[np.ndarray], bool] = lambda array: True

    def holds(self, array: np.ndarray) -> bool:
        """Whether all of an array lies in it."""
        return not array.size or (self.bounds(*extremes(array)) and self.contains(array))

    def bounds(self, least: float, largest: float) -> bool:
        """Whether numbers from the least to the largest are finite, and neither too small nor too large."""
        if self.is_open:
            return self.low < least and largest < self.high
        return -math.inf < least >= self.low and math.inf > largest <= self.high


def extremes(array: np.ndarray) -> tuple[float, float]:
    """The least and the largest number; nan is both of anything it is among."""
    with np.errstate(invalid="ignore"):
        return float(array.min()), float(array.max())


def _is_simplex(probs: np.ndarray) -> bool:
    return bool((np.abs(probs.sum(axis=-1) - 1.0) <= 1e-6).all())


def _is_direction(vectors: np.ndarray) -> bool:
    return bool((np.abs((vectors * vectors).sum(axis=-1) - 1.0) <= 2e-6).all())


def _is_symmetric(matrix: np.ndarray) -> bool:
    if matrix.shape[-1] != matrix.shape[-2]:
        return False
    return bool(_agrees_with_mirror(matrix).all())


def _agrees_with_mirror(matrix: np.ndarray) -> np.ndarray:
    variance = np.abs(np.diagonal(matrix, axis1=-2, axis2=-1))
    scale = np.sqrt(variance[..., :, None]) * np.sqrt(variance[..., None, :])
    return np.abs(matrix - np.swapaxes(matrix, -1, -2)) <= 1e-9 * scale


DOMAINS = {
    "real": Domain("be finite"),
    "positive": Domain("be > 0", low=0.0, is_open=True),
    "nonnegative": Domain("be >= 0", low=0.0),
    "probability": Domain("be between 0 and 1", low=0.0, high=1.0),
    "open probability": Domain("lie between 0 and 1, both excluded", low=0.0, high=1.0, is_open=True),
    "count": Domain("be whole numbers >= 0", low=0.0, contains=lambda a: bool((a == np.floor(a)).all())),
    "direction": Domain("be unit vectors (to 1e-6)", 1, contains=_is_direction),
    "probabilities": Domain("be >= 0 and sum to 1 (to 1e-6) along the last axis", 1, low=0.0, contains=_is_simplex),
    "symmetric": Domain("be a symmetric square matrix (or a batch of them)", 2, contains=_is_symmetric),
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


def declaration(cls: type, parameter: str) -> tuple[str, int]:
    """Domain of a parameter, and its trailing axes that belong to one distribution."""
    return _declarations(cls)[parameter]


@functools.cache
def _declarations(cls: Any) -> dict[str, tuple[str, int]]:
    return {f.name: (f.metadata["domain"], f.metadata["event_ndim"]) for f in dataclasses.fields(cls)}


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
    if DOMAINS[domain].holds(array):
        return
    if not is_finite(array):
        raise InvalidParameterError(f"{name} must be finite, {_describe_infinite(array)}.")
    raise InvalidParameterError(f"{name} must {DOMAINS[domain].requirement}, {_describe_offence(array, domain)}.")


def is_finite(array: np.ndarray) -> bool:
    """Without an array of booleans."""
    return not array.size or DOMAINS["real"].bounds(*extremes(array))


def _describe_infinite(array: np.ndarray) -> str:
    if array.ndim == 0:
        return f"got {array.item()!r}"
    bad = ~np.isfinite(array)
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"got {int(bad.sum())} values that are not finite, the first at {list(index)}: {array[index]!s}"


def _describe_offence(array: np.ndarray, domain: str) -> str:
    n_axes = DOMAINS[domain].event_ndim
    if array.size == 1 and n_axes < 2:
        return f"got {array.item()!r}"
    split = array.ndim - n_axes
    index = _first_offence(array.reshape((-1, *array.shape[split:])), domain)
    position = [int(i) for i in np.unravel_index(index, array.shape[:split])]
    where = f"the first offence at {position}: " if split else ""
    event = array[tuple(position)]
    if n_axes == 0:
        return f"got values from {array.min():g} to {array.max():g} in shape {array.shape}, {where}{event:g}"
    if domain == "symmetric":
        return f"got shape {array.shape}, {where}{_asymmetry(event)}"
    described = f"got values from {array.min():g} to {array.max():g} in shape {array.shape}"
    if domain == "direction":
        return f"{described}, {where}length {np.linalg.norm(event):g}"
    if (array < 0).any():
        return f"{described}; of logarithms of probabilities make a Categorical.from_logits"
    sums = array.sum(axis=-1)
    described += f" with sums from {sums.min():g} to {sums.max():g}" + (f", {where}{event.sum():g}" if where else "")
    return f"{described}; divide by the sum, as Categorical.from_counts"


def _first_offence(events: np.ndarray, domain: str) -> int:
    """Index of the first event outside a domain, by bisection."""
    low, high = 0, len(events)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if DOMAINS[domain].holds(events[low:middle]) else (low, middle)
    return low


def _asymmetry(matrix: np.ndarray) -> str:
    """What keeps a matrix from being symmetric, in words."""
    n_rows, n_columns = matrix.shape
    if n_rows != n_columns:
        return f"{n_rows} rows and {n_columns} columns are not square"
    i, j = np.argwhere(~_agrees_with_mirror(matrix))[0]
    return f"entry [{i}, {j}] is {matrix[i, j]!s}, [{j}, {i}] is {matrix[j, i]!s}"
