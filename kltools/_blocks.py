"""Samples that are not held in memory: rows that are read, checked and changed block after block.

What is done with the blocks is written down as calls, whose results are handed on to other calls. `InTurn` runs
them one after the other and keeps nothing, so that only a few blocks are in memory at a time; other runners
may hand them to other machines. The blocks of a sample begin at multiples of a number of rows, wherever those were
stored and however many were dropped: what is computed from them does not depend on it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ._arrays import frozen
from ._moments import CHUNK
from ._once import once
from ._validation import Faults, as_table, raise_for_faults, without_missing
from .errors import InvalidParameterError, InvalidTypeError, KLToolsWarning, ShapeMismatchError

Handle = Any  # a call whose result is wanted later
STEP = CHUNK  # rows that the length of a block is a multiple of
_FAN_IN = 4


class Runner(Protocol):
    """Who runs calls; `n_jobs` are the threads that each may have."""

    n_jobs: int

    def call(self, function: Callable[..., Any], *arguments: Any) -> Handle:
        """A call to be run; arguments may be handles, and lists of handles."""

    def share(self, function: Callable[..., Any], *arguments: Any) -> Handle:
        """The same for a call whose result several others use."""

    def get(self, handles: Sequence[Handle], progress: Callable[[float], None] | None = None) -> list[Any]:
        """The results of calls; `progress` hears the share that is done."""

    def fold(self, function: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        """``function(... function(function(None, a), b) ..., c)`` of the results of calls in their order."""


@dataclass(frozen=True, eq=False)
class Call:
    """A function and its arguments, some of which are calls or lists of calls; the result may be kept for others."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    is_shared: bool = False

    def run(self, kept: dict[Call, Any]) -> Any:
        if self in kept:
            return kept[self]
        result = self.function(*(_result(argument, kept) for argument in self.arguments))
        if self.is_shared:
            kept[self] = result
        return result


def _result(argument: Any, kept: dict[Call, Any]) -> Any:
    if isinstance(argument, Call):
        return argument.run(kept)
    return [_result(item, kept) for item in argument] if isinstance(argument, list) else argument


class InTurn:
    """Runs calls when their results are asked for, in this thread; what is shared is kept for the one at work."""

    def __init__(self, n_jobs: int = 1):
        self.n_jobs = n_jobs

    def call(self, function: Callable[..., Any], *arguments: Any) -> Call:
        return Call(function, arguments)

    def share(self, function: Callable[..., Any], *arguments: Any) -> Call:
        return Call(function, arguments, True)

    def get(self, handles: Sequence[Call], progress: Callable[[float], None] | None = None) -> list[Any]:
        results = []
        for handle in handles:
            results.append(handle.run({}))
            if progress is not None:
                progress(len(results) / len(handles))
        return results

    def fold(self, function: Callable[[Any, Any], Any], handles: Sequence[Call]) -> Any:
        state = None
        for handle in handles:
            state = function(state, handle.run({}))
        return state


def joined(runner: Runner, function: Callable[..., Any], handles: list[Handle], *arguments: Any) -> Handle:
    """``function(a, b, *arguments)`` of results, then of two results of that, and so on, until one is left."""
    while len(handles) > 1:
        handles = [
            runner.call(_reduced, function, list(group), *arguments) if len(group) > 1 else group[0]
            for group in _groups(handles, _FAN_IN)
        ]
    return handles[0]


