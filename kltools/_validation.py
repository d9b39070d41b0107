"""The door: everything that comes from a user is checked here, once (arrays are converted in `_arrays`).

Behind it, samples are two-dimensional C-contiguous read-only float64 arrays, so that a kernel sees a
single type, and arguments are what their names promise.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from ._arrays import column_names, frozen, is_frame, numeric_array
from .errors import (
    InvalidParameterError,
    InvalidTypeError,
    NotEnoughSamplesError,
    ShapeMismatchError,
)

UNITS = {"nats": 1.0, "bits": 1.0 / math.log(2.0)}
NAN_POLICIES = ("raise", "omit")
BIASES = ("unbiased", "mle")
COVARIANCES = ("empirical", "ledoit-wolf", "oas")
REFERENCES = ("auto", "gaussian", "mixture")
MIXTURE_COVARIANCES = ("auto", "full", "tied", "diag")
_FEWEST_SIMULATIONS = 3  # a line is fitted to what they give
BANDWIDTHS = ("silverman", "scott")
DEFAULT_NEIGHBORS = (5, 10, 20)
_DEFAULT_NEIGHBOR = 10
DEFAULT_MEMORY_LIMIT = 256 * 2**20
_SMALLEST_MEMORY_LIMIT = 2**20
_MOST_NEIGHBOR_NUMBERS = 1000


# ---------------------------------------------------------------- samples


def sample(x: Any, name: str, nan_policy: str | None = None, **listeners: Any) -> tuple[np.ndarray, int]:
    """A sample as an (n, d) array, and the number of rows dropped; 1-d input becomes one column.

    Here and below None is "raise" for a caller who cannot choose.
    """
    return _finite_rows(as_table(x, name, **listeners), name, nan_policy)


def as_table(x: Any, name: str, fewest_rows: int = 1, **listeners: Any) -> np.ndarray:
    """Numbers in rows and columns; a vector is one column."""
    array = numeric_array(x, name, **listeners)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        hint = f"; flatten each item with {name}.reshape(len({name}), -1)" if array.ndim > 2 else ""
        raise ShapeMismatchError(
            f"expected 2-D {name} of shape (rows, features), got {array.ndim}-D {array.shape}{hint}."
        )
    if array.shape[1] == 0:
        raise InvalidParameterError(f"{name} has 0 feature(s) (shape {array.shape}), at least 1 is needed.")
    if array.shape[0] < fewest_rows:
        raise NotEnoughSamplesError(f"{name} has 0 sample(s) (shape {array.shape}), at least 2 are needed.")
    return array


def _finite_rows(array: np.ndarray, name: str, nan_policy: str | None) -> tuple[np.ndarray, int]:
    if np.isfinite(array).all():
        return array, 0
    raise_for_faults([Faults.of(array)], name, nan_policy)
    rows = without_missing(array)
    return rows, len(array) - len(rows)


@dataclass(frozen=True)
class Faults:
    """How many infinite and NaN entries some rows have, where the first ones are, and how many rows have no NaN."""

    n_rows: int
    n_complete: int
    n_infinite: int = 0
    first_infinite: tuple[int, int] | None = None
    n_nan: int = 0
    first_nan: tuple[int, int] | None = None

    @classmethod
    def of(cls, array: np.ndarray) -> "Faults":
        if np.isfinite(array).all():
            return cls(len(array), len(array))
        found: list[Any] = []
        for bad in (np.isinf(array), np.isnan(array)):
            row, column = np.argwhere(bad)[0] if bad.any() else (0, 0)
            found += [int(bad.sum()), (int(row), int(column))]
        return cls(len(array), int((~np.isnan(array).any(axis=1)).sum()), *found)


def raise_for_faults(parts: Sequence[Faults], name: str, nan_policy: str | None) -> None:
    """Raise where parts of a sample, one after the other, have entries that no estimate can use."""
    firsts = list(itertools.accumulate((part.n_rows for part in parts), initial=0))
    for label, count, first in (("infinite values", "n_infinite", "first_infinite"), ("NaN", "n_nan", "first_nan")):
        counts = [getattr(part, count) for part in parts]
        if any(counts) and (label != "NaN" or nan_policy != "omit"):
            at = next(i for i, n in enumerate(counts) if n)
            row, column = getattr(parts[at], first)
            advice = " or pass nan_policy='omit'" if label == "NaN" and nan_policy is not None else ""
            raise InvalidParameterError(
                f"{name} contains {label}: {sum(counts)} in all, the first in row {firsts[at] + row}, column {column}; "
                f"remove those rows{advice}."
            )
    if not any(part.n_rows for part in parts):
        raise NotEnoughSamplesError(f"{name} has 0 sample(s), at least 2 are needed.")
    if not any(part.n_complete for part in parts):
        raise NotEnoughSamplesError(f"every row of {name} contains NaN: 0 rows left.")


def without_missing(array: np.ndarray) -> np.ndarray:
    """The rows without NaN."""
    return frozen(np.ascontiguousarray(array[~np.isnan(array).any(axis=1)]))


def sample_pair(x: Any, y: Any, nan_policy: str | None = None, **listeners: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Two samples with the same features, and the number of rows dropped in all."""
    check_same_columns(x, y)
    first, dropped_x = sample(x, "X", nan_policy, **listeners)
    second, dropped_y = sample(y, "Y", nan_policy, **listeners)
    if first.shape[1] != second.shape[1]:
        raise ShapeMismatchError(
            f"X has {first.shape[1]} features, Y has {second.shape[1]} (shapes {np.shape(x)} and {np.shape(y)})."
        )
    return first, second, dropped_x + dropped_y


