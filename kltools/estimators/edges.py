"""Sharp edges of P inside the mass of Q: rows of Y beyond them are counted, and only the others compared.

For a set A that holds all of P, KL(P || Q) = -log Q(A) + KL(P || Q given A). No smooth density shows what Q loses at
an edge of A, and the share of Y within does.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..errors import UnreliableEstimateWarning
from .problem import Problem

_NEAR, _FAR = 50, 12  # one row of X in so many, counted from its end: where both are as dense there is an edge
_FEWEST_NEAR = 20
_LARGEST_RATIO = 0.33  # of the distances to them: 1/4 at an edge, 1/2 where a density grows from 0, 0.6 in normal tails
_FEWEST_BEYOND, _SHARE_BEYOND = 10, 0.02


@dataclass(frozen=True)
class Edges:
    """The samples with Y within the edges of P, the share of Y there, and -log of it with its standard error."""

    samples: Problem
    share: float = 1.0
    value: float = 0.0
    standard_error: float = 0.0
    reasons: tuple[str, ...] = ()


def cut_at_edges(problem: Problem, needed: int) -> Edges:
    """Leave out the rows of Y that lie beyond edges of X; where fewer than `needed` would be left, only tell so."""
    X, Y = problem.X, problem.Y
    assert Y is not None
    inside = np.ones(len(Y), dtype=bool)
    for j in range(problem.d):
        for x, y in ((X[:, j], Y[:, j]), (-X[:, j], -Y[:, j])):
            beyond = y < x.min()
            if beyond.sum() >= max(_FEWEST_BEYOND, _SHARE_BEYOND * len(y)) and _has_edge(x):
                inside &= ~beyond
    m, n_inside = len(Y), int(inside.sum())
    if n_inside == m:
        return Edges(problem)
    if n_inside < needed:
        text = (
            f"X ends sharply inside Y, of which {n_inside} rows lie within the same bounds, too few to be compared by "
            "themselves: the divergence is larger than a smooth model tells."
        )
        problem.notes.add(UnreliableEstimateWarning, text)
        return Edges(problem, reasons=(text,))
    share = n_inside / m
    standard_error = math.sqrt((1.0 - share) / n_inside)
    return Edges(dataclasses.replace(problem, Y=Y[inside]), share, -math.log(share), standard_error)


def _has_edge(x: np.ndarray) -> bool:
    """Whether values start at once: as densely as they go on."""
    near = max(_FEWEST_NEAR, len(x) // _NEAR)
    far = near * _NEAR // _FAR
    if far >= len(x):
        return False
    least, first, second = np.partition(x, (0, near, far))[[0, near, far]]
    return bool(first - least < _LARGEST_RATIO * (second - least))
