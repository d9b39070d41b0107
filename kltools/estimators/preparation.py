"""Samples made fit for a model of their densities: of ordinary magnitude, without ties, and enough of them."""

import dataclasses

import numpy as np

from .._validation import check_enough_rows
from ..errors import InvalidParameterError, TiesWarning
from ..models.moments import Rows
from ..preprocessing import (
    Notes,
    column_exponents,
    count_shared_rows,
    deviations,
    spans_fewer_dimensions,
    without_outliers,
)
from ..repeats import distinct_rows, spread_lattices
from . import gaussian
from .problem import Problem, Result, in_other_planes, too_wild

ROWS_PER_FEATURE = 10
_FEWEST_ROWS = 50
_LARGEST_RATIO = 1e12  # of the spreads of a column


def rows_for_model(d: int) -> int:
    """Rows of each sample without which a model and its calibration are not worth much."""
    return max(_FEWEST_ROWS, ROWS_PER_FEATURE * d)


def prepared(problem: Problem) -> Problem:
    """Samples of ordinary magnitude without ties; a known q keeps the units of X."""
    rng = np.random.default_rng([problem.seed, 1])
    X, Y = problem.X, problem.Y
    if Y is not None:
        exponents = column_exponents(X, Y)
        X, Y = np.ldexp(X, -exponents), np.ldexp(Y, -exponents)
        order = _order_of_columns(X, Y)
        X, Y = X[:, order], Y[:, order]
        problem = dataclasses.replace(problem, notes=Notes(problem.notes.items, problem.notes.columns))
        problem.notes.select(order)
    X, Y = spread_lattices(X, Y, rng, problem.notes)
    X, n_shared = distinct_rows(X, rng), 0
    n_repeated = problem.n - len(X)
    if Y is not None:
        Y, n_given = distinct_rows(Y, rng), len(Y)
        n_repeated += n_given - len(Y)
        n_shared = count_shared_rows(X, Y)
    _tell_repeats(problem, n_repeated, n_shared)
    return dataclasses.replace(problem, X=X, Y=Y)


def _order_of_columns(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """An order that neither the order given nor units change: random draws go with the columns."""
    spreads = [deviations(Z).std(axis=0) for Z in (X, Y)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.argsort(spreads[0] / spreads[1], kind="stable")


def _tell_repeats(problem: Problem, n_repeated: int, n_shared: int) -> None:
    if n_repeated or n_shared:
        problem.notes.add(
            TiesWarning,
            f"{n_repeated} rows repeat within their sample, where each is taken once, and {n_shared} rows of X occur "
            "in Y: such samples are not independent draws of densities; rows that were copied should be removed.",
        )


def scales_apart(problem: Problem) -> list[int]:
    """Columns whose spreads in X and in Y no model, and no whitening, holds together."""
    if problem.Y is None:
        return []
    exponents = column_exponents(problem.X, problem.Y)
    reaches = [np.abs(deviations(np.ldexp(Z, -exponents))).max(axis=0) for Z in (problem.X, problem.Y)]
    return problem.notes.names(np.maximum(*reaches) > _LARGEST_RATIO * np.minimum(*reaches))


def samples_in_fewer_dimensions(problem: Problem) -> list[str]:
    """Names of samples to which no normal distribution can be fitted."""
    samples = (("X", problem.X), ("Y", problem.Y))
    return [name for name, Z in samples if Z is not None and gaussian.fit(Rows(Z).scaled(-column_exponents(Z))) is None]


def for_model(problem: Problem, method: str, needed: int) -> Problem | Result:
    """Prepared samples with at least the needed rows, or the answer where they have no densities."""
    _check_rows(problem, method, needed, "")
    if columns := scales_apart(problem):
        _check_wild_rows(problem)
        raise InvalidParameterError(
            f"columns {columns} spread {_LARGEST_RATIO:g} times as far in one sample as in the other: no model holds "
            "both; compare their units, or use method='knn'."
        )
    samples = prepared(problem)
    _check_rows(samples, method, needed, " that differ")
    for name in samples_in_fewer_dimensions(samples):
        Z = samples.X if name == "X" else samples.Y
        assert Z is not None
        if spans_fewer_dimensions(Z):
            return in_other_planes(problem, name)
        raise too_wild(name)
    return samples


def _check_wild_rows(problem: Problem) -> None:
    """Raise where a few rows of one sample alone set the scale of it apart."""
    assert problem.Y is not None
    without = {
        "X": dataclasses.replace(problem, X=without_outliers(problem.X)),
        "Y": dataclasses.replace(problem, Y=without_outliers(problem.Y)),
    }
    for name, calm in without.items():
        if not scales_apart(calm):
            raise too_wild(name)


def _check_rows(problem: Problem, method: str, needed: int, which: str) -> None:
    why = f"method={method!r} in {problem.d} features (method='knn' or 'gaussian' may do with fewer)"
    for name, Z in (("X", problem.X), ("Y", problem.Y)):
        if Z is not None:
            check_enough_rows(len(Z), name + which, needed, why)