def many_samples(x: Any, name: str, nan_policy: str | None = None, **listeners: Any) -> list[np.ndarray]:
    """Samples with the same features."""
    if isinstance(x, str | bytes | Mapping | set) or is_frame(x) or not hasattr(x, "__len__"):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass a list of arrays of shape (rows, features).")
    if hasattr(x, "get_group"):
        raise InvalidTypeError(f"{name} is a {type(x).__name__}; pass its groups: [rows for _, rows in groups].")
    if len(x) == 0:
        raise NotEnoughSamplesError(f"{name} is empty; pass a list of samples.")
    if getattr(x, "ndim", 3) < 3:
        raise ShapeMismatchError(
            f"{name} is one array of shape {tuple(x.shape)}; pass a list of arrays, or one of shape (samples, rows, "
            "features)."
        )
    names = [f"{name}[{i}]" for i in range(len(x))]
    arrays: list[np.ndarray] = []
    for part, label in zip(x, names, strict=True):
        check_same_names(column_names(x[0]), column_names(part), names[0], label)
        array, _ = sample(part, label, nan_policy, **listeners)
        if arrays and array.shape[1] != arrays[0].shape[1]:
            raise ShapeMismatchError(
                f"{label} has {array.shape[1]} features, {names[0]} has {arrays[0].shape[1]}; all need the same ones."
            )
        check_enough_rows(len(array), label, 2, "an estimate")
        arrays.append(array)
    return arrays


def paired_samples(
    x: Any, y: Any, nan_policy: str | None = None, **listeners: Any
) -> tuple[np.ndarray, np.ndarray, int]:
    """Two parts of the same rows, and the number of rows dropped: a NaN in one part drops the row of both."""
    first, second = as_table(x, "X", **listeners), as_table(y, "Y", **listeners)
    if len(first) != len(second):
        raise ShapeMismatchError(
            f"row i of X belongs to row i of Y, but X has {len(first)} rows and Y has {len(second)} "
            f"(shapes {np.shape(x)} and {np.shape(y)})."
        )
    for array, name in ((first, "X"), (second, "Y")):
        _finite_rows(array, name, nan_policy)
    rows, n_dropped = _finite_rows(np.hstack([first, second]), "the rows of X and Y together", nan_policy)
    parts = np.hsplit(rows, [first.shape[1]])
    return frozen(np.ascontiguousarray(parts[0])), frozen(np.ascontiguousarray(parts[1])), n_dropped


def check_same_columns(x: Any, y: Any, name_x: str = "X", name_y: str = "Y") -> None:
    """Raise where two frames name their columns differently."""
    check_same_names(column_names(x), column_names(y), name_x, name_y)


