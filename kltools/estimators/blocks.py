"""Estimates by nearest neighbours from samples that are read in blocks: the same bits as from arrays in memory."""

import dataclasses
import math
from functools import partial
from typing import Any

import numpy as np

from .. import _blocks, _validation
from .._blocks import Handle, Rows
from .._moments import RowMoments, added, chunk_moments
from .._once import once
from .._sums import column_totals, partial_sums
from .._validation import check_enough_rows
from ..errors import InvalidParameterError, ShapeMismatchError
from ..inference import UNKNOWN
from ..neighbors import Reference, divided, safe_exponent, wide
from ..neighbors.leave_out import SPARE_NEIGHBORS, means_without_blocks
from ..neighbors.merging import labelled_of_both, nearest_of_both
from ..neighbors.neighborhood import Neighborhood, Search
from ..preprocessing import (
    ROWS_TO_LOOK_AT,
    Notes,
    column_exponents,
    drop_constant_columns,
    independent_in_part,
    outlier_bounds,
    rows_inside,
    rows_that_show,
    spread_places,
    tell_lost_digits,
    tell_mixed_columns,
)
from ..preprocessing import divided as divided_columns
from ..scaling import Scaling, scaling_of
from . import knn, method_function
from .density import distance_of_most, rows_to_probe, share_beyond, where_to_count
from .problem import Problem, Result

_NUMBERS_PER_FEATURE = 16  # of a row in work: copies, trees, neighbours


