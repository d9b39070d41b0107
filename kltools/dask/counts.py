"""KL from counts and labels in Dask arrays."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, _count_validation
from .._blocks import joined
from ..errors import NotEnoughSamplesError, ShapeMismatchError
from ..estimate import DivergenceEstimate
from ..estimators.cells import AUGMENTED, CORRECTED, METHODS, Call, Pair
from ..estimators.counts import kl_of, pair_of
from .tasks import Tasks, dask_module, later, pieces_of

if TYPE_CHECKING:
    from dask.delayed import Delayed


def estimate_kl_from_labels(
    labels_p: Any,
    labels_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
    compute: bool = True,
) -> DivergenceEstimate | Delayed:
    """Estimate KL(P || Q) in nats from Dask arrays of labels: `kltools.estimate_kl_from_labels` of all of them.

    Every chunk is counted where it is, and the counts are added.

    Parameters
    ----------
    labels_p : dask.array.Array of shape (n,)
        Observations of P: all numbers, or all text.
    labels_q : dask.array.Array of shape (m,)
        Observations of Q, of the same kind.
    method, zero, concentration, unit
        As there.
    compute : bool
        False gives a `dask.delayed.Delayed` of the estimate.

    Returns
    -------
    DivergenceEstimate

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As there.
    MissingDependencyError
        Without Dask.

    Warns
    -----
    InfiniteDivergenceWarning, PoorOverlapWarning, SmallSampleWarning, UnreliableEstimateWarning
        As there.

    References
    ----------
    Z. Zhang and M. Grabchak (2014), Nonparametric estimation of Kullback-Leibler divergence, Neural Computation 26.

    Examples
    --------
    >>> import dask.array as da, kltools.dask
    >>> p, q = da.from_array(list("aaaaaaaabb") * 10), da.from_array(list("aaaaabbbbc") * 10)
    >>> round(kltools.dask.estimate_kl_from_labels(p, q).value, 2)
    0.23
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    if not compute:
        options = {"method": method, "zero": zero, "concentration": concentration, "unit": unit}
        return later(estimate_kl_from_labels, labels_p, labels_q, **options)
    (p, kinds_p), (q, kinds_q) = (_tally(x, name) for x, name in ((labels_p, "labels_p"), (labels_q, "labels_q")))
    _count_validation.check_one_kind(kinds_p, kinds_q)
    pair = pair_of(p, q)
    return call.report(*kl_of(pair, zero, call, "labels_q"), n_p=int(pair.n), n_q=int(pair.m))


def estimate_kl_from_counts(
    counts_p: Any,
    counts_q: Any,
    *,
    method: str = CORRECTED,
    zero: str = "estimate",
    concentration: float | None = None,
    unit: str = "nats",
    compute: bool = True,
) -> DivergenceEstimate | Delayed:
    """Estimate KL(P || Q) in nats from counts of categories that Dask computes: `kltools.estimate_kl_from_counts`.

    Parameters
    ----------
    counts_p, counts_q : dask.array.Array of shape (K,)
        Observations of P and of Q in the same categories, say of `dask.array.bincount` or `dask.array.histogram`.
    method, zero, concentration, unit
        As there.
    compute : bool
        False gives a `dask.delayed.Delayed` of the estimate.

    Returns
    -------
    DivergenceEstimate

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        As there.
    MissingDependencyError
        Without Dask.

    Warns
    -----
    InfiniteDivergenceWarning, PoorOverlapWarning, SmallSampleWarning, UnreliableEstimateWarning
        As there.

    References
    ----------
    Z. Zhang and M. Grabchak (2014), Nonparametric estimation of Kullback-Leibler divergence, Neural Computation 26.

    Examples
    --------
    >>> import dask.array as da, kltools.dask
    >>> counts = [da.bincount(da.from_array(x, chunks=4), minlength=3) for x in ([0, 0, 0, 1, 2], [0, 1, 1, 2, 2, 2])]
    >>> round(kltools.dask.estimate_kl_from_counts(*[10 * c for c in counts]).value, 2)
    0.43
    """
    call = Call.checked(method, (*METHODS, AUGMENTED), concentration, unit)
    if not compute:
        options = {"method": method, "zero": zero, "concentration": concentration, "unit": unit}
        return later(estimate_kl_from_counts, counts_p, counts_q, **options)
    counts = dask_module().compute(counts_p, counts_q)
    pair = Pair(*_count_validation.count_pair(*counts, tell=call.notes.add))
    return call.report(*kl_of(pair, zero, call, "counts_q"), n_p=int(pair.n), n_q=int(pair.m))


def _tally(x: Any, name: str) -> tuple[Counter, set[bool]]:
    """How often each label occurs in a Dask array, and whether labels are text."""
    runner, array = Tasks(), dask_module().array
    if not isinstance(x, array.Array):
        x = array.from_array(_arrays.label_array(x, name))
    if x.ndim != 1:
        raise ShapeMismatchError(f"{name} must be one label for each observation, got shape {x.shape}.")
    parts = [runner.call(_labels_counted, piece, name) for piece in pieces_of(x)]
    tally, kinds = runner.get([joined(runner, _both, parts)])[0]
    if not tally:
        raise NotEnoughSamplesError(f"{name} is empty: at least one observation is needed.")
    return tally, kinds


def _labels_counted(piece: Any, name: str) -> tuple[Counter, set[bool]]:
    if len(piece) == 0:
        return Counter(), set()
    labels = _arrays.label_array(piece, name)
    if labels.dtype.kind == "O":
        return Counter(labels.tolist()), {_arrays.is_text(labels)}
    names, counts = np.unique(labels, return_counts=True)
    return Counter(dict(zip(names.tolist(), counts.tolist(), strict=True))), {False}


def _both(a: tuple[Counter, set[bool]], b: tuple[Counter, set[bool]]) -> tuple[Counter, set[bool]]:
    return a[0] + b[0], a[1] | b[1]