def check_same_names(names_x: list[str] | None, names_y: list[str] | None, x: str = "X", y: str = "Y") -> None:
    """Raise where names of columns differ; None, and 0, 1, 2, ... in this order, are no names."""
    if names_x is None or names_y is None or names_x == names_y:
        return
    nameless = [str(i) for i in range(len(names_x))]
    if sorted(names_x) == sorted(names_y) or nameless not in (names_x, names_y):
        raise ShapeMismatchError(
            f"the columns differ: {x} has {names_x}, {y} has {names_y}; select the same columns in the same order."
        )


def check_enough_rows(n: int, name: str, needed: int, why: str) -> None:
    if n < needed:
        raise NotEnoughSamplesError(f"{why} needs at least {needed} rows of {name}, got n_samples={n}.")


# ---------------------------------------------------------------- arguments


def integer(value: Any, name: str, minimum: int | None = None) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise InvalidTypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}.")
    if minimum is not None and value < minimum:
        raise InvalidParameterError(f"{name} must be >= {minimum}, got {value}.")
    return int(value)


def lengths(size: Any) -> tuple[int, ...]:
    """How many draws, along each axis."""
    parts = size if isinstance(size, tuple) else (size,)
    if not all(isinstance(part, Integral) and not isinstance(part, bool | np.bool_) for part in parts):
        raise InvalidTypeError(f"size must be an int or a tuple of ints, got {size!r} of type {type(size).__name__}.")
    return tuple(integer(part, "size", minimum=0) for part in parts)