def read_stored(
    X: Any, Y: Any, nan_policy: str, notes: Notes, n_jobs: int, memory_limit: int
) -> tuple[Rows, Rows, int] | None:
    """Samples of which one is stored in a file, and the number of rows dropped; None where memory holds both easily."""
    shapes = [np.shape(sample) for sample in (X, Y)]
    if not (_blocks.is_stored(X) or _blocks.is_stored(Y)) or 8 * sum(map(math.prod, shapes)) <= memory_limit:
        return None
    runner = _blocks.InTurn(n_jobs)
    d = max(shape[1] if len(shape) > 1 else 1 for shape in shapes)
    block_rows = max(1, memory_limit // (_NUMBERS_PER_FEATURE * 8 * (d + 4)) // _blocks.STEP) * _blocks.STEP
    samples = []
    for sample, name in ((X, "X"), (Y, "Y")):
        stored = sample if _blocks.is_stored(sample) else _validation.as_table(sample, name, tell=notes.add)
        pieces = _blocks.stored_pieces(runner, stored, name, block_rows)
        samples.append(_blocks.read_rows(runner, pieces, name, block_rows, nan_policy, notes.add))
    first, second = samples
    return first, second, check_same_width(first, second)


def check_same_width(X: Rows, Y: Rows) -> int:
    """Raise for samples that cannot be compared; the rows dropped from both."""
    if X.d != Y.d:
        raise ShapeMismatchError(f"X has {X.d} features, Y has {Y.d} (shapes {X.shape} and {Y.shape}).")
    return X.n_dropped + Y.n_dropped


def solve(problem: Problem, method: str, options: dict[str, Any]) -> tuple[Problem, Result]:
    """`estimators.solve` for samples in blocks."""
    X: Any = problem.X
    Y: Any = problem.Y
    notes = problem.notes
    check_enough_rows(len(X), "X", 2, "an estimate")
    first = X.take(np.zeros(1, dtype=int))
    low, high = X.ends
    constant = low == high
    met = np.any(Y.each(_meets, first[0]), axis=0) if constant.any() else constant
    some_x = np.concatenate([first, X.ends])
    some_y = np.concatenate([Y.take(np.zeros(1, dtype=int)), Y.ends, np.where(met, first, Y.ends[:1])])
    tell_lost_digits((some_x, some_y), notes)
    _, _, answer = drop_constant_columns(some_x, some_y, notes)  # these rows have all that it looks at
    if answer is not None:
        return problem, Result(answer, lambda: UNKNOWN)
    if notes.columns is not None:
        X, Y = (_selected(sample, notes.columns) for sample in (X, Y))
    _check_independent(X, Y)
    has_atoms = tell_mixed_columns((_spread(X, ROWS_TO_LOOK_AT), _spread(Y, ROWS_TO_LOOK_AT)), notes, are_counted=True)
    problem = BlockProblem(
        **{f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
        | {"X": X, "Y": Y, "comparison": InBlocks, "has_atoms": has_atoms}
    )
    return problem, method_function(method)(problem, **options)


def _meets(block: np.ndarray, row: np.ndarray) -> np.ndarray:
    return (block == row).any(axis=0)


def _selected(sample: Rows, columns: np.ndarray) -> Rows:
    chosen = sample.mapped(partial(_columns, columns=columns), len(columns))
    return dataclasses.replace(chosen, ends=sample.ends[:, columns])


def _columns(block: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(block[:, columns])


def _spread(sample: Rows, at_most: int) -> np.ndarray:
    return sample.take(spread_places(len(sample), at_most))


def _check_independent(X: Rows, Y: Rows) -> None:
    n_rows = rows_that_show(X.d)
    if X.d > 1 and not independent_in_part(_spread(X, n_rows), _spread(Y, n_rows)):
        raise InvalidParameterError(
            "columns of X and Y look linear in others, which cannot be made sure of in blocks; drop those columns, or "
            "pass arrays in memory, for which kltools.estimate_kl finds out."
        )


# ---------------------------------------------------------------- scaling


@dataclasses.dataclass(frozen=True)
class BlockProblem(Problem):
    """A problem whose samples are `Rows`."""

    def scaled(self, kind: str) -> tuple[str, list[Any]]:
        X: Any = self.X
        Y: Any = self.Y
        scaling = self._fit_scaling(X, Y, kind)
        if scaling.matrix is not None:
            X, Y = (sample.mapped(partial(_scaled, scaling=scaling, n_jobs=self.n_jobs)) for sample in (X, Y))
        exponent = safe_exponent(max(*X.each(wide.largest), *Y.each(wide.largest)))
        if exponent:
            X, Y = (sample.mapped(partial(divided, exponent=exponent)) for sample in (X, Y))
        return scaling.kind, [X, Y]

    def _fit_scaling(self, X: Rows, Y: Rows, kind: str) -> Scaling:
        """`fit_scaling`, in passes over the blocks."""
        if kind == "none" or X.d == 1:
            return Scaling("none", 0.0, np.zeros(X.d, dtype=int))
        exponents = column_exponents(X.ends, Y.ends)
        divide = partial(divided_columns, exponents=exponents)
        ends, X, Y = divide(X.ends), X.mapped(divide), Y.mapped(divide)
        bounds = outlier_bounds(_spread(X, ROWS_TO_LOOK_AT), *ends)
        if bounds is not None and not sum(X.each(_count_inside, bounds)) / len(X) > 0.5:
            bounds = None
        center = next(row for row in X.each(_first_inside, bounds) if row is not None)
        moments = _moments(X, center, bounds, self.n_jobs)
        others = None
        if (np.diag(moments.products) == 0.0).any():
            others = _moments(Y, Y.take(np.zeros(1, dtype=int))[0], None, self.n_jobs)
        return scaling_of(moments, center, kind, exponents, others, self.notes)


def _scaled(block: np.ndarray, scaling: Scaling, n_jobs: int) -> np.ndarray:
    return scaling.apply(block, n_jobs)


def _count_inside(block: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> int:
    return int(rows_inside(block, bounds).sum())


def _first_inside(block: np.ndarray, bounds: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray | None:
    if bounds is None:
        return block[0]
    inside = rows_inside(block, bounds)
    return block[inside.argmax()] if inside.any() else None


def _moments(sample: Rows, center: np.ndarray, bounds: Any, n_jobs: int) -> RowMoments:
    runner = sample.runner
    of_blocks = [runner.call(_chunk_moments, block, center, bounds, n_jobs) for block in sample.blocks]
    return runner.fold(_add_chunks, of_blocks)


def _chunk_moments(block: np.ndarray, center: np.ndarray, bounds: Any, n_jobs: int) -> list[RowMoments]:
    inside = None if bounds is None else rows_inside(block, bounds)
    return list(chunk_moments(block, center, inside, n_jobs))


def _add_chunks(state: RowMoments | None, chunks: list[RowMoments]) -> RowMoments:
    return added(chunks if state is None else [state, *chunks])


# ---------------------------------------------------------------- neighbours


class InBlocks(knn.WithSample):
    """Searches in every pair of blocks; rows of X stand in the order of the neighbours in their block."""

    @once
    def _queries(self) -> list[Handle]:
        runner = self.samples[0].runner
        return [runner.share(_in_order, block, runner.n_jobs) for block in self.samples[0].blocks]

    def neighborhoods(self) -> tuple[Neighborhood, Neighborhood]:
        runner, (X, Y), most = self.samples[0].runner, self.samples, self.ks[-1] + 1
        handles = []
        for i in range(len(X.raw)):
            rho = self._nearest_among(i, min(most, len(X) - 1))
            nu = self._nearest(self._queries[i], Y, min(most, len(Y)))
            handles.append(runner.call(_chosen, rho, nu, Search(self.ks)))
        tell = self.search.progress
        told = None if tell is None else lambda share: tell(round(2 * len(X) * share), 2 * len(X))
        pairs = runner.get(handles, told)
        rho, nu = (
            Neighborhood(*(np.concatenate(parts, axis=-1) for parts in zip(*side, strict=True)))
            for side in zip(*pairs, strict=True)
        )
        return rho, nu

    def _nearest(self, queries: Handle, sample: Rows, k: int) -> Handle:
        """Distances from queries to the k nearest rows of a sample."""
        runner = sample.runner
        parts = [runner.call(_nearest, queries, block, k, runner.n_jobs) for block in sample.blocks]
        return _blocks.joined(runner, nearest_of_both, parts, k)

    def _nearest_among(self, i: int, k: int) -> Handle:
        """Distances from the rows of a block of X to the k nearest other rows of X."""
        X, runner = self.samples[0], self.samples[0].runner
        parts = [
            runner.call(_nearest_others, block, k, runner.n_jobs)
            if j == i
            else runner.call(_nearest, self._queries[i], block, k, runner.n_jobs)
            for j, block in enumerate(X.blocks)
        ]
        return _blocks.joined(runner, nearest_of_both, parts, k)

    def share_outside(self, nu: Neighborhood) -> float:
        Y, k = self.samples[1], self.ks[0]
        probed = rows_to_probe(len(Y), k)
        if probed is None:
            return 0.0
        (nearest,) = Y.runner.get([self._nearest(Y.take(probed), Y, k + 1)])
        return share_beyond(nu.distances[0], distance_of_most(nearest))

    def counts_where_tied(
        self, distances: tuple[np.ndarray, np.ndarray], tied: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        X, runner = self.samples[0], self.samples[0].runner
        chosen, radius = where_to_count(distances, tied)
        block_of = np.searchsorted(X.edges, chosen, side="right") - 1
        handles = []
        for i in np.unique(block_of):
            queries = runner.share(_rows, self._queries[i], chosen[block_of == i] - X.edges[i])
            within = runner.share(np.asarray, radius[block_of == i])
            for sample in self.samples:
                counts = [runner.call(_count, queries, within, block, runner.n_jobs) for block in sample.blocks]
                handles.append(_blocks.joined(runner, np.add, counts))
        found = runner.get(handles)
        return chosen, np.concatenate(found[::2]) - 1, np.concatenate(found[1::2])  # a row is within its own radius

    def values_without_blocks(self, labels: list[np.ndarray]) -> np.ndarray:
        X, Y = self.samples
        rho = self._mean_log_distances(X, labels[0], labels[0])
        nu = self._mean_log_distances(Y, labels[1], labels[0])
        n, m = (len(label) - np.bincount(label) for label in labels)
        return X.d * (nu - rho) + np.log(m / (n - 1))

    def _mean_log_distances(self, sample: Rows, labels: np.ndarray, query_labels: np.ndarray) -> np.ndarray:
        """`leave_out.mean_log_distances` among the rows of X or in Y; ever more neighbours for ever fewer rows."""
        X, runner = self.samples[0], self.samples[0].runner
        is_own = sample is X
        n_blocks = int(labels.max()) + 1
        available, known = len(sample) - is_own, self.ks[-1] + SPARE_NEIGHBORS
        left: list[Any] = [None] * len(X.raw)
        of_rows = [runner.share(np.asarray, part.astype(np.uint8), np.int64) for part in sample.parts(labels)]
        sums = []
        while left:
            known = min(known, available)
            handles, asked = [], [i for i, rows in enumerate(left) if rows is None or len(rows)]
            for i in asked:
                queries = runner.share(_labelled_rows, X.blocks[i], X.parts(query_labels)[i], left[i], runner.n_jobs)
                parts = [
                    runner.call(_labelled, queries, block, labels_of_block, known, is_own and i == j, runner.n_jobs)
                    for j, (block, labels_of_block) in enumerate(zip(sample.blocks, of_rows, strict=True))
                ]
                nearest = _blocks.joined(runner, labelled_of_both, parts, known)
                is_last = known == available
                handles.append(runner.call(_sums_without, nearest, queries, self.ks, self.weights, n_blocks, is_last))
            found = runner.get(handles)
            sums += [part for part, _ in found]
            missing = dict(zip(asked, (rows for _, rows in found), strict=True))
            left = [missing.get(i, np.empty(0, dtype=int)) for i in range(len(left))]
            if not any(map(len, left)):
                break
            known *= 2
        kept = len(query_labels) - np.bincount(query_labels, minlength=n_blocks)
        return column_totals(np.concatenate(sums)) / kept


def _in_order(block: np.ndarray, n_jobs: int) -> np.ndarray:
    """The rows of a block in an order in which neighbours stand close together."""
    return Reference(block, n_jobs).points


def _rows(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return queries[rows]


def _nearest(queries: np.ndarray, block: np.ndarray, k: int, n_jobs: int) -> np.ndarray:
    return Reference(block, n_jobs).kth_distances(queries, min(k, len(block)))


def _nearest_others(block: np.ndarray, k: int, n_jobs: int) -> np.ndarray:
    """The same for the rows of a block among the others, in their order."""
    k = min(k, len(block) - 1)
    return Reference(block, n_jobs).kth_distances(None, k) if k else np.empty((len(block), 0))


def _chosen(rho: np.ndarray, nu: np.ndarray, search: Search) -> tuple[tuple[np.ndarray, ...], ...]:
    """What is kept of the neighbours of some rows in X and in Y."""
    return tuple((kept.distances, kept.tied, kept.at_zero) for kept in (search.chosen(rho), search.chosen(nu)))


def _count(queries: np.ndarray, radius: np.ndarray, block: np.ndarray, n_jobs: int) -> np.ndarray:
    return Reference(block, n_jobs).count_within(queries, radius)


def _labelled_rows(
    block: np.ndarray, labels: np.ndarray, rows: np.ndarray | None, n_jobs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some rows of a block, or all, in the order of neighbours: their places there, the rows and their labels."""
    reference = Reference(block, n_jobs)
    places = np.arange(len(block)) if rows is None else rows
    return places, reference.points[places], labels[reference.order][places]


def _labelled(
    queries: tuple[np.ndarray, np.ndarray, np.ndarray],
    block: np.ndarray,
    labels: np.ndarray,
    k: int,
    is_own: bool,
    n_jobs: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the nearest rows of a block, and the labels of these."""
    places, points, _ = queries
    k = min(k, len(block) - is_own)
    if not k:
        return np.empty((len(points), 0)), np.empty((len(points), 0), dtype=np.int64)
    reference = Reference(block, n_jobs)
    distances, rows = reference.nearest(points, k, places if is_own else None)
    return distances, labels[reference.order[rows]]


def _sums_without(
    nearest: tuple[np.ndarray, np.ndarray],
    queries: tuple[np.ndarray, np.ndarray, np.ndarray],
    ks: tuple[int, ...],
    weights: np.ndarray,
    n_blocks: int,
    is_last: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Parts of sums over the rows for which enough neighbours are known, and the others."""
    places, _, labels = queries
    means = means_without_blocks(*nearest, labels, ks, weights, n_blocks)
    missing = np.isnan(means).any(axis=1) & (not is_last)
    counted = (labels[:, None] != np.arange(n_blocks)) & ~missing[:, None]
    return partial_sums(means, counted), places[missing]
