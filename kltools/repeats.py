"""Values that repeat, undone for density models: lattice columns spread over their cells, equal rows taken once."""

from __future__ import annotations

import numpy as np

from ._arrays import frozen
from .errors import TiesWarning
from .preprocessing import Notes, column_exponents, count_repeated_rows, count_shared_rows, deviations

_DISTINCT_SHARE = 0.5  # of the values: a column with fewer different ones may be a lattice
_SMALLEST_GAP = 1e-9  # relative to the range: less is rounding
_OFF_LATTICE = 1e-3
_FEWEST_VALUES = 10  # of a lattice that stands for a density
_FEWEST_OF_ATOM, _SHARE_OF_ATOM = 5, 0.01


def lattice_steps(X: np.ndarray, Y: np.ndarray | None) -> np.ndarray:
    """For each column the step of the lattice on which all values lie, 0 for a column that has none."""
    together = X if Y is None else np.concatenate([X, Y])
    exponents = column_exponents(together)
    return np.ldexp([_step(column) for column in np.ldexp(together, -exponents).T], exponents)


def _step(values: np.ndarray) -> float:
    distinct = np.unique(values)
    if not 1 < len(distinct) < _DISTINCT_SHARE * len(values):
        return 0.0
    gaps = np.diff(distinct)
    gaps = gaps[gaps > _SMALLEST_GAP * (distinct[-1] - distinct[0])]
    step = float(gaps.min())
    multiples = gaps / step
    return step if (np.abs(multiples - np.round(multiples)) < _OFF_LATTICE * multiples).all() else 0.0


def spread_rounded(
    X: np.ndarray, Y: np.ndarray | None, seed: int, notes: Notes, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Spread lattice columns, but not those of few values, which are discrete; `among` chooses columns.

    The noise does not depend on the order of the columns.
    """
    together = X if Y is None else np.concatenate([X, Y])
    in_order = np.sort(together, axis=0)
    few = (in_order[1:] != in_order[:-1]).sum(axis=0) + 1 < _FEWEST_VALUES
    chosen = ~few if among is None else among & ~few
    steps = np.where(chosen, lattice_steps(X, Y), 0.0)
    if not steps.any():
        return X, Y
    order = np.array(sorted(range(X.shape[1]), key=lambda j: in_order[:, j].tobytes()))
    back = np.argsort(order)
    rng = np.random.default_rng([seed, 1])
    x, y = _spread(X[:, order], None if Y is None else Y[:, order], steps[order], rng)
    notes.add(
        TiesWarning,
        f"columns {notes.names(steps > 0.0)} lie on a lattice (rounded or discrete values): they are spread over its "
        "cells by uniform noise of one step, drawn with random_state; the estimate is that of the cells.",
    )
    return frozen(np.ascontiguousarray(x[:, back])), None if y is None else frozen(np.ascontiguousarray(y[:, back]))


def spread_lattices(
    X: np.ndarray, Y: np.ndarray | None, rng: np.random.Generator, notes: Notes
) -> tuple[np.ndarray, np.ndarray | None]:
    """Add uniform noise of one step to lattice columns: the divergence of the cells is that of the rows, exactly."""
    steps = lattice_steps(X, Y)
    if not steps.any():
        return X, Y
    notes.add(
        TiesWarning,
        f"columns {notes.names(steps > 0.0)} lie on a lattice (rounded or discrete values): they are spread over its "
        "cells by uniform noise of one step, drawn with random_state, which changes no divergence.",
    )
    return _spread(X, Y, steps, rng)


def _spread(
    X: np.ndarray, Y: np.ndarray | None, steps: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    x = _in_order(X) + rng.uniform(-0.5, 0.5, X.shape) * steps
    return x, None if Y is None else _in_order(Y) + rng.uniform(-0.5, 0.5, Y.shape) * steps


def _in_order(X: np.ndarray) -> np.ndarray:
    """The rows sorted, so that which noise a row gets does not depend on the order given."""
    return X[np.lexsort(X.T)]


def tell_repeats(X: np.ndarray, Y: np.ndarray | None, notes: Notes) -> None:
    """Note rows that occur again in their sample, or in the other one, where a method counts all of them.

    Not where all columns are lattices, on which rows meet by chance.
    """
    n_repeated = sum(count_repeated_rows(Z) for Z in (X, Y) if Z is not None)
    if n_repeated and not lattice_steps(X, Y).all():
        notes.add(
            TiesWarning,
            f"{n_repeated} rows repeat within their sample: if they were copied they are no draws, and the "
            "standard error is too small; remove copies.",
        )
    if Y is not None:
        tell_shared_rows(X, Y, notes)


def tell_shared_rows(X: np.ndarray, Y: np.ndarray, notes: Notes) -> None:
    """Note rows that both samples have, unless all columns are lattices."""
    n_shared = count_shared_rows(X, Y)
    if n_shared and not lattice_steps(X, Y).all():
        notes.add(
            TiesWarning,
            f"{n_shared} rows of X occur also in Y: the samples are not independent, and the standard error is wrong.",
        )


def has_atoms(X: np.ndarray, Y: np.ndarray | None) -> bool:
    """Whether a row comes back so often that it is a part of the distribution, and the columns are no lattices."""
    if lattice_steps(X, Y).any():
        return False
    samples = (X,) if Y is None else (X, Y)
    return any(_largest_count(Z) > max(_FEWEST_OF_ATOM, _SHARE_OF_ATOM * len(Z)) for Z in samples)


def _largest_count(X: np.ndarray) -> int:
    return int(np.unique(X, axis=0, return_counts=True)[1].max())


def distinct_rows(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each different row once, in a random order that depends neither on the order given nor on units."""
    distinct = np.unique(X, axis=0)
    deviation = deviations(np.ldexp(distinct, -column_exponents(distinct)))
    spread = deviation.std(axis=0)
    places = (deviation / np.where(spread > 0.0, spread, 1.0)).sum(axis=1)
    return distinct[np.argsort(places, kind="stable")][rng.permutation(len(distinct))]