def _number(value: Any, name: str, wanted: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise InvalidTypeError(f"{name} must be {wanted}, got {value!r} of type {type(value).__name__}.")
    return float(value)


def positive(value: Any, name: str) -> float:
    """A finite number > 0."""
    number = _number(value, name, "a number")
    if not 0.0 < number < math.inf:
        raise InvalidParameterError(f"{name} must be > 0 and finite, got {value!r}.")
    return number


def weights(value: Any, n: int = 2) -> tuple[float, ...]:
    """Weights of distributions in their mixture; None are equal ones."""
    array = np.full(n, 1.0 / n) if value is None else numeric_array(value, "weights")
    if array.shape != (n,):
        wanted = "two numbers, one for P and one for Q" if n == 2 else f"{n} numbers, one for each distribution"
        raise ShapeMismatchError(f"weights must be {wanted}, got shape {array.shape}.")
    if not ((array > 0.0).all() and abs(float(array.sum()) - 1.0) <= 1e-6):
        raise InvalidParameterError(f"weights must be > 0 and sum to 1 (to 1e-6), got {array.tolist()}.")
    return tuple(float(weight) for weight in array)


def choice(value: Any, name: str, allowed: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        listing = ", ".join(repr(a) for a in allowed)
        raise InvalidParameterError(f"{name} must be one of {listing}, got {value!r}.")
    return value


def unit_factor(unit: Any) -> float:
    """What a number of nats is multiplied by."""
    return UNITS[choice(unit, "unit", tuple(UNITS))]


def neighbors(value: Any) -> tuple[int, ...] | None:
    """The numbers of neighbours asked for, ascending; None stays None."""
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray) or np.ndim(value) == 0:
        values = [value]
    elif len(value) > _MOST_NEIGHBOR_NUMBERS:
        raise InvalidParameterError(f"n_neighbors has {len(value)} entries; a few are enough.")
    else:
        values = list(value)
    ks = sorted({integer(k, "n_neighbors", minimum=1) for k in values})
    if not ks:
        raise InvalidParameterError("n_neighbors is empty; pass an int or several.")
    return tuple(ks)


def neighbors_within(value: Any, n: int | None, m: int | None) -> tuple[int, ...]:
    """Numbers of neighbours that n rows of X and m rows of Y have: a default is cut, a wish is not.

    None stands for a sample that does not limit them.
    """
    ks = neighbors(value)
    limits = [limit for limit in (n and n - 1, m) if limit is not None]
    if ks is None:
        return tuple(sorted({min(k, *limits) for k in DEFAULT_NEIGHBORS}))
    if n is not None and ks[-1] > n - 1:
        check_enough_rows(n, "X", ks[-1] + 1, f"n_neighbors={ks[-1]}")
    if m is not None and ks[-1] > m:
        check_enough_rows(m, "Y", ks[-1], f"n_neighbors={ks[-1]}")
    return ks


def one_number_of_neighbors(value: Any, n: int | None, m: int | None) -> int:
    """A single number of neighbours, by default 10, for a method that does not average over several."""
    if value is None:
        return min(limit for limit in (_DEFAULT_NEIGHBOR, n and n - 1, m) if limit is not None)
    ks = neighbors_within(value, n, m)
    if len(ks) != 1:
        raise InvalidParameterError(f"n_neighbors must be one number for this method, got {list(ks)}.")
    return ks[0]


def check_n_jobs(n_jobs: Any) -> int | None:
    if n_jobs is None:
        return None
    if integer(n_jobs, "n_jobs") == 0:
        raise InvalidParameterError("n_jobs=0 has no meaning; use None or 1 for one thread, -1 for all cores.")
    return int(n_jobs)


def check_memory_limit(memory_limit: Any) -> int:
    """Bytes; None is the default."""
    if memory_limit is None:
        return DEFAULT_MEMORY_LIMIT
    return integer(memory_limit, "memory_limit", minimum=_SMALLEST_MEMORY_LIMIT)


def confidence_level(value: Any) -> float:
    level = _number(value, "confidence_level", "a number")
    if not 0.0 < level < 1.0:
        hint = f"; did you mean {level / 100:g}?" if 1.0 < level < 100.0 else "."
        raise InvalidParameterError(f"confidence_level must lie in (0, 1), got {value!r}{hint}")
    return level


def test_level(value: Any) -> float:
    """The probability alpha of a false alarm."""
    level = _number(value, "alpha", "a number")
    if not 0.0 < level < 1.0:
        raise InvalidParameterError(f"alpha must lie in (0, 1), got {value!r}; it is the share of false alarms.")
    return level


def n_simulations(value: Any) -> int | None:
    """How many pairs of samples are simulated; None stays None."""
    return None if value is None else integer(value, "n_simulations", minimum=_FEWEST_SIMULATIONS)


def gaussian_options(bias: Any, covariance: Any) -> None:
    """What is made of the moments of normal distributions."""
    choice(bias, "bias", BIASES)
    choice(covariance, "covariance", COVARIANCES)
    if covariance != "empirical" and bias != "mle":
        raise InvalidParameterError(
            f"covariance={covariance!r} has a bias that nobody knows, so that bias={bias!r} is out of reach; pass "
            "bias='mle' with it."
        )


def bandwidth(value: Any) -> str | float:
    """The name of a rule, or a width in standard deviations."""
    if isinstance(value, str):
        return choice(value, "bandwidth", BANDWIDTHS)
    width = _number(value, "bandwidth", "'silverman', 'scott' or a number")
    if not 1e-6 <= width <= 1e6:
        raise InvalidParameterError(f"bandwidth must lie in [1e-6, 1e6] standard deviations, got {value!r}.")
    return width


def relative_share(value: Any) -> float:
    """The share alpha of P in the mixture that P is compared with."""
    alpha = _number(value, "alpha", "a number")
    if not 0.0 <= alpha < 1.0:
        raise InvalidParameterError(f"alpha must lie in [0, 1), got {value!r}; 0 is the plain ratio p / q.")
    return alpha


def generator(random_state: Any) -> np.random.Generator:
    """The random generator meant by `random_state`."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31, size=8))
    if random_state is not None:
        seeds = np.atleast_1d(np.asarray(random_state, dtype=object))
        for seed in [random_state] if seeds.ndim > 1 else seeds:
            integer(seed, "random_state", minimum=0)
    return np.random.default_rng(random_state)


def repeated_seed(random_state: Any) -> int:
    """What several calls are to be given, so that each begins with the same random numbers: a number is itself."""
    rng = generator(random_state)
    return int(random_state) if isinstance(random_state, Integral) else int(rng.integers(2**63))


def first_index(bad: np.ndarray, first: int) -> tuple[Any, int]:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return (first + index[0] if len(index) == 1 else index), int(bad.sum())
