"""Distances to chosen neighbours of all rows, found part by part, and which of them tie."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .._arrays import frozen
from .._jit import run_rows
from .._validation import DEFAULT_MEMORY_LIMIT
from . import Reference, references
from .reductions import choose_kernel

_FEWEST_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Neighborhood:
    """Distances to the neighbours of the asked numbers, shape (len(ks), n), and which of them tie.

    A distance ties where it is 0 or, to the rounding of a lattice, also that of the next neighbour.
    ``at_zero`` are the queries that coincide with a point.
    """

    distances: np.ndarray
    tied: np.ndarray
    at_zero: np.ndarray

    @property
    def n_at_zero(self) -> int:
        return int(np.count_nonzero(self.at_zero))


@dataclass(frozen=True)
class Search:
    """Which neighbours are sought, and where: threads, bytes of workspace, who is told how far it is, the device.

    ``progress(done, total)`` counts rows over ``n_searches`` searches.
    """

    ks: tuple[int, ...]
    n_jobs: int = 1
    memory_limit: int = DEFAULT_MEMORY_LIMIT
    progress: Callable[[int, int], object] | None = None
    n_searches: int = 1
    device: str = "cpu"
    _done: list[int] = field(default_factory=lambda: [0], compare=False)

    def reference(self, points: np.ndarray) -> Reference:
        return Reference(points, self.n_jobs, device=self.device)

    def references(self, X: np.ndarray, Y: np.ndarray) -> tuple[Reference, Reference]:
        return references(X, Y, self.n_jobs, self.device)

    def rows_at_once(self, k: int) -> int:
        """How many rows of k distances, each with its neighbour, are held at a time."""
        return max(_FEWEST_ROWS_AT_ONCE, self.memory_limit // (16 * k))

    def among(self, reference: Reference, rows: np.ndarray | None = None) -> Neighborhood:
        """Neighbours of the points of a reference among the others; of all points, or of those of some rows."""
        if rows is None:
            return self._run(reference, reference.points, np.arange(reference.shape[0]))
        return self._run(reference, reference.points[rows], rows)

    def of(self, queries: np.ndarray, reference: Reference) -> Neighborhood:
        """Neighbours of other points."""
        return self._run(reference, queries, None)

    def _run(self, reference: Reference, queries: np.ndarray, own_rows: np.ndarray | None) -> Neighborhood:
        n, available = len(queries), reference.shape[0] - (own_rows is not None)
        k = min(self.ks[-1] + 1, available)
        result = self._empty(n)
        step = self.rows_at_once(k)
        for first in range(0, n, step):
            rows = slice(first, min(first + step, n))
            whole = own_rows is not None and n == reference.shape[0] <= step
            asked = None if whole else queries[rows]
            exclude = None if whole or own_rows is None else own_rows[rows]
            self._choose(reference.kth_distances(asked, k, exclude, self._teller(rows, n)), first, result)
        self._done[0] += n
        return result

    def chosen(self, nearest: np.ndarray) -> Neighborhood:
        """What is kept of the distances to the nearest neighbours of some rows."""
        result = self._empty(len(nearest))
        self._choose(nearest, 0, result)
        return result

    def _empty(self, n: int) -> Neighborhood:
        shape = len(self.ks), n
        return Neighborhood(np.empty(shape), np.empty(shape, dtype=bool), np.empty(n, dtype=bool))

    def _choose(self, nearest: np.ndarray, first: int, result: Neighborhood) -> None:
        """Fill in what is kept of some rows, from the first one on."""
        arguments = frozen(nearest), np.array(self.ks), first, result.distances, result.tied, result.at_zero
        run_rows(choose_kernel, len(nearest), *arguments, n_jobs=self.n_jobs, row_cost=len(self.ks))

    def _teller(self, rows: slice, n: int):
        if self.progress is None:
            return None
        before, total, tell, last = self._done[0] + rows.start, self.n_searches * n, self.progress, -1

        def told(share: float) -> None:
            nonlocal last
            done = before + int(share * (rows.stop - rows.start))
            if done > last:
                tell(done, total)
            last = done

        return told
