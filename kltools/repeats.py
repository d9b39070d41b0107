"""Values that repeat, undone for density models: lattice columns spread over their cells, equal rows taken once."""

from __future__ import annotations

import numpy as np

from .errors import TiesWarning
from .preprocessing import Notes, column_exponents, deviations

_DISTINCT_SHARE = 0.5  # of the values: a column with fewer different ones may be a lattice
_SMALLEST_GAP = 1e-9  # relative to the range: less is rounding
_OFF_LATTICE = 1e-3
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
    x = _in_order(X) + rng.uniform(-0.5, 0.5, X.shape) * steps
    return x, None if Y is None else _in_order(Y) + rng.uniform(-0.5, 0.5, Y.shape) * steps


def _in_order(X: np.ndarray) -> np.ndarray:
    """The rows sorted, so that which noise a row gets does not depend on the order given."""
    return X[np.lexsort(X.T)]


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