def _groups(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _reduced(function: Callable[..., Any], parts: list[Any], *arguments: Any) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = function(result, part, *arguments)
    return result


# ---------------------------------------------------------------- rows


@dataclass(frozen=True)
class Rows:
    """A sample in blocks, to each of which the same steps are applied when it is asked for.

    ``ends`` are the smallest and the largest values of the columns as read; ``n_dropped`` rows held NaN.
    """

    runner: Runner
    raw: tuple[Handle, ...]
    edges: tuple[int, ...]
    d: int
    ends: np.ndarray
    n_dropped: int = 0
    steps: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()

    def __len__(self) -> int:
        return self.edges[-1]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.d

    def __getitem__(self, chosen: np.ndarray) -> Rows:
        """The rows where a mask is true; ``ends`` stay those of all."""
        parts = [(block, mask) for block, mask in zip(self.blocks, self.parts(chosen), strict=True) if mask.any()]
        raw = tuple(self.runner.call(_taken, block, mask) for block, mask in parts)
        edges = (0, *itertools.accumulate(int(mask.sum()) for _, mask in parts))
        return dataclasses.replace(self, raw=raw, edges=edges, steps=())

    @once
    def blocks(self) -> list[Handle]:
        if not self.steps:
            return list(self.raw)
        return [self.runner.call(_stepped, raw, self.steps) for raw in self.raw]

    def parts(self, array: np.ndarray) -> list[np.ndarray]:
        """An array with an entry for every row, cut where the blocks are."""
        return np.split(array, self.edges[1:-1])

    def mapped(self, step: Callable[[np.ndarray], np.ndarray], d: int | None = None) -> Rows:
        """The rows after one more step."""
        return dataclasses.replace(self, steps=(*self.steps, step), d=self.d if d is None else d)

    def each(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a function finds in every block."""
        return self.runner.get([self.runner.call(function, block, *arguments) for block in self.blocks])

    def take(self, places: np.ndarray) -> np.ndarray:
        """Rows at ascending places."""
        which = np.searchsorted(self.edges, places, side="right") - 1
        blocks, calls = self.blocks, []
        for block in np.unique(which):
            calls.append(self.runner.call(_taken, blocks[block], places[which == block] - self.edges[block]))
        return frozen(np.concatenate(self.runner.get(calls)))


def _stepped(block: np.ndarray, steps: tuple[Callable[[np.ndarray], np.ndarray], ...]) -> np.ndarray:
    for step in steps:
        block = step(frozen(block))
    return block


def _taken(block: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return frozen(block[chosen])


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Look:
    """What a first look at a piece of a sample has found."""

    n_kept: int
    faults: Faults
    ends: np.ndarray
    warnings: tuple[tuple[type[Warning], str], ...]


def read_rows(
    runner: Runner,
    pieces: Sequence[Handle],
    name: str,
    block_rows: int,
    nan_policy: str,
    tell: Callable[[type[KLToolsWarning], str], None],
) -> Rows:
    """A sample from pieces of any length that together hold its rows, once all of them have been looked at."""
    omit = nan_policy == "omit"
    looks = runner.get([runner.call(_look, piece, name, omit) for piece in pieces])
    raise_for_faults([look.faults for look in looks], name, nan_policy)
    for category, message in dict.fromkeys(itertools.chain.from_iterable(look.warnings for look in looks)):
        tell(category, message)
    widths = {look.ends.shape[1] for look in looks}
    if len(widths) > 1:
        raise ShapeMismatchError(f"the parts of {name} have different numbers of features: {sorted(widths)}.")
    ends = np.array([look.ends for look in looks])
    bounds = np.concatenate([[0], np.cumsum([look.n_kept for look in looks])])
    edges = [*range(0, int(bounds[-1]), block_rows), int(bounds[-1])]
    raw = [
        runner.call(_block, *pieces_between(pieces, bounds, first, last), name, omit)
        for first, last in itertools.pairwise(edges)
    ]
    n_dropped = sum(look.faults.n_rows for look in looks) - int(bounds[-1])
    return Rows(
        runner,
        tuple(raw),
        tuple(edges),
        widths.pop(),
        np.array([ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)]),
        n_dropped,
    )


def pieces_between(
    pieces: Sequence[Handle], bounds: np.ndarray, first: int, last: int
) -> tuple[list[Handle], list[tuple[int, int]]]:
    """Pieces that hold the rows from `first` to `last`, and which of their rows these are."""
    chosen = [i for i in range(len(pieces)) if bounds[i] < last and bounds[i + 1] > first]
    ranges = [(max(first - int(bounds[i]), 0), min(last, int(bounds[i + 1])) - int(bounds[i])) for i in chosen]
    return [pieces[i] for i in chosen], ranges


def _look(piece: Any, name: str, omit: bool) -> _Look:
    warnings: list[tuple[type[Warning], str]] = []
    array = as_table(piece, name, 0, tell=lambda *told: warnings.append(told))
    faults = Faults.of(array)
    kept = without_missing(array) if omit and faults.n_nan else array
    low_high = (
        [kept.min(axis=0), kept.max(axis=0)] if len(kept) else [np.full(array.shape[1], s) for s in (np.inf, -np.inf)]
    )
    return _Look(len(kept), faults, np.array(low_high), tuple(warnings))


def _block(pieces: list[Any], ranges: list[tuple[int, int]], name: str, omit: bool) -> np.ndarray:
    """Rows of some pieces, in one array of its own."""
    parts = []
    for piece, (first, last) in zip(pieces, ranges, strict=True):
        array = as_table(piece, name, 0, tell=_heard)
        parts.append((without_missing(array) if omit else array)[first:last])
    return frozen(np.concatenate(parts))


def _heard(category: type[Warning], message: str) -> None:
    """It was told at the first look."""


# ---------------------------------------------------------------- files


_WHOLE = {"numpy", "pandas", "polars", "pyarrow", "torch", "cupy", "numba", "dask"}


def is_stored(x: Any) -> bool:
    """Whether x is an array outside of memory: mapped from a file, or one with a shape, a dtype and slices of rows."""
    if isinstance(x, np.memmap):
        return True
    if isinstance(x, np.ndarray) or type(x).__module__.partition(".")[0] in _WHOLE:
        return False
    shape = getattr(x, "shape", None)
    return isinstance(shape, tuple) and isinstance(getattr(x, "dtype", None), np.dtype) and hasattr(x, "__getitem__")


def stored_pieces(runner: Runner, x: Any, name: str, piece_rows: int) -> list[Handle]:
    """Calls that copy some rows each; of a file that shrinks while it is mapped nothing else is touched."""
    if x.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{name} holds dtype {x.dtype}, numbers are needed.")
    if not 1 <= len(x.shape) <= 2:
        raise ShapeMismatchError(f"expected 2-D {name} of shape (rows, features), got {len(x.shape)}-D {x.shape}.")
    if len(x.shape) == 2 and x.shape[1] == 0:
        raise InvalidParameterError(f"{name} has 0 feature(s) (shape {x.shape}), at least 1 is needed.")
    return [runner.call(_copied, x, first, first + piece_rows) for first in range(0, x.shape[0], piece_rows)]


def _copied(x: Any, first: int, last: int) -> np.ndarray:
    return np.array(x[first:last])
