"""Divergences of all pairs of many samples: each is prepared once, and searched once for all others."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validation
from .._arrays import frozen
from .._jit import call_all
from .._sums import mean
from ..errors import (
    InfiniteDivergenceWarning,
    InvalidTypeError,
    KLToolsWarning,
    PoorOverlapWarning,
    SmallSampleWarning,
    TiesWarning,
    UnreliableEstimateWarning,
)
from ..estimators.call import Call
from ..estimators.density import counts_where_tied, share_beyond, usual_distance
from ..estimators.jensen_shannon import AT_BOUND, Side, drawn, label_terms
from ..estimators.knn import WithSample, mean_with_counts
from ..estimators.problem import MOST_OUTSIDE, ROWS_PER_NEIGHBOR, are_neighbors_far, is_beyond_neighbors
from ..neighbors import Reference, in_safe_range
from ..neighbors.neighborhood import Neighborhood, Search
from ..neighbors.reductions import log_ratios
from ..preprocessing import (
    Notes,
    drop_constant_columns,
    drop_dependent_columns,
    spans_fewer_dimensions,
    tell_lost_digits,
    tell_mixed_columns,
)
from ..scaling import SCALES, fit_scaling

_DISTANCES_WORTH_COMPILING = 3 * 10**8
_HALVES = (0.5, 0.5)

_WORDS: dict[type[KLToolsWarning], str] = {
    TiesWarning: "have zero or repeated distances, which are estimated by counts within equal radii",
    InfiniteDivergenceWarning: "have mass where the other sample has none: their divergence is inf",
    PoorOverlapWarning: "hardly overlap, and nearest neighbours cannot see how far apart they are",
}


def divergence_matrix(
    samples: Sequence[Any],
    *,
    kind: str = "kl",
    symmetric: bool = False,
    n_neighbors: Any = None,
    scale: str = "whiten",
    unit: str = "nats",
    nan_policy: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
) -> np.ndarray:
    r"""Estimate the divergences of all pairs of many samples, by nearest neighbours, in nats.

    .. math:: D_{ij} = \mathrm{KL}(P_i \,\|\, P_j)
        \approx \frac{1}{n_i} \sum_{x \in X_i} d \log \frac{\nu_k(x)}{\rho_k(x)} + \log \frac{n_j}{n_i - 1}

    where :math:`\rho_k(x)` and :math:`\nu_k(x)` are the distances from x to its k-th neighbour in its own sample
    and in sample j. Entries are those of `estimate_kl` (method "knn"), or of `estimate_jensen_shannon`, for the samples
    scaled together: one scaling is learnt from the rows of all samples, each row with the same weight. Every
    sample is prepared once and asked once, for the rows of all others.

    Parameters
    ----------
    samples : sequence of S array-likes of shape (n_i, d) or (n_i,)
        One for each distribution, of any sizes from 2 rows on; frames need the same columns.
    kind : {"kl", "js"}
        Kullback-Leibler, or Jensen-Shannon with equal weights, which is symmetric and at most log 2.
    symmetric : bool
        Take the mean of both directions of "kl": half the Jeffreys divergence.
    n_neighbors : int or sequence of int, optional
        Estimates with several numbers are averaged. By default 5, 10 and 20, each cut to what a pair has.
    scale : {"whiten", "std", "none"}
        How features are made comparable: "whiten" removes correlations of all rows taken together, "std" divides by
        their standard deviations, "none" keeps the distances of the data.
    unit : {"nats", "bits"}
    nan_policy : {"raise", "omit"}
        "omit" drops rows that contain NaN.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        For the rows that "js" draws from a sample with more than ten times the rows of another; no other value has
        any randomness.

    Returns
    -------
    ndarray of shape (S, S)
        Row i holds the divergences of sample i from the others; the diagonal is 0. Entries are negative at times where
        two samples agree, and inf where one has mass where the other has none. Nothing is clipped: a kernel
        ``numpy.exp(-matrix)`` of it need not be positive definite.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For what cannot be estimated; the message names the sample, as samples[3].

    Warns
    -----
    TiesWarning, SmallSampleWarning, PoorOverlapWarning, UnreliableEstimateWarning, InfiniteDivergenceWarning
        Once for all pairs, with their number and the first of them.

    References
    ----------
    Q. Wang, S. R. Kulkarni, S. Verdu (2009), Divergence estimation for multidimensional densities via
    k-nearest-neighbor distances, eq. 5 and, where distances tie, eq. 17.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> matrix = kl.divergence_matrix([rng.normal(mean, 1, (4000, 1)) for mean in (0, 0, 1)])
    >>> matrix.round(1) + 0.0  # the truth is 0 and 0.5
    array([[0. , 0. , 0.5],
           [0. , 0. , 0.5],
           [0.5, 0.5, 0. ]])
    """
    call = Call.checked(n_neighbors, unit, nan_policy, n_jobs, random_state, None)
    _validation.choice(kind, "kind", tuple(_MATRICES))
    _validation.choice(scale, "scale", SCALES)
    if not isinstance(symmetric, bool | np.bool_):
        raise InvalidTypeError(
            f"symmetric must be True or False, got {symmetric!r} of type {type(symmetric).__name__}."
        )
    rows = _validation.many_samples(samples, "samples", nan_policy, tell=call.notes.add)
    matrix = _matrix(rows, kind, scale, call) * _validation.unit_factor(unit)
    call.notes.issue(2)
    return 0.5 * (matrix + matrix.T) if symmetric else matrix


def _matrix(rows: list[np.ndarray], kind: str, scale: str, call: Call) -> np.ndarray:
    ks = _validation.neighbors(call.n_neighbors)
    if ks is not None:
        for i, sample in enumerate(rows):
            _validation.check_enough_rows(len(sample), f"samples[{i}]", ks[-1] + 1, f"n_neighbors={ks[-1]}")
    tell_lost_digits(tuple(rows), call.notes)
    together = np.concatenate(rows)
    constant = (together == together[0]).all(axis=0)
    if constant.any():
        columns = call.notes.names(constant)
        call.notes.add(TiesWarning, f"columns {columns} have the same single value in all samples and are dropped.")
        if constant.all():
            return np.zeros((len(rows), len(rows)))
        call.notes.select(~constant)
        together = np.ascontiguousarray(together[:, ~constant])
    collection = _Collection(frozen(together), np.cumsum([0, *map(len, rows)]), scale, call)
    matrix, tally = _MATRICES[kind](collection)
    collection.tell_circumstances()
    tally.tell(call.notes)
    return matrix


@dataclass
class _Tally:
    """What there is to be told of pairs, and of which."""

    n_pairs: int
    pairs: dict[type[KLToolsWarning], list[tuple[int, int]]] = field(
        default_factory=lambda: {category: [] for category in _WORDS}
    )

    def tell(self, notes: Notes) -> None:
        for category, words in _WORDS.items():
            if pairs := sorted(self.pairs[category]):
                i, j = pairs[0]
                notes.add(
                    category, f"{len(pairs)} of {self.n_pairs} pairs {words}; the first is samples[{i}], samples[{j}]."
                )


@dataclass
class _Collection:
    """The rows of all samples in one array, where each begins and ends, and the circumstances of the call."""

    together: np.ndarray
    edges: np.ndarray
    scale: str
    call: Call
    _scaled: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.edges)

    @property
    def ks(self) -> tuple[int, ...]:
        """The numbers of neighbours of pairs with rows enough."""
        return _validation.neighbors(self.call.n_neighbors) or _validation.DEFAULT_NEIGHBORS

    def parts(self, rows: np.ndarray) -> list[np.ndarray]:
        return [frozen(rows[first:last]) for first, last in itertools.pairwise(self.edges)]

    def scaled(self, columns: np.ndarray, notes: Notes | None = None) -> list[np.ndarray]:
        """These columns of every sample in the scale of all rows."""
        key = tuple(columns.tolist())
        if key not in self._scaled:
            rows = frozen(np.ascontiguousarray(self.together[:, columns]))
            scaling = fit_scaling(rows, self.scale, notes=notes)
            (self._scaled[key],), _ = in_safe_range(scaling.apply(rows, self.call.n_jobs))
        return self.parts(self._scaled[key])

    def references(self, samples: Sequence[np.ndarray], n_jobs: int) -> list[Reference]:
        """The samples prepared for searches by so many threads."""
        often = len(self.together) ** 2 >= _DISTANCES_WORTH_COMPILING
        calls = [functools.partial(Reference, points, n_jobs, asked_often=often) for points in samples]
        return call_all(calls, self.call.n_jobs)

    def tell_circumstances(self) -> None:
        """What the numbers of rows and features say of all pairs."""
        fewest, d = int(self.sizes.min()), self.together.shape[1]
        ks = _validation.neighbors_within(self.call.n_neighbors, fewest, fewest - 1)
        if fewest < ROWS_PER_NEIGHBOR * ks[0]:
            self.call.notes.add(
                SmallSampleWarning,
                f"samples[{int(self.sizes.argmin())}] has {fewest} rows, few for n_neighbors={ks[0]}: fewer than "
                f"{ROWS_PER_NEIGHBOR} times as many.",
            )
        if are_neighbors_far(ks[-1], fewest, d):
            self.call.notes.add(
                UnreliableEstimateWarning,
                f"in {d} features the nearest {ks[-1]} of {fewest} rows are not near: expect bias; use fewer features "
                "or more rows.",
            )


# ---------------------------------------------------------------- Kullback-Leibler


def _kl_matrix(collection: _Collection) -> tuple[np.ndarray, _Tally]:
    rows, n_jobs = collection.parts(collection.together), collection.call.n_jobs
    has_atoms = tell_mixed_columns(tuple(rows), collection.call.notes, are_counted=True)
    d = collection.together.shape[1]
    collection.scaled(np.arange(d), collection.call.notes)
    matrix, tally = np.zeros((len(rows), len(rows))), _Tally(len(rows) * (len(rows) - 1))
    plain = [len(sample) > max(collection.ks[-1], d + 2) and not spans_fewer_dimensions(sample) for sample in rows]
    _fill_plain(matrix, tally, collection, np.flatnonzero(plain), has_atoms)
    others = [(i, j) for i, j in itertools.permutations(range(len(rows)), 2) if not (plain[i] and plain[j])]
    found = call_all(
        [functools.partial(_pair_with_care, collection, rows, has_atoms, *pair) for pair in others], n_jobs
    )
    for pair, (value, categories) in zip(others, found, strict=True):
        matrix[pair] = value
        for category in categories:
            tally.pairs[category].append(pair)
    return matrix, tally


def _fill_plain(
    matrix: np.ndarray, tally: _Tally, collection: _Collection, chosen: np.ndarray, has_atoms: bool
) -> None:
    """Entries of samples with rows enough that extend in all directions: no pair of them needs a look of its own."""
    if len(chosen) < 2:
        return
    d, n_jobs = collection.together.shape[1], collection.call.n_jobs
    scaled = collection.scaled(np.arange(d))
    search = Search(collection.ks, n_jobs, collection.call.memory_limit)
    references = collection.references([scaled[i] for i in chosen], n_jobs)
    own = [search.among(reference) for reference in references]
    queries = frozen(np.concatenate([reference.points for reference in references]))
    rho = np.concatenate([near.distances for near in own], axis=1)
    edges = np.cumsum([0, *(reference.shape[0] for reference in references)])
    for b, j in enumerate(chosen):
        nu = search.of(queries, references[b])
        terms = [d * log_ratios(*distances, n_jobs) for distances in zip(nu.distances, rho, strict=True)]
        usual = usual_distance(scaled[j], references[b], search.ks[0])
        for a, i in enumerate(chosen):
            if i == j:
                continue
            block = slice(edges[a], edges[a + 1])
            near = Neighborhood(nu.distances[:, block], nu.tied[:, block], nu.at_zero[block])
            pair = references[a], references[b]
            of_block = [values[block] for values in terms]
            value, has_ties = _entry(of_block, pair, own[a], near, has_atoms)
            matrix[i, j] = value
            if has_ties:
                tally.pairs[TiesWarning].append((int(i), int(j)))
            share = share_beyond(near.distances[0], usual)
            if _overlap_poorly(value, share, min(pair[0].shape[0], pair[1].shape[0]), search.ks[0]):
                tally.pairs[PoorOverlapWarning].append((int(i), int(j)))


def _entry(
    terms: list[np.ndarray],
    pair: tuple[Reference, Reference],
    rho: Neighborhood,
    nu: Neighborhood,
    has_atoms: bool,
) -> tuple[float, bool]:
    """The estimate from d log(nu / rho) at the rows of the first sample for each k; and whether distances tie."""
    tied = rho.tied | (nu.distances == 0.0)
    constant = math.log(pair[1].shape[0] / (pair[0].shape[0] - 1))
    has_ties = bool(tied.any())
    values = []
    for row, of_row in enumerate(terms):
        distances = rho.distances[row], nu.distances[row]
        counted = tied[row] | has_atoms
        if counted.any():
            average = mean_with_counts(of_row, counts_where_tied(pair, distances, counted))
        else:
            average = mean(of_row)
        values.append(average + constant)
    return math.fsum(values) / len(values), has_ties


def _overlap_poorly(value: float, share_outside: float, rows: int, k: int) -> bool:
    return share_outside > MOST_OUTSIDE or is_beyond_neighbors(value, rows, k)


def _pair_with_care(
    collection: _Collection, rows: list[np.ndarray], has_atoms: bool, i: int, j: int
) -> tuple[float, list[type[KLToolsWarning]]]:
    """The estimate for two samples one of which is small, or constant or dependent in some of its columns."""
    notes = Notes()
    X, Y, answer = drop_constant_columns(rows[i], rows[j], notes)
    if answer is None and Y is not None:
        _, _, answer = drop_dependent_columns(X, Y, notes)
    if answer is not None:
        return answer, [InfiniteDivergenceWarning] if answer == math.inf else []
    columns = np.arange(collection.together.shape[1]) if notes.columns is None else notes.columns
    scaled = collection.scaled(columns)
    n, m = len(rows[i]), len(rows[j])
    ks = _validation.neighbors_within(collection.call.n_neighbors, n, m)
    search = Search(ks, memory_limit=collection.call.memory_limit)
    terms = WithSample((scaled[i], scaled[j]), search, np.full(len(ks), 1.0 / len(ks)), has_atoms).terms()
    categories: list[type[KLToolsWarning]] = [TiesWarning] if terms.n_ties else []
    if _overlap_poorly(terms.value, terms.share_outside, min(n, m), ks[0]):
        categories.append(PoorOverlapWarning)
    return terms.value, categories


# ---------------------------------------------------------------- Jensen-Shannon


def _js_matrix(collection: _Collection) -> tuple[np.ndarray, _Tally]:
    sizes, call = collection.sizes, collection.call
    scaled = collection.scaled(np.arange(collection.together.shape[1]), call.notes)
    search = Search(collection.ks, memory_limit=call.memory_limit)
    sides = [Side(reference, search) for reference in collection.references(scaled, 1)]

    def entry(i: int, j: int) -> tuple[float, int]:
        if (scaled[i] == scaled[j][0]).all() and (scaled[j] == scaled[j][0]).all():
            return 0.0, 0
        rng = np.random.default_rng([call.seed, 1])
        pair = []
        for one, other in ((i, j), (j, i)):
            sample = drawn(scaled[one], int(sizes[other]), rng)
            pair.append(sides[one] if sample is scaled[one] else Side(Reference(sample), search))
        ks = _validation.neighbors_within(call.n_neighbors, int(sizes[i]), int(sizes[j]) - 1)
        terms = label_terms(pair[0], pair[1], _HALVES, ks)
        return terms.value, terms.n_ties

    matrix = np.zeros((len(sides), len(sides)))
    pairs = list(itertools.combinations(range(len(sides)), 2))
    tally = _Tally(len(pairs))
    found = call_all([functools.partial(entry, *pair) for pair in pairs], call.n_jobs)
    for (i, j), (value, n_ties) in zip(pairs, found, strict=True):
        matrix[i, j] = matrix[j, i] = value
        if n_ties:
            tally.pairs[TiesWarning].append((i, j))
        if value > AT_BOUND * math.log(2.0):
            tally.pairs[PoorOverlapWarning].append((i, j))
    return matrix, tally


_MATRICES: dict[str, Callable[[_Collection], tuple[np.ndarray, _Tally]]] = {"kl": _kl_matrix, "js": _js_matrix}
